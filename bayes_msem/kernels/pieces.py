"""Sums over pieces: from response patterns to clusters and back (see kernels.by_pattern).

These loops over pieces are the only part of the likelihood of incomplete data whose cost grows with
the number of pieces. They take one piece after the other, with the numbers of a pattern or of a
cluster side by side in lanes: a row of uses, the outcomes that the pattern has, a symmetric matrix
as its lower triangle; rows are filled up with zeros to a multiple of LANES numbers. Uses of one
column of the design form a *block*; with random intercepts only there is one.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba.extending import register_jitable

from bayes_msem.kernels.compile import inner_part, part_kernel
from bayes_msem.kernels.lanes import LANES, grouped
from bayes_msem.kernels.statistics import filled_up


class UsesByColumn(NamedTuple):
    """The uses of linear effects, by their column of the design.

    Attributes
    ----------
    variable, column
        As in the structure, (uses,).
    block
        Block of every use, (uses,).
    columns
        Column of every block, (blocks,).
    effect
        l_q as columns, zero outside their block, (blocks, p, uses).
    """

    variable: Any
    column: Any
    block: Any
    columns: Any
    effect: Any


class PatternWork(NamedTuple):
    """Room for one pattern, whose outcomes stand at their places.

    Attributes
    ----------
    place
        Place of every outcome, -1 if it is missing, (p,).
    start, stop
        Places at which l_q may differ from zero, (uses,).
    projection
        (W l_q, -C0' W l_q) of one block in every column, (blocks, p + D, uses).
    triangle
        Symmetric matrices of uses, M or Q, (pairs of blocks, triangle).
    u
        U, (uses, p + D).
    t, inner
        T and T - Q l, (uses, p).
    """

    place: Any
    start: Any
    stop: Any
    projection: Any
    triangle: Any
    u: Any
    t: Any
    inner: Any


@register_jitable
def lower(q, u):
    """Place of a symmetric matrix's element in its lower triangle, row by row."""
    return q * (q + 1) // 2 + u if q >= u else u * (u + 1) // 2 + q


@register_jitable
def triangle(n):
    """Length of a lower triangle, filled up to a multiple of LANES (with zeros)."""
    return filled_up(n * (n + 1) // 2)


@part_kernel
def uses_by_column(uses, effect):
    """Return the uses by column, from the l_q as rows (uses x p)."""
    (n_uses, p), column, n = effect.shape, uses.column, 0
    block, columns = np.zeros(n_uses, np.int64), np.zeros(n_uses, np.int64)
    for q in range(n_uses):
        while block[q] < n and columns[block[q]] != column[q]:
            block[q] += 1
        if block[q] == n:
            columns[n] = column[q]
            n += 1
    by_column = np.zeros((n, p, filled_up(n_uses)))
    for q in range(n_uses):
        for i in range(p):
            by_column[block[q], i, q] = effect[q, i]
    return UsesByColumn(uses.variable, column, block, columns[:n], by_column)


@part_kernel
def pattern_work(uses, p, n_d):
    """Return room for one pattern."""
    n_blocks, n_uses = len(uses.columns), len(uses.column)
    ints, floats = np.zeros((2, n_uses), np.int64), np.zeros((2, n_uses, p))
    return PatternWork(
        np.zeros(p, np.int64),
        ints[0],
        ints[1],
        np.zeros((n_blocks, p + n_d, filled_up(n_uses))),
        np.zeros((n_blocks * (n_blocks + 1) // 2, triangle(n_uses))),
        np.zeros((n_uses, filled_up(p + n_d))),
        floats[0],
        floats[1],
    )


@inner_part
def _find_places(n, outcome, variable, work):
    """Fill the places of outcomes and of the l_q of a pattern with n observed outcomes."""
    place, start, stop = work.place, work.start, work.stop
    place[:] = -1
    for i in range(n):
        place[outcome[i]] = i
    for q in range(len(variable)):
        if variable[q] >= 0:
            start[q] = 0
            stop[q] = n
        else:  # a random intercept
            start[q] = max(place[-1 - variable[q]], 0)
            stop[q] = place[-1 - variable[q]] + 1


@inner_part
def _project(n, outcome, w, lane, c0, uses, work):
    """Fill M and the projections of a pattern; ``w`` are W of eight patterns as floats."""
    block, effect, projection = uses.block, uses.effect, work.projection
    m_matrix, start, stop = work.triangle, work.start, work.stop
    of_effect, lanes = grouped(effect), grouped(projection)
    for b in range(lanes.shape[0]):
        for c in range(lanes.shape[2]):
            for i in range(n):
                total = 0.0 * of_effect[b, 0, c]
                for k in range(n):
                    total += w[i, k, lane] * of_effect[b, outcome[k], c]
                lanes[b, i, c] = total
            for d in range(c0.shape[1]):
                total = 0.0 * of_effect[b, 0, c]
                for i in range(n):
                    total -= c0[outcome[i], d] * lanes[b, i, c]
                lanes[b, n + d, c] = total
    for q in range(len(block)):
        for s in range(q + 1):
            total = 0.0
            for i in range(start[q], stop[q]):
                total += effect[block[q], outcome[i], q] * projection[block[s], i, s]
            m_matrix[lower(block[q], block[s]), lower(q, s)] = total


@inner_part
def pieces_forward(k, lane, data, outcome, w, c0, uses, work, h, g):
    """Add H and g (at the reference mean) that clusters get from their pieces of pattern k."""
    cluster, of_piece, columns = data.cluster, data.of_piece, uses.columns
    n, n_d, n_blocks = int(data.count[k]), c0.shape[1], len(columns)
    _find_places(n, outcome[k], uses.variable, work)
    _project(n, outcome[k], w, lane, c0, uses, work)
    projection, m_matrix = grouped(work.projection), grouped(work.triangle)
    h_l, g_l = grouped(h), grouped(g)
    for piece in range(int(data.first[k]), int(data.first[k + 1])):
        j = int(cluster[piece])
        for b in range(n_blocks):
            column = columns[b]
            for c in range(g_l.shape[1]):
                total = g_l[j, c]
                for i in range(n + n_d):
                    total += of_piece[piece, column, i] * projection[b, i, c]
                g_l[j, c] = total
            for a in range(b + 1):
                size = of_piece[piece, column, n + columns[a]]
                for c in range(h_l.shape[1]):
                    h_l[j, c] += size * m_matrix[lower(b, a), c]


@inner_part
def pieces_backward(k, lane, data, outcome, w, c0, uses, work, effects, r, s, d_effect):
    """Turn R and S of pattern k into posterior expectations, and add to the gradient of the l_q.

    ``w``, ``r`` and ``s`` (its lower triangle) are of eight patterns, as floats; ``effects`` holds
    the posterior means e of the uses of all clusters, and e e' + P.
    """
    block, variable, effect = uses.block, uses.variable, uses.effect
    n, n_d, n_uses = int(data.count[k]), c0.shape[1], len(block)
    _find_places(n, outcome[k], variable, work)
    start, stop, t, inner, u_matrix = work.start, work.stop, work.t, work.inner, work.u
    _sum_pieces(k, n, data, uses, work, effects)
    for q in range(n_uses):
        if start[q] == stop[q]:
            continue
        for i in range(n):
            total = u_matrix[q, i]
            for d in range(n_d):
                total -= c0[outcome[k, i], d] * u_matrix[q, n + d]
            t[q, i] = total
            inner[q, i] = total
        for u in range(q + 1):
            value = work.triangle[lower(block[q], block[u]), lower(q, u)]
            for i in range(start[u], stop[u]):
                inner[q, i] -= value * effect[block[u], outcome[k, i], u]
            if u < q and start[u] < stop[u]:
                for i in range(start[q], stop[q]):
                    inner[u, i] -= value * effect[block[q], outcome[k, i], q]
    for q in range(n_uses):
        for i in range(start[q], stop[q]):
            weight = effect[block[q], outcome[k, i], q]
            for m in range(n):
                share = weight * 0.5 * (t[q, m] + inner[q, m])
                if m <= i:
                    s[i, m, lane] -= share
                if m >= i:
                    s[m, i, lane] -= share
            for d in range(n_d):
                r[i, d, lane] -= weight * u_matrix[q, n + d]
        if variable[q] >= 0:
            for i in range(n):
                total = 0.0
                for m in range(n):
                    total += w[i, m, lane] * inner[q, m]
                d_effect[q, outcome[k, i]] += total


@inner_part
def _sum_pieces(k, n, data, uses, work, effects):
    """Fill U and Q of a pattern with n observed outcomes."""
    (e, spread), start, stop, column, columns = effects, work.start, work.stop, uses.column, uses.columns
    cluster, of_piece, n_d = data.cluster, data.of_piece, data.of_piece.shape[1]
    q_l, u_l, spread_l = grouped(work.triangle), grouped(work.u), grouped(spread)
    x_l, n_x = grouped(of_piece), filled_up(n + n_d) // LANES
    work.u[:, :] = 0.0
    work.triangle[:, :] = 0.0
    for piece in range(int(data.first[k]), int(data.first[k + 1])):
        j = int(cluster[piece])
        for b in range(len(columns)):
            for a in range(b + 1):
                size = of_piece[piece, columns[b], n + columns[a]]
                for c in range(q_l.shape[1]):
                    q_l[lower(b, a), c] += size * spread_l[j, c]
        for q in range(len(column)):
            if start[q] < stop[q]:
                for c in range(n_x):
                    u_l[q, c] += e[j, q] * x_l[piece, column[q], c]
