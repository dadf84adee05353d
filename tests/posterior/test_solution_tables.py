"""ICC, R2, variance components and reliability: closed forms, lavaan, brute-force simulation."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import bayes_msem as bm
from bayes_msem.blueprint.values import theta_from_values
from bayes_msem.errors import SpecificationError
from bayes_msem.posterior.levels import Levels, levels_at
from bayes_msem.posterior.reliability import composite_reliabilities
from bayes_msem.posterior.variance import average_size, intraclass_correlations
from tests.inference.models import quiet_model, reference_model
from tests.likelihood.cases import FACTOR_B, FACTOR_W, Case, make_frame, single_level, two_level
from tests.posterior.synthetic import synthetic_fit
from tests.random.models import case

FOLDER = Path(__file__).parents[1] / "reference"
FACTORS = two_level("factors and covariates", f"{FACTOR_W}\nfw ~ x1", f"{FACTOR_B}\nfb ~ w1")


def levels_of(model: bm.Model, values: dict[tuple[str, str, str, str], float]) -> Levels:
    return levels_at(model.blueprint, theta_from_values(model.blueprint, values)[None])


# ICC ------------------------------------------------------------------------------------------


def test_icc_is_lavaans() -> None:
    """The saturated model. lavaan computes ICC from a second, EM fit of the same model that stops
    earlier: its log-likelihood is 1e-4 lower, and the ICC differ by up to 8e-5, less than 0.01 of
    their SE."""
    _, demo = reference_model("demo-twolevel")
    fits = json.loads((FOLDER / "demo-twolevel" / "figures.json").read_text())["fits"]
    stored = fits["ml_saturated_y"]
    text = "level: within\ny1 ~~ y2 + y3\ny2 ~~ y3\nlevel: between\ny1 ~~ y2 + y3\ny2 ~~ y3"
    frame = pd.read_csv(FOLDER / "demo-twolevel" / "data.csv.gz")
    model = quiet_model(text, data=frame, cluster="cluster")
    free = {row.key for row in model.table.rows if row.free}
    values = {}
    for row in stored["parameters"]:
        mean = row["op"] == "~1"
        key = (row["level"], row["lhs"], "~" if mean else "~~", "1" if mean else row["rhs"])
        values |= {key: row["est"]} if key in free else {}
    assert demo.blueprint.observed.n_rows == model.blueprint.observed.n_rows
    for name, icc in intraclass_correlations(levels_of(model, values)).items():
        np.testing.assert_allclose(icc, stored["icc"][name], atol=1e-4)


def test_icc_of_two_factor_model_is_close_to_that_of_the_saturated_one() -> None:
    """lavaan's ICC come from unrestricted covariances; those of the model, which
    fits well, are close to them: by 0.006 or less, where standard errors are about 0.01 to 0.02."""
    reference, model = reference_model("lq2002-two-factor")
    stored = pd.read_csv(FOLDER / "lq2002-two-factor" / "icc.csv").set_index("variable")["icc"]
    values = {k: v for k, v in reference.estimates.items() if k in reference.free}
    icc = intraclass_correlations(levels_of(model, values))
    assert set(icc) == set(stored.index)
    for name, value in icc.items():
        np.testing.assert_allclose(value, stored[name], atol=6e-3)


def test_icc_table_by_hand() -> None:
    fit = synthetic_fit(FACTORS)
    draws, observed = fit.draws, fit.model.blueprint.observed
    within = (
        draws["within", "fw", "~", "x1"] ** 2 * observed.x.var() + draws["within", "fw", "~~", "fw"]
    )
    within = draws["within", "fw", "=~", "y2"] ** 2 * within + draws["within", "y2", "~~", "y2"]
    between = (
        draws["between", "fb", "~", "w1"] ** 2 * observed.w.var()
        + draws["between", "fb", "~~", "fb"]
    )
    between = draws["between", "fb", "=~", "y2"] ** 2 * between + draws["between", "y2", "~~", "y2"]
    size = len(observed.sizes) / np.sum(1 / observed.sizes)
    table = fit.icc(ci=0.8, means=True)
    for kind, n in (("ICC(1)", 1.0), ("ICC(2)", size)):
        expected = between / (between + within / n)
        row = table[(table["icc"] == kind) & (table["variable"] == "y2")].iloc[0]
        np.testing.assert_allclose(row["mean"], expected.mean())
        np.testing.assert_allclose(row["sd"], expected.std(ddof=1))
        np.testing.assert_allclose([row["lower"], row["upper"]], np.quantile(expected, [0.1, 0.9]))
    assert f"at {size:.3g} rows per cluster" in table.caption
    assert "80% equal-tailed interval (ETI)" in table.caption
    assert "at their means" not in table.caption
    assert "covariates of level within at their means" in synthetic_fit(case("slope")).icc().caption


def test_icc2_is_the_reliability_of_simulated_cluster_means() -> None:
    """Balanced data: squared correlation of a_j with the mean of n rows."""
    fit = synthetic_fit(FACTORS)
    levels = fit._solution().levels
    rng = np.random.default_rng(4)
    first = levels.between.names.index("y1"), levels.within.names.index("y1")
    tau, sigma = levels.between.variance[0, first[0]], levels.within.variance[0, first[1]]
    a = np.sqrt(tau) * rng.normal(size=200_000)
    means = a + np.sqrt(sigma) * rng.normal(size=(4, 200_000)).mean(axis=0)
    # SE of a squared correlation below 2 r (1 - r^2) / sqrt(200000) < 0.002
    expected = np.corrcoef(a, means)[0, 1] ** 2
    assert intraclass_correlations(levels, 4)["y1"][0] == pytest.approx(expected, abs=0.006)


# R2 and variance components -----------------------------------------------------------------


def test_r2_and_components_agree() -> None:
    fit = synthetic_fit(FACTORS)
    draws, x = fit.draws, fit.model.blueprint.observed.x
    explained = draws["within", "fw", "~", "x1"] ** 2 * x.var()
    residual = draws["within", "fw", "~~", "fw"]
    r2 = explained / (explained + residual)
    table = fit.r2(ci=0.5)
    row = table[(table["level"] == "within") & (table["variable"] == "fw")].iloc[0]
    np.testing.assert_allclose([row["mean"], row["sd"]], [r2.mean(), r2.std(ddof=1)])
    np.testing.assert_allclose([row["lower"], row["upper"]], np.quantile(r2, [0.25, 0.75]))
    parts = fit.variance_components()
    parts = parts[(parts["level"] == "within") & (parts["variable"] == "fw")].set_index("part")
    for name, value in (
        ("explained", explained),
        ("residual", residual),
        ("total", explained + residual),
    ):
        np.testing.assert_allclose(parts.loc[name, "mean"], value.mean())
        np.testing.assert_allclose(parts.loc[name, "sd"], value.std(ddof=1))


def test_random_slopes_count_as_predictors() -> None:
    fit = synthetic_fit(case("slope"))
    assert list(fit.r2()["variable"]) == ["y1"]
    components = fit.variance_components()
    assert {"s"} <= set(components["variable"])
    assert "covariates of zero" in components.caption


# Reliability ----------------------------------------------------------------------------------


def simulated_reliabilities(levels: Levels, n: int) -> dict[str, float]:
    """Squared correlations of composites with their true scores, in simulated balanced data."""
    rng, clusters = np.random.default_rng(3), 150_000

    def draw(level, rows):
        latent = {}
        noise = rng.multivariate_normal(np.zeros(len(level.names)), level.psi[0], size=rows)
        x = rng.multivariate_normal(
            np.zeros(len(level.design)), level.design_covariance, size=rows, method="eigh"
        )
        v = np.linalg.solve(np.eye(len(level.names)) - level.b[0], (noise + x @ level.k[0].T).T)
        latent = dict(zip(level.names, v, strict=True))
        return latent

    within, between = draw(levels.within, clusters * n), draw(levels.between, clusters)
    items = ("y1", "y2", "y3")
    sum_w, sum_b = sum(within[v] for v in items), sum(between[v] for v in items)
    means = sum_b + sum_w.reshape(clusters, n).mean(axis=1)
    loads_w = levels.within.b[0][:, levels.within.names.index("fw")].sum()
    loads_b = levels.between.b[0][:, levels.between.names.index("fb")].sum()
    true = np.repeat(loads_b * between["fb"], n) + loads_w * within["fw"]

    def squared(a, b):
        return float(np.corrcoef(a, b)[0, 1] ** 2)

    return {
        "within": squared(sum_w, within["fw"]),
        "between": squared(sum_b, between["fb"]),
        "cluster means": squared(means, between["fb"]),
        "total": squared(np.repeat(sum_b, n) + sum_w, true),
    }


def test_omega_is_the_squared_correlation_with_the_factor() -> None:
    sizes = (4,) * 12
    frame = make_frame(sizes=sizes)
    model = quiet_model(FACTORS.text, data=frame, cluster="group")
    loadings, values = {"y1": 1.0, "y2": 0.7, "y3": 1.4}, {}
    for row in model.table.rows:
        if row.free:
            values[row.key] = {
                "loading": loadings.get(row.rhs, 1.0),
                "regression": 0.5,
                "intercept": 0.2,
                "variance": 0.8 if row.level == "within" else 0.3,
                "covariance": 0.0,
            }[row.kind]
    levels = levels_of(model, values)
    assert average_size(levels) == pytest.approx(4.0)
    found = composite_reliabilities(levels)
    expected = simulated_reliabilities(levels, 4)
    for (factor, kind), value in found.items():
        assert factor == ("fw" if kind in ("within", "total") else "fb")
        # 150,000 clusters: SE of a squared correlation below 0.0015
        assert value[0] == pytest.approx(expected[kind], abs=0.005), kind
    assert {kind for _, kind in found} == set(expected)


def test_omega_of_a_single_level_model_is_mcdonalds() -> None:
    """(sum of loadings)^2 Var(f) / (that + sum of residual variances), per draw."""
    fit = synthetic_fit(single_level("cfa", "f =~ y1 + y2 + y3"))
    d = fit.draws
    loads = 1 + d["within", "f", "=~", "y2"] + d["within", "f", "=~", "y3"]
    true = loads**2 * d["within", "f", "~~", "f"]
    noise = sum(d["within", v, "~~", v] for v in ("y1", "y2", "y3"))
    table = fit.reliability()
    assert list(table["composite"]) == ["total"]
    assert "clusters" not in table.caption
    assert "Covariates" not in fit.r2().caption  # there are none
    assert "Covariates contribute" in synthetic_fit(FACTORS).r2().caption
    np.testing.assert_allclose(table["mean"].iloc[0], (true / (true + noise)).mean())


def test_second_order_factors_have_no_omega() -> None:
    table = synthetic_fit(case("second order")).reliability()
    assert set(table["factor"]) == {"f", "g", "h"}


# Errors and display -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("this", "method", "words"),
    [
        (single_level("path", "y1 ~ x1"), "icc", "write the variable at both levels"),
        (case("slope"), "reliability", "no factor of this model"),
        (two_level("moments", "y1 ~~ y2", "y1 ~~ y2"), "r2", "there is no R2"),
    ],
)
def test_what_is_not_there_is_said(this: Case, method: str, words: str) -> None:
    with pytest.raises(SpecificationError, match=words):
        getattr(synthetic_fit(this), method)()


@pytest.mark.parametrize("method", ["icc", "r2", "reliability", "variance_components"])
def test_tables_say_interval_and_read_well(method: str) -> None:
    fit = synthetic_fit(FACTORS)
    table = getattr(fit, method)(ci=0.9)
    assert "90% equal-tailed interval (ETI)" in table.caption
    assert {"mean", "sd", "lower", "upper", "ess_bulk", "ess_tail", "r_hat"} < set(table.columns)
    assert "<table" in table._repr_html_()
    assert "y2" in repr(table) or "fw" in repr(table)
    with pytest.raises(SpecificationError, match="not a probability"):
        getattr(fit, method)(ci=95)
