"""Pareto k of every unit: for which of them importance sampling can be trusted.

Vehtari, Simpson, Gelman, Yao & Gabry (2024). Pareto smoothed importance sampling. Journal of
Machine Learning Research, 25(72). https://jmlr.org/papers/v25/19-556.html
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.ticker import MaxNLocator

from bayes_msem.plotting.canvas import ESTIMATE, MUTED, REFERENCE, NotebookFigure
from bayes_msem.plotting.panels import tidy

__all__ = ["pareto_k"]

_NAMED = 12  # units that are named at most
_TITLES = {"cluster": "new clusters", "observation": "new rows"}
_UNITS = {"cluster": "clusters", "observation": "rows"}


def pareto_k(
    k: pd.Series, limit: float, unit: str, *, figsize: tuple[float, float] | None = None
) -> NotebookFigure:
    """Draw Pareto k of every unit in the order of the data.

    Parameters
    ----------
    k
        Pareto k; the index has the names of the units.
    limit
        Above it a unit's term is unreliable.
    unit
        "cluster" or "observation".
    figsize
        Width and height in inches; None: 6.4 by 3.2.

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure = NotebookFigure(figsize=figsize or (6.4, 3.2), dpi=100, layout="constrained")
    ax = figure.add_subplot()
    values, place = k.to_numpy(dtype=np.float64), np.arange(1, len(k) + 1)
    finite = np.where(np.isfinite(values), values, 2.0)
    bad = ~(values <= limit)
    for chosen, colour in ((~bad, ESTIMATE), (bad, REFERENCE)):
        ax.plot(place[chosen], finite[chosen], "o", color=colour, markersize=4, gid=colour)
    lines = [(limit, f"limit {limit:.2f}"), (1.0, "1")]
    if limit <= 0.0 or finite.max(initial=0.0) < 0.95:
        lines = lines[:1]
    for height, text in lines:
        ax.axhline(height, color=MUTED, linewidth=0.8, linestyle="--", zorder=0.5)
        ax.annotate(
            text,
            (1, height),
            xycoords=("axes fraction", "data"),
            xytext=(3, 0),
            textcoords="offset points",
            va="center",
            size=7,
            color=MUTED,
        )
    for i in np.argsort(-finite)[: min(int(bad.sum()), _NAMED)]:
        right = place[i] > 0.85 * len(k)  # no room for the name beside the frame
        ax.annotate(
            str(k.index[i]),
            (place[i], finite[i]),
            xytext=(-5 if right else 5, 0),
            textcoords="offset points",
            ha="right" if right else "left",
            va="center",
            size=7,
        )
    tidy(ax)
    ax.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
    ax.set_xlim(0, len(k) + 1)
    ax.set_ylim(min(0.0, float(finite.min(initial=0.0))) - 0.05, max(0.8, 1.08 * finite.max()))
    ax.set_xlabel(f"{_UNITS[unit]} in the order of the data", size=8, color=MUTED)
    ax.set_ylabel("Pareto k", size=8, color=MUTED)
    what = _TITLES[unit]
    ax.set_title(f"Importance sampling for {what}", loc="left", size=9, weight="bold")
    return figure
