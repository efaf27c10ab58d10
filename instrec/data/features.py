"""From audio to log-mel patches (thesis 4.1.1; Han et al. 2017, section III-A).

Conventions: audio is float32 in [-1, 1]; a spectrogram is [mel bands x frames], with a last axis of
channels where it has several; patches are [patches x mel bands x frames x channels].
"""

import functools
from collections.abc import Sequence

import numpy as np

from instrec.config import FeatureParameters
from instrec.errors import InputError

VERSION = 1  # of the numbers: raise it when the same audio gives other patches

EPSILON = np.finfo(np.float32).eps  # keeps the logarithm of silence finite
FRAMES_A_BLOCK = 32  # spectra computed at once: these fit the cache; more take twice as long


def log_mel(
    y: np.ndarray,
    *,
    sr: int = 22050,
    win_length: int = 1024,
    hop_length: int = 512,
    num_mel: int = 128,
    n_fft: int = 2048,
) -> np.ndarray:
    """Compute the natural logarithm of the magnitude mel spectrogram.

    Equals the literal recipe of the thesis (`librosa.stft`, absolute value,
    `librosa.feature.melspectrogram(S=...)`, logarithm) up to float32 rounding, in a fraction of
    the time: the filter bank is cached, and the window is not centred in its zero padding, which
    changes only phases.

    Parameters
    ----------
    y : np.ndarray [shape=(n,)]
        Mono audio.
    sr : int
        Sampling rate in Hz.
    win_length : int
        Hann window in samples.
    hop_length : int
        Hop in samples.
    num_mel : int
        Mel bands (Slaney scale and norm).
    n_fft : int
        FFT length in samples; a shorter window is zero-padded.

    Returns
    -------
    np.ndarray [shape=(num_mel, 1 + n // hop_length), dtype=float32]
        `log(S + eps)`.

    Examples
    --------
    >>> second = np.sin(2 * np.pi * 440 * np.arange(22050) / 22050)
    >>> spectrogram = log_mel(second)
    >>> spectrogram.shape
    (128, 44)
    >>> int(spectrogram[:, 20].argmax())  # of 0 to 11,025 Hz in 128 mel bands
    16
    """
    import scipy.fft  # deferred; a fifth faster than numpy's

    n_fft = max(n_fft, win_length)
    window, mel_filters = _window(win_length), _mel_filters(sr, n_fft, num_mel)
    padded = np.pad(np.asarray(y, dtype=np.float32), win_length // 2)  # centred frames
    frames = np.lib.stride_tricks.sliding_window_view(padded, win_length)[::hop_length]
    frames = frames[: 1 + len(y) // hop_length]
    spectrogram = np.empty((num_mel, len(frames)), dtype=np.float32)
    for start in range(0, len(frames), FRAMES_A_BLOCK):
        block = slice(start, start + FRAMES_A_BLOCK)
        # In double precision: the logarithm would show rounding in silent bands.
        spectrum = scipy.fft.rfft(frames[block] * window, n=n_fft, axis=1)
        spectrogram[:, block] = mel_filters @ np.abs(spectrum).T
    return np.log(spectrogram + EPSILON)


def log_mel_channels(y: np.ndarray, parameters: FeatureParameters) -> np.ndarray:
    """Stack the log-mel spectrograms of all windows.

    Parameters
    ----------
    y : np.ndarray [shape=(n,)]
        Mono audio.
    parameters : FeatureParameters
        Rate, windows, hop and bands.

    Returns
    -------
    np.ndarray [shape=(bands, frames, channels), dtype=float32]
        One channel per window.

    Examples
    --------
    >>> parameters = FeatureParameters(22050, (1024, 2048, 4096), 512, 128, 43)
    >>> log_mel_channels(np.zeros(22050), parameters).shape
    (128, 44, 3)
    """
    rest = {
        "sr": parameters.sample_rate,
        "hop_length": parameters.hop_length,
        "num_mel": parameters.num_mel_bands,
        "n_fft": parameters.n_fft,
    }
    channels = [log_mel(y, win_length=window, **rest) for window in parameters.windows]
    return np.stack(channels, axis=-1)


def cut_patches(spectrogram: np.ndarray, frames: int, step: int) -> np.ndarray:
    """Cut a spectrogram into patches; a remainder shorter than a patch is dropped.

    Parameters
    ----------
    spectrogram : np.ndarray [shape=(bands, n, channels)]
        Log-mel spectrogram.
    frames : int
        Frames per patch.
    step : int
        Frames from the start of one patch to the start of the next.

    Returns
    -------
    np.ndarray [shape=(patches, bands, frames, channels)]
        A view; empty if the spectrogram is shorter than a patch.

    Examples
    --------
    >>> spectrogram = np.arange(5.0).reshape(1, 5, 1)
    >>> cut_patches(spectrogram, frames=3, step=2)[..., 0].tolist()
    [[[0.0, 1.0, 2.0]], [[2.0, 3.0, 4.0]]]
    """
    bands, n, channels = spectrogram.shape
    if n < frames:
        return np.empty((0, bands, frames, channels), dtype=spectrogram.dtype)
    windows = np.lib.stride_tricks.sliding_window_view(spectrogram, frames, axis=1)[:, ::step]
    return windows.transpose(1, 0, 3, 2)  # (bands, patches, channels, frames) -> as returned


def patches_of(spectrogram: np.ndarray, parameters: FeatureParameters, step: int) -> np.ndarray:
    """Cut a spectrogram into patches, and refuse one that is too short.

    Parameters
    ----------
    spectrogram : np.ndarray [shape=(num_mel_bands, n, channels)]
        Of a whole file.
    parameters : FeatureParameters
        They define a patch.
    step : int
        Frames from patch to patch.

    Returns
    -------
    np.ndarray [shape=(patches, num_mel_bands, patch_frames, channels)]
        A view.

    Raises
    ------
    InputError
        If there is no patch.
    """
    patches = cut_patches(spectrogram, parameters.patch_frames, step)
    if len(patches) == 0:
        found = (spectrogram.shape[1] - 1) * parameters.hop_length / parameters.sample_rate
        raise InputError(
            f"too short: {found:.2f} s, and one patch takes {parameters.patch_seconds:.2f} s"
        )
    return patches


MeansAndStds = Sequence[tuple[np.ndarray, np.ndarray]]  # of each input, in the shape of a patch


def standardise(
    inputs: Sequence[np.ndarray], means_and_stds: MeansAndStds | None
) -> tuple[np.ndarray, ...]:
    """Subtract the mean of each cell and divide by its standard deviation (thesis 5.5.2).

    Parameters
    ----------
    inputs : sequence of np.ndarray [shape=(..., bands, frames, channels)]
        Patches of each input of the network.
    means_and_stds : sequence of (np.ndarray, np.ndarray) [shape=(bands, frames, channels)], or None
        Mean and standard deviation of the cells of each input; None leaves the patches as they are.

    Returns
    -------
    tuple of np.ndarray
        Shaped like `inputs`.

    Examples
    --------
    >>> standardise([np.array([1.0, 5.0])], [(np.array([1.0, 3.0]), np.array([2.0, 4.0]))])
    (array([0. , 0.5]),)
    """
    if means_and_stds is None:
        return tuple(inputs)
    pairs = zip(inputs, means_and_stds, strict=True)
    return tuple((patches - mean) / std for patches, (mean, std) in pairs)


def network_input(
    inputs: Sequence[np.ndarray], means_and_stds: MeansAndStds | None
) -> np.ndarray | tuple[np.ndarray, ...]:
    """Standardise patches for a network: like `standardise`, but a single input comes bare.

    Parameters and errors are those of `standardise`.

    Returns
    -------
    np.ndarray, or tuple of np.ndarray

    Examples
    --------
    >>> network_input([np.array([1.0, 5.0])], None)
    array([1., 5.])
    """
    x = standardise(inputs, means_and_stds)
    return x if len(x) > 1 else x[0]


@functools.cache
def _window(win_length: int) -> np.ndarray:
    import scipy.signal

    return scipy.signal.get_window("hann", win_length, fftbins=True)


@functools.cache
def _mel_filters(sr: int, n_fft: int, num_mel: int) -> "scipy.sparse.csr_array":  # noqa: F821
    import librosa.filters
    import scipy.sparse

    filters = librosa.filters.mel(sr=sr, n_fft=n_fft, n_mels=num_mel, htk=False, norm="slaney")
    return scipy.sparse.csr_array(filters)  # 98 % of it is zero
