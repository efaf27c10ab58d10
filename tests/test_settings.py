import dataclasses
import re
import runpy
import shutil
import sys
from types import SimpleNamespace

import pytest
from conftest import ROOT, refuses

import settings
from instrec.common import command
from instrec.config import read
from instrec.errors import InputError

SCRIPTS = sorted(path.stem for path in ROOT.glob("*.py") if path.stem != "settings")


def test_window_and_patience_are_those_of_the_thesis():
    """Other defaults, and their documentation, are compared in test_docs.py."""
    assert (settings.stft_window, settings.patience) == (1024, 5)


def test_the_twelve_documented_data_sets():
    data_sets = [settings.DATA_SETS[id_] for id_ in range(-2, 10)]
    assert [data_set.key(1024) for data_set in data_sets] == [
        *("jazz_solo_1024", "jazz_db_1024", "irmas_multi_res_1024", "irmas_1024", "youtube_1024"),
        *("irmas_harm_1024", "youtube_harm_1024", "youtube_perc_1024", "irmas_wind_solo_1024"),
        *("irmas_wind_1024", "irmas_harm_perc_1024", "youtube_harm_perc_1024"),
    ]
    labels = [len(data_set.labels) for data_set in data_sets]
    assert labels == [6, 6, 11, 11, 15, 11, 15, 15, 4, 4, 11, 15]


def test_derived_values_follow_the_parameters():
    settings.time_duration = 2
    assert read().patch_frames == 86
    settings.test_overlap = 0
    assert read().step("test") == 86
    config = read(dataset=0, stft_window=2048)
    assert config.key == "irmas_multi_res_2048"
    assert config.features.windows == (2048, 4096, 8192)
    settings.dataset = -1
    assert settings.MODEL_PATH == settings.MODELS_ROOT / "jazz_db_1024" == read().model_folder
    assert settings.nb_classes == len(settings.JAZZ)
    settings.dataset = None
    with pytest.raises(AttributeError, match="nb_classes depends on the data set"):
        _ = settings.nb_classes
    settings.dataset = 99
    with pytest.raises(InputError, match="-d ID"):
        _ = read().data_set


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("test_overlap", 50), ("test_overlap", 1), ("val_split", 1), ("split_by", "clip")),
        *(("seed", -1), ("nb_epochs", 0), ("augmentation", "rain"), ("time_duration", 0.01)),
        *(("stft_window", "2048"), ("hop_length", 512.0), ("alpha", None), ("balanced", 1)),
        *(("nb_epochs", True), ("optimizer", "adma")),
    ],
)
def test_parameters_out_of_range_are_refused(name, value):
    refuses(f"x.py: expected {name} .*found {value!r}", read().changed, {name: value}, "x.py")
    setattr(settings, name, value)
    refuses(f"settings.py: expected {name} .*found {value!r}", read)


def test_mixed_patches_have_no_class_weights():
    mixed = read(augmentation="start mix")
    expected = "x.py: expected class_weight to be 'n' where patches are mixed, found 'y'"
    refuses(expected, mixed.changed, {"class_weight": "y"}, "x.py")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": ("flu", "cel")}, "alphabetical"),
        ({"labels": "as"}, "expected labels to be a tuple"),
        ({"labels": ("a;s", "cl")}, "expected labels without ';'"),
        ({"layout": "irma"}, "layout"),
        ({"folders": ()}, "one or two folders"),
        ({"channels": 2}, "1 or 3 channels"),
    ],
)
def test_a_wrong_entry_is_refused(changes, message):
    refuses(f"'irmas': .*{message}", dataclasses.replace, settings.DATA_SETS[1], **changes)


@pytest.mark.parametrize("platform", ["Linux", "Darwin", "Windows", "Plan9"])
def test_every_platform_has_paths(monkeypatch, platform):
    monkeypatch.setattr("platform.system", lambda: platform)
    assert runpy.run_path(settings.__file__)["DATA_PATH"].is_absolute()


