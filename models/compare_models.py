"""Compare all models, run as documented: `cd models`, `ipython3 compare_models.py`.

The script itself is compare_models.py in the folder above.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from compare_models import load_results, main, plot_improvement  # noqa: E402, F401  for the prompt
from instrec.common import command  # noqa: E402

if __name__ == "__main__":
    command.run(lambda: main(namespace=globals()))
