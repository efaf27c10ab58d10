"""Damaged files of every kind: one line or an answer, in bounded time and memory, never a crash."""

import contextlib
import faulthandler
import importlib
import signal
import sys
from pathlib import Path

import mutations
import numpy as np
import pytest
import soundfile
from conftest import ROOT, call_script, interrupted
from worlds import CLIP, MODEL, WIND, copy, shared, short_and_long

import settings
from generate_dataset import GenerateDataset
from instrec import experiments
from instrec.common import command
from instrec.config import read
from instrec.data import separated, tensors
from instrec.errors import InputError
from instrec.scoring.recognition import recogniser

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/statm").exists(), reason="only Linux tells how much memory is taken"
)
SEED = 1
SECONDS = 120  # more is a hang; far more than any of this takes
MEMORY = 3 * 2**30  # bytes that reading may take beyond what the libraries have taken
TRAIN = "features/irmas_wind_1024/train/"
ADAM = "models/irmas_wind_1024/model_leaky/model_leaky.adam"


# --- readers --------------------------------------------------------------------------------------
def audio(path):
    """Read audio in the ways there are; a reason to leave it out is an answer."""
    separated.separate_file(path, {"x_harm": path.with_name(f"x{path.suffix}")})
    GenerateDataset(43, len(settings.IRMAS_WIND), 0.85).patches(str(path), 21)


def read_tensors(_):
    """Read tensors as a training does before it takes TensorFlow."""
    config = read()
    for part in (tensors.load(config, name) for name in tensors.PARTS):
        is_train = part.part == "train"
        mask = part.validation_mask(config, 0.85) if is_train else part.pure_mask(config)
        part.means_and_stds(np.arange(len(part.file_id)))
        assert len(mask) and len(part.class_id)


def experiment(path):
    """Read an experiment, and take its parameters."""
    found = experiments.load(str(path))
    _ = read().changed(found.parameters, found.source).data_set


def script(*command_line):
    """Read whatever a script reads, which prints a plain line and ends if it is refused."""
    return lambda _: command.run(lambda: call_script(*command_line))


TRAINING = script("train.py", *MODEL, "-i", 2, "-e", 2, "-b", 8)
HISTORY = script("plot_history.py", *MODEL)
EVALUATION, FINAL = (script("evaluate.py", *MODEL, "-i", 2, "-O", mode) for mode in (2, 3))
PREDICTION = script("predict.py", CLIP, *MODEL)
SEPARATION = script("separate_sources.py", "-d", 6)
EXTRACTION = script("generate_dataset.py", "-d", WIND)
# By kind: the file that is damaged, and what reads it; there before and after a training.
UNTRAINED = {
    "wav": (CLIP, audio),
    "flac": ("data/clip.flac", audio),
    "txt": (CLIP.replace(".wav", ".txt"), script("create_encoding.py", "-d", WIND)),
    "csv": ("features/irmas_wind_1024/train.csv", EXTRACTION),
    "npy_patches": (f"{TRAIN}X_irmas.npy", read_tensors),
    "npy_file_id": (f"{TRAIN}file_id.npy", read_tensors),
    "npy_files": (f"{TRAIN}files.npy", read_tensors),
    "npy_labels": (f"{TRAIN}labels.npy", read_tensors),
    "npy_split": (f"{TRAIN}split_0.85_patch_0.npy", read_tensors),
    "json_tensors": (f"{TRAIN}record.json", read_tensors, EXTRACTION),
    "json_separated": ("data/irmas_wind_solo/separated.json", SEPARATION),
    "jsonl_separated": ("data/irmas_wind_solo/.separated.jsonl", SEPARATION),
    "experiment": ("data/mine.toml", experiment),
}
TRAINED = {
    "npy_history": (f"{ADAM}0.history.npy", HISTORY),
    "npz_predictions": (f"{ADAM}0.predictions.npz", EVALUATION),
    "npz_state": (f"{ADAM}1.state.npz", TRAINING),
    "json_sweep": (f"{ADAM}.sweep.json", script("plot_perf_metrics.py", *MODEL)),
    "json_confusion": (f"{ADAM}.confusion.json", script("plot_conf_mat.py", *MODEL)),
    "json_optima": (f"{ADAM}.optima.json", FINAL, PREDICTION),
    "json_scores": (f"{ADAM}.scores.json", script("compare_models.py")),
    "json_network": (f"{ADAM}0.json", PREDICTION),
    "run_record": (f"{ADAM}0.run.json", EVALUATION, HISTORY, PREDICTION, TRAINING),
    "hdf5": (f"{ADAM}0.best.hdf5", PREDICTION),
}


