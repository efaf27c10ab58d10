#!/usr/bin/env python3
"""Plot the history of the training: loss and accuracy against the epoch.

  python3 plot_history.py -m model_leaky -o adam -d 1
  cd <MODEL_PATH>/<model_name> && python3 plot_history.py       all models in that folder

One figure as PNG and PDF in <MODEL_PATH>/<model_name>/figures: training and validation, mean and
deviation over all iterations that train.py finished.
"""

from instrec.common import command, storage
from instrec.figures import drawing as figures
from instrec.figures import plotting
from instrec.learning import model_files as results
from instrec.learning import trained as networks
from train import HISTORY_FIELDS


def plot(files: results.ModelFiles, remedy: str) -> None:
    """Plot the history of one network and optimizer.

    Parameters
    ----------
    files : ModelFiles
        Where its files are.
    remedy : str
        The command that makes them.

    Raises
    ------
    InputError
        If a history is damaged.
    """
    histories = []
    for iteration in files.finished():
        path = files.history(iteration)
        with storage.refuse_damaged(path, remedy):
            histories.append(storage.load_array(path, remedy)[list(HISTORY_FIELDS)])
    trained_on = networks.load_record(files, 0, remedy).get("trained_on", "training data")
    title = f"{plotting.heading(files)}\n{trained_on}, {plotting.runs(len(histories))}"
    drawn = figures.history(histories, title)
    plotting.save_all(files, {"history": drawn})


def main() -> None:
    """Plot what the command line names."""
    with command.parsed(plotting.new_parser(__doc__)) as arguments:
        for files, remedy in plotting.find_results(arguments, "run.json", "train.py"):
            plot(files, remedy)


if __name__ == "__main__":
    command.run(main)
