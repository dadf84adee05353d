"""Typical models, and the shapes of their diagrams read back from SVG without the package."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bayes_msem.spec.defaults import build_table
from bayes_msem.spec.parser import parse
from bayes_msem.spec.shorthand import expand_random
from bayes_msem.spec.table import ParameterTable, RowKey

SVG = "{http://www.w3.org/2000/svg}"
Points = NDArray[np.float64]
Box = tuple[float, float, float, float]  # left, top, right, bottom

COLUMNS = ["g", "x", "y", "m", "z", "w1", "w2", *(f"{v}{i}" for v in "mxy" for i in range(1, 10))]

ONE_FACTOR = "f =~ y1 + y2 + y3 + y4"
TWO_LEVEL_CFA = """
level: within
    fw =~ y1 + y2 + y3 + y4
level: between
    fb =~ y1 + y2 + y3 + y4
"""
DEMOCRACY = """
    ind =~ x1 + x2 + x3
    d60 =~ y1 + y2 + y3 + y4
    d65 =~ y5 + y6 + y7 + y8
    d60 ~ ind
    d65 ~ ind + d60
    y1 ~~ y5
    y2 ~~ y4 + y6
    y3 ~~ y7
    y4 ~~ y8
    y6 ~~ y8
"""
PARALLEL = """
level: within
    m1 ~ a1*x
    m2 ~ a2*x
    y ~ b1*m1 + b2*m2 + c*x
    m1 ~~ m2
level: between
    m1 ~ x
    m2 ~ x
    y ~ m1 + m2 + x
    m1 ~~ m2
"""
SERIAL = """
    m1 ~ a*x
    m2 ~ d*m1 + x
    y ~ b*m2 + m1 + c*x
"""
CONTEXTUAL = """
level: within
    y ~ bw*x
level: between
    y ~ bb*x + w1
    effect := bb - bw
"""
SLOPES = """
level: within
    y ~ rv("slope")*x
level: between
    y ~ w1 + w2
    slope ~ w1 + w2
    y ~~ slope
"""
GROWTH = """
    i =~ 1*y1 + 1*y2 + 1*y3 + 1*y4
    s =~ 0*y1 + 1*y2 + 2*y3 + 3*y4
    i ~~ s
    i + s ~ x
    y1 ~ 0*1
    y2 ~ 0*1
    y3 ~ 0*1
    y4 ~ 0*1
    i ~ 1
    s ~ 1
"""
VARIANCE = """
level: within
    y ~ rv("s")*x
    y ~~ rv("v")*y
level: between
    y + s + v ~ w1
    y ~~ s + v
    s ~~ v
"""
STRUCTURAL = """
level: within
    fw =~ y1 + y2 + y3
    gw =~ y4 + y5 + y6
    gw ~ a*fw
level: between
    fb =~ y1 + y2 + y3
    gb =~ y4 + y5 + y6
    gb ~ fb
    y1 ~~ y4
"""
LEVEL_TWO_OUTCOME = """
level: within
    fw =~ y1 + y2 + y3
    fw ~ x1 + x2 + x3
level: between
    fb =~ y1 + y2 + y3
    fb ~ w1 + w2
    z ~ fb + w1
"""
SECOND_ORDER = """
    visual =~ x1 + x2 + x3
    textual =~ x4 + x5 + x6
    speed =~ x7 + x8 + x9
    ability =~ visual + textual + speed
"""
THREE_FACTORS = """
    visual =~ x1 + x2 + x3
    textual =~ x4 + x5 + x6
    speed =~ x7 + x8 + x9
"""
PANEL = """
    x2 ~ x1 + y1
    y2 ~ y1 + x1
    x3 ~ x2 + y2
    y3 ~ y2 + x2
    x1 ~~ y1
    x2 ~~ y2
    x3 ~~ y3
"""
MEDIATION = """
level: within
    m ~ rv("a")*x
    y ~ rv("b")*m + rv("c")*x
level: between
    y ~ m
"""
LOADINGS = """
level: within
    fw =~ y1 + rv("l2")*y2 + rv("l3")*y3
    fw ~~ rv("vf")*fw
    y1 ~~ rv("v1")*y1
level: between
    fb =~ y1 + y2 + y3
    fb ~~ 0*l2 + 0*l3 + 0*vf + 0*v1
    vf ~ w1
    z ~ l2
"""
EVERYTHING = """
level: within
    fw =~ y1 + y2 + y3
level: between
    fb =~ y1 + y2 + y3
