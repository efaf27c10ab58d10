"""Make tests/data/keras2: small networks of the published architecture, saved and run by Keras 2.

  pip install "tensorflow<2.22" tf-keras && TF_ENABLE_ONEDNN_OPTS=1 python3 tests/make_keras2.py

The files stay in the repository: tests compare what import_model.py makes of them with the outputs
that Keras 2 had. The class is called "Model", as in the authors' files.
"""

import json
import sys
from pathlib import Path

import numpy as np
import tf_keras
from tf_keras import layers

FOLDER = Path(__file__).parent / "data" / "keras2"
FILTERS, DENSE, CLASSES = (3, 4, 5, 6), 7, 6  # the authors have 32, 64, 128, 256 and 1024


def build(data_format: str) -> tf_keras.Model:
    """Build the published network, which models.blocks describes, with fewer filters."""
    tf_keras.backend.set_image_data_format(data_format)
    shape = (1, 128, 43) if data_format == "channels_first" else (128, 43, 1)
    x = inputs = layers.Input(shape, name="b1_zp1_input")
    for n, count in enumerate(FILTERS, start=1):
        for i in (1, 2):
            padding = "b4_zp4" if (n, i) == (4, 2) else f"b{n}_zp{i}"
            x = layers.ZeroPadding2D((1, 1), name=padding)(x)
            x = layers.Conv2D(count, (3, 3), padding="same", name=f"b{n}_c{i}")(x)
            x = layers.Activation("relu", name=f"b{n}_a{i}")(x)
        if n < len(FILTERS):
            x = layers.MaxPooling2D((3, 3), strides=(3, 3), name=f"b{n}_mp1")(x)
            x = layers.Dropout(0.25, name=f"b{n}_d1")(x)
    x = layers.GlobalMaxPooling2D(name="b4_gmp1")(x)
    x = layers.Dense(DENSE, name="b5_fc1")(x)
    x = layers.Activation("relu", name="b5_a1")(x)
    x = layers.Dropout(0.5, name="b5_d1")(x)
    outputs = layers.Dense(CLASSES, activation="sigmoid", name="dense_3")(x)
    return tf_keras.Model(inputs, outputs)


def save(folder: Path, data_format: str) -> None:
    """Write structure, weights, input patches (channels last) and outputs of a network."""
    folder.mkdir(parents=True, exist_ok=True)
    tf_keras.utils.set_random_seed(1)
    network = build(data_format)
    rng = np.random.default_rng(0)
    network.set_weights([w + rng.normal(0, 0.05, w.shape) for w in network.get_weights()])
    patches = rng.normal(-9, 3, (4, 128, 43, 1)).astype(np.float32)
    given = patches.transpose(0, 3, 1, 2) if data_format == "channels_first" else patches
    content = json.loads(network.to_json()) | {"class_name": "Model"}
    (folder / f"{data_format}.json").write_text(json.dumps(content), encoding="utf-8")
    network.save_weights(folder / f"{data_format}.hdf5")
    outputs = network.predict(given, verbose=0)
    np.savez_compressed(folder / f"{data_format}.npz", patches=patches, outputs=outputs)


if __name__ == "__main__":
    for name in ("channels_last", "channels_first"):
        save(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER, name)
