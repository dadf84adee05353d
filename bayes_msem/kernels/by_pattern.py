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

the last two terms as in kernels.integrate; likelihood.statistics packs the data. A piece
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

from typing import Any, NamedTuple

import numpy as np
from numba.extending import register_jitable

from bayes_msem.kernels.by_cluster import absorb_back, known_of, use_vectors, uses_covariance
from bayes_msem.kernels.compile import inner_kernel, kernel
from bayes_msem.kernels.integrate import (
    absorb,
    covariance_gradient,
    drop_unseen,
    keep_seen,
    message_space,
    posterior_effects,
    residuals,
    symmetrise,
)
from bayes_msem.kernels.lanes import (
    across,
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
    given_means,
    given_means_back,
    given_space,
    gradients_of,
    known_density,
    known_density_back,
    level_two,
    level_two_back,
    whiten,
    whiten_back,
)
from bayes_msem.kernels.pieces import lower, pieces_backward, pieces_forward, triangle
from bayes_msem.kernels.statistics import by_pattern, clusters
from bayes_msem.kernels.template import backward, effects_of, forward
from bayes_msem.kernels.triangular import invert


class Patterns(NamedTuple):
    """What the reverse needs of all patterns: W, R, S, M and the projections l_q' W (I, -C0)."""

    w: Any
    r: Any
    s: Any
    m: Any
    projection: Any


@register_jitable
def _patterns_space(n, p, n_d, n_uses):
    return Patterns(
        lanes_stack(n, p, p),
        lanes_stack(n, p, n_d),
        lanes_stack(n, p, p),
        lanes_matrix(n, triangle(n_uses)),
        lanes_stack(n, n_uses, p + n_d),
    )


@register_jitable
def _in_all_lanes(matrix):
    """Copy floats to lanes: the kernels of clusters see one kind of number."""
    lanes = lanes_matrix(matrix.shape[0], matrix.shape[1])
    for i in range(matrix.shape[0]):
        for k in range(matrix.shape[1]):
            lanes[i, k] = matrix[i, k]
    return lanes


@kernel
def _patterns_forward(data, sigma, c0, effect, space):
    """Fill what is known of all patterns.

    Returns
    -------
    tuple of (float, bool)
        The patterns' part of the log-likelihood, and whether Sigma is positive definite.
    """
    (n_uses, p), n_d = effect.shape, c0.shape[1]
    masked, wl, twice = lanes_matrix(p, p), lanes_matrix(n_uses, p), 0.0
    sigma_l, c0_l = _in_all_lanes(sigma), _in_all_lanes(c0)
    for g in range(len(data.size)):
        w, s, projection = space.w[g], space.s[g], space.projection[g]
        count = keep_seen(sigma_l, data.seen[g], masked)
        log_det, positive = invert(masked, p, w)
        if not positive:
            return -np.inf, False
        drop_unseen(data.seen[g], w)
        residuals(p, data.dd[g], data.dy[g], data.yy[g], c0_l, space.r[g], s)
        trace = 0.0
        for i in range(p):
            for k in range(p):
                trace += w[i, k] * s[i, k]
        twice -= trace + data.size[g, 0] * (count * LOG_2PI + log_det)
        for q in range(n_uses):
            wl[q, :] = 0.0
            for k in range(p):
                if effect[q, k] != 0.0:
                    for i in range(p):
                        wl[q, i] += w[i, k] * effect[q, k]
            for i in range(p):
                projection[q, i] = wl[q, i]
            for d in range(n_d):
                total = 0.0
                for i in range(p):
                    total -= wl[q, i] * c0[i, d]
                projection[q, p + d] = total
            for u in range(q + 1):
                total = 0.0
                for i in range(p):
                    if effect[u, i] != 0.0:
                        total += wl[q, i] * effect[u, i]
                space.m[g, lower(q, u)] = total
    return 0.5 * across(twice), True


