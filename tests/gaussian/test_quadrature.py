"""Expectations of functions of normal vectors, against closed forms and SciPy's integrals.

The limits are those that gaussian/quadrature.py works to: rounding for polynomials, 1e-3 of E |f|
for everything else unless it says that it is less accurate.
"""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import integrate, stats

from bayes_msem.blueprint.population import roots
from bayes_msem.gaussian.quadrature import Expectation, expectation

Array = NDArray[np.float64]


def problems(n: int, d: int, seed: int) -> tuple[Array, Array, Array]:
    """Means, covariance matrices and their roots."""
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(n, d, d))
    covariance = root @ root.swapaxes(1, 2)
    return rng.normal(size=(n, d)), covariance, roots(covariance)


def folded(mean: Array, sd: Array) -> Array:
    """E |u| for u ~ N(mean, sd^2) (Leone, Nelson & Nottingham, 1961)."""
    part = sd * np.sqrt(2 / np.pi) * np.exp(-0.5 * (mean / sd) ** 2)
    return part + mean * (1 - 2 * stats.norm.cdf(-mean / sd))


def close(found: Expectation, expected: Array, most: float = 1e-4) -> None:
    """All within the accuracy that is claimed for ten results in a thousand, 99 % within 1e-4."""
    off = np.abs(found.value - expected) / found.size
    assert np.quantile(off, 0.99) < most
    assert off.max() < 20 * most


@pytest.mark.parametrize("degree", [1, 2, 5, 8, 13])
def test_polynomials_are_exact(degree: int) -> None:
    """E (u - m)^k = sd^k (k - 1)!! for even k; three nodes would do up to degree 5 only."""
    mean, covariance, root = problems(20, 2, 1)
    found = expectation(
        lambda u, at: (u[..., 0] - mean[at, :1]) ** degree, mean, root, degree=degree
    )
    moment = stats.norm.moment(degree) * covariance[:, 0, 0] ** (degree / 2)
    assert (np.abs(found.value - moment) <= 1e-12 * found.size).all()
    assert not found.error.any()


def test_product_of_three() -> None:
    """E[abc] = m_a m_b m_c + m_a S_bc + m_b S_ac + m_c S_ab."""
    mean, s, root = problems(50, 3, 2)
    found = expectation(lambda u, at: u.prod(axis=-1), mean, root, degree=3)
    a, b, c = mean.T
    expected = a * b * c + a * s[:, 1, 2] + b * s[:, 0, 2] + c * s[:, 0, 1]
    np.testing.assert_allclose(found.value, expected, rtol=1e-9, atol=1e-12)


def test_absolute_value() -> None:
    """The kink lies anywhere; nine nodes were off by 2 to 3 %."""
    mean, covariance, root = problems(2000, 1, 3)
    found = expectation(lambda u, at: np.abs(u[..., 0]), mean, root)
    close(found, folded(mean[:, 0], np.sqrt(covariance[:, 0, 0])))
    assert (found.error <= 1e-3 * found.size).all()


def test_absolute_difference_and_largest() -> None:
    mean, s, root = problems(400, 2, 4)
    sd = np.sqrt(s[:, 0, 0] + s[:, 1, 1] - 2 * s[:, 0, 1])
    of_difference = folded(mean[:, 0] - mean[:, 1], sd)
    close(expectation(lambda u, at: np.abs(u[..., 0] - u[..., 1]), mean, root), of_difference)
    found = expectation(lambda u, at: u.max(axis=-1), mean, root)
    close(found, (mean.sum(axis=1) + of_difference) / 2)


def test_two_kinks() -> None:
    """E |a| |b| of independent a and b; the kinks cross each other at right angles."""
    mean, s, _ = problems(60, 2, 5)
    sd = np.sqrt(np.einsum("nii->ni", s))
    root = sd[:, :, None] * np.eye(2)
    found = expectation(lambda u, at: np.abs(u[..., 0] * u[..., 1]), mean, root)
    close(found, folded(mean[:, 0], sd[:, 0]) * folded(mean[:, 1], sd[:, 1]))


def test_exponential_and_logistic() -> None:
    """Smooth functions: E exp(u) in closed form, the logistic by SciPy."""
    mean, s, root = problems(200, 1, 6)
    found = expectation(lambda u, at: np.exp(u[..., 0]), mean, root)
    np.testing.assert_allclose(found.value, np.exp(mean[:, 0] + s[:, 0, 0] / 2), rtol=1e-4)
    found = expectation(lambda u, at: 1 / (1 + np.exp(-u[..., 0])), mean, root)
    for i in range(10):
        sd = np.sqrt(s[i, 0, 0])

        def integrand(t: float, m: float = mean[i, 0], sd: float = sd) -> float:
            return float(stats.norm.pdf(t) / (1 + np.exp(-m - sd * t)))

        expected, _ = integrate.quad(integrand, -12, 12, epsabs=1e-12)
        assert found.value[i] == pytest.approx(expected, rel=2e-4)


def test_ratio_far_from_zero() -> None:
    """E[1/u], u ~ N(4, .4^2): its asymptotic series 1/4 (1 + s + 3 s^2 + 15 s^3 ...), s = .01."""
    mean, root = np.full((1, 1), 4.0), np.full((1, 1, 1), 0.4)
    found = expectation(lambda u, at: 1 / u[..., 0], mean, root)
    series = 0.25 * (1 + 0.01 + 3e-4 + 15e-6 + 105e-8)
    assert found.value[0] == pytest.approx(series, rel=1e-6)
    assert found.error[0] < 1e-3 * found.size[0]


def test_a_pole_is_owned_up_to() -> None:
    """1/u has no mean where u may be zero."""
    mean, root = np.array([[0.3], [1.0]]), np.ones((2, 1, 1))
    found = expectation(lambda u, at: 1 / u[..., 0], mean, root)
    assert (found.error > 1e-2 * found.size).all()


def test_outside_the_domain() -> None:
    """log(u) is undefined with probability P(u < 0); the rest is integrated."""
    mean, root = np.array([[1.0], [30.0]]), np.ones((2, 1, 1))
    found = expectation(lambda u, at: np.log(u[..., 0]), mean, root)
    assert found.undefined[0] == pytest.approx(stats.norm.cdf(-1), rel=1e-3)
    assert found.undefined[1] == 0
    assert found.value[1] == pytest.approx(np.log(30) - 1 / 1800, abs=1e-5)


def test_mixtures_are_averages() -> None:
    mean, _, root = problems(30, 2, 7)
    weights = np.array([0.5, 0.3, 0.2])

    def f(u: Array, at: Array) -> Array:
        return np.abs(u[..., 0]) + at[:, None] * u[..., 1]

    alone = expectation(f, mean, root)
    mixed = expectation(f, mean, root, weights=weights)
    expected = alone.value.reshape(10, 3) @ weights
    np.testing.assert_allclose(mixed.value, expected, rtol=2e-4)
    assert mixed.size.shape == mixed.error.shape == mixed.undefined.shape == (10,)


def test_singular_covariance() -> None:
    """One of two coefficients follows from the other: E |a - 2 a| = E |a|."""
    mean = np.array([[0.4, 0.8]])
    root = roots(np.array([[[1.0, 2.0], [2.0, 4.0]]]))
    found = expectation(lambda u, at: np.abs(u[..., 0] - u[..., 1]), mean, root)
    assert found.value[0] == pytest.approx(folded(0.4, 1.0), rel=1e-4)  # type: ignore[arg-type]
