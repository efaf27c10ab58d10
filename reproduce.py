#!/usr/bin/env python3
"""Run the experiments of experiments/ and report them beside what was published.

  python3 reproduce.py --list                      what there is
  python3 reproduce.py --scale demo                all of them, on rendered demo data
  python3 reproduce.py irmas_harm jazz_solo        two of them, and those they are compared with
  python3 reproduce.py                             all, on the audio in DATA_PATH of settings.py

Renders the audio of a demo; separates, encodes and extracts every data set; then trains, evaluates
and plots one experiment after the other. What is done and unchanged is skipped, and what was
stopped goes on. A data set whose audio is missing is left out by name. The scales demo and smoke
have folders of their own, demo/reproduce_<scale>/; nothing of them is ever an IRMAS number.

Writes report.md, report.html and figures/ to <MODELS_ROOT>/report, and for each experiment a record
and what its steps printed to <MODELS_ROOT>/experiments.
"""

import argparse
import contextlib
import functools
import itertools
import logging
import multiprocessing
import shutil
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import settings
from instrec import experiments
from instrec.common import command, parallel, storage
from instrec.data import tensors
from instrec.errors import InputError, is_plain_name
from instrec.experiments import Experiment
from instrec.learning import model_files as results
from instrec.learning import trained as networks
from instrec.reporting import report
from instrec.scoring.metrics import STRATEGIES


# --- scales ---------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Scale:
    """How large the experiments are run.

    Parameters
    ----------
    text : str
        What it is for.
    overrides : dict
        Parameters of settings.py that count instead of those of settings.py and of experiments.
    audio : dict of int to tuple of str
        Data sets to render, by id, and the options of render_dataset.py; none for real audio.
    workers : int, optional
        Processes that extract patches: for a few files, starting them takes longer than the work.
    graphs : bool
        Whether TensorFlow compiles each network, which takes longer than a few batches without.
        It keeps what it compiled until its process ends, so each experiment then has its own.
    """

    text: str
    overrides: dict[str, Any] = field(default_factory=dict)
    audio: dict[int, tuple[str, ...]] = field(default_factory=dict)
    workers: int | None = None
    graphs: bool = True


# Small data take small batches: a network leaves its plateau after some 200 steps, not epochs.
SCALES = {
    "full": Scale("settings.py as it is, on the audio in its DATA_PATH"),
    "demo": Scale(
        "rendered audio, large enough to learn from; within 90 minutes on 2 cores",
        {"nb_epochs": 8, "batch_size": 16, "iter_num": 2},
        {
            1: ("--train", "32", "--test", "120"),
            2: ("--train", "8"),
            -1: ("--train", "12"),
        },
    ),
    "smoke": Scale(
        "rendered audio, to see that everything runs; its scores say nothing",
        {"nb_epochs": 1, "batch_size": 32, "iter_num": 1, "num_mel_bands": 32},
        {
            1: ("--train", "4", "--test", "22", "--seconds", "5", "5"),
            2: ("--train", "4", "--seconds", "3", "3"),
            -1: ("--train", "4", "--seconds", "3", "3"),
        },
        workers=1,
        graphs=False,
    ),
}
DEMO = settings.ROOT / "demo"  # git ignores it
GRACE = 20  # seconds that an experiment has to say how far it came, when it is stopped
DATA = "_data"  # the record of what the experiments share
FIGURE_WIDTH = 1100  # pixels of a figure in the report, at most
FIGURE_COLOURS = 64
REPORTS = {"report.md": report.to_markdown, "report.html": report.to_html}


@contextlib.contextmanager
def paths_of(scale: str) -> Iterator[None]:
    """Point the paths of settings.py to the folders of a scale with rendered audio, for a block."""
    if not SCALES[scale].audio:
        yield
        return
    with settings.located(DEMO / f"reproduce_{scale}"):
        yield


# --- records: what was done, how long it took, and of what --------------------------------------
def records_folder() -> Path:
    """Folder of the records of all experiments."""
    return settings.MODELS_ROOT / "experiments"


def read_record(name: str) -> dict:
    """Read a record; what is missing or damaged counts as nothing done."""
    path = records_folder() / f"{name}.json"
    with contextlib.suppress(InputError), storage.refuse_damaged(path, ""):
        record = storage.load_json(path, "")
        if _is_record(name, record):
            return record
    return {"seconds": {}}


