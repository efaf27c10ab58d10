"""Format numbers, changes and tables for the report."""

import re
from collections.abc import Mapping, Sequence

import numpy as np

NONE = "–"  # a cell without a number
NUMBER = re.compile(r"[+−-]?\d")  # how a numeric cell starts, whatever unit follows


def number(value: float | None, digits: int = 3) -> str:
    """Format a published number, if there is one.

    Parameters
    ----------
    value : float or None
        The number; None becomes a dash.
    digits : int
        After the decimal point.

    Returns
    -------
    str
    """
    return NONE if value is None else f"{value:.{digits}f}"


def points(value: float) -> str:
    """Format a difference of shares in points: 0.031 -> '+3.1'.

    Parameters
    ----------
    value : float
        The difference, as a share of 1.

    Returns
    -------
    str
    """
    return f"{100 * value:+.1f}".replace("-", "−")


def difference(ours: np.ndarray, published: float | None) -> str:
    """Format the difference between our mean and a published share, in points.

    Parameters
    ----------
    ours : np.ndarray [shape=(trainings,)]
        One share per training.
    published : float or None
        What was published.

    Returns
    -------
    str
    """
    return NONE if published is None else points(float(np.mean(ours)) - published)


def change_range(published: Sequence[float]) -> str:
    """Format a published change: (1, 3) -> '+1 to +3'.

    Parameters
    ----------
    published : (float, float)
        From and to, in points.

    Returns
    -------
    str
    """
    low, high = (f"{round(value, 1):+g}".replace("-", "−") for value in published)
    return low if low == high else f"{low} to {high}"


def duration(seconds: float) -> str:
    """Format a time: 4000 -> '1 h 06 min'.

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


def markdown_table(title: str, rows: Sequence[Mapping[str, str]]) -> str:
    """Format a table with its title above; '' if it has no rows. Numbers are right-aligned.

    Parameters
    ----------
    title : str
        Above the table.
    rows : sequence of mapping of str to str
        Cells by column; a missing one becomes a dash.

    Returns
    -------
    str
    """
    if not rows:
        return ""
    names = dict.fromkeys(name for row in rows for name in row)
    columns = {name: [row.get(name, NONE) for row in rows] for name in names}
    marks = [
        "---:" if i and all(cell == NONE or NUMBER.match(cell) for cell in cells) else "---"
        for i, cells in enumerate(columns.values())
    ]
    lines = [columns, marks, *zip(*columns.values(), strict=True)]
    lines = [list(map(plain, line)) for line in lines]
    return f"**{plain(title)}**\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines)


def plain(text: str) -> str:
    """Escape what Markdown would take for markup; underscores within words are safe.

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
