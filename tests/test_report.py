"""The cells and sentences of the report, with numbers worked out by hand."""

import numpy as np

import settings
from instrec import experiments
from instrec.config import read
from instrec.reporting import cells, inputs
from instrec.reporting.outcomes import Outcome, origin_of


def test_cells():
    assert cells.points(0.031) == "+3.1" and cells.points(-0.031) == "−3.1"
    assert cells.difference(np.array([0.5, 0.7]), 0.55) == "+5.0"
    assert cells.change_range([1, 3]) == "+1 to +3" and cells.change_range([-2, -2]) == "−2"
    assert cells.number(None) == "–"
    assert [cells.duration(s) for s in (4, 64, 4000)] == ["4 s", "1 min 04 s", "1 h 06 min"]


def test_a_table_has_its_numbers_to_the_right_and_its_marks_escaped():
    rows = [{"what": "a|b*", "F": "0.5", "note": "x"}, {"what": "c", "note": "y"}]
    table = cells.markdown_table("T", rows)
    assert table.splitlines() == [
        "**T**",
        "",
        "| what | F | note |",
        "| --- | ---: | --- |",
        r"| a\|b\* | 0.5 | x |",
        "| c | – | y |",
    ]
    assert cells.markdown_table("T", []) == ""


def test_a_report_says_if_its_sources_have_changed(monkeypatch, tmp_path):
    monkeypatch.setattr(settings, "ROOT", tmp_path)
    (tmp_path / "settings.py").write_text("alpha = 0.33")
    text = inputs.marked("# Report")
    assert inputs.with_banner(text) == text
    (tmp_path / "settings.py").write_text('"""Said\notherwise."""\nalpha = 0.33  # a slope\n')
    assert inputs.with_banner(text) == text
    (tmp_path / "settings.py").write_text("alpha = 0.3")
    assert inputs.with_banner(text) == inputs.BANNER + text
    assert inputs.with_banner("# Of before").startswith("> **Out of date**")


def test_a_report_says_which_data_sets_are_incomplete():
    def outcome(kind):
        record = {"half": f"pure half of the {kind}test data"}
        return Outcome(experiments.load("irmas_relu"), read(dataset=1), "done", record=record)

    assert origin_of([outcome("")], frozenset()) == "Made from the audio of IRMAS."
    assert "IRMAS (INCOMPLETE" in origin_of([outcome("incomplete ")], frozenset())


def test_what_the_published_macro_f_is():
    """What the report says of them: .02 to .03 below F of the published P and R."""
    found = []
    for name in experiments.names():
        for strategy in ("s1", "s2"):
            published = experiments.load(name).published.get(f"{strategy} macro")
            if isinstance(published, list):
                precision, recall, f_score = published
                found.append(2 * precision * recall / (precision + recall) - f_score)
    assert len(found) == 5 and min(found) > 0.02 and max(found) < 0.035