def _is_record(name: str, record: dict) -> bool:
    """Tell whether a record says what one that was written here can say."""
    parts = [record.get(part, {}) for part in ("seconds", "made_of", "figures", "results")]
    if "seconds" not in record or not all(isinstance(part, dict) for part in parts):
        return False
    seconds, _, figures, _ = parts
    root = settings.MODELS_ROOT.resolve()
    return (
        record.get("state") in (None, "done", "failed", "left out", "stopped")
        and (record.get("state") != "done" or record.keys() >= {"made_of", "figures", "results"})
        and isinstance(record.get("reason", ""), str)
        and _is_environment(record.get("made_with", {}))
        and all(map(_is_step if name == DATA else _is_time, seconds.values()))
        and all(is_plain_name(figure) and isinstance(path, str) for figure, path in figures.items())
        and all((root / path).resolve().is_relative_to(root) for path in figures.values())
    )


def _is_time(value: object) -> bool:
    return type(value) in (int, float) and 0 <= value < 1e12


def _is_environment(value: object) -> bool:
    """Tell whether something is what `storage.environment` returns, or empty."""
    if not isinstance(value, dict) or not isinstance(value.get("packages", {}), dict):
        return False
    others = {name: text for name, text in value.items() if name != "packages"}
    return all(isinstance(v, str) for v in (*others.values(), *value.get("packages", {}).values()))


def _is_step(value: object) -> bool:
    if not isinstance(value, dict):
        return False
    return _is_time(value.get("seconds")) and isinstance(value.get("done"), bool)


def save_record(name: str, record: dict) -> None:
    """Write a record."""
    storage.save_json(records_folder() / f"{name}.json", record)


@contextlib.contextmanager
def timed(seconds: dict[str, float], step: str) -> Iterator[None]:
    """Add the time that a block takes, whether or not it fails."""
    started = time.perf_counter()
    try:
        yield
    finally:
        seconds[step] = round(seconds.get(step, 0) + time.perf_counter() - started, 1)


@contextlib.contextmanager
def printing_to(path: Path, *, verbose: bool) -> Iterator[None]:
    """Send what steps print to a file; bars stay on a terminal, and everything if `verbose`."""
    if verbose:
        yield
        return
    with _open_log(path) as log, contextlib.redirect_stdout(log):
        if sys.stderr.isatty():
            yield
        else:
            with contextlib.redirect_stderr(log):
                yield


