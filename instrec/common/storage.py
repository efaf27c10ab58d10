"""Files that appear whole or not at all, say what made them, and never carry code.

Each is written under another name beside its place, then renamed. No pickle is written or read.
"""

import contextlib
import hashlib
import io
import json
import mmap
import os
import platform
import shutil
import struct
import subprocess
import sys
import threading
import tokenize
import weakref
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import settings
from instrec.errors import InputError

SOURCES = ("*.py", "instrec/**/*.py", "models/*.py", "rendering/*.py", "separation/*.py")
PARTIAL = ".partial"  # marks the name of a file that is still being written


@contextlib.contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Yield a path to write to; it replaces `path` if the block ends without error.

    Parameters
    ----------
    path : Path
        The file.

    Yields
    ------
    Path
        Where to write: beside the file, with the same suffix.
    """
    with whole_set(path) as (partial,):
        yield partial


@contextlib.contextmanager
def whole_set(*paths: Path) -> Iterator[list[Path]]:
    """Yield a path to write to for each of `paths`; they replace those once all are on the disk.

    Yields
    ------
    list of Path
        Where to write, one for each of `paths`.
    """
    # The suffix stays last, for writers that choose the format by it.
    partials = [path.with_name(f".{_short(path.stem)}{PARTIAL}{path.suffix}") for path in paths]
    try:
        for path, partial in zip(paths, partials, strict=True):
            path.parent.mkdir(parents=True, exist_ok=True)
            partial.unlink(missing_ok=True)  # a link would lead elsewhere
        with naming(paths[0] if len(paths) == 1 else paths[0].parent):
            yield partials
            for partial in partials:
                with partial.open("rb+") as file:
                    os.fsync(file.fileno())
        for path, partial in zip(paths, partials, strict=True):
            partial.replace(path)
    finally:
        for partial in partials:
            partial.unlink(missing_ok=True)


def _short(stem: str) -> str:
    """Return a stem, or its digest if it is long: a file name has at most 255 bytes."""
    return stem if len(os.fsencode(stem)) < 200 else digest_of(stem)[:32]


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Name the file whose write failed: system errors, such as a full disk, name none.

    Parameters
    ----------
    path : Path
        What is written.
    """
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(path)
        raise


@contextlib.contextmanager
def lock(path: Path, what: str, *, name: str = "", wait: float = 0) -> Iterator[None]:
    """Hold `path` for this process; a second run of the same step is refused.

    The operating system drops the lock when the process ends, however it ends.

    Parameters
    ----------
    path : Path
        Folder to hold.
    what : str
        What is written there, for the message.
    name : str
        Name of the lock, if runs may write different things to one folder at the same time.
    wait : float
        Seconds to wait for another run, if its work is short.
    """
    import filelock

    path.mkdir(parents=True, exist_ok=True)
    try:
        with filelock.FileLock(path / f".{name}lock", timeout=wait):
            yield
    except filelock.Timeout:
        raise InputError(
            f"another run is writing {what} in {path}: wait for it or stop it"
        ) from None


# What parsers of JSON, .npy, .npz and HDF5 raise on arbitrary bytes.
_DAMAGE = (ValueError, LookupError, ArithmeticError, EOFError, OSError, RecursionError)
_DAMAGE += (SyntaxError, tokenize.TokenError, zipfile.BadZipFile, struct.error)


@contextlib.contextmanager
def parsing(path: Path, remedy: str, *, also: tuple[type[Exception], ...] = ()) -> Iterator[None]:
    """Turn any error from parsing a missing, truncated or altered file into one plain error.

    Only for blocks that parse a file: elsewhere the same exceptions are mistakes in the code.

    Parameters
    ----------
    path : Path
        The file.
    remedy : str
        The command that makes it.
    also : tuple of exception types
        What else the block's parser raises, by its documentation.

    Raises
    ------
    InputError
        If it is missing or damaged; missing permission is no damage.
    """
    try:
        yield
    except (InputError, PermissionError):
        raise
    except FileNotFoundError:
        raise InputError(f"expected {path}, found nothing: run {remedy}") from None
    except (*_DAMAGE, *also) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]  # in one line
        raise InputError(f"{path} is damaged ({reason}): run {remedy}") from None


def save(path: Path, content: str | bytes | memoryview) -> None:
    """Write a file; text as UTF-8, with file names in it as they are, even if not valid UTF-8.

    Parameters
    ----------
    path : Path
        The file; its folder is created if it is missing.
    content : str, bytes or memoryview
        All of it.
    """
    with whole(path) as partial:
        is_text = isinstance(content, str)
        partial.write_bytes(content.encode(errors="surrogateescape") if is_text else content)


