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
from pathlib import Path

import h5py
import numpy as np
import pytest
from conftest import ROOT, make_irmas, script_environment

import settings
from instrec.common import storage
from instrec.data.patch_writer import PatchWriter

WIND = 7  # data set in the layout of IRMAS with the fewest labels
MODEL = ("-m", "model_leaky", "-o", "adam", "-d", WIND)
CLIP = "data/irmas/IRMAS-TestingData-Part1/Part1/(00) a,  b's.c-0.wav"


# In the order in which each finds what it needs: paths are relative to the world.
SCRIPTS = {
    "render_dataset": (
        *("render_dataset.py", "-d", -1, "--train", 2),
        *("--seconds", 1, 1, "--processes", 2),
    ),
    "separate_sources": ("separate_sources.py", "-d", 6),
    "create_encoding": ("create_encoding.py", "-d", WIND),
    "generate_dataset": ("generate_dataset.py", "-d", WIND),
    "train": ("train.py", *MODEL, "-i", 2, "-e", 2, "-b", 8),
    "plot_history": ("plot_history.py", *MODEL),
    "evaluate_1": ("evaluate.py", *MODEL, "-O", 1, "-i", 1, "-e", 1, "-b", 8),
    "plot_conf_mat": ("plot_conf_mat.py", *MODEL),
    "evaluate_2": ("evaluate.py", *MODEL, "-O", 2, "-i", 2),
    "plot_perf_metrics": ("plot_perf_metrics.py", *MODEL),
    "evaluate_3": ("evaluate.py", *MODEL, "-O", 3, "-i", 2),
    "predict": (
        *("predict.py", CLIP, *MODEL, "--csv", "out/all.csv", "--json", "out/all.json"),
        *("--jams", "out/jams", "--figures", "out/figures"),
    ),
}


def start(name: str, root: Path, *python: str) -> subprocess.Popen:
    """Start a script in a world, in a process group that its workers share; `python -c ...`."""
    script, *arguments = SCRIPTS[name]
    # One thread: sums in the same order. The epoch is what figures are dated by.
    exact = {"TF_NUM_INTRAOP_THREADS": "1", "SOURCE_DATE_EPOCH": "0", "MPLBACKEND": "agg"}
    return subprocess.Popen(
        [sys.executable, *python, ROOT / script, *map(str, arguments)],
        cwd=root,
        env=script_environment(root, **exact, PYTHONPATH=str(ROOT)),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def end(process: subprocess.Popen, seconds: float = 600) -> tuple[int, str]:
    """Wait for the end of a script; return its exit code and what it printed.

    After so many seconds it is killed with all of its workers, as by a machine that goes down.
    """
    try:
        output, _ = process.communicate(timeout=seconds)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
    return process.returncode, output


class Worlds:
    """What each script finds and what it leaves, made once by runs that nothing disturbs.

    Folders of a world are to be copied, not changed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.seconds: dict[str, float] = {}  # that a script took

    def before(self, name: str) -> Path:
        """Folder as a script finds it: as the one before has left it."""
        place = list(SCRIPTS).index(name)
        if place:
            return self.after(list(SCRIPTS)[place - 1])
        audio = self._folder / "audio"
        if not audio.exists():
            make_irmas(audio, settings.IRMAS_WIND, train=2, test=4)
        return audio

    def after(self, name: str) -> Path:
        """Folder as a script leaves it."""
        root = self._folder / name
        if name not in self.seconds:
            copy(self.before(name), root)
            started = time.perf_counter()
            code, output = end(start(name, root))
            assert code == 0, output
            self.seconds[name] = time.perf_counter() - started
        return root


def short_and_long(short: dict[str, int], long: dict[str, int]) -> list:
    """Parametrise by what is hurt and how often: a few always, everything in the long form."""
    slow = (pytest.param(*item, marks=pytest.mark.slow) for item in long.items())
    return [*short.items(), *slow]


@functools.cache
def shared(folder: Path) -> Worlds:
    """Return the worlds that all tests of a session share, by its temporary folder."""
    return Worlds(folder / "worlds")


def copy(folder: Path, target: Path) -> Path:
    """Copy a world with its times, which tell whether audio has changed."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(folder, target, symlinks=True)
    return target


# --- what files say -------------------------------------------------------------------------------
def content(root: Path) -> dict[str, object]:
    """What every file of a world says, by its name, but for locks and what is being written."""
    found = {}
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        is_lock = path.name.startswith(".") and path.name.endswith("lock")
        if path.is_file() and not (is_lock or storage.PARTIAL in name or ".old/" in name):
            found[name] = says(path)
    return found


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
        return json.loads(data, object_hook=_without_times)
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


def _without_times(entry: dict) -> dict:
    """Leave out of a record how long things took, when audio was written, and the git commit."""
    return entry | dict.fromkeys(entry.keys() & {"seconds", "audio", "made_with"})
