"""The log-likelihood of models with random coefficients: one pass over the clusters.

Level 2 is one vector u = (a, z, b) per cluster: linear effects a (integrated out), cluster-level
variables z (observed) and sampled effects b (given). Given c = (z, b), a ~ N(mean_j, V)
(kernels.level_two). The rows of the cluster say what they say about a in a message
(kernels.integrate.rows_message); absorbing it gives log p(y_j | z_j, b_j), and

    log p(y, z | b, theta) = sum_j [ log p(y_j | z_j, b_j) + log p(z_j, b_j) - log p(b_j) ] .

The density of b belongs to kernels.centring. Rows of sampled effects occupy the entries of the
value vector behind theta; only they differ between clusters.

The steps of the pass are functions of their own, which kernels.recovery calls as well:
``given_means``, ``batch_message`` and ``absorb``. Clusters are taken ``LANES`` at a time
(kernels.lanes): a batch. All arrays of the pass hold lanes, gradients that concern all clusters
too; these are summed over the lanes at the end. Lanes of the last batch without a cluster hold
statistics of zero, and so add nothing to values and gradients, and sampled effects of a true
cluster, so that nothing in them fails.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from bayes_msem.kernels.compile import inner_part, kernel, part_kernel
from bayes_msem.kernels.integrate import (
    Message,
    Pieces,
    absorb,
    message_space,
    piece_gradients,
    pieces_space,
    posterior_effects,
    rows_message,
    symmetrise,
)
from bayes_msem.kernels.lanes import (
    across,
    fill_empty_lanes,
    from_lanes,
    in_lanes,
    lanes_matrix,
    lanes_vector,
)
from bayes_msem.kernels.layout import unpack
from bayes_msem.kernels.level_two import (
    add_across,
    effects_terms,
    effects_terms_back,
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
from bayes_msem.kernels.statistics import by_cluster, clusters
from bayes_msem.kernels.template import Effects, backward, forward, lanes_of
from bayes_msem.kernels.values import cluster_gradient, cluster_values


class Within(NamedTuple):
    """Level 1 of a batch: values, total effects, Sigma (p x p), C (D x p) and the l_q of all uses.

    ``x_j`` are the entries of x behind which those of rows of sampled effects stand.
    """

    x_j: Any
    values: Any
    total: Effects
    sigma: Any
    c: Any
    effect: Any


class Work(NamedTuple):
    """Room for a batch: level 1, its pieces, the message, C, and V of the uses."""

    within: Within
    pieces: Pieces
    message: Message
    c: Any
    v: Any


class Back(NamedTuple):
    """Gradients of a batch with respect to what :class:`Work` holds, or summed over batches.

    ``mean`` and ``e`` are of the batch, ``root``, ``u`` and ``v`` of :class:`Given`, ``c_u`` of C
    of level 2; ``h`` is scratch.
    """

    c: Any
    effect: Any
    sigma: Any
    c_w: Any
    t: Any
    h: Any
    values: Any
    x_j: Any
    mean: Any
    e: Any
    root: Any
    u: Any
    v: Any
    c_u: Any


@part_kernel
def within_space(x, structure, values):
    """Return room for level 1 of a batch, with what all clusters share."""
    level, n_x = structure.within, structure.n_theta + len(structure.rows.effect)
    x_j, values_j = lanes_vector(n_x), lanes_vector(len(values))
    for i in range(len(x)):
        x_j[i] = x[i]
    for i in range(len(values)):
        values_j[i] = values[i]
    sigma, c = lanes_matrix(level.n, level.n), lanes_matrix(level.n_design, level.n)
    effect = lanes_matrix(len(structure.uses.effect), level.n)
    return Within(x_j, values_j, lanes_of(level), sigma, c, effect)


@inner_part
def within_moments(b, structure, space):
    """Fill level 1 of a batch, given its effects b."""
    n_theta, rows, varying = structure.n_theta, structure.rows, structure.varying
    cluster_values(b, n_theta, rows, varying, space.x_j, space.values)
    space.sigma[:, :] = 0.0
    space.c[:, :] = 0.0
    forward(structure.within, space.values, space.total, space.sigma, space.c)
    use_vectors(structure.uses.variable, space.total.t, space.effect)


@inner_part
def use_vectors(variables, t, effect):
    """Fill one row l_q per use of a linear effect."""
    for q in range(len(variables)):
        variable = variables[q]
        for i in range(effect.shape[1]):
            if variable >= 0:
                effect[q, i] = t[variable, i]
            else:
                effect[q, i] = 1.0 if i == -1 - variable else 0.0


@inner_part
def add_means(mean, uses, c_w, effect, center, c):
    """Fill C, less the center of y, with the means (n_a) of the linear effects in it."""
    for i in range(c.shape[0]):
        for d in range(c.shape[1]):
            c[i, d] = c_w[d, i]
        c[i, 0] -= center[i]
    use, column = uses.effect, uses.column
    for q in range(len(use)):
        for i in range(c.shape[0]):
            c[i, column[q]] += mean[use[q]] * effect[q, i]


@inner_part
def uses_covariance(effect, v, v_uses):
    """Fill the covariance matrix of the uses from V, that of the effects."""
    for q in range(len(effect)):
        for s in range(len(effect)):
            v_uses[q, s] = v[effect[q], effect[s]]


@part_kernel
def work_space(x, structure, values, data):
    """Return room for a batch of clusters."""
    p, n_d, n_uses = structure.within.n, structure.within.n_design, len(structure.uses.effect)
    depth = 1
    for g in range(len(data.first) - 1):
        depth = max(depth, int(data.first[g + 1] - data.first[g]))
    return Work(
        within_space(x, structure, values),
        pieces_space(depth, p, n_d, n_uses),
        message_space(n_uses),
        lanes_matrix(p, n_d),
        lanes_matrix(n_uses, n_uses),
    )


@part_kernel
def back_space(structure, n_values):
    """Return room for the gradients of a batch, and of what all batches share."""
    level, n_w, n_uses = structure.within, structure.between.n_design, len(structure.uses.effect)
    n_a, n_c = structure.n_a, structure.n_z + structure.n_b
    return Back(
        lanes_matrix(level.n, level.n_design),
        lanes_matrix(n_uses, level.n),
        lanes_matrix(level.n, level.n),
        lanes_matrix(level.n_design, level.n),
        lanes_matrix(level.m, level.n),
        lanes_matrix(level.m, level.n),
        lanes_vector(n_values),
        lanes_vector(structure.n_theta + len(structure.rows.effect)),
        lanes_vector(n_a),
        lanes_vector(n_c),
        lanes_matrix(n_c, n_c),
        lanes_matrix(n_a, n_c),
        lanes_matrix(n_a, n_a),
        lanes_matrix(n_w, n_a + n_c),
    )


@part_kernel
def known_of(units, b):
    """Return what is known of level 2, (z, b), and whether it is, as lanes."""
    n_z, n_b = units.z.shape[1], b.shape[1]
    known, seen = lanes_matrix(len(b), n_z + n_b), lanes_matrix(len(b), n_z + n_b)
    for g in range(len(b)):
        for i in range(n_z):
            known[g, i] = units.z[g, i]
            seen[g, i] = units.seen[g, i]
        for i in range(n_b):
            known[g, n_z + i] = b[g, i]
            seen[g, n_z + i] = units.w[g, 0]
    return known, seen


@inner_part
def batch_message(g, b, mean, fresh, structure, data, work):
    """Fill the message of batch g about its linear effects, at their means (n_a).

    Parameters
    ----------
    b, mean
        Sampled effects and means of the linear effects.
    fresh
        Whether level 1 is another than in the last call.
    structure, data, work
        The structure, statistics by cluster, and room for a batch.

    Returns
    -------
    tuple of (lanes, bool)
        Twice the log density of the rows at the means, and whether Sigma_oo is positive definite.
    """
    within, uses, start, stop = (
        work.within,
        structure.uses,
        int(data.first[g]),
        int(data.first[g + 1]),
    )
    if fresh:
        within_moments(b, structure, within)
    add_means(mean, uses, within.c, within.effect, data.center, work.c)
    return rows_message(
        start, stop, data, fresh, within.sigma, work.c, uses.column, within.effect, work.pieces,
        work.message,
    )  # fmt: skip


@inner_part
def _message_back(g, weight, mean, uses, data, work, back):
    """Reverse of ``batch_message`` and ``absorb``: add to the gradients of level 1 and of V."""
    posterior_effects(work.message, work.v)
    rows_back(g, weight, mean, uses, data, work, back)
    absorb_back(weight, uses.effect, work.message, back.mean, back.v)


@inner_part
def rows_back(g, weight, mean, uses, data, work, back):
    """Add to the gradients of level 1, given the posterior of the linear effects of batch g."""
    effect, message, d_c, d_effect = work.within.effect, work.message, back.c, back.effect
    pieces, d_t, d_c_w, deviation = work.pieces, back.t, back.c_w, work.message.deviation
    use, variable, column = uses.effect, uses.variable, uses.column
    size, dd, gradients = data.size, data.dd, (d_c, d_effect, back.sigma)
    d_c[:, :] = 0.0
    d_effect[:, :] = 0.0
    start = int(data.first[g])
    for j in range(start, int(data.first[g + 1])):
        piece_gradients(
            j - start, size[j, 0], dd[j], weight, column, effect, pieces, message, gradients
        )
    for q in range(len(use)):
        if variable[q] >= 0:
            posterior_mean = mean[use[q]] + deviation[q]
            for i in range(len(d_c)):
                d_t[variable[q], i] += d_effect[q, i] + posterior_mean * d_c[i, column[q]]
    for i in range(d_c.shape[0]):
        for d in range(d_c.shape[1]):
            d_c_w[d, i] += d_c[i, d]


@inner_part
def absorb_back(weight, effect, message, d_mean, d_v):
    """Fill the gradient of the means of the effects, and add to that of their V."""
    score, matrix = message.score, message.matrix
    for e in range(len(d_mean)):
        d_mean[e] = 0.0
    for q in range(len(effect)):
        d_mean[effect[q]] += weight * score[q]
        for u in range(len(effect)):
            product = score[q] * score[u] - matrix[q, u]
            d_v[effect[q], effect[u]] += 0.5 * weight * product


@inner_part
def within_back(structure, within, back, d_effects):
    """Pull gradients of level 1 back to values, to x and to the effects of a batch; clear them."""
    symmetrise(back.sigma)
    backward(
        structure.within, within.values, within.total, back.sigma, back.c_w, back.t, back.h,
        back.values,
    )  # fmt: skip
    cluster_gradient(
        structure.n_theta, structure.rows, structure.varying, within.x_j, back.values, back.x_j,
        d_effects,
    )  # fmt: skip
    back.sigma[:, :] = 0.0
    back.c_w[:, :] = 0.0
    back.t[:, :] = 0.0


@inner_part
def _given_back(g, weight, units, seen, given, e, n_z, back, d_effects):
    """Pull the gradients of the means given (z, b), and the density of z, back to level 2."""
    root, u = given.root[0], given.u[0]
    for i in range(len(e)):
        back.e[i] = 0.0
    if n_z > 0:
        known_density_back(weight * units.w[g, 0], root, e, back.e, back.root)
    given_means_back(seen, root, u, units.w[g], e, back.mean, back.e, back.root, back.u, back.c_u)
    for i in range(len(e) - n_z):
        d_effects[i] += back.e[n_z + i]


@kernel
def add_clusters(x, b, structure, statistics, top, given_effects, weights, terms, d):
    """Log p(y, z | b, theta), given the moments of level 2; add to the gradients.

    Parameters
    ----------
    x
        Sampled parameters and constrained rows.
    b : (batches, n_b) lanes
        Sampled effects; the lanes without a cluster hold those of some cluster.
    structure, statistics
        The structure, and packed statistics by cluster.
    top
        Moments of level 2 at x.
    given_effects
        False: of models with cluster-level outcomes z, log p(y, z, b | theta).
    weights, terms : (batches, 1) lanes
        Weights of the clusters' terms in the gradients, and the terms, which come as zeros.
    d
        The gradients.

    Returns
    -------
    float
        Sum of the terms. Minus infinity, and gradients left unfinished, where a
        covariance matrix is not positive definite.
    """
    n_z, n_b, n, varies = structure.n_z, structure.n_b, len(b), len(structure.rows.effect) > 0
    data = by_cluster(statistics, structure.within.n, structure.within.n_design)
    units = clusters(statistics, structure.between.n_design, n_z)
    known, seen = known_of(units, b)
    work, back = work_space(x, structure, top.values, data), back_space(structure, len(top.values))
    given = given_space(1, structure.n_a, n_z + n_b)
    mean, e = lanes_vector(structure.n_a), lanes_vector(n_z + n_b)
    total, log_det = 0.0, 0.0
    if n_z > 0 and n_b > 0 and given_effects:
        if not effects_terms(-1.0, top, units.w, b, terms):
            return -np.inf
        effects_terms_back(-1.0, weights, top, units.w, b, d)
    for g in range(n):
        # the same for all batches if no z is missing (seen is then zero in empty lanes only)
        if units.masked or g == 0:
            log_det, positive = whiten(
                top.omega, n_z + n_b, seen[g], given.root[0], given.u[0], given.v[0]
            )
            if not positive:
                return -np.inf
            uses_covariance(structure.uses.effect, given.v[0], work.v)
        given_means(seen[g], given.root[0], given.u[0], top.c, units.w[g], known[g], e, mean)
        fresh = varies or g == 0
        twice, positive = batch_message(g, b[g], mean, fresh, structure, data, work)
        if not positive:
            return -np.inf
        value, positive = absorb(work.message, work.v)
        if not positive:
            return -np.inf
        terms[g, 0] += 0.5 * (twice + value)
        if n_z > 0:
            terms[g, 0] += known_density(units.w[g, 0], log_det, seen[g], e)
        total += across(terms[g, 0])
        _message_back(g, weights[g, 0], mean, structure.uses, data, work, back)
        _given_back(g, weights[g, 0], units, seen[g], given, e, n_z, back, d.effects[g])
        if varies or g == n - 1:
            within_back(structure, work.within, back, d.effects[g])
        if units.masked or g == n - 1:
            # unmasked, the first batch says which z are observed: all of them
            seen_g = seen[g if units.masked else 0]
            whiten_back(
                n_z + n_b, seen_g, given.root[0], given.u[0], back.root, back.u, back.v, d.omega
            )
    for i in range(structure.n_theta):
        d.x[i] += across(back.x_j[i])
    for i in range(len(d.values)):
        d.values[i] += across(back.values[i])
    add_across(back.c_u, d.c)
    return total


@kernel
def value_and_gradient(x, b, weights, ints, floats, statistics):
    """Log p(y_j, z_j | b_j, theta) of all clusters, and the gradients of their weighted sum.

    Parameters
    ----------
    x : (n_theta,) array
        Sampled parameters (see structure.parameters) and constrained rows.
    b : (J, n_b) array
        Sampled effects.
    weights : (J, 1) array
        Weights of the clusters.
    ints, floats, statistics
        A packed structure (kernels.layout) and statistics by cluster.

    Returns
    -------
    tuple of (float, (n_theta,) array, (J, n_b) array)
        The sum of all terms (minus infinity where a covariance matrix is not positive definite),
        and the gradients.
    """
    structure, n_clusters, effects = unpack(ints, floats), len(b), in_lanes(b)
    fill_empty_lanes(effects, n_clusters)
    top, terms = level_two(x, structure), lanes_matrix(len(effects), 1)
    d = gradients_of(x, top, len(effects), b.shape[1])
    value = add_clusters(x, effects, structure, statistics, top, True, in_lanes(weights), terms, d)
    if value == -np.inf:
        return value, d.x, np.zeros_like(b)
    level_two_back(x, structure, top, d.omega, d.c, d.values, d.x)
    return value, d.x, from_lanes(d.effects, n_clusters)
