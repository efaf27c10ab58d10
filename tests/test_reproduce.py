"""Experiment files, their order, and reproduce.py from end to end on a tiny scale."""

import contextlib
import dataclasses
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time

import pytest
from conftest import ROOT
from PIL import Image

import reproduce
import settings
from instrec import experiments
from instrec.common import storage
from instrec.errors import InputError

GOOD = """'''Title of it

More of
it.'''

answers = "thesis 5.4"
published = {"s1 micro": 0.5, "s2 macro": (0.1, 0.2, 0.3), "s1 threshold": 0.4, "mean accuracy": 1}
baseline = "other"
published_change = (-2, 1.5)

dataset = 3
model = "model_leaky"
optimizer = "adam"
stft_window = 2048
"""
CATALOGUE = {name: experiments.load(name) for name in experiments.names()}


def parse(text):
    return experiments.parse(text, "mine", "experiments/mine.py")


def with_line(line):
    return f"{GOOD}{line}\n"


# --- experiment files ---------------------------------------------------------------------------
def test_a_file_is_read():
    found = parse(GOOD)
    assert (found.id, found.title, found.text) == ("mine", "Title of it", "More of it.")
    assert found.overrides == {
        "dataset": 3,
        "model": "model_leaky",
        "optimizer": "adam",
        "stft_window": 2048,
    }
    assert found.key == "irmas_harm_2048"
    assert found.trained == "irmas_harm_2048/model_leaky.adam"
    assert (found.answers, found.baseline) == ("thesis 5.4", "other")
    assert found.published["s2 macro"] == (0.1, 0.2, 0.3)
    assert (found.published_change, found.confusion) == ((-2, 1.5), False)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("nb_epoch = 3", "no parameter 'nb_epoch': did you mean 'nb_epochs'?"),
        ("pubished = {}", "no parameter 'pubished': did you mean 'published'?"),
        ("DATA_PATH = '/tmp'", "no parameter 'DATA_PATH'"),
        ("seed = 1 + 1", "expected a plain value for seed"),
        ("seed = int('1')", "expected a plain value for seed"),
        ("name = open('/etc/passwd').read()", "expected a plain value for name"),
        ("seed = nb_epochs", "expected a plain value for seed"),
        ("import os", "expected only lines of the form name = value"),
        ("print(1)", "expected only lines of the form name = value"),
        ("seed = patience = 3", "expected only lines of the form name = value"),
        ("seed: int = 3", "expected only lines of the form name = value"),
        ("settings.seed = 3", "expected only lines of the form name = value"),
        ("seed, patience = 3, 4", "expected only lines of the form name = value"),
        ("seed += 3", "expected only lines of the form name = value"),
        ("dataset = 3", "dataset is set twice"),
        ("confusion = 1", "expected confusion to be True or False, found 1"),
        ("published_classwise_change = 3", "expected published_classwise_change to be two"),
        ("published_classwise_change = (3, 1)", "expected published_classwise_change to be two"),
        ("seed = = 3", "line 15"),
        ("transfer_passes = 2", "expected transfer_from too, without which transfer_passes"),
        ("transfer_output = 'softmax'", "expected transfer_from too"),
        ("transfer_learning_rate = 0.1", "expected transfer_from too"),
    ],
)
def test_everything_else_is_refused_with_its_line(line, message):
    with pytest.raises(InputError, match="experiments/mine.py, line 15") as error:
        parse(with_line(line))
    assert message in str(error.value)


@pytest.mark.parametrize(
    "value",
    ["{'s3 micro': 0.5}", "{'s1 micro': 56.8}", "{'s1 micro': (0.5, 0.5)}", "{'s1 macro': 'x'}"]
    + ["{'s1 threshold': (1, 1, 1)}", "[0.5]", "{'s1 micro': True}"],
)
def test_published_numbers_are_shares_by_known_names(value):
    text = GOOD.replace(GOOD[GOOD.index("{") : GOOD.index("}") + 1], value)
    with pytest.raises(InputError, match="line 7: expected published to be"):
        parse(text)


