r"""The log-likelihood of incomplete data when all clusters share their within-level matrices.

Without sampled effects Sigma is the same in every cluster, so what belongs to a response pattern
is computed once per pattern, not once per piece (see data.pieces). With W_g = Sigma_oo^-1 of
pattern g, zero where outcomes are missing, a reference mean a0 of the linear effects (their mean
at the average cluster), C0 = C + sum_q a0_q l_q e_col', deviations delta_j = mean_j - a0, and the
pooled cross products of the pattern (R_g, S_g at C0),

    H_j[q, s] = sum_g DD_jg[col_q, col_s] M_g[q, s] ,        M_g[q, s] = l_q' W_g l_s
    g_j[q]    = sum_g l_q' W_g (DY_jg' - C0 DD_jg)[:, col_q] - (H_j delta_j)[q]
    ll = sum_g -1/2 [ n_g (p_g log 2 pi + log|Sigma_oo|) + tr(W_g S_g) ]
         + sum_j 1/2 [ 2 delta_j' g_j + delta_j' H_j delta_j - log|K_j| + g_j' V h_j ] ,

the last two terms as in kernels.integrate; likelihood.pattern_statistics packs the data. A piece
costs no more than a few products of a vector, whatever the number of its rows. The reverse uses,
per pattern and pooled over clusters, with the posterior mean e_j = delta_j + m_j and covariance P_j
of the effects,

    U_g[q] = sum_j e_jq (DY_jg, DD_jg)[col_q] ,   Q_g[q, s] = sum_j (e_jq e_js + P_jqs) DD_jg[q, s]
    ES_g   = S_g - sum_q (l_q T_q' + T_q l_q') + sum_qs Q_g[q, s] l_q l_s' ,  T_q = U_g[q] (I, -C0)'
    d/dSigma = sum_g -1/2 n_g W_g + 1/2 W_g ES_g W_g
    d/dC0    = sum_g W_g (R_g - sum_q l_q U_g[q, d]')
    d/dl_q   = sum_g W_g (T_q - sum_s Q_g[q, s] l_s)        (C0 held fixed)

A reference mean keeps the terms small: nothing large cancels, whatever the means of the data.
Single-level models are the case without clusters.
"""

from __future__ import annotations

import numpy as np

