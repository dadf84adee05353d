"""The log posterior in NumPy: transforms, Jacobians, priors by SciPy, gradients."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from bayes_msem.inference.density import (
    Support,
    log_likelihood,
    log_posterior,
    log_prior,
    starting_point,
    support,
)
from tests.inference.models import everything, quiet_model
from tests.likelihood.cases import make_frame

Array = NDArray[np.float64]


def central_differences(f: Callable[[Array], float], at: Array, step: float = 1e-6) -> Array:
    steps = step * np.eye(len(at))
    return np.array([(f(at + h) - f(at - h)) / (2 * step) for h in steps])


def random_u(seed: int) -> Array:
    bounds = support(everything().blueprint)
    center = bounds.to_unconstrained(starting_point(everything().blueprint))
    return center + 0.2 * np.random.default_rng(seed).normal(size=len(center))


BOUNDS = Support(
    lower=np.array([-np.inf, 0.0, -np.inf, -2.0, 1.0]),
    upper=np.array([np.inf, np.inf, 3.0, 5.0, 1.5]),
)


@pytest.mark.parametrize("scale", [0.1, 1.0, 5.0])
def test_transforms_are_inverse_and_their_derivatives_are_right(scale: float) -> None:
    u = scale * np.array([0.7, -0.4, 1.1, 0.9, -1.3])
    x, slope, log_slope, bend = BOUNDS.to_constrained(u)
    assert ((x > BOUNDS.lower) & (x < BOUNDS.upper)).all()
    np.testing.assert_allclose(BOUNDS.to_unconstrained(x), u, rtol=1e-9)
    h = 1e-6
    up, down = BOUNDS.to_constrained(u + h), BOUNDS.to_constrained(u - h)
    # errors of central differences: h^2, and rounding 1e-16 / h
    np.testing.assert_allclose((up[0] - down[0]) / (2 * h), slope, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose((up[2] - down[2]) / (2 * h), bend, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(log_slope, np.log(np.abs(slope)), rtol=1e-14)


def test_far_tails_keep_their_digits() -> None:
    """log(share (1 - share)) is -30 at u = 30, although 1 - share has only 3 digits there."""
    bounds = Support(lower=np.zeros(2), upper=np.ones(2))
    _, _, log_slope, _ = bounds.to_constrained(np.array([30.0, -30.0]))
    np.testing.assert_allclose(log_slope, -30.0, rtol=1e-12)


def test_prior_equals_scipy() -> None:
    """Every family, on the scale that is sampled. SciPy and the package: rounding only."""
    distributions = {
        "normal": lambda a: stats.norm(*a),
        "studentt": lambda a: stats.t(a[0], a[1], a[2]),
        "cauchy": lambda a: stats.cauchy(*a),
        "laplace": lambda a: stats.laplace(*a),
        "uniform": lambda a: stats.uniform(a[0], a[1] - a[0]),
        "truncatednormal": lambda a: stats.truncnorm(
            (a[2] - a[0]) / a[1], (a[3] - a[0]) / a[1], a[0], a[1]
        ),
        "halfnormal": lambda a: stats.halfnorm(0, a[0]),
        "halfcauchy": lambda a: stats.halfcauchy(0, a[0]),
        "exponential": lambda a: stats.expon(0, 1 / a[0]),
        "gamma": lambda a: stats.gamma(a[0], scale=1 / a[1]),
        "lognormal": lambda a: stats.lognorm(a[1], scale=np.exp(a[0])),
        "invgamma": lambda a: stats.invgamma(a[0], scale=a[1]),
        "beta": lambda a: stats.beta(*a),
    }
    blueprint = everything().blueprint
    x = support(blueprint).to_constrained(random_u(1))[0]
    expected, start = 0.0, 0
    families = set()
    for group in blueprint.parameters.groups:
        part = x[start : start + len(group.free)]
        start += len(group.free)
        families.add(group.family)
        if group.family == "halfstudentt":
            nu, sigma = group.arguments
            expected += (np.log(2) + stats.t(nu, 0, sigma).logpdf(part)).sum()
        else:
            expected += distributions[group.family](group.arguments).logpdf(part).sum()
    assert families == {*distributions, "halfstudentt"}
    value, gradient = log_prior(blueprint, x)
    assert value == pytest.approx(expected, rel=1e-12)
    differences = central_differences(lambda at: log_prior(blueprint, at)[0], x)
    np.testing.assert_allclose(gradient, differences, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("jacobian", [True, False])
@pytest.mark.parametrize("seed", [1, 2])
def test_posterior_is_likelihood_plus_prior_plus_jacobian(seed: int, jacobian: bool) -> None:
    blueprint = everything().blueprint
    bounds, u = support(blueprint), random_u(seed)
    x, _, log_slope, _ = bounds.to_constrained(u)
    expected = log_likelihood(blueprint, x)[0] + log_prior(blueprint, x)[0]
    expected += log_slope.sum() if jacobian else 0.0

    def value(at: Array) -> float:
        return log_posterior(blueprint, at, jacobian=jacobian)[0]

    found, gradient = log_posterior(blueprint, u, jacobian=jacobian)
    assert np.isfinite(found)
    assert found == pytest.approx(expected, rel=1e-13)
    # second differences of a log density near -500: rounding 1e-7, third derivatives up to 1e3
    np.testing.assert_allclose(gradient, central_differences(value, u, 1e-5), rtol=1e-5, atol=1e-5)


def test_starting_point_is_the_users_or_the_prior_median() -> None:
    model = quiet_model(
        "y1 ~ start(0.7)*x1 + x2\ny1 ~~ start(4)*y1\ny1 ~~ y2\ny2 ~ start(9)*1",
        data=make_frame(),
        priors={"y1 ~ x2": "normal(0.3, 1)", "y2 ~~ y2": "exponential(2)"},
    )
    rows = [(row.lhs, row.rhs) for row in model.blueprint.parameters.rows]
    start = dict(zip(rows, starting_point(model.blueprint), strict=True))
    assert start["y1", "x1"] == 0.7
    assert start["y1", "x2"] == pytest.approx(0.3)
    assert start["y1", "y1"] == 2.0  # a standard deviation
    assert start["y2", "y2"] == pytest.approx(np.log(2) / 2)  # median of the exponential
    assert start["y1", "y2"] == 0.5  # correlation 0
    assert start["y2", "1"] == 9.0
