"""The shared middle of the scripts: features, splits, metrics, files and the command line."""


class InputError(ValueError):
    """Something the user gave is wrong: the message says what was expected, found and what to run.

    The scripts print it as one line and stop with exit code 1.
    """
