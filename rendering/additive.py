"""Instruments as sums of partials, drawn anew for every recording: SoundFonts are few, and alike.

Without them, what no SoundFont made would be singing alone (`rendering.voice`), and networks hear
every recording that is unlike a SoundFont as a voice. Models are rough on purpose, and wide.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from rendering.music import Gesture, Note

RATE = 22050  # Hz, at which it is computed: networks hear no more
HIGHEST = 10_000  # Hz, of partials
CONTROL = 64  # samples between values of what changes slowly


class Held(NamedTuple):
    """Ranges of an instrument that holds its notes; all levels are relative to the tone."""

    tilt: tuple[float, float]  # partial k has k ** -tilt at full loudness
    darkens: tuple[float, float]  # more tilt at no loudness
    even: tuple[float, float]  # dB of even partials, less towards high ones
    breath: tuple[float, float]  # noise, log10
    centre: tuple[float, float]  # Hz, of a broad resonance
    attack: tuple[float, float]  # s


HELD = {
    "cel": Held((0.7, 1.5), (0.0, 0.8), (-2, 2), (-3.0, -1.6), (150, 900), (0.03, 0.2)),
    "vio": Held((0.6, 1.4), (0.0, 0.8), (-2, 2), (-3.0, -1.6), (400, 3000), (0.02, 0.15)),
    "cla": Held((0.7, 1.5), (0.3, 1.2), (-35, -8), (-3.0, -1.8), (800, 2500), (0.02, 0.1)),
    "flu": Held((1.3, 2.4), (0.2, 1.0), (-6, 6), (-2.2, -0.9), (400, 1500), (0.02, 0.12)),
    "sax": Held((0.4, 1.2), (0.4, 1.5), (-4, 4), (-2.6, -1.4), (400, 1800), (0.01, 0.08)),
    "tru": Held((0.2, 0.9), (0.8, 2.2), (-2, 2), (-3.5, -2.0), (900, 2500), (0.01, 0.06)),
}


class Struck(NamedTuple):
    """Ranges of an instrument whose notes die away."""

    tilt: tuple[float, float]
    stiffness: tuple[float, float]  # log10 of the inharmonicity
    decay: tuple[float, float]  # s until the first partial of a middle note has fallen by 60 dB
    damping: tuple[float, float]  # how much faster partial k falls: 1 + damping * k
    knock: tuple[float, float]  # noise at the start, log10
    drive: tuple[float, float]  # of a distorting amplifier, log10; below 0 it is clean


STRUCK = {
    "pia": Struck((0.5, 1.4), (-4.2, -3.0), (3, 12), (0.02, 0.2), (-2.5, -1.0), (-1, -1)),
    "gac": Struck((0.3, 1.2), (-5.0, -4.0), (1.5, 6), (0.05, 0.5), (-2.0, -0.5), (-1, -1)),
    "gel": Struck((0.5, 1.4), (-5.0, -4.0), (2, 9), (0.02, 0.3), (-3.0, -1.5), (-0.7, 2)),
}
STOPS = (0.5, 1, 2, 3, 4, 6, 8)  # pipes or drawbars of an organ, in multiples of the pitch
LABELS = (*HELD, *STRUCK, "org")


def perform(
    rng: np.random.Generator, label: str, notes: Sequence[Note], gesture: Gesture
) -> np.ndarray:
    """Play notes on a drawn instrument.

    Parameters
    ----------
    rng : np.random.Generator
        Draws the instrument and every detail.
    label : str
        Of `LABELS`.
    notes : sequence of Note
        What is played.
    gesture : Gesture
        How pitch and loudness move; it gives the length.

    Returns
    -------
    np.ndarray [shape=(n,)]
        Audio at 44.1 kHz with a peak of 1; zeros if nothing is played.
    """
    from scipy import signal

    n = round((gesture.times[-1] + gesture.times[1]) * RATE)
    if label in HELD:
        y = _held(rng, HELD[label], notes, gesture, n)
    elif label in STRUCK:
        y = _struck(rng, STRUCK[label], notes, n)
    else:
        y = _organ(rng, notes, n)
    y = signal.resample_poly(y, 2, 1)
    return y / (np.max(np.abs(y), initial=0) or 1)


def room(rng: np.random.Generator, y: np.ndarray, rate: int) -> np.ndarray:
    """Let audio reverberate in a drawn room: noise that dies away, 3 to 25 dB below the sound.

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
    tail = signal.lfilter([1], [1, -rng.uniform(0, 0.8)], tail)  # walls take the treble
    wet = signal.fftconvolve(y, tail)[: len(y)]
    level = 10 ** (rng.uniform(-25, -3) / 20) * np.std(y) / (np.std(wet) or 1)
    return y + level * wet


def _body(rng: np.random.Generator) -> Callable[[np.ndarray], np.ndarray]:
    """Draw the resonances of a body: gains of up to some 10 dB at three to nine frequencies."""
    count = rng.integers(3, 10)
    centres = rng.uniform(np.log2(100), np.log2(8000), count)
    widths, heights = rng.uniform(0.1, 0.6, count), rng.uniform(-10, 10, count)

    def gain(frequency: np.ndarray) -> np.ndarray:
        octaves = np.log2(np.maximum(frequency, 1))[..., None]
        decibels = np.sum(heights * np.exp(-(((octaves - centres) / widths) ** 2)), axis=-1)
        return 10 ** (decibels / 20)

    return gain


