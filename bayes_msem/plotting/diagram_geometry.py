"""Rectangles and curves of path diagrams.

A curve is a chain of cubic Bezier segments that share their ends, an array (3 k + 1, 2). All
lengths are pixels; y points down.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Box",
    "FloatArray",
    "arch",
    "array_of",
    "bent",
    "crossings",
    "cut_at_nodes",
    "distance",
    "inside",
    "nearness",
    "points_on",
    "smooth",
    "without",
]

FloatArray = NDArray[np.float64]

_FINE = np.linspace(0.0, 1.0, 961)


@dataclass(frozen=True, slots=True)
class Box:
    """Centre and half sizes of a node, a label or a loop."""

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


def array_of(boxes: Sequence[Box]) -> FloatArray:
    """Boxes as an array (n, 4): centres and half sizes."""
    rows = [(b.x, b.y, b.half_width, b.half_height) for b in boxes]
    return np.array(rows, dtype=np.float64).reshape(-1, 4)


# Curves -----------------------------------------------------------------------------------------


def bent(start: FloatArray, end: FloatArray, bend: float) -> FloatArray:
    """Return a parabola that leaves the straight line by ``bend`` in its middle, or the line."""
    normal = np.array([end[1] - start[1], start[0] - end[0]])
    normal = normal / max(1.0, float(np.hypot(*normal)))
    control = (start + end) / 2 + 2 * bend * normal
    return np.stack([start, (start + 2 * control) / 3, (end + 2 * control) / 3, end])


def arch(start: FloatArray, end: FloatArray, by: FloatArray) -> FloatArray:
    """Return an arch that leaves and arrives at right angles; its middle is moved by ``by``."""
    return np.stack([start, start + by / 0.75, end + by / 0.75, end])


def smooth(points: Sequence[FloatArray]) -> FloatArray:
    """Return a smooth curve from left to right through all points (monotone between them)."""
    p = np.stack(points)
    steps = np.diff(p, axis=0)
    slope = steps[:, 1] / np.where(np.abs(steps[:, 0]) < 1e-9, 1e-9, steps[:, 0])
    product, total = slope[:-1] * slope[1:], slope[:-1] + slope[1:]
    inner = np.where(product > 0, 2 * product / np.where(total == 0, 1.0, total), 0.0)
    tangent = np.concatenate([slope[:1], inner, slope[-1:]])
    tangent[0] = 1.5 * slope[0] - 0.5 * tangent[1]
    tangent[-1] = 1.5 * slope[-1] - 0.5 * tangent[-2]
    chain = [p[0]]
    for i, step in enumerate(steps):
        third = step[0] / 3
        chain += [
            p[i] + (third, third * tangent[i]),
            p[i + 1] - (third, third * tangent[i + 1]),
            p[i + 1],
        ]
    return np.stack(chain)


def points_on(curve: FloatArray, apart: float = 12.0) -> FloatArray:
    """Points along a curve, (n, 2), about so far from each other."""
    parts = []
    for i, c in enumerate(_segments(curve)):
        reach = float(np.hypot(*np.diff(c, axis=0).T).sum())
        steps = int(np.clip(reach / apart, 8, 400))
        parts.append(_cubic(c, np.linspace(0.0, 1.0, steps + 1))[(i > 0) :])
    return np.concatenate(parts)


def _segments(curve: FloatArray) -> list[FloatArray]:
    return [curve[i : i + 4] for i in range(0, len(curve) - 1, 3)]


def _cubic(c: FloatArray, t: FloatArray) -> FloatArray:
    s = t[:, None]
    r = 1 - s
    value: FloatArray = r**3 * c[0] + 3 * r**2 * s * c[1] + 3 * r * s**2 * c[2] + s**3 * c[3]
    return value


def _part(c: FloatArray, t0: float, t1: float) -> FloatArray:
    """One segment from t0 to t1, by its blossom."""

    def blossom(u: float, v: float, w: float) -> FloatArray:
        a = [(1 - u) * c[i] + u * c[i + 1] for i in range(3)]
        b = [(1 - v) * a[i] + v * a[i + 1] for i in range(2)]
        value: FloatArray = (1 - w) * b[0] + w * b[1]
        return value

    return np.stack(
        [blossom(t0, t0, t0), blossom(t0, t0, t1), blossom(t0, t1, t1), blossom(t1, t1, t1)]
    )


def without(curve: FloatArray, holes: Sequence[Box], cut: tuple[float, float]) -> list[FloatArray]:
    """Return the pieces of a curve outside rectangles.

    Parameters
    ----------
    curve
        The curve.
    holes
        Rectangles in which it is not drawn.
    cut
        How much to leave out at the start and at the end, where arrowheads are.
    """
    pieces: list[FloatArray] = []
    joined = False
    for c in _segments(curve):
        points = _cubic(c, _FINE)
        seen = np.ones(len(points), dtype=bool)
        for end, length in zip((curve[0], curve[-1]), cut, strict=True):
            seen &= np.hypot(*(points - end).T) >= length
        for hole in holes:
            seen &= ~inside(points, hole)
        edges = np.flatnonzero(np.diff(np.concatenate([[False], seen, [False]]).astype(int)))
        for first, last in zip(edges[::2], edges[1::2] - 1, strict=True):
            if last > first:
                piece = _part(c, float(_FINE[first]), float(_FINE[last]))
                if joined and first == 0 and pieces:
                    pieces[-1] = np.concatenate([pieces[-1], piece[1:]])
                else:
                    pieces.append(piece)
        joined = bool(seen[-1])
    return pieces


def cut_at_nodes(
    curve: FloatArray, source: Box, target: Box, round_ends: tuple[bool, bool], gap: float
) -> FloatArray:
    """Cut a curve from centre to centre off at the outlines, ``gap`` before them."""
    first, last = _segments(curve)[0], _segments(curve)[-1]
    start = _leaves(_cubic(first, _FINE), source, round_ends[0], gap)
    end = len(_FINE) - 1 - _leaves(_cubic(last, _FINE)[::-1], target, round_ends[1], gap)
    if len(curve) == 4:
        return _part(first, float(_FINE[start]), float(_FINE[end])) if start < end else curve
    head, tail = _part(first, float(_FINE[start]), 1.0), _part(last, 0.0, float(_FINE[end]))
    return np.concatenate([head, curve[4:-4], tail[len(curve) == 7 :]])


def _leaves(points: FloatArray, box: Box, is_round: bool, gap: float) -> int:
    """Index of the first point outside a node."""
    dx = np.abs(points[:, 0] - box.x) / (box.half_width + gap)
    dy = np.abs(points[:, 1] - box.y) / (box.half_height + gap)
    within = dx**2 + dy**2 < 1 if is_round else np.maximum(dx, dy) < 1
    outside = np.flatnonzero(~within)
    return int(outside[0]) if len(outside) else 0


# Meetings ---------------------------------------------------------------------------------------


def inside(points: FloatArray, box: Box, margin: float = 0.0) -> NDArray[np.bool_]:
    """Which points are in a rectangle."""
    x, y = np.abs(points - (box.x, box.y)).T
    found: NDArray[np.bool_] = (x < box.half_width + margin) & (y < box.half_height + margin)
    return found


def distance(points: FloatArray, boxes: FloatArray) -> FloatArray:
    """Distance of a curve from every rectangle, (n,); 0 if it runs through."""
    dx = np.maximum(np.abs(points[:, None, 0] - boxes[:, 0]) - boxes[:, 2], 0.0)
    dy = np.maximum(np.abs(points[:, None, 1] - boxes[:, 1]) - boxes[:, 3], 0.0)
    least: FloatArray = np.hypot(dx, dy).min(axis=0, initial=np.inf)
    return least


def crossings(a: FloatArray, b: FloatArray) -> int:
    """How often two polylines cross."""
    p, r = a[:-1, None], np.diff(a, axis=0)[:, None]
    q, s = b[None, :-1], np.diff(b, axis=0)[None]
    turn = r[..., 0] * s[..., 1] - r[..., 1] * s[..., 0]
    turn = np.where(np.abs(turn) < 1e-12, np.nan, turn)
    d = q - p
    t = (d[..., 0] * s[..., 1] - d[..., 1] * s[..., 0]) / turn
    u = (d[..., 0] * r[..., 1] - d[..., 1] * r[..., 0]) / turn
    return int(((t >= 0) & (t < 1) & (u >= 0) & (u < 1)).sum())


def nearness(a: FloatArray, b: FloatArray, limit: float = 6.0) -> float:
    """Share of ``a``, without its ends, that is nearer than ``limit`` to ``b``."""
    x, y = (np.subtract.outer(a[3:-3, i], b[:, i]) for i in (0, 1))
    return float(((x**2 + y**2).min(axis=1) < limit**2).mean())
