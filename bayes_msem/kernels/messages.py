"""What the rows of each cluster say about all of its effects, without any prior.

Given sampled effects b, the likelihood of a cluster's rows is exactly normal in its linear effects:

    log p(y_j | a_j + d, b_j, theta) = c_j + g_j' d - 1/2 d' H_j d .

Only y enters, not z, and no parameter of level 2.
"""

from __future__ import annotations

import numpy as np

from bayes_msem.kernels.compile import kernel
from bayes_msem.kernels.integrate import add_pieces, piece_room
from bayes_msem.kernels.lanes import LANES
from bayes_msem.likelihood.cluster_draws import cluster_structures
from bayes_msem.likelihood.cluster_program import SIZES, USE_COLUMN, USE_EFFECT
from bayes_msem.likelihood.cluster_statistics import unpack_statistics
from bayes_msem.likelihood.packing import integers


@kernel
def cluster_messages(x, a, b, ints, floats, statistics):
    """Values, gradients and curvatures at linear effects a, given sampled effects b.

    Parameters
    ----------
    x : (n_theta,) array
        Sampled parameters and constrained rows.
    a, b : (J, n_a) and (J, n_b) arrays
        Linear and sampled effects.
    ints, floats, statistics
        See likelihood.cluster_program; the statistics are those by cluster.

    Returns
    -------
    tuple of (J,), (J, n_a) and (J, n_a, n_a) arrays
        c, g and H; c is minus infinity where a covariance matrix is not positive definite.
    """
    sizes = integers(ints, SIZES)
    p, n_d, n_a, n_uses = sizes[0], sizes[1], sizes[5], sizes[6]
    use_effect, use_column = integers(ints, USE_EFFECT), integers(ints, USE_COLUMN)
    center, first, size, dd, dy, yy, seen, _, _, _ = unpack_statistics(ints, statistics)
    sigma, c_w, effect = cluster_structures(x, b, ints, floats)
    n_clusters = len(b)
    value, g = np.full(n_clusters, -np.inf), np.zeros((n_clusters, n_a))
    h = np.zeros((n_clusters, n_a, n_a))
    c, h_uses, g_uses = np.empty((p, n_d)), np.empty((n_uses, n_uses)), np.empty(n_uses)
    space = piece_room(p, n_d, n_uses)
    for j in range(n_clusters):
        c[:, :] = c_w[j].T
        c[:, 0] -= center
        for q in range(n_uses):
            for i in range(p):
                c[i, use_column[q]] += a[j, use_effect[q]] * effect[j, q, i]
        h_uses[:, :] = 0.0
        g_uses[:] = 0.0
        batch, lane = j // LANES, j % LANES
        twice, definite = add_pieces(
            int(first[batch]), int(first[batch + 1]), lane, size, dd, dy, yy, seen, sigma[j], c,
            use_column, effect[j], h_uses, g_uses, space,
        )  # fmt: skip
        if not definite:
            continue
        value[j] = 0.5 * twice
        for q in range(n_uses):
            g[j, use_effect[q]] += g_uses[q]
            for s in range(n_uses):
                h[j, use_effect[q], use_effect[s]] += h_uses[q, s]
    return value, g, h
