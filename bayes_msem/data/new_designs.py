"""Designs: who belongs to which cluster and with which covariates, before there are outcomes.

A design is an :class:`ObservedData` whose outcomes y and z are 0 where a value would be observed
and NaN where it would be missing, so that a simulation can keep the pattern. Three kinds:

- that of the data themselves (no function needed);
- new clusters, resampled from the data: whole clusters, or rows of a drawn cluster with
  replacement, so that the covariates of a row, and those of its cluster, stay together;
- that of a data frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayes_msem.arguments import integer, shown
from bayes_msem.data.cluster_column import read_clusters
from bayes_msem.data.coded_columns import CodedColumns, source_values, with_coded
from bayes_msem.data.codings import exposures_of
from bayes_msem.data.columns import numeric_columns
from bayes_msem.data.frame_checks import check_cluster_argument, check_columns, check_frame
from bayes_msem.data.nesting import check_nested, read_tops
from bayes_msem.data.observed_data import ObservedData, side_by_side
from bayes_msem.data.readonly import frozen
from bayes_msem.errors import DataError, SpecificationError
from bayes_msem.wording import listed, positions

__all__ = ["NewSample", "design_from_frame", "new_sample", "resampled_design"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_MOST_VALUES = 1e9  # 8 GB
_PER_CLUSTER = "rows per cluster, such as 20 or [10, 20, 30]"


@dataclass(frozen=True, slots=True, eq=False)
class NewSample:
    """How much is to be sampled.

    Attributes
    ----------
    clusters
        Number of clusters; 0 in single-level models.
    sizes
        Rows of every cluster, (clusters,), or of the one sample in single-level models, (1,);
        None: those of the clusters drawn.
    """

    clusters: int
    sizes: IntArray | None


def new_sample(
    observed: ObservedData,
    clusters: int | Sequence[int] | None,
    sizes: int | Sequence[int] | None,
) -> NewSample:
    """Check the numbers of clusters and rows that a user asks for.

    Parameters
    ----------
    observed
        The data.
    clusters
        Number of clusters; None: as many as there are sizes or, without, as the data have.
    sizes
        Rows per cluster: one number, or one for every cluster. In single-level models: number of
        rows.

    Raises
    ------
    SpecificationError
        A number that is not a positive integer, numbers that contradict each other, or clusters
        in a single-level model.
    """
    if not observed.two_level:
        return _new_rows(observed, clusters, sizes)
    wanted: int | None = None
    if clusters is not None:
        wanted = integer(1, what="a number of clusters, such as 50")("clusters", clusters)
    if sizes is None or isinstance(sizes, (bool, int, np.integer, float, str)):
        count = observed.n_clusters if wanted is None else wanted
        if sizes is None:
            _check_fits(observed, count * observed.n_rows / observed.n_clusters)
            return NewSample(count, None)
        size = integer(1, what=_PER_CLUSTER)("sizes", sizes)
        _check_fits(observed, count * size)
        return NewSample(count, np.full(count, size))
    every = _counts(sizes)
    if wanted is not None and wanted != len(every):
        raise SpecificationError(
            f"clusters={wanted}, but sizes has {len(every)} numbers; give one size for every "
            "cluster, one number for all of them, or leave clusters out"
        )
    _check_fits(observed, sum(every))
    return NewSample(len(every), np.array(every))


def _new_rows(observed: ObservedData, clusters: object, sizes: object) -> NewSample:
    """Check the number of rows asked for in a single-level model."""
    if clusters is not None:
        raise SpecificationError(
            f"clusters={shown(clusters)} was given, but the model has a single level; use "
            "sizes=<number of rows>"
        )
    rows = integer(1, what="a number of rows, such as 200")("sizes", sizes)
    _check_fits(observed, rows)
    return NewSample(0, np.array([rows]))


def _check_fits(observed: ObservedData, rows: float) -> None:
    """Refuse samples that no memory holds, before the system ends the process."""
    names = (*observed.y_names, *observed.z_names, *observed.x_names, *observed.w_names)
    if rows * len(names) > _MOST_VALUES:
        raise SpecificationError(
            f"clusters and sizes ask for about {rows:.3g} rows of {len(names)} variables; at most "
            f"{_MOST_VALUES:.0e} values can be simulated at once"
        )


def _counts(sizes: Any) -> list[int]:
    try:
        given = list(sizes)
    except TypeError:
        given = []
    if not given:
        raise SpecificationError(f"sizes must be {_PER_CLUSTER}, got {shown(sizes)}")
    return [integer(1, what="a number of rows")(f"sizes[{i}]", n) for i, n in enumerate(given)]


def resampled_design(
    observed: ObservedData, sample: NewSample, rng: np.random.Generator, *, incomplete: bool
) -> ObservedData:
    """Make a design of new clusters from those of the data, drawn with replacement.

    Parameters
    ----------
    observed
        The data.
    sample
        Numbers of clusters and rows.
    rng
        Source of randomness.
    incomplete
        Whether rows that miss covariates (and so all outcomes) can be drawn too.

    Returns
    -------
    ObservedData
        Clusters 1 to J; new rows 0 to N - 1, sorted by cluster. Without sizes, a new cluster has
        all rows of the one it comes from; with sizes, rows drawn from it with replacement.
    """
    usable = np.ones(observed.n_rows, bool) if incomplete else ~np.isnan(observed.x).any(axis=1)
    pool = np.flatnonzero(usable)
    if observed.cluster is None:
        assert sample.sizes is not None
        return _take(observed, pool[rng.integers(len(pool), size=int(sample.sizes[0]))], None)
    pool = pool[np.argsort(observed.cluster[pool], kind="stable")]
    available = np.bincount(observed.cluster[pool], minlength=observed.n_clusters)
    first = np.cumsum(available) - available
    drawn = rng.choice(np.flatnonzero(available), size=sample.clusters)
    sizes = available[drawn] if sample.sizes is None else sample.sizes
    of_row = np.repeat(np.arange(sample.clusters), sizes)
    if sample.sizes is None:
        within = np.arange(len(of_row)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    else:
        within = rng.integers(available[drawn][of_row])
    return _take(observed, pool[first[drawn][of_row] + within], drawn, of_row, sizes)


def _take(
    observed: ObservedData,
    rows: IntArray,
    clusters: IntArray | None,
    of_row: IntArray | None = None,
    sizes: IntArray | None = None,
) -> ObservedData:
    """Put together rows and clusters of the data under new names."""
    new = replace(
        observed,
        y=frozen(pattern(observed.y[rows])),
        x=frozen(observed.x[rows]),
        row_index=pd.RangeIndex(len(rows)),
        dropped=0,
        sources=None if observed.sources is None else frozen(observed.sources[rows]),
        y_exposure=None if observed.y_exposure is None else frozen(observed.y_exposure[rows]),
    )
    if clusters is None or of_row is None or sizes is None:
        return new
    return replace(
        new,
        z=frozen(pattern(observed.z[clusters])),
        w=frozen(observed.w[clusters]),
        cluster=frozen(of_row),
        cluster_ids=pd.RangeIndex(1, len(clusters) + 1, name=observed.cluster_name),
        sizes=frozen(sizes),
        z_exposure=None if observed.z_exposure is None else frozen(observed.z_exposure[clusters]),
    )


def design_from_frame(
    frame: pd.DataFrame, observed: ObservedData, *, missing: bool
) -> ObservedData:
    """Take clusters and covariates from a data frame.

    Parameters
    ----------
    frame
        With the cluster column and the covariates; never modified.
    observed
        The data of the model, which say what is needed.
    missing
        Whether outcomes that are missing in the frame shall be missing; columns of outcomes that
        the frame lacks count as complete.

    Raises
    ------
    DataError
        Columns or values are missing, a cluster-level covariate varies inside a cluster, or the
        pattern is wanted and the frame has no outcomes.
    """
    check_frame(frame)
    check_cluster_argument(frame, observed.cluster_name, two_level=observed.two_level)
    if observed.top_name is not None:
        check_cluster_argument(frame, observed.top_name, two_level=True)
        inner, outer = observed.cluster_name, observed.top_name
        check_nested(frame[inner], str(inner), frame[outer], outer)
    coded = observed.coded
    frame = with_coded(frame, coded, (*observed.x_names, *observed.w_names, *observed.w3_names))
    values = _design_columns(frame, observed, missing=missing)
    sources = {v: source_values(frame[v], v, coded.categories.get(v)) for v in coded.sources()}
    y = side_by_side(values, observed.y_names, len(frame))
    x = side_by_side(values, observed.x_names, len(frame))
    _check_present(x, ~np.isnan(y).all(axis=1), observed.x_names, coded)
    design = replace(
        observed,
        y=frozen(pattern(y)),
        x=x,
        row_index=frame.index.copy(),
        dropped=0,
        y_exposure=exposures_of(observed.y_names, values, observed.exposure, values, "row"),
    )
    if coded.columns:
        made_of = side_by_side(sources, observed.source_names, len(frame))
        design = replace(design, sources=made_of)
    if observed.cluster_name is None:
        return design
    counts = [z for z in observed.z_names if z in observed.exposure]
    own = (*observed.z_names, *observed.w_names, *(observed.exposure[z] for z in counts))
    of_clusters = {name: values[name] for name in own}
    clusters = read_clusters(
        frame[observed.cluster_name], observed.cluster_name, of_clusters, check_sizes=False
    )
    z = side_by_side(clusters.values, observed.z_names, len(clusters.ids))
    w = side_by_side(clusters.values, observed.w_names, len(clusters.ids))
    _check_present(w[clusters.codes], np.ones(len(frame), bool), observed.w_names, coded)
    if observed.top_name is not None:
        of_tops = {name: values[name] for name in (*observed.z3_names, *observed.w3_names)}
        parent, ids, known = read_tops(
            frame[observed.top_name], observed.top_name, clusters, of_tops, check_sizes=False
        )
        w3 = side_by_side(known, observed.w3_names, len(ids))
        everywhere = np.ones(len(frame), bool)
        _check_present(w3[parent[clusters.codes]], everywhere, observed.w3_names, coded)
        z3 = frozen(pattern(side_by_side(known, observed.z3_names, len(ids))))
        design = replace(design, parent=parent, top_ids=ids, z3=z3, w3=w3)
    return replace(
        design,
        z=frozen(pattern(z)),
        w=w,
        cluster=clusters.codes,
        cluster_ids=clusters.ids,
        sizes=clusters.sizes,
        z_exposure=exposures_of(
            observed.z_names, clusters.values, observed.exposure, clusters.values, "cluster"
        ),
    )


def _design_columns(
    frame: pd.DataFrame, observed: ObservedData, *, missing: bool
) -> dict[str, FloatArray]:
    """Read covariates, exposures and, where their pattern is wanted, outcomes.

    Complete outcomes are zeros, and so are observed categories.
    """
    outcomes = (*observed.y_names, *observed.z_names, *observed.z3_names)
    present = [name for name in outcomes if missing and name in frame.columns]
    if missing and not present:
        raise DataError(
            "missing=True keeps the pattern of missing values of data, but data has no column of "
            f"outcomes ({listed(outcomes)}); add some, or leave missing out"
        )
    given = (*observed.x_names, *observed.w_names, *observed.w3_names)
    needed = (*given, *present, *observed.exposure.values())
    check_columns(frame, needed)
    complete = {name: np.zeros(len(frame)) for name in outcomes if name not in present}
    for name in set(present) & set(observed.categories):
        complete[name] = np.where(frame[name].isna(), np.nan, 0.0)
    return numeric_columns(frame, [name for name in needed if name not in complete]) | complete


def _check_present(
    values: FloatArray, needed: NDArray[np.bool_], names: tuple[str, ...], coded: CodedColumns
) -> None:
    for name, column in zip(names, values.T, strict=True):
        gone = np.isnan(column) & needed
        if gone.any():
            raise DataError(
                f"covariate {coded.origin(name)} is missing in {positions(gone)}, and outcomes "
                "cannot be simulated without it; fill it in, or drop these rows"
            )


def pattern(values: FloatArray) -> FloatArray:
    """Return 0 where a value is observed, and NaN where it is missing."""
    return np.where(np.isnan(values), np.nan, 0.0)
