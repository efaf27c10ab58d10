#!/usr/bin/env python3
"""Recognise the instruments of recordings.

  python3 predict.py song.wav                                     with the included model
  python3 predict.py recordings/ --csv found.csv --figures figures/
  python3 predict.py song.wav -m model_leaky -o adam -d 1         with one that you trained

Prints one table per file: how strong each instrument is (1: the strongest), how probable it is that
it plays, whether the strength passes the threshold that was best for it on the development data,
and when it plays; and whether none of the instruments plays at all. Files may last from one patch
(a second) to 100 minutes, in any format that FFmpeg's libraries, which pip installs, can read. All
trainings of the model are averaged. Labels, features, standardisation, thresholds and separation
are those of the model: one of separated audio first separates the recording.
"""

import argparse
import os
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from instrec.common import command, storage
from instrec.common.parallel import ordered_map
from instrec.config import Config, read
from instrec.data import metadata
from instrec.errors import InputError, about
from instrec.learning import model_files
from instrec.reporting import page, recordings
from instrec.scoring import metrics, recognition
from instrec.scoring.recognition import Recogniser, Recognition
from settings import NOTHING

if TYPE_CHECKING:
    import pandas as pd

MANY = 32  # from so many recordings on, one process per core beats one with all cores
# Outputs by option: one file for all recordings,
FILES = {
    "csv": "all tables as one CSV file",
    "json": "everything, and with which model, as JSON",
    "summary": "one CSV file with a row per recording",
}
# or one per recording in a folder, each with its ending.
FOLDERS = {
    "jams": ("one JAMS file per recording: instruments with their times", ".jams"),
    "audacity": ("one label track per recording, for Audacity", ".labels.txt"),
    "regions": (
        "one CSV file per recording, which Sonic Visualiser reads as regions",
        ".regions.csv",
    ),
    "npz": ("one file per recording: outputs over time, and embeddings, as NumPy arrays", ".npz"),
    "html": ("one page per recording, to look and listen", ".html"),
    # Plus .png and .pdf.
    "figures": ("one figure per recording: spectrogram and predictions over time", ".instruments"),
}
NAME_BYTES = 180  # of a stem: the whole file name may have 255


def predict(
    path: str | Path,
    model: str | None = None,
    optimizer: str | None = None,
    *,
    config: Config | None = None,
    strategy: str = recognition.STRATEGY,
) -> "pd.DataFrame":
    """Recognise the instruments of one recording.

    Parameters
    ----------
    path : str or Path
        Audio file.
    model, optimizer : str
        The trained model ('adam' if no optimizer is named); by default the included one,
        of 11 labels (docs/pretrained.md), whatever settings.py says.
    config : Config, optional
        It names the data set that the model was trained on; by default what settings.py says.
    strategy : {'s1', 's2'}
        How the patches of a recording are aggregated.

    Returns
    -------
    pandas.DataFrame
        By instrument, the strongest first, with the columns strength (0 to 1, relative to the
        strongest), probability (comparable between files; only of calibrated models), threshold,
        present and segments (start and end in seconds). If none plays, none is present.

    Raises
    ------
    InputError
        If the model is not trained, the file cannot be used, or an optimizer is named without a
        model.
    """
    if model is None:
        if config is not None or optimizer is not None:
            raise InputError("which model? name it, or neither config nor optimizer")
        files = model_files.pretrained_files()
    else:
        files = model_files.model_files(config or read(), model, optimizer or "adam")
    recogniser = Recogniser(files, strategy)
    with about(path):
        return recogniser.predict(path).table


def audio_files(paths: Sequence[Path]) -> list[Path]:
    """List the files to recognise: those named, and all audio in the folders named.

    Parameters
    ----------
    paths : sequence of Path
        Files and folders.

    Returns
    -------
    list of Path

    Raises
    ------
    InputError
        If a path does not exist, or a folder has no audio.
    """
    found = []
    for path in paths:
        if not path.is_dir():
            if not path.exists():
                raise InputError(f"expected an audio file or a folder, found nothing: {path}")
            found.append(path)
            continue
        entries = [p for p in sorted(path.rglob("*")) if not p.is_dir()]
        inside = [p for p in filter(metadata.is_audio, entries) if not page.is_of_page(p)]
        others = metadata.skipped(entries)
        if not inside:
            raise InputError(f"expected audio files in {path}, found none; {others or 'no files'}")
        if others:
            print(f"{path}: {others}")
        found += inside
    return list({os.path.abspath(path): path for path in found}.values())  # noqa: PTH100


