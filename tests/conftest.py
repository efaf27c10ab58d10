"""Shared fixtures: a place of its own for every test, and small data sets of plain tones."""

import contextlib
import dataclasses
import importlib
import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

import settings
from instrec.common import command
from instrec.config import Config, FeatureParameters, read
from instrec.data import audio, features
from instrec.scoring import metrics, scores

collect_ignore = ["faults/fuzz_loaders.py", "faults/audit.py", "make_keras2.py"]  # programs
ROOT = Path(__file__).resolve().parent.parent
RATE = 44100


@pytest.fixture(autouse=True)
def paths(tmp_path, monkeypatch):
    """Point all paths to an empty folder and choose IRMAS; settings are restored afterwards."""
    for name, folder in (
        ("DATA_PATH", "data"),
        ("FEATURE_PATH", "features"),
        ("MODELS_ROOT", "models"),
    ):
        monkeypatch.setattr(settings, name, tmp_path / folder)
    for field in dataclasses.fields(Config):
        if hasattr(settings, field.name):  # so that tests may assign freely
            monkeypatch.setattr(settings, field.name, getattr(settings, field.name))
    settings.dataset = 1
    return tmp_path


@pytest.fixture(autouse=True)
def one_process(monkeypatch):
    """Work in this process: starting others takes longer than the small data of a test."""
    monkeypatch.setattr(multiprocessing, "cpu_count", lambda: 1)


@pytest.fixture
def call():
    """Run a script in this process, as `call("train.py", "-d", 1)`."""

    def call_script(script, *arguments):
        if "-d" in arguments:  # what the test does next is on the same data set
            settings.dataset = int(arguments[arguments.index("-d") + 1])
        module = importlib.import_module(Path(script).stem)

        def main():
            module.main([*map(str, arguments)])

        main.__module__ = module.__name__
        command.run(main)

    return call_script


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


def save_scores(
    path, recipe, results, *, thresholds=None, half="pure half of the test data", **more
):
    """Write a file of scores as evaluate.py does.

    `results` has for each kind and name, for both strategies or by strategy, the precision, recall
    and f-score of each training; at each of `thresholds`, if there are some.
    """
    import pandas as pd

    found = scores.Found(recipe["data_set"], recipe["model"], recipe["optimizer"])
    ranking = results.get("ranking", {}).get("", [])
    for strategy in metrics.STRATEGIES:
        for kind, names in results.get(strategy, results).items():
            for name, trainings in names.items() if kind != "ranking" else ():
                for training, values in enumerate(trainings):
                    score = metrics.Score(*np.asarray(values, dtype=float).T)
                    at = 0.5 if thresholds is None else thresholds
                    found.add(training, strategy, kind, name, at, score)
    table = found.table()
    rows = [
        (*found.keys, i, strategy, *values)
        for strategy in metrics.STRATEGIES
        for i, values in enumerate(ranking)
    ]
    iterations = 1 + int(table["training"].max())
    record = {"recipe": recipe, "half": half, "clips": 9, "iterations": iterations, "absent": []}
    scores.save(path, record | more, table, pd.DataFrame(rows, columns=scores.RANKING_COLUMNS))


@contextlib.contextmanager
def changed(values):
    """Edit settings.py, as it were, within a block."""
    before = {name: getattr(settings, name) for name in values}
    try:
        vars(settings).update(values)
        yield
    finally:
        vars(settings).update(before)


def config_of(data_set, **changes):
    """Return what counts for a data set, a row of DATA_SETS."""
    (id_,) = [id_ for id_, row in settings.DATA_SETS.items() if row == data_set]
    return read(dataset=id_, **changes)


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
