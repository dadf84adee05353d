"""Values of all table rows, defined parameters included, from draws of theta."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from bayes_msem.blueprint.blueprint import Blueprint
from bayes_msem.blueprint.population import effect_positions, level_two_moments, population_mean
from bayes_msem.spec.expressions import Expression, evaluate
from bayes_msem.spec.parameter_labels import varying_definitions
from bayes_msem.spec.row_names import ByRow

FloatArray = NDArray[np.float64]


def row_values(
    blueprint: Blueprint, theta: FloatArray, x: FloatArray | None = None
) -> ByRow[FloatArray]:
    """Return the value of every row of the table.

    Parameters
    ----------
    blueprint
        The model.
    theta
        Draws of the extended table values, (..., n_theta).
    x
        The sampled parameters they come from, (..., n_free); None if there are none (maximum
        likelihood).

    Returns
    -------
    ByRow
        Row -> array of shape (...), in the order of the table. Random coefficients are NaN
        (their distribution stands in the between-level rows of their name); a definition that
        uses some is its population mean (blueprint.population).
    """
    shape = theta.shape[:-1]
    rows = [row for row in blueprint.table.rows if row.kind != "defined"]
    values = {row.key: blueprint.row_value(row.key, theta) for row in rows}
    labels = {row.label: values[row.key].reshape(-1) for row in rows if row.label}
    varying = cluster_definitions(blueprint)
    moments = _moments(blueprint, theta, x) if varying else None
    for definition in blueprint.table.definitions:
        if moments is not None and definition.name in varying:
            result = population_mean(blueprint, varying[definition.name], labels, moments)
        else:
            result = evaluate(definition.expression, labels)
        labels[definition.name] = np.broadcast_to(result, (int(np.prod(shape)),))
    for row in blueprint.table.rows:
        if row.kind == "defined":
            values[row.key] = labels[row.lhs].reshape(shape)
    return ByRow(blueprint.table.rows, values)


def cluster_definitions(blueprint: Blueprint) -> dict[str, Expression]:
    """Definitions that differ between clusters, written in random coefficients and labels."""
    return varying_definitions(blueprint.table.definitions, effect_positions(blueprint))


def _moments(
    blueprint: Blueprint, theta: FloatArray, x: FloatArray | None
) -> tuple[FloatArray, FloatArray]:
    if x is None:
        return level_two_moments(blueprint, theta.reshape(-1, theta.shape[-1]), natural=True)
    extended = blueprint.points(x)
    return level_two_moments(blueprint, extended)


def defined_effects(
    blueprint: Blueprint, theta: FloatArray, effects: Mapping[str, FloatArray]
) -> dict[str, FloatArray]:
    """Values of definitions that differ between clusters.

    Parameters
    ----------
    blueprint
        The model.
    theta
        Extended table values, (..., n_theta).
    effects
        Random coefficients by name, of a shape that broadcasts with theta's leading one.

    Returns
    -------
    dict
        Name -> array of the shape of the effects.
    """
    varying = cluster_definitions(blueprint)
    if not varying:
        return {}
    environment = {
        row.label: blueprint.row_value(row.key, theta) for row in blueprint.table.rows if row.label
    }
    environment |= {name: effects[name] for name in effect_positions(blueprint)}
    for definition in blueprint.table.definitions:
        if definition.name not in varying:
            environment[definition.name] = evaluate(definition.expression, environment)
    shape = next(iter(effects.values())).shape
    return {
        name: np.broadcast_to(evaluate(expression, environment), shape)
        for name, expression in varying.items()
    }
