"""Designs of three-level models: new top units, their clusters and rows, resampled from the data.

Top units are drawn with replacement; a new one has the covariates of the one it comes from. Its
clusters are those of that unit or, where their number is given, drawn from them with replacement;
the rows of a cluster likewise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayes_msem.arguments import integer
from bayes_msem.data.new_designs import pattern
from bayes_msem.data.observed_data import ObservedData
from bayes_msem.data.readonly import frozen
from bayes_msem.errors import SpecificationError

__all__ = ["NestedSample", "nested_sample", "resampled_tops"]

IntArray = NDArray[np.int64]

_MOST_ROWS = 1e7


@dataclass(frozen=True, slots=True, eq=False)
class NestedSample:
    """How much is to be sampled of a three-level design.

    Attributes
    ----------
    tops
        Number of top units.
    clusters
        Clusters of each top unit, (tops,); None: those of the units drawn.
    sizes
        Rows of every cluster, one number or (sum of clusters,); None: those of the clusters drawn.
    """

    tops: int
    clusters: IntArray | None
    sizes: IntArray | None


def nested_sample(observed: ObservedData, tops: object, clusters: Any, sizes: Any) -> NestedSample:
    """Check the numbers of units that a user asks for.

    Parameters
    ----------
    observed
        The data of a three-level model.
    tops
        Number of top units; None: as many as ``clusters`` has or, without, as the data have.
    clusters
        Clusters in every top unit: one number, or one for each.
    sizes
        Rows in every cluster: one number, or one for each cluster.

    Raises
    ------
    SpecificationError
        A number that is not a positive integer, or numbers that contradict each other.
    """
    inner, outer = observed.cluster_name, observed.top_name
    count = None if tops is None else integer(1, what="a number of top units")("tops", tops)
    held = None
    if isinstance(clusters, (list, tuple, np.ndarray)):
        held = np.array([integer(1)(f"clusters[{i}]", n) for i, n in enumerate(clusters)], np.int64)
        if not len(held) or (count is not None and count != len(held)):
            raise SpecificationError(
                f"clusters has {len(held)} numbers, but there are {count or 'no'} top units "
                f"('{outer}'); give a number of '{inner}' for each, or one for all"
            )
        count = len(held)
    count = observed.n_tops if count is None else count
    if held is None and clusters is not None:
        what = f"a number of '{inner}' in every '{outer}', such as 4 or [3, 4, 5]"
        held = np.full(count, integer(1, what=what)("clusters", clusters))
    if sizes is None:
        return NestedSample(count, held, None)
    if not isinstance(sizes, (list, tuple, np.ndarray)):
        size = integer(1, what=f"a number of rows in every '{inner}'")("sizes", sizes)
        rows = np.array([size], np.int64)
        total = size * (held.sum() if held is not None else count * observed.n_clusters)
        if total > _MOST_ROWS * 10:
            raise SpecificationError(
                f"sizes and clusters ask for {total:.3g} rows, which is too many"
            )
        return NestedSample(count, held, rows)
    if held is None:
        raise SpecificationError(
            f"sizes has a number for each '{inner}', so their number in every '{outer}' has to be "
            "given as well: clusters=4, or a list"
        )
    rows = np.array([integer(1)(f"sizes[{i}]", n) for i, n in enumerate(sizes)], np.int64)
    if len(rows) != held.sum():
        raise SpecificationError(
            f"sizes has {len(rows)} numbers, but there are {held.sum()} clusters ('{inner}'); give "
            "one size for each of them, or one for all"
        )
    return NestedSample(count, held, rows)


def resampled_tops(
    observed: ObservedData, sample: NestedSample, rng: np.random.Generator, *, incomplete: bool
) -> ObservedData:
    """Make a design of new top units from those of the data, drawn with replacement.

    Parameters
    ----------
    observed
        The data.
    sample
        Numbers of units.
    rng
        Source of randomness.
    incomplete
        Whether rows that miss covariates can be drawn too.

    Returns
    -------
    ObservedData
        Top units 1 to K, clusters 1 to J, rows 0 to N - 1.
    """
    assert observed.parent is not None
    assert observed.cluster is not None
    usable = np.ones(observed.n_rows, bool) if incomplete else ~np.isnan(observed.x).any(axis=1)
    rows_of = [np.flatnonzero(usable & (observed.cluster == j)) for j in range(observed.n_clusters)]
    known = [j for j, rows in enumerate(rows_of) if len(rows)]
    members: dict[int, list[int]] = {}
    for j in known:
        members.setdefault(int(observed.parent[j]), []).append(j)
    tops = rng.choice(np.array(list(members)), size=sample.tops)
    drawn: list[IntArray] = []
    for k, top in enumerate(tops):
        own = np.array(members[int(top)])
        drawn.append(own if sample.clusters is None else rng.choice(own, size=sample.clusters[k]))
    clusters, parent = (
        np.concatenate(drawn),
        np.repeat(np.arange(len(drawn)), list(map(len, drawn))),
    )
    rows: list[IntArray] = []
    for i, j in enumerate(clusters):
        size = None if sample.sizes is None else sample.sizes[i if len(sample.sizes) > 1 else 0]
        rows.append(rows_of[j] if size is None else rng.choice(rows_of[j], size=size))
    sizes, every = np.array(list(map(len, rows))), np.concatenate(rows)
    return replace(
        observed,
        y=frozen(pattern(observed.y[every])),
        x=frozen(observed.x[every]),
        z=frozen(pattern(observed.z[clusters])),
        w=frozen(observed.w[clusters]),
        cluster=frozen(np.repeat(np.arange(len(clusters)), sizes)),
        cluster_ids=pd.RangeIndex(1, len(clusters) + 1, name=observed.cluster_name),
        sizes=frozen(sizes),
        row_index=pd.RangeIndex(len(every)),
        dropped=0,
        sources=None if observed.sources is None else frozen(observed.sources[every]),
        parent=frozen(parent),
        top_ids=pd.RangeIndex(1, len(tops) + 1, name=observed.top_name),
        z3=frozen(pattern(observed.z3[tops])),
        w3=frozen(observed.w3[tops]),
    )
