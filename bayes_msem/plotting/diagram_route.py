"""How the edges of one level run, and where their labels stand.

Every path is a quadratic Bezier curve from centre to centre, cut off at the outlines. A number of
bends is tried, the straight line first (double-headed arrows are always bent); the one that crosses
no other node, and few labels, is taken. Labels then try a few points along their curve.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bayes_msem.plotting.diagram_graph import Edge, LevelGraph, Node
from bayes_msem.plotting.diagram_layout import SMALL_SIZE, Box, pixels

__all__ = ["LABEL_LINE", "Loop", "Route", "route"]

FloatArray = NDArray[np.float64]

LABEL_LINE = 12.0  # height of a line of a label
_DOT = 4.5  # radius
_TIP = 2.0  # gap between arrowhead and outline
_BENDS = (0.0, 26.0, -26.0, 52.0, -52.0, 84.0, -84.0, 120.0, -120.0, 170.0, -170.0, 230.0, -230.0)
_ALONG = (0.5, 0.42, 0.58, 0.34, 0.66, 0.27, 0.73, 0.2, 0.8, 0.15, 0.85)
_CLEAR = 40.0  # distance at which bent arrows pass by a node, if they can: room for its loop
_FEW, _MANY = np.linspace(0, 1, 40), np.linspace(0, 1, 60)
_LOOP_WIDTH, _LOOP_HEIGHT = 9.0, 20.0  # half width at the outline, and height
_SIDES = {"out": (0.0, 1.0), "in": (0.0, -1.0), "right": (1.0, 0.0), "left": (-1.0, 0.0)}


@dataclass(frozen=True, slots=True)
class Route:
    """A curve: start, control point and end; where its dot and its label are."""

    edge: Edge
    points: FloatArray  # (3, 2)
    label: Box | None
    dot: tuple[float, float] | None

    def at(self, t: float | FloatArray) -> FloatArray:
        """Points of the curve, (..., 2)."""
        return _bezier(self.points, t)


@dataclass(frozen=True, slots=True)
class Loop:
    """A variance: a small double-headed loop on the outline of its node."""

    edge: Edge
    base: tuple[float, float]
    direction: tuple[float, float]
    label: Box | None
    dot: tuple[float, float] | None

    def points(self) -> FloatArray:
        """Four control points of a cubic curve, (4, 2)."""
        (x, y), (dx, dy) = self.base, self.direction
        w, h = _LOOP_WIDTH, _LOOP_HEIGHT
        # ends a little apart from the outline, so that arrowheads do not sink into it
        shape = [(-0.6 * w, 1.0), (-2.1 * w, 1.3 * h), (2.1 * w, 1.3 * h), (0.6 * w, 1.0)]
        return np.array([(x + a * dy + b * dx, y + a * dx + b * dy) for a, b in shape])

    def box(self) -> Box:
        """Return the room it takes."""
        (x, y), (dx, dy) = self.base, self.direction
        half = _LOOP_HEIGHT / 2
        wide = _LOOP_WIDTH * 1.3
        return Box(x + dx * half, y + dy * half, half if dx else wide, wide if dx else half)


def route(
    graph: LevelGraph, boxes: Mapping[str, Box], upward: bool
) -> tuple[tuple[Route, ...], tuple[Loop, ...]]:
    """Route all edges of a level.

    Parameters
    ----------
    graph
        Nodes and edges.
    boxes
        Where the nodes are.
    upward
        Whether factors stand above their indicators.

    Returns
    -------
    tuple
        Routes of arrows, and loops.
    """
    shapes = {n.name: n for n in graph.nodes}
    paths = graph.of_kind("loading", "regression")
    paths += sorted(graph.of_kind("covariance"), key=lambda e: _length(e, boxes))
    curves: list[tuple[Edge, FloatArray]] = []
    drawn: list[FloatArray] = []
    for edge in paths:
        curves.append((edge, _bend(edge, boxes, shapes, drawn)))
        drawn.append(_bezier(curves[-1][1], _FEW))
    obstacles = 3 * list(boxes.values())  # nodes count more than labels
    grids = [_bezier(c, _MANY) for _, c in curves]
    loops: list[Loop] = []
    for edge in graph.of_kind("variance"):
        loop = _loop(edge, boxes, obstacles, grids, upward)
        obstacles += [loop.box()] + ([loop.label] if loop.label else [])
        loops.append(loop)
    routes = []
    for edge, points in curves:
        others = [c for (e, _), c in zip(curves, grids, strict=True) if e is not edge]
        made = _labelled(edge, points, obstacles, others)
        obstacles += [made.label] if made.label else []
        if made.dot:
            obstacles.append(Box(*made.dot, _DOT, _DOT))
        routes.append(made)
    return tuple(routes), tuple(loops)


def label_box(lines: Sequence[str], x: float, y: float) -> Box:
    """Box of a text of some lines around a point."""
    width = max(pixels(line, SMALL_SIZE) for line in lines)
    return Box(x, y, width / 2 + 2, LABEL_LINE * len(lines) / 2 + 1)


def _length(edge: Edge, boxes: Mapping[str, Box]) -> float:
    a, b = boxes[edge.source], boxes[edge.target]
    return math.hypot(a.x - b.x, a.y - b.y)


def _bezier(points: FloatArray, t: float | FloatArray) -> FloatArray:
    s = np.asarray(t, dtype=np.float64)[..., None]
    curve: FloatArray = (1 - s) ** 2 * points[0] + 2 * s * (1 - s) * points[1] + s**2 * points[2]
    return curve


def _bend(
    edge: Edge, boxes: Mapping[str, Box], shapes: Mapping[str, Node], earlier: list[FloatArray]
) -> FloatArray:
    """Choose the bend of an edge, and cut it off at the outlines of its nodes."""
    a, b = boxes[edge.source], boxes[edge.target]
    start, end = np.array([a.x, a.y]), np.array([b.x, b.y])
    length = max(1.0, float(np.hypot(*(end - start))))
    normal = np.array([end[1] - start[1], start[0] - end[0]]) / length
    bends: tuple[float, ...] = _BENDS
    if edge.kind == "covariance":  # long ones are bent more, so that arcs nest
        bow = 0.17 * length + 16.0
        if abs(a.x - b.x) < abs(a.y - b.y):  # above each other: out of the column
            bow += 0.5 * max(a.half_width, b.half_width)
        bends = tuple(s * f * bow for f in (1.0, 1.4, 0.75, 1.9, 2.5) for s in (1.0, -1.0))
    best, least = None, math.inf
    others = [box for name, box in boxes.items() if name not in (edge.source, edge.target)]
    for rank, bend in enumerate(bends):
        control = (start + end) / 2 + 2 * bend * normal
        points = _trimmed(np.stack([start, control, end]), edge, boxes, shapes)
        curve = _bezier(points, _FEW)
        hits = [min(_distance(box, curve), _CLEAR) for box in others]
        cost = rank + sum(100.0 if d < 5.0 else 0.2 * (_CLEAR - d) * (bend != 0) for d in hits)
        if cost < least:
            cost += sum(_meeting(curve, c) for c in earlier)
        if cost < least:
            best, least = points, cost
    assert best is not None
    return best


def _passes(box: Box, curve: FloatArray) -> bool:
    """Whether a curve runs through a rectangle."""
    x, y = np.abs(curve - (box.x, box.y)).T
    return bool(((x < box.half_width) & (y < box.half_height)).any())


def _distance(box: Box, curve: FloatArray) -> float:
    """Distance of a curve from a rectangle, 0 if it runs through."""
    dx = np.maximum(np.abs(curve[:, 0] - box.x) - box.half_width, 0.0)
    dy = np.maximum(np.abs(curve[:, 1] - box.y) - box.half_height, 0.0)
    return float(np.hypot(dx, dy).min())


def _meeting(curve: FloatArray, other: FloatArray) -> float:
    """Cost of crossing another curve, and of running along it."""
    x, y = (np.subtract.outer(curve[3:-3, i], other[:, i]) for i in (0, 1))  # ends may meet
    near = (x**2 + y**2).min(axis=1) < 36.0
    return 2.0 * bool(near.any()) + 16.0 * float(near.mean())


def _trimmed(
    points: FloatArray, edge: Edge, boxes: Mapping[str, Box], shapes: Mapping[str, Node]
) -> FloatArray:
    t = np.linspace(0, 1, 201)
    curve = _bezier(points, t)
    source = _inside(curve, boxes[edge.source], shapes[edge.source])
    target = _inside(curve, boxes[edge.target], shapes[edge.target])
    outside = np.flatnonzero(~source & ~target)
    if not len(outside):
        return points
    t0, t1 = float(t[outside[0]]), float(t[outside[-1]])
    p, q, r = points

    def blossom(u: float, v: float) -> FloatArray:
        value: FloatArray = (1 - u) * (1 - v) * p + (u + v - 2 * u * v) * q + u * v * r
        return value

    return np.stack([blossom(t0, t0), blossom(t0, t1), blossom(t1, t1)])


def _inside(curve: FloatArray, box: Box, node: Node) -> NDArray[np.bool_]:
    dx = np.abs(curve[:, 0] - box.x) / (box.half_width + _TIP)
    dy = np.abs(curve[:, 1] - box.y) / (box.half_height + _TIP)
    inside: NDArray[np.bool_] = (
        dx**2 + dy**2 < 1 if node.shape == "ellipse" else np.maximum(dx, dy) < 1
    )
    return inside


def _labelled(
    edge: Edge, points: FloatArray, obstacles: Sequence[Box], grids: Sequence[FloatArray]
) -> Route:
    """Find the point along a curve where the label is in nobody's way."""
    if not edge.lines:
        return Route(edge, points, None, None)
    best: tuple[float, Box, tuple[float, float] | None] | None = None
    for rank, t in enumerate(_ALONG):
        x, y = (float(v) for v in _bezier(points, t))
        dot = (x, y) if edge.is_random else None
        plain = label_box(edge.lines, x, y)
        beside = plain.half_width + _DOT + 2, plain.half_height + _DOT + 1
        moves = [(0.0, 0.0), (0.0, -plain.half_height), (0.0, plain.half_height)]
        if dot:
            moves = [(beside[0], 0.0), (-beside[0], 0.0), (0.0, -beside[1]), (0.0, beside[1])]
        for side, (dx, dy) in enumerate(moves):
            box = plain.moved(dx, dy)
            cost = 100.0 * sum(box.overlaps(o, 1.0) for o in obstacles) + rank + 0.1 * side
            cost += 8.0 * sum(_passes(box, grid) for grid in grids)
            if best is None or cost < best[0]:
                best = cost, box, dot
    assert best is not None
    return Route(edge, points, best[1], best[2])


