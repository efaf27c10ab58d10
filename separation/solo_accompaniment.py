"""Pitch-informed solo and accompaniment separation.

After Cano, Schuller and Dittmar, "Pitch-informed solo and accompaniment separation towards its use
in music education applications", EURASIP Journal on Advances in Signal Processing 2014:23: the
pitch of the main melody comes first, then its harmonic series, each partial with a deviation of its
own, then a spectral mask; frames without pitch are accompaniment.

The mask weighs the solo against an estimate of the accompaniment underneath. Both are fitted to the
spectrogram together: the solo as the harmonic series under a few smooth spectral envelopes, the
accompaniment as a few spectra of any shape (after Durrieu, David and Richard, IEEE JSTSP 5(6),
2011). Attacks of other instruments fit no harmonic series, which keeps them out of the solo.

Spectrograms here have the shape (frames, bins).
"""

from functools import partial

import numpy as np
from scipy.ndimage import maximum_filter1d, uniform_filter1d
from threadpoolctl import threadpool_limits

from separation.melody import STEP, melody, num_values
from separation.spectral import (
    Parts,
    at_rate,
    check_audio,
    check_positive,
    in_blocks,
    joined,
    split_by_mask,
)

BLOCK = 2**20  # samples at 44.1 kHz, 24 s, separated at a time
OVERLAP = 2**17  # samples at 44.1 kHz, 3 s, that two blocks share
TOP_FREQUENCY = 12000  # Hz; above it all is accompaniment
MAX_DEVIATION = 3  # bins by which a partial deviates at most
RELEASE_FADE = 0.05  # seconds in which the partials of a released tone fade by a factor of e
NUM_ENVELOPES = 10  # spectral envelopes of the solo
NUM_BANDS = 24  # of the envelopes
BAND_CORNER = 500  # Hz; bands are about evenly spaced below it, logarithmically above
NUM_SPECTRA = 20  # spectra of the accompaniment
SOLO_ITERATIONS = 5  # of fitting the solo alone, which gives it the first choice
JOINT_ITERATIONS = 14  # with more of them the accompaniment learns the solo
GAIN_SMOOTHING = 0.035  # seconds over which the solo's gains are smoothed
TINY = 1e-7  # relative to a mean magnitude of 1


def solo_accompaniment(
    y: np.ndarray,
    sr: float,
    *,
    pitch: np.ndarray | None = None,
    n_fft: int = 2048,
    hop_length: int = 256,
    num_partials: int = 20,
    deviation: float = 0.5,
    release: float = 0.09,
) -> Parts:
    """Separate the solo from its accompaniment.

    Parameters
    ----------
    y : ndarray of float, shape (..., n)
        Audio. One mask, found from all channels together, keeps the stereo image.
    sr : float > 0
        Sampling rate in Hz.
    pitch : ndarray, shape (1 + floor(n / sr / STEP),), optional
        Pitch contour of the solo in Hz, one value every `melody.STEP` seconds, 0 or NaN where it
        is silent. By default that of `melody`.
    n_fft, hop_length : int > 0
        Window and hop in samples at 44.1 kHz, scaled with `sr`; the hop divides the window.
    num_partials : int > 0
        Maximum number of partials.
    deviation : float >= 0
        How far a partial may lie from its multiple of the pitch, in semitones.
    release : float >= 0
        How long a tone sounds after its pitch has ended, in seconds.

    Returns
    -------
    solo, accompaniment : ndarray, shape (..., n)
        They add up to `y`. Where there is no pitch, all is accompaniment.

    Raises
    ------
    ValueError
        If `pitch` is not a contour for this audio, or for audio that `check_audio` refuses.

    See Also
    --------
    separation.melody.melody : The pitch of the solo.

    Examples
    --------
    A low note, and a solo of another pitch:

    >>> t = np.arange(22050) / 44100
    >>> low, high = np.sin(2 * np.pi * 110 * t), np.sin(2 * np.pi * 620 * t)
    >>> pitch = np.full(51, 620.0)  # of the solo, every 10 ms
    >>> solo, accompaniment = solo_accompaniment(low + high, 44100, pitch=pitch)
    >>> bool(np.corrcoef(solo, high)[0, 1] > 0.9)
    True
    >>> bool(np.corrcoef(accompaniment, low)[0, 1] > 0.9)
    True
    """
    check_audio(y, sr)
    expected = num_values(y.shape[-1], sr)
    if pitch is not None and (np.ndim(pitch) != 1 or abs(len(pitch) - expected) > 1):
        raise ValueError(
            f"expected a pitch contour of {expected} values, one every {STEP} s, found one of "
            f"shape {np.shape(pitch)}"
        )
    if pitch is not None and np.any((np.asarray(pitch) < 0) | np.isinf(pitch)):
        raise ValueError("expected a pitch contour of finite values of 0 Hz or more")
    check_positive(n_fft=n_fft, hop_length=hop_length, num_partials=num_partials)
    if deviation < 0 or release < 0:
        raise ValueError(
            f"expected deviation and release of 0 or more, found {deviation!r} and {release!r}"
        )
    n_fft, hop_length = at_rate(n_fft, sr), at_rate(hop_length, sr)
    options = {"num_partials": num_partials, "deviation": deviation, "release": release}

    @threadpool_limits.wrap(limits=1, user_api="blas")  # more threads get in each other's way
    def separate(block: np.ndarray, start: int) -> Parts:
        if pitch is None:
            contour, begin = melody(block, sr), 0.0
        else:
            contour, begin = np.nan_to_num(pitch), start / sr
        times = begin + np.arange(0, block.shape[-1] + hop_length, hop_length) / sr
        f0 = contour[np.minimum(np.round(times / STEP).astype(int), len(contour) - 1)]
        mask = partial(solo_mask, f0=f0, bin_width=sr / n_fft, hop=hop_length / sr, **options)
        return split_by_mask(block, n_fft, hop_length, mask)

    blocks = in_blocks(separate, [y], block=at_rate(BLOCK, sr), overlap=at_rate(OVERLAP, sr))
    return joined(blocks, y)


