"""Harmonic/percussive separation by phase.

After Cano, Plumbley and Dittmar, "Phase-based harmonic/percussive separation", Interspeech 2014:
the phase of a steady partial advances from frame to frame by what its frequency predicts. Magnitude
peaks whose phase does so are harmonic candidates; all else is percussive.

A drum's resonance passes that test too while it lasts. So only what also persists counts as
harmonic: the candidates' mean magnitude over a quarter of a second. What stands out above it is
percussive, and a Wiener mask shares each bin between the two. On the benchmark's mixtures it is
persistence that does the work: the phase test adds next to nothing (docs/separation.md).

Spectrograms here have the shape (..., frames, bins).
"""

from functools import partial

import numpy as np
from scipy.ndimage import maximum_filter1d, uniform_filter1d

from separation.spectral import (
    Parts,
    at_rate,
    check_audio,
    check_positive,
    in_blocks,
    joined,
    split_by_mask,
)

BLOCK = 2**19  # samples at 44.1 kHz, 12 s, separated at a time
OVERLAP = 2**16  # samples at 44.1 kHz, 1.5 s, that two blocks share; a mask depends on 0.2 s around
LOBE = 3  # bins to either side that belong to a peak
STEADY_TIME = 0.24  # seconds over which a partial is averaged
HOLD_TIME = 0.13  # seconds over which the largest of these means counts, to keep onsets and ends
EXCESS_WIDTH = 5  # bins over which what stands out is averaged: drums are broad


