"""Trained networks: load them safely, and start others from them."""

import dataclasses
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import settings
from instrec.common import storage
from instrec.data import features
from instrec.errors import InputError, is_plain_name
from instrec.learning import model_files as results

if TYPE_CHECKING:
    import keras

MIN_SIGMAS = 4  # standard errors above chance from which a network has learnt something


def load_record(
    files: results.ModelFiles, iteration: int, remedy: str, *needed: str
) -> dict[str, Any]:
    """Load the record of a training.

    Parameters
    ----------
    files : ModelFiles
        The trained model.
    iteration : int
        Number of the iteration.
    remedy : str
        The command that trains it.
    *needed : str
        Entries that it must have; records of before lack some that came since.

    Raises
    ------
    InputError
        If it is missing or damaged, or an entry is none that a training writes.
    """
    path = files.run_record(iteration)
    record = storage.load_json(path, remedy)
    with storage.refuse_damaged(path, remedy):
        lacking = [name for name in needed if name not in record]
        if lacking:
            raise ValueError(f"no {lacking[0]!r}")
        for rules, entries in ((_ENTRIES, record), (_OF_MADE_OF, record.get("made_of", {}))):
            for name, is_right in rules.items():
                if name in entries and not is_right(entries[name]):
                    raise ValueError(f"unexpected {name}: {str(entries[name])[:50]!r}")
    return record


def _is_count(value: object) -> bool:
    return type(value) is int and 0 < value < 2**63


def _is_size(value: object) -> bool:
    return _is_count(value) and value <= 2**20  # more is damage, and would take all memory


def _is_number(value: object) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def _is_list(value: object, is_right: Callable[[object], bool]) -> bool:
    return isinstance(value, list) and bool(value) and all(map(is_right, value))


def _are_moments(value: object) -> bool:
    return value is None or _is_list(
        value, lambda pair: _is_list(pair, _is_number) and len(pair) == 2 and pair[1] > 0
    )


# What the entries of a record can be, where it has them.
_ENTRIES = {
    **dict.fromkeys(("made_of", "settings"), lambda value: isinstance(value, dict)),
    **dict.fromkeys(("weights", "trained_on"), lambda value: isinstance(value, str)),
    **dict.fromkeys(
        ("best_accuracy", "chance"), lambda value: _is_number(value) and 0 <= value <= 1
    ),
    **dict.fromkeys(("training_patches", "validation_patches", "epochs"), _is_count),
    "folders": lambda value: _is_list(value, is_plain_name),
    "separated": lambda value: isinstance(value, bool),
    "moments": _are_moments,
    "seconds": _is_number,
}
_OF_MADE_OF = {
    **dict.fromkeys(
        ("sample_rate", "hop_length", "num_mel_bands", "patch_frames", "nb_epochs", "batch_size"),
        _is_size,
    ),
    "windows": lambda value: _is_list(value, _is_size),
    "labels": lambda value: _is_list(value, is_plain_name),
    **dict.fromkeys(("model", "data_set"), is_plain_name),
    "transfer_from": lambda value: (
        value is None or (_is_list(value, lambda one: isinstance(one, str)) and len(value) == 2)
    ),
    "passes": lambda value: _is_list(value, lambda one: isinstance(one, dict)),
}


def has_learnt(record: dict) -> bool:
    """Tell whether the best validation accuracy is clearly above chance, for that many patches."""
    chance = record["chance"]
    error = math.sqrt(chance * (1 - chance) / record["validation_patches"])
    return record["best_accuracy"] > chance + MIN_SIGMAS * error


def check_weights(files: results.ModelFiles, iteration: int, record: dict, remedy: str) -> None:
    """Refuse weights that are missing or not those of the record; `remedy` trains them anew."""
    best = files.best(iteration)
    if not best.exists() or storage.digest_of_file(best) != record["weights"]:
        raise InputError(f"{best} is missing or not what training wrote: run {remedy}")


def check_alike(files: results.ModelFiles, records: list[dict]) -> None:
    """Refuse iterations of one model that differ in more than their random numbers."""
    for iteration, record in enumerate(records[1:], start=1):
        different = storage.differences(_common(record), _common(records[0]))
        if different:
            raise InputError(
                f"{files.run_record(iteration)}: iteration {iteration} was trained otherwise than "
                f"iteration 0 ({'; '.join(different)}): train the model again, with --overwrite"
            )


def _common(record: dict) -> dict:
    """Return what all iterations of a model share."""
    made_of = {name: value for name, value in record["made_of"].items() if name != "run_seed"}
    source = made_of.get("transfer_from")  # with the digest of the weights of that iteration
    return made_of | {"transfer_from": source and source[0]}


def load_network(files: results.ModelFiles, iteration: int, remedy: str) -> "keras.Model":
    """Load a trained network with its best weights; `remedy` is the command that trains it.

    Raises
    ------
    InputError
        If its files are damaged, or its structure names anything but parts of Keras: a model that
        somebody else has made cannot run code here.
    """
    from instrec.learning.backend import keras

    path = files.structure(iteration)
    with storage.refuse_damaged(path, remedy):
        structure = json.loads(path.read_text(encoding="utf-8"))
        structure.pop("compile_config", None)  # the loss and the optimizer, not needed any more
        foreign = foreign_parts(structure)
        if foreign:
            raise InputError(
                f"{path} is refused: expected layers of Keras alone, found {foreign[0]}, which "
                f"could run code; if it is yours, run {remedy}"
            )
        network = keras.models.model_from_json(json.dumps(structure))
        record = load_record(files, iteration, remedy, "made_of", "folders")
        _check_shapes(network, record)
    best = files.best(iteration)
    with storage.refuse_damaged(best, remedy):
        check_plain(best)
        network.load_weights(best)
    return network


