#!/usr/bin/env python3
"""Picture both source separations on one excerpt, as figures 4.4 and 4.5 of the thesis do.

  python3 plot_separation.py song.wav
  python3 plot_separation.py song.wav --start 30 --seconds 8 --out pictures

Writes separation_<name>.png and .pdf: log-mel spectrograms of the original, of its harmonic and
percussive parts, and of its solo and accompaniment.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from instrec.common import command
from instrec.data import audio, features
from instrec.errors import InputError, about
from instrec.figures import sound, style

SAMPLE_RATE = 44100  # Hz, of the separations in the thesis
PARTS = ("original", "harmonic", "percussive", "solo", "accompaniment")


def excerpt_of(path: Path, start: float, seconds: float) -> np.ndarray:
    """Read an excerpt in mono at 44.1 kHz.

    Parameters
    ----------
    path : Path
        Audio file.
    start, seconds : float
        Start and length in seconds.

    Returns
    -------
    np.ndarray [shape=(n,)]

    Raises
    ------
    InputError
        If the file cannot be used, ends before the excerpt starts, or is silent in it.
    """
    y = audio.load_audio(path, SAMPLE_RATE)
    y = y[int(start * SAMPLE_RATE) : int((start + seconds) * SAMPLE_RATE)]
    if not np.any(y):
        raise InputError(f"nothing sounds from second {start:g} on")
    return y


def separate(y: np.ndarray) -> dict[str, np.ndarray]:
    """Separate audio in both ways; all parts have the shape of `y`.

    Parameters
    ----------
    y : np.ndarray [shape=(n,)]
        Mono audio at 44.1 kHz.

    Returns
    -------
    dict of np.ndarray [shape=(n,)]
        By name of the part.
    """
    import separation  # deferred: `--help` needs no scipy

    by_kind = separation.harmonic_percussive(y, SAMPLE_RATE)
    by_melody = separation.solo_accompaniment(y, SAMPLE_RATE)
    return dict(zip(PARTS, (y, *by_kind, *by_melody), strict=True))


def main(argv: Sequence[str] | None = None) -> None:
    """Separate and draw what the command line names.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments of the command line; those of this process by default.
    """
    parser = command.plain_parser(__doc__)
    parser.add_argument("file", type=Path, metavar="FILE", help="audio file")
    parser.add_argument("--start", type=float, default=0, help="seconds into the file (0)")
    parser.add_argument("--seconds", type=float, default=6, help="length of the excerpt (6)")
    parser.add_argument("--out", type=Path, default=Path(), metavar="DIR", help="folder (here)")
    arguments = parser.parse_args(argv)
    if arguments.start < 0 or arguments.seconds <= 0:
        raise InputError("expected --start of 0 or more and --seconds above 0")
    import librosa  # deferred: `--help` need not wait for it

    with about(arguments.file):
        y = excerpt_of(arguments.file, arguments.start, arguments.seconds)
    spectrograms = {
        name: features.log_mel(librosa.resample(separated, orig_sr=SAMPLE_RATE, target_sr=22050))
        for name, separated in separate(y).items()
    }
    figure = sound.spectrograms(spectrograms, f"Separation of {arguments.file.name}")
    style.save(figure, arguments.out / f"separation_{arguments.file.stem}")


if __name__ == "__main__":
    command.run(main)
