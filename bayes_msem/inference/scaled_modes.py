r"""Modes of effects where log SDs of residuals depend on the row.

The joint density of an outcome's location and log SD has a spike where the location fits the data:
the mode of a log SD beside that of its location is too low, and far too low where rows are few. So
the log SD is placed as if the location were integrated out. With what the data leave open of eta,

    v_i = Var(eta_i | y) ,   q_i = exp(-2 delta_i) ((y_i - eta_i)^2 + v_i) ,

the derivative of the log density in delta, averaged over the location, is q_i - 1, as in the EM
algorithm for variance components. Around the current values the density of a row is replaced by two
normal ones, one for eta and one for delta (both are linear predictors),

    eta:    weight exp(-2 delta_i)       working response  y_i
    delta:  weight 1 + q_i               working response  delta_i + (q_i - 1) / (q_i + 1) .

1 + q_i is the mean of the expected information, 2, and the observed one, 2 q_i. With it, the step
towards the delta of one row is the hyperbolic tangent of its distance, neither too long nor slow.
Only coordinates are built on this: it decides how well chains move, and nothing else.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from bayes_msem.blueprint.blueprint import Blueprint
from bayes_msem.inference.row_modes import RowModes
from bayes_msem.likelihood.approximation import semidefinite

__all__ = ["ScaledModes"]

FloatArray = NDArray[np.float64]

_PART = 1e-4  # of a standard deviation: the step of differences


class ScaledModes(RowModes):
    """All clusters at fixed parameters, with scaled responses replaced by their working ones."""

    def __init__(self, blueprint: Blueprint, x: FloatArray) -> None:
        super().__init__(blueprint, x)
        rows = self.likelihood.responses
        assert rows is not None
        template = rows.template
        self.cluster, self.first = rows.cluster, len(template.names)
        self.at = np.array([template.names.index(name) for name in template.scaled])
        self.every = np.concatenate([self.at, self.first + np.arange(len(self.at))])
        self.outcomes = rows.y[:, self.at]
        self.uncertain: FloatArray | None = None  # covariance matrices of effects given the data
        self.silent = self.likelihood

    def reweight(self, b: FloatArray) -> None:
        """Replace densities by working ones at the modes of the scores; twice, as for others."""
        for _ in range(2):
            found = self.likelihood.scores(self.extended, b, self.origin)
            weight, target, carried = self.likelihood.working(self.extended, found)
            eta, delta = found.predictors[:, self.at], found.predictors[:, self.first :]
            with np.errstate(over="ignore"):
                precision = np.exp(-2.0 * delta)
                squares = precision * ((self.outcomes - eta) ** 2 + self._left_open(b))
            known = ~np.isnan(self.outcomes)
            weight[:, self.first :] = np.where(known, 1.0 + squares, 0.0)
            target[:, self.first :] = np.where(known, delta + (squares - 1) / (squares + 1), 0.0)
            self.likelihood = self.likelihood.with_working(weight, target, carried)
        self.likelihood = self.likelihood.with_cluster_working(self.extended, b)
        rows = self.likelihood.responses
        assert rows is not None
        y = rows.y.copy()
        y[:, self.every] = np.nan
        self.silent = replace(self.likelihood, responses=replace(rows, y=y))
        if b.shape[1]:
            _, information = self.slopes(b)
            inside = np.eye(b.shape[1]) + self.spread @ information
            self.uncertain = np.linalg.solve(inside, self.spread)

    def _left_open(self, b: FloatArray) -> FloatArray:
        """Variances of eta given the data, from scores and effects, (N, K)."""
        result = np.zeros(self.outcomes.shape)
        start = self._predictors(b)[:, self.at]
        for f in range(self.origin.shape[1]):
            moved = self.origin.copy()
            moved[:, f] = 1.0
            found = self.likelihood.scores(self.extended, b, moved).predictors[:, self.at]
            result += (found - start) ** 2
        if self.uncertain is not None:
            slopes = self._predictor_slopes(b)[:, : len(self.at)]
            own = self.uncertain[self.cluster]
            result += np.einsum("nki,nij,nkj->nk", slopes, own, slopes, optimize=True)
        return result

    def _predictors(self, b: FloatArray) -> FloatArray:
        return self.likelihood.scores(self.extended, b, self.origin).predictors

    def _steps(self) -> FloatArray:
        sd = np.sqrt(np.einsum("jkk->jk", self.spread))
        return np.asarray(_PART * np.where(sd > 0, sd, 1.0))

    def _predictor_slopes(self, b: FloatArray) -> FloatArray:
        """Slopes of the linear predictors of scaled responses on effects, (N, 2 K, n_b)."""
        result, steps = np.empty((len(self.outcomes), len(self.every), b.shape[1])), self._steps()
        for k in range(b.shape[1]):
            step = np.zeros_like(b)
            step[:, k] = steps[:, k]
            above, below = self._predictors(b + step), self._predictors(b - step)
            width = 2.0 * steps[self.cluster, k]
            result[:, :, k] = (above - below)[:, self.every] / width[:, None]
        return result

    def _working(self, b: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Weights of the linear predictors of scaled responses, and weighted residuals."""
        rows = self.likelihood.responses
        assert rows is not None
        weight = rows.weight[:, self.every]
        return weight, weight * (rows.target[:, self.every] - self._predictors(b)[:, self.every])

    def _sums(self, values: FloatArray) -> FloatArray:
        result = np.zeros((len(self.means), *values.shape[1:]))
        np.add.at(result, self.cluster, values)
        return result

    def row_values(self, b: FloatArray) -> FloatArray:
        """Return what the rows say about effects b, (J,): the working density."""
        weight, pull = self._working(b)
        squares = np.where(weight > 0, pull**2 / np.where(weight > 0, weight, 1.0), 0.0)
        rest = self.silent.row_terms(self.extended, b, self.origin).value
        return np.asarray(rest - 0.5 * self._sums(squares.sum(axis=1)))

    def slopes(self, b: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Gradient (J, n_b) of what the rows say about b, and information (J, n_b, n_b)."""
        gradient = self.silent.row_terms(self.extended, b, self.origin).d_effects.copy()
        information, steps = np.empty((*b.shape, b.shape[1])), self._steps()
        for k in range(b.shape[1]):
            step = np.zeros_like(b)
            step[:, k] = steps[:, k]
            above, below = (
                self.silent.row_terms(self.extended, b + h, self.origin).d_effects
                for h in (step, -step)
            )
            information[:, :, k] = (below - above) / (2.0 * steps[:, [k]])
        information = semidefinite((information + information.transpose(0, 2, 1)) / 2)
        slopes, (weight, pull) = self._predictor_slopes(b), self._working(b)
        gradient += self._sums(np.einsum("nki,nk->ni", slopes, pull))
        information += self._sums(np.einsum("nki,nk,nkj->nij", slopes, weight, slopes))
        return gradient, information

    def pull(self, b: FloatArray) -> FloatArray:
        """Deviations over covariance matrices; of effects without variance, 0."""
        inverse = np.linalg.pinv(self.spread, hermitian=True)
        return np.asarray(np.einsum("jik,jk->ji", inverse, b - self.means))
