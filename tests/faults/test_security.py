"""Files of others: what would run code, read or write elsewhere, or fill the memory is refused."""

import importlib
import json
import shutil
import struct

import h5py
import numpy as np
import pytest
from conftest import RATE, contents, extract, make_irmas, refuses, write_tone

import settings
from instrec import experiments
from instrec.common import storage
from instrec.config import read
from instrec.data import audio, tensors
from instrec.errors import InputError
from instrec.learning import model_files

WIND = 7
MODEL = ("-m", "model_residual", "-o", "adam")


@pytest.fixture
def model(paths):
    """A copy of the included model, as somebody else may hand it over (id 10)."""
    own = model_files.pretrained_files()
    files = model_files.source_files(model_files.PRETRAINED, settings.MODELS_ROOT)
    shutil.copytree(own.folder, files.folder)
    write_tone(paths / "song.wav", 0)
    return files


def change_record(files, **entries):
    record = json.loads(files.run_record(0).read_text())
    for name, value in entries.items():
        holder = record if name in record else record["recipe"]
        holder[name] = value
    files.run_record(0).write_text(json.dumps(record))


# --- pickles --------------------------------------------------------------------------------------
class Code:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_no_pickle_in_an_archive_or_history_is_read(refused, model, tmp_path):
    pickled = np.array([Code(tmp_path / "ran")])
    np.savez(tmp_path / "a.npz", x=pickled)
    refuses("damaged.*allow_pickle=False", storage.load_arrays, tmp_path / "a.npz", "step one")
    np.save(model.history(0), pickled, allow_pickle=True)
    assert "is damaged" in refused("plot_history.py", *MODEL, "-d", 10)
    assert not (tmp_path / "ran").exists()


@pytest.fixture
def wind(paths, made_once):
    made_once(paths, make_wind)


def make_wind(root):
    make_irmas(root, settings.IRMAS_WIND, train=2, test=4)
    extract(WIND)


def test_no_pickle_in_tensors_is_read(refused, wind, paths):
    settings.dataset = WIND
    for name in ("files", "labels", "file_id", "X_irmas", "split_0.85_patch_0"):
        path = tensors.folder(read(), "train") / f"{name}.npy"
        whole = path.read_bytes()
        np.save(path, np.array([Code(paths / "ran")]), allow_pickle=True)
        message = refused("train.py", "-m", "model_leaky", "-o", "adam", "-d", WIND)
        assert f"{path} is damaged" in message
        path.write_bytes(whole)
    assert not (paths / "ran").exists()


# --- structures of networks ----------------------------------------------------------------------
HIDDEN = [
    {"class_name": "TimeDistributed", "config": {"layer": {"class_name": "Lambda"}}},
    {"class_name": "Sequential", "config": {"layers": [{"class_name": "TFSMLayer"}]}},
    {
        "class_name": "Lambda",
        "config": {"name": "x", "function": {"class_name": "__lambda__", "config": {}}},
    },
    {"class_name": "Dense", "module": "os", "config": {}},
    {"class_name": "Dense", "module": "kerasx.layers", "config": {}},
]
FOREIGN = [
    ("kernel_initializer", {"module": "subprocess", "class_name": "Popen", "config": {}}),
    ("activation", {"module": "builtins", "class_name": "function", "config": "eval"}),
]


def change_structure(files, change):
    path = files.structure(0)
    structure = json.loads(path.read_text())
    change(structure["config"]["layers"])
    path.write_text(json.dumps(structure))


@pytest.mark.parametrize(
    "change",
    [
        lambda layers, layer=layer: layers.insert(
            1, {"module": "keras.layers", "name": "x", "inbound_nodes": []} | layer
        )
        for layer in HIDDEN
    ]
    + [lambda layers, entry=entry: layers[-1]["config"].update([entry]) for entry in FOREIGN]
    + [lambda layers: layers[0].update(module="os")]
    + [lambda layers: layers[0]["config"]["batch_shape"].insert(1, 256)],  # not of its record
)
def test_structures_that_hold_code_or_other_shapes_are_refused(refused, model, paths, change):
    """By Keras' safe mode, from Keras 3.15 on."""
    change_structure(model, change)
    message = refused("predict.py", paths / "song.wav", *MODEL, "-d", 10)
    assert f"{model.structure(0)} is damaged" in message


