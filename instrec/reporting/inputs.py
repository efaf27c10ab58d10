"""What a report is made by: a digest of it tells whether a report is out of date."""

import settings
from instrec.common import storage

SOURCES = (*storage.SOURCES, "instrec/**/*.mplstyle", "experiments/**/*.toml")
BANNER = (
    "> **Out of date**: the sources or experiments have changed since this report was made; its "
    "numbers are those of before. `make report` makes it anew.\n\n"
)


def digest() -> str:
    """Digest of the sources, experiments and settings.

    Returns
    -------
    str
        Hexadecimal.
    """
    return storage.digest_of_sources(settings.ROOT, SOURCES)


def marked(text: str) -> str:
    """Return a report with the digest of what makes it now, as a comment.

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
    """Return a report with a banner above, if its sources have changed since.

    Parameters
    ----------
    text : str
        Of `marked`.

    Returns
    -------
    str
    """
    return text if digest() in text else BANNER + text
