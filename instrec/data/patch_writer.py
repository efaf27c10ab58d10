"""Write tensors that need not fit in memory, and resume an interrupted run."""

import contextlib
import hashlib
import json
import os
from pathlib import Path
from typing import BinaryIO

import numpy as np

from instrec.common import storage


class PatchWriter:
    """Write the patches of one file after another to `.npy` tensors that need not fit in memory.

    A journal line marks a finished file, so that an interrupted run resumes after the last one:
    what the tensors hold beyond it is cut off.

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
        self._folder, self._journal_path = folder, folder / self.JOURNAL
        paths = [folder / f"{name}.npy" for name in names]
        self._files = [path.open("r+b" if path.exists() else "w+b") for path in paths]
        for file in self._files:
            self._write_header(file, 0)
        self.done = self._read_journal()  # one dictionary per finished file, in order
        self.patches = sum(line["patches"] for line in self.done)
        # Lines that a kill cut short, or whose tensors are incomplete, are dropped.
        storage.save(self._journal_path, "".join(json.dumps(line) + "\n" for line in self.done))
        self._journal = self._journal_path.open("a", encoding="utf-8")

    def write(self, name: str, tensors: list[np.ndarray] | None, reason: str | None) -> None:
        """Add the patches of one file, one array per input, and a note; or why there are none.

        Parameters
        ----------
        name : str
            File name.
        tensors : list of np.ndarray, or None
            Patches [n x bands x frames x channels] of each input.
        reason : str or None
            Why there are none, or a note.
        """
        digest = hashlib.sha256()
        patches = len(tensors[0]) if tensors else 0
        with storage.naming(self._folder):
            for file, tensor in zip(self._files, tensors or [], strict=False):
                data = np.ascontiguousarray(tensor, dtype="<f4").data
                digest.update(data)
                file.write(data)
                file.flush()
            line = {"file": name, "patches": patches, "reason": reason}
            line["sha256"] = digest.hexdigest()
            self._journal.write(json.dumps(line) + "\n")
            self._journal.flush()
        self.done.append(line)
        self.patches += patches

    def close(self, *, finished: bool = False) -> None:
        """Close the files; if all is written, complete the headers and remove the journal.

        Parameters
        ----------
        finished : bool
            Whether all files are written; if not, the next writer resumes.
        """
        with contextlib.ExitStack() as stack:  # closes every file, even if one fails
            for file in (self._journal, *self._files):
                stack.callback(file.close)
            if not finished:
                return
            with storage.naming(self._folder):
                for file in self._files:
                    file.seek(0)
                    self._write_header(file, self.patches)
                    file.flush()
                    os.fsync(file.fileno())
        self._journal_path.unlink()

    def fingerprint(self) -> str:
        """Return the digest of every patch of every file, in order.

        Returns
        -------
        str
            64 hexadecimal digits.
        """
        return storage.digest_of([(line["file"], line["sha256"]) for line in self.done])

    def _write_header(self, file: BinaryIO, patches: int) -> None:
        # numpy pads the header so that its length does not depend on the number of patches.
        shape = (patches, *self.patch_shape)
        header = {"descr": "<f4", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)

    def _read_journal(self) -> list[dict]:
        """Read the lines whose patches are intact, and cut off the rest of the tensors."""
        done, lines = [], []
        ends = [file.tell() for file in self._files]
        if self._journal_path.exists():
            text = self._journal_path.read_text(encoding="utf-8", errors="replace")
            lines = text.splitlines()
        for line in lines:
            digest = hashlib.sha256()
            try:
                entry = json.loads(line)
                size = entry["patches"] * 4 * int(np.prod(self.patch_shape))
                for file in self._files if size else []:
                    digest.update(file.read(size))
                intact = entry["sha256"] == digest.hexdigest() and "reason" in entry
            except (ValueError, KeyError, TypeError, OverflowError, MemoryError, RecursionError):
                break
            if not intact:
                break
            done.append(entry)
            ends = [file.tell() for file in self._files]
        for file, end in zip(self._files, ends, strict=True):
            file.seek(end)
            file.truncate()
        return done
