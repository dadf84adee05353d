"""Cluster means of a column, and the deviations from them.

Missing values are left out before; clusters without any value have no mean.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["cluster_means", "within_and_between"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


def cluster_means(values: FloatArray, codes: IntArray, n_clusters: int) -> FloatArray:
    """Return the mean of ``values`` in every cluster, (J,); NaN where there is no value."""
    counts = np.bincount(codes, minlength=n_clusters)
    sums = np.bincount(codes, weights=values, minlength=n_clusters)
    with np.errstate(invalid="ignore"):
        means: FloatArray = sums / counts
    return means


def within_and_between(
    values: FloatArray, codes: IntArray
) -> tuple[FloatArray, FloatArray, IntArray]:
    """Split a column into cluster means and deviations from them.

    The column is centred first: sums of squares of a variable with a large mean would lose digits.

    Parameters
    ----------
    values
        Observed values, (n,).
    codes
        Clusters of these values, (n,).

    Returns
    -------
    means
        Means of the clusters that have values, around the mean of the column.
    deviations
        Deviation of each value from the mean of its cluster, (n,).
    sizes
        Number of values in each of these clusters.
    """
    centred = values - values.mean()
    sizes = np.bincount(codes)
    means = cluster_means(centred, codes, len(sizes))
    present = sizes > 0
    return means[present], centred - means[codes], sizes[present]
