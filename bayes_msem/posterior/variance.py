"""Where the variance of each variable lies: levels, explained and residual parts, ICC.

With Cov_w and Cov_b the covariance matrices of the parts of a variable (see posterior.levels;
covariates contribute what they do in the data),

    ICC(1) = Cov_b / (Cov_b + Cov_w)             share of variance between clusters
    ICC(2) = Cov_b / (Cov_b + Cov_w / n)         reliability of the observed cluster means

with n the harmonic mean of the cluster sizes.

With three levels, each level has its share, Cov_level / (sum over all levels): two rows of a
cluster correlate by the sum of the shares of levels 2 and 3, two clusters of a top unit by that of
level 3.

Outcomes that are not normal: of their latent responses, whose fixed residual variance (1 for
probit, pi^2 / 3 for logit) is part of Cov_w; of counts on the scale of the log rate, with the
variance of their distribution there (posterior.count_variance). ICC(2) is then that of means of the
latent responses, which are not observed.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bayes_msem.posterior.levels import Level, Levels, between_parts, top_parts

__all__ = ["average_size", "intraclass_correlations", "shares_of_levels", "variance_parts"]

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


def shares_of_levels(levels: Levels) -> dict[tuple[str, str], FloatArray]:
    """Shares of variance at the levels above within of a three-level model.

    Returns
    -------
    dict
        (level, variable) -> (n,) array: variance at the level over the sum of those of all levels
        at which the variable stands. Variables of level 2 are those with a part at level 3.
    """
    observed, between, top = levels.blueprint.observed, levels.between, levels.top
    assert between is not None
    assert top is not None
    split = observed.split_names
    tops = tuple(v for v in (*split, *observed.z_names) if v in observed.top_split_names)
    third = dict(zip(tops, top_parts(levels, tops).T, strict=True)) if tops else {}
    second = dict(zip(split, np.einsum("nii->ni", between_parts(levels)).T, strict=True))
    found: dict[tuple[str, str], FloatArray] = {}
    with np.errstate(divide="ignore", invalid="ignore"):
        for name in split:
            above = third.get(name, np.zeros(len(between.b)))
            whole = levels.within.variance[:, levels.within.names.index(name)]
            whole = whole + second[name] + above
            found[between.level, name] = second[name] / whole
            if name in third:
                found[top.level, name] = above / whole
        for name in (v for v in tops if v not in split):
            own = between.variance[:, between.names.index(name)]
            found[top.level, name] = third[name] / (own + third[name])
    return found


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
