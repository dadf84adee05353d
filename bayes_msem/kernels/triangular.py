"""Cholesky factors of small matrices, of floats or lanes, and their reverse."""

from __future__ import annotations

import math

from bayes_msem.kernels.compile import kernel
from bayes_msem.kernels.lanes import room


@kernel
def cholesky(matrix, n):
    """Overwrite the lower triangle by the Cholesky factor, the rest by zeros."""
    for i in range(n):
        for k in range(i + 1):
            total = matrix[i, k]
            for m in range(k):
                total -= matrix[i, m] * matrix[k, m]
            if i == k:
                if not total > 0.0:
                    return False
                matrix[i, i] = math.sqrt(total)
            else:
                matrix[i, k] = total / matrix[k, k]
        for k in range(i + 1, n):
            matrix[i, k] = 0.0
    return True


@kernel
def cholesky_back(chol, n, d_chol):
    """Overwrite ``d_chol`` by the symmetric gradient with respect to the matrix.

    With P = lower triangle of L' dL (diagonal halved), dA = L^-T P L^-1, symmetrised.
    """
    p = room(chol, n, n)
    p[:, :] = 0.0
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
