#!/usr/bin/env python3
"""Step 2 of 4: turn the audio of a data set into log-mel patches, as .npy tensors.

Reads the metadata of create_encoding.py and writes one folder each for training and testing:
the patches of each input (X_<audio folder>.npy), the file of each patch (file_id.npy), the files
and their labels (files.npy, labels.npy), the split, and what made them (record.json).

  python3 generate_dataset.py -d 1
  python3 generate_dataset.py -d 1 --force     even if the tensors are up to date

An interrupted run resumes where it stopped. Next step: train.py.
"""

import contextlib
import multiprocessing
from collections.abc import Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict
from pathlib import Path

import numpy as np

from instrec.common import command, storage
from instrec.common.parallel import ordered_map
from instrec.config import Config, FeatureParameters, read
from instrec.data import audio, features, metadata, splits, tensors
from instrec.data.patch_writer import PatchWriter
from instrec.errors import InputError, about

MAX_NAMED = 20  # files left out that are named on the screen; the record names all


class GenerateDataset:
    """Generate the training and testing tensors of a data set (documentation, section 3.1).

    Parameters
    ----------
    duration : int
        Frames of a patch: 43 for one second.
    num_classes : int
        Number of labels.
    val_split : float
        Share of the training data that trains, from 0 to 1.
    config : Config, optional
        By default what settings.py says; it names the data set, where one is needed.

    Raises
    ------
    InputError
        If the duration is not that of the settings, or the data set has another number of labels.
    """

    def __init__(
        self, duration: int, num_classes: int, val_split: float, *, config: Config | None = None
    ) -> None:
        self.config = config = config or read()
        self.duration, self.num_classes, self.val_split = duration, num_classes, val_split
        if duration != config.patch_frames:
            raise InputError(
                f"expected duration to be {config.patch_frames} frames, found {duration}: "
                "change time_duration in settings.py"
            )
        if config.dataset is not None and num_classes != len(config.labels):
            raise InputError(
                f"expected num_classes to be {len(config.labels)} for {config.data_set.title}, "
                f"found {num_classes}"
            )

    def create_spectrogram(
        self,
        filename: str,
        sr: int = 22050,
        win_length: int = 1024,
        hop_length: int = 512,
        num_mel: int = 128,
    ) -> np.ndarray:
        """Create the log-mel spectrogram of a whole audio file.

        Parameters
        ----------
        filename : str
            Audio file.
        sr : int
            Sampling rate in Hz.
        win_length, hop_length : int
            Window and hop of the STFT in samples.
        num_mel : int
            Number of mel bands.

        Returns
        -------
        np.ndarray [shape=(num_mel, frames)]
            Natural logarithm of the magnitude mel spectrogram.

        Raises
        ------
        InputError
            If the file cannot be used.
        """
        parameters = self._parameters(sr, (win_length,), hop_length, num_mel)
        return self._spectrogram(filename, parameters)[..., 0]

    def create_multi_spectrogram(
        self,
        filename: str,
        sr: int = 22050,
        win_length: int = 1024,
        hop_length: int = 512,
        num_mel: int = 128,
    ) -> np.ndarray:
        """Create and stack log-mel spectrograms of one, two and four times the window.

        Parameters are those of `create_spectrogram`.

        Returns
        -------
        np.ndarray [shape=(num_mel, frames, 3)]
            Natural logarithm of the magnitude mel spectrograms (thesis 5.6.3).
        """
        windows = (win_length, 2 * win_length, 4 * win_length)
        return self._spectrogram(filename, self._parameters(sr, windows, hop_length, num_mel))

    def _parameters(
        self, sr: int, windows: tuple[int, ...], hop_length: int, num_mel: int
    ) -> FeatureParameters:
        frames, n_fft = self.duration, self.config.n_fft
        return FeatureParameters(sr, windows, hop_length, num_mel, frames, n_fft)

    def _spectrogram(self, filename: str, parameters: FeatureParameters) -> np.ndarray:
        with about(filename):
            y = audio.load_audio(filename, parameters.sample_rate)
            return features.log_mel_channels(y, parameters)

    def patches(self, filename: str, step: int) -> np.ndarray:
        """Cut the spectrogram of an audio file into patches.

        Parameters
        ----------
        filename : str
            Audio file.
        step : int
            Frames from patch to patch.

        Returns
        -------
        np.ndarray [shape=(patches, bands, frames, channels), dtype=float32]

        Raises
        ------
        InputError
            If the file cannot be used, or is shorter than one patch.
        """
        made_with = self.config.features
        window, *wider = made_with.windows
        create = self.create_multi_spectrogram if wider else self.create_spectrogram
        sizes = (window, made_with.hop_length, made_with.num_mel_bands)
        spectrogram = np.atleast_3d(create(filename, made_with.sample_rate, *sizes))
        with about(filename):
            return np.ascontiguousarray(features.patches_of(spectrogram, made_with, step))

    def load_metadata(self, path_metadata: str | Path) -> tuple[list[str], list]:
        """Load the metadata that create_encoding.py wrote.

        Parameters
        ----------
        path_metadata : str or Path
            CSV file.

        Returns
        -------
        filenames : list of str
            Relative to the audio folder of the data set.
        labels : list of str, or of list of str
            Label of each file; lists of labels if any file has several.

        Raises
        ------
        InputError
            If it is missing or damaged, or no data set is chosen.
        """
        clips = metadata.read_metadata(self.config, Path(path_metadata))
        single = all(len(clip.labels) == 1 for clip in clips)
        return (
            [clip.filename for clip in clips],
            [clip.labels[0] if single else list(clip.labels) for clip in clips],
        )

    def validation_split(
        self,
        dataset: Sequence[np.ndarray],
        class_id: Sequence[int],
        file_id: Sequence[int],
        num_classes: int,
        validation: float,
    ) -> tuple:
        """Shuffle the patches and split them, balanced over the classes.

        Parameters
        ----------
        dataset : list of np.ndarray, or pair of such lists
            Patches, or their row numbers; a pair for the two inputs of model_two_branch.
        class_id : list of int
            Label of each patch, as its place in the label set.
        file_id : list of int
            File of each patch.
        num_classes : int
            Number of labels.
        validation : float
            Share that trains, from 0 to 1; the training part is rounded down in each class.

        Returns
        -------
        X_train, y_train, fid_train, X_val, y_val, fid_val
            Patches (a list of two arrays for two inputs), labels and file ids of both parts.

        Raises
        ------
        InputError
            If a class id is not below `num_classes`, or settings.py splits by recording, which
            needs the file names of a data set.
        """
        class_id, file_id = np.asarray(class_id), np.asarray(file_id)
        if len(class_id) and not 0 <= class_id.min() <= class_id.max() < num_classes:
            raise InputError(f"expected class ids from 0 to {num_classes - 1}")
        files: list[str] = []
        if self.config.split_by == "recording":
            files, _ = self.load_metadata(metadata.path_of(self.config, "train"))
        in_validation = tensors.validation_mask(self.config, class_id, file_id, files, validation)
        found = []
        order = np.random.default_rng(self.config.seed).permutation(len(class_id))
        for mask in (~in_validation, in_validation):
            rows = order[mask[order]]
            found += [_take(dataset, rows, len(mask)), class_id[rows], file_id[rows].tolist()]
        return tuple(found)

    def pure_development_split(
        self, dataset: Sequence[np.ndarray], file_id: Sequence[int]
    ) -> tuple:
        """Halve the test data into pure and development data, balanced over the labels.

        Parameters
        ----------
        dataset : list of np.ndarray, or pair of such lists
            Patches, or their row numbers; a pair for the two inputs of model_two_branch.
        file_id : list of int
            File of each patch, as its row in test.csv.

        Returns
        -------
        pure_test_set, fid_pure_set, dev_test_set, fid_dev_set
            Patches (a list of two arrays for two inputs) and file ids of both halves. `halve_by` in
            settings.py says what stays together: by default all patches of a clip.

        Raises
        ------
        InputError
            If no data set is chosen, or it lacks the metadata with the labels of the clips.
        """
        clips = metadata.read_metadata(self.config, metadata.path_of(self.config, "test"))
        pure = splits.pure_mask(
            [clip.labels for clip in clips],
            [clip.filename for clip in clips],
            file_id,
            halve_by=self.config.halve_by,
            seed=self.config.seed,
        )
        found = []
        for half in (pure, ~pure):
            rows = np.flatnonzero(half)
            found += [_take(dataset, rows, len(half)), np.asarray(file_id)[rows].tolist()]
        return tuple(found)

    def run(self, type_run: str, *, force: bool = False) -> None:
        """Extract the patches of the data set, split and save them.

        Uses `multiprocessing.cpu_count()` processes, or the workers of `scheduler`.

        Parameters
        ----------
        type_run : {'train', 'test'}
            Which data to generate.
        force : bool
            Make the tensors again even if they are up to date.
        """
        if type_run not in tensors.PARTS:
            raise InputError(f"expected type_run to be 'train' or 'test', found {type_run!r}")
        with storage.lock(self.config.feature_folder, "tensors"):
            self._extract(type_run, force=force)
        self._split(tensors.load(self.config, type_run))

    def run_multi(self, type_run: str, *, force: bool = False) -> None:
        """Do as `run`: the documented name for data sets of two inputs (model_two_branch).

        Parameters
        ----------
        type_run : {'train', 'test'}
            Which part.
        force : bool
            Extract again what is there.
        """
        self.run(type_run, force=force)

    def _extract(self, type_run: str, *, force: bool) -> None:
        """Write the tensors of one part, unless they are up to date."""
        filenames, labels = self.load_metadata(metadata.path_of(self.config, type_run))
        folder = tensors.folder(self.config, type_run)
        partial = folder.with_name(folder.name + storage.PARTIAL)
        recipe = self.recipe(type_run, filenames)
        if not force and self._is_up_to_date(type_run, recipe):
            print(f"{type_run}: {folder} is up to date")
            return
        # What an interrupted run left is usable only if its recipe is the same.
        if not tensors.has_recipe(partial, recipe):
            storage.remove_folder(partial)
            storage.save_json(partial / tensors.RECORD, {"recipe": recipe})
        inputs = [tensors.input_name(audio_folder) for audio_folder in self.config.data_set.folders]
        shape = self.config.features.patch_shape
        with contextlib.closing(PatchWriter(partial, inputs, shape)) as writer:
            self._write_patches(writer, filenames, recipe["step"])
            record = self.finish(partial, filenames, labels, writer, recipe)
            writer.close(finished=True)  # last: until then, the next run can resume
        storage.replace_folder(partial, folder)
        _report_files(type_run, record, folder)

    def _is_up_to_date(self, type_run: str, recipe: dict) -> bool:
        try:
            made = tensors.load(self.config, type_run)
        except InputError:  # missing, made with other settings, or damaged
            return False
        return not storage.differences(made.record["recipe"], recipe)

    def _write_patches(self, writer: PatchWriter, filenames: list[str], step: int) -> None:
        done = len(writer.done)
        if done:
            print(f"going on after {done} of {len(filenames)} files")
        waiting = filenames[done:]
        workers = min(multiprocessing.cpu_count(), max(1, len(waiting)))
        bar = command.progress(total=len(filenames), initial=done, unit="file", desc="extracting")
        tasks = [(self, filename, step) for filename in waiting]
        results = ordered_map(extract, tasks, workers=workers, scheduler=self.config.scheduler)
        with bar, contextlib.closing(results):
            try:
                for filename, (patches, reason) in zip(waiting, results, strict=True):
                    writer.write(filename, patches, reason)
                    bar.update()
            except BrokenProcessPool:
                raise InputError(
                    f"a worker process was killed at {filenames[len(writer.done)]} or one of the "
                    "next files, perhaps for lack of memory: the same command goes on from here"
                ) from None

    def recipe(self, type_run: str, filenames: list[str]) -> dict:
        """Name everything that determines the tensors; they are refused if it changes.

        Parameters
        ----------
        type_run : {'train', 'test'}
            Which part.
        filenames : list of str
            Its clips.

        Returns
        -------
        dict
        """
        folders = [self.config.data_path / folder for folder in self.config.data_set.folders]
        states = [storage.state_of(folder / name) for folder in folders for name in filenames]
        return {
            "version": features.VERSION,
            **asdict(self.config.features),
            "step": self.config.step(type_run),
            "labels": list(self.config.labels),
            "metadata": storage.digest_of_file(metadata.path_of(self.config, type_run)),
            "audio": storage.digest_of(states),
            "rendered": tensors.is_rendered(self.config),
            "incomplete": tensors.incomplete(self.config),
        }

    def finish(
        self, path: Path, filenames: list[str], labels: list, writer: PatchWriter, recipe: dict
    ) -> dict:
        """Write everything but the patches, once they are complete.

        Parameters
        ----------
        path : Path
            Folder of the tensors.
        filenames : list of str
            Clips.
        labels : list
            Label, or labels, of each.
        writer : PatchWriter
            It has counted the patches.
        recipe : dict
            From `recipe`.

        Returns
        -------
        dict
            The record.
        """
        counts = [line["patches"] for line in writer.done]
        if sum(counts) == 0:
            first = writer.done[0]
            raise InputError(
                f"none of {len(filenames)} files in "
                f"{self.config.data_path / self.config.data_set.folders[0]} could be used; the "
                f"first, {first['file']}: {first['reason']}. Mend them and run "
                f"python3 generate_dataset.py {self.config.options}"
            )
        carried = [[label] if isinstance(label, str) else label for label in labels]
        multi_hot = [[name in names for name in self.config.labels] for names in carried]
        file_id = np.repeat(np.arange(len(filenames), dtype=np.int32), counts)
        storage.save_array(path / "file_id.npy", file_id)
        storage.save_array(path / "files.npy", np.array(filenames))
        storage.save_array(path / "labels.npy", np.array(multi_hot, dtype=np.uint8))
        record = {
            "recipe": recipe,
            "fingerprint": writer.fingerprint(),
            "files": len(filenames),
            "patches": sum(counts),
            "left_out": {n["file"]: n["reason"] for n in writer.done if not n["patches"]},
            "notes": {n["file"]: n["reason"] for n in writer.done if n["patches"] and n["reason"]},
            "made_with": storage.environment("numpy", "scipy", "librosa", "soundfile", "soxr"),
        }
        storage.save_json(path / tensors.RECORD, record)
        return record

    def _split(self, part: tensors.Tensors) -> None:
        """Split a part, save the split beside its tensors, and print the counts."""
        rows = np.arange(len(part.file_id))
        if part.part == "train":
            *_, validation, _, _ = self.validation_split(
                rows, part.class_id, part.file_id, self.num_classes, self.val_split
            )
            names, second = ("training", "validation"), np.isin(rows, validation)
            part.saved_split(tensors.split_name(self.config, self.val_split), lambda: second)
        else:
            pure, *_ = self.pure_development_split(rows, part.file_id)
            names, second = ("pure", "development"), ~np.isin(rows, pure)
            part.saved_split(tensors.split_name(self.config), lambda: ~second)
        counts = [
            (label, *np.bincount(second[has_label[part.file_id]], minlength=2))
            for label, has_label in zip(part.label_names, part.labels.T, strict=True)
        ]
        command.print_table(
            ("patches", *names), [*counts, ("all", *np.bincount(second, minlength=2))]
        )


