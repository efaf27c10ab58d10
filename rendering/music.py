"""What is played: instruments, harmony, melodies, and how a player moves pitch and loudness.

Conventions: times are seconds, pitches MIDI numbers (60 is middle C), programs General MIDI,
counted from 0.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, groupby, pairwise
from typing import NamedTuple

import numpy as np

GESTURE_STEP = 0.02  # s between two positions of a gesture


class Instrument(NamedTuple):
    """What a label means: General MIDI programs, range of pitches, whether it plays chords."""

    programs: tuple[int, ...]
    low: int
    high: int
    polyphonic: bool = False
    more: tuple[int, ...] = ()  # programs of expressive recordings only


INSTRUMENTS = {  # a new label in settings.py needs a row here
    "acg": Instrument((24, 25), 40, 76, True),  # acoustic guitar
    "as": Instrument((65,), 49, 80),  # alto saxophone
    "cel": Instrument((42,), 36, 72),
    "cl": Instrument((71,), 50, 86),
    "cla": Instrument((71,), 50, 86),
    "dob": Instrument((32, 43), 28, 55),  # double bass, plucked and bowed
    "egc": Instrument((26, 27, 28), 40, 80, True),  # electric guitar, clean
    "egd": Instrument((29, 30), 40, 80, True),  # electric guitar, distorted
    "epi": Instrument((4, 5), 36, 84, True),  # electric piano
    "flu": Instrument((73, 74, 75), 60, 91, more=(72, 73)),  # flute, recorder, pan flute; piccolo
    "gac": Instrument((24, 25), 40, 76, True),
    # Clean, overdriven, distorted; jazz, muted.
    "gel": Instrument((27, 29, 30), 40, 80, True, more=(26, 28)),
    "hor": Instrument((16, 17, 18), 36, 84, True),  # Hammond organ: drawbar, percussive, rock
    # Vibraphone, marimba, harp, synthetic strings, pad, kalimba, basses: none has a label.
    "none": Instrument((11, 12, 46, 50, 89, 108, 32, 33, 35, 38), 33, 84, True),
    "org": Instrument((16, 18, 19), 36, 84, True, more=(17, 19)),  # drawbar, rock, church
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
# All that a program can play; expressive recordings go there now and then.
REACH = {
    (0, 1, 2): (21, 108),  # piano
    (16, 17, 18): (36, 96),  # electric organs
    (19,): (28, 100),  # organ with pipes
    (24, 25, 26, 27, 28, 29, 30): (40, 88),  # guitars
    (40, 110): (55, 100),  # violin, fiddle
    (42,): (36, 81),  # cello
    (52, 53, 85): (40, 84),  # voices, from bass to soprano
    (56, 59): (52, 87),  # trumpet, open and muted
    (64,): (56, 89),  # saxophones, from soprano to baritone
    (65,): (49, 85),
    (66,): (44, 80),
    (67,): (36, 72),
    (71,): (50, 94),  # clarinet
    (72,): (74, 105),  # piccolo
    (73,): (59, 98),  # flute
    (74,): (60, 98),  # recorder
    (75,): (60, 96),  # pan flute
}
# Pop is accompanied by nothing that IRMAS labels, so that a clip's labels are complete.
CHORD_PROGRAMS = {
    "pop": (4, 11, 12, 46, 50, 62, 89, 108),
    "jazz": (0, 1, 26),
    "rock": (25, 27, 29, 30),
}
BASS_PROGRAMS = {"pop": (32, 33, 34, 35, 36, 38), "jazz": (32,), "rock": (33, 34, 35)}
DRUM_BEATS = {  # style: {pitch: beats of a bar}
    "pop": {36: (0, 2, 2.5), 38: (1, 3), 42: (0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5)},
    "jazz": {51: (0, 1, 1.67, 2, 3, 3.67), 44: (1, 3), 36: (0,)},
    "rock": {36: (0, 0.5, 2, 2.75), 38: (1, 3), 46: (0, 1, 2, 3), 49: (0,)},
    "metal": {36: tuple(np.arange(0, 4, 0.25)), 38: (1, 3), 46: (0, 1, 2, 3), 49: (0, 2)},
}
CLEAN, MUTED, DISTORTED = 27, 28, (29, 30)  # programs of electric guitars
MUTED_NOTE = 0.08  # s
BOWED = (40, 42)  # programs that also play two strings at a time
KIT = (*range(35, 58), 60, 61, 62, 63, 64, 69, 70)  # pitches of the drum kit and of percussion
SCALES = (  # major, minor, Dorian, Mixolydian, harmonic minor
    *((0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10), (0, 2, 3, 5, 7, 9, 10)),
    *((0, 2, 4, 5, 7, 9, 10), (0, 2, 3, 5, 7, 8, 11)),
)
PROGRESSIONS = ((0, 3, 4, 0), (0, 5, 3, 4), (1, 4, 0, 5), (0, 4, 5, 3), (5, 3, 0, 4), (0, 6, 3, 0))
LONG_RHYTHM = (2, 3, 4, 6)  # beats; for expressive melodies of instruments that hold notes
LONGEST_SLUR = 3.5  # s; recorded notes end
SPARSE_RHYTHM = (4, 6, 8)  # beats; for single notes that die away, or are held
RHYTHMS = ((1, 0.5, 0.5), (2, 1, 1, 0.5), (0.5, 0.25, 0.25, 1), (1.5, 0.5, 1), (0.67, 0.33, 1))


class Note(NamedTuple):
    """A note; pitch and velocity as in MIDI."""

    start: float
    end: float
    pitch: int
    velocity: int


class Line(NamedTuple):
    """One instrument's notes; program None is the drum kit."""

    program: int | None
    notes: list[Note]


