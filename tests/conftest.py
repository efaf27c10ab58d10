"""Shared fixtures: a place of its own for every test, and small data sets of plain tones."""

import contextlib
import dataclasses
import importlib
import json
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import soundfile

import generate_dataset
import settings
from instrec.common import command
from instrec.config import Config, FeatureParameters, read
from instrec.data import audio, features
from instrec.errors import InputError
from instrec.learning import model_files, trained
from instrec.scoring import scores

collect_ignore = ["faults/audit.py", "make_keras2.py"]  # programs
ROOT = Path(__file__).resolve().parent.parent
RATE = 44100


@pytest.fixture(autouse=True)
def paths(tmp_path, monkeypatch):
    """Point all paths to an empty folder and choose IRMAS; settings are restored afterwards."""
    for name, folder in folders_below(tmp_path).items():
        monkeypatch.setattr(settings, name, folder)
    for field in dataclasses.fields(Config):
        if hasattr(settings, field.name):  # so that tests may assign freely
            monkeypatch.setattr(settings, field.name, getattr(settings, field.name))
    settings.dataset = 1
    return tmp_path


def folders_below(root):
    return {
        "DATA_PATH": root / "data",
        "FEATURE_PATH": root / "features",
        "MODELS_ROOT": root / "models",
    }


def contents(folder):
    """Every file below a folder by its name, and its bytes, but for hidden ones such as locks."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith(".")
    }


@pytest.fixture(autouse=True)
def alike_and_quick(monkeypatch):
    """The same networks in every run; and one process, for starting others takes longer."""
    random.seed(0)  # Keras draws the seeds of their weights from Python
    monkeypatch.setattr(multiprocessing, "cpu_count", lambda: 1)


@pytest.fixture
def call(capsys):
    """Run a script in this process, as `call("train.py", "-d", 1)`; return what it has printed."""

    def call_and_read(*script):
        capsys.readouterr()  # of before
        call_script(*script)
        return capsys.readouterr()

    return call_and_read


def call_script(script, *arguments):
    if "-d" in arguments:  # what the test does next is on the same data set
        settings.dataset = int(arguments[arguments.index("-d") + 1])
    module = importlib.import_module(Path(script).stem)

    def main():
        module.main([*map(str, arguments)])

    main.__module__ = module.__name__
    command.run(main)


def extract_or_die(generator, filename, step, *, once=False):
    """Stand in for `generate_dataset.extract` in a worker that is killed in the middle."""
    killed = generator.config.data_path / ".killed"
    if filename.endswith("1.wav") and not (once and killed.exists()):
        killed.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return real_extract(generator, filename, step)


real_extract = generate_dataset.extract


def extract(id_):
    """Read the audio of a data set into tensors."""
    call_script("create_encoding.py", "-d", id_)
    call_script("generate_dataset.py", "-d", id_)


def find_scores(trainings, *model):
    """Score a model by the thresholds that are found for it."""
    call_script("evaluate.py", *model, "-O", 2, "-i", trainings)
    call_script("plot_perf_metrics.py", *model)
    call_script("evaluate.py", *model, "-O", 3, "-i", trainings)


@pytest.fixture
def refused(call):
    """Run a script that ends with one plain line; return that line."""

    def call_refused(script, *arguments):
        with pytest.raises(SystemExit) as error:
            call(script, *arguments)
        message = error.value.code
        assert isinstance(message, str), message
        assert message.startswith("error: ") and "\n" not in message
        return message

    return call_refused


def refuses(expected, function, *arguments, **options):
    """What a function is given is a user's error, told in one line that says the expected."""
    with pytest.raises(InputError, match=expected) as error:
        function(*arguments, **options)
    assert "\n" not in str(error.value)


@pytest.fixture(scope="session")
def made_once(tmp_path_factory):
    """Copy to a test what a function makes below a folder of its own, in the first test only."""
    made = {}

    def copy(paths, make):
        if make not in made:
            root = tmp_path_factory.mktemp(make.__name__)
            with changed(folders_below(root) | {"dataset": settings.dataset}):
                make(root)
            made[make] = root
        shutil.copytree(made[make], paths, dirs_exist_ok=True)

    return copy


def prepared(make, id_, name="model_tiny"):
    """Return a fixture: what a function makes of a data set, and the files of a model on it."""

    @pytest.fixture
    def prepare(paths, made_once):
        made_once(paths, make)
        settings.dataset = id_
        return model_files.model_files(read(), name, "adam")

    return prepare


TINY = settings.DataSet("tiny", "Tiny", ("cel", "cla", "flu"), ("irmas",), "irmas")
SINGLE = settings.DataSet("single", "Single", TINY.labels, ("single",), "folders")
BOTH = settings.DataSet(
    *("both", "Both", TINY.labels, ("single_harm", "single_perc"), "folders"), source="single"
)
TARGET = settings.DataSet("target", "Target", ("as", "ts"), ("target",), "folders")
OF_TESTS = {20: TINY, 21: SINGLE, 22: TARGET, 23: BOTH}
settings.DATA_SETS |= OF_TESTS
MODEL = ("-m", "model_tiny", "-o", "adam")


