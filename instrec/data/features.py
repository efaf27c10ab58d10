"""From an audio file to log-mel patches (thesis 4.1.1; Han et al. 2017, section III-A).

Conventions: audio is float32 in [-1, 1]; a spectrogram is [mel bands x frames], with a last axis of
channels where it has several; patches are [patches x mel bands x frames x channels].
"""

import contextlib
import errno
import functools
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import settings
from instrec.errors import InputError

MIN_FFT = 2048  # the published script leaves n_fft at librosa's default, zero-padding the window
EPSILON = np.finfo(np.float32).eps  # keeps the logarithm of silence finite
FRAMES_A_BLOCK = 32  # spectra computed at once: they fit the cache, more take twice as long
READ_BLOCK = 1 << 16  # frames of audio read at once: few calls, and they fit the cache
MIN_RATE = 1000  # Hz; a header that says less is damaged, and would be resampled to hours
MAX_FRAMES = 2**28  # of a file that is read whole, or resampled: 100 min at 44.1 kHz
FREE = 2**20  # bytes; with less, a disk counts as full
CUT_OFF = "cut off: the header promises more audio than the file holds"


@dataclass(frozen=True)
class FeatureParameters:
    """What a patch is made with; stored with tensors and models, which are refused if it differs.

    Parameters
    ----------
    sample_rate : int
        Sampling rate in Hz.
    windows : tuple of int
        STFT windows in samples, one a channel.
    hop_length : int
        STFT hop in samples.
    num_mel_bands : int
        Mel bands.
    patch_frames : int
        Frames a patch.
    """

    sample_rate: int
    windows: tuple[int, ...]
    hop_length: int
    num_mel_bands: int
    patch_frames: int

    @property
    def patch_shape(self) -> tuple[int, int, int]:
        """Shape of one patch: mel bands, frames, channels."""
        return self.num_mel_bands, self.patch_frames, len(self.windows)


def parameters_of(data_set: settings.DataSet) -> FeatureParameters:
    """Return today's feature parameters of a data set, from settings.py."""
    return FeatureParameters(
        sample_rate=settings.sample_rate,
        windows=data_set.windows,
        hop_length=settings.hop_length,
        num_mel_bands=settings.num_mel_bands,
        patch_frames=settings.patch_frames,
    )


@contextlib.contextmanager
def reading(path: str | Path) -> Iterator[None]:
    """Turn what fails in the block, which reads audio and nothing else, into an `InputError`."""
    import soundfile  # deferred with soxr: `--help` of the scripts needs neither

    try:
        yield
    except (soundfile.LibsndfileError, OSError) as error:
        try:
            Path(path).open("rb").close()
        except OSError as refused:  # the system knows better: no such file, permission denied
            raise InputError(refused.strerror.lower()) from None
        raise InputError(f"not readable as audio ({_reason(error)})") from None


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Raise the system's error where audio cannot be written, which libsndfile does not tell."""
    import soundfile

    try:
        yield
    except (soundfile.LibsndfileError, AssertionError) as error:
        number = errno.ENOSPC if _is_full(path.parent) else errno.EIO
        raise OSError(number, str(error), str(path)) from None


def _is_full(folder: Path) -> bool:
    """Tell whether a disk has no room left, or no names for further files."""
    if not folder.is_dir():
        return False
    if hasattr(os, "statvfs"):  # not on Windows
        disk = os.statvfs(folder)
        if disk.f_files and not disk.f_favail:
            return True
    return shutil.disk_usage(folder).free < FREE


@contextlib.contextmanager
def open_audio(path: str | Path) -> Iterator["soundfile.SoundFile"]:  # noqa: F821
    """Open audio to read; a file that cannot be opened is an `InputError` with the reason."""
    import soundfile

    with contextlib.ExitStack() as opened:
        with reading(path):
            # Bytes, for a name need not be text; Windows' names are, and take no bytes.
            name = path if os.name == "nt" else os.fsencode(path)
            file = opened.enter_context(soundfile.SoundFile(name))
        if _is_cut_off(file.extra_info):
            raise InputError(CUT_OFF)
        if file.samplerate < MIN_RATE:
            raise InputError(
                f"damaged: expected a sampling rate of {MIN_RATE} Hz or more, found "
                f"{file.samplerate} Hz"
            )
        yield file


