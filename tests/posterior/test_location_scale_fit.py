"""What a fit of a location-scale model says, against formulas by hand; and what it refuses.

Draws are made up (tests.posterior.made_up): what is tested is what follows from them.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy.stats import norm

import bayes_msem as bm
from bayes_msem.errors import DataWarning, MsemWarning, NotSupportedError
from tests.posterior.made_up import synthetic_fit

Array = NDArray[np.float64]

TEXT = """
level: within
    y ~ b*m + x
    y ~~ rv("g")*y
    g ~ m + a*x
level: between
    y ~ m
    g ~ w
times := exp(a)
"""
SINGLE = 'y ~ m + x\ny ~~ rv("v")*y\nv ~ m + x\nm ~ x'
FACTOR = 'f =~ y1 + y2 + y3\nf ~ x\ny1 ~~ rv("v")*y1\nv ~ x'
N_CLUSTERS, SIZE = 20, 6


def data() -> pd.DataFrame:
    """A tenth of y and of m is missing; somewhere both are."""
    rng = np.random.default_rng(2)
    cluster = np.repeat(np.arange(N_CLUSTERS), SIZE)
    n = len(cluster)
    frame = pd.DataFrame({"c": cluster, "x": rng.normal(0.5, 1.0, n)})
    frame["w"] = rng.normal(size=N_CLUSTERS)[cluster]
    frame["m"] = rng.normal(size=N_CLUSTERS)[cluster] + rng.normal(size=n)
    frame["y"] = 1 + 0.3 * frame["m"] + rng.normal(size=n) * np.exp(0.3 * frame["x"] - 0.2)
    f = rng.normal(size=n)
    for k in (1, 2, 3):
        frame[f"y{k}"] = f + 0.7 * rng.normal(size=n)
    for name in ("y", "m"):
        frame.loc[rng.uniform(size=n) < 0.1, name] = np.nan
    frame.loc[4, ["y", "m"]] = np.nan
    return frame


def model_of(text: str, frame: pd.DataFrame | None = None) -> bm.Model:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MsemWarning)
        cluster = "c" if "level" in text else None
        return bm.Model(text, data=data() if frame is None else frame, cluster=cluster)


@pytest.fixture(scope="module")
def fit() -> bm.Fit:
    return synthetic_fit(model_of(TEXT), draws=30)


@pytest.fixture(scope="module")
def single() -> bm.Fit:
    return synthetic_fit(model_of(SINGLE), draws=30)


def draws(fit: bm.Fit, *key: str) -> Array:
    level = () if len(key) == 4 else ("within",)
    return np.asarray(fit.draws[(*level, *key)]).ravel()


def effects(fit: bm.Fit, name: str) -> Array:
    """Draws of one effect, (S, J)."""
    found = fit.cluster_draws["effects"].sel(effect=name)
    return found.transpose("chain", "draw", "cluster_id").to_numpy().reshape(-1, N_CLUSTERS)


# Numbers ----------------------------------------------------------------------------------------


def mean_residual_variance(fit: bm.Fit, log_sd: Array, name: str, frame: pd.DataFrame) -> Array:
    """E exp(2 delta) over rows, by drawing m given x a thousand times for every row."""
    rng, found = np.random.default_rng(5), []
    x = frame["x"].to_numpy()
    for s, level in enumerate(log_sd):
        sd = np.sqrt(draws(fit, "m", "~~", "m")[s])
        m = draws(fit, "m", "~", "x")[s] * x + sd * rng.standard_normal((4000, len(x)))
        if name == "v":  # with one level m has its mean here
            m = m + draws(fit, "m", "~", "1")[s]
        delta = level + draws(fit, name, "~", "m")[s] * m + draws(fit, name, "~", "x")[s] * x
        found.append(np.exp(2 * delta).mean())
    return np.array(found)


def seen() -> pd.DataFrame:
    """Rows with an outcome."""
    frame = data()
    return frame[~frame[["y", "m"]].isna().all(axis=1)]


def component(fit: bm.Fit, part: str) -> float:
    table = pd.DataFrame(fit.variance_components())
    own = table.query("variable == 'y' and level == 'within'").set_index("part")
    return float(own["mean"][part])


def test_the_residual_variance_is_the_mean_over_rows(fit: bm.Fit, single: bm.Fit) -> None:
    """The Monte Carlo error of the oracle is below 1% of it."""
    w = data().groupby("c")["w"].first().mean()
    log_sd = draws(fit, "between", "g", "~", "1") + draws(fit, "between", "g", "~", "w") * w
    expected = mean_residual_variance(fit, log_sd, "g", seen())
    assert component(fit, "residual") == pytest.approx(expected.mean(), rel=0.02)
    expected = mean_residual_variance(single, draws(single, "v", "~", "1"), "v", seen())
    assert component(single, "residual") == pytest.approx(expected.mean(), rel=0.02)


def test_implied_covariances_have_it(fit: bm.Fit) -> None:
    """Of the typical cluster, whose effects are at their intercepts, and of a given one."""
    explained = draws(fit, "y", "~", "m") ** 2 * draws(fit, "m", "~~", "m")
    typical = fit.implied_covariance("within").sel(outcome="y", outcome_2="y").to_numpy().ravel()
    expected = mean_residual_variance(fit, draws(fit, "between", "g", "~", "1"), "g", seen())
    assert typical.mean() == pytest.approx((expected + explained).mean(), rel=0.02)
    own = fit.implied_covariance("within", cluster_id=3).sel(outcome="y", outcome_2="y")
    rows = seen()[seen()["c"] == 3]
    expected = mean_residual_variance(fit, effects(fit, "g")[:, 3], "g", rows)
    # fewer rows, so a larger error of the oracle
    assert own.to_numpy().mean() == pytest.approx((expected + explained).mean(), rel=0.05)


def test_r2_and_standardised_rows_use_it(fit: bm.Fit) -> None:
    assert component(fit, "total") == pytest.approx(
        component(fit, "explained") + component(fit, "residual")
    )
    table = pd.DataFrame(fit.standardized())
    share = table.query("level == 'within' and lhs == 'y' and op == '~~'")["mean"].iloc[0]
    r2 = pd.DataFrame(fit.r2()).query("level == 'within' and variable == 'y'")["mean"].iloc[0]
    assert share == pytest.approx(1 - r2)


def test_slopes_of_log_sds_are_in_sds_of_the_predictor(fit: bm.Fit) -> None:
    table = pd.DataFrame(fit.standardized())
    found = table.query("level == 'within' and lhs == 'g' and rhs == 'x'")["mean"].iloc[0]
    sx = seen()["x"].std(ddof=0)
    assert found == pytest.approx((draws(fit, "g", "~", "x") * sx).mean())
    assert "change of the log SD per SD" in fit.standardized().attrs["caption"]
    assert "mean over rows" in fit.r2().attrs["caption"]


def test_rows_have_the_density_of_their_own_sd(fit: bm.Fit) -> None:
    frame = data()
    rows = np.flatnonzero(~frame[["y", "m"]].isna().any(axis=1))[:25]
    found = fit.log_likelihood(unit="observation")
    values = found.sel(obs_id=rows).to_numpy().reshape(-1, len(rows))
    at = frame["c"].to_numpy()[rows]
    x, m, y = (frame[v].to_numpy()[rows] for v in ("x", "m", "y"))
    part = m - effects(fit, "m")[:, at]

    def slope(*key: str) -> Array:
        return draws(fit, *key)[:, None]

    eta = effects(fit, "y")[:, at] + slope("y", "~", "m") * part + slope("y", "~", "x") * x
    delta = effects(fit, "g")[:, at] + slope("g", "~", "m") * part + slope("g", "~", "x") * x
    expected = norm.logpdf(y, eta, np.exp(delta))
    expected += norm.logpdf(part, slope("m", "~", "x") * x, np.sqrt(slope("m", "~~", "m")))
    np.testing.assert_allclose(values, expected, rtol=1e-9, atol=1e-9)


def test_simulated_residuals_have_the_sd_of_their_row() -> None:
    """50,000 rows: standardised residuals have mean 0 and variance 1, within 4 standard errors,
    also in the quarters of both predictors of the log SD."""
    model = model_of(TEXT)
    values = {
        ("within", "y", "~", "m"): 0.5,
        ("within", "y", "~", "x"): -0.3,
        ("within", "g", "~", "m"): 0.2,
        ("within", "g", "~", "x"): 0.3,
        ("within", "m", "~", "x"): 0.4,
        ("within", "m", "~~", "m"): 1.0,
        ("between", "y", "~", "m"): 0.2,
        ("between", "m", "~", "w"): 0.1,
        ("between", "y", "~", "w"): 0.1,
        ("between", "g", "~", "w"): 0.2,
        ("between", "y", "~~", "y"): 0.5,
        ("between", "m", "~~", "m"): 0.6,
        ("between", "g", "~~", "g"): 0.1,
        ("between", "y", "~~", "g"): 0.05,
        ("between", "y", "~", "1"): 1.0,
        ("between", "m", "~", "1"): 2.0,
        ("between", "g", "~", "1"): -0.5,
    }
    values = {k: v for k, v in values.items() if k in {r.key for r in model.table.rows if r.free}}
    frame, known = model.simulate(
        values, clusters=1000, sizes=50, random_seed=1, return_effects=True
    )
    u = known.loc[frame["c"]]
    part = frame["m"].to_numpy() - u["m"].to_numpy()
    eta = u["y"].to_numpy() + 0.5 * part - 0.3 * frame["x"].to_numpy()
    delta = u["g"].to_numpy() + 0.2 * part + 0.3 * frame["x"].to_numpy()
    z = (frame["y"].to_numpy() - eta) / np.exp(delta)
    for by in (np.zeros(len(z)), part, frame["x"].to_numpy()):
        quarter = pd.qcut(by, 4, labels=False, duplicates="drop") if by.any() else by
        for k in np.unique(quarter):
            some = z[quarter == k]
            assert abs(some.mean()) < 4 / np.sqrt(len(some))
            assert abs((some**2).mean() - 1) < 4 * np.sqrt(2 / len(some))


def test_single_level_data_too() -> None:
    model = model_of(SINGLE)
    values = {r.key: 0.3 for r in model.table.rows if r.free}
    big = pd.concat([data()[["x"]]] * 300, ignore_index=True)
    frame = model.simulate(values, data=big, random_seed=1)
    delta = 0.3 + 0.3 * frame["m"] + 0.3 * frame["x"]
    z = (frame["y"] - 0.3 - 0.3 * frame["m"] - 0.3 * frame["x"]) / np.exp(delta)
    assert abs(float(z.mean())) < 4 / np.sqrt(len(z))
    assert abs(float((z**2).mean()) - 1) < 4 * np.sqrt(2 / len(z))


def test_imputed_outcomes_have_the_sd_of_their_row() -> None:
    """Many draws of one set of parameters: y missing and m known, given the cluster's effects."""
    model = model_of(TEXT)
    one = synthetic_fit(model, chains=1, draws=1).datatree["posterior"].to_dataset()
    many = one.isel(draw=np.zeros(3000, dtype=int)).assign_coords(draw=np.arange(3000))
    fit = synthetic_fit(model, posterior=many)
    frame = data()
    row = int(np.flatnonzero(frame["y"].isna() & frame["m"].notna())[0])
    drawn = np.array([found["y"].iloc[row] for found in fit.impute(3000)])
    at = frame["c"].iloc[row]
    m, x = frame["m"].iloc[row], frame["x"].iloc[row]
    part = m - effects(fit, "m")[0, at]
    eta = effects(fit, "y")[0, at] + draws(fit, "y", "~", "m")[0] * part
    eta += draws(fit, "y", "~", "x")[0] * x
    delta = effects(fit, "g")[0, at] + draws(fit, "g", "~", "m")[0] * part
    sd = np.exp(delta + draws(fit, "g", "~", "x")[0] * x)
    z = (drawn - eta) / sd
    assert abs(z.mean()) < 4 / np.sqrt(3000)
    assert abs((z**2).mean() - 1) < 4 * np.sqrt(2 / 3000)


