"""Reading audio: files of many kinds, made here, each against the signal that was encoded."""

import os
import re
import struct
import threading

import av
import numpy as np
import pytest
import scipy.signal
import soundfile
from conftest import refuses

from instrec.data import audio
from instrec.errors import InputError

RATE = 44100
FRAME = 2048  # samples, of the longest codec frame here


def signal(channels=1, seconds=1.5, rate=RATE):
    """Decaying notes, other ones a channel; the fourth of six, which is for bass, is silent."""
    t = np.arange(int(seconds * rate)) / rate
    tones = []
    for c in range(channels):
        pitch = 220 * 2 ** ((7 * c % 12) / 12)
        tone = sum(np.sin(2 * np.pi * pitch * k * t) / k for k in (1, 2, 3))
        tones.append(tone * np.exp(-3 * (t % 0.4)) * (0.3 if c != 3 or channels != 6 else 0))
    return np.stack(tones, axis=1).astype(np.float32)


def write_av(path, y, codec, rate=RATE):
    """Encode by FFmpeg."""
    layout = {1: "mono", 2: "stereo", 6: "5.1"}[y.shape[1]]
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.layout = layout
        wanted = stream.codec_context.codec.audio_formats[0].name
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(y.T), "fltp", layout)
        frame.sample_rate = rate
        resampler = av.AudioResampler(wanted, layout, rate, frame_size=stream.frame_size or 1024)
        for piece in (*resampler.resample(frame), *resampler.resample(None)):
            container.mux(stream.encode(piece))
        container.mux(stream.encode(None))


def write(path, y, change, **options):
    """Write audio, and in its place what a function makes of the bytes of its file."""
    soundfile.write(path, y, RATE, **options)
    path.write_bytes(change(path.read_bytes()))


def put(data, place, field):
    return data[:place] + field + data[place + len(field) :]


def mono(y):
    y = y.mean(axis=1)
    return y / np.abs(y).max()


def assert_same(path, y, rate=RATE, slack=2 * FRAME):
    """Same length, and the same signal but for the delay of a codec."""
    found, expected = audio.load_audio(path, rate), mono(y)
    assert abs(len(found) - len(expected)) <= slack
    together = np.abs(scipy.signal.correlate(found, expected, method="fft"))
    lag = scipy.signal.correlation_lags(len(found), len(expected))[together.argmax()]
    assert abs(lag) <= slack
    a, b = found[max(0, lag) :], expected[max(0, -lag) :]
    m = min(len(a), len(b))
    assert np.corrcoef(a[:m], b[:m])[0, 1] > 0.99


SOUNDFILE = [
    *(("WAV", subtype) for subtype in ("PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE")),
    *(("WAV", "ULAW"), ("WAV", "ALAW"), ("WAV", "IMA_ADPCM"), ("WAV", "MS_ADPCM")),
    *(("WAVEX", "PCM_24"), ("RF64", "PCM_16"), ("W64", "PCM_24"), ("CAF", "PCM_16")),
    *(("CAF", "ALAC_16"), ("AIFF", "PCM_16"), ("AIFF", "PCM_24"), ("AIFF", "FLOAT")),
    *(("AU", "PCM_16"), ("AU", "FLOAT"), ("FLAC", "PCM_16"), ("FLAC", "PCM_24")),
    *(("OGG", "VORBIS"), ("MP3", "MPEG_LAYER_III")),
]
FFMPEG = [
    *(("m4a", "aac"), ("m4a", "alac"), ("mp4", "aac"), ("mka", "flac"), ("mka", "pcm_s16le")),
    *(("webm", "libopus"), ("ogg", "libopus"), ("wma", "wmav2"), ("aac", "aac"), ("ac3", "ac3")),
    *(("mp3", "libmp3lame"), ("oga", "libvorbis"), ("flac", "flac"), ("mov", "pcm_s24le")),
    *(("tta", "tta"), ("wv", "wavpack"), ("aiff", "pcm_s16be"), ("avi", "mp2")),
]


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize(("kind", "subtype"), SOUNDFILE)
def test_what_libsndfile_writes(tmp_path, kind, subtype, channels):
    y = signal(channels)
    path = tmp_path / f"x.{kind.lower()}"
    soundfile.write(path, y, RATE, format=kind, subtype=subtype)
    assert_same(path, y)


