"""import_model.py, against what Keras 2 itself had as outputs: see make_keras2.py."""

import json
import re
import shutil

import numpy as np
import pytest
from conftest import ROOT, config_of, make_folders, write_tone

import settings
from instrec.learning import keras2, model_files, trained

FILES = ROOT / "tests" / "data" / "keras2"
LABELS = ",".join(settings.JAZZ)
OPTIONS = ("--labels", LABELS, "--name", "authors", "-d", -1)
DATA = settings.DATA_SETS[-1]


def made_by_keras_2(name):
    with np.load(FILES / f"{name}.npz", allow_pickle=False) as file:
        return file["patches"], file["outputs"]


@pytest.fixture
def copies(tmp_path):
    for path in FILES.glob("channels_first.*"):
        shutil.copy(path, tmp_path)
    return tmp_path / "channels_first.json", tmp_path / "channels_first.hdf5"


@pytest.mark.parametrize("name", ["channels_last", "channels_first"])
def test_outputs_are_those_of_keras_2(paths, call, name):
    patches, outputs = made_by_keras_2(name)
    assert np.ptp(outputs, axis=1).min() > 0.3  # they tell something
    call("import_model.py", FILES / f"{name}.json", FILES / f"{name}.hdf5", *OPTIONS)
    files = model_files.model_files(config_of(DATA), "authors", "adam")
    network = trained.load_network(files, 0, "")
    np.testing.assert_allclose(network.predict(patches, verbose=0), outputs, atol=1e-5)


def test_files_of_the_authors_time_are_read(copies):
    """Of Keras 2.0.8: no modules, and channels that only the layers name."""
    structure, weights = copies
    content = json.loads(structure.read_text())
    for layer in content["config"]["layers"]:
        for key in ("module", "registered_name", "build_config"):
            layer.pop(key, None)
        for option in layer["config"].values():
            if isinstance(option, dict):
                option.pop("module", None)
                option.pop("registered_name", None)
    structure.write_text(json.dumps(content | {"keras_version": "2.0.8"}))
    patches, outputs = made_by_keras_2("channels_first")
    network = keras2.read_network(structure, weights)
    np.testing.assert_allclose(network.predict(patches, verbose=0), outputs, atol=1e-5)


def test_a_sequential_network_of_before_keras_2_2_3(copies):
    structure, weights = copies
    content = json.loads(structure.read_text())
    layers = content["config"]["layers"]
    first, *others = [{k: layer[k] for k in ("class_name", "config")} for layer in layers]
    others[0]["config"]["batch_input_shape"] = first["config"]["batch_input_shape"]
    structure.write_text(json.dumps({"class_name": "Sequential", "config": others}))
    patches, outputs = made_by_keras_2("channels_first")
    network = keras2.read_network(structure, weights)
    np.testing.assert_allclose(network.predict(patches, verbose=0), outputs, atol=1e-5)


def test_labels_are_brought_into_order(paths, call, copies):
    patches, outputs = made_by_keras_2("channels_first")
    turned = ",".join(reversed(settings.JAZZ))
    call("import_model.py", *copies, "--labels", turned, "--name", "authors", "-d", -1)
    files = model_files.model_files(config_of(DATA), "authors", "adam")
    predicted = trained.load_network(files, 0, "").predict(patches, verbose=0)
    np.testing.assert_allclose(predicted, outputs[:, ::-1], atol=1e-5)


def test_it_is_taken_like_any_other_model(paths, call, copies, capsys):
    make_folders(paths, settings.JAZZ, files=8, folder="jazz_db")
    for script in ("create_encoding.py", "generate_dataset.py"):
        call(script, "-d", -1)
    call("import_model.py", *copies, *OPTIONS)
    model = ("-m", "authors", "-o", "adam", "-d", -1)
    for mode in (1, 2):
        call("evaluate.py", *model, "-O", mode, "-i", 1)
    assert "warning: authors is imported" in capsys.readouterr().out
    call("plot_perf_metrics.py", *model)
    call("evaluate.py", *model, "-O", 3, "-i", 1)
    song = next((paths / "data" / "jazz_db" / "as").iterdir())
    call("predict.py", song, *model)
    assert re.search(r"^alto saxophone +[01]", capsys.readouterr().out, re.MULTILINE)
    call("plot_attribution.py", song, *model, "--label", "as", "--out", paths)
    call("compare_models.py")
    assert "authors" in capsys.readouterr().out


def change(structure, edit):
    content = json.loads(structure.read_text())
    edit(content["config"]["layers"])
    structure.write_text(json.dumps(content))


def test_what_cannot_be_imported_is_one_line(paths, call, copies):
    structure, weights = copies

    def refused(message, *options):
        with pytest.raises(SystemExit) as error:
            call("import_model.py", structure, weights, *(options or OPTIONS))
        assert message in str(error.value) and "\n" not in str(error.value)

    refused("in the order of the outputs", "--labels", "as,cl", "--name", "x", "-d", -1)
    content, data = structure.read_bytes(), weights.read_bytes()
    change(structure, lambda layers: layers[1].update(class_name="Lambda"))
    refused("expected layers among InputLayer")
    structure.write_bytes(content[:500])
    refused("channels_first.json is damaged")
    structure.write_bytes(content)
    weights.write_bytes(data[:5000])
    refused("channels_first.hdf5 is damaged")
    weights.write_bytes(data)
    change(structure, lambda layers: layers[2]["config"].update(filters=9))
    refused("channels_first.hdf5 is damaged")
    structure.write_bytes(content)
    call("import_model.py", structure, weights, *OPTIONS)
    refused("is there already: take another --name")


def test_a_row_of_solos_is_drawn(paths, call, copies, tmp_path):
    for i, name in enumerate(settings.JAZZ):
        folder = tmp_path / "solos" / (name if i % 2 else "mixed")
        write_tone(folder / f"{name}_{i}.wav", i, seconds=2)
    for name in ("first", "second"):
        call("import_model.py", *copies, "--labels", LABELS, "--name", name, "-d", -1)
    models = ("-m", "first", "second", "-d", -1, "--out", tmp_path)
    call("plot_showcase.py", tmp_path / "solos", *models)
    assert (tmp_path / "showcase.png").stat().st_size > 20_000
    write_tone(tmp_path / "solos" / "mixed" / "guitar.wav", 0)
    with pytest.raises(SystemExit, match=r"guitar\.wav to be called after a label"):
        call("plot_showcase.py", tmp_path / "solos", *models)
