"""Class weights, so that each class counts equally however many patches it has."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from instrec.errors import InputError

if TYPE_CHECKING:
    import pandas as pd


def distribution(class_id: np.ndarray, labels: Sequence[str]) -> "pd.DataFrame":
    """Count the patches of each label.

    Parameters
    ----------
    class_id : np.ndarray [shape=(patches,)]
        Label of each patch, as an index into `labels`.
    labels : sequence of str
        The label set.

    Returns
    -------
    pandas.DataFrame
        Index `label`, column `patches`.
    """
    import pandas as pd

    counts = np.bincount(class_id, minlength=len(labels))
    return pd.DataFrame({"patches": counts}, index=pd.Index(labels, name="label"))


def class_weights(
    data_dist: "pd.DataFrame | None", labels: Sequence[str]
) -> dict[int, float] | None:
    """Weight classes by the inverse of their number of patches; the mean over patches is 1.

    Parameters
    ----------
    data_dist : pandas.DataFrame or None
        From `distribution`; None weights all classes equally.
    labels : sequence of str
        The label set.

    Returns
    -------
    dict of int to float, or None
        Keyed by index in the label set, as Keras expects.

    Raises
    ------
    InputError
        If a label has no patches.
    """
    if data_dist is None:
        return None
    patches = data_dist["patches"].reindex(list(labels)).fillna(0)
    if (patches == 0).any():
        raise InputError(f"no training patches have the label {patches.idxmin()}: no weights")
    weights = patches.sum() / (len(patches) * patches)
    return {i: float(weight) for i, weight in enumerate(weights)}
