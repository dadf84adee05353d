"""Total, direct and indirect effects of one variable on another, by level and path.

A path from x to y is a chain of coefficients (loadings, regressions) that visits no variable twice;
its effect is their product, and the total effect is the sum over all paths. Where coefficients
form circles, the sum has no end and the total effect is the entry of (I - B)^-1, or of
(I - B)^-1 K for a covariate; indirect is then what the total has besides the direct effect.

Several rows may stand between the same two variables, such as a loading and a regression: their
coefficients add, and the direct effect is the sum.

Random coefficients. The effect of a path differs between clusters and the table has its population
mean, per draw: for two random coefficients E[a_j b_j] = E[a_j] E[b_j] + cov(a_j, b_j), in general
by quadrature (blueprint.population), averaged over the clusters' covariates.

References
----------
Kenny, D. A., Korchmaros, J. D., & Bolger, N. (2003). Lower level mediation in multilevel models.
Psychological Methods, 8(2), 115-128. https://doi.org/10.1037/1082-989X.8.2.115
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from bayes_msem.blueprint.population import population_mean
from bayes_msem.errors import NotSupportedError, SpecificationError, nearest
from bayes_msem.posterior.levels import Level, Levels
from bayes_msem.spec.expressions import Binary, Expression, Name
from bayes_msem.spec.table import Row

__all__ = ["Effect", "path_effects"]

FloatArray = NDArray[np.float64]
Ends = str | tuple[str, str]
Path = tuple[str, ...]
Edges = dict[tuple[str, str], tuple[Row, ...]]


@dataclass(frozen=True, slots=True, eq=False)
class Effect:
    """An effect of x on y: its level, what it is, the path in words, and its draws (n,)."""

    level: str
    effect: str
    path: str
    values: FloatArray


def path_effects(levels: Levels, x: Ends, y: Ends) -> list[Effect]:
    """Find all paths from x to y and compute their effects.

    Parameters
    ----------
    levels
        The matrices of the average cluster, n draws.
    x, y
        Name of a variable, or its names (within, between) where these differ.

    Returns
    -------
    list of Effect
        Per level that has both variables: "total", "direct" (if there is such a coefficient),
        "indirect" (if there are such paths), each path of it as "path"; last, if both levels have
        both variables, "contextual": total between minus total within.

    Raises
    ------
    SpecificationError
        Unknown variables, or no level has a path from x to y.
    NotSupportedError
        Random coefficients in a level with circles.
    """
    totals: dict[str, FloatArray] = {}
    result: list[Effect] = []
    connected = False
    for i, level in enumerate(levels.both):
        ends = tuple(v if isinstance(v, str) else v[i] for v in (x, y))
        known = (*level.names, *level.covariates)
        if ends[0] not in known or ends[1] not in level.names:
            continue
        _check_no_product(levels, level.level, ends[0])
        edges = _edges(levels, level.level)
        paths = _paths(edges, ends[0], ends[1])
        connected = connected or bool(paths)
        of_level = _of_level(levels, level, edges, paths, ends[0], ends[1])
        totals[level.level] = of_level[0].values
        result += of_level
    if not connected:
        raise _nothing_found(levels, x, y)
    if len(totals) == 2:
        difference = totals["between"] - totals["within"]
        result.append(Effect("", "contextual", "between - within", difference))
    return result


def _check_no_product(levels: Levels, level: str, x: str) -> None:
    """Raise if the effect of x depends on another variable."""
    columns = levels.blueprint.observed.coded.columns
    found: dict[str, list[str]] = {}
    for row in levels.blueprint.table.rows:
        names = [part.name for part in columns.get(row.rhs, ())]
        if row.level == level and row.kind == "regression" and len(names) > 1 and x in names:
            found.setdefault(row.lhs, []).append(row.rhs)
    for outcome, products in found.items():
        listed = ", ".join(f"'{name}'" for name in products)
        raise NotSupportedError(
            f"'{x}' has no single effect on '{outcome}': it depends on other variables by the "
            f"products {listed}. Label the coefficients (b*{x} + c*{products[0]}) and define the "
            "effect at the values that are of interest, e.g. at_1 := b + 1*c"
        )


def _edges(levels: Levels, level: str) -> Edges:
    """(from, to) -> the rows whose coefficients add up on the way."""
    edges: Edges = {}
    for row in levels.blueprint.table.rows:
        if row.level == level and row.kind in ("loading", "regression"):
            ends = (row.lhs, row.rhs) if row.kind == "loading" else (row.rhs, row.lhs)
            edges[ends] = (*edges.get(ends, ()), row)
    return edges


def _paths(edges: Edges, x: str, y: str) -> list[Path]:
    """All paths without repetition, short ones first."""
    found: list[Path] = []
    open_paths: list[Path] = [(x,)]
    while open_paths:
        longer: list[Path] = []
        for path in open_paths:
            for start, end in edges:
                if start == path[-1] and end not in path:
                    (found if end == y else longer).append((*path, end))
        open_paths = longer
    return found


def _of_level(
    levels: Levels,
    level: Level,
    edges: Edges,
    paths: list[Path],
    x: str,
    y: str,
) -> list[Effect]:
    n = len(level.b)
    values = {path: _path_value(levels, level, edges, path) for path in paths}
    direct = values.get((x, y))
    longer = {path: value for path, value in values.items() if len(path) > 2}
    if _has_circles(edges):
        if any(row.random for rows in edges.values() for row in rows):
            raise NotSupportedError(
                f"effects of random coefficients in a model whose level {level.level} has circles "
                "(feedback loops) are not supported; define what you need with := instead"
            )
        total = _total(level, x, y)
        indirect = total - (0.0 if direct is None else direct)
    else:
        indirect = sum(longer.values(), np.zeros(n))
        total = indirect + (0.0 if direct is None else direct)
    result = [Effect(level.level, "total", f"{x} -> {y}", total)]
    if direct is not None:
        result.append(Effect(level.level, "direct", f"{x} -> {y}", direct))
    if longer:
        result.append(Effect(level.level, "indirect", f"{x} -> ... -> {y}", indirect))
        lines = [(" -> ".join(path), value) for path, value in longer.items()]
        result += [Effect(level.level, "path", text, value) for text, value in lines]
    return result


def _path_value(levels: Levels, level: Level, edges: Edges, path: Path) -> FloatArray:
    """Product of the coefficients of a path, in expectation over clusters."""
    steps = list(pairwise(path))
    random = [step for step in steps if any(row.random for row in edges[step])]
    together = len(random) > 1
    result = np.ones(len(level.b))
    for step in steps:
        if not (together and step in random):
            result = result * _coefficient(level, *step)
    if together:
        result = result * _mean_product(levels, [edges[step] for step in random])
    return result


def _coefficient(level: Level, start: str, end: str) -> FloatArray:
    i = level.names.index(end)
    if start in level.names:
        value: FloatArray = level.b[:, i, level.names.index(start)]
    else:
        value = level.k[:, i, level.design.index(start)]
    return value


def _mean_product(levels: Levels, steps: Sequence[tuple[Row, ...]]) -> FloatArray:
    """Return the population mean of a product of steps, each a sum of coefficients."""
    template, between = levels.blueprint.template, levels.between
    assert between is not None
    index = between.index(template.level_two)
    coefficients = (between.total @ between.k)[:, index].transpose(0, 2, 1)
    covariance = between.total @ between.psi @ between.total.transpose(0, 2, 1)
    factors: list[Expression] = []
    constants: dict[str, FloatArray] = {}
    for rows in steps:
        terms: list[Expression] = [Name(row.random) for row in rows if row.random]
        for row in rows:
            if not row.random:
                name = f"{row.lhs} {row.op} {row.rhs}"  # no name of a variable has a blank
                constants[name] = levels.row_values[row.key]
                terms.append(Name(name))
        factors.append(reduce(lambda left, right: Binary("+", left, right), terms))
    product = reduce(lambda left, right: Binary("*", left, right), factors)
    moments = (coefficients, covariance[:, index][:, :, index])
    return population_mean(levels.blueprint, product, constants, moments)


def _total(level: Level, x: str, y: str) -> FloatArray:
    i = level.names.index(y)
    if x in level.names:
        result: FloatArray = level.total[:, i, level.names.index(x)]
    else:
        result = (level.total @ level.k)[:, i, level.design.index(x)]
    return result


def _has_circles(edges: Edges) -> bool:
    remaining = set(edges)
    while remaining:
        ends = {end for _, end in remaining}
        kept = {(start, end) for start, end in remaining if start in ends}
        if kept == remaining:
            return True
        remaining = kept
    return False


def _nothing_found(levels: Levels, x: Ends, y: Ends) -> SpecificationError:
    """Say which name is unknown, or that nothing leads from x to y."""
    known = [v for level in levels.both for v in (*level.names, *level.covariates)]
    for name in (x, y):
        for one in (name,) if isinstance(name, str) else name:
            if one not in known:
                return SpecificationError(
                    f"the model has no variable '{one}'{nearest(one, known)}; effects need "
                    f"two of {', '.join(dict.fromkeys(known))}"
                )
    return SpecificationError(
        f"no path leads from {x!r} to {y!r} at any level; give the names of both levels where "
        'they differ, such as ("fw", "fb")'
    )
