#!/usr/bin/env python3
"""Recognise the instruments of recordings with a trained model.

  python3 predict.py song.wav -m model_leaky -o adam -d 1
  python3 predict.py recordings/ -m model_leaky -o adam -d 1 --csv found.csv --figures figures/

Prints a table a file: how strong each instrument is (1: the strongest), whether that passes the
threshold that was best for it on the development data, and when it plays. Files may be of any
length and of any format that libsndfile reads (others where audioread can). All trained iterations
are averaged. Labels, features, standardisation, thresholds and separation are those of the model:
one of separated audio separates first, by itself.
"""

import argparse
import contextlib
import dataclasses
import itertools
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

import settings
import train
from instrec import InputError, command, features, metrics, results, storage

if TYPE_CHECKING:
    import pandas as pd

DEFAULT_THRESHOLD = 0.5  # where a model has no thresholds of its own
STRATEGY = "s2"
FIGURE_FRAMES = 4000  # columns of a spectrogram, about; more than a page has pixels
AUDIO = (".wav", ".flac", ".ogg", ".mp3", ".aif", ".aiff", ".au", ".m4a", ".aac", ".wma", ".opus")


class Recognition(NamedTuple):
    """What was found in one recording.

    Parameters
    ----------
    table : pandas.DataFrame
        By instrument, the strongest first: strength, threshold, present, and segments, a tuple of
        (start, end) in seconds.
    predictions : np.ndarray [shape=(patches, labels)]
        Outputs of the network, averaged over the iterations.
    spectrogram : np.ndarray [shape=(mel bands, columns)]
        Log-mel spectrogram, with as many columns as a figure needs.
    seconds : float
        Length of the recording.
    """

    table: "pd.DataFrame"
    predictions: np.ndarray
    spectrogram: np.ndarray
    seconds: float


