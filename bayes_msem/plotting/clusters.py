"""Caterpillar plot: one cluster effect in all clusters, sorted by posterior mean.

The effect is a total coefficient (fixed part plus the cluster's deviation), so the line to compare
it with is its mean over clusters, not zero. For a definition of random coefficients, such as
``a*b``, it is the population mean E[f(u)], which the summary of the fit also reports.

A cluster has at most the height of a row of the forest plot. The more clusters there are, the
lower the rows and the thinner the lines; names of clusters are written as long as they fit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from bayes_msem.errors import SpecificationError, nearest
from bayes_msem.plotting.canvas import ESTIMATE, MUTED, REFERENCE, NotebookFigure, text_width
from bayes_msem.plotting.select import select_clusters
from bayes_msem.posterior.intervals import (
    INNER,
    ClusterIntervals,
    centre_of_clusters,
    cluster_intervals,
)
from bayes_msem.posterior.summary import INTERVAL_NAMES, IntervalKind, check_interval
from bayes_msem.spec.row_names import formula
from bayes_msem.spec.table import Kind, ParameterTable, RowKey

__all__ = ["caterpillar"]

FloatArray = NDArray[np.float64]

_ROW, _MOST = 0.2, 8.0  # height of a cluster, and of all clusters, in inches
_WIDTH, _TITLE, _AXIS, _LEGEND_ROW, _MARGIN = 4.6, 0.36, 0.62, 0.24, 0.15
_LARGEST, _SMALLEST, _LINE = 9.0, 6.0, 1.25  # sizes of names in points; height of a line of text
_POINTS = 72.0  # per inch
_MEAN_STYLE: dict[str, Any] = {
    "linestyle": "",
    "marker": "o",
    "color": "white",
    "markeredgecolor": ESTIMATE,
}
_CENTRE_STYLE: dict[str, Any] = {"color": REFERENCE, "linewidth": 1.3}
_SORTS: dict[Kind, str] = {
    "regression": "slope",
    "loading": "loading",
    "variance": "log SD",
    "covariance": "Fisher-z correlation",
}


@dataclass(frozen=True, slots=True)
class _Text:
    """What the figure says of the effect and of the clusters."""

    title: str
    unit: str
    total: int  # clusters in the data
    sort: bool


def caterpillar(
    table: ParameterTable,
    effects: xr.Dataset,
    draws: Mapping[RowKey, FloatArray],
    effect: str,
    *,
    clusters: Sequence[Any] | None = None,
    ci: float = 0.95,
    ci_kind: IntervalKind = "eti",
    sort: bool = True,
    figsize: tuple[float, float] | None = None,
) -> NotebookFigure:
    """Draw posterior mean and intervals of one effect in every cluster.

    Parameters
    ----------
    table
        The parameter table, which says what the effect is.
    effects
        Draws of the cluster effects, from :func:`bayes_msem.posterior.recover.recover_effects`.
    draws
        Row key -> draws (chain, draw); those of definitions are population means.
    clusters
        Identifiers of the clusters to show; None: all.
    effect, ci, ci_kind, sort, figsize
        As in :meth:`bayes_msem.Fit.plot_clusters`, and so are the figure and the errors.
    """
    check_interval(ci, ci_kind)
    values = _values(effects, effect)
    chosen = select_clusters(list(values["cluster_id"].to_numpy()), clusters)
    chosen = _with_values(values, chosen, effect)
    data = cluster_intervals(values, chosen, ci, ci_kind, sort=sort)
    definition = [r.key for r in table.rows if r.kind == "defined" and r.lhs == effect]
    # of a definition that is no number in some draws there is no mean, and no line
    centre = centre_of_clusters(values, draws[definition[0]] if definition else None)
    label = "population mean" if definition else "mean of all clusters"
    handles = _handles(ci, ci_kind, label if np.isfinite(centre) else "")
    title, unit = _describe(table, effect)
    text = _Text(title, unit, values.shape[-1], sort)
    return _draw(data, centre, handles, text, ci > INNER, figsize)


def _values(effects: xr.Dataset, effect: str) -> xr.DataArray:
    """Draws (chain, draw, cluster_id) of an effect or factor."""
    groups = [("effects", "effect"), ("factors", "between_factor")]
    known = {
        str(name): (variable, dimension)
        for variable, dimension in groups
        if variable in effects
        for name in effects[dimension].to_numpy()
    }
    if effect not in known:
        raise SpecificationError(
            f"no cluster effect {effect!r}{nearest(str(effect), known) or '.'} "
            f"This model has {', '.join(repr(name) for name in known)}"
        )
    variable, dimension = known[effect]
    return effects[variable].sel({dimension: effect}).transpose("chain", "draw", "cluster_id")


def _with_values(values: xr.DataArray, chosen: NDArray[np.intp], effect: str) -> NDArray[np.intp]:
    """Those of the chosen clusters whose draws are all numbers: a definition may have others."""
    there = np.isfinite(values.to_numpy()).all(axis=(0, 1))[chosen]
    if not there.any():
        raise SpecificationError(
            f"'{effect}' is no number in some draws of every cluster chosen, so there is nothing "
            "to show; look at its definition (a logarithm or root of a negative number, a "
            "division by zero)"
        )
    return chosen[there]


def _describe(table: ParameterTable, effect: str) -> tuple[str, str]:
    """Title, and what the axis measures."""
    for row in table.rows:
        if row.random == effect:
            sort = _SORTS[row.kind]
            return f"{effect}: random {sort} ({formula(row)})", f"{sort} of the cluster"
        if row.kind == "defined" and row.lhs == effect:
            return formula(row), "value of the cluster"
    if effect in table.variables("between", "between factor"):
        return f"{effect}: factor at level between", "score of the cluster"
    return f"{effect}: random intercept", "intercept of the cluster"


def _draw(
    data: ClusterIntervals,
    centre: float,
    handles: Sequence[Artist],
    text: _Text,
    nested: bool,
    figsize: tuple[float, float] | None,
) -> NotebookFigure:
    """Place title, axes and legend; all sizes are in inches."""
    n = len(data.names)
    per_row = 2  # entries of the legend
    legend = _LEGEND_ROW * -(-len(handles) // per_row) + 0.1
    frame = _MARGIN + _TITLE + _AXIS + legend
    size, body = _name_size(n, None if figsize is None else figsize[1] - frame)
    left = _MARGIN + (text_width(list(data.names), size) + 0.12 if size else 0.3)
    width, height = figsize or (left + _WIDTH + _MARGIN, body + frame)
    figure = NotebookFigure(figsize=(width, height), dpi=100)
    box = (
        left / width,
        (legend + _AXIS) / height,
        max(0.1, width - left - _MARGIN) / width,
        body / height,
    )
    ax = figure.add_axes(box)
    _draw_clusters(ax, data, centre, nested, pitch=_POINTS * body / n)
    ax.set_title(text.title, loc="left", size=11, weight="bold", pad=6)
    ax.set_xlabel(text.unit, size=9, color=MUTED)
    if size:
        ax.set_yticks(np.arange(n), data.names, size=size)
    else:
        ax.set_yticks([])
    some = f"{n} of {text.total}" if n < text.total else f"{n}"
    order = ", sorted by posterior mean" if text.sort else ""
    ax.set_ylabel("" if size else f"{some} clusters{order}", size=9, color=MUTED)
    figure.legend(
        handles=list(handles),
        loc="lower center",
        ncols=per_row,
        frameon=False,
        fontsize=9,
        bbox_to_anchor=(0.5, 0.03 / height),
    )
    return figure


def _name_size(n: int, available: float | None) -> tuple[float, float]:
    """Size of the names in points, 0 if they do not fit, and the height of all clusters."""
    body = min(_MOST, max(_ROW * n, 3 * _ROW)) if available is None else max(0.2, available)
    size = min(_LARGEST, _POINTS * body / n / _LINE)
    return (size if size >= _SMALLEST else 0.0), body


def _draw_clusters(
    ax: Axes, data: ClusterIntervals, centre: float, nested: bool, pitch: float
) -> None:
    """Draw intervals and means; ``pitch`` is the height of a cluster in points."""
    y = np.arange(len(data.names), dtype=np.float64)
    thin, thick = min(1.3, 0.4 * pitch), min(4.0, 0.75 * pitch)
    ax.hlines(y, *data.outer, linewidth=thin, gid="outer", alpha=0.75, color=ESTIMATE)
    if nested:
        ax.hlines(y, *data.inner, linewidth=thick, gid="inner", color=ESTIMATE)
    marker = min(5.0, 0.8 * pitch)
    style = _MEAN_STYLE | {"markersize": marker, "markeredgewidth": 0.3 * marker}
    ax.plot(data.mean, y, gid="mean", zorder=3, **style)
    lower, upper = ax.get_xlim()
    if np.isfinite(centre):
        ax.axvline(centre, gid="centre", zorder=1.5, **_CENTRE_STYLE)
    if lower < 0 < upper:
        ax.axvline(0, color=MUTED, linewidth=0.8, linestyle="--", zorder=0.8)
    ax.set_ylim(-0.7, len(y) - 0.3)
    ax.tick_params(axis="y", length=0)
    ax.tick_params(axis="x", labelsize=8, color=MUTED, labelcolor=MUTED)
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.spines["bottom"].set_color(MUTED)
    ax.set_axisbelow(True)
    ax.grid(axis="x", color="0.92", linewidth=0.8)
    ax.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))


def _handles(ci: float, ci_kind: IntervalKind, centre: str) -> list[Artist]:
    mean = _MEAN_STYLE | {"markersize": 5.0, "markeredgewidth": 1.5}
    handles: list[Artist] = [Line2D([], [], label="posterior mean", **mean)]
    if ci > INNER:
        label = f"{INNER:.0%} {ci_kind.upper()}"
        handles.append(Line2D([], [], color=ESTIMATE, linewidth=4.0, label=label))
    label = f"{100 * ci:g}% {INTERVAL_NAMES[ci_kind]}"
    handles.append(Line2D([], [], color=ESTIMATE, linewidth=1.3, alpha=0.75, label=label))
    if centre:
        handles.append(Line2D([], [], label=centre, **_CENTRE_STYLE))
    return handles
