"""The report of the experiments, as Markdown: what they found beside what was published.

Everything here is pure: `document` makes the text of the outcomes of experiments. Which data the
numbers are of is read from the results, never assumed, and stands above the report.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

from instrec.experiments import Experiment
from instrec.reporting.cells import (
    NONE,
    change_range,
    difference,
    f_of,
    markdown_table,
    mean_text,
    number,
    plain,
    points,
)
from instrec.reporting.changes import AVERAGES, Change, changes
from instrec.reporting.outcomes import Outcome, origin_of, rendered_among
from instrec.scoring import intervals, metrics

STRATEGIES = tuple(metrics.STRATEGIES)
MEASURES = {"precision": "P", "recall": "R", "f-score": "F"}
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
    rendered = rendered_among(done)
    mixed = bool(rendered) and len(rendered) < len(done)

    def name(outcome: Outcome) -> str:
        marks = ["rendered"] if mixed and outcome.experiment.id in rendered else []
        marks += [] if outcome.learnt else ["has not learnt"]
        marks += [] if outcome.finished else ["cut off"]
        return outcome.experiment.id + (f" ({', '.join(marks)})" if marks else "")

    by_id = {outcome.experiment.id: outcome for outcome in done}
    sections = {
        "What this is": _about(outcomes, about),
        "Changes, beside the published ones": _changes([*changes(done, by_id)], name),
        "Scores beside the published ones": _published(done, name),
        "Final scores of every experiment": _all_scores(done, name),
        "Transfer learning": _transfer(done),
        "Confusion matrices": _confusion(done, name),
        "What later papers report": _ranking(done, name),
        "How each training ended": _endings(done),
        "Figures": _figures(done, name),
        "What is missing": _missing(outcomes),
    }
    blocks = [f"# {plain(title)}", f"> **{plain(origin_of(done, rendered))}**"]
    for heading, texts in sections.items():
        if shown := [text for text in texts if text]:
            blocks += [f"## {heading}", *shown]
    return "\n\n".join(blocks) + "\n"


def _about(outcomes: Sequence[Outcome], about: Mapping[str, str]) -> list[str]:
    states = [outcome.state for outcome in outcomes]
    counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
    rows = {}
    for outcome in outcomes:
        if outcome.record:
            patches = [f"{t['training_patches']:,}" for t in outcome.trainings[:1]]
            kind = "rendered" if outcome.rendered else "not rendered"
            row = (kind, *(patches or [NONE]), str(outcome.record["clips"]))
            rows.setdefault(outcome.config.data_set.title, row)
    notes = [(o.experiment.id, o.experiment.note) for o in outcomes if o.experiment.note]
    return [
        "The experiments of chapter 5 of the thesis, run by reproduce.py, beside what was "
        "published. Ours are means over n trainings from different random weights, ± the standard "
        "deviation of the sample (n - 1); differences are ours minus published or minus the "
        f"baseline, in points (hundredths). {len(outcomes)} experiments: {counts}.",
        markdown_table("Made with", ("what", "value"), [*about.items(), *_made_with(outcomes)]),
        markdown_table(
            "Data, as the results say",
            ("data set", "audio", "training patches", "test clips that are scored"),
            [(title, *row) for title, row in rows.items()],
        ),
        markdown_table("What the experiments' files say", ("experiment", "note"), notes),
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


def _changes(found: Sequence[Change], name: Namer) -> list[str]:
    rows, seen = [], []
    for change in found:
        line, smallest = [], 0.0
        for average in AVERAGES:
            if change.what == "mean accuracy" and average == "micro":
                line += [NONE, NONE]
                continue
            low, high = change.interval(average)
            smallest = max(smallest, (high - low) / 2)
            verdict = change.verdict(average, (low, high))
            seen += [verdict] if verdict else []
            line += [
                f"{points(change.found(average))} ({points(low)} to {points(high)})",
                verdict or NONE,
            ]
        others = [NONE, NONE]
        if change.what != "mean accuracy":
            others = [points(change.found("micro", measure)) for measure in ("precision", "recall")]
        published = {a: change_range([100 * x for x in p]) for a, p in change.published.items()}
        texts = dict.fromkeys(published.values())
        text = [*texts] if len(texts) < 2 else [f"{a} {t}" for a, t in published.items()]
        against = NONE if change.baseline is change.outcome else name(change.baseline)
        rows.append(
            (
                name(change.outcome),
                against,
                change.outcome.experiment.answers,
                f"{change.what}, {change.strategy}",
                ", ".join(text) or NONE,
                *line,
                f"±{100 * smallest:.1f}",
                *others,
            )
        )
    header = ("experiment", "against", "answers", "what", "published", "micro F", "verdict")
    header += ("macro F, or accuracy", "verdict", "smallest that could be told", "micro P")
    counts = ", ".join(f"{seen.count(v)} {v}" for v in ("agrees", "disagrees", "cannot tell"))
    return [
        f"In points, with the interval of {intervals.CONFIDENCE:.0%} that {intervals.DRAWS:,} "
        "draws of clips and trainings span. A published change is one of the thesis, or the "
        "difference of two of its scores. A verdict takes "
        f"{intervals.MIN_TRAININGS} trainings of each side: it agrees where the interval holds "
        "what was published and not 0, disagrees where it holds nothing of it, and cannot tell "
        f"otherwise. Verdicts: {counts}.",
        markdown_table("Changes, in points", (*header, "micro R"), rows),
    ]


def _published(done: Sequence[Outcome], name: Namer) -> list[str]:
    rows = []
    for outcome in done:
        published = outcome.experiment.published
        for strategy in STRATEGIES:
            for average in AVERAGES:
                theirs = published.get(f"{strategy} {average}")
                if theirs is None:
                    continue
                theirs = theirs if isinstance(theirs, list) else [None, None, theirs]
                for average_of_ours, title in OURS[average].items():
                    row = [name(outcome), strategy, title]
                    for measure, value in zip(MEASURES, theirs, strict=True):
                        ours = outcome.score(strategy, average_of_ours, measure)
                        row += [number(value), mean_text(ours)]
                    f_score = outcome.score(strategy, average_of_ours)
                    threshold = outcome.score(strategy, average_of_ours, "threshold")[0]
                    row += [difference(f_score, theirs[2])]
                    row += [number(published.get(f"{strategy} threshold"), 2), f"{threshold:.2f}"]
                    rows.append((*row, outcome.time))
    header = ["experiment", "strategy", "average"]
    for letter in MEASURES.values():
        header += [f"{letter} published", f"{letter} ours"]
    header += ["difference of F", "threshold published", "ours", "training time"]
    note = macro_note(outcome.experiment for outcome in done)
    return [
        f"Ours is set beside a published macro F in both of its meanings. {note}" if rows else "",
        markdown_table("Precision, recall and F, one threshold for all labels", header, rows),
    ]


def macro_note(published: Iterable[Experiment]) -> str:
    """Say what the published macro F are, as far as published precision and recall tell.

    Parameters
    ----------
    published : iterable of Experiment
        What was published.

    Returns
    -------
    str
    """
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


def _all_scores(done: Sequence[Outcome], name: Namer) -> list[str]:
    titles = {False: "one", True: "class-wise"}
    rows = []
    for outcome in done:
        for strategy in STRATEGIES:
            for classwise, title in titles.items():
                row = [name(outcome), strategy, title]
                for average in AVERAGES:
                    for measure in MEASURES:
                        found = outcome.score(strategy, average, measure, classwise=classwise)
                        row.append(mean_text(found))
                rows.append((*row, str(outcome.record["iterations"])))
    header = ["experiment", "strategy", "thresholds"]
    header += [f"{average} {letter}" for average in AVERAGES for letter in MEASURES.values()]
    return [markdown_table("On the pure half of the test data", (*header, "n"), rows)]


def _transfer(done: Sequence[Outcome]) -> list[str]:
    transfers = [outcome for outcome in done if outcome.config.transfer_from]
    if not transfers:
        return []
    passes = {
        o.experiment.id: [t["best_pass"] for t in o.trainings if "best_pass" in t]
        for o in transfers
        if o.config.transfer_passes == 2
    }
    first = [f"{id_} ({p.count(1)} of {len(p)} trainings)" for id_, p in passes.items() if 1 in p]
    return [
        "Its scores and changes are in the tables above. One pass trains a new output layer, all "
        "else is frozen; two passes then train all layers. The source is the model trained with "
        "Adam in every row, and training number n starts from training number n of the source.",
        "The best epoch, whose weights are scored, was in the first of two passes, so that the "
        f"second changed nothing, in: {', '.join(first)}."
        if first
        else "",
    ]


def _confusion(done: Sequence[Outcome], name: Namer) -> list[str]:
    rows = []
    for outcome in done:
        if outcome.confusion:
            theirs = outcome.experiment.published.get("mean accuracy")
            ours = outcome.accuracies(metrics.BY_PATCH)
            by_clip = [mean_text(outcome.accuracies(strategy)) for strategy in STRATEGIES]
            row = (outcome.confusion["half"], number(theirs, 4), mean_text(ours))
            rows.append((name(outcome), *row, difference(ours, theirs), *by_clip))
    header = ("experiment", "of", "published", "by patch", "difference", "by clip, s1")
    title = "Mean accuracy, the mean of the diagonal"
    return [markdown_table(title, (*header, "by clip, s2"), rows)]


def _ranking(done: Sequence[Outcome], name: Namer) -> list[str]:
    rows = []
    for outcome in done:
        for strategy in STRATEGIES:
            found = [outcome.score(strategy, average) for average in metrics.AVERAGES]
            found += [outcome.ranking(strategy, measure) for measure in metrics.RANKING]
            rows.append((name(outcome), strategy, *map(mean_text, found)))
    header = ("experiment", "strategy", "micro F", "macro F (thesis: of mean P and R)")
    header += ("macro F (scikit-learn: mean of F)", "LRAP", "mean average precision")
    if not rows:
        return []
    return [
        "LRAP is label ranking average precision, and mean average precision is the mean over the "
        "labels; both need no threshold. The two macro F are different things, of which the "
        "thesis' is usually the higher one.",
        markdown_table("All metrics, one threshold for all labels", header, rows),
        markdown_table(
            "Published by others on IRMAS' test set, not measured here",
            ("system", "micro F", "macro F, as the paper defines it", "LRAP"),
            [(who, *map(number, values)) for who, *values in LATER],
        ),
    ]


def _endings(done: Sequence[Outcome]) -> list[str]:
    rows = [
        (
            o.experiment.id,
            str(i),
            str(training["epochs"]),
            "stopped by itself" if training["stopped"] else "out of epochs: cut off",
            str(training["best_epoch"]),
            f"{training['best_accuracy']:.3f}",
            f"{training['chance']:.3f}",
            "" if training["has_learnt"] else "has not learnt: its scores say nothing",
        )
        for o in done
        if o.experiment.trains
        for i, training in enumerate(o.trainings)
    ]
    header = ("experiment", "training", "epochs", "ended", "best epoch", "its validation accuracy")
    cut = [o.experiment.id for o in done if not o.finished]
    return [
        f"Cut off while their loss may still have fallen, and no evidence: {', '.join(cut)}."
        if cut
        else "Every training stopped by itself: none was cut off while its loss still fell.",
        markdown_table("Trainings", (*header, "chance", ""), rows),
    ]


def _figures(done: Sequence[Outcome], name: Namer) -> list[str]:
    figures = []
    for outcome in done:
        for what, path in outcome.figures.items():
            caption = plain(f"{name(outcome)}: {outcome.experiment.title} – {what}")
            figures.append(f"![{caption}]({path})\n\n*{caption}*")
    return figures


def _missing(outcomes: Sequence[Outcome]) -> list[str]:
    rows = [(o.experiment.id, o.state, o.reason) for o in outcomes if o.state != "done"]
    header = ("experiment", "state", "why")
    return [
        "" if rows else "Every experiment is done.",
        markdown_table("Not done", header, rows),
    ]
