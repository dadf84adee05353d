"""Composite reliability (omega) of the sum of a factor's indicators, by level.

Let i run over the indicators of a factor f with loadings l_i, and let C = sum_i y_i be their
composite. At each level, with the variance of f and the covariance matrix of the indicators as the
model implies them (posterior.levels),

    true = (sum_i l_i)^2 Var(f) ,    omega = true / Var(C) .

within          true_w / Var(C_w)                     differences inside clusters
between         true_b / Var(C_b)                     of the latent cluster means
cluster means   true_b / (Var(C_b) + Var(C_w) / n)    of the observed cluster means
total           (true_w + true_b) / (Var(C_b) + Var(C_w))    of the scores as observed

The first two are those of Geldhof, Preacher and Zyphur (2014); the last two those of Lai (2021), n
the harmonic mean of the cluster sizes. Cross loadings and correlated residuals count as what they
are: variance of C that is not due to f.

References
----------
Geldhof, G. J., Preacher, K. J., & Zyphur, M. J. (2014). Reliability estimation in a multilevel
confirmatory factor analysis framework. Psychological Methods, 19(1), 72-91.
https://doi.org/10.1037/a0032138

Lai, M. H. C. (2021). Composite reliability of multilevel data: It's about observed scores and
construct meanings. Psychological Methods, 26(1), 90-102. https://doi.org/10.1037/met0000287
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bayes_msem.posterior.levels import Level, Levels, between_parts
from bayes_msem.posterior.variance import average_size
from bayes_msem.spec.table import ParameterTable

__all__ = ["composite_reliabilities", "composites"]

FloatArray = NDArray[np.float64]


def composites(table: ParameterTable, level: str) -> dict[str, tuple[str, ...]]:
    """Factors of a level whose indicators are all observed, with their indicators."""
    indicators: dict[str, tuple[str, ...]] = {}
    for row in table.rows:
        if row.level == level and row.kind == "loading":
            indicators[row.lhs] = (*indicators.get(row.lhs, ()), row.rhs)
    observed = ("split", "within-only", "cluster-level")
    return {
        factor: items
        for factor, items in indicators.items()
        if len(items) > 1 and all(table.roles[(level, item)] in observed for item in items)
    }


def composite_reliabilities(levels: Levels) -> dict[tuple[str, str], FloatArray]:
    """Omega of every factor with observed indicators.

    Parameters
    ----------
    levels
        The matrices of the model, n draws.

    Returns
    -------
    dict
        (factor, kind) -> (n,) array. Kinds are "within", "between", "cluster means" and "total";
        the last two are there where all indicators are measured at level one, "total" (which
        stands with the factor of level within) where a factor of level between has the same
        indicators. In single-level models there is "total" only.
    """
    table, within = levels.blueprint.table, levels.within
    of_within = composites(table, "within")
    result: dict[tuple[str, str], FloatArray] = {}
    for factor, items in of_within.items():
        kind = "within" if table.two_level else "total"
        result[factor, kind] = _true(within, factor, items) / _composite(within, items)
    between = levels.between
    if between is None:
        return result
    split = levels.blueprint.observed.split_names
    parts = between_parts(levels)
    for factor, items in composites(table, "between").items():
        true = _true(between, factor, items)
        if not set(items) <= set(split):
            result[factor, "between"] = true / _composite(between, items)
            continue
        index = [split.index(item) for item in items]
        spread = parts[:, index][:, :, index].sum(axis=(1, 2))
        inside = _composite(within, items)
        result[factor, "between"] = true / spread
        result[factor, "cluster means"] = true / (spread + inside / average_size(levels))
        for other, same in of_within.items():
            if set(same) == set(items):
                both = true + _true(within, other, same)
                result[other, "total"] = both / (spread + inside)
    order = list(dict.fromkeys(factor for factor, _ in result))
    return dict(sorted(result.items(), key=lambda item: order.index(item[0][0])))


def _true(level: Level, factor: str, items: tuple[str, ...]) -> FloatArray:
    f = level.names.index(factor)
    variance: FloatArray = level.b[:, level.index(items), f].sum(axis=1) ** 2
    return variance * level.variance[:, f]


def _composite(level: Level, items: tuple[str, ...]) -> FloatArray:
    index = level.index(items)
    variance: FloatArray = level.covariance[:, index][:, :, index].sum(axis=(1, 2))
    return variance
