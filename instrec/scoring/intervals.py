"""How sure a difference between two models is: intervals over clips and trainings.

The bootstrap (Efron and Tibshirani 1993) resamples clips and trainings with replacement, and takes
the difference each time: the interval spans the middle 95 % of the differences. Models that are
scored on the same clips share each draw of clips. Drawing both clips and trainings tends to give
too wide an interval where trainings differ by chance in single clips.
"""

from dataclasses import dataclass

import numpy as np

from instrec.scoring import metrics

DRAWS = 2000
CONFIDENCE = 0.95
MIN_TRAININGS = 3  # of each side, for a verdict
NO_CHANGE = 0.02  # to confirm a published change of about 0, an interval may exceed it by this


@dataclass(frozen=True)
class Decisions:
    """What was decided for each clip, in counts.

    Parameters
    ----------
    clips : tuple of str
        File name of each clip.
    tp, fp, fn : np.ndarray [shape=(trainings, clips, labels)]
        True positives, false positives and false negatives: 0 or 1, or numbers of patches.
    """

    clips: tuple[str, ...]
    tp: np.ndarray
    fp: np.ndarray
    fn: np.ndarray

    @classmethod
    def of_scores(
        cls, clips: list[str], y_true: np.ndarray, scores: np.ndarray, thresholds: np.ndarray
    ) -> "Decisions":
        """Decide by thresholds: one for all labels, or one per label.

        Parameters
        ----------
        clips : list of str
            File names.
        y_true : np.ndarray [shape=(clips, labels), dtype=bool]
            Labels of each clip.
        scores : np.ndarray [shape=(trainings, clips, labels)]
            From 0 to 1.
        thresholds : np.ndarray [shape=() or (labels,)]
            From 0 to 1.

        Returns
        -------
        Decisions
        """
        y_pred = metrics.decide(scores, thresholds)
        return cls(tuple(clips), y_true & y_pred, ~y_true & y_pred, y_true & ~y_pred)

    @classmethod
    def of_patches(cls, clips: list[str], y_true: np.ndarray, predicted: np.ndarray) -> "Decisions":
        """Count, for each clip, the patches that were decided for each label.

        Parameters
        ----------
        clips : list of str
            File names.
        y_true : np.ndarray [shape=(clips, labels), dtype=bool]
            The one label of each clip.
        predicted : np.ndarray [shape=(trainings, clips, labels)]
            Numbers of patches.

        Returns
        -------
        Decisions
            For the mean accuracy of the confusion matrix by patch.
        """
        total = predicted.sum(axis=-1, keepdims=True)
        tp = predicted * y_true
        return cls(tuple(clips), tp, predicted * ~y_true, total * y_true - tp)

    def resampled(
        self, average: str, measure: int, clip_weights: np.ndarray, drawn: np.ndarray
    ) -> np.ndarray:
        """Score each draw of clips, averaged over a draw of trainings: [draws].

        Parameters
        ----------
        average : str
            As for `interval`.
        measure : int
            Index in `metrics.Score`: 0 is precision, 1 recall, 2 the f-score.
        clip_weights : np.ndarray [shape=(draws, clips)]
            How often each clip was drawn.
        drawn : np.ndarray [shape=(trainings, draws)]
            Which trainings were drawn.

        Returns
        -------
        np.ndarray [shape=(draws,)]
        """
        counts = (clip_weights @ c.astype(np.float64) for c in (self.tp, self.fp, self.fn))
        found = _SCORES[average](*counts)[measure]  # [trainings x draws]
        return np.take_along_axis(found, drawn, axis=0).mean(axis=0)


def _mean_accuracy(tp: np.ndarray, fp: np.ndarray, fn: np.ndarray) -> metrics.Score:
    """Average the recall of labels that occur, as `metrics.mean_accuracy` does."""
    recall = metrics.precision_recall_f(tp, fp, fn).recall
    mean = recall.sum(axis=-1) / np.count_nonzero(tp + fn, axis=-1)
    return metrics.Score(np.nan, mean, np.nan)


