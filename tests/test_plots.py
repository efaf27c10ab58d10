import errno
import re
from dataclasses import replace
from pathlib import Path
from unittest import mock

import numpy as np
import PIL.Image
import pytest
from conftest import final_scores, recipe_of_scores, refuses, save_scores, write_tone

import plot_conf_mat
import plot_history
import plot_perf_metrics
import settings
from instrec.common import storage
from instrec.config import read
from instrec.figures import launchers, plotting, style
from instrec.figures import scores as figures
from instrec.learning import model_files
from instrec.scoring import metrics, scores

THRESHOLDS = metrics.THRESHOLDS
LABELS = ("cla", "sax", "tru")
THREE = settings.DataSet("three", "Three", LABELS, ("three",), "folders")


def peak(threshold, height=0.8):
    """F-scores at every threshold that are best at one: [thresholds x 3]."""
    f_score = height - 0.5 * np.abs(THRESHOLDS - threshold)
    return np.stack([f_score, f_score, f_score], axis=-1).tolist()


def recipe_of(files):
    return recipe_of_scores(read(), files, tensors="t", weights=["a", "b"])


def write_sweep(files, **options):
    """Two trainings whose means are best at 0.4 (micro), 0.6 (macro), and 0.1, 0.15 ... a label."""
    at = {("classwise", label): 0.1 + 0.05 * i for i, label in enumerate(read().labels)}
    for name, threshold in (("micro", 0.4), ("macro", 0.6), ("macro_sklearn", 0.5)):
        at["global", name] = threshold
    results = {scored: [peak(t, height) for height in (0.8, 0.6)] for scored, t in at.items()}
    save_scores(files.sweep, recipe_of(files), results, thresholds=THRESHOLDS, **options)


def write_confusion(files):
    n = len(read().labels)
    matrices = [((0.9 - 0.2 * i) * np.eye(n) + 0.1 / n).tolist() for i in range(2)]
    about = {"half": "pure half of the test data", "clips": 9, "patches": 99, "iterations": 2}
    found = dict.fromkeys(("patch", "s1", "s2"), matrices)
    storage.save_json(files.confusion, about | {"recipe": recipe_of(files), "matrices": found})


def write_history(files):
    for i, epochs in enumerate((5, 3)):
        history = np.zeros(epochs, dtype=model_files.HISTORY_TYPE)
        for name in model_files.HISTORY_TYPE.names:
            history[name] = np.linspace(0.2, 0.8, epochs)
        storage.save_array(files.history(i), history)
        record = {"recipe": {}, "weights": "", "folders": ["irmas"], "trained_on": "training data"}
        storage.save_json(files.run_record(i), record)  # it has finished


@pytest.fixture
def files(monkeypatch):
    monkeypatch.setitem(settings.DATA_SETS, 20, THREE)
    settings.dataset = 20
    return model_files.model_files(read(), "model_leaky", "adam")


def assert_figure(files, name):
    """Both files are there; return the width of the picture."""
    with PIL.Image.open(files.figure(f"{name}.png")) as picture:
        width, height = picture.size
    assert min(width, height) > 3.5 * 150
    assert files.figure(f"{name}.pdf").read_bytes().startswith(b"%PDF")
    return width


def test_optima_are_those_of_the_mean_over_iterations(files, capsys):
    # Training 0 alone is best at 0.3, training 1 at 0.5; the mean of both at 0.45.
    f_scores = np.zeros((2, 21))
    f_scores[0, [6, 9]] = 0.8, 0.7
    f_scores[1, [9, 10]] = 0.7, 0.8
    write_sweep(files, s2={("global", "micro"): np.stack([f_scores] * 3, axis=-1)})
    plot_perf_metrics.plot(files, "evaluate.py")
    stored = storage.load_json(files.optima, "")
    assert stored["recipe"] == recipe_of(files)
    assert stored["optima"]["s1"] == {
        "global": {"micro": 0.4, "macro": 0.6, "macro_sklearn": 0.5},
        "classwise": {"cla": 0.1, "sax": 0.15, "tru": 0.2},
    }
    assert stored["optima"]["s2"]["global"] == {"micro": 0.45, "macro": 0.6, "macro_sklearn": 0.5}
    printed = capsys.readouterr().out
    assert re.search(r"^micro +0.40 +0.700 +0.45 +0.700", printed, re.MULTILINE)
    for name in ("thresholds", "classwise_s1", "classwise_s2"):
        assert_figure(files, name)
        assert str(files.figure(f"{name}.png")) in printed


def test_absent_labels_take_the_micro_optimum_of_the_strategy(files, capsys):
    write_sweep(files, absent=["sax"])
    plot_perf_metrics.plot(files, "evaluate.py")
    optima = storage.load_json(files.optima, "")["optima"]
    assert optima["s1"]["classwise"] == {"cla": 0.1, "sax": 0.4, "tru": 0.2}
    assert "no clip has sax" in capsys.readouterr().out


