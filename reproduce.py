#!/usr/bin/env python3
"""Run the experiments of experiments/ and report them beside what was published.

  python3 reproduce.py --list                      what there is
  python3 reproduce.py --scale demo                those with a published change, on rendered audio
  python3 reproduce.py irmas_harm jazz_solo        two of them, and those they are compared with
  python3 reproduce.py                             all, on the audio in DATA_PATH of settings.py

Runs the other scripts with -x: they render the audio of a demo; then, for one experiment after the
other, they separate, encode and extract its data set, train, evaluate and plot. Each skips what is
done and resumes where it was stopped. A data set whose audio is missing is left out and named. The
scales demo and smoke have folders of their own, demo/reproduce_<scale>/; none of their results is
an IRMAS number.

Writes report.md and figures/ to <MODELS_ROOT>/report, and what the scripts print to
<MODELS_ROOT>/experiments/<name>.log.
"""

import contextlib
import importlib
import os
import subprocess
import sys
import time
import traceback
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import settings
from instrec import experiments
from instrec.common import command, storage
from instrec.config import Config, read
from instrec.errors import InputError
from instrec.experiments import Experiment
from instrec.learning import model_files, trained
from instrec.learning.model_files import ModelFiles, source_files
from instrec.reporting import cells, comparison, inputs, report
from instrec.reporting.outcomes import Outcome
from instrec.scoring import scores

NEEDED = ("weights", "best_accuracy", "chance", "epochs", "best_epoch", "stopped", "settings")
# With others of these than today's, train.py would train again.
TRAINED_BY = ("split_by", "balanced", "standardise", "nb_epochs", "batch_size", "learning_rate")
TRAINED_BY += ("patience", "class_weight", "schedule", "augmentation", "precision", "seed", "alpha")
TRAINED_BY += ("transfer_from", "transfer_passes", "transfer_learning_rate", "transfer_output")
SCALES = ("full", "demo", "smoke")
DEMO = settings.ROOT / "demo"  # git ignores it
PATHS = {"DATA": "data", "FEATURE": "features", "MODEL": "models"}  # INSTREC_<name>_PATH: folder
FIGURE_WIDTH, FIGURE_COLOURS = 1100, 64  # maximum of a figure in the report; width in pixels


class Runner:
    """Runs scripts and logs what they print.

    Parameters
    ----------
    scale : str
        One of `SCALES`.
    logs : Path
        Folder of the logs.
    """

    def __init__(self, scale: str, logs: Path) -> None:
        # At the smallest scale, starting processes and compiling graphs takes longer than training.
        self.scale, self.logs, self.apart = scale, logs, scale != "smoke"
        logs.mkdir(parents=True, exist_ok=True)
        if not self.apart:
            from instrec.learning import backend

            if backend.ENGINE == "tensorflow":
                backend.tf.config.run_functions_eagerly(True)

    def run(self, log: str, script: str, *options: object) -> str:
        """Run a script; return why it failed, '' if it did not.

        Parameters
        ----------
        log : str
            Name of the log file.
        script : str
            File name of the script.
        *options : object
            Its arguments.

        Returns
        -------
        str
        """
        argv = list(map(str, options))
        path = self.logs / f"{log}.log"
        with path.open("a", encoding="utf-8", errors="backslashreplace") as file:
            try:
                if self.apart:
                    command_ = [sys.executable, settings.ROOT / f"{script}.py", *argv]
                    subprocess.run(command_, stdout=file, stderr=subprocess.STDOUT, check=True)
                else:
                    with contextlib.redirect_stdout(file), contextlib.redirect_stderr(file):
                        importlib.import_module(script).main(argv)
                return ""
            except subprocess.CalledProcessError as error:
                code = error.returncode
            except InputError as error:
                return str(error)
            except Exception as error:
                traceback.print_exception(error, file=file)
                code = f"{type(error).__name__}: {error}"
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        last = lines[-1] if lines else ""
        if last.startswith("error: "):
            return last.removeprefix("error: ")
        return f"{script}.py ended with {code}: see {path}"

    def options(self, experiment: Experiment) -> tuple[str, ...]:
        """Return the options that give a script an experiment at this scale.

        Parameters
        ----------
        experiment : Experiment
            The experiment.

        Returns
        -------
        tuple of str
        """
        return "-x", experiment.source, "-x", f"scales/{self.scale}"


