"""Files that appear whole or not at all, say what made them, and never carry code.

Everything is written beside its place and renamed into it. No pickle is written or read.
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
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import settings
from instrec.errors import InputError

PARTIAL = ".partial"  # ends the name of what is still being written


@contextlib.contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Yield a path to write to, which replaces `path` once the block has ended without error."""
    with whole_set(path) as (partial,):
        yield partial


@contextlib.contextmanager
def whole_set(*paths: Path) -> Iterator[list[Path]]:
    """Yield a path to write to for each path, which replace them all once all are on the disk."""
    # The ending stays last, for writers that choose the format by it.
    partials = [path.with_name(f".{path.stem}{PARTIAL}{path.suffix}") for path in paths]
    try:
        for path, partial in zip(paths, partials, strict=True):
            path.parent.mkdir(parents=True, exist_ok=True)
            partial.unlink(missing_ok=True)  # a link would lead elsewhere
        with _naming(paths[0] if len(paths) == 1 else paths[0].parent):
            yield partials
        for path, partial in zip(paths, partials, strict=True):
            with _naming(path), partial.open("rb+") as file:
                os.fsync(file.fileno())
        for path, partial in zip(paths, partials, strict=True):
            partial.replace(path)
    finally:
        for partial in partials:
            partial.unlink(missing_ok=True)


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Tell where a write failed: the system's own error, such as a full disk, names no file."""
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
        Of the lock, where runs may write different things to one folder at the same time.
    wait : float
        Seconds to wait for another run, where its work is short.
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


@contextlib.contextmanager
def refuse_damaged(path: Path, remedy: str) -> Iterator[None]:
    """Turn whatever a missing, cut or altered file causes while it is read into one plain error.

    Parameters
    ----------
    path : Path
        The file.
    remedy : str
        The command that makes it.

    Raises
    ------
    InputError
        If anything fails that damage can cause; missing permission is no damage.
    """
    try:
        yield
    except (InputError, PermissionError):
        raise
    except FileNotFoundError:
        raise InputError(f"expected {path}, found nothing: run {remedy}") from None
    except DAMAGE as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]  # one line
        raise InputError(f"{path} is damaged ({reason}): delete it and run {remedy}") from None


# What the parsers of JSON, .npy and .npz raise on arbitrary bytes; MemoryError where these claim
# to hold more than there is memory.
DAMAGE = (ArithmeticError, AttributeError, EOFError, LookupError, OSError, SyntaxError, TypeError)
DAMAGE += (ValueError, RuntimeError, MemoryError, tokenize.TokenError)
DAMAGE += (zipfile.BadZipFile, struct.error)


def save_json(path: Path, content: dict) -> None:
    """Write a dictionary as readable JSON."""
    with whole(path) as partial:
        partial.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


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

    Raises
    ------
    InputError
        If it is missing or damaged.
    """
    with refuse_damaged(path, remedy):
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict):
            raise TypeError("no dictionary")
        for name, type_ in (expected or {}).items():
            if not isinstance(content.get(name), type_):
                raise TypeError(f"expected a {type_.__name__} as {name!r}")
    return content


def claim(note: Path, made_of: dict, remedy: str) -> None:
    """Say in a note what its folder is filled with, or check that it is filled with just that.

    Parameters
    ----------
    note : Path
        The note, a JSON file in the folder.
    made_of : dict
        What determines the files of the folder.
    remedy : str
        What to do if the folder holds other files.

    Raises
    ------
    InputError
        If it does.
    """
    if note.is_file():
        different = differences(load_json(note, remedy), made_of)
        if different:
            raise InputError(
                f"{note.parent} was made with other settings ({'; '.join(different)}): {remedy}"
            )
    elif any(note.parent.glob("[!.]*")):
        raise InputError(f"{note.parent} holds files that were not made here: {remedy}")
    else:
        save_json(note, made_of)


def save_array(path: Path, array: np.ndarray) -> None:
    """Write one `.npy` file."""
    # Not straight to the file: numpy's own writing does not tell that a disk is full.
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    with whole(path) as partial:
        partial.write_bytes(buffer.getbuffer())


def load_array(path: Path, remedy: str, *, in_memory: bool = True) -> np.ndarray:
    """Read one `.npy` file, as a read-only memory map if not `in_memory`."""
    with refuse_damaged(path, remedy):
        array = np.load(path, mmap_mode=None if in_memory else "r", allow_pickle=False)
        if not isinstance(array, np.ndarray):
            raise TypeError("several arrays instead of one")
        return array


class Rows:
    """Copies of rows of an array; those of a memory map are read from its file.

    What is read through a map counts as memory of this process; and where the file is larger than
    memory, the system's reading ahead takes many times as long as what a batch needs.

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
        """Return the rows of these numbers [n], in their order."""
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
    """Write several arrays into one `.npz` file."""
    with whole(path) as partial, partial.open("wb") as file:
        np.savez(file, **arrays)


