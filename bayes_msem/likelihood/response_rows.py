"""Rows with outcomes that are not normal, packed for kernels.row_pass.

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
from bayes_msem.errors import NotSupportedError
from bayes_msem.kernels.augmented import RowPart
from bayes_msem.kernels.layout import flat_cells, pack
from bayes_msem.kernels.responses import LOG_SD
from bayes_msem.structure.cluster_responses import ClusterResponses
from bayes_msem.structure.items import Items
from bayes_msem.structure.response_template import ResponseTemplate
from bayes_msem.structure.templates import Cells, cells_of

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

__all__ = ["Responses", "lay_out_rows", "log_exposure"]


@dataclass(frozen=True, slots=True, eq=False)
class Responses(ReadOnlyArrays):
    """The rows of one model and one data set.

    Attributes
    ----------
    template, of_clusters
        Their template, and that of the clusters' responses, if there are some.
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
    known, z, z_offset
        Of clusters: (1, w, z) with normal z, responses, and what is added to their eta, by cluster;
        empty without such responses.
    z_weight, z_target
        Working weights and working responses of the clusters' responses, as ``weight``, ``target``.
    part
        What kernels read.
    """

    template: ResponseTemplate
    of_clusters: ClusterResponses | None
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
    known: FloatArray
    z: FloatArray
    z_offset: FloatArray
    z_weight: FloatArray
    z_target: FloatArray
    part: RowPart = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Pack."""
        rows = (self.design, self.normal, self.y, self.offset)
        pilot = (self.weight, self.target, self.carried)
        top = (self.known, self.z, self.z_offset, self.z_weight, self.z_target)
        header = [len(self.first) - 1, len(self.y), len(self.missing)]
        # kernels take many rows at a time: a column after the other
        columns = [np.ravel(a.T) for a in (*rows, *pilot)]
        parts = (header, self.first, self.pattern, self.missing, *columns, *top)
        floats = [np.ravel(np.asarray(part, dtype=np.float64)) for part in parts]
        ints = _pack_template(self.template, self.of_clusters)
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

    def with_cluster_working(self, weight: FloatArray, target: FloatArray) -> Responses:
        """Return the same rows with another approximation of the clusters' responses."""
        return replace(self, z_weight=weight, z_target=target)

    def on(self, observed: ObservedData) -> Responses:
        """Return the rows of other data of the same kind.

        With the same coordinates of the scores if the rows are the same, as those of replicated
        outcomes; otherwise scores are standardised until a pilot has seen the data.
        """
        other = lay_out_rows(self.template, self.of_clusters, observed)
        if len(other.y) != len(self.y) or (other.first != self.first).any():
            return other
        # the same rows may stand in another order, if they miss other normal outcomes
        place = np.argsort(self.order)[other.order]
        seen, seen_z = ~np.isnan(other.y), ~np.isnan(other.z)
        weight, target = self.weight[place] * seen, self.target[place] * seen
        same = other.with_working(weight, target, self.carried[place])
        return same.with_cluster_working(self.z_weight * seen_z, self.z_target * seen_z)


def _pack_template(template: ResponseTemplate, of_clusters: ClusterResponses | None) -> IntArray:
    level = template.level
    sizes = [len(template.normal), len(level.names), len(level.outcomes), len(level.design)]
    none: IntArray = np.zeros(0, np.int64)
    n_known = 0 if of_clusters is None else of_clusters.n_fixed
    arrays: list[IntArray] = [
        np.array([*sizes, int(level.recursive), len(template.carried), n_known]),
        level.observed_variable,
        level.observed_position,
        *(flat_cells(c.row, c.column, c.source) for c in (level.b, level.psi, level.k)),
        template.normal_effect,
        template.stands_for,
        *_pack_items(template, template.effect, template.correlations, len(template.log_sds)),
    ]
    if of_clusters is None:
        arrays += [none, none, np.zeros(1, np.int64), *([none] * 8)]
    else:
        nowhere = np.full(len(of_clusters.names), -1)
        arrays += _pack_items(of_clusters, nowhere, cells_of([]))
    return pack(arrays, np.int64)


