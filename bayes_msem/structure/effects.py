"""Random coefficients: which are integrated out, which are sampled, and where they stand.

A *linear* effect enters the cluster's model linearly: random intercepts and slopes on observed
covariates. Given everything else it is normal and can be integrated out; it is described by its
*uses*, each an added mean ``a_q l_q d[column]`` (see kernels.integrate). All other random
coefficients (loadings, slopes on latent or latently centred predictors, log standard deviations,
Fisher-z correlations) change B_j or Psi_j and are *sampled*: their cells point at entries of the
value vector that differ between clusters.

Level 2 then has the outcomes (linear effects, cluster-level variables z, sampled effects) with a
structural model of their own, written as a template like any other level.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bayes_msem.spec.table import ParameterTable, Row, RowKey
from bayes_msem.structure.templates import LevelTemplate, level_template, modelled_names, place_rows

IntArray = NDArray[np.int64]

# How a sampled effect b becomes the sampled-scale entry of its row (see structure.parameters).
DIRECT, LOG_SD, FISHER_Z = 0, 1, 2
_CODES = {"loading": DIRECT, "regression": DIRECT, "variance": LOG_SD, "covariance": FISHER_Z}


@dataclass(frozen=True, slots=True)
class Effects:
    """The cluster-level quantities of a model.

    Attributes
    ----------
    linear
        Names of the linear effects: split outcomes (their random intercepts), then slopes.
    sampled
        Names of the sampled effects.
    use_effect, use_variable, use_column
        For every use of a linear effect: its position in ``linear``, the within-level variable
        it is added to (-1 - k: directly to outcome k) and the column of d.
    rows
        Rows of sampled effects.
    row_effect, row_code
        For each of ``rows``: position in ``sampled``, and DIRECT, LOG_SD or FISHER_Z.
    """

    linear: tuple[str, ...]
    sampled: tuple[str, ...]
    use_effect: IntArray
    use_variable: IntArray
    use_column: IntArray
    rows: tuple[Row, ...]
    row_effect: IntArray
    row_code: IntArray


@dataclass(frozen=True, slots=True)
class ClusterTemplates:
    """Templates of a model with random coefficients.

    Attributes
    ----------
    within
        Outcomes y, design (1, x).
    between
        Outcomes (linear effects, z, sampled effects), design (1, w).
    effects
        The cluster-level quantities.
    y_names, z_names, x_names, w_names
        Names of the data columns.
    constants
        Fixed values, at the end of the value vector (theta, cluster-specific rows, constants).
    sources
        Row key -> position in the value vector.
    n_theta
        Number of free parameters and constrained rows.
    """

    within: LevelTemplate
    between: LevelTemplate
    effects: Effects
    y_names: tuple[str, ...]
    z_names: tuple[str, ...]
    x_names: tuple[str, ...]
    w_names: tuple[str, ...]
    constants: NDArray[np.float64]
    sources: dict[RowKey, int]
    n_theta: int

    @property
    def outcomes(self) -> tuple[str, ...]:
        """Observed outcomes: y, then z."""
        return (*self.y_names, *self.z_names)

    @property
    def level_two(self) -> tuple[str, ...]:
        """Names of the level-2 vector u: linear effects, z, sampled effects."""
        return (*self.effects.linear, *self.z_names, *self.effects.sampled)

    @property
    def first_sampled(self) -> int:
        """Position of the first sampled effect in u."""
        return len(self.effects.linear) + len(self.z_names)


def linear_names(table: ParameterTable) -> frozenset[str]:
    """Names of random coefficients all of whose rows are slopes on observed covariates."""
    covariates = set(table.variables("within", "covariate"))
    uses: dict[str, bool] = {}
    for row in table.rows:
        if row.random:
            is_linear = row.kind == "regression" and row.rhs in covariates
            uses[row.random] = uses.get(row.random, True) and is_linear
    return frozenset(name for name, is_linear in uses.items() if is_linear)


def find_effects(
    table: ParameterTable, y_names: tuple[str, ...], x_names: tuple[str, ...]
) -> Effects:
    """Sort the random coefficients of a model into linear and sampled ones."""
    linear = linear_names(table)
    split = [v for v in y_names if table.roles[("within", v)] == "split"]
    within = modelled_names(table, "within")
    design = {"1": 0} | {x: 1 + i for i, x in enumerate(x_names)}
    random = [row for row in table.rows if row.random]
    slopes = list(dict.fromkeys(r.random for r in random if r.random in linear))
    uses = [(i, -1 - y_names.index(v), 0) for i, v in enumerate(split)]
    for row in random:
        if row.random in linear:
            effect = len(split) + slopes.index(row.random)
            uses.append((effect, within.index(row.lhs), design[row.rhs]))
    rows = tuple(row for row in random if row.random not in linear)
    sampled = list(dict.fromkeys(row.random for row in rows))
    table_of_uses = np.array(uses, dtype=np.int64).reshape(-1, 3)
    return Effects(
        linear=(*split, *slopes),
        sampled=tuple(sampled),
        use_effect=table_of_uses[:, 0].copy(),
        use_variable=table_of_uses[:, 1].copy(),
        use_column=table_of_uses[:, 2].copy(),
        rows=rows,
        row_effect=np.array([sampled.index(r.random) for r in rows], dtype=np.int64),
        row_code=np.array([_CODES[r.kind] for r in rows], dtype=np.int64),
    )


def build_cluster_templates(
    table: ParameterTable,
    *,
    y_names: tuple[str, ...],
    z_names: tuple[str, ...],
    x_names: tuple[str, ...],
    w_names: tuple[str, ...],
    position: dict[int, int],
) -> ClusterTemplates:
    """Build the templates of a model with random coefficients.

    Parameters
    ----------
    table
        The parameter table of a two-level model.
    y_names, z_names, x_names, w_names
        Names of the data columns, by role.
    position
        Free number -> position in theta.

    Returns
    -------
    ClusterTemplates
    """
    effects = find_effects(table, y_names, x_names)
    sources, constants, n_theta = place_rows(table, position, effects.rows)
    integrated = {r.key for r in table.rows if r.random and r not in effects.rows}
    remaining = replace(table, rows=tuple(r for r in table.rows if r.key not in integrated))
    level_two = (*effects.linear, *z_names, *effects.sampled)
    return ClusterTemplates(
        within=level_template(remaining, "within", y_names, ("1", *x_names), sources),
        between=level_template(remaining, "between", level_two, ("1", *w_names), sources),
        effects=effects,
        y_names=y_names,
        z_names=z_names,
        x_names=x_names,
        w_names=w_names,
        constants=constants,
        sources=sources,
        n_theta=n_theta,
    )
