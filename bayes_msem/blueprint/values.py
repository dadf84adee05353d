"""Values that a user gives for table rows, checked and turned into theta."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayes_msem.blueprint.blueprint import Blueprint
from bayes_msem.errors import SpecificationError
from bayes_msem.spec.row_names import by_key, key_text
from bayes_msem.spec.table import ParameterTable, RowKey

FloatArray = NDArray[np.float64]
Values = Mapping[Any, float] | pd.DataFrame


def theta_from_values(blueprint: Blueprint, values: Values) -> FloatArray:
    """Read a value for every free row and return theta, constrained rows included.

    Parameters
    ----------
    blueprint
        The model.
    values
        Mapping {row: value}, rows by any of their names (spec.row_names), or data frame with the
        columns level, lhs, op, rhs and ``value`` (or, like ``fit.summary()``, ``mean``). Every free
        row must be there. Fixed and defined rows may be given; fixed ones must then have their
        value, defined ones are computed from the others and not read.

    Returns
    -------
    (n_theta,) array

    Raises
    ------
    SpecificationError
        Unknown or missing rows, values that are not finite, unequal values for rows that share
        a label, or a value for a fixed row that differs from the constant.
    """
    given = read_values(blueprint.table, values)
    theta = np.full(blueprint.parameters.n, np.nan)
    missing = []
    for row in blueprint.table.rows:
        if not row.free:
            value = given.get(row.key, row.value)
            # a mean over draws of a constant is that constant up to rounding
            if np.isfinite(row.value) and not np.isclose(value, row.value, rtol=1e-9, atol=0.0):
                raise SpecificationError(
                    f"{key_text(row.key)} is fixed at {row.value:g} in this model, "
                    f"but the value {given[row.key]:g} was given; leave the row out"
                )
            continue
        if row.key not in given:
            missing.append(key_text(row.key))
            continue
        position = blueprint.parameters.position[row.free]
        value = given[row.key]
        if not np.isnan(theta[position]) and not np.isclose(theta[position], value, rtol=1e-9):
            raise SpecificationError(
                f"{key_text(row.key)} shares the label '{row.label}' with another row, but the "
                f"values differ ({theta[position]:g} and {value:g}); give equal values"
            )
        theta[position] = value
    if missing:
        raise SpecificationError(
            f"no value given for {len(missing)} free row(s): {'; '.join(missing)}. "
            "Start from model.mode() or model.parameter_table to have all rows."
        )
    return blueprint.extend(theta)


def read_values(table: ParameterTable, values: Values) -> dict[RowKey, float]:
    """Read the values of rows, which may have any of their names (spec.row_names)."""
    if isinstance(values, pd.DataFrame):
        column = "mean" if "value" not in values.columns and "mean" in values.columns else "value"
        needed = ["level", "lhs", "op", "rhs", column]
        absent = [c for c in needed if c not in values.columns]
        if absent:
            raise SpecificationError(
                f"the data frame of values lacks the column(s) {', '.join(absent)}; "
                f"it needs {', '.join(needed)}"
            )
        groups = values["group"] if "group" in values.columns else [""] * len(values)
        given: dict[Any, Any] = {
            RowKey(r[0], r[1], r[2], r[3], group): r[4]
            for r, group in zip(
                values[needed].itertuples(index=False, name=None), groups, strict=True
            )
        }
    elif isinstance(values, Mapping):
        given = dict(values)
    else:
        raise SpecificationError(
            "values must be a mapping {(level, lhs, op, rhs): value} or a data frame with columns "
            f"level, lhs, op, rhs and value, got {type(values).__name__}"
        )
    random = {row.key for row in table.rows if row.random}
    result: dict[RowKey, float] = {}
    for key, value in by_key(table.rows, given, what="values").items():
        try:
            number = float(value)
        except (TypeError, ValueError):
            raise SpecificationError(
                f"the value of {key_text(key)} is {value!r}; give a number"
            ) from None
        if np.isnan(number) and key in random:
            continue  # its distribution stands in the between-level rows
        if not np.isfinite(number):
            raise SpecificationError(f"the value of {key_text(key)} is {number}; give a number")
        result[key] = number
    return result
