"""Values of one outcome at one level, observed and replicated: values, deviations, cluster means.

Where a value is missing, the replicates of it are left out as well, so that both distributions are
of the same cells.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayes_msem.blueprint.blueprint import Blueprint
from bayes_msem.checking.predictive.predictive_check import PredictiveCheck
from bayes_msem.errors import SpecificationError
from bayes_msem.inference.pymc_model import observed_matrix

__all__ = [
    "Compared",
    "Part",
    "check_same_data",
    "compared",
    "default_clusters",
    "sorted_distances",
]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
Part = Literal["raw", "within", "between"]

_DISTANT = _TYPICAL = 4


@dataclass(frozen=True, slots=True, eq=False)
class Compared:
    """Values of one outcome at one level, observed and replicated.

    Attributes
    ----------
    outcome
        Its name.
    observed, replicated
        (n,) and (replicate, n): values of the same rows or clusters.
    clusters
        Whether they belong to clusters, not rows.
    total
        What n would be without missing values.
    """

    outcome: str
    observed: FloatArray
    replicated: FloatArray
    clusters: bool
    total: int


def compared(
    check: PredictiveCheck, name: str, code: IntArray, of_clusters: bool, part: Part
) -> Compared:
    """Take from a check what is observed and replicated of one outcome.

    Parameters
    ----------
    check
        With kept replicates.
    name
        The outcome.
    code
        Cluster of every row of the check.
    of_clusters
        Whether the outcome is a variable of clusters, with one value in each.
    part
        "raw": values; "within": deviations from the means of clusters, without clusters of one
        row; "between": means of clusters.
    """
    observed = check.data.sel(outcome=name).values
    replicated = check.kept.sel(outcome=name).values.reshape(-1, len(observed))
    rows = np.argsort(code, kind="stable")
    if of_clusters:
        rows = rows[np.unique(code[rows], return_index=True)[1]]
    total = len(np.unique(code)) if part == "between" else len(rows)
    rows = rows[~np.isnan(observed[rows])]
    observed, replicated = observed[rows], replicated[:, rows]
    if of_clusters or part == "raw":
        return Compared(name, observed, replicated, of_clusters, total)
    _, first, inverse, n = np.unique(
        code[rows], return_index=True, return_inverse=True, return_counts=True
    )
    means = np.add.reduceat(observed, first) / n
    means_replicated = np.add.reduceat(replicated, first, axis=1) / n
    if part == "between":
        return Compared(name, means, means_replicated, True, total)
    several = n[inverse] > 1
    observed = (observed - means[inverse])[several]
    replicated = (replicated - means_replicated[:, inverse])[:, several]
    return Compared(name, observed, replicated, False, total)


def check_same_data(check: PredictiveCheck, blueprint: Blueprint) -> None:
    """Raise SpecificationError unless a check is one of the data of this model."""
    if not isinstance(check, PredictiveCheck):
        raise SpecificationError(
            f"check is {type(check).__name__}; pass what fit.ppc() returns, or None"
        )
    ours, rows = observed_matrix(blueprint.observed), check.data["row"].values
    names = tuple(map(str, check.data["outcome"].values))
    if (
        names != tuple(blueprint.outcomes)
        or rows.max() >= len(ours)
        or not np.array_equal(ours[rows], check.data.values, equal_nan=True)
    ):
        raise SpecificationError("check is of other data; make it with fit.ppc() of this fit")


def sorted_distances(clusters: pd.DataFrame, level: str) -> pd.DataFrame:
    """Columns distance and ppp of a level, the most unusual cluster first.

    At level between, distances have the same distribution under the model in all clusters. At
    level within they are sums over rows, so they are divided by n - 1.

    Parameters
    ----------
    clusters
        Those of a check.
    level
        "within" or "between".
    """
    table = pd.DataFrame(
        {"distance": clusters[f"distance_{level}"], "ppp": clusters[f"ppp_{level}"]}
    )
    if level == "within":
        table["distance"] /= (clusters["n"] - 1).where(clusters["n"] > 1)
    table = table.dropna()
    return table.sort_values(["ppp", "distance"], ascending=[True, False], kind="stable")


def default_clusters(check: PredictiveCheck) -> tuple[IntArray, int]:
    """Positions of up to four distant clusters, then of up to four typical ones; number of distant.

    The smaller of a cluster's two p-values says how unusual it is: the most distant clusters have
    the smallest, typical ones are in the middle of all.
    """
    ppp = check.clusters[["ppp_within", "ppp_between"]].min(axis=1).fillna(1.0).to_numpy()
    distance = check.clusters["distance_between"].fillna(0.0).to_numpy()
    order = np.lexsort((-distance, ppp))
    n = len(order)
    distant = order[: min(_DISTANT, -(-n // 2))]
    rest = order[len(distant) :]
    middle = max(0, min(n // 2 - _TYPICAL // 2 - len(distant), len(rest) - _TYPICAL))
    typical = rest[middle : middle + _TYPICAL]
    return np.concatenate([distant, typical]).astype(np.int64), len(distant)
