r"""Coordinates in which NUTS samples the cluster-level effects that cannot be integrated out.

Effects b_j ~ N(mu_j, Omega) are neither sampled as they are (bad where data say little) nor
standardised (bad where data say much). With Omega = L L' and a fixed normal approximation of what
the data of cluster j say about b_j, exp(-1/2 b' Lambda_j b + eta_j' b), write

    b_j = mu_j + L s_j ,   Q_j = I + L' Lambda_j L = C_j C_j' ,
    s_j = Q_j^-1 L' (eta_j - Lambda_j mu_j) + C_j^-T t_j

and sample t_j. If the approximation were exact, t_j would be standard normal given the parameters,
whatever they are; it need not be exact for the posterior to be right, because the change of
variables is: it only makes sampling slow where it is bad. Lambda_j = 0 is the non-centred form, a
large Lambda_j nearly the centred one, so each effect of each cluster gets the mixture that its own
information asks for (Kleppe 2019, https://doi.org/10.1080/10618600.2019.1584901). Up to a constant
the density of t_j given the parameters is

    log p(t_j) = -1/2 s_j' s_j - log|C_j| .

L is never inverted, so standard deviations may come arbitrarily close to zero.
"""

from __future__ import annotations

import math

import numpy as np
from numba.extending import register_jitable

from bayes_msem.likelihood.cluster_program import SIZES
from bayes_msem.likelihood.cluster_statistics import level_two_statistics
from bayes_msem.likelihood.clusters import (
    add_clusters,
    between_gradient,
    between_moments,
)
from bayes_msem.likelihood.packing import integers
from bayes_msem.structure.kernel import kernel
from bayes_msem.structure.lanes import (
    LANES,
    across,
    as_lanes,
    fill_empty_lanes,
    from_lanes,
    in_lanes,
    lanes_matrix,
    lanes_vector,
    room,
)

HALF_LOG_2PI = 0.5 * float(np.log(2.0 * np.pi))


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


@kernel
def _means(c_b, first, n, w, mu):
    for i in range(n):
        total = 0.0
        for d in range(len(w)):
            total += c_b[d, first + i] * w[d]
        mu[i] = total


@kernel
def _cluster_forward(n, root, information, linear, mu, t, chol, lam_l, delta, s, b):
    """Fill C_j, Lambda L, eta - Lambda mu, s and b of one cluster.

    ``s`` becomes C^-T (C^-1 L' delta + t): the posterior mean term and t share the last solve.
    """
    for i in range(n):
        for k in range(n):
            total = 0.0
            for m in range(k, n):
                total += information[i, m] * root[m, k]
            lam_l[i, k] = total
    for i in range(n):
        for k in range(i + 1):
            total = 1.0 if i == k else 0.0
            for m in range(i, n):
                total += root[m, i] * lam_l[m, k]
            chol[i, k] = total
    if not cholesky(chol, n):
        return False
    for i in range(n):
        total = linear[i]
        for k in range(n):
            total -= information[i, k] * mu[k]
        delta[i] = total
    for i in range(n):  # C^-1 L' delta
        total = 0.0
        for m in range(i, n):
            total += root[m, i] * delta[m]
        for k in range(i):
            total -= chol[i, k] * s[k]
        s[i] = total / chol[i, i]
    for i in range(n):
        s[i] += t[i]
    for i in range(n - 1, -1, -1):
        total = s[i]
        for k in range(i + 1, n):
            total -= chol[k, i] * s[k]
        s[i] = total / chol[i, i]
    for i in range(n):
        total = mu[i]
        for k in range(i + 1):
            total += root[i, k] * s[k]
        b[i] = total
    return True


@kernel
def _cluster_backward(
    n, root, information, t, chol, lam_l, delta, s, d_s, d_b, d_root, d_mu, d_t, weight, scratch
):
    """Reverse of ``_cluster_forward``; ``d_s`` comes with the direct gradient of s.

    Adds to d_root and d_mu; fills d_t. ``weight`` is the gradient of log|C|.
    """
    d_chol, u, v = scratch[0], scratch[1, 0], scratch[1, 1]
    for i in range(n):
        d_mu[i] += d_b[i]
        for k in range(i + 1):
            d_root[i, k] += d_b[i] * s[k]
            d_s[k] += d_b[i] * root[i, k]
    # s = C^-T (a + t), a = C^-1 q, q = L' delta
    for i in range(n):  # u = C^-1 d_s
        total = d_s[i]
        for k in range(i):
            total -= chol[i, k] * u[k]
        u[i] = total / chol[i, i]
        d_t[i] = u[i]
    for i in range(n - 1, -1, -1):  # v = C^-T u, the gradient of q
        total = u[i]
        for k in range(i + 1, n):
            total -= chol[k, i] * v[k]
        v[i] = total / chol[i, i]
    for i in range(n):
        # a_k = (C' s)_k - t_k
        a_i = -t[i]
        for k in range(i, n):
            a_i += chol[k, i] * s[k]
        scratch[2, 0, i] = a_i
    for i in range(n):
        for k in range(i + 1):
            d_chol[i, k] = -s[i] * u[k] - v[i] * scratch[2, 0, k]
        for k in range(i + 1, n):
            d_chol[i, k] = 0.0
        d_chol[i, i] += weight / chol[i, i]
    cholesky_back(chol, n, d_chol)  # now the gradient of Q
    for i in range(n):
        for k in range(i + 1):
            total = delta[i] * v[k]
            for m in range(n):
                total += 2.0 * lam_l[i, m] * d_chol[m, k]
            d_root[i, k] += total
    for m in range(n):  # gradient of delta is L v; delta = eta - Lambda mu
        total = 0.0
        for k in range(m + 1):
            total += root[m, k] * v[k]
        scratch[2, 1, m] = total
    for i in range(n):
        total = 0.0
        for m in range(n):
            total += information[i, m] * scratch[2, 1, m]
        d_mu[i] -= total


