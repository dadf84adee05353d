"""Overlap of prior and posterior, against closed forms."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import bayes_msem as bm
from bayes_msem.checking.priors.overlap import overlap, overlap_of_draws, prior_sd
from bayes_msem.spec.prior_text import Prior, read_prior
from tests.checking.laplace import laplace_fit
from tests.likelihood.cases import TWO_LEVEL_CASES, make_model
from tests.posterior.made_up import synthetic_fit
from tests.random.models import make_data

HALF_T4_MEAN = 2 * stats.t(4).expect(lambda x: x, lb=0)


def two_normals(m1: float, s1: float, m2: float, s2: float) -> float:
    """Closed form: the densities cross where a quadratic is 0 (Inman & Bradley, 1989)."""
    if s1 == s2:
        return float(2 * stats.norm.cdf(-abs(m1 - m2) / (2 * s1)))
    a = 1 / s2**2 - 1 / s1**2
    b = 2 * (m1 / s1**2 - m2 / s2**2)
    c = (m2 / s2) ** 2 - (m1 / s1) ** 2 - 2 * math.log(s1 / s2)
    low, high = sorted(np.roots([a, b, c]))
    narrow, wide = sorted([(m1, s1), (m2, s2)], key=lambda p: p[1])
    inside = stats.norm(*wide).cdf([low, high])
    outside = stats.norm(*narrow).cdf([low, high])
    return float(inside[1] - inside[0] + outside[0] + 1 - outside[1])


@pytest.mark.parametrize(("n", "tolerance"), [(4000, 0.02), (400, 0.05)])
@pytest.mark.parametrize(
    ("mean", "sd"), [(0.0, 1.0), (1.0, 1.0), (0.3, 0.05), (0.0, 0.5), (2.0, 0.6), (40.0, 0.1)]
)
def test_normals(mean: float, sd: float, n: int, tolerance: float) -> None:
    draws = stats.norm(mean, sd).rvs(n, random_state=1)
    found = overlap(Prior("normal", (0.0, 1.0)), draws)
    expected = two_normals(mean, sd, 0, 1)
    assert found == pytest.approx(expected, abs=tolerance)
    other = stats.norm(0, 1).rvs(20_000, random_state=2)
    assert overlap_of_draws(other, draws) == pytest.approx(expected, abs=tolerance)


def test_closed_form_of_the_test_itself() -> None:
    x = np.linspace(-10, 10, 400_001)
    lower = np.minimum(stats.norm(2, 0.6).pdf(x), stats.norm(0, 1).pdf(x))
    assert two_normals(2, 0.6, 0, 1) == pytest.approx(np.trapezoid(lower, x), abs=1e-9)


@pytest.mark.parametrize("scale", [1.0, 0.5, 0.1])
def test_half_normals_at_the_boundary(scale: float) -> None:
    """Densities cross at x^2 = 2 log(1 / s) / (1 / s^2 - 1)."""
    draws = stats.halfnorm(scale=scale).rvs(4000, random_state=3)
    found = overlap(Prior("halfnormal", (1.0,), "sd"), draws)
    if scale == 1.0:
        expected = 1.0
    else:
        x = math.sqrt(2 * math.log(1 / scale) / (1 / scale**2 - 1))
        expected = stats.halfnorm.cdf(x) + stats.halfnorm(scale=scale).sf(x)
    assert found == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("normal(3, 2)", 2.0),
        ("halfnormal(2)", stats.halfnorm(scale=2).std()),
        ("halfstudentt(4, 1.5)", math.sqrt(1.5**2 * (2 - HALF_T4_MEAN**2))),
        ("studentt(5, 1, 2)", stats.t(5, 1, 2).std()),
        ("exponential(0.5)", 2.0),
        ("gamma(2, 3)", stats.gamma(2, scale=1 / 3).std()),
        ("lognormal(0, 0.7)", stats.lognorm(0.7).std()),
        ("invgamma(3, 2)", stats.invgamma(3, scale=2).std()),
        ("uniform(1, 3)", stats.uniform(1, 2).std()),
        ("laplace(0, 1)", math.sqrt(2)),
        ("truncatednormal(0, 1, 0, inf)", stats.halfnorm.std()),
        ("beta(2, 5)", 2 * stats.beta(2, 5).std()),
        ("lkj(2)", 2 * stats.beta(2, 2).std()),
        ("cauchy(0, 1)", math.inf),
        ("halfcauchy(1)", math.inf),
        ("halfstudentt(2, 1)", math.inf),
        ("invgamma(2, 1)", math.inf),
    ],
)  # fmt: skip
def test_sd_of_priors(text: str, expected: float) -> None:
    assert prior_sd(read_prior(text)) == pytest.approx(expected, rel=1e-4)


def test_table_of_a_conjugate_model() -> None:
    """mu ~ N(1, 0.5), 20 rows of N(mu, 1) with mean 0: posterior N(1/6, 1/24)."""
    y = np.linspace(-1.5, 1.5, 20)
    priors = {"y ~ 1": "normal(1, 0.5)"}
    model = bm.Model("y ~~ 1*y\ny ~ 1", data=pd.DataFrame({"y": y}), priors=priors)
    (row,) = laplace_fit(model, draws=2000).prior_posterior_overlap().itertuples()
    sd = 24**-0.5
    assert row.overlap == pytest.approx(two_normals(4 / 24, sd, 1, 0.5), abs=0.02)
    assert row.sd_prior == pytest.approx(0.5)
    assert row.sd_posterior == pytest.approx(sd, rel=4 / math.sqrt(2 * 4000))
    assert row.sd_ratio == pytest.approx(row.sd_posterior / 0.5)
    assert row.prior == "normal(1, 0.5)"


def test_scales_of_variances_and_correlations_and_order() -> None:
    """SDs and correlations of a table whose draws are made up."""
    rng = np.random.default_rng(4)
    data = pd.DataFrame(rng.normal(size=(60, 2)), columns=["a", "b"])
    model = bm.Model("a ~~ b", data=data)
    fit = laplace_fit(model, draws=500)
    table = fit.prior_posterior_overlap()
    at = pd.DataFrame(table).set_index(["lhs", "op", "rhs"])
    sd = np.sqrt(fit.draws["within", "a", "~~", "a"])
    assert at.loc["a", "~~", "a"].sd_posterior == pytest.approx(sd.std(ddof=1))
    r = fit.draws["within", "a", "~~", "b"] / (sd * np.sqrt(fit.draws["within", "b", "~~", "b"]))
    assert at.loc["a", "~~", "b"].sd_posterior == pytest.approx(r.std(ddof=1))
    assert at.loc["a", "~~", "b"].sd_prior == pytest.approx(math.sqrt(1 / 5))  # 2 Beta(2, 2) - 1
    ordered = fit.prior_posterior_overlap(sort=True)
    assert ordered["overlap"].is_monotonic_decreasing
    assert set(ordered.index) == set(table.index)


@pytest.mark.parametrize("name", ["4-cycle between", "two factors, residual covariances"])
def test_priors_without_a_simple_marginal(name: str) -> None:
    """Truncated covariances, and correlations of a block with a zero, by draws of the prior."""
    this = next(c for c in TWO_LEVEL_CASES if c.name == name)
    fit = synthetic_fit(make_model(this, make_data()), draws=100)
    table = pd.DataFrame(fit.prior_posterior_overlap())
    assert table["overlap"].between(0, 1).all()
    assert (table["sd_prior"] > 0).all()


def test_one_marginal_of_a_chordal_block_by_rejection() -> None:
    """R with r13 = 0 and density det(R): r12 uniformly drawn and accepted with det(R)."""
    data = make_data(sizes=(6,) * 20)
    text = "level: within\ny1 ~~ y2\ny2 ~~ y3\nlevel: between\ny1 ~~ y1\ny2 ~~ y2\ny3 ~~ y3"
    fit = laplace_fit(bm.Model(text, data=data, cluster="group"))
    table = pd.DataFrame(fit.prior_posterior_overlap()).set_index(["level", "lhs", "op", "rhs"])
    rng = np.random.default_rng(5)
    a, b = rng.uniform(-1, 1, (2, 400_000))
    kept = a[rng.random(len(a)) < 1 - a**2 - b**2]
    found = table.loc["within", "y1", "~~", "y2"].sd_prior
    assert found == pytest.approx(kept.std(), rel=0.03)
