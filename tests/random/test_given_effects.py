"""Partially marginal plan: the log-likelihood given sampled effects, against brute force."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from bayes_msem.blueprint.blueprint import Blueprint
from bayes_msem.blueprint.inverse import sampled_from_table
from bayes_msem.errors import NotSupportedError
from tests.likelihood.cases import Case, two_level
from tests.random.conditional import Conditional, conditional, correlations
from tests.random.models import (
    SAMPLED_CASES,
    build,
    case,
    effects,
    sampled_values,
    unpiloted,
)

Array = NDArray[np.float64]

# Rounding of stacked covariance matrices of up to 50 rows with condition numbers of 100: 1e-13 of
# values of 100 to 1000. The density of b, of the same size, is subtracted on one side only.
RELATIVE = 1e-10


@cache
def brute_force(name: str) -> Conditional:
    return conditional(case(name))


def given(blueprint: Blueprint, x: Array, b: Array) -> float:
    """Log-likelihood of the package at free sampled parameters x and effects b."""
    extended = np.ascontiguousarray(blueprint.extend_sampled(x))
    return blueprint.likelihood.given_effects(extended, b, blueprint.statistics_by_cluster)


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("case", SAMPLED_CASES, ids=str)
def test_given_effects_equals_brute_force(case: Case, seed: int) -> None:
    this = brute_force(case.name)
    x, b = sampled_values(this.blueprint, seed), effects(this.blueprint, seed)
    assert this.model.plan.name == "partially marginal"
    expected = this.log_likelihoods(x, b)
    assert np.isfinite(expected).all()
    assert given(this.blueprint, x, b) == pytest.approx(expected.sum(), rel=RELATIVE)


def test_the_table_has_what_it_says() -> None:
    """One case has effects of every sort, z, w and a level-2 block of 8 variables or more."""
    this = brute_force("everything")
    template = this.blueprint.template
    assert set(template.effects.row_code) == {0, 1, 2}
    assert template.effects.linear == ("y1", "y2", "y3", "y4", "s1", "s", "t")
    assert template.effects.sampled == ("l2", "l5", "s2", "r", "vf", "vg", "v1")
    assert template.z_names == ("z1", "z2")
    assert template.w_names == ("w1", "w2")
    assert this.blueprint.observed.sizes.min() == 1


@pytest.mark.parametrize("size", [2, 5])
def test_every_cluster_depends_on_its_own_effects(size: int) -> None:
    """Moving one cluster's effects changes the value by that cluster's change alone."""
    this = brute_force("everything")
    blueprint = this.blueprint
    x, b = sampled_values(blueprint, 3), effects(blueprint, 3)
    moved = b.copy()
    moved[size] += np.linspace(-0.5, 0.5, b.shape[1])
    before, after = this.log_likelihoods(x, b), this.log_likelihoods(x, moved)
    assert np.flatnonzero(before != after).tolist() == [size]
    change = given(blueprint, x, moved) - given(blueprint, x, b)
    assert change == pytest.approx(after[size] - before[size], rel=1e-9)


@pytest.mark.parametrize("value", [-3.0, 3.0, 6.0])
@pytest.mark.parametrize(
    ("name", "effect"),
    [
        ("correlation of two factors", 0),  # tanh(6) = 1 - 1e-5
        ("three factors, two correlations random", 1),
        ("three factors in a chain", 0),
        ("factor and residual SDs", 0),  # variances of exp(-6) to exp(12)
        ("loadings", 0),
    ],
)
def test_extreme_effects(name: str, effect: int, value: float) -> None:
    """Correlations near one cost digits of the stacked matrix, not more than six."""
    this = brute_force(name)
    x, b = sampled_values(this.blueprint, 4), effects(this.blueprint, 4)
    b[:, effect] = value
    expected = this.log_likelihoods(x, b).sum()
    assert given(this.blueprint, x, b) == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize("value", [-800.0, 800.0])
def test_overflowing_effects_have_no_density_and_raise_nothing(value: float) -> None:
    """exp(800) overflows: NUTS may ask for it, and gets minus infinity (or a finite number)."""
    this = brute_force("residual SD")
    x, b = sampled_values(this.blueprint, 5), effects(this.blueprint, 5)
    b[3, 0] = value
    assert given(this.blueprint, x, b) < 0
    assert not np.isnan(given(this.blueprint, x, b))


@pytest.mark.parametrize("name", ["loadings", "one loading, w and z", "slope on a factor"])
def test_given_effects_at_table_values(name: str) -> None:
    """Table values, turned back into sampled parameters: same numbers where they exist."""
    this = brute_force(name)
    blueprint = this.blueprint
    x, b = sampled_values(blueprint, 6), effects(blueprint, 6)
    theta = np.ascontiguousarray(blueprint.theta(x[None, :])[0])
    expected = this.log_likelihoods(x, b).sum()
    found = given(blueprint, sampled_from_table(blueprint, theta), b)
    assert found == pytest.approx(expected, rel=RELATIVE)


@pytest.mark.parametrize("case", SAMPLED_CASES, ids=str)
def test_table_values_are_those_of_the_typical_cluster(case: Case) -> None:
    """Variances, covariances and computed rows from x, with effects at their mean where w = 0."""
    this = brute_force(case.name)
    blueprint = this.blueprint
    x = sampled_values(blueprint, 7)
    typical = typical_effects(this, x)
    expected = this.values(x, typical)
    theta = blueprint.theta(x[None, :])
    compared = 0
    for row in this.model.table.rows:
        if row.random:
            assert np.isnan(blueprint.row_value(row.key, theta)).all()
        elif row.kind != "defined":
            found = blueprint.row_value(row.key, theta)[0]
            assert found == pytest.approx(expected[row.key], rel=1e-12, abs=1e-14), row.key
            compared += 1
    assert compared > 4


def typical_effects(this: Conditional, x: Array) -> Array:
    """Mean of the sampled effects at w = 0."""
    frame = this.frame.assign(w1=0.0, w2=0.0)
    at_zero = Conditional(this.case, this.model, this.blueprint, frame)
    units = this.clusters()[0]
    return at_zero.effect_moments(x, np.zeros(len(this.names)), units)[0]


def test_partial_correlations_of_three_variables_by_hand() -> None:
    """The recursion of this folder: rho_32 = z sqrt((1 - r21^2)(1 - r31^2)) + r21 r31."""
    canonical = np.array([[1.0, 0.3, -0.5], [0.3, 1.0, 0.6], [-0.5, 0.6, 1.0]])
    expected = 0.6 * np.sqrt((1 - 0.09) * (1 - 0.25)) + 0.3 * -0.5
    found = correlations(canonical)
    np.testing.assert_allclose(found, [[1, 0.3, -0.5], [0.3, 1, expected], [-0.5, expected, 1]])


@pytest.mark.parametrize("seed", range(3))
def test_random_correlations_are_positive_definite_whatever_the_effects(seed: int) -> None:
    this = brute_force("three factors, two correlations random")
    x = sampled_values(this.blueprint, seed)
    b = np.random.default_rng(seed).normal(scale=3.0, size=effects(this.blueprint, 0).shape)
    assert np.isfinite(given(this.blueprint, x, b))
    plain = np.sqrt([this.values(x, b[0])["within", v, "~~", v] for v in "fgh"])
    matrix = np.diag(plain**2)
    for row in this.model.table.rows:
        if row.level == "within" and row.kind == "covariance":
            i, k = "fgh".index(row.lhs), "fgh".index(row.rhs)
            matrix[i, k] = matrix[k, i] = this.values(x, b[0])[row.key]
    assert np.linalg.eigvalsh(matrix).min() > 0


@pytest.mark.parametrize(
    "within",
    [
        # a circle of four covariances: no order keeps the zeros
        'y1 ~~ rv("r")*y2\ny2 ~~ y3\ny3 ~~ y4\ny4 ~~ y1\ny1 ~~ 0*y3\ny2 ~~ 0*y4',
        'y1 ~~ rv("v1")*y1\ny1 ~~ 0.2*y2',
        'y1 ~~ rv("v1")*y1\ny1 ~~ a*y2\ny2 ~~ a*y3\ny1 ~~ y3',
    ],
)
def test_blocks_that_cannot_stay_positive_definite_are_refused(within: str) -> None:
    refused = two_level("", within, "y1 ~~ y2")
    with pytest.raises(NotSupportedError, match="cannot be kept positive definite"):
        unpiloted(build(refused))
