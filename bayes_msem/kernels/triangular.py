"""Factors of small symmetric matrices, of floats or lanes: the only ones of all kernels.

``factorise`` is the Cholesky factorisation of positive definite matrices, ``semidefinite_root`` its
sibling for matrices of any rank. All loops stand here, so that there is one rule for what is
positive definite: every pivot is above zero.
"""

from __future__ import annotations

import math

from bayes_msem.kernels.compile import inner_kernel, kernel
from bayes_msem.kernels.lanes import room, zero_unless


@inner_kernel
def factorise(matrix, n):
    """Overwrite the lower triangle by the Cholesky factor L, its diagonal by 1 / L_ii.

    Returns
    -------
    tuple of (float, bool)
        The log determinant, and whether the matrix is positive definite.
    """
    log_det, product = 0.0, 1.0
    for i in range(n):
        for k in range(i):
            total = matrix[i, k]
            for m in range(k):
                total -= matrix[i, m] * matrix[k, m]
            matrix[i, k] = total * matrix[k, k]
        total = matrix[i, i]
        for m in range(i):
            total -= matrix[i, m] * matrix[i, m]
        if not total > 0.0:
            return log_det, False
        product *= total
        if i % 2 == 1 or i == n - 1:  # one logarithm per two pivots
            log_det += math.log(product)
            product = 1.0
        # the diagonal holds reciprocals: one division per row
        matrix[i, i] = 1.0 / math.sqrt(total)
    return log_det, True


@inner_kernel
def cholesky(matrix, n):
    """Overwrite a matrix by its Cholesky factor, zeros above.

    Returns
    -------
    tuple of (float, bool)
        The log determinant, and whether the matrix is positive definite.
    """
    log_det, positive = factorise(matrix, n)
    for i in range(n):
        matrix[i, i] = 1.0 / matrix[i, i]
        for k in range(i + 1, n):
            matrix[i, k] = 0.0
    return log_det, positive


@inner_kernel
def invert(matrix, n, inverse):
    """Fill ``inverse``; ``matrix`` is overwritten.

    Returns
    -------
    tuple of (float, bool)
        The log determinant, and whether the matrix is positive definite.
    """
    log_det, positive = factorise(matrix, n)
    if not positive:
        return log_det, False
    for k in range(n):
        inverse[k, k] = matrix[k, k]
        for i in range(k + 1, n):
            total = 0.0
            for m in range(k, i):
                total += matrix[i, m] * inverse[m, k]
            inverse[i, k] = -total * matrix[i, i]
    # inverse now holds L^-1 in its lower triangle; W = L^-T L^-1
    for i in range(n):
        for k in range(i + 1):
            total = 0.0
            for m in range(i, n):
                total += inverse[m, i] * inverse[m, k]
            matrix[i, k] = total
    for i in range(n):
        for k in range(i + 1):
            inverse[i, k] = matrix[i, k]
            inverse[k, i] = matrix[i, k]
    return log_det, True


@inner_kernel
def semidefinite_root(matrix, n, root):
    """Fill ``root`` (lower triangular) with root root' = matrix, for a semidefinite matrix."""
    for i in range(n):
        for k in range(n):
            root[i, k] = 0.0
    for k in range(n):
        pivot = matrix[k, k]
        for m in range(k):
            pivot -= root[k, m] * root[k, m]
        # rounding leaves pivots of this size where the rank is exhausted
        inverse = zero_unless(pivot, 1e-13 * matrix[k, k], 1.0 / math.sqrt(pivot))
        root[k, k] = zero_unless(pivot, 1e-13 * matrix[k, k], pivot * inverse)
        for i in range(k + 1, n):
            total = matrix[i, k]
            for m in range(k):
                total -= root[i, m] * root[k, m]
            root[i, k] = total * inverse


@kernel
def cholesky_back(chol, n, d_chol):
    """Overwrite ``d_chol`` by the symmetric gradient with respect to the matrix."""
    cholesky_back_with(chol, n, d_chol, room(chol, n, n))


@inner_kernel
def cholesky_back_with(chol, n, d_chol, p):
    """Do what ``cholesky_back`` does, with scratch p (n x n).

    With P = lower triangle of L' dL (diagonal halved), dA = L^-T P L^-1, symmetrised.
    """
    for i in range(n):
        for k in range(n):
            p[i, k] = 0.0
    for i in range(n):
        for k in range(i + 1):
            total = 0.0
            for m in range(i, n):
                total += chol[m, i] * d_chol[m, k]
            p[i, k] = 0.5 * total if i == k else total
    for column in range(n):  # L^-T P
        for i in range(n - 1, -1, -1):
            total = p[i, column]
            for m in range(i + 1, n):
                total -= chol[m, i] * p[m, column]
            p[i, column] = total / chol[i, i]
    for row in range(n):  # (.) L^-1
        for k in range(n - 1, -1, -1):
            total = p[row, k]
            for m in range(k + 1, n):
                total -= p[row, m] * chol[m, k]
            p[row, k] = total / chol[k, k]
    for i in range(n):
        for k in range(i + 1):
            value = 0.5 * (p[i, k] + p[k, i])
            d_chol[i, k] = value
            d_chol[k, i] = value