def _pack_items(
    items: Items, effect: IntArray, correlations: Cells, n_log_sds: int = 0
) -> list[IntArray]:
    cells, codes = items.cells, [f.code for f in items.families.values()]
    return [
        np.array(codes + [LOG_SD] * n_log_sds, dtype=np.int64),
        effect,
        items.first,
        items.threshold,
        items.dispersion,
        cells.row,
        cells.column,
        cells.source,
        correlations.row,
        correlations.column,
        correlations.source,
    ]


def lay_out_rows(
    template: ResponseTemplate, of_clusters: ClusterResponses | None, observed: ObservedData
) -> Responses:
    """Lay out the rows of a data set.

    Parameters
    ----------
    template, of_clusters
        Templates of the rows and of the clusters' responses.
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
    y = of(template.columns)[order]
    _check_stand_ins(template, np.isnan(of(template.normal))[order], np.isnan(y))
    none = np.zeros(y.shape)
    known, z, z_offset = _of_clusters(of_clusters, observed)
    return Responses(
        template=template,
        of_clusters=of_clusters,
        order=order,
        first=np.concatenate([[0], np.cumsum(counts)]),
        pattern=pattern[order],
        missing=missing,
        # covariates are missing only where all outcomes are, so that any number does
        design=np.column_stack([np.ones(n), np.nan_to_num(observed.x[order])]),
        normal=np.nan_to_num(of(template.normal)[order]),
        y=y,
        # without an exposure there is no count either, so that any number does
        offset=np.nan_to_num(_offsets(observed, template.columns)[order]),
        weight=none,
        target=none,
        carried=np.zeros((n, len(template.carried))),
        known=known,
        z=z,
        z_offset=z_offset,
        z_weight=np.zeros(z.shape),
        z_target=np.zeros(z.shape),
    )


def _check_stand_ins(
    template: ResponseTemplate, missing: NDArray[np.bool_], gone: NDArray[np.bool_]
) -> None:
    """Refuse rows that miss a normal outcome which a response of theirs needs.

    Parameters
    ----------
    missing, gone
        Which normal outcomes (N, n_v) and responses (N, K) are missing.
    """
    first = len(template.level.design)
    cells = zip(template.cells.row, template.cells.column - first, strict=True)
    for k, v in {(k, v) for k, v in cells if 0 <= v < len(template.normal)}:
        name = template.normal[v]
        if name in template.stand_ins or not (missing[:, v] & ~gone[:, k]).any():
            continue
        raise NotSupportedError(
            f"rows miss '{name}', which predicts '{template.columns[k]}' there; the model was made "
            f"for data in which '{name}' is known where it predicts. Make a model of these data"
        )


def _of_clusters(
    template: ClusterResponses | None, observed: ObservedData
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Regressors, responses and offsets of the clusters' responses; empty if there are none."""
    if template is None:
        none = np.zeros((0, 0))
        return none, none, none
    columns = [observed.z_names.index(name) for name in template.names]
    known = np.column_stack([observed.cluster_design, observed.normal_z])
    offset = np.nan_to_num(_offsets(observed, template.names))
    return known, np.ascontiguousarray(observed.z[:, columns]), offset


def _offsets(observed: ObservedData, names: tuple[str, ...]) -> FloatArray:
    """Logarithms of exposures of outcomes of one level, side by side."""
    n = observed.n_clusters if names and names[0] in observed.z_names else observed.n_rows
    columns = [log_exposure(observed, name) for name in names]
    return np.column_stack(columns) if columns else np.zeros((n, 0))


def log_exposure(observed: ObservedData, name: str) -> FloatArray:
    """Logarithm of the exposure of a count, by row or cluster, NaN if unknown; else zeros."""
    if name in observed.z_names:
        exposures, names, n = observed.z_exposure, observed.z_names, observed.n_clusters
    else:
        exposures, names, n = observed.y_exposure, observed.y_names, observed.n_rows
    if name not in observed.exposure or exposures is None:
        return np.zeros(n)
    offset: FloatArray = np.log(exposures[:, names.index(name)])
    return offset