def _held(
    rng: np.random.Generator, of: Held, notes: Sequence[Note], gesture: Gesture, n: int
) -> np.ndarray:
    """Play one note after the other, whose partials follow the gesture."""
    times = np.arange(0, n + CONTROL, CONTROL) / RATE
    attack, release = rng.uniform(*of.attack), rng.uniform(0.02, 0.15)  # s
    pitch, loudness = np.full(len(times), 60.0), np.zeros(len(times))
    for note in notes:
        since = times - note.start
        sounds = since >= 0
        pitch[sounds] = note.pitch
        fade = np.clip(since / attack, 0, 1) * np.clip((note.end - times) / release + 1, 0, 1)
        loudness = np.where(sounds, fade * note.velocity / 127, loudness)
    pitch += np.interp(times, gesture.times, gesture.bend)
    loudness *= np.interp(times, gesture.times, gesture.loudness)
    f0 = 440 * 2 ** ((pitch - 69) / 12)
    samples, controls = np.arange(n), np.arange(len(times)) * CONTROL
    phase = 2 * np.pi * np.cumsum(np.interp(samples, controls, f0)) / RATE
    tilt, darkens, even = (rng.uniform(*limits) for limits in (of.tilt, of.darkens, of.even))
    centre, octaves = np.exp(rng.uniform(*np.log(of.centre))), rng.uniform(0.7, 2)
    body = _body(rng)
    y = np.zeros(n)
    for k in range(1, 1 + int(HIGHEST / f0.min())):
        f = k * f0
        gain = loudness * k ** -(tilt + darkens * (1 - loudness)) * (f < HIGHEST)
        gain *= body(f) * (0.3 + np.exp(-((np.log2(f / centre) / octaves) ** 2)))
        if k % 2 == 0:
            gain *= 10 ** (even * max(0, 1 - k / 16) / 20)
        y += np.interp(samples, controls, gain) * np.sin(k * phase + rng.uniform(0, 2 * np.pi))
    noise = np.diff(rng.standard_normal(n + 1), prepend=0)[:n]
    breath = 10 ** rng.uniform(*of.breath) * np.max(np.abs(y), initial=0)
    return y + breath * np.interp(samples, controls, np.sqrt(np.abs(loudness))) * noise


def _struck(rng: np.random.Generator, of: Struck, notes: Sequence[Note], n: int) -> np.ndarray:
    """Let every note ring as damped partials, plucked at a drawn place of the string."""
    from scipy import signal

    tilt, decay, damping = (rng.uniform(*limits) for limits in (of.tilt, of.decay, of.damping))
    stiffness, knock = 10 ** rng.uniform(*of.stiffness), 10 ** rng.uniform(*of.knock)
    place, release, body = rng.uniform(0.08, 0.5), rng.uniform(0.02, 0.2), _body(rng)
    y = np.zeros(n)
    for note in notes:
        first = round(note.start * RATE)
        length = min(n, round((note.end + release) * RATE)) - first
        if length < 2:
            continue
        f0 = 440 * 2 ** ((note.pitch - 69) / 12)
        k = np.arange(1, 1 + int(HIGHEST / f0))[:50]
        f = k * f0 * np.sqrt(1 + stiffness * k**2)
        gains = k**-tilt * np.abs(np.sin(np.pi * k * place)) * body(f)
        seconds = decay * 2 ** ((60 - note.pitch) / 18) / (1 + damping * k)
        radius = 10 ** (-3 / (seconds * RATE))
        click = np.zeros(length)
        click[0] = 1
        sound = np.zeros(length)
        for partial in np.flatnonzero(f < HIGHEST):  # a resonator that is struck once
            angle = 2 * np.pi * f[partial] / RATE
            poles = [1, -2 * radius[partial] * np.cos(angle), radius[partial] ** 2]
            sound += signal.lfilter([gains[partial] * np.sin(angle)], poles, click)
        burst = min(length, round(rng.uniform(0.005, 0.04) * RATE))
        hit = rng.standard_normal(burst) * np.linspace(1, 0, burst)
        sound[:burst] += knock * np.max(np.abs(sound)) * hit
        ends = min(length, round(release * RATE))
        sound[-ends:] *= np.linspace(1, 0, ends)
        y[first : first + length] += note.velocity / 127 * sound
    drive = rng.uniform(*of.drive)
    if drive > 0:
        y = np.tanh(10**drive * y / (np.max(np.abs(y), initial=0) or 1))
        y = signal.lfilter(*signal.butter(2, rng.uniform(3000, 7000), fs=RATE), y)
    return y


def _organ(rng: np.random.Generator, notes: Sequence[Note], n: int) -> np.ndarray:
    """Let every note sound the drawn stops, steadily; now and then with a tremulant."""
    stops = rng.choice(STOPS, int(rng.integers(1, 6)), replace=False)
    levels = rng.uniform(0.2, 1, len(stops))
    tilt, attack, body = rng.uniform(1, 3), rng.uniform(0.005, 0.08), _body(rng)
    rate, depth = rng.uniform(4, 7.5), max(0, rng.uniform(-0.3, 0.3))
    chiff = 10 ** rng.uniform(-3.5, -1.5)
    times = np.arange(n) / RATE
    y = np.zeros(n)
    for note in notes:
        first, last = round(note.start * RATE), min(n, round((note.end + attack) * RATE))
        if last - first < 2:
            continue
        own = times[first:last]
        since, left = own - note.start, own[-1] - own
        sound = chiff * rng.standard_normal(len(own))
        for stop, level in zip(stops, levels, strict=True):
            f0 = stop * 440 * 2 ** ((note.pitch - 69) / 12 + rng.normal(0, 0.02) / 12)
            for k in range(1, 7):
                if k * f0 < HIGHEST:
                    gain = level * k**-tilt * float(body(np.array(k * f0)))
                    sound += gain * np.sin(2 * np.pi * (k * f0 * own + rng.random()))
        y[first:last] += sound * np.clip(since / attack, 0, 1) * np.clip(left / attack, 0, 1)
    return y * (1 + depth * np.sin(2 * np.pi * rate * times))