def _open_log(path: Path) -> TextIO:
    """Open a log to append to; not where a link leads. Names of files may be no UTF-8."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_symlink():
        path.unlink()
    return path.open("a", encoding="utf-8", errors="backslashreplace")


# --- data ---------------------------------------------------------------------------------------
class Trouble(NamedTuple):
    """Why an experiment cannot be run: state 'left out' if its audio is missing, or 'failed'."""

    state: str
    reason: str


def prepare(
    chosen: Sequence[Experiment], scale: str, *, verbose: bool = False
) -> dict[str, Trouble]:
    """Render, separate, encode and extract what experiments need; skip what is up to date.

    Parameters
    ----------
    chosen : sequence of Experiment
        The experiments.
    scale : str
        One of `SCALES`.
    verbose : bool
        Whether the steps print to the screen.

    Returns
    -------
    dict of str to Trouble
        By result key, why the data of experiments are not there.
    """
    folders = _render(chosen, scale, verbose=verbose)  # audio folders, and what went wrong there
    # What makes two folders at once comes first: then the others have nothing to do.
    for experiment in sorted(chosen, key=lambda e: -len(e.data_set.folders)):
        data_set = experiment.data_set
        if data_set.source and not folders.keys() >= set(data_set.folders):
            trouble = folders.get(data_set.source)
            if trouble is None:
                title = f"separation {' and '.join(data_set.folders)}"
                trouble = _prepare(experiment, scale, title, separate, verbose=verbose)
            folders |= dict.fromkeys(data_set.folders, trouble)
    keys: dict[str, Trouble | None] = {}
    step = functools.partial(extract, workers=SCALES[scale].workers)
    for experiment in chosen:
        if experiment.key in keys:
            continue
        found = [folders.get(folder) for folder in experiment.data_set.folders]
        keys[experiment.key] = next(filter(None, found), None) or _prepare(
            experiment, scale, f"patches {experiment.key}", step, verbose=verbose
        )
    return {key: trouble for key, trouble in keys.items() if trouble}


def _render(
    chosen: Sequence[Experiment], scale: str, *, verbose: bool
) -> dict[str, Trouble | None]:
    """Render the audio folders that are needed, if the scale renders any."""
    if not SCALES[scale].audio:
        return {}
    import render_dataset

    needed = {experiment.data_set.root for experiment in chosen}
    rendered = {}
    for id_, options in SCALES[scale].audio.items():
        data_set = settings.DATA_SETS[id_]
        if data_set.folders[0] not in needed:
            continue
        arguments = render_dataset.new_parser().parse_args(options)
        arguments.out = settings.DATA_PATH
        step = functools.partial(render_dataset.render_data_set, data_set, arguments)
        with settings.overridden({"dataset": id_}, scale):
            title = f"rendering {data_set.folders[0]}"
            rendered[data_set.folders[0]] = _data_step(title, step, verbose=verbose)
    return rendered


def _prepare(
    experiment: Experiment,
    scale: str,
    title: str,
    step: Callable[[settings.DataSet], None],
    *,
    verbose: bool,
) -> Trouble | None:
    with overridden(experiment, scale):
        data_set = settings.selected()
        absent = absent_audio(data_set, with_source=step is separate)
        if absent:
            return Trouble("left out", f"its audio is missing: expected {absent}")
        return _data_step(title, functools.partial(step, data_set), verbose=verbose)


def absent_audio(data_set: settings.DataSet, *, with_source: bool) -> str:
    """Return an audio folder that is missing, as a path; '' if all is there.

    Separated audio that somebody put there does for its source.
    """
    folders = [settings.DATA_PATH / folder for folder in data_set.folders]
    source = settings.DATA_PATH / data_set.root
    if with_source and source.is_dir():
        return ""
    return next((str(source if data_set.source else f) for f in folders if not f.is_dir()), "")


def separate(data_set: settings.DataSet) -> None:
    """Separate the audio of a data set, unless it was separated elsewhere and put there."""
    import separate_sources

    folders = [settings.DATA_PATH / folder for folder in data_set.folders]
    if all(f.is_dir() and not (f / separate_sources.NOTE).exists() for f in folders):
        print(f"kept {data_set.title}, which was not separated here")
        return
    separate_sources.separate(data_set)


def extract(data_set: settings.DataSet, *, workers: int | None = None) -> None:
    """Write the metadata and the tensors of a data set."""
    import create_encoding
    import generate_dataset

    create_encoding.encode(data_set)
    generate_dataset.generate(data_set, workers=workers)


def _data_step(title: str, step: Callable[[], None], *, verbose: bool) -> Trouble | None:
    """Do a step that is quick if it is done already; return why it failed, if it did."""
    record = read_record(DATA)
    of_step = record["seconds"].setdefault(title, {"seconds": 0, "done": False})
    spent: dict[str, float] = {}
    print(f"[data] {title}", flush=True)
    done = False
    try:
        with timed(spent, title), printing_to(records_folder() / f"{DATA}.log", verbose=verbose):
            step()
        done = True
    except Exception as error:
        return Trouble("failed", _reason(error, DATA))
    else:
        return None
    finally:
        if not of_step["done"]:  # to look again whether all is there is no part of the run time
            of_step["seconds"] = round(of_step["seconds"] + spent[title], 1)
        of_step["done"] |= done
        save_record(DATA, record)


def _reason(error: Exception, log: str) -> str:
    """Say in one line why a step failed; of what should not happen, the log has the traceback."""
    if isinstance(error, InputError):
        return str(error)
    path = records_folder() / f"{log}.log"
    with contextlib.suppress(OSError), _open_log(path) as file:  # the disk may be full
        traceback.print_exception(error, file=file)
    return f"{_in_one_line(error)} (see {path})"


def _in_one_line(error: Exception) -> str:
    text = command.of_system(error) if isinstance(error, OSError) else str(error)
    return f"{type(error).__name__}: {' '.join(text.split())[:300]}"


# --- experiments ----------------------------------------------------------------------------------
def overridden(experiment: Experiment, scale: str) -> contextlib.AbstractContextManager[None]:
    """Set the parameters of an experiment at a scale, for a block."""
    values = experiment.overrides | SCALES[scale].overrides
    return settings.overridden(values, experiment.source)


def files_of(experiment: Experiment) -> results.ModelFiles:
    """Return the files of an experiment's results; under its settings."""
    name = results.result_name(results.trained_name(settings.model))
    return results.model_files(settings.selected(), name, settings.optimizer)


