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

from bayes_msem.kernels.by_cluster import add_clusters
from bayes_msem.kernels.compile import kernel
from bayes_msem.kernels.coordinates import (
    CoordinateGradients,
    approximation_of,
    coordinates_space,
    effects_backward,
    effects_forward,
)
from bayes_msem.kernels.lanes import (
    across,
    fill_empty_lanes,
    from_lanes,
    in_lanes,
    lanes_matrix,
    lanes_stack,
    lanes_vector,
)
from bayes_msem.kernels.layout import unpack
from bayes_msem.kernels.level_two import (
    LOG_2PI,
    add_across,
    effects_terms,
    effects_terms_back,
    given_means,
    given_means_back,
    given_space,
    gradients_of,
    level_two,
    level_two_back,
    whiten,
    whiten_back,
)
from bayes_msem.kernels.statistics import clusters
from bayes_msem.kernels.triangular import cholesky


@kernel
def prior_forward(top, t, w, data, given, space):
    """Fill prior and coordinates of all batches; return whether all is positive definite."""
    n_z, k = data.n_z, 0
    va = lanes_matrix(given.v.shape[1], given.v.shape[2])
    for g in range(len(t)):
        if g < len(given.root):
            k = g
            _, positive = whiten(
                top.omega, n_z, data.seen[g], given.root[k], given.u[k], given.v[k]
            )
            if not positive:
                return False
        given_means(
            data.seen[g],
            given.root[k],
            given.u[k],
            top.c,
            w[g],
            data.z[g],
            space.e[g],
            space.mean[g],
        )
        if not effects_forward(g, k, given, data, t[g], va, space):
            return False
    return True


@kernel
def prior_backward(
    t, w, data, given, space, d_b, weight, of_root, d_t, d_shift, d_info, d_eta2, totals
):
    """Reverse of ``prior_forward`` for sum(d_b b) + weight log p(t).

    ``of_root``: log p(t) is log|L| - log|C|, not -1/2 s's - log|C|. Fills d_t and, where these have
    batches, the gradients of S and eta2; adds to the gradients of Omega and C in ``totals``, and
    to that of the shift.
    """
    n_z, n_a, n_b, n_c = data.n_z, data.n_a, space.s.shape[1], given.root.shape[1]
    d = CoordinateGradients(
        lanes_matrix(n_c, n_c), lanes_matrix(n_a, n_c), lanes_matrix(n_a, n_a),
        lanes_vector(n_a + n_b), lanes_vector(n_b), lanes_vector(n_b), d_info, d_eta2,
    )  # fmt: skip
    d_e, d_c, m = lanes_vector(n_z), lanes_matrix(w.shape[1], totals.c.shape[1]), max(n_a, n_b) + 1
    scratch = lanes_stack(4, m, m)
    for g in range(len(t)):
        k = min(g, len(given.root) - 1)
        root, u = given.root[k], given.u[k]
        for i in range(n_b):
            d.s[i] = 0.0
            if of_root:
                d.root[n_z + i, n_z + i] += weight * w[g, 0] / root[n_z + i, n_z + i]
            else:
                d.s[i] -= weight * space.s[g, i]
        effects_backward(g, k, given, data, t[g], space, d_b[g], -weight, d_t[g], d, scratch)
        for i in range(n_z):
            d_e[i] = 0.0
        given_means_back(data.seen[g], root, u, w[g], space.e[g], d.mean, d_e, d.root, d.u, d_c)
        if len(given.root) > 1 or g == len(t) - 1:
            # unmasked, the first batch says which z are observed: all of them
            whiten_back(n_z, data.seen[k], root, u, d.root, d.u, d.v, totals.omega)
    add_across(d_c, totals.c)
    for i in range(n_b):
        d_shift[i] += across(d.shift[i])


