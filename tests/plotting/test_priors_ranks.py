"""Prior densities and ranks that are drawn, against SciPy and brute force."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from numpy.typing import NDArray
from scipy import stats

from bayes_msem.errors import SpecificationError
from bayes_msem.plotting.prior_posterior import prior_posterior
from bayes_msem.plotting.ranks import rank
from bayes_msem.posterior.distributions import rank_shares
from bayes_msem.posterior.prior_scale import marginal_prior, on_prior_scale
from bayes_msem.spec.defaults import build_table
from bayes_msem.spec.parser import parse
from bayes_msem.spec.prior_text import Prior
from bayes_msem.spec.table import ParameterTable, RowKey

Draws = dict[RowKey, NDArray[np.float64]]
SD = ("within", "y1", "~~", "y1")
SLOPE = ("within", "fw", "~", "x")
BLOCK = """
    f1 =~ y1 + y2
    f2 =~ y3 + y4
    f3 =~ y5 + y6
"""


def line(ax: Axes, gid: str) -> Any:
    return next(a for a in ax.get_children() if a.get_gid() == gid)


@pytest.fixture(scope="module")
def priors(table: ParameterTable) -> dict[int, Prior]:
    chosen = {
        "variance": Prior("halfnormal", (0.7,), "sd"),
        "covariance": Prior("lkj", (2.0,), "cor"),
    }
    return {r.free: chosen.get(r.kind, Prior("normal", (1.0, 4.0))) for r in table.rows if r.free}


def test_priors_are_drawn_on_their_own_scale(
    table: ParameterTable, priors: dict[int, Prior], draws: Draws
) -> None:
    slope, sd = prior_posterior(table, priors, draws, rows=[SD, SLOPE]).axes
    x, density = line(slope, "prior").get_data()
    np.testing.assert_allclose(density, stats.norm(1, 4).pdf(x))
    x, density = line(sd, "prior").get_data()
    assert x[0] >= 0
    np.testing.assert_allclose(density, stats.halfnorm(scale=0.7).pdf(x))
    assert sd.get_xlabel() == "standard deviation"
    grid, height = line(sd, "posterior").get_data()
    # a density of the SD, not of the variance: its mass lies where the SDs are
    assert np.trapezoid(height, grid) == pytest.approx(1, abs=0.04)
    mean = np.trapezoid(grid * height, grid)
    assert mean == pytest.approx(np.sqrt(draws[SD]).mean(), rel=0.05)


def test_covariances_become_correlations() -> None:
    table = build_table(parse(BLOCK), [f"y{i}" for i in range(1, 7)])
    row = next(r for r in table.rows if r.key == ("within", "f1", "~~", "f2"))
    draws = {
        row.key: np.array([[0.3, -0.2]]),
        ("within", "f1", "~~", "f1"): np.array([[0.25, 1.0]]),
        ("within", "f2", "~~", "f2"): np.array([[4.0, 0.16]]),
    }
    shown = on_prior_scale(row, Prior("lkj", (2.0,), "cor"), draws)
    np.testing.assert_allclose(shown, [[0.3, -0.5]])
    same = on_prior_scale(row, Prior("normal", (0.0, 1.0), "cov"), draws)
    np.testing.assert_array_equal(same, draws[row.key])


def test_one_correlation_of_an_lkj_block() -> None:
    """Against the distribution that rejection sampling of a 3 x 3 matrix gives."""
    table = build_table(parse(BLOCK), [f"y{i}" for i in range(1, 7)])
    row = next(r for r in table.rows if r.key == ("within", "f1", "~~", "f2"))
    prior = marginal_prior(table, row, Prior("lkj", (2.0,), "cor"))
    assert prior is not None
    r = np.random.default_rng(3).uniform(-1, 1, (3, 400_000))
    determinant = 1 + 2 * r.prod(axis=0) - (r**2).sum(axis=0)  # is the density for eta = 2
    weight = np.where(determinant > 0, determinant, 0.0)
    for q in (0.1, 0.3, 0.8):
        share = weight[r[0] < prior.quantile(q)].sum() / weight.sum()
        # 400,000 weighted draws: standard error of a share below 0.0015
        assert share == pytest.approx(q, abs=0.006)


def test_blocks_that_leave_out_pairs_have_no_simple_prior() -> None:
    table = build_table(parse(BLOCK + "f1 ~~ 0*f3"), [f"y{i}" for i in range(1, 7)])
    row = next(r for r in table.rows if r.key == ("within", "f1", "~~", "f2"))
    assert marginal_prior(table, row, Prior("lkj", (2.0,), "cor")) is None
    slope = Prior("normal", (0.0, 1.0))
    assert marginal_prior(table, row, slope) is slope


def test_ranks_of_a_shifted_chain(table: ParameterTable, draws: Draws) -> None:
    shifted = {**draws, SLOPE: draws[SLOPE].copy()}
    shifted[SLOPE][0] += 100
    shares = rank_shares(shifted[SLOPE])
    assert shares.shape == (3, 20)
    # the first of three chains has the highest third of all ranks: bins 14 to 20, one in part
    order = np.argsort(np.argsort(shifted[SLOPE].ravel()))[:200]
    counts, _ = np.histogram(order, bins=20, range=(0, 600))
    np.testing.assert_allclose(shares[0], counts * 20 / 200)
    np.testing.assert_allclose(shares.sum(axis=1), 20)
    np.testing.assert_allclose(shares.mean(axis=0), 1)  # all chains together are uniform
    (ax,) = rank(table, shifted, rows=SLOPE).axes
    np.testing.assert_allclose(line(ax, "chain 1").get_data().values, shares[0])
    low, high = stats.binom(200, 1 / 20).ppf([0.025, 0.975]) / 10
    band = line(ax, "band")
    assert (band.get_y(), band.get_y() + band.get_height()) == pytest.approx((low, high))


def test_nothing_is_cut_off(table: ParameterTable, priors: dict[int, Prior], draws: Draws) -> None:
    for figure in (prior_posterior(table, priors, draws), rank(table, draws)):
        figure.draw_without_rendering()
        boxes = [ax.get_tightbbox() for ax in figure.axes]
        assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[i + 1 :])
        legend = figure.legends[0].get_window_extent()
        assert not any(legend.overlaps(b) for b in boxes)
        assert min(b.x0 for b in boxes) >= 0
        assert max(b.x1 for b in boxes) <= figure.bbox.width


def test_bad_requests(table: ParameterTable, priors: dict[int, Prior], draws: Draws) -> None:
    with pytest.raises(SpecificationError, match="have no prior"):
        prior_posterior(table, priors, draws, rows="fw =~ y1")
    with pytest.raises(SpecificationError, match="have no ranks"):
        rank(table, draws, rows="fw =~ y1")
    with pytest.raises(SpecificationError, match="no row 'zz'"):
        rank(table, draws, rows="zz")
