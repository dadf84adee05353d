"""Where the nodes of one level go.

Indicators stand in one row, their factors in the next one, and factors of factors beyond. Variables
without indicators are stacked in columns; columns go from left to right in causal order. What has
no path at all, such as random effects that only covary, stands in line at the right.

A path that skips a column takes a place of its own in it, a *gap*; the order in every column is the
one with the fewest crossings (see :mod:`.diagram_order`), and columns move up or down until
paths through gaps are straight.

Heights are measured outward from the row of indicators: upward at level between, downward at level
within, so that the indicators of both levels face each other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise

from bayes_msem.plotting.diagram_geometry import Box
from bayes_msem.plotting.diagram_graph import LevelGraph
from bayes_msem.plotting.diagram_order import Gap, Item, Link, best_orders
from bayes_msem.plotting.diagram_sizes import Sizes

__all__ = ["Placed", "blocks_of", "place"]

_GAP, _COLUMN_GAP = 18.0, 164.0  # between indicators, between columns
_RISE = 150.0  # from indicators to factors
_PITCH = 58.0  # gap of nodes in a column
_BESIDE_GAP = 34.0  # from a node to the middle of a gap in its column
_BESIDE_LOOP = 66.0  # from a factor, which has its loop there, to the middle of a gap


@dataclass(frozen=True, slots=True)
class Placed:
    """Nodes and where they are.

    Attributes
    ----------
    boxes
        Name -> box of every node. No two overlap.
    ways
        (source, target) -> points that a path between distant columns should run through.
    columns
        Name -> number of its column, for nodes that stand in one.
    last
        Number of the last column.
    row
        Names of the indicators, which stand in one row.
    """

    boxes: Mapping[str, Box]
    ways: Mapping[tuple[str, str], tuple[tuple[float, float], ...]]
    columns: Mapping[str, int]
    last: int
    row: frozenset[str]


@dataclass(slots=True)
class _Column:
    """Names from top to bottom, the indicators below them, and other factors of these."""

    names: list[str]
    indicators: list[str]
    beside: list[str] = field(default_factory=list)


def place(
    graph: LevelGraph, blocks: Mapping[str, Sequence[str]], sizes: Sizes, upward: bool, scale: float
) -> Placed:
    """Place the nodes of one level around (0, 0).

    Parameters
    ----------
    graph
        Nodes and edges.
    blocks
        Factor -> its indicators in their order, from :func:`blocks_of`.
    sizes
        Sizes of the nodes.
    upward
        Whether factors stand above their indicators.
    scale
        Factor of all distances.
    """
    orders = _orders(graph, blocks)
    second = [n for n, order in orders.items() if order > 1]
    columns = _columns(graph, blocks, second)
    where = {n: i for i, column in enumerate(columns) for n in column.names}
    links = [
        Link(e.source, e.target, where[e.source], where[e.target])
        for e in graph.of_kind("regression")
        if e.source in where and e.target in where and where[e.source] != where[e.target]
    ]
    pairs = [(e.source, e.target) for e in graph.of_kind("covariance")]
    start = [[*c.names] for c in columns]
    stacks = best_orders(start, links, pairs, [bool(c.indicators) for c in columns], upward)
    rise = _rise(columns, sizes, scale)
    x = _across(columns, sizes, scale)
    heights = _heights(stacks, links, columns, sizes, rise, scale)
    boxes: dict[str, Box] = {}
    for i, column in enumerate(columns):
        left = x[i] - _row_width(column, sizes, scale) / 2
        for name in column.indicators:
            boxes[name] = sizes.box(name, left + sizes.slots[name], 0.0)
            left += 2 * sizes.slots[name] + _GAP * scale
        for name in column.names:
            boxes[name] = sizes.box(name, x[i], heights[i][name])
        if column.beside:
            _spread([*column.names, *column.beside], graph, boxes, sizes, rise, scale)
    _place_second(second, graph, orders, boxes, sizes, rise, scale)
    sign = -1.0 if upward else 1.0
    ways = {
        (link.source, link.target): tuple(
            (x[i], sign * heights[i][Gap(link.source, link.target, i)]) for i in link.between
        )
        for link in links
        if link.between
    }
    turned = {n: Box(b.x, sign * b.y, b.half_width, b.half_height) for n, b in boxes.items()}
    row = frozenset(i for column in columns for i in column.indicators)
    return Placed(turned, ways, where, len(columns) - 1, row)


# Columns ----------------------------------------------------------------------------------------


def blocks_of(graph: LevelGraph) -> dict[str, list[str]]:
    """Factor -> observed indicators that it is the first to load on; causes first."""
    factors = {e.source for e in graph.of_kind("loading")}
    seen: set[str] = set()
    blocks: dict[str, list[str]] = {}
    for e in graph.of_kind("loading"):
        if e.target not in factors and e.target not in seen:
            blocks.setdefault(e.source, []).append(e.target)
            seen.add(e.target)
    depth = _depths(graph)
    return {f: blocks[f] for f in sorted(blocks, key=lambda f: depth[f])}


def _shared(graph: LevelGraph, blocks: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Factors all of whose indicators stand below others -> the one that has most of them."""
    holder = {i: f for f, shown in blocks.items() for i in shown}
    found: dict[str, list[str]] = {}
    for e in graph.of_kind("loading"):
        if e.source not in blocks and e.target in holder:
            found.setdefault(e.source, []).append(holder[e.target])
    return {name: max(blocks, key=holders.count) for name, holders in found.items()}


