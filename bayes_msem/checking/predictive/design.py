"""The design of the data under check: what all replicates of a data set share, computed once.

A check looks at the rows that have some observed outcome, sorted by cluster. For the level within,
what the random effects could explain is swept out of every cluster: outcomes are replaced by their
residuals from the cluster's own regression on the covariates that carry random effects (the
constant among them). The residuals do not depend on the effects at all, so the level within is
checked without a word about the level between.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from bayes_msem.blueprint.blueprint import Blueprint
from bayes_msem.data.observed_data import ObservedData
from bayes_msem.data.subsets import take_rows
from bayes_msem.errors import SpecificationError
from bayes_msem.structure.model_template import ModelTemplate

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_RANK = 1e-9  # relative size of singular values that count as zero


@dataclass(frozen=True, eq=False)
class Design:
    """Rows, clusters and covariates of a check.

    Attributes
    ----------
    observed
        The rows under check, sorted by cluster; their outcomes may be incomplete.
    rows, clusters
        Their positions, and those of their clusters, in the data of the model.
    template
        Of the model.
    columns
        Positions in d = (1, x) of what carries random effects; empty in single-level models.
    outcome_slopes
        Regressions of one outcome on another at level within, as positions (outcome, predictor).
    """

    observed: ObservedData
    rows: IntArray
    clusters: IntArray
    template: ModelTemplate
    columns: IntArray
    outcome_slopes: tuple[tuple[int, int], ...]

    @property
    def n_rows(self) -> int:
        """Number of rows N."""
        return self.observed.n_rows

    @property
    def n_clusters(self) -> int:
        """Number of clusters J; single-level data are one cluster."""
        return max(self.observed.n_clusters, 1)

    @property
    def two_level(self) -> bool:
        """Whether the rows are in clusters."""
        return self.observed.two_level

    @property
    def shared(self) -> bool:
        """Whether all clusters have the same loadings, slopes of latent variables and variances."""
        return not self.template.effects.rows

    @cached_property
    def codes(self) -> IntArray:
        """Cluster of every row, (N,), ascending."""
        if self.observed.cluster is None:
            return np.zeros(self.n_rows, np.int64)
        return self.observed.cluster

    @cached_property
    def first(self) -> IntArray:
        """First row of every cluster, (J,)."""
        return np.searchsorted(self.codes, np.arange(self.n_clusters))

    @cached_property
    def sizes(self) -> FloatArray:
        """Number of rows of every cluster, (J,)."""
        return np.bincount(self.codes, minlength=self.n_clusters).astype(np.float64)

    @cached_property
    def center(self) -> FloatArray:
        """What is subtracted from y, so that no digits are lost, (p,).

        Nothing in models with categories or counts, which stay whole numbers.
        """
        if self.template.responses is not None:
            return np.zeros(len(self.observed.y_names))
        return self.observed.outcome_means

    @cached_property
    def d(self) -> FloatArray:
        """Design (1, x) of level 1, (N, D)."""
        return np.column_stack([np.ones(self.n_rows), self.observed.x])

    @cached_property
    def rest(self) -> IntArray:
        """Columns of d that carry no random effects."""
        return np.setdiff1d(np.arange(self.d.shape[1]), self.columns)

    def sums(self, values: FloatArray) -> FloatArray:
        """Sum rows within clusters, (J, ...)."""
        result: FloatArray = np.add.reduceat(values, self.first, axis=0)
        return result

    @cached_property
    def _basis(self) -> tuple[FloatArray, IntArray]:
        """Orthonormal basis, in every cluster, of the columns with random effects; their rank."""
        d, n = self.d[:, self.columns], len(self.columns)
        if n == 1 and self.columns[0] == 0:
            return 1.0 / np.sqrt(self.sizes)[self.codes][:, None], np.ones(self.n_clusters, int)
        basis, rank = np.zeros((self.n_rows, n)), np.zeros(self.n_clusters, np.int64)
        scale = np.sqrt((d**2).mean(axis=0))
        for j, rows in enumerate(np.split(np.arange(self.n_rows), self.first[1:])):
            left, values, _ = np.linalg.svd(d[rows] / scale, full_matrices=False)
            rank[j] = int((values > _RANK * values.max(initial=0.0)).sum())
            basis[rows, : rank[j]] = left[:, : rank[j]]
        return basis, rank

    @cached_property
    def complete_clusters(self) -> IntArray:
        """Clusters whose own rows identify all their linear effects."""
        return np.flatnonzero(self._basis[1] == len(self.columns))

    def sweep(self, values: FloatArray) -> FloatArray:
        """Residuals of columns (N, k) from the clusters' own regressions."""
        for column in self._basis[0].T:
            direction = column[:, None]
            values = values - direction * self.sums(direction * values)[self.codes]
        return values

    @cached_property
    def df_within(self) -> float:
        """Independent residual rows of the level within."""
        return float(self.n_rows - self._basis[1].sum()) if self.two_level else float(self.n_rows)

    @cached_property
    def rest_swept(self) -> FloatArray:
        """Swept columns without random effects, (N, k)."""
        return self.sweep(self.d[:, self.rest])

    @cached_property
    def rest_products(self) -> FloatArray:
        """Cross products of the swept columns, pooled (1, k, k) or per cluster (J, k, k)."""
        return self.products(self.rest_swept, self.rest_swept)

    @cached_property
    def rest_inverse(self) -> FloatArray:
        """Pseudo-inverse of the pooled cross products of the swept columns, (k, k)."""
        return _inverse(self.rest_products.sum(axis=0))

    def products(self, left: FloatArray, right: FloatArray) -> FloatArray:
        """Cross products of columns: pooled (1, k, m) if clusters share Sigma, else (J, k, m)."""
        if self.shared:
            return (left.T @ right)[None]
        return self.sums(left[:, :, None] * right[:, None, :])

    @cached_property
    def design_products(self) -> FloatArray:
        """Sums of d_c d' for the columns c with random effects, (J, C, D)."""
        return self.sums(self.d[:, self.columns, None] * self.d[:, None, :])

    @cached_property
    def effect_design_products(self) -> FloatArray:
        """Sums of d_c d_c' for the columns c with random effects, (J, C, C)."""
        return self.design_products[:, :, self.columns]

    @cached_property
    def kinds(self) -> tuple[IntArray, IntArray]:
        """Complete clusters that differ in ``effect_design_products``, and the kind of each.

        Where only intercepts vary, clusters of one size are of one kind.
        """
        products = self.effect_design_products[self.complete_clusters]
        flat = products.reshape(len(products), len(self.columns) ** 2)
        _, first, kind = np.unique(flat, axis=0, return_index=True, return_inverse=True)
        return first, kind.reshape(-1)

    @cached_property
    def level_two_inverse(self) -> FloatArray:
        """Pseudo-inverse of the cross products of (1, w) over complete clusters."""
        w = self.observed.cluster_design[self.complete_clusters]
        return _inverse(w.T @ w)

    @cached_property
    def x_swept(self) -> FloatArray:
        """Covariates without their cluster means (or without their mean), (N, kx)."""
        x = self.observed.x
        return x - (self.sums(x) / self.sizes[:, None])[self.codes]

    @cached_property
    def x_moving(self) -> tuple[int, ...]:
        """Covariates that vary inside clusters."""
        inside, total = self.x_swept.var(axis=0), self.observed.x.var(axis=0)
        return tuple(int(i) for i in np.flatnonzero(inside > _RANK * total))

    @cached_property
    def x_inverse(self) -> FloatArray:
        """Pseudo-inverse of the cross products of ``x_swept``."""
        return _inverse(self.x_swept.T @ self.x_swept)


