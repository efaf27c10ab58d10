#!/usr/bin/env python3
"""Export a trained model for other programs: as ONNX, or for LiteRT (TensorFlow Lite).

  python3 export_model.py --format onnx --to exported/                    the included model
  python3 export_model.py -m model_leaky -o adam -d 1 --format tflite --to exported/

Writes one network, <model>.onnx or <model>.tflite, that averages all finished trainings and takes
plain log-mel patches: standardisation is built in. Beside it go <model>.json (labels, feature
parameters, thresholds) and, if it hears recordings as they are, example.py, which recognises one
with only librosa and the network. Needs: pip install -r requirements-export.txt. The outputs for
random patches are compared with Keras'; a difference above 1e-5 is an error.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from instrec.common import command, storage
from instrec.errors import InputError
from instrec.learning import model_files
from instrec.scoring import metrics
from instrec.scoring.recognition import Recogniser

if TYPE_CHECKING:
    import keras

TOLERANCE = 1e-5
EXAMPLE = Path(__file__).with_name("docs") / "export_example.py"


def joined(recogniser: Recogniser) -> "keras.Model":
    """Join all trainings in one network: standardise, predict, average.

    Parameters
    ----------
    recogniser : Recogniser
        The model.

    Returns
    -------
    keras.Model
        Inputs, log-mel patches, are called input_0 and, if there are two, input_1.
    """
    from instrec.learning.backend import keras

    shape = recogniser.parameters.patch_shape
    inputs = [keras.Input(shape, name=f"input_{i}") for i in range(len(recogniser.folders))]
    x = inputs
    pairs = recogniser.means_and_stds
    if pairs is not None:
        x = [standardised(y, *pair) for y, pair in zip(inputs, pairs, strict=True)]
    x = x if len(x) > 1 else x[0]
    for number, network in enumerate(recogniser.networks):
        network.name = f"training_{number}"  # in one network, each needs a name of its own
    outputs = [network(x) for network in recogniser.networks]
    output = keras.layers.Average()(outputs) if len(outputs) > 1 else outputs[0]
    return keras.Model(inputs, output, name=recogniser.files.model)


def standardised(x: "keras.KerasTensor", mean: np.ndarray, std: np.ndarray) -> "keras.KerasTensor":
    """Standardise each cell of patches by batch normalisation.

    Constants of Keras' Normalization would become extra inputs in ONNX; weights do not.

    Parameters
    ----------
    x : keras.KerasTensor
        Patches.
    mean, std : np.ndarray [shape=(mel bands, frames, channels)]
        Of each cell.

    Returns
    -------
    keras.KerasTensor
    """
    from instrec.learning.backend import keras

    layer = keras.layers.BatchNormalization(epsilon=0, center=False, scale=False)
    y = layer(keras.layers.Reshape((mean.size,))(x))
    layer.set_weights([mean.ravel(), np.square(std).ravel()])
    return keras.layers.Reshape(mean.shape)(y)


def outputs_of(path: Path, kind: str, inputs: Sequence[np.ndarray]) -> np.ndarray:
    """Return the outputs of an exported network for patches, fed to its inputs by name.

    Parameters
    ----------
    path : Path
        The network.
    kind : {'onnx', 'tflite'}
        Format.
    inputs : sequence of np.ndarray [shape=(patches, mel bands, frames, channels)]
        In the order of the inputs' names.

    Returns
    -------
    np.ndarray [shape=(patches, labels)]
    """
    if kind == "onnx":
        import onnxruntime

        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        return session.run(None, {f"input_{i}": x for i, x in enumerate(inputs)})[0]
    from ai_edge_litert.interpreter import Interpreter

    run = Interpreter(str(path)).get_signature_runner()
    rows = [
        run(**{f"input_{i}": x[row : row + 1] for i, x in enumerate(inputs)})
        for row in range(len(inputs[0]))
    ]
    return np.concatenate([next(iter(row.values())) for row in rows])


def export(recogniser: Recogniser, kind: str, folder: Path) -> tuple[Path, float]:
    """Write a model for other programs, and compare it with Keras.

    Parameters
    ----------
    recogniser : Recogniser
        The model.
    kind : {'onnx', 'tflite'}
        Format.
    folder : Path
        Where to write.

    Returns
    -------
    path : Path
        The network.
    difference : float
        Largest difference from Keras' outputs.

    Raises
    ------
    InputError
        If a package is missing, or the outputs differ.
    """
    network = joined(recogniser)
    path = folder / f"{recogniser.files.model}.{kind}"
    shape = (8, *recogniser.parameters.patch_shape)
    rng = np.random.default_rng(0)
    inputs = [rng.normal(-3, 2, shape).astype(np.float32) for _ in network.inputs]
    wanted = network.predict(inputs, verbose=0)  # Keras exports only what has been called
    try:
        with storage.whole(path) as partial:
            network.export(partial, format={"tflite": "litert"}.get(kind, kind), verbose=False)
            difference = float(np.abs(outputs_of(partial, kind, inputs) - wanted).max())
            if not difference <= TOLERANCE:
                raise InputError(f"outputs as {kind} differ by {difference:.1e} from Keras'")
    except ImportError as error:
        what, how = error.name or error, "pip install -r requirements-export.txt"
        raise InputError(f"{what} is missing: run {how}") from None
    storage.save_json(
        folder / f"{recogniser.files.model}.json",
        {
            "labels": list(recogniser.labels),
            "features": dataclasses.asdict(recogniser.parameters),
            "step": recogniser.step,
            "inputs": recogniser.folders,
            "thresholds": recogniser.thresholds.tolist(),
            "strategy": recogniser.strategy,
            "window": metrics.S2_WINDOW,
            "hop": metrics.S2_HOP,
            "weights": [record["weights"] for record in recogniser.records],
        },
    )
    if hears_recordings(recogniser):
        storage.save(folder / "example.py", EXAMPLE.read_bytes())
    return path, difference


def hears_recordings(recogniser: Recogniser) -> bool:
    """Tell whether the network's one input is of recordings as they are, not separated.

    Parameters
    ----------
    recogniser : Recogniser
        The model.

    Returns
    -------
    bool
    """
    return len(recogniser.folders) == 1 and not recogniser.is_separated


def main(argv: Sequence[str] | None = None) -> None:
    """Export the model that the command line names.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments of the command line; those of this process by default.
    """
    parser = command.new_parser(__doc__)
    command.add_model_options(parser)
    parser.add_argument("--format", choices=("onnx", "tflite"), default="onnx", help="(onnx)")
    parser.add_argument(
        "--to", type=Path, default=Path("exported"), metavar="DIR", help="(exported)"
    )
    arguments, config = command.parse(parser, argv)
    recogniser = Recogniser(model_files.to_recognise_with(config, arguments))
    recogniser.warn_of_untrained()
    path, difference = export(recogniser, arguments.format, arguments.to)
    more = f"inputs are patches of {', '.join(recogniser.folders)}"
    if hears_recordings(recogniser):
        more = "example.py beside it recognises a recording with it"
    size = path.stat().st_size / 1e6
    print(f"{path}: {size:.1f} MB, outputs within {difference:.1e} of Keras'; {more}")


if __name__ == "__main__":
    command.run(main)