def made_of(experiment: Experiment) -> dict:
    """Name everything that determines the results of an experiment; under its settings."""
    parts = {}
    for part in tensors.PARTS:
        with contextlib.suppress(InputError):
            path = tensors.folder(settings.selected(), part) / tensors.RECORD
            record = storage.load_json(path, "")
            parts[part] = [record.get("fingerprint"), record.get("made_of", {}).get("metadata")]
    sources = {need: _weights(results.source_files(need)) for need in experiment.needs}
    return {"settings": settings.parameters(), "tensors": parts, "starts from": sources}


def _weights(files: results.ModelFiles) -> list[str | None]:
    """Return the digest of the weights of each iteration, as their records say."""
    digests = []
    for iteration in range(settings.iter_num):
        try:
            digests.append(networks.load_record(files, iteration, "").get("weights"))
        except InputError:
            digests.append(None)
    return digests


def results_of(experiment: Experiment) -> dict[str, str | None]:
    """Digest the files that an experiment's results are read from; under its settings."""
    files = files_of(experiment)
    paths = [files.scores, files.optima]
    paths += [files.confusion] if experiment.confusion else []
    if experiment.trains:
        paths += [files.run_record(iteration) for iteration in range(settings.iter_num)]
    return {
        path.relative_to(settings.MODELS_ROOT).as_posix(): storage.digest_of_file(path)
        if path.is_file()
        else None
        for path in paths
    }


def compared_with(baseline: Experiment | None) -> str | None:
    """Digest the scores that bars are drawn against; None if there are none to draw them against.

    Apart from `made_of`: a baseline that is run anew changes the bars, but no model and no score.
    """
    if baseline is None or read_record(baseline.id).get("state") != "done":
        return None
    scores = baseline.files.scores
    return storage.digest_of_file(scores) if scores.is_file() else None


def is_done(experiment: Experiment, baseline: Experiment | None) -> bool:
    """Tell whether a record says that all is done, and nothing has changed since."""
    record = read_record(experiment.id)
    if record.get("state") != "done" or storage.differences(record["made_of"], made_of(experiment)):
        return False
    if not _has_bars_of_today(record, baseline):
        return False
    figures = (settings.MODELS_ROOT / path for path in record["figures"].values())
    return record["results"] == results_of(experiment) and all(p.is_file() for p in figures)


def _has_bars_of_today(record: dict, baseline: Experiment | None) -> bool:
    """Tell whether bars are drawn against today's scores of the baseline, as far as is known."""
    today = compared_with(baseline)
    return record.get("compared_with", today) == today  # records of before do not have it


def steps_of(
    experiment: Experiment, baseline: Experiment | None, *, overwrite: bool
) -> dict[str, Callable[[], dict[str, Path] | None]]:
    """Return the steps of an experiment by name; plots return their figures."""
    import evaluate
    import plot_conf_mat
    import plot_history
    import plot_perf_metrics
    import train

    name, files = results.trained_name(settings.model), files_of(experiment)

    def png_of(figure: str) -> Path:
        return files.figure(f"{figure}.png")

    def training() -> None:
        train.train_model(settings.model, settings.optimizer, overwrite=overwrite)

    def confusion() -> None:
        evaluate.evaluate_model(name, settings.optimizer, 1, overwrite=overwrite)

    # The curves of a variant tell little beside those of its baseline: its bars do.
    draws_curves = not experiment.baseline

    def scores() -> None:
        evaluate.evaluate_model(name, settings.optimizer, 2)
        plot_perf_metrics.store_optima(files, "reproduce.py")
        evaluate.evaluate_model(name, settings.optimizer, 3)

    def plots() -> dict[str, Path]:
        figures = {}
        if draws_curves:
            plot_perf_metrics.plot(files, "reproduce.py")
            names = ("thresholds", *(f"classwise_{strategy}" for strategy in STRATEGIES))
            figures |= {figure: png_of(figure) for figure in names}
        if draws_curves and experiment.trains:
            plot_history.plot(files, "reproduce.py")
            figures["history"] = png_of("history")
        if experiment.confusion:
            plot_conf_mat.plot(files, "reproduce.py")
            for strategy in STRATEGIES:
                figures[f"confusion_{strategy}"] = png_of(f"confusion_{strategy}")
        return figures | _improvements(experiment, baseline)

    steps = {"training": training} if experiment.trains else {}
    steps |= {"confusion matrices": confusion} if experiment.confusion else {}
    return steps | {"scores": scores, "plots": plots}


