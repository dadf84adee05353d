"""Distribution functions of ranks minus the uniform one, with simultaneous bands."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import NDArray

from bayes_msem.plotting.canvas import ESTIMATE, MUTED, REFERENCE, NotebookFigure
from bayes_msem.plotting.panels import bottom_legend, panel_grid, tidy
from bayes_msem.posterior.rank_uniformity import counts_below, limits

__all__ = ["draw_ranks", "rank_curves"]

Ranks = NDArray[np.int64]


def rank_curves(
    ranks: Mapping[str, Ranks],
    n_draws: int,
    *,
    ci: float,
    figsize: tuple[float, float] | None = None,
) -> NotebookFigure:
    """Draw one panel per quantity.

    Parameters
    ----------
    ranks
        Quantity -> ranks of the truth among ``n_draws`` draws.
    n_draws
        Number of draws.
    ci
        Probability that uniform ranks of all quantities stay inside their bands (Bonferroni).
    figsize
        Width and height in inches; None: what the panels need.

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure, axes = panel_grid(len(ranks), figsize)
    outside = False
    for ax, (name, values) in zip(axes, ranks.items(), strict=True):
        outside |= draw_ranks(ax, {name: values}, n_draws, 1 - (1 - ci) / len(ranks))
        ax.set_title(name, loc="left", size=9, weight="bold")
        ax.set_xlabel("rank of the truth, as a share", size=8, color=MUTED)
    figure.supylabel("share of ranks below, minus uniform", size=8, color=MUTED)
    handles: list[Line2D | Patch] = [
        Patch(color="0.9", label=f"{ci:.0%} band of all together"),
        Line2D([], [], color=ESTIMATE, lw=1.2, label="inside"),
    ]
    if outside:
        handles.append(Line2D([], [], color=REFERENCE, lw=1.2, label="not uniform"))
    bottom_legend(figure, handles)
    return figure


def draw_ranks(ax: Axes, ranks: Mapping[str, Ranks], n_draws: int, level: float) -> bool:
    """Draw curves of quantities with equally many ranks, and one band; say if any leaves it.

    Parameters
    ----------
    ax
        Where.
    ranks
        Quantity -> ranks.
    n_draws
        Number of draws that each is among.
    level
        Probability that uniform ranks of one quantity stay inside.
    """
    n = len(next(iter(ranks.values())))
    low, high = limits(n, n_draws, level)
    z = np.arange(1, n_draws + 1) / (n_draws + 1)
    ax.fill_between(z, low / n - z, high / n - z, color="0.9", linewidth=0, gid="band")
    ax.axhline(0.0, color=MUTED, linewidth=0.8)
    any_outside = False
    for name, values in ranks.items():
        counts = counts_below(values, n_draws)
        outside = bool(((counts < low) | (counts > high)).any())
        any_outside |= outside
        colour = REFERENCE if outside else ESTIMATE
        (line,) = ax.plot(z, counts / n - z, color=colour, linewidth=1.0, alpha=0.9)
        line.set_gid(name)
    ax.set_xlim(0, 1)
    tidy(ax)
    return any_outside
