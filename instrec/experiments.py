"""Experiments: each is a small TOML file that says what differs from settings.py.

    title, answers             what it is, and what it answers, such as 'thesis 5.6.2'
    note                       a remark that the report shows
    baseline                   the experiment it is compared with
    published_change           change of f-score against the baseline in points, from and to; of one
                               average only, {macro = [0, 1]}
    published_classwise_change the same with class-wise thresholds, against the baseline with one
                               threshold; without a baseline, against itself
    published_accuracy_change  the same for the mean accuracy of the confusion matrix
    confusion                  true: confusion matrices too
    [settings]                 parameters of settings.py that differ from the baseline's
    [published]                published results: 's1 micro' and the like are precision, recall and
                               f-score, or the f-score alone; 's1 threshold' is the threshold,
                               'mean accuracy' that of the confusion matrix; all are from 0 to 1

A file in experiments/scales/ has a title, [settings], [render] (options of render_dataset.py by the
id of a data set) and perhaps `experiments`: those that a run of all includes.
"""

import graphlib
import re
import tomllib
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import settings
from instrec.config import Config, check_types
from instrec.errors import InputError, did_you_mean

FOLDER = settings.ROOT / "experiments"
CHANGES = ("published_change", "published_classwise_change", "published_accuracy_change")
_SCORE = re.compile(r"s[12] (micro|macro|threshold)|mean accuracy")


@dataclass(frozen=True)
class Experiment:
    """The content of one file: see the docstring of this module.

    Parameters
    ----------
    id : str
        Name of the file, without its extension.
    source : str
        Path of the file, for messages and `-x`.
    parameters : dict
        The table [settings]; of a variant, on top of its baseline's.
    """

    id: str
    source: str
    title: str
    parameters: dict
    answers: str = ""
    note: str = ""
    baseline: str = ""
    published_change: list | dict | None = None
    published_classwise_change: list | dict | None = None
    published_accuracy_change: list | dict | None = None
    confusion: bool = False
    published: dict = field(default_factory=dict)
    render: dict = field(default_factory=dict)
    experiments: list = field(default_factory=list)

    @property
    def trains(self) -> bool:
        """Whether it trains networks; an ensemble uses those of other experiments."""
        return not self.parameters.get("ensemble", False)


def names() -> list[str]:
    """Return the names of all experiments in the folder.

    Returns
    -------
    list of str
    """
    return sorted(path.stem for path in FOLDER.glob("[!_.]*.toml"))


def load(name_or_path: str, *, above: tuple[str, ...] = ()) -> Experiment:
    """Read an experiment; its parameters override those of its baseline.

    Parameters
    ----------
    name_or_path : str
        Name of a file in `experiments/`, without its extension; or the path of any file.
    above : tuple of str
        Experiments that build on it, to detect cycles.

    Returns
    -------
    Experiment

    Raises
    ------
    InputError
        If there is no such file, or its content is not that of an experiment.
    """
    path = Path(name_or_path)
    if path.suffix != ".toml":
        path = FOLDER / f"{name_or_path}.toml"
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        hint = did_you_mean(name_or_path, names()) or ": python3 reproduce.py --list names all"
        raise InputError(f"expected an experiment in {path}, found nothing{hint}") from None
    except (OSError, ValueError, RecursionError) as error:  # what tomllib raises, and the system
        raise InputError(f"{path} cannot be read as TOML: {error}") from None
    content["parameters"] = content.pop("settings", {})
    types = typing.get_type_hints(Experiment)
    del types["id"], types["source"]
    check_types(content, types, f"{path}: an experiment has no", str(path))
    if not content.get("title"):
        raise InputError(f"{path}: expected a title")
    _check_published(content, path)
    if baseline := content.get("baseline"):
        if path.stem in above:
            circle = " > ".join((*above, path.stem))
            raise InputError(f"{path}: experiments are baselines of one another: {circle}")
        first = load(baseline, above=(*above, path.stem))
        content["parameters"] = first.parameters | content["parameters"]
    return Experiment(path.stem, str(path), **content)


def _check_published(content: Mapping[str, Any], path: Path) -> None:
    for name in CHANGES:
        given = content.get(name, [0, 0])
        given = given if isinstance(given, dict) else {"macro": given}
        for average, points in given.items():
            is_pair = isinstance(points, list) and len(points) == 2
            is_pair &= average in ("micro", "macro")
            if not is_pair or not all(isinstance(x, int | float) for x in points):
                raise InputError(
                    f"{path}: expected {name} as two numbers, from and to, in points, or as "
                    "{micro = [from, to]} or {macro = [from, to]}"
                )
    for name, value in content.get("published", {}).items():
        shares = value if isinstance(value, list) else [value]
        is_right = len(shares) in (1, 3) and all(
            isinstance(x, int | float) and 0 <= x <= 1 for x in shares
        )
        if not (_SCORE.fullmatch(name) and is_right):
            raise InputError(
                f"{path}: expected published shares from 0 to 1, of names such as 's1 micro', "
                f"'s1 threshold' and 'mean accuracy', found {name!r}: {value!r}"
            )


