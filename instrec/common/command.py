"""What the scripts share on the command line: options, the menu of data sets, and plain errors."""

import argparse
import dataclasses
import errno
import importlib
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import settings
from instrec import config as configuration
from instrec.config import Config, full_name
from instrec.errors import InputError

# Scripts that resume where they were stopped.
RESUMING = ("render_dataset", "separate_sources", "generate_dataset", "train", "evaluate")
RESUMING += ("reproduce", "find_label_errors")
# By parameter of settings.py: its option, the name of its value and its help text.
OPTIONS = {
    "model": (
        "-m --model",
        "MODEL_NAME",
        "model_baseline, model_leaky, model_two_branch, model_multi_res, "
        "another module in models/, or a trained variant",
    ),
    "optimizer": ("-o --optimizer", None, "optimizer"),
    "class_weight": ("-c --class-weight", None, "weight classes by the inverse of their patches"),
    "nb_epochs": ("-e --epochs", "N", "maximum number of epochs"),
    "batch_size": ("-b --batch-size", "N", "patches per mini-batch"),
    "iter_num": ("-i --iterations", "N", "trainings from different random weights"),
    "transfer_from": (
        "--from",
        "KEY/MODEL.OPTIMIZER",
        "start from a trained model, such as irmas_wind_1024/model_leaky.adam, or from "
        "'pretrained', the included one",
    ),
    "transfer_passes": ("--passes", None, "1: train a new output layer only, 2: then all layers"),
    "transfer_output": (
        "--output",
        None,
        "the new output layer's activation; or 'kept': the old layer, for the same labels, and all "
        "layers train at once",
    ),
    "name": ("--name", "NAME", "name of the trained model, if not that of its network"),
}


def plain_parser(docstring: str) -> argparse.ArgumentParser:
    """Return a parser that shows the script's docstring as help.

    Parameters
    ----------
    docstring : str
        Docstring of the script.

    Returns
    -------
    argparse.ArgumentParser
    """
    return argparse.ArgumentParser(
        description=docstring, formatter_class=argparse.RawDescriptionHelpFormatter
    )


def new_parser(docstring: str) -> argparse.ArgumentParser:
    """Return a parser that shows the script's docstring as help and takes `-d` and `-x`.

    Parameters
    ----------
    docstring : str
        Docstring of the script.

    Returns
    -------
    argparse.ArgumentParser
    """
    parser = plain_parser(docstring)
    parser.add_argument(
        "-d",
        "--dataset",
        type=int,
        metavar="ID",
        help="data set, by its id in settings.py; without it, settings.dataset, "
        "and if that is None, a menu",
    )
    parser.add_argument(
        "-x",
        "--experiment",
        metavar="NAME",
        action="append",
        default=[],
        help="take parameters from a file of experiments/; they override settings.py, and other "
        "options override them",
    )
    return parser


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """Add the documented options that name a network or a trained model.

    Parameters
    ----------
    parser : argparse.ArgumentParser
        From `new_parser`.
    """
    _add(parser, "model", "optimizer")


def add_training_options(parser: argparse.ArgumentParser) -> None:
    """Add the options for training, most of which override settings.py for one run.

    Parameters
    ----------
    parser : argparse.ArgumentParser
        From `new_parser`.
    """
    group = parser.add_argument_group("training")
    _add(group, "class_weight", "nb_epochs", "batch_size")
    group.add_argument(
        "--overwrite", action="store_true", help="replace models trained with other settings"
    )


def add_transfer_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of transfer learning (thesis 5.9).

    Parameters
    ----------
    parser : argparse.ArgumentParser
        From `new_parser`.
    """
    group = parser.add_argument_group("transfer learning")
    _add(group, "transfer_from", "transfer_passes", "transfer_output", "name")


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that identify the trainings: how many, and of which split.

    Parameters
    ----------
    parser : argparse.ArgumentParser
        From `new_parser`.
    """
    _add(parser, "iter_num")
    share = f"share of the training data that trains (val_split, {settings.val_split})"
    parser.add_argument("-s", "--split", type=float, metavar="SHARE", help=share)


def _add(parser: argparse.ArgumentParser | argparse._ArgumentGroup, *parameters: str) -> None:
    """Add the options that override some parameters of settings.py."""
    for name in parameters:
        flags, metavar, text = OPTIONS[name]
        values = [value for value in settings.CHOICES.get(name, ()) if value is not None]
        now = getattr(settings, name)
        parser.add_argument(
            *flags.split(),
            dest=name,
            type=int if isinstance(now, int) else str,
            choices=values or None,
            metavar=metavar,
            help=text if now in (None, "") else f"{text} ({name}, {now})",
        )


