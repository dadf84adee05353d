"""Curves of a simulation study: a figure of its table over the number of clusters."""

from __future__ import annotations

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, NullLocator, ScalarFormatter

from bayes_msem.plotting.canvas import CHAIN_COLOURS, MUTED, NotebookFigure
from bayes_msem.plotting.panels import bottom_legend, panel_grid, tidy

__all__ = ["study_curves"]

_SHARES = ("power", "coverage", "in_rope")
_NAMES = {
    "power": "power",
    "coverage": "coverage",
    "bias": "bias",
    "relative_bias": "relative bias",
    "rmse": "RMSE",
    "width": "width of the interval",
    "in_rope": "intervals inside the ROPE",
}
_MARKS = "os^Dvp*"


def study_curves(
    table: pd.DataFrame,
    figure: str,
    *,
    reference: float | None = None,
    figsize: tuple[float, float] | None = None,
) -> NotebookFigure:
    """Draw one panel per target and one line per size.

    Parameters
    ----------
    table
        Rows of ``StudyResult.table``.
    figure
        The column to draw.
    reference
        Height of a horizontal line, such as the nominal coverage.
    figsize
        Width and height in inches; None: what the panels need.

    Returns
    -------
    matplotlib.figure.Figure
    """
    two_level = "clusters" in table
    x = "clusters" if two_level else "size"
    targets = list(dict.fromkeys(table["target"]))
    sizes = list(dict.fromkeys(table["size"])) if two_level else [None]
    methods = list(dict.fromkeys(table["method"]))
    canvas, axes = panel_grid(len(targets), figsize, size=(3.0, 2.3), per_row=3)
    for ax, target in zip(axes, targets, strict=True):
        own = table[table["target"] == target]
        for i, size in enumerate(sizes):
            for method in methods:
                part = own[own["method"] == method]
                part = (part if size is None else part[part["size"] == size]).sort_values(x)
                ax.errorbar(
                    part[x],
                    part[figure],
                    yerr=2 * part[f"{figure}_mcse"].fillna(0.0),
                    color=CHAIN_COLOURS[i % len(CHAIN_COLOURS)],
                    marker=_MARKS[i % len(_MARKS)],
                    linestyle="--" if method == "ML" else "-",
                    markersize=4,
                    linewidth=1.2,
                    elinewidth=0.8,
                )
        if reference is not None:
            ax.axhline(reference, color=MUTED, linewidth=0.8, linestyle=":", zorder=0.5)
        elif figure in ("bias", "relative_bias"):
            ax.axhline(0.0, color=MUTED, linewidth=0.8, linestyle=":", zorder=0.5)
        tidy(ax)
        ax.set_xscale("log")
        ax.xaxis.set_major_locator(FixedLocator(sorted(set(own[x]))))
        ax.xaxis.set_minor_locator(NullLocator())
        ax.xaxis.set_major_formatter(ScalarFormatter())
        if figure in _SHARES:
            low = min(ax.get_ylim()[0], 0.8) if figure == "coverage" else 0.0
            ax.set_ylim(max(0.0, low), 1.03)
        ax.set_title(target, loc="left", size=9, weight="bold")
        ax.set_xlabel("clusters" if two_level else "rows", size=8, color=MUTED)
        ax.set_ylabel(_NAMES[figure], size=8, color=MUTED)
    handles: list[Artist] = [
        Line2D(
            [],
            [],
            color=CHAIN_COLOURS[i % len(CHAIN_COLOURS)],
            marker=_MARKS[i % len(_MARKS)],
            markersize=4,
            linewidth=1.2,
            label=f"{size} rows per cluster",
        )
        for i, size in enumerate(sizes)
        if size is not None
    ]
    if len(methods) > 1:
        handles.append(Line2D([], [], color=MUTED, linestyle="-", label="Bayes"))
        handles.append(Line2D([], [], color=MUTED, linestyle="--", label="ML"))
    if handles:
        bottom_legend(canvas, handles)
    return canvas
