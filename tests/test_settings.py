import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, script_environment

import settings
from instrec.common import command
from instrec.errors import InputError

SCRIPTS = sorted(path.stem for path in ROOT.glob("*.py"))


def test_documented_parameters_have_their_documented_defaults():
    documented = {
        "time_duration": 1,
        "test_overlap": 0.5,
        "num_mel_bands": 128,
        "nb_epochs": 400,
        "batch_size": 128,
        "learning_rate": 0.001,
        "alpha": 0.33,
        "iter_num": 3,
        "val_split": 0.85,
        "patience": 5,
        "stft_window": 1024,
    }
    assert {name: getattr(settings, name) for name in documented} == documented


def test_the_twelve_documented_data_sets():
    documented = {id_: data_set.key for id_, data_set in settings.DATA_SETS.items() if id_ != 10}
    assert documented == {
        -2: "jazz_solo_1024",
        -1: "jazz_db_1024",
        0: "irmas_multi_res_1024",
        1: "irmas_1024",
        2: "youtube_1024",
        3: "irmas_harm_1024",
        4: "youtube_harm_1024",
        5: "youtube_perc_1024",
        6: "irmas_wind_solo_1024",
        7: "irmas_wind_1024",
        8: "irmas_harm_perc_1024",
        9: "youtube_harm_perc_1024",
    }
    assert settings.nb_classes == {
        10: 11,  # not of the documentation
        -2: 6,
        -1: 6,
        0: 11,
        1: 11,
        2: 15,
        3: 11,
        4: 15,
        5: 15,
        6: 4,
        7: 4,
        8: 11,
        9: 15,
    }


def test_labels_are_in_alphabetical_order():
    for data_set in settings.DATA_SETS.values():
        assert list(data_set.labels) == sorted(set(data_set.labels))


def test_derived_values_follow_the_parameters():
    settings.time_duration = 2
    assert settings.patch_frames == 86
    settings.test_overlap = 0
    assert settings.test_step == 86
    settings.stft_window = 2048
    assert settings.DATA_SETS[0].key == "irmas_multi_res_2048"
    assert settings.DATA_SETS[0].windows == (2048, 4096, 8192)


def test_model_path_is_the_models_root_and_the_key():
    settings.dataset = -1
    assert settings.MODEL_PATH == settings.MODELS_ROOT / "jazz_db_1024"


@pytest.mark.parametrize("dataset", [None, 99])
def test_no_data_set_is_an_error_that_names_the_option(dataset):
    settings.dataset = dataset
    with pytest.raises(InputError, match="-d ID"):
        settings.selected()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("test_overlap", 50), ("test_overlap", 1), ("val_split", 1), ("split_by", "clip")),
        *(("seed", -1), ("nb_epochs", 0), ("hop_length", 0.5), ("time_duration", 0.01)),
    ],
)
def test_parameters_out_of_range_are_refused(name, value):
    setattr(settings, name, value)
    with pytest.raises(InputError, match=f"settings.py: expected {name} .* found {value!r}"):
        settings.selected()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": ("flu", "cel")}, "alphabetical"),
        ({"layout": "irma"}, "layout"),
        ({"folders": ()}, "one or two folders"),
        ({"channels": 2}, "1 or 3 channels"),
    ],
)
def test_a_wrong_entry_is_refused(changes, message):
    with pytest.raises(InputError, match=f"'irmas': .*{message}"):
        dataclasses.replace(settings.DATA_SETS[1], **changes)


def test_two_data_sets_of_one_name_are_refused(monkeypatch):
    monkeypatch.setitem(settings.DATA_SETS, 10, settings.DATA_SETS[1])
    with pytest.raises(InputError, match="name of its own"):
        settings.selected()


def test_a_mistyped_parameter_is_an_error():
    with pytest.raises(AttributeError, match="patch_frame"):
        _ = settings.patch_frame


def test_environment_variables_override_the_paths(tmp_path):
    code = "import settings; print(settings.DATA_PATH, settings.FEATURE_PATH, settings.MODELS_ROOT)"
    result = python("-c", code, environment=script_environment(tmp_path))
    assert result.stdout.split() == [
        str(tmp_path / name) for name in ("data", "features", "models")
    ]


@pytest.mark.parametrize("platform", ["Linux", "Darwin", "Windows", "Plan9"])
def test_every_platform_has_paths(platform):
    code = (
        f"import platform; platform.system = lambda: {platform!r}\n"
        "import settings; print(settings.DATA_PATH.is_absolute())"
    )
    assert python("-c", code).stdout == "True\n"