def _improvements(experiment: Experiment, baseline: Experiment | None) -> dict[str, Path]:
    """Draw the bars against the baseline, and those of class-wise thresholds against one."""
    import compare_models

    def side(of: Experiment) -> tuple[str, str]:
        optimizer = of.overrides["optimizer"]
        default = compare_models.DEFAULT_OPTIMIZER
        return of.key, of.result if optimizer == default else f"{of.result}.{optimizer}"

    key, model = side(experiment)
    figures = {}
    if compared_with(baseline) is not None:
        base_key, base_model = side(baseline)
        figures["improvement"], _ = compare_models.plot_improvement(
            model, base_model, data_set=key, baseline_data_set=base_key
        )
    if experiment.published_classwise_change is not None:
        figures["improvement_classwise"], _ = compare_models.plot_improvement(
            model, model, data_set=key, thresholds="classwise"
        )
    return figures


def run_experiment(
    experiment: Experiment,
    baseline: Experiment | None = None,
    *,
    overwrite: bool = False,
    verbose: bool = False,
) -> None:
    """Train, evaluate and plot, under an experiment's settings; the record follows every step.

    Parameters
    ----------
    experiment : Experiment
        What to run.
    baseline : Experiment, optional
        What it is compared with, in bars.
    overwrite : bool
        Replace models that were trained with other settings.
    verbose : bool
        Whether the steps print to the screen.

    Raises
    ------
    InputError
        If something is missing or was made otherwise.
    """
    # It warns of many networks in one process, each of which is traced once.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    before, now = read_record(experiment.id), made_of(experiment)
    continues = "made_of" in before and not storage.differences(before["made_of"], now)
    seconds = before["seconds"] if continues else {}
    record = {"state": "stopped", "reason": "", "made_of": now, "seconds": seconds, "figures": {}}
    try:
        with printing_to(records_folder() / f"{experiment.id}.log", verbose=verbose):
            steps = steps_of(experiment, baseline, overwrite=overwrite)
        for step, do in steps.items():
            with (
                timed(seconds, step),
                printing_to(records_folder() / f"{experiment.id}.log", verbose=verbose),
            ):
                figures = do() or {}
            save_record(experiment.id, record)
            root = settings.MODELS_ROOT
            record["figures"] |= {n: p.relative_to(root).as_posix() for n, p in figures.items()}
        record |= {"state": "done", "results": results_of(experiment)}
        record["compared_with"] = compared_with(baseline)
        record["made_with"] = storage.environment("keras", "tensorflow", "numpy", "librosa")
    except Exception as error:
        record |= {"state": "failed", "reason": _reason(error, experiment.id)}
        raise
    finally:
        save_record(experiment.id, record)
        if keras := sys.modules.get("keras"):  # or else every network that was built stays
            keras.utils.clear_session()


def run_apart(experiment: Experiment, baseline: Experiment | None, **options: bool) -> None:
    """Run an experiment as `run_experiment` does, in a process of its own.

    Raises
    ------
    ChildProcessError
        If it failed, and why.
    """
    places = ("DATA_PATH", "FEATURE_PATH", "MODELS_ROOT")
    now = settings.parameters() | {name: getattr(settings, name) for name in places}
    context = multiprocessing.get_context("spawn")
    reason_here, reason_there = context.Pipe(duplex=False)
    process = context.Process(
        target=_run_in_process, args=(reason_there, now, experiment, baseline), kwargs=options
    )
    process.start()
    reason_there.close()
    try:
        process.join()
    except KeyboardInterrupt:  # which it has heard, too
        process.join(GRACE)
        raise
    finally:
        process.terminate()
        process.join()
    if process.exitcode == 0:
        return
    try:
        reason = reason_here.recv()
    except EOFError:  # it was killed
        reason = f"its process ended with code {process.exitcode}, perhaps for lack of memory"
        failure = {"state": "failed", "reason": reason}
        save_record(experiment.id, read_record(experiment.id) | failure)
    raise ChildProcessError(reason)


