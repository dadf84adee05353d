"""Statistics of incomplete data, pooled over clusters and by piece (see kernels.patterns)."""

from __future__ import annotations

import numpy as np
from numba.extending import register_jitable
from numpy.typing import NDArray

from bayes_msem.data.observed_data import ObservedData
from bayes_msem.data.pieces import Pieces, pieces
from bayes_msem.data.readonly import frozen
from bayes_msem.kernels.lanes import LANES, as_lanes
from bayes_msem.likelihood.cluster_program import SIZES
from bayes_msem.likelihood.cluster_statistics import HEADER, in_batches, level_two_lanes
from bayes_msem.likelihood.packing import integers

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


def pack_pattern_statistics(observed: ObservedData) -> FloatArray:
    """Cross products of patterns and pieces, flattened.

    The header: -1 - J, number of patterns, of batches of pieces, and whether y and z have missing
    values. Then center (p); for patterns as lanes: number of rows, DD, DY, YY pooled over clusters,
    and which outcomes are observed; for pieces of one pattern as lanes: the pattern of the batch,
    the clusters (-1: no piece), and (DY, DD), (D x (p + D)); for clusters as lanes: (1, w), z and
    whether z is observed.
    """
    parts = pieces(observed)
    n_d = 1 + observed.x.shape[1]
    pooled = np.zeros((len(parts.seen), *parts.cross.shape[1:]))
    np.add.at(pooled, parts.pattern, parts.cross)
    of_batch, place = _pattern_batches(parts)
    cluster = np.full(len(of_batch) * LANES, -1.0)
    cluster[place] = parts.cluster
    data = np.concatenate([parts.cross[:, :n_d, n_d:], parts.cross[:, :n_d, :n_d]], axis=2)
    spread = np.zeros((len(cluster), *data.shape[1:]))
    spread[place] = data
    z_missing = np.isnan(observed.z).any()
    header = [-1 - observed.n_clusters, len(parts.seen), len(of_batch), True, z_missing]
    return frozen(
        np.concatenate(
            [
                np.array(header, dtype=np.float64),
                parts.center,
                in_batches(pooled[:, 0, 0]),
                in_batches(pooled[:, :n_d, :n_d]),
                in_batches(pooled[:, :n_d, n_d:]),
                in_batches(pooled[:, n_d:, n_d:]),
                in_batches(parts.seen),
                of_batch,
                cluster,
                in_batches(spread),
                *level_two_lanes(observed),
            ]
        )
    )


def _pattern_batches(parts: Pieces) -> tuple[FloatArray, IntArray]:
    """Sort pieces into batches of one pattern each: pattern per batch, and place of every piece."""
    count = np.bincount(parts.pattern, minlength=len(parts.seen))
    n_batches = -(-count // LANES)
    first = np.concatenate([[0], np.cumsum(n_batches)])
    order = np.argsort(parts.pattern, kind="stable")
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order)) - np.repeat(np.cumsum(count) - count, count)
    of_batch = np.repeat(np.arange(len(count)), n_batches).astype(np.float64)
    return of_batch, first[parts.pattern] * LANES + rank


@register_jitable
def pattern_statistics(ints, statistics):
    """Return views of what :func:`pack_pattern_statistics` packs, but for level 2."""
    sizes = integers(ints, SIZES)
    p, n_d = sizes[0], sizes[1]
    n_patterns, n_pieces = int(statistics[1]), int(statistics[2])  # batches of pieces
    n = (n_patterns + LANES - 1) // LANES
    start = HEADER
    center = statistics[start : start + p]
    start += p
    size = statistics[start : start + n * LANES].reshape((n, LANES))
    start += n * LANES
    dd = statistics[start : start + n * n_d * n_d * LANES].reshape((n, n_d, n_d, LANES))
    start += n * n_d * n_d * LANES
    dy = statistics[start : start + n * n_d * p * LANES].reshape((n, n_d, p, LANES))
    start += n * n_d * p * LANES
    yy = statistics[start : start + n * p * p * LANES].reshape((n, p, p, LANES))
    start += n * p * p * LANES
    seen = statistics[start : start + n * p * LANES].reshape((n, p, LANES))
    start += n * p * LANES
    pattern = statistics[start : start + n_pieces]
    start += n_pieces
    cluster = statistics[start : start + n_pieces * LANES].reshape((n_pieces, LANES))
    start += n_pieces * LANES
    of_piece = statistics[start : start + n_pieces * n_d * (p + n_d) * LANES]
    return (
        center, as_lanes(size), as_lanes(dd), as_lanes(dy), as_lanes(yy), as_lanes(seen),
        pattern, cluster, as_lanes(of_piece.reshape((n_pieces, n_d, p + n_d, LANES))),
    )  # fmt: skip
