"""Ordered outcomes against SciPy's distributions and integrals; binary ones have a test below."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import integrate, stats

from bayes_msem.outcomes.families import family

Array = NDArray[np.float64]

LATENT = {"probit": stats.norm, "logit": stats.logistic}
CUTS = np.array([-1.2, 0.1, 1.7])


@pytest.mark.parametrize("link", LATENT)
def test_probabilities_are_areas_between_thresholds(link: str) -> None:
    found = family(f"ordinal({link})").outcome.probabilities([-0.4, 2.0], CUTS)
    for p, eta in zip(found, (-0.4, 2.0), strict=True):
        cumulative = LATENT[link].cdf([-np.inf, *CUTS, np.inf], loc=eta)
        np.testing.assert_allclose(p, np.diff(cumulative), rtol=1e-12)


@pytest.mark.parametrize("link", LATENT)
def test_far_tails_keep_their_digits(link: str) -> None:
    """Both ways round: log p of a category far above the predictor, and far below."""
    item = family(f"ordinal({link})").outcome
    above = item.log_density([0, 1, 2, 3], -40.0, CUTS)
    below = item.log_density([3, 2, 1, 0], 40.0, -CUTS[::-1])
    np.testing.assert_allclose(above, below, rtol=1e-12)
    assert np.isfinite(above).all()
    assert above[3] == pytest.approx(LATENT[link].logsf(41.7), rel=1e-12)


def test_mean_is_that_of_the_codes() -> None:
    item = family("ordinal(logit)").outcome
    expected = item.probabilities([0.3, -2.0], CUTS) @ np.arange(4)
    np.testing.assert_allclose(item.mean([0.3, -2.0], CUTS), expected, rtol=1e-12)


@pytest.mark.parametrize("link", LATENT)
@pytest.mark.parametrize("variance", [0.0, 0.3, 4.0, 25.0])
def test_probabilities_of_the_population(link: str, variance: float) -> None:
    """Against SciPy's adaptive integral over the normal predictor."""
    item = family(f"ordinal({link})").outcome
    found = item.marginal_probabilities(0.4, variance, CUTS)
    sd = np.sqrt(variance)

    def integrand(z: float, category: int) -> float:
        return float(item.probabilities(0.4 + sd * z, CUTS)[category] * stats.norm.pdf(z))

    for category in range(4):
        expected, _ = integrate.quad(integrand, -12, 12, args=(category,), epsabs=1e-12, limit=200)
        assert found[category] == pytest.approx(expected, rel=1e-6)
    mean = item.marginal_mean(0.4, variance, CUTS)
    assert mean == pytest.approx(float(found @ np.arange(4)), rel=1e-14)


@pytest.mark.parametrize("link", LATENT)
def test_simulated_shares(link: str) -> None:
    """Chi-square of 40,000 draws with 3 degrees of freedom; the seed is fixed."""
    item = family(f"ordinal({link})").outcome
    y = item.simulate(np.random.default_rng(5), np.full(40_000, 0.4), CUTS)
    expected = item.probabilities(0.4, CUTS) * len(y)
    assert stats.chisquare(np.bincount(y.astype(int)), expected).pvalue > 0.01


@pytest.mark.parametrize("link", LATENT)
def test_working_response_has_the_shares_and_scores_of_the_data(link: str) -> None:
    item = family(f"ordinal({link})").outcome
    y = np.repeat([0.0, 1.0, 2.0, np.nan], [1000, 3000, 500, 7])
    found = item.working_response(y)
    assert found.thresholds is not None
    shares = item.probabilities(0.0, found.thresholds)
    np.testing.assert_allclose(shares, np.array([1000.5, 3000.5, 500.5]) / 4501.5, rtol=1e-12)
    assert np.isnan(found.response[-7:]).all()
    edges = [-40.0, *found.thresholds, 40.0]
    for code, p in enumerate(shares):
        inside = integrate.quad(
            lambda e: e * LATENT[link].pdf(e), edges[code], edges[code + 1], epsabs=1e-12
        )[0]
        assert found.response[y == code][0] == pytest.approx(inside / p, rel=1e-7)


def test_categories_without_observations_get_finite_thresholds() -> None:
    found = family("ordinal(probit)").outcome.working_response(np.array([1.0, 1.0]), categories=4)
    assert found.thresholds is not None
    assert len(found.thresholds) == 3
    assert np.isfinite(found.thresholds).all()
    assert (np.diff(found.thresholds) > 0).all()


def test_binary_is_ordinal_with_one_threshold() -> None:
    """The mean is the probability of 1, and constant outcomes have finite starting values."""
    item = family("binary(logit)").outcome
    assert item.mean(0.5, [0.2]) == pytest.approx(stats.logistic.cdf(0.3), rel=1e-12)
    both = family("ordinal(logit)").outcome.probabilities(0.5, [0.2])
    np.testing.assert_array_equal(item.probabilities(0.5, [0.2]), both)
    starts = item.working_response(np.zeros(10))
    assert starts.thresholds == pytest.approx([np.log(10.5 / 0.5)])
