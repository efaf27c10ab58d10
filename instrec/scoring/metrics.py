"""From patch predictions to scores (thesis 4.1.4 and 5.2.1; Han et al. 2017, section III-D).

Conventions: predictions are [patches x labels] and scores [clips x labels], in the order of the
label set; `y_true` and `y_pred` are boolean [clips x labels]. A ratio whose denominator is zero,
as for a label that no clip has, is 0 (scikit-learn's `zero_division=0`).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

THRESHOLDS = np.round(np.linspace(0, 1, 21), 2)  # 0.00, 0.05 ... 1.00
S2_WINDOW = 6  # patches
S2_HOP = 3  # patches


class Score(NamedTuple):
    """Precision, recall and f-score: numbers, or arrays of one shape.

    A named tuple, in this order.
    """

    precision: np.ndarray
    recall: np.ndarray
    f_score: np.ndarray


def s1(predictions: np.ndarray) -> np.ndarray:
    """Average the patches of a clip, then divide by the strongest label.

    Parameters
    ----------
    predictions : np.ndarray [shape=(patches, labels)]
        Outputs of the network, 0 to 1.

    Returns
    -------
    np.ndarray [shape=(labels,)]
        Scores from 0 to 1; the strongest label has 1 (all have 0 if every output is 0).

    Examples
    --------
    >>> s1(np.array([[0.2, 0.8], [0.4, 0.4]])).tolist()  # means 0.3 and 0.6
    [0.5, 1.0]
    """
    return _relative(averages("s1", predictions))


def s2(predictions: np.ndarray) -> np.ndarray:
    """Take the maximum over a sliding window of 6 patches with a hop of 3, then proceed as `s1`.

    The last window holds the rest, so that every patch counts, however long the clip.

    Parameters
    ----------
    predictions : np.ndarray [shape=(patches, labels)]
        Outputs of the network, 0 to 1, in time order.

    Returns
    -------
    np.ndarray [shape=(labels,)]
        Scores from 0 to 1; the strongest label has 1.

    Examples
    --------
    Nine patches make two windows, 0 to 5 and 3 to 8. The first label is loud in the first only, the
    second in both:

    >>> outputs = np.zeros((9, 2))
    >>> outputs[0, 0], outputs[4, 1] = 0.8, 0.8
    >>> s2(outputs).tolist()
    [0.5, 1.0]
    """
    return _relative(averages("s2", predictions))


STRATEGIES = {"s1": s1, "s2": s2}


def averages(strategy: str, predictions: np.ndarray) -> np.ndarray:
    """Average the patches of a clip, or with s2 the maxima of its windows.

    Parameters
    ----------
    strategy : {'s1', 's2'}
        Which.
    predictions : np.ndarray [shape=(patches, labels)]
        Outputs of the network, 0 to 1, in time order.

    Returns
    -------
    np.ndarray [shape=(labels,)]
        What the strategy divides by its maximum.

    Examples
    --------
    >>> averages("s1", np.array([[0.5], [1.0]])), averages("s2", np.array([[0.5], [1.0]]))
    (array([0.75]), array([1.]))
    """
    if strategy == "s2":
        starts = range(0, max(len(predictions) - S2_WINDOW, 0) + S2_HOP, S2_HOP)
        predictions = np.stack([predictions[i : i + S2_WINDOW].max(axis=0) for i in starts])
    return predictions.mean(axis=0, dtype=np.float64)


def _relative(averaged: np.ndarray) -> np.ndarray:
    return averaged / (averaged.max() or 1.0)


def calibrate(averaged: np.ndarray, y_true: np.ndarray) -> tuple[float, float] | None:
    """Fit the probability that a label plays to what a strategy averages before it divides.

    A logistic regression on the log-odds of the averages, one for all labels (Platt 1999).

    Parameters
    ----------
    averaged : np.ndarray [shape=(..., clips, labels)]
        From `averages`, 0 to 1; a leading axis may be trainings.
    y_true : np.ndarray [shape=(clips, labels), dtype=bool]
        Labels of each clip.

    Returns
    -------
    (slope, intercept) : tuple of float, or None
        None if every label plays in every clip, or none.
    """
    from sklearn.linear_model import LogisticRegression

    y_true = np.broadcast_to(y_true, np.shape(averaged)).ravel()
    if y_true.all() or not y_true.any():
        return None
    found = LogisticRegression().fit(_log_odds(averaged).reshape(-1, 1), y_true)
    return float(found.coef_[0, 0]), float(found.intercept_[0])


def calibrated(averaged: np.ndarray, calibration: tuple[float, float]) -> np.ndarray:
    """Return the probability that a label plays: comparable between clips, as scores are not.

    Parameters
    ----------
    averaged : np.ndarray [shape=(..., labels)]
        From `averages`, 0 to 1.
    calibration : tuple of (float, float)
        Slope and intercept, from `calibrate`.

    Returns
    -------
    np.ndarray [shape=(..., labels)]
        From 0 to 1.

    Examples
    --------
    >>> calibrated(np.array([0.2, 0.8]), (1.0, 0.0)).round(2).tolist()
    [0.2, 0.8]
    """
    from scipy.special import expit

    slope, intercept = calibration
    return expit(slope * _log_odds(averaged) + intercept)


def _log_odds(averaged: np.ndarray) -> np.ndarray:
    from scipy.special import logit

    return logit(np.clip(averaged, 1e-4, 1 - 1e-4))


BY_PATCH = "patch"  # instead of a strategy: each patch decides for itself (thesis 5.2.2)


def aggregate(strategy: str, clips: Sequence[np.ndarray]) -> np.ndarray:
    """Aggregate the patches of each clip.

    Parameters
    ----------
    strategy : {'s1', 's2'}
        How.
    clips : sequence of np.ndarray [shape=(patches, labels)]
        Outputs for each clip, of any length.

    Returns
    -------
    np.ndarray [shape=(clips, labels)]

    Examples
    --------
    >>> aggregate("s1", [np.array([[0.5, 1.0]]), np.array([[0.2, 0.1]] * 3)]).round(2).tolist()
    [[0.5, 1.0], [1.0, 0.5]]
    """
    return np.stack([STRATEGIES[strategy](predictions) for predictions in clips])


def precision_recall_f(tp: np.ndarray, fp: np.ndarray, fn: np.ndarray) -> Score:
    """Compute precision, recall and f-score from counts.

    Parameters
    ----------
    tp, fp, fn : np.ndarray
        True positives, false positives and false negatives, all of one shape.

    Returns
    -------
    Score
        Arrays of that shape; 0 where the denominator is 0.

    Examples
    --------
    >>> [float(x) for x in precision_recall_f(3, 1, 1)]
    [0.75, 0.75, 0.75]
    >>> [float(x) for x in precision_recall_f(0, 0, 2)]
    [0.0, 0.0, 0.0]
    """
    tp, fp, fn = (np.asarray(count, dtype=np.float64) for count in (tp, fp, fn))
    return Score(_ratio(tp, tp + fp), _ratio(tp, tp + fn), _ratio(2 * tp, 2 * tp + fp + fn))


def count(y_true: np.ndarray, y_pred: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Count true positives, false positives and false negatives of each label.

    Parameters
    ----------
    y_true : np.ndarray [shape=(clips, labels), dtype=bool]
        Labels of each clip.
    y_pred : np.ndarray [shape=(..., clips, labels), dtype=bool]
        Decisions; leading axes may be thresholds.

    Returns
    -------
    tp, fp, fn : np.ndarray [shape=(..., labels)]

    Raises
    ------
    ValueError
        If the shapes do not match, or an entry is neither 0 nor 1.

    Examples
    --------
    >>> tp, fp, fn = count([[1, 0], [1, 1]], [[1, 1], [0, 1]])
    >>> tp.tolist(), fp.tolist(), fn.tolist()
    ([1, 1], [0, 1], [1, 0])
    """
    y_true, y_pred = np.asarray(y_true), np.asarray(y_pred)
    if y_true.ndim != 2 or y_pred.shape[-2:] != y_true.shape:
        raise ValueError(
            f"expected y_true [clips x labels] and y_pred [... x clips x labels], found the shapes "
            f"{y_true.shape} and {y_pred.shape}"
        )
    for y in (y_true, y_pred):
        if y.dtype != bool and not np.isin(y, (0, 1)).all():
            raise ValueError("expected y_true and y_pred of 0 and 1 only")
    y_true, y_pred = y_true.astype(bool, copy=False), y_pred.astype(bool, copy=False)
    tp = np.sum(y_true & y_pred, axis=-2)
    return tp, np.sum(~y_true & y_pred, axis=-2), np.sum(y_true & ~y_pred, axis=-2)