def refusal(readers, path):
    """The plain line with which the last reader that refuses it ends; None if all take the file."""
    said = None
    for reader in readers:
        try:
            reader(path)
        except InputError as error:
            said = f"error: {error}"
        except SystemExit as error:
            said = str(error.code)
    is_plain = said is None or (said.startswith("error: ") and "\n" not in said)
    assert is_plain and "not enough memory" not in str(said), said
    return said


# --- the test -------------------------------------------------------------------------------------
@contextlib.contextmanager
def bounded():
    """Leave little memory and little time to a block."""
    import resource

    pages = int(Path("/proc/self/statm").read_text().split()[0])
    before = resource.getrlimit(resource.RLIMIT_AS)
    most = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (most, before[1]))
    signal.signal(signal.SIGALRM, lambda *_: pytest.fail(f"not read in {SECONDS} s"))
    signal.alarm(SECONDS)
    # An alarm is heard between steps of Python alone: what hangs in a library ends all.
    faulthandler.dump_traceback_later(2 * SECONDS, exit=True, file=sys.__stderr__)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
        signal.alarm(0)
        resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.fixture
def world(tmp_path_factory, paths, monkeypatch, kind):
    """The files of a kind, among them some that only this test takes."""
    worlds = shared(tmp_path_factory.getbasetemp())
    copy(worlds.after("generate_dataset" if kind in UNTRAINED else "predict"), paths)
    monkeypatch.chdir(paths)
    settings.dataset = WIND
    if kind in TRAINED:
        importlib.import_module("instrec.learning.backend")  # not while memory is bounded
    if kind == "flac":
        y, rate = soundfile.read(CLIP)
        soundfile.write("data/clip.flac", y[: 2 * rate], rate)
    if kind == "experiment":
        Path("data/mine.toml").write_bytes((ROOT / "experiments" / "irmas_leaky.toml").read_bytes())
    if kind == "npz_state":
        Path(f"{ADAM}1.run.json").unlink()
        with interrupted(epochs=1):
            TRAINING(paths)
    return paths


@pytest.mark.parametrize(
    ("kind", "count"),
    short_and_long(
        dict.fromkeys(("wav", "flac", "csv", "npy_file_id", "json_tensors"), 8),
        dict.fromkeys(UNTRAINED, 30) | dict.fromkeys(TRAINED, 20),
    ),
)
def test_damaged_files(world, tmp_path_factory, capsys, kind, count):
    name, *readers = (UNTRAINED | TRAINED)[kind]
    path, whole = world / name, (world / name).read_bytes()
    others = [array.read_bytes() for array in sorted((world / "features").rglob("*.npy"))]
    others += [b"no audio, no array", Path(CLIP).read_bytes(), b"{}", b"\x89HDF\r\n\x1a\n"]
    kept = copy(world, tmp_path_factory.mktemp("kept"))
    assert refusal(readers, path) is None
    refused = 0
    for case in range(count):
        for folder in ("features", "models"):  # which reading may change
            if (kept / folder).exists():
                copy(kept / folder, world / folder)
        rng = np.random.default_rng([SEED, case])
        path.write_bytes(mutations.mutate(whole, others, rng, path.suffix))
        recogniser.cache_clear()  # or predict.py takes the networks that are loaded
        with bounded():
            refused += refusal(readers, path) is not None
        path.write_bytes(whole)
        assert "Traceback" not in "".join(capsys.readouterr())
    print(f"{kind}: {count} tried, {refused} refused in one line, all survived")
