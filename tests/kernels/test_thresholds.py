"""Thresholds from fractions of a stick, against SciPy and the prior they are meant to have."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import ndtri, ndtri_exp
from scipy.stats import beta, norm

from bayes_msem.data.readonly import frozen
from bayes_msem.kernels.compile import kernel
from bayes_msem.kernels.layout import Thresholds
from bayes_msem.kernels.thresholds import normal_quantile, thresholds_back, thresholds_forward
from bayes_msem.spec.threshold_priors import induced_log_density

Array = NDArray[np.float64]


@kernel
def _quantiles(p, rest, out):
    for i in range(len(p)):
        out[i] = normal_quantile(p[i], rest[i])


@kernel
def _forward(x, thresholds, theta):
    thresholds_forward(x, thresholds, theta)


@kernel
def _back(x, thresholds, d_theta, d_x):
    thresholds_back(x, thresholds, d_theta, d_x)


def quantiles(p: Array, rest: Array) -> Array:
    out = np.empty(len(p))
    _quantiles(p, rest, out)
    return out


def test_quantile_at_the_ends() -> None:
    """A fraction may round to 0 or 1: a category without probability, not a number that is none."""
    ends = quantiles(np.array([0.0, 1.0]), np.array([1.0, 0.0]))
    np.testing.assert_array_equal(ends, [-np.inf, np.inf])


# Two outcomes, of three and two thresholds, whose fractions stand among other parameters.
def read_only(*arrays: NDArray[Any]) -> Thresholds:
    """As models have them: other types would be another compilation."""
    return Thresholds(*(frozen(array) for array in arrays))


TWO = read_only(np.array([3, 2]), np.array([4, 1, 6, 0, 3]), np.array([1.3, 0.4]))


def fractions(seed: int) -> Array:
    return np.random.default_rng(seed).uniform(0.05, 0.95, 8)


def forward(x: Array, thresholds: Thresholds = TWO) -> Array:
    theta = x.copy()
    _forward(x, thresholds, theta)
    return theta


def test_quantiles_from_1e_minus_300_to_the_middle() -> None:
    p = np.concatenate([np.geomspace(1e-300, 0.5, 4001), np.linspace(1e-3, 0.5, 2001)])
    np.testing.assert_allclose(quantiles(p, 1.0 - p), ndtri(p), rtol=1e-13, atol=1e-16)


def test_quantiles_from_the_middle_to_one() -> None:
    """With 1 - p known, the upper tail has all the digits of the lower one."""
    rest = np.concatenate([np.geomspace(1e-300, 0.5, 4001), np.linspace(1e-3, 0.5, 2001)])
    np.testing.assert_allclose(quantiles(1.0 - rest, rest), -ndtri(rest), rtol=1e-13, atol=1e-16)


@pytest.mark.parametrize("p", [1e-16, 1e-10, 0.025, 0.3, 0.5, 0.8, 1 - 1e-10, 1 - 1e-16])
def test_quantiles_are_those_of_the_normal_distribution(p: float) -> None:
    """Through another of SciPy's functions: at the quantile, the distribution function is p."""
    found = float(quantiles(np.array([p]), np.array([1.0 - p]))[0])
    tail = found > 0
    expected = 1.0 - p if tail else p
    assert float(norm.sf(found) if tail else norm.cdf(found)) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_forward(seed: int) -> None:
    """Shares of the categories are what their fractions take of what is left."""
    x = fractions(seed)
    found, expected, first = forward(x), x.copy(), 0
    for size, scale in zip(TWO.size, TWO.scale, strict=True):
        places = TWO.position[first : first + size]
        left, shares = 1.0, []
        for i in places:
            shares.append(left * x[i])
            left -= shares[-1]
        expected[places] = norm.ppf(np.cumsum(shares), scale=scale)
        assert (np.diff(found[places]) > 0).all()
        first += size
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    others = np.setdiff1d(np.arange(len(x)), TWO.position)
    np.testing.assert_array_equal(found[others], x[others])


def test_rare_last_categories_keep_their_digits() -> None:
    """Three fractions that leave 1e-30 of the stick: 1 - sum of the shares would be zero."""
    one = read_only(np.array([3]), np.arange(3), np.array([2.0]))
    x = np.array([1 - 2.0**-33] * 3)
    expected = [-2.0 * ndtri_exp(-33 * k * np.log(2)) for k in (1, 2, 3)]
    np.testing.assert_allclose(forward(x, one), expected, rtol=1e-13)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_back(seed: int) -> None:
    """Differences of the fourth order with steps of 1e-3; other parameters get nothing."""
    x, rng = fractions(seed), np.random.default_rng(seed + 10)
    d_theta, d_x = rng.normal(size=len(x)), np.zeros(len(x))
    _back(x, TWO, d_theta, d_x)
    chosen = np.zeros(len(x))
    chosen[TWO.position] = d_theta[TWO.position]

    def along(h: Array) -> float:
        return float(chosen @ forward(x + h))

    differences = [
        (8 * (along(h) - along(-h)) - (along(2 * h) - along(-2 * h))) / (12 * 1e-3)
        for h in 1e-3 * np.eye(len(x))
    ]
    np.testing.assert_allclose(d_x, differences, rtol=1e-6, atol=1e-6)
    assert (d_x[np.setdiff1d(np.arange(len(x)), TWO.position)] == 0).all()


def test_back_adds() -> None:
    x, d_theta = fractions(4), np.random.default_rng(4).normal(size=8)
    once, twice = np.zeros(8), np.zeros(8)
    _back(x, TWO, d_theta, once)
    for _ in range(2):
        _back(x, TWO, d_theta, twice)
    np.testing.assert_allclose(twice, 2 * once, rtol=1e-15)


def log_volume(function: Any, x: Array) -> float:
    """Log |determinant| of the derivative, by differences of the fourth order."""
    h = 1e-3 * np.eye(len(x))
    slopes = [
        (8 * (function(x + s) - function(x - s)) - (function(x + 2 * s) - function(x - 2 * s)))
        / (12 * 1e-3)
        for s in h
    ]
    return float(np.linalg.slogdet(np.array(slopes))[1])


@pytest.mark.parametrize("alpha", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("count", [1, 2, 4])
def test_beta_fractions_are_dirichlet_shares(count: int, alpha: float) -> None:
    """Density of the thresholds plus log |d tau / d v| is that of the fractions.

    The shapes of the Beta distributions are those that structure.parameters gives.
    """
    one = read_only(np.array([count]), np.arange(count), np.array([1.7]))
    v = np.random.default_rng(count).uniform(0.2, 0.7, count)
    shapes = [(alpha, alpha * (count - c)) for c in range(count)]
    density = sum(beta.logpdf(v[c], *shapes[c]) for c in range(count))
    tau = forward(v, one)
    induced = float(induced_log_density(tau, alpha, 1.7))
    volume = log_volume(lambda u: forward(u, one), v)
    assert density == pytest.approx(induced + volume, rel=1e-8, abs=1e-8)
