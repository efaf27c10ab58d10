#!/usr/bin/env python3
"""Measure quality and speed of the two source separations, on rendered mixtures of known stems.

  OMP_NUM_THREADS=1 python3 benchmarks/separation.py

Renders jazz-like mixtures (a wind solo at 0 dB over piano, bass and drums), separates each by our
methods and by others, and prints the means of scale-invariant signal-to-distortion ratios (SI-SDR),
their standard errors, and the speeds. Seeds and the programs of solo, piano and bass are others
than those that the parameters were tuned on; the drum kit is the same.

Essentia (AGPL) takes part when it is installed. OMP_NUM_THREADS=1 is for speeds of one core.
"""

import importlib.util
import io
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import librosa
import numpy as np
import pandas as pd
import pretty_midi
from scipy.signal import butter, sosfiltfilt

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # this file's name is a package there

from instrec.common import command  # noqa: E402
from rendering import banks, synthesis  # noqa: E402
from separation import harmonic_percussive, melody, solo_accompaniment  # noqa: E402
from separation.melody import STEP  # noqa: E402

RATE = 44100  # Hz
DURATION = 10.0  # seconds a mixture
BEND_RANGE = 2.0  # semitones at full pitch bend, General MIDI's default
MASK_WIDTH = 25  # Hz to either side of a partial in the plain masks; the best of 15, 20 ... 60
N_FFT, HOP = 2048, 256  # of the masks that are compared with

SOLOS = {  # programs of General MIDI: (lowest, highest note)
    56: (55, 84),  # trumpet
    57: (43, 72),  # trombone
    65: (52, 81),  # alto sax
    66: (46, 75),  # tenor sax
    71: (52, 84),  # clarinet
    73: (60, 93),  # flute
}
PIANOS, BASSES = (0, 2, 4), (32, 33)
CHORDS = ((0, 4, 7, 11), (2, 5, 9, 12), (5, 9, 12, 16), (7, 11, 14, 17), (9, 12, 16, 19))
SCALE = np.array([0, 2, 4, 5, 7, 9, 11])

TRACKERS = {"our melody": "salience", "pYIN": "pyin"}
if importlib.util.find_spec("essentia"):
    TRACKERS["Melodia"] = "melodia"


# --- composing ------------------------------------------------------------------------------------
def note(pitch: int, start: float, end: float, velocity: int) -> pretty_midi.Note:
    """Return a note; times in seconds."""
    return pretty_midi.Note(velocity=int(velocity), pitch=int(pitch), start=start, end=end)


def compose_solo(
    rng: np.random.Generator, key: int, beat: float, span: tuple[int, int]
) -> list[pretty_midi.Note]:
    """Compose a melody of scale tones and some chromatic ones, with rests and slurs."""
    notes, time = [], rng.uniform(0, beat)
    scale = np.concatenate([SCALE + octave for octave in range(0, 128, 12)]) + key
    scale = scale[(scale >= span[0]) & (scale <= span[1])]
    step = len(scale) // 2
    while time < DURATION - 0.2:
        length = beat * rng.choice([0.25, 0.5, 0.5, 1, 1, 1.5, 2, 3])
        if rng.random() < 0.15:
            time += length
            continue
        step = int(np.clip(step + rng.choice([-4, -2, -1, -1, 1, 1, 2, 4]), 0, len(scale) - 1))
        pitch = scale[step] + (rng.random() < 0.1)
        end = min(time + length * rng.choice([0.6, 0.9, 1.0]), DURATION)
        notes.append(note(pitch, time, end, rng.integers(75, 120)))
        time += length
    return notes


