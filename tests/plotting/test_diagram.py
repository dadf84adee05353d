"""The path diagram, read back from its SVG."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest

from bayes_msem.errors import FileError, MsemError
from bayes_msem.plotting.diagram import draw_diagram
from bayes_msem.plotting.diagram_graph import number
from bayes_msem.spec.table import ParameterTable, RowKey
from tests.plotting.diagram_models import (
    CASES,
    SVG,
    Case,
    groups,
    limits,
    make_table,
    read_picture,
    texts,
    wide_numbers,
)

FACTORS = Case("""
level: within
    lw =~ y1 + y2 + y3
    hw =~ y4 + y5 + y6
    hw ~ a*lw
level: between
    lb =~ y1 + y2 + y3
    hb =~ y4 + y5 + y6
    hb ~ lb
    indirect := a*a
""")


@pytest.fixture(params=CASES)
def any_table(request: pytest.FixtureRequest) -> ParameterTable:
    return make_table(CASES[request.param])


def numbers(table: ParameterTable) -> dict[RowKey, float]:
    """A different value for every free row."""
    rows = [r for r in table.rows if not r.random]
    return {r.key: 0.11 * i - 2 if r.free else r.value for i, r in enumerate(rows)}


def row_text(key: RowKey) -> str:
    return f"{key[0]}: {key[1]} {key[2]} {key[3]}"


def test_every_variable_has_one_node_of_its_shape(any_table: ParameterTable) -> None:
    root = ET.fromstring(draw_diagram(any_table).svg)
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
    root = ET.fromstring(draw_diagram(any_table).svg)
    edges = {str(g.get("data-row")): g for g in groups(root, "edge")}
    assert len(edges) == len(groups(root, "edge"))
    wanted = {
        row_text(r.key): r
        for r in any_table.rows
        if r.kind not in ("intercept", "threshold", "defined")
        and (r.free or r.random or r.value != 0)
    }
    assert edges.keys() == wanted.keys()
    for text, row in wanted.items():
        assert row.kind in edges[text].get("class", "")
        heads = [p for p in edges[text].iter(f"{SVG}path") if p.get("class") == "head"]
        assert len(heads) == (2 if row.op == "~~" else 1)
        dots = [c for c in edges[text].iter(f"{SVG}circle") if c.get("class") == "dot"]
        assert len(dots) == bool(row.random)


def test_arrows_point_from_predictor_to_outcome() -> None:
    shown = read_picture(draw_diagram(make_table(CASES["random mediation"])).svg)
    (tip,) = shown.edges["within: m ~ x"].tips
    source, target = (shown.nodes["within", name] for name in ("x", "m"))
    assert source[2] < tip[0] <= target[0]
    assert target[1] <= tip[1] <= target[3]
    start = shown.edges["within: m ~ x"].strokes[0][0]
    assert source[2] <= start[0] < source[2] + 5


def test_numbers_stand_at_their_rows(any_table: ParameterTable) -> None:
    values = numbers(any_table)
    intervals = limits(values)
    root = ET.fromstring(draw_diagram(any_table, values, intervals).svg)
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
        elif row.free and row.kind not in ("defined", "threshold"):
            assert shown is not None
            mean, ends = shown
            low, high = ends.strip("[]").split(", ")
            read_back = [float(t.split()[-1].replace("−", "-")) for t in (mean, low, high)]
            wanted = [values[row.key], *intervals[row.key]]
            assert read_back == pytest.approx(wanted, abs=0.005)
        elif row.kind not in ("defined", "threshold", "intercept") and row.value:
            assert shown == [f"{row.value:g}"]


def test_labels_and_constants_without_estimates() -> None:
    root = ET.fromstring(draw_diagram(make_table(FACTORS)).svg)
    labels = {g.get("data-row"): texts(g) for g in groups(root, "label")}
    assert labels == {
        "within: lw =~ y1": ["1"],
        "within: hw =~ y4": ["1"],
        "within: hw ~ lw": ["a"],
        "between: lb =~ y1": ["1"],
        "between: hb =~ y4": ["1"],
    }


def test_levels_are_separated_and_split_variables_face_each_other() -> None:
    svg = draw_diagram(make_table(FACTORS)).svg
    root = ET.fromstring(svg)
    line = next(e for e in root.iter(f"{SVG}line") if e.get("class") == "levels")
    y = float(line.get("y1", "nan"))
    assert [t for t in texts(root) if "clusters" in t] == ["Between clusters", "Within clusters"]
    centres: dict[str, list[float]] = {}
    for (level, name), (left, top, right, bottom) in read_picture(svg).nodes.items():
        assert bottom < y if level == "between" else top > y
        centres.setdefault(name, []).append((left + right) / 2)
    pairs = [c for c in centres.values() if len(c) == 2]
    assert len(pairs) == 6
    for a, b in pairs:
        assert a == pytest.approx(b, abs=0.3)  # coordinates have one decimal
    single = draw_diagram(make_table(CASES["democracy"])).svg
    assert 'class="levels"' not in single


def test_names_are_escaped() -> None:
    table = make_table(CASES["random slope"])
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
    root = ET.fromstring(draw_diagram(ParameterTable(rows, roles, (), (), two_level=True)).svg)
    assert odd in [g.get("data-name") for g in groups(root, "node")]
    assert f"between: y ~ {odd}" in [g.get("data-row") for g in groups(root, "edge")]
    assert odd in texts(root)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.234, "1.23"),
        (-0.5, "−0.50"),
        (0.0123, "0.012"),
        (0.0997, "0.10"),
        (0.0994, "0.099"),
        (-0.004, "−0.004"),
        (0.0, "0.00"),
        (-123.456, "−123.5"),
        (1234.5, "1234.5"),
        (-23456.7, "−23457"),
        (987654.3, "987654"),
        (-1.234e8, "−1.2e8"),
        (-4.2e11, "−4e11"),
        (float("nan"), "–"),
        (float("inf"), "–"),
    ],
)
def test_numbers_have_six_signs_at_most(value: float, text: str) -> None:
    assert number(value) == text
    assert len(text) <= 6


def test_any_number_fits_its_room() -> None:
    """Whatever a fit finds, texts are no wider than the room that was left for them."""
    table = make_table(CASES["democracy"])
    sizes = 10.0 ** np.arange(-4, 13)
    for size in [*sizes, *-sizes]:
        values = {r.key: 2.345678 * size for r in table.rows}
        drawn = draw_diagram(table, values, limits(values, abs(size)))
        for label in drawn.scene.labels:
            assert label.box.half_width <= label.room.half_width + 1e-9, label.lines
            assert label.box.half_height <= label.room.half_height + 1e-9


def test_the_object_shows_itself_and_is_saved(tmp_path: Path) -> None:
    picture = draw_diagram(make_table(CASES["random slope"]))
    assert picture._repr_svg_() == picture.svg
    assert picture.svg in picture._repr_html_()
    assert picture.save(tmp_path / "model.svg").read_text(encoding="utf-8") == picture.svg
    assert repr(picture) == "Diagram of 6 nodes; .save('paths.svg') writes it"


def test_colours_are_those_of_the_page() -> None:
    """Nothing is filled with white; as a file of its own it turns light on dark pages."""
    svg = draw_diagram(make_table(CASES["democracy"])).svg
    assert not re.search(r"#fff|white", svg, re.IGNORECASE)
    root = ET.fromstring(svg)
    style = next(e.text or "" for e in root.iter(f"{SVG}style"))
    colours = set(re.findall(r"(?:fill|stroke): ([^;]+);", style))
    assert colours == {"none", "currentColor"}
    light, dark = re.findall(r"svg:root\.msem-diagram \{ color: (#\w{6}); \}", style)
    assert re.search(r"prefers-color-scheme: dark[^}]*" + dark, style)
    assert contrast(light, "#ffffff") > 7
    assert contrast(dark, "#1e1e1e") > 7
    # rules of a picture inside a page must not reach the rest of the page
    rules = re.sub(r"@media[^{]*\{(.*?\})\s*\}", r"\1", style)
    selectors = [x.strip() for x in re.findall(r"([^{}]+)\{", rules)]
    assert all(".msem-diagram" in one for s in selectors for one in s.split(","))
    attributes = {e.get(a) for e in root.iter() for a in ("fill", "stroke")}
    assert attributes == {None}


def contrast(one: str, other: str) -> float:
    """Contrast of WCAG 2.1, from 1 to 21."""

    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted([luminance(one), luminance(other)])
    return (high + 0.05) / (low + 0.05)


def test_a_png_shows_what_the_svg_shows(tmp_path: Path) -> None:
    """At 96 dots per inch a dot is a pixel: outlines, arrowheads and texts are where it says."""
    table = make_table(CASES["democracy"])
    values = wide_numbers(table)
    drawn = draw_diagram(table, values, limits(values))
    pixels = matplotlib.image.imread(drawn.save(tmp_path / "model.png", dpi=96))
    shown = read_picture(drawn.svg)
    height, width, _ = pixels.shape
    assert (width, height) == pytest.approx(shown.size, abs=1)
    dark = pixels[..., :3].mean(axis=2) < 0.8

    def ink(left: float, top: float, right: float, bottom: float) -> int:
        rows = slice(max(0, int(top)), int(np.ceil(bottom)))
        return int(dark[rows, max(0, int(left)) : int(np.ceil(right))].sum())

    for left, top, right, bottom in shown.nodes.values():
        middle = (left + right) / 2
        assert ink(middle - 2, top - 2, middle + 2, top + 2) >= 4  # outline above and below
        assert ink(middle - 2, bottom - 2, middle + 2, bottom + 2) >= 4
    for left, top, right, bottom in shown.labels.values():
        assert ink(left, top, right, bottom) > 30  # text
        assert ink(left - 2, top, left, bottom) == ink(right, top, right + 2, bottom) == 0
    for edge in shown.edges.values():
        for x, y in edge.tips:
            assert ink(x - 4, y - 4, x + 4, y + 4) > 6
    covered = np.zeros_like(dark)
    boxes = [*shown.nodes.values(), *shown.labels.values()]
    for left, top, right, bottom in boxes:
        covered[int(top) - 2 : int(bottom) + 3, int(left) - 2 : int(right) + 3] = True
    for edge in shown.edges.values():
        for x, y in np.concatenate(edge.strokes):
            covered[int(y) - 6 : int(y) + 7, int(x) - 6 : int(x) + 7] = True
    assert not (dark & ~covered).any()  # nothing else is drawn


def test_dots_and_paper_of_a_png(tmp_path: Path) -> None:
    drawn = draw_diagram(make_table(CASES["random slope"]))
    coarse = matplotlib.image.imread(drawn.save(tmp_path / "coarse.png", dpi=48))
    fine = matplotlib.image.imread(drawn.save(tmp_path / "fine.PNG", dpi=192))
    assert fine.shape[0] == pytest.approx(4 * coarse.shape[0], abs=4)
    assert (fine[0, 0] == 1).all()  # white and opaque
    clear = matplotlib.image.imread(drawn.save(tmp_path / "clear.png", transparent=True))
    assert clear[0, 0, 3] == 0
    assert clear[..., 3].max() == 1


def test_a_pdf_is_one_page_of_the_same_size_with_text(tmp_path: Path) -> None:
    drawn = draw_diagram(make_table(CASES["random slope"]))
    content = drawn.save(tmp_path / "model.pdf").read_bytes()
    assert content.startswith(b"%PDF-")
    assert content.count(b"/Type /Page ") == 1
    box = re.search(rb"/MediaBox \[ 0 0 ([\d.]+) ([\d.]+) \]", content)
    assert box is not None
    size = [float(v) / 72 * 96 for v in box.groups()]
    assert size == pytest.approx([drawn.scene.width, drawn.scene.height], abs=0.01)
    assert b"/Subtype /Type0" in content  # TrueType in a composite font: text that can be edited
    assert drawn.save(tmp_path / "again.pdf").read_bytes() == content


@pytest.mark.parametrize("name", ["model.jpg", "model", "model.svgz"])
def test_other_formats_are_refused_with_the_way_to_them(name: str, tmp_path: Path) -> None:
    picture = draw_diagram(make_table(CASES["random slope"]))
    with pytest.raises(FileError, match=r"use '.svg' or '.png' or '.pdf'. .*Inkscape"):
        picture.save(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("dpi", [0, 9, 1e6, "high", True, float("nan")])
def test_odd_resolutions_are_refused(dpi: float, tmp_path: Path) -> None:
    picture = draw_diagram(make_table(CASES["random slope"]))
    with pytest.raises(MsemError, match="dpi must be a number of dots per inch from 10 to 2400"):
        picture.save(tmp_path / "model.png", dpi=dpi)
    assert list(tmp_path.iterdir()) == []


def test_a_loading_and_a_slope_of_one_pair_are_two_arrows() -> None:
    """Neither hides the other: half way they are 10 pixels apart or more."""
    text = "f =~ y1 + 0.5*y2 + y3\ny2 ~ b*f"
    shown = read_picture(draw_diagram(make_table(Case(text))).svg)
    one, other = (
        np.concatenate(shown.edges[row].strokes) for row in ("within: f =~ y2", "within: y2 ~ f")
    )
    middle = (one[:, 1].min() + one[:, 1].max()) / 2
    at = [points[np.abs(points[:, 1] - middle).argmin()] for points in (one, other)]
    assert np.hypot(*(at[0] - at[1])) > 10
