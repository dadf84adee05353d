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

A missing response has weight 0 and no density. Where some of v is missing, Omega is the inverse of
Sigma for the rest of r, with zeros elsewhere: rows go by the pattern of what they miss, and no
response that is observed or carried depends on a missing v. Responses that others depend on, or
whose residuals are correlated, have coordinates of their own (kernels.carried).
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numba.extending import register_jitable

from bayes_msem.kernels.carried import carry, carry_back, freeze, frozen_back
from bayes_msem.kernels.compile import inner_kernel, kernel
from bayes_msem.kernels.level_two import LOG_2PI
from bayes_msem.kernels.probit_cells import (
    D_LOWER,
    D_UPPER,
    SLOPE,
    P,
    evaluate_cells,
    place_cell,
    probit_space,
)
from bayes_msem.kernels.responses import PROBIT, response
from bayes_msem.kernels.row_shared import (
    fill,
    fill_back,
    observe,
    observe_back,
    shared_space,
)
from bayes_msem.kernels.row_working import category
from bayes_msem.kernels.template import effects_of
from bayes_msem.kernels.triangular import cholesky, cholesky_back_with
from bayes_msem.kernels.values import cluster_gradient, cluster_values

__all__ = ["add_rows", "scores_of"]

_SMALL = 1e-200  # a product of probabilities below this is turned into its logarithm
_BLOCK = 64  # rows that are looked at together: each step of the pass is a call


class Block(NamedTuple):
    """Of up to ``_BLOCK`` rows of a cluster: what leads to their scores, and gradients.

    Attributes
    ----------
    mu, deviation
        mu and r - mu, (rows, d).
    chol, w, s
        L (rows, q, q), L^-1 q and the scores (rows, q).
    base, regressors
        beta (rows, K) and (1, x, v - b_v).
    d_s, d_mu, d_base
        Gradients of s, mu and beta.
    d_v, d_q, d_chol, scratch
        Of one row: gradients of L^-1 q, of q and of L, and (q, q) scratch.
    z, moved, z_slopes
        Of carried responses: z (rows, M), y* less its frozen value, and derivatives of z.
    kept_mu, kept_base
        mu and beta at frozen y*.
    count, where
        Number of scores that each response depends on, (K,), and which, (K, q).
    cells, eta, common
        Of one probit: its cells, linear predictors, and which cells are of the common kind.
    """

    mu: Any
    deviation: Any
    chol: Any
    w: Any
    s: Any
    base: Any
    regressors: Any
    d_s: Any
    d_mu: Any
    d_base: Any
    d_v: Any
    d_q: Any
    d_chol: Any
    scratch: Any
    z: Any
    moved: Any
    z_slopes: Any
    kept_mu: Any
    kept_base: Any
    count: Any
    where: Any
    cells: Any
    eta: Any
    common: Any


@register_jitable
def _scores_of_items(structure):
    """Return how many scores each response depends on, and which: loadings of others are zero."""
    items, n_fixed = structure.items, structure.level.n_design + structure.n_normal
    n_k, q = len(items.code), structure.level.n - structure.n_normal
    count, where = np.zeros(n_k, np.int64), np.zeros((n_k, q), np.int64)
    for k in range(n_k):
        for f in range(q):
            for cell in range(len(items.item)):
                if items.item[cell] == k and items.regressor[cell] == n_fixed + f:
                    where[k, count[k]] = f
                    count[k] += 1
                    break
    return count, where


@register_jitable
def _block_space(structure):
    n, n_v, n_k = structure.level.n, structure.n_normal, len(structure.items.code)
    n_c, (count, where) = structure.n_carried, _scores_of_items(structure)
    q, n_fixed = n - n_v, structure.level.n_design + n_v
    return Block(
        np.zeros((_BLOCK, n)), np.zeros((_BLOCK, n)), np.zeros((_BLOCK, q, q)),
        np.zeros((_BLOCK, q)), np.zeros((_BLOCK, q)), np.zeros((_BLOCK, n_k)),
        np.zeros((_BLOCK, n_fixed)), np.zeros((_BLOCK, q)), np.zeros((_BLOCK, n)),
        np.zeros((_BLOCK, n_k)), np.zeros(q), np.zeros(q), np.zeros((q, q)), np.zeros((q, q)),
        np.zeros((_BLOCK, n_c)), np.zeros((_BLOCK, n_c)), np.zeros((_BLOCK, n_c, 3)),
        np.zeros((_BLOCK, n)), np.zeros((_BLOCK, n_k)), count, where, probit_space(_BLOCK),
        np.zeros(_BLOCK), np.zeros(_BLOCK, np.bool_),
    )  # fmt: skip


