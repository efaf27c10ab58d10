"""Pitch of the main melody in polyphonic music.

The salience of a pitch is the harmonic sum of the spectrum at its partials (Salamon and Gómez,
IEEE TASLP 20(6), 2012, section II-B), less half of what lies midway between them, so that a pitch
an octave too low gains nothing. A Viterbi search then follows the most salient contour: small
steps are cheap, jumps cost the same however far, and a state without pitch wins where nothing
stands out. It takes the place of the thesis' tracker (Dressler, ISMIR 2011).
"""

from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy.fft import rfft
from scipy.ndimage import uniform_filter1d
from scipy.signal import get_window

from separation.spectral import at_rate, check_audio

STEP = 0.01  # seconds between two values of a pitch contour
WINDOW = 4096  # samples at 44.1 kHz: 93 ms tell apart the partials of low notes
RESOLUTION = 20  # cents between two candidate pitches
NUM_HARMONICS = 20
HARMONIC_DECAY = 0.9  # weight of a partial relative to the one below it
BETWEEN_WEIGHT = 0.5  # of the spectrum midway between partials, subtracted
COMPRESSION = 0.8  # exponent of the magnitudes
TILT_CORNER = 1000  # Hz; below it the spectrum is attenuated, most of all the bass ...
TILT_EXPONENT = 1.5  # ... by 9 dB an octave
TOP_FREQUENCY = 8000  # Hz; partials above it are ignored
GAIN_TIME = 0.5  # seconds over which half of the changes in loudness (in dB) are evened out
LEVEL_TIME = 5.0  # seconds over which salience is taken relative to its mean
STEP_COST = 0.1  # for each `RESOLUTION` that the pitch moves from one frame to the next
JUMP_COST = 5.0  # for a move of any size, such as to another note
VOICING_COST = 3.0  # for a start or an end of the melody
CHUNK = 1000  # frames transformed at a time, to bound the memory


def melody(
    y: np.ndarray,
    sr: float,
    *,
    method: str = "salience",
    fmin: float = 60.0,
    fmax: float = 1600.0,
    voicing: float = 0.55,
) -> np.ndarray:
    """Return the pitch contour of the main melody.

    Parameters
    ----------
    y : ndarray, shape (..., n)
        Audio; the channels are analysed together.
    sr : float > 0
        Sampling rate in Hz.
    method : {'salience', 'pyin', 'melodia'}
        `'salience'` is this module's. `'pyin'` is librosa's, made for a single voice. `'melodia'`
        is Salamon and Gómez' own method and needs the package essentia (AGPL).
    fmin, fmax : float
        Range of the melody in Hz.
    voicing : float >= 0
        Only for `'salience'`: how salient a pitch must be, relative to the mean of the most
        salient ones around it. Lower values find more melody, and more that is not.

    Returns
    -------
    ndarray, shape (1 + floor(n / sr / STEP),)
        Fundamental frequency in Hz every `STEP` seconds, 0 where there is no melody.

    Raises
    ------
    ValueError
        If `method` is unknown, or for audio that `check_audio` refuses.

    Examples
    --------
    >>> t = np.arange(22050) / 44100
    >>> tone = sum(np.sin(2 * np.pi * 440 * k * t) / k for k in range(1, 6))
    >>> pitch = melody(tone, 44100)
    >>> bool(abs(np.median(pitch[pitch > 0]) - 440) < 5)
    True
    """
    check_audio(y, sr)
    if method not in ("salience", "pyin", "melodia"):
        raise ValueError(f"expected method 'salience', 'pyin' or 'melodia', found {method!r}")
    if not np.any(y):
        return np.zeros(num_values(y.shape[-1], sr))
    y = y / np.abs(y).max()
    if method == "salience":
        path = best_path(relative(salience(y, sr, fmin, fmax)), voicing)
        return np.append(candidate_pitches(fmin, fmax), 0.0)[path]
    backend: Callable = {"pyin": pyin, "melodia": melodia}[method]
    mono = y.reshape(-1, y.shape[-1]).mean(axis=0)
    step, pitch = backend(mono, sr, fmin, fmax)
    return resampled(step, pitch, num_values(len(mono), sr))


def num_values(length: int, sr: float) -> int:
    """Return the number of values of a contour for `length` samples.

    Parameters
    ----------
    length : int
        Number of samples.
    sr : float
        Sample rate in Hz.

    Returns
    -------
    int
    """
    return 1 + int(length / sr / STEP)


