"""Reading columns of a data frame as numbers, with errors that name the culprit and the fix.

Row numbers in messages are positions, counted from 0. The frame is never written to.
"""

from __future__ import annotations

import numbers
import re
from collections.abc import Hashable, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayes_msem.arguments import shown
from bayes_msem.errors import DataError, NotSupportedError, nearest

__all__ = [
    "check_cluster_argument",
    "check_cluster_name",
    "check_columns",
    "check_frame",
    "code_clusters",
    "listed",
    "numeric_column",
    "plural",
    "positions",
]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

# Beyond this, sums of squares and their inverses leave the range of float64.
_LARGEST = 1e50


def check_frame(frame: object) -> None:
    """Raise DataError unless ``frame`` is a pandas data frame with rows and plain columns."""
    if not isinstance(frame, pd.DataFrame):
        raise DataError(
            f"data must be a pandas.DataFrame, got {type(frame).__module__}."
            f"{type(frame).__qualname__}; convert it first, e.g. pandas.DataFrame(data), or "
            "data.to_pandas() for other data frames"
        )
    if isinstance(frame.columns, pd.MultiIndex):
        raise DataError(
            "data has columns of several levels (a MultiIndex); give each column one name, "
            "e.g. data.columns = ['_'.join(c) for c in data.columns]"
        )
    if len(frame) == 0:
        raise DataError("data has no rows; check the filter or the file that made it")


def check_cluster_name(cluster: object, columns: Sequence[Hashable] = ()) -> None:
    """Raise an error unless ``cluster`` can name a column: hashable, and not a missing value.

    Whoever compares names afterwards can rely on ``==`` giving True or False.

    Parameters
    ----------
    cluster
        What the user gave.
    columns
        Columns of the data, which tell several names from one.

    Raises
    ------
    DataError
        It names no column.
    NotSupportedError
        It names several.
    """
    hashable = pd.api.types.is_hashable(cluster)
    if several := _several_columns(cluster, columns):
        raise NotSupportedError(
            f"cluster names {plural(len(several), 'column')} ({listed(several)}), but a model has "
            "one cluster column: three levels and crossed clusters are not there yet"
        )
    if cluster is None or (hashable and not pd.Series([cluster], dtype=object).isna().item()):
        return
    given = shown(cluster) if hashable or isinstance(cluster, list) else type(cluster).__name__
    raise DataError(
        f"cluster must be the name of one column, got {given}; pass the name and not the column "
        "itself, e.g. cluster='school'"
    )


def _several_columns(cluster: object, columns: Sequence[Hashable]) -> list[Hashable]:
    """Return the columns that a list, or a text such as "school/class", names; else nothing."""
    named: list[object] = []
    if isinstance(cluster, str) and cluster not in columns:
        named = [name.strip() for name in re.split(r"[/:+,]", cluster)]
    elif isinstance(cluster, list) or (isinstance(cluster, tuple) and cluster not in columns):
        named = list(cluster)
    known = [name for name in named if pd.api.types.is_hashable(name) and name in columns]
    return known if len(known) == len(named) > 1 else []


def check_cluster_argument(frame: pd.DataFrame, cluster: object, *, two_level: bool) -> None:
    """Raise DataError unless ``cluster`` names one column exactly when the model needs one."""
    if cluster is None:
        if two_level:
            raise DataError(
                "the model has a between level, but no cluster column was given; pass its "
                "name, e.g. cluster='school'"
            )
        return
    if not two_level:
        raise DataError(
            f"cluster={cluster!r} was given, but the model has a single level and would ignore "
            "it; add `level: within` and `level: between` blocks, or leave cluster out if rows are "
            "independent of each other"
        )
    if not pd.api.types.is_hashable(cluster) or cluster not in frame.columns:
        message = f"cluster column {cluster!r} is not in data"
        if cluster in frame.index.names:
            raise DataError(f"{message}, but in its index; pass data.reset_index() instead")
        raise DataError(message + _nearest_column(str(cluster), frame))
    _check_unique(frame, [cluster])


def check_columns(frame: pd.DataFrame, names: Sequence[str]) -> None:
    """Raise DataError unless each of ``names`` is a column, once."""
    missing = [name for name in names if name not in frame.columns]
    if missing:
        unknown = ", ".join(f"'{name}'{_nearest_column(name, frame)}" for name in missing)
        raise DataError(
            f"the model uses variables that are not columns of data: {unknown}; rename them in "
            "the model, or add these columns to data"
        )
    _check_unique(frame, names)


