"""import_model.py, against what Keras 2 itself had as outputs: see make_keras2.py."""

import json
import re
import shutil

import numpy as np
import pytest
from conftest import ROOT, extract, find_scores, make_folders, write_tone

import settings
from instrec.config import read
from instrec.learning import keras2, model_files, trained

FILES = ROOT / "tests" / "data" / "keras2"
LABELS = ",".join(settings.JAZZ)
OPTIONS = ("--labels", LABELS, "--name", "authors", "-d", -1)


def made_by_keras_2(name):
    with np.load(FILES / f"{name}.npz", allow_pickle=False) as file:
        return file["patches"], file["outputs"]


@pytest.fixture
def copies(tmp_path):
    for path in FILES.glob("channels_first.*"):
        shutil.copy(path, tmp_path)
    return tmp_path / "channels_first.json", tmp_path / "channels_first.hdf5"


@pytest.mark.parametrize("name", ["channels_last", "channels_first"])
@pytest.mark.parametrize("order", [1, -1])
def test_outputs_are_those_of_keras_2_with_labels_in_order(paths, call, name, order):
    patches, outputs = made_by_keras_2(name)
    assert np.ptp(outputs, axis=1).min() > 0.3  # they tell something
    labels = ",".join(settings.JAZZ[::order])
    options = ("--labels", labels, "--name", "authors", "-d", -1)
    call("import_model.py", FILES / f"{name}.json", FILES / f"{name}.hdf5", *options)
    files = model_files.model_files(read(dataset=-1), "authors", "adam")
    assert_outputs(trained.load(files, 0, "").network(), patches, outputs[:, ::order])


def assert_outputs(network, patches, outputs):
    np.testing.assert_allclose(network.predict(patches, verbose=0), outputs, atol=1e-5)


def test_files_of_the_authors_time_are_read(copies):
    """Of Keras 2.0.8: no modules, and channels that only the layers name."""
    structure, weights = copies
    content = json.loads(structure.read_text())
    for layer in content["config"]["layers"]:
        for entries in (layer, *filter(lambda x: isinstance(x, dict), layer["config"].values())):
            for key in ("module", "registered_name", "build_config"):
                entries.pop(key, None)
    structure.write_text(json.dumps(content | {"keras_version": "2.0.8"}))
    network = keras2.read_network(structure, weights)
    assert_outputs(network, *made_by_keras_2("channels_first"))


def test_a_sequential_network_of_before_keras_2_2_3(copies):
    structure, weights = copies
    layers = json.loads(structure.read_text())["config"]["layers"]
    first, *others = [{k: layer[k] for k in ("class_name", "config")} for layer in layers]
    others[0]["config"]["batch_input_shape"] = first["config"]["batch_input_shape"]
    structure.write_text(json.dumps({"class_name": "Sequential", "config": others}))
    network = keras2.read_network(structure, weights)
    assert_outputs(network, *made_by_keras_2("channels_first"))


def test_it_is_taken_like_any_other_model(paths, call, copies):
    make_folders(paths, settings.JAZZ, files=8, folder="jazz_db")
    extract(-1)
    call("import_model.py", *copies, *OPTIONS)
    model = ("-m", "authors", "-o", "adam", "-d", -1)
    assert "warning: authors is imported" in call("evaluate.py", *model, "-O", 1, "-i", 1).out
    find_scores(1, *model)
    song = next((paths / "data" / "jazz_db" / "as").iterdir())
    assert re.search(r"^alto saxophone +[01]", call("predict.py", song, *model).out, re.MULTILINE)
    call("plot_attribution.py", song, *model, "--label", "as", "--out", paths)
    assert "authors" in call("compare_models.py").out


def change_layer(structure, number, class_name=None, **options):
    content = json.loads(structure.read_text())
    layer = content["config"]["layers"][number]
    layer["class_name"] = class_name or layer["class_name"]
    layer["config"].update(options)
    structure.write_text(json.dumps(content))


@pytest.mark.parametrize("axis", [3, [3]])
def test_the_axis_of_a_normalisation_is_that_of_channels(tmp_path, axis):
    """tf.keras wrote a list."""
    from instrec.learning.backend import keras

    layers = keras.layers
    wanted = keras.Sequential([layers.Input((4, 5, 3)), layers.BatchNormalization()])
    wanted.layers[0].set_weights(list(np.random.default_rng(0).uniform(1, 2, (4, 3))))
    wanted.save_weights(tmp_path / "bn.weights.h5")
    options = {"name": "batch_normalization", "axis": axis, "batch_input_shape": [None, 4, 5, 3]}
    found = keras.Sequential.from_config(
        keras2._up_to_date([{"class_name": "BatchNormalization", "config": options}])
    )
    found.layers[0].set_weights(wanted.layers[0].get_weights())
    x = np.random.default_rng(1).normal(size=(2, 4, 5, 3)).astype(np.float32)
    np.testing.assert_allclose(found(x), wanted(x), atol=1e-6)


def test_what_cannot_be_imported_is_one_line(paths, call, refused, copies):
    structure, weights = copies
    content, data = structure.read_bytes(), weights.read_bytes()
    imported = ("import_model.py", structure, weights, *OPTIONS)
    for change, message in (
        (lambda: change_layer(structure, 1, "Lambda"), "expected layers among InputLayer"),
        (lambda: structure.write_bytes(content[:500]), "channels_first.json is damaged"),
        (lambda: weights.write_bytes(data[:5000]), "channels_first.hdf5 is damaged"),
        (lambda: change_layer(structure, 2, filters=9), "channels_first.hdf5 is damaged"),
    ):
        change()
        assert message in refused(*imported)
        structure.write_bytes(content)
        weights.write_bytes(data)
    assert "in the order of the outputs" in refused(*imported, "--labels", "as,cl")
    call(*imported)
    assert "is there already: take another --name" in refused(*imported)


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
