"""The report of the experiments: from what they found to Markdown and HTML.

Everything here is pure: `document` makes blocks (headings, paragraphs, tables, figures) of the
outcomes of experiments, `to_markdown` and `to_html` write them out. Which data the numbers are of
is read from the results, never assumed, and stands at every heading, table and figure.
"""

import html
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from instrec.experiments import AVERAGES, MEAN_ACCURACY, STRATEGIES, Experiment

NONE = "–"  # a cell without a number
NUMBER = re.compile(r"[+−-]?\d")  # how a cell of a number starts, whatever unit follows
PRECISION, RECALL, F_SCORE = range(3)
MIN_RUNS = 2  # trainings of which a spread is known
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


# --- blocks ---------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Heading:
    """A heading of a section."""

    text: str


@dataclass(frozen=True)
class Paragraph:
    """Running text."""

    text: str


@dataclass(frozen=True)
class Table:
    """A table; the first column is text, the others are mostly numbers.

    Parameters
    ----------
    title : str
        Caption.
    header, rows
        Cells.
    of_data : bool
        Whether it is of the data of the report, as its caption then says.
    """

    title: str
    header: tuple[str, ...]
    rows: list[tuple[str, ...]]
    of_data: bool = True


@dataclass(frozen=True)
class Figure:
    """A picture, by its path relative to the report."""

    path: str
    caption: str


Block = Heading | Paragraph | Table | Figure


# --- what the experiments found -------------------------------------------------------------------
@dataclass(frozen=True)
class Outcome:
    """What came of one experiment.

    Parameters
    ----------
    experiment : Experiment
        The experiment.
    state : {'done', 'failed', 'left out', 'not run'}
        What became of it.
    reason : str
        Why it is not done.
    scores : dict
        Of evaluate.py, mode 3; empty if there are none.
    confusion : dict
        Of evaluate.py, mode 1.
    runs : list of dict
        Record of each training, with `has_learnt`; of an ensemble, those of its members.
    seconds : dict of str to float
        Run time of each step, over all sessions.
    figures : dict of str to str
        Pictures by their name, as paths relative to the report.
    made_with : dict
        Commit and versions of the last run, as `storage.environment` gives them.
    """

    experiment: Experiment
    state: str
    reason: str = ""
    scores: dict = field(default_factory=dict)
    confusion: dict = field(default_factory=dict)
    runs: list[dict] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    figures: dict[str, str] = field(default_factory=dict)
    made_with: dict = field(default_factory=dict)

    @property
    def rendered(self) -> bool:
        """Whether its own audio was rendered, as the results themselves say."""
        texts = [self.scores.get("half", ""), self.confusion.get("half", "")]
        texts += [run.get("trained_on", "") for run in self.runs]
        return any("rendered " in text for text in texts)

    @property
    def learnt(self) -> bool:
        """Whether every training has learnt something."""
        return all(run["has_learnt"] for run in self.runs)

    def score(self, strategy: str, average: str, column: int = F_SCORE, *, classwise: bool = False):  # noqa: ANN201
        """Return one score of each iteration [iterations]."""
        kind = "global_classwise" if classwise else "global"
        values = np.array(self.scores["results"][strategy][kind][average], dtype=float)
        return values.reshape(-1, 3)[:, column]

    def ranking(self, strategy: str, name: str) -> np.ndarray | None:
        """Return a metric that needs no threshold, of each iteration, if it is there."""
        of_strategy = self.scores["results"][strategy].get("ranking", {})
        return np.array(of_strategy[name], dtype=float) if name in of_strategy else None

    def threshold(self, strategy: str, average: str) -> float:
        """Return the threshold that was found on the development half."""
        return self.scores["optima"][strategy]["global"][average]

    def accuracies(self, strategy: str) -> np.ndarray:
        """Return the mean accuracy of the confusion matrix of each iteration."""
        from instrec.scoring import metrics

        matrices = np.array(self.confusion["results"][strategy]["confusion"], dtype=float)
        return np.array([metrics.mean_accuracy(matrix) for matrix in matrices])

    def validation(self) -> np.ndarray:
        """Return the best validation accuracy of each training."""
        return np.array([run["best_accuracy"] for run in self.runs])