@kernel
def _root(omega, first, n, root):
    """Fill the Cholesky factor of the effects' covariance matrix; return whether there is one."""
    for i in range(n):
        for k in range(n):
            root[i, k] = omega[first + i, first + k]
    return cholesky(root, n)


@register_jitable
def _in_lanes(t, ints, statistics, information, linear):
    """Return t, w, information and linear as lanes, with zeros where there is no cluster."""
    n_clusters, n = t.shape
    flat = in_lanes(np.ascontiguousarray(information).reshape((n_clusters, n * n)))
    w = level_two_statistics(ints, statistics)[1]
    return in_lanes(t), w, flat.reshape((len(flat), n, n)), in_lanes(linear)


@register_jitable
def _workspace(n_batches, n):
    """Return arrays for C, Lambda L, mu, delta, s and b of all clusters."""
    return (
        as_lanes(np.empty((n_batches, n, n, LANES))),
        as_lanes(np.empty((n_batches, n, n, LANES))),
        lanes_matrix(n_batches, n),
        lanes_matrix(n_batches, n),
        lanes_matrix(n_batches, n),
        lanes_matrix(n_batches, n),
    )


@kernel
def _forward(first, n, c_b, root, t, w, information, linear, chol, lam_l, mu, delta, s, b):
    """Fill the workspace for all clusters; return whether all is positive definite."""
    for g in range(len(t)):
        _means(c_b, first, n, w[g], mu[g])
        if not _cluster_forward(
            n, root, information[g], linear[g], mu[g], t[g], chol[g], lam_l[g], delta[g], s[g], b[g]
        ):
            return False
    return True


@kernel
def _backward(
    first, n, root, t, w, information, chol, lam_l, delta, s, d_b, weight, d_t, d_omega, d_c_b
):
    """Reverse of ``_forward`` for ``sum(d_b * b) + weight * log p(t)``.

    Fills d_t, adds to d_omega and d_c_b.
    """
    d_s, d_mu, d_root = lanes_vector(n), lanes_vector(n), lanes_matrix(n, n)
    d_means = lanes_matrix(w.shape[1], n)
    scratch = as_lanes(np.empty((3, max(n, 2), max(n, 2), LANES)))
    for g in range(len(t)):
        for i in range(n):
            d_s[i] = -weight * s[g, i]
            d_mu[i] = 0.0
        _cluster_backward(
            n, root, information[g], t[g], chol[g], lam_l[g], delta[g], s[g], d_s, d_b[g], d_root,
            d_mu, d_t[g], -weight, scratch,
        )  # fmt: skip
        for i in range(n):
            for d in range(w.shape[1]):
                d_means[d, i] += d_mu[i] * w[g, d]
    d_chol = np.empty((n, n))
    for i in range(n):
        for k in range(n):
            d_chol[i, k] = across(d_root[i, k])
        for d in range(w.shape[1]):
            d_c_b[d, first + i] += across(d_means[d, i])
    cholesky_back(root, n, d_chol)
    for i in range(n):
        for k in range(n):
            d_omega[first + i, first + k] += d_chol[i, k]