# --- data -----------------------------------------------------------------------------------------
def render(runner: Runner, roots: Collection[str]) -> None:
    """Render the audio of a demo.

    Parameters
    ----------
    runner : Runner
        Runs the scripts.
    roots : collection of str
        Audio folders that are needed.
    """
    for id_, options in experiments.load(f"scales/{runner.scale}").render.items():
        root = settings.DATA_SETS[int(id_)].folders[0]
        if root in roots:
            print(f"[data] rendering {root}", flush=True)
            if reason := runner.run("_data", "render_dataset", "-d", id_, *options.split()):
                raise InputError(reason)


def prepare(runner: Runner, experiment: Experiment, config: Config) -> tuple[str, str]:
    """Separate, encode and extract the data of an experiment.

    Parameters
    ----------
    runner : Runner
        Runs the scripts.
    experiment : Experiment
        The experiment that needs them.
    config : Config
        Data set, paths and parameters.

    Returns
    -------
    (str, str)
        'done'; or 'left out' or 'failed', and the reason.
    """
    data_set = config.data_set
    source = config.data_path / data_set.root
    folders = [config.data_path / folder for folder in data_set.folders]
    separates = data_set.source is not None and source.is_dir()
    absent = [folder for folder in folders if not folder.is_dir()]
    if absent and not separates:
        where = source if data_set.source else absent[0]
        return "left out", f"its audio is missing: expected {where}"
    print(f"[data] {config.key}", flush=True)
    steps = ["separate_sources"] if separates else []
    for script in (*steps, "create_encoding", "generate_dataset"):
        if reason := runner.run("_data", script, *runner.options(experiment)):
            return "failed", reason
    return "done", ""


# --- experiments ----------------------------------------------------------------------------------
def trained_files(config: Config) -> ModelFiles:
    """Return the files of the model that an experiment trains.

    Parameters
    ----------
    config : Config
        Data set, paths and parameters.

    Returns
    -------
    ModelFiles
    """
    name = config.trained_name(config.model)
    return model_files.model_files(config, name, config.optimizer)


def result_files(config: Config) -> ModelFiles:
    """Return the files of an experiment's results, which may lie beside those of its model.

    Parameters
    ----------
    config : Config
        Data set, paths and parameters.

    Returns
    -------
    ModelFiles
    """
    name = config.result_name(config.trained_name(config.model))
    return model_files.model_files(config, name, config.optimizer)


def steps_of(experiment: Experiment, *, overwrite: bool) -> list[tuple[str, ...]]:
    """Return the scripts of an experiment, each with the options that only it takes.

    Parameters
    ----------
    experiment : Experiment
        The experiment.
    overwrite : bool
        Whether models trained with other settings are replaced.

    Returns
    -------
    list of tuple of str
        Each a script and its options.
    """
    anew = ("--overwrite",) if overwrite else ()
    steps: list[tuple[str, ...]] = [("train", *anew)] if experiment.trains else []
    steps += [("evaluate", "-O", "1", *anew), ("plot_conf_mat",)] if experiment.confusion else []
    steps += [("evaluate", "-O", "2"), ("plot_perf_metrics",), ("evaluate", "-O", "3")]
    return [*steps, ("plot_perf_metrics",), *([("plot_history",)] if experiment.trains else [])]


