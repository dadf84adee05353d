"""How much room nodes and labels get: as much as their widest text in any diagram of the model.

So nodes and arcs stand in the same places whether a diagram has labels, estimates, intervals or
standardised values: sizes depend on names and labels of the parameter table, never on numbers.
A number has six signs at most (``diagram_graph.number``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from bayes_msem.plotting.canvas import text_width
from bayes_msem.plotting.diagram_geometry import Box
from bayes_msem.plotting.diagram_graph import Edge, LevelGraph, Node

__all__ = [
    "LABEL_LINE",
    "LIMITS_SIZE",
    "NAME_SIZE",
    "PORT",
    "SMALL_SIZE",
    "WIDEST",
    "Sizes",
    "label_size",
    "line_size",
    "pixels",
    "reserved",
    "sizes_of",
]

NAME_SIZE, SMALL_SIZE, LIMITS_SIZE = 13.0, 10.0, 9.0  # font sizes of names, values, intervals
LABEL_LINE = 12.0  # height of a line of a label
PORT = 10.0  # distance of two arcs that end at one side of a node
_HEIGHT, _PAD, _LEAST = 34.0, 9.0, 54.0
WIDEST = ("−00000", "[−00000, −00000]")  # an estimate and its interval
_ROUND = 1.16  # an ellipse holds less text than a box


@cache
def pixels(text: str, size: float) -> float:
    """Width of a text; measured in DejaVu Sans, wider than any font the picture asks for."""
    return 72.0 * text_width([text], size)


def line_size(index: int) -> float:
    """Font size of a line of a label: intervals stand in the second one."""
    return LIMITS_SIZE if index else SMALL_SIZE


def label_size(lines: Sequence[str]) -> tuple[float, float]:
    """Half width and half height of a text of some lines."""
    width = max(pixels(line, line_size(i)) for i, line in enumerate(lines))
    return width / 2 + 2, LABEL_LINE * len(lines) / 2 + 1


def reserved(edge: Edge) -> tuple[float, float]:
    """Half width and half height of the room for the label of an edge."""
    if edge.row.random:
        return label_size([edge.row.random])
    half_width, half_height = label_size(WIDEST)
    label = edge.row.label or ""
    return max(half_width, label_size([label])[0]), half_height


@dataclass(frozen=True, slots=True)
class Sizes:
    """Half sizes of the nodes of one level.

    Attributes
    ----------
    nodes
        Name -> half width and half height.
    slots
        Name -> half width of the room in a row; the same at both levels, so that the two parts of
        a variable can stand above each other.
    """

    nodes: Mapping[str, tuple[float, float]]
    slots: Mapping[str, float]

    def box(self, name: str, x: float, y: float) -> Box:
        """Return the node at a place."""
        return Box(x, y, *self.nodes[name])


def sizes_of(
    graphs: Sequence[LevelGraph], least: Sequence[Mapping[str, float]]
) -> tuple[Sizes, ...]:
    """Sizes at every level.

    Parameters
    ----------
    graphs
        The levels.
    least
        Level by level: name -> the least half width.
    """
    label = label_size(WIDEST)[0]
    nodes: list[dict[str, tuple[float, float]]] = []
    slots: dict[str, float] = {}
    for graph, half_widths in zip(graphs, least, strict=True):
        made = {}
        for node in graph.nodes:
            width, height = _node_size(node)
            width = max(width, half_widths.get(node.name, 0.0))
            made[node.name] = width, height
            slots[node.name] = max(slots.get(node.name, label), width)
        nodes.append(made)
    return tuple(Sizes(made, slots) for made in nodes)


def _node_size(node: Node) -> tuple[float, float]:
    """Half width and half height that hold the text, in an ellipse as in a box."""
    width, height = pixels(node.name, NAME_SIZE), _HEIGHT
    if node.has_mean:
        limits, mean = pixels(WIDEST[1], LIMITS_SIZE), pixels(f"mean {WIDEST[0]}", SMALL_SIZE)
        width, height = max(width, limits, mean), height + 2 * LABEL_LINE - 4
    slack = _ROUND if node.shape == "ellipse" else 1.0
    return max(_LEAST, slack * width + 2 * _PAD) / 2, slack * height / 2
