"""The report of the experiments: from what they found to Markdown and HTML.

Everything here is pure: `document` makes blocks (headings, paragraphs, tables, figures) of the
outcomes of experiments, `to_markdown` and `to_html` write them out. Which data the numbers are of
is read from the results, never assumed, and stands at every heading, table and figure.
"""

import html
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from instrec.experiments import AVERAGES, MEAN_ACCURACY, STRATEGIES, Experiment

NONE = "–"  # a cell without a number
PRECISION, RECALL, F_SCORE = range(3)
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
    """A table; the first column is text, the others are mostly numbers."""

    title: str
    header: tuple[str, ...]
    rows: list[tuple[str, ...]]


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
    """

    experiment: Experiment
    state: str
    reason: str = ""
    scores: dict = field(default_factory=dict)
    confusion: dict = field(default_factory=dict)
    runs: list[dict] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    figures: dict[str, str] = field(default_factory=dict)

    @property
    def rendered(self) -> bool:
        """Whether the audio was rendered, as the results themselves say."""
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
        from instrec import metrics

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
        Facts for the front page: settings, versions, date, commit.
    data_seconds : dict of str to float
        Run time of the steps that prepare data.
    """

    scale: str
    about: Mapping[str, str]
    data_seconds: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Origin:
    """What the audio was: in full for headings, in short for tables and figures."""

    full: str
    short: str


def origin_of(outcomes: Iterable[Outcome]) -> Origin:
    """Say what the numbers of a report are made from, as the results' own records say."""
    found = {True: set(), False: set()}
    for outcome in outcomes:
        if outcome.scores:
            found[outcome.rendered].add(outcome.experiment.data_set.title)
    rendered, others = (", ".join(sorted(found[kind])) for kind in (True, False))
    if rendered and others:
        text = f"RENDERED, not recordings: {rendered}. Not rendered: {others}"
        return Origin(f"{text}. Rows of rendered data say so.", "partly RENDERED data")
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
    mixed = len({outcome.rendered for outcome in done}) > 1

    def name(outcome: Outcome) -> str:
        marks = ["rendered"] if mixed and outcome.rendered else []
        marks += [] if outcome.learnt else ["has not learnt"]
        return outcome.experiment.id + (f" ({', '.join(marks)})" if marks else "")

    blocks: list[Block] = []
    for section in (
        _about(outcomes, context),
        _published(done, name),
        _all_scores(done, name),
        _classwise(done, name),
        _changes(done, by_id, name),
        _transfer(done, by_id, name),
        _confusion(done, name),
        _ranking(done, name),
        _honest(done, by_id),
        _figures(done),
        _run_times(outcomes, context),
        _failures(outcomes),
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
        Table("Made with", ("what", "value"), list(context.about.items())),
    ]
    if rows:
        header = ("data set", "audio", "training patches", "test clips that are scored")
        blocks.append(Table("Data, as the results say", header, rows))
    return blocks


def _published(done: Sequence[Outcome], name: Namer) -> list[Block]:
    rows = []
    for outcome in done:
        published = outcome.experiment.published
        if _is_transfer(outcome):
            continue
        for strategy in STRATEGIES:
            for average in AVERAGES:
                theirs = published.get(f"{strategy} {average}")
                if theirs is None:
                    continue
                theirs = theirs if isinstance(theirs, tuple) else (None, None, theirs)
                ours = [outcome.score(strategy, average, i) for i in range(3)]
                rows.append(
                    (name(outcome), strategy, average)
                    + tuple(
                        cell
                        for i in (F_SCORE, PRECISION, RECALL)
                        for cell in (number(theirs[i]), mean_text(ours[i]))
                    )
                    + (
                        difference(ours[F_SCORE], theirs[F_SCORE]),
                        number(published.get(f"{strategy} threshold"), 2),
                        f"{outcome.threshold(strategy, average):.2f}",
                        duration(sum(outcome.seconds.values())),
                    )
                )
    header = ("experiment", "strategy", "average", "F published", "F ours", "P published", "P ours")
    header += ("R published", "R ours", "difference of F", "threshold published", "ours")
    return _section(
        "Scores beside the published ones (thesis 5.3 and 5.4)",
        Table("Precision, recall and F, one threshold for all labels", (*header, "run time"), rows),
    )


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
    rows = []
    for outcome in filter(_is_transfer, done):
        published, baseline = outcome.experiment.published, by_id.get(outcome.experiment.baseline)
        cells = []
        for average in AVERAGES:
            theirs, ours = published.get(f"s1 {average}"), outcome.score("s1", average)
            scratch = NONE if baseline is None else change_text(ours, baseline.score("s1", average))
            cells += [number(theirs), mean_text(ours), difference(ours, theirs), scratch]
        title = outcome.experiment.title
        rows.append((name(outcome), title, *cells, duration(sum(outcome.seconds.values()))))
    header = ("experiment", "what")
    for average in AVERAGES:
        header += (f"{average} F published", "ours", "difference", "ours against from scratch")
    return _section(
        "Transfer learning (thesis 5.9)",
        Paragraph(
            "One pass trains a new output layer, all else is frozen; two passes then train all "
            "layers. The source is the model trained with Adam in every row, and training number "
            "n starts from training number n of the source."
        ),
        Table("F of strategy s1; the last of each group in points", (*header, "run time"), rows),
    )