def improvements(
    experiment: Experiment, configs: Mapping[str, Config], *, done: Sequence[str]
) -> dict[str, Path]:
    """Draw the change against the baseline, and that of class-wise thresholds against one.

    Parameters
    ----------
    experiment : Experiment
        The experiment.
    configs : mapping of Config
        By experiment.
    done : sequence of str
        Experiments that have results.

    Returns
    -------
    dict of Path
        PNG of each figure, by name.
    """

    def side(id_: str) -> tuple[str, str]:
        files = result_files(configs[id_])
        default = files.optimizer == comparison.DEFAULT_OPTIMIZER
        return configs[id_].key, files.model if default else f"{files.model}.{files.optimizer}"

    key, model = side(experiment.id)
    drawn = {}
    if experiment.baseline in done:
        base_key, base = side(experiment.baseline)
        drawn["improvement"], _ = comparison.plot_improvement(
            model, base, data_set=key, baseline_data_set=base_key
        )
    if experiment.published_classwise_change is not None and experiment.baseline in ("", *done):
        base_key, base = side(experiment.baseline or experiment.id)
        drawn["improvement classwise"], _ = comparison.plot_improvement(
            model, base, data_set=key, baseline_data_set=base_key, thresholds="classwise"
        )
    return drawn


def run_all(
    runner: Runner,
    chosen: Sequence[Experiment],
    configs: Mapping[str, Config],
    *,
    overwrite: bool = False,
) -> dict[str, tuple[str, str]]:
    """Run experiments one after the other, dependencies first.

    Parameters
    ----------
    runner : Runner
        Runs the scripts.
    chosen : sequence of Experiment
        What to run.
    configs : mapping of Config
        By experiment.
    overwrite : bool
        Whether models trained with other settings are replaced.

    Returns
    -------
    dict of str to (str, str)
        What became of each, 'done', 'failed' or 'left out', and why.
    """
    render(runner, {configs[experiment.id].data_set.root for experiment in chosen})
    trainers = experiments.trainers_of(chosen, configs)
    prepared: dict[str, tuple[str, str]] = {}  # by result key
    states: dict[str, tuple[str, str]] = {}
    for number, experiment in enumerate(chosen, start=1):
        config, began = configs[experiment.id], time.perf_counter()
        print(f"[{number}/{len(chosen)}] {experiment.id}: {experiment.title}", flush=True)
        if config.key not in prepared:
            prepared[config.key] = prepare(runner, experiment, config)
        state, reason = prepared[config.key]
        for need in experiments.needs(experiment, config):
            source_state, _ = states[trainers[need]]
            if state == "done" and source_state != "done":
                state, reason = source_state, f"it starts from {trainers[need]}, {source_state}"
        for script, *options in steps_of(experiment, overwrite=overwrite) if not reason else ():
            all_options = (*runner.options(experiment), *options)
            if reason := runner.run(experiment.id, script, *all_options):
                state = "failed"
                break
        states[experiment.id] = state, reason
        storage.save_json(runner.logs / f"{experiment.id}.json", {"state": state, "reason": reason})
        took = cells.duration(time.perf_counter() - began)
        print(f"    {state}{f': {reason}' if reason else f' in {took}'}", flush=True)
        if keras := sys.modules.get("keras"):  # otherwise every network built stays in memory
            keras.utils.clear_session()
    return states


