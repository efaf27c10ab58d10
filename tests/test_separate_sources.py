import errno
import json
import os
import shutil
import tempfile
from unittest import mock

import numpy as np
import pytest
import soundfile
from conftest import RATE, contents, make_folders, make_irmas, tone, write_tone

import separate_sources
import settings
from instrec.common import storage
from instrec.config import read
from instrec.data import tensors

WIND = settings.IRMAS_WIND


@pytest.fixture
def irmas(paths):
    return make_irmas(paths, WIND, train=1, test=3)


def test_the_separated_tree_mirrors_its_source(paths, call, monkeypatch, irmas):
    folders = ("irmas_harm", "irmas_perc")
    own = settings.DataSet("own", "Own", WIND, folders, "irmas", "irmas", 1, "model_two_branch")
    monkeypatch.setitem(settings.DATA_SETS, 30, own)
    before = contents(irmas)
    call("separate_sources.py", "-d", 30)
    assert contents(irmas) == before
    for folder in folders:
        assert contents(paths / "data" / folder).keys() == before.keys() | {"separated.json"}
    for path in irmas.rglob("*.wav"):
        separated = [paths / "data" / folder / path.relative_to(irmas) for folder in folders]
        for info in map(soundfile.info, separated):
            for field in ("frames", "samplerate", "channels", "format", "subtype"):
                assert getattr(info, field) == getattr(soundfile.info(path), field)
        parts = [soundfile.read(part)[0] for part in separated]
        y, _ = soundfile.read(path)
        np.testing.assert_allclose(sum(parts), y, atol=3 / 32768)  # each is rounded to 16 bit


def test_solos_come_from_the_clips_of_the_data_set_alone(paths, call, irmas):
    write_tone(irmas / "IRMAS-TrainingData" / "cel" / "[cel]0001__1.wav", 0)
    call("separate_sources.py", "-d", 6)
    names = [path.name for path in (paths / "data" / "irmas_wind_solo").rglob("*.wav")]
    assert len(names) == 4 + 3 and "[cel]0001__1.wav" not in names


def test_whole_files_are_kept_and_others_made(jazz, paths, call):
    call("separate_sources.py", "-d", JAZZ)
    tree = paths / "data" / "jazz_solo"
    before, waves = contents(tree), sorted(tree.rglob("*.wav"))
    times = [path.stat().st_mtime_ns for path in waves]
    broken, deleted, outdated, replaced = waves[:4]
    os.utime(jazz / outdated.relative_to(tree), ns=(times[2] + 10**9,) * 2)
    os.utime(jazz / replaced.relative_to(tree), (1, 1))  # by an older one
    broken.write_bytes(broken.read_bytes()[:100])
    deleted.unlink()
    assert "kept 2 of 6 files" in call("separate_sources.py", "-d", JAZZ).out
    assert contents(tree) == before
    kept = [path.stat().st_mtime_ns == time for path, time in zip(waves, times, strict=True)]
    assert kept == [False] * 4 + [True] * 2


