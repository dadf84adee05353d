"""Moments of all outcomes of a model with random intercepts, and their reverse.

Shared by the two ways of the likelihood of complete data, kernels.by_size and kernels.by_vector.
"""

from __future__ import annotations

import numpy as np

from bayes_msem.kernels.compile import part_kernel
from bayes_msem.kernels.level_two import level_two
from bayes_msem.kernels.statistics import sizes_center
from bayes_msem.kernels.template import backward, effects_of, forward
from bayes_msem.kernels.values import common_gradient


@part_kernel
def _places(structure):
    """Outcome (y, z) that every outcome of level 2 is a part of."""
    places = np.empty(structure.n_a + structure.n_z, np.int64)
    for q in range(len(structure.uses.effect)):
        places[structure.uses.effect[q]] = -1 - structure.uses.variable[q]
    for i in range(structure.n_z):
        places[structure.n_a + i] = structure.within.n + i
    return places


@part_kernel
def outcome_moments(x, structure):
    """Moments of the outcomes (y, z) of a model with random intercepts.

    Returns
    -------
    tuple
        Moments of level 2, total effects within, places, Sigma_w and Sigma_b (P, P), and the
        mean coefficients C (P, D) on (1, x, w).
    """
    within, top, place = structure.within, level_two(x, structure), _places(structure)
    p, n_d, n_w = within.n, within.n_design, structure.between.n_design
    n = p + structure.n_z
    sigma, c, c_w = np.zeros((2, n, n)), np.zeros((n, n_d + n_w - 1)), np.zeros((n_d, p))
    sigma_w, sigma_b, effects = sigma[0], sigma[1], effects_of(within)
    forward(within, top.values, effects, sigma_w, c_w)
    for i in range(p):
        for d in range(n_d):
            c[i, d] = c_w[d, i]
    for e in range(len(place)):
        for f in range(len(place)):
            sigma_b[place[e], place[f]] = top.omega[e, f]
        c[place[e], 0] += top.c[0, e]
        for d in range(1, n_w):
            c[place[e], n_d - 1 + d] += top.c[d, e]
    return top, effects, place, sigma_w, sigma_b, c


@part_kernel
def outcome_moments_back(x, structure, top, effects, place, gradients, d_x):
    """Pull gradients with respect to Sigma_w, Sigma_b (lower triangles) and C back to x."""
    gradient, d_t = np.zeros(len(top.values)), np.zeros((structure.between.m, structure.between.n))
    levels_back(structure, top, effects, place, gradients, d_t, gradient)
    common_gradient(x, structure, gradient, d_x)


@part_kernel
def levels_back(structure, top, effects, place, gradients, d_t, gradient):
    """Pull gradients with respect to Sigma_w, Sigma_b (lower triangles) and C back to the values.

    ``d_t`` comes with the gradient of T' of level 2 from elsewhere, ``gradient`` with that of the
    values.
    """
    d_sigma_w, d_sigma_b, d_c = gradients
    within, between = structure.within, structure.between
    p, n_d, n_w = within.n, within.n_design, between.n_design
    d_omega, d_c_b, d_c_w = np.zeros_like(top.omega), np.zeros_like(top.c), np.zeros((n_d, p))
    for e in range(len(place)):
        for f in range(len(place)):
            i, k = max(place[e], place[f]), min(place[e], place[f])
            d_omega[e, f] = d_sigma_b[i, k]
        d_c_b[0, e] = d_c[place[e], 0]
        for d in range(1, n_w):
            d_c_b[d, e] = d_c[place[e], n_d - 1 + d]
    for i in range(p):
        for k in range(i):
            d_sigma_w[k, i] = d_sigma_w[i, k]
        for d in range(n_d):
            d_c_w[d, i] = d_c[i, d]
    room = np.zeros((2, within.m, p))
    backward(within, top.values, effects, d_sigma_w, d_c_w, room[0], room[1], gradient)
    scratch = np.empty((between.m, between.n))
    backward(between, top.values, top.effects, d_omega, d_c_b, d_t, scratch, gradient)


@part_kernel
def centred(statistics, c):
    """Shift the intercepts in ``c`` (P, D) as the data are; return the constant and the centers."""
    n, n_design = c.shape
    constant, center = sizes_center(statistics, n, n_design)
    for o in range(n):
        shift = -center[o]
        for d in range(1, n_design):
            shift += c[o, d] * center[n + d]
        c[o, 0] += shift
    return constant, center


@part_kernel
def centred_back(center, d_c):
    """Pull the gradient with respect to C back to the intercepts before the shift, in place."""
    n, n_design = d_c.shape
    for o in range(n):
        for d in range(1, n_design):
            d_c[o, d] += d_c[o, 0] * center[n + d]