def save_json(path: Path, content: dict) -> None:
    """Write a dictionary as readable JSON.

    Parameters
    ----------
    path : Path
        The file.
    content : dict
        What JSON can hold.
    """
    save(path, json.dumps(content, indent=1) + "\n")


def load_json(path: Path, remedy: str, *, expected: dict[str, type] | None = None) -> dict:
    """Read a dictionary that `save_json` wrote.

    Parameters
    ----------
    path : Path
        The file.
    remedy : str
        The command that makes it.
    expected : dict of str to type, optional
        Entries that it must have.

    Returns
    -------
    dict

    Raises
    ------
    InputError
        If it is missing or damaged.
    """
    with parsing(path, remedy):
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict):
            raise ValueError("no dictionary")
        for name, type_ in (expected or {}).items():
            if not isinstance(content.get(name), type_):
                raise ValueError(f"expected a {type_.__name__} as {name!r}")
    return content


def fill_with(note: Path, recipe: dict, remedy: str) -> None:
    """Record in a note what its folder is filled with, or check that an earlier note agrees.

    Parameters
    ----------
    note : Path
        The note, a JSON file in the folder.
    recipe : dict
        What determines the files of the folder.
    remedy : str
        What to do if the folder holds other files.

    Raises
    ------
    InputError
        If it does.
    """
    if note.is_file():
        if different := differences(load_json(note, remedy), recipe):
            raise InputError(f"{note.parent} was made with other settings ({different}): {remedy}")
    elif any(note.parent.glob("[!.]*")):
        raise InputError(f"{note.parent} holds files that were not made here: {remedy}")
    else:
        save_json(note, recipe)


def save_array(path: Path, array: np.ndarray) -> None:
    """Write one `.npy` file.

    Parameters
    ----------
    path : Path
        The file.
    array : np.ndarray
        Of plain numbers or text.
    """
    # Not straight to the file: numpy's own writing does not report a full disk.
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    save(path, buffer.getbuffer())


def load_array(path: Path, remedy: str, *, in_memory: bool = True) -> np.ndarray:
    """Read one `.npy` file, as a read-only memory map if not `in_memory`.

    Parameters
    ----------
    path : Path
        The file.
    remedy : str
        The command that makes it.
    in_memory : bool
        Whether to read it, or to map it.

    Returns
    -------
    np.ndarray

    Raises
    ------
    InputError
        If it is missing or damaged, or holds a pickle.
    """
    with parsing(path, remedy):
        # Mapped in any case: a header that claims more than the file holds is then refused.
        array = np.load(path, mmap_mode="r", allow_pickle=False)
        if not isinstance(array, np.ndarray):
            raise ValueError("several arrays instead of one")
        return np.array(array) if in_memory else array


class Rows:
    """Copies of rows of an array; those of a memory map are read from its file.

    What is read through a map counts as memory of this process; and if the file is larger than
    memory, the system's read-ahead takes many times as long as reading what a batch needs.

    Parameters
    ----------
    array : np.ndarray
        In memory, or as `load_array` maps it.
    """

    def __init__(self, array: np.ndarray) -> None:
        self._array, self._file = array, None
        self._place = threading.Lock()  # Keras may open a stream before another has ended
        if isinstance(array.base, mmap.mmap):
            self._file = Path(array.filename).open("rb", buffering=0)  # noqa: SIM115
            weakref.finalize(self, self._file.close)

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        """Return the rows with these indices [n], in the same order."""
        if self._file is None:
            return self._array[rows]
        copies = np.empty((len(rows), *self._array.shape[1:]), self._array.dtype)
        size = copies.itemsize * int(np.prod(copies.shape[1:]))
        with self._place:
            for row, copy in zip(rows, copies, strict=True):
                self._file.seek(self._array.offset + int(row) * size)
                if self._file.readinto(memoryview(copy).cast("B")) < size:
                    raise InputError(
                        f"{self._array.filename} is damaged: it ends within its arrays"
                    )
        return copies


def save_arrays(path: Path, **arrays: np.ndarray | str) -> None:
    """Write several arrays into one `.npz` file.

    Parameters
    ----------
    path : Path
        The file.
    **arrays
        By name.
    """
    with whole(path) as partial, partial.open("wb") as file:
        np.savez(file, **arrays)


