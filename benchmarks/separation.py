"""Quality and speed of the two source separations, on rendered mixtures with known stems.

    OMP_NUM_THREADS=1 python3 benchmarks/separation.py

Renders jazz-like mixtures (a wind solo at 0 dB over piano, bass and drums), separates each one with
our methods and with those that they are compared with, and prints a Markdown table of the mean
scale-invariant signal-to-distortion ratios and of the speeds. Seeds and the programs of solo, piano
and bass are others than those that the parameters were tuned on (`make_mixture(..., tuning=True)`);
the drum kit is the same.

Needs `pretty_midi`, which brings a SoundFont, and `midirenderer`. Essentia (AGPL) takes part when
it is installed. OMP_NUM_THREADS=1 is for speeds of one core.
"""

import argparse
import importlib.util
import io
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import librosa
import numpy as np
import pretty_midi
import soundfile as sf
import soxr
from midirenderer import render_wave_from
from scipy.signal import butter, sosfiltfilt

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # this file's name is a package there

from instrec.common import command  # noqa: E402
from separation import harmonic_percussive, melody, solo_accompaniment  # noqa: E402
from separation.melody import STEP  # noqa: E402

SAMPLE_RATE = 44100  # Hz
DURATION = 10.0  # seconds a mixture
BEND_RANGE = 2.0  # semitones at full pitch bend, General MIDI's default
MASK_WIDTH = 25  # Hz to either side of a partial in the plain masks; the best of 15, 20 ... 60

# Programs of General MIDI: (lowest, highest note) of each solo instrument.
SOLO_TEST = {
    56: (55, 84),  # trumpet
    57: (43, 72),  # trombone
    65: (52, 81),  # alto sax
    66: (46, 75),  # tenor sax
    71: (52, 84),  # clarinet
    73: (60, 93),  # flute
}
SOLO_TUNING = {
    59: (55, 82),  # muted trumpet
    60: (43, 74),  # French horn
    64: (57, 86),  # soprano sax
    67: (41, 69),  # baritone sax
    68: (58, 86),  # oboe
    69: (52, 79),  # English horn
    74: (62, 90),  # recorder
}
STEREO = {f.__name__: f for f in (harmonic_percussive, solo_accompaniment)}  # timed in stereo, too
COMPING_TEST, COMPING_TUNING = (0, 2, 4), (1, 3, 5)
BASS_TEST, BASS_TUNING = (32, 33), (34, 35)
CHORDS = ((0, 4, 7, 11), (2, 5, 9, 12), (5, 9, 12, 16), (7, 11, 14, 17), (9, 12, 16, 19))
SCALE = np.array([0, 2, 4, 5, 7, 9, 11])


@dataclass(frozen=True)
class Mixture:
    """Stems of one mixture, each of shape (n,), and what its solo plays.

    Parameters
    ----------
    solo, chords, bass, drums : ndarray, shape (n,)
        The stems; the solo has the energy of the three others together (0 dB).
    pitch : ndarray, shape (m,)
        Fundamental frequency of the solo in Hz every `STEP` seconds, 0 where it is silent.
    program : int
        General MIDI program of the solo.
    """

    solo: np.ndarray
    chords: np.ndarray
    bass: np.ndarray
    drums: np.ndarray
    pitch: np.ndarray
    program: int

    @property
    def accompaniment(self) -> np.ndarray:
        """Everything but the solo."""
        return self.chords + self.bass + self.drums

    @property
    def harmonic(self) -> np.ndarray:
        """Everything but the drums."""
        return self.solo + self.chords + self.bass


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
def render(
    font: bytes, notes: list, program: int, *, drum: bool = False, bend: np.ndarray | None = None
) -> np.ndarray:
    """Render one part as mono audio of `DURATION`, shape (n,)."""
    part = pretty_midi.Instrument(program=program, is_drum=drum)
    part.notes = [n for n in notes if n.start < DURATION]
    if bend is not None:
        values = np.clip(np.round(bend / BEND_RANGE * 8192), -8192, 8191).astype(int)
        part.pitch_bends = [pretty_midi.PitchBend(int(v), i * STEP) for i, v in enumerate(values)]
    midi = pretty_midi.PrettyMIDI(resolution=960)
    midi.instruments.append(part)
    file = io.BytesIO()
    midi.write(file)
    audio, rate = sf.read(
        io.BytesIO(bytes(render_wave_from(font, file.getvalue()))), always_2d=True
    )
    length = int(DURATION * SAMPLE_RATE)
    mono = soxr.resample(audio.mean(axis=1), rate, SAMPLE_RATE)[:length]
    mono = np.pad(mono, (0, length - len(mono)))
    # Some samples carry an offset, which no listener would call a part of the solo.
    return sosfiltfilt(butter(2, 25, "highpass", fs=SAMPLE_RATE, output="sos"), mono)


