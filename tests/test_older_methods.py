"""Formulas of older methods: on paper, in large samples, and beside the package's own."""

from __future__ import annotations

import statistics

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

import bayes_msem as bm
from tools.notebooks import module_of

older = module_of("older_methods")
ITEMS = ["i1", "i2", "i3"]
TRUTH = older.Truth()
EXPECTED = older.expected(TRUTH)


@pytest.fixture(scope="module")
def small() -> pd.DataFrame:
    return older.simulate(TRUTH, clusters=12, seed=3)


@pytest.fixture(scope="module")
def large() -> pd.DataFrame:
    return older.simulate(TRUTH, clusters=30_000, seed=4)


# Closed forms --------------------------------------------------------------------------------


def test_scatter_is_that_of_describe(small: pd.DataFrame) -> None:
    about = bm.describe(small, "cluster", ITEMS)
    within, between, star = older.scatter(small, ITEMS)
    np.testing.assert_allclose(within, about.within, rtol=1e-12)
    np.testing.assert_allclose(between, about.between, rtol=1e-12)
    sizes = small.groupby("cluster").size()
    assert star == pytest.approx((72 - (sizes**2).sum() / 72) / 11)
    np.testing.assert_allclose(older.muml(small, ITEMS), about.sigma_between, rtol=1e-10)


def test_slopes_by_hand() -> None:
    data = pd.DataFrame(
        {"cluster": [0, 0, 1, 1], "x": [0.0, 2.0, 3.0, 5.0], "y": [0.0, 1.0, 6.0, 7.0]}
    )
    assert older.aggregated_slope(data) == pytest.approx(2.0)  # means (1, 0.5) and (4, 6.5)
    assert older.observed_mean_centring(data) == pytest.approx((0.5, 2.0))
    total = older.least_squares_slope(data["y"].to_numpy(), data["x"].to_numpy())
    assert total == pytest.approx(20.0 / 13.0)  # (4 * 0.5 + 9 * 2) / (4 + 9)


def test_two_step_shrinks_both_means(small: pd.DataFrame) -> None:
    """In clusters of equal size: the slope of means times the ratio of the shrinkages."""
    data = small.groupby("cluster").head(4)
    weight = {}
    for name in ("x", "y"):
        about = bm.describe(data, "cluster", [name]).variables.loc[name]
        weight[name] = max(about["icc2"], 0.0)
    expected = older.aggregated_slope(data) * weight["y"] / weight["x"]
    assert older.two_step_slope(data) == pytest.approx(expected)


def test_two_stage_slopes(small: pd.DataFrame) -> None:
    slopes = [np.polyfit(g["z"], g["y"], 1)[0] for _, g in small.groupby("cluster")]
    mean, variance = older.two_stage_slopes(small)
    assert mean == pytest.approx(np.mean(slopes))
    assert variance == pytest.approx(statistics.variance(slopes))


def test_one_factor_reads_off_loadings() -> None:
    variance, second, third = older.one_factor(TRUTH.items_between)
    assert variance == pytest.approx(TRUTH.factor_between)
    assert (second, third) == pytest.approx(TRUTH.loadings_between[1:])


def test_equal_loadings_where_they_are_equal() -> None:
    same = older.Truth(loadings_between=TRUTH.loadings_within)
    assert older.equal_loadings(same) == pytest.approx(TRUTH.loadings_within[1:], abs=1e-5)


def test_expected_without_clusters_and_with_large_ones() -> None:
    """Nothing is conflated where both slopes are one, and little in clusters of 10,000."""
    one = older.expected(older.Truth(between=0.2))
    assert one["disaggregation", "slope within"] == pytest.approx(0.2)
    assert one["aggregation", "slope between"] == pytest.approx(0.2)
    huge = older.expected(older.Truth(sizes=(10_000,)))
    for method in ("aggregation", "observed-mean centring", "two-step"):
        assert huge[method, "slope between"] == pytest.approx(TRUTH.between, abs=1e-3)
    assert huge["two-stage", "slope variance"] == pytest.approx(TRUTH.slope_variance, abs=1e-3)
    share = huge["S_B apart", "share between of item 1"]
    assert share == pytest.approx(EXPECTED["MUML", "share between of item 1"], abs=1e-3)


# Large samples -------------------------------------------------------------------------------


def near(value: float, key: tuple[str, str], tolerance: float) -> None:
    assert value == pytest.approx(EXPECTED[key], abs=tolerance), key


