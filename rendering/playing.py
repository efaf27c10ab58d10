"""How it is played: touch, slurs, and how pitch and loudness move. Without, all notes are alike.

Conventions: times are seconds, pitches MIDI numbers.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from rendering.music import Instrument, Line, Note

GESTURE_STEP = 0.02  # s between two positions of a gesture
LONGEST_SLUR = 3.5  # s; recorded notes end
DETACHED = 0.2  # share of melodies whose notes are shortened
SLURS = 0.6  # share of the other melodies of bows, winds, played voices and electric guitars
ELECTRIC_ORGANS = (16, 18)  # drawbar, rock: they swell and tremble; pipes can't
ELECTRIC_GUITARS = (26, 27, 28, 29, 30)  # in melodies their strings are bent
VIBRATO = {  # share of melodies, if not a little more than half
    (71,): 0.15,  # clarinet
    (56, 59): 0.35,  # trumpet
    (72, 73): 0.7,  # piccolo, flute
    (40, 42, 110): 0.75,  # violin, cello, fiddle
}


class Gesture(NamedTuple):
    """How a player moves pitch and loudness: without it, all notes of a SoundFont are alike."""

    times: np.ndarray  # s
    bend: np.ndarray  # semitones
    loudness: np.ndarray  # 0 to 1


def is_melody(notes: Sequence[Note]) -> bool:
    """Whether notes follow each other, in their order, and none sounds while another does.

    Parameters
    ----------
    notes : sequence of Note

    Returns
    -------
    bool
    """
    return all(note.end <= following.start + 1e-6 for note, following in pairwise(notes))


def touched(rng: np.random.Generator, notes: Sequence[Note], shortest: float) -> list[Note]:
    """Play all notes softer, and shorter, each by a factor of their own.

    Parameters
    ----------
    rng : np.random.Generator
        Makes the random choices.
    notes : sequence of Note
        As written.
    shortest : float
        Least factor of length, up to 1.

    Returns
    -------
    list of Note
    """
    softness, length = rng.uniform(0.4, 1), rng.uniform(shortest, 1)
    return [
        note._replace(
            velocity=max(1, round(softness * note.velocity)),
            end=note.start + length * (note.end - note.start),
        )
        for note in notes
    ]


def gestured(
    rng: np.random.Generator, line: Line, instrument: Instrument, seconds: float
) -> tuple[Line, Gesture]:
    """Draw how a lead is played: the notes that are struck, and how pitch and loudness move.

    Parameters
    ----------
    rng : np.random.Generator
        Makes the random choices.
    line : Line
        As composed.
    instrument : Instrument
        What plays it.
    seconds : float
        Length.

    Returns
    -------
    line : Line
        As it is struck: slurred notes are one.
    gesture : Gesture
    """
    sings, bends = is_melody(line.notes), []
    is_bent = line.program in ELECTRIC_GUITARS and sings
    detached = sings and rng.random() < DETACHED
    notes = touched(rng, line.notes, 0.3 if detached else 1)
    if sings and not detached and (is_bent or not instrument.polyphonic) and rng.random() < SLURS:
        notes, bends = slurred(rng, notes)
    holds = not instrument.polyphonic or line.program in ELECTRIC_ORGANS
    vibrato = [share for programs, share in VIBRATO.items() if line.program in programs]
    gesture = draw_gesture(
        rng,
        notes,
        seconds,
        holds=holds or is_bent,
        swells=holds,
        vibrato=vibrato[0] if vibrato else 5 / 9,
        bends=bends,
    )
    return line._replace(notes=notes), gesture


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
        A melody.

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
    for note in notes:
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
            for start in np.arange(note.start, note.end - period / 2, period):
                bends += [(start, steps), (start + period / 2, steps + above)]
        else:
            bends.append((note.start, steps))
    return joined, bends


def draw_gesture(
    rng: np.random.Generator,
    notes: Sequence[Note],
    seconds: float,
    *,
    holds: bool,
    swells: bool = True,
    vibrato: float = 5 / 9,
    bends: Sequence[tuple[float, int]] = (),
) -> Gesture:
    """Draw tuning and drift and, if pitch moves within notes, vibrato, glides and swells.

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
        Whether pitch moves within notes: otherwise they are only detuned and drift.
    swells : bool
        Whether loudness does.
    vibrato : float
        Chance of it, above 0.
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
    rate, depth = rng.uniform(4.5, 6.5), max(0, rng.uniform(0.5 - 0.5 / vibrato, 0.5))
    delay, trembles = rng.uniform(0.05, 0.5), rng.uniform(0, 0.3) * (depth > 0)
    glide, rise = rng.uniform(0.02, 0.1), rng.uniform(0.02, 0.2)  # s
    # Lowest loudness at a note's ends; 1 is no swell.
    softest = 1 if rng.random() < 0.3 or not swells else 0.3
    for note in notes:
        sounds = (times >= note.start) & (times < note.end)
        since = times[sounds] - note.start
        wave = np.sin(2 * np.pi * rate * since) * np.clip((since - delay) / 0.3, 0, 1)
        bend[sounds] += depth * wave + rng.normal(0, 0.3) * np.exp(-since / glide)
        start, end = rng.uniform(softest, 1, 2)
        length = max(note.end - note.start, rise + 0.01)
        swell = np.interp(since, (0, rise, length), (start, 1, end))
        loudness[sounds] = swell * (1 - swells * trembles * (0.5 + 0.5 * wave))
    struck, before, slide = {note.start for note in notes}, 0, rng.uniform(0.01, 0.04)  # s
    for (start, steps), (end, _) in pairwise([*bends, (seconds, 0)]):
        before = steps if start in struck else before
        sounds = (times >= start) & (times < end)
        bend[sounds] += steps + (before - steps) * np.exp(-(times[sounds] - start) / slide)
        before = steps
    return Gesture(times, bend, loudness)
