#!/usr/bin/env python3
"""Make more sets of sounds to measure a model with, from Debian packages.

  apt-get install fretsonfire-songs-{muldjord,sectoid} asterisk-core-sounds-{en,es,fr,it}-wav
  apt-get install espeak-ng flite
  python3 benchmarks/real_sets.py sets/
  python3 benchmarks/real.py sets/metal_band      # and so on

Writes metal_alone and metal_band: five stretches of six seconds of each of eight songs, the
guitars by themselves and with their band; speech: 24 sentences of each of four languages;
synthesised: sentences of speech synthesisers; noises: noise, tones, sweeps and hums. What lacks its
package is named and left out.
"""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import soundfile

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from instrec.common import command, storage  # noqa: E402
from instrec.data import audio  # noqa: E402
from settings import NOTHING  # noqa: E402

SONGS = Path("/usr/share/games/fretsonfire/data/songs")
PROMPTS = Path("/usr/share/asterisk/sounds")
LANGUAGES = ("en", "es", "fr", "it")
SENTENCES = (
    "The quick brown fox jumps over the lazy dog near the river bank.",
    "Please hold the line while we connect you to the next agent.",
    "In the summer the children used to play outside until dark.",
    "What time does the train to the city leave on Sunday?",
)
SYNTHESISERS = {  # command: voices
    "espeak-ng -v {voice} -w {file} {text}": "en en-us+f3 de fr es it+f2 pt sv nl pl",
    "flite -voice {voice} -o {file} -t {text}": "kal16 awb rms slt",
}
RATE = 44100  # Hz
STRETCH = 6  # s
A_SONG = 5  # stretches
A_LANGUAGE = 24  # sentences
SHORTEST = 2.0  # s of a sentence

Sounds = Iterator[tuple[str, np.ndarray]]


def metal() -> Sounds:
    """Yield stretches of songs in which the guitars never rest, alone and with the band."""
    rng = np.random.default_rng(0)
    for path in sorted(SONGS.glob("*/*/guitar.ogg")):
        both = [audio.load_audio(path.with_name(f"{x}.ogg"), RATE) for x in ("guitar", "song")]
        frames = min(map(len, both)) // RATE * RATE
        guitar, others = (y[:frames] for y in both)
        levels = np.sqrt(np.mean(guitar.reshape(-1, RATE) ** 2, axis=1))  # by second
        starts = range(10, len(levels) - STRETCH - 10, STRETCH)
        played = [s for s in starts if levels[s : s + STRETCH].min() > 0.2 * np.median(levels)]
        for start in sorted(rng.permutation(played)[:A_SONG]):
            name = f"{path.parent.name.replace(' ', '_')}-{start}"
            stretch = slice(start * RATE, (start + STRETCH) * RATE)
            yield f"metal_alone/gel/{name}", guitar[stretch]
            yield f"metal_band/gel/{name}", guitar[stretch] + others[stretch]


def speech() -> Sounds:
    """Yield recorded telephone prompts."""
    rng = np.random.default_rng(0)
    for language in LANGUAGES:
        found = {path.resolve() for path in PROMPTS.glob(f"{language}*/**/*.wav")}
        long = [p for p in sorted(found) if soundfile.info(p).duration >= SHORTEST]
        for path in rng.permutation(long)[:A_LANGUAGE]:
            name = f"speech/{NOTHING}/{language}_{path.stem.replace('-', '_')}"
            yield name, audio.load_audio(path, RATE)


def synthesised() -> Sounds:
    """Yield sentences of speech synthesisers."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "sentence.wav")
        for line, voices in SYNTHESISERS.items():
            options = line.split()  # before names and text, which have blanks, are filled in
            for voice in voices.split() if shutil.which(options[0]) else ():
                for number, text in enumerate(SENTENCES):
                    values = {"voice": voice, "file": file, "text": text}
                    subprocess.run([option.format(**values) for option in options], check=True)
                    name = f"{options[0]}_{voice}_{number}".replace("-", "_")
                    yield f"synthesised/{NOTHING}/{name}", audio.load_audio(file, RATE)


def noises() -> Sounds:
    """Yield noise, tones, sweeps and hums."""
    from scipy import signal

    rng, t = np.random.default_rng(0), np.arange(5 * RATE) / RATE
    white = rng.standard_normal(len(t))

    def filtered(edges: float | tuple[float, float], kind: str) -> np.ndarray:
        return signal.sosfilt(signal.butter(4, edges, kind, fs=RATE, output="sos"), white)

    def tone(frequency: float) -> np.ndarray:
        return np.sin(2 * np.pi * frequency * t)

    found = {"white": white, "rain": white * (1 + 0.3 * tone(0.3)), "low": filtered(500, "lowpass")}
    found["wind"] = found["low"] * (1 + 0.8 * tone(0.2))
    for low, high in ((100, 400), (400, 1600), (1600, 6400), (3000, 10000)):
        found[f"band_{low}"] = filtered((low, high), "bandpass")
    found |= {
        f"tone_{frequency}": tone(frequency) for frequency in (100, 250, 440, 1000, 3000, 8000)
    }
    found |= {f"hum_{f}": sum(tone(k * f) / k for k in range(1, 9)) for f in (50, 60, 120)}
    found["sweep_up"] = signal.chirp(t, 40, 5, 12000, "logarithmic")
    found["sweep_down"] = found["sweep_up"][::-1]
    found["clicks"] = (rng.random(len(t)) < 20 / RATE).astype(float)
    found["square"], found["dial"] = np.sign(tone(300)), tone(770) + tone(1336)
    found["tremolo"] = tone(900) * (1 + tone(30))
    for name, y in found.items():
        yield f"noises/{NOTHING}/{name}", y


def main(argv: Sequence[str] | None = None) -> None:
    """Write the sets into the folder that the command line names.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments of the command line; those of this process by default.
    """
    parser = command.plain_parser(__doc__)
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="where to")
    folder = parser.parse_args(argv).folder
    for make in (metal, speech, synthesised, noises):
        name, sounds = make.__name__, make()
        count = 0
        for place, y in command.progress(sounds, desc=name, unit="sound"):
            with storage.whole(folder / f"{place}.flac") as path:
                soundfile.write(path, 0.9 * y / np.abs(y).max(), RATE)
            count += 1
        print(f"{name}: {count} sounds" if count else f"left out: {name}: its packages are missing")


if __name__ == "__main__":
    command.run(main)
