"""The files of a data set and their labels: the audio tree, and its metadata as CSV.

A data set has two parts, 'train' and 'test', and a CSV file for each in its feature folder.
"""

import codecs
import csv
import os
from collections import Counter
from collections.abc import Container, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from instrec.common import storage
from instrec.config import Config
from instrec.data import splits
from instrec.errors import InputError
from settings import DATA_SETS, DataSet

AUDIO_SUFFIXES = {
    *(".wav", ".wave", ".bwf", ".w64", ".aif", ".aiff", ".aifc", ".caf", ".au", ".flac", ".ogg"),
    *(".oga", ".opus", ".mp3", ".m4a", ".m4b", ".mp4", ".aac", ".ac3", ".wma", ".webm", ".mka"),
}
IRMAS_TRAIN = "IRMAS-TrainingData"
IRMAS_TEST = "IRMAS-TestingData*"  # test clips lie anywhere below such folders
LABEL_SEPARATOR = ";"
IRMAS_CLIPS = {  # as distributed
    IRMAS_TRAIN: 6705,
    "IRMAS-TestingData-Part1": 807,
    "IRMAS-TestingData-Part2": 1301,  # its inner folder is called IRTestingData-Part2
    "IRMAS-TestingData-Part3": 766,
}


@dataclass(frozen=True)
class Clip:
    """One audio file: its name relative to the audio folder, and its labels."""

    filename: str
    labels: tuple[str, ...]


# Training clips, test clips, and the names of clips left out, with the reason.
Found = tuple[list[Clip], list[Clip], list[tuple[str, str]]]


def read_irmas(root: Path, labels: tuple[str, ...], known: set[str]) -> Found:
    """Read an IRMAS tree.

    Test clips may lie anywhere below folders called `IRMAS-TestingData*`: as distributed, without
    the inner folders, or all in one.

    Parameters
    ----------
    root : Path
        Folder that holds `IRMAS-TrainingData` and the test folders.
    labels : tuple of str
        The labels to keep; IRMAS Wind keeps four of the eleven, and test clips with any of them.
    known : set of str
        Every label that a label file may name.

    Returns
    -------
    train, test : list of Clip
        In the order of their file names.
    left_out : list of (str, str)
        Name of each test clip without usable labels, and why.
    """
    train = _read_label_folders(root, labels, prefix=f"{IRMAS_TRAIN}/")
    test, left_out = [], []
    for path in irmas_test_files(root, AUDIO_SUFFIXES):
        name = path.relative_to(root).as_posix()
        try:
            found = read_label_file(path.with_suffix(".txt"), known)
        except InputError as error:
            left_out.append((name, str(error)))
            continue
        kept = tuple(label for label in labels if label in found)
        if kept:
            test.append(Clip(name, kept))
    return train, test, left_out


def irmas_test_files(root: Path, suffixes: Container[str]) -> list[Path]:
    """List the files below the test folders of an IRMAS tree whose names end in a suffix.

    Parameters
    ----------
    root : Path
        As in `read_irmas`.
    suffixes : container of str
        Endings in lower case, such as '.txt'.

    Returns
    -------
    list of Path
        Sorted.

    Raises
    ------
    OSError
        If a folder cannot be read.
    """
    found = []
    for folder in root.glob(IRMAS_TEST):
        for inside, _, names in os.walk(folder, onerror=_raise):
            found += [Path(inside, name) for name in names if _has_suffix(name, suffixes)]
    return sorted(found, key=Path.as_posix)  # as paths, Windows would ignore case


def missing_from_irmas(root: Path, labels: set[str]) -> str:
    """Say how the clip counts of a tree differ from those of IRMAS as distributed.

    Parameters
    ----------
    root : Path
        As in `read_irmas`.
    labels : set of str
        Every label of IRMAS, of which the data set may keep some.

    Returns
    -------
    str
        What was expected and found, and where; empty if all is there. Where the test clips are not
        in the three folders, only their total counts.
    """
    train = sum(len(_audio_files(root / IRMAS_TRAIN / label)) for label in labels)
    tests = irmas_test_files(root, AUDIO_SUFFIXES)
    found = Counter(path.relative_to(root).parts[0] for path in tests)
    expected = IRMAS_CLIPS
    if found.keys() - expected.keys():  # unpacked differently
        found = Counter({IRMAS_TEST: len(tests)})
        in_all = sum(expected.values()) - expected[IRMAS_TRAIN]
        expected = {IRMAS_TRAIN: expected[IRMAS_TRAIN], IRMAS_TEST: in_all}
    found[IRMAS_TRAIN] = train
    return "; ".join(
        f"expected {number:,} clips in {folder}, found {found[folder]:,}"
        + (f": {number - found[folder]:,} missing" if found[folder] < number else "")
        for folder, number in expected.items()
        if found[folder] != number
    )


