"""Nodes and edges of a path diagram, read from the parameter table."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from bayes_msem.spec.table import ParameterTable, Role, Row, RowKey

__all__ = ["Edge", "EdgeKind", "LevelGraph", "Node", "Shape", "number", "read_graph"]

Shape = Literal["box", "ellipse"]
EdgeKind = Literal["loading", "regression", "covariance", "variance"]

_LATENT: tuple[Role, ...] = ("within factor", "between factor", "random effect")


_SIGNS = 6  # of a number, at most: diagram_sizes reserves room for them


@dataclass(frozen=True, slots=True)
class Node:
    """A variable at one level: its name, shape, and the lines below its name.

    ``has_mean`` says whether a mean or an intercept can stand there, in some diagram of the model.
    """

    name: str
    shape: Shape
    role: Role
    lines: tuple[str, ...] = ()
    intercept: RowKey | None = None
    has_mean: bool = False


@dataclass(frozen=True, slots=True)
class Edge:
    """A row that is drawn: an arrow, a double-headed arrow, or a loop at one node."""

    kind: EdgeKind
    source: str
    target: str
    row: Row
    lines: tuple[str, ...] = ()

    @property
    def is_random(self) -> bool:
        """Whether the coefficient varies over clusters, which a dot shows."""
        return bool(self.row.random)


@dataclass(frozen=True, slots=True)
class LevelGraph:
    """Everything drawn at one level."""

    level: str
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]

    def of_kind(self, *kinds: EdgeKind) -> list[Edge]:
        """Edges of these kinds, in the order of the table."""
        return [e for e in self.edges if e.kind in kinds]


def read_graph(
    table: ParameterTable,
    values: Mapping[RowKey, float] | None = None,
    intervals: Mapping[RowKey, tuple[float, float]] | None = None,
) -> tuple[LevelGraph, ...]:
    """Read the nodes and edges of every level.

    Parameters
    ----------
    table
        The parameter table.
    values
        Numbers to write at the rows; None: labels and constants only.
    intervals
        Lower and upper limits to write below them.

    Returns
    -------
    tuple of LevelGraph
        The highest level first, because it is drawn above. Intercepts are lines of their node, and
        paths fixed at zero are left out, as in any path diagram.
    """
    levels = table.levels[::-1]
    return tuple(_read_level(table, level, values, intervals or {}) for level in levels)


def _read_level(
    table: ParameterTable,
    level: str,
    values: Mapping[RowKey, float] | None,
    intervals: Mapping[RowKey, tuple[float, float]],
) -> LevelGraph:
    rows = [r for r in table.rows if r.level == level]
    means = {r.lhs: r for r in rows if r.kind == "intercept" and (r.free or r.value != 0)}
    nodes = []
    for (where, name), role in table.roles.items():
        if where == level:
            mean = means.get(name)
            lines: tuple[str, ...] = ()
            if mean is not None and values is not None and mean.key in values:
                lines = _lines(
                    mean, values, intervals, prefix="mean " if _plain(mean, rows) else ""
                )
            key = mean.key if mean is not None and lines else None
            nodes.append(Node(name, _shape(level, role), role, lines, key, mean is not None))
    edges = [_edge(r, values, intervals) for r in rows if _is_drawn(r)]
    return LevelGraph(level, tuple(nodes), tuple(edges))


def _plain(mean: Row, rows: list[Row]) -> bool:
    """Whether an intercept is a mean, because nothing predicts the variable."""
    name = mean.lhs
    predicted = any(r.kind == "regression" and r.lhs == name for r in rows)
    return not predicted and not any(r.kind == "loading" and r.rhs == name for r in rows)


def _shape(level: str, role: Role) -> Shape:
    latent = role in _LATENT or (role == "split" and level != "within")
    return "ellipse" if latent else "box"


def _is_drawn(row: Row) -> bool:
    if row.kind in ("intercept", "threshold", "dispersion", "defined"):
        return False
    return bool(row.free or row.random or row.label) or row.value != 0


def _edge(
    row: Row,
    values: Mapping[RowKey, float] | None,
    intervals: Mapping[RowKey, tuple[float, float]],
) -> Edge:
    kind = row.kind
    assert kind != "intercept"
    assert kind != "threshold"
    assert kind != "dispersion"
    assert kind != "defined"
    ends = (row.rhs, row.lhs) if kind == "regression" else (row.lhs, row.rhs)
    return Edge(kind, *ends, row, _lines(row, values, intervals))


def _lines(
    row: Row,
    values: Mapping[RowKey, float] | None,
    intervals: Mapping[RowKey, tuple[float, float]],
    prefix: str = "",
) -> tuple[str, ...]:
    if row.random:
        return (row.random,)
    if values is not None and row.key in values and (row.free or values[row.key] != row.value):
        lines = [prefix + number(values[row.key])]
        if row.key in intervals:
            lower, upper = intervals[row.key]
            lines.append(f"[{number(lower)}, {number(upper)}]")
        return tuple(lines)
    if row.label:
        return (row.label,)
    # NaN, the value of a free row, is not equal to itself
    return (f"{row.value:g}",) if not row.free and row.value == row.value else ()


def number(x: float) -> str:
    """Two decimals, or three digits where that would hide a small number; six signs at most."""
    if not math.isfinite(x):
        return "\N{EN DASH}"
    for text in (f"{x:.2f}" if abs(x) >= 0.0995 or x == 0 else f"{x:.3f}", f"{x:.1f}", f"{x:.0f}"):
        if len(text) <= _SIGNS:
            break
    else:
        digits, power = f"{x:.1e}".split("e")
        text = f"{digits}e{int(power)}"
        if len(text) > _SIGNS:
            text = f"{x:.0e}".replace("e+", "e")
    return text.replace("-", "\N{MINUS SIGN}")
