"""What trained networks say of the patches of a data set: predicted once, and kept."""

import contextlib
import itertools
import json
from pathlib import Path

import numpy as np

from instrec.common import command, storage
from instrec.data.tensors import Tensors
from instrec.errors import InputError
from instrec.learning import trained
from instrec.learning.model_files import ModelFiles

BATCH = 256  # patches; has no influence on the outputs


def load_or_predict(
    files: ModelFiles, iteration: int, record: dict, part: Tensors, remedy: str
) -> np.ndarray:
    """Return the outputs of a network for all patches of a part of a data set.

    Parameters
    ----------
    files : ModelFiles
        The trained model.
    iteration : int
        Number of the training.
    record : dict
        Of that training.
    part : Tensors
        The patches.
    remedy : str
        The command that trains it anew.

    Returns
    -------
    np.ndarray [shape=(patches, labels)]

    Raises
    ------
    InputError
        If the network is missing or damaged.
    """
    path = files.predictions(iteration)
    recipe = json.dumps([record["weights"], part.fingerprint])
    shape = (len(part.file_id), len(part.label_names))
    if path.exists():
        # What is damaged or of other models is predicted again.
        with contextlib.suppress(InputError), storage.parsing(path, ""):
            saved = storage.load_arrays(path, "")
            if str(saved["recipe"]) == recipe and saved["predictions"].shape == shape:
                return saved["predictions"]
    predictions = predict(files, iteration, record, part, remedy)
    with lock(files.folder):
        storage.save_arrays(path, recipe=recipe, predictions=predictions)
    return predictions


def predict(
    files: ModelFiles, iteration: int, record: dict, part: Tensors, remedy: str
) -> np.ndarray:
    """Predict all patches of a part; parameters are those of `load_or_predict`.

    Parameters
    ----------
    files : ModelFiles
        Where its files are.
    iteration : int
        Number of the training.
    record : dict
        What made the results.
    part : Tensors
        The patches.
    remedy : str
        The command that makes what is missing.

    Returns
    -------
    np.ndarray
    """
    trained.check_weights(files, iteration, record, remedy)
    from instrec.learning.patches import Patches  # takes Keras

    network = trained.load_network(files, iteration, remedy)
    means_and_stds = trained.load_means_and_stds(files, iteration, record, remedy)
    rows = np.arange(len(part.file_id))
    data = Patches(part.inputs, rows, BATCH, means_and_stds=means_and_stds)
    batches = itertools.islice(data.batches(), len(data))
    title = f"predicting {files.best(iteration).name}"
    bar = command.progress(batches, total=len(data), unit="batch", desc=title)
    return np.concatenate([network.predict_on_batch(x) for (x,) in bar])


def lock(folder: Path) -> contextlib.AbstractContextManager:
    """Hold the results of a folder; not its training, which may go on there for hours.

    Parameters
    ----------
    folder : Path
        Of a trained model.
    """
    return storage.lock(folder, "results", name="results.", wait=60)