def true_pitch(notes: list, bend: np.ndarray, stem: np.ndarray) -> np.ndarray:
    """Return the pitch that was played, in Hz; a note lasts until the next or until it fades."""
    times = np.arange(len(bend)) * STEP
    last = np.searchsorted([n.start for n in notes], times, side="right") - 1
    played = np.array([n.pitch for n in notes])[last] + bend
    frames = stem.reshape(len(times), -1)
    audible = np.sqrt((frames**2).mean(axis=1)) > 0.01 * np.abs(stem).max()
    return np.where((last >= 0) & audible, 440 * 2 ** ((played - 69) / 12), 0)


def make_mixture(font: bytes, seed: int, *, tuning: bool = False) -> Mixture:
    """Compose and render mixture number `seed`; the wind solo is as loud as all the others."""
    rng = np.random.default_rng([seed, tuning])
    solos = SOLO_TUNING if tuning else SOLO_TEST
    program = list(solos)[seed % len(solos)]
    comping = rng.choice(COMPING_TUNING if tuning else COMPING_TEST)
    bass_program = rng.choice(BASS_TUNING if tuning else BASS_TEST)
    beat, key = 60 / rng.uniform(80, 200), int(rng.integers(12))
    bars = int(np.ceil(DURATION / (4 * beat)))
    roots = [int((key + SCALE[rng.integers(7)]) % 12) for _ in range(bars)]

    melody = compose_solo(rng, key, beat, solos[program])
    bend = bend_curve(rng, melody)
    stems = {
        "chords": render(font, compose_chords(rng, roots, beat), comping),
        "bass": render(font, compose_bass(rng, roots, beat), bass_program),
        "drums": render(font, compose_drums(rng, bars, beat), 0, drum=True),
    }
    level = {"chords": 0.0, "bass": rng.uniform(-3, 1), "drums": rng.uniform(-6, 0)}  # dB
    for name, stem in stems.items():
        stem *= 10 ** (level[name] / 20) / (stem.std() + 1e-9)
    solo = render(font, melody, program, bend=bend)
    pitch = true_pitch(melody, bend, solo)
    solo *= sum(stems.values()).std() / (solo.std() + 1e-9)
    peak = np.abs(solo + sum(stems.values())).max()
    stems = {name: stem / peak for name, stem in stems.items()}
    return Mixture(solo=solo / peak, **stems, pitch=pitch, program=program)


# --- scoring --------------------------------------------------------------------------------------
def si_sdr(estimate: np.ndarray, reference: np.ndarray) -> float:
    """Return the scale-invariant signal-to-distortion ratio in dB (Le Roux et al. 2019)."""
    target = reference * (estimate @ reference) / (reference @ reference)
    noise = ((estimate - target) ** 2).sum()
    return float(10 * np.log10(((target**2).sum() + 1e-20) / (noise + 1e-20)))


# --- what is compared -----------------------------------------------------------------------------
def masked(y: np.ndarray, mask: Callable[[np.ndarray], np.ndarray]) -> tuple:
    """Return what a mask, a function of the spectrum (bins, frames), lets pass, and the rest."""
    spectrum = librosa.stft(y, n_fft=2048, hop_length=256)
    part = librosa.istft(
        spectrum * mask(spectrum), n_fft=2048, hop_length=256, length=len(y), dtype=y.dtype
    )
    return part, y - part


def plain_mask(y: np.ndarray, pitch: np.ndarray) -> tuple:
    """Separate by a binary mask around 20 partials of a pitch contour."""

    def mask(spectrum: np.ndarray) -> np.ndarray:
        frame_times = np.arange(spectrum.shape[1]) * 256 / SAMPLE_RATE
        f0 = pitch[np.minimum(np.round(frame_times / STEP).astype(int), len(pitch) - 1)]
        frequency = np.arange(spectrum.shape[0])[:, np.newaxis] * SAMPLE_RATE / 2048
        number = np.clip(np.round(frequency / np.maximum(f0, 1)), 1, 20)
        return (f0 > 0) & (np.abs(frequency - number * f0) < MASK_WIDTH)

    return masked(y, mask)


def ideal_mask(y: np.ndarray, first: np.ndarray, second: np.ndarray) -> tuple:
    """Separate by the binary mask of what is louder in the first of the true stems."""
    power = [np.abs(librosa.stft(stem, n_fft=2048, hop_length=256)) for stem in (first, second)]
    return masked(y, lambda _: power[0] > power[1])


def comparisons(mixture: Mixture) -> dict[tuple[str, str], Callable[[np.ndarray], tuple]]:
    """Return {(kind of separation, method): function of the audio} for one mixture."""
    m = mixture
    pitch = np.append(m.pitch, 0)
    methods = {
        ("solo", "untouched mixture"): lambda y: (y, y),
        ("solo", "librosa.effects.hpss"): librosa.effects.hpss,
        ("solo", "plain mask, pYIN"): lambda y: plain_mask(
            y, melody(y, SAMPLE_RATE, method="pyin")
        ),
        ("solo", "plain mask, our melody"): lambda y: plain_mask(y, melody(y, SAMPLE_RATE)),
        ("solo", "ours"): partial(solo_accompaniment, sr=SAMPLE_RATE),
        ("solo", "plain mask, true pitch"): lambda y: plain_mask(y, pitch),
        ("solo", "ours, true pitch"): partial(solo_accompaniment, sr=SAMPLE_RATE, pitch=pitch),
        ("solo", "ideal binary mask"): lambda y: ideal_mask(y, m.solo, m.accompaniment),
        ("harmonic", "untouched mixture"): lambda y: (y, y),
        ("harmonic", "librosa.effects.hpss"): librosa.effects.hpss,
        ("harmonic", "ours"): partial(harmonic_percussive, sr=SAMPLE_RATE),
        # Every phase is within so wide a tolerance.
        ("harmonic", "ours, no phase test"): partial(
            harmonic_percussive, sr=SAMPLE_RATE, tolerance=1e9
        ),
        ("harmonic", "ideal binary mask"): lambda y: ideal_mask(y, m.harmonic, m.drums),
    }
    if importlib.util.find_spec("essentia"):
        methods["solo", "plain mask, Melodia"] = lambda y: plain_mask(
            y, melody(y, SAMPLE_RATE, method="melodia")
        )
    return methods


