"""Heat map of the correlations of cluster effects."""

from __future__ import annotations

import numpy as np
import xarray as xr

from bayes_msem.plotting.canvas import MUTED, NotebookFigure, text_width
from bayes_msem.posterior.effect_correlations import correlation_summary
from bayes_msem.posterior.summary import INTERVAL_NAMES, IntervalKind

__all__ = ["heat_map"]

_CELL, _MARGIN, _BAR = 0.95, 0.2, 0.9  # inches


def heat_map(
    effects: xr.Dataset,
    *,
    ci: float = 0.95,
    ci_kind: IntervalKind = "eti",
    figsize: tuple[float, float] | None = None,
) -> NotebookFigure:
    """Draw posterior means and intervals of the correlations, below the diagonal.

    Parameters
    ----------
    effects
        From :func:`bayes_msem.posterior.recover.recover_effects`.
    ci, ci_kind, figsize
        As in :meth:`bayes_msem.Fit.plot_effect_correlations`, and so are the figure and the errors.
    """
    names, pairs = correlation_summary(effects, ci=ci, ci_kind=ci_kind)
    k = len(names)
    shown = np.full((k - 1, k - 1), np.nan)
    for pair in pairs:
        shown[pair.i - 1, pair.j] = pair.mean
    wide = text_width(list(names), 9) + _MARGIN + 0.15
    width, height = wide + _CELL * (k - 1) + _BAR, 0.5 * _CELL * (k - 1) + 1.1
    width = max(width, 4.6)
    figure = NotebookFigure(figsize=figsize or (width, height), dpi=100, layout="constrained")
    ax = figure.add_subplot()
    image = ax.imshow(shown, cmap="RdBu", vmin=-1, vmax=1, aspect="auto", gid="correlations")
    for pair in pairs:
        colour = "white" if abs(pair.mean) > 0.6 else "black"
        text = f"{pair.mean:.2f}\n[{pair.lower:.2f}, {pair.upper:.2f}]"
        text = text.replace("-", "\N{MINUS SIGN}")
        ax.text(pair.j, pair.i - 1, text, ha="center", va="center", size=8, color=colour)
    ax.set_xticks(range(k - 1), names[:-1], size=9)
    ax.set_yticks(range(k - 1), names[1:], size=9)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.set_title("Correlations of effects over the clusters", loc="left", size=10, weight="bold")
    ax.set_xlabel(
        f"posterior mean and {100 * ci:g}% {INTERVAL_NAMES[ci_kind]}", size=8, color=MUTED
    )
    bar = figure.colorbar(image, ax=ax, fraction=0.06, pad=0.02)
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=8, length=0, labelcolor=MUTED)
    return figure
