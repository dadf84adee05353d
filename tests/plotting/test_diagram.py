"""The path diagram, read back from its SVG."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from itertools import combinations
from pathlib import Path

import pytest

from bayes_msem.errors import FileError
from bayes_msem.plotting.diagram import draw_diagram, number
from bayes_msem.spec.defaults import build_table
from bayes_msem.spec.parser import parse
from bayes_msem.spec.shorthand import expand_random
from bayes_msem.spec.table import ParameterTable, RowKey

SVG = "{http://www.w3.org/2000/svg}"
Box = tuple[float, float, float, float]  # left, top, right, bottom

FACTORS = """
level: within
    lw =~ y1 + y2 + y3
    hw =~ y4 + y5 + y6
    hw ~ a*lw
level: between
    lb =~ y1 + y2 + y3
    hb =~ y4 + y5 + y6
    hb ~ lb
    indirect := a*a
"""
SLOPES = """
level: within
    y ~ rv("slope")*x
level: between
    y ~ w1 + w2
    slope ~ w1 + w2
    y ~~ slope
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
MEDIATION = """
level: within
    m ~ rv("a")*x
    y ~ rv("b")*m + rv("c")*x
level: between
    y ~ m
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
SECOND_ORDER = """
    visual =~ x1 + x2 + x3
    textual =~ x4 + x5 + x6
    speed =~ x7 + x8 + x9
    ability =~ visual + textual + speed
"""
COVARIATES = """
level: within
    fw =~ y1 + y2 + y3
    fw ~ x1 + x2 + x3
level: between
    fb =~ y1 + y2 + y3
    fb ~ w1 + w2
    z ~ fb + w1
"""
EVERYTHING = """
level: within
    fw =~ y1 + y2 + y3
level: between
    fb =~ y1 + y2 + y3