def test_slopes_tend_to_what_is_expected(large: pd.DataFrame) -> None:
    """Tolerances: 4 standard errors, from the spread over ten samples of 3,000 clusters."""
    samples = [large[large["cluster"] // 3_000 == k] for k in range(10)]
    estimators = {
        ("disaggregation", "slope within"): lambda d: older.least_squares_slope(
            d["y"].to_numpy(), d["x"].to_numpy()
        ),
        ("aggregation", "slope between"): older.aggregated_slope,
        ("observed-mean centring", "slope within"): lambda d: older.observed_mean_centring(d)[0],
        ("observed-mean centring", "slope between"): lambda d: older.observed_mean_centring(d)[1],
        ("two-step", "slope between"): older.two_step_slope,
        ("two-stage", "slope variance"): lambda d: older.two_stage_slopes(d)[1],
    }
    for key, estimator in estimators.items():
        found = np.array([estimator(d) for d in samples])
        near(found.mean(), key, 4 * found.std(ddof=1) / np.sqrt(10))
        assert found.std(ddof=1) / np.sqrt(10) < 0.01  # the test is sharp


def between_parts(data: pd.DataFrame) -> NDArray[np.float64]:
    about = bm.describe(data, "cluster", ITEMS, scaling="cronbach-harnqvist")
    return about.between.to_numpy()


def test_matrices_tend_to_what_is_expected(large: pd.DataFrame) -> None:
    samples = [large[large["cluster"] // 3_000 == k] for k in range(10)]
    total = np.diag(TRUTH.items_between + TRUTH.items_within)[0]
    methods = {
        "disaggregation": lambda d: np.cov(d[ITEMS].T),
        "aggregation": lambda d: older.between_of_means(d, ITEMS),
        "S_B apart": lambda d: older.scatter(d, ITEMS)[1] / older.scatter(d, ITEMS)[2],
        "MUML": lambda d: older.muml(d, ITEMS),
        "Cronbach-Härnqvist": between_parts,
    }
    for name, method in methods.items():
        found = np.array([method(d) for d in samples])
        scale = 1.0 if name == "Cronbach-Härnqvist" else total
        figures = {
            "share between of item 1": found[:, 0, 0] / scale,
            "correlation of items 1 and 2": found[:, 0, 1]
            / np.sqrt(found[:, 0, 0] * found[:, 1, 1]),
        }
        if name != "Cronbach-Härnqvist":
            figures["loading of item 3"] = found[:, 1, 2] / found[:, 0, 1]
        for quantity, values in figures.items():
            near(values.mean(), (name, quantity), 4 * values.std(ddof=1) / np.sqrt(10))


def test_equal_loadings_are_those_of_maximum_likelihood(large: pd.DataFrame) -> None:
    """The package's maximum in a large sample beside that of the expected log-likelihood."""
    model = bm.Model(
        """
        level: within
            fw =~ i1 + l2*i2 + l3*i3
        level: between
            fb =~ i1 + l2*i2 + l3*i3
        """,
        data=large,
        cluster="cluster",
    )
    maximum = model.mode(prior=False)
    errors = maximum.to_frame().set_index(["lhs", "op", "rhs"])["se"]
    for value, label, rhs in zip(older.equal_loadings(TRUTH), ("l2", "l3"), ITEMS[1:], strict=True):
        assert maximum[label] == pytest.approx(value, abs=4 * errors["fw", "=~", rhs])


def test_full_model_is_right_in_a_large_sample(large: pd.DataFrame) -> None:
    """What the older methods miss is there to be found."""
    model = bm.Model(
        """
        level: within
            y ~ bw*x + rv("s")*z
        level: between
            y ~ bb*x
            s ~ 1
        """,
        data=large[large["cluster"] < 6_000],
        cluster="cluster",
    )
    maximum = model.mode(prior=False)
    errors = maximum.to_frame().set_index(["lhs", "op", "rhs"])["se"]
    values = maximum.to_frame().set_index(["level", "lhs", "op", "rhs"])["value"]
    assert values["within", "y", "~", "x"] == pytest.approx(TRUTH.within, abs=0.03)
    assert values["between", "y", "~", "x"] == pytest.approx(TRUTH.between, abs=0.1)
    assert values["between", "s", "~~", "s"] == pytest.approx(
        TRUTH.slope_variance, abs=4 * errors["s", "~~", "s"]
    )


def test_msalt_slopes_are_those_of_the_data() -> None:
    """In a large sample of one classroom size, moments of both levels give the slopes."""
    msalt = module_of("msalt")
    data = msalt.simulate(clusters=20_000, rows=400_000, seed=1)
    about = bm.describe(data, "classroom", list(msalt.ICC))
    for name, icc in msalt.ICC.items():
        assert about.variables.loc[name, "icc1"] == pytest.approx(icc, abs=0.004)
    for level, matrix in (("within", about.within), ("between", about.sigma_between)):
        for outcome in ("talent", "effort"):
            slope = matrix.loc[outcome, "gse"] / matrix.loc["gse", "gse"]
            assert slope == pytest.approx(msalt.true_slope(level, outcome, "gse"), abs=0.08)
        predictors = ["talent", "effort", "gse"]
        found = np.linalg.solve(
            matrix.loc[predictors, predictors], matrix.loc[predictors, "performance"]
        )
        wanted = [msalt.true_slope(level, "performance", p) for p in predictors]
        np.testing.assert_allclose(found, wanted, atol=0.06)
