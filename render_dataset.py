"""Render a stand-in for a data set: General MIDI music in the data set's exact layout on disk.

    python3 render_dataset.py -d 1               # IRMAS: 880 training and 120 test clips
    python3 render_dataset.py -d 2 --train 20    # Monotimbral: 20 files a label

    python3 render_dataset.py -d 10 --soundfont a.sf2 b.sf2    # Rendered: several SoundFonts

Every later step then runs without the real recordings. Scores on rendered audio say that the code
works; they say nothing about recordings. Data sets that are separated from others are not rendered:
render the source, then separate it.

The same arguments give the same files, however many processes work. A run that was stopped goes on
where it was. A folder that holds anything else, or was made with other arguments, is not touched.

The audio is made by a SoundFont, by default TimGM6mb.sf2 of the package pretty_midi. That SoundFont
is under the GNU GPL, version 2: the licence of the SoundFont, not of this file. The rendered audio
is for trying the code; read your SoundFont's licence before you pass audio on.

The data set Rendered is to train on for recordings: several SoundFonts take turns, long notes and
short, detuned and with vibrato, often without accompaniment, and most voices are synthesised, for
SoundFonts have none that sing.
"""

# Conventions: times are seconds, pitches MIDI numbers (60 is middle C), programs General MIDI
# counted from 0, levels dB, audio an array (frames, 2) at 44.1 kHz.

import argparse
import hashlib
import io
import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

import numpy as np

import settings
from instrec.common import command, storage
from instrec.common.parallel import ordered_map
from instrec.data import features, tensors
from instrec.errors import InputError
from rendering import voice as singing

VERSION = 1  # of the music: raise it when the same arguments give other audio
EXPRESSIVE_VERSION = 2  # of what is played with expression, likewise
RATE = 44100  # Hz
WAV_HEADER = 44  # bytes
CLIP_SECONDS = 3.0  # of an IRMAS training clip
CLIPS_PER_RECORDING = 2  # cuts of one IRMAS training recording
LABELS_A_TEST_CLIP = (0.43, 0.45, 0.12)  # shares of one, two and three labels, as in IRMAS
LEAD_IN = 1.0  # s, rendered and cut off, so that clips begin in mid-music
PEAK = 0.95  # no sample is above
LOUDNESS = (-26, -14)  # dB, range of a recording's level
BACKING = (-22, -10)  # dB, range of the accompaniment's level against the lead's
MIN_LEAD = -15  # dB: how far a lead, rests and all, may fall in a clip below its level as it plays
GESTURE_STEP = 0.02  # s between two positions of a gesture
ALONE = 0.5  # share of expressive recordings without accompaniment
SUNG = 0.75  # share of expressive voices that are synthesised instead of a SoundFont's
ELECTRIC_ORGANS = (16, 18)  # drawbar, rock: they swell and tremble; pipes can't
MIN_RMS = 1e-4  # of a lead as it is rendered: below, the SoundFont lacks the program


# --- what plays -----------------------------------------------------------------------------------
class Instrument(NamedTuple):
    """What a label means: General MIDI programs, range of pitches, whether it plays chords."""

    programs: tuple[int, ...]
    low: int
    high: int
    polyphonic: bool = False