@dataclass(frozen=True)
class Context:
    """What the report says of itself.

    Parameters
    ----------
    scale : str
        Name of the scale.
    about : dict of str to str
        Facts for the front page: the settings of the scale.
    data_seconds : dict of str to float
        Run time of the steps that prepare data.
    written : dict of str to str
        When and with what the report is written: date, commit, versions.
    """

    scale: str
    about: Mapping[str, str]
    data_seconds: Mapping[str, float] = field(default_factory=dict)
    written: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Origin:
    """What the audio was: in full for headings, in short for tables and figures."""

    full: str
    short: str


def rendered_among(outcomes: Iterable[Outcome]) -> frozenset[str]:
    """Return the experiments of rendered data, and those that start from a model of theirs."""
    done = [outcome for outcome in outcomes if outcome.scores]
    found = {outcome.experiment.id for outcome in done if outcome.rendered}
    while True:
        trained = {o.experiment.trained for o in done if o.experiment.id in found}
        more = {o.experiment.id for o in done if trained.intersection(o.experiment.needs)}
        if more <= found:
            return frozenset(found)
        found |= more


def origin_of(outcomes: Sequence[Outcome]) -> Origin:
    """Say what the numbers of a report are made from, as the results' own records say."""
    counted = rendered_among(outcomes)
    found = {True: set(), False: set()}
    is_starting = False  # whether any, of audio that is not rendered, counts as rendered
    for outcome in outcomes:
        if outcome.scores:
            found[outcome.rendered].add(outcome.experiment.data_set.title)
            is_starting |= outcome.experiment.id in counted and not outcome.rendered
    rendered, others = (", ".join(sorted(found[kind])) for kind in (True, False))
    if rendered and others:
        text = f"RENDERED, not recordings: {rendered}. Not rendered: {others}"
        source = ", as do those of models that start from one of rendered data"
        rows = "Rows and figures of rendered data say so"
        return Origin(f"{text}. {rows}{source * is_starting}.", "partly RENDERED data")
    if rendered:
        return Origin(
            "Made from RENDERED demo data, which stand in for the data sets; these are not scores "
            "on IRMAS, Monotimbral or Jazz: compare directions, not numbers.",
            "RENDERED demo data, not the published data sets",
        )
    if others:
        return Origin(f"Made from the audio of {others}.", f"audio of {others}")
    return Origin("No experiment has results yet.", "no results")


# --- cells ----------------------------------------------------------------------------------------
def mean_text(values: np.ndarray | None, digits: int = 3) -> str:
    """Write the mean of iterations, and their deviation if there are several."""
    if values is None or not len(values):
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


def change_range(published: tuple[float, float] | None) -> str:
    """Write a published change: (1, 3) -> '+1 to +3'."""
    if published is None:
        return NONE
    low, high = (f"{value:+g}".replace("-", "−") for value in published)
    return low if low == high else f"{low} to {high}"


def duration(seconds: float) -> str:
    """Write a run time: 4000 -> '1 h 07 min'."""
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 1:
        return f"{rest} s"
    hours, minutes_rest = divmod(minutes, 60)
    return f"{minutes} min {rest:02d} s" if not hours else f"{hours} h {minutes_rest:02d} min"


def change_of(ours: np.ndarray, baseline: np.ndarray) -> tuple[float, float]:
    """Return the difference of two means, and the deviation of that difference."""
    return float(np.mean(ours) - np.mean(baseline)), float(np.hypot(np.std(ours), np.std(baseline)))


def change_text(ours: np.ndarray, baseline: np.ndarray) -> str:
    """Write a difference in points, with its deviation where there are several iterations."""
    change, deviation = change_of(ours, baseline)
    if len(ours) == len(baseline) == 1:
        return points(change)
    return f"{points(change)} ± {100 * deviation:.1f}"