# From true positives, false positives and false negatives [... x labels].
_SCORES = {
    "micro": lambda *counts: metrics.precision_recall_f(*(x.sum(axis=-1) for x in counts)),
    "macro": lambda *counts: metrics.macro_of(metrics.precision_recall_f(*counts)),
    "mean accuracy": _mean_accuracy,
}


def interval(
    ours: Decisions,
    baseline: Decisions,
    average: str,
    measure: str = "f_score",
    *,
    same_trainings: bool = False,
    seed: int = 0,
) -> tuple[float, float]:
    """Compute the interval of a difference.

    Parameters
    ----------
    ours, baseline : Decisions
        Of the two models.
    average : {'micro', 'macro', 'mean accuracy'}
        Over the labels; the last one has only a recall.
    measure : {'precision', 'recall', 'f_score'}
        What is compared.
    same_trainings : bool
        Whether the same networks decided on both sides, as with other thresholds: the same ones are
        drawn for both, then.
    seed : int
        Of the draws.

    Returns
    -------
    low, high : float
        Bounds of our score minus the baseline's, in shares of 1.

    Examples
    --------
    >>> y_true = np.eye(2, dtype=bool)[[0, 1] * 50]
    >>> right, wrong = np.stack([y_true] * 3), np.stack([~y_true] * 3)
    >>> clips = [f"{i}.wav" for i in range(100)]
    >>> sides = [Decisions.of_scores(clips, y_true, y.astype(float), 0.5) for y in (right, wrong)]
    >>> interval(*sides, "micro")
    (1.0, 1.0)
    """
    rng = np.random.default_rng(seed)
    weights = _draws(rng, len(ours.clips))
    base_weights = weights if ours.clips == baseline.clips else _draws(rng, len(baseline.clips))
    i = metrics.Score._fields.index(measure)
    drawn = _trainings(rng, ours)
    base_drawn = drawn if same_trainings else _trainings(rng, baseline)
    differences = ours.resampled(average, i, weights, drawn)
    differences -= baseline.resampled(average, i, base_weights, base_drawn)
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(differences, (tail, 1 - tail))
    return float(low), float(high)


def _draws(rng: np.random.Generator, clips: int) -> np.ndarray:
    """Say how often each clip is drawn: [draws x clips]."""
    return rng.multinomial(clips, np.full(clips, 1 / clips), size=DRAWS).astype(np.float64)


def _trainings(rng: np.random.Generator, side: Decisions) -> np.ndarray:
    """Draw trainings, as many as there are: [trainings x draws]."""
    return rng.integers(len(side.tp), size=(len(side.tp), DRAWS))


def verdict(
    published: tuple[float, float], found: tuple[float, float], trainings: int, baseline: float
) -> str:
    """Say whether an interval agrees with a published change.

    Parameters
    ----------
    published : tuple of float
        From and to.
    found : tuple of float
        Our interval, in the same unit: shares of 1. One of zero width, as where every clip is
        right with and without the change, says nothing about other clips.
    trainings : int
        Number on the side that has fewer.
    baseline : float
        Our score without the change: where it leaves no room for the smallest published change,
        as at 1, the verdict is 'cannot tell'.

    Returns
    -------
    {'agrees', 'disagrees', 'cannot tell'}
        It disagrees where the interval and the published range do not overlap. Where they do, it
        agrees if the interval excludes 0; or, where the published range includes 0, if instead the
        interval exceeds that range by `NO_CHANGE` at most.

    Examples
    --------
    >>> verdict((0.01, 0.03), (0.005, 0.05), 3, 0.6), verdict((0.01, 0.03), (-0.05, 0.05), 3, 0.6)
    ('agrees', 'cannot tell')
    >>> verdict((0.01, 0.03), (-0.05, 0), 3, 0.6), verdict((0.01, 0.03), (-0.05, 0), 3, 0.995)
    ('disagrees', 'cannot tell')
    """
    (first, last), (low, high) = published, found
    has_room = first <= 1 - baseline and last >= -baseline
    if trainings < MIN_TRAININGS or not has_room or low == high:
        return "cannot tell"
    if high < first or low > last:
        return "disagrees"
    if first <= 0 <= last:
        settled = low >= first - NO_CHANGE and high <= last + NO_CHANGE
    else:
        settled = low > 0 or high < 0
    return "agrees" if settled else "cannot tell"
