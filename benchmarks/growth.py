#!/usr/bin/env python3
"""Measure how time and memory of every step grow with the data.

  python3 benchmarks/growth.py

Runs the four steps, the plots and predict.py on 1, 4 and 16 times the demo's clips (links to the
same files), and prints for each step its time, the peak memory of its largest process, and both
against the smallest data. Takes about ten minutes on two cores; needs 2 GB in demo/growth.
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
WORK = ROOT / "demo" / "growth"

from instrec.common import command  # noqa: E402

TIMES = (1, 4, 16)
MODEL = ("-m", "model_leaky", "-o", "adam", "-d", "1")
STEPS = {  # name: script and options
    "create_encoding.py": ("create_encoding.py", "-d", "1"),
    "generate_dataset.py": ("generate_dataset.py", "-d", "1", "--force"),
    "train.py, one epoch": ("train.py", *MODEL, "-i", "1", "-e", "1", "-b", "32", "--overwrite"),
    "evaluate.py, mode 2": ("evaluate.py", *MODEL, "-i", "1", "-O", "2"),
    "plot_perf_metrics.py": ("plot_perf_metrics.py", *MODEL),
    "evaluate.py, mode 3": ("evaluate.py", *MODEL, "-i", "1", "-O", "3"),
    "predict.py, the test clips": ("predict.py",),
}


def link(source: Path, target: Path, copies: int) -> Path:
    """Fill a folder with links to `copies` times the files of another; return it."""
    for path in sorted(source.rglob("*.*")):
        for copy in range(copies):
            place = target / path.relative_to(source).with_name(f"{copy:02d}{path.name}")
            place.parent.mkdir(parents=True, exist_ok=True)
            if not place.exists():
                place.symlink_to(path)
    return target


def run(place: Path, *arguments: str) -> tuple[float, float]:
    """Run a script on the data of a place; return its seconds and the peak MB of a process."""
    environment = os.environ | {
        "INSTREC_DATA_PATH": str(place / "data"),
        "INSTREC_FEATURE_PATH": str(place / "features"),
        "INSTREC_MODEL_PATH": str(place / "models"),
    }
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, *arguments], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)  # of itself and of the workers it waited for
    if status:
        sys.exit(f"error: {' '.join(arguments)} failed on {place}")
    return time.perf_counter() - started, usage.ru_maxrss / 1024


def measure(copies: int) -> dict[str, tuple[float, float]]:
    """Run every step on `copies` times the clips."""
    place = WORK / str(copies)
    irmas = link(WORK / "irmas", place / "data" / "irmas", copies)
    measured = {}
    for name, step in STEPS.items():
        songs = [str(irmas / "IRMAS-TestingData-Part1")] if step[0] == "predict.py" else []
        measured[name] = run(place, *step, *songs)
        seconds, memory = measured[name]
        print(f"{copies} times, {name}: {seconds:.1f} s, {memory:.0f} MB", flush=True)
    return measured


def main() -> None:
    """Render the demo's clips, measure, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--times", type=int, nargs="+", default=TIMES, help="(1 4 16)")
    arguments = parser.parse_args()
    environment = os.environ | {"INSTREC_DATA_PATH": str(WORK)}
    subprocess.run(
        [sys.executable, "render_dataset.py", "-d", "1"], cwd=ROOT, env=environment, check=True
    )
    measured = {copies: measure(copies) for copies in arguments.times}
    first = measured[arguments.times[0]]
    rows = []
    for name, (seconds, memory) in first.items():
        found = [measured[copies][name] for copies in arguments.times]
        rows.append(
            (
                name,
                *(f"{s:.1f} s" for s, _ in found),
                f"{found[-1][0] / seconds:.1f}",
                *(f"{m:.0f} MB" for _, m in found),
                f"{found[-1][1] / memory:.2f}",
            )
        )
    sizes = [f"x {copies}" for copies in arguments.times]
    command.print_table(("step", *sizes, "growth", *sizes, "growth"), rows)


if __name__ == "__main__":
    command.run(main)
