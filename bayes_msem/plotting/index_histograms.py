"""Posterior distributions of fit indices."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import NDArray

from bayes_msem.checking.indices.index_table import IndexTable, variable_name
from bayes_msem.plotting.canvas import ESTIMATE, MUTED, NotebookFigure
from bayes_msem.plotting.panels import bottom_legend, panel_grid, tidy
from bayes_msem.posterior.distributions import central_range, histogram
from bayes_msem.posterior.summary import INTERVAL_NAMES

__all__ = ["index_histograms"]

FloatArray = NDArray[np.float64]

_BINS = 30
_SHOWN = 0.995  # of the draws; a few extreme ones would squeeze the rest
_NARROWEST = 0.002  # of an axis: below that, differences between draws mean nothing


def index_histograms(
    table: IndexTable, *, figsize: tuple[float, float] | None = None
) -> NotebookFigure:
    """Draw one histogram per index and level, with mean and interval.

    Histograms, because several indices are truncated: draws that fit as well as the saturated
    model stand in one column at the perfect value, which a smooth density would hide.

    Parameters
    ----------
    table
        The indices.
    figsize
        Width and height in inches; None: what the panels need.
    """
    per_level = len(table.details) > 1
    # levels side by side: a stable sort by index, in the order of the table
    order = table["index"].map({v: i for i, v in enumerate(table["index"].unique())})
    rows = pd.DataFrame(table).loc[order.sort_values(kind="stable").index]
    per_row = len(table.details) if per_level else 4
    figure, axes = panel_grid(len(rows), figsize, size=(2.5, 1.7), per_row=per_row)
    columns = [rows[name] for name in ("index", "level", "mean", "lower", "upper")]
    for ax, index, level, mean, lower, upper in zip(axes, *columns, strict=True):
        draws = table.draws[variable_name(index, level)].to_numpy().ravel()
        _histogram(ax, draws)
        ax.plot([lower, upper], [0, 0], color=ESTIMATE, linewidth=4, gid="interval", clip_on=False)
        ax.axvline(mean, color="black", linewidth=1.2, gid="mean")
        ax.set_yticks([])
        ax.set_title(index, loc="left", size=9, weight="bold", pad=3)
        if per_level or level != "overall":
            ax.set_title(level, loc="right", size=7, color=MUTED, pad=3)
        tidy(ax)
        ax.locator_params(axis="x", nbins=4)
    kind = INTERVAL_NAMES[table.attrs["ci_kind"]]
    handles = [
        Patch(color=ESTIMATE, alpha=0.35, linewidth=0, label="draws"),
        Line2D([], [], color="black", linewidth=1.2, label="mean"),
        Line2D([], [], color=ESTIMATE, linewidth=4, label=f"{100 * table.attrs['ci']:g}% {kind}"),
    ]
    bottom_legend(figure, handles)
    return figure


def _histogram(ax: Axes, draws: FloatArray) -> None:
    draws = draws[np.isfinite(draws)]
    if not len(draws):
        ax.text(0.5, 0.5, "no number in any draw", transform=ax.transAxes, ha="center", size=8,
                style="italic", color=MUTED, gid="words")  # fmt: skip
        return
    low, high = central_range(draws, _SHOWN)
    pad = max((_NARROWEST - (high - low)) / 2, 0.0)
    edges = np.linspace(low - pad, high + pad, _BINS + 1)
    counts = histogram(draws[(draws >= edges[0]) & (draws <= edges[-1])], edges)
    ax.stairs(counts, edges, fill=True, color=ESTIMATE, alpha=0.35, linewidth=0, gid="draws")
    ax.set_xlim(edges[0] - 0.03 * np.ptp(edges), edges[-1] + 0.03 * np.ptp(edges))
    ax.set_ylim(0, 1.08 * float(counts.max()))
