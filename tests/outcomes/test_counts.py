"""Counts against SciPy's distributions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import integrate, stats

from bayes_msem.outcomes.families import family

POISSON, NEGBINOMIAL = family("poisson").outcome, family("negbinomial").outcome


@pytest.mark.parametrize("eta", [-5.0, 0.3, 3.0])
def test_densities_are_scipys(eta: float) -> None:
    y, mean = np.array([0.0, 1.0, 5.0, 40.0]), math.exp(eta)
    np.testing.assert_allclose(
        POISSON.log_density(y, eta), stats.poisson.logpmf(y, mean), rtol=1e-12, atol=1e-12
    )
    for alpha in (0.02, 1.0, 30.0):
        expected = stats.nbinom.logpmf(y, 1 / alpha, 1 / (1 + alpha * mean))
        found = NEGBINOMIAL.log_density(y, eta, dispersion=alpha)
        np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-10)


def test_without_dispersion_it_is_a_poisson() -> None:
    y = np.arange(30.0)
    found = NEGBINOMIAL.log_density(y, 2.0, dispersion=1e-12)
    np.testing.assert_allclose(found, POISSON.log_density(y, 2.0), rtol=0, atol=1e-9)


def test_mean_and_variance_of_draws() -> None:
    """m and m + alpha m^2 within 4 standard errors of 100,000 draws; the seed is fixed."""
    rng, eta, alpha, n = np.random.default_rng(6), math.log(3.0), 0.5, 100_000
    for found, variance in (
        (POISSON.simulate(rng, np.full(n, eta)), 3.0),
        (NEGBINOMIAL.simulate(rng, np.full(n, eta), dispersion=alpha), 3.0 + alpha * 9.0),
    ):
        assert found.mean() == pytest.approx(3.0, abs=4 * math.sqrt(variance / n))
        squares = (found - 3.0) ** 2
        assert squares.mean() == pytest.approx(variance, abs=4 * squares.std() / math.sqrt(n))


@pytest.mark.parametrize("alpha", [None, 0.5])
@pytest.mark.parametrize("variance", [0.0, 0.2, 1.5])
def test_probabilities_of_the_population(alpha: float | None, variance: float) -> None:
    """Log-normal mixtures of counts, against SciPy's integral."""
    outcome = POISSON if alpha is None else NEGBINOMIAL
    values, sd = np.array([0, 1, 4, 20]), math.sqrt(variance)
    found = outcome.marginal_probabilities(1.0, variance, dispersion=alpha, values=values)
    for p, value in zip(found, values, strict=True):

        def integrand(z: float, value: int = value) -> float:
            density = outcome.log_density(value, 1.0 + sd * z, dispersion=alpha)
            return float(np.exp(density) * stats.norm.pdf(z))

        expected, _ = integrate.quad(integrand, -12, 12, epsabs=1e-13, limit=200)
        assert p == pytest.approx(expected, rel=1e-6)
    assert outcome.marginal_mean(1.0, variance) == pytest.approx(math.exp(1.0 + variance / 2))


@pytest.mark.parametrize("alpha", [None, 0.002, 1.5])
@pytest.mark.parametrize("value", [9, 400, 100_000])
@pytest.mark.parametrize("mean", [2.0, 8.0])
def test_large_counts_of_a_population(alpha: float | None, value: int, mean: float) -> None:
    """A narrow peak in a wide normal, at a place that no rule for the normal would look at."""
    outcome = POISSON if alpha is None else NEGBINOMIAL
    found = outcome.marginal_probabilities(mean, 4.0, dispersion=alpha, values=[value])[0]
    u = np.linspace(-20.0, 30.0, 500_001)
    p = np.exp(outcome.log_density(value, u, dispersion=alpha)) * stats.norm.pdf(u, mean, 2.0)
    assert found == pytest.approx(float(p.sum() * (u[1] - u[0])), rel=1e-6)


def test_starting_values() -> None:
    """Log rates with half an event added; alpha from the spread of rates, within bounds."""
    y, exposure = np.array([0.0, 3.0, np.nan]), np.array([2.0, 0.5, 1.0])
    expected = [math.log(0.25), math.log(7.0), np.nan]
    np.testing.assert_allclose(POISSON.working_response(y, exposure=exposure).response, expected)
    rng = np.random.default_rng(7)
    size = rng.uniform(0.5, 4.0, size=50_000)
    y = NEGBINOMIAL.simulate(rng, 2.0 + np.log(size), dispersion=0.8)
    found = NEGBINOMIAL.working_response(y, exposure=size).dispersion
    assert found == pytest.approx(0.8, rel=0.1)
    assert NEGBINOMIAL.working_response(np.full(5, 2.0)).dispersion == 0.05
