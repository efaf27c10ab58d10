#!/usr/bin/env python3
"""Compare the final scores of all models: everything that evaluate.py found in operation mode 3.

  cd models && ipython3 compare_models.py       ends in a prompt with the data frames below
  python3 compare_models.py                     prints them
  python3 compare_models.py --improvement model_leaky model_baseline -d 1     bar charts

Data frames with the columns precision, recall and f-score, means over the iterations:

  global_res         by data set, model, strategy and averaging; one threshold for all labels
  class_res          by data set, model, strategy and label
  global_class_res   as global_res, with the best threshold of each label
  ranking_res        by data set, model and strategy: lrap (label ranking average precision) and map
                     (mean average precision), which need no threshold

global_dev, class_dev, global_class_dev and ranking_dev hold the standard deviations. The optimizer
is adam unless the model's name ends with another, such as model_baseline.sgd. In the prompt:

  global_res.loc['irmas_1024'].loc['model_baseline'].loc['s2'].loc['micro']
  plot_improvement('model_leaky', 'model_baseline', data_set='irmas_1024')
"""

import contextlib
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

import settings
from instrec.common import command, storage
from instrec.errors import InputError
from instrec.scoring import metrics

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("precision", "recall", "f-score")
# What evaluate.py stores for each strategy, and the name of the last index level for it, if any.
KINDS = {"global": "averaging", "classwise": "label", "global_classwise": "averaging"}
KINDS |= {"ranking": None}
THRESHOLDS = {"one": "global", "classwise": "global_classwise"}
DEFAULT_OPTIMIZER = "adam"  # not named in the index
HOW_TO = (
    "train.py, evaluate.py -O 2, plot_perf_metrics.py and evaluate.py -O 3 make them, "
    "each with -m MODEL_NAME -o OPTIMIZER -d ID"
)


class Results(NamedTuple):
    """The scores of all models: means over the iterations, and their deviations."""

    global_res: "pd.DataFrame"
    class_res: "pd.DataFrame"
    global_class_res: "pd.DataFrame"
    ranking_res: "pd.DataFrame"
    global_dev: "pd.DataFrame"
    class_dev: "pd.DataFrame"
    global_class_dev: "pd.DataFrame"
    ranking_dev: "pd.DataFrame"


def load_results(models_root: Path | None = None) -> Results:
    """Read the final scores of all models.

    Parameters
    ----------
    models_root : Path, optional
        Folder of `<result key>/<model>/*.scores.json`; `settings.MODELS_ROOT` by default.

    Returns
    -------
    Results
        Frames with columns precision, recall and f-score, and a sorted index of four levels:
        data set, model, strategy, and averaging or label. The frames of labels have every label of
        every data set: one that a data set lacks is NaN. Those of rankings have columns lrap and
        map, and no fourth level.

    Raises
    ------
    InputError
        If nothing is found.
    """
    root = models_root or settings.MODELS_ROOT
    found: dict[str, dict[tuple, np.ndarray]] = {kind: {} for kind in KINDS}
    for path in sorted(root.glob("*/*/*.scores.json")):
        try:
            scores = read_scores(path)
        except storage.DAMAGE as error:
            why = f"damaged, or not of evaluate.py -O 3 ({type(error).__name__}: {error})"
            print(f"left out: {path}: {why}", file=sys.stderr)
            continue
        for kind in KINDS:
            found[kind].update(scores[kind])
    if not found["global"]:
        raise InputError(f"expected final scores in {root}, found none: {HOW_TO}")
    frames = [
        _frame(found[kind], summary, last_level)
        for summary in (np.mean, np.std)
        for kind, last_level in KINDS.items()
    ]
    return Results(*frames)


def rendered_models() -> set[tuple[str, str]]:
    """Return result key and model, as the frames name them, of scores on rendered audio."""
    found = set()
    for path in settings.MODELS_ROOT.glob("*/*/*.scores.json"):
        with contextlib.suppress(*storage.DAMAGE):
            content = json.loads(path.read_text(encoding="utf-8"))
            if "rendered " in content["half"]:
                found.add((path.parts[-3], _model_name(path, content["made_of"])))
    return found


def _model_name(path: Path, made_of: dict) -> str:
    """Name a model as the frames do, by the folder of its scores and its optimizer."""
    default = made_of["optimizer"] == DEFAULT_OPTIMIZER
    return path.parts[-2] if default else f"{path.parts[-2]}.{made_of['optimizer']}"


