#!/usr/bin/env python3
"""Measure how networks hold up on sounds from another source than they were trained on.

  apt-get install fluid-soundfont-gm && python3 benchmarks/generalisation.py

Trains on IRMAS as one SoundFont renders it (TimGM6mb, of the package pretty_midi), chooses a
threshold on test clips of the same SoundFont, and scores test clips of another one that nothing
was chosen on: MFCC statistics with a support vector machine and with a random forest, the four
documented models, model_residual, and model_residual with each choice of training by itself. Prints
a table of micro F: mean and deviation over seeds, each with music and weights of its own.

Takes about an hour on two cores. What was stopped goes on: rendered audio, tensors and trained
models are kept in demo/generalisation.
"""

import argparse
import dataclasses
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")  # the same numbers on any number of cores

import numpy as np  # noqa: E402

import create_encoding  # noqa: E402
import generate_dataset  # noqa: E402
import render_dataset  # noqa: E402
import separate_sources  # noqa: E402
import train  # noqa: E402
from instrec.common import command  # noqa: E402
from instrec.config import Config, read  # noqa: E402
from instrec.data import audio, features, tensors  # noqa: E402
from instrec.errors import InputError  # noqa: E402
from instrec.learning import model_files, trained  # noqa: E402
from instrec.scoring import metrics  # noqa: E402

WORK = ROOT / "demo" / "generalisation"
TRAIN, TEST = 40, 120  # clips: a label, and in all
OTHER = Path("/usr/share/sounds/sf2/FluidR3_GM.sf2")
MFCC = 20  # coefficients
SECONDS, HOP = 3, 1.5  # of audio that MFCC statistics are of: as long as a training clip

LITERAL = {"batch_size": 32, "nb_epochs": 16, "patience": 16}  # until they fit their training data
RESIDUAL = {
    "model": "model_residual",
    "batch_size": 32,
    "nb_epochs": 20,
    "patience": 20,
    "schedule": "cosine",
}
NETWORKS = {  # line of the table: parameters of settings.py
    "model_baseline, literal": LITERAL | {"model": "model_baseline"},
    "model_leaky, literal": LITERAL | {"model": "model_leaky"},
    "model_multi_res, literal": LITERAL | {"model": "model_multi_res", "dataset": 0},
    "model_two_branch, literal": LITERAL | {"model": "model_two_branch", "dataset": 8},
    "model_leaky, standardised": LITERAL | {"model": "model_leaky", "standardise": True},
    "model_residual": RESIDUAL,
    "… constant learning rate": RESIDUAL | {"schedule": "constant"},
    "… batch 128": RESIDUAL | {"batch_size": 128},
    **{
        f"… {name}": RESIDUAL | {"augmentation": name}
        for name in ("room", "start", "noise", "pitch")
    },
    "… room start noise pitch": RESIDUAL | {"augmentation": "room start noise pitch"},
}


class Row(NamedTuple):
    """Micro F of one system: on the source it knows, on the other, and there at its best."""

    same: float
    other: float
    best: float


def config_of(source: str, seed: int, **changes: object) -> Config:
    """What counts for a source of audio, one SoundFont and seed, in folders of its own."""
    folder = WORK / f"{source}_{seed}"
    config = read(**{"dataset": 1} | changes)
    places = {"data_path": "data", "feature_path": "features", "models_root": "models"}
    return dataclasses.replace(config, **{n: folder / place for n, place in places.items()})


def prepare(source: str, soundfont: Path, train_clips: int, seed: int, ids: set[int]) -> None:
    """Render the audio of a source, and extract the patches of the data sets made from it."""
    options = ["--train", train_clips, "--test", TEST, "--seed", seed, "--soundfont", soundfont]
    arguments = render_dataset.new_parser().parse_args(list(map(str, options)))
    render_dataset.render(config_of(source, seed), arguments)
    for id_ in sorted(ids):
        config = config_of(source, seed, dataset=id_)
        if config.data_set.source:
            separate_sources.separate(config)
        create_encoding.encode(config)
        generate_dataset.generate(config)


# --- systems: each gives the scores [clips x labels] of the test clips of a source ----------------
def with_network(line: str, seed: int) -> Callable[[str], np.ndarray]:
    """Train a network on the known source; return what scores another."""
    name = "g_" + "".join(letter if letter.isalnum() else "_" for letter in line.strip("… "))
    values = {"optimizer": "adam", "iter_num": 1, "seed": seed, "name": name} | NETWORKS[line]
    config = config_of("known", seed, **values)
    train.train_model(config, config.model)
    files = model_files.model_files(config, name, "adam")
    network = trained.load_network(files, 0, "this benchmark")
    record = trained.load_record(files, 0, "this benchmark", "recipe", "folders")
    means_and_stds = trained.load_means_and_stds(files, 0, record, "this benchmark")

    def score(source: str) -> np.ndarray:
        part = tensors.load(config_of(source, seed, **values), "test")
        blocks = []
        for start in range(0, len(part.file_id), 512):
            inputs = [patches[start : start + 512] for patches in part.inputs]
            x = features.network_input(inputs, means_and_stds)
            blocks.append(network.predict_on_batch(x))
        ends = np.flatnonzero(np.diff(part.file_id)) + 1
        return metrics.aggregate("s1", np.split(np.concatenate(blocks), ends))

    return score


