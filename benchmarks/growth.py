#!/usr/bin/env python3
"""Measure how time and memory of every step grow with the data.

  python3 benchmarks/growth.py

Runs the four steps, the plots and predict.py on 1, 4 and 16 times the demo's clips (links to the
same files), and prints for each step its time in seconds, the peak memory of its largest process in
MB, and how both grow from the smallest data. Takes about ten minutes on two cores; needs 2 GB in
demo/growth.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from instrec.common import command  # noqa: E402

WORK = ROOT / "demo" / "growth"
TIMES = (1, 4, 16)
MODEL = "-m model_leaky -o adam -d 1"
STEPS = (
    "create_encoding.py -d 1",
    "generate_dataset.py -d 1 --force",
    f"train.py {MODEL} -i 1 -e 1 -b 32 --overwrite",
    f"evaluate.py {MODEL} -i 1 -O 2",
    f"plot_perf_metrics.py {MODEL}",
    f"evaluate.py {MODEL} -i 1 -O 3",
    "predict.py data/irmas/IRMAS-TestingData-Part1",
)


def link(source: Path, target: Path, copies: int) -> None:
    """Fill a folder with links to `copies` times the files of another."""
    for path in sorted(source.rglob("*.*")):
        for copy in range(copies):
            place = target / path.relative_to(source).with_name(f"{copy:02d}{path.name}")
            place.parent.mkdir(parents=True, exist_ok=True)
            if not place.exists():
                place.symlink_to(path)


def run(place: Path, step: str) -> tuple[float, float]:
    """Run a script on the data in a folder; return its seconds and the peak MB of a process."""
    script, *options = step.split()
    names = {"DATA": "data", "FEATURE": "features", "MODEL": "models"}
    paths = {f"INSTREC_{name}_PATH": str(place / folder) for name, folder in names.items()}
    command = [sys.executable, ROOT / script, *options]
    began = time.perf_counter()
    process = subprocess.Popen(
        command, cwd=place, env=os.environ | paths, stdout=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)  # of itself and of the workers it waited for
    if status:
        sys.exit(f"error: {step} failed on {place}")
    return time.perf_counter() - began, usage.ru_maxrss / 1024


def main() -> None:
    """Render the demo's clips, measure, and print the table."""
    command.plain_parser(__doc__).parse_args()
    render = [sys.executable, ROOT / "render_dataset.py", "-d", "1"]
    subprocess.run(render, env=os.environ | {"INSTREC_DATA_PATH": str(WORK)}, check=True)
    table = pd.DataFrame(index=pd.Index(STEPS, name="step"))
    for copies in TIMES:
        place = WORK / str(copies)
        link(WORK / "irmas", place / "data" / "irmas", copies)
        measured = [run(place, step) for step in STEPS]
        table[f"s, x {copies}"], table[f"MB, x {copies}"] = zip(*measured, strict=True)
    for unit in ("s", "MB"):
        table[f"growth of {unit}"] = (
            table[f"{unit}, x {TIMES[-1]}"] / table[f"{unit}, x {TIMES[0]}"]
        )
    print(table.round(2).to_string())


if __name__ == "__main__":
    main()
