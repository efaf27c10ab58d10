"""The figures: one style, one way to save them, and functions that draw from arrays.

Conventions: f-scores are [iterations x thresholds], matrices [iterations x true x predicted]; what
is drawn is the mean over the iterations (trainings from other random weights) with a band or bar
of one standard deviation. Colours are those of Okabe and Ito, which colour-blind readers can tell
apart. Drawing functions return a figure and know no disk; matplotlib is imported when they are
called, and needs no display.
"""

import functools
import io
import math
import textwrap
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from instrec.common import storage
from instrec.data import features
from instrec.scoring import metrics

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

    from instrec.data.features import FeatureParameters
    from instrec.scoring.recognition import Recognition

DPI = 200
DB = 20 / np.log(10)  # of a step of 1 in a natural logarithm of magnitudes
DYNAMIC_RANGE = 80  # dB of a spectrogram
LEVELS = {"cmap": "magma", "vmin": -DYNAMIC_RANGE, "vmax": 0}  # dB below the loudest
SPECTROGRAM_RATE, SPECTROGRAM_HOP = 22050, 512  # Hz and samples: defaults of features.log_mel
AVERAGES = ("micro", "macro")  # what figures show of metrics.AVERAGES
CHARACTERS_AN_INCH = 11  # of a title
BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#767676"
STYLE = {
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same everywhere
    "font.size": 10,
    "axes.titlesize": 10,
    "figure.titlesize": 11,
    "legend.fontsize": 9,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": "#DDDDDD",
    "grid.linewidth": 0.5,
    "axes.linewidth": 0.8,
    "lines.linewidth": 1.8,
    "figure.constrained_layout.use": True,
    "pdf.fonttype": 42,  # text stays text
}


def save(figure: "Figure", path: Path) -> list[Path]:
    """Write a figure as PNG and PDF, each whole or not at all; equal figures give equal files.

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
        # Not straight to the disk: where it is full, Matplotlib fails in ways that do not say so.
        content, ending = io.BytesIO(), target.suffix
        figure.savefig(content, format=ending[1:], dpi=DPI, metadata=metadata[ending])
        with storage.whole(target) as partial:
            partial.write_bytes(content.getbuffer())
    return paths


def _styled(draw: Callable[..., "Figure"]) -> Callable[..., "Figure"]:
    """Draw in the style of this module, whatever the user's matplotlibrc says."""

    @functools.wraps(draw)
    def styled(*args: object, **kwargs: object) -> "Figure":
        import matplotlib.style

        with matplotlib.style.context(["default", STYLE]):
            return draw(*args, **kwargs)

    return styled