def test_confusion_shows_mean_and_accuracy():
    first, second = np.eye(2), np.array([[0.5, 0.5], [0, 1]])
    figure = figures.confusion(np.stack([first, second]), ["cla", "sax"], "title")
    # Accuracies 1 and 0.75: mean 0.875, deviation of the sample 0.125 * sqrt(2).
    assert "mean accuracy 0.875 ± 0.177" in figure.get_suptitle()
    axes = figure.axes[0]
    assert [t.get_text() for t in axes.texts] == ["0.75", "0.25", "0", "1.00"]
    assert [t.get_text() for t in axes.get_yticklabels()] == ["clarinet", "saxophone"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted label", "true label")
    without = figures.confusion(np.array([[[1.0, 0], [0, 0]]]), ["cla", "sax"], "title")
    assert [t.get_text() for t in without.axes[0].texts] == ["1.00", "0", "–", "–"]


@pytest.mark.filterwarnings("error")
def test_history_is_averaged_over_the_runs_that_reached_an_epoch():
    runs = [np.zeros(n, dtype=model_files.HISTORY_TYPE) for n in (3, 1)]
    runs[0]["loss"], runs[1]["loss"] = [3, 2, 1], [1]
    figure = figures.history(runs, "title")
    assert figure.axes[0].lines[0].get_ydata().tolist() == [2, 2, 1]
    assert [axes.get_title() for axes in figure.axes] == ["loss", "accuracy"]
    runs[1]["val_loss"] = np.nan  # it has diverged
    assert figures.history(runs[1:], "title")


@pytest.mark.filterwarnings("error")
def test_fifteen_labels(files):
    labels = settings.DATA_SETS[2].labels
    f_scores = {label: np.zeros((2, 21)) for label in labels}
    optima = dict.fromkeys(labels, 0.5)
    panels = figures.classwise_panels(f_scores, optima, ["egc"], "title")
    matrix = figures.confusion(np.tile(np.eye(15), (2, 1, 1)), labels, "title")
    plotting.save_all(files, {"classwise_s2": panels, "confusion_s1": matrix})
    assert_figure(files, "classwise_s2")
    width = assert_figure(files, "confusion_s1")
    assert width / style.DPI / len(labels) > 0.45  # inches: room for four digits


def test_a_figure_is_whole_or_not_there_and_equal_if_it_shows_the_same(tmp_path, monkeypatch):
    figure = figures.confusion(np.eye(2)[None], "ab", "title")
    before = [path.read_bytes() for path in style.save(figure, tmp_path / "a.b")]
    again = figures.confusion(np.eye(2)[None], "ab", "title")
    assert [path.read_bytes() for path in style.save(again, tmp_path / "c")] == before

    def fail(path, content):
        with path.open("wb") as file:
            file.write(content[: len(content) // 2])
        raise OSError(errno.ENOSPC, "disk full")

    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(OSError, match="a.b.png|disk full"):
        style.save(figure, tmp_path / "a.b")
    assert [(tmp_path / name).read_bytes() for name in ("a.b.png", "a.b.pdf")] == before


def test_titles_take_letters_from_fonts_that_are_installed(monkeypatch):
    import matplotlib.font_manager

    monkeypatch.setattr(
        matplotlib.font_manager, "get_font_names", lambda: ["Arial", "Yu Gothic", "Malgun Gothic"]
    )
    drawn = style.styled(lambda title: style.new_figure(4, 1, title))
    family = drawn("\u97f3 \ubc14.wav").texts[0].get_fontfamily()
    assert family == ["DejaVu Sans", "Yu Gothic", "Malgun Gothic"]
    assert drawn("a.wav").texts[0].get_fontfamily() == ["DejaVu Sans"]


def test_scripts_from_the_root_plot_all_optimizers(files, call):
    both = [replace(files, optimizer=optimizer) for optimizer in ("adam", "sgd")]
    for each in both:
        write_confusion(each)
    assert len(call("plot_conf_mat.py", "-m", "model_leaky", "-d", 20).out.splitlines()) == 6
    for each in both:
        assert_figure(each, "confusion_s2")
    shown = call("plot_conf_mat.py", "-m", "model_leaky", "-o", "sgd", "-d", 20).out
    assert len(shown.splitlines()) == 3


@pytest.mark.parametrize(
    ("model", "command"),
    [
        ("model_leaky+std", "evaluate.py -O 2 -m model_leaky+std -o adam -d 20"),
        ("ensemble_model_leaky", "evaluate.py -O 2 --ensemble -m model_leaky -o adam -d 20"),
        (
            "halved_by_song_model_leaky",
            "evaluate.py -O 2 -m model_leaky -o adam -d 20, with halve_by = 'song'",
        ),
    ],
)
def test_what_is_missing_is_named_by_the_command_that_makes_it(files, refused, model, command):
    message = refused("plot_perf_metrics.py", "-m", model, "-o", "adam", "-d", 20)
    assert message.endswith(f"run python3 {command}")


def test_results_of_another_split_are_told_apart(files, refused):
    apart = replace(files, folder=files.folder / "split_0.7")
    assert plotting.heading(apart) == "Three · model_leaky · adam · split_0.7"
    apart.folder.mkdir(parents=True)
    message = refused("plot_conf_mat.py", "--folder", apart.folder)
    assert message.endswith("-d 20 -s 0.7")
    held_out = files.folder / "confusion_0.5"
    held_out.mkdir()
    message = refused("plot_history.py", "--folder", held_out)
    assert message.endswith("run python3 evaluate.py -O 1 -m model_leaky -o <adam|sgd> -d 20")
    message = refused("plot_history.py", "-m", "std", "-o", "adam", "-d", 20)
    assert message.endswith("run the training of std again")
    apart.sweep.touch()
    message = refused("plot_perf_metrics.py", "-m", "model_leaky", "-o", "adam", "-d", 20)
    assert message.endswith(f"plotted by --folder {apart.folder}")


def test_final_scores_of_other_networks_are_not_drawn(files, capsys):
    write_sweep(files)
    of_others = recipe_of(files) | {"weights": ["another"]}
    save_scores(files.scores, of_others, final_scores(LABELS, [(0.5, 0.6, 0.4)]))
    plot_perf_metrics.plot(files, "REMEDY")
    assert "is of other networks" in capsys.readouterr().out
    assert not files.figure("labels.png").exists()


def test_an_ensemble_averages_outputs():
    content = {"half": "pure half", "clips": 9, "recipe": {"weights": ["a", "b"]}}
    assert "averaged outputs of 2" in plotting.origin(content | {"iterations": 1})
    assert "deviation\N{NO-BREAK SPACE}of\N{NO-BREAK SPACE}2" in plotting.origin(
        content | {"iterations": 2}
    )


def test_only_finished_trainings_are_drawn(files):
    write_history(files)
    files.run_record(1).unlink()
    with mock.patch.object(figures, "history", wraps=figures.history) as draw:
        plot_history.plot(files, "REMEDY")
    assert [len(history) for history in draw.call_args.args[0]] == [5]
    assert_figure(files, "history")


REMEDIES = {
    "plot_conf_mat.py": "python3 evaluate.py -O 1",
    "plot_perf_metrics.py": "python3 evaluate.py -O 2",
    "plot_history.py": "python3 train.py",
}


@pytest.mark.parametrize("script", launchers.SCRIPTS)
def test_launchers_run_as_printed(script, run_script, refused, files):
    named = (script, "-m", "model_leaky", "-o", "adam", "-d", 20)
    assert f"{REMEDIES[script]} -m model_leaky -o adam -d 20" in refused(*named)
    assert REMEDIES[script] in refused(script, "--folder", files.folder)
    assert "give -m MODEL_NAME" in refused(script)
    settings.dataset = 7
    files = model_files.model_files(read(), "model_leaky", "adam")
    write_confusion(files)
    write_sweep(files)
    write_history(files)
    launchers.write(files.folder)
    run = run_script(script, cwd=files.folder)
    name = {"plot_conf_mat.py": "confusion_s1", "plot_history.py": "history"}.get(script)
    assert_figure(files, name or "thresholds")
    assert files.optima.exists() == (script == "plot_perf_metrics.py")
    assert "IRMAS" not in run.stdout  # no menu
    assert not run.stderr


def test_no_history_is_plotted_where_nothing_is_trained(tmp_path):
    launchers.write(tmp_path)
    scripts = {path.name for path in tmp_path.iterdir()}
    assert scripts == set(launchers.SCRIPTS) - {"plot_history.py"}


def test_damaged_results_are_one_plain_error(files):
    for change in (
        {"scores": {}},
        {"scores": {"columns": list(scores.COLUMNS), "data": [[1]]}},
        {"recipe": None},
        {"iterations": 5},
        {"absent": [77]},
    ):
        write_sweep(files)
        storage.save_json(files.sweep, storage.load_json(files.sweep, "") | change)
        refuses("sweep.json is damaged .* run REMEDY", plot_perf_metrics.plot, files, "REMEDY")
        assert not files.optima.exists()
    write_confusion(files)
    storage.save_json(files.confusion, storage.load_json(files.confusion, "") | {"iterations": 3})
    refuses("confusion.json is damaged", plot_conf_mat.plot, files, "REMEDY")
    write_history(files)
    storage.save_array(files.history(0), np.zeros(3))
    refuses("adam0.history.npy is damaged", plot_history.plot, files, "REMEDY")


def test_both_separations_are_pictured(tmp_path, call, refused):
    write_tone(tmp_path / "song.wav", 3, seconds=2)
    picture = ("plot_separation.py", tmp_path / "song.wav", "--out", tmp_path)
    call(*picture, "--seconds", 1.5)
    for ending in (".png", ".pdf"):
        assert (tmp_path / f"separation_song{ending}").stat().st_size > 10_000
    assert "nothing sounds from second 5 on" in refused(*picture, "--start", 5)
    for option, value in (("--start", -1), ("--seconds", 0)):
        expected = "expected --start of 0 or more and --seconds above 0"
        assert expected in refused(*picture, option, value)
