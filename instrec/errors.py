"""What the user can mend is one kind of error, which the scripts print as one line."""


class InputError(ValueError):
    """Something the user gave is wrong: the message says what was expected, found and what to run.

    The scripts print it as one line and stop with exit code 1.
    """


def is_plain_name(name: object) -> bool:
    """Tell whether something names a file or folder within a folder, and nothing outside of it."""
    is_text = isinstance(name, str) and bool(name) and name.isprintable()
    return is_text and not name.startswith(".") and not set(name) & set("/\\:")
