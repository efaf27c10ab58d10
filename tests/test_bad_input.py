"""What a user can do wrong, and what a machine can do to a run: one plain line, nothing lost."""

import errno
import io
import itertools
import json
import multiprocessing
import os
import shutil
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import soundfile
from conftest import RATE, contents, extract, extract_or_die, make_folders, make_irmas, write_tone

import generate_dataset
import settings
from instrec.common import storage
from instrec.config import read
from instrec.data import features, splits, tensors
from instrec.data.patch_writer import PatchWriter
from instrec.errors import InputError

WIND = 7  # data set with IRMAS' layout and the fewest labels
JAZZ = -1  # data set of one folder a label


@pytest.fixture
def without_tensorflow(monkeypatch):
    """Fail if anything imports TensorFlow: what can be refused before that long wait, is."""
    for name in ("tensorflow", "keras", "instrec.learning.backend"):
        monkeypatch.setitem(sys.modules, name, None)


@pytest.fixture
def whole(made):
    """The arrays of tensors that were extracted in one go."""
    return arrays(made)


@pytest.fixture
def jazz(whole, paths):
    """A small audio tree of one folder a label."""
    shutil.rmtree(paths / "features")
    return paths / "data" / "jazz_db"


@pytest.fixture
def wind(paths):
    """A small audio tree in the layout of IRMAS."""
    return make_irmas(paths, settings.IRMAS_WIND, train=2, test=6)


def make_tensors(root):
    make_folders(root, settings.JAZZ, files=2, seconds=2.2, folder="jazz_db")
    extract(JAZZ)


@pytest.fixture
def made(paths, made_once):
    """Tensors of a small audio tree of one folder a label; returns their folder."""
    settings.dataset = JAZZ
    made_once(paths, make_tensors)
    return read().feature_folder


def arrays(folder):
    """The arrays of a folder of tensors; their record also holds times and versions."""
    return {name: data for name, data in contents(folder).items() if name.endswith(".npy")}


