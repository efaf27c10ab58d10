"""Keras on TensorFlow: imported here once, without its start-up messages, and deterministic."""

import contextlib
import logging
import os
from collections.abc import Iterator


@contextlib.contextmanager
def _without_native_messages() -> Iterator[None]:
    """Send to nowhere what native code writes to stderr; Python's own errors are raised.

    TensorFlow tells at every import that oneDNN is on, before any log level counts.
    """
    saved, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(nowhere)


# Level 3 hides a graph rewrite of leaky ReLU that fails at every start and changes nothing.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["KERAS_BACKEND"] = "tensorflow"  # others are slower here, and not tested
with _without_native_messages():
    import keras  # noqa: F401
    import tensorflow as tf

# Keras warns that .hdf5 is its old format; the documented file name needs just that.
logging.getLogger("absl").setLevel(logging.ERROR)
tf.config.experimental.enable_op_determinism()  # same seed, same history; costs nothing on a CPU


def device() -> str:
    """Name what the networks compute on."""
    gpus = tf.config.list_physical_devices("GPU")
    return f"{len(gpus)} GPU" if gpus else "the CPU"