def statistics(y: np.ndarray) -> np.ndarray:
    """Mean and deviation of the MFCCs and of their slopes, for windows of a clip [windows x n]."""
    import librosa

    rate = read().sample_rate
    starts = range(0, max(1, len(y) - SECONDS * rate + 1), int(HOP * rate))
    rows = []
    for begin in starts:
        mfcc = librosa.feature.mfcc(y=y[begin : begin + SECONDS * rate], sr=rate, n_mfcc=MFCC)
        both = np.concatenate([mfcc, librosa.feature.delta(mfcc)])
        rows.append(np.concatenate([both.mean(axis=1), both.std(axis=1)]))
    return np.stack(rows)


def statistics_of(source: str, part: str, seed: int) -> tuple[list[np.ndarray], np.ndarray]:
    """Return the statistics of the clips of a part, and their labels [clips x labels]."""
    config = config_of(source, seed)
    found = tensors.load(config, part)
    kept = config.data_path.parent / f"mfcc_{part}.npz"
    if not kept.exists():
        rows = [
            statistics(audio.load_audio(config.data_path / "irmas" / name))
            for name in command.progress(found.files, unit="clip", desc=f"MFCC {source}")
        ]
        np.savez(kept, **{str(i): row for i, row in enumerate(rows)})
    with np.load(kept, allow_pickle=False) as file:
        return [file[str(i)] for i in range(len(found.files))], found.labels


def with_classifier(make: Callable, seed: int) -> Callable[[str], np.ndarray]:
    """Fit a classifier to MFCC statistics of the known source; return what scores another."""
    rows, labels = statistics_of("known", "train", seed)
    fitted = make(seed).fit(
        np.concatenate(rows), np.repeat(labels.argmax(axis=1), [len(row) for row in rows])
    )

    def score(source: str) -> np.ndarray:
        clips, _ = statistics_of(source, "test", seed)
        return metrics.aggregate("s1", [fitted.predict_proba(clip) for clip in clips])

    return score


def support_vectors(seed: int) -> "sklearn.pipeline.Pipeline":  # noqa: F821
    """Return a support vector machine on standardised features."""
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    return make_pipeline(StandardScaler(), CalibratedClassifierCV(SVC(C=10), ensemble=False))


def forest(seed: int) -> "sklearn.ensemble.RandomForestClassifier":  # noqa: F821
    """Return a random forest."""
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(500, random_state=seed)


CLASSIFIERS = {"MFCC statistics, SVM": support_vectors, "MFCC statistics, forest": forest}


def measure(score: Callable[[str], np.ndarray], seed: int) -> Row:
    """Score a system; its threshold is chosen on the known source."""
    curves = {}
    for source in ("known", "other"):
        labels = tensors.load(config_of(source, seed), "test").labels
        curves[source] = metrics.micro(labels, metrics.decide_at_each(score(source))).f_score
    chosen = curves["known"].argmax()
    return Row(curves["known"][chosen], curves["other"][chosen], curves["other"].max())


def main() -> None:
    """Measure every system with every seed, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=3, help="how many (3)")
    parser.add_argument("--other", type=Path, default=OTHER, metavar="FILE.sf2", help=str(OTHER))
    parser.add_argument("--only", default="", help="lines that hold this text")
    arguments = parser.parse_args()
    lines = [line for line in (*CLASSIFIERS, *NETWORKS) if arguments.only in line]
    if not arguments.other.is_file():
        raise InputError(
            f"expected a SoundFont in {arguments.other}, found none: "
            "apt-get install fluid-soundfont-gm, or --other FILE.sf2"
        )
    ids = {1} | {NETWORKS[line].get("dataset", 1) for line in lines if line in NETWORKS}
    rows: dict[str, list[Row]] = {line: [] for line in lines}
    for seed in range(arguments.seeds):
        prepare("known", render_dataset.default_soundfont(), TRAIN, seed, ids)
        prepare("other", arguments.other, 2, seed, ids)
        for line in lines:
            system = (
                with_classifier(CLASSIFIERS[line], seed)
                if line in CLASSIFIERS
                else with_network(line, seed)
            )
            rows[line].append(measure(system, seed))
            print(f"seed {seed}: {line}: {rows[line][-1]}", flush=True)
    header = ("micro F", "same SoundFont", "another", "another, best threshold")
    table = [
        (line, *map(metrics.mean_and_deviation, zip(*rows[line], strict=True))) for line in lines
    ]
    print(f"\n{arguments.seeds} seeds, {TRAIN} training clips a label, {TEST} test clips each:")
    command.print_table(header, table)


if __name__ == "__main__":
    command.run(main)
