"""How numbers, changes and tables are written in the report."""

import re
from collections.abc import Sequence

import numpy as np

from instrec.scoring.metrics import deviation

NONE = "–"  # a cell without a number
NUMBER = re.compile(r"[+−-]?\d")  # how a cell of a number starts, whatever unit follows


def mean_text(values: np.ndarray, digits: int = 3) -> str:
    """Write the mean of trainings, and their deviation if there are several.

    Parameters
    ----------
    values : np.ndarray [shape=(trainings,)]
        One a training.
    digits : int
        Behind the point.

    Returns
    -------
    str
    """
    if not len(values):
        return NONE
    text = f"{np.mean(values):.{digits}f}"
    return text if len(values) == 1 else f"{text} ± {deviation(values):.{digits}f}"


def number(value: float | None, digits: int = 3) -> str:
    """Write a published number, if there is one.

    Parameters
    ----------
    value : float or None
        What is written; None is a dash.
    digits : int
        Behind the point.

    Returns
    -------
    str
    """
    return NONE if value is None else f"{value:.{digits}f}"


def points(value: float | None) -> str:
    """Write a difference of shares in points: 0.031 -> '+3.1'.

    Parameters
    ----------
    value : float or None
        What is written; None is a dash.

    Returns
    -------
    str
    """
    return NONE if value is None else f"{100 * value:+.1f}".replace("-", "−")


def difference(ours: np.ndarray, published: float | None) -> str:
    """Write how far the mean of ours is from a published share, in points.

    Parameters
    ----------
    ours : np.ndarray [shape=(trainings,)]
        One a training.
    published : float, or sequence of float, or None
        What was published.

    Returns
    -------
    str
    """
    return NONE if published is None else points(float(np.mean(ours)) - published)


def change_range(published: Sequence[float] | None) -> str:
    """Write a published change: (1, 3) -> '+1 to +3'.

    Parameters
    ----------
    published : float, or sequence of float, or None
        What was published.

    Returns
    -------
    str
    """
    if published is None:
        return NONE
    low, high = (f"{round(value, 1):+g}".replace("-", "−") for value in published)
    return low if low == high else f"{low} to {high}"


def duration(seconds: float) -> str:
    """Write a time: 4000 -> '1 h 06 min'.

    Parameters
    ----------
    seconds : float
        A time.

    Returns
    -------
    str
    """
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 1:
        return f"{rest} s"
    hours, minutes_rest = divmod(minutes, 60)
    return f"{minutes} min {rest:02d} s" if not hours else f"{hours} h {minutes_rest:02d} min"


def f_of(precision: float, recall: float) -> float:
    """Return the f-score of a precision and a recall that are not both 0.

    Parameters
    ----------
    precision : float
        From 0 to 1.
    recall : float
        From 0 to 1.

    Returns
    -------
    float
    """
    return 2 * precision * recall / (precision + recall)


def markdown_table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Write a table with its title above; '' if it has no rows. Numbers stand to the right.

    Parameters
    ----------
    title : str
        Above the table.
    header : sequence of str
        One a column.
    rows : sequence of sequence of str
        Cells, a row each.

    Returns
    -------
    str
    """
    if not rows:
        return ""
    is_text = [
        i == 0 or any(row[i] != NONE and not NUMBER.match(row[i]) for row in rows)
        for i in range(len(header))
    ]
    marks = ["---" if text else "---:" for text in is_text]
    lines = [list(map(plain, header)), marks, *(list(map(plain, row)) for row in rows)]
    return f"**{plain(title)}**\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines)


def plain(text: str) -> str:
    """Escape what Markdown would take for marks; underscores within words are none.

    Parameters
    ----------
    text : str
        Plain text.

    Returns
    -------
    str
    """
    for mark in ("\\", "*", "`", "[", "]", "<", "|"):
        text = text.replace(mark, "&lt;" if mark == "<" else f"\\{mark}")
    return " ".join(text.split())