def load_arrays(path: Path, remedy: str) -> dict[str, np.ndarray]:
    """Read what `save_arrays` wrote, by name."""
    with refuse_damaged(path, remedy), np.load(path, allow_pickle=False) as arrays:
        # `save_arrays` compresses nothing: what claims to be could take any memory to unpack.
        if any(one.compress_type != zipfile.ZIP_STORED for one in arrays.zip.infolist()):
            raise ValueError("compressed")
        return {name: arrays[name] for name in arrays.files}


def replace_folder(new: Path, path: Path) -> None:
    """Put the folder `new` in the place of `path`; `recover_folder` mends a kill half-way."""
    old = _old(path)
    if path.exists():
        path.rename(old)
    new.rename(path)
    shutil.rmtree(old, ignore_errors=True)


def is_recoverable(path: Path) -> bool:
    """Tell whether `recover_folder` has something to do."""
    return _old(path).exists()


def _old(path: Path) -> Path:
    return path.with_name(path.name + ".old")


def recover_folder(path: Path) -> None:
    """Undo a `replace_folder` that was killed between its two renames."""
    old = _old(path)
    if old.exists():
        if path.exists():
            shutil.rmtree(old)
        else:
            old.rename(path)


def remove_folder(path: Path) -> None:
    """Delete a folder if it is there."""
    if path.exists():
        shutil.rmtree(path)