def cut(path):
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def scramble(path):
    path.write_bytes(bytes(range(256)) * (1 + path.stat().st_size // 256))


def empty(path):
    path.write_bytes(b"")


# --- the audio tree ------------------------------------------------------------------------------
def test_trees_without_audio(refused, wind, paths):
    irmas = paths / "data" / "irmas"
    message = refused("create_encoding.py", "-d", 3)
    assert str(paths / "data" / "irmas_harm") in message and "separate it from irmas" in message
    for path in wind.glob("IRMAS-Testing*/*/*.txt"):
        path.unlink()
    message = refused("create_encoding.py", "-d", WIND)
    assert "expected test clips" in message and "left out 6" in message
    for path in irmas.rglob("*.wav"):
        path.unlink()
    message = refused("create_encoding.py", "-d", 1)
    assert f"{irmas / 'IRMAS-TrainingData' / 'cel'}, found none" in message
    shutil.rmtree(irmas)
    message = refused("create_encoding.py", "-d", 1)
    assert str(irmas) in message and "python3 render_dataset.py -d 1" in message


def test_empty_folder(refused, made, paths):
    before = contents(made)
    folder = paths / "data" / "jazz_db" / "ss"
    for path in folder.iterdir():
        path.unlink()
    message = refused("create_encoding.py", "-d", JAZZ)
    assert f"expected 2 or more audio files in {folder}" in message
    assert contents(made) == before


# --- audio files ---------------------------------------------------------------------------------
def write_text(path):
    path.write_text("This is no audio.\n" * 100)


def write_samples(*frame, seconds=1):
    """Return a writer of stereo audio of the same two samples over and over."""
    samples = np.tile(np.array(frame, dtype=float), (int(seconds * RATE), 1))
    return lambda path: soundfile.write(path, samples, RATE, subtype="FLOAT")


def write_cut(path):
    write_tone(path, 0, seconds=1.5)
    cut(path)


UNUSABLE = {  # more of what is cut, and of what is no audio, in test_audio.py
    "zero-byte.wav": (empty, "not readable as audio"),
    "text.wav": (write_text, "not readable as audio"),
    "cut.wav": (write_cut, "too short: 0.74 s, and one patch takes 1.00 s; cut off: it promises"),
    "silent.wav": (write_samples(0, 0), "silent"),
    "nan.wav": (write_samples(np.nan, 0), "NaN"),
    "infinite.wav": (write_samples(np.inf, -np.inf), "infinite"),
    "no-samples.wav": (write_samples(0, 0, seconds=0), "holds no audio"),
    "0.4-s.wav": (write_samples(0.5, 0.5, seconds=0.4), "too short: 0.39 s"),
    "folder.wav": (Path.mkdir, "no regular file"),
    "missing.wav": (lambda path: path.symlink_to("nowhere.wav"), "no such file"),
}


@pytest.mark.filterwarnings("error")
def test_unusable_files_are_left_out_and_counted(call, jazz):
    for name, (write, _) in UNUSABLE.items():
        write(jazz / "as" / name)
    call("create_encoding.py", "-d", JAZZ)
    told, left_out = call("generate_dataset.py", "-d", JAZZ).out, {}
    for part in tensors.PARTS:
        made = tensors.load(read(), part)
        unusable = made.record["left_out"]
        assert f"left out {len(unusable)} of {len(made.files)} files in all" in told
        used = {made.files[i] for i in np.unique(made.file_id)}
        assert used == set(made.files) - set(unusable)
        left_out |= unusable
    assert sorted(left_out) == sorted(f"as/{name}" for name in UNUSABLE)
    for name, reason in left_out.items():
        assert f"left out: {name}: {reason}" in told
        assert UNUSABLE[Path(name).name][1] in reason


def test_no_usable_file_at_all(refused, call, jazz):
    for path in jazz.rglob("*.wav"):
        write_text(path)
    call("create_encoding.py", "-d", JAZZ)
    message = refused("generate_dataset.py", "-d", JAZZ)
    assert "none of 6 files" in message and "not readable as audio" in message


# --- file names ----------------------------------------------------------------------------------
NAMES = [
    "[as][dru](1) {x}",
    'commas, "quotes" and b\'s; %d',
    "Çelo – 琴 🎷",
    "  blanks  ",
    os.fsdecode(b"no text \xe9\xff"),
    "-d 1",
]


def test_file_names(jazz):
    if sys.platform == "darwin":
        NAMES.remove(os.fsdecode(b"no text \xe9\xff"))  # its file system takes only text
    for i, name in enumerate(NAMES):
        write_tone(jazz / "made.wav", 0, seconds=1.5, seed=10 + i)
        (jazz / "made.wav").rename(jazz / "as" / f"{name}.wav")
        write_text(jazz / "as" / f"{name} bad.wav")
    extract(JAZZ)
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


def test_steps_before_those_that_they_need(refused, call, jazz, without_tensorflow):
    evaluate = ("evaluate.py", *MODEL, "-d", JAZZ, "-O")
    train = ("train.py", *MODEL, "-d", JAZZ)
    assert "create_encoding.py -d -1" in refused("generate_dataset.py", "-d", JAZZ)
    for command in (train, (*evaluate, 2)):
        assert "found nothing: run python3 generate_dataset.py -d -1" in refused(*command)
    call("create_encoding.py", "-d", JAZZ)
    assert "run python3 generate_dataset.py -d -1" in refused(*train)
    call("generate_dataset.py", "-d", JAZZ)
    for mode in (1, 2, 3):
        message = refused(*evaluate, mode)
        assert "found 0: run python3 train.py -m model_leaky -o adam -d -1" in message
    assert not settings.MODELS_ROOT.exists()


# --- damaged files -------------------------------------------------------------------------------
def refusal_of_tensors():
    """The message of whoever reads the training tensors and their split."""
    with pytest.raises(InputError) as error:
        tensors.load(read(), "train").validation_mask(read(), settings.val_split)
    assert "run python3 generate_dataset.py -d -1" in str(error.value)
    return str(error.value)


def holding(change):
    """Return what lets a file hold a changed array."""
    return lambda path: np.save(path, change(np.load(path)))


ARRAYS = ("file_id.npy", "files.npy", "labels.npy", "split_0.85_patch_0.npy")


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        *itertools.product(("X_jazz_db.npy", tensors.RECORD, *ARRAYS), (scramble, empty, cut)),
        *((name, holding(lambda x: x[:-1])) for name in ARRAYS),  # it fits not the others
        ("file_id.npy", holding(lambda x: x + 1)),
        # Batches are read by their place in the file.
        *(("X_jazz_db.npy", holding(change)) for change in (np.asfortranarray, np.float64)),
        ("X_jazz_db.npy", holding(lambda x: x.astype(">f4"))),
    ],
)
def test_damaged_tensors(call, made, whole, name, damage):
    path = made / "train" / name
    damage(path)
    damaged = contents(made)
    assert f"{path} is damaged" in refusal_of_tensors()
    assert contents(made) == damaged
    call("generate_dataset.py", "-d", JAZZ, "--force")  # what the message says
    assert arrays(made) == whole