@kernel
def coordinate_density(x, t, ints, floats, statistics, information, linear):
    """Log p(t | theta) and its gradients with respect to x and t."""
    sizes = integers(ints, SIZES)
    n, first, n_clusters = sizes[8], sizes[5] + sizes[7], t.shape[0]
    d_x, root = np.zeros_like(x), np.empty((n, n))
    values, omega, c_b, t_b, a_b, inverse_b = between_moments(x, ints, floats)
    if not _root(omega, first, n, root):
        return -np.inf, d_x, np.zeros_like(t)
    t_l, w, lam, eta = _in_lanes(t, ints, statistics, information, linear)
    chol, lam_l, mu, delta, s, b = _workspace(len(t_l), n)
    if not _forward(first, n, c_b, root, t_l, w, lam, eta, chol, lam_l, mu, delta, s, b):
        return -np.inf, d_x, np.zeros_like(t)
    total = 0.0
    for g in range(len(s)):
        product = 1.0
        for i in range(n):
            total -= 0.5 * s[g, i] * s[g, i]
            product *= chol[g, i, i]
            if i % 2 == 1 or i == n - 1:
                total -= math.log(product)
                product = 1.0
    d_omega, d_c_b, d_values = np.zeros_like(omega), np.zeros_like(c_b), np.zeros_like(values)
    d_b, d_t = lanes_matrix(len(t_l), n), lanes_matrix(len(t_l), n)
    _backward(first, n, root, t_l, w, lam, chol, lam_l, delta, s, d_b, 1.0, d_t, d_omega, d_c_b)
    between_gradient(x, ints, floats, values, t_b, a_b, inverse_b, d_omega, d_c_b, d_values, d_x)
    value = across(total) - n_clusters * n * HALF_LOG_2PI
    return value, d_x, from_lanes(d_t, n_clusters)


@kernel
def effects_at(x, t, ints, floats, statistics, information, linear):
    """Return the effects b (J x n_b) at coordinates t; NaN where Omega is not definite."""
    sizes = integers(ints, SIZES)
    n, first = sizes[8], sizes[5] + sizes[7]
    root = np.empty((n, n))
    _, omega, c_b, _, _, _ = between_moments(x, ints, floats)
    if not _root(omega, first, n, root):
        return np.full_like(t, np.nan)
    t_l, w, lam, eta = _in_lanes(t, ints, statistics, information, linear)
    chol, lam_l, mu, delta, s, b = _workspace(len(t_l), n)
    _forward(first, n, c_b, root, t_l, w, lam, eta, chol, lam_l, mu, delta, s, b)
    return from_lanes(b, len(t))


@kernel
def coordinates_of(x, s, ints, floats, statistics, information, linear):
    """Coordinates t at which the standardised effects are ``s`` (J x n_b)."""
    sizes = integers(ints, SIZES)
    n, first = sizes[8], sizes[5] + sizes[7]
    root = np.empty((n, n))
    _, omega, c_b, _, _, _ = between_moments(x, ints, floats)
    _root(omega, first, n, root)
    s_l, w, lam, eta = _in_lanes(s, ints, statistics, information, linear)
    chol, lam_l, mu, delta, center, b = _workspace(len(s_l), n)
    t = lanes_matrix(len(s_l), n)
    _forward(first, n, c_b, root, t, w, lam, eta, chol, lam_l, mu, delta, center, b)
    for g in range(len(t)):
        for i in range(n):  # t = C' (s - center)
            total = 0.0
            for k in range(i, n):
                total += chol[g, k, i] * (s_l[g, k] - center[g, k])
            t[g, i] = total
    return from_lanes(t, len(s))


@kernel
def sampled_value_and_gradient(x, t, ints, floats, statistics, information, linear):
    """Log p(y, z | b(t, theta), theta) and its gradients with respect to x and t."""
    sizes = integers(ints, SIZES)
    n, first, n_clusters = sizes[8], sizes[5] + sizes[7], t.shape[0]
    d_x, root = np.zeros_like(x), np.empty((n, n))
    values, omega, c_b, t_b, a_b, inverse_b = between_moments(x, ints, floats)
    if not _root(omega, first, n, root):
        return -np.inf, d_x, np.zeros_like(t)
    t_l, w, lam, eta = _in_lanes(t, ints, statistics, information, linear)
    chol, lam_l, mu, delta, s, b = _workspace(len(t_l), n)
    if not _forward(first, n, c_b, root, t_l, w, lam, eta, chol, lam_l, mu, delta, s, b):
        return -np.inf, d_x, np.zeros_like(t)
    fill_empty_lanes(b, n_clusters)
    d_omega, d_c_b, d_values = np.zeros_like(omega), np.zeros_like(c_b), np.zeros_like(values)
    d_b, d_t = lanes_matrix(len(t_l), n), lanes_matrix(len(t_l), n)
    value = add_clusters(
        x, b, ints, floats, statistics, values, omega, c_b, d_x, d_b, d_values, d_omega, d_c_b
    )
    if value == -np.inf:
        return value, d_x, np.zeros_like(t)
    _backward(first, n, root, t_l, w, lam, chol, lam_l, delta, s, d_b, 0.0, d_t, d_omega, d_c_b)
    between_gradient(x, ints, floats, values, t_b, a_b, inverse_b, d_omega, d_c_b, d_values, d_x)
    return value, d_x, from_lanes(d_t, n_clusters)
