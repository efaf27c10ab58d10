"""Baseline network of Han et al. with leaky ReLU activations (thesis, section 4.1.3)."""

import keras

from models import blocks


def get_model(
    input_shape: tuple[int, int, int], num_classes: int, alpha: float = 0.33
) -> keras.Model:
    """Build the network; 1,446,123 parameters for 11 labels and one channel.

    Parameters
    ----------
    input_shape : tuple of int
        Mel bands, frames and channels of a patch.
    num_classes : int
        Number of labels.
    alpha : float
        Slope of the leaky ReLU below zero.

    Returns
    -------
    keras.Model
    """
    return blocks.single_branch("model_leaky", input_shape, num_classes, blocks.leaky_relu(alpha))
