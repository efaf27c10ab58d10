"""The best thresholds of a model: found on the development half, used for everything after."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from instrec.common import storage
from instrec.scoring import metrics

# By strategy, 'global' or 'classwise', and average or label.
Optima = dict[str, dict[str, dict[str, float]]]
Calibration = dict[str, tuple[float, float]]  # by strategy: see `metrics.calibrate`


def of_each(labels: Sequence[str], value: Callable[[str, str, str], Any]) -> dict:
    """Make a dictionary by strategy, 'global' or 'classwise', and average or label.

    Parameters
    ----------
    labels : sequence of str
        Labels of the model, in order.
    value : callable
        Takes these three and returns the entry.

    Returns
    -------
    dict
    """
    names = {"global": metrics.AVERAGES, "classwise": labels}
    return {
        strategy: {
            kind: {name: value(strategy, kind, name) for name in names[kind]} for kind in names
        }
        for strategy in metrics.STRATEGIES
    }


def load(path: Path, labels: Sequence[str], remedy: str) -> tuple[dict, Optima, Calibration]:
    """Read the thresholds that plot_perf_metrics.py stored.

    Parameters
    ----------
    path : Path
        The file.
    labels : sequence of str
        Labels of the model, in order.
    remedy : str
        The command that makes it.

    Returns
    -------
    recipe : dict
        The networks and data they belong to.
    optima : dict
        Thresholds; those of 'classwise' in the order of the labels.
    calibration : dict
        By strategy; empty if the development half had nothing to calibrate with.

    Raises
    ------
    InputError
        If the file is missing or damaged.
    """
    content = storage.load_json(path, remedy, expected={"recipe": dict, "optima": dict})
    with storage.parsing(path, remedy, also=(TypeError, AttributeError)):  # other types inside
        stored = content["optima"]
        optima = of_each(labels, lambda strategy, kind, name: float(stored[strategy][kind][name]))
        calibration = {
            strategy: (float(slope), float(intercept))
            for strategy, (slope, intercept) in content.get("calibration", {}).items()
        }
    return content["recipe"], optima, calibration