def _figure(width: float, height: float, title: str) -> "Figure":
    """Return an empty figure, of that many inches; it belongs to no window and needs no closing."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    lines = [textwrap.fill(line, int(width * CHARACTERS_AN_INCH)) for line in title.splitlines()]
    figure.suptitle("\n".join(lines))
    return figure


@_styled
def confusion(matrices: np.ndarray, labels: Sequence[str], title: str) -> "Figure":
    """Draw the mean of row-normalised confusion matrices; the title gives the mean accuracy.

    Parameters
    ----------
    matrices : np.ndarray [shape=(iterations, labels, labels)]
        Rows are true, columns predicted labels. The row of a label that no clip has is zero, and
        drawn grey.
    labels : sequence of str
        Names of the labels.
    title : str
        First line of the title.
    """
    mean = np.mean(matrices, axis=0)
    accuracy = metrics.mean_and_deviation([metrics.mean_accuracy(matrix) for matrix in matrices])
    side = 0.47 * len(labels)  # inches; a cell holds four digits
    figure = _figure(
        max(side + 1.9, 4.6), max(side + 1.4, 4.0), f"{title}\nmean accuracy {accuracy}"
    )
    axes = figure.subplots()
    occurs = mean.any(axis=1)
    shown = np.where(occurs[:, None], mean, np.nan)
    axes.set_facecolor("#E6E6E6")
    image = axes.imshow(shown, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.ndindex(mean.shape):
        _write_cell(axes, row, column, mean[row, column] if occurs[row] else None)
    axes.set_xticks(range(len(labels)), labels, rotation=0 if len(labels) < 12 else 45)
    axes.set_yticks(range(len(labels)), labels)
    axes.set(xlabel="predicted label", ylabel="true label")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.grid(visible=False)
    bar = figure.colorbar(image, shrink=0.8, pad=0.02, label="share of the clips of a true label")
    bar.outline.set_visible(False)
    return figure


def _write_cell(axes: "Axes", row: int, column: int, value: float | None) -> None:
    text = "–" if value is None else "0" if value < 0.005 else f"{value:.2f}"
    light = GREY if text in "–0" else "black"
    colour = "white" if value and value > 0.55 else light
    axes.text(column, row, text, ha="center", va="center", fontsize=9, color=colour)


@_styled
def threshold_curves(
    thresholds: np.ndarray,
    f_scores: Mapping[str, Mapping[str, np.ndarray]],
    optima: Mapping[str, Mapping[str, float]],
    title: str,
) -> "Figure":
    """Draw the f-score against the threshold: a panel for each strategy, a line for each average.

    Parameters
    ----------
    thresholds : np.ndarray [shape=(thresholds,)]
        From 0 to 1.
    f_scores : mapping of mapping of np.ndarray [shape=(iterations, thresholds)]
        By strategy and average.
    optima : mapping of mapping of float
        Best threshold, by strategy and average: a marker, and its value in the legend.
    title : str
        Title of the figure.
    """
    figure = _figure(4.6 * len(f_scores), 3.9, title)
    panels = figure.subplots(1, len(f_scores), sharey=True, squeeze=False)[0]
    for axes, (strategy, of_strategy) in zip(panels, f_scores.items(), strict=True):
        # Averages are often close together: the second is dashed, so that the first shines through.
        looks = ((BLUE, "-", "o", 9), (ORANGE, "--", "s", 6))
        for (average, values), look in zip(of_strategy.items(), looks, strict=True):
            best = optima[strategy][average]
            f_score = f_score_at(best, thresholds, values)
            _band(axes, thresholds, values, *look[:2])
            _mark(axes, best, f_score, *look, f"{average}: {f_score:.3f} at {best:.2f}")
        axes.set(title=f"strategy {strategy}", xlabel="threshold", xlim=(0, 1), ylim=(0, 1))
        axes.legend(title="best mean f-score", handlelength=3)
    panels[0].set_ylabel("f-score")
    return figure


@_styled
def classwise_panels(
    thresholds: np.ndarray,
    f_scores: Mapping[str, np.ndarray],
    optima: Mapping[str, float],
    absent: Sequence[str],
    title: str,
) -> "Figure":
    """Draw the f-score of each label against the threshold, a panel a label, ordered by optimum.

    Parameters
    ----------
    thresholds : np.ndarray [shape=(thresholds,)]
        From 0 to 1.
    f_scores : mapping of np.ndarray [shape=(iterations, thresholds)]
        By label.
    optima : mapping of float
        Best threshold, by label.
    absent : sequence of str
        Labels that no clip has; their panels come last and say so.
    title : str
        Title of the figure.
    """
    order = sorted(f_scores, key=lambda label: (label in absent, optima[label]))
    columns = math.ceil(math.sqrt(len(order)))
    rows = math.ceil(len(order) / columns)
    figure = _figure(2.3 * columns, 1.75 * rows + 0.8, title)
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).flat
    for axes in panels[len(order) :]:
        axes.set_visible(False)
    for axes, label in zip(panels, order, strict=False):
        axes.set_title(label, loc="left", fontweight="bold")
        axes.set_title(f"optimum {optima[label]:.2f}", loc="right", fontsize=9)
        axes.set(xlim=(0, 1), ylim=(0, 1), xticks=(0, 0.5, 1), yticks=(0, 0.5, 1))
        axes.set(xticklabels=("0", "0.5", "1"), yticklabels=("0", "0.5", "1"))
        if label in absent:
            axes.text(
                0.5, 0.5, "no clip has it:\nmicro optimum", ha="center", va="center", color=GREY
            )
            continue
        _band(axes, thresholds, f_scores[label], BLUE)
        best = f_score_at(optima[label], thresholds, f_scores[label])
        _mark(axes, optima[label], best, ORANGE)
    # The lowest panel of each column carries the numbers, also above an empty place.
    for axes in panels[max(0, len(order) - columns) : len(order)]:
        axes.tick_params(labelbottom=True)
    figure.supxlabel("threshold", fontsize=10)
    figure.supylabel("f-score", fontsize=10)
    return figure


@_styled
def history(histories: Sequence[np.ndarray], title: str) -> "Figure":
    """Draw loss and accuracy against the epoch, of training and of validation.

    Parameters
    ----------
    histories : sequence of np.ndarray [shape=(epochs,)]
        One structured array a run, with fields `loss`, `accuracy`, `val_loss` and `val_accuracy`.
        Runs may have different lengths; the mean is over those that reached an epoch.
    title : str
        Title of the figure.
    """
    from matplotlib.ticker import MaxNLocator

    lengths = [len(of_run) for of_run in histories]
    epochs = np.arange(1, max(lengths) + 1)
    figure = _figure(9.2, 3.9, title)
    for axes, quantity in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        for field, part, colour in (
            (quantity, "training", BLUE),
            (f"val_{quantity}", "validation", ORANGE),
        ):
            values = np.full((len(histories), max(lengths)), np.nan)
            for row, of_run in zip(values, histories, strict=True):
                row[: len(of_run)] = of_run[field]
            _band(axes, epochs, values, colour, label=part)
        for end in sorted({n for n in lengths if n < max(lengths)}):
            axes.axvline(end, color=GREY, linewidth=0.8, linestyle=":")
        if min(lengths) < max(lengths):
            axes.plot([], [], color=GREY, linewidth=0.8, linestyle=":", label="end of a run")
        axes.set(title=quantity, xlabel="epoch")
        axes.margins(x=0.02)
        axes.set_ylim(bottom=0, top=1 if quantity == "accuracy" else None)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    _legend_below(figure, axes)
    return figure


@_styled
def improvement_bars(
    panels: Mapping[str, Mapping[str, tuple[np.ndarray, np.ndarray]]],
    names: Mapping[str, Sequence[str]],
    title: str,
) -> "Figure":
    """Draw how many points of f-score one model is better (or worse) than another.

    Parameters
    ----------
    panels : mapping of mapping of (np.ndarray, np.ndarray) [shape=(names,)]
        By title of the panel and strategy: the improvement in points, and its deviation.
    names : mapping of sequence of str
        By title of the panel: what the bars are of, such as labels.
    title : str
        Title of the figure.
    """
    counts = [len(names[panel]) for panel in panels]
    widths = [max(count, 2.5) for count in counts]
    figure = _figure(max(0.72 * sum(widths) + 1.0, 5.5), 4.0, title)
    drawn = figure.subplots(1, len(panels), sharey=True, width_ratios=widths, squeeze=False)[0]
    for axes, (panel, strategies) in zip(drawn, panels.items(), strict=True):
        width = 0.8 / len(strategies)
        positions = np.arange(len(names[panel]))
        for i, (strategy, (points, deviations)) in enumerate(strategies.items()):
            bars = axes.bar(
                positions + (i - (len(strategies) - 1) / 2) * width,
                points,
                width,
                yerr=deviations,
                color=(BLUE, ORANGE)[i],
                error_kw={"elinewidth": 0.8, "ecolor": "#333333"},
                label=f"strategy {strategy}",
            )
            axes.bar_label(bars, fmt="%+.1f", fontsize=7, padding=2)
        axes.axhline(0, color="black", linewidth=0.8)
        axes.set_xticks(positions, names[panel])
        axes.set_title(panel)
        axes.tick_params(axis="x", length=0)
        axes.grid(visible=False, axis="x")
        axes.margins(x=0.02, y=0.12)
    drawn[0].set_ylabel("improvement (points of f-score, ± deviation)")
    _legend_below(figure, drawn[0])
    return figure


@_styled
def spectrograms(parts: Mapping[str, np.ndarray], title: str) -> "Figure":
    """Draw the log-mel spectrograms of a sound and of its parts, all on one scale.

    Parameters
    ----------
    parts : mapping of str to np.ndarray [shape=(mel bands, frames)]
        Natural logarithms as `features.log_mel` gives them, at its default rate and hop; the
        first is the whole sound, and each two that follow add up to it.
    title : str
        Above the figure.
    """
    rows = 1 + len(parts) // 2
    figure = _figure(9, 0.9 + 1.9 * rows, title)
    grid = figure.add_gridspec(rows, 2)
    places = [grid[0, :], *(grid[1 + i // 2, i % 2] for i in range(len(parts) - 1))]
    frames = next(iter(parts.values())).shape[1]
    span = (0, frames * SPECTROGRAM_HOP / SPECTROGRAM_RATE)
    top = max(part.max() for part in parts.values())
    for place, (name, part) in zip(places, parts.items(), strict=True):
        axes = figure.add_subplot(place)
        image = _mel_map(axes, _decibels(part, top), span, SPECTROGRAM_RATE, **LEVELS)
        axes.set_title(name, loc="left")
    figure.supxlabel("time in seconds", fontsize="medium")
    figure.supylabel("frequency in Hz", fontsize="medium")
    figure.colorbar(image, ax=figure.axes, label="dB", aspect=40)
    return figure


@_styled
def attribution(
    inputs: Sequence[tuple[str, np.ndarray, np.ndarray]],
    start: float,
    parameters: "FeatureParameters",
    title: str,
) -> "Figure":
    """Draw a patch and, below it, what each of its cells does for an output: a column an input.

    Beside each map is what it holds by mel band. Of several channels, levels are averaged and
    attributions added up.

    Parameters
    ----------
    inputs : sequence of (str, np.ndarray, np.ndarray) [shape=(mel bands, frames, channels)]
        For each input of the network: its name, its log-mel patch, and its attributions.
    start : float
        Seconds into the recording where the patch begins.
    parameters : features.FeatureParameters
        What the patch is made with.
    title : str
        Above the figure.
    """
    names, patches, maps = zip(*inputs, strict=True)
    patches = [patch.mean(axis=-1) for patch in patches]
    maps = [of_input.sum(axis=-1) for of_input in maps]
    # A silent patch is dark, though its loudest cell is as loud as all others.
    top = max(*(patch.max() for patch in patches), np.log(features.EPSILON) + DYNAMIC_RANGE / DB)
    looks, rate = _signed_colours(np.abs(maps)), parameters.sample_rate
    span = (start, start + parameters.patch_frames * parameters.hop_length / rate)
    figure = _figure(2.2 + 4.8 * len(inputs), 6.8, title)
    rows = figure.subplots(2, 2 * len(inputs), sharey=True, width_ratios=(2.6, 1) * len(inputs))
    for column, (name, patch, of_input) in enumerate(zip(names, patches, maps, strict=True)):
        (sound, level), (used, by_band) = rows[:, 2 * column : 2 * column + 2]
        decibels, of_bands = _decibels(patch, top), of_input.sum(axis=1)
        levels = _mel_map(sound, decibels, span, rate, **LEVELS)
        shown = _mel_map(used, of_input, span, rate, **looks)
        _band_profile(level, decibels.mean(axis=1), GREY, left=-DYNAMIC_RANGE)
        _band_profile(by_band, of_bands, np.where(of_bands < 0, BLUE, ORANGE))
        by_band.axvline(0, color="black", linewidth=0.8)
        sound.set_title(f"log-mel spectrogram of {name}", loc="left")
        level.set(title="mean level in dB", xlim=(-DYNAMIC_RANGE, 0))
        used.set_title(f"attributions in {name}", loc="left")
        used.set_xlabel("time in seconds")
        by_band.set_title("sum over time")
    limits = [axes.get_xlim() for axes in rows[1, 1::2]]
    for axes in rows[1, 1::2]:  # the inputs on one scale
        axes.set_xlim(np.min(limits), np.max(limits))
    figure.supylabel("frequency in Hz, on the mel scale", fontsize="medium")
    figure.colorbar(levels, ax=rows[0], label="dB below the loudest", aspect=30, pad=0.02)
    label = "attribution of a cell\n(orange: for the label, blue: against)"
    figure.colorbar(shown, ax=rows[1], label=label, extend="both", aspect=30, pad=0.02)
    return figure


def _signed_colours(strengths: np.ndarray) -> dict:
    """Return blue, white and orange as `imshow` takes them, 0 being white, for these strengths."""
    from matplotlib.colors import LinearSegmentedColormap

    colours = LinearSegmentedColormap.from_list("signed", (BLUE, "white", ORANGE))
    felt = strengths[strengths > 0]
    # The strongest hundredth is as dark as the limit, so as not to pale all others.
    limit = np.percentile(felt, 99) if len(felt) else 1.0
    return {"cmap": colours, "vmin": -limit, "vmax": limit}


def _decibels(spectrogram: np.ndarray, top: float) -> np.ndarray:
    """Turn natural logarithms into dB below `top`."""
    return DB * (spectrogram - top)


def _mel_map(
    axes: "Axes",
    values: np.ndarray,
    span: tuple[float, float],
    sample_rate: int,
    **colours: object,
) -> "AxesImage":
    """Draw [mel bands x frames] over seconds, with the bands marked in Hz."""
    import librosa

    bands = len(values)
    image = axes.imshow(
        values, origin="lower", aspect="auto", extent=(*span, -0.5, bands - 0.5), **colours
    )
    # The filters peak between the two ends of the scale.
    centres = librosa.mel_frequencies(n_mels=bands + 2, fmin=0, fmax=sample_rate / 2)[1:-1]
    ticks = [f for f in (125, 500, 2000, 8000) if centres[0] <= f <= centres[-1]]  # Hz
    axes.set_yticks(np.interp(ticks, centres, np.arange(bands)), [f"{f:,}" for f in ticks])
    axes.grid(visible=False)
    return image


def _band_profile(
    axes: "Axes", values: np.ndarray, colours: str | np.ndarray, left: float = 0
) -> None:
    """Draw a value a mel band as bars from `left` on, to the side of a map of the same bands."""
    axes.barh(range(len(values)), values - left, height=1, left=left, color=colours)
    axes.locator_params(axis="x", nbins=3)
    axes.ticklabel_format(axis="x", scilimits=(-2, 3))
    axes.tick_params(axis="y", length=0)


@_styled
def recognition(found: "Recognition", labels: Sequence[str], title: str) -> "Figure":
    """Draw what was found in a recording: spectrogram, outputs over time, strengths (thesis 5.23).

    Parameters
    ----------
    found : Recognition
        Of `recognition.Recogniser`.
    labels : sequence of str
        Names of the labels, in the order of the outputs.
    title : str
        Above the figure.
    """
    from matplotlib.ticker import FuncFormatter

    figure = _figure(10, 3.4 + 0.22 * len(labels), title)
    heights = (1.6, 0.4 + 0.22 * len(labels))
    grid = figure.add_gridspec(2, 2, width_ratios=(4, 1), height_ratios=heights)
    sound, over_time, strengths = (
        figure.add_subplot(place) for place in (grid[0, 0], grid[1, 0], grid[1, 1])
    )
    levels = _decibels(found.spectrogram, found.spectrogram.max())
    _mel_map(sound, levels, (0, found.seconds), found.sample_rate, **LEVELS)
    sound.set(ylabel="frequency in Hz", title="log-mel spectrogram")
    rows = [list(labels).index(name) for name in found.table.index]  # the strongest on top
    image = over_time.imshow(
        found.predictions[:, rows].T,
        aspect="auto",
        cmap="viridis",
        vmin=0,
        vmax=1,
        extent=(0, found.seconds, len(rows) - 0.5, -0.5),
        interpolation="nearest",
    )
    over_time.set_yticks(range(len(rows)), found.table.index)
    over_time.set(xlabel="time in minutes and seconds", title="outputs of the network, by patch")
    figure.colorbar(image, ax=over_time, location="bottom", aspect=50, shrink=0.6)
    for axes in (sound, over_time):
        axes.grid(visible=False)
        axes.set_xlim(0, found.seconds)
        axes.xaxis.set_major_formatter(
            FuncFormatter(
                lambda s, _: (
                    f"{int(s // 60)}:{s % 60:04.1f}"
                    if s % 1
                    else f"{int(s // 60)}:{int(s % 60):02d}"
                )
            )
        )
    places = np.arange(len(rows))
    colours = [BLUE if present else GREY for present in found.table["present"]]
    strengths.barh(places, found.table["strength"], color=colours, height=0.7)
    strengths.plot(found.table["threshold"], places, "|", color=ORANGE, markersize=12, mew=2)
    strengths.set(xlim=(0, 1.02), ylim=(len(rows) - 0.5, -0.5), title="strength, threshold")
    strengths.set_yticks(places, [])
    strengths.grid(visible=False, axis="y")
    return figure


def _legend_below(figure: "Figure", axes: "Axes") -> None:
    """Put one legend, that of `axes`, below all panels."""
    handles, texts = axes.get_legend_handles_labels()
    figure.legend(handles, texts, loc="outside lower center", ncols=len(handles))


def f_score_at(threshold: float, thresholds: np.ndarray, f_scores: np.ndarray) -> float:
    """Read the mean f-score at a threshold: [iterations x thresholds] -> a number."""
    return float(np.interp(threshold, thresholds, np.mean(f_scores, axis=0)))


def _band(
    axes: "Axes",
    x: np.ndarray,
    values: np.ndarray,
    colour: str,
    line: str = "-",
    label: str | None = None,
) -> None:
    """Draw the mean of [iterations x ...] as a line, and the deviation as a band around it."""
    values = np.ma.masked_invalid(values)  # what a run did not reach, or a loss that diverged
    mean, deviation = values.mean(axis=0), values.std(axis=0)
    marker = "o" if len(x) <= 12 else None  # a short line is seen, and a single point at all
    axes.plot(x, mean, line, color=colour, label=label, marker=marker, markersize=4)
    axes.fill_between(x, mean - deviation, mean + deviation, color=colour, alpha=0.2, linewidth=0)


def _mark(
    axes: "Axes",
    x: float,
    y: float,
    colour: str,
    line: str = "-",
    marker: str = "o",
    size: float = 7,
    label: str | None = None,
) -> None:
    """Mark a point, and where it is on the x axis; the legend shows `line` and `marker`."""
    axes.plot([x, x], [0, y], ":", color=colour, linewidth=1)
    point = {"marker": marker, "markersize": size, "markeredgecolor": "white", "zorder": 3}
    # Not cut off where it lies on the edge.
    axes.plot(x, y, line, color=colour, label=label, clip_on=False, **point)
