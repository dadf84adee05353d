"""Some rows of the data with their clusters: without one unit, one cluster alone, any rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from bayes_msem.data.observed_data import ObservedData
from bayes_msem.data.readonly import frozen

__all__ = ["only_cluster", "take_rows", "without_cluster", "without_outcomes", "without_top"]


def without_cluster(observed: ObservedData, cluster: int) -> ObservedData:
    """Leave out one cluster, given by its code."""
    return take_rows(observed, np.flatnonzero(observed.cluster != cluster))


def only_cluster(observed: ObservedData, cluster: int) -> ObservedData:
    """Keep one cluster, given by its code."""
    return take_rows(observed, np.flatnonzero(observed.cluster == cluster))


def without_top(observed: ObservedData, top: int) -> ObservedData:
    """Leave out one top unit, given by its code."""
    assert observed.parent is not None
    assert observed.cluster is not None
    return take_rows(observed, np.flatnonzero(observed.parent[observed.cluster] != top))


def without_outcomes(observed: ObservedData, row: int) -> ObservedData:
    """Forget the outcomes of one row, given by its position; the row and its covariates stay."""
    y = observed.y.copy()
    y[row] = np.nan
    return replace(observed, y=frozen(y))


def take_rows(observed: ObservedData, rows: NDArray[np.int64]) -> ObservedData:
    """Keep rows, given by their positions, in this order, and the clusters they belong to.

    Clusters keep their order, but are numbered anew.
    """
    part = replace(
        observed,
        y=frozen(observed.y[rows]),
        x=frozen(observed.x[rows]),
        row_index=observed.row_index[rows],
        y_exposure=_taken(observed.y_exposure, rows),
        sources=_taken(observed.sources, rows),
    )
    if observed.cluster is None:
        return part
    kept, codes = np.unique(observed.cluster[rows], return_inverse=True)
    if observed.parent is not None:
        tops, parent = np.unique(observed.parent[kept], return_inverse=True)
        part = replace(
            part,
            parent=frozen(parent.astype(np.int64)),
            top_ids=observed.top_ids[tops],
            z3=frozen(observed.z3[tops]),
            w3=frozen(observed.w3[tops]),
        )
    return replace(
        part,
        z=frozen(observed.z[kept]),
        w=frozen(observed.w[kept]),
        cluster=frozen(codes.astype(np.int64)),
        cluster_ids=observed.cluster_ids[kept],
        sizes=frozen(np.bincount(codes)),
        z_exposure=_taken(observed.z_exposure, kept),
    )


def _taken(
    values: NDArray[np.float64] | None, places: NDArray[np.int64]
) -> NDArray[np.float64] | None:
    return None if values is None else frozen(values[places])
