"""The log-likelihood of models with random coefficients: one pass over the clusters.

Level 2 is one vector u = (a, z, b) per cluster: linear effects a (integrated out), cluster-level
variables z (observed) and sampled effects b (given), with

    u_j ~ N(mu_j, Omega) ,   mu_j = C_b (1, w_j)

from the between-level template. Conditioning on (z, b) =: c gives a_j ~ N(mean_j, V),

    mean_j = mu_aj + B r_j ,  r_j = c_j - mu_cj ,
    B = Omega_ac Omega_cc^-1 ,  V = Omega_aa - B Omega_ca

and kernels.integrate does the rest. The kernel returns log p(y, z | b, theta) with its gradient;
the density of b belongs to likelihood.centring. Rows of sampled effects occupy the entries of the
value vector behind theta; only they differ between clusters.

Clusters are taken ``LANES`` at a time (see kernels.lanes): a batch. All arrays of the pass over
the clusters hold lanes, gradients that concern all clusters too; these are summed over the lanes
at the end. Lanes of the last batch without a cluster hold statistics of zero, and so add nothing
to values and gradients, and sampled effects of a true cluster, so that nothing in them fails.
"""

from __future__ import annotations

import numpy as np

from bayes_msem.kernels.cluster_values import cluster_gradient, cluster_values, use_vectors
from bayes_msem.kernels.compile import kernel
from bayes_msem.kernels.conditioning import normal_density
from bayes_msem.kernels.groups import LOG_2PI, invert
from bayes_msem.kernels.integrate import (
    drop_unseen,
    integrate_effects,
    keep_seen,
    moment_gradients,
    posterior_effects,
    project,
    residuals,
)
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
from bayes_msem.kernels.level_two import (
    condition_batch,
    condition_batch_back,
    deviations,
    deviations_back,
    given_density,
)
from bayes_msem.kernels.transform import backward as transform_backward
from bayes_msem.kernels.transform import forward as transform_forward
from bayes_msem.likelihood.cluster_program import (
    BETWEEN,
    COMMON,
    CONSTANTS,
    SD_COMMON,
    SIZES,
    TRANSFORM,
    USE_COLUMN,
    USE_EFFECT,
    USE_VARIABLE,
    WITHIN,
)
from bayes_msem.likelihood.cluster_statistics import lane_statistics, level_two_statistics
from bayes_msem.likelihood.packing import (
    floats_at,
    integers,
    level_backward,
    level_forward,
    level_forward_into,
)


@kernel
def common_values(x, ints, floats):
    """Value vector with the entries that all clusters share; those of random rows are zero."""
    sizes, constants = integers(ints, SIZES), floats_at(floats, CONSTANTS)
    n_theta, n_x = sizes[3], sizes[3] + sizes[4]
    values = np.zeros(n_x + len(constants))
    transform_forward(
        x,
        integers(ints, TRANSFORM),
        integers(ints, COMMON),
        integers(ints, COMMON + 1),
        floats_at(floats, SD_COMMON),
        integers(ints, COMMON + 2),
        integers(ints, COMMON + 3),
        integers(ints, COMMON + 4),
        integers(ints, COMMON + 5),
        values[:n_theta],
    )
    values[n_x:] = constants
    return values


@kernel
def common_gradient(x, ints, floats, gradient, d_x):
    """Pull a gradient with respect to the shared values back to x (added to ``d_x``)."""
    transform_backward(
        x,
        integers(ints, TRANSFORM),
        integers(ints, COMMON),
        integers(ints, COMMON + 1),
        floats_at(floats, SD_COMMON),
        integers(ints, COMMON + 2),
        integers(ints, COMMON + 3),
        integers(ints, COMMON + 4),
        integers(ints, COMMON + 5),
        gradient[: len(x)],
        d_x,
    )


@kernel
def between_moments(x, ints, floats):
    """Return values, Omega, mean coefficients C_b (Db x n_u), and what the reverse needs."""
    sizes = integers(ints, SIZES)
    n_u = sizes[5] + sizes[7] + sizes[8]
    values = common_values(x, ints, floats)
    omega, c_b = np.zeros((n_u, n_u)), np.zeros((sizes[2], n_u))
    t, a, inverse = level_forward(BETWEEN, sizes[10], sizes[12] == 1, values, ints, omega, c_b)
    return values, omega, c_b, t, a, inverse


