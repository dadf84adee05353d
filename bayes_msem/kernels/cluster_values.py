"""What differs between clusters: rows of sampled effects, and vectors of linear effects.

The kernels here work on floats, for one cluster, and on lanes, for a batch (see kernels.lanes).
"""

from __future__ import annotations

import math

from bayes_msem.kernels.compile import kernel
from bayes_msem.kernels.transform import blocks_backward, blocks_forward
from bayes_msem.likelihood.cluster_program import (
    ROW_CODE,
    ROW_EFFECT,
    SD_VARYING,
    SIZES,
    VARYING,
)
from bayes_msem.likelihood.packing import floats_at, integers
from bayes_msem.structure.effects import FISHER_Z, LOG_SD


@kernel
def cluster_values(b, ints, floats, x_j, values):
    """Fill the entries of ``x_j`` and ``values`` that are a cluster's own, given its effects b."""
    sizes = integers(ints, SIZES)
    n_theta, n_rows = sizes[3], sizes[4]
    row_effect, row_code = integers(ints, ROW_EFFECT), integers(ints, ROW_CODE)
    for row in range(n_rows):
        value = b[row_effect[row]]
        if row_code[row] == LOG_SD:
            value = math.exp(value)
            values[n_theta + row] = value * value
        elif row_code[row] == FISHER_Z:
            value = 1.0 / (1.0 + math.exp(-2.0 * value))
        else:
            values[n_theta + row] = value
        x_j[n_theta + row] = value
    if len(integers(ints, VARYING)) > 0:
        blocks_forward(
            x_j,
            integers(ints, VARYING),
            integers(ints, VARYING + 1),
            floats_at(floats, SD_VARYING),
            integers(ints, VARYING + 2),
            integers(ints, VARYING + 3),
            integers(ints, VARYING + 4),
            integers(ints, VARYING + 5),
            values,
        )


@kernel
def cluster_gradient(ints, floats, x_j, gradient, d_x_j, d_b):
    """Move a cluster's own part of ``gradient`` to ``d_b`` and ``d_x_j``, and clear it."""
    sizes = integers(ints, SIZES)
    n_theta, n_rows = sizes[3], sizes[4]
    row_effect, row_code = integers(ints, ROW_EFFECT), integers(ints, ROW_CODE)
    if len(integers(ints, VARYING)) > 0:
        edges = integers(ints, VARYING + 5)
        blocks_backward(
            x_j,
            integers(ints, VARYING),
            integers(ints, VARYING + 1),
            floats_at(floats, SD_VARYING),
            integers(ints, VARYING + 2),
            integers(ints, VARYING + 3),
            integers(ints, VARYING + 4),
            edges,
            gradient,
            d_x_j,
        )
        for e in range(len(edges)):
            gradient[edges[e]] = 0.0
    for row in range(n_rows):
        slope, value = d_x_j[n_theta + row], x_j[n_theta + row]
        if row_code[row] == LOG_SD:
            slope = slope * value + 2.0 * gradient[n_theta + row] * value * value
        elif row_code[row] == FISHER_Z:
            slope *= 2.0 * value * (1.0 - value)
        else:
            slope = gradient[n_theta + row]
        d_b[row_effect[row]] += slope
        d_x_j[n_theta + row] = 0.0
        gradient[n_theta + row] = 0.0


@kernel
def use_vectors(use_variable, t, effect):
    """Fill one row l_q per use of a linear effect."""
    for q in range(len(use_variable)):
        variable = use_variable[q]
        for i in range(effect.shape[1]):
            if variable >= 0:
                effect[q, i] = t[variable, i]
            else:
                effect[q, i] = 1.0 if i == -1 - variable else 0.0
