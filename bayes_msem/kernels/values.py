"""The value vector (theta, rows of sampled effects, constants) that cells of templates point into.

Its first part follows from the sampled parameters x (kernels.transform); the rows of sampled
effects are a cluster's own. Kernels that take effects work on floats, for one cluster, and on
lanes, for a batch (kernels.lanes).
"""

from __future__ import annotations

import math

import numpy as np

from bayes_msem.kernels.compile import inner_kernel, part_kernel
from bayes_msem.kernels.layout import FISHER_Z, LOG_SD
from bayes_msem.kernels.transform import backward, blocks_backward, blocks_forward, forward


@part_kernel
def common_values(x, structure):
    """Value vector with the entries that all clusters share; those of random rows are zero."""
    n_theta = structure.n_theta
    n_x = n_theta + len(structure.rows.effect)
    values = np.zeros(n_x + len(structure.constants))
    forward(x, structure.transform, structure.common, structure.thresholds, values[:n_theta])
    for i in range(len(structure.constants)):
        values[n_x + i] = structure.constants[i]
    return values


@part_kernel
def common_gradient(x, structure, gradient, d_x):
    """Pull a gradient with respect to the shared values back to x (added to ``d_x``)."""
    common, thresholds = structure.common, structure.thresholds
    backward(x, structure.transform, common, thresholds, gradient[: len(x)], d_x)


@inner_kernel
def cluster_values(b, n_theta, rows, varying, x_j, values):
    """Fill the entries of ``x_j`` and ``values`` that are a cluster's own, given its effects b."""
    effect, code = rows.effect, rows.code
    for row in range(len(effect)):
        value = b[effect[row]]
        if code[row] == LOG_SD:
            value = math.exp(value)
            values[n_theta + row] = value * value
        elif code[row] == FISHER_Z:
            value = 1.0 / (1.0 + math.exp(-2.0 * value))
        else:
            values[n_theta + row] = value
        x_j[n_theta + row] = value
    if len(varying.size) > 0:
        blocks_forward(x_j, varying, values)


@inner_kernel
def cluster_gradient(n_theta, rows, varying, x_j, gradient, d_x_j, d_b):
    """Move a cluster's own part of ``gradient`` to ``d_b`` and ``d_x_j``, and clear it."""
    if len(varying.size) > 0:
        edges = varying.edge_position
        blocks_backward(x_j, varying, gradient, d_x_j)
        for e in range(len(edges)):
            gradient[edges[e]] = 0.0
    effect, code = rows.effect, rows.code
    for row in range(len(effect)):
        slope, value = d_x_j[n_theta + row], x_j[n_theta + row]
        if code[row] == LOG_SD:
            slope = slope * value + 2.0 * gradient[n_theta + row] * value * value
        elif code[row] == FISHER_Z:
            slope *= 2.0 * value * (1.0 - value)
        else:
            slope = gradient[n_theta + row]
        d_b[effect[row]] += slope
        d_x_j[n_theta + row] = 0.0
        gradient[n_theta + row] = 0.0


@part_kernel
def values_with(x, structure, effects):
    """Value vector with the rows of sampled effects at the given effects (n_b,).

    A covariance of variables whose variance is random has no single value: its parameter is the
    correlation, and its value here the covariance at the standard deviations of these effects.
    """
    values, x_j = common_values(x, structure), np.empty(len(structure.transform))
    for i in range(len(x)):
        x_j[i] = x[i]
    cluster_values(effects, structure.n_theta, structure.rows, structure.varying, x_j, values)
    return values
