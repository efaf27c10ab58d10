"""Kills, full disks, wrong clocks, links and other processes: one line, then the same files."""

import contextlib
import os
import shutil
import subprocess
import time

import numpy as np
import pytest
from conftest import extract, make_irmas
from worlds import SCRIPTS, WIND, content, copy, end, leftovers, shared, short_and_long, start

import settings
from instrec.config import read

pytestmark = pytest.mark.skipif(os.name == "nt", reason="processes and mounts of POSIX")


@pytest.fixture(scope="module")
def worlds(tmp_path_factory):
    return shared(tmp_path_factory.getbasetemp())


def quick_and_slow(names):
    """Parametrise by script: one always, the others in the long form only."""
    quick = "create_encoding"
    return [name if name == quick else pytest.param(name, marks=pytest.mark.slow) for name in names]


def finishes(name, root, expected):
    """Run a script to its end: nothing partial is left, and the files are those expected."""
    code, output = end(start(name, root))
    assert code == 0, output
    assert leftovers(root) == []
    assert content(root) == expected


def mount(*arguments):
    done = subprocess.run(["mount", *map(str, arguments)], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"no right to mount: {done.stderr.strip()}")


@contextlib.contextmanager
def mounted(folder, *arguments):
    """Mount something for a block; `arguments` as of mount(8)."""
    folder.mkdir(exist_ok=True)
    mount(*arguments, folder)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def is_one_line(output, *expected):
    """Tell whether a run ended with one plain line, which says one of the things expected."""
    last = output.strip().splitlines()[-1]
    said = last.startswith("error: ") and any(text in last for text in expected)
    return said and "Traceback" not in output


# --- kills ----------------------------------------------------------------------------------------
CHAIN = 5  # kills in a row at most, before the run that may finish
# Whole at any moment, but neither as before nor as after: what follows a run while it goes on.
FOLLOWING = (".best.hdf5", ".state.npz", ".separated.jsonl", "split_")


def is_killed(name, root, seconds):
    """Start a script and kill it at a moment; tell whether it had not ended by itself."""
    try:
        end(start(name, root), seconds)
    except subprocess.TimeoutExpired:
        return True
    return False


def check_whole(root, before, after):
    """No file under its own name is half-written: it is that of before or of after the run."""
    for name, found in content(root).items():
        following = any(part in name for part in FOLLOWING)
        assert following or found in (before.get(name), after.get(name)), name


@pytest.mark.parametrize(
    ("name", "kills"),
    short_and_long({"create_encoding": 2, "generate_dataset": 2}, dict.fromkeys(SCRIPTS, 30)),
)
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
        finishes(name, root, after)
        chains += 1
    print(f"{name}: {done} kills, {chains} of {chains} restarts ended with the same files")


# --- a full disk ----------------------------------------------------------------------------------
def used(folder):
    """Bytes and names of files that are in use on a disk."""
    disk = os.statvfs(folder)
    return (disk.f_blocks - disk.f_bfree) * disk.f_frsize, disk.f_files - disk.f_ffree


