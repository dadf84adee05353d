"""Two covariance matrices reduced together, so that all their sums cost next to nothing.

For Sigma_w (positive definite in its first p rows, zero elsewhere) and Sigma_b (P x P, positive
definite in its last P - p) there is one matrix X (P x P) with

    X Sigma_w X' = (I, 0) ,   X Sigma_b X' = (T, I) ,   T tridiagonal (p x p) ,

blocks on the diagonal. Then X (b Sigma_b + w Sigma_w) X' is tridiagonal for all numbers b and w
(b = 1 where P > p): with O(P^3) operations once, a solution, a determinant or an inverse costs O(P)
or O(P^2) for each of them. T may be singular or indefinite, as Sigma_b may.

1. The last P - p variables are eliminated from Sigma_b; Sigma_w has nothing there to change.
2. The first p are eliminated from Sigma_w, which makes Sigma_b the matrix L^-1 V L^-T.
3. Householder reflections make that tridiagonal. Eigenvalues would be the limit of an iteration
   that costs several times as much, and diagonal is no better than tridiagonal here.

All steps are operations on whole rows, with columns in lanes (kernels.lanes). Matrices are square
with a side that is a multiple of eight, zeros behind row and column P; each comes as floats and as
lanes, two views of the same numbers.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from bayes_msem.kernels.compile import inner_kernel
from bayes_msem.kernels.lanes import LANES

SIDE = 8
"""Sides of matrices are a multiple of this."""


class Square(NamedTuple):
    """A matrix, or vectors, as floats (..., n) and as lanes (..., n / LANES)."""

    floats: Any
    lanes: Any


class Tridiagonal(NamedTuple):
    """Diagonal (p,) and the entries beside it (p,), of which the last is unused."""

    diagonal: Any
    beside: Any


@inner_kernel
def _add_row(rows, target, factor, source, width):
    for c in range(width):
        rows[target, c] += factor * rows[source, c]


@inner_kernel
def _scale_row(rows, row, factor):
    for c in range(rows.shape[1]):
        rows[row, c] *= factor


@inner_kernel
def product(n, n_inner, left, right, result):
    """Fill the first n rows of ``result`` = left right; ``left`` is floats, the others are rows.

    Four rows at a time, whose sums stay in registers; rows up to a multiple of four are filled.
    """
    for i in range(0, n, 4):
        for c in range(right.shape[1]):
            a0 = left[i, 0] * right[0, c]
            a1 = left[i + 1, 0] * right[0, c]
            a2 = left[i + 2, 0] * right[0, c]
            a3 = left[i + 3, 0] * right[0, c]
            for m in range(1, n_inner):
                row = right[m, c]
                a0 += left[i, m] * row
                a1 += left[i + 1, m] * row
                a2 += left[i + 2, m] * row
                a3 += left[i + 3, m] * row
            result[i, c] = a0
            result[i + 1, c] = a1
            result[i + 2, c] = a2
            result[i + 3, c] = a3


@inner_kernel
def transpose(n, matrix, result):
    """Fill the first n rows and columns of ``result``, both as floats."""
    for i in range(n):
        for k in range(n):
            result[k, i] = matrix[i, k]


@inner_kernel
def _eliminate_last(p, n, b, x):
    """Step 1; returns the log determinant, and whether the last rows are positive definite."""
    log_det, width = 0.0, x.lanes.shape[1]
    for k in range(n - 1, p - 1, -1):
        pivot = b.floats[k, k]
        if not pivot > 0.0:
            return log_det, False
        log_det += math.log(pivot)
        for i in range(k):
            factor = -b.floats[i, k] / pivot
            if factor != 0.0:
                _add_row(b.lanes, i, factor, k, width)
                _add_row(x.lanes, i, factor, k, width)
        _scale_row(x.lanes, k, 1.0 / math.sqrt(pivot))
    return log_det, True


@inner_kernel
def _next_pivot(p, w, between, waiting):
    """Row with the largest variance within, given those before, for its variance between.

    A small pivot makes the rows after it large. Where a variance within goes to zero, this leaves
    the digits of all others alone.
    """
    best = -1
    for i in range(p):
        if waiting[i] > 0.0 and (best < 0 or w[i, i] * between[best] > w[best, best] * between[i]):
            best = i
    return best


@inner_kernel
def _eliminate_first(p, w, b, x, between, waiting):
    """Step 2, in the order of ``_next_pivot``; Sigma_b becomes L^-1 V with rows in any order.

    ``between`` and ``waiting`` are scratch. Returns log|Sigma_w|, and whether it is positive
    definite.
    """
    log_det, width = 0.0, x.lanes.shape[1]
    for i in range(p):
        between[i] = abs(b.floats[i, i])
        waiting[i] = 1.0
    for _ in range(p):
        k = _next_pivot(p, w.floats, between, waiting)
        pivot = w.floats[k, k]
        if not pivot > 0.0:
            return log_det, False
        waiting[k] = 0.0
        log_det += math.log(pivot)
        for i in range(p):
            factor = -w.floats[i, k] / pivot
            if waiting[i] > 0.0 and factor != 0.0:
                _add_row(w.lanes, i, factor, k, width)
                _add_row(b.lanes, i, factor, k, width)
                _add_row(x.lanes, i, factor, k, width)
        scale = 1.0 / math.sqrt(pivot)
        _scale_row(b.lanes, k, scale)
        _scale_row(x.lanes, k, scale)
    return log_det, True


@inner_kernel
def _swap_rows(rows, i, k):
    for c in range(rows.shape[1]):
        value = rows[i, c]
        rows[i, c] = rows[k, c]
        rows[k, c] = value


@inner_kernel
def _sort_rows(p, b, x, diagonal):
    """Put rows first whose diagonal entry of L^-1 V L^-T is large; ``diagonal`` is scratch.

    Where a variance within goes to zero these entries have no bound. Reflections begin with row 1,
    and those of the others do not touch it: so the others keep their digits.
    """
    for i in range(p):
        diagonal[i] = 0.0
        for k in range(p):
            diagonal[i] += b.floats[i, k] * x.floats[i, k]
    for i in range(p - 1):
        largest = i
        for k in range(i + 1, p):
            if abs(diagonal[k]) > abs(diagonal[largest]):
                largest = k
        if largest != i:
            diagonal[largest] = diagonal[i]
            _swap_rows(b.lanes, i, largest)
            _swap_rows(x.lanes, i, largest)


@inner_kernel
def _combine(vector, first, last, rows, start, total):
    """Fill ``total`` from column ``start`` on: the sum of rows ``first`` to ``last``, weighted."""
    for c in range(start, rows.shape[1]):
        a = vector[first] * rows[first, c]
        b = 0.0 * a
        for m in range(first + 1, last - 1, 2):  # two sums, which do not wait for each other
            a += vector[m] * rows[m, c]
            b += vector[m + 1] * rows[m + 1, c]
        if (last - first) % 2 == 0:
            b += vector[last - 1] * rows[last - 1, c]
        total[c] = a + b


@inner_kernel
def _reflect(p, matrix, x, t, pair):
    """Step 3: fill T, and reflect ``x``; ``pair`` are two vectors of zeros."""
    m, v, u, v_lanes, u_lanes = (
        matrix.floats,
        pair.floats[0],
        pair.floats[1],
        pair.lanes[0],
        pair.lanes[1],
    )
    for k in range(p - 2):
        rest, head = 0.0, m[k, k + 1]
        for i in range(k + 2, p):
            rest += m[k, i] * m[k, i]
        t.beside[k] = head
        if rest == 0.0:
            continue
        norm = math.copysign(math.sqrt(head * head + rest), head)
        t.beside[k] = -norm
        v[k] = 0.0
        v[k + 1] = head + norm
        for i in range(k + 2, p):
            v[i] = m[k, i]
        # I - tau v v'
        tau, start = 2.0 / (v[k + 1] * v[k + 1] + rest), (k + 1) // LANES
        _combine(v, k + 1, p, matrix.lanes, start, u_lanes)
        half = 0.0
        for i in range(k + 1, p):
            half += u[i] * v[i]
        half *= 0.5 * tau
        for c in range(start, len(u_lanes)):
            u_lanes[c] = tau * (u_lanes[c] - half * v_lanes[c])
        for i in range(k + 1, p):
            of_v, of_u = v[i], u[i]
            for c in range(start, len(u_lanes)):
                matrix.lanes[i, c] -= of_v * u_lanes[c] + of_u * v_lanes[c]
        _combine(v, k + 1, p, x.lanes, 0, u_lanes)
        for i in range(k + 1, p):
            of_v = tau * v[i]
            for c in range(len(u_lanes)):
                x.lanes[i, c] -= of_v * u_lanes[c]
    for i in range(p):
        t.diagonal[i] = m[i, i]
    if p > 1:
        t.beside[p - 2] = m[p - 2, p - 1]


@inner_kernel
def reduce_both(p, n, w, b, x, t, pair):
    """Fill ``x`` (of zeros) and ``t``; Sigma_w and Sigma_b in ``w`` and ``b`` are overwritten.

    ``pair`` has room for two vectors of a matrix's side, as floats and as lanes.

    Returns
    -------
    tuple of (float, float, bool)
        log|Sigma_w|, log of the determinant of the last rows of Sigma_b, and whether both are
        positive definite.
    """
    for i in range(n):
        x.floats[i, i] = 1.0
    log_w, floats = 0.0, pair.floats
    log_b, positive = _eliminate_last(p, n, b, x)
    if positive:
        log_w, positive = _eliminate_first(p, w, b, x, floats[0], floats[1])
    if positive:
        _sort_rows(p, b, x, floats[0])
        # L^-1 V L^-T = L^-1 (L^-1 V)'
        transpose(p, b.floats, w.floats)
        product(p, p, x.floats, w.lanes, b.lanes)
        floats[:, :] = 0.0
        _reflect(p, b, x, t, pair)
    return log_w, log_b, positive


@inner_kernel
def factorise_sum(t, between, within, ratio, inverse):
    """Factorise between T + within I = L D L' in all lanes: l_(i+1, i) and 1 / D_i.

    Returns
    -------
    tuple of (lanes, bool)
        The log determinant, and whether the matrix is positive definite in all lanes.
    """
    p = len(t.diagonal)
    pivot = between * t.diagonal[0] + within
    log_det, whole = 0.0 * pivot, 1.0 + 0.0 * pivot
    for i in range(p):
        if i > 0:
            beside = between * t.beside[i - 1]
            ratio[i - 1] = beside * inverse[i - 1]
            pivot = between * t.diagonal[i] + within - beside * ratio[i - 1]
        if not pivot > 0.0:
            return log_det, False
        inverse[i] = 1.0 / pivot
        whole = whole * pivot
        if i % 2 == 1 or i == p - 1:  # one logarithm per two pivots
            log_det += math.log(whole)
            whole = 1.0 + 0.0 * pivot
    return log_det, True
