#!/usr/bin/env python3
"""Measure how networks hold up on sounds from a source that they were not trained on.

  apt-get install fluid-soundfont-gm && python3 benchmarks/generalisation.py

Trains on IRMAS as rendered by one SoundFont (TimGM6mb, from the package pretty_midi), chooses a
threshold on test clips of the same SoundFont, and scores test clips of another one, on which
nothing was chosen: MFCC statistics with a support vector machine and with a random forest, the four
documented models, model_residual, and model_residual with each training choice on its own. Prints a
table of micro F: mean and standard deviation over seeds, each with its own music and weights.

Takes about an hour on two cores. A stopped run resumes: rendered audio, tensors and trained models
are kept in demo/generalisation.
"""

import dataclasses
import functools
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")  # the same numbers on any number of cores

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402

import create_encoding  # noqa: E402
import generate_dataset  # noqa: E402
import render_dataset  # noqa: E402
import separate_sources  # noqa: E402
import train  # noqa: E402
from instrec.common import command  # noqa: E402
from instrec.config import Config, read  # noqa: E402
from instrec.data import audio, tensors  # noqa: E402
from instrec.errors import InputError  # noqa: E402
from instrec.learning import model_files, trained  # noqa: E402
from instrec.scoring import metrics  # noqa: E402

WORK = ROOT / "demo" / "generalisation"
TRAIN, TEST = 40, 120  # clips: per label, and in all
OTHER = Path("/usr/share/sounds/sf2/FluidR3_GM.sf2")
MFCC = 20  # coefficients
SECONDS, HOP = 3, 1.5  # of the windows of MFCC statistics, as long as a training clip

# Literal: trained until they fit their training data.
LITERAL = {"batch_size": 32, "nb_epochs": 16, "patience": 16}
RESIDUAL = {"batch_size": 32, "nb_epochs": 20, "patience": 20, "schedule": "cosine"}
RESIDUAL |= {"model": "model_residual"}
NETWORKS = {  # line of the table: parameters of settings.py
    "model_baseline, literal": LITERAL | {"model": "model_baseline"},
    "model_leaky, literal": LITERAL | {"model": "model_leaky"},
    "model_multi_res, literal": LITERAL | {"model": "model_multi_res", "dataset": 0},
    "model_two_branch, literal": LITERAL | {"model": "model_two_branch", "dataset": 8},
    "model_leaky, standardised": LITERAL | {"model": "model_leaky", "standardise": True},
    "model_residual": RESIDUAL,
    "… constant learning rate": RESIDUAL | {"schedule": "constant"},
    "… batch 128": RESIDUAL | {"batch_size": 128},
}
for choice in ("room", "start", "noise", "pitch", "room start noise pitch"):
    NETWORKS[f"… {choice}"] = RESIDUAL | {"augmentation": choice}
CLASSIFIERS = ("MFCC statistics, SVM", "MFCC statistics, forest")


def config_of(source: str, seed: int, /, **changes: object) -> Config:
    """Return the parameters for a source of audio, one SoundFont and seed, with its own folders."""
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


# --- systems: each gives the scores [clips x labels] of the test clips, by source -----------------
def network_scores(line: str, seed: int) -> dict[str, np.ndarray]:
    """Train a network on the known source."""
    name = "g_" + "".join(letter if letter.isalnum() else "_" for letter in line.strip("… "))
    values = {"optimizer": "adam", "iter_num": 1, "seed": seed, "name": name} | NETWORKS[line]
    config = config_of("known", seed, **values)
    train.train_model(config, config.model)
    files = model_files.model_files(config, name, "adam")
    training = trained.load(files, 0, "this benchmark")
    scores = {}
    for source in ("known", "other"):
        part = tensors.load(config_of(source, seed, **values), "test")
        predictions = training.predict(part)
        ends = np.flatnonzero(np.diff(part.file_id)) + 1
        scores[source] = metrics.aggregate("s1", np.split(predictions, ends))
    return scores


