r"""Sampled effects of a batch of clusters from their coordinates, and the reverse.

See likelihood.centring for what is computed; the names of the arrays are those of its formulas:
L, U and V of the prior (kernels.whitening), A, Gamma, S, eta1 and eta2 of the data
(likelihood.approximation).
"""

from __future__ import annotations

from bayes_msem.kernels.compile import kernel
from bayes_msem.kernels.triangular import cholesky, cholesky_back


@kernel
def effects_forward(
    n_z, root, u, v, a, gamma, info, eta1, eta2, mean, t,
    va, chol1, y, chol, info_l, rho2, s, b,
):  # fmt: skip
    """Fill b of a batch, and what the reverse needs; return whether all is positive definite.

    ``mean`` are those of (a, b) given z. ``chol1`` becomes C1; ``y`` (n_a x (n_b + 1)) holds
    C1^-1 (A' U + Gamma L), and C1^-1 rho1 in its last column; ``chol`` C; ``info_l`` S L; ``va``
    is scratch (n_a x n_a).
    """
    n_a, n_b = gamma.shape
    for q in range(n_a):
        for k in range(n_a):
            total = v[q, k] * a[k, k]
            for m in range(k + 1, n_a):
                total += v[q, m] * a[m, k]
            va[q, k] = total
    for q in range(n_a):
        for k in range(q + 1):
            total = 1.0 if q == k else 0.0
            for m in range(q, n_a):
                total += a[m, q] * va[m, k]
            chol1[q, k] = total
    if not cholesky(chol1, n_a):
        return False
    for q in range(n_a):
        for k in range(n_b):
            total = 0.0
            for m in range(q, n_a):
                total += a[m, q] * u[m, n_z + k]
            for m in range(k, n_b):
                total += gamma[q, m] * root[n_z + m, n_z + k]
            y[q, k] = total
        total = eta1[q]
        for m in range(q, n_a):
            total -= a[m, q] * mean[m]
        for i in range(n_b):
            total -= gamma[q, i] * mean[n_a + i]
        y[q, n_b] = total
        for k in range(n_b + 1):
            total = y[q, k]
            for m in range(q):
                total -= chol1[q, m] * y[m, k]
            y[q, k] = total / chol1[q, q]
    for i in range(n_b):
        for k in range(n_b):
            total = 0.0
            for m in range(k, n_b):
                total += info[i, m] * root[n_z + m, n_z + k]
            info_l[i, k] = total
    for i in range(n_b):
        for k in range(i + 1):
            total = 1.0 if i == k else 0.0
            for m in range(i, n_b):
                total += root[n_z + m, n_z + i] * info_l[m, k]
            for q in range(n_a):
                total += y[q, i] * y[q, k]
            chol[i, k] = total
    if not cholesky(chol, n_b):
        return False
    for i in range(n_b):
        total = eta2[i]
        for k in range(n_b):
            total -= info[i, k] * mean[n_a + k]
        rho2[i] = total
    for i in range(n_b):  # C^-1 q
        total = 0.0
        for m in range(i, n_b):
            total += root[n_z + m, n_z + i] * rho2[m]
        for q in range(n_a):
            total += y[q, i] * y[q, n_b]
        for k in range(i):
            total -= chol[i, k] * s[k]
        s[i] = total / chol[i, i]
    for i in range(n_b):
        s[i] += t[i]
    for i in range(n_b - 1, -1, -1):  # the mean and t share C^-T
        total = s[i]
        for k in range(i + 1, n_b):
            total -= chol[k, i] * s[k]
        s[i] = total / chol[i, i]
    for i in range(n_b):
        total = mean[n_a + i]
        for k in range(i + 1):
            total += root[n_z + i, n_z + k] * s[k]
        b[i] = total
    return True


