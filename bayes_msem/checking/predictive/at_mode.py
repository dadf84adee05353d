"""Likelihood-ratio statistics at the data's own best fit.

Distances from a *draw* mix misfit with the draw's distance from the best fit, in data and
replicates alike: their p-values are safe, but they crowd around .5 and miss weak misfit. Here every
data set, observed or replicated, is measured at its own posterior mode instead. The statistic is
then a function of the data alone, hardly depends on the parameters, and its p-values are close to
uniform if the model is right. The price is an optimisation per replicate.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from bayes_msem.blueprint.blueprint import Blueprint, build_blueprint
from bayes_msem.checking.predictive.named_statistics import BUILT_IN, Compute, Statistic
from bayes_msem.checking.predictive.reduced_data import Sample
from bayes_msem.checking.predictive.structure import Structure, structure_at
from bayes_msem.inference.density import log_posterior, support
from bayes_msem.inference.mode import unconstrained_mode
from bayes_msem.spec.table import RowKey

FloatArray = NDArray[np.float64]

NAME = "chi_square_refit"

_GRADIENT = 1e-3  # in posterior SDs: the mode is then found to 1e-6 in log density
_TOLERATED = 0.03  # 1e-3 in log density, where the line search gets no further


class Refit:
    """Finds the posterior mode of complete data sets on one design.

    The search runs in coordinates in which the posterior of the first data set is standard normal.
    Replicates have about the same curvature, so a few gradients are enough.

    Parameters
    ----------
    blueprint
        The model without sampled effects.
    sample
        Some complete data on the design.
    """

    def __init__(self, blueprint: Blueprint, sample: Sample) -> None:
        self.blueprint = build_blueprint(blueprint.table, blueprint.priors, sample.data)
        self.failures = 0
        self.bounds = support(self.blueprint)
        self.center, _, self.converged, hessian = unconstrained_mode(self.blueprint, jacobian=True)
        values, vectors = np.linalg.eigh(-hessian)
        spread = np.maximum(values, 1e-6 * float(values.max()))
        self.root = np.asarray(vectors) / np.sqrt(spread)
        self._known: list[tuple[Sample, Structure]] = []

    def structure(self, sample: Sample, near: Structure) -> Structure:
        """Matrices at the mode of a sample; the last two are kept."""
        for known, structure in self._known:
            if known is sample:
                return structure
        blueprint = self.blueprint.on(sample.data)

        def objective(v: FloatArray) -> tuple[float, FloatArray]:
            value, gradient = log_posterior(blueprint, self.center + self.root @ v, jacobian=True)
            return -value, -(self.root.T @ gradient)

        found = optimize.minimize(
            objective,
            np.zeros(len(self.center)),
            jac=True,
            method="L-BFGS-B",
            options={"gtol": _GRADIENT, "ftol": 1e-14},
        )
        v, gradient = (np.asarray(a, dtype=np.float64) for a in (found.x, found.jac))
        self.failures += not np.abs(gradient).max() < _TOLERATED
        x = self.bounds.to_constrained(self.center + self.root @ v)[0]
        point = np.ascontiguousarray(self.blueprint.extend_sampled(x))
        nothing: Mapping[RowKey, float] = {}
        structure = structure_at(self.blueprint, sample.design, point, near.b, nothing)
        self._known = [*self._known[-1:], (sample, structure)]
        return structure


def refit_statistics(refit: Callable[[Sample], Refit]) -> list[Statistic]:
    """Likelihood-ratio statistics at the mode: both levels, within, between.

    Parameters
    ----------
    refit
        Returns the :class:`Refit` of the check, given some data to build it from.
    """

    def at_mode(plain: Statistic) -> Compute:
        def compute(sample: Sample, near: Structure) -> FloatArray:
            return plain.compute(sample, refit(sample).structure(sample, near))

        return compute

    def obstacle_of(plain: Statistic) -> Callable[[Structure], str | None]:
        def obstacle(structure: Structure) -> str | None:
            if structure.b.shape[1]:
                return "the mode of a model with sampled effects has no closed form"
            return plain.obstacle(structure)

        return obstacle

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
