"""The tensors of a data set: what generate_dataset.py writes and the other scripts read.

A part ('train' or 'test') is a folder that appears as a whole:

    X_<audio folder>.npy   patches of one input [patches x mel bands x frames x channels], float32
    file_id.npy            file of each patch, as its row in the metadata [patches]
    files.npy              file names, in the order of the metadata [files]
    labels.npy             labels of each file, as zeros and ones [files x labels]
    split_*.npy            True for validation [patches], or for the pure half [files]
    record.json            what made them, how many, and which files were left out
"""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

import settings
from instrec.common import storage
from instrec.data import features, splits
from instrec.errors import InputError

PARTS = ("train", "test")
RECORD = "record.json"
MOMENTS_BLOCK = 512  # patches in memory at once
RENDERED_NOTE = "rendered.json"  # marks an audio folder that render_dataset.py made


def folder(data_set: settings.DataSet, part: str) -> Path:
    """Folder of one part of a data set."""
    return data_set.feature_path / part


def is_rendered(data_set: settings.DataSet) -> bool:
    """Tell whether the audio of a data set, or what it was separated from, was rendered."""
    folders = {*data_set.folders, data_set.root}
    return any((settings.DATA_PATH / folder / RENDERED_NOTE).exists() for folder in folders)


def check_inputs(data_set: settings.DataSet, inputs: int, methods: tuple[str, str]) -> None:
    """Refuse the method for one input on a data set with two, and the reverse.

    Parameters
    ----------
    data_set : settings.DataSet
        The data set.
    inputs : int
        Inputs that the called method is for.
    methods : (str, str)
        Names of the methods for one and for two inputs.
    """
    found = len(data_set.folders)
    if found != inputs:
        raise InputError(f"{data_set.title} has {found} input(s): call {methods[found - 1]}")


def input_name(audio_folder: str) -> str:
    """Name of the tensor of one input, without `.npy`."""
    return f"X_{audio_folder}"


def step_of(part: str, patch_frames: int) -> int:
    """Frames from patch to patch: training patches never overlap (thesis 4.1.1)."""
    return patch_frames if part == "train" else settings.test_step


def metadata_path(data_set: settings.DataSet, part: str) -> Path:
    """Metadata of one part, which create_encoding.py writes."""
    return data_set.feature_path / f"{part}.csv"


def is_made_of(path: Path, made_of: dict) -> bool:
    """Tell whether the record of a folder of tensors is there and names exactly this."""
    try:
        record = storage.load_json(path / RECORD, _remedy(), expected={"made_of": dict})
    except InputError:
        return False
    return not storage.differences(record["made_of"], made_of)


