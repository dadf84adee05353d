"""Where the variance of each variable lies: levels, explained and residual parts, ICC.

With Cov_w and Cov_b the covariance matrices of the parts of a variable (see posterior.levels;
covariates contribute what they do in the data),

    ICC(1) = Cov_b / (Cov_b + Cov_w)             share of variance between clusters
    ICC(2) = Cov_b / (Cov_b + Cov_w / n)         reliability of the observed cluster means

with n the harmonic mean of the cluster sizes.

Outcomes that are not normal: of their latent responses, whose fixed residual variance (1 for
probit, pi^2 / 3 for logit) is part of Cov_w; of counts on the scale of the log rate, with the
variance of their distribution there (posterior.count_variance). ICC(2) is then that of means of the
latent responses, which are not observed.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bayes_msem.posterior.levels import Level, Levels, between_parts

__all__ = ["average_size", "intraclass_correlations", "variance_parts"]

FloatArray = NDArray[np.float64]


def average_size(levels: Levels) -> float:
    """Harmonic mean of the cluster sizes."""
    return float(1.0 / np.mean(1.0 / levels.blueprint.observed.sizes))


def intraclass_correlations(levels: Levels, size: float = 1.0) -> dict[str, FloatArray]:
    """ICC of every split variable, (n,).

    Parameters
    ----------
    levels
        A two-level model, n draws.
    size
        1: ICC(1). Otherwise the reliability of the mean of so many rows, ICC(2).
    """
    split = levels.blueprint.observed.split_names
    between = np.einsum("nii->ni", between_parts(levels))
    within = levels.within.variance[:, levels.within.index(split)]
    with np.errstate(divide="ignore", invalid="ignore"):
        icc = between / (between + within / size)
    return dict(zip(split, icc.T, strict=True))


def variance_parts(level: Level) -> dict[tuple[str, str], FloatArray]:
    """Explained, residual and total variance of every variable of a level.

    Returns
    -------
    dict
        (variable, part) -> (n,) array; variables that nothing points at have the total only.
    """
    points_at = (level.b != 0).any(axis=(0, 2)) | (level.k[:, :, 1:] != 0).any(axis=(0, 2))
    result: dict[tuple[str, str], FloatArray] = {}
    for i, name in enumerate(level.names):
        total, residual = level.variance[:, i], level.psi[:, i, i]
        if points_at[i]:
            result[name, "explained"] = total - residual
            result[name, "residual"] = residual
        result[name, "total"] = total
    return result