# --- the document ---------------------------------------------------------------------------------
def document(outcomes: Sequence[Outcome], context: Context) -> list[Block]:
    """Make the report of all experiments.

    Parameters
    ----------
    outcomes : sequence of Outcome
        In the order of their rows.
    context : Context
        What the report says of itself.

    Returns
    -------
    list of Block
        Sections that have nothing to show are left out.
    """
    done = [outcome for outcome in outcomes if outcome.scores]
    by_id = {outcome.experiment.id: outcome for outcome in done}
    rendered = rendered_among(done)
    mixed = bool(rendered) and not all(outcome.rendered for outcome in done)

    def name(outcome: Outcome) -> str:
        marks = ["rendered"] if mixed and outcome.experiment.id in rendered else []
        marks += [] if outcome.learnt else ["has not learnt"]
        return outcome.experiment.id + (f" ({', '.join(marks)})" if marks else "")

    blocks: list[Block] = []
    for section in (
        _about(outcomes, context),
        _notes(outcomes),
        _published(outcomes, name),
        _all_scores(done, name),
        _classwise(done, name),
        _changes(done, by_id, name),
        _transfer(done, by_id, name),
        _confusion(done, name),
        _ranking(done, name),
        _honest(done, by_id, name),
        _figures(done, name),
        _run_times(outcomes, context),
        _failures(outcomes, name),
    ):
        blocks += section
    return blocks


Namer = Callable[[Outcome], str]


def _about(outcomes: Sequence[Outcome], context: Context) -> list[Block]:
    data = {}
    for outcome in outcomes:
        if outcome.scores:
            patches = outcome.runs[0]["training_patches"] if outcome.runs else None
            entry = data.setdefault(outcome.experiment.data_set.title, [outcome, None])
            entry[1] = entry[1] or patches
    rows = [
        (
            title,
            "rendered" if outcome.rendered else "not rendered",
            NONE if patches is None else f"{patches:,}",
            str(outcome.scores["clips"]),
        )
        for title, (outcome, patches) in data.items()
    ]
    states = [outcome.state for outcome in outcomes]
    counts = ", ".join(f"{states.count(s)} {s}" for s in dict.fromkeys(states))
    blocks = [
        Heading("What this is"),
        Paragraph(
            "The experiments of chapter 5 of the thesis, run by reproduce.py, beside what was "
            "published. Ours are means and standard deviations over the trainings from different "
            "random weights; differences are ours minus published, in points (hundredths). "
            f"{len(outcomes)} experiments: {counts}."
        ),
        Table("Made with", ("what", "value"), [*context.about.items(), *_made_with(outcomes)]),
    ]
    if rows:
        header = ("data set", "audio", "training patches", "test clips that are scored")
        blocks.append(Table("Data, as the results say", header, rows))
    if context.written:
        rows = list(context.written.items())
        blocks.append(Table("Report written", ("what", "value"), rows, of_data=False))
    return blocks


def _made_with(outcomes: Iterable[Outcome]) -> list[tuple[str, str]]:
    """List the commits and versions that results were made with, as their records say."""
    found: dict[str, dict[str, None]] = {}  # a dictionary as a set that keeps the order
    for outcome in outcomes:
        # A training is kept from run to run: it can be of an earlier version than the scores.
        for record in (*(run.get("made_with", {}) for run in outcome.runs), outcome.made_with):
            versions = dict(record.get("packages", {}))
            named = {"git commit": "git_commit", "Python": "python"}
            facts = {title: record[key] for title, key in named.items() if key in record}
            for title, value in (facts | versions).items():
                found.setdefault(title, {})[value] = None
    return [(f"results: {title}", ", ".join(values)) for title, values in found.items()]


def _notes(outcomes: Iterable[Outcome]) -> list[Block]:
    rows = [(o.experiment.id, o.experiment.text) for o in outcomes if o.experiment.text]
    table = Table("What the experiments' files say", ("experiment", "note"), rows, of_data=False)
    return _section("Notes on single experiments", table)


def _published(outcomes: Sequence[Outcome], name: Namer) -> list[Block]:
    rows = []
    for outcome in outcomes:
        published = outcome.experiment.published
        if not outcome.scores or _is_transfer(outcome):
            continue
        for strategy in STRATEGIES:
            for average in AVERAGES:
                theirs = published.get(f"{strategy} {average}")
                if theirs is None:
                    continue
                theirs = theirs if isinstance(theirs, tuple) else (None, None, theirs)
                threshold = published.get(f"{strategy} threshold")
                rows += (
                    (name(outcome), strategy, title)
                    + _beside(outcome, strategy, of_ours, theirs, threshold)
                    for of_ours, title in OURS[average].items()
                )
    header = ("experiment", "strategy", "average", "F published", "F ours", "P published", "P ours")
    header += ("R published", "R ours", "difference of F", "threshold published", "ours")
    note = macro_note(outcome.experiment for outcome in outcomes)
    return _section(
        "Scores beside the published ones (thesis 5.3 and 5.4)",
        Paragraph(f"Ours is set beside a published macro F in both of its meanings. {note}"),
        Table("Precision, recall and F, one threshold for all labels", (*header, "run time"), rows),
    )


