"""What the plotting scripts share: which results to plot, their titles, and where figures go."""

import argparse
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import settings
from instrec.common import command, storage
from instrec.errors import InputError, is_plain_name
from instrec.figures import drawing as figures
from instrec.learning import model_files as results

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def new_parser(docstring: str) -> argparse.ArgumentParser:
    """Return the parser of a plotting script: `-m`, `-o` and `-d`, or `--folder`."""
    parser = command.new_parser(docstring)
    command.add_model_options(parser)
    parser.add_argument(
        "--folder",
        type=Path,
        metavar="DIR",
        help="a folder <MODEL_PATH>/<model_name>, instead of -m and -d",
    )
    return parser


def find_results(
    arguments: argparse.Namespace, ending: str, remedy: str
) -> Iterator[tuple[results.ModelFiles, str]]:
    """Find the results to plot, one network and optimizer after the other.

    Parameters
    ----------
    arguments : argparse.Namespace
        Of `new_parser`. Without an optimizer, all of a folder are plotted.
    ending : str
        How the names of the files end after `<model>.<optimizer>` and maybe the iteration.
    remedy : str
        The command that makes the results, without the options that name the model.

    Yields
    ------
    files : ModelFiles
        Where its files are.
    remedy : str
        The whole command that makes its results.

    Raises
    ------
    InputError
        If no model is named, or nothing is there.
    """
    folder, model, optimizer = arguments.folder, arguments.model, settings.optimizer
    if folder is None:
        if model is None and settings.model is None:
            raise InputError(
                "which model? give -m MODEL_NAME (with -o OPTIMIZER and -d ID), -x with an "
                "experiment, or --folder DIR, a folder of results"
            )
        if model is None:
            model = results.result_name(results.trained_name(settings.model))
        if not is_plain_name(model):
            raise InputError(f"expected the name of a model, found {model!r}")
        folder = command.select_data_set().model_path / model
    folder = folder.resolve()
    pattern = re.compile(
        rf"({re.escape(model or '') or '.+'})\.({optimizer or '[a-z]+'})\d*\.{re.escape(ending)}"
    )
    names = (pattern.fullmatch(path.name) for path in folder.glob(f"*.{ending}"))
    found = sorted({name.groups() for name in names if name})
    if not found:
        wanted = f"{model or folder.name}.{optimizer or '<optimizer>'}*.{ending}"
        missing = _remedy(remedy, folder, model or folder.name, optimizer or "<adam|sgd>")
        raise InputError(f"expected {folder / wanted}, found nothing: run {missing}")
    for model_, optimizer_ in found:
        files = results.ModelFiles(folder, model_, optimizer_)
        yield files, _remedy(remedy, folder, model_, optimizer_)


def heading(files: results.ModelFiles) -> str:
    """Name a data set, a network and its optimizer, for the title of a figure."""
    key = files.folder.parent.name
    return f"{_titles().get(key, key)} · {files.model} · {files.optimizer}"


def origin(content: dict) -> str:
    """Say in a title what the scores of a result of evaluate.py are of."""
    return f"{content['half']}, {content['clips']} clips, {runs(content['iterations'])}"


def runs(count: int) -> str:
    """Say in a title over how many iterations a mean is, in one unbroken piece."""
    spread = "1 run" if count == 1 else f"mean ± deviation of {count} runs"
    return spread.replace(" ", "\N{NO-BREAK SPACE}")


def save_all(files: results.ModelFiles, drawn: Mapping[str, "Figure"]) -> None:
    """Save the figures of a model by their names, and print where they are."""
    with storage.lock(files.figure("").parent, "figures"):
        for name, figure in drawn.items():
            png, pdf = figures.save(figure, files.figure(name))
            print(f"figure: {png} (and {pdf.suffix})")


def _titles() -> dict[str, str]:
    return {data_set.key: data_set.title for data_set in settings.DATA_SETS.values()}


def _remedy(command_: str, folder: Path, model: str, optimizer: str) -> str:
    key = folder.parent.name
    id_ = next((i for i, data_set in settings.DATA_SETS.items() if data_set.key == key), "<ID>")
    return f"python3 {command_} -m {model} -o {optimizer} -d {id_}"