def parse(
    parser: argparse.ArgumentParser, argv: Sequence[str] | None = None
) -> tuple[argparse.Namespace, Config]:
    """Read the command line.

    Parameters
    ----------
    parser : argparse.ArgumentParser
        From `new_parser`.
    argv : sequence of str, optional
        Command-line arguments; by default those of the script.

    Returns
    -------
    arguments : argparse.Namespace
        Values of the options.
    config : Config
        settings.py, overridden by each experiment of `-x`, then by the options named after
        parameters.

    Raises
    ------
    InputError
        If an experiment cannot be read, or a value is out of range.
    """
    arguments = parser.parse_args(argv)
    if arguments.experiment and getattr(arguments, "model", None) is not None:
        raise InputError("give -m or -x, not both: an experiment says which model")
    config = configuration.read()
    for name in arguments.experiment:
        from instrec import experiments  # rarely needed

        experiment = experiments.load(name)
        config = config.changed(experiment.parameters, experiment.source)
    given = [f"-x {shlex.quote(name)}" for name in arguments.experiment]
    if given and getattr(arguments, "dataset", None) is not None:
        given.append(f"-d {arguments.dataset}")
    config = dataclasses.replace(config, given=" ".join(given))
    known = config.parameters()
    options = {n: v for n, v in vars(arguments).items() if n in known and v is not None}
    return arguments, config.changed(options, "on the command line")


def choose_data_set(config: Config) -> Config:
    """Return the config with a data set; if none is chosen, a menu asks in the terminal.

    Parameters
    ----------
    config : Config
        Data set, paths and parameters.

    Returns
    -------
    Config

    Raises
    ------
    InputError
        If there is no terminal to ask, or no such data set.
    """
    if config.dataset is None:
        if not sys.stdin.isatty():
            raise InputError("no data set is chosen: give -d ID, or set `dataset` in settings.py")
        config = config.changed({"dataset": _ask()}, "the menu")
    _ = config.data_set  # raises if there is none
    return config


def _ask() -> int:
    print("Data sets:")
    for id_, data_set in settings.DATA_SETS.items():
        source = f", separated from {data_set.source}" if data_set.source else ""
        model = f" (only with {data_set.model})" if data_set.model else ""
        print(f"  [{id_:2}] {data_set.title}: {len(data_set.labels)} labels{source}{model}")
    answer = ""
    try:
        answer = input("Select the data set: ")
        return int(answer)
    except (ValueError, EOFError):
        raise InputError(f"expected the number of a data set, found {answer!r}") from None


def positive(name: str, value: int) -> int:
    """Refuse a count below 1.

    Parameters
    ----------
    name : str
        What is counted, for the message.
    value : int
        What was found.

    Returns
    -------
    int

    Raises
    ------
    InputError
        If it is below 1.
    """
    if value < 1:
        raise InputError(f"expected {name} to be 1 or more, found {value}")
    return value


def print_any_name() -> None:
    """Let this process print file names with characters that the terminal lacks."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # not in a notebook, nor if it is closed
            stream.reconfigure(errors="backslashreplace")


def run(main: Callable[[], None]) -> None:
    """Run a script's `main`; an error that users can mend ends it with one line and exit code 1.

    Parameters
    ----------
    main : callable
        Takes no arguments.
    """
    print_any_name()
    started = sys.modules["__main__"]
    script = getattr(started, "__file__", None)
    if script and (main.__module__, main.__name__) == ("__main__", "main"):
        # Imported as a module, so that other processes find what the script defines.
        name = started.__spec__.name if started.__spec__ else Path(script).stem  # of -m, or a file
        main = importlib.import_module(name).main
    try:
        main()
    except InputError as error:
        sys.exit(f"error: {error}")
    except BrokenProcessPool:
        sys.exit("error: a worker process was killed, perhaps for lack of memory; run again")
    except MemoryError:
        sys.exit("error: not enough memory; end other programs, or take a smaller batch: -b")
    except KeyboardInterrupt:
        goes_on = main.__module__ in RESUMING
        more = ": the same command goes on from here" if goes_on else ""
        print(f"\nstopped{more}", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:  # the reader of a pipe, such as head, has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        sys.exit(f"error: {system_error(error)}")


def system_error(error: OSError) -> str:
    """Say in one line what the system refused, and what can be done.

    Parameters
    ----------
    error : OSError
        What was raised.

    Returns
    -------
    str
    """
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        where = f" while writing {error.filename}" if error.filename else ""
        return f"the disk is full{where}; free some space and run the same again"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return (
            f"no permission for {error.filename}: change that, or choose other folders with "
            "INSTREC_DATA_PATH, INSTREC_FEATURE_PATH and INSTREC_MODEL_PATH"
        )
    return str(error)


def progress(*args: Any, **kwargs: Any) -> "tqdm.tqdm":  # noqa: ANN401, F821
    """Return a tqdm bar; outside a terminal, it prints a line now and then.

    Returns
    -------
    tqdm.tqdm
    """
    import tqdm

    interval = 0.1 if sys.stderr.isatty() else 30  # seconds
    return tqdm.tqdm(*args, mininterval=interval, leave=None, dynamic_ncols=True, **kwargs)


def print_table(header: tuple[str, ...], rows: list[tuple], *, text_last: bool = False) -> None:
    """Print rows under a header: the first column left-aligned, the others right-aligned.

    Labels in the first column are shown by their full names.

    Parameters
    ----------
    header : sequence of str
        One per column.
    rows : sequence of sequence of str
        The cells of each row.
    text_last : bool
        Whether the last column is left-aligned, too, and may be long.
    """
    rows = [(full_name(str(first)), *others) for first, *others in rows]
    cells = [tuple(map(str, row)) for row in (header, *rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        first, *others = [cell.rjust(width) for cell, width in zip(row, widths, strict=True)]
        shown = [row[0].ljust(len(first)), *others]
        if text_last:
            shown[-1] = row[-1]
        print("  ".join(shown))
