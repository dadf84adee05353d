"""From a posterior data set to arrays of draws, and derived variables back into data sets."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayes_msem.blueprint.blueprint import Blueprint
from bayes_msem.blueprint.rows import row_values
from bayes_msem.spec.row_names import ByRow
from bayes_msem.spec.table import Row, RowKey
from bayes_msem.structure.parameters import row_label

FloatArray = NDArray[np.float64]


def sampled_parameters(blueprint: Blueprint, posterior: xr.Dataset) -> FloatArray:
    """Draws of the sampled parameters x, (chain, draw, n_free)."""
    parts = []
    for group in blueprint.parameters.groups:
        variable, rows = posterior[group.name], f"{group.name}_row"
        if variable.sizes[rows] != len(group.labels):
            # covariances that are sampled as they are share a variable with derived ones
            variable = variable.sel({rows: list(group.labels)})
        parts.append(variable.transpose("chain", "draw", ...).to_numpy())
    joined: FloatArray = np.concatenate(parts, axis=-1)
    return joined


def row_draws(blueprint: Blueprint, posterior: xr.Dataset) -> ByRow[FloatArray]:
    """Draws of every row of the parameter table, row -> (chain, draw)."""
    x = sampled_parameters(blueprint, posterior)
    theta = blueprint.theta(x.reshape(-1, x.shape[-1])).reshape(*x.shape[:2], -1)
    return row_values(blueprint, theta, x)


def derived_variables(blueprint: Blueprint, posterior: xr.Dataset) -> xr.Dataset:
    """Variances, covariances, correlations and defined parameters from sampled ones."""
    values = row_draws(blueprint, posterior)
    variables: dict[str, tuple[list[str], FloatArray, list[str]]] = {}

    def add(name: str, rows: list[Row], arrays: list[FloatArray]) -> None:
        if rows:
            labels = [row_label(r) if r.kind != "defined" else r.lhs for r in rows]
            dims = ["chain", "draw", f"{name}_row"]
            variables[name] = (dims, np.stack(arrays, axis=-1), labels)

    for level in blueprint.table.levels:
        for kind in ("variance", "covariance"):
            rows = [
                r for r in blueprint.table.rows if r.level == level and r.kind == kind and r.free
            ]
            add(f"{level}_{kind}", rows, [values[r.key] for r in rows])
        correlations = [_correlation(r, values, level) for r in rows]
        add(f"{level}_correlation", rows, correlations)
    defined = [r for r in blueprint.table.rows if r.kind == "defined"]
    add("defined", defined, [values[r.key] for r in defined])
    result = xr.Dataset(
        {name: (dims, array) for name, (dims, array, _) in variables.items()},
        coords={f"{name}_row": labels for name, (_, _, labels) in variables.items()},
    )
    return result.assign_coords(chain=posterior["chain"], draw=posterior["draw"])


def _correlation(row: Row, values: Mapping[RowKey, FloatArray], level: str) -> FloatArray:
    first = values[RowKey(level, row.lhs, "~~", row.lhs)]
    second = values[RowKey(level, row.rhs, "~~", row.rhs)]
    correlation: FloatArray = values[row.key] / np.sqrt(first * second)
    return correlation
