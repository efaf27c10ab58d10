"""What disks, clocks, links and other processes do to a run: one line, then the same files."""

import contextlib
import os
import shutil
import subprocess
import time

import numpy as np
import pytest
from conftest import make_irmas
from worlds import LIGHT, SCRIPTS, WIND, Script, content, copy, kill, leftovers, shared

import settings
from instrec.config import read

pytestmark = pytest.mark.skipif(os.name == "nt", reason="processes and mounts of POSIX")

QUICK = ("create_encoding",)
# Sizes of the disk at which it is full, from nothing to what a run takes.
ROOMS, ROOMS_OF_TENSORFLOW = 24, 10


@pytest.fixture(scope="module")
def worlds(tmp_path_factory):
    return shared(tmp_path_factory.getbasetemp())


def long(names, short=()):
    """Parametrise by script: those of `short` always, the others in the long form only."""
    return [name if name in short else pytest.param(name, marks=pytest.mark.slow) for name in names]


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


# --- a full disk ----------------------------------------------------------------------------------
def used(folder):
    disk = os.statvfs(folder)
    return (disk.f_blocks - disk.f_bfree) * disk.f_frsize, disk.f_files - disk.f_ffree


@pytest.mark.skipif(not shutil.which("mount"), reason="needs mount(8)")
@pytest.mark.parametrize(
    ("name", "count"),
    [("create_encoding", 3)]
    + [
        pytest.param(
            name, ROOMS_OF_TENSORFLOW if script.tensorflow else ROOMS, marks=pytest.mark.slow
        )
        for name, script in SCRIPTS.items()
    ],
)
def test_full_disk(worlds, tmp_path, name, count):
    after, disk = content(worlds.after(name)), tmp_path / "disk"
    full = 0
    with mounted(disk, "-t", "tmpfs", "-o", "size=2g", "tmpfs"):
        before_used = used_by(worlds.before(name), disk)
        after_used = used_by(worlds.after(name), disk)
    for number in range(count):
        # From nothing to all that is needed; every other time, names of files are what is short.
        share, of_names = number / count, number % 2 == 1
        with mounted(disk, "-t", "tmpfs", "-o", "size=2g", "tmpfs"):
            root = copy(worlds.before(name), disk / "world")
            room = zip(before_used, after_used, strict=True)
            size, names = (int(b + share * (a - b)) for b, a in room)
            limit = f"nr_inodes={names + 1}" if of_names else f"size={size + 4096}"
            mount("-o", f"remount,{limit}", disk)
            code, output = SCRIPTS[name].run(root)
            if code:
                full += 1
                # reproduce.py tells it of the experiment, and ends with what failed.
                assert "the disk is full" in output, (limit, output)
                assert is_one_line(output, "the disk is full", "failed: jazz;"), (limit, output)
            mount("-o", "remount,size=2g,nr_inodes=0", disk)
            code, output = SCRIPTS[name].run(root)
            assert code == 0, output
            assert leftovers(root) == []
            assert content(root) == after
    assert full >= max(1, count // 4)  # the rest had just enough room
    print(f"{name}: {full} full disks, all survived")


def used_by(folder, disk):
    """Bytes and names that a world takes on a disk that is empty before and after."""
    copy(folder, disk / "world")
    try:
        return used(disk)
    finally:
        shutil.rmtree(disk / "world")


# --- two runs at once -----------------------------------------------------------------------------
@pytest.mark.parametrize("name", long(list(SCRIPTS), QUICK))
def test_two_runs_at_once(worlds, tmp_path, name):
    script, after = SCRIPTS[name], content(worlds.after(name))
    rng = np.random.default_rng([2, list(SCRIPTS).index(name)])
    for _ in range(3):
        root = copy(worlds.before(name), tmp_path / "world")
        first = script.start(root)
        time.sleep(rng.uniform(0, 0.5 * worlds.seconds[name]))
        second = script.start(root)
        outputs = [process.communicate(timeout=600)[0] for process in (first, second)]
        for process, output in zip((first, second), outputs, strict=True):
            kill(process)
            assert process.returncode == 0 or is_one_line(output, "another run is"), output
        code, output = script.run(root)
        assert code == 0, output
        assert leftovers(root) == []
        assert content(root) == after


# --- wrong clocks ---------------------------------------------------------------------------------
BACKWARDS = """
import itertools, os, runpy, sys, time
past = itertools.count(1_000_000_000, -3600)
time.time = lambda: float(next(past))
time.time_ns = lambda: next(past) * 10**9
sys.argv[:] = sys.argv[1:]
runpy.run_path(os.path.join(os.environ["PYTHONPATH"], sys.argv[0]), run_name="__main__")
"""


@pytest.mark.parametrize("name", long(list(SCRIPTS), QUICK))
def test_wrong_clock(worlds, tmp_path, name):
    """The clock runs backwards, and files made before are of any time, the future too."""
    root = copy(worlds.before(name), tmp_path / "world")
    rng = np.random.default_rng(3)
    for folder in ("features", "models"):
        for path in (root / folder).rglob("*"):
            moment = int(rng.integers(0, 2 * 10**9)) + int(rng.integers(2)) * 2 * 10**9
            os.utime(path, (moment, moment))
    script = SCRIPTS[name]
    code, output = Script(BACKWARDS, (script.file, *script.arguments)).run(root)
    assert code == 0, output
    assert content(root) == content(worlds.after(name))


# --- folders that cannot be written ---------------------------------------------------------------
WRITES = {  # to which folders
    "separate_sources": ("data",),
    "create_encoding": ("features",),
    "generate_dataset": ("features",),
    "train": ("models",),
    "plot_history": ("models",),
    "evaluate_2": ("models",),
    "plot_perf_metrics": ("models",),
    "evaluate_3": ("models",),
    "predict": ("out",),
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


@pytest.mark.parametrize("name", long(WRITES, QUICK))
def test_read_only_folder(worlds, tmp_path, name):
    root = copy(worlds.before(name), tmp_path / "world")
    before = content(root)
    for folder in WRITES[name]:
        with read_only(root / folder):
            code, output = SCRIPTS[name].run(root)
        assert code == 1
        assert is_one_line(output, "no permission for"), output
        assert content(root) == before
    code, output = SCRIPTS[name].run(root)
    assert code == 0, output
    assert content(root) == content(worlds.after(name))


@pytest.mark.parametrize("name", long(("train", "plot_history", "evaluate_2", "predict")))
def test_models_root_that_is_no_folder(worlds, tmp_path, name):
    root = copy(worlds.before(name), tmp_path / "world")
    shutil.rmtree(root / "models", ignore_errors=True)
    (root / "models").write_text("a file")
    code, output = SCRIPTS[name].run(root)
    assert code == 1
    assert is_one_line(output, "models"), output


# --- symbolic links -------------------------------------------------------------------------------
@pytest.mark.parametrize("name", long(LIGHT, QUICK))
def test_roots_that_are_links(worlds, tmp_path, name):
    root = copy(worlds.before(name), tmp_path / "world")
    for folder in ("data", "features", "models"):
        if (root / folder).exists():
            (root / folder).rename(tmp_path / folder)
        else:
            (tmp_path / folder).mkdir()
        (root / folder).symlink_to(tmp_path / folder)
    code, output = SCRIPTS[name].run(root)
    assert code == 0, output
    for folder in ("data", "features", "models"):
        assert (root / folder).is_symlink()
    expected = content(worlds.after(name))
    for folder in ("data", "features", "models"):
        made = {f"{folder}/{k}": v for k, v in content(tmp_path / folder).items()}
        assert made == {k: v for k, v in expected.items() if k.startswith(f"{folder}/")}


def test_clips_that_are_links(paths, call, capsys):
    """A link to a clip elsewhere is that clip; one to nowhere, or in a circle, is left out."""
    root = make_irmas(paths, settings.IRMAS_WIND, train=3, test=4)
    call("create_encoding.py", "-d", WIND)
    call("generate_dataset.py", "-d", WIND)
    folder = read().feature_folder
    expected = {p.name: p.read_bytes() for p in folder.rglob("X_*.npy")}
    clips = sorted((root / "IRMAS-TrainingData" / "cla").iterdir())
    (paths / "elsewhere").mkdir()
    clips[0].rename(paths / "elsewhere" / "clip.wav")
    clips[0].symlink_to(paths / "elsewhere" / "clip.wav")
    (root / "IRMAS-TrainingData" / "flu").rename(paths / "flu")
    (root / "IRMAS-TrainingData" / "flu").symlink_to(paths / "flu")
    call("create_encoding.py", "-d", WIND)
    call("generate_dataset.py", "-d", WIND)
    assert {p.name: p.read_bytes() for p in folder.rglob("X_*.npy")} == expected
    circle = clips[1].with_name("circle.wav")
    circle.symlink_to(circle)
    clips[1].with_name("nowhere.wav").symlink_to(paths / "nowhere.wav")
    label_file = next(root.glob("IRMAS-TestingData-Part1/Part1/*.txt"))
    label_file.unlink()
    label_file.symlink_to(label_file)
    call("create_encoding.py", "-d", WIND)
    assert "too many levels of symbolic links" in capsys.readouterr().out
    call("generate_dataset.py", "-d", WIND)
    told = capsys.readouterr().out
    assert "circle.wav: too many levels of symbolic links" in told
    assert "nowhere.wav: no such file or directory" in told


def test_a_tree_that_links_to_itself(paths):
    """Recordings are found once, however a folder leads to itself."""
    import predict

    root = make_irmas(paths, settings.IRMAS_WIND, train=2, test=0)
    (root / "IRMAS-TrainingData" / "again").symlink_to(root, target_is_directory=True)
    (root / "circle").symlink_to(root / "circle")
    found = predict.audio_files([root])
    assert len({path.resolve() for path in found}) == len(found) == 8
