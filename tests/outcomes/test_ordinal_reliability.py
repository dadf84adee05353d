"""Reliability of sums of ordered items, against simulated second forms and against omega."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from bayes_msem.outcomes.ordinal_reliability import bivariate_normal_cdf, sum_reliability

Array = NDArray[np.float64]


@pytest.mark.parametrize("r", [-0.95, -0.3, 0.0, 0.6, 0.99])
def test_bivariate_normal_equals_scipys(r: float) -> None:
    """SciPy's integral is right to about 1e-8."""
    for h in (-2.0, -0.3, 0.0, 1.5):
        for k in (-1.0, 0.0, 0.3, 2.5):
            expected = stats.multivariate_normal([0, 0], [[1, r], [r, 1]]).cdf([h, k])
            assert bivariate_normal_cdf(h, k, r) == pytest.approx(expected, abs=1e-7)


def test_perfect_correlations() -> None:
    """Up to the limit, nothing jumps."""
    for h, k in ((-0.4, 1.0), (0.0, 0.0), (0.7, 0.7), (-1.0, -0.2)):
        for sign in (1.0, -1.0):
            limit = bivariate_normal_cdf(h, k, sign)
            # the distance to the limit is of the order sqrt(1 - r^2)
            assert bivariate_normal_cdf(h, k, sign * (1 - 1e-12)) == pytest.approx(limit, abs=1e-6)
    assert bivariate_normal_cdf(0.3, 0.9, 1.0) == pytest.approx(stats.norm.cdf(0.3), abs=1e-15)


# Two factors, a cross loading and a residual covariance; means that are not 0.
LOADINGS = np.array([[0.9, 0.0], [0.6, 0.3], [0.0, 1.4], [0.0, 0.5]])
FACTORS = np.array([[1.0, 0.4], [0.4, 0.8]])
RESIDUALS = np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0.4], [0, 0, 0.4, 1.0]])
THRESHOLDS = [[-1.0, 0.2, 1.5], [0.0], [-2.0, -1.0, 0.5, 2.0], [0.8, 1.6]]
MEAN = np.array([0.0, 0.3, -0.5, 0.2])


def test_equals_the_correlation_of_two_forms() -> None:
    """Two forms share the factors; 400,000 pairs, and four standard errors of a correlation."""
    rng, n = np.random.default_rng(9), 400_000
    scores = rng.multivariate_normal([0, 0], FACTORS, size=n) @ LOADINGS.T + MEAN
    sums = []
    for _ in range(2):
        latent = scores + rng.multivariate_normal(np.zeros(4), RESIDUALS, size=n)
        sums.append(sum(np.searchsorted(t, latent[:, i]) for i, t in enumerate(THRESHOLDS)))
    simulated = np.corrcoef(*sums)[0, 1]
    true = LOADINGS @ FACTORS @ LOADINGS.T
    found = sum_reliability(true, true + RESIDUALS, THRESHOLDS, mean=MEAN)
    assert found == pytest.approx(simulated, abs=4 * (1 - simulated**2) / np.sqrt(n))


def test_many_categories_give_omega() -> None:
    """Codes of 200 equal steps are the latent responses, but for rounding to a step."""
    true = LOADINGS @ FACTORS @ LOADINGS.T
    total = true + RESIDUALS
    steps = np.linspace(-12, 12, 201)
    omega = true.sum() / total.sum()
    found = sum_reliability(true, total, [steps] * 4, mean=MEAN)
    assert found == pytest.approx(omega, abs=5e-4)
    assert sum_reliability(true, total, THRESHOLDS, mean=MEAN) < omega - 0.05


def test_units_and_draws() -> None:
    """A latent response has no unit; draws are computed one by one."""
    true = LOADINGS @ FACTORS @ LOADINGS.T
    scale = np.array([[1.0], [2.0], [0.5]])[..., None]
    draws = np.stack([true, 0.5 * true, 2 * true])
    found = sum_reliability(draws * scale**2, (draws + RESIDUALS) * scale**2,
                            [np.array(t) * scale[..., 0] for t in THRESHOLDS],
                            mean=MEAN * scale[..., 0])  # fmt: skip
    assert found.shape == (3,)
    each = [sum_reliability(t, t + RESIDUALS, THRESHOLDS, mean=MEAN) for t in draws]
    np.testing.assert_allclose(found, each, rtol=1e-12)


def test_items_without_residuals_are_reliable() -> None:
    true = np.ones((3, 3))
    assert sum_reliability(true, true, [[0.0], [-1.0, 1.0], [0.5]]) == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize("variance", [0.7, 1.1, 1.7, 2.3, 2.9, 3.3])
def test_an_item_cut_in_the_middle(variance: float) -> None:
    """Arcsin(r) / (pi / 2), to the last digits: its own variance is not left to rounding."""
    found = sum_reliability([[0.6]], [[variance]], [[0.0]])
    assert found == pytest.approx(np.arcsin(0.6 / variance) / (np.pi / 2), rel=1e-13)