# --- salience -------------------------------------------------------------------------------------
def candidate_pitches(fmin: float, fmax: float) -> np.ndarray:
    """Return the pitches in Hz, shape (candidates,), that the melody can take.

    Parameters
    ----------
    fmin, fmax : float
        Lowest and highest pitch in Hz.

    Returns
    -------
    np.ndarray, shape (candidates,)
    """
    return fmin * 2 ** np.arange(0, np.log2(fmax / fmin), RESOLUTION / 1200)


@cache  # it costs as much as the salience of ten seconds
def harmonic_weights(num_bins: int, bin_width: float, fmin: float, fmax: float) -> np.ndarray:
    """Return what each frequency adds to the salience of each candidate.

    Parameters
    ----------
    num_bins : int
        Number of bins of the spectrum, the first one at 0 Hz.
    bin_width : float
        Distance between bins in Hz.
    fmin, fmax : float
        Range of the candidates in Hz.

    Returns
    -------
    ndarray of float32, shape (bins, candidates)
    """
    candidates = candidate_pitches(fmin, fmax)
    frequencies = np.arange(num_bins) * bin_width
    weights = np.zeros((num_bins, len(candidates)))
    half_bin = bin_width / 2
    for harmonic in range(1, NUM_HARMONICS + 1):
        for number, sign in ((harmonic, 1.0), (harmonic - 0.5, -BETWEEN_WEIGHT)):
            centre = number * candidates
            width = np.maximum(half_bin, 0.006 * centre)  # a tenth of a semitone at least
            bump = np.exp(-0.5 * ((frequencies[:, np.newaxis] - centre) / width) ** 2)
            weights += sign * HARMONIC_DECAY ** (harmonic - 1) * bump * (centre < TOP_FREQUENCY)
    return weights.astype(np.float32)