# --- the report -----------------------------------------------------------------------------------
def outcome_of(experiment: Experiment, config: Config, logs: Path) -> Outcome:
    """Read the outcome of an experiment.

    Parameters
    ----------
    experiment : Experiment
        The experiment.
    config : Config
        Data set, paths and parameters.
    logs : Path
        Folder of the logs, and of what became of each experiment.

    Returns
    -------
    Outcome
    """
    files, again = result_files(config), "reproduce.py again"
    members = [trained_files(config)]
    if not experiment.trains:
        needs = experiments.needs(experiment, config)
        members = [source_files(need, config.models_root) for need in needs]
    try:
        record, table = scores.load(files.scores, again)
        trainings = [
            trained.load_record(member, i, again, *NEEDED)
            for member in members
            for i in range(config.iter_num)
        ]
        if record["recipe"].get("weights") != [training["weights"] for training in trainings]:
            raise InputError(f"its models have changed since they were scored: run {again}")
        now = config.parameters()
        for training in trainings if experiment.trains else ():
            if others := [x for x in TRAINED_BY if training["settings"].get(x) != now[x]]:
                raise InputError(
                    f"it was trained with other {', '.join(others)}: "
                    "run reproduce.py with --overwrite"
                )
        confusion = storage.load_json(files.confusion, again) if experiment.confusion else {}
        clips = storage.load_arrays(files.clips, again)
        patches = storage.load_arrays(files.patches, again) if experiment.confusion else {}
    except InputError as error:
        state, reason = "not run", str(error)
        with contextlib.suppress(InputError):
            last = storage.load_json(logs / f"{experiment.id}.json", "")
            if last.get("state") != "done":
                state, reason = str(last["state"]), str(last["reason"])
        for root in (config.data_path, config.feature_path, config.models_root):
            reason = reason.replace(str(root), root.name)  # reports are read on other machines, too
        return Outcome(experiment, config, state, reason)
    trainings = [t | {"has_learnt": trained.has_learnt(t)} for t in trainings]
    names = ("thresholds", "classwise_s1", "classwise_s2", "labels")
    # A variant's curves say little beside those of its baseline; its bars do.
    drawn = {} if experiment.baseline else {name: files.figure(f"{name}.png") for name in names}
    learning = () if experiment.baseline else ("history",)
    learning += ("standardisation",) if config.standardise else ()
    drawn |= {name: trained_files(config).figure(f"{name}.png") for name in learning}
    drawn |= {n: files.figure(f"{n}.png") for n in ("confusion_patch", "confusion_s1") if confusion}
    figures = {name.replace("_", " "): str(path) for name, path in drawn.items() if path.is_file()}
    found = {"record": record, "table": table, "clips": clips}
    found |= {"confusion": confusion, "patches": patches}
    return Outcome(experiment, config, "done", **found, trainings=trainings, figures=figures)


def copy_figure(source: Path, target: Path) -> None:
    """Copy a PNG, with no more pixels and colours than a page of a report needs.

    Parameters
    ----------
    source, target : Path
        PNG files.
    """
    from PIL import Image  # comes with matplotlib

    with Image.open(source) as image:
        small = image.convert("RGB")
    small.thumbnail((FIGURE_WIDTH, 10 * FIGURE_WIDTH), Image.Resampling.LANCZOS)
    with storage.whole(target) as partial:
        small.quantize(FIGURE_COLOURS, Image.Quantize.FASTOCTREE).save(partial, optimize=True)


def write_report(
    scale: str, catalogue: Mapping[str, Experiment], configs: Mapping[str, Config], folder: Path
) -> None:
    """Write the report of everything that was run at a scale.

    Parameters
    ----------
    scale : str
        Name of the scale.
    catalogue : mapping of Experiment
        All known experiments.
    configs : mapping of Config
        By experiment.
    folder : Path
        Where the report goes.
    """
    logs = read().models_root / "experiments"
    outcomes = [outcome_of(e, configs[id_], logs) for id_, e in catalogue.items()]
    chosen = experiments.load(f"scales/{scale}")
    wanted = chosen.experiments or list(catalogue)
    outcomes = [o for o in outcomes if o.state != "not run" or o.experiment.id in wanted]
    outcomes.sort(
        key=lambda o: (not o.experiment.answers.startswith("thesis"), o.experiment.answers)
    )
    done = [outcome.experiment.id for outcome in outcomes if outcome.record]
    for outcome in outcomes:
        if outcome.record:
            drawn = outcome.figures | improvements(outcome.experiment, configs, done=done)
            for name, path in drawn.items():
                file_name = f"{outcome.experiment.id}_{name.replace(' ', '_')}.png"
                copy_figure(Path(path), folder / "figures" / file_name)
                outcome.figures[name] = f"figures/{file_name}"
    parameters = read().changed(chosen.parameters, chosen.source).parameters()
    names = ("nb_epochs", "batch_size", "iter_num", "learning_rate", "precision", "seed")
    about = {
        "scale": f"{scale}: {chosen.title}",
        "settings": ", ".join(f"{name} {parameters[name]}" for name in names),
        **{
            f"rendered {settings.DATA_SETS[int(id_)].title}": options
            for id_, options in chosen.render.items()
        },
        "written on": time.strftime("%Y-%m-%d"),
        "written by git commit": storage.environment()["git_commit"],
    }
    text = report.document(f"instRecCnn: the experiments at scale {scale!r}", about, outcomes)
    storage.save(folder / "report.md", inputs.marked(text).encode("utf-8", "backslashreplace"))
    print(f"report: {folder / 'report.md'}")


