"""What the plotting scripts share: which results to plot, their titles, and where figures go."""

import argparse
import dataclasses
import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from instrec.common import command, storage
from instrec.config import ENSEMBLE, HALVED_BY, RESULT_PREFIXES, Config, data_set_of
from instrec.errors import InputError, is_plain_name
from instrec.figures import style
from instrec.learning import model_files
from instrec.learning.model_files import ModelFiles

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def run(
    docstring: str,
    ending: str,
    remedy: str,
    plot: Callable[[ModelFiles, str], None],
    argv: Sequence[str] | None,
) -> None:
    """Act as the `main` of a plotting script: plot what the command line names.

    Parameters
    ----------
    docstring : str
        Of the script.
    ending : str
        Ending of the file names, after `<model>.<optimizer>` and perhaps the training.
    remedy : str
        The command that makes the results, without the options that name the model.
    plot : callable
        Plots a model, given its files and the whole command that makes its results.
    argv : sequence of str, optional
        Arguments of the script.

    Raises
    ------
    InputError
        If no model is named, or nothing is there.
    """
    parser = command.new_parser(docstring)
    command.add_model_options(parser)
    parser.add_argument(
        "--folder",
        type=Path,
        metavar="DIR",
        help="a folder <MODEL_PATH>/<model_name>, instead of -m and -d",
    )
    arguments, config = command.parse(parser, argv)
    for files in _find_results(config, arguments, ending, remedy):
        plot(files, _remedy(remedy, config, files.folder, files.model, files.optimizer))


def _find_results(
    config: Config, arguments: argparse.Namespace, ending: str, remedy: str
) -> Iterator[ModelFiles]:
    """Yield the files of each model asked for; without an optimizer, all in the folder."""
    folder, model, optimizer = arguments.folder, arguments.model, config.optimizer
    if folder is None:
        if model is None and config.model is None:
            raise InputError(
                "which model? give -m MODEL_NAME (with -o OPTIMIZER and -d ID), -x with an "
                "experiment, or --folder DIR, a folder of results"
            )
        if model is None:
            model = model_files.trained_name(config, config.model)
        if ending != "run.json" and not model.startswith(RESULT_PREFIXES):  # made by evaluate.py
            model = config.result_name(model)
        if not is_plain_name(model):
            raise InputError(f"expected the name of a model, found {model!r}")
        folder = command.choose_data_set(config).model_folder / model
    folder = folder.resolve()
    pattern = re.compile(
        rf"({re.escape(model or '') or '.+'})\.({optimizer or '[a-z]+'})\d*\.{re.escape(ending)}"
    )
    names = (pattern.fullmatch(path.name) for path in folder.glob(f"*.{ending}"))
    found = sorted({name.groups() for name in names if name})
    if not found:
        if model is None:
            is_apart = folder.name.startswith(("split_", "confusion_", "fold_"))
            model = folder.parent.name if is_apart else folder.name
        wanted = f"{model}.{optimizer or '<optimizer>'}*.{ending}"
        missing = _remedy(remedy, config, folder, model, optimizer or "<adam|sgd>")
        hint = ""
        if beside := sorted(folder.glob(f"split_*/*.{ending}")):
            place = shlex.quote(str(beside[0].parent))
            hint = f"; that of another split is plotted by --folder {place}"
        raise InputError(f"expected {folder / wanted}, found nothing: run {missing}{hint}")
    for names in found:
        yield ModelFiles(folder, *names)


def heading(files: ModelFiles) -> str:
    """Name a data set, a network and its optimizer, for the title of a figure.

    Parameters
    ----------
    files : ModelFiles
        The trained model.

    Returns
    -------
    str
    """
    key, apart = _place_of(files.folder, files.model)
    return " · ".join([data_set_of(key)[1], files.model, files.optimizer, *apart])


def origin(content: dict, counted: str = "clips") -> str:
    """Say for a title what a result of evaluate.py was scored on.

    Parameters
    ----------
    content : dict
        A result of evaluate.py.
    counted : {'clips', 'patches'}
        What was scored.

    Returns
    -------
    str
    """
    number, members = content[counted], len(content["recipe"]["weights"])
    spread = trainings(content["iterations"])
    if content["iterations"] < members:  # an ensemble
        spread = f"averaged outputs of {members} trainings"
    return f"{content['half']}, {number:,} {counted}, {spread}"


def trainings(count: int) -> str:
    """Say for a title how many trainings a mean is over, without line breaks.

    Parameters
    ----------
    count : int
        Number of trainings.

    Returns
    -------
    str
    """
    spread = "1 training" if count == 1 else f"mean ± deviation of {count} trainings"
    return spread.replace(" ", "\N{NO-BREAK SPACE}")


def save_all(files: ModelFiles, drawn: Mapping[str, "Figure"]) -> None:
    """Save the figures of a model by their names, and print where they are.

    Parameters
    ----------
    files : ModelFiles
        The trained model.
    drawn : mapping of str to Figure
        Figures by name.
    """
    with storage.lock(files.figure("").parent, "figures"):
        for name, figure in drawn.items():
            style.save(figure, files.figure(name))


def _remedy(script: str, config: Config, folder: Path, model: str, optimizer: str) -> str:
    key, apart = _place_of(folder, model)
    id_, _ = data_set_of(key)
    names = model
    for prefix in RESULT_PREFIXES:
        names = names.removeprefix(prefix)
    trains = script == "train.py"
    if ENSEMBLE in model and "+" not in names and not trains:
        script += " --ensemble"
    names = names.split("+")[0] if trains else names
    is_held_out = bool(apart) and apart[0].startswith("confusion_")
    script = "evaluate.py -O 1" if trains and is_held_out else script
    split = f" -s {apart[0].removeprefix('split_')}" if apart and "split_" in apart[0] else ""
    halved = [f", with halve_by = {by!r}" for by, x in HALVED_BY.items() if x and x in model]
    halved = [] if config.given else halved  # the experiment says so
    command_ = dataclasses.replace(config, dataset=id_).command(script, names, optimizer)
    found = f"{command_}{split}{''.join(halved)}"
    return model_files.how_to_train(names, found) if trains and not config.given else found


def _place_of(folder: Path, model: str) -> tuple[str, list[str]]:
    """Return a folder's result key, and its own name if it is a subfolder of the model's."""
    apart = [] if folder.name == model else [folder.name]
    return (folder.parent if apart else folder).parent.name, apart
