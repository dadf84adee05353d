"""What all formats of a path diagram share: widths of lines, shades, and where text stands."""

from __future__ import annotations

from bayes_msem.plotting.diagram_geometry import Box
from bayes_msem.plotting.diagram_graph import Node
from bayes_msem.plotting.diagram_sizes import LABEL_LINE, NAME_SIZE, line_size
from bayes_msem.spec.table import RowKey

__all__ = ["LINE_WIDTHS", "MUTED_SHARE", "baselines", "key_text", "label_baselines"]

LINE_WIDTHS = {"node": 1.3, "edge": 1.1, "levels": 1.2}
MUTED_SHARE = 0.66  # opacity of arcs, loops and names of levels


def baselines(node: Node, box: Box) -> list[tuple[str, float, float]]:
    """Texts of a node, each with its baseline and its font size."""
    top = box.y + 0.35 * NAME_SIZE - LABEL_LINE * len(node.lines) / 2
    lines = [(node.name, top, NAME_SIZE)]
    for i, line in enumerate(node.lines):
        lines.append((line, top + LABEL_LINE * (i + 1) + 1, line_size(i)))
    return lines


def label_baselines(lines: tuple[str, ...], box: Box) -> list[tuple[str, float, float]]:
    """Lines of a label, each with its baseline and its font size."""
    top = box.y - LABEL_LINE * len(lines) / 2 + 0.78 * LABEL_LINE
    return [(line, top + LABEL_LINE * i, line_size(i)) for i, line in enumerate(lines)]


def key_text(key: RowKey) -> str:
    """Row of the parameter table as text."""
    level, lhs, op, rhs = key
    return f"{level}: {lhs} {op} {rhs}"