def trained(experiment: Experiment, config: Config) -> str:
    """Name the model that an experiment trains, in the form of `transfer_from`; '' if none.

    Parameters
    ----------
    experiment : Experiment
        The experiment.
    config : Config
        Data set, paths and parameters.

    Returns
    -------
    str
    """
    if not experiment.trains:
        return ""
    return f"{config.key}/{config.trained_name(config.model)}.{config.optimizer}"


def needs(experiment: Experiment, config: Config) -> list[str]:
    """Name the trained models that an experiment starts from, as `trained` does.

    Parameters
    ----------
    experiment : Experiment
        The experiment.
    config : Config
        Data set, paths and parameters.

    Returns
    -------
    list of str
    """
    if experiment.trains:
        return [config.transfer_from] if config.transfer_from else []
    members = config.trained_name(config.model).split("+")
    return [f"{config.key}/{member}.{config.optimizer}" for member in members]


def trainers_of(chosen: Iterable[Experiment], configs: Mapping[str, Config]) -> dict[str, str]:
    """Name the experiment that trains each model; of several, one without a baseline.

    Parameters
    ----------
    chosen : iterable of Experiment
        Some experiments.
    configs : mapping of str to Config
        Parameters of each.

    Returns
    -------
    dict of str to str
        Name of the experiment, by the name that `trained` gives the model.
    """
    last = sorted(chosen, key=lambda experiment: not experiment.baseline)
    return {trained(experiment, configs[experiment.id]): experiment.id for experiment in last}


def in_order(
    chosen: Iterable[str], catalogue: Mapping[str, Experiment], configs: Mapping[str, Config]
) -> list[Experiment]:
    """Return the chosen experiments and all that they depend on, dependencies first.

    Parameters
    ----------
    chosen : iterable of str
        Names in the catalogue.
    catalogue : mapping of str to Experiment
        All experiments by name.
    configs : mapping of str to Config
        Parameters of each.

    Returns
    -------
    list of Experiment

    Raises
    ------
    InputError
        If what one needs or is compared with is unknown, or they depend on one another.
    """
    trainers = trainers_of(catalogue.values(), configs)
    graph, waiting = {}, list(chosen)
    while waiting:
        id_ = waiting.pop()
        if id_ in graph:
            continue
        experiment = catalogue[id_]
        found = [trainers.get(need, need) for need in needs(experiment, configs[id_])]
        found += [experiment.baseline] if experiment.baseline else []
        missing = [name for name in found if name not in catalogue]
        if missing:
            raise InputError(f"{experiment.source}: no experiment makes {missing[0]}")
        graph[id_] = found
        waiting += found
    try:
        order = list(graphlib.TopologicalSorter(dict(sorted(graph.items()))).static_order())
    except graphlib.CycleError as error:
        circle = " > ".join(error.args[1])
        raise InputError(f"experiments depend on one another: {circle}") from None
    return [catalogue[id_] for id_ in order]


def check_apart(catalogue: Mapping[str, Experiment], configs: Mapping[str, Config]) -> None:
    """Refuse experiments whose results or patches would overwrite each other.

    Parameters
    ----------
    catalogue : mapping of Experiment
        By name.
    configs : mapping of Config
        By name.

    Raises
    ------
    InputError
        Naming the two files and what to do.
    """
    results: dict[tuple, Experiment] = {}
    patches: dict[str, tuple[Experiment, dict]] = {}
    for id_, experiment in catalogue.items():
        config = configs[id_]
        name = config.result_name(config.trained_name(config.model))
        place = (config.key, name, config.optimizer)
        first = results.setdefault(place, experiment)
        if first is not experiment:
            raise InputError(
                f"{first.source} and {experiment.source} would write the same results, "
                f"{'/'.join(place[:2])}.{place[2]}: set name in one of them"
            )
        made_with = {"features": config.features, "step": config.step("test")}
        if config.data_set.layout == "folders":  # the seed decides how their files are split
            made_with["seed"] = config.seed
        first, as_first = patches.setdefault(config.key, (experiment, made_with))
        if made_with != as_first:
            raise InputError(
                f"{first.source} and {experiment.source} need different patches of {config.key}: "
                "give one of them a data set of its own in DATA_SETS of settings.py"
            )
