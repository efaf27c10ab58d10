"""benchmarks/real.py: what a model hears in real clips, with numbers worked out by hand."""

import numpy as np
import pandas as pd
import pytest
import soundfile
from conftest import refuses

from benchmarks import real, real_sets


def table_of(*rows):
    columns = ["truth", "recording", "top_1", "number"]
    return pd.DataFrame([(*row, len(row[0].split())) for row in rows], columns=columns)


def test_each_label_counts_the_same_however_many_clips_it_has():
    table = table_of(
        ("cel", "a", True), ("cel", "b", True), ("cel", "c", False), ("cel", "d", False),
        ("flu", "e", True), ("cel flu", "f", False), ("", "g", False),
    )  # fmt: skip
    assert real.balanced(table, "top_1") == pytest.approx((0.5 + 1) / 2)


def test_recordings_are_drawn_and_not_clips():
    """Of a hundred clips of two recordings, a draw has all right, half, or none: 1/4, 1/2, 1/4."""
    clips = [("cel", name, name == "a") for name in "ab" for _ in range(50)]
    assert real.interval(table_of(*clips), "top_1") == (0.0, 1.0)
    low, high = real.interval(table_of(*[("cel", i, i < 50) for i in range(100)]), "top_1")
    assert low == pytest.approx(0.4, abs=0.03) and high == pytest.approx(0.6, abs=0.03)


def test_labels_come_from_folders_or_from_texts_beside(tmp_path):
    for name in ("cel/a-1.wav", "none/b.flac", "mixed/c__2.ogg", "mixed/c__2.txt", "cel/note.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "mixed/c__2.txt").write_text("FLU\t\r\ndru\t\r\ncel\n")
    found = real.clips_in(tmp_path, ["cel", "flu"])
    assert {path.name: set(truth) for path, truth in found} == {
        "a-1.wav": {"cel"},
        "b.flac": set(),
        "c__2.ogg": {"cel", "flu"},
    }
    assert [real.recording_of(path)[-3:] for path, _ in found] == ["l/a", "d/c", "e/b"]
    refuses("found none", real.clips_in, tmp_path / "none" / "b", ["cel"])


def test_the_report_counts_what_is_shown(capsys):
    table = pd.DataFrame(
        {
            "recording": list("abc"),
            "truth": ["cel", "cel flu", ""],
            "number": [1, 2, 0],
            "heard": ["cel", "pia", "pia"],
            "top_1": [True, False, False],
            "top_3": [True, True, False],
            "none": [False, False, True],
        }
    )
    true = np.array([[1, 0, 0], [1, 1, 0], [0, 0, 0]], bool)
    shown = np.array([[1, 0, 0], [0, 1, 1], [0, 0, 0]], bool)  # of cel, flu, pia
    real.report(table, true, shown)
    text = capsys.readouterr().out
    assert "top_1, balanced: 1.000 (1.000 to 1.000)" in text
    assert "a right one on top 0.000" in text
    assert "1.50 a clip; precision 0.667, recall 0.667, micro F 0.667" in text  # of 3, 2 right of 3
    assert "nothing shown: 1.000 of 1 clips without" in text


def test_a_clip_is_heard_over_a_band_that_is_the_same_each_time(tmp_path):
    clip = tmp_path / "clip.wav"
    soundfile.write(clip, 0.1 * np.sin(2 * np.pi * 440 * np.arange(2 * 44100) / 44100), 44100)
    mixed = [soundfile.read(real.over_band(clip, "jazz", 3, tmp_path))[0] for _ in range(2)]
    assert mixed[0].shape == (2 * 44100, 2) and np.array_equal(*mixed)
    spectrum = np.abs(np.fft.rfft(mixed[0].mean(axis=1)))
    assert spectrum[880] > np.median(spectrum) * 100
    assert np.sum(spectrum**2) > 1.05 * np.sum(spectrum[870:891] ** 2)  # and there is a band


def test_metal_is_taken_where_the_guitars_never_rest(tmp_path, monkeypatch):
    rate = real_sets.RATE
    guitar = np.random.default_rng(0).normal(0, 0.1, 46 * rate)
    guitar[23 * rate : 25 * rate] = 0  # in the third stretch: they start at 10, 16, 22 and 28 s
    for name, y in (("guitar", guitar), ("song", np.sin(np.arange(46 * rate + 9) / 20))):
        (tmp_path / "band" / "a song").mkdir(parents=True, exist_ok=True)
        soundfile.write(tmp_path / "band" / "a song" / f"{name}.ogg", y, rate)
    monkeypatch.setattr(real_sets, "SONGS", tmp_path)
    found = dict(real_sets.metal())
    starts = ("10", "16", "28")
    assert found.keys() == {
        f"metal_{kind}/gel/a_song-{x}" for x in starts for kind in ("alone", "band")
    }
    alone, band = (found[f"metal_{kind}/gel/a_song-16"] for kind in ("alone", "band"))
    assert len(alone) == 6 * rate and np.std(band - alone) == pytest.approx(0.5**0.5, rel=0.05)
    assert np.corrcoef(alone, guitar[16 * rate : 22 * rate])[0, 1] > 0.8  # lossy


def test_noises_differ_and_are_heard():
    found = dict(real_sets.noises())
    assert len(found) == 23 and all("/none/" in place for place in found)
    assert all(np.isfinite(y).all() and np.ptp(y) > 0 for y in found.values())
