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

Ordered items with a probit link. C is the sum of their codes, and the latent responses y* have the
covariance matrices S_w and S_b, of which T_w and T_b are due to f. With c(V) the sum over pairs of
items of the covariances of two codes whose latent responses covary as V says
(outcomes.ordinal_reliability; all have the variances of S_w + S_b, or S_w inside a cluster), the
composites of two rows of a cluster covary by c(S_b), so that

within          c(T_w) / c(S_w)     both with thresholds minus the mean of an average cluster
between         c(T_b) / c(S_b)
cluster means   c(T_b) / (c(S_b) (n - 1) / n + c(S_b + S_w) / n)
total           c(T_w + T_b) / c(S_b + S_w)

Sums of other outcomes that are not normal have no such formula, and their factors are left out.

References
----------
Green, S. B., & Yang, Y. (2009). Reliability of summed item scores using structural equation
modeling: An alternative to coefficient alpha. Psychometrika, 74(1), 155-167.
https://doi.org/10.1007/s11336-008-9099-3

Geldhof, G. J., Preacher, K. J., & Zyphur, M. J. (2014). Reliability estimation in a multilevel
confirmatory factor analysis framework. Psychological Methods, 19(1), 72-91.
https://doi.org/10.1037/a0032138

Lai, M. H. C. (2021). Composite reliability of multilevel data: It's about observed scores and
construct meanings. Psychological Methods, 26(1), 90-102. https://doi.org/10.1037/met0000287
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bayes_msem.outcomes.ordinal_reliability import sum_reliability
from bayes_msem.posterior.levels import Level, Levels, between_parts
from bayes_msem.posterior.variance import average_size
from bayes_msem.spec.table import ParameterTable

__all__ = ["composite_reliabilities", "composites", "left_out", "sums_codes"]

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
    of_within = {f: v for f, v in composites(table, "within").items() if _is_normal(levels, v)}
    result = ordinal_reliabilities(levels)
    for factor, items in of_within.items():
        kind = "within" if table.two_level else "total"
        result[factor, kind] = _true(within, factor, items) / _composite(within, items)
    between = levels.between
    if between is None:
        return result
    split = levels.blueprint.observed.split_names
    parts = between_parts(levels)
    for factor, items in composites(table, "between").items():
        if not _is_normal(levels, items):
            continue
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


def _is_normal(levels: Levels, items: tuple[str, ...]) -> bool:
    return not set(items) & set(levels.blueprint.observed.families)


def sums_codes(levels: Levels) -> bool:
    """Whether some factor has ordered items, so that their codes are summed."""
    table = levels.blueprint.table
    every = [*composites(table, "within").values(), *composites(table, "between").values()]
    return any(_is_probit(levels, items) for items in every)


def left_out(levels: Levels) -> list[str]:
    """Factors with items whose sum has no reliability here: counts, logits, and mixtures."""
    families, table = levels.blueprint.observed.families, levels.blueprint.table
    found = {**composites(table, "within"), **composites(table, "between")}
    return [f for f, v in found.items() if set(v) & set(families) and not _is_probit(levels, v)]


def _is_probit(levels: Levels, items: tuple[str, ...]) -> bool:
    """Whether all items are cut from normal latent responses of rows."""
    observed = levels.blueprint.observed
    found = [observed.families.get(item) for item in items if item in observed.y_names]
    return len(found) == len(items) and all(
        f is not None and f.has_thresholds and f.link == "probit" for f in found
    )


def ordinal_reliabilities(levels: Levels) -> dict[tuple[str, str], FloatArray]:
    """Reliability of sums of ordered items (see above), as in :func:`composite_reliabilities`."""
    table, within, between = levels.blueprint.table, levels.within, levels.between
    result: dict[tuple[str, str], FloatArray] = {}
    alone = "within" if table.two_level else "total"
    inside = {f: v for f, v in composites(table, "within").items() if _is_probit(levels, v)}
    for factor, items in inside.items():
        due, spread = _of_level(within, factor, items)
        result[factor, alone] = sum_reliability(due, spread, _cuts(levels, items))
    if between is None:
        return result
    split, size = levels.blueprint.observed.split_names, average_size(levels)
    parts = between_parts(levels)
    for factor, items in composites(table, "between").items():
        if not _is_probit(levels, items):
            continue
        index = [split.index(item) for item in items]
        spread = parts[:, index][:, :, index]
        true = _of_level(between, factor, items)[0]
        own = _covariance(within, items)
        cuts = _cuts(levels, items)
        common, shared = (sum_reliability(v, spread + own, cuts) for v in (true, spread))
        result[factor, "between"] = common / shared
        result[factor, "cluster means"] = common / (shared * (size - 1.0) / size + 1.0 / size)
        for other, same in inside.items():
            if set(same) == set(items):
                both = true + _of_level(within, other, items)[0]  # same order
                result[other, "total"] = sum_reliability(both, spread + own, cuts)
    return result


def _of_level(level: Level, factor: str, items: tuple[str, ...]) -> tuple[FloatArray, FloatArray]:
    """Covariances of the items due to a factor, and all of them, both (n, p, p)."""
    f, index = level.names.index(factor), level.index(items)
    loading = level.b[:, index, f]
    due = loading[:, :, None] * loading[:, None, :] * level.variance[:, f, None, None]
    return due, _covariance(level, items)


def _covariance(level: Level, items: tuple[str, ...]) -> FloatArray:
    index = level.index(items)
    covariance: FloatArray = level.covariance[:, index][:, :, index]
    return covariance


def _cuts(levels: Levels, items: tuple[str, ...]) -> list[FloatArray]:
    """Thresholds of the items, minus the means of their latent responses."""
    within, between = levels.within, levels.between
    split, cuts = levels.blueprint.observed.split_names, []
    for item in items:
        mean = within.mean[:, within.names.index(item)]
        if between is not None and item in split:
            mean = mean + between.mean[:, between.names.index(item)]
        rows = [r for r in levels.blueprint.table.rows if r.kind == "threshold" and r.lhs == item]
        cuts.append(np.stack([levels.row_values[r.key] - mean for r in rows], axis=-1))
    return cuts


def _true(level: Level, factor: str, items: tuple[str, ...]) -> FloatArray:
    f = level.names.index(factor)
    variance: FloatArray = level.b[:, level.index(items), f].sum(axis=1) ** 2
    return variance * level.variance[:, f]


def _composite(level: Level, items: tuple[str, ...]) -> FloatArray:
    return np.asarray(_covariance(level, items).sum(axis=(1, 2)))