def output_names(paths: Sequence[Path]) -> dict[Path, str]:
    """Name the outputs of each recording after its stem, cut if too long to take endings.

    Stems that are cut, shared or named like the index of --html get a digest of the path.

    Parameters
    ----------
    paths : sequence of Path
        Recordings.

    Returns
    -------
    dict of str
        By recording.
    """
    stems = {path: os.fsdecode(os.fsencode(path.stem)[:NAME_BYTES]) for path in paths}
    counts = Counter(stems.values())
    return {
        path: stem
        if counts[stem] == 1 and stem == path.stem != page.INDEX
        else f"{stem}_{storage.digest_of(str(path.absolute()))[:8]}"
        for path, stem in stems.items()
    }


def main(argv: Sequence[str] | None = None) -> None:
    """Recognise the instruments of the files that the command line names.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments of the command line; those of this process by default.
    """
    parser = command.new_parser(__doc__)
    parser.add_argument("paths", nargs="+", type=Path, metavar="FILE_OR_FOLDER", help="audio")
    command.add_model_options(parser)
    parser.add_argument(
        "--strategy",
        choices=tuple(metrics.STRATEGIES),
        default=recognition.STRATEGY,
        help=f"how patches are aggregated ({recognition.STRATEGY})",
    )
    for name, what in FILES.items():
        parser.add_argument(f"--{name}", type=Path, metavar="FILE", help=f"write {what}")
    for name, (what, _) in FOLDERS.items():
        parser.add_argument(f"--{name}", type=Path, metavar="DIR", help=f"write {what}")
    parser.add_argument(
        "--sort",
        default="file",
        metavar="BY",
        help=f"order of the summary: {', '.join(recordings.SORTS)}, or a label (file)",
    )
    arguments, config = command.parse(parser, argv)
    targets = {name: getattr(arguments, name) for name in (*FILES, *FOLDERS)}
    for name, target in targets.items():
        if target and target.exists() and target.is_dir() != (name in FOLDERS):
            kind = "folder" if name in FOLDERS else "file"
            raise InputError(f"expected --{name} to name a {kind}, which {target} is not")
    files = model_files.to_recognise_with(config, arguments)
    paths = audio_files(arguments.paths)
    model = (files, arguments.strategy, recognition.contents(files))
    recogniser = recognition.recogniser(*model)
    sorts = (*recordings.SORTS, *(label for label in recogniser.labels if label != NOTHING))
    if arguments.sort not in sorts:
        known = ", ".join(sorts)
        raise InputError(f"expected --sort by one of {known}, found {arguments.sort!r}")
    record = recogniser.records[0]
    plural = "" if len(recogniser.records) == 1 else "s"
    print(
        f"{files.model}.{files.optimizer}: {len(recogniser.records)} training{plural}, on "
        f"{record.get('trained_on', 'training data')} of {record['recipe']['data_set']}"
    )
    if not recogniser.has_thresholds:
        print(
            "note: the model has no thresholds of its own (evaluate.py -O 2 and "
            "plot_perf_metrics.py find them): "
            f"{recognition.DEFAULT_THRESHOLD} is used for every label"
        )
    elif (right := recogniser.share_right()) is not None:
        print(
            "of the labels that pass their threshold on test clips of its own kind, "
            f"{right:.2f} are right; of other recordings, expect less"
        )
    _ = recogniser.networks  # errors in loading are the model's, not the recordings'
    recogniser.warn_of_untrained()
    folders = [str(targets[name]) for name in FOLDERS]
    made_with = [recognition.VERSION, *model[2], arguments.strategy, *folders]
    journal = recordings.Journal(next(filter(None, map(targets.get, FILES)), None), made_with)
    everything = recognise_all(arguments, config, model, paths, journal)
    if everything and arguments.csv:
        storage.save(arguments.csv, recordings.as_csv(recordings.as_frame(everything)))
    if everything and arguments.json:
        storage.save_json(arguments.json, recordings.as_json(recogniser, everything))
    if everything and arguments.html:
        page.write_index(arguments.html, output_names(paths), everything)
    if len(everything) > 1 or (everything and arguments.summary):
        table = recordings.summary(everything, arguments.sort)
        recordings.print_summary(table)
        if arguments.summary:
            storage.save(arguments.summary, recordings.as_csv(table))
    journal.remove()
    if len(everything) < len(paths):
        left_out = len(paths) - len(everything)
        print(f"left out {left_out} of {len(paths)} files in all", file=sys.stderr)
    if not everything:
        raise InputError(f"none of {len(paths)} files could be used")


