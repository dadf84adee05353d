r"""Latent responses that other variables of their row depend on: they are sampled.

A response y*_m is *carried* if it is a predictor, or if its residual is correlated with that of
another response. Residuals of responses have the correlation matrix R = M M' (M lower triangular,
carried responses first), e = M z with z standard normal, and

    y*_m = eta_m + sum_{l <= m} M_ml z_l .

What is known of z_m is an interval, (lower, upper) between thresholds of the observed category. It
is sampled as a standard normal t_m,

    Phi(z_m) = Phi(lower) + Phi(t_m) (Phi(upper) - Phi(lower)) ,

so that p(y_m | eta_m, z_1, ...) has the form it has without z_m, times phi(t_m). Responses k that
are not carried are independent given z, with predictors eta_k + sum_m M_km z_m and residual
standard deviation M_kk.

What others depend on is the part of y* that varies within clusters, without a random intercept.
Coordinates of scores (kernels.row_scores) are computed at *frozen* y*, those of the pilot (they
follow the thresholds where there is no random intercept that does); then y* and all that depends on
it move to their values.
"""

from __future__ import annotations

import math

from bayes_msem.kernels.compile import inner_kernel, kernel
from bayes_msem.kernels.responses import HALF_LOG_2PI, PROBIT, log_below, mills_ratio, response
from bayes_msem.kernels.row_working import category
from bayes_msem.kernels.thresholds import normal_quantile_of_logs

__all__ = ["carry", "carry_back", "freeze", "frozen_back", "inside"]

_TAIL = -5.0  # z below this is corrected by a Newton step


@inner_kernel
def _log_sum(p, q):
    """Log of e^p + e^q."""
    high, low = max(p, q), min(p, q)
    return high if low == -math.inf else high + math.log1p(math.exp(low - high))


@kernel
def inside(lower, upper, t):
    """Return a standard normal between lower and upper with the rank of t among all, and slopes.

    Returns
    -------
    tuple of float
        z, dz/dlower, dz/dupper and dz/dt.
    """
    if lower == -math.inf and upper == math.inf:
        return t, 0.0, 0.0, 1.0
    log_p = response(PROBIT, 0.0, 0.0, lower, upper, 0.0)[0]
    left, right = log_below(t), log_below(-t)
    below, above = left + log_p, right + log_p
    if lower > -math.inf:
        below = _log_sum(log_below(lower), below)
    if upper < math.inf:
        above = _log_sum(log_below(-upper), above)
    z = normal_quantile_of_logs(below, above)
    if z < _TAIL:
        z -= (log_below(z) - below) * mills_ratio(-z)
    elif z > -_TAIL:
        z += (log_below(-z) - above) * mills_ratio(z)
    half, d_lower, d_upper = 0.5 * z * z, 0.0, 0.0
    if lower > -math.inf:
        d_lower = math.exp(half - 0.5 * lower * lower + right)
    if upper < math.inf:
        d_upper = math.exp(half - 0.5 * upper * upper + left)
    return z, d_lower, d_upper, math.exp(half - 0.5 * t * t + log_p)


@inner_kernel
def _ends(m, y, structure, shared, eta):
    """Return the ends of the interval of z_m, in units of its own residual."""
    if math.isnan(y):
        return -math.inf, math.inf
    lower, upper = category(m, y, structure.items, shared.threshold)
    scale = shared.mix[m, m]
    return (lower - eta) / scale, (upper - eta) / scale


@inner_kernel
def _level(m, b, structure):
    """Random intercept of a response, which is no part of what others depend on."""
    effect = structure.items.effect[m]
    return b[effect] if effect >= 0 else 0.0


@inner_kernel
def freeze(n, structure, shared, regressors):
    """Move y* of n rows among the regressors to the middles of thresholds that they follow."""
    first_star = shared.c.shape[0] - structure.n_carried
    for m in range(structure.n_carried):
        if structure.items.effect[m] < 0:
            for r in range(n):
                regressors[first_star + m, r] += shared.middle[m]