def statistics(y: np.ndarray) -> np.ndarray:
    """Return mean and standard deviation of a clip's MFCCs and their deltas [windows x n]."""
    import librosa

    rate = read().sample_rate
    windows = librosa.util.frame(y, frame_length=SECONDS * rate, hop_length=int(HOP * rate), axis=0)
    mfcc = np.stack([librosa.feature.mfcc(y=window, sr=rate, n_mfcc=MFCC) for window in windows])
    both = np.concatenate([mfcc, librosa.feature.delta(mfcc)], axis=1)
    return np.concatenate([both.mean(axis=2), both.std(axis=2)], axis=1)


@functools.cache  # shared by both classifiers
def statistics_of(source: str, part: str, seed: int) -> tuple[list[np.ndarray], np.ndarray]:
    """Return the statistics of the clips of a part, and their labels [clips x labels]."""
    config = config_of(source, seed)
    found = tensors.load(config, part)
    files = command.progress(found.files, unit="clip", desc=f"MFCC {source}")
    clips = [statistics(audio.load_audio(config.data_path / "irmas" / name)) for name in files]
    return clips, found.labels


def classifier_scores(line: str, seed: int) -> dict[str, np.ndarray]:
    """Fit a classifier to MFCC statistics of the known source."""
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    classifier = RandomForestClassifier(500, random_state=seed)
    if line.endswith("SVM"):
        calibrated = CalibratedClassifierCV(SVC(C=10), ensemble=False)
        classifier = make_pipeline(StandardScaler(), calibrated)
    rows, labels = statistics_of("known", "train", seed)
    classes = np.repeat(labels.argmax(axis=1), [len(row) for row in rows])
    classifier.fit(np.concatenate(rows), classes)
    scores = {}
    for source in ("known", "other"):
        clips, _ = statistics_of(source, "test", seed)
        scores[source] = metrics.aggregate("s1", [classifier.predict_proba(c) for c in clips])
    return scores


def measure(line: str, seed: int) -> dict[str, object]:
    """Return micro F of a system; its threshold is chosen on the known source."""
    scores_of = classifier_scores if line in CLASSIFIERS else network_scores
    curves = {}
    for source, scores in scores_of(line, seed).items():
        labels = tensors.load(config_of(source, seed), "test").labels
        curves[source] = metrics.micro(labels, metrics.decide_at_each(scores)).f_score
    chosen = curves["known"].argmax()
    return {
        "micro F": line,
        "same SoundFont": curves["known"][chosen],
        "another": curves["other"][chosen],
        "another, best threshold": curves["other"].max(),
    }


def main() -> None:
    """Measure every system with every seed, and print the table."""
    parser = command.plain_parser(__doc__)
    parser.add_argument("--seeds", type=int, default=3, help="how many (3)")
    parser.add_argument("--other", type=Path, default=OTHER, metavar="FILE.sf2", help=str(OTHER))
    arguments = parser.parse_args()
    if not arguments.other.is_file():
        raise InputError(
            f"expected a SoundFont in {arguments.other}, found none: "
            "apt-get install fluid-soundfont-gm, or --other FILE.sf2"
        )
    ids = {1} | {values.get("dataset", 1) for values in NETWORKS.values()}
    rows = []
    for seed in range(arguments.seeds):
        prepare("known", render_dataset.default_soundfont(), TRAIN, seed, ids)
        prepare("other", arguments.other, 2, seed, ids)
        for line in (*CLASSIFIERS, *NETWORKS):
            rows.append(measure(line, seed))
            print(f"seed {seed}: {rows[-1]}", flush=True)
    table = pd.DataFrame(rows).groupby("micro F", sort=False).agg(["mean", "std"])
    print(f"\n{arguments.seeds} seeds, {TRAIN} training clips per label, {TEST} test clips each:")
    print(table.round(3).to_string())


if __name__ == "__main__":
    command.run(main)
