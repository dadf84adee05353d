"""What the rows of a cluster share: moments of (v, s), loadings, thresholds; and the reverse."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba.extending import register_jitable

from bayes_msem.kernels.compile import inner_kernel, kernel
from bayes_msem.kernels.template import backward, forward
from bayes_msem.kernels.triangular import cholesky, cholesky_back_with, invert


class Shared(NamedTuple):
    """What the rows of a cluster share, and the gradients.

    Attributes
    ----------
    omega
        Omega (d, d), the inverse of Sigma for what is known of (v, s); zeros for missing v.
    c
        C (D, d), mean coefficients.
    loading, fixed
        lambda (K, q), and coefficients (K, D + n_v) of (1, x, y*, v - b_v).
    threshold, middle, dispersion
        Thresholds of all responses, their means by response, and dispersions.
    mix
        M (K, K), the Cholesky factor of the correlations of residuals.
    """

    omega: Any
    c: Any
    loading: Any
    fixed: Any
    threshold: Any
    middle: Any
    dispersion: Any
    mix: Any


@register_jitable
def shared_space(structure):
    """Return room for what the rows of a cluster share."""
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
        np.zeros((n_k, n_k)),
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
    shared.mix[:, :] = 0.0


@inner_kernel
def fill(structure, values, effects, sigma, shared):
    """Fill Sigma and what the rows of a cluster share but Omega (``observe``).

    Returns
    -------
    bool
        Whether the correlations of residuals are positive definite.
    """
    level, items, n_fixed = structure.level, structure.items, shared.fixed.shape[1]
    _clear(shared)
    sigma[:, :] = 0.0
    forward(level, values, effects, sigma, shared.c)
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
        shared.mix[k, k] = 1.0
    positive = True
    if len(items.correlation) > 0:
        for cell in range(len(items.correlation)):
            shared.mix[items.one[cell], items.other[cell]] = values[items.correlation[cell]]
        _, positive = cholesky(shared.mix, len(items.code))
    return positive


@inner_kernel
def idle(o, missing, stands_for, n):
    """Whether outcome o of (v, s), n in all, is a score that stands for one that is not missing."""
    last = o - (n - len(stands_for))
    return last >= 0 and missing[stands_for[last]] == 0.0


@inner_kernel
def observe(missing, stands_for, sigma, h, omega):
    """Fill Omega for rows that miss the same normal outcomes.

    A missing outcome is made independent of all else, with variance 1, and its row and column of
    Omega are zero: whatever stands in its place in the data has no weight. A score that stands for
    an outcome that is there is a standard normal number of no use. Sigma is kept; h is scratch.

    Returns
    -------
    tuple of (float, int, bool)
        Log|Sigma_oo| and size of the known part, and whether it is positive definite.
    """
    n, n_seen = len(omega), len(omega)
    for i in range(n):
        for k in range(n):
            h[i, k] = sigma[i, k]
    for o in range(len(missing)):
        if missing[o] > 0.0:
            n_seen -= 1
            for k in range(n):
                h[o, k] = h[k, o] = 0.0
            h[o, o] = 1.0
    for o in range(n - len(stands_for), n):
        if idle(o, missing, stands_for, n):
            for k in range(n):
                h[o, k] = h[k, o] = 0.0
            h[o, o] = 1.0
    log_det, positive = invert(h, n, omega)
    for o in range(len(missing)):
        if missing[o] > 0.0:
            omega[o, o] = 0.0
    return log_det, n_seen, positive


@inner_kernel
def observe_back(missing, stands_for, omega, n_rows, h, d_omega, d_sigma):
    """Reverse of ``observe``: add to ``d_sigma``; the gradient ``d_omega`` is cleared.

    That of ``n_rows`` / 2 log|Omega| is added here. Where Omega is zero, so is what is added; idle
    scores add nothing either.
    """
    n = len(omega)
    for i in range(n):
        for k in range(n):
            total = 0.0
            for m in range(n):
                total += omega[i, m] * 0.5 * (d_omega[m, k] + d_omega[k, m])
            h[i, k] = total
    for i in range(n):
        for k in range(n):
            total = 0.5 * n_rows * omega[i, k]
            for m in range(n):
                total += h[i, m] * omega[m, k]
            if len(stands_for) == 0 or not (
                idle(i, missing, stands_for, n) or idle(k, missing, stands_for, n)
            ):
                d_sigma[i, k] -= total
    for i in range(n):
        for k in range(n):
            d_omega[i, k] = 0.0


@kernel
def _correlations_back(items, mix, d_mix, d_values):
    """Add the gradients of correlations, from that of their Cholesky factor, which is lost."""
    n = len(items.code)
    cholesky_back_with(mix, n, d_mix, np.empty((n, n)))
    for cell in range(len(items.correlation)):
        slope = 2.0 * d_mix[items.one[cell], items.other[cell]]
        d_values[items.correlation[cell]] += slope


@inner_kernel
def fill_back(structure, values, effects, shared, d_sigma, d, d_t, h, d_values):
    """Reverse of ``fill``: add to ``d_values``; the gradients ``d`` and ``d_sigma`` are cleared."""
    level, items, n_fixed, n = structure.level, structure.items, d.fixed.shape[1], len(d_sigma)
    for i in range(d_t.shape[0]):
        for k in range(n):
            d_t[i, k] = 0.0
    backward(level, values, effects, d_sigma, d.c, d_t, h, d_values)
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
    if len(items.correlation) > 0:
        _correlations_back(items, shared.mix, d.mix, d_values)
    d_sigma[:, :] = 0.0
    _clear(d)