def solo_mask(
    spectrum: np.ndarray,
    *,
    f0: np.ndarray,
    bin_width: float,
    hop: float,
    num_partials: int,
    deviation: float,
    release: float,
) -> np.ndarray:
    """Return the share of the solo in every bin up to `TOP_FREQUENCY`.

    Parameters
    ----------
    spectrum : ndarray, shape (..., frames, bins)
        Spectrum of the mixture.
    f0 : ndarray, shape (frames,) or longer
        Pitch in Hz, 0 for none.
    bin_width, hop : float
        Of the spectrum, in Hz and seconds.
    num_partials, deviation, release
        See `solo_accompaniment`.

    Returns
    -------
    ndarray of float32, shape (frames, lowest bins)
    """
    num_frames, num_bins = spectrum.shape[-2:]
    num_bins = min(int(TOP_FREQUENCY / bin_width) + 1, num_bins)
    if not f0.any():
        return np.zeros((num_frames, num_bins), np.float32)
    channels = spectrum[..., :num_bins].reshape(-1, num_frames, num_bins)
    magnitude = np.sqrt((np.abs(channels) ** 2).mean(axis=0))
    magnitude /= magnitude.mean()
    pitch = f0[:num_frames] / bin_width
    comb = harmonic_comb(partial_positions(magnitude, pitch, num_partials, deviation), num_bins)
    comb = sustained(
        comb,
        reach=round(1 / (4 * bin_width * hop)),
        release=int(release / hop),
        decay=np.exp(-hop / RELEASE_FADE),
    )
    smoothing = max(1, round(GAIN_SMOOTHING / hop))
    return fitted_share(magnitude, comb, envelope_bands(num_bins, bin_width), smoothing)


# --- the harmonic series --------------------------------------------------------------------------
def partial_positions(
    magnitude: np.ndarray, pitch: np.ndarray, num_partials: int, deviation: float
) -> np.ndarray:
    """Return where the partials are: at the highest peak near each multiple of the pitch.

    Parameters
    ----------
    magnitude : ndarray, shape (frames, bins)
        Magnitude spectrogram.
    pitch : ndarray, shape (frames,)
        Fundamental frequency in bins, 0 for none.
    num_partials : int
        Number of partials.
    deviation : float
        Greatest distance from the multiple of the pitch in semitones; one bin is always allowed.

    Returns
    -------
    ndarray, shape (frames, partials)
        Positions in bins; 0 without pitch. A partial without a peak stays at its multiple.
    """
    num_frames, num_bins = magnitude.shape
    frames = np.arange(num_frames)[:, np.newaxis]
    multiple = pitch[:, np.newaxis] * np.arange(1, num_partials + 1)
    radius = np.minimum(multiple * (2 ** (deviation / 12) - 1), 0.3 * pitch[:, np.newaxis])
    offsets = np.arange(-MAX_DEVIATION, MAX_DEVIATION + 1)
    bins = np.round(multiple).astype(int)[..., np.newaxis] + offsets  # (frames, partials, offsets)
    near = np.abs(bins - multiple[..., np.newaxis]) <= np.maximum(radius, 1)[..., np.newaxis]
    bins = np.clip(bins, 1, num_bins - 2)
    highest = np.where(near, magnitude[frames[..., np.newaxis], bins], -1).argmax(axis=-1)
    peak = np.take_along_axis(bins, highest[..., np.newaxis], axis=-1)[..., 0]

    # A parabola through the logarithms of three bins gives the position between the bins.
    below, centre, above = (np.log(magnitude[frames, peak + i] + TINY) for i in (-1, 0, 1))
    curvature = np.minimum(below - 2 * centre + above, -TINY)
    vertex = peak + np.clip((below - above) / (2 * curvature), -0.5, 0.5)
    is_peak = (centre >= below) & (centre >= above)
    return np.where(pitch[:, np.newaxis] > 0, np.where(is_peak, vertex, multiple), 0)


