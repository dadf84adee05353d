"""A grid of small panels, one per row of the table, and axes without clutter."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import MaxNLocator

from bayes_msem.plotting.canvas import MUTED, NotebookFigure

__all__ = ["bottom_legend", "panel_grid", "tidy"]

_PER_ROW = 4
_WIDTH, _HEIGHT, _LEGEND = 2.5, 1.75, 0.4  # inches


def panel_grid(
    n: int,
    figsize: tuple[float, float] | None,
    *,
    size: tuple[float, float] = (_WIDTH, _HEIGHT),
    per_row: int = _PER_ROW,
    groups: Sequence[int] | None = None,
) -> tuple[NotebookFigure, list[Axes]]:
    """Make a figure with ``n`` panels and room for a legend below them.

    ``groups`` says how many panels belong together; every group starts a row of its own.
    """
    groups = [n] if groups is None else groups
    columns = min(per_row, max(groups))
    before = np.cumsum([0, *(-(-g // columns) for g in groups)])
    rows = int(before[-1])
    width, height = max(size[0] * columns, 4.2), size[1] * rows + _LEGEND
    figure = NotebookFigure(figsize=figsize or (width, height), dpi=100)
    share = _LEGEND / figure.get_figheight()
    layout = ConstrainedLayoutEngine(rect=(0, share, 1, 1 - share), w_pad=0.09, h_pad=0.06)
    figure.set_layout_engine(layout)
    axes = [
        figure.add_subplot(rows, columns, int(first) * columns + i + 1)
        for first, group in zip(before, groups, strict=False)
        for i in range(group)
    ]
    return figure, axes


def tidy(ax: Axes) -> None:
    """Take away what is not needed, and grey what is left."""
    ax.tick_params(labelsize=8, color=MUTED, labelcolor=MUTED, length=2)
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(MUTED)
    ax.xaxis.set_major_locator(MaxNLocator(5))


def bottom_legend(figure: NotebookFigure, handles: Sequence[Artist]) -> None:
    """Explain the marks below all panels."""
    figure.legend(
        handles=list(handles),
        loc="lower center",
        ncols=4,
        frameon=False,
        fontsize=8,
        bbox_to_anchor=(0.5, 0.01),
    )
