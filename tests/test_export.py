"""Exported networks say what Keras says; the example beside them recognises a recording."""

import subprocess
import sys

import numpy as np
import pytest
import soundfile
from conftest import RATE, refuses, tone

import export_model
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

    def example():
        program = [sys.executable, tmp_path / "example.py", song, path]
        return subprocess.run(program, capture_output=True, text=True)

    shown = example().stdout
    found = {label: float(share) for label, share in map(str.split, shown.splitlines())}
    means = recogniser.predict(song).predictions.mean(axis=0)
    expected = dict(zip(recogniser.labels, means, strict=True))
    assert found == pytest.approx(expected, abs=2e-3)  # librosa's resampling and windows
    for y in (tone(0, 0.5), np.zeros((RATE * 2, 1))):
        soundfile.write(song, y, RATE)
        assert example().stderr.strip() == f"{song} is silent, or shorter than a patch"


@pytest.mark.parametrize("kind", PACKAGES)
def test_two_inputs_are_fed_by_name_and_standardised_inside(separated_model, tmp_path, kind):
    """Two trainings of a network whose inputs count differently: swapped, the outputs differ."""
    pytest.importorskip(PACKAGES[kind])
    recogniser = recognition.Recogniser(separated_model)
    rng, moments = np.random.default_rng(0), recogniser.means_and_stds
    ready = rng.normal(size=(2, 3, *recogniser.parameters.patch_shape)).astype(np.float32)
    expected = np.mean([n.predict([*ready], verbose=0) for n in recogniser.networks], axis=0)
    inputs = [mean + std * x for x, (mean, std) in zip(ready, moments, strict=True)]
    path, _ = export_model.export(recogniser, kind, tmp_path)
    assert not (tmp_path / "example.py").exists()  # it knows of one input, and does not separate
    assert export_model.outputs_of(path, kind, inputs) == pytest.approx(expected, abs=1e-5)
    assert np.abs(export_model.outputs_of(path, kind, inputs[::-1]) - expected).max() > 1e-4


def test_a_missing_package_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    recogniser = recognition.Recogniser(model_files.pretrained_files())
    refuses("onnxruntime is missing: run pip", export_model.export, recogniser, "onnx", tmp_path)
    assert not any(tmp_path.iterdir())
