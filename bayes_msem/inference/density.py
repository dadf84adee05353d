"""The log posterior density, without compiling anything for a model.

The same density as the PyMC model's (a test compares them). NUTS, modes and starting points use
it. Unconstrained coordinates u follow PyMC's transforms: log(x - lower) or log(upper - x) where
there is one bound, log(x - lower) - log(upper - x) where there are two.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bayes_msem.blueprint.blueprint import Blueprint
from bayes_msem.blueprint.inverse import sampled_from_table
from bayes_msem.data.observed_data import ObservedData
from bayes_msem.data.scales import scales
from bayes_msem.kernels.density import (
    PLAIN,
    Geometry,
)
from bayes_msem.kernels.layout import CORRELATION, SQUARE, THRESHOLD
from bayes_msem.spec.default_priors import default_priors
from bayes_msem.spec.prior_families import FAMILIES
from bayes_msem.spec.prior_text import Prior
from bayes_msem.spec.table import Row
from bayes_msem.structure.parameters import Group

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Support:
    """Bounds of every sampled parameter, each of shape (n,)."""

    lower: FloatArray
    upper: FloatArray

    def to_unconstrained(self, x: FloatArray) -> FloatArray:
        """Map x inside its bounds to the real line."""
        below, above = np.isfinite(self.lower), np.isfinite(self.upper)
        with np.errstate(invalid="ignore", divide="ignore"):
            from_lower, to_upper = np.log(x - self.lower), np.log(self.upper - x)
        u = np.where(below, from_lower, x)
        return np.where(above, np.where(below, u - to_upper, to_upper), u)

    def to_constrained(
        self, u: FloatArray
    ) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """Map u to x; also return dx/du, log |dx/du| and the derivative of the latter."""
        below, above = np.isfinite(self.lower), np.isfinite(self.upper)
        lower, upper = np.where(below, self.lower, 0.0), np.where(above, self.upper, 0.0)
        both = below & above
        half = below ^ above
        sign = np.where(above, -1.0, 1.0)
        with np.errstate(over="ignore"):
            exponential = sign * np.exp(np.where(half, u, 0.0))
            share = 1.0 / (1.0 + np.exp(-np.where(both, u, 0.0)))
            rest = 1.0 / (1.0 + np.exp(np.where(both, u, 0.0)))  # 1 - share would lose digits
        width = upper - lower
        x = np.where(both, lower + width * share, u)
        x = np.where(half, np.where(below, lower, upper) + exponential, x)
        slope = np.where(both, width * share * rest, np.where(half, exponential, 1.0))
        bend = np.where(both, rest - share, np.where(half, 1.0, 0.0))
        with np.errstate(divide="ignore"):
            return x, slope, np.log(np.abs(slope)), bend


def support(blueprint: Blueprint) -> Support:
    """Bounds of the sampled parameters, from the families of their priors."""
    return Support(blueprint.prior_arrays.lower, blueprint.prior_arrays.upper)


def log_likelihood(blueprint: Blueprint, x: FloatArray) -> tuple[float, FloatArray]:
    """Log-likelihood at sampled parameters (n_free,) and its gradient; no sampled effects."""
    value, gradient, _ = joint_log_likelihood(blueprint, x)
    return value, gradient


def joint_log_likelihood(
    blueprint: Blueprint, x: FloatArray, t: FloatArray | None = None
) -> tuple[float, FloatArray, FloatArray]:
    """Log density of data and sampled effects at sampled parameters, with gradients.

    Parameters
    ----------
    blueprint
        The model.
    x
        Sampled parameters, (n_free,).
    t
        Coordinates of sampled effects, (J, n_b); their own density is included. None if the
        model has none.

    Returns
    -------
    tuple of (float, (n_free,) array, (J, n_b) array)
    """
    likelihood = blueprint.likelihood
    t = no_coordinates(blueprint) if t is None else t
    extended = np.ascontiguousarray(blueprint.extend_sampled(x))
    value, gradient, d_t = likelihood.joint(extended, t)
    n = len(x)
    if blueprint.table.constraints:
        squared = blueprint.parameters.transform == SQUARE
        theta = np.where(squared, x**2, x)
        pulled = blueprint.pull_back(theta, np.concatenate([np.zeros(n), gradient[n:]]))
        gradient = gradient[:n] + pulled * np.where(squared, 2 * x, 1.0)
    return value, gradient, d_t


def no_coordinates(blueprint: Blueprint) -> FloatArray:
    """Coordinates of no sampled effects: an array of shape (J, n_b), all zero."""
    return np.zeros((blueprint.observed.n_clusters, blueprint.n_sampled))


def log_prior(blueprint: Blueprint, x: FloatArray) -> tuple[float, FloatArray]:
    """Log prior density at sampled parameters and its gradient."""
    total, gradient, start = 0.0, [], 0
    for group in blueprint.parameters.groups:
        part = x[start : start + len(group.free)]
        start += len(group.free)
        value, slope = _group_density(group, part)
        total += value
        gradient.append(slope)
    return total, np.concatenate(gradient)


def _group_density(group: Group, x: FloatArray) -> tuple[float, FloatArray]:
    family, arguments = FAMILIES[group.family], list(group.arguments)
    if group.family == "beta":
        # the family's density is that of r = 2 x - 1
        density = family.log_density(2.0 * x - 1.0, arguments) + np.log(2.0)
        return float(density.sum()), 2.0 * family.derivative(2.0 * x - 1.0, arguments)
    return float(family.log_density(x, arguments).sum()), family.derivative(x, arguments)


def log_posterior(
    blueprint: Blueprint, u: FloatArray, *, jacobian: bool, geometry: Geometry = PLAIN
) -> tuple[float, FloatArray]:
    """Log posterior density at unconstrained coordinates.

    Parameters
    ----------
    blueprint
        The model.
    u
        Unconstrained parameters, (n_free,), followed by the coordinates of sampled effects
        (J * n_b).
    jacobian
        True: the density of u, which NUTS samples. False: the density of x, whose maximum is
        the posterior mode on the scale of the priors.
    geometry
        The map from what is given as ``u`` to the unconstrained parameters (inference.geometry); by
        default none.

    Returns
    -------
    tuple of (float, array like u)
        The density and its gradient with respect to u.
    """
    priors = blueprint.prior_arrays
    return blueprint.likelihood.posterior(np.ascontiguousarray(u), jacobian, priors, geometry)


def wide_priors(blueprint: Blueprint) -> Mapping[int, Prior]:
    """Wide default priors of all free parameters: the units of the data, and no beliefs."""
    if blueprint.parts:
        return blueprint.wide
    return default_priors(blueprint.table, scales(blueprint.observed), "wide")


def starting_point(blueprint: Blueprint) -> FloatArray:
    """Return starting values of x: the user's, otherwise the median of the prior.

    Where the user's prior is vaguer than the default, the median is the default's, which knows
    the scale of the data: from an SD of 50 where 1 would be right, the search for a mode ends at
    local maxima.
    """
    start: list[float] = []
    transform = blueprint.parameters.transform
    user = {row.free: row.value for row in blueprint.table.rows if row.free}
    defaults = wide_priors(blueprint)
    for group in blueprint.parameters.groups:
        for i, free in enumerate(group.free):
            value = user[free]
            kind = transform[len(start)]
            if kind == THRESHOLD:
                start.append(_fraction(blueprint.observed, blueprint.parameters.rows[len(start)]))
            elif np.isfinite(value) and kind != CORRELATION:
                start.append(float(np.sqrt(value)) if kind == SQUARE else value)
            elif group.kind == "threshold":
                start.append(_threshold(blueprint.observed, blueprint.parameters.rows[len(start)]))
            elif group.family == "beta":
                a, b = group.arguments[:, i]
                start.append(a / (a + b))
            else:
                start.append(_center(blueprint.priors[free], defaults[free]))
    x = np.array(start, dtype=np.float64)
    wanted = [
        i
        for i, row in enumerate(blueprint.parameters.rows)
        if transform[i] == CORRELATION and np.isfinite(user[row.free])
    ]
    if not wanted:
        return x
    theta = blueprint.theta(x[None, :])[0]
    theta[wanted] = [user[blueprint.parameters.rows[i].free] for i in wanted]
    return sampled_from_table(blueprint, theta)


def _fraction(observed: ObservedData, row: Row) -> float:
    """Share of a category in what earlier ones leave, in the data (kernels.thresholds)."""
    codes, category = observed.outcome(row.lhs), int(row.rhs[1:]) - 1
    left = codes[codes >= category]
    return float(((left == category).sum() + 0.5) / (len(left) + 1.0))


def _threshold(observed: ObservedData, row: Row) -> float:
    """Threshold at which the data cut a response with twice the variance of its residual."""
    rule, codes = observed.families[row.lhs].outcome, observed.outcome(row.lhs)
    start = rule.working_response(codes, categories=len(observed.categories[row.lhs]))
    assert start.thresholds is not None
    return float(np.sqrt(2.0) * start.thresholds[int(row.rhs[1:]) - 1])


def _center(prior: Prior, default: Prior) -> float:
    """Median of the less vague of two priors, inside the support of the first."""
    lower, upper = prior.limits
    if lower < default.median < upper and _spread(default) < _spread(prior):
        return default.median
    return prior.median


def _spread(prior: Prior) -> float:
    return float(prior.quantile(0.75) - prior.quantile(0.25))


def prior_scales(blueprint: Blueprint) -> FloatArray:
    """Half the distance between the quartiles of each prior."""
    priors = [blueprint.priors[row.free] for row in blueprint.parameters.rows]
    return np.array([float(p.quantile(0.75) - p.quantile(0.25)) / 2 for p in priors])
