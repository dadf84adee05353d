"""Responses around their linear predictors: categories, working weights, shifts by thresholds."""

from __future__ import annotations

import math

import numpy as np

from bayes_msem.kernels.compile import inner_kernel, kernel
from bayes_msem.kernels.responses import LOG_SD, SCALED, response, scaled, working_weight

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


@inner_kernel
def first_log_sd(code):
    """Return the position of the first log SD among responses: behind all others."""
    n = len(code)
    for k in range(len(code)):
        if code[k] == SCALED:
            n -= 1
    return n


@inner_kernel
def _scaled_working(k, log_sd, eta, y, weight, target):
    """Fill those of a scaled response and of its log SD, by the expected information."""
    for i in range(len(eta)):
        if math.isnan(y[k, i]):
            continue
        _, slope, d_delta = scaled(y[k, i], eta[i, k], eta[i, log_sd])
        weight[i, k] = math.exp(-2.0 * eta[i, log_sd])
        target[i, k] = eta[i, k] + slope / weight[i, k]
        weight[i, log_sd] = 2.0
        target[i, log_sd] = eta[i, log_sd] + 0.5 * d_delta


@kernel
def working_of(eta, values, structure, data):
    """Working weights w and working responses c (N, K) at linear predictors eta.

    The densities of the cells to second order: log p(y | eta + d) = g d - 1/2 w d^2 + constant. A
    missing response has weight 0, as has one whose density is flat.
    """
    items, n_k = structure.items, len(structure.items.code)
    log_sd = first_log_sd(items.code)
    weight, target = np.zeros(eta.shape), np.zeros(eta.shape)
    threshold, middle = np.zeros(len(items.threshold)), np.zeros(n_k)
    for k in range(n_k):
        first, stop = items.first[k], items.first[k + 1]
        for c in range(first, stop):
            threshold[c] = values[items.threshold[c]]
            middle[k] += threshold[c] / (stop - first)
        dispersion = values[items.dispersion[k]] if items.dispersion[k] >= 0 else 0.0
        if items.code[k] == LOG_SD:
            continue
        if items.code[k] == SCALED:
            _scaled_working(k, log_sd, eta, data.y, weight, target)
            log_sd += 1
            continue
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
