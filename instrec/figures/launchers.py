"""Launchers of the plotting scripts, to be called after `cd <MODEL_PATH>/<model_name>`."""

from pathlib import Path

import settings
from instrec.common import storage

SCRIPTS = ("plot_conf_mat.py", "plot_perf_metrics.py", "plot_history.py")
_LAUNCHER = '''"""Run {script} of instRecCnn on the results in this folder.

Written by evaluate.py."""

import runpy
import sys
from pathlib import Path

ROOT = {root!r}
sys.path.insert(0, ROOT)
sys.argv[1:] = ["--folder", str(Path(__file__).resolve().parent), *sys.argv[1:]]
runpy.run_path(str(Path(ROOT) / "{script}"), run_name="__main__")
'''


def write(folder: Path) -> None:
    """Put a launcher for each plotting script into a folder of results.

    Parameters
    ----------
    folder : Path
        Of a trained model.
    """
    is_trained = any(folder.glob("*.run.json"))  # here, and not in a folder of results alone
    for script in SCRIPTS if is_trained else set(SCRIPTS) - {"plot_history.py"}:
        storage.save(folder / script, _LAUNCHER.format(script=script, root=str(settings.ROOT)))
