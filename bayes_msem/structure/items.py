"""Outcomes that are not normal: coefficients of their linear predictors, thresholds, dispersions.

Whether they belong to rows (structure.response_template) or to clusters
(structure.cluster_responses), each is a response with a linear predictor eta of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bayes_msem.outcomes.families import Family
from bayes_msem.spec.table import ParameterTable, Row, RowKey
from bayes_msem.structure.templates import Cells

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

__all__ = ["Cuts", "Items", "cuts_of", "edge"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Items:
    """Responses of one level.

    Attributes
    ----------
    families
        Response -> family.
    cells
        Coefficients of eta: response, column of the regressors, and source in the value vector.
    threshold, first
        Sources of the thresholds; first[k] to first[k + 1] are those of response k.
    dispersion
        Sources of the dispersions, -1 where there is none.
    """

    families: Mapping[str, Family]
    cells: Cells
    threshold: IntArray
    first: IntArray
    dispersion: IntArray

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the responses."""
        return tuple(self.families)

    def thresholds(self, values: FloatArray, k: int) -> FloatArray:
        """Thresholds (..., K - 1) of response k in value vectors; none if it has none."""
        own: FloatArray = values[..., self.threshold[self.first[k] : self.first[k + 1]]]
        return own


class Cuts(NamedTuple):
    """Sources of thresholds and dispersions, as in :class:`Items`."""

    threshold: IntArray
    first: IntArray
    dispersion: IntArray


def cuts_of(table: ParameterTable, names: Iterable[str], sources: Mapping[RowKey, int]) -> Cuts:
    """Find the thresholds and dispersions of responses."""
    names = tuple(names)
    by_item = [
        [sources[r.key] for r in table.rows if r.kind == "threshold" and r.lhs == name]
        for name in names
    ]
    dispersion = {r.lhs: sources[r.key] for r in table.rows if r.kind == "dispersion"}
    return Cuts(
        threshold=np.array([s for found in by_item for s in found], dtype=np.int64),
        first=np.concatenate([[0], np.cumsum([len(s) for s in by_item])]).astype(np.int64),
        dispersion=np.array([dispersion.get(name, -1) for name in names], dtype=np.int64),
    )


def edge(row: Row, level: str = "within") -> tuple[str, str] | None:
    """Target and source of a coefficient of a level; None for other rows."""
    if row.level != level or row.kind not in ("loading", "regression", "intercept"):
        return None
    return (row.rhs, row.lhs) if row.kind == "loading" else (row.lhs, row.rhs)