from bayes_msem.kernels.cluster_values import use_vectors
from bayes_msem.kernels.clusters import (
    add_across,
    between_gradient,
    between_moments,
    cluster_value_and_gradient,
)
from bayes_msem.kernels.compile import kernel
from bayes_msem.kernels.groups import LOG_2PI, invert
from bayes_msem.kernels.integrate import (
    drop_unseen,
    integrate_effects,
    keep_seen,
    posterior_effects,
    residuals,
)
from bayes_msem.kernels.lanes import (
    LANES,
    across,
    as_lanes,
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
from bayes_msem.kernels.piece_sums import lower, pieces_backward, pieces_forward, triangle
from bayes_msem.likelihood.cluster_program import (
    SIZES,
    USE_COLUMN,
    USE_EFFECT,
    USE_VARIABLE,
    WITHIN,
)
from bayes_msem.likelihood.cluster_statistics import level_two_statistics
from bayes_msem.likelihood.packing import integers, level_backward, level_forward
from bayes_msem.likelihood.pattern_statistics import pattern_statistics


@kernel
def _patterns_forward(
    p, n_d, n_uses, sigma, c0, effect, size, dd, dy, yy, seen, w, r, s, m_matrix, projection
):
    """Fill W, R, S, M and the projections l_q' W (I, -C0) of all patterns.

    Returns
    -------
    tuple of (float, bool)
        The patterns' part of the log-likelihood, and whether Sigma is positive definite.
    """
    masked, wl = lanes_matrix(p, p), lanes_matrix(n_uses, p)
    twice = 0.0
    for g in range(len(size)):
        count = keep_seen(sigma, seen[g], masked)
        log_det, positive = invert(masked, p, w[g])
        if not positive:
            return -np.inf, False
        drop_unseen(seen[g], w[g])
        residuals(p, n_d, dd[g], dy[g], yy[g], c0, r[g], s[g])
        trace = 0.0
        for i in range(p):
            for k in range(p):
                trace += w[g, i, k] * s[g, i, k]
        twice -= trace + size[g] * (count * LOG_2PI + log_det)
        for q in range(n_uses):
            wl[q, :] = 0.0
            for k in range(p):
                if effect[q, k] != 0.0:
                    for i in range(p):
                        wl[q, i] += w[g, i, k] * effect[q, k]
            for i in range(p):
                projection[g, q, i] = wl[q, i]
            for d in range(n_d):
                total = 0.0
                for i in range(p):
                    total -= wl[q, i] * c0[i, d]
                projection[g, q, p + d] = total
            for u in range(q + 1):
                total = 0.0
                for i in range(p):
                    if effect[u, i] != 0.0:
                        total += wl[q, i] * effect[u, i]
                m_matrix[g, lower(q, u)] = total
    return 0.5 * across(twice), True


@kernel
def _patterns_backward(
    p, n_d, n_uses, c0, effect, size, w, r, s, u_matrix, q_matrix, d_sigma, d_c0, d_effect
):
    """Fill the gradients with respect to Sigma, C0 and the l_q."""
    t_matrix, product = lanes_matrix(n_uses, p), lanes_matrix(p, p)
    d_sigma_l, d_c_l = lanes_matrix(p, p), lanes_matrix(p, n_d)
    d_effect_l, inner = lanes_matrix(n_uses, p), lanes_vector(p)
    for g in range(len(size)):
        for q in range(n_uses):
            for i in range(p):
                total = u_matrix[g, q, i]
                for d in range(n_d):
                    total -= c0[i, d] * u_matrix[g, q, p + d]
                t_matrix[q, i] = total
        for q in range(n_uses):
            for i in range(p):
                inner[i] = t_matrix[q, i]
            for u in range(n_uses):
                for i in range(p):
                    if effect[u, i] != 0.0:
                        inner[i] -= q_matrix[g, lower(q, u)] * effect[u, i]
            for i in range(p):
                total = 0.0
                for k in range(p):
                    total += w[g, i, k] * inner[k]
                d_effect_l[q, i] += total
            # ES: S - l (T - Q l)' - T l', the first bracket being ``inner``
            for i in range(p):
                if effect[q, i] != 0.0:
                    for k in range(p):
                        s[g, i, k] -= effect[q, i] * inner[k]
                        s[g, k, i] -= effect[q, i] * t_matrix[q, k]
                    for d in range(n_d):
                        r[g, i, d] -= effect[q, i] * u_matrix[g, q, p + d]
        for i in range(p):
            for d in range(n_d):
                total = 0.0
                for k in range(p):
                    total += w[g, i, k] * r[g, k, d]
                d_c_l[i, d] += total
            for k in range(p):
                total = 0.0
                for m in range(p):
                    total += w[g, i, m] * s[g, m, k]
                product[i, k] = total
        for i in range(p):
            for k in range(i + 1):
                total = -size[g] * w[g, i, k]
                for m in range(p):
                    total += product[i, m] * w[g, m, k]
                d_sigma_l[i, k] += 0.5 * total
    for i in range(p):
        for k in range(i + 1):
            d_sigma[i, k] = across(d_sigma_l[i, k])
            d_sigma[k, i] = d_sigma[i, k]
        for d in range(n_d):
            d_c0[i, d] = across(d_c_l[i, d])
        for q in range(n_uses):
            d_effect[q, i] = across(d_effect_l[q, i])


@kernel
def _integrate_clusters(ints, statistics, reference, omega, c_b, h, g, e, spread, d_omega, d_c_b):
    """Integrate the effects of all clusters; fill e and spread (lanes), add to the gradients.

    ``h`` (batches, lower triangles) and ``g`` (batches, uses) are lanes. Returns the clusters' part
    of the log-likelihood, minus infinity where a matrix is not positive definite.
    """
    sizes = integers(ints, SIZES)
    n_a, n_uses, n_z, n_c = sizes[5], sizes[6], sizes[7], sizes[7]
    n_u = n_a + n_z
    use_effect = integers(ints, USE_EFFECT)
    _, w_design, z, z_seen = level_two_statistics(ints, statistics)
    z_masked = statistics[4] > 0.0
    n_batches, n_w = len(w_design), w_design.shape[1]
    inverse_c, b_matrix = lanes_matrix(n_c, n_c), lanes_matrix(n_a, n_c)
    omega_l, d_omega_l = lanes_matrix(n_u, n_u), lanes_matrix(n_u, n_u)
    v_effects, v = lanes_matrix(n_a, n_a), lanes_matrix(n_uses, n_uses)
    r_c, d_r = lanes_matrix(n_batches, n_c), lanes_matrix(n_batches, n_c)
    nothing = lanes_matrix(n_batches, 0)
    deviations(n_a, n_z, z, z_seen, nothing, c_b, w_design, r_c)
    h_matrix, m_matrix = lanes_matrix(n_uses, n_uses), lanes_matrix(n_uses, n_uses)
    covariance, score, delta = (
        lanes_matrix(n_uses, n_uses),
        lanes_vector(n_uses),
        lanes_vector(n_uses),
    )
    deviation, g_j = lanes_vector(n_uses), lanes_vector(n_uses)
    work = as_lanes(np.empty((4, n_uses, n_uses, LANES)))
    d_v, d_b_matrix = lanes_matrix(n_a, n_a), lanes_matrix(n_a, n_c)
    d_c_u, scaled = lanes_matrix(n_w, n_u), lanes_vector(n_c)
    log_det_c, twice, joint = 0.0, 0.0, 0.0
    for b in range(n_batches):
        if z_masked or b == 0:
            log_det_c, positive = condition_batch(
                omega, n_a, z_seen[b], omega_l, inverse_c, b_matrix, v_effects
            )
            if not positive:
                return -np.inf
            for q in range(n_uses):
                for u in range(n_uses):
                    v[q, u] = v_effects[use_effect[q], use_effect[u]]
        if n_z > 0:
            joint += given_density(
                n_a, z_seen[b], w_design[b, 0], r_c[b], inverse_c, log_det_c, d_r[b], d_omega_l,
                scaled,
            )  # fmt: skip
        for q in range(n_uses):
            value = -reference[q] * w_design[b, 0]
            for d in range(n_w):
                value += c_b[d, use_effect[q]] * w_design[b, d]
            for i in range(n_c):
                value += b_matrix[use_effect[q], i] * r_c[b, i]
            delta[q] = value
        for q in range(n_uses):
            total = g[b, q]
            for u in range(n_uses):
                h_matrix[q, u] = h[b, lower(q, u)]
                total -= h_matrix[q, u] * delta[u]
            g_j[q] = total
            twice += delta[q] * (g[b, q] + total)  # 2 delta' g + delta' H delta, g shifted
        value, positive = integrate_effects(n_uses, h_matrix, g_j, v, work, score, m_matrix)
        if not positive:
            return -np.inf
        twice += value
        posterior_effects(n_uses, v, score, m_matrix, deviation, covariance, work[0])
        for q in range(n_uses):
            e[b, q] = delta[q] + deviation[q]
        for q in range(n_uses):
            for u in range(n_uses):
                spread[b, lower(q, u)] = e[b, q] * e[b, u] + covariance[q, u]
                d_v[use_effect[q], use_effect[u]] += 0.5 * (score[q] * score[u] - m_matrix[q, u])
            for d in range(n_w):
                d_c_u[d, use_effect[q]] += score[q] * w_design[b, d]
            for i in range(n_c):
                d_b_matrix[use_effect[q], i] += score[q] * r_c[b, i]
                d_r[b, i] += score[q] * b_matrix[use_effect[q], i]
        if z_masked or b == n_batches - 1:
            condition_batch_back(
                n_a, z_seen[b if z_masked else 0], b_matrix, inverse_c, d_b_matrix, d_v, d_omega_l,
                d_omega,
            )  # fmt: skip
    deviations_back(n_a, n_z, z_seen, w_design, d_r, nothing, d_c_u)
    add_across(d_c_u, d_c_b)
    return across(joint) + 0.5 * across(twice)


@kernel
def _reference_means(ints, statistics, c_b, reference):
    """Mean of every use's effect at the average of (1, w) over clusters."""
    n_clusters, w_design, _, _ = level_two_statistics(ints, statistics)
    use_effect = integers(ints, USE_EFFECT)
    for d in range(w_design.shape[1]):
        average = 0.0
        for b in range(len(w_design)):
            average += w_design[b, d]
        for q in range(len(use_effect)):
            reference[q] += c_b[d, use_effect[q]] * across(average) / n_clusters


@kernel
def _flat(lanes, n):
    """Copy lanes (batches, rows, columns) into an array (n, rows * columns)."""
    batches, rows, columns = lanes.shape
    return from_lanes(lanes.reshape((batches, rows * columns)), n)


@kernel
def pattern_value_and_gradient(x, ints, floats, statistics):
    """Log p(y, z | theta) of incomplete data and its gradient; no sampled effects.

    Parameters
    ----------
    x : (n_theta,) array
        Sampled parameters (see structure.parameters) and constrained rows.
    ints, floats
        See likelihood.cluster_program.
    statistics
        From likelihood.pattern_statistics.

    Returns
    -------
    tuple of (float, (n_theta,) array)
    """
    sizes = integers(ints, SIZES)
    p, n_d, n_uses, m_w, recursive = sizes[0], sizes[1], sizes[6], sizes[9], sizes[11] == 1
    use_variable, column = integers(ints, USE_VARIABLE), integers(ints, USE_COLUMN)
    center, size, dd, dy, yy, seen, pattern, cluster, of_piece = pattern_statistics(
        ints, statistics
    )
    n_clusters, n_patterns, n_batches = int(-1 - statistics[0]), int(statistics[1]), len(size)
    d_x = np.zeros(len(x))
    values, omega, c_b, t_b, a_b, inverse_b = between_moments(x, ints, floats)
    sigma, c_w, effect = np.zeros((p, p)), np.zeros((n_d, p)), np.zeros((n_uses, p))
    t_w, a_w, inverse_w = level_forward(WITHIN, m_w, recursive, values, ints, sigma, c_w)
    use_vectors(use_variable, t_w, effect)
    reference, c0 = np.zeros(n_uses), np.empty((p, n_d))
    if n_clusters > 0:
        _reference_means(ints, statistics, c_b, reference)
    for i in range(p):
        for d in range(n_d):
            c0[i, d] = c_w[d, i]
        c0[i, 0] -= center[i]
        for q in range(n_uses):
            c0[i, column[q]] += reference[q] * effect[q, i]
    w = as_lanes(np.empty((n_batches, p, p, LANES)))
    r, s = (
        as_lanes(np.empty((n_batches, p, n_d, LANES))),
        as_lanes(np.empty((n_batches, p, p, LANES))),
    )
    n_lower = triangle(n_uses)
    m_matrix = lanes_matrix(n_batches, n_lower)
    projection = as_lanes(np.empty((n_batches, n_uses, p + n_d, LANES)))
    value, positive = _patterns_forward(
        p, n_d, n_uses, sigma, c0, effect, size, dd, dy, yy, seen, w, r, s, m_matrix, projection
    )
    if not positive:
        return -np.inf, d_x
    u_matrix = np.zeros((n_patterns, n_uses * (p + n_d)))
    q_matrix = np.zeros((n_patterns, n_lower))
    d_omega, d_c_b = np.zeros_like(omega), np.zeros_like(c_b)
    if n_clusters > 0:
        h, g = np.zeros((n_clusters, n_lower)), np.zeros((n_clusters, n_uses))
        by_pattern = _flat(projection, n_patterns).reshape((n_patterns, n_uses, p + n_d))
        pieces_forward(
            n_uses, column, pattern, cluster, of_piece, from_lanes(m_matrix, n_patterns),
            by_pattern, h, g,
        )  # fmt: skip
        h_l, g_l = in_lanes(h), in_lanes(g)
        e_l, spread_l = lanes_matrix(len(h_l), n_uses), lanes_matrix(len(h_l), n_lower)
        value += _integrate_clusters(
            ints, statistics, reference, omega, c_b, h_l, g_l, e_l, spread_l, d_omega, d_c_b
        )
        if not value > -np.inf:
            return -np.inf, d_x
        pieces_backward(
            n_uses, column, pattern, cluster, of_piece, from_lanes(e_l, n_clusters),
            from_lanes(spread_l, n_clusters), u_matrix, q_matrix,
        )  # fmt: skip
    d_sigma, d_c0, d_effect = np.zeros((p, p)), np.zeros((p, n_d)), np.zeros((n_uses, p))
    u_l = in_lanes(u_matrix).reshape((n_batches, n_uses, p + n_d))
    q_l = in_lanes(q_matrix)
    _patterns_backward(p, n_d, n_uses, c0, effect, size, w, r, s, u_l, q_l, d_sigma, d_c0, d_effect)
    gradient, d_t, scratch = np.zeros(len(values)), np.zeros((m_w, p)), np.empty((m_w, p))
    for q in range(n_uses):
        if use_variable[q] >= 0:
            for i in range(p):
                d_t[use_variable[q], i] += d_effect[q, i] + reference[q] * d_c0[i, column[q]]
    level_backward(
        WITHIN, m_w, recursive, values, ints, t_w, a_w, inverse_w, d_sigma,
        np.ascontiguousarray(d_c0.T), d_t, scratch, gradient,
    )  # fmt: skip
    between_gradient(x, ints, floats, values, t_b, a_b, inverse_b, d_omega, d_c_b, gradient, d_x)
    return value, d_x


@kernel
def marginal_value_and_gradient(x, b, ints, floats, statistics):
    """Log p(y, z | b, theta) and its gradients, for statistics of either layout."""
    if statistics[0] < 0.0:
        value, d_x = pattern_value_and_gradient(x, ints, floats, statistics)
        return value, d_x, np.zeros_like(b)
    return cluster_value_and_gradient(x, b, ints, floats, statistics)