def test_what_every_file_needs():
    with pytest.raises(InputError, match="line 1: expected a docstring"):
        parse("dataset = 1\n")
    with pytest.raises(InputError, match="line 1: expected a docstring"):
        parse("")
    with pytest.raises(InputError, match="expected it to set optimizer"):
        parse(GOOD.replace('optimizer = "adam"', ""))
    with pytest.raises(InputError, match="expected it to set name, as it sets transfer_from"):
        parse(with_line('transfer_from = "irmas_1024/model_leaky.adam"'))
    with pytest.raises(InputError, match="line 11: expected dataset among .* found 99"):
        parse(GOOD.replace("dataset = 3", "dataset = 99"))


def test_an_ensemble_trains_nothing_and_says_so():
    ensemble = with_line("ensemble = True")
    assert parse(ensemble).result == "ensemble_model_leaky"
    several = 'model = "model_leaky+model_baseline"'
    found = parse(ensemble.replace('model = "model_leaky"', several))
    assert found.needs == (
        "irmas_harm_2048/model_leaky.adam",
        "irmas_harm_2048/model_baseline.adam",
    )
    for line in ("name = 'mine'", "transfer_from = 'irmas_1024/model_leaky.adam'"):
        with pytest.raises(InputError, match=f"line 16: expected no {line.split()[0]}, as an"):
            parse(f"{ensemble}{line}\n")
    for more in ("", "ensemble = False"):
        text = with_line(more).replace('model = "model_leaky"', several)
        with pytest.raises(InputError, match="line 12: expected ensemble = True, as model names"):
            parse(text)


def test_a_value_of_another_type_is_refused_when_it_is_applied():
    for line, message in (
        ("nb_epochs = 2.5", "nb_epochs to be of type int"),
        ("seed = '1'", "seed to be of type int"),
        ("val_split = 2", "val_split to be a share"),
    ):
        found = parse(with_line(line))
        with (
            pytest.raises(InputError, match=f"experiments/mine.py: expected {message}"),
            reproduce.overridden(found, "full"),
        ):
            pass


def test_a_mistyped_name_of_an_experiment_names_the_nearest():
    with pytest.raises(InputError, match="did you mean 'irmas_leaky'"):
        experiments.load("irmas_leaki")


def test_a_file_of_ones_own_is_read_from_anywhere(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(GOOD)
    assert experiments.load(str(path)).overrides == parse(GOOD).overrides
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="cannot be read as text"):
        experiments.load(str(path))


MINE = """'''Mine'''
answers = "mine"
dataset = 1
model = "model_leaky"
optimizer = "adam"
"""


def refused(tmp_path, text, name="mine.py"):
    """Return why an experiment of one's own is refused beside those of the project."""
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(InputError) as error:
        reproduce.load_catalogue([str(path)], "full")
    assert str(path) in str(error.value) and "\n" not in str(error.value)
    return str(error.value)


def test_experiments_that_would_take_each_others_place_are_refused(tmp_path):
    why = refused(tmp_path, MINE)
    assert "experiments/irmas_leaky.py" in why
    assert "the same results, irmas_1024/model_leaky.adam: set name in one of them" in why
    assert "keep one of them" in refused(tmp_path, MINE + "ensemble = True\n")
    named = MINE + "name = 'mine'\n"
    why = refused(tmp_path, named, "irmas_leaky.py")
    assert "experiments/irmas_leaky.py" in why
    assert "irmas_leaky.json: give the file another name" in why
    assert "expected a file name that starts otherwise" in refused(tmp_path, named, "_data.py")


def test_an_experiment_may_be_named_by_its_path(monkeypatch):
    monkeypatch.chdir(ROOT / "tests")
    path = "../experiments/irmas_leaky.py"
    catalogue, chosen = reproduce.load_catalogue([path, "irmas_leaky"], "full")
    assert set(chosen) == {"irmas_leaky"} and catalogue.keys() == CATALOGUE.keys()
    assert experiments.load(path).source == "experiments/irmas_leaky.py"