# --- the script -----------------------------------------------------------------------------------
def load_catalogue(
    named: Sequence[str], scale: str
) -> tuple[dict[str, Experiment], dict[str, Config]]:
    """Load all experiments of the folder and those that are named, and the parameters of each.

    Parameters
    ----------
    named : sequence of str
        Names of experiments, or paths of their files.
    scale : str
        Name of the scale.

    Returns
    -------
    catalogue : dict of Experiment
    configs : dict of Config
        By experiment.
    """
    catalogue = {name: experiments.load(name) for name in experiments.names()}
    for experiment in map(experiments.load, named):
        first = catalogue.setdefault(experiment.id, experiment)
        if first.source != experiment.source:
            raise InputError(
                f"{first.source} and {experiment.source} have one name: give the second another"
            )
    size, base = experiments.load(f"scales/{scale}"), read()
    configs = {
        id_: base.changed(e.parameters, e.source).changed(size.parameters, size.source)
        for id_, e in catalogue.items()
    }
    experiments.check_apart(catalogue, configs)
    return catalogue, configs


def main(argv: Sequence[str] | None = None) -> None:
    """Do what the command line says.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments of the command line; those of this process by default.
    """
    argv = sys.argv[1:] if argv is None else list(argv)
    parser = command.plain_parser(__doc__)
    add = parser.add_argument
    add("experiments", nargs="*", metavar="NAME", help="of experiments/, or files (all)")
    add("--scale", choices=SCALES, default="full", help="how large (full)")
    add("--list", action="store_true", help="name the experiments and stop")
    add("--report", type=Path, metavar="DIR", help="where to (<MODELS_ROOT>/report)")
    add("--report-only", action="store_true", help="run nothing, only write the report")
    add("--overwrite", action="store_true", help="replace models trained with other settings")
    arguments = parser.parse_args(argv)
    scale = arguments.scale
    if experiments.load(f"scales/{scale}").render:
        folder = DEMO / f"reproduce_{scale}"
        paths = {f"INSTREC_{name}_PATH": str(folder / place) for name, place in PATHS.items()}
        if any(os.environ.get(variable) != path for variable, path in paths.items()):
            # settings.py reads its paths on import: start again, with those of the scale.
            command_ = [sys.executable, __file__, *argv]
            sys.exit(subprocess.run(command_, env=os.environ | paths).returncode)
    catalogue, configs = load_catalogue(arguments.experiments, scale)
    if arguments.list:
        for experiment in experiments.in_order(catalogue, catalogue, configs):
            print(f"{experiment.id:45}  {experiment.answers:18}  {experiment.title}")
        return
    logs = read().models_root / "experiments"
    named = [experiments.load(name).id for name in arguments.experiments]
    named = named or experiments.load(f"scales/{scale}").experiments or list(catalogue)
    states: dict[str, tuple[str, str]] = {}
    with storage.lock(logs, "experiments"):
        if not arguments.report_only:
            chosen = experiments.in_order(named, catalogue, configs)
            runner = Runner(scale, logs)
            states = run_all(runner, chosen, configs, overwrite=arguments.overwrite)
        write_report(scale, catalogue, configs, arguments.report or read().models_root / "report")
    found = [state for state, _ in states.values()]
    print(", ".join(f"{found.count(state)} {state}" for state in dict.fromkeys(found)))
    if failed := [id_ for id_, (state, _) in states.items() if state == "failed"]:
        raise InputError(f"failed: {', '.join(failed)}; the same command tries them again")


if __name__ == "__main__":
    command.run(main)
