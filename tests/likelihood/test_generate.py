"""Simulated data have the moments that the values imply."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bayes_msem.blueprint.blueprint import Blueprint
from bayes_msem.blueprint.values import theta_from_values
from bayes_msem.simulation.simulate import simulate_data
from tests.likelihood.cases import (
    CASES,
    Case,
    free_values,
    make_frame,
    make_model,
    random_values,
    two_level,
)
from tests.oracle import oracle_from_values

FULL = two_level(
    "",
    "fw =~ y1 + y2 + y3\nfw ~ x1\ny4 ~ fw + x2",
    "fb =~ y1 + y2 + y3\nfb ~ w1\nz1 ~ fb + w2",
)


def draw(blueprint: Blueprint, theta: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Outcomes (N, P) at table values."""
    observed = blueprint.observed
    return simulate_data(blueprint, theta, observed, rng, natural=True).outcomes(observed)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_implied_moments_equal_those_of_the_oracle(case: Case) -> None:
    """Products of matrices of order 10 with entries near 1: rounding of 1e-14."""
    frame = make_frame()
    model = make_model(case, frame)
    values = random_values(case, model, seed=31)
    blueprint = model.blueprint
    theta = theta_from_values(blueprint, free_values(model, values))
    implied = blueprint.likelihood.outcomes(theta)
    oracle = oracle_from_values(values, frame, case.cluster)
    names = blueprint.template.outcomes
    p = len(blueprint.template.y_names)

    y = [names.index(v) for v in oracle.within.observed]
    Sigma_w = oracle.total @ oracle.within.Psi @ oracle.total.T
    np.testing.assert_allclose(implied.Sigma_w[np.ix_(y, y)], Sigma_w, rtol=1e-12, atol=1e-12)
    assert not implied.Sigma_w[p:].any()

    everything = [names.index(v) for v in (*oracle.within.observed, *oracle.between.outcomes)]
    if case.cluster:
        b = oracle.between
        F = np.vstack([b.F_y, b.F_z])
        total = F @ np.linalg.inv(np.eye(len(b.alpha)) - b.B)
        found = implied.Sigma_b[np.ix_(everything, everything)]
        np.testing.assert_allclose(found, total @ b.Psi @ total.T, rtol=1e-12, atol=1e-12)
    else:
        assert not implied.Sigma_b.any()


def test_draws_have_the_stacked_moments_of_the_oracle() -> None:
    """20,000 draws of one cluster of 3 rows; z values below 4.5 for 13 means, 91 covariances.

    The standard error of a covariance of normal variables is sqrt((s_ii s_jj + s_ij^2) / draws).
    """
    frame = make_frame((3, 2, 4, 2))
    model = make_model(FULL, frame)
    values = random_values(FULL, model, seed=32)
    oracle = oracle_from_values(values, frame, "group")
    units = next(rows for rows in oracle.clusters().values() if len(rows) == 3)
    stacked = oracle.stacked(units)
    blueprint = model.blueprint
    theta = theta_from_values(blueprint, free_values(model, values))
    rng, draws = np.random.default_rng(33), 20_000
    names = blueprint.template.outcomes
    y, z = ([names.index(v) for v in group] for group in
            (oracle.within.observed, oracle.between.outcomes))  # fmt: skip
    sample = np.empty((draws, len(stacked.mean)))
    for i in range(draws):
        outcomes = draw(blueprint, theta, rng)[units]
        assert (outcomes[:, z] == outcomes[0, z]).all()
        sample[i] = np.concatenate([outcomes[:, y].ravel(), outcomes[0, z]])
    variance = np.diag(stacked.covariance)
    z_means = (sample.mean(axis=0) - stacked.mean) / np.sqrt(variance / draws)
    errors = np.sqrt((np.outer(variance, variance) + stacked.covariance**2) / draws)
    z_covariances = (np.cov(sample.T) - stacked.covariance) / errors
    assert np.abs(z_means).max() < 4.5
    assert np.abs(z_covariances).max() < 4.5
    # and they are not all tiny, as those of a constant would be
    assert np.abs(z_covariances).max() > 0.5


def test_clusters_are_drawn_independently() -> None:
    frame = make_frame((2, 2, 2, 2))
    model = make_model(FULL, frame)
    values = free_values(model, random_values(FULL, model, seed=34))
    theta = theta_from_values(model.blueprint, values)
    rng = np.random.default_rng(35)
    first, second = (np.flatnonzero(frame["group"] == g)[0] for g in frame["group"].unique()[:2])
    y = np.array([draw(model.blueprint, theta, rng)[:, 0] for _ in range(4000)])
    # standard error of a correlation of 0: 1 / sqrt(4000)
    assert abs(np.corrcoef(y[:, first], y[:, second])[0, 1]) < 4 / np.sqrt(4000)


def test_simulate_returns_a_frame_like_the_data() -> None:
    frame = make_frame()
    model = make_model(FULL, frame)
    values = free_values(model, random_values(FULL, model, seed=36))
    one = model.simulate(values, random_seed=1)
    again = model.simulate(values, random_seed=1)
    other = model.simulate(values, random_seed=2)
    pd.testing.assert_frame_equal(one, again)
    assert not np.allclose(one["y1"], other["y1"])
    assert set(one.columns) == {"group", "y1", "y2", "y3", "y4", "z1", "x1", "x2", "w1", "w2"}
    unchanged = ["group", "x1", "x2", "w1", "w2"]
    pd.testing.assert_frame_equal(one[unchanged], frame[unchanged], check_dtype=False)
    assert (one.groupby("group")["z1"].nunique() == 1).all()
    # the simulated frame is data for the same model
    assert np.isfinite(make_model(FULL, one).log_likelihood(values))


def test_singular_between_covariance_can_be_drawn_from() -> None:
    case = two_level("", "f =~ y1 + y2 + y3", "fb =~ y1 + y2 + y3\ny1 ~~ 0*y1\ny2 ~~ 0*y2")
    frame = make_frame()
    model = make_model(case, frame)
    values = free_values(model, random_values(case, model, seed=37))
    values["within", "y1", "~~", "y1"] = values["within", "f", "~~", "f"] = 1e-14
    values["within", "y2", "~~", "y2"] = 1e-14
    drawn = model.simulate(values, random_seed=1)
    # without within variation, y2 - intercept is its loading times y1 - intercept
    slope = values["between", "fb", "=~", "y2"]
    deviation = (drawn["y2"] - values["between", "y2", "~", "1"]) - slope * (
        drawn["y1"] - values["between", "y1", "~", "1"]
    )
    assert np.abs(deviation).max() < 1e-5  # within SDs are 1e-7
    assert drawn["y1"].std() > 0.1
