"""What a user can do wrong, and what a machine can do to a run: one plain line, nothing lost."""

import contextlib
import dataclasses
import errno
import io
import itertools
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from conftest import (
    RATE,
    ROOT,
    make_folders,
    make_irmas,
    script_environment,
    tone,
    write_tone,
)

import create_encoding
import generate_dataset
import settings
from generate_dataset import GenerateDataset
from instrec.common import storage
from instrec.config import read
from instrec.data import audio, features, metadata, splits, tensors
from instrec.data.patch_writer import PatchWriter
from instrec.errors import InputError
from instrec.learning import model_files

WIND = 7  # data set with IRMAS' layout and the fewest labels
JAZZ = -1  # data set of one folder a label
STEPS = ("create_encoding.py", "generate_dataset.py")


@pytest.fixture
def refused(call, capsys):
    """Run a script that ends with one plain line; return that line."""

    def call_refused(script, *arguments):
        with pytest.raises(SystemExit) as error:
            call(script, *arguments)
        message = error.value.code
        assert isinstance(message, str), message
        assert message.startswith("error: ")
        assert "\n" not in message
        return message

    return call_refused


@pytest.fixture
def without_tensorflow(monkeypatch):
    """Fail if anything imports TensorFlow: what can be refused before that long wait, is."""
    for name in ("tensorflow", "keras", "instrec.learning.backend"):
        monkeypatch.setitem(sys.modules, name, None)


@pytest.fixture
def jazz(prepared, paths):
    """A small audio tree of one folder a label."""
    shutil.copytree(prepared / "data", paths / "data", dirs_exist_ok=True)
    return paths / "data" / "jazz_db"


@pytest.fixture
def wind(paths):
    """A small audio tree in the layout of IRMAS."""
    return make_irmas(paths, settings.IRMAS_WIND, train=2, test=6)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """The tree of `jazz` with its tensors, made once: tests take copies."""
    root = tmp_path_factory.mktemp("prepared")
    make_folders(root, settings.JAZZ, files=2, seconds=2.2, folder="jazz_db")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(multiprocessing, "cpu_count", lambda: 1)
        patch.setattr(settings, "DATA_PATH", root / "data")
        patch.setattr(settings, "FEATURE_PATH", root / "features")
        patch.setattr(settings, "dataset", JAZZ)
        create_encoding.main([])
        generate_dataset.main([])
    return root


@pytest.fixture
def made(prepared, paths, monkeypatch):
    """The tensors of `jazz`; returns their folder."""
    shutil.copytree(prepared, paths, dirs_exist_ok=True)
    monkeypatch.setattr(settings, "dataset", JAZZ)
    return read().feature_folder


