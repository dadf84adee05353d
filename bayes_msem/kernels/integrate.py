"""One cluster: integrate out its normal random coefficients, exactly.

Given everything else, the rows of cluster j are ``y_i = C d_i + sum_q a_q l_q d_i[col_q] + e_i``
with ``e_i ~ N(0, Sigma)`` and random coefficients ``a = mean + N(0, V)`` (C contains the mean). The
rows enter through n, DD = sum d d', DY = sum d y' and YY = sum y y' alone. With W = Sigma^-1,

    R = DY' - C DD ,   S = YY - C DY - (C DY)' + C DD C'
    H[q, s] = DD[col_q, col_s] l_q' W l_s ,   g[q] = l_q' W R[:, col_q]

and a factorisation H = A A' (A may have zero columns), K = I + A' V A is symmetric and

    ll = -1/2 [ n (p log 2 pi + log|Sigma|) + tr(W S) + log|K| - g' V h ] ,
    h = g - A K^-1 A' V g       (the score of the mean)
    M = A K^-1 A'               (H = M if V = 0)

V is never inverted or factorised: it may be singular, and even indefinite (as in unbounded
maximum likelihood) as long as K, that is the covariance of the observed data, is positive
definite. The posterior of a is normal with mean ``mean + m``, m = V h, and covariance
P = V - V M V. Gradients follow from Fisher's identity (expected derivative of the complete-data
log-likelihood) with ES = E[S] under that posterior:

    d/dmean = h ,   d/dV = 1/2 (h h' - M) ,   d/dSigma = -1/2 n W + 1/2 W ES W
    d/dC = W (DY' - C DD - (sum_q m_q l_q e_q') DD)
    d/dl_q = m_q d/dC[:, col_q] - sum_s P[q, s] DD[col_q, col_s] W l_s   (C held fixed)
"""

from __future__ import annotations

import math

import numpy as np
from numba.extending import register_jitable

from bayes_msem.kernels.compile import kernel
from bayes_msem.kernels.groups import LOG_2PI, invert
from bayes_msem.kernels.lanes import LANES, zero_unless


@kernel
def semidefinite_root(matrix, n, root):
    """Fill ``root`` (lower triangular) with root root' = matrix, for a semidefinite matrix."""
    for i in range(n):
        for k in range(n):
            root[i, k] = 0.0
    for k in range(n):
        pivot = matrix[k, k]
        for m in range(k):
            pivot -= root[k, m] * root[k, m]
        # rounding leaves pivots of this size where the rank is exhausted
        inverse = zero_unless(pivot, 1e-13 * matrix[k, k], 1.0 / math.sqrt(pivot))
        root[k, k] = zero_unless(pivot, 1e-13 * matrix[k, k], pivot * inverse)
        for i in range(k + 1, n):
            total = matrix[i, k]
            for m in range(k):
                total -= root[i, m] * root[k, m]
            root[i, k] = total * inverse


@kernel
def keep_seen(sigma, seen, masked):
    """Fill ``masked``: Sigma where both outcomes are observed, the identity elsewhere.

    Its inverse is that of the observed block, beside an identity; returns how many are observed.
    """
    n, count = len(seen), 0.0 * seen[0]
    for i in range(n):
        count += seen[i]
        for k in range(n):
            masked[i, k] = sigma[i, k] * seen[i] * seen[k]
        masked[i, i] += 1.0 - seen[i]
    return count


@kernel
def drop_unseen(seen, inverse):
    """Turn the inverse of what ``keep_seen`` fills into W: zero where an outcome is missing."""
    for i in range(len(seen)):
        inverse[i, i] -= 1.0 - seen[i]


@kernel
def residuals(n, n_design, dd, dy, yy, c, r, s):
    """Fill R (n x D) and S (n x n); ``dy`` is D x n."""
    for i in range(n):
        for d in range(n_design):
            total = dy[d, i]
            for e in range(n_design):
                total -= c[i, e] * dd[e, d]
            r[i, d] = total
    for i in range(n):
        for k in range(i + 1):
            total = yy[i, k]
            for d in range(n_design):
                total -= c[k, d] * r[i, d] + c[i, d] * dy[d, k]
            s[i, k] = total
            s[k, i] = total