def extract(
    generator: GenerateDataset, filename: str, step: int
) -> tuple[list[np.ndarray] | None, str | None]:
    """Return the patches of one clip, one array per input, and a note; or why there are none.

    Parameters
    ----------
    generator : GenerateDataset
        It makes the patches.
    filename : str
        Relative to the folders of the data set.
    step : int
        Frames from patch to patch.

    Returns
    -------
    patches : list of np.ndarray, or None
        One array per input.
    said : str or None
        A note, or the reason.
    """
    folders = generator.config.data_set.folders
    paths = [str(generator.config.data_path / folder / filename) for folder in folders]
    inputs, reasons = [], []
    with audio.notes() as notes:
        for path in paths:
            try:
                inputs.append(generator.patches(path, step))
            except InputError as error:
                reasons.append(str(error).removeprefix(f"{path}: "))
                break
    said = "; ".join(dict.fromkeys(reasons + notes)) or None
    if reasons:
        return None, said
    shortest = min(map(len, inputs))
    return [patches[:shortest] for patches in inputs], said


def _report_files(type_run: str, record: dict, folder: Path) -> None:
    left_out, files = record["left_out"], record["files"]
    print(f"{type_run}: {record['patches']} patches of {files - len(left_out)} files in {folder}")
    for what, reasons in (("note", record["notes"]), ("left out", left_out)):
        for name in [*reasons][:MAX_NAMED]:
            print(f"{what}: {name}: {reasons[name]}")
        if len(reasons) > MAX_NAMED:
            print(f"... and {len(reasons) - MAX_NAMED} more: see {folder / tensors.RECORD}")
    if left_out:
        print(f"left out {len(left_out)} of {files} files in all")


def generate(config: Config, *, force: bool = False) -> None:
    """Generate the training and testing tensors of the data set.

    Parameters
    ----------
    config : Config
        The data set and all parameters.
    force : bool
        Extract again what is there.
    """
    generator = GenerateDataset(
        config.patch_frames, len(config.labels), config.val_split, config=config
    )
    for type_run in tensors.PARTS:
        generator.run(type_run, force=force)


def main(argv: Sequence[str] | None = None) -> None:
    """Generate the training and testing tensors of the selected data set.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments of the command line; those of this process by default.
    """
    parser = command.new_parser(__doc__)
    parser.add_argument("--force", action="store_true", help="make the tensors again")
    arguments, config = command.parse(parser, argv)
    generate(command.choose_data_set(config), force=arguments.force)


def _take(dataset: Sequence, rows: np.ndarray, patches: int) -> np.ndarray | list[np.ndarray]:
    """Take rows of a data set of `patches` patches, or of each of its two inputs."""
    if len(dataset) == 2 and patches != 2:
        return [np.asarray(patches_of_input)[rows] for patches_of_input in dataset]
    return np.asarray(dataset)[rows]


if __name__ == "__main__":
    command.run(main)
