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

A scaled response is normal with a precision of its own: it has that as its weight, exp(-2 delta)
with all of delta that is not a score, and itself as working response. Where nothing else depends on
scores, t is standard normal exactly.

A missing response has weight 0 and no density. Where some of v is missing, Omega is the inverse of
Sigma for the rest of r, with zeros elsewhere: rows go by the pattern of what they miss. What an
observed response needs of a missing v is one of the scores (``stands_for`` in kernels.row_layout),
and idle in other rows. Responses that others depend on, or whose residuals are correlated, have
coordinates of their own (kernels.carried).
"""

from __future__ import annotations

import math

from bayes_msem.kernels.compile import inner_part
from bayes_msem.kernels.lanes import LANES, across, as_lanes, grouped
from bayes_msem.kernels.responses import SCALED
from bayes_msem.kernels.row_block import copy_rows, groups, sum_of_products
from bayes_msem.kernels.row_working import first_log_sd
from bayes_msem.kernels.triangular import cholesky, cholesky_back_with

__all__ = ["density", "scores", "scores_back"]


@inner_part
def _precisions(n_g, structure, shared, block):
    """Fill P and q of rows, in the places of L and L^-1 q."""
    omega, loading, middle, n_v = shared.omega, shared.loading, shared.middle, structure.n_normal
    mu, deviation, chol, w = (
        grouped(block.mu),
        grouped(block.deviation),
        as_lanes(block.chol),
        grouped(block.w),
    )
    weight, target, base = grouped(block.weight), grouped(block.target), grouped(block.base)
    count, where = block.count, block.where
    for f in range(len(w)):
        for g in range(n_g):
            total = 0.0
            for h in range(len(w)):
                total += omega[n_v + f, n_v + h] * mu[n_v + h, g]
            for o in range(n_v):
                total -= omega[n_v + f, o] * deviation[o, g]
            w[f, g] = total
        for h in range(f + 1):
            for g in range(n_g):
                chol[g, f, h] = omega[n_v + f, n_v + h]
    for k in range(len(count)):
        for i in range(count[k]):  # where is sorted
            f = where[k, i]
            for g in range(n_g):
                u = target[k, g] + middle[k] - base[k, g]
                w[f, g] += loading[k, f] * weight[k, g] * u
            for j in range(i + 1):
                h = where[k, j]
                product = loading[k, f] * loading[k, h]
                for g in range(n_g):
                    chol[g, f, h] += product * weight[k, g]


@inner_part
def _precise(first, stop, structure, data, block):
    """Give scaled responses that are known the weights of the current log SDs."""
    log_sd = first_log_sd(structure.items.code)
    for k in range(len(block.count)):
        if structure.items.code[k] == SCALED:
            for r in range(stop - first):
                y = data.y[k, first + r]
                if not math.isnan(y):
                    block.weight[k, r] = math.exp(-2.0 * block.base[log_sd, r])
                    block.target[k, r] = y
            log_sd += 1


@inner_part
def scores(first, stop, t, structure, data, shared, block):
    """Fill the scores of rows; return whether all P are positive definite."""
    n_g, q, n_v = groups(stop - first), len(block.s), structure.n_normal
    for k in range(len(block.count)):
        copy_rows(data.weight[k], first, stop, block.weight[k])
        copy_rows(data.target[k], first, stop, block.target[k])
    _precise(first, stop, structure, data, block)
    for f in range(q):
        for r in range(n_g * LANES):
            block.s[f, r] = t[first + r, f] if r < stop - first else 0.0
    _precisions(n_g, structure, shared, block)
    mu, deviation, real = grouped(block.mu), grouped(block.deviation), grouped(block.real)
    s, w, all_chol, log_det = (
        grouped(block.s),
        grouped(block.w),
        as_lanes(block.chol),
        grouped(block.log_det),
    )
    for g in range(n_g):
        chol = all_chol[g]
        log_det[g], positive = cholesky(chol, q)
        if not positive:
            return False
        for f in range(q):
            total = w[f, g]
            for h in range(f):
                total -= chol[f, h] * w[h, g]
            w[f, g] = total / chol[f, f]
            s[f, g] += w[f, g]
        for f in range(q - 1, -1, -1):
            total = s[f, g]
            for h in range(f + 1, q):
                total -= chol[h, f] * s[h, g]
            s[f, g] = total / chol[f, f]
        for f in range(q):
            deviation[n_v + f, g] = real[g] * (s[f, g] - mu[n_v + f, g])
    return True


@inner_part
def density(first, stop, structure, shared, block, d):
    """Quadratic forms of r, and log|P|; add the gradients, those of the scores to ``d_s``."""
    omega, n_v, n, n_g = shared.omega, structure.n_normal, len(shared.omega), groups(stop - first)
    deviation, d_mu, d_s = grouped(block.deviation), grouped(block.d_mu), grouped(block.d_s)
    real, log_det = grouped(block.real), grouped(block.log_det)
    total = sum_of_products(real, log_det, n_g)
    for o in range(n):
        for g in range(n_g):
            pull = 0.0
            for m in range(n):
                pull += omega[o, m] * deviation[m, g]
            d_mu[o, g] = pull
            if o >= n_v:
                d_s[o - n_v, g] -= pull
        total += sum_of_products(d_mu[o], deviation[o], n_g)
        for m in range(n):
            d.omega[o, m] -= 0.5 * sum_of_products(deviation[o], deviation[m], n_g)
    return total


@inner_part
def _solved_back(n_g, block):
    """Pull the gradients of scores and of -log|L| back to L^-1 q, q and P (``d_chol``)."""
    q, real, s, w = len(block.s), grouped(block.real), grouped(block.s), grouped(block.w)
    d_s, d_v, d_q = grouped(block.d_s), grouped(block.d_v), grouped(block.d_q)
    all_chol, all_d, scratch = as_lanes(block.chol), as_lanes(block.d_chol), as_lanes(block.scratch)
    for g in range(n_g):
        chol, d_chol = all_chol[g], all_d[g]
        for f in range(q):  # L^-1 d_s
            total = d_s[f, g]
            for h in range(f):
                total -= chol[f, h] * d_v[h, g]
            d_v[f, g] = total / chol[f, f]
        for f in range(q - 1, -1, -1):  # L^-T d_v
            total = d_v[f, g]
            for h in range(f + 1, q):
                total -= chol[h, f] * d_q[h, g]
            d_q[f, g] = total / chol[f, f]
        for f in range(q):
            for h in range(q):
                d_chol[f, h] = 0.0
            for h in range(f + 1):
                d_chol[f, h] = -s[f, g] * d_v[h, g] - d_q[f, g] * w[h, g]
            d_chol[f, f] -= real[g] / chol[f, f]
        cholesky_back_with(chol, q, d_chol, scratch)


@inner_part
def _precise_back(first, stop, structure, data, shared, block):
    """Pull the gradients of the weights of scaled responses back to their log SDs."""
    loading, count, where, log_sd = (
        shared.loading,
        block.count,
        block.where,
        first_log_sd(structure.items.code),
    )
    for k in range(len(count)):
        if structure.items.code[k] != SCALED:
            continue
        for r in range(stop - first):
            if math.isnan(data.y[k, first + r]):
                continue
            g, lane, slope = r // LANES, r % LANES, 0.0
            u = block.target[k, r] - block.base[k, r]
            for i in range(count[k]):
                f = where[k, i]
                slope += loading[k, f] * block.d_q[f, r] * u
                for j in range(count[k]):
                    h = where[k, j]
                    slope += loading[k, f] * loading[k, h] * block.d_chol[g, f, h, lane]
            block.d_base[log_sd, r] -= 2.0 * block.weight[k, r] * slope
        log_sd += 1


@inner_part
def scores_back(first, stop, structure, data, shared, block, d, d_t):
    """Pull the gradients of scores and of -log|L| back to all that they follow from."""
    n_g, n_v, q = groups(stop - first), structure.n_normal, len(block.s)
    omega, loading, middle, count = shared.omega, shared.loading, shared.middle, block.count
    _solved_back(n_g, block)
    for f in range(q):
        for r in range(stop - first):
            d_t[first + r, f] = block.d_v[f, r]
    mu, deviation, d_mu = grouped(block.mu), grouped(block.deviation), grouped(block.d_mu)
    d_q, d_p = grouped(block.d_q), as_lanes(block.d_chol)
    for f in range(q):
        for h in range(q):
            total = 0.0
            for g in range(n_g):
                total += d_p[g, f, h] + d_q[f, g] * mu[n_v + h, g]
            d.omega[n_v + f, n_v + h] += across(total)
        for o in range(n_v):
            d.omega[n_v + f, o] -= sum_of_products(d_q[f], deviation[o], n_g)
        for o in range(n_v + q):
            for g in range(n_g):
                d_mu[o, g] += omega[n_v + f, o] * d_q[f, g]
    weight, target = grouped(block.weight), grouped(block.target)
    base, d_base, scratch = grouped(block.base), grouped(block.d_base), grouped(block.eta)
    for k in range(len(count)):
        for i in range(count[k]):
            f = block.where[k, i]
            for g in range(n_g):
                scratch[g] = d_q[f, g] * (target[k, g] + middle[k] - base[k, g])
            for j in range(count[k]):
                h = block.where[k, j]
                for g in range(n_g):
                    scratch[g] += 2.0 * loading[k, h] * d_p[g, f, h]
            d.loading[k, f] += sum_of_products(weight[k], scratch, n_g)
            total = 0.0
            for g in range(n_g):
                d_u = loading[k, f] * weight[k, g] * d_q[f, g]
                d_base[k, g] -= d_u
                total += d_u
            d.middle[k] += across(total)
    _precise_back(first, stop, structure, data, shared, block)
