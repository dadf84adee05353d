"""What parameters, and data, say about each variable: means, SDs, ICCs, correlations, R squared.

Keys are (quantity, level, variables); the level of means and ICCs is "", because they belong to
both. For parameters the quantities are those of posterior.levels, covariates at what they are in
the data and random coefficients at their means. For data they are the moment estimates of
data.components, with signed roots: an estimate of a variance may be negative, and -sqrt(-v) keeps
its place in the order.

Outcomes that are not normal. Data say nothing about the moments of latent responses, so these have
no estimates. What data and replicates have in common are shares of categories, mean counts and
shares of zeros.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bayes_msem.data.components import Estimates
from bayes_msem.data.observed_data import ObservedData
from bayes_msem.posterior.levels import Levels, between_loadings
from bayes_msem.posterior.standardise import explained_variance
from bayes_msem.posterior.variance import intraclass_correlations

__all__ = ["QuantityKey", "estimated_quantities", "implied_quantities", "observed_shares"]

FloatArray = NDArray[np.float64]
QuantityKey = tuple[str, str, str]


def implied_quantities(levels: Levels) -> dict[QuantityKey, FloatArray]:
    """Quantities that parameters imply, each (n,).

    Parameters
    ----------
    levels
        The matrices of both levels, n draws.

    Returns
    -------
    dict
        Means, SDs, ICCs and correlations of all outcomes and cluster-level variables, and R
        squared of everything that has predictors, factors included. Not a number where a variance
        is zero.
    """
    observed, within, between = levels.blueprint.observed, levels.within, levels.between
    result: dict[QuantityKey, FloatArray] = {}
    index = within.index(observed.y_names)
    covariances = {"within": within.covariance[:, index][:, :, index]}
    means = dict(zip(observed.y_names, within.mean[:, index].T, strict=True))
    if between is not None:
        z = between.index(observed.z_names)
        loadings = between_loadings(levels)
        rest = np.zeros((len(loadings), len(z), len(between.names)))
        rest[:, np.arange(len(z)), z] = 1.0
        joint = np.concatenate([loadings, rest], axis=1)
        covariances["between"] = joint @ between.covariance @ joint.transpose(0, 2, 1)
        centre = dict(zip(between.names, between.mean.T, strict=True))
        means |= {v: means[v] + centre[v] for v in observed.split_names}
        means |= {v: centre[v] for v in observed.z_names}
    result |= {("mean", "", v): value for v, value in means.items()}
    for level, covariance in covariances.items():
        sd = np.sqrt(np.einsum("nii->ni", covariance))
        result |= _sds(_names(observed, level), level, sd)
    if between is not None:
        icc = intraclass_correlations(levels)
        result |= {("icc", "", v): value for v, value in icc.items()}
    for level, covariance in covariances.items():
        sd = np.sqrt(np.einsum("nii->ni", covariance))
        result |= _correlations(_names(observed, level), level, covariance, sd)
    for part in levels.both:
        explained = explained_variance(part)
        result |= {("r2", part.level, v): value for v, value in explained.items()}
    return result


def estimated_quantities(
    observed: ObservedData, estimates: Estimates
) -> dict[QuantityKey, FloatArray]:
    """Quantities that data estimate, each of shape (1,).

    There is none of R squared, which needs a model, nor of moments of latent responses.

    Parameters
    ----------
    observed
        The data, for their names.
    estimates
        Their moment estimates, or those of replicated data.
    """
    means = dict(zip(observed.y_names, estimates.mean_y, strict=True))
    means |= dict(zip(observed.z_names, estimates.mean_z, strict=True))
    result = {("mean", "", v): np.array([value]) for v, value in means.items()}
    covariances = {"within": estimates.within}
    if observed.two_level:
        covariances["between"] = estimates.between
    for level, covariance in covariances.items():
        result |= _sds(_names(observed, level), level, _signed_root(np.diag(covariance))[None])
    if observed.two_level:
        split = [observed.y_names.index(v) for v in observed.split_names]
        between = np.diag(estimates.between)[: len(split)]
        within = np.diag(estimates.within)[split]
        icc = between / (between + within)
        result |= {("icc", "", v): icc[[i]] for i, v in enumerate(observed.split_names)}
    for level, covariance in covariances.items():
        variance = np.diag(covariance)
        sd = np.sqrt(np.where(variance > 0, variance, np.nan))
        result |= _correlations(_names(observed, level), level, covariance[None], sd[None])
    other = set(observed.families)
    return {key: v for key, v in result.items() if not other & set(key[2].split(", "))}


def observed_shares(
    observed: ObservedData, outcomes: ObservedData
) -> dict[QuantityKey, FloatArray]:
    """Shares of categories, mean counts and shares of zeros, each of shape (1,).

    Parameters
    ----------
    observed
        The data: values are read only where they have some.
    outcomes
        The same rows with these outcomes, or those of a replicate.
    """
    result: dict[QuantityKey, FloatArray] = {}
    for names, data, values in (
        (observed.y_names, observed.y, outcomes.y),
        (observed.z_names, observed.z, outcomes.z),
    ):
        for name in (name for name in names if name in observed.families):
            own = values[~np.isnan(data[:, names.index(name)]), names.index(name)]
            labels = observed.categories.get(name)
            if labels is None:
                result["mean", "", name] = np.array([own.mean()])
            for code, label in enumerate((0,) if labels is None else labels):
                result["share", "", f"{name} = {label}"] = np.array([(own == code).mean()])
    return result


def _names(observed: ObservedData, level: str) -> tuple[str, ...]:
    if level == "within":
        return observed.y_names
    return (*observed.split_names, *observed.z_names)


def _sds(names: Sequence[str], level: str, sd: FloatArray) -> dict[QuantityKey, FloatArray]:
    return {("sd", level, v): sd[:, i] for i, v in enumerate(names)}


def _correlations(
    names: Sequence[str], level: str, covariance: FloatArray, sd: FloatArray
) -> dict[QuantityKey, FloatArray]:
    result: dict[QuantityKey, FloatArray] = {}
    with np.errstate(divide="ignore", invalid="ignore"):
        for i, first in enumerate(names):
            for k, second in enumerate(names[:i]):
                value = covariance[:, i, k] / (sd[:, i] * sd[:, k])
                result["correlation", level, f"{second}, {first}"] = value
    return result


def _signed_root(variance: FloatArray) -> FloatArray:
    root: FloatArray = np.sign(variance) * np.sqrt(np.abs(variance))
    return root
