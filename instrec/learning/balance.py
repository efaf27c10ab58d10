"""Weights of the classes, so that each counts alike whatever its number of patches."""

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
        Label of each patch, as its place in `labels`.
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
        Of `distribution`; None weights all alike.
    labels : sequence of str
        The label set.

    Returns
    -------
    dict of int to float, or None
        By place in the label set, as Keras takes it.

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