def make_tiny(root):
    make_irmas(root, TINY.labels, train=6, test=12)
    extract(20)


def make_tiny_model(root):
    make_tiny(root)
    train_twice(20)


def make_model(root):
    make_folders(root, SINGLE.labels, files=6, folder="single")
    extract(21)
    train_twice(21)


def make_separated_model(root):
    make_folders(root, SINGLE.labels, files=6, folder="single")
    call_script("separate_sources.py", "-d", 23)
    extract(23)
    with changed({"standardise": True, "name": "std"}):
        trained_on(23, tiny_network(inputs=2), epochs=2, iter_num=2)


# Tensors of three labels: 54 patches, of which 45 train and 9 validate.
tiny = prepared(make_tiny, 20)
# A tiny network trained twice on those tensors.
tiny_model = prepared(make_tiny_model, 20)
# A tiny network trained twice on tones of three pitches.
model = prepared(make_model, 21)
# A standardised network of both separated parts of the tones, trained twice.
separated_model = prepared(make_separated_model, 23, "std")


def new_trainer(id_, network=None, optimizer="adam", data_dist=None, **options):
    """Return the trainer of a tiny network, with the data of a data set of three labels."""
    import train

    settings.dataset = id_
    network = network or tiny_network()
    trainer = train.Trainer(network, optimizer, data_dist, **options)
    load = trainer.load_data if len(network.inputs) == 1 else trainer.load_multi_data
    load()
    return trainer


def trained_on(id_, *network, epochs=3, batch=8, iter_num=1, overwrite=False, **options):
    """Train such a network; return the trainer."""
    trainer = new_trainer(id_, *network, **options)
    trainer.train(epochs, batch, iter_num, overwrite=overwrite)
    return trainer


def train_twice(id_, **options):
    """Train until most clips of tones are recognised."""
    settings.learning_rate = 0.01
    trained_on(id_, epochs=10, iter_num=2, **options)


@pytest.fixture
def song(paths):
    """One instrument, then another."""
    path = paths / "a song.wav"
    y = np.concatenate([tone(0, 6, seed=50), tone(2, 6, seed=51)])
    soundfile.write(path, y, RATE)
    return path


def tiny_network(inputs=1, hidden=0):
    """A network that learns tones; `hidden` units are a layer that a transfer can freeze."""
    from instrec.learning.backend import keras

    tensors = [keras.Input((128, 43, 1)) for _ in range(inputs)]
    x = keras.layers.Concatenate()(tensors) if inputs > 1 else tensors[0]
    x = keras.layers.Flatten()(keras.layers.AveragePooling2D((4, 43))(x))
    if hidden:
        x = keras.layers.Dense(hidden, activation="relu", name="dense")(x)
    x = keras.layers.Dropout(0.2)(x)
    # Called as Keras calls the first layers of a process, which makes a transfer.
    output = keras.layers.Dense(3, activation="sigmoid", name="dense_1" if hidden else None)
    return keras.Model(tensors, output(x), name="model_tiny")


def record_of(files, iteration=0):
    """Return what a training has written of itself."""
    return json.loads(files.run_record(iteration).read_text())


@contextlib.contextmanager
def interrupted(epochs, method="on_epoch_end"):
    """Stop a training as Ctrl-C does, once so many epochs have been kept."""
    from instrec.learning import callbacks

    keep = getattr(callbacks.StateSaver, method)

    def keep_and_stop(self, *arguments):
        keep(self, *arguments)
        if len(self.history) == epochs:
            raise KeyboardInterrupt

    stopped = pytest.raises((KeyboardInterrupt, SystemExit))
    with stopped, mock.patch.object(callbacks.StateSaver, method, keep_and_stop):
        yield


