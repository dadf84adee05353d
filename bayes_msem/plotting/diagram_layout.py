"""Where the nodes of one level go.

Indicators stand in one row, their factors in the next one, and factors of factors beyond. Variables
without indicators are stacked in columns; columns go from left to right in causal order. What has
no path at all, such as random effects that only covary, stands in line at the right.

Heights are measured outward from the row of indicators: upward at level between, downward at level
within, so that the indicators of both levels face each other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from bayes_msem.plotting.canvas import text_width
from bayes_msem.plotting.diagram_graph import EdgeKind, LevelGraph, Node

__all__ = ["NAME_SIZE", "SMALL_SIZE", "Box", "Spacing", "common_spacing", "pixels", "place"]

NAME_SIZE, SMALL_SIZE = 13.0, 10.0  # font sizes in pixels
_HEIGHT, _LINE, _PAD, _LEAST = 34.0, 12.0, 11.0, 54.0
_GAP, _COLUMN_GAP = 22.0, 64.0  # between indicators, between columns
_RISE = 132.0  # from indicators to factors
_PITCH = 50.0  # gap of nodes in a column


@dataclass(frozen=True, slots=True)
class Box:
    """Centre and half sizes of a node, a label or a loop, in pixels."""

    x: float
    y: float
    half_width: float
    half_height: float

    def overlaps(self, other: Box, margin: float = 0.0) -> bool:
        """Whether the two rectangles share more than an edge."""
        return (
            abs(self.x - other.x) < self.half_width + other.half_width + margin
            and abs(self.y - other.y) < self.half_height + other.half_height + margin
        )

    def moved(self, dx: float, dy: float) -> Box:
        """Return the box elsewhere."""
        return Box(self.x + dx, self.y + dy, self.half_width, self.half_height)


@cache
def pixels(text: str, size: float) -> float:
    """Width of a text; measured in DejaVu Sans, wider than any font the picture asks for."""
    return 72.0 * text_width([text], size)


@dataclass(frozen=True, slots=True)
class Spacing:
    """Distances that all levels share, so that split variables can stand above each other.

    ``slots`` are half widths by name; ``gap`` and ``column_gap`` stand between indicators and
    between columns.
    """

    slots: Mapping[str, float]
    gap: float
    column_gap: float


def place(graph: LevelGraph, upward: bool, spacing: Spacing) -> dict[str, Box]:
    """Place the nodes of one level around (0, 0).

    Parameters
    ----------
    graph
        Nodes and edges.
    upward
        Whether factors stand above their indicators.
    spacing
        From :func:`common_spacing`.

    Returns
    -------
    dict
        Name -> box of every node. No two overlap.
    """
    sizes = {n.name: node_size(n) for n in graph.nodes}
    depth = _depths(graph)
    blocks = _blocks(graph)
    members = {i for shown in blocks.values() for i in shown}
    orders = _orders(graph, blocks)
    free = [n.name for n in graph.nodes if n.name not in blocks and n.name not in members]
    paths = graph.of_kind("regression", "loading")
    linked = {name for e in paths for name in (e.source, e.target)}
    second = [n for n in free if orders.get(n, 0) > 1]
    columns: list[tuple[tuple[int, int], list[str]]] = []
    stacks: dict[int, list[str]] = {}
    for name in free:
        if name in linked and name not in second:
            stacks.setdefault(depth[name], []).append(name)
    columns += [((d, 0), names) for d, names in stacks.items()]
    columns += [((depth[f], 1 + i), [f]) for i, f in enumerate(blocks)]
    columns.sort(key=lambda c: c[0])
    columns += [((10**6, 0), [n]) for n in free if n not in linked]
    if not upward:  # so that the first of a column is on top
        columns = [(key, names[::-1]) for key, names in columns]
    rise = _rise(blocks, sizes, spacing)
    boxes = _columns([names for _, names in columns], blocks, sizes, spacing, rise)
    for name in second:  # above the middle of the factors it has
        below = [boxes[e.target] for e in paths if e.source == name and e.target in boxes]
        x = sum(b.x for b in below) / len(below) if below else 0.0
        boxes[name] = Box(x, rise * orders[name], *sizes[name])
        while any(boxes[name].overlaps(b, _GAP) for n, b in boxes.items() if n != name):
            boxes[name] = boxes[name].moved(_COLUMN_GAP, 0)
    sign = -1.0 if upward else 1.0
    return {n: Box(b.x, sign * b.y, b.half_width, b.half_height) for n, b in boxes.items()}


def common_spacing(graphs: Sequence[LevelGraph]) -> Spacing:
    """Distances that leave room for the widest label, at any level."""
    slots: dict[str, float] = {}
    for node in (n for graph in graphs for n in graph.nodes):
        slots[node.name] = max(slots.get(node.name, 0.0), node_size(node)[0])

    def widest(*kinds: EdgeKind) -> float:
        edges = [e for graph in graphs for e in graph.of_kind(*kinds)]
        return max((pixels(t, SMALL_SIZE) for e in edges for t in e.lines), default=0.0)

    beside_loops = widest("variance") + 30.0 - 2 * min(slots.values())
    between_columns = widest("regression", "covariance") + 70.0
    return Spacing(slots, max(_GAP, beside_loops), max(_COLUMN_GAP, between_columns))


def node_size(node: Node) -> tuple[float, float]:
    """Half width and half height that hold the text, in an ellipse as in a box."""
    width = max([pixels(node.name, NAME_SIZE), *(pixels(x, SMALL_SIZE) for x in node.lines)])
    height = _HEIGHT + _LINE * len(node.lines)
    slack = 1.25 if node.shape == "ellipse" else 1.0
    return max(_LEAST, slack * width + 2 * _PAD) / 2, slack**0.5 * height / 2


def _depths(graph: LevelGraph) -> dict[str, int]:
    """Longest chain of regressions into each variable; feedback loops are cut off."""
    names = [n.name for n in graph.nodes]
    depth = dict.fromkeys(names, 0)
    for _ in names:
        for e in graph.of_kind("regression"):
            depth[e.target] = max(depth[e.target], min(depth[e.source] + 1, len(names)))
    return depth


def _blocks(graph: LevelGraph) -> dict[str, list[str]]:
    """Factor -> observed indicators that it is the first to load on."""
    factors = {e.source for e in graph.of_kind("loading")}
    seen: set[str] = set()
    blocks: dict[str, list[str]] = {}
    for e in graph.of_kind("loading"):
        if e.target not in factors and e.target not in seen:
            blocks.setdefault(e.source, []).append(e.target)
            seen.add(e.target)
    return blocks


def _orders(graph: LevelGraph, blocks: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """1 for factors of indicators, 2 for factors of factors, and so on."""
    order = {e.source: 1 for e in graph.of_kind("loading")}
    for _ in order:
        for e in graph.of_kind("loading"):
            if e.target in order and e.source not in blocks:
                order[e.source] = max(order[e.source], min(order[e.target] + 1, len(order)))
    return order


def _rise(
    blocks: Mapping[str, Sequence[str]], sizes: Mapping[str, tuple[float, float]], spacing: Spacing
) -> float:
    """Height of factors above indicators: wide fans and tall nodes need more."""
    tall = max((sizes[i][1] for shown in blocks.values() for i in shown), default=0.0)
    wide = max(
        (sum(2 * spacing.slots[i] + spacing.gap for i in shown) for shown in blocks.values()),
        default=0.0,
    )
    return max(_RISE, 70.0 + 2 * tall + 0.08 * wide)


def _columns(
    columns: Sequence[list[str]],
    blocks: Mapping[str, Sequence[str]],
    sizes: Mapping[str, tuple[float, float]],
    spacing: Spacing,
    rise: float,
) -> dict[str, Box]:
    slots, gap = spacing.slots, spacing.gap
    boxes: dict[str, Box] = {}
    left = 0.0
    for names in columns:
        indicators = blocks.get(names[0], []) if len(names) == 1 else []
        row = sum(2 * slots[i] for i in indicators) + gap * max(0, len(indicators) - 1)
        width = max(row, *(2 * slots[n] for n in names))
        x = left + (width - row) / 2
        for i in indicators:
            boxes[i] = Box(x + slots[i], 0.0, *sizes[i])
            x += 2 * slots[i] + gap
        total = sum(2 * sizes[n][1] for n in names) + _PITCH * (len(names) - 1)
        y = rise + total / 2
        for n in names:  # from the outside in
            y -= sizes[n][1]
            boxes[n] = Box(left + width / 2, y, *sizes[n])
            y -= sizes[n][1] + _PITCH
        left += width + spacing.column_gap
    return boxes
