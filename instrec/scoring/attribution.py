"""Which cells of its input a network used: integrated gradients.

After M. Sundararajan, A. Taly and Q. Yan, "Axiomatic attribution for deep networks", ICML 2017,
PMLR 70, 3319-3328.

Conventions: a patch is [mel bands x frames x channels], without a batch axis; a network has one or
two inputs, and its patches, one per input, are explained together. Attributions have the unit of
the output: over all cells, they add up to the output for the patch minus that for the baseline.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from instrec.data import features
from instrec.errors import InputError

if TYPE_CHECKING:
    import keras

STEPS = 64  # points on the path; the paper finds 20 to 300 enough
POINTS_A_BLOCK = 16  # in memory at once, with their gradients: 0.1 GB for model_leaky
Arrays = np.ndarray | Sequence[np.ndarray]  # one array, or one per input of the network


class Explanation(NamedTuple):
    """What each cell of a patch does for one output.

    Parameters
    ----------
    attributions : tuple of np.ndarray [shape=(mel bands, frames, channels)]
        By input of the network: above 0 in cells that speak for the label, below 0 against it.
    output : float
        Output of the networks for the patch.
    baseline : float
        Their output for silence.
    """

    attributions: tuple[np.ndarray, ...]
    output: float
    baseline: float


def integrated_gradients(
    network: "keras.Model", inputs: Arrays, label: int, *, baseline: Arrays, steps: int = STEPS
) -> Arrays:
    """Attribute one output of a network to the cells of its input.

    The mean of the output's gradients at `steps` points of the straight path from the baseline to
    the input (midpoint rule), times the difference of the two (Sundararajan et al. 2017,
    equations 1 and 3).

    Parameters
    ----------
    network : keras.Model
        Its output is [patches x labels].
    inputs : np.ndarray, or list or tuple of them [shape=(mel bands, frames, channels)]
        One patch, as the network takes it: standardised, if it was trained so. One array per input.
    label : int
        Index of the output.
    baseline : as `inputs`
        A neutral patch to compare with.
    steps : int
        Points on the path, 1 or more.

    Returns
    -------
    As `inputs`
        Attributions. Their sum is the output for `inputs` minus that for `baseline`, except for
        the error of finite steps.

    Raises
    ------
    ValueError
        If `steps` is below 1, the network has no such output, or `baseline` and `inputs` differ in
        shape.
    InputError
        If Keras computes on JAX.
    """
    from instrec.learning.backend import ENGINE

    if ENGINE != "tensorflow":
        raise InputError(f"gradients for patches take TensorFlow: unset KERAS_BACKEND ({ENGINE})")
    from instrec.learning.backend import tf

    patch, origin = tf.nest.flatten(inputs), tf.nest.flatten(baseline)
    if steps < 1:
        raise ValueError(f"expected steps of 1 or more, found {steps}")
    if not 0 <= label < network.output_shape[-1]:
        raise ValueError(f"expected a label below {network.output_shape[-1]}, found {label}")
    expected, found = ([*map(np.shape, arrays)] for arrays in (patch, origin))
    if expected != found:
        raise ValueError(f"expected a baseline of the shapes {expected}, found {found}")
    differences = [
        np.subtract(x, x0, dtype=np.float64) for x, x0 in zip(patch, origin, strict=True)
    ]
    sums = [np.zeros(difference.shape) for difference in differences]
    shares = (np.arange(steps) + 0.5) / steps  # the midpoints of equal sections of the path
    for block in np.split(shares, range(POINTS_A_BLOCK, steps, POINTS_A_BLOCK)):
        points = [
            x0 + block.reshape(-1, *[1] * difference.ndim) * difference
            for x0, difference in zip(origin, differences, strict=True)
        ]
        for total, gradient in zip(sums, _gradients(network, points, label), strict=True):
            total += gradient.sum(axis=0)
    found = [total / steps * d for total, d in zip(sums, differences, strict=True)]
    return tf.nest.pack_sequence_as(inputs, found)


def against_silence(
    networks: Sequence["keras.Model"],
    patches: Sequence[np.ndarray],
    label: int,
    *,
    means_and_stds: features.MeansAndStds | None = None,
    steps: int = STEPS,
) -> Explanation:
    """Explain the mean output of several networks for one patch, compared with digital silence.

    Parameters
    ----------
    networks : sequence of keras.Model
        Trainings of one model. Their mean output has the mean of their attributions.
    patches : sequence of np.ndarray [shape=(mel bands, frames, channels)]
        Log-mel patch of each input, not standardised.
    label : int
        Index of the output.
    means_and_stds : sequence of (np.ndarray, np.ndarray), optional
        Mean and standard deviation of each input that the networks were trained with.
    steps : int
        Points on the path from silence to the patch.

    Returns
    -------
    Explanation
    """
    silence = [np.full_like(patch, np.log(features.EPSILON)) for patch in patches]
    x, x0 = (features.standardise(y, means_and_stds) for y in (patches, silence))
    found = [
        integrated_gradients(network, x, label, baseline=x0, steps=steps) for network in networks
    ]
    means = tuple(np.mean(maps, axis=0) for maps in zip(*found, strict=True))
    both = [np.stack(pair) for pair in zip(x, x0, strict=True)]  # [patch and silence x ...]
    both = both if len(both) > 1 else both[0]
    outputs = np.mean([network.predict_on_batch(both)[:, label] for network in networks], axis=0)
    return Explanation(means, float(outputs[0]), float(outputs[1]))


def _gradients(network: "keras.Model", points: list[np.ndarray], label: int) -> list[np.ndarray]:
    """Return the gradient of an output at each of several points: [points x ...] per input."""
    from instrec.learning.backend import tf

    tensors = [tf.constant(x, dtype=tf.float32) for x in points]
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        outputs = network(tensors if len(tensors) > 1 else tensors[0], training=False)
        chosen = outputs[:, label]  # of all points: no point's gradient depends on another's
    # An input that the output does not depend on gets a gradient of zero, not None.
    found = tape.gradient(chosen, tensors, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    return [gradient.numpy().astype(np.float64) for gradient in found]
