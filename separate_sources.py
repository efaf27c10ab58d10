#!/usr/bin/env python3
"""Separate the audio of a data set from its source, before step 1.

  python3 separate_sources.py -d 3       IRMAS Harm: irmas/ -> irmas_harm/
  python3 separate_sources.py -d 8       IRMAS Harm-Perc: irmas/ -> irmas_harm/ and irmas_perc/
  python3 separate_sources.py -d -2      Jazz-Solo: jazz_db/ -> jazz_solo/

The last part of a folder's name says what it holds: harm and perc are the harmonic and percussive
part, solo is the solo (thesis, section 4.2). The separated tree mirrors its source: the same names,
format, rate, channels and length. Files that are whole, and whose source has not changed since, are
kept, so that a run that was stopped goes on. A clip of which nothing is in a part is left out. The
source is never changed. Next step: create_encoding.py.
"""

import contextlib
import inspect
import json
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

import create_encoding
import settings
from instrec.common import command, storage
from instrec.common.parallel import ordered_map
from instrec.data import features, tensors
from instrec.errors import InputError

# By the end of a folder's name: function of the package separation, and which of its two parts.
COMPONENTS = {
    "harm": ("harmonic_percussive", 0),
    "perc": ("harmonic_percussive", 1),
    "solo": ("solo_accompaniment", 0),
}
NOTE = "separated.json"  # what a tree is made with
JOURNAL = ".separated.jsonl"  # the state of each source when it was separated
EMPTY = 1e-3  # of the source's peak: a part below it is rounding noise, not sound
# Samples of a long file that are in memory at once, and that neighbouring blocks share.
BLOCK, OVERLAP = 2**20, 2**17


def component_of(folder: str) -> tuple[str, int]:
    """Return what a folder holds: a function of `separation`, and which of its parts.

    Raises
    ------
    InputError
        If its name does not say.
    """
    ending = folder.rsplit("_", 1)[-1]
    if ending not in COMPONENTS:
        raise InputError(
            f"expected a folder whose name ends in _{', _'.join(COMPONENTS)}, found {folder!r}"
        )
    return COMPONENTS[ending]


class AudioFile:
    """The samples of an open file as an array [channels x n] that is read where it is sliced."""

    def __init__(self, file: "soundfile.SoundFile", path: Path) -> None:  # noqa: F821
        self._file, self._path = file, path
        self.shape = (file.channels, file.frames)
        self.ndim = 2
        self.dtype = np.dtype(np.float32)

    def __getitem__(self, index: tuple) -> np.ndarray:
        """Read `[..., start:stop]`.

        Raises
        ------
        InputError
            If the file ends early, or holds NaN or infinity.
        """
        _, samples = index
        start, stop, _ = samples.indices(self.shape[1])
        with features.reading(self._path):
            if self._file.tell() != start:  # some formats can only be read in order
                self._file.seek(start)
            y = self._file.read(stop - start, dtype="float32", always_2d=True).T
        if y.shape[1] < stop - start:
            raise InputError(features.CUT_OFF)
        if not np.all(np.isfinite(y)):
            raise InputError("holds NaN or infinite samples")
        return y


class Outcome(NamedTuple):
    """What came of one file: why it was left out, if it was, and whether samples were clipped."""

    reason: str | None = None
    clipped: bool = False


def separate_file(source: Path, targets: dict[str, Path]) -> Outcome:
    """Write separated parts of one file, all of them or none.

    Parameters
    ----------
    source : Path
        Audio file.
    targets : dict of str to Path
        Where each part goes, by the audio folder that says what it is.

    Raises
    ------
    OSError
        If the parts cannot be written, as on a full disk.
    """
    try:
        with (
            features.open_audio(source) as file,
            storage.whole_set(*targets.values()) as partials,
            contextlib.ExitStack() as opened,
        ):
            if file.frames == 0:
                raise InputError("holds no audio")
            outputs = [opened.enter_context(_Output(path, file)) for path in partials]
            peak, peaks = 0.0, np.zeros(len(targets))
            for y, parts in _separated(AudioFile(file, source), file.samplerate, targets):
                for output, part in zip(outputs, parts, strict=True):
                    output.write(part)
                peak = max(peak, np.abs(y).max(initial=0))
                peaks = np.maximum(peaks, [np.abs(part).max(initial=0) for part in parts])
            if peak == 0:
                raise InputError("silent: every sample is zero")
            for folder, of_part in zip(targets, peaks, strict=True):
                if of_part < EMPTY * peak:
                    raise InputError(f"nothing of it is in {folder}")
            whole_numbers = not file.subtype.startswith(("FLOAT", "DOUBLE"))
            return Outcome(clipped=bool(whole_numbers and peaks.max() > 1))
    except InputError as error:
        return Outcome(reason=str(error))


