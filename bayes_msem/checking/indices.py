r"""Fit indices of every posterior draw (Garnier-Villarreal & Jorgensen, 2020).

With l the marginal log-likelihood, l_sat its maximum under the saturated model, p* the number of
parameters of the saturated model, pD the effective number of parameters of the model, N the number
of independent units and p the number of observed variables, draw i has

    D_i      = 2 [l_sat - l(theta_i)]             discrepancy
    lambda_i = max(0, D_i - p*)                   noncentrality: D_i - p* = (D_i - pD) - (p* - pD)

    RMSEA    = sqrt(lambda_i / ((p* - pD) N))
    Gamma    = p / (p + 2 lambda_i / N)
    adjusted = 1 - p* / (p* - pD) (1 - Gamma)
    Mc       = exp(-lambda_i / (2 N))

and with the same quantities of a null model (subscript 0), whose draws are paired with those of the
model,

    CFI      = 1 - lambda_i / lambda_0i
    TLI      = (t_0i - t_i) / (t_0i - 1),   t_i = (D_i - pD) / (p* - pD)
    NFI      = 1 - (D_i - pD) / (D_0i - pD_0)

Why D_i - p*: if the model holds, the deviance at the posterior mean has about p* - pD more than the
saturated model's, and a draw lies pD above that; so p* is what a draw of a true model is expected
to have. lambda is truncated at 0, so no index is better than perfect (TLI and NFI may be: they do
not use lambda).

SRMR of one level: with S and Sigma_i the covariance matrices of the level under the saturated model
and at the draw, of all observed variables of the level, covariates included,

    SRMR = sqrt(mean over a >= b of ((S_ab - Sigma_ab) / sqrt(S_aa S_bb))^2) .

References
----------
Garnier-Villarreal, M., & Jorgensen, T. D. (2020). Adapting fit indices for Bayesian structural
equation modeling: Comparison to maximum likelihood. Psychological Methods, 25(1), 46-70.
https://doi.org/10.1037/met0000224
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayes_msem.build.blueprint import Blueprint
from bayes_msem.build.mode import likelihood_at
from bayes_msem.checking.saturated import LevelName, Saturated, level_outcomes
from bayes_msem.data.observe import ObservedData, columns_of
from bayes_msem.posterior.draws import sampled_parameters
from bayes_msem.posterior.levels import Level, levels_at

__all__ = [
    "Comparison",
    "Discrepancy",
    "absolute_indices",
    "dic_parameters",
    "discrepancies",
    "incremental_indices",
    "n_units",
    "paired",
    "srmr_draws",
]

FloatArray = NDArray[np.float64]

_CHUNK = 500  # draws whose matrices are held at once
_LEAST_DF = 0.5  # of p* - pD; one restriction leaves about 1, Monte Carlo error included
_NO_VARIANCE = 1e-6  # share of the total variance, below which a level has none


@dataclass(frozen=True, slots=True, eq=False)
class Discrepancy:
    """How far a model is from the saturated one, per draw.

    Attributes
    ----------
    draws
        D, (chain, draw).
    at_mean
        D at the posterior mean of the sampled parameters.
    """

    draws: FloatArray
    at_mean: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """What the indices of one level are computed with.

    Attributes
    ----------
    n
        Independent units N.
    n_variables
        Observed variables p, covariates included.
    n_moments
        Parameters of the saturated model p*.
    n_moments_here
        Those of the level in question; p* for the whole model.
    p_d
        Effective parameters of the model.
    p_d_null
        Effective parameters of the null model; NaN without one.
    """

    n: int
    n_variables: int
    n_moments: int
    n_moments_here: int
    p_d: float
    p_d_null: float = float("nan")

    @property
    def df(self) -> float:
        """Expected complexity that is left: p* - pD."""
        return self.n_moments - self.p_d

    @property
    def restricts(self) -> bool:
        """Whether the model restricts anything, so that there is something to evaluate."""
        return self.df >= _LEAST_DF


def discrepancies(
    blueprint: Blueprint, posterior: xr.Dataset, log_likelihood_saturated: float
) -> Discrepancy:
    """Compute the discrepancy at every draw.

    Parameters
    ----------
    blueprint
        A model without sampled effects.
    posterior
        Its draws.
    log_likelihood_saturated
        l_sat.
    """
    x = sampled_parameters(blueprint, posterior)
    theta = blueprint.theta(x.reshape(-1, x.shape[-1]))
    values = np.array([likelihood_at(blueprint, row) for row in theta])
    mean = blueprint.theta(x.mean(axis=(0, 1))[None, :])[0]
    return Discrepancy(
        draws=2.0 * (log_likelihood_saturated - values.reshape(x.shape[:2])),
        at_mean=2.0 * (log_likelihood_saturated - likelihood_at(blueprint, mean)),
    )


def dic_parameters(discrepancy: Discrepancy) -> float:
    """Effective parameters of the DIC: mean deviance less deviance at the posterior mean."""
    return float(discrepancy.draws.mean()) - discrepancy.at_mean


def n_units(observed: ObservedData) -> tuple[int, int]:
    """Rows that say something, and the clusters they and cluster-level variables lie in."""
    rows = observed.informative
    if observed.cluster is None:
        return int(rows.sum()), 0
    present = (
        ~np.isnan(observed.z).all(axis=1)
        if observed.z_names
        else np.zeros(observed.n_clusters, dtype=bool)
    )
    present[observed.cluster[rows]] = True
    return int(rows.sum()), int(present.sum())


def absolute_indices(draws: FloatArray, comparison: Comparison) -> dict[str, FloatArray]:
    """RMSEA, Gamma-hat, adjusted Gamma-hat and Mc of every draw.

    Parameters
    ----------
    draws
        Discrepancies D of the model.
    comparison
        N, p, p* and pD.

    Returns
    -------
    dict
        Name -> array like ``draws``.
    """
    c = comparison
    noncentrality = np.maximum(draws - c.n_moments, 0.0)
    gamma = c.n_variables / (c.n_variables + 2.0 * noncentrality / c.n)
    return {
        "RMSEA": np.sqrt(noncentrality / (c.df * c.n)),
        "Gamma-hat": gamma,
        "adjusted Gamma-hat": 1.0 - c.n_moments_here / c.df * (1.0 - gamma),
        "Mc": np.exp(-noncentrality / (2.0 * c.n)),
    }


def incremental_indices(
    draws: FloatArray, null_draws: FloatArray, comparison: Comparison
) -> dict[str, FloatArray]:
    """CFI, TLI and NFI of every draw.

    Parameters
    ----------
    draws, null_draws
        Discrepancies D of the model and of the null model, of one shape.
    comparison
        p*, pD and pD of the null model.

    Returns
    -------
    dict
        Name -> array like ``draws``; empty if the null model fits as well as the saturated one in
        some draw, for then there is nothing to divide by.
    """
    c = comparison
    noncentrality = np.maximum(draws - c.n_moments, 0.0)
    null_noncentrality = null_draws - c.n_moments
    chisq, null_chisq = draws - c.p_d, null_draws - c.p_d_null
    null_ratio = null_chisq / (c.n_moments - c.p_d_null)
    if (null_noncentrality <= 0).any() or (null_ratio <= 1).any():
        return {}
    return {
        "CFI": 1.0 - noncentrality / null_noncentrality,
        "TLI": (null_ratio - chisq / c.df) / (null_ratio - 1.0),
        "NFI": 1.0 - chisq / null_chisq,
    }


def paired(draws: FloatArray, shape: tuple[int, ...]) -> FloatArray:
    """Bring draws of another fit to the shape (chain, draw): evenly thinned, or repeated."""
    if draws.shape == shape:
        return draws
    n = int(np.prod(shape))
    if draws.size >= n:
        chosen = np.linspace(0, draws.size - 1, n).round().astype(np.int64)
        return draws.ravel()[chosen].reshape(shape)
    return np.resize(draws.ravel(), shape)


def srmr_draws(
    blueprint: Blueprint, posterior: xr.Dataset, saturated: Saturated, level: LevelName
) -> FloatArray | None:
    """SRMR of one level at every draw, (chain, draw).

    Returns
    -------
    array or None
        None if a variable has no variance at this level under the saturated model: there is
        nothing to standardise by.
    """
    h1 = _joint_covariance(saturated.blueprint, saturated.theta[None, :], level)[0]
    variances = np.diag(h1)
    if (variances <= _NO_VARIANCE * _total_variances(saturated, level)).any():
        return None
    sd, lower = np.sqrt(variances), np.tril_indices(len(h1))
    x = sampled_parameters(blueprint, posterior)
    theta = blueprint.theta(x.reshape(-1, x.shape[-1]))
    result = []
    for first in range(0, len(theta), _CHUNK):
        implied = _joint_covariance(blueprint, theta[first : first + _CHUNK], level)
        residual = (h1 - implied) / np.outer(sd, sd)
        result.append(np.sqrt((residual[:, lower[0], lower[1]] ** 2).mean(axis=1)))
    return np.concatenate(result).reshape(x.shape[:2])


def _joint_covariance(blueprint: Blueprint, theta: FloatArray, name: LevelName) -> FloatArray:
    """Covariances of outcomes and covariates of a level, (n, k, k); the same order for all models.

    Names are sorted: models of the same data list their variables in different orders.
    """
    observed = blueprint.observed
    levels = levels_at(blueprint, theta)
    level = levels.within if name == "within" else levels.between
    assert level is not None
    names = sorted(level_outcomes(observed, name))
    covariates = sorted(observed.x_names if name == "within" else observed.w_names)
    at = level.index(tuple(names))
    own = level.covariance[:, at][:, :, at]
    if not covariates:
        return own
    return _with_covariates(level, at, own, [level.design.index(v) for v in covariates])


def _with_covariates(
    level: Level, at: list[int], own: FloatArray, columns: list[int]
) -> FloatArray:
    cross = (level.total @ level.k @ level.design_covariance)[:, at][:, :, columns]
    moments = level.design_covariance[np.ix_(columns, columns)]
    p = len(at)
    joint = np.empty((len(own), p + len(columns), p + len(columns)))
    joint[:, :p, :p], joint[:, :p, p:] = own, cross
    joint[:, p:, :p], joint[:, p:, p:] = cross.transpose(0, 2, 1), moments
    return joint


def _total_variances(saturated: Saturated, level: LevelName) -> FloatArray:
    """Variances of the variables of :func:`_joint_covariance` over all rows."""
    observed = saturated.blueprint.observed
    columns = columns_of(observed, observed.y, observed.z)
    covariates = observed.x_names if level == "within" else observed.w_names
    names = [*sorted(level_outcomes(observed, level)), *sorted(covariates)]
    return np.array([np.nanvar(columns[name]) for name in names])
