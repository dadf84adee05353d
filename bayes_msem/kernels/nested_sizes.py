"""The likelihood of complete three-level data whose only random coefficients are intercepts.

Clusters of size n have outcomes (mean of y, z2) with covariance S_n = Sigma_b + Sigma_w / n given
their top unit (kernels.by_size), whose part xi_k ~ N(0, Sigma_t) of these P outcomes is what all
its clusters share. With W_n = S_n^-1 and, of the c_kn clusters of size n in unit k, the sum r_kn of
residuals from the mean C d, where d holds the covariates of all three levels,

    H_k = sum_n c_kn W_n ,    g_k = sum_n W_n r_kn

is the message about xi_k, which is absorbed with the outcomes z3 of the unit
(kernels.nested_messages). Beside it the likelihood is that of two levels, from cross products Q_n
pooled over all units. Given the posterior of xi_k, with mean m_k and covariance P_k, expected
derivatives need those at

    E Q_n = Q_n + sum_k [ c_kn (m_k m_k' + P_k) - r_kn m_k' - m_k r_kn' ] ,
    E R_n = R_n - sum_k m_k d_kn' .

So nothing is computed by row or by cluster: the cost is that of the distinct sizes, side by side in
lanes, and of the top units, side by side as well, with the sizes that each of them has.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from bayes_msem.kernels.by_cluster import use_vectors
from bayes_msem.kernels.compile import (
    borrowed,
    inner_kernel,
    inner_part,
    kernel,
    part_kernel,
    stacked,
)
from bayes_msem.kernels.integrate import (
    absorb,
    covariance_gradient,
    posterior_effects,
    residuals,
    symmetrise,
)
from bayes_msem.kernels.lanes import (
    LANES,
    across,
    as_floats,
    as_lanes,
    lanes_matrix,
    lanes_stack,
    lanes_vector,
)
from bayes_msem.kernels.layout import unpack
from bayes_msem.kernels.level_two import LOG_2PI, LevelTwo, add_across, known_density
from bayes_msem.kernels.nested_clusters import add_gradients, at_unit, top_room_of
from bayes_msem.kernels.nested_layout import lower_statistics, units_of, unpack_top
from bayes_msem.kernels.nested_messages import level_three
from bayes_msem.kernels.outcome_moments import (
    centred,
    centred_back,
    levels_back,
    outcome_moments,
)
from bayes_msem.kernels.template import backward
from bayes_msem.kernels.triangular import invert
from bayes_msem.kernels.values import common_gradient


class Sizes(NamedTuple):
    """Cross products by size, as lanes.

    Attributes
    ----------
    weight, between, within
        Counts, and multipliers of Sigma_b (0: pooled within clusters) and Sigma_w; (batches, 1).
    dd, dy, yy
        Sums of products of the design (D) and the outcomes (P) of every group.
    of_unit
        Sums of d (D), whose first is the number of clusters, and of the outcomes (P), of every
        batch of top units and group: (unit batches, groups, D + P).
    """

    weight: Any
    between: Any
    within: Any
    dd: Any
    dy: Any
    yy: Any
    of_unit: Any


class Groups(NamedTuple):
    """What is kept of the batches of groups: S_n and its inverse, R, Q; and scratch."""

    s: Any
    w: Any
    r: Any
    q: Any
    product: Any
    d_s: Any
    one: Any


@part_kernel
def sizes_of(statistics, n, n_d, n_units):
    """Return the :class:`Sizes` of n outcomes, n_d columns of the design, and unit batches."""
    statistics = borrowed(statistics)
    groups, start = int(statistics[0]), 2 + n + n_d
    b = (groups + LANES - 1) // LANES
    weight, start = as_lanes(stacked(statistics, start, (b, 1, LANES))), start + b * LANES
    between, start = as_lanes(stacked(statistics, start, (b, 1, LANES))), start + b * LANES
    within, start = as_lanes(stacked(statistics, start, (b, 1, LANES))), start + b * LANES
    dd, start = (
        as_lanes(stacked(statistics, start, (b, n_d, n_d, LANES))),
        start + b * n_d * n_d * LANES,
    )
    dy, start = (
        as_lanes(stacked(statistics, start, (b, n_d, n, LANES))),
        start + b * n_d * n * LANES,
    )
    yy, start = as_lanes(stacked(statistics, start, (b, n, n, LANES))), start + b * n * n * LANES
    of_unit = as_lanes(stacked(statistics, start, (n_units, groups, n_d + n, LANES)))
    return Sizes(weight, between, within, dd, dy, yy, of_unit)


@inner_part
def _group_batch(g, p, data, sigma_w, sigma_b, c, kept):
    """Fill W, R and Q of batch g of groups.

    Returns
    -------
    tuple of (float, bool)
        The log-likelihood given xi = 0, and whether every S_n is positive definite.
    """
    n, between, within, weight = len(c), data.between[g, 0], data.within[g, 0], data.weight[g, 0]
    s, w, q = kept.s, kept.w[g], kept.q[g]
    for i in range(n):
        for k in range(n):
            s[i, k] = between * sigma_b[i, k] + within * sigma_w[i, k]
        if i >= p:  # z2 has no part within clusters
            s[i, i] += 1.0 - between
    log_det, positive = invert(s, n, w)
    if not positive:
        return 0.0, False
    for i in range(p, n):
        w[i, i] -= 1.0 - between
    residuals(n, data.dd[g], data.dy[g], data.yy[g], c, kept.r[g], q)
    total = weight * ((p + between * (n - p)) * LOG_2PI + log_det)
    for i in range(n):
        for k in range(n):
            total += w[i, k] * q[i, k]
    return -0.5 * across(total), True


@inner_kernel
def _residual_of(sums, c, residual):
    """Fill r_kn: the sum of outcomes less C times that of the design."""
    n, n_d = c.shape
    for i in range(n):
        total = sums[n_d + i]
        for d in range(n_d):
            total -= c[i, d] * sums[d]
        residual[i] = total


@inner_kernel
def _say(count, w, lane, residual, h, g):
    """Add what clusters of one size say about xi: to H (lower triangle) and g."""
    n = len(g)
    for i in range(n):
        total = w[i, 0, lane] * residual[0]
        for k in range(1, n):
            total += w[i, k, lane] * residual[k]
        g[i] += total
        for k in range(i + 1):
            h[i, k] += w[i, k, lane] * count


@inner_kernel
def _expect(sums, residual, mean, square, more_q, more_r):
    """Add one size of a batch of units to E Q - Q (lower triangle) and R - E R.

    ``square`` is m m' + P.
    """
    n, n_d = len(mean), more_r.shape[1]
    for i in range(n):
        for k in range(i + 1):
            more_q[i, k] += sums[0] * square[i, k] - residual[i] * mean[k] - mean[i] * residual[k]
        for d in range(n_d):
            more_r[i, d] += mean[i] * sums[d]


@inner_part
def _top_message(k, data, c, kept, room, rest, value):
    """Fill the message of batch k of units about xi, at its mean given z3.

    ``value`` gets the log-likelihood of moving xi there from zero. ``rest`` holds a residual.
    """
    h, g, mean = room.message.h, room.message.g, room.mean
    n = len(g)
    h[:, :] = 0.0
    g[:] = 0.0
    for m in range(data.of_unit.shape[1]):
        sums = data.of_unit[k, m]
        if sums[0] != 0.0:
            _residual_of(sums, c, rest)
            _say(sums[0], as_floats(kept.w[m // LANES]), m % LANES, rest, h, g)
    total = 0.0 * mean[0]
    for i in range(n):
        for s in range(i):
            h[s, i] = h[i, s]
    for i in range(n):
        moved = g[i]
        for s in range(n):
            moved -= h[i, s] * mean[s]
        total += 0.5 * (g[i] + moved) * mean[i]
        rest[i] = moved
    for i in range(n):
        g[i] = rest[i]
    value[0] = total


@part_kernel
def _outcomes_of_units(place, ways, uses, three, n, n_c, n_z):
    """Return L (P, n_c), and the moments of (xi, z3): their covariance and the means of z3."""
    loadings = np.zeros((n, n_c))
    for q in range(len(uses.effect)):
        for e in range(len(place)):
            loadings[place[e], uses.effect[q]] += ways[q, e]
    half, omega = np.zeros((n + n_z, n_c + n_z)), np.zeros((n + n_z, n + n_z))
    c = np.zeros((three.c.shape[0], n + n_z))
    for i in range(n):
        for k in range(n_c + n_z):
            for s in range(n_c):
                half[i, k] += loadings[i, s] * three.omega[s, k]
    for i in range(n_z):
        for k in range(n_c + n_z):
            half[n + i, k] = three.omega[n_c + i, k]
        for d in range(c.shape[0]):
            c[d, n + i] = three.c[d, n_c + i]
    for i in range(n + n_z):
        for k in range(n):
            for s in range(n_c):
                omega[i, k] += half[i, s] * loadings[k, s]
        for k in range(n_z):
            omega[i, n + k] = half[i, n_c + k]
    return loadings, half, LevelTwo(three.values, omega, c, three.effects)


@part_kernel
def _outcomes_of_units_back(place, uses, three, loadings, half, d_omega, d_loadings, d_ways):
    """Reverse of ``_outcomes_of_units``: return the gradient of Omega of level 3.

    ``d_omega`` (symmetric) is that of (xi, z3); ``d_loadings`` comes with that of L from elsewhere.
    """
    n, n_c = loadings.shape
    n_z = len(d_omega) - n
    d_half, d_three = np.zeros((n + n_z, n_c + n_z)), np.zeros((n_c + n_z, n_c + n_z))
    for i in range(n + n_z):
        for k in range(n_c):
            for s in range(n):
                d_half[i, k] += d_omega[i, s] * loadings[s, k]
        for k in range(n_z):
            d_half[i, n_c + k] = d_omega[i, n + k]
    for k in range(n_c + n_z):
        for s in range(n_c):
            for i in range(n):
                d_three[s, k] += loadings[i, s] * d_half[i, k]
        for s in range(n_z):
            d_three[n_c + s, k] = d_half[n + s, k]
    for i in range(n):
        for s in range(n_c):
            for k in range(n + n_z):
                d_loadings[i, s] += 2.0 * d_omega[i, k] * half[k, s]
    for q in range(len(uses.effect)):
        for e in range(len(place)):
            d_ways[q, e] += d_loadings[place[e], uses.effect[q]]
    return d_three


@inner_part
def _group_back(g, data, more_q, more_r, kept, gradients):
    """Add batch g of groups to the gradients of Sigma_w, Sigma_b (lower triangles) and C."""
    d_sigma_w, d_sigma_b, d_c = gradients
    w, q, r, d_s = kept.w[g], kept.q[g], kept.r[g], kept.d_s
    n, n_d = r.shape
    of_q, of_r = as_floats(q), as_floats(r)
    for lane in range(min(LANES, len(more_q) - g * LANES)):
        m = g * LANES + lane
        for i in range(n):
            for k in range(i + 1):
                more = across(more_q[m, i, k])
                of_q[i, k, lane] += more
                if i != k:
                    of_q[k, i, lane] += more
            for d in range(n_d):
                of_r[i, d, lane] -= across(more_r[m, i, d])
    d_s[:, :] = 0.0
    covariance_gradient(n, data.weight[g, 0], w, q, kept.one[0], kept.product, d_s)
    for i in range(n):
        for k in range(i + 1):
            d_sigma_b[i, k] += data.between[g, 0] * d_s[i, k]
            d_sigma_w[i, k] += data.within[g, 0] * d_s[i, k]
        for d in range(n_d):
            total = w[i, 0] * r[0, d]
            for m in range(1, n):
                total += w[i, m] * r[m, d]
            d_c[i, d] += total


@kernel
def value_and_gradient(x, ints, floats, statistics):
    """Log p(y, z2, z3 | theta) of complete data with random intercepts, and its gradient.

    Parameters
    ----------
    x : (n_theta,) array
        Sampled parameters (see structure.parameters) and constrained rows.
    ints, floats, statistics
        A packed three-level structure (kernels.nested_layout) and packed statistics by size.

    Returns
    -------
    tuple of (float, (n_theta,) array)
        Minus infinity where a covariance matrix is not positive definite.
    """
    structure, top, d_x = unpack(ints, floats), unpack_top(ints), np.zeros(len(x))
    two, effects, place, sigma_w, sigma_b, c_2 = outcome_moments(x, structure)
    three = level_three(two.values, top.level)
    n, n_2, n_3, p = len(c_2), c_2.shape[1], top.level.n_design, structure.within.n
    n_d, n_c, n_z, uses, n_u = n_2 + n_3 - 1, top.n_c, top.n_z, top.uses, structure.between.n
    ways = np.zeros((len(uses.effect), n_u))
    use_vectors(uses.variable, two.effects.t, ways)
    loadings, half, shared = _outcomes_of_units(place, ways, uses, three, n, n_c, n_z)
    c, lower = np.zeros((n, n_d)), lower_statistics(statistics)
    for i in range(n):
        for d in range(n_2):
            c[i, d] = c_2[i, d]
        for s in range(n_c):
            c[i, 0] += loadings[i, s] * three.c[0, s]
            for d in range(1, n_3):
                c[i, n_2 - 1 + d] += loadings[i, s] * three.c[d, s]
    constant, center = centred(lower, c)
    c_lanes = lanes_matrix(n, n_d)
    for i in range(n):
        for d in range(n_d):
            c_lanes[i, d] = c[i, d]
    above = units_of(statistics, n_3, n_z)
    n_top = len(above.w)
    data = sizes_of(lower, n, n_d, n_top)
    n_batches, n_groups = len(data.weight), data.of_unit.shape[1]
    kept = Groups(
        lanes_matrix(n, n),
        lanes_stack(n_batches, n, n),
        lanes_stack(n_batches, n, n_d),
        lanes_stack(n_batches, n, n),
        lanes_matrix(n, n),
        lanes_matrix(n, n),
        lanes_vector(1),
    )
    kept.one[0] = 1.0
    total = constant
    for g in range(n_batches):
        value, positive = _group_batch(g, p, data, sigma_w, sigma_b, c_lanes, kept)
        if not positive:
            return -np.inf, d_x
        total += value
    room, rest, value_l = top_room_of(n, n_z), lanes_vector(n), lanes_vector(1)
    square, d_omega = lanes_matrix(n, n), lanes_matrix(n + n_z, n + n_z)
    d_c_z = lanes_matrix(n_3, n + n_z)
    more_q, more_r = lanes_stack(n_groups, n, n), lanes_stack(n_groups, n, n_d)
    for k in range(n_top):
        if not at_unit(k, above, shared, room):
            return -np.inf, d_x
        _top_message(k, data, c_lanes, kept, room, rest, value_l)
        value, positive = absorb(room.message, room.known.v)
        if not positive:
            return -np.inf, d_x
        of_z = known_density(above.w[k, 0], room.log_det[0], room.seen, room.e)
        total += across(value_l[0] + 0.5 * value + of_z)
        add_gradients(room, above.w[k], d_omega, d_c_z)
        posterior_effects(room.message, room.known.v)
        _posterior_square(room, square)
        for m in range(n_groups):
            sums = data.of_unit[k, m]
            if sums[0] != 0.0:
                _residual_of(sums, c_lanes, rest)
                _expect(sums, rest, room.mean, square, more_q[m], more_r[m])
    d_w, d_b, d_c_l = lanes_matrix(n, n), lanes_matrix(n, n), lanes_matrix(n, n_d)
    for g in range(n_batches):
        _group_back(g, data, more_q, more_r, kept, (d_w, d_b, d_c_l))
    of_sigma, d_c = np.zeros((2, n, n)), np.zeros((n, n_d))
    add_across(d_w, of_sigma[0])
    add_across(d_b, of_sigma[1])
    add_across(d_c_l, d_c)
    centred_back(center, d_c)
    d_loadings, d_c_three = np.zeros((n, n_c)), np.zeros((n_3, n_c + n_z))
    for s in range(n_c):
        for d in range(n_3):
            column = 0 if d == 0 else n_2 - 1 + d
            for i in range(n):
                d_loadings[i, s] += d_c[i, column] * three.c[d, s]
                d_c_three[d, s] += d_c[i, column] * loadings[i, s]
    of_units, of_c_z = np.zeros((n + n_z, n + n_z)), np.zeros((n_3, n + n_z))
    add_across(d_omega, of_units)
    add_across(d_c_z, of_c_z)
    symmetrise(of_units)
    for d in range(n_3):
        for i in range(n_z):
            d_c_three[d, n_c + i] = of_c_z[d, n + i]
    d_ways, gradient = np.zeros((len(uses.effect), n_u)), np.zeros(len(two.values))
    d_three = _outcomes_of_units_back(
        place, uses, three, loadings, half, of_units, d_loadings, d_ways
    )
    room_3 = np.zeros((2, top.level.m, n_c + n_z))
    backward(
        top.level, two.values, three.effects, d_three, d_c_three, room_3[0], room_3[1], gradient
    )
    d_t = np.zeros((structure.between.m, n_u))
    for q in range(len(uses.effect)):
        if uses.variable[q] >= 0:
            for i in range(n_u):
                d_t[uses.variable[q], i] += d_ways[q, i]
    gradients = (of_sigma[0], of_sigma[1], d_c)
    levels_back(structure, two, effects, place, gradients, d_t, gradient)
    common_gradient(x, structure, gradient, d_x)
    return total, d_x


@inner_part
def _posterior_square(room, square):
    """Fill m m' + P; ``mean`` of the room becomes m."""
    mean, message = room.mean, room.message
    for i in range(len(mean)):
        mean[i] += message.deviation[i]
    for i in range(len(mean)):
        for k in range(len(mean)):
            square[i, k] = mean[i] * mean[k] + message.covariance[i, k]
