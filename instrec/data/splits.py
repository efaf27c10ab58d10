"""Which patch trains and which clip tests: seeded, balanced splits (thesis 5.1.5).

A split is a boolean mask: a small file beside a tensor, never a copy of it.
"""

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

import numpy as np

from instrec.errors import InputError


def validation_mask(
    class_id: Sequence[int],
    file_id: Sequence[int],
    fraction: float,
    *,
    recordings: Sequence[str] | None = None,
    split_by: str = "patch",
    balanced: bool = True,
    seed: int = 0,
    names: Sequence[str] = (),
) -> np.ndarray:
    """Choose the validation patches, balanced over the classes.

    Parameters
    ----------
    class_id : sequence of int [shape=(n,)]
        Class of each patch.
    file_id : sequence of int [shape=(n,)]
        File of each patch.
    fraction : float
        Share of each class that trains, 0 < fraction < 1; the training part is rounded down.
    recordings : sequence of str, optional
        Recording of each file, by file id; needed to split by recording.
    split_by : {'patch', 'file', 'recording'}
        What stays together. `'patch'` is how the published numbers were made: patches of one clip
        land on both sides, which flatters validation. With `'file'`, two clips of one recording
        still can; `'recording'` leaks nothing. Both come as close to the fraction as whole files
        or recordings allow.
    balanced : bool
        False splits all classes as one.
    seed : int
        Of the random order.
    names : sequence of str, optional
        Name of each class, for messages.

    Returns
    -------
    np.ndarray [shape=(n,), dtype=bool]
        True for validation, False for training.

    Raises
    ------
    InputError
        If the fraction or `split_by` is out of range, or a class has nothing to split.

    Examples
    --------
    Five patches of one file of each of two classes; four of each train:

    >>> mask = validation_mask([0] * 5 + [1] * 5, [0] * 5 + [1] * 5, 0.8)
    >>> int(mask[:5].sum()), int(mask[5:].sum())
    (1, 1)

    By file, all patches of a file stay together:

    >>> mask = validation_mask([0] * 4, [0, 0, 1, 1], 0.5, split_by="file")
    >>> bool(mask[0] == mask[1]), bool(mask[2] == mask[3]), int(mask.sum())
    (True, True, 2)
    """
    if not 0 < fraction < 1:
        raise InputError(f"expected a training share between 0 and 1, found {fraction}")
    class_id, file_id = np.asarray(class_id), np.asarray(file_id)
    if split_by == "patch":
        group = np.arange(len(class_id))
        key = random_keys(seed, file_id, _place_in_file(file_id))
    elif split_by == "file":
        group, key = file_id, random_keys(seed, file_id)
    elif split_by == "recording":
        _, recording_id = np.unique(np.asarray(recordings), return_inverse=True)
        group = recording_id[file_id]
        key = random_keys(seed, group)
    else:
        raise InputError(f"expected split_by 'patch', 'file' or 'recording', found {split_by!r}")

    if not balanced:
        class_id, names = np.zeros_like(class_id), ("the data set",)
    validation = np.zeros(len(class_id), dtype=bool)
    for label in np.unique(class_id):
        members = np.flatnonzero(class_id == label)
        groups, first, sizes = np.unique(group[members], return_index=True, return_counts=True)
        if len(groups) < 2:
            name = names[label] if len(names) else f"class {label}"
            raise InputError(
                f"{name} has only one {split_by}: it takes two to train and to validate; "
                "add files, or set split_by = 'patch' in settings.py"
            )
        order = np.argsort(key[members][first], kind="stable")
        filled = np.cumsum(sizes[order])
        # The tolerance keeps 0.85 * 20 from becoming 16.999...
        train = np.count_nonzero(filled <= fraction * filled[-1] + 1e-9)
        train = min(max(train, 1), len(groups) - 1)  # neither side is ever empty
        validation[members] = np.isin(group[members], groups[order[train:]])
    return validation