@pytest.mark.skipif(not shutil.which("mount"), reason="needs mount(8)")
@pytest.mark.parametrize(
    ("name", "count"), short_and_long({"create_encoding": 3}, dict.fromkeys(SCRIPTS, 16))
)
def test_full_disk(worlds, tmp_path, name, count):
    """At `count` sizes, from nothing to all that the run takes."""
    after, disk, taken, full = content(worlds.after(name)), tmp_path / "disk", [], 0
    for folder in (worlds.before(name), worlds.after(name)):
        with mounted(disk, "-t", "tmpfs", "-o", "size=2g", "tmpfs"):
            copy(folder, disk / "world")
            taken.append(used(disk))
    for number in range(count):
        with mounted(disk, "-t", "tmpfs", "-o", "size=2g", "tmpfs"):
            root = copy(worlds.before(name), disk / "world")
            room = zip(*taken, strict=True)
            size, names = (int(b + number / count * (a - b)) for b, a in room)
            # Every other time, names of files are what is short.
            limit = f"nr_inodes={names + 1}" if number % 2 else f"size={size + 4096}"
            mount("-o", f"remount,{limit}", disk)
            code, output = end(start(name, root))
            if code:
                full += 1
                assert is_one_line(output, "the disk is full"), (limit, output)
            mount("-o", "remount,size=2g,nr_inodes=0", disk)
            finishes(name, root, after)
    assert full >= max(1, count // 4)  # the rest had just enough room


# --- two runs at once -----------------------------------------------------------------------------
@pytest.mark.parametrize("name", quick_and_slow(SCRIPTS))
def test_two_runs_at_once(worlds, tmp_path, name):
    after = content(worlds.after(name))
    rng = np.random.default_rng([2, list(SCRIPTS).index(name)])
    for _ in range(3):
        root = copy(worlds.before(name), tmp_path / "world")
        first = start(name, root)
        time.sleep(rng.uniform(0, 0.5 * worlds.seconds[name]))
        for process in (start(name, root), first):
            code, output = end(process)
            assert code == 0 or is_one_line(output, "another run is"), output
        finishes(name, root, after)


# --- wrong clocks and links -----------------------------------------------------------------------
BACKWARDS = """
import itertools, runpy, sys, time
past = itertools.count(1_000_000_000, -3600)
time.time = lambda: float(next(past))
time.time_ns = lambda: next(past) * 10**9
sys.argv[:] = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.mark.parametrize("name", quick_and_slow(SCRIPTS))
def test_wrong_clock_and_roots_that_are_links(worlds, tmp_path, name):
    """The clock runs backwards, and files made before are of any time, the future too."""
    root = copy(worlds.before(name), tmp_path / "world")
    rng = np.random.default_rng(3)
    for folder in ("features", "models"):
        for path in (root / folder).rglob("*"):
            moment = int(rng.integers(0, 4 * 10**9))
            os.utime(path, (moment, moment))
    roots = ("data", "features", "models")
    for folder in roots:
        (root / folder).mkdir(exist_ok=True)
        (root / folder).rename(tmp_path / folder)
        (root / folder).symlink_to(tmp_path / folder)
    code, output = end(start(name, root, "-c", BACKWARDS))
    assert code == 0, output
    assert leftovers(root) == []
    for folder in roots:
        assert (root / folder).is_symlink()
        (root / folder).unlink()
        (tmp_path / folder).rename(root / folder)
    assert content(root) == content(worlds.after(name))


# --- folders that cannot be written ---------------------------------------------------------------
WRITES = {  # to which folder
    "separate_sources": "data",
    "create_encoding": "features",
    "generate_dataset": "features",
    "train": "models",
    "plot_history": "models",
    "evaluate_2": "models",
    "plot_perf_metrics": "models",
    "evaluate_3": "models",
    "predict": "out",
}


@contextlib.contextmanager
def read_only(folder):
    """Make a folder read-only for a block: by a mount for root, who may write anywhere else."""
    folder.mkdir(exist_ok=True)
    if os.geteuid() == 0:
        with mounted(folder, "--bind", folder):
            mount("-o", "remount,bind,ro", folder)
            yield
        return
    for path in (folder, *folder.rglob("*")):
        path.chmod(path.stat().st_mode & ~0o222)
    try:
        yield
    finally:
        for path in (folder, *folder.rglob("*")):
            path.chmod(path.stat().st_mode | 0o200)


@pytest.mark.parametrize("name", quick_and_slow(WRITES))
def test_read_only_folder(worlds, tmp_path, name):
    root = copy(worlds.before(name), tmp_path / "world")
    before = content(root)
    with read_only(root / WRITES[name]):
        code, output = end(start(name, root))
    assert code == 1 and is_one_line(output, "no permission for"), output
    assert content(root) == before and leftovers(root) == []
    finishes(name, root, content(worlds.after(name)))


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in WRITES if WRITES[name] == "models"])
def test_models_root_that_is_no_folder(worlds, tmp_path, name):
    root = copy(worlds.before(name), tmp_path / "world")
    shutil.rmtree(root / "models", ignore_errors=True)
    (root / "models").write_text("a file")
    code, output = end(start(name, root))
    assert code == 1 and is_one_line(output, "models"), output


def test_clips_that_are_links(paths, capsys):
    """A link to a clip elsewhere is that clip; one to nowhere, or in a circle, is left out."""
    root = make_irmas(paths, settings.IRMAS_WIND, train=3, test=4)
    settings.dataset = WIND
    extract(WIND)
    folder = read().feature_folder
    expected = {p.name: p.read_bytes() for p in folder.rglob("X_*.npy")}
    clips = sorted((root / "IRMAS-TrainingData" / "cla").iterdir())
    for path in (clips[0], root / "IRMAS-TrainingData" / "flu"):
        path.rename(paths / path.name)
        path.symlink_to(paths / path.name)
    extract(WIND)
    assert {p.name: p.read_bytes() for p in folder.rglob("X_*.npy")} == expected
    capsys.readouterr()
    label_file = next(root.glob("IRMAS-TestingData-Part1/Part1/*.txt"))
    label_file.unlink()
    for circle in (clips[1].with_name("circle.wav"), label_file):
        circle.symlink_to(circle)
    clips[1].with_name("nowhere.wav").symlink_to(paths / "nowhere.wav")
    extract(WIND)
    told = capsys.readouterr().out
    assert told.count("too many levels of symbolic links") == 2
    assert "circle.wav: too many levels" in told and "nowhere.wav: no such file" in told


def test_a_tree_that_links_to_itself(paths):
    """Recordings are found once, however a folder leads to itself."""
    import predict

    root = make_irmas(paths, settings.IRMAS_WIND, train=2, test=0)
    (root / "IRMAS-TrainingData" / "again").symlink_to(root, target_is_directory=True)
    (root / "circle").symlink_to(root / "circle")
    found = predict.audio_files([root])
    assert len({path.resolve() for path in found}) == len(found) == 8
