r"""Coordinates in which NUTS samples the cluster-level effects that cannot be integrated out.

Sampled effects b_j are neither sampled as they are (bad where data say little) nor standardised
(bad where data say much). Given z_j, they are b_j = m_bj + L s_j with s_j ~ N(0, I), and the linear
effects beside them a_j = m_aj + U s_j + N(0, V) (kernels.whitening). With a fixed normal
approximation of what the data y_j say about both (likelihood.approximation: A, Gamma, S, eta1 and
eta2), write

    K_j = I + A' V A = C1 C1' ,    Y_j = C1^-1 (A' U + Gamma L) ,
    rho1 = C1^-1 (eta1 - A' m_a - Gamma m_b) ,    rho2 = eta2 - S m_b ,
    Q_j = I + L' S L + Y' Y = C_j C_j' ,
    s_j = Q_j^-1 (L' rho2 + Y' rho1) + C_j^-T t_j

and sample t_j. If the approximation were exact, t_j would be standard normal given the parameters,
whatever they are; it need not be exact for the posterior to be right, because the change of
variables is: it only makes sampling slow where it is bad. An approximation of zero is the
non-centred form, a large S nearly the centred one, so each effect of each cluster gets the mixture
that its own information asks for (Kleppe 2019, https://doi.org/10.1080/10618600.2019.1584901).

All that depends on the parameters, the prior of a and b given z, is taken at their current values.
Nothing is divided by standard deviations of effects, so they may come arbitrarily close to zero.

The density of t_j given the parameters is log p(b_j) + log|L| - log|C_j|. Without z that is

    log p(t_j) = -1/2 s_j' s_j - log|C_j| + constant .
"""

from __future__ import annotations

import math

import numpy as np
from numba.extending import register_jitable

from bayes_msem.kernels.clusters import (
    add_across,
    add_clusters,
    between_gradient,
    between_moments,
)
from bayes_msem.kernels.compile import kernel
from bayes_msem.kernels.conditioning import normal_density
from bayes_msem.kernels.coordinates import effects_backward, effects_forward
from bayes_msem.kernels.lanes import (
    LANES,
    across,
    as_lanes,
    fill_empty_lanes,
    from_lanes,
    in_lanes,
    lanes_matrix,
    lanes_vector,
)
from bayes_msem.kernels.triangular import cholesky
from bayes_msem.kernels.whitening import given_means, given_means_back, whiten, whiten_back
from bayes_msem.likelihood.approximation import unpack_approximation
from bayes_msem.likelihood.cluster_statistics import level_two_statistics

HALF_LOG_2PI = 0.5 * float(np.log(2.0 * np.pi))


@register_jitable
def _lanes_stack(n, rows, columns):
    """Return n matrices of zeros."""
    return as_lanes(np.zeros((n, rows, columns, LANES)))


@register_jitable
def _prior_space(n, n_a, n_c):
    """Return R, U and V, once for all batches or for each of them."""
    return _lanes_stack(n, n_c, n_c), _lanes_stack(n, n_a, n_c), _lanes_stack(n, n_a, n_a)


@register_jitable
def _space(n, n_a, n_z, n_b):
    """Return arrays for e, means, C1, Y, C, S L, rho2, s and b of all batches."""
    return (
        lanes_matrix(n, n_z),
        lanes_matrix(n, n_a + n_b),
        _lanes_stack(n, n_a, n_a),
        _lanes_stack(n, n_a, n_b + 1),
        _lanes_stack(n, n_b, n_b),
        _lanes_stack(n, n_b, n_b),
        lanes_matrix(n, n_b),
        lanes_matrix(n, n_b),
        lanes_matrix(n, n_b),
    )


