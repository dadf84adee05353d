"""Gradients of the kernels for random coefficients against central differences.

Steps h = 1e-5 on values around 1000: rounding leaves 1e-13 / 1e-5 = 1e-8 of them, that is 1e-5 at
worst and 1e-7 usually; the third derivatives of these smooth functions add h^2 / 6 times 1e4 at
most. Gradients are of the order of 1 to 1000.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from bayes_msem.blueprint.blueprint import Blueprint
from bayes_msem.inference.density import joint_log_likelihood, log_posterior, support
from bayes_msem.kernels.by_cluster import value_and_gradient
from bayes_msem.kernels.layout import CORRELATION
from bayes_msem.likelihood.ops import LogLikelihood
from tests.likelihood.cases import Case
from tests.missing.frames import holes
from tests.random.models import (
    CASES,
    LINEAR_CASES,
    SAMPLED_CASES,
    build,
    case,
    effects,
    informed,
    sampled_values,
    unpiloted,
)

Array = NDArray[np.float64]

STEP, RELATIVE, ABSOLUTE = 1e-5, 2e-6, 2e-6


def central_differences(f: Callable[[Array], float], at: Array) -> Array:
    """Derivatives with respect to every element of an array of any shape."""
    result = np.empty(at.size)
    for i in range(at.size):
        step = np.zeros(at.size)
        step[i] = STEP
        step = step.reshape(at.shape)
        result[i] = (f(at + step) - f(at - step)) / (2 * STEP)
    return result.reshape(at.shape)


def check(gradient: Array, f: Callable[[Array], float], at: Array) -> None:
    assert np.isfinite(f(at))
    expected = central_differences(f, at)
    np.testing.assert_allclose(gradient, expected, rtol=RELATIVE, atol=ABSOLUTE)
    if at.size:
        assert np.abs(expected).max() > 1e-3  # there is something to compare


def at_effects(
    blueprint: Blueprint, x: Array, b: Array, weights: Array
) -> tuple[float, Array, Array]:
    """Log p(y, z | b, theta), and the gradients of its terms' weighted sum."""
    program = blueprint.likelihood.program
    result: tuple[float, Array, Array] = value_and_gradient(
        x, b, weights, program.ints, program.floats, blueprint.statistics_by_cluster
    )
    return result


@pytest.mark.parametrize("case", CASES, ids=str)
def test_kernel_with_respect_to_parameters_and_effects(case: Case) -> None:
    """log p(y, z | b, theta), computed rows taken as free."""
    blueprint = unpiloted(build(case))
    x, b = blueprint.extend_sampled(sampled_values(blueprint, 11)), effects(blueprint, 11)
    weights = np.ones((len(b), 1))
    _, d_x, d_b = at_effects(blueprint, x, b, weights)
    check(d_x, lambda at: at_effects(blueprint, at, b, weights)[0], x)
    check(d_b, lambda at: at_effects(blueprint, x, at, weights)[0], b)