def harmonic_percussive(
    y: np.ndarray,
    sr: float,
    *,
    method: str = "phase",
    n_fft: int = 2048,
    hop_length: int = 128,
    max_frequency: float = 8000.0,
    tolerance: float = 1.0,
) -> Parts:
    """Separate harmonic from percussive sounds.

    Parameters
    ----------
    y : ndarray of float, shape (..., n)
        Audio; each channel is separated on its own.
    sr : float > 0
        Sampling rate in Hz.
    method : {'phase', 'median'}
        `'phase'` is this module's; `'median'` is `librosa.effects.hpss` with its own parameters.
    n_fft, hop_length : int > 0
        Only for `'phase'`: window and hop in samples at 44.1 kHz, scaled with `sr`; the hop
        divides the window.
    max_frequency : float
        Only for `'phase'`: above it, in Hz, all is percussive.
    tolerance : float > 0
        Only for `'phase'`: how far, in bins, the frequency that a peak's phase implies may lie from
        the peak's bin.

    Returns
    -------
    harmonic, percussive : ndarray, shape (..., n)
        They add up to `y`.

    Raises
    ------
    ValueError
        If `method` is unknown, or for audio that `check_audio` refuses.

    Examples
    --------
    A held tone is harmonic, a click percussive:

    >>> t = np.arange(22050) / 44100
    >>> tone = np.sin(2 * np.pi * 440 * t)
    >>> harmonic, percussive = harmonic_percussive(tone, 44100)
    >>> bool(np.std(harmonic) > 10 * np.std(percussive))
    True
    >>> click = np.zeros(22050)
    >>> click[11025] = 1
    >>> harmonic, percussive = harmonic_percussive(click, 44100)
    >>> bool(np.abs(percussive).max() > 10 * np.abs(harmonic).max())
    True
    """
    check_audio(y, sr)
    check_positive(n_fft=n_fft, hop_length=hop_length)
    check_positive(max_frequency=max_frequency, tolerance=tolerance)
    if method == "phase":
        n_fft, hop_length = at_rate(n_fft, sr), at_rate(hop_length, sr)
        mask = partial(
            harmonic_mask,
            num_bins=1 + min(int(max_frequency * n_fft / sr), n_fft // 2),
            hop=hop_length / n_fft,
            tolerance=tolerance,
            steady=round(STEADY_TIME * sr / hop_length),
            hold=round(HOLD_TIME * sr / hop_length),
        )

        def separate(block: np.ndarray, _start: int) -> Parts:
            return split_by_mask(block, n_fft, hop_length, mask)

    elif method == "median":
        separate = partial(median_block, sr=sr)
    else:
        raise ValueError(f"expected method 'phase' or 'median', found {method!r}")
    blocks = in_blocks(separate, [y], block=at_rate(BLOCK, sr), overlap=at_rate(OVERLAP, sr))
    return joined(blocks, y)


def harmonic_mask(
    spectrum: np.ndarray, *, num_bins: int, hop: float, tolerance: float, steady: int, hold: int
) -> np.ndarray:
    """Return the harmonic share, shape (..., frames, num_bins), of a spectrum.

    Parameters
    ----------
    spectrum : np.ndarray [shape=(..., frames, bins)]
        Complex STFT.
    num_bins : int
        How many of the lowest bins to use.
    hop : float
        Hop, as a fraction of the window.
    tolerance : float
        In bins, between expected and measured frequency.
    steady : int
        Frames of the mean in `persistent_share`.
    hold : int
        Frames of the maximum in `persistent_share`.

    Returns
    -------
    np.ndarray [shape=(..., frames, num_bins)]
        From 0 to 1.
    """
    spectrum = spectrum[..., :num_bins]
    magnitude = np.abs(spectrum)
    peaks = steady_peaks(spectrum, magnitude, hop, tolerance)
    candidates = maximum_filter1d(peaks, 2 * LOBE + 1, axis=-1)
    return persistent_share(magnitude, candidates, steady, hold)


def steady_peaks(
    spectrum: np.ndarray, magnitude: np.ndarray, hop: float, tolerance: float
) -> np.ndarray:
    """Return where the magnitude peaks and the phase advances as that bin's frequency predicts.

    Parameters
    ----------
    spectrum, magnitude : ndarray, shape (..., frames, bins)
        The short-time Fourier transform and its magnitude.
    hop : float
        Hop, as a fraction of the window.
    tolerance : float
        In bins.

    Returns
    -------
    ndarray of bool, shape (..., frames, bins)
    """
    expected = np.exp(-2j * np.pi * hop * np.arange(spectrum.shape[-1])).astype(np.complex64)
    advance = np.angle(spectrum[..., 1:, :] * spectrum[..., :-1, :].conj() * expected)
    steady = np.zeros(magnitude.shape, bool)
    steady[..., 1:, :] = np.abs(advance) <= 2 * np.pi * hop * tolerance
    # -1 lies below the lowest bin, so that a DC offset is a peak, and harmonic.
    rises = np.diff(magnitude, axis=-1, prepend=-1) > 0
    steady[..., :-1] &= rises[..., :-1] & ~rises[..., 1:]
    steady[..., -1] = False
    return steady


def persistent_share(
    magnitude: np.ndarray, candidates: np.ndarray, steady: int, hold: int
) -> np.ndarray:
    """Return the share, in [0, 1], of what is both candidate and persistent.

    Parameters
    ----------
    magnitude : ndarray, shape (..., frames, bins)
        Magnitude spectrogram.
    candidates : ndarray of bool, shape (..., frames, bins)
        Bins that may be harmonic.
    steady, hold : int
        Frames of the mean and of its maximum.

    Returns
    -------
    ndarray, shape (..., frames, bins)
    """
    # Square roots: a short burst of great magnitude must not pass for a long soft partial.
    root = np.sqrt(magnitude * candidates)
    mean = uniform_filter1d(root, max(1, steady), axis=-2, mode="nearest")
    held = maximum_filter1d(np.maximum(mean, 0) ** 2, max(1, hold), axis=-2, mode="nearest")
    harmonic = np.minimum(held, magnitude * candidates)
    excess = uniform_filter1d(magnitude - harmonic, EXCESS_WIDTH, axis=-1, mode="nearest")
    return harmonic**2 / (harmonic**2 + excess**2 + np.finfo(magnitude.dtype).tiny)


def median_block(y: np.ndarray, _start: int, *, sr: float) -> Parts:
    """Separate one block with librosa's median filtering.

    Parameters
    ----------
    y : np.ndarray, shape (..., n)
        Audio of the block.
    _start : int
        Where the block begins; not used.
    sr : float
        Sample rate in Hz.

    Returns
    -------
    harmonic, percussive : np.ndarray, shape (..., n)
    """
    import librosa  # here because it loads slowly

    harmonic, _ = librosa.effects.hpss(y, n_fft=at_rate(2048, sr), hop_length=at_rate(512, sr))
    return harmonic, y - harmonic
