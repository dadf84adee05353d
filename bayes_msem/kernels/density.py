r"""The log posterior density and its gradient, compiled once for all models.

With u the unconstrained parameters, x the sampled parameters (structure.parameters) and t the
coordinates of sampled effects (kernels.centring),

    log p(u, t | y) = log p(y | x, t) + log p(t | x) + sum log p(x_i) + sum log |dx_i / du_i| ,

    x = u                                     no bound
    x = lower + e^u ,   x = upper - e^u       one bound
    x = lower + (upper - lower) / (1 + e^-u)  two bounds

The structure, the data, the priors and the constraints arrive as arrays (blueprint.prior_arrays),
so a second model, other priors or other data need no compilation. NUTS moves in v, which
:class:`Geometry` describes. One function for each signature of likelihoods, which are called at
their address (kernels.by_address); all are built from the same two halves, :func:`_point` and
:func:`_posterior`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from bayes_msem.kernels.augmented import RowPart
from bayes_msem.kernels.by_address import OF_EFFECTS, OF_PARAMETERS, OF_SCORES, at_address
from bayes_msem.kernels.compile import kernel, part_kernel
from bayes_msem.kernels.priors import (
    FloatArray,
    IntArray,
    bounded,
    evaluated,
    prior_kernel,
)
from bayes_msem.kernels.row_layout import scores_in
from bayes_msem.kernels.statistics import clusters_in

__all__ = ["NO_ROWS", "PLAIN", "POSTERIOR", "Geometry", "Packed", "constrained"]

_likelihood = at_address(OF_PARAMETERS)
_likelihood_with_effects, _likelihood_with_scores = at_address(OF_EFFECTS), at_address(OF_SCORES)


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
    rotation, center
        Before all that, v is center + rotation v (n, n); empty for v itself. Only of models with
        sampled scores, whose parameters are few among the coordinates.
    """

    soft: FloatArray
    to: IntArray
    source: IntArray
    mean: IntArray
    weight: FloatArray
    rotation: FloatArray
    center: FloatArray


_NO_INTS, _NO_FLOATS = np.empty(0, dtype=np.int64), np.empty(0)
NO_ROWS = (np.empty(0, dtype=np.int64), np.empty(0))
for _array in NO_ROWS:  # as packed rows are: kernels are compiled for one or the other
    _array.setflags(write=False)
PLAIN = Geometry(_NO_FLOATS, _NO_INTS, _NO_INTS, _NO_INTS, _NO_FLOATS, np.empty((0, 0)), _NO_FLOATS)


@part_kernel
def _soft(geometry, i):
    return geometry.soft[i] if len(geometry.soft) > 0 else 0.0


@part_kernel
def _rotated(v, n, geometry):
    """Return the first n coordinates after the rotation, if there is one."""
    if len(geometry.center) == 0:
        return v[:n].copy()
    u = geometry.center.copy()
    for i in range(n):
        for k in range(n):
            u[i] += geometry.rotation[i, k] * v[k]
    return u


@kernel
def constrained(v, n, priors, geometry, x):
    """Fill the sampled parameters ``x`` (n,) of coordinates ``v``."""
    v = _rotated(v, n, geometry)
    for i in range(n):
        x[i] = bounded(
            priors.bounded[i], priors.lower[i], priors.upper[i], _soft(geometry, i), v[i]
        )[0]
    _shear(v, geometry, x)


@part_kernel
def _shear(v, geometry, x):
    """Take intercepts from the mean of their predictors to zero, in place."""
    for e in range(len(geometry.to)):
        mean = geometry.mean[e]
        weight = v[mean] if mean >= 0 else geometry.weight[e]
        x[geometry.to[e]] -= weight * x[geometry.source[e]]


class Packed(NamedTuple):
    """What a provider of the likelihood reads besides x and t (kernels.providers).

    The last two are those of rows with outcomes that are not normal (kernels.augmented), or empty.
    """

    ints: IntArray
    floats: FloatArray
    statistics: FloatArray
    approximation: FloatArray
    row_ints: IntArray
    row_floats: FloatArray


class Point(NamedTuple):
    """Sampled parameters and constrained rows at v, and what the reverse needs.

    Attributes
    ----------
    x
        Parameters x (n,), then constrained rows.
    slope, bend
        dx/du and the derivative of its logarithm, (n,).
    d_x
        Derivative of the log prior, (n,).
    stack
        Room for the values of constraints.
    log_prior, log_jacobian
        One number each.
    """

    x: FloatArray
    slope: FloatArray
    bend: FloatArray
    d_x: FloatArray
    stack: FloatArray
    log_prior: FloatArray
    log_jacobian: FloatArray


@part_kernel
def _point(v, priors, geometry):
    """Return the :class:`Point` at v."""
    n, log_prior, log_jacobian = len(priors.family), 0.0, 0.0
    x, room = np.empty(n + len(priors.programs)), np.empty(5 * n + len(priors.code) + 1)
    d_x, slope, bend, stack = room[:n], room[n : 2 * n], room[2 * n : 3 * n], room[5 * n :]
    log_x, log_rest = room[3 * n : 4 * n], room[4 * n : 5 * n]
    for i in range(n):
        x[i], slope[i], log_slope, bend[i], log_x[i], log_rest[i] = bounded(
            priors.bounded[i], priors.lower[i], priors.upper[i], _soft(geometry, i), v[i]
        )
        log_jacobian += log_slope
    _shear(v, geometry, x)
    for i in range(n):
        value, d_x[i] = prior_kernel(
            priors.family[i],
            priors.arguments[i, 0],
            priors.arguments[i, 1],
            priors.arguments[i, 2],
            x[i],
            log_x[i],
            log_rest[i],
        )
        log_prior += value + priors.constant[i]
    for k in range(len(priors.programs)):
        first, last = priors.programs[k, 0], priors.programs[k, 1]
        x[n + k] = evaluated(priors.code, first, last, priors.numbers, priors.squared, x, stack)
    return Point(x, slope, bend, d_x, stack, log_prior, log_jacobian)


