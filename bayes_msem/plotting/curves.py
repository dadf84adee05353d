"""Item characteristic curves of one ordered item."""

from __future__ import annotations

from typing import Literal

from matplotlib.lines import Line2D

from bayes_msem.plotting.canvas import CHAIN_COLOURS, MUTED, NotebookFigure
from bayes_msem.plotting.panels import bottom_legend, panel_grid, tidy
from bayes_msem.posterior.item_curves import ItemCurves

__all__ = ["characteristic_curves"]

_SIZE = 4.6, 3.0  # inches
_STYLES: tuple[Literal["-", "--", ":"], ...] = ("-", "--", ":")


def characteristic_curves(
    curves: ItemCurves, outcome: str, *, figsize: tuple[float, float] | None = None
) -> NotebookFigure:
    """Draw the probability of every category against the factor.

    Parameters
    ----------
    curves
        Of the item.
    outcome
        Its name.
    figsize
        Width and height in inches.
    """
    figure, (ax,) = panel_grid(1, figsize, size=_SIZE)
    handles = []
    for k, label in enumerate(curves.labels):
        colour = CHAIN_COLOURS[k % len(CHAIN_COLOURS)]
        style = _STYLES[k // len(CHAIN_COLOURS) % len(_STYLES)]
        ax.fill_between(
            curves.grid, curves.lower[:, k], curves.upper[:, k], color=colour, alpha=0.15, lw=0
        )
        mean = curves.mean[:, k]
        ax.plot(curves.grid, mean, linestyle=style, color=colour, linewidth=1.4, gid=str(label))
        handles.append(Line2D([], [], color=colour, linestyle=style, label=str(label)))
    tidy(ax)
    ax.set_ylim(-0.02, 1.02)
    ax.set_xlim(curves.grid[0], curves.grid[-1])
    ax.set_title(f"Categories of {outcome}", loc="left", size=9, weight="bold", pad=3)
    ax.set_xlabel(f"{curves.factor} (0: average)", size=8, color=MUTED)
    ax.set_ylabel("probability", size=8, color=MUTED)
    bottom_legend(figure, handles)
    return figure
