"""Integrated gradients against closed forms, and the picture of a tiny trained model."""

import re

import numpy as np
import pytest
from conftest import BOTH, MODEL, SINGLE, patches_of

import models
import settings
from instrec.figures import sound
from instrec.scoring import attribution, recognition

SHAPE = (6, 4, 2)  # mel bands, frames, channels


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def patch(seed):
    return normal(*SHAPE, seed=seed)


def dense(weights, activation=None, bias=0.3):
    """A network of one layer on all cells of its inputs; weights are [cells x labels]."""
    from instrec.learning.backend import keras

    cells = int(np.prod(SHAPE))
    inputs = [keras.Input(SHAPE) for _ in range(len(weights) // cells)]
    flat = [keras.layers.Flatten()(x) for x in inputs]
    x = keras.layers.Concatenate()(flat) if len(flat) > 1 else flat[0]
    layer = keras.layers.Dense(weights.shape[1], activation=activation)
    network = keras.Model(inputs if len(inputs) > 1 else inputs[0], layer(x))
    layer.set_weights([weights, np.full(weights.shape[1], bias)])
    return network


# --- the method -----------------------------------------------------------------------------------
@pytest.mark.parametrize("steps", [1, 5, attribution.POINTS_A_BLOCK + 1, 64])
def test_a_linear_network_is_attributed_exactly(steps):
    weights, x, x0 = normal(48, 3), patch(1), patch(2)
    found = attribution.integrated_gradients(dense(weights), x, 1, baseline=x0, steps=steps)
    assert found.shape == SHAPE
    np.testing.assert_allclose(found, weights[:, 1].reshape(SHAPE) * (x - x0), rtol=1e-5)


def test_a_sigmoid_agrees_with_its_closed_form():
    weights, x, x0 = normal(48, 2), patch(1), patch(2)
    z, z0 = (np.sum(weights[:, 0].reshape(SHAPE) * one) + 0.3 for one in (x, x0))
    slope = (1 / (1 + np.exp(-z)) - 1 / (1 + np.exp(-z0))) / (z - z0)
    expected = weights[:, 0].reshape(SHAPE) * (x - x0) * slope
    network = dense(weights, "sigmoid")
    found = attribution.integrated_gradients(network, x, 0, baseline=x0, steps=200)
    np.testing.assert_allclose(found, expected, rtol=2e-3)


@pytest.mark.parametrize("label", [0, 2])
def test_attributions_add_up_to_what_the_output_gains(label):
    """Of a network whose layers could mix the points of the path, or make noise of them."""
    from instrec.learning.backend import keras

    keras.utils.set_random_seed(1)
    network, x = models.get_model("model_residual", (32, 20, 2), 3), normal(32, 20, 2)
    x0 = np.full_like(x, -6)
    outputs = network.predict(np.stack([x, x0]), verbose=0)[:, label]
    expected = float(outputs[0] - outputs[1])
    assert abs(expected) > 0.003  # or nothing would be shown
    found = attribution.integrated_gradients(network, x, label, baseline=x0, steps=256)
    assert found.sum() == pytest.approx(expected, rel=1e-2)
    again = attribution.integrated_gradients(network, x, label, baseline=x0, steps=256)
    np.testing.assert_array_equal(again, found)


@pytest.mark.parametrize("kind", [list, tuple])
def test_two_inputs_get_theirs_in_order(kind):
    weights = normal(96, 2)
    x, x0 = kind([patch(1), patch(2)]), kind([patch(3), patch(4)])
    found = attribution.integrated_gradients(dense(weights), x, 1, baseline=x0)
    assert type(found) is kind
    for cells, w, one, zero in zip(found, np.split(weights[:, 1], 2), x, x0, strict=True):
        np.testing.assert_allclose(cells, w.reshape(SHAPE) * (one - zero), rtol=1e-5)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"steps": 0}, "steps of 1 or more, found 0"),
        ({"label": 2}, "label below 2, found 2"),
        ({"label": -1}, "label below 2, found -1"),
        ({"baseline": np.zeros((6, 4, 1))}, r"baseline of the shapes .*, found \[\(6, 4, 1\)\]"),
    ],
)
def test_what_cannot_be_explained_is_refused(changed, message):
    arguments = {"label": 0, "baseline": np.zeros(SHAPE), "steps": 4} | changed
    with pytest.raises(ValueError, match=message):
        attribution.integrated_gradients(dense(np.ones((48, 2))), patch(1), **arguments)


