#!/usr/bin/env python3
"""Step 1 of 4: read the audio tree of a data set and write its metadata.

Writes train.csv (filename, label) and test.csv (filename, labels joined by ';') to the feature
path of the data set, and prints the number of files per label. File names are relative to the
audio folder of the data set.

  python3 create_encoding.py -d 1        IRMAS
  python3 create_encoding.py             the data set of settings.py, or a menu

Where the audio is expected: the docstring of DataSet in settings.py, and DATA_PATH there
(or the environment variable INSTREC_DATA_PATH). Next step: generate_dataset.py.
"""

import csv
from dataclasses import dataclass
from pathlib import Path

import settings
from instrec.common import command, storage
from instrec.data import splits, tensors
from instrec.errors import InputError

AUDIO_SUFFIXES = {".wav", ".flac", ".ogg", ".mp3", ".aif", ".aiff"}
IRMAS_TRAIN = "IRMAS-TrainingData"
IRMAS_TEST = ("IRMAS-TestingData-Part*", "Part*")  # a folder in a folder
LABEL_SEPARATOR = ";"
HOW_TO = "see docs/getting_data.md"
IRMAS = "irmas"  # its audio folder
IRMAS_CLIPS = {  # as it is distributed
    IRMAS_TRAIN: 6705,
    "IRMAS-TestingData-Part1": 807,
    "IRMAS-TestingData-Part2": 1301,
    "IRMAS-TestingData-Part3": 766,
}


@dataclass(frozen=True)
class Clip:
    """One audio file, by its name relative to the audio folder, and its labels."""

    filename: str
    labels: tuple[str, ...]


def read_irmas(
    root: Path, labels: tuple[str, ...], known: set[str]
) -> tuple[list[Clip], list[Clip], list[tuple[str, str]]]:
    """Read an IRMAS tree.

    Parameters
    ----------
    root : Path
        Folder that holds `IRMAS-TrainingData` and the three `IRMAS-TestingData-Part*`.
    labels : tuple of str
        The labels to keep; IRMAS Wind keeps four of the eleven, and the test clips that have one.
    known : set of str
        Every label that a label file may name.

    Returns
    -------
    train, test : list of Clip
        In the order of their file names.
    left_out : list of (str, str)
        Name of each test clip without usable labels, and why.
    """
    train = _read_label_folders(root / IRMAS_TRAIN, labels, prefix=f"{IRMAS_TRAIN}/")
    test, left_out = [], []
    outer, inner = IRMAS_TEST
    parts = [part for folder in _folders(root, outer) for part in _folders(folder, inner)]
    for path in sorted(path for part in parts for path in _audio_files(part)):
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


def missing_from_irmas(root: Path, labels: set[str]) -> str:
    """Say where a tree has other numbers of clips than IRMAS as it is distributed.

    Parameters
    ----------
    root : Path
        As of `read_irmas`.
    labels : set of str
        Every label of IRMAS, of which the data set may keep some.

    Returns
    -------
    str
        What was expected and found in each part that differs; empty if none does.
    """
    different = []
    for part, expected in IRMAS_CLIPS.items():
        folders = (
            [root / part / label for label in sorted(labels)]
            if part == IRMAS_TRAIN
            else [root / part / part.rpartition("-")[-1]]
        )
        found = sum(len(_audio_files(folder)) for folder in folders)
        if found != expected:
            different.append(f"{expected:,} clips in {part}, found {found or 'none'}")
    return "; ".join(different)


