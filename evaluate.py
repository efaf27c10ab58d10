#!/usr/bin/env python3
"""Step 4 of 4: evaluate trained networks, in three operation modes.

  python3 evaluate.py -m model_leaky -o adam -O 1 -d 1    confusion matrices
  python3 evaluate.py -m model_leaky -o adam -O 2 -d 1    every threshold, development half
  python3 plot_perf_metrics.py -m model_leaky -o adam -d 1    do not skip: stores the optima
  python3 evaluate.py -m model_leaky -o adam -O 3 -d 1    final scores, pure half
  python3 evaluate.py -m model_leaky+model_baseline -o adam -O 2 -d 1    an ensemble

Mode 1 needs one label per clip. Where test clips have several (IRMAS, IRMAS Wind), it trains new
networks on one half of the training data, of which val_split trains and the rest validates, and
scores the other half, which they have never seen; otherwise it takes the pure half of the test
data. Its matrices are of single patches, as published, and of clips by s1 and s2: plot them with
plot_conf_mat.py. Mode 3 uses the thresholds that did best in mode 2, never chosen on the half that
is scored.

An ensemble averages the outputs of all trainings of the models that are joined by +, or of one
model with --ensemble; its results lie under ensemble_<model name>.
"""

import collections
import dataclasses
import shlex
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

import train
from instrec.common import command, storage
from instrec.config import Config, read
from instrec.data import tensors
from instrec.errors import InputError
from instrec.figures import launchers
from instrec.learning import model_files, trained, transfer, variants
from instrec.learning.model_files import ModelFiles
from instrec.scoring import metrics, optima, scores

if TYPE_CHECKING:
    import pandas as pd

CONFUSION_SPLIT = 0.5  # share that trains for confusion matrices (documentation, section 4.1.2)


