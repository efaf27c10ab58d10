"""Recognise the instruments of recordings of any length with a trained model."""

import functools
import math
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

import models
from instrec.common import command, storage
from instrec.config import FeatureParameters, data_set_of
from instrec.data import audio, features, separated
from instrec.errors import InputError
from instrec.learning import trained
from instrec.learning.model_files import ModelFiles
from instrec.scoring import metrics, optima, scores
from settings import NOTHING

if TYPE_CHECKING:
    import pandas as pd

VERSION = 5  # of the rule for what plays: raise it when that changes
DEFAULT_THRESHOLD = 0.5  # where a model has no thresholds of its own
STRATEGY = "s2"
QUIET = 30  # dB below the loudest patch: softer patches do not count in strengths
LIKELY = 0.6  # least probability of what is shown
STRONGEST = 0.4  # the same of the strongest instrument: there is one, unless 'none' is heard
NONE = 0.25  # output for 'none' above which none plays: most speech passes it, few solos do
BATCH = 256  # patches per call of the networks
FIGURE_FRAMES = 4000  # columns of a spectrogram, roughly; more than a page has pixels


class Recognition(NamedTuple):
    """What was found in one recording.

    Parameters
    ----------
    table : pandas.DataFrame
        By instrument, the strongest first: strength, probability (only of calibrated models),
        threshold, present, and segments, a tuple of (start, end) in seconds. Present is what passes
        its threshold and, where the probability is known, that of `LIKELY`, or of `STRONGEST` if it
        is the strongest; nothing is where the model finds none of its instruments.
    predictions : np.ndarray [shape=(patches, labels)]
        Outputs of the network, averaged over the trainings.
    spectrogram : np.ndarray [shape=(mel bands, columns)]
        Log-mel spectrogram, with as many columns as a figure needs.
    edges : np.ndarray [shape=(patches + 1,)]
        Times in seconds between which each patch is drawn.
    seconds : float
        Length of the recording.
    sample_rate : int
        Sampling rate in Hz of the analysis.
    is_none : bool
        Whether none of the instruments plays, which only a model with a label for that can say.
    none_segments : tuple of (float, float)
        When none of them plays, in seconds.
    embeddings : np.ndarray [shape=(patches, features)], or None
        Input of the network's last layer, concatenated over the trainings, if asked for.
    note : str
        What is wrong with the file, if it was used nevertheless.
    loud : np.ndarray [shape=(patches,), dtype=bool]
        Which patches count: the others are too soft.
    """

    table: "pd.DataFrame"
    predictions: np.ndarray
    spectrogram: np.ndarray
    edges: np.ndarray
    seconds: float
    sample_rate: int
    is_none: bool = False
    none_segments: tuple[tuple[float, float], ...] = ()
    embeddings: np.ndarray | None = None
    note: str = ""
    loud: np.ndarray | None = None


