"""Intervals over clips and trainings: what statistics says of them, and who agrees."""

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, precision_recall_fscore_support

from instrec.scoring import intervals
from instrec.scoring.intervals import Decisions

CLIPS = [f"{i}.wav" for i in range(200)]


def scored(rng, share, trainings=3, clips=CLIPS, y_true=None):
    """Scores of two labels that are right for a share of the clips."""
    y_true = rng.random((len(clips), 2)) < 0.5 if y_true is None else y_true
    right = rng.random((trainings, len(clips), 2)) < share
    return y_true, np.where(right, y_true, ~y_true).astype(float)


@pytest.mark.parametrize("average", ["micro", "macro"])
def test_without_drawing_it_is_the_score(average):
    y_true, scores = scored(np.random.default_rng(0), 0.8, trainings=1)
    found = Decisions.of_scores(CLIPS, y_true, scores, 0.5)
    once = np.ones((1, len(CLIPS)))
    expected = precision_recall_fscore_support(y_true, scores[0] > 0.5, average=average)
    for measure in (0, 1):
        score = found.resampled(average, measure, once, np.zeros((1, 1), dtype=int))
        assert score == pytest.approx(expected[measure])


def test_accuracy_by_patch_is_the_mean_recall_of_labels_that_occur():
    rng = np.random.default_rng(1)
    y_true = np.eye(4, dtype=bool)[np.arange(30) % 3]
    predicted = rng.multinomial(5, [0.5, 0.3, 0.1, 0.1], size=(2, 30))
    found = Decisions.of_patches(CLIPS[:30], y_true, predicted)
    score = found.resampled("mean accuracy", 1, np.ones((1, 30)), np.array([[0], [1]]))
    true = np.repeat(np.arange(30) % 3, 5)
    each = [
        balanced_accuracy_score(true, np.repeat(np.tile(np.arange(4), 30), counts.ravel()))
        for counts in predicted
    ]
    assert score == pytest.approx(np.mean(each))


def test_the_interval_holds_the_truth_as_often_as_it_says():
    """Of many experiments with accuracies of 0.8 and 0.7, nine of ten hold the difference."""
    rng, held, widths = np.random.default_rng(0), 0, []
    for _ in range(60):
        y_true, ours = scored(rng, 0.8, trainings=1)
        _, theirs = scored(rng, 0.7, trainings=1, y_true=y_true)
        # As networks do: what is wrong with a clip is wrong with it in every training.
        ours, theirs = np.repeat(ours, 3, axis=0), np.repeat(theirs, 3, axis=0)
        sides = [Decisions.of_scores(CLIPS, y_true, scores, 0.5) for scores in (ours, theirs)]
        low, high = intervals.interval(*sides, "micro", "recall")
        held += low <= 0.1 <= high
        widths.append(high - low)
    assert 52 <= held < 60
    # 200 clips with two labels, of which about one is present each: 200 decisions.
    expected = 2 * 1.96 * np.sqrt((0.8 * 0.2 + 0.7 * 0.3) / 200)
    assert np.mean(widths) == pytest.approx(expected, rel=0.1)


def test_a_paired_comparison_is_sharper_and_repeats_itself():
    rng = np.random.default_rng(0)
    y_true, scores = scored(rng, 0.7, trainings=1)
    ours = Decisions.of_scores(CLIPS, y_true, scores, 0.5)
    assert intervals.interval(ours, ours, "micro") == (0, 0)
    renamed = Decisions.of_scores([f"b{c}" for c in CLIPS], y_true, scores, 0.5)
    low, high = intervals.interval(ours, renamed, "micro")
    assert low < -0.03 and high > 0.03
    assert intervals.interval(ours, renamed, "micro") == (low, high)


def test_the_same_trainings_are_drawn_on_both_sides_where_they_are_the_same():
    rng = np.random.default_rng(0)
    y_true, _ = scored(rng, 1)
    shares = (0.6, 0.75, 0.9)  # how far trainings differ says nothing about a change of thresholds
    each = np.concatenate([scored(rng, s, trainings=1, y_true=y_true)[1] for s in shares])
    ours = Decisions.of_scores(CLIPS, y_true, each, 0.5)
    assert intervals.interval(ours, ours, "micro", same_trainings=True) == (0, 0)
    low, high = intervals.interval(ours, ours, "micro")
    assert low < -0.1 and high > 0.1


@pytest.mark.parametrize(
    ("published", "found", "expected"),
    [
        ((0.01, 0.03), (0.02, 0.08), "agrees"),
        ((0.01, 0.03), (-0.02, 0.08), "cannot tell"),
        ((0.01, 0.03), (0.04, 0.08), "disagrees"),
        ((-0.09, -0.08), (-0.2, -0.01), "agrees"),
        ((0.0, 0.01), (-0.01, 0.02), "agrees"),
        ((0.0, 0.01), (-0.05, 0.06), "cannot tell"),
        ((0.0, 0.01), (0.02, 0.06), "disagrees"),
    ],
)
def test_verdicts(published, found, expected):
    assert intervals.verdict(published, found, 3, 0.5) == expected
    assert intervals.verdict(published, found, 2, 0.5) == "cannot tell"


def test_no_verdict_where_the_baseline_leaves_no_room():
    assert intervals.verdict((0.14, 0.15), (-0.01, 0), 3, 1.0) == "cannot tell"
    assert intervals.verdict((0.14, 0.15), (-0.01, 0), 3, 0.8) == "disagrees"
    assert intervals.verdict((-0.2, -0.1), (0, 0.01), 3, 0.05) == "cannot tell"


def test_no_verdict_where_no_clip_was_decided_otherwise():
    assert intervals.verdict((-0.05, -0.03), (0, 0), 3, 1.0) == "cannot tell"
    assert intervals.verdict((-0.05, -0.03), (-0.001, 0), 3, 1.0) == "disagrees"