# --- weights --------------------------------------------------------------------------------------
def external_link(file, path):
    file["model_weights/link"] = h5py.ExternalLink(str(path), "/secret")


def soft_link(file, path):
    file["model_weights/link"] = h5py.SoftLink("/model_weights")


def external_storage(file, path):
    path.write_bytes(bytes(80))
    file.create_dataset("model_weights/x", (10,), "f8", external=[(str(path), 0, 80)])


def virtual(file, path):
    with h5py.File(path, "w") as other:
        other["secret"] = np.zeros(10)
    layout = h5py.VirtualLayout((10,), "f8")
    layout[:] = h5py.VirtualSource(str(path), "secret", (10,))
    file.create_virtual_dataset("model_weights/x", layout)


def compressed(file, path):
    file.create_dataset("model_weights/x", data=np.zeros(10**6), compression="gzip")


def promised(file, path):
    file.create_dataset("model_weights/x", (10**12,), "f8")


def named_type(file, path):
    file["model_weights/x"] = np.dtype("f8")


@pytest.mark.parametrize(
    "write", [external_link, soft_link, external_storage, virtual, compressed, promised, named_type]
)
def test_weights_lie_in_their_own_file(refused, model, paths, write):
    path = model.best(0)
    model.optima.unlink()  # names the weights that it is of
    with h5py.File(path, "a") as file:
        write(file, paths / "secret.h5")
    change_record(model, weights=storage.digest_of_file(path))  # whoever hands it over can
    message = refused("predict.py", paths / "song.wav", *MODEL, "-d", 10)
    assert f"{path} is " in message
    assert "refused: expected all weights in it" in message or "promises more" in message


# --- names that would lead elsewhere --------------------------------------------------------------
@pytest.mark.parametrize("row", ["../x.wav", "/etc/passwd", "a/../../x.wav", "..", ".", ""])
def test_rows_of_metadata_stay_below_the_audio_folder(refused, wind, row):
    settings.dataset = WIND
    path = read().feature_folder / "train.csv"
    path.write_text(f"filename,label\n{row},cla\n")
    message = refused("generate_dataset.py", "-d", WIND)
    assert "is no file below the audio folder" in message and str(path) in message


OUTSIDE = ("../x", "../../x", "/tmp/x", "a/b", "..", "C:x", "a\\b", "a\0b", "a\nb")


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("train.py -m model_leaky --name {}", "expected a name of letters"),
        ("train.py -m {}", "expected a model among"),
        ("train.py --from ../{}.adam", "expected transfer_from as"),
        ("train.py --from {}/model_leaky.adam", "expected transfer_from as"),
        ("evaluate.py -O 2 -m {}", "a model"),
        ("plot_history.py -m {}", "expected the name of a model"),
        ("predict.py song.wav -m {}", "expected the name of a model"),
        ("plot_attribution.py song.wav -m {}", "expected the name of a model"),
    ],
)
def test_names_of_models_stay_in_their_folder(refused, wind, paths, monkeypatch, command, message):
    monkeypatch.chdir(paths)
    write_tone(paths / "song.wav", 0)
    before = contents(paths)
    for name in OUTSIDE:
        given = [argument.format(name) for argument in command.split()]
        assert message in refused(*given, "-o", "adam", "-d", WIND)
        assert contents(paths) == before


def test_results_of_an_outside_folder_are_not_evaluated(refused, model, paths):
    """A folder that is there is no reason to follow a name to it."""
    model.folder.rename(settings.MODELS_ROOT / "elsewhere")
    named = ("-m", "../elsewhere", "-o", "adam", "-d", 10)
    for script in (
        ("evaluate.py", "-O", 2),
        ("plot_history.py",),
        ("predict.py", paths / "song.wav"),
    ):
        assert "'../elsewhere'" in refused(*script, *named)