def content(folder):
    """Every file below a folder and its bytes, without what only holds locks."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".lock"
    }


def arrays(folder):
    """The arrays of a folder of tensors; their record also holds times and versions."""
    return {name: data for name, data in content(folder).items() if name.endswith(".npy")}


def patches_of(path):
    """What a worker finds in an audio file: its patches, or why there are none."""
    config = dataclasses.replace(read(dataset=JAZZ), data_path=path.parent.parent)
    row = dataclasses.replace(config.row, folders=(path.parent.name,))
    generator = GenerateDataset(43, 6, 0.85, config=dataclasses.replace(config, row=row))
    found, reason = generate_dataset.extract(generator, path.name, config.patch_frames)
    return (None if found is None else found[0]), reason


# --- the audio tree ------------------------------------------------------------------------------
def test_no_audio_tree(refused, paths):
    message = refused("create_encoding.py", "-d", 1)
    assert f"expected the audio of IRMAS in {paths / 'data' / 'irmas'}" in message
    assert "INSTREC_DATA_PATH" in message
    assert "python3 render_dataset.py -d 1" in message


def test_no_separated_tree(refused, wind, paths):
    message = refused("create_encoding.py", "-d", 3)
    assert str(paths / "data" / "irmas_harm") in message
    assert "separate it from irmas first: python3" in message


def test_empty_folder(refused, made, jazz):
    before = content(made)
    for path in (jazz / "ss").iterdir():
        path.unlink()
    message = refused("create_encoding.py", "-d", JAZZ)
    assert f"expected 2 or more audio files in {jazz / 'ss'}" in message
    assert "found none" in message
    assert content(made) == before


def test_empty_tree(refused, paths):
    (paths / "data" / "irmas").mkdir(parents=True)
    message = refused("create_encoding.py", "-d", 1)
    assert f"{paths / 'data' / 'irmas' / 'IRMAS-TrainingData' / 'cel'}, found none" in message


def test_no_test_clips(refused, wind):
    for path in wind.glob("IRMAS-Testing*/*/*.txt"):
        path.unlink()
    message = refused("create_encoding.py", "-d", WIND)
    assert "expected test clips with a label of IRMAS Wind" in message
    assert "left out 6" in message
    assert "no label file" in message


# --- audio files ---------------------------------------------------------------------------------
def cut(path):
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def write_zero_bytes(path):
    path.write_bytes(b"")


def write_text(path):
    path.write_text("This is no audio.\n" * 100)


def write_samples(value):
    return lambda path: soundfile.write(
        path, np.full((RATE, 2), float(value)), RATE, subtype="FLOAT"
    )


def write_infinite_of_both_signs(path):
    soundfile.write(path, np.full((RATE, 2), [np.inf, -np.inf]), RATE, subtype="FLOAT")


def write_folder(path):
    path.mkdir()


def write_cut(**options):
    def write(path):
        write_tone(path, 0, seconds=1.5, **options)
        cut(path)

    return write


UNUSABLE = [
    ("zero-byte.wav", write_zero_bytes, "not readable as audio"),
    ("text.wav", write_text, "not readable as audio"),
    ("cut.wav", write_cut(), "too short: 0.74 s, and one patch takes 1.00 s; cut off: it promises"),
    ("cut-24-bit.wav", write_cut(subtype="PCM_24"), "cut off"),
    ("cut.aiff", write_cut(), "cut off"),
    ("cut.flac", write_cut(), "cut off"),
    ("cut.ogg", write_cut(), "cut off"),
    ("silent.wav", write_samples(0), "silent"),
    ("nan.wav", write_samples(np.nan), "NaN"),
    ("infinite.wav", write_infinite_of_both_signs, "infinite"),
    (
        "no-samples.wav",
        lambda path: soundfile.write(path, np.empty((0, 2)), RATE),
        "holds no audio",
    ),
    ("0.4-s.wav", lambda path: write_tone(path, 0, seconds=0.4), "too short: 0.39 s"),
    ("folder.wav", write_folder, "no regular file"),
    ("missing.wav", lambda path: None, "no such file"),
]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("name", "write", "reason"), UNUSABLE, ids=[row[0] for row in UNUSABLE])
def test_unusable_file(paths, name, write, reason):
    write(paths / name)
    patches, found = patches_of(paths / name)
    assert patches is None
    assert reason in found
    assert "\n" not in found


def test_unusable_files_are_left_out_and_counted(call, capsys, jazz):
    for name, write, _ in UNUSABLE:
        write(jazz / "as" / name)
    (jazz / "as" / "missing.wav").symlink_to("nowhere.wav")
    call("create_encoding.py", "-d", JAZZ)
    capsys.readouterr()
    call("generate_dataset.py", "-d", JAZZ)
    told, left_out = capsys.readouterr().out, {}
    for part in tensors.PARTS:
        made = tensors.load(read(), part)
        unusable = made.record["left_out"]
        assert f"left out {len(unusable)} of {len(made.files)} files in all" in told
        used = {made.files[i] for i in np.unique(made.file_id)}
        assert used == set(made.files) - set(unusable)
        left_out |= unusable
    assert sorted(left_out) == sorted(f"as/{name}" for name, _, _ in UNUSABLE)
    for name, reason in left_out.items():
        assert f"left out: {name}: {reason}" in told


def test_no_usable_file_at_all(refused, call, jazz):
    for path in jazz.rglob("*.wav"):
        write_text(path)
    call("create_encoding.py", "-d", JAZZ)
    message = refused("generate_dataset.py", "-d", JAZZ)
    assert "none of 6 files" in message
    assert "as 0.wav: not readable as audio" in message or "as 1.wav: not readable" in message
    assert "run python3 generate_dataset.py -d -1" in message


ODD = [  # name, rate, options, and whether the samples stay as they were
    ("8-kHz.wav", 8000, {}, False),
    ("96-kHz.wav", 96000, {}, False),
    ("24-bit.wav", RATE, {"subtype": "PCM_24"}, True),
    ("float.wav", RATE, {"subtype": "FLOAT"}, True),
    ("flac.flac", RATE, {"subtype": "PCM_24"}, True),
    ("ogg.ogg", RATE, {}, False),
]


@pytest.mark.parametrize(("name", "rate", "options", "lossless"), ODD, ids=[row[0] for row in ODD])
def test_odd_format(paths, name, rate, options, lossless):
    y = tone(1, seconds=2.2)
    soundfile.write(paths / "plain.wav", y, RATE, subtype="PCM_16")
    y = audio.resample(np.ascontiguousarray(y), RATE, rate)
    soundfile.write(paths / name, y, rate, **options)
    (plain, _), (patches, reason) = patches_of(paths / "plain.wav"), patches_of(paths / name)
    assert reason is None
    assert patches.shape == plain.shape == (2, 128, 43, 1)
    if lossless:
        np.testing.assert_allclose(patches, plain, atol=0.05)
    low = slice(0, 60)  # bands below 2.7 kHz, which every format keeps
    assert np.corrcoef(patches[:, low].ravel(), plain[:, low].ravel())[0, 1] > 0.95


def test_six_channels(paths):
    y = tone(1, seconds=1.5)
    soundfile.write(paths / "2.wav", y, RATE)
    soundfile.write(paths / "6.wav", np.tile(y, (1, 3)), RATE)
    np.testing.assert_allclose(patches_of(paths / "6.wav")[0], patches_of(paths / "2.wav")[0], 1e-4)


# --- file names ----------------------------------------------------------------------------------
NAMES = [
    "[as][dru](1) {x}",
    'commas, "quotes" and b\'s; %d',
    "Çelo – 琴 🎷",
    "  blanks  ",
    os.fsdecode(b"no text \xe9\xff"),
    "-d 1",
]


def test_file_names(call, capsys, jazz):
    if sys.platform == "darwin":
        NAMES.remove(os.fsdecode(b"no text \xe9\xff"))  # its file system takes only text
    for i, name in enumerate(NAMES):
        write_tone(jazz / "made.wav", 0, seconds=1.5, seed=10 + i)
        (jazz / "made.wav").rename(jazz / "as" / f"{name}.wav")
        write_text(jazz / "as" / f"{name} bad.wav")
    for script in STEPS:
        call(script, "-d", JAZZ)
    parts = [tensors.load(read(), part) for part in tensors.PARTS]
    used = {part.files[i] for part in parts for i in part.file_id}
    assert used >= {f"as/{name}.wav" for name in NAMES}
    left_out = {name for part in parts for name in part.record["left_out"]}
    assert left_out == {f"as/{name} bad.wav" for name in NAMES}


def test_a_name_that_the_terminal_cannot_show(call, wind, monkeypatch):
    part = "IRMAS-TestingData-Part1/Part1"
    write_tone(wind / part / "琴.wav", 0)
    terminal = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", terminal)
    call("create_encoding.py", "-d", WIND)
    terminal.flush()
    assert rf"left out: {part}/\u7434.wav: no label file".encode() in terminal.buffer.getvalue()


# --- order of the steps, and settings that changed -----------------------------------------------
MODEL = ("-m", "model_leaky", "-o", "adam")


def leaky():
    return model_files.model_files(read(), "model_leaky", "adam")


def write_model(**changes):
    """Write what evaluate.py reads of a trained network before it needs the weights."""
    part = tensors.load(read(), "test")
    trained_on = {
        "tensors": tensors.load(read(), "train").fingerprint,
        "split": settings.val_split,
    }
    recipe = {**part.record["recipe"], **trained_on, **changes}
    record = {"recipe": recipe, "weights": "digest", "best_accuracy": 0.5}
    storage.save_json(leaky().run_record(0), record)
    storage.save_arrays(
        leaky().predictions(0),
        recipe=json.dumps(["digest", part.fingerprint]),
        predictions=np.full((len(part.file_id), len(part.label_names)), 0.5, dtype=np.float32),
    )


def test_generating_before_encoding(refused, jazz):
    message = refused("generate_dataset.py", "-d", JAZZ)
    assert "train.csv, found nothing: run python3 create_encoding.py -d -1" in message


def test_training_before_generating(refused, call, jazz, without_tensorflow):
    for _ in range(2):  # before the first step and before the second
        message = refused("train.py", *MODEL, "-d", JAZZ)
        assert f"{Path('train') / tensors.RECORD}, found nothing" in message
        assert "run python3 generate_dataset.py -d -1" in message
        call("create_encoding.py", "-d", JAZZ)


def test_evaluating_before_training(refused, made, without_tensorflow):
    for mode in (1, 2, 3):
        message = refused("evaluate.py", *MODEL, "-d", JAZZ, "-O", mode)
        assert f"trained iterations in {leaky().folder}, found 0" in message
        assert "run python3 train.py -m model_leaky -o adam -d -1" in message
    assert not settings.MODELS_ROOT.exists()


def test_evaluating_before_generating(refused, jazz, without_tensorflow):
    message = refused("evaluate.py", *MODEL, "-d", JAZZ, "-O", 2)
    assert "found nothing: run python3 generate_dataset.py -d -1" in message


def test_final_scores_before_the_optima(refused, made, without_tensorflow):
    write_model()
    message = refused("evaluate.py", *MODEL, "-d", JAZZ, "-O", 3, "-i", 1)
    assert f"expected {leaky().optima}, found nothing" in message
    assert "python3 plot_perf_metrics.py" in message


def test_tensors_made_with_other_settings(refused, call, made, monkeypatch, without_tensorflow):
    before = content(made)
    monkeypatch.setattr(settings, "num_mel_bands", 64)
    message = refused("train.py", *MODEL, "-d", JAZZ)
    assert "made with other settings than today's (num_mel_bands: 128, not 64)" in message
    assert "run python3 generate_dataset.py -d -1" in message
    assert content(made) == before
    call("generate_dataset.py", "-d", JAZZ)
    assert tensors.load(read(), "train").inputs[0].shape[1] == 64


def test_a_model_trained_on_other_features(refused, made, without_tensorflow):
    write_model(hop_length=256)
    before = content(settings.MODELS_ROOT)
    message = refused("evaluate.py", *MODEL, "-d", JAZZ, "-O", 2, "-i", 1)
    assert "trained with other settings or data than today's" in message
    assert "hop_length: 256, not 512" in message
    assert "run python3 train.py -m model_leaky -o adam -d -1" in message
    assert content(settings.MODELS_ROOT) == before


# --- damaged files -------------------------------------------------------------------------------
def scramble(path):
    path.write_bytes(bytes(range(256)) * (1 + path.stat().st_size // 256))


def empty(path):
    path.write_bytes(b"")


def refusal_of_tensors():
    """The message of whoever reads the training tensors and their split."""
    with pytest.raises(InputError) as error:
        tensors.load(read(), "train").validation_mask(read(), settings.val_split)
    assert "run python3 generate_dataset.py -d -1" in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("damage", [cut, scramble, empty])
@pytest.mark.parametrize(
    "name", ["X_jazz_db", "file_id", "files", "labels", "split_0.85_patch_0", "record.json"]
)
def test_damaged_tensors(call, made, name, damage):
    before = arrays(made)
    (path,) = (made / "train").glob(f"{name}*")
    damage(path)
    damaged = content(made)
    assert f"{path} is damaged" in refusal_of_tensors()
    assert content(made) == damaged
    call("generate_dataset.py", "-d", JAZZ, "--force")  # what the message says
    assert arrays(made) == before


@pytest.mark.parametrize(
    "otherwise",
    [np.asfortranarray, lambda x: x.astype(np.float64), lambda x: x.astype(">f4")],
    ids=["Fortran", "float64", "big endian"],
)
def test_patches_that_are_stored_otherwise(made, otherwise):
    """Batches are read by their place in the file."""
    path = made / "train" / "X_jazz_db.npy"
    np.save(path, otherwise(np.load(path)))
    assert f"{path} is damaged: expected shape" in refusal_of_tensors()


@pytest.mark.parametrize("name", ["file_id", "files", "labels", "split_0.85_patch_0"])
def test_tensors_that_do_not_fit_together(made, name):
    path = made / "train" / f"{name}.npy"
    np.save(path, np.load(path)[:-1])
    assert f"{path} is damaged: expected shape" in refusal_of_tensors()


def test_patches_of_files_that_are_not_there(made):
    path = made / "train" / "file_id.npy"
    np.save(path, np.load(path) + 1)
    assert f"{path} is damaged" in refusal_of_tensors()


def test_a_record_without_what_it_must_hold(made):
    path = made / "train" / tensors.RECORD
    record = json.loads(path.read_text())
    for name in ("recipe", "fingerprint", "patches", "files"):
        path.write_text(json.dumps({**record, name: None}))
        message = refusal_of_tensors()
        assert f"{path} is damaged" in message
        assert repr(name) in message


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        (b"", "does not start with"),
        (b"\xff\xfe\x00garbage\x00", "train.csv"),
        (b"filename,label\n", "names no files"),
        (b"filename,label\nas/as 0.wav,as\nas/as", "row 3: expected 2 columns, found 1"),
        (b"filename,label\nas/as 0.wav,kazoo\n", "row 2: unknown label 'kazoo'"),
        (b"filename,label\n../../secret.wav,as\n", "row 2: '../../secret.wav' is no file below"),
        (b"filename,label\nas/a\x00s.wav,as\n", "train.csv"),
    ],
    ids=["empty", "binary", "no rows", "cut", "label", "outside", "nul"],
)
def test_damaged_metadata(refused, made, rows, problem):
    before = arrays(made)
    (made / "train.csv").write_bytes(rows)
    message = refused("generate_dataset.py", "-d", JAZZ)
    assert problem in message
    assert str(made / "train.csv") in message
    assert "run python3 create_encoding.py -d -1" in message
    assert arrays(made) == before


@pytest.mark.parametrize("damage", [cut, scramble, empty])
def test_damaged_model_files(refused, made, without_tensorflow, damage):
    write_model()
    path = leaky().run_record(0)
    damage(path)
    message = refused("evaluate.py", *MODEL, "-d", JAZZ, "-O", 2, "-i", 1)
    assert f"{path} is damaged" in message
    assert "python3 train.py -m model_leaky -o adam -d -1" in message


@pytest.mark.parametrize("damage", [cut, scramble, empty])
def test_damaged_state_of_a_training(tmp_path, damage):
    path = tmp_path / "state.npz"
    storage.save_arrays(path, recipe="{}", v0=np.arange(1000))
    assert storage.load_arrays(path, "train.py")["v0"].tolist() == list(range(1000))
    damage(path)
    with pytest.raises(InputError, match=r"state\.npz is damaged .* run train\.py"):
        storage.load_arrays(path, "train.py")


def test_damaged_weights(refused, made):
    write_model()
    leaky().predictions(0).unlink()
    leaky().best(0).write_bytes(b"\x89HDF\r\n no weights")
    message = refused("evaluate.py", *MODEL, "-d", JAZZ, "-O", 2, "-i", 1)
    assert str(leaky().best(0)) in message
    assert "train" in message


# --- interrupted runs ----------------------------------------------------------------------------
@pytest.fixture
def interrupted(jazz, call, capsys, monkeypatch):
    """An extraction that Ctrl-C stopped at the fifth file; returns the folder it left."""
    call("create_encoding.py", "-d", JAZZ)
    original, count = features.cut_patches, itertools.count()

    def interrupt(*arguments):
        if next(count) == 4:
            raise KeyboardInterrupt
        return original(*arguments)

    with monkeypatch.context() as patch, pytest.raises(SystemExit) as error:
        patch.setattr(features, "cut_patches", interrupt)
        call("generate_dataset.py", "-d", JAZZ)
    assert error.value.code == 130
    assert "stopped: the same command goes on from here" in capsys.readouterr().err
    return read().feature_folder / f"train{storage.PARTIAL}"


def uninterrupted(paths, call):
    """The arrays of an extraction in one go."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(settings, "FEATURE_PATH", paths / "reference")
        for script in STEPS:
            call(script, "-d", JAZZ)
        return arrays(read().feature_folder)


