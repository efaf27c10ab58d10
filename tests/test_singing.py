import librosa
import numpy as np
import pytest

from rendering import voice as singing
from rendering.music import Note

RATE = 44100


def test_a_held_note_has_the_pitch_that_is_written():
    for pitch in (48, 60, 72):
        y = singing.sing(np.random.default_rng(1), [Note(0, 2, pitch, 100)], 2, RATE)
        found = librosa.yin(y[RATE // 2 : 3 * RATE // 2], fmin=80, fmax=900, sr=RATE)
        assert abs(np.median(librosa.hz_to_midi(found)) - pitch) < 0.5


def test_it_is_silent_before_and_after_and_between_notes():
    notes = [Note(0.5, 1, 60, 100), Note(2, 2.5, 64, 100)]
    y = singing.sing(np.random.default_rng(0), notes, 3, RATE)
    assert len(y) == 3 * RATE and np.max(np.abs(y)) == pytest.approx(1)
    for start, end in ((0, 0.4), (1.3, 1.9), (2.8, 3)):
        assert np.max(np.abs(y[int(start * RATE) : int(end * RATE)])) < 1e-3
    assert not singing.sing(np.random.default_rng(0), [], 1, RATE).any()


def test_another_seed_is_another_singer():
    notes = [Note(0, 0.5, 60, 100)]
    first, again, other = (
        singing.sing(np.random.default_rng(seed), notes, 0.5, RATE) for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other, atol=0.01)


def test_the_spectrum_peaks_at_the_formants():
    """A cascade of resonances, read at a fine grid of frequencies."""
    formants = np.array([[730, 1090, 2440, *singing.HIGHER_FORMANTS]], dtype=float)
    grid = np.arange(50, 3000, 5.0)
    gains = singing._gain(grid, np.repeat(formants, len(grid), axis=0))
    peaks = grid[1:-1][(gains[1:-1] > gains[:-2]) & (gains[1:-1] > gains[2:])]
    np.testing.assert_allclose(peaks[:3], formants[0, :3], rtol=0.02)
    assert singing._gain(np.array([1e-6]), formants) == pytest.approx(1)
