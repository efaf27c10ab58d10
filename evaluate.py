#!/usr/bin/env python3
"""Step 4 of 4: evaluate trained networks, in three operation modes.

  python3 evaluate.py -m model_leaky -o adam -O 1 -d 1    confusion matrices
  python3 evaluate.py -m model_leaky -o adam -O 2 -d 1    every threshold, development half
  python3 plot_perf_metrics.py -m model_leaky -o adam -d 1    do not skip: stores the optima
  python3 evaluate.py -m model_leaky -o adam -O 3 -d 1    final scores, pure half
  python3 evaluate.py -m model_leaky+model_baseline -o adam -O 2 -d 1    an ensemble

Mode 1 needs one label a clip. Where test clips have several (IRMAS, IRMAS Wind), it trains new
networks on one half of the training data and takes the other half, all by itself; otherwise it
takes the pure half of the test data. Plot its matrices with plot_conf_mat.py. In mode 3, the
thresholds are those that did best in mode 2, never chosen on the half that is scored.

An ensemble averages the outputs of all runs of the models that are joined by +, or of all runs of
one model with --ensemble; its results lie under ensemble_<model name>.
"""

import contextlib
import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import models
import settings
import train
from instrec.common import command, storage
from instrec.data import features, tensors
from instrec.errors import InputError
from instrec.figures import launchers
from instrec.learning import model_files as results
from instrec.learning import trained as networks
from instrec.scoring import metrics

