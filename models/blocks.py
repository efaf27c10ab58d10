"""What the networks share: the convolutions and the classifier of Han et al. 2017, table I.

Channels last. The layers are exactly those of the published model file: a 1x1 zero padding before
each convolution, itself padded to 'same', so each convolution widens its map by 2.
"""

from collections.abc import Callable

import keras
from keras import layers

FILTERS = (32, 64, 128, 256)  # of the four blocks of two convolutions
KERNEL = 3
POOL = 3
BLOCK_DROPOUT = 0.25
DENSE = 1024
DENSE_DROPOUT = 0.5

relu = layers.ReLU


def leaky_relu(alpha: float) -> Callable[[], layers.Layer]:
    """Return a factory of leaky ReLU layers with the slope `alpha` below zero.

    Parameters
    ----------
    alpha : float
        Slope below zero.

    Returns
    -------
    callable
        Makes an activation layer.
    """
    return lambda: layers.LeakyReLU(negative_slope=alpha)


def convolutions(x: keras.KerasTensor, activation: Callable[[], layers.Layer]) -> keras.KerasTensor:
    """Apply four blocks of two convolutions: (mel bands, frames, channels) -> (256,).

    Parameters
    ----------
    x : keras.KerasTensor
        Input tensor.
    activation : callable
        Makes an activation layer.

    Returns
    -------
    keras.KerasTensor
    """
    for filters in FILTERS:
        for _ in range(2):
            x = layers.ZeroPadding2D(1)(x)
            x = layers.Conv2D(filters, KERNEL, padding="same")(x)
            x = activation()(x)
        if filters != FILTERS[-1]:
            x = layers.MaxPooling2D(POOL, strides=POOL)(x)
            x = layers.Dropout(BLOCK_DROPOUT)(x)
    return layers.GlobalMaxPooling2D()(x)


def classifier(
    x: keras.KerasTensor, num_classes: int, activation: Callable[[], layers.Layer]
) -> keras.KerasTensor:
    """Apply the dense layers and one sigmoid per label: (n,) -> (num_classes,).

    Parameters
    ----------
    x : keras.KerasTensor
        Input tensor.
    num_classes : int
        Number of labels.
    activation : callable
        Makes an activation layer.

    Returns
    -------
    keras.KerasTensor
    """
    x = layers.Dense(DENSE)(x)
    x = activation()(x)
    x = layers.Dropout(DENSE_DROPOUT)(x)
    return layers.Dense(num_classes, activation="sigmoid")(x)


def single_branch(
    name: str,
    input_shape: tuple[int, int, int],
    num_classes: int,
    activation: Callable[[], layers.Layer],
) -> keras.Model:
    """Build a network with one input: convolutions, then the classifier.

    Parameters
    ----------
    name : str
        Name of the network.
    input_shape : tuple of int
        Mel bands, frames and channels of a patch.
    num_classes : int
        Number of labels.
    activation : callable
        Makes an activation layer.

    Returns
    -------
    keras.Model
    """
    inputs = keras.Input(input_shape)
    outputs = classifier(convolutions(inputs, activation), num_classes, activation)
    return keras.Model(inputs, outputs, name=name)
