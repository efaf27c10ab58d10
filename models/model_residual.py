"""Small residual network that ignores level: for recordings unlike the training data.

Not in the thesis. Each patch is scaled relative to its loudest point and cut off 60 dB below it, so
that neither gain nor a recording's noise floor matters; batch-normalised residual blocks follow
(He et al., CVPR 2016), with strides where the documented networks pool. Its output is a softmax:
cross-entropy on sigmoids, as in the documented networks, stops learning where they saturate.
"""

import keras
from keras import layers

FLOOR = 6.9  # nepers (60 dB) below a patch's loudest point: anything softer is ignored
FILTERS = (32, 64, 128, 256)
DROPOUT = 0.3
MOMENTUM = 0.9  # of the moving averages; Keras' 0.99 lags behind when an epoch has few batches


def get_model(input_shape: tuple[int, int, int], num_classes: int) -> keras.Model:
    """Build the network; 1,214,379 parameters for 11 labels, a third of the baseline's MACs.

    Parameters
    ----------
    input_shape : tuple of int
        Mel bands, frames and channels of a patch.
    num_classes : int
        Number of labels.

    Returns
    -------
    keras.Model
    """
    inputs = keras.Input(input_shape)
    x = relative_level(inputs)  # (128, 43, channels)
    x = layers.ReLU()(normalised(x, FILTERS[0], 5, strides=2))  # (64, 22, 32)
    for filters in FILTERS[1:]:
        x = residual_block(x, filters)  # ... (8, 3, 256)
    x = layers.Concatenate()([layers.GlobalAveragePooling2D()(x), layers.GlobalMaxPooling2D()(x)])
    x = layers.Dropout(DROPOUT)(x)
    outputs = layers.Dense(num_classes, activation="softmax")(x)
    return keras.Model(inputs, outputs, name="model_residual")


def relative_level(x: keras.KerasTensor) -> keras.KerasTensor:
    """Scale log-mel patches: 1 is the loudest point of a patch, 0 is `FLOOR` below it or less.

    Parameters
    ----------
    x : keras.KerasTensor
        Input tensor.

    Returns
    -------
    keras.KerasTensor
    """
    loudest = layers.GlobalMaxPooling2D(keepdims=True)(x)
    x = layers.Rescaling(1 / FLOOR, offset=1)(layers.Subtract()([x, loudest]))
    return layers.ReLU()(x)


def residual_block(x: keras.KerasTensor, filters: int) -> keras.KerasTensor:
    """Apply two convolutions in parallel with a shortcut, halving the map.

    Parameters
    ----------
    x : keras.KerasTensor
        Input tensor.
    filters : int
        Number of feature maps.

    Returns
    -------
    keras.KerasTensor
    """
    shortcut = layers.AveragePooling2D(2, padding="same")(x)
    shortcut = layers.Conv2D(filters, 1, use_bias=False)(shortcut)
    x = layers.ReLU()(normalised(x, filters, 3, strides=2))
    return layers.ReLU()(layers.Add()([normalised(x, filters, 3), shortcut]))


def normalised(
    x: keras.KerasTensor, filters: int, kernel: int, strides: int = 1
) -> keras.KerasTensor:
    """Convolve, then normalise each map over the batch.

    Parameters
    ----------
    x : keras.KerasTensor
        Feature maps.
    filters, kernel, strides : int
        Of the convolution.

    Returns
    -------
    keras.KerasTensor
    """
    x = layers.Conv2D(filters, kernel, strides=strides, padding="same", use_bias=False)(x)
    return layers.BatchNormalization(momentum=MOMENTUM)(x)
