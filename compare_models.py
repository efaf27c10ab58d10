#!/usr/bin/env python3
"""Compare the final scores of all models: everything that evaluate.py found in operation mode 3.

  cd models && ipython3 compare_models.py       ends in a prompt with the data frames below
  python3 compare_models.py                     prints them
  python3 compare_models.py --improvement model_leaky model_baseline -d 1     bar charts

Data frames with the columns precision, recall and f-score, means over the trainings:

  global_res         by data set, model, strategy and averaging; one threshold for all labels
  class_res          by data set, model, strategy and label
  global_class_res   like global_res, with the best threshold of each label
  ranking_res        by data set, model and strategy: lrap (label ranking average precision) and map
                     (mean average precision), which need no threshold

global_dev, class_dev, global_class_dev and ranking_dev hold the standard deviations. The optimizer
is adam unless the model's name ends with another, such as model_baseline.sgd. In the prompt:

  global_res.loc['irmas_1024'].loc['model_baseline'].loc['s2'].loc['micro']
  plot_improvement('model_leaky', 'model_baseline', data_set='irmas_1024')

which also compares models of two data sets, and class-wise thresholds with one for all labels.
"""

import sys
from collections.abc import Sequence
from typing import Any

from instrec.common import command
from instrec.errors import InputError
from instrec.reporting import comparison
from instrec.reporting.comparison import load_results, plot_improvement  # noqa: F401  at the prompt

# What the notes of `comparison.load` mean.
NOTES = {
    "rendered": "rendered audio, not the data set of that name",
    "incomplete": "not the clips of the data set as distributed",
    "replaced": "of networks since trained again, or missing: run evaluate.py again",
}


def running_ipython() -> Any:  # noqa: ANN401
    """Return IPython's terminal program, if it runs this script.

    Returns
    -------
    TerminalIPythonApp or None
    """
    if "IPython" not in sys.modules:
        return None
    from IPython.terminal.ipapp import TerminalIPythonApp

    return TerminalIPythonApp.instance() if TerminalIPythonApp.initialized() else None


def main(argv: Sequence[str] | None = None, namespace: dict[str, Any] | None = None) -> None:
    """Do what the command line says; in IPython, the frames go to `namespace`.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments of the command line; those of this process by default.
    namespace : dict, optional
        Where the frames go, such as that of a prompt.
    """
    parser = command.new_parser(__doc__)
    parser.add_argument(
        "--improvement",
        nargs=2,
        metavar=("MODEL", "BASELINE"),
        help="draw how much better MODEL is than BASELINE, on the data set of -d",
    )
    arguments, config = command.parse(parser, argv)
    if arguments.improvement:
        data_set = command.choose_data_set(config).key
        plot_improvement(*arguments.improvement, data_set=data_set)
        return
    ipython = running_ipython()
    try:
        frames, notes = comparison.load(config.models_root)
    except InputError as error:
        if not ipython:
            raise
        print(f"error: {error}", file=sys.stderr)  # IPython prints several lines for an exit
        return
    if ipython:
        (namespace if namespace is not None else {}).update(frames._asdict())
        ipython.interact = True  # go on to the prompt; after a script, it would exit
        # There, too, a mistyped model name gives one line.
        ipython.shell.set_custom_exc((InputError,), lambda *args, **_: print(f"error: {args[2]}"))
        models = frames.global_res.index.droplevel(["strategy", "averaging"]).unique()
        print("scores of " + ", ".join("/".join(pair) for pair in models))
        print(f"data frames: {', '.join(frames._fields)}; plot_improvement? shows its use")
    else:
        for name in frames._fields[:4]:
            print(f"\n{name}")
            print(getattr(frames, name).dropna().to_string(float_format="{:.3f}".format))
    for kind, meaning in NOTES.items():
        of_kind = [f"{key}/{model}" for (key, model), note in notes.items() if kind in note]
        if of_kind:
            print(f"note: {meaning}: {', '.join(of_kind)}")


if __name__ == "__main__":
    command.run(lambda: main(namespace=globals()))