@kernel
def _patterns_backward(data, c0, effect, space, u_matrix, q_matrix, gradients):
    """Fill the gradients with respect to Sigma, C0 and the l_q."""
    d_sigma, d_c0, d_effect = gradients
    (n_uses, p), n_d = effect.shape, c0.shape[1]
    t_matrix, product = lanes_matrix(n_uses, p), lanes_matrix(p, p)
    d_sigma_l, d_c_l = lanes_matrix(p, p), lanes_matrix(p, n_d)
    d_effect_l, inner = lanes_matrix(n_uses, p), lanes_vector(p)
    for g in range(len(data.size)):
        w, r, s = space.w[g], space.r[g], space.s[g]
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
                    total += w[i, k] * inner[k]
                d_effect_l[q, i] += total
            # ES: S - l (T - Q l)' - T l', the first bracket being ``inner``
            for i in range(p):
                if effect[q, i] != 0.0:
                    for k in range(p):
                        s[i, k] -= effect[q, i] * inner[k]
                        s[k, i] -= effect[q, i] * t_matrix[q, k]
                    for d in range(n_d):
                        r[i, d] -= effect[q, i] * u_matrix[g, q, p + d]
        for i in range(p):
            for d in range(n_d):
                total = 0.0
                for k in range(p):
                    total += w[i, k] * r[k, d]
                d_c_l[i, d] += total
        size = data.size[g, 0]
        covariance_gradient(p, size, w, s, 1.0 + 0.0 * size, product, d_sigma_l)
    symmetrise(d_sigma_l)
    add_across(d_sigma_l, d_sigma)
    add_across(d_c_l, d_c0)
    add_across(d_effect_l, d_effect)


@kernel
def _absorb_clusters(structure, units, reference, top, of_clusters, e, spread, d):
    """Integrate the effects of all clusters; fill e and spread (lanes), add to the gradients.

    ``of_clusters`` are H (batches, lower triangles) and g (batches, uses) as lanes. Returns the
    clusters' part of the log-likelihood, minus infinity where a matrix is not positive definite.
    """
    h, g = of_clusters
    effect, n_a, n_z = structure.uses.effect, structure.n_a, structure.n_z
    n, n_uses, total, log_det = len(units.w), len(effect), 0.0, 0.0
    given, message, v = (
        given_space(1, n_a, n_z),
        message_space(n_uses),
        lanes_matrix(n_uses, n_uses),
    )
    root, u = given.root[0], given.u[0]
    mean, e_z, delta = lanes_vector(n_a), lanes_vector(n_z), lanes_vector(n_uses)
    d_root, d_u, d_v = lanes_matrix(n_z, n_z), lanes_matrix(n_a, n_z), lanes_matrix(n_a, n_a)
    d_mean, d_e, d_c = (
        lanes_vector(n_a),
        lanes_vector(n_z),
        lanes_matrix(units.w.shape[1], n_a + n_z),
    )
    z, all_seen = known_of(units, lanes_matrix(n, 0))
    for b in range(n):
        if units.masked or b == 0:
            log_det, positive = whiten(top.omega, n_z, all_seen[b], root, u, given.v[0])
            if not positive:
                return -np.inf
            uses_covariance(effect, given.v[0], v)
        given_means(all_seen[b], root, u, top.c, units.w[b], z[b], e_z, mean)
        for q in range(n_uses):
            delta[q] = mean[effect[q]] - reference[q] * units.w[b, 0]
        twice = 0.0 * units.w[b, 0]
        for q in range(n_uses):
            shifted = g[b, q]
            for s in range(n_uses):
                message.h[q, s] = h[b, lower(q, s)]
                shifted -= message.h[q, s] * delta[s]
            message.g[q] = shifted
            twice += delta[q] * (g[b, q] + shifted)  # 2 delta' g + delta' H delta, g shifted
        value, positive = absorb(message, v)
        if not positive:
            return -np.inf
        total += 0.5 * across(twice + value)
        posterior_effects(message, v)
        for q in range(n_uses):
            e[b, q] = delta[q] + message.deviation[q]
        for q in range(n_uses):
            for s in range(n_uses):
                spread[b, lower(q, s)] = e[b, q] * e[b, s] + message.covariance[q, s]
        absorb_back(units.w[b, 0], effect, message, d_mean, d_v)
        for i in range(n_z):
            d_e[i] = 0.0
        if n_z > 0:
            total += across(known_density(units.w[b, 0], log_det, all_seen[b], e_z))
            known_density_back(units.w[b, 0], root, e_z, d_e, d_root)
        given_means_back(all_seen[b], root, u, units.w[b], e_z, d_mean, d_e, d_root, d_u, d_c)
        if units.masked or b == n - 1:
            seen = all_seen[b if units.masked else 0]
            whiten_back(n_z, seen, root, u, d_root, d_u, d_v, d.omega)
    add_across(d_c, d.c)
    return total


@inner_kernel
def _reference_means(effect, units, c, reference):
    """Mean of every use's effect at the average of (1, w) over clusters."""
    for d in range(units.w.shape[1]):
        average = 0.0
        for b in range(len(units.w)):
            average += units.w[b, d]
        for q in range(len(effect)):
            reference[q] += c[d, effect[q]] * across(average) / units.n


