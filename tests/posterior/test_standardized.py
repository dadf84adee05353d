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


# Beside the estimates --------------------------------------------------------------------------

FACTORS = """
level: within
    f1 =~ y1 + y2 + z1
    f2 =~ y3 + y4 + z2
    f1 ~~ f2
level: between
    fb =~ y1 + y2 + y3 + y4
"""


def factor_frame() -> pd.DataFrame:
    rng = np.random.default_rng(3)
    g = np.repeat(np.arange(30), 4)
    frame = pd.DataFrame(rng.normal(size=(120, 6)), columns=["y1", "y2", "y3", "y4", "z1", "z2"])
    return (frame + rng.normal(size=(30, 6))[g]).assign(g=g)


def test_std_lv_is_the_same_model_with_factor_variances_of_one() -> None:
    """Estimates with markers, standardised in the factors, have the likelihood they had."""
    frame = factor_frame()
    marker = quiet_model(FACTORS, data=frame, cluster="g")
    unit = quiet_model(FACTORS, data=frame, cluster="g", std_lv=True)
    rng = np.random.default_rng(1)
    values = {r.key: rng.uniform(0.5, 1.5) for r in marker.table.rows if r.free}
    values["within", "f1", "~~", "f2"] = 0.2
    theta = theta_from_values(marker.blueprint, values)
    found = standardised_values(levels_at(marker.blueprint, theta[None]), "std_lv")
    other = {r.key: float(found[r.key][0]) for r in unit.table.rows if r.free}
    assert len(other) == len(values)
    assert unit.log_likelihood(other) == pytest.approx(marker.log_likelihood(values), rel=1e-10)
    for row in unit.table.rows:
        if row.kind == "variance" and not row.free:
            np.testing.assert_allclose(found[row.key], 1.0)


@pytest.mark.parametrize("name", ["slopes of a factor and of its indicator", "everything"])
def test_std_lv_by_hand(name: str) -> None:
    """Only factors and random effects are standardised; all other variables keep their units."""
    fit = synthetic_fit(case(name))
    value = values_by_hand(fit)
    found = standardised_values(fit._solution().levels, "std_lv")
    seen = set()
    for level in ("within", "between"):
        covariances, _ = moments_by_hand(fit, level, value)
        latent = fit.model.table.variables(
            level, "within factor", "between factor", "random effect"
        )
        sd = {v: np.sqrt(covariances[v, v]) for v in latent}
        residual = {v: np.sqrt(value[level, v, "~~", v]) for v in latent}
        for row in fit.model.table.rows:
            if row.level != level:
                continue
            raw, one = value[row.key], 1.0
            up, low = sd.get(row.lhs, one), sd.get(row.rhs, one)
            expected = {
                "loading": raw * up / low,
                "regression": raw * low / up,
                "intercept": raw / up,
                "variance": raw / up**2,
                "covariance": raw / (residual.get(row.lhs, one) * residual.get(row.rhs, one)),
            }[row.kind]
            seen.add((level, row.kind, row.lhs in latent, row.rhs in latent))
            np.testing.assert_allclose(found[row.key], expected, rtol=1e-9, err_msg=str(row.key))
    assert len(seen) >= 8


def test_summary_with_standardised_values_and_r2() -> None:
    fit = synthetic_fit(TWO_FACTORS)
    plain, table = fit.summary(ci=0.9), fit.summary(ci=0.9, standardized=True)
    columns = list(plain.columns)
    after = columns.index("upper") + 1
    assert list(table.columns) == [*columns[:after], "std_lv", "std_all", *columns[after:]]
    rows = pd.DataFrame(table[table["op"] != "r2"])
    pd.testing.assert_frame_equal(
        rows[columns].reset_index(drop=True), pd.DataFrame(plain), check_dtype=False
    )
    key = ["level", "lhs", "op", "rhs"]
    standard = fit.standardized().set_index(key)["mean"]
    beside = rows.set_index(key)["std_all"].dropna()
    pd.testing.assert_series_equal(beside, standard, check_names=False)
    assert set(rows.loc[rows["std_all"].isna(), "lhs"]) == set(omitted_definitions(fit.model.table))
    below, explained = pd.DataFrame(table[table["op"] == "r2"]), fit.r2(ci=0.9)
    assert below["lhs"].tolist() == explained["variable"].tolist()
    numbers = ["mean", "median", "sd", "lower", "upper", "ess_bulk", "r_hat"]
    np.testing.assert_array_equal(below[numbers], explained[numbers])
    assert table["level"].tolist() == sorted(table["level"], key=["within", "between", ""].index)
    text = repr(table)
    assert text.count("R-squared  ") == 2
    assert "std_lv: posterior mean with factors" in " ".join(text.split())
    assert "within: r-squared" in table._repr_html_()


def test_a_fixed_row_has_standardised_values() -> None:
    table = synthetic_fit(TWO_FACTORS).summary(standardized=True)
    marker = table[(table["lhs"] == "fw") & (table["rhs"] == "y1")].iloc[0]
    assert marker["sd"] == 0
    assert 0 < marker["std_all"] < 1
    line = next(line for line in repr(table).splitlines() if "fw =~ y1" in line)
    assert "fixed" in line
    assert f"{marker['std_all']:.3f}" in line


def test_a_model_without_predictors_has_no_r2_rows() -> None:
    frame = make_frame()
    model = quiet_model("y1 ~~ y2", data=frame)
    values = {r.key: 1.0 if r.lhs == r.rhs or r.rhs == "1" else 0.3 for r in model.table.rows}
    theta = theta_from_values(model.blueprint, values)
    found = standardised_values(levels_at(model.blueprint, theta[None]), "std_lv")
    assert {k: v.item() for k, v in found.items()} == values
