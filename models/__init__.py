"""The networks, one short module each: `train.py -m <module name>`.

Add a network of your own as `models/<name>.py` with a function `get_model(input_shape,
num_classes)` that returns an uncompiled Keras model, and train it by its name.

This folder is also the default models root, so the trained models of a data set lie in
`models/<result key>/<model name>/`.
"""

import importlib
import inspect
from pathlib import Path
from typing import TYPE_CHECKING

from instrec.errors import InputError

if TYPE_CHECKING:
    import keras


def model_names() -> list[str]:
    """Return the names of all networks in this folder.

    Returns
    -------
    list of str
    """
    return sorted(path.stem for path in Path(__file__).parent.glob("model_*.py"))


def check_name(name: str) -> None:
    """Refuse the name of a network that is not in this folder.

    Parameters
    ----------
    name : str
        Name of the network.
    """
    if name not in model_names():
        raise InputError(f"expected a model among {', '.join(model_names())}, found {name!r}")


def get_model(
    name: str, input_shape: tuple[int, int, int], num_classes: int, alpha: float = 0.33
) -> "keras.Model":
    """Build a network by its name.

    Parameters
    ----------
    name : str
        One of `model_names()`.
    input_shape : tuple of int
        Mel bands, frames and channels of a patch.
    num_classes : int
        Number of labels.
    alpha : float
        Slope of the leaky ReLU below zero, for networks that have one.

    Returns
    -------
    keras.Model
        With random weights, not compiled; its `name` is `name`.

    Raises
    ------
    InputError
        If there is no such network, or it has another name.
    """
    check_name(name)
    build = importlib.import_module(f"models.{name}").get_model
    slope = {"alpha": alpha} if "alpha" in inspect.signature(build).parameters else {}
    network = build(input_shape, num_classes, **slope)
    if network.name != name:
        raise InputError(
            f"models/{name}.py: expected keras.Model(..., name={name!r}), found {network.name!r}"
        )
    return network