@part_kernel
def _posterior(v, jacobian, priors, geometry, point, likelihood, gradient):
    """Add up the log posterior; fill the first n entries of ``gradient``, its gradient in v.

    ``likelihood`` are its value and its gradient with respect to x.
    """
    (value, d_extended), n = likelihood, len(priors.family)
    x, d_x, stack = point.x, point.d_x, point.stack
    for i in range(n):
        d_x[i] += d_extended[i]
    for e in range(len(priors.slopes)):
        position, first, last = priors.slopes[e, 1], priors.slopes[e, 2], priors.slopes[e, 3]
        slope = d_extended[n + priors.slopes[e, 0]] * evaluated(
            priors.code, first, last, priors.numbers, priors.squared, x, stack
        )
        d_x[position] += slope * (2.0 * x[position] if priors.squared[position] else 1.0)
    for i in range(n):
        gradient[i] = 0.0
    for e in range(len(geometry.to) - 1, -1, -1):
        mean, d_to = geometry.mean[e], d_x[geometry.to[e]]
        weight = v[mean] if mean >= 0 else geometry.weight[e]
        d_x[geometry.source[e]] -= weight * d_to
        if mean >= 0:
            gradient[mean] -= x[geometry.source[e]] * d_to
    for i in range(n):
        gradient[i] += d_x[i] * point.slope[i] + jacobian * point.bend[i]
    return value + point.log_prior + jacobian * point.log_jacobian


@kernel
def plain_posterior(address, v, jacobian, priors, geometry, likelihood, gradient):
    """Log posterior without coordinates of effects.

    Parameters
    ----------
    address
        Of the likelihood (kernels.by_address.OF_PARAMETERS).
    v
        Coordinates, (n,); with sampled effects J n_b more.
    jacobian
        1.0: the density of v, which NUTS samples. 0.0: the density of x.
    priors, geometry, likelihood
        Priors and constraints, the geometry, and the packed likelihood.
    gradient
        Filled, of the length of v.

    Returns
    -------
    float
    """
    point = _point(v, priors, geometry)
    value_and_gradient = _likelihood(
        address, (point.x, likelihood.ints, likelihood.floats, likelihood.statistics)
    )
    return _posterior(v, jacobian, priors, geometry, point, value_and_gradient, gradient)


@kernel
def effects_posterior(address, v, jacobian, priors, geometry, likelihood, gradient):
    """Log posterior of parameters and coordinates of sampled effects, if there are any."""
    point, n_clusters = _point(v, priors, geometry), clusters_in(likelihood.statistics)
    n = len(priors.family)
    t = v[n:].reshape((n_clusters, (len(v) - n) // n_clusters))
    value, d_x, d_t = _likelihood_with_effects(
        address,
        (
            point.x, t, likelihood.ints, likelihood.floats, likelihood.statistics,
            likelihood.approximation,
        ),
    )  # fmt: skip
    gradient[n:] = d_t.ravel()
    return _posterior(v, jacobian, priors, geometry, point, (value, d_x), gradient)


@kernel
def scores_posterior(address, v, jacobian, priors, geometry, likelihood, gradient):
    """Log posterior of parameters, coordinates of effects, and coordinates of scores."""
    rows, n = RowPart(likelihood.row_ints, likelihood.row_floats), len(priors.family)
    u, n_clusters = _rotated(v, n, geometry), clusters_in(likelihood.statistics)
    point = _point(u, priors, geometry)
    n_rows, n_scores = scores_in(rows.ints, rows.floats)
    stop = len(v) - n_rows * n_scores
    n_b = (stop - n) // n_clusters if n_clusters > 0 else 0
    t, t_s = v[n:stop].reshape((n_clusters, n_b)), v[stop:].reshape((n_rows, n_scores))
    value, d_x, d_t, d_t_s, _ = _likelihood_with_scores(
        address,
        (
            point.x, t, t_s, likelihood.ints, likelihood.floats, likelihood.statistics,
            likelihood.approximation, rows,
        ),
    )  # fmt: skip
    gradient[n:stop] = d_t.ravel()
    gradient[stop:] = d_t_s.ravel()
    value = _posterior(u, jacobian, priors, geometry, point, (value, d_x), gradient)
    if len(geometry.center) > 0:
        slope = gradient[:n].copy()
        for k in range(n):
            gradient[k] = 0.0
            for i in range(n):
                gradient[k] += geometry.rotation[i, k] * slope[i]
    return value


POSTERIOR = {
    OF_PARAMETERS: plain_posterior,
    OF_EFFECTS: effects_posterior,
    OF_SCORES: scores_posterior,
}
"""The log posterior density for every signature of the likelihood."""
