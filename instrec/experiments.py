"""Experiments: one small file each that says what differs from settings.py, and is never executed.

A file holds a docstring, whose first line is the title and whose rest the report shows as a note,
and assignments of literals to names: of parameters of settings.py, which it overrides, and these of
its own:

    answers                    what it answers, such as 'thesis 5.6.1'; every file has it
    published                  what it is set beside: 's1 micro' and the like are precision, recall
                               and f-score, or the f-score alone; 's1 threshold' is the threshold,
                               'mean accuracy' that of the confusion matrix; all are shares of 1
    baseline                   the experiment that it is compared with
    published_change           f-score against the baseline in points, from and to
    published_classwise_change the same with class-wise thresholds, against the baseline with one
                               threshold; without a baseline, against itself
    confusion                  True: confusion matrices too
"""

import ast
import difflib
import graphlib
import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import settings
from instrec.errors import InputError
from instrec.learning import model_files as results
from instrec.scoring import metrics

FOLDER = settings.ROOT / "experiments"
STRATEGIES, AVERAGES = tuple(metrics.STRATEGIES), ("micro", "macro")
SCORES = tuple(map(" ".join, itertools.product(STRATEGIES, AVERAGES)))
THRESHOLDS = tuple(f"{strategy} threshold" for strategy in STRATEGIES)
MEAN_ACCURACY = "mean accuracy"
OF_TRANSFER = ("transfer_passes", "transfer_output", "transfer_learning_rate")
# The patches of a result key are extracted once, with these; `stft_window` is part of the key.
OF_PATCHES = ("sample_rate", "hop_length", "num_mel_bands", "time_duration", "test_overlap")


@dataclass(frozen=True)
class Experiment:
    """What one file says.

    Parameters
    ----------
    id : str
        Name of the file, without its ending.
    source : str
        The file, for messages.
    title, text : str
        First line and rest of the docstring.
    key : str
        Result key of its data set.
    overrides : dict
        Parameters of settings.py by name.
    answers, published, baseline, published_change, published_classwise_change, confusion
        As in the docstring of this module.
    """

    id: str
    source: str
    title: str
    text: str
    key: str
    overrides: dict[str, Any]
    answers: str
    published: dict[str, Any] = field(default_factory=dict)
    baseline: str = ""
    published_change: tuple[float, float] | None = None
    published_classwise_change: tuple[float, float] | None = None
    confusion: bool = False

    @property
    def data_set(self) -> settings.DataSet:
        """The data set that it names."""
        return settings.DATA_SETS[self.overrides["dataset"]]

    @property
    def place(self) -> tuple[bool, str, str]:
        """Order it by: the thesis comes first, section by section."""
        return not self.answers.startswith("thesis"), self.answers, self.id

    @property
    def trains(self) -> bool:
        """Whether it trains networks; an ensemble takes those of others."""
        return not self.overrides.get("ensemble", False)

    @property
    def trained(self) -> str:
        """What it trains, as `transfer_from` of another experiment names it; '' if nothing."""
        if not self.trains:
            return ""
        return f"{self.key}/{self.result}.{self.overrides['optimizer']}"

    @property
    def result(self) -> str:
        """Name of its results."""
        name = self.overrides.get("name") or self.overrides["model"]
        return name if self.trains else f"{results.ENSEMBLE}{name}"

    @property
    def files(self) -> results.ModelFiles:
        """The files of its results."""
        folder = settings.MODELS_ROOT / self.key / self.result
        return results.ModelFiles(folder, self.result, self.overrides["optimizer"])

    @property
    def needs(self) -> tuple[str, ...]:
        """Trained models that it starts from, as `trained` names them."""
        if not self.trains:
            members = self.overrides["model"].split("+")
            return tuple(f"{self.key}/{name}.{self.overrides['optimizer']}" for name in members)
        start = self.overrides.get("transfer_from")
        return (start,) if start else ()


def names() -> list[str]:
    """Return the names of all experiments in the folder."""
    return sorted(path.stem for path in FOLDER.glob("[!_.]*.py"))


def load(name_or_path: str) -> Experiment:
    """Read an experiment.

    Parameters
    ----------
    name_or_path : str
        Name of a file in `experiments/`, without its ending; or the path of any file.

    Raises
    ------
    InputError
        If there is no such experiment, or its file holds anything else than a docstring and
        literals of known names, naming file and line.
    """
    path = Path(name_or_path)
    if path.suffix != ".py" and path.name == name_or_path:
        path = FOLDER / f"{name_or_path}.py"
    # Resolved: one file has one name, from wherever it is called.
    place = path.resolve()
    source = str(place.relative_to(settings.ROOT) if place.is_relative_to(settings.ROOT) else place)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        close = difflib.get_close_matches(name_or_path, names(), 1)
        hint = f"did you mean {close[0]!r}?" if close else "python3 reproduce.py --list names all"
        raise InputError(f"expected an experiment in {path}, found nothing: {hint}") from None
    except (OSError, UnicodeError) as error:
        raise InputError(f"{source} cannot be read as text: {error}") from None
    return parse(text, path.stem, source)