class Evaluator:
    """Evaluate a network on the test data (documentation, section 4.1.5).

    Parameters
    ----------
    model_str : str
        Name of the trained model; several joined by '+' are evaluated as an ensemble.
    optimizer_str : str
        Name of the optimizer it was trained with.
    num_classes : int
        Number of labels it was trained on.
    iter_num : int
        Number of trained iterations to evaluate.
    op_mode : {1, 2, 3}
        1: confusion matrices. 2: class-wise and global metrics at every threshold on the
        development half. 3: final metrics on the pure half, with the optimum thresholds.
    config : Config, optional
        By default what settings.py says.
    split : float, optional
        Share of the training data that the networks were trained on; by default `val_split`, and in
        mode 1 one half where test clips have several labels.

    Raises
    ------
    InputError
        If there is no such model, or an argument does not fit the data set.
    """

    def __init__(
        self,
        model_str: str,
        optimizer_str: str,
        num_classes: int,
        iter_num: int,
        op_mode: int,
        *,
        config: Config | None = None,
        split: float | None = None,
    ) -> None:
        self.config = config = config or read()
        self.data_set = config.data_set
        if op_mode not in (1, 2, 3):
            raise InputError(f"expected operation mode 1, 2 or 3, found {op_mode}")
        if num_classes != len(self.data_set.labels):
            raise InputError(
                f"expected num_classes to be {len(self.data_set.labels)} for "
                f"{self.data_set.title}, found {num_classes}"
            )
        self.members = model_str.split("+")
        if len(set(self.members)) < len(self.members):
            raise InputError(f"expected different models, found {model_str}")
        for member in self.members:
            variants.check_model(config, member)
        self.model, self.optimizer = model_str, optimizer_str
        self.num_classes, self.op_mode = num_classes, op_mode
        self.iter_num = command.positive("iter_num", iter_num)
        self.held_out = op_mode == 1 and self.data_set.multi_label_test
        self._default_split = CONFUSION_SPLIT if self.held_out else config.val_split
        split = self._default_split if split is None else split
        if not 0 < split < 1:
            raise InputError(f"expected a training share between 0 and 1, found {split}")
        self.split = split
        # Networks of another split, and their results, lie in a folder of their own; but the
        # confusion matrices of the published held-out half count as the model's own.
        self.ensemble = config.ensemble or len(self.members) > 1
        name = config.result_name(model_str)
        self.files = model_files.model_files(config, name, optimizer_str)
        if split != self._default_split:
            apart = self.files.folder / f"split_{split:g}"
            self.files = dataclasses.replace(self.files, folder=apart)
        # Values of the columns data set, model and optimizer.
        self._columns = (config.key, name, optimizer_str)
        self._found: dict[tuple[int, str, str, str], tuple] = {}  # see `scores.tabulate`
        # By strategy (or 'patch') and training: the matrices of mode 1; and by clip, numbers of
        # patches decided for each label (1), averages to calibrate with (2), or scores (3).
        self._matrices: dict[str, dict[int, list]] = collections.defaultdict(dict)
        self._of_clips: dict[str, dict[int, np.ndarray]] = collections.defaultdict(dict)

    def run(self) -> None:
        """Do everything in order: load the data and the networks, evaluate, save."""
        self.load_test_data()
        predictions = self.load_model(self.model, self.optimizer)
        for iteration, predicted in enumerate(predictions):
            self.evaluate(predicted, self.model, self.optimizer, iteration)
        self.save_results(self.model, self.optimizer)

    def load_test_data(self) -> None:
        """Open the test patches of the data set, and binarize the labels.

        Mode 1 takes the pure half, or, where test clips have several labels, the held-out half of
        the training data; mode 2 the development half; mode 3 the pure half.
        """
        self.training = tensors.load(self.config, "train")
        if self.held_out:
            self.tensors = self.training
            mask = chosen = self.tensors.validation_mask(self.config, self.split)
            self.half = f"held-out {1 - self.split:.0%} of the {self.tensors.kind}training data"
        else:
            self.tensors = tensors.load(self.config, "test")
            mask = self.tensors.pure_mask(self.config)
            half, chosen = ("development", ~mask) if self.op_mode == 2 else ("pure", mask)
            self.half = f"{half} half of the {self.tensors.kind}test data"
        self.rows = np.flatnonzero(chosen)
        if len(self.rows) == 0:
            raise InputError(
                f"{self.data_set.title} has no clip in its {self.half}: add clips and run "
                f"create_encoding.py and generate_dataset.py {self.config.options}"
            )
        # The same for the pure and the development half, as both are of one split.
        self.split_digest = storage.digest_of(mask.tolist())
        # A clip is a run of patches of one file.
        self.clips, starts = np.unique(self.tensors.file_id[self.rows], return_index=True)
        self.clip_starts = starts[1:]
        self.y_true = self.tensors.labels[self.clips]  # [clips x labels]
        self.absent = np.array(self.data_set.labels)[~self.y_true.any(axis=0)].tolist()
        print(
            f"{self.data_set.title}, {self.half}: {len(self.clips)} clips, {len(self.rows)} patches"
        )
        if self.absent:
            means = "left out of the mean accuracy" if self.op_mode == 1 else "0 in macro averages"
            print(f"note: no clip has {', '.join(self.absent)}: {means}")

    def load_multi_test_data(self) -> None:
        """Call `load_test_data`: the documented name for a data set with two inputs."""
        self.load_test_data()

    def load_model(self, model_str: str, optimizer_str: str) -> list[np.ndarray]:
        """Load the trained networks and predict every patch, or reuse earlier predictions.

        Parameters
        ----------
        model_str, optimizer_str : str
            Names of the network and its optimizer.

        Returns
        -------
        list of np.ndarray [shape=(patches, labels)]
            Outputs of each iteration, or of an ensemble, for the patches of the loaded half.

        Raises
        ------
        InputError
            If a network is missing, damaged, or was trained with other features or labels.
        """
        trainings = []
        for member in model_str.split("+"):
            files = model_files.model_files(
                self.config, member, optimizer_str, self.split, held_out=self.held_out
            )
            of_member = [self._training(files, i) for i in range(self.iter_num)]
            trained.check_alike(of_member)
            trainings += of_member
        self.recipe = {
            "data_set": self.config.key,
            "model": self.config.result_name(model_str),
            "optimizer": optimizer_str,
            "labels": list(self.data_set.labels),
            "tensors": self.tensors.fingerprint,
            "trained_on": self.split,
            "halves": self.split_digest,
            "weights": [training.record["weights"] for training in trainings],
        }
        if self.op_mode == 3:
            self._load_optima()  # report what is missing before minutes of predictions
        predictions = [training.outputs(self.tensors)[self.rows] for training in trainings]
        return [np.mean(predictions, axis=0)] if self.ensemble else predictions

    def _command(self, script: str, model: str) -> str:
        """Write a command with the same options, for a message."""
        command_ = self.config.command(script, model, self.optimizer)
        split = f" -s {self.split:g}" if self.split != self._default_split else ""
        return f"{command_} -i {self.iter_num}{split}"

    def _training_command(self, model: str) -> str:
        if self.held_out:
            return self._command("evaluate.py -O 1", model)
        command_ = self._command("train.py", model)
        return command_ if self.config.given else model_files.how_to_train(model, command_)

    def _training(self, files: ModelFiles, iteration: int) -> trained.Training:
        """Open a training; refuse one that does not fit what is evaluated."""
        remedy = self._training_command(files.model)
        if not files.run_record(iteration).exists():
            if iteration:  # earlier ones were trained with options that only the user knows
                remedy = f"the command that trained these, with -i {self.iter_num}"
            raise InputError(
                f"expected {self.iter_num} trained iterations in {files.folder}, found "
                f"{iteration}: run {remedy}, or choose fewer with -i"
            )
        remedy += " --overwrite"
        training = trained.load(files, iteration, remedy)
        record = training.record
        wanted = {
            **dataclasses.asdict(self.config.features),
            "labels": list(self.data_set.labels),
            # With other training data, files that were trained on could now be test files.
            "tensors": self.training.fingerprint,
            "split": self.split,
            "validates": self.config.val_split if self.held_out else None,
        }
        if self.held_out:
            wanted |= {"split_by": self.config.split_by, "split_seed": self.config.seed}
            wanted["balanced"] = self.config.balanced
        if "imported" in record:
            print(f"warning: {files.model} is imported: these clips may have trained it")
            wanted = {name: wanted[name] for name in wanted if name in record["recipe"]}
        source = record["recipe"].get("transfer_from")
        if self.held_out and source and transfer.shares_audio(source[0], self.data_set):
            print(f"warning: {files.model} starts from {source[0]}, which these clips trained, too")
        if different := storage.mismatches(record, wanted):
            raise InputError(
                f"{files.best(iteration)} was trained with other settings or data than today's "
                f"({different}): run {remedy}"
            )
        return training

    def aggregate_predictions(
        self, strategy: str, full_predictions: Sequence[np.ndarray]
    ) -> np.ndarray:
        """Aggregate the predictions of the patches of each clip.

        Parameters
        ----------
        strategy : {'s1', 's2'}
            's1': mean over time, divided by the maximum over the labels. 's2': first the maximum
            over a sliding window of 6 patches with a hop of 3.
        full_predictions : list of np.ndarray [shape=(patches, labels)]
            Predictions for each clip, of any length.

        Returns
        -------
        np.ndarray [shape=(clips, labels)]
            Scores from 0 to 1.
        """
        if strategy not in metrics.STRATEGIES:
            raise InputError(f"expected strategy 's1' or 's2', found {strategy!r}")
        return metrics.aggregate(strategy, full_predictions)

    def evaluate(
        self, predictions: np.ndarray, model_str: str, optimizer_str: str, iteration: int
    ) -> None:
        """Evaluate one training with every strategy; the scores go to `results`.

        Parameters
        ----------
        predictions : np.ndarray [shape=(patches, labels)]
            Outputs for the loaded patches.
        model_str, optimizer_str : str
            Names of the network and its optimizer.
        iteration : int
            Number of the iteration.
        """
        clips = np.split(predictions, self.clip_starts)
        aggregated = {s: self.aggregate_predictions(s, clips) for s in metrics.STRATEGIES}
        if self.op_mode == 1:
            decided = [np.bincount(x.argmax(axis=1), minlength=self.num_classes) for x in clips]
            self._of_clips[metrics.BY_PATCH][iteration] = np.array(decided)
            clip_labels = self.y_true.argmax(axis=1)
            outputs = {metrics.BY_PATCH: (self.tensors.class_id[self.rows], predictions)}
            outputs |= {strategy: (clip_labels, found) for strategy, found in aggregated.items()}
            for what, (true, found) in outputs.items():
                matrix = metrics.confusion_matrix(true, found.argmax(axis=1), self.num_classes)
                self._matrices[what][iteration] = matrix.tolist()
            return
        for strategy in metrics.STRATEGIES:
            self.scores = aggregated[strategy]
            self.global_performance_metrics(strategy, iteration)
            self.classwise_performance_metrics(strategy, iteration)
            kept = self.scores
            if self.op_mode == 2:
                kept = np.stack([metrics.averages(strategy, clip) for clip in clips])
            else:
                self.best_classwise_global_performance_metrics(strategy, iteration)
            self._of_clips[strategy][iteration] = kept

    def global_performance_metrics(self, strategy: str, iteration: int) -> None:
        """Precision, recall and f-score of all labels together, for each kind of average.

        Mode 2 sweeps one threshold for all labels from 0 to 1 in steps of 0.05; mode 3 takes the
        optimum of each average.

        Parameters
        ----------
        strategy : str
            Aggregation strategy.
        iteration : int
            Number of the iteration.
        """
        for average, score in metrics.AVERAGES.items():
            self._score((iteration, strategy, "global", average), score)

    def classwise_performance_metrics(self, strategy: str, iteration: int) -> None:
        """Precision, recall and f-score of each label separately.

        Mode 2 sweeps the threshold from 0 to 1 in steps of 0.05; mode 3 takes each label's optimum.
        Parameters are those of `global_performance_metrics`.
        """
        for i, label in enumerate(self.data_set.labels):
            self._score((iteration, strategy, "classwise", label), metrics.micro, slice(i, i + 1))

    def _score(
        self, key: tuple[int, str, str, str], score: Callable, labels: slice = slice(None)
    ) -> None:
        """Score some labels at every threshold, or in mode 3 only at the optimum."""
        thresholds = metrics.THRESHOLDS
        if self.op_mode == 3:
            _, strategy, kind, name = key
            thresholds = np.array([self.optima[strategy][kind][name]])
        y_pred = metrics.decide_at_each(self.scores[:, labels], thresholds)
        found = score(self.y_true[:, labels], y_pred)
        self._found[key] = (thresholds, *found)

    def best_classwise_global_performance_metrics(self, strategy: str, iteration: int) -> None:
        """Global precision, recall and f-score with the optimum threshold of each label.

        Parameters are those of `global_performance_metrics`.
        """
        thresholds = np.array([*self.optima[strategy]["classwise"].values()])
        y_pred = metrics.decide(self.scores, thresholds)
        for average, score in metrics.AVERAGES.items():
            found = score(self.y_true, y_pred)
            self._found[iteration, strategy, "global_classwise", average] = (np.nan, *found)

    @property
    def results(self) -> "pd.DataFrame":
        """Scores of modes 2 and 3: a tidy table with the columns `scores.COLUMNS`."""
        return scores.tabulate(self._columns, self._found)

    def save_results(self, model_str: str, optimizer_str: str) -> None:
        """Save what the operation mode found, and print it.

        Parameters
        ----------
        model_str, optimizer_str : str
            Names of the network and its optimizer.
        """
        name = self.config.result_name(model_str)
        files = dataclasses.replace(self.files, model=name, optimizer=optimizer_str)
        path = {1: files.confusion, 2: files.sweep, 3: files.scores}[self.op_mode]
        record = {
            "recipe": self.recipe,
            "half": self.half,
            "clips": len(self.clips),
            "patches": len(self.rows),
            "iterations": 1 if self.ensemble else self.iter_num,
            "absent": self.absent,
        }
        of_clips = {what: [*found.values()] for what, found in self._of_clips.items()}
        arrays = {"clips": np.array(self.tensors.files)[self.clips], "y_true": self.y_true}
        with files.lock_results():
            launchers.write(files.folder)
            if self.op_mode == 2:
                found = {what: metrics.calibrate(y, self.y_true) for what, y in of_clips.items()}
                record["calibration"] = {what: both for what, both in found.items() if both}
            else:
                apart = files.patches if self.op_mode == 1 else files.clips
                storage.save_arrays(apart, **arrays, **of_clips)
            if self.op_mode == 1:
                matrices = {what: [*found.values()] for what, found in self._matrices.items()}
                storage.save_json(path, record | {"matrices": matrices})
            else:
                ranked = of_clips if self.op_mode == 3 else {}
                ranking = scores.rank(self._columns, self.y_true, ranked)
                scores.save(path, record, self.results, ranking)
        if self.op_mode == 1:
            scores.print_accuracies(matrices)
        elif self.op_mode == 3:
            scores.print_scores(*scores.load(path, ""))
        print(f"results are in {path}")
        if self.op_mode == 2:
            print("next: plot_perf_metrics.py, which finds the best thresholds for mode 3")

    def _load_optima(self) -> None:
        files = self.files
        script = "evaluate.py -O 2" + " --ensemble" * (self.ensemble and len(self.members) == 1)
        remedy = (
            f"{self._command(script, self.model)}, then "
            f"python3 plot_perf_metrics.py --folder {shlex.quote(str(files.folder))}"
        )
        recipe, self.optima, _ = optima.load(files.optima, self.data_set.labels, remedy)
        if storage.differences(recipe, self.recipe):
            raise InputError(f"{files.optima} is of other models or data than these: run {remedy}")


