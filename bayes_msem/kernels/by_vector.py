"""The likelihood of complete data whose only random coefficients are intercepts: wide models.

The same likelihood as in kernels.by_size, which factorises one covariance matrix per cluster size.
Here all sizes share one reduction of Sigma_w and Sigma_b (kernels.two_matrices), and the data are
vectors (y, z, d) r = 1, 2, ...: for each group of data.moments as many as its cross products have
rank. With e_r = y_r - C d_r, S_r = between_r Sigma_b + within_r Sigma_w, X S_r X' = T_r, and
f_r = T_r^-1 X e_r,

    ll = constant - 1/2 sum_g m_g (P_g log 2 pi + log|S_g|) - 1/2 sum_r (X e_r)' f_r
    d/dSigma_b = 1/2 X' [ sum_r between_r f_r f_r' - sum_g m_g between_g T_g^-1 ] X
    d/dSigma_w = 1/2 X' [ sum_r within_r f_r f_r' - sum_g m_g within_g T_g^-1 ] X   (rows of y)
    d/dC = X' sum_r f_r d_r' .

Vectors are in lanes, and so are sizes. between_r is 0 or 1; where it is 0 the vector has no z.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from bayes_msem.kernels.compile import inner_kernel, kernel, part_kernel, stacked
from bayes_msem.kernels.lanes import LANES, across, as_lanes, grouped
from bayes_msem.kernels.layout import unpack
from bayes_msem.kernels.level_two import LOG_2PI
from bayes_msem.kernels.outcome_moments import (
    centred,
    centred_back,
    outcome_moments,
    outcome_moments_back,
)
from bayes_msem.kernels.statistics import by_vector
from bayes_msem.kernels.two_matrices import (
    SIDE,
    Square,
    Tridiagonal,
    factorise_sum,
    product,
    reduce_both,
    transpose,
)


class Room(NamedTuple):
    """Room for one likelihood and its gradient.

    Attributes
    ----------
    matrices
        Five matrices, as floats and as lanes.
    pair
        Two vectors of a matrix's side, in the same way.
    t
        T, (p,).
    vectors
        e_r and f_r, (2, side, batches of vectors).
    factors
        l and 1 / D of T_g, (2, batches of sizes, p).
    columns
        Two numbers for every batch, of vectors or of sizes.
    """

    matrices: Square
    pair: Square
    t: Tridiagonal
    vectors: Any
    factors: Any
    columns: Any


@inner_kernel
def _residuals(data, c, e):
    """Fill e_r = y_r - C d_r."""
    for i in range(c.shape[0]):
        for r in range(e.shape[1]):
            total = data.y[i, r]
            for d in range(c.shape[1]):
                total -= c[i, d] * data.d[d, r]
            e[i, r] = total


@inner_kernel
def _solve(p, data, t, factors, f):
    """Overwrite X e_r by f_r; return the sum of their products and whether all T_r are positive."""
    n, total, ratio, inverse = len(data.y), 0.0, factors[0, 0], factors[1, 0]
    for r in range(f.shape[1]):
        positive = factorise_sum(t, data.between[r], data.within[r], ratio, inverse)[1]
        if not positive:
            return total, False
        square = f[0, r] * f[0, r] * inverse[0]
        for i in range(1, p):
            f[i, r] -= ratio[i - 1] * f[i - 1, r]
            square += f[i, r] * f[i, r] * inverse[i]
        f[p - 1, r] *= inverse[p - 1]
        for i in range(p - 2, -1, -1):
            f[i, r] = f[i, r] * inverse[i] - ratio[i] * f[i + 1, r]
        for i in range(p, n):  # z, whose part of T_r is the identity
            square += f[i, r] * f[i, r]
        total += across(square)
    return total, True


@inner_kernel
def _of_sizes(p, n, data, t, log_dets, factors, columns, of_w, of_b):
    """Fill lower triangles with minus sum_g m_g T_g^-1 times within_g and between_g.

    Returns
    -------
    tuple of (float, bool)
        sum_g m_g (P_g log 2 pi + log|S_g|), and whether all S_g are positive definite.
    """
    (log_w, log_b), ratio, inverse, total = log_dets, factors[0], factors[1], 0.0
    for g in range(len(data.weight)):
        between = data.between_of[g]
        log_det, positive = factorise_sum(t, between, data.within_of[g], ratio[g], inverse[g])
        if not positive:
            return total, False
        log_det += log_w + p * LOG_2PI + between * (log_b + (n - p) * LOG_2PI)
        total += across(data.weight[g] * log_det)
    for i in range(p - 1, -1, -1):
        _column_of_sizes(i, p, data, ratio, inverse, columns, of_w[i], of_b[i])
    total_b = 0.0
    for g in range(len(data.weight)):
        total_b += across(data.weight[g] * data.between_of[g])
    for i in range(p, n):
        of_b[i, i] = -total_b
    return total, True


@inner_kernel
def _column_of_sizes(i, p, data, ratio, inverse, columns, of_w, of_b):
    """Fill row i of the sums, up to the diagonal; called from the last row to the first.

    (T^-1)_ii = 1 / D_i + l_(i+1, i)^2 (T^-1)_(i+1, i+1), and up from there
    (T^-1)_mi = -l_(m+1, m) (T^-1)_(m+1, i). ``columns`` has the last entry and the last diagonal.
    """
    for g in range(len(data.weight)):
        entry = inverse[g, i]
        if i < p - 1:
            entry += ratio[g, i] * ratio[g, i] * columns[1, g]
        columns[0, g] = entry
        columns[1, g] = entry
    for m in range(i, -1, -1):
        sum_w = 0.0 * columns[0, 0]
        sum_b = sum_w
        for g in range(len(data.weight)):
            if m < i:
                columns[0, g] *= -ratio[g, m]
            entry = data.weight[g] * columns[0, g]
            sum_w += data.within_of[g] * entry
            sum_b += data.between_of[g] * entry
        of_w[m] = -across(sum_w)
        of_b[m] = -across(sum_b)


@inner_kernel
def _of_vectors(n, data, f, scaled, of_w, of_b):
    """Add the sums of f_r f_r' times within_r and between_r to lower triangles; make them whole."""
    n_batches = f.shape[1]
    for i in range(n):
        for r in range(n_batches):
            scaled[0, r] = data.within[r] * f[i, r]
            scaled[1, r] = data.between[r] * f[i, r]
        for k in range(0, i + 1, 2):  # rows behind the last are zeros
            w0, b0 = scaled[0, 0] * f[k, 0], scaled[1, 0] * f[k, 0]
            w1, b1 = scaled[0, 0] * f[k + 1, 0], scaled[1, 0] * f[k + 1, 0]
            for r in range(1, n_batches):
                row0, row1 = f[k, r], f[k + 1, r]
                w0 += scaled[0, r] * row0
                b0 += scaled[1, r] * row0
                w1 += scaled[0, r] * row1
                b1 += scaled[1, r] * row1
            of_w[i, k] += across(w0)
            of_b[i, k] += across(b0)
            if k < i:
                of_w[i, k + 1] += across(w1)
                of_b[i, k + 1] += across(b1)
        for k in range(i):
            of_w[k, i] = of_w[i, k]
            of_b[k, i] = of_b[i, k]


