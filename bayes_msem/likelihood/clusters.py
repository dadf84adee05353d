"""The log-likelihood of models with random coefficients: one pass over the clusters.

Level 2 is one vector u = (a, z, b) per cluster: linear effects a (integrated out), cluster-level
variables z (observed) and sampled effects b (given), with

    u_j ~ N(mu_j, Omega) ,   mu_j = C_b (1, w_j)

from the between-level template. Conditioning on (z, b) =: c gives a_j ~ N(mean_j, V),

    mean_j = mu_aj + B r_j ,  r_j = c_j - mu_cj ,
    B = Omega_ac Omega_cc^-1 ,  V = Omega_aa - B Omega_ca

and likelihood.integrate does the rest. The kernel returns log p(y, z | b, theta) with its gradient;
the density of b belongs to likelihood.centring. Rows of sampled effects occupy the entries of the
value vector behind theta; only they differ between clusters.
"""

from __future__ import annotations

import numpy as np

from bayes_msem.likelihood.cluster_program import (
    BETWEEN,
    COMMON,
    CONSTANTS,
    ROW_CODE,
    ROW_EFFECT,
    SD_COMMON,
    SD_VARYING,
    SIZES,
    TRANSFORM,
    USE_COLUMN,
    USE_EFFECT,
    USE_VARIABLE,
    VARYING,
    WITHIN,
)
from bayes_msem.likelihood.groups import invert
from bayes_msem.likelihood.integrate import (
    integrate_effects,
    moment_gradients,
    posterior_effects,
    project,
    residuals,
)
from bayes_msem.likelihood.packing import (
    floats_at,
    integers,
    level_backward,
    level_forward,
    level_forward_into,
)
from bayes_msem.structure.effects import FISHER_Z, LOG_SD
from bayes_msem.structure.kernel import kernel
from bayes_msem.structure.transform import backward as transform_backward
from bayes_msem.structure.transform import blocks_backward, blocks_forward
from bayes_msem.structure.transform import forward as transform_forward

LOG_2PI = float(np.log(2.0 * np.pi))


@kernel
def common_values(x, ints, floats):
    """Value vector with the entries that all clusters share; those of random rows are zero."""
    sizes, constants = integers(ints, SIZES), floats_at(floats, CONSTANTS)
    n_theta, n_x = sizes[3], sizes[3] + sizes[4]
    values = np.zeros(n_x + len(constants))
    transform_forward(
        x,
        integers(ints, TRANSFORM),
        integers(ints, COMMON),
        integers(ints, COMMON + 1),
        floats_at(floats, SD_COMMON),
        integers(ints, COMMON + 2),
        integers(ints, COMMON + 3),
        integers(ints, COMMON + 4),
        integers(ints, COMMON + 5),
        values[:n_theta],
    )
    values[n_x:] = constants
    return values


@kernel
def common_gradient(x, ints, floats, gradient, d_x):
    """Pull a gradient with respect to the shared values back to x (added to ``d_x``)."""
    transform_backward(
        x,
        integers(ints, TRANSFORM),
        integers(ints, COMMON),
        integers(ints, COMMON + 1),
        floats_at(floats, SD_COMMON),
        integers(ints, COMMON + 2),
        integers(ints, COMMON + 3),
        integers(ints, COMMON + 4),
        integers(ints, COMMON + 5),
        gradient[: len(x)],
        d_x,
    )


@kernel
def between_moments(x, ints, floats):
    """Return values, Omega, mean coefficients C_b (Db x n_u), and what the reverse needs."""
    sizes = integers(ints, SIZES)
    n_u = sizes[5] + sizes[7] + sizes[8]
    values = common_values(x, ints, floats)
    omega, c_b = np.zeros((n_u, n_u)), np.zeros((sizes[2], n_u))
    t, a, inverse = level_forward(BETWEEN, sizes[10], sizes[12] == 1, values, ints, omega, c_b)
    return values, omega, c_b, t, a, inverse


