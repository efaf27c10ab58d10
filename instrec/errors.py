"""What the user can mend is one kind of error, which the scripts print as one line."""

import contextlib
import difflib
import sys
from collections.abc import Iterable, Iterator


class InputError(ValueError):
    """Something the user gave is wrong: the message says what was expected, found and what to run.

    The scripts print it as one line and stop with exit code 1.
    """


@contextlib.contextmanager
def about(path: object) -> Iterator[None]:
    """Name a file in the errors of a block that reads it.

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
    """Tell whether something names a file or folder within a folder, and nothing outside of it.

    Parameters
    ----------
    name : object
        What should be a name.

    Returns
    -------
    bool
    """
    is_text = isinstance(name, str) and bool(name) and name.isprintable()
    return is_text and not name.startswith(".") and not set(name) & set("/\\:")


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Ask whether a name was a slip for one that is known; '' if it is like none.

    Parameters
    ----------
    name : str
        What was given.
    known : iterable of str
        What can be.

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


# What is wrong in settings.py shows when a script imports it, before there is anything to catch it.
sys.excepthook = _print_in_one_line