def read_label_file(path: Path, known: set[str]) -> set[str]:
    """Read the labels of an IRMAS test clip: one per line, in UTF-8 or UTF-16, in any case.

    Parameters
    ----------
    path : Path
        Text file; tabs and blanks around a label and Windows line ends are ignored.
    known : set of str
        Every label that it may name.

    Returns
    -------
    set of str

    Raises
    ------
    InputError
        If the file is missing, unreadable or empty, or names an unknown label.
    """
    written, found = {label.lower(): label for label in known}, labels_in(path)
    if unknown := sorted(found - written.keys()):
        raise InputError(f"unknown label {unknown[0]!r} in {path.name}")
    return {written[label] for label in found}


def labels_in(path: Path) -> set[str]:
    """Read a label file, whatever labels it names: see `read_label_file`.

    Parameters
    ----------
    path : Path
        Text file.

    Returns
    -------
    set of str
        In lower case.

    Raises
    ------
    InputError
        If the file is missing, unreadable or empty.
    """
    try:
        content = path.read_bytes()
        wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        lines = content.decode("utf-16" if wide else "utf-8-sig").split("\n")
    except FileNotFoundError:
        raise InputError(f"no label file {path.name}") from None
    except UnicodeError:
        raise InputError(f"the label file {path.name} is neither UTF-8 nor UTF-16 text") from None
    except OSError as error:
        raise InputError(f"the label file {path.name}: {error.strerror.lower()}") from None
    found = {line.strip().lower() for line in lines if line.strip()}
    if not found:
        raise InputError(f"the label file {path.name} is empty")
    return found


def read_folders(root: Path, labels: tuple[str, ...], seed: int, test_files: int | None) -> Found:
    """Read a tree with one folder per label, each split at random into train and test.

    Parameters
    ----------
    root : Path
        Folder that holds the label folders.
    labels : tuple of str
        Their names.
    seed : int
        Of the random split.
    test_files : int or None
        Test files of a label (thesis 5.1.5) that has at least twice as many; half of its files if
        None.

    Returns
    -------
    train, test, left_out
        As in `read_irmas`; nothing is ever left out here.
    """
    clips = _read_label_folders(root, labels)
    carried = [clip.labels for clip in clips]
    if test_files is None:
        tests = ~splits.halves(carried, seed=seed)
    else:
        tests = splits.some_of_each(carried, test_files, seed=seed)
    train, test = ([clips[i] for i in np.flatnonzero(part)] for part in (~tests, tests))
    return train, test, []


def known_labels(data_set: DataSet) -> set[str]:
    """Return every label in the audio of a data set: IRMAS Wind keeps 4 of the 11 in IRMAS.

    Parameters
    ----------
    data_set : DataSet
        A row of DATA_SETS.

    Returns
    -------
    set of str
    """
    sharing = (s for s in DATA_SETS.values() if data_set.root in (s.source, *s.folders))
    return {label for sharer in sharing for label in sharer.labels}


def _read_label_folders(root: Path, labels: tuple[str, ...], prefix: str = "") -> list[Clip]:
    return [
        Clip(f"{prefix}{label}/{path.name}", (label,))
        for label in labels
        for path in _audio_files(root / prefix / label)
    ]


def _audio_files(folder: Path) -> list[Path]:
    """List the audio files of a folder."""
    if not folder.is_dir():
        return []
    return sorted(filter(is_audio, folder.iterdir()), key=Path.as_posix)


def is_audio(path: Path) -> bool:
    """Tell by its ending whether a file is audio.

    Parameters
    ----------
    path : Path
        Only its name counts.

    Returns
    -------
    bool
    """
    return _has_suffix(path.name, AUDIO_SUFFIXES)


def _has_suffix(name: str, suffixes: Container[str]) -> bool:
    """Tell whether a name ends in a suffix; names that start with a dot are the system's."""
    return Path(name).suffix.lower() in suffixes and not name.startswith(".")


