r"""Probits of many cells at once: the log densities of kernels.responses, in lanes.

Most cells need no series: both ends a < b of the interval are moderate, or infinite, and not close
to each other. Then with Q the upper tail, Q(|z|) = phi(z) M(|z|),

    p = [b > 0] - [a > 0] + s(a) Q(|a|) - s(b) Q(|b|) ,   s the sign,

where the first difference is exactly 0 or 1, and no digits are lost. Other cells are left to
:func:`bayes_msem.kernels.responses.response`.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numba.extending import register_jitable

from bayes_msem.kernels.compile import inner_kernel
from bayes_msem.kernels.lanes import LANES, grouped, nearest_whole, power_of_two, zero_unless
from bayes_msem.kernels.responses import HALF_LOG_2PI, NARROW, mills_ratio

__all__ = [
    "ProbitCells",
    "evaluate_cells",
    "normal_density",
    "place_cell",
    "place_cells",
    "probit_space",
]

_FAR = 20.0  # ends further out are left to the scalar function
_INFINITE = 1e300  # ends above this are infinite
_PER_LOG_2, _ROOT = 1.0 / math.log(2.0), math.exp(-HALF_LOG_2PI)
_LOG_2_HIGH, _LOG_2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
_TAYLOR = tuple(1.0 / math.factorial(k) for k in range(13, -1, -1))
# rows of the arrays
_A, _B, _WEIGHT_A, _WEIGHT_B, _SIGN_A, _SIGN_B, _WHOLE, P, SLOPE, D_LOWER, D_UPPER = range(11)
Y, LOWER, UPPER, COMMON = range(11, 15)  # category and thresholds; 1 if of the common kind, else 0


class ProbitCells(NamedTuple):
    """Room for cells: rows of numbers, and the same memory as lanes."""

    floats: Any
    lanes: Any


@register_jitable
def probit_space(n):
    """Return room for n cells, a multiple of the number of lanes."""
    floats = np.zeros((15, n))
    return ProbitCells(floats, grouped(floats))


@inner_kernel
def _place(rows, i, a, b):
    """Put the ends a < b of cells; return 1 where they are of the common kind, else 0.

    Of floats or lanes: ``zero_unless(x, bound, 1)`` is [x > bound], and 1 where x is NaN.
    """
    low, high = zero_unless(a, -_INFINITE, 1.0), zero_unless(_INFINITE, b, 1.0)
    right_a, right_b = zero_unless(a, 0.0, low), zero_unless(b, 0.0, 1.0)
    sign_a, sign_b = 2.0 * right_a - 1.0, 2.0 * right_b - 1.0
    size_a, size_b = zero_unless(low, 0.5, a * sign_a), zero_unless(high, 0.5, b * sign_b)
    half = 0.5 * (b - a)
    reach = 0.5 * half * (a + b)  # NaN between infinities
    wide = zero_unless(half, NARROW, 1.0) + zero_unless(reach, NARROW, 1.0)
    wide = zero_unless(wide + zero_unless(-reach, NARROW, 1.0), 0.5, 1.0)
    common = wide * (1.0 - zero_unless(size_a, _FAR, 1.0)) * (1.0 - zero_unless(size_b, _FAR, 1.0))
    rows[_A, i] = zero_unless(common, 0.5, size_a)
    rows[_B, i] = zero_unless(common, 0.5, size_b)
    rows[_WEIGHT_A, i] = low * common
    rows[_WEIGHT_B, i] = high * common
    rows[_SIGN_A, i] = sign_a
    rows[_SIGN_B, i] = sign_b
    rows[_WHOLE, i] = 1.0 + common * (right_b - right_a - 1.0)
    return common


@inner_kernel
def place_cell(cells, r, a, b):
    """Put the ends a < b of cell r; return whether it is of the common kind."""
    return _place(cells.floats, r, a, b) > 0.5


@inner_kernel
def place_cells(cells, eta, n):
    """Put n groups of cells, with their thresholds and predictors; return if all are common."""
    lanes, all_common = cells.lanes, True
    for i in range(n):
        common = _place(lanes, i, lanes[LOWER, i] - eta[i], lanes[UPPER, i] - eta[i])
        lanes[COMMON, i] = common
        if common != 1.0:
            all_common = False
    return all_common


@inner_kernel
def normal_density(z):
    """Density of the standard normal for |z| < 20, to 4e-14 of it; math.exp has no lanes.

    exp(x) = 2^n e^r with n the integer next to x / log 2, and r of at most log(2) / 2.
    """
    x = -0.5 * z * z
    n = nearest_whole(x * _PER_LOG_2)
    r = x - n * _LOG_2_HIGH - n * _LOG_2_LOW
    series = _TAYLOR[0]
    for coefficient in _TAYLOR[1:]:
        series = series * r + coefficient
    return series * power_of_two(n) * _ROOT


@inner_kernel
def evaluate_cells(cells, n):
    """Fill p and derivatives of log p, with respect to eta and both thresholds, of n cells."""
    lanes = cells.lanes
    for i in range((n + LANES - 1) // LANES):
        a, b = lanes[_A, i], lanes[_B, i]
        at_a = lanes[_WEIGHT_A, i] * normal_density(a)
        at_b = lanes[_WEIGHT_B, i] * normal_density(b)
        left, right = at_a * mills_ratio(a), at_b * mills_ratio(b)
        p = lanes[_WHOLE, i] + lanes[_SIGN_A, i] * left - lanes[_SIGN_B, i] * right
        inverse = 1.0 / p
        lanes[P, i] = p
        lanes[SLOPE, i] = (at_a - at_b) * inverse
        lanes[D_LOWER, i] = -at_a * inverse
        lanes[D_UPPER, i] = at_b * inverse
