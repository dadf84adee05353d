"""The pass over all rows: cluster after cluster, pattern after pattern, block after block.

For every block: means (kernels.row_block), scores (kernels.row_scores), latent responses that are
carried (kernels.carried), log densities (kernels.row_responses), and all of it in reverse.
"""

from __future__ import annotations

import numpy as np

from bayes_msem.kernels.carried import carry, carry_back, frozen_back
from bayes_msem.kernels.compile import inner_kernel, kernel
from bayes_msem.kernels.level_two import LOG_2PI
from bayes_msem.kernels.row_block import (
    BLOCK,
    block_space,
    leave_out_idle,
    means_back,
    predictors,
)
from bayes_msem.kernels.row_responses import responses
from bayes_msem.kernels.row_scores import density, scores, scores_back
from bayes_msem.kernels.row_shared import (
    fill,
    fill_back,
    observe,
    observe_back,
    shared_space,
)
from bayes_msem.kernels.template import effects_of
from bayes_msem.kernels.values import cluster_gradient, cluster_values

__all__ = ["add_rows", "scores_of"]


@inner_kernel
def _end_of_run(start, stop, pattern):
    """Return the end of the rows from ``start`` on that miss the same, at most a block of them."""
    end = min(start + BLOCK, stop)
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
    shared, d, block = shared_space(rows), shared_space(rows), block_space(rows)
    effects = effects_of(rows.level)
    sigma, d_sigma, width = np.empty((n, n)), np.zeros((n, n)), max(rows.level.m, n)
    d_total, h, log_det, n_since = np.zeros((rows.level.m, n)), np.empty((width, n)), 0.0, 0
    pattern, n_seen, stands_for = -1, 0, rows.stands_for
    for j in range(len(terms)):
        if varies or j == 0:
            cluster_values(b[j], n_theta, own_rows, varying, x_j, own)
            pattern = -1  # nothing is pending then
            if not fill(rows, own, effects, sigma, shared):
                return False
        start, stop = int(data.first[j]), int(data.first[j + 1])
        while start < stop:
            if int(data.pattern[start]) != pattern:
                observe_back(
                    data.missing[max(pattern, 0)], stands_for, shared.omega, n_since, h, d.omega,
                    d_sigma,
                )  # fmt: skip
                pattern, n_since = int(data.pattern[start]), 0
                missing = data.missing[pattern]
                log_det, n_seen, positive = observe(missing, stands_for, sigma, h, shared.omega)
                if not positive:
                    return False
                if len(stands_for) > 0:
                    leave_out_idle(missing, rows, block.count, block.where)
            end = _end_of_run(start, stop, data.pattern)
            terms[j] -= 0.5 * (end - start) * (log_det + n_seen * LOG_2PI)
            predictors(start, end, b[j], data.missing[pattern], rows, data, shared, block)
            if not scores(start, end, t, rows, data, shared, block):
                return False
            if rows.n_carried > 0:
                terms[j] += carry(start, end, b[j], t, rows, data, shared, block)
            terms[j] += responses(start, end, rows, data, shared, block, d)
            terms[j] -= 0.5 * density(start, end, rows, shared, block, d)
            if rows.n_carried > 0:
                carry_back(
                    start, end, b[j], t, rows, data, shared, block, d, d_b[j], result.t
                )  # fmt: skip
            scores_back(start, end, rows, data, shared, block, d, result.t)
            if rows.n_carried > 0:
                frozen_back(start, end, rows, shared, block, d)
            means_back(start, end, data.missing[pattern], rows, shared, block, d, d_b[j])
            n_since += end - start
            start = end
        if varies or j == len(terms) - 1:
            observe_back(
                data.missing[max(pattern, 0)], stands_for, shared.omega, n_since, h, d.omega,
                d_sigma,
            )  # fmt: skip
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
    shared, block, effects = shared_space(rows), block_space(rows), effects_of(rows.level)
    sigma, h, n_k = np.empty((n, n)), np.empty((n, n)), len(rows.items.code)
    n_c, first_star = rows.n_carried, rows.level.n_design - rows.n_carried
    q, stars = t.shape[1] - n_c, np.full((len(t), n_c), np.nan)
    found, eta = np.full((len(t), q), np.nan), np.full((len(t), n_k), np.nan)
    stands_for = rows.stands_for
    for j in range(len(b)):
        cluster_values(b[j], n_theta, own_rows, varying, x_j, own)
        if not fill(rows, own, effects, sigma, shared):
            return found, eta, stars
        start, stop, pattern = int(data.first[j]), int(data.first[j + 1]), -1
        while start < stop:
            if int(data.pattern[start]) != pattern:
                pattern = int(data.pattern[start])
                missing = data.missing[pattern]
                if not observe(missing, stands_for, sigma, h, shared.omega)[2]:
                    return found, eta, stars
                if len(stands_for) > 0:
                    leave_out_idle(missing, rows, block.count, block.where)
            end = _end_of_run(start, stop, data.pattern)
            predictors(start, end, b[j], data.missing[pattern], rows, data, shared, block)
            if not scores(start, end, t, rows, data, shared, block):
                return found, eta, stars
            if n_c > 0:
                carry(start, end, b[j], t, rows, data, shared, block)
            for r in range(end - start):
                i = start + r
                for f in range(q):
                    found[i, f] = block.s[f, r]
                for k in range(n_k):
                    eta[i, k] = block.base[k, r]
                    for place in range(block.count[k]):
                        f = block.where[k, place]
                        eta[i, k] += shared.loading[k, f] * block.s[f, r]
                    for m in range(min(k, n_c)):
                        eta[i, k] -= shared.mix[k, m] * block.z[m, r]
                for m in range(n_c):
                    stars[i, m] = block.regressors[first_star + m, r] + block.moved[m, r]
            start = end
    return found, eta, stars
