"""Item characteristic curves: probabilities of the categories of an item by its factor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayes_msem.errors import SpecificationError
from bayes_msem.posterior.levels import Levels
from bayes_msem.posterior.predicted_responses import labels_of
from bayes_msem.posterior.summary import IntervalKind, check_interval, interval

__all__ = ["ItemCurves", "item_curves"]

FloatArray = NDArray[np.float64]

_REACH, _POINTS = 3.0, 61  # of the curves, in SDs of the factor, and their points


@dataclass(frozen=True, slots=True, eq=False)
class ItemCurves:
    """Probabilities of K categories at G values of a factor.

    Attributes
    ----------
    factor
        Its name.
    labels
        Labels of the categories.
    grid
        Values of the factor, as deviations from its mean, (G,).
    mean, lower, upper
        Posterior of the probabilities, (G, K).
    """

    factor: str
    labels: tuple[Any, ...]
    grid: FloatArray
    mean: FloatArray
    lower: FloatArray
    upper: FloatArray


def item_curves(
    levels: Levels,
    outcome: str,
    factor: str | None,
    *,
    chains: int,
    ci: float,
    ci_kind: IntervalKind,
) -> ItemCurves:
    """Compute the curves of one item in an average cluster, all other predictors at their means.

    Parameters
    ----------
    levels
        Matrices of all draws.
    outcome
        An ordered outcome of level within.
    factor
        Factor of level within that points at it; None: the only one.
    chains
        Number of chains that the draws come from.
    ci, ci_kind
        Mass and kind of the intervals.

    Raises
    ------
    SpecificationError
        No such outcome or factor, or several factors and none named.
    """
    check_interval(ci, ci_kind)
    within, observed = levels.within, levels.blueprint.observed
    labels = labels_of(observed, outcome)
    i, factor = within.names.index(outcome), _factor(levels, outcome, factor)
    f = within.names.index(factor)
    mean = within.mean[:, i]
    if levels.between is not None and outcome in observed.split_names:
        mean = mean + levels.between.mean[:, levels.between.names.index(outcome)]
    reach = _REACH * float(np.sqrt(within.variance[:, f].mean()))
    grid = np.linspace(-reach, reach, _POINTS)
    eta = mean[:, None] + within.b[:, i, f, None] * grid
    rows = [r for r in levels.blueprint.table.rows if r.kind == "threshold" and r.lhs == outcome]
    cuts = np.stack([levels.row_values[r.key] for r in rows], axis=-1)
    shares = observed.families[outcome].outcome.probabilities(eta, cuts[:, None, :])
    flat = shares.reshape(chains, len(shares) // chains, -1)
    lower, upper = (limit.reshape(shares.shape[1:]) for limit in interval(flat, ci, ci_kind))
    return ItemCurves(factor, labels, grid, shares.mean(axis=0), lower, upper)


def _factor(levels: Levels, outcome: str, factor: str | None) -> str:
    table = levels.blueprint.table
    known = [
        r.lhs if r.kind == "loading" else r.rhs
        for r in table.rows
        if r.level == "within"
        and outcome == {"loading": r.rhs, "regression": r.lhs}.get(r.kind)
        and (r.lhs if r.kind == "loading" else r.rhs) in table.variables("within", "within factor")
    ]
    known = list(dict.fromkeys(known))
    if factor is None and len(known) == 1:
        return known[0]
    if factor is None or factor not in known:
        given = "is not given" if factor is None else f"{factor!r} does not point at '{outcome}'"
        raise SpecificationError(
            f"factor {given}; at level within it has {', '.join(map(repr, known)) or 'no factor'}"
        )
    return factor
