"""Which network fits which data set, and what makes a trained model a variant of its network."""

from typing import TYPE_CHECKING, Any

import models
from instrec.common import storage
from instrec.config import Config
from instrec.errors import InputError
from instrec.learning import model_files, trained
from settings import DATA_SETS, DataSet

if TYPE_CHECKING:
    import keras

# Parameters that distinguish a variant from its network's plain model.
VARIANT = ("split_by", "balanced", "patience", "class_weight", "standardise")
VARIANT += ("learning_rate", "alpha", "schedule", "augmentation", "precision")
VARIANT += ("transfer_from", "transfer_passes", "transfer_learning_rate", "transfer_output")


def variant_of(
    config: Config, name: str, optimizer: str, split: float | None = None
) -> tuple[str | None, dict[str, Any]]:
    """Return the network of a trained model, and the parameters that distinguish the variant.

    Those come from the record of its training.

    Parameters
    ----------
    config : Config
        Names the data set.
    name, optimizer : str
        The trained model.
    split : float, optional
        Share used to train it; if none was trained with that, the one of `val_split` counts.

    Returns
    -------
    network : str or None
        Of a model that is not trained, the network of that name, or else that of `config`.
    parameters : dict
        By name; empty if the model is not trained. With the numbers of epochs and of patches per
        batch, which do not distinguish a variant.
    """
    files = model_files.model_files(config, name, optimizer, split)
    if not files.run_record(0).exists():
        files = model_files.model_files(config, name, optimizer)
    path = files.run_record(0)
    if not path.exists():
        return (name if name in models.model_names() else config.model), {}
    remedy = f"the training of {name} again, with --overwrite"
    record = trained.load_record(files, 0, remedy, "recipe", "settings")
    with storage.parsing(path, remedy):
        recipe = record["recipe"]
        sizes = {n: recipe[n] for n in ("nb_epochs", "batch_size") if n in recipe}
        return recipe["model"], {n: record["settings"][n] for n in VARIANT} | sizes


def check_pair(model_name: str, data_set: DataSet) -> None:
    """Refuse a network that does not fit the data set, by name.

    Parameters
    ----------
    model_name : str
        Of a network.
    data_set : DataSet
        A row of DATA_SETS.

    Raises
    ------
    InputError
        If the data set needs another network, or the network another data set.
    """
    if data_set.model and model_name != data_set.model:
        raise InputError(f"{data_set.title} must be used with {data_set.model}, not {model_name}")
    fitting = [f"{id_} ({row.title})" for id_, row in DATA_SETS.items() if row.model == model_name]
    if fitting and data_set.model != model_name:
        raise InputError(
            f"{model_name} does not fit {data_set.title}: use it with data set "
            f"{' or '.join(fitting)}"
        )


def structure_of(model: "keras.Model") -> list:
    """Describe the layers of a network, without the names that Keras numbers afresh each time.

    Parameters
    ----------
    model : keras.Model
        The network.

    Returns
    -------
    list
        Class and plain options of each layer, as JSON can hold them.
    """
    plain = int | float | str | bool | list | tuple | None
    return [
        (
            type(layer).__name__,
            {n: v for n, v in layer.get_config().items() if isinstance(v, plain) and n != "name"},
        )
        for layer in model.layers
    ]


def check_model(config: Config, name: str) -> None:
    """Refuse a network that does not fit the data set, or a variant that nobody has trained.

    Parameters
    ----------
    config : Config
        Names the data set.
    name : str
        Of a network or a trained model.

    Raises
    ------
    InputError
        Naming what there is.
    """
    if name in models.model_names():
        check_pair(name, config.data_set)
    elif name != config.name and not (config.model_folder / name).is_dir():
        raise InputError(
            f"expected a model among {', '.join(models.model_names())} or a trained one in "
            f"{config.model_folder}, found {name!r}"
        )
