"""What both separations share: checks, short-time Fourier transforms, processing in blocks.

Spectrograms are time-major: (..., frames, bins). Frame `t` is centred on sample `t * hop_length`.
"""

from collections.abc import Callable, Iterable, Iterator

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy.fft import irfft, rfft
from scipy.signal import get_window

REFERENCE_RATE = 44100  # Hz, at which the papers give their windows and hops in samples

Parts = tuple[np.ndarray, np.ndarray]


def check_audio(y: np.ndarray, sr: float) -> None:
    """Refuse what cannot be separated.

    Parameters
    ----------
    y : ndarray, shape (..., n)
        Audio.
    sr : float > 0
        Sampling rate in Hz.

    Raises
    ------
    ValueError
        If `y` is not an array of finite floating-point samples, or `sr` is not positive.
    """
    if not np.issubdtype(np.asarray(y).dtype, np.floating) or np.ndim(y) == 0:
        raise ValueError(
            f"expected floating-point audio of shape (..., n), found {np.shape(y)} of "
            f"{np.asarray(y).dtype}"
        )
    bad = np.size(y) - np.count_nonzero(np.isfinite(y))
    if bad:
        raise ValueError(f"expected finite audio, found {bad} samples that are NaN or infinite")
    if not sr > 0:
        raise ValueError(f"expected a sampling rate in Hz above 0, found {sr!r}")


def check_positive(**parameters: float) -> None:
    """Refuse parameters that are not above zero, by name."""
    for name, value in parameters.items():
        if not value > 0:
            raise ValueError(f"expected {name} above 0, found {value!r}")


def at_rate(samples: int, sr: float) -> int:
    """Return the length at `sr` of what lasts `samples` at `REFERENCE_RATE`.

    Scaled by the nearest power of two: transforms stay fast, and a hop still divides its window.

    Parameters
    ----------
    samples : int
        Length at `REFERENCE_RATE`.
    sr : float
        Sample rate in Hz.

    Returns
    -------
    int
    """
    return max(1, int(samples * 2.0 ** np.round(np.log2(sr / REFERENCE_RATE))))


