"""The report of the experiments, as Markdown: what they found beside what was published.

Everything here is pure: `document` makes the text of the outcomes of experiments. Which data the
numbers are of is read from the results, never assumed, and stands above the report and at every
table and figure of results.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from instrec.config import Config
from instrec.experiments import Experiment, needs, trained
from instrec.scoring import metrics

if TYPE_CHECKING:
    import pandas as pd

NONE = "–"  # a cell without a number
NUMBER = re.compile(r"[+−-]?\d")  # how a cell of a number starts, whatever unit follows
STRATEGIES, AVERAGES = tuple(metrics.STRATEGIES), ("micro", "macro")
MIN_TRAININGS = 2  # of which a spread is known
ROUNDING = 0.0015  # of an f-score that is worked out from precision and recall of three digits
# The averages of ours that a published one is set beside: which of both is meant is not sure.
OURS = {
    "micro": {"micro": "micro"},
    "macro": {"macro": "macro, 2PR/(P+R)", "macro_sklearn": "macro, mean of the labels' F"},
}
CHOSEN_ON_HELD_OUT = (
    "Where test clips have several labels, the confusion matrix is of a held-out half of the "
    "training data, which also chose the best epoch of each network: its accuracy is optimistic"
)
# Published scores on the test set of IRMAS: micro F, macro F as the paper has it, LRAP.
LATER = (
    ("Han et al. 2017, ensemble", 0.629, 0.517, None),
    ("thesis 2018, s1", 0.568, 0.471, None),
    ("thesis 2018, s2", 0.574, 0.475, None),
    ("Pons et al. 2017", 0.589, 0.516, None),
    ("Zhong et al. 2023", 0.674, None, 0.814),
)


@dataclass(frozen=True)
class Outcome:
    """What came of one experiment.

    Parameters
    ----------
    experiment, config
        The experiment, and the parameters that count for it.
    state : {'done', 'failed', 'left out', 'not run'}
        What became of it.
    reason : str
        Why it is not done.
    record : dict
        Of the final scores: see `scores.load`; empty if there are none.
    table : pandas.DataFrame
        The final scores.
    confusion : dict
        Of evaluate.py, mode 1.
    trainings : list of dict
        Record of each training, with `has_learnt`; of an ensemble, those of its members.
    figures : dict of str to str
        Pictures by their name, as paths relative to the report.
    """

    experiment: Experiment
    config: Config
    state: str
    reason: str = ""
    record: dict = field(default_factory=dict)
    table: "pd.DataFrame | None" = None
    confusion: dict = field(default_factory=dict)
    trainings: list[dict] = field(default_factory=list)
    figures: dict[str, str] = field(default_factory=dict)

    @property
    def rendered(self) -> bool:
        """Whether its own audio was rendered, as the results themselves say."""
        texts = [self.record.get("half", ""), self.confusion.get("half", "")]
        texts += [training.get("trained_on", "") for training in self.trainings]
        return any("rendered " in text for text in texts)

    @property
    def learnt(self) -> bool:
        """Whether every training has learnt something."""
        return all(training["has_learnt"] for training in self.trainings)

    @property
    def time(self) -> str:
        """How long its trainings took."""
        return duration(sum(training.get("seconds", 0) for training in self.trainings))

    def score(
        self, strategy: str, average: str, measure: str = "f-score", *, classwise: bool = False
    ) -> np.ndarray:
        """Return one measure of each training [trainings]; `measure` may be 'threshold', too."""
        kind = "global_classwise" if classwise else "global"
        rows = self.table.set_index(["strategy", "kind", "name"]).sort_index()
        return rows.loc[[(strategy, kind, average)]].sort_values("training")[measure].to_numpy()

    def ranking(self, strategy: str, name: str) -> np.ndarray:
        """Return a measure that needs no threshold, of each training [trainings]."""
        table = self.record["ranking"]
        return table[table["strategy"] == strategy][name].to_numpy()

    def accuracies(self, strategy: str) -> np.ndarray:
        """Return the mean accuracy of the confusion matrix of each training."""
        matrices = np.array(self.confusion["matrices"][strategy])
        return np.array([metrics.mean_accuracy(matrix) for matrix in matrices])

    def validation(self) -> np.ndarray:
        """Return the best validation accuracy of each training."""
        return np.array([training["best_accuracy"] for training in self.trainings])


# --- what the data were ---------------------------------------------------------------------------
def rendered_among(outcomes: Iterable[Outcome]) -> frozenset[str]:
    """Return the experiments of rendered data, and those that start from a model of theirs."""
    done = [outcome for outcome in outcomes if outcome.record]
    found = {outcome.experiment.id for outcome in done if outcome.rendered}
    while True:
        sources = {trained(o.experiment, o.config) for o in done if o.experiment.id in found}
        more = {o.experiment.id for o in done if sources & {*needs(o.experiment, o.config)}}
        if more <= found:
            return frozenset(found)
        found |= more


def origin_of(outcomes: Sequence[Outcome]) -> tuple[str, str]:
    """Say what the numbers are made from: in full for the head, in short for tables."""
    titles: dict[bool, set[str]] = {True: set(), False: set()}
    counted = rendered_among(outcomes)
    for outcome in outcomes:
        if outcome.record:
            titles[outcome.experiment.id in counted].add(outcome.config.data_set.title)
    rendered, recorded = (", ".join(sorted(titles[kind])) for kind in (True, False))
    if rendered and recorded:
        return (
            f"RENDERED, not recordings, or starting from a model of rendered data: {rendered}. "
            f"Not rendered: {recorded}. Rows and figures of rendered data say so.",
            "partly RENDERED data",
        )
    if rendered:
        return (
            "Made from RENDERED demo data, which stand in for the data sets; these are not scores "
            "on IRMAS, Monotimbral or Jazz: compare directions, not numbers.",
            "RENDERED demo data, not the published data sets",
        )
    if recorded:
        return f"Made from the audio of {recorded}.", f"audio of {recorded}"
    return "No experiment has results yet.", "no results"


# --- cells ----------------------------------------------------------------------------------------
def mean_text(values: np.ndarray, digits: int = 3) -> str:
    """Write the mean of trainings, and their deviation if there are several."""
    if not len(values):
        return NONE
    text = f"{np.mean(values):.{digits}f}"
    return text if len(values) == 1 else f"{text} ± {np.std(values):.{digits}f}"


def number(value: float | None, digits: int = 3) -> str:
    """Write a published number, if there is one."""
    return NONE if value is None else f"{value:.{digits}f}"


def points(value: float | None) -> str:
    """Write a difference of shares in points: 0.031 -> '+3.1'."""
    return NONE if value is None else f"{100 * value:+.1f}".replace("-", "−")


def difference(ours: np.ndarray, published: float | None) -> str:
    """Write how far the mean of ours is from a published share, in points."""
    return NONE if published is None else points(float(np.mean(ours)) - published)


def change_range(published: Sequence[float] | None) -> str:
    """Write a published change: (1, 3) -> '+1 to +3'."""
    if published is None:
        return NONE
    low, high = (f"{value:+g}".replace("-", "−") for value in published)
    return low if low == high else f"{low} to {high}"


def duration(seconds: float) -> str:
    """Write a time: 4000 -> '1 h 06 min'."""
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 1:
        return f"{rest} s"
    hours, minutes_rest = divmod(minutes, 60)
    return f"{minutes} min {rest:02d} s" if not hours else f"{hours} h {minutes_rest:02d} min"


def change_of(ours: np.ndarray, baseline: np.ndarray) -> tuple[float, float]:
    """Return the difference of two means, and the deviation of that difference."""
    return float(np.mean(ours) - np.mean(baseline)), float(np.hypot(np.std(ours), np.std(baseline)))


def change_text(ours: np.ndarray, baseline: np.ndarray) -> str:
    """Write a difference in points, with its deviation where there are several trainings."""
    change, deviation = change_of(ours, baseline)
    if len(ours) == len(baseline) == 1:
        return points(change)
    return f"{points(change)} ± {100 * deviation:.1f}"


def f_of(precision: float, recall: float) -> float:
    """Return the f-score of a precision and a recall that are not both 0."""
    return 2 * precision * recall / (precision + recall)


def markdown_table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Write a table with its title above; '' if it has no rows. Numbers stand to the right."""
    if not rows:
        return ""
    is_text = [
        i == 0 or any(row[i] != NONE and not NUMBER.match(row[i]) for row in rows)
        for i in range(len(header))
    ]
    marks = ["---" if text else "---:" for text in is_text]
    lines = [list(map(plain, header)), marks, *(list(map(plain, row)) for row in rows)]
    return f"**{plain(title)}**\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines)