@inner_kernel
def _predictors(first, stop, b, structure, data, shared, block):
    """Fill mu, deviations of v, regressors and beta of rows ``first`` to ``stop``; y* is frozen."""
    c, fixed, design, normal, offset = shared.c, shared.fixed, data.design, data.normal, data.offset
    mu, deviation, regressors, base = block.mu, block.deviation, block.regressors, block.base
    effect, own, (n_d, n) = structure.effect, structure.items.effect, c.shape
    n_v, n_fixed, n_x = structure.n_normal, fixed.shape[1], design.shape[1]
    if structure.n_carried > 0:
        freeze(first, stop, structure, data, shared, block)
    for r in range(stop - first):
        for d in range(n_x):
            regressors[r, d] = design[first + r, d]
        for o in range(n):
            total = 0.0
            for d in range(n_d):
                total += c[d, o] * regressors[r, d]
            mu[r, o] = total
        for o in range(n_v):
            level = b[effect[o]] if effect[o] >= 0 else 0.0
            mu[r, o] += level
            regressors[r, n_d + o] = normal[first + r, o] - level
            deviation[r, o] = normal[first + r, o] - mu[r, o]
    for k in range(fixed.shape[0]):
        level = b[own[k]] if own[k] >= 0 else 0.0
        for r in range(stop - first):
            total = offset[first + r, k] + level
            for d in range(n_fixed):
                total += fixed[k, d] * regressors[r, d]
            base[r, k] = total


@inner_kernel
def _scores(first, stop, t, structure, data, shared, block):
    """Fill the scores of rows; return whether all P are positive definite."""
    omega, loading, middle, base = shared.omega, shared.loading, shared.middle, block.base
    weight, target, mu, deviation = data.weight, data.target, block.mu, block.deviation
    n_v, q, n_k = structure.n_normal, loading.shape[1], loading.shape[0]
    count, where = block.count, block.where
    for r in range(stop - first):
        chol, w, s = block.chol[r], block.w[r], block.s[r]
        for f in range(q):
            total = 0.0
            for g in range(q):
                total += omega[n_v + f, n_v + g] * mu[r, n_v + g]
                chol[f, g] = omega[n_v + f, n_v + g]
            for o in range(n_v):
                total -= omega[n_v + f, o] * deviation[r, o]
            w[f] = total
        for k in range(n_k):
            factor = weight[first + r, k]
            u = factor * (target[first + r, k] + middle[k] - base[r, k])
            for i in range(count[k]):  # where is sorted
                f = where[k, i]
                w[f] += loading[k, f] * u
                product = factor * loading[k, f]
                for j in range(i + 1):
                    chol[f, where[k, j]] += product * loading[k, where[k, j]]
        _, positive = cholesky(chol, q)
        if not positive:
            return False
        for f in range(q):
            total = w[f]
            for g in range(f):
                total -= chol[f, g] * w[g]
            w[f] = total / chol[f, f]
            s[f] = w[f] + t[first + r, f]
        for f in range(q - 1, -1, -1):
            total = s[f]
            for g in range(f + 1, q):
                total -= chol[g, f] * s[g]
            s[f] = total / chol[f, f]
        for f in range(q):
            deviation[r, n_v + f] = s[f] - mu[r, n_v + f]
    return True


@inner_kernel
def _probits(first, stop, k, structure, data, shared, block, d):
    """Log density of one probit of rows; as ``_responses``, many cells at a time."""
    items, loading, s, cells = structure.items, shared.loading[k], block.s, block.cells
    threshold, y, base, d_s = shared.threshold, data.y, block.base, block.d_s
    start, n, value, product = items.first[k], block.count[k], 0.0, 1.0
    d_loading, found, where = d.loading[k], cells.floats, block.where[k]
    for r in range(stop - first):
        cell, eta = y[first + r, k], base[r, k]
        for i in range(n):
            eta += loading[where[i]] * s[r, where[i]]
        block.eta[r] = eta
        lower, upper = -math.inf, math.inf
        if not math.isnan(cell):
            lower, upper = category(k, cell, items, threshold)
        block.common[r] = place_cell(cells, r, lower - eta, upper - eta)
    evaluate_cells(cells, stop - first)
    for r in range(stop - first):
        cell = y[first + r, k]
        if math.isnan(cell):
            block.d_base[r, k] = 0.0
            continue
        c = start + int(cell)
        lower, upper = category(k, cell, items, threshold)
        if block.common[r]:
            product *= found[P, r]
            if product < _SMALL:
                value += math.log(product)
                product = 1.0
            slope, d_lower, d_upper = found[SLOPE, r], found[D_LOWER, r], found[D_UPPER, r]
        else:
            logp, slope, d_lower, d_upper, _ = response(
                PROBIT, cell, block.eta[r], lower, upper, 0.0
            )
            value += logp
        if lower > -math.inf:
            d.threshold[c - 1] += d_lower
        if upper < math.inf:
            d.threshold[c] += d_upper
        block.d_base[r, k] = slope
        for i in range(n):
            d_s[r, where[i]] += slope * loading[where[i]]
            d_loading[where[i]] += slope * s[r, where[i]]
    return value + math.log(product)


