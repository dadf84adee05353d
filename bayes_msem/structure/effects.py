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

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bayes_msem.kernels.layout import DIRECT, FISHER_Z, LOG_SD
from bayes_msem.spec.table import ParameterTable, Row
from bayes_msem.structure.templates import modelled_names

IntArray = NDArray[np.int64]

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


def linear_names(table: ParameterTable, level: str = "within") -> frozenset[str]:
    """Names of random coefficients of a level all of whose rows are slopes on its covariates."""
    covariates = set(table.variables(level, "covariate", "cluster-level covariate"))
    uses: dict[str, bool] = {}
    for row in table.rows:
        if row.random and row.level == level:
            is_linear = row.kind == "regression" and row.rhs in covariates
            uses[row.random] = uses.get(row.random, True) and is_linear
    return frozenset(name for name, is_linear in uses.items() if is_linear)


def find_effects(
    table: ParameterTable,
    y_names: tuple[str, ...],
    x_names: tuple[str, ...],
    *,
    sample_all: bool = False,
    factors: tuple[str, ...] = (),
) -> Effects:
    """Sort the random coefficients of a model into linear and sampled ones.

    With ``sample_all`` none is integrated out: random intercepts come first, and have no rows. As
    many have the level-2 ``factors`` that are sampled with them; they come last.
    """
    linear = frozenset() if sample_all else linear_names(table)
    split = [v for v in y_names if table.roles[("within", v)] == "split"]
    first, split = (split, []) if sample_all else ([], split)
    within = modelled_names(table, "within")
    design = {"1": 0} | {x: 1 + i for i, x in enumerate(x_names)}
    constant = table.constant_log_sds
    random = [
        r
        for r in table.rows
        if r.random and r.level == "within" and table.two_level and r.random not in constant
    ]
    slopes = list(dict.fromkeys(r.random for r in random if r.random in linear))
    uses = [(i, -1 - y_names.index(v), 0) for i, v in enumerate(split)]
    for row in random:
        if row.random in linear:
            effect = len(split) + slopes.index(row.random)
            uses.append((effect, within.index(row.lhs), design[row.rhs]))
    rows = tuple(row for row in random if row.random not in linear)
    sampled = list(dict.fromkeys([*first, *(row.random for row in rows), *factors]))
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