class Song(NamedTuple):
    """What all lines of one recording share; a bar has four beats and one chord."""

    tonic: int  # pitch class, 0 to 11
    scale: tuple[int, ...]  # seven semitones above the tonic
    progression: tuple[int, ...]  # scale degree, 0 to 6, of each bar's chord
    beat: float
    seconds: float

    def pitches(self, low: int, high: int, chord: int | None = None) -> list[int]:
        """Return pitches from `low` to `high` in the scale, or in the triad on one of its degrees.

        Parameters
        ----------
        low, high : int
            MIDI pitches.
        chord : int, optional
            Degree of the scale, from 0.

        Returns
        -------
        list of int
        """
        degrees = range(7) if chord is None else ((chord + third) % 7 for third in (0, 2, 4))
        classes = {(self.tonic + self.scale[degree]) % 12 for degree in degrees}
        return [pitch for pitch in range(low, high + 1) if pitch % 12 in classes]

    def root(self, chord: int, low: int) -> int:
        """Return the lowest pitch from `low` on that is the root of a triad.

        Parameters
        ----------
        chord : int
            Degree of the scale, from 0.
        low : int
            MIDI pitch.

        Returns
        -------
        int
        """
        return low + (self.tonic + self.scale[chord] - low) % 12

    def bars(self) -> Iterator[tuple[float, int]]:
        """Yield start and chord of every bar.

        Yields
        ------
        (start, chord) : (float, int)
            Seconds, and degree of the scale.
        """
        for bar in range(int(self.seconds / (4 * self.beat)) + 1):
            yield bar * 4 * self.beat, self.progression[bar % len(self.progression)]


