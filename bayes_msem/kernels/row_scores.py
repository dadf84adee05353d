r"""Rows with outcomes that are not normal: scores given cluster effects, and what they lead to.

Row i of cluster j has normal outcomes v and sampled scores s, together r = (v, s), and responses
y_k with linear predictors eta_k. Given the effects b_j of its cluster,

    r ~ N(mu, Omega^-1) ,   eta_k = beta_k + lambda_k' s ,   log p(y) = sum_k log p(y_k | eta_k) ,

with mu and Omega from the template of the rows (kernels.template), and beta_k all of eta_k that is
not a score: the effect of the cluster, covariates, and within parts of normal outcomes. Effects
that are coefficients enter through the cluster's own entries of the value vector.

Scores are sampled in coordinates t. With fixed working weights w_k and working responses c_k of the
cells (a normal approximation of log p(y_k | eta_k), made at a pilot), which follow the middle m_k
of the thresholds, u_k = c_k + m_k - beta_k and

    P = Omega_ss + sum_k w_k lambda_k lambda_k' = L L' ,
    q = Omega_ss mu_s - Omega_sv (v - mu_v) + sum_k w_k lambda_k u_k ,
    s = L^-T (L^-1 q + t) :

were the approximation exact, t would be standard normal given all else (as in kernels.centring, one
level down). The term of a row is

    log N(r; mu, Omega^-1) + sum_k log p(y_k | eta_k) - log|L| .

A missing response has weight 0 and no density.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numba.extending import register_jitable

from bayes_msem.kernels.compile import borrowed, inner_kernel, kernel
from bayes_msem.kernels.layout import integers, level_of
from bayes_msem.kernels.level_two import LOG_2PI
from bayes_msem.kernels.responses import response, working_weight
from bayes_msem.kernels.template import backward, effects_of, forward
from bayes_msem.kernels.triangular import cholesky, cholesky_back_with, invert
from bayes_msem.kernels.values import cluster_gradient, cluster_values

__all__ = [
    "add_rows",
    "add_shifts",
    "add_shifts_back",
    "row_data",
    "row_structure",
    "scores_in",
    "scores_of",
    "working_of",
]


class Items(NamedTuple):
    """The responses.

    Attributes
    ----------
    code
        Family of each (kernels.responses).
    effect
        Position of its random intercept among the effects, -1 if it has none.
    first
        Thresholds first[k] to first[k + 1] are those of response k.
    threshold, dispersion
        Positions in the value vector; -1 where there is no dispersion.
    item, regressor, source
        Cells of the coefficients: response, column of (1, x, v - b_v, s), and position in the value
        vector.
    """

    code: Any
    effect: Any
    first: Any
    threshold: Any
    dispersion: Any
    item: Any
    regressor: Any
    source: Any


class RowStructure(NamedTuple):
    """The template of the rows: outcomes (v, s), of which v are ``n_normal``, and the responses.

    ``effect`` are the positions of the random intercepts of v among the effects, or -1.
    """

    n_normal: Any
    level: Any
    effect: Any
    items: Any


class RowData(NamedTuple):
    """Rows in the order of their clusters: first row of each (J + 1), and arrays by row.

    Attributes
    ----------
    first
        Rows first[j] to first[j + 1] are those of cluster j.
    design, normal, y, offset
        (1, x), normal outcomes v, responses (NaN where missing), and what is added to eta.
    weight, target
        Working weights w and working responses c.
    """

    first: Any
    design: Any
    normal: Any
    y: Any
    offset: Any
    weight: Any
    target: Any


_FLAT = 1e-8  # working weights below this are zero

# Packed integers of a row structure, in this order.
_SIZES, _LEVEL, _EFFECT, _ITEMS = 0, 1, 6, 7


@kernel
def row_structure(packed):
    """Return the :class:`RowStructure` that likelihood.response_rows has packed."""
    ints = borrowed(packed)
    sizes = integers(ints, _SIZES)
    level = level_of(ints, sizes[1:5], _LEVEL)
    items = Items(
        integers(ints, _ITEMS),
        integers(ints, _ITEMS + 1),
        integers(ints, _ITEMS + 2),
        integers(ints, _ITEMS + 3),
        integers(ints, _ITEMS + 4),
        integers(ints, _ITEMS + 5),
        integers(ints, _ITEMS + 6),
        integers(ints, _ITEMS + 7),
    )
    return RowStructure(sizes[0], level, integers(ints, _EFFECT), items)


@kernel
def _matrix(packed, start, rows, columns):
    return packed[start : start + rows * columns].reshape((rows, columns))


@kernel
def row_data(packed, structure):
    """Return the :class:`RowData` that likelihood.response_rows has packed."""
    floats = borrowed(packed)
    n_clusters, n = int(floats[0]), int(floats[1])
    n_d, n_v, n_k = structure.level.n_design, structure.n_normal, len(structure.items.code)
    first, start = floats[2 : 3 + n_clusters], 3 + n_clusters
    design = _matrix(floats, start, n, n_d)
    start += n * n_d
    normal = _matrix(floats, start, n, n_v)
    start += n * n_v
    step = n * n_k
    return RowData(
        first,
        design,
        normal,
        _matrix(floats, start, n, n_k),
        _matrix(floats, start + step, n, n_k),
        _matrix(floats, start + 2 * step, n, n_k),
        _matrix(floats, start + 3 * step, n, n_k),
    )


@kernel
def scores_in(ints, floats):
    """Return the number of rows, and of scores of each."""
    sizes = integers(ints, _SIZES)
    return int(floats[1]), sizes[2] - sizes[0]


class Shared(NamedTuple):
    """What the rows of a cluster share, and the gradients.

    Attributes
    ----------
    omega
        Omega (d, d).
    c
        C (D, d), mean coefficients.
    loading, fixed
        lambda (K, q), and coefficients (K, D + n_v) of (1, x, v - b_v).
    threshold, middle, dispersion
        Thresholds of all responses, their means by response, and dispersions.
    """

    omega: Any
    c: Any
    loading: Any
    fixed: Any
    threshold: Any
    middle: Any
    dispersion: Any


@register_jitable
def _shared_space(structure):
    level, items = structure.level, structure.items
    n_v, n_k = structure.n_normal, len(items.code)
    return Shared(
        np.zeros((level.n, level.n)),
        np.zeros((level.n_design, level.n)),
        np.zeros((n_k, level.n - n_v)),
        np.zeros((n_k, level.n_design + n_v)),
        np.zeros(len(items.threshold)),
        np.zeros(n_k),
        np.zeros(n_k),
    )


@inner_kernel
def _clear(shared):
    shared.omega[:, :] = 0.0
    shared.c[:, :] = 0.0
    shared.loading[:, :] = 0.0
    shared.fixed[:, :] = 0.0
    shared.threshold[:] = 0.0
    shared.middle[:] = 0.0
    shared.dispersion[:] = 0.0


@inner_kernel
def _fill(structure, values, effects, sigma, shared):
    """Fill what the rows of a cluster share; return log|Sigma| and whether it is definite."""
    level, items, n_fixed = structure.level, structure.items, shared.fixed.shape[1]
    _clear(shared)
    sigma[:, :] = 0.0
    forward(level, values, effects, sigma, shared.c)
    log_det, positive = invert(sigma, level.n, shared.omega)
    for cell in range(len(items.item)):
        k, column, value = items.item[cell], items.regressor[cell], values[items.source[cell]]
        if column < n_fixed:
            shared.fixed[k, column] += value
        else:
            shared.loading[k, column - n_fixed] += value
    for k in range(len(items.code)):
        first, stop = items.first[k], items.first[k + 1]
        for c in range(first, stop):
            shared.threshold[c] = values[items.threshold[c]]
            shared.middle[k] += shared.threshold[c] / (stop - first)
        if items.dispersion[k] >= 0:
            shared.dispersion[k] = values[items.dispersion[k]]
    return log_det, positive


@inner_kernel
def _fill_back(structure, values, effects, shared, n_rows, d, d_t, h, d_values):
    """Reverse of ``_fill``: add to ``d_values``; the gradients ``d`` are cleared.

    Of Omega comes the gradient without that of ``n_rows`` / 2 log|Omega|.
    """
    level, items, omega, n_fixed = structure.level, structure.items, shared.omega, d.fixed.shape[1]
    n = level.n
    # Sigma = Omega^-1; the scratch h has room for n x n
    for i in range(n):
        for k in range(n):
            total = 0.0
            for m in range(n):
                total += omega[i, m] * 0.5 * (d.omega[m, k] + d.omega[k, m])
            h[i, k] = total
    for i in range(n):
        for k in range(n):
            total = 0.5 * n_rows * omega[i, k]
            for m in range(n):
                total += h[i, m] * omega[m, k]
            d.omega[i, k] = -total
    for i in range(d_t.shape[0]):
        for k in range(n):
            d_t[i, k] = 0.0
    backward(level, values, effects, d.omega, d.c, d_t, h, d_values)
    for cell in range(len(items.item)):
        k, column = items.item[cell], items.regressor[cell]
        slope = d.fixed[k, column] if column < n_fixed else d.loading[k, column - n_fixed]
        d_values[items.source[cell]] += slope
    for k in range(len(items.code)):
        first, stop = items.first[k], items.first[k + 1]
        for c in range(first, stop):
            d_values[items.threshold[c]] += d.threshold[c] + d.middle[k] / (stop - first)
        if items.dispersion[k] >= 0:
            d_values[items.dispersion[k]] += d.dispersion[k]
    _clear(d)


@inner_kernel
def add_shifts(structure, values, shift):
    """Add the middle of each response's thresholds to the entry of its random intercept.

    Thresholds and intercept move together; so does what the data say about the intercept.
    """
    items = structure.items
    for k in range(len(items.code)):
        first, stop = items.first[k], items.first[k + 1]
        if items.effect[k] >= 0:
            for c in range(first, stop):
                shift[items.effect[k]] += values[items.threshold[c]] / (stop - first)


@inner_kernel
def add_shifts_back(structure, d_shift, d_values):
    """Reverse of ``add_shifts``."""
    items = structure.items
    for k in range(len(items.code)):
        first, stop = items.first[k], items.first[k + 1]
        if items.effect[k] >= 0:
            slope = d_shift[items.effect[k]]
            for c in range(first, stop):
                d_values[items.threshold[c]] += slope / (stop - first)


@inner_kernel
def _category(k, y, items, threshold):
    """Thresholds around category y of an ordered response; infinite for others."""
    first, stop = items.first[k], items.first[k + 1]
    place, lower, upper = first + int(y), -math.inf, math.inf
    if stop > first:
        if place > first:
            lower = threshold[place - 1]
        if place < stop:
            upper = threshold[place]
    return lower, upper


class Row(NamedTuple):
    """Of one row: mu, deviations of v and s, P and its factor, q, s, beta, and gradients."""

    mu: Any
    deviation: Any
    chol: Any
    w: Any
    s: Any
    base: Any
    regressors: Any
    d_s: Any
    d_v: Any
    d_q: Any
    d_mu: Any
    d_base: Any
    d_chol: Any
    scratch: Any


@register_jitable
def _row_space(structure):
    n, n_v, n_k = structure.level.n, structure.n_normal, len(structure.items.code)
    q, n_d = n - n_v, structure.level.n_design
    return Row(
        np.zeros(n), np.zeros(n), np.zeros((q, q)), np.zeros(q), np.zeros(q), np.zeros(n_k),
        np.zeros(n_d + n_v), np.zeros(q), np.zeros(q), np.zeros(q), np.zeros(n), np.zeros(n_k),
        np.zeros((q, q)), np.zeros((q, q)),
    )  # fmt: skip


@inner_kernel
def _row_forward(i, b, t, structure, data, shared, row):
    """Fill one row up to its scores; return whether P is positive definite."""
    omega, c, loading, fixed = shared.omega, shared.c, shared.loading, shared.fixed
    n_v, effect, items = structure.n_normal, structure.effect, structure.items
    q, n_d, n_k, base = len(row.s), c.shape[0], len(row.base), row.base
    chol, w, s, mu = row.chol, row.w, row.s, row.mu
    for o in range(len(mu)):
        total = 0.0
        for d in range(n_d):
            total += c[d, o] * data.design[i, d]
        mu[o] = total
    for d in range(n_d):
        row.regressors[d] = data.design[i, d]
    for o in range(n_v):
        within = data.normal[i, o]
        if effect[o] >= 0:
            mu[o] += b[effect[o]]
            within -= b[effect[o]]
        row.regressors[n_d + o] = within
        row.deviation[o] = data.normal[i, o] - mu[o]
    for k in range(n_k):
        total = data.offset[i, k]
        for d in range(n_d + n_v):
            total += fixed[k, d] * row.regressors[d]
        base[k] = total + b[items.effect[k]] if items.effect[k] >= 0 else total
    for f in range(q):
        total = 0.0
        for g in range(q):
            total += omega[n_v + f, n_v + g] * mu[n_v + g]
            chol[f, g] = omega[n_v + f, n_v + g]
        for o in range(n_v):
            total -= omega[n_v + f, o] * row.deviation[o]
        w[f] = total
    for k in range(n_k):
        weight = data.weight[i, k]
        if weight > 0.0:
            u = data.target[i, k] + shared.middle[k] - base[k]
            for f in range(q):
                product = weight * loading[k, f]
                w[f] += product * u
                for g in range(f + 1):
                    chol[f, g] += product * loading[k, g]
    _, positive = cholesky(chol, q)
    if not positive:
        return False
    for f in range(q):
        total = w[f]
        for g in range(f):
            total -= chol[f, g] * w[g]
        w[f] = total / chol[f, f]
        s[f] = w[f] + t[i, f]
    for f in range(q - 1, -1, -1):
        total = s[f]
        for g in range(f + 1, q):
            total -= chol[g, f] * s[g]
        s[f] = total / chol[f, f]
    for f in range(q):
        row.deviation[n_v + f] = s[f] - mu[n_v + f]
    return True


@inner_kernel
def _responses(i, structure, data, shared, row, d):
    """Log density of the responses of a row; fill the gradients of s and beta."""
    items, loading, s, value = structure.items, shared.loading, row.s, 0.0
    for f in range(len(s)):
        row.d_s[f] = 0.0
    for k in range(len(row.base)):
        row.d_base[k] = 0.0
        y = data.y[i, k]
        if math.isnan(y):
            continue
        eta = row.base[k]
        for f in range(len(s)):
            eta += loading[k, f] * s[f]
        lower, upper = _category(k, y, items, shared.threshold)
        logp, d_eta, d_lower, d_upper, d_dispersion = response(
            items.code[k], y, eta, lower, upper, shared.dispersion[k]
        )
        value += logp
        place = items.first[k] + int(y)
        if lower > -math.inf:
            d.threshold[place - 1] += d_lower
        if upper < math.inf:
            d.threshold[place] += d_upper
        d.dispersion[k] += d_dispersion
        row.d_base[k] = d_eta
        for f in range(len(s)):
            row.d_s[f] += d_eta * loading[k, f]
            d.loading[k, f] += d_eta * s[f]
    return value


@inner_kernel
def _density(structure, shared, row, d):
    """Quadratic form of r; add its gradients, those of the scores to ``row.d_s``."""
    omega, deviation, n_v, total = shared.omega, row.deviation, structure.n_normal, 0.0
    for o in range(len(deviation)):
        pull = 0.0
        for m in range(len(deviation)):
            pull += omega[o, m] * deviation[m]
            d.omega[o, m] -= 0.5 * deviation[o] * deviation[m]
        total += deviation[o] * pull
        row.d_mu[o] = pull
        if o >= n_v:
            row.d_s[o - n_v] -= pull
    return total


@inner_kernel
def _scores_back(i, structure, data, shared, row, d, d_t):
    """Pull the gradient of the scores and of -log|L| back to all that they follow from."""
    omega, loading, chol, s, w = shared.omega, shared.loading, row.chol, row.s, row.w
    d_v, d_q, d_chol, d_mu, n_v, q = (
        row.d_v,
        row.d_q,
        row.d_chol,
        row.d_mu,
        structure.n_normal,
        len(row.s),
    )
    for f in range(q):  # L^-1 d_s
        total = row.d_s[f]
        for g in range(f):
            total -= chol[f, g] * d_v[g]
        d_v[f] = total / chol[f, f]
        d_t[i, f] = d_v[f]
    for f in range(q - 1, -1, -1):  # L^-T d_v
        total = d_v[f]
        for g in range(f + 1, q):
            total -= chol[g, f] * d_q[g]
        d_q[f] = total / chol[f, f]
    for f in range(q):
        for g in range(q):
            d_chol[f, g] = -s[f] * d_v[g] - d_q[f] * w[g] if g <= f else 0.0
        d_chol[f, f] -= 1.0 / chol[f, f]
    cholesky_back_with(chol, q, d_chol, row.scratch)  # now the gradient of P
    for f in range(q):
        for g in range(q):
            d.omega[n_v + f, n_v + g] += d_chol[f, g] + d_q[f] * row.mu[n_v + g]
            d_mu[n_v + f] += omega[n_v + f, n_v + g] * d_q[g]
        for o in range(n_v):
            d.omega[n_v + f, o] -= d_q[f] * row.deviation[o]
            d_mu[o] += omega[n_v + f, o] * d_q[f]
    for k in range(len(row.base)):
        weight = data.weight[i, k]
        if weight > 0.0:
            u, d_u = data.target[i, k] + shared.middle[k] - row.base[k], 0.0
            for f in range(q):
                total = d_q[f] * u
                for g in range(q):
                    total += 2.0 * d_chol[f, g] * loading[k, g]
                d.loading[k, f] += weight * total
                d_u += weight * loading[k, f] * d_q[f]
            row.d_base[k] -= d_u
            d.middle[k] += d_u


@inner_kernel
def _means_back(i, structure, data, shared, row, d, d_b):
    """Pull the gradients of mu and beta back to coefficients and effects."""
    n_v, effect, items, n_d = structure.n_normal, structure.effect, structure.items, d.c.shape[0]
    for o in range(len(row.mu)):
        for column in range(n_d):
            d.c[column, o] += row.d_mu[o] * data.design[i, column]
    for o in range(n_v):
        if effect[o] >= 0:
            d_b[effect[o]] += row.d_mu[o]
    for k in range(len(row.base)):
        slope = row.d_base[k]
        if slope == 0.0:
            continue
        for column in range(n_d + n_v):
            d.fixed[k, column] += slope * row.regressors[column]
        for o in range(n_v):
            if effect[o] >= 0:
                d_b[effect[o]] -= slope * shared.fixed[k, n_d + o]
        if items.effect[k] >= 0:
            d_b[items.effect[k]] += slope


@inner_kernel
def _log_root(chol, q):
    """log|L|."""
    product = 1.0
    for f in range(q):
        product *= chol[f, f]
    return math.log(product)


@kernel
def add_rows(x, b, t, structure, values, rows, data, terms, d_x, d_values, d_b, d_t):
    """Add the terms of the rows of all clusters to ``terms`` (J,), and their gradients.

    Parameters
    ----------
    x, b, t
        Sampled parameters and constrained rows, effects (J, n_b), and coordinates of scores (N, q).
    structure, values
        Structure of the model, and its value vector without the entries that are a cluster's own.
    rows, data
        Structure of the rows, and the rows.
    terms, d_x, d_values, d_b, d_t
        Filled or added to.

    Returns
    -------
    bool
        Whether all covariance matrices are positive definite.
    """
    n_theta, effects_rows, varying, n = (
        structure.n_theta,
        structure.rows,
        structure.varying,
        rows.level.n,
    )
    n_x, q, varies = n_theta + len(effects_rows.effect), t.shape[1], len(effects_rows.effect) > 0
    x_j, d_x_j, own, d_own = np.zeros(n_x), np.zeros(n_x), values.copy(), np.zeros(len(values))
    x_j[: len(x)] = x
    shared, d, row, effects = (
        _shared_space(rows),
        _shared_space(rows),
        _row_space(rows),
        effects_of(rows.level),
    )
    sigma, width = np.empty((n, n)), max(rows.level.m, n)
    d_total, h, log_det, n_since = np.zeros((rows.level.m, n)), np.empty((width, n)), 0.0, 0
    for j in range(len(terms)):
        if varies or j == 0:
            cluster_values(b[j], n_theta, effects_rows, varying, x_j, own)
            log_det, positive = _fill(rows, own, effects, sigma, shared)
            if not positive:
                return False
        first, stop = int(data.first[j]), int(data.first[j + 1])
        for i in range(first, stop):
            if not _row_forward(i, b[j], t, rows, data, shared, row):
                return False
            value = _responses(i, rows, data, shared, row, d)
            value -= 0.5 * (_density(rows, shared, row, d) + log_det + n * LOG_2PI)
            terms[j] += value - _log_root(row.chol, q)
            _scores_back(i, rows, data, shared, row, d, d_t)
            _means_back(i, rows, data, shared, row, d, d_b[j])
        n_since += stop - first
        if varies or j == len(terms) - 1:
            _fill_back(rows, own, effects, shared, n_since, d, d_total, h, d_own)
            n_since = 0
            cluster_gradient(n_theta, effects_rows, varying, x_j, d_own, d_x_j, d_b[j])
    for i in range(len(x)):
        d_x[i] += d_x_j[i]
    for i in range(len(values)):
        d_values[i] += d_own[i]
    return True


@kernel
def scores_of(x, b, t, structure, values, rows, data):
    """Return scores (N, q) and linear predictors (N, K) at coordinates t."""
    n_theta, effects_rows, varying, n = (
        structure.n_theta,
        structure.rows,
        structure.varying,
        rows.level.n,
    )
    x_j, own = np.zeros(n_theta + len(effects_rows.effect)), values.copy()
    x_j[: len(x)] = x
    shared, row, effects = _shared_space(rows), _row_space(rows), effects_of(rows.level)
    sigma, n_k = np.empty((n, n)), len(rows.items.code)
    scores, eta = np.full(t.shape, np.nan), np.full((len(t), n_k), np.nan)
    for j in range(len(b)):
        cluster_values(b[j], n_theta, effects_rows, varying, x_j, own)
        _, positive = _fill(rows, own, effects, sigma, shared)
        if not positive:
            return scores, eta
        for i in range(int(data.first[j]), int(data.first[j + 1])):
            if not _row_forward(i, b[j], t, rows, data, shared, row):
                return scores, eta
            scores[i] = row.s
            for k in range(n_k):
                eta[i, k] = row.base[k]
                for f in range(t.shape[1]):
                    eta[i, k] += shared.loading[k, f] * row.s[f]
    return scores, eta


@kernel
def working_of(eta, values, structure, data):
    """Working weights w and working responses c (N, K) at linear predictors eta.

    The densities of the cells to second order: log p(y | eta + d) = g d - 1/2 w d^2 + constant. A
    missing response has weight 0, as has one whose density is flat.
    """
    items, n_k = structure.items, len(structure.items.code)
    weight, target = np.zeros(eta.shape), np.zeros(eta.shape)
    threshold, middle = np.zeros(len(items.threshold)), np.zeros(n_k)
    for k in range(n_k):
        first, stop = items.first[k], items.first[k + 1]
        for c in range(first, stop):
            threshold[c] = values[items.threshold[c]]
            middle[k] += threshold[c] / (stop - first)
        dispersion = values[items.dispersion[k]] if items.dispersion[k] >= 0 else 0.0
        for i in range(len(eta)):
            y = data.y[i, k]
            if math.isnan(y):
                continue
            lower, upper = _category(k, y, items, threshold)
            slope = response(items.code[k], y, eta[i, k], lower, upper, dispersion)[1]
            w = working_weight(items.code[k], y, eta[i, k], lower, upper, dispersion)
            if w > _FLAT:
                weight[i, k] = w
                target[i, k] = eta[i, k] + slope / w - middle[k]
    return weight, target
