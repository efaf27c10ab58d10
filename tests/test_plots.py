import errno
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import config_of, save_scores, write_tone

import plot_conf_mat
import plot_history
import plot_perf_metrics
import settings
from instrec.common import storage
from instrec.errors import InputError
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


def recipe(data_set, model="model_leaky", optimizer="adam"):
    return {
        "data_set": data_set.key(1024),
        "model": model,
        "optimizer": optimizer,
        "labels": list(data_set.labels),
        "tensors": "t",
        "weights": ["a", "b"],
    }


def write_sweep(files, data_set, absent=(), heights=(0.8, 0.6), micro_of_s2=None):
    """Two trainings whose means are best at 0.4 (micro), 0.6 (macro), and 0.1, 0.2 ... a label."""
    at = {"micro": 0.4, "macro": 0.6, "macro_sklearn": 0.5}
    sweep = {
        "global": {name: [peak(t, h) for h in heights] for name, t in at.items()},
        "classwise": {
            label: [peak(0.1 + 0.05 * i, h) for h in heights]
            for i, label in enumerate(data_set.labels)
        },
    }
    results = {"s1": sweep, "s2": sweep}
    if micro_of_s2 is not None:
        results["s2"] = sweep | {"global": sweep["global"] | {"micro": micro_of_s2}}
    optimizer = files.sweep.name.split(".")[1]
    save_scores(
        files.sweep,
        recipe(data_set, optimizer=optimizer),
        results,
        thresholds=THRESHOLDS,
        absent=list(absent),
    )


def write_confusion(files, data_set, iterations=2):
    n = len(data_set.labels)
    matrices = [((0.9 - 0.2 * i) * np.eye(n) + 0.1 / n).tolist() for i in range(iterations)]
    optimizer = files.confusion.name.split(".")[1]
    record = {
        "recipe": recipe(data_set, optimizer=optimizer),
        "half": "pure half of the test data",
        "clips": 9,
        "patches": 99,
        "iterations": iterations,
        "matrices": {"patch": matrices, "s1": matrices, "s2": matrices},
    }
    storage.save_json(files.confusion, record)


def write_history(files, lengths=(5, 3)):
    for i, epochs in enumerate(lengths):
        history = np.zeros(epochs, dtype=model_files.HISTORY_TYPE)
        for name in model_files.HISTORY_TYPE.names:
            history[name] = np.linspace(0.2, 0.8, epochs)
        storage.save_array(files.history(i), history)
        storage.save_json(files.run_record(i), {"trained_on": "training data"})  # it has finished


@pytest.fixture
def files(monkeypatch):
    monkeypatch.setitem(settings.DATA_SETS, 20, THREE)
    monkeypatch.setattr(settings, "dataset", 20)
    return model_files.model_files(config_of(THREE), "model_leaky", "adam")


def png_size(path):
    content = path.read_bytes()
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    return struct.unpack(">II", content[16:24])


def assert_figure(files, name):
    width, height = png_size(files.figure(f"{name}.png"))
    assert min(width, height) > 3.5 * 150
    assert files.figure(f"{name}.pdf").read_bytes().startswith(b"%PDF")


def texts(figure):
    from matplotlib.text import Text

    return [text.get_text() for text in figure.findobj(Text)]


def test_optima_are_those_of_the_mean_over_iterations(files, capsys):
    # Training 0 alone is best at 0.3, training 1 at 0.5; the mean of both at 0.45.
    f_scores = np.zeros((2, 21))
    f_scores[0, [6, 9]] = 0.8, 0.7
    f_scores[1, [9, 10]] = 0.7, 0.8
    write_sweep(files, THREE, micro_of_s2=np.stack([f_scores] * 3, axis=-1))
    plot_perf_metrics.plot(files, "evaluate.py")
    stored = storage.load_json(files.optima, "")
    assert stored["recipe"] == recipe(THREE)
    assert stored["optima"]["s1"] == {
        "global": {"micro": 0.4, "macro": 0.6, "macro_sklearn": 0.5},
        "classwise": {"cla": 0.1, "sax": 0.15, "tru": 0.2},
    }
    assert stored["optima"]["s2"]["global"] == {"micro": 0.45, "macro": 0.6, "macro_sklearn": 0.5}
    printed = capsys.readouterr().out
    assert "micro                  0.40    0.700          0.45    0.700" in printed
    for name in ("thresholds", "classwise_s1", "classwise_s2"):
        assert_figure(files, name)
        assert str(files.figure(f"{name}.png")) in printed


def test_the_lowest_of_equal_optima_is_taken():
    assert metrics.optimum(np.tile([0.1, 0.5, 0.5] + [0.0] * 18, (2, 1))) == 0.05


def test_absent_labels_take_the_micro_optimum_of_the_strategy(files, capsys):
    write_sweep(files, THREE, absent=["sax"])
    plot_perf_metrics.plot(files, "evaluate.py")
    optima = storage.load_json(files.optima, "")["optima"]
    assert optima["s1"]["classwise"] == {"cla": 0.1, "sax": 0.4, "tru": 0.2}
    assert "no clip has sax" in capsys.readouterr().out


