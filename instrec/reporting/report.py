"""The report of the experiments, as Markdown: what they found beside what was published.

Everything here is pure: `document` turns the outcomes of experiments into text. Which data the
numbers come from is read from the results, never assumed, and stated at the top of the report.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import product

from instrec.reporting import cells
from instrec.reporting.cells import NONE, change_range, markdown_table, number, plain, points
from instrec.reporting.changes import AVERAGES, Change, changes
from instrec.reporting.outcomes import Outcome, origin_of, rendered_among
from instrec.scoring import intervals, metrics
from instrec.scoring.metrics import mean_and_deviation

STRATEGIES = tuple(metrics.STRATEGIES)
MEASURES = {"precision": "P", "recall": "R", "f-score": "F"}
# Our averages to compare with each published one; which macro F is meant is uncertain.
OURS = {
    "micro": {"micro": "micro"},
    "macro": {"macro": "macro, 2PR/(P+R)", "macro_sklearn": "macro, mean of the labels' F"},
}
MACRO = (
    "Ours is set beside a published macro F in both of its meanings. The thesis defines it as "
    "F = 2PR/(P+R) of the mean precision and recall, but the published F are below that of the "
    "published P and R, by .02 to .03. They fit a mean of the labels' F, which is never above F of "
    "the mean P and R."
)
# Published scores on the test set of IRMAS; macro F as each paper gives it.
LATER = {
    "Han et al. 2017, ensemble": {"micro F": 0.629, "macro F": 0.517},
    "thesis 2018, s1": {"micro F": 0.568, "macro F": 0.471},
    "thesis 2018, s2": {"micro F": 0.574, "macro F": 0.475},
    "Pons et al. 2017": {"micro F": 0.589, "macro F": 0.516},
    "Zhong et al. 2023": {"micro F": 0.674, "LRAP": 0.814},
}
Namer = Callable[[Outcome], str]


def document(title: str, about: Mapping[str, str], outcomes: Sequence[Outcome]) -> str:
    """Write the report of all experiments.

    Parameters
    ----------
    title : str
        Of the report.
    about : mapping of str to str
        Facts for the front page: scale, settings, when and with what it was written.
    outcomes : sequence of Outcome
        In row order.

    Returns
    -------
    str
        Markdown. Empty sections are left out.
    """
    done = [outcome for outcome in outcomes if outcome.record]
    rendered = rendered_among(done)
    mixed = bool(rendered) and len(rendered) < len(done)

    def name(outcome: Outcome) -> str:
        marks = ["rendered"] if mixed and outcome.experiment.id in rendered else []
        marks += [] if outcome.learnt else ["has not learnt"]
        marks += [] if outcome.finished else ["cut off"]
        return outcome.experiment.id + (f" ({', '.join(marks)})" if marks else "")

    sections = {
        "What this is": _about(outcomes, about),
        "Changes, beside the published ones": _changes([*changes(done)], name),
        "Scores beside the published ones": _published(done, name),
        "Final scores of every experiment": _all_scores(done, name),
        "Transfer learning": _transfer(done),
        "Confusion matrices": _confusion(done, name),
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
    states = Counter(outcome.state for outcome in outcomes)
    counts = ", ".join(f"{count} {state}" for state, count in states.items())
    data = {}
    for outcome in outcomes:
        if outcome.record:
            title = outcome.config.data_set.title
            audio = "incomplete" if outcome.incomplete else "not rendered"
            row = {
                "data set": title,
                "audio": "rendered" if outcome.rendered else audio,
                "training patches": f"{outcome.trainings[0]['training_patches']:,}",
                "test clips that are scored": str(outcome.record["clips"]),
            }
            data.setdefault(title, row)
    notes = [
        {"experiment": o.experiment.id, "note": o.experiment.note}
        for o in outcomes
        if o.experiment.note
    ]
    facts = dict(about) | _made_with(outcomes)
    return [
        "The experiments of chapter 5 of the thesis, run by reproduce.py, beside what was "
        "published. Ours are means over n trainings from different random weights, ± the standard "
        "deviation of the sample (n - 1); differences are ours minus published or minus the "
        f"baseline, in points (hundredths). {len(outcomes)} experiments: {counts}.",
        markdown_table("Made with", [{"what": w, "value": v} for w, v in facts.items()]),
        markdown_table("Data, as the results say", list(data.values())),
        markdown_table("What the experiments' files say", notes),
    ]


def _made_with(outcomes: Iterable[Outcome]) -> dict[str, str]:
    """List the commits and versions recorded with the results."""
    import pandas as pd

    records = [t.get("made_with", {}) for outcome in outcomes for t in outcome.trainings]
    table = pd.json_normalize(records).rename(columns=lambda name: name.removeprefix("packages."))
    table = table.rename(columns={"git_commit": "git commit", "python": "Python"})
    found = {name: values.dropna().unique() for name, values in table.items()}
    return {f"results: {name}": ", ".join(values) for name, values in found.items() if len(values)}


def _changes(found: Sequence[Change], name: Namer) -> list[str]:
    rows, verdicts = [], Counter()
    for change in found:
        published = {a: change_range([100 * x for x in p]) for a, p in change.published.items()}
        texts = list(dict.fromkeys(published.values()))
        if len(texts) > 1:
            texts = [f"{average} {text}" for average, text in published.items()]
        row = {
            "experiment": name(change.outcome),
            "against": NONE if change.baseline is change.outcome else name(change.baseline),
            "answers": change.outcome.experiment.answers,
            "what": f"{change.what}, {change.strategy}",
            "published": ", ".join(texts) or NONE,
        }
        smallest = 0.0
        for average in change.averages:
            low, high = change.interval(average)
            smallest = max(smallest, (high - low) / 2)
            verdict = change.verdict(average, (low, high))
            verdicts[verdict] += 1
            column = "micro F" if average == "micro" else "macro F, or accuracy"
            row[column] = f"{points(change.found(average))} ({points(low)} to {points(high)})"
            row[f"verdict on {average}"] = verdict or NONE
        row["smallest that could be told"] = f"±{100 * smallest:.1f}"
        if "micro" in change.averages:
            row["micro P"] = points(change.found("micro", "precision"))
            row["micro R"] = points(change.found("micro", "recall"))
        rows.append(row)
    counts = ", ".join(f"{verdicts[v]} {v}" for v in ("agrees", "disagrees", "cannot tell"))
    return [
        f"In points, with the interval of {intervals.CONFIDENCE:.0%} that {intervals.DRAWS:,} "
        "draws of clips and trainings span. A published change is one of the thesis, or the "
        "difference of two of its scores. A verdict takes "
        f"{intervals.MIN_TRAININGS} trainings of each side: it agrees where the interval overlaps "
        "the published range and excludes 0 (or, where that range includes 0, exceeds it by at "
        f"most {100 * intervals.NO_CHANGE:g} points), disagrees where they do not overlap, and "
        "cannot tell otherwise, where the baseline's score leaves no room for what was published, "
        "or where no draw differs. "
        f"Verdicts: {counts}.",
        markdown_table("Changes, in points", rows),
    ]


def _published(done: Sequence[Outcome], name: Namer) -> list[str]:
    rows = []
    for outcome, strategy, average in product(done, STRATEGIES, AVERAGES):
        published = outcome.experiment.published
        theirs = published.get(f"{strategy} {average}")
        if theirs is None:
            continue
        theirs = theirs if isinstance(theirs, list) else [None, None, theirs]
        for average_of_ours, title in OURS[average].items():
            row = {"experiment": name(outcome), "strategy": strategy, "average": title}
            for (measure, letter), value in zip(MEASURES.items(), theirs, strict=True):
                ours = outcome.score(strategy, average_of_ours, measure)
                row[f"{letter} published"] = number(value)
                row[f"{letter} ours"] = mean_and_deviation(ours)
            row["difference of F"] = cells.difference(ours, theirs[2])
            threshold = outcome.score(strategy, average_of_ours, "threshold")[0]
            row["threshold published"] = number(published.get(f"{strategy} threshold"), 2)
            row["ours"] = f"{threshold:.2f}"
            row["training time"] = outcome.time
            rows.append(row)
    title = "Precision, recall and F, one threshold for all labels"
    return [MACRO if rows else "", markdown_table(title, rows)]


def _all_scores(done: Sequence[Outcome], name: Namer) -> list[str]:
    rows = []
    for outcome, strategy, title in product(done, STRATEGIES, ("one", "class-wise")):
        classwise = title == "class-wise"
        row = {"experiment": name(outcome), "strategy": strategy, "thresholds": title}
        for average, (measure, letter) in product(AVERAGES, MEASURES.items()):
            found = outcome.score(strategy, average, measure, classwise=classwise)
            row[f"{average} {letter}"] = mean_and_deviation(found)
        mean_f = outcome.score(strategy, "macro_sklearn", classwise=classwise)
        row["mean of the labels' F"] = mean_and_deviation(mean_f)
        for measure in metrics.RANKING if not classwise else ():
            row[measure.upper()] = mean_and_deviation(outcome.ranking(strategy, measure))
        rows.append(row | {"n": str(outcome.record["iterations"])})
    if not rows:
        return []
    return [
        "Macro F is the thesis', of the mean precision and recall, which is usually higher than "
        "scikit-learn's, the mean of the labels' F. LRAP is label ranking average precision, and "
        "MAP mean average precision over the labels; both need no threshold.",
        markdown_table("On the pure half of the test data", rows),
        markdown_table(
            "Published by others on IRMAS' test set, not measured here",
            [{"system": who} | {k: number(v) for k, v in f.items()} for who, f in LATER.items()],
        ),
    ]


def _transfer(done: Sequence[Outcome]) -> list[str]:
    if not any(outcome.config.transfer_from for outcome in done):
        return []
    return [
        "Its scores and changes are in the tables above. One pass trains a new output layer, all "
        "else is frozen; two passes then train all layers. The source is the model trained with "
        "Adam in every row, and training number n starts from training number n of the source. "
        "Where the best epoch, whose weights are scored, was in the first of two passes (see the "
        "table of trainings), the second changed nothing."
    ]


def _confusion(done: Sequence[Outcome], name: Namer) -> list[str]:
    rows = []
    for outcome in done:
        if outcome.confusion:
            theirs = outcome.experiment.published.get("mean accuracy")
            ours = outcome.accuracies(metrics.BY_PATCH)
            row = {
                "experiment": name(outcome),
                "of": outcome.confusion["half"],
                "published": number(theirs, 4),
                "by patch": mean_and_deviation(ours),
                "difference": cells.difference(ours, theirs),
            }
            for strategy in STRATEGIES:
                row[f"by clip, {strategy}"] = mean_and_deviation(outcome.accuracies(strategy))
            rows.append(row)
    return [markdown_table("Mean accuracy, the mean of the diagonal", rows)]


def _endings(done: Sequence[Outcome]) -> list[str]:
    rows = [
        {
            "experiment": outcome.experiment.id,
            "training": str(i),
            "epochs": str(training["epochs"]),
            "ended": "stopped by itself" if training["stopped"] else "out of epochs: cut off",
            "best epoch": str(training["best_epoch"]),
            "its validation accuracy": f"{training['best_accuracy']:.3f}",
            "chance": f"{training['chance']:.3f}",
            "its pass": str(training.get("best_pass", NONE)),
            "": "" if training["has_learnt"] else "has not learnt: its scores say nothing",
        }
        for outcome in done
        if outcome.experiment.trains
        for i, training in enumerate(outcome.trainings)
    ]
    cut = [outcome.experiment.id for outcome in done if not outcome.finished]
    return [
        "Cut off while the loss may still have been falling, and therefore not evidence: "
        f"{', '.join(cut)}."
        if cut
        else "Every training stopped by itself: none was cut off while its loss was still falling.",
        markdown_table("Trainings", rows),
    ]


def _figures(done: Sequence[Outcome], name: Namer) -> list[str]:
    figures = []
    for outcome in done:
        for what, path in outcome.figures.items():
            caption = plain(f"{name(outcome)}: {outcome.experiment.title} – {what}")
            figures.append(f"![{caption}]({path})\n\n*{caption}*")
    return figures


def _missing(outcomes: Sequence[Outcome]) -> list[str]:
    rows = [
        {"experiment": o.experiment.id, "state": o.state, "why": o.reason}
        for o in outcomes
        if o.state != "done"
    ]
    return ["" if rows else "Every experiment is done.", markdown_table("Not done", rows)]