@kernel
def project(n, n_effects, column, dd, w, effect, r, wl, h_matrix, g):
    """Fill W l (effects x n), add to H and g; ``effect`` holds one l_q per row."""
    for q in range(n_effects):
        for i in range(n):
            total = 0.0
            for k in range(n):
                total += w[i, k] * effect[q, k]
            wl[q, i] = total
    for q in range(n_effects):
        for t in range(q + 1):
            total = 0.0
            for i in range(n):
                total += effect[q, i] * wl[t, i]
            total *= dd[column[q], column[t]]
            h_matrix[q, t] += total
            if q != t:
                h_matrix[t, q] += total
        total = 0.0
        for i in range(n):
            total += wl[q, i] * r[i, column[q]]
        g[q] += total


@register_jitable
def piece_room(n, n_design, n_effects):
    """Return arrays for ``add_pieces``: Sigma_oo, W, R, S and W l."""
    return (
        np.empty((n, n)),
        np.empty((n, n)),
        np.empty((n, n_design)),
        np.empty((n, n)),
        np.empty((n_effects, n)),
    )


@kernel
def add_pieces(
    start, stop, lane, size, dd, dy, yy, seen, sigma, c, column, effect, h_matrix, g, space
):
    """Add the rows of one cluster to H and g.

    The pieces of the cluster are those in lane ``lane`` of the batches ``start`` to ``stop``
    (likelihood.cluster_statistics); ``c`` is C less the center of y.

    Returns
    -------
    tuple of (float, bool)
        Twice the log density of the rows at the means, and whether Sigma_oo is positive definite.
    """
    sigma_seen, w, r, s, wl = space
    n, n_design, n_effects, twice = sigma.shape[0], c.shape[1], len(column), 0.0
    for piece in range(start, stop):
        k = piece * LANES + lane
        if not size[k] > 0.0:
            continue
        sigma_seen[:, :] = sigma
        count = float(n)
        if len(seen) > 0:
            count = keep_seen(sigma, seen[k], sigma_seen)
        log_det, positive = invert(sigma_seen, n, w)
        if not positive:
            return twice, False
        if len(seen) > 0:
            drop_unseen(seen[k], w)
        residuals(n, n_design, dd[k], dy[k], yy[k], c, r, s)
        project(n, n_effects, column, dd[k], w, effect, r, wl, h_matrix, g)
        twice -= size[k] * (count * LOG_2PI + log_det)
        for i in range(n):
            for u in range(n):
                twice -= w[i, u] * s[i, u]
    return twice, True


@kernel
def integrate_effects(n_effects, h_matrix, g, v, work, score, m_matrix):
    """Fill the score h and the matrix M.

    ``work`` is scratch of shape (4, n_effects, n_effects).

    Returns
    -------
    tuple of (float, bool)
        -log|K| + g' V h, and whether K is positive definite.
    """
    root, va, k, b = work[0], work[1], work[2], work[3]
    semidefinite_root(h_matrix, n_effects, root)
    for q in range(n_effects):
        for t in range(n_effects):
            va[q, t] = 0.0
        for s in range(n_effects):
            factor = v[q, s]
            for t in range(s + 1):
                va[q, t] += factor * root[s, t]
    for q in range(n_effects):
        for t in range(q + 1):
            total = 1.0 if q == t else 0.0
            for s in range(q, n_effects):
                total += root[s, q] * va[s, t]
            k[q, t] = total
    log_det, product = 0.0, 1.0
    for q in range(n_effects):
        for t in range(q):
            total = k[q, t]
            for s in range(t):
                total -= k[q, s] * k[t, s]
            k[q, t] = total * k[t, t]
        total = k[q, q]
        for s in range(q):
            total -= k[q, s] * k[q, s]
        if not total > 0.0:
            return log_det, False
        product *= total
        if q % 2 == 1 or q == n_effects - 1:  # one logarithm per two pivots
            log_det += math.log(product)
            product = 1.0
        k[q, q] = 1.0 / math.sqrt(total)
    # b = (chol K)^-1 A', so that M = b' b
    for q in range(n_effects):
        for t in range(n_effects):
            total = root[t, q] if t >= q else 0.0
            for s in range(q):
                total -= k[q, s] * b[s, t]
            b[q, t] = total * k[q, q]
    for q in range(n_effects):
        for t in range(q + 1):
            total = 0.0
            for s in range(n_effects):
                total += b[s, q] * b[s, t]
            m_matrix[q, t] = total
            m_matrix[t, q] = total
    quadratic = 0.0
    for q in range(n_effects):
        total = 0.0
        for t in range(n_effects):
            total += v[q, t] * g[t]
        va[0, q] = total  # V g
    for q in range(n_effects):
        total = g[q]
        for t in range(n_effects):
            total -= m_matrix[q, t] * va[0, t]
        score[q] = total
        quadratic += total * va[0, q]
    return quadratic - log_det, True