@kernel
def between_gradient(x, ints, floats, values, t, a, inverse, d_omega, d_c_b, gradient, d_x):
    """Pull gradients with respect to Omega and C_b back to x (added to ``d_x``).

    ``gradient`` comes with what the shared values get from elsewhere.
    """
    sizes = integers(ints, SIZES)
    m_b, n_u = sizes[10], d_omega.shape[0]
    d_t, h = np.zeros((m_b, n_u)), np.empty((m_b, n_u))
    level_backward(
        BETWEEN, m_b, sizes[12] == 1, values, ints, t, a, inverse, d_omega, d_c_b, d_t, h, gradient
    )
    common_gradient(x, ints, floats, gradient, d_x)


@kernel
def typical_theta(x, ints, floats):
    """Table values with the sampled effects at their intercepts (the typical cluster).

    A covariance of variables whose variance is random has no single value: its parameter is the
    correlation, and its table value the covariance at the typical standard deviations.
    """
    sizes = integers(ints, SIZES)
    n_x, n_b = sizes[3] + sizes[4], sizes[8]
    values, _, c_b, _, _, _ = between_moments(x, ints, floats)
    typical = np.empty((1, n_b))
    for i in range(n_b):
        typical[0, i] = c_b[0, sizes[5] + sizes[7] + i]
    x_j = np.empty(n_x)
    x_j[: len(x)] = x
    cluster_values(typical[0], ints, floats, x_j, values)
    return values[:n_x]


@kernel
def add_across(lanes, floats):
    """Add the sums over clusters to a matrix."""
    for i in range(floats.shape[0]):
        for k in range(floats.shape[1]):
            floats[i, k] += across(lanes[i, k])