@pytest.mark.parametrize(
    "line",
    ["sample_rate = 16000", "hop_length = 256", "num_mel_bands = 64", "time_duration = 2"]
    + ["test_overlap = 0.0"],
)
def test_patches_of_one_key_are_of_one_kind(tmp_path, line):
    why = refused(tmp_path, f"{MINE}name = 'mine'\n{line}\n")
    assert f"need patches of different {line.split()[0]}" in why
    assert "those of irmas_1024: set it in settings.py for all, or give one" in why


def test_patches_of_another_kind_have_a_data_set_of_their_own(tmp_path, monkeypatch):
    jazz = MINE.replace("dataset = 1", "dataset = -1") + "name = 'mine'\nseed = 1\n"
    assert "need patches of different seed" in refused(tmp_path, jazz)  # it halves the files
    path = tmp_path / "mine.py"
    path.write_text(f"{MINE}name = 'mine'\nseed = 1\n")
    assert reproduce.load_catalogue([str(path)], "full")[1] == ["mine"]
    own = dataclasses.replace(settings.DATA_SETS[1], name="irmas_64")
    monkeypatch.setitem(settings.DATA_SETS, 30, own)
    path.write_text(MINE.replace("dataset = 1", "dataset = 30") + "num_mel_bands = 64\n")
    catalogue, _ = reproduce.load_catalogue([str(path)], "full")
    assert catalogue["mine"].key == "irmas_64_1024"


# --- the experiments that come with the project ------------------------------------------------
@pytest.mark.parametrize("scale", reproduce.SCALES)
def test_every_experiment_fits_the_settings(scale):
    catalogue, chosen = reproduce.load_catalogue([], scale)
    assert sorted(chosen) == sorted(catalogue) == sorted(CATALOGUE)


def test_every_experiment_has_results_of_its_own():
    places = [(e.key, e.result, e.overrides["optimizer"]) for e in CATALOGUE.values()]
    assert len(set(places)) == len(places)


def test_dependencies_come_first():
    order = [experiment.id for experiment in experiments.in_order(CATALOGUE, CATALOGUE)]
    assert sorted(order) == sorted(CATALOGUE)
    for experiment in CATALOGUE.values():
        for needed in experiments.dependencies(experiment, CATALOGUE.values()):
            assert order.index(needed) < order.index(experiment.id)


def test_what_an_experiment_builds_on_is_run_with_it():
    order = experiments.in_order(["jazz_solo_from_wind_solo_sgd_softmax"], CATALOGUE)
    assert {experiment.id for experiment in order} == {
        *("irmas_wind", "irmas_wind_solo", "jazz", "jazz_solo"),
        "jazz_solo_from_wind_solo_sgd_softmax",
    }


def test_circles_and_unknown_sources_are_refused():
    def named(id_, baseline):
        return dataclasses.replace(parse(GOOD), id=id_, baseline=baseline)

    circle = {"a": named("a", "b"), "b": named("b", "a")}
    with pytest.raises(InputError, match="depend on one another: "):
        experiments.in_order(circle, circle)
    with pytest.raises(InputError, match="no experiment 'b'"):
        experiments.in_order(["a"], {"a": circle["a"]})
    overrides = {**circle["a"].overrides, "transfer_from": "jazz_db_1024/other.adam"}
    lost = dataclasses.replace(circle["a"], overrides=overrides)
    with pytest.raises(InputError, match="no experiment trains jazz_db_1024/other.adam"):
        experiments.in_order(["a"], {"a": lost, "b": circle["b"]})


def test_the_published_transfers_are_all_there():
    transfers = [e for e in CATALOGUE.values() if "transfer_from" in e.overrides]
    assert len(transfers) == 14
    assert all(e.overrides["transfer_from"].endswith(".adam") for e in transfers)


# --- the whole way --------------------------------------------------------------------------------
TINY = reproduce.Scale(
    "for a test",
    {"nb_epochs": 1, "batch_size": 32, "iter_num": 1, "num_mel_bands": 32},
    {
        1: ("--train", "2", "--test", "12", "--seconds", "1.5", "1.5", "--processes", "1"),
        -1: ("--train", "4", "--seconds", "1.5", "1.5", "--processes", "1"),
    },
    workers=1,
    graphs=False,
)
TRANSFER = "jazz_from_wind_adam_softmax"


