"""Make tests/data/keras2 anew: what Keras 2 answers, of small networks of the published kind.

  pip install "tensorflow<2.22" tf-keras && TF_ENABLE_ONEDNN_OPTS=1 python3 tests/make_keras2.py

The files stay in the repository: tests compare what import_model.py makes of them with the outputs
that Keras 2 had. Of the structures, which Keras 2 has saved, weights and outputs are made here; the
class is called "Model", as in the authors' files.
"""

import sys
from pathlib import Path

import numpy as np
import tf_keras

FOLDER = Path(__file__).parent / "data" / "keras2"


def save(folder: Path, data_format: str) -> None:
    """Write weights, input patches (channels last) and outputs of a network."""
    folder.mkdir(parents=True, exist_ok=True)
    tf_keras.utils.set_random_seed(1)
    tf_keras.backend.set_image_data_format(data_format)
    structure = (FOLDER / f"{data_format}.json").read_text(encoding="utf-8")
    network = tf_keras.models.model_from_json(structure)
    rng = np.random.default_rng(0)
    network.set_weights([w + rng.normal(0, 0.05, w.shape) for w in network.get_weights()])
    network.save_weights(folder / f"{data_format}.hdf5")
    patches = rng.normal(-9, 3, (4, 128, 43, 1)).astype(np.float32)
    given = patches.transpose(0, 3, 1, 2) if data_format == "channels_first" else patches
    outputs = network.predict(given, verbose=0)
    np.savez_compressed(folder / f"{data_format}.npz", patches=patches, outputs=outputs)


if __name__ == "__main__":
    for name in ("channels_last", "channels_first"):
        save(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER, name)