@kernel
def between_gradient(x, ints, floats, values, t, a, inverse, d_omega, d_c_b, gradient, d_x):
    """Pull gradients with respect to Omega and C_b back to x (added to ``d_x``).

    ``gradient`` comes with what the shared values get from elsewhere.
    """
    sizes = integers(ints, SIZES)
    m_b, n_u = sizes[10], d_omega.shape[0]
    d_t, h = np.zeros((m_b, n_u)), np.empty((m_b, n_u))
    level_backward(
        BETWEEN, m_b, sizes[12] == 1, values, ints, t, a, inverse, d_omega, d_c_b, d_t, h, gradient
    )
    common_gradient(x, ints, floats, gradient, d_x)


@kernel
def typical_theta(x, ints, floats):
    """Table values with the sampled effects at their intercepts (the typical cluster).

    A covariance of variables whose variance is random has no single value: its parameter is the
    correlation, and its table value the covariance at the typical standard deviations.
    """
    sizes = integers(ints, SIZES)
    n_x, n_b = sizes[3] + sizes[4], sizes[8]
    values, _, c_b, _, _, _ = between_moments(x, ints, floats)
    typical = np.empty((1, n_b))
    for i in range(n_b):
        typical[0, i] = c_b[0, sizes[5] + sizes[7] + i]
    x_j = np.empty(n_x)
    x_j[: len(x)] = x
    cluster_values(typical, 0, ints, floats, x_j, values)
    return values[:n_x]


@kernel
def _condition(omega, n_a, inverse_c, b_matrix, v):
    """Fill Omega_cc^-1, B and V; return log|Omega_cc| and whether it is positive definite."""
    n_c = omega.shape[0] - n_a
    scratch = np.empty((n_c, n_c))
    for i in range(n_c):
        for k in range(n_c):
            scratch[i, k] = omega[n_a + i, n_a + k]
    log_det, positive = invert(scratch, n_c, inverse_c)
    if not positive:
        return log_det, False
    for q in range(n_a):
        for i in range(n_c):
            total = 0.0
            for k in range(n_c):
                total += omega[q, n_a + k] * inverse_c[k, i]
            b_matrix[q, i] = total
    for q in range(n_a):
        for s in range(n_a):
            total = omega[q, s]
            for k in range(n_c):
                total -= b_matrix[q, k] * omega[n_a + k, s]
            v[q, s] = total
    return log_det, True


@kernel
def _condition_back(n_a, b_matrix, inverse_c, d_b_matrix, d_v, d_omega):
    """Add to ``d_omega`` what the gradients of B and V say."""
    n_c = d_omega.shape[0] - n_a
    # off-diagonal block: d B Omega_cc^-1 - 2 dV B, split evenly over both triangles
    half = np.empty((n_a, n_c))
    for q in range(n_a):
        for i in range(n_c):
            total = 0.0
            for k in range(n_c):
                total += d_b_matrix[q, k] * inverse_c[k, i]
            for s in range(n_a):
                total -= 2.0 * d_v[q, s] * b_matrix[s, i]
            d_omega[q, n_a + i] += 0.5 * total
            d_omega[n_a + i, q] += 0.5 * total
            half[q, i] = total
    for q in range(n_a):
        for s in range(n_a):
            d_omega[q, s] += d_v[q, s]
    # Omega_cc: -B' (dB Omega_cc^-1 - dV B), symmetrised
    for q in range(n_a):
        for i in range(n_c):
            total = half[q, i]
            for s in range(n_a):
                total += d_v[q, s] * b_matrix[s, i]
            half[q, i] = total
    for i in range(n_c):
        for k in range(n_c):
            total = 0.0
            for q in range(n_a):
                total += b_matrix[q, i] * half[q, k]
            d_omega[n_a + i, n_a + k] -= 0.5 * total
            d_omega[n_a + k, n_a + i] -= 0.5 * total


@kernel
def _normal_density(sign, first, n, omega, r, d_omega, d_r):
    """Add sign times sum_j log N(r_j; 0, Omega[first:, first:]) and its gradients.

    Returns
    -------
    tuple of (float, bool)
        The value, and whether the covariance matrix is positive definite.
    """
    block, inverse, squares = np.empty((n, n)), np.empty((n, n)), np.zeros((n, n))
    offset = r.shape[1] - n
    for i in range(n):
        for k in range(n):
            block[i, k] = omega[first + i, first + k]
    log_det, positive = invert(block, n, inverse)
    if not positive:
        return -np.inf, False
    total = r.shape[0] * (n * LOG_2PI + log_det)
    scaled = np.empty(n)
    for j in range(r.shape[0]):
        for i in range(n):
            inner = 0.0
            for k in range(n):
                inner += inverse[i, k] * r[j, offset + k]
            scaled[i] = inner
        for i in range(n):
            total += scaled[i] * r[j, offset + i]
            d_r[j, offset + i] -= sign * scaled[i]
            for k in range(n):
                squares[i, k] += scaled[i] * scaled[k]
    for i in range(n):
        for k in range(n):
            d_omega[first + i, first + k] += (
                0.5 * sign * (squares[i, k] - r.shape[0] * inverse[i, k])
            )
    return -0.5 * sign * total, True


