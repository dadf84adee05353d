"""Sums of squares and products within and between clusters: the two-way split of a total.

With clusters j of size n_j, N rows, J clusters and centred columns, for each pair of variables

    S_W = sum_ij (y_ij - ybar_j)(y_ij - ybar_j)' / (N - J)           pooled within
    S_B = sum_j n_j (ybar_j - ybar)(ybar_j - ybar)' / (J - 1)        between, in the scale of rows
    n*  = (N - sum_j n_j^2 / N) / (J - 1)                            E(S_B) = S_W + n* Sigma_B
    Sigma_B = (S_B - S_W) / n*

S_W and Sigma_B are unbiased estimates of the covariance matrices of the two levels; in balanced
data S_W and S_B are sufficient for them. Sigma_B may have negative variances: they say that
clusters differ by no more than chance.

Cronbach (1976) and Härnqvist (1978) divide both sums of products by the roots of the total sums of
squares of the two variables, T = (N - J) S_W + (J - 1) S_B,

    P_W = (N - J) S_W / sqrt(T_11 T_22)   P_B = (J - 1) S_B / sqrt(T_11 T_22)   P_W + P_B = R_total

so that the diagonal of P_B is eta squared, the share of the variance that is between the observed
cluster means. It holds what rows add to these means by chance, and is larger than ICC(1).

Missing values. Every pair of variables uses the rows in which both are present, and the clusters
that have such rows (pairwise deletion).

References
----------
Cronbach, L. J. (1976). Research on classrooms and schools: Formulation of questions, design and
analysis. Stanford Evaluation Consortium.

Härnqvist, K. (1978). Primary mental abilities at collective and individual levels. Journal of
Educational Psychology, 70(5), 706-716. https://doi.org/10.1037/0022-0663.70.5.706
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["anova_components", "cluster_counts", "reliability_of_means", "shares_of_total"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_NEGLIGIBLE = 1e-9  # relative


def anova_components(
    first: FloatArray, second: FloatArray, codes: IntArray
) -> tuple[float, float, float]:
    """S_W, S_B and Sigma_B of a pair, from the rows in which both are present."""
    present = ~(np.isnan(first) | np.isnan(second))
    n, j, _, star = cluster_counts(codes[present])
    if j < 2 or n <= j:
        return np.nan, np.nan, np.nan
    deviations, means, within_sizes = [], [], np.bincount(codes[present])
    for values in (first[present], second[present]):
        centred = values - values.mean()
        with np.errstate(invalid="ignore"):
            mean = np.bincount(codes[present], weights=centred) / within_sizes
        # a cluster mean that was subtracted leaves sums of rounding size, which are no variation
        scale = _NEGLIGIBLE * np.abs(centred).max()
        means.append(_snapped(np.nan_to_num(mean), scale))
        deviations.append(_snapped(centred - mean[codes[present]], scale))
    within = float(deviations[0] @ deviations[1]) / (n - j)
    between = float((within_sizes * means[0]) @ means[1]) / (j - 1)
    return within, between, (between - within) / star


def _snapped(values: FloatArray, scale: float) -> FloatArray:
    return values if np.abs(values).max() > scale else np.zeros_like(values)


def cluster_counts(codes: IntArray) -> tuple[int, int, float, float]:
    """N, J, sum n_j^2 / N, and n*, of the clusters that have rows."""
    sizes = np.bincount(codes)
    n, j = int(sizes.sum()), int((sizes > 0).sum())
    if j < 2:
        return n, j, np.nan, np.nan
    weighted = float((sizes.astype(np.float64) ** 2).sum() / n)
    return n, j, weighted, (n - weighted) / (j - 1)


def reliability_of_means(within: float, between: float) -> float:
    """ICC(2) from S_W and S_B of a variable; NaN where all cluster means are equal."""
    return 1.0 - within / between if between > 0 else np.nan


def shares_of_total(first: FloatArray, second: FloatArray, codes: IntArray) -> tuple[float, float]:
    """P_W and P_B of a pair, from the rows in which both are present; NaN for a constant."""
    present = ~(np.isnan(first) | np.isnan(second))
    first, second, codes = first[present], second[present], codes[present]
    n, j, _, _ = cluster_counts(codes)
    pairs = ((first, second), (first, first), (second, second))
    sums = np.array([anova_components(*pair, codes)[:2] for pair in pairs]) * (n - j, j - 1)
    total = sums[1:].sum(axis=1)
    if not np.isfinite(total).all() or not total.all():
        return np.nan, np.nan
    within, between = sums[0] / np.sqrt(total).prod()
    return float(within), float(between)
