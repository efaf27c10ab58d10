#!/usr/bin/env python3
"""Measure how F falls when the test audio is disturbed: the stability test of the thesis (6.2).

  python3 plot_stability.py -m model_leaky -o adam -d 1
  python3 plot_stability.py -m model_leaky -o adam -d 1 --clips 50

Adds noise, gain, a codec, a low-pass or a room to clips of the pure half, lets the model recognise
them as predict.py does, and scores it with its own thresholds (evaluate.py -O 2 and
plot_perf_metrics.py find them; otherwise 0.5). Writes <model>.<optimizer>.stability.csv beside the
model and a figure, as PNG and PDF. The same seed draws the same clips.
"""

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from instrec.common import command, storage
from instrec.config import Config
from instrec.data import audio, tensors
from instrec.errors import InputError
from instrec.figures import plotting, scores
from instrec.learning import model_files
from instrec.scoring import metrics, optima
from instrec.scoring.disturbances import DISTURBANCES, UNDISTURBED
from instrec.scoring.recognition import DEFAULT_THRESHOLD, Recogniser

if TYPE_CHECKING:
    import pandas as pd

RATE = 44100  # Hz, of the audio that is disturbed
STRATEGY = "s1"


def chosen_clips(config: Config, number: int) -> tuple[list[Path], np.ndarray]:
    """Draw clips of the pure half: their files, and their labels [clips x labels].

    Parameters
    ----------
    config : Config
        The data set, its split and the seed.
    number : int
        How many clips at most.

    Returns
    -------
    files : list of Path
        Audio.
    labels : np.ndarray [shape=(clips, labels), dtype=bool]

    Raises
    ------
    InputError
        If the halves share clips.
    """
    if config.halve_by == "patch":
        raise InputError("halves by patch share clips, so none is pure: set halve_by to 'clip'")
    part = tensors.load(config, "test")
    pure = np.unique(part.file_id[part.pure_mask(config)])
    rng = np.random.default_rng(config.seed)
    rows = np.sort(rng.permutation(pure)[:number])
    # Unseparated: a model of separated audio separates clips itself.
    folder = config.data_path / config.data_set.root
    return [folder / part.files[row] for row in rows], part.labels[rows]


def disturbed(path: Path, seed: int) -> Iterator[tuple[str, float, np.ndarray]]:
    """Yield a clip as it is, then with each disturbance: its name, its level and the audio.

    Parameters
    ----------
    path : Path
        Audio file.
    seed : int
        For the noise and the room.

    Yields
    ------
    (name, level, audio) : (str, float, np.ndarray)
        `UNDISTURBED` first.
    """
    y = audio.load_audio(path, RATE)
    yield UNDISTURBED, 0.0, y
    for name, (function, _, levels) in DISTURBANCES.items():
        for level in levels:
            yield name, level, function(y, RATE, level, np.random.default_rng(seed))


def measure(recogniser: Recogniser, clips: Sequence[Path], seed: int) -> dict[tuple, np.ndarray]:
    """Recognise clips with each disturbance: by name and level, scores [clips x labels].

    Parameters
    ----------
    recogniser : Recogniser
        The model.
    clips : sequence of Path
        Audio files.
    seed : int
        As for `disturbed`.

    Returns
    -------
    dict of np.ndarray [shape=(clips, labels)]
        By name and level of the disturbance.
    """
    import soundfile

    found: dict[tuple, list[np.ndarray]] = {}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "clip.wav"
        for path in command.progress(clips, unit="clip", desc="disturbing"):
            for name, level, y in disturbed(path, seed):
                soundfile.write(file, y, RATE, subtype="FLOAT")
                predictions = recogniser.predict(file).predictions
                found.setdefault((name, level), []).append(metrics.s1(predictions))
    return {key: np.stack(rows) for key, rows in found.items()}


def table_of(
    found: dict[tuple, np.ndarray], y_true: np.ndarray, thresholds: dict[str, float]
) -> "pd.DataFrame":
    """Score each disturbance: columns disturbance, level, average, precision, recall, f-score.

    Parameters
    ----------
    found : dict of np.ndarray [shape=(clips, labels)]
        From `measure`.
    y_true : np.ndarray [shape=(clips, labels), dtype=bool]
        Labels of each clip.
    thresholds : dict of float
        By average.

    Returns
    -------
    pandas.DataFrame
    """
    import pandas as pd

    rows = []
    for (name, level), of_clips in found.items():
        for average, threshold in thresholds.items():
            score = metrics.AVERAGES[average](y_true, metrics.decide(of_clips, threshold))
            rows.append((name, level, average, *map(float, score)))
    columns = ("disturbance", "level", "average", "precision", "recall", "f-score")
    return pd.DataFrame(rows, columns=columns)


def main(argv: Sequence[str] | None = None) -> None:
    """Measure the model that the command line names.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments of the command line; those of this process by default.
    """
    parser = command.new_parser(__doc__)
    command.add_model_options(parser)
    parser.add_argument("--clips", type=int, default=100, metavar="N", help="at most (100)")
    arguments, config = command.parse(parser, argv)
    config = command.choose_data_set(config)
    number = command.positive("--clips", arguments.clips)
    files = model_files.model_files(config, *model_files.trained_model(config, arguments.model))
    recogniser = Recogniser(files, STRATEGY)
    thresholds = dict.fromkeys(scores.AVERAGES, DEFAULT_THRESHOLD)
    # Those found on the other half; of halves of another kind, they would know these clips.
    results = model_files.model_files(config, config.result_name(files.model), files.optimizer)
    if results.optima.exists():
        _, best, _ = optima.load(results.optima, config.labels, "plot_perf_metrics.py")
        thresholds = {average: best[STRATEGY]["global"][average] for average in thresholds}
    clips, y_true = chosen_clips(config, number)
    table = table_of(measure(recogniser, clips, config.seed), y_true, thresholds)
    path = files.folder / f"{files.model}.{files.optimizer}.stability.csv"
    storage.save(path, table.to_csv(index=False))
    title = f"{plotting.heading(files)}\n{len(clips)} clips of the pure half, strategy {STRATEGY}"
    if tensors.is_rendered(config):
        title += ", rendered audio"
    figure = scores.stability(table, {n: unit for n, (_, unit, _) in DISTURBANCES.items()}, title)
    plotting.save_all(files, {"stability": figure})
    wide = table.pivot(index=["disturbance", "level"], columns="average", values="f-score")
    print(f"F\n{wide.to_string(float_format='{:.3f}'.format)}")
    print(f"numbers are in {path}")


if __name__ == "__main__":
    command.run(main)