def _separated(
    y: AudioFile, sr: int, targets: Iterable[str]
) -> Iterator[tuple[np.ndarray, list[np.ndarray]]]:
    """Yield the next piece of the audio and of the part for each target, [channels x n] each."""
    import separation

    (name,) = {component_of(folder)[0] for folder in targets}

    def separate(block: np.ndarray, _start: int) -> tuple[np.ndarray, np.ndarray]:
        return getattr(separation, name)(block, sr)

    for parts in separation.in_blocks(separate, y, block=BLOCK, overlap=OVERLAP):
        yield parts[0] + parts[1], [parts[component_of(folder)[1]] for folder in targets]


class _Output:
    """A separated file being written, in the format of its source."""

    def __init__(self, path: Path, like: "soundfile.SoundFile") -> None:  # noqa: F821
        import soundfile

        self._path = path
        try:
            with features.writing(self._path):
                self._file = soundfile.SoundFile(
                    path, "w", like.samplerate, like.channels, like.subtype, format=like.format
                )
        except (ValueError, TypeError):
            raise InputError(f"cannot be written as {like.format} {like.subtype}") from None

    def write(self, part: np.ndarray) -> None:
        """Add [channels x n]."""
        with features.writing(self._path):
            self._file.write(part.T)

    def __enter__(self) -> "_Output":
        return self

    def __exit__(self, *_: object) -> None:
        with features.writing(self._path):
            self._file.close()


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
        self._states, self._start = {}, ""
        if self._journal.exists():
            text = self._journal.read_text(encoding="utf-8", errors="replace")
            self._start = "" if text.endswith("\n") else "\n"  # of the next line, if one was cut
            for line in text.splitlines():
                with contextlib.suppress(ValueError, KeyError, TypeError):  # cut by a kill
                    entry = json.loads(line)
                    self._states[entry["file"]] = entry["state"]

    def is_whole(self, name: str) -> bool:
        """Tell whether a file is there, as long as its source, and its source the same as then."""
        if self._states.get(name) != self._state(name):
            return False
        try:
            with (
                features.open_audio(self._source / name) as one,
                features.open_audio(self.folder / name) as other,
            ):
                return (one.frames, one.samplerate) == (other.frames, other.samplerate)
        except InputError:
            return False

    def keep(self, name: str, state: list[int]) -> None:
        """Note that a file was separated from its source in that state."""
        with self._journal.open("a", encoding="utf-8") as file:
            file.write(self._start + json.dumps({"file": name, "state": state}) + "\n")
        self._start = ""

    def drop(self, name: str) -> None:
        """Remove what an earlier run made of a source that cannot be separated now."""
        (self.folder / name).unlink(missing_ok=True)

    def surplus(self, names: set[str]) -> list[str]:
        """List audio of this tree whose source is gone."""
        found = (path for path in self.folder.rglob("*") if path.is_file())
        audio = (path for path in found if path.suffix.lower() in create_encoding.AUDIO_SUFFIXES)
        mine = {path.relative_to(self.folder).as_posix() for path in audio if path.name[0] != "."}
        return sorted(mine - names)

    def _state(self, name: str) -> list[int]:
        return state_of(self._source / name)


def state_of(path: Path) -> list[int]:
    """Size and time of a file, by which a change is told; empty if it is not there."""
    try:
        state = path.stat()
    except OSError:
        return []
    return [state.st_size, state.st_mtime_ns]


def parameters_of(function: str) -> dict:
    """Return the defaults of a separation, which a separated tree is noted to be made with."""
    import separation

    defaults = inspect.signature(getattr(separation, function)).parameters.values()
    keyword = [parameter for parameter in defaults if parameter.kind is parameter.KEYWORD_ONLY]
    return {
        "separation": function,
        "version": separation.VERSION,
        **{parameter.name: parameter.default for parameter in keyword},
    }


