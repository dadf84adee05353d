r"""Response patterns and pieces: sufficient statistics of incomplete data.

Rows that miss the same outcomes share a *pattern*; the rows of one cluster and one pattern are a
*piece*. Given the cluster's effects the observed outcomes of a row are normal with the rows and
columns of the full covariance matrix that the pattern keeps, so a piece enters the likelihood
through

    n ,   DD = sum d d' ,   DY = sum d y' ,   YY = sum y y' ,      d = (1, x)

with y centred at the means of the observed values, and zeros where y is missing. Rows without any
observed outcome belong to no piece: they say nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bayes_msem.data.observed_data import ObservedData

__all__ = ["Pieces", "pieces"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Pieces:
    """Cross products of the pieces, sorted by cluster and pattern.

    Attributes
    ----------
    center
        Means of the observed values of y, (p,).
    seen
        Patterns that occur and are not empty, (G, p): 1 where the outcome is observed, else 0.
    pattern, cluster
        Pattern and cluster of each piece, (n_pieces,); single-level models count as one cluster.
    cross
        Sums of products of (d, y), (n_pieces, D + p, D + p); the first entry is the size.
    """

    center: FloatArray
    seen: FloatArray
    pattern: IntArray
    cluster: IntArray
    cross: FloatArray

    @property
    def size(self) -> FloatArray:
        """Number of rows of each piece, (n_pieces,)."""
        return self.cross[:, 0, 0]


def pieces(observed: ObservedData, *, by_row: bool = False) -> Pieces:
    """Sort the rows into pieces and add up their cross products.

    Parameters
    ----------
    observed
        Data with or without missing outcomes.
    by_row
        Keep every row as a piece of its own, as programs do that know no patterns; for
        comparisons.

    Returns
    -------
    Pieces
    """
    rows = np.flatnonzero(observed.informative)
    y, seen = observed.y[rows], ~np.isnan(observed.y[rows])
    center = observed.outcome_means
    centred = np.where(seen, y - center, 0.0)
    both = np.column_stack([np.ones(len(rows)), observed.x[rows], centred])
    if seen.all():  # the usual case, without a sort of all rows
        patterns, pattern = np.ones((1, seen.shape[1])), np.zeros(len(rows), np.int64)
    else:
        kinds, pattern = np.unique(seen, axis=0, return_inverse=True)
        patterns, pattern = kinds.astype(np.float64), pattern.reshape(-1)
    cluster = np.zeros_like(pattern) if observed.cluster is None else observed.cluster[rows]
    order = np.lexsort((pattern, cluster))
    both, cluster, pattern = both[order], cluster[order], pattern[order]
    changes = (np.diff(cluster) != 0) | (np.diff(pattern) != 0) | by_row
    starts = np.flatnonzero(np.r_[len(rows) > 0, changes])
    n_all = both.shape[1]
    cross = np.empty((len(starts), n_all, n_all))
    for i in range(n_all):
        products = both[:, i : i + 1] * both[:, i:]
        cross[:, i, i:] = np.add.reduceat(products, starts, axis=0)
        cross[:, i:, i] = cross[:, i, i:]
    return Pieces(
        center=center,
        seen=patterns,
        pattern=pattern[starts],
        cluster=cluster[starts],
        cross=cross,
    )