def classwise(y_true: np.ndarray, y_pred: np.ndarray) -> Score:
    """Score each label separately.

    Parameters
    ----------
    y_true : np.ndarray [shape=(clips, labels), dtype=bool]
        Labels of each clip.
    y_pred : np.ndarray [shape=(..., clips, labels), dtype=bool]
        Decisions; leading axes may be thresholds.

    Returns
    -------
    Score
        Arrays [... x labels].

    Examples
    --------
    >>> classwise([[1, 0], [1, 1]], [[1, 1], [0, 1]]).recall.tolist()
    [0.5, 1.0]
    """
    return precision_recall_f(*count(y_true, y_pred))


def micro(y_true: np.ndarray, y_pred: np.ndarray) -> Score:
    """Score all decisions together.

    Parameters
    ----------
    y_true : np.ndarray [shape=(clips, labels), dtype=bool]
        Labels of each clip.
    y_pred : np.ndarray [shape=(..., clips, labels), dtype=bool]
        Decisions; leading axes may be thresholds.

    Returns
    -------
    Score
        Numbers, or arrays [...].

    Examples
    --------
    >>> round(float(micro([[1, 0], [1, 1]], [[1, 1], [0, 1]]).f_score), 3)  # 2 right of 3 and 3
    0.667
    """
    return precision_recall_f(*(counts.sum(axis=-1) for counts in count(y_true, y_pred)))


