"""Log densities of single cells and their derivatives, to 1e-10 of the larger of 1 and the value.

References have 80 digits (tests/reference/responses); tests/outcomes compares SciPy's densities.
"""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import erfcx

from bayes_msem.kernels.responses import (
    GAUSSIAN,
    LOGIT,
    NEGBINOMIAL,
    POISSON,
    PROBIT,
    mills_ratio,
    response,
    working_weight,
)

Array = NDArray[np.float64]

CODES = {"gaussian": GAUSSIAN, "probit": PROBIT, "logit": LOGIT, "poisson": POISSON,
         "negbinomial": NEGBINOMIAL}  # fmt: skip
VALUES = np.loadtxt(
    Path(__file__).parents[1] / "reference" / "responses" / "values.csv", delimiter=",", skiprows=1
)


def cell(code: int, *values: float) -> Array:
    """Log density, derivatives (eta, lower, upper, dispersion), weight."""
    arguments = [float(v) for v in values]
    return np.array([*response(code, *arguments), working_weight(code, *arguments)])


@pytest.mark.parametrize("name", CODES)
def test_equals_references(name: str) -> None:
    rows = VALUES[VALUES[:, 0] == CODES[name]]
    assert len(rows) > 8
    found = np.array([cell(CODES[name], *row[1:6]) for row in rows])
    off = np.abs(found - rows[:, 6:]) / np.maximum(1.0, np.abs(rows[:, 6:]))
    worst = np.unravel_index(np.argmax(off), off.shape)[0]
    assert off.max() < 1e-10, (rows[worst], found[worst])


def test_mills_ratio_equals_scipys() -> None:
    """Phi(-z) / phi(z) = sqrt(pi / 2) erfcx(z / sqrt(2)), beyond 1e154 it is 0."""
    z = np.concatenate([np.linspace(0.0, 60.0, 4001), np.geomspace(60.0, 1e150, 200)])
    found = np.array([mills_ratio(v) for v in z])
    np.testing.assert_allclose(found, np.sqrt(np.pi / 2) * erfcx(z / np.sqrt(2)), rtol=3e-15)


@pytest.mark.parametrize("code", [PROBIT, LOGIT], ids=["probit", "logit"])
def test_categories_exhaust_what_can_happen(code: int) -> None:
    """Probabilities add up to 1, and so their derivatives to 0, also where formulas change."""
    rng = np.random.default_rng(1)
    for scale in (0.01, 0.1, 1.0, 5.0):
        for _ in range(50):
            edges = [-math.inf, *np.sort(rng.normal(scale=scale, size=6)), math.inf]
            eta = rng.normal(scale=2 * scale)
            cells = [cell(code, 0.0, eta, a, b, 0.0) for a, b in itertools.pairwise(edges)]
            log_p, d_eta, d_lower, d_upper, _, weight = np.transpose(cells)
            p = np.exp(log_p)
            assert p.sum() == pytest.approx(1.0, abs=1e-12)
            assert p @ d_eta == pytest.approx(0.0, abs=1e-12)
            assert p @ (d_eta**2 - weight) == pytest.approx(0.0, abs=1e-11)
            np.testing.assert_allclose(
                (p * d_upper)[:-1] + (p * d_lower)[1:], 0.0, rtol=0, atol=1e-12
            )


def test_thresholds_and_predictors_far_out() -> None:
    """Nothing is undefined, and weights stay between 0 and the residual information."""
    cuts = [-math.inf, -1e5, -700, -40, -1, -1 + 1e-9, 0, 3, 3 + 1e-14, 40, 700, 1e5, math.inf]
    for eta, (a, b) in itertools.product(
        (-700.0, -40.0, -1.0, 0.0, 2.0, 40.0, 700.0), itertools.combinations(cuts, 2)
    ):
        for code in (PROBIT, LOGIT):
            found = cell(code, 0.0, eta, a, b, 0.0)
            assert not np.isnan(found).any(), (code, eta, a, b)
            assert -1e-12 < found[5] < 1 + 1e-9, (code, eta, a, b)


def test_thresholds_that_are_equal_have_no_probability() -> None:
    for code in (PROBIT, LOGIT):
        found = cell(code, 0.0, 0.3, 1.0, 1.0, 0.0)
        assert found[0] == -math.inf
        assert not np.isnan(found).any()


def test_counts_far_out() -> None:
    alphas = (0.0, 1e-300, 1e-200, 1e-15, 1.0, 1e10, 1e200, 1e290)
    for eta, y in itertools.product((-700.0, -40.0, 0.0, 40.0, 700.0), (0.0, 1.0, 16.0, 1e6)):
        assert not np.isnan(cell(POISSON, y, eta, 0.0, 0.0, 0.0)).any(), (eta, y)
        for alpha in alphas:
            found = cell(NEGBINOMIAL, y, eta, 0.0, 0.0, alpha)
            assert not np.isnan(found).any(), (eta, y, alpha)
            assert found[5] >= 0.0


@pytest.mark.parametrize("y", [0.0, 3.0, 15.0, 16.0, 200.0])
def test_negative_binomial_becomes_poisson(y: float) -> None:
    """As alpha goes to 0; d log p / d alpha goes to ((y - m)^2 - y) / 2."""
    poisson = cell(POISSON, y, 2.5, 0.0, 0.0, 0.0)
    limit = 0.5 * ((y - math.exp(2.5)) ** 2 - y)
    for alpha in (1e-13, 1e-30, 1e-200, 1e-300, 0.0):
        found = cell(NEGBINOMIAL, y, 2.5, 0.0, 0.0, alpha)
        np.testing.assert_allclose(found[[0, 1, 5]], poisson[[0, 1, 5]], rtol=1e-8, atol=0)
        assert found[4] == pytest.approx(limit, rel=1e-8)
