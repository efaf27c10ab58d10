"""Exported networks say what Keras says; the example beside them recognises a recording."""

import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
from conftest import RATE, tiny_network, tone

import export_model
from instrec.config import FeatureParameters
from instrec.errors import InputError
from instrec.learning import model_files
from instrec.scoring import recognition

PACKAGES = {"onnx": "tf2onnx", "tflite": "ai_edge_litert"}


@pytest.mark.parametrize("kind", PACKAGES)
def test_the_model_that_comes_along_is_the_same_elsewhere(tmp_path, kind):
    pytest.importorskip(PACKAGES[kind])
    recogniser = recognition.Recogniser(model_files.pretrained_files())
    path, difference = export_model.export(recogniser, kind, tmp_path)
    assert difference < 1e-5
    song = tmp_path / "song.wav"
    soundfile.write(song, tone(0, 4, seed=1), RATE)
    shown = subprocess.run(
        [sys.executable, tmp_path / "example.py", song, path],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    found = {label: float(share) for label, share in map(str.split, shown.splitlines())}
    means = recogniser.predict(song).predictions.mean(axis=0)
    expected = dict(zip(recogniser.labels, means, strict=True))
    assert found == pytest.approx(expected, abs=2e-3)  # librosa's resampling and windows


@pytest.mark.parametrize("kind", PACKAGES)
def test_two_inputs_are_fed_by_name_and_standardised_inside(tmp_path, kind):
    """Two trainings of a network whose inputs count differently: swapped, the outputs differ."""
    pytest.importorskip(PACKAGES[kind])
    rng = np.random.default_rng(0)
    parameters = FeatureParameters(22050, (1024,), 512, 128, 43)
    networks = [tiny_network(inputs=2) for _ in range(2)]
    shape = parameters.patch_shape
    pairs = [(rng.normal(size=shape), rng.uniform(0.5, 2, shape)) for _ in range(2)]
    means_and_stds = [tuple(x.astype(np.float32) for x in pair) for pair in pairs]
    network = export_model.joined(
        SimpleNamespace(
            parameters=parameters,
            folders=["harmonic", "percussive"],
            means_and_stds=means_and_stds,
            networks=networks,
            files=SimpleNamespace(model="model_tiny"),
        )
    )
    inputs = [rng.normal(size=(3, *shape)).astype(np.float32) for _ in range(2)]
    ready = [(x - mean) / std for x, (mean, std) in zip(inputs, means_and_stds, strict=True)]
    expected = np.mean([n.predict(ready, verbose=0) for n in networks], axis=0)
    assert network.predict(inputs, verbose=0) == pytest.approx(expected, abs=1e-5)
    path = tmp_path / f"network.{kind}"
    export_model.write(network, kind, path)
    assert export_model.outputs_of(path, kind, inputs) == pytest.approx(expected, abs=1e-5)
    assert np.abs(export_model.outputs_of(path, kind, inputs[::-1]) - expected).max() > 1e-4


def test_a_missing_package_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    recogniser = recognition.Recogniser(model_files.pretrained_files())
    with pytest.raises(InputError, match="onnxruntime is missing: run pip"):
        export_model.export(recogniser, "onnx", tmp_path)
    assert not any(tmp_path.iterdir())
