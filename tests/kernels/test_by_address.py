"""Calls of kernels at their address: values, types that do not fit, and errors inside."""

from __future__ import annotations

import numba
import numpy as np
import pytest
from numba import types
from numba.core.errors import TypingError

from bayes_msem.kernels.by_address import address_of, at_address

VECTOR = types.float64[::1]
SIGNATURE = types.Tuple((types.float64, VECTOR))(VECTOR, types.int64)
_call = at_address(SIGNATURE)


@numba.njit
def scaled(x, n):
    if n < 0:
        raise ValueError("n is negative")
    return x.sum(), n * x


@numba.njit
def caller(address, x, n):
    total, twice = _call(address, (x, n))
    return total, twice


def test_values_are_those_of_the_kernel() -> None:
    address, x = address_of(scaled, SIGNATURE), np.array([1.0, 2.0, 4.0])
    assert address == address_of(scaled, SIGNATURE)
    total, twice = caller(address, x, 2)
    assert total == 7.0
    np.testing.assert_array_equal(twice, [2.0, 4.0, 8.0])


def test_results_own_their_memory() -> None:
    """A result has as many owners as that of a plain call: neither freed early nor kept."""
    x = np.ones(3)
    plain, at_address = scaled(x, 2)[1], caller(address_of(scaled, SIGNATURE), x, 2)[1]
    assert at_address.base.refcount == plain.base.refcount == 1


@pytest.mark.parametrize(
    ("x", "n"),
    [(np.ones(2, dtype=np.float32), 2), (np.ones(4)[::2], 2), (np.ones((2, 2)), 2)],
    ids=["single precision", "with gaps", "a matrix"],
)
def test_other_types_do_not_compile(x: np.ndarray, n: int) -> None:
    with pytest.raises(TypingError, match="is called with"):
        caller(address_of(scaled, SIGNATURE), x, n)


def test_read_only_arrays_are_another_type() -> None:
    x = np.ones(3)
    x.setflags(write=False)
    with pytest.raises(TypingError, match="is called with"):
        caller(address_of(scaled, SIGNATURE), x, 2)


def test_other_results_have_no_address() -> None:
    with pytest.raises(TypeError, match="returns"):
        address_of(scaled, types.float64(VECTOR, types.int64))


def test_errors_inside_come_out() -> None:
    with pytest.raises(ValueError, match="n is negative"):
        caller(address_of(scaled, SIGNATURE), np.ones(3), -1)
