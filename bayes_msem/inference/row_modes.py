"""Modes of the effects of all clusters at fixed parameters, and what the rows say around them.

For models with outcomes that are not normal (inference.working).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from bayes_msem.blueprint.blueprint import Blueprint
from bayes_msem.gaussian.normal import given_known
from bayes_msem.inference.dependence import depends
from bayes_msem.likelihood.approximation import Approximation, semidefinite

__all__ = ["RowModes"]

FloatArray = NDArray[np.float64]

_HALVINGS = 8
_ROUNDING = 1e-9  # of log densities, relative
_PART = 1e-4  # of a standard deviation: the step of differences of gradients


class RowModes:
    """All clusters at fixed parameters."""

    def __init__(self, blueprint: Blueprint, x: FloatArray) -> None:
        self.blueprint, self.x = blueprint, x
        self.extended = np.ascontiguousarray(blueprint.extend_sampled(x))
        self.likelihood = blueprint.likelihood
        self.origin = np.zeros(self.likelihood.score_shape)
        observed, first = blueprint.observed, blueprint.template.first_sampled
        z = observed.normal_z
        self.z = z if depends(blueprint, "z", "b") else z[:, :0]
        n_b, n_groups = blueprint.n_sampled, max(observed.n_clusters, 1)
        self.means, self.spread = np.zeros((n_groups, n_b)), np.zeros((n_groups, n_b, n_b))
        if n_b:  # means and covariance matrices given z
            omega, c = self.likelihood.level_two(self.extended)
            expected = observed.cluster_design @ c
            given = np.arange(first - self.z.shape[1], first)
            shift, self.spread = given_known(
                omega, np.arange(first, len(omega)), given, self.z - expected[:, given]
            )
            self.means = expected[:, first:] + shift

    def reweight(self, b: FloatArray) -> None:
        """Replace the densities of responses by normal ones at the modes of the scores."""
        for _ in range(2):  # the first weights are those of s = 0
            found = self.likelihood.scores(self.extended, b, self.origin)
            working = self.likelihood.working(self.extended, found)
            self.likelihood = self.likelihood.with_working(*working)
        self.likelihood = self.likelihood.with_cluster_working(self.extended, b)

    def pull(self, b: FloatArray) -> FloatArray:
        """Deviations from the means over covariance matrices, (J, n_b)."""
        deviation = (b - self.means)[:, :, None]
        found: FloatArray = np.linalg.solve(self.spread, deviation)[:, :, 0]
        return found

    def row_values(self, b: FloatArray) -> FloatArray:
        """Return what the rows say about effects b, (J,)."""
        return self.likelihood.row_terms(self.extended, b, self.origin).value

    def height(self, b: FloatArray) -> FloatArray:
        """Log density of data and effects, up to constants, (J,)."""
        deviation, terms, solved = b - self.means, self.row_values(b), self.pull(b)
        terms = terms + self.likelihood.cluster_terms(self.extended, b).value
        height = terms - 0.5 * (solved * deviation).sum(axis=1)
        return np.where(np.isnan(height), -np.inf, height)

    def slopes(self, b: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Gradient (J, n_b) of what the rows say about b, and information (J, n_b, n_b)."""
        gradient = self.likelihood.row_terms(self.extended, b, self.origin).d_effects
        n = b.shape[1]
        information = np.empty((len(b), n, n))
        for k in range(n):
            step = np.zeros_like(b)
            step[:, k] = _PART * np.sqrt(self.spread[:, k, k])
            above, below = (
                self.likelihood.row_terms(self.extended, b + h, self.origin).d_effects
                for h in (step, -step)
            )
            information[:, :, k] = (below - above) / (2.0 * step[:, [k]])
        information = (information + information.transpose(0, 2, 1)) / 2
        return gradient, semidefinite(np.where(np.isfinite(information), information, 0.0))

    def step(self, b: FloatArray) -> tuple[FloatArray, float]:
        """Take a Newton step, shortened where it leads down; also return its length in SDs."""
        if not b.shape[1]:
            return b, 0.0
        gradient, information = self.slopes(b)
        gradient = gradient + self.likelihood.cluster_terms(self.extended, b).d_effects
        of_clusters, _ = self.likelihood.clusters_say(self.extended, np.zeros(b.shape[1]))
        information = information + of_clusters
        pull = gradient - self.pull(b)
        # (I + V H) d = V pull, which does without the inverse of V
        inside = np.eye(b.shape[1]) + self.spread @ information
        move = np.linalg.solve(inside, self.spread @ pull[:, :, None])[:, :, 0]
        height, part = self.height(b), np.ones(len(b))
        for _ in range(_HALVINGS):
            reached = self.height(b + part[:, None] * move)
            lower = ~(reached >= height - _ROUNDING * np.abs(height))
            if not lower.any():
                break
            part = np.where(lower, part / 2, part)
        part = np.where(lower, 0.0, part)
        sd = np.sqrt(np.einsum("jkk->jk", self.spread))
        moved = np.abs(part[:, None] * move) / np.where(sd > 0, sd, 1.0)
        return b + part[:, None] * move, float(moved.max())

    def expansion(self, b: FloatArray) -> Blueprint:
        """Coordinates built on what the rows say around b."""
        likelihood = self.likelihood
        if self.blueprint.n_sampled:
            gradient, information = self.slopes(b)
            linear = np.einsum("jik,jk->ji", information, b) + gradient
            shift = likelihood.shift(self.extended)
            linear -= np.einsum("jik,k->ji", information, shift)
            likelihood = likelihood.with_approximation(
                Approximation(information, linear, b.shape[1], self.z)
            )
        return replace(self.blueprint, likelihood=likelihood, pilot=self.x)