def stft(y: np.ndarray, n_fft: int, hop_length: int) -> np.ndarray:
    """Return the short-time Fourier transform with a Hann window, in single precision.

    Parameters
    ----------
    y : ndarray, shape (..., n)
        Audio.
    n_fft, hop_length : int
        Window and hop in samples.

    Returns
    -------
    ndarray of complex64, shape (..., 1 + ceil(n / hop_length), 1 + n_fft // 2)
    """
    num_frames = 1 + -(-y.shape[-1] // hop_length)
    right = (num_frames - 1) * hop_length + n_fft - n_fft // 2 - y.shape[-1]
    padding = [(0, 0)] * (y.ndim - 1) + [(n_fft // 2, right)]
    padded = np.pad(y.astype(np.float32), padding)
    frames = sliding_window_view(padded, n_fft, axis=-1)[..., ::hop_length, :]
    return rfft(frames * get_window("hann", n_fft).astype(np.float32), overwrite_x=True)


def overlap_add(frames: np.ndarray, hop_length: int) -> np.ndarray:
    """Overlap and add frames, shape (..., frames, window); the hop divides the window.

    Parameters
    ----------
    frames : np.ndarray, shape (..., frames, window)
        Windowed frames.
    hop_length : int
        Samples from frame to frame.

    Returns
    -------
    np.ndarray, shape (..., n)
    """
    *lead, num_frames, n_fft = frames.shape
    pieces = frames.reshape(*lead, num_frames, n_fft // hop_length, hop_length)
    out = np.zeros((*lead, num_frames - 1 + pieces.shape[-2], hop_length), frames.dtype)
    for i in range(pieces.shape[-2]):
        out[..., i : i + num_frames, :] += pieces[..., i, :]
    return out.reshape(*lead, -1)


def istft(spectrum: np.ndarray, n_fft: int, hop_length: int, length: int) -> np.ndarray:
    """Return the audio, shape (..., length), from what `stft` returned (least squares).

    Parameters
    ----------
    spectrum : np.ndarray, shape (..., frames, bins)
        Complex STFT.
    n_fft, hop_length : int
        Window and hop in samples.
    length : int
        Samples to return.

    Returns
    -------
    np.ndarray, shape (..., length)
    """
    window = get_window("hann", n_fft).astype(np.float32)
    frames = irfft(spectrum, n_fft, overwrite_x=True)
    frames *= window
    weights = np.broadcast_to(window**2, frames.shape[-2:])
    inside = slice(n_fft // 2, n_fft // 2 + length)
    return overlap_add(frames, hop_length)[..., inside] / overlap_add(weights, hop_length)[inside]


def split_by_mask(
    y: np.ndarray, n_fft: int, hop_length: int, mask: Callable[[np.ndarray], np.ndarray]
) -> Parts:
    """Return the part of the audio that a mask lets pass, and the rest.

    Parameters
    ----------
    y : ndarray, shape (..., n)
        Audio.
    n_fft, hop_length : int
        Window and hop in samples.
    mask : callable
        Takes the spectrum of the audio scaled to a peak of 1, shape (..., frames, bins), and
        returns the share in [0, 1] that passes, for as many of the lowest bins as it likes;
        nothing passes above them.

    Returns
    -------
    tuple of ndarray, shape (..., n)
        They add up to `y`.

    Raises
    ------
    ValueError
        If the hop does not divide the window in two or more: a Hann window needs overlap.
    """
    if hop_length < 1 or n_fft % hop_length or n_fft < 2 * hop_length:
        raise ValueError(
            f"expected a hop that divides the window of {n_fft} samples in two or more, "
            f"found {hop_length}"
        )
    peak = np.abs(y).max(initial=0)
    if peak == 0:
        return np.zeros_like(y), y.copy()
    spectrum = stft(y / peak, n_fft, hop_length)
    share = mask(spectrum)
    spectrum[..., : share.shape[-1]] *= share
    spectrum[..., share.shape[-1] :] = 0
    passed = (peak * istft(spectrum, n_fft, hop_length, y.shape[-1])).astype(y.dtype)
    return passed, y - passed


def in_blocks(
    separate: Callable[[np.ndarray, int], Parts],
    pieces: Iterable[np.ndarray],
    *,
    block: int,
    overlap: int,
) -> Iterator[Parts]:
    """Separate long audio block by block, in memory that does not depend on its length.

    Neighbouring blocks share `overlap` samples. The outer quarters of the overlap are context; in
    between, one block fades into the next.

    Parameters
    ----------
    separate : callable
        Takes audio of shape (..., n) and the sample that it begins at, and returns two parts of
        that shape.
    pieces : iterable of ndarray, shape (..., m)
        Audio, in pieces of any length, or in one.
    block : int
        Samples per block, more than `overlap`. Both must be multiples of the hop to give the same
        frames as one pass.
    overlap : int
        Samples that neighbouring blocks share.

    Yields
    ------
    tuple of ndarray
        The next piece of both parts, each of shape (..., m).

    Examples
    --------
    >>> y = np.arange(10.0)
    >>> def halves(block, start):
    ...     return block / 2, block / 2
    >>> pieces = list(in_blocks(halves, [y], block=6, overlap=2))
    >>> np.concatenate([first + second for first, second in pieces]).tolist() == y.tolist()
    True
    """
    fade = np.clip(np.linspace(-0.5, 1.5, overlap), 0, 1)
    tail = None
    for start, y, is_last in _overlapping(pieces, block, block - overlap):
        parts = np.stack(separate(y, start))
        if tail is not None:
            parts[..., :overlap] *= fade
            parts[..., :overlap] += tail * (1 - fade)
        done = y.shape[-1] if is_last else block - overlap
        tail = parts[..., done:].copy()
        yield tuple(parts[..., :done])


def _overlapping(
    pieces: Iterable[np.ndarray], block: int, step: int
) -> Iterator[tuple[int, np.ndarray, bool]]:
    """Yield where each block begins, its samples, and whether it is the last."""
    start, held = 0, None
    for piece in pieces:
        held = piece if held is None else np.concatenate([held, piece], axis=-1)
        while held.shape[-1] > block:
            yield start, held[..., :block], False
            start, held = start + step, held[..., step:]
    yield start, held, True


def joined(blocks: Iterator[Parts], y: np.ndarray) -> Parts:
    """Join what `in_blocks` yields into two whole parts, each of the shape of `y`.

    Parameters
    ----------
    blocks : iterator of (np.ndarray, np.ndarray)
        Both parts, block by block.
    y : np.ndarray, shape (..., n)
        The audio that is separated.

    Returns
    -------
    tuple of (np.ndarray, np.ndarray)
        Each of the shape of `y`.
    """
    whole = np.empty(y.shape, y.dtype), np.empty(y.shape, y.dtype)
    done = 0
    for parts in blocks:
        inside = slice(done, done + parts[0].shape[-1])
        for out, part in zip(whole, parts, strict=True):
            out[..., inside] = part
        done = inside.stop
    return whole
