"""The likelihood of every cluster's effects, expanded to second order around their modes.

With e = (a, b), a the linear and b the sampled effects, and the likelihood of a cluster's rows

    log p(y_j | a + d, b, theta) = c(b) + g(b)' d - 1/2 d' H(b) d

(kernels.recovery.cluster_messages), minus the second derivative at d = 0 is

    Lambda_aa = H ,   Lambda_ab = -g'(b) ,   Lambda_bb = -c''(b) ,

made positive semidefinite, and eta_j = Lambda_j e_j + gradient. To c belongs -1/2 log|I + V H(b)|,
with V the variance of a given b and z at the current theta: it is how the volume of a changes with
b, so that with a integrated out the approximation has the curvature of the true likelihood of b.

Where linear and sampled effects are independent whatever the parameters, a is integrated out of the
approximation at the current theta: nothing of theta that matters is frozen then.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from bayes_msem.blueprint.blueprint import Blueprint, with_approximation
from bayes_msem.blueprint.grouped_blueprint import with_parts
from bayes_msem.gaussian.normal import given_known
from bayes_msem.inference.density import starting_point
from bayes_msem.inference.dependence import depends
from bayes_msem.likelihood.approximation import Approximation, semidefinite
from bayes_msem.likelihood.grouped_likelihood import GroupedLikelihood

FloatArray = NDArray[np.float64]

_CENTRED = 1e6  # times the information: the prior then hardly counts
_STEPS, _HALVINGS, _SETTLED = 30, 8, 0.01
_ROUNDING = 1e-9  # of log densities, relative
_PART = 0.01  # of a standard deviation given the data: the step of differences


def expand_groups(blueprint: Blueprint, x: FloatArray, b: FloatArray | None) -> Blueprint:
    """As :func:`expand_clusters`, of a model of several groups: one group after the other."""
    assert isinstance(blueprint.likelihood, GroupedLikelihood)
    units = starting_point(blueprint)
    parts = [
        expand_clusters(part, x, None if b is None else np.ascontiguousarray(b[own]), units)
        for part, own in zip(blueprint.parts, blueprint.likelihood.clusters, strict=True)
    ]
    return with_parts(blueprint, parts, x)


def expand_clusters(
    blueprint: Blueprint, x: FloatArray, b: FloatArray | None, units: FloatArray | None = None
) -> Blueprint:
    """Coordinates built on expansions around the modes of the effects at sampled parameters x.

    Parameters
    ----------
    blueprint
        A model with sampled effects.
    x
        Sampled parameters (n_free,).
    b
        Where the search for the modes starts; None: at the means of the effects.
    units
        Sampled parameters at which the effects have their units; None: at the starting point.
    """
    clusters = _Clusters(blueprint, x, units)
    b = clusters.means() if b is None else b
    height = clusters.height(b)
    if not np.isfinite(height).all():
        b = clusters.means()
        height = clusters.height(b)
    for _ in range(_STEPS):
        current = clusters.expansion(b)
        b, height, moved = clusters.climb(current, b, height)
        if moved < _SETTLED:
            break
    return clusters.expansion(b)


def centred(blueprint: Blueprint) -> Blueprint:
    """Coordinates that are the effects themselves, shifted and scaled by constants."""
    likelihood = blueprint.likelihood
    own, n_a = likelihood.approximation, likelihood.approximation.n_linear
    information = _CENTRED * own.information[:, n_a:, n_a:]
    linear = _CENTRED * own.linear[:, n_a:]
    none = np.empty((len(linear), 0))
    plain = Approximation(information, linear, own.n_sampled, none)
    return with_approximation(blueprint, plain, blueprint.pilot)


class _Clusters:
    """All clusters at fixed parameters."""

    def __init__(self, blueprint: Blueprint, x: FloatArray, units: FloatArray | None) -> None:
        self.blueprint, self.x, self.likelihood = blueprint, x, blueprint.likelihood
        self.extended = np.ascontiguousarray(blueprint.extend_sampled(x))
        self.omega, self.c_b = self.likelihood.level_two(self.extended)
        self.first = blueprint.template.first_sampled
        self.n_a = len(blueprint.template.effects.linear)
        self.n_uses = len(blueprint.template.effects.use_effect)
        # in the units of the effects, whatever the current parameters
        units = starting_point(blueprint) if units is None else units
        start = np.ascontiguousarray(blueprint.extend_sampled(units))
        omega = self.likelihood.level_two(start).Omega
        self.steps = np.sqrt(np.diag(omega)[self.first :])
        with_z = depends(blueprint, "z", "b")
        self.with_linear = depends(blueprint, "a", "b") or (with_z and depends(blueprint, "a", "z"))
        z = blueprint.observed.normal_z
        self.z = z if with_z else z[:, :0]

    def means(self) -> FloatArray:
        """Means of the sampled effects given what cluster-level covariates say."""
        means: FloatArray = self.blueprint.observed.cluster_design @ self.c_b[:, self.first :]
        return np.ascontiguousarray(means)

    def height(self, b: FloatArray) -> FloatArray:
        """Log p(y_j, z_j, b_j | theta) up to a constant."""
        deviation = b - self.means()
        covariance = self.omega[self.first :, self.first :]
        sd = np.sqrt(np.diag(covariance))
        scaled = np.linalg.solve(covariance / np.outer(sd, sd), (deviation / sd).T)
        prior = -0.5 * np.einsum("ij,ji->j", scaled, deviation / sd)
        terms = self.likelihood.terms(self.extended, b[None], self.likelihood.statistics)[0]
        height: FloatArray = terms + prior
        return np.where(np.isnan(height), -np.inf, height)

    def climb(
        self, expanded: Blueprint, b: FloatArray, height: FloatArray
    ) -> tuple[FloatArray, FloatArray, float]:
        """Move every cluster to the mode of its expansion, or part of the way if that is lower.

        Returns
        -------
        tuple of (array, array, float)
            Effects, their heights, and the largest move in standard deviations.
        """
        likelihood = expanded.likelihood
        t = np.zeros_like(b)
        goal = likelihood.effects(self.extended, t)
        slopes = likelihood.coordinate_map(self.extended, t).slope
        moves = np.abs(np.linalg.solve(slopes, (goal - b)[:, :, None])[:, :, 0]).max(axis=1)
        part = np.ones(len(b))
        for _ in range(_HALVINGS):
            found = b + part[:, None] * (goal - b)
            reached = self.height(found)
            lower = reached < height - _ROUNDING * np.abs(height)
            if not lower.any():
                break
            part = np.where(lower, part / 2, part)
        b = np.where(lower[:, None], b, found)
        moved = float(np.where(lower, 0.0, part * moves).max())
        return b, np.where(lower, height, reached), moved

    def expansion(self, b: FloatArray) -> Blueprint:
        """Coordinates built on the expansion around b and the linear effects that belong to it."""
        normals = np.zeros((len(b), self.n_uses))
        likelihood, x = self.likelihood, self.extended
        a, _ = likelihood.linear_effects(x, b, normals, likelihood.statistics)
        means, spread = self._linear_given(b)

        def at(point: FloatArray) -> tuple[FloatArray, FloatArray]:
            c, g, h = likelihood.messages(x, a, point)
            volume = np.linalg.slogdet(np.eye(self.n_a) + spread @ h)[1]
            return c - 0.5 * volume, g

        _, g, h = likelihood.messages(x, a, b)
        d_c, cc, d_g = _derivatives(at, b, self.steps)
        information = semidefinite(np.block([[h, -d_g], [-d_g.transpose(0, 2, 1), -cc]]))
        e, gradient = np.concatenate([a, b], axis=1), np.concatenate([g, d_c], axis=1)
        linear = np.einsum("jik,jk->ji", information, e) + gradient
        if not self.with_linear:
            information, linear = self._without_linear(information, linear, means, spread)
        approximation = Approximation(information, linear, b.shape[1], self.z)
        return with_approximation(self.blueprint, approximation, self.x)

    def _linear_given(self, b: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Means (J, n_a) and variances (J, n_a, n_a) of the linear effects given z and b."""
        n, observed = self.n_a, self.blueprint.observed
        u = np.concatenate([observed.normal_z, b], axis=1)
        u = u - observed.cluster_design @ self.c_b[:, n:]
        shift, spread = given_known(self.omega, np.arange(n), np.arange(n, len(self.omega)), u)
        return observed.cluster_design @ self.c_b[:, :n] + shift, spread

    def _without_linear(
        self, information: FloatArray, linear: FloatArray, means: FloatArray, spread: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Integrate out linear effects, which are independent of b given z; V may be singular."""
        n = self.n_a
        h, cross = information[:, :n, :n], information[:, :n, n:]
        inside = np.eye(n) + h @ spread
        gain = spread @ np.linalg.solve(inside, cross)
        reduced = information[:, n:, n:] - cross.transpose(0, 2, 1) @ gain
        pull = linear[:, :n] - np.einsum("jqs,js->jq", h, means)
        middle = means + (spread @ np.linalg.solve(inside, pull[:, :, None]))[:, :, 0]
        rest = linear[:, n:] - np.einsum("jqi,jq->ji", cross, middle)
        return semidefinite(reduced), rest


def _derivatives(
    at: Callable[[FloatArray], tuple[FloatArray, FloatArray]], b: FloatArray, units: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """First and second derivatives of c (J, n_b), (J, n_b, n_b), first of g (J, n_a, n_b).

    By central differences, each with a step that changes c by ``_PART``^2 / 2 or so.
    """
    n = b.shape[1]
    c, g = at(b)
    steps = np.tile(_PART * units, (len(b), 1))
    for _ in range(3):
        for i in range(n):
            step = np.zeros_like(b)
            step[:, i] = steps[:, i]
            bend = np.abs(at(b + step)[0] + at(b - step)[0] - 2 * c)
            # what is not finite asks for a smaller step
            factor = np.where(np.isfinite(bend), _PART / np.sqrt(np.maximum(bend, 1e-12)), 0.01)
            steps[:, i] = np.minimum(
                steps[:, i] * np.clip(factor, 0.01, 10.0), 10 * _PART * units[i]
            )
    d_c, d_cc, d_g = np.empty_like(b), np.empty((len(b), n, n)), np.empty((*g.shape, n))
    for i in range(n):
        one = np.zeros_like(b)
        one[:, i] = steps[:, i]
        (above, g_above), (below, g_below) = at(b + one), at(b - one)
        d_c[:, i] = (above - below) / (2 * steps[:, i])
        d_cc[:, i, i] = (above + below - 2 * c) / steps[:, i] ** 2
        d_g[:, :, i] = (g_above - g_below) / (2 * steps[:, i, None])
        for k in range(i):
            other = np.zeros_like(b)
            other[:, k] = steps[:, k]
            bend = at(b + one + other)[0] + at(b - one - other)[0]
            bend -= at(b + one - other)[0] + at(b - one + other)[0]
            d_cc[:, i, k] = d_cc[:, k, i] = bend / (4 * steps[:, i] * steps[:, k])
    return d_c, d_cc, d_g