def test_predicted_outcomes_have_the_sd_of_their_row() -> None:
    """Many outcomes at one set of parameters; m is not known, and drawn with the outcome."""
    model = model_of(TEXT)
    one = synthetic_fit(model, chains=1, draws=1).datatree["posterior"].to_dataset()
    n = 4000
    many = one.isel(draw=np.zeros(n, dtype=int)).assign_coords(draw=np.arange(n))
    fit = synthetic_fit(model, posterior=many)
    new = data()[["c", "x", "w"]].iloc[[3, 40]]
    drawn = fit.predict(new, kind="outcome", return_draws=True, random_seed=1)
    y = drawn.sel(outcome="y").to_numpy().reshape(n, 2)
    at, x = new["c"].to_numpy(), new["x"].to_numpy()
    slope, spread = draws(fit, "g", "~", "m")[0], draws(fit, "m", "~~", "m")[0]
    part = draws(fit, "m", "~", "x")[0] * x  # what is expected of m within
    delta = effects(fit, "g")[0, at] + slope * part + draws(fit, "g", "~", "x")[0] * x
    b = draws(fit, "y", "~", "m")[0]
    mean = effects(fit, "y")[0, at] + b * part + draws(fit, "y", "~", "x")[0] * x
    # delta is normal too: the mean of exp(2 delta)
    variance = b**2 * spread + np.exp(2 * delta + 2 * slope**2 * spread)
    error = np.sqrt(variance / n)
    np.testing.assert_array_less(np.abs(y.mean(axis=0) - mean), 4 * error)
    squares = (y - mean) ** 2
    error = squares.std(axis=0) / np.sqrt(n)
    np.testing.assert_array_less(np.abs(squares.mean(axis=0) - variance), 4 * error)


