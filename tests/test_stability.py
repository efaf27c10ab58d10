"""plot_stability.py: what disturbances do to audio, and what is made of it."""

import numpy as np
import pandas as pd
import pytest
from conftest import MODEL, find_scores

import plot_stability
import settings
from instrec.config import read
from instrec.scoring import scores
from instrec.scoring.disturbances import DISTURBANCES


@pytest.mark.parametrize("name", DISTURBANCES)
def test_the_mildest_changes_least_and_nothing_else(name):
    function, _, levels = DISTURBANCES[name]
    rng = np.random.default_rng(0)
    y = np.sin(2 * np.pi * 440 * np.arange(44100) / 44100).astype(np.float32)
    y += 0.2 * rng.normal(size=len(y)).astype(np.float32)
    y /= np.abs(y).max()
    away = []
    for level in levels if name != "gain" else levels[2:]:  # those below clip nothing
        found = function(y, 44100, level, np.random.default_rng(1))
        assert found.shape == y.shape and found.dtype == y.dtype and np.isfinite(found).all()
        assert np.array_equal(found, function(y, 44100, level, np.random.default_rng(1)))
        away.append(1 - np.corrcoef(found, y)[0, 1])
    assert away[0] > 0
    if name != "room":  # where reflections may fall in with a tone that stands
        assert away == sorted(away)


def test_a_minute_is_encoded():
    y = np.sin(np.arange(60 * 44100) / 10, dtype=np.float32) / 2
    coded = DISTURBANCES["codec"][0](y, 44100, 0.5, np.random.default_rng(0))
    assert np.corrcoef(coded, y)[0, 1] > 0.99


def test_halves_by_patch_are_refused(model, refused):
    settings.halve_by = "patch"
    assert "set halve_by to 'clip'" in refused("plot_stability.py", *MODEL, "-d", 21)


def test_any_model_is_measured(model, call, refused):
    clips, y_true = plot_stability.chosen_clips(read(), 4)
    assert len(clips) == len(y_true) == 4 and all(path.is_file() for path in clips)
    named = (*MODEL, "-d", 21)
    model.run_record(1).unlink()  # recognition averages the outputs of all trainings
    find_scores(1, *named)
    call("plot_perf_metrics.py", *named)
    assert model.figure("labels.png").exists()  # once there are final scores
    call("plot_stability.py", *named)
    rows = pd.read_csv(model.folder / "model_tiny.adam.stability.csv")
    assert len(rows) == 2 * (1 + 5 * 5)
    assert model.figure("stability.png").exists() and model.figure("stability.pdf").exists()
    # As it is, a clip is scored as evaluation scores it, by the same threshold.
    _, table = scores.load(model.scores, "")
    chosen = (table["strategy"] == "s1") & (table["kind"] == "global") & (table["name"] == "micro")
    assert rows["f-score"][0] == pytest.approx(table[chosen]["f-score"].iloc[0])
    assert rows["disturbance"][0] == "none" and rows["average"][0] == "micro"
    assert "--clips to be 1 or more" in refused("plot_stability.py", *named, "--clips", 0)
