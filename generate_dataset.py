#!/usr/bin/env python3
"""Step 2 of 4: turn the audio of a data set into log-mel patches, as .npy tensors.

Reads the metadata of create_encoding.py and writes one folder each for training and testing:
the patches of each input (X_<audio folder>.npy), the file of each patch (file_id.npy), the files
and their labels (files.npy, labels.npy), the split, and what made them (record.json).

  python3 generate_dataset.py -d 1
  python3 generate_dataset.py -d 1 --force     even if the tensors are up to date

An interrupted run goes on where it stopped. Next step: train.py.
"""

import contextlib
import multiprocessing
from collections.abc import Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict
from pathlib import Path

import numpy as np

import create_encoding
import settings
from instrec.common import command, storage
from instrec.common.parallel import ordered_map
from instrec.data import features, splits, tensors
from instrec.errors import InputError

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
    data_set : settings.DataSet, optional
        By default the one that settings.py selects.
    workers : int, optional
        Processes that extract; as many as there are processors by default.
    """

    def __init__(
        self,
        duration: int,
        num_classes: int,
        val_split: float,
        *,
        data_set: settings.DataSet | None = None,
        workers: int | None = None,
    ) -> None:
        self.workers = workers
        self.data_set = data_set or settings.selected()
        self.duration = duration
        if duration != settings.patch_frames:
            raise InputError(
                f"expected duration to be {settings.patch_frames} frames, found {duration}: "
                "change time_duration in settings.py"
            )
        self.val_split = val_split
        self.num_classes = num_classes
        if num_classes != len(self.data_set.labels):
            raise InputError(
                f"expected num_classes to be {len(self.data_set.labels)} for "
                f"{self.data_set.title}, found {num_classes}"
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
            Natural logarithm of the mel spectrogram of magnitudes.
        """
        return self._spectrogram(filename, sr, (win_length,), hop_length, num_mel)[..., 0]

    def create_multi_spectrogram(
        self,
        filename: str,
        sr: int = 22050,
        win_length: int = 1024,
        hop_length: int = 512,
        num_mel: int = 128,
    ) -> np.ndarray:
        """Create log-mel spectrograms of one, two and four times the window, stacked.

        Parameters are those of `create_spectrogram`.

        Returns
        -------
        np.ndarray [shape=(num_mel, frames, 3)]
            Natural logarithm of the mel spectrograms of magnitudes (thesis 5.6.3).
        """
        windows = (win_length, 2 * win_length, 4 * win_length)
        return self._spectrogram(filename, sr, windows, hop_length, num_mel)

    def _spectrogram(
        self, filename: str, sr: int, windows: tuple[int, ...], hop_length: int, num_mel: int
    ) -> np.ndarray:
        parameters = features.FeatureParameters(sr, windows, hop_length, num_mel, self.duration)
        try:
            return features.log_mel_channels(features.load_audio(filename, sr), parameters)
        except InputError as error:
            raise InputError(f"{filename}: {error}") from None

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
            Label of each file; a list of labels where the column is named `labels`.
        """
        clips = create_encoding.read_metadata(Path(path_metadata), self.data_set.labels)
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
            Patches; a pair for the two inputs of model_two_branch.
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
            If a class id is not below `num_classes`, or settings ask to split by recording, which
            takes file names.
        """
        class_id, file_id = np.asarray(class_id), np.asarray(file_id)
        if len(class_id) and not 0 <= class_id.min() <= class_id.max() < num_classes:
            raise InputError(f"expected class ids from 0 to {num_classes - 1}")
        recordings = None
        if settings.split_by == "recording":
            recordings = self._recordings("train")
        in_validation = splits.validation_mask(
            class_id,
            file_id,
            validation,
            recordings=recordings,
            split_by=settings.split_by,
            balanced=settings.balanced,
            seed=settings.seed,
        )
        parts = []
        order = np.random.default_rng(settings.seed).permutation(len(class_id))
        for mask in (~in_validation, in_validation):
            rows = order[mask[order]]
            parts += [self._take(dataset, rows), class_id[rows], file_id[rows].tolist()]
        return tuple(parts)

    def pure_development_split(
        self, dataset: Sequence[np.ndarray], file_id: Sequence[int]
    ) -> tuple:
        """Halve the test clips into pure and development data, balanced over the labels.

        Parameters
        ----------
        dataset : list of np.ndarray, or pair of such lists
            Patches; a pair for the two inputs of model_two_branch.
        file_id : list of int
            File of each patch, as its row in test.csv.

        Returns
        -------
        pure_test_set, fid_pure_set, dev_test_set, fid_dev_set
            Patches (a list of two arrays for two inputs) and file ids of both halves. All patches
            of a clip are in the same half.
        """
        clips = self._metadata("test")
        pure = splits.halves([clip.labels for clip in clips], seed=settings.seed)
        file_id = np.asarray(file_id)
        parts = []
        for half in (pure, ~pure):
            rows = np.flatnonzero(half[file_id])
            parts += [self._take(dataset, rows), file_id[rows].tolist()]
        return tuple(parts)

    def run(self, type_run: str, *, force: bool = False) -> None:
        """Extract the patches of a data set with one input, split and save them.

        Uses `multiprocessing.cpu_count()` processes, if not said otherwise.

        Parameters
        ----------
        type_run : {'train', 'test'}
            Which data to generate.
        force : bool
            Make the tensors anew even if they are up to date.
        """
        self._run(type_run, inputs=1, force=force)

    def run_multi(self, type_run: str, *, force: bool = False) -> None:
        """Extract the patches of a data set with two inputs (model_two_branch); else as `run`."""
        self._run(type_run, inputs=2, force=force)

    def _run(self, type_run: str, inputs: int, *, force: bool) -> None:
        if type_run not in tensors.PARTS:
            raise InputError(f"expected type_run to be 'train' or 'test', found {type_run!r}")
        tensors.check_inputs(self.data_set, inputs, ("run", "run_multi"))
        with storage.lock(self.data_set.feature_path, "tensors"):
            self._extract(type_run, force=force)
        self._report_split(tensors.load(self.data_set, type_run))

    def _extract(self, type_run: str, *, force: bool) -> None:
        """Write the tensors of one part, unless they are up to date."""
        clips = self._metadata(type_run)
        folder = tensors.folder(self.data_set, type_run)
        partial = folder.with_name(folder.name + storage.PARTIAL)
        storage.recover_folder(folder)
        made_of = self._made_of(type_run, clips)
        if not force and self._is_up_to_date(type_run, made_of):
            print(f"{type_run}: {folder} is up to date")
            return
        # What an interrupted run left is of use only if it was made of the same.
        if not tensors.is_made_of(partial, made_of):
            storage.remove_folder(partial)
            storage.save_json(partial / tensors.RECORD, {"made_of": made_of})

        inputs = [tensors.input_name(audio_folder) for audio_folder in self.data_set.folders]
        parameters = features.parameters_of(self.data_set)
        writer = storage.PatchWriter(partial, inputs, parameters.patch_shape)
        finished = False
        try:
            self._write_patches(writer, clips, made_of["step"], parameters)
            names = [clip.filename for clip in clips]
            tensors.finish(partial, names, self._multi_hot(clips), writer, made_of)
            finished = True
        finally:
            writer.close(finished=finished)  # last: until then, the next run can go on
        storage.replace_folder(partial, folder)
        _report_files(type_run, writer, folder)

    def _is_up_to_date(self, type_run: str, made_of: dict) -> bool:
        if not tensors.is_made_of(tensors.folder(self.data_set, type_run), made_of):
            return False
        try:
            tensors.load(self.data_set, type_run)
        except InputError:  # damaged
            return False
        return True

    def _write_patches(
        self,
        writer: storage.PatchWriter,
        clips: list[create_encoding.Clip],
        step: int,
        parameters: features.FeatureParameters,
    ) -> None:
        done = len(writer.done)
        if done:
            print(f"going on after {done} of {len(clips)} files")
        tasks = [
            ([settings.DATA_PATH / folder / clip.filename for folder in self.data_set.folders],)
            + (parameters, step)
            for clip in clips[done:]
        ]
        workers = min(self.workers or multiprocessing.cpu_count(), max(1, len(tasks)))
        bar = command.progress(total=len(clips), initial=done, unit="file", desc="extracting")
        with bar, contextlib.closing(ordered_map(extract, tasks, workers=workers)) as results:
            try:
                for clip, (patches, reason) in zip(clips[done:], results, strict=True):
                    writer.write(clip.filename, patches, reason)
                    bar.update()
            except BrokenProcessPool:
                raise InputError(
                    f"a worker process was killed at {clips[len(writer.done)].filename} or one of "
                    "the next files, perhaps for lack of memory: the same command goes on from here"
                ) from None

    def _made_of(self, type_run: str, clips: list[create_encoding.Clip]) -> dict:
        """Name everything that determines the tensors; they are refused if it changes."""
        audio = []
        for folder in self.data_set.folders:
            for clip in clips:
                try:
                    state = (settings.DATA_PATH / folder / clip.filename).stat()
                    audio.append((state.st_size, state.st_mtime_ns))
                except OSError:
                    audio.append(None)
        return {
            **asdict(features.parameters_of(self.data_set)),
            "step": tensors.step_of(type_run, self.duration),
            "labels": list(self.data_set.labels),
            "metadata": storage.digest_of_file(tensors.metadata_path(self.data_set, type_run)),
            "audio": storage.digest_of(audio),
            "rendered": tensors.is_rendered(self.data_set),
        }

    def _metadata(self, type_run: str) -> list[create_encoding.Clip]:
        path = tensors.metadata_path(self.data_set, type_run)
        return create_encoding.read_metadata(path, self.data_set.labels)

    def _multi_hot(self, clips: list[create_encoding.Clip]) -> np.ndarray:
        """Labels of each clip as zeros and ones [clips x labels]."""
        rows = [[label in clip.labels for label in self.data_set.labels] for clip in clips]
        return np.array(rows, dtype=np.uint8)

    def _recordings(self, type_run: str) -> list[str]:
        return [splits.recording_of(clip.filename) for clip in self._metadata(type_run)]

    def _take(self, dataset: Sequence, rows: np.ndarray) -> np.ndarray | list[np.ndarray]:
        if len(self.data_set.folders) == 2:
            return [np.asarray(one)[rows] for one in dataset]
        return np.asarray(dataset)[rows]

    def _report_split(self, part: tensors.Tensors) -> None:
        if part.part == "train":
            names, mask = ("training", "validation"), ~part.validation_mask(self.val_split)
        else:
            names, mask = ("pure", "development"), part.pure_mask()[part.file_id]
        command.print_table(
            ("patches", *names),
            [
                (label, *np.bincount(~mask[of_label], minlength=2))
                for label, of_label in part.patches_of_labels()
            ]
            + [("all", *np.bincount(~mask, minlength=2))],
        )