def parse(text: str, id_: str, source: str) -> Experiment:
    """Read the text of an experiment's file; see `load`."""
    try:
        body = ast.parse(text).body
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        line = f", line {error.lineno}" if isinstance(error, SyntaxError) else ""
        raise InputError(f"{source}{line}: {getattr(error, 'msg', error)}") from None
    first = body[0].value if body and isinstance(body[0], ast.Expr) else None
    if not (isinstance(first, ast.Constant) and isinstance(first.value, str) and first.value):
        raise InputError(f"{source}, line 1: expected a docstring with the title of the experiment")
    title, _, rest = first.value.strip().partition("\n")
    values, lines = {}, {}
    for statement in body[1:]:
        name, value = _assignment(statement, source)
        where = f"{source}, line {statement.lineno}"
        if name in values:
            raise InputError(f"{where}: {name} is set twice")
        values[name], lines[name] = value, where
    own = {name: _own(name, value, lines[name]) for name, value in values.items() if name in RULES}
    overrides = {name: value for name, value in values.items() if name not in RULES}
    _check_overrides(overrides, lines)
    for needed in ("dataset", "model", "optimizer", "answers"):
        if needed not in values:
            raise InputError(f"{source}: expected it to set {needed}")
    _check_ensemble(overrides, lines)
    _check_transfer(overrides, lines, source)
    data_set = settings.DATA_SETS[overrides["dataset"]]
    # Told here once: later, another experiment's settings may hold.
    key = f"{data_set.name}_{overrides.get('stft_window', settings.stft_window)}"
    return Experiment(id_, source, title, " ".join(rest.split()), key, overrides, **own)


def _assignment(statement: ast.stmt, source: str) -> tuple[str, Any]:
    """Take the name and the value of `name = literal`; refuse everything else."""
    where = f"{source}, line {statement.lineno}"
    is_one = isinstance(statement, ast.Assign) and len(statement.targets) == 1
    if not (is_one and isinstance(statement.targets[0], ast.Name)):
        raise InputError(f"{where}: expected only lines of the form name = value")
    name = statement.targets[0].id
    try:
        return name, ast.literal_eval(statement.value)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        raise InputError(
            f"{where}: expected a plain value for {name} (a number, a text, True, False, a tuple "
            "or a dictionary), which is read and not computed"
        ) from None


def _check_overrides(overrides: dict[str, Any], lines: dict[str, str]) -> None:
    known = settings.parameters()
    for name in overrides:
        if name not in known:
            close = difflib.get_close_matches(name, [*known, *RULES], 1)
            hint = f": did you mean {close[0]!r}?" if close else ""
            raise InputError(f"{lines[name]}: settings.py has no parameter {name!r}{hint}")
    if overrides.get("dataset") not in (None, *settings.DATA_SETS):
        ids = ", ".join(map(str, settings.DATA_SETS))
        raise InputError(
            f"{lines['dataset']}: expected dataset among {ids}, found {overrides['dataset']!r}"
        )


def _check_ensemble(overrides: dict[str, Any], lines: dict[str, str]) -> None:
    """Refuse an ensemble with what only a training follows, and members that are none."""
    if not overrides.get("ensemble", False):
        if "+" in str(overrides["model"]):
            raise InputError(f"{lines['model']}: expected ensemble = True, as model names several")
        return
    for name in ("name", "transfer_from"):
        if overrides.get(name):
            raise InputError(
                f"{lines[name]}: expected no {name}, as an ensemble trains nothing and is called "
                "after its model"
            )


def _check_transfer(overrides: dict[str, Any], lines: dict[str, str], source: str) -> None:
    """Refuse a transfer without a name of its own, and what nothing follows without a transfer."""
    if overrides.get("transfer_from"):
        if not overrides.get("name"):
            raise InputError(f"{source}: expected it to set name, as it sets transfer_from")
        return
    for name in OF_TRANSFER:
        if name in overrides:
            raise InputError(
                f"{lines[name]}: expected transfer_from too, without which {name} has no effect"
            )


def _is_number(value: object) -> bool:
    return type(value) in (int, float)


def _is_share(value: object) -> bool:
    return _is_number(value) and 0 <= value <= 1


def _is_published(value: object) -> bool:
    def is_right(name: object, of_name: object) -> bool:
        if name in SCORES and isinstance(of_name, tuple):
            return len(of_name) == 3 and all(map(_is_share, of_name))
        return name in (*SCORES, *THRESHOLDS, MEAN_ACCURACY) and _is_share(of_name)

    return isinstance(value, dict) and all(is_right(*item) for item in value.items())