def test_bad_files_and_parts_without_sound_are_named_and_left_out(jazz, paths, call):
    (jazz / "as" / "text.wav").write_text("no audio")
    soundfile.write(jazz / "as" / "nan.wav", np.full((9000, 1), np.nan), RATE, subtype="FLOAT")
    clicks = np.zeros((2 * RATE, 1))
    clicks[:: RATE // 4] = 0.9
    soundfile.write(jazz / "as" / "clicks.wav", clicks, RATE)
    soundfile.write(jazz / "as" / "silence.wav", 0 * clicks, RATE)
    shown = call("separate_sources.py", "-d", JAZZ).out
    for name, reason in (
        ("text", "not readable as audio"),
        ("nan", "holds NaN"),
        ("clicks", "nothing of it is in jazz_solo"),
        ("silence", "silent"),
    ):
        assert f"left out: as/{name}.wav: {reason}" in shown
    assert "left out 4 of 10 files in all" in shown
    assert len(list((paths / "data" / "jazz_solo").rglob("*.wav"))) == 6


def test_a_tree_of_other_settings_is_not_mixed(jazz, paths, call, refused):
    call("separate_sources.py", "-d", JAZZ)
    note = paths / "data" / "jazz_solo" / "separated.json"
    recipe = json.loads(note.read_text())
    assert recipe["separation"] == "solo_accompaniment" and recipe["num_partials"] == 20
    note.write_text(json.dumps(recipe | {"num_partials": 10}))
    assert "num_partials: 10, not 20" in refused("separate_sources.py", "-d", JAZZ)


def test_two_runs_that_share_a_folder_are_kept_apart(paths, refused):
    make_folders(paths, settings.MONOTIMBRAL[:1], files=1, seconds=1)
    with storage.lock(paths / "data" / "youtube_perc", "separated audio"):  # as -d 5 does
        message = refused("separate_sources.py", "-d", 9)  # youtube_harm and youtube_perc
    assert "another run is writing separated audio" in message


def test_what_cannot_be_separated_is_said(refused):
    assert "needs no separation" in refused("separate_sources.py", "-d", 1)
    assert "found nothing" in refused("separate_sources.py", "-d", 3)


JAZZ = -2


@pytest.fixture
def jazz(paths):
    return make_folders(paths, settings.JAZZ, files=1, seconds=1, folder="jazz_db")


@pytest.mark.parametrize("is_full", [True, False])
def test_what_cannot_be_written_stops_the_run(jazz, refused, paths, monkeypatch, is_full):
    """A full disk is no fault of the source: nothing is left out, and what was there stays."""
    before, write = contents(jazz), soundfile.SoundFile.write

    def fail(self, data):
        if "partial" in str(self.name):
            raise soundfile.LibsndfileError(2)
        return write(self, data)

    monkeypatch.setattr(soundfile.SoundFile, "write", fail)
    if is_full:
        full = mock.Mock(side_effect=OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
        monkeypatch.setattr(tempfile, "TemporaryFile", full)
    expected = "the disk is full" if is_full else "jazz_solo"
    assert expected in refused("separate_sources.py", "-d", JAZZ)
    assert contents(jazz) == before
    assert not list((paths / "data" / "jazz_solo").rglob("*.wav"))


@pytest.mark.parametrize("seconds", [2, 40])
def test_a_cut_mp3_is_used_as_far_as_it_goes(jazz, call, paths, seconds):
    """Its header promises what it does not hold; one block and several are read."""
    bad = jazz / "as" / "cut.mp3"
    soundfile.write(bad, np.tile(tone(3), (14, 1))[: seconds * RATE], RATE, format="MP3")
    bad.write_bytes(bad.read_bytes()[: bad.stat().st_size // 2])
    shown = call("separate_sources.py", "-d", JAZZ).out
    assert "note: as/cut.mp3: cut off" in shown and "left out" not in shown
    (part,) = (paths / "data" / "jazz_solo").rglob("*cut*")
    assert part.name == "cut.mp3"
    assert soundfile.info(part).duration == pytest.approx(seconds / 2, abs=0.1)


def test_a_source_that_goes_bad_takes_its_parts_along(jazz, call, paths):
    call("separate_sources.py", "-d", JAZZ)
    (source,) = (jazz / "as").iterdir()
    target = paths / "data" / "jazz_solo" / "as" / source.name
    assert target.exists()
    source.write_text("no audio any more")
    call("separate_sources.py", "-d", JAZZ)
    assert not target.exists()
    source.unlink()
    shutil.copy(next((jazz / "cl").iterdir()), jazz / "as" / "other.wav")
    (paths / "data" / "jazz_solo" / "as" / "old.wav").write_bytes(b"")
    assert "1 files of" in call("separate_sources.py", "-d", JAZZ).out  # old.wav has no source


def test_a_part_that_is_there_is_not_made_again(paths, call):
    make_folders(paths, settings.MONOTIMBRAL, files=1, seconds=1)
    call("separate_sources.py", "-d", 4)
    harm = sorted((paths / "data" / "youtube_harm").rglob("*.wav"))
    times = [path.stat().st_mtime_ns for path in harm]
    call("separate_sources.py", "-d", 9)
    assert [path.stat().st_mtime_ns for path in harm] == times
    assert len(list((paths / "data" / "youtube_perc").rglob("*.wav"))) == len(harm) == 15


def test_a_killed_run_goes_on(jazz, call, paths):
    call("separate_sources.py", "-d", JAZZ)
    tree = paths / "data" / "jazz_solo"
    before = contents(tree)
    # What SIGKILL leaves: a hidden half-written file, half a journal line, files not yet made.
    journal = tree / separate_sources.JOURNAL
    lines = journal.read_text().splitlines(keepends=True)
    journal.write_text("".join(lines[:3]) + lines[3][:10])
    wave = sorted(tree.rglob("*.wav"))[-1]
    wave.rename(wave.with_name(f".{wave.stem}.partial.wav"))
    call("separate_sources.py", "-d", JAZZ)
    assert contents(tree) == before


def test_a_missing_source_is_warned_of(jazz, call, paths):
    make_folders(paths, settings.JAZZ, files=2, seconds=1, folder="jazz_db")
    call("separate_sources.py", "-d", JAZZ)
    jazz.rename(paths / "elsewhere")
    assert "warning: the source" in call("create_encoding.py", "-d", JAZZ).out


def test_what_is_separated_from_rendered_audio_says_so(jazz, call, paths):
    (jazz / tensors.RENDERED_NOTE).write_text("{}")
    call("separate_sources.py", "-d", JAZZ)
    shutil.rmtree(jazz)  # the source may be moved away
    assert tensors.is_rendered(read(dataset=JAZZ))


def test_clipping_is_said(jazz, call):
    t = np.arange(2 * RATE) / RATE
    square = 0.999 * np.sign(np.sin(2 * np.pi * 100 * t))
    soundfile.write(jazz / "as" / "square.wav", square[:, None], RATE, subtype="PCM_16")
    assert "a part goes beyond full scale" in call("separate_sources.py", "-d", JAZZ).out


def test_a_name_that_is_no_text_is_a_name_like_others(jazz, call):
    path = jazz / "as" / os.fsdecode(b"n\xe9.wav")
    try:
        next(path.parent.glob("*.wav")).rename(path)
    except OSError:
        pytest.skip("this file system takes text alone")
    assert "left out" not in call("separate_sources.py", "-d", JAZZ).out
    assert (jazz.parent / "jazz_solo" / "as" / path.name).exists()