def pitch_scores(found: np.ndarray, true: np.ndarray) -> tuple[float, float, float]:
    """Return raw pitch accuracy (50 cents), voicing recall and voicing false alarm."""
    found, voiced = found[: len(true)], true > 0
    cents = 1200 * np.abs(np.log2(np.maximum(found, 1) / np.maximum(true, 1)))
    return (
        np.mean(cents[voiced] < 50),
        np.mean(found[voiced] > 0),
        np.mean(found[~voiced] > 0),
    )


def compare(mixtures: list[Mixture]) -> None:
    """Separate all mixtures by all methods and print the tables."""
    scores, seconds, pitches = defaultdict(list), defaultdict(float), defaultdict(list)
    for m in command.progress(mixtures, unit="mixture", desc="separating"):
        y = (m.solo + m.accompaniment).astype(np.float32)
        stems = {"solo": (m.solo, m.accompaniment), "harmonic": (m.harmonic, m.drums)}
        for (kind, method), separate in comparisons(m).items():
            begin = time.perf_counter()
            parts = separate(y)
            seconds[kind, method] += time.perf_counter() - begin
            scores[kind, method].append(
                [si_sdr(p.astype(float), s) for p, s in zip(parts, stems[kind], strict=True)]
            )
        trackers = {"ours": "salience", "pYIN": "pyin"}
        if importlib.util.find_spec("essentia"):
            trackers["Melodia"] = "melodia"
        for name, method in trackers.items():
            found = melody(y, SAMPLE_RATE, method=method)
            pitches[name].append(pitch_scores(found, m.pitch))
        for name, separate in STEREO.items():
            begin = time.perf_counter()
            separate(np.stack([y, y]), SAMPLE_RATE)
            seconds["stereo", name] += time.perf_counter() - begin

    total = len(mixtures) * DURATION
    for kind, rest in (("solo", "accompaniment"), ("harmonic", "percussive")):
        print(f"\n| method | {kind}, dB | {rest}, dB | times real time |\n|---|---|---|---|")
        rows = {key: np.array(values) for key, values in scores.items() if key[0] == kind}
        for key, values in sorted(rows.items(), key=lambda row: row[1][:, 0].mean()):
            mean, error = values.mean(axis=0), values.std(axis=0) / np.sqrt(len(values))
            cells = [f"{a:.1f} ± {b:.1f}" for a, b in zip(mean, error, strict=True)]
            speed = "" if "mixture" in key[1] else f"{total / seconds[key]:.0f}"
            print(f"| {key[1]} | {' | '.join(cells)} | {speed} |")
    ours, true, ideal = (
        np.mean(scores["solo", method], axis=0)[0]
        for method in ("ours", "ours, true pitch", "ideal binary mask")
    )
    print(
        f"\nBelow the ideal binary mask the solo loses {true - ours:.1f} dB by its pitch and "
        f"{ideal - true:.1f} dB by its mask."
    )
    for name in STEREO:
        print(f"In stereo, {name}: {total / seconds['stereo', name]:.0f} times real time.")
    for name, values in pitches.items():
        accuracy, recall, alarm = np.mean(values, axis=0)
        print(f"Pitch of {name}: accuracy {accuracy:.2f}, recall {recall:.2f}, alarm {alarm:.2f}.")


def main() -> None:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-n", type=int, default=60, help="number of mixtures (default: 60)")
    parser.add_argument(
        "--soundfont",
        type=Path,
        action="append",
        help="a General MIDI SoundFont; with several of them the mixtures take turns",
    )
    parser.add_argument("--tuning", action="store_true", help="use the mixtures for tuning instead")
    arguments = parser.parse_args()
    paths = arguments.soundfont or [Path(pretty_midi.__file__).with_name("TimGM6mb.sf2")]
    fonts = [path.read_bytes() for path in paths]
    mixtures = [
        # One font a round of all solo programs, so that every program meets every font.
        make_mixture(fonts[i // len(SOLO_TEST) % len(fonts)], i, tuning=arguments.tuning)
        for i in range(arguments.n)
    ]
    print(f"{len(mixtures)} mixtures of {DURATION:.0f} s; {', '.join(p.name for p in paths)}")
    compare(mixtures)


if __name__ == "__main__":
    main()
