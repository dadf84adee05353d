"""Lanes against the same operations on arrays, where lanes are just the last axis."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from bayes_msem.kernels.compile import kernel
from bayes_msem.kernels.lanes import (
    LANES,
    across,
    as_floats,
    as_lanes,
    fill_empty_lanes,
    from_lanes,
    in_lanes,
    invert_in_place,
    lanes_matrix,
    lanes_vector,
    room,
    zero_unless,
)

Array = NDArray[np.float64]


@kernel
def _arithmetic(a, b, out):
    x, y, result = as_lanes(a), as_lanes(b), as_lanes(out)
    total = 0.0
    for i in range(len(x)):
        total += x[i] * y[i]
        total -= 2.0 * x[i]
    result[0] = total
    result[1] = (x[0] - 1.0) / y[0] + 3
    result[2] = -math.sqrt(y[0]) + math.log(y[1])
    result[3] = math.exp(x[1])
    result[4] = 0.5
    return across(total)


def test_arithmetic_is_lane_by_lane() -> None:
    rng = np.random.default_rng(1)
    a, b, out = rng.normal(size=(5, LANES)), rng.uniform(1, 2, (5, LANES)), np.zeros((5, LANES))
    total = _arithmetic(a, b, out)
    expected = (a * b - 2 * a).sum(axis=0)
    np.testing.assert_allclose(out[0], expected, rtol=1e-13)
    np.testing.assert_allclose(out[1], (a[0] - 1) / b[0] + 3, rtol=1e-13)
    np.testing.assert_allclose(out[2], -np.sqrt(b[0]) + np.log(b[1]), rtol=1e-13)
    np.testing.assert_allclose(out[3], np.exp(a[1]), rtol=1e-13)
    np.testing.assert_array_equal(out[4], 0.5)
    assert total == pytest.approx(expected.sum(), rel=1e-13)


@kernel
def _compare(a):
    x = as_lanes(a)[0]
    return x > 0.0, x != 0.0, 0.0 > x


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1.0, (True, True, False)),
        (0.0, (False, LANES > 1, False)),
        (math.nan, (False, True, False)),
    ],
)
def test_comparisons_speak_for_all_lanes(value: float, expected: tuple[bool, ...]) -> None:
    """Greater: in all of them. Different: in any."""
    a = np.ones((1, LANES))
    a[0, -1] = value
    assert _compare(a) == expected
    assert _compare(np.zeros((1, LANES))) == (False, False, False)


@kernel
def _select(a, bound, value, out):
    x, result = as_lanes(a), as_lanes(out)
    result[0] = zero_unless(x[0], bound, value)
    result[1] = zero_unless(x[0], x[1], 1.0 / x[0])
    return zero_unless(a[0, 0], bound, value)


def test_zero_unless() -> None:
    a, out = np.ones((2, LANES)), np.empty((2, LANES))
    a[0] = np.arange(LANES) - 2.0
    a[0, 1:2] = np.nan
    assert _select(a, 2.0, 7.0, out) == 0.0
    assert _select(a, -3.0, 7.0, out) == 7.0
    np.testing.assert_array_equal(out[0], 7.0)
    _select(a, 2.0, 7.0, out)
    np.testing.assert_array_equal(out[0], np.where(a[0] <= 2.0, 0.0, 7.0))
    with np.errstate(divide="ignore"):
        np.testing.assert_array_equal(out[1], np.where(a[0] <= 1.0, 0.0, 1.0 / a[0]))


@kernel
def _there_and_back(array, fill):
    lanes = in_lanes(array)
    if fill:
        fill_empty_lanes(lanes, len(array))
    return from_lanes(lanes, len(array)), as_floats(lanes).copy()


@pytest.mark.parametrize("n_clusters", sorted({1, max(1, LANES - 1), LANES, LANES + 1, 3 * LANES}))
def test_clusters_in_lanes_and_back(n_clusters: int) -> None:
    array = np.random.default_rng(2).normal(size=(n_clusters, 3))
    for fill in (False, True):
        back, floats = _there_and_back(array, fill)
        np.testing.assert_array_equal(back, array)
        assert floats.shape == (math.ceil(n_clusters / LANES), 3, LANES)
        empty = np.swapaxes(floats, 1, 2).reshape(-1, 3)[n_clusters:]
        np.testing.assert_array_equal(empty, np.where(fill, array[-1], 0.0) + np.zeros_like(empty))


@kernel
def _inverses(floats, one):
    lanes, copy = as_lanes(floats), room(one, len(one), len(one))
    copy[:, :] = one
    invert_in_place(lanes)
    invert_in_place(copy)
    spare = room(lanes, 2, 3)
    spare[:, :] = 0.0
    return copy, as_floats(spare).shape


def test_invert_in_place() -> None:
    """Singular matrices become NaN, and leave other lanes alone."""
    floats = np.random.default_rng(3).normal(size=(3, 3, LANES)) + 3.0 * np.eye(3)[:, :, None]
    floats[:, :, -1] = 0.0
    expected = [np.linalg.inv(floats[:, :, i]) for i in range(LANES - 1)]
    inverse, shape = _inverses(floats, 2.0 * np.eye(2))
    for i, inverted in enumerate(expected):
        np.testing.assert_allclose(floats[:, :, i], inverted, rtol=1e-10)
    assert np.isnan(floats[:, :, -1]).all()
    np.testing.assert_allclose(inverse, 0.5 * np.eye(2), rtol=1e-14)
    assert shape == (2, 3, LANES)


@kernel
def _slices(floats):
    lanes, vector, matrix = as_lanes(floats), lanes_vector(2), lanes_matrix(2, 3)
    matrix[:, :] = lanes[1]
    vector[1] = matrix[1, 2]
    return as_floats(vector).copy(), lanes.reshape((len(lanes), 6))[1, 5] != matrix[1, 2]


def test_views_at_any_address() -> None:
    """Statistics start anywhere: the first lane need not be aligned."""
    memory = np.random.default_rng(4).normal(size=1 + 2 * 6 * LANES)
    floats = memory[1:].reshape(2, 2, 3, LANES)
    vector, different = _slices(floats)
    np.testing.assert_array_equal(vector, np.stack([np.zeros(LANES), floats[1, 1, 2]]))
    assert not different
