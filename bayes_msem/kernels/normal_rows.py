"""Log densities of normal rows at many draws.

Rows y_i of a cluster are independent in every draw, y_i ~ N(C d_i + s, L L'), so that

    log p(y_i) = k - 1/2 |L^-1 (y_i - C d_i - s)|^2 ,   k = -p/2 log(2 pi) - log|L| .
"""

from __future__ import annotations

import numpy as np

from bayes_msem.kernels.compile import kernel

__all__ = ["normal_rows"]


@kernel
def normal_rows(coefficients, shift, inverse_root, constant, y, design):
    """Log densities (n, S) of n rows at S draws.

    Parameters
    ----------
    coefficients, shift : (S, p, D) and (S, p) arrays
        C and s.
    inverse_root, constant : (S, p, p) and (S,) arrays
        L^-1, of which the lower triangle is read, and k.
    y, design : (n, p) and (n, D) arrays
        The rows.
    """
    (n_draws, p, n_d), n = coefficients.shape, len(y)
    result, residual = np.empty((n, n_draws)), np.empty(p)
    for s in range(n_draws):
        for i in range(n):
            for k in range(p):
                value = y[i, k] - shift[s, k]
                for d in range(n_d):
                    value -= coefficients[s, k, d] * design[i, d]
                residual[k] = value
            total = 0.0
            for k in range(p):
                value = 0.0
                for m in range(k + 1):
                    value += inverse_root[s, k, m] * residual[m]
                total += value * value
            result[i, s] = constant[s] - 0.5 * total
    return result