def fold_mask(
    class_id: Sequence[int], recording_id: Sequence[int], fold: int, folds: int, *, seed: int = 0
) -> np.ndarray:
    """Mark the patches of a cross-validation fold; those of a recording stay together.

    Parameters
    ----------
    class_id, recording_id : sequence of int [shape=(n,)]
        Class and recording of each patch.
    fold : int
        Number of the fold, from 0.
    folds : int
        How many there are.
    seed : int
        Of the random order.

    Returns
    -------
    np.ndarray [shape=(n,), dtype=bool]
        True for the patches of the fold. Class shares are as even as recordings allow.

    Raises
    ------
    InputError
        If no class has as many patches as there are folds.

    Examples
    --------
    >>> masks = [fold_mask([0] * 4 + [1] * 4, range(8), k, 2) for k in (0, 1)]
    >>> bool((masks[0] ^ masks[1]).all()), int(masks[0][:4].sum())
    (True, 2)
    """
    from sklearn.model_selection import StratifiedGroupKFold

    most = np.bincount(class_id).max()
    if folds > most:
        raise InputError(f"expected at most {most} folds, the patches of a label, found {folds}")
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    parts = [held for _, held in splitter.split(class_id, class_id, recording_id)]
    mask = np.zeros(len(class_id), dtype=bool)
    mask[parts[fold]] = True
    return mask


def random_keys(seed: int, *ids: np.ndarray) -> np.ndarray:
    """Give each combination of ids a random number that depends on nothing else.

    A list sorted by it keeps its order when entries are missing, such as files that could not be
    separated.

    Parameters
    ----------
    seed : int
        Of the random numbers.
    *ids : np.ndarray of int [shape=(n,)]
        They identify each entry.

    Returns
    -------
    np.ndarray [shape=(n,), dtype=uint64]
        By SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).

    Examples
    --------
    >>> keys = random_keys(0, np.array([3, 4, 3]))
    >>> bool(keys[0] == keys[2]), bool(keys[0] == keys[1])
    (True, False)
    """
    key = np.full(np.shape(ids[0]), seed, dtype=np.uint64)
    for values in ids:
        key += (np.asarray(values).astype(np.uint64) + 1) * np.uint64(0x9E3779B97F4A7C15)
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            key = (key ^ (key >> np.uint64(shift))) * np.uint64(factor)
        key ^= key >> np.uint64(31)
    return key


def _place_in_file(file_id: np.ndarray) -> np.ndarray:
    """Number the patches of each file from 0: [5, 5, 5, 7, 7] -> [0, 1, 2, 0, 1]."""
    import pandas as pd

    return pd.Series(file_id).groupby(file_id).cumcount().to_numpy()


def halves(labels: Sequence[Sequence[str]], *, seed: int = 0) -> np.ndarray:
    """Halve clips at random, balanced over their labels.

    Clips are dealt out at random; then pairs swap sides, the best pair first, as long as that
    evens out the number of clips with each label.

    Parameters
    ----------
    labels : sequence of sequence of str
        Labels of each clip.
    seed : int
        Of the random order.

    Returns
    -------
    np.ndarray [shape=(n,), dtype=bool]
        True for the clips of the first half. The halves differ by one clip at most; where clips
        have one label, by one clip of each label at most.

    Examples
    --------
    >>> first = halves([["flu"], ["flu"], ["pia"], ["pia"]])
    >>> int(first[:2].sum()), int(first[2:].sum())
    (1, 1)
    """
    order = np.random.default_rng(seed).permutation(len(labels))
    first = np.zeros(len(labels), dtype=bool)
    first[order[::2]] = True
    has_label = _has_label(labels)
    kinds, kind_of = np.unique(has_label, axis=0, return_inverse=True)
    kind_of = kind_of.reshape(-1)
    distance = (kinds[:, None] != kinds[None]).sum(axis=-1)  # [kinds x kinds]
    while len(labels):
        surplus = has_label[first].sum(axis=0) - has_label[~first].sum(axis=0)
        in_first, in_second = (np.isin(np.arange(len(kinds)), kind_of[h]) for h in (first, ~first))
        # A quarter of the change in the surplus's sum of squares if two clips swap sides.
        pull = kinds @ surplus
        change = distance - (pull[:, None] - pull[None])
        change[~in_first, :] = change[:, ~in_second] = 0
        leaving, coming = np.unravel_index(change.argmin(), change.shape)
        if change[leaving, coming] >= 0:
            break
        ordered = kind_of[order]
        first[order[np.argmax((ordered == leaving) & first[order])]] = False
        first[order[np.argmax((ordered == coming) & ~first[order])]] = True
    return first


