"""Data without one of their units, and one cluster alone: what leave-one-out needs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayes_msem.data.observe import ObservedData

__all__ = ["only_cluster", "without_cluster", "without_outcomes"]


def without_cluster(observed: ObservedData, cluster: int) -> ObservedData:
    """Leave out one cluster, given by its code."""
    return _clusters(observed, np.arange(observed.n_clusters) != cluster)


def only_cluster(observed: ObservedData, cluster: int) -> ObservedData:
    """Keep one cluster, given by its code."""
    return _clusters(observed, np.arange(observed.n_clusters) == cluster)


def without_outcomes(observed: ObservedData, row: int) -> ObservedData:
    """Forget the outcomes of one row, given by its position; the row and its covariates stay."""
    y = observed.y.copy()
    y[row] = np.nan
    return replace(observed, y=_frozen(y))


def _clusters(observed: ObservedData, keep: NDArray[np.bool_]) -> ObservedData:
    assert observed.cluster is not None
    rows = keep[observed.cluster]
    codes = np.cumsum(keep) - 1  # order of first appearance stays as it is
    return replace(
        observed,
        y=_frozen(observed.y[rows]),
        x=_frozen(observed.x[rows]),
        z=_frozen(observed.z[keep]),
        w=_frozen(observed.w[keep]),
        cluster=_frozen(codes[observed.cluster[rows]]),
        cluster_ids=observed.cluster_ids[keep],
        sizes=_frozen(observed.sizes[keep]),
        row_index=observed.row_index[rows],
    )


def _frozen(array: NDArray[Any]) -> NDArray[Any]:
    array.setflags(write=False)
    return array
