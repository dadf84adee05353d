"""Statistics of incomplete data, pooled over clusters and by piece (see likelihood.patterns)."""

from __future__ import annotations

import numpy as np
from numba.extending import register_jitable
from numpy.typing import NDArray

from bayes_msem.data.observe import ObservedData
from bayes_msem.data.pieces import pieces
from bayes_msem.likelihood.cluster_program import SIZES
from bayes_msem.likelihood.cluster_statistics import HEADER, in_batches, level_two_lanes
from bayes_msem.likelihood.packing import frozen, integers
from bayes_msem.structure.lanes import LANES, as_lanes

FloatArray = NDArray[np.float64]


def pack_pattern_statistics(observed: ObservedData) -> FloatArray:
    """Cross products of patterns and pieces, flattened.

    The header -1 - J, G, n_pieces, whether y and z have missing values; center (p); for patterns
    in batches of lanes: number of rows, DD, DY, YY pooled over clusters, and which outcomes are
    observed; for pieces: pattern, cluster, and (DY, DD), (D x (p + D)); for clusters as lanes:
    (1, w), z and whether z is observed.
    """
    parts = pieces(observed)
    n_d, p = 1 + observed.x.shape[1], observed.y.shape[1]
    n_patterns = len(parts.seen)
    pooled = np.zeros((n_patterns, *parts.cross.shape[1:]))
    np.add.at(pooled, parts.pattern, parts.cross)
    of_pieces = np.concatenate([parts.cross[:, :n_d, n_d:], parts.cross[:, :n_d, :n_d]], axis=2)
    header = [
        -1 - observed.n_clusters,
        n_patterns,
        len(parts.pattern),
        True,
        np.isnan(observed.z).any(),
    ]
    assert of_pieces.shape[1:] == (n_d, p + n_d)
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
                parts.pattern.astype(np.float64),
                parts.cluster.astype(np.float64),
                of_pieces.ravel(),
                *level_two_lanes(observed),
            ]
        )
    )


@register_jitable
def pattern_statistics(ints, statistics):
    """Return views of what :func:`pack_pattern_statistics` packs, but for level 2."""
    sizes = integers(ints, SIZES)
    p, n_d = sizes[0], sizes[1]
    n_patterns, n_pieces = int(statistics[1]), int(statistics[2])
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
    cluster = statistics[start : start + n_pieces]
    start += n_pieces
    of_piece = statistics[start : start + n_pieces * n_d * (p + n_d)]
    return (
        center, as_lanes(size), as_lanes(dd), as_lanes(dy), as_lanes(yy), as_lanes(seen),
        pattern, cluster, of_piece.reshape((n_pieces, n_d, p + n_d)),
    )  # fmt: skip