def evaluate_model(
    config: Config,
    name: str,
    op_mode: int,
    *,
    split: float | None = None,
    overwrite: bool = False,
    **given: int,
) -> None:
    """Evaluate a trained model on the data set, as `config` says.

    Parameters
    ----------
    config : Config
        The parameters, including the optimizer.
    name : str
        The trained model, or several joined by '+'.
    op_mode : {1, 2, 3}
        Operation mode; mode 1 may first train on a half of the training data.
    split : float, optional
        As for `Evaluator`.
    overwrite : bool
        Whether that training replaces one with other settings.
    **given
        Parameters of that training, by name, that differ from the model's own.

    Raises
    ------
    InputError
        If something is missing, or does not fit.
    """
    optimizer = model_files.chosen_optimizer(config)

    documented = (name, optimizer, len(config.labels), config.iter_num, op_mode)
    planned = Evaluator(*documented, config=config, split=split)
    if planned.held_out:
        print(f"training on {planned.split:.0%} of the training data for confusion matrices")
        options = {"split": planned.split, "held_out": True, "overwrite": overwrite}
        for member in planned.members:
            network, variant = variants.variant_of(config, member, optimizer, split)
            variant |= given
            now = config.parameters()
            different = [f"{n} {v!r}" for n, v in variant.items() if now[n] != v]
            if different:
                print(f"{member} was trained with {', '.join(different)}: so is its half")
            as_trained = config.changed(variant, member)
            train.train_model(as_trained, network, name=member, **options)
        # All members share the split, or are refused.
        planned = Evaluator(*documented, config=as_trained, split=split)
    planned.run()


