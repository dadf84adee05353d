r"""The log posterior density and its gradient, compiled once for all models.

With u the unconstrained parameters, x the sampled parameters (structure.parameters) and t the
coordinates of sampled effects (likelihood.centring),

    log p(u, t | y) = log p(y | x, t) + log p(t | x) + sum log p(x_i) + sum log |dx_i / du_i| ,

    x = u                                     no bound
    x = lower + e^u ,   x = upper - e^u       one bound
    x = lower + (upper - lower) / (1 + e^-u)  two bounds

The structure, the data, the priors and the constraints arrive as arrays (blueprint.prior_arrays), so
a second model, other priors or other data need no compilation. NUTS moves in v, which
:class:`Geometry` describes. One function for each of the three likelihoods; all are built from the
same two halves, :func:`_parameters` and :func:`_pull_back`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from bayes_msem.kernels.compile import kernel
from bayes_msem.kernels.patterns import marginal_value_and_gradient
from bayes_msem.kernels.priors import (
    FloatArray,
    IntArray,
    bounded,
    evaluated,
    prior_kernel,
)
from bayes_msem.likelihood.centring import joint_value_and_gradient
from bayes_msem.likelihood.cluster_statistics import clusters_in
from bayes_msem.likelihood.marginal import sampler_value_and_gradient

__all__ = [
    "Geometry",
    "cluster_posterior",
    "constrained",
    "moment_posterior",
    "sampled_posterior",
]


class Geometry(NamedTuple):
    """The map from v, in which NUTS moves, to the unconstrained parameters (inference.geometry).

    Attributes
    ----------
    soft
        Scale at which the map of a standard deviation turns from exponential to linear, (n,); 0
        for e^u, and empty if all are 0.
    to, source, mean, weight
        Intercepts at the mean of their predictors: x[to] = v[to] - m x[source], where m is
        v[mean], or weight if mean is negative. An entry whose source is another's target comes
        later.
    """

    soft: FloatArray
    to: IntArray
    source: IntArray
    mean: IntArray
    weight: FloatArray


_NO_INTS, _NO_FLOATS = np.empty(0, dtype=np.int64), np.empty(0)
PLAIN = Geometry(_NO_FLOATS, _NO_INTS, _NO_INTS, _NO_INTS, _NO_FLOATS)


@kernel
def _soft(geometry, i):
    return geometry.soft[i] if len(geometry.soft) > 0 else 0.0


@kernel
def constrained(v, n, priors, geometry, x):
    """Fill the sampled parameters ``x`` (n,) of coordinates ``v``."""
    for i in range(n):
        x[i] = bounded(
            priors.bounded[i], priors.lower[i], priors.upper[i], _soft(geometry, i), v[i]
        )[0]
    _shear(v, geometry, x)


@kernel
def _shear(v, geometry, x):
    """Take intercepts from the mean of their predictors to zero, in place."""
    for e in range(len(geometry.to)):
        mean = geometry.mean[e]
        weight = v[mean] if mean >= 0 else geometry.weight[e]
        x[geometry.to[e]] -= weight * x[geometry.source[e]]


@kernel
def _parameters(v, n, priors, geometry, extended, slope, bend, d_x):
    """Fill sampled parameters and constrained rows; return log prior and log Jacobian.

    ``slope`` is dx/du, ``bend`` the derivative of its logarithm, ``d_x`` that of the log prior.
    """
    log_prior, log_jacobian = 0.0, 0.0
    log_x, log_rest = np.empty(n), np.empty(n)
    for i in range(n):
        extended[i], slope[i], log_slope, bend[i], log_x[i], log_rest[i] = bounded(
            priors.bounded[i], priors.lower[i], priors.upper[i], _soft(geometry, i), v[i]
        )
        log_jacobian += log_slope
    _shear(v, geometry, extended)
    for i in range(n):
        value, d_x[i] = prior_kernel(
            priors.family[i],
            priors.arguments[i, 0],
            priors.arguments[i, 1],
            priors.arguments[i, 2],
            extended[i],
            log_x[i],
            log_rest[i],
        )
        log_prior += value + priors.constant[i]
    stack = np.empty(len(priors.code) + 1)
    for k in range(len(priors.programs)):
        extended[n + k] = evaluated(
            priors.code,
            priors.programs[k, 0],
            priors.programs[k, 1],
            priors.numbers,
            priors.squared,
            extended,
            stack,
        )
    return log_prior, log_jacobian


@kernel
def _pull_back(v, n, priors, geometry, extended, slope, bend, jacobian, d_extended, d_x, gradient):
    """Fill the first n entries of ``gradient``: that of log prior and likelihood in v."""
    for i in range(n):
        d_x[i] += d_extended[i]
    stack = np.empty(len(priors.code) + 1)
    for e in range(len(priors.slopes)):
        position = priors.slopes[e, 1]
        value = d_extended[n + priors.slopes[e, 0]] * evaluated(
            priors.code,
            priors.slopes[e, 2],
            priors.slopes[e, 3],
            priors.numbers,
            priors.squared,
            extended,
            stack,
        )
        d_x[position] += value * (2.0 * extended[position] if priors.squared[position] else 1.0)
    gradient[:n] = 0.0
    for e in range(len(geometry.to) - 1, -1, -1):
        mean, d_to = geometry.mean[e], d_x[geometry.to[e]]
        weight = v[mean] if mean >= 0 else geometry.weight[e]
        d_x[geometry.source[e]] -= weight * d_to
        if mean >= 0:
            gradient[mean] -= extended[geometry.source[e]] * d_to
    for i in range(n):
        gradient[i] += d_x[i] * slope[i] + jacobian * bend[i]


@kernel
def moment_posterior(v, jacobian, priors, geometry, ints, floats, statistics, gradient):
    """Log posterior from sufficient statistics per cluster size (likelihood.marginal).

    Parameters
    ----------
    v
        Coordinates, (n,).
    jacobian
        1.0: the density of v, which NUTS samples. 0.0: the density of x.
    priors, geometry, ints, floats, statistics
        Priors and constraints, the geometry, and the packed likelihood.
    gradient
        Filled, (n,).

    Returns
    -------
    float
    """
    n = len(priors.family)
    extended, d_x = np.empty(n + len(priors.programs)), np.empty(n)
    slope, bend = np.empty(n), np.empty(n)
    prior, log_jacobian = _parameters(v, n, priors, geometry, extended, slope, bend, d_x)
    value, d_extended = sampler_value_and_gradient(extended, ints, floats, statistics)
    _pull_back(v, n, priors, geometry, extended, slope, bend, jacobian, d_extended, d_x, gradient)
    return value + prior + jacobian * log_jacobian


@kernel
def cluster_posterior(v, jacobian, priors, geometry, ints, floats, statistics, none, gradient):
    """Log posterior by clusters or response patterns, all effects integrated out.

    ``none`` are the sampled effects, (J, 0); the rest as in :func:`moment_posterior`.
    """
    n = len(priors.family)
    extended, d_x = np.empty(n + len(priors.programs)), np.empty(n)
    slope, bend = np.empty(n), np.empty(n)
    prior, log_jacobian = _parameters(v, n, priors, geometry, extended, slope, bend, d_x)
    value, d_extended, _ = marginal_value_and_gradient(extended, none, ints, floats, statistics)
    _pull_back(v, n, priors, geometry, extended, slope, bend, jacobian, d_extended, d_x, gradient)
    return value + prior + jacobian * log_jacobian


@kernel
def sampled_posterior(
    v, jacobian, priors, geometry, ints, floats, statistics, approximation, gradient
):
    """Log posterior of parameters and coordinates of sampled effects.

    ``v`` holds n parameters and J n_b coordinates; ``approximation`` is the packed vector of
    likelihood.approximation; the rest as in :func:`moment_posterior`.
    """
    n = len(priors.family)
    extended, d_x = np.empty(n + len(priors.programs)), np.empty(n)
    slope, bend = np.empty(n), np.empty(n)
    prior, log_jacobian = _parameters(v, n, priors, geometry, extended, slope, bend, d_x)
    n_clusters = clusters_in(statistics)
    t = v[n:].reshape((n_clusters, (len(v) - n) // n_clusters))
    value, d_extended, d_t = joint_value_and_gradient(
        extended, t, ints, floats, statistics, approximation
    )
    _pull_back(v, n, priors, geometry, extended, slope, bend, jacobian, d_extended, d_x, gradient)
    gradient[n:] = d_t.ravel()
    return value + prior + jacobian * log_jacobian
