"""Distribution of each outcome in the data and in replicates of them.

Densities are computed by ArviZ; its figures are not used, because pyplot knows of them, and because
they show one distribution per variable. A two-level outcome has three: its values, their deviations
from cluster means, and the cluster means.

Which cells are compared says :mod:`bayes_msem.checking.predictive.compared`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from bayes_msem.checking.predictive.compared import Compared, Part, compared
from bayes_msem.checking.predictive.predictive_check import PredictiveCheck
from bayes_msem.data.observed_data import ObservedData
from bayes_msem.errors import SpecificationError, nearest
from bayes_msem.plotting.canvas import ESTIMATE, MUTED, REFERENCE, NotebookFigure
from bayes_msem.plotting.densities import distribution
from bayes_msem.plotting.panels import bottom_legend, panel_grid, tidy
from bayes_msem.plotting.select import select_names
from bayes_msem.posterior.distributions import central_range, data_density
from bayes_msem.wording import plural

__all__ = ["compare", "densities", "rug"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_LINES = 50  # replicates drawn; more cannot be told apart
_RUG = 60  # most values that are also drawn one by one
_HIGHEST, _SHOWN = 0.9, 0.99  # share of replicates whose peaks fit in, and of values that do
_AXIS_NAMES: dict[Part, str] = {
    "raw": "",
    "within": "deviation from the cluster mean",
    "between": "cluster mean",
}


def compare(
    check: PredictiveCheck,
    data: ObservedData,
    part: Part = "raw",
    outcomes: Sequence[str] | str | None = None,
) -> list[Compared]:
    """Take from a check what is observed and replicated of each outcome.

    Parameters
    ----------
    check
        With kept replicates.
    data
        The data of the model.
    part
        "raw": values; "within": deviations from the means of clusters, without clusters of one
        row; "between": means of clusters. Variables of clusters have one value per cluster.
    outcomes
        Names; None: all.

    Raises
    ------
    SpecificationError
        Unknown part or outcome, no replicates, or a level that the data or an outcome lack.
        Outcomes that have nothing to show are left out, unless they were asked for or no other is
        left.
    """
    if part not in get_args(Part):
        allowed = ", ".join(repr(p) for p in get_args(Part))
        hint = nearest(str(part), get_args(Part))
        raise SpecificationError(f"part='{part}' is unknown; use {allowed}{hint}")
    if part != "raw" and not data.two_level:
        raise SpecificationError(
            f"part='{part}' needs a two-level model; use part='raw' in a single-level model"
        )
    if not check.kept.sizes["draw"]:
        raise SpecificationError(
            "the check has no replicates to draw; make it with fit.ppc(keep=50)"
        )
    names = select_names("outcome", list(map(str, check.data["outcome"].values)), outcomes)
    shown = [n for n in names if not _absent(n, check, data, part)]
    for name in names:
        if outcomes is not None and name not in shown:
            raise SpecificationError(_absent(name, check, data, part))
    if not shown:
        raise SpecificationError(_absent(names[0], check, data, part))
    rows = check.data["row"].values
    code = np.zeros(len(rows), np.int64) if data.cluster is None else data.cluster[rows]
    items = [compared(check, name, code, name in data.z_names, part) for name in shown]
    empty = [item.outcome for item in items if not len(item.observed)]
    if empty and (outcomes is not None or len(empty) == len(items)):
        raise SpecificationError(
            f"no cluster has two observed values of '{empty[0]}', so there are no deviations from "
            "cluster means; use part='raw' or 'between'"
        )
    return [item for item in items if len(item.observed)]


def _absent(name: str, check: PredictiveCheck, data: ObservedData, part: Part) -> str:
    """Why an outcome cannot be shown; empty if it can."""
    if name not in data.z_names:
        return ""
    if part == "within":
        return f"'{name}' does not vary inside clusters; use part='between' or 'raw'"
    if check.kind == "same":
        return f"replicates of the same clusters keep '{name}'; check with new_clusters=True"
    return ""


def densities(
    check: PredictiveCheck,
    data: ObservedData,
    *,
    part: Part = "raw",
    outcomes: Sequence[str] | str | None = None,
    figsize: tuple[float, float] | None = None,
) -> NotebookFigure:
    """Draw the density of each outcome over those of its replicates.

    Parameters
    ----------
    check, data, part, outcomes
        As in :func:`compare`.
    figsize
        Width and height in inches; None: what the panels need.

    Returns
    -------
    matplotlib.figure.Figure
        One panel per outcome, with up to 50 replicates. Data with no more than 12 distinct values
        are drawn as a step function. Up to 60 values are also marked one by one below. Panels hold
        99% of the replicated values and 90% of the peaks.

    Raises
    ------
    SpecificationError
        As :func:`compare`.
    """
    shown = compare(check, data, part, outcomes)
    figure, axes = panel_grid(len(shown), figsize)
    for ax, item in zip(axes, shown, strict=True):
        lines = np.linspace(0, len(item.replicated) - 1, min(_LINES, len(item.replicated)))
        _draw(ax, item, lines.round().astype(np.int64))
        ax.set_title(item.outcome, loc="left", size=9, weight="bold", pad=3)
        ax.set_title(_count(item), loc="right", size=7, color=MUTED, pad=3)
        label = "cluster-level variable" if item.outcome in data.z_names else _AXIS_NAMES[part]
        ax.set_xlabel(label, size=8, color=MUTED, labelpad=1)
    n = min(_LINES, int(shown[0].replicated.shape[0]))
    bottom_legend(figure, _handles(f"{plural(n, 'replicate')}{_kind(check, data)}"))
    return figure


def _draw(ax: Axes, item: Compared, lines: IntArray) -> None:
    # without spread there is no density, and the marks below have to do
    varying = item.replicated[lines][np.ptp(item.replicated[lines], axis=1) > 0]
    top = 0.0
    if len(varying):
        grid, height = data_density(varying)
        for x, y in zip(grid, height, strict=True):
            ax.plot(x, y, color=ESTIMATE, linewidth=0.6, alpha=0.3, gid="replicate")
        top = central_range(height.max(axis=1), 2 * _HIGHEST - 1)[1]
    if np.ptp(item.observed) > 0:
        top = max(
            top,
            distribution(
                ax, item.observed, color=REFERENCE, linewidth=1.8, gid="observed", zorder=3
            ),
        )
    if len(varying):
        _limit(ax, item.observed, varying)
    top = top or 1.0
    ax.set_ylim(0, 1.05 * top)
    if len(item.observed) <= _RUG or not (len(varying) or np.ptp(item.observed) > 0):
        rug(ax, item.observed, top)
    ax.set_yticks([])
    tidy(ax)
    ax.locator_params(axis="x", nbins=4)


def _limit(ax: Axes, observed: FloatArray, replicated: FloatArray) -> None:
    """Leave out the tails of few replicates, which would make all others narrow."""
    low, high = central_range(replicated, _SHOWN)
    low, high = min(low, observed.min()), max(high, observed.max())
    ax.set_xlim(low - 0.15 * (high - low), high + 0.15 * (high - low))


def rug(ax: Axes, values: FloatArray, top: float) -> None:
    """Mark values one by one below a density of height ``top``."""
    ax.plot(
        values,
        np.full(len(values), -0.06 * top),
        linestyle="",
        marker="|",
        markersize=6,
        markeredgewidth=1.0,
        color=REFERENCE,
        alpha=0.7,
        gid="rug",
        clip_on=False,
    )
    ax.set_ylim(bottom=-0.13 * top)


def _count(item: Compared) -> str:
    n, unit = len(item.observed), "cluster" if item.clusters else "row"
    return plural(n, unit) if n == item.total else f"{n} of {item.total} {unit}s"


def _kind(check: PredictiveCheck, data: ObservedData) -> str:
    return f" ({check.kind} clusters)" if data.two_level else ""


def _handles(replicates: str) -> list[Line2D]:
    return [
        Line2D([], [], color=REFERENCE, linewidth=1.8, label="observed"),
        Line2D([], [], color=ESTIMATE, linewidth=0.8, alpha=0.6, label=replicates),
    ]
