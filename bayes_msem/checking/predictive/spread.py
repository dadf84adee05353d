"""Statistics of data alone: shapes of distributions, and how much clusters differ.

They compare data with replicates; none needs the model. With deviations from cluster means inside
cluster j (and after the pooled regression on the covariates, for residuals r), n_j rows, N rows in
J clusters:

ICC                 s_B / (s_B + MS_W), s_B = (MS_B - MS_W) / n*, see data.describe; may be negative
slope variance      (Q - (J - 1) s^2) / (sum S_j - sum S_j^2 / sum S_j), the moment estimate of the
                    variance of the clusters' slopes of y on x, after DerSimonian & Laird (1986),
                    with Q = sum_j (S_j^xr)^2 / S_j and S_j the sum of squares of x in cluster j;
                    may be negative
variance spread     mean over clusters of (n_j - 1) / 2 (s_j^2 / s^2 - 1)^2: about 1 if clusters
                    have the same residual variance and residuals are normal
covariance spread   mean over clusters of (n_j - 1) / 2 tr (S^-1 S_j - I)^2, about p (p + 1) / 2

References
----------
DerSimonian, R., & Laird, N. (1986). Meta-analysis in clinical trials. Controlled Clinical Trials,
7(3), 177-188. https://doi.org/10.1016/0197-2456(86)90046-2
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bayes_msem.checking.predictive.design import Design
from bayes_msem.checking.predictive.reduced_data import Sample

FloatArray = NDArray[np.float64]


def skewness(columns: FloatArray) -> FloatArray:
    """Skewness m_3 / m_2^(3/2) of every column."""
    centred = columns - columns.mean(axis=0)
    square = centred * centred
    with np.errstate(invalid="ignore", divide="ignore"):
        result: FloatArray = (square * centred).mean(axis=0) / square.mean(axis=0) ** 1.5
    return result


def kurtosis(columns: FloatArray) -> FloatArray:
    """Excess kurtosis m_4 / m_2^2 - 3 of every column."""
    centred = columns - columns.mean(axis=0)
    square = centred * centred
    with np.errstate(invalid="ignore", divide="ignore"):
        result: FloatArray = (square**2).mean(axis=0) / square.mean(axis=0) ** 2 - 3.0
    return result


def intraclass(sample: Sample) -> FloatArray:
    """ANOVA estimate of the ICC of every split variable."""
    design = sample.design
    names = design.observed.y_names
    split = [names.index(name) for name in design.observed.split_names]
    n, j, sizes = design.n_rows, design.n_clusters, design.sizes[:, None]
    means = sample.cluster_means[:, split]
    grand = (sizes * means).sum(axis=0) / n
    within = (sample.deviations[:, split] ** 2).sum(axis=0) / (n - j)
    between = (sizes * (means - grand) ** 2).sum(axis=0) / (j - 1)
    size = (n - (sizes**2).sum() / n) / (j - 1)
    variance = (between - within) / size
    result: FloatArray = variance / (variance + within)
    return result


def slope_variance(design: Design, x: FloatArray, residuals: FloatArray) -> FloatArray:
    """Moment estimate of the variance of clusters' slopes on x (N,), per column (N, k)."""
    sizes = design.sums(x * x)
    moving = sizes > 1e-12 * sizes.max()
    products = design.sums(x[:, None] * residuals)[moving]
    sizes, j = sizes[moving], int(moving.sum())
    noise = (residuals**2).sum(axis=0) / (design.n_rows - design.n_clusters)
    excess = (products**2 / sizes[:, None]).sum(axis=0) - (j - 1) * noise
    result: FloatArray = excess / (sizes.sum() - (sizes**2).sum() / sizes.sum())
    return result


def slope_variances(sample: Sample) -> FloatArray:
    """Slopes of all outcomes on all covariates that vary inside clusters, then on outcomes."""
    return np.concatenate([_covariate_slopes(sample), _outcome_slopes(sample)])


def _covariate_slopes(sample: Sample) -> FloatArray:
    design = sample.design
    parts = [slope_variance(design, design.x_swept[:, i], sample.residuals)
             for i in design.x_moving]  # fmt: skip
    return np.concatenate(parts) if parts else np.empty(0)


def _outcome_slopes(sample: Sample) -> FloatArray:
    variances = []
    for outcome, predictor in sample.design.outcome_slopes:
        x, y = sample.residuals[:, predictor], sample.residuals[:, outcome]
        rest = y - x * ((x @ y) / (x @ x))
        variances.append(slope_variance(sample.design, x, rest[:, None])[0])
    return np.array(variances)


def variance_spread(sample: Sample) -> FloatArray:
    """How much the clusters' residual variances differ, per outcome."""
    design = sample.design
    df = design.sizes - 1.0
    squares = sample.residuals**2
    pooled = squares.sum(axis=0) / df.sum()
    own = design.sums(squares)[df > 0] / df[df > 0, None]
    ratio = own / pooled - 1.0
    result: FloatArray = (df[df > 0, None] * ratio**2 / 2.0).mean(axis=0)
    return result


def covariance_spread(sample: Sample) -> float:
    """How much the clusters' residual covariance matrices differ."""
    design, r = sample.design, sample.residuals
    df = design.sizes - 1.0
    root = np.linalg.cholesky(r.T @ r / df.sum())
    white = np.linalg.solve(root, r.T).T
    own = design.sums(white[:, :, None] * white[:, None, :])[df > 0]
    own = own / df[df > 0, None, None] - np.eye(r.shape[1])
    return float((df[df > 0] * (own**2).sum(axis=(1, 2)) / 2.0).mean())
