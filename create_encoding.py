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

from collections.abc import Sequence
from pathlib import Path

from instrec.common import command, storage
from instrec.config import Config
from instrec.data import metadata, tensors
from instrec.data.metadata import IRMAS_TEST, IRMAS_TRAIN
from instrec.errors import InputError

HOW_TO = "see docs/getting_data.md"


def check_audio(config: Config) -> Path:
    """Return the folder whose files count: for separated audio that of the source, if it is there.

    A separated data set lists its source, so that it keeps the source's splits even where some
    files could not be separated.

    Parameters
    ----------
    config : Config
        Data set, paths and parameters.

    Returns
    -------
    Path

    Raises
    ------
    InputError
        If an audio folder is missing.
    """
    data_set = config.data_set
    for folder in data_set.folders:
        path = config.data_path / folder
        if not path.is_dir():
            remedy = (
                f"separate it from {data_set.source} first: "
                f"python3 separate_sources.py {config.options}"
                if data_set.source
                else f"put the audio there ({HOW_TO}), set INSTREC_DATA_PATH, or render a trial "
                f"with python3 render_dataset.py {config.options}"
            )
            raise InputError(f"expected the audio of {data_set.title} in {path}: {remedy}")
    source = config.data_path / data_set.root
    return source if source.is_dir() else config.data_path / data_set.folders[0]


def encode(config: Config) -> None:
    """Write and print the metadata of the data set.

    Parameters
    ----------
    config : Config
        Data set, paths and parameters.
    """
    data_set, root = config.data_set, check_audio(config)
    train, test, left_out = metadata.read_tree(config, root)
    counts = [metadata.count_labels(clips, data_set.labels) for clips in (train, test)]
    for label, in_train, in_test in zip(data_set.labels, *counts, strict=True):
        if data_set.layout == "irmas":
            folder, needed, found = root / IRMAS_TRAIN / label, 1, in_train
        else:  # to split them into train and test
            folder, needed, found = root / label, 2, in_train + in_test
        if found < needed:
            raise InputError(
                f"expected {needed} or more audio files in {folder}, found {found or 'none'}: "
                f"{HOW_TO}"
            )
    if not test:
        why = f"; left out {len(left_out)}, the first {': '.join(left_out[0])}" if left_out else ""
        raise InputError(
            f"expected test clips with a label of {data_set.title} in {root / IRMAS_TEST}, "
            f"found none{why}: {HOW_TO}"
        )

    paths = [metadata.path_of(config, part) for part in tensors.PARTS]
    with (
        storage.lock(config.feature_folder, "the metadata"),
        storage.whole_set(*paths) as partials,  # both or neither: files of two runs could
    ):  # name a clip twice
        for partial, clips in zip(partials, (train, test), strict=True):
            metadata.write_metadata(partial, clips)
    print(f"{data_set.title}: audio in {root}")
    missing = tensors.incomplete(config)
    if missing:
        print(f"warning: {root} is not IRMAS as it is distributed: {missing}")
    if data_set.source and root.name != data_set.source:
        print(
            f"warning: the source {config.data_path / data_set.source} is not there: the splits "
            "are those of the source only if no file of it is missing here"
        )
    command.print_table(
        ("label", "train", "test"),
        [*zip(data_set.labels, *counts, strict=True), ("files", len(train), len(test))],
    )
    if others := metadata.passed_over(data_set, root):
        print(f"{others} in the label folders (not audio, by their endings)")
    for name, reason in left_out:
        print(f"left out: {name}: {reason}")
    if left_out:
        print(f"left out {len(left_out)} test clips in all")
    for audio in data_set.folders:
        absent = sum(
            not (config.data_path / audio / clip.filename).exists() for clip in train + test
        )
        if absent:
            print(f"missing in {audio}: {absent} of {len(train) + len(test)} files")
    print(f"wrote train.csv and test.csv to {config.feature_folder}")


def main(argv: Sequence[str] | None = None) -> None:
    """Write and print the metadata of the selected data set.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments of the command line; those of this process by default.
    """
    _, config = command.parse(command.new_parser(__doc__), argv)
    encode(command.choose_data_set(config))


if __name__ == "__main__":
    command.run(main)
