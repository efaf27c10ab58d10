"""Read audio as the network hears it: mono, at one rate, scaled to a peak of 1.

Audio is float32 in [-1, 1]. A file that cannot be used is an `InputError` with the reason.
"""

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from instrec.errors import InputError

READ_BLOCK = 1 << 16  # frames of audio read at once: few calls, and they fit the cache
MIN_RATE = 1000  # Hz; a header that says less is damaged, and would be resampled to hours
MAX_FRAMES = 2**28  # of a file that is read whole, or resampled: 100 min at 44.1 kHz
FREE = 2**20  # bytes; with less, a disk counts as full
CUT_OFF = "cut off: the header promises more audio than the file holds"


@contextlib.contextmanager
def reading(path: str | Path) -> Iterator[None]:
    """Turn what fails in the block, which reads audio and nothing else, into an `InputError`.

    Parameters
    ----------
    path : str or Path
        The file that is read.

    Raises
    ------
    InputError
        With the reason, in a few words.
    """
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
    """Open audio to read; a file that cannot be opened is an `InputError` with the reason.

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
        If it cannot be opened, is cut off, or its sampling rate is none.
    """
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

    Parameters
    ----------
    file : soundfile.SoundFile
        Of which audio was read.
    frames : int
        How many were asked for.
    y : np.ndarray [shape=(n, ...)]
        What came.

    Returns
    -------
    bool

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
