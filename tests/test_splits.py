import numpy as np
import pytest

from instrec.data import splits
from instrec.errors import InputError
from settings import CHOICES

SPLIT_BY = CHOICES["split_by"]
# IRMAS' number of training clips of each label, from its annotations; every clip has 3 patches.
IRMAS_CLIPS = [388, 505, 451, 637, 760, 682, 721, 626, 577, 580, 778]


def irmas():
    """Class and file of each patch of a training set as large as IRMAS; 3 clips a recording."""
    file_class = np.repeat(np.arange(11), IRMAS_CLIPS)
    file_id = np.repeat(np.arange(len(file_class)), 3)
    recordings = [f"{label} {i // 3}" for i, label in enumerate(file_class)]
    return file_class[file_id], file_id, recordings


def test_irmas_has_the_published_numbers_of_patches():
    class_id, file_id, _ = irmas()
    validation = splits.validation_mask(class_id, file_id, 0.85)
    assert np.count_nonzero(~validation) == 17094
    assert np.count_nonzero(validation) == 3021


def test_every_class_is_rounded_down():
    class_id, file_id, _ = irmas()
    validation = splits.validation_mask(class_id, file_id, 0.85)
    train = np.bincount(class_id[~validation])
    assert train.tolist() == [(3 * clips * 85) // 100 for clips in IRMAS_CLIPS]


def test_patch_split_leaks_and_others_do_not():
    class_id, file_id, recordings = irmas()
    recording_id = np.unique(recordings, return_inverse=True)[1][file_id]

    def shared(split_by, group):
        mask = splits.validation_mask(
            class_id, file_id, 0.85, recordings=recordings, split_by=split_by
        )
        return np.intersect1d(group[mask], group[~mask]).size

    assert shared("patch", file_id) > 1000
    assert shared("file", file_id) == 0
    assert shared("file", recording_id) > 100
    assert shared("recording", recording_id) == 0
    assert shared("recording", file_id) == 0


@pytest.mark.parametrize("split_by", SPLIT_BY)
def test_each_class_comes_close_to_the_fraction(split_by):
    class_id, file_id, recordings = irmas()
    mask = splits.validation_mask(class_id, file_id, 0.85, recordings=recordings, split_by=split_by)
    share = np.bincount(class_id[~mask]) / np.bincount(class_id)
    assert np.all((share <= 0.85) & (share > 0.84))


def test_same_seed_same_split():
    class_id, file_id, _ = irmas()
    first, same, different = (
        splits.validation_mask(class_id, file_id, 0.85, seed=seed) for seed in (0, 0, 1)
    )
    assert np.array_equal(first, same)
    assert not np.array_equal(first, different)


def test_neither_side_is_ever_empty():
    mask = splits.validation_mask([0, 0, 1, 1], [0, 1, 2, 3], 0.01)
    assert np.bincount(np.array([0, 0, 1, 1])[mask]).tolist() == [1, 1]


@pytest.mark.parametrize("fraction", [0, 1, -1, 1.5])
def test_fraction_out_of_range_is_refused(fraction):
    with pytest.raises(InputError, match="between 0 and 1"):
        splits.validation_mask([0, 0], [0, 1], fraction)


def test_unknown_split_is_refused():
    with pytest.raises(InputError, match="split_by"):
        splits.validation_mask([0, 0], [0, 1], 0.5, split_by="clip")


def test_a_class_of_one_recording_cannot_be_split_by_recording():
    with pytest.raises(InputError, match="only one recording"):
        splits.validation_mask([0, 0], [0, 1], 0.5, recordings=["a", "a"], split_by="recording")


def per_label(labels, first):
    """Number of clips of each label in both halves: [labels x 2]."""
    names = sorted({name for carried in labels for name in carried})
    return np.array(
        [
            [sum(name in labels[i] for i in np.flatnonzero(half)) for half in (first, ~first)]
            for name in names
        ]
    )


def like_irmas(clips, seed):
    """Labels as in IRMAS' test set: many combinations, some labels in a third of all clips."""
    rng = np.random.default_rng(seed)
    share = np.array([111, 62, 163, 535, 942, 361, 995, 326, 167, 211, 1044], dtype=float)
    sizes = rng.choice([1, 2, 3, 4, 5], p=[0.43, 0.445, 0.11, 0.014, 0.001], size=clips)
    return [tuple(map(str, rng.choice(11, n, replace=False, p=share / share.sum()))) for n in sizes]


@pytest.mark.parametrize("seed", range(4))
def test_halves_of_multi_label_clips_are_balanced(seed):
    labels = like_irmas(2874, seed)
    first = splits.halves(labels, seed=seed)
    assert np.count_nonzero(first) == 1437
    counts = per_label(labels, first)
    assert np.abs(counts[:, 0] - counts[:, 1]).max() <= 2


@pytest.mark.parametrize("seed", range(4))
def test_halves_of_few_clips_with_many_combinations_are_balanced(seed):
    alone = [(name,) for name in "abcdefghij"]
    labels = alone + [(name, "voi") for name in "abcdefghij"]
    first = splits.halves(labels, seed=seed)
    assert np.count_nonzero(first) == 10
    counts = per_label(labels, first)
    assert np.abs(counts[:, 0] - counts[:, 1]).max() <= 2


def test_halves_of_single_label_clips_differ_by_one_a_label():
    rng = np.random.default_rng(0)
    labels = [(str(label),) for label in rng.integers(0, 15, 301)]
    first = splits.halves(labels)
    counts = per_label(labels, first)
    assert np.abs(counts[:, 0] - counts[:, 1]).max() <= 1
    assert np.count_nonzero(first) in (150, 151)


def test_halves_of_nothing_and_of_clips_without_labels():
    assert splits.halves([]).tolist() == []
    assert np.count_nonzero(splits.halves([(), (), ("a",), ("a",)])) == 2


def test_a_missing_file_does_not_shift_the_split_of_the_others():
    class_id, file_id, recordings = irmas()
    there = file_id != 100
    for split_by in SPLIT_BY:
        options = {"recordings": recordings, "split_by": split_by}
        whole = splits.validation_mask(class_id, file_id, 0.85, **options)
        rest = splits.validation_mask(class_id[there], file_id[there], 0.85, **options)
        assert np.count_nonzero(whole[there] != rest) <= 9  # one recording at the boundary


def test_random_keys_are_spread_evenly_and_depend_on_every_id():
    files, places = np.repeat(np.arange(2000), 3), np.tile(np.arange(3), 2000)
    keys = splits.random_keys(0, files, places)
    assert len(np.unique(keys)) == len(keys)
    counts, _ = np.histogram(keys.astype(float) / 2**64, bins=10, range=(0, 1))
    assert np.all(np.abs(counts - 600) < 5 * np.sqrt(600))
    assert not np.any(keys == splits.random_keys(1, files, places))


def test_halves_depend_on_the_seed_only():
    labels = [("a",), ("b",)] * 20
    assert np.array_equal(splits.halves(labels, seed=3), splits.halves(labels, seed=3))
    assert not np.array_equal(splits.halves(labels, seed=3), splits.halves(labels, seed=4))


@pytest.mark.parametrize(
    ("name", "recording"),
    [
        ("cel/[cel][cla]0019__2.wav", "cel/[cel][cla]0019"),
        ("cel/008__[cel][nod][cla]0058__1.wav", "cel/008__[cel][nod][cla]0058"),
        ("as/solo.wav", "as/solo.wav"),
    ],
)
def test_recording_of_a_clip(name, recording):
    assert splits.recording_of(name).removesuffix(".wav") == recording.removesuffix(".wav")
    assert splits.recording_of(name.replace("__2.", "__3.")) == splits.recording_of(name)


def test_a_plain_random_split_ignores_the_classes():
    class_id = np.repeat([0, 1], [380, 20])
    file_id = np.arange(400)
    mask = splits.validation_mask(class_id, file_id, 0.85, balanced=False, seed=3)
    assert mask.sum() == 60
    shares = [
        splits.validation_mask(class_id, file_id, 0.85, balanced=False, seed=seed)[380:].sum()
        for seed in range(20)
    ]
    assert len(set(shares)) > 1  # balanced, each would have 3
    assert all(
        splits.validation_mask(class_id, file_id, 0.85, seed=seed)[380:].sum() == 3
        for seed in range(5)
    )
