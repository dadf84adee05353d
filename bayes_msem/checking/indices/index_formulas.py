r"""Fit indices of every posterior draw (Garnier-Villarreal & Jorgensen, 2020).

With l the marginal log-likelihood, l_sat its maximum under the saturated model, p* the number of
parameters of the saturated model, pD the effective number of parameters of the model, N the number
of independent units and p the number of observed variables, draw i has

    D_i      = 2 [l_sat - l(theta_i)]             discrepancy
    lambda_i = max(0, D_i - E)                    noncentrality, E = p*
    df       = pD_sat - pD                        expected complexity left, pD_sat = p*

    RMSEA    = sqrt(lambda_i / (df N))
    Gamma    = p / (p + 2 lambda_i / N)
    adjusted = 1 - p* / df (1 - Gamma)
    Mc       = exp(-lambda_i / (2 N))

and with the same quantities of a null model (subscript 0), whose draws are paired with those of the
model,

    chi_i    = D_i - E + df                       = D_i - pD
    CFI      = 1 - lambda_i / lambda_0i
    TLI      = (chi_0i / df_0 - chi_i / df) / (chi_0i / df_0 - 1)
    NFI      = 1 - chi_i / chi_0i

Why E = p*: if the model holds, the deviance at the posterior mean has about p* - pD more than the
saturated model's, and a draw lies pD above that; so p* is what a draw of a true model is expected
to have. lambda is truncated at 0, so no index is better than perfect, except TLI and NFI, which do
not use it.

One level, the other saturated (Ryu & West, 2009). A saturated level has a prior and a posterior
too. Within clusters it follows the data, and E = pD_sat = p*. Between few clusters it does not: its
draws lie further from the maximum than its number of parameters, and fewer of them are effective.
That is neither misfit nor complexity of level within. So for level within, E is the posterior mean
of D under the model that is saturated at both levels, and pD_sat its effective number of
parameters; with many clusters both are p*.

SRMR of one level: with S and Sigma_i the covariance matrices of the level under the saturated model
and at the draw, of all observed variables of the level, covariates included,

    SRMR = sqrt(mean over a >= b of ((S_ab - Sigma_ab) / sqrt(S_aa S_bb))^2) .

References
----------
Garnier-Villarreal, M., & Jorgensen, T. D. (2020). Adapting fit indices for Bayesian structural
equation modeling: Comparison to maximum likelihood. Psychological Methods, 25(1), 46-70.
https://doi.org/10.1037/met0000224

Ryu, E., & West, S. G. (2009). Level-specific evaluation of model fit in multilevel structural
equation modeling. Structural Equation Modeling, 16(4), 583-601.
https://doi.org/10.1080/10705510902751259
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayes_msem.blueprint.blueprint import Blueprint
from bayes_msem.checking.indices.saturated import LevelName, Saturated, level_outcomes
from bayes_msem.data.observed_data import ObservedData, columns_of
from bayes_msem.inference.mode import likelihood_at
from bayes_msem.posterior.draws import sampled_parameters
from bayes_msem.posterior.levels import Level, levels_at

__all__ = [
    "Comparison",
    "Discrepancy",
    "absolute_indices",
    "dic_parameters",
    "discrepancies",
    "incremental_indices",
    "joint_covariance",
    "n_units",
    "paired",
    "srmr",
    "srmr_draws",
]

FloatArray = NDArray[np.float64]

_CHUNK = 500  # draws whose matrices are held at once
# Least pD_sat - pD. One restriction leaves about 1, give or take the Monte Carlo error of pD. A
# model with as many parameters as the saturated one restricts through priors only, if at all, and
# that error must not pass for a restriction.
_LEAST_DF, _LEAST_DF_OF_PRIORS = 0.5, 2.0
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
    """What the indices of the model, or of one of its levels, are computed with.

    Attributes
    ----------
    n
        Independent units N.
    n_variables
        Observed variables p, covariates included.
    n_moments
        Parameters of the saturated model p*, those of the level for an index of one level.
    p_d
        Effective parameters of the model.
    expected
        E, the discrepancy that draws of a true model have on average: p*, except at level within.
    p_d_saturated
        Effective parameters of the saturated model: p*, except at level within.
    p_d_null
        Effective parameters of the null model; NaN without one.
    """

    n: int
    n_variables: int
    n_moments: int
    p_d: float
    expected: float
    p_d_saturated: float
    p_d_null: float = float("nan")

    @property
    def df(self) -> float:
        """Expected complexity that the model leaves, pD_sat - pD."""
        return self.p_d_saturated - self.p_d

    @property
    def df_null(self) -> float:
        """Expected complexity that the null model leaves."""
        return self.p_d_saturated - self.p_d_null

    def restricts(self, n_parameters: int, n_saturated: int) -> bool:
        """Whether a model restricts anything, so that there is something to evaluate."""
        least = _LEAST_DF if n_parameters < n_saturated else _LEAST_DF_OF_PRIORS
        return self.df >= least


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
        The other ingredients.

    Returns
    -------
    dict
        Name -> array like ``draws``.
    """
    c = comparison
    noncentrality = np.maximum(draws - c.expected, 0.0)
    gamma = c.n_variables / (c.n_variables + 2.0 * noncentrality / c.n)
    return {
        "RMSEA": np.sqrt(noncentrality / (c.df * c.n)),
        "Gamma-hat": gamma,
        "adjusted Gamma-hat": 1.0 - c.n_moments / c.df * (1.0 - gamma),
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
        The other ingredients, those of the null model among them.

    Returns
    -------
    dict
        Name -> array like ``draws``; empty if the null model fits as well as the saturated one in
        some draw, for then there is nothing to divide by.
    """
    c = comparison
    noncentrality = np.maximum(draws - c.expected, 0.0)
    null_noncentrality = null_draws - c.expected
    chisq, null_chisq = draws - c.expected + c.df, null_noncentrality + c.df_null
    null_ratio = null_chisq / c.df_null
    if (null_noncentrality <= 0).any():
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
) -> tuple[FloatArray, float] | None:
    """SRMR of one level at every draw, (chain, draw), and at the posterior mean.

    Returns
    -------
    tuple or None
        None if a variable has no variance at this level under the saturated model: there is
        nothing to standardise by.
    """
    h1 = joint_covariance(saturated.blueprint, saturated.theta[None, :], level)[0]
    if (np.diag(h1) <= _NO_VARIANCE * _total_variances(saturated, level)).any():
        return None
    x = sampled_parameters(blueprint, posterior)
    points = np.concatenate([x.reshape(-1, x.shape[-1]), x.mean(axis=(0, 1))[None, :]])
    theta = blueprint.theta(points)
    parts = [theta[i : i + _CHUNK] for i in range(0, len(theta), _CHUNK)]
    found = np.concatenate([srmr(h1, joint_covariance(blueprint, t, level)) for t in parts])
    return found[:-1].reshape(x.shape[:2]), float(found[-1])


def srmr(h1: FloatArray, implied: FloatArray) -> FloatArray:
    """SRMR of implied covariance matrices (n, k, k) against those of the saturated model (k, k)."""
    sd, lower = np.sqrt(np.diag(h1)), np.tril_indices(len(h1))
    residual = (h1 - implied) / np.outer(sd, sd)
    result: FloatArray = np.sqrt((residual[:, lower[0], lower[1]] ** 2).mean(axis=1))
    return result


def joint_covariance(blueprint: Blueprint, theta: FloatArray, name: LevelName) -> FloatArray:
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
    """Variances of the variables of :func:`joint_covariance` over all rows."""
    observed = saturated.blueprint.observed
    columns = columns_of(observed, observed.y, observed.z)
    covariates = observed.x_names if level == "within" else observed.w_names
    names = [*sorted(level_outcomes(observed, level)), *sorted(covariates)]
    return np.array([np.nanvar(columns[name]) for name in names])
