"""A voice for rendered music: SoundFont choirs sing one vowel, recorded voices many.

Source-filter synthesis: the partials of a glottal source, softer and softer, through a cascade
of formants (Klatt, JASA 67, 1980) that move from vowel to vowel; vibrato, glides, breath.
"""

from collections.abc import Sequence

import numpy as np

from rendering.music import Note

# Centre frequencies in Hz of men's first three formants (Peterson and Barney, JASA 24, 1952).
VOWELS = {
    "a": (730, 1090, 2440),
    "e": (530, 1840, 2480),
    "i": (270, 2290, 3010),
    "o": (570, 840, 2410),
    "u": (300, 870, 2240),
}
HIGHER_FORMANTS = (3300, 3900, 4700)  # Hz, of all vowels
BANDWIDTHS = (80, 90, 120, 150, 200, 250)  # Hz
TRACT = (0.95, 1.25)  # a singer's formants relative to men's: a short vocal tract has higher ones
PARTIALS_BELOW = 10_000  # Hz
CONTROL = 100  # samples between values of what changes slowly


def sing(rng: np.random.Generator, notes: Sequence[Note], seconds: float, rate: int) -> np.ndarray:
    """Sing a melody, one vowel per note.

    Parameters
    ----------
    rng : np.random.Generator
        Draws the singer and every detail.
    notes : sequence of Note
        One after the other.
    seconds : float
        Length of the audio.
    rate : int
        Sampling rate in Hz.

    Returns
    -------
    np.ndarray [shape=(n,)]
        Audio with a peak of 1; zeros if there are no notes.
    """
    n = round(seconds * rate)
    times = np.arange(0, n + CONTROL, CONTROL) / rate  # [controls]
    pitch, loudness, formants = _controls(rng, notes, times)
    samples = np.arange(n)
    controls = np.arange(len(times)) * CONTROL
    phase = 2 * np.pi * np.cumsum(np.interp(samples, controls, pitch)) / rate
    tilt = rng.uniform(0.7, 1.8)  # 1 is 6 dB an octave, of source and lips together
    y = np.zeros(n)
    for partial in range(1, 1 + int(PARTIALS_BELOW / pitch.min())):
        frequency = partial * pitch
        gain = loudness * _gain(frequency, formants) * partial**-tilt
        gain *= frequency < PARTIALS_BELOW
        y += np.interp(samples, controls, gain) * np.sin(partial * phase)
    breath = rng.uniform(0.002, 0.03) * np.max(np.abs(y), initial=0)
    y += breath * np.interp(samples, controls, np.sqrt(loudness)) * _hiss(rng, n)
    return y / (np.max(np.abs(y), initial=0) or 1)


def room(rng: np.random.Generator, y: np.ndarray, rate: int) -> np.ndarray:
    """Let audio reverberate in a random room: noise that dies away, 3 to 25 dB below the sound.

    Parameters
    ----------
    rng : np.random.Generator
        Draws the room.
    y : np.ndarray [shape=(n,)]
        Audio.
    rate : int
        Sampling rate in Hz.

    Returns
    -------
    np.ndarray [shape=(n,)]
    """
    from scipy import signal

    seconds = np.exp(rng.uniform(np.log(0.15), np.log(2.5)))
    times = np.arange(round(seconds * rate)) / rate
    tail = rng.standard_normal(len(times)) * 10 ** (-3 * times / seconds)
    tail = signal.lfilter([1], [1, -rng.uniform(0, 0.8)], tail)  # walls absorb treble
    wet = signal.fftconvolve(y, tail)[: len(y)]
    level = 10 ** (rng.uniform(-25, -3) / 20) * np.std(y) / (np.std(wet) or 1)
    return y + level * wet


def _controls(
    rng: np.random.Generator, notes: Sequence[Note], times: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw pitch in Hz, loudness, and formants in Hz [controls x formants] over time."""
    tract = rng.uniform(*TRACT)
    vowels = np.array([(*three, *HIGHER_FORMANTS) for three in VOWELS.values()])
    vibrato, depth = rng.uniform(4.8, 6.8), rng.uniform(0, 0.7)  # Hz, semitones
    delay, glide = rng.uniform(0.05, 0.4), rng.uniform(0.02, 0.12)  # s
    attack, release = rng.uniform(0.02, 0.12), rng.uniform(0.03, 0.15)  # s
    midi, loudness = np.full(len(times), 60.0), np.zeros(len(times))
    formants = np.tile(vowels[0], (len(times), 1)).astype(float)
    for note in notes:
        since = times - note.start
        sounds = since >= 0
        midi[sounds] = note.pitch
        formants[sounds] = vowels[rng.integers(len(vowels))] * rng.uniform(0.95, 1.05)
        swell = np.interp(since, (0, attack, max(note.end - note.start, attack)), (0, 1, 0.8))
        fade = np.clip((note.end - times) / release + 1, 0, 1)
        loudness = np.where(sounds, swell * fade * note.velocity / 127, loudness)
        grown = np.clip((since - delay) / 0.3, 0, 1)
        wave = depth * grown * np.sin(2 * np.pi * vibrato * since)
        midi[sounds] += wave[sounds]
    step = times[1]  # s
    midi = _smooth(midi, glide / step) + np.cumsum(rng.normal(0, 0.004, len(times)))
    formants = tract * np.stack([_smooth(track, 0.05 / step) for track in formants.T], axis=1)
    return 440 * 2 ** ((midi - 69) / 12), _smooth(loudness, 0.01 / step), formants


def _smooth(values: np.ndarray, width: float) -> np.ndarray:
    """Average over `width` controls, as muscles do."""
    kernel = np.hanning(2 * max(1, round(width)) + 1)
    padded = np.pad(values, len(kernel) // 2, mode="edge")
    return np.convolve(padded, kernel / kernel.sum(), mode="valid")


def _gain(frequency: np.ndarray, formants: np.ndarray) -> np.ndarray:
    """Gain of a cascade of resonances, one frequency per control [controls]; 1 at 0 Hz."""
    f, centre, width = frequency[:, None], formants, np.array(BANDWIDTHS)
    return np.prod(centre**2 / np.hypot(centre**2 - f**2, f * width), axis=1)


def _hiss(rng: np.random.Generator, n: int) -> np.ndarray:
    """Noise that rises by 6 dB an octave, like air at the lips."""
    return np.diff(rng.standard_normal(n + 1))
