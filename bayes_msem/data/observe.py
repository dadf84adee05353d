"""From a data frame to arrays: which variable plays which role, and who belongs to which cluster.

Roles come from the parameter table, in its order:

=====  ==================================================  ==========
array  role in the table                                   shape
=====  ==================================================  ==========
``y``  split, or within-only                               (N, p)
``z``  cluster-level (modelled)                            (J, q)
``x``  covariate (conditioned on)                          (N, kx)
``w``  cluster-level covariate (conditioned on)            (J, kw)
=====  ==================================================  ==========

Missing values are NaN: possible in y and z (see data.missing), in x only where a row has no
observed y, never in w. Clusters are numbered in order of first appearance. The frame is read,
never written to: all arrays are copies, and they are read-only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayes_msem.data import checks, columns
from bayes_msem.data import missing as missing_values
from bayes_msem.data.readonly import ReadOnlyArrays, frozen

if TYPE_CHECKING:
    from bayes_msem.spec.table import ParameterTable

__all__ = ["Missing", "ObservedData", "columns_of", "frame_of", "observe"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
Missing = Literal["fiml", "listwise"]


@dataclass(frozen=True, slots=True, eq=False)
class ObservedData(ReadOnlyArrays):
    """The data of one model; every array is read-only.

    In single-level models ``cluster`` and ``cluster_name`` are None and there are no clusters:
    ``sizes``, ``cluster_ids``, ``z`` and ``w`` have length 0.

    Parameters
    ----------
    y, y_names
        Level-1 outcomes and indicators, (N, p).
    split_names
        Those of ``y_names`` that have a between part.
    z, z_names
        Modelled cluster-level variables, (J, q).
    x, x_names
        Level-1 covariates, (N, kx).
    w, w_names
        Cluster-level covariates, (J, kw).
    cluster
        Cluster code of each row, (N,), from 0 to J - 1 in order of first appearance.
    cluster_ids
        Original identifier of each cluster, (J,).
    cluster_name
        Name of the column that holds the identifiers.
    sizes
        Number of rows of each cluster, (J,).
    row_index
        Index of the data frame, (N,), for outputs with one row per observation.
    dropped
        Number of rows of the frame that listwise deletion left out.
    """

    y: FloatArray
    y_names: tuple[str, ...]
    split_names: tuple[str, ...]
    z: FloatArray
    z_names: tuple[str, ...]
    x: FloatArray
    x_names: tuple[str, ...]
    w: FloatArray
    w_names: tuple[str, ...]
    cluster: IntArray | None
    cluster_ids: pd.Index[Any]
    cluster_name: str | None
    sizes: IntArray
    row_index: pd.Index[Any]
    dropped: int = 0

    @property
    def n_rows(self) -> int:
        """Number of observations N."""
        return int(self.y.shape[0])

    @property
    def n_clusters(self) -> int:
        """Number of clusters J; 0 in single-level models."""
        return int(self.sizes.shape[0])

    @property
    def incomplete(self) -> bool:
        """Whether some y or z is missing."""
        return bool(np.isnan(self.y).any() or np.isnan(self.z).any())

    @property
    def informative(self) -> NDArray[np.bool_]:
        """Which rows have any observed outcome, (N,); the others are kept, but say nothing."""
        return ~np.isnan(self.y).all(axis=1)

    @property
    def outcome_means(self) -> FloatArray:
        """Means of the observed values of y, (p,)."""
        return np.array([column[~np.isnan(column)].mean() for column in self.y.T])

    @property
    def cluster_design(self) -> FloatArray:
        """Design (1, w) of level 2, (J, 1 + kw)."""
        return np.column_stack([np.ones(self.n_clusters), self.w])

    @property
    def two_level(self) -> bool:
        """Whether rows are grouped in clusters."""
        return self.cluster is not None


def columns_of(observed: ObservedData, y: FloatArray, z: FloatArray) -> dict[str, FloatArray]:
    """Columns of the data with outcomes y (N, p) and z (J, q), in the order y, x, z, w."""
    columns = dict(zip(observed.y_names, y.T, strict=True))
    columns |= dict(zip(observed.x_names, observed.x.T, strict=True))
    if observed.cluster is not None:
        columns |= dict(zip(observed.z_names, z[observed.cluster].T, strict=True))
        columns |= dict(zip(observed.w_names, observed.w[observed.cluster].T, strict=True))
    return columns


def frame_of(observed: ObservedData, y: FloatArray, z: FloatArray) -> pd.DataFrame:
    """Frame with the clusters, covariates and row index of the data, and outcomes y and z.

    Parameters
    ----------
    observed
        The data.
    y, z
        Outcomes of both levels, (N, p) and (J, q).

    Returns
    -------
    pandas.DataFrame
        Columns cluster, y, x, z, w.
    """
    columns: dict[str, object] = {}
    if observed.cluster is not None and observed.cluster_name is not None:
        columns[observed.cluster_name] = observed.cluster_ids.take(observed.cluster)
    columns |= columns_of(observed, y, z)
    return pd.DataFrame(columns, index=observed.row_index)


def observe(
    frame: pd.DataFrame,
    table: ParameterTable,
    cluster: str | None,
    *,
    missing: Missing = "fiml",
) -> ObservedData:
    """Take from ``frame`` what the model needs, and check it.

    Parameters
    ----------
    frame
        One row per observation (long format). Never modified.
    table
        Parameter table of the model; its roles say which columns are read, and how.
    cluster
        Name of the column with the cluster identifiers (any type); None for single-level
        models.
    missing
        "fiml": rows with missing outcomes are kept. "listwise": rows with any missing value are
        left out, and counted.

    Returns
    -------
    ObservedData
        Copies of the columns as float64 arrays, with the clusters coded.

    Raises
    ------
    DataError
        If the data cannot serve the model; the message names the culprit and the fix.
    """
    y_names = table.variables("within", "split", "within-only")
    split_names = table.variables("within", "split")
    x_names = table.variables("within", "covariate")
    z_names = table.variables("between", "cluster-level")
    w_names = table.variables("between", "cluster-level covariate")
    names = y_names + z_names + x_names + w_names

    columns.check_frame(frame)
    columns.check_cluster_argument(frame, cluster, two_level=table.two_level)
    columns.check_columns(frame, names)
    values = {name: columns.numeric_column(frame[name], name) for name in names}
    missing_values.check_any_observed(values)
    dropped = 0
    if missing == "listwise":
        keep = missing_values.complete_rows(values)
        dropped = int((~keep).sum())
        frame = frame[keep]
        values = {name: column[keep] for name, column in values.items()}
    codes, ids = None, pd.Index([])
    sizes, of_clusters = np.empty(0, np.int64), {}
    if cluster is not None:
        codes, ids = columns.code_clusters(frame[cluster], cluster)
        sizes = np.bincount(codes)
        checks.check_cluster_sizes(sizes, ids)
        for name in z_names + w_names:
            of_clusters[name] = checks.cluster_values(name, values[name], codes, ids)
    missing_values.check_covariates(values, x_names, y_names, of_clusters, w_names, ids)
    observed = ObservedData(
        y=_stack(values, y_names, len(frame)),
        y_names=y_names,
        split_names=split_names,
        z=_stack(of_clusters, z_names, len(ids)),
        z_names=z_names,
        x=_stack(values, x_names, len(frame)),
        x_names=x_names,
        w=_stack(of_clusters, w_names, len(ids)),
        w_names=w_names,
        cluster=frozen(codes) if codes is not None else None,
        cluster_ids=ids,
        cluster_name=cluster,
        sizes=frozen(sizes),
        row_index=frame.index.copy(),
        dropped=dropped,
    )
    checks.check_counts(observed)
    checks.check_variation(observed)
    checks.check_collinear(observed)
    return observed


def _stack(columns: dict[str, FloatArray], names: tuple[str, ...], length: int) -> FloatArray:
    """Put columns side by side."""
    out = np.empty((length, len(names)))
    for k, name in enumerate(names):
        out[:, k] = columns[name]
    return frozen(out)
