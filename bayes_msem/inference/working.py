r"""Coordinates of effects and scores of models with outcomes that are not normal.

At given parameters the modes of effects and scores are found together, by iteratively reweighted
least squares: the density of every response is replaced by the normal one that it looks like at the
current linear predictor (kernels.row_working.working_of), which gives the scores of a row in closed
form; with the scores integrated out by Laplace's method (their coordinates at zero), effects take a
Newton step towards

    sum_i log p(y_i, s_i(b) | b) - log|L_i| + log p(b | z) .

Responses of clusters add their own density, and are replaced by normal ones in the same way. What
the rows say about effects is then their part to second order, and coordinates are built on it, and
on the approximations of clusters' responses, as in inference.expansion. Derivatives in b are the
kernel's, second ones their differences.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from bayes_msem.blueprint.blueprint import Blueprint
from bayes_msem.gaussian.normal import given_known
from bayes_msem.inference.dependence import depends
from bayes_msem.likelihood.approximation import Approximation, semidefinite

FloatArray = NDArray[np.float64]

_STEPS, _HALVINGS, _SETTLED = 20, 8, 0.01
_ROUNDING = 1e-9  # of log densities, relative
_PART = 1e-4  # of a standard deviation: the step of differences of gradients

__all__ = ["expand_rows"]


def expand_rows(blueprint: Blueprint, x: FloatArray, b: FloatArray | None) -> Blueprint:
    """Coordinates built around the modes of effects and scores at sampled parameters x.

    Parameters
    ----------
    blueprint
        A model with outcomes that are not normal.
    x
        Sampled parameters (n_free,).
    b
        Where the search for the modes starts; None: at the means of the effects.
    """
    rows = _Rows(blueprint, x)
    if b is None or b.shape != rows.means.shape or not np.isfinite(b).all():
        b = rows.means
    for _ in range(_STEPS):
        rows.reweight(b)
        b, moved = rows.step(b)
        if moved < _SETTLED:
            break
    return rows.expansion(b)


class _Rows:
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

    def height(self, b: FloatArray) -> FloatArray:
        """Log density of data and effects, up to constants, (J,)."""
        deviation = b - self.means
        terms = self.likelihood.row_terms(self.extended, b, self.origin).value
        solved = np.linalg.solve(self.spread, deviation[:, :, None])[:, :, 0]
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
        pull = gradient - np.linalg.solve(self.spread, (b - self.means)[:, :, None])[:, :, 0]
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
        return b + part[:, None] * move, float(np.abs(part[:, None] * move / sd).max())

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
