"""Posteriors under a weaker and a stronger prior, and under less and more data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import xarray as xr
from arviz_stats.base import array_stats
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from numpy.typing import NDArray
from scipy import stats

from bayes_msem.plotting.figures import ESTIMATE, MUTED, NotebookFigure
from bayes_msem.plotting.panels import bottom_legend, panel_grid, tidy
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
    weights = {group: _weights(tree[group].to_dataset(), alphas) for group in _GROUPS}
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


def _weights(component: xr.Dataset, alphas: tuple[float, float]) -> tuple[FloatArray, float]:
    """Weights of the draws at the lower power, 1 and the upper one (3, n), and the worst k."""
    names = list(component.data_vars)
    total = np.sum([component[name].to_numpy() for name in names], axis=0).ravel()
    weights, worst = [], 0.0
    for alpha in (alphas[0], 1.0, alphas[1]):
        if alpha == 1.0 or not np.ptp(total) > 0:
            weights.append(np.full(len(total), 1 / len(total)))
            continue
        log_weights, k = array_stats.psislw(-(alpha - 1) * total)
        log_weights = np.asarray(log_weights, dtype=np.float64)
        relative = np.exp(log_weights - log_weights.max())
        weights.append(relative / relative.sum())
        worst = max(worst, float(k))
    return np.stack(weights), worst


def _densities(ax: Axes, values: FloatArray, weights: FloatArray) -> None:
    """Draw weighted kernel densities, whose bandwidth knows the effective number of draws."""
    tail = (1 - _MASS) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    grid = np.linspace(low, high, _POINTS)
    for i, colour, style in _STYLES:
        height = stats.gaussian_kde(values, weights=weights[i])(grid)
        ax.plot(grid, height, color=colour, linestyle=style, linewidth=1.5, gid=f"power {i}")
    ax.set_xlim(low, high)
    ax.set_yticks([])
    tidy(ax)
    ax.locator_params(axis="x", nbins=4)
