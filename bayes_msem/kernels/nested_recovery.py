"""What three-level data say about effects: terms of the likelihood, and draws at both levels.

The passes of kernels.nested_clusters without gradients: up at the means of c given z3; at the top,
c_k from its posterior; and once more through the clusters, now given c_k, for

    log p(y_j, z_j | c_k)    and    a_j | y_j, z_j, c_k .

So (c_k, a_j) is a draw from the joint posterior of effects at both levels, given the parameters.
"""

from __future__ import annotations

import numpy as np

from bayes_msem.kernels.by_cluster import batch_message, work_space
from bayes_msem.kernels.compile import inner_kernel, kernel
from bayes_msem.kernels.integrate import posterior_effects
from bayes_msem.kernels.lanes import LANES, as_floats, lanes_matrix, lanes_vector
from bayes_msem.kernels.layout import unpack
from bayes_msem.kernels.level_two import level_two
from bayes_msem.kernels.nested_clusters import (
    absorb_rows,
    add_terms,
    at_clusters,
    at_unit,
    keep_means,
    room_for,
    top_room_of,
    top_step,
)
from bayes_msem.kernels.nested_layout import lower_statistics, units_of, unpack_top
from bayes_msem.kernels.nested_messages import (
    add_to_parents,
    from_parents,
    level_three,
    lift,
    product,
    send,
)
from bayes_msem.kernels.statistics import by_cluster, clusters
from bayes_msem.kernels.triangular import semidefinite_root
from bayes_msem.kernels.values import common_values


@kernel
def level_three_of_draws(x, ints, floats):
    """Omega (S, n_u3, n_u3) and mean coefficients C (S, D3, n_u3) of level 3 at draws of x."""
    structure, level, n_draws = unpack(ints, floats), unpack_top(ints).level, len(x)
    omega, c = np.empty((n_draws, level.n, level.n)), np.empty((n_draws, level.n_design, level.n))
    for s in range(n_draws):
        three = level_three(common_values(x[s], structure), level)
        for i in range(level.n):
            for k in range(level.n):
                omega[s, i, k] = three.omega[i, k]
            for d in range(level.n_design):
                c[s, d, i] = three.c[d, i]
    return omega, c


