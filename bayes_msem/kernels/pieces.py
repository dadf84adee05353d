"""Sums over pieces: from response patterns to clusters and back (see kernels.by_pattern).

These loops over pieces are the only part of the likelihood of incomplete data whose cost grows with
the number of pieces. They take ``AT_ONCE`` pieces of a pattern together, with the numbers of the
pattern or of a cluster side by side in lanes: a row of uses, the outcomes that the pattern has, a
symmetric matrix as its lower triangle; rows are filled up with zeros to a multiple of LANES
numbers. Uses of one column of the design form a *block*; with random intercepts only there is one.
The l_q of a random intercept has one entry, or none where the outcome is missing, and only entries
are visited.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba.extending import register_jitable

from bayes_msem.kernels.compile import inner_part, part_kernel
from bayes_msem.kernels.lanes import LANES, aligned_zeros, grouped, put_lanes
from bayes_msem.kernels.statistics import AT_ONCE, filled_up


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
        Place of every outcome, (p,); that of the row of zeros if it is missing.
    active
        Uses whose l_q is not zero at all places.
    entry_use, entry_place, entry_value
        Where the l_q may differ from zero, use by use: the index in ``active``, place and value.
    projection
        (W l_q, -C0' W l_q) of one block in every column, and a row of zeros,
        (blocks, p + D + 1, uses).
    triangle
        Symmetric matrices of uses, M or Q, (pairs of blocks, triangle).
    c0
        C0' of the pattern, (D, p + D).
    u, t, x
        U, T and X of the active uses, (uses, p + D).
    inner
        T - Q l of one use.
    """

    place: Any
    active: Any
    entry_use: Any
    entry_place: Any
    entry_value: Any
    projection: Any
    triangle: Any
    c0: Any
    u: Any
    t: Any
    x: Any
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
    n_blocks, n_uses, width = len(uses.columns), len(uses.column), filled_up(p + n_d)
    n_lanes, n_pairs = filled_up(n_uses), n_blocks * (n_blocks + 1) // 2
    entries, rows = np.zeros((2, n_uses * p + 1), np.int64), np.zeros((3, n_uses, width))
    return PatternWork(
        np.zeros(p, np.int64),
        np.zeros(n_uses + 1, np.int64),
        entries[0],
        entries[1],
        np.zeros(n_uses * p + 1),
        aligned_zeros(n_blocks * (p + n_d + 1), n_lanes).reshape((n_blocks, p + n_d + 1, n_lanes)),
        # behind the last row of a triangle there is room for what is written beside it
        aligned_zeros(n_pairs, triangle(n_uses) + LANES),
        np.zeros((n_d, width)),
        rows[0],
        rows[1],
        rows[2],
        np.zeros(p),
    )


@inner_part
def _find_places(n, outcome, work):
    """Fill the places of a pattern with n observed outcomes."""
    place = work.place
    place[:] = work.projection.shape[1] - 1
    for i in range(n):
        place[outcome[i]] = i


@inner_part
def _find_entries(n, outcome, uses, work):
    """Fill active uses and entries of a pattern, given its places; return how many there are."""
    place, variable, active = work.place, uses.variable, work.active
    entry_use, entry_place, value = work.entry_use, work.entry_place, work.entry_value
    n_active, n_entries = 0, 0
    for q in range(len(variable)):
        active[n_active] = q
        if variable[q] < 0:  # a random intercept: without branches, which were hard to predict
            entry_use[n_entries] = n_active
            entry_place[n_entries] = place[-1 - variable[q]]
            value[n_entries] = 1.0
            is_seen = int(place[-1 - variable[q]] < n)
            n_entries += is_seen
            n_active += is_seen
        else:
            for i in range(n):
                entry_use[n_entries] = n_active
                entry_place[n_entries] = i
                value[n_entries] = uses.effect[uses.block[q], outcome[i], q]
                n_entries += 1
            n_active += 1
    return n_active, n_entries