@kernel
def cluster_values(b, j, ints, floats, x_j, values):
    """Fill the entries of ``x_j`` and ``values`` that are cluster j's own."""
    sizes = integers(ints, SIZES)
    n_theta, n_rows = sizes[3], sizes[4]
    row_effect, row_code = integers(ints, ROW_EFFECT), integers(ints, ROW_CODE)
    for row in range(n_rows):
        value = b[j, row_effect[row]]
        if row_code[row] == LOG_SD:
            value = np.exp(value)
            values[n_theta + row] = value * value
        elif row_code[row] == FISHER_Z:
            value = 0.5 * (1.0 + np.tanh(value))
        else:
            values[n_theta + row] = value
        x_j[n_theta + row] = value
    if len(integers(ints, VARYING)) > 0:
        blocks_forward(
            x_j,
            integers(ints, VARYING),
            integers(ints, VARYING + 1),
            floats_at(floats, SD_VARYING),
            integers(ints, VARYING + 2),
            integers(ints, VARYING + 3),
            integers(ints, VARYING + 4),
            integers(ints, VARYING + 5),
            values,
        )


@kernel
def _cluster_gradient(b, j, ints, floats, x_j, values, gradient, d_x_j, d_b):
    """Move cluster j's own part of ``gradient`` to ``d_b`` and ``d_x_j``, and clear it."""
    sizes = integers(ints, SIZES)
    n_theta, n_rows = sizes[3], sizes[4]
    row_effect, row_code = integers(ints, ROW_EFFECT), integers(ints, ROW_CODE)
    if len(integers(ints, VARYING)) > 0:
        edges = integers(ints, VARYING + 5)
        blocks_backward(
            x_j,
            integers(ints, VARYING),
            integers(ints, VARYING + 1),
            floats_at(floats, SD_VARYING),
            integers(ints, VARYING + 2),
            integers(ints, VARYING + 3),
            integers(ints, VARYING + 4),
            edges,
            gradient,
            d_x_j,
        )
        for e in range(len(edges)):
            gradient[edges[e]] = 0.0
    for row in range(n_rows):
        slope, value = d_x_j[n_theta + row], x_j[n_theta + row]
        if row_code[row] == LOG_SD:
            slope = slope * value + 2.0 * gradient[n_theta + row] * value * value
        elif row_code[row] == FISHER_Z:
            slope *= 2.0 * value * (1.0 - value)
        else:
            slope = gradient[n_theta + row]
        d_b[j, row_effect[row]] += slope
        d_x_j[n_theta + row] = 0.0
        gradient[n_theta + row] = 0.0


@kernel
def _use_vectors(use_variable, t, effect):
    """Fill one row l_q per use of a linear effect."""
    for q in range(len(use_variable)):
        variable = use_variable[q]
        for i in range(effect.shape[1]):
            if variable >= 0:
                effect[q, i] = t[variable, i]
            else:
                effect[q, i] = 1.0 if i == -1 - variable else 0.0


@kernel
def unpack_statistics(ints, statistics):
    """Return views of the packed statistics (see likelihood.cluster_program)."""
    sizes = integers(ints, SIZES)
    p, n_d, n_w, n_z = sizes[0], sizes[1], sizes[2], sizes[7]
    n_clusters = int(statistics[0])
    start = 1
    center = statistics[start : start + p]
    start += p
    size = statistics[start : start + n_clusters]
    start += n_clusters
    dd = statistics[start : start + n_clusters * n_d * n_d].reshape((n_clusters, n_d, n_d))
    start += n_clusters * n_d * n_d
    dy = statistics[start : start + n_clusters * n_d * p].reshape((n_clusters, n_d, p))
    start += n_clusters * n_d * p
    yy = statistics[start : start + n_clusters * p * p].reshape((n_clusters, p, p))
    start += n_clusters * p * p
    w = statistics[start : start + n_clusters * n_w].reshape((n_clusters, n_w))
    start += n_clusters * n_w
    z = statistics[start : start + n_clusters * n_z].reshape((n_clusters, n_z))
    return center, size, dd, dy, yy, w, z


