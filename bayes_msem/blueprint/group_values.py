"""One group of several by itself: its table, its values, its sampled parameters.

A fit of several groups is read group by group: the draws of a group's rows become draws of the
sampled parameters of a model of that group alone (blueprint.inverse), so that everything that is
computed from draws of one model is computed for each group. In that model nothing is shared with
other groups or computed from them: what is, are free rows, whose values the draws have.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayes_msem.blueprint.blueprint import Blueprint
from bayes_msem.blueprint.inverse import sampled_from_draws
from bayes_msem.blueprint.values import Values, read_values
from bayes_msem.spec.default_priors import default_priors
from bayes_msem.spec.expressions import names
from bayes_msem.spec.group_tables import GroupTables
from bayes_msem.spec.parameter_labels import varying_definitions
from bayes_msem.spec.prior_text import Prior
from bayes_msem.spec.table import ParameterTable, Row, RowKey
from bayes_msem.spec.variable_scales import Scales

__all__ = ["draws_of_group", "joint_keys", "joint_values", "table_of_group"]

FloatArray = NDArray[np.float64]


def joint_values(tables: GroupTables, values: Values) -> dict[RowKey, float]:
    """Read values of rows of groups, and name them as the joint table does."""
    joint = {p.key: j.key for p, j in zip(tables.public, tables.joint.rows, strict=True)}
    found = read_values(tables.shown, values)
    return {joint[key]: value for key, value in found.items()}


def table_of_group(
    tables: GroupTables, number: int, priors: Mapping[int, Prior], scales: Scales
) -> tuple[ParameterTable, dict[int, Prior]]:
    """Return the table of one group with free numbers of its own, and its priors.

    Parameters
    ----------
    tables
        The tables of all groups, with priors filled in.
    number
        Of the group.
    priors
        Of all groups' parameters.
    scales
        Of the data of all groups.
    """
    own = tables.local[number]
    computed = {c.label for c in own.constraints}
    numbers: dict[Any, int] = {}
    rows: list[Row] = []
    of_joint: dict[int, int] = {}
    for row in own.rows:
        free = 0
        if row.free or (row.label in computed and not row.random):
            free = numbers.setdefault(row.free or row.label, len(numbers) + 1)
            of_joint[free] = row.free
        rows.append(replace(row, free=free))
    random = [r.random for r in rows if r.random]
    known = {r.label for r in rows if r.label} | set(random)
    definitions = []
    for definition in tables.definitions:
        if set(names(definition.expression)) <= known:
            definitions.append(definition)
            known.add(definition.name)
    varying_definitions(definitions, random)
    defined = tuple(Row("", d.name, ":=", str(d.expression)) for d in definitions)
    table = replace(
        own,
        rows=(*rows, *defined),
        definitions=tuple(definitions),
        constraints=(),
        elsewhere=frozenset(),
    )
    found = default_priors(table, scales)
    for free, shared in of_joint.items():
        prior = priors.get(shared)
        # covariances that groups share are sampled as they are; here they are correlations
        if prior is not None and (found[free].family != "lkj" or prior.scale == "cor"):
            found[free] = prior
    return table, found


def joint_keys(tables: GroupTables, number: int) -> dict[RowKey, RowKey]:
    """Key of a row of one group -> key of the joint table."""
    name = tables.groups[number]
    pairs = zip(tables.public, tables.joint.rows, strict=True)
    return {RowKey(*p.key[:4]): j.key for p, j in pairs if p.group in (name, "")}


def draws_of_group(
    joint: Blueprint, own: Blueprint, theta: FloatArray, keys: Mapping[RowKey, RowKey]
) -> FloatArray:
    """Compute the sampled parameters of one group by itself at draws of the joint model.

    Parameters
    ----------
    joint, own
        The blueprints of all groups, and of the group by itself.
    theta
        Table values of the joint model, (S, n_theta).
    keys
        As :func:`joint_keys` returns them.

    Returns
    -------
    (S, n_free) array
    """
    values = np.column_stack([joint.row_value(keys[row.key], theta) for row in own.parameters.rows])
    return sampled_from_draws(own, values)