def bend_curve(rng: np.random.Generator, notes: list[pretty_midi.Note]) -> np.ndarray:
    """Return the bend in semitones every `STEP`: scoops, and vibrato on long notes."""
    times = np.arange(0, DURATION, STEP)
    bend = np.zeros_like(times)
    for n in notes:
        inside = (times >= n.start) & (times < n.end)
        since = times[inside] - n.start
        depth, rate = rng.uniform(0, 0.35), rng.uniform(4.5, 6.5)
        onset = np.clip((since - 0.2) / 0.3, 0, 1)
        bend[inside] = depth * onset * np.sin(2 * np.pi * rate * since)
        if rng.random() < 0.25:
            bend[inside] -= rng.uniform(0.3, 1.0) * np.exp(-since / 0.04)
    return bend


def compose_chords(rng: np.random.Generator, roots: list[int], beat: float) -> list:
    """Compose a comping part: one chord of four notes a bar, struck on changing beats."""
    notes = []
    for bar, root in enumerate(roots):
        voicing = [48 + (root + interval) % 24 for interval in CHORDS[rng.integers(len(CHORDS))]]
        for at in sorted(rng.choice(8, size=rng.integers(1, 5), replace=False) / 2):
            start = (4 * bar + at) * beat
            end = start + beat * rng.choice([0.4, 1, 2])
            velocity = rng.integers(60, 100)
            notes += [note(pitch, start, end, velocity) for pitch in voicing]
    return notes


def compose_bass(rng: np.random.Generator, roots: list[int], beat: float) -> list:
    """Compose a walking bass, one note a beat."""
    walk = [root + step for root in roots for step in (0, *rng.choice([3, 4, 5, 7, 9, 10, 12], 3))]
    return [
        note(28 + pitch % 20, i * beat, (i + 0.9) * beat, rng.integers(75, 105))
        for i, pitch in enumerate(walk)
    ]


def compose_drums(rng: np.random.Generator, bars: int, beat: float) -> list:
    """Compose a swing or rock pattern of cymbal, hi-hat, kick and snare, with some fills."""
    ride = rng.choice([51, 42, 46])
    swing = rng.uniform(0.5, 0.67)
    hits = []
    for i in range(4 * bars):
        hits += [(ride, i, 90), (ride, i + swing, 70)]
        hits += [(36, i, 95)] if i % 2 == 0 or rng.random() < 0.15 else [(38, i, 90)]
        if rng.random() < 0.2:
            hits.append((rng.choice([38, 45, 47, 50]), i + 0.5, 85))
    return [
        note(key, at * beat, at * beat + 0.1, velocity + rng.integers(-10, 10))
        for key, at, velocity in hits
    ]


# --- rendering ------------------------------------------------------------------------------------
def render(font: bytes, part: pretty_midi.Instrument, notes: list) -> np.ndarray:
    """Render one part as mono audio of `DURATION`, shape (n,)."""
    part.notes = [n for n in notes if n.start < DURATION]
    midi = pretty_midi.PrettyMIDI(resolution=960)
    midi.instruments.append(part)
    file = io.BytesIO()
    midi.write(file)
    audio = synthesis.render(file.getvalue(), font, int(DURATION * RATE)).mean(axis=1)
    # Some samples carry an offset, which no listener would call a part of the solo.
    return sosfiltfilt(butter(2, 25, "highpass", fs=RATE, output="sos"), audio)


def true_pitch(notes: list, bend: np.ndarray, stem: np.ndarray) -> np.ndarray:
    """Return the pitch that was played, in Hz; a note lasts until the next or until it fades."""
    times = np.arange(len(bend)) * STEP
    last = np.searchsorted([n.start for n in notes], times, side="right") - 1
    played = np.array([n.pitch for n in notes])[last] + bend
    frames = stem.reshape(len(times), -1)
    audible = np.sqrt((frames**2).mean(axis=1)) > 0.01 * np.abs(stem).max()
    return np.where((last >= 0) & audible, 440 * 2 ** ((played - 69) / 12), 0)


