"""Values of all table rows, defined parameters included, from draws of theta."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bayes_msem.build.blueprint import Blueprint
from bayes_msem.spec.expressions import evaluate
from bayes_msem.spec.table import RowKey

FloatArray = NDArray[np.float64]


def row_values(blueprint: Blueprint, theta: FloatArray) -> dict[RowKey, FloatArray]:
    """Return the value of every row of the table.

    Parameters
    ----------
    blueprint
        The model.
    theta
        Draws of the extended table values, (..., n_theta).

    Returns
    -------
    dict
        Row key -> array of shape (...), in the order of the table.
    """
    rows = [row for row in blueprint.table.rows if row.kind != "defined"]
    values = {row.key: blueprint.row_value(row.key, theta) for row in rows}
    labels = {row.label: values[row.key] for row in rows if row.label}
    for definition in blueprint.table.definitions:
        value = evaluate(definition.expression, labels)
        labels[definition.name] = np.broadcast_to(value, theta.shape[:-1])
    for row in blueprint.table.rows:
        if row.kind == "defined":
            values[row.key] = labels[row.lhs]
    return {row.key: values[row.key] for row in blueprint.table.rows}
