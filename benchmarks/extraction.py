#!/usr/bin/env python3
"""Measure generate_dataset.py: its rate against the literal recipe, and its memory as data grow.

  python3 render_dataset.py -d 1 && python3 benchmarks/extraction.py

Both recipes turn the same training clips of IRMAS (rendered or real) into log-mel spectrograms, in
turn, on one core, several times; the medians and the ratio in each turn are printed. Then
generate_dataset.py runs on as many clips and on ten times as many (links to the same files), and
the peak memory of the parent and of its largest worker is printed.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
for library in ("OMP", "OPENBLAS", "MKL"):
    os.environ[f"{library}_NUM_THREADS"] = "1"  # before numpy comes: one core for both

import numpy as np  # noqa: E402

import create_encoding  # noqa: E402
import settings  # noqa: E402
from instrec import command, features  # noqa: E402

GROWTH = 10
# Runs a step and prints the peak memory of this process and of its largest child, in MB.
MEASURE = """
import resource, runpy, sys
sys.argv = ["generate_dataset.py", "-d", "1"]
if __name__ == "__main__":
    runpy.run_path("generate_dataset.py", run_name="__main__")
    for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN):
        print("MB", resource.getrusage(who).ru_maxrss / 1024)
"""


def literal(path: Path) -> np.ndarray:
    """Compute a spectrogram as the published script does: librosa alone, nothing kept."""
    import librosa

    y, _ = librosa.load(path, sr=22050)
    y = y / np.max(np.abs(y))
    spectrogram = np.abs(librosa.stft(y, win_length=1024, hop_length=512))
    mel = librosa.feature.melspectrogram(S=spectrogram, sr=22050, n_mels=128)
    return np.log(mel + np.finfo(np.float32).eps)


def ours(path: Path) -> np.ndarray:
    """Compute the same as generate_dataset.py does."""
    return features.log_mel(features.load_audio(path))


def seconds(recipe: Callable[[Path], np.ndarray], clips: list[Path]) -> float:
    """Return the mean time of a clip."""
    start = time.perf_counter()
    for clip in clips:
        recipe(clip)
    return (time.perf_counter() - start) / len(clips)


def compare(clips: list[Path], repeats: int) -> None:
    """Print the time a clip of both recipes, their ratio, and how far their results differ."""
    difference = max(np.abs(literal(clip) - ours(clip)).max() for clip in clips[:20])
    times = [[seconds(recipe, clips) for recipe in (literal, ours)] for _ in range(repeats)]
    medians = [1000 * statistics.median(of_recipe) for of_recipe in zip(*times, strict=True)]
    ratios = sorted(one / other for one, other in times)
    rows = [("literal recipe", f"{medians[0]:.2f}", "1.0"), ("generate_dataset.py",)]
    rows[1] += (f"{medians[1]:.2f}", f"{statistics.median(ratios):.1f}")
    command.print_table(("one core", "ms a clip", "times as fast"), rows)
    print(f"ratio of {repeats} turns: {ratios[0]:.1f} to {ratios[-1]:.1f}; ", end="")
    print(f"largest difference of a value: {difference:.1e}\n")


def peak_memory(clips: list[Path], copies: int) -> tuple[float, float]:
    """Run generate_dataset.py on links to `copies` times the clips; return MB of both processes."""
    with tempfile.TemporaryDirectory() as place:
        names = [f"{i}-{clip.name}" for i in range(copies) for clip in clips]
        audio, metadata = Path(place) / "data" / "irmas", Path(place) / "features" / "irmas_1024"
        audio.mkdir(parents=True)
        metadata.mkdir(parents=True)
        for name, clip in zip(names, clips * copies, strict=True):
            (audio / name).symlink_to(clip.resolve())
        labels = settings.IRMAS
        rows = [create_encoding.Clip(n, (labels[i % 11],)) for i, n in enumerate(names)]
        create_encoding.write_metadata(metadata / "train.csv", rows)
        create_encoding.write_metadata(metadata / "test.csv", rows[:22])
        paths = {"INSTREC_DATA_PATH": audio.parent, "INSTREC_FEATURE_PATH": metadata.parent}
        script = Path(place) / "measure.py"  # a file: spawned workers import it
        script.write_text(MEASURE)
        output = subprocess.run(
            [sys.executable, str(script)],
            cwd=ROOT,
            env={**os.environ, **{k: str(v) for k, v in paths.items()}, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        ).stdout
    return tuple(float(line.split()[1]) for line in output.splitlines() if line.startswith("MB"))


def main() -> None:
    """Measure speed, then memory."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clips", type=int, default=300, help="clips to measure on (300)")
    parser.add_argument("--repeats", type=int, default=5, help="turns of both recipes (5)")
    arguments = parser.parse_args()
    audio = settings.DATA_PATH / "irmas" / create_encoding.IRMAS_TRAIN
    clips = sorted(audio.glob("*/*.wav"))[: arguments.clips]
    if not clips:
        sys.exit(f"error: no clips in {audio}: python3 render_dataset.py -d 1 makes some")
    compare(clips[:100], arguments.repeats)
    rows = [(f"{n * len(clips)} clips", *peak_memory(clips, n)) for n in (1, GROWTH)]
    cells = [(name, f"{parent:.0f}", f"{worker:.0f}") for name, parent, worker in rows]
    command.print_table(("peak memory, MB", "parent", "worker"), cells)


if __name__ == "__main__":
    main()
