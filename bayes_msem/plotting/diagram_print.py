"""A path diagram as PNG or PDF, drawn by matplotlib from the same shapes as the SVG."""

from __future__ import annotations

import io
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Ellipse, PathPatch, Polygon, Rectangle
from matplotlib.path import Path as Outline

from bayes_msem.plotting.canvas import NotebookFigure
from bayes_msem.plotting.diagram_geometry import FloatArray
from bayes_msem.plotting.diagram_labels import DOT
from bayes_msem.plotting.diagram_scene import DrawnEdge, DrawnNode, Scene
from bayes_msem.plotting.diagram_sizes import NAME_SIZE
from bayes_msem.plotting.diagram_style import LINE_WIDTHS, baselines, label_baselines

__all__ = ["printed"]

_PIXELS = 96.0  # per inch, as in browsers
_POINTS = 72.0 / _PIXELS  # per pixel
_INK, _MUTED = "#000000", "#575757"  # on white, what the shades of the SVG come to
_SETTINGS: Any = {
    "pdf.fonttype": 42,  # text that can be edited
    "text.usetex": False,
    "text.hinting": "none",  # hinting to whole pixels makes small text wider than its room
}
_FONT = "DejaVu Sans"  # comes with matplotlib, and is what room for text was measured in


def printed(scene: Scene, form: str, dpi: float, *, transparent: bool) -> bytes:
    """Draw a scene.

    Parameters
    ----------
    scene
        What to draw.
    form
        "png" or "pdf".
    dpi
        Dots per inch of a PNG; at 96 it has as many pixels as the SVG.
    transparent
        Whether to leave the paper out.

    Returns
    -------
    bytes
        Contents of the file.
    """
    buffer = io.BytesIO()
    about = {"CreationDate": None} if form == "pdf" else None  # equal diagrams give equal files
    with rc_context(_SETTINGS):
        figure = _figure(scene)
        figure.savefig(buffer, format=form, dpi=dpi, transparent=transparent, metadata=about)
    return buffer.getvalue()


def _figure(scene: Scene) -> Figure:
    size = scene.width / _PIXELS, scene.height / _PIXELS
    figure = NotebookFigure(figsize=size, facecolor="#ffffff")
    ax = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    ax.set(xlim=(0, scene.width), ylim=(scene.height, 0))
    ax.set_axis_off()
    for edge in scene.edges:
        for patch in _edge(edge):
            ax.add_patch(patch)
    for node in scene.nodes:
        ax.add_patch(_outline(node))
        for line, y, font in baselines(node.node, node.box):
            _write(ax, line, node.box.x, y, font)
    for label in scene.labels:
        for line, y, font in label_baselines(label.lines, label.box):
            _write(ax, line, label.box.x, y, font)
    for title in scene.titles:
        _write(ax, title.text, title.x, title.y, NAME_SIZE, ha="left", color=_MUTED)
    for rule in scene.rules:
        width = LINE_WIDTHS["levels"] * _POINTS
        dashes = (0, (7 / LINE_WIDTHS["levels"], 5 / LINE_WIDTHS["levels"]))
        ends = [6.0, scene.width - 6.0], [rule, rule]
        ax.plot(*ends, color=_MUTED, linewidth=width, linestyle=dashes)
    return figure


def _edge(drawn: DrawnEdge) -> list[PathPatch | Polygon | Circle]:
    ink = _MUTED if drawn.edge.kind in ("covariance", "variance") else _INK
    width = LINE_WIDTHS["edge"] * _POINTS
    patches: list[PathPatch | Polygon | Circle] = [
        PathPatch(_path(p), fill=False, edgecolor=ink, linewidth=width) for p in drawn.pieces
    ]
    for head in drawn.heads:
        patches.append(Polygon(head, closed=True, facecolor=ink, linewidth=0))
    if drawn.dot:
        patches.append(Circle(drawn.dot, DOT, facecolor=ink, linewidth=0))
    for patch in patches:
        patch.set_capstyle("butt")
    return patches


def _path(piece: FloatArray) -> Outline:
    return Outline(piece, [Outline.MOVETO, *[Outline.CURVE4] * (len(piece) - 1)])


def _outline(drawn: DrawnNode) -> Ellipse | Rectangle:
    box, width = drawn.box, LINE_WIDTHS["node"] * _POINTS
    w, h = 2 * box.half_width, 2 * box.half_height
    if drawn.node.shape == "ellipse":
        return Ellipse((box.x, box.y), w, h, fill=False, edgecolor=_INK, linewidth=width)
    corner = (box.x - box.half_width, box.y - box.half_height)
    return Rectangle(corner, w, h, fill=False, edgecolor=_INK, linewidth=width)


def _write(
    ax: Axes, text: str, x: float, y: float, size: float, ha: str = "center", color: str = _INK
) -> None:
    shown = ax.text(x, y, text, ha=ha, va="baseline", color=color, family=_FONT)
    shown.set_fontsize(size * _POINTS)
    shown.set_parse_math(False)