class StrongestPatch(NamedTuple):
    """The patch of a recording in which the output for a label is highest.

    Parameters
    ----------
    label : int
        Index of the label.
    output : float
        Output of the networks, averaged over the trainings.
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
    files : ModelFiles
        The model; all its finished trainings are used.
    strategy : {'s1', 's2'}
        How the patches of a recording are aggregated.

    Raises
    ------
    InputError
        If the strategy is unknown, or the model not trained or damaged.
    """

    def __init__(self, files: ModelFiles, strategy: str = STRATEGY) -> None:
        if strategy not in metrics.STRATEGIES:
            raise InputError(f"expected strategy 's1' or 's2', found {strategy!r}")
        self.files, self.strategy = files, strategy
        needed = ("settings", "separated", *trained.OF_TRAINING)
        self._trainings = [trained.load(files, i, "train.py", *needed) for i in files.finished()]
        self.records = [training.record for training in self._trainings]
        if not self.records:
            id_, _ = data_set_of(files.folder.parent.name)
            made = f"-m {files.model} -o {files.optimizer} -d {id_}"
            made = made if files.model in models.model_names() else "-x its experiment"
            raise InputError(
                f"expected a trained model in {files.folder}, found none: "
                f"run python3 train.py {made}"
            )
        path = files.run_record(0)
        with storage.parsing(path, "train.py", also=(TypeError,)):  # other types inside
            recipe = self.records[0]["recipe"]
            self.parameters = FeatureParameters.of_recipe(recipe)
            self.labels: tuple[str, ...] = tuple(recipe["labels"])
            self.folders: list[str] = self.records[0]["folders"]
            self.is_separated: bool = self.records[0]["separated"]
            overlap = self.records[0]["settings"]["test_overlap"]
            if not 0 <= overlap < 1:
                raise ValueError(f"test_overlap {overlap!r}")
            self.step = max(1, int(self.parameters.patch_frames * (1 - overlap)))
        trained.check_alike(self._trainings)
        self.means_and_stds = self._trainings[0].means_and_stds()
        self._load_optima()

    def _load_optima(self) -> None:
        """Set the best threshold of each label and the calibration, if the model has them."""
        self.thresholds = np.full(len(self.labels), DEFAULT_THRESHOLD)
        self.evaluated, self.calibration = None, None
        remedy = "evaluate.py -O 2 and plot_perf_metrics.py"
        weights, others = {record["weights"] for record in self.records}, []
        for files in self.files.evaluated():
            recipe, found, calibration = optima.load(files.optima, self.labels, remedy)
            with storage.parsing(files.optima, remedy):
                if set(recipe["weights"]) <= weights:
                    self.evaluated, self.calibration = files, calibration.get(self.strategy)
                    self.thresholds = np.array([*found[self.strategy]["classwise"].values()])
                    return
            others.append(files)
        if self.files in others:
            raise InputError(f"{self.files.optima} is of other networks: run {remedy}")

    @property
    def has_thresholds(self) -> bool:
        """Whether the thresholds are the best ones of this model."""
        return self.evaluated is not None

    def share_right(self) -> float | None:
        """Return how often a label that passes its threshold is right on the model's test clips.

        Returns
        -------
        float or None
            Micro precision with these thresholds; None if evaluate.py -O 3 was not run.
        """
        if self.evaluated is None or not self.evaluated.scores.exists():
            return None
        record, table = scores.load(self.evaluated.scores, "evaluate.py -O 3")
        if record["recipe"]["weights"] != [record["weights"] for record in self.records]:
            return None
        chosen = (table.strategy == self.strategy) & (table.kind == "global_classwise")
        return float(table[chosen & (table.name == "micro")].precision.mean())

    def warn_of_untrained(self) -> None:
        """Print which trainings have not learnt."""
        for iteration, record in enumerate(self.records):
            if not trained.has_learnt(record):
                print(
                    f"warning: training {iteration} of this model has not learnt: do not trust it"
                )

    @functools.cached_property
    def networks(self) -> list:
        """The networks, loaded when they are needed."""
        return [training.network() for training in self._trainings]

    def predict(
        self, path: str | Path, *, show_progress: bool = False, embed: bool = False
    ) -> Recognition:
        """Recognise the instruments of one recording.

        Parameters
        ----------
        path : str or Path
            Audio file.
        show_progress : bool
            Show a progress bar.
        embed : bool
            Return the input of the last layer, too.

        Returns
        -------
        Recognition

        Raises
        ------
        InputError
            If the file cannot be used, with the reason.
        """
        spectrograms, seconds = self._spectrograms(Path(path))
        inputs = [features.patches_of(x, self.parameters, self.step) for x in spectrograms]
        title = Path(path).name if show_progress else None
        outputs, embeddings = self._outputs(inputs, title, embed=embed)
        shown = spectrograms[0][..., 0]
        pool = max(1, shown.shape[1] // FIGURE_FRAMES)  # frames per column of the figure
        whole = shown[:, : shown.shape[1] // pool * pool]
        none, loud = self._none(outputs), audible(spectrograms[0], self.parameters, self.step)
        return Recognition(
            self._table(outputs, seconds, loud),
            outputs,
            whole.reshape(len(whole), -1, pool).mean(axis=-1),
            edges(len(outputs), self._hop, self.parameters.patch_seconds, seconds),
            seconds,
            self.parameters.sample_rate,
            bool(none[loud].mean() > NONE),
            segments(none > NONE, self._hop, self.parameters.patch_seconds, seconds),
            embeddings,
            loud=loud,
        )

    @property
    def _hop(self) -> float:
        """Seconds from patch to patch."""
        return self.step * self.parameters.hop_length / self.parameters.sample_rate

    def strongest_patch(self, path: str | Path, label: int | None = None) -> StrongestPatch:
        """Find the patch of a recording in which the output for a label is highest.

        Parameters
        ----------
        path : str or Path
            Audio file.
        label : int, optional
            Index of the label; by default the strongest one of the whole recording.

        Returns
        -------
        StrongestPatch

        Raises
        ------
        InputError
            If the file cannot be used, with the reason.
        """
        spectrograms, _ = self._spectrograms(Path(path))
        inputs = [features.patches_of(x, self.parameters, self.step) for x in spectrograms]
        outputs, _ = self._outputs(inputs)
        if label is None:  # the strongest that is an instrument
            loud = audible(spectrograms[0], self.parameters, self.step)
            label = self.labels.index(self._table(outputs, 0.0, loud).index[0])
        row = int(outputs[:, label].argmax())
        return StrongestPatch(
            label,
            float(outputs[row, label]),
            row * self._hop,
            [patches[row].copy() for patches in inputs],
        )

    def _spectrograms(self, path: Path) -> tuple[list[np.ndarray], float]:
        """Return [bands x frames x channels] for each network input, and the length in seconds."""
        rate = self.parameters.sample_rate
        if self.is_separated:
            sounds = self._separated(path, rate)
        else:
            sounds = [audio.load_audio(path, rate)] * len(self.folders)
        shortest = min(map(len, sounds))  # separated sounds may differ in length
        spectrograms = [features.log_mel_channels(y[:shortest], self.parameters) for y in sounds]
        return spectrograms, shortest / rate

    def _separated(self, path: Path, rate: int) -> list[np.ndarray]:
        """Separate a recording into what each input of the networks hears."""
        with tempfile.TemporaryDirectory() as folder:
            targets = {name: Path(folder) / f"{name}.wav" for name in self.folders}
            # In floating point, so that nothing is clipped.
            outcome = separated.separate_file(path, targets, ("WAV", "FLOAT"))
            if outcome.reason:
                raise InputError(outcome.reason)
            if outcome.note:
                warnings.warn(outcome.note, audio.Damaged, stacklevel=2)
            return [audio.load_audio(target, rate) for target in targets.values()]

    def _outputs(
        self, inputs: list[np.ndarray], title: str | None = None, *, embed: bool = False
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Average the outputs of all networks for patches, one array per input: [patches x labels].

        Also return the input of their last layers, [patches x features], if asked for.
        """
        found, embeddings = [], []
        networks = self._probes if embed else self.networks
        starts = range(0, len(inputs[0]), BATCH)
        for start in command.progress(starts, unit="batch", desc=title, disable=title is None):
            batch = [np.ascontiguousarray(x[start : start + BATCH]) for x in inputs]
            x = features.network_input(batch, self.means_and_stds)
            outputs = [network.predict_on_batch(x) for network in networks]
            if embed:
                outputs, taken = zip(*outputs, strict=True)
                embeddings.append(np.concatenate(taken, axis=1))
            found.append(np.mean(outputs, axis=0))
        return np.concatenate(found), np.concatenate(embeddings) if embed else None

    @functools.cached_property
    def _probes(self) -> list:
        """The networks with a second output: the input of their last layers."""
        from instrec.learning.backend import keras

        return [
            keras.Model(network.inputs, [network.outputs[0], network.layers[-1].input])
            for network in self.networks
        ]

    def _none(self, predictions: np.ndarray) -> np.ndarray:
        """Return the output for 'none of the instruments' by patch; 0 without such a label."""
        return predictions[:, np.array(self.labels) == NOTHING].sum(axis=1)

    def _table(self, predictions: np.ndarray, seconds: float, loud: np.ndarray) -> "pd.DataFrame":
        """Return the table for outputs by patch; only loud patches count in strengths."""
        import pandas as pd

        instruments = np.flatnonzero(np.array(self.labels) != NOTHING)
        none, thresholds = self._none(predictions), self.thresholds[instruments]
        predictions = predictions[:, instruments]
        strengths = metrics.STRATEGIES[self.strategy](predictions[loud])
        present = metrics.decide(strengths, thresholds) & (none[loud].mean() <= NONE)
        columns = {"strength": strengths}
        if self.calibration is not None:
            # Relative strengths alone would always let something pass, even in noise.
            averages = metrics.averages(self.strategy, predictions[loud])
            columns["probability"] = metrics.calibrated(averages, self.calibration)
            is_strongest = np.arange(len(strengths)) == strengths.argmax()
            present &= columns["probability"] >= np.where(is_strongest, STRONGEST, LIKELY)
        hop, length = self._hop, self.parameters.patch_seconds
        playing = activity(predictions, self.strategy, loud) >= thresholds
        playing &= present & ((none <= NONE) & loud)[:, None]
        found = [segments(of_label, hop, length, seconds) for of_label in playing.T]
        columns |= {"threshold": thresholds, "present": present, "segments": found}
        index = pd.Index([self.labels[i] for i in instruments], name="instrument")
        table = pd.DataFrame(columns, index=index)
        return table.sort_values("strength", ascending=False, kind="stable")


@functools.lru_cache(maxsize=1)  # a process loads the networks of a model once, for all recordings
def recogniser(files: ModelFiles, strategy: str, _contents: tuple[str, ...]) -> Recogniser:
    """Return the recogniser of a model whose files have these `contents`.

    Parameters
    ----------
    files, strategy
        As for `Recogniser`.
    _contents : tuple of str
        As `contents` returns them.

    Returns
    -------
    Recogniser
    """
    return Recogniser(files, strategy)


def contents(files: ModelFiles) -> tuple[str, ...]:
    """Return digests of the records of a model: they change with its weights and thresholds.

    Parameters
    ----------
    files : ModelFiles
        The model.

    Returns
    -------
    tuple of str
    """
    paths = [files.run_record(iteration) for iteration in files.finished()]
    paths += [result.optima for result in files.evaluated()]
    return tuple(map(storage.digest_of_file, paths))


def recognise(
    path: Path,
    model: tuple[ModelFiles, str, tuple[str, ...]],
    show_progress: bool,
    embed: bool = False,
) -> Recognition | str:
    """Recognise the instruments of one recording, or return the reason why it cannot be used.

    Parameters
    ----------
    path : Path
        Audio file.
    model : tuple
        Arguments of `recogniser`.
    show_progress : bool
        Show a progress bar.
    embed : bool
        Return the input of the last layer, too.

    Returns
    -------
    Recognition, or str
    """
    found, reasons = None, []
    with audio.notes() as notes:
        try:
            found = recogniser(*model).predict(path, show_progress=show_progress, embed=embed)
        except InputError as error:
            reasons.append(str(error))
    said = "; ".join(dict.fromkeys(reasons + notes))
    return said if found is None else found._replace(note=said)


def audible(spectrogram: np.ndarray, parameters: FeatureParameters, step: int) -> np.ndarray:
    """Tell which patches are at most `QUIET` dB below the loudest; in the others, notes die away.

    Networks that take each patch on its own hear room noise as loud as music.

    Parameters
    ----------
    spectrogram : np.ndarray [shape=(mel bands, frames, channels)]
        Log-mel magnitudes.
    parameters : FeatureParameters
        They give the length of a patch.
    step : int
        Frames from patch to patch.

    Returns
    -------
    np.ndarray [shape=(patches,), dtype=bool]
    """
    powers = np.mean(np.exp(2 * spectrogram), axis=(0, 2))[None, :, None]  # of each frame
    by_patch = features.cut_patches(powers, parameters.patch_frames, step).mean(axis=(1, 2, 3))
    return by_patch >= by_patch.max() * 10 ** (-QUIET / 10)


def activity(predictions: np.ndarray, strategy: str, loud: np.ndarray) -> np.ndarray:
    """Scale patch outputs as the strategy scales their clip: by the strongest average.

    Soft patches, which do not count in that, become 0.

    Parameters
    ----------
    predictions : np.ndarray [shape=(patches, labels)]
        Outputs of the network.
    strategy : {'s1', 's2'}
        How the clip is aggregated.
    loud : np.ndarray [shape=(patches,), dtype=bool]
        As `audible` tells; at least one.

    Returns
    -------
    np.ndarray [shape=(patches, labels)]
        To be compared with the thresholds of that strategy.
    """
    strongest = metrics.averages(strategy, predictions[loud]).max() or 1.0
    return predictions * loud[:, None] / strongest


def edges(patches: int, hop: float, length: float, seconds: float) -> np.ndarray:
    """Return the times between which each patch is drawn: around its middle.

    Parameters
    ----------
    patches : int
        How many.
    hop, length : float
        Seconds from patch to patch, and of one patch.
    seconds : float
        Length of the recording.

    Returns
    -------
    np.ndarray [shape=(patches + 1,)]
        In seconds, from the start of the recording to its end.
    """
    inner = (length - hop) / 2 + hop * np.arange(1, patches)
    return np.concatenate([[0.0], inner, [seconds]])


def segments(
    playing: np.ndarray, hop: float, length: float, seconds: float
) -> tuple[tuple[float, float], ...]:
    """Join the patches in which an instrument plays into segments.

    Parameters
    ----------
    playing : np.ndarray [shape=(patches,), dtype=bool]
        Whether it plays in each patch.
    hop, length : float
        Seconds from patch to patch, and of one patch.
    seconds : float
        Length of the recording; the last patch extends to it.

    Returns
    -------
    tuple of (float, float)
        Start and end in seconds; patches that touch or overlap are one segment.
    """
    edges = np.flatnonzero(np.diff(np.concatenate([[False], playing, [False]]).astype(int)))
    found: list[tuple[float, float]] = []
    last = math.floor(round(100 * seconds, 6)) / 100  # no end is later, not even by rounding
    for first, after in edges.reshape(-1, 2):
        start = first * hop
        end = seconds if after == len(playing) else (after - 1) * hop + length
        if found and start <= found[-1][1]:
            start = found.pop()[0]
        found.append((round(float(start), 2), min(round(float(end), 2), last)))
    return tuple(found)