def copy_label_files(data_set: settings.DataSet) -> None:
    """Copy the label files of test clips, so that the separated tree is complete by itself."""
    source = settings.DATA_PATH / data_set.source
    for labels in source.glob("/".join((*create_encoding.IRMAS_TEST, "*.txt"))):
        for folder in data_set.folders:
            target = settings.DATA_PATH / folder / labels.relative_to(source)
            same = target.exists() and target.read_bytes() == labels.read_bytes()
            if not same and target.parent.is_dir():
                with storage.whole(target) as partial:
                    shutil.copyfile(labels, partial)


def separate(data_set: settings.DataSet) -> None:
    """Write the separated trees of a data set, and print what was done."""
    if data_set.source is None:
        raise InputError(f"{data_set.title} is used as it is: nothing is to be separated")
    source = settings.DATA_PATH / data_set.source
    if not source.is_dir():
        raise InputError(
            f"expected the audio to separate in {source}, found nothing: put it there, or set "
            "INSTREC_DATA_PATH"
        )
    train, test, _ = create_encoding.read_audio(data_set, source)
    names = [clip.filename for clip in train + test]
    if not names:
        raise InputError(f"expected audio files of {data_set.title} in {source}, found none")
    with contextlib.ExitStack() as held:
        trees = {}
        for name in data_set.folders:
            folder = settings.DATA_PATH / name
            held.enter_context(storage.lock(folder, "separated audio"))
            function, _ = component_of(name)
            remedy = "move the folder away, or delete it, to separate anew"
            storage.claim(folder / NOTE, parameters_of(function), remedy)
            if (source / tensors.RENDERED_NOTE).exists():  # what is separated from it is, too
                with storage.whole(folder / tensors.RENDERED_NOTE) as partial:
                    shutil.copyfile(source / tensors.RENDERED_NOTE, partial)
            trees[name] = Tree(folder, source)
        left_out, clipped = separate_all(source, names, trees)
        copy_label_files(data_set)
        surplus = [(tree.folder, tree.surplus(set(names))) for tree in trees.values()]

    for name, reason in left_out:
        print(f"left out: {name}: {reason}")
    if left_out:
        print(f"left out {len(left_out)} of {len(names)} files in all")
    if clipped:
        print(f"note: in {clipped} files a part goes beyond full scale, and is clipped there")
    for folder, others in surplus:
        if others:
            print(f"note: {len(others)} files of {folder} have no source now, such as {others[0]}")
    print(f"{data_set.title}: wrote {' and '.join(str(tree.folder) for tree in trees.values())}")


def separate_all(
    source: Path, names: list[str], trees: dict[str, Tree]
) -> tuple[list[tuple[str, str]], int]:
    """Separate what is not whole yet; return what was left out and why, and how many clipped."""
    wanted = {name: [t for t, tree in trees.items() if not tree.is_whole(name)] for name in names}
    missing = {name: targets for name, targets in wanted.items() if targets}
    if len(missing) < len(names):
        print(f"kept {len(names) - len(missing)} of {len(names)} files that are there already")
    states = {name: state_of(source / name) for name in missing}  # before they are read
    tasks = [
        (source / name, {target: trees[target].folder / name for target in targets})
        for name, targets in missing.items()
    ]
    outcomes = command.progress(
        ordered_map(separate_file, tasks), total=len(tasks), unit="file", desc="separating"
    )
    left_out, clipped = [], 0
    for (name, targets), outcome in zip(missing.items(), outcomes, strict=True):
        clipped += outcome.clipped
        if outcome.reason:
            left_out.append((name, outcome.reason))
        for target in targets:
            if outcome.reason:
                trees[target].drop(name)
            else:
                trees[target].keep(name, states[name])
    print(f"separated {len(missing) - len(left_out)} files of {source}")
    return left_out, clipped


def main() -> None:
    """Separate the files of the selected data set."""
    with command.parsed(command.new_parser(__doc__)):
        separate(command.select_data_set())


if __name__ == "__main__":
    command.run(main)