@kernel
def posterior_effects(n_effects, v, score, m_matrix, deviation, covariance, scratch):
    """Fill the posterior mean deviation m = V h and covariance P = V - V M V."""
    for q in range(n_effects):
        total = 0.0
        for t in range(n_effects):
            total += v[q, t] * score[t]
            inner = 0.0
            for s in range(n_effects):
                inner += v[q, s] * m_matrix[s, t]
            scratch[q, t] = inner
        deviation[q] = total
    for q in range(n_effects):
        for t in range(q + 1):
            total = v[q, t]
            for s in range(n_effects):
                total -= scratch[q, s] * v[s, t]
            covariance[q, t] = total
            covariance[t, q] = total


@kernel
def moment_gradients(
    n,
    n_design,
    n_effects,
    size,
    column,
    dd,
    w,
    wl,
    effect,
    r,
    s,
    deviation,
    covariance,
    d_c,
    d_effect,
    d_sigma,
    scratch,
):
    """Add to the gradients with respect to Sigma, C and the l_q.

    Of d/dl_q only the part with P: the part m_q d/dC[:, col_q] is left to the caller. ``r`` and
    ``s`` become the posterior expectations of R and S. ``scratch`` has shape (2, n, n) at least.
    """
    # posterior mean part: C + sum_q m_q l_q e_col'
    for q in range(n_effects):
        for i in range(n):
            step = deviation[q] * effect[q, i]
            if step != 0.0:
                for k in range(n):
                    # S(C + u e') = S - u R_col' - R_col u' + u u' DD; R is updated as we go
                    s[i, k] -= step * r[k, column[q]]
                    s[k, i] -= step * r[k, column[q]]
        square = deviation[q] * deviation[q] * dd[column[q], column[q]]
        for i in range(n):
            step = square * effect[q, i]
            if step != 0.0:
                for k in range(n):
                    s[i, k] += step * effect[q, k]
        for i in range(n):
            step = deviation[q] * effect[q, i]
            if step != 0.0:
                for d in range(n_design):
                    r[i, d] -= step * dd[column[q], d]
    # posterior uncertainty
    spread, product = scratch[0], scratch[1]
    for q in range(n_effects):
        for i in range(n):
            total = 0.0
            for t in range(n_effects):
                total += covariance[q, t] * dd[column[q], column[t]] * effect[t, i]
            spread[0, i] = total
        for i in range(n):
            if effect[q, i] != 0.0:
                for k in range(n):
                    s[i, k] += effect[q, i] * spread[0, k]
    for i in range(n):
        for d in range(n_design):
            total = 0.0
            for k in range(n):
                total += w[i, k] * r[k, d]
            d_c[i, d] += total
    for q in range(n_effects):
        for i in range(n):
            for t in range(n_effects):
                d_effect[q, i] -= covariance[q, t] * dd[column[q], column[t]] * wl[t, i]
    for i in range(n):
        for k in range(n):
            total = 0.0
            for m in range(n):
                total += w[i, m] * s[m, k]
            product[i, k] = total
    for i in range(n):
        for k in range(i + 1):
            total = -size * w[i, k]
            for m in range(n):
                total += product[i, m] * w[m, k]
            total *= 0.5
            d_sigma[i, k] += total
            if i != k:
                d_sigma[k, i] += total