@pytest.mark.parametrize("script", ["settings", *SCRIPTS])
def test_importing_asks_nothing_prints_nothing_and_loads_nothing_heavy(script):
    code = (
        f"import sys, {script}\n"
        "heavy = {'tensorflow', 'keras', 'librosa', 'matplotlib', 'pandas', 'sklearn'}\n"
        "heavy |= {'distributed', 'dask', 'jax'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    result = python("-c", code)
    assert (result.stdout, result.stderr) == ("", "")


@pytest.mark.parametrize("script", [name for name in SCRIPTS if name != "settings"])
def test_help_names_the_options(script):
    shown = python(f"{script}.py", "--help").stdout
    assert script in shown
    assert "-d ID" in shown or script in ("plot_separation", "reproduce")  # of files, experiments


def test_without_a_terminal_and_a_data_set_the_error_names_the_option(run_script):
    result = run_script("create_encoding.py", check=False)
    assert result.returncode == 1
    assert result.stderr == (
        "error: no data set is chosen: give -d ID, or set `dataset` in settings.py\n"
    )


def test_a_terminal_gets_the_documented_menu(tmp_path):
    pexpect = pytest.importorskip("pexpect")
    child = pexpect.spawn(
        sys.executable,
        ["create_encoding.py"],
        cwd=str(ROOT),
        env=script_environment(tmp_path),
        encoding="utf-8",
        timeout=60,
    )
    for id_, title in ((-2, "Jazz-Solo"), (0, "IRMAS Multires"), (9, "Monotimbral Harm-Perc")):
        child.expect_exact(f"[{id_:2}] {title}")
    child.expect("Select the data set: ")
    child.sendline("1")
    child.expect("error: expected the audio of IRMAS in .*data/irmas")
    child.expect(pexpect.EOF)


def python(*arguments, environment=None):
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=Path(ROOT),
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"batch_sise": 3}, "x.py: .*no parameter 'batch_sise': did you mean 'batch_size'"),
        ({"DATA_PATH": "x"}, "no parameter 'DATA_PATH'"),
        ({"batch_size": "3"}, "x.py: expected batch_size to be of type int, found '3'"),
        ({"batch_size": 3.0}, "of type int"),
        ({"balanced": 1}, "of type bool"),
        ({"nb_epochs": True}, "of type int"),
        ({"dataset": "irmas"}, "of type int"),
        ({"optimizer": "adma"}, "one of .*found 'adma'"),
        ({"transfer_passes": 3}, "x.py: expected transfer_passes to be one of"),
        ({"nb_epochs": 0}, "x.py: expected nb_epochs .*found 0"),
    ],
)
def test_wrong_overrides_are_refused_and_change_nothing(values, message):
    before = settings.parameters()
    with pytest.raises(InputError, match=message), settings.overridden(values, "x.py"):
        pass
    assert settings.parameters() == before


def test_overrides_last_for_a_block():
    settings.dataset = 1
    values = {"stft_window": 2048, "learning_rate": 1, "dataset": -1, "model": "model_leaky"}
    with settings.overridden(values, "test"):
        assert settings.selected().key == "jazz_db_2048"
        assert settings.learning_rate == 1
    assert settings.selected().key == "irmas_1024"
    assert settings.model is None


def test_an_option_of_a_script_lasts_for_one_run(monkeypatch):
    parser = command.new_parser("")
    command.add_training_options(parser)
    experiment = settings.ROOT / "experiments" / "irmas_class_weights.py"
    monkeypatch.setattr(sys, "argv", ["x", "-e", "3", "-x", str(experiment)])
    with command.parsed(parser):
        assert (settings.nb_epochs, settings.class_weight) == (3, "y")
    assert (settings.nb_epochs, settings.class_weight) == (400, "n")
    monkeypatch.setattr(sys, "argv", ["x", "-c", "n", "-x", str(experiment)])
    with command.parsed(parser):
        assert settings.class_weight == "n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("-m", "model_leaky", "-x", "irmas_leaky"), "give -m or -x, not both"),
        (("-m", "model_leaky", "-o", "adam", "-d", 1, "--passes", 2), "give --from, too"),
    ],
)
def test_options_that_contradict_each_other_are_refused(call, arguments, message):
    with pytest.raises(SystemExit, match=f"^error: .*{message}"):
        call("train.py", *arguments)
