"""Values that a user gives for table rows, checked and turned into theta."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayes_msem.build.blueprint import Blueprint
from bayes_msem.errors import SpecificationError, nearest
from bayes_msem.spec.table import ParameterTable, RowKey

FloatArray = NDArray[np.float64]
Values = Mapping[RowKey, float] | pd.DataFrame

_LEVELS = {"1": "within", "2": "between", "within": "within", "between": "between", "": ""}


def theta_from_values(blueprint: Blueprint, values: Values) -> FloatArray:
    """Read a value for every free row and return theta, constrained rows included.

    Parameters
    ----------
    blueprint
        The model.
    values
        Mapping {(level, lhs, op, rhs): value} or data frame with these columns and ``value`` (or,
        like ``fit.summary()``, ``mean``). Every free row must be there. Fixed and defined rows may
        be given; fixed ones must then have their value, defined ones are computed from the others
        and not read.

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
                    f"{_text(row.key)} is fixed at {row.value:g} in this model, "
                    f"but the value {given[row.key]:g} was given; leave the row out"
                )
            continue
        if row.key not in given:
            missing.append(_text(row.key))
            continue
        position = blueprint.parameters.position[row.free]
        value = given[row.key]
        if not np.isnan(theta[position]) and not np.isclose(theta[position], value, rtol=1e-9):
            raise SpecificationError(
                f"{_text(row.key)} shares the label '{row.label}' with another row, but the "
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
    """Normalise user keys to rows of the table (lavaan's spellings are understood)."""
    if isinstance(values, pd.DataFrame):
        column = "mean" if "value" not in values.columns and "mean" in values.columns else "value"
        needed = ["level", "lhs", "op", "rhs", column]
        absent = [c for c in needed if c not in values.columns]
        if absent:
            raise SpecificationError(
                f"the data frame of values lacks the column(s) {', '.join(absent)}; "
                f"it needs {', '.join(needed)}"
            )
        items = [(tuple(r[:4]), r[4]) for r in values[needed].itertuples(index=False, name=None)]
    elif isinstance(values, Mapping):
        items = list(values.items())
    else:
        raise SpecificationError(
            "values must be a mapping {(level, lhs, op, rhs): value} or a data frame with columns "
            f"level, lhs, op, rhs and value, got {type(values).__name__}"
        )
    keys = {row.key for row in table.rows}
    random = {row.key for row in table.rows if row.random}
    result: dict[RowKey, float] = {}
    for raw, value in items:
        key = _normalise(raw, keys)
        try:
            number = float(value)
        except (TypeError, ValueError):
            raise SpecificationError(
                f"the value of {_text(key)} is {value!r}; give a number"
            ) from None
        if np.isnan(number) and key in random:
            continue  # its distribution stands in the between-level rows
        if not np.isfinite(number):
            raise SpecificationError(f"the value of {_text(key)} is {number}; give a number")
        result[key] = number
    return result


def _normalise(raw: object, keys: set[RowKey]) -> RowKey:
    if not isinstance(raw, tuple) or len(raw) != 4:
        raise SpecificationError(
            f"{raw!r} is not a row key; use (level, lhs, op, rhs), for example "
            '("within", "fw", "=~", "y2")'
        )
    level, lhs, op, rhs = (str(part) for part in raw)
    level = _LEVELS.get(level, level)
    if op == "~1":
        op, rhs = "~", "1"
    for key in ((level, lhs, op, rhs), (level, rhs, op, lhs)):
        if key in keys and (key[1] == lhs or op == "~~"):
            return key
    hint = nearest(_text((level, lhs, op, rhs)), [_text(k) for k in keys])
    raise SpecificationError(f"the model has no row {_text((level, lhs, op, rhs))}{hint}")


def _text(key: RowKey) -> str:
    level, lhs, op, rhs = key
    return f"{level}: {lhs} {op} {rhs}" if level else f"{lhs} {op} {rhs}"
