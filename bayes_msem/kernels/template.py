"""Kernels of the implied moments of one level, and their reverse.

With the template of a level (see structure.templates) and values for its cells,

    T = F (I - B)^-1 ,   Sigma += T Psi T' ,   C += T K .

``T`` is kept transposed (m x P, one row per modelled variable) so that inner loops run over
contiguous memory. For recursive models row k of T' is filled from the rows of the variables that
k points at; only cyclic models need a matrix inverse.

``backward`` takes dSigma (symmetric) and dC and adds to the gradient of the values:

    dT' = 2 Psi T' dSigma + K dC' ,   dPsi = T' dSigma T ,   dK = T' dC ,   dB = T' dT (I-B)^-T
"""

from __future__ import annotations

from bayes_msem.kernels.compile import kernel
from bayes_msem.kernels.lanes import invert_in_place


@kernel
def total_effects(values, m, n_outcomes, recursive, variable, position, b, inverse, t):
    """Fill ``t`` = T' (m x P); for cyclic models also ``inverse`` = (I - B)^-1."""
    t[:, :] = 0.0
    if recursive:
        for o in range(len(variable)):
            t[variable[o], position[o]] = 1.0
        for c in range(b.shape[1]):
            i, k, value = b[0, c], b[1, c], values[b[2, c]]
            if value != 0.0:
                for o in range(n_outcomes):
                    t[k, o] += value * t[i, o]
        return
    for i in range(m):
        for k in range(m):
            inverse[i, k] = 0.0
        inverse[i, i] = 1.0
    for c in range(b.shape[1]):
        inverse[b[0, c], b[1, c]] -= values[b[2, c]]
    invert_in_place(inverse)  # NaN if singular, which makes the likelihood minus infinity
    for o in range(len(variable)):
        for k in range(m):
            t[k, position[o]] = inverse[variable[o], k]


@kernel
def add_moments(values, m, n_outcomes, psi, k_cells, t, a, sigma, c):
    """Add this level's part to ``sigma`` (P x P) and ``c`` (D x P); ``a`` becomes Psi T'."""
    a[:, :] = 0.0
    for cell in range(psi.shape[1]):
        i, k, value = psi[0, cell], psi[1, cell], values[psi[2, cell]]
        for o in range(n_outcomes):
            a[i, o] += value * t[k, o]
        if i != k:
            for o in range(n_outcomes):
                a[k, o] += value * t[i, o]
    for k in range(m):
        for i in range(n_outcomes):
            effect = t[k, i]
            if effect != 0.0:
                for o in range(n_outcomes):
                    sigma[i, o] += effect * a[k, o]
    for cell in range(k_cells.shape[1]):
        i, d, value = k_cells[0, cell], k_cells[1, cell], values[k_cells[2, cell]]
        for o in range(n_outcomes):
            c[d, o] += value * t[i, o]


@kernel
def backward(
    values, m, n_outcomes, recursive, b, psi, k_cells, inverse, t, a, d_sigma, d_c, d_t, h, d_values
):
    """Add the gradient of the cells to ``d_values``.

    ``d_t`` (m x P) comes with the gradient of T' from elsewhere, usually zeros; it is overwritten.
    ``h`` (m x P) is scratch.
    """
    h[:, :] = 0.0
    for k in range(m):
        for i in range(n_outcomes):
            effect, share = t[k, i], a[k, i]
            if effect != 0.0:
                for o in range(n_outcomes):
                    h[k, o] += effect * d_sigma[i, o]
            if share != 0.0:
                for o in range(n_outcomes):
                    d_t[k, o] += 2.0 * share * d_sigma[i, o]
    for cell in range(psi.shape[1]):
        i, k = psi[0, cell], psi[1, cell]
        total = 0.0
        for o in range(n_outcomes):
            total += h[i, o] * t[k, o]
        d_values[psi[2, cell]] += total if i == k else 2.0 * total
    for cell in range(k_cells.shape[1]):
        i, d, value = k_cells[0, cell], k_cells[1, cell], values[k_cells[2, cell]]
        total = 0.0
        for o in range(n_outcomes):
            total += t[i, o] * d_c[d, o]
            d_t[i, o] += value * d_c[d, o]
        d_values[k_cells[2, cell]] += total
    if recursive:
        for cell in range(b.shape[1] - 1, -1, -1):
            i, k, value = b[0, cell], b[1, cell], values[b[2, cell]]
            total = 0.0
            for o in range(n_outcomes):
                total += t[i, o] * d_t[k, o]
                d_t[i, o] += value * d_t[k, o]
            d_values[b[2, cell]] += total
        return
    for cell in range(b.shape[1]):
        i, k = b[0, cell], b[1, cell]
        total = 0.0
        for j in range(m):
            inner = 0.0
            for o in range(n_outcomes):
                inner += t[i, o] * d_t[j, o]
            total += inner * inverse[k, j]
        d_values[b[2, cell]] += total