def _check_shapes(network: "keras.Model", record: dict) -> None:
    """Refuse a network that takes other patches or answers for other labels than its record."""
    made_of = record["made_of"]
    patch = (made_of["num_mel_bands"], made_of["patch_frames"], len(made_of["windows"]))
    wanted = ([(None, *patch)] * len(record["folders"]), [(None, len(made_of["labels"]))])
    found = tuple([tuple(x.shape) for x in one] for one in (network.inputs, network.outputs))
    if found != wanted:
        raise ValueError(f"expected inputs and outputs of the shapes {wanted}, found {found}")


def check_plain(weights: Path) -> None:
    """Refuse weights that lie elsewhere than in their own file, or claim more than it holds.

    HDF5 can link to other files, keep the values of an array in them, and expand a few bytes to any
    size. Keras writes none of that, and would follow it.

    Raises
    ------
    InputError
        Naming the first such entry.
    """
    import h5py

    def check(group: "h5py.Group") -> None:
        for name in group:
            place = f"{group.name.rstrip('/')}/{name}"
            is_own = isinstance(group.get(name, getlink=True), h5py.HardLink)
            one = group[name] if is_own else None
            if isinstance(one, h5py.Group):
                check(one)
            elif not isinstance(one, h5py.Dataset) or one.is_virtual or one.external:
                raise InputError(
                    f"{weights} is refused: expected all weights in it, found a link at {place}"
                )
            elif one.chunks or one.nbytes > weights.stat().st_size:
                raise ValueError(f"{place} promises more than the file holds")

    with h5py.File(weights) as file:
        check(file)


def foreign_parts(structure: Any) -> list[str]:  # noqa: ANN401
    """Name the parts of a network's structure that are not plain parts of Keras.

    Parameters
    ----------
    structure : object
        The JSON of a network, or anything in it.

    Returns
    -------
    list of str
        Classes that are not layers, initialisers and the like, or that hold code.
    """
    from instrec.learning.backend import keras

    if isinstance(structure, list):
        return [name for one in structure for name in foreign_parts(one)]
    if not isinstance(structure, dict):
        return []
    found = [name for one in structure.values() for name in foreign_parts(one)]
    if "class_name" in structure:
        name, module = structure["class_name"], structure.get("module") or ""
        parts = (keras.layers, keras.initializers, keras.regularizers, keras.constraints)
        known = name in (*_PLAIN, *(n for part in parts for n in dir(part)))
        inside = module in ("", "builtins") or module.split(".")[0] == "keras"
        if not (known and inside) or name in _CODE:
            found.insert(0, f"{module}.{name}" if module else str(name))
    return found


# Classes in a structure that are neither layers nor initialisers, and layers that hold code.
_PLAIN = ("Functional", "Sequential", "DTypePolicy", "__keras_tensor__", "__tuple__")
_CODE = ("Lambda", "TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer", "Layer", "Wrapper")


class TransferSource:
    """A trained model whose weights another one starts from (thesis 5.9).

    Parameters
    ----------
    source : str
        The model, as `<result key>/<model name>.<optimizer>`; each iteration starts from the same
        iteration of it.
    data_set : settings.DataSet
        What shall be trained on.
    iter_num : int
        Iterations that are wanted.

    Raises
    ------
    InputError
        If it is not trained, or takes other inputs than the data set has.
    """

    def __init__(self, source: str, data_set: settings.DataSet, iter_num: int) -> None:
        self.source = source
        self.files = results.source_files(source)
        wanted = dataclasses.asdict(features.parameters_of(data_set))
        self._records = [self._record(iteration, wanted) for iteration in range(iter_num)]
        check_alike(self.files, self._records)
        self.network: str = self._records[0]["made_of"]["model"]

    def _record(self, iteration: int, wanted: dict) -> dict:
        remedy = "the training of that model again, with --overwrite"
        if not self.files.run_record(iteration).exists():
            raise InputError(
                f"expected {self.files.best(iteration)} to start from, found nothing: train "
                f"{self.source} first, with as many iterations"
            )
        record = load_record(self.files, iteration, remedy, "made_of", "weights")
        different = storage.mismatches(record, wanted)
        if different:
            raise InputError(f"{self.source} takes other features ({'; '.join(different)})")
        check_weights(self.files, iteration, record, remedy)
        return record

    @property
    def moments(self) -> list | None:
        """Mean and deviation that the source was standardised with, if it was."""
        return self._records[0].get("moments")

    def made_of(self, iteration: int) -> list[str]:
        """Name the model and the digest of its weights."""
        return [self.source, self._records[iteration]["weights"]]

    def new_network(self, num_classes: int) -> "keras.Model":
        """Return the network of the source with a new output layer, and new weights throughout."""
        from instrec.learning.backend import keras

        network = self._load(0)
        last = network.layers[-1]
        # Under its name: a new one could be that of another layer of a network that was loaded.
        new = keras.layers.Dense(num_classes, activation=settings.transfer_output, name=last.name)
        outputs = new(last.input)
        return keras.Model(network.inputs, outputs, name=self.network)

    def copy_weights(self, iteration: int, network: "keras.Model") -> None:
        """Give all layers of `network` but the last the trained weights of an iteration."""
        trained = self._load(iteration)
        for layer, source in zip(network.layers[:-1], trained.layers[:-1], strict=True):
            layer.set_weights(source.get_weights())

    def _load(self, iteration: int) -> "keras.Model":
        return load_network(
            self.files, iteration, f"the training of {self.source} again, with --overwrite"
        )
