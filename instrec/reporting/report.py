"""The report of the experiments, as Markdown: what they found beside what was published.

Everything here is pure: `document` makes the text of the outcomes of experiments. Which data the
numbers are of is read from the results, never assumed, and stands above the report and at every
table and figure of results.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

from instrec.experiments import Experiment
from instrec.reporting.cells import (
    NONE,
    change_range,
    change_text,
    difference,
    f_of,
    markdown_table,
    mean_text,
    number,
    plain,
)
from instrec.reporting.outcomes import Outcome, origin_of, rendered_among
from instrec.reporting.splits import CHOSEN_ON_HELD_OUT, compare_splits
from instrec.scoring import metrics

STRATEGIES, AVERAGES = tuple(metrics.STRATEGIES), ("micro", "macro")
ROUNDING = 0.0015  # of an f-score that is worked out from precision and recall of three digits
# The averages of ours that a published one is set beside: which of both is meant is not sure.
OURS = {
    "micro": {"micro": "micro"},
    "macro": {"macro": "macro, 2PR/(P+R)", "macro_sklearn": "macro, mean of the labels' F"},
}
# Published scores on the test set of IRMAS: micro F, macro F as the paper has it, LRAP.
LATER = (
    ("Han et al. 2017, ensemble", 0.629, 0.517, None),
    ("thesis 2018, s1", 0.568, 0.471, None),
    ("thesis 2018, s2", 0.574, 0.475, None),
    ("Pons et al. 2017", 0.589, 0.516, None),
    ("Zhong et al. 2023", 0.674, None, 0.814),
)


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
        "How much does the patch-wise split flatter?": compare_splits(done, by_id, name, table),
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
