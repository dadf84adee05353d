"""The likelihood of complete data whose only random coefficients are intercepts: by cluster size.

Every group g of data.moments has outcomes with covariance ``S_g = between_g Sigma_b + within_g
Sigma_w`` and mean ``C d``, and is known by its weight m_g (a count) and its cross products YY, DY
and DD of outcomes (y, z) and design d = (1, x, w). With R_g and Q_g as R and S in kernels.integrate
and W = S_g^-1,

    ll = constant - 1/2 sum_g [ m_g (P_g log 2 pi + log |S_g|) + tr(W Q_g) ]
    d/dS_g = -1/2 m_g W + 1/2 W Q_g W ,     d/dC = sum_g W R_g .

The pooled within-cluster group (between_g = 0) concerns the first p outcomes only. Two-level data
need one group per distinct cluster size, so the cost does not depend on the number of rows and
hardly on the number of clusters. Where sizes or outcomes are many, kernels.by_vector takes less
time (likelihood.statistics decides).
"""

from __future__ import annotations

import numpy as np

from bayes_msem.kernels.compile import inner_kernel, kernel
from bayes_msem.kernels.integrate import covariance_gradient, residuals
from bayes_msem.kernels.layout import unpack
from bayes_msem.kernels.level_two import LOG_2PI
from bayes_msem.kernels.outcome_moments import (
    centred,
    centred_back,
    outcome_moments,
    outcome_moments_back,
)
from bayes_msem.kernels.statistics import by_size
from bayes_msem.kernels.triangular import invert


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
    (n, n_design), p = c.shape, structure.within.n
    constant, center = centred(statistics, c)
    room, of_c = np.zeros((7, n, n)), np.zeros((2, n, n_design))
    gradients = (room[0], room[1], of_c[0])
    data = by_size(statistics, n, n_design)
    value = _groups(p, data, sigma_w, sigma_b, c, gradients, room[2:], of_c[1])
    if value == -np.inf:
        return value, d_x
    centred_back(center, of_c[0])
    outcome_moments_back(x, structure, top, effects, place, gradients, d_x)
    return value + constant, d_x
