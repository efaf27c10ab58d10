"""Small worlds of audio, features and models, in which each script is one run that can be hurt.

Their files are compared by what they say: times, durations and lock files do not count.
"""

import contextlib
import functools
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from conftest import ROOT, make_irmas, script_environment

import settings
from instrec.common import storage
from instrec.data.patch_writer import PatchWriter

WIND = 7  # data set in the layout of IRMAS with the fewest labels
MODEL = ("-m", "model_leaky", "-o", "adam", "-d", WIND)
CLIP = "data/irmas/IRMAS-TestingData-Part1/Part1/(00) a,  b's.c-0.wav"


@dataclass(frozen=True)
class Script:
    """A script as it is run: in the folder that the scripts before it have made.

    Parameters
    ----------
    file : str
        The script, or the text of a program.
    arguments : tuple
        Its arguments; paths are relative to the world.
    tensorflow : bool
        Whether it takes TensorFlow, which takes seconds to start.
    """

    file: str
    arguments: tuple
    tensorflow: bool = False

    def start(self, root: Path, **options: object) -> subprocess.Popen:
        """Start it in a process group of its own, that its workers share."""
        program = [ROOT / self.file] if self.file.endswith(".py") else ["-c", self.file]
        # One thread: sums in the same order. The epoch is what figures are dated by.
        exact = {"TF_NUM_INTRAOP_THREADS": "1", "SOURCE_DATE_EPOCH": "0", "MPLBACKEND": "agg"}
        exact["PYTHONPATH"] = str(ROOT)
        return subprocess.Popen(
            [sys.executable, *program, *map(str, self.arguments)],
            cwd=root,
            env=script_environment(root, **exact),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            **options,
        )

    def run(self, root: Path, **options: object) -> tuple[int, str]:
        """Run it to its end; return its exit code and what it printed."""
        process = self.start(root, **options)
        try:
            output, _ = process.communicate(timeout=600)
        finally:
            kill(process)
        return process.returncode, output


# In the order in which each finds what it needs.
SCRIPTS = {
    "render_dataset": Script(
        "render_dataset.py", ("-d", -1, "--train", 2, "--seconds", 1, 1, "--processes", 2)
    ),
    "separate_sources": Script("separate_sources.py", ("-d", 6)),
    "create_encoding": Script("create_encoding.py", ("-d", WIND)),
    "generate_dataset": Script("generate_dataset.py", ("-d", WIND)),
    "train": Script("train.py", (*MODEL, "-i", 2, "-e", 2, "-b", 8), tensorflow=True),
    "plot_history": Script("plot_history.py", MODEL),
    "evaluate_1": Script(
        "evaluate.py", (*MODEL, "-O", 1, "-i", 1, "-e", 1, "-b", 8), tensorflow=True
    ),
    "plot_conf_mat": Script("plot_conf_mat.py", MODEL),
    "evaluate_2": Script("evaluate.py", (*MODEL, "-O", 2, "-i", 2), tensorflow=True),
    "plot_perf_metrics": Script("plot_perf_metrics.py", MODEL),
    "evaluate_3": Script("evaluate.py", (*MODEL, "-O", 3, "-i", 2)),
    "predict": Script(
        "predict.py",
        (CLIP, *MODEL, "--csv", "out/all.csv", "--json", "out/all.json")
        + ("--jams", "out/jams", "--figures", "out/figures"),
        tensorflow=True,
    ),
}


class Worlds:
    """What each script finds and what it leaves, made once by runs that nothing disturbs."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made: list[str] = []
        self.seconds: dict[str, float] = {}

    def before(self, name: str) -> Path:
        """Folder as a script finds it; to be copied, not changed."""
        self._make(name)
        return self._folder / f"before_{name}"

    def after(self, name: str) -> Path:
        """Folder as a script leaves it."""
        self._make(name)
        return self._folder / f"after_{name}"

    def _make(self, name: str) -> None:
        previous = self._made[-1] if self._made else None
        if previous is None:
            make_irmas(self._folder / "audio", settings.IRMAS_WIND, train=2, test=4)
        for script in list(SCRIPTS)[len(self._made) : list(SCRIPTS).index(name) + 1]:
            start = self._folder / (f"after_{previous}" if previous else "audio")
            copy(start, self._folder / f"before_{script}")
            end = copy(start, self._folder / f"after_{script}")
            started = time.perf_counter()
            code, output = SCRIPTS[script].run(end)
            assert code == 0, output
            self.seconds[script] = time.perf_counter() - started
            self._made.append(script)
            previous = script


@functools.cache
def shared(folder: Path) -> Worlds:
    """Return the worlds that all tests of a session share, by its temporary folder."""
    return Worlds(folder / "worlds")


def copy(folder: Path, target: Path) -> Path:
    """Copy a world with its times, which tell whether audio has changed."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(folder, target, symlinks=True)
    return target


def kill(process: subprocess.Popen) -> None:
    """Kill a process and all of its workers, as a machine that goes down does."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()


# --- what files say -------------------------------------------------------------------------------
def content(root: Path) -> dict[str, object]:
    """What every file of a world says, by its name, but for locks and for what steps printed."""
    return {path.relative_to(root).as_posix(): says(path) for path in files_of(root)}


def files_of(root: Path) -> list[Path]:
    """List the files of a world whose content counts."""
    return [
        path
        for path in sorted(root.rglob("*"))
        if path.is_file()
        and path.suffix != ".log"
        and not (path.name.startswith(".") and path.name.endswith("lock"))
    ]


def leftovers(root: Path) -> list[str]:
    """Name what only an unfinished run may leave."""
    marks = (storage.PARTIAL, ".old", ".state.npz", PatchWriter.JOURNAL)
    names = (path.relative_to(root).as_posix() for path in root.rglob("*"))
    return [name for name in names if any(mark in name for mark in marks)]


def says(path: Path) -> object:
    """Return what a file says; an exception if it is not whole."""
    data = path.read_bytes()
    if path.name.endswith(".separated.jsonl"):  # a journal: the last line of a file counts
        return dict(filter(None, map(_entry, data.decode().splitlines())))
    if path.suffix == ".json":
        return _without_times(json.loads(data))
    if path.suffix == ".npz":  # the archive holds the time of writing
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            return {name: (arrays[name].dtype.str, arrays[name].tobytes()) for name in arrays.files}
    if path.suffix == ".hdf5":
        with h5py.File(io.BytesIO(data)) as file:
            found = {}
            file.visititems(lambda name, entry: found.update({name: _weights(entry)}))
            return found
    return data


def _entry(line: str) -> tuple[str, list] | None:
    try:
        entry = json.loads(line)
        return entry["file"], entry["state"]
    except ValueError:  # cut by a kill
        return None


def _weights(entry: h5py.Dataset | h5py.Group) -> bytes:
    return entry[()].tobytes() if isinstance(entry, h5py.Dataset) else b""


def _without_times(value: object) -> object:
    """Leave out of records how long things took, when audio was written, and the git commit."""
    if not isinstance(value, dict):
        return value
    times = ("seconds", "audio", "made_with")
    return {name: None if name in times else _without_times(v) for name, v in value.items()}