@inner_part
def _project(n, outcome, w, lane, c0, uses, work):
    """Fill M and the projections of a pattern; ``w`` are W of eight patterns as floats."""
    block, effect, projection = uses.block, uses.effect, work.projection
    variable, place, m_matrix = uses.variable, work.place, work.triangle
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
    for b in range(lanes.shape[0]):
        for a in range(b + 1):
            row = m_matrix[lower(b, a)]
            for q in range(len(block)):
                other = a if block[q] == b else b
                start, i = lower(q, 0), lanes.shape[1] - 1  # the row of zeros
                if (block[q] == b or block[q] == a) and variable[q] < 0:
                    i = place[-1 - variable[q]]
                # each row covers the beginning of the next, which comes after it
                for c in range(q // LANES + 1):
                    total = lanes[other, i, c]
                    if (block[q] == b or block[q] == a) and variable[q] >= 0:
                        for m in range(n):
                            total += effect[block[q], outcome[m], q] * lanes[other, m, c]
                    put_lanes(row, start + c * LANES, total)


@inner_part
def pieces_forward(data, outcome, w, c0, uses, work, h, g):
    """Add H and g (at the reference mean) of all clusters over their pieces.

    ``w`` are W of the batches of patterns, as floats.
    """
    for k in range(len(data.count)):
        n = int(data.count[k])
        _find_places(n, outcome[k], work)
        _project(n, outcome[k], w[k // LANES], k % LANES, c0, uses, work)
        _add_messages(k, n, data, uses, work, h, g)


@inner_part
def _add_messages(k, n, data, uses, work, h, g):
    """Add what the pieces of pattern k say to H and g of their clusters."""
    cluster, of_piece, columns = data.cluster, data.of_piece, uses.columns
    n_x, h_l, g_l = n + of_piece.shape[1], grouped(h), grouped(g)
    projection, m_matrix = grouped(work.projection), grouped(work.triangle)
    for piece in range(int(data.first[k]), int(data.first[k + 1]), AT_ONCE):
        j0, j1 = int(cluster[piece]), int(cluster[piece + 1])
        j2, j3 = int(cluster[piece + 2]), int(cluster[piece + 3])
        for b in range(len(columns)):
            x0, x1 = of_piece[piece, columns[b]], of_piece[piece + 1, columns[b]]
            x2, x3 = of_piece[piece + 2, columns[b]], of_piece[piece + 3, columns[b]]
            for c in range(g_l.shape[1]):
                g0, g1, g2, g3 = g_l[j0, c], g_l[j1, c], g_l[j2, c], g_l[j3, c]
                for i in range(n_x):
                    factor = projection[b, i, c]
                    g0 += x0[i] * factor
                    g1 += x1[i] * factor
                    g2 += x2[i] * factor
                    g3 += x3[i] * factor
                g_l[j0, c], g_l[j1, c], g_l[j2, c] = g0, g1, g2
                g_l[j3, c] = g3
            for a in range(b + 1):
                at, pair = n + columns[a], lower(b, a)
                dd0, dd1, dd2, dd3 = x0[at], x1[at], x2[at], x3[at]
                for c in range(h_l.shape[1]):
                    factor = m_matrix[pair, c]
                    h_l[j0, c] += dd0 * factor
                    h_l[j1, c] += dd1 * factor
                    h_l[j2, c] += dd2 * factor
                    h_l[j3, c] += dd3 * factor


@inner_part
def pieces_backward(k, lane, data, outcome, w, c0, uses, work, effects, r, s, d_effect):
    """Turn R and S of pattern k into posterior expectations, and add to the gradient of the l_q.

    ``w``, ``r`` and ``s`` (its lower triangle) are of eight patterns, as floats; ``effects`` holds
    the posterior means e of the uses of all clusters, and e e' + P.
    """
    n, n_d, u_matrix, x = int(data.count[k]), c0.shape[1], work.u, work.x
    entry_use, entry_place, entry_value = work.entry_use, work.entry_place, work.entry_value
    _find_places(n, outcome[k], work)
    n_active, n_entries = _find_entries(n, outcome[k], uses, work)
    _sum_pieces(k, n, n_active, data, uses, work, effects)
    _residual_parts(n, n_active, n_entries, outcome[k], c0, uses, work)
    for entry in range(n_entries):
        a, i, value = entry_use[entry], entry_place[entry], entry_value[entry]
        for m in range(i + 1):
            s[i, m, lane] -= value * x[a, m]
        for m in range(i, n):
            s[m, i, lane] -= value * x[a, m]
        for d in range(n_d):
            r[i, d, lane] -= value * u_matrix[a, n + d]
    for a in range(n_active):
        if uses.variable[work.active[a]] >= 0:
            _effect_gradient(a, n, n_active, n_entries, lane, outcome[k], w, uses, work, d_effect)


@inner_part
def _sum_pieces(k, n, n_active, data, uses, work, effects):
    """Fill U and Q of a pattern with n observed outcomes."""
    (e, spread), active, block, columns = effects, work.active, uses.block, uses.columns
    cluster, of_piece = data.cluster, data.of_piece
    q_l, u_l, spread_l, x_l = (
        grouped(work.triangle), grouped(work.u), grouped(spread), grouped(of_piece),
    )  # fmt: skip
    n_x = filled_up(n + of_piece.shape[1]) // LANES
    for a in range(n_active):
        for c in range(n_x):
            u_l[a, c] = 0.0
    q_l[:, :] = 0.0
    for piece in range(int(data.first[k]), int(data.first[k + 1]), AT_ONCE):
        j0, j1 = int(cluster[piece]), int(cluster[piece + 1])
        j2, j3 = int(cluster[piece + 2]), int(cluster[piece + 3])
        for b in range(len(columns)):
            column = columns[b]
            for a in range(b + 1):
                at, pair = n + columns[a], lower(b, a)
                dd0, dd1 = of_piece[piece, column, at], of_piece[piece + 1, column, at]
                dd2, dd3 = of_piece[piece + 2, column, at], of_piece[piece + 3, column, at]
                for c in range(spread_l.shape[1]):
                    q_l[pair, c] += (dd0 * spread_l[j0, c] + dd1 * spread_l[j1, c]) + (
                        dd2 * spread_l[j2, c] + dd3 * spread_l[j3, c]
                    )
            for c in range(n_x):
                x0, x1 = x_l[piece, column, c], x_l[piece + 1, column, c]
                x2, x3 = x_l[piece + 2, column, c], x_l[piece + 3, column, c]
                for a in range(n_active):
                    q = active[a]
                    if block[q] == b:
                        u_l[a, c] += (e[j0, q] * x0 + e[j1, q] * x1) + (
                            e[j2, q] * x2 + e[j3, q] * x3
                        )


@inner_part
def _residual_parts(n, n_active, n_entries, outcome, c0, uses, work):
    """Fill T and X of the active uses of a pattern from U and Q."""
    active, block, c0_t, u_matrix = work.active, uses.block, work.c0, work.u
    entry_use, entry_place, entry_value = work.entry_use, work.entry_place, work.entry_value
    for i in range(n):
        for d in range(c0.shape[1]):
            c0_t[d, i] = c0[outcome[i], d]
    c0_l, u_l, t_l, x_l = grouped(c0_t), grouped(u_matrix), grouped(work.t), grouped(work.x)
    for a in range(n_active):
        for c in range(filled_up(n) // LANES):
            total = u_l[a, c]
            for d in range(c0.shape[1]):
                total -= u_matrix[a, n + d] * c0_l[d, c]
            t_l[a, c] = total
            x_l[a, c] = total
    for a in range(n_active):
        q = active[a]
        for entry in range(n_entries):
            if entry_use[entry] > a:
                break
            s = active[entry_use[entry]]
            share = work.triangle[lower(block[q], block[s]), lower(q, s)] * entry_value[entry]
            work.x[a, entry_place[entry]] -= 0.5 * share if q == s else share


@inner_part
def _effect_gradient(a, n, n_active, n_entries, lane, outcome, w, uses, work, d_effect):
    """Add what a pattern says of the gradient of one l_q."""
    q, block, inner = work.active[a], uses.block, work.inner
    for i in range(n):
        inner[i] = work.t[a, i]
    for entry in range(n_entries):
        s = work.active[work.entry_use[entry]]
        value = work.triangle[lower(block[q], block[s]), lower(q, s)]
        inner[work.entry_place[entry]] -= value * work.entry_value[entry]
    for i in range(n):
        total = 0.0
        for m in range(n):
            total += w[i, m, lane] * inner[m]
        d_effect[q, outcome[i]] += total
