"""Views of the packed statistics of all clusters (see cluster_program.pack_cluster_statistics)."""

from __future__ import annotations

from numba.extending import register_jitable

from bayes_msem.likelihood.cluster_program import SIZES
from bayes_msem.likelihood.packing import integers
from bayes_msem.structure.kernel import kernel
from bayes_msem.structure.lanes import LANES, as_lanes, from_lanes


@register_jitable
def lane_statistics(ints, statistics):
    """Return views of the packed statistics (see likelihood.cluster_program), clusters as lanes."""
    sizes = integers(ints, SIZES)
    p, n_d, n_w, n_z = sizes[0], sizes[1], sizes[2], sizes[7]
    n_clusters = int(statistics[0])
    n = (n_clusters + LANES - 1) // LANES
    start = 1
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
    w = statistics[start : start + n * n_w * LANES].reshape((n, n_w, LANES))
    start += n * n_w * LANES
    z = statistics[start : start + n * n_z * LANES].reshape((n, n_z, LANES))
    return (
        n_clusters,
        center,
        as_lanes(size),
        as_lanes(dd),
        as_lanes(dy),
        as_lanes(yy),
        as_lanes(w),
        as_lanes(z),
    )


@kernel
def unpack_statistics(ints, statistics):
    """Return the packed statistics with clusters first: center, size, dd, dy, yy, (1, w), z."""
    n, center, size, dd, dy, yy, w, z = lane_statistics(ints, statistics)
    return (
        center,
        from_lanes(size.reshape((len(size), 1)), n)[:, 0],
        _squares(dd, n),
        _squares(dy, n),
        _squares(yy, n),
        from_lanes(w, n),
        from_lanes(z, n),
    )


@kernel
def _squares(lanes, n_clusters):
    """Copy lanes (batches, rows, columns) into an array (J, rows, columns)."""
    n, rows, columns = lanes.shape
    flat = from_lanes(lanes.reshape((n, rows * columns)), n_clusters)
    return flat.reshape((n_clusters, rows, columns))
