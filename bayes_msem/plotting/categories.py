"""Shares of categories by cluster: what the model expects, and what was observed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.lines import Line2D

from bayes_msem.plotting.canvas import ESTIMATE, MUTED, REFERENCE, NotebookFigure
from bayes_msem.plotting.panels import bottom_legend, panel_grid, tidy
from bayes_msem.plotting.select import select_clusters
from bayes_msem.posterior.category_shares import CategoryShares
from bayes_msem.posterior.summary import INTERVAL_NAMES, IntervalKind

__all__ = ["share_panels"]

_NAMED = 15  # most clusters whose names are written


def share_panels(
    shares: CategoryShares,
    outcome: str,
    *,
    clusters: Sequence[Any] | None = None,
    ci: float,
    ci_kind: IntervalKind,
    figsize: tuple[float, float] | None = None,
) -> NotebookFigure:
    """Draw one panel per category, with clusters in the order of their expected category.

    Parameters
    ----------
    shares
        Of one outcome.
    outcome
        Its name.
    clusters
        Identifiers of the clusters to show; None: all.
    ci, ci_kind
        Mass and kind of the intervals.
    figsize
        Width and height in inches; None: what the panels need.
    """
    chosen = select_clusters(shares.clusters, clusters)
    chosen = chosen[~np.isnan(shares.mean[chosen, 0])]
    expected = shares.mean[chosen] @ np.arange(len(shares.labels))
    chosen = chosen[np.argsort(expected, kind="stable")]
    x = np.arange(len(chosen))
    figure, axes = panel_grid(len(shares.labels), figsize)
    for k, (ax, label) in enumerate(zip(axes, shares.labels, strict=True)):
        ax.vlines(
            x, shares.lower[chosen, k], shares.upper[chosen, k], color=ESTIMATE, linewidth=1.0
        )
        ax.plot(x, shares.mean[chosen, k], "o", color=ESTIMATE, markersize=3, gid="expected")
        ax.plot(x, shares.observed[chosen, k], "x", color=REFERENCE, markersize=4, gid="observed")
        ax.set_title(str(label), loc="left", size=9, weight="bold", pad=3)
        tidy(ax)
        ax.set_ylim(-0.03, 1.03)
        ax.set_xlim(-0.6, len(x) - 0.4)
        names = [shares.clusters[j] for j in chosen]
        few = len(x) <= _NAMED
        ax.set_xticks(x if few else [], names if few else [], rotation=90, size=7)
        if not few:
            ax.set_xlabel(f"{len(x)} clusters", size=8, color=MUTED)
    figure.suptitle(f"Shares of categories of {outcome}", x=0.01, ha="left", size=10)
    interval = f"expected, {100 * ci:g}% {INTERVAL_NAMES[ci_kind]}"
    handles = [
        Line2D([], [], color=ESTIMATE, marker="o", markersize=3, linewidth=1.0, label=interval),
        Line2D([], [], color=REFERENCE, marker="x", linestyle="", label="observed"),
    ]
    bottom_legend(figure, handles)
    return figure
