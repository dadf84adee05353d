"""Cluster-level outcomes that are not normal, given the effects of their cluster.

Response k of cluster j has the linear predictor

    eta_jk = offset_jk + sum_i lambda_ki r_ji ,   r_j = (1, w_j, z_j, b_j) ,

and the term of the cluster is sum_k log p(y_jk | eta_jk). A missing response has none.
"""

from __future__ import annotations

import math

import numpy as np

from bayes_msem.kernels.compile import kernel
from bayes_msem.kernels.responses import response

__all__ = ["add_cluster_responses"]


@kernel
def add_cluster_responses(b, values, items, data, terms, d_b, d_values):
    """Add the terms of the clusters' responses to those of their rows, and the gradients.

    Parameters
    ----------
    b
        Effects (J, n_b).
    values
        Value vector.
    items : Items
        The responses.
    data : RowData
        With the clusters' own arrays.
    terms, d_b, d_values
        Terms (J,), and gradients with respect to effects and the value vector: added to.
    """
    n_k, n_fixed = len(items.code), data.known.shape[1]
    eta, slopes = np.zeros(n_k), np.zeros(n_k)
    for j in range(len(data.z)):
        for k in range(n_k):
            eta[k] = data.z_offset[j, k]
        for cell in range(len(items.item)):
            column, weight = items.regressor[cell], values[items.source[cell]]
            known = data.known[j, column] if column < n_fixed else b[j, column - n_fixed]
            eta[items.item[cell]] += weight * known
        for k in range(n_k):
            y, first, stop = data.z[j, k], items.first[k], items.first[k + 1]
            slopes[k] = 0.0
            if math.isnan(y):
                continue
            lower, upper, place = -math.inf, math.inf, first + int(y)
            if stop > first and place > first:
                lower = values[items.threshold[place - 1]]
            if stop > first and place < stop:
                upper = values[items.threshold[place]]
            own = items.dispersion[k]
            dispersion = values[own] if own >= 0 else 0.0
            logp, slopes[k], d_lower, d_upper, d_own = response(
                items.code[k], y, eta[k], lower, upper, dispersion
            )
            terms[j] += logp
            if lower > -math.inf:
                d_values[items.threshold[place - 1]] += d_lower
            if upper < math.inf:
                d_values[items.threshold[place]] += d_upper
            if own >= 0:
                d_values[own] += d_own
        for cell in range(len(items.item)):
            column, slope = items.regressor[cell], slopes[items.item[cell]]
            if column < n_fixed:
                d_values[items.source[cell]] += slope * data.known[j, column]
            else:
                d_values[items.source[cell]] += slope * b[j, column - n_fixed]
                d_b[j, column - n_fixed] += slope * values[items.source[cell]]
