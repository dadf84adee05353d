"""The prior of the effects given cluster-level variables, without dividing by what may vanish.

Level 2 is u = (a, z, b) with covariance matrix Omega. With c = (z, b) and Omega_cc = R R' (R lower
triangular) write c = E c + R (e, s): e = R_zz^-1 (z - E z) is known, and given it

    b = E b + R_bz e + L s ,   s ~ N(0, I) ,   L = R_bb ,
    a = E a + U_z e + U_b s + N(0, V) ,   U = Omega_ac R^-T ,   V = Omega_aa - U U' .

L and U_b go to zero with the standard deviations of b; nothing is divided by them except inside R,
whose rows have their scale. Missing z are made independent with variance 1 (see
kernels.level_two); with n_z = 0 nothing is conditioned on. Everything here is in lanes.
"""

from __future__ import annotations

from bayes_msem.kernels.compile import kernel
from bayes_msem.kernels.lanes import across, room
from bayes_msem.kernels.triangular import cholesky, cholesky_back


@kernel
def whiten(omega, n_z, seen, root, u, v):
    """Fill R, U and V; return whether Omega_cc is positive definite."""
    n_a, n_c = u.shape
    first = omega.shape[0] - n_c
    for i in range(n_c):
        for k in range(n_c):
            root[i, k] = omega[first + i, first + k]
            if i < n_z:
                root[i, k] = root[i, k] * seen[i]
            if k < n_z:
                root[i, k] = root[i, k] * seen[k]
        if i < n_z:
            root[i, i] += 1.0 - seen[i]
    if not cholesky(root, n_c):
        return False
    for q in range(n_a):
        for i in range(n_c):
            u[q, i] = omega[q, first + i]
            if i < n_z:
                u[q, i] = u[q, i] * seen[i]
            total = u[q, i]
            for m in range(i):
                total -= u[q, m] * root[i, m]
            u[q, i] = total / root[i, i]
    for q in range(n_a):
        for s in range(n_a):
            v[q, s] = omega[q, s]
            total = v[q, s]
            for i in range(n_c):
                total -= u[q, i] * u[s, i]
            v[q, s] = total
    return True


@kernel
def whiten_back(n_z, seen, root, u, d_root, d_u, d_v, d_omega):
    """Reverse of ``whiten``: add to ``d_omega`` (floats, symmetric), and clear the lanes."""
    n_a, n_c = u.shape
    first = d_omega.shape[0] - n_c
    for q in range(n_a):
        for s in range(n_a):
            d_omega[q, s] += across(d_v[q, s])
            for i in range(n_c):
                d_u[q, i] -= 2.0 * d_v[q, s] * u[s, i]
    for q in range(n_a):
        for k in range(n_c - 1, -1, -1):  # d_u R^-1, the gradient of Omega_ac
            total = d_u[q, k]
            for m in range(k + 1, n_c):
                total -= d_u[q, m] * root[m, k]
            d_u[q, k] = total / root[k, k]
    for i in range(n_c):
        for k in range(i + 1):
            for q in range(n_a):
                d_root[i, k] -= d_u[q, i] * u[q, k]
    cholesky_back(root, n_c, d_root)
    for i in range(n_c):
        for k in range(n_c):
            value = d_root[i, k]
            if i < n_z:
                value = value * seen[i]
            if k < n_z:
                value = value * seen[k]
            d_omega[first + i, first + k] += across(value)
        for q in range(n_a):
            value = d_u[q, i]
            if i < n_z:
                value = value * seen[i]
            half = 0.5 * across(value)
            d_omega[q, first + i] += half
            d_omega[first + i, q] += half
    d_root[:, :] = 0.0
    d_u[:, :] = 0.0
    d_v[:, :] = 0.0


@kernel
def given_means(n_z, seen, root, u, c_b, w, z, e, mean):
    """Fill e, and the means of (a, b) given z, of a batch."""
    n_a, n_c = u.shape
    first, n_b = c_b.shape[1] - n_c, n_c - n_z
    for i in range(n_z):
        total = z[i]
        for d in range(len(w)):
            total -= c_b[d, first + i] * w[d]
        total = total * seen[i]
        for m in range(i):
            total -= root[i, m] * e[m]
        e[i] = total / root[i, i]
    for q in range(n_a):
        total = c_b[0, q] * w[0]
        for d in range(1, len(w)):
            total += c_b[d, q] * w[d]
        for m in range(n_z):
            total += u[q, m] * e[m]
        mean[q] = total
    for i in range(n_b):
        total = c_b[0, first + n_z + i] * w[0]
        for d in range(1, len(w)):
            total += c_b[d, first + n_z + i] * w[d]
        for m in range(n_z):
            total += root[n_z + i, m] * e[m]
        mean[n_a + i] = total


@kernel
def given_means_back(n_z, seen, root, u, w, e, d_mean, d_root, d_u, d_c_b):
    """Reverse of ``given_means``: add to the gradients of R, U and C_b, all lanes."""
    n_a, n_c = u.shape
    first, n_b = d_c_b.shape[1] - n_c, n_c - n_z
    d_e = room(d_mean, 1, max(n_z, 1))[0]
    for m in range(n_z):
        total = 0.0 * e[m]
        for q in range(n_a):
            total += u[q, m] * d_mean[q]
            d_u[q, m] += d_mean[q] * e[m]
        for i in range(n_b):
            total += root[n_z + i, m] * d_mean[n_a + i]
            d_root[n_z + i, m] += d_mean[n_a + i] * e[m]
        d_e[m] = total
    for i in range(n_z - 1, -1, -1):  # R_zz^-T d_e, the gradient of z - E z
        total = d_e[i]
        for m in range(i + 1, n_z):
            total -= root[m, i] * d_e[m]
        d_e[i] = total / root[i, i]
        for m in range(i + 1):
            d_root[i, m] -= d_e[i] * e[m]
    for d in range(len(w)):
        for q in range(n_a):
            d_c_b[d, q] += d_mean[q] * w[d]
        for i in range(n_b):
            d_c_b[d, first + n_z + i] += d_mean[n_a + i] * w[d]
        for i in range(n_z):
            d_c_b[d, first + i] -= d_e[i] * seen[i] * w[d]