def _run_in_process(
    reason: "multiprocessing.connection.Connection",
    now: dict[str, Any],
    experiment: Experiment,
    baseline: Experiment | None,
    **options: bool,
) -> None:
    """Run an experiment with what settings.py says in another process; send it why this fails."""
    parallel.end_with_parent()
    command.print_any_name()
    vars(settings).update(now)
    try:
        run_experiment(experiment, baseline, **options)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        reason.send(_in_one_line(error))
        sys.exit(1)


def run_all(
    chosen: Sequence[Experiment], scale: str, *, overwrite: bool = False, verbose: bool = False
) -> dict[str, str]:
    """Run experiments one after the other, dependencies first.

    Parameters
    ----------
    chosen : sequence of Experiment
        In the order of `experiments.in_order`.
    scale : str
        One of `SCALES`.
    overwrite, verbose : bool
        As of `run_experiment`.

    Returns
    -------
    dict of str to str
        What became of each: 'done', 'skipped', 'failed' or 'left out'.
    """
    troubles = prepare(chosen, scale, verbose=verbose)
    by_id = {experiment.id: experiment for experiment in chosen}
    states: dict[str, str] = {}
    trainers = {experiment.trained: experiment.id for experiment in chosen if experiment.trains}
    for number, experiment in enumerate(chosen, start=1):
        line = (
            f"[{number}/{len(chosen)}] {experiment.id}: {experiment.title} ({experiment.answers})"
        )
        print(line, flush=True)
        trouble = troubles.get(experiment.key)
        for need in experiment.needs:
            state = states[trainers[need]]
            if trouble is None and state in ("failed", "left out"):
                trouble = Trouble(state, f"it starts from {trainers[need]}, which is {state}")
        with overridden(experiment, scale):
            states[experiment.id] = _run_one(
                experiment,
                by_id.get(experiment.baseline),
                trouble,
                graphs=SCALES[scale].graphs,
                overwrite=overwrite,
                verbose=verbose,
            )
    return states


