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
from bayes_msem.kernels.lanes import LANES, as_lanes, nearest_whole, power_of_two
from bayes_msem.kernels.responses import HALF_LOG_2PI, NARROW, mills_ratio

__all__ = ["ProbitCells", "evaluate_cells", "normal_density", "place_cell", "probit_space"]

_FAR = 20.0  # ends further out are left to the scalar function
_PER_LOG_2, _ROOT = 1.0 / math.log(2.0), math.exp(-HALF_LOG_2PI)
_LOG_2_HIGH, _LOG_2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
_TAYLOR = tuple(1.0 / math.factorial(k) for k in range(13, -1, -1))
# rows of the arrays
_A, _B, _WEIGHT_A, _WEIGHT_B, _SIGN_A, _SIGN_B, _WHOLE, P, SLOPE, D_LOWER, D_UPPER = range(11)


class ProbitCells(NamedTuple):
    """Room for cells: rows of numbers, and the same memory as lanes."""

    floats: Any
    lanes: Any


@register_jitable
def probit_space(n):
    """Return room for n cells, a multiple of the number of lanes."""
    floats = np.zeros((11, n))
    return ProbitCells(floats, as_lanes(floats.reshape((11, n // LANES, LANES))))


@inner_kernel
def place_cell(cells, r, a, b):
    """Put the ends a < b of cell r; return whether it is of the common kind."""
    floats = cells.floats
    low, high = a > -math.inf, b < math.inf
    common = (a == -math.inf or abs(a) < _FAR) and (b == math.inf or abs(b) < _FAR)  # no NaN
    if low and high and common:
        common = 0.5 * (b - a) * max(1.0, 0.5 * abs(a + b)) >= NARROW
    if not common:
        low, high = False, False
    floats[_A, r] = abs(a) if low else 0.0
    floats[_B, r] = abs(b) if high else 0.0
    floats[_WEIGHT_A, r] = 1.0 if low else 0.0
    floats[_WEIGHT_B, r] = 1.0 if high else 0.0
    floats[_SIGN_A, r] = 1.0 if a > 0.0 else -1.0
    floats[_SIGN_B, r] = 1.0 if b > 0.0 else -1.0
    whole = (1.0 if not high or b > 0.0 else 0.0) - (1.0 if low and a > 0.0 else 0.0)
    floats[_WHOLE, r] = whole
    return common


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
