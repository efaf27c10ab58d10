#!/usr/bin/env python3
"""Step 3 of 4: train a network on the tensors of a data set.

  python3 train.py -m model_leaky -o adam -c n -d 1
  python3 train.py -x irmas_standardised                      an experiment of experiments/
  python3 train.py -m model_leaky -o adam -d -1 --from irmas_wind_1024/model_leaky.adam

Trains iter_num networks from different random weights, or from trained ones (--from: transfer
learning), and writes to <MODEL_PATH>/<model_name>/, for each iteration:

  <model>.<optimizer><iteration>.history.npy   loss and accuracy of each epoch
  <model>.<optimizer><iteration>.best.hdf5     weights with the best validation accuracy
  <model>.<optimizer><iteration>.json          structure of the network
  <model>.<optimizer><iteration>.run.json      settings, data and versions that made it

Training that was stopped goes on after its last finished epoch; what is finished is kept.
Next step: evaluate.py.
"""

import contextlib
import dataclasses
import time
from typing import TYPE_CHECKING, Any

import numpy as np

import models
import settings
from instrec.common import command, storage
from instrec.data import features, tensors
from instrec.errors import InputError
from instrec.learning import model_files as results
from instrec.learning import trained as networks

if TYPE_CHECKING:
    import keras
    import pandas as pd

    from instrec.learning import callbacks

