"""The log-likelihood of three-level models: clusters tell top units, and top units tell clusters.

Three passes, all exact (kernels.nested_messages has the equations):

1. *up*: every cluster, at the means that its parent's effects c have given z3, absorbs what its
   rows say about its linear effects a (kernels.by_cluster) and sends a message about c;
2. *top*: every top unit absorbs the sum of these messages: its likelihood and the posterior of c;
3. *down*: given that posterior, expected derivatives of every cluster, and of its rows given the
   posterior of a.

Clusters and top units are taken ``LANES`` at a time. What goes between levels are floats, one row
per top unit: sums of messages (n_c + n_c^2 numbers) up, and mean of c given z3, deviation and
covariance P of its posterior (2 n_c + n_c^2) down.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from bayes_msem.kernels.by_cluster import (
    back_space,
    batch_message,
    rows_back,
    use_vectors,
    uses_covariance,
    within_back,
    work_space,
)
from bayes_msem.kernels.compile import inner_kernel, inner_part, kernel, part_kernel
from bayes_msem.kernels.integrate import (
    Message,
    absorb,
    message_space,
    posterior_effects,
    symmetrise,
)
from bayes_msem.kernels.lanes import (
    LANES,
    across,
    as_floats,
    lanes_matrix,
    lanes_stack,
    lanes_vector,
)
from bayes_msem.kernels.layout import unpack
from bayes_msem.kernels.level_two import add_across, given_means, known_density, level_two
from bayes_msem.kernels.nested_layout import lower_statistics, units_of, unpack_top
from bayes_msem.kernels.nested_messages import (
    Known,
    add_to_parents,
    expected_gradients,
    fill_ways,
    from_parents,
    known_space,
    level_three,
    lift,
    matrix_from_parents,
    prepare,
    product,
    send,
    times,
    ways_gradient,
)
from bayes_msem.kernels.statistics import by_cluster, clusters
from bayes_msem.kernels.template import backward
from bayes_msem.kernels.values import common_gradient


class Room(NamedTuple):
    """Room for a batch of clusters.

    Attributes
    ----------
    known, log_det, seen
        Of Omega at level 2: what belongs to observed z, log|Omega_zz|, and which z are observed.
    ways, lam, x, xp
        The l_q of the uses of c (uses, n_u), Lambda, X and X P (n_u, n_c).
    c, delta, p
        Mean of c given z3, then its posterior: deviation and covariance.
    mean, e, shift, z
        Means of a given z, e of z, Lambda c, and z without its part of that.
    score, matrix
        Of a given z.
    message, term
        What is sent up, and the log density.
    none
        Sampled effects: none.
    tilde, deviation, q, qp, om, spread
        h~ (n_u), and of the posterior of a: deviation, Q, Q P, Omega M and covariance.
    """

    known: Known
    log_det: Any
    seen: Any
    ways: Any
    lam: Any
    x: Any
    xp: Any
    c: Any
    delta: Any
    p: Any
    mean: Any
    e: Any
    shift: Any
    z: Any
    score: Any
    matrix: Any
    message: Any
    term: Any
    none: Any
    tilde: Any
    deviation: Any
    q: Any
    qp: Any
    om: Any
    spread: Any


class TopRoom(NamedTuple):
    """Room for a batch of top units.

    Attributes
    ----------
    known, log_det, seen
        Of Omega at level 3, as in :class:`Room`.
    message
        The sum of the messages about c.
    z, e, mean
        z3, its e, and the means of c given it.
    term
        Log density of all data of the units.
    h, m
        Score and curvature of the mean of (c, z3).
    """

    known: Known
    log_det: Any
    seen: Any
    message: Message
    z: Any
    e: Any
    mean: Any
    term: Any
    h: Any
    m: Any


@part_kernel
def room_for(structure, top, moments):
    """Return room for a batch of clusters, with the ways of c."""
    n_u, n_c, n_a, n_z = structure.between.n, top.n_c, structure.n_a, structure.n_z
    ways = np.zeros((len(top.uses.effect), n_u))
    use_vectors(top.uses.variable, moments.effects.t, ways)
    return Room(
        known_space(n_a, n_z),
        lanes_vector(1),
        lanes_vector(n_z),
        ways,
        lanes_matrix(n_u, n_c),
        lanes_matrix(n_u, n_c),
        lanes_matrix(n_u, n_c),
        lanes_vector(n_c),
        lanes_vector(n_c),
        lanes_matrix(n_c, n_c),
        lanes_vector(n_a),
        lanes_vector(n_z),
        lanes_vector(n_u),
        lanes_vector(n_z),
        lanes_vector(n_a),
        lanes_matrix(n_a, n_a),
        lanes_vector(n_c + n_c * n_c),
        lanes_vector(1),
        lanes_vector(0),
        lanes_vector(n_u),
        lanes_vector(n_a),
        lanes_matrix(n_a, n_c),
        lanes_matrix(n_a, n_c),
        lanes_matrix(n_a, n_u),
        lanes_matrix(n_a, n_a),
    )


@part_kernel
def top_room_of(n_c, n_z):
    """Return room for a batch of top units with effects c (n_c) and outcomes z3."""
    return TopRoom(
        known_space(n_c, n_z),
        lanes_vector(1),
        lanes_vector(n_z),
        message_space(n_c),
        lanes_vector(n_z),
        lanes_vector(n_z),
        lanes_vector(n_c),
        lanes_vector(1),
        lanes_vector(n_c + n_z),
        lanes_matrix(n_c + n_z, n_c + n_z),
    )


@inner_part
def at_unit(k, units, moments, room):
    """Fill what belongs to z3 of batch k, and the means of c; false where it cannot be."""
    known = room.known
    for i in range(len(room.seen)):
        room.seen[i] = units.seen[k, i]
        room.z[i] = units.z[k, i]
    if units.masked or k == 0:
        log_det, positive = prepare(moments.omega, room.seen, known)
        room.log_det[0] = log_det
        if not positive:
            return False
    given_means(room.seen, known.root, known.u, moments.c, units.w[k], room.z, room.e, room.mean)
    return True


@inner_part
def at_clusters(g, units, moments, uses, effect, room, v):
    """Fill what belongs to z of batch g, Lambda, and the means of a at the ``c`` of the room.

    False where Omega_zz is not positive definite. ``v`` is the covariance matrix of the uses of a.
    """
    known, shift = room.known, room.shift
    n_a, n_z = known.u.shape
    fill_ways(uses, room.ways, units.w[g], room.lam)
    times(room.lam, room.c, shift)
    for i in range(n_z):
        room.seen[i] = units.seen[g, i]
        room.z[i] = units.z[g, i] - shift[n_a + i]
    if units.masked or g == 0:
        log_det, positive = prepare(moments.omega, room.seen, known)
        room.log_det[0] = log_det
        if not positive:
            return False
        uses_covariance(effect, known.v, v)
    given_means(room.seen, known.root, known.u, moments.c, units.w[g], room.z, room.e, room.mean)
    for q in range(n_a):
        room.mean[q] += shift[q]
    return True


@inner_part
def absorb_rows(exists, twice, effect, work, room):
    """Absorb the message of the rows: fill term, score and matrix; false where it cannot be."""
    value, positive = absorb(work.message, work.v)
    if not positive:
        return False
    of_z = known_density(exists, room.log_det[0], room.seen, room.e)
    room.term[0] = 0.5 * (twice + value) + of_z
    score, matrix, message = room.score, room.matrix, work.message
    score[:] = 0.0
    matrix[:, :] = 0.0
    for q in range(len(effect)):
        score[effect[q]] += message.score[q]
        for s in range(len(effect)):
            matrix[effect[q], effect[s]] += message.matrix[q, s]
    return True


@inner_kernel
def _means_back(w, tilde, delta, c, d_c):
    """Add to the gradient of C of level 2; ``c`` becomes its posterior mean."""
    for i in range(len(tilde)):
        for d in range(len(d_c)):
            d_c[d, i] += tilde[i] * w[d]
    for q in range(len(c)):
        c[q] += delta[q]


@inner_kernel
def add_terms(parent, first, lanes, terms):
    """Add the numbers of a batch to those of their parents."""
    floats = as_floats(lanes)
    for lane in range(LANES):
        terms[int(parent[first + lane])] += floats[0, lane]


@inner_kernel
def _keep(k, mean, message, down):
    """Store mean, deviation and covariance of the posterior of c of batch k."""
    n = len(mean)
    of_mean, deviation = as_floats(mean), as_floats(message.deviation)
    covariance = as_floats(message.covariance)
    for lane in range(LANES):
        row = k * LANES + lane
        for q in range(n):
            down[row, q] = of_mean[q, lane]
            down[row, n + q] = deviation[q, lane]
            for s in range(n):
                down[row, 2 * n + q * n + s] = covariance[q, s, lane]


@inner_kernel
def _gather(k, sums, message):
    """Fill the message of batch k of top units from the sums of those of clusters."""
    g, h = as_floats(message.g), as_floats(message.h)
    n = len(g)
    for lane in range(LANES):
        row = k * LANES + lane
        for q in range(n):
            g[q, lane] = sums[row, q]
            for s in range(n):
                h[q, s, lane] = sums[row, n + q * n + s]


@inner_kernel
def keep_means(k, mean, down):
    """Store the means of c of batch k."""
    floats = as_floats(mean)
    for lane in range(LANES):
        for q in range(len(floats)):
            down[k * LANES + lane, q] = floats[q, lane]


@inner_part
def top_step(k, units, moments, sums, room, terms, down):
    """Absorb the messages of batch k of top units: add to its terms, and keep the posterior of c.

    False where a covariance matrix is not positive definite.
    """
    message, known = room.message, room.known
    if not at_unit(k, units, moments, room):
        return False
    _gather(k, sums, message)
    value, positive = absorb(message, known.v)
    if not positive:
        return False
    exists = units.w[k, 0]
    room.term[0] = 0.5 * value + known_density(exists, room.log_det[0], room.seen, room.e)
    term = as_floats(room.term)
    for lane in range(LANES):
        terms[k * LANES + lane] += term[0, lane]
    posterior_effects(message, known.v)
    _keep(k, room.mean, message, down)
    return True


@inner_part
def add_gradients(room, w, d_omega, d_c):
    """Add a batch of top units to the gradients of Omega (lower triangle) and C of level 3."""
    h, m = room.h, room.m
    lift(room.seen, room.known, room.e, room.message.score, room.message.matrix, h, m)
    for i in range(len(h)):
        for s in range(i + 1):
            d_omega[i, s] += 0.5 * (h[i] * h[s] - m[i, s])
        for d in range(len(d_c)):
            d_c[d, i] += h[i] * w[d]


@inner_part
def _posterior_of_a(omega, moment, tilde, message, uses, room):
    """Fill deviation and covariance of the uses of a, given all data of the top unit.

    ``moment`` is M of the batch; deviations are from the means given z.
    """
    known, delta, p, lam, x = room.known, room.delta, room.p, room.lam, room.x
    n_a, n_z = known.u.shape
    n_u, n_c = lam.shape
    q_matrix, spread, om = room.q, room.spread, room.om
    for i in range(n_a):
        total = 0.0 * tilde[0]
        for q in range(n_c):
            total += lam[i, q] * delta[q]
        for s in range(n_u):
            total += omega[i, s] * tilde[s]
        for m in range(n_z):
            total -= known.u[i, m] * room.e[m]
        room.deviation[i] = total
        for q in range(n_c):
            total = lam[i, q]
            for s in range(n_u):
                total -= omega[i, s] * x[s, q]
            q_matrix[i, q] = total
        for s in range(n_u):
            total = 0.0 * tilde[0]
            for m in range(n_u):
                total += omega[i, m] * moment[m, s]
            om[i, s] = total
    for i in range(n_a):
        for q in range(n_c):
            total = 0.0 * tilde[0]
            for s in range(n_c):
                total += q_matrix[i, s] * p[s, q]
            room.qp[i, q] = total
    for i in range(n_a):
        for k in range(i + 1):
            total = 0.0 * tilde[0] + omega[i, k]
            for s in range(n_u):
                total -= om[i, s] * omega[s, k]
            for q in range(n_c):
                total += room.qp[i, q] * q_matrix[k, q]
            spread[i, k] = total
            spread[k, i] = total
    for q in range(len(uses)):
        message.deviation[q] = room.deviation[uses[q]]
        for s in range(len(uses)):
            message.covariance[q, s] = spread[uses[q], uses[s]]


@kernel
def value_and_gradient(x, ints, floats, statistics):
    """Log p(y, z2, z3 | theta) of a three-level model and its gradient.

    Parameters
    ----------
    x : (n_theta,) array
        Sampled parameters (see structure.parameters) and constrained rows.
    ints, floats, statistics
        A packed three-level structure and packed statistics (kernels.nested_layout).

    Returns
    -------
    tuple of (float, (n_theta,) array)
        Minus infinity where a covariance matrix is not positive definite.
    """
    structure, top, d_x = unpack(ints, floats), unpack_top(ints), np.zeros(len(x))
    two, lower = level_two(x, structure), lower_statistics(statistics)
    three = level_three(two.values, top.level)
    data = by_cluster(lower, structure.within.n, structure.within.n_design)
    below = clusters(lower, structure.between.n_design, structure.n_z)
    n, n_u, n_c = len(below.w), structure.between.n, top.n_c
    above = units_of(statistics, top.level.n_design, top.n_z)
    n_top = len(above.w)
    sums, down = (
        np.zeros((n_top * LANES, n_c + n_c * n_c)),
        np.empty((n_top * LANES, 2 * n_c + n_c * n_c)),
    )
    terms, kept_h, kept_m = np.zeros(n_top * LANES), lanes_matrix(n, n_u), lanes_stack(n, n_u, n_u)
    work, room = work_space(x, structure, two.values, data), room_for(structure, top, two)
    top_room = top_room_of(top.n_c, top.n_z)
    for k in range(n_top):
        if not at_unit(k, above, three, top_room):
            return -np.inf, d_x
        keep_means(k, top_room.mean, down)
    n_3, uses, effect = top.level.n, structure.uses, structure.uses.effect
    d_top, d_top_c = lanes_matrix(n_3, n_3), lanes_matrix(top.level.n_design, n_3)
    d_omega, d_c = lanes_matrix(n_u, n_u), lanes_matrix(structure.between.n_design, n_u)
    d_ways = lanes_matrix(len(top.uses.effect), n_u)
    back = back_space(structure, len(two.values))
    for phase in range(2):  # up and down, in one loop because compilers copy what stands in it
        for g in range(n):
            h, m, w, first = kept_h[g], kept_m[g], below.w[g], g * LANES
            from_parents(above.parent, first, 0, down, room.c)
            if not at_clusters(g, below, two, top.uses, effect, room, work.v):
                return -np.inf, d_x
            twice, positive = batch_message(g, room.none, room.mean, g == 0, structure, data, work)
            if not positive:
                return -np.inf, d_x
            if phase == 0:
                if not absorb_rows(w[0], twice, effect, work, room):
                    return -np.inf, d_x
                add_terms(above.parent, first, room.term, terms)
                lift(room.seen, room.known, room.e, room.score, room.matrix, h, m)
                product(m, room.lam, room.x)
                send(room.lam, room.x, h, room.message)
                add_to_parents(above.parent, first, room.message, sums)
            else:
                from_parents(above.parent, first, n_c, down, room.delta)
                matrix_from_parents(above.parent, first, 2 * n_c, down, room.p)
                product(m, room.lam, room.x)
                expected_gradients(h, m, room.x, room.delta, room.p, room.xp, room.tilde, d_omega)
                _means_back(w, room.tilde, room.delta, room.c, d_c)
                ways_gradient(top.uses, w, room.c, room.tilde, room.xp, d_ways)
                _posterior_of_a(two.omega, m, room.tilde, work.message, effect, room)
                rows_back(g, w[0], room.mean, uses, data, work, back)
        if phase == 0:
            for k in range(n_top):
                if not top_step(k, above, three, sums, top_room, terms, down):
                    return -np.inf, d_x
                add_gradients(top_room, above.w[k], d_top, d_top_c)
    d_values = np.zeros(len(two.values))
    _level_back(top.level, three, d_top, d_top_c, np.zeros((top.level.m, n_3)), d_values)
    within_back(structure, work.within, back, room.none)
    d_t = np.zeros((structure.between.m, n_u))
    variable = top.uses.variable
    for q in range(len(variable)):
        if variable[q] >= 0:
            for i in range(n_u):
                d_t[variable[q], i] += across(d_ways[q, i])
    _level_back(structure.between, two, d_omega, d_c, d_t, d_values)
    for i in range(len(d_values)):
        d_values[i] += across(back.values[i])
    common_gradient(x, structure, d_values, d_x)
    total = 0.0
    for k in range(above.n):
        total += terms[k]
    return total, d_x


@part_kernel
def _level_back(level, moments, d_omega, d_c, d_t, d_values):
    """Pull gradients of a level, lanes, back to the values."""
    of_omega, of_c = np.zeros((level.n, level.n)), np.zeros((level.n_design, level.n))
    add_across(d_omega, of_omega)
    add_across(d_c, of_c)
    symmetrise(of_omega)
    scratch = np.empty((level.m, level.n))
    backward(level, moments.values, moments.effects, of_omega, of_c, d_t, scratch, d_values)