def check_design(blueprint: Blueprint) -> Design:
    """Take from a model's data what a check looks at.

    Parameters
    ----------
    blueprint
        The model.

    Returns
    -------
    Design
        Without rows that have no observed outcome, and without clusters that have only such rows.

    Raises
    ------
    SpecificationError
        No row is left.
    """
    observed, template = blueprint.observed, blueprint.template
    rows = np.flatnonzero(observed.informative)
    if not len(rows):
        raise SpecificationError("the data have no row with an observed outcome to check")
    if observed.cluster is None:
        part = take_rows(observed, rows)
        return Design(part, rows, np.empty(0, np.int64), template, np.empty(0, np.int64), ())
    rows = rows[np.argsort(observed.cluster[rows], kind="stable")]
    part, clusters = take_rows(observed, rows), np.unique(observed.cluster[rows])
    columns = np.unique([0, *template.effects.use_column]).astype(np.int64)
    y = {name: i for i, name in enumerate(observed.y_names)}
    slopes = tuple(
        (y[row.lhs], y[row.rhs])
        for row in blueprint.table.rows
        if row.level == "within" and row.kind == "regression" and row.lhs in y and row.rhs in y
    )
    return Design(part, rows, clusters, template, columns, slopes)


def _inverse(products: FloatArray) -> FloatArray:
    """Pseudo-inverse of cross products, blind to the scales of the columns."""
    scale = np.sqrt(np.diag(products))
    scale = np.where(scale > 0, scale, 1.0)
    inverse: FloatArray = np.linalg.pinv(
        products / np.outer(scale, scale), rcond=_RANK, hermitian=True
    )
    result: FloatArray = inverse / np.outer(scale, scale)
    return result
