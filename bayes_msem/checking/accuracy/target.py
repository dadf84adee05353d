"""What a criterion of predictive accuracy is about, so that only like is compared with like."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayes_msem.checking.accuracy.log_likelihood import Unit
from bayes_msem.data.observed_data import ObservedData
from bayes_msem.errors import SpecificationError

__all__ = ["Target", "check_same_target", "target_of"]

FloatArray = NDArray[np.float64]

_WHAT = {
    "cluster": "a new cluster (unit='cluster')",
    "observation": "a new row of a known cluster (unit='observation')",
    "top": "a new unit of the highest level (unit='top')",
}


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """Outcomes that are predicted, and the units they belong to.

    Attributes
    ----------
    unit
        "cluster", "observation" or "top".
    outcomes
        Name -> values: per row, or per cluster or top unit for their outcomes (if those are units).
    rows
        Labels of the rows of the data.
    clusters
        Cluster identifier of every row; None in single-level models.
    tops
        Identifier of the top unit of every row; None unless there are three levels.
    """

    unit: Unit
    outcomes: dict[str, FloatArray]
    rows: pd.Index[Any]
    clusters: pd.Index[Any] | None
    tops: pd.Index[Any] | None = None


def target_of(observed: ObservedData, unit: Unit) -> Target:
    """Return what the log-likelihoods of a model with these data are about."""
    outcomes = dict(zip(observed.y_names, observed.y.T, strict=True))
    if unit != "observation":
        outcomes |= dict(zip(observed.z_names, observed.z.T, strict=True))
    if unit == "top":
        outcomes |= dict(zip(observed.z3_names, observed.z3.T, strict=True))
    clusters = tops = None
    if observed.cluster is not None:
        clusters = observed.cluster_ids.take(observed.cluster)
        if observed.parent is not None:
            tops = observed.top_ids.take(observed.parent[observed.cluster])
    return Target(unit, outcomes, observed.row_index, clusters, tops)


def check_same_target(first: tuple[str, Target], second: tuple[str, Target]) -> None:
    """Raise unless two named models predict the same outcomes of the same units.

    Raises
    ------
    SpecificationError
        They do not; the message names the models and what differs.
    """
    (name, a), (other, b) = first, second
    pair = f"'{name}' and '{other}' cannot be compared"
    if a.unit != b.unit:
        raise SpecificationError(
            f"{pair}: '{name}' predicts {_WHAT[a.unit]} and '{other}' {_WHAT[b.unit]}, which are "
            "different questions; compute both with the same unit"
        )
    if a.unit == "cluster" and (a.tops is None) != (b.tops is None):
        raise SpecificationError(
            f"{pair}: with three levels a new cluster is one of a known unit of the highest level, "
            "whose effects are known; with two levels nothing is known of it. Compare both with "
            "unit='observation'"
        )
    if set(a.outcomes) != set(b.outcomes):
        only = [
            f"'{owner}' alone has {', '.join(sorted(names))}"
            for owner, names in (
                (name, set(a.outcomes) - set(b.outcomes)),
                (other, set(b.outcomes) - set(a.outcomes)),
            )
            if names
        ]
        raise SpecificationError(
            f"{pair}: they model different outcomes ({'; '.join(only)}), and more outcomes have a "
            "lower density whatever the model; let both model the same variables (a covariate "
            "becomes an outcome with a row of its own, such as x ~~ x)"
        )
    _check_rows(pair, a, b)
    _check_tops(pair, a, b)
    for variable, values in a.outcomes.items():
        if not np.array_equal(values, b.outcomes[variable], equal_nan=True):
            raise SpecificationError(
                f"{pair}: the values of '{variable}' differ; fit both to the same data"
            )


def _check_tops(pair: str, a: Target, b: Target) -> None:
    if a.tops is not None and b.tops is not None and not a.tops.equals(b.tops):
        raise SpecificationError(
            f"{pair}: their units of the highest level differ; name the same cluster columns in "
            "both"
        )


def _check_rows(pair: str, a: Target, b: Target) -> None:
    if len(a.rows) != len(b.rows):
        raise SpecificationError(
            f"{pair}: they use {len(a.rows)} and {len(b.rows)} rows; fit both to the same rows "
            "(missing='listwise' leaves out other rows in each model, missing='fiml' none)"
        )
    if not a.rows.equals(b.rows):
        at = int(np.argmax(np.asarray(a.rows != b.rows)))
        raise SpecificationError(
            f"{pair}: their rows differ, or their order does (row {at + 1} is {a.rows[at]!r} and "
            f"{b.rows[at]!r}); fit both to the same data frame"
        )
    if a.clusters is not None and b.clusters is not None and not a.clusters.equals(b.clusters):
        at = int(np.argmax(np.asarray(a.clusters != b.clusters)))
        raise SpecificationError(
            f"{pair}: their clusters differ (the row {a.rows[at]!r} is in {a.clusters[at]!r} and "
            f"{b.clusters[at]!r}); fit both with the same cluster column"
        )
