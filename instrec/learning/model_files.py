"""Where training and evaluation leave their files, and under which names."""

import argparse
import contextlib
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import models
import settings
from instrec.common import storage
from instrec.config import ENSEMBLE, HALVED_BY, PRETRAINED, Config, parse_source
from instrec.errors import InputError, is_plain_name

# Columns of a history: one row per epoch.
HISTORY_FIELDS = ("loss", "accuracy", "val_loss", "val_accuracy")
HISTORY_TYPE = np.dtype([(name, "<f8") for name in HISTORY_FIELDS] + [("training_pass", "<i8")])
# Folder of the model that comes with the code; `make pretrained` builds it.
PRETRAINED_ROOT = settings.ROOT / "pretrained"


def _of_training(ending: str) -> Callable[["ModelFiles", int], Path]:
    """Return the method that names a file of one training."""
    return lambda self, i: self.folder / f"{self.model}.{self.optimizer}{i}.{ending}"


def _of_all(ending: str) -> property:
    """Return the property that names a file of all trainings."""
    return property(lambda self: self.folder / f"{self.model}.{self.optimizer}.{ending}")


@dataclass(frozen=True)
class ModelFiles:
    """The files of one network trained with one optimizer, over all iterations.

    Parameters
    ----------
    folder : Path
        `<MODEL_PATH>/<model_name>`.
    model : str
        Name of the trained model: that of its network, or of a variant.
    optimizer : str
        Name of the optimizer.

    Raises
    ------
    InputError
        If a name would lead out of the folder.
    """

    folder: Path
    model: str
    optimizer: str

    def __post_init__(self) -> None:
        """Refuse names such as '../elsewhere', which lead out of the folder."""
        for name in (self.model, self.optimizer):
            if not is_plain_name(name):
                raise InputError(f"expected the name of a model or optimizer, found {name!r}")

    # One per training, by its number.
    history = _of_training("history.npy")  # loss and accuracy of each epoch, a structured array
    best = _of_training("best.hdf5")  # weights with the best validation accuracy
    structure = _of_training("json")  # of the network
    means_and_stds = _of_training("means_and_stds.npz")  # if patches are standardised
    run_record = _of_training("run.json")  # what made it; exists only once training has finished
    state = _of_training("state.npz")  # all that is needed to resume; removed when training ends
    predictions = _of_training("predictions.npz")  # outputs for the test patches
    # Shared by all trainings.
    confusion = _of_all("confusion.json")  # confusion matrices: evaluate.py, mode 1
    patches = _of_all("patches.npz")  # decisions by patch, for each clip and label: mode 1
    sweep = _of_all("sweep.json")  # scores at each threshold on the development half: mode 2
    optima = _of_all("optima.json")  # optimum thresholds: plot_perf_metrics.py
    scores = _of_all("scores.json")  # final scores on the pure half: evaluate.py, mode 3
    clips = _of_all("clips.npz")  # scores of each clip of the pure half, by strategy: mode 3

    def finished(self) -> list[int]:
        """Return the iterations whose training has finished, going by their records.

        Returns
        -------
        list of int
        """
        return list(itertools.takewhile(lambda i: self.run_record(i).exists(), itertools.count()))

    def evaluated(self) -> list["ModelFiles"]:
        """Return the files of all results that have thresholds: the model's own come first.

        Others are of an ensemble, or of test data halved in another way.

        Returns
        -------
        list of ModelFiles
        """
        names = [
            f"{half}{both}{self.model}" for half in HALVED_BY.values() for both in ("", ENSEMBLE)
        ]
        names.sort(key=len)
        found = [ModelFiles(self.folder.parent / n, n, self.optimizer) for n in names]
        return [files for files in found if files.optima.exists()]

    def lock_results(self) -> contextlib.AbstractContextManager:
        """Lock the results, but not training, which may run there for hours.

        Returns
        -------
        context manager
        """
        return storage.lock(self.folder, "results", name="results.", wait=60)

    def figure(self, name: str) -> Path:
        """Return the path of a figure, without its extension.

        Parameters
        ----------
        name : str
            Name of the figure.

        Returns
        -------
        Path
        """
        return self.folder / "figures" / f"{self.model}.{self.optimizer}.{name}"