def macro(y_true: np.ndarray, y_pred: np.ndarray) -> Score:
    """Average precision and recall over the labels; F = 2PR / (P + R) of these averages.

    This is the thesis' definition (5.2.1); `macro_sklearn` is the more common one.

    Parameters
    ----------
    y_true : np.ndarray [shape=(clips, labels), dtype=bool]
        Labels of each clip.
    y_pred : np.ndarray [shape=(..., clips, labels), dtype=bool]
        Decisions; leading axes may be thresholds.

    Returns
    -------
    Score
        Numbers, or arrays [...].

    Examples
    --------
    >>> score = macro([[1, 0], [1, 1]], [[1, 1], [0, 1]])  # of P 1 and 0.5, R 0.5 and 1
    >>> float(score.precision), float(score.recall), float(score.f_score)
    (0.75, 0.75, 0.75)
    """
    return macro_of(classwise(y_true, y_pred))


def macro_of(labels: Score) -> Score:
    """Average scores over the labels as `macro` does.

    Parameters
    ----------
    labels : Score
        Scores of each label, [... x labels].

    Returns
    -------
    Score
        Arrays [...].

    Examples
    --------
    >>> score = macro_of(classwise([[1, 0], [1, 1]], [[1, 1], [0, 1]]))
    >>> float(score.f_score)
    0.75
    """
    precision, recall = labels.precision.mean(axis=-1), labels.recall.mean(axis=-1)
    return Score(precision, recall, _ratio(2 * precision * recall, precision + recall))


def macro_sklearn(y_true: np.ndarray, y_pred: np.ndarray) -> Score:
    """Average precision, recall and f-score over the labels, as scikit-learn's 'macro'.

    Parameters
    ----------
    y_true : np.ndarray [shape=(clips, labels), dtype=bool]
        Labels of each clip.
    y_pred : np.ndarray [shape=(..., clips, labels), dtype=bool]
        Decisions; leading axes may be thresholds.

    Returns
    -------
    Score
        Numbers, or arrays [...].

    Examples
    --------
    >>> round(float(macro_sklearn([[1, 0], [1, 1]], [[1, 1], [0, 1]]).f_score), 3)
    0.667
    """
    return Score(*(values.mean(axis=-1) for values in classwise(y_true, y_pred)))


AVERAGES = {"micro": micro, "macro": macro, "macro_sklearn": macro_sklearn}


def lrap(y_true: np.ndarray, scores: np.ndarray) -> float:
    """Label ranking average precision: how high a clip's own labels rank among all (Zhong 2023).

    Parameters
    ----------
    y_true : np.ndarray [shape=(clips, labels), dtype=bool]
        Labels of each clip.
    scores : np.ndarray [shape=(clips, labels)]
        Scores; only their order within a clip counts.

    Returns
    -------
    float

    Examples
    --------
    >>> y_true = np.array([[True, False], [False, True]])
    >>> lrap(y_true, np.array([[0.9, 0.1], [0.8, 0.3]]))  # ranks 1 and 2: 1 and 1/2
    0.75
    """
    from sklearn.metrics import label_ranking_average_precision_score

    return float(label_ranking_average_precision_score(y_true, scores))


def mean_average_precision(y_true: np.ndarray, scores: np.ndarray) -> float:
    """Area under each label's precision-recall curve, averaged over the labels that occur.

    Parameters
    ----------
    y_true : np.ndarray [shape=(clips, labels), dtype=bool]
        Labels of each clip.
    scores : np.ndarray [shape=(clips, labels)]
        Scores; only their order among clips counts.

    Returns
    -------
    float

    Examples
    --------
    >>> y_true = np.array([[True, False], [False, False]])
    >>> mean_average_precision(y_true, np.array([[0.9, 0.1], [0.8, 0.3]]))
    1.0
    """
    from sklearn.metrics import average_precision_score

    occurs = np.asarray(y_true).any(axis=0)
    return float(average_precision_score(y_true[:, occurs], scores[:, occurs], average="macro"))


RANKING = {"lrap": lrap, "map": mean_average_precision}  # need no threshold


