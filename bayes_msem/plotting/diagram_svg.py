"""The SVG of a path diagram, in the colours of the page it is shown in.

Inside a page everything has the colour of its text. As a file of its own it is black on what is
below it, or white where the reader prefers dark pages.
"""

from __future__ import annotations

import re
from xml.sax.saxutils import escape, quoteattr

from bayes_msem.plotting.diagram_geometry import FloatArray
from bayes_msem.plotting.diagram_labels import DOT
from bayes_msem.plotting.diagram_scene import DrawnEdge, DrawnLabel, DrawnNode, Scene
from bayes_msem.plotting.diagram_sizes import NAME_SIZE
from bayes_msem.plotting.diagram_style import (
    LINE_WIDTHS,
    MUTED_SHARE,
    baselines,
    key_text,
    label_baselines,
)

__all__ = ["svg_text"]

_FONT = "Helvetica, Arial, 'DejaVu Sans', sans-serif"
_NO_XML = r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]"  # not allowed, even escaped
_D = ".msem-diagram"
_STYLE = f"""
svg:root{_D} {{ color: #1a1a1a; }}
@media (prefers-color-scheme: dark) {{ svg:root{_D} {{ color: #e6e6e6; }} }}
{_D} text {{ font-family: {_FONT}; text-anchor: middle; fill: currentColor; stroke: none; }}
{_D} path, {_D} .node rect, {_D} ellipse {{ fill: none; stroke: currentColor; }}
{_D} .head, {_D} .dot {{ fill: currentColor; stroke: none; }}
{_D} .covariance, {_D} .variance, {_D} .level, {_D} .levels {{ opacity: {MUTED_SHARE:g}; }}
{_D} .label rect {{ fill: none; stroke: none; }}
{_D} text.level {{ text-anchor: start; }}
{_D} .levels {{ stroke: currentColor; stroke-dasharray: 7 5; }}
"""


def svg_text(scene: Scene) -> str:
    """Write a scene as SVG.

    Parameters
    ----------
    scene
        What to draw.

    Returns
    -------
    str
        One ``svg`` element. Groups carry ``data-level`` and ``data-name`` or ``data-row``.
    """
    body = [_edge(e) for e in scene.edges]
    body += [_node(n) for n in scene.nodes]
    body += [_label(label) for label in scene.labels]
    for title in scene.titles:
        body.append(_text(title.text, title.x, title.y, NAME_SIZE, "level"))
    for rule in scene.rules:
        ends = f'x1="6" x2="{scene.width - 6:.1f}" y1="{rule:.1f}" y2="{rule:.1f}"'
        body.append(f'<line class="levels" {ends} stroke-width="{LINE_WIDTHS["levels"]:g}"/>')
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="msem-diagram" role="img" '
        f'width="{scene.width:.0f}" height="{scene.height:.0f}" '
        f'viewBox="0 0 {scene.width:.1f} {scene.height:.1f}"><title>Path diagram</title>'
        f"<style>{_STYLE}</style>{''.join(body)}</svg>"
    )
    return re.sub(_NO_XML, "\N{REPLACEMENT CHARACTER}", svg)


def _node(drawn: DrawnNode) -> str:
    node, box = drawn.node, drawn.box
    w, h = box.half_width, box.half_height
    width = f'stroke-width="{LINE_WIDTHS["node"]:g}"'
    outline = f'<ellipse cx="{box.x:.1f}" cy="{box.y:.1f}" rx="{w:.1f}" ry="{h:.1f}" {width}/>'
    if node.shape == "box":
        corner = f'x="{box.x - w:.1f}" y="{box.y - h:.1f}"'
        outline = f'<rect {corner} width="{2 * w:.1f}" height="{2 * h:.1f}" {width}/>'
    text = ""
    for line, y, size in baselines(node, box):
        text += _text(line, box.x, y, size, "intercept" if text else "name")
    row = f" data-intercept={quoteattr(key_text(node.intercept))}" if node.intercept else ""
    return (
        f'<g class="node" data-level="{drawn.level}" data-name={quoteattr(node.name)}{row}>'
        f"<title>{escape(f'{node.name}: {node.role}')}</title>{outline}{text}</g>"
    )


def _edge(drawn: DrawnEdge) -> str:
    edge = drawn.edge
    d = " ".join(_path(piece) for piece in drawn.pieces)
    heads = "".join(f'<path class="head" d="{_triangle(head)}"/>' for head in drawn.heads)
    dot = ""
    if drawn.dot:
        x, y = drawn.dot
        dot = f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="{DOT:g}"/>'
    key = key_text(edge.row.key)
    return (
        f'<g class="edge {edge.kind}" data-level="{drawn.level}" data-row={quoteattr(key)}>'
        f"<title>{escape(key)}</title>"
        f'<path d="{d}" stroke-width="{LINE_WIDTHS["edge"]:g}"/>{heads}{dot}</g>'
    )


def _path(piece: FloatArray) -> str:
    (x, y), rest = piece[0], piece[1:]
    return f"M {x:.1f} {y:.1f} C " + ", ".join(f"{u:.1f} {v:.1f}" for u, v in rest)


def _triangle(head: FloatArray) -> str:
    return "M " + " L ".join(f"{x:.1f} {y:.1f}" for x, y in head) + " z"


def _label(label: DrawnLabel) -> str:
    box = label.box
    corner = f'x="{box.x - box.half_width:.1f}" y="{box.y - box.half_height:.1f}"'
    size = f'width="{2 * box.half_width:.1f}" height="{2 * box.half_height:.1f}"'
    text = "".join(
        _text(line, box.x, y, font, "value" if not i else "limits")
        for i, (line, y, font) in enumerate(label_baselines(label.lines, box))
    )
    row = quoteattr(key_text(label.edge.row.key))
    return f'<g class="label" data-row={row}><rect {corner} {size}/>{text}</g>'


def _text(text: str, x: float, y: float, size: float, kind: str) -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" font-size="{size:g}"'
    return f'<text class="{kind}" {place}>{escape(text)}</text>'