def model_files(
    config: Config,
    model: str,
    optimizer: str,
    split: float | None = None,
    *,
    held_out: bool | tuple[int, int] = False,
) -> ModelFiles:
    """Return the files of a model of the data set.

    Parameters
    ----------
    config : Config
        Names the data set.
    model, optimizer : str
        Names of the trained model and of its optimizer.
    split : float, optional
        Share used for training; any other than `val_split` has a folder of its own.
    held_out : bool or (int, int)
        Whether the rest was held out for confusion matrices, or which fold of how many; such
        networks have their own folder, too.

    Returns
    -------
    ModelFiles
    """
    folder = config.model_folder / model
    if isinstance(held_out, tuple):
        folder /= "fold_{}_of_{}".format(*held_out)
    elif held_out:
        folder /= f"confusion_{split:g}"
    elif split not in (None, config.val_split):
        folder /= f"split_{split:g}"
    return ModelFiles(folder, model, optimizer)


def trained_name(config: Config, network: str) -> str:
    """Name the model that results from training a network: see `Config.trained_name`.

    Parameters
    ----------
    config : Config
        May name a variant.
    network : str
        The network.

    Returns
    -------
    str
    """
    return config.trained_name(network, tuple(models.model_names()))


def how_to_train(name: str, command: str) -> str:
    """Say how a model is trained: only the user knows the command of a variant.

    Parameters
    ----------
    name : str
        The trained model.
    command : str
        What trains the network of that name.

    Returns
    -------
    str
        To follow "run".
    """
    return command if name in models.model_names() else f"the training of {name} again"


def chosen_optimizer(config: Config) -> str:
    """Return the chosen optimizer.

    Parameters
    ----------
    config : Config
        Data set, paths and parameters.

    Returns
    -------
    str

    Raises
    ------
    InputError
        If none is chosen.
    """
    if config.optimizer is None:
        raise InputError("which optimizer? give -o adam or -o sgd, or -x with an experiment")
    return config.optimizer


def trained_model(config: Config, name: str | None) -> tuple[str, str]:
    """Return the names of the selected trained model and its optimizer.

    Parameters
    ----------
    config : Config
        Names the model if `name` does not.
    name : str or None
        Value of `-m`.

    Returns
    -------
    name, optimizer : str

    Raises
    ------
    InputError
        If they name no model or no optimizer.
    """
    if name is None and config.model is None:
        raise InputError("which model? give -m MODEL_NAME, or -x with an experiment")
    return name or trained_name(config, config.model), chosen_optimizer(config)


def source_files(source: str, root: Path) -> ModelFiles:
    """Return the files of a trained model, named as in `transfer_from`.

    Parameters
    ----------
    source : str
        '<result key>/<model name>.<optimizer>', or 'pretrained'.
    root : Path
        Folder of all models except the pretrained one.

    Returns
    -------
    ModelFiles
    """
    if source == "pretrained":
        return pretrained_files()
    key, name, optimizer = parse_source(source)
    return ModelFiles(root / key / name, name, optimizer)


def pretrained_files() -> ModelFiles:
    """Return the files of the model that comes with the code.

    Returns
    -------
    ModelFiles
    """
    return source_files(PRETRAINED, PRETRAINED_ROOT)


def to_recognise_with(config: Config, arguments: argparse.Namespace) -> ModelFiles:
    """Return the files of the selected model, or of the included one if none is.

    Parameters
    ----------
    config : Config
        Names the model of an experiment.
    arguments : argparse.Namespace
        Options of the command line.

    Returns
    -------
    ModelFiles

    Raises
    ------
    InputError
        If the command line names no model, but a data set, an optimizer or an experiment.
    """
    if arguments.model is None and config.model is None:
        if arguments.experiment or (arguments.dataset, arguments.optimizer) != (None, None):
            raise InputError("which model? give -m MODEL_NAME, or none of -d, -o and -x")
        return pretrained_files()
    model, optimizer = trained_model(config, arguments.model)
    return model_files(config, model, optimizer)
