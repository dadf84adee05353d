"""The rows that scores and predictions are about: those of the data, or new ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayes_msem.data.cluster_column import code_clusters
from bayes_msem.data.coded_columns import with_coded
from bayes_msem.data.codings import exposures_of
from bayes_msem.data.columns import numeric_columns
from bayes_msem.data.frame_checks import check_columns, check_frame
from bayes_msem.data.observed_data import ObservedData
from bayes_msem.errors import DataError, SpecificationError, nearest
from bayes_msem.wording import listed, positions

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
Clusters = Literal["known", "new"]

_MOST = 5  # identifiers named in a message


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Rows, and the clusters they belong to.

    Attributes
    ----------
    y
        Outcomes (N, p), NaN where unknown.
    design
        (1, x), (N, D).
    cluster
        Code of each row's cluster; None in single-level models.
    cluster_ids
        What the codes stand for.
    cluster_design
        (1, w) of every cluster, (J, 1 + kw).
    row_index
        Labels of the rows.
    offset, cluster_offset
        Log exposures (N, p) and (J, q) of counts; 0 for outcomes without, NaN where one is unknown.
    """

    y: FloatArray
    design: FloatArray
    cluster: IntArray | None
    cluster_ids: pd.Index[Any]
    cluster_design: FloatArray
    row_index: pd.Index[Any]
    offset: FloatArray
    cluster_offset: FloatArray


def data_rows(observed: ObservedData) -> Rows:
    """Return the rows of the data."""
    return Rows(
        y=observed.y,
        design=np.column_stack([np.ones(observed.n_rows), observed.x]),
        cluster=observed.cluster,
        cluster_ids=observed.cluster_ids,
        cluster_design=observed.cluster_design,
        row_index=observed.row_index,
        offset=_offset(observed.y_exposure, observed.y.shape),
        cluster_offset=_offset(observed.z_exposure, observed.z.shape),
    )


def _offset(exposure: FloatArray | None, shape: tuple[int, ...]) -> FloatArray:
    return np.zeros(shape) if exposure is None else np.log(exposure)


def by_row(rows: Rows, what: str, names: Sequence[str], **values: FloatArray) -> pd.DataFrame:
    """Stack values (N, k) of k variables: columns ``what``, cluster, and one per value.

    The index has the labels of the rows. Where they repeat, a column ``obs_id`` numbers the rows,
    as in :func:`row_coordinates`.
    """
    clusters = None if rows.cluster is None else rows.cluster_ids.take(rows.cluster)
    parts = []
    for i, name in enumerate(names):
        columns: dict[str, Any] = {what: np.full(len(rows.design), name, dtype=object)}
        columns |= {} if clusters is None else {"cluster": clusters.array}
        columns |= {key: value[:, i] for key, value in values.items()}
        if not rows.row_index.is_unique:
            columns["obs_id"] = np.arange(len(rows.design))
        parts.append(pd.DataFrame(columns, index=rows.row_index))
    return pd.concat(parts)


def row_coordinates(rows: Rows) -> dict[str, Any]:
    """Coordinates of draws by row: ``obs_id`` numbers the rows, ``row`` has their labels.

    Of an index of several levels, each has a coordinate, ``row_`` and its name, or its position
    where the name is missing or not unique. Labels may repeat, so that they are no index.
    """
    index, n = rows.row_index, len(rows.design)
    coordinates: dict[str, Any] = {"obs_id": np.arange(n)}
    if not isinstance(index, pd.MultiIndex):
        return coordinates | {"row": ("obs_id", _labels(index))}
    names = list(index.names)
    for i, name in enumerate(names):
        clear = name is not None and [str(n) for n in names].count(str(name)) == 1
        key = f"row_{name if clear else i}"
        coordinates[key] = ("obs_id", _labels(index.get_level_values(i)))
    return coordinates


def _labels(index: pd.Index[Any]) -> NDArray[Any]:
    """Labels as an array: numbers and times as such, all others as objects."""
    values = index.to_numpy()
    if values.dtype.kind in "iufbmM":
        return values
    result = np.empty(len(index), dtype=object)
    result[:] = list(index)
    return result


def repeated_labels(rows: Rows) -> str:
    """Sentence about labels of rows that are not unique; empty if all are."""
    if rows.row_index.is_unique:
        return ""
    labels, n = rows.row_index.nunique(dropna=False), len(rows.row_index)
    return f" The index repeats: {labels} labels of {n} rows, which obs_id numbers."