@kernel
def _forward(n_z, omega, c_b, t, level_two, data, prior, space):
    """Fill prior and space for all batches; return whether all is positive definite.

    ``level_two`` are (1, w), z and whether z is observed.
    """
    w, z, seen = level_two
    a, gamma, info, eta1, eta2 = data
    root, u, v = prior
    e, mean, chol1, y, chol, info_l, rho2, s, b = space
    va = lanes_matrix(v.shape[1], v.shape[2])
    k = 0
    for g in range(len(t)):
        if g < len(root):
            k = g
            if not whiten(omega, n_z, seen[g], root[k], u[k], v[k]):
                return False
        given_means(n_z, seen[g], root[k], u[k], c_b, w[g], z[g], e[g], mean[g])
        if not effects_forward(
            n_z, root[k], u[k], v[k], a[g], gamma[g], info[g], eta1[g], eta2[g], mean[g], t[g],
            va, chol1[g], y[g], chol[g], info_l[g], rho2[g], s[g], b[g],
        ):  # fmt: skip
            return False
    return True


@kernel
def _backward(n_z, t, level_two, data, prior, space, d_b, weight, of_root, d_t, d_omega, d_c_b):
    """Reverse of ``_forward`` for sum(d_b b) + weight log p(t).

    ``of_root``: log p(t) is log|L| - log|C|, not -1/2 s's - log|C|. Fills d_t, adds to d_omega and
    d_c_b.
    """
    w, _, seen = level_two
    a, gamma, info, _, _ = data
    root, u, _ = prior
    e, _, chol1, y, chol, info_l, rho2, s, _ = space
    n_a, n_b, n_c = u.shape[1], info.shape[1], root.shape[1]
    d_s, d_mean = lanes_vector(n_b), lanes_vector(n_a + n_b)
    d_root, d_u, d_v = lanes_matrix(n_c, n_c), lanes_matrix(n_a, n_c), lanes_matrix(n_a, n_a)
    d_c = lanes_matrix(w.shape[1], d_c_b.shape[1])
    m = max(n_a, n_b) + 1
    scratch = _lanes_stack(4, m, m)
    for g in range(len(t)):
        k = min(g, len(root) - 1)
        for i in range(n_b):
            d_s[i] = 0.0
            if of_root:
                d_root[n_z + i, n_z + i] += weight * w[g, 0] / root[k, n_z + i, n_z + i]
            else:
                d_s[i] -= weight * s[g, i]
        effects_backward(
            n_z, root[k], a[g], gamma[g], info[g], t[g], chol1[g], y[g], chol[g], info_l[g],
            rho2[g], s[g], d_b[g], d_s, -weight, d_t[g], d_mean, d_root, d_u, d_v, scratch,
        )  # fmt: skip
        given_means_back(n_z, seen[g], root[k], u[k], w[g], e[g], d_mean, d_root, d_u, d_c)
        if len(root) > 1 or g == len(t) - 1:
            # unmasked, the first batch says which z are observed: all of them
            whiten_back(n_z, seen[k], root[k], u[k], d_root, d_u, d_v, d_omega)
    add_across(d_c, d_c_b)


@kernel
def _log_jacobian(n_z, w, prior, space, of_root):
    """Sum of the log densities of t, without constants."""
    root, (chol, s) = prior[0], (space[4], space[7])
    n = s.shape[1]
    total = lanes_vector(1)
    for g in range(len(s)):
        k = min(g, len(root) - 1)
        product, squares = 1.0, 0.0
        for i in range(n):
            squares -= s[g, i] * s[g, i]
            product *= chol[g, i, i]
            if of_root:  # w is zero where there is no cluster
                total[0] += w[g, 0] * math.log(root[k, n_z + i, n_z + i])
            if i % 2 == 1 or i == n - 1:
                total[0] -= math.log(product)
                product = 1.0
        if not of_root:
            total[0] += 0.5 * squares
    return across(total[0])


