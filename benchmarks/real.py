#!/usr/bin/env python3
"""Measure what a model hears in a folder of real clips.

  python3 benchmarks/real.py clips/                              # the included model
  python3 benchmarks/real.py clips/ -m model_leaky -o adam -d 1  # one that you trained
  python3 benchmarks/real.py clips/ --band jazz                  # each over a rendered band
  python3 benchmarks/real.py clips/ --musicnn musicnn-0.1.0-py3-none-any.whl  # beside musicnn

The folder holds one folder per label (clips/cel/*.wav), 'none' for sounds with none of the
instruments; or a .txt beside each file with one label per line, as IRMAS's test data. Labels that
the model does not know count as none. With --band, each clip is mixed with a band of TimGM6mb,
drums included, from 12 dB below the clip to 6 dB above. With --musicnn, clips of one of the six
labels that musicnn knows, guitars being one, are also tagged by it, and the model chooses among
those six, too.

Prints top-1 and top-3, balanced over labels, with an interval over recordings (95 %, bootstrap;
clips whose names differ only in a final -<number> or __<number> are one recording); precision,
recall and F of the labels that are shown as playing; how often nothing is shown. --to writes a
table of the clips.
"""

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from instrec.common import command, storage  # noqa: E402
from instrec.data import audio, metadata, splits  # noqa: E402
from instrec.errors import InputError  # noqa: E402
from instrec.learning import model_files  # noqa: E402
from instrec.scoring import intervals, metrics, recognition  # noqa: E402
from rendering import banks, music, synthesis  # noqa: E402
from rendering.plan import RATE  # noqa: E402
from settings import NOTHING  # noqa: E402


def clips_in(folder: Path, labels: Sequence[str]) -> list[tuple[Path, frozenset[str]]]:
    """List the clips of a folder, each with those of its labels that a model knows."""
    known, found, unknown = set(labels), [], set()
    for path in filter(metadata.is_audio, sorted(folder.rglob("*"))):
        text = path.with_suffix(".txt")
        place = path.relative_to(folder).parts[0]
        given = metadata.labels_in(text) if text.exists() else {place}
        found.append((path, frozenset(given & known)))
        unknown |= given - known - {NOTHING}
    if not found:
        raise InputError(f"expected folders of audio, named by labels, in {folder}, found none")
    if unknown:
        print(f"not labels of the model, and counted as none: {', '.join(sorted(unknown))}")
    return found


def over_band(path: Path, style: str, number: int, folder: Path) -> Path:
    """Mix a clip with a rendered band, drawn by the number, and write it to a folder."""
    rng = np.random.default_rng(number)
    clip = np.repeat(audio.load_audio(path, RATE)[:, None], 2, axis=1)
    clip = np.pad(clip, ((0, max(0, RATE - len(clip))), (0, 0)))
    song = music.draw_song(rng, len(clip) / RATE)
    lines = music.backing(rng, song, style, with_drums=True, labels=())
    midi = synthesis.to_midi(lines, song.seconds, reverb=30)
    band = synthesis.render(midi, banks.default_soundfont().read_bytes(), len(clip))
    mixed = synthesis.mix([clip, band], [0, rng.uniform(-12, 6)])
    target = folder / f"{number}.wav"
    soundfile.write(target, 0.9 * mixed / np.abs(mixed).max(), RATE)
    return target


def recording_of(path: Path) -> str:
    """Return the name that the clips of one recording share."""
    return f"{path.parent}/{splits.song_of(splits.recording_of(path.name))}"


def balanced(table: pd.DataFrame, column: str) -> float:
    """Return the mean of a column over clips with one label, averaged over the labels."""
    single = table[table.number == 1]
    return float(single.groupby("truth")[column].mean().mean())


def interval(table: pd.DataFrame, column: str) -> tuple[float, float]:
    """Return the 95 % interval of `balanced`, drawing recordings within each label."""
    rng, means = np.random.default_rng(0), []
    for _, clips in table[table.number == 1].groupby("truth"):
        each = clips.groupby("recording")[column].agg(["sum", "count"]).to_numpy()
        drawn = each[rng.integers(len(each), size=(intervals.DRAWS, len(each)))].sum(axis=1)
        means.append(drawn[:, 0] / drawn[:, 1])
    return tuple(np.percentile(np.mean(means, axis=0), (2.5, 97.5)))