def read_scores(path: Path) -> dict[str, dict[tuple, np.ndarray]]:
    """Read the scores of one model.

    Returns
    -------
    dict of dict of np.ndarray [shape=(iterations, columns)]
        By kind (those of `KINDS`) and index of the frames.
    """
    content = json.loads(path.read_text(encoding="utf-8"))
    made_of, iterations = content["made_of"], content["iterations"]
    key, model = path.parts[-3:-1]
    if (made_of["data_set"], made_of["model"]) != (key, model):
        raise ValueError(f"scores of {made_of['data_set']}/{made_of['model']}")
    model = _model_name(path, made_of)
    names = {"global": tuple(metrics.AVERAGES), "classwise": made_of["labels"]}
    names["global_classwise"] = names["global"]
    shape = (iterations, len(COLUMNS))
    found = {
        kind: {
            (key, model, strategy, name): np.array(
                content["results"][strategy][kind][name], dtype=np.float64
            ).reshape(shape)
            for strategy in metrics.STRATEGIES
            for name in names[kind]
        }
        for kind in names
    }
    rankings = {s: content["results"][s]["ranking"] for s in metrics.STRATEGIES}
    found["ranking"] = {
        (key, model, strategy): np.array([ranking[name] for name in metrics.RANKING]).T
        for strategy, ranking in rankings.items()
    }
    return found


def _frame(
    found: dict[tuple, np.ndarray],
    summary: Any,  # noqa: ANN401
    last_level: str | None,
) -> "pd.DataFrame":
    """Summarise [iterations x columns] for each index entry in a sorted frame."""
    import pandas as pd

    rows = {index: summary(values, axis=0) for index, values in found.items()}
    if last_level == "label":
        every = {label for data_set in settings.DATA_SETS.values() for label in data_set.labels}
        nothing = np.full(len(COLUMNS), np.nan)
        rows = {(*index[:3], label): nothing for index in rows for label in every} | rows
    levels = ("data set", "model", "strategy", last_level)
    index = pd.MultiIndex.from_tuples(rows, names=levels if last_level else levels[:3])
    columns = list(COLUMNS if last_level else metrics.RANKING)
    return pd.DataFrame(list(rows.values()), index=index, columns=columns).sort_index()


def plot_improvement(
    model: str,
    baseline: str,
    *,
    data_set: str,
    baseline_data_set: str | None = None,
    thresholds: str = "one",
    baseline_thresholds: str = "one",
) -> list[Path]:
    """Draw how many points of f-score one model is better than another, and save the bar charts.

    The error bars add the variances of both: exact if the runs of the two are independent.

    Parameters
    ----------
    model, baseline : str
        Names as in the frames. They may be the same if the data sets or thresholds differ.
    data_set : str
        Result key, such as 'irmas_1024'.
    baseline_data_set : str, optional
        Result key of the baseline, such as the data set before separation; `data_set` by default.
    thresholds, baseline_thresholds : {'one', 'classwise'}
        For the global scores: one threshold for all labels, or the best of each label.

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
    from instrec.figures import drawing as figures

    sides = (
        Side(data_set, model, thresholds),
        Side(baseline_data_set or data_set, baseline, baseline_thresholds),
    )
    if sides[0] == sides[1]:
        raise InputError(f"expected two different things to compare, found {model} twice")
    frames = load_results()
    names = {"all labels": list(figures.AVERAGES)}
    panels = {"all labels": _improvements(frames, sides, names["all labels"], by_label=False)}
    if sides[0][:2] != sides[1][:2]:
        panel = "single labels, each with its own threshold"
        names[panel] = _common_labels(frames, sides)
        panels[panel] = _improvements(frames, sides, names[panel], by_label=True)
    drawn = figures.improvement_bars(panels, names, f"{sides[0].title}\nover {sides[1].title}")
    folder = settings.MODELS_ROOT / data_set / "figures"
    with storage.lock(folder, "figures"):
        paths = figures.save(drawn, folder / f"{sides[0].file_name}_over_{sides[1].file_name}")
    print(f"figure: {paths[0]} (and .pdf)")
    return paths


class Side(NamedTuple):
    """One side of a comparison, named as in the frames."""

    data_set: str
    model: str
    thresholds: str

    @property
    def title(self) -> str:
        """Name it in a title, and say if its audio was rendered."""
        kind = "one threshold" if self.thresholds == "one" else "class-wise thresholds"
        rendered = " (rendered audio)" if (self.data_set, self.model) in rendered_models() else ""
        return f"{self.data_set}{rendered} · {self.model} · {kind}"

    @property
    def file_name(self) -> str:
        """Name it in the name of a file."""
        return "-".join(self)

    def f_scores(
        self, results: Results, strategy: str, names: list[str], *, by_label: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the means and deviations of the f-scores of averages or labels: [names] each."""
        kind = "classwise" if by_label else _choose("thresholds", self.thresholds, THRESHOLDS)
        position = list(KINDS).index(kind)
        return tuple(
            self._rows(frame).loc[strategy].loc[names, "f-score"].to_numpy()
            for frame in (results[position], results[position + len(KINDS)])
        )

    def labels(self, results: Results) -> list[str]:
        """Return the labels that have scores."""
        scores = self._rows(results.class_res).dropna()
        return list(scores.index.get_level_values("label").unique())

    def _rows(self, frame: "pd.DataFrame") -> "pd.DataFrame":
        of_data_set = frame.loc[_choose("data set", self.data_set, _level(frame, "data set"))]
        return of_data_set.loc[_choose("model", self.model, _level(of_data_set, "model"))]


