"""Disturbances of a recording: noise, gain, a codec, a low-pass, a room.

Functions take mono audio (n,), float32 in [-1, 1], its sampling rate in Hz and a level, and return
audio of the same shape. Random ones draw from the given generator.
"""

import io

import numpy as np

NOISE_FLOOR = 1e-9  # power; silence has no signal-to-noise ratio


def noise(y: np.ndarray, sr: int, level: float, rng: np.random.Generator) -> np.ndarray:
    """Add white noise.

    Parameters
    ----------
    y : np.ndarray [shape=(n,)]
        Mono audio.
    sr : int
        Sampling rate in Hz.
    level : float
        Signal-to-noise ratio in dB.
    rng : np.random.Generator
        Draws the noise.

    Returns
    -------
    np.ndarray [shape=(n,)]

    Examples
    --------
    >>> y = np.sin(np.arange(20000.0))
    >>> added = noise(y, 22050, 20, np.random.default_rng(0)) - y
    >>> round(float(10 * np.log10(np.mean(y**2) / np.mean(added**2))))
    20
    """
    power = max(np.mean(np.square(y, dtype=np.float64)), NOISE_FLOOR) / 10 ** (level / 10)
    return (y + rng.normal(0, np.sqrt(power), len(y))).astype(y.dtype)


def gain(y: np.ndarray, sr: int, level: float, rng: np.random.Generator) -> np.ndarray:
    """Amplify a recording before it is stored in 16 bits, clipping what is too loud.

    Parameters and returns are those of `noise`; the level is the peak's in dBFS: above 0 it clips.

    Returns
    -------
    np.ndarray

    Examples
    --------
    >>> gain(np.array([0.1, 1.0]), 22050, 20, np.random.default_rng(0)).round(2).tolist()
    [1.0, 1.0]
    """
    peak = np.abs(y).max() or 1
    loud = np.clip(y / peak * 10 ** (level / 20), -1, 1)
    return (np.round(loud * 32767) / 32767).astype(y.dtype)


def codec(y: np.ndarray, sr: int, level: float, rng: np.random.Generator) -> np.ndarray:
    """Encode as Ogg Vorbis, and decode.

    Parameters and returns are those of `noise`; the level is Vorbis' quality from 1 (best) to 0.

    Returns
    -------
    np.ndarray

    Examples
    --------
    >>> y = np.sin(np.arange(20000.0) / 10).astype("f4") / 2
    >>> bool(0 < np.abs(codec(y, 22050, 0.5, np.random.default_rng(0)) - y).mean() < 0.05)
    True
    """
    import soundfile

    buffer = io.BytesIO()
    encoding = {"format": "OGG", "subtype": "VORBIS", "compression_level": 1 - level}
    with soundfile.SoundFile(buffer, "w", sr, 1, **encoding) as file:
        for start in range(0, len(y), sr):  # a minute at once overflows the encoder's stack
            file.write(y[start : start + sr])
    buffer.seek(0)
    decoded, _ = soundfile.read(buffer, dtype="float32")
    return np.pad(decoded[: len(y)], (0, max(0, len(y) - len(decoded))))


def lowpass(y: np.ndarray, sr: int, level: float, rng: np.random.Generator) -> np.ndarray:
    """Remove what is above a frequency (Butterworth, 8th order, forwards and backwards).

    Parameters and returns are those of `noise`; the level is the frequency in kHz.

    Returns
    -------
    np.ndarray

    Examples
    --------
    >>> y = np.sin(2 * np.pi * 5000 * np.arange(22050) / 22050)
    >>> low = lowpass(y, 22050, 1, np.random.default_rng(0))
    >>> bool(np.abs(low[1000:-1000]).max() < 0.01)
    True
    """
    from scipy.signal import butter, sosfiltfilt

    return sosfiltfilt(butter(8, 1000 * level, fs=sr, output="sos"), y).astype(y.dtype)


def room(y: np.ndarray, sr: int, level: float, rng: np.random.Generator) -> np.ndarray:
    """Add the reverberation of a room: decaying noise with the energy of the direct sound.

    Parameters and returns are those of `noise`; the level is the reverberation time (60 dB) in
    seconds.

    Returns
    -------
    np.ndarray

    Examples
    --------
    >>> y = np.zeros(22050)
    >>> y[0] = 1
    >>> wet = room(y, 22050, 0.5, np.random.default_rng(0))
    >>> bool(wet[0] == 1 and np.abs(wet[11025:]).max() < 1e-3)
    True
    """
    from scipy.signal import fftconvolve

    length = int(level * sr)
    tail = rng.normal(0, 1, length) * 10 ** (-3 * np.arange(length) / length)
    response = np.concatenate([[1.0], tail / np.sqrt(np.sum(tail**2))])
    return fftconvolve(y, response)[: len(y)].astype(y.dtype)


UNDISTURBED = "none"  # instead of a name: clips as they are
# Name: function, what its level is, and the levels in the order of the figure.
DISTURBANCES = {
    "noise": (noise, "signal-to-noise ratio in dB", (40, 30, 20, 10, 0)),
    "gain": (gain, "peak level in dBFS before clipping", (-40, -20, 6, 12, 20)),
    "codec": (codec, "quality of Ogg Vorbis", (0.8, 0.5, 0.3, 0.1, 0)),
    "low-pass": (lowpass, "cut-off in kHz", (8, 4, 2, 1, 0.5)),
    "room": (room, "reverberation time in s", (0.25, 0.5, 1, 2, 4)),
}
