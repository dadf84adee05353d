"""Variance components of three levels by sums of squares: rows, clusters, top units.

With rows i in clusters j of size n_j in top units k with n_k rows, J clusters, K top units, N rows,

    MS_1 = sum_ij (y - ybar_j)^2 / (N - J)             E MS_1 = s_1
    MS_2 = sum_j n_j (ybar_j - ybar_k)^2 / (J - K)     E MS_2 = s_1 + a s_2
    MS_3 = sum_k n_k (ybar_k - ybar)^2 / (K - 1)       E MS_3 = s_1 + b s_2 + c s_3

    a = (N - sum_k S_k) / (J - K) ,  b = (sum_k S_k - sum_j n_j^2 / N) / (K - 1) ,
    c = (N - sum_k n_k^2 / N) / (K - 1) ,   S_k = sum_{j in k} n_j^2 / n_k

where ybar_k is the mean of the rows of unit k. Solved for s, these are unbiased, and may be
negative (Searle, Casella & McCulloch 1992, section 3.3). Missing values are left out, with clusters
and top units that have none left. Where there is nothing to compare, a component is NaN.

References
----------
Searle, S. R., Casella, G., & McCulloch, C. E. (1992). Variance components. Wiley.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["nested_components"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


def nested_components(
    values: FloatArray, cluster: IntArray, parent: IntArray
) -> tuple[float, float, float]:
    """Variances of rows, of clusters and of top units.

    Parameters
    ----------
    values
        Values of one variable, (N,); NaN where missing.
    cluster
        Cluster of each row, (N,).
    parent
        Top unit of each cluster, (J,).

    Returns
    -------
    tuple of float
        s_1, s_2 and s_3.

    Examples
    --------
    >>> y = np.array([1.0, 3.0, 5.0, 7.0, 2.0, 2.0, 8.0, 8.0])
    >>> cluster, parent = np.repeat(np.arange(4), 2), np.array([0, 0, 1, 1])
    >>> [round(s, 6) for s in nested_components(y, cluster, parent)]
    [1.0, 12.5, -6.0]
    """
    seen = ~np.isnan(values)
    present, codes = np.unique(cluster[seen], return_inverse=True)
    if not len(present):
        return np.nan, np.nan, np.nan
    units, above = np.unique(parent[present], return_inverse=True)
    y = values[seen] - values[seen].mean()
    n, j, k = len(y), len(present), len(units)
    size = np.bincount(codes).astype(float)
    held = np.bincount(above, weights=size)
    means = np.bincount(codes, weights=y) / size
    tops = np.bincount(above, weights=size * means) / held
    inner = y - means[codes]
    shares = np.bincount(above, weights=size**2) / held
    first = float(inner @ inner) / (n - j) if n > j else np.nan
    second = third = np.nan
    between = float((size * (means - tops[above]) ** 2).sum())
    if j > k:
        second = (between / (j - k) - first) / ((n - shares.sum()) / (j - k))
    if k > 1:
        mean_square = float((held * (tops - y.mean()) ** 2).sum()) / (k - 1)
        b = (shares.sum() - (size**2).sum() / n) / (k - 1)
        third = (mean_square - first - b * second) / ((n - (held**2).sum() / n) / (k - 1))
    return float(first), float(second), float(third)
