#!/usr/bin/env python3
"""Plot the history of the training: loss and accuracy against the epoch.

  python3 plot_history.py -m model_leaky -o adam -d 1
  cd <MODEL_PATH>/<model_name> && python3 plot_history.py       all models in that folder

One figure as PNG and PDF in <MODEL_PATH>/<model_name>/figures: training and validation, mean and
deviation over all trainings that train.py finished. For a standardised model, a second one: mean
and deviation of each cell of its training patches.
"""

from collections.abc import Sequence

from instrec.common import command, storage
from instrec.config import FeatureParameters
from instrec.figures import plotting, scores, sound
from instrec.learning import trained
from instrec.learning.model_files import HISTORY_FIELDS, ModelFiles


def plot(files: ModelFiles, remedy: str) -> None:
    """Plot the history of one model.

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
        with storage.parsing(path, remedy):
            histories.append(storage.load_array(path, remedy)[list(HISTORY_FIELDS)])
    training = trained.load(files, 0, remedy, "trained_on")
    record, pairs = training.record, training.means_and_stds()
    heading = f"{plotting.heading(files)}\n{record['trained_on']}"
    title = f"{heading}, {plotting.trainings(len(histories))}"
    drawn = {"history": scores.history(histories, title)}
    if pairs is not None:
        inputs = [(name, *pair) for name, pair in zip(record["folders"], pairs, strict=True)]
        parameters = FeatureParameters.of_recipe(record["recipe"])
        drawn["standardisation"] = sound.means_and_stds(inputs, parameters, heading)
    plotting.save_all(files, drawn)


def main(argv: Sequence[str] | None = None) -> None:
    """Plot what the command line names.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments of the command line; those of this process by default.
    """
    plotting.run(__doc__, "run.json", "train.py", plot, argv)


if __name__ == "__main__":
    command.run(main)