def _loop(
    edge: Edge,
    boxes: Mapping[str, Box],
    obstacles: Sequence[Box],
    grids: Sequence[FloatArray],
    upward: bool,
) -> Loop:
    """Put a loop on the side of its node that is least in the way."""
    box = boxes[edge.source]
    best: tuple[float, Loop] | None = None
    sides = ("out", "in", "right", "left")
    outward = -1.0 if upward else 1.0
    stacked = any(
        o is not box and abs(o.x - box.x) < box.half_width and (o.y - box.y) * outward > 0
        for o in boxes.values()
    )
    if box.y == 0 or stacked:  # indicators: away from their factors
        sides = ("in", "out", "right", "left")
    for rank, side in enumerate(sides):
        dx, dy = _SIDES[side]
        dy = -dy if upward else dy
        base = (box.x + dx * box.half_width, box.y + dy * box.half_height)
        for place in _label_places(edge, base, (dx, dy)):
            dot = (base[0] + dx * _LOOP_HEIGHT, base[1] + dy * _LOOP_HEIGHT)
            loop = Loop(edge, base, (dx, dy), place, dot if edge.is_random else None)
            cost = 12.0 * rank
            for part in [loop.box()] + ([place] if place else []):
                cost += 100.0 * sum(
                    part.overlaps(o) for o in obstacles if o is not box or part is place
                )
                cost += 15.0 * sum(_passes(part, grid) for grid in grids)
            if best is None or cost < best[0]:
                best = cost, loop
    assert best is not None
    return best[1]


def _label_places(
    edge: Edge, base: tuple[float, float], direction: tuple[float, float]
) -> list[Box | None]:
    """Boxes of the label beside or beyond a loop."""
    if not edge.lines:
        return [None]
    (x, y), (dx, dy) = base, direction
    flat = label_box(edge.lines, x, y)
    wide = _LOOP_WIDTH * 1.3
    beyond = _LOOP_HEIGHT + _DOT + 1
    if dx:
        return [flat.moved(dx * (beyond + flat.half_width), 0.0)]
    far = dy * max(_LOOP_HEIGHT - flat.half_height + 2, flat.half_height + 1)
    return [
        flat.moved(wide + flat.half_width, far),
        flat.moved(0.0, dy * (beyond + flat.half_height)),
        flat.moved(-wide - flat.half_width, far),
    ]
