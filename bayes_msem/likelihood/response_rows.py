"""Rows with outcomes that are not normal, packed for kernels.row_scores.

Rows stand in the order of their clusters, and within clusters in that of their patterns: which
normal outcomes they miss. Beside each response stand its working weight and working
response: the normal approximation of its density around a pilot, on which the coordinates of the
scores are built. Without one (weights of zero) scores are standardised.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from bayes_msem.data.observed_data import ObservedData
from bayes_msem.data.readonly import ReadOnlyArrays, frozen
from bayes_msem.kernels.augmented import RowPart
from bayes_msem.kernels.layout import flat_cells, pack
from bayes_msem.structure.response_template import ResponseTemplate

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

__all__ = ["Responses", "lay_out_rows", "log_exposure"]


@dataclass(frozen=True, slots=True, eq=False)
class Responses(ReadOnlyArrays):
    """The rows of one model and one data set.

    Attributes
    ----------
    template
        Their template.
    order
        Positions of the rows in the data, in the order of their clusters and patterns, (N,).
    first
        Rows first[j] to first[j + 1] are those of cluster j, (J + 1,).
    pattern, missing
        Pattern of every row, (N,), and which normal outcomes each pattern misses, (patterns, n_v).
    design, normal, y, offset
        (1, x), normal outcomes (0 where missing), responses, and what is added to eta, by row in
        that order.
    weight, target
        Working weights and working responses (N, K); zeros without a pilot.
    carried
        y* of carried responses around which coordinates are built, (N, M), less the middle of their
        thresholds where there is no random intercept; zeros without a pilot.
    part
        What kernels read.
    """

    template: ResponseTemplate
    order: IntArray
    first: IntArray
    pattern: IntArray
    missing: NDArray[np.bool_]
    design: FloatArray
    normal: FloatArray
    y: FloatArray
    offset: FloatArray
    weight: FloatArray
    target: FloatArray
    carried: FloatArray
    part: RowPart = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Pack."""
        rows = (self.design, self.normal, self.y, self.offset)
        pilot = (self.weight, self.target, self.carried)
        header = [len(self.first) - 1, len(self.y), len(self.missing)]
        parts = (self.first, self.pattern, self.missing, *rows, *pilot)
        floats = [np.array(header, dtype=np.float64), *(np.ravel(a) for a in parts)]
        ints = _pack_template(self.template)
        object.__setattr__(self, "part", RowPart(ints, frozen(np.concatenate(floats))))

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of rows, and of scores and carried responses of each."""
        return len(self.y), len(self.template.sampled)

    @property
    def cluster(self) -> IntArray:
        """Cluster of every row, in the order of the rows here."""
        return np.repeat(np.arange(len(self.first) - 1), np.diff(self.first))

    def with_working(
        self, weight: FloatArray, target: FloatArray, carried: FloatArray
    ) -> Responses:
        """Return the same rows with other coordinates of the scores."""
        return replace(self, weight=weight, target=target, carried=carried)

    def on(self, observed: ObservedData) -> Responses:
        """Return the rows of other data of the same kind.

        With the same coordinates of the scores if the rows are the same, as those of replicated
        outcomes; otherwise scores are standardised until a pilot has seen the data.
        """
        other = lay_out_rows(self.template, observed)
        if len(other.y) != len(self.y) or (other.first != self.first).any():
            return other
        # the same rows may stand in another order, if they miss other normal outcomes
        place, seen = np.argsort(self.order)[other.order], ~np.isnan(other.y)
        weight, target = self.weight[place] * seen, self.target[place] * seen
        return other.with_working(weight, target, self.carried[place])


def _pack_template(template: ResponseTemplate) -> IntArray:
    level, cells = template.level, template.cells
    sizes = [len(template.normal), len(level.names), len(level.outcomes), len(level.design)]
    arrays: list[NDArray[np.int64]] = [
        np.array([*sizes, int(level.recursive), len(template.carried)]),
        level.observed_variable,
        level.observed_position,
        *(flat_cells(c.row, c.column, c.source) for c in (level.b, level.psi, level.k)),
        template.normal_effect,
        np.array([f.code for f in template.families.values()]),
        template.effect,
        template.first,
        template.threshold,
        template.dispersion,
        cells.row,
        cells.column,
        cells.source,
        template.correlations.row,
        template.correlations.column,
        template.correlations.source,
    ]
    return pack(arrays, np.int64)


def lay_out_rows(template: ResponseTemplate, observed: ObservedData) -> Responses:
    """Lay out the rows of a data set.

    Parameters
    ----------
    template
        The template of the rows.
    observed
        The data.
    """
    n = observed.n_rows
    cluster = np.zeros(n, np.int64) if observed.cluster is None else observed.cluster
    counts = np.bincount(cluster, minlength=max(observed.n_clusters, 1))
    columns = {name: i for i, name in enumerate(observed.y_names)}

    def of(names: tuple[str, ...]) -> FloatArray:
        return np.ascontiguousarray(observed.y[:, [columns[v] for v in names]])

    missing, pattern = np.unique(np.isnan(of(template.normal)), axis=0, return_inverse=True)
    order = np.lexsort((pattern, cluster))
    y = of(template.names)[order]
    none = np.zeros(y.shape)
    return Responses(
        template=template,
        order=order,
        first=np.concatenate([[0], np.cumsum(counts)]),
        pattern=pattern[order],
        missing=missing,
        # covariates are missing only where all outcomes are, so that any number does
        design=np.column_stack([np.ones(n), np.nan_to_num(observed.x[order])]),
        normal=np.nan_to_num(of(template.normal)[order]),
        y=y,
        # without an exposure there is no count either, so that any number does
        offset=np.nan_to_num(
            np.column_stack([log_exposure(observed, name)[order] for name in template.names])
        ),
        weight=none,
        target=none,
        carried=np.zeros((n, len(template.carried))),
    )


def log_exposure(observed: ObservedData, name: str) -> FloatArray:
    """Logarithm of the exposure of a count, (N,), NaN if unknown; zero for all others."""
    if name not in observed.exposure or observed.y_exposure is None:
        return np.zeros(observed.n_rows)
    offset: FloatArray = np.log(observed.y_exposure[:, observed.y_names.index(name)])
    return offset
