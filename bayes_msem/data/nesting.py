"""Clusters of clusters: who belongs to which top unit, and variables with one value in each.

Top units are numbered in order of first appearance. Every cluster lies in one top unit. Where an
identifier of clusters occurs in several, it may be used again in each of them (class 1 of school 1,
class 1 of school 2), or clusters and top units cross. The data do not say which, and the two are
different models, so neither is assumed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayes_msem.data.cluster_column import Clusters, code_clusters, values_of_units
from bayes_msem.data.readonly import frozen
from bayes_msem.errors import DataError
from bayes_msem.wording import first_few, plural

__all__ = ["check_nested", "parents_of", "read_tops"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


def read_tops(
    series: pd.Series[Any],
    top: str,
    clusters: Clusters,
    columns: Mapping[str, FloatArray],
    *,
    check_sizes: bool = True,
    inside: Mapping[str, tuple[str, str]] | None = None,
) -> tuple[IntArray, pd.Index[Any], dict[str, FloatArray]]:
    """Code the top units, and take the values of their variables from their rows.

    Parameters
    ----------
    series, top
        The column of top units and its name.
    clusters
        The clusters.
    columns
        Variables of top units by name, (N,).
    check_sizes
        Whether the numbers of units have to tell the levels apart.
    inside
        Why columns must not vary inside top units, and what to do if they do.

    Returns
    -------
    parent : (J,) array
        Top unit of each cluster.
    ids : pandas.Index
        Identifier of each top unit, (K,), named ``top``.
    values : dict
        Variables by name, (K,).

    Raises
    ------
    DataError
        Identifiers that are missing, clusters in several top units, too few units, or a variable
        that varies inside a top unit.
    """
    codes, ids = code_clusters(series, top)
    assert clusters.codes is not None
    parent = parents_of(clusters.codes, clusters.ids, codes, ids)
    if check_sizes:
        _check_numbers(parent, clusters.ids, ids)
    said = inside or {}
    values = {name: values_of_units(name, v, codes, ids, said) for name, v in columns.items()}
    return frozen(parent), ids, values


def check_nested(inner: pd.Series[Any], cluster: str, outer: pd.Series[Any], top: str) -> None:
    """Raise DataError unless every cluster lies in one top unit, before their variables are read.

    Parameters
    ----------
    inner, cluster
        The column of clusters and its name.
    outer, top
        The column of top units and its name.
    """
    parents_of(*code_clusters(inner, cluster), *code_clusters(outer, top))


def parents_of(
    cluster: IntArray, cluster_ids: pd.Index[Any], top: IntArray, top_ids: pd.Index[Any]
) -> IntArray:
    """Return the top unit of each cluster, (J,).

    Raises
    ------
    DataError
        A cluster lies in several top units.
    """
    parent = np.empty(len(cluster_ids), dtype=np.int64)
    parent[cluster[::-1]] = top[::-1]  # the first row of each cluster is written last
    other = top != parent[cluster]
    if not other.any():
        return parent
    culprits = np.unique(cluster[other])
    j = int(culprits[0])
    found = list(top_ids[np.unique(top[cluster == j])])
    inner, outer = cluster_ids.name, top_ids.name
    raise DataError(
        f"{plural(len(culprits), 'identifier')} of '{inner}' "
        f"{'occurs' if len(culprits) == 1 else 'occur'} in more than one '{outer}', such as "
        f"{cluster_ids[j]!r} in {first_few(found)}. If '{inner}' counts anew in every '{outer}', "
        f"make its identifiers unique: data['{inner}'] = data['{outer}'].astype(str) + '/' + "
        f"data['{inner}'].astype(str). If the same '{inner}' really belongs to several, the two "
        "are crossed and not nested, which is not supported: take one of them as cluster, and the "
        f"one with fewer units as a predictor of categories, such as C({inner}), or leave it out"
    )


def _check_numbers(parent: IntArray, cluster_ids: pd.Index[Any], top_ids: pd.Index[Any]) -> None:
    inner, outer = cluster_ids.name, top_ids.name
    if len(top_ids) == 1:
        raise DataError(
            f"cluster column '{outer}' has one unit only ({top_ids[0]!r}); a third level needs at "
            f"least two: check the column, or fit a two-level model, cluster='{inner}'"
        )
    if len(top_ids) == len(cluster_ids):
        raise DataError(
            f"every '{outer}' has a single '{inner}' ({len(top_ids)} each), so their variation "
            f"cannot be told apart; name columns of which one groups the other, the inner one "
            f"first, or fit a two-level model, cluster='{outer}'"
        )