CONFUSION_SPLIT = 0.5  # share that trains for confusion matrices (documentation, section 4.1.2)
PREDICTION_BATCH = 256  # patches; has no influence on the scores


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
    data_set : settings.DataSet, optional
        By default the one that settings.py selects.
    split : float, optional
        Share of the training data that the networks were trained on; by default
        `settings.val_split`, and in mode 1 one half where test clips have several labels.

    Attributes
    ----------
    results : dict
        By strategy ('s1', 's2'), what the metrics methods found, a list over iterations.
    """

    def __init__(
        self,
        model_str: str,
        optimizer_str: str,
        num_classes: int,
        iter_num: int,
        op_mode: int,
        *,
        data_set: settings.DataSet | None = None,
        split: float | None = None,
    ) -> None:
        self.data_set = data_set or settings.selected()
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
            check_model(member, self.data_set)
        self.model, self.optimizer = model_str, optimizer_str
        self.num_classes, self.op_mode = num_classes, op_mode
        self.iter_num = command.positive("iter_num", iter_num)
        self.held_out = op_mode == 1 and self.data_set.multi_label_test
        if split is None:
            split = CONFUSION_SPLIT if self.held_out else settings.val_split
        if not 0 < split < 1:
            raise InputError(f"expected a training share between 0 and 1, found {split}")
        self.split = split
        # Networks of another split lie apart, and their results with them; but the confusion
        # matrices of a held-out half stand in for the model's own.
        self.ensemble = settings.ensemble or len(self.members) > 1
        self.files = results.model_files(
            self.data_set,
            results.result_name(model_str),
            optimizer_str,
            None if self.held_out else self.split,
        )
        self.results: dict = {strategy: {} for strategy in metrics.STRATEGIES}
        self.made_of: dict = {}

    def run(self) -> None:
        """Do everything in order: load the data and the networks, evaluate, save."""
        load = self.load_test_data if len(self.data_set.folders) == 1 else self.load_multi_test_data
        load()
        predictions = self.load_model(self.model, self.optimizer)
        for iteration, of_iteration in enumerate(predictions):
            self.evaluate(of_iteration, self.model, self.optimizer, iteration)
        self.save_results(self.model, self.optimizer)

    def load_test_data(self) -> None:
        """Open the test patches of a data set with one input, and binarize the labels.

        Mode 1 takes the pure half, or where test clips have several labels the held-out half of
        the training data; mode 2 the development half; mode 3 the pure half.
        """
        self._load(inputs=1)

    def load_multi_test_data(self) -> None:
        """Open the test patches of a data set with two inputs; else as `load_test_data`."""
        self._load(inputs=2)

    def _load(self, inputs: int) -> None:
        tensors.check_inputs(self.data_set, inputs, ("load_test_data", "load_multi_test_data"))
        self.tensors = tensors.load(self.data_set, "train" if self.held_out else "test")
        self.training = tensors.load(self.data_set, "train")
        if self.held_out:
            chosen = self._split_mask()
            self.half = f"held-out {1 - self.split:.0%} of the {self.tensors.kind}training data"
        else:
            pure = self.op_mode != 2
            chosen = (self._split_mask() == pure)[self.tensors.file_id]
            half = "pure" if pure else "development"
            self.half = f"{half} half of the {self.tensors.kind}test data"
        self.rows = np.flatnonzero(chosen)
        # Of the pure and the development half it is the same, as they are of one split.
        self.split_digest = storage.digest_of(self._split_mask().tolist())
        # A clip is a run of patches of one file.
        self.clips, starts = np.unique(self.tensors.file_id[self.rows], return_index=True)
        self.clip_starts = starts[1:]
        self.y_true = self.tensors.labels[self.clips]  # [clips x labels]
        absent = [
            label
            for label, some in zip(self.data_set.labels, self.y_true.any(axis=0), strict=True)
            if not some
        ]
        print(
            f"{self.data_set.title}, {self.half}: {len(self.clips)} clips, {len(self.rows)} patches"
        )
        if absent:
            print(f"note: no clip has {', '.join(absent)}, which count as 0 in macro averages")

    def _split_mask(self) -> np.ndarray:
        """Tell the held-out patches, or the clips of the pure half."""
        if self.held_out:
            return self.tensors.validation_mask(self.split)
        return self.tensors.pure_mask()

    def load_model(self, model_str: str, optimizer_str: str) -> list[np.ndarray]:
        """Load the trained networks and predict every patch, or take what was predicted before.

        Parameters
        ----------
        model_str, optimizer_str : str
            Names of the network and its optimizer.

        Returns
        -------
        list of np.ndarray [shape=(patches, labels)]
            Outputs of each iteration for the patches of the loaded half.

        Raises
        ------
        InputError
            If a network is missing, damaged, or was trained with other features or labels.
        """
        runs = [
            (results.model_files(self.data_set, member, optimizer_str, self.split), iteration)
            for member in model_str.split("+")
            for iteration in range(self.iter_num)
        ]
        self.made_of = {
            "data_set": self.data_set.key,
            "model": results.result_name(model_str),
            "optimizer": optimizer_str,
            "labels": list(self.data_set.labels),
            "tensors": self.tensors.fingerprint,
            "trained_on": self.split,
            "halves": self.split_digest,
        }
        records = [self._check_record(*run) for run in runs]
        for first in range(0, len(runs), self.iter_num):
            networks.check_alike(runs[first][0], records[first : first + self.iter_num])
        self.made_of["weights"] = [record["weights"] for record in records]
        if self.op_mode == 3:
            self._load_optima()  # what is missing is said before minutes of predictions
        predictions = [
            self._predictions(*run, record)[self.rows]
            for run, record in zip(runs, records, strict=True)
        ]
        return [np.mean(predictions, axis=0)] if self.ensemble else predictions

    def _training_command(self, files: results.ModelFiles) -> str:
        """The command that trains what is missing, with the options of the first iteration."""
        variant = "" if files.model in models.model_names() else f" --name {files.model}"
        network = "MODEL_NAME" if variant else files.model
        options = f"-d {settings.dataset} -i {self.iter_num}{self._split_option()}"
        with contextlib.suppress(InputError):
            made_of = networks.load_record(files, 0, "", "made_of")["made_of"]
            network = made_of.get("model", network)
            names = {"-e": "nb_epochs", "-b": "batch_size", "-c": "class_weight"}
            options += "".join(f" {o} {made_of[n]}" for o, n in names.items() if n in made_of)
            if made_of.get("transfer_from"):
                options += f" --from {made_of['transfer_from'][0]}"
                options += f" --passes {len(made_of['passes'])}"
            if made_of.get("standardise"):
                options += ", with standardise = True in settings.py,"
        return f"python3 train.py -m {network}{variant} -o {files.optimizer} {options}"

    def _split_option(self) -> str:
        return f" -s {self.split:g}" if self.split != settings.val_split else ""

    def _check_record(self, files: results.ModelFiles, iteration: int) -> dict:
        command_ = self._training_command(files)
        if not files.run_record(iteration).exists():
            found = sum(files.run_record(i).exists() for i in range(iteration))
            raise InputError(
                f"expected {self.iter_num} trained iterations in {files.folder}, found {found}: "
                f"run {command_}, or choose fewer with -i"
            )
        record = networks.load_record(
            files, iteration, f"{command_} --overwrite", "made_of", "weights"
        )
        wanted = {
            **dataclasses.asdict(features.parameters_of(self.data_set)),
            "labels": list(self.data_set.labels),
            # Of other training data, files that were trained on could now be test files.
            "tensors": self.training.fingerprint,
            "split": self.split,
        }
        if self.held_out:
            wanted |= {
                "split_by": settings.split_by,
                "split_seed": settings.seed,
                "balanced": settings.balanced,
            }
        different = storage.mismatches(record, wanted)
        if different:
            raise InputError(
                f"{files.best(iteration)} was trained with other settings or data than today's "
                f"({'; '.join(different)}): run {command_} --overwrite"
            )
        return record

    def _predictions(self, files: results.ModelFiles, iteration: int, record: dict) -> np.ndarray:
        """Predict all patches of the tensors once per trained network: [patches x labels]."""
        path = files.predictions(iteration)
        made_of = json.dumps([record["weights"], self.tensors.fingerprint])
        shape = (len(self.tensors.file_id), self.num_classes)
        if path.exists():
            # What is damaged or of other models is predicted again.
            with contextlib.suppress(InputError), storage.refuse_damaged(path, ""):
                saved = storage.load_arrays(path, "")
                if str(saved["made_of"]) == made_of and saved["predictions"].shape == shape:
                    return saved["predictions"]
        predictions = self._predict(files, iteration, record)
        with self._results_lock(files.folder):
            storage.save_arrays(path, made_of=made_of, predictions=predictions)
        return predictions

    def _results_lock(self, folder: Path) -> contextlib.AbstractContextManager:
        """Not that of a training, which may go on in the same folder for hours."""
        return storage.lock(folder, "results", name="results.", wait=60)

    def _predict(self, files: results.ModelFiles, iteration: int, record: dict) -> np.ndarray:
        remedy = f"{self._training_command(files)} --overwrite"
        networks.check_weights(files, iteration, record, remedy)
        from instrec.learning import callbacks
        from instrec.learning.patches import Patches

        network = networks.load_network(files, iteration, remedy)
        data = Patches(
            self.tensors.inputs,
            np.arange(len(self.tensors.file_id)),
            PREDICTION_BATCH,
            moments=record.get("moments"),
        )
        bar = callbacks.PredictionBar(f"predicting {files.best(iteration).name}", len(data))
        with data.errors():
            return network.predict(data.dataset(), steps=len(data), callbacks=[bar], verbose=0)

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
        """Evaluate one iteration with every strategy; what is found goes to `results`.

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
        for strategy in metrics.STRATEGIES:
            self.scores = self.aggregate_predictions(strategy, clips)
            if self.op_mode == 1:
                self._confusion(strategy)
            else:
                self.global_performance_metrics(strategy, iteration)
                self.classwise_performance_metrics(strategy, iteration)
            if self.op_mode == 3:
                self.best_classwise_global_performance_metrics(strategy, iteration)
                self._ranking(strategy)

    def global_performance_metrics(self, strategy: str, iteration: int) -> None:
        """Precision, recall and f-score of all labels together, for each kind of average.

        Mode 2 sweeps one threshold for all labels from 0 to 1 by 0.05; mode 3 takes the optimum
        of each average.

        Parameters
        ----------
        strategy : str
            Aggregation strategy.
        iteration : int
            Number of the iteration.
        """
        for average, score in metrics.AVERAGES.items():
            if self.op_mode == 2:
                y_pred = metrics.decide_at_each(self.scores)
            else:
                y_pred = metrics.decide(self.scores, self.optima[strategy]["global"][average])
            self._store(strategy, "global", average, iteration, score(self.y_true, y_pred))

    def classwise_performance_metrics(self, strategy: str, iteration: int) -> None:
        """Precision, recall and f-score of each label by itself.

        Mode 2 sweeps the threshold from 0 to 1 by 0.05; mode 3 takes the optimum of each label.
        Parameters are those of `global_performance_metrics`.
        """
        if self.op_mode == 2:
            y_pred = metrics.decide_at_each(self.scores)
        else:
            y_pred = metrics.decide(self.scores, self._classwise_optima(strategy))
        score = metrics.classwise(self.y_true, y_pred)  # [... x labels]
        for i, label in enumerate(self.data_set.labels):
            of_label = metrics.Score(*(values[..., i] for values in score))
            self._store(strategy, "classwise", label, iteration, of_label)

    def best_classwise_global_performance_metrics(self, strategy: str, iteration: int) -> None:
        """Global precision, recall and f-score with the optimum threshold of each label.

        Parameters are those of `global_performance_metrics`.
        """
        y_pred = metrics.decide(self.scores, self._classwise_optima(strategy))
        for average, score in metrics.AVERAGES.items():
            self._store(
                strategy, "global_classwise", average, iteration, score(self.y_true, y_pred)
            )

    def save_results(self, model_str: str, optimizer_str: str) -> None:
        """Save what the operation mode found, and print it.

        Parameters
        ----------
        model_str, optimizer_str : str
            Names of the network and its optimizer.
        """
        name = results.result_name(model_str)
        files = dataclasses.replace(self.files, model=name, optimizer=optimizer_str)
        path = {1: files.confusion, 2: files.sweep, 3: files.scores}[self.op_mode]
        content = {
            "made_of": self.made_of,
            "half": self.half,
            "clips": len(self.clips),
            "iterations": 1 if self.ensemble else self.iter_num,
            "results": self.results,
        }
        if self.op_mode == 2:
            content["thresholds"] = metrics.THRESHOLDS.tolist()
            content["absent"] = np.flatnonzero(~self.y_true.any(axis=0)).tolist()
        if self.op_mode == 3:
            content["optima"] = self.optima
        with self._results_lock(files.folder):
            storage.save_json(path, content)
            launchers.write(files.folder)
        if self.op_mode == 1:
            self._print_confusion()
        elif self.op_mode == 3:
            self._print_scores()
        print(f"results are in {path}")
        if self.op_mode == 2:
            print("next: plot_perf_metrics.py, which finds the best thresholds for mode 3")

    def _confusion(self, strategy: str) -> None:
        true, predicted = self.y_true.argmax(axis=1), self.scores.argmax(axis=1)
        matrix = metrics.confusion_matrix(true, predicted, self.num_classes)
        self.results[strategy].setdefault("confusion", []).append(matrix.tolist())

    def _ranking(self, strategy: str) -> None:
        of_strategy = self.results[strategy].setdefault("ranking", {})
        for name, score in metrics.RANKING.items():
            of_strategy.setdefault(name, []).append(score(self.y_true, self.scores))

    def _store(
        self, strategy: str, kind: str, name: str, iteration: int, score: metrics.Score
    ) -> None:
        values = np.stack(score, axis=-1).tolist()  # [... x 3]
        of_name = self.results[strategy].setdefault(kind, {}).setdefault(name, [])
        del of_name[iteration:]  # evaluated again
        of_name.append(values)

    def _load_optima(self) -> None:
        files = self.files
        chosen = f"-o {files.optimizer} -d {settings.dataset}"
        named = f"-m {files.model} {chosen}"
        place = f"--folder {files.folder}" if self._split_option() else named
        ensemble = " --ensemble" if self.ensemble and len(self.members) == 1 else ""
        remedy = (
            f"python3 evaluate.py -m {self.model} {chosen}{ensemble} -O 2 -i {self.iter_num}"
            f"{self._split_option()}, "
            f"then python3 plot_perf_metrics.py {place}"
        )
        expected = {"made_of": dict, "optima": dict}
        optima = storage.load_json(files.optima, remedy, expected=expected)
        if storage.differences(optima["made_of"], self.made_of):
            raise InputError(f"{files.optima} is of other models or data than these: run {remedy}")
        self.optima = optima["optima"]
        with storage.refuse_damaged(files.optima, remedy):
            for strategy in metrics.STRATEGIES:
                self._classwise_optima(strategy)
                _ = [float(self.optima[strategy]["global"][a]) for a in metrics.AVERAGES]

    def _classwise_optima(self, strategy: str) -> np.ndarray:
        optima = self.optima[strategy]["classwise"]
        return np.array([float(optima[label]) for label in self.data_set.labels])

    def _print_confusion(self) -> None:
        rows = []
        for strategy, found in self.results.items():
            accuracy = [metrics.mean_accuracy(np.array(m)) for m in found["confusion"]]
            rows.append((strategy, metrics.mean_and_deviation(accuracy)))
        command.print_table(("strategy", "mean accuracy"), rows)

    def _print_scores(self) -> None:
        rows = []
        for strategy, found in self.results.items():
            for kind, title in (("global", "one"), ("global_classwise", "class-wise")):
                for average in metrics.AVERAGES:
                    scores = np.array(found[kind][average])
                    cells = (metrics.mean_and_deviation(column) for column in scores.T)
                    rows.append((strategy, average, title, *cells))
        command.print_table(
            ("strategy", "average", "thresholds", "precision", "recall", "f-score"), rows
        )
        command.print_table(
            ("strategy", *metrics.RANKING),
            [
                (strategy, *map(metrics.mean_and_deviation, found["ranking"].values()))
                for strategy, found in self.results.items()
            ],
        )