HISTORY_FIELDS = ("loss", "accuracy", "val_loss", "val_accuracy")
HISTORY_TYPE = np.dtype([(name, "<f8") for name in HISTORY_FIELDS] + [("training_pass", "<i8")])
# Settings that make a trained model a variant of its network's plain one.
VARIANT = ("split_by", "balanced", "patience", "class_weight", "standardise")
VARIANT += ("learning_rate", "alpha", "schedule", "augmentation")
VARIANT += ("transfer_from", "transfer_passes", "transfer_learning_rate", "transfer_output")
# What trainings were before these parameters came, whose records lack them.
ADDED_SINCE = {"schedule": "constant", "augmentation": ""}
WARMUP = 0.05  # share of the steps in which the cosine schedule rises


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
        None weights all alike.
    data_set : settings.DataSet, optional
        By default the one that settings.py selects.
    split : float, optional
        Share that trains; `settings.val_split` by default.
    name : str, optional
        Of the trained model; by default what `results.trained_name` makes of the network's.
    source : networks.TransferSource, optional
        Trained model to start from; the network is then one of its `new_network`.

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
        data_set: settings.DataSet | None = None,
        split: float | None = None,
        name: str | None = None,
        source: "networks.TransferSource | None" = None,
    ) -> None:
        self.data_set = data_set or settings.selected()
        check_pair(model.name, self.data_set)
        if optimizer not in settings.OPTIMIZERS:
            raise InputError(
                f"expected an optimizer among {settings.OPTIMIZERS}, found {optimizer!r}"
            )
        self.model = model
        self.optimizer = optimizer
        self.data_dist = data_dist
        self.split = settings.val_split if split is None else split
        self.name = name or results.trained_name(model.name)
        self.source = source
        self.files = results.model_files(self.data_set, self.name, optimizer, self.split)
        if source is not None and self.files == source.files:
            raise InputError(f"{source.source} cannot replace itself: give the new model a name")

    def load_data(self) -> None:
        """Open the patches of a data set with one input; one-hot encode the labels."""
        self._load(inputs=1)

    def load_multi_data(self) -> None:
        """Open the patches of a data set with two inputs; one-hot encode the labels."""
        self._load(inputs=2)

    def _load(self, inputs: int) -> None:
        tensors.check_inputs(self.data_set, inputs, ("load_data", "load_multi_data"))
        self.tensors = tensors.load(self.data_set, "train")
        validation = self.tensors.validation_mask(self.split)
        self.train_rows = np.flatnonzero(~validation)
        self.validation_rows = np.flatnonzero(validation)
        self.targets = np.eye(len(self.data_set.labels), dtype=np.float32)[self.tensors.class_id]
        self.moments = None
        if self.source is not None:  # what is frozen expects what it was trained on
            self.moments = self.source.moments
        elif settings.standardise:
            self.moments = self.tensors.moments(self.train_rows)

    def train(self, epochs: int, batch: int, iter_num: int, *, overwrite: bool = False) -> None:
        """Train `iter_num` times, with early stopping and a checkpoint of the best epoch.

        Parameters
        ----------
        epochs : int
            Epochs at most.
        batch : int
            Patches a mini-batch.
        iter_num : int
            Number of trainings from different random weights.
        overwrite : bool
            Replace what was trained with other settings or data, or is damaged.

        Raises
        ------
        InputError
            If models are there that were trained with other settings or data.
        """
        from instrec.learning import backend

        for name, value in (("epochs", epochs), ("batch", batch), ("iter_num", iter_num)):
            command.positive(name, value)
        if batch % backend.devices():
            raise InputError(
                f"expected a batch size that {backend.devices()} devices can share evenly, found "
                f"{batch}: give another with -b"
            )
        name = f"{self.name}.{self.optimizer}"
        with contextlib.ExitStack() as held:
            if backend.is_first():
                held.enter_context(
                    storage.lock(self.files.folder, f"models {name}", name=f"{name}.")
                )
            for iteration in range(iter_num):
                made_of = self._made_of(epochs, batch, iteration)
                try:
                    is_trained = self._is_trained(iteration, made_of)
                    state = None if is_trained else self._state(iteration, made_of)
                except InputError:  # trained otherwise, or damaged
                    if not overwrite:
                        raise
                    # Now it counts as untrained; training replaces its other files one by one.
                    if backend.is_first():
                        self.files.run_record(iteration).unlink(missing_ok=True)
                        self.files.state(iteration).unlink(missing_ok=True)
                    is_trained, state = False, None
                if is_trained:  # a kill may have come just before
                    self.files.state(iteration).unlink(missing_ok=True)
                else:
                    self._train_one(made_of, iteration, state)

    def _is_trained(self, iteration: int, made_of: dict) -> bool:
        """Tell whether an iteration is trained already; refuse one that was trained otherwise."""
        path = self.files.run_record(iteration)
        if not path.exists():
            return False
        remedy = "the same command with --overwrite"
        record = networks.load_record(
            self.files, iteration, remedy, "made_of", "best_accuracy", "weights"
        )
        _refuse_other(path.name, record["made_of"], made_of)
        networks.check_weights(self.files, iteration, record, remedy)
        best = self.files.best(iteration)
        print(f"{best.name}: trained before, best accuracy {record['best_accuracy']:.3f}")
        return True

    def _state(self, iteration: int, made_of: dict) -> "callbacks.State | None":
        """Return where a training was interrupted, if there is one."""
        path = self.files.state(iteration)
        if not path.exists():
            return None
        from instrec.learning import callbacks

        saved_made_of, state = callbacks.read_state(path)
        _refuse_other(path.name, saved_made_of, made_of)
        return state

    def _train_one(self, made_of: dict, iteration: int, state: "callbacks.State | None") -> None:
        from instrec.learning import backend, callbacks
        from instrec.learning.backend import keras

        keras.utils.set_random_seed(made_of["run_seed"])
        network = keras.models.clone_model(self.model)  # new random weights
        if self.source is not None:
            self.source.copy_weights(iteration, network)
        history, first = np.empty(0, dtype=HISTORY_TYPE), 1
        if state is not None:
            history, first, variables = state
            print(f"iteration {iteration}: going on after epoch {len(history)}")
        started = time.perf_counter()
        passes = made_of["passes"]
        for number in range(first, len(passes) + 1):
            if number > first:
                backend.wait_for_all("the best weights of a pass")
                network.load_weights(self.files.best(iteration))
            self._compile(network, made_of, **passes[number - 1])
            saver = callbacks.StateSaver(history, self.files.state(iteration), made_of, number)
            if state is not None and number == first:
                callbacks.assign(network, variables)
            elif number > 1:
                # The best weights, which it starts from, are replaced before its first epoch ends.
                saver.save(network)
            history = self._fit(network, made_of, saver, iteration, number)
        if backend.is_first():
            self._finish(network, made_of, history, iteration, time.perf_counter() - started)

    def _compile(
        self, network: "keras.Model", made_of: dict, *, learning_rate: float, frozen: bool
    ) -> None:
        """Prepare a pass; frozen, all but the output layer keep their weights."""
        for layer in network.layers[:-1]:
            layer.trainable = not frozen
        network.compile(
            optimizer=make_optimizer(
                self.optimizer, self._rate(learning_rate, made_of), made_of["nb_epochs"]
            ),
            loss="categorical_crossentropy",
            metrics=["accuracy"],
        )
        network.optimizer.build(network.trainable_variables)

    def _rate(
        self, learning_rate: float, made_of: dict
    ) -> "float | keras.optimizers.schedules.LearningRateSchedule":
        """Return the learning rate, or its course over the steps of a pass."""
        if made_of["schedule"] == "constant":
            return learning_rate
        from instrec.learning.backend import keras

        steps = made_of["nb_epochs"] * -(-len(self.train_rows) // made_of["batch_size"])
        warmup = max(1, round(WARMUP * steps))
        return keras.optimizers.schedules.CosineDecay(
            0.0, max(1, steps - warmup), warmup_target=learning_rate, warmup_steps=warmup
        )

    def _fit(
        self,
        network: "keras.Model",
        made_of: dict,
        saver: "callbacks.StateSaver",
        iteration: int,
        number: int,
    ) -> np.ndarray:
        """Train one pass to its end; return the history of all passes until then."""
        from instrec.learning import backend, callbacks
        from instrec.learning.patches import Patches

        history = saver.history
        batch, epoch = made_of["batch_size"], len(history)
        of_pass = history[history["training_pass"] == number]
        inputs, moments = self.tensors.inputs, self.moments
        shared = {"devices": backend.devices(), "process": backend.process()}
        train = Patches(
            inputs,
            self.train_rows,
            batch,
            targets=self.targets,
            shuffle_seed=(made_of["run_seed"],),
            epoch=epoch + 1,  # from 1, as they are shown
            moments=moments,
            augmentations=made_of["augmentation"],
            **shared,
        )
        validation = Patches(
            inputs, self.validation_rows, batch, targets=self.targets, moments=moments, **shared
        )
        stopping = callbacks.EarlyStopping(of_pass, made_of["patience"])
        checkpoint = callbacks.BestCheckpoint(history, self.files.best(iteration))
        last_epoch = epoch - len(of_pass) + made_of["nb_epochs"]
        progress = callbacks.Progress(
            f"{self.name}.{self.optimizer}{iteration}", last_epoch, len(train)
        )
        if stopping.is_over(made_of["nb_epochs"]):
            return saver.history
        with train.errors(), validation.errors():
            network.fit(
                train.dataset(),
                steps_per_epoch=len(train),
                validation_data=validation.dataset(),
                validation_steps=len(validation),
                epochs=last_epoch,
                initial_epoch=epoch,
                class_weight=self._class_weights(),
                shuffle=False,  # `Patches` shuffles
                # The state is saved last: what it says is done, is done.
                callbacks=[*([progress] * backend.is_first()), checkpoint, stopping, saver],
                verbose=0,
            )
        return saver.history

    def _finish(
        self,
        network: "keras.Model",
        made_of: dict,
        history: np.ndarray,
        iteration: int,
        seconds: float,
    ) -> None:
        from instrec.learning import backend

        with storage.whole(self.files.structure(iteration)) as partial:
            partial.write_text(network.to_json() + "\n", encoding="utf-8")
        storage.save_array(self.files.history(iteration), history)
        best = int(np.argmax(history["val_accuracy"]))
        record = {
            "made_of": made_of,
            "epochs": len(history),
            "best_epoch": best + 1,
            "best_pass": int(history["training_pass"][best]),
            "best_accuracy": float(history["val_accuracy"][best]),
            "chance": float(self._chance()),
            "class_weights": self._class_weights(),
            "folders": list(self.data_set.folders),
            "separated": self.data_set.source is not None,
            "moments": self.moments,
            "trained_on": f"{self.tensors.kind}training data",
            "training_patches": len(self.train_rows),
            "validation_patches": len(self.validation_rows),
            "seconds": round(seconds, 1),
            "settings": settings.parameters(),
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
        if not networks.has_learnt(record):
            print(
                f"warning: this run has not learnt: its best validation accuracy "
                f"{record['best_accuracy']:.3f} is not clearly above chance "
                f"({record['chance']:.3f}). Change what it starts from: -m model_leaky instead of "
                "model_baseline, a smaller batch (-b 32), more epochs (-e), or a smaller "
                "learning_rate in settings.py"
            )

    def _made_of(self, epochs: int, batch: int, iteration: int) -> dict:
        """Name everything that determines the trained model."""
        from instrec.learning.backend import ENGINE

        # Records of TensorFlow name no engine: they are older than the choice.
        return ({} if ENGINE == "tensorflow" else {"engine": ENGINE}) | {
            "model": self.model.name,
            "name": self.name,
            "structure": storage.digest_of(self._structure()),
            "optimizer": self.optimizer,
            "data_set": self.data_set.key,
            "labels": list(self.data_set.labels),
            **dataclasses.asdict(features.parameters_of(self.data_set)),
            "tensors": self.tensors.fingerprint,
            "split": self.split,
            "split_by": settings.split_by,
            "split_seed": settings.seed,
            "balanced": settings.balanced,
            "standardise": self.moments is not None,
            "nb_epochs": epochs,
            "batch_size": batch,
            "passes": self._passes(),
            "transfer_from": self.source and self.source.made_of(iteration),
            "patience": settings.patience,
            "class_weight": "n" if self.data_dist is None else "y",
            "schedule": settings.schedule,
            "augmentation": settings.augmentation,
            "run_seed": settings.seed + iteration,
        }

    def _passes(self) -> list[dict]:
        """Say how each pass over the data trains: one from scratch, one or two for a transfer."""
        all_layers = {"learning_rate": settings.learning_rate, "frozen": False}
        if self.source is None:
            return [all_layers]
        output_layer = {"learning_rate": settings.transfer_learning_rate, "frozen": True}
        return [output_layer, all_layers][: settings.transfer_passes]

    def _structure(self) -> list:
        """What the network is made of, without the names that Keras numbers anew each time."""
        return [
            (
                type(layer).__name__,
                {k: v for k, v in layer.get_config().items() if _is_plain(v) and k != "name"},
            )
            for layer in self.model.layers
        ]

    def _class_weights(self) -> dict[int, float] | None:
        if self.data_dist is None:
            return None
        patches = self.data_dist["patches"].reindex(list(self.data_set.labels)).fillna(0)
        if (patches == 0).any():
            raise InputError(f"no training patches have the label {patches.idxmin()}: no weights")
        weights = patches.sum() / (len(patches) * patches)
        return {i: float(weight) for i, weight in enumerate(weights)}

    def _chance(self) -> float:
        """Validation accuracy of always answering with the most frequent label."""
        counts = self.targets[self.validation_rows].sum(axis=0)
        return counts.max() / counts.sum()


def variant_of(
    data_set: settings.DataSet, name: str, optimizer: str
) -> tuple[str | None, dict[str, Any]]:
    """Return the network of a trained model, and the settings that make it the variant it is.

    Those come from the record of its training; of what is not trained yet, from today's settings.
    """
    files = results.model_files(data_set, name, optimizer)
    path = files.run_record(0)
    if not path.exists():
        return (name if name in models.model_names() else settings.model), {}
    remedy = f"the training of {name} again, with --overwrite"
    record = networks.load_record(files, 0, remedy, "made_of", "settings")
    with storage.refuse_damaged(path, remedy):
        return record["made_of"]["model"], {
            n: (ADDED_SINCE | record["settings"])[n] for n in VARIANT
        }


def check_pair(model_name: str, data_set: settings.DataSet) -> None:
    """Refuse a network that does not fit the data set, by name.

    Raises
    ------
    InputError
        If the data set needs another network, or the network another data set.
    """
    if data_set.model and model_name != data_set.model:
        raise InputError(f"{data_set.title} must be used with {data_set.model}, not {model_name}")
    fitting = [
        f"{id_} ({other.title})"
        for id_, other in settings.DATA_SETS.items()
        if other.model == model_name
    ]
    if fitting and data_set.model != model_name:
        raise InputError(
            f"{model_name} does not fit {data_set.title}: use it with data set "
            f"{' or '.join(fitting)}"
        )


def make_optimizer(
    name: str,
    learning_rate: "float | keras.optimizers.schedules.LearningRateSchedule",
    epochs: int,
) -> "keras.optimizers.Optimizer":
    """Build an optimizer with the documented parameters.

    Parameters
    ----------
    name : {'adam', 'sgd'}
        Adam, or stochastic gradient descent with Nesterov momentum.
    learning_rate : float or LearningRateSchedule
        Learning rate at the start, or its course.
    epochs : int
        SGD's rate, if it is a number, decays by `learning_rate / epochs` a step, as Keras 2's
        `decay` did.
    """
    from instrec.learning.backend import keras

    # Named, or else Keras counts them, and files would tell how many were trained in one go.
    if name == "adam":
        return keras.optimizers.Adam(
            learning_rate, beta_1=0.9, beta_2=0.999, epsilon=1e-8, name=name
        )
    if isinstance(learning_rate, int | float):
        learning_rate = keras.optimizers.schedules.InverseTimeDecay(
            learning_rate, decay_steps=1, decay_rate=learning_rate / epochs
        )
    return keras.optimizers.SGD(learning_rate, momentum=0.9, nesterov=True, name=name)


def label_distribution(part: tensors.Tensors, split: float) -> "pd.DataFrame":
    """Count the training patches of each label: index `label`, column `patches`."""
    import pandas as pd

    class_id = part.class_id[~part.validation_mask(split)]
    counts = np.bincount(class_id, minlength=len(part.label_names))
    return pd.DataFrame({"patches": counts}, index=pd.Index(part.label_names, name="label"))


def train_model(
    model_name: str | None,
    optimizer: str,
    *,
    split: float | None = None,
    overwrite: bool = False,
    name: str | None = None,
) -> None:
    """Train a network on the selected data set, as settings.py says.

    Parameters
    ----------
    model_name : str or None
        The network; None takes that of the model that `settings.transfer_from` names.
    optimizer : {'adam', 'sgd'}
        Optimizer.
    split : float, optional
        Share that trains; `settings.val_split` by default.
    overwrite : bool
        Replace what was trained otherwise.
    name : str, optional
        Of the trained model.
    """
    data_set = settings.selected()
    split = settings.val_split if split is None else split
    # What is wrong is said before TensorFlow takes its seconds to start.
    source = None
    if settings.transfer_from:
        source = networks.TransferSource(settings.transfer_from, data_set, settings.iter_num)
        if model_name not in (None, source.network):
            raise InputError(
                f"{settings.transfer_from} is a {source.network}, which {model_name} cannot "
                "start from"
            )
        if settings.standardise and source.moments is None:
            raise InputError(
                f"{settings.transfer_from} was not standardised: what starts from it cannot be"
            )
        model_name = source.network
    if model_name is None:
        raise InputError("which network? give -m MODEL_NAME, or -x with an experiment")
    models.check_name(model_name)
    check_pair(model_name, data_set)
    part = tensors.load(data_set, "train")
    part.validation_mask(split)
    from instrec.learning import backend

    backend.distribute()  # before there is a network
    if source is None:
        patch_shape = features.parameters_of(data_set).patch_shape
        model = models.get_model(model_name, patch_shape, len(data_set.labels))
    else:
        model = source.new_network(len(data_set.labels))
    distribution = label_distribution(part, split) if settings.class_weight == "y" else None
    trainer = Trainer(model, optimizer, distribution, split=split, name=name, source=source)
    load = trainer.load_data if len(data_set.folders) == 1 else trainer.load_multi_data
    load()
    print(
        f"{data_set.title}: {len(trainer.train_rows)} training and "
        f"{len(trainer.validation_rows)} validation patches, {len(data_set.labels)} labels; "
        f"{trainer.name}: {model.count_params():,} parameters, on {backend.device()}"
        + (f", starting from {settings.transfer_from}" if source else "")
    )
    trainer.train(settings.nb_epochs, settings.batch_size, settings.iter_num, overwrite=overwrite)
    print(f"models are in {trainer.files.folder}")


def _refuse_other(name: str, made_of: dict, wanted: dict) -> None:
    different = storage.differences(ADDED_SINCE | made_of, wanted)
    if different:
        raise InputError(
            f"{name} was trained with other settings or data than today's "
            f"({'; '.join(different)}): add --overwrite to replace it"
        )


def _is_plain(value: object) -> bool:
    return isinstance(value, int | float | str | bool | list | tuple | None)


def main() -> None:
    """Train the network that the command line names."""
    parser = command.new_parser(__doc__)
    command.add_model_options(parser)
    command.add_run_options(parser)
    command.add_training_options(parser)
    command.add_transfer_options(parser)
    with command.parsed(parser) as arguments:
        command.select_data_set()
        if not settings.transfer_from and (arguments.transfer_passes or arguments.transfer_output):
            raise InputError("--passes and --output are for a transfer: give --from, too")
        train_model(
            settings.model,
            command.chosen_optimizer(),
            split=arguments.split,
            overwrite=arguments.overwrite,
        )


if __name__ == "__main__":
    command.run(main)
