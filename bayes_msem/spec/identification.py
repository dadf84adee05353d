"""Identification: what can be said from the parameter table alone, without data.

**Scale of factors.** Replace each factor v by exp(c_v) v, and c_y = 0 for observed y. The
distribution of the data stays the same if every coefficient of v on u is multiplied by
exp(c_v - c_u) and every (co)variance of u and v by exp(c_u + c_v). A coefficient that is fixed
at a number other than 0 must not change: one linear equation in c. Two rows with one label
must change alike: another. A fixed coefficient gives no equation if a free one stands between
the same two variables (spec.pairs), since their sum can change. A factor has a scale if and only
if all solutions c of these equations have c_v = 0. Rows with an ``==`` expression count as fixed,
which may miss a missing scale, but never finds one that is not missing.

**Single indicators.** The variance of a factor with one indicator and the residual variance of
that indicator enter the moments only as a (weighted) sum, unless the factor has other
relations that tell them apart: two outcomes, or one outcome and another relation.

**Counting rule (t-rule).** More free parameters than observed moments of a level are never
identified. Moments given covariates: means (intercepts), and (co)variances with the slopes on
covariates.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from bayes_msem.errors import SpecificationError
from bayes_msem.spec.pairs import is_open, rows_of_pairs
from bayes_msem.spec.table import ParameterTable, Row, RowKey

__all__ = ["LevelCount", "check_identification", "counting_rule"]


@dataclass(frozen=True, slots=True)
class LevelCount:
    """Free parameters and observed moments of one level.

    ``part`` is "means" (intercepts) or "covariances" ((co)variances, and slopes on covariates).
    """

    level: str
    part: Literal["means", "covariances"]
    n_parameters: int
    n_moments: int

    @property
    def is_identifiable(self) -> bool:
        """Whether the counting rule, which is necessary and not sufficient, holds."""
        return self.n_parameters <= self.n_moments

    def __str__(self) -> str:
        """Text for a warning."""
        what = "means" if self.part == "means" else "variances, covariances and slopes"
        message = (
            f"level {self.level}: {self.n_parameters} free parameters for {self.n_moments} "
            f"observed {what}"
        )
        if self.is_identifiable:
            return message
        return (
            f"{message}: the data alone do not identify them, so the posterior will follow the "
            "priors; fix or equate some parameters, or give them informative priors"
        )


def check_identification(table: ParameterTable) -> None:
    """Refuse factors that no data can identify.

    Parameters
    ----------
    table
        The parameter table.

    Raises
    ------
    SpecificationError
        For a factor without indicators, without a scale, or with a single indicator whose
        residual variance is free. A residual variance with a prior written in the text is
        accepted: then the prior separates it from the factor.
    """
    for level, factor in _factors(table):
        loadings = [r for r in table.rows if r.kind == "loading" and _at(r, level, factor)]
        if not loadings:
            raise SpecificationError(
                f"factor '{factor}' at level {level} has no indicators; "
                f"write '{factor} =~ ...' at this level"
            )
        _check_single_indicator(table, loadings)
    for level, factor in _without_scale(table):
        raise SpecificationError(_no_scale(table, level, factor))


def _no_scale(table: ParameterTable, level: str, factor: str) -> str:
    first = next(r for r in table.rows if r.kind == "loading" and _at(r, level, factor))
    message = f"factor '{factor}' at level {level} has no scale: "
    variance = _find(table, level, factor, "~~", factor)
    if variance is not None and variance.random:
        return (
            f"{message}its variance varies as '{variance.random}' and no loading is fixed; fix a "
            f"loading ('{factor} =~ 1*{first.rhs}') or the mean log SD ('{variance.random} ~ 0*1')"
        )
    return (
        f"{message}fix a loading ('{factor} =~ 1*{first.rhs}') or its variance "
        f"('{factor} ~~ 1*{factor}')"
    )


def _factors(table: ParameterTable) -> list[tuple[str, str]]:
    return [key for key, role in table.roles.items() if role.endswith("factor")]


def _at(row: Row, level: str, lhs: str) -> bool:
    return row.level == level and row.lhs == lhs


def _find(table: ParameterTable, level: str, lhs: str, op: str, rhs: str) -> Row | None:
    return next((r for r in table.rows if r.key == (level, lhs, op, rhs)), None)


def _is_constant(row: Row, table: ParameterTable) -> bool:
    """Whether the row is a number (not free, not random, not computed from labels)."""
    computed = {c.label for c in table.constraints}
    return row.free == 0 and not row.random and row.label not in computed


def _without_scale(table: ParameterTable) -> list[tuple[str, str]]:
    """Return (level, factor) of the factors whose scale the table leaves open."""
    factors = _factors(table)
    if not factors:
        return []
    equations = np.array([*_scale_equations(table, factors), np.zeros(len(factors))])
    singular, directions = np.linalg.svd(equations)[1:]
    rank = int(np.sum(singular > 1e-9))
    open_directions = directions[rank:]
    return [f for i, f in enumerate(factors) if np.any(np.abs(open_directions[:, i]) > 1e-9)]


def _scale_equations(
    table: ParameterTable, factors: list[tuple[str, str]]
) -> Iterable[np.ndarray[tuple[int], np.dtype[np.float64]]]:
    """Left-hand sides of the equations ``e @ c = 0`` of the module's list."""

    def exponent(row: Row) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        """Change of the log coefficient when factors are rescaled."""
        to, by = (row.rhs, row.lhs) if row.op == "=~" else (row.lhs, row.rhs)
        e = np.zeros(len(factors))
        for name, sign in ((to, 1.0), (by, 1.0 if row.op == "~~" else -1.0)):
            if (row.level, name) in factors:
                e[factors.index((row.level, name))] += sign
        return e

    first: dict[int, Row] = {}
    absorbed = _absorbed(table)
    for row in table.rows:
        if row.kind in ("defined", "threshold") or row.key in absorbed:
            continue
        if row.free:
            yield exponent(row) - exponent(first.setdefault(row.free, row))
        elif row.random:
            if _keeps_scale(row, table):
                yield exponent(row)
        elif row.value != 0:  # computed rows as well: their value is NaN
            yield exponent(row)


