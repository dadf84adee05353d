"""The likelihood of complete data whose only random coefficients are intercepts: by cluster size.

Every group g of data.moments has outcomes with covariance ``S_g = between_g Sigma_b + within_g
Sigma_w`` and mean ``C d``, and is known by its weight m_g (a count) and its cross products YY, DY
and DD of outcomes (y, z) and design d = (1, x, w). With R_g and Q_g as R and S in kernels.integrate
and W = S_g^-1,

    ll = constant - 1/2 sum_g [ m_g (P_g log 2 pi + log |S_g|) + tr(W Q_g) ]
    d/dS_g = -1/2 m_g W + 1/2 W Q_g W ,     d/dC = sum_g W R_g .

The pooled within-cluster group (between_g = 0) concerns the first p outcomes only. Two-level data
need one group per distinct cluster size, so the cost does not depend on the number of rows and
hardly on the number of clusters. Where sizes or outcomes are many (likelihood.statistics decides),
the sum over groups is that of kernels.by_vector.
"""

from __future__ import annotations

import numpy as np

from bayes_msem.kernels.by_vector import vectors_value
from bayes_msem.kernels.compile import inner_kernel, kernel, part_kernel
from bayes_msem.kernels.integrate import covariance_gradient, residuals
from bayes_msem.kernels.layout import unpack
from bayes_msem.kernels.level_two import LOG_2PI, level_two, level_two_back
from bayes_msem.kernels.statistics import by_size, has_vectors, sizes_center
from bayes_msem.kernels.template import backward, effects_of, forward
from bayes_msem.kernels.triangular import invert


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
def _outcome_moments_back(x, structure, top, effects, place, gradients, d_x):
    """Pull gradients with respect to Sigma_w, Sigma_b (lower triangles) and C back to x."""
    d_sigma_w, d_sigma_b, d_c = gradients
    within = structure.within
    p, n_d, n_w = within.n, within.n_design, structure.between.n_design
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
    room, gradient = np.zeros((2, within.m, p)), np.zeros(len(top.values))
    backward(within, top.values, effects, d_sigma_w, d_c_w, room[0], room[1], gradient)
    level_two_back(x, structure, top, d_omega, d_c_b, gradient, d_x)


@inner_kernel
def _groups(p, data, sigma_w, sigma_b, c, gradients, room, residual):
    """Sum over groups; add to the gradients with respect to Sigma_w, Sigma_b and C.

    Those of covariance matrices are lower triangles. Returns the log-likelihood without its
    constant; minus infinity where some covariance matrix is not positive definite. ``room`` has
    five matrices (P, P), ``residual`` is one (P, D).
    """
    d_sigma_w, d_sigma_b, d_c = gradients
    (n_outcomes, n_design), total = c.shape, 0.0
    s, w, q, wq, d_s = room[0], room[1], room[2], room[3], room[4]
    for g in range(len(data.weight)):
        between, within = data.between[g], data.within[g]
        n = p if between == 0.0 else n_outcomes
        for i in range(n):
            for k in range(n):
                s[i, k] = between * sigma_b[i, k] + within * sigma_w[i, k]
                d_s[i, k] = 0.0
        log_det, positive = invert(s, n, w)
        if not positive:
            return -np.inf
        residuals(n, data.dd[g], data.dy[g], data.yy[g], c, residual, q)
        covariance_gradient(n, data.weight[g], w, q, 1.0, wq, d_s)
        total += data.weight[g] * (n * LOG_2PI + log_det)
        for i in range(n):
            total += wq[i, i]
            for k in range(i + 1):
                d_sigma_b[i, k] += between * d_s[i, k]
                d_sigma_w[i, k] += within * d_s[i, k]
            for m in range(n):
                factor = w[i, m]
                for d in range(n_design):
                    d_c[i, d] += factor * residual[m, d]
    return -0.5 * total


@kernel
def value_and_gradient(x, ints, floats, statistics):
    """Log p(y, z | theta) and its gradient.

    Parameters
    ----------
    x : (n_theta,) array
        Sampled parameters (see structure.parameters) and constrained rows.
    ints, floats
        A packed structure (kernels.layout).
    statistics
        Packed statistics by size.

    Returns
    -------
    tuple of (float, (n_theta,) array)
    """
    structure, d_x = unpack(ints, floats), np.zeros(len(x))
    top, effects, place, sigma_w, sigma_b, c = outcome_moments(x, structure)
    n, n_design = c.shape
    p, (constant, center) = structure.within.n, sizes_center(statistics, n, n_design)
    # the data are centred: shift the intercepts accordingly
    for o in range(n):
        shift = -center[o]
        for d in range(1, n_design):
            shift += c[o, d] * center[n + d]
        c[o, 0] += shift
    room, of_c = np.zeros((7, n, n)), np.zeros((2, n, n_design))
    d_c, gradients = of_c[0], (room[0], room[1], of_c[0])
    if has_vectors(statistics):
        value = vectors_value(p, statistics, sigma_w, sigma_b, c, gradients)
    else:
        data = by_size(statistics, n, n_design)
        value = _groups(p, data, sigma_w, sigma_b, c, gradients, room[2:], of_c[1])
    if value == -np.inf:
        return value, d_x
    for o in range(n):
        for d in range(1, n_design):
            d_c[o, d] += d_c[o, 0] * center[n + d]
    _outcome_moments_back(x, structure, top, effects, place, gradients, d_x)
    return value + constant, d_x
