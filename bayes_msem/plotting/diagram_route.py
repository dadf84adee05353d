"""How the paths of one level run.

Every path has several courses, simple ones first:

- arrows run straight from centre to centre, through the gaps that the layout left, or bent;
- arcs of variables at one height are arches on the outer side of their row, whose ends stand side
  by side on the outline; of variables in one column they are arches at its side, or straight.

The courses with the least total cost are sought by going through the paths again and again. A
course costs what it hits (nodes, and the room of their loops), what it crosses, what it runs along,
and its rank among the courses of its path.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from bayes_msem.plotting.diagram_geometry import (
    Box,
    FloatArray,
    arch,
    array_of,
    bent,
    crossings,
    cut_at_nodes,
    distance,
    nearness,
    points_on,
    smooth,
)
from bayes_msem.plotting.diagram_graph import Edge, LevelGraph
from bayes_msem.plotting.diagram_layout import Placed
from bayes_msem.plotting.diagram_sizes import LABEL_LINE, PORT, WIDEST, label_size, reserved

__all__ = ["LOOP_HEIGHT", "LOOP_WIDTH", "arcs_at", "outer_side", "route"]

LOOP_WIDTH, LOOP_HEIGHT = 9.0, 20.0  # of a variance: half width at the outline, and height
_TIP = 1.5  # gap between arrowhead and outline
_BENDS = (26.0, -26.0, 52.0, -52.0, 84.0, -84.0, 120.0, -120.0, 170.0, -170.0, 230.0, -230.0)
_DEPTHS = (26.0, 36.0, 48.0, 62.0, 78.0, 96.0, 116.0, 138.0, 162.0, 190.0, 222.0, 260.0, 300.0)
_HIT, _ROOM, _CROSSED, _ALONG, _TOUCHING = 400.0, 30.0, 40.0, 90.0, 12.0  # costs
_APART = (10.0, 6.0)  # ends that are nearer touch: of an arc and an arrow, of two arcs
_NEAR = 5.0  # nearer to a node is a hit
_CLEAR = 34.0  # distance at which bent arrows pass by a node, if they can
_MIDDLE, _FEWEST = 0.62, 5.0  # arcs end in this part of a side, so far from each other at least
_POINTS = 32  # of a course, when crossings are counted
_MANY, _TRIED = 40, 240  # with more paths than _MANY, so many courses of all together are tried
_SWEEPS = 6


@dataclass(slots=True)
class _Course:
    """One way a path can run, and what it costs by itself."""

    curve: FloatArray
    points: FloatArray
    cost: float


@dataclass(slots=True)
class _Search:
    """Courses of all paths, and the crossings of each two, as far as they are known."""

    courses: list[list[_Course]]
    arcs: list[bool]
    known: dict[tuple[int, int, int, int], float] = field(default_factory=dict)

    def meeting(self, i: int, a: int, j: int, b: int) -> float:
        """Cost of course ``a`` of path ``i`` beside course ``b`` of path ``j``."""
        key = (i, a, j, b) if i < j else (j, b, i, a)
        if key not in self.known:
            p, q = self.courses[key[0]][key[1]].points, self.courses[key[2]][key[3]].points
            cost = _meeting(p, q)
            if self.arcs[i] or self.arcs[j]:
                ends = np.subtract.outer(p[[0, -1]], q[[0, -1]])[:, (0, 1), :, (0, 1)]
                least = _APART[self.arcs[i] and self.arcs[j]]
                cost += _TOUCHING * bool((np.hypot(*ends) < least).any())
            self.known[key] = cost
        return self.known[key]

    def solve(self) -> list[int]:
        """Choose a course for each path."""
        chosen = [int(np.argmin([course.cost for course in c])) for c in self.courses]
        for _ in range(_SWEEPS):
            before = list(chosen)
            for i, options in enumerate(self.courses):
                best, least = chosen[i], math.inf
                for a in np.argsort([course.cost for course in options], kind="stable").tolist():
                    if options[a].cost >= least:
                        break
                    others = (self.meeting(i, a, j, b) for j, b in enumerate(chosen) if j != i)
                    cost = options[a].cost + sum(others)
                    if cost < least:
                        best, least = a, cost
                chosen[i] = best
            if chosen == before:
                break
        return chosen


def _meeting(p: FloatArray, q: FloatArray) -> float:
    """Cost of two courses that cross or run along each other."""
    if ((p.min(axis=0) > q.max(axis=0) + 6.0) | (q.min(axis=0) > p.max(axis=0) + 6.0)).any():
        return 0.0  # they are far from each other
    along = nearness(p, q)
    return _CROSSED * crossings(p, q) + (_ALONG * along if along > 0.2 else 0.0)


def route(
    graph: LevelGraph, placed: Placed, upward: bool
) -> tuple[list[tuple[Edge, FloatArray]], int]:
    """Find the courses of all paths of a level.

    Parameters
    ----------
    graph
        Nodes and edges.
    placed
        Where the nodes are.
    upward
        Whether factors stand above their indicators.

    Returns
    -------
    tuple
        Every arrow and arc with its curve, from outline to outline; and how many nodes are hit.
    """
    edges = graph.of_kind("loading", "regression", "covariance")
    maker = _Maker(graph, placed, upward, _ports(graph, placed), _nested(graph, placed))
    courses = [maker.courses(edge) for edge in edges]
    search = _Search(courses, [e.kind == "covariance" for e in edges])
    chosen = search.solve()
    hit = sum(c[a].cost >= _HIT for c, a in zip(courses, chosen, strict=True))
    return [(e, c[a].curve) for e, c, a in zip(edges, courses, chosen, strict=True)], hit


def outer_side(name: str, placed: Placed, upward: bool) -> float:
    """Direction of the outer side of a node: 1 down, -1 up."""
    out = -1.0 if upward else 1.0
    return -out if name in placed.row else out


# Ends of arcs ---------------------------------------------------------------------------------


def arcs_at(graph: LevelGraph, row: Sequence[str]) -> dict[str, float]:
    """Name -> half width that leaves room for the ends of all its arcs.

    Arcs of indicators end beside the labels of their variances, all others near the middle.
    """
    place = {name: i for i, name in enumerate(row)}
    halves: dict[tuple[str, bool], int] = {}
    others: dict[str, int] = {}
    for e in graph.of_kind("covariance"):
        if e.source in place and e.target in place:
            left, right = sorted((e.source, e.target), key=place.__getitem__)
            for end in ((left, True), (right, False)):
                halves[end] = halves.get(end, 0) + 1
        else:
            for name in (e.source, e.target):
                others[name] = others.get(name, 0) + 1
    widths = {name: _FEWEST * n / _MIDDLE for name, n in others.items()}
    for (name, _), n in halves.items():
        widths[name] = max(widths.get(name, 0.0), label_size(WIDEST)[0] + 8.0 + PORT * n)
    return widths


def _level(edge: Edge, placed: Placed) -> bool:
    """Whether the ends of an edge stand beside each other."""
    a, b = placed.boxes[edge.source], placed.boxes[edge.target]
    return abs(a.y - b.y) < 1.0 and abs(a.x - b.x) > 1.0


def _stacked(edge: Edge, placed: Placed) -> bool:
    """Whether the ends of an edge stand above each other, in a column."""
    a, b = placed.boxes[edge.source], placed.boxes[edge.target]
    return abs(a.x - b.x) < 1.0 and not {edge.source, edge.target} & placed.row


def _ports(graph: LevelGraph, placed: Placed) -> dict[tuple[str, Edge], float]:
    """Where arcs end at the side of a node: offset from its middle.

    The shortest arc is the outermost, so that arcs from one node nest and do not cross.
    """
    halves: dict[tuple[str, int, bool], list[tuple[float, Edge]]] = {}
    for e in graph.of_kind("covariance"):
        axis = 0 if _level(e, placed) else 1 if _stacked(e, placed) else None
        if axis is not None:
            for here, there in ((e.source, e.target), (e.target, e.source)):
                a, b = placed.boxes[here], placed.boxes[there]
                way = (b.x - a.x, b.y - a.y)[axis]
                halves.setdefault((here, axis, way > 0), []).append((abs(way), e))
    offsets = {}
    for (name, axis, forward), arcs in halves.items():
        box = placed.boxes[name]
        outermost = _MIDDLE * (box.half_width, box.half_height)[axis]
        if name in placed.row:
            outermost = box.half_width - 6.0
        step = min(PORT, (outermost - 2.0) / len(arcs))
        for i, (_, e) in enumerate(sorted(arcs, key=lambda arc: arc[0])):
            offsets[name, e] = (outermost - step * i) * (1 if forward else -1)
    return offsets


def _nested(graph: LevelGraph, placed: Placed) -> dict[Edge, int]:
    """How many arcs inside each other stand inside every arc of a row or column."""
    spans: list[tuple[float, float, tuple[str, int], Edge]] = []
    for e in graph.of_kind("covariance"):
        a, b = placed.boxes[e.source], placed.boxes[e.target]
        if _level(e, placed):
            spans.append((min(a.x, b.x), max(a.x, b.x), ("row", round(a.y)), e))
        elif _stacked(e, placed):
            spans.append((min(a.y, b.y), max(a.y, b.y), ("column", round(a.x)), e))
    found: dict[Edge, int] = {}
    for low, high, line, e in sorted(spans, key=lambda span: span[1] - span[0]):
        inner = [
            1 + found[other]
            for a, b, same, other in spans
            if other in found and same == line and low <= a and b <= high and b - a < high - low
        ]
        found[e] = max(inner, default=0)
    return found


# Courses ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Maker:
    """What the courses of a level are made from."""

    graph: LevelGraph
    placed: Placed
    upward: bool
    ports: Mapping[tuple[str, Edge], float]
    nested: Mapping[Edge, int]

    def courses(self, edge: Edge) -> list[_Course]:
        """All ways one path can run."""
        if edge.kind != "covariance":
            made = self._arrows(edge)
        elif _level(edge, self.placed):
            made = self._arches(edge)
        elif _stacked(edge, self.placed):
            made = self._beside(edge)
        else:
            made = [(rank, self._direct(edge, bend)) for rank, bend in self._bows(edge)]
        priced = [self._priced(edge, rank, curve) for rank, curve in made]
        n = len(self.graph.edges)
        return priced if n <= _MANY else sorted(priced, key=lambda c: c.cost)[: 1 + _TRIED // n]

    def _arrows(self, edge: Edge) -> list[tuple[float, FloatArray]]:
        made = [(0.0, self._direct(edge, 0.0))]
        way = self.placed.ways.get((edge.source, edge.target))
        if way and edge.kind == "regression":
            a, b = self._ends(edge)
            through = [a, *(np.array(p) for p in way), b]
            made.append((1.5, self._trimmed(edge, smooth(through))))
        return made + [(3.0 + i, self._direct(edge, bend)) for i, bend in enumerate(_BENDS)]

    def _arches(self, edge: Edge) -> list[tuple[float, FloatArray]]:
        """Arches over or under a row."""
        made = []
        side = outer_side(edge.source, self.placed, self.upward)
        ends = [self._port(name, edge, 1, side) for name in (edge.source, edge.target)]
        length = abs(ends[0][0] - ends[1][0])
        wanted = 30.0 + 0.14 * length
        if edge.source in self.placed.row:  # below the labels of variances
            wanted = max(wanted, 70.0 + 32.0 * self.nested[edge])
        for depth in _DEPTHS:
            curve = arch(ends[0], ends[1], np.array([0.0, side * depth]))
            made.append((0.06 * abs(depth - wanted), curve))
        if edge.source not in self.placed.row:
            made += [(8.0 + i, self._direct(edge, bend)) for i, bend in enumerate(_BENDS[:6])]
        return made

    def _beside(self, edge: Edge) -> list[tuple[float, FloatArray]]:
        """Arches at the side of a column, or the straight line."""
        a, b = (self.placed.boxes[n] for n in (edge.source, edge.target))
        column = self.placed.columns.get(edge.source, 0)
        wanted = 20.0 + 0.14 * abs(a.y - b.y)
        wanted = max(wanted, 24.0 + self.nested[edge] * (2 * label_size(WIDEST)[0] + 8.0))
        made = [(0.0 if 0 < column < self.placed.last else 6.0, self._direct(edge, 0.0))]
        for side in (-1.0, 1.0):
            outside = column == (0 if side < 0 else self.placed.last)
            ends = [self._port(n, edge, 0, side) for n in (edge.source, edge.target)]
            for depth in _DEPTHS:
                rank = 0.06 * abs(depth - wanted) + (0.0 if outside else 8.0)
                made.append((rank, arch(ends[0], ends[1], np.array([side * depth, 0.0]))))
        return made

    def _bows(self, edge: Edge) -> list[tuple[float, float]]:
        """Bends of an arc between nodes that are neither beside nor above each other."""
        a, b = self._ends(edge)
        bow = 0.12 * float(np.hypot(*(b - a))) + 12.0
        factors = (1.0, -1.0, 0.0, 1.5, -1.5, 2.2, -2.2, 3.0, -3.0)
        return [(float(rank), factor * bow) for rank, factor in enumerate(factors)]

    def _ends(self, edge: Edge) -> tuple[FloatArray, FloatArray]:
        a, b = self.placed.boxes[edge.source], self.placed.boxes[edge.target]
        return np.array([a.x, a.y]), np.array([b.x, b.y])

    def _direct(self, edge: Edge, bend: float) -> FloatArray:
        return self._trimmed(edge, bent(*self._ends(edge), bend))

    def _trimmed(self, edge: Edge, curve: FloatArray) -> FloatArray:
        shapes = {n.name: n.shape == "ellipse" for n in self.graph.nodes}
        a, b = self.placed.boxes[edge.source], self.placed.boxes[edge.target]
        round_ends = shapes[edge.source], shapes[edge.target]
        return cut_at_nodes(curve, a, b, round_ends, _TIP)

    def _port(self, name: str, edge: Edge, axis: int, side: float) -> FloatArray:
        """End of an arch on the outline: at the left or right (axis 0), top or bottom (axis 1)."""
        box, offset = self.placed.boxes[name], self.ports[name, edge]
        half = np.array([box.half_width, box.half_height])
        reach = half[axis]
        if any(n.name == name and n.shape == "ellipse" for n in self.graph.nodes):
            reach *= math.sqrt(max(0.0, 1.0 - (offset / half[1 - axis]) ** 2))
        moved = np.empty(2)
        moved[axis], moved[1 - axis] = side * (reach + _TIP), offset
        return np.array([box.x, box.y]) + moved

    def _priced(self, edge: Edge, rank: float, curve: FloatArray) -> _Course:
        points = points_on(curve)
        ends = {edge.source, edge.target}
        others = [b for n, b in self.placed.boxes.items() if n not in ends]
        cost = rank
        if others:
            far = distance(points, array_of(others))
            cost += _HIT * float((far < _NEAR).sum())
            if rank:
                cost += 0.25 * float(np.clip(_CLEAR - far, 0.0, None).sum())
        own = [n for n in ends if edge.kind == "covariance"]
        rooms = [b for n, b in self._rooms().items() if n not in ends or n in own]
        if rooms:
            cost += _ROOM * float((distance(points, array_of(rooms)) < 4.0).sum())
        if edge.lines or not edge.row.random:  # room for its label
            length = float(np.hypot(*np.diff(points, axis=0).T).sum())
            cost += max(0.0, reserved(edge)[1] * 2 + LABEL_LINE - length)
        return _Course(curve, points[:: max(1, len(points) // _POINTS)], cost)

    def _rooms(self) -> dict[str, Box]:
        """Where the loops of variances and their labels will stand, if nothing is in the way."""
        rooms = {}
        for e in self.graph.of_kind("variance"):
            if e.source in self.placed.row:
                box = self.placed.boxes[e.source]
                side = outer_side(e.source, self.placed, self.upward)
                w, h = reserved(e)
                height = (LOOP_HEIGHT + 6.0) / 2 + h
                middle = box.y + side * (box.half_height + height)
                rooms[e.source] = Box(box.x, middle, w, height - 2.0)
        return rooms