class Recogniser:
    """The trained networks of one model, and everything that they were trained with.

    Parameters
    ----------
    files : results.ModelFiles
        The model; all its finished iterations are taken.
    strategy : {'s1', 's2'}
        How the patches of a recording are aggregated.

    Raises
    ------
    InputError
        If nothing is trained, or its files are damaged.
    """

    def __init__(self, files: results.ModelFiles, strategy: str = STRATEGY) -> None:
        if strategy not in metrics.STRATEGIES:
            raise InputError(f"expected strategy 's1' or 's2', found {strategy!r}")
        self.files, self.strategy = files, strategy
        finished = itertools.takewhile(lambda i: files.run_record(i).exists(), itertools.count())
        expected = {"made_of": dict, "weights": str, "settings": dict}
        self.records = [
            storage.load_json(files.run_record(i), "train.py", expected=expected) for i in finished
        ]
        if not self.records:
            raise InputError(
                f"expected a trained model in {files.folder}, found none: run train.py"
            )
        path = files.run_record(0)
        with storage.refuse_damaged(path, "train.py"):
            made_of = self.records[0]["made_of"]
            names = [field.name for field in dataclasses.fields(features.FeatureParameters)]
            values = {name: made_of[name] for name in names}
            self.parameters = features.FeatureParameters(
                **values | {"windows": tuple(values["windows"])}
            )
            self.labels: tuple[str, ...] = tuple(made_of["labels"])
            self.folders: list[str] = self.records[0]["folders"]
            self.is_separated: bool = self.records[0]["separated"]
            overlap = self.records[0]["settings"]["test_overlap"]
        self.step = max(1, int(self.parameters.patch_frames * (1 - overlap)))
        for record in self.records[1:]:
            different = {name: (made_of[name], record["made_of"].get(name)) for name in values}
            if any(a != b for a, b in different.values()):
                raise InputError(f"{files.folder}: iterations were trained with other features")
        self.thresholds, self.has_thresholds = self._thresholds()
        self._networks: list = []

    def _thresholds(self) -> tuple[np.ndarray, bool]:
        """Return the best threshold of each label, and whether the model has its own."""
        if not self.files.optima.exists():
            return np.full(len(self.labels), DEFAULT_THRESHOLD), False
        remedy = "evaluate.py -O 2 and plot_perf_metrics.py"
        optima = storage.load_json(self.files.optima, remedy, expected={"optima": dict})
        with storage.refuse_damaged(self.files.optima, remedy):
            if not set(optima["made_of"]["weights"]) <= {r["weights"] for r in self.records}:
                raise InputError(f"{self.files.optima} is of other networks: run {remedy}")
            of_label = optima["optima"][self.strategy]["classwise"]
            return np.array([float(of_label[label]) for label in self.labels]), True

    @property
    def networks(self) -> list:
        """The networks, loaded when they are needed."""
        if not self._networks:
            for iteration, record in enumerate(self.records):
                best = self.files.best(iteration)
                if not best.exists() or storage.digest_of_file(best) != record["weights"]:
                    raise InputError(f"{best} is missing or not what training wrote: run train.py")
                self._networks.append(train.load_network(self.files, iteration, "train.py"))
        return self._networks

    def predict(self, path: str | Path, *, show_progress: bool = False) -> Recognition:
        """Recognise the instruments of one recording.

        Parameters
        ----------
        path : str or Path
            Audio file.
        show_progress : bool
            Show a bar.

        Raises
        ------
        InputError
            If the file cannot be used, with the reason.
        """
        with tempfile.TemporaryDirectory() as folder, self._inputs(Path(path), folder) as inputs:
            seconds = _seconds(inputs[0])
            frames = seconds * self.parameters.sample_rate / self.parameters.hop_length
            pool = max(1, int(frames / FIGURE_FRAMES))  # frames a column of the spectrogram
            predictions, columns, rest = [], [], None
            bar = command.progress(
                total=round(seconds), unit="s", desc=Path(path).name, disable=not show_progress
            )
            streams = (
                features.patches_in_blocks(one, self.parameters, self.step) for one in inputs
            )
            with bar:
                for blocks in zip(*streams, strict=False):
                    shortest = min(map(len, blocks))
                    predictions.append(self._outputs([block[:shortest] for block in blocks]))
                    new = blocks[0][:, :, : self.step, 0].transpose(1, 0, 2)
                    new = new.reshape(len(new), -1)  # [bands x frames]
                    rest = new if rest is None else np.concatenate([rest, new], axis=1)
                    whole = rest.shape[1] // pool * pool
                    columns.append(rest[:, :whole].reshape(len(rest), -1, pool).mean(axis=-1))
                    rest = rest[:, whole:]
                    done = sum(map(len, predictions)) * self.step * self.parameters.hop_length
                    bar.update(round(done / self.parameters.sample_rate) - bar.n)
                bar.update(bar.total - bar.n)
        outputs = np.concatenate(predictions)
        return Recognition(
            self._table(outputs, seconds), outputs, np.concatenate(columns, axis=1), seconds
        )

    def _outputs(self, inputs: list[np.ndarray]) -> np.ndarray:
        """Average what all networks say of a block of patches, one array an input."""
        moments = self.records[0].get("moments") or [(0.0, 1.0)] * len(inputs)
        x = [(one - mean) / dev for one, (mean, dev) in zip(inputs, moments, strict=True)]
        x = x if len(x) > 1 else x[0]
        return np.mean([network.predict_on_batch(x) for network in self.networks], axis=0)

    @contextlib.contextmanager
    def _inputs(self, path: Path, folder: str) -> Iterator[list[Path]]:
        """Yield the audio file of each input of the networks, separated if need be."""
        path = _readable(path, Path(folder))
        if not self.is_separated:
            yield [path] * len(self.folders)
            return
        import separate_sources

        wave = Path(folder) / "decoded.wav"  # in floating point, so that no part is clipped
        _write_wave(_blocks_of(path), wave)
        targets = {name: Path(folder) / f"{name}.wav" for name in self.folders}
        outcome = separate_sources.separate_file(wave, targets)
        if outcome.reason:
            raise InputError(outcome.reason)
        yield list(targets.values())

    def _table(self, predictions: np.ndarray, seconds: float) -> "pd.DataFrame":
        import pandas as pd

        strengths = metrics.STRATEGIES[self.strategy](predictions)
        present = metrics.decide(strengths, self.thresholds)
        hop = self.step * self.parameters.hop_length / self.parameters.sample_rate
        length = self.parameters.patch_frames * self.parameters.hop_length
        length /= self.parameters.sample_rate
        playing = activity(predictions) >= self.thresholds
        found = [
            segments(playing[:, i], hop, length, seconds) if present[i] else ()
            for i in range(len(self.labels))
        ]
        table = pd.DataFrame(
            {
                "strength": strengths,
                "threshold": self.thresholds,
                "present": present,
                "segments": found,
            },
            index=pd.Index(self.labels, name="instrument"),
        )
        return table.sort_values("strength", ascending=False, kind="stable")


