"""Decode any audio file to its end with FFmpeg's libraries, which come with PyAV.

Headers are not trusted: the samples tell how long a file is. A header that promises more is noted.
"""

import contextlib
import io
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from instrec.errors import InputError

if TYPE_CHECKING:
    import av

# Containers that hold audio and open no other files, as a playlist would.
FORMATS = "wav,w64,aiff,caf,au,flac,ogg,mp3,aac,mov,matroska,asf,ac3,eac3,amr,ape,tta,wv,dsf,mpeg"
FORMATS += ",mpegts,avi"
STREAMED = 0x7FFFF000  # chunk sizes from here up, and 0, mean that the writer did not know


def adds_up(path: Path) -> bool:
    """Tell whether a file is WAV or AIFF and holds as many samples as its header says.

    Parameters
    ----------
    path : Path
        A file that can be opened.

    Returns
    -------
    bool
    """
    promised, held = _bytes_of_samples(path) or (0, 0)
    return promised == held > 0


class _File(io.FileIO):
    """A file that does not raise when a damaged header makes FFmpeg seek to before its start."""

    def seek(self, offset: int, whence: int = 0) -> int:
        try:
            return super().seek(offset, whence)
        except OSError:
            return -1


def _bytes_of_samples(path: Path) -> tuple[int, int] | None:
    """Return the bytes of samples that a WAV or AIFF file promises and holds; None for others."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(12)
        order = {b"RIFF": "<", b"RIFX": ">", b"FORM": ">"}.get(head[:4])
        if order is None or head[8:] not in (b"WAVE", b"AIFF", b"AIFC"):
            return None
        while len(header := file.read(8)) == 8:
            name, (length,) = header[:4], struct.unpack(order + "I", header[4:])
            begin = file.tell()
            if name in (b"data", b"SSND"):
                rest = size - begin
                return length, min(length, rest) if 0 < length < STREAMED else rest
            file.seek(begin + length + length % 2)
    return None


def blocks(path: Path, notes: list[str]) -> Iterator[tuple[np.ndarray, int]]:
    """Yield a file's samples, and their rate, as they are decoded.

    Parameters
    ----------
    path : Path
        A regular file.
    notes : list of str
        Receives the file's faults, once all is decoded.

    Yields
    ------
    samples : np.ndarray [shape=(n, channels), dtype=float32]
        Of the first audio stream.
    rate : int
        In Hz.

    Raises
    ------
    InputError
        If it is not audio, or none of it can be decoded.
    """
    import av

    options = {"format_whitelist": FORMATS, "protocol_whitelist": "file"}
    # Tags need not be text: PyAV 18 reads them all at once, later versions on request.
    lenient = {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}
    with contextlib.ExitStack() as opened:
        try:
            # Opened by Python: a name may be bytes that are not text, or look like a URL.
            file = opened.enter_context(_File(path))
            container = opened.enter_context(av.open(file, options=options, **lenient))
        except (av.error.FFmpegError, ValueError, OSError) as error:
            raise InputError(f"not readable as audio ({reason_of(error)})") from None
        if not container.streams.audio:
            raise InputError("not readable as audio (it holds no audio stream)")
        stream = container.streams.audio[0]
        frames, damaged, rate = 0, 0, 0
        with contextlib.suppress(av.error.FFmpegError):  # of the container: the rest is damaged
            for packet in container.demux(stream):
                try:
                    decoded = packet.decode()
                except (av.error.FFmpegError, ValueError):  # the next packet may be whole again
                    damaged += 1
                    continue
                for frame in decoded:
                    rate = rate or frame.sample_rate
                    samples = _samples_of(frame)
                    frames += len(samples)
                    if len(samples):
                        yield samples, rate
        if not frames:
            if damaged:
                raise InputError(f"not readable as audio ({damaged} damaged packets)")
            raise InputError("holds no audio")
        if damaged:
            notes.append(f"{damaged} damaged packets are left out")
        seconds = frames / rate
        if _is_cut(path, seconds, stream):
            notes.append(f"cut off: it promises more audio than the {seconds:.2f} s that it holds")


def _samples_of(frame: "av.AudioFrame") -> np.ndarray:
    """Return samples [n x channels] in [-1, 1]."""
    array, channels = frame.to_ndarray(), len(frame.layout.channels)
    samples = array.T if frame.format.is_planar else array.reshape(-1, channels)
    if samples.dtype.kind == "f":
        return samples.astype(np.float32)
    if samples.dtype == np.uint8:
        return (samples.astype(np.float32) - 128) / 128
    return samples.astype(np.float32) / -float(np.iinfo(samples.dtype).min)


def _is_cut(path: Path, seconds: float, stream: "av.audio.stream.AudioStream") -> bool:
    """Tell whether a file promises more than the seconds it holds."""
    samples = _bytes_of_samples(path)
    if samples is not None:
        promised, held = samples
        return held < promised < STREAMED
    with path.open("rb") as file:
        head = file.read(1 << 14)
        file.seek(max(0, path.stat().st_size - (1 << 16)))
        tail = file.read()
    if head.startswith(b"OggS"):  # the last page is marked
        last = tail.rfind(b"OggS")
        return last < 0 or len(tail) <= last + 5 or not tail[last + 5] & 4
    # Other durations are estimates, or do not come from a header.
    is_mp3 = stream.codec_context.name.startswith("mp3")
    counts_mp3 = is_mp3 and any(mark in head for mark in (b"Xing", b"Info", b"VBRI"))
    is_counted = (head.startswith(b"fLaC") or counts_mp3) and stream.duration is not None
    return is_counted and stream.duration * stream.time_base > seconds + 0.2


def reason_of(error: Exception) -> str:
    """Say in a few words why audio could not be read.

    Parameters
    ----------
    error : Exception
        From libsndfile, FFmpeg or the system.

    Returns
    -------
    str
    """
    text = getattr(error, "error_string", None) or getattr(error, "strerror", None) or str(error)
    return text.splitlines()[0].rstrip(".").lower() if text else type(error).__name__
