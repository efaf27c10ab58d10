"""What a report is made from: a digest of it tells whether the report is out of date."""

import ast
import io
import tokenize
from pathlib import Path

import settings
from instrec.common import storage

SOURCES = (*storage.SOURCES, "instrec/**/*.mplstyle", "experiments/**/*.toml")
BANNER = (
    "> **Out of date**: the sources or experiments have changed since this report was made; its "
    "numbers are older. `make report` makes it again.\n\n"
)


def digest() -> str:
    """Digest of the sources, experiments and settings; docstrings and comments do not count.

    Returns
    -------
    str
        Hexadecimal.
    """
    return storage.digest_of_sources(settings.ROOT, SOURCES, content=_content)


def _content(path: Path) -> str:
    text = path.read_text(encoding="utf-8")
    return code_of(text) if path.suffix == ".py" else text


def code_of(text: str) -> str:
    """Return a Python source without its docstrings, comments and blank lines.

    Parameters
    ----------
    text : str
        Source of a module.

    Returns
    -------
    str

    Examples
    --------
    >>> code_of("alpha = 0.33  # slope below zero")
    'alpha = 0.33'
    """
    lines = text.splitlines()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column]
    for node in ast.walk(ast.parse(text)):
        kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
        if isinstance(node, kinds) and ast.get_docstring(node) is not None:
            first, last = node.body[0].lineno, node.body[0].end_lineno
            lines[first - 1 : last] = [""] * (last - first + 1)
    return "\n".join(filter(None, map(str.rstrip, lines)))


def marked(text: str) -> str:
    """Return a report with the current digest appended as a comment.

    Parameters
    ----------
    text : str
        Markdown.

    Returns
    -------
    str
    """
    return f"{text}\n<!-- made by the sources {digest()} -->\n"


def with_banner(text: str) -> str:
    """Return a report, under a banner if its sources have since changed.

    Parameters
    ----------
    text : str
        From `marked`.

    Returns
    -------
    str
    """
    return text if digest() in text else BANNER + text
