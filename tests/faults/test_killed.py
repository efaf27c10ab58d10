"""Every script killed at random moments and started again: the files of an undisturbed run."""

import os
import subprocess

import numpy as np
import pytest
from worlds import SCRIPTS, content, copy, end, files_of, kill, leftovers, says, shared, start

from instrec.common import storage

pytestmark = pytest.mark.skipif(os.name == "nt", reason="processes and mounts of POSIX")

CHAIN = 5  # kills in a row at most, before the run that may finish
# Whole at any moment, but neither as before nor as after: what follows a run while it goes on.
FOLLOWING = (".best.hdf5", ".state.npz", ".separated.jsonl", "split_")


@pytest.fixture(scope="module")
def worlds(tmp_path_factory):
    return shared(tmp_path_factory.getbasetemp())


def short_and_long():
    """Two kills of what starts quickly; at length, thirty of everything that takes seconds."""
    for name in ("create_encoding", "generate_dataset"):
        yield pytest.param(name, 2, id=f"{name}-2")
    for name in SCRIPTS:
        yield pytest.param(name, 30, id=f"{name}-30", marks=pytest.mark.slow)


def is_killed(name, root, seconds):
    """Start a script and kill it at a moment; tell whether it had not ended by itself."""
    process = start(name, root)
    try:
        process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        return True
    finally:
        kill(process)
    return False


def check_whole(root, before, after):
    """No file under its own name is half-written: it is that of before or of after the run."""
    for path in files_of(root):
        name = path.relative_to(root).as_posix()
        if storage.PARTIAL not in name and ".old/" not in name:
            found = says(path)
            following = any(part in name for part in FOLLOWING)
            assert following or found in (before.get(name), after.get(name)), name


@pytest.mark.parametrize(("name", "kills"), list(short_and_long()))
def test_killed_at_random_moments(worlds, tmp_path, name, kills):
    before, after = content(worlds.before(name)), content(worlds.after(name))
    rng = np.random.default_rng([30, list(SCRIPTS).index(name)])
    done = chains = 0
    while done < kills:
        root = copy(worlds.before(name), tmp_path / "world")
        # Alternately one kill, and kills in a row: what each run adds may be lost again.
        for _ in range(CHAIN if chains % 2 else 1):
            if not is_killed(name, root, rng.uniform(0, worlds.seconds[name])):
                break
            done += 1
            check_whole(root, before, after)
        code, output = end(start(name, root))
        assert code == 0, output
        assert leftovers(root) == []
        assert content(root) == after
        chains += 1
    print(f"{name}: {done} kills, {chains} of {chains} restarts ended with the same files")
