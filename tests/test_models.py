import json

import numpy as np
import pytest
from conftest import refuses

import models

SHAPE = (128, 43, 1)


@pytest.mark.parametrize(
    ("name", "channels", "parameters"),
    [
        ("model_baseline", 1, 1_446_123),
        ("model_leaky", 1, 1_446_123),
        ("model_multi_res", 3, 1_446_123 + 2 * 9 * 32),  # two more channels into 32 filters
        ("model_two_branch", 1, 2_879_947),
        ("model_residual", 1, 1_214_379),
    ],
)
def test_number_of_parameters(name, channels, parameters):
    model = models.get_model(name, (128, 43, channels), 11)
    assert model.count_params() == parameters
    assert model.name == name
    assert model.output_shape == (None, 11)


@pytest.mark.parametrize("name", ["model_baseline", "model_leaky"])
def test_maps_grow_as_published(name):
    model = models.get_model(name, SHAPE, 11)
    maps = [
        layer.output.shape[1:3]
        for layer in model.layers
        if type(layer).__name__ in ("Conv2D", "MaxPooling2D")
    ]
    assert maps == [
        *((130, 45), (132, 47), (44, 15)),
        *((46, 17), (48, 19), (16, 6)),
        *((18, 8), (20, 10), (6, 3)),
        *((8, 5), (10, 7)),
    ]


def test_activations_and_dropout():
    def layers(name, kind):
        network = models.get_model(name, SHAPE, 11)
        return [layer for layer in network.layers if type(layer).__name__ == kind]

    assert len(layers("model_baseline", "ReLU")) == 9
    slopes = [layer.negative_slope for layer in layers("model_leaky", "LeakyReLU")]
    assert slopes == pytest.approx([0.33] * 9)
    rates = [layer.rate for layer in layers("model_leaky", "Dropout")]
    assert rates == [0.25, 0.25, 0.25, 0.5]
    assert layers("model_leaky", "Dense")[-1].activation.__name__ == "sigmoid"


def test_two_branches_hear_two_inputs():
    model = models.get_model("model_two_branch", SHAPE, 4)
    rng = np.random.default_rng(0)
    harmonic, percussive, other = rng.standard_normal((3, 2, *SHAPE)).astype(np.float32)
    both = model.predict([harmonic, percussive], verbose=0)
    assert both.shape == (2, 4)
    assert not np.allclose(both, model.predict([other, percussive], verbose=0))
    assert not np.allclose(both, model.predict([harmonic, other], verbose=0))


def test_the_residual_network_hears_neither_gain_nor_what_is_60_db_softer():
    model = models.get_model("model_residual", SHAPE, 11)
    patches = np.random.default_rng(0).uniform(-6, 0, (2, *SHAPE)).astype(np.float32)
    patches[:, 100:] -= 20  # silence in the treble, 80 dB below and more
    patches[:, 0, 0] = 0
    expected = model.predict(patches, verbose=0)
    np.testing.assert_allclose(model.predict(patches - 3, verbose=0), expected, atol=1e-5)
    hiss = patches.copy()
    hiss[:, 100:] = -7
    np.testing.assert_allclose(model.predict(hiss, verbose=0), expected, atol=1e-5)
    assert not np.allclose(model.predict(patches * 0.5, verbose=0), expected, atol=1e-4)


def test_a_network_under_another_name_is_refused(monkeypatch):
    """It would be trained into a folder in which nothing looks for it."""
    from instrec.learning.backend import keras

    nameless = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    monkeypatch.setattr("models.model_baseline.get_model", lambda *_: nameless)
    refuses("name='model_baseline'", models.get_model, "model_baseline", SHAPE, 11)


def test_a_file_of_keras_in_the_home_folder_changes_no_network(tmp_path, run_script):
    """Channels first, half precision: 1,482,699 parameters, and a loss that is no number."""
    told = {"image_data_format": "channels_first", "floatx": "float16", "epsilon": 1e-3}
    (tmp_path / "keras.json").write_text(json.dumps(told))
    program = (
        "from instrec.learning.backend import keras; import models; "
        "n = models.get_model('model_baseline', (128, 43, 1), 11); "
        "print(n.count_params(), n.layers[2].kernel.dtype, keras.config.epsilon())"
    )
    found = run_script("-c", program, KERAS_HOME=str(tmp_path))
    assert found.stdout.split() == ["1446123", "float32", "1e-07"]
