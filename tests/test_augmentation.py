import itertools

import numpy as np
import pytest

from instrec.learning import augmentation, patches
from instrec.learning.augmentation import AUGMENTATIONS, NEPERS

FRAME = 512 / 22050  # s


def rng(seed=0):
    return np.random.default_rng(seed)


def some_patches(n=64, bands=32, frames=20):
    return rng(1).normal(-5, 2, (n, bands, frames, 1)).astype(np.float32)


def one_hot(n=64, labels=4):
    return np.eye(labels, dtype=np.float32)[np.arange(n) % labels]


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_patches_keep_shape_and_type_and_vary_by_the_seed_alone(name):
    x = some_patches()
    before = x.copy()
    varied, again, other = (augmentation.augment(rng(s), name, x, FRAME)[0] for s in (3, 3, 4))
    np.testing.assert_array_equal(x, before)
    assert varied.shape == x.shape and varied.dtype == np.float32 and np.isfinite(varied).all()
    np.testing.assert_array_equal(varied, again)
    assert not np.array_equal(varied, x) and not np.array_equal(varied, other)


def test_a_rotation_keeps_every_frame():
    x = some_patches()
    rotated = augmentation.start(rng(), x)
    np.testing.assert_array_equal(np.sort(rotated, axis=2), np.sort(x, axis=2))


def test_noise_adds_and_stays_30_db_below_the_loudest_point():
    x = np.full((200, 32, 20, 1), -40, dtype=np.float32)
    x[:, 5, 5] = 0  # a loud point in silence
    varied = augmentation.noise(rng(), x)
    assert (varied >= x).all()
    floor = np.median(varied, axis=(1, 2, 3)) / NEPERS
    assert floor.max() < -20 and 0.7 < np.mean(floor > -100) < 0.9  # most of them, not all


def test_a_room_only_adds_and_only_after_the_sound():
    """By 60 dB in 0.1 to 1.2 s the same in every frame, from 3 to 25 dB below the sound."""
    x = np.full((100, 4, 20, 1), -1000, dtype=np.float32)
    x[:, :, 8] = 0
    varied = augmentation.room(rng(), x, FRAME)
    wet = np.any(varied[:, :, 9] > -500, axis=(1, 2))
    assert 0.3 < wet.mean() < 0.7
    assert varied[:, :, :8].max() < -990  # a floor with its own reverberation
    sound, tail = varied[wet][:, :, 8, 0], varied[wet][:, :, 9:, 0]
    decay = np.diff(tail, axis=2).mean(axis=(1, 2))
    expected = tail[:, :1, :1] + decay[:, None, None] * np.arange(11)
    np.testing.assert_allclose(tail, np.broadcast_to(expected, tail.shape), atol=1e-4)
    seconds = -60 * NEPERS * FRAME / decay
    assert 0.1 <= seconds.min() < 0.3 and 1 < seconds.max() <= 1.2
    level = tail[:, 0, 0] - decay
    assert -25 <= level.min() / NEPERS < -22 and -6 < level.max() / NEPERS <= -3
    np.testing.assert_allclose(sound[:, 0], np.log1p(np.exp(level)), rtol=1e-4)


def test_pitch_moves_all_bands_of_a_patch_by_up_to_four():
    x = np.zeros((300, 32, 3, 1), dtype=np.float32)
    x[:, 16] = 1
    places = augmentation.pitch(rng(), x)[:, :, :, 0].argmax(axis=1)
    assert (places == places[:, :1]).all()
    assert set(places.ravel()) == set(range(12, 21))


def test_what_is_named_is_done_in_the_order_of_the_list():
    x = some_patches()
    either, way = (
        augmentation.augment(rng(), n, x, FRAME)[0] for n in ("room noise", "noise room")
    )
    np.testing.assert_array_equal(either, way)
    generator = rng()
    wet = augmentation.room(generator, x, FRAME)
    np.testing.assert_array_equal(either, augmentation.noise(generator, wet))


def test_batches_vary_from_epoch_to_epoch_and_go_on_alike():
    x, y = some_patches(n=8), one_hot(8)
    options = {"targets": y, "shuffle_seed": (7,), "augmentations": "noise"}
    feed = patches.Patches([x], np.arange(8), 8, **options)
    (first, _), (second, _) = itertools.islice(feed.batches(), 2)
    np.testing.assert_array_equal(first, next(feed.batches())[0])
    later = patches.Patches([x], np.arange(8), 8, epoch=1, **options)
    np.testing.assert_array_equal(second, next(later.batches())[0])
    assert not np.array_equal(np.sort(first, axis=0), np.sort(second, axis=0))


def test_both_inputs_of_a_network_are_varied_alike():
    x = some_patches(n=8)
    options = {"shuffle_seed": (0,), "augmentations": "room start", "frame_seconds": FRAME}
    feed = patches.Patches([x, x], np.arange(8), 8, targets=one_hot(8), **options)
    (harmonic, percussive), _ = next(feed.batches())
    np.testing.assert_array_equal(harmonic, percussive)


def test_a_mix_is_the_sum_of_two_patches_and_both_are_its_target():
    x = np.log(np.random.default_rng(0).uniform(0.1, 1, (40, 6, 5, 1))).astype(np.float32)
    y = np.eye(40, dtype=np.float32)
    mixed, targets = augmentation.mix(rng(), x, y)
    loudest = x.max(axis=(1, 2, 3), keepdims=True)  # the first patch keeps its level
    shares = np.exp(x - loudest).reshape(40, -1)
    sums, own = np.exp(mixed - loudest).reshape(40, -1), 0
    for number, target in enumerate(targets):
        assert target.sum() == 1 and target.dtype == np.float32
        (other,) = set(np.flatnonzero(target)) - {number} or {number}
        if other == number and (mixed[number] == x[number]).all():
            own += 1
            continue
        gains = (sums[number] - shares[number]) / shares[other]
        np.testing.assert_allclose(gains, gains[0], rtol=1e-3)
        assert 10 ** (-9 / 20) * 0.99 < gains[0] < 10 ** (9 / 20) * 1.01
    assert 5 < own < 35


def test_an_equaliser_is_the_same_in_every_frame_and_contrast_keeps_the_loudest_point():
    x = np.log(np.random.default_rng(1).uniform(0.1, 1, (50, 64, 5, 1))).astype(np.float32)
    change = augmentation.colour(rng(), x) - x
    np.testing.assert_allclose(change, change[:, :, :1] + np.zeros_like(x), atol=1e-5)
    assert np.abs(np.diff(change, axis=1)).max() < 8 * NEPERS  # smooth over the bands
    below = augmentation.contrast(rng(), x) - x.max(axis=(1, 2, 3), keepdims=True)
    factors = (below / (x - x.max(axis=(1, 2, 3), keepdims=True) - 1e-9)).reshape(50, -1)
    assert (np.abs(below.max(axis=(1, 2, 3))) < 1e-6).all()
    assert np.median(factors, axis=1).min() < 0.9 and np.median(factors, axis=1).max() > 1.1
