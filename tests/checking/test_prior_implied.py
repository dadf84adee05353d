"""What a prior implies, against simulations and sums in plain NumPy that share no code."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import bayes_msem as bm
from bayes_msem.checking.priors.prior_draws import draw_prior, replicate
from bayes_msem.checking.priors.prior_implied import PriorImplied, tail_probability
from bayes_msem.data.components import Components
from bayes_msem.errors import SpecificationError
from tests.likelihood.cases import TWO_LEVEL_CASES, Case, make_model, single_level, two_level
from tests.random.models import build, case, make_data

INTERCEPTS = "level: within\ny ~~ y\nlevel: between\ny ~~ y"
PAIR = "level: within\ny ~~ x\nlevel: between\ny ~~ x"


def clustered(
    n_clusters: int = 30, size: int = 10, sd: tuple[float, float] = (0.6, 0.8), seed: int = 5
) -> pd.DataFrame:
    """Two variables with these SDs between and within, correlated .5 within."""
    rng = np.random.default_rng(seed)
    g = np.repeat(np.arange(n_clusters), size)
    between = rng.normal(0, sd[0], (n_clusters, 2))[g]
    within = rng.normal(0, sd[1], (len(g), 2)) @ np.linalg.cholesky([[1, 0.5], [0.5, 1]]).T
    return pd.DataFrame(between + within, columns=["y", "x"]).assign(g=g)


def row(implied: PriorImplied, *key: str) -> pd.Series:
    table = pd.DataFrame(implied.table).set_index(["quantity", "level", "variable"])
    return table.loc[key]


# The prior of quantities --------------------------------------------------------------------------


def test_icc_of_two_half_normals_is_that_of_a_simulation() -> None:
    """The tolerance is 4 standard errors of the difference of two quantiles."""
    priors = {("within", "sd"): "halfnormal(2)", ("between", "sd"): "halfnormal(1)"}
    model = bm.Model(INTERCEPTS, data=clustered(), cluster="g", priors=priors)
    implied = model.prior_implied(draws=4000, random_seed=1)
    rng = np.random.default_rng(2)
    between, within = np.abs(rng.normal(0, 1, 400_000)), np.abs(rng.normal(0, 2, 400_000))
    icc = between**2 / (between**2 + within**2)
    # and a closed form: sb / sw is a half-Cauchy of scale 1/2
    ratio = stats.halfcauchy(scale=0.5)
    for q in (0.1, 0.5, 0.9):
        exact = ratio.ppf(q) ** 2 / (1 + ratio.ppf(q) ** 2)
        assert np.quantile(icc, q) == pytest.approx(exact, abs=0.004)
        share = float((implied.draws["icc", "", "y"] <= exact).mean())
        assert share == pytest.approx(q, abs=4 * np.sqrt(q * (1 - q) / 4000))
    assert row(implied, "icc", "", "y").lower == pytest.approx(
        np.quantile(implied.draws["icc", "", "y"], 0.025)
    )
    for level, scale in (("within", 2.0), ("between", 1.0)):
        draws = implied.draws["sd", level, "y"]
        assert stats.kstest(draws, stats.halfnorm(scale=scale).cdf).pvalue > 0.001


def test_correlations_and_means_have_their_priors() -> None:
    model = bm.Model(PAIR, data=clustered(), cluster="g", priors={"y ~ 1": "normal(3, 2)"})
    implied = model.prior_implied(draws=2000, random_seed=3)
    for level in ("within", "between"):
        draws = implied.draws["correlation", level, "y, x"]
        beta = stats.beta(2, 2, loc=-1, scale=2)  # lkj(2) of a pair
        assert stats.kstest(draws, beta.cdf).pvalue > 0.001
    assert stats.kstest(implied.draws["mean", "", "y"], stats.norm(3, 2).cdf).pvalue > 0.001


def test_r_squared_of_a_regression() -> None:
    """R2 = b^2 var(x) / (b^2 var(x) + s^2), with the variance of x in the data."""
    data = clustered()
    priors = {"y ~ x": "normal(0, 1)", "sd": "halfnormal(1)"}
    model = bm.Model("y ~ x", data=data, priors=priors)
    implied = model.prior_implied(draws=2000, random_seed=4)
    rng = np.random.default_rng(5)
    b, s = rng.normal(0, 1, 50_000), np.abs(rng.normal(0, 1, 50_000))
    v = data["x"].var(ddof=0)
    expected = b**2 * v / (b**2 * v + s**2)
    assert stats.ks_2samp(implied.draws["r2", "within", "y"], expected).pvalue > 0.001
    sd = np.sqrt(b**2 * v + s**2)
    assert stats.ks_2samp(implied.draws["sd", "within", "y"], sd).pvalue > 0.001
    assert np.isnan(row(implied, "r2", "within", "y").data)


# Data replicated from the prior -------------------------------------------------------------------

REPLICATED = (
    case("slope"),
    case("residual SD"),
    case("loadings"),
    two_level("cluster-level outcomes", "y1 ~ x1", "z1 ~ y1 + w1"),
    single_level("CFA", "f =~ y1 + y2 + y3"),
)


@pytest.mark.parametrize("this", REPLICATED, ids=[c.name for c in REPLICATED])
def test_replicates_are_those_of_pymc(this: Case) -> None:
    """Marginal distribution of single values: two samples, of NumPy and of PyMC."""
    model = build(this)
    blueprint = model.unpiloted_blueprint()
    rng = np.random.default_rng(6)
    x = draw_prior(blueprint, 300, rng)
    ours = np.stack(list(replicate(blueprint, x, rng)))
    model.blueprint = blueprint
    theirs = model.prior_predictive(300, random_seed=7)["prior_predictive"]["y"].to_numpy()[0]
    assert ours.shape == theirs.shape
    for unit in (0, 5):
        for k in range(ours.shape[2]):
            assert stats.ks_2samp(ours[:, unit, k], theirs[:, unit, k]).pvalue > 0.0005


def test_covariances_that_are_parameters_stay_positive_definite() -> None:
    this = next(c for c in TWO_LEVEL_CASES if c.name == "4-cycle between")
    blueprint = make_model(this, make_data()).unpiloted_blueprint()
    x = draw_prior(blueprint, 200, np.random.default_rng(8))
    assert x.shape == (200, blueprint.parameters.n)
    assert np.isfinite(blueprint.theta(x)).all()


# Estimates from data ------------------------------------------------------------------------------


@pytest.mark.parametrize("missing", [False, True])
def test_estimates_are_those_of_describe(missing: bool) -> None:
    frame = make_data()
    if missing:
        rng = np.random.default_rng(9)
        frame = frame.copy()
        for name in ("y1", "y2"):
            frame.loc[rng.random(len(frame)) < 0.2, name] = np.nan
    names = ["y1", "y2", "y3"]
    this = two_level("any", "y1 ~~ y2 + y3\ny2 ~~ y3", "y1 ~~ z1\ny2 ~~ y3\nz1 ~~ z1")
    observed = make_model(this, frame).observed
    estimates = Components(observed)(observed.y, observed.z)
    about = bm.describe(frame, "group", names)
    order = [observed.y_names.index(n) for n in names]
    np.testing.assert_allclose(estimates.within[np.ix_(order, order)], about.within, rtol=1e-10)
    split = [observed.split_names.index(n) for n in names]
    np.testing.assert_allclose(
        estimates.between[np.ix_(split, split)], about.sigma_between, rtol=1e-9, atol=1e-12
    )
    means = frame.groupby("group")[[*names, "z1"]].mean()
    assert estimates.between[3, 3] == pytest.approx(means["z1"].var())
    assert estimates.between[3, split[0]] == pytest.approx(means["y1"].cov(means["z1"]))
    assert estimates.mean_y[order[0]] == pytest.approx(frame["y1"].mean())


def test_estimates_of_a_single_level() -> None:
    frame = make_data()
    frame.loc[frame.index[:5], "y2"] = np.nan
    observed = make_model(single_level("pair", "y1 ~~ y2"), frame).observed
    estimates = Components(observed)(observed.y, observed.z)
    np.testing.assert_allclose(estimates.within, frame[["y1", "y2"]].cov(), rtol=1e-12)


def test_only_values_that_the_data_have_are_read() -> None:
    """Replicated values where the data have none change nothing."""
    frame = make_data()
    frame.loc[frame.index[:5], "y2"] = np.nan
    this = two_level("pair", "y1 ~~ y2", "y1 ~~ y2")
    observed = make_model(this, frame).observed
    filled = np.where(np.isnan(observed.y), 1e6, observed.y)
    one, two = (Components(observed)(y, observed.z) for y in (observed.y, filled))
    np.testing.assert_array_equal(one.within, two.within)
    np.testing.assert_array_equal(one.between, two.between)


# The tail probability and the verdict -------------------------------------------------------------


def test_tail_probability_counts() -> None:
    replicated = np.array([*range(99), np.nan], dtype=float)
    assert tail_probability(replicated, 2.5) == pytest.approx(2 * 4 / 100)
    assert tail_probability(replicated, 98.0) == pytest.approx(2 * 2 / 100)
    assert tail_probability(replicated, 500.0) == pytest.approx(2 / 100)
    assert tail_probability(replicated, 49.0) == 1.0
    assert np.isnan(tail_probability(replicated, np.nan))


def test_tail_probability_of_a_mean_has_a_closed_form() -> None:
    """y ~ N(mu, 1) with mu ~ N(0, 1): the mean of 50 rows is N(0, 1 + 1/50) under the prior."""
    rng = np.random.default_rng(10)
    y = rng.normal(size=50)
    data = pd.DataFrame({"y": y - y.mean() + 1.8})
    model = bm.Model("y ~~ 1*y\ny ~ 1", data=data, priors={"y ~ 1": "normal(0, 1)"})
    p = row(model.prior_implied(draws=4000, random_seed=11), "mean", "", "y").p
    exact = 2 * stats.norm.sf(1.8 / np.sqrt(1.02))
    assert p == pytest.approx(exact, abs=4 * 2 * np.sqrt(exact / 2 / 4000))


def test_planted_conflicts_are_flagged_and_defaults_are_not() -> None:
    data = clustered()
    harmless = bm.Model(PAIR, data=data, cluster="g").prior_implied(random_seed=12)
    assert harmless.conflicts.empty
    assert harmless.lines == ()
    assert "No conflict" in repr(harmless)
    planted = {
        "mean": {"y ~ 1": "normal(10, 1)"},
        "sd": {("within", "y", "~~", "y"): "halfnormal(0.1)"},
        "icc": {("between", "y", "~~", "y"): "uniform(5, 9)"},
        "correlation": {("within", "covariance"): "beta(2, 40)"},
    }
    for quantity, priors in planted.items():
        model = bm.Model(PAIR, data=data, cluster="g", priors=priors)
        implied = model.prior_implied(random_seed=12)
        assert quantity in set(implied.conflicts["quantity"]), quantity
        assert any(line.startswith("Conflict") for line in implied.lines)


def test_priors_wider_than_the_data_are_no_conflict() -> None:
    model = bm.Model(INTERCEPTS, data=clustered(), cluster="g", priors={"sd": "uniform(2, 4)"})
    implied = model.prior_implied(random_seed=13)
    assert row(implied, "sd", "within", "y").verdict == "wide"
    assert any(line.startswith("Wider than the data: the SD within of y") for line in implied.lines)


def test_vagueness_to_absurdity_is_said() -> None:
    """A log-normal SD over ten orders of magnitude: ICCs are 0 or 1."""
    priors = {("between", "sd"): "lognormal(0, 12)"}
    model = bm.Model(INTERCEPTS, data=clustered(), cluster="g", priors=priors)
    lines = model.prior_implied(random_seed=14).lines
    assert any("At the edge" in line and "ICC(1) of y" in line for line in lines)
    wide = bm.Model(INTERCEPTS, data=clustered(), cluster="g", priors={"y ~ 1": "normal(0, 500)"})
    assert any(
        "Vague to absurdity: the middle half" in line
        for line in wide.prior_implied(random_seed=14).lines
    )


def test_priors_beyond_what_numbers_hold() -> None:
    """exp() of a log SD of 1,000 is infinite: said, not raised."""
    this = case("residual SD")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bm.MsemWarning)
        priors = {"v1 ~ 1": "normal(0, 1000)"}
        model = bm.Model(this.text, data=make_data(), cluster="group", priors=priors)
    implied = model.prior_implied(draws=50, random_seed=1)
    assert any(line.startswith("At the edge") for line in implied.lines)
    assert np.isfinite(implied.replicated["y1"]).all()
    model.plot_prior_predictive(50, random_seed=1).canvas.draw()


def test_a_negative_icc_of_few_clusters_is_no_conflict() -> None:
    data = clustered(n_clusters=6, size=4, sd=(0.0, 1.0))
    data["y"] -= 0.4 * data.groupby("g")["y"].transform("mean")
    with pytest.warns(bm.SmallSampleWarning):
        model = bm.Model(INTERCEPTS, data=data, cluster="g")
    implied = model.prior_implied(random_seed=15)
    assert row(implied, "icc", "", "y").data < 0
    assert row(implied, "icc", "", "y").p > 0.05
    assert row(implied, "sd", "between", "y").data == 0


# All models ---------------------------------------------------------------------------------------

EVERY = (case("everything"), case("second order"), case("correlation with random SDs"))


@pytest.mark.parametrize("this", EVERY, ids=[c.name for c in EVERY])
def test_models_with_sampled_effects_and_missing_values(this: Case) -> None:
    frame = make_data()
    frame.loc[frame.index[:4], "y2"] = np.nan
    implied = build(this, frame).prior_implied(draws=50, random_seed=16)
    table = pd.DataFrame(implied.table)
    assert table[["median", "lower", "upper"]].notna().all(axis=None)
    with_data = table[table["quantity"].isin(["mean", "sd"])]
    assert with_data["p"].between(0, 1).all()
    assert len(implied.observed["y2"]) == len(frame) - 4


def test_seeds_and_arguments() -> None:
    model = bm.Model(INTERCEPTS, data=clustered(), cluster="g")
    one, two = (model.prior_implied(draws=50, random_seed=1).table for _ in range(2))
    pd.testing.assert_frame_equal(pd.DataFrame(one), pd.DataFrame(two))
    assert not model.prior_implied(draws=50, random_seed=2).table.equals(one)
    model.prior_implied(draws=20)
    with pytest.raises(SpecificationError, match="20 draws or more"):
        model.prior_implied(draws=5)
    with pytest.raises(SpecificationError, match="probability"):
        model.prior_implied(ci=95)
    with pytest.raises(SpecificationError, match="random_seed"):
        model.prior_implied(random_seed="1")  # type: ignore[arg-type]


def test_notebook_display_escapes() -> None:
    implied = bm.Model(INTERCEPTS, data=clustered(), cluster="g").prior_implied(
        draws=50, random_seed=1
    )
    html = implied._repr_html_()
    assert html.startswith("<div>")
    assert "<li>" in html
