"""Read damaged files one after the other, as the scripts do, with little memory and little time.

Run as `python reading.py KIND WORLD SEED COUNT`: a process of its own, since a library may crash.
Prints one JSON line a file: {"case", "outcome", "message", "file"}.
"""

import contextlib
import faulthandler
import importlib
import io
import json
import multiprocessing
import os
import shutil
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path

import mutations
import numpy as np
from conftest import interrupted
from worlds import CLIP, MODEL, WIND

import settings
from instrec import experiments
from instrec.common import command
from instrec.config import read
from instrec.data import separated, tensors
from instrec.errors import InputError

SECONDS = 120  # more is a hang; far more than any of this takes
MEMORY = 3 * 2**30  # bytes that reading may take beyond what the libraries have taken

TRAIN = "features/irmas_wind_1024/train/"
ADAM = "models/irmas_wind_1024/model_leaky/model_leaky.adam"


def script(name: str, *arguments: object) -> Callable[[Path], None]:
    """Return a reader of whatever a script reads."""

    def read_by_script(_: Path) -> None:
        module = importlib.import_module(Path(name).stem)
        command.run(lambda: module.main([*map(str, arguments)]))

    return read_by_script


def audio(path: Path) -> None:
    """Read audio in the ways there are; a reason to leave it out is an answer."""
    from generate_dataset import GenerateDataset

    reason = ""
    try:
        config = read()
        GenerateDataset(43, len(config.labels), 0.85, config=config).patches(str(path), 21)
    except InputError as error:
        reason = str(error)
    with tempfile.TemporaryDirectory() as folder:
        separated.separate_file(path, {"x_harm": Path(folder) / f"x{path.suffix}"})
    if reason:
        raise InputError(reason)


def read_tensors(_: Path) -> None:
    """Read tensors as a training does before it takes TensorFlow."""
    config = read()
    for part in (tensors.load(config, name) for name in tensors.PARTS):
        is_train = part.part == "train"
        mask = part.validation_mask(config, 0.85) if is_train else part.pure_mask(config)
        part.means_and_stds(np.arange(len(part.file_id)))
        assert len(mask) and len(part.class_id)


def experiment(path: Path) -> None:
    """Read an experiment, and take its parameters."""
    found = experiments.load(str(path))
    _ = read().changed(found.parameters, found.source).data_set


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


def prepare(root: Path, kind: str) -> None:
    """Point the settings to a world, and make what it lacks."""
    settings.DATA_PATH, settings.FEATURE_PATH = root / "data", root / "features"
    settings.MODELS_ROOT, settings.dataset = root / "models", WIND
    multiprocessing.cpu_count = lambda: 1
    if kind == "flac":
        import soundfile

        y, rate = soundfile.read(root / CLIP)
        soundfile.write(root / "data" / "clip.flac", y[: 2 * rate], rate)
    if kind == "experiment":
        shutil.copy(settings.ROOT / "experiments" / "irmas_leaky.toml", root / "data" / "mine.toml")
    if kind == "npz_state":
        (root / f"{ADAM}1.run.json").unlink()
        with interrupted(epochs=1):
            TRAINING(root)


def outcome_of(readers: list[Callable], path: Path) -> tuple[str, str]:
    """Tell what comes of reading a file: 'accepted', 'refused' with the line, or 'failed'."""
    answer, message = "accepted", ""
    for reader in readers:
        try:
            reader(path)
        except (InputError, SystemExit) as error:
            answer, message = "refused", str(error)
            is_plain = isinstance(error, InputError) or message.startswith("error: ")
            if not is_plain or "\n" in message:
                return "failed", f"ended with {message!r}"
        except BaseException:
            return "failed", traceback.format_exc()
    return answer, message


def main() -> None:
    """Damage, read, tell; and put everything back for the next file."""
    kind, root, seed, count = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    told, printed = sys.stdout, io.StringIO()
    os.chdir(root)
    name, *readers = (UNTRAINED | TRAINED)[kind]
    path = root / name
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        prepare(root, kind)
        whole = path.read_bytes()
        others = [array.read_bytes() for array in sorted((root / "features").rglob("*.npy"))]
        others += [b"no audio, no array", (root / CLIP).read_bytes(), b"{}", b"\x89HDF\r\n\x1a\n"]
        kept = shutil.copytree(root, root.with_name("kept"), symlinks=True)
        answer, message = outcome_of(readers, path)
        assert answer == "accepted", message
        _limit_memory()
        for case in range(count):
            for folder in ("features", "models"):  # which reading may change
                if (kept / folder).exists():
                    shutil.rmtree(root / folder)
                    shutil.copytree(kept / folder, root / folder, symlinks=True)
            rng = np.random.default_rng([seed, case])
            path.write_bytes(mutations.mutate(whole, others, rng, path.suffix))
            faulthandler.dump_traceback_later(SECONDS, exit=True, file=sys.__stderr__)
            print(json.dumps({"case": case, "outcome": "started"}), file=told, flush=True)
            answer, message = outcome_of(readers, path)
            faulthandler.cancel_dump_traceback_later()
            if "Traceback" in (text := printed.getvalue()):
                answer, message = "failed", text
            printed.seek(0)
            printed.truncate()
            line = {"case": case, "outcome": answer, "message": message}
            print(json.dumps(line), file=told, flush=True)
            path.write_bytes(whole)


def _limit_memory() -> None:
    import resource

    if not Path("/proc").exists():  # only Linux tells how much is taken
        return
    status = Path("/proc/self/status").read_text().split()
    taken = 1024 * int(status[status.index("VmSize:") + 1])
    resource.setrlimit(resource.RLIMIT_AS, (taken + MEMORY, taken + MEMORY))


if __name__ == "__main__":
    main()