INSTRUMENTS = {  # a label that is new in settings.py needs a row here
    "acg": Instrument((24, 25), 40, 76, True),  # acoustic guitar
    "as": Instrument((65,), 49, 80),  # alto saxophone
    "cel": Instrument((42,), 36, 72),
    "cl": Instrument((71,), 50, 86),
    "cla": Instrument((71,), 50, 86),
    "dob": Instrument((32, 43), 28, 55),  # double bass, plucked and bowed
    "egc": Instrument((26, 27, 28), 40, 80, True),  # electric guitar, clean
    "egd": Instrument((29, 30), 40, 80, True),  # electric guitar, distorted
    "epi": Instrument((4, 5), 36, 84, True),  # electric piano
    "flu": Instrument((73, 74, 75), 60, 91),  # flute, recorder, pan flute
    "gac": Instrument((24, 25), 40, 76, True),
    "gel": Instrument((27, 29, 30), 40, 80, True),  # clean, overdriven, distorted
    "hor": Instrument((60,), 41, 72),  # French horn
    "org": Instrument((16, 18, 19), 36, 84, True),  # drawbar, rock, church
    "pia": Instrument((0, 1, 2), 36, 88, True),
    "sax": Instrument((64, 65, 66, 67), 46, 80),
    "ss": Instrument((64,), 56, 87),  # soprano saxophone
    "svf": Instrument((52, 53, 54, 85), 60, 81),  # singing voice, female
    "svm": Instrument((52, 53, 54, 85), 41, 62),  # singing voice, male
    "syn": Instrument((62, 80, 81, 84, 86, 87, 88, 90), 40, 88, True),
    "tb": Instrument((57,), 40, 70),  # trombone
    "tp": Instrument((56, 59), 54, 82),
    "tru": Instrument((56, 59), 54, 82),  # open and muted
    "ts": Instrument((66,), 44, 75),  # tenor saxophone
    "vio": Instrument((40, 110), 55, 93),  # violin, fiddle
    "voi": Instrument((52, 53, 85), 45, 79),
}
# Accompaniment and whether it has drums, by folder; in all others they are drawn.
STYLES = {"youtube": ("alone", False), "jazz_db": ("jazz", True)}
EXPRESSIVE = "rendered"  # the folder of the data set whose music is played with expression
# Nothing that IRMAS has a label for accompanies pop, so that the labels of a clip are complete.
CHORD_PROGRAMS = {"pop": (4, 11, 12, 46, 50, 62, 89, 108), "jazz": (0, 1, 26)}
BASS_PROGRAMS = {"pop": (32, 33, 34, 35, 36, 38), "jazz": (32,)}
DRUM_BEATS = {  # style: {pitch: beats of a bar}
    "pop": {36: (0, 2, 2.5), 38: (1, 3), 42: (0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5)},
    "jazz": {51: (0, 1, 1.67, 2, 3, 3.67), 44: (1, 3), 36: (0,)},
}
SCALES = (  # major, minor, Dorian, Mixolydian, harmonic minor
    *((0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10), (0, 2, 3, 5, 7, 9, 10)),
    *((0, 2, 4, 5, 7, 9, 10), (0, 2, 3, 5, 7, 8, 11)),
)
PROGRESSIONS = ((0, 3, 4, 0), (0, 5, 3, 4), (1, 4, 0, 5), (0, 4, 5, 3), (5, 3, 0, 4), (0, 6, 3, 0))
LONG_RHYTHM = (2, 3, 4, 6)  # beats; of expressive melodies of instruments that hold a note
RHYTHMS = ((1, 0.5, 0.5), (2, 1, 1, 0.5), (0.5, 0.25, 0.25, 1), (1.5, 0.5, 1), (0.67, 0.33, 1))
# Names of IRMAS test clips are as odd as these.
TITLES = (
    *("({n:02d}) {a} {b}-{k}", "{n:02d} - {A},  {B}-{k}", " {A} {B} [{n}]-{k}"),
    *("{n:02d}. {A}'s {B}-{k}", "{A} & {B} No.{n}. {B}-{k}", "{a}_{b}.{n}-{k}"),
)
ADJECTIVES = ("blue", "dont", "golden", "late", "quiet", "rising", "second", "tom", "winter")
NOUNS = ("autumn", "ballad", "dance", "fall", "harbour", "nocturne", "road", "samba", "whale")
GENRES = ("cla", "pop_roc", "jaz_blu", "cou_fol", "lat_sou")


# --- compose: random numbers to MIDI --------------------------------------------------------------
class Note(NamedTuple):
    """A note; pitch and velocity as in MIDI."""

    start: float
    end: float
    pitch: int
    velocity: int


class Part(NamedTuple):
    """One instrument's notes; program None is the drum kit."""

    program: int | None
    notes: list[Note]


class Song(NamedTuple):
    """What all parts of one recording share; a bar has four beats and one chord."""

    tonic: int  # pitch class, 0 to 11
    scale: tuple[int, ...]  # seven semitones above the tonic
    progression: tuple[int, ...]  # scale degree, 0 to 6, of each bar's chord
    beat: float
    seconds: float

    def pitches(self, low: int, high: int, chord: int | None = None) -> list[int]:
        """Pitches from `low` to `high` of the scale, or of the triad on a degree of it."""
        degrees = range(7) if chord is None else ((chord + third) % 7 for third in (0, 2, 4))
        classes = {(self.tonic + self.scale[degree]) % 12 for degree in degrees}
        return [pitch for pitch in range(low, high + 1) if pitch % 12 in classes]

    def bars(self) -> Iterator[tuple[float, int]]:
        """Yield start and chord of every bar."""
        for bar in range(int(self.seconds / (4 * self.beat)) + 1):
            yield bar * 4 * self.beat, self.progression[bar % len(self.progression)]


