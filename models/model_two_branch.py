"""Network with two inputs, harmonic and percussive, and late fusion (thesis 5.6.2, Fig. 5.16)."""

import keras
from keras import layers

from models import blocks


def get_model(input_shape: tuple[int, int, int], num_classes: int) -> keras.Model:
    """Build the network with ReLU: one branch of convolutions per input, then the dense layers.

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
    inputs = [keras.Input(input_shape, name=name) for name in ("harmonic", "percussive")]
    branches = [blocks.convolutions(x, blocks.relu) for x in inputs]
    outputs = blocks.classifier(layers.Concatenate()(branches), num_classes, blocks.relu)
    return keras.Model(inputs, outputs, name="model_two_branch")