def draw_song(rng: np.random.Generator, seconds: float) -> Song:
    """Draw a key, chords and a tempo of 70 to 170 beats a minute.

    Parameters
    ----------
    rng : np.random.Generator
        Makes the random choices.
    seconds : float
        Length.

    Returns
    -------
    Song
    """
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
    """Compose a random walk over the scale, in about an octave and a half of the range.

    Notes last `longest` seconds at most: plucked strings die away.

    Parameters
    ----------
    rng : np.random.Generator
        Makes the random choices.
    song : Song
        Key, chords, tempo and length.
    low, high : int
        Range, as MIDI pitches.
    rhythms : sequence of sequence of float
        Note lengths in beats; one row is drawn.
    longest : float
        Longest note in seconds.

    Returns
    -------
    list of Note
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
    """Strike each bar's triad one, two or four times, or break it into quavers.

    Parameters
    ----------
    rng : np.random.Generator
        Makes the random choices.
    song : Song
        Key, chords and tempo.
    low : int
        Lowest MIDI pitch.
    high : int
        Highest MIDI pitch.

    Returns
    -------
    list of Note
    """
    strikes = int(rng.choice([1, 2, 4, 8]))  # per bar; 8 is broken
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


def widened(rng: np.random.Generator, instrument: Instrument, program: int) -> Instrument:
    """Widen the range of an instrument, every other time, to all that its program can play.

    A network that never met the highest notes of a clarinet hears a flute.

    Parameters
    ----------
    rng : np.random.Generator
        Makes the random choice.
    instrument : Instrument
        What plays.
    program : int
        Of General MIDI.

    Returns
    -------
    Instrument
    """
    if rng.random() < 0.5:
        for programs, (low, high) in REACH.items():
            if program in programs:
                return instrument._replace(low=low, high=high)
    return instrument


def lead(
    rng: np.random.Generator, song: Song, instrument: Instrument, *, expressive: bool = False
) -> list[Note]:
    """Compose for a labelled instrument: a melody or, if it is polyphonic, chords or both.

    Parameters
    ----------
    rng : np.random.Generator
        Makes the random choices.
    song : Song
        Key, chords, tempo and length.
    instrument : Instrument
        What plays.
    expressive : bool
        Whether instruments that hold notes also play long ones, and others strum, hold the pedal
        and let single notes ring.

    Returns
    -------
    list of Note
    """
    low, high = instrument.low, instrument.high
    if expressive and not instrument.polyphonic:
        rhythms = (*RHYTHMS, LONG_RHYTHM, LONG_RHYTHM, SPARSE_RHYTHM)
        notes = melody(rng, song, low, high, rhythms, longest=5)
        bows = instrument.programs[0] in BOWED and rng.random() < 0.15
        return double_stopped(rng, song, notes, low) if bows else notes
    if expressive:
        if rng.random() < 0.12:
            return melody(rng, song, low, high, (SPARSE_RHYTHM,), longest=8)
        notes = lead(rng, song, instrument)
        notes = strummed(rng, notes) if rng.random() < 0.5 else notes
        return pedalled(song, notes) if rng.random() < 0.4 else notes
    kind = rng.choice(["melody", "chords", "both"]) if instrument.polyphonic else "melody"
    if kind == "both":
        middle = (low + high) // 2
        return chords(rng, song, low, middle) + melody(rng, song, middle, high)
    return melody(rng, song, low, high) if kind == "melody" else chords(rng, song, low, high)


def double_stopped(
    rng: np.random.Generator, song: Song, notes: Iterable[Note], low: int
) -> list[Note]:
    """Add a second string to most notes: a third to a sixth below, in the scale.

    Parameters
    ----------
    rng : np.random.Generator
        Makes the random choices.
    song : Song
        Its key.
    notes : iterable of Note
        Of the upper string.
    low : int
        Lowest MIDI pitch.

    Returns
    -------
    list of Note
    """
    played = []
    for note in notes:
        below = song.pitches(max(low, note.pitch - 9), note.pitch - 3)
        played.append(note)
        if below and rng.random() < 0.8:
            played.append(note._replace(pitch=int(rng.choice(below))))
    return played


def slurred(
    rng: np.random.Generator, notes: Sequence[Note]
) -> tuple[list[Note], list[tuple[float, int]]]:
    """Join notes up to a fourth apart to one that is bent, and let long ones trill now and then.

    Wind players and bows start a slurred note without an attack; a SoundFont never does.

    Parameters
    ----------
    rng : np.random.Generator
        Makes the random choices.
    notes : sequence of Note
        One at a time: chords are left as they are.

    Returns
    -------
    notes : list of Note
        As they are struck.
    bends : list of (float, int)
        From when on, in seconds, and by how many semitones they are bent.
    """
    chance, trills = rng.uniform(0.3, 1), rng.random() < 0.3
    joined: list[Note] = []
    bends = []
    if len({note.start for note in notes}) < len(notes):
        return [*notes], bends
    for note in sorted(notes):
        base = joined[-1] if joined else note
        steps = note.pitch - base.pitch
        near = joined and note.start - base.end < 0.3 and note.end - base.start < LONGEST_SLUR
        if near and abs(steps) <= 5 and rng.random() < chance:
            joined[-1] = base._replace(end=note.end)
        else:
            steps = 0
            joined.append(note)
        period = 1 / rng.uniform(5, 9)  # s
        if trills and note.end - note.start > 2 * period and rng.random() < 0.3:
            above = int(rng.integers(1, 3))
            for start in np.arange(note.start, note.end, period):
                bends += [(start, steps), (start + period / 2, steps + above)]
        else:
            bends.append((note.start, steps))
    return joined, bends


def strummed(rng: np.random.Generator, notes: Iterable[Note]) -> list[Note]:
    """Start the notes of a chord one after another, from the lowest or the highest.

    Parameters
    ----------
    rng : np.random.Generator
        Makes the random choices.
    notes : iterable of Note
        Those that start together are a chord.

    Returns
    -------
    list of Note
    """
    delay, way = rng.uniform(0.005, 0.04), rng.choice([-1, 1])  # s from string to string
    played: list[Note] = []
    for _, chord in groupby(sorted(notes, key=lambda n: n.start), key=lambda n: n.start):
        for string, note in enumerate(sorted(chord, key=lambda n: way * n.pitch)):
            start = min(note.start + string * delay, note.end - 0.01)
            played.append(note._replace(start=start))
    return played


def pedalled(song: Song, notes: Iterable[Note]) -> list[Note]:
    """Let notes sound to the end of their bar, as with a piano's pedal or open strings.

    A note ends where its pitch is struck again.

    Parameters
    ----------
    song : Song
        Its tempo.
    notes : iterable of Note
        As written.

    Returns
    -------
    list of Note
    """
    bar, held, following = 4 * song.beat, [], {}
    for note in sorted(notes, reverse=True):
        end = min((note.start // bar + 1) * bar, following.get(note.pitch, np.inf))
        held.append(note._replace(end=max(end, note.start + 0.01)))
        following[note.pitch] = note.start
    return held[::-1]


def power_chords(rng: np.random.Generator, song: Song) -> list[Note]:
    """Repeat a riff on the low strings: fifths that ring, and between them the muted root.

    Parameters
    ----------
    rng : np.random.Generator
        Makes the random choices.
    song : Song
        Key, chords and tempo.

    Returns
    -------
    list of Note
    """
    steps = int(rng.choice([4, 8, 8, 16]))  # per bar
    step = 4 * song.beat / steps
    struck = np.flatnonzero([True, *(rng.random(steps - 1) < rng.uniform(0.4, 1))])
    lengths = 0.95 * step * np.diff(struck, append=steps)
    rings = rng.random(len(struck)) < rng.uniform(0.3, 1)
    lowest = int(rng.integers(36, 46))
    notes = []
    for bar, chord in song.bars():
        root = song.root(chord, lowest)
        for index, length, ring in zip(struck, lengths, rings, strict=True):
            start, velocity = bar + index * step, int(rng.integers(85, 120))
            pitches, length = (
                ((root, root + 7, root + 12), length) if ring else ((root,), MUTED_NOTE)
            )
            notes += [Note(start, start + length, pitch, velocity) for pitch in pitches]
    return notes


def unamplified(line: Line) -> list[Line]:
    """Give a distorted guitar's notes to a clean one, and its shortest ones to a muted one.

    Parameters
    ----------
    line : Line
        As a distorted guitar plays it.

    Returns
    -------
    list of Line
    """
    played: dict[int, list[Note]] = {CLEAN: [], MUTED: []}
    for note in line.notes:
        is_muted = note.end - note.start < MUTED_NOTE + 0.01
        played[MUTED if is_muted else CLEAN].append(note)
    return [Line(program, notes) for program, notes in played.items() if notes]


def bass(rng: np.random.Generator, song: Song, style: str) -> list[Note]:
    """Start each bar on the root; in jazz walk on over the chord, else repeat the root.

    Parameters
    ----------
    rng : np.random.Generator
        Makes the random choices.
    song : Song
        Key, chords and tempo.
    style : str
        'pop', 'jazz' or 'rock'.

    Returns
    -------
    list of Note
    """
    steps = 4 if style == "jazz" else int(rng.choice([1, 2, 4]))  # per bar
    length = 4 * song.beat / steps
    notes = []
    for bar, chord in song.bars():
        root = song.root(chord, 28)
        tones = song.pitches(root, root + 12, chord) if style == "jazz" else [root]
        for step in range(steps):
            pitch = int(rng.choice(tones)) if step else root
            start, velocity = bar + step * length, int(rng.integers(80, 110))
            notes.append(Note(start, start + 0.9 * length, pitch, velocity))
    return notes


def drums(rng: np.random.Generator, song: Song, style: str) -> list[Note]:
    """Repeat the style's beat; one hit in ten is left out.

    Parameters
    ----------
    rng : np.random.Generator
        Makes the random choices.
    song : Song
        Key, chords and tempo.
    style : str
        'pop', 'jazz' or 'rock'.

    Returns
    -------
    list of Note
    """
    hits = [
        (bar + beat * song.beat, pitch)
        for bar, _ in song.bars()
        for pitch, beats in DRUM_BEATS[style].items()
        for beat in beats
        if rng.random() > 0.1
    ]
    return [Note(start, start + 0.1, pitch, int(rng.integers(70, 110))) for start, pitch in hits]


def percussion(rng: np.random.Generator, song: Song) -> list[Note]:
    """Repeat a random pattern of semiquavers on one to seven drums.

    Parameters
    ----------
    rng : np.random.Generator
        Makes the random choices.
    song : Song
        Tempo and length.

    Returns
    -------
    list of Note
    """
    drawn = rng.choice(KIT, int(rng.integers(1, 8)), replace=False)
    pattern = rng.random((16, len(drawn))) < rng.uniform(0.03, 0.35)
    pattern[0, 0] = True
    return [
        Note(start, start + 0.1, int(pitch), int(rng.integers(60, 120)))
        for bar, _ in song.bars()
        for step, pitches in enumerate(pattern)
        for start in [bar + step * song.beat / 4]
        for pitch in drawn[pitches]
    ]


def backing(
    rng: np.random.Generator, song: Song, style: str, with_drums: bool, labels: Iterable[str]
) -> list[Line]:
    """Compose chords, bass and drums, on programs that none of the labels uses.

    A rock band has all its guitars, whatever the lead is: clips with one are labelled by the lead.

    Parameters
    ----------
    rng : np.random.Generator
        Makes the random choices.
    song : Song
        Key, chords, tempo and length.
    style : str
        'pop', 'jazz' or 'rock'.
    with_drums : bool
        Whether drums play.
    labels : iterable of str
        Of the leads.

    Returns
    -------
    list of Line
        A part for which the labels leave no program is missing.
    """
    rows = [INSTRUMENTS[label] for label in labels if style != "rock"]
    taken = {program for row in rows for program in row.programs + row.more}
    beat = "metal" if style == "rock" and rng.random() < 0.4 else style
    lines = [Line(None, drums(rng, song, beat))] if with_drums else []
    for programs, notes in (
        (CHORD_PROGRAMS[style], chords(rng, song, 48, 76)),
        (BASS_PROGRAMS[style], bass(rng, song, style)),
    ):
        if free := [program for program in programs if program not in taken]:
            program = int(rng.choice(free))
            lines.append(Line(program, power_chords(rng, song) if program in DISTORTED else notes))
    return lines


def programs_played(labels: Iterable[str]) -> list[int]:
    """Return every program that is played, of leads and accompaniment.

    Parameters
    ----------
    labels : iterable of str
        Of the leads.

    Returns
    -------
    list of int
    """
    rows = [INSTRUMENTS[label] for label in labels]
    leads = [programs for row in rows for programs in (row.programs, row.more)]
    return sorted({*chain(*leads, *CHORD_PROGRAMS.values(), *BASS_PROGRAMS.values())})


def take_turns(lines: Sequence[Line], slot: float) -> list[Line]:
    """Keep the notes that start in their line's own slots; lines rotate every `slot` seconds.

    Parameters
    ----------
    lines : sequence of Line
        One per lead.
    slot : float
        Length of a turn in seconds.

    Returns
    -------
    list of Line
    """
    return [
        line._replace(notes=[n for n in line.notes if int(n.start / slot) % len(lines) == i])
        for i, line in enumerate(lines)
    ]


class Gesture(NamedTuple):
    """How a player moves pitch and loudness: without it, all notes of a SoundFont are alike."""

    times: np.ndarray  # s
    bend: np.ndarray  # semitones
    loudness: np.ndarray  # 0 to 1


def draw_gesture(
    rng: np.random.Generator,
    notes: Sequence[Note],
    seconds: float,
    *,
    holds: bool,
    bends: Sequence[tuple[float, int]] = (),
) -> Gesture:
    """Draw tuning and drift and, if the instrument holds notes, vibrato, glides and swells.

    Vibrato comes late and grows; a glide reaches a note from below or above; each note swells once.

    Parameters
    ----------
    rng : np.random.Generator
        Makes the random choices.
    notes : sequence of Note
        What is played.
    seconds : float
        Length.
    holds : bool
        Whether the instrument holds notes: others are only detuned and drift.
    bends : sequence of (float, int)
        Of slurred notes, as `slurred` returns them.

    Returns
    -------
    Gesture
    """
    times = np.arange(0, seconds, GESTURE_STEP)
    bend = rng.normal(0, 0.15) + np.cumsum(rng.normal(0, 0.01, len(times)))
    loudness = np.ones(len(times))
    if not holds:
        return Gesture(times, np.clip(bend, -0.5, 0.5), loudness)
    rate, depth = rng.uniform(4.5, 6.5), max(0, rng.uniform(-0.4, 0.5))
    delay, trembles = rng.uniform(0.05, 0.5), rng.uniform(0, 0.15)
    glide, rise = rng.uniform(0.02, 0.1), rng.uniform(0.02, 0.2)  # s
    softest = 1 if rng.random() < 0.3 else 0.3  # lowest loudness at a note's ends; 1 is no swell
    for note in notes:
        sounds = (times >= note.start) & (times < note.end)
        since = times[sounds] - note.start
        wave = np.sin(2 * np.pi * rate * since) * np.clip((since - delay) / 0.3, 0, 1)
        bend[sounds] += depth * wave + rng.normal(0, 0.3) * np.exp(-since / glide)
        start, end = rng.uniform(softest, 1, 2)
        length = max(note.end - note.start, rise + 0.01)
        swell = np.interp(since, (0, rise, length), (start, 1, end))
        loudness[sounds] = swell * (1 - trembles * (0.5 + 0.5 * wave))
    struck, before, slide = {note.start for note in notes}, 0, rng.uniform(0.01, 0.04)  # s
    for (start, steps), (end, _) in pairwise([*bends, (seconds, 0)]):
        before = steps if start in struck else before
        sounds = (times >= start) & (times < end)
        bend[sounds] += steps + (before - steps) * np.exp(-(times[sounds] - start) / slide)
        before = steps
    return Gesture(times, bend, loudness)