def _nearest_column(name: str, frame: pd.DataFrame) -> str:
    """Suggest a column, also one that differs from ``name`` only in case or in type."""
    columns: list[Hashable] = list(frame.columns)
    for column in columns:
        if str(column).casefold() == name.casefold():
            what = "" if isinstance(column, str) else f" ({type(column).__name__}, not text)"
            return f"; did you mean {column!r}{what}?"
    return nearest(name, (column for column in columns if isinstance(column, str)))


def _check_unique(frame: pd.DataFrame, names: Sequence[Hashable]) -> None:
    columns: list[Hashable] = list(frame.columns)
    repeated = [name for name in names if columns.count(name) > 1]
    if repeated:
        raise DataError(
            f"data has more than one column named {listed(repeated)}; rename or drop the "
            "others, e.g. data.loc[:, ~data.columns.duplicated()]"
        )


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
    infinite = np.isinf(values)
    if infinite.any():
        raise DataError(
            f"'{name}' has infinite values in {positions(infinite)}; correct them or mark them as "
            f"missing, e.g. data['{name}'].replace([inf, -inf], nan)"
        )
    if (np.abs(values) > _LARGEST).any():
        raise DataError(
            f"'{name}' has values beyond {_LARGEST:g} in {positions(np.abs(values) > _LARGEST)}; "
            "correct them, or express the variable in larger units"
        )
    return values


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
    if dtype == "category":
        return DataError(
            f"{head}: categories are no measurements, and models for ordered or unordered "
            f"categories are not there yet. As a predictor, code '{name}' as columns of 0 and 1 "
            f"(pandas.get_dummies(data['{name}'], drop_first=True)). If its values are "
            "measurements, give the column a numeric dtype"
        )
    for i, value in enumerate(series):
        if not _reads_as_number(value):
            return DataError(
                f"{head}: the first value that is not a number is {value!r} in row {i}; correct "
                "it, or code the variable with numbers (categories as columns of 0 and 1)"
            )
    return DataError(
        f"{head}, though all its values read as numbers; convert it with "
        f"pandas.to_numeric(data['{name}'])"
    )


def _reads_as_number(value: object) -> bool:
    if value is None or value is pd.NA or value is pd.NaT:
        return True
    if not isinstance(value, numbers.Real | Decimal | str | np.bool_):
        return False
    try:
        float(value)
    except (OverflowError, ValueError):
        return False
    return True


def code_clusters(series: pd.Series[Any], cluster: str) -> tuple[IntArray, pd.Index[Any]]:
    """Code the clusters by numbers, in order of first appearance.

    Parameters
    ----------
    series
        Identifiers of any hashable type. Unused categories are ignored.
    cluster
        Name of the column.

    Returns
    -------
    codes
        Number of the cluster of each row, (N,).
    ids
        Identifier of each cluster, (J,), named ``cluster``.

    Raises
    ------
    DataError
        If an identifier is missing, or cannot be compared with others.
    """
    try:
        missing = series.isna().to_numpy(dtype=bool)
    except InvalidOperation:  # pandas compares with Decimal("sNaN"), which refuses
        raise DataError(
            f"cluster column '{cluster}' has a signalling NaN (Decimal('sNaN')) among its "
            "identifiers; replace it with a number or None"
        ) from None
    if missing.any():
        raise DataError(
            f"cluster column '{cluster}' has no identifier in {positions(missing)}; fill it in, or "
            f"drop these rows with data.dropna(subset=['{cluster}'])"
        )
    if isinstance(series.dtype, pd.CategoricalDtype):
        # Plain values: unused categories must not come back as empty clusters.
        series = series.astype(series.cat.categories.dtype)
    if pd.api.types.is_extension_array_dtype(series) and pd.api.types.is_numeric_dtype(series):
        series = pd.Series(series.to_numpy())  # nothing is missing, so nothing needs a mask
    try:
        codes, ids = pd.factorize(series)
    except TypeError:
        first = series.iloc[0]
        raise DataError(
            f"cluster column '{cluster}' has values that cannot be compared, such as {first!r} "
            f"of type {type(first).__name__}; use numbers, strings or dates"
        ) from None
    return codes.astype(np.int64), pd.Index(ids, name=cluster)


def positions(mask: NDArray[np.bool_]) -> str:
    """Name the rows of ``mask``, five at most."""
    rows = np.flatnonzero(mask)
    shown = ", ".join(str(i) for i in rows[:5]) + (", ..." if len(rows) > 5 else "")
    return f"{plural(len(rows), 'row')} ({shown}, counting from 0)"


def plural(count: int, noun: str) -> str:
    """Return a count with its noun."""
    return f"{count} {noun}" + ("" if count == 1 else "s")


def listed(values: Sequence[object]) -> str:
    """Return values as they would be typed, separated by commas."""
    plain = (value.item() if isinstance(value, np.generic) else value for value in values)
    return ", ".join(repr(value) for value in plain)