def recognise_all(
    arguments: argparse.Namespace,
    config: Config,
    model: tuple,
    paths: Sequence[Path],
    journal: recordings.Journal,
) -> dict[str, Recognition]:
    """Recognise recordings, print each and write its outputs; return those that could be used.

    Recordings in the journal are not recognised again, unless one of their outputs is missing.

    Parameters
    ----------
    arguments : argparse.Namespace
        From the command line.
    config : Config
        The scheduler, if there is one.
    model : tuple
        As `recognition.recognise` takes it.
    paths : sequence of Path
        Recordings.
    journal : Journal
        What was found before.

    Returns
    -------
    dict of Recognition
        By path; without predictions and spectrograms.
    """
    recogniser = recognition.recogniser(*model)
    targets = {path: _targets(arguments, name) for path, name in output_names(paths).items()}
    known = {path: found for path in paths if (found := journal.known(path)) is not None}
    for path, found in [*known.items()]:
        if isinstance(found, Recognition) and not _is_complete(targets[path]):
            del known[path]
    if known:
        print(f"kept {len(known)} of {len(paths)} recordings that were recognised before")
    missing = [path for path in paths if path not in known]
    # A few: one process, its network on all cores; one bar per file. Many: one process per core.
    many = len(missing) >= MANY
    if many:
        os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
    workers = os.cpu_count() if many else 1
    bars = not (many or config.scheduler)
    tasks = [(path.absolute(), model, bars, arguments.npz is not None) for path in missing]
    results = ordered_map(recognition.recognise, tasks, workers=workers, scheduler=config.scheduler)
    everything: dict[str, Recognition] = {}
    for path in command.progress(paths, unit="file", disable=not many):
        found = known[path] if path in known else next(results)
        if isinstance(found, str):
            print(f"left out: {path}: {found}", file=sys.stderr)
            journal.add(path, found)
            continue
        if path not in known:
            if not many:
                recordings.print_recognition(str(path), found)
            elif found.note:
                print(f"note: {path}: {found.note}")
            for kind, target in targets[path].items():
                _write(kind, target, recogniser, path, found)
            # Tables are kept for the end; data for figures is not: it would grow with every file.
            small = np.empty((0, 0))
            found = found._replace(predictions=small, spectrogram=small, embeddings=None)
            journal.add(path, found)
        everything[str(path)] = found
    return everything


def _targets(arguments: argparse.Namespace, name: str) -> dict[str, Path]:
    """Name the files written for one recording, by kind; a figure without its ending."""
    return {
        kind: folder / f"{name}{ending}"
        for kind, (_, ending) in FOLDERS.items()
        if (folder := getattr(arguments, kind))
    }


def _is_complete(targets: Mapping[str, Path]) -> bool:
    """Tell whether all files asked for a recording exist."""
    return all(p.exists() or p.with_name(f"{p.name}.pdf").exists() for p in targets.values())


def _write(kind: str, target: Path, recogniser: Recogniser, path: Path, found: Recognition) -> None:
    if kind == "html":
        print(f"page: {page.write(target.parent, target.stem, path, recogniser, found)}")
    elif kind == "jams":
        storage.save_json(target, recordings.as_jams(recogniser, str(path), found))
    elif kind == "npz":
        storage.save_arrays(
            target,
            labels=np.array(recogniser.labels),
            times=found.edges,
            outputs=found.predictions,
            embeddings=found.embeddings,
        )
    elif kind == "figures":
        from instrec.figures import sound, style

        title = f"{path.name} · {recogniser.files.model}"
        style.save(sound.recognition(found, recogniser.labels, title), target)
    else:  # for an editor of audio
        made = {"audacity": recordings.as_audacity, "regions": recordings.as_regions}[kind]
        storage.save(target, made(found))


if __name__ == "__main__":
    command.run(main)
