"""The cells and sentences of the report, with numbers worked out by hand."""

import numpy as np

import settings
from instrec.experiments import Experiment
from instrec.reporting import cells, inputs, report


def test_cells():
    assert cells.mean_text(np.array([0.5, 0.7])) == "0.600 ± 0.141"
    assert cells.mean_text(np.array([0.5])) == "0.500"
    assert cells.mean_text(np.array([])) == "–"
    assert cells.points(0.031) == "+3.1" and cells.points(-0.031) == "−3.1"
    assert cells.difference(np.array([0.5, 0.7]), 0.55) == "+5.0"
    assert cells.change_range([1, 3]) == "+1 to +3" and cells.change_range([-2, -2]) == "−2"
    assert cells.change_range(None) == cells.number(None) == "–"
    assert [cells.duration(s) for s in (4, 64, 4000)] == ["4 s", "1 min 04 s", "1 h 06 min"]


def test_a_table_has_its_numbers_to_the_right_and_its_marks_escaped():
    table = cells.markdown_table(
        "T", ("what", "F", "note"), [("a|b*", "0.5", "x"), ("c", "–", "y")]
    )
    assert table.splitlines() == [
        "**T**",
        "",
        "| what | F | note |",
        "| --- | ---: | --- |",
        r"| a\|b\* | 0.5 | x |",
        "| c | – | y |",
    ]
    assert cells.markdown_table("T", ("a",), []) == ""


def test_a_report_says_if_its_sources_have_changed(monkeypatch, tmp_path):
    monkeypatch.setattr(settings, "ROOT", tmp_path)
    (tmp_path / "settings.py").write_text("alpha = 0.33")
    text = inputs.marked("# Report")
    assert inputs.with_banner(text) == text
    (tmp_path / "settings.py").write_text("alpha = 0.3")
    assert inputs.with_banner(text) == inputs.BANNER + text
    assert inputs.with_banner("# Of before").startswith("> **Out of date**")


def experiment(published):
    return Experiment("x", "x.toml", "X", {}, published=published)


def test_what_the_published_macro_f_is():
    # 2 * 0.5 * 0.6 / 1.1 = 0.5455
    assert "defines it as" in report.macro_note([experiment({"s1 macro": [0.5, 0.6, 0.545]})])
    note = report.macro_note([experiment({"s1 macro": [0.5, 0.6, 0.50]})])
    assert "by the formula x s1 0.545, published 0.500" in note and "mean of the labels' F" in note
    note = report.macro_note([experiment({"s1 macro": [0.5, 0.6, 0.60]})])
    assert "mean of the labels' F" not in note
