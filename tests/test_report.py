"""The report, from results made by hand: every number is worked out here by hand, too."""

import html.parser

import numpy as np
import pytest

from instrec import experiments
from instrec.reporting import report

HALF = "pure half of the {}test data"


def experiment(id_, **more):
    lines = "".join(f"{name} = {value!r}\n" for name, value in more.items())
    own = "" if "dataset" in more else "dataset = 1\n"
    text = f'"""Title of {id_}"""\n{own}model = "model_leaky"\noptimizer = "adam"\n{lines}'
    return experiments.parse(f'{text}answers = "thesis 5.4"\n', id_, f"experiments/{id_}.py")


def scores(f, *, rendered=True, clips=60):
    """The final scores of runs whose f-score is `f`, one a run.

    Class-wise it is 0.1 higher; the mean of the labels' F is 0.05 lower.
    """
    averages = ("micro", "macro", "macro_sklearn")

    def of(values):
        found = {average: [[0.9, 0.8, value] for value in values] for average in averages}
        return found | {"macro_sklearn": [[0.9, 0.8, value - 0.05] for value in values]}

    of_strategy = {
        "global": of(f),
        "global_classwise": of([value + 0.1 for value in f]),
        "ranking": {"lrap": [0.75] * len(f), "map": [0.25] * len(f)},
    }
    optima = {"global": dict.fromkeys(averages, 0.35)}
    return {
        "half": HALF.format("rendered " if rendered else ""),
        "clips": clips,
        "results": {"s1": of_strategy, "s2": of_strategy},
        "optima": {"s1": optima, "s2": optima},
    }


def runs(*accuracies, has_learnt=True, rendered=True):
    return [
        {
            "best_accuracy": accuracy,
            "chance": 0.1,
            "training_patches": 1122,
            "trained_on": f"{'rendered ' if rendered else ''}training data",
            "has_learnt": has_learnt,
        }
        for accuracy in accuracies
    ]


def confusion(*accuracies):
    """Confusion matrices of two labels whose mean accuracy is given."""
    matrices = [[[a, 1 - a], [1 - a, a]] for a in accuracies]
    strategies = {s: {"confusion": matrices} for s in ("s1", "s2")}
    return {"half": "held-out 50% of the rendered training data", "results": strategies}


def outcome(id_="one", f=(0.5, 0.6), own=None, **more):
    more = {"runs": runs(*f), "scores": scores(f), **more}
    return report.Outcome(experiment(id_, **(own or {})), "done", **more)


def document(*outcomes):
    context = report.Context("demo", {"date": "2026-01-01"}, {"rendering irmas": 61})
    return report.document(outcomes, context)


def rows_of(blocks, title):
    (found,) = [b for b in blocks if isinstance(b, report.Table) and b.title.startswith(title)]
    return [dict(zip(found.header, row, strict=True)) for row in found.rows]


def test_differences_are_ours_minus_published_in_points():
    published = {"s1 micro": (0.591, 0.548, 0.568), "s1 threshold": 0.4, "s1 macro": 0.4}
    blocks = document(outcome(own={"published": published}))
    row, macro, mean = rows_of(blocks, "Precision, recall")
    assert row["F published"] == "0.568"
    assert row["F ours"] == "0.550 ± 0.050"
    assert row["difference of F"] == "−1.8"
    assert (row["P published"], row["P ours"]) == ("0.591", "0.900 ± 0.000")
    assert (row["R published"], row["R ours"]) == ("0.548", "0.800 ± 0.000")
    assert (row["threshold published"], row["ours"]) == ("0.40", "0.35")
    assert (macro["P published"], macro["difference of F"]) == ("–", "+15.0")
    # 0.05 below, in `scores`
    assert (mean["average"], mean["difference of F"]) == ("macro, mean of the labels' F", "+10.0")
    assert (mean["F published"], mean["F ours"]) == ("0.400", "0.500 ± 0.050")


def test_one_run_has_no_deviation():
    published = {"s2 micro": 0.5}
    (row,) = rows_of(document(outcome(f=(0.5,), own={"published": published})), "Precision")
    assert (row["F ours"], row["difference of F"]) == ("0.500", "+0.0")


