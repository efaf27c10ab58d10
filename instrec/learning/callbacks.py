"""Keras callback that lets a training be killed at any moment and resumed."""

import json
import time
from pathlib import Path

import h5py
import numpy as np

from instrec.common import storage
from instrec.errors import InputError
from instrec.learning.backend import is_first, keras
from instrec.learning.model_files import ModelFiles


class StateSaver(keras.callbacks.Callback):
    """Save progress after every epoch, and stop a pass early.

    Every decision follows from the history: a resumed training needs that of the epochs before.
    Keras' own callbacks will not do: ModelCheckpoint refuses the documented extension `.hdf5`,
    EarlyStopping starts afresh when a training resumes, and BackupAndRestore writes straight to
    disk and keeps no history.

    Parameters
    ----------
    files : ModelFiles
        Where progress is saved.
    iteration : int
        Number of the training.
    recipe : dict
        What determines the training.
    training_pass : int
        Number of the pass, from 1.
    history : np.ndarray [shape=(epochs,)]
        Of the epochs done so far, including earlier passes.
    started : float
        When the training started, by `time.perf_counter`; later by the time it was interrupted.
    """

    def __init__(
        self,
        files: ModelFiles,
        iteration: int,
        recipe: dict,
        training_pass: int,
        history: np.ndarray,
        started: float,
    ) -> None:
        super().__init__()
        self.recipe, self.iteration, self.history = recipe, iteration, history
        self._best, self._state = files.best(iteration), files.state(iteration)
        self._training_pass, self._started = training_pass, started

    @property
    def seconds(self) -> float:
        """How long the training has taken so far, without interruptions."""
        return time.perf_counter() - self._started

    @property
    def losses(self) -> np.ndarray:
        """Validation losses of this pass [epochs]."""
        return self.history["val_loss"][self.history["training_pass"] == self._training_pass]

    def is_over(self) -> bool:
        """Tell whether the pass has ended: all epochs are done, or the loss stopped improving.

        Returns
        -------
        bool
        """
        losses = self.losses
        since_best = len(losses) - 1 - int(np.argmin(losses)) if len(losses) else 0
        is_late = since_best >= max(self.recipe["patience"], 1)
        return len(losses) >= self.recipe["nb_epochs"] or is_late

    def on_epoch_end(self, epoch: int, logs: dict) -> None:
        """Add the epoch to the history and save; raise if a loss is not finite.

        Parameters
        ----------
        epoch : int
            Number of the epoch, from 0.
        logs : dict
            Losses and accuracies of the epoch.
        """
        if not np.isfinite([logs["loss"], logs["val_loss"]]).all():
            raise InputError(
                f"the loss of epoch {epoch + 1} is not finite: lower learning_rate in settings.py, "
                "and train again with --overwrite"
            )
        is_best = self.is_best(logs["val_accuracy"])
        values = {**logs, "training_pass": self._training_pass}
        row = tuple(values[name] for name in self.history.dtype.names)
        self.history = np.concatenate([self.history, np.array([row], self.history.dtype)])
        if is_first():
            if is_best:
                self.save_best()
            self.save_state(self.model)  # last: all it records is on disk by then
        self.model.stop_training = self.is_over()

    def is_best(self, accuracy: float) -> bool:
        """Tell whether a validation accuracy is better than all earlier ones.

        Parameters
        ----------
        accuracy : float
            Of an epoch.

        Returns
        -------
        bool
        """
        return accuracy > self.history["val_accuracy"].max(initial=-np.inf)

    def save_best(self) -> None:
        """Save the weights as the best so far."""
        storage.save(self._best, hdf5_of(self.model))

    def save_state(self, network: keras.Model) -> None:
        """Save everything needed to resume the training, in one file.

        Parameters
        ----------
        network : keras.Model
            The network in training.
        """
        to_numpy = keras.ops.convert_to_numpy
        storage.save_arrays(
            self._state,
            recipe=json.dumps(self.recipe),
            history=self.history,
            training_pass=np.int64(self._training_pass),
            seconds=np.float64(self.seconds),
            **{f"v{i}": to_numpy(v) for i, v in enumerate(_variables(network))},
        )


class _InMemory(h5py.File):
    """An HDF5 file in memory, which Keras takes for a path because of its name."""

    def __init__(self, name: str) -> None:
        super().__init__(name, "w", driver="core", backing_store=False)

    def __str__(self) -> str:
        return self.filename


def hdf5_of(network: keras.Model) -> bytes:
    """Serialise a network, without its optimizer, as the content of an HDF5 file.

    Not written straight to disk: libhdf5 crashes the process when the disk is full.

    Parameters
    ----------
    network : keras.Model
        The network.

    Returns
    -------
    bytes
    """
    with _InMemory("network.hdf5") as file:
        network.save(file, include_optimizer=False)
        file.flush()
        return file.id.get_file_image()


def read_state(path: Path) -> tuple[dict, np.ndarray, int, float, list[np.ndarray]]:
    """Return what `StateSaver.save_state` saved: where a training was interrupted.

    Parameters
    ----------
    path : Path
        What an interrupted training left.

    Returns
    -------
    recipe : dict
    history : np.ndarray [shape=(epochs,)]
    training_pass : int
    seconds : float
        How long it had taken.
    variables : list of np.ndarray
    """
    remedy = "the same command again"
    with storage.parsing(path, remedy):
        state = storage.load_arrays(path, remedy)
        variables = [state[f"v{i}"] for i in range(sum(name[0] == "v" for name in state))]
        recipe = json.loads(str(state["recipe"]))
        done = int(state["training_pass"]), float(state.get("seconds", 0))
        return recipe, state["history"], *done, variables


def assign(network: keras.Model, values: list[np.ndarray]) -> None:
    """Put saved values into the variables of a compiled network and its optimizer.

    Parameters
    ----------
    network : keras.Model
        Compiled.
    values : list of np.ndarray
        In the order in which they were saved.
    """
    for variable, value in zip(_variables(network), values, strict=True):
        variable.assign(value)


def _variables(network: keras.Model) -> list[keras.Variable]:
    """Weights, states of the random generators, and the optimizer's variables."""
    return [*network.variables, *network.optimizer.variables]