def _confusion(done: Sequence[Outcome], name: Namer) -> list[Block]:
    rows = []
    for outcome in done:
        if outcome.confusion:
            theirs = outcome.experiment.published.get(MEAN_ACCURACY)
            ours = [outcome.accuracies(strategy) for strategy in STRATEGIES]
            cells = (cell for o in ours for cell in (mean_text(o), difference(o, theirs)))
            rows.append((name(outcome), outcome.confusion["half"], number(theirs, 4), *cells))
    header = ("experiment", "clips of", "published", "s1", "difference", "s2", "difference")
    return _section(
        "Confusion matrices", Table("Mean accuracy, the mean of the diagonal", header, rows)
    )


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
        ),
    )


def _honest(done: Sequence[Outcome], by_id: Mapping[str, Outcome]) -> list[Block]:
    blocks = []
    for outcome in done:
        split_by = outcome.experiment.overrides.get("split_by", "patch")
        patchwise = by_id.get(outcome.experiment.baseline)
        if split_by != "patch" and patchwise is not None:
            blocks += _honest_answer(patchwise, outcome, split_by)
    return _section("How much does the patch-wise split flatter?", *blocks)


def _honest_answer(patchwise: Outcome, apart: Outcome, split_by: str) -> list[Block]:
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
    text = (
        f"On this data, a split by patch instead of by {split_by} changes {'; '.join(flattered)}. "
        f"On the test clips, which neither has seen, the F-scores differ by {min(tested):+.1f} to "
        f"{max(tested):+.1f} points: what the patch-wise split adds in validation is "
        f"{_verdict(measures['best validation accuracy'], tested)}."
    )
    names = f"{patchwise.experiment.id} and {apart.experiment.id}"
    header = ("measure", "split by patch", f"split by {split_by}", "difference in points")
    learnt = patchwise.learnt and apart.learnt
    warning = [] if learnt else [Paragraph("Not every one of these trainings has learnt.")]
    return [Paragraph(text), *warning, Table(f"{names}: what the split does", header, rows)]


def _more_or_less(patch: np.ndarray, other: np.ndarray) -> str:
    change, deviation = change_of(patch, other)
    spread = f" ± {100 * deviation:.1f}" if len(patch) > 1 else ""
    return f"{100 * change:+.1f}{spread} points"


def _verdict(validation: tuple[np.ndarray, np.ndarray], tested: Sequence[float]) -> str:
    """Say what the change in validation is: nothing beyond its spread, flattery, or skill."""
    change, deviation = (100 * value for value in change_of(*validation))
    if change <= 2 * deviation or change <= 0:
        return "not more than the spread of the trainings"
    if np.mean(tested) < change / 2:
        return "flattery, not skill"
    return "found on the test clips as well"


def _figures(done: Sequence[Outcome]) -> list[Block]:
    blocks = [
        Figure(path, f"{outcome.experiment.id}: {outcome.experiment.title} – {what}")
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


def _failures(outcomes: Sequence[Outcome]) -> list[Block]:
    rows = [
        (outcome.experiment.id, outcome.state, outcome.reason)
        for outcome in outcomes
        if outcome.state != "done"
    ]
    flat = [
        (
            outcome.experiment.id,
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
            caption = _plain(f"{block.caption} ({origin.short})")
            parts.append(f"![{caption}]({block.path})\n\n*{caption}*")
        else:
            lines = [block.header, ("---", *["---:"] * (len(block.header) - 1)), *block.rows]
            rows = "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines)
            parts.append(f"**{_plain(block.title)} ({_plain(origin.short)})**\n\n{rows}")
    return "\n\n".join(parts) + "\n"


def _plain(text: str) -> str:
    """Escape what Markdown would take for marks; underscores within words are none."""
    for mark in ("\\", "*", "`", "[", "]", "<", "|"):
        text = text.replace(mark, "&lt;" if mark == "<" else f"\\{mark}")
    return " ".join(text.split())


def _cell(text: str) -> str:
    return _plain(text)


CSS = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1a1a1a; max-width: 75rem; margin: 0 auto;
  padding: 4.5rem 1.5rem 3rem; }
.origin { position: fixed; top: 0; left: 0; right: 0; padding: .5rem 1.5rem; z-index: 1;
  background: #fff3d6; border-bottom: 2px solid #d55e00; font-weight: 600; }
h2 { margin-top: 2.5rem; border-bottom: 1px solid #ccc; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
caption { text-align: left; font-weight: 600; padding: .5rem 0; }
th, td { padding: .2rem .6rem; border-bottom: 1px solid #e2e2e2; text-align: right; }
th { vertical-align: bottom; border-bottom: 2px solid #888; font-weight: 600; }
th:first-child, td:first-child { text-align: left; }
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
            caption = _html(f"{block.caption} ({origin.short})")
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
    def row(cells: tuple[str, ...], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{_html(cell)}</{tag}>" for cell in cells) + "</tr>"

    rows = "\n".join(row(cells, "td") for cells in table.rows)
    caption = _html(f"{table.title} ({origin.short})")
    return (
        f"<div class='scroll'><table>\n<caption>{caption}</caption>\n"
        f"<thead>{row(table.header, 'th')}</thead>\n<tbody>\n{rows}\n</tbody>\n</table></div>"
    )


def _html(text: str) -> str:
    return html.escape(" ".join(text.split()))
