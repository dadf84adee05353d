"""The packed statistics: how data reach the kernels, which have views of them (kernels.statistics).

By cluster
    Clusters come in batches of LANES (kernels.lanes), and the pieces of a batch's clusters (see
    data.pieces) side by side: the first piece of each, then the second of each, and so on. With
    complete data every cluster has one piece. Lanes without a cluster, or without a further piece,
    hold zeros: also in place of the 1 of (1, w), and in place of a pattern, which makes them rows
    that miss everything.
By pattern
    For incomplete data when all clusters share their within-level matrices (kernels.by_pattern).
By size
    For complete data with random intercepts only (data.moments): cross products of groups, or
    vectors that have these cross products, if sizes or outcomes are many (kernels.by_vector).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bayes_msem.data.moments import Moments, moments
from bayes_msem.data.observed_data import ObservedData
from bayes_msem.data.pieces import Pieces, pieces
from bayes_msem.data.readonly import frozen
from bayes_msem.kernels.lanes import LANES
from bayes_msem.kernels.statistics import AT_ONCE

__all__ = [
    "PACKERS",
    "Provider",
    "in_batches",
    "pack_by_cluster",
    "pack_by_pattern",
    "pack_by_size",
]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_WIDE = 20  # distinct cluster sizes times outcomes from which on vectors cost less

Provider = Literal["size", "pattern", "cluster", "sampled", "augmented", "nested", "nested size"]
"""What the likelihood is computed from: "sampled" is "cluster" with sampled effects; "augmented"
reads all rows, with sampled effects and scores; "nested" and "nested size" are of three levels, by
cluster and by size (likelihood.nested_statistics)."""


def pack_by_cluster(observed: ObservedData, parts: Pieces | None = None) -> FloatArray:
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
    header = [observed.n_clusters, n_batches, len(place), masked, np.isnan(observed.normal_z).any()]

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
    seen = ~np.isnan(observed.normal_z)
    return [
        in_batches(observed.cluster_design),
        in_batches(np.where(seen, observed.normal_z, 0.0)),
        in_batches(seen.astype(np.float64)),
    ]


def in_batches(values: NDArray[Any]) -> FloatArray:
    """Flatten (J, ...) in the order (batches, ..., LANES), with zeros behind the last cluster."""
    n_batches = -(-len(values) // LANES)
    padded = np.zeros((n_batches * LANES, *values.shape[1:]))
    padded[: len(values)] = values
    return np.moveaxis(padded.reshape(n_batches, LANES, *values.shape[1:]), 1, -1).ravel()


def pack_by_pattern(observed: ObservedData) -> FloatArray:
    """Cross products of patterns and pieces, flattened.

    The header: -1 - J, number of patterns, of pieces, and whether y and z have missing values. Then
    center (p); for patterns as lanes: number of rows, DD, DY, YY pooled over clusters, and which
    outcomes are observed; for pieces: (DY, DD), as kernels.statistics.ByPattern describes it; which
    outcome is at which place, (G x p), how many are observed, and the first piece of every pattern
    (G + 1); the clusters of pieces; for clusters as lanes: (1, w), z and whether z is observed.
    Lanes and pieces begin at multiples of LANES numbers.
    """
    parts, n_d, p = pieces(observed), 1 + observed.x.shape[1], observed.y.shape[1]
    order = np.argsort(-parts.seen.sum(axis=1), kind="stable")  # most observed outcomes first
    seen, new = parts.seen[order], np.argsort(order)[parts.pattern]
    outcome, count = np.argsort(-seen, axis=1, kind="stable"), seen.sum(axis=1)
    place = np.hstack([np.broadcast_to(np.arange(n_d), (len(seen), n_d)), n_d + outcome])[new]
    cross = parts.cross[np.arange(len(new))[:, None, None], place[:, :, None], place[:, None]]
    pooled = np.zeros((len(seen), *cross.shape[1:]))
    np.add.at(pooled, new, cross)
    position, first = _filled_up(new, len(seen))
    cluster = np.full(first[-1], float(observed.n_clusters))
    cluster[position] = parts.cluster
    of_piece = np.zeros((first[-1], n_d, -(-(p + n_d) // LANES) * LANES))
    of_piece[position, :, :p] = cross[:, :n_d, n_d:]
    for d in range(n_d):  # behind the observed outcomes
        of_piece[position, :, count[new].astype(np.int64) + d] = cross[:, :n_d, d]
    z_missing = np.isnan(observed.normal_z).any()
    header = [-1 - observed.n_clusters, len(seen), len(cluster), True, z_missing]
    return _aligned(
        [
            _whole_lanes([np.array(header, dtype=np.float64), parts.center]),
            in_batches(pooled[:, 0, 0]),
            in_batches(pooled[:, :n_d, :n_d]),
            in_batches(pooled[:, :n_d, n_d:]),
            in_batches(pooled[:, n_d:, n_d:]),
            in_batches(np.take_along_axis(seen, outcome, axis=1)),
            of_piece.ravel(),
            _whole_lanes([outcome.ravel(), count, first, cluster]),
            *level_two_lanes(observed),
        ]
    )


def _filled_up(pattern: IntArray, n_patterns: int) -> tuple[IntArray, IntArray]:
    """Sort pieces by pattern, each filled up to a multiple of AT_ONCE: places, and first ones."""
    count = np.bincount(pattern, minlength=n_patterns)
    first = np.concatenate([[0], np.cumsum(-(-count // AT_ONCE) * AT_ONCE)])
    order, position = np.argsort(pattern, kind="stable"), np.empty_like(pattern)
    position[order] = np.arange(len(order)) - np.repeat(np.cumsum(count) - count, count)
    return first[pattern] + position, first


def _whole_lanes(parts: list[NDArray[Any]]) -> FloatArray:
    """Join vectors, with zeros up to a multiple of LANES numbers."""
    joined = np.concatenate(parts).astype(np.float64)
    return np.concatenate([joined, np.zeros(-len(joined) % LANES)])


def _aligned(parts: list[FloatArray]) -> FloatArray:
    """Join vectors in memory that begins where a cache line does, which makes lanes fast."""
    n = sum(map(len, parts))
    room = np.empty(n + LANES)
    start = -(room.ctypes.data // room.itemsize) % LANES
    return frozen(np.concatenate(parts, out=room[start : start + n]))


def pack_by_size(observed: ObservedData) -> FloatArray:
    """Cross products of groups of clusters of equal size, or vectors that have them, flattened.

    Of cross products: the number of groups, the constant, center (P + D), weight, between and
    within (G each), and the cross products of the design and the outcomes, DD, DY and YY (G of
    each).
    """
    parts = moments(observed)
    n = parts.p + parts.q
    cross = parts.cross
    if np.count_nonzero(parts.between) * n >= _WIDE:
        return _pack_vectors(parts)
    return frozen(
        np.concatenate(
            [
                [len(parts.weight), parts.constant],
                parts.center,
                parts.weight,
                parts.between,
                parts.within,
                cross[:, n:, n:].ravel(),
                cross[:, n:, :n].ravel(),
                cross[:, :n, :n].ravel(),
            ]
        ).astype(np.float64)
    )


def _pack_vectors(parts: Moments) -> FloatArray:
    """Vectors whose cross products are those of the groups, flattened.

    Minus the number of vectors, the constant, center (P + D), the number of groups; weight, between
    and within of the groups, and between, within, d (D) and (y, z) (P) of the vectors, all in
    lanes. Lanes without a vector have the covariance matrix Sigma_w, and zeros otherwise.
    """
    n, idle = parts.p + parts.q, np.array([0.0, 1.0])
    vectors = [_with_product(*pair) for pair in zip(parts.cross, parts.weight, strict=True)]
    group = np.repeat(np.arange(len(vectors)), [len(v) for v in vectors])
    data, factors = np.concatenate(vectors), np.column_stack([parts.between, parts.within])
    return frozen(
        np.concatenate(
            [
                [-len(data), parts.constant],
                parts.center,
                [len(factors)],
                _columns(np.column_stack([parts.weight, factors]), np.append(0.0, idle)),
                _columns(factors[group], idle),
                _columns(data[:, n:]),
                _columns(data[:, :n]),
            ]
        ).astype(np.float64)
    )


def _columns(values: FloatArray, idle: FloatArray | float = 0.0) -> FloatArray:
    """Flatten (n, k) in the order (k, batches, LANES), with ``idle`` (k,) behind the last."""
    padded = np.empty((-(-len(values) // LANES) * LANES, values.shape[1]))
    padded[:] = idle
    padded[: len(values)] = values
    return padded.T.ravel()


def _with_product(cross: FloatArray, rank: float) -> FloatArray:
    """Return vectors A, as few as have A'A = cross (n, n), which has at most this rank."""
    scale = np.sqrt(np.diag(cross))
    varies = scale > 0
    scale = scale[varies]
    values, directions = np.linalg.eigh(cross[np.ix_(varies, varies)] / np.outer(scale, scale))
    largest = slice(max(0, len(scale) - int(rank)), None)
    lengths = np.sqrt(np.maximum(values[largest], 0.0))
    vectors = np.zeros((len(lengths), len(cross)))
    vectors[:, varies] = lengths[:, None] * directions[:, largest].T * scale
    return vectors


def pack_level_two(observed: ObservedData) -> FloatArray:
    """Statistics by cluster without rows, which stand elsewhere (likelihood.response_rows).

    A single-level model has no clusters.
    """
    n_batches = -(-observed.n_clusters // LANES)
    header = [observed.n_clusters, 0, 0, False, np.isnan(observed.normal_z).any()]
    parts = [np.array(header, dtype=np.float64), np.zeros(n_batches + 1)]
    return frozen(np.concatenate([*parts, *(level_two_lanes(observed) if n_batches else [])]))


PACKERS: dict[Provider, Callable[[ObservedData], FloatArray]] = {
    "size": pack_by_size,
    "pattern": pack_by_pattern,
    "cluster": pack_by_cluster,
    "sampled": pack_by_cluster,
    "augmented": pack_level_two,
}
