"""Responses around their linear predictors: categories, working weights, shifts by thresholds."""

from __future__ import annotations

import math

import numpy as np

from bayes_msem.kernels.compile import inner_kernel, kernel
from bayes_msem.kernels.responses import response, working_weight

FLAT = 1e-8  # working weights below this are zero


@inner_kernel
def add_shifts(structure, values, shift):
    """Add the middle of each response's thresholds to the entry of its random intercept.

    Thresholds and intercept move together; so does what the data say about the intercept.
    """
    items = structure.items
    for k in range(len(items.code)):
        first, stop = items.first[k], items.first[k + 1]
        if items.effect[k] >= 0:
            for c in range(first, stop):
                shift[items.effect[k]] += values[items.threshold[c]] / (stop - first)


@inner_kernel
def add_shifts_back(structure, d_shift, d_values):
    """Reverse of ``add_shifts``."""
    items = structure.items
    for k in range(len(items.code)):
        first, stop = items.first[k], items.first[k + 1]
        if items.effect[k] >= 0:
            slope = d_shift[items.effect[k]]
            for c in range(first, stop):
                d_values[items.threshold[c]] += slope / (stop - first)


@inner_kernel
def category(k, y, items, threshold):
    """Thresholds around category y of an ordered response; infinite for others."""
    first, stop = items.first[k], items.first[k + 1]
    place, lower, upper = first + int(y), -math.inf, math.inf
    if stop > first:
        if place > first:
            lower = threshold[place - 1]
        if place < stop:
            upper = threshold[place]
    return lower, upper


@kernel
def working_of(eta, values, structure, data):
    """Working weights w and working responses c (N, K) at linear predictors eta.

    The densities of the cells to second order: log p(y | eta + d) = g d - 1/2 w d^2 + constant. A
    missing response has weight 0, as has one whose density is flat.
    """
    items, n_k = structure.items, len(structure.items.code)
    weight, target = np.zeros(eta.shape), np.zeros(eta.shape)
    threshold, middle = np.zeros(len(items.threshold)), np.zeros(n_k)
    for k in range(n_k):
        first, stop = items.first[k], items.first[k + 1]
        for c in range(first, stop):
            threshold[c] = values[items.threshold[c]]
            middle[k] += threshold[c] / (stop - first)
        dispersion = values[items.dispersion[k]] if items.dispersion[k] >= 0 else 0.0
        for i in range(len(eta)):
            y = data.y[k, i]
            if math.isnan(y):
                continue
            lower, upper = category(k, y, items, threshold)
            slope = response(items.code[k], y, eta[i, k], lower, upper, dispersion)[1]
            w = working_weight(items.code[k], y, eta[i, k], lower, upper, dispersion)
            if w > FLAT:
                weight[i, k] = w
                target[i, k] = eta[i, k] + slope / w - middle[k]
    return weight, target
