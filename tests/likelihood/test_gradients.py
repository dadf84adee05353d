"""Gradients of the kernels against central differences."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from bayes_msem.blueprint.blueprint import Blueprint
from bayes_msem.blueprint.values import theta_from_values
from bayes_msem.inference.density import log_likelihood
from bayes_msem.kernels.layout import CORRELATION, SQUARE
from tests.likelihood.cases import (
    CASES,
    Case,
    free_values,
    make_frame,
    make_model,
    random_values,
)

Array = NDArray[np.float64]

# Central differences with steps h have an error of h^2 / 6 times the third derivative plus
# rounding, 1e-16 |f| / h: with h = 1e-5, f around 200 and third derivatives of up to 1e4 about
# 1e-7 and 2e-9. Gradients here are of the order of 10 to 100.
STEP, RELATIVE, ABSOLUTE = 1e-5, 1e-6, 1e-6


def central_differences(f: Callable[[Array], float], at: Array) -> Array:
    steps = STEP * np.eye(len(at))
    return np.array([(f(at + step) - f(at - step)) / (2 * STEP) for step in steps])


def table_values(case: Case, seed: int) -> tuple[Blueprint, Array]:
    model = make_model(case, make_frame())
    values = free_values(model, random_values(case, model, seed))
    return model.blueprint, theta_from_values(model.blueprint, values)


def sampled_values(blueprint: Blueprint, seed: int) -> Array:
    """Random x: standard deviations near 1, partial correlations all over (0, 1)."""
    rng = np.random.default_rng(seed)
    transform = blueprint.parameters.transform
    x = rng.normal(0.5, 0.4, size=len(transform))
    x = np.where(transform == SQUARE, np.exp(0.3 * rng.normal(size=len(x))), x)
    x = np.where(transform == CORRELATION, rng.uniform(0.2, 0.8, size=len(x)), x)
    direct = [
        i
        for i, row in enumerate(blueprint.parameters.rows)
        if row.kind == "covariance" and transform[i] != CORRELATION
    ]
    x[direct] *= 0.2
    return x


@pytest.mark.parametrize("case", CASES, ids=str)
def test_gradient_with_respect_to_table_values(case: Case) -> None:
    blueprint, theta = table_values(case, seed=11)
    likelihood = blueprint.likelihood

    def value(at: Array) -> float:
        return likelihood.natural(at)[0]

    gradient = likelihood.natural(theta)[1]
    assert np.isfinite(value(theta))
    np.testing.assert_allclose(
        gradient, central_differences(value, theta), rtol=RELATIVE, atol=ABSOLUTE
    )


@pytest.mark.parametrize("case", [c for c in CASES if not c.computed], ids=str)
def test_gradient_with_respect_to_sampled_parameters(case: Case) -> None:
    blueprint = make_model(case, make_frame()).blueprint
    x = sampled_values(blueprint, seed=12)
    likelihood, t = blueprint.likelihood, blueprint.likelihood.no_coordinates()

    def value(at: Array) -> float:
        return likelihood.sampled(at, t)[0]

    gradient = likelihood.sampled(x, t)[1]
    assert np.isfinite(value(x))
    np.testing.assert_allclose(
        gradient, central_differences(value, x), rtol=RELATIVE, atol=ABSOLUTE
    )


@pytest.mark.parametrize("case", CASES, ids=str)
def test_both_scales_agree(case: Case) -> None:
    """Sampled parameters and the table values made of them have one likelihood.

    Two paths of rounding: 1e-12 of the value. Computed rows are part of it.
    """
    blueprint = make_model(case, make_frame()).blueprint
    x = sampled_values(blueprint, seed=13)
    sampled, gradient = log_likelihood(blueprint, x)
    theta = blueprint.theta(x[None, :])[0]
    natural = blueprint.likelihood.natural(theta)[0]
    assert sampled == pytest.approx(natural, rel=1e-12)

    def value(at: Array) -> float:
        return log_likelihood(blueprint, at)[0]

    np.testing.assert_allclose(
        gradient, central_differences(value, x), rtol=RELATIVE, atol=ABSOLUTE
    )


@pytest.mark.parametrize("edge", [0.0, 1.0])
@pytest.mark.parametrize("name", ["CFA", "saturated between", "second order"])
def test_partial_correlations_at_the_boundary_are_no_error(name: str, edge: float) -> None:
    """Unconstrained coordinates beyond 37 round to x = 1: NUTS may ask for it."""
    case = next(c for c in CASES if c.name == name)
    blueprint = make_model(case, make_frame()).blueprint
    correlated = np.flatnonzero(blueprint.parameters.transform == CORRELATION)
    for place in correlated:
        x = sampled_values(blueprint, seed=14)
        x[place] = edge
        value, gradient = log_likelihood(blueprint, x)
        assert np.isfinite(value) or value == -np.inf
        assert np.isfinite(gradient).all()
    assert len(correlated) or name == "second order"
