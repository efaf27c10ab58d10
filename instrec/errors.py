"""The one class of errors that users can mend; the scripts print them as one line."""

import contextlib
import difflib
import sys
from collections.abc import Iterable, Iterator


class InputError(ValueError):
    """The user's input is wrong: the message says what was expected and found, and what to run.

    The scripts print it as one line and stop with exit code 1.
    """


@contextlib.contextmanager
def about(path: object) -> Iterator[None]:
    """Add the name of a file to the errors of the block that reads it.

    Parameters
    ----------
    path : Path or str
        The file.
    """
    try:
        yield
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def is_plain_name(name: object) -> bool:
    """Tell whether something can name a file or folder within a folder, and nothing outside it.

    Parameters
    ----------
    name : object
        The supposed name.

    Returns
    -------
    bool
    """
    is_text = isinstance(name, str) and bool(name) and name.isprintable()
    return is_text and not name.startswith(".") and not set(name) & set("/\\:")


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Suggest the known name that was probably meant; '' if none is similar.

    Parameters
    ----------
    name : str
        What was given.
    known : iterable of str
        The valid names.

    Returns
    -------
    str
    """
    close = difflib.get_close_matches(name, list(known), 1)
    return f": did you mean {close[0]!r}?" if close else ""


def _print_in_one_line(kind: type, error: BaseException, trace: object) -> None:
    if issubclass(kind, InputError):
        print(f"error: {error}", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)


# Mistakes in settings.py surface when a script imports it, before anything can catch them.
sys.excepthook = _print_in_one_line