def test_changes_are_against_the_baseline():
    base = outcome("base", (0.4, 0.5), {"published_classwise_change": (2, 4)})
    own = {"baseline": "base", "published_change": (-2, -1), "published_classwise_change": (4, 4)}
    blocks = document(base, outcome("variant", (0.5, 0.7), own))
    one, classwise = rows_of(blocks, "Change of F in points")
    # Means 0.45 and 0.60; deviations 0.05 and 0.10 add up to 0.1118.
    assert (one["published"], one["s1 micro"]) == ("−2 to −1", "+15.0 ± 11.2")
    assert (classwise["published"], classwise["s2 macro"]) == ("+4", "+25.0 ± 11.2")
    gain, other = rows_of(blocks, "Change of F by a threshold for each label")
    assert (gain["experiment"], gain["strategy"], other["strategy"]) == ("base", "s1", "s2")
    assert (gain["published"], gain["micro F"]) == ("+2 to +4", "+10.0 ± 7.1")


def test_transfers_have_a_table_of_their_own():
    own = {
        "baseline": "jazz",
        "dataset": -1,
        "name": "from_wind",
        "transfer_from": "irmas_wind_1024/model_leaky.adam",
        "published": {"s1 micro": 0.612, "s1 macro": 0.635},
    }
    blocks = document(outcome("jazz", own={"dataset": -1}), outcome("moved", (0.7, 0.7), own))
    (row,) = rows_of(blocks, "F of strategy s1")
    assert (row["micro F published"], row["macro F published"]) == ("0.612", "0.635")
    assert row["difference, micro"] == "+8.8"
    assert row["against from scratch, macro, 2PR/(P+R)"] == "+15.0 ± 5.0"
    assert row["ours, macro, mean of the labels' F"] == "0.650 ± 0.000"
    assert row["difference, macro, mean of the labels' F"] == "+1.5"
    titles = [block.title for block in blocks if isinstance(block, report.Table)]
    assert not any(title.startswith(("Precision", "Change of F in")) for title in titles)


def texts_of(blocks):
    return [block.text for block in blocks if isinstance(block, report.Paragraph)]


def test_published_macro_f_is_told_from_what_the_formula_gives():
    published = {
        "s1 macro": (0.530, 0.477, 0.471),  # 2 * 0.530 * 0.477 / 1.007 = 0.5021
        "s2 macro": (0.600, 0.400, 0.480),  # as the formula says
    }
    ran = experiment("one", published=published)
    found = report.macro_note([ran])
    assert "(by the formula one s1 0.502, published 0.471)" in found
    assert found.endswith("which is never above F of the mean P and R.")
    assert any(found in text for text in texts_of(document(outcome(own={"published": published}))))
    higher = experiment("two", published={"s1 macro": (0.5, 0.5, 0.6)})
    assert "fit a mean" not in report.macro_note([ran, higher])
    assert "not those" not in report.macro_note([experiment("three", published={"s1 macro": 0.4})])


def test_every_published_macro_f_of_the_project_is_below_the_formula():
    found = report.macro_note([experiments.load(name) for name in experiments.names()])
    for told in (
        "irmas_ensemble s2 0.543, published 0.517",
        "irmas_relu s1 0.502, published 0.471",
    ):
        assert told in found
    assert "irmas_relu s2 0.504" in found
    assert "monotimbral_leaky s1 0.683, published 0.657" in found
    assert "monotimbral_leaky s2 0.673" in found
    assert "They fit a mean of the labels' F" in found


def test_two_passes_whose_best_epoch_was_in_the_first_are_named():
    own = {"dataset": -1, "name": "moved", "transfer_from": "irmas_wind_1024/model_leaky.adam"}

    def moved(id_, passes, *best):
        of_runs = [run | {"best_pass": b} for run, b in zip(runs(0.5, 0.6), best, strict=False)]
        more = {"transfer_passes": passes, "name": id_}
        return outcome(id_, own=own | more, runs=of_runs or runs(0.5, 0.6))

    blocks = document(moved("a", 2, 1, 2), moved("b", 2, 2, 2), moved("c", 1, 1, 1), moved("d", 2))
    (text,) = [text for text in texts_of(blocks) if "best epoch" in text]
    assert text.endswith("in: a (1 of 2 trainings).")


