"""The tensors of a data set: what generate_dataset.py writes and the other scripts read.

A part ('train' or 'test') is a folder that appears as a whole:

    X_<audio folder>.npy   patches of one input [patches x mel bands x frames x channels], float32
    file_id.npy            file of each patch, as its row in the metadata [patches]
    files.npy              file names, in the order of the metadata [files]
    labels.npy             labels of each file, as zeros and ones [files x labels]
    split_*.npy            True for validation, or for the pure half of the test data [patches]
    record.json            what made them, how many, and which files were left out
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from instrec.common import storage
from instrec.config import Config
from instrec.data import features, metadata, splits
from instrec.errors import InputError

PARTS = ("train", "test")
RECORD = "record.json"
BLOCK = 512  # patches in memory at once
MIN_STD = 0.1  # nepers, 0.9 dB: else a cell that is silent in all training patches would explode
HeldOut = bool | tuple[int, int]  # see `Tensors.training_rows`
RENDERED_NOTE = "rendered.json"  # marks an audio folder that render_dataset.py made


def folder(config: Config, part: str) -> Path:
    """Return the folder of one part of the data set.

    Parameters
    ----------
    config : Config
        It names the data set.
    part : {'train', 'test'}
        Which part.

    Returns
    -------
    Path
    """
    return config.feature_folder / part


def is_rendered(config: Config) -> bool:
    """Tell whether the audio of the data set, or what it was separated from, was rendered.

    Parameters
    ----------
    config : Config
        It names the data set.

    Returns
    -------
    bool
    """
    folders = {*config.data_set.folders, config.data_set.root}
    return any((config.data_path / name / RENDERED_NOTE).exists() for name in folders)


def incomplete(config: Config) -> str:
    """Say what the audio of the data set lacks compared with IRMAS as distributed; '' if nothing.

    Parameters
    ----------
    config : Config
        It names the data set.

    Returns
    -------
    str
    """
    data_set, root = config.data_set, config.data_path / config.data_set.root
    if data_set.root != "irmas" or is_rendered(config) or not root.is_dir():
        return ""
    return metadata.missing_from_irmas(root, metadata.known_labels(data_set))


def input_name(audio_folder: str) -> str:
    """Name the tensor of one input, without `.npy`.

    Parameters
    ----------
    audio_folder : str
        Folder of the input's audio.

    Returns
    -------
    str
    """
    return f"X_{audio_folder}"


def has_recipe(path: Path, recipe: dict) -> bool:
    """Tell whether a folder of tensors has a record of exactly this recipe.

    Parameters
    ----------
    path : Path
        The folder.
    recipe : dict
        What should have made it.

    Returns
    -------
    bool
    """
    try:
        record = storage.load_json(path / RECORD, "", expected={"recipe": dict})
    except InputError:
        return False
    return not storage.differences(record["recipe"], recipe)


def validation_mask(
    config: Config, class_id: np.ndarray, file_id: np.ndarray, files: Sequence[str], fraction: float
) -> np.ndarray:
    """Mark the validation patches: see `splits.validation_mask`.

    Parameters
    ----------
    config : Config
        How to split, and the seed.
    class_id, file_id : np.ndarray of int [shape=(n,)]
        Class and file of each patch.
    files : sequence of str
        File names; needed to split by recording.
    fraction : float
        Share that trains, from 0 to 1.

    Returns
    -------
    np.ndarray [shape=(n,), dtype=bool]
    """
    return splits.validation_mask(
        class_id,
        file_id,
        fraction,
        recordings=[splits.recording_of(name) for name in files],
        split_by=config.split_by,
        balanced=config.balanced,
        seed=config.seed,
        names=config.labels if config.row else (),
    )


def split_name(config: Config, fraction: float | None = None) -> str:
    """Name the file of a split after everything that determines it.

    Parameters
    ----------
    config : Config
        How to split, and the seed.
    fraction : float, optional
        Share of the training data that trains; None for the halves of the test data.

    Returns
    -------
    str
    """
    if fraction is None:
        return f"split_pure_{config.halve_by}_{config.seed}"
    kind = "" if config.balanced else "_random"
    return f"split_{fraction:g}_{config.split_by}_{config.seed}{kind}"


@dataclass(frozen=True)
class Tensors:
    """One part of a data set, read from disk; the patches stay there (memory maps).

    Parameters
    ----------
    part : {'train', 'test'}
        Which part.
    path : Path
        Its folder.
    inputs : list of np.ndarray [shape=(patches, bands, frames, channels)]
        Patches of each input of the network.
    file_id : np.ndarray [shape=(patches,)]
        File of each patch.
    files : list of str
        File names.
    labels : np.ndarray [shape=(files, labels), dtype=bool]
        Labels of each file.
    label_names : tuple of str
        The label set.
    record : dict
        What made the tensors.
    remedy : str
        The command that makes them.
    """

    part: str
    path: Path
    inputs: list[np.ndarray] = field(repr=False)
    file_id: np.ndarray = field(repr=False)
    files: list[str] = field(repr=False)
    labels: np.ndarray = field(repr=False)
    label_names: tuple[str, ...]
    record: dict = field(repr=False)
    remedy: str = field(repr=False)

    @property
    def kind(self) -> str:
        """Kind of audio, so that no score on rendered or incomplete audio passes for a full one."""
        if self.record["recipe"].get("rendered"):
            return "rendered "
        return "incomplete " if self.record["recipe"].get("incomplete") else ""

    @property
    def fingerprint(self) -> str:
        """Digest of the patches."""
        return self.record["fingerprint"]

    @cached_property
    def class_id(self) -> np.ndarray:
        """Label of each patch where every file has one label [patches]."""
        return self.labels.argmax(axis=1)[self.file_id]

    def validation_mask(self, config: Config, fraction: float) -> np.ndarray:
        """Mark the validation patches when `fraction` of the patches trains [patches].

        Parameters
        ----------
        config : Config
            How to split, and the seed.
        fraction : float
            Share that trains, from 0 to 1.

        Returns
        -------
        np.ndarray [shape=(patches,), dtype=bool]
        """
        return self.saved_split(
            split_name(config, fraction),
            lambda: validation_mask(config, self.class_id, self.file_id, self.files, fraction),
        )

    def fold_mask(self, config: Config, fold: int, folds: int) -> np.ndarray:
        """Mark the patches of a fold: see `splits.fold_mask`.

        Parameters
        ----------
        config : Config
            The seed.
        fold, folds : int
            Number of the fold, and how many there are.

        Returns
        -------
        np.ndarray [shape=(patches,), dtype=bool]
        """
        recordings = [splits.recording_of(name) for name in self.files]
        _, recording_id = np.unique(recordings, return_inverse=True)
        recording_id = recording_id[self.file_id]
        return splits.fold_mask(self.class_id, recording_id, fold, folds, seed=config.seed)

    def training_rows(
        self, config: Config, fraction: float, *, held_out: HeldOut = False
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the rows of patches that train and of those that validate.

        Parameters
        ----------
        config : Config
            How to split, and the seed.
        fraction : float
            Share that trains, from 0 to 1.
        held_out : bool or (int, int)
            Hold the rest out for confusion matrices (thesis 5.2.2) instead of validating on it; or
            hold out a fold, given as its number and the number of folds. Of what is not held out,
            `val_split` trains and the rest validates.

        Returns
        -------
        train_rows, validation_rows : np.ndarray [shape=(n,), dtype=int]
        """
        if isinstance(held_out, tuple):
            apart = self.fold_mask(config, *held_out)
        else:
            apart = self.validation_mask(config, fraction)
        rows = np.flatnonzero(~apart)
        if not held_out:
            return rows, np.flatnonzero(apart)
        validation = validation_mask(
            config, self.class_id[rows], self.file_id[rows], self.files, config.val_split
        )
        return rows[~validation], rows[validation]

    def pure_mask(self, config: Config) -> np.ndarray:
        """Tell the patches of the pure half from those of the development half [patches].

        Parameters
        ----------
        config : Config
            What stays together, and the seed.

        Returns
        -------
        np.ndarray [shape=(patches,), dtype=bool]
        """
        names = np.array(self.label_names)
        return self.saved_split(
            split_name(config),
            lambda: splits.pure_mask(
                [names[row] for row in self.labels],
                self.files,
                self.file_id,
                halve_by=config.halve_by,
                seed=config.seed,
            ),
        )

    def means_and_stds(self, rows: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
        """Compute the mean and standard deviation of each cell of some patches (thesis 5.5.2).

        In two passes, as the mean of squares less the square of the mean leaves rounding errors in
        a constant cell; read in blocks of bounded size.

        Parameters
        ----------
        rows : np.ndarray [shape=(n,)]
            The patches, all weighted alike.

        Returns
        -------
        list of (np.ndarray, np.ndarray) [shape=(bands, frames, channels), dtype=float32]
            Of each input; a deviation is at least `MIN_STD`.
        """
        found = []
        for tensor in map(storage.Rows, self.inputs):
            blocks = np.array_split(np.sort(rows), -(-len(rows) // BLOCK))
            mean = sum(tensor[block].sum(axis=0, dtype=np.float64) for block in blocks) / len(rows)
            squares = sum(np.square(tensor[block] - mean).sum(axis=0) for block in blocks)
            std = np.maximum(np.sqrt(squares / len(rows)), MIN_STD)
            found.append((mean.astype(np.float32), std.astype(np.float32)))
        return found

    def saved_split(self, name: str, compute: Callable[[], np.ndarray]) -> np.ndarray:
        """Load a split of the patches, or compute it once and save it beside the tensors.

        Parameters
        ----------
        name : str
            From `split_name`.
        compute : callable
            Returns the split.

        Returns
        -------
        np.ndarray [shape=(patches,), dtype=bool]
        """
        path = self.path / f"{name}.npy"
        if not path.exists():
            # Several trainings may need it at once: the first one saves it.
            with storage.lock(self.path, "the split", wait=60):
                if not path.exists():
                    storage.save_array(path, compute())
        return _load_array(path, self.file_id.shape, "b", self.remedy)


def load(config: Config, part: str) -> Tensors:
    """Open the tensors of one part of the data set.

    Parameters
    ----------
    config : Config
        It names the data set.
    part : {'train', 'test'}
        Which part.

    Returns
    -------
    Tensors

    Raises
    ------
    InputError
        If they are missing or damaged, or were made with settings other than today's.
    """
    path, parameters = folder(config, part), config.features
    remedy = f"python3 generate_dataset.py {config.options}"
    expected = {"recipe": dict, "fingerprint": str, "patches": int, "files": int}
    record = storage.load_json(path / RECORD, remedy, expected=expected)
    wanted = asdict(parameters) | {"step": config.step(part), "labels": list(config.labels)}
    wanted["version"] = features.VERSION
    if different := storage.mismatches(record, wanted):
        raise InputError(
            f"the tensors in {path} were made with other settings than today's "
            f"({different}): run {remedy}"
        )
    table = metadata.path_of(config, part)
    with storage.parsing(table, f"python3 create_encoding.py {config.options}, then {remedy}"):
        digest = storage.digest_of_file(table)
    if record["recipe"].get("metadata") != digest:
        raise InputError(f"{table} has changed since {path} was made: run {remedy}")

    patches, files = record["patches"], record["files"]
    remedy += " --force"
    file_id = _load_array(path / "file_id.npy", (patches,), "i", remedy)
    if not 0 <= file_id.min(initial=0) <= file_id.max(initial=0) < files:
        raise InputError(
            f"{path / 'file_id.npy'} is damaged (file {file_id.max()} of {files}): run {remedy}"
        )
    shape = (patches, *parameters.patch_shape)
    inputs = [
        _load_array(path / f"{input_name(name)}.npy", shape, "f4", remedy, in_memory=False)
        for name in config.data_set.folders
    ]
    names = _load_array(path / "files.npy", (files,), "U", remedy).tolist()
    labels = _load_array(path / "labels.npy", (files, len(config.labels)), "u", remedy)
    return Tensors(
        part, path, inputs, file_id, names, labels.astype(bool), config.labels, record, remedy
    )


def _load_array(
    path: Path, shape: tuple[int, ...], kind: str, remedy: str, *, in_memory: bool = True
) -> np.ndarray:
    """Load an array of this shape and type (a NumPy kind, with or without size)."""
    array = storage.load_array(path, remedy, in_memory=in_memory)
    is_right = array.shape == shape and array.dtype.str[1:].startswith(kind)
    if not (is_right and array.dtype.isnative and array.flags.c_contiguous):
        raise InputError(
            f"{path} is damaged: expected shape {shape} and type {kind} in C order, found "
            f"{array.shape} and {array.dtype.str}: run {remedy}"
        )
    return array
