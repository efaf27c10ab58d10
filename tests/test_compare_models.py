from unittest import mock

import numpy as np
import pytest
from conftest import ROOT, final_scores, recipe_of_scores, save_scores

import compare_models
import settings
from instrec.config import read
from instrec.errors import InputError
from instrec.figures import scores as figures
from instrec.learning import model_files
from instrec.reporting import comparison


def write_scores(
    id_, model, optimizer="adam", micro=((0.5, 0.6, 0.4),), gain=0.0, half="pure half", **recipe
):
    """Write scores whose micro row is given a training; class-wise thresholds add `gain`."""
    config = read(dataset=id_)
    files = model_files.model_files(config, model, optimizer)
    results, ranking = final_scores(config.labels, micro, gain), np.array(micro)[:, :2]
    recipe = recipe_of_scores(config, files, **recipe)
    save_scores(files.scores, recipe, results, ranking=ranking, half=half)
    return files.scores


@pytest.fixture
def three_models():
    write_scores(1, "model_baseline", micro=((0.5, 0.6, 0.4), (0.7, 0.8, 0.6)))
    write_scores(1, "model_baseline", "sgd", micro=((0.1, 0.2, 0.3),))
    write_scores(-1, "model_baseline")
    write_scores(2, "model_leaky", micro=((0.6, 0.8, 0.5),), gain=0.1)


@pytest.mark.filterwarnings("error")
def test_means_and_deviations(three_models, tmp_path):
    settings.MODELS_ROOT.rename(tmp_path / "elsewhere")
    found = compare_models.load_results(tmp_path / "elsewhere")
    assert list(found.global_res.columns) == ["precision", "recall", "f-score"]
    assert list(found.ranking_res.columns) == ["lrap", "map"]
    deviation = 0.1 * 2**0.5
    for frame, row, expected in (
        (found.global_res, ("irmas_1024", "model_baseline", "s2", "micro"), [0.6, 0.7, 0.5]),
        (found.global_dev, ("irmas_1024", "model_baseline", "s2", "micro"), deviation),
        (found.class_dev, ("irmas_1024", "model_baseline", "s2", "voi"), deviation),
        (found.ranking_dev, ("irmas_1024", "model_baseline", "s2"), deviation),
        (found.ranking_res, ("irmas_1024", "model_baseline", "s1"), [0.6, 0.7]),
        (found.global_res, ("irmas_1024", "model_baseline.sgd", "s1", "macro"), [0.05, 0.1, 0.15]),
        (found.class_res, ("jazz_db_1024", "model_baseline", "s1", "voi"), np.nan),
        (found.global_class_res, ("youtube_1024", "model_leaky", "s1", "macro"), [0.4, 0.5, 0.35]),
    ):
        np.testing.assert_allclose(frame.loc[row], expected)


@pytest.mark.parametrize("content", [b"", b"[1, 2]", b'{"recipe": {}}', b"\xff\xfe", None])
def test_damaged_files_and_those_of_others_are_named_and_left_out(three_models, content, capsys):
    if content is None:
        content = write_scores(1, "model_baseline", "sgd").read_bytes()
    damaged = settings.MODELS_ROOT / "irmas_1024" / "model_leaky" / "model_leaky.adam.scores.json"
    damaged.parent.mkdir()
    damaged.write_bytes(content)
    found = compare_models.load_results()
    assert "model_leaky" not in found.global_res.loc["irmas_1024"].index.get_level_values("model")
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("left out: ") and str(damaged) in line


def test_nothing_found_says_what_to_run(refused):
    message = refused("compare_models.py")
    for script in ("train.py", "evaluate.py -O 2", "plot_perf_metrics.py", "evaluate.py -O 3"):
        assert script in message


@pytest.mark.parametrize("folder", [ROOT, ROOT / "models"])
def test_script_prints_the_frames(three_models, run_script, folder):
    run = run_script("compare_models.py", cwd=folder)
    assert not run.stderr
    for name in ("global_res", "class_res", "global_class_res", "ranking_res"):
        assert f"\n{name}\n" in run.stdout
    assert "NaN" not in run.stdout


def bars(*arguments, **options):
    """Call plot_improvement; return what was drawn: panels by title."""
    with mock.patch.object(figures, "improvement_bars", wraps=figures.improvement_bars) as draw:
        paths = compare_models.plot_improvement(*arguments, **options)
    assert [path.suffix for path in paths] == [".png", ".pdf"]
    assert all(path.parent.name == "figures" and path.stat().st_size > 5000 for path in paths)
    return draw.call_args.args[0]


