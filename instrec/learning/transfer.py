"""Transfer learning: a trained network that another one starts from (thesis 5.9)."""

import dataclasses
from typing import TYPE_CHECKING

from instrec.common import storage
from instrec.config import Config, data_set_of, parse_source
from instrec.errors import InputError
from instrec.learning import model_files, trained
from settings import DATA_SETS, DataSet

if TYPE_CHECKING:
    import keras


class TransferSource:
    """A trained model whose weights another one starts from (thesis 5.9).

    Parameters
    ----------
    config : Config
        `transfer_from` names the model, and `iter_num` says how many trainings start from it, each
        from the source's training of the same number; the included model has one, for all.

    Raises
    ------
    InputError
        If it is not trained, takes other inputs than the data set has, or has other labels although
        its output layer is kept.
    """

    def __init__(self, config: Config) -> None:
        self.source, self._output = config.transfer_from, config.transfer_output
        self.files = model_files.source_files(self.source, config.models_root)
        wanted, self._shape = dataclasses.asdict(config.features), config.features.patch_shape
        frames = wanted.pop("patch_frames")  # networks that pool over all of them take any number
        self._wanted = wanted
        self._trainings = [self._training(i) for i in range(config.iter_num)]
        trained.check_alike(self._trainings)
        if self._output == "kept":
            labels = {"labels": config.labels}
            if different := storage.mismatches(self._trainings[0].record, labels):
                raise InputError(
                    f"{self.source} has its own labels ({different}): for others, its output layer "
                    "cannot be kept"
                )
        # Frozen layers expect patches standardised, if at all, as those they were trained on.
        self.means_and_stds = self._trainings[0].means_and_stds()
        if self.means_and_stds:
            different = storage.mismatches(self._trainings[0].record, {"patch_frames": frames})
            if different:
                raise InputError(f"{self.source} takes other features ({different})")
        self.network: str = self._trainings[0].record["recipe"]["model"]

    def _training(self, iteration: int) -> trained.Training:
        iteration = 0 if self.source == "pretrained" else iteration
        if not self.files.run_record(iteration).exists():
            raise InputError(
                f"expected {self.files.best(iteration)} to start from, found nothing: train "
                f"{self.source} first, with as many iterations"
            )
        remedy = f"the training of {self.source} again, with --overwrite"
        training = trained.load(self.files, iteration, remedy)
        if different := storage.mismatches(training.record, self._wanted):
            raise InputError(f"{self.source} takes other features ({different})")
        training.check_weights()
        return training

    def recipe(self, iteration: int) -> list[str]:
        """Name the model and the digest of its weights.

        Parameters
        ----------
        iteration : int
            Number of the training.

        Returns
        -------
        list of str
        """
        is_loaded = iteration < len(self._trainings)  # others were trained when there were more
        training = self._trainings[iteration] if is_loaded else self._training(iteration)
        return [self.source, training.record["weights"]]

    def new_network(self, num_classes: int) -> "keras.Model":
        """Return the source's network, with its weights and, unless it is kept, a new output layer.

        Patches may be longer or shorter than the source's.

        Parameters
        ----------
        num_classes : int
            Labels of the output layer.

        Returns
        -------
        keras.Model
            Not compiled.

        Raises
        ------
        InputError
            If the weights do not fit patches of that length, or the last layer is not `Dense`.
        """
        from instrec.learning.backend import keras

        network = self._trainings[0].network()
        if network.inputs[0].shape[1:] != self._shape:
            inputs = keras.tree.map_structure(lambda _: keras.Input(self._shape), network.input)
            weights = network.get_weights()
            try:
                network = keras.models.clone_model(network, input_tensors=inputs)
                network.set_weights(weights)
            except ValueError:
                raise InputError(
                    f"the weights of {self.source} do not fit patches of {self._shape[1]} frames"
                ) from None
        last, output = network.layers[-1], network.output
        if self._output != "kept":
            if not isinstance(last, keras.layers.Dense):
                raise InputError(
                    f"expected {self.source} to end in a Dense layer with its activation, found "
                    f"{type(last).__name__}: its output layer cannot be replaced"
                )
            # Keep the name: a new one could clash with another layer of the loaded network.
            new = keras.layers.Dense(num_classes, activation=self._output, name=last.name)
            output = new(last.input)
        return keras.Model(network.inputs, output, name=self.network)

    def copy_weights(self, iteration: int, network: "keras.Model") -> None:
        """Copy the trained weights of an iteration into all layers of `network` but a new one.

        Parameters
        ----------
        iteration : int
            Number of the training.
        network : keras.Model
            Of `new_network`.
        """
        layers, sources = network.layers, self._trainings[iteration].network().layers
        end = None if self._output == "kept" else -1
        for layer, source in zip(layers[:end], sources[:end], strict=True):
            layer.set_weights(source.get_weights())


def chosen_source(config: Config, network: str | None) -> TransferSource | None:
    """Return the model that `transfer_from` names, if it names one.

    Parameters
    ----------
    config : Config
        The parameters.
    network : str or None
        The network that should start from it, if named.

    Returns
    -------
    TransferSource or None

    Raises
    ------
    InputError
        If it is another network, or was not standardised although the new model should be.
    """
    if not config.transfer_from:
        return None
    source = TransferSource(config)
    if network not in (None, source.network):
        raise InputError(
            f"{config.transfer_from} is a {source.network}, which {network} cannot start from"
        )
    if config.standardise and source.means_and_stds is None:
        raise InputError(
            f"{config.transfer_from} was not standardised: what starts from it cannot be"
        )
    return source


def shares_audio(source: str, data_set: DataSet) -> bool:
    """Tell whether a trained model used the audio of a data set, or audio separated from it.

    Parameters
    ----------
    source : str
        The model, as `transfer_from` names it.
    data_set : DataSet
        A row of DATA_SETS.

    Returns
    -------
    bool
    """
    key, _, _ = parse_source(source)
    id_, _ = data_set_of(key)
    return id_ in DATA_SETS and DATA_SETS[id_].root == data_set.root


def passes(config: Config, source: TransferSource | None) -> list[dict]:
    """Return the options of each training pass: one or, for a new output layer, up to two.

    Parameters
    ----------
    config : Config
        The learning rates, and how many passes.
    source : TransferSource or None
        What the network starts from, if it is a transfer.

    Returns
    -------
    list of dict
        Learning rate, and whether all layers but the last are frozen.
    """
    all_layers = {"learning_rate": config.learning_rate, "frozen": False}
    if source is None or config.transfer_output == "kept":
        return [all_layers]
    output_layer = {"learning_rate": config.transfer_learning_rate, "frozen": True}
    return [output_layer, all_layers][: config.transfer_passes]
