"""Where training and evaluation leave their files, and under which names."""

from dataclasses import dataclass
from pathlib import Path

import settings


@dataclass(frozen=True)
class ModelFiles:
    """The files of one network trained with one optimizer, over all iterations.

    Parameters
    ----------
    folder : Path
        `<MODEL_PATH>/<model_name>`.
    model : str
        Name of the network.
    optimizer : str
        Name of the optimizer.
    """

    folder: Path
    model: str
    optimizer: str

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