@kernel
def _effects_density(omega, c_b, w, b, n_clusters, d_omega, d_c_b, d_b):
    """Log p(b | theta) of all clusters; add to the gradients."""
    n = b.shape[1]
    first = omega.shape[0] - n
    r, d_r, d_c = lanes_matrix(len(b), n), lanes_matrix(len(b), n), lanes_matrix(w.shape[1], n)
    for g in range(len(b)):
        for i in range(n):
            value = b[g, i]
            for d in range(w.shape[1]):
                value -= c_b[d, first + i] * w[g, d]
            r[g, i] = value * w[g, 0]
    value, positive = normal_density(1.0, first, n, omega, n_clusters, r, d_omega, d_r)
    if not positive:
        return -np.inf
    for g in range(len(b)):
        for i in range(n):
            d_b[g, i] += d_r[g, i]
            for d in range(w.shape[1]):
                d_c[d, i] -= d_r[g, i] * w[g, d]
    for i in range(n):
        for d in range(w.shape[1]):
            d_c_b[d, first + i] += across(d_c[d, i])
    return value


@kernel
def _evaluate(x, t, ints, floats, statistics, approximation, with_data, with_effects):
    """Log p(y, z | b(t), theta), log p(t | theta) or their sum, and the gradients."""
    d_x, n_clusters, n_b = np.zeros_like(x), t.shape[0], t.shape[1]
    values, omega, c_b, t_b, a_b, inverse_b = between_moments(x, ints, floats)
    n_a, n_z, masked, data, z, seen = unpack_approximation(ints, n_clusters, approximation)
    w = level_two_statistics(ints, statistics)[1]
    t_l, level_two, of_root = in_lanes(t), (w, z, seen), n_z > 0
    n = len(t_l)
    n_priors = n if masked else min(n, 1)
    prior, space = _prior_space(n_priors, n_a, n_z + n_b), _space(n, n_a, n_z, n_b)
    if not _forward(n_z, omega, c_b, t_l, level_two, data, prior, space):
        return -np.inf, d_x, np.zeros_like(t)
    b, total = space[8], 0.0
    fill_empty_lanes(b, n_clusters)
    d_omega, d_c_b, d_values = np.zeros_like(omega), np.zeros_like(c_b), np.zeros_like(values)
    d_b, d_t = lanes_matrix(n, n_b), lanes_matrix(n, n_b)
    if with_data:
        # of log p(z, b) - log p(b) the last term cancels where p(t) has p(b)
        total += add_clusters(
            x, b, ints, floats, statistics, values, omega, c_b, d_x, d_b, d_values, d_omega, d_c_b,
            not (with_effects and of_root),
        )  # fmt: skip
    elif of_root:
        total += _effects_density(omega, c_b, w, b, n_clusters, d_omega, d_c_b, d_b)
    if total == -np.inf:
        return total, d_x, np.zeros_like(t)
    if with_effects:
        total += _log_jacobian(n_z, w, prior, space, of_root)
        if not of_root:
            total -= n_clusters * n_b * HALF_LOG_2PI
    weight = 1.0 if with_effects else 0.0
    _backward(n_z, t_l, level_two, data, prior, space, d_b, weight, of_root, d_t, d_omega, d_c_b)
    between_gradient(x, ints, floats, values, t_b, a_b, inverse_b, d_omega, d_c_b, d_values, d_x)
    return total, d_x, from_lanes(d_t, n_clusters)


@kernel
def joint_value_and_gradient(x, t, ints, floats, statistics, approximation):
    """Log p(y, z, t | theta) and its gradients with respect to x and t, in one pass.

    Parameters
    ----------
    x : (n_theta,) array
        Sampled parameters and constrained rows.
    t : (J, n_b) array
        Coordinates of the sampled effects.
    ints, floats, statistics
        See likelihood.cluster_program.
    approximation
        The packed vector of a :class:`bayes_msem.likelihood.approximation.Approximation`.
    """
    return _evaluate(x, t, ints, floats, statistics, approximation, True, True)


@kernel
def coordinate_density(x, t, ints, floats, statistics, approximation):
    """Log p(t | theta) and its gradients with respect to x and t."""
    return _evaluate(x, t, ints, floats, statistics, approximation, False, True)


@kernel
def sampled_value_and_gradient(x, t, ints, floats, statistics, approximation):
    """Log p(y, z | b(t, theta), theta) and its gradients with respect to x and t."""
    return _evaluate(x, t, ints, floats, statistics, approximation, True, False)