@pytest.mark.parametrize("channels", [1, 2, 6])
@pytest.mark.parametrize(("ending", "codec"), FFMPEG)
def test_what_ffmpeg_writes(tmp_path, ending, codec, channels):
    rate = 48000 if codec in ("libopus",) else RATE
    if channels == 6 and codec in ("wmav2", "libmp3lame", "mp2", "tta"):
        channels = 1
    y = signal(channels, rate=rate)
    path = tmp_path / f"x.{ending}"
    try:
        write_av(path, y, codec, rate)
    except (av.error.FFmpegError, ValueError, av.codec.codec.UnknownCodecError) as error:
        pytest.skip(f"this FFmpeg does not encode {codec}: {error}")
    assert_same(path, y, rate)


@pytest.mark.parametrize("size", [0, 0x7FFFF000, 0x7FFFFFFF, 0xFFFFFFFF, 0xFFFFF000])
def test_wav_whose_writer_did_not_know_its_length(tmp_path, size, recwarn):
    y, path = signal(2), tmp_path / "x.wav"
    write(path, y, lambda data: put(data, data.index(b"data") + 4, struct.pack("<I", size)))
    assert_same(path, y, slack=0)
    assert not recwarn.list


@pytest.mark.parametrize("lost", [1, 2, 3, 4, 4000, 40001])
def test_a_cut_wav_is_used_as_far_as_it_goes(tmp_path, lost):
    y, path = signal(2), tmp_path / "x.wav"
    write(path, y, lambda data: data[:-lost])
    with pytest.warns(audio.Damaged, match="cut off: it promises more audio"):
        found = audio.load_audio(path, RATE)
    expected = y.mean(axis=1)[: len(y) - -(-lost // 4)]
    assert abs(len(found) - len(expected)) <= 1
    np.testing.assert_allclose(found[:1000], (expected / np.abs(expected).max())[:1000], atol=1e-3)


@pytest.mark.parametrize("kind", ["FLAC", "OGG", "MP3", "AIFF"])
def test_others_that_are_cut(tmp_path, kind):
    y, path = signal(2, seconds=6), tmp_path / f"x.{kind.lower()}"
    write(path, y, lambda data: data[: len(data) // 2])
    with audio.notes() as notes:
        found = audio.load_audio(path, RATE)
    assert "cut off" in notes[0]
    assert 0.3 * len(y) < len(found) < 0.7 * len(y)
    expected = mono(y)[: len(found)]
    assert np.corrcoef(found[: len(expected)], expected)[0, 1] > 0.9


def test_flac_of_unknown_length(tmp_path):
    y, path = signal(2), tmp_path / "x.flac"
    # The number of samples, of which byte 21 has the upper bits.
    write(path, y, lambda data: put(data, 21, bytes([data[21] & 0xF0, 0, 0, 0, 0])))
    assert_same(path, y, slack=0)


def test_mp3_without_the_frame_that_counts_the_others(tmp_path):
    y, path = signal(1, seconds=8), tmp_path / "x.mp3"
    y[: 4 * RATE] *= 1e-3  # few bits at first: who extrapolates from them is wrong

    def from_second_frame(data):
        return data[data.index(b"\xff\xfb", re.search(b"Xing|Info", data).start()) :]

    write(path, y, from_second_frame, bitrate_mode="VARIABLE")
    assert abs(len(audio.load_audio(path, RATE)) - len(y)) < 3 * 1152


def test_mp3_within_wav(tmp_path):
    y, mp3, path = signal(1), tmp_path / "x.mp3", tmp_path / "x.wav"
    soundfile.write(mp3, y, RATE)
    data = mp3.read_bytes()
    fmt = struct.pack("<HHIIHHHHIHHH", 0x55, 1, RATE, 16000, 1, 0, 12, 1, 2, 1152, 1, 1393)
    body = b"WAVEfmt " + struct.pack("<I", len(fmt)) + fmt
    body += b"data" + struct.pack("<I", len(data)) + data
    path.write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)
    assert_same(path, y)


@pytest.mark.parametrize(("kind", "ending"), [("FLAC", "wav"), ("OGG", "mp3"), ("WAV", "m4a")])
def test_endings_are_not_believed(tmp_path, kind, ending):
    y, path = signal(2), tmp_path / f"x.{ending}"
    soundfile.write(path, y, RATE, format=kind)
    assert_same(path, y)


def test_a_damaged_packet_takes_no_others_with_it(tmp_path):
    y, path = signal(1, seconds=4), tmp_path / "x.mp3"
    write(path, y, lambda data: put(data, len(data) // 2, bytes(300)))
    with audio.notes():
        assert len(audio.load_audio(path, RATE)) > 0.9 * len(y)


def add_picture(container):
    """Add a film of one still to a file."""
    picture = container.add_stream("mpeg4", rate=25, width=64, height=64, pix_fmt="yuv420p")
    still = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8))
    container.mux([*picture.encode(still), *picture.encode(None)])


def test_films_with_and_without_sound(tmp_path):
    y, path = signal(1), tmp_path / "x.mkv"
    with av.open(str(path), "w") as container:
        sound = container.add_stream("pcm_s16le", rate=RATE, layout="mono")
        add_picture(container)
        frame = av.AudioFrame.from_ndarray((y.T * 32767).astype(np.int16), "s16", "mono")
        frame.sample_rate = RATE
        container.mux([*sound.encode(frame), *sound.encode(None)])
    assert_same(path, y)
    with av.open(str(tmp_path / "x.mp4"), "w") as container:
        add_picture(container)
    refuses("no audio stream", audio.load_audio, tmp_path / "x.mp4")


@pytest.mark.parametrize("ending", ["wav", "mp3", "ffconcat", "raw"])
def test_what_is_no_audio_opens_nothing_else(tmp_path, ending):
    soundfile.write(tmp_path / "other.wav", signal(), RATE)
    path = tmp_path / f"x.{ending}"
    for content in (
        b"ffconcat version 1.0\nfile other.wav\n",
        b"#EXTM3U\nother.wav\n",
        bytes(range(256)) * 400,
        b"RIFF\x00\x00\x00\x00WAVE",
    ):
        path.write_bytes(content)
        with pytest.raises(InputError, match="not readable as audio") as error:
            audio.load_audio(path)
        assert "\n" not in str(error.value)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_does_not_hang(tmp_path):
    path, said = tmp_path / "pipe.wav", []
    os.mkfifo(path)

    def read():
        with pytest.raises(InputError) as error:
            audio.load_audio(path)
        said.append(str(error.value))

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    thread.join(10)
    assert said and said[0].startswith("no regular file")


@pytest.mark.parametrize("kind", ["WAV", "FLAC"])
def test_opposite_phase_is_named(tmp_path, kind):
    y = signal()
    soundfile.write(tmp_path / "x.wav", np.hstack([y, -y]), RATE, format=kind)
    refuses("opposite phase", audio.load_audio, tmp_path / "x.wav")
    soundfile.write(tmp_path / "x.wav", 1e-4 * np.hstack([y, y]), RATE, format=kind)
    audio.load_audio(tmp_path / "x.wav")  # soft is not silent


def test_tags_that_are_no_text(tmp_path):
    y = signal()
    with soundfile.SoundFile(tmp_path / "x.flac", "w", RATE, 1) as file:
        file.title = "NAMED"
        file.write(y)
    content = (tmp_path / "x.flac").read_bytes()
    assert content.count(b"NAMED") == 1
    (tmp_path / "x.flac").write_bytes(content.replace(b"NAMED", b"\xff\xfe\xfd\x80x"))
    assert_same(tmp_path / "x.flac", y)


def test_a_stream_whose_channels_change_is_used_until_there(tmp_path):
    y = signal(2)
    for channels in (1, 2):
        soundfile.write(tmp_path / f"{channels}.mp3", y[:, :channels], RATE, format="MP3")
    joined = b"".join((tmp_path / f"{channels}.mp3").read_bytes() for channels in (1, 2))
    (tmp_path / "x.mp3").write_bytes(joined)
    with audio.notes() as notes:
        found = audio.load_audio(tmp_path / "x.mp3", RATE)
    assert "its number of channels changes: used until there" in notes[0]
    assert len(found) == pytest.approx(len(y), abs=2 * FRAME)


@pytest.mark.parametrize("kind", ["WAV", "FLAC"])
def test_what_is_too_long_for_memory_is_named(tmp_path, monkeypatch, kind):
    soundfile.write(tmp_path / "x.wav", signal(), RATE, format=kind)
    monkeypatch.setattr(audio, "MAX_FRAMES", RATE)
    with pytest.raises(InputError, match="too long to be read whole: expected at most 44,100"):
        audio.load_audio(tmp_path / "x.wav")
