"""Which indicators carry the coordinates of exploratory factors (spec.exploratory).

The m pivots of a block should have loadings that span all m factors: a pivot that hardly loads, or
loads as another one does, leaves a direction in which the sampled form is nearly free. The first m
principal axes of the correlations of the level stand for the factors here, and columns of a QR
decomposition with pivoting are taken in turn: each next indicator is the one whose loadings lie
farthest from those of the indicators before it (Businger & Golub 1965). The posterior does not
depend on the choice.

References
----------
Businger, P., & Golub, G. H. (1965). Linear least squares solutions by Householder transformations.
Numerische Mathematik, 7, 269-276. https://doi.org/10.1007/BF01436084
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from bayes_msem.data.components import Components
from bayes_msem.data.observed_data import ObservedData
from bayes_msem.spec.table import Block

__all__ = ["choose_pivots"]

FloatArray = NDArray[np.float64]


def choose_pivots(observed: ObservedData, blocks: Iterable[Block]) -> dict[str, tuple[str, ...]]:
    """Choose the pivots of every block.

    Parameters
    ----------
    observed
        The data.
    blocks
        Blocks of exploratory factors, whose indicators are observed.

    Returns
    -------
    dict
        By name of the block, as many indicators as it has factors.
    """
    blocks = tuple(blocks)
    if not blocks:
        return {}
    moments = Components(observed)(observed.y, observed.z)
    result = {}
    for block in blocks:
        if block.level == "within":
            names, covariance = observed.y_names, moments.within
        else:
            names, covariance = (*observed.split_names, *observed.z_names), moments.between
        at = [names.index(name) for name in block.indicators]
        chosen = _pivots(covariance[np.ix_(at, at)], len(block.factors))
        result[block.name] = tuple(block.indicators[i] for i in chosen)
    return result


def _pivots(covariance: FloatArray, m: int) -> list[int]:
    """Positions of m pivots, given a covariance matrix that may be indefinite or have gaps."""
    variance = np.diag(covariance).copy()
    usable = np.isfinite(variance) & (variance > 0)
    scale = np.sqrt(np.where(usable, variance, 1.0))
    correlation = np.nan_to_num(covariance / np.outer(scale, scale))
    correlation[~usable] = correlation[:, ~usable] = 0.0
    values, vectors = np.linalg.eigh(np.clip(correlation, -1.0, 1.0))
    loadings = vectors[:, -m:] * np.sqrt(np.maximum(values[-m:], 0.0))
    order = linalg.qr(loadings.T, mode="r", pivoting=True)[1]
    return [int(i) for i in order[:m]]