@kernel
def recovered(x, c, known, normals_c, normals_a, ints, floats, statistics):
    """Draw the effects at both levels; terms of top units, and of clusters given those effects.

    Parameters
    ----------
    x : (S, n_theta) array
        Draws of the sampled parameters, with constrained rows.
    c : (S, K, n_c) array
        Effects of top units, if they are known.
    known : bool
        Whether they are; there are no terms of top units then.
    normals_c, normals_a : (S, K, n_c) and (S, J, uses) arrays
        Standard normal numbers; zeros give posterior means.
    ints, floats, statistics
        A packed three-level structure and packed statistics by cluster (kernels.nested_layout).

    Returns
    -------
    tuple of arrays
        log p(y, z2, z3 | theta) of every top unit (S, K); c (S, K, n_c);
        log p(y_j, z2_j | c, theta) of every cluster (S, J); a (S, J, n_a). Minus infinity and NaN
        in draws in which a covariance matrix is not positive definite.
    """
    structure, top, lower = unpack(ints, floats), unpack_top(ints), lower_statistics(statistics)
    data = by_cluster(lower, structure.within.n, structure.within.n_design)
    below = clusters(lower, structure.between.n_design, structure.n_z)
    above = units_of(statistics, top.level.n_design, top.n_z)
    n, n_u, n_c, n_a = len(below.w), structure.between.n, top.n_c, structure.n_a
    (n_draws, n_units, _), n_top, effect = c.shape, len(above.w), structure.uses.effect
    h, m = lanes_vector(n_u), lanes_matrix(n_u, n_u)
    of_units, of_clusters = (
        np.full((n_draws, n_units), -np.inf),
        np.full((n_draws, below.n), -np.inf),
    )
    drawn_c, drawn_a = np.full(c.shape, np.nan), np.full((n_draws, below.n, n_a), np.nan)
    root_c, root_a = lanes_matrix(n_c, n_c), lanes_matrix(len(effect), len(effect))
    for s in range(n_draws):
        two = level_two(x[s], structure)
        three = level_three(two.values, top.level)
        work, room = work_space(x[s], structure, two.values, data), room_for(structure, top, two)
        top_room = top_room_of(n_c, top.n_z)
        sums, terms = np.zeros((n_top * LANES, n_c + n_c * n_c)), np.zeros(n_top * LANES)
        down, positive = np.zeros((n_top * LANES, 2 * n_c + n_c * n_c)), True
        for k in range(n_units):
            for q in range(n_c):
                down[k, q] = c[s, k, q]
        for k in range(n_top if not known else 0):
            if not at_unit(k, above, three, top_room):
                positive = False
                break
            keep_means(k, top_room.mean, down)
        for phase in range(1 if known else 0, 2):
            for g in range(n if positive else 0):
                first = g * LANES
                from_parents(above.parent, first, 0, down, room.c)
                positive = at_clusters(g, below, two, top.uses, effect, room, work.v)
                if not positive:
                    break
                twice, positive = batch_message(
                    g, room.none, room.mean, g == 0, structure, data, work
                )
                if not positive:
                    break
                positive = absorb_rows(below.w[g, 0], twice, effect, work, room)
                if not positive:
                    break
                if phase == 0:
                    add_terms(above.parent, first, room.term, terms)
                    lift(room.seen, room.known, room.e, room.score, room.matrix, h, m)
                    product(m, room.lam, room.x)
                    send(room.lam, room.x, h, room.message)
                    add_to_parents(above.parent, first, room.message, sums)
                else:
                    posterior_effects(work.message, work.v)
                    semidefinite_root(work.message.covariance, len(effect), root_a)
                    _draw_a(
                        first,
                        effect,
                        room.mean,
                        work.message.deviation,
                        root_a,
                        normals_a[s],
                        drawn_a[s],
                    )
                    _store_terms(first, room.term, of_clusters[s])
            for k in range(n_top if positive and phase == 0 else 0):
                positive = top_step(k, above, three, sums, top_room, terms, down)
                if not positive:
                    break
                semidefinite_root(top_room.message.covariance, n_c, root_c)
                _draw_c(k, root_c, normals_c[s], down)
            for k in range(n_units if positive and phase == 0 else 0):
                of_units[s, k] = terms[k]
        for k in range(n_units if positive else 0):
            for q in range(n_c):
                drawn_c[s, k, q] = down[k, q]
        if not positive:
            of_clusters[s, :] = -np.inf
            drawn_a[s, :, :] = np.nan
    return of_units, drawn_c, of_clusters, drawn_a


@inner_kernel
def _draw_c(k, root, normals, down):
    """Overwrite the means of c of batch k of top units by draws: mean + deviation + root z."""
    floats, n = as_floats(root), len(root)
    for lane in range(min(LANES, len(normals) - k * LANES)):
        row = k * LANES + lane
        for q in range(n):
            value = down[row, q] + down[row, n + q]
            for s in range(q + 1):
                value += floats[q, s, lane] * normals[row, s]
            down[row, q] = value


@inner_kernel
def _draw_a(first, effect, mean, deviation, root, normals, draws):
    """Fill the draws of the linear effects of a batch of clusters."""
    means, deviations, roots = as_floats(mean), as_floats(deviation), as_floats(root)
    for lane in range(min(LANES, len(draws) - first)):
        for q in range(len(effect)):
            value = means[effect[q], lane] + deviations[q, lane]
            for s in range(q + 1):
                value += roots[q, s, lane] * normals[first + lane, s]
            draws[first + lane, effect[q]] = value


@inner_kernel
def _store_terms(first, lanes, terms):
    """Copy the numbers of a batch of clusters."""
    floats = as_floats(lanes)
    for lane in range(min(LANES, len(terms) - first)):
        terms[first + lane] = floats[0, lane]