def harmonic_comb(positions: np.ndarray, num_bins: int) -> np.ndarray:
    """Return partials of amplitude 1: the main lobe of the Hann window around each position.

    Parameters
    ----------
    positions : ndarray, shape (frames, partials)
        In bins; 0 for no partial.
    num_bins : int
        Number of bins.

    Returns
    -------
    ndarray of float32, shape (frames, bins)
    """
    comb = np.zeros((len(positions), num_bins), np.float32)
    for offset in range(-1, 3):  # the lobe is four bins wide
        bins = np.floor(positions).astype(int) + offset
        frame, number = np.nonzero((positions > 0) & (bins >= 0) & (bins < num_bins))
        where = frame, bins[frame, number]
        distance = where[1] - positions[frame, number]
        lobe = np.sinc(distance) + np.sinc(distance - 1) / 2 + np.sinc(distance + 1) / 2
        comb[where] = np.maximum(comb[where], lobe)
    return comb


def sustained(comb: np.ndarray, *, reach: int, release: int, decay: float) -> np.ndarray:
    """Widen a comb in time, since a window sees a tone start early and end late.

    Parameters
    ----------
    comb : ndarray, shape (frames, bins)
        What `harmonic_comb` returned.
    reach : int
        Frames to either side at which a window sees a tone about as well.
    release, decay : int, float
        Frames for which a tone goes on after its end, and its decay factor per frame.

    Returns
    -------
    ndarray, shape (frames, bins)
    """
    voiced = comb.any(axis=1)
    sounding = np.convolve(voiced, np.ones(2 * reach + release + 1))[reach : reach + len(comb)] > 0
    comb = maximum_filter1d(comb, 2 * reach + 1, axis=0)
    for frame in range(1, len(comb)):
        np.maximum(comb[frame], decay * comb[frame - 1], out=comb[frame])
    return comb * sounding[:, np.newaxis]


# --- the mask -------------------------------------------------------------------------------------
def envelope_bands(num_bins: int, bin_width: float) -> np.ndarray:
    """Return overlapping bands, shape (bands, bins), whose weighted sums are smooth envelopes.

    Parameters
    ----------
    num_bins : int
        Bins of the spectrum.
    bin_width : float
        Width of a bin in Hz.

    Returns
    -------
    np.ndarray, shape (bands, bins)
    """
    scale = np.log1p(np.arange(num_bins) * bin_width / BAND_CORNER)
    centres = np.linspace(0, np.log1p(TOP_FREQUENCY / BAND_CORNER), NUM_BANDS)
    distance = np.minimum(np.abs(scale - centres[:, np.newaxis]) / centres[1], 1)
    return (0.5 + 0.5 * np.cos(np.pi * distance)).astype(np.float32)


def fitted_share(
    magnitude: np.ndarray, comb: np.ndarray, bands: np.ndarray, smoothing: int
) -> np.ndarray:
    """Return the share of the solo in every bin.

    Fits `comb * (gains @ envelopes @ bands) + weights @ spectra` to the magnitudes by
    multiplicative updates for the Kullback-Leibler divergence (Lee and Seung, NIPS 2000).

    Parameters
    ----------
    magnitude : ndarray, shape (frames, bins)
        Magnitude spectrogram with a mean of 1.
    comb : ndarray, shape (frames, bins)
        Partials of the solo with amplitudes of about 1.
    bands : ndarray, shape (bands, bins)
        Bands of its spectral envelopes.
    smoothing : int
        Frames over which the solo's gains are smoothed.

    Returns
    -------
    ndarray of float32, shape (frames, bins)
        In the range [0, 1]; 0 where the comb is 0.
    """
    rng = np.random.default_rng(0)  # the same audio always gives the same parts
    num_frames, num_bins = magnitude.shape

    def start(*shape: int) -> np.ndarray:
        return rng.uniform(0.5, 1.5, shape).astype(np.float32)

    gains, envelopes = start(num_frames, NUM_ENVELOPES), start(NUM_ENVELOPES, len(bands))
    weights, spectra = start(num_frames, NUM_SPECTRA), start(NUM_SPECTRA, num_bins)
    gains /= NUM_ENVELOPES
    weights /= 100 * NUM_SPECTRA  # next to nothing at first
    for iteration in range(SOLO_ITERATIONS + JOINT_ITERATIONS):
        filters = envelopes @ bands
        accompaniment = weights @ spectra + TINY
        ratio = magnitude / (comb * (gains @ filters) + accompaniment)
        gains *= ((comb * ratio) @ filters.T) / (comb @ filters.T + TINY)
        gains = uniform_filter1d(gains, smoothing, axis=0, mode="nearest")
        ratio = magnitude / (comb * (gains @ filters) + accompaniment)
        envelopes *= (gains.T @ (comb * ratio) @ bands.T) / (gains.T @ comb @ bands.T + TINY)
        if iteration >= SOLO_ITERATIONS:
            weights *= (ratio @ spectra.T) / (spectra.sum(axis=1) + TINY)
            ratio = magnitude / (comb * (gains @ envelopes @ bands) + weights @ spectra + TINY)
            spectra *= (weights.T @ ratio) / (weights.sum(axis=0)[:, np.newaxis] + TINY)
    solo = (comb * (gains @ envelopes @ bands)) ** 2
    return solo / (solo + (weights @ spectra) ** 2 + TINY**2)
