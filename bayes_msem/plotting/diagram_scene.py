"""A path diagram as shapes at places: what every format draws.

Where nodes, paths and labels stand depends on the parameter table alone. Distances grow by steps
until no label covers a node, another label or a path of others; very large diagrams take what the
first step gives.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from bayes_msem.plotting.diagram_geometry import Box, FloatArray, points_on, without
from bayes_msem.plotting.diagram_graph import Edge, LevelGraph, Node, read_graph
from bayes_msem.plotting.diagram_labels import AIR, Spot, label_box, place_labels
from bayes_msem.plotting.diagram_layout import Placed, blocks_of, place
from bayes_msem.plotting.diagram_order import untangled
from bayes_msem.plotting.diagram_route import arcs_at, route
from bayes_msem.plotting.diagram_sizes import NAME_SIZE, Sizes, pixels, sizes_of
from bayes_msem.spec.table import ParameterTable, RowKey

__all__ = ["DrawnEdge", "DrawnLabel", "DrawnNode", "Scene", "Title", "compose"]

_MARGIN, _BETWEEN_LEVELS, _TITLE = 24.0, 70.0, 22.0
_TITLES = {"within": "Within clusters", "between": "Between clusters"}
_SCALES = (1.0, 1.15, 1.32, 1.52, 1.75, 2.0)
_LARGE = 90  # edges; beyond it only the first scale is tried
_HEAD, _HALF_HEAD = 9.0, 4.0  # length and half width of arrowheads


@dataclass(frozen=True, slots=True)
class DrawnNode:
    """A node in its place."""

    level: str
    node: Node
    box: Box


@dataclass(frozen=True, slots=True)
class DrawnEdge:
    """A path, an arc or a loop.

    Attributes
    ----------
    curve
        The whole curve, (3 k + 1, 2).
    pieces
        What is drawn of it: not where its label stands, and not below arrowheads.
    heads
        Triangles (3, 2): tip first.
    dot
        Centre of the dot of a random coefficient.
    """

    level: str
    edge: Edge
    curve: FloatArray
    pieces: tuple[FloatArray, ...]
    heads: tuple[FloatArray, ...]
    dot: tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class DrawnLabel:
    """The text of an edge, and the room it has."""

    level: str
    edge: Edge
    lines: tuple[str, ...]
    box: Box
    room: Box


@dataclass(frozen=True, slots=True)
class Title:
    """Name of a level, at the left."""

    text: str
    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Scene:
    """All shapes, in pixels from the upper left corner.

    Attributes
    ----------
    line
        Height of the dashed line between the levels; None: there is one level.
    clashes
        How many labels, loops or paths are in the way of something.
    """

    width: float
    height: float
    nodes: tuple[DrawnNode, ...]
    edges: tuple[DrawnEdge, ...]
    labels: tuple[DrawnLabel, ...]
    titles: tuple[Title, ...]
    rules: tuple[float, ...]
    clashes: int


@dataclass(frozen=True, slots=True)
class _Panel:
    """One level, around its own origin; a spot for every edge."""

    level: str
    placed: Placed
    spots: Sequence[Spot]
    clashes: int

    def extent(self) -> tuple[float, float, float, float]:
        """Left, top, right and bottom."""
        boxes = [*self.placed.boxes.values(), *(b for s in self.spots for b in s.boxes())]
        corners = [np.array([[b.x - b.half_width, b.y - b.half_height]]) for b in boxes]
        corners += [np.array([[b.x + b.half_width, b.y + b.half_height]]) for b in boxes]
        corners += [points_on(s.curve) for s in self.spots]
        points = np.concatenate(corners)
        (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
        return float(left), float(top), float(right), float(bottom)


def compose(
    table: ParameterTable,
    values: Mapping[RowKey, float] | None = None,
    intervals: Mapping[RowKey, tuple[float, float]] | None = None,
) -> Scene:
    """Place everything that a diagram shows.

    Parameters
    ----------
    table
        The parameter table.
    values
        Numbers to write at the rows; None: labels and constants only.
    intervals
        Lower and upper limits to write below them.
    """
    panels = _places(read_graph(table), table.two_level)
    return _scene(panels, read_graph(table, values, intervals), table.two_level)


@lru_cache(maxsize=32)
def _places(graphs: tuple[LevelGraph, ...], two_level: bool) -> tuple[_Panel, ...]:
    """Find the places of everything; ``graphs`` are without numbers."""
    blocks = untangled(graphs, [blocks_of(g) for g in graphs])
    rows = [[i for shown in level.values() for i in shown] for level in blocks]
    least = [arcs_at(g, row) for g, row in zip(graphs, rows, strict=True)]
    sizes = sizes_of(graphs, least)
    scales = _SCALES if sum(len(g.edges) for g in graphs) <= _LARGE else _SCALES[:1]
    best: tuple[_Panel, ...] = ()
    for scale in scales:
        panels = tuple(
            _panel(g, b, s, g.level != "within" or not two_level, scale)
            for g, b, s in zip(graphs, blocks, sizes, strict=True)
        )
        if not best or _clashes(panels) < _clashes(best):
            best = panels
        if not _clashes(best):
            break
    return best


def _clashes(panels: Sequence[_Panel]) -> int:
    return sum(p.clashes for p in panels)


def _panel(
    graph: LevelGraph,
    blocks: Mapping[str, Sequence[str]],
    sizes: Sizes,
    upward: bool,
    scale: float,
) -> _Panel:
    placed = place(graph, blocks, sizes, upward, scale)
    curves, hit = route(graph, placed, upward)
    spots, bad = place_labels(graph, placed, curves, upward)
    return _Panel(graph.level, placed, tuple(spots), hit + bad)


def _scene(panels: Sequence[_Panel], graphs: Sequence[LevelGraph], two_level: bool) -> Scene:
    """Put the levels above each other."""
    extents = [p.extent() for p in panels]
    shifts = _shifts(panels, extents)
    left = min(e[0] + dx for e, dx in zip(extents, shifts, strict=True)) - _MARGIN
    right = max(e[2] + dx for e, dx in zip(extents, shifts, strict=True)) + _MARGIN
    written = [_TITLES.get(p.level, f"Level {p.level}") for p in panels]
    names = [pixels(t, NAME_SIZE) for t in written] if two_level else []
    right = max([right, *(left + 2 * _MARGIN + t for t in names)])
    y, rules = _MARGIN + (_TITLE if two_level else 0.0), list[float]()
    nodes: list[DrawnNode] = []
    edges: list[DrawnEdge] = []
    labels: list[DrawnLabel] = []
    titles: list[Title] = []
    for i, (panel, graph, e, dx) in enumerate(zip(panels, graphs, extents, shifts, strict=True)):
        if i:
            rules.append(y + _BETWEEN_LEVELS / 2 - 6.0)
            y += _BETWEEN_LEVELS
        if two_level:
            top = rules[-1] + 19.0 if rules else _MARGIN
            titles.append(Title(written[i], _MARGIN / 2, top))
        move = (dx - left, y - e[1])
        _draw(panel, graph, move, nodes, edges, labels)
        y += e[3] - e[1]
    return Scene(
        right - left,
        y + _MARGIN,
        tuple(nodes),
        tuple(edges),
        tuple(labels),
        tuple(titles),
        tuple(rules),
        _clashes(panels),
    )


def _shifts(
    panels: Sequence[_Panel], extents: Sequence[tuple[float, float, float, float]]
) -> list[float]:
    """Horizontal shifts that put the two parts of split variables above each other."""
    first = panels[0].placed.boxes
    shifts = [0.0]
    for panel, e in zip(panels[1:], extents[1:], strict=True):
        both = [first[n].x - b.x for n, b in panel.placed.boxes.items() if n in first]
        centre = (extents[0][0] + extents[0][2] - e[0] - e[2]) / 2
        shifts.append(sum(both) / len(both) if both else centre)
    return shifts


def _draw(
    panel: _Panel,
    graph: LevelGraph,
    move: tuple[float, float],
    nodes: list[DrawnNode],
    edges: list[DrawnEdge],
    labels: list[DrawnLabel],
) -> None:
    """Add the shapes of one level."""
    level = panel.level
    for node in graph.nodes:
        nodes.append(DrawnNode(level, node, panel.placed.boxes[node.name].moved(*move)))
    written = {edge.row.key: edge for edge in graph.edges}
    for spot in panel.spots:
        edge, curve = written[spot.edge.row.key], spot.curve + move
        holes = []
        if edge.lines:
            text = label_box(spot, edge.lines).moved(*move)
            labels.append(DrawnLabel(level, edge, edge.lines, text, spot.room.box.moved(*move)))
            holes = [_wider(text)] if spot.on_path else []
        double = edge.kind in ("covariance", "variance")
        size = 0.75 if edge.kind == "variance" else 1.0
        heads = [_head(curve[::-1], size)] + ([_head(curve, size)] if double else [])
        cut = size * (_HEAD - 2.0)
        pieces = without(curve, holes, (cut if double else 0.0, cut))
        dot = (spot.dot[0] + move[0], spot.dot[1] + move[1]) if spot.dot else None
        edges.append(DrawnEdge(level, edge, curve, tuple(pieces), tuple(heads), dot))


def _wider(box: Box) -> Box:
    """Return the text with some air around it."""
    return Box(box.x, box.y, box.half_width + AIR, box.half_height + 1.0)


def _head(curve: FloatArray, size: float) -> FloatArray:
    """Arrowhead at the start of a curve."""
    points = points_on(curve, 0.5)
    far = np.flatnonzero(np.hypot(*(points - points[0]).T) >= size * _HEAD)
    back = points[far[0]] if len(far) else points[-1]
    along = (back - points[0]) / max(1e-9, float(np.hypot(*(back - points[0]))))
    base = points[0] + size * _HEAD * along
    across = size * _HALF_HEAD * np.array([-along[1], along[0]])
    return np.stack([points[0], base + across, base - across])
