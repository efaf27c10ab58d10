#!/usr/bin/env python3
"""List the training clips whose labels look wrong (from the outlook of the thesis, 6.2).

  python3 find_label_errors.py -m model_leaky -o adam -d 1
  python3 find_label_errors.py -m model_residual -o adam -d 1 --folds 5 -b 32 -e 20

Trains networks for each fold of a cross-validation, which keeps clips of a recording together, and
has them predict the fold that they have not seen. cleanlab scores how far these predictions
contradict a clip's label (confident learning: Northcutt et al. 2021). Writes
<name>.<optimizer>.label_errors.csv beside the models, the most suspicious clip first: its label,
the predicted one, a score from 0 (wrong) to 1, and whether cleanlab counts it as an error. Listen
before you believe it.

Interrupted runs resume; networks lie in <MODEL_PATH>/<model_name>/fold_<k>_of_<n>/.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

import train
from instrec.common import command, storage
from instrec.config import Config
from instrec.data import tensors
from instrec.errors import InputError
from instrec.learning import model_files, trained

if TYPE_CHECKING:
    import pandas as pd

SHOWN = 20  # clips on the screen; the CSV file has all


def out_of_fold(config: Config, folds: int, *, overwrite: bool = False) -> np.ndarray:
    """Train networks for each fold, and predict each clip with those that have not seen it.

    Parameters
    ----------
    config : Config
        Data set, network, optimizer and training parameters.
    folds : int
        Number of folds.
    overwrite : bool
        Replace networks that were trained otherwise.

    Returns
    -------
    np.ndarray [shape=(clips, labels)]
        Mean over trainings and patches of a clip, scaled to sum to 1; NaN if it has no patches.
    """
    part = tensors.load(config, "train")
    name = model_files.trained_name(config, config.model)
    sums = np.zeros((len(part.files), len(part.label_names)))
    for k in range(folds):
        print(f"fold {k + 1} of {folds}")
        train.train_model(config, config.model, held_out=(k, folds), overwrite=overwrite)
        files = model_files.model_files(config, name, config.optimizer, held_out=(k, folds))
        remedy = "the same command with --overwrite"
        rows = np.flatnonzero(part.fold_mask(config, k, folds))
        for i in range(config.iter_num):
            predicted = trained.load(files, i, remedy).outputs(part)
            np.add.at(sums, part.file_id[rows], predicted[rows])
    with np.errstate(invalid="ignore"):
        return sums / sums.sum(axis=1, keepdims=True)


def rank(
    files: Sequence[str], class_id: np.ndarray, shares: np.ndarray, labels: Sequence[str]
) -> "pd.DataFrame":
    """Rank clips by how far predictions contradict their labels.

    Parameters
    ----------
    files : sequence of str
        Names of the clips.
    class_id : np.ndarray [shape=(clips,)]
        Label of each clip, as an index into `labels`.
    shares : np.ndarray [shape=(clips, labels)]
        Out-of-fold predictions that add up to 1.
    labels : sequence of str
        The label set.

    Returns
    -------
    pandas.DataFrame
        Columns filename, label, predicted, score (0 to 1) and error; the lowest score first.
    """
    import pandas as pd
    from cleanlab.filter import find_label_issues
    from cleanlab.rank import get_label_quality_scores

    scores = get_label_quality_scores(class_id, shares, method="normalized_margin")
    names = np.array(labels)
    table = pd.DataFrame(
        {
            "filename": list(files),
            "label": names[class_id],
            "predicted": names[shares.argmax(axis=1)],
            "score": scores.round(4),
            "error": find_label_issues(class_id, shares, n_jobs=1),
        }
    )
    return table.sort_values("score", kind="stable", ignore_index=True)


def main(argv: Sequence[str] | None = None) -> None:
    """Rank the training clips of the selected data set.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments of the command line; those of this process by default.
    """
    parser = command.new_parser(__doc__)
    command.add_model_options(parser)
    command.add_training_options(parser)
    parser.add_argument("-i", dest="iter_num", type=int, metavar="N", help="trainings per fold")
    parser.add_argument("--folds", type=int, default=5, metavar="N", help="number of folds (5)")
    arguments, config = command.parse(parser, argv)
    config = command.choose_data_set(config)
    name, optimizer = model_files.trained_model(config, None)
    if arguments.folds < 2:
        raise InputError(f"expected 2 folds or more, found {arguments.folds}")
    part = tensors.load(config, "train")
    shares = out_of_fold(config, arguments.folds, overwrite=arguments.overwrite)
    kept = np.flatnonzero(np.isfinite(shares).all(axis=1))
    class_id = part.labels.argmax(axis=1)[kept]
    table = rank(np.array(part.files)[kept], class_id, shares[kept], config.labels)
    path = config.model_folder / name / f"{name}.{optimizer}.label_errors.csv"
    storage.save(path, table.to_csv(index=False))
    command.print_table(tuple(table.columns), table.head(SHOWN).to_numpy().tolist())
    print(f"{table['error'].sum()} of {len(table)} clips look wrongly labelled; all are in {path}")


if __name__ == "__main__":
    command.run(main)
