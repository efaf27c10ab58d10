"""What came of the experiments, and whether the data were rendered."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from instrec.config import Config
from instrec.experiments import Experiment, needs, trained
from instrec.reporting import cells
from instrec.scoring import metrics
from instrec.scoring.intervals import Decisions
from instrec.scoring.scores import KEYS

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Outcome:
    """What came of one experiment.

    Parameters
    ----------
    experiment, config
        The experiment, and the parameters that apply to it.
    state : {'done', 'failed', 'left out', 'not run'}
        What became of it.
    reason : str
        Why it is not done.
    record : dict
        Record of the final scores: see `scores.load`; empty if there are none.
    table : pandas.DataFrame
        The final scores.
    clips : dict of str to np.ndarray
        Scores of each clip, as mode 3 saves them.
    confusion : dict
        Result of evaluate.py, mode 1.
    patches : dict of str to np.ndarray
        Patch decisions of each clip, as mode 1 saves them.
    trainings : list of dict
        Record of each training, with `has_learnt`; for an ensemble, those of its members.
    figures : dict of str to str
        Paths relative to the report, by the name of the figure.
    """

    experiment: Experiment
    config: Config
    state: str
    reason: str = ""
    record: dict = field(default_factory=dict)
    table: "pd.DataFrame | None" = None
    clips: dict[str, np.ndarray] = field(default_factory=dict)
    confusion: dict = field(default_factory=dict)
    patches: dict[str, np.ndarray] = field(default_factory=dict)
    trainings: list[dict] = field(default_factory=list)
    figures: dict[str, str] = field(default_factory=dict)

    @property
    def rendered(self) -> bool:
        """Whether its own audio was rendered, according to the results."""
        return self._is_of("rendered")

    @property
    def incomplete(self) -> bool:
        """Whether its audio differs in number from that of the data set as distributed."""
        return self._is_of("incomplete")

    def _is_of(self, kind: str) -> bool:
        texts = [self.record.get("half", ""), self.confusion.get("half", "")]
        texts += [training.get("trained_on", "") for training in self.trainings]
        return any(f"{kind} " in text for text in texts)

    @property
    def learnt(self) -> bool:
        """Whether every training has learnt something."""
        return all(training["has_learnt"] for training in self.trainings)

    @property
    def finished(self) -> bool:
        """Whether every training stopped early, before it ran out of epochs."""
        return all(training["stopped"] for training in self.trainings)

    @property
    def time(self) -> str:
        """How long its trainings took."""
        return cells.duration(sum(training.get("seconds", 0) for training in self.trainings))

    def score(
        self, strategy: str, average: str, measure: str = "f-score", *, classwise: bool = False
    ) -> np.ndarray:
        """Return one measure of each training [trainings]; `measure` may also be 'threshold'.

        Parameters
        ----------
        strategy : {'s1', 's2', 'patch'}
            How the patches of a clip are aggregated; 'patch' takes each alone, and has only a
            macro recall, the mean accuracy.
        average : {'micro', 'macro'}
            Over the labels.
        measure : str
            'precision', 'recall' or 'f-score'.
        classwise : bool
            Whether each label has its own threshold.

        Returns
        -------
        np.ndarray
        """
        if strategy == metrics.BY_PATCH:
            return self.accuracies(strategy)
        kind = "global_classwise" if classwise else "global"
        rows = self.table.set_index(["strategy", "kind", "name"]).sort_index()
        return rows.loc[[(strategy, kind, average)]].sort_values("training")[measure].to_numpy()

    def decisions(self, strategy: str, average: str, *, classwise: bool = False) -> Decisions:
        """Return the decisions on each clip with the best single threshold, or the best per label.

        Parameters
        ----------
        strategy, average : str
            As for `score`.
        classwise : bool
            Whether each label has its own threshold.

        Returns
        -------
        Decisions
        """
        if strategy == metrics.BY_PATCH:
            files, y_true = self.patches["clips"].tolist(), self.patches["y_true"]
            return Decisions.of_patches(files, y_true, self.patches[strategy])
        thresholds = self.score(strategy, average, "threshold")[0]
        if classwise:
            rows = self.table[self.table["kind"] == "classwise"].set_index([*KEYS[3:5], "name"])
            labels = self.record["recipe"]["labels"]
            thresholds = np.array([rows.loc[(0, strategy, x), "threshold"] for x in labels])
        files, y_true = self.clips["clips"].tolist(), self.clips["y_true"]
        return Decisions.of_scores(files, y_true, self.clips[strategy], thresholds)

    def ranking(self, strategy: str, name: str) -> np.ndarray:
        """Return a threshold-free measure of each training [trainings].

        Parameters
        ----------
        strategy : {'s1', 's2'}
            How the patches of a clip are aggregated.
        name : str
            Name of the measure.

        Returns
        -------
        np.ndarray
        """
        table = self.record["ranking"]
        return table[table["strategy"] == strategy][name].to_numpy()

    def accuracies(self, what: str) -> np.ndarray:
        """Return the mean accuracy of the confusion matrix of each training.

        Parameters
        ----------
        what : str
            What decided: a strategy, or 'patch'.

        Returns
        -------
        np.ndarray
        """
        matrices = np.array(self.confusion["matrices"][what])
        return np.array([metrics.mean_accuracy(matrix) for matrix in matrices])


def rendered_among(outcomes: Iterable[Outcome]) -> frozenset[str]:
    """Return the experiments on rendered data, and those that start from their models.

    Parameters
    ----------
    outcomes : iterable of Outcome
        Of all experiments.

    Returns
    -------
    frozenset of str
    """
    done = [outcome for outcome in outcomes if outcome.record]
    makers = {trained(outcome.experiment, outcome.config): outcome for outcome in done}

    def is_rendered(outcome: Outcome) -> bool:  # a source may itself have a source
        sources = needs(outcome.experiment, outcome.config)
        return outcome.rendered or any(is_rendered(makers[x]) for x in sources if x in makers)

    return frozenset(outcome.experiment.id for outcome in done if is_rendered(outcome))


def origin_of(outcomes: Iterable[Outcome], rendered: frozenset[str]) -> str:
    """Say which data the numbers come from.

    Parameters
    ----------
    outcomes : iterable of Outcome
        What came of experiments.
    rendered : collection of str
        Those on rendered data, by name.

    Returns
    -------
    str
    """
    titles: dict[bool, set[str]] = {True: set(), False: set()}
    for outcome in outcomes:
        is_part = " (INCOMPLETE: no score of the whole data set)" if outcome.incomplete else ""
        title = outcome.config.data_set.title + is_part
        titles[outcome.experiment.id in rendered].add(title)
    made, recorded = (", ".join(sorted(titles[kind])) for kind in (True, False))
    if not made:
        return f"Made from the audio of {recorded}." if recorded else "No experiment has results."
    text = (
        f"Made from RENDERED demo data, or starting from a model of such: {made}. They stand in "
        "for the data sets: no number of theirs is a score on IRMAS, Monotimbral or Jazz. Compare "
        "directions."
    )
    return f"{text} Not rendered: {recorded}. Rows say which is which." if recorded else text
