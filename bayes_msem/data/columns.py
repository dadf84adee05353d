"""Reading columns of a data frame as numbers, with errors that name the culprit and the fix.

Row numbers in messages are positions, counted from 0. The frame is never written to.
"""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayes_msem.errors import DataError
from bayes_msem.wording import positions

__all__ = ["numeric_column", "numeric_columns", "reads_as_number"]

FloatArray = NDArray[np.float64]

# Beyond this, sums of squares and their inverses leave the range of float64.
_LARGEST = 1e50


def numeric_columns(frame: pd.DataFrame, names: Sequence[str]) -> dict[str, FloatArray]:
    """Return columns by name as float64, with NaN for missing values."""
    return {name: numeric_column(frame[name], name) for name in names}


def numeric_column(series: pd.Series[Any], name: str) -> FloatArray:
    """Return a column as float64, with NaN for missing values.

    Parameters
    ----------
    series
        Integers, floats or booleans of any width, also nullable or held as objects.
    name
        Name for messages.

    Raises
    ------
    DataError
        If the column is not numeric, complex, or has infinite or unmanageably large values.
    """
    dtype = series.dtype
    if pd.api.types.is_complex_dtype(dtype):
        raise DataError(
            f"'{name}' has complex numbers (dtype {dtype}); take the real part or the modulus, "
            f"e.g. data['{name}'].to_numpy().real"
        )
    categorical = isinstance(dtype, pd.CategoricalDtype)
    if not categorical and (
        pd.api.types.is_numeric_dtype(dtype) or pd.api.types.is_bool_dtype(dtype)
    ):
        with np.errstate(over="ignore"):  # a long double may overflow: reported just below
            values = series.to_numpy(dtype=np.float64, na_value=np.nan)
    elif pd.api.types.is_object_dtype(dtype):
        values = _numbers_in_objects(series, name)
    else:
        raise _not_numeric(series, name)
    values = np.asarray(values, dtype=np.float64)
    _check_magnitude(values, name)
    return values


def _check_magnitude(values: FloatArray, name: str) -> None:
    """Raise DataError if values are infinite, or too large to be squared."""
    infinite = np.isinf(values)
    if infinite.any():
        raise DataError(
            f"'{name}' has infinite values in {positions(infinite)}; correct them or mark them as "
            f"missing, e.g. data['{name}'].replace([inf, -inf], nan)"
        )
    large = np.abs(values) > _LARGEST
    if large.any():
        raise DataError(
            f"'{name}' has values beyond {_LARGEST:g} in {positions(large)}; "
            "correct them, or express the variable in larger units"
        )


def _numbers_in_objects(series: pd.Series[Any], name: str) -> FloatArray:
    """Read real numbers from a column of Python objects; None, NaN and NA are missing."""
    values = np.full(len(series), np.nan)
    for i, value in enumerate(series.to_numpy()):
        if isinstance(value, numbers.Real | Decimal | np.bool_):
            try:
                values[i] = float(value)
            except (OverflowError, ValueError):
                values[i] = np.inf
        elif not (value is None or value is pd.NA or value is pd.NaT):
            raise _not_numeric(series, name)
    return values


def _not_numeric(series: pd.Series[Any], name: str) -> DataError:
    """Describe a column that is not numeric by its first value that is not a number."""
    dtype = "category" if isinstance(series.dtype, pd.CategoricalDtype) else series.dtype
    head = f"'{name}' is not numeric (dtype {dtype})"
    if dtype == "category" and series.cat.ordered:
        return DataError(
            f"{head}: it has ordered categories, but is not declared as an ordered outcome. "
            f"Declare it: Model(..., ordered=['{name}']). (Predictors that nothing else models "
            "become dummies by themselves.)"
        )
    if dtype == "category":
        return DataError(
            f"{head}: categories are no measurements, and models for unordered categories are not "
            "there yet. If the categories have an order, state it (pandas.Categorical(..., "
            f"ordered=True)) and declare ordered=['{name}']. (Predictors that nothing else models "
            "become dummies by themselves.) If its values are measurements, give the column a "
            "numeric dtype"
        )
    for i, value in enumerate(series):
        if not reads_as_number(value):
            return DataError(
                f"{head}: the first value that is not a number is {value!r} in row {i}; correct "
                "it, or code the variable with numbers (categories as columns of 0 and 1; a "
                f"predictor in the model text is coded by C({name}))"
            )
    return DataError(
        f"{head}, though all its values read as numbers; convert it with "
        f"pandas.to_numeric(data['{name}'])"
    )


def reads_as_number(value: object) -> bool:
    """Whether a value is missing, a number, or text that reads as one."""
    if value is None or value is pd.NA or value is pd.NaT:
        return True
    if not isinstance(value, numbers.Real | Decimal | str | np.bool_):
        return False
    try:
        float(value)
    except (OverflowError, ValueError):
        return False
    return True
