"""Rank plot, which shows whether all chains visit low and high values equally often.

What it shows is computed in :mod:`bayes_msem.posterior.distributions`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import NDArray

from bayes_msem.errors import SpecificationError
from bayes_msem.plotting.canvas import CHAIN_COLOURS, MUTED, NotebookFigure
from bayes_msem.plotting.panels import bottom_legend, panel_grid, tidy
from bayes_msem.plotting.select import RowSelector, select_rows, varying_rows
from bayes_msem.posterior.distributions import rank_band, rank_shares
from bayes_msem.spec.row_names import formula
from bayes_msem.spec.table import ParameterTable, RowKey

__all__ = ["rank"]

FloatArray = NDArray[np.float64]

_BAND = 0.95


def rank(
    table: ParameterTable,
    draws: Mapping[RowKey, FloatArray],
    *,
    level: str | None = None,
    rows: Sequence[RowSelector] | RowSelector | None = None,
    figsize: tuple[float, float] | None = None,
) -> NotebookFigure:
    """Draw how often the ranks of each chain fall into each of some equal bins.

    Parameters
    ----------
    table
        The parameter table.
    draws
        Row key -> draws (chain, draw). Constants are left out.
    level, rows, figsize
        As in :meth:`bayes_msem.Fit.plot_rank`, and so are the figure and the errors.
    """
    shown, note = varying_rows(select_rows(table, level, rows), draws, "ranks")
    if len(draws[shown[0].key]) < 2:
        raise SpecificationError(
            "ranks compare chains, and this fit has one; sample with chains=4, or look at "
            "plot_trace()"
        )
    figure, axes = panel_grid(len(shown), figsize)
    for ax, row in zip(axes, shown, strict=True):
        shares = rank_shares(draws[row.key])
        bins = shares.shape[1]
        edges = np.linspace(0, 1, bins + 1)
        n = draws[row.key].shape[1]
        low, high = rank_band(n, bins, _BAND)
        ax.axhspan(low, high, color="0.92", gid="band", zorder=0)
        ax.axhline(1, color=MUTED, linewidth=0.8, zorder=0.5)
        for c, share in enumerate(shares):
            colour = CHAIN_COLOURS[c % len(CHAIN_COLOURS)]
            line = ax.stairs(share, edges, baseline=None, color=colour, linewidth=1.1)
            line.set_gid(f"chain {c + 1}")
        ax.set_xlim(0, 1)
        ax.set_ylim(0, max(2.0, 1.1 * float(shares.max())))
        ax.set_title(formula(row), loc="left", size=9, weight="bold", pad=3)
        if table.two_level:
            ax.set_title(row.level, loc="right", size=7, color=MUTED, pad=3)
        tidy(ax)
        ax.set_xticks([0, 0.5, 1], ["lowest", "rank", "highest"], size=7)
        first, _, last = ax.get_xticklabels()
        first.set_horizontalalignment("left")
        last.set_horizontalalignment("right")
    if note:
        figure.suptitle(note, x=0.01, ha="left", size=7, color=MUTED)
    n_chains = len(draws[shown[0].key])
    handles: list[Line2D | Patch] = [
        Line2D([], [], color=CHAIN_COLOURS[c % len(CHAIN_COLOURS)], label=f"chain {c + 1}")
        for c in range(n_chains)
    ]
    if n_chains < 4:  # one row of the legend
        handles.append(Patch(color="0.92", label=f"{_BAND:.0%} if they agree"))
    bottom_legend(figure, handles)
    return figure
