"""The style of all figures, one way to save them, and elements that several share.

Drawing functions return a figure and write no files; matplotlib is imported when they are called,
and needs no display. They draw the mean over the trainings, with a band or bar of one standard
deviation of the sample. Colours are those of Okabe and Ito, which colour-blind readers can tell
apart.
"""

import functools
import io
import textwrap
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from instrec.common import storage
from instrec.scoring import metrics

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 200
CHARACTERS_AN_INCH = 11  # of a title
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#767676"
# Letters that the font of the style lacks, as in file names, are taken from those installed of:
EAST_ASIAN = (
    *("Noto Sans CJK JP", "Droid Sans Fallback", "WenQuanYi Zen Hei"),  # Linux
    *("Hiragino Sans", "PingFang HK", "Apple SD Gothic Neo", "Arial Unicode MS"),  # macOS
    *("Yu Gothic", "Microsoft YaHei", "Malgun Gothic"),  # Windows
)
STYLE = Path(__file__).with_name("figures.mplstyle")


def save(figure: "Figure", path: Path) -> list[Path]:
    """Save a figure reproducibly as PNG and PDF, each whole or not at all, and print the path.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        What to write.
    path : Path
        Where to, without the ending.

    Returns
    -------
    list of Path
        The files.
    """
    metadata = {".png": {"Software": None}, ".pdf": {"CreationDate": None}}
    paths = [path.with_name(path.name + ending) for ending in metadata]
    for target in paths:
        # Not straight to the disk: when that is full, Matplotlib's errors do not say so.
        content, ending = io.BytesIO(), target.suffix
        with warnings.catch_warnings():  # a name may have letters that the font lacks
            warnings.filterwarnings("ignore", "Glyph .* missing")
            figure.savefig(content, format=ending[1:], dpi=DPI, metadata=metadata[ending])
        storage.save(target, content.getbuffer())
    print(f"figure: {paths[0]} (and .pdf)")
    return paths


def styled(draw: Callable[..., "Figure"]) -> Callable[..., "Figure"]:
    """Draw in the style of this module, whatever the user's matplotlibrc says.

    Parameters
    ----------
    draw : callable
        Returns a figure.

    Returns
    -------
    callable
        The same function, in the style.
    """

    @functools.wraps(draw)
    def in_style(*args: object, **kwargs: object) -> "Figure":
        import matplotlib.style

        with matplotlib.style.context(["default", STYLE]):
            return draw(*args, **kwargs)

    return in_style


def new_figure(width: float, height: float, title: str) -> "Figure":
    """Return an empty figure, which belongs to no window and needs no closing.

    Parameters
    ----------
    width, height : float
        In inches.
    title : str
        Above all panels.

    Returns
    -------
    Figure
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    title = title.encode(errors="replace").decode()  # a file name need not be valid text
    lines = [
        textwrap.fill(line, int(width * CHARACTERS_AN_INCH), break_on_hyphens=False)
        for line in title.splitlines()
    ]
    heading = figure.suptitle("\n".join(lines))
    if not title.isascii():
        from matplotlib import font_manager

        installed = font_manager.get_font_names()
        others = (name for name in EAST_ASIAN if name in installed)
        heading.set_fontfamily([*heading.get_fontfamily(), *others])
    return figure


def legend_below(figure: "Figure", axes: "Axes") -> None:
    """Put one legend, that of `axes`, below all panels.

    Parameters
    ----------
    figure : Figure
        The figure.
    axes : Axes
        One of its panels.
    """
    handles, texts = axes.get_legend_handles_labels()
    figure.legend(handles, texts, loc="outside lower center", ncols=len(handles))


def band(
    axes: "Axes",
    x: np.ndarray,
    values: np.ndarray,
    colour: str,
    line: str = "-",
    label: str | None = None,
) -> None:
    """Draw the mean over trainings as a line, and the deviation as a band around it.

    Parameters
    ----------
    axes : Axes
        Where to draw.
    x : np.ndarray, shape (n,)
        Positions on the x axis.
    values : np.ndarray, shape (trainings, n)
        Values at these positions.
    colour, line : str
        As matplotlib takes them.
    label : str, optional
        For the legend.
    """
    values = np.ma.masked_invalid(values)  # epochs not reached, or a loss that diverged
    mean, deviation = values.mean(axis=0), metrics.deviation(values)
    marker = "o" if len(x) <= 12 else None  # keeps short lines and single points visible
    axes.plot(x, mean, line, color=colour, label=label, marker=marker, markersize=4)
    axes.fill_between(x, mean - deviation, mean + deviation, color=colour, alpha=0.2, linewidth=0)


def mark(
    axes: "Axes",
    x: float,
    y: float,
    colour: str,
    line: str = "-",
    marker: str = "o",
    size: float = 7,
    label: str | None = None,
) -> None:
    """Mark a point, and where it is on the x axis; the legend shows `line` and `marker`.

    Parameters
    ----------
    axes : Axes
        Where to draw.
    x, y : float
        The point.
    colour, line, marker : str
        As matplotlib takes them.
    size : float
        Of the marker, in points.
    label : str, optional
        For the legend.
    """
    axes.plot([x, x], [0, y], ":", color=colour, linewidth=1)
    point = {"marker": marker, "markersize": size, "markeredgecolor": "white", "zorder": 3}
    # Not clipped where it lies on the edge.
    axes.plot(x, y, line, color=colour, label=label, clip_on=False, **point)
