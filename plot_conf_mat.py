#!/usr/bin/env python3
"""Plot the confusion matrices that evaluate.py found in operation mode 1.

  python3 plot_conf_mat.py -m model_leaky -o adam -d 1
  cd <MODEL_PATH>/<model_name> && python3 plot_conf_mat.py      all models in that folder

One figure for each strategy, as PNG and PDF, in <MODEL_PATH>/<model_name>/figures: the mean over
the iterations, rows true and columns predicted labels, each row divided by its sum.
"""

import numpy as np

from instrec.common import command, storage
from instrec.figures import drawing as figures
from instrec.figures import plotting
from instrec.learning import model_files as results
from instrec.scoring import metrics


def plot(files: results.ModelFiles, remedy: str) -> None:
    """Plot the matrices of one network and optimizer.

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
    content = storage.load_json(files.confusion, remedy)
    with storage.refuse_damaged(files.confusion, remedy):
        labels = content["made_of"]["labels"]
        shape = (content["iterations"], len(labels), len(labels))
        drawn = {}
        for strategy in metrics.STRATEGIES:
            found = np.array(content["results"][strategy]["confusion"], dtype=np.float64)
            title = f"{plotting.heading(files)} · strategy {strategy}\n{plotting.origin(content)}"
            matrices = found.reshape(shape)
            drawn[f"confusion_{strategy}"] = figures.confusion(matrices, labels, title)
    plotting.save_all(files, drawn)


def main() -> None:
    """Plot what the command line names."""
    with command.parsed(plotting.new_parser(__doc__)) as arguments:
        for files, remedy in plotting.find_results(arguments, "confusion.json", "evaluate.py -O 1"):
            plot(files, remedy)


if __name__ == "__main__":
    command.run(main)