def _beside(
    outcome: Outcome,
    strategy: str,
    average: str,
    theirs: tuple[float | None, ...],
    threshold: float | None,
) -> tuple[str, ...]:
    """Return the cells of one row: published precision, recall and F, and ours by `average`."""
    ours = [outcome.score(strategy, average, i) for i in range(3)]
    columns = (F_SCORE, PRECISION, RECALL)
    cells = [cell for i in columns for cell in (number(theirs[i]), mean_text(ours[i]))]
    return (
        *cells,
        difference(ours[F_SCORE], theirs[F_SCORE]),
        number(threshold, 2),
        f"{outcome.threshold(strategy, average):.2f}",
        duration(sum(outcome.seconds.values())),
    )


def macro_note(published: Iterable[Experiment]) -> str:
    """Say what the published macro F are, as far as published precision and recall tell."""
    found = []  # what it is, F of the published precision and recall, published F
    for experiment in published:
        for strategy in STRATEGIES:
            theirs = experiment.published.get(f"{strategy} macro")
            if isinstance(theirs, tuple) and theirs[PRECISION] + theirs[RECALL]:
                what = f"{experiment.id} {strategy}"
                found.append((what, f_of(theirs[PRECISION], theirs[RECALL]), theirs[F_SCORE]))
    others = [row for row in found if abs(row[1] - row[2]) > ROUNDING]
    if not others:
        return "The thesis defines it as F = 2PR/(P+R) of the mean precision and recall."
    told = "; ".join(f"{what} {f:.3f}, published {theirs:.3f}" for what, f, theirs in others)
    text = (
        "The thesis defines it as F = 2PR/(P+R) of the mean precision and recall, but the "
        f"published F are not those of the published P and R (by the formula {told})."
    )
    if all(f > theirs for _, f, theirs in others):
        text += " They fit a mean of the labels' F, which is never above F of the mean P and R."
    return text


def f_of(precision: float, recall: float) -> float:
    """Return the f-score of a precision and a recall that are not both 0."""
    return 2 * precision * recall / (precision + recall)


def _all_scores(done: Sequence[Outcome], name: Namer) -> list[Block]:
    rows = [
        (
            name(outcome),
            strategy,
            *(
                mean_text(outcome.score(strategy, average, classwise=classwise))
                for classwise in (False, True)
                for average in AVERAGES
            ),
            duration(sum(outcome.seconds.values())),
        )
        for outcome in done
        for strategy in STRATEGIES
    ]
    header = ("experiment", "strategy", "micro F", "macro F")
    header += ("micro F, class-wise thresholds", "macro F, class-wise thresholds", "run time")
    return _section(
        "Final scores of every experiment",
        Table("F on the pure half of the test data", header, rows),
    )


def _classwise(done: Sequence[Outcome], name: Namer) -> list[Block]:
    rows = []
    for outcome in done:
        experiment = outcome.experiment
        if experiment.published_classwise_change is None or experiment.baseline:
            continue
        for strategy in STRATEGIES:
            changes = (
                change_text(
                    outcome.score(strategy, average, classwise=True),
                    outcome.score(strategy, average),
                )
                for average in AVERAGES
            )
            published = change_range(experiment.published_classwise_change)
            rows.append((name(outcome), strategy, published, *changes))
    header = ("experiment", "strategy", "published", "micro F", "macro F")
    title = "Change of F by a threshold for each label, against one for all, in points"
    return _section("Class-wise thresholds (thesis 5.4)", Table(title, header, rows))


