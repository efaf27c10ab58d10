"""Scores against scikit-learn; docs/scores.md, which test_docs.py runs, works them out by hand."""

import warnings

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from instrec.scoring import metrics


def random_decisions(seed, labels=7, clips=40):
    rng = np.random.default_rng(seed)
    y_true = rng.random((clips, labels)) < rng.uniform(0, 0.6, labels)
    y_true[:, 0] = False  # a label that no clip has
    scores = rng.random((clips, labels))
    scores[:, 1] = 0  # a label that is never predicted, except at threshold 0
    return y_true, scores


@pytest.mark.parametrize("seed", range(5))
def test_scores_agree_with_scikit_learn(seed):
    y_true, scores = random_decisions(seed)
    swept = metrics.decide_at_each(scores)
    functions = {None: metrics.classwise, "micro": metrics.micro, "macro": metrics.macro_sklearn}
    for i, threshold in enumerate(metrics.THRESHOLDS):
        for average, function in functions.items():
            expected = sklearn_metrics.precision_recall_fscore_support(
                y_true, scores >= threshold, average=average, zero_division=0
            )
            found = function(y_true, swept)
            for one, other in zip(found, expected[:3], strict=True):
                np.testing.assert_allclose(one[i], other, atol=1e-12)


def test_nothing_true_and_nothing_predicted_gives_zeros_in_silence():
    nothing = np.zeros((4, 3), dtype=bool)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for score in (*metrics.AVERAGES.values(), metrics.classwise):
            for values in score(nothing, nothing):
                assert np.all(values == 0)


def test_thresholds_are_21_steps_of_a_twentieth():
    assert metrics.THRESHOLDS.tolist() == [i / 20 for i in range(21)]


def test_threshold_0_takes_all_and_1_the_strongest():
    scores = metrics.aggregate("s1", [np.array([[0.2, 0.4, 0.1]]), np.array([[0.3, 0.0, 0.0]])])
    decisions = metrics.decide_at_each(scores)
    assert decisions[0].all()
    assert decisions[-1].tolist() == [[False, True, False], [True, False, False]]


@pytest.mark.parametrize(
    "windows", [[(0, 1)], [(0, 6)], [(0, 6), (3, 7)], [(0, 6), (3, 9), (6, 12), (9, 13)]]
)
def test_s2_windows_of_6_by_a_hop_of_3_cover_every_patch(windows):
    """A lit patch lights the windows that hold it: its score is their share."""
    patches = windows[-1][1]
    for lit in range(patches):
        predictions = np.zeros((patches, 2))
        predictions[:, 1] = 1
        predictions[lit, 0] = 1
        share = np.mean([first <= lit < end for first, end in windows])
        assert metrics.s2(predictions)[0] == pytest.approx(share)


def test_optimum_is_the_lowest_of_the_best():
    f_scores = np.zeros((2, 21))
    f_scores[0, 3], f_scores[1, 5], f_scores[:, 8] = 0.9, 0.9, 0.6
    assert metrics.optimum(f_scores) == pytest.approx(0.4)  # the mean counts, not one iteration
    assert metrics.optimum(np.ones((1, 21))) == 0


def test_confusion_matrix_agrees_with_scikit_learn():
    rng = np.random.default_rng(0)
    true, predicted = rng.integers(0, 5, (2, 200))
    expected = sklearn_metrics.confusion_matrix(true, predicted, labels=range(6), normalize="true")
    found = metrics.confusion_matrix(true, predicted, 6)
    np.testing.assert_allclose(found, expected, atol=1e-12)
    assert metrics.mean_accuracy(found) == pytest.approx(
        sklearn_metrics.balanced_accuracy_score(true, predicted), abs=1e-12
    )


def test_ranking_by_hand():
    y_true = np.array([[1, 0, 0, 0], [0, 1, 1, 0], [1, 0, 0, 0]], dtype=bool)
    scores = np.array([[0.9, 0.5, 0.1, 0.2], [0.4, 0.3, 1.0, 0.2], [0.2, 1.0, 0.1, 0.3]])
    # Ranks of the right labels: 1; 3 and 1; 3 -> mean of 1/1, (2/3 + 1/1) / 2, 1/3.
    assert metrics.lrap(y_true, scores) == pytest.approx((1 + 5 / 6 + 1 / 3) / 3)
    # Label 0: its clips rank 1st and 3rd; label 1: 3rd; label 2: 1st; label 3 has no clip.
    expected = ((1 + 2 / 3) / 2 + 1 / 3 + 1) / 3
    assert metrics.mean_average_precision(y_true, scores) == pytest.approx(expected)


def test_what_does_not_fit_or_is_out_of_range_is_refused():
    for y_true, y_pred in (
        (np.ones((4, 3)), np.ones((4, 2))),
        (np.ones(3), np.ones(3)),
        (np.full((2, 3), np.nan), np.ones((2, 3))),
        (np.ones((2, 3)), np.full((2, 3), 0.5)),
    ):
        for score in metrics.AVERAGES.values():
            with pytest.raises(ValueError, match="expected y_true"):
                score(y_true, y_pred)
    for wrong in (np.nan, -0.1, 1.1):
        for decide in (metrics.decide_at_each, lambda scores: metrics.decide(scores, 0.5)):
            with pytest.raises(ValueError, match="from 0 to 1"):
                decide(np.array([[0.5, wrong]]))


def test_calibrated_probabilities_are_as_often_right_as_they_say():
    """Drawn with a known law, which is found again; averages of 0 and 1 are finite."""
    rng = np.random.default_rng(0)
    averaged = rng.uniform(0, 1, (4000, 5))
    truth = 1 / (1 + np.exp(-(2 * np.log(averaged / (1 - averaged)) - 1)))
    calibration = metrics.calibrate(averaged, rng.random(averaged.shape) < truth)
    assert calibration == pytest.approx((2, -1), abs=0.1)
    assert metrics.calibrated(averaged, calibration) == pytest.approx(truth, abs=0.03)
    assert np.isfinite(metrics.calibrated(np.array([0.0, 1.0]), calibration)).all()
    assert metrics.calibrate(averaged, np.zeros(averaged.shape, bool)) is None
