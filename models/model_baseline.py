"""Baseline network of Han et al. with ReLU activations (thesis, section 4.1.3)."""

import keras

from models import blocks


def get_model(input_shape: tuple[int, int, int], num_classes: int) -> keras.Model:
    """Build the network; 1,446,123 parameters for 11 labels and one channel.

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
    return blocks.single_branch("model_baseline", input_shape, num_classes, blocks.relu)
