"""The table of SoundFonts that take turns: where each is, and what it is used for."""

import hashlib
import tomllib
from collections.abc import Callable, Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from instrec.common import storage
from instrec.errors import InputError
from rendering import music
from rendering.synthesis import file_of


class Bank(NamedTuple):
    """A SoundFont: its file or folder, and the labels left to others."""

    path: Path
    without: frozenset[str] = frozenset()


def default_soundfont() -> Path:
    """Find the SoundFont that pretty_midi carries, without importing it.

    Returns
    -------
    Path

    Raises
    ------
    InputError
        If pretty_midi is not installed.
    """
    package = find_spec("pretty_midi")
    if package is None:
        raise InputError(
            "pretty_midi, which carries a SoundFont, is missing: pip install pretty_midi"
        )
    return Path(package.origin).with_name("TimGM6mb.sf2")


def turn_of(banks: Sequence[Bank], turn: int, labels: Iterable[str]) -> Path:
    """Return the SoundFont whose turn it is among those that play all labels.

    Parameters
    ----------
    banks : sequence of Bank
        In the order in which they take turns.
    turn : int
        Number of the recording.
    labels : iterable of str
        Its labels.

    Returns
    -------
    Path

    Raises
    ------
    InputError
        If none plays them all.
    """
    fit = [bank.path for bank in banks if bank.without.isdisjoint(labels)]
    if not fit:
        raise InputError(f"no SoundFont is left that plays {' and '.join(labels)}")
    return fit[turn % len(fit)]


def digest_of(soundfont: Path, labels: Iterable[str]) -> str:
    """Return the SHA-256 of a SoundFont; for a bank of one file per program, of those played.

    Parameters
    ----------
    soundfont : Path
        File or folder.
    labels : iterable of str
        Of the leads that it plays.

    Returns
    -------
    str
        64 hexadecimal digits.

    Raises
    ------
    InputError
        If a file of the bank is missing.
    """
    if not soundfont.is_dir():
        return storage.digest_of_file(soundfont)
    files = [file_of(soundfont, program) for program in (*music.programs_played(labels), None)]
    content = "".join(path.name + storage.digest_of_file(path) for path in files)
    return hashlib.sha256(content.encode()).hexdigest()


def read_table(
    path: Path, labels: Sequence[str], say: Callable[[str], object] = print
) -> list[Bank]:
    """Read a table of banks (pretrained/banks.toml explains it); missing ones are left out.

    Parameters
    ----------
    path : Path
        The TOML file; paths in it are relative to its folder.
    labels : sequence of str
        Of the leads.
    say : callable
        Called with each line on what is left out and how to get it.

    Returns
    -------
    list of Bank

    Raises
    ------
    InputError
        If the table cannot be read, or no bank is there.
    """
    banks, missing = [], {}
    with storage.parsing(path, f"git checkout {path}"):
        table = tomllib.loads(path.read_text(encoding="utf-8"))
        sources, rows = table["sources"], table["banks"]
        for name, row in rows.items():
            source = sources[row["source"]]
            place = path.parent / row["path"] if row.get("path") else default_soundfont()
            if not place.exists():
                missing.setdefault(source["get"], []).append(name)
            elif (found := digest_of(place, labels)) != row["sha256"]:
                say(f"left out: {place}: expected SHA-256 {row['sha256'][:16]}, found {found[:16]}")
            else:
                bank = Bank(place.resolve(), frozenset(row.get("without", ())))
                banks += [bank] * row.get("turns", 1)
    for get, names in missing.items():
        say(f"left out, not there: {', '.join(names)}. To get it: {get}")
    if not banks:
        raise InputError(f"none of the SoundFonts of {path} is there")
    return banks
