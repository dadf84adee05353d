"""Draws as a table that other programs read: one row per draw, one column per row of the model.

The layout is that of ``draws_df`` of R's package posterior: columns ``.chain``, ``.iteration``
(within the chain) and ``.draw`` count from 1, and all others are variables. A variable is named
after the kind of its row with level and row as indices, ``regression[within,y~x]``, so that
posterior takes ``regression`` for one variable with several elements; a defined parameter keeps
its name.
"""

from __future__ import annotations

import io
from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayes_msem.errors import NotSupportedError
from bayes_msem.spec.table import ParameterTable, Row, RowKey

__all__ = ["SUFFIXES", "check_format", "draw_frame", "encoded", "variable_name"]

SUFFIXES = (".csv", ".arrow", ".feather", ".parquet")


def variable_name(row: Row) -> str:
    """Name of a row as posterior has it.

    Examples
    --------
    >>> variable_name(Row("within", "fw", "=~", "y2"))
    'loading[within,fw=~y2]'
    >>> variable_name(Row("", "ind", ":=", "a*b"))
    'ind'
    """
    return (
        row.lhs if row.kind == "defined" else f"{row.kind}[{row.level},{row.lhs}{row.op}{row.rhs}]"
    )


def draw_frame(table: ParameterTable, draws: Mapping[RowKey, NDArray[np.float64]]) -> pd.DataFrame:
    """Put draws into one table.

    Parameters
    ----------
    table
        The parameter table.
    draws
        Draws (chain, draw) of every row.

    Returns
    -------
    pandas.DataFrame
        ``.chain``, ``.iteration``, ``.draw``, and a column for each row that is not a constant.
    """
    computed = {constraint.label for constraint in table.constraints}
    rows = [r for r in table.rows if r.free or r.kind == "defined" or (r.label in computed)]
    arrays = {variable_name(row): np.asarray(draws[row.key]) for row in rows}
    chains, length = next(iter(arrays.values())).shape
    columns: dict[str, NDArray[np.float64] | NDArray[np.int64]] = {
        ".chain": np.repeat(np.arange(1, chains + 1), length),
        ".iteration": np.tile(np.arange(1, length + 1), chains),
        ".draw": np.arange(1, chains * length + 1),
    }
    return pd.DataFrame(columns | {name: a.reshape(-1) for name, a in arrays.items()})


def encoded(frame: pd.DataFrame, suffix: str) -> bytes | memoryview:
    """Return the table as the contents of a file; CSV has all digits.

    Parameters
    ----------
    frame
        The table.
    suffix
        One of :data:`SUFFIXES`; ``.arrow`` and ``.feather`` are the same format.

    Raises
    ------
    NotSupportedError
        The format needs the package pyarrow, which is not installed.
    """
    if suffix == ".csv":
        return frame.to_csv(index=False, lineterminator="\n").encode()
    check_format(suffix)
    import pyarrow
    from pyarrow import feather, parquet

    columns = pyarrow.Table.from_pandas(frame, preserve_index=False)
    buffer = io.BytesIO()
    if suffix == ".parquet":
        parquet.write_table(columns, buffer)
    else:
        feather.write_feather(columns, buffer)
    return buffer.getbuffer()


def check_format(suffix: str) -> None:
    """Raise NotSupportedError if a format needs a package that is not installed."""
    if suffix == ".csv":
        return
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        raise NotSupportedError(
            f"files that end in '{suffix}' need the package pyarrow, which is not installed; "
            "install it (pip install pyarrow) or write a '.csv'"
        ) from None
