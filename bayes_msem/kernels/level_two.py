"""Level 2 of a batch of clusters, some of whose cluster-level variables may be missing.

A missing z is integrated out by leaving it out: given c = (observed z, b) the linear effects a are
conditioned on less (see kernels.conditioning). To keep all lanes in step, a missing z is not
removed but made independent of everything, with variance 1 and deviation 0: its row of B is then
zero, and it adds nothing to the density of c. Kernels work on lanes; ``condition_batch`` on floats
too.
"""

from __future__ import annotations

from bayes_msem.kernels.compile import kernel
from bayes_msem.kernels.conditioning import condition, condition_back
from bayes_msem.kernels.groups import LOG_2PI
from bayes_msem.kernels.lanes import across


@kernel
def deviations(n_a, n_z, z, seen, effects, c_b, w, r_c):
    """Fill r = (z, b) - E (z, b), with zeros where z is missing or there is no cluster."""
    for g in range(r_c.shape[0]):
        for i in range(r_c.shape[1]):
            value = z[g, i] if i < n_z else effects[g, i - n_z]
            for d in range(w.shape[1]):
                value -= c_b[d, n_a + i] * w[g, d]
            r_c[g, i] = value * w[g, 0]
            if i < n_z:
                r_c[g, i] = r_c[g, i] * seen[g, i]


@kernel
def deviations_back(n_a, n_z, seen, w, d_r, d_effects, d_c_u):
    """Reverse of ``deviations``."""
    for g in range(d_r.shape[0]):
        for i in range(d_r.shape[1]):
            if i >= n_z:
                d_effects[g, i - n_z] += d_r[g, i]
            else:
                d_r[g, i] = d_r[g, i] * seen[g, i]
            for d in range(w.shape[1]):
                d_c_u[d, n_a + i] -= d_r[g, i] * w[g, d]


@kernel
def condition_batch(omega, n_a, seen, omega_l, inverse_c, b_matrix, v):
    """Fill Omega (as lanes, missing z independent), Omega_cc^-1, B and V; as ``condition``."""
    n = omega.shape[0]
    n_z = len(seen)
    for i in range(n):
        for k in range(n):
            omega_l[i, k] = omega[i, k]
            if n_a <= i and i < n_a + n_z:
                omega_l[i, k] = omega_l[i, k] * seen[i - n_a]
            if n_a <= k and k < n_a + n_z:
                omega_l[i, k] = omega_l[i, k] * seen[k - n_a]
    for i in range(n_z):
        omega_l[n_a + i, n_a + i] += 1.0 - seen[i]
    return condition(omega_l, n_a, inverse_c, b_matrix, v)


@kernel
def condition_batch_back(n_a, seen, b_matrix, inverse_c, d_b_matrix, d_v, d_omega_l, d_omega):
    """Reverse of ``condition_batch``: add to ``d_omega`` (floats), and clear the lanes.

    ``d_omega_l`` comes with what else is known about the gradient of ``omega_l``.
    """
    condition_back(n_a, b_matrix, inverse_c, d_b_matrix, d_v, d_omega_l)
    n, n_z = d_omega.shape[0], len(seen)
    for i in range(n):
        for k in range(n):
            if n_a <= i and i < n_a + n_z:
                d_omega_l[i, k] = d_omega_l[i, k] * seen[i - n_a]
            if n_a <= k and k < n_a + n_z:
                d_omega_l[i, k] = d_omega_l[i, k] * seen[k - n_a]
            d_omega[i, k] += across(d_omega_l[i, k])
    d_omega_l[:, :] = 0.0
    d_b_matrix[:, :] = 0.0
    d_v[:, :] = 0.0


@kernel
def given_density(n_a, seen, exists, r, inverse_c, log_det, d_r, d_omega_l, scaled):
    """Log density of c, lane by lane; add to the gradients of r and of Omega.

    ``exists`` is 1 where there is a cluster, else 0.
    """
    n_c, n_z = len(r), len(seen)
    # of the missing, the inverse has a 1 on the diagonal, but they count for nothing
    count = exists * (n_c - n_z)
    for i in range(n_z):
        count += seen[i]
    squares = 0.0 * exists
    for i in range(n_c):
        inner = 0.0 * exists
        for k in range(n_c):
            inner += inverse_c[i, k] * r[k]
        scaled[i] = inner
        squares += inner * r[i]
        d_r[i] -= inner
    for i in range(n_c):
        for k in range(n_c):
            d_omega_l[n_a + i, n_a + k] += 0.5 * (scaled[i] * scaled[k] - exists * inverse_c[i, k])
    return -0.5 * (squares + exists * log_det + count * LOG_2PI)
