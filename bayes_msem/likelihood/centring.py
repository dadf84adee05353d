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

import numpy as np

from bayes_msem.likelihood.cluster_program import SIZES
from bayes_msem.likelihood.clusters import (
    between_gradient,
    between_moments,
    cluster_value_and_gradient,
    unpack_statistics,
)
from bayes_msem.likelihood.packing import integers
from bayes_msem.structure.kernel import kernel

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
                matrix[i, i] = np.sqrt(total)
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
    p = np.zeros((n, n))
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
def _means(c_b, first, n, w, j, mu):
    for i in range(n):
        total = 0.0
        for d in range(w.shape[1]):
            total += c_b[d, first + i] * w[j, d]
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
def _pull_back(x, t, ints, floats, statistics, information, linear, d_b, weight):
    """Effects and density of their coordinates, with gradients.

    Returns
    -------
    tuple
        b (J x n_b); log p(t | theta); the gradients of ``sum(d_b * b) + weight * log p(t)`` with
        respect to x and t.
    """
    sizes = integers(ints, SIZES)
    n_theta, n = sizes[3], sizes[8]
    first = sizes[5] + sizes[7]
    w = unpack_statistics(ints, statistics)[5]
    n_clusters = t.shape[0]
    b, d_t, d_x = np.zeros_like(t), np.zeros_like(t), np.zeros(n_theta)
    values, omega, c_b, t_b, a_b, inverse_b = between_moments(x, ints, floats)
    root = np.empty((n, n))
    for i in range(n):
        for k in range(n):
            root[i, k] = omega[first + i, first + k]
    if not cholesky(root, n):
        return b, -np.inf, d_x, d_t
    chol, lam_l, d_root = np.empty((n, n)), np.empty((n, n)), np.zeros((n, n))
    mu, delta, s, d_s, d_mu = np.empty(n), np.empty(n), np.empty(n), np.empty(n), np.empty(n)
    scratch = np.empty((3, max(n, 2), max(n, 2)))
    d_omega, d_c_b = np.zeros_like(omega), np.zeros_like(c_b)
    total = 0.0
    for j in range(n_clusters):
        _means(c_b, first, n, w, j, mu)
        if not _cluster_forward(
            n, root, information[j], linear[j], mu, t[j], chol, lam_l, delta, s, b[j]
        ):
            return b, -np.inf, d_x, d_t
        for i in range(n):
            total -= 0.5 * s[i] * s[i] + np.log(chol[i, i]) + HALF_LOG_2PI
            d_s[i] = -weight * s[i]
            d_mu[i] = 0.0
        _cluster_backward(
            n, root, information[j], t[j], chol, lam_l, delta, s, d_s, d_b[j], d_root, d_mu,
            d_t[j], -weight, scratch,
        )  # fmt: skip
        for i in range(n):
            for d in range(w.shape[1]):
                d_c_b[d, first + i] += d_mu[i] * w[j, d]
    cholesky_back(root, n, d_root)
    for i in range(n):
        for k in range(n):
            d_omega[first + i, first + k] += d_root[i, k]
    gradient = np.zeros(len(values))
    between_gradient(x, ints, floats, values, t_b, a_b, inverse_b, d_omega, d_c_b, gradient, d_x)
    return b, total, d_x, d_t


@kernel
def coordinate_density(x, t, ints, floats, statistics, information, linear):
    """Log p(t | theta) and its gradients with respect to x and t."""
    d_b = np.zeros_like(t)
    _, value, d_x, d_t = _pull_back(x, t, ints, floats, statistics, information, linear, d_b, 1.0)
    return value, d_x, d_t


@kernel
def effects_at(x, t, ints, floats, statistics, information, linear):
    """Return the effects b (J x n_b) at coordinates t; NaN where Omega is not definite."""
    sizes = integers(ints, SIZES)
    n, first = sizes[8], sizes[5] + sizes[7]
    w = unpack_statistics(ints, statistics)[5]
    b = np.full_like(t, np.nan)
    _, omega, c_b, _, _, _ = between_moments(x, ints, floats)
    root, chol, lam_l = np.empty((n, n)), np.empty((n, n)), np.empty((n, n))
    mu, delta, s = np.empty(n), np.empty(n), np.empty(n)
    for i in range(n):
        for k in range(n):
            root[i, k] = omega[first + i, first + k]
    if not cholesky(root, n):
        return b
    for j in range(t.shape[0]):
        _means(c_b, first, n, w, j, mu)
        _cluster_forward(n, root, information[j], linear[j], mu, t[j], chol, lam_l, delta, s, b[j])
    return b


@kernel
def coordinates_of(x, s, ints, floats, statistics, information, linear):
    """Coordinates t at which the standardised effects are ``s`` (J x n_b)."""
    sizes = integers(ints, SIZES)
    n, first = sizes[8], sizes[5] + sizes[7]
    w = unpack_statistics(ints, statistics)[5]
    t, zero = np.empty_like(s), np.zeros(n)
    _, omega, c_b, _, _, _ = between_moments(x, ints, floats)
    root, chol, lam_l = np.empty((n, n)), np.empty((n, n)), np.empty((n, n))
    mu, delta, center, b = np.empty(n), np.empty(n), np.empty(n), np.empty(n)
    for i in range(n):
        for k in range(n):
            root[i, k] = omega[first + i, first + k]
    cholesky(root, n)
    for j in range(s.shape[0]):
        _means(c_b, first, n, w, j, mu)
        _cluster_forward(
            n, root, information[j], linear[j], mu, zero, chol, lam_l, delta, center, b
        )
        for i in range(n):  # t = C' (s - center)
            total = 0.0
            for k in range(i, n):
                total += chol[k, i] * (s[j, k] - center[k])
            t[j, i] = total
    return t


@kernel
def sampled_value_and_gradient(x, t, ints, floats, statistics, information, linear):
    """Log p(y, z | b(t, theta), theta) and its gradients with respect to x and t."""
    b = effects_at(x, t, ints, floats, statistics, information, linear)
    if np.isnan(b[0, 0]):
        return -np.inf, np.zeros_like(x), np.zeros_like(t)
    value, d_x, d_b = cluster_value_and_gradient(x, b, ints, floats, statistics)
    if value == -np.inf:
        return value, d_x, d_b
    _, _, d_x_more, d_t = _pull_back(x, t, ints, floats, statistics, information, linear, d_b, 0.0)
    return value, d_x + d_x_more, d_t
