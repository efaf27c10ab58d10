import itertools
import json
import multiprocessing
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from instrec.common import storage
from instrec.data.patch_writer import PatchWriter
from instrec.errors import InputError

SHAPE = (8, 3, 1)


def patches(count, seed):
    return np.random.default_rng(seed).standard_normal((count, *SHAPE)).astype(np.float32)


def test_a_file_is_replaced_only_when_it_is_whole(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), storage.whole(path) as partial:
        partial.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
    with storage.whole(path) as partial:
        partial.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def write(folder, files, *, until=None, names=("X",)):
    """Write files of 1, 2, 3 ... patches, or stop before file `until` as a killed process does."""
    writer = PatchWriter(folder, list(names), SHAPE)
    for i in range(len(writer.done), files):
        if i == until:
            writer.close(finished=False)
            return None
        if i == 3:
            writer.write("3.wav", None, "silent")
        else:
            writer.write(f"{i}.wav", [patches(i + 1, [i, k]) for k in range(len(names))], None)
    writer.close(finished=True)
    return writer


def test_tensors_are_plain_npy_files(tmp_path):
    writer = write(tmp_path, 5)
    tensor = np.load(tmp_path / "X.npy", mmap_mode="r", allow_pickle=False)
    expected = np.concatenate([patches(i + 1, [i, 0]) for i in (0, 1, 2, 4)])
    np.testing.assert_array_equal(tensor, expected)
    assert [line["patches"] for line in writer.done] == [1, 2, 3, 0, 5]
    assert [path.name for path in tmp_path.iterdir()] == ["X.npy"]
    assert write(tmp_path / "other", 4).fingerprint() != writer.fingerprint()


@pytest.mark.parametrize("until", range(5))
def test_writing_goes_on_after_a_kill(tmp_path, until):
    names = ("harm", "perc")
    whole = write(tmp_path / "whole", 5, names=names)
    write(tmp_path / "cut", 5, until=until, names=names)
    # What a kill can leave: patches without a journal line, and half a journal line.
    with (tmp_path / "cut" / "harm.npy").open("ab") as file:
        file.write(b"half a patch")
    with (tmp_path / "cut" / PatchWriter.JOURNAL).open("a") as file:
        file.write('{"file": "half')
    resumed = write(tmp_path / "cut", 5, names=names)
    assert resumed.fingerprint() == whole.fingerprint()
    for name in names:
        file = f"{name}.npy"
        assert (tmp_path / "cut" / file).read_bytes() == (tmp_path / "whole" / file).read_bytes()


def test_a_journal_ahead_of_its_tensors_is_not_believed(tmp_path):
    write(tmp_path, 5, until=3)
    tensor = tmp_path / "X.npy"
    tensor.write_bytes(tensor.read_bytes()[:-10])
    assert len(PatchWriter(tmp_path, ["X"], SHAPE).done) == 2


def test_a_folder_is_replaced_and_a_kill_half_way_loses_nothing(tmp_path):
    path, new, old = tmp_path / "train", tmp_path / "train.partial", tmp_path / "train.old"
    for folder, content in ((path, "old"), (new, "new"), (old, "of a run that was killed")):
        folder.mkdir()
        (folder / "X").write_text(content)
    storage.replace_folder(new, path)
    assert (path / "X").read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_damaged_json_is_one_clear_line(tmp_path):
    path = tmp_path / "a.json"
    for content in ("{", "[1]", "", "\x00"):
        path.write_text(content)
        with pytest.raises(InputError, match=r"a\.json is damaged.*run step one"):
            storage.load_json(path, "step one")
    with pytest.raises(InputError, match=r"found nothing: run step one"):
        storage.load_json(tmp_path / "b.json", "step one")


def test_differences_are_named():
    made = {"hop": 256, "windows": [1024], "same": None}
    wanted = {"hop": 512, "windows": (1024,), "same": None, "new": 1}
    assert storage.differences(made, wanted) == ["hop: 256, not 512", "new: None, not 1"]


def _hold(path, held, release):
    with storage.lock(path, "tensors"):
        held.set()
        release.wait(60)


def test_a_second_process_is_refused_until_the_first_ends(tmp_path):
    context = multiprocessing.get_context("spawn")
    held, release = context.Event(), context.Event()
    process = context.Process(target=_hold, args=(tmp_path, held, release))
    process.start()
    assert held.wait(60)
    refused = pytest.raises(InputError, match="another run is writing tensors")
    with refused, storage.lock(tmp_path, "tensors"):
        pass
    process.kill()  # the lock goes with the process, however it ends
    process.join()
    with storage.lock(tmp_path, "tensors"):
        pass


def test_a_link_in_the_place_of_what_is_being_written_is_not_followed(tmp_path):
    other = tmp_path / "other"
    other.write_text("mine")
    path = tmp_path / "x.json"
    path.with_name(f".x{storage.PARTIAL}.json").symlink_to(other)
    storage.save_json(path, {"a": 1})
    assert other.read_text() == "mine" and not path.is_symlink()
    assert json.loads(path.read_text()) == {"a": 1}


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="only Linux tells what is mapped")
def test_batches_leave_nothing_of_the_memory_map_in_memory(tmp_path):
    from instrec.learning.patches import Patches

    path = tmp_path / "X.npy"
    storage.save_array(path, np.arange(2**22, dtype=np.float32).reshape(64, -1, 4, 1))  # 16 MB
    tensor = storage.load_array(path, "", in_memory=False)

    def mapped():  # kB of the file that count as memory of this process
        of_file = Path("/proc/self/smaps").read_text().split(str(path))[1]
        return int(of_file.split("Rss:")[1].split()[0])

    whole = np.array(tensor)
    assert mapped() > 15000
    del tensor
    tensor = storage.load_array(path, "", in_memory=False)
    patches = Patches([tensor], np.arange(64)[::-1], 16)
    assert np.array_equal(
        np.concatenate([x for (x,) in itertools.islice(patches.batches(), 4)]), whole[::-1]
    )
    assert mapped() < 1000


def test_threads_read_their_own_rows(tmp_path):
    path = tmp_path / "X.npy"
    storage.save_array(path, np.repeat(np.arange(400.0, dtype=np.float32), 2000).reshape(400, -1))
    rows = storage.Rows(storage.load_array(path, "", in_memory=False))

    def are_right(start):
        wanted = np.arange(start, 400, 4)
        return all(np.array_equal(rows[wanted][:, 7], wanted) for _ in range(20))

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(are_right, range(4)))


def test_rows_of_a_file_that_ends_within_them_are_refused(tmp_path):
    path = tmp_path / "X.npy"
    storage.save_array(path, np.zeros((8, 3000), dtype=np.float32))
    rows = storage.Rows(storage.load_array(path, "", in_memory=False))
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 1)
    assert not rows[np.array([6])].any()
    with pytest.raises(InputError, match="X.npy is damaged: it ends"):
        rows[np.array([7])]
