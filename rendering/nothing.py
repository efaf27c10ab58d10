"""Sounds with none of the labelled instruments, so that a network learns to say so.

Arrays are (frames,), at any level: the mix sets it.
"""

import numpy as np

from rendering import voice
from rendering.music import Note

# Shares of clips without a label, by content; SoundFonts play 'others' and 'drums'.
KINDS = {"others": 0.2, "drums": 0.23, "hits": 0.13, "noise": 0.16, "tones": 0.1, "speech": 0.18}


def noise(rng: np.random.Generator, frames: int, rate: int) -> np.ndarray:
    """Make coloured noise: steady, swelling or in bursts, sometimes with mains hum.

    Parameters
    ----------
    rng : np.random.Generator
        Makes the random choices.
    frames : int
        Length.
    rate : int
        Sampling rate in Hz.

    Returns
    -------
    np.ndarray [shape=(frames,)]
    """
    frequencies = np.fft.rfftfreq(frames, 1 / rate)
    colour = np.maximum(frequencies, 20) ** -rng.uniform(0, 1.2)  # 0 is white, 1 is brown
    if rng.random() < 0.4:
        centre, octaves = np.exp(rng.uniform(np.log(150), np.log(8000))), rng.uniform(0.3, 2)
        colour *= np.exp(-((np.log2(np.maximum(frequencies, 1) / centre) / octaves) ** 2))
    y = np.fft.irfft(np.fft.rfft(rng.standard_normal(frames)) * colour, frames)
    y /= y.std()
    seconds = frames / rate
    knots = np.arange(0, seconds + 1, rng.uniform(0.05, 1))
    shape = str(rng.choice(["steady", "swells", "bursts"]))
    if shape == "swells":
        heights = 10 ** (rng.uniform(-25, 0, len(knots)) / 20)
    elif shape == "bursts":
        heights = (rng.random(len(knots)) < 0.4) + 0.003
    else:
        heights = np.ones(len(knots))
    times = np.arange(frames) / rate
    y *= np.interp(times, knots, heights)
    if rng.random() < 0.25:
        mains = rng.choice([50, 60])
        hum = sum(np.sin(2 * np.pi * mains * k * times) / k for k in range(1, rng.integers(2, 12)))
        y += 10 ** rng.uniform(-1, 1) * hum
    return y


def tones(rng: np.random.Generator, frames: int, rate: int) -> np.ndarray:
    """Make one to three test tones: steady, in steps, as beeps, or sweeping.

    Parameters
    ----------
    rng : np.random.Generator
        Makes the random choices.
    frames : int
        Length.
    rate : int
        Sampling rate in Hz.

    Returns
    -------
    np.ndarray [shape=(frames,)]
    """
    times = np.arange(frames) / rate
    y = np.zeros(frames)
    for _ in range(rng.integers(1, 4)):
        step = rng.choice([0.1, 0.25, 0.5, 1, 10])  # s
        steps = 2 + int(times[-1] / step)
        octaves = rng.uniform(np.log2(60), np.log2(6000), steps)
        slots = (times / step).astype(int)
        sweeps = rng.random() < 0.4
        height = np.interp(times / step, np.arange(steps), octaves) if sweeps else octaves[slots]
        phase = np.cumsum(2**height) / rate
        wave = np.sin(2 * np.pi * phase)
        if rng.random() < 0.3:
            wave = np.sign(wave) if rng.random() < 0.5 else 2 * (phase % 1) - 1
        heard = rng.random(steps)[slots] < rng.choice([0.5, 1])
        y += rng.uniform(0.2, 1) * wave * (heard + 1e-3)
    return y + 10 ** rng.uniform(-5, -2) * rng.standard_normal(frames)


def speech(rng: np.random.Generator, frames: int, rate: int) -> np.ndarray:
    """Make syllables without steady pitch: short vowels, consonants of noise, and pauses.

    Parameters
    ----------
    rng : np.random.Generator
        Draws the speaker and every detail.
    frames : int
        Length.
    rate : int
        Sampling rate in Hz.

    Returns
    -------
    np.ndarray [shape=(frames,)]
    """
    seconds = frames / rate
    low, consonants = rng.uniform(40, 60), rng.uniform(0.3, 0.9)
    hiss = np.diff(rng.standard_normal(frames + 1))
    envelope = np.zeros(frames)
    notes, start, pitch = [], rng.uniform(0, 0.3), 0.0
    while start < seconds:
        length = rng.uniform(0.06, 0.28)
        pitch = np.clip(pitch + rng.normal(0, 2.5), -4, 8)
        end = start + length * rng.uniform(0.5, 1)
        notes.append(Note(start, end, round(low + pitch), int(rng.integers(50, 120))))
        if rng.random() < consonants:
            first = int(max(0, start - 0.05) * rate)
            last = first + int(rng.uniform(0.02, 0.12) * rate)
            envelope[first:last] = rng.uniform(0.02, 0.4)
        start += length + (rng.uniform(0.1, 0.7) if rng.random() < 0.12 else 0)
    spoken = voice.sing(rng, notes, seconds, rate)[:frames]
    return spoken + envelope * hiss


def hits(rng: np.random.Generator, frames: int, rate: int) -> np.ndarray:
    """Synthesise one to four kinds of drum: a falling tone and noise that die away.

    Parameters
    ----------
    rng : np.random.Generator
        Draws the drums and when they are hit.
    frames : int
        Length.
    rate : int
        Sampling rate in Hz.

    Returns
    -------
    np.ndarray [shape=(frames,)]
    """
    y = np.zeros(frames)
    step = rng.uniform(0.1, 0.8)  # s
    for _ in range(rng.integers(1, 5)):
        length = min(frames, round(rng.uniform(0.1, 1.2) * rate))
        times = np.arange(length) / rate
        low, fall = np.exp(rng.uniform(np.log(40), np.log(400))), rng.uniform(0, 3)
        pitch = low * (1 + fall * np.exp(-times / rng.uniform(0.01, 0.06)))
        tone = np.sin(2 * np.pi * np.cumsum(pitch) / rate) * 10 ** (-3 * times / times[-1])
        noise_ = rng.standard_normal(length) * 10 ** (-3 * times / rng.uniform(0.03, times[-1]))
        if rng.random() < 0.5:  # a cymbal has no low frequencies, a tom no high ones
            noise_ = np.diff(noise_, prepend=0)
        share = rng.choice([0, 1, rng.random()])
        sound = share * tone + (1 - share) * noise_
        every, first = int(rng.integers(1, 5)), int(rng.integers(0, 3))
        for start in np.arange(first, frames / rate / step, every) * step:
            place = round(start * rate)
            y[place : place + length] += rng.uniform(0.4, 1) * sound[: frames - place]
    return y + 10 ** rng.uniform(-6, -3) * rng.standard_normal(frames)


GENERATED = {"hits": hits, "noise": noise, "tones": tones, "speech": speech}