def test_notes_of_experiments_are_shown():
    noted = experiments.parse(
        """'''Title

The published ensemble is
of networks with ReLU.'''
dataset = 1
model = 'model_leaky'
optimizer = 'adam'
answers = 'x'
""",
        "noted",
        "noted.py",
    )
    blocks = document(report.Outcome(noted, "not run"), outcome("silent"))
    assert rows_of(blocks, "What the experiments' files say") == [
        {"experiment": "noted", "note": "The published ensemble is of networks with ReLU."}
    ]


def test_versions_are_those_of_the_results():
    def versions(commit, keras):
        return {"git_commit": commit, "python": "3.12.1", "packages": {"keras": keras}}

    trained = [run | {"made_with": versions("aaa", "3.1")} for run in runs(0.5)]
    context = report.Context("demo", {"scale": "demo"}, written={"git commit": "ccc"})
    done = (outcome("a", runs=trained, made_with=versions("bbb", "3.1")), outcome("b"))
    blocks = report.document(done, context)
    facts = {row["what"]: row["value"] for row in rows_of(blocks, "Made with")}
    assert facts == {
        "scale": "demo",
        "results: git commit": "aaa, bbb",
        "results: Python": "3.12.1",
        "results: keras": "3.1",
    }
    assert rows_of(blocks, "Report written") == [{"what": "git commit", "value": "ccc"}]


def test_confusion_matrices():
    own = {"published": {"mean accuracy": 0.6816}, "confusion": True}
    blocks = document(outcome(own=own, confusion=confusion(0.5, 0.7)))
    (row,) = rows_of(blocks, "Mean accuracy")
    assert (row["published"], row["s1"], row["difference"]) == ("0.6816", "0.600 ± 0.100", "−8.2")
    assert row["clips of"] == "held-out 50% of the rendered training data"


def test_later_metrics_have_clear_names():
    blocks = document(outcome())
    row, _ = rows_of(blocks, "All metrics")
    assert row["macro F (thesis: of mean P and R)"] == "0.550 ± 0.050"
    assert row["macro F (scikit-learn: mean of F)"] == "0.500 ± 0.050"
    assert (row["LRAP"], row["mean average precision"]) == ("0.750 ± 0.000", "0.250 ± 0.000")
    others = {row["system"]: row for row in rows_of(blocks, "Published by others")}
    assert others["Zhong et al. 2023"]["LRAP"] == "0.814"
    assert others["Pons et al. 2017"]["micro F"] == "0.589"


def honest(patch, apart, patch_f, apart_f):
    own = {"baseline": "patch", "split_by": "recording", "confusion": True, "name": "apart"}
    return document(
        outcome("patch", patch_f, runs=runs(*patch), confusion=confusion(*patch)),
        outcome("apart", apart_f, own, runs=runs(*apart), confusion=confusion(*apart)),
    )


def test_how_much_the_split_flatters_is_said_in_numbers():
    blocks = honest((0.70, 0.74), (0.50, 0.52), (0.55, 0.55), (0.54, 0.54))
    (text,) = [b.text for b in blocks if isinstance(b, report.Paragraph) and "split by" in b.text]
    assert "best validation accuracy by +21.0 ± 2.2 points (0.720 against 0.510)" in text
    assert "F-scores differ by +1.0 to +1.0 points" in text
    assert text.endswith("flattery, not skill.")
    rows = rows_of(blocks, "patch and apart")
    assert rows[0]["difference in points"] == "+21.0 ± 2.2"
    assert rows[1]["measure"] == "mean accuracy of the confusion matrix, s1"
    (note,) = [text for text in texts_of(blocks) if text.endswith("with both splits.")]
    assert "also chose the best epoch" in note


