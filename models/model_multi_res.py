"""Network for spectrograms of three resolutions, stacked as channels (thesis, section 5.6.3)."""

import keras

from models import blocks


def get_model(
    input_shape: tuple[int, int, int], num_classes: int, alpha: float = 0.33
) -> keras.Model:
    """Build the network; as the baseline with leaky ReLU, on three channels."""
    return blocks.single_branch(
        "model_multi_res", input_shape, num_classes, blocks.leaky_relu(alpha)
    )