@inner_kernel
def _responses(first, stop, structure, data, shared, block, d):
    """Log density of the responses of rows; fill the gradients of s and beta."""
    items, loading, threshold, y = structure.items, shared.loading, shared.threshold, data.y
    s, base, d_s, d_base, value = block.s, block.base, block.d_s, block.d_base, 0.0
    d_loading, d_threshold, n_k, q = d.loading, d.threshold, loading.shape[0], loading.shape[1]
    count, where = block.count, block.where
    for r in range(stop - first):
        for f in range(q):
            d_s[r, f] = 0.0
    for k in range(n_k):
        code, dispersion, scale = items.code[k], shared.dispersion[k], shared.mix[k, k]
        start, d_dispersion = items.first[k], 0.0
        if code == PROBIT and scale == 1.0:
            value += _probits(first, stop, k, structure, data, shared, block, d)
            continue
        for r in range(stop - first):
            d_base[r, k] = 0.0
            cell = y[first + r, k]
            if math.isnan(cell):
                continue
            eta = base[r, k]
            for i in range(count[k]):
                eta += loading[k, where[k, i]] * s[r, where[k, i]]
            lower, upper = category(k, cell, items, threshold)
            if scale != 1.0:
                eta, lower, upper = eta / scale, lower / scale, upper / scale
            logp, slope, d_lower, d_upper, d_own = response(
                code, cell, eta, lower, upper, dispersion
            )
            value += logp
            if scale != 1.0:
                slope, d_lower, d_upper = slope / scale, d_lower / scale, d_upper / scale
                d.mix[k, k] -= slope * eta
                if lower > -math.inf:
                    d.mix[k, k] -= d_lower * lower
                if upper < math.inf:
                    d.mix[k, k] -= d_upper * upper
            if lower > -math.inf:
                d_threshold[start + int(cell) - 1] += d_lower
            if upper < math.inf:
                d_threshold[start + int(cell)] += d_upper
            d_dispersion += d_own
            d_base[r, k] = slope
            for i in range(count[k]):
                f = where[k, i]
                d_s[r, f] += slope * loading[k, f]
                d_loading[k, f] += slope * s[r, f]
        d.dispersion[k] += d_dispersion
    return value


@inner_kernel
def _density(first, stop, structure, shared, block, d):
    """Quadratic forms of r, and log|L|^2; add the gradients, those of the scores to ``d_s``."""
    omega, deviation, d_mu, d_s, d_omega = (
        shared.omega,
        block.deviation,
        block.d_mu,
        block.d_s,
        d.omega,
    )
    n_v, n, q, total = structure.n_normal, len(omega), block.s.shape[1], 0.0
    for r in range(stop - first):
        for o in range(n):
            pull = 0.0
            for m in range(n):
                pull += omega[o, m] * deviation[r, m]
                d_omega[o, m] -= 0.5 * deviation[r, o] * deviation[r, m]
            total += deviation[r, o] * pull
            d_mu[r, o] = pull
            if o >= n_v:
                d_s[r, o - n_v] -= pull
        product = 1.0
        for f in range(q):
            product *= block.chol[r, f, f]
        total += 2.0 * math.log(product)
    return total