def activity(predictions: np.ndarray) -> np.ndarray:
    """Scale patch outputs as their clip is: by its strongest mean [patches x labels]."""
    return predictions / (predictions.mean(axis=0).max() or 1.0)


def segments(
    playing: np.ndarray, hop: float, length: float, seconds: float
) -> tuple[tuple[float, float], ...]:
    """Join patches in which an instrument plays to stretches of time.

    Parameters
    ----------
    playing : np.ndarray [shape=(patches,), dtype=bool]
        Whether it plays in each patch.
    hop, length : float
        Seconds from patch to patch, and of one patch.
    seconds : float
        Length of the recording; the last patch counts until there.

    Returns
    -------
    tuple of (float, float)
        Start and end in seconds; patches that touch or overlap are one stretch.
    """
    edges = np.flatnonzero(np.diff(np.concatenate([[False], playing, [False]]).astype(int)))
    found: list[tuple[float, float]] = []
    for first, after in edges.reshape(-1, 2):
        start = first * hop
        end = seconds if after == len(playing) else (after - 1) * hop + length
        if found and start <= found[-1][1]:
            start = found.pop()[0]
        found.append((round(float(start), 2), round(float(min(end, seconds)), 2)))
    return tuple(found)


def predict(
    path: str | Path,
    model: str = "model_leaky",
    optimizer: str = "adam",
    data_set: settings.DataSet | None = None,
    *,
    strategy: str = STRATEGY,
) -> "pd.DataFrame":
    """Recognise the instruments of one recording.

    Parameters
    ----------
    path : str or Path
        Audio file.
    model, optimizer : str
        The trained model.
    data_set : settings.DataSet, optional
        What it was trained on; by default the data set that settings.py selects.
    strategy : {'s1', 's2'}
        How the patches of a recording are aggregated.

    Returns
    -------
    pandas.DataFrame
        By instrument, the strongest first, with the columns strength (0 to 1), threshold, present
        and segments (start and end in seconds).

    Raises
    ------
    InputError
        If the model is not trained, or the file cannot be used.
    """
    files = results.model_files(data_set or settings.selected(), model, optimizer)
    return Recogniser(files, strategy).predict(path).table


# --- audio that libsndfile cannot read ------------------------------------------------------------
def _readable(path: Path, folder: Path) -> Path:
    """Return the file, or a copy that libsndfile can read if audioread can read the file."""
    try:
        with features.open_audio(path):
            return path
    except InputError as error:
        if not path.is_file():
            raise
        with contextlib.suppress(ImportError):
            import audioread

            with contextlib.suppress(audioread.DecodeError, EOFError):
                wave = folder / "readable.wav"
                _write_wave(_audioread_blocks(path), wave)
                return wave
        raise error from None


def _audioread_blocks(path: Path) -> Iterator[tuple[np.ndarray, int]]:
    import audioread

    with audioread.audio_open(str(path)) as file:
        for data in file:
            block = np.frombuffer(data, dtype="<i2").reshape(-1, file.channels)
            yield block.astype(np.float32) / 32768, file.samplerate


def _blocks_of(path: Path) -> Iterator[tuple[np.ndarray, int]]:
    with features.open_audio(path) as file, features.reading(path):
        for block in file.blocks(blocksize=1 << 20, dtype="float32", always_2d=True):
            yield block, file.samplerate