class PatchWriter:
    """Write patches of one file after the other to `.npy` tensors that need never be in memory.

    A journal line says that a file is done, so that an interrupted run goes on after the last
    finished file: what the tensors hold beyond it is cut away.

    Parameters
    ----------
    folder : Path
        Where the tensors grow.
    names : list of str
        Name of each tensor (each input of the network), without `.npy`.
    patch_shape : tuple of int
        Shape of one patch.
    """

    JOURNAL = "journal.jsonl"

    def __init__(self, folder: Path, names: list[str], patch_shape: tuple[int, ...]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.patch_shape = patch_shape
        self.paths = [folder / f"{name}.npy" for name in names]
        self._journal_path = folder / self.JOURNAL
        self.done = self._read_journal()  # one dictionary a finished file, in order
        self.patches = sum(line["patches"] for line in self.done)
        self._files = [self._open(path) for path in self.paths]
        # Lines that a kill cut short, or whose tensors are incomplete, are written anew.
        with whole(self._journal_path) as partial:
            partial.write_text("".join(json.dumps(line) + "\n" for line in self.done))
        self._journal = self._journal_path.open("a", encoding="utf-8")

    def write(self, name: str, tensors: list[np.ndarray] | None, reason: str | None) -> None:
        """Add the patches of one file, one array an input, or the reason why there are none."""
        digest = hashlib.sha256()
        for path, file, patches in zip(self.paths, self._files, tensors or [], strict=False):
            data = np.ascontiguousarray(patches, dtype="<f4").data
            digest.update(data)
            with _naming(path):
                file.write(data)
                file.flush()
        patches = len(tensors[0]) if tensors else 0
        line = {"file": name, "patches": patches, "reason": reason, "sha256": digest.hexdigest()}
        with _naming(self._journal_path):
            self._journal.write(json.dumps(line) + "\n")
            self._journal.flush()
        self.done.append(line)
        self.patches += patches

    def close(self, *, finished: bool) -> None:
        """Close the files; if all is written, complete the headers and remove the journal."""
        with contextlib.ExitStack() as stack:  # closes every file, even if one fails
            for file in (self._journal, *self._files):
                stack.callback(file.close)
            if not finished:
                return
            for path, file in zip(self.paths, self._files, strict=True):
                with _naming(path):
                    file.seek(0)
                    self._write_header(file, self.patches)
                    file.flush()
                    os.fsync(file.fileno())
        self._journal_path.unlink()

    def fingerprint(self) -> str:
        """Digest of every patch of every file, in order."""
        lines = json.dumps([(line["file"], line["sha256"]) for line in self.done])
        return hashlib.sha256(lines.encode()).hexdigest()

    def _bytes(self, patches: int) -> int:
        return patches * 4 * int(np.prod(self.patch_shape))

    def _write_header(self, file: Any, patches: int) -> None:  # noqa: ANN401
        # numpy pads the header so that its length does not depend on the number of patches.
        shape = (patches, *self.patch_shape)
        header = {"descr": "<f4", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)

    def _open(self, path: Path) -> Any:  # noqa: ANN401
        file = path.open("r+b" if path.exists() else "w+b")
        self._write_header(file, 0)
        file.truncate(file.tell() + self._bytes(self.patches))
        file.seek(0, os.SEEK_END)
        return file

    def _read_journal(self) -> list[dict]:
        if not self._journal_path.exists():
            return []
        done = []
        lines = self._journal_path.read_text(encoding="utf-8", errors="replace").splitlines()
        with contextlib.ExitStack() as stack:
            files = [stack.enter_context(p.open("rb")) for p in self.paths if p.exists()]
            for file in files:
                self._write_header(header := io.BytesIO(), 0)
                file.seek(len(header.getvalue()))
            for line in lines:
                digest = hashlib.sha256()
                try:
                    entry = json.loads(line)
                    size = self._bytes(entry["patches"])
                    for file in files if size else []:
                        digest.update(file.read(size))
                    intact = entry["sha256"] == digest.hexdigest() and "reason" in entry
                except (ValueError, KeyError, TypeError, OverflowError, MemoryError):
                    break
                if not intact:
                    break
                done.append(entry)
        return done


def digest_of_file(path: Path) -> str:
    """SHA-256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_of(content: Any) -> str:  # noqa: ANN401
    """SHA-256 of anything that JSON can hold."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def environment(*packages: str) -> dict:
    """Describe what a result was made with: the git commit, Python and package versions."""
    import importlib.metadata as metadata

    try:
        git = ["git", "-C", str(settings.ROOT), "describe", "--always", "--dirty", "--abbrev=40"]
        commit = subprocess.run(git, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        commit = "unknown: not a git clone"
    versions = {}
    for package in packages:
        try:
            # The module knows best: tensorflow also comes as the package tensorflow-cpu.
            versions[package] = getattr(sys.modules.get(package), "__version__", None)
            versions[package] = versions[package] or metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = "unknown"
    return {"git_commit": commit, "python": platform.python_version(), "packages": versions}


def mismatches(record: dict, wanted: dict) -> list[str]:
    """Name what of `wanted` a record's `made_of` has otherwise or not; what else it has is free."""
    made_of = {name: record["made_of"].get(name) for name in wanted}
    return differences(made_of, wanted)


def differences(made_with: dict, wanted: dict) -> list[str]:
    """Name what differs between two flat dictionaries, such as `hop_length: 256, not 512`."""
    # JSON turns tuples into lists: compare what it makes of both.
    made_with, wanted = (json.loads(json.dumps(x)) for x in (made_with, wanted))
    names = sorted(made_with.keys() | wanted.keys())
    return [
        f"{name}: {made_with.get(name)!r}, not {wanted.get(name)!r}"
        for name in names
        if made_with.get(name) != wanted.get(name)
    ]
