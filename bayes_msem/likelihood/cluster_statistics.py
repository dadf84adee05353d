"""The packed statistics of all clusters: how data reach the kernels, and views of them there.

Clusters come in batches of LANES (see kernels.lanes), and the pieces of a batch's clusters (see
data.pieces) side by side: the first piece of each, then the second of each, and so on. With
complete data every cluster has one piece. Lanes without a cluster, or without a further piece,
hold zeros: also in place of the 1 of (1, w), and in place of a pattern, which makes them rows that
miss everything.

A second layout, :func:`pack_pattern_statistics`, serves incomplete data when all clusters share
their within-level matrices; see kernels.patterns.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba.extending import register_jitable
from numpy.typing import NDArray

from bayes_msem.data.observed_data import ObservedData
from bayes_msem.data.pieces import Pieces, pieces
from bayes_msem.data.readonly import frozen
from bayes_msem.kernels.compile import kernel
from bayes_msem.kernels.lanes import LANES, as_lanes, from_lanes
from bayes_msem.likelihood.cluster_program import SIZES
from bayes_msem.likelihood.packing import integers

FloatArray = NDArray[np.float64]

# Length of the header: numbers of clusters, batches of pieces and pieces, and whether y and z
# have missing values. In the second layout the first number is minus that of clusters, minus one.
HEADER = 5


def pack_cluster_statistics(observed: ObservedData, parts: Pieces | None = None) -> FloatArray:
    """Cross products of every cluster, flattened.

    With d = (1, x) and y centred at the means of the observed values: the header, center (p), the
    first batch of pieces of every batch of clusters; then for batches of pieces: sizes, sum d d'
    (D x D), sum d y' (D x p), sum y y' (p x p) and, if y has missing values, the pattern (p); and
    for batches of clusters: (1, w), z and whether z is observed. ``parts`` are the pieces, if
    they are known.
    """
    parts = pieces(observed) if parts is None else parts
    place, first, n_batches = _piece_batches(parts, observed.n_clusters)
    n_d = 1 + observed.x.shape[1]
    masked = bool(np.isnan(observed.y).any())
    header = [observed.n_clusters, n_batches, len(place), masked, np.isnan(observed.z).any()]

    def lanes(values: NDArray[Any]) -> FloatArray:
        spread = np.zeros((n_batches * LANES, *values.shape[1:]))
        spread[place] = values
        return in_batches(spread)

    cross = parts.cross
    return frozen(
        np.concatenate(
            [
                np.array(header, dtype=np.float64),
                parts.center,
                first,
                lanes(parts.size),
                lanes(cross[:, :n_d, :n_d]),
                lanes(cross[:, :n_d, n_d:]),
                lanes(cross[:, n_d:, n_d:]),
                lanes(parts.seen[parts.pattern]) if masked else np.empty(0),
                *level_two_lanes(observed),
            ]
        )
    )


def _piece_batches(parts: Pieces, n_clusters: int) -> tuple[NDArray[np.int64], FloatArray, int]:
    """Place of every piece among the lanes, first batch of pieces per batch, and their number."""
    count = np.bincount(parts.cluster, minlength=n_clusters)
    n = -(-n_clusters // LANES)
    padded = np.zeros(n * LANES, np.int64)
    padded[:n_clusters] = count
    depth = padded.reshape(n, LANES).max(axis=1)
    first = np.concatenate([[0], np.cumsum(depth)])
    rank = np.arange(len(parts.cluster)) - np.concatenate([[0], np.cumsum(count)])[parts.cluster]
    place = (first[parts.cluster // LANES] + rank) * LANES + parts.cluster % LANES
    return place, first.astype(np.float64), int(first[-1])


def level_two_lanes(observed: ObservedData) -> list[FloatArray]:
    """(1, w), z with zeros where it is missing, and whether it is observed, as lanes."""
    seen = ~np.isnan(observed.z)
    return [
        in_batches(observed.cluster_design),
        in_batches(np.where(seen, observed.z, 0.0)),
        in_batches(seen.astype(np.float64)),
    ]


def in_batches(values: NDArray[Any]) -> FloatArray:
    """Flatten (J, ...) in the order (batches, ..., LANES), with zeros behind the last cluster."""
    n_batches = -(-len(values) // LANES)
    padded = np.zeros((n_batches * LANES, *values.shape[1:]))
    padded[: len(values)] = values
    return np.moveaxis(padded.reshape(n_batches, LANES, *values.shape[1:]), 1, -1).ravel()


@register_jitable
def lane_statistics(ints, statistics):
    """Return views of the packed statistics, clusters as lanes.

    Returns
    -------
    tuple
        Center, first batch of pieces, then per batch of pieces: sizes, DD, DY, YY, patterns (an
        empty matrix if nothing is missing).
    """
    sizes = integers(ints, SIZES)
    p, n_d = sizes[0], sizes[1]
    n_clusters, n = int(statistics[0]), int(statistics[1])
    n_batches, masked = (n_clusters + LANES - 1) // LANES, statistics[3] > 0.0
    start = HEADER
    center = statistics[start : start + p]
    start += p
    first = statistics[start : start + n_batches + 1]
    start += n_batches + 1
    size = statistics[start : start + n * LANES].reshape((n, LANES))
    start += n * LANES
    dd = statistics[start : start + n * n_d * n_d * LANES].reshape((n, n_d, n_d, LANES))
    start += n * n_d * n_d * LANES
    dy = statistics[start : start + n * n_d * p * LANES].reshape((n, n_d, p, LANES))
    start += n * n_d * p * LANES
    yy = statistics[start : start + n * p * p * LANES].reshape((n, p, p, LANES))
    start += n * p * p * LANES
    n_seen = n if masked else 0
    seen = statistics[start : start + n_seen * p * LANES].reshape((n_seen, p, LANES))
    return center, first, as_lanes(size), as_lanes(dd), as_lanes(dy), as_lanes(yy), as_lanes(seen)


@kernel
def clusters_in(statistics):
    """Return the number of clusters in packed statistics of either layout."""
    n_clusters = int(statistics[0])
    return n_clusters if n_clusters >= 0 else -1 - n_clusters


@register_jitable
def level_two_statistics(ints, statistics):
    """Return (1, w), z and whether z is observed as lanes, the last part of either layout."""
    sizes = integers(ints, SIZES)
    n_w, n_z = sizes[2], sizes[7]
    n_clusters = clusters_in(statistics)
    n = (n_clusters + LANES - 1) // LANES
    start = len(statistics) - n * (n_w + 2 * n_z) * LANES
    w = statistics[start : start + n * n_w * LANES].reshape((n, n_w, LANES))
    start += n * n_w * LANES
    z = statistics[start : start + n * n_z * LANES].reshape((n, n_z, LANES))
    start += n * n_z * LANES
    seen = statistics[start : start + n * n_z * LANES].reshape((n, n_z, LANES))
    return n_clusters, as_lanes(w), as_lanes(z), as_lanes(seen)


@kernel
def unpack_statistics(ints, statistics):
    """Return the packed statistics with clusters (or pieces) first.

    Returns
    -------
    tuple of arrays
        Center (p,), first batch of pieces (batches + 1,), sizes, DD, DY, YY and patterns per place
        (see ``piece_place``), (1, w), z, and whether z is observed.
    """
    n_clusters, w, z, z_seen = level_two_statistics(ints, statistics)
    center, first, size, dd, dy, yy, seen = lane_statistics(ints, statistics)
    n = len(size) * LANES
    return (
        center,
        first,
        from_lanes(size.reshape((len(size), 1)), n)[:, 0],
        _squares(dd, n),
        _squares(dy, n),
        _squares(yy, n),
        from_lanes(seen, len(seen) * LANES),
        from_lanes(w, n_clusters),
        from_lanes(z, n_clusters),
        from_lanes(z_seen, n_clusters),
    )


@kernel
def _squares(lanes, n_clusters):
    """Copy lanes (batches, rows, columns) into an array (J, rows, columns)."""
    n, rows, columns = lanes.shape
    flat = from_lanes(lanes.reshape((n, rows * columns)), n_clusters)
    return flat.reshape((n_clusters, rows, columns))