def finish(
    path: Path,
    files: list[str],
    labels: np.ndarray,
    writer: storage.PatchWriter,
    made_of: dict,
) -> None:
    """Write all but the patches, once these are complete.

    Parameters
    ----------
    path : Path
        Folder of the part, still under its partial name.
    files : list of str
        File names in the order of the metadata.
    labels : np.ndarray [shape=(files, labels)]
        Zeros and ones.
    writer : storage.PatchWriter
        The writer of the patches, which has them all.
    made_of : dict
        All that determines the tensors.

    Raises
    ------
    InputError
        If no file could be used.
    """
    counts = [line["patches"] for line in writer.done]
    if sum(counts) == 0:
        first = writer.done[0]
        raise InputError(
            f"none of {len(files)} files in {settings.DATA_PATH} could be used; the first, "
            f"{first['file']}: {first['reason']}. Mend them and run {_remedy()}"
        )
    file_id = np.repeat(np.arange(len(files), dtype=np.int32), counts)
    storage.save_array(path / "file_id.npy", file_id)
    storage.save_array(path / "files.npy", np.array(files))
    storage.save_array(path / "labels.npy", labels)
    record = {
        "made_of": made_of,
        "fingerprint": writer.fingerprint(),
        "files": len(files),
        "patches": sum(counts),
        "left_out": {line["file"]: line["reason"] for line in writer.done if line["reason"]},
        "made_with": storage.environment("numpy", "scipy", "librosa", "soundfile", "soxr"),
    }
    storage.save_json(path / RECORD, record)


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
    """

    part: str
    path: Path
    inputs: list[np.ndarray] = field(repr=False)
    file_id: np.ndarray = field(repr=False)
    files: list[str] = field(repr=False)
    labels: np.ndarray = field(repr=False)
    label_names: tuple[str, ...]
    record: dict = field(repr=False)

    @property
    def kind(self) -> str:
        """What the audio is, so that scores on rendered music are never taken for others."""
        return "rendered " if self.record["made_of"].get("rendered") else ""

    @property
    def fingerprint(self) -> str:
        """Digest of the patches."""
        return self.record["fingerprint"]

    @cached_property
    def class_id(self) -> np.ndarray:
        """Label of each patch where every file has one label [patches]."""
        return self.labels.argmax(axis=1)[self.file_id]

    def validation_mask(self, fraction: float) -> np.ndarray:
        """Tell the validation patches when `fraction` of the patches trains [patches]."""
        kind = "" if settings.balanced else "_random"
        return self._saved_split(
            f"split_{fraction:g}_{settings.split_by}_{settings.seed}{kind}",
            self.file_id.shape,
            lambda: splits.validation_mask(
                self.class_id,
                self.file_id,
                fraction,
                recordings=[splits.recording_of(name) for name in self.files],
                split_by=settings.split_by,
                balanced=settings.balanced,
                seed=settings.seed,
                names=self.label_names,
            ),
        )

    def pure_mask(self) -> np.ndarray:
        """Tell the files of the pure half from those of the development half [files]."""
        return self._saved_split(
            f"split_pure_{settings.seed}",
            (len(self.files),),
            lambda: splits.halves(
                [self.names_of(i) for i in range(len(self.files))], seed=settings.seed
            ),
        )

    def moments(self, rows: np.ndarray) -> list[tuple[float, float]]:
        """Compute mean and standard deviation of some patches, of each input.

        Parameters
        ----------
        rows : np.ndarray [shape=(n,)]
            The patches, all of whose values count alike; read in blocks of bounded size.

        Returns
        -------
        list of (float, float)
            Mean and deviation, 1 where all values are the same.
        """
        found = []
        for tensor in self.inputs:
            blocks = np.array_split(np.sort(rows), -(-len(rows) // MOMENTS_BLOCK))
            # Of each block: sums of the values and of their squares, in double precision.
            patches = storage.Rows(tensor)
            sums = [
                (block.sum(), np.square(block).sum())
                for block in (patches[of_block].astype(np.float64) for of_block in blocks)
            ]
            mean, square = np.sum(sums, axis=0) / (len(rows) * np.prod(tensor.shape[1:]))
            found.append((float(mean), float(np.sqrt(max(square - mean**2, 0))) or 1.0))
        return found

    def names_of(self, file: int) -> tuple[str, ...]:
        """Label names of one file."""
        return tuple(np.array(self.label_names)[self.labels[file]])

    def patches_of_labels(self) -> Iterator[tuple[str, np.ndarray]]:
        """Yield each label and the mask of the patches that have it [patches]."""
        for name, has_label in zip(self.label_names, self.labels.T, strict=True):
            yield name, has_label[self.file_id]

    def _saved_split(
        self, name: str, shape: tuple[int], compute: Callable[[], np.ndarray]
    ) -> np.ndarray:
        """Load a split, or compute it once and save it beside the tensors."""
        path = self.path / f"{name}.npy"
        if not path.exists():
            # Several trainings may need it at once: the first one saves it.
            with storage.lock(self.path, "the split", wait=60):
                if not path.exists():
                    storage.save_array(path, compute())
        return _load_array(path, shape, "b")


def load(data_set: settings.DataSet, part: str) -> Tensors:
    """Open the tensors of one part.

    Raises
    ------
    InputError
        If they are missing or damaged, or were made with other settings than today's.
    """
    path = folder(data_set, part)
    if not path.exists() and storage.is_recoverable(path):
        with storage.lock(path.parent, "tensors"):  # or else another run is just replacing it
            storage.recover_folder(path)
    expected = {"made_of": dict, "fingerprint": str, "patches": int, "files": int}
    record = storage.load_json(path / RECORD, _remedy(), expected=expected)
    parameters = features.parameters_of(data_set)
    wanted = {
        **asdict(parameters),
        "step": step_of(part, parameters.patch_frames),
        "labels": list(data_set.labels),
    }
    different = storage.mismatches(record, wanted)
    if different:
        raise InputError(
            f"the tensors in {path} were made with other settings than today's "
            f"({'; '.join(different)}): run {_remedy()}"
        )
    metadata = metadata_path(data_set, part)
    if not metadata.exists():
        raise InputError(
            f"expected {metadata}, found nothing: run python3 create_encoding.py "
            f"-d {settings.dataset}, then {_remedy()}"
        )
    if record["made_of"].get("metadata") != storage.digest_of_file(metadata):
        raise InputError(f"{metadata} has changed since {path} was made: run {_remedy()}")

    patches, files = record["patches"], record["files"]
    file_id = _load_array(path / "file_id.npy", (patches,), "i")
    if not 0 <= file_id.min(initial=0) <= file_id.max(initial=0) < files:
        raise InputError(
            f"{path / 'file_id.npy'} is damaged (file {file_id.max()} of {files}): "
            f"delete it and run {_remedy(force=True)}"
        )
    shape = (patches, *parameters.patch_shape)
    return Tensors(
        part,
        path,
        [
            _load_array(path / f"{input_name(name)}.npy", shape, "f4", in_memory=False)
            for name in data_set.folders
        ],
        file_id,
        _load_array(path / "files.npy", (files,), "U").tolist(),
        _load_array(path / "labels.npy", (files, len(data_set.labels)), "u").astype(bool),
        data_set.labels,
        record,
    )


def _load_array(
    path: Path, shape: tuple[int, ...], kind: str, *, in_memory: bool = True
) -> np.ndarray:
    """Load an array of this shape and type (a kind of NumPy's, with or without size)."""
    array = storage.load_array(path, _remedy(force=True), in_memory=in_memory)
    is_right = array.shape == shape and array.dtype.str[1:].startswith(kind)
    if not (is_right and array.dtype.isnative and array.flags.c_contiguous):
        order = "C" if array.flags.c_contiguous else "Fortran"
        raise InputError(
            f"{path} is damaged: expected shape {shape}, type {kind}, order C, found "
            f"{array.shape}, {array.dtype.str}, {order}: delete it and run {_remedy(force=True)}"
        )
    return array


def _remedy(*, force: bool = False) -> str:
    return f"python3 generate_dataset.py -d {settings.dataset}" + (" --force" if force else "")
