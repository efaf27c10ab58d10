"""Compare all models: their final scores as frames, and how much better one is."""

import contextlib
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from instrec.common import storage
from instrec.config import read
from instrec.errors import InputError
from instrec.scoring import metrics, scores
from settings import DATA_SETS

if TYPE_CHECKING:
    import pandas as pd

LEVELS = ("data set", "model", "strategy")
THRESHOLDS = {"one": "global", "classwise": "global_class"}  # as in the names of frames
DEFAULT_OPTIMIZER = "adam"  # not named in the index
HOW_TO = (
    "train.py, evaluate.py -O 2, plot_perf_metrics.py and evaluate.py -O 3 make them, "
    "each with -m MODEL_NAME -o OPTIMIZER -d ID"
)


class Results(NamedTuple):
    """The scores of all models: means over the trainings, and their deviations."""

    global_res: "pd.DataFrame"
    class_res: "pd.DataFrame"
    global_class_res: "pd.DataFrame"
    ranking_res: "pd.DataFrame"
    global_dev: "pd.DataFrame"
    class_dev: "pd.DataFrame"
    global_class_dev: "pd.DataFrame"
    ranking_dev: "pd.DataFrame"


def load(models_root: Path) -> tuple[Results, dict[tuple[str, str], str]]:
    """Read the final scores of all models, with notes; damaged files are named and left out.

    Parameters
    ----------
    models_root : Path
        Folder of all models.

    Returns
    -------
    results : Results
        Models are named by folder, then optimizer unless that is adam, then split if they have
        their own.
    notes : dict of (str, str) to str
        Caveats by result key and model: rendered or incomplete test data, or networks that have
        since been replaced.

    Raises
    ------
    InputError
        If nothing is found.
    """
    import pandas as pd

    tables, rankings, notes = [], [], {}
    weights = _weights_in(models_root)
    paths = (
        p for where in ("*/*", "*/*/split_*") for p in models_root.glob(f"{where}/*.scores.json")
    )
    for path in sorted(paths):
        try:
            record, table = scores.load(path, "evaluate.py -O 3")
            ranking, recipe = record["ranking"], record["recipe"]
            key, model, *split = path.relative_to(models_root).parts[:-1]
            if (recipe.get("data_set"), recipe.get("model")) != (key, model):
                raise InputError(f"{path} has scores of another model")
        except InputError as error:
            print(f"left out: {error}", file=sys.stderr)
            continue
        if recipe["optimizer"] != DEFAULT_OPTIMIZER:
            model = f"{model}.{recipe['optimizer']}"
        model = ".".join([model, *split])
        tables.append(table.assign(model=model))
        rankings.append(ranking.assign(model=model))
        kinds = [kind for kind in ("rendered", "incomplete") if f"{kind} " in record["half"]]
        kinds += [] if weights.issuperset(recipe.get("weights", ())) else ["replaced"]
        if kinds:
            notes[key, model] = ", ".join(kinds)
    if not tables:
        raise InputError(f"expected final scores in {models_root}, found none: {HOW_TO}")
    return _summarise(pd.concat(tables), pd.concat(rankings)), notes


def _weights_in(models_root: Path) -> set[str]:
    """Return the recorded digests of the weights of all trained networks."""
    found = set()
    for path in models_root.glob("*/**/*.run.json"):
        with contextlib.suppress(InputError):
            found.add(storage.load_json(path, "").get("weights"))
    return found


def load_results(models_root: Path | None = None) -> Results:
    """Read the final scores of all models.

    Parameters
    ----------
    models_root : Path, optional
        Folder of `<result key>/<model>/*.scores.json`; that of settings.py by default.

    Returns
    -------
    Results
        Frames with columns precision, recall and f-score, and a sorted index of four levels:
        data set, model, strategy, and averaging or label. Frames by label have every label of
        every data set, NaN where a data set lacks it. Ranking frames have columns lrap and map,
        and no fourth level.

    Raises
    ------
    InputError
        If nothing is found.
    """
    results, _ = load(models_root or read().models_root)
    return results


