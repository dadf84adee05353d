"""Posteriors under a weaker and a stronger prior, and under less and more data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from bayes_msem.checking.priors.weights import power_weights
from bayes_msem.plotting.canvas import ESTIMATE, MUTED, NotebookFigure
from bayes_msem.plotting.panels import bottom_legend, panel_grid, tidy
from bayes_msem.posterior.distributions import central_range, weighted_density
from bayes_msem.spec.row_names import formula
from bayes_msem.spec.table import Row

__all__ = ["power_scaled"]

FloatArray = NDArray[np.float64]

_WEAKER, _STRONGER = "#E69F00", "#CC79A7"
_Style = Literal["-", "--", "-."]
_STYLES: tuple[tuple[int, str, _Style], ...] = (
    (0, _WEAKER, "--"),
    (1, ESTIMATE, "-"),
    (2, _STRONGER, "-."),
)  # order of the powers
_GROUPS = {"log_prior": "prior", "log_likelihood": "likelihood"}
_MASS = 0.998
_POINTS = 200
_GOOD_K = 0.7


def power_scaled(
    tree: xr.DataTree,
    rows: Sequence[Row],
    positions: Sequence[int],
    *,
    two_level: bool,
    alphas: tuple[float, float],
    figsize: tuple[float, float] | None = None,
) -> NotebookFigure:
    """Draw the posterior of each row with prior and likelihood raised to powers.

    Parameters
    ----------
    tree
        From :func:`bayes_msem.checking.priors.prior_sensitivity.sensitivity_tree`.
    rows, positions
        Rows to show, and where they stand in the tree.
    two_level
        Whether the level is written above each panel.
    alphas
        The lower and the upper power.
    figsize
        Width and height in inches; None: what the panels need.

    Returns
    -------
    matplotlib.figure.Figure
        Two panels per row: the prior scaled, and the likelihood scaled.
    """
    values = tree["posterior"]["value"].transpose("row", "chain", "draw").to_numpy()
    weights = {group: power_weights(tree[group].to_dataset(), alphas) for group in _GROUPS}
    figure, axes = panel_grid(2 * len(rows), figsize)
    for i, (row, at) in enumerate(zip(rows, positions, strict=True)):
        pair = axes[2 * i : 2 * i + 2]
        for ax, (group, name) in zip(pair, _GROUPS.items(), strict=True):
            _densities(ax, values[at].ravel(), weights[group][0])
            ax.set_title(formula(row), loc="left", size=9, weight="bold", pad=3)
            if two_level:
                ax.set_title(row.level, loc="right", size=7, color=MUTED, pad=3)
            k = weights[group][1]
            doubt = f" (Pareto k {k:.1f}: doubtful)" if k > _GOOD_K else ""
            ax.set_xlabel(f"{name} scaled{doubt}", size=8, color=MUTED, labelpad=1)
        low = min(ax.get_xlim()[0] for ax in pair)
        high = max(ax.get_xlim()[1] for ax in pair)
        top = max(ax.get_ylim()[1] for ax in pair)
        for ax in pair:
            ax.set_xlim(low, high)
            ax.set_ylim(0, top)
    powers = (f"to the power {alphas[0]:g}", "as it is", f"to the power {alphas[1]:g}")
    handles = [
        Line2D([], [], color=colour, linestyle=style, linewidth=1.5, label=power)
        for power, (_, colour, style) in zip(powers, _STYLES, strict=True)
    ]
    bottom_legend(figure, handles)
    return figure


def _densities(ax: Axes, values: FloatArray, weights: FloatArray) -> None:
    """Draw weighted kernel densities, whose bandwidth knows the effective number of draws."""
    low, high = central_range(values, _MASS)
    grid = np.linspace(low, high, _POINTS)
    for i, colour, style in _STYLES:
        height = weighted_density(values, weights[i], grid)
        ax.plot(grid, height, color=colour, linestyle=style, linewidth=1.5, gid=f"power {i}")
    ax.set_xlim(low, high)
    ax.set_yticks([])
    tidy(ax)
    ax.locator_params(axis="x", nbins=4)
