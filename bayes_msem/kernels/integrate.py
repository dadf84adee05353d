"""One cluster: what its rows say about its linear effects, and these integrated out, exactly.

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

from typing import Any, NamedTuple

import numpy as np

from bayes_msem.kernels.compile import inner_kernel, inner_part, part_kernel
from bayes_msem.kernels.lanes import LANES, as_lanes, lanes_matrix, lanes_stack, lanes_vector
from bayes_msem.kernels.level_two import LOG_2PI
from bayes_msem.kernels.triangular import factorise, invert, semidefinite_root


class Pieces(NamedTuple):
    """What the reverse needs of a cluster's pieces (data.pieces), one of each for every piece.

    Attributes
    ----------
    log_det
        log|Sigma_oo| of the observed outcomes.
    w, r, s
        W (p x p), R (p x D) and S (p x p).
    wl
        W l, one row per use.
    scratch
        Room for two (p x p) matrices.
    """

    log_det: Any
    w: Any
    r: Any
    s: Any
    wl: Any
    scratch: Any


class Message(NamedTuple):
    """What is known about the uses of linear effects: H and g, and what absorbing them gives.

    ``score`` is h, ``matrix`` M; ``deviation`` and ``covariance`` are m and P of the posterior.
    """

    h: Any
    g: Any
    score: Any
    matrix: Any
    deviation: Any
    covariance: Any
    work: Any


@part_kernel
def pieces_space(depth, p, n_d, n_uses):
    """Return room for up to ``depth`` pieces."""
    return Pieces(
        lanes_vector(depth),
        lanes_stack(depth, p, p),
        lanes_stack(depth, p, n_d),
        lanes_stack(depth, p, p),
        lanes_stack(depth, n_uses, p),
        lanes_stack(2, max(p, 1), max(p, 1)),
    )


@part_kernel
def message_space(n_uses):
    """Return room for a message about ``n_uses`` effects."""
    return Message(
        lanes_matrix(n_uses, n_uses),
        lanes_vector(n_uses),
        lanes_vector(n_uses),
        lanes_matrix(n_uses, n_uses),
        lanes_vector(n_uses),
        lanes_matrix(n_uses, n_uses),
        as_lanes(np.empty((4, n_uses, n_uses, LANES))),
    )


@inner_kernel
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


@inner_kernel
def drop_unseen(seen, inverse):
    """Turn the inverse of what ``keep_seen`` fills into W: zero where an outcome is missing."""
    for i in range(len(seen)):
        inverse[i, i] -= 1.0 - seen[i]


@inner_kernel
def residuals(n, dd, dy, yy, c, r, s):
    """Fill R (n x D) and S (n x n) of the first n outcomes; ``dy`` is D x n, ``c`` n x D."""
    n_design = len(dd)
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


@inner_part
def project(column, dd, w, effect, r, wl, h, g):
    """Fill W l (effects x n), add to H and g; ``effect`` holds one l_q per row."""
    n_effects, n = effect.shape
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
            h[q, t] += total
            if q != t:
                h[t, q] += total
        total = 0.0
        for i in range(n):
            total += wl[q, i] * r[i, column[q]]
        g[q] += total


@inner_part
def rows_message(start, stop, data, fresh, sigma, c, column, effect, pieces, message):
    """Fill H and g of a batch of clusters from its pieces ``start`` to ``stop``.

    Parameters
    ----------
    data
        Statistics by cluster.
    fresh
        Whether Sigma is another than in the last call.
    sigma, c, column, effect
        Sigma, C less the center of y, columns of the uses, and the l_q.

    Returns
    -------
    tuple of (lanes, bool)
        Twice the log density of the rows at the means, and whether Sigma_oo is positive definite.
    """
    p, twice, work, h, g = len(sigma), 0.0, pieces.scratch[0], message.h, message.g
    log_dets, all_w, all_r, all_s, all_wl = pieces.log_det, pieces.w, pieces.r, pieces.s, pieces.wl
    size, dd, dy, yy, seen = data.size, data.dd, data.dy, data.yy, data.seen
    h[:, :] = 0.0
    g[:] = 0.0
    for j in range(start, stop):
        k, count = j - start, size[j, 0] * p
        w, s = all_w[k], all_s[k]
        if data.masked:
            count = keep_seen(sigma, seen[j], work) * size[j, 0]
        elif fresh:
            for i in range(p):
                for u in range(p):
                    work[i, u] = sigma[i, u]
        if data.masked or fresh:
            log_det, positive = invert(work, p, w)
            log_dets[k] = log_det
            if not positive:
                return twice, False
        if data.masked:
            drop_unseen(seen[j], w)
        residuals(p, dd[j], dy[j], yy[j], c, all_r[k], s)
        project(column, dd[j], w, effect, all_r[k], all_wl[k], h, g)
        trace = 0.0
        for i in range(p):
            for m in range(p):
                trace += w[i, m] * s[i, m]
        twice -= trace + count * LOG_2PI + size[j, 0] * log_dets[k]
    return twice, True


@inner_part
def absorb(message, v):
    """Integrate the effects: fill the score h and the matrix M of a message.

    Returns
    -------
    tuple of (float, bool)
        -log|K| + g' V h, and whether K is positive definite.
    """
    g, score, m_matrix, n = message.g, message.score, message.matrix, len(message.g)
    root, va, k, b = message.work[0], message.work[1], message.work[2], message.work[3]
    semidefinite_root(message.h, n, root)
    for q in range(n):
        for t in range(n):
            va[q, t] = 0.0
        for s in range(n):
            factor = v[q, s]
            for t in range(s + 1):
                va[q, t] += factor * root[s, t]
    for q in range(n):
        for t in range(q + 1):
            total = 1.0 if q == t else 0.0
            for s in range(q, n):
                total += root[s, q] * va[s, t]
            k[q, t] = total
    log_det, positive = factorise(k, n)
    if not positive:
        return log_det, False
    # b = (chol K)^-1 A', so that M = b' b
    for q in range(n):
        for t in range(n):
            total = root[t, q] if t >= q else 0.0
            for s in range(q):
                total -= k[q, s] * b[s, t]
            b[q, t] = total * k[q, q]
    for q in range(n):
        for t in range(q + 1):
            total = 0.0
            for s in range(n):
                total += b[s, q] * b[s, t]
            m_matrix[q, t] = total
            m_matrix[t, q] = total
    quadratic = 0.0
    for q in range(n):
        total = 0.0
        for t in range(n):
            total += v[q, t] * g[t]
        va[0, q] = total  # V g
    for q in range(n):
        total = g[q]
        for t in range(n):
            total -= m_matrix[q, t] * va[0, t]
        score[q] = total
        quadratic += total * va[0, q]
    return quadratic - log_det, True


@inner_part
def posterior_effects(message, v):
    """Fill the posterior mean deviation m = V h and covariance P = V - V M V."""
    scratch, score, matrix, n = message.work[0], message.score, message.matrix, len(v)
    deviation, covariance = message.deviation, message.covariance
    for q in range(n):
        total = 0.0
        for t in range(n):
            total += v[q, t] * score[t]
            inner = 0.0
            for s in range(n):
                inner += v[q, s] * matrix[s, t]
            scratch[q, t] = inner
        deviation[q] = total
    for q in range(n):
        for t in range(q + 1):
            total = v[q, t]
            for s in range(n):
                total -= scratch[q, s] * v[s, t]
            covariance[q, t] = total
            covariance[t, q] = total


@inner_kernel
def covariance_gradient(n, size, w, s, weight, product, d_sigma):
    """Add weight 1/2 (W S W - size W) to the lower triangle of ``d_sigma``; ``product`` is W S."""
    for i in range(n):
        for k in range(n):
            product[i, k] = 0.0
        for m in range(n):
            factor = w[i, m]
            for k in range(n):
                product[i, k] += factor * s[m, k]
    for i in range(n):
        for k in range(i + 1):
            total = -size * w[i, k]
            for m in range(n):
                total += product[i, m] * w[m, k]
            d_sigma[i, k] += 0.5 * weight * total


@inner_kernel
def symmetrise(matrix):
    """Copy the lower triangle to the upper one."""
    for i in range(len(matrix)):
        for k in range(i):
            matrix[k, i] = matrix[i, k]


@inner_part
def piece_gradients(k, size, dd, weight, column, effect, pieces, message, gradients):
    """Add piece k's part to the gradients with respect to C, the l_q and Sigma (lower triangle).

    Of d/dl_q only the part with P: the part m_q d/dC[:, col_q] is left to the caller. R and S of
    the piece become their posterior expectations.
    """
    d_c, d_effect, d_sigma = gradients
    w, r, s, wl = pieces.w[k], pieces.r[k], pieces.s[k], pieces.wl[k]
    (n_effects, n), n_design = effect.shape, len(dd)
    spread, product = pieces.scratch[0, 0], pieces.scratch[1]
    deviation, covariance = message.deviation, message.covariance
    for q in range(n_effects):
        # posterior mean part: C + sum_q m_q l_q e_col'
        m_q = deviation[q]
        for i in range(n):
            step = m_q * effect[q, i]
            if step != 0.0:
                for u in range(n):
                    # S(C + u e') = S - u R_col' - R_col u' + u u' DD; R is updated as we go
                    s[i, u] -= step * r[u, column[q]]
                    s[u, i] -= step * r[u, column[q]]
        square = m_q * m_q * dd[column[q], column[q]]
        for i in range(n):
            step = square * effect[q, i]
            if step != 0.0:
                for u in range(n):
                    s[i, u] += step * effect[q, u]
        for i in range(n):
            step = m_q * effect[q, i]
            if step != 0.0:
                for d in range(n_design):
                    r[i, d] -= step * dd[column[q], d]
    for q in range(n_effects):  # posterior uncertainty
        for i in range(n):
            total = 0.0
            for t in range(n_effects):
                factor = covariance[q, t] * dd[column[q], column[t]]
                total += factor * effect[t, i]
                d_effect[q, i] -= weight * factor * wl[t, i]
            spread[i] = total
        for i in range(n):
            if effect[q, i] != 0.0:
                for u in range(n):
                    s[i, u] += effect[q, i] * spread[u]
    for i in range(n):
        for d in range(n_design):
            total = 0.0
            for u in range(n):
                total += w[i, u] * r[u, d]
            d_c[i, d] += weight * total
    covariance_gradient(n, size, w, s, weight, product, d_sigma)
