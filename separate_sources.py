#!/usr/bin/env python3
"""Separate the audio of a data set from its source, before step 1.

  python3 separate_sources.py -d 3       IRMAS Harm: irmas/ -> irmas_harm/
  python3 separate_sources.py -d 8       IRMAS Harm-Perc: irmas/ -> irmas_harm/ and irmas_perc/
  python3 separate_sources.py -d -2      Jazz-Solo: jazz_db/ -> jazz_solo/

The last part of a folder's name says what it holds: harm and perc are the harmonic and percussive
part, solo is the solo (thesis, section 4.2). The separated tree mirrors its source: the same names,
format, rate, channels and length. Files that are whole, and whose source has not changed since, are
kept, so that a stopped run can resume. A clip with an empty part is left out. The source is never
changed. Next step: create_encoding.py.
"""

import contextlib
import json
from collections.abc import Sequence
from pathlib import Path

from instrec.common import command, storage
from instrec.common.parallel import ordered_map
from instrec.config import Config
from instrec.data import metadata, separated, tensors
from instrec.errors import InputError

NOTE = "separated.json"  # what a tree was made with
JOURNAL = ".separated.jsonl"  # state of each source when it was separated, and size of the result


class Tree:
    """A separated tree, and what its files were separated from.

    Parameters
    ----------
    folder : Path
        The audio folder.
    source : Path
        The folder that it mirrors.
    """

    def __init__(self, folder: Path, source: Path) -> None:
        self.folder, self._source = folder, source
        self._journal = folder / JOURNAL
        self._states = {}
        if self._journal.exists():
            text = self._journal.read_text(encoding="utf-8", errors="replace")
            for line in text.splitlines():  # a kill may have cut one short
                with contextlib.suppress(ValueError, LookupError, TypeError, RecursionError):
                    entry = json.loads(line)
                    self._states[entry["file"]] = entry["state"]

    def is_whole(self, name: str) -> bool:
        """Tell whether a file is there as it was made, and its source unchanged since.

        Parameters
        ----------
        name : str
            File, relative to the folder.

        Returns
        -------
        bool
        """
        size = storage.state_of(self.folder / name)[:1]
        return self._states.get(name) == storage.state_of(self._source / name) + size

    def keep(self, name: str, state: list[int]) -> None:
        """Record that a file was separated from its source in this state.

        Parameters
        ----------
        name : str
            Audio file, relative to the folder.
        state : list of int
            From `storage.state_of`.
        """
        size = storage.state_of(self.folder / name)[:1]
        with self._journal.open("a", encoding="utf-8") as file:
            if file.tell():  # on a line of its own, even if a kill cut the last one short
                file.write("\n")
            file.write(json.dumps({"file": name, "state": state + size}))

    def surplus(self, names: set[str]) -> list[str]:
        """List the audio files of this tree whose source is gone.

        Parameters
        ----------
        names : set of str
            Audio files of the source.

        Returns
        -------
        list of str
        """
        found = (path for path in self.folder.rglob("*") if path.is_file())
        mine = {
            path.relative_to(self.folder).as_posix() for path in found if metadata.is_audio(path)
        }
        return sorted(mine - names)


def copy_label_files(config: Config) -> None:
    """Copy the label files of test clips, so that the separated tree is self-contained.

    Parameters
    ----------
    config : Config
        Data set, paths and parameters.
    """
    source = config.data_path / config.data_set.root
    for labels in metadata.irmas_test_files(source, {".txt"}):
        for folder in config.data_set.folders:
            target = config.data_path / folder / labels.relative_to(source)
            same = target.exists() and target.read_bytes() == labels.read_bytes()
            if not same and target.parent.is_dir():
                storage.save(target, labels.read_bytes())


def separate(config: Config) -> None:
    """Write the separated trees of the data set, and print what was done.

    Parameters
    ----------
    config : Config
        Data set, paths and parameters.
    """
    data_set = config.data_set
    if data_set.source is None:
        raise InputError(f"{data_set.title} needs no separation")
    source = config.data_path / data_set.source
    if not source.is_dir():
        raise InputError(
            f"expected the audio to separate in {source}, found nothing: put it there, or set "
            "INSTREC_DATA_PATH"
        )
    train, test, _ = metadata.read_tree(config, source)
    names = [clip.filename for clip in train + test]
    if not names:
        raise InputError(f"expected audio files of {data_set.title} in {source}, found none")
    with contextlib.ExitStack() as held:
        trees = {}
        for name in data_set.folders:
            folder = config.data_path / name
            held.enter_context(storage.lock(folder, "separated audio"))
            function, _ = separated.component_of(name)
            remedy = "move the folder away to separate again"
            storage.fill_with(folder / NOTE, separated.parameters_of(function), remedy)
            note = source / tensors.RENDERED_NOTE
            if note.exists():  # what is separated from it is rendered, too
                storage.save(folder / tensors.RENDERED_NOTE, note.read_bytes())
            trees[name] = Tree(folder, source)
        left_out, clipped = separate_all(config, source, names, trees)
        copy_label_files(config)
        surplus = [(tree.folder, tree.surplus(set(names))) for tree in trees.values()]

    for name, reason in left_out:
        print(f"left out: {name}: {reason}")
    if left_out:
        print(f"left out {len(left_out)} of {len(names)} files in all")
    if clipped:
        print(f"note: in {clipped} files a part goes beyond full scale, and is clipped there")
    for folder, files in surplus:
        if files:
            print(f"note: {len(files)} files of {folder} have no source now, such as {files[0]}")
    print(f"{data_set.title}: wrote {' and '.join(str(tree.folder) for tree in trees.values())}")


def separate_all(
    config: Config, source: Path, names: list[str], trees: dict[str, Tree]
) -> tuple[list[tuple[str, str]], int]:
    """Separate what is not whole yet; return what was left out and why, and how many clipped.

    Parameters
    ----------
    config : Config
        Paths and workers.
    source : Path
        Folder of the source.
    names : list of str
        Audio files in it.
    trees : dict of Tree
        Trees to fill, by name of the folder.

    Returns
    -------
    left_out : list of (str, str)
        File and reason.
    clipped : int
    """
    wanted = {name: [t for t, tree in trees.items() if not tree.is_whole(name)] for name in names}
    missing = {name: targets for name, targets in wanted.items() if targets}
    if len(missing) < len(names):
        print(f"kept {len(names) - len(missing)} of {len(names)} files that are there already")
    states = {name: storage.state_of(source / name) for name in missing}  # before they are read
    tasks = [
        (source / name, {target: trees[target].folder / name for target in targets})
        for name, targets in missing.items()
    ]
    results = ordered_map(separated.separate_file, tasks, scheduler=config.scheduler)
    outcomes = command.progress(results, total=len(tasks), unit="file", desc="separating")
    left_out, clipped = [], 0
    for (name, targets), outcome in zip(missing.items(), outcomes, strict=True):
        clipped += outcome.clipped
        if outcome.note:
            print(f"note: {name}: {outcome.note}")
        if outcome.reason:
            left_out.append((name, outcome.reason))
        for target in targets:
            if outcome.reason:
                (trees[target].folder / name).unlink(missing_ok=True)
            else:
                trees[target].keep(name, states[name])
    print(f"separated {len(missing) - len(left_out)} files of {source}")
    return left_out, clipped


def main(argv: Sequence[str] | None = None) -> None:
    """Separate the files of the selected data set.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments of the command line; those of this process by default.
    """
    _, config = command.parse(command.new_parser(__doc__), argv)
    separate(command.choose_data_set(config))


if __name__ == "__main__":
    command.run(main)