def test_imputed_predictors_are_the_sampled_ones(fit: bm.Fit) -> None:
    """Where y is known, missing m is among the draws, and is what imputation returns."""
    frame, blueprint = data(), fit.model.blueprint
    row = int(np.flatnonzero(frame["m"].isna() & frame["y"].notna())[0])
    found = np.array([one["m"].iloc[row] for one in fit.impute(60)])
    rows = blueprint.likelihood.responses
    assert rows is not None
    place = int(np.flatnonzero(rows.order == row)[0])
    posterior = fit.datatree["posterior"]
    t = posterior["effect_coordinates"].to_numpy().reshape(-1, *blueprint.likelihood.shape)
    t_s = posterior["score_coordinates"].to_numpy().reshape(-1, *blueprint.likelihood.score_shape)
    free = np.concatenate(
        [posterior[g.name].to_numpy().reshape(len(t), -1) for g in blueprint.parameters.groups],
        axis=1,
    )
    expected = []
    for s, point in enumerate(blueprint.points(free)):
        b = blueprint.likelihood.effects(point, np.ascontiguousarray(t[s]))
        score = blueprint.likelihood.scores(point, b, np.ascontiguousarray(t_s[s])).scores[place, 0]
        expected.append(score + b[frame["c"].iloc[row], 1])
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_new_outcomes_are_drawn_with_their_sd(fit: bm.Fit) -> None:
    """Means of predictions do not depend on the log SD; replicates do."""
    check = fit.ppc(draws=40, random_seed=1)
    names = set(check.statistics["statistic"])
    assert {"deviation_sd", "deviation_kurtosis", "scale_correlation", "scale_spread"} <= names
    labels = set(check.statistics["variable"])
    assert {"y", "|y|, m", "|y|, x"} <= labels