def decide(scores: np.ndarray, thresholds: np.ndarray | float) -> np.ndarray:
    """Say which labels reach the threshold.

    Parameters
    ----------
    scores : np.ndarray [shape=(clips, labels)]
        Scores from 0 to 1.
    thresholds : float, or np.ndarray [shape=(labels,)]
        One for all, or one per label.

    Returns
    -------
    np.ndarray [shape=(clips, labels), dtype=bool]

    Raises
    ------
    ValueError
        If a score is not from 0 to 1.

    Examples
    --------
    >>> decide(np.array([[0.5, 1.0]]), np.array([0.6, 0.6])).tolist()
    [[False, True]]
    """
    scores = np.asarray(scores)
    if not ((scores >= 0) & (scores <= 1)).all():  # NaN is neither
        raise ValueError("expected scores from 0 to 1")
    return scores >= thresholds


def decide_at_each(scores: np.ndarray, thresholds: np.ndarray = THRESHOLDS) -> np.ndarray:
    """Decide at each threshold in turn.

    Parameters
    ----------
    scores : np.ndarray [shape=(clips, labels)]
        Scores from 0 to 1.
    thresholds : np.ndarray [shape=(thresholds,)]
        Each counts for all labels.

    Returns
    -------
    np.ndarray [shape=(thresholds, clips, labels), dtype=bool]

    Examples
    --------
    >>> decide_at_each(np.array([[0.5, 1.0]]), np.array([0.4, 0.6])).tolist()
    [[[True, True]], [[False, True]]]
    """
    return decide(scores, np.asarray(thresholds)[:, None, None])


def optimum(f_scores: np.ndarray) -> float:
    """Return the threshold with the best f-score, the lowest if several tie.

    Parameters
    ----------
    f_scores : np.ndarray [shape=(trainings, thresholds)]
        Averaged over the trainings before the maximum is taken.

    Returns
    -------
    float
        One of `THRESHOLDS`.

    Examples
    --------
    >>> optimum(np.array([[0.1, 0.5, 0.5] + [0.0] * 18]))
    0.05
    """
    return float(THRESHOLDS[np.argmax(np.mean(f_scores, axis=0))])


def confusion_matrix(true: np.ndarray, predicted: np.ndarray, num_classes: int) -> np.ndarray:
    """Compute the confusion matrix, each row divided by its sum.

    Parameters
    ----------
    true, predicted : np.ndarray [shape=(clips,), dtype=int]
        Class of each clip or patch.
    num_classes : int
        Number of labels.

    Returns
    -------
    np.ndarray [shape=(num_classes, num_classes)]
        Rows are true, columns predicted classes; the row of a class that does not occur is zero.

    Examples
    --------
    >>> confusion_matrix([0, 0, 1], [0, 1, 1], num_classes=2).tolist()
    [[0.5, 0.5], [0.0, 1.0]]
    """
    matrix = np.zeros((num_classes, num_classes))
    np.add.at(matrix, (true, predicted), 1)
    return _ratio(matrix, matrix.sum(axis=1, keepdims=True))


def mean_accuracy(matrix: np.ndarray) -> float:
    """Mean of the diagonal of a normalised confusion matrix, over the classes that occur.

    Parameters
    ----------
    matrix : np.ndarray [shape=(num_classes, num_classes)]
        As `confusion_matrix` gives it.

    Returns
    -------
    float

    Examples
    --------
    >>> mean_accuracy(np.array([[0.5, 0.5], [0.0, 1.0]]))
    0.75
    """
    occurs = matrix.sum(axis=1) > 0
    return float(np.diag(matrix)[occurs].mean()) if occurs.any() else 0.0


def deviation(values: np.ndarray) -> np.ndarray:
    """Compute the sample standard deviation, with n - 1 in the denominator.

    Parameters
    ----------
    values : np.ndarray [shape=(trainings, ...)]
        By training; masked ones do not count.

    Returns
    -------
    np.ndarray [shape=(...)]
        0 for a single training, which says nothing of the spread.

    Examples
    --------
    >>> round(float(deviation([0.4, 0.6])), 3), float(deviation([0.4]))
    (0.141, 0.0)
    """
    values = np.ma.asarray(values)
    return values.std(axis=0, ddof=1 if len(values) > 1 else 0)


def mean_and_deviation(values: Sequence[float]) -> str:
    """Write the mean over trainings, and the sample deviation if there are several.

    Parameters
    ----------
    values : sequence of float
        One per training.

    Returns
    -------
    str

    Examples
    --------
    >>> mean_and_deviation([0.4, 0.6])
    '0.500 ± 0.141'
    """
    text = f"{np.mean(values):.3f}"
    return text if len(values) == 1 else f"{text} ± {deviation(values):.3f}"


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    numerator, denominator = np.broadcast_arrays(numerator, denominator)
    zero = np.zeros(numerator.shape)
    return np.divide(numerator, denominator, out=zero, where=denominator != 0)
