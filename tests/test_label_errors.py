"""find_label_errors.py: folds that share no recording, and what is found among them."""

import shutil

import numpy as np
import pandas as pd
import pytest
from conftest import TINY, extract, make_irmas, refuses, tiny_network

import find_label_errors
import models
import settings
from instrec.config import read
from instrec.data import splits, tensors


def test_folds_share_no_recording_and_leave_nothing_out():
    rng = np.random.default_rng(0)
    recording = np.repeat(np.arange(40), 3)
    class_id = np.repeat(rng.integers(0, 4, 40), 3)
    masks = [splits.fold_mask(class_id, recording, k, 5, seed=1) for k in range(5)]
    assert np.array_equal(np.sum(masks, axis=0), np.ones(120))
    for mask in masks:
        assert not set(recording[mask]) & set(recording[~mask])
        shares = np.bincount(class_id[mask], minlength=4) / mask.sum()
        assert np.abs(shares - np.bincount(class_id) / 120).max() < 0.15
    assert not np.array_equal(masks[0], splits.fold_mask(class_id, recording, 0, 5, seed=2))


def test_clips_are_ranked_by_how_far_predictions_contradict_them():
    shares = np.array([[0.9, 0.1], [0.05, 0.95], [0.2, 0.8], [0.4, 0.6], [0.8, 0.2], [0.1, 0.9]])
    files = [f"{i}.wav" for i in range(6)]
    table = find_label_errors.rank(files, np.array([0, 0, 1, 1, 0, 1]), shares, ["cel", "cla"])
    assert table["filename"].iloc[0] == "1.wav"
    first = table.iloc[0]
    assert (first["label"], first["predicted"]) == ("cel", "cla")
    assert first["score"] == pytest.approx((0.05 - 0.95 + 1) / 2)
    assert table["error"].tolist() == [True] + [False] * 5
    assert table["score"].is_monotonic_increasing


def test_swapped_clips_are_found(paths, call, monkeypatch):
    monkeypatch.setattr(models, "model_names", lambda: ["model_tiny"])
    monkeypatch.setattr(models, "get_model", lambda *_: tiny_network())
    root = make_irmas(paths, TINY.labels, train=12, test=6) / "IRMAS-TrainingData"
    swapped = root / "flu" / "[cel][swapped]9900__1.wav"
    shutil.move(sorted((root / "cel").iterdir())[0], swapped)
    extract(20)
    settings.learning_rate = 0.01
    options = ("-m", "model_tiny", "-o", "adam", "-d", 20, "-e", 30, "-b", 8, "--folds", 3, "-i", 1)
    assert "clips look wrongly labelled" in call("find_label_errors.py", *options).out
    path = read(dataset=20).model_folder / "model_tiny" / "model_tiny.adam.label_errors.csv"
    found = pd.read_csv(path)
    assert len(found) == len(tensors.load(read(dataset=20), "train").files) == 36
    assert found["filename"][0].endswith(swapped.name) and found["predicted"][0] == "cel"
    assert call("find_label_errors.py", *options).out.count("trained before") == 3


def test_more_folds_than_patches_of_a_label_are_refused():
    refuses("at most 4 folds", splits.fold_mask, [0] * 3 + [1] * 4, range(7), 0, 5)


def test_one_fold_is_refused(paths, call):
    with pytest.raises(SystemExit, match="expected 2 folds or more, found 1"):
        call("find_label_errors.py", "-m", "model_leaky", "-o", "adam", "-d", 1, "--folds", 1)
