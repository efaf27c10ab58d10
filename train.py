#!/usr/bin/env python3
"""Step 3 of 4: train a network on the tensors of a data set.

  python3 train.py -m model_leaky -o adam -c n -d 1
  python3 train.py -x irmas_standardised                      an experiment of experiments/
  python3 train.py -m model_leaky -o adam -d -1 --from irmas_wind_1024/model_leaky.adam
  python3 train.py -o adam -d 1 --from pretrained --passes 2  from the included model

Trains iter_num networks from different random weights, or from trained ones (--from: transfer
learning), and writes to <MODEL_PATH>/<model_name>/, for each iteration:

  <model>.<optimizer><iteration>.history.npy   loss and accuracy of each epoch
  <model>.<optimizer><iteration>.best.hdf5     weights with the best validation accuracy
  <model>.<optimizer><iteration>.json          structure of the network
  <model>.<optimizer><iteration>.means_and_stds.npz    means and deviations, if standardised
  <model>.<optimizer><iteration>.run.json      settings, data and versions that made it

Interrupted training resumes after its last finished epoch; finished networks are kept.
Next step: evaluate.py.
"""

import contextlib
import dataclasses
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import models
from instrec.common import command, storage
from instrec.config import Config, read
from instrec.data import tensors
from instrec.errors import InputError
from instrec.learning import balance, model_files, trained, transfer, variants
from settings import CHOICES

if TYPE_CHECKING:
    import keras
    import pandas as pd

    from instrec.learning import callbacks


