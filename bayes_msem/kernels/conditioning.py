"""Level 2 as a normal distribution: conditioning on what is given, and densities.

With u = (a, c) and covariance matrix Omega, a given c has the covariance matrix
V = Omega_aa - B Omega_ca and its mean changes by B (c - E c), B = Omega_ac Omega_cc^-1.
"""

from __future__ import annotations

import numpy as np

from bayes_msem.kernels.compile import kernel
from bayes_msem.kernels.groups import LOG_2PI, invert
from bayes_msem.kernels.lanes import LANES, across, as_lanes, room


@kernel
def condition(omega, n_a, inverse_c, b_matrix, v):
    """Fill Omega_cc^-1, B and V; return log|Omega_cc| and whether it is positive definite."""
    n_c = omega.shape[0] - n_a
    scratch = room(omega, n_c, n_c)
    for i in range(n_c):
        for k in range(n_c):
            scratch[i, k] = omega[n_a + i, n_a + k]
    log_det, positive = invert(scratch, n_c, inverse_c)
    if not positive:
        return log_det, False
    for q in range(n_a):
        for i in range(n_c):
            total = 0.0
            for k in range(n_c):
                total += omega[q, n_a + k] * inverse_c[k, i]
            b_matrix[q, i] = total
    for q in range(n_a):
        for s in range(n_a):
            total = omega[q, s]
            for k in range(n_c):
                total -= b_matrix[q, k] * omega[n_a + k, s]
            v[q, s] = total
    return log_det, True


@kernel
def condition_back(n_a, b_matrix, inverse_c, d_b_matrix, d_v, d_omega):
    """Add to ``d_omega`` what the gradients of B and V say."""
    n_c = d_omega.shape[0] - n_a
    # off-diagonal block: d B Omega_cc^-1 - 2 dV B, split evenly over both triangles
    half = room(d_omega, n_a, n_c)
    for q in range(n_a):
        for i in range(n_c):
            total = 0.0
            for k in range(n_c):
                total += d_b_matrix[q, k] * inverse_c[k, i]
            for s in range(n_a):
                total -= 2.0 * d_v[q, s] * b_matrix[s, i]
            d_omega[q, n_a + i] += 0.5 * total
            d_omega[n_a + i, q] += 0.5 * total
            half[q, i] = total
    for q in range(n_a):
        for s in range(n_a):
            d_omega[q, s] += d_v[q, s]
    # Omega_cc: -B' (dB Omega_cc^-1 - dV B), symmetrised
    for q in range(n_a):
        for i in range(n_c):
            total = half[q, i]
            for s in range(n_a):
                total += d_v[q, s] * b_matrix[s, i]
            half[q, i] = total
    for i in range(n_c):
        for k in range(n_c):
            total = 0.0
            for q in range(n_a):
                total += b_matrix[q, i] * half[q, k]
            d_omega[n_a + i, n_a + k] -= 0.5 * total
            d_omega[n_a + k, n_a + i] -= 0.5 * total


@kernel
def normal_density(sign, first, n, omega, n_clusters, r, d_omega, d_r):
    """Add sign times sum_j log N(r_j; 0, Omega[first:, first:]) and its gradients.

    ``r`` and ``d_r`` are lanes (batches, n_c) whose last n columns matter; r is zero where there is
    no cluster.

    Returns
    -------
    tuple of (float, bool)
        The value, and whether the covariance matrix is positive definite.
    """
    block, inverse = np.empty((n, n)), np.empty((n, n))
    squares, scaled = as_lanes(np.zeros((n, n, LANES))), as_lanes(np.empty((n, LANES)))
    offset = r.shape[1] - n
    for i in range(n):
        for k in range(n):
            block[i, k] = omega[first + i, first + k]
    log_det, positive = invert(block, n, inverse)
    if not positive:
        return -np.inf, False
    total = 0.0
    for g in range(r.shape[0]):
        for i in range(n):
            inner = 0.0
            for k in range(n):
                inner += inverse[i, k] * r[g, offset + k]
            scaled[i] = inner
        for i in range(n):
            total += scaled[i] * r[g, offset + i]
            d_r[g, offset + i] -= sign * scaled[i]
            for k in range(n):
                squares[i, k] += scaled[i] * scaled[k]
    for i in range(n):
        for k in range(n):
            d_omega[first + i, first + k] += (
                0.5 * sign * (across(squares[i, k]) - n_clusters * inverse[i, k])
            )
    return -0.5 * sign * (across(total) + n_clusters * (n * LOG_2PI + log_det)), True