EXPERIMENT = """
title = "A title"
answers = "x"

[settings]
dataset = 7
model = "model_leaky"
optimizer = "adam"
"""


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ('name = "x"\ntransfer_from = "../../x/y.adam"', "transfer_from"),
        ("time_duration = inf", "expected time_duration to be"),
        ("seed = 10000000000", "expected seed to be"),
    ],
)
def test_experiments_stay_in_their_folders_and_bounds(paths, refused, entry, message):
    path = paths / "mine.toml"
    path.write_text(EXPERIMENT + entry)
    assert message in refused("train.py", "-x", path)
    assert not settings.MODELS_ROOT.exists()


@pytest.mark.parametrize("name", OUTSIDE)
def test_settings_name_files_in_their_folders(name):
    for values in (
        {"name": name, "labels": ("a",), "folders": ("x",)},
        {"name": "x", "labels": tuple(sorted(("a", name))), "folders": ("x",)},
        {"name": "x", "labels": ("a",), "folders": (name,)},
        {"name": "x", "labels": ("a",), "folders": ("x_harm",), "source": name},
    ):
        with pytest.raises(InputError, match="expected names and labels that are file names"):
            settings.DataSet(title="X", layout="folders", **values)


@pytest.mark.parametrize("name", OUTSIDE)
def test_records_of_models_name_files_in_their_folders(refused, model, paths, name):
    """Labels name figures, and folders name temporary files."""
    labels = json.loads(model.run_record(0).read_text())["recipe"]["labels"]
    for entries in ({"labels": [name, *labels[1:]]}, {"folders": [name], "separated": True}):
        change_record(model, **entries)
        for script in ("predict.py", "plot_attribution.py"):
            message = refused(script, paths / "song.wav", *MODEL, "-d", 10)
            assert f"{model.run_record(0)} is damaged" in message
        change_record(model, labels=labels)


def test_files_of_predictions_are_named_by_the_recording_alone(paths):
    predict = importlib.import_module("predict")
    odd = [paths / "..wav", paths / "a" / "...wav", paths / "b" / "x.wav", paths / "c" / "x.wav"]
    for name in predict.output_names(odd).values():
        assert (paths / "out" / f"{name}.jams").resolve().parent == (paths / "out").resolve()


# --- claims ---------------------------------------------------------------------------------------
def test_arrays_that_claim_or_unpack_to_any_size(tmp_path):
    path = tmp_path / "a.npy"
    np.save(path, np.zeros(4))
    data = path.read_bytes()
    path.write_bytes(data.replace(b"(4,), }" + b" " * 16, b"(4000000000000000,), }" + b" "))
    refuses("is damaged", storage.load_array, path, "step one")
    np.savez_compressed(tmp_path / "a.npz", x=np.zeros(10**6))
    refuses("is damaged .*compressed", storage.load_arrays, tmp_path / "a.npz", "step one")


def test_what_is_nested_deeper_than_python_reads(tmp_path):
    for depth in (500, 3000, 100_000):
        (tmp_path / "a.toml").write_text("answers = " + "[" * depth + "1" + "]" * depth)
        refuses("a.toml", experiments.load, str(tmp_path / "a.toml"))
    for depth in (3000, 100_000):
        (tmp_path / "a.json").write_text('{"a": ' * depth + "1" + "}" * depth)
        refuses("is damaged", storage.load_json, tmp_path / "a.json", "step one")


def with_field(path, at, field):
    """Write audio whose header says something else at a byte."""
    write_tone(path, 0)
    data = bytearray(path.read_bytes())
    data[at : at + len(field)] = field
    path.write_bytes(data)


def test_a_rate_that_makes_hours_of_little(paths):
    with_field(paths / "1-Hz.wav", 24, struct.pack("<I", 1))
    refuses("damaged: expected a sampling rate", audio.load_audio, paths / "1-Hz.wav")


@pytest.mark.parametrize("claim", [2**32 - 1, 2**22])
def test_audio_that_claims_to_be_long_is_as_long_as_it_is(paths, claim):
    with_field(paths / "days.flac", 22, struct.pack(">I", claim))  # number of samples
    with audio.notes() as notes:
        assert len(audio.load_audio(paths / "days.flac", RATE)) == 3 * RATE
    (note,) = notes
    assert "cut off" in note and "3.00 s" in note
