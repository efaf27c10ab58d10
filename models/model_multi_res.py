"""Network for spectrograms of three resolutions, stacked as channels (thesis 5.6.3, Fig. 5.17)."""

import keras

from models import blocks


def get_model(input_shape: tuple[int, int, int], num_classes: int) -> keras.Model:
    """Build the network: the baseline with ReLU, on three channels.

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
    return blocks.single_branch("model_multi_res", input_shape, num_classes, blocks.relu)
