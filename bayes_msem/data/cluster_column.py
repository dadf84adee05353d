"""The cluster column: codes and sizes of the clusters, and variables with one value in each.

Clusters are numbered in order of first appearance.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import InvalidOperation
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayes_msem.data.readonly import frozen
from bayes_msem.errors import DataError
from bayes_msem.wording import first_few, listed, positions

__all__ = [
    "NEGLIGIBLE",
    "Clusters",
    "code_clusters",
    "read_clusters",
    "rounding",
    "values_of_units",
]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

NEGLIGIBLE = 1e-9
"""A residual of this size, in standard deviations, is rounding of the data and not variation."""


@dataclass(frozen=True, slots=True, eq=False)
class Clusters:
    """Who belongs to which cluster, and what is known of whole clusters.

    Attributes
    ----------
    codes
        Number of the cluster of each row, (N,); None in single-level models.
    ids
        Identifier of each cluster, (J,), named as the cluster column.
    sizes
        Number of rows of each cluster, (J,).
    values
        Cluster-level variables by name, (J,); NaN where no row of the cluster has a value.
    """

    codes: IntArray | None = None
    ids: pd.Index[Any] = field(default_factory=lambda: pd.Index([]))
    sizes: IntArray = field(default_factory=lambda: frozen(np.empty(0, np.int64)))
    values: Mapping[str, FloatArray] = field(default_factory=dict)


def read_clusters(
    series: pd.Series[Any],
    cluster: str,
    columns: Mapping[str, FloatArray],
    *,
    check_sizes: bool = True,
    inside: Mapping[str, tuple[str, str]] | None = None,
) -> Clusters:
    """Code the clusters, and take the values of cluster-level variables from their rows.

    Parameters
    ----------
    series, cluster
        The cluster column and its name.
    columns
        Cluster-level variables by name, (N,).
    check_sizes
        Whether sizes have to tell variation inside clusters from variation between them.
    inside
        For columns that are only part of a variable of level between: why they must not vary inside
        clusters, and what to do if they do.

    Raises
    ------
    DataError
        Identifiers that are missing or cannot be compared, sizes that do not allow two levels, or
        a variable that varies inside a cluster.
    """
    codes, ids = code_clusters(series, cluster)
    sizes = np.bincount(codes)
    if check_sizes:
        _check_sizes(sizes, ids)
    said = inside or {}
    values = {name: values_of_units(name, v, codes, ids, said) for name, v in columns.items()}
    return Clusters(frozen(codes), ids, frozen(sizes), values)


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
    _check_identifiers(series, cluster)
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


def _check_identifiers(series: pd.Series[Any], cluster: str) -> None:
    """Raise DataError unless every row has an identifier."""
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


def _check_sizes(sizes: IntArray, ids: pd.Index[Any]) -> None:
    """Raise DataError unless there are several clusters, one of them with several rows."""
    if len(ids) == 1:
        raise DataError(
            f"cluster column '{ids.name}' has one cluster only ({listed(list(ids))}); a two-level "
            "model needs at least two: check the column, or fit a single-level model"
        )
    if sizes.max() == 1:
        raise DataError(
            f"every row is a cluster of its own (column '{ids.name}', {len(ids)} clusters of "
            "size 1), so within and between variation cannot be told apart; name the column "
            "that groups rows, or fit a single-level model"
        )


def values_of_units(
    name: str,
    values: FloatArray,
    codes: IntArray,
    ids: pd.Index[Any],
    inside: Mapping[str, tuple[str, str]],
) -> FloatArray:
    """Return the value of a cluster-level variable in every cluster, (J,).

    Rows without a value are passed over: the value of a cluster is that of its other rows, and NaN
    if no row has one.
    """
    seen = np.flatnonzero(~np.isnan(values))
    result = np.full(len(ids), np.nan)
    if not len(seen):
        return result
    values, codes = values[seen], codes[seen]
    result[codes[::-1]] = values[::-1]  # the first row of each cluster is written last
    varies = np.abs(values - result[codes]) > rounding(values)
    if varies.any():
        culprits = ids[np.unique(codes[varies])]
        why, fix = inside.get(
            name,
            (
                f"'{name}' is used at the between level only",
                f"correct it, use '{name}' at the within level too, or use its cluster means, "
                f"data.groupby('{ids.name}')['{name}'].transform('mean')",
            ),
        )
        raise DataError(
            f"{why}, so it must be constant inside each '{ids.name}', but it varies inside "
            f"{len(culprits)} of {len(ids)} clusters: {first_few(list(culprits))}; {fix}"
        )
    return result


def rounding(values: FloatArray) -> float:
    """Return the difference below which two values of a variable count as equal."""
    of_floats = 8 * np.finfo(float).eps * np.abs(values).max()
    return float(NEGLIGIBLE * values.std() + of_floats)