LIGHT = """
import contextlib, importlib, io, sys
for script in sys.argv[1:]:
    main = importlib.import_module(script).main
    with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
        main(["--help"])
heavy = {"tensorflow", "keras", "librosa", "matplotlib", "pandas", "sklearn", "distributed"}
heavy |= {"dask", "jax", "soundfile", "pretty_midi", "midirenderer", "tqdm"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
"""


def test_importing_and_helping_asks_nothing_prints_nothing_and_loads_nothing_heavy(run_script):
    result = run_script("-c", LIGHT, *SCRIPTS)
    assert (result.stdout, result.stderr) == ("", "")


def test_without_a_terminal_and_a_data_set_the_error_names_the_option(run_script):
    result = run_script("create_encoding.py", check=False)
    assert result.returncode == 1 and result.stderr.count("\n") == 1
    assert result.stderr.startswith("error: no data set is chosen: give -d ID")


def test_a_terminal_gets_the_documented_menu(terminal):
    child = terminal("create_encoding.py")
    for id_, title in ((-2, "Jazz-Solo"), (0, "IRMAS Multires"), (9, "Monotimbral Harm-Perc")):
        child.expect_exact(f"[{id_:2}] {title}")
    child.expect("Select the data set: ")
    child.sendline("1")
    assert re.search("error: expected the audio of IRMAS in .*data/irmas", child.read())


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("batch_sise", "x.py: .*no parameter 'batch_sise': did you mean 'batch_size'"),
        ("DATA_PATH", "no parameter 'DATA_PATH'"),
    ],
)
def test_unknown_names_are_refused(name, message):
    refuses(message, read().changed, {name: 3}, "x.py")


def test_a_config_is_changed_by_copies_and_stays_as_it_was():
    config = read()
    changes = {"stft_window": 2048, "learning_rate": 1, "dataset": -1, "model": "model_leaky"}
    assert config.changed(changes, "test").key == "jazz_db_2048"
    assert (config.key, config.model) == ("irmas_1024", None)
    settings.seed = 5  # as in ipython
    assert (config.seed, read().seed) == (0, 5)


def test_experiments_and_options_come_on_top_of_settings():
    parser = command.new_parser("")
    command.add_training_options(parser)
    settings.batch_size = 7
    _, config = command.parse(parser, ["-e", "3", "-x", "irmas_class_weights"])
    assert (config.nb_epochs, config.class_weight, config.batch_size) == (3, "y", 7)
    _, config = command.parse(parser, ["-c", "n", "-x", "irmas_class_weights"])
    assert config.class_weight == "n"
    _, config = command.parse(parser, ["-x", "irmas_class_weights", "-x", "irmas_wind"])
    assert (config.dataset, config.class_weight) == (7, "y")


def test_options_that_contradict_each_other_are_refused(refused):
    both = refused("train.py", "-m", "model_leaky", "-x", "irmas_leaky")
    assert "give -m or -x, not both" in both
    passes = refused("train.py", "-m", "model_leaky", "-o", "adam", "-d", 1, "--passes", 2)
    assert "give --from, too" in passes


def test_what_is_wrong_in_settings_is_one_line(tmp_path, run_script):
    text = (ROOT / "settings.py").read_text()
    edited = re.sub(r"^JAZZ = .*$", 'JAZZ = ("cl", "as")', text, flags=re.MULTILINE)
    assert edited != text
    for part in ("instrec", "models"):
        (tmp_path / part).symlink_to(ROOT / part)
    script = shutil.copy(ROOT / "create_encoding.py", tmp_path)
    (tmp_path / "settings.py").write_text(edited)
    ended = run_script(script, "-d", -1, cwd=tmp_path, check=False)
    assert ended.returncode == 1 and ended.stderr.count("\n") == 1
    assert ended.stderr.startswith("error: settings.py, data set 'jazz_solo': expected labels in")


@pytest.mark.parametrize("write", [None, lambda *_: 0])
def test_scripts_run_where_output_is_closed_or_a_notebook_s(monkeypatch, write):
    """A notebook's stream cannot be reconfigured, and a closed one is none."""
    stream = write and SimpleNamespace(write=write, flush=lambda: None)
    monkeypatch.setattr(sys, "stdout", stream)
    command.print_any_name()
    print("x")