@kernel
def effects_backward(
    n_z, root, a, gamma, info, t, chol1, y, chol, info_l, rho2, s,
    d_b, d_s, weight, d_t, d_mean, d_root, d_u, d_v, scratch,
):  # fmt: skip
    """Reverse of ``effects_forward``; ``weight`` is the gradient of log|C|.

    ``d_s`` comes with the direct gradient of s. Fills ``d_t`` and ``d_mean``, adds to ``d_root``,
    ``d_u`` and ``d_v``. ``scratch`` has shape (4, m, m), m > n_a, n_b.
    """
    n_a, n_b = gamma.shape
    d_chol, d_y, x, y_x = scratch[0], scratch[1], scratch[2], scratch[3]
    grad_q, inner = x[0], y_x[0]
    for i in range(n_b):
        d_mean[n_a + i] = d_b[i]
        for k in range(i + 1):
            d_root[n_z + i, n_z + k] += d_b[i] * s[k]
            d_s[k] += d_b[i] * root[n_z + i, n_z + k]
    for i in range(n_b):  # C^-1 d_s
        total = d_s[i]
        for k in range(i):
            total -= chol[i, k] * d_t[k]
        d_t[i] = total / chol[i, i]
    for i in range(n_b - 1, -1, -1):  # C^-T C^-1 d_s, the gradient of q
        total = d_t[i]
        for k in range(i + 1, n_b):
            total -= chol[k, i] * grad_q[k]
        grad_q[i] = total / chol[i, i]
    for i in range(n_b):  # C^-1 q = C' s - t
        total = -t[i]
        for k in range(i, n_b):
            total += chol[k, i] * s[k]
        inner[i] = total
    for i in range(n_b):
        for k in range(i + 1):
            d_chol[i, k] = -s[i] * d_t[k] - grad_q[i] * inner[k]
        for k in range(i + 1, n_b):
            d_chol[i, k] = 0.0
        d_chol[i, i] += weight / chol[i, i]
    cholesky_back(chol, n_b, d_chol)  # now the gradient of Q
    for i in range(n_b):
        for k in range(i + 1):
            total = rho2[i] * grad_q[k]
            for m in range(n_b):
                total += 2.0 * info_l[i, m] * d_chol[m, k]
            d_root[n_z + i, n_z + k] += total
    for m in range(n_b):  # L grad_q, the gradient of rho2
        total = 0.0
        for k in range(m + 1):
            total += root[n_z + m, n_z + k] * grad_q[k]
        inner[m] = total
    for i in range(n_b):
        total = 0.0
        for m in range(n_b):
            total += info[i, m] * inner[m]
        d_mean[n_a + i] -= total
    for q in range(n_a):
        total = 0.0
        for k in range(n_b):
            total += y[q, k] * grad_q[k]
        d_y[q, n_b] = total
        for k in range(n_b):
            total = y[q, n_b] * grad_q[k]
            for m in range(n_b):
                total += 2.0 * y[q, m] * d_chol[m, k]
            d_y[q, k] = total
    for k in range(n_b + 1):  # C1^-T
        for q in range(n_a - 1, -1, -1):
            total = d_y[q, k]
            for m in range(q + 1, n_a):
                total -= chol1[m, q] * d_y[m, k]
            d_y[q, k] = total / chol1[q, q]
    for q in range(n_a):
        for m in range(n_a):
            x[q, m] = 0.0
            if m <= q:
                total = 0.0
                for k in range(n_b + 1):
                    total -= d_y[q, k] * y[m, k]
                x[q, m] = total
    cholesky_back(chol1, n_a, x)  # now the gradient of K
    for q in range(n_a):
        for k in range(n_a):
            total = 0.0
            for m in range(q + 1):
                total += a[q, m] * x[m, k]
            y_x[q, k] = total
    for q in range(n_a):
        for m in range(n_a):
            total = 0.0
            for k in range(m + 1):
                total += y_x[q, k] * a[m, k]
            d_v[q, m] += total
        total = 0.0
        for m in range(q + 1):
            total += a[q, m] * d_y[m, n_b]
        d_mean[q] = -total
        for k in range(n_b):
            total = 0.0
            for m in range(q + 1):
                total += a[q, m] * d_y[m, k]
            d_u[q, n_z + k] += total
    for i in range(n_b):
        total = 0.0
        for q in range(n_a):
            total += gamma[q, i] * d_y[q, n_b]
        d_mean[n_a + i] -= total
        for k in range(i + 1):
            total = 0.0
            for q in range(n_a):
                total += gamma[q, i] * d_y[q, k]
            d_root[n_z + i, n_z + k] += total
