"""Kernels between the sampled vector x and the table values theta (see structure.parameters).

``forward`` computes theta, ``backward`` pulls a gradient with respect to theta back to x. Both
work in place on preallocated arrays; they are compiled once for all models.
"""

from __future__ import annotations

import math

from bayes_msem.kernels.compile import inner_kernel, kernel
from bayes_msem.kernels.lanes import room, zero_unless
from bayes_msem.kernels.layout import CORRELATION, SQUARE, THRESHOLD
from bayes_msem.kernels.thresholds import thresholds_back, thresholds_forward
from bayes_msem.kernels.triangular import factorise


@inner_kernel
def _cholesky_rows(x, n, edges, blocks, chol):
    """Rows of the Cholesky factor of a correlation matrix from partial correlations."""
    for i in range(n):
        for k in range(n):
            chol[i, k] = 0.0
        chol[i, i] = 1.0
    row, column, position = blocks.edge_row, blocks.edge_column, blocks.edge_position
    for e in range(edges[0], edges[1]):
        i = row[e]
        z = 2.0 * x[position[e]] - 1.0
        rest = chol[i, i]
        chol[i, column[e]] = z * rest
        rest2 = 1.0 - z * z
        chol[i, i] = rest * math.sqrt(zero_unless(rest2, 0.0, rest2))


@inner_kernel
def _standard_deviations(x, n, first, blocks, sd):
    for i in range(n):
        source = blocks.sd_source[first + i]
        sd[i] = x[source] if source >= 0 else blocks.constant[-1 - source]


@kernel
def forward(x, transform, blocks, thresholds, theta):
    """Fill ``theta`` (its first ``len(x)`` elements) from ``x``."""
    for i in range(len(x)):
        theta[i] = x[i] * x[i] if i < len(transform) and transform[i] == SQUARE else x[i]
    blocks_forward(x, blocks, theta)
    thresholds_forward(x, thresholds, theta)


@kernel
def _check_direct(x, n, first, edges, blocks, theta):
    """Make the free parameters of a direct block NaN if it is not positive definite."""
    matrix, sd = room(x, n, n), room(x, 1, n)[0]
    matrix[:, :] = 0.0
    _standard_deviations(x, n, first, blocks, sd)
    for i in range(n):
        matrix[i, i] = sd[i] * sd[i]
    for e in range(edges[0], edges[1]):
        position = blocks.edge_position[e]
        value = theta[position] if position >= 0 else blocks.constant[-1 - position]
        matrix[blocks.edge_row[e], blocks.edge_column[e]] = value
    _, positive = factorise(matrix, n)
    if not positive:
        for e in range(edges[0], edges[1]):
            if blocks.edge_position[e] >= 0:
                theta[blocks.edge_position[e]] = math.nan
        for i in range(n):
            if blocks.sd_source[first + i] >= 0:
                theta[blocks.sd_source[first + i]] = math.nan


@kernel
def blocks_forward(x, blocks, theta):
    """Fill the covariances of the blocks in ``theta``.

    If a direct block is not positive definite its parameters become NaN, which the likelihood
    turns into minus infinity.
    """
    first, first_edge = 0, 0
    for block in range(len(blocks.size)):
        n = abs(blocks.size[block])
        edges = (first_edge, first_edge + blocks.edge_count[block])
        if blocks.size[block] < 0:
            _check_direct(x, n, first, edges, blocks, theta)
            first += n
            first_edge = edges[1]
            continue
        chol, sd = room(x, n, n), room(x, 1, n)[0]
        _cholesky_rows(x, n, edges, blocks, chol)
        _standard_deviations(x, n, first, blocks, sd)
        for e in range(edges[0], edges[1]):
            i, k = blocks.edge_row[e], blocks.edge_column[e]
            r = 0.0
            for m in range(k + 1):
                r += chol[i, m] * chol[k, m]
            theta[blocks.edge_position[e]] = r * sd[i] * sd[k]
        first += n
        first_edge = edges[1]


@kernel
def backward(x, transform, blocks, thresholds, d_theta, d_x):
    """Add the gradient with respect to ``x`` to ``d_x``, given that with respect to theta."""
    for i in range(len(x)):
        if i >= len(transform):
            d_x[i] += d_theta[i]
        elif transform[i] == SQUARE:
            d_x[i] += 2.0 * x[i] * d_theta[i]
        elif transform[i] != CORRELATION and transform[i] != THRESHOLD:
            d_x[i] += d_theta[i]
    blocks_backward(x, blocks, d_theta, d_x)
    thresholds_back(x, thresholds, d_theta, d_x)


@kernel
def blocks_backward(x, blocks, d_theta, d_x):
    """Add to ``d_x`` what the gradient of the blocks' covariances says."""
    first, first_edge = 0, 0
    for block in range(len(blocks.size)):
        n = abs(blocks.size[block])
        edges = (first_edge, first_edge + blocks.edge_count[block])
        if blocks.size[block] < 0:
            first += n
            first_edge = edges[1]
            continue
        chol, sd, d_chol = room(x, n, n), room(x, 1, n)[0], room(x, n, n)
        d_chol[:, :] = 0.0
        _cholesky_rows(x, n, edges, blocks, chol)
        _standard_deviations(x, n, first, blocks, sd)
        for e in range(edges[0], edges[1]):
            i, k = blocks.edge_row[e], blocks.edge_column[e]
            d = d_theta[blocks.edge_position[e]]
            scale = d * sd[i] * sd[k]
            r = 0.0
            for m in range(k + 1):
                r += chol[i, m] * chol[k, m]
                d_chol[i, m] += scale * chol[k, m]
                d_chol[k, m] += scale * chol[i, m]
            if blocks.sd_source[first + i] >= 0:
                d_x[blocks.sd_source[first + i]] += d * r * sd[k]
            if blocks.sd_source[first + k] >= 0:
                d_x[blocks.sd_source[first + k]] += d * r * sd[i]
        # Each row of chol is z_1, z_2 c_1, z_3 c_1 c_2, ..., c_1 c_2 ... with c = sqrt(1 - z^2):
        # undo the products from the last edge of the row to the first.
        tail, current = 0.0, -1
        for e in range(edges[1] - 1, edges[0] - 1, -1):
            i, k = blocks.edge_row[e], blocks.edge_column[e]
            if i != current:
                current, tail = i, d_chol[i, i] * chol[i, i]
            z = 2.0 * x[blocks.edge_position[e]] - 1.0
            rest2 = 1.0 - z * z
            # chol[i, k] = z * rest; tail = sum of d_chol * chol over later entries of the row,
            # each of which is proportional to sqrt(1 - z^2)
            rest = _rest(chol, i, e, edges[0], blocks)
            # at the boundary, z = -1 or 1, these later entries are zero, and so is tail
            later = zero_unless(rest2, 0.0, tail * z / rest2)
            d_x[blocks.edge_position[e]] += 2.0 * (d_chol[i, k] * rest - later)
            tail += d_chol[i, k] * chol[i, k]
        first += n
        first_edge = edges[1]


@inner_kernel
def _rest(chol, i, e, first_edge, blocks):
    """Length left in row i before edge e: sqrt(1 - sum of earlier squared entries)."""
    total = 1.0
    j = e - 1
    while j >= first_edge and blocks.edge_row[j] == i:
        total -= chol[i, blocks.edge_column[j]] * chol[i, blocks.edge_column[j]]
        j -= 1
    return math.sqrt(zero_unless(total, 0.0, total))