def _columns(
    graph: LevelGraph, blocks: Mapping[str, Sequence[str]], second: Sequence[str]
) -> list[_Column]:
    """Columns from left to right."""
    depth = _depths(graph)
    members = {i for shown in blocks.values() for i in shown}
    linked = {name for e in graph.of_kind("regression", "loading") for name in (e.source, e.target)}
    free = [n.name for n in graph.nodes if n.name not in blocks and n.name not in members]
    beside = _shared(graph, blocks)
    free = [n for n in free if n not in beside or n in second]
    stacks: dict[int, list[str]] = {}
    for name in free:
        if name in linked and name not in second:
            stacks.setdefault(depth[name], []).append(name)
    columns = [((d, 0), _Column(names, [])) for d, names in stacks.items()]
    for i, (factor, shown) in enumerate(blocks.items(), 1):
        columns.append(((depth[factor], i), _Column([factor], list(shown))))
    for name, first in beside.items():
        if name not in second:
            next(c for _, c in columns if first in c.names).beside.append(name)
    columns.sort(key=lambda c: c[0])
    return [c for _, c in columns] + [_Column([n], []) for n in free if n not in linked]


def _depths(graph: LevelGraph) -> dict[str, int]:
    """Longest chain of regressions into each variable; feedback loops are cut off."""
    names = [n.name for n in graph.nodes]
    depth = dict.fromkeys(names, 0)
    for _ in names:
        for e in graph.of_kind("regression"):
            depth[e.target] = max(depth[e.target], min(depth[e.source] + 1, len(names)))
    return depth


