"""Likelihood-ratio statistics at the data's own best fit.

Distances from a *draw* mix misfit with the draw's distance from the best fit, in data and
replicates alike: their p-values are safe, but they crowd around .5 and miss weak misfit. Here every
data set, observed or replicated, is measured at its own posterior mode instead. The statistic is
then a function of the data alone, hardly depends on the parameters, and its p-values are close to
uniform if the model is right. The price is an optimisation per replicate.

With sampled effects b_j (random loadings, log SDs and the like) the posterior mode has no closed
form. There the distance is that of the model whose sampled effects do not vary: every b_j is at its
mean given the parameters (and given cluster-level outcomes z_j that depend on it), and what is left
is found at its mode,

    max over theta of  log p(y, z | b_j = E[b_j | z_j, theta], theta) + log p(theta) .

That model is wrong if effects vary, but its distance from a data set is a function of the data
alone, and replicates come from the whole model, effects drawn anew from their distribution (the
mixed predictive distribution of Marshall & Spiegelhalter 2003). So the p-value is that of a right
reference distribution, and no draw of the effects, which have followed the data, stands between
data and model. Given r_j = b_j - E[b_j | z_j] = 0, the linear effects a_j and z_j have the
covariance matrix

    cov(a, z) - cov((a, z), r) cov(r)^-1 cov(r, (a, z)) .

References
----------
Marshall, E. C., & Spiegelhalter, D. J. (2003). Approximate cross-validatory predictive checks in
disease mapping models. Statistics in Medicine, 22(10), 1649-1660. https://doi.org/10.1002/sim.1403
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from bayes_msem.blueprint.blueprint import Blueprint
from bayes_msem.checking.predictive.complete_data import CompleteModel
from bayes_msem.checking.predictive.named_statistics import BUILT_IN, Compute, Statistic
from bayes_msem.checking.predictive.reduced_data import Sample
from bayes_msem.checking.predictive.structure import Structure, structure_at
from bayes_msem.inference.density import (
    log_posterior,
    no_coordinates,
    starting_point,
    support,
)
from bayes_msem.inference.maximise import Maximum, maximise
from bayes_msem.inference.mode import unconstrained_mode
from bayes_msem.inference.modes import unconstrained_axes
from bayes_msem.spec.table import RowKey

FloatArray = NDArray[np.float64]
Objective = Callable[[FloatArray], tuple[float, FloatArray]]

NAME = "chi_square_refit"

_STEPS, _DESCENT = 50, 1e-4  # at most so many, each with this part of the descent it promises
_GRADIENT = 1e-4  # in posterior SDs: the mode is then found to 1e-8 in log density
_TOLERATED = 0.03  # 1e-3 in log density, where the line search gets no further


class Refit:
    """Finds the posterior mode of complete data sets on one design.

    The search runs in coordinates in which the posterior of the first data set is standard normal.
    Replicates have about the same curvature, so a few gradients are enough.

    Parameters
    ----------
    complete
        The model on complete data.
    """

    def __init__(self, complete: CompleteModel) -> None:
        self.complete, self.failures = complete, 0
        first = complete.blueprint.to_sample
        self.bounds = support(first)
        self.center, _, self.converged, hessian = _first_mode(first)
        values, vectors = np.linalg.eigh(-hessian)
        spread = np.maximum(values, 1e-6 * float(values.max()))
        self.root = np.asarray(vectors) / np.sqrt(spread)

    def structure(self, sample: Sample, near: Structure) -> Structure:
        """Matrices at the mode of a sample, which is found once."""
        return sample.once(self, lambda: self._at_mode(sample, near))

    def lost(self, sample: Sample) -> None:
        """Count a sample whose mode is of no use, once."""

        def count() -> None:
            self.failures += 1

        sample.once((self, "lost"), count)

    def _at_mode(self, sample: Sample, near: Structure) -> Structure:
        blueprint = self.complete.on(sample).to_sample
        density = _with_constant_effects(blueprint)

        def objective(v: FloatArray) -> tuple[float, FloatArray]:
            value, gradient = density(self.center + self.root @ v)
            if not (np.isfinite(value) and np.isfinite(gradient).all()):  # far from any data
                return np.inf, np.zeros_like(v)
            return -value, -(self.root.T @ gradient)

        v, gradient = _minimum(objective, len(self.center))
        self.failures += not np.abs(gradient).max() < _TOLERATED
        x = self.bounds.to_constrained(self.center + self.root @ v)[0]
        point = np.ascontiguousarray(blueprint.extend_sampled(x))
        nothing: Mapping[RowKey, float] = {}
        b = near.b
        if blueprint.n_sampled:
            b = blueprint.likelihood.effects(point, no_coordinates(blueprint))
        return without_sampled_effects(structure_at(blueprint, sample.design, point, b, nothing))


def _with_constant_effects(blueprint: Blueprint) -> Objective:
    """Log posterior density of unconstrained parameters, sampled effects at their means.

    Coordinates of a blueprint without a pilot are standardised effects, so zeros are the means.
    """
    n, means = blueprint.parameters.n, no_coordinates(blueprint).ravel()

    def density(u: FloatArray) -> tuple[float, FloatArray]:
        value, gradient = log_posterior(blueprint, np.concatenate([u, means]), jacobian=True)
        return value, gradient[:n]

    return density


def _first_mode(blueprint: Blueprint) -> Maximum:
    """Mode of the data themselves, with the Hessian there."""
    if not blueprint.n_sampled:
        return unconstrained_mode(blueprint, jacobian=True)
    start = support(blueprint).to_unconstrained(starting_point(blueprint))
    return maximise(_with_constant_effects(blueprint), start, unconstrained_axes(blueprint))


def without_sampled_effects(structure: Structure) -> Structure:
    """Structure in which sampled effects do not vary: Omega of (a, z) given that r is zero.

    Sigma_j, coefficients and vectors stay as they are.
    """
    n_b = structure.b.shape[1]
    if not n_b:
        return structure
    omega = structure.omega
    n_a, n = len(structure.design.template.effects.linear), len(omega) - n_b
    of_z, of_b = slice(n_a, n), slice(n, n + n_b)
    slope = omega[of_b, of_z] @ np.linalg.pinv(omega[of_z, of_z], hermitian=True)
    residual = omega[of_b, of_b] - slope @ omega[of_z, of_b]
    cross = omega[:n_a, of_b] - omega[:n_a, of_z] @ slope.T
    kept = omega[:n, :n].copy()
    kept[:n_a, :n_a] -= cross @ np.linalg.pinv(residual, hermitian=True) @ cross.T
    return replace(
        structure, omega=kept, mean=structure.mean[:, :n], b=structure.b[:, :0], found={}
    )


def _minimum(objective: Objective, n: int) -> tuple[FloatArray, FloatArray]:
    """Minimise what is about v'v / 2, shifted; return where, and the gradient there.

    BFGS whose first Hessian is the identity, as the coordinates make it. Its steps are halved once
    if they do not descend; then L-BFGS-B takes over, whose line search knows what to do.
    """
    v, inverse = np.zeros(n), np.eye(n)
    value, gradient = objective(v)
    if not np.isfinite(value):
        return v, np.full(n, np.inf)  # counted as a failure: nothing leads away from here
    for _ in range(_STEPS):
        if np.abs(gradient).max() < _GRADIENT:
            return v, gradient
        step = -(inverse @ gradient)
        found, slope = objective(v + step)
        if not found < value + _DESCENT * float(step @ gradient):
            step = step / 2.0
            found, slope = objective(v + step)
        if not found < value + _DESCENT * float(step @ gradient):
            break  # also where there is no density, and no gradient either
        change = slope - gradient
        curvature = float(step @ change)
        if not curvature > 0.0:
            break
        moved = inverse @ change
        inverse += np.outer(step, step) * ((curvature + float(change @ moved)) / curvature**2)
        cross = np.outer(moved, step) / curvature
        inverse -= cross + cross.T
        v, value, gradient = v + step, found, slope
    last = optimize.minimize(
        objective,
        v,
        jac=True,
        method="L-BFGS-B",
        options={"gtol": _GRADIENT, "ftol": 1e-14},
    )
    return np.asarray(last.x, dtype=np.float64), np.asarray(last.jac, dtype=np.float64)


def refit_statistics(refit: Callable[[], Refit]) -> list[Statistic]:
    """Likelihood-ratio statistics at the mode: both levels, within, between.

    Parameters
    ----------
    refit
        Returns the :class:`Refit` of the check, built when it is asked for first.
    """

    def at_mode(plain: Statistic) -> Compute:
        def compute(sample: Sample, near: Structure) -> FloatArray:
            search = refit()
            at = search.structure(sample, near)

            def value() -> FloatArray:
                try:
                    return plain.compute(sample, at)
                except np.linalg.LinAlgError:  # the search ended where a covariance is singular
                    search.lost(sample)
                    return plain.compute(sample, without_sampled_effects(near))

            return sample.once((search, plain.level), value)

        return compute

    def obstacle_of(plain: Statistic) -> Callable[[Structure], str | None]:
        return lambda structure: plain.obstacle(without_sampled_effects(structure))

    return [
        replace(
            plain,
            name=NAME,
            title=f"{plain.title}, at the data's own mode",
            compute=at_mode(plain),
            obstacle=obstacle_of(plain),
        )
        for plain in BUILT_IN
        if plain.name == "chi_square"
    ]
