"""Figures of sounds: spectrograms, what a network heard, what was recognised."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from instrec.config import FeatureParameters, full_name
from instrec.data import features
from instrec.figures.style import BLUE, GREY, ORANGE, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

    from instrec.scoring.recognition import Recognition

DB = 20 / np.log(10)  # per step of 1 in the natural logarithm of a magnitude
DYNAMIC_RANGE = 80  # dB of a spectrogram
LEVELS = {"cmap": "magma", "vmin": -DYNAMIC_RANGE, "vmax": 0}  # dB below the loudest
SPECTROGRAM_RATE, SPECTROGRAM_HOP = 22050, 512  # Hz and samples: defaults of features.log_mel


@styled
def spectrograms(sounds: Mapping[str, np.ndarray], title: str) -> "Figure":
    """Draw the log-mel spectrograms of a sound and of what it was separated into, all on one scale.

    Parameters
    ----------
    sounds : mapping of str to np.ndarray [shape=(mel bands, frames)]
        Natural logarithms as `features.log_mel` gives them, at its default rate and hop; the
        first is the whole sound, and each pair that follows adds up to it.
    title : str
        Above the figure.

    Returns
    -------
    Figure
    """
    rows = 1 + len(sounds) // 2
    figure = new_figure(9, 0.9 + 1.9 * rows, title)
    grid = figure.add_gridspec(rows, 2)
    places = [grid[0, :], *(grid[1 + i // 2, i % 2] for i in range(len(sounds) - 1))]
    frames = next(iter(sounds.values())).shape[1]
    span = (0, frames * SPECTROGRAM_HOP / SPECTROGRAM_RATE)
    top = max(sound.max() for sound in sounds.values())
    for place, (name, sound) in zip(places, sounds.items(), strict=True):
        axes = figure.add_subplot(place)
        image = _mel_map(axes, _decibels(sound, top), span, SPECTROGRAM_RATE, **LEVELS)
        axes.set_title(name, loc="left")
    figure.supxlabel("time in seconds", fontsize="medium")
    figure.supylabel("frequency in Hz", fontsize="medium")
    figure.colorbar(image, ax=figure.axes, label="dB", aspect=40)
    return figure


@styled
def attribution(
    inputs: Sequence[tuple[str, np.ndarray, np.ndarray]],
    start: float,
    parameters: FeatureParameters,
    title: str,
) -> "Figure":
    """Draw a patch and, below it, what each cell does for an output: one column per input.

    Beside each map is its profile by mel band. Over channels, levels are averaged and attributions
    summed.

    Parameters
    ----------
    inputs : sequence of (str, np.ndarray, np.ndarray) [shape=(mel bands, frames, channels)]
        For each input of the network: its name, its log-mel patch, and its attributions.
    start : float
        Seconds into the recording where the patch begins.
    parameters : FeatureParameters
        What the patch is made with.
    title : str
        Above the figure.

    Returns
    -------
    Figure
    """
    names, patches, maps = zip(*inputs, strict=True)
    patches = [patch.mean(axis=-1) for patch in patches]
    maps = [cells.sum(axis=-1) for cells in maps]
    # Keeps a silent patch dark, although all its cells are as loud as the loudest.
    top = max(*(patch.max() for patch in patches), np.log(features.EPSILON) + DYNAMIC_RANGE / DB)
    looks, rate = _signed_colours(np.abs(maps)), parameters.sample_rate
    span = (start, start + parameters.patch_frames * parameters.hop_length / rate)
    figure = new_figure(2.2 + 4.8 * len(inputs), 6.8, title)
    rows = figure.subplots(2, 2 * len(inputs), sharey=True, width_ratios=(2.6, 1) * len(inputs))
    for column, (name, patch, cells) in enumerate(zip(names, patches, maps, strict=True)):
        (sound, level), (used, by_band) = rows[:, 2 * column : 2 * column + 2]
        decibels, sums = _decibels(patch, top), cells.sum(axis=1)
        levels = _mel_map(sound, decibels, span, rate, **LEVELS)
        shown = _mel_map(used, cells, span, rate, **looks)
        _band_profile(level, decibels.mean(axis=1), GREY, left=-DYNAMIC_RANGE)
        _band_profile(by_band, sums, np.where(sums < 0, BLUE, ORANGE))
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


@styled
def showcase(
    models: "Mapping[str, Sequence[Recognition]]",
    truth: Sequence[str],
    labels: Sequence[str],
    title: str,
) -> "Figure":
    """Draw what models hear in a row of solos, as in Fig. 5.23 of the thesis.

    Parameters
    ----------
    models : mapping of sequence of Recognition
        What each model found in each solo, aggregated by s1, by model name.
    truth : sequence of str
        Label of each solo.
    labels : sequence of str
        The label set.
    title : str
        Above the figure.

    Returns
    -------
    Figure
    """
    from matplotlib.patches import Rectangle

    first = next(iter(models.values()))
    edges = np.cumsum([0, *(found.seconds for found in first)])
    figure = new_figure(11, 2.6 + 0.5 * len(labels) * len(models), title)
    rows = figure.subplots(
        1 + 2 * len(models), sharex=True, height_ratios=(1.6, *(1, 1) * len(models))
    )
    top = max(found.spectrogram.max() for found in first)
    for left, right, found in zip(edges[:-1], edges[1:], first, strict=True):
        decibels = _decibels(found.spectrogram, top)
        levels = _mel_map(rows[0], decibels, (left, right), found.sample_rate, **LEVELS)
    rows[0].set_ylabel("frequency in Hz")
    figure.colorbar(levels, ax=rows[0], label="dB", aspect=10)
    places = [labels.index(name) for name in truth]
    for i, (model, solos) in enumerate(models.items()):
        patches, whole = rows[1 + 2 * i : 3 + 2 * i]
        for axes in (patches, whole):
            for left, right, place, found in zip(edges[:-1], edges[1:], places, solos, strict=True):
                strengths = found.table["strength"].reindex(list(labels)).to_numpy()[:, None]
                times, outputs = np.array([left, right]), strengths
                if axes is patches:
                    times, outputs = left + found.edges, found.predictions.T
                bands = np.arange(len(labels) + 1) - 0.5
                image = axes.pcolormesh(times, bands, outputs, cmap="Blues", vmin=0, vmax=1)
                box = ((left, place - 0.5), right - left, 1)
                axes.add_patch(Rectangle(*box, fill=False, edgecolor=ORANGE, linewidth=1.5))
            axes.set_yticks(range(len(labels)), [*map(full_name, labels)])
            axes.set_ylim(len(labels) - 0.5, -0.5)
        patches.set_title(f"{model}: outputs by patch", loc="left")
        whole.set_title(f"{model}: by solo (s1); outlined: the truth", loc="left")
        figure.colorbar(image, ax=(patches, whole), label="output", aspect=20)
    for axes in rows:
        axes.grid(visible=False)
        axes.set_xlim(0, edges[-1])
        for edge in edges[1:-1]:
            axes.axvline(edge, color=GREY, linewidth=0.8)
    rows[-1].set_xlabel("time in seconds")
    return figure


@styled
def means_and_stds(
    inputs: Sequence[tuple[str, np.ndarray, np.ndarray]], parameters: FeatureParameters, title: str
) -> "Figure":
    """Draw what patches are standardised by, one row per input, as in Fig. 5.14 of the thesis.

    Parameters
    ----------
    inputs : sequence of (str, np.ndarray, np.ndarray) [shape=(mel bands, frames, channels)]
        For each input of the network: its name, and mean and deviation of each cell; several
        channels are averaged.
    parameters : FeatureParameters
        What a patch is made with.
    title : str
        Above the figure.

    Returns
    -------
    Figure
    """
    figure = new_figure(7.5, 0.9 + 3.2 * len(inputs), title)
    rows = figure.subplots(len(inputs), 2, sharex=True, sharey=True, squeeze=False)
    span = (0, parameters.patch_seconds)
    for row, (name, *maps) in zip(rows, inputs, strict=True):
        for axes, what, cells in zip(row, ("mean", "deviation"), maps, strict=True):
            decibels = DB * cells.mean(axis=-1)
            image = _mel_map(axes, decibels, span, parameters.sample_rate, cmap="magma")
            axes.set_title(f"{what} of {name}", loc="left")
            figure.colorbar(image, ax=axes, label="dB", aspect=30)
    figure.supxlabel("time in seconds", fontsize="medium")
    figure.supylabel("frequency in Hz, on the mel scale", fontsize="medium")
    return figure


def _signed_colours(strengths: np.ndarray) -> dict:
    """Return `imshow` options for blue, white at 0 and orange, scaled to these strengths."""
    from matplotlib.colors import LinearSegmentedColormap

    colours = LinearSegmentedColormap.from_list("signed", (BLUE, "white", ORANGE))
    heard = strengths[strengths > 0]
    # The strongest hundredth saturates, so as not to make all others pale.
    limit = np.percentile(heard, 99) if len(heard) else 1.0
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
    """Draw one value per mel band as bars starting at `left`, beside a map of the same bands."""
    axes.barh(range(len(values)), values - left, height=1, left=left, color=colours)
    axes.locator_params(axis="x", nbins=3)
    axes.ticklabel_format(axis="x", scilimits=(-2, 3))
    axes.tick_params(axis="y", length=0)


@styled
def recognition(found: "Recognition", labels: Sequence[str], title: str) -> "Figure":
    """Draw what was found in a recording: spectrogram, outputs over time, strengths (Fig. 5.23).

    Parameters
    ----------
    found : Recognition
        From `recognition.Recogniser`.
    labels : sequence of str
        Names of the labels, in the order of the outputs.
    title : str
        Above the figure.

    Returns
    -------
    Figure
    """
    figure = new_figure(10, 3.4 + 0.22 * len(labels), title)
    heights = (1.6, 0.4 + 0.22 * len(labels))
    panels = figure.subplot_mosaic("a.;bc", width_ratios=(4, 1), height_ratios=heights)
    sound, over_time, strengths = panels.values()
    levels = _decibels(found.spectrogram, found.spectrogram.max())
    _mel_map(sound, levels, (0, found.seconds), found.sample_rate, **LEVELS)
    sound.set(ylabel="frequency in Hz", title="log-mel spectrogram")
    rows = [list(labels).index(name) for name in found.table.index]  # the strongest on top
    places = np.arange(len(rows) + 1) - 0.5
    outputs = found.predictions[:, rows].T
    image = over_time.pcolormesh(found.edges, places, outputs, cmap="viridis", vmin=0, vmax=1)
    over_time.set_ylim(len(rows) - 0.5, -0.5)
    over_time.set_yticks(range(len(rows)), [*map(full_name, found.table.index)])
    over_time.set(xlabel="time in minutes and seconds", title="outputs of the network, by patch")
    for start, end in found.none_segments:
        over_time.axvspan(start, end, color=GREY, alpha=0.5, lw=0)
    if found.none_segments:
        over_time.set_title("grey: none of the instruments", loc="right", fontsize=9)
    figure.colorbar(image, ax=over_time, location="bottom", aspect=50, shrink=0.6)
    for axes in (sound, over_time):
        axes.grid(visible=False)
        axes.set_xlim(0, found.seconds)
        axes.xaxis.set_major_formatter(_clock)
    places = np.arange(len(rows))
    colours = [BLUE if present else GREY for present in found.table["present"]]
    strengths.barh(places, found.table["strength"], color=colours, height=0.7)
    strengths.plot(found.table["threshold"], places, "|", color=ORANGE, markersize=12, mew=2)
    strengths.set(xlim=(0, 1.02), ylim=(len(rows) - 0.5, -0.5), title="strength, threshold")
    strengths.set_yticks(places, [])
    strengths.grid(visible=False, axis="y")
    return figure


def _clock(seconds: float, _place: int) -> str:
    """Format a time for an axis: 75 -> '1:15', 75.25 -> '1:15.25'."""
    minutes, rest = int(seconds // 60), seconds % 60
    return f"{minutes}:{rest:05.2f}".rstrip("0") if seconds % 1 else f"{minutes}:{int(rest):02d}"