def check_model(name: str, data_set: settings.DataSet) -> None:
    """Refuse a network that does not fit the data set, or a variant that nobody has trained.

    Raises
    ------
    InputError
        Naming what there is.
    """
    if name in models.model_names():
        train.check_pair(name, data_set)
    elif name != settings.name and not (data_set.model_path / name).is_dir():
        raise InputError(
            f"expected a model among {', '.join(models.model_names())} or a trained one in "
            f"{data_set.model_path}, found {name!r}"
        )


def evaluate_model(
    name: str,
    optimizer: str,
    op_mode: int,
    *,
    split: float | None = None,
    overwrite: bool = False,
) -> None:
    """Evaluate a trained model on the selected data set, as settings.py says.

    Parameters
    ----------
    name : str
        The trained model, or several joined by '+'.
    optimizer : {'adam', 'sgd'}
        Optimizer it was trained with.
    op_mode : {1, 2, 3}
        Operation mode; the first may train on a half of the training data before.
    split : float, optional
        As of `Evaluator`.
    overwrite : bool
        Whether that training replaces one with other settings.
    """
    data_set = settings.selected()
    evaluator = Evaluator(
        name, optimizer, len(data_set.labels), settings.iter_num, op_mode, split=split
    )
    if evaluator.held_out:
        print(f"training on {evaluator.split:.0%} of the training data for confusion matrices")
        for member in evaluator.members:
            network, variant = train.variant_of(data_set, member, optimizer)
            others = [f"{n} {v!r}" for n, v in variant.items() if getattr(settings, n) != v]
            if others:
                print(f"{member} was trained with {', '.join(others)}: so is its half")
            with settings.overridden(variant, member):
                train.train_model(
                    network, optimizer, split=evaluator.split, overwrite=overwrite, name=member
                )
        # All members share the split, or are refused.
        with settings.overridden(variant, member):
            evaluator.run()
    else:
        evaluator.run()


def main() -> None:
    """Evaluate what the command line names."""
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
        "--ensemble", action="store_true", default=None, help="average the outputs of all runs"
    )
    command.add_run_options(parser)
    command.add_training_options(parser)
    with command.parsed(parser) as arguments:
        training = (arguments.nb_epochs, arguments.batch_size, arguments.class_weight)
        if arguments.op_mode != 1 and (training != (None,) * 3 or arguments.overwrite):
            raise InputError("-e, -b, -c and --overwrite are for mode 1, the only one that trains")
        data_set = command.select_data_set()
        name, optimizer = command.trained_model(arguments)
        for member in name.split("+") if arguments.class_weight else ():
            weighted = train.variant_of(data_set, member, optimizer)[1].get("class_weight")
            if weighted not in (None, arguments.class_weight):
                raise InputError(f"{member} was trained with -c {weighted}: so is its half")
        evaluate_model(
            name,
            optimizer,
            arguments.op_mode,
            split=arguments.split,
            overwrite=arguments.overwrite,
        )


if __name__ == "__main__":
    command.run(main)
