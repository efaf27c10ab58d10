"""Read a network that Keras 2 saved, such as those the authors published, into one of today.

Its structure is taken apart here and built anew, layer by layer, of the few kinds that networks on
spectrograms are made of: nothing in a file is run, and old layer configurations do not matter.
Networks with channels first become networks with channels last, which compute the same: kernels
are stored as height x width x in x out whatever the format.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from instrec.common import storage
from instrec.errors import InputError

if TYPE_CHECKING:
    import h5py
    import keras

MAX_UNITS = 2**16  # of a layer; more is damage, and would take all memory


def read_network(structure: Path, weights: Path) -> "keras.Model":
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
        If a file is missing or damaged, a layer is of another kind, or the weights are not those of
        the structure.
    """
    with storage.parsing(structure, "this with a file that Keras 2 wrote"):
        network = _build(json.loads(structure.read_text(encoding="utf-8"))["config"])
    with storage.parsing(weights, "this with a file that Keras 2 wrote"):
        _load(network, weights)
    return network


def _build(config: dict[str, Any]) -> "keras.Model":
    """Build a functional or sequential network from the `config` of its JSON."""
    from instrec.learning.backend import keras

    made: dict[str, Any] = {}
    previous = None
    for layer in config["layers"]:
        kind, name, options = layer["class_name"], layer["config"]["name"], layer["config"]
        if kind not in _LAYERS:
            raise InputError(f"expected layers among {', '.join(_LAYERS)}, found {kind} {name!r}")
        nodes = layer.get("inbound_nodes") or []
        sources = [made[link[0]] for link in nodes[0]] if nodes else [previous]
        if previous is None and kind != "InputLayer":  # a sequential network names no input
            shape = _channels_last(options["batch_input_shape"][1:], options)
            sources = [keras.Input(shape)]
            made["input"] = sources[0]
        made[name] = previous = _LAYERS[kind](keras.layers, options, sources)
    outputs = [made[link[0]] for link in config.get("output_layers", [])] or [previous]
    names = [link[0] for link in config.get("input_layers", [])]
    inputs = [made[name] for name in names] or [next(iter(made.values()))]
    return keras.Model(inputs if len(inputs) > 1 else inputs[0], outputs[0])


def _channels_last(shape: list[int], options: dict) -> tuple[int, ...]:
    """Shape of a patch with channels last; the format of an input layer is told by its size."""
    first = options.get("data_format") == "channels_first" or shape[0] < shape[-1]
    return (*shape[1:], shape[0]) if first and len(shape) == 3 else tuple(shape)


def _size(options: dict, name: str) -> int:
    value = options[name]
    if type(value) is not int or not 0 < value <= MAX_UNITS:
        raise ValueError(f"unexpected {name}: {value!r}")
    return value


def _input(layers: Any, options: dict, _: list) -> Any:  # noqa: ANN401
    shape = options.get("batch_input_shape") or options["batch_shape"]
    return layers.Input(_channels_last(shape[1:], options), name=options["name"])


def _convolution(layers: Any, options: dict, sources: list) -> Any:  # noqa: ANN401
    return layers.Conv2D(
        _size(options, "filters"),
        tuple(options["kernel_size"]),
        strides=tuple(options["strides"]),
        padding=options["padding"],
        activation=_activation(options),
        use_bias=options["use_bias"],
        name=options["name"],
    )(*sources)


def _dense(layers: Any, options: dict, sources: list) -> Any:  # noqa: ANN401
    units, name = _size(options, "units"), options["name"]
    return layers.Dense(
        units, activation=_activation(options), use_bias=options["use_bias"], name=name
    )(*sources)


def _pooling(layers: Any, options: dict, sources: list) -> Any:  # noqa: ANN401
    size, strides = tuple(options["pool_size"]), tuple(options["strides"])
    return layers.MaxPooling2D(size, strides, options["padding"], name=options["name"])(*sources)


def _activation(options: dict) -> str:
    name = options["activation"]
    if name not in ("linear", "relu", "sigmoid", "softmax", "tanh"):
        raise InputError(f"expected a plain activation in {options['name']!r}, found {name!r}")
    return name


# How each kind of layer is built: from keras.layers, its options, and what it is applied to.
_LAYERS: dict[str, Callable[[Any, dict, list], Any]] = {
    "InputLayer": _input,
    "Conv2D": _convolution,
    "Dense": _dense,
    "MaxPooling2D": _pooling,
    "ZeroPadding2D": lambda layers, options, sources: layers.ZeroPadding2D(
        tuple(map(tuple, options["padding"])), name=options["name"]
    )(*sources),
    "GlobalMaxPooling2D": lambda layers, options, sources: layers.GlobalMaxPooling2D(
        name=options["name"]
    )(*sources),
    "Activation": lambda layers, options, sources: layers.Activation(
        _activation(options), name=options["name"]
    )(*sources),
    "LeakyReLU": lambda layers, options, sources: layers.LeakyReLU(
        negative_slope=float(options["alpha"]), name=options["name"]
    )(*sources),
    "Dropout": lambda layers, options, sources: layers.Dropout(
        float(options["rate"]), name=options["name"]
    )(*sources),
    "Concatenate": lambda layers, options, sources: layers.Concatenate(name=options["name"])(
        sources
    ),
}


def _load(network: "keras.Model", path: Path) -> None:
    """Give each layer its arrays of the file, which are found by its name."""
    import h5py

    with h5py.File(path) as file:
        groups = file.get("model_weights", file)
        for layer in network.layers:
            wanted = [tuple(weight.shape) for weight in layer.weights]
            if not wanted:
                continue
            if not isinstance(groups.get(layer.name), h5py.Group):
                raise InputError(
                    f"{path} has no weights of the layer {layer.name!r}: is it of this network?"
                )
            arrays = _arrays_of(groups[layer.name])
            found = [array.shape for array in arrays]
            if found != wanted:
                raise InputError(
                    f"{path} is of another network: expected weights of the shapes {wanted} in "
                    f"{layer.name!r}, found {found}"
                )
            layer.set_weights(arrays)


def _arrays_of(group: "h5py.Group") -> list[np.ndarray]:
    """Return the arrays of a layer in the order that Keras gave them."""
    names = [n.decode() if isinstance(n, bytes) else n for n in group.attrs["weight_names"]]
    return [np.asarray(group[name], dtype=np.float32) for name in names]
