"""Write tensors that need never be in memory, and that an interrupted run goes on with."""

import contextlib
import hashlib
import io
import json
import os
from pathlib import Path
from typing import BinaryIO

import numpy as np

from instrec.common import storage


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
        with storage.whole(self._journal_path) as partial:
            partial.write_text("".join(json.dumps(line) + "\n" for line in self.done))
        self._journal = self._journal_path.open("a", encoding="utf-8")

    def write(self, name: str, tensors: list[np.ndarray] | None, reason: str | None) -> None:
        """Add the patches of one file, one array an input, and a note; or why there are none.

        Parameters
        ----------
        name : str
            Of the file.
        tensors : list of np.ndarray, or None
            Patches [n x bands x frames x channels] of each input.
        reason : str or None
            Why there are none, or a note.
        """
        digest = hashlib.sha256()
        for path, file, patches in zip(self.paths, self._files, tensors or [], strict=False):
            data = np.ascontiguousarray(patches, dtype="<f4").data
            digest.update(data)
            with storage.naming(path):
                file.write(data)
                file.flush()
        patches = len(tensors[0]) if tensors else 0
        line = {"file": name, "patches": patches, "reason": reason, "sha256": digest.hexdigest()}
        with storage.naming(self._journal_path):
            self._journal.write(json.dumps(line) + "\n")
            self._journal.flush()
        self.done.append(line)
        self.patches += patches

    def close(self, *, finished: bool) -> None:
        """Close the files; if all is written, complete the headers and remove the journal.

        Parameters
        ----------
        finished : bool
            Whether all files are written
         if not, the next writer goes on.
        """
        with contextlib.ExitStack() as stack:  # closes every file, even if one fails
            for file in (self._journal, *self._files):
                stack.callback(file.close)
            if not finished:
                return
            for path, file in zip(self.paths, self._files, strict=True):
                with storage.naming(path):
                    file.seek(0)
                    self._write_header(file, self.patches)
                    file.flush()
                    os.fsync(file.fileno())
        self._journal_path.unlink()

    def fingerprint(self) -> str:
        """Digest of every patch of every file, in order.

        Returns
        -------
        str
            64 hexadecimal digits.
        """
        lines = json.dumps([(line["file"], line["sha256"]) for line in self.done])
        return hashlib.sha256(lines.encode()).hexdigest()

    def _bytes(self, patches: int) -> int:
        return patches * 4 * int(np.prod(self.patch_shape))

    def _write_header(self, file: BinaryIO, patches: int) -> None:
        # numpy pads the header so that its length does not depend on the number of patches.
        shape = (patches, *self.patch_shape)
        header = {"descr": "<f4", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)

    def _open(self, path: Path) -> BinaryIO:
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