def draw_song(rng: np.random.Generator, seconds: float) -> Song:
    """Draw a key, chords and a tempo of 70 to 170 beats a minute."""
    scale = SCALES[rng.integers(len(SCALES))]
    progression = PROGRESSIONS[rng.integers(len(PROGRESSIONS))]
    return Song(int(rng.integers(12)), scale, progression, 60 / rng.uniform(70, 170), seconds)


def melody(
    rng: np.random.Generator,
    song: Song,
    low: int,
    high: int,
    rhythms: Sequence[Sequence[float]] = RHYTHMS,
    longest: float = 1.5,
) -> list[Note]:
    """Walk at random over the scale, in about an octave and a half of the range.

    Notes last `longest` seconds at most: plucked strings die away.
    """
    scale = song.pitches(low, high)
    width = min(len(scale), int(rng.integers(7, 13)))
    first = int(rng.integers(len(scale) - width + 1))
    rhythm = rhythms[rng.integers(len(rhythms))]
    legato, rests, loudness = rng.uniform(0.75, 1), rng.uniform(0, 0.2), rng.integers(75, 110)
    notes, start, position = [], 0.0, int(rng.integers(width))
    while start < song.seconds:
        length = min(rng.choice(rhythm) * song.beat, longest)
        position = int(np.clip(position + rng.integers(-3, 4), 0, width - 1))
        velocity = int(loudness + rng.integers(-15, 16))
        if rng.random() >= rests:
            notes.append(Note(start, start + length * legato, scale[first + position], velocity))
        start += length
    return notes


def chords(rng: np.random.Generator, song: Song, low: int, high: int) -> list[Note]:
    """Strike each bar's triad one, two or four times, or break it into quavers."""
    strikes = int(rng.choice([1, 2, 4, 8]))  # a bar; 8 is broken
    step, loudness = 4 * song.beat / strikes, rng.integers(70, 105)
    middle = int(rng.integers(low + 6, high - 8))
    notes = []
    for bar, chord in song.bars():
        voicing = song.pitches(middle - 6, middle + 9, chord)
        for strike in range(strikes):
            start, velocity = bar + strike * step, int(loudness + rng.integers(-10, 11))
            struck = voicing if strikes < 8 else [voicing[strike % len(voicing)]]
            notes += [Note(start, start + 0.95 * step, pitch, velocity) for pitch in struck]
    return notes


def lead(
    rng: np.random.Generator, song: Song, instrument: Instrument, *, expressive: bool = False
) -> list[Note]:
    """Compose for a labelled instrument: a melody; if it is polyphonic, also chords, or both."""
    low, high = instrument.low, instrument.high
    if expressive and not instrument.polyphonic:
        return melody(rng, song, low, high, (*RHYTHMS, LONG_RHYTHM, LONG_RHYTHM), longest=5)
    kind = rng.choice(["melody", "chords", "both"]) if instrument.polyphonic else "melody"
    if kind == "both":
        middle = (low + high) // 2
        return chords(rng, song, low, middle) + melody(rng, song, middle, high)
    return melody(rng, song, low, high) if kind == "melody" else chords(rng, song, low, high)


def bass(rng: np.random.Generator, song: Song, style: str) -> list[Note]:
    """Start each bar on the root; in jazz walk on over the chord, else repeat the root."""
    steps = 4 if style == "jazz" else int(rng.choice([1, 2, 4]))  # a bar
    length = 4 * song.beat / steps
    notes = []
    for bar, chord in song.bars():
        root = 28 + (song.tonic + song.scale[chord] - 28) % 12
        tones = song.pitches(root, root + 12, chord) if style == "jazz" else [root]
        for step in range(steps):
            pitch = int(rng.choice(tones)) if step else root
            start, velocity = bar + step * length, int(rng.integers(80, 110))
            notes.append(Note(start, start + 0.9 * length, pitch, velocity))
    return notes


def drums(rng: np.random.Generator, song: Song, style: str) -> list[Note]:
    """Repeat the style's beat; one hit in ten is left out."""
    hits = [
        (bar + beat * song.beat, pitch)
        for bar, _ in song.bars()
        for pitch, beats in DRUM_BEATS[style].items()
        for beat in beats
        if rng.random() > 0.1
    ]
    return [Note(start, start + 0.1, pitch, int(rng.integers(70, 110))) for start, pitch in hits]