"""
COLUMNS = ["g", "x", "y", "m", "z", "w1", "w2", *(f"{v}{i}" for v in "xy" for i in range(1, 10))]
MODELS = {
    "factors": (FACTORS, None),
    "slopes": (SLOPES, None),
    "loadings": (LOADINGS, None),
    "mediation": (MEDIATION, None),
    "democracy": (DEMOCRACY, None),
    "second order": (SECOND_ORDER, None),
    "covariates": (COVARIATES, None),
    "everything varies": (EVERYTHING, "all"),
}


def make_table(text: str, random: str | None = None) -> ParameterTable:
    cluster = "g" if "level" in text else None
    parsed = expand_random(parse(text), random, COLUMNS, cluster=cluster, std_lv=False)  # type: ignore[arg-type]
    return build_table(parsed, COLUMNS, cluster=cluster)


@pytest.fixture(params=MODELS)
def any_table(request: pytest.FixtureRequest) -> ParameterTable:
    return make_table(*MODELS[request.param])


def numbers(table: ParameterTable) -> dict[RowKey, float]:
    """A different value for every free row."""
    rows = [r for r in table.rows if not r.random]
    return {r.key: 0.11 * i - 2 if r.free else r.value for i, r in enumerate(rows)}


def limits(values: dict[RowKey, float]) -> dict[RowKey, tuple[float, float]]:
    return {key: (x - 0.25, x + 0.25) for key, x in values.items()}


def read(svg: str) -> ET.Element:
    return ET.fromstring(svg)


def groups(root: ET.Element, kind: str) -> list[ET.Element]:
    return [g for g in root.iter(f"{SVG}g") if kind in g.get("class", "").split()]


def texts(group: ET.Element) -> list[str]:
    return [t.text or "" for t in group.iter(f"{SVG}text")]


def row_text(key: RowKey) -> str:
    return f"{key[0]}: {key[1]} {key[2]} {key[3]}"


def shifts(root: ET.Element) -> dict[ET.Element, tuple[float, float]]:
    """Where the panel of each group was moved to."""
    found = {}
    for panel in root.iter(f"{SVG}g"):
        if match := re.match(r"translate\((\S+) (\S+)\)", panel.get("transform", "")):
            found |= {g: (float(match[1]), float(match[2])) for g in panel}
    return found


def outline(group: ET.Element, shift: tuple[float, float]) -> Box:
    rect, ellipse = group.find(f"{SVG}rect"), group.find(f"{SVG}ellipse")
    shape = rect if rect is not None else ellipse
    assert shape is not None

    def get(name: str) -> float:
        return float(shape.get(name, "nan"))

    if rect is not None:
        box = (get("x"), get("y"), get("x") + get("width"), get("y") + get("height"))
    else:
        rx, ry = get("rx"), get("ry")
        box = (get("cx") - rx, get("cy") - ry, get("cx") + rx, get("cy") + ry)
    dx, dy = shift
    return box[0] + dx, box[1] + dy, box[2] + dx, box[3] + dy


def overlap(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def test_every_variable_has_one_node_of_its_shape(any_table: ParameterTable) -> None:
    root = read(draw_diagram(any_table).svg)
    drawn = {}
    for g in groups(root, "node"):
        shape = "box" if g.find(f"{SVG}rect") is not None else "ellipse"
        key = (g.get("data-level"), g.get("data-name"))
        assert key not in drawn
        assert texts(g) == [key[1]]
        drawn[key] = shape
    boxes = {"covariate", "within-only", "cluster-level", "cluster-level covariate"}
    assert drawn == {
        (level, name): "box" if role in boxes or (role, level) == ("split", "within") else "ellipse"
        for (level, name), role in any_table.roles.items()
    }


def test_every_row_has_an_edge_and_random_ones_a_dot(any_table: ParameterTable) -> None:
    root = read(draw_diagram(any_table).svg)
    edges = {str(g.get("data-row")): g for g in groups(root, "edge")}
    assert len(edges) == len(groups(root, "edge"))
    wanted = {
        row_text(r.key): r
        for r in any_table.rows
        if r.kind not in ("intercept", "defined") and (r.free or r.random or r.value != 0)
    }
    assert edges.keys() == wanted.keys()
    for text, row in wanted.items():
        path = edges[text].find(f"{SVG}path")
        assert path is not None
        assert row.kind in edges[text].get("class", "")
        assert ("marker-start" in path.attrib) == (row.op == "~~")  # double-headed
        dots = [c for c in edges[text].iter(f"{SVG}circle") if c.get("class") == "dot"]
        assert len(dots) == bool(row.random)


def test_arrows_point_from_predictor_to_outcome() -> None:
    table = make_table(MEDIATION)
    root = read(draw_diagram(table).svg)
    moved = shifts(root)
    nodes = {(g.get("data-level"), g.get("data-name")): g for g in groups(root, "node")}
    edge = next(g for g in groups(root, "edge") if g.get("data-row") == "within: m ~ x")
    path = edge.find(f"{SVG}path")
    assert path is not None
    x0, *_, x2, _ = (float(v) for v in re.findall(r"-?[\d.]+", path.get("d", "")))
    dx = moved[edge][0]
    left, right = (
        outline(nodes["within", name], moved[nodes["within", name]]) for name in ("x", "m")
    )
    assert left[2] <= x0 + dx < x2 + dx <= right[0]


@pytest.mark.parametrize("detail", ["plain", "estimates", "intervals"])
def test_no_node_overlaps_another_and_no_label_a_node(
    any_table: ParameterTable, detail: str
) -> None:
    values = None if detail == "plain" else numbers(any_table)
    intervals = limits(values) if values and detail == "intervals" else None
    root = read(draw_diagram(any_table, values, intervals).svg)
    moved = shifts(root)
    nodes = [outline(g, moved[g]) for g in groups(root, "node")]
    assert not any(overlap(a, b) for a, b in combinations(nodes, 2))
    labels = [outline(g, moved[g]) for g in groups(root, "label")]
    assert not any(overlap(a, b) for a in labels for b in nodes)
    *_, width, height = (float(v) for v in root.get("viewBox", "").split())
    for left, top, right, bottom in [*nodes, *labels]:
        assert 0 <= left < right <= width
        assert 0 <= top < bottom <= height


def test_labels_do_not_hide_each_other() -> None:
    for name in ("factors", "slopes", "loadings", "mediation", "covariates", "second order"):
        table = make_table(*MODELS[name])
        root = read(draw_diagram(table, numbers(table)).svg)
        moved = shifts(root)
        labels = [outline(g, moved[g]) for g in groups(root, "label")]
        assert not any(overlap(a, b) for a, b in combinations(labels, 2)), name


def test_numbers_stand_at_their_rows(any_table: ParameterTable) -> None:
    values = numbers(any_table)
    intervals = limits(values)
    root = read(draw_diagram(any_table, values, intervals).svg)
    labels = {g.get("data-row"): texts(g) for g in groups(root, "label")}
    intercepts = {
        g.get("data-intercept"): texts(g)[1:]
        for g in groups(root, "node")
        if g.get("data-intercept")
    }
    for row in any_table.rows:
        shown = (intercepts if row.kind == "intercept" else labels).get(row_text(row.key))
        if row.random:
            assert shown == [row.random]
        elif row.free and row.kind != "defined":
            assert shown is not None
            mean, ends = shown
            low, high = ends.strip("[]").split(", ")
            read_back = [float(t.split()[-1].replace("−", "-")) for t in (mean, low, high)]
            wanted = [values[row.key], *intervals[row.key]]
            assert read_back == pytest.approx(wanted, abs=0.005)
        elif row.kind != "defined" and row.value:
            assert shown == [f"{row.value:g}"]


def test_labels_and_constants_without_estimates() -> None:
    root = read(draw_diagram(make_table(FACTORS)).svg)
    labels = {g.get("data-row"): texts(g) for g in groups(root, "label")}
    assert labels == {
        "within: lw =~ y1": ["1"],
        "within: hw =~ y4": ["1"],
        "within: hw ~ lw": ["a"],
        "between: lb =~ y1": ["1"],
        "between: hb =~ y4": ["1"],
    }


def test_levels_are_separated_and_split_variables_face_each_other() -> None:
    root = read(draw_diagram(make_table(FACTORS)).svg)
    line = next(e for e in root.iter(f"{SVG}line") if e.get("class") == "levels")
    y = float(line.get("y1", "nan"))
    assert [t for t in texts(root) if "clusters" in t] == ["Between clusters", "Within clusters"]
    moved = shifts(root)
    centres: dict[str, list[float]] = {}
    for g in groups(root, "node"):
        left, top, right, bottom = outline(g, moved[g])
        assert bottom < y if g.get("data-level") == "between" else top > y
        centres.setdefault(str(g.get("data-name")), []).append((left + right) / 2)
    pairs = [c for c in centres.values() if len(c) == 2]
    assert len(pairs) == 6
    for a, b in pairs:
        assert a == pytest.approx(b, abs=0.3)  # coordinates have one decimal
    single = draw_diagram(make_table(DEMOCRACY)).svg
    assert 'class="levels"' not in single


def test_names_are_escaped() -> None:
    table = make_table(SLOPES)
    odd = 'a<b & "c"'

    def rename(name: str) -> str:
        return odd if name == "w1" else name

    rows = tuple(
        type(r)(
            **{f: getattr(r, f) for f in r.__slots__} | {"lhs": rename(r.lhs), "rhs": rename(r.rhs)}
        )
        for r in table.rows
    )
    roles = {(level, rename(name)): role for (level, name), role in table.roles.items()}
    root = read(draw_diagram(ParameterTable(rows, roles, (), (), two_level=True)).svg)
    assert odd in [g.get("data-name") for g in groups(root, "node")]
    assert f"between: y ~ {odd}" in [g.get("data-row") for g in groups(root, "edge")]
    assert odd in texts(root)


def test_small_numbers_keep_three_digits() -> None:
    assert [number(x) for x in (1.234, -0.5, 0.0123, -0.004, 0.0)] == [
        "1.23",
        "−0.50",
        "0.012",
        "−0.004",
        "0.00",
    ]


def test_the_object_shows_itself_and_is_saved(tmp_path: Path) -> None:
    picture = draw_diagram(make_table(SLOPES))
    assert picture._repr_svg_() == picture.svg
    assert picture.save(tmp_path / "model.svg").read_text(encoding="utf-8") == picture.svg
    assert repr(picture) == "Diagram of 6 nodes; .save('paths.svg') writes it"


@pytest.mark.parametrize("name", ["model.png", "model.pdf", "model", "model.svgz"])
def test_other_formats_are_refused_with_the_way_to_them(name: str, tmp_path: Path) -> None:
    picture = draw_diagram(make_table(SLOPES))
    with pytest.raises(FileError, match=r"use '.svg'. .*browser to print it as PDF"):
        picture.save(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_a_loading_and_a_slope_of_one_pair_are_two_arrows() -> None:
    """Neither hides the other: half way they are 10 pixels apart or more."""
    svg = draw_diagram(make_table("f =~ y1 + 0.5*y2 + y3\ny2 ~ b*f")).svg
    groups = [e for e in ET.fromstring(svg).iter(f"{SVG}g") if "edge" in e.get("class", "")]
    edges = {e.get("data-row"): e for e in groups}
    middles = []
    for row in ("within: f =~ y2", "within: y2 ~ f"):
        path = next(e for e in edges[row].iter(f"{SVG}path"))
        x = [float(v) for v in re.findall(r"-?[\d.]+", path.get("d", ""))]
        middles.append(((x[0] + 2 * x[2] + x[4]) / 4, (x[1] + 2 * x[3] + x[5]) / 4))
    (x1, y1), (x2, y2) = middles
    assert (x1 - x2) ** 2 + (y1 - y2) ** 2 > 10**2