def test_interrupt_and_resume(interrupted, call, capsys, paths):
    call("generate_dataset.py", "-d", JAZZ)
    assert "going on after 4 of 6 files" in capsys.readouterr().out
    assert arrays(interrupted.parent) == uninterrupted(paths, call)
    assert not interrupted.exists()


@pytest.mark.parametrize("damage", [cut, scramble, empty, Path.unlink])
@pytest.mark.parametrize("name", [PatchWriter.JOURNAL, "X_jazz_db.npy", tensors.RECORD])
def test_damage_to_what_an_interrupted_run_left(interrupted, call, capsys, paths, name, damage):
    damage(interrupted / name)
    call("generate_dataset.py", "-d", JAZZ)
    assert "going on after 4" not in capsys.readouterr().out  # the damaged files are read anew
    assert arrays(interrupted.parent) == uninterrupted(paths, call)


# Kills itself when the patches of the fourth file are half written, the worst moment there is.
KILLED = """
import multiprocessing, os, signal, sys
sys.path.insert(0, {root!r})
import generate_dataset
from instrec.common import command
from instrec.data.patch_writer import PatchWriter

def write(self, name, tensors, reason):
    if len(self.done) == 3:
        self._files[0].write(tensors[0].tobytes()[: tensors[0].nbytes // 2])
        self._files[0].flush()
        os.kill(os.getpid(), signal.SIGKILL)
    original(self, name, tensors, reason)

if __name__ == "__main__":
    multiprocessing.cpu_count = lambda: 2
    original, PatchWriter.write = PatchWriter.write, write
    command.run(lambda: generate_dataset.main(["-d", "{dataset}"]))
"""