def backing(
    rng: np.random.Generator, song: Song, style: str, with_drums: bool, labels: Iterable[str]
) -> list[Part]:
    """Compose chords, bass and drums, on programs that none of the labels has."""
    taken = {program for label in labels for program in INSTRUMENTS[label].programs}
    parts = [Part(None, drums(rng, song, style))] if with_drums else []
    for programs, notes in (
        (CHORD_PROGRAMS[style], chords(rng, song, 48, 76)),
        (BASS_PROGRAMS[style], bass(rng, song, style)),
    ):
        if free := [program for program in programs if program not in taken]:
            parts.append(Part(int(rng.choice(free)), notes))
    return parts


def take_turns(parts: Sequence[Part], slot: float) -> list[Part]:
    """Keep the notes that start in the part's own slots; slots of `slot` seconds go round."""
    return [
        part._replace(notes=[n for n in part.notes if int(n.start / slot) % len(parts) == i])
        for i, part in enumerate(parts)
    ]


class Gesture(NamedTuple):
    """How a player moves pitch and loudness: without it, all notes of a SoundFont are alike."""

    times: np.ndarray  # s
    bend: np.ndarray  # semitones, of two that MIDI reaches
    loudness: np.ndarray  # 0 to 1


def draw_gesture(
    rng: np.random.Generator, notes: Sequence[Note], seconds: float, *, holds: bool
) -> Gesture:
    """Draw tuning and drift, and of instruments that hold notes vibrato, glides and swells.

    Vibrato comes late and grows; a glide reaches a note from below or above; a swell is one a note.
    """
    times = np.arange(0, seconds, GESTURE_STEP)
    bend = rng.normal(0, 0.15) + np.cumsum(rng.normal(0, 0.01, len(times)))
    loudness = np.ones(len(times))
    if not holds:
        return Gesture(times, np.clip(bend, -0.5, 0.5), loudness)
    rate, depth = rng.uniform(4.5, 6.5), max(0, rng.uniform(-0.2, 0.5))
    delay, trembles = rng.uniform(0.05, 0.5), rng.uniform(0, 0.15)
    glide, rise = rng.uniform(0.02, 0.1), rng.uniform(0.02, 0.2)  # s
    for note in notes:
        sounds = (times >= note.start) & (times < note.end)
        since = times[sounds] - note.start
        wave = np.sin(2 * np.pi * rate * since) * np.clip((since - delay) / 0.3, 0, 1)
        bend[sounds] += depth * wave + rng.normal(0, 0.3) * np.exp(-since / glide)
        start, end = rng.uniform(0.3, 1), rng.uniform(0.4, 1)
        length = max(note.end - note.start, rise + 0.01)
        swell = np.interp(since, (0, rise, length), (start, 1, end))
        loudness[sounds] = swell * (1 - trembles * (0.5 + 0.5 * wave))
    return Gesture(times, bend, loudness)


def to_midi(
    parts: Iterable[Part],
    seconds: float,
    reverb: int = 0,
    pan: int = 64,
    gesture: Gesture | None = None,
) -> bytes:
    """Write parts as a MIDI file of `seconds` at least; `reverb` and `pan` are 0 to 127."""
    import pretty_midi

    midi = pretty_midi.PrettyMIDI()
    for part in parts:
        instrument = pretty_midi.Instrument(part.program or 0, is_drum=part.program is None)
        instrument.notes = [
            pretty_midi.Note(n.velocity, n.pitch, n.start, min(n.end, seconds))
            for n in part.notes
            if n.start < seconds - 0.01
        ]
        # Volume, pan, reverb and chorus; the last, expression, is there because rendering ends with
        # the last event.
        changes = ((7, 127, 0), (10, pan, 0), (91, reverb, 0), (93, 0, 0), (11, 127, seconds))
        instrument.control_changes = [pretty_midi.ControlChange(*change) for change in changes]
        if gesture is not None:
            values = np.round(127 * gesture.loudness).astype(int)
            instrument.control_changes += [
                pretty_midi.ControlChange(11, int(value), time)
                for value, time in zip(values, gesture.times, strict=True)
                if time < seconds
            ]
            bends = np.round(8191 * np.clip(gesture.bend / 2, -1, 1)).astype(int)
            instrument.pitch_bends = [
                pretty_midi.PitchBend(int(bend), time)
                for bend, time in zip(bends, gesture.times, strict=True)
            ]
        midi.instruments.append(instrument)
    file = io.BytesIO()
    midi.write(file)
    return file.getvalue()