def _absorbed(table: ParameterTable) -> set[RowKey]:
    """Keys of coefficients that a free one between the same variables makes up for."""
    return {
        row.key
        for rows in rows_of_pairs(table).values()
        for row in rows
        if any(other is not row and is_open(other, table) for other in rows)
    }


def _keeps_scale(row: Row, table: ParameterTable) -> bool:
    """Whether the mean of a random coefficient is fixed, such that its scale cannot change."""
    mean = _find(table, table.mean_level(row.random), row.random, "~", "1")
    if mean is None or mean.free or row.kind == "covariance":  # correlations have no scale
        return False
    return row.kind == "variance" or mean.value != 0  # a log SD may be fixed at 0


def _check_single_indicator(table: ParameterTable, loadings: list[Row]) -> None:
    loading = loadings[0]
    level, factor, indicator = loading.level, loading.lhs, loading.rhs
    n_factors = sum(
        r.kind == "loading" and r.level == level and r.rhs == indicator for r in table.rows
    )
    residual = _find(table, level, indicator, "~~", indicator)
    variance = _find(table, level, factor, "~~", factor)
    if len(loadings) > 1 or n_factors > 1 or residual is None or variance is None:
        return
    uses = Counter(r.free for r in table.rows)

    def is_open(row: Row) -> bool:
        if row.random:  # its mean is what the data must tell from the other variance
            mean = _find(table, table.mean_level(row.random), row.random, "~", "1")
            return mean is not None and is_open(mean)
        return row.free > 0 and uses[row.free] == 1 and not row.prior

    confounded = is_open(residual) and (is_open(variance) or is_open(loading))
    if _is_ordered(table, level, indicator) and (is_open(variance) or is_open(loading)):
        raise SpecificationError(
            f"factor '{factor}' at level {level} has the single indicator '{indicator}', whose "
            "categories have no scale, so they say nothing about the factor's variance; fix it "
            f"('{factor} ~~ 1*{factor}', with the loading at 1), add indicators, or use "
            f"'{indicator}' in the place of '{factor}'"
        )
    if confounded and not _has_other_relations(table, level, factor, indicator):
        raise SpecificationError(
            f"factor '{factor}' at level {level} has the single indicator '{indicator}' with a "
            f"{'random' if residual.random else 'free'} residual variance, which cannot be told "
            "from the factor's variance; fix it "
            f"('{indicator} ~~ 0*{indicator}'), add indicators, or give it an informative prior"
        )


def _is_ordered(table: ParameterTable, level: str, name: str) -> bool:
    """Whether the residual of an ordered outcome stands at this level."""
    family = table.families.get(name)
    own = "within" if ("within", name) in table.roles else "between"
    return family is not None and family.has_thresholds and level == own


def _has_other_relations(table: ParameterTable, level: str, factor: str, indicator: str) -> bool:
    related = [
        r
        for r in table.rows
        if r.level == level and r.kind in ("regression", "covariance", "loading")
        if factor in (r.lhs, r.rhs) and not (r.kind == "loading" and r.lhs == factor)
        if (r.lhs, r.rhs) != (indicator, factor)  # a slope adds to the loading
        if not (_is_constant(r, table) and r.value == 0)
    ]
    outcomes = [r for r in related if r.kind == "regression" and r.rhs == factor]
    return bool(outcomes) and len(related) > 1


def counting_rule(table: ParameterTable) -> list[LevelCount]:
    """Compare the number of free parameters with that of observed moments, per level.

    Rows of random effects are left out, because the moments they imply depend on the
    covariates. So are thresholds, and as moments the variances of the latent responses of ordered
    outcomes. Parameters that occur at both levels are left out, because either level may
    identify them. So a count that fails proves that a level is not identified.

    Parameters
    ----------
    table
        The parameter table.

    Returns
    -------
    list of LevelCount
        For each level, one count for means and one for (co)variances and slopes.
    """
    counts: list[LevelCount] = []
    for level in table.levels:
        random = table.coefficients
        outcomes = table.variables(level, "split", "within-only", "cluster-level")
        outcomes = tuple(v for v in outcomes if v not in random)
        covariates = table.variables(level, "covariate", "cluster-level covariate")
        p, q = len(outcomes), len(covariates)
        n_means = p
        if level != table.levels[-1]:  # split variables have their mean at the highest level
            n_means = sum(table.mean_level(v) == level for v in outcomes)
        means, others = _own_parameters(table, level)
        counts.append(LevelCount(level, "means", len(means), n_means))
        n_others = p * (p + 1) // 2 + p * q - sum(_is_ordered(table, level, v) for v in outcomes)
        counts.append(LevelCount(level, "covariances", len(others), n_others))
    return counts


def _own_parameters(table: ParameterTable, level: str) -> tuple[set[int], set[int]]:
    """Numbers of the free parameters of one level alone: intercepts, and all others."""
    random = {*table.coefficients, *table.variables(level, "log SD")}
    elsewhere = {r.free for r in table.rows if r.level != level}
    means: set[int] = set()
    others: set[int] = set()
    for row in table.rows:
        if row.level != level or row.free in elsewhere or not row.free or row.kind == "threshold":
            continue
        if row.lhs not in random and row.rhs not in random:
            (means if row.kind == "intercept" else others).add(row.free)
    return means, others
