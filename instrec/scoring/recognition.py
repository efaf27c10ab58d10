"""Recognise the instruments of recordings of any length with a trained model."""

import contextlib
import dataclasses
import functools
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from instrec.common import command, storage
from instrec.data import features
from instrec.errors import InputError
from instrec.learning import model_files as results
from instrec.learning import trained as networks
from instrec.scoring import metrics

if TYPE_CHECKING:
    import pandas as pd

DEFAULT_THRESHOLD = 0.5  # where a model has no thresholds of its own
STRATEGY = "s2"
FIGURE_FRAMES = 4000  # columns of a spectrogram, about; more than a page has pixels


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
    sample_rate : int
        Rate in Hz at which it was heard.
    """

    table: "pd.DataFrame"
    predictions: np.ndarray
    spectrogram: np.ndarray
    seconds: float
    sample_rate: int


class StrongestPatch(NamedTuple):
    """The patch of a recording in which the output for a label is highest.

    Parameters
    ----------
    label : int
        Index of the label.
    output : float
        Output of the networks, averaged over the iterations.
    start : float
        Seconds into the recording where the patch begins.
    inputs : list of np.ndarray [shape=(mel bands, frames, channels)]
        The log-mel patch of each input of the networks, not standardised.
    """

    label: int
    output: float
    start: float
    inputs: list[np.ndarray]


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
        needed = ("made_of", "weights", "settings", "folders", "separated", "best_accuracy")
        needed += ("chance", "validation_patches")
        self.records = [
            networks.load_record(files, i, "train.py", *needed) for i in files.finished()
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
            if not 0 <= overlap < 1:
                raise ValueError(f"test_overlap {overlap!r}")
            self.step = max(1, int(self.parameters.patch_frames * (1 - overlap)))
        networks.check_alike(files, self.records)
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

    def warn_of_untrained(self) -> None:
        """Print which trainings have not learnt."""
        for iteration, record in enumerate(self.records):
            if not networks.has_learnt(record):
                print(f"warning: run {iteration} of this model has not learnt: do not trust it")

    @property
    def networks(self) -> list:
        """The networks, loaded when they are needed."""
        if not self._networks:
            for iteration, record in enumerate(self.records):
                networks.check_weights(self.files, iteration, record, "train.py")
                self._networks.append(networks.load_network(self.files, iteration, "train.py"))
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
            with bar:
                for blocks in self._blocks(inputs):
                    predictions.append(self._outputs(blocks))
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
            self._table(outputs, seconds),
            outputs,
            np.concatenate(columns, axis=1),
            seconds,
            self.parameters.sample_rate,
        )

    def strongest_patch(self, path: str | Path, label: int | None = None) -> StrongestPatch:
        """Find the patch of a recording in which the output for a label is highest.

        Parameters
        ----------
        path : str or Path
            Audio file.
        label : int, optional
            Index of the label; by default the strongest one of the whole recording.

        Raises
        ------
        InputError
            If the file cannot be used, with the reason.
        """
        hop = self.step * self.parameters.hop_length / self.parameters.sample_rate
        found: dict[int, StrongestPatch] = {}  # of each label until now, and no other patch
        predictions, done = [], 0
        with tempfile.TemporaryDirectory() as folder, self._inputs(Path(path), folder) as inputs:
            for blocks in self._blocks(inputs):
                outputs = self._outputs(blocks)
                for one, row in enumerate(outputs.argmax(axis=0)):
                    output = float(outputs[row, one])
                    if one not in found or output > found[one].output:
                        patch = [block[row].copy() for block in blocks]  # not all of its block
                        found[one] = StrongestPatch(one, output, float((done + row) * hop), patch)
                predictions.append(outputs)
                done += len(outputs)
        if label is None:
            strengths = metrics.STRATEGIES[self.strategy](np.concatenate(predictions))
            label = int(strengths.argmax())
        return found[label]

    def _blocks(self, inputs: list[Path]) -> Iterator[list[np.ndarray]]:
        """Yield the patches of all inputs block by block; separated parts may differ in length."""
        streams = (features.patches_in_blocks(one, self.parameters, self.step) for one in inputs)
        for blocks in zip(*streams, strict=False):
            shortest = min(map(len, blocks))
            yield [block[:shortest] for block in blocks]

    def _outputs(self, inputs: list[np.ndarray]) -> np.ndarray:
        """Average what all networks say of a block of patches, one array an input."""
        x = features.network_input(inputs, self.records[0].get("moments"))
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


@functools.lru_cache(maxsize=1)  # a process loads the networks of a model once, for all recordings
def recogniser(files: results.ModelFiles, strategy: str, _contents: tuple[str, ...]) -> Recogniser:
    """Return the recogniser of a model whose files have these `contents`."""
    return Recogniser(files, strategy)


def contents(files: results.ModelFiles) -> tuple[str, ...]:
    """Digests of the records of a model; other weights or thresholds make others."""
    paths = [files.run_record(iteration) for iteration in files.finished()] + [files.optima]
    return tuple(storage.digest_of_file(path) for path in paths if path.exists())


def recognise(
    path: Path, model: tuple[results.ModelFiles, str, tuple[str, ...]], show_progress: bool
) -> Recognition | str:
    """Recognise the instruments of one recording, or return the reason why it cannot be used.

    Parameters
    ----------
    path : Path
        Audio file.
    model : tuple
        Arguments of `recogniser`.
    show_progress : bool
        Show a bar.
    """
    try:
        return recogniser(*model).predict(path, show_progress=show_progress)
    except InputError as error:
        return str(error)


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

    with features.writing(target), contextlib.ExitStack() as opened:
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