def _changes(done: Sequence[Outcome], by_id: Mapping[str, Outcome], name: Namer) -> list[Block]:
    rows = []
    for outcome in done:
        experiment = outcome.experiment
        baseline = by_id.get(experiment.baseline)
        if baseline is None or _is_transfer(outcome):
            continue
        kinds = [(False, experiment.published_change)]
        if experiment.published_classwise_change is not None:
            kinds.append((True, experiment.published_classwise_change))
        for classwise, published in kinds:
            changes = (
                change_text(
                    outcome.score(strategy, average, classwise=classwise),
                    baseline.score(strategy, average),
                )
                for strategy in STRATEGIES
                for average in AVERAGES
            )
            what = name(outcome) + (", class-wise thresholds" if classwise else "")
            answers, against = experiment.answers, name(baseline)
            rows.append((what, against, answers, change_range(published), *changes))
    header = ("experiment", "against", "answers", "published")
    header += tuple(f"{strategy} {average}" for strategy in STRATEGIES for average in AVERAGES)
    return _section(
        "Changes to the system, against the baseline (thesis 5.5 and 5.6)",
        Table("Change of F in points", header, rows),
    )


def _transfer(done: Sequence[Outcome], by_id: Mapping[str, Outcome], name: Namer) -> list[Block]:
    rows, header = [], ["experiment", "what"]
    for average in AVERAGES:
        header.append(f"{average} F published")
        for title in OURS[average].values():
            header += [f"ours, {title}", f"difference, {title}", f"against from scratch, {title}"]
    transfers = list(filter(_is_transfer, done))
    for outcome in transfers:
        published, baseline = outcome.experiment.published, by_id.get(outcome.experiment.baseline)
        cells = []
        for average in AVERAGES:
            theirs = published.get(f"s1 {average}")
            theirs = theirs[F_SCORE] if isinstance(theirs, tuple) else theirs
            cells.append(number(theirs))
            for of_ours in OURS[average]:
                ours, scratch = outcome.score("s1", of_ours), NONE
                if baseline is not None:
                    scratch = change_text(ours, baseline.score("s1", of_ours))
                cells += [mean_text(ours), difference(ours, theirs), scratch]
        title = outcome.experiment.title
        rows.append((name(outcome), title, *cells, duration(sum(outcome.seconds.values()))))
    title = "F of strategy s1; differences and changes in points"
    return _section(
        "Transfer learning (thesis 5.9)",
        Paragraph(
            "One pass trains a new output layer, all else is frozen; two passes then train all "
            "layers. The source is the model trained with Adam in every row, and training number "
            "n starts from training number n of the source. Where F alone is published, which "
            "macro F is meant is not known: ours is set beside it in both meanings."
        ),
        *_first_passes(transfers),
        Table(title, (*header, "run time"), rows),
    )


def _first_passes(transfers: Iterable[Outcome]) -> list[Block]:
    """Name the trainings of two passes whose best epoch, which is scored, was in the first."""
    found = []
    for outcome in transfers:
        passes = [run["best_pass"] for run in outcome.runs if "best_pass" in run]
        if outcome.experiment.overrides.get("transfer_passes") == 2 and 1 in passes:
            found.append(f"{outcome.experiment.id} ({passes.count(1)} of {len(passes)} trainings)")
    if not found:
        return []
    return [
        Paragraph(
            "The best epoch, whose weights are scored, was in the first of two passes, so that "
            f"the second changed nothing, in: {', '.join(found)}."
        )
    ]


def _confusion(done: Sequence[Outcome], name: Namer) -> list[Block]:
    rows = []
    for outcome in done:
        if outcome.confusion:
            theirs = outcome.experiment.published.get(MEAN_ACCURACY)
            ours = [outcome.accuracies(strategy) for strategy in STRATEGIES]
            cells = (cell for o in ours for cell in (mean_text(o), difference(o, theirs)))
            rows.append((name(outcome), outcome.confusion["half"], number(theirs, 4), *cells))
    header = ("experiment", "clips of", "published", "s1", "difference", "s2", "difference")
    held_out = any(outcome.confusion and _is_held_out(outcome) for outcome in done)
    return _section(
        "Confusion matrices",
        *([Paragraph(f"{CHOSEN_ON_HELD_OUT}.")] if held_out else []),
        Table("Mean accuracy, the mean of the diagonal", header, rows),
    )


def _is_held_out(outcome: Outcome) -> bool:
    """Tell whether the confusion matrix is of training data, as test clips have several labels."""
    return outcome.experiment.data_set.multi_label_test