# Sends itself and its workers what Ctrl-C sends, while these are only just starting.
INTERRUPTED = """
import os, signal, sys, threading, time
sys.path.insert(0, {root!r})
from instrec.common import command, parallel

def work(seconds):
    time.sleep(seconds)

def main():
    # A test run in the background of a shell is started deaf to it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Timer(0.3, os.killpg, (0, signal.SIGINT)).start()
    list(parallel.ordered_map(work, [(0.1,)] * 100, workers=2))

if __name__ == "__main__":
    command.run(main)
"""


def run_with_workers(tmp_path, code):
    script = tmp_path / "script.py"
    script.write_text(code.format(root=str(ROOT), dataset=JAZZ))
    process = subprocess.Popen(
        [sys.executable, script],
        env=script_environment(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        # The workers hold the pipes as well: this waits until every one of them has ended.
        _, errors = process.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    return process.returncode, errors


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_kill_and_resume(jazz, call, capsys, paths):
    call("create_encoding.py", "-d", JAZZ)
    code, errors = run_with_workers(paths, KILLED)
    assert code == -signal.SIGKILL
    assert "Traceback" not in errors
    folder = read().feature_folder
    assert not (folder / "train").exists()
    call("generate_dataset.py", "-d", JAZZ)
    assert "going on after 3 of 6 files" in capsys.readouterr().out
    assert arrays(folder) == uninterrupted(paths, call)


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_interrupt_of_all_processes(paths):
    """Ctrl-C in a terminal reaches the workers too; only one line must come of it."""
    code, errors = run_with_workers(paths, INTERRUPTED)
    assert code == 130
    assert errors.strip() == "stopped"


def extract_or_be_killed(generator, filename, step):
    """Stand in for `generate_dataset.extract` in a worker that runs out of memory."""
    if filename.startswith("ss"):
        os.kill(os.getpid(), signal.SIGKILL)
    return real_extract(generator, filename, step)


real_extract = generate_dataset.extract


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_a_worker_is_killed(refused, call, jazz, paths, monkeypatch):
    call("create_encoding.py", "-d", JAZZ)
    with monkeypatch.context() as patch:
        patch.setattr(multiprocessing, "cpu_count", lambda: 2)
        patch.setattr(generate_dataset, "extract", extract_or_be_killed)
        message = refused("generate_dataset.py", "-d", JAZZ)
    assert "a worker process was killed at " in message
    assert "the same command goes on" in message
    call("generate_dataset.py", "-d", JAZZ)
    assert arrays(read().feature_folder) == uninterrupted(paths, call)


# --- a full disk ---------------------------------------------------------------------------------
@contextlib.contextmanager
def full_disk(room):
    """Let the disk be full after `room` more calls that write to it: PatchWriter's or fsync."""

    def use_up():
        nonlocal room
        room -= 1
        if room < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    class Full:
        """A file that takes half of what is written when the disk becomes full."""

        def __init__(self, file):
            self._file = file

        def __getattr__(self, name):
            return getattr(self._file, name)

        def write(self, data):
            try:
                use_up()
            except OSError:
                self._file.write(data[: len(data) // 2])
                raise
            return self._file.write(data)

    def fsync(_):
        use_up()

    original = PatchWriter.__init__

    def init(self, *arguments):
        original(self, *arguments)
        self._files = [Full(file) for file in self._files]
        self._journal = Full(self._journal)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", fsync)
        patch.setattr(PatchWriter, "__init__", init)
        yield


def test_full_disk_while_encoding(refused, call, made, jazz):
    before = content(made)
    write_tone(jazz / "as" / "new.wav", 0, seconds=1.5)
    for room in range(2):
        with full_disk(room):
            message = refused("create_encoding.py", "-d", JAZZ)
        assert "the disk is full while writing" in message
        assert str(made) in message
        assert content(made) == before
    call("create_encoding.py", "-d", JAZZ)
    assert sum(len(metadata.read(read(), part)) for part in tensors.PARTS) == 13


def test_full_disk_while_generating(call, made, jazz):
    before = arrays(made)
    # The same audio, to be read anew: whatever a full disk leaves must hold the same arrays.
    for path in jazz.rglob("*.wav"):
        os.utime(path, ns=(0, 0))
    for room in itertools.count():
        try:
            with full_disk(room):
                call("generate_dataset.py", "-d", JAZZ)
            break
        except SystemExit as error:
            assert "the disk is full while writing" in error.code
            assert str(made) in error.code
        found = {name: data for name, data in arrays(made).items() if storage.PARTIAL not in name}
        lost = before.keys() - found.keys()
        assert all(Path(name).name.startswith("split_") for name in lost)  # made again when read
        assert all(before[name] == data for name, data in found.items())
    assert room > 5  # it was full in as many places
    assert arrays(made) == before


def test_full_disk_at_the_end_does_not_lose_the_extraction(refused, call, capsys, jazz):
    call("create_encoding.py", "-d", JAZZ)
    with full_disk(14):  # the record, the journal and 6 files are written; then come their names
        message = refused("generate_dataset.py", "-d", JAZZ)
    assert "file_id.npy" in message
    capsys.readouterr()
    call("generate_dataset.py", "-d", JAZZ)
    assert "going on after 6 of 6 files" in capsys.readouterr().out


def write_hdf5(path):
    import h5py

    with storage.whole(path) as partial, h5py.File(partial, "w") as file:
        file["weights"] = np.zeros(10_000)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux' full device")
@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("a.json", lambda path: storage.save_json(path, {"a": 1})),
        ("a.npy", lambda path: storage.save_array(path, np.zeros(10_000))),
        ("a.npz", lambda path: storage.save_arrays(path, a=np.zeros(10_000))),
        ("a.hdf5", write_hdf5),
    ],
)
def test_full_device(tmp_path, refused, call, monkeypatch, name, write):
    """What each library makes of a device that is really full ends as the same line."""
    path = tmp_path / name
    path.write_bytes(b"before")
    unlink = Path.unlink

    def lead_to_it(partial, **_):
        """Stand in for what removes a link to elsewhere before anything is written."""
        monkeypatch.setattr(Path, "unlink", unlink)
        partial.symlink_to("/dev/full")

    monkeypatch.setattr(Path, "unlink", lead_to_it)
    monkeypatch.setattr(create_encoding, "main", lambda _: write(path))
    message = refused("create_encoding.py")
    assert "the disk is full while writing " in message
    assert str(path) in message or storage.PARTIAL in message
    assert content(tmp_path) == {name: b"before"}


# --- two runs at once ----------------------------------------------------------------------------
@pytest.mark.parametrize("script", STEPS)
def test_two_runs_of_one_step(refused, made, script):
    before = content(made)
    with storage.lock(made, "something"):
        message = refused(script, "-d", JAZZ)
    assert "another run is writing" in message
    assert f"in {made}: wait for it or stop it" in message
    assert content(made) == before


def test_two_trainings_that_need_the_same_new_split(made, monkeypatch):
    calls, original = [], splits.validation_mask

    def slow(*arguments, **options):
        calls.append(arguments)
        time.sleep(0.3)
        return original(*arguments, **options)

    monkeypatch.setattr(splits, "validation_mask", slow)
    part, found = tensors.load(read(), "train"), []
    threads = [
        threading.Thread(target=lambda: found.append(part.validation_mask(read(), 0.5)))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 1
    np.testing.assert_array_equal(*found)


# --- permissions; simulated, for root may do everything ------------------------------------------
def denied(path):
    return PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))


def test_unreadable_folder(refused, made, wind, monkeypatch):
    original = os.scandir

    def scandir(path):
        if Path(path).name == "Part3":
            raise denied(path)
        return original(path)

    monkeypatch.setattr(os, "scandir", scandir)
    message = refused("create_encoding.py", "-d", WIND)
    assert f"no permission for {wind / 'IRMAS-TestingData-Part3' / 'Part3'}" in message
    assert "INSTREC_DATA_PATH" in message


def test_read_only_folder(refused, made, jazz, monkeypatch):
    before = content(made)
    original = os.open

    def open_(path, flags, *arguments, **options):
        if flags & (os.O_WRONLY | os.O_RDWR) and str(path).startswith(str(made)):
            raise denied(path)
        return original(path, flags, *arguments, **options)

    monkeypatch.setattr(os, "open", open_)
    message = refused("create_encoding.py", "-d", JAZZ)
    assert f"no permission for {made}" in message
    assert "INSTREC_FEATURE_PATH" in message
    assert content(made) == before


def test_unreadable_tensors_are_not_called_damaged(refused, made, monkeypatch, without_tensorflow):
    def load(path, **_):
        raise denied(path)

    monkeypatch.setattr(np, "load", load)
    message = refused("train.py", *MODEL, "-d", JAZZ)
    assert "no permission for" in message
    assert "damaged" not in message
    assert "delete" not in message


def test_unreadable_audio_file(paths, monkeypatch):
    write_text(paths / "a.wav")

    def open_(path, *_):
        raise denied(path)

    monkeypatch.setattr(Path, "open", open_)
    assert patches_of(paths / "a.wav") == (None, "permission denied")
