"""Trained networks: their records, safe loading and outputs for patches."""

import contextlib
import itertools
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from instrec.common import command, storage
from instrec.config import FeatureParameters
from instrec.data.features import MeansAndStds
from instrec.errors import InputError, is_plain_name
from instrec.learning.model_files import ModelFiles

if TYPE_CHECKING:
    import keras

    from instrec.data.tensors import Tensors

# Entries of a record that import_model.py cannot know.
OF_TRAINING = ("best_accuracy", "chance", "validation_patches")
MIN_SIGMAS = 4  # standard errors above chance from which a network counts as having learnt
BATCH = 256  # patches predicted at once; does not affect the outputs


def load_record(files: ModelFiles, iteration: int, remedy: str, *needed: str) -> dict[str, Any]:
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
        Entries that it must have; older records lack some.

    Returns
    -------
    dict

    Raises
    ------
    InputError
        If it is missing or damaged, or an entry has a value that no training writes.
    """
    path = files.run_record(iteration)
    record = storage.load_json(path, remedy)
    with storage.parsing(path, remedy):
        unknown = OF_TRAINING if "imported" in record else ()
        lacking = [name for name in needed if name not in record and name not in unknown]
        if lacking:
            raise ValueError(f"no {lacking[0]!r}")
        recipe = record.get("recipe", {})
        if not isinstance(recipe, dict):
            raise ValueError(f"unexpected recipe: {str(recipe)[:50]!r}")
        for name, value in (*record.items(), *recipe.items()):
            if name in _RULES and not _RULES[name](value):
                raise ValueError(f"unexpected {name}: {str(value)[:50]!r}")
    return record


def _is_size(value: object) -> bool:
    return type(value) is int and 0 < value <= 2**31  # more is damage, and would exhaust memory


def _is_number(value: object) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def _is_list(value: object, is_right: Callable[[object], bool]) -> bool:
    return isinstance(value, list) and bool(value) and all(map(is_right, value))


# Valid values of entries of a record and its recipe, where present: others would be obeyed, and
# lead into other folders or exhaust memory.
_SIZES = ("sample_rate", "hop_length", "num_mel_bands", "patch_frames", "n_fft")
_RULES = {
    **dict.fromkeys((*_SIZES, "validation_patches"), _is_size),
    **dict.fromkeys(("best_accuracy", "chance"), lambda x: _is_number(x) and 0 <= x <= 1),
    **dict.fromkeys(("model", "data_set"), is_plain_name),
    **dict.fromkeys(("labels", "folders"), lambda x: _is_list(x, is_plain_name)),
    "windows": lambda x: _is_list(x, _is_size),
    "passes": lambda x: _is_list(x, lambda item: isinstance(item, dict)),
    "seconds": _is_number,
    "settings": lambda x: isinstance(x, dict),
    "separated": lambda x: isinstance(x, bool),
    **dict.fromkeys(("weights", "trained_on"), lambda x: isinstance(x, str)),
    "means_and_stds": lambda x: x is None or isinstance(x, str),
}


def has_learnt(record: dict) -> bool:
    """Tell whether the best validation accuracy is clearly above chance for so many patches.

    Where that cannot be told (imported network, one label, few validation patches), the network
    counts as having learnt.

    Parameters
    ----------
    record : dict
        Of a training.

    Returns
    -------
    bool
    """
    needed = _clearly_above_chance(record)
    return needed >= 1 or record["best_accuracy"] > needed


def _clearly_above_chance(record: dict) -> float:
    """Return the accuracy above which a training has learnt; 1 or more if that cannot be told."""
    if "imported" in record:
        return 1.0
    chance = record["chance"]
    return chance + MIN_SIGMAS * math.sqrt(chance * (1 - chance) / record["validation_patches"])


def warn_unless_learnt(record: dict) -> None:
    """Print a warning, and what to change, if a training has not learnt.

    Parameters
    ----------
    record : dict
        Of a training.
    """
    if _clearly_above_chance(record) >= 1:
        print(
            f"note: {record['validation_patches']} validation patches, of which chance gets "
            f"{record['chance']:.0%} right, are too few to tell whether this training has learnt"
        )
    if not has_learnt(record):
        print(
            "warning: this training has not learnt: its best validation accuracy "
            f"{record['best_accuracy']:.3f} is not clearly above chance ({record['chance']:.3f}). "
            "What may help: a smaller batch (-b), more epochs (-e), a smaller learning_rate in "
            "settings.py, or another network (model_leaky learns where model_baseline does not)"
        )


def save_means_and_stds(
    files: ModelFiles, iteration: int, means_and_stds: MeansAndStds | None
) -> str | None:
    """Write the means and deviations that standardise patches, if any, beside the weights.

    Parameters
    ----------
    files : ModelFiles
        The trained model.
    iteration : int
        Number of the training.
    means_and_stds : sequence of (np.ndarray, np.ndarray), or None
        As `features.standardise` takes them.

    Returns
    -------
    str or None
        The digest that the record keeps.
    """
    path = files.means_and_stds(iteration)
    if means_and_stds is None:
        path.unlink(missing_ok=True)
        return None
    arrays = {}
    for i, (mean, std) in enumerate(means_and_stds):
        arrays |= {f"mean_{i}": mean, f"std_{i}": std}
    storage.save_arrays(path, **arrays)
    return storage.digest_of_file(path)


@dataclass(frozen=True)
class Training:
    """A finished training: its record and its files.

    Parameters
    ----------
    files : ModelFiles
        The trained model.
    iteration : int
        Number of the training.
    remedy : str
        The command that trains it again, for messages.
    record : dict
        Of the training.
    """

    files: ModelFiles
    iteration: int
    remedy: str
    record: dict[str, Any]

    def check_weights(self) -> None:
        """Refuse weights that are missing or not those of the record.

        Raises
        ------
        InputError
            If they are.
        """
        self._check_digest(self.files.best(self.iteration), "weights")

    def _check_digest(self, path: Path, entry: str) -> None:
        if not path.exists() or storage.digest_of_file(path) != self.record[entry]:
            raise InputError(f"{path} is missing or not what training wrote: run {self.remedy}")

    def means_and_stds(self) -> list[tuple[np.ndarray, np.ndarray]] | None:
        """Read the means and deviations that standardise the network's patches, or None.

        Returns
        -------
        list of (np.ndarray, np.ndarray), or None
            As `features.standardise` takes them.

        Raises
        ------
        InputError
            If they are missing, damaged, or not those of the record.
        """
        if self.record.get("means_and_stds") is None:
            return None
        path = self.files.means_and_stds(self.iteration)
        self._check_digest(path, "means_and_stds")
        with storage.parsing(path, self.remedy):
            arrays = storage.load_arrays(path, self.remedy)
            inputs = range(len(self.record["folders"]))
            found = [(arrays[f"mean_{i}"], arrays[f"std_{i}"]) for i in inputs]
            expected = FeatureParameters.of_recipe(self.record["recipe"]).patch_shape
            shapes = {x.shape for pair in found for x in pair}
            if shapes != {expected}:
                raise ValueError(f"expected the shape {expected}, found {shapes}")
            is_finite = all(np.isfinite(x).all() for pair in found for x in pair)
            if not is_finite or not all((std > 0).all() for _, std in found):
                raise ValueError("expected numbers, and deviations above 0")
        return found

    def network(self) -> "keras.Model":
        """Load the network with its best weights.

        Returns
        -------
        keras.Model

        Raises
        ------
        InputError
            If its files are missing, damaged or not those of the record, or its structure holds
            code, which Keras' safe mode refuses: a model from elsewhere cannot run code here.
        """
        self.check_weights()
        from instrec.learning.backend import keras

        path, best = self.files.structure(self.iteration), self.files.best(self.iteration)
        refused = (TypeError,)  # raised by Keras' safe mode
        with storage.parsing(path, self.remedy, also=refused):
            structure = json.loads(path.read_text(encoding="utf-8"))
            structure.pop("compile_config", None)  # the loss and the optimizer, no longer needed
            network = keras.models.model_from_json(json.dumps(structure))
            check_shapes(network, self.record)
        with storage.parsing(best, self.remedy):
            check_plain(best)
            network.load_weights(best)
        return network

    def outputs(self, part: "Tensors") -> np.ndarray:
        """Return the network's outputs for all patches of a part of a data set; predict them once.

        Parameters
        ----------
        part : Tensors
            The patches.

        Returns
        -------
        np.ndarray [shape=(patches, labels)]

        Raises
        ------
        InputError
            If the network is missing or damaged.
        """
        path = self.files.predictions(self.iteration)
        recipe = json.dumps([self.record["weights"], part.fingerprint])
        shape = (len(part.file_id), len(part.label_names))
        if path.exists():
            # Damaged predictions, and those of other models, are made again.
            with contextlib.suppress(InputError), storage.parsing(path, ""):
                saved = storage.load_arrays(path, "")
                if str(saved["recipe"]) == recipe and saved["predictions"].shape == shape:
                    return saved["predictions"]
        predictions = self.predict(part)
        with self.files.lock_results():
            storage.save_arrays(path, recipe=recipe, predictions=predictions)
        return predictions

    def predict(self, part: "Tensors") -> np.ndarray:
        """Predict all patches of a part, like `outputs`, but without saving the predictions.

        Parameters
        ----------
        part : Tensors
            The patches.

        Returns
        -------
        np.ndarray [shape=(patches, labels)]
        """
        network, means_and_stds = self.network(), self.means_and_stds()
        from instrec.learning.patches import Patches  # imports Keras

        rows = np.arange(len(part.file_id))
        data = Patches(part.inputs, rows, BATCH, means_and_stds=means_and_stds)
        batches = itertools.islice(data.batches(), len(data))
        title = f"predicting {self.files.best(self.iteration).name}"
        bar = command.progress(batches, total=len(data), unit="batch", desc=title)
        return np.concatenate([network.predict_on_batch(x) for (x,) in bar])


def load(files: ModelFiles, iteration: int, remedy: str, *needed: str) -> Training:
    """Load the record of a training; the rest is loaded on demand.

    Parameters are those of `load_record`.

    Returns
    -------
    Training
    """
    record = load_record(files, iteration, remedy, "recipe", "weights", "folders", *needed)
    return Training(files, iteration, remedy, record)


def check_alike(trainings: Sequence[Training]) -> None:
    """Refuse trainings of one model that differ in more than their random numbers.

    Parameters
    ----------
    trainings : sequence of Training
        All of them.

    Raises
    ------
    InputError
        If they do.
    """
    first, *others = trainings
    for training in others:
        if different := storage.differences(_common(training.record), _common(first.record)):
            i = training.iteration
            raise InputError(
                f"{training.files.run_record(i)}: iteration {i} was trained otherwise than "
                f"iteration 0 ({different}): train the model again, with --overwrite"
            )


def _common(record: dict) -> dict:
    """Return what all trainings of a model share."""
    source = record["recipe"].get("transfer_from")  # with the digest of that training's weights
    return record["recipe"] | {"run_seed": None, "transfer_from": source and source[0]}


def check_shapes(network: "keras.Model", record: dict) -> None:
    """Refuse a network whose input or output shapes do not match its record.

    Parameters
    ----------
    network : keras.Model
        The network.
    record : dict
        With 'recipe' and 'folders'.

    Raises
    ------
    ValueError
        Naming the shapes.
    """
    recipe = record["recipe"]
    shape = FeatureParameters.of_recipe(recipe).patch_shape
    wanted = [(None, *shape)] * len(record["folders"]), [(None, len(recipe["labels"]))]
    found = tuple([tuple(x.shape) for x in ends] for ends in (network.inputs, network.outputs))
    if found != wanted:
        raise ValueError(f"expected inputs and outputs of the shapes {wanted}, found {found}")


def check_plain(weights: Path) -> None:
    """Refuse weights stored outside their own file, or claiming more data than it holds.

    HDF5 can link to other files, keep the values of an array in them, and expand a few bytes to any
    size. Keras never writes such files, but would read them.

    Parameters
    ----------
    weights : Path
        An HDF5 file.

    Raises
    ------
    InputError
        Naming the first link.
    ValueError
        If an array promises more than the file holds.
    """
    import h5py

    def check(group: "h5py.Group") -> None:
        for name in group:
            place = f"{group.name.rstrip('/')}/{name}"
            is_own = isinstance(group.get(name, getlink=True), h5py.HardLink)
            entry = group[name] if is_own else None
            if isinstance(entry, h5py.Group):
                check(entry)
            elif not isinstance(entry, h5py.Dataset) or entry.is_virtual or entry.external:
                raise InputError(
                    f"{weights} is refused: expected all weights in it, found a link at {place}"
                )
            elif entry.chunks or entry.nbytes > weights.stat().st_size:
                raise ValueError(f"{place} promises more than the file holds")

    with h5py.File(weights) as file:
        check(file)