@inner_kernel
def _mean_gradient(n, data, x, f, d_c):
    """Add X' sum_r f_r d_r' to the gradient of C."""
    for d in range(d_c.shape[1]):
        for i in range(n):
            total = f[i, 0] * data.d[d, 0]
            for r in range(1, f.shape[1]):
                total += f[i, r] * data.d[d, r]
            factor = across(total)
            for o in range(n):
                d_c[o, d] += x[i, o] * factor


@inner_kernel
def _add_half(n, matrix, gradient):
    for i in range(n):
        for k in range(i + 1):
            gradient[i, k] += 0.5 * matrix[i, k]


@part_kernel
def _room(p, n, data):
    """Return the :class:`Room` of zeros, in one allocation.

    Many would cost as much as the numbers of a small model.
    """
    n_sizes, n_batches, side = len(data.weight), len(data.between), (n + SIDE - 1) // SIDE * SIDE
    of_matrices, of_pair, of_t = 5 * side * side, 2 * side, 2 * p
    of_vectors, of_factors = 2 * side * n_batches * LANES, 2 * n_sizes * p * LANES
    length = max(n_sizes, n_batches)
    zeros = np.zeros(of_matrices + of_pair + of_t + of_vectors + of_factors + 2 * length * LANES)
    matrices, start = stacked(zeros, 0, (5, side, side)), of_matrices
    pair, start = stacked(zeros, start, (2, side)), start + of_pair
    t, start = stacked(zeros, start, (2, p)), start + of_t
    vectors, start = stacked(zeros, start, (2, side, n_batches, LANES)), start + of_vectors
    factors, start = stacked(zeros, start, (2, n_sizes, p, LANES)), start + of_factors
    columns = stacked(zeros, start, (2, length, LANES))
    return Room(
        Square(matrices, grouped(matrices)),
        Square(pair, grouped(pair)),
        Tridiagonal(t[0], t[1]),
        as_lanes(vectors),
        as_lanes(factors),
        as_lanes(columns),
    )


