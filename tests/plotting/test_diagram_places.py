"""Nothing in a diagram covers anything else, as its SVG says; its places are always the same."""

from __future__ import annotations

from functools import cache
from itertools import combinations, product

import numpy as np
import pytest

from bayes_msem.plotting.diagram import Diagram, draw_diagram
from tests.plotting.diagram_models import (
    CASES,
    Case,
    Picture,
    enters,
    length,
    limits,
    make_table,
    overlap,
    read_picture,
    times_crossed,
    wide_numbers,
)


@cache
def drawn(name: str, detail: str) -> Diagram:
    table = make_table(CASES[name])
    values = None if detail == "plain" else wide_numbers(table)
    return draw_diagram(table, values, limits(values) if values and detail == "intervals" else None)


@cache
def picture(name: str, detail: str) -> Picture:
    return read_picture(drawn(name, detail).svg)


every = pytest.mark.parametrize("name", CASES)
details = pytest.mark.parametrize("detail", ["plain", "estimates", "intervals"])


@every
@details
def test_labels_cover_neither_each_other_nor_nodes(name: str, detail: str) -> None:
    shown = picture(name, detail)
    labels, nodes = list(shown.labels.items()), shown.nodes.items()
    assert [(a, b) for (a, p), (b, q) in combinations(labels, 2) if overlap(p, q)] == []
    assert [(a, b) for a, p in labels for b, q in nodes if overlap(p, q)] == []
    assert [(a, b) for (a, p), (b, q) in combinations(nodes, 2) if overlap(p, q)] == []
    for left, top, right, bottom in [*shown.labels.values(), *shown.nodes.values()]:
        assert 0 <= left < right <= shown.size[0]
        assert 0 <= top < bottom <= shown.size[1]


@every
@details
def test_no_path_runs_through_the_label_of_another_or_a_node(name: str, detail: str) -> None:
    shown = picture(name, detail)
    met = [
        (label, row)
        for label, box in shown.labels.items()
        for row, edge in shown.edges.items()
        if any(enters(stroke, box) for stroke in edge.strokes)
    ]
    assert met == []  # nor through its own, where the path is interrupted
    shrunk = {key: (a + 1, b + 1, c - 1, d - 1) for key, (a, b, c, d) in shown.nodes.items()}
    hit = [
        (row, node)
        for row, edge in shown.edges.items()
        for node, box in shrunk.items()
        if node[1] not in row and any(enters(stroke, box) for stroke in edge.strokes)
    ]
    assert hit == []
    dots = [edge.dot for edge in shown.edges.values() if edge.dot]
    assert not any(overlap(d, box) for d in dots for box in shown.labels.values())


@every
def test_labels_leave_most_of_their_paths_to_be_seen(name: str) -> None:
    """At the widest numbers at least 40% of each path, and both of its ends, are drawn."""
    plain, full = picture(name, "plain"), picture(name, "intervals")
    for row, edge in full.edges.items():
        whole = max(sum(map(length, e.strokes)) for e in (plain.edges[row], edge))
        assert sum(map(length, edge.strokes)) > 0.4 * whole, row
        for tip in edge.tips:
            near = min(np.hypot(*(stroke - tip).T).min() for stroke in edge.strokes)
            assert near < 9, f"{row}: nothing is drawn at its end"


@every
def test_labels_are_at_their_own_paths(name: str) -> None:
    """Every label is nearer to its path than to any other that has a label, and at most 8 off."""
    for detail in ("plain", "intervals"):
        shown = picture(name, detail)
        for row, (left, top, right, bottom) in shown.labels.items():
            points = np.concatenate(shown.edges[row].strokes)
            away = np.maximum(np.maximum([left, top] - points, points - [right, bottom]), 0)
            assert np.hypot(*away.T).min() <= 8.5, (row, detail)


