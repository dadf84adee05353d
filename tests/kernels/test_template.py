"""Kernels of a template against dense matrix algebra, and against structure.matrices.

Sigma = F (I - B)^-1 Psi (I - B)^-T F',  C = F (I - B)^-1 K.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

import bayes_msem as bm
from bayes_msem.data.readonly import frozen
from bayes_msem.kernels import layout
from bayes_msem.kernels.template import backward, effects_of, forward
from bayes_msem.structure.matrices import level_matrices
from bayes_msem.structure.templates import LevelTemplate

Array = NDArray[np.float64]

TEXTS = {
    "factor": "F =~ a + b + c",
    "path, text from the last to the first": "e ~ d + b\nd ~ c + a\nc ~ b\nb ~ a + x\na ~ x",
    "path through factors": "F =~ a + b\nG =~ c + d\nG ~ F + x\ne ~ G\na ~~ c",
    "third order": "F =~ a + b\nG =~ c + d\nH =~ F + G + e\nT =~ H + x\n",
    "cycle of 2": "a ~ b + x\nb ~ a + c\nc ~ x",
    "cycle of 3 and a tail": "a ~ b\nb ~ c\nc ~ a + x\nd ~ a + x\nd ~~ c",
    "cycle of factors": "F =~ a + b\nG =~ c + d\nF ~ G + x\nG ~ F + e\ne ~ 1",
}
CYCLIC = {name for name in TEXTS if name.startswith("cycle")}


@numba.njit
def moments_and_gradient(level, values, sigma, c, d_sigma, d_c):  # type: ignore[no-untyped-def]
    """Add to sigma and c; return the gradient of sum(d_sigma * Sigma) + sum(d_c * C)."""
    effects, gradient = effects_of(level), np.zeros(len(values))
    forward(level, values, effects, sigma, c)
    d_t, h = np.zeros((level.m, level.n)), np.empty((level.m, level.n))
    backward(level, values, effects, d_sigma, d_c, d_t, h, gradient)
    return gradient


@dataclass
class Level:
    """One level's template with random cell values, and its moments by dense algebra."""

    template: LevelTemplate
    n_outcomes: int
    n_design: int
    values: Array

    def cells(self, name: str) -> NDArray[np.int64]:
        cells = getattr(self.template, name)
        return frozen(np.array([cells.row, cells.column, cells.source]))

    def dense(self, values: Array) -> tuple[Array, Array]:
        """Also for complex values, so that derivatives can be had by a complex step."""
        m, kind = len(self.template.names), values.dtype
        B, Psi, K = (np.zeros((m, size), dtype=kind) for size in (m, m, self.n_design))
        for matrix, name in ((B, "b"), (Psi, "psi"), (K, "k")):
            row, column, source = self.cells(name)
            matrix[row, column] = values[source]
        Psi = Psi + Psi.T - np.diag(np.diag(Psi))
        F = np.zeros((self.n_outcomes, m))
        F[self.template.observed_position, self.template.observed_variable] = 1.0
        total = F @ np.linalg.inv(np.eye(m) - B)
        return total @ Psi @ total.T, total @ K

    def kernel(self, values: Array, d_sigma: Array, d_c: Array) -> tuple[Array, Array, Array]:
        """Sigma, C and the gradient of sum(d_sigma * Sigma) + sum(d_c * C)."""
        p, d = self.n_outcomes, self.n_design
        sigma, c = np.zeros((p, p)), np.zeros((d, p))
        gradient = moments_and_gradient(self.packed, values, sigma, c, d_sigma, d_c.T.copy())
        return sigma, c.T, gradient

    @property
    def packed(self) -> layout.Level:
        """As the kernels see it."""
        t = self.template
        at = (frozen(a.copy()) for a in (t.observed_variable, t.observed_position))
        sizes = len(t.names), self.n_outcomes, self.n_design, t.recursive
        return layout.Level(*sizes, *at, *(self.cells(name) for name in ("b", "psi", "k")))


def random_level(text: str, seed: int) -> Level:
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(rng.normal(size=(40, 6)), columns=list("abcdex"))
    template = bm.Model(text, data=frame).blueprint.template
    values = rng.normal(0, 0.6, size=template.n_theta + len(template.constants))
    within = template.within
    return Level(within, len(within.outcomes), len(within.design), values)


@pytest.mark.parametrize("name", TEXTS)
def test_recursive_models_are_recognised(name: str) -> None:
    assert random_level(TEXTS[name], 1).template.recursive == (name not in CYCLIC)


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("name", TEXTS)
def test_moments_equal_dense_algebra(name: str, seed: int) -> None:
    """Rounding: 1e-12 for matrices with condition numbers of up to 1e3."""
    level = random_level(TEXTS[name], seed)
    p, d = level.n_outcomes, level.n_design
    sigma, c, _ = level.kernel(level.values, np.zeros((p, p)), np.zeros((p, d)))
    expected_sigma, expected_c = level.dense(level.values)
    np.testing.assert_allclose(sigma, expected_sigma, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(c, expected_c, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("name", TEXTS)
def test_gradient_equals_complex_steps_of_dense_algebra(name: str, seed: int) -> None:
    """A complex step needs no difference of nearby values: exact to rounding."""
    level = random_level(TEXTS[name], seed)
    p, d = level.n_outcomes, level.n_design
    rng = np.random.default_rng(seed)
    d_sigma, d_c = rng.normal(size=(p, p)), rng.normal(size=(p, d))
    d_sigma = d_sigma + d_sigma.T
    _, _, gradient = level.kernel(level.values, d_sigma, d_c)
    expected = np.zeros_like(gradient)
    for i in range(len(level.values)):
        sigma, c = level.dense(level.values + 1e-30j * np.eye(len(level.values))[i])
        expected[i] = (np.sum(d_sigma * sigma.imag) + np.sum(d_c * c.imag)) / 1e-30
    np.testing.assert_allclose(gradient, expected, rtol=1e-10, atol=1e-10)


def test_moments_are_added_to_what_is_there() -> None:
    level = random_level(TEXTS["factor"], 1)
    p, d = level.n_outcomes, level.n_design
    once, _, _ = level.kernel(level.values, np.zeros((p, p)), np.zeros((p, d)))
    sigma, c = np.full((p, p), 5.0), np.zeros((d, p))
    nothing = np.zeros((p, p)), np.zeros((d, p))
    moments_and_gradient(level.packed, level.values, sigma, c, *nothing)
    np.testing.assert_allclose(sigma, once + 5.0, rtol=1e-14)


@pytest.mark.parametrize("name", TEXTS)
def test_the_twin_in_numpy_says_the_same(name: str) -> None:
    """Rounding: 1e-12 for matrices with condition numbers of up to 1e3."""
    level = random_level(TEXTS[name], 4)
    p, d, t = level.n_outcomes, level.n_design, level.template
    sigma, c, _ = level.kernel(level.values, np.zeros((p, p)), np.zeros((p, d)))
    matrices = level_matrices(t, level.values)
    at = t.observed_variable[np.argsort(t.observed_position)]
    np.testing.assert_allclose(sigma, matrices.covariance[np.ix_(at, at)], rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(c, matrices.coefficients[at], rtol=1e-12, atol=1e-12)