@kernel
def add_clusters(
    x, effects, ints, floats, statistics, values_b, omega, c_b,
    d_x, d_effects, d_values, d_omega, d_c_b, given_effects,
):  # fmt: skip
    """Log p(y, z | b, theta), given the moments of level 2; add to the gradients.

    Parameters
    ----------
    x, ints, floats, statistics
        See :func:`cluster_value_and_gradient`.
    effects : (batches, n_b) lanes
        Sampled effects; the lanes without a cluster hold those of some cluster.
    values_b, omega, c_b
        See :func:`between_moments`.
    d_x, d_effects, d_values, d_omega, d_c_b
        Gradients; that of Omega is symmetric.
    given_effects
        False: of models with cluster-level outcomes z, log p(y, z, b | theta).

    Returns
    -------
    float
        Minus infinity, and gradients left unfinished, where a covariance matrix is not positive
        definite.
    """
    sizes = integers(ints, SIZES)
    p, n_d, n_theta, n_rows = sizes[0], sizes[1], sizes[3], sizes[4]
    n_a, n_uses, n_z, n_b, m_w = sizes[5], sizes[6], sizes[7], sizes[8], sizes[9]
    recursive_w = sizes[11] == 1
    n_c, n_u = n_z + n_b, n_a + n_z + n_b
    use_effect, use_variable = integers(ints, USE_EFFECT), integers(ints, USE_VARIABLE)
    use_column = integers(ints, USE_COLUMN)
    center, first_piece, size, dd, dy, yy, seen = lane_statistics(ints, statistics)
    n_clusters, w_design, z, z_seen = level_two_statistics(ints, statistics)
    masked, z_masked = statistics[3] > 0.0, statistics[4] > 0.0
    n_batches, n_w = len(w_design), w_design.shape[1]
    inverse_c, b_matrix = lanes_matrix(n_c, n_c), lanes_matrix(n_a, n_c)
    omega_l, d_omega_l = lanes_matrix(n_u, n_u), lanes_matrix(n_u, n_u)
    v_effects, v = lanes_matrix(n_a, n_a), lanes_matrix(n_uses, n_uses)
    r_c, d_r = lanes_matrix(n_batches, n_c), lanes_matrix(n_batches, n_c)
    deviations(n_a, n_z, z, z_seen, effects, c_b, w_design, r_c)
    total = 0.0
    if n_z > 0 and n_b > 0 and given_effects:
        first = n_a + n_z
        value, positive = normal_density(-1.0, first, n_b, omega, n_clusters, r_c, d_omega, d_r)
        if not positive:
            return -np.inf
        total += value

    n_x = n_theta + n_rows
    x_j, values = lanes_vector(n_x), lanes_vector(len(values_b))
    for i in range(n_theta):
        x_j[i] = x[i]
    for i in range(len(values)):
        values[i] = values_b[i]
    depth = 1
    for g in range(n_batches):
        depth = max(depth, int(first_piece[g + 1] - first_piece[g]))
    sigma, sigma_copy = lanes_matrix(p, p), lanes_matrix(p, p)
    w, wl = as_lanes(np.zeros((depth, p, p, LANES))), as_lanes(np.zeros((depth, n_uses, p, LANES)))
    r, s = as_lanes(np.empty((depth, p, n_d, LANES))), as_lanes(np.empty((depth, p, p, LANES)))
    c_w, c, effect = lanes_matrix(n_d, p), lanes_matrix(p, n_d), lanes_matrix(n_uses, p)
    h_matrix, m_matrix = lanes_matrix(n_uses, n_uses), lanes_matrix(n_uses, n_uses)
    g_vector, score, mean = lanes_vector(n_uses), lanes_vector(n_uses), lanes_vector(n_uses)
    deviation, covariance = lanes_vector(n_uses), lanes_matrix(n_uses, n_uses)
    work = as_lanes(np.empty((4, n_uses, n_uses, LANES)))
    scratch = as_lanes(np.empty((2, max(p, 1), max(p, 1), LANES)))
    d_sigma, d_c_w, d_c = lanes_matrix(p, p), lanes_matrix(n_d, p), lanes_matrix(p, n_d)
    d_effect, d_t, h = lanes_matrix(n_uses, p), lanes_matrix(m_w, p), lanes_matrix(m_w, p)
    d_v, d_b_matrix = lanes_matrix(n_a, n_a), lanes_matrix(n_a, n_c)
    d_c_u, scaled = lanes_matrix(n_w, n_u), lanes_vector(n_c)
    gradient, d_x_j = lanes_vector(len(values)), lanes_vector(n_x)
    t, a, inverse = lanes_matrix(m_w, p), lanes_matrix(m_w, p), lanes_matrix(m_w, m_w)
    log_det, log_det_c, twice, joint = 0.0, 0.0, 0.0, 0.0
    for g in range(n_batches):
        if z_masked or g == 0:
            # the same for all batches if no z is missing (z_seen is then zero in empty lanes only)
            log_det_c, positive = condition_batch(
                omega, n_a, z_seen[g], omega_l, inverse_c, b_matrix, v_effects
            )
            if not positive:
                return -np.inf
            for q in range(n_uses):
                for u in range(n_uses):
                    v[q, u] = v_effects[use_effect[q], use_effect[u]]
        if n_z > 0:
            joint += given_density(
                n_a, z_seen[g], w_design[g, 0], r_c[g], inverse_c, log_det_c, d_r[g], d_omega_l,
                scaled,
            )  # fmt: skip
        if n_rows > 0 or g == 0:
            cluster_values(effects[g], ints, floats, x_j, values)
            sigma[:, :] = 0.0
            c_w[:, :] = 0.0
            level_forward_into(WITHIN, m_w, recursive_w, values, ints, sigma, c_w, t, a, inverse)
            use_vectors(use_variable, t, effect)
        for i in range(p):
            for d in range(n_d):
                c[i, d] = c_w[d, i]
            c[i, 0] -= center[i]
        for q in range(n_uses):
            e = use_effect[q]
            value = 0.0
            for d in range(n_w):
                value += c_b[d, e] * w_design[g, d]
            for i in range(n_c):
                value += b_matrix[e, i] * r_c[g, i]
            mean[q] = value
            for i in range(p):
                c[i, use_column[q]] += value * effect[q, i]
        h_matrix[:, :] = 0.0
        g_vector[:] = 0.0
        start, stop = int(first_piece[g]), int(first_piece[g + 1])
        for j in range(start, stop):
            k = j - start
            if masked:
                count = keep_seen(sigma, seen[j], sigma_copy) * size[j]
            elif n_rows > 0 or g == 0:
                sigma_copy[:, :] = sigma
                count = size[j] * p
            else:
                count = size[j] * p
            if masked or n_rows > 0 or g == 0:
                log_det, positive = invert(sigma_copy, p, w[k])
                if not positive:
                    return -np.inf
            if masked:
                drop_unseen(seen[j], w[k])
            residuals(p, n_d, dd[j], dy[j], yy[j], c, r[k], s[k])
            project(p, n_uses, use_column, dd[j], w[k], effect, r[k], wl[k], h_matrix, g_vector)
            trace = 0.0
            for i in range(p):
                for m in range(p):
                    trace += w[k, i, m] * s[k, i, m]
            twice -= trace + count * LOG_2PI + size[j] * log_det
        value, positive = integrate_effects(n_uses, h_matrix, g_vector, v, work, score, m_matrix)
        if not positive:
            return -np.inf
        twice += value

        posterior_effects(n_uses, v, score, m_matrix, deviation, covariance, work[0])
        d_c[:, :] = 0.0
        d_effect[:, :] = 0.0
        for j in range(start, stop):
            k = j - start
            moment_gradients(
                p, n_d, n_uses, size[j], use_column, dd[j], w[k], wl[k], effect, r[k], s[k],
                deviation, covariance, d_c, d_effect, d_sigma, scratch,
            )  # fmt: skip
        for q in range(n_uses):
            e = use_effect[q]
            for u in range(n_uses):
                d_v[e, use_effect[u]] += 0.5 * (score[q] * score[u] - m_matrix[q, u])
            if use_variable[q] >= 0:
                total_mean = mean[q] + deviation[q]
                for i in range(p):
                    d_t[use_variable[q], i] += d_effect[q, i] + total_mean * d_c[i, use_column[q]]
            for d in range(n_w):
                d_c_u[d, e] += score[q] * w_design[g, d]
            for i in range(n_c):
                d_b_matrix[e, i] += score[q] * r_c[g, i]
                d_r[g, i] += score[q] * b_matrix[e, i]
        for i in range(p):
            for d in range(n_d):
                d_c_w[d, i] += d_c[i, d]
        if n_rows > 0 or g == n_batches - 1:
            level_backward(
                WITHIN, m_w, recursive_w, values, ints, t, a, inverse, d_sigma, d_c_w, d_t, h,
                gradient,
            )  # fmt: skip
            cluster_gradient(ints, floats, x_j, gradient, d_x_j, d_effects[g])
            d_sigma[:, :] = 0.0
            d_c_w[:, :] = 0.0
            d_t[:, :] = 0.0
        if z_masked or g == n_batches - 1:
            # unmasked, the first batch says which z are observed: all of them
            condition_batch_back(
                n_a, z_seen[g if z_masked else 0], b_matrix, inverse_c, d_b_matrix, d_v, d_omega_l,
                d_omega,
            )  # fmt: skip

    for i in range(n_theta):
        d_x[i] += across(d_x_j[i])
    for i in range(len(values)):
        d_values[i] += across(gradient[i])
    deviations_back(n_a, n_z, z_seen, w_design, d_r, d_effects, d_c_u)
    add_across(d_c_u, d_c_b)
    return total + across(joint) + 0.5 * across(twice)


