"""The marginal log-likelihood of models with outcomes that are not normal, at given values.

Effects and scores are integrated numerically, around their modes at these values
(inference.working): scores given effects by likelihood.row_integral; effects by Gauss-Hermite
product rules where there are up to five, and by importance sampling with Sobol' points for more
(checking.accuracy.integral). Nodes are added until the stated error is small, or they are too many.
"""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import logsumexp

from bayes_msem.blueprint.blueprint import Blueprint
from bayes_msem.blueprint.effect_values import effect_values
from bayes_msem.blueprint.inverse import sampled_from_table
from bayes_msem.checking.accuracy.integral import ClusterIntegral, Proposal
from bayes_msem.errors import INSIDE, AccuracyWarning, SpecificationError
from bayes_msem.inference.threads import one_blas_thread
from bayes_msem.inference.working import expand_rows
from bayes_msem.likelihood.row_integral import hermite_rule, refined, row_integral, sobol_rule

__all__ = ["Marginal", "given_effects", "integrated_likelihood", "marginal_log_likelihood"]

FloatArray = NDArray[np.float64]

LARGE_ERROR = 0.1
_ENOUGH = 0.02  # error at which no nodes are added
_SIZES = {
    1: (7, 11, 17, 25, 41, 61),
    2: (5, 9, 15, 25, 35),
    3: (3, 5, 7, 11, 15),
    4: (3, 5, 7, 9),
    5: (3, 4, 5, 7),
}
_POINTS, _SCRAMBLINGS = (64, 256, 1024, 4096), 8


class Marginal(NamedTuple):
    """A marginal log-likelihood, and an estimate of its absolute error."""

    value: float
    error: float


def integrated_likelihood(
    blueprint: Blueprint, theta: FloatArray, effects: pd.DataFrame | None
) -> float:
    """Log-likelihood at table values that a user gave; it warns where it is inaccurate.

    Parameters
    ----------
    blueprint
        A model with outcomes that are not normal; its coordinates are not used.
    theta
        Extended table values, (n_theta,).
    effects
        Values of the sampled effects, one row per cluster: only scores are integrated then, and
        the result is log p(data | effects, values). None: everything is integrated.

    Raises
    ------
    SpecificationError
        No sampled parameters give these values, the effects have a singular covariance matrix, or
        effects are missing.

    Warns
    -----
    AccuracyWarning
        The result may be off by more than 0.1.
    """
    x = sampled_from_table(blueprint, theta)
    try:
        _check_regular(blueprint, x)
        if effects is None:
            value, error = marginal_log_likelihood(blueprint, x)
        else:
            names = blueprint.template.effects.sampled
            b = effect_values(effects, blueprint.observed.cluster_ids, names)
            value, error = given_effects(blueprint, x, b)
    except np.linalg.LinAlgError:
        raise SpecificationError(
            "the random effects have a singular covariance matrix at the values given (a variance "
            "of zero, or a correlation of 1), so they have no density that could be integrated; "
            "give variances a small positive value, such as 1e-4"
        ) from None
    if not error <= LARGE_ERROR:
        warnings.warn(
            f"the marginal log-likelihood {value:.2f} may be off by {error:.2g}: effects of "
            "clusters and scores of rows were integrated numerically, with as many nodes as there "
            "may be",
            AccuracyWarning,
            skip_file_prefixes=INSIDE,
        )
    return value


def _check_regular(blueprint: Blueprint, x: FloatArray) -> None:
    """Raise LinAlgError where the covariance matrix of the effects is singular."""
    point = np.ascontiguousarray(blueprint.extend_sampled(x))
    first = blueprint.template.first_sampled
    omega = blueprint.likelihood.level_two(point).Omega[first:, first:]
    np.linalg.cholesky(omega)


@one_blas_thread
def marginal_log_likelihood(blueprint: Blueprint, x: FloatArray) -> Marginal:
    """Log p(y, z | theta) at sampled parameters x (n_free,), with its error.

    Raises
    ------
    numpy.linalg.LinAlgError
        The covariance matrix of the effects is singular.
    """
    placed = expand_rows(blueprint, x, None)
    point = np.ascontiguousarray(placed.extend_sampled(x))
    likelihood, n_b = placed.likelihood, placed.n_sampled
    mode = likelihood.effects(point, np.zeros(likelihood.shape))
    rows, errors = row_integral(likelihood, point, mode, _ENOUGH / 2)
    error = float(errors.sum())
    if not len(mode):  # a single level
        return Marginal(float(rows(point, mode).sum()), error)
    proposal = None
    if n_b:
        proposal = Proposal(np.zeros(likelihood.shape), np.tile(np.eye(n_b), (len(mode), 1, 1)))
    rng = np.random.default_rng()  # of points that are not used here
    integral = ClusterIntegral(placed, proposal, nodes=8, rng=rng, rows=rows)
    if not n_b:
        return Marginal(float(integral(point)[0].sum()), error)
    integrate = _by_product_rules if n_b in _SIZES else _by_sampling
    value, other = integrate(integral, point, n_b)
    return Marginal(value, error + other)


def _by_product_rules(integral: ClusterIntegral, point: FloatArray, n_b: int) -> Marginal:
    """Take the smallest rule from which the next smaller one hardly differs."""
    rules = (hermite_rule(size, n_b) for size in _SIZES[n_b])
    _, value, errors = refined(rules, lambda rule: integral.by_rule(point, rule), _ENOUGH / 2)
    return Marginal(float(value.sum()), float(errors.sum()))


def _by_sampling(integral: ClusterIntegral, point: FloatArray, n_b: int) -> Marginal:
    """Add points until two standard errors are small.

    Clusters share the points, so their errors do not cancel: the standard error is that of the sum
    over clusters, from one scrambling to the next.
    """
    for n in _POINTS:
        rules = [sobol_rule(n, n_b, seed) for seed in range(_SCRAMBLINGS)]
        each = np.stack([integral.by_rule(point, rule) for rule in rules])
        error = 2.0 * float(each.sum(axis=1).std(ddof=1)) / np.sqrt(_SCRAMBLINGS)
        if error <= _ENOUGH:
            break
    value = logsumexp(each, axis=0) - np.log(_SCRAMBLINGS)
    return Marginal(float(value.sum()), error)


def given_effects(blueprint: Blueprint, x: FloatArray, b: FloatArray) -> Marginal:
    """Log p(y, z | b, theta) at sampled parameters x (n_free,) and effects b (J, n_b)."""
    placed = expand_rows(blueprint, x, None)
    point, likelihood = np.ascontiguousarray(placed.extend_sampled(x)), placed.likelihood
    rows, errors = row_integral(likelihood, point, b, _ENOUGH)
    value = float(rows(point, b).sum())
    if placed.observed.two_level:
        value += float(likelihood.terms(point, b[None], likelihood.statistics).sum())
    return Marginal(value, float(errors.sum()))
