"""Kernel of the Gaussian log-likelihood of groups of cross products.

Every group g has outcomes with covariance ``S_g = between_g Sigma_b + within_g Sigma_w`` and mean
``C d``, and is known by its weight m_g (a count) and its cross products
``M_g = sum s s'`` of ``s = (y, z, 1, x, w)``. With E = [I, -C] and Q_g = E M_g E',

    ll = constant - 1/2 sum_g [ m_g (P_g log 2 pi + log |S_g|) + tr(S_g^-1 Q_g) ]

and, with W = S_g^-1 and R_g = M_g[y, d] - C M_g[d, d],

    d/dS_g = -1/2 m_g W + 1/2 W Q_g W ,     d/dC = sum_g W R_g .

The pooled within-cluster group (between_g = 0) concerns the first p outcomes only. Two-level data
need one group per distinct cluster size, so the cost does not depend on the number of rows and
hardly on the number of clusters.
"""

from __future__ import annotations

import math

import numpy as np

from bayes_msem.kernels.compile import kernel

LOG_2PI = float(np.log(2.0 * np.pi))


@kernel
def invert(matrix, n, inverse):
    """Overwrite ``matrix`` by its Cholesky factor, fill ``inverse``; return log det or NaN-flag.

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


@kernel
def residual_products(n, n_outcomes, n_design, cross, c, residual, q):
    """Fill ``residual`` = M_yd - C M_dd (n x D) and ``q`` = E M E' (n x n)."""
    for i in range(n):
        for d in range(n_design):
            total = cross[i, n_outcomes + d]
            for e in range(n_design):
                total -= c[e, i] * cross[n_outcomes + e, n_outcomes + d]
            residual[i, d] = total
    for i in range(n):
        for k in range(i + 1):
            total = cross[i, k]
            for d in range(n_design):
                total -= c[d, k] * residual[i, d] + c[d, i] * cross[k, n_outcomes + d]
            q[i, k] = total
            q[k, i] = total


@kernel
def group_log_likelihood(
    p, weight, between, within, cross, sigma_b, sigma_w, c, d_sigma_b, d_sigma_w, d_c
):
    """Sum over groups; adds to the gradients with respect to Sigma_b, Sigma_w and C (D x P).

    Returns
    -------
    float
        The log-likelihood without its constant; minus infinity where some covariance matrix is
        not positive definite.
    """
    n_outcomes, n_design = sigma_b.shape[0], c.shape[0]
    s, w = np.empty((n_outcomes, n_outcomes)), np.empty((n_outcomes, n_outcomes))
    q, wq = np.empty((n_outcomes, n_outcomes)), np.empty((n_outcomes, n_outcomes))
    residual = np.empty((n_outcomes, n_design))
    total = 0.0
    for g in range(len(weight)):
        n = p if between[g] == 0.0 else n_outcomes
        for i in range(n):
            for k in range(n):
                s[i, k] = between[g] * sigma_b[i, k] + within[g] * sigma_w[i, k]
        log_det, positive = invert(s, n, w)
        if not positive:
            return -np.inf
        residual_products(n, n_outcomes, n_design, cross[g], c, residual, q)
        total += weight[g] * (n * LOG_2PI + log_det)
        for i in range(n):
            for k in range(n):
                wq[i, k] = 0.0
            for m in range(n):
                factor = w[i, m]
                for k in range(n):
                    wq[i, k] += factor * q[m, k]
            total += wq[i, i]
        for i in range(n):
            for k in range(i + 1):
                value = -weight[g] * w[i, k]
                for m in range(n):
                    value += wq[i, m] * w[k, m]
                value *= 0.5
                d_sigma_b[i, k] += between[g] * value
                d_sigma_w[i, k] += within[g] * value
                if i != k:
                    d_sigma_b[k, i] += between[g] * value
                    d_sigma_w[k, i] += within[g] * value
            for m in range(n):
                factor = w[i, m]
                for d in range(n_design):
                    d_c[d, i] += factor * residual[m, d]
    return -0.5 * total