def extract(
    paths: list[Path], parameters: features.FeatureParameters, step: int
) -> tuple[list[np.ndarray] | None, str | None]:
    """Return the patches of one file, an array an input, or the reason why there are none."""
    try:
        inputs = [features.patches_of_file(path, parameters, step) for path in paths]
    except InputError as error:
        return None, str(error)
    shortest = min(map(len, inputs))
    return [patches[:shortest] for patches in inputs], None


def _report_files(type_run: str, writer: storage.PatchWriter, folder: Path) -> None:
    left_out = [line for line in writer.done if line["reason"]]
    used = len(writer.done) - len(left_out)
    print(f"{type_run}: {writer.patches} patches of {used} files in {folder}")
    for line in left_out[:MAX_NAMED]:
        print(f"left out: {line['file']}: {line['reason']}")
    if len(left_out) > MAX_NAMED:
        print(f"... and {len(left_out) - MAX_NAMED} more: see {folder / tensors.RECORD}")
    if left_out:
        print(f"left out {len(left_out)} of {len(writer.done)} files in all")


def generate(
    data_set: settings.DataSet, *, force: bool = False, workers: int | None = None
) -> None:
    """Generate the training and testing tensors of a data set."""
    generator = GenerateDataset(
        settings.patch_frames,
        len(data_set.labels),
        settings.val_split,
        data_set=data_set,
        workers=workers,
    )
    run = generator.run if len(data_set.folders) == 1 else generator.run_multi
    for type_run in tensors.PARTS:
        run(type_run, force=force)


def main() -> None:
    """Generate the training and testing tensors of the selected data set."""
    parser = command.new_parser(__doc__)
    parser.add_argument("--force", action="store_true", help="make the tensors anew")
    with command.parsed(parser) as arguments:
        generate(command.select_data_set(), force=arguments.force)


if __name__ == "__main__":
    command.run(main)
