from pathlib import Path

import librosa
import numpy as np
import pytest
import soundfile
from conftest import refuses, tone, write_tone

import settings
from generate_dataset import GenerateDataset
from instrec.config import read
from instrec.data import audio, features

STORED = Path(__file__).parent / "data" / "log_mel.npy"


def literal_recipe(path, window=1024):
    """The published script, line by line."""
    y, _ = librosa.load(path, sr=22050)
    y = y / np.max(np.abs(y))
    spectrogram = np.abs(
        librosa.stft(y, n_fft=max(2048, window), win_length=window, hop_length=512)
    )
    mel = librosa.feature.melspectrogram(S=spectrogram, sr=22050, n_mels=128)
    return np.log(mel + np.finfo(np.float32).eps)


def chirp():
    """Half a second from 100 Hz to 8 kHz: what tests/data/log_mel.npy was made from."""
    return librosa.chirp(fmin=100, fmax=8000, sr=22050, duration=0.5).astype(np.float32)


@pytest.fixture
def generator():
    return GenerateDataset(43, 11, 0.85)


@pytest.mark.parametrize("seconds", [3.0, 1.234, 17.01])
def test_spectrogram_equals_the_literal_recipe(tmp_path, generator, seconds):
    write_tone(tmp_path / "a.wav", 3, seconds=seconds, subtype="PCM_16")
    found = generator.create_spectrogram(tmp_path / "a.wav")
    np.testing.assert_allclose(found, literal_recipe(tmp_path / "a.wav"), atol=1e-4)
    assert found.dtype == np.float32


def test_multi_spectrogram_stacks_three_windows(tmp_path):
    write_tone(tmp_path / "a.wav", 3)
    generator = GenerateDataset(43, 11, 0.85, config=read(dataset=0))
    found = generator.create_multi_spectrogram(tmp_path / "a.wav")
    assert found.shape == (128, 130, 3)
    for channel, window in enumerate((1024, 2048, 4096)):
        expected = literal_recipe(tmp_path / "a.wav", window)
        np.testing.assert_allclose(found[..., channel], expected, atol=1e-4)
    patches = generator.patches(tmp_path / "a.wav", 21)
    np.testing.assert_array_equal(patches[1], found[:, 21:64])


def test_spectrogram_has_not_changed_since_it_was_stored():
    """Guards the features against other versions of librosa, scipy and soxr.

    Made by the literal recipe on chirp(), as float16, with librosa 0.11.
    """
    stored = np.load(STORED, allow_pickle=False).astype(np.float32)
    np.testing.assert_allclose(features.log_mel(chirp()), stored, atol=0.01)


def test_silence_has_the_logarithm_of_epsilon():
    expected = np.log(np.finfo(np.float32).eps)
    np.testing.assert_allclose(features.log_mel(np.zeros(22050, np.float32)), expected)


def test_long_audio_is_computed_in_blocks_without_seams(monkeypatch):
    y = np.random.default_rng(0).standard_normal(22050 * 3).astype(np.float32)
    whole = features.log_mel(y)
    monkeypatch.setattr(features, "FRAMES_A_BLOCK", 7)
    np.testing.assert_array_equal(features.log_mel(y), whole)


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000, 96000])
def test_audio_of_any_rate_is_mono_and_has_a_peak_of_one(tmp_path, rate):
    soundfile.write(tmp_path / "a.wav", tone(2, rate=rate), rate)
    y = audio.load_audio(tmp_path / "a.wav")
    assert y.shape == (3 * 22050,) and y.dtype == np.float32
    assert np.max(np.abs(y)) == 1
    # The pitch of label 2, 110 * 2 ** (2 / 3) Hz within 3 %, whatever the rate.
    peak = np.argmax(np.abs(np.fft.rfft(y))) / 3
    assert peak == pytest.approx(174.6, rel=0.04)


def test_patches_are_cut_where_they_should_be():
    for frames, step, count in ((130, 43, 3), (130, 21, 5), (43, 43, 1), (42, 43, 0), (0, 1, 0)):
        spectrogram = np.arange(5 * frames * 2).reshape(5, frames, 2)
        patches = features.cut_patches(spectrogram, 43, step)
        assert patches.shape == (count, 5, 43, 2)
        for i, patch in enumerate(patches):
            np.testing.assert_array_equal(patch, spectrogram[:, step * i : step * i + 43])


def test_documented_methods_need_no_data_set_where_none_is_needed(tmp_path):
    settings.dataset = None
    generator = GenerateDataset(43, 11, 0.85)
    write_tone(tmp_path / "a.wav", 3)
    assert generator.create_spectrogram(tmp_path / "a.wav").shape == (128, 130)
    y = np.repeat(np.arange(11), 20)
    X_train, y_train, *_ = generator.validation_split(np.arange(220), y, np.arange(220), 11, 0.85)
    assert np.bincount(y_train).tolist() == [17] * 11 and len(X_train) == 11 * 17
    refuses("-d ID", generator.run, "train")
