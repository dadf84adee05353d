"""Densities, histograms, ranks and intervals that figures draw, against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from scipy import stats

from bayes_msem.posterior.distributions import (
    central_range,
    data_density,
    data_steps,
    draws_density,
    histogram,
    peak_histogram,
    rank_band,
    share_outside,
    weighted_density,
)
from bayes_msem.posterior.intervals import (
    centre_of_clusters,
    cluster_intervals,
    means_and_intervals,
)
from bayes_msem.posterior.prior_scale import central_prior_range
from bayes_msem.posterior.rows_shown import varies, worst_mixed
from bayes_msem.spec.prior_text import Prior

NORMAL = stats.norm(2.0, 3.0)
DRAWS = NORMAL.ppf((np.arange(4000) + 0.5) / 4000)  # as even as draws can be


def test_densities_are_those_of_the_normal_distribution() -> None:
    for grid, height in (draws_density(DRAWS), data_density(DRAWS)):
        inside = np.abs(grid - 2.0) < 6.0
        # a kernel of bandwidth h adds h^2 to the variance, about 3% here
        np.testing.assert_allclose(height[inside], NORMAL.pdf(grid[inside]), atol=0.004)
    grid, height = data_density(DRAWS[::200])  # few values
    assert max(height[0], height[-1]) < 0.02 * height.max()  # the curve ends near zero
    assert np.trapezoid(height, grid) == pytest.approx(1, abs=0.01)


def test_densities_of_several_rows_are_those_of_each() -> None:
    both = np.stack([DRAWS, 2 * DRAWS])
    grid, height = data_density(both)
    for i, values in enumerate(both):
        alone = data_density(values)
        np.testing.assert_allclose(grid[i], alone[0])
        np.testing.assert_allclose(height[i], alone[1])


def test_a_weighted_density_is_that_of_repeated_values() -> None:
    values, grid = np.array([0.0, 1.0, 4.0]), np.linspace(-3, 7, 11)
    weights = np.array([0.2, 0.5, 0.3])
    effective = 1 / (weights**2).sum()
    centred = values - weights @ values
    variance = weights @ centred**2 / (1 - (weights**2).sum())
    h = np.sqrt(variance) * effective**-0.2  # Scott's rule
    expected = (weights * stats.norm.pdf(grid[:, None], values, h)).sum(axis=1)
    np.testing.assert_allclose(weighted_density(values, weights, grid), expected)


def test_steps_have_the_shares_of_the_values_as_areas() -> None:
    values = np.repeat([1.0, 2.0, 4.0], [10, 30, 20])
    found = data_steps(values)
    assert found is not None
    edges, height = found
    np.testing.assert_allclose(edges, [0.5, 1.5, 3.0, 5.0])
    np.testing.assert_allclose(height * np.diff(edges), [1 / 6, 1 / 2, 1 / 3])
    assert data_steps(np.arange(13.0).repeat(10)) is None  # too many distinct values
    assert data_steps(np.arange(3.0).repeat(4)) is None  # too few of each


def test_ranges_hold_their_mass() -> None:
    low, high = central_range(DRAWS, 0.9)
    gap = 1 / (4000 * NORMAL.pdf(low))  # between neighbouring draws
    np.testing.assert_allclose([low, high], NORMAL.ppf([0.05, 0.95]), atol=gap / 2)
    assert share_outside(DRAWS, low, high) == pytest.approx(0.1, abs=1e-3)
    assert share_outside(np.array([0.0, 1.0, 2.0, 3.0]), 1.0, 2.0) == 0.5
    prior = Prior("normal", (2.0, 3.0))
    np.testing.assert_allclose(central_prior_range(prior, 0.8), NORMAL.ppf([0.1, 0.9]))


def test_histograms_count() -> None:
    counts = histogram(np.array([-5.0, 0.1, 0.2, 1.5, 9.0]), np.array([0.0, 1.0, 2.0]))
    assert counts.tolist() == [3, 2]  # what is beyond stands at the ends
    edges, height = peak_histogram(DRAWS, 30)
    assert len(height) == 30
    assert height.max() == 1.0
    expected = np.diff(NORMAL.cdf(edges))
    np.testing.assert_allclose(height, expected / expected.max(), atol=0.01)


def test_the_band_of_ranks_is_binomial() -> None:
    low, high = rank_band(200, 20, 0.95)
    shares = np.arange(201) * 20 / 200
    inside = stats.binom(200, 1 / 20).pmf(np.arange(201))[(shares >= low) & (shares <= high)]
    assert inside.sum() >= 0.95
    assert inside[1:-1].sum() < 0.95  # no narrower band holds as much


def test_intervals_of_clusters_are_quantiles_in_order() -> None:
    rng = np.random.default_rng(4)
    values = xr.DataArray(
        rng.normal([3.0, 1.0, 2.0], 0.1, (2, 50, 3)),
        dims=("chain", "draw", "cluster_id"),
        coords={"cluster_id": ["a", "b", "c"]},
    )
    chosen = np.array([0, 1, 2])
    found = cluster_intervals(values, chosen, 0.8, "eti", sort=True)
    assert found.names == ("b", "c", "a")
    flat = values.to_numpy().reshape(-1, 3)[:, [1, 2, 0]]
    np.testing.assert_allclose(found.mean, flat.mean(0))
    np.testing.assert_allclose(found.outer, np.quantile(flat, [0.1, 0.9], axis=0))
    np.testing.assert_allclose(found.inner, np.quantile(flat, [0.25, 0.75], axis=0))
    assert cluster_intervals(values, chosen, 0.8, "eti", sort=False).names == ("c", "b", "a")
    assert centre_of_clusters(values, None) == pytest.approx(flat.mean())
    assert centre_of_clusters(values, np.array([[1.0, 4.0]])) == 2.5


def test_means_and_intervals_of_rows() -> None:
    key = ("within", "y", "~", "x")
    draws = {key: np.arange(101.0)[None]}
    assert means_and_intervals(draws, None, "eti") == ({key: 50.0}, {})
    means, limits = means_and_intervals(draws, 0.9, "eti")
    assert means == {key: 50.0}
    assert limits[key] == pytest.approx((5.0, 95.0))


def test_rows_that_mixed_worst_come_first() -> None:
    rng = np.random.default_rng(8)
    keys = [("within", "y", "~", name) for name in "abc"]
    draws = {key: rng.standard_normal((2, 200)) for key in keys}
    draws[keys[1]] = draws[keys[1]].cumsum(axis=1)  # a random walk
    assert worst_mixed(keys, draws, 1) == [keys[1]]
    assert len(worst_mixed(keys, draws, 9)) == 3
    assert worst_mixed([], draws, 3) == []
    assert varies(draws[keys[0]])
    assert not varies(np.full((2, 3), 1.5))
