"""Changes from one experiment to another, beside the published ones, with a verdict on each."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from instrec.reporting.outcomes import Outcome
from instrec.scoring import intervals, metrics
from instrec.scoring.metrics import BY_PATCH

AVERAGES = ("micro", "macro")
CLASSWISE = "class-wise thresholds"


@dataclass(frozen=True)
class Change:
    """One change under study: a line of the report.

    Parameters
    ----------
    outcome, baseline : Outcome
        The two sides; they may be the same.
    what : str
        'one threshold', 'class-wise thresholds' or 'mean accuracy'.
    strategy : str
        's1', 's2' or 'patch'.
    published : dict of str to (float, float)
        From and to, by average, as shares of 1; unpublished averages are missing.
    """

    outcome: Outcome
    baseline: Outcome
    what: str
    strategy: str
    published: dict[str, tuple[float, float]]

    @property
    def averages(self) -> tuple[str, ...]:
        """The averages that apply; mean accuracy is a macro recall."""
        return ("macro",) if self.strategy == BY_PATCH else AVERAGES

    @property
    def _sides(self) -> tuple[tuple[Outcome, bool], ...]:
        """Return both outcomes, and whether each has one threshold per label."""
        return (self.outcome, self.what == CLASSWISE), (self.baseline, False)

    def values(self, average: str, measure: str = "f-score") -> tuple[np.ndarray, np.ndarray]:
        """Return the measure of each training, for both sides.

        Parameters
        ----------
        average : str
            'micro' or 'macro'.
        measure : str
            'precision', 'recall' or 'f-score'.

        Returns
        -------
        tuple of (np.ndarray, np.ndarray)
            One value per training: of the experiment, and of its baseline.
        """
        return tuple(
            outcome.score(self.strategy, average, measure, classwise=classwise)
            for outcome, classwise in self._sides
        )

    def found(self, average: str, measure: str = "f-score") -> float:
        """Return the difference of the means, as a share of 1.

        Parameters
        ----------
        average : {'micro', 'macro'}
            Over the labels.
        measure : str
            'precision', 'recall' or 'f-score'.

        Returns
        -------
        float
        """
        ours, theirs = self.values(average, measure)
        return float(np.mean(ours) - np.mean(theirs))

    def interval(self, average: str) -> tuple[float, float]:
        """Return the bootstrap interval of the difference: see `instrec.scoring.intervals`.

        Parameters
        ----------
        average : str
            'micro' or 'macro'.

        Returns
        -------
        tuple of (float, float)
        """
        decided = (
            outcome.decisions(self.strategy, average, classwise=classwise)
            for outcome, classwise in self._sides
        )
        if self.strategy == BY_PATCH:
            return intervals.interval(*decided, "mean accuracy", "recall")
        ours, theirs = (outcome.record["recipe"]["weights"] for outcome, _ in self._sides)
        return intervals.interval(*decided, average, same_trainings=ours == theirs)

    def verdict(self, average: str, interval: tuple[float, float]) -> str:
        """Judge the published change by the interval; '' if none was published.

        Parameters
        ----------
        average : {'micro', 'macro'}
            Over the labels.
        interval : (float, float)
            From `interval`.

        Returns
        -------
        {'agrees', 'disagrees', 'cannot tell', ''}
        """
        if average not in self.published:
            return ""
        ours, theirs = self.values(average)
        trainings, baseline = min(len(ours), len(theirs)), float(np.mean(theirs))
        return intervals.verdict(self.published[average], interval, trainings, baseline)


def changes(done: Sequence[Outcome]) -> Iterator[Change]:
    """Yield the changes of each experiment: from its baseline, or by class-wise thresholds alone.

    Parameters
    ----------
    done : sequence of Outcome
        Experiments that have results.

    Yields
    ------
    Change
    """
    by_id = {outcome.experiment.id: outcome for outcome in done}
    for outcome in done:
        experiment, baseline = outcome.experiment, by_id.get(outcome.experiment.baseline)
        for strategy in metrics.STRATEGIES:
            if baseline is not None:
                names = {average: f"{strategy} {average}" for average in AVERAGES}
                published = _published(outcome, baseline, experiment.published_change, names)
                yield Change(outcome, baseline, "one threshold", strategy, published)
            if experiment.published_classwise_change and (baseline or not experiment.baseline):
                points = _by_average(experiment.published_classwise_change)
                yield Change(outcome, baseline or outcome, CLASSWISE, strategy, points)
        if baseline is not None and outcome.confusion and baseline.confusion:
            points, names = experiment.published_accuracy_change, {"macro": "mean accuracy"}
            published = _published(outcome, baseline, points, names)
            yield Change(outcome, baseline, "mean accuracy", BY_PATCH, published)


def _by_average(
    points: Sequence[float] | Mapping[str, Sequence[float]],
) -> dict[str, tuple[float, float]]:
    """Return a published change, of both averages or of those named, as shares of 1."""
    named = points if isinstance(points, Mapping) else dict.fromkeys(AVERAGES, points)
    return {average: tuple(x / 100 for x in both) for average, both in named.items()}


def _published(
    outcome: Outcome, baseline: Outcome, points: Sequence[float] | None, names: Mapping[str, str]
) -> dict[str, tuple[float, float]]:
    """Return the published change or, failing that, the difference of the scores in `names`."""
    if points:
        return _by_average(points)
    found = {}
    for average, name in names.items():
        sides = [o.experiment.published.get(name) for o in (outcome, baseline)]
        if None not in sides:
            ours, theirs = (x[2] if isinstance(x, list) else x for x in sides)
            found[average] = (ours - theirs, ours - theirs)
    return found