def test_a_record_without_what_it_must_hold(made):
    path = made / "train" / tensors.RECORD
    record = json.loads(path.read_text())
    for name in ("recipe", "fingerprint", "patches", "files"):
        path.write_text(json.dumps({**record, name: None}))
        message = refusal_of_tensors()
        assert f"{path} is damaged" in message and repr(name) in message


def test_damaged_metadata(refused, made, whole):
    path = made / "train.csv"
    for rows, problem in (
        (b"", "does not start with"),
        (b"\xff\xfe\x00garbage\x00", ""),
        (b"filename,label\n", "names no files"),
        (b"filename,label\nas/as 0.wav,as\nas/as", "row 3: expected 2 columns, found 1"),
        (b"filename,label\nas/as 0.wav,kazoo\n", "row 2: unknown label 'kazoo'"),
        (b"filename,label\nas/a\x00s.wav,as\n", ""),
    ):
        path.write_bytes(rows)
        message = refused("generate_dataset.py", "-d", JAZZ)
        assert problem in message and str(path) in message and "create_encoding.py" in message
    assert arrays(made) == whole


# --- interrupted runs ----------------------------------------------------------------------------
@pytest.fixture
def interrupted(jazz, call, capsys):
    """An extraction that Ctrl-C stopped at the fifth file; returns the folder it left."""
    call("create_encoding.py", "-d", JAZZ)
    course = [*[mock.DEFAULT] * 4, KeyboardInterrupt]
    stopped = mock.Mock(wraps=features.cut_patches, side_effect=course)
    with mock.patch.object(features, "cut_patches", stopped), pytest.raises(SystemExit) as error:
        call("generate_dataset.py", "-d", JAZZ)
    assert error.value.code == 130 and "stopped" in capsys.readouterr().err
    return read().feature_folder / f"train{storage.PARTIAL}"


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("", None),
        *((PatchWriter.JOURNAL, damage) for damage in (cut, scramble, Path.unlink)),
        *(("X_jazz_db.npy", damage) for damage in (cut, Path.unlink)),
        (tensors.RECORD, cut),
    ],
)
def test_an_interrupted_run_goes_on_with_what_is_whole(interrupted, call, whole, name, damage):
    if damage:  # what it did to several files is done anew
        damage(interrupted / name)
    told = call("generate_dataset.py", "-d", JAZZ).out
    assert ("going on after 4 of 6 files" in told) == (damage is None)
    assert arrays(interrupted.parent) == whole
    assert not interrupted.exists()


