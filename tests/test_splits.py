from collections import Counter

import numpy as np
import pytest
from conftest import refuses
from sklearn.preprocessing import MultiLabelBinarizer

from instrec.data import splits
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
    train = np.bincount(class_id[~validation])  # every class is rounded down
    assert train.tolist() == [(3 * clips * 85) // 100 for clips in IRMAS_CLIPS]


def test_patch_split_leaks_and_others_do_not():
    class_id, file_id, recordings = irmas()
    recording_id = np.unique(recordings, return_inverse=True)[1][file_id]

    def shared(split_by, group):
        options = {"recordings": recordings, "split_by": split_by}
        mask = splits.validation_mask(class_id, file_id, 0.85, **options)
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
    labels = [("a",), ("b",)] * 20
    for split in (
        lambda seed: splits.validation_mask(class_id, file_id, 0.85, seed=seed),
        lambda seed: splits.halves(labels, seed=seed),
        lambda seed: splits.some_of_each(labels, 8, seed=seed),
    ):
        assert np.array_equal(split(3), split(3))
        assert not np.array_equal(split(3), split(4))


def test_neither_side_is_ever_empty():
    mask = splits.validation_mask([0, 0, 1, 1], [0, 1, 2, 3], 0.01)
    assert np.bincount(np.array([0, 0, 1, 1])[mask]).tolist() == [1, 1]


@pytest.mark.parametrize(
    ("fraction", "options", "message"),
    [
        *((fraction, {}, "between 0 and 1") for fraction in (0, 1, -1, 1.5)),
        (0.5, {"split_by": "clip"}, "split_by"),
        (0.5, {"split_by": "recording", "recordings": ["a", "a"]}, "only one recording"),
    ],
)
def test_impossible_splits_are_refused(fraction, options, message):
    refuses(message, splits.validation_mask, [0, 0], [0, 1], fraction, **options)


def per_label(labels, first):
    """Number of clips of each label in both halves: [labels x 2]."""
    carried = MultiLabelBinarizer().fit_transform(labels)
    return np.stack([carried[half].sum(axis=0) for half in (first, ~first)], axis=1)


def like_irmas(clips, seed):
    """Labels as in IRMAS' test set: many combinations, some labels in a third of all clips."""
    rng = np.random.default_rng(seed)
    share = np.array([111, 62, 163, 535, 942, 361, 995, 326, 167, 211, 1044], dtype=float)
    sizes = rng.choice([1, 2, 3, 4, 5], p=[0.43, 0.445, 0.11, 0.014, 0.001], size=clips)
    return [tuple(map(str, rng.choice(11, n, replace=False, p=share / share.sum()))) for n in sizes]


def of_few_clips():
    """Ten clips with a label alone, and ten with another."""
    return [(name, *other) for other in ((), ("voi",)) for name in "abcdefghij"]


@pytest.mark.parametrize("seed", range(4))
def test_halves_of_multi_label_clips_are_balanced(seed):
    for labels in (like_irmas(2874, seed), of_few_clips()):
        first = splits.halves(labels, seed=seed)
        assert np.count_nonzero(first) == len(labels) / 2
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


def test_halves_by_patch_have_the_published_balance():
    """Table 5.2 of the thesis: halves of IRMAS that differ by a patch a label at most."""
    labels = like_irmas(2874, 0)
    file_id = np.repeat(np.arange(2874), np.random.default_rng(0).integers(9, 41, 2874))
    first = splits.halves_by_patch(labels, file_id)
    assert abs(np.count_nonzero(first) - np.count_nonzero(~first)) <= 1
    combination = np.array([";".join(sorted(carried)) for carried in labels])[file_id]
    for name in np.unique(combination):
        halves = np.bincount(first[combination == name], minlength=2)
        assert abs(halves[0] - halves[1]) <= 1
    shared = np.intersect1d(file_id[first], file_id[~first])
    assert len(shared) > 2800  # nearly all clips have patches in both halves


def test_halves_by_song_share_no_song_and_are_balanced():
    labels = like_irmas(2874, 1)
    songs = np.random.default_rng(0).integers(0, 700, 2874).astype(str)
    first = splits.halves_by_song(labels, songs)
    assert not set(songs[first]) & set(songs[~first])
    counts = per_label(labels, first)
    assert np.abs(counts[:, 0] - counts[:, 1]).max() <= 4
    assert abs(np.count_nonzero(first) - np.count_nonzero(~first)) <= 2


def test_halves_by_song_of_few_songs():
    assert splits.halves_by_song([], []).tolist() == []
    assert splits.halves_by_song([("a",)] * 5, ["x"] * 5).sum() in (0, 5)
    first = splits.halves_by_song([("a",)] * 4, ["x", "x", "x", "y"])
    assert first.tolist() in ([True, True, True, False], [False, False, False, True])


@pytest.mark.parametrize("halve_by", ["patch", "clip", "song"])
def test_what_the_halves_keep_together(halve_by):
    files = [f"Part{1 + i % 3}/song {i // 4}-{i}.wav" for i in range(80)]
    file_id = np.repeat(np.arange(80), 10)
    labels = [("a",) if i < 40 else ("b",) for i in range(80)]
    pure = splits.pure_mask(labels, files, file_id, halve_by=halve_by)
    assert np.count_nonzero(pure) == 400
    assert len(np.intersect1d(file_id[pure], file_id[~pure])) == (80 if halve_by == "patch" else 0)
    song_id = file_id // 4
    assert (len(np.intersect1d(song_id[pure], song_id[~pure])) == 0) == (halve_by == "song")
    refuses("halve_by", splits.pure_mask, labels, files, file_id, halve_by="label")


def test_song_and_recording_of_a_clip():
    for name, song in (
        ("Part2/01 Emily-6.wav", "01 Emily"),
        ("IRTestingData-Part2/01 Emily-11.wav", "01 Emily"),
        ("(02) dont kill the whale-1.wav", "(02) dont kill the whale"),
        ("a-b - c.v2-3.wav", "a-b - c.v2"),
        ("no number.wav", "no number"),
    ):
        assert splits.song_of(name) == song
    for name, recording in (
        ("cel/[cel][cla]0019__2.wav", "cel/[cel][cla]0019"),
        ("cel/008__[cel][nod][cla]0058__1.wav", "cel/008__[cel][nod][cla]0058"),
        ("as/solo.wav", "as/solo"),
    ):
        assert splits.recording_of(name).removesuffix(".wav") == recording


def test_jazz_is_split_as_published():
    """Thesis 5.1.5: 8 files a label test, the others train; half where there are under 16."""
    sizes = {"as": 21, "cl": 23, "ss": 22, "tb": 19, "tp": 28, "ts": 24, "xy": 9}
    labels = [(name,) for name, size in sizes.items() for _ in range(size)]
    drawn = splits.some_of_each(labels, 8, seed=1)
    tested = Counter(label for (label,), is_drawn in zip(labels, drawn, strict=True) if is_drawn)
    assert tested == dict.fromkeys(sizes, 8) | {"xy": 4}


def test_a_plain_random_split_ignores_the_classes():
    class_id, file_id = np.repeat([0, 1], [380, 20]), np.arange(400)
    of_second = {}
    for balanced in (True, False):
        masks = [
            splits.validation_mask(class_id, file_id, 0.85, balanced=balanced, seed=seed)
            for seed in range(10)
        ]
        assert all(mask.sum() == 60 for mask in masks)
        of_second[balanced] = {mask[380:].sum() for mask in masks}
    assert of_second[True] == {3} and len(of_second[False]) > 1