# Methods ----------------------------------------------------------------------------------------

WORKS: dict[str, Callable[[bm.Fit], object]] = {
    "summary": lambda fit: fit.summary(),
    "standardized": lambda fit: fit.standardized(),
    "standardized of a cluster": lambda fit: fit.standardized(cluster_id=3),
    "icc": lambda fit: fit.icc(),
    "r2": lambda fit: fit.r2(),
    "variance_components": lambda fit: fit.variance_components(),
    "cluster_effects": lambda fit: fit.cluster_effects(),
    "effects": lambda fit: fit.effects("x", "y"),
    "predict": lambda fit: fit.predict(),
    "predict new": lambda fit: fit.predict(data()[:3].assign(c=99), new_clusters=True),
    "implied": lambda fit: fit.implied_covariance("within", cluster_id=3),
    "ppp": lambda fit: fit.ppp(draws=20),
    "loo": lambda fit: fit.loo(unit="observation"),
    "impute": lambda fit: fit.impute(2),
    "hypothesis": lambda fit: fit.hypothesis("a > 0"),
    "prior_predictive": lambda fit: fit.model.prior_predictive(draws=3),
    "prior_implied": lambda fit: fit.model.prior_implied(draws=20),
    "to_lavaan": lambda fit: fit.model.to_lavaan(),
    "diagram": lambda fit: fit.model.diagram(),
    "plot_clusters": lambda fit: fit.plot_clusters("g"),
    "plot_forest": lambda fit: fit.plot_forest(),
    "plot_ppc": lambda fit: fit.plot_ppc(kind="statistics"),
}
REFUSED: dict[str, Callable[[bm.Fit], object]] = {
    "mode": lambda fit: fit.model.mode(),
    "indices": lambda fit: fit.indices(),
    "prior_sensitivity": lambda fit: fit.prior_sensitivity(),
    "plot_regression": lambda fit: fit.plot_regression("y", "x"),
    "plot_levels": lambda fit: fit.plot_levels("m", "y"),
    "to_mplus": lambda fit: fit.model.to_mplus(),
    "other samplers": lambda fit: fit.model.fit(sampler="numpyro"),
}


