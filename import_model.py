#!/usr/bin/env python3
r"""Import a network saved by Keras 2, such as those the authors published, as a trained model.

  python3 import_model.py model_scratch_solo.json model_scratch_solo.hdf5 \
      --labels as,cl,ss,tb,tp,ts --name scratch_solo -d -2

Takes a structure (JSON) and weights (HDF5), with channels first or last, and the labels in the
order of the network's outputs: those of the data set, which also determines the features.
Writes to <MODEL_PATH>/<name>/ what train.py writes, without a history; predict.py, evaluate.py,
plot_attribution.py and compare_models.py take it with -m NAME (and -i 1) like any other. Its
training data are unknown: evaluate.py says so.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from instrec.common import command, storage
from instrec.config import Config
from instrec.errors import InputError
from instrec.learning import model_files, trained
from settings import OPTIMIZERS

if TYPE_CHECKING:
    import keras


def import_model(
    config: Config, structure: Path, weights: Path, labels: Sequence[str], name: str
) -> Path:
    """Import a network saved by Keras 2 as a trained model.

    Parameters
    ----------
    config : Config
        Data set, features, and the optimizer in the names of the files.
    structure, weights : Path
        JSON and HDF5.
    labels : sequence of str
        Those of the data set, in the order of the network's outputs.
    name : str
        Name of the model.

    Returns
    -------
    Path
        Folder of the model.

    Raises
    ------
    InputError
        If a file is damaged, the labels differ, the network takes other patches, or a model of
        that name exists.
    """
    if sorted(labels) != list(config.labels):
        raise InputError(
            f"expected --labels to be those of {config.data_set.title} in the order of the "
            f"outputs, {','.join(config.labels)}, found {','.join(labels)}"
        )
    optimizer = config.optimizer or "adam"
    named = config.changed({"name": name}, "--name")
    files = model_files.model_files(config, model_files.trained_name(named, name), optimizer)
    if files.run_record(0).exists():
        raise InputError(f"{files.run_record(0)} is there already: take another --name")
    from instrec.learning import callbacks, keras2

    network = keras2.read_network(structure, weights)
    recipe = {"data_set": config.key, "labels": list(config.labels), "model": name}
    recipe |= dataclasses.asdict(config.features)
    record = {
        "recipe": recipe,
        "folders": list(config.data_set.folders),
        "separated": config.data_set.source is not None,
        "trained_on": "unknown data, in the form",
        "settings": config.parameters() | {"test_overlap": config.overlap},
        "imported": {
            "structure": [structure.name, storage.digest_of_file(structure)],
            "weights": [weights.name, storage.digest_of_file(weights)],
        },
    }
    try:
        trained.check_shapes(network, record)
    except ValueError as error:
        raise InputError(f"{structure} does not fit {config.data_set.title}: {error}") from None
    order_outputs(network, [list(labels).index(label) for label in config.labels])
    with storage.lock(files.folder, f"models {name}", name=f"{name}."):
        storage.save(files.structure(0), network.to_json() + "\n")
        storage.save(files.best(0), callbacks.hdf5_of(network))
        record["weights"] = storage.digest_of_file(files.best(0))
        storage.save_json(files.run_record(0), record)
    print(f"{name}: {network.count_params():,} parameters, in {files.folder}")
    return files.folder


def order_outputs(network: "keras.Model", order: Sequence[int]) -> None:
    """Reorder the outputs of a network.

    Parameters
    ----------
    network : keras.Model
        Its last layer is changed.
    order : sequence of int
        Index of the old output for each new one.
    """
    last = network.layers[-1]
    if order != sorted(order):
        if type(last).__name__ != "Dense":
            raise InputError("expected a Dense layer at the end, to bring its labels into order")
        last.set_weights([array[..., order] for array in last.get_weights()])


def main(argv: Sequence[str] | None = None) -> None:
    """Import what the command line names.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments of the command line; those of this process by default.
    """
    parser = command.new_parser(__doc__)
    parser.add_argument("structure", type=Path, metavar="STRUCTURE.json")
    parser.add_argument("weights", type=Path, metavar="WEIGHTS.hdf5")
    parser.add_argument("--labels", required=True, metavar="A,B,...", help="in the outputs' order")
    parser.add_argument("--name", required=True, help="of the model")
    parser.add_argument("-o", "--optimizer", choices=OPTIMIZERS, help="in the files' names")
    arguments, config = command.parse(parser, argv)
    name, config = arguments.name, dataclasses.replace(config, name="")
    labels = [label.strip() for label in arguments.labels.split(",")]
    config = command.choose_data_set(config)
    import_model(config, arguments.structure, arguments.weights, labels, name)
    print(f"next: predict.py FILE -m {name} -o {config.optimizer or 'adam'} -d {config.dataset}")


if __name__ == "__main__":
    command.run(main)