@pytest.fixture
def tiny(paths, monkeypatch):
    monkeypatch.setitem(reproduce.SCALES, "tiny", TINY)
    monkeypatch.setattr(reproduce, "DEMO", paths / "demo")
    return paths / "demo" / "reproduce_tiny"


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["reproduce.py", *map(str, arguments)])
    reproduce.main()


def test_experiments_run_once_and_are_reported(tiny, monkeypatch, capsys):
    run(monkeypatch, TRANSFER, "--scale", "tiny")
    output = capsys.readouterr().out
    assert "[3/3] jazz_from_wind_adam_softmax: IRMAS Wind to Jazz" in output
    assert "3 done" in output

    report = (tiny / "models" / "report" / "report.md").read_text()
    for heading in report.split("\n## ")[1:]:
        assert "RENDERED" in heading.splitlines()[2]
    assert "| jazz_from_wind_adam_softmax" in report
    assert "results: keras" in report and "**Report written**" in report
    assert "reproduce.py has not run it" in report  # the others
    page = (tiny / "models" / "report" / "report.html").read_text()
    for picture in (tiny / "models" / "report" / "figures").iterdir():
        assert f"figures/{picture.name}" in page
    assert "figures/irmas_wind_confusion_s1.png" in page
    assert (tiny / "models" / "report" / "figures" / f"{TRANSFER}_improvement.png").exists()

    # Nothing trains again; the report of the folder one names is the same.
    before = read_records(tiny)
    monkeypatch.setattr(reproduce, "run_experiment", lambda *_, **__: pytest.fail("ran again"))
    run(monkeypatch, TRANSFER, "--scale", "tiny", "--report", tiny / "other")
    assert "3 skipped" in capsys.readouterr().out
    assert read_records(tiny) == before
    assert (tiny / "other" / "report.md").read_text() == report

    # What has changed is not shown as if it had not, and only that is run again.
    scores = tiny / "models" / "jazz_db_1024" / "model_leaky" / "model_leaky.adam.scores.json"
    content = json.loads(scores.read_text())
    storage.save_json(scores, {**content, "clips": 1})
    ran = []
    monkeypatch.setattr(reproduce, "run_experiment", lambda e, *_, **__: ran.append(e.id))
    run(monkeypatch, TRANSFER, "--scale", "tiny", "--report-only")
    assert "have changed since it was run" in (tiny / "models/report/report.md").read_text()
    run(monkeypatch, TRANSFER, "--scale", "tiny")
    assert ran == ["jazz", TRANSFER]  # the bars of which are drawn against it


def read_records(tiny):
    return {p.name: p.read_text() for p in (tiny / "models" / "experiments").glob("[!_]*.json")}


def test_bars_are_drawn_anew_when_the_baseline_changes(paths, monkeypatch):
    jazz, transfer = CATALOGUE["jazz"], CATALOGUE[TRANSFER]

    def score(clips):
        storage.save_json(jazz.files.scores, {"clips": clips})

    def record(experiment, **more):
        done = {"state": "done", "seconds": {}, "made_of": {}, "results": {}, "figures": {}}
        reproduce.save_record(experiment.id, done | more)

    monkeypatch.setattr(reproduce, "made_of", lambda _: {})
    monkeypatch.setattr(reproduce, "results_of", lambda _: {})
    score(1)
    record(transfer, compared_with=reproduce.compared_with(jazz))
    assert reproduce.is_done(transfer, jazz)  # when it was run, the baseline had failed
    record(jazz)
    assert not reproduce.is_done(transfer, jazz)
    record(transfer, compared_with=reproduce.compared_with(jazz))
    assert reproduce.is_done(transfer, jazz)
    score(2)
    assert not reproduce.is_done(transfer, jazz)
    found = reproduce.outcome_of(transfer, jazz, paths)
    assert found.reason == "the scores of its baseline jazz have changed since it was run: " + (
        "run it again"
    )
    record(transfer)  # one that an earlier version wrote
    assert reproduce.is_done(transfer, jazz)


