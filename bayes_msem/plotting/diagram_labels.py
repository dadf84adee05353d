"""Where the loops of variances and the labels of paths stand.

Every loop and label has several places. A place costs what it covers (nodes, paths, dots, other
loops and labels) and its rank among the places of its edge; the places with the least total cost
are sought by going through the edges again and again. Labels have the room of their widest text,
and the text itself stands in that room where its path is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bayes_msem.plotting.diagram_geometry import (
    Box,
    FloatArray,
    array_of,
    inside,
    points_on,
)
from bayes_msem.plotting.diagram_graph import Edge, LevelGraph
from bayes_msem.plotting.diagram_layout import Placed
from bayes_msem.plotting.diagram_route import LOOP_HEIGHT, LOOP_WIDTH, outer_side
from bayes_msem.plotting.diagram_sizes import label_size, reserved

__all__ = ["AIR", "DOT", "Room", "Spot", "label_box", "loop_curve", "place_labels"]

DOT = 4.5  # radius
AIR = 3.0  # around a label that interrupts its path
_ALONG = tuple(0.5 + sign * 0.04 * step for step in range(10) for sign in (1, -1))[1:]
_FREE_ENDS = 16.0  # of an arrow, at both ends of a label that interrupts it
_SEEN = 0.35  # least share of a path beside its label
_COVERED, _PATH, _ENDS = 100.0, 60.0, 40.0  # costs
_FINE, _COARSE = 4.0, 10.0  # distance of points along a path that are looked at
_SWEEPS, _ROUNDS = 10, 12
_MANY, _FEW_ROUNDS = 60, 3  # with more edges than _MANY the search is shorter and coarser


@dataclass(frozen=True, slots=True)
class Room:
    """Room of a label: text is centred in it, or stands at the side ``towards`` (x, y)."""

    box: Box
    towards: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True)
class Spot:
    """Where the label, the dot and, of a variance, the loop of an edge stand."""

    edge: Edge
    room: Room
    cost: float
    curve: FloatArray
    dot: tuple[float, float] | None = None
    on_path: bool = False

    def boxes(self) -> list[Box]:
        """All that it takes."""
        boxes = [self.room.box]
        if self.dot:
            boxes.append(Box(*self.dot, DOT + 1, DOT + 1))
        if self.edge.kind == "variance":
            points = points_on(self.curve, 3.0)
            low, high = points.min(axis=0), points.max(axis=0)
            (x, y), (w, h) = (low + high) / 2, (high - low) / 2
            boxes.append(Box(float(x), float(y), float(w), float(h)))
        return boxes


def label_box(spot: Spot, lines: Sequence[str]) -> Box:
    """Box of the text of a label, inside its room."""
    box, (sx, sy) = spot.room.box, spot.room.towards
    w, h = label_size(lines)
    return Box(box.x + sx * (box.half_width - w), box.y + sy * (box.half_height - h), w, h)


def place_labels(
    graph: LevelGraph,
    placed: Placed,
    curves: Sequence[tuple[Edge, FloatArray]],
    upward: bool,
) -> tuple[list[Spot], int]:
    """Find places for all loops and labels of a level.

    Parameters
    ----------
    graph
        Nodes and edges.
    placed
        Where the nodes are.
    curves
        How the paths run.
    upward
        Whether factors stand above their indicators.

    Returns
    -------
    tuple
        A spot for every edge; and how many of them are in the way of something.
    """
    scenery = _scenery(placed, curves)
    options = [_loops(edge, graph, placed, upward) for edge in graph.of_kind("variance")]
    options += [_labels(edge, curve, points_on(curve, _FINE)) for edge, curve in curves]
    rooms = [_taken(spots) for spots in options]
    fixed = [
        np.array([spot.cost for spot in spots]) + scenery.covered(spots[0].edge, taken)
        for spots, taken in zip(options, rooms, strict=True)
    ]
    return _Search(options, rooms, fixed).solve()


def _taken(spots: Sequence[Spot]) -> FloatArray:
    """Boxes of the label, the dot and the loop of all places of an edge, (place, box, 4)."""
    return np.stack([array_of(spot.boxes()) for spot in spots])


@dataclass(frozen=True, slots=True)
class _Scenery:
    """What does not move: nodes, and points along all paths, one path after the other."""

    boxes: Mapping[str, Box]
    points: FloatArray
    starts: NDArray[np.intp]
    number: Mapping[int, int]

    def covered(self, edge: Edge, taken: FloatArray) -> FloatArray:
        """Cost of covering nodes and the paths of others, (place,)."""
        nodes = array_of(list(self.boxes.values()))
        own = list(self.boxes).index(edge.source)
        hit = _overlap(taken, nodes, 2.0)
        hit[:, 1:, own] = False  # loops touch it
        cost = _COVERED * hit.sum(axis=(1, 2))
        if len(self.points):
            inner = _overlap(taken, np.pad(self.points, ((0, 0), (0, 2))), 1.5)
            crossed = np.logical_or.reduceat(inner, self.starts, axis=2)
            if id(edge) in self.number:
                crossed[:, :, self.number[id(edge)]] = False
            cost = cost + _PATH * crossed.sum(axis=(1, 2))
        return np.asarray(cost, dtype=np.float64)


def _scenery(placed: Placed, curves: Sequence[tuple[Edge, FloatArray]]) -> _Scenery:
    apart = _FINE if len(curves) <= _MANY else _COARSE
    parts = [points_on(curve, apart) for _, curve in curves]
    starts = np.cumsum([0, *(len(part) for part in parts)])[:-1]
    points = np.concatenate([np.empty((0, 2)), *parts])
    number = {id(edge): i for i, (edge, _) in enumerate(curves)}
    return _Scenery(placed.boxes, points, starts, number)


@dataclass(frozen=True, slots=True)
class _Search:
    """Places of all edges, what each takes (place, box, 4), and what it costs alone (place,)."""

    options: Sequence[Sequence[Spot]]
    rooms: Sequence[FloatArray]
    fixed: Sequence[FloatArray]

    def solve(self) -> tuple[list[Spot], int]:
        """Choose a place for each edge.

        Where none can move to a better place by itself, what is in the way of something counts
        for more from then on, and the search goes on; the best state seen is the result.
        """
        chosen = [int(cost.argmin()) for cost in self.fixed]
        weights = np.ones(len(chosen))
        best, least = list(chosen), self._bad(chosen)
        for _ in range(_ROUNDS if len(chosen) <= _MANY else _FEW_ROUNDS):
            self._settle(chosen, weights)
            bad = self._bad(chosen)
            if sum(bad) < sum(least):
                best, least = list(chosen), bad
            if not any(bad):
                break
            weights += np.array(bad)
        return [options[a] for options, a in zip(self.options, best, strict=True)], sum(least)

    def _settle(self, chosen: list[int], weights: FloatArray) -> None:
        """Move edges to better places one by one until none is left."""
        for _ in range(_SWEEPS):
            before = list(chosen)
            for i, cost in enumerate(self.fixed):
                total = weights[i] * cost + _COVERED * self._meetings(i, chosen, weights)
                best = int(total.argmin())
                if total[best] < total[chosen[i]]:
                    chosen[i] = best
            if chosen == before:
                break

    def _bad(self, chosen: Sequence[int]) -> list[bool]:
        """Which edges are in the way of something."""
        even = np.ones(len(chosen))
        return [
            bool(self.fixed[i][a] >= _ENDS or self._meetings(i, chosen, even)[a] > 0)
            for i, a in enumerate(chosen)
        ]

    def _meetings(self, i: int, chosen: Sequence[int], weights: FloatArray) -> FloatArray:
        """How many boxes of the others the places of one edge overlap, by weight, (place,)."""
        others = [j for j in range(len(chosen)) if j != i]
        if not others:
            return np.zeros(len(self.fixed[i]))
        taken = [self.rooms[j][chosen[j]] for j in others]
        hit = _overlap(self.rooms[i], np.concatenate(taken), 1.0).sum(axis=1)
        return np.asarray(hit @ np.repeat(weights[others], list(map(len, taken))))


def _overlap(a: FloatArray, b: FloatArray, margin: float) -> NDArray[np.bool_]:
    """Whether rectangles (place, box, 4) overlap each of (n, 4); (place, box, n)."""
    x = np.abs(a[:, :, None, 0] - b[:, 0]) < a[:, :, None, 2] + (b[:, 2] + margin)
    both: NDArray[np.bool_] = x & (
        np.abs(a[:, :, None, 1] - b[:, 1]) < a[:, :, None, 3] + (b[:, 3] + margin)
    )
    return both


# Places -----------------------------------------------------------------------------------------


def _labels(edge: Edge, curve: FloatArray, points: FloatArray) -> list[Spot]:
    """Places on and beside a path."""
    w, h = reserved(edge)
    steps = np.hypot(*np.diff(points, axis=0).T)
    way = np.concatenate([[0.0], np.cumsum(steps)])
    spots = []
    for rank, t in enumerate(_ALONG):
        i = min(max(int(np.searchsorted(way, t * way[-1])), 1), len(points) - 2)
        x, y = (float(v) for v in points[i])
        direction = points[i + 1] - points[i - 1]
        dot = (x, y) if edge.is_random else None
        beside = _moves(w, h, DOT + 1.5 if dot else 3.0, abs(direction[1]) > abs(direction[0]))
        moves = beside if dot else [(0.0, 0.0, 0, 0), *beside]
        for side, (dx, dy, sx, sy) in enumerate(moves):
            box = Box(x + dx, y + dy, w, h)
            on_path = dx == dy == 0
            cost = 0.5 * rank + 0.2 * side + (0.0 if on_path or dot else 6.0)
            cost += _own_path(box, points, way, on_path)
            spots.append(Spot(edge, Room(box, (sx, sy)), cost, curve, dot, on_path))
    return spots


def _moves(w: float, h: float, out: float, steep: bool) -> list[tuple[float, float, int, int]]:
    """From a point of a path to the middle of its label, and where the path is from there."""
    sideways = [(w + out, 0.0, -1, 0), (-w - out, 0.0, 1, 0)]
    upright = [(0.0, -h - out, 0, 1), (0.0, h + out, 0, -1)]
    diagonal = [(a * (w + 2.0), b * (h + out), -a, -b) for b in (-1, 1) for a in (1, -1)]
    return [*sideways, *upright, *diagonal] if steep else [*upright, *sideways, *diagonal]


def _own_path(box: Box, points: FloatArray, way: FloatArray, on_path: bool) -> float:
    """Cost of hiding a path: labels beside it hide nothing, those on it leave both ends free."""
    hidden = np.flatnonzero(inside(points, box, AIR))
    if not len(hidden):
        return 0.0
    if not on_path:
        return _PATH
    length = way[-1]
    share = 1.0 - (way[hidden[-1]] - way[hidden[0]] + _FREE_ENDS) / length
    free = min(way[hidden[0]], length - way[hidden[-1]])
    return _ENDS * (float(share < _SEEN) + float(free < _FREE_ENDS))


def loop_curve(base: FloatArray, direction: FloatArray) -> FloatArray:
    """Curve of a loop that starts and ends at an outline, in a direction."""
    w, h = LOOP_WIDTH, LOOP_HEIGHT
    across = np.array([-direction[1], direction[0]])
    shape = [(-0.6 * w, 1.5), (-2.1 * w, 1.3 * h), (2.1 * w, 1.3 * h), (0.6 * w, 1.5)]
    return np.stack([base + a * across + b * direction for a, b in shape])


def _loops(edge: Edge, graph: LevelGraph, placed: Placed, upward: bool) -> list[Spot]:
    """Places at all sides of a node, the outer one first."""
    box = placed.boxes[edge.source]
    is_round = any(n.name == edge.source and n.shape == "ellipse" for n in graph.nodes)
    outer = outer_side(edge.source, placed, upward)
    sides = [(0.0, outer), (0.0, -outer), (1.0, 0.0), (-1.0, 0.0)]
    if edge.source not in placed.row and placed.columns.get(edge.source, 0) == 0:
        sides[2:] = [(-1.0, 0.0), (1.0, 0.0)]
    spots = []
    for rank, (dx, dy) in enumerate(sides):
        direction = np.array([dx, dy])
        half, along = (box.half_height, box.half_width)[:: 1 if dy else -1]
        for shift in (0.0, 0.45, -0.45):
            reach = half * (1.0 - shift**2) ** 0.5 if is_round else half
            base = np.array([box.x, box.y]) + direction * reach
            base += shift * along * np.array([abs(dy), abs(dx)])
            tip = base + direction * (LOOP_HEIGHT + 1.0)
            dot = (float(tip[0]), float(tip[1])) if edge.is_random else None
            for i, room in enumerate(_at_loop(edge, base, direction)):
                cost = 6.0 * rank + 2.0 * (shift != 0) + 1.0 * i
                spots.append(Spot(edge, room, cost, loop_curve(base, direction), dot))
    return spots


def _at_loop(edge: Edge, base: FloatArray, direction: FloatArray) -> list[Room]:
    """Room for a label beyond a loop, and at both sides of it."""
    w, h = reserved(edge)
    (x, y), (dx, dy) = base.tolist(), direction.tolist()
    sx, sy = int(dx), int(dy)
    wide = LOOP_WIDTH * 1.3 + 2.0
    beyond = LOOP_HEIGHT + 2.0 + (DOT + 1.0 if edge.is_random else 0.0)
    if sx:
        rooms = [Room(Box(x + dx * (beyond + w), y, w, h), (-sx, 0))]
        places = [(x + dx * (w + 2.0), y + side * (wide + h), side) for side in (-1, 1)]
        return rooms + [Room(Box(u, v, w, h), (-sx, -side)) for u, v, side in places]
    level = y + dy * max(LOOP_HEIGHT - h + 2.0, h + 2.0)
    rooms = [Room(Box(x, y + dy * (beyond + h), w, h), (0, -sy))]
    return rooms + [Room(Box(x + side * (wide + w), level, w, h), (-side, 0)) for side in (1, -1)]