def make_mixture(font: bytes, seed: int) -> dict[str, np.ndarray]:
    """Compose and render mixture number `seed`; the wind solo is as loud as all the others.

    Returns the stems, of shape (n,), and what is separated: 'solo' and 'accompaniment', 'harmonic'
    and 'drums'; and 'pitch', that of the solo in Hz every `STEP`, 0 where it is silent.
    """
    rng = np.random.default_rng([seed, 0])
    program = list(SOLOS)[seed % len(SOLOS)]
    piano, bass = rng.choice(PIANOS), rng.choice(BASSES)
    beat, key = 60 / rng.uniform(80, 200), int(rng.integers(12))
    bars = int(np.ceil(DURATION / (4 * beat)))
    roots = [int((key + SCALE[rng.integers(7)]) % 12) for _ in range(bars)]

    notes = compose_solo(rng, key, beat, SOLOS[program])
    bend = bend_curve(rng, notes)
    band = {
        "chords": render(font, pretty_midi.Instrument(piano), compose_chords(rng, roots, beat)),
        "bass": render(font, pretty_midi.Instrument(bass), compose_bass(rng, roots, beat)),
        "drums": render(
            font, pretty_midi.Instrument(0, is_drum=True), compose_drums(rng, bars, beat)
        ),
    }
    level = {"chords": 0.0, "bass": rng.uniform(-3, 1), "drums": rng.uniform(-6, 0)}  # dB
    for name, stem in band.items():
        stem *= 10 ** (level[name] / 20) / (stem.std() + 1e-9)
    part = pretty_midi.Instrument(program)
    values = np.clip(np.round(bend / BEND_RANGE * 8192), -8192, 8191).astype(int)
    part.pitch_bends = [pretty_midi.PitchBend(int(v), i * STEP) for i, v in enumerate(values)]
    solo = render(font, part, notes)
    pitch = true_pitch(notes, bend, solo)
    solo *= sum(band.values()).std() / (solo.std() + 1e-9)
    peak = np.abs(solo + sum(band.values())).max()
    solo, chords, bass, drums = (stem / peak for stem in (solo, *band.values()))
    return {
        "solo": solo,
        "accompaniment": chords + bass + drums,
        "harmonic": solo + chords + bass,
        "drums": drums,
        "pitch": pitch,
    }


# --- what is compared -----------------------------------------------------------------------------
def si_sdr(estimate: np.ndarray, reference: np.ndarray) -> float:
    """Return the scale-invariant signal-to-distortion ratio in dB (Le Roux et al. 2019)."""
    target = reference * (estimate @ reference) / (reference @ reference)
    noise = ((estimate - target) ** 2).sum()
    return float(10 * np.log10(((target**2).sum() + 1e-20) / (noise + 1e-20)))


def masked(y: np.ndarray, mask: Callable[[np.ndarray], np.ndarray]) -> tuple:
    """Return what a mask, a function of the spectrum (bins, frames), lets pass, and the rest."""
    spectrum = librosa.stft(y, n_fft=N_FFT, hop_length=HOP)
    part = librosa.istft(
        spectrum * mask(spectrum), n_fft=N_FFT, hop_length=HOP, length=len(y), dtype=y.dtype
    )
    return part, y - part


def plain_mask(y: np.ndarray, pitch_of: Callable[[np.ndarray], np.ndarray]) -> tuple:
    """Separate by a binary mask around 20 partials of a pitch contour."""
    pitch = pitch_of(y)

    def mask(spectrum: np.ndarray) -> np.ndarray:
        frame_times = np.arange(spectrum.shape[1]) * HOP / RATE
        f0 = pitch[np.minimum(np.round(frame_times / STEP).astype(int), len(pitch) - 1)]
        frequency = np.arange(spectrum.shape[0])[:, np.newaxis] * RATE / N_FFT
        number = np.clip(np.round(frequency / np.maximum(f0, 1)), 1, 20)
        return (f0 > 0) & (np.abs(frequency - number * f0) < MASK_WIDTH)

    return masked(y, mask)


