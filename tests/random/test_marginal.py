"""Random slopes on observed covariates: the marginal log-likelihood against the oracle."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.linalg import block_diag
from scipy.stats import multivariate_normal

import bayes_msem as bm
from bayes_msem.inference.density import log_likelihood
from tests.likelihood.cases import Case, Key, two_level
from tests.oracle import oracle_log_likelihood
from tests.random.models import (
    LINEAR_CASES,
    build,
    case,
    free_rows,
    linear_random,
    make_data,
    sampled_values,
    table_values,
)

# The oracle works with the stacked covariance matrix of a cluster (up to 21 rows), the package
# with cross products. Entries and condition numbers are of the order of 10 to 100, values of 100 to
# 1000, so rounding leaves 1e-13; 1e-10 allows for sums in another order on other machines.
RELATIVE = 1e-10

SLOPE_VARIANCE = ("between", "s", "~~", "s")
INTERCEPT_VARIANCE = ("between", "y1", "~~", "y1")
COVARIANCE = ("between", "y1", "~~", "s")


def both(model: bm.Model, values: dict[Key, float], frame: pd.DataFrame) -> tuple[float, float]:
    """Log-likelihood by the package and by the oracle."""
    expected = oracle_log_likelihood(values, frame, "group", random=linear_random(model))
    return model.log_likelihood(free_rows(model, values)), expected


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("case", LINEAR_CASES, ids=str)
def test_log_likelihood_equals_the_oracle(case: Case, seed: int) -> None:
    model = build(case)
    assert model.plan.name == "marginal"
    assert linear_random(model)
    found, expected = both(model, table_values(case, model, seed), make_data())
    assert np.isfinite(expected)
    assert found == pytest.approx(expected, rel=RELATIVE)


@pytest.mark.parametrize("sizes", [(1, 1, 1, 1, 1, 1, 2), (40, 30, 1, 20)], ids=str)
@pytest.mark.parametrize("name", ["slope", "slope of a factor", "one name, two outcomes"])
def test_tiny_and_large_clusters(name: str, sizes: tuple[int, ...]) -> None:
    frame = make_data(sizes=sizes, seed=3)
    model = build(case(name), frame)
    found, expected = both(model, table_values(case(name), model, 4), frame)
    assert found == pytest.approx(expected, rel=RELATIVE)


@pytest.mark.parametrize(
    ("intercept", "slope", "covariance"),
    [
        (0.0, 0.7, 0.0),
        (0.7, 0.0, 0.0),
        (0.0, 0.0, 0.0),
        (0.5, 2.0, 1.0),  # correlation 1
        (0.5, 2.0, -1.0),
        (1e-12, 0.7, 0.0),
        (0.5, -0.01, 0.0),  # no distribution of effects, but one of the data
        (-0.02, -0.01, 0.005),
        (0.5, 0.1, 0.3),  # correlation above 1
    ],
)
@pytest.mark.parametrize("name", ["slope", "two slopes of one outcome", "x is often zero"])
def test_covariance_of_effects_need_not_be_positive_definite(
    name: str, intercept: float, slope: float, covariance: float
) -> None:
    model = build(case(name))
    values = table_values(case(name), model, 5)
    values |= {INTERCEPT_VARIANCE: intercept, SLOPE_VARIANCE: slope, COVARIANCE: covariance}
    for other in ("y1", "s"):
        if ("between", other, "~~", "t") in values:
            values["between", other, "~~", "t"] = 0.0
    found, expected = both(model, values, make_data())
    assert np.isfinite(expected)
    assert found == pytest.approx(expected, rel=RELATIVE)


def test_minus_infinity_where_the_data_have_no_density() -> None:
    model = build(case("slope"))
    values = table_values(case("slope"), model, 6) | {SLOPE_VARIANCE: -5.0}
    with pytest.raises(np.linalg.LinAlgError):
        both(model, values, make_data())
    assert model.log_likelihood(free_rows(model, values)) == -np.inf


def test_negative_residual_variance_has_no_density() -> None:
    model = build(case("slope"))
    values = table_values(case("slope"), model, 6) | {("within", "y1", "~~", "y1"): -1.0}
    assert model.log_likelihood(free_rows(model, values)) == -np.inf


def test_random_slope_of_a_factor_by_hand() -> None:
    """y_ij = mu + b_j + Lambda (s_j x_ij + g x2_ij + f_ij) + e_ij, stacked without the oracle."""
    this = case("slope of a factor")
    frame = make_data()
    model = build(this, frame)
    values = table_values(this, model, 7)
    outcomes = ["y1", "y2", "y3"]
    Lambda_w = np.array([values["within", "fw", "=~", y] for y in outcomes])
    Lambda_b = np.array([values["between", "fb", "=~", y] for y in outcomes])
    Theta_w = np.diag([values["within", y, "~~", y] for y in outcomes])
    Theta_b = np.diag([values["between", y, "~~", y] for y in outcomes])
    mu = np.array([values["between", y, "~", "1"] for y in outcomes])
    covariance = values["between", "fb", "~~", "s"]
    Omega = np.array(
        [[values["between", "fb", "~~", "fb"], covariance], [covariance, values[SLOPE_VARIANCE]]]
    )
    Sigma_w = np.outer(Lambda_w, Lambda_w) * values["within", "fw", "~~", "fw"] + Theta_w
    total = 0.0
    for _, rows in frame.groupby("group"):
        n, x = len(rows), rows["x1"].to_numpy()
        fixed = values["between", "s", "~", "1"] * x
        fixed = fixed + values["within", "fw", "~", "x2"] * rows["x2"].to_numpy()
        mean = np.concatenate([mu + Lambda_w * f for f in fixed])
        Z = np.vstack([np.column_stack([Lambda_b, Lambda_w * x_i]) for x_i in x])
        full = Z @ Omega @ Z.T + np.kron(np.ones((n, n)), Theta_b) + block_diag(*[Sigma_w] * n)
        y = rows[outcomes].to_numpy().ravel()
        total += multivariate_normal(mean, full).logpdf(y)
    found = model.log_likelihood(free_rows(model, values))
    assert found == pytest.approx(total, rel=RELATIVE)


@pytest.mark.parametrize("case", LINEAR_CASES, ids=str)
def test_sampled_parameters_and_table_values_have_one_likelihood(case: Case) -> None:
    """Two paths of rounding, transforms included: 1e-12."""
    blueprint = build(case).blueprint
    x = sampled_values(blueprint, seed=8)
    natural = blueprint.likelihood.natural(blueprint.theta(x[None, :])[0])[0]
    assert np.isfinite(natural)
    assert log_likelihood(blueprint, x)[0] == pytest.approx(natural, rel=1e-12)


def test_order_of_rows_and_names_of_clusters_do_not_matter() -> None:
    """Sums in another order: 1e-12."""
    this = case("slopes of a factor and of its indicator")
    frame = make_data()
    model = build(this, frame)
    values = free_rows(model, table_values(this, model, 9))
    shuffled = frame.sample(frac=1.0, random_state=1)
    shuffled["group"] = shuffled["group"].map(
        {g: -i for i, g in enumerate(frame["group"].unique())}
    )
    again = build(this, shuffled)
    assert again.log_likelihood(values) == pytest.approx(model.log_likelihood(values), rel=1e-12)


def test_order_of_outcomes_does_not_matter() -> None:
    """Sums in another order: 1e-12."""
    first = two_level("", 'y1 ~ rv("s")*x1\ny2 ~ rv("t")*x2 + x1', "y1 ~~ y2")
    second = two_level("", 'y2 ~ x1 + rv("t")*x2\ny1 ~ rv("s")*x1', "y2 ~~ y1")
    models = [build(c) for c in (first, second)]
    values = free_rows(models[0], table_values(first, models[0], 10))
    assert models[1].log_likelihood(values) == pytest.approx(
        models[0].log_likelihood(values), rel=1e-12
    )


def test_large_means_cost_no_digits() -> None:
    """Outcomes are centred before cross products are taken: a mean of 1e6 SDs keeps 9 digits."""
    this = case("slope")
    frame = make_data()
    model = build(this, frame)
    values = free_rows(model, table_values(this, model, 11))
    expected = model.log_likelihood(values)
    moved = build(this, frame.assign(y1=frame["y1"] + 1e6))
    values["between", "y1", "~", "1"] += 1e6
    assert moved.log_likelihood(values) == pytest.approx(expected, rel=1e-8)


def test_plan_names_the_slopes() -> None:
    model = build(case("one name, factor and indicator"))
    assert model.plan.sampled == ()
    assert "random slopes s (fw ~ x1), t (fw ~ x2), s (y3 ~ x2)" in model.plan.integrated
    assert "random slopes give every cluster its own covariance matrix" in model.plan.reason
    assert "random slopes s (fw ~ x1)" in " ".join(str(model).split())
