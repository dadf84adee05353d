"""Standardised solutions: lavaan's figures, independent formulas, and what users see."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bayes_msem.blueprint.values import theta_from_values
from bayes_msem.errors import SpecificationError
from bayes_msem.posterior.levels import levels_at
from bayes_msem.posterior.standardise import (
    RANDOM,
    SEVERAL_ROWS,
    TWO_LEVELS,
    explained_variance,
    omitted_definitions,
    standardised_values,
)
from tests.inference.models import quiet_model, reference_model
from tests.likelihood.cases import make_frame, two_level
from tests.posterior.synthetic import moments_by_hand, synthetic_fit, values_by_hand
from tests.random.models import case

TWO_FACTORS = two_level(
    "labels",
    "fw =~ y1 + l*y2 + y3\nfw ~ a*x1",
    "fb =~ y1 + l*y2 + y3\nfb ~ b*w1",
    "difference := b - a\nshared := l * a\nmore := shared + b\ndouble := 2 * a\nbelow := a^2 + a\n"
    "through := double - b\nratio := below / double",
)
FOLDER = Path(__file__).parents[1] / "reference"


def standardised_at(model, values):
    theta = theta_from_values(model.blueprint, values)
    return standardised_values(levels_at(model.blueprint, theta[None]))


def lavaan_keys(frame: pd.DataFrame) -> pd.DataFrame:
    """Spell intercepts as the parameter table does."""
    means = frame["op"] == "~1"
    return frame.assign(
        op=frame["op"].where(~means, "~"), rhs=frame["rhs"].fillna("").where(~means, "1")
    )


def test_demo_solution_is_lavaans():
    """Covariates at both levels; lavaan's figures at lavaan's estimates, which have 12 digits."""
    _, model = reference_model("demo-twolevel")
    stored = lavaan_keys(pd.read_csv(FOLDER / "demo-twolevel" / "standardized.csv"))
    stored["key"] = list(zip(*(stored[c] for c in ("level", "lhs", "op", "rhs")), strict=True))
    stored = stored.set_index("key")
    free = [r.key for r in model.table.rows if r.free]
    theta = theta_from_values(model.blueprint, stored["est"].loc[free].to_dict())
    levels = levels_at(model.blueprint, theta[None])
    ours = standardised_values(levels)
    assert len(ours) == 22
    for key, value in ours.items():
        np.testing.assert_allclose(value, stored["std_all"].loc[[key]], rtol=1e-8, err_msg=str(key))
    r2 = stored[stored["op"] == "r2"]
    for level in levels.both:
        expected = r2[r2["level"] == level.level].set_index("lhs")["std_all"]
        found = explained_variance(level)
        assert set(found) == set(expected.index)
        for name, value in found.items():
            np.testing.assert_allclose(value, expected[name], rtol=1e-8)


def test_two_factor_solution_is_lavaans():
    """A negative variance. The difference of slopes of two levels has no standardised value:
    lavaan's, (bb - bw) of slopes in different units, is not reproduced."""
    reference, model = reference_model("lq2002-two-factor")
    stored = lavaan_keys(pd.read_csv(FOLDER / "lq2002-two-factor" / "standardized.csv"))
    half = stored.index[stored["op"].eq("=~") & stored["lhs"].eq("lead_b")][0]
    stored["level"] = np.where(stored.index < half, "within", "between")
    stored.loc[stored["op"] == ":=", "level"] = ""
    table = stored.set_index(["level", "lhs", "op", "rhs"])["est.std"]
    values = {k: v for k, v in reference.estimates.items() if k in reference.free}
    ours = standardised_at(model, values)
    assert ("", "contextual", ":=", "bb-bw") in table.index
    assert omitted_definitions(model.table) == {"contextual": TWO_LEVELS}
    for (level, lhs, op, rhs), value in ours.items():
        assert op != ":="
        # figures of an earlier run, up to 0.001 SE from the maximum; the SEs here are below 0.1,
        # of intercepts in units of small between SDs about 1
        limit = 2e-3 if rhs == "1" else 1e-4
        np.testing.assert_allclose(value, table[level, lhs, op, rhs], atol=limit)


