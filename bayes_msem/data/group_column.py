"""The column that says which group a row belongs to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayes_msem.arguments import shown
from bayes_msem.errors import DataError, nearest
from bayes_msem.wording import listed

__all__ = ["Groups", "read_groups"]


@dataclass(frozen=True, slots=True)
class Groups:
    """The groups of a data frame.

    Attributes
    ----------
    column
        Name of the column.
    names
        Groups as text, in order.
    labels
        Their values in the column.
    codes
        Group of every row, (N,).
    """

    column: Any
    names: tuple[str, ...]
    labels: tuple[Any, ...]
    codes: NDArray[np.int64]

    def rows(self, number: int) -> NDArray[np.int64]:
        """Positions of the rows of one group."""
        return np.flatnonzero(self.codes == number)


def read_groups(frame: pd.DataFrame, group: Any, cluster: Any) -> Groups:
    """Read the groups of all rows.

    Groups come in the order of categories, if the column is categorical, else of first appearance.

    Parameters
    ----------
    frame
        The data.
    group, cluster
        Columns of groups and of clusters; ``cluster`` None in single-level models.

    Raises
    ------
    DataError
        No such column, missing values, a single group, two groups with one name, or a cluster
        with rows of several groups.
    """
    if not isinstance(group, str | int) or isinstance(group, bool):
        raise DataError(
            f"group must be the name of one column, got {shown(group)}; several columns that make "
            "up groups together are joined to one first, e.g. data['country'] + data['sex']"
        )
    if group not in frame.columns:
        hint = nearest(str(group), [c for c in frame.columns if isinstance(c, str)])
        raise DataError(f"group column {group!r} is not in data{hint}")
    column = frame[group]
    if isinstance(column, pd.DataFrame):
        raise DataError(f"data has more than one column named {group!r}; rename or drop the others")
    if cluster is not None and group == cluster:
        raise DataError(
            f"group and cluster both name the column {group!r}; groups hold clusters, so they are "
            "different columns"
        )
    missing = column.isna()
    if missing.any():
        first = frame.index[missing.to_numpy()][0]
        raise DataError(
            f"the group column {group!r} has {int(missing.sum())} missing values, the first in row "
            f"{first!r}; a row without a group belongs to no model: fill them in, or drop these "
            f"rows, data.dropna(subset=[{group!r}])"
        )
    if isinstance(column.dtype, pd.CategoricalDtype):
        labels = [c for c in column.cat.categories if (column == c).any()]
    else:
        labels = list(pd.unique(column))
    names = tuple(str(label) for label in labels)
    if len(names) < 2:
        raise DataError(
            f"the group column {group!r} has the single value {names[0]!r}; leave out group="
        )
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise DataError(
            f"the group column {group!r} has different values that are both written {twice[0]!r}; "
            f"make them text: data[{group!r}].astype(str)"
        )
    bad = [name for name in names if not name.strip() or "[" in name or "]" in name]
    if bad:
        raise DataError(
            f"the group column {group!r} has the value {bad[0]!r}; names of groups are texts "
            "without brackets that are not blank"
        )
    place = {label: code for code, label in enumerate(labels)}
    codes = np.array([place[value] for value in column], dtype=np.int64)
    if cluster is not None and cluster in frame.columns:
        _check_nested(frame[cluster], codes, names, group, cluster)
    return Groups(group, names, tuple(labels), codes)


def _check_nested(
    clusters: pd.Series[Any],
    codes: NDArray[np.int64],
    names: tuple[str, ...],
    group: Any,
    cluster: Any,
) -> None:
    """Refuse clusters that have rows of several groups."""
    seen = clusters.notna().to_numpy()
    of_cluster = (
        pd.Series(codes[seen]).groupby(clusters[seen].to_numpy(), sort=False).agg(["min", "max"])
    )
    crossing = of_cluster[of_cluster["min"] != of_cluster["max"]]
    if len(crossing) == 0:
        return
    first = crossing.index[0]
    written = first.item() if isinstance(first, np.generic) else first
    own = np.unique(codes[seen][(clusters[seen] == first).to_numpy()])
    raise DataError(
        f"the cluster {written!r} of {cluster!r} has rows of the groups "
        f"{listed([names[g] for g in own])} ({len(crossing)} such clusters in all): groups have "
        "models of their own, so the effects of a cluster could not be shared between them. If the "
        f"same identifiers are used in every group, join them: data[{cluster!r}] = "
        f"data[{group!r}].astype(str) + ':' + data[{cluster!r}].astype(str). If {group!r} differs "
        f"between rows of a cluster, use it as a predictor at level within"
    )