@pytest.mark.parametrize(
    ("patch", "apart", "tested", "verdict"),
    [
        ((0.50, 0.60), (0.50, 0.58), (0.5, 0.5), "not more than the spread of the trainings"),
        ((0.50, 0.50), (0.50, 0.50), (0.5, 0.5), "not more than the spread of the trainings"),
        ((0.40, 0.60), (0.50, 0.60), (0.5, 0.5), "not more than the spread of the trainings"),
        ((0.40, 0.40), (0.50, 0.50), (0.5, 0.5), "does not flatter here, validation is worse"),
        ((0.70,), (0.50,), (0.5, 0.5), "no verdict, which takes 2 trainings of each"),
        ((0.70, 0.70), (0.50,), (0.5, 0.5), "no verdict, which takes 2 trainings of each"),
        ((0.70, 0.70), (0.50, 0.50), (0.7, 0.7), "found on the test clips as well"),
    ],
)
def test_the_answer_follows_the_numbers(patch, apart, tested, verdict):
    blocks = honest(patch, apart, tested, (0.5, 0.5))
    assert any(verdict in b.text for b in blocks if isinstance(b, report.Paragraph))


def test_what_has_not_learnt_or_is_not_done_is_said():
    flat = outcome("flat", runs=runs(0.1, has_learnt=False))
    failed = report.Outcome(experiment("broken"), "failed", "no luck", seconds={"training": 3})
    blocks = document(flat, failed)
    (row,) = rows_of(blocks, "Not done")
    assert row == {"experiment": "broken", "state": "failed", "why": "no luck"}
    (row,) = rows_of(blocks, "Trainings that have not learnt")
    assert row["best validation accuracy"] == "0.100"
    assert row["experiment"] == "flat (has not learnt)"
    assert rows_of(blocks, "F on the pure half")[0]["experiment"] == "flat (has not learnt)"


def test_run_times():
    blocks = document(outcome(seconds={"training": 3600, "scores": 65}))
    (row,) = rows_of(blocks, "Experiments")
    assert (row["training"], row["scores"], row["in all"]) == (
        "1 h 00 min",
        "1 min 05 s",
        "1 h 01 min",
    )
    assert rows_of(blocks, "Preparing data") == [
        {"step": "rendering irmas", "run time": "1 min 01 s"}
    ]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (59.6, "1 min 00 s"), (4020, "1 h 07 min"), (3599, "59 min 59 s")],
)
def test_durations(seconds, text):
    assert report.duration(seconds) == text


# --- what it is made from -----------------------------------------------------------------------
def written(*outcomes):
    origin, blocks = report.origin_of(outcomes), document(*outcomes)
    return origin, *(write("T", origin, blocks) for write in (report.to_markdown, report.to_html))


def test_rendered_numbers_say_so_on_every_heading_table_and_figure():
    published = {"s1 micro": 0.5}
    rendered = outcome(own={"published": published}, figures={"history": "figures/a.png"})
    origin, markdown, page = written(rendered)
    assert "RENDERED" in origin.full
    lines, others = markdown.splitlines(), "Published by others"
    for i, line in enumerate(lines):
        if line.startswith(("#", "**", "![", "*")) and not line.startswith("# "):
            assert ("RENDERED" in "".join(lines[i : i + 3])) != (others in line)
    for caption in page.split("<caption>")[1:] + page.split("<figcaption>")[1:]:
        assert ("RENDERED" in caption.split("</")[0]) != caption.startswith(others)
    assert others in markdown and others in page
    assert page.count("<div class='origin'>Made from RENDERED") == 1


def test_recorded_audio_is_not_called_rendered():
    real = outcome(scores=scores((0.5,), rendered=False), runs=runs(0.5, rendered=False))
    origin, markdown, page = written(real)
    assert origin.full == "Made from the audio of IRMAS."
    assert "RENDERED" not in markdown + page


def test_of_mixed_audio_every_row_says_its_own():
    real = outcome("real", scores=scores((0.5,), rendered=False), runs=runs(0.5, rendered=False))
    origin, markdown, _ = written(real, outcome("made", own={"dataset": -1}))
    assert origin.full.startswith("RENDERED, not recordings: JazzDB. Not rendered: IRMAS")
    assert "| made (rendered) |" in markdown
    assert "| real |" in markdown


REAL = {"runs": runs(0.5, rendered=False), "scores": scores((0.5,), rendered=False)}


