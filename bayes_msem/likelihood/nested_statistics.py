"""Packed statistics of three-level data (kernels.nested_layout).

The statistics of levels 1 and 2 between a header of four numbers (their length, the number of top
units K, whether z3 has missing values, and the length of the next array) and what is known of top
units: the unit of every cluster (by cluster); in lanes (1, w3), z3 with zeros where it is missing,
and whether it is observed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from bayes_msem.data.moments import Moments, moments
from bayes_msem.data.observed_data import ObservedData
from bayes_msem.data.readonly import frozen
from bayes_msem.kernels.lanes import LANES
from bayes_msem.likelihood.statistics import Provider, in_batches, pack_by_cluster

__all__ = ["NESTED_PACKERS", "pack_nested", "pack_nested_sizes"]

FloatArray = NDArray[np.float64]


def pack_nested(observed: ObservedData) -> FloatArray:
    """Pack three-level data by cluster."""
    parent = np.zeros(-(-observed.n_clusters // LANES) * LANES)
    parent[: observed.n_clusters] = observed.parent
    return _with_units(observed, pack_by_cluster(observed), parent)


def pack_nested_sizes(observed: ObservedData) -> FloatArray:
    """Pack complete three-level data by cluster size, for models with random intercepts.

    Statistics of levels 1 and 2 are the number of groups (data.moments, with w3 among the
    cluster-level covariates), the constant, center (P + D); in lanes of groups weight, between,
    within, DD, DY and YY; and, in lanes of top units, for every group the sums of d and of the
    outcomes over the unit's cluster means, (unit batches, groups, D + P).
    """
    w = np.hstack([observed.w, observed.w3[observed.parent]])
    parts = moments(replace(observed, w=w, w_names=(*observed.w_names, *observed.w3_names)))
    n, cross = parts.p + parts.q, parts.cross
    # lanes without a group have the covariance matrix Sigma_w, and weigh nothing
    idle = np.zeros(-len(parts.weight) % LANES)
    return _with_units(
        observed,
        np.concatenate(
            [
                [len(parts.weight), parts.constant],
                parts.center,
                in_batches(parts.weight),
                in_batches(parts.between),
                in_batches(np.concatenate([parts.within, idle + 1.0])),
                in_batches(cross[:, n:, n:]),
                in_batches(cross[:, n:, :n]),
                in_batches(cross[:, :n, :n]),
                in_batches(_sums_of_units(observed, w, parts)),
            ]
        ),
        np.empty(0),
    )


def _sums_of_units(observed: ObservedData, w: FloatArray, parts: Moments) -> FloatArray:
    """Add up (1, x, w, y, z) over cluster means, centred: (K, groups, D + P)."""
    assert observed.cluster is not None
    assert observed.parent is not None
    n = parts.p + parts.q
    rows = np.hstack([observed.y, observed.x])
    totals = [
        np.bincount(observed.cluster, column, minlength=observed.n_clusters) for column in rows.T
    ]
    means = np.array(totals).T / observed.sizes[:, None]
    y, x = means[:, : parts.p], means[:, parts.p :]
    both = np.hstack([y, observed.z, np.ones((len(y), 1)), x, w]) - parts.center
    distinct, group = np.unique(observed.sizes, return_inverse=True)
    sums = np.zeros((len(observed.z3), 1 + len(distinct), parts.d + n))
    ordered = np.hstack([both[:, n:], both[:, :n]])
    np.add.at(sums, (observed.parent, 1 + group.reshape(-1)), ordered)
    return sums


def _with_units(observed: ObservedData, lower: FloatArray, parent: FloatArray) -> FloatArray:
    seen = ~np.isnan(observed.z3)
    n_units = len(observed.z3)
    design = np.column_stack([np.ones(n_units), observed.w3])
    header = [len(lower), n_units, not seen.all(), len(parent)]
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


NESTED_PACKERS: dict[Provider, Callable[[ObservedData], FloatArray]] = {
    "nested": pack_nested,
    "nested size": pack_nested_sizes,
}
