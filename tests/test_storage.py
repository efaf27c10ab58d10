import itertools
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from conftest import contents

from instrec.common import storage
from instrec.data.patch_writer import PatchWriter

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


def write(folder, files=5):
    """Write the patches of five files, or of as many as a process that is killed gets to."""
    writer = PatchWriter(folder, ["harm", "perc"], SHAPE)
    for i in range(len(writer.done), files):
        if i == 3:
            writer.write("3.wav", None, "silent")
        else:
            writer.write(f"{i}.wav", [patches(i + 1, [i, k]) for k in (0, 1)], None)
    writer.close(finished=files == 5)
    return writer


@pytest.mark.parametrize("until", range(5))
def test_writing_goes_on_after_a_kill(tmp_path, until):
    whole = write(tmp_path / "whole")
    write(tmp_path / "cut", until)
    # What a kill can leave: patches without a journal line, and half a journal line.
    with (tmp_path / "cut" / "harm.npy").open("ab") as file:
        file.write(b"half a patch")
    with (tmp_path / "cut" / PatchWriter.JOURNAL).open("a") as file:
        file.write('{"file": "half')
    resumed = write(tmp_path / "cut")
    assert resumed.fingerprint() == whole.fingerprint()
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole")


def test_a_folder_is_replaced_and_a_kill_half_way_loses_nothing(tmp_path):
    path, new, old = tmp_path / "train", tmp_path / "train.partial", tmp_path / "train.old"
    for folder, content in ((path, "old"), (new, "new"), (old, "of a run that was killed")):
        folder.mkdir()
        (folder / "X").write_text(content)
    storage.replace_folder(new, path)
    assert (path / "X").read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


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
