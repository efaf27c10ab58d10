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
from worlds import CLIP, MODEL, WIND

import settings
from instrec import experiments
from instrec.common import command
from instrec.config import read
from instrec.data import separated, tensors
from instrec.errors import InputError

SECONDS = 120  # more is a hang; far more than any of this takes
MEMORY = 3 * 2**30  # bytes that reading may take beyond what the libraries have taken

FOLDER = "models/irmas_wind_1024/model_leaky/"
TRAIN = "features/irmas_wind_1024/train/"
EVALUATE = ("evaluate.py", *MODEL, "-i", 2, "-O")
TRAINING = ("train.py", *MODEL, "-i", 2, "-e", 2, "-b", 8)
PREDICT = ("predict.py", CLIP, *MODEL)


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


def weights(path: Path) -> None:
    """Load weights whose digest somebody has put right."""
    from instrec.learning import model_files, trained

    files = model_files.model_files(read(), "model_leaky", "adam")
    trained.load_network(files, 0, "train.py")


# By kind: the file that is damaged, what reads it, and after which script it is there.
UNTRAINED, TRAINED = "generate_dataset", "predict"
READERS = {
    "wav": (CLIP, [audio], UNTRAINED),
    "flac": ("data/clip.flac", [audio], UNTRAINED),
    "txt": (CLIP.replace(".wav", ".txt"), [script("create_encoding.py", "-d", WIND)], UNTRAINED),
    "csv": (
        "features/irmas_wind_1024/train.csv",
        [script("generate_dataset.py", "-d", WIND)],
        UNTRAINED,
    ),
    "npy_patches": (f"{TRAIN}X_irmas.npy", [read_tensors], UNTRAINED),
    "npy_file_id": (f"{TRAIN}file_id.npy", [read_tensors], UNTRAINED),
    "npy_files": (f"{TRAIN}files.npy", [read_tensors], UNTRAINED),
    "npy_labels": (f"{TRAIN}labels.npy", [read_tensors], UNTRAINED),
    "npy_split": (f"{TRAIN}split_0.85_patch_0.npy", [read_tensors], UNTRAINED),
    "json_tensors": (
        f"{TRAIN}record.json",
        [read_tensors, script("generate_dataset.py", "-d", WIND)],
        UNTRAINED,
    ),
    "json_separated": (
        "data/irmas_wind_solo/separated.json",
        [script("separate_sources.py", "-d", 6)],
        UNTRAINED,
    ),
    "jsonl_separated": (
        "data/irmas_wind_solo/.separated.jsonl",
        [script("separate_sources.py", "-d", 6)],
        UNTRAINED,
    ),
    "experiment": ("data/mine.toml", [experiment], UNTRAINED),
    "npy_history": (
        f"{FOLDER}model_leaky.adam0.history.npy",
        [script("plot_history.py", *MODEL)],
        TRAINED,
    ),
    "npz_predictions": (
        f"{FOLDER}model_leaky.adam0.predictions.npz",
        [script(*EVALUATE, 2)],
        TRAINED,
    ),
    "npz_state": (f"{FOLDER}model_leaky.adam1.state.npz", [script(*TRAINING)], TRAINED),
    "json_sweep": (
        f"{FOLDER}model_leaky.adam.sweep.json",
        [script("plot_perf_metrics.py", *MODEL)],
        TRAINED,
    ),
    "json_confusion": (
        f"{FOLDER}model_leaky.adam.confusion.json",
        [script("plot_conf_mat.py", *MODEL)],
        TRAINED,
    ),
    "json_optima": (
        f"{FOLDER}model_leaky.adam.optima.json",
        [script(*EVALUATE, 3), script(*PREDICT)],
        TRAINED,
    ),
    "json_scores": (
        f"{FOLDER}model_leaky.adam.scores.json",
        [script("compare_models.py")],
        TRAINED,
    ),
    "json_network": (f"{FOLDER}model_leaky.adam0.json", [script(*PREDICT)], TRAINED),
    "run_record": (
        f"{FOLDER}model_leaky.adam0.run.json",
        [
            script(*EVALUATE, 2),
            script("plot_history.py", *MODEL),
            script(*PREDICT),
            script(*TRAINING),
        ],
        TRAINED,
    ),
    "hdf5": (f"{FOLDER}model_leaky.adam0.best.hdf5", [script(*PREDICT)], TRAINED),
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
        _interrupt_training(root)


def _interrupt_training(root: Path) -> None:
    from instrec.learning import callbacks

    (root / FOLDER / "model_leaky.adam1.run.json").unlink()
    save = callbacks.StateSaver.on_epoch_end

    def interrupted(self: callbacks.StateSaver, epoch: int, logs: dict) -> None:
        save(self, epoch, logs)
        raise KeyboardInterrupt

    callbacks.StateSaver.on_epoch_end = interrupted
    with contextlib.suppress(SystemExit):
        script(*TRAINING)(root)
    callbacks.StateSaver.on_epoch_end = save


def outcome_of(readers: list[Callable], path: Path) -> tuple[str, str]:
    """Tell what comes of reading a file: 'accepted', 'refused' with the line, or 'failed'."""
    answer, message = "accepted", ""
    for reader in readers:
        try:
            reader(path)
        except InputError as error:
            answer, message = "refused", f"error: {error}"
        except SystemExit as error:
            answer, message = "refused", str(error.code)
            if not message.startswith("error: ") or "\n" in message:
                return "failed", f"ended with {message!r}"
        except BaseException:
            return "failed", traceback.format_exc()
    return answer, message


def main() -> None:
    """Damage, read, tell; and put everything back for the next file."""
    kind, root, seed, count = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    told, printed = sys.stdout, io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    os.chdir(root)
    name, readers, _ = READERS[kind]
    path = root / name
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        prepare(root, kind)
        whole = path.read_bytes()
        others = [array.read_bytes() for array in sorted((root / "features").rglob("*.npy"))]
        others += [b"no audio, no array", (root / CLIP).read_bytes(), b"{}", b"\x89HDF\r\n\x1a\n"]
        kept = Kept([folder for folder in (root / "features", root / "models") if folder.exists()])
        answer, message = outcome_of(readers, path)
        assert answer == "accepted", message
        _limit_memory()
        for case in range(count):
            kept.put_back()
            rng = np.random.default_rng([seed, case])
            path.write_bytes(mutations.mutate(whole, others, rng, path.suffix))
            faulthandler.dump_traceback_later(SECONDS, exit=True, file=sys.__stderr__)
            print(json.dumps({"case": case, "outcome": "started"}), file=told, flush=True)
            answer, message = outcome_of(readers, path)
            faulthandler.cancel_dump_traceback_later()
            printed.seek(0)
            if "Traceback" in (text := printed.read()):
                answer, message = "failed", text
            printed.seek(0)
            printed.truncate()
            line = {"case": case, "outcome": answer, "message": message}
            print(json.dumps(line), file=told, flush=True)
            path.write_bytes(whole)


class Kept:
    """Copies of folders that reading may change."""

    def __init__(self, folders: list[Path]) -> None:
        self._copies = {folder: folder.with_name(f"{folder.name}.kept") for folder in folders}
        for folder, copy in self._copies.items():
            shutil.copytree(folder, copy, symlinks=True)

    def put_back(self) -> None:
        """Make the folders what they were."""
        for folder, copy in self._copies.items():
            shutil.rmtree(folder)
            shutil.copytree(copy, folder, symlinks=True)


def _limit_memory() -> None:
    import resource

    if not Path("/proc").exists():  # only Linux tells how much is taken
        return
    status = Path("/proc/self/status").read_text().split()
    taken = 1024 * int(status[status.index("VmSize:") + 1])
    resource.setrlimit(resource.RLIMIT_AS, (taken + MEMORY, taken + MEMORY))


if __name__ == "__main__":
    main()
