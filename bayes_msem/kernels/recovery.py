"""What the data of every cluster say: terms of the log-likelihood, messages and draws of effects.

The same pass as in kernels.by_cluster, without gradients.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from bayes_msem.kernels.by_cluster import (
    batch_message,
    known_of,
    uses_covariance,
    within_moments,
    within_space,
    work_space,
)
from bayes_msem.kernels.compile import inner_kernel, kernel
from bayes_msem.kernels.integrate import absorb, posterior_effects
from bayes_msem.kernels.lanes import (
    LANES,
    as_floats,
    fill_empty_lanes,
    in_lanes,
    lanes_matrix,
    lanes_vector,
)
from bayes_msem.kernels.layout import unpack
from bayes_msem.kernels.level_two import (
    effects_terms,
    given_means,
    given_space,
    known_density,
    level_two,
    whiten,
)
from bayes_msem.kernels.outcome_moments import outcome_moments
from bayes_msem.kernels.statistics import by_cluster, clusters
from bayes_msem.kernels.triangular import semidefinite_root
from bayes_msem.kernels.values import values_with


class EffectsRoom(NamedTuple):
    """Room for a batch of linear effects: means given (z, b), residuals of (z, b), and a root."""

    mean: Any
    e: Any
    root: Any


@kernel
def theta_draws(x, ints, floats):
    """Table values of the free parameters at draws x, both (n_draws, n)."""
    structure, theta = unpack(ints, floats), np.empty_like(x)
    first = structure.n_a + structure.n_z
    for i in range(x.shape[0]):
        typical = level_two(x[i], structure).c[0, first:]
        values = values_with(x[i], structure, typical)
        for k in range(x.shape[1]):
            theta[i, k] = values[k]
    return theta


@kernel
def values_at(x, b, ints, floats):
    """Value vector of the template at x and effects b (n_b,)."""
    return values_with(x, unpack(ints, floats), b)


@kernel
def values_of_draws(x, b, ints, floats):
    """Value vectors of the template (S, n_values) at draws of x and of effects b (S, n_b)."""
    structure, n_draws = unpack(ints, floats), len(x)
    first = values_with(x[0], structure, b[0])
    values = np.empty((n_draws, len(first)))
    for s in range(n_draws):
        values_s = values_with(x[s], structure, b[s])
        for i in range(len(first)):
            values[s, i] = values_s[i]
    return values


@kernel
def outcome_moments_at(x, ints, floats):
    """Sigma_w, Sigma_b and C of the outcomes of a model with random intercepts."""
    _, _, _, sigma_w, sigma_b, c = outcome_moments(x, unpack(ints, floats))
    return sigma_w, sigma_b, c


@kernel
def level_two_moments(x, ints, floats):
    """Omega (n_u, n_u) and the mean coefficients C (Dw, n_u) of level 2."""
    top = level_two(x, unpack(ints, floats))
    return top.omega, top.c


@kernel
def level_two_of_draws(x, ints, floats):
    """Omega (S, n_u, n_u) and mean coefficients C (S, Dw, n_u) of level 2 at draws of x."""
    structure, n_draws = unpack(ints, floats), len(x)
    n_u, n_w = structure.n_a + structure.n_z + structure.n_b, structure.between.n_design
    omega, c = np.empty((n_draws, n_u, n_u)), np.empty((n_draws, n_w, n_u))
    for s in range(n_draws):
        top = level_two(x[s], structure)
        for i in range(n_u):
            for k in range(n_u):
                omega[s, i, k] = top.omega[i, k]
            for d in range(n_w):
                c[s, d, i] = top.c[d, i]
    return omega, c


@kernel
def cluster_structures(x, b, ints, floats):
    """Sigma_j (J, p, p), fixed coefficients (J, D, p) and vectors l_q (J, uses, p)."""
    structure, n_clusters = unpack(ints, floats), len(b)
    p, n_d, n_uses = structure.within.n, structure.within.n_design, len(structure.uses.effect)
    effects, space = in_lanes(b), within_space(x, structure, level_two(x, structure).values)
    fill_empty_lanes(effects, n_clusters)
    sigma, c = np.empty((n_clusters, p, p)), np.empty((n_clusters, n_d, p))
    effect = np.empty((n_clusters, n_uses, p))
    for g in range(len(effects)):
        within_moments(effects[g], structure, space)
        _store(space.sigma, g, (-1), sigma)
        _store(space.c, g, (-1), c)
        _store(space.effect, g, (-1), effect)
    return sigma, c, effect


@kernel
def linear_effects(x, b, ints, floats, statistics, normals):
    """Draw the linear effects from their exact posterior given parameters and sampled effects.

    Parameters
    ----------
    x : (S, n_theta) array
        Draws of the sampled parameters, with constrained rows.
    b : (S, J, n_b) array
        Sampled effects.
    ints, floats, statistics
        A packed structure (kernels.layout) and statistics by cluster.
    normals : (S, J, n_uses) array
        Standard normal numbers; zeros give the posterior means.

    Returns
    -------
    tuple of (S, J, n_a) arrays
        The draws, and the posterior variances; NaN in draws in which a covariance matrix is not
        positive definite.
    """
    structure, (n_draws, n_clusters, n_b) = unpack(ints, floats), b.shape
    n_a, n_c, n_uses = structure.n_a, structure.n_z + n_b, len(structure.uses.effect)
    data = by_cluster(statistics, structure.within.n, structure.within.n_design)
    units = clusters(statistics, structure.between.n_design, structure.n_z)
    given = given_space(1, n_a, n_c)
    room = EffectsRoom(lanes_vector(n_a), lanes_vector(n_c), lanes_matrix(n_uses, n_uses))
    draws = np.full((n_draws, n_clusters, n_a), np.nan)
    variances = np.full((n_draws, n_clusters, n_a), np.nan)
    for s in range(n_draws):
        top, effects, normals_l = level_two(x[s], structure), in_lanes(b[s]), in_lanes(normals[s])
        fill_empty_lanes(effects, n_clusters)
        known, seen = known_of(units, effects)
        work = work_space(x[s], structure, top.values, data)
        drawn, spread = lanes_matrix(len(effects), n_a), lanes_matrix(len(effects), n_a)
        positive = True
        for g in range(len(effects)):
            # the same for all batches unless some z are missing (as in by_cluster.add_clusters)
            if units.masked or g == 0:
                _, positive = whiten(top.omega, n_c, seen[g], given.root[0], given.u[0], given.v[0])
                if not positive:
                    break
                uses_covariance(structure.uses.effect, given.v[0], work.v)
            given_means(
                seen[g], given.root[0], given.u[0], top.c, units.w[g], known[g], room.e, room.mean
            )
            fresh = len(structure.rows.effect) > 0 or g == 0
            _, positive = batch_message(g, effects[g], room.mean, fresh, structure, data, work)
            if not positive:
                break
            _, positive = absorb(work.message, work.v)
            if not positive:
                break
            posterior_effects(work.message, work.v)
            semidefinite_root(work.message.covariance, n_uses, room.root)
            _effects_of_batch(
                structure.uses.effect, work.message, room, normals_l[g], drawn[g], spread[g]
            )
        if positive:
            _store_draw(drawn, draws[s])
            _store_draw(spread, variances[s])
    return draws, np.maximum(variances, 0.0)


@inner_kernel
def _effects_of_batch(effect, message, room, normals, draws, variances):
    """Fill draws and posterior variances of the linear effects of a batch."""
    for q in range(len(effect)):
        value = room.mean[effect[q]] + message.deviation[q]
        for s in range(q + 1):
            value += room.root[q, s] * normals[s]
        draws[effect[q]] = value
        variances[effect[q]] = message.covariance[q, q]


@inner_kernel
def _store_draw(lanes, array):
    """Copy lanes (batches, n) to an array (J, n)."""
    floats = as_floats(lanes)
    for j in range(len(array)):
        for i in range(array.shape[1]):
            array[j, i] = floats[j // LANES, i, j % LANES]


@kernel
def cluster_messages(x, a, b, ints, floats, statistics):
    """Say what the rows of each cluster tell about all of its effects, without any prior.

    Given sampled effects b, the likelihood of a cluster's rows is exactly normal in its linear
    effects:

        log p(y_j | a_j + d, b_j, theta) = c_j + g_j' d - 1/2 d' H_j d .

    Only y enters, not z, and no parameter of level 2.

    Parameters
    ----------
    x : (n_theta,) array
        Sampled parameters and constrained rows.
    a, b : (J, n_a) and (J, n_b) arrays
        Linear and sampled effects.
    ints, floats, statistics
        A packed structure (kernels.layout) and statistics by cluster.

    Returns
    -------
    tuple of (J,), (J, n_a) and (J, n_a, n_a) arrays
        c, g and H; c is minus infinity where a covariance matrix is not positive definite.
    """
    structure, n_clusters = unpack(ints, floats), len(b)
    uses, n_a = structure.uses, structure.n_a
    effects, means = in_lanes(b), in_lanes(a)
    fill_empty_lanes(effects, n_clusters)
    data = by_cluster(statistics, structure.within.n, structure.within.n_design)
    work = work_space(x, structure, level_two(x, structure).values, data)
    n_batches, none = len(effects), -np.inf
    value, g, h = (
        np.empty(n_clusters),
        np.empty((n_clusters, n_a)),
        np.empty((n_clusters, n_a, n_a)),
    )
    value_l, g_l, h_l = lanes_matrix(1, 1), lanes_matrix(1, n_a), lanes_matrix(n_a, n_a)
    b_g, message = lanes_vector(structure.n_b), work.message
    for batch in range(n_batches):
        for lane in range(-1, LANES):
            _of_lane(effects[batch], lane, b_g)
            twice, positive = batch_message(batch, b_g, means[batch], True, structure, data, work)
            value_l[0, 0] = 0.5 * twice if positive else none
            g_l[:, :] = 0.0
            h_l[:, :] = 0.0
            for q in range(len(uses.effect)):
                g_l[0, uses.effect[q]] += message.g[q]
                for s in range(len(uses.effect)):
                    h_l[uses.effect[q], uses.effect[s]] += message.h[q, s]
            _store(value_l, batch, lane, value.reshape((n_clusters, 1, 1)))
            _store(g_l, batch, lane, g.reshape((n_clusters, 1, n_a)))
            _store(h_l, batch, lane, h)
            if lane < 0 and positive:
                break
    return value, g, h


@kernel
def node_log_likelihoods(x, b, ints, floats, statistics):
    """Log p(y_j, z_j | b_j, theta) at many values of b: (nodes, J) from b (nodes, J, n_b).

    Minus infinity where a covariance matrix is not positive definite.
    """
    structure, (n_nodes, n_clusters, n_b) = unpack(ints, floats), b.shape
    n_z, n_c = structure.n_z, structure.n_z + n_b
    top = level_two(x, structure)
    data = by_cluster(statistics, structure.within.n, structure.within.n_design)
    units = clusters(statistics, structure.between.n_design, n_z)
    work, given = work_space(x, structure, top.values, data), given_space(1, structure.n_a, n_c)
    root, u, v = given.root[0], given.u[0], given.v[0]
    mean, e = lanes_vector(structure.n_a), lanes_vector(n_c)
    b_g, term = lanes_vector(n_b), lanes_matrix(1, 1)
    result = np.full((n_nodes, n_clusters), -np.inf)
    for node in range(n_nodes):
        effects = in_lanes(b[node])
        fill_empty_lanes(effects, n_clusters)
        known, seen = known_of(units, effects)
        of_effects = lanes_matrix(len(effects), 1)
        if n_z > 0 and n_b > 0 and not effects_terms(-1.0, top, units.w, effects, of_effects):
            continue
        for batch in range(len(effects)):
            exists = units.w[batch, 0]
            log_det, positive = whiten(top.omega, n_c, seen[batch], root, u, v)
            if not positive:
                continue
            uses_covariance(structure.uses.effect, v, work.v)
            given_means(seen[batch], root, u, top.c, units.w[batch], known[batch], e, mean)
            for lane in range(-1, LANES):
                _of_lane(effects[batch], lane, b_g)
                twice, positive = batch_message(batch, b_g, mean, True, structure, data, work)
                if positive:
                    value, positive = absorb(work.message, work.v)
                if positive:
                    term[0, 0] = 0.5 * (twice + value)
                    if n_z > 0:
                        term[0, 0] += known_density(exists, log_det, seen[batch], e)
                        term[0, 0] += of_effects[batch, 0]
                    _store(term, batch, lane, result[node].reshape((n_clusters, 1, 1)))
                if lane < 0 and positive:
                    break
    return result


@inner_kernel
def _of_lane(b, lane, repeated):
    """Copy the effects of a batch, or those of one of its clusters to all lanes.

    The second is for batches in which the covariance matrix of some cluster is not positive
    definite: all lanes fail together, so its clusters are tried one by one.
    """
    floats, target = as_floats(b), as_floats(repeated)
    for i in range(len(b)):
        for k in range(LANES):
            target[i, k] = floats[i, k if lane < 0 else lane]


@inner_kernel
def _store(lanes, g, lane, array):
    """Copy a batch of matrices, or one lane of it, to those of its clusters in (J, ...)."""
    floats = as_floats(lanes)
    for k in range(min(LANES, len(array) - g * LANES)):
        if lane < 0 or lane == k:
            for i in range(lanes.shape[0]):
                for m in range(lanes.shape[1]):
                    array[g * LANES + k, i, m] = floats[i, m, k]
