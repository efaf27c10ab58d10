"""Read audio as the network hears it: mono, at one rate, scaled to a peak of 1.

Audio is float32 in [-1, 1]. A file that cannot be used is an `InputError` with the reason.
"""

import contextlib
import errno
import os
import stat
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from instrec.data import decode
from instrec.errors import InputError

READ_BLOCK = 1 << 16  # frames of audio read at once: few calls, and they fit the cache
MIN_RATE = 1000  # Hz; a header that says less is damaged, and would be resampled to hours
MAX_FRAMES = 2**28  # of a file that is read whole, or resampled: 100 min at 44.1 kHz
EXACT = ("PCM_S8", "PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW")
FREE = 2**20  # bytes; with less, a disk counts as full
CANCELLED = 1e-3  # of the peak of a channel: a mean of channels below it is what they leave over


@contextlib.contextmanager
def reading() -> Iterator[None]:
    """Turn what libsndfile cannot read in the block into an `InputError`.

    Raises
    ------
    InputError
        With the reason, in a few words.
    """
    import soundfile  # deferred with soxr: `--help` of the scripts needs neither

    try:
        yield
    except soundfile.LibsndfileError as error:
        raise InputError(f"not readable as audio ({decode.reason_of(error)})") from None


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Raise the system's error where audio cannot be written, which libsndfile does not tell.

    Parameters
    ----------
    path : Path
        The file that is written.

    Raises
    ------
    OSError
        With the number of what the system refused.
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
    """A file of which only a part could be read; that part is used."""


@contextlib.contextmanager
def notes() -> Iterator[list[str]]:
    """Collect what is wrong with files that are used all the same, instead of warning.

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


@contextlib.contextmanager
def open_audio(path: str | Path) -> Iterator["soundfile.SoundFile"]:  # noqa: F821
    """Open audio of any format, as far as it goes.

    WAV and AIFF files of plain samples whose chunks add up are opened as they are. Of everything
    else a header may be wrong: it is decoded to its end into a temporary file, whose length is
    true. What a file promises beyond that, as one that was cut off, is told by a warning,
    `Damaged`.

    Parameters
    ----------
    path : str or Path
        Audio file.

    Yields
    ------
    soundfile.SoundFile
        Open to read.

    Raises
    ------
    InputError
        If it is no regular file, cannot be opened, decoded or read, is too long to be read whole,
        or its sampling rate is none.
    """
    import soundfile

    path = Path(path)
    with contextlib.ExitStack() as opened:
        try:
            if not stat.S_ISREG(path.stat().st_mode):
                raise InputError("no regular file: expected a file, found a folder, pipe or device")
            file = _open_plain(path)
        except OSError as error:
            raise InputError(decode.reason_of(error)) from None
        if file is None:  # a full disk is then no fault of the recording
            folder = Path(opened.enter_context(tempfile.TemporaryDirectory()))
            file = soundfile.SoundFile(_decoded(path, folder / "decoded.w64"))
        opened.enter_context(file)
        if file.samplerate < MIN_RATE:
            raise InputError(
                f"damaged: expected a sampling rate of {MIN_RATE} Hz or more, found "
                f"{file.samplerate} Hz"
            )
        with reading():
            yield file


def _open_plain(path: Path) -> "soundfile.SoundFile | None":  # noqa: F821
    """Open a file that libsndfile reads exactly; None if it is another."""
    import soundfile

    if decode.adds_up(path):
        with contextlib.suppress(soundfile.LibsndfileError):
            file = soundfile.SoundFile(name_of(path))
            if file.subtype in EXACT:
                return file
            file.close()
    return None


def name_of(path: Path) -> bytes | Path:
    """Name a file to libsndfile: bytes, for a name need not be text; Windows takes no bytes.

    Parameters
    ----------
    path : Path
        Any file.

    Returns
    -------
    bytes or Path
    """
    return path if os.name == "nt" else os.fsencode(path)


def _decoded(path: Path, target: Path) -> Path:
    """Decode a file into one of floating-point samples."""
    import soundfile

    found: list[str] = []
    with writing(target), contextlib.ExitStack() as opened:
        file = None
        for block, rate in decode.blocks(path, found):
            if file is None:
                like = {"samplerate": rate, "channels": block.shape[1], "subtype": "FLOAT"}
                file = opened.enter_context(soundfile.SoundFile(target, "w", format="W64", **like))
            if block.shape[1] != file.channels:
                found.append("its number of channels changes: used until there")
                break
            _refuse_long(file.tell())
            file.write(block)
    if found:
        warnings.warn("; ".join(found), Damaged, stacklevel=4)
    return target


def _refuse_long(frames: int) -> None:
    if frames > MAX_FRAMES:
        raise InputError(
            f"too long to be read whole: expected at most {MAX_FRAMES:,} samples a channel, "
            f"found {frames:,}"
        )


def format_of(path: Path) -> tuple[str, str]:
    """Name format and subtype in which a file like this one is written.

    Parameters
    ----------
    path : Path
        Audio file.

    Returns
    -------
    format, subtype : str
        As soundfile names them: its own, or those of WAV if that cannot be written.
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
    """Read audio as the network hears it: mono, resampled, divided by its maximum.

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
    with open_audio(path) as file:
        rate = file.samplerate
        # Before memory is taken: a few bytes of a damaged header can promise days of audio.
        _refuse_long(max(file.frames, file.frames * sr // rate))
        y = _read_mono(file)
        if len(y) == 0:
            raise InputError("holds no audio")
        y = resample(y, rate, sr)
        peak = np.max(np.abs(y))
        if peak < CANCELLED:
            file.seek(0)
            loudest = max(np.abs(block).max() for block in file.blocks(READ_BLOCK, always_2d=True))
            if peak < CANCELLED * loudest:
                raise InputError("its channels are of opposite phase: they cancel each other out")
    if peak == 0:
        raise InputError("silent: every sample is zero")
    return y / peak


def _read_mono(file: "soundfile.SoundFile") -> np.ndarray:  # noqa: F821
    """Read all frames and average the channels: (n,) float32.

    Samples of 16 bit are read as integers: libsndfile's conversion gives the same numbers and takes
    three times as long as the rest of reading.
    """
    dtype, scale = ("int16", 1 / 32768) if file.subtype == "PCM_16" else ("float32", 1)
    # A matrix product, for y.mean(axis=1) takes half the time of extraction.
    weights = np.full(file.channels, scale / file.channels, dtype=np.float32)
    mono = [np.empty(0, dtype=np.float32)]
    while len(y := file.read(READ_BLOCK, dtype=dtype, always_2d=True)):
        with np.errstate(invalid="ignore"):  # infinite samples are told below
            mono.append(y.astype(np.float32, copy=False) @ weights)
        if not np.all(np.isfinite(mono[-1])):
            raise InputError("holds NaN or infinite samples")
    return np.concatenate(mono)


def resample(y: np.ndarray, rate: int, sr: int) -> np.ndarray:
    """Resample mono audio as `librosa.load` does (soxr HQ, length rounded up).

    Parameters
    ----------
    y : np.ndarray [shape=(n,)]
        Mono audio.
    rate, sr : int
        Its sampling rate, and the one wanted, in Hz.

    Returns
    -------
    np.ndarray [shape=(ceil(n * sr / rate),)]
    """
    if rate == sr:
        return y
    import soxr

    length = int(np.ceil(len(y) * sr / rate))
    y = soxr.resample(y, rate, sr, quality="HQ")[:length]
    return np.pad(y, (0, length - len(y)))
