"""Figures of trainings and scores: histories, confusion matrices, thresholds, improvements.

Conventions: f-scores are [trainings x thresholds], at `metrics.THRESHOLDS`; matrices [trainings x
true x predicted].
"""

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING

import numpy as np

from instrec.config import full_name
from instrec.figures import style
from instrec.figures.style import BLUE, GREEN, GREY, ORANGE, new_figure, styled
from instrec.scoring import metrics
from instrec.scoring.disturbances import UNDISTURBED

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

AVERAGES = ("micro", "macro")  # those of metrics.AVERAGES that figures show


@styled
def confusion(matrices: np.ndarray, labels: Sequence[str], title: str) -> "Figure":
    """Draw the mean of row-normalised confusion matrices; the title gives the mean accuracy.

    Parameters
    ----------
    matrices : np.ndarray [shape=(trainings, labels, labels)]
        Rows are true, columns predicted labels. The row of a label that no clip has is zero, and
        drawn grey.
    labels : sequence of str
        Names of the labels.
    title : str
        First line of the title.

    Returns
    -------
    Figure
    """
    mean = np.mean(matrices, axis=0)
    accuracy = metrics.mean_and_deviation([metrics.mean_accuracy(matrix) for matrix in matrices])
    side = 0.47 * len(labels)  # inches; a cell holds four digits
    figure = new_figure(
        max(side + 1.9, 4.6), max(side + 1.4, 4.0), f"{title}\nmean accuracy {accuracy}"
    )
    axes = figure.subplots()
    shown = np.where(mean.any(axis=1, keepdims=True), mean, np.nan)
    axes.set_facecolor("#E6E6E6")
    image = axes.imshow(shown, cmap="Blues", vmin=0, vmax=1)
    for (row, column), value in np.ndenumerate(shown):
        text = "–" if np.isnan(value) else "0" if value < 0.005 else f"{value:.2f}"
        colour = "white" if value > 0.55 else GREY if text in "–0" else "black"
        axes.text(column, row, text, ha="center", va="center", fontsize=9, color=colour)
    names = [*map(full_name, labels)]
    axes.set_xticks(range(len(labels)), names, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(labels)), names)
    axes.set(xlabel="predicted label", ylabel="true label")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.grid(visible=False)
    bar = figure.colorbar(image, shrink=0.8, pad=0.02, label="share of a true label")
    bar.outline.set_visible(False)
    return figure


@styled
def threshold_curves(
    f_scores: Mapping[str, Mapping[str, Mapping[str, np.ndarray]]],
    optima: Mapping[str, Mapping[str, Mapping[str, float]]],
    title: str,
) -> "Figure":
    """Draw the f-score against the threshold: a panel for each strategy, a line for each average.

    Parameters
    ----------
    f_scores : mapping of mapping of mapping of np.ndarray [shape=(trainings, thresholds)]
        By strategy, kind and name; only the kind 'global' and `AVERAGES` are drawn.
    optima : mapping of mapping of mapping of float
        Best thresholds, likewise: drawn as markers, with values in the legend.
    title : str
        Title of the figure.

    Returns
    -------
    Figure
    """
    figure = new_figure(4.6 * len(f_scores), 3.9, title)
    panels = figure.subplots(1, len(f_scores), sharey=True, squeeze=False)[0]
    for axes, (strategy, kinds) in zip(panels, f_scores.items(), strict=True):
        # Averages are often close together: the second is dashed, so that the first shows through.
        looks = ((BLUE, "-", "o", 9), (ORANGE, "--", "s", 6))
        for average, look in zip(AVERAGES, looks, strict=True):
            values, best = kinds["global"][average], optima[strategy]["global"][average]
            f_score = f_score_at(best, values)
            style.band(axes, metrics.THRESHOLDS, values, *look[:2])
            style.mark(axes, best, f_score, *look, f"{average}: {f_score:.3f} at {best:.2f}")
        axes.set(title=f"strategy {strategy}", xlabel="threshold", xlim=(0, 1), ylim=(0, 1))
        axes.legend(title="best mean f-score", handlelength=3)
    panels[0].set_ylabel("f-score")
    return figure