def assert_trained_alike(first, second):
    """The first trainings of two models have the same history and weights, bit by bit."""
    both = (first, second)
    np.testing.assert_array_equal(*(np.load(files.history(0)) for files in both))
    weights = (trained.load(files, 0, "").network().get_weights() for files in both)
    for one, other in zip(*weights, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.fixture
def terminal(tmp_path):
    """Run Python in a terminal, on the paths of this test; return what types there."""
    pexpect = pytest.importorskip("pexpect")

    def run(*arguments, cwd=ROOT, **environment):
        return pexpect.spawn(
            *(sys.executable, [*arguments]),
            cwd=str(cwd),
            env=script_environment(tmp_path, **environment),
            encoding="utf-8",
            timeout=60,
            dimensions=(50, 200),
        )

    return run


@pytest.fixture
def run_script(tmp_path):
    """Run a script in a process of its own, on the paths of this test."""

    def run(script, *arguments, cwd=ROOT, check=True, stdin=subprocess.DEVNULL, **environment):
        result = subprocess.run(
            [sys.executable, script, *map(str, arguments)],
            cwd=cwd,
            env=script_environment(tmp_path, **environment),
            stdin=stdin,
            capture_output=True,
            text=True,
            timeout=300,
        )
        if check:
            assert result.returncode == 0, result.stderr
        return result

    return run


def recipe_of_scores(config, files, **more):
    of_files = {"model": files.model, "optimizer": files.optimizer}
    return {"data_set": config.key, "labels": list(config.labels)} | of_files | more


def final_scores(labels, micro, gain=0.0):
    """Return scores of which the micro averages are given a training, to be saved.

    Macro averages are half of them; with class-wise thresholds, averages are better by `gain`.
    """
    micro = np.array(micro)
    results = {("classwise", label): micro for label in labels}
    for name, values in (("micro", micro), ("macro", micro / 2), ("macro_sklearn", micro)):
        results |= {("global", name): values, ("global_classwise", name): values + gain}
    return results


def save_scores(path, recipe, results, *, s2=(), ranking=(), thresholds=0.5, **more):
    """Write a file of scores as evaluate.py does.

    `results` has by kind and name the precision, recall and f-score of each training, at each of
    `thresholds` if there are several; `s2` has those that are others by this strategy.
    """
    import pandas as pd

    model, found, rankings = (recipe["data_set"], recipe["model"], recipe["optimizer"]), {}, []
    for strategy, named in (("s1", results), ("s2", results | dict(s2))):
        for (kind, name), trainings in named.items():
            for training, values in enumerate(trainings):
                score = np.asarray(values, dtype=float).T
                found[training, strategy, kind, name] = (thresholds, *score)
        rankings += [(*model, i, strategy, *values) for i, values in enumerate(ranking)]
    table = scores.tabulate(model, found)
    record = {"recipe": recipe, "half": "pure half of the test data", "clips": 9, "absent": []}
    record["iterations"] = 1 + int(table["training"].max())
    ranking = pd.DataFrame(rankings, columns=scores.RANKING_COLUMNS)
    scores.save(path, record | more, table, ranking)


def changed(values):
    """Edit settings.py, as it were, within a block."""
    return mock.patch.multiple(settings, **values)


def patches_of(path, parameters: FeatureParameters, step):
    """Return the patches of an audio file."""
    spectrogram = features.log_mel_channels(
        audio.load_audio(path, parameters.sample_rate), parameters
    )
    return features.cut_patches(spectrogram, parameters.patch_frames, step)


def script_environment(tmp_path, **more):
    return {
        **os.environ,
        "INSTREC_DATA_PATH": str(tmp_path / "data"),
        "INSTREC_FEATURE_PATH": str(tmp_path / "features"),
        "INSTREC_MODEL_PATH": str(tmp_path / "models"),
        **more,
    }


def tone(label_index, seconds=3.0, seed=0, rate=RATE):
    """A sound that tells the label by its pitch and its overtones: stereo [n x 2], with noise."""
    rng = np.random.default_rng([label_index, seed])
    t = np.arange(int(seconds * rate)) / rate
    pitch = 110 * 2 ** (label_index / 3) * rng.uniform(0.97, 1.03)
    partials = sum(np.sin(2 * np.pi * pitch * k * t) / k for k in range(1, 3 + label_index % 3))
    y = 0.3 * partials / np.abs(partials).max() + 0.01 * rng.standard_normal(len(t))
    return np.stack([y, 0.8 * y], axis=1).astype(np.float32)


def write_tone(path, label_index, seconds=3.0, seed=0, rate=RATE, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, tone(label_index, seconds, seed, rate), rate, **options)


def make_irmas(root, labels=settings.IRMAS, train=4, test=None, folder="irmas"):
    """Write a small tree in the layout of IRMAS; returns its root."""
    root = root / "data" / folder
    for index, label in enumerate(labels):
        for i in range(train):
            name = f"[{label}][cla]{index:02d}{i // 2:02d}__{i % 2 + 1}.wav"
            write_tone(root / "IRMAS-TrainingData" / label / name, index, seed=i)
    test = 2 * len(labels) if test is None else test
    for i in range(test):
        index = i % len(labels)
        part = i % 3 + 1
        inner = ("Part1", "IRTestingData-Part2", "Part3")[i % 3]
        stem = root / f"IRMAS-TestingData-Part{part}" / inner / f"({i:02d}) a,  b's.c-{i}"
        write_tone(stem.with_name(stem.name + ".wav"), index, seconds=5, seed=100 + i)
        names = [labels[index]] + ([labels[(index + 1) % len(labels)]] if i >= len(labels) else [])
        stem.with_name(stem.name + ".txt").write_text("".join(f"{name}\t\n" for name in names))
    return root


def make_folders(root, labels, files=4, seconds=3.0, folder="youtube"):
    """Write a small tree of one folder a label; returns its root."""
    root = root / "data" / folder
    for index, label in enumerate(labels):
        for i in range(files):
            write_tone(root / label / f"{label} {i}.wav", index, seconds=seconds, seed=i)
    return root