def _write_wave(blocks: Iterator[tuple[np.ndarray, int]], target: Path) -> None:
    """Write blocks [n x channels] of audio and their rate as floating-point WAV."""
    import soundfile

    with contextlib.ExitStack() as opened:
        file = None
        for block, rate in blocks:
            if file is None:
                file = opened.enter_context(
                    soundfile.SoundFile(target, "w", rate, block.shape[1], "FLOAT", format="WAV")
                )
            file.write(block)
        if file is None:
            raise InputError("holds no audio")


def _seconds(path: Path) -> float:
    with features.open_audio(path) as file:
        return file.frames / file.samplerate


# --- what is written ------------------------------------------------------------------------------
def clock(seconds: float) -> str:
    """Write a time: 75.4 -> '1:15.4'."""
    minutes, rest = divmod(round(seconds, 1), 60)
    return f"{int(minutes)}:{rest:04.1f}"


def print_recognition(name: str, found: Recognition) -> None:
    """Print the table of one file."""
    print(f"\n{name} ({clock(found.seconds)})")
    command.print_table(
        ("instrument", "strength", "threshold", "plays", "when"),
        [
            (
                instrument,
                f"{row.strength:.2f}",
                f"{row.threshold:.2f}",
                "yes" if row.present else "",
                ", ".join(f"{clock(start)}-{clock(end)}" for start, end in row.segments),
            )
            for instrument, row in found.table.iterrows()
        ],
    )


def as_frame(everything: dict[str, Recognition]) -> "pd.DataFrame":
    """Join the tables of all files: a row a file and instrument, segments as text."""
    import pandas as pd

    tables = {
        name: found.table.assign(
            segments=[";".join(f"{a:g}-{b:g}" for a, b in row) for row in found.table.segments]
        )
        for name, found in everything.items()
    }
    return pd.concat(tables, names=["file"]).reset_index()


def as_json(recogniser: Recogniser, everything: dict[str, Recognition]) -> dict:
    """Return everything that was found, and with what."""
    return {
        "model": f"{recogniser.files.model}.{recogniser.files.optimizer}",
        "data_set": recogniser.records[0]["made_of"]["data_set"],
        "weights": [record["weights"] for record in recogniser.records],
        "strategy": recogniser.strategy,
        "files": {
            name: {
                "seconds": round(found.seconds, 3),
                "instruments": {
                    instrument: {
                        "strength": round(float(row.strength), 4),
                        "threshold": float(row.threshold),
                        "present": bool(row.present),
                        "segments": [list(segment) for segment in row.segments],
                    }
                    for instrument, row in found.table.iterrows()
                },
            }
            for name, found in everything.items()
        },
    }


def as_jams(recogniser: Recogniser, name: str, found: Recognition) -> dict:
    """Return a JAMS document: an open tag for each stretch of time in which an instrument plays."""
    data = [
        {"time": start, "duration": round(end - start, 2), "value": instrument}
        | {"confidence": round(float(row.strength), 4)}
        for instrument, row in found.table.iterrows()
        for start, end in row.segments
    ]
    metadata = {
        "curator": {"name": "", "email": ""},
        "annotator": {},
        "version": "",
        "corpus": "",
        "annotation_tools": f"instRecCnn {recogniser.files.model}.{recogniser.files.optimizer}",
        "annotation_rules": "",
        "validation": "",
        "data_source": "program",
    }
    annotation = {
        "annotation_metadata": metadata,
        "namespace": "tag_open",
        "data": sorted(data, key=lambda one: (one["time"], one["value"])),
        "sandbox": {},
        "time": 0,
        "duration": found.seconds,
    }
    about = {"title": Path(name).stem, "artist": "", "release": "", "duration": found.seconds}
    about |= {"identifiers": {}, "jams_version": "0.3.4"}
    return {"annotations": [annotation], "file_metadata": about, "sandbox": {}}


def audio_files(paths: Sequence[Path]) -> list[Path]:
    """List the files to recognise: those named, and all audio in the folders named.

    Raises
    ------
    InputError
        If one is not there, or there is no audio in a folder.
    """
    found = []
    for path in paths:
        if not path.is_dir():
            if not path.exists():
                raise InputError(f"expected an audio file or a folder, found nothing: {path}")
            found.append(path)
            continue
        inside = sorted(
            p for p in path.rglob("*") if p.suffix.lower() in AUDIO and not p.name.startswith(".")
        )
        if not inside:
            raise InputError(f"expected audio files in {path}, found none")
        found += inside
    return list(dict.fromkeys(found))


