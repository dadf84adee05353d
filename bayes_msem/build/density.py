"""The log posterior density in NumPy, without compiling anything.

The same density as the PyMC model's (a test compares them), used where a compilation would cost
more than the job: modes and starting points. Unconstrained coordinates u follow PyMC's
transforms: log(x - lower) for half-bounded, log(x - lower) - log(upper - x) for bounded supports.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bayes_msem.build.blueprint import Blueprint
from bayes_msem.likelihood.marginal import sampler_value_and_gradient
from bayes_msem.spec.prior_families import FAMILIES
from bayes_msem.structure.parameters import CORRELATION, SQUARE, Group

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
    lower, upper = [], []
    for group in blueprint.parameters.groups:
        low, high = FAMILIES[group.family].limits(list(group.arguments))
        if group.family == "beta":
            low, high = 0.0, 1.0  # sampled as (r + 1) / 2
        lower.append(np.broadcast_to(low, len(group.free)))
        upper.append(np.broadcast_to(high, len(group.free)))
    return Support(np.concatenate(lower).astype(float), np.concatenate(upper).astype(float))


def log_likelihood(blueprint: Blueprint, x: FloatArray) -> tuple[float, FloatArray]:
    """Log-likelihood at sampled parameters and its gradient, both of length n_free."""
    program = blueprint.program
    extended = x
    if blueprint.table.constraints:
        theta = np.where(blueprint.parameters.transform == SQUARE, x**2, x)
        extended = np.concatenate([x, blueprint.extend(theta)[len(x) :]])
    value, gradient = sampler_value_and_gradient(
        np.ascontiguousarray(extended), program.ints, program.floats, blueprint.statistics
    )
    if blueprint.table.constraints:
        pulled = blueprint.pull_back(theta, np.concatenate([np.zeros(len(x)), gradient[len(x) :]]))
        chain = np.where(blueprint.parameters.transform == SQUARE, 2 * x, 1.0)
        return float(value), gradient[: len(x)] + pulled * chain
    return float(value), gradient


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
    blueprint: Blueprint, bounds: Support, u: FloatArray, *, jacobian: bool
) -> tuple[float, FloatArray]:
    """Log posterior density at unconstrained coordinates.

    Parameters
    ----------
    blueprint
        The model.
    bounds
        Its :func:`support`.
    u
        Unconstrained coordinates, (n_free,).
    jacobian
        True: the density of u, which NUTS samples. False: the density of x, whose maximum is
        the posterior mode on the scale of the priors.

    Returns
    -------
    tuple of (float, (n_free,) array)
        The density and its gradient with respect to u.
    """
    x, slope, log_slope, bend = bounds.to_constrained(u)
    likelihood, d_likelihood = log_likelihood(blueprint, x)
    prior, d_prior = log_prior(blueprint, x)
    value, gradient = likelihood + prior, (d_likelihood + d_prior) * slope
    if jacobian:
        value += float(log_slope.sum())
        gradient = gradient + bend
    return value, gradient


def starting_point(blueprint: Blueprint) -> FloatArray:
    """Return starting values of x: the user's, otherwise the center of the prior."""
    start: list[float] = []
    transform = blueprint.parameters.transform
    user = {row.free: row.value for row in blueprint.table.rows if row.free}
    for group in blueprint.parameters.groups:
        for i, free in enumerate(group.free):
            value = user[free]
            kind = transform[len(start)]
            if np.isfinite(value) and kind != CORRELATION:
                start.append(float(np.sqrt(value)) if kind == SQUARE else value)
            elif group.family == "beta":
                a, b = group.arguments[:, i]
                start.append(a / (a + b))
            else:
                start.append(FAMILIES[group.family].median(list(group.arguments[:, i])))
    return np.array(start, dtype=np.float64)
