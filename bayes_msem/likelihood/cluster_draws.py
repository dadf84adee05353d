"""Effects given the data in models with random coefficients, and the matrices of every cluster."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bayes_msem.kernels.cluster_values import cluster_values, use_vectors
from bayes_msem.kernels.clusters import between_moments, common_values
from bayes_msem.kernels.compile import kernel
from bayes_msem.kernels.integrate import (
    add_pieces,
    integrate_effects,
    piece_room,
    posterior_effects,
    semidefinite_root,
)
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
from bayes_msem.likelihood.packing import integers, level_forward

FloatArray = NDArray[np.float64]


@kernel
def cluster_structures(x, b, ints, floats):
    """Sigma_j (J, p, p), fixed coefficients (J, D, p) and vectors l_q (J, uses, p)."""
    sizes = integers(ints, SIZES)
    p, n_d, n_x, n_uses, m_w = sizes[0], sizes[1], sizes[3] + sizes[4], sizes[6], sizes[9]
    n_clusters = b.shape[0]
    sigma = np.zeros((n_clusters, p, p))
    c = np.zeros((n_clusters, n_d, p))
    effect = np.zeros((n_clusters, n_uses, p))
    x_j, values = np.empty(n_x), common_values(x, ints, floats)
    x_j[: len(x)] = x
    for j in range(n_clusters):
        cluster_values(b[j], ints, floats, x_j, values)
        t, _, _ = level_forward(WITHIN, m_w, sizes[11] == 1, values, ints, sigma[j], c[j])
        use_vectors(integers(ints, USE_VARIABLE), t, effect[j])
    return sigma, c, effect


@kernel
def linear_effects(x, b, ints, floats, statistics, normals):
    """Draw the linear effects from their exact posterior given parameters and sampled effects.

    Parameters
    ----------
    x : (n_theta,) array
        Sampled parameters and constrained rows.
    b : (J, n_b) array
        Sampled effects.
    ints, floats, statistics
        See likelihood.cluster_program.
    normals : (J, n_uses) array
        Standard normal numbers; zeros give the posterior means.

    Returns
    -------
    tuple of (J, n_a) arrays
        The draws, and the posterior variances.
    """
    sizes = integers(ints, SIZES)
    p, n_d, n_a, n_uses, n_z, n_b = sizes[0], sizes[1], sizes[5], sizes[6], sizes[7], sizes[8]
    n_c = n_z + n_b
    use_effect, use_column = integers(ints, USE_EFFECT), integers(ints, USE_COLUMN)
    center, first, size, dd, dy, yy, seen, w_design, z, z_seen = unpack_statistics(ints, statistics)
    n_clusters = len(w_design)
    _, omega, c_b, _, _, _ = between_moments(x, ints, floats)
    inverse_c, b_matrix = np.empty((n_c, n_c)), np.empty((n_a, n_c))
    v_effects, v = np.empty((n_a, n_a)), np.empty((n_uses, n_uses))
    omega_j = np.empty_like(omega)
    sigma, c_w, effect = cluster_structures(x, b, ints, floats)
    draws, variances = np.empty((n_clusters, n_a)), np.empty((n_clusters, n_a))
    c, space = np.empty((p, n_d)), piece_room(p, n_d, n_uses)
    h_matrix, m_matrix = np.empty((n_uses, n_uses)), np.empty((n_uses, n_uses))
    covariance, root = np.empty((n_uses, n_uses)), np.empty((n_uses, n_uses))
    g, score, deviation = np.empty(n_uses), np.empty(n_uses), np.empty(n_uses)
    mean, work = np.empty(n_a), np.empty((4, n_uses, n_uses))
    for j in range(n_clusters):
        condition_batch(omega, n_a, z_seen[j], omega_j, inverse_c, b_matrix, v_effects)
        for q in range(n_uses):
            for s in range(n_uses):
                v[q, s] = v_effects[use_effect[q], use_effect[s]]
        for e in range(n_a):
            mean[e] = 0.0
            for d in range(w_design.shape[1]):
                mean[e] += c_b[d, e] * w_design[j, d]
        for i in range(n_c):
            rest = z[j, i] if i < n_z else b[j, i - n_z]
            for d in range(w_design.shape[1]):
                rest -= c_b[d, n_a + i] * w_design[j, d]
            for e in range(n_a):  # a missing z has no weight
                mean[e] += b_matrix[e, i] * rest
        c[:, :] = c_w[j].T
        c[:, 0] -= center
        for q in range(n_uses):
            for i in range(p):
                c[i, use_column[q]] += mean[use_effect[q]] * effect[j, q, i]
        h_matrix[:, :] = 0.0
        g[:] = 0.0
        batch, lane = j // LANES, j % LANES
        add_pieces(
            int(first[batch]), int(first[batch + 1]), lane, size, dd, dy, yy, seen, sigma[j], c,
            use_column, effect[j], h_matrix, g, space,
        )  # fmt: skip
        integrate_effects(n_uses, h_matrix, g, v, work, score, m_matrix)
        posterior_effects(n_uses, v, score, m_matrix, deviation, covariance, work[0])
        semidefinite_root(covariance, n_uses, root)
        for q in range(n_uses):
            value = mean[use_effect[q]] + deviation[q]
            for s in range(q + 1):
                value += root[q, s] * normals[j, s]
            draws[j, use_effect[q]] = value
            variances[j, use_effect[q]] = max(covariance[q, q], 0.0)
    return draws, variances


def root_of(covariance: FloatArray) -> FloatArray:
    """Return a matrix A with A A' = covariance; singular covariances are allowed."""
    values, vectors = np.linalg.eigh(covariance)
    tiny = 1e-10 * max(values.max(initial=0.0), np.finfo(float).tiny)
    if values.min(initial=0.0) < -tiny:
        raise np.linalg.LinAlgError(
            f"cannot draw from a covariance matrix with a negative eigenvalue ({values.min():.3g})"
        )
    root: FloatArray = vectors * np.sqrt(np.clip(values, 0.0, None))
    return root