def test_simple_regression_has_the_correlation_as_standardised_slope() -> None:
    """One level, at the least-squares solution with ML's divisor N."""
    frame = make_frame()
    model = quiet_model("y1 ~ x1", data=frame)
    (x_var, cov), (_, y_var) = np.cov(frame["x1"], frame["y1"], ddof=0)
    slope = cov / x_var
    values = {
        ("within", "y1", "~", "x1"): slope,
        ("within", "y1", "~~", "y1"): y_var - slope * cov,
        ("within", "y1", "~", "1"): frame["y1"].mean() - slope * frame["x1"].mean(),
    }
    found = standardised_at(model, values)
    r = np.corrcoef(frame["x1"], frame["y1"])[0, 1]
    np.testing.assert_allclose(found["within", "y1", "~", "x1"], r, rtol=1e-12)
    np.testing.assert_allclose(found["within", "y1", "~~", "y1"], 1 - r**2, rtol=1e-12)


# Synthetic draws -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["slopes of a factor and of its indicator", "everything"])
def test_average_cluster_by_hand(name: str) -> None:
    fit = synthetic_fit(case(name))
    value, observed = values_by_hand(fit), fit.model.blueprint.observed
    found = standardised_values(fit._solution().levels)
    x_sd = dict(zip(observed.x_names, observed.x.std(axis=0), strict=True))
    w_sd = dict(zip(observed.w_names, observed.w.std(axis=0), strict=True))
    seen = set()
    for level, covariate_sd in (("within", x_sd), ("between", w_sd)):
        covariances, _ = moments_by_hand(fit, level, value)
        sd = {v: np.sqrt(covariances[v, v]) for v, _ in covariances} | covariate_sd
        for row in fit.model.table.rows:
            if row.level != level:
                continue
            raw = value[row.key]
            expected = {
                "loading": lambda r, b=raw, s=sd: b * s[r.lhs] / s[r.rhs],
                "regression": lambda r, b=raw, s=sd: b * s[r.rhs] / s[r.lhs],
                "intercept": lambda r, b=raw, s=sd: b / s[r.lhs],
                "variance": lambda r, b=raw, s=sd: b / s[r.lhs] ** 2,
                "covariance": lambda r, b=raw, lev=level: (
                    b / np.sqrt(value[lev, r.lhs, "~~", r.lhs] * value[lev, r.rhs, "~~", r.rhs])
                ),
            }[row.kind](row)
            seen.add((level, row.kind, bool(row.random)))
            np.testing.assert_allclose(found[row.key], expected, rtol=1e-9, err_msg=str(row.key))
    assert len(seen) >= 6


def test_cluster_has_its_own_coefficients_and_spread() -> None:
    """y1 ~ s_j x1 + b x2 in one cluster: its slope, and the covariance matrix of its x."""
    fit = synthetic_fit(case("slope"))
    observed = fit.model.blueprint.observed
    position = int(np.argmax(observed.sizes))
    cluster = observed.cluster_ids[position]
    table = fit.standardized(cluster=cluster)
    x = observed.x[observed.cluster == position]
    slope = fit.cluster_draws["effects"].sel(effect="s").isel(cluster_id=position).to_numpy()
    other, residual = fit.draws["within", "y1", "~", "x2"], fit.draws["within", "y1", "~~", "y1"]
    spread = np.cov(x.T, ddof=0)
    explained = slope**2 * spread[0, 0] + other**2 * spread[1, 1] + 2 * slope * other * spread[0, 1]
    expected = slope * np.sqrt(spread[0, 0] / (explained + residual))
    assert set(table["level"]) == {"within"}
    row = table[table["rhs"] == "x1"].iloc[0]
    assert row["label"] == 'rv("s")'
    np.testing.assert_allclose(row["mean"], expected.mean())
    np.testing.assert_allclose([row["lower"], row["upper"]], np.quantile(expected, [0.025, 0.975]))
    assert f"Cluster {cluster}" in table.caption
    average = fit.standardized()
    assert average[average["rhs"] == "x1"]["mean"].iloc[0] != pytest.approx(row["mean"], rel=1e-3)


