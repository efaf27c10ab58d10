"""Network with two inputs, harmonic and percussive, and late fusion (thesis, section 5.6.2)."""

import keras
from keras import layers

from models import blocks


def get_model(
    input_shape: tuple[int, int, int], num_classes: int, alpha: float = 0.33
) -> keras.Model:
    """Build the network: one branch of convolutions an input, joined before the dense layers."""
    inputs = [keras.Input(input_shape, name=name) for name in ("harmonic", "percussive")]
    activation = blocks.leaky_relu(alpha)
    branches = [blocks.convolutions(x, activation) for x in inputs]
    outputs = blocks.classifier(layers.Concatenate()(branches), num_classes, activation)
    return keras.Model(inputs, outputs, name="model_two_branch")
