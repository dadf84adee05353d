"""Outcomes that no data can have: a covariance matrix that is singular whatever the parameters.

Residual variances that are fixed at zero may leave an outcome, or a sum of outcomes, without any
variance. No data have a density then, and every search and every chain would fail later. The
matrices are evaluated at arbitrary parameters: a matrix that is singular there, is so everywhere
(but for sets of measure zero).

The rows inside clusters need a regular Sigma_w; the means of clusters of Sigma_w / n + Sigma_b, of
which only the part of cluster-level outcomes has no within part. What level 2 is to level 1,
level 3 is to level 2.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bayes_msem.errors import SpecificationError
from bayes_msem.spec.table import ParameterTable, Row

__all__ = ["check_singular"]

FloatArray = NDArray[np.float64]

_ROUNDING = 1e-9
_INVOLVED = 0.05


def check_singular(table: ParameterTable) -> None:
    """Refuse fixed variances that leave the outcomes without a density.

    Parameters
    ----------
    table
        The parameter table.

    Raises
    ------
    SpecificationError
        Names the outcomes.
    """
    rng = np.random.default_rng(3)
    numbers = {row.free: rng.uniform(0.3, 0.7) for row in table.rows if row.free}
    levels = {
        "within": table.variables("within", "split", "within-only"),
        **{level: table.variables(level, "cluster-level") for level in table.levels[1:]},
    }
    for level, outcomes in levels.items():
        # the log rate of a count has no residual, and its distribution needs none
        outcomes = tuple(v for v in outcomes if not _is_count(table, v))
        if not outcomes:
            continue
        covariance = _covariance(table, level, outcomes, numbers)
        spread = np.sqrt(np.diag(covariance))
        spread = np.where(spread > 0, spread, 1.0)
        values, vectors = np.linalg.eigh(covariance / np.outer(spread, spread))
        if values.min() > _ROUNDING:
            continue
        involved = np.abs(vectors[:, values <= _ROUNDING]).max(axis=1) > _INVOLVED
        names = [v for v, i in zip(outcomes, involved, strict=True) if i]
        what = "no variance" if len(names) == 1 else "a singular covariance matrix"
        rows = ", ".join(f"{v} ~~ 0*{v}" for v in names if _is_zero(table, level, v))
        raise SpecificationError(
            f"at level {level}, {', '.join(names)} would have {what} whatever the parameters are "
            f"({rows or 'by its constants'}), so no data have a density; free a residual variance "
            f"or fix it at a positive number"
        )


def _is_count(table: ParameterTable, name: str) -> bool:
    return name in table.families and table.families[name].is_count


def _is_zero(table: ParameterTable, level: str, name: str) -> bool:
    return any(r.key == (level, name, "~~", name) and r.value == 0 for r in table.rows)


def _covariance(
    table: ParameterTable, level: str, outcomes: tuple[str, ...], numbers: dict[int, float]
) -> FloatArray:
    """Implied covariance matrix of outcomes of one level at arbitrary values of what is free."""
    roles = {v: role for (lev, v), role in table.roles.items() if lev == level}
    names = [v for v, role in roles.items() if "covariate" not in role]
    place = {v: i for i, v in enumerate(names)}
    inner, psi = np.eye(len(names)), np.zeros((len(names), len(names)))

    def value(row: Row) -> float:
        if row.free:
            return numbers[row.free]
        return row.value if np.isfinite(row.value) else 0.5  # random, or computed from others

    rows = [r for r in table.rows if r.level == level]
    for row in (r for r in rows if r.kind in ("loading", "regression")):
        to, start = (row.rhs, row.lhs) if row.kind == "loading" else (row.lhs, row.rhs)
        if start in place:
            inner[place[to], place[start]] -= value(row)
    for row in (r for r in rows if r.kind == "variance"):
        psi[place[row.lhs], place[row.lhs]] = value(row)
    fixed = {r.lhs for r in rows if r.kind == "variance" and not r.free and r.value > 0}
    for row in (r for r in rows if r.kind == "covariance" and {r.lhs, r.rhs} <= fixed):
        if not row.free and np.isfinite(row.value):  # free ones can always be small
            i, k = place[row.lhs], place[row.rhs]
            psi[i, k] = psi[k, i] = row.value
    total = np.linalg.solve(inner, np.eye(len(names)))
    chosen = [place[v] for v in outcomes]
    covariance: FloatArray = (total @ psi @ total.T)[np.ix_(chosen, chosen)]
    return covariance
