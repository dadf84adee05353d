"""Sums over pieces: from response patterns to clusters and back (see kernels.by_pattern).

These loops over pieces are the only part of the likelihood of incomplete data whose cost grows with
the number of pieces. Pieces of one pattern come eight at a time as lanes; symmetric matrices are
lower triangles, filled up with zeros to a multiple of LANES numbers, so that adding one is a few
vector operations.
"""

from __future__ import annotations

import numpy as np
from numba.extending import register_jitable

from bayes_msem.kernels.compile import inner_kernel, kernel
from bayes_msem.kernels.lanes import LANES, across, as_floats, as_lanes, lanes_matrix


@register_jitable
def lower(q, u):
    """Place of a symmetric matrix's element in its lower triangle, row by row."""
    return q * (q + 1) // 2 + u if q >= u else u * (u + 1) // 2 + q


@register_jitable
def triangle(n):
    """Length of a lower triangle, filled up to a multiple of LANES (with zeros)."""
    return (n * (n + 1) // 2 + LANES - 1) // LANES * LANES


@register_jitable
def in_eights(matrix):
    """View rows whose length is a multiple of LANES as lanes: for sums of many such rows."""
    rows, columns = matrix.shape
    return as_lanes(matrix.reshape((rows, columns // LANES, LANES)))


@kernel
def pieces_forward(column, data, m_matrix, projection, h, g):
    """Add H and g (at the reference mean) of every cluster over its pieces."""
    pattern, cluster, of_piece, n_uses = data.pattern, data.cluster, data.of_piece, len(column)
    n_d = of_piece.shape[1]
    p, n_all = of_piece.shape[2] - n_d, of_piece.shape[2]
    same = _all_zero(column)
    floats, sums = as_floats(of_piece), np.zeros((n_uses, LANES))
    sums_l, h_l, m_l = as_lanes(sums), in_eights(h), in_eights(m_matrix)
    for batch in range(len(pattern)):
        k = int(pattern[batch])
        for q in range(n_uses):
            total = 0.0
            for i in range(n_all):
                total += of_piece[batch, column[q], i] * projection[k, q, i]
            sums_l[q] = total
        for lane in range(LANES):
            j = int(cluster[batch, lane])
            if j < 0:
                break
            for q in range(n_uses):
                g[j, q] += sums[q, lane]
            if same:  # random intercepts only
                size = floats[batch, 0, p, lane]
                for i in range(h_l.shape[1]):
                    h_l[j, i] += size * m_l[k, i]
                continue
            place = 0
            for q in range(n_uses):
                for u in range(q + 1):
                    product = floats[batch, column[q], p + column[u], lane]
                    h[j, place] += product * m_matrix[k, place]
                    place += 1


@inner_kernel
def _all_zero(column):
    for q in range(len(column)):
        if column[q] != 0:
            return False
    return True


@kernel
def pieces_backward(column, data, e, spread, u_matrix, q_matrix):
    """Add U and Q of every pattern over its pieces; e (J, uses), spread = e e' + P."""
    pattern, cluster, of_piece, n_uses = data.pattern, data.cluster, data.of_piece, len(column)
    n_d = of_piece.shape[1]
    p, n_all = of_piece.shape[2] - n_d, of_piece.shape[2]
    same = _all_zero(column)
    floats, e_batch = as_floats(of_piece), np.zeros((n_uses, LANES))
    e_l, u_l = as_lanes(e_batch), lanes_matrix(n_uses, n_all)
    q_l, spread_l = in_eights(q_matrix), in_eights(spread)
    for batch in range(len(pattern)):
        k = int(pattern[batch])
        e_batch[:, :] = 0.0
        for lane in range(LANES):
            j = int(cluster[batch, lane])
            if j < 0:
                break
            for q in range(n_uses):
                e_batch[q, lane] = e[j, q]
            if same:
                size = floats[batch, 0, p, lane]
                for i in range(q_l.shape[1]):
                    q_l[k, i] += size * spread_l[j, i]
                continue
            place = 0
            for q in range(n_uses):
                for u in range(q + 1):
                    product = floats[batch, column[q], p + column[u], lane]
                    q_matrix[k, place] += product * spread[j, place]
                    place += 1
        for q in range(n_uses):
            for i in range(n_all):
                u_l[q, i] += e_l[q] * of_piece[batch, column[q], i]
        if batch == len(pattern) - 1 or int(pattern[batch + 1]) != k:
            for q in range(n_uses):
                for i in range(n_all):
                    u_matrix[k, q * n_all + i] = across(u_l[q, i])
            u_l[:, :] = 0.0
