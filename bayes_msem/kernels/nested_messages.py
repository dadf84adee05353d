"""Messages between levels: what a unit's data say about the mean of its own vector.

For a unit with u = (a, z) ~ N(mean, Omega), z observed (or missing), whose lower units say about a
what a message says (kernels.integrate), the log density of everything below and of z is a quadratic
in ``mean``, whose score h and curvature -M at the mean are, with h_a and M_a those of a given z,
z - E z = R e, Omega_zz = R R', W = Omega_zz^-1 and G = Omega_az W,

    h = (h_a, R^-T e - G' h_a) ,    M = [ M_a , -M_a G ; -G' M_a , W + G' M_a G ] ,

and its derivative with respect to Omega is 1/2 (h h' - M). If the mean is moved by Lambda c, with c
the effects of the level above, the data say about c what the message (Lambda' M Lambda, Lambda' h)
says. Sums of those over the units of a unit above are its message: one recursion for all levels.

Given the posterior of c, with mean c_0 + delta and covariance P, expected derivatives follow
(Fisher's identity), with h~ = h - M Lambda delta and X = M Lambda:

    d/dmean = h~ ,   d/dOmega = 1/2 (h~ h~' + X P X' - M) ,
    d/dl_q = d[col_q] ( (c_0 + delta)_q h~ - X P[:, q] ) .

The posterior of u has mean ``mean + Lambda delta + Omega h~`` and covariance
``Omega - Omega M Omega + Q P Q'``, Q = Lambda - Omega X. Nothing here divides by Omega, except by
that of observed z.

Kernels here work on lanes: units side by side. Missing z are handled as in kernels.level_two.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from bayes_msem.kernels.compile import inner_kernel, inner_part, part_kernel
from bayes_msem.kernels.lanes import LANES, as_floats, lanes_matrix
from bayes_msem.kernels.level_two import LevelTwo, whiten
from bayes_msem.kernels.template import effects_of, forward


class Known(NamedTuple):
    """What of Omega belongs to observed z: R, U and V (kernels.level_two), R^-1 and G."""

    root: Any
    u: Any
    v: Any
    inverse: Any
    gain: Any


class Said(NamedTuple):
    """A message about effects from below: h_a and M_a of a, given z."""

    score: Any
    matrix: Any


@part_kernel
def known_space(n_a, n_z):
    """Return room for :class:`Known`."""
    return Known(
        lanes_matrix(n_z, n_z),
        lanes_matrix(n_a, n_z),
        lanes_matrix(n_a, n_a),
        lanes_matrix(n_z, n_z),
        lanes_matrix(n_a, n_z),
    )


@part_kernel
def level_three(values, level):
    """Return the moments of level 3 at a value vector."""
    omega, c = np.zeros((level.n, level.n)), np.zeros((level.n_design, level.n))
    effects = effects_of(level)
    forward(level, values, effects, omega, c)
    return LevelTwo(values, omega, c, effects)


@inner_kernel
def prepare(omega, seen, known):
    """Fill :class:`Known`; return log|Omega_zz| and whether it is positive definite."""
    root, u, inverse, gain = known.root, known.u, known.inverse, known.gain
    n_a, n_z = u.shape
    log_det, positive = whiten(omega, n_z, seen, root, u, known.v)
    if not positive:
        return log_det, False
    for k in range(n_z):
        for i in range(k):
            inverse[i, k] = 0.0
        inverse[k, k] = 1.0 / root[k, k]
        for i in range(k + 1, n_z):
            total = root[i, k] * inverse[k, k]
            for m in range(k + 1, i):
                total += root[i, m] * inverse[m, k]
            inverse[i, k] = -total / root[i, i]
    for q in range(n_a):
        for k in range(n_z):
            total = 0.0
            for m in range(k, n_z):
                total += u[q, m] * inverse[m, k]
            gain[q, k] = total
    return log_det, True


@inner_kernel
def lift(seen, known, e, score, matrix, h, m):
    """Fill the score h and M of the mean of (a, z), from ``score`` and ``matrix`` of a given z."""
    inverse, gain = known.inverse, known.gain
    n_a, n_z = gain.shape
    for q in range(n_a):
        h[q] = score[q]
        for s in range(n_a):
            m[q, s] = matrix[q, s]
    for i in range(n_z):
        total = inverse[i, i] * e[i]
        for k in range(i + 1, n_z):
            total += inverse[k, i] * e[k]
        for q in range(n_a):
            total -= gain[q, i] * score[q]
        h[n_a + i] = total
        for q in range(n_a):
            total = 0.0 * e[i]
            for s in range(n_a):
                total -= matrix[q, s] * gain[s, i]
            m[q, n_a + i] = total
            m[n_a + i, q] = total
    for i in range(n_z):
        for k in range(i + 1):
            total = 0.0 * seen[i]
            for r in range(i, n_z):
                total += inverse[r, i] * inverse[r, k]
            # of what is missing, and of lanes without a unit, nothing is said
            total = total * seen[i] * seen[k]
            for q in range(n_a):
                total -= gain[q, k] * m[n_a + i, q]
            m[n_a + i, n_a + k] = total
            m[n_a + k, n_a + i] = total


@inner_kernel
def fill_ways(uses, ways, design, lam):
    """Fill Lambda (n_u, n_c) of a batch: what the effects of the level above add to its means."""
    effect, column = uses.effect, uses.column
    lam[:, :] = 0.0
    for q in range(len(effect)):
        for i in range(len(lam)):
            way = ways[q, i]
            if way != 0.0:
                lam[i, effect[q]] += way * design[column[q]]


@inner_kernel
def times(matrix, vector, result):
    """Fill ``result`` = matrix vector."""
    for i in range(matrix.shape[0]):
        total = 0.0 * result[i]
        for k in range(matrix.shape[1]):
            total += matrix[i, k] * vector[k]
        result[i] = total


@inner_kernel
def product(left, right, result):
    """Fill ``result`` = left right."""
    for i in range(left.shape[0]):
        for k in range(right.shape[1]):
            total = left[i, 0] * right[0, k]
            for m in range(1, left.shape[1]):
                total += left[i, m] * right[m, k]
            result[i, k] = total


@inner_kernel
def send(lam, x, h, message):
    """Fill the message (n_c + n_c^2 numbers in a row) that a batch sends up: Lambda'h, Lambda'X."""
    n_u, n_c = lam.shape
    for q in range(n_c):
        total = lam[0, q] * h[0]
        for i in range(1, n_u):
            total += lam[i, q] * h[i]
        message[q] = total
        for s in range(q + 1):
            total = lam[0, q] * x[0, s]
            for i in range(1, n_u):
                total += lam[i, q] * x[i, s]
            message[n_c + q * n_c + s] = total
            message[n_c + s * n_c + q] = total


@inner_kernel
def add_to_parents(parent, first, lanes, sums):
    """Add the vectors of a batch, whose lanes begin with number ``first``, to those of parents."""
    floats = as_floats(lanes)
    for lane in range(LANES):
        k = int(parent[first + lane])
        for i in range(sums.shape[1]):
            sums[k, i] += floats[i, lane]


@inner_kernel
def from_parents(parent, first, start, vectors, lanes):
    """Fill the vectors of a batch with those of its parents, from column ``start`` on."""
    floats = as_floats(lanes)
    for lane in range(LANES):
        k = int(parent[first + lane])
        for i in range(len(lanes)):
            floats[i, lane] = vectors[k, start + i]


@inner_kernel
def matrix_from_parents(parent, first, start, vectors, lanes):
    """Fill the matrices of a batch with those of its parents, which begin in column ``start``."""
    floats = as_floats(lanes)
    n = lanes.shape[1]
    for lane in range(LANES):
        k = int(parent[first + lane])
        for i in range(lanes.shape[0]):
            for m in range(n):
                floats[i, m, lane] = vectors[k, start + i * n + m]


@inner_part
def expected_gradients(h, m, x, delta, p, xp, tilde, d_omega):
    """Fill h~ and X P, and add the expected derivative to the lower triangle of ``d_omega``."""
    n_u, n_c = x.shape
    for i in range(n_u):
        total = h[i]
        for q in range(n_c):
            total -= x[i, q] * delta[q]
        tilde[i] = total
    product(x, p, xp)
    for i in range(n_u):
        for k in range(i + 1):
            total = tilde[i] * tilde[k] - m[i, k]
            for q in range(n_c):
                total += xp[i, q] * x[k, q]
            d_omega[i, k] += 0.5 * total


@inner_part
def ways_gradient(uses, design, total, tilde, xp, d_ways):
    """Add to the gradients of the l_q; ``total`` is the posterior mean of c."""
    effect, column = uses.effect, uses.column
    for q in range(len(effect)):
        by, mean = design[column[q]], total[effect[q]]
        for i in range(len(tilde)):
            d_ways[q, i] += by * (mean * tilde[i] - xp[i, effect[q]])
