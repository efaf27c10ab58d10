from pathlib import Path

import librosa
import numpy as np
import pytest
import soundfile
from conftest import RATE, tone, write_tone

import settings
from generate_dataset import GenerateDataset
from instrec.data import features
from instrec.errors import InputError

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
    return GenerateDataset(settings.patch_frames, 11, settings.val_split)


@pytest.mark.parametrize("seconds", [3.0, 1.234, 17.01])
def test_spectrogram_equals_the_literal_recipe(tmp_path, generator, seconds):
    write_tone(tmp_path / "a.wav", 3, seconds=seconds, subtype="PCM_16")
    found = generator.create_spectrogram(tmp_path / "a.wav")
    np.testing.assert_allclose(found, literal_recipe(tmp_path / "a.wav"), atol=1e-4)
    assert found.dtype == np.float32


def test_multi_spectrogram_stacks_three_windows(tmp_path, generator):
    write_tone(tmp_path / "a.wav", 3)
    found = generator.create_multi_spectrogram(tmp_path / "a.wav")
    assert found.shape == (128, 130, 3)
    for channel, window in enumerate((1024, 2048, 4096)):
        expected = literal_recipe(tmp_path / "a.wav", window)
        np.testing.assert_allclose(found[..., channel], expected, atol=1e-4)


def test_spectrogram_has_not_changed_since_it_was_stored():
    """Guards the features against other versions of librosa, scipy and soxr.

    Made by the literal recipe on chirp(), as float16, with librosa 0.11.
    """
    stored = np.load(STORED, allow_pickle=False).astype(np.float32)
    np.testing.assert_allclose(features.log_mel(chirp()), stored, atol=0.01)


def test_silence_has_the_logarithm_of_epsilon():
    expected = np.log(np.finfo(np.float32).eps)
    np.testing.assert_allclose(features.log_mel(np.zeros(22050, np.float32)), expected)


@pytest.mark.parametrize("seconds", [0.2, 1, 3, 200])
def test_frames_are_centred(seconds):
    y = np.random.default_rng(0).standard_normal(int(seconds * 22050)).astype(np.float32)
    assert features.log_mel(y).shape == (128, 1 + len(y) // 512)


def test_long_audio_is_computed_in_blocks_without_seams(monkeypatch):
    y = np.random.default_rng(0).standard_normal(22050 * 3).astype(np.float32)
    whole = features.log_mel(y)
    monkeypatch.setattr(features, "FRAMES_A_BLOCK", 7)
    np.testing.assert_array_equal(features.log_mel(y), whole)


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000, 96000])
@pytest.mark.parametrize(
    "format_", ["WAV/PCM_16", "WAV/PCM_24", "WAV/FLOAT", "FLAC/PCM_16", "OGG/VORBIS"]
)
def test_audio_of_any_rate_and_format_is_mono_and_has_a_peak_of_one(tmp_path, rate, format_):
    file_format, subtype = format_.split("/")
    path = tmp_path / f"a.{file_format.lower()}"
    soundfile.write(path, tone(2, rate=rate), rate, format=file_format, subtype=subtype)
    y = features.load_audio(path)
    assert y.shape == (3 * 22050,)
    assert y.dtype == np.float32
    assert np.max(np.abs(y)) == 1
    # The pitch of label 2, 110 * 2 ** (2 / 3) Hz within 3 %, whatever the rate.
    peak = np.argmax(np.abs(np.fft.rfft(y))) / 3
    assert peak == pytest.approx(174.6, rel=0.04)


def test_channels_are_averaged(tmp_path):
    channels = np.random.default_rng(0).uniform(-0.5, 0.5, (22050, 6)).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", channels, 22050, subtype="FLOAT")
    mean = channels.mean(axis=1)
    np.testing.assert_allclose(
        features.load_audio(tmp_path / "a.wav"), mean / np.abs(mean).max(), atol=1e-6
    )


def test_a_patch_is_43_frames():
    assert settings.patch_frames == 43
    assert settings.test_step == 21
    parameters = features.parameters_of(settings.DATA_SETS[1])
    assert parameters.patch_shape == (128, 43, 1)
    assert features.parameters_of(settings.DATA_SETS[0]).patch_shape == (128, 43, 3)


@pytest.mark.parametrize(
    ("frames", "step", "patches"), [(130, 43, 3), (130, 21, 5), (43, 43, 1), (42, 43, 0), (0, 1, 0)]
)
def test_number_of_patches(frames, step, patches):
    assert features.cut_patches(np.zeros((128, frames, 1)), 43, step).shape == (patches, 128, 43, 1)


def test_patches_are_cut_where_they_should_be():
    spectrogram = np.arange(5 * 100 * 2).reshape(5, 100, 2)
    patches = features.cut_patches(spectrogram, 43, 21)
    for i, patch in enumerate(patches):
        np.testing.assert_array_equal(patch, spectrogram[:, 21 * i : 21 * i + 43])


def test_a_clip_of_irmas_has_three_training_patches(tmp_path):
    write_tone(tmp_path / "a.wav", 0, seconds=3.0, rate=RATE)
    parameters = features.parameters_of(settings.DATA_SETS[1])
    assert features.patches_of_file(tmp_path / "a.wav", parameters, 43).shape == (3, 128, 43, 1)


def test_the_file_is_named_when_a_spectrogram_cannot_be_made(tmp_path, generator):
    with pytest.raises(InputError, match=r"nothing\.wav: no such file"):
        generator.create_spectrogram(tmp_path / "nothing.wav")


@pytest.mark.parametrize(("rate", "channels"), [(44100, 2), (22050, 1), (48000, 3), (8000, 1)])
@pytest.mark.parametrize("seconds", [0.3, 2.7, 60])
def test_patches_in_blocks_are_those_of_the_whole_file(tmp_path, rate, channels, seconds):
    rng = np.random.default_rng(rate)
    y = 0.1 * rng.standard_normal((int(7.3 * rate), channels))
    y[rate : 2 * rate] += 0.5 * np.sin(2 * np.pi * 440 / rate * np.arange(rate))[:, None]
    soundfile.write(tmp_path / "a.wav", y, rate, subtype="FLOAT")
    for windows in ((1024,), (1024, 2048, 4096)):
        parameters = features.FeatureParameters(22050, windows, 512, 128, 43)
        whole = features.patches_of_file(tmp_path / "a.wav", parameters, 21)
        blocks = features.patches_in_blocks(tmp_path / "a.wav", parameters, 21, seconds=seconds)
        np.testing.assert_allclose(np.concatenate(list(blocks)), whole, atol=1e-5)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.zeros(44100), "silent"),
        (np.zeros(0), "no audio"),
        (np.ones(9000), "too short: 0.41 s"),
        (np.full(44100, np.nan), "NaN"),
    ],
)
def test_blocks_of_unusable_audio_are_refused(tmp_path, y, message):
    soundfile.write(tmp_path / "a.wav", y, 22050, subtype="FLOAT")
    parameters = features.FeatureParameters(22050, (1024,), 512, 128, 43)
    with pytest.raises(InputError, match=message):
        list(features.patches_in_blocks(tmp_path / "a.wav", parameters, 21))
