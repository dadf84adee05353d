"""Clusters one by one: how far each is from the model, and its data beside its replicates.

At level between, distances have the same distribution under the model in all clusters. At level
within they are sums over rows, so they are divided by n - 1, and still vary more in small clusters.
The posterior predictive p-values take that into account, and clusters are sorted by these.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import NDArray

from bayes_msem.checking.predictive.compared import default_clusters, sorted_distances
from bayes_msem.checking.predictive.p_values import ALPHA
from bayes_msem.checking.predictive.predictive_check import PredictiveCheck
from bayes_msem.data.observed_data import ObservedData
from bayes_msem.errors import SpecificationError
from bayes_msem.plotting.canvas import ESTIMATE, MUTED, REFERENCE, NotebookFigure
from bayes_msem.plotting.panels import bottom_legend, panel_grid, tidy
from bayes_msem.plotting.ppc import rug
from bayes_msem.plotting.select import select_clusters, select_names
from bayes_msem.posterior.distributions import data_density
from bayes_msem.wording import plural

__all__ = ["cluster_distances", "cluster_replicates"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_MOST = 30  # clusters of a level whose distance is drawn
_ROW, _FRAME, _LEGEND, _WIDTH = 0.19, 0.75, 0.35, 3.9  # inches
_TITLES = {"within": "Within clusters", "between": "Between clusters"}
_AXIS_NAMES = {"within": "distance / (n \N{MINUS SIGN} 1)", "between": "distance"}


def cluster_distances(
    check: PredictiveCheck, *, level: str | None = None, figsize: tuple[float, float] | None = None
) -> NotebookFigure:
    """Draw how far clusters are from the model, the most unusual on top.

    Parameters
    ----------
    check
        Of a two-level model.
    level
        "within" or "between"; None: both.
    figsize
        Width and height in inches; None: what the clusters need.

    Returns
    -------
    matplotlib.figure.Figure
        One panel per level with up to 30 clusters, those with the smallest p-values, which stand
        at the right.

    Raises
    ------
    SpecificationError
        A single-level model, or a level without distances.
    """
    _check_two_level(check)
    levels = [name for name in _TITLES if len(sorted_distances(check.clusters, name))]
    if not levels:
        raise SpecificationError("the check has no distances of clusters to show")
    if level is not None and level not in levels:
        allowed = " and ".join(repr(x) for x in levels) or "none"
        raise SpecificationError(
            f"level={level!r} has no distances of clusters; those of the check are {allowed}"
        )
    levels = levels if level is None else [level]
    tables = [sorted_distances(check.clusters, name) for name in levels]
    rows = max(3, *(min(_MOST, len(t)) for t in tables), 0)
    size = figsize or (_WIDTH * len(levels) + 0.4, _ROW * rows + _FRAME + _LEGEND)
    figure = NotebookFigure(figsize=size, dpi=100)
    share = _LEGEND / figure.get_figheight()
    figure.set_layout_engine(
        ConstrainedLayoutEngine(rect=(0, share, 1, 1 - share), w_pad=0.09, h_pad=0.06)
    )
    for i, (name, table) in enumerate(zip(levels, tables, strict=True)):
        _draw_distances(figure.add_subplot(1, len(levels), i + 1), table, name, rows)
    style: dict[str, Any] = {"linestyle": "", "marker": "o", "markersize": 5}
    label = f"ppp below {ALPHA:g}: by chance about {ALPHA:.0%} of all clusters"
    handles = [
        Line2D([], [], color=REFERENCE, label=label, **style),
        Line2D([], [], color=ESTIMATE, label="others", **style),
    ]
    bottom_legend(figure, handles)
    return figure


def _draw_distances(ax: Axes, table: pd.DataFrame, level: str, rows: int) -> None:
    shown = table.iloc[:_MOST]
    y = np.arange(len(shown), dtype=np.float64)
    odd = (shown["ppp"] < ALPHA).to_numpy()
    x = shown["distance"].to_numpy()
    ax.hlines(y, 0, x, color="0.85", linewidth=1.0, zorder=1)
    for mask, colour, gid in ((~odd, ESTIMATE, "others"), (odd, REFERENCE, "unusual")):
        ax.plot(x[mask], y[mask], "o", color=colour, markersize=4.5, gid=gid)
    ax.set_yticks(y, [str(c) for c in shown.index], size=8)
    for label, mark in zip(ax.get_yticklabels(), odd, strict=True):
        label.set(color=REFERENCE if mark else "black", weight="bold" if mark else "normal")
    right = ax.get_yaxis_transform()
    for height, p, mark in zip(y, shown["ppp"], odd, strict=True):
        colour = REFERENCE if mark else MUTED
        ax.text(1.02, height, f"{p:.3f}", transform=right, va="center", size=7, color=colour,
                gid="ppp")  # fmt: skip
    ax.text(1.02, -1.0, "ppp", transform=right, va="center", size=7, color=MUTED)
    ax.set_ylim(rows - 0.4, -0.6)
    ax.set_xlim(left=0)
    ax.set_title(_TITLES[level], loc="left", size=9, weight="bold", pad=5)
    n = len(table)
    count = plural(n, "cluster") if n == len(shown) else f"{len(shown)} of {n} clusters"
    ax.set_title(count, loc="right", size=7, color=MUTED, pad=5)
    ax.set_xlabel(_AXIS_NAMES[level], size=8, color=MUTED)
    ax.tick_params(axis="x", labelsize=8, color=MUTED, labelcolor=MUTED, length=2)
    ax.tick_params(axis="y", length=0)
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.spines["bottom"].set_color(MUTED)


def cluster_replicates(
    check: PredictiveCheck,
    data: ObservedData,
    outcome: str,
    *,
    clusters: Sequence[Any] | None = None,
    figsize: tuple[float, float] | None = None,
) -> NotebookFigure:
    """Draw the values of an outcome in single clusters over the density of their replicates.

    Parameters
    ----------
    check
        With kept replicates.
    data
        The data of the model.
    outcome
        A level-1 outcome.
    clusters
        Identifiers; None: see :func:`default_clusters`.
    figsize
        Width and height in inches; None: what the panels need.

    Returns
    -------
    matplotlib.figure.Figure
        One panel per cluster, all with the same axis.

    Raises
    ------
    SpecificationError
        A single-level model, no replicates, unknown outcome or cluster.
    """
    _check_two_level(check)
    if not check.kept.sizes["draw"]:
        raise SpecificationError("the check has no replicates to draw; make it with keep=50")
    select_names("outcome", list(data.y_names), [outcome])
    ids = [str(c) for c in check.clusters.index]
    if clusters is None:
        shown, distant = default_clusters(check)
        text = _words(outcome, distant, len(shown) - distant)
    else:
        shown, text = select_clusters(ids, clusters), f"{outcome} in single clusters"
    assert data.cluster is not None
    names = np.array([str(c) for c in data.cluster_ids])[data.cluster[check.data["row"].values]]
    observed = check.data.sel(outcome=outcome).values
    replicated = check.kept.sel(outcome=outcome).values.reshape(-1, len(observed))
    figure, axes = panel_grid(len(shown), figsize)
    for ax, j in zip(axes, shown, strict=True):
        rows = np.flatnonzero(names == ids[j])
        _draw_cluster(ax, observed[rows], replicated[:, rows].ravel())
        _label_cluster(ax, check.clusters.iloc[j], ids[j], int((~np.isnan(observed[rows])).sum()))
    limits = np.array([ax.get_xlim() for ax in axes])
    for ax in axes:
        ax.set_xlim(limits[:, 0].min(), limits[:, 1].max())
    figure.suptitle(text, x=0.01, ha="left", size=10)
    bottom_legend(figure, _handles(len(replicated), check.kind))
    return figure


def _words(outcome: str, distant: int, typical: int) -> str:
    far = "the cluster" if distant == 1 else f"the {distant} clusters"
    text = f"{outcome} in {far} most distant from the model"
    return text + (f", then in {typical} typical {'one' if typical == 1 else 'ones'}"
                   if typical else "")  # fmt: skip


def _draw_cluster(ax: Axes, observed: FloatArray, replicated: FloatArray) -> None:
    if np.ptp(replicated) > 0:
        grid, height = data_density(replicated)
        ax.fill_between(grid, height, color=ESTIMATE, alpha=0.25, linewidth=0)
    else:  # of a single value there is no density
        grid, height = np.repeat(replicated[:1], 2), np.array([0.0, 1.0])
    top = float(height.max())
    ax.plot(grid, height, color=ESTIMATE, linewidth=1.2, gid="replicates")
    rug(ax, observed[~np.isnan(observed)], top)
    ax.set_ylim(top=1.35 * top)
    ax.set_yticks([])
    tidy(ax)
    ax.locator_params(axis="x", nbins=4)


def _label_cluster(ax: Axes, row: pd.Series[Any], name: str, n: int) -> None:
    ax.set_title(name, loc="left", size=9, weight="bold", pad=3)
    ax.set_title(f"n = {n}", loc="right", size=7, color=MUTED, pad=3)
    for i, level in enumerate(("within", "between")):
        p = float(row[f"ppp_{level}"])
        if np.isnan(p):
            continue
        colour = REFERENCE if p < ALPHA else MUTED
        ax.text(0.98 if i else 0.03, 0.98, f"{'' if i else 'ppp '}{level} {p:.3f}",
                transform=ax.transAxes, ha="right" if i else "left", va="top", size=7,
                color=colour, gid=f"ppp {level}")  # fmt: skip


def _handles(n: int, kind: str) -> list[Line2D | Patch]:
    mark: dict[str, Any] = {"linestyle": "", "marker": "|", "markersize": 7, "color": REFERENCE}
    label = f"{plural(n, 'replicate')} of the cluster ({kind} clusters)"
    return [
        Line2D([], [], label="observed values", **mark),
        Patch(facecolor=ESTIMATE, alpha=0.35, label=label),
    ]


def _check_two_level(check: PredictiveCheck) -> None:
    if not len(check.clusters):
        raise SpecificationError("a single-level model has no clusters to show")