def test_of_mixed_audio_figures_and_the_honest_answer_say_their_own():
    own = {"baseline": "made", "split_by": "recording", "name": "apart"}
    pictures = {"history": "figures/a.png"}
    outcomes = (
        outcome("real", own={"dataset": -1}, figures=pictures, **REAL),
        outcome("made", figures=pictures),
        outcome("apart", own=own),
    )
    blocks = document(*outcomes)
    captions = [block.caption for block in blocks if isinstance(block, report.Figure)]
    assert captions == [
        "real: Title of real – history",
        "made (rendered): Title of made – history",
    ]
    assert rows_of(blocks, "made (rendered) and apart (rendered): what the split does")
    assert any(
        "On the data of made (rendered) and apart (rendered)," in t for t in texts_of(blocks)
    )
    assert "Rows and figures of rendered data say so." in report.origin_of(outcomes).full


def test_what_starts_from_a_rendered_model_counts_as_rendered():
    moved = {"dataset": -1, "name": "moved", "transfer_from": "irmas_1024/model_leaky.adam"}
    again = {"dataset": -1, "name": "again", "transfer_from": "jazz_db_1024/moved.adam"}
    outcomes = (
        outcome("again", own=again, **REAL),  # from one that is rendered by its source only
        outcome("moved", own=moved, **REAL),
        outcome("jazz", own={"dataset": -1}, **REAL),
        outcome("made"),
    )
    assert report.rendered_among(outcomes) == {"again", "moved", "made"}
    origin, markdown, _ = written(*outcomes)
    assert "Not rendered: JazzDB" in origin.full
    assert "as do those of models that start from one of rendered data." in origin.full
    for marked in ("again (rendered)", "moved (rendered)", "made (rendered)", "jazz"):
        assert f"| {marked} |" in markdown
    _, markdown, _ = written(outcomes[1], outcomes[3])  # nothing left that is not rendered at all
    assert "| moved (rendered) |" in markdown and "| made (rendered) |" in markdown


def test_nothing_is_done_yet():
    origin, markdown, _ = written(report.Outcome(experiment("one"), "not run", "not yet"))
    assert origin.full == "No experiment has results yet."
    assert "| one | not run | not yet |" in markdown


# --- writing it out -----------------------------------------------------------------------------
class Text(html.parser.HTMLParser):
    """Collects what a browser would show, and refuses tags that do not match."""

    def __init__(self):
        super().__init__()
        self.open, self.text = [], ""

    def handle_starttag(self, tag, attrs):
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def test_texts_are_escaped():
    odd = "<script>alert('x')</script> a|b & *c* `d` [e](f)\nnext"
    blocks = [report.Paragraph(odd), report.Table("t", ("h", "i"), [(odd, "1")])]
    origin = report.Origin("full", "short")
    page = Text()
    page.feed(report.to_html("T <b>", origin, blocks))
    assert page.open == []
    assert page.text.count(odd.replace("\n", " ")) == 2
    markdown = report.to_markdown("T <b>", origin, blocks)
    assert "<script>" not in markdown and "# T &lt;b>" in markdown
    (row,) = [line for line in markdown.splitlines() if line.endswith("| 1 |")]
    assert r"a\|b & \*c\* \`d\` \[e\](f) next" in row


def test_text_stands_to_the_left_and_numbers_to_the_right():
    rows = [
        ("1024", "held-out 50%", "+2 to +4", "–", "2 min 11 s"),
        ("2048", "–", "−0.5 ± 4.7", "0.40", "29 s"),
    ]
    table = report.Table("t", ("window", "clips of", "change", "ours", "run time"), rows)
    assert report.text_columns(table) == [True, True, False, False, False]
    origin = report.Origin("full", "short")
    markdown = report.to_markdown("T", origin, [table])
    assert "| --- | --- | ---: | ---: | ---: |" in markdown
    page = report.to_html("T", origin, [table])
    assert "<td class='text'>held-out 50%</td><td>+2 to +4</td>" in page
    assert report.text_columns(report.Table("t", ("h", "i"), [])) == [True, False]


def test_numbers_without_a_value():
    assert report.mean_text(None) == report.mean_text(np.array([])) == "–"
    assert report.number(None) == report.points(None) == report.change_range(None) == "–"
    assert report.difference(np.array([0.5]), None) == "–"
