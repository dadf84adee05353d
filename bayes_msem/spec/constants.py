"""Constants and starting values that no model can have, found before there are data.

- A starting value of a variance must be positive.
- (Co)variances that are fixed, or have starting values, must be those of some distribution: every
  set of variables all of whose variances and covariances are known must have a positive
  semidefinite matrix. Covariances without a row are zero.
- Feedback whose coefficients are all fixed must have an equilibrium: I - B invertible. Where the
  spectral radius of the fixed coefficients is 1 or more, repeated feedback does not die out, and
  the model describes an equilibrium that is never reached: a warning.
- A factor whose variance and first loading are both fixed has one constraint more than it needs to
  have a scale: a warning.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from bayes_msem.errors import SpecificationError
from bayes_msem.spec.table import ParameterTable, Row

__all__ = ["check_constants", "doubtful_constants"]

FloatArray = NDArray[np.float64]

_ROUNDING = 1e-10


def check_constants(table: ParameterTable) -> None:
    """Refuse constants and starting values that cannot be.

    Parameters
    ----------
    table
        The parameter table.

    Raises
    ------
    SpecificationError
        A starting value of a variance that is not positive, covariances too large for their
        variances, or fixed feedback without an equilibrium.
    """
    for row in table.rows:
        if row.kind == "variance" and row.free and row.value <= 0:
            raise SpecificationError(
                f"{_text(row)} has the starting value {row.value:g}, but a variance is positive; "
                f"write for example 'start(1)*{row.rhs}'"
            )
        if row.kind == "dispersion" and row.free and row.value <= 0:
            raise SpecificationError(
                f"the dispersion {_text(row)} has the starting value {row.value:g}, but is "
                f"positive; write for example 'start(1)*{row.rhs}'"
            )
    for level in table.levels:
        _check_covariances(table, level)
        for names, coefficients in _fixed_feedback(table, level):
            inner = np.eye(len(names)) - coefficients
            if np.linalg.svd(inner, compute_uv=False).min() < _ROUNDING:
                raise SpecificationError(
                    f"the feedback between {', '.join(names)} at level {level} is fixed at "
                    "coefficients that have no equilibrium (I - B is singular, its spectral radius "
                    "is 1); make a coefficient smaller, or free one"
                )


def doubtful_constants(table: ParameterTable) -> list[str]:
    """Return warnings about constants that can be, but are probably not meant.

    Parameters
    ----------
    table
        The parameter table.
    """
    found = []
    for level in table.levels:
        for names, coefficients in _fixed_feedback(table, level):
            radius = float(np.abs(np.linalg.eigvals(coefficients)).max())
            if radius >= 1:
                found.append(
                    f"the feedback between {', '.join(names)} at level {level} is fixed at a "
                    f"spectral radius of {radius:g}; from 1 on, feedback grows without end, so the "
                    "equilibrium that the model describes is never reached; make coefficients "
                    "smaller"
                )
    return found + list(_twice_scaled(table))


def _text(row: Row) -> str:
    return f"{row.level}: {row.lhs} {row.op} {row.rhs}"


def _check_covariances(table: ParameterTable, level: str) -> None:
    rows = [r for r in table.rows if r.level == level and r.op == "~~"]
    variance = {
        r.lhs: r.value
        for r in rows
        if r.kind == "variance" and not r.random and np.isfinite(r.value)
    }
    pairs = {frozenset((r.lhs, r.rhs)): r for r in rows if r.kind == "covariance"}

    def value(a: str, b: str) -> float:
        if a == b:
            return variance[a]
        row = pairs.get(frozenset((a, b)))
        return 0.0 if row is None else np.nan if row.random else row.value

    linked = sorted({v for pair, r in pairs.items() if r.value != 0 for v in pair} & set(variance))
    known = {a: {b for b in linked if b != a and np.isfinite(value(a, b))} for a in linked}
    for names in _cliques(known):
        matrix = np.array([[value(a, b) for b in names] for a in names])
        spread = np.sqrt(np.where(np.diag(matrix) > 0, np.diag(matrix), 1.0))
        if np.linalg.eigvalsh(matrix / np.outer(spread, spread)).min() >= -_ROUNDING:
            continue
        given = [
            f"{a} ~~ {b} = {value(a, b):g}"
            for i, a in enumerate(names)
            for b in names[i:]
            if a == b or value(a, b) != 0
        ]
        raise SpecificationError(
            f"no distribution has these (co)variances at level {level}: {', '.join(given)} "
            "(constants and starting values); a covariance is at most the product of the standard "
            "deviations, and together they must be positive definite: make covariances smaller or "
            "variances larger"
        )


def _cliques(graph: dict[str, set[str]]) -> Iterator[list[str]]:
    """Maximal sets of variables that are all linked with each other (Bron and Kerbosch)."""

    def extend(clique: list[str], rest: set[str], done: set[str]) -> Iterator[list[str]]:
        if not rest and not done:
            yield sorted(clique)
            return
        pivot = max(sorted(rest | done), key=lambda v: len(graph[v] & rest))
        for v in sorted(rest - graph[pivot]):
            yield from extend([*clique, v], rest & graph[v], done & graph[v])
            rest, done = rest - {v}, done | {v}

    if graph:
        yield from extend([], set(graph), set())


def _fixed_feedback(table: ParameterTable, level: str) -> Iterator[tuple[list[str], FloatArray]]:
    """Find variables that feed back on each other by fixed coefficients alone, with their B."""
    arrows: list[tuple[str, str, Row]] = []  # to, from; a pair may have a loading and a slope
    for row in table.rows:
        if row.level == level and row.kind in ("loading", "regression"):
            pair = (row.rhs, row.lhs) if row.kind == "loading" else (row.lhs, row.rhs)
            arrows.append((*pair, row))
    reach = {a: {a} for to, start, _ in arrows for a in (to, start)}
    changed = True
    while changed:
        changed = False
        for to, start, _ in arrows:
            new = reach[to] - reach[start]
            changed |= bool(new)
            reach[start] |= new
    loops = {frozenset(b for b in reach[a] if a in reach[b]) for a in reach}
    for loop in sorted(loops, key=sorted):
        names = sorted(loop)
        inside = [a for a in arrows if a[0] in loop and a[1] in loop]
        if not inside or any(r.free or not np.isfinite(r.value) for _, _, r in inside):
            continue
        coefficients = np.zeros((len(names), len(names)))
        for to, start, row in inside:
            coefficients[names.index(to), names.index(start)] += row.value
        yield names, coefficients


def _twice_scaled(table: ParameterTable) -> Iterator[str]:
    rows = table.rows
    for (level, factor), role in table.roles.items():
        if not role.endswith("factor"):
            continue
        own = [r for r in rows if r.kind == "loading" and (r.level, r.lhs) == (level, factor)]
        markers = [
            r for r in own if not r.free and not r.random and r.value != 0 and np.isfinite(r.value)
        ]
        fixed = [
            r for r in rows if r.key == (level, factor, "~~", factor) and not r.free and r.value > 0
        ]
        if fixed and markers and len(own) > 1:
            marker = markers[0]
            yield (
                f"factor '{factor}' at level {level} has both its variance fixed "
                f"({factor} ~~ {fixed[0].value:g}*{factor}) and a loading ({factor} =~ "
                f"{marker.value:g}*{marker.rhs}, the first one by default); one of them sets its "
                f"scale, the other restricts the model. Free one: 'NA*{marker.rhs}' (or "
                f"std_lv=True), or leave the variance out"
            )
