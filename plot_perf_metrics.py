#!/usr/bin/env python3
"""Plot how the f-score depends on the threshold, and store the best thresholds for mode 3.

  python3 plot_perf_metrics.py -m model_leaky -o adam -d 1
  cd <MODEL_PATH>/<model_name> && python3 plot_perf_metrics.py  all models in that folder

Reads what evaluate.py found in operation mode 2 on the development half. Writes figures (PNG and
PDF) to <MODEL_PATH>/<model_name>/figures, and to <model>.<optimizer>.optima.json the thresholds
with the best mean f-score over the trainings: one for each strategy and average, and one for each
strategy and label. A label that no clip of the development half has takes the micro optimum.
Next step: evaluate.py -O 3; run again after it, this script also draws the final precision,
recall and F of each label.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from instrec.common import command, storage
from instrec.figures import plotting
from instrec.figures import scores as figures
from instrec.learning.model_files import ModelFiles
from instrec.scoring import metrics, scores
from instrec.scoring.optima import Optima, of_each

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

# By strategy, 'global' or 'classwise', and average or label: [trainings x thresholds].
FScores = dict[str, dict[str, dict[str, np.ndarray]]]


def load_f_scores(files: ModelFiles, remedy: str) -> tuple[dict, FScores]:
    """Read the record and the f-scores of mode 2.

    Parameters
    ----------
    files : ModelFiles
        Where they are.
    remedy : str
        The command that makes them.

    Returns
    -------
    record : dict
    f_scores : dict
        By strategy, kind and name, [trainings x thresholds].
    """
    record, table = scores.load(files.sweep, remedy)
    with storage.parsing(files.sweep, remedy):
        shape = (record["iterations"], len(metrics.THRESHOLDS))

        def curves(strategy: str, kind: str, name: str) -> np.ndarray:
            found = scores.f_scores(table, strategy, kind, name)
            if found.shape != shape:
                raise ValueError(f"expected {shape[0]} trainings at {shape[1]} thresholds")
            return found

        f_scores = of_each(record["recipe"]["labels"], curves)
    return record, f_scores


def optima_of(f_scores: FScores, absent: list[str]) -> Optima:
    """Find the thresholds with the best mean f-score; absent labels take the micro optimum.

    Parameters
    ----------
    f_scores : dict
        From `load_f_scores`.
    absent : list of str
        Labels that no clip has.

    Returns
    -------
    dict
    """
    optima = of_each(
        f_scores["s1"]["classwise"], lambda s, kind, name: metrics.optimum(f_scores[s][kind][name])
    )
    for kinds in optima.values():
        kinds["classwise"].update(dict.fromkeys(absent, kinds["global"]["micro"]))
    return optima


def draw(f_scores: FScores, optima: Optima, absent: list[str], title: str) -> dict[str, "Figure"]:
    """Draw all figures of one model, by their names.

    Parameters
    ----------
    f_scores, optima : dict
        Of `load_f_scores` and `optima_of`.
    absent : list of str
        Labels that no clip has.
    title : str
        Above each figure.

    Returns
    -------
    dict of Figure
    """
    drawn = {"thresholds": figures.threshold_curves(f_scores, optima, title)}
    for strategy, kinds in f_scores.items():
        drawn[f"classwise_{strategy}"] = figures.classwise_panels(
            kinds["classwise"],
            optima[strategy]["classwise"],
            absent,
            title.replace("\n", f" · strategy {strategy}\n", 1),
        )
    return drawn


def draw_labels(files: ModelFiles, record: dict, table: "pd.DataFrame") -> "Figure":
    """Draw the final scores of each label.

    Parameters
    ----------
    files : ModelFiles
        The trained model.
    record : dict
        What made the scores.
    table : pandas.DataFrame
        The scores, with the columns `scores.COLUMNS`.

    Returns
    -------
    Figure
    """
    labels = record["recipe"]["labels"]
    rows = table[table["kind"] == "classwise"].groupby(["strategy", "name"])
    means, deviations = (rows[list(scores.MEASURES)].agg(f) for f in ("mean", metrics.deviation))
    title = f"{plotting.heading(files)} · thresholds of their own\n{plotting.origin(record)}"
    return figures.label_bars(means, deviations, labels, title)


def print_optima(f_scores: FScores, optima: Optima, absent: list[str]) -> None:
    """Print each optimum and its f-score, the strategies side by side.

    Parameters
    ----------
    f_scores, optima : dict
        Of `load_f_scores` and `optima_of`.
    absent : list of str
        Labels that no clip has.
    """
    rows = []
    for kind in ("global", "classwise"):
        for name in f_scores["s1"][kind]:
            row = [name]
            for strategy, kinds in f_scores.items():
                best = optima[strategy][kind][name]
                f_score = figures.f_score_at(best, kinds[kind][name])
                row += [f"{best:.2f}", "-" if name in absent else f"{f_score:.3f}"]
            rows.append(tuple(row))
    header = [cell for strategy in f_scores for cell in (f"{strategy} threshold", "f-score")]
    command.print_table(("", *header), rows)
    if absent:
        print(f"note: no clip has {', '.join(absent)}: the micro optimum counts for such a label")


def plot(files: ModelFiles, remedy: str) -> None:
    """Find and store the optima of one model, and draw its figures.

    Parameters
    ----------
    files : ModelFiles
        Where its results are.
    remedy : str
        The command that makes them.

    Raises
    ------
    InputError
        If they are missing or damaged.
    """
    record, f_scores = load_f_scores(files, remedy)
    optima = optima_of(f_scores, record["absent"])
    with storage.lock(files.figure("").parent, "optima"):
        found = {"optima": optima, "calibration": record.get("calibration", {})}
        storage.save_json(files.optima, {"recipe": record["recipe"], **found})
    print(f"{files.model}, {files.optimizer}: thresholds with the best mean f-score")
    print_optima(f_scores, optima, record["absent"])
    print(f"optima are in {files.optima}")
    title = f"{plotting.heading(files)}\n{plotting.origin(record)}"
    drawn = draw(f_scores, optima, record["absent"], title)
    if files.scores.exists():
        final, table = scores.load(files.scores, "evaluate.py -O 3")
        if final["recipe"]["weights"] == record["recipe"]["weights"]:
            drawn["labels"] = draw_labels(files, final, table)
        else:
            print(f"note: {files.scores} is of other networks, until evaluate.py -O 3 runs again")
    plotting.save_all(files, drawn)


def main(argv: Sequence[str] | None = None) -> None:
    """Plot what the command line names.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments of the command line; those of this process by default.
    """
    plotting.run(__doc__, "sweep.json", "evaluate.py -O 2", plot, argv)


if __name__ == "__main__":
    command.run(main)
