"""The data of one model as arrays, by role.

Roles come from the parameter table, in its order:

=====  ==================================================  ==========
array  role in the table                                   shape
=====  ==================================================  ==========
``y``  split, or within-only                               (N, p)
``z``  cluster-level (modelled)                            (J, q)
``x``  covariate (conditioned on)                          (N, kx)
``w``  cluster-level covariate (conditioned on)            (J, kw)
=====  ==================================================  ==========

Three-level models have ``z3`` (K, q3) and ``w3`` (K, k3) besides, the same for top units, and
``parent`` (J,), the top unit of each cluster.

Missing values are NaN: possible in y and z, in x only where a row has no observed y, never in w.
Ordered outcomes hold codes 0, 1, ... of their categories, counts the counts. Clusters are numbered
in order of first appearance. Dummies and products among the covariates are computed
(:mod:`bayes_msem.data.coded_columns`); what they are made of stands in ``sources``, where it is no
variable itself. All arrays are copies of the user's columns, and read-only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayes_msem.data.coded_columns import CodedColumns
from bayes_msem.data.readonly import ReadOnlyArrays, frozen
from bayes_msem.outcomes.families import Family
from bayes_msem.spec.statements import Part

__all__ = [
    "ObservedData",
    "categorical",
    "columns_of",
    "frame_of",
    "given_columns_of",
    "labelled",
    "side_by_side",
    "source_rows",
]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


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
    families
        Family of each outcome, in y or z, that is not normal.
    categories
        Labels of the categories of each ordered outcome, from the lowest on.
    exposure
        Column with the exposure of each count that has one.
    y_exposure, z_exposure
        Exposures, (N, p) and (J, q), 1 for outcomes without, NaN where one is unknown (and its
        count missing); None where no outcome has one.
    coded
        How the covariates that are dummies and products are computed.
    sources
        Columns that they come from, in the order of ``source_names``, (N, k): numbers, or codes of
        categories; None where there are none.
    parent
        Top unit of each cluster, (J,), from 0 to K - 1 in order of first appearance; None unless
        the model has three levels. All fields below are empty then.
    top_ids, top_name
        Identifiers of the top units, (K,), and the column that holds them.
    z3, z3_names, w3, w3_names
        Modelled variables and covariates of top units, (K, q3) and (K, k3).
    top_split_names
        Those of ``y_names`` and ``z_names`` that have a part at level 3.
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
    families: Mapping[str, Family] = field(default_factory=dict)
    categories: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    exposure: Mapping[str, str] = field(default_factory=dict)
    y_exposure: FloatArray | None = None
    z_exposure: FloatArray | None = None
    coded: CodedColumns = field(default_factory=CodedColumns)
    sources: FloatArray | None = None
    parent: IntArray | None = None
    top_ids: pd.Index[Any] = field(default_factory=lambda: pd.Index([]))
    top_name: str | None = None
    z3: FloatArray = field(default_factory=lambda: frozen(np.empty((0, 0))))
    z3_names: tuple[str, ...] = ()
    w3: FloatArray = field(default_factory=lambda: frozen(np.empty((0, 0))))
    w3_names: tuple[str, ...] = ()
    top_split_names: tuple[str, ...] = ()

    @property
    def source_names(self) -> tuple[str, ...]:
        """Columns that covariates are computed from and that are no variables themselves."""
        names = {*self.y_names, *self.z_names, *self.x_names, *self.w_names}
        names |= {*self.z3_names, *self.w3_names}
        return tuple(name for name in self.coded.sources() if name not in names)

    @property
    def n_rows(self) -> int:
        """Number of observations N."""
        return int(self.y.shape[0])

    @property
    def n_clusters(self) -> int:
        """Number of clusters J; 0 in single-level models."""
        return int(self.sizes.shape[0])

    @property
    def normal_z_names(self) -> tuple[str, ...]:
        """Cluster-level variables that are normal."""
        return tuple(name for name in self.z_names if name not in self.families)

    @property
    def normal_z(self) -> FloatArray:
        """Cluster-level variables that are normal, (J, n_z)."""
        return self.z[:, [name not in self.families for name in self.z_names]]

    def outcome(self, name: str) -> FloatArray:
        """Values of an outcome, by row, by cluster or by top unit."""
        values, names = (self.z, self.z_names) if name in self.z_names else (self.y, self.y_names)
        if name in self.z3_names:
            values, names = self.z3, self.z3_names
        column: FloatArray = values[:, names.index(name)]
        return column

    @property
    def incomplete(self) -> bool:
        """Whether some y or z is missing."""
        return any(bool(np.isnan(values).any()) for values in (self.y, self.z, self.z3))

    @property
    def informative(self) -> NDArray[np.bool_]:
        """Which rows have any observed outcome, (N,); the others are kept, but say nothing."""
        return ~np.isnan(self.y).all(axis=1)

    @property
    def outcome_means(self) -> FloatArray:
        """Means of the observed values of y, (p,); 0 where there are none (a single cluster)."""
        seen = (column[~np.isnan(column)] for column in self.y.T)
        return np.array([values.mean() if len(values) else 0.0 for values in seen])

    @property
    def cluster_design(self) -> FloatArray:
        """Design (1, w) of level 2, (J, 1 + kw)."""
        return np.column_stack([np.ones(self.n_clusters), self.w])

    @property
    def two_level(self) -> bool:
        """Whether rows are grouped in clusters."""
        return self.cluster is not None

    @property
    def three_level(self) -> bool:
        """Whether clusters lie in top units."""
        return self.parent is not None

    @property
    def n_tops(self) -> int:
        """Number of top units K; 0 unless there are three levels."""
        return len(self.top_ids)

    @property
    def top_design(self) -> FloatArray:
        """Design (1, w3) of level 3, (K, 1 + k3)."""
        return np.column_stack([np.ones(self.n_tops), self.w3])

    @property
    def cluster_names(self) -> tuple[str, ...]:
        """Columns with identifiers, the inner one first."""
        return tuple(name for name in (self.cluster_name, self.top_name) if name is not None)


def side_by_side(
    columns: Mapping[str, FloatArray], names: tuple[str, ...], length: int
) -> FloatArray:
    """Put the named columns side by side, (length, len(names)), read-only."""
    out = np.empty((length, len(names)))
    for k, name in enumerate(names):
        out[:, k] = columns[name]
    return frozen(out)


def columns_of(
    observed: ObservedData, y: FloatArray, z: FloatArray, z3: FloatArray | None = None
) -> dict[str, FloatArray]:
    """Columns of the data with outcomes y (N, p) and z (J, q), in the order y, x, z, w.

    Outcomes of top units, z3 (K, q3) or else those of the data, and w3 come last.

    Ordered outcomes are columns of codes; columns of exposures come first.
    """
    columns = dict(zip(observed.y_names, y.T, strict=True))
    columns |= dict(zip(observed.x_names, observed.x.T, strict=True))
    if observed.cluster is not None:
        columns |= dict(zip(observed.z_names, z[observed.cluster].T, strict=True))
        columns |= dict(zip(observed.w_names, observed.w[observed.cluster].T, strict=True))
    if observed.parent is not None:
        top = observed.parent[observed.cluster]
        z3 = observed.z3 if z3 is None else z3
        columns |= dict(zip(observed.z3_names, z3[top].T, strict=True))
        columns |= dict(zip(observed.w3_names, observed.w3[top].T, strict=True))
    return _exposures(observed) | columns if observed.exposure else columns


def given_columns_of(
    observed: ObservedData, y: FloatArray, z: FloatArray, z3: FloatArray | None = None
) -> dict[str, FloatArray]:
    """Columns from which the same data follow: as in :func:`columns_of`, but sources, not coded.

    Columns of categories hold codes.
    """
    columns = columns_of(observed, y, z, z3)
    if not observed.coded.columns:
        return columns
    assert observed.sources is not None
    kept = {name: v for name, v in columns.items() if name not in observed.coded.columns}
    return kept | dict(zip(observed.source_names, observed.sources.T, strict=True))


def source_rows(observed: ObservedData, part: Part) -> FloatArray:
    """Values of one variable of a coded column in every row, (N,); dummies are 0 and 1."""
    columns = given_columns_of(observed, observed.y, observed.z)
    values = columns[part.column]
    if part.kind == "column":
        return values
    code = observed.coded.categories[part.column].index(observed.coded.category(part))
    return np.where(np.isnan(values), np.nan, (values == code).astype(np.float64))


def _exposures(observed: ObservedData) -> dict[str, FloatArray]:
    """Columns with exposures, (N,)."""
    columns = {}
    for name, column in observed.exposure.items():
        if name in observed.y_names:
            assert observed.y_exposure is not None
            columns[column] = observed.y_exposure[:, observed.y_names.index(name)]
        else:
            assert observed.z_exposure is not None
            of_clusters = observed.z_exposure[:, observed.z_names.index(name)]
            columns[column] = of_clusters[observed.cluster]
    return columns


def labelled(codes: Any, labels: tuple[Any, ...]) -> Any:
    """Return codes of categories as the values they stand for: numbers, truth values, or labels.

    Parameters
    ----------
    codes
        Codes 0, 1, ..., (n,); NaN for missing ones.
    labels
        Labels from the lowest category on.

    Returns
    -------
    numpy.ndarray or pandas.Categorical
        Floats where all labels are numbers, else an ordered categorical.
    """
    codes = np.asarray(codes)
    seen = ~np.isnan(codes)
    whole = np.where(seen, codes, -1).astype(np.int64)
    if all(isinstance(label, int | float) and not isinstance(label, bool) for label in labels):
        return np.where(seen, np.array(labels, dtype=np.float64)[whole], np.nan)
    return pd.Categorical.from_codes(whole, categories=pd.Index(labels), ordered=True)


def categorical(codes: Any, labels: tuple[Any, ...]) -> pd.Categorical:
    """Return codes of a predictor's categories, NaN where missing, as unordered categories."""
    codes = np.asarray(codes)
    whole = np.where(np.isnan(codes), -1, codes).astype(np.int64)
    return pd.Categorical.from_codes(whole, categories=pd.Index(labels))


def frame_of(
    observed: ObservedData, y: FloatArray, z: FloatArray, z3: FloatArray | None = None
) -> pd.DataFrame:
    """Frame with the clusters, covariates and row index of the data, and outcomes y and z.

    Parameters
    ----------
    observed
        The data.
    y, z, z3
        Outcomes of the levels, (N, p), (J, q) and, with three levels, (K, q3).

    Returns
    -------
    pandas.DataFrame
        Columns cluster, top unit, y, x, z, w, z3, w3; ordered outcomes have their
        labels. In the place of dummies and products stand the columns that they are made of.
    """
    columns: dict[str, object] = {}
    if observed.cluster is not None and observed.cluster_name is not None:
        columns[observed.cluster_name] = observed.cluster_ids.take(observed.cluster)
    if observed.parent is not None and observed.top_name is not None:
        columns[observed.top_name] = observed.top_ids.take(observed.parent[observed.cluster])
    columns |= given_columns_of(observed, y, z, z3)
    for name, labels in observed.categories.items():
        columns[name] = labelled(columns[name], labels)
    for name, labels in observed.coded.categories.items():
        columns[name] = categorical(columns[name], labels)
    return pd.DataFrame(columns, index=observed.row_index)