def new_rows(
    frame: pd.DataFrame,
    observed: ObservedData,
    *,
    clusters: Clusters = "known",
    outcomes: bool = False,
) -> Rows:
    """Read new rows.

    Parameters
    ----------
    frame
        With the covariates, and the cluster column if the clusters are known.
    observed
        The data that the model was fitted to.
    clusters
        "known": clusters of the data. "new": others, whatever their identifiers; without a cluster
        column every row is a cluster of its own.
    outcomes
        Whether the outcomes are needed; values may be missing.

    Raises
    ------
    DataError
        Columns or values are missing, or clusters are unknown; the message names them.
    """
    check_frame(frame)
    is_new = clusters == "new" and observed.cluster is not None
    needed = observed.x_names + (observed.w_names if is_new else ())
    _check_present(frame, observed.coded.given(needed), "covariates")
    frame = with_coded(frame, observed.coded, needed, what="newdata")
    counts = (*observed.y_names, *(observed.z_names if is_new else ()))
    of_counts = tuple(observed.exposure[v] for v in counts if v in observed.exposure)
    _check_present(frame, of_counts, "exposures")
    if outcomes:
        _check_present(frame, observed.y_names, "outcomes")
    read = (*needed, *of_counts, *(observed.y_names if outcomes else ()))
    check_columns(frame, read)
    values = numeric_columns(frame, read)
    for name in needed:
        if np.isnan(values[name]).any():
            raise DataError(
                f"newdata has no value of the covariate {observed.coded.origin(name)} in "
                f"{positions(np.isnan(values[name]))}; fill it in or drop these rows"
            )
    n = len(frame)
    y = np.full((n, len(observed.y_names)), np.nan)
    if outcomes:
        y = np.column_stack([values[name] for name in observed.y_names])
    design = np.column_stack([np.ones(n), *(values[name] for name in observed.x_names)])
    codes, ids = _clusters(frame, observed, is_new)
    cluster_design, z_exposure = observed.cluster_design, observed.z_exposure
    if is_new and codes is not None:
        first = np.unique(codes, return_index=True)[1]
        own = _cluster_columns(observed)
        of_clusters = {v: _constant(v, values[v], codes, ids, first) for v in own}
        w = [of_clusters[v] for v in observed.w_names]
        cluster_design = np.column_stack([np.ones(len(ids)), *w])
        there = dict.fromkeys(observed.z_names, np.zeros(len(ids)))
        z_exposure = exposures_of(
            observed.z_names, there, observed.exposure, of_clusters, "cluster"
        )
    # an exposure is needed in every row, so outcomes count as there
    there = dict.fromkeys(observed.y_names, np.zeros(n))
    exposure = exposures_of(observed.y_names, there, observed.exposure, values, "row")
    offset = _offset(exposure, y.shape)
    shape = (len(cluster_design), len(observed.z_names))
    cluster_offset = _offset(z_exposure, shape)
    return Rows(y, design, codes, ids, cluster_design, frame.index.copy(), offset, cluster_offset)


def _cluster_columns(observed: ObservedData) -> tuple[str, ...]:
    """Covariates and exposures that have one value per cluster."""
    of_z = (observed.exposure[z] for z in observed.z_names if z in observed.exposure)
    return (*observed.w_names, *of_z)


def _constant(
    name: str, values: FloatArray, codes: IntArray, ids: pd.Index[Any], first: IntArray
) -> FloatArray:
    """Values of the clusters, which begin in the rows ``first``."""
    by_cluster: FloatArray = values[first]
    varies = (values != by_cluster[codes]) & ~(np.isnan(values) & np.isnan(by_cluster[codes]))
    if varies.any():
        raise DataError(
            f"'{name}' belongs to level 2 but varies within the new cluster "
            f"{listed([ids[codes[varies.argmax()]]])}; give it one value per cluster"
        )
    return by_cluster


def check_clusters(clusters: str) -> None:
    """Raise if the kind of clusters asked for does not exist."""
    if clusters not in get_args(Clusters):
        raise SpecificationError(
            f"clusters='{clusters}' is unknown; use 'known' or 'new'"
            f"{nearest(str(clusters), get_args(Clusters))}"
        )


def _check_present(frame: pd.DataFrame, names: tuple[str, ...], what: str) -> None:
    missing = [name for name in names if name not in frame.columns]
    if missing:
        raise DataError(
            f"newdata lacks the {what} {listed(missing)}; add these columns "
            f"(it has {listed(list(frame.columns)[:_MOST])}"
            f"{', ...' if len(frame.columns) > _MOST else ''})"
        )


def _clusters(
    frame: pd.DataFrame, observed: ObservedData, is_new: bool
) -> tuple[IntArray | None, pd.Index[Any]]:
    """Codes and identifiers of the clusters."""
    name = observed.cluster_name
    if observed.cluster is None or name is None:
        return None, observed.cluster_ids
    if is_new and name not in frame.columns:
        codes, ids = np.arange(len(frame)), pd.Index(frame.index)
    elif name not in frame.columns:
        raise DataError(
            f"newdata lacks the cluster column '{name}'; add it, or use new_clusters=True for rows "
            "of clusters that are not in the data"
        )
    else:
        codes, ids = code_clusters(frame[name], name)
    if not is_new:
        place = observed.cluster_ids.get_indexer(ids)
        if (place < 0).any():
            unknown, known = list(ids[place < 0]), list(observed.cluster_ids[:3])
            more = f" and {len(unknown) - _MOST} more" if len(unknown) > _MOST else ""
            raise DataError(
                f"newdata has clusters that are not in the data: "
                f"{listed(unknown[:_MOST])}{more}; use new_clusters=True for those, or "
                f"correct them (the data have {listed(known)}, ...)"
            )
        return place[codes].astype(np.int64), observed.cluster_ids
    return codes.astype(np.int64), ids
