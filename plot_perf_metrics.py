#!/usr/bin/env python3
"""Plot how the f-score depends on the threshold, and store the best thresholds for mode 3.

  python3 plot_perf_metrics.py -m model_leaky -o adam -d 1
  cd <MODEL_PATH>/<model_name> && python3 plot_perf_metrics.py  all models in that folder

Reads what evaluate.py found in operation mode 2 on the development half. Writes figures (PNG and
PDF) to <MODEL_PATH>/<model_name>/figures, and to <model>.<optimizer>.optima.json the thresholds
with the best mean f-score over the iterations: one for each strategy and average, and one for each
strategy and label. A label that no clip of the development half has takes the micro optimum.
Next step: evaluate.py -O 3.
"""

import numpy as np

from instrec.common import command, storage
from instrec.figures import drawing as figures
from instrec.figures import plotting
from instrec.learning import model_files as results
from instrec.scoring import metrics

# By strategy, 'global' or 'classwise', and average or label.
FScores = dict[str, dict[str, dict[str, np.ndarray]]]  # each [iterations x thresholds]
Optima = dict[str, dict[str, dict[str, float]]]


def f_scores_of(sweep: dict) -> FScores:
    """Take the f-scores from the results of mode 2."""
    names = {"global": metrics.AVERAGES, "classwise": sweep["made_of"]["labels"]}
    shape = (sweep["iterations"], len(metrics.THRESHOLDS), len(metrics.Score._fields))

    def f_scores(values: list) -> np.ndarray:
        return np.array(values, dtype=np.float64).reshape(shape)[..., metrics.F_SCORE]

    return {
        strategy: {
            kind: {name: f_scores(sweep["results"][strategy][kind][name]) for name in names[kind]}
            for kind in names
        }
        for strategy in metrics.STRATEGIES
    }


def optima_of(f_scores: FScores, absent: list[str]) -> Optima:
    """Find the threshold of the best mean f-score; absent labels take the micro optimum."""
    optima = {
        strategy: {
            kind: {name: metrics.optimum(values) for name, values in of_kind.items()}
            for kind, of_kind in kinds.items()
        }
        for strategy, kinds in f_scores.items()
    }
    for kinds in optima.values():
        kinds["classwise"].update(dict.fromkeys(absent, kinds["global"]["micro"]))
    return optima


def draw(
    f_scores: FScores, optima: Optima, absent: list[str], title: str
) -> dict[str, "figures.Figure"]:
    """Draw all figures of one network and optimizer, by their names."""
    shown = {
        s: {name: kinds["global"][name] for name in figures.AVERAGES}
        for s, kinds in f_scores.items()
    }
    best = {strategy: kinds["global"] for strategy, kinds in optima.items()}
    drawn = {"thresholds": figures.threshold_curves(metrics.THRESHOLDS, shown, best, title)}
    for strategy, kinds in f_scores.items():
        drawn[f"classwise_{strategy}"] = figures.classwise_panels(
            metrics.THRESHOLDS,
            kinds["classwise"],
            optima[strategy]["classwise"],
            absent,
            title.replace("\n", f" · strategy {strategy}\n", 1),
        )
    return drawn


def print_optima(f_scores: FScores, optima: Optima, absent: list[str]) -> None:
    """Print each optimum and the f-score there, a column a strategy."""
    rows = []
    for kind in ("global", "classwise"):
        for name in f_scores["s1"][kind]:
            row = [name]
            for strategy in f_scores:
                best = optima[strategy][kind][name]
                f_score = figures.f_score_at(
                    best, metrics.THRESHOLDS, f_scores[strategy][kind][name]
                )
                row += [f"{best:.2f}", "-" if name in absent else f"{f_score:.3f}"]
            rows.append(tuple(row))
    header = [cell for s in f_scores for cell in (f"{s} threshold", "f-score")]
    command.print_table(("", *header), rows)
    if absent:
        print(f"note: no clip has {', '.join(absent)}: the micro optimum counts for such a label")


def store_optima(files: results.ModelFiles, remedy: str) -> tuple[FScores, Optima, list[str], str]:
    """Find and store the optima of one network and optimizer.

    Parameters
    ----------
    files : ModelFiles
        Where its results are.
    remedy : str
        The command that makes them.

    Returns
    -------
    tuple
        What `draw` takes.

    Raises
    ------
    InputError
        If they are missing or damaged.
    """
    sweep = storage.load_json(files.sweep, remedy)
    with storage.refuse_damaged(files.sweep, remedy):
        if sweep["thresholds"] != metrics.THRESHOLDS.tolist():
            raise ValueError("other thresholds than today's")
        absent = [sweep["made_of"]["labels"][i] for i in sweep["absent"]]
        f_scores = f_scores_of(sweep)
        title = f"{plotting.heading(files)}\n{plotting.origin(sweep)}"
    optima = optima_of(f_scores, absent)
    with storage.lock(files.figure("").parent, "optima"):
        storage.save_json(files.optima, {"made_of": sweep["made_of"], "optima": optima})
    print(f"{files.model}, {files.optimizer}: thresholds with the best mean f-score")
    print_optima(f_scores, optima, absent)
    print(f"optima are in {files.optima}")
    return f_scores, optima, absent, title


def plot(files: results.ModelFiles, remedy: str) -> None:
    """Store the optima of one network and optimizer, and draw them; else as `store_optima`."""
    plotting.save_all(files, draw(*store_optima(files, remedy)))


def main() -> None:
    """Plot what the command line names."""
    with command.parsed(plotting.new_parser(__doc__)) as arguments:
        for files, remedy in plotting.find_results(arguments, "sweep.json", "evaluate.py -O 2"):
            plot(files, remedy)


if __name__ == "__main__":
    command.run(main)
