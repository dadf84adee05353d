"""Regression lines: those of all clusters, and those of the two levels."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from bayes_msem.plotting.canvas import ESTIMATE, MUTED, REFERENCE, NotebookFigure
from bayes_msem.plotting.panels import bottom_legend, panel_grid, tidy
from bayes_msem.posterior import lines as posterior_lines
from bayes_msem.posterior.lines import Band, Posterior
from bayes_msem.posterior.summary import INTERVAL_NAMES, IntervalKind

__all__ = ["cluster_lines", "level_slopes"]


def cluster_lines(
    posterior: Posterior,
    outcome: str,
    predictor: str,
    *,
    ci: float = 0.95,
    ci_kind: IntervalKind = "eti",
    figsize: tuple[float, float] | None = None,
) -> NotebookFigure:
    """Draw the regression line of every cluster, and their average with its interval.

    Parameters
    ----------
    posterior
        Table, draws, cluster effects and data.
    outcome, predictor, ci, ci_kind, figsize
        As in :meth:`bayes_msem.Fit.plot_regression`, and so are the figure and the errors.
    """
    found = posterior_lines.cluster_lines(posterior, outcome, predictor, ci=ci, ci_kind=ci_kind)
    figure, (ax,) = panel_grid(1, figsize, size=(5.4, 3.8))
    lines = LineCollection(
        list(found.segments),
        colors=MUTED,
        linewidths=0.7,
        alpha=0.55,
        gid="cluster",
        capstyle="round",  # a cluster of one row is a dot
    )
    ax.add_collection(lines)
    _draw_band(ax, found.average, ESTIMATE, "population")
    ax.set_xlabel(predictor, size=9, color=MUTED)
    held = ", other covariates at their means" if found.others else ""
    ax.set_ylabel(outcome, size=9, color=MUTED)
    shown, total = len(found.segments), found.total
    some = f"{shown} of {total}" if shown < total else f"{total}"
    ax.set_title(f"{outcome} ~ {predictor} in {some} clusters{held}", loc="left", size=10)
    tidy(ax)
    ax.autoscale_view()
    one = Line2D([], [], color=MUTED, linewidth=0.7, label="one cluster")
    bottom_legend(figure, [one, *_handles(ESTIMATE, "mean of all clusters", ci, ci_kind)])
    return figure


def level_slopes(
    posterior: Posterior,
    x: str,
    y: str,
    *,
    between: str | None = None,
    ci: float = 0.95,
    ci_kind: IntervalKind = "eti",
    figsize: tuple[float, float] | None = None,
) -> NotebookFigure:
    """Draw cluster means with the slope between, and deviations with the slope within.

    Parameters
    ----------
    posterior
        Table, draws, cluster effects and data.
    x, y, between, ci, ci_kind, figsize
        As in :meth:`bayes_msem.Fit.plot_levels`, and so are the figure and the errors.
    """
    between = between or x
    levels = posterior_lines.level_slopes(posterior, x, y, between=between, ci=ci, ci_kind=ci_kind)
    figure, axes = panel_grid(2, figsize, size=(3.9, 3.5))
    titles = ["Between: cluster means", "Within: deviations from them"]
    labels = [
        (between, y),
        (f"{x} \N{MINUS SIGN} cluster mean", f"{y} \N{MINUS SIGN} cluster mean"),
    ]
    colours = (REFERENCE, ESTIMATE)
    parts = zip(axes, levels, titles, labels, ("clusters", "rows"), colours, strict=True)
    for ax, found, title, label, units, colour in parts:
        size = 14.0 if len(found.x) < 500 else 4.0
        ax.scatter(found.x, found.y, s=size, color=MUTED, alpha=0.45, linewidths=0, gid="points")
        _draw_band(ax, found.line, colour, "slope")
        ax.set_title(f"{title}, slope {found.slope:.2f}", loc="left", size=9, weight="bold")
        ax.set_xlabel(label[0], size=9, color=MUTED)
        ax.set_ylabel(label[1], size=9, color=MUTED)
        _say_how_many(ax, len(found.x), found.total, units)
        tidy(ax)
    handles = _handles(REFERENCE, "slope between", ci, ci_kind)[:1]
    bottom_legend(figure, [*handles, *_handles(ESTIMATE, "slope within", ci, ci_kind)])
    return figure


def _say_how_many(ax: Axes, n: int, total: int, units: str) -> None:
    """Write in the corner how many points are shown, if not all are."""
    if n < total:
        style: dict[str, Any] = {"ha": "right", "va": "top", "size": 7, "color": MUTED}
        text = f"{n} of {total} {units}"
        ax.text(0.98, 0.98, text, transform=ax.transAxes, gid="count", **style)


def _draw_band(ax: Axes, band: Band, colour: str, gid: str) -> None:
    """Draw a line and its interval."""
    style: dict[str, Any] = {"color": colour, "alpha": 0.25, "linewidth": 0, "gid": "interval"}
    ax.fill_between(band.grid, band.lower, band.upper, **style)
    ax.plot(band.grid, band.mean, color=colour, linewidth=2, gid=gid)


def _handles(colour: str, label: str, ci: float, ci_kind: IntervalKind) -> list[Line2D | Patch]:
    mass = f"{100 * ci:g}% {INTERVAL_NAMES[ci_kind]}"
    return [
        Line2D([], [], color=colour, linewidth=2, label=label),
        Patch(color=colour, alpha=0.25, linewidth=0, label=mass),
    ]
