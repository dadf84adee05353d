"""Checks of a data frame before any value is read: rows, plain columns, and the names asked for."""

from __future__ import annotations

import re
from collections.abc import Hashable, Sequence
from typing import Any

import pandas as pd

from bayes_msem.arguments import shown
from bayes_msem.errors import DataError, NotSupportedError, nearest
from bayes_msem.wording import listed, plural

__all__ = [
    "check_cluster_argument",
    "check_cluster_name",
    "check_columns",
    "check_frame",
    "cluster_columns",
]


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


_LEVEL_NAME = re.compile(r"([^\W\d]|\.(?!\d))[\w.]*")
_TAKEN = ("within", "between")


def cluster_columns(cluster: Any, columns: Sequence[Hashable] = ()) -> tuple[Any, ...]:
    """Return the columns that ``cluster`` names, the inner one first: none, one or two.

    Parameters
    ----------
    cluster
        What the user gave: a name, or a list of names.
    columns
        Columns of the data, which tell several names from one.

    Raises
    ------
    DataError
        It names no column, or one twice, or the names cannot be those of levels.
    NotSupportedError
        It names more than two, or two in a way that does not say which is the inner one.
    """
    if not isinstance(cluster, list) and not (
        isinstance(cluster, tuple) and cluster not in columns
    ):
        check_cluster_name(cluster, columns)
        return () if cluster is None else (cluster,)
    named = all(pd.api.types.is_hashable(name) and name in columns for name in cluster)
    if len(cluster) > 2 and not named:
        check_cluster_name(cluster)  # probably the column itself
    if len(cluster) > 2:
        raise NotSupportedError(
            f"cluster names {len(cluster)} columns, but models have three levels at most: rows, "
            "clusters, and clusters of clusters. Name two columns, the inner one first, e.g. "
            "cluster=['class', 'school']; units of a fourth level, if they are few, may be a "
            "predictor of categories at the highest level"
        )
    if not cluster:
        raise DataError(
            "cluster=[] names no column; write cluster='school', or leave cluster out if rows are "
            "independent of each other"
        )
    for name in cluster:
        check_cluster_name(name, columns)
    if len(cluster) == 2:
        _check_level_names(*cluster)
    return tuple(cluster)


def _check_level_names(inner: object, outer: object) -> None:
    """Check the names of two cluster columns, after which levels are called."""
    if inner == outer:
        raise DataError(
            f"cluster names {inner!r} twice; name two columns, the inner one first, or one for two "
            "levels"
        )
    for name in (inner, outer):
        if not isinstance(name, str) or name in _TAKEN or not _LEVEL_NAME.fullmatch(name):
            raise DataError(
                f"cluster column {name!r} would name a level of the model, so it has to be text of "
                "letters, digits, '.' and '_' that starts with a letter, and neither 'within' nor "
                f"'between'; rename the column, data.rename(columns={{{name!r}: 'unit'}})"
            )


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
            f"cluster names {plural(len(several), 'column')} ({listed(several)}); where one groups "
            "the other, a model of three levels takes a list, the inner one first, e.g. "
            "Model(..., cluster=['class', 'school']). Crossed clusters are not supported"
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