def _level(frame: "pd.DataFrame", name: str) -> list[str]:
    return list(frame.index.get_level_values(name).unique())


def _choose(what: str, name: str, among: Any) -> Any:  # noqa: ANN401
    """Return `name`, or what a dictionary has for it; refuse a name that is not there."""
    if name not in among:
        raise InputError(f"expected a {what} among {', '.join(among)}, found {name!r}")
    return among[name] if isinstance(among, dict) else name


def _common_labels(results: Results, sides: tuple[Side, Side]) -> list[str]:
    others = sides[1].labels(results)
    return [label for label in sides[0].labels(results) if label in others]


def _improvements(
    results: Results, sides: tuple[Side, Side], names: list[str], *, by_label: bool
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Subtract f-scores, in points, and combine their deviations, by strategy: [names] each."""
    improvements = {}
    for strategy in metrics.STRATEGIES:
        (mean, deviation), (base_mean, base_deviation) = (
            side.f_scores(results, strategy, names, by_label=by_label) for side in sides
        )
        points = 100 * (mean - base_mean), 100 * np.hypot(deviation, base_deviation)
        improvements[strategy] = points
    return improvements


def in_ipython() -> bool:
    """Tell whether the terminal program of IPython runs this."""
    if "IPython" not in sys.modules:
        return False
    from IPython.terminal.ipapp import TerminalIPythonApp

    return TerminalIPythonApp.initialized()


def _stay_at_prompt() -> None:
    """Make IPython go on to its prompt, where it would exit after a script."""
    from IPython.terminal.ipapp import TerminalIPythonApp

    app = TerminalIPythonApp.instance()
    app.interact = True
    # A mistyped name of a model gives one line there, too.
    app.shell.set_custom_exc((InputError,), lambda *args, **kwargs: print(f"error: {args[2]}"))


def main(namespace: dict[str, Any]) -> None:
    """Do what the command line says; the frames go to `namespace`, which a prompt then shows."""
    parser = command.new_parser(__doc__)
    parser.add_argument(
        "--improvement",
        nargs=2,
        metavar=("MODEL", "BASELINE"),
        help="draw how much better MODEL is than BASELINE, on the data set of -d",
    )
    parser.add_argument(
        "--baseline-dataset", type=int, metavar="ID", help="data set of BASELINE, if another"
    )
    for option, side in (("--thresholds", "MODEL"), ("--baseline-thresholds", "BASELINE")):
        parser.add_argument(
            option,
            choices=tuple(THRESHOLDS),
            default="one",
            help=f"thresholds of {side}'s global scores (default: one)",
        )
    with command.parsed(parser) as arguments:
        if arguments.improvement:
            _plot(arguments)
            return
    try:
        frames = load_results()
    except InputError as error:
        if not in_ipython():
            raise
        print(f"error: {error}", file=sys.stderr)  # IPython makes several lines of an exit
        return
    namespace.update(frames._asdict())
    if in_ipython():
        _stay_at_prompt()
        models = frames.global_res.index.droplevel(["strategy", "averaging"]).unique()
        print("scores of " + ", ".join("/".join(pair) for pair in models))
        print(f"data frames: {', '.join(Results._fields)}; plot_improvement? shows its use")
        _note_rendered()
        return
    for name in Results._fields[: len(KINDS)]:
        print(f"\n{name}")
        print(getattr(frames, name).dropna().to_string(float_format="{:.3f}".format))
    _note_rendered()


def _note_rendered() -> None:
    keys = sorted({key for key, _ in rendered_models()})
    if keys:
        print(f"note: rendered audio, not the data set of that name: {', '.join(keys)}")


def _plot(arguments: Any) -> None:  # noqa: ANN401
    data_set, other = command.select_data_set(), arguments.baseline_dataset
    model, baseline = arguments.improvement
    plot_improvement(
        model,
        baseline,
        data_set=data_set.key,
        baseline_data_set=_key_of(other),
        thresholds=arguments.thresholds,
        baseline_thresholds=arguments.baseline_thresholds,
    )


def _key_of(id_: int | None) -> str | None:
    if id_ is None:
        return None
    with settings.overridden({"dataset": id_}, "--baseline-dataset"):
        return settings.selected().key


if __name__ == "__main__":
    command.run(lambda: main(globals()))
