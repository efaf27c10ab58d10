"""How much a split by patch flatters: the section of the report that answers it."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from instrec.reporting.cells import change_of, change_text, mean_text
from instrec.reporting.outcomes import Outcome
from instrec.scoring import metrics

STRATEGIES, AVERAGES = tuple(metrics.STRATEGIES), ("micro", "macro")
MIN_TRAININGS = 2  # of which a spread is known
CHOSEN_ON_HELD_OUT = (
    "Where test clips have several labels, the confusion matrix is of a held-out half of the "
    "training data, which also chose the best epoch of each network: its accuracy is optimistic"
)

Namer = Callable[[Outcome], str]
Table = Callable[[str, Sequence[str], Sequence[Sequence[str]]], str]


def compare_splits(
    done: Sequence[Outcome], by_id: Mapping[str, Outcome], name: Namer, table: Table
) -> list[str]:
    """Set experiments that split by file or recording beside their baselines."""
    blocks = []
    for apart in done:
        by_patch, split_by = by_id.get(apart.experiment.baseline), apart.config.split_by
        if split_by != "patch" and by_patch is not None:
            blocks += _split_answer(by_patch, apart, split_by, name, table)
    return blocks


def _split_answer(
    by_patch: Outcome, apart: Outcome, split_by: str, name: Namer, table: Table
) -> list[str]:
    """Set a split by patch beside one that keeps files or recordings together."""
    chosen = {"best validation accuracy": (by_patch.validation(), apart.validation())}
    if by_patch.confusion and apart.confusion:
        chosen |= {
            f"mean accuracy of the confusion matrix, {s}": (
                by_patch.accuracies(s),
                apart.accuracies(s),
            )
            for s in STRATEGIES
        }
    tested = {
        f"F on test clips, {strategy} {average}": (
            by_patch.score(strategy, average),
            apart.score(strategy, average),
        )
        for strategy in STRATEGIES
        for average in AVERAGES
    }
    names = f"{name(by_patch)} and {name(apart)}"
    changes = [100 * change_of(*pair)[0] for pair in tested.values()]
    flattered = [
        f"the {measure} by {change_text(*pair)} points ({np.mean(pair[0]):.3f} against "
        f"{np.mean(pair[1]):.3f})"
        for measure, pair in chosen.items()
    ]
    rows = [
        (measure, mean_text(first), mean_text(second), change_text(first, second))
        for measure, (first, second) in (chosen | tested).items()
    ]
    verdict = _verdict(chosen["best validation accuracy"], changes)
    return [
        f"On the data of {names}, a split by patch instead of by {split_by} changes "
        f"{'; '.join(flattered)}. On the test clips, which neither has seen, the F-scores differ "
        f"by {min(changes):+.1f} to {max(changes):+.1f} points: {verdict}.",
        f"{CHOSEN_ON_HELD_OUT} with both splits." if by_patch.confusion else "",
        "" if by_patch.learnt and apart.learnt else "Not every one of these trainings has learnt.",
        table(
            f"{names}: what the split does",
            ("measure", "split by patch", f"split by {split_by}", "difference in points"),
            rows,
        ),
    ]


def _verdict(validation: tuple[np.ndarray, np.ndarray], tested: Sequence[float]) -> str:
    """Say what the change in validation is: nothing beyond its spread, a loss, flattery or skill.

    Parameters
    ----------
    validation : tuple of np.ndarray
        Accuracies of the trainings with the patch-wise split, and with the other one.
    tested : sequence of float
        Changes of F on the test clips, in points.
    """
    if min(map(len, validation)) < MIN_TRAININGS:
        return f"no verdict, which takes {MIN_TRAININGS} trainings of each, for their spread"
    change, deviation = (100 * value for value in change_of(*validation))
    adds = "what the patch-wise split adds in validation is"
    if abs(change) <= 2 * deviation or not change:
        return f"{adds} not more than the spread of the trainings"
    if change < 0:
        return "the patch-wise split does not flatter here, validation is worse with it"
    if np.mean(tested) < change / 2:
        return f"{adds} flattery, not skill"
    return f"{adds} found on the test clips as well"
