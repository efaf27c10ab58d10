"""Keras callbacks of a training that can be killed at any moment and go on.

Each is given the history of the epochs that are done, and starts from it.
"""

import json
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np

from instrec.common import command, storage
from instrec.errors import InputError
from instrec.learning.backend import is_first, keras


class EarlyStopping(keras.callbacks.EarlyStopping):
    """Stop once the validation loss has not improved for `patience` epochs."""

    def __init__(self, history: np.ndarray, patience: int) -> None:
        super().__init__(monitor="val_loss", patience=patience, mode="min")
        self._losses = history["val_loss"]
        self._patience = patience

    def is_over(self, epochs: int) -> bool:
        """Tell whether the epochs that are done were the last.

        Parameters
        ----------
        epochs : int
            Number of epochs at most.

        Returns
        -------
        bool
        """
        done = len(self._losses)
        since_best = done - 1 - int(np.argmin(self._losses)) if done else 0
        return done >= epochs or (done > 0 and since_best >= max(self._patience, 1))

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Start where the history ends.

        Parameters
        ----------
        logs : dict
            Losses and accuracies of the epoch.
        """
        super().on_train_begin(logs)
        if len(self._losses):
            self.best = float(self._losses.min())
            self.wait = len(self._losses) - 1 - int(np.argmin(self._losses))


class FiniteLoss(keras.callbacks.Callback):
    """End a training whose loss is no number any more, before anything of it is kept."""

    def on_epoch_end(self, epoch: int, logs: dict) -> None:
        """Raise if the loss of this epoch is none.

        Parameters
        ----------
        epoch : int
            Number of the epoch, from 0.
        logs : dict
            Losses and accuracies of the epoch.
        """
        if not np.isfinite([logs["loss"], logs["val_loss"]]).all():
            raise InputError(
                f"the loss of epoch {epoch + 1} is no number any more: train anew with a smaller "
                "learning_rate in settings.py; what the epochs before left goes on as it was"
            )


class BestCheckpoint(keras.callbacks.Callback):
    """Save the network whenever its validation accuracy is better than ever before.

    Keras 3's ModelCheckpoint refuses the documented ending `.hdf5`.
    """

    def __init__(self, history: np.ndarray, path: Path) -> None:
        super().__init__()
        self._best = history["val_accuracy"].max(initial=-np.inf)
        self._path = path

    def on_epoch_end(self, epoch: int, logs: dict) -> None:
        """Save the network if this epoch is the best.

        Parameters
        ----------
        epoch : int
            Number of the epoch, from 0.
        logs : dict
            Losses and accuracies of the epoch.
        """
        if logs["val_accuracy"] > self._best:
            self._best = logs["val_accuracy"]
            if not is_first():
                return
            content = hdf5_of(self.model)
            with storage.whole(self._path) as partial:
                partial.write_bytes(content)


class _InMemory(h5py.File):
    """An HDF5 file in memory, which Keras takes for the path of one by its name."""

    def __init__(self, name: str) -> None:
        super().__init__(name, "w", driver="core", backing_store=False)

    def __str__(self) -> str:
        return self.filename


def hdf5_of(network: keras.Model) -> bytes:
    """Return a network, without its optimizer, as the content of an HDF5 file.

    Not straight to the disk: on a full one, libhdf5 crashes the process.

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


class StateSaver(keras.callbacks.Callback):
    """Save all that the training needs to go on, in one file, after every epoch."""

    def __init__(self, history: np.ndarray, path: Path, recipe: dict, training_pass: int) -> None:
        super().__init__()
        self.history = history
        self._path, self._recipe = path, json.dumps(recipe)
        self._training_pass = training_pass

    def on_epoch_end(self, epoch: int, logs: dict) -> None:
        """Add the epoch to the history and save.

        Parameters
        ----------
        epoch : int
            Number of the epoch, from 0.
        logs : dict
            Losses and accuracies of the epoch.
        """
        values = {**logs, "training_pass": self._training_pass}
        row = tuple(values[name] for name in self.history.dtype.names)
        row = np.array([row], self.history.dtype)
        self.history = np.concatenate([self.history, row])
        self.save(self.model)

    def save(self, network: keras.Model) -> None:
        """Save what is done until now.

        Parameters
        ----------
        network : keras.Model
            What is trained.
        """
        if not is_first():
            return
        to_numpy = keras.ops.convert_to_numpy
        variables = {f"v{i}": to_numpy(v) for i, v in enumerate(_variables(network))}
        storage.save_arrays(
            self._path,
            recipe=self._recipe,
            history=self.history,
            training_pass=np.int64(self._training_pass),
            **variables,
        )


class Progress(keras.callbacks.Callback):
    """Show a bar within each epoch and a line after it."""

    def __init__(self, name: str, epochs: int, steps: int) -> None:
        super().__init__()
        self._name, self._epochs, self._steps = name, epochs, steps

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Open the bar.

        Parameters
        ----------
        epoch : int
            Number of the epoch, from 0.
        logs : dict
            Losses and accuracies of the epoch.
        """
        description = f"{self._name} epoch {epoch + 1}/{self._epochs}"
        self._bar = command.progress(total=self._steps, unit="batch", desc=description)

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Move the bar."""
        self._bar.update()

    def on_epoch_end(self, epoch: int, logs: dict) -> None:
        """Close the bar and print the epoch.

        Parameters
        ----------
        epoch : int
            Number of the epoch, from 0.
        logs : dict
            Losses and accuracies of the epoch.
        """
        self._bar.close()
        print(
            f"epoch {epoch + 1}: loss {logs['loss']:.4f}, accuracy {logs['accuracy']:.3f}, "
            f"validation loss {logs['val_loss']:.4f}, accuracy {logs['val_accuracy']:.3f}",
            flush=True,
        )


class PredictionBar(keras.callbacks.Callback):
    """Show a bar while a network predicts."""

    def __init__(self, name: str, steps: int) -> None:
        super().__init__()
        self._bar = command.progress(total=steps, unit="batch", desc=name)

    def on_predict_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Move the bar."""
        self._bar.update()

    def on_predict_end(self, logs: dict | None = None) -> None:
        """Close the bar.

        Parameters
        ----------
        logs : dict
            Losses and accuracies of the epoch.
        """
        self._bar.close()


class State(NamedTuple):
    """Where a training was interrupted: its history, its pass, and the values of all variables."""

    history: np.ndarray
    training_pass: int
    variables: list[np.ndarray]


def read_state(path: Path) -> tuple[dict, State]:
    """Return the recipe of a training, and where it was interrupted.

    Parameters
    ----------
    path : Path
        What an interrupted training left.

    Returns
    -------
    recipe : dict
    state : State
    """
    remedy = "the same command again"
    with storage.parsing(path, remedy):
        state = storage.load_arrays(path, remedy)
        values = [state[f"v{i}"] for i in range(len(state) - 3)]
        recipe = json.loads(str(state["recipe"]))
        return recipe, State(state["history"], int(state["training_pass"]), values)


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
