"""Search for inputs that break a loader, guided by the branches that they reach (atheris).

  pip install atheris
  python3 tests/faults/fuzz_loaders.py -max_total_time=300      or any other options of libFuzzer

Every loader gets bytes as a file, and may answer or raise `InputError`; anything else is a finding,
as is more than 4 GB or 30 s for one input. The first byte of an input chooses the loader.
"""

import contextlib
import io
import json
import sys
import tempfile
from collections import Counter
from pathlib import Path

import atheris

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent.parent), str(HERE.parent)]

with atheris.instrument_imports(include=["instrec", "create_encoding", "numpy.lib", "zipfile"]):
    import numpy as np
    import soundfile

    import separate_sources
    import settings
    from instrec import experiments
    from instrec.common import storage
    from instrec.config import read
    from instrec.data import audio, metadata
    from instrec.data.patch_writer import PatchWriter
    from instrec.errors import InputError
    from instrec.learning import model_files, trained

LABELS = settings.IRMAS_WIND
FILES: model_files.ModelFiles  # in the folder of the fuzzer


def read_audio(path: Path) -> None:
    """Read audio."""
    audio.load_audio(path)


def read_structure(path: Path) -> None:
    """Read the structure of a network."""
    with storage.parsing(path, ""):
        json.loads(path.read_text(encoding="utf-8"))


def read_record(path: Path) -> None:
    """Read the record of a training."""
    path.replace(FILES.run_record(0))
    trained.load_record(FILES, 0, "", "recipe")


def read_journal(path: Path) -> None:
    """Go on with tensors after the finished lines of a journal."""
    path.replace(path.parent / PatchWriter.JOURNAL)
    PatchWriter(path.parent, ["X"], (2, 2, 1)).close(finished=False)


def read_separated(path: Path) -> None:
    """Read the journal of a separated tree."""
    path.replace(path.parent / separate_sources.JOURNAL)
    separate_sources.Tree(path.parent, path.parent).is_whole("a.wav")


def read_experiment(path: Path) -> None:
    """Read an experiment, and take its settings."""
    found = experiments.load(str(path.rename(path.with_suffix(".toml"))))
    _ = read().changed(found.parameters, found.source).data_set


LOADERS = {
    "json": lambda path: storage.load_json(path, "", expected={"recipe": dict}),
    "npy": lambda path: storage.load_array(path, ""),
    "memory map": lambda path: storage.load_array(path, "", in_memory=False),
    "npz": lambda path: storage.load_arrays(path, ""),
    "csv": lambda path: metadata.read_metadata(path, LABELS, ""),
    "txt": lambda path: metadata.read_label_file(path, set(LABELS)),
    "experiment": read_experiment,
    "structure": read_structure,
    "run record": read_record,
    "journal": read_journal,
    "separated": read_separated,
    "audio": read_audio,
}
tried: Counter = Counter()


def try_one(data: bytes) -> None:
    """Give bytes to a loader."""
    if not data:
        return
    name = list(LOADERS)[data[0] % len(LOADERS)]
    path = FILES.folder / "input"
    path.write_bytes(data[1:])
    tried[name] += 1
    if sum(tried.values()) % 2000 == 0:
        print("tried", dict(tried), file=sys.__stderr__, flush=True)
    with contextlib.suppress(InputError):
        LOADERS[name](path)


def seeds() -> dict[str, list[bytes]]:
    """Return whole inputs for each loader, to start from."""
    array, archive = io.BytesIO(), io.BytesIO()
    np.save(array, np.arange(6, dtype="<f4").reshape(2, 3))
    np.savez(archive, recipe="{}", history=np.zeros(2), training_pass=np.int64(1))
    waves = []
    for format_ in ("WAV", "FLAC", "AIFF", "OGG"):
        y = np.random.default_rng(0).standard_normal(400) / 10
        soundfile.write(wave := io.BytesIO(), y, 8000, format=format_)
        waves.append(wave.getvalue())
    record = model_files.pretrained_files()
    line = b'{"file": "a.wav", "patches": 0, "reason": "silent", "state": [1, 2], "sha256": "'
    line += storage.hashlib.sha256().hexdigest().encode() + b'"}\n'
    return {
        "json": [b'{"recipe": {"a": [1, null, "x"]}}'],
        "npy": [array.getvalue()],
        "memory map": [array.getvalue()],
        "npz": [archive.getvalue()],
        "csv": [b"filename,label\ncla/a.wav,cla\nflu/b.wav,flu\n", b"filename,labels\na,cla;flu\n"],
        "txt": [b"cla\t\nflu\t\n"],
        "experiment": [path.read_bytes() for path in experiments.FOLDER.glob("*.toml")],
        "structure": [record.structure(0).read_bytes()[:4000], b'[{"class_name": "Dense"}]'],
        "run record": [record.run_record(0).read_bytes()],
        "journal": [2 * line],
        "separated": [2 * line],
        "audio": waves,
    }


def main() -> None:
    """Fuzz, from the seeds and from what earlier runs found in CORPUS if it is named."""
    global FILES
    settings.dataset = 7
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as corpus:
        FILES = model_files.ModelFiles(Path(folder), "model", "adam")
        for number, (name, inputs) in enumerate(seeds().items()):
            for i, data in enumerate(inputs):
                (Path(corpus) / f"{name}_{i}").write_bytes(bytes([number]) + data)
        for path in sorted(Path(corpus).iterdir()):  # what is loaded only now takes its time
            try_one(path.read_bytes())
        limits = ["-timeout=30", "-rss_limit_mb=4096", "-max_len=20000"]
        atheris.Setup([sys.argv[0], *limits, *sys.argv[1:], corpus], try_one)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