def is_short(file: "soundfile.SoundFile", frames: int, y: np.ndarray) -> bool:  # noqa: F821
    """Tell whether MP3 audio [n x channels] ends before its frames; others are then cut off.

    Raises
    ------
    InputError
        If it is not MP3, whose headers may only estimate the length.
    """
    if len(y) == frames:
        return False
    if file.format == "MP3":
        return True
    raise InputError(CUT_OFF)


def load_audio(path: str | Path, sr: int = 22050) -> np.ndarray:
    """Read audio as the network hears it: mono, resampled, divided by its maximum.

    Parameters
    ----------
    path : str or Path
        Audio file in any format, rate and channel count that libsndfile reads.
    sr : int
        Sampling rate in Hz to resample to.

    Returns
    -------
    np.ndarray [shape=(n,), dtype=float32]
        Samples with a largest absolute value of 1.

    Raises
    ------
    InputError
        If the file is missing, unreadable, cut off, empty, silent, too long to be read whole, or
        holds NaN or infinity.
    """
    with open_audio(path) as file, reading(path):
        rate = file.samplerate
        # Before memory is taken: a few bytes of a damaged header can promise days of audio.
        frames = max(file.frames, file.frames * sr // rate)
        if frames > MAX_FRAMES:
            raise InputError(
                f"too long to be read whole: expected at most {MAX_FRAMES:,} samples a channel, "
                f"found {frames:,}"
            )
        y = _read_mono(file)
        is_short(file, file.frames, y)
    if len(y) == 0:
        raise InputError("holds no audio")
    y = resample(y, rate, sr)
    peak = np.max(np.abs(y), initial=0)
    if peak == 0:
        raise InputError("silent: every sample is zero")
    return y / peak


def _read_mono(file: "soundfile.SoundFile", frames: int | None = None) -> np.ndarray:  # noqa: F821
    """Read up to `frames` frames, all by default, and average the channels: (n,) float32.

    Samples of 16 bit are read as integers: libsndfile's conversion gives the same numbers and takes
    three times as long as the rest of reading.
    """
    dtype, scale = ("int16", 1 / 32768) if file.subtype == "PCM_16" else ("float32", 1)
    # A matrix product, for y.mean(axis=1) takes half the time of extraction.
    weights = np.full(file.channels, scale / file.channels, dtype=np.float32)
    left = file.frames if frames is None else frames
    parts = [np.empty(0, dtype=np.float32)]
    while len(y := file.read(min(left, READ_BLOCK), dtype=dtype, always_2d=True)):
        with np.errstate(invalid="ignore"):  # infinite samples are told below
            parts.append(y.astype(np.float32, copy=False) @ weights)
        if not np.all(np.isfinite(parts[-1])):
            raise InputError("holds NaN or infinite samples")
        left -= len(y)
    return np.concatenate(parts)


def resample(y: np.ndarray, rate: int, sr: int) -> np.ndarray:
    """Resample mono audio as `librosa.load` does (soxr HQ, length rounded up)."""
    if rate == sr:
        return y
    import soxr

    length = int(np.ceil(len(y) * sr / rate))
    y = soxr.resample(y, rate, sr, quality="HQ")[:length]
    return np.pad(y, (0, length - len(y)))


def log_mel(
    y: np.ndarray,
    *,
    sr: int = 22050,
    win_length: int = 1024,
    hop_length: int = 512,
    num_mel: int = 128,
) -> np.ndarray:
    """Compute the natural logarithm of the mel spectrogram of magnitudes.

    Equal to the literal recipe of the thesis (`librosa.stft`, absolute value,
    `librosa.feature.melspectrogram(S=...)`, logarithm) to float32 rounding, in a fraction of its
    time: the filter bank is kept, and the window is transformed where it stands instead of
    centred in its zero padding, which changes phases only.

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

    Returns
    -------
    np.ndarray [shape=(num_mel, 1 + n // hop_length), dtype=float32]
        `log(S + eps)`.
    """
    import scipy.fft  # deferred; a fifth faster than numpy's

    n_fft = max(MIN_FFT, win_length)
    window, mel_filters = _window(win_length), _mel_filters(sr, n_fft, num_mel)
    padded = np.pad(np.asarray(y, dtype=np.float32), win_length // 2)  # centred frames
    frames = np.lib.stride_tricks.sliding_window_view(padded, win_length)[::hop_length]
    frames = frames[: 1 + len(y) // hop_length]
    spectrogram = np.empty((num_mel, len(frames)), dtype=np.float32)
    for start in range(0, len(frames), FRAMES_A_BLOCK):
        block = slice(start, start + FRAMES_A_BLOCK)
        # In double precision: the logarithm would show the rounding of silent bands.
        spectrum = scipy.fft.rfft(frames[block] * window, n=n_fft, axis=1)
        spectrogram[:, block] = mel_filters @ np.abs(spectrum).T
    return np.log(spectrogram + EPSILON)


def log_mel_channels(y: np.ndarray, parameters: FeatureParameters) -> np.ndarray:
    """Stack the log-mel spectrograms of every window: [mel bands x frames x channels]."""
    return np.stack(
        [
            log_mel(
                y,
                sr=parameters.sample_rate,
                win_length=window,
                hop_length=parameters.hop_length,
                num_mel=parameters.num_mel_bands,
            )
            for window in parameters.windows
        ],
        axis=-1,
    )


def cut_patches(spectrogram: np.ndarray, frames: int, step: int) -> np.ndarray:
    """Cut a spectrogram into patches; what is left at the end is too short and dropped.

    Parameters
    ----------
    spectrogram : np.ndarray [shape=(bands, n, channels)]
        Log-mel spectrogram.
    frames : int
        Frames a patch.
    step : int
        Frames from the start of one patch to the start of the next.

    Returns
    -------
    np.ndarray [shape=(patches, bands, frames, channels)]
        A view; empty if the spectrogram is shorter than a patch.
    """
    bands, n, channels = spectrogram.shape
    if n < frames:
        return np.empty((0, bands, frames, channels), dtype=spectrogram.dtype)
    windows = np.lib.stride_tricks.sliding_window_view(spectrogram, frames, axis=1)[:, ::step]
    return windows.transpose(1, 0, 3, 2)  # (bands, patches, channels, frames) -> as returned


def patches_of_file(path: str | Path, parameters: FeatureParameters, step: int) -> np.ndarray:
    """Load one file and return its patches [patches x mel bands x frames x channels].

    Raises
    ------
    InputError
        If the file cannot be used, or is shorter than one patch.
    """
    y = load_audio(path, parameters.sample_rate)
    patches = cut_patches(log_mel_channels(y, parameters), parameters.patch_frames, step)
    if len(patches) == 0:
        seconds = parameters.patch_frames * parameters.hop_length / parameters.sample_rate
        found = len(y) / parameters.sample_rate
        raise InputError(f"too short: {found:.2f} s, and one patch takes {seconds:.2f} s")
    return np.ascontiguousarray(patches)


def standardise(
    inputs: Sequence[np.ndarray], moments: Sequence[tuple[float, float]] | None
) -> tuple[np.ndarray, ...]:
    """Subtract the mean of each input and divide by its deviation; None leaves them as they are."""
    if moments is None:
        return tuple(inputs)
    pairs = zip(inputs, moments, strict=True)
    return tuple((patches - mean) / deviation for patches, (mean, deviation) in pairs)


def network_input(
    inputs: Sequence[np.ndarray], moments: Sequence[tuple[float, float]] | None
) -> np.ndarray | tuple[np.ndarray, ...]:
    """Standardise patches as a network takes them: an array, or a tuple for several inputs."""
    x = standardise(inputs, moments)
    return x if len(x) > 1 else x[0]


def patches_in_blocks(
    path: str | Path, parameters: FeatureParameters, step: int, *, seconds: float = 60
) -> Iterator[np.ndarray]:
    """Yield the patches of a file of any length block by block, in bounded memory.

    Together they are those of `patches_of_file`, to the rounding of a resampler that does not see
    the whole file. The file is read twice: its loudest sample scales all others.

    Parameters
    ----------
    path : str or Path
        Audio file.
    parameters : FeatureParameters
        What a patch is made with.
    step : int
        Frames from patch to patch.
    seconds : float
        Audio in memory at once.

    Yields
    ------
    np.ndarray [shape=(patches, mel bands, frames, channels)]
        The patches that begin in the next block.

    Raises
    ------
    InputError
        As `patches_of_file`.
    """
    rate = parameters.sample_rate
    peak, length = 0.0, 0
    for y in _mono_blocks(path, rate, seconds):
        peak, length = max(peak, float(np.max(np.abs(y), initial=0))), length + len(y)
    if length == 0:
        raise InputError("holds no audio")
    if peak == 0:
        raise InputError("silent: every sample is zero")
    frames = parameters.patch_frames
    if 1 + length // parameters.hop_length < frames:
        needed = frames * parameters.hop_length / rate
        raise InputError(f"too short: {length / rate:.2f} s, and one patch takes {needed:.2f} s")
    left = None  # frames of which patches to come are made
    scaled = (y / np.float32(peak) for y in _mono_blocks(path, rate, seconds))
    for spectrogram in _log_mel_blocks(scaled, parameters):
        left = spectrogram if left is None else np.concatenate([left, spectrogram], axis=1)
        patches = cut_patches(left, frames, step)
        if len(patches):
            yield np.ascontiguousarray(patches)
            left = left[:, len(patches) * step :]


def _mono_blocks(path: str | Path, sr: int, seconds: float) -> Iterator[np.ndarray]:
    """Yield a file as `load_audio` hears it, but for its loudness, block by block."""
    import soxr

    with open_audio(path) as file:
        stream = soxr.ResampleStream(file.samplerate, sr, 1, dtype="float32", quality="HQ")
        left = int(np.ceil(file.frames * sr / file.samplerate))
        block = max(1, int(seconds * file.samplerate))
        for start in range(0, file.frames, block):
            with reading(path):
                y = _read_mono(file, block)
            short = is_short(file, min(block, file.frames - start), y)
            if file.samplerate != sr:
                y = stream.resample_chunk(y, last=short or start + block >= file.frames)
            yield y[:left]
            left -= len(y[:left])
            if short:
                return
        if left:  # what the resampler kept for itself
            yield np.zeros(left, dtype=np.float32)


def _log_mel_blocks(
    blocks: Iterator[np.ndarray], parameters: FeatureParameters
) -> Iterator[np.ndarray]:
    """Yield the log-mel spectrogram of a sound that comes in blocks, equal to that of the whole.

    Each piece is computed with so much of its neighbours that every window is full.
    """
    hop = parameters.hop_length
    context = -(-max(parameters.windows) // (2 * hop))  # frames to each side
    y = np.zeros(context * hop, dtype=np.float32)  # begins `context` frames before the next one
    total = done = 0  # samples that came, and frames that went
    for block in blocks:
        y, total = np.concatenate([y, block]), total + len(block)
        frames = max(0, total // hop - context - done)
        if frames:
            piece = log_mel_channels(y[: (frames + 2 * context) * hop], parameters)
            yield piece[:, context : context + frames]
            y, done = y[frames * hop :], done + frames
    yield log_mel_channels(y, parameters)[:, context : context + 1 + total // hop - done]


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


def _is_cut_off(log: str) -> bool:
    """Tell from libsndfile's log whether a file holds less audio than its header says.

    The chunk of the samples is `data` in WAV and `SSND` in AIFF. Ogg has no length in its header,
    but marks its end.
    """
    for line in log.splitlines():
        if "lacks an end-of-stream bit" in line:
            return True
        words = line.replace("(", " ").replace(")", " ").split()
        if words[:2] in (["data", ":"], ["SSND", ":"]) and "should" in words:
            promised, held = int(words[2]), int(words[-1])
            # A streaming encoder that never knew the length writes one of these instead.
            return promised > held and promised not in (0, 0x7FFFFFFF, 0xFFFFFFFF)
    return False


def _reason(error: Exception) -> str:
    return str(error).rsplit(": ", 1)[-1].strip().rstrip(".")