"""


@dataclass(frozen=True)
class Case:
    """A model; ``crossings``: the fewest of its paths and arcs, None where that is not known."""

    text: str
    crossings: int | None = 0
    random: str | None = None
    ordered: tuple[str, ...] = ()


CASES = {
    "one factor": Case(ONE_FACTOR),
    "two-level CFA": Case(TWO_LEVEL_CFA),
    "democracy": Case(DEMOCRACY, 2),  # whichever way the blocks of indicators run: see the test
    "parallel mediation": Case(PARALLEL),
    "serial mediation": Case(SERIAL),
    "contextual effect": Case(CONTEXTUAL),
    "random slope": Case(SLOPES, 1),  # two predictors of two outcomes, in two columns
    "growth curve": Case(GROWTH, 3),  # two factors over a row of four, the second without y1
    "random variance": Case(VARIANCE),
    "factors at both levels": Case(STRUCTURAL),
    "level-2 outcome": Case(LEVEL_TWO_OUTCOME),
    "ordinal items": Case(TWO_LEVEL_CFA, 0, ordered=("y1", "y2", "y3", "y4")),
    "second order": Case(SECOND_ORDER),
    "three factors": Case(THREE_FACTORS),
    "panel": Case(PANEL, 2),
    "table order crosses": Case("y1 ~ x1\ny2 ~ x2\ny3 ~ x1"),
    "random mediation": Case(MEDIATION, None),
    "random loadings": Case(LOADINGS, None),
    "everything varies": Case(EVERYTHING, None, random="all"),
}


def make_table(case: Case) -> ParameterTable:
    cluster = "g" if "level" in case.text else None
    parsed = expand_random(parse(case.text), case.random, COLUMNS, cluster=cluster, std_lv=False)  # type: ignore[arg-type]
    return build_table(parsed, COLUMNS, cluster=cluster)


def wide_numbers(table: ParameterTable) -> dict[RowKey, float]:
    """Estimates as wide as they can be, a different one for every row."""
    return {r.key: -10.0 - 0.11 * i for i, r in enumerate(table.rows) if not r.random}


def limits(values: dict[RowKey, float], by: float = 0.25) -> dict[RowKey, tuple[float, float]]:
    return {key: (x - by, x + by) for key, x in values.items()}


# SVG ----------------------------------------------------------------------------------------------


@dataclass
class Drawn:
    """What one group shows."""

    level: str
    kind: str
    strokes: list[Points] = field(default_factory=list)  # points along its curves
    tips: list[tuple[float, float]] = field(default_factory=list)
    dot: Box | None = None


@dataclass
class Picture:
    """Nodes by (level, name), edges and boxes of labels by row."""

    size: tuple[float, float]
    nodes: dict[tuple[str, str], Box]
    edges: dict[str, Drawn]
    labels: dict[str, Box]
    texts: dict[str, list[str]]


def groups(root: ET.Element, kind: str) -> list[ET.Element]:
    return [g for g in root.iter(f"{SVG}g") if kind in g.get("class", "").split()]


def texts(group: ET.Element) -> list[str]:
    return [t.text or "" for t in group.iter(f"{SVG}text")]


def outline(group: ET.Element) -> Box:
    rect, ellipse = group.find(f"{SVG}rect"), group.find(f"{SVG}ellipse")
    shape = rect if rect is not None else ellipse
    assert shape is not None

    def get(name: str) -> float:
        return float(shape.get(name, "nan"))

    if rect is not None:
        return get("x"), get("y"), get("x") + get("width"), get("y") + get("height")
    rx, ry = get("rx"), get("ry")
    return get("cx") - rx, get("cy") - ry, get("cx") + rx, get("cy") + ry


def strokes(d: str) -> list[Points]:
    """Points along the cubic curves of a path, one array for each of its parts."""
    t = np.linspace(0, 1, 81)[:, None]
    made = []
    for part in re.findall(r"M([^M]*)", d):
        p = np.array(re.findall(r"-?[\d.]+", part), dtype=float).reshape(-1, 2)
        pieces = [
            (1 - t) ** 3 * p[i]
            + 3 * (1 - t) ** 2 * t * p[i + 1]
            + 3 * (1 - t) * t**2 * p[i + 2]
            + t**3 * p[i + 3]
            for i in range(0, len(p) - 1, 3)
        ]
        made.append(np.concatenate(pieces))
    return made


def read_picture(svg: str) -> Picture:
    root = ET.fromstring(svg)
    *_, width, height = (float(v) for v in root.get("viewBox", "").split())
    nodes = {
        (str(g.get("data-level")), str(g.get("data-name"))): outline(g)
        for g in groups(root, "node")
    }
    edges = {}
    for g in groups(root, "edge"):
        kind = g.get("class", "").split()[1]
        made = Drawn(str(g.get("data-level")), kind)
        for path in g.iter(f"{SVG}path"):
            if path.get("class") == "head":
                first = re.findall(r"-?[\d.]+", path.get("d", ""))[:2]
                made.tips.append((float(first[0]), float(first[1])))
            else:
                made.strokes = strokes(path.get("d", ""))
        for dot in g.iter(f"{SVG}circle"):
            x, y, r = (float(dot.get(name, "nan")) for name in ("cx", "cy", "r"))
            made.dot = (x - r, y - r, x + r, y + r)
        edges[str(g.get("data-row"))] = made
    labels = {str(g.get("data-row")): outline(g) for g in groups(root, "label")}
    words = {str(g.get("data-row")): texts(g) for g in groups(root, "label")}
    return Picture((width, height), nodes, edges, labels, words)


def overlap(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def enters(points: Points, box: Box) -> bool:
    """Whether a curve comes into a box."""
    x, y = points.T
    return bool(((x > box[0]) & (x < box[2]) & (y > box[1]) & (y < box[3])).any())


def length(points: Points) -> float:
    return float(np.hypot(*np.diff(points, axis=0).T).sum())


def times_crossed(one: list[Points], other: list[Points]) -> int:
    """How often two drawings cross, segment by segment."""

    def side(p: Points, q: Points, r: Points) -> Points:
        value: Points = np.sign(
            (q[..., 0] - p[..., 0]) * (r[..., 1] - p[..., 1])
            - (q[..., 1] - p[..., 1]) * (r[..., 0] - p[..., 0])
        )
        return value

    count = 0
    for p in one:
        for q in other:
            a, b, c, d = p[:-1, None], p[1:, None], q[None, :-1], q[None, 1:]
            apart = (side(a, b, c) * side(a, b, d) < 0) & (side(c, d, a) * side(c, d, b) < 0)
            count += int(apart.sum())
    return count
