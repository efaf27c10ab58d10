"""The figure of a training: loss and accuracy against the epoch."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from instrec.figures.style import BLUE, GREY, ORANGE, band, legend_below, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@styled
def history(histories: Sequence[np.ndarray], title: str) -> "Figure":
    """Draw loss and accuracy against the epoch, of training and of validation.

    Parameters
    ----------
    histories : sequence of np.ndarray [shape=(epochs,)]
        One structured array a training, with fields `loss`, `accuracy`, `val_loss` and
        `val_accuracy`. They may have different lengths; the mean is over those that reached an
        epoch.
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
        for field, name, colour in (
            (quantity, "training", BLUE),
            (f"val_{quantity}", "validation", ORANGE),
        ):
            values = np.full((len(histories), max(lengths)), np.nan)
            for row, recorded in zip(values, histories, strict=True):
                row[: len(recorded)] = recorded[field]
            band(axes, epochs, values, colour, label=name)
        for end in sorted({n for n in lengths if n < max(lengths)}):
            axes.axvline(end, color=GREY, linewidth=0.8, linestyle=":")
        if min(lengths) < max(lengths):
            axes.plot([], [], color=GREY, linewidth=0.8, linestyle=":", label="end of a training")
        axes.set(title=quantity, xlabel="epoch")
        axes.margins(x=0.02)
        axes.set_ylim(bottom=0, top=1 if quantity == "accuracy" else None)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    legend_below(figure, axes)
    return figure