def _is_range(value: object) -> bool:
    if not isinstance(value, tuple) or len(value) != 2:
        return False
    return all(map(_is_number, value)) and value[0] <= value[1]


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value)


# Names that are the experiment's own: what is expected, and how it is told.
_CHANGE = ("two numbers, from and to, in points", _is_range)
RULES = {
    "answers": ("a text such as 'thesis 5.4'", _is_text),
    "published": (
        f"shares from 0 to 1 by {', '.join((*SCORES, *THRESHOLDS, MEAN_ACCURACY))}; "
        "a score is f or (precision, recall, f)",
        _is_published,
    ),
    "baseline": ("the name of an experiment", _is_text),
    "published_change": _CHANGE,
    "published_classwise_change": _CHANGE,
    "confusion": ("True or False", lambda value: isinstance(value, bool)),
}


def _own(name: str, value: Any, where: str) -> Any:  # noqa: ANN401
    expected, is_right = RULES[name]
    if not is_right(value):
        raise InputError(f"{where}: expected {name} to be {expected}, found {value!r}")
    return value


def dependencies(experiment: Experiment, among: Iterable[Experiment]) -> list[str]:
    """Return the experiments that have to be run before one: what it starts from and its baseline.

    Raises
    ------
    InputError
        If none of `among` trains what it starts from, or is its baseline.
    """
    trainers = {other.trained: other.id for other in among if other.trained}
    missing = [need for need in experiment.needs if need not in trainers]
    if missing:
        raise InputError(f"{experiment.source}: no experiment trains {missing[0]}")
    if experiment.baseline and experiment.baseline not in {other.id for other in among}:
        raise InputError(f"{experiment.source}: no experiment {experiment.baseline!r}")
    found = [trainers[need] for need in experiment.needs]
    return list(dict.fromkeys(found + ([experiment.baseline] if experiment.baseline else [])))


def in_order(chosen: Iterable[str], catalogue: dict[str, Experiment]) -> list[Experiment]:
    """Return the chosen experiments and all that they depend on, dependencies first.

    Parameters
    ----------
    chosen : iterable of str
        Names in the catalogue.
    catalogue : dict of str to Experiment
        All experiments by name.

    Raises
    ------
    InputError
        If one is unknown, or they depend on one another in a circle.
    """
    needed, waiting = {}, list(chosen)
    while waiting:
        id_ = waiting.pop()
        if id_ not in needed:
            needed[id_] = dependencies(catalogue[id_], catalogue.values())
            waiting += needed[id_]
    sorter = graphlib.TopologicalSorter(needed)
    ordered = []
    try:
        sorter.prepare()
    except graphlib.CycleError as error:
        raise InputError(
            f"experiments depend on one another: {' > '.join(error.args[1])}"
        ) from None
    while sorter.is_active():
        ready = sorted(sorter.get_ready(), key=lambda id_: catalogue[id_].place)
        ordered += [catalogue[id_] for id_ in ready]
        sorter.done(*ready)
    return ordered


def check_apart(catalogue: Iterable[Experiment]) -> None:
    """Refuse experiments whose results would take each other's place.

    Raises
    ------
    InputError
        Naming the two files and what to do.
    """
    seen: dict[tuple, Experiment] = {}
    for experiment in catalogue:
        place = (experiment.key, experiment.result, experiment.overrides["optimizer"])
        other = seen.setdefault(place, experiment)
        if other is not experiment:
            remedy = "set name in one of them" if experiment.trains else "keep one of them"
            raise InputError(
                f"{other.source} and {experiment.source} would write the same results, "
                f"{'/'.join(place[:2])}.{place[2]}: {remedy}"
            )


def check_patches(catalogue: Iterable[Experiment], values: Mapping[str, Mapping]) -> None:
    """Refuse experiments that need different patches under one result key.

    Parameters
    ----------
    catalogue : iterable of Experiment
        The experiments.
    values : mapping of str to mapping
        Parameters of settings.py as they count for each experiment, by its id.

    Raises
    ------
    InputError
        Naming the two files, the parameter and what to do.
    """
    first: dict[str, Experiment] = {}
    for experiment in catalogue:
        other = first.setdefault(experiment.key, experiment)
        # The seed halves the files of one folder a label into training and test data.
        halved = ("seed",) if experiment.data_set.layout == "folders" else ()
        for name in (*OF_PATCHES, *halved):
            found = [values[one.id][name] for one in (other, experiment)]
            if found[0] != found[1]:
                raise InputError(
                    f"{other.source} and {experiment.source} need patches of different {name} "
                    f"({found[0]!r} and {found[1]!r}), but both take those of {experiment.key}: "
                    "set it in settings.py for all, or give one of them a data set of its own in "
                    "DATA_SETS there"
                )