@kernel
def _flat(lanes, n):
    """Copy lanes (batches, rows, columns) into an array (n, rows * columns)."""
    batches, rows, columns = lanes.shape
    return from_lanes(lanes.reshape((batches, rows * columns)), n)


@kernel
def _pieces(structure, data, units, reference, top, space, sums, d):
    """Go from patterns to clusters and back: fill U and Q of the patterns (``sums``)."""
    u_matrix, q_matrix = sums
    column, n_clusters = structure.uses.column, units.n
    n_uses, n_lower = len(column), q_matrix.shape[1]
    h, g = np.zeros((n_clusters, n_lower)), np.zeros((n_clusters, n_uses))
    projection = _flat(space.projection, data.n_patterns)
    shape = (data.n_patterns, n_uses, projection.shape[1] // max(n_uses, 1))
    pieces_forward(
        column, data, from_lanes(space.m, data.n_patterns), projection.reshape(shape), h, g
    )
    h_l, g_l = in_lanes(h), in_lanes(g)
    e, spread = lanes_matrix(len(h_l), n_uses), lanes_matrix(len(h_l), n_lower)
    value = _absorb_clusters(structure, units, reference, top, (h_l, g_l), e, spread, d)
    if value > -np.inf:
        e_j, spread_j = from_lanes(e, n_clusters), from_lanes(spread, n_clusters)
        pieces_backward(column, data, e_j, spread_j, u_matrix, q_matrix)
    return value


@kernel
def value_and_gradient(x, ints, floats, statistics):
    """Log p(y, z | theta) of incomplete data and its gradient; no sampled effects.

    Parameters
    ----------
    x : (n_theta,) array
        Sampled parameters (see structure.parameters) and constrained rows.
    ints, floats, statistics
        A packed structure (kernels.layout) and statistics by pattern.

    Returns
    -------
    tuple of (float, (n_theta,) array)
    """
    structure = unpack(ints, floats)
    level, uses, top = structure.within, structure.uses, level_two(x, structure)
    p, n_d, n_uses = level.n, level.n_design, len(uses.effect)
    data, d = by_pattern(statistics, p, n_d), gradients_of(x, top, 0, 0)
    units = clusters(statistics, structure.between.n_design, structure.n_z)
    sigma, c_w, effect = np.zeros((p, p)), np.zeros((n_d, p)), np.zeros((n_uses, p))
    total_effects, reference = effects_of(level), np.zeros(n_uses)
    forward(level, top.values, total_effects, sigma, c_w)
    use_vectors(uses.variable, total_effects.t, effect)
    if units.n > 0:
        _reference_means(uses.effect, units, top.c, reference)
    c0 = np.ascontiguousarray(c_w.T)
    for i in range(p):
        c0[i, 0] -= data.center[i]
        for q in range(n_uses):
            c0[i, uses.column[q]] += reference[q] * effect[q, i]
    space = _patterns_space(len(data.size), p, n_d, n_uses)
    value, positive = _patterns_forward(data, sigma, c0, effect, space)
    if not positive:
        return -np.inf, d.x
    u_matrix = np.zeros((data.n_patterns, n_uses * (p + n_d)))
    q_matrix = np.zeros((data.n_patterns, triangle(n_uses)))
    if units.n > 0:
        value += _pieces(structure, data, units, reference, top, space, (u_matrix, q_matrix), d)
        if not value > -np.inf:
            return -np.inf, d.x
    d_c0, d_effect = np.zeros((p, n_d)), np.zeros((n_uses, p))
    d_sigma, d_t, h = np.zeros((p, p)), np.zeros((level.m, p)), np.empty((level.m, p))
    u_l = in_lanes(u_matrix).reshape((len(data.size), n_uses, p + n_d))
    gradients = (d_sigma, d_c0, d_effect)
    _patterns_backward(data, c0, effect, space, u_l, in_lanes(q_matrix), gradients)
    for q in range(n_uses):
        if uses.variable[q] >= 0:
            for i in range(p):
                of_mean = reference[q] * d_c0[i, uses.column[q]]
                d_t[uses.variable[q], i] += d_effect[q, i] + of_mean
    d_c = np.ascontiguousarray(d_c0.T)
    backward(level, top.values, total_effects, d_sigma, d_c, d_t, h, d.values)
    level_two_back(x, structure, top, d.omega, d.c, d.values, d.x)
    return value, d.x