@kernel
def cluster_value_and_gradient(x, b, ints, floats, statistics):
    """Log p(y, z | b, theta) and its gradients.

    Parameters
    ----------
    x : (n_theta,) array
        Sampled parameters (see structure.parameters) and constrained rows.
    b : (J, n_b) array
        Sampled effects.
    ints, floats, statistics
        See likelihood.cluster_program.

    Returns
    -------
    tuple of (float, (n_theta,) array, (J, n_b) array)
    """
    n_clusters = b.shape[0]
    effects = in_lanes(b)
    fill_empty_lanes(effects, n_clusters)
    d_effects, d_x = lanes_matrix(effects.shape[0], effects.shape[1]), np.zeros(len(x))
    values, omega, c_b, t, a, inverse = between_moments(x, ints, floats)
    d_omega, d_c_b, d_values = np.zeros_like(omega), np.zeros_like(c_b), np.zeros_like(values)
    value = add_clusters(
        x, effects, ints, floats, statistics, values, omega, c_b,
        d_x, d_effects, d_values, d_omega, d_c_b, True,
    )  # fmt: skip
    if value == -np.inf:
        return value, d_x, np.zeros_like(b)
    between_gradient(x, ints, floats, values, t, a, inverse, d_omega, d_c_b, d_values, d_x)
    return value, d_x, from_lanes(d_effects, n_clusters)
