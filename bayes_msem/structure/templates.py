"""Matrix templates: where each row of the parameter table stands in the model matrices.

At each level the modelled variables v (observed outcomes and latent variables) follow

    v = K d + B v + z ,   z ~ N(0, Psi) ,   outcomes = F v

with d the design vector: a 1 and the covariates of the level. Hence, with T = F (I - B)^-1,

    Sigma = T Psi T' ,     C = T K        (mean of the outcomes: C d).

The outcomes of level within are the observed variables y. The outcomes of level between are the
quantities that differ between clusters: linear effects a (random intercepts and slopes),
cluster-level variables z, and sampled effects b (structure.effects).

A template lists the non-zero cells of B, Psi and K as (row, column, source), where ``source``
points into the value vector

    values = (theta, rows of sampled effects, constants) ,

theta being the free parameters followed by the rows that are expressions of others. Nothing here
knows about priors or data values.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bayes_msem.spec.table import ParameterTable, Row, RowKey

IntArray = NDArray[np.int64]

_CONDITIONED = ("covariate", "cluster-level covariate")


@dataclass(frozen=True, slots=True)
class Cells:
    """Non-zero cells of one matrix: rows, columns and sources, each of shape (n_cells,)."""

    row: IntArray
    column: IntArray
    source: IntArray

    def __len__(self) -> int:
        return len(self.row)


@dataclass(frozen=True, slots=True)
class LevelTemplate:
    """The matrices of one level.

    Attributes
    ----------
    level
        Its name.
    outcomes
        What Sigma and the rows of C stand for, length n.
    design
        Names of the design vector d, starting with "1", length D.
    names
        Modelled variables, length m.
    observed_variable, observed_position
        Positions of the outcomes among ``names`` and among ``outcomes``; outcomes that the level
        does not model are constants.
    b, psi, k
        Cells of B (m x m), of the lower triangle of Psi (m x m), and of K (m x D).
    recursive
        True if B has no cycles; then the cells of B are sorted such that all cells of row i come
        before those of column i.
    """

    level: str
    outcomes: tuple[str, ...]
    design: tuple[str, ...]
    names: tuple[str, ...]
    observed_variable: IntArray
    observed_position: IntArray
    b: Cells
    psi: Cells
    k: Cells
    recursive: bool


def place_rows(
    table: ParameterTable, position: dict[int, int], varying: Sequence[Row] = ()
) -> tuple[dict[RowKey, int], NDArray[np.float64], int]:
    """Place every row in the value vector (theta, rows that differ between clusters, constants).

    Parameters
    ----------
    table
        The parameter table.
    position
        Free number -> position in theta.
    varying
        Random coefficients with an entry of their own; others have none.

    Returns
    -------
    tuple of (dict, array, int)
        Row key -> position, the constants, and the length of theta.
    """
    labels = {c.label: len(position) + i for i, c in enumerate(table.constraints)}
    n_theta = len(position) + len(labels)
    sources: dict[RowKey, int] = {row.key: n_theta + i for i, row in enumerate(varying)}
    constants: list[float] = []
    for row in table.rows:
        if row.kind == "defined" or row.random:
            continue
        if row.free:
            sources[row.key] = position[row.free]
        elif row.label in labels:
            sources[row.key] = labels[row.label]
        else:
            sources[row.key] = n_theta + len(varying) + len(constants)
            constants.append(row.value)
    return sources, np.asarray(constants, dtype=np.float64), n_theta


def modelled_names(table: ParameterTable, level: str) -> tuple[str, ...]:
    """Variables of a level that are not conditioned on, in the order of its matrices."""
    return tuple(
        v for (lev, v), role in table.roles.items() if lev == level and role not in _CONDITIONED
    )


def level_template(
    table: ParameterTable,
    level: str,
    outcomes: tuple[str, ...],
    design: tuple[str, ...],
    sources: dict[RowKey, int],
) -> LevelTemplate:
    """Build the template of one level.

    Parameters
    ----------
    table
        The parameter table; every row of the level gets a cell.
    level
        Its name.
    outcomes, design
        Names that the rows of T and the columns of K stand for.
    sources
        Row key -> position in the value vector.
    """
    names = modelled_names(table, level)
    index = {v: i for i, v in enumerate(names)}
    column = {v: i for i, v in enumerate(design)}
    b: list[tuple[int, int, int]] = []
    psi: list[tuple[int, int, int]] = []
    k: list[tuple[int, int, int]] = []
    for row in table.rows:
        if row.level != level or row.kind in ("defined", "threshold", "dispersion"):
            continue
        source = sources[row.key]
        if row.kind in ("variance", "covariance"):
            i, j = sorted((index[row.lhs], index[row.rhs]), reverse=True)
            psi.append((i, j, source))
        elif row.kind == "loading":
            b.append((index[row.rhs], index[row.lhs], source))
        elif row.rhs in index:
            b.append((index[row.lhs], index[row.rhs], source))
        else:
            k.append((index[row.lhs], column[row.rhs], source))
    ordered = _topological(b, len(names))
    observed = [(index[v], o) for o, v in enumerate(outcomes) if v in index]
    return LevelTemplate(
        level=level,
        outcomes=outcomes,
        design=design,
        names=names,
        observed_variable=np.array([i for i, _ in observed], dtype=np.int64),
        observed_position=np.array([o for _, o in observed], dtype=np.int64),
        b=cells_of(b if ordered is None else ordered),
        psi=cells_of(psi),
        k=cells_of(k),
        recursive=ordered is not None,
    )


def without_outcomes(level: LevelTemplate) -> LevelTemplate:
    """Return a level with the same design and nothing else."""
    none = cells_of([])
    nowhere = np.empty(0, dtype=np.int64)
    return LevelTemplate(
        level.level, (), level.design, (), nowhere, nowhere, none, none, none, True
    )


def _topological(
    cells: list[tuple[int, int, int]], n_variables: int
) -> list[tuple[int, int, int]] | None:
    """Sort cells of B so that row i is complete before column i is used; None if cyclic.

    T = F + T B is filled column by column: column k of T needs the columns of all variables
    that k points at, so sinks come first.
    """
    remaining = {v: {i for i, j, _ in cells if j == v} for v in range(n_variables)}
    done: list[int] = []
    while remaining:
        ready = [v for v, targets in remaining.items() if targets <= set(done)]
        if not ready:
            return None
        for v in ready:
            del remaining[v]
        done.extend(ready)
    rank = {v: r for r, v in enumerate(done)}
    return sorted(cells, key=lambda c: (rank[c[1]], c[0]))


def cells_of(cells: list[tuple[int, int, int]]) -> Cells:
    """Put rows, columns and sources side by side."""
    array = np.array(cells, dtype=np.int64).reshape(-1, 3)
    return Cells(*(np.ascontiguousarray(array[:, i]) for i in range(3)))