@styled
def classwise_panels(
    f_scores: Mapping[str, np.ndarray],
    optima: Mapping[str, float],
    absent: Sequence[str],
    title: str,
) -> "Figure":
    """Draw each label's f-score against the threshold, one panel per label, ordered by optimum.

    Parameters
    ----------
    f_scores : mapping of np.ndarray [shape=(trainings, thresholds)]
        By label.
    optima : mapping of float
        Best threshold, by label.
    absent : sequence of str
        Labels that no clip has; their panels come last and say so.
    title : str
        Title of the figure.

    Returns
    -------
    Figure
    """
    order = sorted(f_scores, key=lambda label: (label in absent, optima[label]))
    columns = math.ceil(math.sqrt(len(order)))
    rows = math.ceil(len(order) / columns)
    figure = new_figure(2.5 * columns, 1.75 * rows + 0.8, title)  # fits the longest name
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).flat
    for axes in panels[len(order) :]:
        axes.set_visible(False)
    for axes, label in zip(panels, order, strict=False):
        axes.set_title(full_name(label), loc="left", fontweight="bold", fontsize=9)
        axes.set_title(f" {optima[label]:.2f}", loc="right", fontsize=9)
        axes.set(xlim=(0, 1), ylim=(0, 1), xticks=(0, 0.5, 1), yticks=(0, 0.5, 1))
        axes.set(xticklabels=("0", "0.5", "1"), yticklabels=("0", "0.5", "1"))
        if label in absent:
            axes.text(
                0.5, 0.5, "no clip has it:\nmicro optimum", ha="center", va="center", color=GREY
            )
            continue
        style.band(axes, metrics.THRESHOLDS, f_scores[label], BLUE)
        best = f_score_at(optima[label], f_scores[label])
        style.mark(axes, optima[label], best, ORANGE)
    # The lowest panel of each column has tick labels, even above an empty place.
    for axes in panels[max(0, len(order) - columns) : len(order)]:
        axes.tick_params(labelbottom=True)
    figure.supxlabel("threshold", fontsize=10)
    figure.supylabel("f-score", fontsize=10)
    return figure


@styled
def improvement_bars(
    panels: Mapping[str, tuple["pd.DataFrame", "pd.DataFrame", list[str]]], title: str
) -> "Figure":
    """Draw by how many points one model beats another in precision, recall and F.

    One row per strategy, bars for three measures, as in thesis Figs 5.9, 5.12, 5.20 and 5.21.

    Parameters
    ----------
    panels : mapping of (pandas.DataFrame, pandas.DataFrame, list of str)
        By panel title: the improvements in points and their deviations, by strategy and name,
        one column per measure; and the names of the bars, such as labels.
    title : str
        Title of the figure.

    Returns
    -------
    Figure
    """
    strategies = metrics.STRATEGIES
    widths = [max(len(names), 2) for _, _, names in panels.values()]
    figure = new_figure(max(0.85 * sum(widths) + 1.2, 6), 2.6 * len(strategies) + 1.2, title)
    drawn = figure.subplots(
        len(strategies), len(panels), sharey=True, width_ratios=widths, squeeze=False
    )
    for row, strategy in zip(drawn, strategies, strict=True):
        for axes, (panel, (*frames, names)) in zip(row, panels.items(), strict=True):
            shown = (frame.loc[strategy].loc[names].rename(full_name) for frame in frames)
            _bars_of_measures(axes, *shown, _signed)
            axes.tick_params(axis="x", labelrotation=20 if len(names) > 2 else 0)
            axes.axhline(0, color="black", linewidth=0.8)
            axes.set_title(f"{panel}, strategy {strategy}")
        row[0].set_ylabel("improvement in points")
    low, high = drawn[0, 0].get_ylim()  # of all panels
    drawn[0, 0].set_ylim(min(low, -1), max(high, 1))  # not an axis of rounding errors
    style.legend_below(figure, drawn[0, 0])
    return figure


def _signed(points: float) -> str:
    """Format a difference: 1.25 -> '+1.2'; what rounds to -0 becomes +0."""
    return f"{round(points, 1) + 0:+.1f}"


@styled
def label_bars(
    means: "pd.DataFrame", deviations: "pd.DataFrame", labels: Sequence[str], title: str
) -> "Figure":
    """Draw precision, recall and F of each label, one row per strategy, as in thesis Fig. 5.6.

    Parameters
    ----------
    means, deviations : pandas.DataFrame
        Over trainings, by strategy and label, one column per measure.
    labels : sequence of str
        Names of the labels.
    title : str
        Title of the figure.

    Returns
    -------
    Figure
    """
    strategies = metrics.STRATEGIES
    figure = new_figure(max(0.75 * len(labels) + 1.2, 6), 2.4 * len(strategies) + 1.2, title)
    rows = figure.subplots(len(strategies), 1, sharey=True, squeeze=False)[:, 0]
    for axes, strategy in zip(rows, strategies, strict=True):
        frames = (frame.loc[strategy].loc[labels] for frame in (means, deviations))
        _bars_of_measures(axes, *(frame.rename(full_name) for frame in frames), "%.2f")
        axes.tick_params(axis="x", labelrotation=20)
        axes.set(title=f"strategy {strategy}", ylabel="share of 1")
        axes.set_yticks(np.linspace(0, 1, 6))
    highest = (means + deviations).to_numpy().max()
    rows[0].set_ylim(0, max(1.2, highest + 0.2))  # of all rows; with room for the numbers
    style.legend_below(figure, rows[0])
    return figure