def _ranking(done: Sequence[Outcome], name: Namer) -> list[Block]:
    rows = []
    for outcome in done:
        for strategy in STRATEGIES:
            scores = [outcome.score(strategy, a) for a in ("micro", "macro", "macro_sklearn")]
            scores += [outcome.ranking(strategy, metric) for metric in ("lrap", "map")]
            rows.append((name(outcome), strategy, *map(mean_text, scores)))
    header = ("experiment", "strategy", "micro F", "macro F (thesis: of mean P and R)")
    header += ("macro F (scikit-learn: mean of F)", "LRAP", "mean average precision")
    theirs = [(who, *map(number, values)) for who, *values in LATER]
    return _section(
        "What later papers report",
        Paragraph(
            "LRAP is label ranking average precision, and mean average precision is the mean over "
            "the labels; both need no threshold. The two macro F are different things, of which "
            "the thesis' is usually the higher one."
        ),
        Table("All metrics, one threshold for all labels", header, rows),
        Table(
            "Published by others on IRMAS' test set, not measured here",
            ("system", "micro F", "macro F, as the paper defines it", "LRAP"),
            theirs,
            of_data=False,
        ),
    )


def _honest(done: Sequence[Outcome], by_id: Mapping[str, Outcome], name: Namer) -> list[Block]:
    blocks = []
    for outcome in done:
        split_by = outcome.experiment.overrides.get("split_by", "patch")
        patchwise = by_id.get(outcome.experiment.baseline)
        if split_by != "patch" and patchwise is not None:
            blocks += _honest_answer(patchwise, outcome, split_by, name)
    return _section("How much does the patch-wise split flatter?", *blocks)


def _honest_answer(patchwise: Outcome, apart: Outcome, split_by: str, name: Namer) -> list[Block]:
    measures = {"best validation accuracy": (patchwise.validation(), apart.validation())}
    for strategy in STRATEGIES if patchwise.confusion and apart.confusion else ():
        measures[f"mean accuracy of the confusion matrix, {strategy}"] = (
            patchwise.accuracies(strategy),
            apart.accuracies(strategy),
        )
    for strategy in STRATEGIES:
        for average in AVERAGES:
            measures[f"F on test clips, {strategy} {average}"] = (
                patchwise.score(strategy, average),
                apart.score(strategy, average),
            )
    rows = [
        (measure, mean_text(patch), mean_text(other), change_text(patch, other))
        for measure, (patch, other) in measures.items()
    ]
    flattered = [
        f"the {measure} by {_more_or_less(patch, other)} ({np.mean(patch):.3f} against "
        f"{np.mean(other):.3f})"
        for measure, (patch, other) in measures.items()
        if not measure.startswith("F on")
    ]
    tested = [
        100 * change_of(patch, other)[0]
        for measure, (patch, other) in measures.items()
        if measure.startswith("F on")
    ]
    names = f"{name(patchwise)} and {name(apart)}"
    text = (
        f"On the data of {names}, a split by patch instead of by {split_by} changes "
        f"{'; '.join(flattered)}. On the test clips, which neither has seen, the F-scores differ "
        f"by {min(tested):+.1f} to {max(tested):+.1f} points: "
        f"{_verdict(measures['best validation accuracy'], tested)}."
    )
    header = ("measure", "split by patch", f"split by {split_by}", "difference in points")
    notes = []
    if patchwise.confusion and apart.confusion and _is_held_out(apart):
        notes.append(Paragraph(f"{CHOSEN_ON_HELD_OUT} with both splits."))
    if not (patchwise.learnt and apart.learnt):
        notes.append(Paragraph("Not every one of these trainings has learnt."))
    return [Paragraph(text), *notes, Table(f"{names}: what the split does", header, rows)]


def _more_or_less(patch: np.ndarray, other: np.ndarray) -> str:
    change, deviation = change_of(patch, other)
    spread = f" ± {100 * deviation:.1f}" if len(patch) > 1 else ""
    return f"{100 * change:+.1f}{spread} points"


