"""IRMAS as people have it on their disks."""

import re
import shutil

import numpy as np
import pytest
from conftest import make_folders, make_irmas, refuses, write_tone

import settings
from instrec.config import read
from instrec.data import metadata, tensors

# As IRMAS has them, made up: brackets, commas, apostrophes, blanks, dots, other alphabets.
REAL_NAMES = [
    "(02) dont kill the whale-1",
    "(02) dont kill the whale-11",
    "01 - Emily, don't  cry-6",
    "  08 Take Five [live]-2",
    "Ma\u00f1ana en El Caf\u00e9 No. 5-3",
    "\u685c \u2013 sakura.v2-4",
]


@pytest.fixture
def irmas(paths):
    """A tree of the real shape, with a training clip a label."""
    root = make_irmas(paths, train=1, test=0)
    folders = ("Part1", "IRTestingData-Part2", "Part3")
    for i, name in enumerate(REAL_NAMES):
        folder = root / f"IRMAS-TestingData-Part{i % 3 + 1}" / folders[i % 3]
        write_tone(folder / f"{name}.wav", 0, seconds=0.1)
        (folder / f"{name}.txt").write_text("cel\t\nvoi\t\n")
    return root


def read_tree(root):
    return metadata.read_irmas(root, settings.IRMAS, set(settings.IRMAS))


def test_all_parts_are_read_as_they_are_distributed(irmas):
    train, test, left_out = read_tree(irmas)
    assert (len(train), left_out) == (11, [])
    assert {clip.labels for clip in test} == {("cel", "voi")}
    names = [clip.filename for clip in test]
    assert names == sorted(names) and len(set(names)) == len(REAL_NAMES)
    assert {name.split("/")[-1].removesuffix(".wav") for name in names} == set(REAL_NAMES)


@pytest.mark.parametrize(
    "inside",
    ["IRMAS-TestingData-Part1", "IRMAS-TestingData", "IRMAS-TestingData-Part2/IRTestingData-Part2"],
)
def test_all_parts_may_lie_in_one_folder(irmas, inside):
    (irmas / "all").mkdir()
    for path in [*irmas.glob("IRMAS-TestingData*/*/*")]:
        path.rename(irmas / "all" / path.name)
    for folder in irmas.glob("IRMAS-TestingData*"):
        shutil.rmtree(folder)
    (irmas / inside).parent.mkdir(exist_ok=True)
    (irmas / "all").rename(irmas / inside)
    _, test, left_out = read_tree(irmas)
    assert (len(test), left_out) == (len(REAL_NAMES), [])


def test_two_parts_may_hold_a_clip_of_one_name(irmas):
    for part, inner in ((1, "Part1"), (3, "Part3")):
        write_tone(irmas / f"IRMAS-TestingData-Part{part}" / inner / "same-1.wav", 0, seconds=0.1)
        (irmas / f"IRMAS-TestingData-Part{part}" / inner / "same-1.txt").write_text("flu")
    _, test, _ = read_tree(irmas)
    parts = [clip.filename.split("/")[0] for clip in test if clip.labels == ("flu",)]
    assert parts == ["IRMAS-TestingData-Part1", "IRMAS-TestingData-Part3"]


@pytest.mark.parametrize(
    "content",
    [
        b"gac\t\nvoi\t\n",
        b"gac  \r\n\r\nvoi\r\n",
        b"\xef\xbb\xbfgac\nvoi",
        "gac\t\r\nvoi\t\r\n".encode("utf-16"),
        "\ufeffgac\nvoi".encode("utf-16-be"),
        b"GAC\nVoi\n",
    ],
)
def test_labels_are_read_however_they_are_written(tmp_path, content):
    (tmp_path / "a.txt").write_bytes(content)
    assert metadata.read_label_file(tmp_path / "a.txt", set(settings.IRMAS)) == {"gac", "voi"}
    assert metadata.read_label_file(tmp_path / "a.txt", {"Gac", "Voi"}) == {"Gac", "Voi"}