@pytest.mark.filterwarnings("ignore::bayes_msem.errors.MsemWarning", "ignore:.*Pareto")
@pytest.mark.parametrize("name", WORKS)
def test_works(name: str, fit: bm.Fit) -> None:
    assert WORKS[name](fit) is not None


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str, fit: bm.Fit) -> None:
    with pytest.raises(NotSupportedError, match="y"):
        REFUSED[name](fit)


def test_a_file_brings_everything_back(fit: bm.Fit, tmp_path: Path) -> None:
    fit.save(tmp_path / "fit.nc")
    again = bm.load(tmp_path / "fit.nc")
    assert again.model.table.log_sds == {"y": "g"}
    pd.testing.assert_frame_equal(pd.DataFrame(again.summary()), pd.DataFrame(fit.summary()))
    pd.testing.assert_frame_equal(
        pd.DataFrame(again.cluster_effects()), pd.DataFrame(fit.cluster_effects())
    )


def test_printing_says_what_is_sampled(fit: bm.Fit) -> None:
    text = str(fit.model)
    assert "log SD of residuals that differs between rows: g" in text
    plan = fit.model.plan
    assert plan.name == "augmented"
    assert "missing value of m" in plan.sampled
    assert plan.reason.startswith("residual SDs of y differ from row to row")


def test_priors_of_slopes_are_half_a_log_sd_per_sd(fit: bm.Fit) -> None:
    table = fit.model.parameter_table
    row = table.query("level == 'within' and lhs == 'g' and rhs == 'x'").iloc[0]
    sx = data()["x"].std(ddof=1)
    assert row["prior"].startswith("normal(0, ")
    assert float(row["prior"].split(", ")[1].rstrip(")")) == pytest.approx(0.5 / sx, rel=0.02)


def test_factors_with_such_indicators() -> None:
    fit = synthetic_fit(model_of(FACTOR), draws=10)
    scores = fit.scores()
    assert scores["mean"].notna().all()
    assert fit.reliability()["mean"].between(0, 1).all()


def test_clusters_without_spread_are_named() -> None:
    frame = data()
    frame.loc[frame["c"] == 7, "y"] = 2.0
    with pytest.warns(
        DataWarning, match=r"'y' has the same value in all rows of 1 cluster \('7'\)"
    ):
        bm.Model(TEXT, data=frame, cluster="c")