def test_what_was_stopped_goes_on(tiny, monkeypatch):
    """After the last finished epoch of a training, and with the time it took until then."""
    import models
    from instrec.learning import callbacks

    def small(name, shape, num_classes):
        from instrec.learning.backend import keras

        inputs = keras.Input(shape)
        x = keras.layers.Flatten()(keras.layers.AveragePooling2D((4, 43))(inputs))
        return keras.Model(inputs, keras.layers.Dense(num_classes, "sigmoid")(x), name=name)

    def stop(self, epoch, logs=None):
        save(self, epoch, logs)
        raise KeyboardInterrupt

    scale = dataclasses.replace(TINY, overrides={**TINY.overrides, "nb_epochs": 2})
    monkeypatch.setitem(reproduce.SCALES, "tiny", scale)
    monkeypatch.setattr(models, "get_model", small)
    save, all_steps = callbacks.StateSaver.on_epoch_end, reproduce.steps_of
    # Plots and the report, which take longer than all the rest, have nothing to do with it.
    monkeypatch.setattr(
        reproduce, "steps_of", lambda *a, **k: {"training": all_steps(*a, **k)["training"]}
    )
    monkeypatch.setattr(reproduce, "write_report", lambda *_: None)
    with monkeypatch.context() as interrupted:
        interrupted.setattr(callbacks.StateSaver, "on_epoch_end", stop)
        with pytest.raises(KeyboardInterrupt):
            run(monkeypatch, "jazz", "--scale", "tiny")
    folder = tiny / "models" / "experiments"
    record = json.loads((folder / "jazz.json").read_text())
    assert record["state"] == "stopped" and record["seconds"].keys() == {"training"}
    run(monkeypatch, "jazz", "--scale", "tiny")
    assert "going on after epoch 1" in (folder / "jazz.log").read_text()
    again = json.loads((folder / "jazz.json").read_text())
    assert again["state"] == "done"
    assert again["seconds"]["training"] >= record["seconds"]["training"]


@pytest.fixture
def apart(tiny, monkeypatch):
    """Scale tiny, with graphs: every experiment has a process of its own."""
    monkeypatch.setitem(reproduce.SCALES, "tiny", dataclasses.replace(TINY, graphs=True))
    return tiny


def record_of_jazz(folder):
    return json.loads((folder / "models" / "experiments" / "jazz.json").read_text())


def test_an_experiment_in_a_process_of_its_own(apart, monkeypatch, capsys):
    run(monkeypatch, "jazz", "--scale", "tiny")
    assert "1 done" in capsys.readouterr().out
    record = record_of_jazz(apart)
    assert record["state"] == "done" and record["made_of"]["settings"]["nb_epochs"] == 1
    assert (apart / "models" / record["figures"]["history"]).exists()

    # Why it fails is known here, too.
    longer = dataclasses.replace(
        reproduce.SCALES["tiny"], overrides={**TINY.overrides, "nb_epochs": 2}
    )
    monkeypatch.setitem(reproduce.SCALES, "tiny", longer)
    with pytest.raises(InputError, match="failed: jazz"):
        run(monkeypatch, "jazz", "--scale", "tiny")
    reason = record_of_jazz(apart)["reason"]
    assert "nb_epochs" in reason and f"failed: {reason}" in capsys.readouterr().out