def _verdict(validation: tuple[np.ndarray, np.ndarray], tested: Sequence[float]) -> str:
    """Say what the change in validation is: nothing beyond its spread, a loss, flattery or skill.

    Parameters
    ----------
    validation : tuple of np.ndarray
        Accuracies of the trainings with the patch-wise split, and with the other one.
    tested : sequence of float
        Changes of F on the test clips, in points.
    """
    if min(map(len, validation)) < MIN_RUNS:
        return f"no verdict, which takes {MIN_RUNS} trainings of each, for their spread"
    change, deviation = (100 * value for value in change_of(*validation))
    adds = "what the patch-wise split adds in validation is"
    if abs(change) <= 2 * deviation or not change:
        return f"{adds} not more than the spread of the trainings"
    if change < 0:
        return "the patch-wise split does not flatter here, validation is worse with it"
    if np.mean(tested) < change / 2:
        return f"{adds} flattery, not skill"
    return f"{adds} found on the test clips as well"


def _figures(done: Sequence[Outcome], name: Namer) -> list[Block]:
    blocks = [
        Figure(path, f"{name(outcome)}: {outcome.experiment.title} – {what}")
        for outcome in done
        for what, path in outcome.figures.items()
    ]
    return _section("Figures", *blocks)


def _run_times(outcomes: Sequence[Outcome], context: Context) -> list[Block]:
    steps = list(dict.fromkeys(step for outcome in outcomes for step in outcome.seconds))
    rows = [
        (
            outcome.experiment.id,
            *(duration(outcome.seconds[s]) if s in outcome.seconds else NONE for s in steps),
            duration(sum(outcome.seconds.values())),
        )
        for outcome in outcomes
        if outcome.seconds
    ]
    of_experiments = sum(sum(outcome.seconds.values()) for outcome in outcomes)
    of_data = sum(context.data_seconds.values())
    data_rows = [(step, duration(seconds)) for step, seconds in context.data_seconds.items()]
    total = f"In all {duration(of_experiments + of_data)}: {duration(of_data)} for the data and "
    return _section(
        "Run times",
        Paragraph(f"{total}{duration(of_experiments)} for the experiments, over all sessions."),
        Table("Preparing data", ("step", "run time"), data_rows),
        Table("Experiments", ("experiment", *steps, "in all"), rows),
    )


def _failures(outcomes: Sequence[Outcome], name: Namer) -> list[Block]:
    rows = [
        (outcome.experiment.id, outcome.state, outcome.reason)
        for outcome in outcomes
        if outcome.state != "done"
    ]
    flat = [
        (
            name(outcome),
            str(number_),
            f"{run['best_accuracy']:.3f}",
            f"{run['chance']:.3f}",
        )
        for outcome in outcomes
        if outcome.experiment.trains
        for number_, run in enumerate(outcome.runs)
        if not run["has_learnt"]
    ]
    header = ("experiment", "training", "best validation accuracy", "chance")
    tables = (
        Table("Not done", ("experiment", "state", "why"), rows),
        Table("Trainings that have not learnt: their scores say nothing", header, flat),
    )
    blocks = [Heading("What is missing, and what has not learnt")]
    blocks += [Paragraph("Every experiment is done.")] if not rows else []
    blocks += [Paragraph("Every training has learnt.")] if not flat else []
    return blocks + [table for table in tables if table.rows]


def _section(title: str, *blocks: Block) -> list[Block]:
    """Put a heading before tables with rows, figures and texts; none if there is only text."""
    shown = [block for block in blocks if not (isinstance(block, Table) and not block.rows)]
    has_results = any(isinstance(block, Table | Figure) for block in shown)
    return [Heading(title), *shown] if has_results else []


def _is_transfer(outcome: Outcome) -> bool:
    return bool(outcome.experiment.overrides.get("transfer_from"))


# --- writing it out -------------------------------------------------------------------------------
def to_markdown(title: str, origin: Origin, blocks: Sequence[Block]) -> str:
    """Write blocks as Markdown; every heading, table and figure says what the numbers are of."""
    parts = [f"# {_plain(title)}", f"> **{_plain(origin.full)}**"]
    for block in blocks:
        if isinstance(block, Heading):
            parts += [f"## {_plain(block.text)}", f"> {_plain(origin.full)}"]
        elif isinstance(block, Paragraph):
            parts.append(_plain(block.text))
        elif isinstance(block, Figure):
            caption = _plain(_caption(block.caption, origin))
            parts.append(f"![{caption}]({block.path})\n\n*{caption}*")
        else:
            marks = tuple("---" if text else "---:" for text in text_columns(block))
            lines = [block.header, marks, *block.rows]
            rows = "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines)
            caption = _caption(block.title, origin if block.of_data else None)
            parts.append(f"**{_plain(caption)}**\n\n{rows}")
    return "\n\n".join(parts) + "\n"


