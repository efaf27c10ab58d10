"""Where training and evaluation leave their files, and under which names."""

import itertools
import re
from dataclasses import dataclass
from pathlib import Path

import models
import settings
from instrec.errors import InputError, is_plain_name

# The model that comes with the code, and the folder it lies in; `make pretrained` makes it.
PRETRAINED = "rendered_1024/model_residual.adam"
PRETRAINED_ROOT = settings.ROOT / "pretrained"
ENSEMBLE = "ensemble_"  # starts the name under which results of averaged outputs are kept


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
        """Refuse names such as '../other', which would read and write elsewhere."""
        for name in (self.model, self.optimizer):
            if not is_plain_name(name):
                raise InputError(f"expected the name of a model or optimizer, found {name!r}")

    def _of_iteration(self, iteration: int, ending: str) -> Path:
        return self.folder / f"{self.model}.{self.optimizer}{iteration}.{ending}"

    def _of_all(self, ending: str) -> Path:
        return self.folder / f"{self.model}.{self.optimizer}.{ending}"

    def history(self, iteration: int) -> Path:
        """Loss and accuracy of each epoch, a structured array."""
        return self._of_iteration(iteration, "history.npy")

    def best(self, iteration: int) -> Path:
        """Weights with the best validation accuracy."""
        return self._of_iteration(iteration, "best.hdf5")

    def structure(self, iteration: int) -> Path:
        """Structure of the network."""
        return self._of_iteration(iteration, "json")

    def run_record(self, iteration: int) -> Path:
        """What made the model; it is there only if training has finished."""
        return self._of_iteration(iteration, "run.json")

    def finished(self) -> list[int]:
        """Return the iterations whose training has finished, as their records say."""
        all_ = itertools.count()
        return list(itertools.takewhile(lambda i: self.run_record(i).exists(), all_))

    def state(self, iteration: int) -> Path:
        """All that an interrupted training needs to go on; removed at its end."""
        return self._of_iteration(iteration, "state.npz")

    def predictions(self, iteration: int) -> Path:
        """Outputs for the test patches."""
        return self._of_iteration(iteration, "predictions.npz")

    @property
    def confusion(self) -> Path:
        """Confusion matrices: evaluate.py, mode 1."""
        return self._of_all("confusion.json")

    @property
    def sweep(self) -> Path:
        """Scores at each threshold on the development half: evaluate.py, mode 2."""
        return self._of_all("sweep.json")

    @property
    def optima(self) -> Path:
        """Optimum thresholds: plot_perf_metrics.py."""
        return self._of_all("optima.json")

    @property
    def scores(self) -> Path:
        """Final scores on the pure half: evaluate.py, mode 3."""
        return self._of_all("scores.json")

    def figure(self, name: str) -> Path:
        """A figure, without its ending."""
        return self.folder / "figures" / f"{self.model}.{self.optimizer}.{name}"


def model_files(
    data_set: settings.DataSet, model: str, optimizer: str, split: float | None = None
) -> ModelFiles:
    """Return the files of a model; a split other than `settings.val_split` has its own folder."""
    folder = data_set.model_path / model
    if split not in (None, settings.val_split):
        folder /= f"split_{split:g}"
    return ModelFiles(folder, model, optimizer)


def trained_name(network: str) -> str:
    """Name the model that training makes of a network with today's settings.

    Several as 'a+b' are names of trained models already. Otherwise it is `settings.name`, else the
    network's; a transferred model without a name is called after its source, as its network alone
    would be mistaken for one trained from scratch.
    """
    if "+" in network:
        return network
    if settings.name or not settings.transfer_from:
        name = settings.name or network
    else:
        key, _, _ = parse_source(settings.transfer_from)
        passes = ("one_pass", "two_passes")[settings.transfer_passes - 1]
        name = f"{network}_from_{key}_{passes}"
        name += "_softmax" if settings.transfer_output == "softmax" else ""
    if name in models.model_names() and (name != network or settings.transfer_from):
        raise InputError(f"{name} is the name of a network as it is: give this model another one")
    if not re.fullmatch(r"\w[\w-]*", name) or name.startswith(ENSEMBLE):
        raise InputError(
            f"expected a name of letters, digits, - and _ that does not start with {ENSEMBLE}, "
            f"found {name!r}"
        )
    return name


def result_name(trained: str) -> str:
    """Name the results of a trained model, or of several as 'a+b', with today's settings."""
    return f"{ENSEMBLE}{trained}" if settings.ensemble or "+" in trained else trained


def parse_source(source: str) -> tuple[str, str, str]:
    """Split '<result key>/<model name>.<optimizer>' into its three parts.

    Raises
    ------
    InputError
        If it is not of that form.
    """
    found = re.fullmatch(r"([^/]+)/([^/]+)\.(\w+)", source)
    if not (found and all(map(is_plain_name, found.groups()))):
        raise InputError(
            "expected transfer_from as <result key>/<model name>.<optimizer>, such as "
            f"irmas_wind_1024/model_leaky.adam, found {source!r}"
        )
    return found.groups()


def source_files(source: str, root: Path | None = None) -> ModelFiles:
    """Return the files of a trained model that is named as `settings.transfer_from` names it.

    Parameters
    ----------
    source : str
        '<result key>/<model name>.<optimizer>'.
    root : Path, optional
        Folder of all models; `settings.MODELS_ROOT` by default.
    """
    key, name, optimizer = parse_source(source)
    return ModelFiles((root or settings.MODELS_ROOT) / key / name, name, optimizer)


def pretrained_files() -> ModelFiles:
    """Return the files of the model that comes with the code."""
    return source_files(PRETRAINED, PRETRAINED_ROOT)
