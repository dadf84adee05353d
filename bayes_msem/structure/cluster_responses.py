"""Cluster-level outcomes that are not normal: responses of clusters.

Their linear predictors are made of covariates w, normal cluster-level variables z and sampled
effects. What they depend on besides, random coefficients and level-2 factors, therefore is among
the sampled effects (structure.effects). Given those, clusters' responses are independent of each
other and of the rows.

The template of level 2 has them among its variables, as latent responses that nothing depends on;
they are no outcomes of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bayes_msem.errors import NotSupportedError
from bayes_msem.outcomes.families import Family
from bayes_msem.spec.table import ParameterTable, RowKey
from bayes_msem.structure.items import Items, cuts_of, edge
from bayes_msem.structure.templates import cells_of

FloatArray = NDArray[np.float64]

__all__ = [
    "ClusterResponses",
    "build_cluster_responses",
    "check_cluster_responses",
    "families_by_level",
    "feeding_factors",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterResponses(Items):
    """Responses of clusters; regressors are (1, w, normal z, sampled effects).

    Attributes
    ----------
    n_fixed
        Number of regressors that are not sampled: 1, w, normal z.
    """

    n_fixed: int

    def coefficients(self, values: FloatArray, n_effects: int) -> FloatArray:
        """Coefficients of all regressors in value vectors, (..., K, D)."""
        shape = (*values.shape[:-1], len(self.names), self.n_fixed + n_effects)
        result, cells = np.zeros(shape), self.cells
        for item, column, source in zip(cells.row, cells.column, cells.source, strict=True):
            result[..., item, column] += values[..., source]
        return result


def families_by_level(table: ParameterTable) -> tuple[dict[str, Family], dict[str, Family]]:
    """Families of the outcomes of rows, and of those of clusters, that are not normal.

    Normal outcomes whose residual log SD depends on the row are among those of rows.
    """
    every = table.responses
    rows = {n: f for n, f in every.items() if ("within", n) in table.roles}
    return rows, {n: f for n, f in every.items() if n not in rows}


def feeding_factors(table: ParameterTable, families: Mapping[str, Family]) -> tuple[str, ...]:
    """Level-2 factors that responses of clusters depend on."""
    parents = {
        ends[1]
        for ends in (edge(row, "between") for row in table.rows)
        if ends is not None and ends[0] in families
    }
    return tuple(f for f in table.variables("between", "between factor") if f in parents)


def build_cluster_responses(
    table: ParameterTable,
    families: Mapping[str, Family],
    known: tuple[str, ...],
    effects: tuple[str, ...],
    sources: Mapping[RowKey, int],
) -> ClusterResponses:
    """Build the template of the clusters' responses.

    Parameters
    ----------
    table
        The parameter table.
    families
        Cluster-level outcomes that are not normal, and their families.
    known
        The constant "1", covariates of level 2, and normal cluster-level variables.
    effects
        Sampled effects.
    sources
        Row key -> position in the value vector.
    """
    regressors, items = (*known, *effects), tuple(families)
    cells = [
        (items.index(ends[0]), regressors.index(ends[1]), sources[row.key])
        for row in table.rows
        if (ends := edge(row, "between")) is not None and ends[0] in families
    ]
    return ClusterResponses(
        families=dict(families),
        cells=cells_of(cells),
        n_fixed=len(known),
        **cuts_of(table, items, sources)._asdict(),
    )


def check_cluster_responses(table: ParameterTable, families: Mapping[str, Family]) -> None:
    """Refuse what would need latent responses of clusters.

    Raises
    ------
    NotSupportedError
        One of them is a predictor, or its residual has a covariance.
    """
    for row in table.rows:
        if row.level != "between":
            continue
        ends = edge(row, "between")
        if ends is not None and ends[1] in families:
            name = ends[1]
            raise NotSupportedError(
                f"'{row.lhs} {row.op} {row.rhs}' has '{name}' as a predictor, a cluster-level "
                f"outcome that is {families[name].text}; only outcomes of rows carry a latent "
                f"response. To let its observed value predict, copy its column: "
                f"data['{name}_seen'] = data['{name}'], and use '{name}_seen'"
            )
        pair = [name for name in (row.lhs, row.rhs) if name in families]
        if row.kind == "covariance" and pair and (row.free or row.random or row.value != 0):
            raise NotSupportedError(
                f"'{row.lhs} ~~ {row.rhs}' is a covariance with '{pair[0]}', a cluster-level "
                f"outcome that is {families[pair[0]].text}; its latent response is not sampled. "
                "Regress one on the other, or add a level-2 factor with both as indicators"
            )