@contextlib.contextmanager
def without_graphs() -> Iterator[None]:
    """Let TensorFlow compile no networks to graphs, for a block."""
    from instrec.learning.backend import tf

    tf.config.run_functions_eagerly(True)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Even though the `tf.config")  # of tf.data, as meant
            yield
    finally:
        tf.config.run_functions_eagerly(False)


def _run_one(
    experiment: Experiment,
    baseline: Experiment | None,
    trouble: Trouble | None,
    *,
    graphs: bool,
    overwrite: bool,
    verbose: bool,
) -> str:
    if trouble:
        print(f"    {trouble.state}: {trouble.reason}")
        save_record(experiment.id, read_record(experiment.id) | trouble._asdict())
        return trouble.state
    if is_done(experiment, baseline):
        print("    done before, nothing has changed")
        return "skipped"
    options = {"overwrite": overwrite, "verbose": verbose}
    try:
        if graphs:
            run_apart(experiment, baseline, **options)
        else:
            with without_graphs():
                run_experiment(experiment, baseline, **options)
    except Exception as error:
        record = read_record(experiment.id)  # on a full disk, it may be that of before
        print(f"    failed: {record['reason'] if record.get('state') == 'failed' else error}")
        return "failed"
    seconds = read_record(experiment.id)["seconds"]
    print(f"    {', '.join(f'{step} {report.duration(s)}' for step, s in seconds.items())}")
    return "done"


# --- the report -----------------------------------------------------------------------------------
def outcome_of(experiment: Experiment, baseline: Experiment | None, folder: Path) -> report.Outcome:
    """Read what came of an experiment, under its settings; copy its figures to the report."""
    record = read_record(experiment.id)
    state = record.get("state", "not run")
    if state != "done":
        reason = record.get("reason") or "reproduce.py has not run it, or was stopped"
        state = {"stopped": "not run"}.get(state, state)
        return report.Outcome(experiment, state, reason, seconds=record["seconds"])
    if not is_done(experiment, baseline):
        changed = "settings, data or results"
        if not _has_bars_of_today(record, baseline):
            changed = f"the scores of its baseline {experiment.baseline}"
        why = f"{changed} have changed since it was run: run it again"
        return report.Outcome(experiment, "not run", why)
    files = files_of(experiment)
    trained = [files] if experiment.trains else map(results.source_files, experiment.needs)
    runs = []
    for iteration, of_model in itertools.product(range(settings.iter_num), trained):
        needed = ("best_accuracy", "chance", "validation_patches")
        run = networks.load_record(of_model, iteration, "reproduce.py", *needed)
        runs.append(run | {"has_learnt": networks.has_learnt(run)})
    figures = {}
    for name, path in record["figures"].items():
        target = folder / "figures" / f"{experiment.id}_{name}.png"
        copy_figure(settings.MODELS_ROOT / path, target)
        figures[name.replace("_", " ")] = target.relative_to(folder).as_posix()
    return report.Outcome(
        experiment,
        "done",
        scores=storage.load_json(files.scores, "reproduce.py"),
        confusion=storage.load_json(files.confusion, "reproduce.py")
        if experiment.confusion
        else {},
        runs=runs,
        seconds=record["seconds"],
        figures=figures,
        made_with=record.get("made_with", {}),
    )


def copy_figure(source: Path, target: Path) -> None:
    """Copy a PNG, with no more pixels and colours than a page of a report needs."""
    from PIL import Image  # comes with matplotlib

    with storage.refuse_damaged(source, "reproduce.py"):
        try:
            with Image.open(source) as image:
                small = image.convert("RGB")
        except Image.DecompressionBombError as error:
            raise ValueError(str(error)) from None
    small.thumbnail((FIGURE_WIDTH, 10 * FIGURE_WIDTH), Image.Resampling.LANCZOS)
    with storage.whole(target) as partial:
        small.quantize(FIGURE_COLOURS, Image.Quantize.FASTOCTREE).save(partial, optimize=True)


def report_folder(path: Path) -> Path:
    """Return the folder of a report in full, which the next report replaces with all it holds.

    Raises
    ------
    InputError
        If it, or a neighbour that is in the way of its replacement, holds anything else.
    """
    folder = path.resolve()
    if not folder.name:
        raise InputError(f"{folder} cannot be replaced by a report: choose another --report")
    above = next(parent for parent in folder.parents if parent.exists())
    # The neighbours are what storage.replace_folder and an interrupted report take for theirs.
    places = [folder.with_name(folder.name + ending) for ending in ("", storage.PARTIAL, ".old")]
    for place in (above, *filter(Path.exists, places)):
        if not place.is_dir():
            raise InputError(f"{place} is no folder: choose another --report")
    for place in filter(Path.exists, places):
        others = sorted(p.name for p in place.iterdir() if not _is_of_report(p))
        if others:
            raise InputError(
                f"{place} holds other files than a report, such as {others[0]}: "
                "choose another --report"
            )
    return folder


def _is_of_report(path: Path) -> bool:
    """Tell whether a report may replace a file or folder; hidden files are kept."""
    if path.name == "figures":
        return path.is_dir() and all(figure.suffix == ".png" for figure in path.iterdir())
    return path.is_file() and (path.name in REPORTS or path.name.startswith("."))


def write_report(catalogue: dict[str, Experiment], scale: str, folder: Path) -> None:
    """Write the report of everything that was run at a scale, whole or not at all."""
    folder = report_folder(folder)
    partial = folder.with_name(f"{folder.name}{storage.PARTIAL}")
    storage.remove_folder(partial)
    storage.recover_folder(folder)
    partial.mkdir(parents=True)
    outcomes = []
    for experiment in experiments.in_order(catalogue, catalogue):
        with overridden(experiment, scale):
            baseline = catalogue.get(experiment.baseline)
            outcomes.append(outcome_of(experiment, baseline, partial))
    outcomes.sort(key=lambda outcome: outcome.experiment.place)
    data = read_record(DATA)["seconds"]
    context = report.Context(
        scale, about(scale), {step: entry["seconds"] for step, entry in data.items()}, written()
    )
    origin, blocks = report.origin_of(outcomes), report.document(outcomes, context)
    title = f"instRecCnn: the experiments at scale {scale!r}"
    for name, write in REPORTS.items():
        with storage.whole(partial / name) as path:
            text = write(title, origin, blocks)
            path.write_text(text, encoding="utf-8", errors="backslashreplace")
    for hidden in folder.glob(".*"):
        shutil.copy2(hidden, partial)
    storage.replace_folder(partial, folder)
    print(f"report: {folder / 'report.html'} (and .md)")


def about(scale: str) -> dict[str, str]:
    """Say what the experiments of a scale are run with."""
    with settings.overridden(SCALES[scale].overrides, scale):
        names = ("nb_epochs", "batch_size", "iter_num", "patience", "learning_rate", "seed")
        chosen = ", ".join(f"{name} {getattr(settings, name)}" for name in names)
    facts = {"scale": f"{scale}: {SCALES[scale].text}", "settings": chosen}
    for id_, options in SCALES[scale].audio.items():
        facts[f"rendered {settings.DATA_SETS[id_].title}"] = " ".join(options)
    return facts


def written() -> dict[str, str]:
    """Say when and with what a report is written: the results may be of other days."""
    made_with = storage.environment("numpy", "matplotlib", "pillow")
    versions = ", ".join(f"{name} {version}" for name, version in made_with["packages"].items())
    return {
        "date": time.strftime("%Y-%m-%d"),
        "git commit": made_with["git_commit"],
        "Python": made_with["python"],
        "packages": versions,
    }


# --- the script -----------------------------------------------------------------------------------
def new_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("experiments", nargs="*", metavar="NAME", help="of experiments/, or files; all by default")
    add("--scale", choices=tuple(SCALES), default="full", help="how large (full)")
    add("--list", action="store_true", help="name the experiments and stop")
    add("--report", type=Path, metavar="DIR", help="where to (<MODELS_ROOT>/report)")
    add("--report-only", action="store_true", help="run nothing, write the report anew")
    add("--overwrite", action="store_true", help="replace models trained with other settings")
    add("--verbose", action="store_true", help="show all that the steps print")
    return parser


def load_catalogue(named: Sequence[str], scale: str) -> tuple[dict[str, Experiment], list[str]]:
    """Load all experiments of the folder and those that are named; check every one.

    Returns
    -------
    catalogue : dict of str to Experiment
        By name.
    chosen : list of str
        Those that are named; all if none is.

    Raises
    ------
    InputError
        If one cannot be read, what it overrides is unknown or wrong, or it would write over what
        another one leaves behind.
    """
    catalogue = {name: experiments.load(name) for name in experiments.names()}
    chosen = [experiments.load(name) for name in named]
    for experiment in chosen:
        other = catalogue.setdefault(experiment.id, experiment)
        if other.source != experiment.source:
            raise InputError(
                f"{other.source} and {experiment.source} would keep the same record, "
                f"{experiment.id}.json: give the file another name, and set name in it"
            )
        if experiment.id.startswith(("_", ".")):  # as the record of the data
            raise InputError(f"{experiment.source}: expected a file name that starts otherwise")
    values = {}
    for experiment in catalogue.values():
        with overridden(experiment, scale):
            settings.selected()
            values[experiment.id] = settings.parameters()
    experiments.check_apart(catalogue.values())
    experiments.check_patches(catalogue.values(), values)
    return catalogue, [experiment.id for experiment in chosen] or list(catalogue)


def print_list(catalogue: dict[str, Experiment]) -> None:
    """Print every experiment, in the order they are run in."""
    for experiment in experiments.in_order(catalogue, catalogue):
        print(f"{experiment.id:45}  {experiment.answers:18}  {experiment.title}")


def main() -> None:
    """Do what the command line says."""
    arguments = new_parser().parse_args()
    scale = arguments.scale
    with paths_of(scale):
        catalogue, named = load_catalogue(arguments.experiments, scale)
        if arguments.list:
            print_list(catalogue)
            return
        folder = report_folder(arguments.report or settings.MODELS_ROOT / "report")
        states: dict[str, str] = {}
        if not arguments.report_only:
            chosen = experiments.in_order(named, catalogue)
            with storage.lock(records_folder(), "experiments"):
                states = run_all(
                    chosen, scale, overwrite=arguments.overwrite, verbose=arguments.verbose
                )
        with storage.lock(records_folder(), "a report", name="report.", wait=60):
            write_report(catalogue, scale, folder)
    counts = {state: list(states.values()).count(state) for state in dict.fromkeys(states.values())}
    print(", ".join(f"{count} {state}" for state, count in counts.items()))
    failed = [id_ for id_, state in states.items() if state == "failed"]
    if failed:
        raise InputError(f"failed: {', '.join(failed)}; the same command tries them again")


if __name__ == "__main__":
    command.run(main)