def text_columns(table: Table) -> list[bool]:
    """Tell the columns of text, which stand to the left: the first, and those of no numbers."""
    return [
        i == 0 or any(row[i] != NONE and not NUMBER.match(row[i]) for row in table.rows)
        for i in range(len(table.header))
    ]


def _caption(text: str, origin: Origin | None) -> str:
    return f"{text} ({origin.short})" if origin else text


def _plain(text: str) -> str:
    """Escape what Markdown would take for marks; underscores within words are none."""
    for mark in ("\\", "*", "`", "[", "]", "<", "|"):
        text = text.replace(mark, "&lt;" if mark == "<" else f"\\{mark}")
    return " ".join(text.split())


def _cell(text: str) -> str:
    return _plain(text)


CSS = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1a1a1a; max-width: 75rem; margin: 0 auto;
  padding: 0 1.5rem 3rem; }
.origin { position: sticky; top: 0; margin: 0 -1.5rem; padding: .5rem 1.5rem; z-index: 1;
  background: #fff3d6; border-bottom: 2px solid #d55e00; font-weight: 600; }
h2 { margin-top: 2.5rem; border-bottom: 1px solid #ccc; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
caption { text-align: left; font-weight: 600; padding: .5rem 0; }
th, td { padding: .2rem .6rem; border-bottom: 1px solid #e2e2e2; text-align: right; }
th { vertical-align: bottom; border-bottom: 2px solid #888; font-weight: 600; }
th.text, td.text { text-align: left; }
figure { margin: 1.5rem 0; }
figure img { max-width: 100%; max-height: 34rem; }
figcaption, .of { color: #555; font-size: .9em; }
"""


def to_html(title: str, origin: Origin, blocks: Sequence[Block]) -> str:
    """Write blocks as one HTML page; what the numbers are of stays in sight on every screenful."""
    parts = []
    for block in blocks:
        if isinstance(block, Heading):
            parts.append(f"<h2>{_html(block.text)}</h2>\n<p class='of'>{_html(origin.full)}</p>")
        elif isinstance(block, Paragraph):
            parts.append(f"<p>{_html(block.text)}</p>")
        elif isinstance(block, Figure):
            caption = _html(_caption(block.caption, origin))
            image = f"<img src='{_html(block.path)}' alt='{caption}' loading='lazy'>"
            parts.append(f"<figure>{image}<figcaption>{caption}</figcaption></figure>")
        else:
            parts.append(_html_table(block, origin))
    body = "\n".join(parts)
    return (
        "<!DOCTYPE html>\n<html lang='en'>\n<head>\n<meta charset='utf-8'>\n"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>\n"
        f"<title>{_html(title)} ({_html(origin.short)})</title>\n<style>{CSS}</style>\n</head>\n"
        f"<body>\n<div class='origin'>{_html(origin.full)}</div>\n<h1>{_html(title)}</h1>\n"
        f"{body}\n</body>\n</html>\n"
    )


def _html_table(table: Table, origin: Origin) -> str:
    classes = [" class='text'" if text else "" for text in text_columns(table)]

    def row(cells: tuple[str, ...], tag: str) -> str:
        marked = zip(cells, classes, strict=True)
        return "<tr>" + "".join(f"<{tag}{c}>{_html(cell)}</{tag}>" for cell, c in marked) + "</tr>"

    rows = "\n".join(row(cells, "td") for cells in table.rows)
    caption = _html(_caption(table.title, origin if table.of_data else None))
    return (
        f"<div class='scroll' tabindex='0'><table>\n<caption>{caption}</caption>\n"
        f"<thead>{row(table.header, 'th')}</thead>\n<tbody>\n{rows}\n</tbody>\n</table></div>"
    )


def _html(text: str) -> str:
    return html.escape(" ".join(text.split()))
