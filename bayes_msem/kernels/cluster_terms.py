"""The log-likelihood cluster by cluster: what model comparison needs, without gradients.

The terms are those of kernels.clusters: with c_j = (z_j, b_j) and the rows of the cluster sorted
into pieces (data.pieces) with W = Sigma_oo^-1 of the observed outcomes,

    log p(y_j, z_j | b_j) = log N(c_j) - log N(b_j)
        - 1/2 sum_pieces [ count log 2 pi + n log|Sigma_oo| + tr(W S) ]
        - 1/2 [ log|K| - g' V h ]            (linear effects integrated out: kernels.integrate)

They add up to what kernels.clusters returns. Effects b may be given at many points (nodes) at
once, for integrals over them: data and level 2 are then prepared once for all nodes.
"""

from __future__ import annotations

import numpy as np

from bayes_msem.kernels.cluster_values import cluster_values, use_vectors
from bayes_msem.kernels.clusters import between_moments
from bayes_msem.kernels.compile import kernel
from bayes_msem.kernels.groups import LOG_2PI, invert
from bayes_msem.kernels.integrate import add_pieces, integrate_effects, piece_room
from bayes_msem.kernels.lanes import LANES
from bayes_msem.kernels.level_two import condition_batch
from bayes_msem.likelihood.cluster_program import (
    SIZES,
    USE_COLUMN,
    USE_EFFECT,
    USE_VARIABLE,
    WITHIN,
)
from bayes_msem.likelihood.cluster_statistics import unpack_statistics
from bayes_msem.likelihood.packing import integers, level_forward_into


@kernel
def cluster_log_likelihoods(x, b, ints, floats, statistics):
    """Log p(y_j, z_j | b_j, theta) of every cluster.

    Parameters
    ----------
    x : (n_theta,) array
        Sampled parameters and constrained rows.
    b : (J, n_b) array
        Sampled effects, C-contiguous.
    ints, floats, statistics
        See likelihood.cluster_program; the statistics are those by cluster.

    Returns
    -------
    (J,) array
        Minus infinity where a covariance matrix is not positive definite.
    """
    nodes = b.reshape((1, b.shape[0], b.shape[1]))
    return node_log_likelihoods(x, nodes, ints, floats, statistics)[0]


@kernel
def node_log_likelihoods(x, b, ints, floats, statistics):
    """Log p(y_j, z_j | b_j, theta) at many values of b: (nodes, J) from b (nodes, J, n_b)."""
    sizes = integers(ints, SIZES)
    p, n_d, n_theta, n_x = sizes[0], sizes[1], sizes[3], sizes[3] + sizes[4]
    n_a, n_uses, n_z, n_b, m_w = sizes[5], sizes[6], sizes[7], sizes[8], sizes[9]
    n_c, recursive, n_rows = n_z + n_b, sizes[11] == 1, sizes[4]
    use_effect, use_column = integers(ints, USE_EFFECT), integers(ints, USE_COLUMN)
    use_variable = integers(ints, USE_VARIABLE)
    center, first, size, dd, dy, yy, seen, w_design, z, z_seen = unpack_statistics(ints, statistics)
    n_nodes, n_clusters = b.shape[0], b.shape[1]
    values, omega, c_b, _, _, _ = between_moments(x, ints, floats)
    x_j = np.empty(n_x)
    x_j[:n_theta] = x
    result = np.full((n_nodes, n_clusters), -np.inf)
    inverse_b, scratch_b = np.empty((n_b, n_b)), omega[n_a + n_z :, n_a + n_z :].copy()
    log_det_b, positive = invert(scratch_b, n_b, inverse_b)
    if not positive:
        return result
    inverse_c, b_matrix = np.empty((n_c, n_c)), np.empty((n_a, n_c))
    v_effects, v = np.empty((n_a, n_a)), np.empty((n_uses, n_uses))
    omega_j, r_c, fixed = np.empty_like(omega), np.empty(n_c), np.empty(n_a + n_c)
    sigma, c_w, effect = np.zeros((p, p)), np.zeros((n_d, p)), np.empty((n_uses, p))
    t, a, inverse = np.empty((m_w, p)), np.empty((m_w, p)), np.empty((m_w, m_w))
    c, space = np.empty((p, n_d)), piece_room(p, n_d, n_uses)
    h_matrix, m_matrix = np.empty((n_uses, n_uses)), np.empty((n_uses, n_uses))
    g, score, work = np.empty(n_uses), np.empty(n_uses), np.empty((4, n_uses, n_uses))
    if n_rows == 0:  # the same for all clusters
        level_forward_into(WITHIN, m_w, recursive, values, ints, sigma, c_w, t, a, inverse)
        use_vectors(use_variable, t, effect)
    for j in range(n_clusters):
        log_det_c, positive = condition_batch(
            omega, n_a, z_seen[j], omega_j, inverse_c, b_matrix, v_effects
        )
        if not positive:
            continue
        for q in range(n_uses):
            for u in range(n_uses):
                v[q, u] = v_effects[use_effect[q], use_effect[u]]
        for i in range(n_a + n_c):
            fixed[i] = 0.0
            for d in range(w_design.shape[1]):
                fixed[i] += c_b[d, i] * w_design[j, d]
        batch, lane = j // LANES, j % LANES
        for node in range(n_nodes):
            for i in range(n_c):
                given = z[j, i] * z_seen[j, i] if i < n_z else b[node, j, i - n_z]
                r_c[i] = given - fixed[n_a + i]
                if i < n_z:
                    r_c[i] *= z_seen[j, i]
            twice = 0.0
            if n_z > 0:
                twice -= _squares(r_c, 0, n_c, inverse_c) + log_det_c
                for i in range(n_z):
                    twice -= z_seen[j, i] * LOG_2PI
                twice += _squares(r_c, n_z, n_b, inverse_b) + log_det_b
            if n_rows > 0:
                cluster_values(b[node, j], ints, floats, x_j, values)
                sigma[:, :] = 0.0
                c_w[:, :] = 0.0
                level_forward_into(WITHIN, m_w, recursive, values, ints, sigma, c_w, t, a, inverse)
                use_vectors(use_variable, t, effect)
            c[:, :] = c_w.T
            for i in range(p):
                c[i, 0] -= center[i]
            for q in range(n_uses):
                mean = fixed[use_effect[q]]
                for i in range(n_c):
                    mean += b_matrix[use_effect[q], i] * r_c[i]
                for i in range(p):
                    c[i, use_column[q]] += mean * effect[q, i]
            h_matrix[:, :] = 0.0
            g[:] = 0.0
            rows, definite = add_pieces(
                int(first[batch]), int(first[batch + 1]), lane, size, dd, dy, yy, seen, sigma, c,
                use_column, effect, h_matrix, g, space,
            )  # fmt: skip
            twice += rows
            if definite:
                value, definite = integrate_effects(n_uses, h_matrix, g, v, work, score, m_matrix)
                if definite:
                    result[node, j] = 0.5 * (twice + value)
    return result


@kernel
def _squares(r, first, n, inverse):
    """Quadratic form r' inverse r of n elements of r from ``first`` on."""
    total = 0.0
    for i in range(n):
        for k in range(n):
            total += r[first + i] * inverse[i, k] * r[first + k]
    return total