# --- render and mix: MIDI to audio ----------------------------------------------------------------
def render(midi: bytes, soundfont: bytes, frames: int) -> np.ndarray:
    """Render a MIDI file.

    Parameters
    ----------
    midi, soundfont : bytes
        Contents of a `.mid` and of a `.sf2` file.
    frames : int
        Length at 44.1 kHz; the audio is cut, or filled with zeros.

    Returns
    -------
    np.ndarray, shape (frames, 2)
        Audio, as loud as the SoundFont makes it.
    """
    import midirenderer
    import soundfile
    import soxr

    wave = io.BytesIO(midirenderer.render_wave_from(soundfont, midi))
    audio, rate = soundfile.read(wave, always_2d=True)
    audio = soxr.resample(audio, rate, RATE)[:frames]  # midirenderer's rate is 48 kHz
    return np.pad(audio, ((0, frames - len(audio)), (0, 0)))


def to_db(power: float) -> float:
    """Return a mean square as a level in dB; silence is -inf."""
    return 10 * float(np.log10(power)) if power > 0 else -np.inf


def level(audio: np.ndarray) -> float:
    """Return the level of audio as it plays, rests left out.

    Parameters
    ----------
    audio : np.ndarray, shape (frames, 2)
        50 ms at least.

    Returns
    -------
    float
        RMS in dB over the blocks of 50 ms that are less than 30 dB below the loudest.
    """
    block = RATE // 20
    blocks = audio[: len(audio) // block * block].reshape(-1, 2 * block)
    powers = np.mean(blocks**2, axis=1)  # (blocks,)
    return to_db(powers[powers >= powers.max() / 1000].mean())


def mix(stems: Sequence[np.ndarray], levels: Sequence[float]) -> np.ndarray:
    """Add stems up, each scaled to its own level.

    Parameters
    ----------
    stems : sequence of np.ndarray, shape (frames, 2)
        None of them silent.
    levels : sequence of float
        What `level` shall give of each stem, in dB.

    Returns
    -------
    np.ndarray, shape (frames, 2)
        The sum.
    """
    gains = [10 ** ((want - level(stem)) / 20) for want, stem in zip(levels, stems, strict=True)]
    return sum(gain * stem for gain, stem in zip(gains, stems, strict=True))


def is_heard(stem: np.ndarray, clips: int) -> bool:
    """Whether a stem, cut into `clips` equal clips, plays in each for more than a moment."""
    quietest = min(np.mean(clip**2) for clip in np.split(stem, clips))
    return quietest > MIN_RMS**2 and to_db(quietest) > level(stem) + MIN_LEAD


# --- recordings -----------------------------------------------------------------------------------
@dataclass(frozen=True)
class Recording:
    """One piece of music and the WAV files that it is cut into."""

    labels: tuple[str, ...]  # predominant instruments
    paths: tuple[str, ...]  # of its clips, below the folder of the data set
    frames: int  # of each clip
    style: str  # of the accompaniment: 'alone', 'pop' or 'jazz'
    drums: bool
    key: tuple[int, ...]  # seeds all that is drawn
    texts: bool = False  # whether a .txt of the labels lies beside each clip
    expressive: bool = False  # long notes, vibrato, detuned, sung voices
    turn: int = 0  # counts the recordings, whose SoundFonts take turns


def perform(recording: Recording, soundfont: bytes) -> np.ndarray:
    """Compose, render and mix a recording.

    Parameters
    ----------
    recording : Recording
        What to play.
    soundfont : bytes
        Contents of a `.sf2` file.

    Returns
    -------
    np.ndarray, shape (clips, frames, 2)
        Audio from -0.95 to 0.95; every labelled instrument is heard in every clip.

    Raises
    ------
    InputError
        If an instrument stays silent, as it does when the SoundFont lacks it.
    """
    for attempt in range(8):  # now and then a lead rests through a clip
        rng = np.random.default_rng([*recording.key, attempt])
        leads, others = play(rng, recording, soundfont)
        if all(is_heard(stem, len(recording.paths)) for stem in leads):
            break
    else:
        raise InputError(f"the SoundFont is silent for {' or '.join(recording.labels)}")
    spread = 2 if len(leads) > 1 else 0
    levels = [rng.uniform(-spread, spread) for _ in leads] + [rng.uniform(*BACKING) for _ in others]
    audio = mix(leads + others, levels)
    audio *= min(10 ** ((rng.uniform(*LOUDNESS) - level(audio)) / 20), PEAK / np.abs(audio).max())
    return audio.reshape(len(recording.paths), recording.frames, 2)


def play(
    rng: np.random.Generator, recording: Recording, soundfont: bytes
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Render each lead by itself, and the accompaniment, one stem or none; levels are as they come.

    The stems, arrays (clips * frames, 2), share key, chords, tempo and room.
    """
    skip, frames = round(LEAD_IN * RATE), len(recording.paths) * recording.frames
    song = draw_song(rng, (skip + frames) / RATE)
    reverb = int(rng.integers(70))
    instruments = [INSTRUMENTS[label] for label in recording.labels]
    expressive = recording.expressive
    parts = [
        Part(int(rng.choice(i.programs)), lead(rng, song, i, expressive=expressive))
        for i in instruments
    ]
    if len(parts) > 1 and rng.random() < 0.5:
        parts = take_turns(parts, song.seconds / len(parts) / rng.integers(1, 3))
    stems = [([part], int(rng.integers(34, 95))) for part in parts]
    if recording.style != "alone":
        others = backing(rng, song, recording.style, recording.drums, recording.labels)
        stems += [(others, 64)] if others else []
    audio = []
    for number, (stem, pan) in enumerate(stems):
        leads = expressive and number < len(parts)
        if leads and recording.labels[number] == "voi" and rng.random() < SUNG:
            voice = singing.sing(rng, stem[0].notes, song.seconds, RATE)[:, None]
            audio.append(np.repeat(voice, 2, axis=1)[skip:])
            continue
        gesture = None
        if leads:
            holds = not instruments[number].polyphonic or stem[0].program in ELECTRIC_ORGANS
            gesture = draw_gesture(rng, stem[0].notes, song.seconds, holds=holds)
        midi = to_midi(stem, song.seconds, reverb, pan, gesture)
        audio.append(render(midi, soundfont, skip + frames)[skip:])
    return audio[: len(parts)], audio[len(parts) :]


# --- plan: the recordings of a data set, without any audio ----------------------------------------
def draw_style(rng: np.random.Generator) -> tuple[str, bool]:
    """Draw the accompaniment, and whether it has drums: one recording in two has them."""
    with_drums = bool(rng.random() < 0.5)
    return "pop" if with_drums or rng.random() < 0.7 else "alone", with_drums


def plan_irmas_train(labels: Sequence[str], count: int, seed: int) -> list[Recording]:
    """Plan `count` clips of 3 s a label; names share a number if their recording is the same."""
    plan = []
    for label in labels:
        for first in range(0, count, CLIPS_PER_RECORDING):
            key = (seed, crc32(f"irmas/train/{label}".encode()), first)
            rng = np.random.default_rng(key)
            style, with_drums = draw_style(rng)
            number, mark = len(plan) + 1, "[dru]" if with_drums else rng.choice(["", "[nod]"])
            prefix = f"{number % 1000:03d}__" if mark and rng.random() < 0.5 else ""
            name = f"{prefix}[{label}]{mark}[{rng.choice(GENRES)}]{number:04d}__"
            clips = range(1, 1 + min(CLIPS_PER_RECORDING, count - first))
            paths = tuple(f"IRMAS-TrainingData/{label}/{name}{clip}.wav" for clip in clips)
            frames = round(CLIP_SECONDS * RATE)
            plan.append(Recording((label,), paths, frames, style, with_drums, key))
    return plan


def plan_irmas_test(
    labels: Sequence[str], count: int, seed: int, seconds: tuple[float, float]
) -> list[Recording]:
    """Plan `count` clips of one to three labels; all labels come equally often, or nearly."""
    plan, counts = [], Counter()
    for index in range(count):
        key = (seed, crc32(b"irmas/test"), index)
        rng = np.random.default_rng(key)
        rarest_first = sorted(rng.permutation(labels).tolist(), key=lambda label: counts[label])
        chosen = tuple(sorted(rarest_first[: rng.choice([1, 2, 3], p=LABELS_A_TEST_CLIP)]))
        counts.update(chosen)
        a, b, k = rng.choice(ADJECTIVES), rng.choice(NOUNS), rng.integers(1, 21)
        words = {"n": index + 1, "k": k, "a": a, "b": b, "A": a.title(), "B": b.title()}
        part = f"Part{3 * index // count + 1}"
        title = TITLES[index % len(TITLES)].format(**words)
        path = f"IRMAS-TestingData-{part}/{part}/{title}.wav"
        frames = round(rng.uniform(*seconds) * RATE)
        plan.append(Recording(chosen, (path,), frames, *draw_style(rng), key, texts=True))
    return plan


def plan_folders(
    folder: str, labels: Sequence[str], count: int, seed: int, seconds: tuple[float, float]
) -> list[Recording]:
    """Plan `count` files a label, of one predominant instrument each."""
    plan = []
    for label in labels:
        for index in range(count):
            key = (seed, crc32(f"{folder}/{label}".encode()), index)
            rng = np.random.default_rng(key)
            path = f"{label}/{label}_{index + 1:03d}.wav"
            frames = round(rng.uniform(*seconds) * RATE)
            style = STYLES.get(folder) or draw_style(rng)
            plan.append(Recording((label,), (path,), frames, *style, key))
    return plan


def make_expressive(plan: Sequence[Recording]) -> list[Recording]:
    """Let recordings be played with expression, more of them alone, by all SoundFonts in turn."""
    expressive = []
    for turn, recording in enumerate(plan):
        # A stream of its own: the key's first number is the one that the drums were drawn with.
        alone = np.random.default_rng([*recording.key, crc32(b"alone")]).random() < ALONE
        style, with_drums = ("alone", False) if alone else ("pop", recording.drums)
        expressive.append(
            replace(recording, expressive=True, turn=turn, style=style, drums=with_drums)
        )
    return expressive


def folder_labels(data_set: settings.DataSet) -> list[str]:
    """Return the labels of all data sets in the folder: IRMAS Wind is a part of IRMAS.

    Raises
    ------
    InputError
        If the data set cannot be rendered.
    """
    given = {id_: other for id_, other in settings.DATA_SETS.items() if other.source is None}
    if data_set.source is not None:
        ids = [id_ for id_, other in given.items() if data_set.source in other.folders]
        id_ = min(ids, key=lambda id_: given[id_].name != data_set.source, default="?")
        raise InputError(
            f"{data_set.title} is separated from '{data_set.source}': "
            f"render that (-d {id_}), then separate it"
        )
    if len(data_set.folders) != 1:
        raise InputError(f"expected a data set of one folder, found {data_set.folders}")
    sharing = [other.labels for other in given.values() if other.folders == data_set.folders]
    labels = sorted({label for others in sharing for label in others})
    if unknown := ", ".join(label for label in labels if label not in INSTRUMENTS):
        raise InputError(f"unknown labels {unknown}: add rows to INSTRUMENTS in render_dataset.py")
    return labels


# --- disk -----------------------------------------------------------------------------------------
def is_saved(recording: Recording, folder: Path) -> bool:
    """Whether all files of a recording are there, with all their frames of 16 bit stereo."""
    waves = [folder / path for path in recording.paths]
    return all(
        wave.is_file()
        and wave.stat().st_size == WAV_HEADER + 4 * recording.frames
        and (wave.with_suffix(".txt").is_file() or not recording.texts)
        for wave in waves
    )


@cache
def read_soundfont(path: Path) -> bytes:
    """Read a SoundFont, once a process."""
    content = path.read_bytes()
    if content[:4] != b"RIFF" or content[8:12] != b"sfbk":
        raise InputError(f"{path} is not a SoundFont: expected an .sf2 file")
    return content


def save(recording: Recording, folder: Path, soundfonts: Sequence[Path]) -> int:
    """Perform a recording, write its files and return the number of its clips."""
    import soundfile

    clips = perform(recording, read_soundfont(soundfonts[recording.turn % len(soundfonts)]))
    for path, audio in zip((folder / p for p in recording.paths), clips, strict=True):
        if recording.texts:
            with storage.whole(path.with_suffix(".txt")) as partial:
                partial.write_text("".join(f"{label}\t\n" for label in recording.labels))
        with storage.whole(path) as partial, features.writing(partial):
            soundfile.write(partial, audio, RATE, subtype="PCM_16")
    return len(clips)


def save_all(
    plan: Sequence[Recording], folder: Path, soundfonts: Sequence[Path], processes: int
) -> None:
    """Save recordings in several processes, with a progress bar."""
    folder, soundfonts = folder.absolute(), [path.absolute() for path in soundfonts]
    tasks = [(recording, folder, soundfonts) for recording in plan]
    bar = command.progress(total=sum(len(r.paths) for r in plan), unit="clip", desc="rendering")
    with bar:
        for done in ordered_map(save, tasks, workers=min(processes, max(1, len(plan)))):
            bar.update(done)


# --- the script -----------------------------------------------------------------------------------
def default_soundfont() -> Path:
    """Find the SoundFont that pretty_midi carries, without importing it."""
    package = find_spec("pretty_midi")
    if package is None:
        raise InputError(
            "pretty_midi, which carries a SoundFont, is missing: pip install pretty_midi"
        )
    return Path(package.origin).with_name("TimGM6mb.sf2")


def new_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = command.new_parser(__doc__)
    add = partial(parser.add_argument, metavar="N")
    add("--train", type=int, help="IRMAS: training clips a label (80); others: files (10)")
    add("--test", type=int, help="IRMAS: test clips in all (120)")
    length = "IRMAS: length of the test clips (5 20); others: of the files (10 20)"
    add("--seconds", type=float, nargs=2, metavar=("MIN", "MAX"), help=length)
    add(
        "--soundfont",
        type=Path,
        nargs="+",
        metavar="FILE.sf2",
        help="default: TimGM6mb.sf2 of pretty_midi; for Rendered several, which take turns",
    )
    add("--seed", type=int, default=0, metavar="S", help="for other music (0)")
    add("--out", type=Path, default=settings.DATA_PATH, metavar="DIR", help="(%(default)s)")
    add(
        "--processes",
        type=int,
        default=os.cpu_count(),
        help="at work at once, each with all SoundFonts in memory (%(default)s)",
    )
    return parser


def render_data_set(data_set: settings.DataSet, arguments: argparse.Namespace) -> None:
    """Render the audio of a data set as the arguments, of `new_parser`, ask for."""
    began = time.perf_counter()
    labels = folder_labels(data_set)
    irmas = data_set.layout == "irmas"
    if arguments.test is not None and not irmas:
        raise InputError(f"{data_set.title} has no test set of its own: leave --test out")
    train, test, shortest, longest = (80, 120, 5.0, 20.0) if irmas else (10, 0, 10.0, 20.0)
    train = train if arguments.train is None else arguments.train
    test = test if arguments.test is None else arguments.test
    shortest, longest = seconds = arguments.seconds or [shortest, longest]
    if not 1 <= shortest <= longest:
        raise InputError(f"expected --seconds with 1 <= MIN <= MAX, found {shortest} {longest}")
    if min(train, test, arguments.seed) < 0:
        raise InputError("expected --train, --test and --seed to be 0 or more")
    command.positive("--processes", arguments.processes)
    if irmas:
        plan = plan_irmas_train(labels, train, arguments.seed)
        plan += plan_irmas_test(labels, test, arguments.seed, seconds)
    else:
        plan = plan_folders(data_set.folders[0], labels, train, arguments.seed, seconds)

    folder = arguments.out / data_set.folders[0]
    soundfonts = arguments.soundfont or [default_soundfont()]
    expressive = data_set.folders[0] == EXPRESSIVE
    if expressive:
        plan = make_expressive(plan)
    elif len(soundfonts) > 1:
        raise InputError(
            f"expected one SoundFont for {data_set.title}, found {len(soundfonts)}: several are "
            f"for the data set in {EXPRESSIVE}/"
        )
    digests = [
        f"{path.name} {hashlib.sha256(read_soundfont(path)).hexdigest()[:16]}"
        for path in soundfonts
    ]
    made_of = {"train": train, "test": test, "seconds": seconds, "seed": arguments.seed}
    made_of |= {"soundfont": ", ".join(digests), "labels": labels, "version": VERSION}
    if expressive:
        made_of["expressive_version"] = EXPRESSIVE_VERSION
    with storage.lock(folder, "rendered audio"):
        remedy = "delete the folder, or choose another place with --out"
        storage.claim(folder / tensors.RENDERED_NOTE, made_of, remedy)
        clips = sum(len(recording.paths) for recording in plan)
        frames = sum(len(recording.paths) * recording.frames for recording in plan)
        print(f"{data_set.title}: {clips} clips, {4e-6 * frames:.0f} MB, to {folder}")
        missing = [recording for recording in plan if not is_saved(recording, folder)]
        if kept := clips - sum(len(recording.paths) for recording in missing):
            print(f"kept {kept} clips that are there already")
        save_all(missing, folder, soundfonts, arguments.processes)

    counts = Counter((label, r.texts) for r in plan for label in r.labels for _ in r.paths)
    columns = {"train": False, "test": True} if irmas else {"files": False}
    rows = [(label, *(counts[label, texts] for texts in columns.values())) for label in labels]
    command.print_table(("label", *columns), rows)
    print(f"{clips} clips, {time.perf_counter() - began:.0f} s")


def main() -> None:
    """Render what the command line asks for."""
    with command.parsed(new_parser()) as arguments:
        render_data_set(command.select_data_set(), arguments)


if __name__ == "__main__":
    command.run(main)
