"""Views of the packed statistics: what the kernels know of the data.

likelihood.statistics packs them, in one layout for each provider of the likelihood, and two by
size. All begin with a header whose first entry says which: the number of clusters J (by cluster),
-1 - J (by pattern), the number of groups (by size), or minus that of vectors (by size, if sizes or
outcomes are many). The two layouts that know clusters end with level 2.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from numba.extending import register_jitable

from bayes_msem.kernels.compile import borrowed, kernel, part_kernel, stacked
from bayes_msem.kernels.lanes import LANES, as_lanes

# Header of the layouts by cluster (numbers of clusters, of batches of pieces and of pieces, and
# whether y and z have missing values) and by pattern (-1 - J, patterns, pieces, ...).
HEADER = 5

AT_ONCE = 4
"""Number of pieces of a pattern that are summed together (kernels.pieces)."""


class ByCluster(NamedTuple):
    """Cross products of clusters, as lanes.

    Attributes
    ----------
    masked
        Whether outcomes of level 1 have missing values.
    center
        What was subtracted from y, (p,) floats.
    first
        First batch of pieces of every batch of clusters, (batches + 1,) floats.
    size, dd, dy, yy
        Of batches of pieces: rows, sum d d' (D x D), sum d y' (D x p), sum y y' (p x p).
    seen
        Which outcomes are observed (p); none if nothing is missing.
    """

    masked: Any
    center: Any
    first: Any
    size: Any
    dd: Any
    dy: Any
    yy: Any
    seen: Any


class ByPattern(NamedTuple):
    """Cross products of response patterns, as lanes, and of their pieces.

    Patterns with more observed outcomes come first, and of every pattern the observed outcomes:
    outcomes are read by their *place* in the pattern.

    Attributes
    ----------
    center
        What was subtracted from y, (p,) floats.
    size, dd, dy, yy, seen
        As by cluster, of patterns, outcomes by place.
    outcome
        Which outcome is at which place, (G, p) floats.
    count
        Number of observed outcomes, (G,) floats.
    first
        First piece of every pattern, (G + 1,) floats.
    cluster
        Cluster of every piece, floats. Pieces of a pattern are filled up to a multiple of
        ``AT_ONCE`` with empty ones, of a cluster behind the last.
    of_piece
        (DY, DD) of every piece: of every column of the design one row that holds as many outcomes
        as the pattern has, the columns of the design, and zeros up to a multiple of LANES; floats.
    """

    center: Any
    size: Any
    dd: Any
    dy: Any
    yy: Any
    seen: Any
    outcome: Any
    count: Any
    first: Any
    cluster: Any
    of_piece: Any


class BySize(NamedTuple):
    """Cross products of groups of equal covariance matrix (data.moments).

    Attributes
    ----------
    weight, between, within
        Counts, and multipliers of Sigma_b and Sigma_w.
    dd, dy, yy
        Sums of products of the design (D) and the outcomes (P) of every group.
    """

    weight: Any
    between: Any
    within: Any
    dd: Any
    dy: Any
    yy: Any


class ByVector(NamedTuple):
    """Vectors with the cross products of groups of equal covariance matrix, as lanes.

    Attributes
    ----------
    weight, between_of, within_of
        Of batches of groups: counts, and multipliers of Sigma_b (0 or 1) and Sigma_w.
    between, within
        These multipliers of batches of vectors.
    d, y
        Design (D, batches) and outcomes (P, batches) of the vectors.
    """

    weight: Any
    between_of: Any
    within_of: Any
    between: Any
    within: Any
    d: Any
    y: Any


class Clusters(NamedTuple):
    """Level 2 of all clusters, as lanes: (1, w), z and whether z is observed.

    ``n`` is the number of clusters and ``masked`` says whether some z is missing. Lanes without a
    cluster hold zeros, also in place of the 1.
    """

    n: Any
    masked: Any
    w: Any
    z: Any
    seen: Any


@register_jitable
def _batches(flat, start, n, rows, columns):
    """Return n batches of matrices, as lanes, and where the next array starts."""
    stop = start + n * rows * columns * LANES
    return as_lanes(stacked(flat, start, (n, rows, columns, LANES))), stop


@register_jitable
def _vectors(flat, start, n, length):
    """Return n batches of vectors, as lanes, and where the next array starts."""
    stop = start + n * length * LANES
    return as_lanes(stacked(flat, start, (n, length, LANES))), stop


@kernel
def batches_of(n):
    """Return the number of batches of n clusters."""
    return (n + LANES - 1) // LANES


@register_jitable
def filled_up(n):
    """Return n, filled up to a multiple of LANES."""
    return (n + LANES - 1) // LANES * LANES


@kernel
def clusters_in(statistics):
    """Return the number of clusters in packed statistics by cluster or by pattern."""
    n_clusters = int(statistics[0])
    return n_clusters if n_clusters >= 0 else -1 - n_clusters


@part_kernel
def by_cluster(statistics, p, n_d):
    """Return the part of level 1 of statistics by cluster."""
    statistics = borrowed(statistics)
    n_batches, n, masked = batches_of(int(statistics[0])), int(statistics[1]), statistics[3] > 0.0
    center, start = statistics[HEADER : HEADER + p], HEADER + p
    first, start = statistics[start : start + n_batches + 1], start + n_batches + 1
    size, start = _vectors(statistics, start, n, 1)
    dd, start = _batches(statistics, start, n, n_d, n_d)
    dy, start = _batches(statistics, start, n, n_d, p)
    yy, start = _batches(statistics, start, n, p, p)
    seen, _ = _vectors(statistics, start, n if masked else 0, p)
    return ByCluster(masked, center, first, size, dd, dy, yy, seen)


@part_kernel
def by_pattern(statistics, p, n_d):
    """Return the part of level 1 of statistics by pattern."""
    statistics = borrowed(statistics)
    n_patterns, n_pieces, width = int(statistics[1]), int(statistics[2]), filled_up(p + n_d)
    n = batches_of(n_patterns)
    center, start = statistics[HEADER : HEADER + p], filled_up(HEADER + p)
    size, start = _vectors(statistics, start, n, 1)
    dd, start = _batches(statistics, start, n, n_d, n_d)
    dy, start = _batches(statistics, start, n, n_d, p)
    yy, start = _batches(statistics, start, n, p, p)
    seen, start = _vectors(statistics, start, n, p)
    of_piece, start = (
        stacked(statistics, start, (n_pieces, n_d, width)),
        start + n_pieces * n_d * width,
    )
    outcome, start = stacked(statistics, start, (n_patterns, p)), start + n_patterns * p
    count, start = statistics[start : start + n_patterns], start + n_patterns
    first, start = statistics[start : start + n_patterns + 1], start + n_patterns + 1
    cluster = statistics[start : start + n_pieces]
    return ByPattern(center, size, dd, dy, yy, seen, outcome, count, first, cluster, of_piece)


@kernel
def has_vectors(statistics):
    """Return whether statistics by size are vectors (``by_vector``), not cross products."""
    return statistics[0] < 0.0


@part_kernel
def sizes_center(statistics, n, n_d):
    """Return the constant and the centers (n + n_d) of statistics by size, of both kinds."""
    return statistics[1], borrowed(statistics)[2 : 2 + n + n_d]


@part_kernel
def by_size(statistics, n, n_d):
    """Return statistics by size, of n outcomes and n_d columns of the design."""
    statistics = borrowed(statistics)
    g, start = int(statistics[0]), 2 + n + n_d
    weight, start = statistics[start : start + g], start + g
    between, start = statistics[start : start + g], start + g
    within, start = statistics[start : start + g], start + g
    dd, start = stacked(statistics, start, (g, n_d, n_d)), start + g * n_d * n_d
    dy, start = stacked(statistics, start, (g, n_d, n)), start + g * n_d * n
    yy = stacked(statistics, start, (g, n, n))
    return BySize(weight, between, within, dd, dy, yy)


@part_kernel
def by_vector(statistics, n, n_d):
    """Return vectors with the cross products of ``by_size``."""
    statistics = borrowed(statistics)
    n_vectors, start = batches_of(-int(statistics[0])), 2 + n + n_d
    n_groups, start = batches_of(int(statistics[start])), start + 1
    groups, start = _batches(statistics, start, 1, 3, n_groups)
    factors, start = _batches(statistics, start, 1, 2, n_vectors)
    d, start = _batches(statistics, start, 1, n_d, n_vectors)
    y, _ = _batches(statistics, start, 1, n, n_vectors)
    of_groups, of_vectors = groups[0], factors[0]
    return ByVector(
        of_groups[0], of_groups[1], of_groups[2], of_vectors[0], of_vectors[1], d[0], y[0]
    )


@part_kernel
def clusters(statistics, n_w, n_z):
    """Return level 2, the end of statistics by cluster or by pattern."""
    statistics = borrowed(statistics)
    n_clusters, masked = clusters_in(statistics), statistics[4] > 0.0
    n = batches_of(n_clusters)
    start = len(statistics) - n * (n_w + 2 * n_z) * LANES
    w, start = _vectors(statistics, start, n, n_w)
    z, start = _vectors(statistics, start, n, n_z)
    seen, _ = _vectors(statistics, start, n, n_z)
    return Clusters(n_clusters, masked, w, z, seen)
