"""Cluster-level outcomes that are not normal, given the effects of their cluster.

Response k of cluster j has the linear predictor

    eta_jk = beta_jk + lambda_k' b_j ,   beta_jk = offset_jk + coefficients times (1, w_j, z_j) ,

and the term of the cluster is sum_k log p(y_jk | eta_jk). A missing response has none.

What responses say about effects depends on lambda. With fixed working weights w_jk and working
responses c_jk (as of rows, kernels.row_scores), middles m_k of the thresholds, and the shift of
the effects (kernels.row_working), they add

    S_j = sum_k w_jk lambda_k lambda_k' ,
    eta2_j = sum_k w_jk lambda_k (c_jk + m_k - beta_jk - lambda_k' shift)

to what rows say, on which the coordinates of effects are built (kernels.centring).
"""

from __future__ import annotations

import math

import numpy as np

from bayes_msem.kernels.compile import inner_kernel, kernel
from bayes_msem.kernels.responses import response, working_weight
from bayes_msem.kernels.row_working import FLAT, category

__all__ = [
    "add_cluster_responses",
    "add_clusters_say",
    "add_clusters_say_back",
    "working_of_clusters",
]


@inner_kernel
def _predictors(j, values, items, data, base, loading):
    """Fill beta (K,) and lambda (K, n_b) of cluster j."""
    n_fixed = data.known.shape[1]
    for k in range(len(base)):
        base[k] = data.z_offset[j, k]
        for i in range(loading.shape[1]):
            loading[k, i] = 0.0
    for cell in range(len(items.item)):
        k, column, value = items.item[cell], items.regressor[cell], values[items.source[cell]]
        if column < n_fixed:
            base[k] += value * data.known[j, column]
        else:
            loading[k, column - n_fixed] += value


@inner_kernel
def _coefficients_back(j, k, slope, d_loading, items, data, d_values):
    """Add to the gradients of the coefficients of response k: those of beta and of lambda."""
    n_fixed = data.known.shape[1]
    for cell in range(len(items.item)):
        if items.item[cell] == k:
            column = items.regressor[cell]
            if column < n_fixed:
                d_values[items.source[cell]] += slope * data.known[j, column]
            else:
                d_values[items.source[cell]] += d_loading[column - n_fixed]


@inner_kernel
def _cut(items, values, threshold):
    """Fill the thresholds of all responses."""
    for c in range(len(threshold)):
        threshold[c] = values[items.threshold[c]]


@inner_kernel
def _middle(items, k, threshold):
    """Mean of the thresholds of response k; 0 without any."""
    first, stop, total = items.first[k], items.first[k + 1], 0.0
    for c in range(first, stop):
        total += threshold[c] / (stop - first)
    return total


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
    n_k, n_b = len(items.code), b.shape[1]
    base, loading, d_loading = np.zeros(n_k), np.zeros((n_k, n_b)), np.zeros(n_b)
    threshold = np.zeros(len(items.threshold))
    _cut(items, values, threshold)
    for j in range(len(data.z)):
        _predictors(j, values, items, data, base, loading)
        for k in range(n_k):
            y, own, eta = data.z[j, k], items.dispersion[k], base[k]
            if math.isnan(y):
                continue
            for i in range(n_b):
                eta += loading[k, i] * b[j, i]
            lower, upper = category(k, y, items, threshold)
            dispersion = values[own] if own >= 0 else 0.0
            logp, slope, d_lower, d_upper, d_own = response(
                items.code[k], y, eta, lower, upper, dispersion
            )
            terms[j] += logp
            place = items.first[k] + int(y)
            if lower > -math.inf:
                d_values[items.threshold[place - 1]] += d_lower
            if upper < math.inf:
                d_values[items.threshold[place]] += d_upper
            if own >= 0:
                d_values[own] += d_own
            for i in range(n_b):
                d_b[j, i] += slope * loading[k, i]
                d_loading[i] = slope * b[j, i]
            _coefficients_back(j, k, slope, d_loading, items, data, d_values)


@kernel
def working_of_clusters(b, values, items, data):
    """Working weights and working responses (J, K) at effects b (as row_working.working_of)."""
    n_k, n_b = len(items.code), b.shape[1]
    weight, target = np.zeros(data.z.shape), np.zeros(data.z.shape)
    base, loading = np.zeros(n_k), np.zeros((n_k, n_b))
    threshold = np.zeros(len(items.threshold))
    _cut(items, values, threshold)
    for j in range(len(data.z)):
        _predictors(j, values, items, data, base, loading)
        for k in range(n_k):
            y, own, eta = data.z[j, k], items.dispersion[k], base[k]
            if math.isnan(y):
                continue
            for i in range(n_b):
                eta += loading[k, i] * b[j, i]
            lower, upper = category(k, y, items, threshold)
            dispersion = values[own] if own >= 0 else 0.0
            slope = response(items.code[k], y, eta, lower, upper, dispersion)[1]
            w = working_weight(items.code[k], y, eta, lower, upper, dispersion)
            if w > FLAT:
                weight[j, k] = w
                target[j, k] = eta + slope / w - _middle(items, k, threshold)
    return weight, target


@kernel
def add_clusters_say(values, items, data, shift, info, linear):
    """Add S (J, n_b n_b) and eta2 (J, n_b) of the clusters' responses."""
    n_k, n_b = len(items.code), linear.shape[1]
    base, loading = np.zeros(n_k), np.zeros((n_k, n_b))
    threshold = np.zeros(len(items.threshold))
    _cut(items, values, threshold)
    for j in range(len(data.z)):
        _predictors(j, values, items, data, base, loading)
        for k in range(n_k):
            w = data.z_weight[j, k]
            if w == 0.0:
                continue
            u = data.z_target[j, k] + _middle(items, k, threshold) - base[k]
            for i in range(n_b):
                u -= loading[k, i] * shift[i]
            for i in range(n_b):
                linear[j, i] += w * loading[k, i] * u
                for m in range(n_b):
                    info[j, i * n_b + m] += w * loading[k, i] * loading[k, m]


@kernel
def add_clusters_say_back(values, items, data, shift, d_info, d_linear, d_shift, d_values):
    """Reverse of ``add_clusters_say``: add to the gradients of the shift and the value vector."""
    n_k, n_b = len(items.code), d_linear.shape[1]
    base, loading, d_loading = np.zeros(n_k), np.zeros((n_k, n_b)), np.zeros(n_b)
    threshold = np.zeros(len(items.threshold))
    _cut(items, values, threshold)
    for j in range(len(data.z)):
        _predictors(j, values, items, data, base, loading)
        for k in range(n_k):
            w = data.z_weight[j, k]
            if w == 0.0:
                continue
            u, d_u = data.z_target[j, k] + _middle(items, k, threshold) - base[k], 0.0
            for i in range(n_b):
                u -= loading[k, i] * shift[i]
                d_u += w * loading[k, i] * d_linear[j, i]
            for i in range(n_b):
                total = d_linear[j, i] * u
                for m in range(n_b):
                    both = d_info[j, i * n_b + m] + d_info[j, m * n_b + i]
                    total += both * loading[k, m]
                d_loading[i] = w * total - d_u * shift[i]
                d_shift[i] -= d_u * loading[k, i]
            _coefficients_back(j, k, -d_u, d_loading, items, data, d_values)
            first, stop = items.first[k], items.first[k + 1]
            for c in range(first, stop):
                d_values[items.threshold[c]] += d_u / (stop - first)
