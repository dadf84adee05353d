"""Data frames of any library, as pandas frames.

A pandas frame passes through as it is. Frames that narwhals knows (polars, pyarrow tables, modin,
cuDF, ...) and objects with the Arrow or the dataframe interchange protocol are copied, column by
column. Invariants:

- values keep their type: integers stay integers (nullable where some are missing), identifiers
  stay strings, dates or categories;
- every null becomes a missing value, and nothing else does;
- what was given is never changed.
"""

from __future__ import annotations

from typing import Any

import narwhals as nw
import pandas as pd
from narwhals.exceptions import DuplicateError

from bayes_msem.errors import DataError

__all__ = ["to_pandas_frame"]


def to_pandas_frame(data: object) -> pd.DataFrame:
    """Return ``data`` as a pandas frame.

    Parameters
    ----------
    data
        A data frame of pandas, polars, pyarrow, or any other library that narwhals, Arrow's
        C interface or the dataframe interchange protocol can read.

    Returns
    -------
    pandas.DataFrame
        ``data`` itself if it is a pandas frame; otherwise a copy.

    Raises
    ------
    DataError
        If ``data`` is lazy, or not a data frame.

    Examples
    --------
    >>> import polars as pl
    >>> to_pandas_frame(pl.DataFrame({"y": [1, None], "school": ["a", "b"]})).y.dtype
    Int64Dtype()
    """
    native: Any = nw.to_native(data, pass_through=True)
    if isinstance(native, pd.DataFrame):
        return native
    try:
        known = _eager_frame(native)
        columns = {} if _is_pandas_like(known) else dict(enumerate(known.iter_columns()))
    except DuplicateError as error:
        raise DataError(
            f"data has columns of the same name ({' '.join(str(error).split())}); rename them"
        ) from None
    if _is_pandas_like(known):
        return known.to_pandas()
    frame = pd.DataFrame(
        {i: _column(column) for i, column in columns.items()}, index=pd.RangeIndex(len(known))
    )
    frame.columns = pd.Index(known.columns, dtype=object)
    return frame


def _is_pandas_like(frame: nw.DataFrame[Any]) -> bool:
    """Whether the library has pandas' own types and index, and knows best how to convert them."""
    return bool(frame.implementation.is_pandas_like())


def _eager_frame(native: Any) -> nw.DataFrame[Any]:
    """Wrap a frame whose rows are in memory; raise DataError for everything else."""
    known = nw.from_native(native, pass_through=True, allow_series=True)
    if isinstance(known, nw.LazyFrame):
        raise DataError(
            f"data is a lazy frame ({_name(native)}), whose rows are not there yet; pass "
            "data.collect()"
        )
    if isinstance(known, nw.DataFrame):
        return known
    if isinstance(known, nw.Series):
        raise _not_a_frame(native)
    return _from_protocol(native)


def _from_protocol(data: Any) -> nw.DataFrame[Any]:
    """Read an object that narwhals does not know through a protocol of data frames."""
    arrow = any(hasattr(data, f"__arrow_c_{kind}__") for kind in ("stream", "array"))
    # A stream of batches can be read only once: reading it would change what the user holds.
    if isinstance(data, type) or hasattr(data, "read_next_batch"):
        raise _not_a_frame(data)
    if not arrow and not hasattr(data, "__dataframe__"):
        raise _not_a_frame(data)
    try:
        import pyarrow as pa
        import pyarrow.interchange
    except ImportError:
        raise DataError(
            f"reading {_name(data)} needs pyarrow, which is not installed; install it, or pass "
            "data.to_pandas()"
        ) from None
    try:
        table = pa.table(data) if arrow else pyarrow.interchange.from_dataframe(data)
    except (TypeError, ValueError, NotImplementedError):  # pyarrow's own errors derive from these
        raise _not_a_frame(data) from None
    return nw.from_native(table, eager_only=True)


def _column(column: nw.Series[Any]) -> pd.Series[Any]:
    """Copy one column, with the pandas type that keeps its values."""
    dtype, has_null = column.dtype, column.is_null().any()
    if dtype == nw.Int128 or dtype == nw.UInt128 or isinstance(dtype, nw.Decimal):
        return pd.Series(column.to_list(), dtype=object)
    if dtype.is_integer() or dtype == nw.Boolean:
        if has_null:
            # pandas names its nullable types as narwhals names its own: "Int64", "UInt8".
            nullable: Any = "boolean" if dtype == nw.Boolean else str(dtype)
            return pd.Series(pd.array(column.to_list(), dtype=nullable))
        return pd.Series(column.to_numpy().copy())
    if dtype.is_float():
        return pd.Series(column.to_numpy().copy())
    if isinstance(dtype, nw.Datetime):
        if dtype.time_zone is None:
            return pd.Series(column.to_numpy().copy())
        utc = column.dt.convert_time_zone("UTC").dt.replace_time_zone(None).to_numpy().copy()
        return pd.Series(pd.DatetimeIndex(utc, tz="UTC").tz_convert(dtype.time_zone))
    values = column.to_list()
    if isinstance(dtype, nw.Categorical | nw.Enum):
        # Levels that occur are enough, in an order that does not depend on the rows.
        found = {value for value in values if value is not None}
        declared = dtype.categories if isinstance(dtype, nw.Enum) else sorted(found)
        levels = [level for level in declared if level in found]
        return pd.Series(pd.Categorical(values, categories=levels))
    return pd.Series(values, dtype=None if isinstance(dtype, nw.String) else object)


def _not_a_frame(data: object) -> DataError:
    return DataError(
        "data must be a data frame (pandas, polars, pyarrow or another that narwhals can read), "
        f"got {_name(data)}; convert it first, e.g. pandas.DataFrame(data), or "
        "data.to_pandas() for other data frames"
    )


def _name(data: object) -> str:
    return f"{type(data).__module__}.{type(data).__qualname__}"