def _summarise(table: "pd.DataFrame", ranking: "pd.DataFrame") -> Results:
    """Average scores (tables with the columns of `scores`) over the trainings."""
    import pandas as pd

    frames = []
    for summary in ("mean", lambda values: float(metrics.deviation(values.to_numpy()))):
        for kind in ("global", "classwise", "global_classwise"):
            level = "label" if kind == "classwise" else "averaging"
            chosen = table[table["kind"] == kind].rename(columns={"name": level})
            frame = chosen.groupby([*LEVELS, level])[list(scores.MEASURES)].agg(summary)
            if level == "label":
                every = sorted({label for row in DATA_SETS.values() for label in row.labels})
                index = [
                    (*key, label) for key in frame.index.droplevel(3).unique() for label in every
                ]
                frame = frame.reindex(pd.MultiIndex.from_tuples(index, names=frame.index.names))
            frames.append(frame.sort_index())
        frames.append(ranking.groupby(list(LEVELS))[list(metrics.RANKING)].agg(summary))
    return Results(*frames)


def plot_improvement(
    model: str,
    baseline: str,
    *,
    data_set: str,
    baseline_data_set: str | None = None,
    thresholds: str = "one",
    baseline_thresholds: str = "one",
) -> list[Path]:
    """Draw by how many points one model beats another in precision, recall and F.

    The error bars add the variances of both, which is exact if their trainings are independent.

    Parameters
    ----------
    model, baseline : str
        Names as in the frames. They may be the same if the data sets or thresholds differ.
    data_set : str
        Result key, such as 'irmas_1024'.
    baseline_data_set : str, optional
        Result key of the baseline, such as the data set before separation; `data_set` by default.
    thresholds, baseline_thresholds : {'one', 'classwise'}
        For the global scores: one threshold for all labels, or the best one per label.

    Returns
    -------
    list of Path
        The figures: PNG and PDF in `<models root>/<data_set>/figures`. Scores of single labels are
        shown too, unless both sides have the same ones.

    Raises
    ------
    InputError
        If there are no scores of that name, or both sides are the same.
    """
    from instrec.figures import scores as figures
    from instrec.figures import style

    sides = (
        Side(data_set, model, thresholds),
        Side(baseline_data_set or data_set, baseline, baseline_thresholds),
    )
    if sides[0] == sides[1]:
        raise InputError(f"expected two different things to compare, found {model} twice")
    root = read().models_root
    frames, notes = load(root)
    panels = {"all labels": (*_differences(frames, sides), list(figures.AVERAGES))}
    if sides[0][:2] != sides[1][:2]:
        points, deviations = _differences(frames, sides, kind="class")
        if labels := list(points.dropna().index.unique("label")):  # shared by both
            panels["single labels, each with its own threshold"] = points, deviations, labels
    title = f"{sides[0].title(notes)}\nover {sides[1].title(notes)}"
    drawn = figures.improvement_bars(panels, title)
    folder = root / data_set / "figures"
    with storage.lock(folder, "figures"):
        return style.save(drawn, folder / "_over_".join("-".join(side) for side in sides))


class Side(NamedTuple):
    """One side of a comparison, named as in the frames."""

    data_set: str
    model: str
    thresholds: str

    def title(self, notes: Mapping[tuple[str, str], str]) -> str:
        """Return its name for a title, with any caveat.

        Parameters
        ----------
        notes : mapping of (str, str) to str
            From `load`.

        Returns
        -------
        str
        """
        kind = "one threshold" if self.thresholds == "one" else "class-wise thresholds"
        note = notes.get((self.data_set, self.model))
        return f"{self.data_set}{f' ({note})' if note else ''} · {self.model} · {kind}"

    def rows(self, frame: "pd.DataFrame") -> "pd.DataFrame":
        """Return its rows of a frame, by strategy and average or label.

        Parameters
        ----------
        frame : pandas.DataFrame
            One of `Results`.

        Returns
        -------
        pandas.DataFrame
        """
        frame = frame.loc[_choose("data set", self.data_set, frame.index.unique("data set"))]
        return frame.loc[_choose("model", self.model, frame.index.unique("model"))]


def _choose(what: str, name: str, among: Iterable[str]) -> str:
    """Return `name`; raise an error if it is not there."""
    if name not in among:
        raise InputError(f"expected a {what} among {', '.join(among)}, found {name!r}")
    return name


def _differences(
    results: Results, sides: Sequence[Side], kind: str | None = None
) -> tuple["pd.DataFrame", "pd.DataFrame"]:
    """Subtract scores, in points, and combine their deviations, by strategy and name."""
    means, deviations = [], []
    for side in sides:
        frames = kind or THRESHOLDS[_choose("thresholds", side.thresholds, THRESHOLDS)]
        means.append(side.rows(getattr(results, f"{frames}_res")))
        deviations.append(side.rows(getattr(results, f"{frames}_dev")))
    return 100 * (means[0] - means[1]), 100 * np.hypot(*deviations)