def main(argv: Sequence[str] | None = None) -> None:
    """Evaluate what the command line names.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments of the command line; those of this process by default.
    """
    parser = command.new_parser(__doc__)
    command.add_model_options(parser)
    parser.add_argument(
        "-O",
        "--op-mode",
        required=True,
        type=int,
        choices=(1, 2, 3),
        help="1: confusion matrices, 2: every threshold, 3: final scores",
    )
    parser.add_argument(
        "--ensemble", action="store_true", default=None, help="average the outputs of all trainings"
    )
    command.add_run_options(parser)
    command.add_training_options(parser)
    arguments, config = command.parse(parser, argv)
    sizes = {"nb_epochs": arguments.nb_epochs, "batch_size": arguments.batch_size}
    training = (*sizes.values(), arguments.class_weight)
    config = command.choose_data_set(config)
    trains = arguments.op_mode == 1 and config.data_set.multi_label_test
    if training != (None,) * 3 and not trains or arguments.overwrite and arguments.op_mode != 1:
        raise InputError("-e, -b, -c and --overwrite are only for mode 1 where it trains (see -h)")
    name, optimizer = model_files.trained_model(config, arguments.model)
    for member in name.split("+") if arguments.class_weight else ():
        _, variant = variants.variant_of(config, member, optimizer, arguments.split)
        weighted = variant.get("class_weight")
        if weighted not in (None, arguments.class_weight):
            raise InputError(f"{member} was trained with -c {weighted}: so is its half")
    given = {parameter: value for parameter, value in sizes.items() if value is not None}
    options = {"split": arguments.split, "overwrite": arguments.overwrite}
    evaluate_model(config, name, arguments.op_mode, **options, **given)


if __name__ == "__main__":
    command.run(main)
