"""Simulated data have the moments of the oracle, for every model that the other tests know.

One cluster of the test data, with its covariates, is simulated 20,000 times (as 20,000 clusters
of one data frame). Standard errors over n draws of normal variables: sqrt(s_ii / n) of a mean and
sqrt((s_ii s_jj + s_ij^2) / n) of a covariance, 1% of a variance. Some 50,000 of them are compared
in all, so z values up to 5.2 may happen (two-sided probability 2e-7); an error of 6% in a variance
gives 6.
"""

from __future__ import annotations

import numpy as np
import pytest

import bayes_msem as bm
from tests.checking.simulated import (
    CLUSTERS,
    LIMIT,
    check_moments,
    cluster_of_three,
    joint_moments,
    tiled,
    z_values,
)
from tests.likelihood.cases import CASES, Case, free_values, make_model, random_values
from tests.missing.frames import holes
from tests.oracle import modelled, oracle_from_values, table_rows
from tests.random.conditional import conditional
from tests.random.level_two import cluster
from tests.random.models import (
    LINEAR_CASES,
    SAMPLED_CASES,
    linear_random,
    make_data,
    sampled_values,
    table_values,
)

Array = np.ndarray

INTERCEPTS = [c for c in CASES if c.cluster]
SINGLE = [c for c in CASES if c.cluster is None]


@pytest.mark.parametrize(
    ("case", "incomplete"),
    [(c, False) for c in (*INTERCEPTS, *LINEAR_CASES)] + [(c, True) for c in INTERCEPTS],
    ids=str,
)
def test_outcomes_and_effects_have_their_joint_moments(case: Case, incomplete: bool) -> None:
    """Everything integrated out: rows, cluster-level outcomes, intercepts, slopes and factors.

    With incomplete data, models of random intercepts go through the clusters one by one, as
    those with random slopes always do.
    """
    frame = make_data()
    model = make_model(case, holes(seed=7) if incomplete else frame)
    assert model.observed.incomplete == incomplete
    values = table_values(case, model, seed=41)
    units = cluster_of_three(frame)
    data, effects = model.simulate(
        free_values(model, values), data=tiled(frame, units), random_seed=42, return_effects=True
    )
    oracle = oracle_from_values(values, frame, "group", random=linear_random(model))
    random = linear_random(model)
    rows = [r for r in table_rows(values) if r[:4] not in random and r.level == "between"]
    u = modelled(rows)
    assert set(effects.columns) == set(u) - set(model.observed.z_names)
    y = data[list(oracle.within.observed)].to_numpy().reshape(CLUSTERS, -1)
    z = data[list(oracle.between.outcomes)].to_numpy().reshape(CLUSTERS, 3, -1)
    assert (z == z[:, :1]).all()
    mean, covariance = joint_moments(oracle, units, [u.index(v) for v in effects.columns])
    check_moments(np.hstack([y, z[:, 0], effects.to_numpy()]), mean, covariance)


@pytest.mark.parametrize("incomplete", [False, True], ids=["complete", "incomplete"])
@pytest.mark.parametrize("case", SINGLE, ids=str)
def test_outcomes_of_single_level_models(case: Case, incomplete: bool) -> None:
    frame = make_data()
    model = make_model(case, holes(seed=7) if incomplete else frame)
    values = random_values(case, model, seed=43)
    data = model.simulate(
        free_values(model, values), data=tiled(frame, np.array([4])), random_seed=44
    )
    stacked = oracle_from_values(values, frame).stacked(np.array([4]))
    names = list(oracle_from_values(values, frame).within.observed)
    check_moments(data[names].to_numpy(), stacked.mean, stacked.covariance)


def sampled_case(case: Case) -> tuple[bm.Model, Array, dict[tuple[str, str, str, str], float]]:
    """Model, sampled parameters, and the table values that they stand for."""
    model = make_model(case, make_data())
    model.blueprint = model.unpiloted_blueprint()  # no pilot: coordinates do not matter here
    x = sampled_values(model.blueprint, seed=45)
    theta = model.blueprint.theta(x[None, :])[0]
    assert np.isfinite(theta).all()
    rows = [row for row in model.table.rows if row.free]
    return model, x, {r.key: float(model.blueprint.row_value(r.key, theta)) for r in rows}


@pytest.mark.parametrize("case", SAMPLED_CASES, ids=str)
def test_models_with_sampled_effects(case: Case) -> None:
    """Level 2 against the oracle's moments; then rows given the effects of 250 clusters.

    Given all effects a row is normal with mean and covariance of the oracle of its cluster alone,
    so standardised residuals are independent standard normal, of the effects as well.
    """
    this = conditional(case, make_data())
    model, x, values = sampled_case(case)
    units = cluster_of_three(this.frame)
    data, effects = model.simulate(
        values, data=tiled(this.frame, units), random_seed=46, return_effects=True
    )
    anywhere = np.zeros(len(this.names))
    oracle = this.oracle(x, anywhere, units)
    rows = [r for r in table_rows(this.values(x, anywhere)) if r.level == "between"]
    u, z_names = modelled(rows), list(model.observed.z_names)
    mean, covariance = oracle.effect_moments(np.arange(3))
    level_two = effects.assign(**{v: data[v].to_numpy()[::3] for v in z_names})
    position = [u.index(v) for v in level_two.columns]
    assert len(position) == len(u)
    check_moments(level_two.to_numpy(), mean[position], covariance[np.ix_(position, position)])

    b = effects[list(this.names)].to_numpy()
    linear = list(model.blueprint.template.effects.linear)  # type: ignore[union-attr]
    residuals = []
    for j in range(250):
        known = cluster(this, x, b[j], units)
        y = data[list(known.oracle.within.observed)].to_numpy()[3 * j : 3 * j + 3]
        _, means, Sigma = known.rows(effects[linear].to_numpy()[j])
        residuals.append(np.linalg.solve(np.linalg.cholesky(Sigma), (y - means).T).T)
    r = np.array(residuals)
    flat = r.reshape(-1, r.shape[2])
    check_moments(flat, np.zeros(flat.shape[1]), np.eye(flat.shape[1]))
    varying = effects.to_numpy()[:250]
    varying = (varying - varying.mean(axis=0))[:, varying.std(axis=0) > 1e-9]
    varying = varying / varying.std(axis=0)
    means_of_rows = r.mean(axis=1) * np.sqrt(3)
    # correlations of independent variables have standard error 1 / sqrt(250)
    assert np.abs(means_of_rows.T @ varying / 250).max() < LIMIT / np.sqrt(250)


def test_a_wrong_value_is_noticed() -> None:
    """The same comparison with a slope that varies more, and with more residual variance."""
    case = LINEAR_CASES[0]
    frame = make_data()
    model = make_model(case, frame)
    values = table_values(case, model, seed=41)
    units = cluster_of_three(frame)
    oracle = oracle_from_values(values, frame, "group", random=linear_random(model))
    mean, covariance = joint_moments(oracle, units, [])
    for key, factor in ((("between", "s", "~~", "s"), 1.3), (("within", "y1", "~~", "y1"), 1.15)):
        wrong = free_values(model, values | {key: factor * values[key]})
        data = model.simulate(wrong, data=tiled(frame, units), random_seed=47)
        y = data["y1"].to_numpy().reshape(CLUSTERS, -1)
        assert np.abs(z_values(y, mean, covariance)[1]).max() > LIMIT