def test_improvement_in_points(three_models):
    panels = bars("model_baseline", "model_baseline.sgd", data_set="irmas_1024")
    points, deviations, names = panels.pop("all labels")
    assert names == ["micro", "macro"]
    f_scores = (frame.loc["s1"].loc[names, "f-score"] for frame in (points, deviations))
    for found, expected in zip(f_scores, ([20, 10], np.array([10, 5]) * 2**0.5), strict=True):
        np.testing.assert_allclose(found, expected)  # 0.5 - 0.3, and half of it; of the sample
    ((points, _, names),) = panels.values()
    assert names == list(settings.IRMAS)
    np.testing.assert_allclose(points.loc["s2"].loc[names, "f-score"], 20)


def test_rendered_parts_replaced_networks_and_other_splits_are_named(three_models, call):
    write_scores(1, "model_leaky", "sgd", half="pure half of the rendered test data")
    incomplete = "pure half of the incomplete test data"
    path = write_scores(1, "model_leaky", half=incomplete, weights=["since trained again"])
    apart = path.parent / "split_0.7" / path.name
    apart.parent.mkdir()
    apart.write_text(path.read_text())
    _, notes = comparison.load(settings.MODELS_ROOT)
    names = [f"model_leaky{ending}" for ending in ("", ".split_0.7", ".sgd")]
    expected = ("incomplete, replaced", "incomplete, replaced", "rendered")
    assert notes == {("irmas_1024", n): e for n, e in zip(names, expected, strict=True)}
    titles = [comparison.Side("irmas_1024", name, "one").title(notes) for name in names]
    assert ["rendered" in title for title in titles] == [False, False, True]
    shown = call("compare_models.py").out
    assert "note: rendered audio" in shown and "irmas_1024/model_leaky.sgd" in shown
    assert "note: not the clips of the data set as distributed: irmas_1024/model_leaky" in shown
    assert "since trained again" in shown


def test_improvement_by_classwise_thresholds_or_over_another_data_set(three_models):
    names = ("model_leaky", "model_leaky")
    options = {"data_set": "youtube_1024"}
    panels = bars(*names, **options, thresholds="classwise")
    assert list(panels) == ["all labels"]  # single labels have the same scores on both sides
    points, _, averages = panels["all labels"]
    np.testing.assert_allclose(points.loc["s2"].loc[averages, "f-score"], [10, 10])
    names = ("model_leaky", "model_baseline")
    panels = bars(*names, **options, baseline_data_set="irmas_1024")
    (single,) = (panel for panel in panels if panel != "all labels")
    assert panels[single][2] == ["cla", "flu", "pia", "sax", "tru", "vio"]  # of both


@pytest.mark.parametrize(
    ("names", "options", "message"),
    [
        (("leeky", "irmas_1024"), {}, "model among model_baseline, model_baseline.sgd"),
        (("model_baseline.sgd", "irmas"), {}, "data set among irmas_1024, .* found 'irmas'"),
        (("model_baseline.sgd", "irmas_1024"), {"thresholds": "two"}, "thresholds among one"),
        (("model_baseline", "irmas_1024"), {}, "two different things"),
    ],
)
def test_wrong_names_are_refused(three_models, names, options, message):
    model, data_set = names
    with pytest.raises(InputError, match=message):
        compare_models.plot_improvement(model, "model_baseline", data_set=data_set, **options)


def test_improvement_from_the_command_line(three_models, call):
    names = ("model_baseline", "model_baseline.sgd")
    shown = call("compare_models.py", "--improvement", *names, "-d", "1").out
    assert shown.startswith("figure: ")
    assert len(list((settings.MODELS_ROOT / "irmas_1024" / "figures").glob("*.png"))) == 1


@pytest.mark.parametrize("folder", [ROOT / "models", ROOT])
def test_ipython_ends_in_a_prompt(three_models, terminal, tmp_path, folder):
    pytest.importorskip("IPython")
    options = ("-m", "IPython", "--simple-prompt", "--no-banner", "--colors=NoColor")
    environment = {"IPYTHONDIR": str(tmp_path / "ipython")}
    shell = terminal(*options, "compare_models.py", cwd=folder, **environment)
    shell.expect(r"In \[1\]:")
    shell.sendline("global_res.loc['irmas_1024'].loc['model_baseline'].loc['s2'].loc['micro']")
    shell.expect(r"precision\s+0\.6\s+recall\s+0\.7\s+f-score\s+0\.5\s.*In \[2\]:")
    shell.sendline("len(class_res) > 0, len(global_class_dev) > 0")
    shell.expect(r"\(True, True\).*In \[3\]:")
    shell.sendline("plot_improvement('no', 'model_baseline', data_set='irmas_1024')")
    shell.expect("error: expected a model among .*In ")
    assert "Traceback" not in shell.before
    shell.sendline("exit()")
    shell.read()