def salience(y: np.ndarray, sr: float, fmin: float, fmax: float) -> np.ndarray:
    """Return the salience of every candidate every `STEP` seconds.

    Parameters
    ----------
    y : ndarray, shape (..., n)
        Audio.
    sr : float
        Sampling rate in Hz.
    fmin, fmax : float
        Range of the candidates in Hz.

    Returns
    -------
    ndarray of float32, shape (frames, candidates)
        At least 0; the louder and the more harmonic the sound, the higher.
    """
    n_fft = at_rate(WINDOW, sr)
    used = min(int(TOP_FREQUENCY * n_fft / sr), n_fft // 2) + 1
    frequencies = np.arange(used) * sr / n_fft
    tilt = np.minimum(frequencies / TILT_CORNER, 1).astype(np.float32) ** TILT_EXPONENT
    weights = harmonic_weights(used, sr / n_fft, fmin, fmax)
    window = get_window("hann", n_fft).astype(np.float32)
    channels = np.pad(y.reshape(-1, y.shape[-1]), ((0, 0), (n_fft // 2, n_fft)))
    frames = sliding_window_view(channels, n_fft, axis=1)  # (channels, n, n_fft)
    starts = np.round(np.arange(num_values(y.shape[-1], sr)) * STEP * sr).astype(int)
    found, loudness = [], []
    for chunk in np.split(starts, range(CHUNK, len(starts), CHUNK)):
        spectrum = rfft(frames[:, chunk].astype(np.float32) * window)[..., :used]
        magnitude = np.sqrt((np.abs(spectrum) ** 2).mean(axis=0))
        compressed = (magnitude * tilt) ** COMPRESSION
        found.append(compressed @ weights)
        loudness.append(compressed.sum(axis=1))
    around = running_mean(np.concatenate(loudness), GAIN_TIME)
    return np.maximum(np.concatenate(found), 0) / np.sqrt(around)[:, np.newaxis]


def running_mean(values: np.ndarray, duration: float) -> np.ndarray:
    """Return the mean of the values in `duration` seconds around each frame, shape (frames,).

    The mean is at least a hundredth of the maximum, so that near-silence stays near-silent.

    Parameters
    ----------
    values : np.ndarray, shape (frames,)
        One value per frame.
    duration : float
        In seconds.

    Returns
    -------
    np.ndarray, shape (frames,)
    """
    mean = uniform_filter1d(values, round(duration / STEP), mode="nearest")
    return np.maximum(mean, 0.01 * values.max())


def relative(salience: np.ndarray) -> np.ndarray:
    """Divide salience, shape (frames, candidates), by the mean of the maxima around each frame.

    Parameters
    ----------
    salience : np.ndarray, shape (frames, candidates)
        0 or more.

    Returns
    -------
    np.ndarray, shape (frames, candidates)
    """
    return salience / running_mean(salience.max(axis=1), LEVEL_TIME)[:, np.newaxis]


# --- tracker --------------------------------------------------------------------------------------
def best_path(scores: np.ndarray, voicing: float) -> np.ndarray:
    """Return the path with the highest sum of scores less costs (Viterbi).

    Parameters
    ----------
    scores : ndarray, shape (frames, candidates)
        Of each candidate; the state without pitch scores `voicing`.
    voicing : float
        Score of the state without pitch.

    Returns
    -------
    ndarray of int, shape (frames,)
        Candidate of each frame; the number of candidates stands for no pitch.
    """
    num_frames, silent = scores.shape
    reach = min(int(JUMP_COST / STEP_COST), 7)  # candidates that a glide passes in one frame
    step_cost = STEP_COST * np.abs(np.arange(-reach, reach + 1))
    states = np.arange(silent)
    total = np.zeros(silent + 1)
    came_from = np.zeros((num_frames, silent + 1), np.int16)
    for frame in range(num_frames):
        voiced, best = total[:silent], total[:silent].argmax()
        padded = np.pad(voiced, reach, constant_values=-np.inf)
        options = sliding_window_view(padded, len(step_cost)) - step_cost
        glide = options.argmax(axis=1)
        before, reached = states + glide - reach, options[states, glide]
        for origin, cost in ((best, JUMP_COST), (silent, VOICING_COST)):
            better = total[origin] - cost > reached
            before = np.where(better, origin, before)
            reached = np.where(better, total[origin] - cost, reached)
        ends = voiced[best] - VOICING_COST > total[silent]
        came_from[frame] = np.append(before, best if ends else silent)
        quiet = max(voiced[best] - VOICING_COST, total[silent]) + voicing
        total = np.append(reached + scores[frame], quiet)
    path = np.empty(num_frames, int)
    state = total.argmax()
    for frame in range(num_frames - 1, -1, -1):
        path[frame] = state
        state = came_from[frame, state]
    return path


# --- other libraries ------------------------------------------------------------------------------
def pyin(mono: np.ndarray, sr: float, fmin: float, fmax: float) -> tuple[float, np.ndarray]:
    """Return the step in seconds and the pitch in Hz, 0 for none, from librosa's pYIN.

    Parameters
    ----------
    mono : np.ndarray, shape (n,)
        Audio.
    sr : float
        Sample rate in Hz.
    fmin, fmax : float
        Lowest and highest pitch in Hz.

    Returns
    -------
    step : float
    pitch : np.ndarray, shape (frames,)
    """
    import librosa  # here because it loads slowly

    hop = max(1, round(STEP * sr))
    n_fft = max(at_rate(2048, sr), int(2 ** np.ceil(np.log2(2.5 * sr / fmin))))
    pitch, voiced, _ = librosa.pyin(
        mono, sr=sr, fmin=fmin, fmax=fmax, frame_length=n_fft, hop_length=hop
    )
    return hop / sr, np.where(voiced, pitch, 0)


def melodia(mono: np.ndarray, sr: float, fmin: float, fmax: float) -> tuple[float, np.ndarray]:
    """Return the step in seconds and the pitch in Hz, 0 for none, from Essentia's Melodia.

    Parameters
    ----------
    mono : np.ndarray, shape (n,)
        Audio.
    sr : float
        Sample rate in Hz.
    fmin, fmax : float
        Lowest and highest pitch in Hz.

    Returns
    -------
    step : float
    pitch : np.ndarray, shape (frames,)
    """
    import essentia.standard as essentia  # optional

    hop = at_rate(128, sr)
    louder = essentia.EqualLoudness(sampleRate=sr)(mono.astype(np.float32))
    pitch, _ = essentia.PredominantPitchMelodia(
        sampleRate=sr,
        frameSize=at_rate(2048, sr),
        hopSize=hop,
        minFrequency=fmin,
        maxFrequency=fmax,
    )(louder)
    return hop / sr, np.maximum(pitch, 0)


def resampled(step: float, pitch: np.ndarray, num_frames: int) -> np.ndarray:
    """Return the pitch every `STEP` seconds, each the nearest one given; 0 past the end.

    Parameters
    ----------
    step : float
        Seconds between the given pitches.
    pitch : np.ndarray, shape (frames,)
        In Hz.
    num_frames : int
        Number of pitches wanted.

    Returns
    -------
    np.ndarray, shape (num_frames,)
    """
    nearest = np.round(np.arange(num_frames) * STEP / step).astype(int)
    return np.where(nearest < len(pitch), pitch[np.minimum(nearest, len(pitch) - 1)], 0.0)
