"""One parameter at a time: prior densities, bounds, and constraints in postfix notation, compiled.

Densities are those of spec.prior_families up to their normalising constants, which arrive as data
(blueprint.prior_arrays); a test compares the two.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bayes_msem.kernels.compile import kernel

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

# Kernels of the prior densities. A half family is the whole one on the positive half line, an
# exponential a gamma with shape 1: normalising constants aside, they are one formula.
NORMAL, STUDENT_T, LAPLACE, FLAT, GAMMA, LOG_NORMAL, INVERSE_GAMMA, BETA, CHI = range(9)

# How a parameter is bounded: transforms of inference.density.Support.
UNBOUNDED, BELOW, ABOVE, BOTH = range(4)

# Postfix operations; functions of one argument follow in the order of FUNCTIONS.
PUSH_NUMBER, PUSH_LABEL, NEGATE, PLUS, MINUS, TIMES, OVER, POWER = range(8)
FIRST_FUNCTION = 8


class PriorArrays(NamedTuple):
    """Priors, bounds and constraints, one entry per sampled parameter unless said otherwise.

    Attributes
    ----------
    family
        Kernel of the prior's density, shape (n,).
    arguments
        Its arguments, shape (n, 3), unused ones zero.
    constant
        Log density minus the kernel's value, shape (n,).
    bounded, lower, upper
        Sort of bounds and the bounds, each of shape (n,).
    squared
        1 for variances, whose labels in constraints mean the square of x, shape (n,).
    programs
        First and last position of the value of every constraint in ``code``, shape (k, 2).
    slopes
        Constraint, parameter, and first and last position of the derivative in ``code``, one row
        for each pair that is not zero, shape (m, 4).
    code
        Postfix operations, an operation and its operand in each row, shape (l, 2).
    numbers
        Constants of the expressions.
    """

    family: IntArray
    arguments: FloatArray
    constant: FloatArray
    bounded: IntArray
    lower: FloatArray
    upper: FloatArray
    squared: IntArray
    programs: IntArray
    slopes: IntArray
    code: IntArray
    numbers: FloatArray


@kernel
def prior_kernel(family, a, b, c, x, log_x, log_rest):
    """Log density up to a constant and its derivative with respect to x.

    ``log_x`` and ``log_rest`` are log x and log(1 - x), with all their digits.
    """
    if family == NORMAL:
        z = (x - a) / b
        return -0.5 * z * z, -z / b
    if family == STUDENT_T:
        z = (x - a) / b
        return -0.5 * (c + 1.0) * math.log1p(z * z / c), -(c + 1.0) * z / (b * (c + z * z))
    if family == LAPLACE:
        return -abs(x - a) / b, -np.sign(x - a) / b
    if family == GAMMA:
        return (a - 1.0) * log_x - b * x, (a - 1.0) / x - b
    if family == LOG_NORMAL:
        z = (log_x - a) / b
        return -0.5 * z * z - log_x, -(z / b + 1.0) / x
    if family == INVERSE_GAMMA:
        return -(a + 1.0) * log_x - b / x, (b / x - (a + 1.0)) / x
    if family == CHI:
        z = x / b
        return (a - 1.0) * log_x - 0.5 * z * z, (a - 1.0) / x - z / b
    if family == BETA:
        value = (a - 1.0) * log_x + (b - 1.0) * log_rest
        return value, (a - 1.0) / x - (b - 1.0) / math.exp(log_rest)
    return 0.0, 0.0


@kernel
def bounded(sort, lower, upper, soft, u):
    """Return x, dx/du, log |dx/du|, its derivative, and log x and log(1 - x) if x is in (0, .).

    With ``soft`` above 0, x = lower + soft log(1 + e^(u / soft)) takes the place of lower + e^u.
    """
    if sort == BELOW and soft > 0.0:
        z = u / soft
        e = math.exp(-abs(z))
        share = 1.0 / (1.0 + e) if z >= 0.0 else e / (1.0 + e)
        rest = e / (1.0 + e) if z >= 0.0 else 1.0 / (1.0 + e)
        x = soft * (max(z, 0.0) + math.log1p(e))
        log_share = min(z, 0.0) - math.log1p(e)
        # far below zero x is soft e^z, whose logarithm outlives x
        log_x = math.log(soft) + z if z < -30.0 else math.log(x)
        return lower + x, share, log_share, rest / soft, log_x, np.nan
    if sort == BELOW:
        e = math.exp(u)
        return lower + e, e, u, 1.0, (u if lower == 0.0 else math.log(lower + e)), np.nan
    if sort == ABOVE:
        e = -math.exp(u)
        return upper + e, e, u, 1.0, np.nan, np.nan
    if sort == BOTH:
        width = upper - lower
        if u >= 0.0:
            e = math.exp(-u)
            share, rest = 1.0 / (1.0 + e), e / (1.0 + e)
            log_share, log_rest = -math.log1p(e), -u - math.log1p(e)
        else:
            e = math.exp(u)
            share, rest = e / (1.0 + e), 1.0 / (1.0 + e)
            log_share, log_rest = u - math.log1p(e), -math.log1p(e)
        slope = width * share * rest
        log_slope = math.log(width) + log_share + log_rest
        return lower + width * share, slope, log_slope, rest - share, log_share, log_rest
    return u, 1.0, 0.0, 0.0, np.nan, np.nan


@kernel
def _apply(operation, x):
    """Functions of spec.expressions.FUNCTIONS, in their order."""
    f = operation - FIRST_FUNCTION
    if f == 0:
        return abs(x)
    if f == 1:
        return np.arccos(x)
    if f == 2:
        return np.arcsin(x)
    if f == 3:
        return np.arctan(x)
    if f == 4:
        return np.arctanh(x)
    if f == 5:
        return np.cos(x)
    if f == 6:
        return np.cosh(x)
    if f == 7:
        return np.exp(x)
    if f == 8:
        return np.log(x)
    if f == 9:
        return np.sin(x)
    if f == 10:
        return np.sinh(x)
    if f == 11:
        return np.sqrt(x)
    if f == 12:
        return np.tan(x)
    return np.tanh(x)


@kernel
def evaluated(code, first, last, numbers, squared, x, stack):
    """Value of a postfix expression; labels of variances mean the square of x."""
    top = 0
    for position in range(first, last):
        operation, operand = code[position, 0], code[position, 1]
        if operation == PUSH_NUMBER:
            stack[top] = numbers[operand]
            top += 1
        elif operation == PUSH_LABEL:
            value = x[operand]
            stack[top] = value * value if squared[operand] == 1 else value
            top += 1
        elif operation == NEGATE:
            stack[top - 1] = -stack[top - 1]
        elif operation >= FIRST_FUNCTION:
            stack[top - 1] = _apply(operation, stack[top - 1])
        else:
            top -= 1
            left, right = stack[top - 1], stack[top]
            if operation == PLUS:
                left += right
            elif operation == MINUS:
                left -= right
            elif operation == TIMES:
                left *= right
            elif operation == OVER:
                left /= right
            elif operation == POWER:
                left = left**right
            stack[top - 1] = left
    return stack[0]
