"""The scores of a model as one tidy table: written by evaluate.py, read by everything else.

A table is a pandas frame with the columns `COLUMNS`. `kind` says what is scored, and with which
thresholds:

    global            all labels together, with one threshold; `name` is the average
    classwise         each label separately, with its own threshold; `name` is the label
    global_classwise  all labels together, each with its own threshold; `name` is the average

Rankings, which need no threshold, have a table of their own.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from instrec.common import command, storage
from instrec.scoring import metrics

if TYPE_CHECKING:
    import pandas as pd

MEASURES = ("precision", "recall", "f-score")
KEYS = ("data set", "model", "optimizer", "training", "strategy", "kind", "name")
COLUMNS = (*KEYS, "threshold", *MEASURES)
RANKING_COLUMNS = ("data set", "model", "optimizer", "training", "strategy", *metrics.RANKING)


def tabulate(
    model: tuple[str, str, str], found: Mapping[tuple[int, str, str, str], tuple]
) -> "pd.DataFrame":
    """Return scores as a table with the columns `COLUMNS`, one row per threshold.

    Parameters
    ----------
    model : (str, str, str)
        Data set, model and optimizer.
    found : mapping of (int, str, str, str) to tuple
        By training, strategy, kind and name: the threshold (NaN where each label had its own),
        precision, recall and f-score; numbers, or arrays of one shape.

    Returns
    -------
    pandas.DataFrame
    """
    import pandas as pd

    rows = [
        (*model, *of, *row)
        for of, columns in found.items()
        for row in zip(*map(np.atleast_1d, columns), strict=True)
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def rank(
    model: tuple[str, str, str], y_true: np.ndarray, scores: Mapping[str, Sequence[np.ndarray]]
) -> "pd.DataFrame":
    """Compute the ranking measures: a table with the columns `RANKING_COLUMNS`.

    Parameters
    ----------
    model : (str, str, str)
        Data set, model and optimizer.
    y_true : np.ndarray [shape=(clips, labels), dtype=bool]
        Labels of each clip.
    scores : mapping of sequence of np.ndarray [shape=(clips, labels)]
        By strategy, one per training.

    Returns
    -------
    pandas.DataFrame
    """
    import pandas as pd

    rows = []
    for training, of_training in enumerate(zip(*scores.values(), strict=True)):
        for strategy, found in zip(scores, of_training, strict=True):
            values = (measure(y_true, found) for measure in metrics.RANKING.values())
            rows.append((*model, training, strategy, *values))
    return pd.DataFrame(rows, columns=list(RANKING_COLUMNS))


def save(path: Path, record: dict, table: "pd.DataFrame", ranking: "pd.DataFrame") -> None:
    """Write both tables, and the record of what made them, as JSON.

    Parameters
    ----------
    path : Path
        The file.
    record : dict
        What made the scores, and what was scored.
    table, ranking : pandas.DataFrame
        With the columns `COLUMNS` and `RANKING_COLUMNS`.
    """
    frames = {"scores": table.replace({np.nan: None}), "ranking": ranking}
    tables = {name: frame.to_dict("split", index=False) for name, frame in frames.items()}
    storage.save_json(path, record | tables)


def load(path: Path, remedy: str) -> tuple[dict, "pd.DataFrame"]:
    """Read a table and its record.

    Parameters
    ----------
    path : Path
        What `save` wrote.
    remedy : str
        The command that makes it.

    Returns
    -------
    record : dict
        With 'recipe', 'half', 'clips', 'absent' (labels that no clip has), 'iterations' (how many
        trainings), and 'ranking', a frame with the columns `RANKING_COLUMNS`.
    table : pandas.DataFrame
        With the columns `COLUMNS`.

    Raises
    ------
    InputError
        If the file is missing or damaged.
    """
    import pandas as pd

    expected = {"recipe": dict, "half": str, "clips": int, "iterations": int, "absent": list}
    record = storage.load_json(path, remedy, expected=expected)
    with storage.parsing(path, remedy):
        if not set(record["absent"]) <= set(record["recipe"]["labels"]):
            raise ValueError(f"unexpected labels {record['absent']}")
        table, ranking = (pd.DataFrame(**record.pop(name)) for name in ("scores", "ranking"))
        for found, columns in ((table, COLUMNS), (ranking, RANKING_COLUMNS)):
            if tuple(found.columns) != columns:
                raise ValueError(f"unexpected columns {[*found.columns]}")
        numbers = ["threshold", *MEASURES]
        table[numbers] = table[numbers].astype(float)
        if not table[list(MEASURES)].stack().between(0, 1).all():
            raise ValueError("scores that are no shares of 1")
    return record | {"ranking": ranking}, table


def f_scores(table: "pd.DataFrame", strategy: str, kind: str, name: str) -> np.ndarray:
    """Return the f-scores of an average or a label at each threshold.

    Parameters
    ----------
    table : pandas.DataFrame
        Scores of operation mode 2.
    strategy, kind, name : str
        Which rows.

    Returns
    -------
    np.ndarray [shape=(trainings, thresholds)]
    """
    chosen = (table["strategy"] == strategy) & (table["kind"] == kind) & (table["name"] == name)
    wide = table[chosen].pivot(index="training", columns="threshold", values="f-score")
    return wide.to_numpy()


def print_scores(record: dict, table: "pd.DataFrame") -> None:
    """Print the final scores: means and sample deviations over the trainings.

    Parameters
    ----------
    record, table
        As `load` returns them.
    """
    if record["iterations"] > 1:
        print(f"mean ± sample deviation over n = {record['iterations']} trainings")
    titles = {"global": "one", "global_classwise": "class-wise"}
    groups = table[table["kind"].isin(titles)].groupby(["strategy", "kind", "name"], sort=False)
    rows = [
        (strategy, average, titles[kind])
        + tuple(metrics.mean_and_deviation(group[name]) for name in MEASURES)
        for (strategy, kind, average), group in groups
    ]
    rows.sort(key=lambda row: (row[0], row[2] != "one"))
    command.print_table(("strategy", "average", "thresholds", *MEASURES), rows)
    rows = [
        (strategy, *(metrics.mean_and_deviation(group[name]) for name in metrics.RANKING))
        for strategy, group in record["ranking"].groupby("strategy")
    ]
    command.print_table(("strategy", *metrics.RANKING), rows)


def print_accuracies(matrices: Mapping[str, Sequence]) -> None:
    """Print the mean accuracy of confusion matrices.

    Parameters
    ----------
    matrices : mapping of sequence [shape=(trainings, labels, labels)]
        By what decided: a strategy, or 'patch'.
    """
    rows = []
    for what, found in matrices.items():
        accuracies = [metrics.mean_accuracy(np.array(matrix)) for matrix in found]
        rows.append((what, metrics.mean_and_deviation(accuracies)))
    command.print_table(("decided by", "mean accuracy"), rows)