def test_what_is_no_label_file_is_named(tmp_path):
    path = tmp_path / "a.txt"
    for content, message in (
        (None, "no label file a.txt"),
        (b"", "empty"),
        (b"\t\n \n", "empty"),
        (b"oboe\n", "unknown label 'oboe' in a.txt"),
        (b"\xff\xfea", "neither UTF-8 nor UTF-16"),
        (b"caf\xe9", "neither UTF-8 nor UTF-16"),
    ):
        if content is not None:
            path.write_bytes(content)
        refuses(message, metadata.read_label_file, path, set(settings.IRMAS))


def test_jazz_has_a_test_set_of_its_own_making(paths, call):
    """8 test files a label, and test patches that do not overlap: settings.py says so."""
    for name, count in (("as", 19), ("cl", 4), ("ss", 2), ("tb", 2), ("tp", 2), ("ts", 2)):
        for i in range(count):
            write_tone(paths / "data" / "jazz_db" / name / f"{i}.wav", seconds=3, label_index=i)
    rows = [line.split() for line in call("create_encoding.py", "-d", -1).out.splitlines()]
    assert ["alto", "saxophone", "11", "8"] in rows and ["clarinet", "2", "2"] in rows
    call("generate_dataset.py", "-d", -1)
    part = tensors.load(read(dataset=-1), "test")
    assert np.bincount(part.file_id).tolist() == [3] * 14  # and not 5, as with half overlap


def test_what_is_missing_of_irmas_is_counted(irmas, monkeypatch):
    everything = set(settings.IRMAS)
    found = metadata.missing_from_irmas(irmas, everything).split("; ")
    assert found[0].endswith("IRMAS-TrainingData, found 11: 6,694 missing")
    assert found[2] == ("expected 1,301 clips in IRMAS-TestingData-Part2, found 2: 1,299 missing")
    with monkeypatch.context() as patch:  # a complete tree is not warned of
        counts = {f"IRMAS-TestingData-Part{i}": 2 for i in (1, 2, 3)}
        patch.setattr(metadata, "IRMAS_CLIPS", {"IRMAS-TrainingData": 11} | counts)
        assert metadata.missing_from_irmas(irmas, everything) == ""
    shutil.rmtree(irmas / "IRMAS-TestingData-Part2")
    (irmas / "IRMAS-TestingData-Part3").rename(irmas / "IRMAS-TestingData-Rest")
    _, test = metadata.missing_from_irmas(irmas, everything).split("; ")
    assert "expected 2,874 clips in" in test and "found 4: 2,870 missing" in test


def test_the_warning_is_on_the_screen_and_in_every_later_table(paths, call):
    root = make_irmas(paths, train=2, test=22)
    # IRMAS Wind keeps 4 of the 11 labels, of the same audio.
    (line,) = re.findall("^warning.*", call("create_encoding.py", "-d", 7).out, re.MULTILINE)
    assert "found 22: 6,683 missing" in line
    call("generate_dataset.py", "-d", 7)
    test = tensors.load(read(dataset=7), "test")
    assert test.kind == "incomplete " and "6,683 missing" in test.record["recipe"]["incomplete"]
    (root / tensors.RENDERED_NOTE).write_text("{}")  # rendered audio is not counted against IRMAS
    for script in ("create_encoding.py", "generate_dataset.py"):
        assert "warning: " not in call(script, "-d", 7).out
    assert tensors.load(read(dataset=7), "test").kind == "rendered "


def test_what_is_passed_over_is_counted_by_its_ending(paths, call):
    folder = make_folders(paths, settings.JAZZ, files=2, folder="jazz_db") / "as"
    for name in ("notes.pdf", "more.PDF", "README", ".hidden"):
        (folder / name).touch()
    (folder / "takes").mkdir()
    (folder / "as 0.wav").rename(folder / "as 0.wave")
    shown = call("create_encoding.py", "-d", -1).out
    assert "skipped 4: 2 .pdf, 1 folder, 1 without an ending in the label folders" in shown
    assert ["files", "6", "6"] in [line.split() for line in shown.splitlines()]