def measure(
    model: tuple,
    labels: Sequence[str],
    clips: Sequence[tuple[Path, frozenset[str]]],
    band: str | None = None,
) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """Recognise clips with a model, as `recognition.recognise` takes it.

    Returns a row per clip, and the true and the shown labels, both [clips x labels].
    """
    rows, true, shown = [], [], []
    for number, (path, truth) in enumerate(command.progress(clips, unit="clip")):
        with tempfile.TemporaryDirectory() as folder:
            heard = over_band(path, band, number, Path(folder)) if band else path
            recognised = recognition.recognise(heard, model, show_progress=False)
        if isinstance(recognised, str):
            print(f"left out: {path}: {recognised}", file=sys.stderr)
            continue
        found = recognised.table
        rows.append(
            {
                "file": str(path),
                "recording": recording_of(path),
                "truth": " ".join(sorted(truth)),
                "number": len(truth),
                "heard": found.index[0],
                "top_1": found.index[0] in truth,
                "top_3": bool(truth & set(found.index[:3])),
                "none": not found.present.any(),
            }
        )
        true.append([label in truth for label in labels])
        shown.append(found.present.reindex(labels).to_numpy())
    if not rows:
        raise InputError("none of the clips could be used")
    return pd.DataFrame(rows), np.array(true), np.array(shown)


def report(table: pd.DataFrame, true: np.ndarray, shown: np.ndarray) -> None:
    """Print what was measured."""
    single, unknown = table[table.number == 1], table[table.number == 0]
    print(f"{len(table)} clips of {table.recording.nunique()} recordings")
    if len(single):
        print("\none instrument")
        by_label = single.groupby("truth")
        lines = by_label[["top_1", "top_3", "none"]].mean().round(2)
        lines["clips"] = by_label.size()
        lines["heard most"] = by_label["heard"].agg(lambda x: dict(x.value_counts()[:3]))
        print(lines.to_string())
        for column in ("top_1", "top_3"):
            low, high = interval(table, column)
            print(f"{column}, balanced: {balanced(table, column):.3f} ({low:.3f} to {high:.3f})")
    if (table.number > 1).any():
        mixed = table[table.number > 1]
        right = f"a right one on top {mixed.top_1.mean():.3f}"
        print(f"\nseveral instruments, {len(mixed)} clips: {right}")
    if len(known := np.flatnonzero(table.number > 0)):
        score = metrics.micro(true[known], shown[known])
        print(
            f"\nlabels shown as playing: {shown[known].sum(axis=1).mean():.2f} a clip; precision "
            f"{score.precision:.3f}, recall {score.recall:.3f}, micro F {score.f_score:.3f}"
        )
        print(f"nothing shown: {table.none.to_numpy()[known].mean():.3f} of clips with instruments")
    if len(unknown):
        print(f"nothing shown: {unknown.none.mean():.3f} of {len(unknown)} clips without")


def beside_musicnn(
    model: tuple, wheel: Path, clips: Sequence[tuple[Path, frozenset[str]]]
) -> pd.DataFrame:
    """Let a model and musicnn choose among the labels both know; return a row per clip."""
    from benchmarks import musicnn

    guitars = {"gel": "gac"}  # one label to musicnn
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        other = musicnn.Musicnn(wheel, Path(folder))
        for path, truth in command.progress(clips, unit="clip"):
            given = [guitars.get(label, label) for label in truth]
            if len(given) != 1 or given[0] not in musicnn.TAGS:
                continue
            found = recognition.recognise(path, model, show_progress=False)
            if isinstance(found, str):
                continue
            ours = found.table["strength"].rename(index=guitars).groupby(level=0).max()
            heard = {"model": ours.reindex(musicnn.TAGS), "musicnn": other.strengths(path)}
            right = {name: strengths.idxmax() == given[0] for name, strengths in heard.items()}
            rows.append({"truth": given[0]} | right)
    if not rows:
        raise InputError(f"none of the clips has one of the labels {', '.join(musicnn.TAGS)}")
    return pd.DataFrame(rows)


def main(argv: Sequence[str] | None = None) -> None:
    """Measure what the command line asks for.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments of the command line; those of this process by default.
    """
    parser = command.new_parser(__doc__)
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="real clips")
    command.add_model_options(parser)
    parser.add_argument("--to", type=Path, metavar="DIR", help="write the table of the clips")
    parser.add_argument("--musicnn", type=Path, metavar="WHEEL", help="compare with musicnn")
    parser.add_argument("--band", choices=("jazz", "pop", "rock"), help="mix each with a band")
    arguments, config = command.parse(parser, argv)
    files = model_files.to_recognise_with(config, arguments)
    model = (files, recognition.STRATEGY, recognition.contents(files))
    recogniser = recognition.recogniser(*model)
    _ = recogniser.networks  # loaded here, so that a faulty model is not blamed on the clips
    labels = [label for label in recogniser.labels if label != NOTHING]
    clips = clips_in(arguments.folder, labels)
    table, true, shown = measure(model, labels, clips, arguments.band)
    report(table, true, shown)
    if arguments.musicnn:
        both = beside_musicnn(model, arguments.musicnn, clips)
        means = both.groupby("truth")[["model", "musicnn"]].mean()
        means.loc["balanced"] = means.mean()
        print(f"\nbeside musicnn, {len(both)} clips\n{means.round(3).to_string()}")
    if arguments.to:
        storage.save(arguments.to / "clips.csv", table.to_csv(index=False))


if __name__ == "__main__":
    command.run(main)