@kernel
def log_jacobian(n_z, w, given, space, of_root):
    """Sum of the log densities of t, without constants."""
    chol, s = space.chol, space.s
    n, total = s.shape[1], lanes_vector(1)
    for g in range(len(s)):
        root = given.root[min(g, len(given.root) - 1)]
        product, squares = 1.0, 0.0
        for i in range(n):
            squares -= s[g, i] * s[g, i]
            product *= chol[g, i, i]
            if of_root:  # w is zero where there is no cluster
                total[0] += w[g, 0] * math.log(root[n_z + i, n_z + i])
            if i % 2 == 1 or i == n - 1:
                total[0] -= math.log(product)
                product = 1.0
        if not of_root:
            total[0] += 0.5 * squares
    return across(total[0])


@register_jitable
def start(x, t, ints, floats, statistics, packed):
    """Return structure, moments of level 2, (1, w), approximation, and coordinates as lanes."""
    structure, n_clusters = unpack(ints, floats), len(t)
    data, top = approximation_of(structure, n_clusters, packed), level_two(x, structure)
    units = clusters(statistics, structure.between.n_design, structure.n_z)
    t_l, n_b = in_lanes(t), t.shape[1]
    n_priors = len(t_l) if data.masked else min(len(t_l), 1)
    given = given_space(n_priors, data.n_a, data.n_z + n_b)
    return (
        structure,
        top,
        units.w,
        data,
        t_l,
        given,
        coordinates_space(len(t_l), data.n_a, data.n_z, n_b),
    )


@kernel
def _evaluate(x, t, ints, floats, statistics, packed, with_data, with_effects):
    """Log p(y, z | b(t), theta), log p(t | theta) or their sum, and the gradients."""
    structure, top, w, data, t_l, given, space = start(x, t, ints, floats, statistics, packed)
    n_clusters, n_b, n, of_root = len(t), t.shape[1], len(t_l), data.n_z > 0
    d, total = gradients_of(x, top, n, n_b), 0.0
    if not prior_forward(top, t_l, w, data, given, space):
        return -np.inf, d.x, np.zeros_like(t)
    fill_empty_lanes(space.b, n_clusters)
    ones, terms, d_t = lanes_matrix(n, 1), lanes_matrix(n, 1), lanes_matrix(n, n_b)
    for g in range(n):
        ones[g, 0] += 1.0
    if with_data:
        # of log p(z, b) - log p(b) the last term cancels where p(t) has p(b)
        given_b = not (with_effects and of_root)
        total = add_clusters(x, space.b, structure, statistics, top, given_b, ones, terms, d)
    elif of_root:
        if not effects_terms(1.0, top, w, space.b, terms):
            total = -np.inf
        effects_terms_back(1.0, ones, top, w, space.b, d)
        for g in range(n):
            total += across(terms[g, 0])
    if total == -np.inf:
        return total, d.x, np.zeros_like(t)
    if with_effects:
        total += log_jacobian(data.n_z, w, given, space, of_root)
        if not of_root:
            total -= 0.5 * n_clusters * n_b * LOG_2PI
    weight = 1.0 if with_effects else 0.0
    d_shift, none = np.zeros(n_b), lanes_matrix(0, 0)
    prior_backward(
        t_l, w, data, given, space, d.effects, weight, of_root, d_t, d_shift, none, none, d
    )
    level_two_back(x, structure, top, d.omega, d.c, d.values, d.x)
    return total, d.x, from_lanes(d_t, n_clusters)


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
        A packed structure (kernels.layout) and statistics by cluster.
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
    _, top, w, data, t_l, given, space = start(x, t, ints, floats, statistics, approximation)
    n, n_z, n_priors = len(t_l), data.n_z, len(given.root)
    slopes = np.full((n_clusters, n_b, n_b), np.nan)
    if not prior_forward(top, t_l, w, data, given, space):
        return np.full_like(t, np.nan), slopes, np.full_like(t, np.nan), np.full_like(t, np.nan)
    root, e, chol, s, c_b = given.root, space.e, space.chol, space.s, top.c
    deviation, means = lanes_matrix(n, n_b), lanes_matrix(n, n_b)
    slope = lanes_matrix(n, n_b * n_b)
    column = lanes_vector(n_b)
    first = c_b.shape[1] - n_b
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
    omega = level_two(x, unpack(ints, floats)).omega
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
