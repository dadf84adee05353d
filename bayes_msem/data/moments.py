r"""Sufficient statistics of models with random intercepts.

Write s = (y, z, 1, x, w) for all variables of a row, centred at ``center``; the constant 1 stays
a 1. Its first P = p + q entries are modelled, the other D = 1 + kx + kw are conditioned on.
With C the (P, D) mean coefficients, r = [I, -C] s is the residual. A cluster of size n has rows
with covariance Sigma_b + Sigma_w and covariance Sigma_b between rows, and

    |I_n (x) Sigma_w + 1 1' (x) Sigma_b| = |Sigma_w|^(n-1) n^p |Sigma_b + Sigma_w / n|

so the log-likelihood splits into one pooled within part and the cluster means, which differ in
their covariance only by cluster size:

    log L = constant + sum_g -1/2 [ weight_g (P_g log 2 pi + log|S_g|) + tr(S_g^-1 E_g) ]
    S_g   = between_g Sigma_b + within_g Sigma_w
    E_g   = [I, -C] cross_g [I, -C]'

=====================  ======  =======  ======  ===========================================  ===
group                  weight  between  within  cross                                        P_g
=====================  ======  =======  ======  ===========================================  ===
pooled within (first)  N - J   0        1       sum over rows of (s - sbar_j)(s - sbar_j)'   p
clusters of size n     J_n     1        1 / n   sum over these clusters of sbar_j sbar_j'    P
single-level (alone)   N       0        1       sum over rows of s s'                        p
=====================  ======  =======  ======  ===========================================  ===

The two-level ``constant`` is -(p/2) sum_j log n_j. Invariants: z, 1 and w do not vary inside
clusters, so their rows and columns of the pooled cross products are exactly 0; nothing depends
on the order of rows or clusters; the cost of a likelihood depends on the number of distinct
cluster sizes, neither on N nor on J.

References
----------
McDonald, R. P., & Goldstein, H. (1989). Balanced versus unbalanced designs for linear
structural relations in two-level data. British Journal of Mathematical and Statistical
Psychology, 42(2), 215-232. https://doi.org/10.1111/j.2044-8317.1989.tb00911.x
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bayes_msem.data.observed_data import ObservedData
from bayes_msem.data.readonly import ReadOnlyArrays, frozen

__all__ = ["Moments", "moments"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Moments(ReadOnlyArrays):
    """Cross products per group of equal covariance; every array is read-only.

    Parameters
    ----------
    weight
        Number of independent residual vectors in each group, (G,).
    between, within
        Multipliers of Sigma_b and Sigma_w in the covariance of each group, (G,).
    cross
        Centred sums of products of (y, z, 1, x, w), (G, P + D, P + D), symmetric.
    center
        What was subtracted from (y, z, 1, x, w), (P + D,): means over rows for y and x, over
        clusters for z and w, and 0 for the constant.
    constant
        What the log-likelihood has besides the sum over groups.
    p, q, d
        Number of level-1 variables, of cluster-level variables, and of columns conditioned on.
    n_rows, n_clusters
        N and J; J is 0 in single-level models.
    """

    weight: FloatArray
    between: FloatArray
    within: FloatArray
    cross: FloatArray
    center: FloatArray
    constant: float
    p: int
    q: int
    d: int
    n_rows: int
    n_clusters: int


def moments(observed: ObservedData) -> Moments:
    """Compute the sufficient statistics of the marginal likelihood with random intercepts.

    Rows are centred before any product is formed, so variables with a large mean or very
    different scales lose no digits. Memory: one copy of y and x.

    Parameters
    ----------
    observed
        Complete data, as :func:`bayes_msem.data.observe.observe` returns them.

    Returns
    -------
    Moments
        One group in single-level models; otherwise the pooled within group, then one group
        per distinct cluster size, in ascending order of size.
    """
    p, q = observed.y.shape[1], observed.z.shape[1]
    kx, kw = observed.x.shape[1], observed.w.shape[1]
    # Fortran order: column operations below, and NumPy then sums columns pairwise.
    rows = np.empty((observed.n_rows, p + kx), order="F")
    rows[:, :p] = observed.y
    rows[:, p:] = observed.x
    row_center = rows.mean(axis=0)
    rows -= row_center

    size = p + q + 1 + kx + kw
    center = np.zeros(size)
    at_rows = np.r_[0:p, p + q + 1 : p + q + 1 + kx]
    center[at_rows] = row_center
    if observed.cluster is None:
        constant = 0.0
        weight, between, within, cross = _single_level(rows, at_rows, size, p)
    else:
        at_clusters = np.r_[p : p + q, size - kw : size]
        of_clusters = np.hstack([observed.z, observed.w])
        center[at_clusters] = of_clusters.mean(axis=0)
        means = np.ones((observed.n_clusters, size))
        means[:, at_rows] = _sweep_cluster_means(rows, observed.cluster, observed.sizes)
        means[:, at_clusters] = of_clusters - center[at_clusters]
        constant = -0.5 * p * float(np.log(observed.sizes).sum())
        weight, between, within, cross = _two_levels(rows, at_rows, means, observed.sizes)
    return Moments(
        weight=frozen(weight),
        between=frozen(between),
        within=frozen(within),
        cross=frozen(cross),
        center=frozen(center),
        constant=constant,
        p=p,
        q=q,
        d=1 + kx + kw,
        n_rows=observed.n_rows,
        n_clusters=observed.n_clusters,
    )


_Groups = tuple[FloatArray, FloatArray, FloatArray, FloatArray]  # weight, between, within, cross


def _single_level(rows: FloatArray, at_rows: IntArray, size: int, p: int) -> _Groups:
    """Make the one group of single-level data; ``rows`` holds centred (y, x)."""
    cross = _total_cross(rows, at_rows, size, p)[None]
    return np.array([float(len(rows))]), np.zeros(1), np.ones(1), cross


def _two_levels(rows: FloatArray, at_rows: IntArray, means: FloatArray, sizes: IntArray) -> _Groups:
    """Make the groups of two-level data.

    ``rows`` holds deviations of (y, x) from cluster means, ``means`` the centred cluster means of
    all columns.
    """
    pooled = np.zeros((means.shape[1], means.shape[1]))
    pooled[np.ix_(at_rows, at_rows)] = rows.T @ rows
    distinct, counts, by_size = _cross_by_size(means, sizes)
    return (
        np.r_[float(len(rows) - len(means)), counts],
        np.r_[0.0, np.ones(len(distinct))],
        np.r_[1.0, 1.0 / distinct],
        np.concatenate([pooled[None], by_size]),
    )


def _total_cross(rows: FloatArray, at_rows: IntArray, size: int, p: int) -> FloatArray:
    """Return the cross products of (y, 1, x) over all rows; ``rows`` holds centred (y, x)."""
    total = np.zeros((size, size))
    total[np.ix_(at_rows, at_rows)] = rows.T @ rows
    # Centring leaves sums of rounding size only; they are kept, as they belong to `center`.
    total[p, at_rows] = total[at_rows, p] = rows.sum(axis=0)
    total[p, p] = rows.shape[0]
    return total


def _sweep_cluster_means(rows: FloatArray, cluster: IntArray, sizes: IntArray) -> FloatArray:
    """Return the cluster means of the columns of ``rows``, and subtract them in place."""
    means = np.empty((len(sizes), rows.shape[1]))
    for k in range(rows.shape[1]):
        means[:, k] = np.bincount(cluster, weights=rows[:, k], minlength=len(sizes)) / sizes
        rows[:, k] -= means[cluster, k]
    return means


def _cross_by_size(means: FloatArray, sizes: IntArray) -> tuple[IntArray, FloatArray, FloatArray]:
    """Return distinct sizes, number of clusters of each, and cross products of their means."""
    distinct, starts, counts = np.unique(np.sort(sizes), return_index=True, return_counts=True)
    ordered = means[np.argsort(sizes, kind="stable")]
    cross = np.empty((len(distinct), means.shape[1], means.shape[1]))
    for g, (start, count) in enumerate(zip(starts, counts, strict=True)):
        block = ordered[start : start + count]
        cross[g] = block.T @ block
    return distinct, counts.astype(np.float64), cross