def test_several_networks_are_averaged_against_standardised_silence():
    moments = [(np.full(SHAPE, -3.0), np.full(SHAPE, 2.0)), (patch(3), np.full(SHAPE, 4.0))]
    x = [patch(1), patch(2)]
    trained = [dense(normal(96, 2, seed=seed) / 50, "sigmoid") for seed in (0, 1)]
    explained = attribution.against_silence(trained, x, 1, means_and_stds=moments)
    silence = np.full(SHAPE, np.log(np.finfo(np.float32).eps))
    now, before = (
        [(y - m) / d for y, (m, d) in zip(z, moments, strict=True)] for z in (x, [silence] * 2)
    )
    each = [attribution.integrated_gradients(n, now, 1, baseline=before) for n in trained]
    np.testing.assert_allclose(explained.attributions, np.mean(each, axis=0), rtol=1e-4)
    total = sum(a.sum() for a in explained.attributions)
    assert explained.output - explained.baseline == pytest.approx(total, rel=1e-2)
    of_silence = [n.predict([x[None] for x in before], verbose=0)[0, 1] for n in trained]
    assert explained.baseline == pytest.approx(np.mean(of_silence), abs=1e-5)


# --- a trained model ------------------------------------------------------------------------------
def test_the_command_explains_the_strongest_label(model, song, paths, call, refused):
    recogniser = recognition.Recogniser(model)
    found = recogniser.predict(song)
    strongest = found.table.index[0]
    shown = call("plot_attribution.py", song, *MODEL, "-d", 21, "--out", paths / "out").out
    for ending in ("png", "pdf"):
        written = paths / "out" / f"attribution_a song_{strongest}.{ending}"
        assert written.stat().st_size > 10_000

    # It is the patch where the output is highest.
    whole = patches_of(song, recogniser.parameters, recogniser.step)
    hop = recogniser.step * settings.hop_length / settings.sample_rate
    for label in range(3):
        best = recogniser.strongest_patch(song, label)
        row = found.predictions[:, label].argmax()
        assert best.label == label and best.start == pytest.approx(row * hop)
        assert best.output == pytest.approx(found.predictions[row, label], abs=1e-4)
        (cells,) = best.inputs
        np.testing.assert_allclose(cells, whole[row], atol=0.02)
    best = recogniser.strongest_patch(song)
    assert SINGLE.labels[best.label] == strongest

    numbers = r"output of ([\d.]+)\n.*has ([\d.]+); the attributions add up to ([+-][\d.]+)"
    output, of_silence, total = map(float, re.search(numbers, shown).groups())
    assert output == pytest.approx(best.output, abs=1e-3)
    assert total == pytest.approx(output - of_silence, abs=0.02)
    assert ("note: this model hears" in shown) == (of_silence > output / 2)

    message = refused("plot_attribution.py", song, *MODEL, "-d", 21, "--label", "FLU")
    assert "expected --label to be one of cel, cla, flu" in message


def test_a_standardised_model_of_two_separated_inputs(
    separated_model, song, paths, call, monkeypatch
):
    drawn, draw = [], sound.attribution
    monkeypatch.setattr(sound, "attribution", lambda *given: drawn.append(given) or draw(*given))
    arguments = ("-m", "std", "-o", "adam", "-d", 23, "--label", "flu", "--out", paths)
    call("plot_attribution.py", song, *arguments)
    assert (paths / "attribution_a song_flu.png").exists()

    ((inputs, *_, title),) = drawn
    names, patches, shown = zip(*inputs, strict=True)
    assert names == BOTH.folders
    recogniser = recognition.Recogniser(separated_model)
    expected = attribution.against_silence(
        recogniser.networks, list(patches), 2, means_and_stds=recogniser.means_and_stds
    )
    assert f"output of std: {expected.output:.2f}" in title
    for cells, wanted in zip(shown, expected.attributions, strict=True):
        np.testing.assert_allclose(cells, wanted, rtol=1e-4, atol=1e-7)
