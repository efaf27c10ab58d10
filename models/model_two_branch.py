"""Network with two inputs, harmonic and percussive, and late fusion (thesis, section 5.6.2)."""

import keras
from keras import layers

from models import blocks


def get_model(input_shape: tuple[int, int, int], num_classes: int) -> keras.Model:
    """Build the network: one branch of convolutions an input, joined before the dense layers."""
    inputs = [keras.Input(input_shape, name=name) for name in ("harmonic", "percussive")]
    branches = [blocks.convolutions(x, blocks.leaky_relu) for x in inputs]
    outputs = blocks.classifier(layers.Concatenate()(branches), num_classes, blocks.leaky_relu)
    return keras.Model(inputs, outputs, name="model_two_branch")
