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
    T_q    = U_g[q] (I, -C0)' ,   X_q = T_q - 1/2 Q_g[q, q] l_q - sum_s<q Q_g[q, s] l_s
    ES_g   = S_g - sum_q (l_q X_q' + X_q l_q')
    d/dSigma = sum_g -1/2 n_g W_g + 1/2 W_g ES_g W_g
    d/dC0    = sum_g W_g (R_g - sum_q l_q U_g[q, d]')
    d/dl_q   = sum_g W_g (T_q - sum_s Q_g[q, s] l_s)        (C0 held fixed)

Of a pattern only the observed outcomes take part. They stand at the first places, and patterns with
as many of them side by side in lanes, so that products of matrices of a pattern with half of the
outcomes cost an eighth. Pieces are summed in kernels.pieces.

A reference mean keeps the terms small: nothing large cancels, whatever the means of the data.
Single-level models are the case without clusters.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from bayes_msem.kernels.by_cluster import absorb_back, known_of, use_vectors, uses_covariance
from bayes_msem.kernels.compile import inner_kernel, inner_part, kernel, part_kernel
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
    LANES,
    across,
    aligned_zeros,
    as_floats,
    as_lanes,
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
from bayes_msem.kernels.pieces import (
    lower,
    pattern_work,
    pieces_backward,
    pieces_forward,
    triangle,
    uses_by_column,
)
from bayes_msem.kernels.statistics import by_pattern, clusters
from bayes_msem.kernels.template import backward, effects_of, forward
from bayes_msem.kernels.triangular import invert


class Patterns(NamedTuple):
    """Integers of the patterns, W and n (p log 2 pi + log|Sigma_oo|), and room for one batch.

    ``outcome`` (G x p) is data.outcome as integers, zeros in lanes without a pattern; ``count`` is
    the number of observed outcomes of the first pattern of a batch, which has most.
    """

    outcome: Any
    count: Any
    w: Any
    constant: Any
    masked: Any
    c0: Any
    r: Any
    s: Any
    product: Any
    d_sigma: Any
    d_c: Any


@part_kernel
def _patterns_space(data, p, n_d):
    n, n_patterns = len(data.size), len(data.count)
    outcome, count = np.zeros((n * LANES, p), np.int64), np.zeros(n, np.int64)
    for g in range(n_patterns):
        for i in range(p):
            outcome[g, i] = int(data.outcome[g, i])
    for b in range(n):
        count[b] = int(data.count[b * LANES])
    square, rows = lanes_stack(4, p, p), lanes_stack(3, p, n_d)
    w = as_lanes(np.empty((n, p, p, LANES)))
    return Patterns(
        outcome, count, w, lanes_vector(n), square[0], rows[0], rows[1], square[1], square[2],
        square[3], rows[2],
    )  # fmt: skip


@inner_part
def _patterns_forward(data, sigma, space):
    """Fill W and what needs the log determinants; return whether Sigma is positive definite."""
    outcome, seen, masked = space.outcome, data.seen, space.masked
    block = as_floats(masked)
    for b in range(len(space.count)):
        n, w = space.count[b], space.w[b]
        for lane in range(LANES):
            places = outcome[b * LANES + lane]
            for i in range(n):
                for k in range(i + 1):
                    block[i, k, lane] = sigma[places[i], places[k]]
        count = keep_seen(masked, seen[b][:n], masked)
        log_det, positive = invert(masked, n, w)
        if not positive:
            return False
        drop_unseen(seen[b][:n], w)
        space.constant[b] = data.size[b, 0] * (count * LOG_2PI + log_det)
    return True


@inner_part
def _patterns_backward(data, c0, uses, work, effects, space, gradients):
    """Fill the gradients with respect to Sigma, C0 and the l_q; return the patterns' part."""
    d_sigma, d_c0, d_effect = gradients
    w_all, outcome, c0_l, r, s, product, d_sigma_l, d_c_l = (
        space.w, space.outcome, space.c0, space.r, space.s, space.product, space.d_sigma, space.d_c,
    )  # fmt: skip
    n_d, twice, n_uses = c0.shape[1], 0.0, len(uses.column)
    c0_f, r_f, s_f = as_floats(c0_l), as_floats(r), as_floats(s)
    d_sigma_f, d_c_f, w_f = as_floats(d_sigma_l), as_floats(d_c_l), as_floats(w_all)
    size, dd, dy, yy, constant = data.size, data.dd, data.dy, data.yy, space.constant
    for b in range(len(space.count)):
        n, w = space.count[b], w_all[b]
        for lane in range(LANES):
            for i in range(n):
                for d in range(n_d):
                    c0_f[i, d, lane] = c0[outcome[b * LANES + lane, i], d]
        residuals(n, dd[b], dy[b], yy[b], c0_l, r, s)
        for i in range(n):
            twice -= w[i, i] * s[i, i]
            for k in range(i):
                twice -= 2.0 * w[i, k] * s[i, k]
        twice -= constant[b]
        if n_uses > 0:
            for lane in range(LANES):
                k = b * LANES + lane
                if k < len(data.count):
                    pieces_backward(
                        k, lane, data, outcome, w_f[b], c0, uses, work, effects, r_f, s_f, d_effect
                    )
        for i in range(n):
            for k in range(i + 1):
                s[k, i] = s[i, k]
                d_sigma_l[i, k] = 0.0
            for d in range(n_d):
                total = 0.0 * size[b, 0]
                for k in range(n):
                    total += w[i, k] * r[k, d]
                d_c_l[i, d] = total
        covariance_gradient(n, size[b, 0], w, s, 1.0 + 0.0 * size[b, 0], product, d_sigma_l)
        for lane in range(LANES):
            places = outcome[b * LANES + lane]
            for i in range(n):
                for k in range(i + 1):
                    d_sigma[places[i], places[k]] += d_sigma_f[i, k, lane]
                for d in range(n_d):
                    d_c0[places[i], d] += d_c_f[i, d, lane]
    symmetrise(d_sigma)
    return 0.5 * across(twice)


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
def _pieces(structure, data, units, reference, top, c0, uses, work, space, effects, d):
    """Go from patterns to clusters: fill e and e e' + P of all clusters (``effects``)."""
    n_uses, n_lower, n_clusters = len(uses.column), effects[1].shape[1], units.n
    # the last row is that of empty pieces
    h, g = (
        aligned_zeros(n_clusters + 1, n_lower),
        aligned_zeros(n_clusters + 1, uses.effect.shape[2]),
    )
    pieces_forward(data, space.outcome, as_floats(space.w), c0, uses, work, h, g)
    h_l, g_l = in_lanes(h[:n_clusters]), in_lanes(g[:n_clusters])
    e, spread = lanes_matrix(len(h_l), n_uses), lanes_matrix(len(h_l), n_lower)
    value = _absorb_clusters(structure, units, reference, top, (h_l, g_l), e, spread, d)
    _copy_from_lanes(e, effects[0], n_clusters)
    _copy_from_lanes(spread, effects[1], n_clusters)
    return value


@inner_kernel
def _copy_from_lanes(lanes, array, n):
    floats = as_floats(lanes)
    for j in range(n):
        for i in range(array.shape[1]):
            array[j, i] = floats[j // LANES, i, j % LANES]


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
    space, by_column = _patterns_space(data, p, n_d), uses_by_column(uses, effect)
    if not _patterns_forward(data, sigma, space):
        return -np.inf, d.x
    work, value = pattern_work(by_column, p, n_d), 0.0
    effects = np.zeros((units.n + 1, n_uses)), aligned_zeros(units.n + 1, triangle(n_uses))
    if units.n > 0:
        value = _pieces(
            structure, data, units, reference, top, c0, by_column, work, space, effects, d
        )
        if not value > -np.inf:
            return -np.inf, d.x
    d_c0, d_effect = np.zeros((p, n_d)), np.zeros((n_uses, p))
    d_sigma, d_t, h = np.zeros((p, p)), np.zeros((level.m, p)), np.empty((level.m, p))
    gradients = (d_sigma, d_c0, d_effect)
    value += _patterns_backward(data, c0, by_column, work, effects, space, gradients)
    for q in range(n_uses):
        if uses.variable[q] >= 0:
            for i in range(p):
                of_mean = reference[q] * d_c0[i, uses.column[q]]
                d_t[uses.variable[q], i] += d_effect[q, i] + of_mean
    d_c = np.ascontiguousarray(d_c0.T)
    backward(level, top.values, total_effects, d_sigma, d_c, d_t, h, d.values)
    level_two_back(x, structure, top, d.omega, d.c, d.values, d.x)
    return value, d.x