@styled
def stability(table: "pd.DataFrame", units: Mapping[str, str], title: str) -> "Figure":
    """Draw F against the level of each disturbance, one panel each, with the mildest on the left.

    Parameters
    ----------
    table : pandas.DataFrame
        Columns disturbance, level, average and f-score; 'none' is the clips as they are.
    units : mapping of str to str
        What the level of each disturbance means, as an axis label.
    title : str
        Title of the figure.

    Returns
    -------
    Figure
    """
    figure = new_figure(2.9 * len(units), 3.6, title)
    panels = figure.subplots(1, len(units), sharey=True)
    for axes, (name, unit) in zip(panels, units.items(), strict=True):
        for average, colour, marker in zip(AVERAGES, (BLUE, ORANGE), "os", strict=True):
            rows = table[table["average"] == average].set_index("disturbance")
            levels, found = rows.loc[name, ["level", "f-score"]].to_numpy().T
            axes.plot(found, marker=marker, color=colour, label=average)
            undisturbed = rows.loc[UNDISTURBED, "f-score"]
            axes.axhline(undisturbed, color=colour, linestyle="--", linewidth=1)
        axes.set_xticks(range(len(levels)), [f"{level:g}" for level in levels])
        axes.set(title=name, xlabel=unit, ylim=(0, 1))
    panels[0].plot([], [], color=GREY, linestyle="--", linewidth=1, label="undisturbed")
    panels[0].set_ylabel("f-score")
    style.legend_below(figure, panels[0])
    return figure


def _bars_of_measures(
    axes: "Axes",
    means: "pd.DataFrame",
    deviations: "pd.DataFrame",
    form: str | Callable[[float], str],
) -> None:
    """Draw one group of bars per row, and in it one bar per column."""
    width, positions = 0.84 / means.shape[1], np.arange(len(means))
    for i, measure in enumerate(means):
        bars = axes.bar(
            positions + (i - (means.shape[1] - 1) / 2) * width,
            means[measure],
            width,
            yerr=deviations[measure],
            color=(BLUE, GREEN, ORANGE)[i],
            error_kw={"elinewidth": 0.8, "ecolor": "#333333"},
            label=measure,
        )
        axes.bar_label(bars, fmt=form, fontsize=6, padding=2, rotation=90)
    axes.set_xticks(positions, means.index)
    axes.tick_params(axis="x", length=0)
    axes.grid(visible=False, axis="x")
    axes.margins(x=0.02, y=0.2)


@styled
def history(histories: Sequence[np.ndarray], title: str) -> "Figure":
    """Draw training and validation loss and accuracy against the epoch.

    Parameters
    ----------
    histories : sequence of np.ndarray [shape=(epochs,)]
        One structured array per training, with fields `loss`, `accuracy`, `val_loss` and
        `val_accuracy`. Lengths may differ; the mean at an epoch is over those that reached it.
    title : str
        Title of the figure.

    Returns
    -------
    Figure
    """
    from matplotlib.ticker import MaxNLocator

    lengths = [len(epochs) for epochs in histories]
    epochs = np.arange(1, max(lengths) + 1)
    figure = new_figure(9.2, 3.9, title)
    for axes, quantity in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        for prefix, name, colour in (("", "training", BLUE), ("val_", "validation", ORANGE)):
            recorded = (run[prefix + quantity] for run in histories)
            values = [*zip_longest(*recorded, fillvalue=np.nan)]  # [epochs x trainings]
            style.band(axes, epochs, np.transpose(values), colour, label=name)
        for end in sorted({n for n in lengths if n < max(lengths)}):
            axes.axvline(end, color=GREY, linewidth=0.8, linestyle=":")
        if min(lengths) < max(lengths):
            axes.plot([], [], color=GREY, linewidth=0.8, linestyle=":", label="end of a training")
        axes.set(title=quantity, xlabel="epoch")
        axes.margins(x=0.02, y=0.05)
        axes.set_ylim(bottom=0, top=1 if quantity == "accuracy" else None)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    style.legend_below(figure, axes)
    return figure


def f_score_at(threshold: float, f_scores: np.ndarray) -> float:
    """Read the mean f-score at a threshold: [trainings x thresholds] -> a number.

    Parameters
    ----------
    threshold : float
        One of `metrics.THRESHOLDS`, or between two.
    f_scores : np.ndarray, shape (trainings, thresholds)
        At each of these thresholds.

    Returns
    -------
    float
    """
    return float(np.interp(threshold, metrics.THRESHOLDS, np.mean(f_scores, axis=0)))