def _has_label(labels: Sequence[Sequence[str]]) -> np.ndarray:
    """Tell which clip has which label, as 0 and 1 [clips x labels]."""
    names = sorted({name for carried in labels for name in carried})
    has_label = np.array([[name in carried for name in names] for carried in labels], dtype=int)
    return has_label.reshape(len(labels), len(names))


def some_of_each(labels: Sequence[Sequence[str]], number: int, *, seed: int = 0) -> np.ndarray:
    """Draw some clips of each label at random, for testing (thesis 5.1.5).

    Parameters
    ----------
    labels : sequence of sequence of str
        The label of each clip.
    number : int
        Clips per label; half of a label's clips if it has fewer than twice as many.
    seed : int
        Of the random order.

    Returns
    -------
    np.ndarray [shape=(n,), dtype=bool]
        True for the clips drawn.

    Examples
    --------
    >>> drawn = some_of_each([["as"]] * 21 + [["cl"]] * 9, 8)
    >>> int(drawn[:21].sum()), int(drawn[21:].sum())
    (8, 4)
    """
    _, class_id = np.unique([label for (label,) in labels], return_inverse=True)
    order = np.random.default_rng(seed).permutation(len(labels))
    drawn = np.zeros(len(labels), dtype=bool)
    for label in range(class_id.max(initial=-1) + 1):
        members = order[class_id[order] == label]
        drawn[members[: min(number, len(members) // 2)]] = True
    return drawn


def halves_by_patch(
    labels: Sequence[Sequence[str]], file_id: Sequence[int], *, seed: int = 0
) -> np.ndarray:
    """Halve patches at random within each combination of labels, as in the published halves.

    Patches of one clip land in both halves.

    Parameters
    ----------
    labels : sequence of sequence of str
        Labels of each clip.
    file_id : sequence of int [shape=(n,)]
        Clip of each patch.
    seed : int
        Of the random order.

    Returns
    -------
    np.ndarray [shape=(n,), dtype=bool]
        True for the patches of the first half. The halves of a combination differ by one patch at
        most; where they do, the larger one alternates.

    Examples
    --------
    >>> first = halves_by_patch([["flu"], ["flu", "pia"]], [0] * 4 + [1] * 6)
    >>> int(first[:4].sum()), int(first[4:].sum())
    (2, 3)
    """
    file_id = np.asarray(file_id)
    names = [";".join(sorted(carried)) for carried in labels]
    combination = np.unique(names, return_inverse=True)[1][file_id]
    key = random_keys(seed, file_id, _place_in_file(file_id))
    first, surplus = np.zeros(len(file_id), dtype=bool), 0
    for number in np.unique(combination):
        members = np.flatnonzero(combination == number)
        half = (len(members) + surplus) // 2
        first[members[np.argsort(key[members], kind="stable")[:half]]] = True
        surplus += len(members) - 2 * half
    return first


def halves_by_song(
    labels: Sequence[Sequence[str]], songs: Sequence[str], *, seed: int = 0
) -> np.ndarray:
    """Halve clips, balanced over their labels, with all clips of a song in one half.

    Songs are dealt out in random order, those with the most clips first, each to the side that
    makes the number of clips with each label more even.

    Parameters
    ----------
    labels : sequence of sequence of str
        Labels of each clip.
    songs : sequence of str
        Song of each clip: see `song_of`.
    seed : int
        Of the random order.

    Returns
    -------
    np.ndarray [shape=(n,), dtype=bool]
        True for the clips of the first half.

    Examples
    --------
    >>> songs = ["a", "a", "b", "b", "c", "d"]
    >>> first = halves_by_song([["flu"]] * 6, songs)
    >>> bool(first[0] == first[1]), bool(first[2] == first[3]), int(first.sum())
    (True, True, 3)
    """
    has_label = np.insert(_has_label(labels), 0, 1, axis=1)  # first column: every clip
    _, song = np.unique(np.asarray(songs, dtype=str), return_inverse=True)
    counts = np.zeros((song.max(initial=-1) + 1, has_label.shape[1]), dtype=int)
    np.add.at(counts, song, has_label)
    order = np.random.default_rng(seed).permutation(len(counts))
    order = order[np.argsort(-counts[order, 0], kind="stable")]
    in_first, surplus = np.zeros(len(counts), dtype=bool), np.zeros(counts.shape[1], dtype=int)
    for number in order:
        # The half in which the song leaves the smaller sum of squares of the surplus.
        in_first[number] = surplus @ counts[number] <= 0
        surplus += counts[number] if in_first[number] else -counts[number]
    return in_first[song]


def pure_mask(
    labels: Sequence[Sequence[str]],
    files: Sequence[str],
    file_id: Sequence[int],
    *,
    halve_by: str = "clip",
    seed: int = 0,
) -> np.ndarray:
    """Tell the patches of the pure half of the test data from those of the development half.

    Parameters
    ----------
    labels : sequence of sequence of str
        Labels of each clip.
    files : sequence of str
        Name of each clip.
    file_id : sequence of int [shape=(n,)]
        Clip of each patch.
    halve_by : {'patch', 'clip', 'song'}
        What stays together: `'patch'` is how the published numbers were made, and thresholds and
        scores then share clips; only `'song'` keeps all excerpts of a song in one half.
    seed : int
        Of the random order.

    Returns
    -------
    np.ndarray [shape=(n,), dtype=bool]

    Raises
    ------
    InputError
        If `halve_by` is none of these.

    Examples
    --------
    >>> mask = pure_mask([["flu"], ["flu"]], ["a-1.wav", "b-1.wav"], [0, 0, 1, 1])
    >>> bool(mask[0] == mask[1]), int(mask.sum())
    (True, 2)
    """
    file_id = np.asarray(file_id)
    if halve_by == "patch":
        return halves_by_patch(labels, file_id, seed=seed)
    if halve_by == "clip":
        return halves(labels, seed=seed)[file_id]
    if halve_by == "song":
        return halves_by_song(labels, [song_of(name) for name in files], seed=seed)[file_id]
    raise InputError(f"expected halve_by 'patch', 'clip' or 'song', found {halve_by!r}")


def song_of(filename: str) -> str:
    """Return the song that a test clip was cut from: its name without IRMAS' `-<number>`.

    Parameters
    ----------
    filename : str
        Name of a test clip; the folder does not count.

    Returns
    -------
    str
        The same for all excerpts of one song.

    Examples
    --------
    >>> song_of("Part2/01 Emily-11.wav")
    '01 Emily'
    """
    return re.sub(r"-\d+$", "", PurePosixPath(filename).stem)


def recording_of(filename: str) -> str:
    """Return the recording that a clip was cut from: its name without IRMAS' `__<number>`.

    Parameters
    ----------
    filename : str
        Name of a training clip.

    Returns
    -------
    str
        The same for all clips of one recording.

    Examples
    --------
    >>> recording_of("cel/[cel][cla]0001__2.wav")
    'cel/[cel][cla]0001.wav'
    """
    return re.sub(r"__\d+(?=\.[^./]*$)", "", filename)