def read_label_file(path: Path, known: set[str]) -> set[str]:
    """Read the labels of an IRMAS test clip: one a line, with tabs or blanks around it.

    Raises
    ------
    InputError
        If the file is missing, unreadable or empty, or names a label that is not known.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()  # with or without Windows' mark
    except FileNotFoundError:
        raise InputError(f"no label file {path.name}") from None
    except UnicodeError:
        raise InputError(f"the label file {path.name} is not UTF-8 text") from None
    except OSError as error:
        raise InputError(f"the label file {path.name}: {error.strerror.lower()}") from None
    found = {line.strip() for line in lines if line.strip()}
    if not found:
        raise InputError(f"the label file {path.name} is empty")
    unknown = sorted(found - known)
    if unknown:
        raise InputError(f"unknown label {unknown[0]!r} in {path.name}")
    return found


def read_folders(
    root: Path, labels: tuple[str, ...], seed: int
) -> tuple[list[Clip], list[Clip], list[tuple[str, str]]]:
    """Read a tree of one folder a label, halved at random into train and test, label by label.

    Parameters and returns are those of `read_irmas`; nothing is ever left out here.
    """
    clips = _read_label_folders(root, labels)
    in_train = splits.halves([clip.labels for clip in clips], seed=seed)
    train = [clip for clip, first in zip(clips, in_train, strict=True) if first]
    test = [clip for clip, first in zip(clips, in_train, strict=True) if not first]
    return train, test, []


def known_labels(data_set: settings.DataSet) -> set[str]:
    """Every label in the audio of a data set: IRMAS Wind keeps 4 of the 11 that IRMAS has."""
    audio = data_set.root
    sharing = (s for s in settings.DATA_SETS.values() if audio in (s.source, *s.folders))
    return {label for other in sharing for label in other.labels}


def _read_label_folders(root: Path, labels: tuple[str, ...], prefix: str = "") -> list[Clip]:
    return [
        Clip(f"{prefix}{label}/{path.name}", (label,))
        for label in labels
        for path in _audio_files(root / label)
    ]


def _audio_files(folder: Path) -> list[Path]:
    """List the audio files of a folder; names that start with a dot belong to the system."""
    if not folder.is_dir():
        return []
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in AUDIO_SUFFIXES and not path.name.startswith(".")
    )


def _folders(root: Path, pattern: str) -> list[Path]:
    """List the folders that match; unlike `glob`, one that cannot be read is an error."""
    return sorted(path for path in root.iterdir() if path.match(pattern) and path.is_dir())


def read_audio(
    data_set: settings.DataSet, root: Path
) -> tuple[list[Clip], list[Clip], list[tuple[str, str]]]:
    """Read the audio tree of a data set in whichever layout it has; as `read_irmas`."""
    if data_set.layout == "irmas":
        return read_irmas(root, data_set.labels, known_labels(data_set))
    return read_folders(root, data_set.labels, settings.seed)


def check_audio(data_set: settings.DataSet) -> Path:
    """Return the folder whose file list counts: the source's for separated audio, if it is there.

    A separated data set lists its source, so that it keeps the source's splits even where single
    files could not be separated.

    Raises
    ------
    InputError
        If an audio folder is missing.
    """
    for folder in data_set.folders:
        path = settings.DATA_PATH / folder
        if not path.is_dir():
            remedy = (
                f"separate it from {data_set.source} first: "
                f"python3 separate_sources.py -d {settings.dataset}"
                if data_set.source
                else f"put the audio there ({HOW_TO}), set INSTREC_DATA_PATH, or render a trial "
                f"with python3 render_dataset.py -d {settings.dataset}"
            )
            raise InputError(f"expected the audio of {data_set.title} in {path}: {remedy}")
    source = settings.DATA_PATH / data_set.root
    return source if source.is_dir() else settings.DATA_PATH / data_set.folders[0]


def write_metadata(path: Path, clips: list[Clip]) -> None:
    """Write clips to a CSV file; the caller sees to it that it appears whole."""
    with path.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        writer = csv.writer(file)
        single = all(len(clip.labels) == 1 for clip in clips)
        writer.writerow(("filename", "label" if single else "labels"))
        writer.writerows((clip.filename, LABEL_SEPARATOR.join(clip.labels)) for clip in clips)


def read_metadata(path: Path, labels: tuple[str, ...]) -> list[Clip]:
    """Read what `write_metadata` wrote.

    Raises
    ------
    InputError
        If the file is missing or damaged, a label is unknown, or a file name leaves its folder.
    """
    remedy = f"python3 create_encoding.py -d {settings.dataset}"
    try:
        with path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
            rows = list(csv.reader(file))
    except FileNotFoundError:
        raise InputError(f"expected {path}, found nothing: run {remedy}") from None
    except (csv.Error, UnicodeError) as error:
        raise InputError(f"{path} is damaged ({error}): run {remedy}") from None
    if not rows or rows[0] not in (["filename", "label"], ["filename", "labels"]):
        raise InputError(f"{path} does not start with 'filename,label' or '…labels': run {remedy}")
    clips = []
    for number, row in enumerate(rows[1:], start=2):
        if len(row) != 2:
            raise InputError(
                f"{path}, row {number}: expected 2 columns, found {len(row)}; run {remedy}"
            )
        clip = Clip(row[0], tuple(row[1].split(LABEL_SEPARATOR)))
        unknown = sorted(set(clip.labels) - set(labels))
        if unknown:
            raise InputError(f"{path}, row {number}: unknown label {unknown[0]!r}; run {remedy}")
        name = Path(clip.filename)
        if name.is_absolute() or ".." in name.parts or not name.parts or "\0" in clip.filename:
            raise InputError(
                f"{path}, row {number}: {clip.filename!r} is no file below the audio folder; "
                f"run {remedy}"
            )
        clips.append(clip)
    if not clips:
        raise InputError(f"{path} names no files: run {remedy}")
    return clips


def count_labels(clips: list[Clip], labels: tuple[str, ...]) -> list[int]:
    """Count the clips that have each label."""
    return [sum(label in clip.labels for clip in clips) for label in labels]


def encode(data_set: settings.DataSet) -> None:
    """Write and print the metadata of a data set."""
    root = check_audio(data_set)
    train, test, left_out = read_audio(data_set, root)
    counts = [count_labels(clips, data_set.labels) for clips in (train, test)]
    for label, in_train, in_test in zip(data_set.labels, *counts, strict=True):
        if data_set.layout == "irmas" and not in_train:
            raise InputError(
                f"expected audio files in {root / IRMAS_TRAIN / label}, found none: {HOW_TO}"
            )
        if data_set.layout == "folders" and in_train + in_test < 2:
            raise InputError(
                f"expected 2 or more audio files in {root / label}, to halve them into train and "
                f"test, found {in_train + in_test or 'none'}"
            )
    if not test:
        why = f"; left out {len(left_out)}, the first {': '.join(left_out[0])}" if left_out else ""
        raise InputError(
            f"expected test clips with a label of {data_set.title} in {root / '/'.join(IRMAS_TEST)}"
            f", found none{why}: {HOW_TO}"
        )

    folder = data_set.feature_path
    with (
        storage.lock(folder, "the metadata"),
        # Both or neither: of two runs, they could name a clip twice.
        storage.whole_set(folder / "train.csv", folder / "test.csv") as (train_csv, test_csv),
    ):
        write_metadata(train_csv, train)
        write_metadata(test_csv, test)
    print(f"{data_set.title}: audio in {root}")
    if root.name == IRMAS and not tensors.is_rendered(data_set):
        different = missing_from_irmas(root, known_labels(data_set))
        if different:
            print(f"note: not IRMAS as it is distributed: expected {different}")
    if data_set.source and root.name != data_set.source:
        print(
            f"warning: the source {settings.DATA_PATH / data_set.source} is not there: the splits "
            "are those of the source only if no file of it is missing here"
        )
    command.print_table(
        ("label", "train", "test"),
        [*zip(data_set.labels, *counts, strict=True), ("files", len(train), len(test))],
    )
    for name, reason in left_out:
        print(f"left out: {name}: {reason}")
    if left_out:
        print(f"left out {len(left_out)} test clips in all")
    for audio in data_set.folders:
        missing = sum(
            not (settings.DATA_PATH / audio / clip.filename).exists() for clip in train + test
        )
        if missing:
            print(f"missing in {audio}: {missing} of {len(train) + len(test)} files")
    print(f"wrote train.csv and test.csv to {folder}")


def main() -> None:
    """Write and print the metadata of the selected data set."""
    with command.parsed(command.new_parser(__doc__)):
        encode(command.select_data_set())


if __name__ == "__main__":
    command.run(main)