class Trainer:
    """Train a network several times on one data set (documentation, section 3.2).

    Parameters
    ----------
    model : keras.Model
        The network, not compiled; its name names the files.
    optimizer : {'adam', 'sgd'}
        Optimizer.
    data_dist : pandas.DataFrame or None
        Number of training patches of each label (column `patches`), to weight the classes by;
        None weights all classes equally.
    config : Config, optional
        By default what settings.py says.
    split : float, optional
        Share used for training; `val_split` by default.
    held_out : bool or (int, int)
        Whether the rest, or which fold, is held out and not validated on: see
        `Tensors.training_rows`.
    name : str, optional
        Name of the trained model; by default from `Config.trained_name`.
    source : TransferSource, optional
        Trained model to start from; `model` then comes from its `new_network`.

    Raises
    ------
    InputError
        If the network does not fit the data set, or the optimizer is unknown.
    """

    def __init__(
        self,
        model: "keras.Model",
        optimizer: str,
        data_dist: "pd.DataFrame | None",
        *,
        config: Config | None = None,
        split: float | None = None,
        held_out: tensors.HeldOut = False,
        name: str | None = None,
        source: transfer.TransferSource | None = None,
    ) -> None:
        self.config = config = config or read()
        self.data_set = config.data_set
        variants.check_pair(model.name, self.data_set)
        if optimizer not in CHOICES["optimizer"][1:]:
            raise InputError(f"expected an optimizer 'adam' or 'sgd', found {optimizer!r}")
        self.model = model
        self.optimizer = optimizer
        self.data_dist = data_dist
        self.split = config.val_split if split is None else split
        self.held_out = held_out
        self.name = name or model_files.trained_name(config, model.name)
        self.source = source
        self.files = model_files.model_files(
            config, self.name, optimizer, self.split, held_out=held_out
        )
        if source is not None and self.files == source.files:
            raise InputError(f"{source.source} cannot replace itself: give the new model a name")

    def load_data(self) -> None:
        """Open the patches of the data set, and one-hot encode the labels."""
        self.tensors = tensors.load(self.config, "train")
        self.train_rows, self.validation_rows = self.tensors.training_rows(
            self.config, self.split, held_out=self.held_out
        )
        self.targets = np.eye(len(self.data_set.labels), dtype=np.float32)[self.tensors.class_id]
        self.means_and_stds = None
        if self.source is not None:  # frozen layers expect what they were trained on
            self.means_and_stds = self.source.means_and_stds
        elif self.config.standardise:
            self.means_and_stds = self.tensors.means_and_stds(self.train_rows)

    def load_multi_data(self) -> None:
        """Call `load_data`: the documented name for data sets with two inputs."""
        self.load_data()

    def train(self, epochs: int, batch: int, iter_num: int, *, overwrite: bool = False) -> None:
        """Train `iter_num` times, with early stopping and a checkpoint of the best epoch.

        Parameters
        ----------
        epochs : int
            Maximum number of epochs.
        batch : int
            Patches per mini-batch.
        iter_num : int
            Number of trainings from different random weights.
        overwrite : bool
            Replace what was trained with other settings or data, or is damaged.

        Raises
        ------
        InputError
            If there are models trained with other settings or data, or a loss is not finite.
        """
        from instrec.learning import backend

        for name, value in (("epochs", epochs), ("batch", batch), ("iter_num", iter_num)):
            command.positive(name, value)
        if batch % backend.devices():
            raise InputError(
                f"expected a batch size that {backend.devices()} devices can share evenly, found "
                f"{batch}: give another with -b"
            )
        name, writes = f"{self.name}.{self.optimizer}", backend.is_first()
        lock = storage.lock(self.files.folder, f"models {name}", name=f"{name}.")
        with lock if writes else contextlib.nullcontext():
            # An older one beyond iter_num, trained otherwise, would pass for one of these.
            for iteration in sorted({*range(iter_num), *self.files.finished()}):
                recipe = self._recipe(epochs, batch, iteration)
                record, state = self.files.run_record(iteration), self.files.state(iteration)
                try:
                    if is_trained := record.exists():
                        self._check_trained(iteration, recipe)
                    saved = None if is_trained else self._saved(iteration, recipe)
                except InputError:  # trained otherwise, or damaged
                    if not overwrite:
                        raise
                    # Now it counts as untrained; training replaces its other files one by one.
                    is_trained, saved = False, None
                    if writes:
                        record.unlink(missing_ok=True)
                        state.unlink(missing_ok=True)
                if is_trained:
                    state.unlink(missing_ok=True)  # left by a kill just before its removal
                elif iteration < iter_num:
                    self._train_anew(recipe, iteration, saved)

    def _check_trained(self, iteration: int, recipe: dict) -> None:
        """Refuse an iteration trained otherwise, or whose files do not match its record."""
        remedy = "the same command with --overwrite"
        training = trained.load(self.files, iteration, remedy, "best_accuracy")
        _refuse_different(self.files.run_record(iteration), training.record["recipe"], recipe)
        training.check_weights()
        accuracy = training.record["best_accuracy"]
        print(f"{self.files.best(iteration).name}: trained before, best accuracy {accuracy:.3f}")

    def _saved(self, iteration: int, recipe: dict) -> tuple | None:
        """Return history, pass, time and variables of an interrupted training, if there is one."""
        path = self.files.state(iteration)
        if not path.exists():
            return None
        from instrec.learning import callbacks

        made_with, *saved = callbacks.read_state(path)
        _refuse_different(path, made_with, recipe)
        return tuple(saved)

    def _train_anew(self, recipe: dict, iteration: int, saved: tuple | None) -> None:
        from instrec.learning import backend, callbacks

        backend.keras.utils.set_random_seed(recipe["run_seed"])
        network = self._new_network(recipe["precision"])
        if self.source is not None:
            self.source.copy_weights(iteration, network)
        new = (np.empty(0, dtype=model_files.HISTORY_TYPE), 1, 0.0, None)
        history, first, seconds, variables = saved or new
        if backend.is_first():
            goes_on = f", going on after epoch {len(history)}" if saved else ""
            print(f"training {self.name}.{self.optimizer}{iteration}{goes_on}")
        started = time.perf_counter() - seconds
        for number, of_pass in enumerate(recipe["passes"][first - 1 :], start=first):
            if number > first:
                backend.wait_for_all("the best weights of a pass")
                network.load_weights(self.files.best(iteration))
            self._compile(network, recipe, **of_pass)
            saver = callbacks.StateSaver(self.files, iteration, recipe, number, history, started)
            if variables is not None and number == first:
                callbacks.assign(network, variables)
            elif number > 1 and backend.is_first():
                # The best weights it starts from may be replaced before its first epoch ends.
                saver.save_state(network)
            if not saver.is_over():
                self._fit(network, saver)
            history = saver.history
        if backend.is_first():
            self._finish(network, saver)

    def _new_network(self, precision: str) -> "keras.Model":
        """Return the network with new random weights, computing in a precision (a Keras policy).

        Its weights, and the computations of its output layer, stay in float32.
        """
        from instrec.learning.backend import keras

        def new_layer(layer: "keras.Layer") -> "keras.Layer":
            policy = {} if layer is self.model.layers[-1] else {"dtype": precision}
            return layer.from_config(layer.get_config() | policy)

        return keras.models.clone_model(self.model, clone_function=new_layer)

    def _compile(
        self, network: "keras.Model", recipe: dict, *, learning_rate: float, frozen: bool
    ) -> None:
        """Compile for a pass; if `frozen`, all layers but the output layer keep their weights."""
        from instrec.learning import optimizers

        for layer in network.layers[:-1]:
            layer.trainable = not frozen
        epochs, batches = recipe["nb_epochs"], -(-len(self.train_rows) // recipe["batch_size"])
        course = optimizers.course(recipe["schedule"], learning_rate, epochs * batches)
        optimizer = optimizers.make_optimizer(self.optimizer, course, epochs)
        network.compile(optimizer, loss="categorical_crossentropy", metrics=["accuracy"])
        optimizer.build(network.trainable_variables)

    def _fit(self, network: "keras.Model", saver: "callbacks.StateSaver") -> None:
        """Train one pass to its end; `saver` keeps the results."""
        from instrec.learning import backend, patches

        recipe, done = saver.recipe, len(saver.history)
        last = done - len(saver.losses) + recipe["nb_epochs"]

        def feed(rows: np.ndarray, **options: object) -> patches.Patches:
            return patches.Patches(
                self.tensors.inputs,
                rows,
                recipe["batch_size"],
                targets=self.targets,
                means_and_stds=self.means_and_stds,
                devices=backend.devices(),
                process=backend.process(),
                **options,
            )

        train = feed(
            self.train_rows,
            shuffle_seed=(recipe["run_seed"],),
            epoch=done + 1,  # from 1, as they are shown
            augmentations=recipe["augmentation"],
            frame_seconds=self.config.hop_length / self.config.sample_rate,
        )
        validation = feed(self.validation_rows)
        # A progress bar in a terminal, else one line per epoch.
        shown = 1 if sys.stdout.isatty() else 2
        with train.errors(), validation.errors():
            network.fit(
                train.stream(),
                steps_per_epoch=len(train),
                validation_data=validation.stream(),
                validation_steps=len(validation),
                epochs=last,
                initial_epoch=done,
                class_weight=balance.class_weights(self.data_dist, self.data_set.labels),
                shuffle=False,  # `Patches` shuffles
                callbacks=[saver],
                verbose=shown if backend.is_first() else 0,
            )

    def _finish(self, network: "keras.Model", saver: "callbacks.StateSaver") -> None:
        """Write the files that training leaves, the record last."""
        from instrec.learning import backend

        recipe, history, iteration = saver.recipe, saver.history, saver.iteration
        storage.save(self.files.structure(iteration), self.model.to_json() + "\n")  # in float32
        storage.save_array(self.files.history(iteration), history)
        best = int(np.argmax(history["val_accuracy"]))
        last_pass = np.count_nonzero(history["training_pass"] == len(recipe["passes"]))
        record = {
            "recipe": recipe,
            "epochs": len(history),
            "stopped": bool(last_pass < recipe["nb_epochs"]),  # early, not for lack of epochs
            "best_epoch": best + 1,
            "best_pass": int(history["training_pass"][best]),
            "best_accuracy": float(history["val_accuracy"][best]),
            "chance": float(self.targets[self.validation_rows].mean(axis=0).max()),
            "class_weights": balance.class_weights(self.data_dist, self.data_set.labels),
            "folders": list(self.data_set.folders),
            "separated": self.data_set.source is not None,
            "means_and_stds": trained.save_means_and_stds(
                self.files, iteration, self.means_and_stds
            ),
            "trained_on": f"{self.tensors.kind}training data",
            "training_patches": len(self.train_rows),
            "validation_patches": len(self.validation_rows),
            "seconds": round(saver.seconds, 1),
            "settings": self.config.parameters() | {"test_overlap": self.config.overlap},
            "devices": backend.devices(),
            "made_with": storage.environment("keras", backend.ENGINE, "numpy"),
            "weights": storage.digest_of_file(self.files.best(iteration)),
        }
        storage.save_json(self.files.run_record(iteration), record)
        self.files.state(iteration).unlink(missing_ok=True)
        print(
            f"{self.name}.{self.optimizer}{iteration}: {len(history)} epochs, best validation "
            f"accuracy {record['best_accuracy']:.3f} in epoch {best + 1}"
        )
        trained.warn_unless_learnt(record)

    def _recipe(self, epochs: int, batch: int, iteration: int) -> dict:
        """Name everything that determines the trained model."""
        from instrec.learning.backend import ENGINE

        config = self.config
        return {
            "engine": ENGINE,
            "model": self.model.name,
            "name": self.name,
            "structure": storage.digest_of(variants.structure_of(self.model)),
            "optimizer": self.optimizer,
            "data_set": config.key,
            "labels": list(config.labels),
            **dataclasses.asdict(config.features),
            "tensors": self.tensors.fingerprint,
            "split": self.split,
            "validates": config.val_split if self.held_out else None,
            "fold": list(self.held_out) if isinstance(self.held_out, tuple) else None,
            "split_by": config.split_by,
            "split_seed": config.seed,
            "balanced": config.balanced,
            "standardise": self.means_and_stds is not None,
            "nb_epochs": epochs,
            "batch_size": batch,
            "passes": transfer.passes(config, self.source),
            "transfer_from": self.source and self.source.recipe(iteration),
            "patience": config.patience,
            "class_weight": "n" if self.data_dist is None else "y",
            "schedule": config.schedule,
            "augmentation": config.augmentation,
            "precision": config.precision,
            "run_seed": config.seed + iteration,
        }


def train_model(
    config: Config,
    network: str | None,
    *,
    split: float | None = None,
    held_out: tensors.HeldOut = False,
    overwrite: bool = False,
    name: str | None = None,
) -> None:
    """Train a network on the data set, with the optimizer and parameters of `config`.

    Parameters
    ----------
    config : Config
        The parameters.
    network : str or None
        The network; None takes that of the `transfer_from` model.
    split : float, optional
        Share used for training; `val_split` by default.
    held_out : bool or (int, int)
        As for `Trainer`.
    overwrite : bool
        Replace what was trained otherwise.
    name : str, optional
        Name of the trained model.

    Raises
    ------
    InputError
        If something is missing, or does not fit.
    """
    # Report mistakes before TensorFlow takes its seconds to start.
    optimizer = model_files.chosen_optimizer(config)
    source = transfer.chosen_source(config, network)
    network = source.network if source else network
    if network is None:
        raise InputError("which network? give -m MODEL_NAME, or -x with an experiment")
    models.check_name(network)
    variants.check_pair(network, config.data_set)
    tensors.load(config, "train").training_rows(
        config, config.val_split if split is None else split, held_out=held_out
    )
    from instrec.learning import backend

    if config.class_weight == "y" and backend.ENGINE == "jax":
        raise InputError("on JAX, Keras cannot weight classes: give -c n, or unset KERAS_BACKEND")
    backend.distribute()  # before any network is built
    if source is None:
        shape, labels = config.features.patch_shape, len(config.labels)
        model = models.get_model(network, shape, labels, config.alpha)
    else:
        model = source.new_network(len(config.labels))
    options = {"split": split, "held_out": held_out, "name": name, "source": source}
    trainer = Trainer(model, optimizer, None, config=config, **options)
    trainer.load_data()
    if config.class_weight == "y":
        trainer.data_dist = balance.distribution(
            trainer.tensors.class_id[trainer.train_rows], config.labels
        )
    print(
        f"{config.data_set.title}: {len(trainer.train_rows)} training and "
        f"{len(trainer.validation_rows)} validation patches, {len(config.labels)} labels; "
        f"{trainer.name}: {model.count_params():,} parameters, on {backend.device()}"
        + (f", starting from {config.transfer_from}" if source else "")
    )
    trainer.train(config.nb_epochs, config.batch_size, config.iter_num, overwrite=overwrite)
    print(f"models are in {trainer.files.folder}")


def _refuse_different(path: Path, recipe: dict, wanted: dict) -> None:
    if different := storage.differences(recipe, wanted):
        raise InputError(
            f"{path.name} was trained with other settings or data than today's "
            f"({different}): add --overwrite to replace it, or --name to keep both"
        )


def main(argv: Sequence[str] | None = None) -> None:
    """Train the network that the command line names.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments of the command line; those of this process by default.
    """
    parser = command.new_parser(__doc__)
    command.add_model_options(parser)
    command.add_run_options(parser)
    command.add_training_options(parser)
    command.add_transfer_options(parser)
    arguments, config = command.parse(parser, argv)
    config = command.choose_data_set(config)
    if not config.transfer_from and (arguments.transfer_passes or arguments.transfer_output):
        raise InputError("--passes and --output are for a transfer: give --from, too")
    train_model(config, config.model, split=arguments.split, overwrite=arguments.overwrite)


if __name__ == "__main__":
    command.run(main)
