"""Prior and posterior densities of single rows, on the scale that the prior is on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from bayes_msem.errors import SpecificationError
from bayes_msem.plotting.canvas import ESTIMATE, MUTED, REFERENCE, NotebookFigure
from bayes_msem.plotting.panels import bottom_legend, panel_grid, tidy
from bayes_msem.plotting.select import RowSelector, select_rows
from bayes_msem.posterior.distributions import central_range, draws_density
from bayes_msem.posterior.enough import check_enough
from bayes_msem.posterior.prior_scale import central_prior_range, marginal_prior, on_prior_scale
from bayes_msem.spec.prior_text import Prior
from bayes_msem.spec.row_names import formula
from bayes_msem.spec.table import ParameterTable, Row, RowKey

__all__ = ["prior_posterior"]

FloatArray = NDArray[np.float64]

_POINTS = 400
_POSTERIOR_MASS, _PRIOR_MASS = 0.99, 0.8  # shown of each, if the panel is not widened too much
_WIDEST = 2.0  # most that the prior may add on each side, in widths of the posterior


def prior_posterior(
    table: ParameterTable,
    priors: Mapping[int, Prior],
    draws: Mapping[RowKey, FloatArray],
    *,
    level: str | None = None,
    rows: Sequence[RowSelector] | RowSelector | None = None,
    figsize: tuple[float, float] | None = None,
) -> NotebookFigure:
    """Draw the prior and the posterior density of every free row.

    Parameters
    ----------
    table, priors
        The parameter table, and free number -> prior.
    draws
        Row key -> draws (chain, draw).
    level, rows, figsize
        As in :meth:`bayes_msem.Fit.plot_prior_posterior`, and so are the figure and the errors.
    """
    shown = [r for r in select_rows(table, level, rows) if r.free in priors]
    if not shown:
        raise SpecificationError(
            "all rows chosen are constants or definitions, which have no prior"
        )
    check_enough(draws[shown[0].key].size, 2, "a density")
    figure, axes = panel_grid(len(shown), figsize)
    for ax, row in zip(axes, shown, strict=True):
        values = on_prior_scale(row, priors[row.free], draws).ravel()
        prior = marginal_prior(table, row, priors[row.free])
        low, high = _range(values, prior)
        if prior is not None:
            grid = np.linspace(low, high, _POINTS)
            density = np.exp(prior.log_density(grid))
            ax.plot(grid, density, color=REFERENCE, linewidth=1.3, linestyle="--", gid="prior")
        top = _draw_posterior(ax, values)
        ax.set_xlim(low, high)
        ax.set_ylim(0, 1.08 * top)
        ax.set_yticks([])
        ax.set_title(formula(row), loc="left", size=9, weight="bold", pad=3)
        if table.two_level:
            ax.set_title(row.level, loc="right", size=7, color=MUTED, pad=3)
        ax.set_xlabel(_scale_name(row, priors[row.free]), size=8, color=MUTED, labelpad=1)
        tidy(ax)
        ax.locator_params(axis="x", nbins=4)
    handles = [
        Line2D([], [], color=ESTIMATE, linewidth=1.5, label="posterior"),
        Line2D([], [], color=REFERENCE, linewidth=1.3, linestyle="--", label="prior"),
    ]
    bottom_legend(figure, handles)
    return figure


def _draw_posterior(ax: Axes, values: FloatArray) -> float:
    """Draw the density of the draws, or a line where they are all the same; return its height."""
    if not np.ptp(values) > 0:
        ax.axvline(float(values[0]), color=ESTIMATE, linewidth=1.5, gid="posterior")
        return 1.0
    points, height = draws_density(values)
    ax.plot(points, height, color=ESTIMATE, linewidth=1.5, gid="posterior")
    ax.fill_between(points, height, color=ESTIMATE, alpha=0.2, linewidth=0)
    return float(height.max())


def _range(values: FloatArray, prior: Prior | None) -> tuple[float, float]:
    """Return the ends: the posterior, and as much of the prior as leaves it readable."""
    low, high = central_range(values, _POSTERIOR_MASS)
    pad = 0.15 * (high - low) or 0.1 * max(abs(low), 1e-6)  # chains that stand still
    if prior is None:
        return low - pad, high + pad
    most = max(_WIDEST * (high - low), pad)
    start, end = central_prior_range(prior, _PRIOR_MASS)
    low, high = min(low - pad, max(start, low - most)), max(high + pad, min(end, high + most))
    return max(low, prior.limits[0]), min(high, prior.limits[1])


def _scale_name(row: Row, prior: Prior) -> str:
    names = {"sd": "standard deviation", "cor": "correlation", "cov": "covariance"}
    return names.get(prior.scale, row.kind)
