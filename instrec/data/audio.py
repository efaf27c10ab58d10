"""Read audio as the network hears it: mono, at one rate, scaled to a peak of 1.

Audio is float32 in [-1, 1]. A file that cannot be used raises `InputError` with the reason.
"""

import contextlib
import errno
import math
import os
import stat
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from instrec.data import decode
from instrec.errors import InputError

READ_BLOCK = 1 << 16  # frames per read: few calls, and a block fits the cache
MIN_RATE = 1000  # Hz; a header with less is damaged, and resampling would yield hours
MAX_FRAMES = 2**28  # of a file read whole, also once resampled: 100 min at 44.1 kHz
EXACT = ("PCM_S8", "PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW")
FREE = 2**20  # bytes; with less, a disk counts as full
CANCELLED = 1e-3  # of a channel's peak; a mean of channels below it is a residue of cancellation


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Raise the system's error when audio cannot be written: libsndfile does not give it.

    Parameters
    ----------
    path : Path
        The file being written.

    Raises
    ------
    OSError
        With the system's error number.
    """
    import soundfile

    try:
        yield
    except (soundfile.LibsndfileError, AssertionError) as error:
        try:  # the system knows better: no room, or no names for further files
            with tempfile.TemporaryFile(dir=path.parent) as probe:
                probe.write(bytes(FREE))
        except OSError as refused:
            raise OSError(refused.errno, refused.strerror, str(path)) from None
        raise OSError(errno.EIO, str(error), str(path)) from None


class Damaged(UserWarning):
    """A file that could be read only in part; that part is used."""


@contextlib.contextmanager
def notes() -> Iterator[list[str]]:
    """Collect the faults of files that are used all the same, instead of warning.

    Yields
    ------
    list of str
        Filled at the end of the block.
    """
    found: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", Damaged)
        yield found
    for warning in caught:
        if issubclass(warning.category, Damaged):
            found.append(str(warning.message))
        else:
            warnings.warn_explicit(
                warning.message, warning.category, warning.filename, warning.lineno
            )


class Sound(NamedTuple):
    """Open audio, to be read once from start to end.

    Parameters
    ----------
    samplerate : int
        In Hz.
    channels : int
        Number of channels.
    blocks : iterator of np.ndarray [shape=(n, channels), dtype=float32]
        Samples, in blocks of `READ_BLOCK` except the last.
    """

    samplerate: int
    channels: int
    blocks: Iterator[np.ndarray]


@contextlib.contextmanager
def open_audio(path: str | Path) -> Iterator[Sound]:
    """Open audio of any format, to be read as far as it goes.

    libsndfile reads WAV and AIFF files of plain samples whose chunks add up. Any other header may
    be wrong, so the file is decoded to its end. There, a file that promised more, such as one that
    was cut off, gives a `Damaged` warning; not if reading stops earlier.

    Parameters
    ----------
    path : str or Path
        Audio file.

    Yields
    ------
    Sound
        Open for reading.

    Raises
    ------
    InputError
        If it is not a regular file, cannot be opened, decoded or read, or its rate is too low.
    """
    import soundfile  # deferred with soxr: `--help` of the scripts needs neither

    path = Path(path)
    with contextlib.ExitStack() as opened:
        try:
            if not stat.S_ISREG(path.stat().st_mode):
                raise InputError("no regular file: expected a file, found a folder, pipe or device")
            sound = _plain(path, opened) or _decoded(path)
        except OSError as error:
            raise InputError(decode.reason_of(error)) from None
        if sound.samplerate < MIN_RATE:
            raise InputError(
                f"damaged: expected a sampling rate of {MIN_RATE} Hz or more, found "
                f"{sound.samplerate} Hz"
            )
        try:
            yield sound
        except soundfile.LibsndfileError as error:
            raise InputError(f"not readable as audio ({decode.reason_of(error)})") from None


def _plain(path: Path, opened: contextlib.ExitStack) -> Sound | None:
    """Open a file that libsndfile reads exactly; None for any other."""
    import soundfile

    if not decode.adds_up(path):
        return None
    try:
        file = opened.enter_context(soundfile.SoundFile(name_of(path)))
    except soundfile.LibsndfileError:
        return None

    def blocks() -> Iterator[np.ndarray]:
        # 16-bit samples are read as integers: libsndfile's conversion gives the same numbers
        # but takes three times as long as the rest of reading.
        dtype, scale = ("int16", 1 / 32768) if file.subtype == "PCM_16" else ("float32", 1)
        while len(block := file.read(READ_BLOCK, dtype=dtype, always_2d=True)):
            block = block.astype(np.float32, copy=False)
            block *= np.float32(scale)
            yield block

    is_exact = file.frames > 0 and file.subtype in EXACT
    return Sound(file.samplerate, file.channels, blocks()) if is_exact else None


def _decoded(path: Path) -> Sound:
    """Decode a file with FFmpeg."""
    notes: list[str] = []
    pieces = decode.blocks(path, notes)
    first, rate = next(pieces)

    def blocks() -> Iterator[np.ndarray]:
        held = first
        for piece, _ in pieces:
            if piece.shape[1] != first.shape[1]:
                notes.append("its number of channels changes: used until there")
                break
            held = np.concatenate([held, piece])
            while len(held) >= READ_BLOCK:
                yield held[:READ_BLOCK]
                held = held[READ_BLOCK:]
        if len(held):
            yield held
        if notes:
            warnings.warn("; ".join(notes), Damaged, stacklevel=2)

    return Sound(rate, first.shape[1], blocks())


def refuse_infinite(y: np.ndarray) -> None:
    """Refuse audio that holds NaN or infinity.

    Parameters
    ----------
    y : np.ndarray
        Samples.

    Raises
    ------
    InputError
        If it does.
    """
    if not np.all(np.isfinite(y)):
        raise InputError("holds NaN or infinite samples")


def name_of(path: Path) -> bytes | Path:
    """Name a file for libsndfile: bytes, as a name need not be text; Windows takes no bytes.

    Parameters
    ----------
    path : Path
        Any file.

    Returns
    -------
    bytes or Path
    """
    return path if os.name == "nt" else os.fsencode(path)


def format_of(path: Path) -> tuple[str, str]:
    """Name the format and subtype in which to write a file like this one.

    Parameters
    ----------
    path : Path
        Audio file.

    Returns
    -------
    format, subtype : str
        As soundfile names them: the file's own, or WAV's if those cannot be written.
    """
    import soundfile

    with contextlib.suppress(soundfile.LibsndfileError):
        info = soundfile.info(name_of(path))
        # Codecs within WAV and AIFF do not keep the length.
        is_plain = info.subtype in EXACT and decode.adds_up(path)
        is_kept = is_plain or info.format not in ("WAV", "WAVEX", "AIFF")
        kind = info.format, info.subtype if is_kept else "PCM_16"
        if soundfile.check_format(*kind):
            return kind
    return "WAV", "PCM_16"


def load_audio(path: str | Path, sr: int = 22050) -> np.ndarray:
    """Read audio as the network hears it: mono, resampled, scaled to a peak of 1.

    Parameters
    ----------
    path : str or Path
        Audio file in any format, rate and channel count that FFmpeg reads.
    sr : int
        Sampling rate in Hz to resample to.

    Returns
    -------
    np.ndarray [shape=(n,), dtype=float32]
        Samples with a largest absolute value of 1.

    Raises
    ------
    InputError
        If the file is missing, unreadable, empty, silent, too long to be read whole, or holds NaN
        or infinity, or its channels cancel each other out.
    """
    y = _read_mono(path, sr)
    peak = max(y.max(), -y.min())
    if peak < CANCELLED:
        with notes(), open_audio(path) as sound:  # already reported
            loudest = max(np.abs(block).max() for block in sound.blocks)
        if peak < CANCELLED * loudest:
            raise InputError("its channels are of opposite phase: they cancel each other out")
    if peak == 0:
        raise InputError("silent: every sample is zero")
    y /= peak
    return y


def _read_mono(path: str | Path, sr: int) -> np.ndarray:
    """Return the mean of a file's channels, resampled as by `librosa.load` (soxr HQ).

    In blocks: an hour at the file's own rate need not fit in memory.
    """
    import soxr

    resampled, length = [], 0
    with open_audio(path) as sound:
        stream = soxr.ResampleStream(sound.samplerate, sr, 1, quality="HQ")
        # A matrix product: mean(axis=1) would take half the extraction time.
        weights = np.full(sound.channels, 1 / sound.channels, dtype=np.float32)
        for block in sound.blocks:
            length += len(block)
            if max(length, length * sr // sound.samplerate) > MAX_FRAMES:
                raise InputError(
                    f"too long to be read whole: expected at most {MAX_FRAMES:,} samples a channel"
                )
            with np.errstate(invalid="ignore"):  # infinite samples are refused below
                mono = block @ weights
            refuse_infinite(mono)
            resampled.append(stream.resample_chunk(mono))
    nothing, zero = np.zeros(0, dtype=np.float32), np.zeros(1, dtype=np.float32)
    resampled += [stream.resample_chunk(nothing, last=True), zero]  # soxr rounds the length
    return np.concatenate(resampled)[: math.ceil(length * sr / sound.samplerate)]