@kernel
def cluster_value_and_gradient(x, b, ints, floats, statistics):
    """Log p(y, z | b, theta) and its gradients.

    Parameters
    ----------
    x : (n_theta,) array
        Sampled parameters (see structure.parameters) and constrained rows.
    b : (J, n_b) array
        Sampled effects.
    ints, floats, statistics
        See likelihood.cluster_program.

    Returns
    -------
    tuple of (float, (n_theta,) array, (J, n_b) array)
    """
    sizes = integers(ints, SIZES)
    p, n_d, n_theta, n_rows = sizes[0], sizes[1], sizes[3], sizes[4]
    n_a, n_uses, n_z, n_b, m_w = sizes[5], sizes[6], sizes[7], sizes[8], sizes[9]
    recursive_w = sizes[11] == 1
    n_c, n_u = n_z + n_b, n_a + n_z + n_b
    use_effect, use_variable = integers(ints, USE_EFFECT), integers(ints, USE_VARIABLE)
    use_column = integers(ints, USE_COLUMN)
    center, size, dd, dy, yy, w_design, z = unpack_statistics(ints, statistics)
    n_clusters, n_w = len(size), w_design.shape[1]
    d_x, d_b = np.zeros(n_theta), np.zeros((n_clusters, n_b))

    values_b, omega, c_b, t_b, a_b, inverse_b = between_moments(x, ints, floats)
    inverse_c, b_matrix = np.empty((n_c, n_c)), np.empty((n_a, n_c))
    v_effects, v = np.empty((n_a, n_a)), np.empty((n_uses, n_uses))
    _, positive = _condition(omega, n_a, inverse_c, b_matrix, v_effects)
    if not positive:
        return -np.inf, d_x, d_b
    for q in range(n_uses):
        for s in range(n_uses):
            v[q, s] = v_effects[use_effect[q], use_effect[s]]
    r_c, d_r = np.empty((n_clusters, n_c)), np.zeros((n_clusters, n_c))
    for j in range(n_clusters):
        for i in range(n_c):
            mean = 0.0
            for d in range(n_w):
                mean += c_b[d, n_a + i] * w_design[j, d]
            r_c[j, i] = (z[j, i] if i < n_z else b[j, i - n_z]) - mean

    total = 0.0
    d_omega, d_c_b = np.zeros((n_u, n_u)), np.zeros((n_w, n_u))
    if n_z > 0:
        value, positive = _normal_density(1.0, n_a, n_c, omega, r_c, d_omega, d_r)
        total += value
        if n_b > 0:
            value, positive = _normal_density(-1.0, n_a + n_z, n_b, omega, r_c, d_omega, d_r)
            total += value

    n_x = n_theta + n_rows
    x_j, values = np.empty(n_x), values_b.copy()
    x_j[:n_theta] = x
    sigma, sigma_copy, w = np.empty((p, p)), np.empty((p, p)), np.empty((p, p))
    c_w, c = np.empty((n_d, p)), np.empty((p, n_d))
    effect, wl = np.empty((n_uses, p)), np.empty((n_uses, p))
    r, s = np.empty((p, n_d)), np.empty((p, p))
    h_matrix, m_matrix = np.empty((n_uses, n_uses)), np.empty((n_uses, n_uses))
    g, score, mean = np.empty(n_uses), np.empty(n_uses), np.empty(n_uses)
    deviation, covariance = np.empty(n_uses), np.empty((n_uses, n_uses))
    work, scratch = np.empty((4, n_uses, n_uses)), np.empty((2, max(p, 1), max(p, 1)))
    d_sigma, d_c_w, d_c = np.zeros((p, p)), np.zeros((n_d, p)), np.empty((p, n_d))
    d_effect, d_t, h = np.empty((n_uses, p)), np.zeros((m_w, p)), np.empty((m_w, p))
    d_v_uses, d_b_matrix = np.zeros((n_uses, n_uses)), np.zeros((n_a, n_c))
    gradient, d_x_j = np.zeros(len(values)), np.zeros(n_x)
    t, a, inverse = np.empty((m_w, p)), np.empty((m_w, p)), np.empty((m_w, m_w))
    log_det = 0.0
    for j in range(n_clusters):
        if n_rows > 0 or j == 0:
            cluster_values(b, j, ints, floats, x_j, values)
            sigma[:, :] = 0.0
            c_w[:, :] = 0.0
            level_forward_into(WITHIN, m_w, recursive_w, values, ints, sigma, c_w, t, a, inverse)
            sigma_copy[:, :] = sigma
            log_det, positive = invert(sigma_copy, p, w)
            if not positive:
                return -np.inf, d_x, d_b
            _use_vectors(use_variable, t, effect)
        for i in range(p):
            for d in range(n_d):
                c[i, d] = c_w[d, i]
            c[i, 0] -= center[i]
        for q in range(n_uses):
            e = use_effect[q]
            value = 0.0
            for d in range(n_w):
                value += c_b[d, e] * w_design[j, d]
            for i in range(n_c):
                value += b_matrix[e, i] * r_c[j, i]
            mean[q] = value
            for i in range(p):
                c[i, use_column[q]] += value * effect[q, i]
        residuals(p, n_d, dd[j], dy[j], yy[j], c, r, s)
        project(p, n_uses, use_column, dd[j], w, effect, r, wl, h_matrix, g)
        value, positive = integrate_effects(n_uses, h_matrix, g, v, work, score, m_matrix)
        if not positive:
            return -np.inf, d_x, d_b
        trace = 0.0
        for i in range(p):
            for k in range(p):
                trace += w[i, k] * s[i, k]
        total += 0.5 * (value - trace - size[j] * (p * LOG_2PI + log_det))

        posterior_effects(n_uses, v, score, m_matrix, deviation, covariance, work[0])
        moment_gradients(
            p, n_d, n_uses, size[j], use_column, dd[j], w, wl, effect, r, s,
            deviation, covariance, d_c, d_effect, d_sigma, scratch,
        )  # fmt: skip
        for q in range(n_uses):
            e = use_effect[q]
            for u in range(n_uses):
                d_v_uses[q, u] += 0.5 * (score[q] * score[u] - m_matrix[q, u])
            if use_variable[q] >= 0:
                for i in range(p):
                    d_t[use_variable[q], i] += d_effect[q, i] + mean[q] * d_c[i, use_column[q]]
            for d in range(n_w):
                d_c_b[d, e] += score[q] * w_design[j, d]
            for i in range(n_c):
                d_b_matrix[e, i] += score[q] * r_c[j, i]
                d_r[j, i] += score[q] * b_matrix[e, i]
        for i in range(p):
            for d in range(n_d):
                d_c_w[d, i] += d_c[i, d]
        if n_rows > 0 or j == n_clusters - 1:
            level_backward(
                WITHIN, m_w, recursive_w, values, ints, t, a, inverse, d_sigma, d_c_w, d_t, h,
                gradient,
            )  # fmt: skip
            _cluster_gradient(b, j, ints, floats, x_j, values, gradient, d_x_j, d_b)
            d_sigma[:, :] = 0.0
            d_c_w[:, :] = 0.0
            d_t[:, :] = 0.0

    for i in range(n_theta):
        d_x[i] += d_x_j[i]
    d_v = np.zeros((n_a, n_a))
    for q in range(n_uses):
        for u in range(n_uses):
            d_v[use_effect[q], use_effect[u]] += d_v_uses[q, u]
    for j in range(n_clusters):
        for i in range(n_c):
            if i >= n_z:
                d_b[j, i - n_z] += d_r[j, i]
            for d in range(n_w):
                d_c_b[d, n_a + i] -= d_r[j, i] * w_design[j, d]
    _condition_back(n_a, b_matrix, inverse_c, d_b_matrix, d_v, d_omega)
    between_gradient(x, ints, floats, values_b, t_b, a_b, inverse_b, d_omega, d_c_b, gradient, d_x)
    return total, d_x, d_b