def test_cluster_of_a_model_with_random_intercepts_differs_by_its_covariates() -> None:
    fit = synthetic_fit(TWO_FACTORS)
    observed = fit.model.blueprint.observed
    position = int(np.argmax(observed.sizes))
    table = fit.standardized(cluster=observed.cluster_ids[position])
    x = observed.x[observed.cluster == position, 0]
    slope, residual = fit.draws["within", "fw", "~", "x1"], fit.draws["within", "fw", "~~", "fw"]
    expected = slope * x.std() / np.sqrt(slope**2 * x.var() + residual)
    row = table[(table["lhs"] == "fw") & (table["op"] == "~")].iloc[0]
    np.testing.assert_allclose(row["mean"], expected.mean())


def test_cluster_with_random_loading_and_variance() -> None:
    """y2 = l2_j fw + e: l2_j^2 Var(fw) / (l2_j^2 Var(fw) + Var(e)) is the squared loading."""
    fit = synthetic_fit(case("loadings"))
    position = 3
    table = fit.standardized(cluster=fit.model.blueprint.observed.cluster_ids[position])
    loading = fit.cluster_draws["effects"].sel(effect="l2").isel(cluster_id=position).to_numpy()
    factor, residual = fit.draws["within", "fw", "~~", "fw"], fit.draws["within", "y2", "~~", "y2"]
    expected = loading * np.sqrt(factor / (loading**2 * factor + residual))
    row = table[(table["op"] == "=~") & (table["rhs"] == "y2")].iloc[0]
    np.testing.assert_allclose(row["mean"], expected.mean())
    np.testing.assert_allclose(row["sd"], expected.std(ddof=1))


def test_table_has_the_columns_of_the_summary_and_reads_well() -> None:
    fit = synthetic_fit(TWO_FACTORS)
    table = fit.standardized(ci=0.9, ci_kind="hdi")
    assert list(table.columns) == [c for c in fit.summary().columns if c != "prior"]
    assert "90% highest-density interval (HDI)" in table.caption
    assert "StdYX" in table.caption
    text, html = repr(table), table._repr_html_()
    for shown in (text, html):
        assert "within" in shown
        assert "fw =~ y2" in shown
    assert "within: loadings" in html


def test_constants_are_shown_as_such() -> None:
    """The variance of an exogenous factor is 1 by definition, which rounding must not hide."""
    table = synthetic_fit(case("loadings")).standardized()
    factor = table[(table["lhs"] == "fw") & (table["rhs"] == "fw")].iloc[0]
    assert (factor["mean"], factor["sd"]) == (1.0, 0.0)
    assert np.isnan(factor["r_hat"])


def test_definitions_use_standardised_values() -> None:
    fit = synthetic_fit(TWO_FACTORS)
    draws = standardised_values(fit._solution().levels)
    slope = draws["within", "fw", "~", "x1"]
    expected = {"double": 2 * slope, "below": slope**2 + slope, "ratio": (slope + 1) / 2}
    defined = {key[1]: value for key, value in draws.items() if key[2] == ":="}
    assert list(defined) == list(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(defined[name], value, rtol=1e-12)


def test_definitions_without_a_standardised_value_are_named_with_the_reason() -> None:
    """Also those that combine levels through another definition."""
    fit = synthetic_fit(TWO_FACTORS)
    assert omitted_definitions(fit.model.table) == {
        "difference": TWO_LEVELS,
        "shared": SEVERAL_ROWS,
        "more": SEVERAL_ROWS,
        "through": TWO_LEVELS,
    }
    table = fit.standardized()
    assert list(table.loc[table["op"] == ":=", "lhs"]) == ["double", "below", "ratio"]
    assert (
        "Left out: difference, through (combine both levels, which are standardised by different "
        "SDs); shared, more (use a label of several rows, whose standardised values differ)."
    ) in table.caption
    raw = fit.summary()
    assert set(raw.loc[raw["op"] == ":=", "lhs"]) >= {"difference", "through"}


def test_random_coefficients_are_a_reason_too() -> None:
    this = two_level("random", 'y1 ~ rv("s")*x1 + a*x2', "y1 ~~ s", "k := s * a\nm := a^2")
    fit = synthetic_fit(this)
    assert omitted_definitions(fit.model.table) == {"k": RANDOM}
    assert "Left out: k (use random coefficients)." in fit.standardized().caption


def test_unknown_cluster_is_named() -> None:
    fit = synthetic_fit(case("slope"))
    with pytest.raises(SpecificationError, match="there is no cluster 'nowhere'"):
        fit.standardized(cluster="nowhere")