@inner_kernel
def _scores_back(first, stop, structure, data, shared, block, d, d_t):
    """Pull the gradients of scores and of -log|L| back to all that they follow from."""
    omega, loading, middle = shared.omega, shared.loading, shared.middle
    weight, target, base, d_base = data.weight, data.target, block.base, block.d_base
    d_v, d_q, d_chol, n_v = block.d_v, block.d_q, block.d_chol, structure.n_normal
    d_omega, d_loading, d_middle, (n_k, q) = d.omega, d.loading, d.middle, loading.shape
    count, where = block.count, block.where
    for r in range(stop - first):
        chol, s, w, d_mu = block.chol[r], block.s[r], block.w[r], block.d_mu[r]
        for f in range(q):  # L^-1 d_s
            total = block.d_s[r, f]
            for g in range(f):
                total -= chol[f, g] * d_v[g]
            d_v[f] = total / chol[f, f]
            d_t[first + r, f] = d_v[f]
        for f in range(q - 1, -1, -1):  # L^-T d_v
            total = d_v[f]
            for g in range(f + 1, q):
                total -= chol[g, f] * d_q[g]
            d_q[f] = total / chol[f, f]
        for f in range(q):
            for g in range(q):
                d_chol[f, g] = -s[f] * d_v[g] - d_q[f] * w[g] if g <= f else 0.0
            d_chol[f, f] -= 1.0 / chol[f, f]
        cholesky_back_with(chol, q, d_chol, block.scratch)  # now the gradient of P
        for f in range(q):
            for g in range(q):
                d_omega[n_v + f, n_v + g] += d_chol[f, g] + d_q[f] * block.mu[r, n_v + g]
                d_mu[n_v + f] += omega[n_v + f, n_v + g] * d_q[g]
            for o in range(n_v):
                d_omega[n_v + f, o] -= d_q[f] * block.deviation[r, o]
                d_mu[o] += omega[n_v + f, o] * d_q[f]
        for k in range(n_k):
            factor, d_u = weight[first + r, k], 0.0
            u = target[first + r, k] + middle[k] - base[r, k]
            for i in range(count[k]):
                f = where[k, i]
                total = d_q[f] * u
                for j in range(count[k]):
                    total += 2.0 * d_chol[f, where[k, j]] * loading[k, where[k, j]]
                d_loading[k, f] += factor * total
                d_u += factor * loading[k, f] * d_q[f]
            d_base[r, k] -= d_u
            d_middle[k] += d_u


@inner_kernel
def _means_back(first, stop, structure, data, shared, block, d, d_b):
    """Pull the gradients of mu and beta back to coefficients and effects."""
    effect, own, fixed = structure.effect, structure.items.effect, shared.fixed
    d_c, d_fixed, d_mu, d_base = d.c, d.fixed, block.d_mu, block.d_base
    (n_d, n), n_v, (n_k, n_fixed) = d_c.shape, structure.n_normal, fixed.shape
    for r in range(stop - first):
        for column in range(n_d):
            value = block.regressors[r, column]
            for o in range(n):
                d_c[column, o] += d_mu[r, o] * value
        for o in range(n_v):
            if effect[o] >= 0:
                d_b[effect[o]] += d_mu[r, o]
    for k in range(n_k):
        total = 0.0
        for r in range(stop - first):
            slope = d_base[r, k]
            total += slope
            for column in range(n_fixed):
                d_fixed[k, column] += slope * block.regressors[r, column]
        if own[k] >= 0:
            d_b[own[k]] += total
        for o in range(n_v):
            if effect[o] >= 0:
                d_b[effect[o]] -= total * fixed[k, n_d + o]


@inner_kernel
def _end_of_run(start, stop, pattern):
    """Return the end of the rows from ``start`` on that miss the same, at most a block of them."""
    end = min(start + _BLOCK, stop)
    while pattern[end - 1] != pattern[start]:  # sorted within clusters
        end -= 1
    return end