@kernel
def effects_at(x, t, ints, floats, statistics, approximation):
    """Return the effects b (J x n_b) at coordinates t; NaN where Omega is not definite."""
    deviation, _, _, means = coordinate_map(x, t, ints, floats, statistics, approximation)
    return means + deviation


@kernel
def coordinate_map(x, t, ints, floats, statistics, approximation):
    """How effects follow from coordinates.

    Returns
    -------
    tuple of arrays
        b - E b at t (J, n_b), db/dt (J, n_b, n_b), s at t, and E b (J, n_b); NaN where Omega is
        not positive definite.
    """
    n_clusters, n_b = t.shape
    _, omega, c_b, _, _, _ = between_moments(x, ints, floats)
    n_a, n_z, masked, data, z, seen = unpack_approximation(ints, n_clusters, approximation)
    w = level_two_statistics(ints, statistics)[1]
    t_l, level_two = in_lanes(t), (w, z, seen)
    n = len(t_l)
    n_priors = n if masked else min(n, 1)
    prior, space = _prior_space(n_priors, n_a, n_z + n_b), _space(n, n_a, n_z, n_b)
    slopes = np.full((n_clusters, n_b, n_b), np.nan)
    if not _forward(n_z, omega, c_b, t_l, level_two, data, prior, space):
        return np.full_like(t, np.nan), slopes, np.full_like(t, np.nan), np.full_like(t, np.nan)
    root, e, chol, s = prior[0], space[0], space[4], space[7]
    deviation, means = lanes_matrix(n, n_b), lanes_matrix(n, n_b)
    slope = lanes_matrix(n, n_b * n_b)
    column = lanes_vector(n_b)
    first = omega.shape[0] - n_b
    for g in range(n):
        k = min(g, n_priors - 1)
        for i in range(n_b):
            for d in range(w.shape[1]):
                means[g, i] += c_b[d, first + i] * w[g, d]
            for m in range(n_z):
                deviation[g, i] += root[k, n_z + i, m] * e[g, m]
            for m in range(i + 1):
                deviation[g, i] += root[k, n_z + i, n_z + m] * s[g, m]
        for j in range(n_b):
            for i in range(n_b - 1, -1, -1):  # column j of C^-T
                total = 1.0 if i == j else 0.0
                for m in range(i + 1, n_b):
                    total -= chol[g, m, i] * column[m]
                column[i] = total / chol[g, i, i]
            for i in range(n_b):
                for m in range(i + 1):
                    slope[g, i * n_b + j] += root[k, n_z + i, n_z + m] * column[m]
    slopes[:] = from_lanes(slope, n_clusters).reshape((n_clusters, n_b, n_b))
    return (
        from_lanes(deviation, n_clusters),
        slopes,
        from_lanes(s, n_clusters),
        from_lanes(means, n_clusters),
    )


@kernel
def coordinates_of(x, s, ints, floats, statistics, approximation):
    """Coordinates t at which the effects are E b + chol(Omega_bb) s, for s (J x n_b)."""
    n_clusters, n = s.shape
    _, omega, _, _, _, _ = between_moments(x, ints, floats)
    first = omega.shape[0] - n
    root = omega[first:, first:].copy()
    cholesky(root, n)
    origin, slopes, _, _ = coordinate_map(
        x, np.zeros_like(s), ints, floats, statistics, approximation
    )
    t = np.empty_like(s)
    for j in range(n_clusters):
        # rows in units of their standard deviations: they may be 1e-8
        slope, right = np.empty((n, n)), np.empty(n)
        for i in range(n):
            sd = math.sqrt(omega[first + i, first + i])
            total = -origin[j, i] / sd
            for k in range(i + 1):
                total += root[i, k] / sd * s[j, k]
            right[i] = total
            for k in range(n):
                slope[i, k] = slopes[j, i, k] / sd
        t[j] = np.linalg.solve(slope, right)
    return t
