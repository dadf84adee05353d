"""Path diagram of a model as SVG, in the convention of Muthen and Muthen and of Hox.

Boxes are observed, ellipses latent variables. A variable at both levels is split: a box at level
within, and an ellipse, its random intercept, at level between. A filled dot marks a coefficient
that varies over clusters; it is an ellipse of the same name at level between. Nothing but Python is
needed to draw it, and nothing but a browser or a notebook to show it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

from bayes_msem import disk
from bayes_msem.plotting.canvas import MUTED
from bayes_msem.plotting.diagram_graph import Edge, LevelGraph, Node, number, read_graph
from bayes_msem.plotting.diagram_layout import (
    NAME_SIZE,
    SMALL_SIZE,
    Box,
    common_spacing,
    pixels,
    place,
)
from bayes_msem.plotting.diagram_route import LABEL_LINE, Loop, Route, route
from bayes_msem.spec.table import ParameterTable, RowKey

__all__ = ["Diagram", "draw_diagram", "number"]

_MARGIN, _BETWEEN_LEVELS, _TITLE = 24.0, 66.0, 15.0
_FONT = "Helvetica, Arial, 'DejaVu Sans', sans-serif"
_TITLES = {"within": "Within clusters", "between": "Between clusters"}
_STYLE = f"""
text {{ font-family: {_FONT}; font-size: {SMALL_SIZE:g}px; text-anchor: middle; fill: #000; }}
.node text.name {{ font-size: {NAME_SIZE:g}px; }}
.node rect, .node ellipse {{ fill: #fff; stroke: #000; stroke-width: 1.3; }}
.edge path {{ fill: none; stroke: #000; stroke-width: 1.1; }}
.covariance path, .variance path {{ stroke: {MUTED}; }}
.dot {{ fill: #000; }}
.label rect {{ fill: #fff; fill-opacity: 0.85; }}
.level {{ text-anchor: start; fill: {MUTED}; font-size: {NAME_SIZE:g}px; }}
.levels {{ stroke: {MUTED}; stroke-width: 1.2; stroke-dasharray: 7 5; }}
"""
_MARKERS = "".join(
    f'<marker id="{name}" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" markerHeight="8" '
    f'markerUnits="userSpaceOnUse" orient="auto-start-reverse">'
    f'<path d="M 0 1 L 10 5 L 0 9 z" fill="{colour}"/></marker>'
    for name, colour in (("tip", "#000"), ("grey-tip", MUTED))
)


@dataclass(frozen=True, slots=True, repr=False)
class Diagram:
    """A path diagram; notebooks show it as the result of a cell.

    Attributes
    ----------
    svg
        The picture as text. Groups carry ``data-level`` and ``data-name`` or ``data-row``.

    Examples
    --------
    >>> diagram = fit.diagram()
    >>> diagram.svg[:4]
    '<svg'
    """

    svg: str

    def _repr_svg_(self) -> str:
        """Picture for notebooks."""
        return self.svg

    def save(self, path: str | PathLike[str]) -> Path:
        """Write the picture to an SVG file, and return its path.

        Parameters
        ----------
        path
            Where to write; ends in ``.svg``. What stands there is replaced, once the new
            file is complete.

        Raises
        ------
        FileError
            ``path`` has another suffix, or cannot be written.

        Examples
        --------
        >>> fit.diagram().save("model.svg").name
        'model.svg'
        """
        target = disk.as_path(path)
        otherwise = (
            "There is nothing here that draws SVG as PNG or PDF: save the SVG, and open it in a "
            "browser to print it as PDF, or convert it with Inkscape, rsvg-convert or CairoSVG."
        )
        disk.check_suffix(target, [".svg"], otherwise)
        disk.write(target, [self.svg.encode()], overwrite=True)
        return target

    def __repr__(self) -> str:
        """Say what it is and how to see it."""
        return f"Diagram of {self.svg.count('class="node')} nodes; .save('paths.svg') writes it"


@dataclass(frozen=True, slots=True)
class _Panel:
    """One level, drawn around its own origin."""

    graph: LevelGraph
    boxes: dict[str, Box]
    routes: tuple[Route, ...]
    loops: tuple[Loop, ...]

    @property
    def drawn(self) -> list[Route | Loop]:
        """Arrows and loops."""
        return [*self.routes, *self.loops]

    def extent(self) -> tuple[float, float, float, float]:
        """Left, top, right and bottom."""
        parts = [*self.boxes.values(), *(loop.box() for loop in self.loops)]
        parts += [e.label for e in self.drawn if e.label is not None]
        xs = [b.x + s * b.half_width for b in parts for s in (-1, 1)]
        ys = [b.y + s * b.half_height for b in parts for s in (-1, 1)]
        for r in self.routes:
            for t in (0.0, 0.25, 0.5, 0.75, 1.0):
                x, y = r.at(t)
                xs.append(float(x))
                ys.append(float(y))
        return min(xs), min(ys), max(xs), max(ys)


def draw_diagram(
    table: ParameterTable,
    values: Mapping[RowKey, float] | None = None,
    intervals: Mapping[RowKey, tuple[float, float]] | None = None,
) -> Diagram:
    """Draw the path diagram of a parameter table.

    Parameters
    ----------
    table
        The parameter table.
    values
        Numbers to write at the rows, {key: value}; None: labels and constants only.
    intervals
        Lower and upper limits to write below them, {key: (lower, upper)}.

    Returns
    -------
    Diagram
        Paths and covariances that are fixed at zero, and definitions, are not drawn. Intercepts
        are written in their node if ``values`` has them.
    """
    panels = []
    graphs = read_graph(table, values, intervals)
    spacing = common_spacing(graphs)
    for graph in graphs:
        upward = graph.level == "between" or not table.two_level
        boxes = place(graph, upward, spacing)
        panels.append(_Panel(graph, boxes, *route(graph, boxes, upward)))
    return Diagram(_document(panels, table.two_level))


def _document(panels: Sequence[_Panel], two_level: bool) -> str:
    extents = [p.extent() for p in panels]
    shifts = _shifts(panels, extents)
    left = min(e[0] + dx for e, dx in zip(extents, shifts, strict=True)) - _MARGIN
    right = max(e[2] + dx for e, dx in zip(extents, shifts, strict=True)) + _MARGIN
    titles = [pixels(t, NAME_SIZE) for t in _TITLES.values()] if two_level else []
    right = max([right, *(left + 2 * _MARGIN + t for t in titles)])
    body, y, line = [], _MARGIN, 0.0
    for i, (panel, e, dx) in enumerate(zip(panels, extents, shifts, strict=True)):
        if two_level and i == 0:
            y += _TITLE
        if i:
            line = y + _BETWEEN_LEVELS / 2
            y += _BETWEEN_LEVELS
        body.append(f'<g transform="translate({dx - left:.1f} {y - e[1]:.1f})">{_panel(panel)}</g>')
        y += e[3] - e[1]
    width, height = right - left, y + _MARGIN
    if two_level:
        x = f'x="{_MARGIN / 2:g}"'
        body.append(f'<text class="level" {x} y="{_MARGIN:g}">{_TITLES["between"]}</text>')
        body.append(f'<text class="level" {x} y="{line + 18:.1f}">{_TITLES["within"]}</text>')
        body.append(
            f'<line class="levels" x1="6" x2="{width - 6:.1f}" y1="{line:.1f}" y2="{line:.1f}"/>'
        )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.1f} {height:.1f}"><style>{_STYLE}</style><defs>{_MARKERS}</defs>'
        f'<rect width="100%" height="100%" fill="#fff"/>{"".join(body)}</svg>'
    )


def _shifts(
    panels: Sequence[_Panel], extents: Sequence[tuple[float, float, float, float]]
) -> list[float]:
    """Horizontal shifts that put the two parts of split variables above each other."""
    first = panels[0]
    shifts = [0.0]
    for panel, e in zip(panels[1:], extents[1:], strict=True):
        both = [first.boxes[n].x - b.x for n, b in panel.boxes.items() if n in first.boxes]
        centre = (extents[0][0] + extents[0][2] - e[0] - e[2]) / 2
        shifts.append(sum(both) / len(both) if both else centre)
    return shifts


def _panel(panel: _Panel) -> str:
    level = panel.graph.level
    parts = [_route(level, r) for r in panel.routes] + [_loop(level, s) for s in panel.loops]
    parts += [_node(level, n, panel.boxes[n.name]) for n in panel.graph.nodes]
    parts += [_label(e.edge, e.label) for e in panel.drawn if e.label]
    return "".join(parts)


def _node(level: str, node: Node, box: Box) -> str:
    w, h = box.half_width, box.half_height
    outline = f'<ellipse cx="{box.x:.1f}" cy="{box.y:.1f}" rx="{w:.1f}" ry="{h:.1f}"/>'
    if node.shape == "box":
        corner = f'x="{box.x - w:.1f}" y="{box.y - h:.1f}"'
        outline = f'<rect {corner} width="{2 * w:.1f}" height="{2 * h:.1f}"/>'
    top = box.y + 0.35 * NAME_SIZE - LABEL_LINE * len(node.lines) / 2
    text = _text(node.name, box.x, top, "name")
    for i, line in enumerate(node.lines, start=1):
        text += _text(line, box.x, top + LABEL_LINE * i + 1, "intercept")
    row = f" data-intercept={quoteattr(_key(node.intercept))}" if node.intercept else ""
    return (
        f'<g class="node" data-level="{level}" data-name={quoteattr(node.name)}{row}>'
        f"<title>{escape(f'{node.name}: {node.role}')}</title>{outline}{text}</g>"
    )


def _route(level: str, r: Route) -> str:
    (x0, y0), (x1, y1), (x2, y2) = r.points
    d = f"M {x0:.1f} {y0:.1f} Q {x1:.1f} {y1:.1f} {x2:.1f} {y2:.1f}"
    return _edge(level, r.edge, d, r.dot)


def _loop(level: str, loop: Loop) -> str:
    start, *rest = [f"{x:.1f} {y:.1f}" for x, y in loop.points()]
    return _edge(level, loop.edge, f"M {start} C {', '.join(rest)}", loop.dot)


def _edge(level: str, edge: Edge, d: str, dot: tuple[float, float] | None) -> str:
    both = edge.kind in ("covariance", "variance")
    tip = "grey-tip" if both else "tip"
    start = f' marker-start="url(#{tip})"' if both else ""
    mark = f'<circle class="dot" cx="{dot[0]:.1f}" cy="{dot[1]:.1f}" r="4.5"/>' if dot else ""
    row = quoteattr(_key(edge.row.key))
    return (
        f'<g class="edge {edge.kind}" data-level="{level}" data-row={row}>'
        f"<title>{escape(_key(edge.row.key))}</title>"
        f'<path d="{d}"{start} marker-end="url(#{tip})"/>{mark}</g>'
    )


def _label(edge: Edge, box: Box) -> str:
    corner = f'x="{box.x - box.half_width:.1f}" y="{box.y - box.half_height:.1f}"'
    size = f'width="{2 * box.half_width:.1f}" height="{2 * box.half_height:.1f}"'
    top = box.y - LABEL_LINE * len(edge.lines) / 2 + 0.78 * LABEL_LINE
    text = "".join(_text(x, box.x, top + LABEL_LINE * i, "") for i, x in enumerate(edge.lines))
    row = quoteattr(_key(edge.row.key))
    return f'<g class="label" data-row={row}><rect {corner} {size}/>{text}</g>'


def _text(text: str, x: float, y: float, kind: str) -> str:
    attribute = f' class="{kind}"' if kind else ""
    return f'<text{attribute} x="{x:.1f}" y="{y:.1f}">{escape(text)}</text>'


def _key(key: RowKey) -> str:
    level, lhs, op, rhs = key
    return f"{level}: {lhs} {op} {rhs}"