@every
def test_as_few_crossings_as_can_be(name: str) -> None:
    shown, wanted = picture(name, "plain"), CASES[name].crossings
    paths = [(row, e) for row, e in shown.edges.items() if e.kind != "variance"]
    crossed = {
        (a, b): n
        for (a, p), (b, q) in combinations(paths, 2)
        if (n := times_crossed(p.strokes, q.strokes))
    }
    if wanted is None:
        assert all(n == 1 for n in crossed.values()), crossed  # no two cross twice
    else:
        assert sum(crossed.values()) == wanted, crossed


def test_a_column_is_in_the_order_that_lets_paths_run_straight() -> None:
    shown = picture("table order crosses", "plain")
    top = {name: box[1] for (_, name), box in shown.nodes.items()}
    assert min(top["y1"], top["y2"]) < top["y3"] < max(top["y1"], top["y2"])
    for edge in shown.edges.values():
        if edge.kind == "regression":
            (stroke,) = edge.strokes
            assert length(stroke) == pytest.approx(np.hypot(*(stroke[-1] - stroke[0])), rel=1e-3)


def test_the_fewest_crossings_of_residual_covariances() -> None:
    """Whichever way the blocks of Bollen's indicators run, two of their arcs cross twice."""
    blocks = (["x1", "x2", "x3"], ["y1", "y2", "y3", "y4"], ["y5", "y6", "y7", "y8"])
    arcs = [("y1", "y5"), ("y2", "y4"), ("y2", "y6"), ("y3", "y7"), ("y4", "y8"), ("y6", "y8")]
    counts = []
    for ways in product((1, -1), repeat=3):
        row = [name for block, way in zip(blocks, ways, strict=True) for name in block[::way]]
        ends = [sorted((row.index(a), row.index(b))) for a, b in arcs]
        crossed = (a < c < b < d or c < a < d < b for (a, b), (c, d) in combinations(ends, 2))
        counts.append(sum(crossed))
    assert min(counts) == CASES["democracy"].crossings
    assert counts[0] == 8  # as they stand in the model text


def test_residual_covariances_run_outside_and_end_apart() -> None:
    shown = picture("democracy", "intervals")
    bottom = max(box[3] for box in shown.nodes.values())
    ends = []
    for edge in shown.edges.values():
        if edge.kind == "covariance":
            ends += edge.tips
            assert min(stroke[:, 1].min() for stroke in edge.strokes) > bottom - 1
    assert len(ends) == 12
    assert min(abs(a - b) for (a, _), (b, _) in combinations(ends, 2)) >= 8


@every
def test_places_do_not_depend_on_what_is_written(name: str) -> None:
    plain, others = picture(name, "plain"), [picture(name, d) for d in ("estimates", "intervals")]
    for other in others:
        assert other.size == plain.size
        assert other.nodes == plain.nodes
        assert {r: e.tips for r, e in other.edges.items()} == {
            r: e.tips for r, e in plain.edges.items()
        }
    curves = [
        {(e.level, e.edge.row.key): e.curve.tolist() for e in drawn(name, d).scene.edges}
        for d in ("plain", "estimates", "intervals")
    ]
    assert curves[0] == curves[1] == curves[2]


@every
def test_the_search_says_itself_that_it_found_a_place_for_everything(name: str) -> None:
    assert drawn(name, "plain").scene.clashes == 0


def test_long_names_and_labels_get_their_room() -> None:
    text = """
        satisfaction =~ perceived*x1 + support_of_colleagues_and_others*x2 + x3
        m1 ~ the_effect_of_satisfaction*satisfaction
    """
    shown = read_picture(draw_diagram(make_table(Case(text))).svg)
    wide = shown.labels["within: satisfaction =~ x2"]
    assert wide[2] - wide[0] > 150
    assert not any(overlap(a, b) for a, b in combinations(shown.labels.values(), 2))
    assert not any(overlap(a, b) for a in shown.labels.values() for b in shown.nodes.values())