@kernel
def add_rows(x, b, t, structure, values, rows, data, result):
    """Add the terms of the rows of all clusters, and their gradients, to ``result``.

    Parameters
    ----------
    x, b, t
        Sampled parameters and constrained rows, effects (J, n_b), and coordinates of scores and
        carried responses (N, q + M).
    structure, values
        Structure of the model, and its value vector without the entries that are a cluster's own.
    rows, data
        Structure of the rows, and the rows.
    result : RowGradients
        Added to; the gradient of ``t`` is filled.

    Returns
    -------
    bool
        Whether all covariance matrices are positive definite.
    """
    n_theta, own_rows, varying, n = (
        structure.n_theta,
        structure.rows,
        structure.varying,
        rows.level.n,
    )
    n_x, varies, terms, d_b = (
        n_theta + len(own_rows.effect),
        len(own_rows.effect) > 0,
        result.terms,
        result.b,
    )
    x_j, d_x_j, own, d_own = np.zeros(n_x), np.zeros(n_x), values.copy(), np.zeros(len(values))
    x_j[: len(x)] = x
    shared, d, block = shared_space(rows), shared_space(rows), _block_space(rows)
    effects = effects_of(rows.level)
    sigma, d_sigma, width = np.empty((n, n)), np.zeros((n, n)), max(rows.level.m, n)
    d_total, h, log_det, n_since = np.zeros((rows.level.m, n)), np.empty((width, n)), 0.0, 0
    pattern, n_seen = -1, 0
    for j in range(len(terms)):
        if varies or j == 0:
            cluster_values(b[j], n_theta, own_rows, varying, x_j, own)
            pattern = -1
            if not fill(rows, own, effects, sigma, shared):
                return False
        start, stop = int(data.first[j]), int(data.first[j + 1])
        while start < stop:
            if int(data.pattern[start]) != pattern:
                observe_back(shared.omega, n_since, h, d.omega, d_sigma)
                pattern, n_since = int(data.pattern[start]), 0
                log_det, n_seen, positive = observe(data.missing[pattern], sigma, h, shared.omega)
                if not positive:
                    return False
            end = _end_of_run(start, stop, data.pattern)
            terms[j] -= 0.5 * (end - start) * (log_det + n_seen * LOG_2PI)
            _predictors(start, end, b[j], rows, data, shared, block)
            if not _scores(start, end, t, rows, data, shared, block):
                return False
            if rows.n_carried > 0:
                terms[j] += carry(start, end, b[j], t, rows, data, shared, block)
            terms[j] += _responses(start, end, rows, data, shared, block, d)
            terms[j] -= 0.5 * _density(start, end, rows, shared, block, d)
            if rows.n_carried > 0:
                carry_back(
                    start, end, b[j], t, rows, data, shared, block, d, d_b[j], result.t
                )  # fmt: skip
            _scores_back(start, end, rows, data, shared, block, d, result.t)
            if rows.n_carried > 0:
                frozen_back(start, end, rows, shared, block, d)
            _means_back(start, end, rows, data, shared, block, d, d_b[j])
            n_since += end - start
            start = end
        if varies or j == len(terms) - 1:
            observe_back(shared.omega, n_since, h, d.omega, d_sigma)
            n_since = 0
            fill_back(rows, own, effects, shared, d_sigma, d, d_total, h, d_own)
            cluster_gradient(n_theta, own_rows, varying, x_j, d_own, d_x_j, d_b[j])
    for i in range(len(x)):
        result.x[i] += d_x_j[i]
    for i in range(len(values)):
        result.values[i] += d_own[i]
    return True


@kernel
def scores_of(x, b, t, structure, values, rows, data):
    """Return scores (N, q), linear predictors (N, K) and carried y* (N, M) at coordinates t.

    Predictors are without what they share with correlated residuals.
    """
    n_theta, own_rows, varying, n = (
        structure.n_theta,
        structure.rows,
        structure.varying,
        rows.level.n,
    )
    x_j, own = np.zeros(n_theta + len(own_rows.effect)), values.copy()
    x_j[: len(x)] = x
    shared, block, effects = shared_space(rows), _block_space(rows), effects_of(rows.level)
    sigma, h, n_k = np.empty((n, n)), np.empty((n, n)), len(rows.items.code)
    n_c, first_star = rows.n_carried, rows.level.n_design - rows.n_carried
    q, stars = t.shape[1] - n_c, np.full((len(t), n_c), np.nan)
    scores, eta = np.full((len(t), q), np.nan), np.full((len(t), n_k), np.nan)
    for j in range(len(b)):
        cluster_values(b[j], n_theta, own_rows, varying, x_j, own)
        if not fill(rows, own, effects, sigma, shared):
            return scores, eta, stars
        start, stop, pattern = int(data.first[j]), int(data.first[j + 1]), -1
        while start < stop:
            if int(data.pattern[start]) != pattern:
                pattern = int(data.pattern[start])
                if not observe(data.missing[pattern], sigma, h, shared.omega)[2]:
                    return scores, eta, stars
            end = _end_of_run(start, stop, data.pattern)
            _predictors(start, end, b[j], rows, data, shared, block)
            if not _scores(start, end, t, rows, data, shared, block):
                return scores, eta, stars
            if n_c > 0:
                carry(start, end, b[j], t, rows, data, shared, block)
            for i in range(start, end):
                scores[i] = block.s[i - start]
                for k in range(n_k):
                    eta[i, k] = block.base[i - start, k]
                    for f in range(q):
                        eta[i, k] += shared.loading[k, f] * scores[i, f]
                    for m in range(min(k, n_c)):
                        eta[i, k] -= shared.mix[k, m] * block.z[i - start, m]
                for m in range(n_c):
                    frozen = block.regressors[i - start, first_star + m]
                    stars[i, m] = frozen + block.moved[i - start, m]
            start = end
    return scores, eta, stars