@pytest.mark.parametrize("missing", [False, True], ids=["", "missing"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_kernel_with_weights(case: Case, missing: bool) -> None:
    """Gradients of the weighted sum of the clusters' terms, which are computed without weights.

    Weights of any sign and size, zero among them.
    """
    blueprint = unpiloted(build(case, holes(seed=25) if missing else None))
    x, b = blueprint.extend_sampled(sampled_values(blueprint, 25)), effects(blueprint, 25)
    weights = np.random.default_rng(26).normal(size=(len(b), 1))
    weights[2] = 0.0

    def terms(x: Array, b: Array) -> Array:
        statistics = blueprint.statistics_by_cluster
        return blueprint.likelihood.terms(x, b[None], statistics)[0]

    value, d_x, d_b = at_effects(blueprint, x, b, weights)
    assert value == pytest.approx(terms(x, b).sum(), rel=1e-11)  # the value has no weights
    check(d_x, lambda at: float(terms(at, b) @ weights[:, 0]), x)
    check(d_b, lambda at: float(terms(x, at) @ weights[:, 0]), b)


@pytest.mark.parametrize("case", LINEAR_CASES, ids=str)
def test_table_values(case: Case) -> None:
    """What maximum likelihood follows: the gradient with respect to table values."""
    blueprint = unpiloted(build(case))
    theta = blueprint.theta(sampled_values(blueprint, 12)[None, :])[0]
    gradient = blueprint.likelihood.natural(theta)[1]
    check(gradient, lambda at: blueprint.likelihood.natural(at)[0], theta)


@pytest.mark.parametrize("part", ["data", "effects"])
@pytest.mark.parametrize("case", SAMPLED_CASES, ids=str)
def test_both_parts_with_respect_to_parameters_and_coordinates(case: Case, part: str) -> None:
    """log p(y, z | b(t, theta), theta) and log p(t | theta), as the PyTensor Op computes them."""
    blueprint = informed(unpiloted(build(case)), 13)
    likelihood = blueprint.likelihood
    op = LogLikelihood(likelihood.provider, "data" if part == "data" else "effects")
    constants = likelihood.arguments

    def value(x: Array, t: Array) -> list[Array]:
        storage: list[list[Array]] = [[np.empty(0)], [np.empty(0)], [np.empty(0)]]
        op.perform(None, [x, t, *constants], storage)  # type: ignore[arg-type]
        return [cell[0] for cell in storage]

    x = blueprint.extend_sampled(sampled_values(blueprint, 14))
    t = np.random.default_rng(15).normal(size=likelihood.shape)
    _, d_x, d_t = value(x, t)
    check(d_x, lambda at: float(value(at, t)[0]), x)
    check(d_t, lambda at: float(value(x, at)[0]), t)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_joint_density_with_computed_rows(case: Case) -> None:
    """With respect to free parameters: the gradients of == rows pass through their labels."""
    blueprint = unpiloted(build(case))
    if blueprint.n_sampled:
        blueprint = informed(blueprint, 16)
    x = sampled_values(blueprint, 17)
    shape = (blueprint.observed.n_clusters, blueprint.n_sampled)
    t = np.random.default_rng(18).normal(size=shape)
    _, d_x, d_t = joint_log_likelihood(blueprint, x, t)
    check(d_x, lambda at: joint_log_likelihood(blueprint, at, t)[0], x)
    check(d_t, lambda at: joint_log_likelihood(blueprint, x, at)[0], t)


@pytest.mark.parametrize("jacobian", [True, False])
@pytest.mark.parametrize("name", ["slope predicted by w and by a factor", "everything"])
def test_log_posterior(name: str, jacobian: bool) -> None:
    """In unconstrained coordinates, with priors and coordinates of effects."""
    blueprint = unpiloted(build(case(name)))
    if blueprint.n_sampled:
        blueprint = informed(blueprint, 19)
    bounds = support(blueprint)
    u = bounds.to_unconstrained(sampled_values(blueprint, 20))
    n_coordinates = blueprint.observed.n_clusters * blueprint.n_sampled
    u = np.concatenate([u, np.random.default_rng(21).normal(size=n_coordinates)])

    def value(at: Array) -> float:
        return log_posterior(blueprint, at, jacobian=jacobian)[0]

    check(log_posterior(blueprint, u, jacobian=jacobian)[1], value, u)


@pytest.mark.parametrize("name", ["slope", "one name, two covariates", "slope of a factor"])
def test_gradient_at_singular_covariance_of_effects(name: str) -> None:
    """Variances of zero are inside the domain of maximum likelihood: two-sided differences."""
    blueprint = unpiloted(build(case(name)))
    theta = blueprint.theta(sampled_values(blueprint, 22)[None, :])[0]
    rows = [row.key for row in blueprint.parameters.rows]
    theta[rows.index(("between", "s", "~~", "s"))] = 0.0
    for i, (level, lhs, op, rhs) in enumerate(rows):
        if (level, op) == ("between", "~~") and lhs != rhs:
            theta[i] = 0.0
    gradient = blueprint.likelihood.natural(theta)[1]
    check(gradient, lambda at: blueprint.likelihood.natural(at)[0], theta)


@pytest.mark.parametrize("edge", [0.0, 1.0])
def test_correlations_at_the_boundary_are_no_error(edge: float) -> None:
    """Unconstrained coordinates beyond 37 round to x = 1: NUTS may ask for it."""
    blueprint = informed(unpiloted(build(case("everything"))), 23)
    t = np.zeros((blueprint.observed.n_clusters, blueprint.n_sampled))
    correlated = np.flatnonzero(blueprint.parameters.transform == CORRELATION)
    assert len(correlated) > 20
    for place in correlated:
        x = sampled_values(blueprint, 24)
        x[place] = edge
        value, gradient, d_t = joint_log_likelihood(blueprint, x, t)
        assert np.isfinite(value) or value == -np.inf
        assert np.isfinite(gradient).all()
        assert np.isfinite(d_t).all()
