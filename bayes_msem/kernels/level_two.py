"""Level 2 as a normal distribution, and what is known of it: the conditional normal of all kernels.

Level 2 is u = (a, z, b) with mean C (1, w) and covariance matrix Omega. With c = (z, b) and
Omega_cc = R R' (R lower triangular) write c = E c + R e, e ~ N(0, I). Of c the first entries may be
known; given those, e_1 = R_11^-1 (c_1 - E c_1) and, with e_2 = s ~ N(0, I) for the others,

    c_2 = E c_2 + R_21 e_1 + R_22 s ,
    a = E a + U_1 e_1 + U_2 s + N(0, V) ,   U = Omega_ac R^-T ,   V = Omega_aa - U U'
    log p(c_1) = -1/2 e_1' e_1 - log|R_11| - n_1/2 log 2 pi .

If all of c is known, a ~ N(E a + U e, V): what the likelihood given sampled effects needs
(kernels.by_cluster). If only z is, this is the prior of the effects that their coordinates are
built on (kernels.centring). R_22 and U_2 go to zero with the standard deviations of b; nothing is
divided by them except inside R, whose rows have their scale.

A missing z is integrated out by leaving it out. To keep all lanes in step it is not removed but
made independent of everything, with variance 1 and deviation 0: it then adds nothing. ``seen`` is 1
where an entry is known, else 0; it is 0 in lanes without a cluster. Kernels here work on lanes.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba.extending import register_jitable

from bayes_msem.kernels.compile import inner_kernel, inner_part, kernel, part_kernel
from bayes_msem.kernels.lanes import across, lanes_matrix, lanes_stack, lanes_vector
from bayes_msem.kernels.template import Effects, backward, effects_of, forward
from bayes_msem.kernels.triangular import cholesky, cholesky_back
from bayes_msem.kernels.values import common_gradient, common_values

LOG_2PI = float(np.log(2.0 * np.pi))


class LevelTwo(NamedTuple):
    """Moments of level 2: the value vector, Omega, C (Dw x n_u), and what the reverse needs."""

    values: Any
    omega: Any
    c: Any
    effects: Effects


class Given(NamedTuple):
    """R, U and V, once for all batches or for each of them."""

    root: Any
    u: Any
    v: Any


class Gradients(NamedTuple):
    """With respect to x, effects b (lanes), shared values, Omega (symmetric) and C of level 2."""

    x: Any
    effects: Any
    values: Any
    omega: Any
    c: Any


@part_kernel
def level_two(x, structure):
    """Return the moments of level 2 at sampled parameters x."""
    between = structure.between
    values = common_values(x, structure)
    omega, c = np.zeros((between.n, between.n)), np.zeros((between.n_design, between.n))
    effects = effects_of(between)
    forward(between, values, effects, omega, c)
    return LevelTwo(values, omega, c, effects)


@part_kernel
def gradients_of(x, top, n_batches, n_b):
    """Return zeros for all gradients."""
    d_omega, d_c = np.zeros_like(top.omega), np.zeros_like(top.c)
    d_values = np.zeros(len(top.values))
    return Gradients(np.zeros(len(x)), lanes_matrix(n_batches, n_b), d_values, d_omega, d_c)


@part_kernel
def level_two_back(x, structure, moments, d_omega, d_c, gradient, d_x):
    """Pull gradients with respect to Omega and C back to x (added to ``d_x``).

    ``gradient`` comes with what the shared values get from elsewhere.
    """
    between = structure.between
    room = np.zeros((2, between.m, between.n))
    backward(between, moments.values, moments.effects, d_omega, d_c, room[0], room[1], gradient)
    common_gradient(x, structure, gradient, d_x)


@part_kernel
def given_space(n, n_a, n_c):
    """Return room for R, U and V of n batches."""
    return Given(lanes_stack(n, n_c, n_c), lanes_stack(n, n_a, n_c), lanes_stack(n, n_a, n_a))


@inner_kernel
def whiten(omega, n_known, seen, root, u, v):
    """Fill R, U and V; return log|Omega_cc| and whether it is positive definite."""
    n_a, n_c = u.shape
    first = omega.shape[0] - n_c
    for i in range(n_c):
        for k in range(n_c):
            root[i, k] = omega[first + i, first + k]
            if i < n_known:
                root[i, k] = root[i, k] * seen[i]
            if k < n_known:
                root[i, k] = root[i, k] * seen[k]
        if i < n_known:
            root[i, i] += 1.0 - seen[i]
    log_det, positive = cholesky(root, n_c)
    if not positive:
        return log_det, False
    for q in range(n_a):
        for i in range(n_c):
            u[q, i] = omega[q, first + i]
            if i < n_known:
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
    return log_det, True


@inner_kernel
def whiten_back(n_known, seen, root, u, d_root, d_u, d_v, d_omega):
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
            if i < n_known:
                value = value * seen[i]
            if k < n_known:
                value = value * seen[k]
            d_omega[first + i, first + k] += across(value)
        for q in range(n_a):
            value = d_u[q, i]
            if i < n_known:
                value = value * seen[i]
            half = 0.5 * across(value)
            d_omega[q, first + i] += half
            d_omega[first + i, q] += half
    d_root[:, :] = 0.0
    d_u[:, :] = 0.0
    d_v[:, :] = 0.0


@inner_kernel
def given_means(seen, root, u, c_b, w, known, e, mean):
    """Fill e of what is known, and the means of a and of the rest of c given it."""
    n_a, n_c = u.shape
    n_known, first = len(known), c_b.shape[1] - n_c
    for i in range(n_known):
        total = known[i]
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
        for m in range(n_known):
            total += u[q, m] * e[m]
        mean[q] = total
    for i in range(n_c - n_known):
        total = c_b[0, first + n_known + i] * w[0]
        for d in range(1, len(w)):
            total += c_b[d, first + n_known + i] * w[d]
        for m in range(n_known):
            total += root[n_known + i, m] * e[m]
        mean[n_a + i] = total


@inner_kernel
def given_means_back(seen, root, u, w, e, d_mean, d_e, d_root, d_u, d_c):
    """Reverse of ``given_means``: add to the gradients of R, U and C, all lanes.

    ``d_e`` comes with the direct gradient of e, and becomes that of what is known.
    """
    n_a, n_c = u.shape
    n_known, first = len(e), d_c.shape[1] - n_c
    for m in range(n_known):
        total = d_e[m]
        for q in range(n_a):
            total += u[q, m] * d_mean[q]
            d_u[q, m] += d_mean[q] * e[m]
        for i in range(n_c - n_known):
            total += root[n_known + i, m] * d_mean[n_a + i]
            d_root[n_known + i, m] += d_mean[n_a + i] * e[m]
        d_e[m] = total
    for i in range(n_known - 1, -1, -1):  # R_11^-T d_e, the gradient of c_1 - E c_1
        total = d_e[i]
        for m in range(i + 1, n_known):
            total -= root[m, i] * d_e[m]
        d_e[i] = total / root[i, i]
        for m in range(i + 1):
            d_root[i, m] -= d_e[i] * e[m]
    for i in range(n_known):
        d_e[i] = d_e[i] * seen[i]
    for d in range(len(w)):
        for q in range(n_a):
            d_c[d, q] += d_mean[q] * w[d]
        for i in range(n_c - n_known):
            d_c[d, first + n_known + i] += d_mean[n_a + i] * w[d]
        for i in range(n_known):
            d_c[d, first + i] -= d_e[i] * w[d]


@inner_part
def known_density(exists, log_det, seen, e):
    """Log density of what is known, lane by lane; ``exists`` is 1 where there is a cluster."""
    total = exists * log_det
    for i in range(len(e)):
        total += e[i] * e[i] + seen[i] * LOG_2PI
    return -0.5 * total


@inner_part
def known_density_back(weight, root, e, d_e, d_root):
    """Reverse of ``known_density``; ``weight`` is zero where there is no cluster."""
    for i in range(len(e)):
        d_e[i] -= weight * e[i]
        d_root[i, i] -= weight / root[i, i]


@register_jitable
def _effects_space(n):
    """Return R, empty U and V, e and seen for n effects."""
    root, u, v = lanes_matrix(n, n), lanes_matrix(0, n), lanes_matrix(0, 0)
    return root, u, v, lanes_vector(n), lanes_vector(n), lanes_vector(0)


@kernel
def effects_terms(sign, top, w, b, terms):
    """Add sign times log p(b_j | theta) to the terms of all clusters.

    Returns
    -------
    bool
        Whether the covariance matrix of b is positive definite.
    """
    root, u, v, e, seen, nothing = _effects_space(b.shape[1])
    log_det, positive = whiten(top.omega, 0, nothing, root, u, v)
    if not positive:
        return False
    for g in range(len(b)):
        for i in range(b.shape[1]):
            seen[i] = w[g, 0]
        given_means(seen, root, u, top.c, w[g], b[g], e, nothing)
        terms[g, 0] += sign * known_density(w[g, 0], log_det, seen, e)
    return True


@kernel
def effects_terms_back(sign, weights, top, w, b, d):
    """Add the gradients of sign times the weighted sum of log p(b_j | theta)."""
    n = b.shape[1]
    root, u, v, e, seen, nothing = _effects_space(n)
    d_root, d_e, d_c = lanes_matrix(n, n), lanes_vector(n), lanes_matrix(w.shape[1], top.c.shape[1])
    whiten(top.omega, 0, nothing, root, u, v)
    for g in range(len(b)):
        for i in range(n):
            seen[i] = w[g, 0]
            d_e[i] = 0.0
        given_means(seen, root, u, top.c, w[g], b[g], e, nothing)
        known_density_back(sign * weights[g, 0] * w[g, 0], root, e, d_e, d_root)
        given_means_back(seen, root, u, w[g], e, nothing, d_e, d_root, u, d_c)
        for i in range(n):
            d.effects[g, i] += d_e[i]
    whiten_back(0, nothing, root, u, d_root, u, v, d.omega)
    add_across(d_c, d.c)


@inner_kernel
def add_across(lanes, floats):
    """Add the sums over clusters to a matrix."""
    for i in range(floats.shape[0]):
        for k in range(floats.shape[1]):
            floats[i, k] += across(lanes[i, k])