def load_arrays(path: Path, remedy: str) -> dict[str, np.ndarray]:
    """Read what `save_arrays` wrote, by name.

    Parameters
    ----------
    path : Path
        The file.
    remedy : str
        The command that makes it.

    Returns
    -------
    dict of str to np.ndarray

    Raises
    ------
    InputError
        If it is missing or damaged, compressed, or holds a pickle.
    """
    # An entry's header may claim more than fits in memory.
    claims = parsing(path, remedy, also=(MemoryError,))
    with claims, np.load(path, allow_pickle=False) as arrays:
        # `save_arrays` compresses nothing, and a compressed entry could take any memory to unpack.
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in arrays.zip.infolist()):
            raise ValueError("compressed")
        return {name: arrays[name] for name in arrays.files}


def replace_folder(new: Path, path: Path) -> None:
    """Put the folder `new` in the place of `path`.

    Parameters
    ----------
    new : Path
        A complete folder.
    path : Path
        Its place.
    """
    old = path.with_name(path.name + ".old")
    remove_folder(old)  # left by a run that was killed here
    if path.exists():
        path.rename(old)
    new.rename(path)
    remove_folder(old)


def remove_folder(path: Path) -> None:
    """Remove a folder if it is there.

    Parameters
    ----------
    path : Path
        The folder.
    """
    if path.exists():
        shutil.rmtree(path)


def state_of(path: Path) -> list[int]:
    """Return the size and time of a file, to detect changes; empty if there is no file.

    Parameters
    ----------
    path : Path
        Any file.

    Returns
    -------
    list of int
    """
    try:
        state = path.stat()
    except OSError:
        return []
    return [state.st_size, state.st_mtime_ns]


def digest_of_file(path: Path) -> str:
    """SHA-256 of a file's content.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    str
        64 hexadecimal digits.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_of(content: Any) -> str:  # noqa: ANN401
    """SHA-256 of anything that JSON can hold.

    Parameters
    ----------
    content : object
        What JSON can hold.

    Returns
    -------
    str
        64 hexadecimal digits.
    """
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def digest_of_sources(
    root: Path,
    patterns: Iterable[str],
    *,
    without: str = "",
    content: Callable[[Path], str] = digest_of_file,
) -> str:
    """SHA-256 of the names and contents of source files.

    Parameters
    ----------
    root : Path
        Where they lie.
    patterns : iterable of str
        Which files, as for `Path.glob`.
    without : str
        Name of a file to leave out.
    content : callable
        Returns what counts of a file; by default every byte.

    Returns
    -------
    str
        64 hexadecimal digits.
    """
    paths = sorted({p for pattern in patterns for p in root.glob(pattern) if p.name != without})
    return digest_of([(path.relative_to(root).as_posix(), content(path)) for path in paths])


def environment(*packages: str) -> dict:
    """Describe what a result was made with: the git commit, Python and package versions.

    Returns
    -------
    dict
        `git_commit`, `python` and `packages`.
    """
    try:
        git = ["git", "-C", str(settings.ROOT), "describe", "--always", "--dirty", "--abbrev=40"]
        commit = subprocess.run(git, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        commit = "unknown: not a git clone"
    # The module knows best: tensorflow also comes as the package tensorflow-cpu.
    loaded = {name: getattr(sys.modules.get(name), "__version__", None) for name in packages}
    versions = {name: found or version_of(name) for name, found in loaded.items()}
    return {"git_commit": commit, "python": platform.python_version(), "packages": versions}


def version_of(package: str) -> str:
    """Return the version of an installed package, 'unknown' if there is none.

    Parameters
    ----------
    package : str
        Its name.

    Returns
    -------
    str
    """
    import importlib.metadata as metadata

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "unknown"


def mismatches(record: dict, wanted: dict) -> str:
    """Name the entries of `wanted` that a record's `recipe` lacks or has differently, no others.

    Parameters
    ----------
    record : dict
        With the entry 'recipe'.
    wanted : dict
        What it should have.

    Returns
    -------
    str
        As `differences`.
    """
    recipe = {name: record["recipe"].get(name) for name in wanted}
    return differences(recipe, wanted)


def differences(made_with: dict, wanted: dict) -> str:
    """Name what differs between two flat dictionaries, such as `hop_length: 256, not 512`.

    Parameters
    ----------
    made_with, wanted : dict
        Of what JSON can hold.

    Returns
    -------
    str
        Joined by semicolons; '' if there is no difference.
    """
    # JSON turns tuples into lists: compare what it makes of both.
    made_with, wanted = (json.loads(json.dumps(x)) for x in (made_with, wanted))
    return "; ".join(
        f"{name}: {made_with.get(name)!r}, not {wanted.get(name)!r}"
        for name in sorted(made_with.keys() | wanted.keys())
        if made_with.get(name) != wanted.get(name)
    )
