#!/usr/bin/env python3
"""Measure quality and speed of the two source separations, on rendered mixtures of known stems.

  OMP_NUM_THREADS=1 python3 benchmarks/separation.py

Renders jazz-like mixtures (a wind solo at 0 dB over piano or guitar, bass and drums), separates
each by our methods and by others, and prints the means of scale-invariant signal-to-distortion
ratios (SI-SDR), their standard errors, and the speeds. The music is composed by rendering/, and so
differs from that on which the parameters were tuned; the drum kit is the same.

Essentia (AGPL) takes part if it is installed. OMP_NUM_THREADS=1 measures speeds on one core.
"""

import importlib.util
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import librosa
import numpy as np
import pandas as pd
from scipy.signal import butter, sosfiltfilt

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # a package there has this file's name

from instrec.common import command  # noqa: E402
from rendering import banks, music, synthesis  # noqa: E402
from rendering.music import Line  # noqa: E402
from separation import harmonic_percussive, melody, solo_accompaniment  # noqa: E402
from separation.melody import STEP  # noqa: E402

RATE = 44100  # Hz
DURATION = 10.0  # seconds per mixture
MASK_WIDTH = 25  # Hz to either side of a partial in the plain masks; the best of 15, 20 ... 60
N_FFT, HOP = 2048, 256  # of the masks for comparison

SOLOS = ("tru", "tb", "as", "ts", "cla", "flu")  # winds, as rendering/music.py plays them
BAND = (-6, 0), (0, 0), (-3, 1)  # dB, of drums, chords and bass

TRACKERS = {"our melody": "salience", "pYIN": "pyin"}
if importlib.util.find_spec("essentia"):
    TRACKERS["Melodia"] = "melodia"


# --- mixtures -------------------------------------------------------------------------------------
def render(font: bytes, line: Line, gesture: music.Gesture | None = None) -> np.ndarray:
    """Render one line as mono audio of `DURATION`, shape (n,)."""
    midi = synthesis.to_midi([line], DURATION, gesture=gesture)
    audio = synthesis.render(midi, font, int(DURATION * RATE)).mean(axis=1)
    # Some samples carry an offset, which no listener would call part of the solo.
    return sosfiltfilt(butter(2, 25, "highpass", fs=RATE, output="sos"), audio)


def true_pitch(notes: list[music.Note], gesture: music.Gesture, stem: np.ndarray) -> np.ndarray:
    """Return the pitch that was played, in Hz; a note lasts until the next or until it fades."""
    times = np.arange(0, DURATION, STEP)
    last = np.searchsorted([n.start for n in notes], times, side="right") - 1
    bend = np.interp(times, gesture.times, gesture.bend)
    played = np.array([n.pitch for n in notes])[last] + bend
    frames = stem.reshape(len(times), -1)
    audible = np.sqrt((frames**2).mean(axis=1)) > 0.01 * np.abs(stem).max()
    return np.where((last >= 0) & audible, 440 * 2 ** ((played - 69) / 12), 0)


def make_mixture(font: bytes, seed: int) -> dict[str, np.ndarray]:
    """Compose and render mixture number `seed`; the wind solo is as loud as all other stems.

    Returns what is to be separated, of shape (n,): 'solo' and 'accompaniment', 'harmonic' and
    'drums'; and 'pitch', that of the solo in Hz every `STEP`, 0 where it is silent.
    """
    rng = np.random.default_rng([seed, 0])
    instrument = music.INSTRUMENTS[SOLOS[seed % len(SOLOS)]]
    song = music.draw_song(rng, DURATION)
    notes = music.lead(rng, song, instrument, expressive=True)
    gesture = music.draw_gesture(rng, notes, DURATION, holds=True)
    solo = render(font, Line(int(rng.choice(instrument.programs)), notes), gesture)
    pitch = true_pitch(notes, gesture, solo)
    band = [render(font, line) for line in music.backing(rng, song, "jazz", True, labels=())]
    for stem, level in zip(band, BAND, strict=True):
        stem *= 10 ** (rng.uniform(*level) / 20) / (stem.std() + 1e-9)
    solo *= sum(band).std() / (solo.std() + 1e-9)
    peak = np.abs(solo + sum(band)).max()
    solo, drums, chords, bass = (stem / peak for stem in (solo, *band))
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
    """Separate by the binary mask of the bins in which the first true stem is louder."""
    power = [np.abs(librosa.stft(stem, n_fft=N_FFT, hop_length=HOP)) for stem in (first, second)]
    return masked(y, lambda _: power[0] > power[1])


def methods(m: dict[str, np.ndarray]) -> Iterator[tuple[str, str, Callable]]:
    """Yield the part to separate, the name of a method, and its function of the audio."""
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
        "alarm": np.mean(found[~voiced] > 0) if not voiced.all() else np.nan,
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
