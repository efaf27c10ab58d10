"""Keras on TensorFlow, or on JAX if KERAS_BACKEND says so; TensorFlow is not needed then.

Imported here once, without its start-up messages, and deterministic.
"""

import contextlib
import logging
import os
import sys
from collections.abc import Iterator

from instrec.errors import InputError


@contextlib.contextmanager
def _without_native_messages() -> Iterator[None]:
    """Discard what native code writes to stderr; Python errors are still raised.

    TensorFlow announces oneDNN at every import, before any log level takes effect.
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
# TensorFlow is faster on a CPU; JAX trains on several devices and machines (docs/cluster.md).
ENGINE = "jax" if os.environ.get("KERAS_BACKEND") == "jax" else "tensorflow"
os.environ["KERAS_BACKEND"] = ENGINE
if ENGINE == "jax":
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_gpu_deterministic_ops=true"
try:
    with _without_native_messages():
        import keras

        if ENGINE == "jax":
            import jax
        else:
            import tensorflow as tf
except ModuleNotFoundError as error:
    if error.name != "jax":
        raise
    raise InputError(
        "KERAS_BACKEND is jax, which is not installed: run pip install -r "
        "requirements-cluster.txt, or unset KERAS_BACKEND"
    ) from None

# Otherwise the user's ~/.keras/keras.json would change the networks.
keras.config.set_image_data_format("channels_last")
keras.config.set_floatx("float32")
keras.config.set_epsilon(1e-7)
# Keras warns that .hdf5 is its old format; the documented file names require it.
logging.getLogger("absl").setLevel(logging.ERROR)
if ENGINE == "tensorflow":  # same seed, same history; costs nothing on a CPU
    tf.config.experimental.enable_op_determinism()
    # It warns when batches differ in size, as recordings do in length.
    tf.get_logger().setLevel("ERROR")


def device() -> str:
    """Name the hardware that the networks run on.

    Returns
    -------
    str
    """
    if ENGINE == "jax":
        _, processes = process()
        of = f" of {processes} processes" if processes > 1 else ""
        return f"{devices()} {jax.default_backend().upper()} by JAX{of}"
    gpus = tf.config.list_physical_devices("GPU")
    if len(gpus) > 1:
        return f"the first of {len(gpus)} GPU (with KERAS_BACKEND=jax, on all)"
    return "1 GPU" if gpus else "the CPU"


# --- training on several devices ------------------------------------------------------------------
def distribute() -> None:
    """Train on every device of this machine, or of all processes that environment variables name.

    All take part in each step; only the first process writes files and prints.

    Raises
    ------
    InputError
        If several processes are to train, but not on JAX, or cannot find each other.
    """
    together = "KERAS_DISTRIBUTION_JOB_ADDRESSES" in os.environ
    if ENGINE != "jax":
        if together:
            raise InputError("several processes can train by JAX only: set KERAS_BACKEND=jax")
        return
    if together:
        try:
            keras.distribution.initialize()
        except (RuntimeError, ValueError) as error:
            raise InputError(
                "the processes of KERAS_DISTRIBUTION_JOB_ADDRESSES="
                f"{os.environ['KERAS_DISTRIBUTION_JOB_ADDRESSES']} did not find each other "
                f"({str(error).splitlines()[0]}): start all, with numbers from 0 (docs/cluster.md)"
            ) from None
    if jax.device_count() > 1:
        every = keras.distribution.DataParallel(auto_shard_dataset=False)  # `Patches` splits it
        keras.distribution.set_distribution(every)
    if not is_first():
        sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115  until the process ends


def devices() -> int:
    """Return the number of devices that share a training, including those of other processes.

    Returns
    -------
    int
    """
    return jax.device_count() if keras.distribution.distribution() else 1


def process() -> tuple[int, int]:
    """Return the number of this process, from 0, and how many processes share a training.

    Returns
    -------
    number, count : int
    """
    return (jax.process_index(), jax.process_count()) if ENGINE == "jax" else (0, 1)


def is_first() -> bool:
    """Tell whether this process is the one that writes.

    Returns
    -------
    bool
    """
    return process()[0] == 0


def wait_for_all(what: str) -> None:
    """Wait until every process gets here: what the first one writes exists by then.

    Parameters
    ----------
    what : str
        What all must have done, for the message.
    """
    if process()[1] > 1:
        from jax.experimental import multihost_utils

        multihost_utils.sync_global_devices(what)