@part_kernel
def _vectors(p, statistics, sigma_w, sigma_b, c, gradients):
    """Sum over vectors and sizes; add to the gradients with respect to Sigma_w, Sigma_b and C.

    Those of covariance matrices are lower triangles. Returns the log-likelihood without its
    constant; minus infinity where some covariance matrix is not positive definite.
    """
    (d_sigma_w, d_sigma_b, d_c), (n, n_design) = gradients, c.shape
    data = by_vector(statistics, n, n_design)
    room = _room(p, n, data)
    w, b, x, back, between = (
        Square(room.matrices.floats[0], room.matrices.lanes[0]),
        Square(room.matrices.floats[1], room.matrices.lanes[1]),
        Square(room.matrices.floats[2], room.matrices.lanes[2]),
        room.matrices.floats[3],
        room.matrices.lanes[4],
    )
    for i in range(n):
        for k in range(n):
            w.floats[i, k] = sigma_w[i, k]
            b.floats[i, k] = sigma_b[i, k]
    log_w, log_b, positive = reduce_both(p, n, w, b, x, room.t, room.pair)
    if not positive:
        return -np.inf
    e, f = room.vectors[0], room.vectors[1]
    _residuals(data, c, e)
    product(n, n, x.floats, e, f)
    squares, positive = _solve(p, data, room.t, room.factors, f)
    if not positive:
        return -np.inf
    # Sigma_w and Sigma_b are not needed any more: in their place what stands between X' and X
    w.floats[:, :] = 0.0
    b.floats[:, :] = 0.0
    total, positive = _of_sizes(
        p, n, data, room.t, (log_w, log_b), room.factors, room.columns, w.floats, b.floats
    )
    if not positive:
        return -np.inf
    _of_vectors(n, data, f, room.columns, w.floats, b.floats)
    _mean_gradient(n, data, x.floats, f, d_c)
    transpose(n, x.floats, back)
    product(n, n, b.floats, x.lanes, between)
    product(n, n, back, between, b.lanes)
    _add_half(n, b.floats, d_sigma_b)
    product(p, p, w.floats, x.lanes, between)
    product(p, p, back, between, w.lanes)
    _add_half(p, w.floats, d_sigma_w)
    return -0.5 * (total + squares)


@kernel
def value_and_gradient(x, ints, floats, statistics):
    """Log p(y, z | theta) and its gradient.

    Parameters
    ----------
    x : (n_theta,) array
        Sampled parameters (see structure.parameters) and constrained rows.
    ints, floats
        A packed structure (kernels.layout).
    statistics
        Packed statistics by size, as vectors.

    Returns
    -------
    tuple of (float, (n_theta,) array)
    """
    structure, d_x = unpack(ints, floats), np.zeros(len(x))
    top, effects, place, sigma_w, sigma_b, c = outcome_moments(x, structure)
    n = len(c)
    constant, center = centred(statistics, c)
    of_sigma, d_c = np.zeros((2, n, n)), np.zeros(c.shape)
    gradients = (of_sigma[0], of_sigma[1], d_c)
    value = _vectors(structure.within.n, statistics, sigma_w, sigma_b, c, gradients)
    if value == -np.inf:
        return value, d_x
    centred_back(center, d_c)
    outcome_moments_back(x, structure, top, effects, place, gradients, d_x)
    return value + constant, d_x
