"""From the table of a three-level model to its template (structure.nested).

Effects c of level 3 are, in this order, the parts at level 3 of outcomes of level 2 (parts of y,
random coefficients of level 1, z2), each added to its outcome directly, and the random slopes of
level 2 on its covariates, added to the equation of their variable.
"""

from __future__ import annotations

import numpy as np

from bayes_msem.spec.table import ParameterTable
from bayes_msem.structure.effects import Effects, linear_names
from bayes_msem.structure.model_template import ModelTemplate, build_template
from bayes_msem.structure.nested import NestedTemplate
from bayes_msem.structure.templates import level_template

__all__ = ["build_nested"]


def build_nested(
    table: ParameterTable,
    *,
    y_names: tuple[str, ...],
    z_names: tuple[str, ...],
    x_names: tuple[str, ...],
    w_names: tuple[str, ...],
    z3_names: tuple[str, ...],
    w3_names: tuple[str, ...],
    position: dict[int, int],
) -> NestedTemplate:
    """Build the template of a three-level model.

    Parameters
    ----------
    table
        Its parameter table.
    y_names, z_names, x_names, w_names, z3_names, w3_names
        Names of the data columns, by role.
    position
        Free number -> position in theta.

    Returns
    -------
    NestedTemplate
    """
    lower = build_template(
        table,
        y_names=y_names,
        z_names=z_names,
        x_names=x_names,
        w_names=w_names,
        position=position,
    )
    effects = top_effects(table, lower)
    top = level_template(
        table,
        table.levels[2],
        (*effects.linear, *z3_names),
        ("1", *w3_names),
        lower.sources,
    )
    return NestedTemplate(lower, top, effects, z3_names)


def top_effects(table: ParameterTable, lower: ModelTemplate) -> Effects:
    """Return the effects of level 3, and how they enter level 2.

    Parameters
    ----------
    table
        The table of a three-level model.
    lower
        Its levels 1 and 2.
    """
    middle, third = table.levels[1:]
    outcomes, variables = lower.between.outcomes, lower.between.names
    split = [v for v in outcomes if table.roles.get((third, v)) == "split"]
    linear = linear_names(table, middle)
    rows = [row for row in table.rows if row.random and row.level == middle]
    assert all(row.random in linear for row in rows), "others are refused (spec.three_levels)"
    slopes = list(dict.fromkeys(row.random for row in rows))
    uses = [(i, -1 - outcomes.index(v), 0) for i, v in enumerate(split)]
    for row in rows:
        effect = len(split) + slopes.index(row.random)
        uses.append((effect, variables.index(row.lhs), lower.between.design.index(row.rhs)))
    columns = np.array(uses, dtype=np.int64).reshape(-1, 3)
    nowhere = np.empty(0, dtype=np.int64)
    return Effects(
        linear=(*split, *slopes),
        sampled=(),
        use_effect=columns[:, 0].copy(),
        use_variable=columns[:, 1].copy(),
        use_column=columns[:, 2].copy(),
        rows=(),
        row_effect=nowhere,
        row_code=nowhere,
    )
