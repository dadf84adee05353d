"""The normal family against SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from bayes_msem.outcomes.families import family

NORMAL = family("gaussian").outcome


def test_density_is_scipys() -> None:
    y = np.array([-1.0, 0.5, 3.0])
    expected = stats.norm.logpdf(y, 0.4, np.sqrt(2.5))
    np.testing.assert_allclose(NORMAL.log_density(y, 0.4, dispersion=2.5), expected, rtol=1e-13)


def test_draws_have_mean_and_variance() -> None:
    """Within 4 standard errors of 50,000 draws; the seed is fixed."""
    y = NORMAL.simulate(np.random.default_rng(8), np.full(50_000, 1.5), dispersion=4.0)
    assert y.mean() == pytest.approx(1.5, abs=4 * 2 / np.sqrt(len(y)))
    assert y.var() == pytest.approx(4.0, abs=4 * 4 * np.sqrt(2 / len(y)))


def test_means_and_starting_values_are_the_outcome() -> None:
    y = np.array([1.0, np.nan, 5.0])
    found = NORMAL.working_response(y)
    np.testing.assert_array_equal(found.response, y)
    assert found.response is not y
    assert found.dispersion == 4.0
    assert float(NORMAL.marginal_mean(2.0, 9.0)) == float(NORMAL.mean(2.0)) == 2.0