def test_panels_are_ordered_by_optimum_and_absent_labels_come_last():
    f_scores = {label: np.zeros((1, 21)) for label in "abcd"}
    optima = {"a": 0.5, "b": 0.2, "c": 0.2, "d": 0.1}
    figure = figures.classwise_panels(THRESHOLDS, f_scores, optima, ["d"], "title")
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == ["b", "c", "a", "d"]
    assert any("micro optimum" in text for text in texts(figure))


def test_confusion_shows_mean_and_accuracy():
    first, second = np.eye(2), np.array([[0.5, 0.5], [0, 1]])
    figure = figures.confusion(np.stack([first, second]), ["cla", "sax"], "title")
    # Accuracies 1 and 0.75: mean 0.875, deviation of the sample 0.125 * sqrt(2).
    assert "mean accuracy 0.875 ± 0.177" in figure.get_suptitle()
    axes = figure.axes[0]
    assert [t.get_text() for t in axes.texts] == ["0.75", "0.25", "0", "1.00"]
    assert [t.get_text() for t in axes.get_yticklabels()] == ["clarinet", "saxophone"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted label", "true label")


def test_confusion_row_without_clips_is_no_zero():
    figure = figures.confusion(np.array([[[1.0, 0], [0, 0]]]), ["cla", "sax"], "title")
    assert [t.get_text() for t in figure.axes[0].texts] == ["1.00", "0", "–", "–"]


def test_threshold_curves_mark_mean_band_and_optimum():
    values = np.array([np.linspace(0, 0.4, 21), np.linspace(0, 0.8, 21)])
    figure = figures.threshold_curves(
        THRESHOLDS,
        {"s1": {"micro": values, "macro": values}},
        {"s1": {"micro": 0.5, "macro": 1.0}},
        "title",
    )
    axes = figure.axes[0]
    np.testing.assert_allclose(axes.lines[0].get_ydata(), values.mean(axis=0))
    upper = axes.collections[0].get_paths()[0].vertices[:, 1].max()
    assert upper == pytest.approx(0.6 + 0.2 * 2**0.5)  # mean and deviation at threshold 1
    assert {"micro: 0.300 at 0.50", "macro: 0.600 at 1.00"} <= set(texts(figure))


def test_history_is_averaged_over_the_runs_that_reached_an_epoch():
    runs = [
        np.zeros(3, dtype=model_files.HISTORY_TYPE),
        np.zeros(1, dtype=model_files.HISTORY_TYPE),
    ]
    runs[0]["loss"], runs[1]["loss"] = [3, 2, 1], [1]
    figure = figures.history(runs, "title")
    assert figure.axes[0].lines[0].get_ydata().tolist() == [2, 2, 1]
    assert [axes.get_title() for axes in figure.axes] == ["loss", "accuracy"]


@pytest.mark.filterwarnings("error")
def test_history_of_one_epoch_and_of_a_diverged_loss():
    history = np.zeros(1, dtype=model_files.HISTORY_TYPE)
    history["val_loss"] = np.nan
    assert figures.history([history], "title")


@pytest.mark.filterwarnings("error")
def test_fifteen_labels(files):
    data_set = settings.DATA_SETS[2]
    files = replace(files, folder=config_of(data_set).model_folder / "model_leaky")
    f_scores = {label: np.zeros((2, 21)) for label in data_set.labels}
    optima = dict.fromkeys(data_set.labels, 0.5)
    panels = figures.classwise_panels(THRESHOLDS, f_scores, optima, ["egc"], "title")
    matrices = np.tile(np.eye(15), (2, 1, 1))
    matrix = figures.confusion(matrices, data_set.labels, "title")
    plotting.save_all(files, {"classwise_s2": panels, "confusion_s1": matrix})
    assert_figure(files, "classwise_s2")
    width, _ = png_size(files.figure("confusion_s1.png"))
    assert width / style.DPI / len(data_set.labels) > 0.45  # inches: room for four digits


def test_equal_figures_are_equal_files(tmp_path):
    for name in ("a", "b"):
        style.save(figures.confusion(np.eye(2)[None], "ab", "title"), tmp_path / name)
    for ending in ("png", "pdf"):
        assert (tmp_path / f"a.{ending}").read_bytes() == (tmp_path / f"b.{ending}").read_bytes()
    assert len(list(tmp_path.iterdir())) == 4


def test_a_figure_is_whole_or_not_there(tmp_path, monkeypatch):
    figure = figures.confusion(np.eye(2)[None], "ab", "title")
    before = [path.read_bytes() for path in style.save(figure, tmp_path / "a.b")]

    def fail(path, content):
        with path.open("wb") as file:
            file.write(content[: len(content) // 2])
        raise OSError(errno.ENOSPC, "disk full")

    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(OSError, match="a.b.png|disk full"):
        style.save(figure, tmp_path / "a.b")
    assert [(tmp_path / name).read_bytes() for name in ("a.b.png", "a.b.pdf")] == before


def test_scripts_from_the_root_plot_all_optimizers(files, run_script):
    data_set = settings.DATA_SETS[7]
    for optimizer in ("adam", "sgd"):
        of_optimizer = model_files.model_files(config_of(data_set), "model_leaky", optimizer)
        write_confusion(of_optimizer, data_set)
    run = run_script("plot_conf_mat.py", "-m", "model_leaky", "-d", 7)
    printed = run.stdout.splitlines()
    assert len(printed) == 6
    for optimizer in ("adam", "sgd"):
        assert_figure(
            model_files.model_files(config_of(data_set), "model_leaky", optimizer), "confusion_s2"
        )
    only = run_script("plot_conf_mat.py", "-m", "model_leaky", "-o", "sgd", "-d", 7)
    assert len(only.stdout.splitlines()) == 3


def test_only_finished_trainings_are_drawn(files, capsys):
    write_history(files, lengths=(5, 3, 4))
    files.run_record(1).unlink()
    plot_history.plot(files, "REMEDY")
    assert_figure(files, "history")
    drawn = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(figures, "history", lambda histories, title: drawn.extend(histories))
        patch.setattr(plotting, "save_all", lambda *_: None)
        plot_history.plot(files, "REMEDY")
    assert [len(history) for history in drawn] == [5]


@pytest.mark.parametrize("script", launchers.SCRIPTS)
def test_launchers_run_as_printed(script, run_script):
    data_set = settings.DATA_SETS[7]
    files = model_files.model_files(config_of(data_set), "model_leaky", "adam")
    write_confusion(files, data_set)
    write_sweep(files, data_set)
    write_history(files)
    launchers.write(files.folder)
    run = run_script(script, cwd=files.folder)
    name = {"plot_conf_mat.py": "confusion_s1", "plot_history.py": "history"}.get(script)
    assert_figure(files, name or "thresholds")
    assert files.optima.exists() == (script == "plot_perf_metrics.py")
    assert "IRMAS" not in run.stdout  # no menu
    assert not run.stderr


@pytest.mark.parametrize(
    ("script", "remedy"),
    [
        (plot_conf_mat, "python3 evaluate.py -O 1 -m model_leaky -o adam -d 20"),
        (plot_perf_metrics, "python3 evaluate.py -O 2 -m model_leaky -o adam -d 20"),
        (plot_history, "python3 train.py -m model_leaky -o adam -d 20"),
    ],
)
def test_missing_results_say_what_to_run(files, script, remedy, monkeypatch):
    monkeypatch.setattr("sys.argv", ["plot", "-m", "model_leaky", "-o", "adam", "-d", "20"])
    with pytest.raises(InputError, match=remedy):
        script.main()
    monkeypatch.setattr("sys.argv", ["plot", "--folder", str(files.folder)])
    with pytest.raises(InputError, match=remedy.replace("adam", "<adam.sgd>")):
        script.main()
    monkeypatch.setattr("sys.argv", ["plot"])
    with pytest.raises(InputError, match="give -m MODEL_NAME .* or --folder"):
        script.main()


@pytest.mark.parametrize(
    "change",
    [
        {"scores": {}},
        {"scores": {"columns": list(scores.COLUMNS), "data": [[1]]}},
        {"recipe": None},
        {"iterations": 5},
        {"absent": [77]},
    ],
)
def test_damaged_sweep_is_one_plain_error_and_stores_nothing(files, change):
    write_sweep(files, THREE)
    storage.save_json(files.sweep, storage.load_json(files.sweep, "") | change)
    with pytest.raises(InputError, match="sweep.json is damaged .* run REMEDY"):
        plot_perf_metrics.plot(files, "REMEDY")
    assert not files.optima.exists()


def test_damaged_confusion_and_history(files):
    write_confusion(files, THREE)
    storage.save_json(files.confusion, storage.load_json(files.confusion, "") | {"iterations": 3})
    with pytest.raises(InputError, match="confusion.json is damaged"):
        plot_conf_mat.plot(files, "REMEDY")
    write_history(files)
    storage.save_array(files.history(0), np.zeros(3))
    with pytest.raises(InputError, match="adam0.history.npy is damaged"):
        plot_history.plot(files, "REMEDY")


def test_help_is_light(run_script):
    for script in (*launchers.SCRIPTS, "compare_models.py"):
        code = (
            f"import sys, runpy; sys.argv = ['{script}', '--help']\n"
            f"try: runpy.run_path('{script}', run_name='__main__')\n"
            "except SystemExit: print(*{'matplotlib', 'pandas', 'keras'} & set(sys.modules))"
        )
        assert run_script("-c", code).stdout.splitlines()[-1] == ""


def test_both_separations_are_pictured(tmp_path, call, capsys):
    write_tone(tmp_path / "song.wav", 3, seconds=2)
    call("plot_separation.py", tmp_path / "song.wav", "--out", tmp_path, "--seconds", 1.5)
    for ending in (".png", ".pdf"):
        assert (tmp_path / f"separation_song{ending}").stat().st_size > 10_000
    for arguments in (("--start", 5), ("--start", -1), ("--seconds", 0)):
        with pytest.raises(SystemExit, match="^error: "):
            call("plot_separation.py", tmp_path / "song.wav", "--out", tmp_path, *arguments)