# Sends itself, or itself and its workers, a signal, while these are only just starting.
STOPPED = """
import os, signal, threading, time
from instrec.common import command, parallel

def main():
    os.setsid()  # not those that started it
    # A test run in the background of a shell is started deaf to it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Timer(0.3, {stop}).start()
    list(parallel.ordered_map(time.sleep, [(0.1,)] * 100, workers=2))

command.run(main)
"""


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize(
    ("stop", "code"),
    [
        ("os.killpg, (0, signal.SIGINT)", 130),
        ("os.kill, (os.getpid(), signal.SIGKILL)", -signal.SIGKILL),
    ],
    ids=["interrupted", "killed"],
)
def test_workers_end_with_a_run_and_add_nothing_to_its_line(run_script, stop, code):
    """Ctrl-C in a terminal reaches the workers too."""
    # The workers hold the pipes as well: this waits until every one of them has ended.
    ended = run_script("-c", STOPPED.format(stop=stop), check=False)
    assert ended.returncode == code and "Traceback" not in ended.stderr
    assert ended.stderr.strip() == "stopped" or code < 0


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_a_worker_is_killed(refused, call, jazz, whole, monkeypatch):
    call("create_encoding.py", "-d", JAZZ)
    with monkeypatch.context() as patch:
        patch.setattr(multiprocessing, "cpu_count", lambda: 2)
        patch.setattr(generate_dataset, "extract", extract_or_die)
        message = refused("generate_dataset.py", "-d", JAZZ)
    assert "a worker process was killed at " in message
    assert "the same command goes on" in message
    call("generate_dataset.py", "-d", JAZZ)
    assert arrays(read().feature_folder) == whole


# --- a full disk ---------------------------------------------------------------------------------
def test_full_disk_while_generating(call, made, whole, paths, monkeypatch):
    """The disk is full once so many files are on it; at every write, in tests/faults."""
    # The same audio, to be read anew: whatever a full disk leaves must hold the same arrays.
    for path in paths.rglob("*.wav"):
        os.utime(path, ns=(0, 0))
    for room in itertools.count():
        full = itertools.repeat(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
        monkeypatch.setattr(
            os, "fsync", mock.Mock(side_effect=itertools.chain([None] * room, full))
        )
        try:
            call("generate_dataset.py", "-d", JAZZ)
            break
        except SystemExit as error:
            assert "the disk is full while writing" in error.code
            assert str(made) in error.code
        found = {name: data for name, data in arrays(made).items() if storage.PARTIAL not in name}
        lost = whole.keys() - found.keys()
        assert all(Path(name).name.startswith("split_") for name in lost)  # made again when read
        assert all(whole[name] == data for name, data in found.items())
    assert room > 5  # it was full in as many places
    assert arrays(made) == whole


# --- two runs at once ----------------------------------------------------------------------------
@pytest.mark.parametrize("script", ["create_encoding.py", "generate_dataset.py"])
def test_two_runs_of_one_step(refused, made, script):
    before = contents(made)
    with storage.lock(made, "something"):
        message = refused(script, "-d", JAZZ)
    assert "another run is writing" in message
    assert f"in {made}: wait for it or stop it" in message
    assert contents(made) == before


def test_two_trainings_that_need_the_same_new_split(made, monkeypatch):
    def wait(*_, **__):
        time.sleep(0.3)
        return mock.DEFAULT

    slow = mock.Mock(wraps=splits.validation_mask, side_effect=wait)
    monkeypatch.setattr(splits, "validation_mask", slow)
    part = tensors.load(read(), "train")
    with ThreadPoolExecutor(2) as pool:
        found = pool.map(lambda _: part.validation_mask(read(), 0.5), range(2))
    slow.assert_called_once()
    np.testing.assert_array_equal(*found)


# --- permissions; simulated, for root may do everything ------------------------------------------
def denied(path):
    return PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))


def test_unreadable_folder(refused, wind, monkeypatch):
    original = os.scandir

    def scandir(path):
        if Path(path).name == "Part3":
            raise denied(path)
        return original(path)

    monkeypatch.setattr(os, "scandir", scandir)
    message = refused("create_encoding.py", "-d", WIND)
    assert f"no permission for {wind / 'IRMAS-TestingData-Part3' / 'Part3'}" in message
    assert "INSTREC_DATA_PATH" in message


def test_unreadable_tensors_are_not_called_damaged(refused, made, monkeypatch, without_tensorflow):
    monkeypatch.setattr(np, "load", mock.Mock(side_effect=denied("X.npy")))
    message = refused("train.py", *MODEL, "-d", JAZZ)
    assert "no permission for" in message
    assert "damaged" not in message
    assert "delete" not in message