def ideal_mask(y: np.ndarray, first: np.ndarray, second: np.ndarray) -> tuple:
    """Separate by the binary mask of what is louder in the first of the true stems."""
    power = [np.abs(librosa.stft(stem, n_fft=N_FFT, hop_length=HOP)) for stem in (first, second)]
    return masked(y, lambda _: power[0] > power[1])


def methods(m: dict[str, np.ndarray]) -> Iterator[tuple[str, str, Callable]]:
    """Yield what is separated of a mixture, the name of a method, and its function of the audio."""
    pitch = np.append(m["pitch"], 0)
    for kind, rest in (("solo", "accompaniment"), ("harmonic", "drums")):
        yield kind, "untouched mixture", lambda y: (y, y)
        yield kind, "librosa.effects.hpss", librosa.effects.hpss
        stems = {"first": m[kind], "second": m[rest]}
        yield kind, "ideal binary mask", partial(ideal_mask, **stems)
    yield "solo", "ours", partial(solo_accompaniment, sr=RATE)
    yield "solo", "ours, true pitch", partial(solo_accompaniment, sr=RATE, pitch=pitch)
    yield "solo", "plain mask, true pitch", partial(plain_mask, pitch_of=lambda _: pitch)
    for name, method in TRACKERS.items():
        pitch_of = partial(melody, sr=RATE, method=method)
        yield "solo", f"plain mask, {name}", partial(plain_mask, pitch_of=pitch_of)
    yield "harmonic", "ours", partial(harmonic_percussive, sr=RATE)
    # Every phase is within so wide a tolerance.
    no_test = partial(harmonic_percussive, sr=RATE, tolerance=1e9)
    yield "harmonic", "ours, no phase test", no_test


def pitch_scores(found: np.ndarray, true: np.ndarray) -> dict[str, float]:
    """Return raw pitch accuracy (50 cents), voicing recall and voicing false alarm."""
    found, voiced = found[: len(true)], true > 0
    cents = 1200 * np.abs(np.log2(np.maximum(found, 1) / np.maximum(true, 1)))
    return {
        "accuracy": np.mean(cents[voiced] < 50),
        "recall": np.mean(found[voiced] > 0),
        "alarm": np.mean(found[~voiced] > 0),
    }


def main() -> None:
    """Separate all mixtures by all methods, and print the tables."""
    parser = command.plain_parser(__doc__)
    parser.add_argument("-n", type=int, default=60, help="number of mixtures (60)")
    parser.add_argument("--soundfont", type=Path, help="another one than pretty_midi's TimGM6mb")
    arguments = parser.parse_args()
    font = (arguments.soundfont or banks.default_soundfont()).read_bytes()
    rows, pitches = [], []
    for seed in command.progress(range(arguments.n), unit="mixture", desc="separating"):
        m = make_mixture(font, seed)
        y = (m["solo"] + m["accompaniment"]).astype(np.float32)
        for kind, method, separate in methods(m):
            began = time.perf_counter()
            part, rest = separate(y)
            seconds = time.perf_counter() - began
            true_rest = m["accompaniment" if kind == "solo" else "drums"]
            found = si_sdr(part.astype(float), m[kind]), si_sdr(rest.astype(float), true_rest)
            rows.append((kind, method, *found, seconds))
        for name, method in TRACKERS.items():
            found = melody(y, RATE, method=method)
            pitches.append({"pitch": name} | pitch_scores(found, m["pitch"]))
    columns = ["part", "method", "part, dB", "rest, dB", "seconds"]
    found = pd.DataFrame(rows, columns=columns).groupby(columns[:2])
    table = found.mean()
    for column in columns[2:4]:
        table[f"± {column}"] = found[column].sem(ddof=0)
    table["times real time"] = DURATION / table.pop("seconds")
    print(table.sort_values(["part", "part, dB"]).round(1).to_string())
    print(pd.DataFrame(pitches).groupby("pitch").mean().round(2).to_string())


if __name__ == "__main__":
    main()