@pytest.fixture
def endless(paths):
    """reproduce.py and, in its third epoch, an experiment in a process of its own."""
    program = f"""
import dataclasses, signal, reproduce
from instrec.common import command
signal.signal(signal.SIGINT, signal.default_int_handler)  # which background jobs ignore
reproduce.DEMO = reproduce.Path({str(paths / "demo")!r})
endless = {{**{TINY.overrides}, "nb_epochs": 10_000, "patience": 10_000}}
smoke = dataclasses.replace(reproduce.SCALES["smoke"], overrides=endless, graphs=True)
smoke.audio[-1] = {TINY.audio[-1]}
reproduce.SCALES["smoke"] = smoke
command.run(reproduce.main)
"""
    process = subprocess.Popen(
        [sys.executable, "-c", program, "--scale", "smoke", "jazz"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    log = paths / "demo" / "reproduce_smoke" / "models" / "experiments" / "jazz.log"
    try:
        assert comes_true(lambda: log.exists() and "epoch 3:" in log.read_text(), 120)
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def comes_true(is_so, seconds):
    """Wait until something is so, or for that long."""
    end = time.monotonic() + seconds
    while not is_so() and time.monotonic() < end:
        time.sleep(0.05)
    return is_so()


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_ctrl_c_leaves_the_record_of_how_far_it_came(endless, paths):
    os.killpg(endless.pid, signal.SIGINT)
    output, _ = endless.communicate(timeout=60)
    assert endless.returncode == 130, output
    assert output.endswith("stopped: the same command goes on from here\n")
    models = paths / "demo" / "reproduce_smoke" / "models"
    record = json.loads((models / "experiments" / "jazz.json").read_text())
    assert record["state"] == "stopped" and record["seconds"]["training"] > 0
    assert not list(models.rglob(f"*{storage.PARTIAL}*"))


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_an_experiment_ends_with_the_script(endless):
    endless.kill()
    endless.wait()

    def all_are_gone():
        try:
            os.killpg(endless.pid, 0)
        except ProcessLookupError:
            return True
        return False

    assert comes_true(all_are_gone, 30)


def test_a_failure_that_leaves_no_record_is_told(apart, monkeypatch, capsys):
    (apart / "models" / "experiments" / "jazz.json").mkdir(parents=True)
    with pytest.raises(InputError, match="failed: jazz"):
        run(monkeypatch, "jazz", "--scale", "tiny", "--report", apart / "report")
    assert "failed: IsADirectoryError: " in capsys.readouterr().out


def test_logs_take_any_name_and_lead_nowhere_else(tmp_path):
    other, log = tmp_path / "other", tmp_path / "x.log"
    other.write_text("")
    log.symlink_to(other)
    with reproduce.printing_to(log, verbose=False):
        print("left out: bad\udcff.wav")
    assert log.read_text() == "left out: bad\\udcff.wav\n" and other.read_text() == ""


def test_a_figure_that_is_none_is_named(tmp_path):
    path = tmp_path / "x.png"
    path.write_bytes(b"no picture")
    with pytest.raises(InputError, match="x.png is damaged.*delete it and run reproduce.py"):
        reproduce.copy_figure(path, tmp_path / "y.png")
    Image.new("1", (14_000, 14_000)).save(path)  # of which Pillow takes fright
    with pytest.raises(InputError, match="x.png is damaged"):
        reproduce.copy_figure(path, tmp_path / "y.png")


def test_a_process_that_is_killed_fails_with_its_code(apart, monkeypatch, capsys):
    process = multiprocessing.context.SpawnProcess
    join = process.join

    def kill(one):
        one.kill()
        join(one)

    monkeypatch.setattr(process, "join", kill)
    with pytest.raises(InputError, match="failed: jazz"):
        run(monkeypatch, "jazz", "--scale", "tiny")
    reason = "its process ended with code -9, perhaps for lack of memory"
    assert f"failed: {reason}" in capsys.readouterr().out
    assert record_of_jazz(apart)["reason"] == reason


def test_a_failure_stops_only_what_depends_on_it(tiny, monkeypatch, capsys):
    ran = []

    def fail(experiment, *_, **__):
        record = {"state": "done", "seconds": {}, "made_of": {}, "reason": ""}
        if experiment.id == "irmas_wind":
            record |= {"state": "failed", "reason": "no luck"}
        reproduce.save_record(experiment.id, record)
        ran.append(experiment.id)
        if experiment.id == "irmas_wind":
            raise InputError("no luck")

    monkeypatch.setattr(reproduce, "run_experiment", fail)
    monkeypatch.setattr(reproduce, "prepare", lambda *_, **__: {})
    with pytest.raises(InputError, match="failed: irmas_wind, jazz_from_wind_adam_softmax"):
        run(monkeypatch, TRANSFER, "--scale", "tiny")
    assert ran == ["irmas_wind", "jazz"]
    assert "failed: no luck" in capsys.readouterr().out
    report = (tiny / "models" / "report" / "report.md").read_text()
    assert "| irmas_wind | failed | no luck |" in report
    assert "it starts from irmas_wind, which is failed" in report


def test_audio_that_is_missing_is_named(paths, monkeypatch, capsys):
    run(monkeypatch, "jazz_solo")
    output = capsys.readouterr().out
    assert f"left out: its audio is missing: expected {paths / 'data' / 'jazz_db'}" in output
    report = (paths / "models" / "report" / "report.md").read_text()
    assert f"expected {paths / 'data' / 'jazz_db'}" in report
    assert "No experiment has results yet" in report


def test_a_folder_of_other_files_is_not_replaced(paths, monkeypatch):
    other = paths / "mine"
    other.mkdir()
    (other / "thesis.tex").write_text("years of work")
    with pytest.raises(InputError, match="holds other files than a report"):
        run(monkeypatch, "--report-only", "--report", other)
    assert (other / "thesis.tex").read_text() == "years of work"


def test_no_folder_but_a_report_is_replaced(paths, monkeypatch):
    ran = []
    monkeypatch.setattr(reproduce, "run_all", lambda *_, **__: ran.append(1) or {})
    docs = paths / "docs"
    (docs / "figures").mkdir(parents=True)
    (docs / "report.md").write_text("a report")
    (docs / "separation.md").write_text("no report")
    (paths / "file").write_text("no folder")
    (paths / "other.old").mkdir()
    (paths / "other.old" / "thesis.tex").write_text("years of work")
    monkeypatch.chdir(docs)
    for folder, message in (
        ("/", "/ cannot be replaced by a report"),
        (".", f"{docs} holds other files than a report, such as separation.md"),
        ("../docs", f"{docs} holds other files"),
        (paths / "file", "file is no folder"),
        (paths / "file" / "report", "file is no folder"),
        (paths / "other", r"other.old holds other files than a report, such as thesis.tex"),
    ):
        with pytest.raises(InputError, match=message):
            run(monkeypatch, "--report", folder)
    assert not ran  # told before hours of work
    assert (docs / "separation.md").exists() and (docs / "report.md").read_text() == "a report"
    (docs / "separation.md").unlink()
    (docs / "figures" / "mine.svg").write_text("no figure of a report")
    with pytest.raises(InputError, match="such as figures"):
        run(monkeypatch, "--report", docs)
    (docs / "figures" / "mine.svg").unlink()
    (docs / ".gitignore").write_text("kept")
    run(monkeypatch, "--report", docs)
    assert (docs / ".gitignore").read_text() == "kept"
    assert (docs / "report.md").read_text() != "a report"
    (docs / ".git").mkdir()
    with pytest.raises(InputError, match=r"such as \.git:"):
        run(monkeypatch, "--report", docs)


def test_list_names_all(monkeypatch, capsys):
    run(monkeypatch, "--list")
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(CATALOGUE)
    assert all(any(line.startswith(f"{name} ") for line in lines) for name in CATALOGUE)


def test_paths_and_settings_are_as_before(tiny):
    before = (settings.DATA_PATH, settings.MODELS_ROOT, settings.parameters())
    with reproduce.paths_of("tiny"):
        assert tiny / "data" == settings.DATA_PATH
        with reproduce.overridden(CATALOGUE["irmas_window_2048"], "tiny"):
            assert (settings.stft_window, settings.nb_epochs) == (2048, 1)
    assert (settings.DATA_PATH, settings.MODELS_ROOT, settings.parameters()) == before


def test_starting_takes_no_tensorflow(run_script):
    code = "import sys, reproduce; sys.exit('tensorflow' in sys.modules or 'pandas' in sys.modules)"
    run_script("-c", code, cwd=ROOT)
