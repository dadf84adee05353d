"""Packed statistics of three-level data (kernels.nested_layout).

The statistics of levels 1 and 2 (likelihood.statistics) between a header of three numbers (their
length, the number of top units K, whether z3 has missing values) and what is known of top units: in
lanes, the unit of every cluster; (1, w3), z3 with zeros where it is missing, and whether it is
observed.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bayes_msem.data.observed_data import ObservedData
from bayes_msem.data.readonly import frozen
from bayes_msem.kernels.lanes import LANES
from bayes_msem.likelihood.statistics import in_batches, pack_by_cluster

__all__ = ["pack_nested"]

FloatArray = NDArray[np.float64]


def pack_nested(observed: ObservedData) -> FloatArray:
    """Pack three-level data by cluster."""
    return _with_units(observed, pack_by_cluster(observed))


def _with_units(observed: ObservedData, lower: FloatArray) -> FloatArray:
    seen = ~np.isnan(observed.z3)
    n_units = len(observed.z3)
    design = np.column_stack([np.ones(n_units), observed.w3])
    parent = np.zeros(-(-observed.n_clusters // LANES) * LANES)
    parent[: observed.n_clusters] = observed.parent
    header = [len(lower), n_units, not seen.all()]
    return frozen(
        np.concatenate(
            [
                np.array(header, dtype=np.float64),
                lower,
                parent,
                in_batches(design),
                in_batches(np.where(seen, observed.z3, 0.0)),
                in_batches(seen.astype(np.float64)),
            ]
        )
    )
