"""Convert networks saved by Keras 2, such as those the authors published, to Keras 3.

Layer configurations are brought up to date, and Keras builds them in its safe mode. Channels-first
networks become channels-last networks that compute the same: kernels are stored as
height x width x in x out in either format.
"""

import json
from pathlib import Path
from typing import Any

from instrec.common import storage
from instrec.errors import InputError
from instrec.learning import trained
from instrec.learning.backend import keras

# Kinds of layers that compute the same with channels last. None of them can hold code.
KINDS = ("InputLayer", "Conv2D", "ZeroPadding2D", "MaxPooling2D", "GlobalMaxPooling2D", "Dense")
KINDS += ("AveragePooling2D", "GlobalAveragePooling2D", "BatchNormalization", "Concatenate")
KINDS += ("Activation", "ReLU", "LeakyReLU", "Dropout")
CHANNEL_AXIS = {"channels_first": 1, "channels_last": -1}


def read_network(structure: Path, weights: Path) -> keras.Model:
    """Build a network from a structure and weights that Keras 2 saved.

    Parameters
    ----------
    structure : Path
        What `model.to_json()` returned.
    weights : Path
        HDF5 file of `model.save_weights` or `model.save`.

    Returns
    -------
    keras.Model
        With these weights, channels last.

    Raises
    ------
    InputError
        If a file is missing or damaged, a layer is not one of `KINDS`, or the weights do not fit
        the structure.
    """
    remedy = "this with a file that Keras 2 wrote"
    with storage.parsing(structure, remedy, also=(TypeError,)):  # raised by Keras
        content = json.loads(structure.read_text(encoding="utf-8"))
        kind = keras.Sequential if content["class_name"] == "Sequential" else keras.Model
        network = kind.from_config(_up_to_date(content["config"]))
    with storage.parsing(weights, f"this with the weights of {structure.name}"):
        trained.check_plain(weights)
        network.load_weights(weights)
    return network


def _up_to_date(config: dict[str, Any] | list) -> dict[str, Any]:
    """Return the configuration of a network as Keras 3 expects it, with channels last."""
    if isinstance(config, list):  # of a sequential network, before Keras 2.2.3
        config = {"name": "imported", "layers": config}
    formats = {layer["config"].get("data_format") for layer in config["layers"]} - {None}
    if len(formats) > 1:
        raise InputError(f"expected one data_format, found {' and '.join(sorted(formats))}")
    data_format = formats.pop() if formats else "channels_last"
    layers = []
    for layer in config["layers"]:
        kind, options = layer["class_name"], dict(layer["config"])
        if kind not in KINDS:
            raise InputError(f"expected layers among {', '.join(KINDS)}, found {kind}")
        shape = options.pop("batch_input_shape", None)
        if shape is not None:
            if data_format == "channels_first" and len(shape) == 4:
                shape = [shape[0], *shape[2:], shape[1]]
            if kind == "InputLayer":
                options["batch_shape"] = shape
            else:  # the first of a sequential network
                layers.append({"class_name": "InputLayer", "config": {"batch_shape": shape}})
        if "data_format" in options:
            options["data_format"] = "channels_last"
        if isinstance(options.get("axis"), list) and len(options["axis"]) == 1:  # of tf.keras
            options["axis"] = options["axis"][0]
        if options.get("axis") == CHANNEL_AXIS[data_format]:
            options["axis"] = -1
        links = {name: layer[name] for name in ("name", "inbound_nodes") if name in layer}
        layers.append({"class_name": kind, "config": options, **links})
    return {**config, "layers": layers}
