"""Damaged files of every kind: one line or an answer, in bounded time and memory, never a crash."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from conftest import ROOT
from reading import TRAINED, UNTRAINED
from worlds import copy, shared

pytestmark = pytest.mark.skipif(os.name == "nt", reason="processes and mounts of POSIX")

SEED = 1
SHORT = ("wav", "flac", "csv", "npy_file_id", "json_tensors")


def short_and_long():
    """A few mutations of what takes no trained model; at length, many of everything."""
    for kind in SHORT:
        yield pytest.param(kind, 8, id=f"{kind}-8")
    for kind in UNTRAINED | TRAINED:
        count = 30 if kind in UNTRAINED else 20
        yield pytest.param(kind, count, id=f"{kind}-{count}", marks=pytest.mark.slow)


@pytest.mark.parametrize(("kind", "count"), list(short_and_long()))
def test_damaged_files(tmp_path_factory, tmp_path, kind, count):
    worlds = shared(tmp_path_factory.getbasetemp())
    world = copy(
        worlds.after("generate_dataset" if kind in UNTRAINED else "predict"), tmp_path / "world"
    )
    folder = Path(__file__).parent
    paths = os.pathsep.join(map(str, (ROOT, folder.parent, folder)))
    environment = {**os.environ, "PYTHONPATH": paths, "MPLBACKEND": "agg"}
    result = subprocess.run(
        [sys.executable, folder / "reading.py", kind, world, str(SEED), str(count)],
        env=environment,
        capture_output=True,
        text=True,
    )
    lines = list(map(json.loads, result.stdout.splitlines()))
    # Of a crash or a hang, the last line says in which case, and stderr where.
    assert result.returncode == 0, (lines[-1:], result.stderr)
    outcomes = Counter(line["outcome"] for line in lines)
    failed = [line for line in lines if line["outcome"] == "failed"]
    assert not failed, "\n".join(f"case {line['case']}: {line['message']}" for line in failed)
    assert outcomes["accepted"] + outcomes["refused"] == count
    print(f"{kind}: {count} tried, {outcomes['refused']} refused in one line, all survived")
