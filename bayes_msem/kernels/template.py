"""The moments of one level from its template, and their reverse.

With the template of a level (see structure.templates) and values for its cells,

    T = F (I - B)^-1 ,   Sigma += T Psi T' ,   C += T K .

``t`` is T' (m x n, one row per modelled variable), so that inner loops run over contiguous memory.
For recursive models row k of T' is filled from the rows of the variables that k points at; only
cyclic models need a matrix inverse. structure.matrices has the same in NumPy (a test compares
them).

``backward`` takes dSigma (symmetric) and dC and adds to the gradient of the values:

    dT' = 2 Psi T' dSigma + K dC' ,   dPsi = T' dSigma T ,   dK = T' dC ,   dB = T' dT (I-B)^-T
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from bayes_msem.kernels.compile import inner_kernel, kernel, part_kernel
from bayes_msem.kernels.lanes import invert_in_place, lanes_matrix


class Effects(NamedTuple):
    """Total effects of a level, which the reverse needs.

    Attributes
    ----------
    t, a
        T' and Psi T', (m, n).
    inverse
        (I - B)^-1, (m, m); only of cyclic models.
    """

    t: Any
    a: Any
    inverse: Any


@part_kernel
def effects_of(level):
    """Return room for the total effects of a level."""
    both, inverse = np.empty((2, level.m, level.n)), 0 if level.recursive else level.m
    return Effects(both[0], both[1], np.empty((inverse, inverse)))


@part_kernel
def lanes_of(level):
    """Return room for the total effects of a level, as lanes."""
    m, n = level.m, level.n
    return Effects(lanes_matrix(m, n), lanes_matrix(m, n), lanes_matrix(m, m))


@kernel
def _invert(matrix):
    invert_in_place(matrix)


@inner_kernel
def _total_effects(level, values, t, inverse):
    """Fill T'; for cyclic models also (I - B)^-1."""
    m, n, b, variable, position = level.m, level.n, level.b, level.variable, level.position
    t[:, :] = 0.0
    if level.recursive:
        for o in range(len(variable)):
            t[variable[o], position[o]] = 1.0
        for c in range(b.shape[1]):
            i, k, value = b[0, c], b[1, c], values[b[2, c]]
            if value != 0.0:
                for o in range(n):
                    t[k, o] += value * t[i, o]
        return
    for i in range(m):
        for k in range(m):
            inverse[i, k] = 0.0
        inverse[i, i] = 1.0
    for c in range(b.shape[1]):
        inverse[b[0, c], b[1, c]] -= values[b[2, c]]
    _invert(inverse)  # NaN if singular, which makes the likelihood minus infinity
    for o in range(len(variable)):
        for k in range(m):
            t[k, position[o]] = inverse[variable[o], k]


@inner_kernel
def forward(level, values, effects, sigma, c):
    """Fill ``effects``, and add the level's moments to ``sigma`` (n x n) and ``c`` (D x n)."""
    t, a, n = effects.t, effects.a, level.n
    psi, k_cells = level.psi, level.k
    _total_effects(level, values, t, effects.inverse)
    a[:, :] = 0.0
    for cell in range(psi.shape[1]):
        i, k, value = psi[0, cell], psi[1, cell], values[psi[2, cell]]
        for o in range(n):
            a[i, o] += value * t[k, o]
        if i != k:
            for o in range(n):
                a[k, o] += value * t[i, o]
    for k in range(level.m):
        for i in range(n):
            effect = t[k, i]
            if effect != 0.0:
                for o in range(n):
                    sigma[i, o] += effect * a[k, o]
    for cell in range(k_cells.shape[1]):
        i, d, value = k_cells[0, cell], k_cells[1, cell], values[k_cells[2, cell]]
        for o in range(n):
            c[d, o] += value * t[i, o]


@inner_kernel
def backward(level, values, effects, d_sigma, d_c, d_t, h, d_values):
    """Add the gradient of the cells to ``d_values``.

    ``d_t`` (m x n) comes with the gradient of T' from elsewhere, usually zeros; it is overwritten.
    ``h`` (m x n) is scratch.
    """
    t, a, n = effects.t, effects.a, level.n
    psi, k_cells = level.psi, level.k
    h[:, :] = 0.0
    for k in range(level.m):
        for i in range(n):
            effect, share = t[k, i], a[k, i]
            if effect != 0.0:
                for o in range(n):
                    h[k, o] += effect * d_sigma[i, o]
            if share != 0.0:
                for o in range(n):
                    d_t[k, o] += 2.0 * share * d_sigma[i, o]
    for cell in range(psi.shape[1]):
        i, k = psi[0, cell], psi[1, cell]
        total = 0.0
        for o in range(n):
            total += h[i, o] * t[k, o]
        d_values[psi[2, cell]] += total if i == k else 2.0 * total
    for cell in range(k_cells.shape[1]):
        i, d, value = k_cells[0, cell], k_cells[1, cell], values[k_cells[2, cell]]
        total = 0.0
        for o in range(n):
            total += t[i, o] * d_c[d, o]
            d_t[i, o] += value * d_c[d, o]
        d_values[k_cells[2, cell]] += total
    _coefficients_back(level, values, t, effects.inverse, d_t, d_values)


@inner_kernel
def _coefficients_back(level, values, t, inverse, d_t, d_values):
    """Add the gradient of the cells of B, from that of T'."""
    b, n = level.b, level.n
    if level.recursive:
        for cell in range(b.shape[1] - 1, -1, -1):
            i, k, value = b[0, cell], b[1, cell], values[b[2, cell]]
            total = 0.0
            for o in range(n):
                total += t[i, o] * d_t[k, o]
                d_t[i, o] += value * d_t[k, o]
            d_values[b[2, cell]] += total
        return
    for cell in range(b.shape[1]):
        i, k = b[0, cell], b[1, cell]
        total = 0.0
        for j in range(level.m):
            inner = 0.0
            for o in range(n):
                inner += t[i, o] * d_t[j, o]
            total += inner * inverse[k, j]
        d_values[b[2, cell]] += total
