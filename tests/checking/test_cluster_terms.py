"""The likelihood cluster by cluster, against the stacked normal of every cluster."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from bayes_msem.blueprint.blueprint import Blueprint
from bayes_msem.blueprint.inverse import sampled_from_table
from bayes_msem.blueprint.values import theta_from_values
from tests.likelihood.cases import TWO_LEVEL_CASES, Case, free_values, make_frame, make_model
from tests.likelihood.cases import random_values as all_values
from tests.missing.frames import holes
from tests.oracle import oracle_from_values
from tests.random.conditional import conditional
from tests.random.models import (
    LINEAR_CASES,
    SAMPLED_CASES,
    build,
    case,
    effects,
    free_rows,
    linear_random,
    make_data,
    sampled_values,
    table_values,
    unpiloted,
)

Array = NDArray[np.float64]

# Rounding of stacked covariance matrices, see tests.random.test_given_effects; a cluster's value
# may be close to zero, so absolutely as well.
TOLERANCE = {"rtol": 1e-8, "atol": 1e-8}


def terms(blueprint: Blueprint, x: Array, b: Array) -> Array:
    """Log-likelihoods of the package at extended sampled parameters and effects."""
    statistics = blueprint.statistics_by_cluster
    return blueprint.likelihood.terms(np.ascontiguousarray(x), b[None], statistics)[0]


def at_table_values(case: Case, frame: pd.DataFrame, seed: int) -> tuple[Array, Array]:
    """Values of the package and of the oracle, clusters in the order of the package."""
    random = case in LINEAR_CASES
    model = build(case, frame) if random else make_model(case, frame)
    values = table_values(case, model, seed) if random else all_values(case, model, seed)
    free = free_rows(model, values) if random else free_values(model, values)
    blueprint = model.blueprint
    theta = theta_from_values(blueprint, free)
    x = blueprint.extend_sampled(sampled_from_table(blueprint, theta))
    rows = linear_random(model) if random else None
    expected = oracle_from_values(values, frame, "group", random=rows).cluster_log_likelihoods()
    ids = blueprint.observed.cluster_ids
    return terms(blueprint, x, np.empty((len(ids), 0))), expected.loc[list(ids)].to_numpy()


@pytest.mark.parametrize("case", TWO_LEVEL_CASES, ids=str)
def test_random_intercepts(case: Case) -> None:
    found, expected = at_table_values(case, make_frame(), 5)
    np.testing.assert_allclose(found, expected, **TOLERANCE)


@pytest.mark.parametrize("case", LINEAR_CASES, ids=str)
def test_random_slopes(case: Case) -> None:
    found, expected = at_table_values(case, make_data(), 6)
    np.testing.assert_allclose(found, expected, **TOLERANCE)


@pytest.mark.parametrize("case", [*TWO_LEVEL_CASES[::3], *LINEAR_CASES[::2]], ids=str)
def test_missing_values(case: Case) -> None:
    """One cluster has no outcome of level 1 at all."""
    found, expected = at_table_values(case, holes(), 7)
    np.testing.assert_allclose(found, expected, **TOLERANCE)


@pytest.mark.parametrize("incomplete", [False, True])
@pytest.mark.parametrize("case", SAMPLED_CASES, ids=str)
def test_given_sampled_effects(case: Case, incomplete: bool) -> None:
    this = conditional(case, holes(seed=5) if incomplete else None)
    x, b = sampled_values(this.blueprint, 7), effects(this.blueprint, 7)
    extended = np.ascontiguousarray(this.blueprint.extend_sampled(x))
    found, expected = terms(this.blueprint, extended, b), this.log_likelihoods(x, b)
    np.testing.assert_allclose(found, expected, **TOLERANCE)
    statistics = this.blueprint.statistics_by_cluster
    total = this.blueprint.likelihood.given_effects(extended, b, statistics)
    assert found.sum() == pytest.approx(total, rel=1e-12)


def test_nodes_are_evaluated_one_by_one() -> None:
    blueprint = unpiloted(build(case("everything")))
    x = np.ascontiguousarray(blueprint.extend_sampled(sampled_values(blueprint, 1)))
    nodes = np.stack([effects(blueprint, seed) for seed in range(3)])
    found = blueprint.likelihood.terms(x, nodes, blueprint.statistics_by_cluster)
    expected = np.stack([terms(blueprint, x, b) for b in nodes])
    np.testing.assert_allclose(found, expected, rtol=1e-14)


def test_a_cluster_without_density_leaves_the_others_alone() -> None:
    """exp(800) overflows: minus infinity there, and the same numbers elsewhere."""
    blueprint = unpiloted(build(case("residual SD")))
    x = np.ascontiguousarray(blueprint.extend_sampled(sampled_values(blueprint, 5)))
    b = effects(blueprint, 5)
    before = terms(blueprint, x, b)
    b[3, 0] = 800.0
    after = terms(blueprint, x, b)
    assert not after[3] > -1e100
    np.testing.assert_allclose(np.delete(after, 3), np.delete(before, 3), rtol=1e-14)


@pytest.mark.parametrize("code", [0, 3, 8])
@pytest.mark.parametrize("incomplete", [False, True])
@pytest.mark.parametrize(
    ("name", "effect", "log_sd"),
    [("residual SD", "v1", -400.0), ("residual SD", "v1", 400.0), ("everything", "vf", 400.0)],
)
def test_a_batch_that_fails_is_redone_one_by_one(
    name: str, effect: str, log_sd: float, incomplete: bool, code: int
) -> None:
    """Nine clusters: a full batch, and one in a batch of its own; one SD is 0 or infinite."""
    frame = make_data(sizes=(3, 1, 5, 2, 4, 3, 6, 2, 3))
    if incomplete:  # elsewhere, so that the cluster has values that its SD has to explain
        own = frame["group"] == frame["group"].unique()[code]
        frame = pd.concat([frame[own], holes(frame)[~own]]).loc[frame.index]
    blueprint = unpiloted(build(case(name), frame))
    assert blueprint.observed.n_clusters == 9
    x = np.ascontiguousarray(blueprint.extend_sampled(sampled_values(blueprint, 5)))
    b = np.stack([effects(blueprint, seed) for seed in (5, 6)])
    statistics = blueprint.statistics_by_cluster
    before = blueprint.likelihood.terms(x, b, statistics)
    assert np.isfinite(before).all()
    absurd = b.copy()
    absurd[0, code, blueprint.template.effects.sampled.index(effect)] = log_sd
    after = blueprint.likelihood.terms(x, absurd, statistics)
    assert after[0, code] == -np.inf
    before[0, code] = -np.inf
    np.testing.assert_allclose(after, before, rtol=1e-12, atol=0.0)
