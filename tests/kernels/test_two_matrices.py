"""The joint reduction of two covariance matrices against dense matrix algebra."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from bayes_msem.kernels.compile import kernel
from bayes_msem.kernels.lanes import LANES, as_lanes, grouped
from bayes_msem.kernels.two_matrices import (
    SIDE,
    Square,
    Tridiagonal,
    factorise_sum,
    product,
    reduce_both,
)

Array = NDArray[np.float64]


@kernel
def _reduced(p, n, matrices, x, diagonal, beside):
    lanes, vectors = grouped(matrices), np.zeros((2, matrices.shape[1]))
    w, b = Square(matrices[0], lanes[0]), Square(matrices[1], lanes[1])
    t, target = Tridiagonal(diagonal, beside), Square(x, grouped(x))
    return reduce_both(p, n, w, b, target, t, Square(vectors, grouped(vectors)))


@kernel
def _factors(diagonal, beside, between, within, ratio, inverse):
    t = Tridiagonal(diagonal, beside)
    b, w = as_lanes(between), as_lanes(within)
    log_det, positive = factorise_sum(t, b[0], w[0], as_lanes(ratio), as_lanes(inverse))
    as_lanes(between)[0] = log_det
    return positive


@kernel
def _product(n, n_inner, left, right, result):
    product(n, n_inner, left, grouped(right), grouped(result))


def padded(matrix: Array) -> Array:
    side = -(-len(matrix) // SIDE) * SIDE
    room = np.zeros((side, side))
    room[: len(matrix), : len(matrix)] = matrix
    return room


def pair(p: int, q: int, rank: int, seed: int) -> tuple[Array, Array]:
    """Sigma_w of p variables among p + q, and Sigma_b of less than full rank in the first p."""
    rng, n = np.random.default_rng(seed), p + q
    a, loadings = rng.normal(size=(p, p)), rng.normal(size=(n, rank))
    w, b = np.zeros((n, n)), loadings @ loadings.T
    w[:p, :p] = a @ a.T + np.eye(p)
    b[p:, p:] += np.eye(q)
    return w, b


def reduced(p: int, w: Array, b: Array) -> tuple[Array, Array, float, float]:
    n, matrices = len(w), np.stack([padded(w), padded(b)])
    x, diagonal, beside = np.zeros_like(matrices[0]), np.zeros(p), np.zeros(p)
    log_w, log_b, positive = _reduced(p, n, matrices, x, diagonal, beside)
    assert positive
    t = np.diag(diagonal) + np.diag(beside[: p - 1], 1) + np.diag(beside[: p - 1], -1)
    return x[:n, :n], t, log_w, log_b


@pytest.mark.parametrize(
    ("p", "q", "rank"), [(1, 0, 1), (2, 0, 1), (3, 2, 1), (8, 0, 8), (30, 3, 5)]
)
def test_reduction(p: int, q: int, rank: int) -> None:
    w, b = pair(p, q, rank, seed=p)
    x, t, log_w, log_b = reduced(p, w, b)
    within = np.diag(np.repeat([1.0, 0.0], [p, q]))
    between = np.eye(p + q)
    between[:p, :p] = t
    np.testing.assert_allclose(x @ w @ x.T, within, atol=1e-12)
    np.testing.assert_allclose(x @ b @ x.T, between, atol=1e-11 * max(1.0, np.abs(t).max()))
    assert log_w == pytest.approx(np.linalg.slogdet(w[:p, :p])[1], abs=1e-12 * p)
    assert log_b == pytest.approx(np.linalg.slogdet(b[p:, p:])[1] if q else 0.0, abs=1e-12)


@pytest.mark.parametrize("tiny", [1e-4, 1e-14])
def test_tiny_variances_within_cost_the_others_no_digits(tiny: float) -> None:
    """(Sigma_b + Sigma_w / 10)^-1, whose condition does not depend on them, to 1e-11."""
    w, b = pair(6, 0, 6, seed=3)
    scale = np.ones(6)
    scale[[1, 3, 4]] = np.sqrt(tiny) * np.array([1.0, 0.1, 10.0])
    w *= np.outer(scale, scale)
    x, t, _, _ = reduced(6, w, b)
    inverse = x.T @ np.linalg.solve(t + np.eye(6) / 10, x)
    expected = np.linalg.inv(b + w / 10)
    np.testing.assert_allclose(inverse, expected, atol=1e-11 * np.abs(expected).max())


def test_what_is_not_positive_definite() -> None:
    for culprit in (0, 1):
        matrices = np.stack([padded(m) for m in pair(3, 1, 2, seed=4)])
        matrices[culprit, 2 + culprit, 2 + culprit] = -0.1
        x = np.zeros_like(matrices[0])
        assert not _reduced(3, 4, matrices, x, np.zeros(3), np.zeros(3))[2]


def test_factors_of_sums() -> None:
    rng, p = np.random.default_rng(5), 5
    diagonal, beside = rng.uniform(2, 3, p), rng.normal(size=p)
    between, within = rng.uniform(0, 1, (1, LANES)), rng.uniform(1, 2, (1, LANES))
    ratio, inverse, log_det = np.zeros((p, LANES)), np.zeros((p, LANES)), between.copy()
    assert _factors(diagonal, beside, log_det, within, ratio, inverse)
    tridiagonal = np.diag(diagonal) + np.diag(beside[:-1], 1) + np.diag(beside[:-1], -1)
    for lane in range(LANES):
        lower = np.eye(p) + np.diag(ratio[:-1, lane], -1)
        whole = lower @ np.diag(1 / inverse[:, lane]) @ lower.T
        expected = between[0, lane] * tridiagonal + within[0, lane] * np.eye(p)
        np.testing.assert_allclose(whole, expected, atol=1e-13)
        assert log_det[0, lane] == pytest.approx(np.linalg.slogdet(expected)[1], rel=1e-12)
    within[0, 0] = -5.0
    assert not _factors(diagonal, beside, between.copy(), within, ratio, inverse)


@pytest.mark.parametrize("n", [1, 4, 7, 8])
def test_product(n: int) -> None:
    rng = np.random.default_rng(6)
    left, right, result = rng.normal(size=(8, 8)), rng.normal(size=(8, 16)), np.zeros((8, 16))
    _product(n, 5, left, right, result)
    np.testing.assert_allclose(result[:n], (left[:, :5] @ right[:5])[:n], atol=1e-13)