def output_names(paths: Sequence[Path]) -> dict[Path, str]:
    """Name what is written for each file: its stem, told apart where several have the same."""
    stems = [path.stem for path in paths]
    return {
        path: stem
        if stems.count(stem) == 1
        else f"{stem}_{storage.digest_of(str(path.absolute()))[:8]}"
        for path, stem in zip(paths, stems, strict=True)
    }


def main() -> None:
    """Recognise the instruments of the files that the command line names."""
    parser = command.new_parser(__doc__)
    parser.add_argument("paths", nargs="+", type=Path, metavar="FILE_OR_FOLDER", help="audio")
    command.add_model_options(parser)
    parser.add_argument(
        "--strategy",
        choices=tuple(metrics.STRATEGIES),
        default=STRATEGY,
        help=f"how patches are aggregated ({STRATEGY})",
    )
    for option, what in (
        ("--csv FILE", "all tables as one CSV file"),
        ("--json FILE", "everything, and with which model, as JSON"),
        ("--jams DIR", "one JAMS file a recording: instruments with their times"),
        ("--figures DIR", "one figure a recording: spectrogram and predictions over time"),
    ):
        name, metavar = option.split()
        parser.add_argument(name, type=Path, metavar=metavar, help=f"write {what}")
    with command.parsed(parser) as arguments:
        _run(arguments)


def _run(arguments: argparse.Namespace) -> None:
    model, optimizer = command.trained_model(arguments)
    data_set = command.select_data_set()
    paths = audio_files(arguments.paths)
    recogniser = Recogniser(results.model_files(data_set, model, optimizer), arguments.strategy)
    print(
        f"{model}.{optimizer}: {len(recogniser.records)} runs, trained on "
        f"{recogniser.records[0].get('trained_on', 'training data')} of {data_set.title}"
    )
    if not recogniser.has_thresholds:
        print(
            f"note: the model has no thresholds of its own (evaluate.py -O 2 and "
            f"plot_perf_metrics.py find them): {DEFAULT_THRESHOLD} counts for all labels"
        )
    _ = recogniser.networks  # what is wrong with the model is no fault of the recordings
    for record, iteration in zip(recogniser.records, itertools.count(), strict=False):
        if not train.has_learnt(
            record["best_accuracy"], record["chance"], record["validation_patches"]
        ):
            print(f"warning: run {iteration} of this model has not learnt: do not trust it")
    names = output_names(paths)
    everything: dict[str, Recognition] = {}
    left_out = []
    for path in paths:
        try:
            found = recogniser.predict(path, show_progress=True)
        except InputError as error:
            left_out.append(path)
            print(f"left out: {path}: {error}", file=sys.stderr)
            continue
        everything[str(path)] = found
        print_recognition(str(path), found)
        _write_each(arguments, recogniser, names[path], path, found)
    if everything and arguments.csv:
        with storage.whole(arguments.csv) as partial:
            as_frame(everything).to_csv(partial, index=False, float_format="%.4f")
    if everything and arguments.json:
        storage.save_json(arguments.json, as_json(recogniser, everything))
    if left_out:
        print(f"left out {len(left_out)} of {len(paths)} files in all", file=sys.stderr)
    if not everything:
        raise InputError(f"none of {len(paths)} files could be used")


def _write_each(
    arguments: argparse.Namespace,
    recogniser: Recogniser,
    name: str,
    path: Path,
    found: Recognition,
) -> None:
    if arguments.jams:
        document = as_jams(recogniser, str(path), found)
        storage.save_json(arguments.jams / f"{name}.jams", document)
    if arguments.figures:
        from instrec import figures

        drawn = figures.recognition(
            found, recogniser.labels, f"{path.name} · {recogniser.files.model}"
        )
        for target in figures.save(drawn, arguments.figures / f"{name}.instruments"):
            print(f"figure: {target}")


if __name__ == "__main__":
    command.run(main)