@inner_kernel
def carry(first, stop, b, t, structure, data, shared, block):
    """Move y* of rows and all that depends on it from frozen values; return log phi(t).

    Changes base, mu and deviations of the block, of which it keeps the frozen ones.
    """
    base, mu, deviation, regressors = block.base, block.mu, block.deviation, block.regressors
    fixed, c, mix, loading, s = shared.fixed, shared.c, shared.mix, shared.loading, block.s
    (n_k, q), (n_d, n), n_c, total = loading.shape, c.shape, structure.n_carried, 0.0
    for r in range(stop - first):
        for k in range(n_k):
            block.kept_base[k, r] = base[k, r]
        for o in range(n):
            block.kept_mu[o, r] = mu[o, r]
        for m in range(n_c):
            column, own = n_d - n_c + m, t[first + r, q + m]
            eta = base[m, r]
            for f in range(q):
                eta += loading[m, f] * s[f, r]
            lower, upper = _ends(m, data.y[m, first + r], structure, shared, eta)
            z, d_lower, d_upper, d_t = inside(lower, upper, own)
            star = eta - _level(m, b, structure) + mix[m, m] * z
            moved = star - regressors[column, r]
            block.z[m, r], block.moved[m, r] = z, moved
            block.z_slopes[m, 0, r], block.z_slopes[m, 1, r] = d_lower, d_upper
            block.z_slopes[m, 2, r] = d_t
            for k in range(n_k):
                base[k, r] += fixed[k, column] * moved
                if k > m:
                    base[k, r] += mix[k, m] * z
            for o in range(n):
                mu[o, r] += c[column, o] * moved
                deviation[o, r] -= c[column, o] * moved
            total -= 0.5 * own * own + HALF_LOG_2PI
    return total


@inner_kernel
def _interval_back(r, m, y, slope, structure, shared, eta, block, d):
    """Pull the gradient of z_m back to thresholds and M_mm; return that of eta_m."""
    lower, upper = _ends(m, y, structure, shared, eta)
    start, scale, d_eta = structure.items.first[m], shared.mix[m, m], 0.0
    if lower > -math.inf:
        part = slope * block.z_slopes[m, 0, r] / scale
        d.threshold[start + int(y) - 1] += part
        d.mix[m, m] -= part * lower
        d_eta -= part
    if upper < math.inf:
        part = slope * block.z_slopes[m, 1, r] / scale
        d.threshold[start + int(y)] += part
        d.mix[m, m] -= part * upper
        d_eta -= part
    return d_eta


@inner_kernel
def carry_back(first, stop, b, t, structure, data, shared, block, d, d_b, d_t):
    """Reverse of ``carry``, from the gradients of s, mu and base, which it adds to.

    Puts the frozen values back.
    """
    base, mu, d_base, d_mu, d_s = block.base, block.mu, block.d_base, block.d_mu, block.d_s
    fixed, c, mix, loading, s = shared.fixed, shared.c, shared.mix, shared.loading, block.s
    (n_k, q), (n_d, n), n_c = loading.shape, c.shape, structure.n_carried
    for r in range(stop - first):
        for m in range(n_c - 1, -1, -1):
            column, z, moved = n_d - n_c + m, block.z[m, r], block.moved[m, r]
            d_star, d_z, own = 0.0, 0.0, t[first + r, q + m]
            for k in range(n_k):
                d_star += d_base[k, r] * fixed[k, column]
                d.fixed[k, column] += d_base[k, r] * moved
                if k > m:
                    d_z += d_base[k, r] * mix[k, m]
                    d.mix[k, m] += d_base[k, r] * z
            for o in range(n):
                d_star += d_mu[o, r] * c[column, o]
                d.c[column, o] += d_mu[o, r] * moved
            if structure.items.effect[m] >= 0:
                d_b[structure.items.effect[m]] -= d_star
            else:
                d.middle[m] -= d_star  # of the frozen value
            star = block.regressors[column, r] + moved
            eta = star + _level(m, b, structure) - mix[m, m] * z
            slope = d_z + mix[m, m] * d_star
            d.mix[m, m] += d_star * z
            d_t[first + r, q + m] = slope * block.z_slopes[m, 2, r] - own
            y = data.y[m, first + r]
            d_eta = d_star + _interval_back(r, m, y, slope, structure, shared, eta, block, d)
            d_base[m, r] += d_eta
            for f in range(q):
                d_s[f, r] += d_eta * loading[m, f]
                d.loading[m, f] += d_eta * s[f, r]
        for k in range(n_k):
            base[k, r] = block.kept_base[k, r]
        for o in range(n):
            mu[o, r] = block.kept_mu[o, r]
        for o in range(structure.n_normal):
            block.deviation[o, r] = data.normal[o, first + r] - mu[o, r]


@inner_kernel
def frozen_back(first, stop, structure, shared, block, d):
    """Pull the gradients of base and mu back to the frozen y*, which follow the thresholds."""
    n_d, n_c = shared.c.shape[0], structure.n_carried
    for m in range(n_c):
        if structure.items.effect[m] >= 0:
            continue
        column, total = n_d - n_c + m, 0.0
        for r in range(stop - first):
            for k in range(block.d_base.shape[0]):
                total += block.d_base[k, r] * shared.fixed[k, column]
            for o in range(block.d_mu.shape[0]):
                total += block.d_mu[o, r] * shared.c[column, o]
        d.middle[m] += total