def plain(text: str) -> str:
    """Escape what Markdown would take for marks; underscores within words are none."""
    for mark in ("\\", "*", "`", "[", "]", "<", "|"):
        text = text.replace(mark, "&lt;" if mark == "<" else f"\\{mark}")
    return " ".join(text.split())


# --- the document ---------------------------------------------------------------------------------
Namer = Callable[[Outcome], str]


def document(title: str, about: Mapping[str, str], outcomes: Sequence[Outcome]) -> str:
    """Write the report of all experiments.

    Parameters
    ----------
    title : str
        Of the report.
    about : mapping of str to str
        Facts for the front page: scale, settings, when and with what it is written.
    outcomes : sequence of Outcome
        In the order of their rows.

    Returns
    -------
    str
        Markdown. Sections that have nothing to show are left out.
    """
    done = [outcome for outcome in outcomes if outcome.record]
    by_id = {outcome.experiment.id: outcome for outcome in done}
    rendered = rendered_among(done)
    mixed = bool(rendered) and len(rendered) < len(done)
    full, short = origin_of(outcomes)

    def name(outcome: Outcome) -> str:
        marks = ["rendered"] if mixed and outcome.experiment.id in rendered else []
        marks += [] if outcome.learnt else ["has not learnt"]
        return outcome.experiment.id + (f" ({', '.join(marks)})" if marks else "")

    def table(caption: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
        return markdown_table(f"{caption} ({short})", header, rows)

    sections = {
        "What this is": _about(outcomes, about),
        "Notes on single experiments": _notes(outcomes),
        "Scores beside the published ones": _published(done, name, table),
        "Final scores of every experiment": _all_scores(done, name, table),
        "Class-wise thresholds": _classwise(done, name, table),
        "Changes to the system, against the baseline": _changes(done, by_id, name, table),
        "Transfer learning": _transfer(done, by_id, name, table),
        "Confusion matrices": _confusion(done, name, table),
        "What later papers report": _ranking(done, name, table),
        "How much does the patch-wise split flatter?": _splits(done, by_id, name, table),
        "Figures": _figures(done, name, short),
        "What is missing, and what has not learnt": _failures(outcomes, name),
    }
    blocks = [f"# {plain(title)}", f"> **{plain(full)}**"]
    for heading, texts in sections.items():
        shown = [text for text in texts if text]
        if any("|" in text or "![" in text or heading.startswith("What") for text in shown):
            blocks += [f"## {heading}", *shown]
    return "\n\n".join(blocks) + "\n"


Table = Callable[[str, Sequence[str], Sequence[Sequence[str]]], str]


def _about(outcomes: Sequence[Outcome], about: Mapping[str, str]) -> list[str]:
    states = [outcome.state for outcome in outcomes]
    counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
    rows = {}
    for outcome in outcomes:
        if outcome.record:
            patches = [f"{t['training_patches']:,}" for t in outcome.trainings[:1]]
            kind = "rendered" if outcome.rendered else "not rendered"
            cells = (kind, *(patches or [NONE]), str(outcome.record["clips"]))
            rows.setdefault(outcome.config.data_set.title, cells)
    return [
        "The experiments of chapter 5 of the thesis, run by reproduce.py, beside what was "
        "published. Ours are means and standard deviations over the trainings from different "
        "random weights; differences are ours minus published, in points (hundredths). "
        f"{len(outcomes)} experiments: {counts}.",
        markdown_table("Made with", ("what", "value"), [*about.items(), *_made_with(outcomes)]),
        markdown_table(
            "Data, as the results say",
            ("data set", "audio", "training patches", "test clips that are scored"),
            [(title, *cells) for title, cells in rows.items()],
        ),
    ]


def _made_with(outcomes: Iterable[Outcome]) -> list[tuple[str, str]]:
    """List the commits and versions that results were made with, as their records say."""
    found: dict[str, dict[str, None]] = {}  # a dictionary as a set that keeps the order
    for outcome in outcomes:
        for training in outcome.trainings:
            made_with = training.get("made_with", {})
            facts = {"git commit": made_with.get("git_commit"), "Python": made_with.get("python")}
            for title, value in (facts | made_with.get("packages", {})).items():
                if value:
                    found.setdefault(title, {})[value] = None
    return [(f"results: {title}", ", ".join(values)) for title, values in found.items()]


def _notes(outcomes: Iterable[Outcome]) -> list[str]:
    rows = [(o.experiment.id, o.experiment.note) for o in outcomes if o.experiment.note]
    return [markdown_table("What the experiments' files say", ("experiment", "note"), rows)]


def _published(done: Sequence[Outcome], name: Namer, table: Table) -> list[str]:
    rows = []
    for outcome in done:
        published = outcome.experiment.published
        if outcome.config.transfer_from:
            continue
        for strategy in STRATEGIES:
            for average in AVERAGES:
                theirs = published.get(f"{strategy} {average}")
                if theirs is None:
                    continue
                theirs = theirs if isinstance(theirs, list) else [None, None, theirs]
                by_measure = dict(zip(("precision", "recall", "f-score"), theirs, strict=True))
                for average_of_ours, title in OURS[average].items():
                    cells = []
                    for measure in ("f-score", "precision", "recall"):
                        ours = outcome.score(strategy, average_of_ours, measure)
                        cells += [number(by_measure[measure]), mean_text(ours)]
                    f_score = outcome.score(strategy, average_of_ours)
                    threshold = outcome.score(strategy, average_of_ours, "threshold")[0]
                    cells += [difference(f_score, theirs[2])]
                    cells += [number(published.get(f"{strategy} threshold"), 2)]
                    cells += [f"{threshold:.2f}", outcome.time]
                    rows.append((name(outcome), strategy, title, *cells))
    header = ("experiment", "strategy", "average", "F published", "F ours", "P published", "P ours")
    header += ("R published", "R ours", "difference of F", "threshold published", "ours")
    note = macro_note(outcome.experiment for outcome in done)
    title = "Precision, recall and F, one threshold for all labels"
    return [
        f"Ours is set beside a published macro F in both of its meanings. {note}",
        table(title, (*header, "training time"), rows),
    ]


def macro_note(published: Iterable[Experiment]) -> str:
    """Say what the published macro F are, as far as published precision and recall tell."""
    found = []  # what it is, F of the published precision and recall, published F
    for experiment in published:
        for strategy in STRATEGIES:
            theirs = experiment.published.get(f"{strategy} macro")
            if isinstance(theirs, list) and theirs[0] + theirs[1]:
                found.append((f"{experiment.id} {strategy}", f_of(*theirs[:2]), theirs[2]))
    different = [row for row in found if abs(row[1] - row[2]) > ROUNDING]
    if not different:
        return "The thesis defines it as F = 2PR/(P+R) of the mean precision and recall."
    told = "; ".join(f"{what} {f:.3f}, published {theirs:.3f}" for what, f, theirs in different)
    text = (
        "The thesis defines it as F = 2PR/(P+R) of the mean precision and recall, but the "
        f"published F are not those of the published P and R (by the formula {told})."
    )
    if all(f > theirs for _, f, theirs in different):
        text += " They fit a mean of the labels' F, which is never above F of the mean P and R."
    return text


def _all_scores(done: Sequence[Outcome], name: Namer, table: Table) -> list[str]:
    rows = [
        (
            name(outcome),
            strategy,
            *(
                mean_text(outcome.score(strategy, average, classwise=classwise))
                for classwise in (False, True)
                for average in AVERAGES
            ),
            outcome.time,
        )
        for outcome in done
        for strategy in STRATEGIES
    ]
    header = ("experiment", "strategy", "micro F", "macro F")
    header += ("micro F, class-wise thresholds", "macro F, class-wise thresholds", "training time")
    return [table("F on the pure half of the test data", header, rows)]


def _classwise(done: Sequence[Outcome], name: Namer, table: Table) -> list[str]:
    rows = [
        (
            name(outcome),
            strategy,
            change_range(outcome.experiment.published_classwise_change),
            *(
                change_text(
                    outcome.score(strategy, average, classwise=True),
                    outcome.score(strategy, average),
                )
                for average in AVERAGES
            ),
        )
        for outcome in done
        for strategy in STRATEGIES
        if outcome.experiment.published_classwise_change and not outcome.experiment.baseline
    ]
    title = "Change of F by a threshold for each label, against one for all, in points"
    return [table(title, ("experiment", "strategy", "published", "micro F", "macro F"), rows)]


def _changes(
    done: Sequence[Outcome], by_id: Mapping[str, Outcome], name: Namer, table: Table
) -> list[str]:
    rows = []
    for outcome in done:
        experiment = outcome.experiment
        baseline = by_id.get(experiment.baseline)
        if baseline is None or outcome.config.transfer_from:
            continue
        kinds = {False: experiment.published_change}
        if experiment.published_classwise_change is not None:
            kinds[True] = experiment.published_classwise_change
        for classwise, published in kinds.items():
            changes = (
                change_text(
                    outcome.score(strategy, average, classwise=classwise),
                    baseline.score(strategy, average),
                )
                for strategy in STRATEGIES
                for average in AVERAGES
            )
            what = name(outcome) + (", class-wise thresholds" if classwise else "")
            rows.append(
                (what, name(baseline), experiment.answers, change_range(published), *changes)
            )
    header = ("experiment", "against", "answers", "published")
    header += tuple(f"{strategy} {average}" for strategy in STRATEGIES for average in AVERAGES)
    return [table("Change of F in points", header, rows)]


def _transfer(
    done: Sequence[Outcome], by_id: Mapping[str, Outcome], name: Namer, table: Table
) -> list[str]:
    rows, header = [], ["experiment", "what"]
    for average in AVERAGES:
        header.append(f"{average} F published")
        for title in OURS[average].values():
            header += [f"ours, {title}", f"difference, {title}", f"against from scratch, {title}"]
    transfers = [outcome for outcome in done if outcome.config.transfer_from]
    for outcome in transfers:
        published, baseline = outcome.experiment.published, by_id.get(outcome.experiment.baseline)
        cells = []
        for average in AVERAGES:
            theirs = published.get(f"s1 {average}")
            theirs = theirs[2] if isinstance(theirs, list) else theirs
            cells.append(number(theirs))
            for average_of_ours in OURS[average]:
                ours, scratch = outcome.score("s1", average_of_ours), NONE
                if baseline is not None:
                    scratch = change_text(ours, baseline.score("s1", average_of_ours))
                cells += [mean_text(ours), difference(ours, theirs), scratch]
        rows.append((name(outcome), outcome.experiment.title, *cells, outcome.time))
    passes = {
        o.experiment.id: [t["best_pass"] for t in o.trainings if "best_pass" in t]
        for o in transfers
        if o.config.transfer_passes == 2
    }
    first = [f"{id_} ({p.count(1)} of {len(p)} trainings)" for id_, p in passes.items() if 1 in p]
    return [
        "One pass trains a new output layer, all else is frozen; two passes then train all layers. "
        "The source is the model trained with Adam in every row, and training number n starts from "
        "training number n of the source. Where F alone is published, which macro F is meant is "
        "not known: ours is set beside it in both meanings.",
        "The best epoch, whose weights are scored, was in the first of two passes, so that the "
        f"second changed nothing, in: {', '.join(first)}."
        if first
        else "",
        table(
            "F of strategy s1; differences and changes in points",
            (*header, "training time"),
            rows,
        ),
    ]


def _confusion(done: Sequence[Outcome], name: Namer, table: Table) -> list[str]:
    rows = []
    for outcome in done:
        if outcome.confusion:
            theirs = outcome.experiment.published.get("mean accuracy")
            ours = [outcome.accuracies(strategy) for strategy in STRATEGIES]
            cells = (cell for o in ours for cell in (mean_text(o), difference(o, theirs)))
            rows.append((name(outcome), outcome.confusion["half"], number(theirs, 4), *cells))
    header = ("experiment", "clips of", "published", "s1", "difference", "s2", "difference")
    held_out = any(o.confusion and o.config.data_set.multi_label_test for o in done)
    title = "Mean accuracy, the mean of the diagonal"
    return [f"{CHOSEN_ON_HELD_OUT}." if held_out else "", table(title, header, rows)]


def _ranking(done: Sequence[Outcome], name: Namer, table: Table) -> list[str]:
    rows = []
    for outcome in done:
        for strategy in STRATEGIES:
            scores = [outcome.score(strategy, average) for average in metrics.AVERAGES]
            scores += [outcome.ranking(strategy, measure) for measure in metrics.RANKING]
            rows.append((name(outcome), strategy, *map(mean_text, scores)))
    header = ("experiment", "strategy", "micro F", "macro F (thesis: of mean P and R)")
    header += ("macro F (scikit-learn: mean of F)", "LRAP", "mean average precision")
    if not rows:
        return []
    return [
        "LRAP is label ranking average precision, and mean average precision is the mean over the "
        "labels; both need no threshold. The two macro F are different things, of which the "
        "thesis' is usually the higher one.",
        table("All metrics, one threshold for all labels", header, rows),
        markdown_table(
            "Published by others on IRMAS' test set, not measured here",
            ("system", "micro F", "macro F, as the paper defines it", "LRAP"),
            [(who, *map(number, values)) for who, *values in LATER],
        ),
    ]


def _splits(
    done: Sequence[Outcome], by_id: Mapping[str, Outcome], name: Namer, table: Table
) -> list[str]:
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


def _figures(done: Sequence[Outcome], name: Namer, origin: str) -> list[str]:
    figures = []
    for outcome in done:
        for what, path in outcome.figures.items():
            caption = plain(f"{name(outcome)}: {outcome.experiment.title} – {what} ({origin})")
            figures.append(f"![{caption}]({path})\n\n*{caption}*")
    return figures


def _failures(outcomes: Sequence[Outcome], name: Namer) -> list[str]:
    missing = [(o.experiment.id, o.state, o.reason) for o in outcomes if o.state != "done"]
    flat = [
        (name(o), str(i), f"{training['best_accuracy']:.3f}", f"{training['chance']:.3f}")
        for o in outcomes
        if o.experiment.trains
        for i, training in enumerate(o.trainings)
        if not training["has_learnt"]
    ]
    header = ("experiment", "training", "best validation accuracy", "chance")
    title = "Trainings that have not learnt: their scores say nothing"
    return [
        "" if missing else "Every experiment is done.",
        "" if flat else "Every training has learnt.",
        markdown_table("Not done", ("experiment", "state", "why"), missing),
        markdown_table(title, header, flat),
    ]