def skipped(paths: Iterable[Path]) -> str:
    """Say which files are skipped because of endings that are not audio's; '' if there are none.

    Parameters
    ----------
    paths : iterable of Path
        Files and folders; those that start with a dot, and those this code writes, do not count.

    Returns
    -------
    str
        Such as 'skipped 3: 2 .pdf, 1 folder'.
    """
    counts = Counter(
        "folder" if path.is_dir() else path.suffix.lower() or "without an ending"
        for path in paths
        if not _has_suffix(path.name, {*AUDIO_SUFFIXES, ".txt", ".json"})
        and not path.name.startswith(".")
    )
    kinds = ", ".join(f"{number} {kind}" for kind, number in sorted(counts.items()))
    return f"skipped {counts.total()}: {kinds}" if counts else ""


def passed_over(data_set: DataSet, root: Path) -> str:
    """Say which entries of a data set's label folders are not audio; see `skipped`.

    Parameters
    ----------
    data_set : DataSet
        A row of DATA_SETS.
    root : Path
        Its audio folder.

    Returns
    -------
    str
    """
    top = root / IRMAS_TRAIN if data_set.layout == "irmas" else root
    folders = [top / label for label in data_set.labels]
    return skipped(path for folder in folders if folder.is_dir() for path in folder.iterdir())


def _raise(error: OSError) -> None:
    raise error


def read_tree(config: Config, root: Path) -> Found:
    """Read the audio tree of the data set, whatever its layout; returns what `read_irmas` does.

    Parameters
    ----------
    config : Config
        It names the data set.
    root : Path
        Its audio folder, or that of its source.

    Returns
    -------
    train, test, left_out
        As in `read_irmas`.
    """
    data_set = config.data_set
    if data_set.layout == "irmas":
        return read_irmas(root, data_set.labels, known_labels(data_set))
    return read_folders(root, data_set.labels, config.seed, data_set.test_files)


def path_of(config: Config, part: str) -> Path:
    """Return the CSV file of a part of the data set, 'train' or 'test'.

    Parameters
    ----------
    config : Config
        It names the data set.
    part : {'train', 'test'}
        Which part.

    Returns
    -------
    Path
    """
    return config.feature_folder / f"{part}.csv"


def write_metadata(path: Path, clips: list[Clip]) -> None:
    """Write clips to a CSV file; the caller ensures that it appears as a whole.

    Parameters
    ----------
    path : Path
        The file.
    clips : list of Clip
        Its rows.
    """
    with path.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        writer = csv.writer(file)
        single = all(len(clip.labels) == 1 for clip in clips)
        writer.writerow(("filename", "label" if single else "labels"))
        writer.writerows((clip.filename, LABEL_SEPARATOR.join(clip.labels)) for clip in clips)


def read_metadata(config: Config, path: Path) -> list[Clip]:
    """Read what `write_metadata` wrote.

    Parameters
    ----------
    config : Config
        It names the data set, whose labels a clip can have.
    path : Path
        The CSV file.

    Returns
    -------
    list of Clip

    Raises
    ------
    InputError
        If the file is missing or damaged, a label is unknown, or a file is outside its folder.
    """
    clips, remedy = [], f"python3 create_encoding.py {config.options}"
    with (
        storage.parsing(path, remedy, also=(csv.Error,)),
        path.open(newline="", encoding="utf-8", errors="surrogateescape") as file,
    ):
        rows = csv.reader(file)
        if next(rows, None) not in (["filename", "label"], ["filename", "labels"]):
            raise ValueError("it does not start with 'filename,label' or '…labels'")
        for number, row in enumerate(rows, start=2):
            if len(row) != 2:
                raise ValueError(f"row {number}: expected 2 columns, found {len(row)}")
            clip = Clip(row[0], tuple(row[1].split(LABEL_SEPARATOR)))
            unknown = sorted(set(clip.labels) - set(config.labels))
            if unknown:
                raise ValueError(f"row {number}: unknown label {unknown[0]!r}")
            name = Path(clip.filename)
            if name.is_absolute() or ".." in name.parts or not name.parts or "\0" in clip.filename:
                raise ValueError(
                    f"row {number}: {clip.filename!r} is no file below the audio folder"
                )
            clips.append(clip)
        if not clips:
            raise ValueError("it names no files")
    return clips


def count_labels(clips: list[Clip], labels: tuple[str, ...]) -> list[int]:
    """Count the clips that have each label.

    Parameters
    ----------
    clips : list of Clip
        Clips to count.
    labels : sequence of str
        The label set.

    Returns
    -------
    list of int
        One per label.
    """
    return [sum(label in clip.labels for clip in clips) for label in labels]