def _orders(graph: LevelGraph, blocks: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """1 for factors of indicators, 2 for factors of factors, and so on."""
    order = {e.source: 1 for e in graph.of_kind("loading")}
    for _ in order:
        for e in graph.of_kind("loading"):
            if e.target in order and e.source not in blocks:
                order[e.source] = max(order[e.source], min(order[e.target] + 1, len(order)))
    return order


# Distances --------------------------------------------------------------------------------------


def _row_width(column: _Column, sizes: Sizes, scale: float) -> float:
    slots = sum(2 * sizes.slots[i] for i in column.indicators)
    return slots + _GAP * scale * max(0, len(column.indicators) - 1)


def _across(columns: Sequence[_Column], sizes: Sizes, scale: float) -> list[float]:
    """Middle of every column: nodes need room for labels between them, rows only a gap."""
    x: list[float] = []
    upper = row = None
    for column in columns:
        half = max(sizes.slots[n] for n in column.names)
        half += sum(sizes.slots[n] + 0.25 * _COLUMN_GAP * scale for n in column.beside)
        half_row = _row_width(column, sizes, scale) / 2
        least = [0.0]
        if upper is not None:
            least.append(upper + _COLUMN_GAP * scale + half)
        if row is not None and half_row:
            least.append(row + 2.5 * _GAP * scale + half_row)
        x.append(max(least))
        upper = x[-1] + half
        row = x[-1] + half_row if half_row else row
    return x


def _rise(columns: Sequence[_Column], sizes: Sizes, scale: float) -> float:
    """Height of factors above indicators: wide fans and tall nodes need more."""
    tall = max((sizes.nodes[i][1] for c in columns for i in c.indicators), default=0.0)
    wide = max((_row_width(c, sizes, scale) for c in columns), default=0.0)
    return max(_RISE, 96.0 + 2 * tall + 0.08 * wide) * scale


def _heights(
    stacks: Sequence[Sequence[Item]],
    links: Sequence[Link],
    columns: Sequence[_Column],
    sizes: Sizes,
    rise: float,
    scale: float,
) -> list[dict[Item, float]]:
    """Heights of all items; columns with gaps move until paths through them are straight."""
    heights = [
        _stacked(s, sizes, bool(c.indicators), scale) for s, c in zip(stacks, columns, strict=True)
    ]
    for h in heights:
        for item in h:
            h[item] += rise
    for i, column in enumerate(columns):
        if column.indicators:  # the factor stays, gaps are beyond it
            shift = rise - heights[i][column.names[0]]
            heights[i] = {item: y + shift for item, y in heights[i].items()}
    for _ in range(4):
        for i, h in enumerate(heights):
            if columns[i].indicators:
                continue
            wanted = []
            for link in links:
                if i in link.between:
                    a = heights[link.first][link.ends[0]]
                    b = heights[link.last][link.ends[1]]
                    part = (i - link.first) / (link.last - link.first)
                    wanted.append(a + part * (b - a) - h[Gap(link.source, link.target, i)])
            if wanted:
                shift = sum(wanted) / len(wanted)
                heights[i] = {item: y + shift for item, y in h.items()}
    return heights


def _stacked(stack: Sequence[Item], sizes: Sizes, factor: bool, scale: float) -> dict[Item, float]:
    """Heights of one column around 0, from the inside out."""
    y, before, made = 0.0, None, {}
    for item in stack:
        half = 0.0 if isinstance(item, Gap) else sizes.nodes[item][1]
        if before is not None:
            gaps = isinstance(before, Gap) + isinstance(item, Gap)
            y += (_PITCH, _BESIDE_LOOP if factor else _BESIDE_GAP, _BESIDE_GAP)[gaps] * scale
        y += half
        made[item] = y
        y += half
        before = item
    nodes = [made[item] for item in made if not isinstance(item, Gap)]
    middle = (nodes[0] + nodes[-1]) / 2 if nodes else y / 2
    return {item: v - middle for item, v in made.items()}


def _spread(
    factors: Sequence[str],
    graph: LevelGraph,
    boxes: dict[str, Box],
    sizes: Sizes,
    rise: float,
    scale: float,
) -> None:
    """Put several factors of one row of indicators beside each other, as their indicators stand."""
    middle = {}
    for name in factors:
        own = [e.target for e in graph.of_kind("loading") if e.source == name]
        middle[name] = sum(boxes[n].x for n in own if n in boxes) / max(1, len(own))
    ordered = sorted(factors, key=lambda n: middle[n])
    gaps = [
        sizes.slots[a] + sizes.slots[b] + 0.5 * _COLUMN_GAP * scale for a, b in pairwise(ordered)
    ]
    places = [0.0, *accumulate(gaps)]
    shift = sum(middle.values()) / len(middle) - sum(places) / len(places)
    for name, at in zip(ordered, places, strict=True):
        boxes[name] = sizes.box(name, at + shift, rise)


def _place_second(
    second: Sequence[str],
    graph: LevelGraph,
    orders: Mapping[str, int],
    boxes: dict[str, Box],
    sizes: Sizes,
    rise: float,
    scale: float,
) -> None:
    """Factors of factors: above the middle of the factors that they have."""
    paths = graph.of_kind("regression", "loading")
    for name in second:
        below = [boxes[e.target] for e in paths if e.source == name and e.target in boxes]
        x = sum(b.x for b in below) / len(below) if below else 0.0
        boxes[name] = sizes.box(name, x, rise * orders[name])
        while any(boxes[name].overlaps(b, _GAP) for n, b in boxes.items() if n != name):
            boxes[name] = boxes[name].moved(_COLUMN_GAP * scale / 2, 0)
