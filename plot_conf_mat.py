#!/usr/bin/env python3
"""Plot the confusion matrices that evaluate.py found in operation mode 1.

  python3 plot_conf_mat.py -m model_leaky -o adam -d 1
  cd <MODEL_PATH>/<model_name> && python3 plot_conf_mat.py      all models in that folder

One figure of single patches, as published, and one of clips for each strategy, as PNG and PDF, in
<MODEL_PATH>/<model_name>/figures: the mean over the trainings, rows true and columns predicted
labels, each row divided by its sum.
"""

from collections.abc import Sequence

import numpy as np

from instrec.common import command, storage
from instrec.figures import plotting, scores
from instrec.learning.model_files import ModelFiles
from instrec.scoring import metrics


def plot(files: ModelFiles, remedy: str) -> None:
    """Plot the matrices of one model.

    Parameters
    ----------
    files : ModelFiles
        Where its results are.
    remedy : str
        The command that makes them.

    Raises
    ------
    InputError
        If they are missing or damaged.
    """
    expected = dict.fromkeys(("clips", "patches", "iterations"), int)
    expected |= {"recipe": dict, "half": str, "matrices": dict}
    record = storage.load_json(files.confusion, remedy, expected=expected)
    with storage.parsing(files.confusion, remedy):
        labels = list(record["recipe"]["labels"])
        shape = (record["iterations"], len(labels), len(labels))
        matrices = {
            what: np.array(found, dtype=np.float64).reshape(shape)
            for what, found in record["matrices"].items()
        }
    drawn = {}
    for what, found in matrices.items():
        counted = "patches" if what == metrics.BY_PATCH else "clips"
        strategy = "" if what == metrics.BY_PATCH else f" · strategy {what}"
        title = f"{plotting.heading(files)}{strategy}\n{plotting.origin(record, counted)}"
        drawn[f"confusion_{what}"] = scores.confusion(found, labels, title)
    plotting.save_all(files, drawn)


def main(argv: Sequence[str] | None = None) -> None:
    """Plot what the command line names.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments of the command line; those of this process by default.
    """
    plotting.run(__doc__, "confusion.json", "evaluate.py -O 1", plot, argv)


if __name__ == "__main__":
    command.run(main)
