"""Discrepancies of the data beside those of replicates.

Two views of the same numbers. A histogram per number shows how far out the data are; where the
discrepancy depends on parameters, or values are missing, it differs between draws also for the
data. Then the pairs (T(y, theta), T(y_rep, theta)) of single draws say more: the posterior
predictive p-value is the share of points above the diagonal (Gelman, Meng & Stern 1996).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import NDArray

from bayes_msem.checking.predictive.p_values import p_values
from bayes_msem.checking.predictive.predictive_check import PredictiveCheck
from bayes_msem.errors import SpecificationError, nearest
from bayes_msem.plotting.canvas import ESTIMATE, MUTED, REFERENCE, NotebookFigure
from bayes_msem.plotting.panels import bottom_legend, panel_grid, tidy
from bayes_msem.plotting.select import select_names
from bayes_msem.posterior.distributions import peak_histogram
from bayes_msem.posterior.enough import check_enough
from bayes_msem.posterior.tables import EstimateTable

__all__ = ["discrepancy_pairs", "select_numbers", "statistics_panels"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_MOST = 20  # panels, unless the user chooses
_BINS = 30


def statistics_panels(
    check: PredictiveCheck,
    *,
    names: Sequence[str] | str | None = None,
    outcomes: Sequence[str] | str | None = None,
    level: str | None = None,
    figsize: tuple[float, float] | None = None,
) -> NotebookFigure:
    """Draw what replicates say of each number, and mark that of the data.

    Parameters
    ----------
    check
        A check.
    names, outcomes, level
        Statistics, outcomes they are of, and level; None: all, but no more than 20 numbers: those
        of whole levels, then those with the most extreme p-values.
    figsize
        Width and height in inches; None: what the panels need.

    Returns
    -------
    matplotlib.figure.Figure
        One panel per number, each level in rows of its own, with its p-value. All histograms
        have the same height.

    Raises
    ------
    SpecificationError
        Unknown statistic, outcome or level, or no such number in the check.
    """
    table = p_values(check)
    shown = select_numbers(check, names, outcomes, level)
    total = len(shown)
    if names is None and outcomes is None:
        shown = _most_telling(table, shown)
    levels = check.statistics["level"].to_numpy()[shown]
    groups = [int((levels == name).sum()) for name in dict.fromkeys(levels)]
    figure, axes = panel_grid(len(shown), figsize, groups=groups)
    several = False
    for ax, k in zip(axes, shown, strict=True):
        observed, replicated = check.observed[..., k].ravel(), check.replicated[..., k].ravel()
        several |= _draw_numbers(ax, observed, replicated)
        _head(ax, table, int(k))
        ax.set_xlabel(table["variable"].iloc[k], size=8, color=MUTED, labelpad=1)
        ax.set_yticks([])
        tidy(ax)
        ax.locator_params(axis="x", nbins=4)
    if len(shown) < total:
        text = f"{len(shown)} of {total} numbers: those of whole levels, then the most extreme"
        _say(figure, text)
    bottom_legend(figure, _handles(several))
    return figure


def select_numbers(
    check: PredictiveCheck,
    names: Sequence[str] | str | None = None,
    outcomes: Sequence[str] | str | None = None,
    level: str | None = None,
) -> IntArray:
    """Positions of the chosen numbers in the statistics of a check, level by level.

    Raises
    ------
    SpecificationError
        Unknown statistic, outcome or level, or no such number.
    """
    table = check.statistics
    if not len(table):
        raise SpecificationError("the check has no statistics to draw")
    chosen = np.ones(len(table), dtype=bool)
    if names is not None:
        known = list(dict.fromkeys(table["statistic"]))
        chosen &= table["statistic"].isin(select_names("statistic", known, names)).to_numpy()
    if outcomes is not None:
        involved = [_outcomes_of(v) for v in table["variable"]]
        known = list(dict.fromkeys(name for some in involved for name in some))
        wanted = set(select_names("outcome", known, outcomes))
        chosen &= np.array([bool(wanted & set(some)) for some in involved])
    if level is not None:
        levels = list(dict.fromkeys(table["level"]))
        if level not in levels:
            allowed = ", ".join(repr(x) for x in levels)
            raise SpecificationError(
                f"level={level!r} has no statistics; the check has {allowed}"
                f"{nearest(str(level), levels)}"
            )
        chosen &= (table["level"] == level).to_numpy()
    if not chosen.any():
        raise SpecificationError(
            "no number of the check is of all that was chosen; leave out statistics, outcomes or "
            "level"
        )
    order = {name: i for i, name in enumerate(dict.fromkeys(table["level"]))}
    shown = np.flatnonzero(chosen)
    rank = table["level"].map(order).to_numpy()[shown]
    return np.asarray(shown[np.argsort(rank, kind="stable")])


def _outcomes_of(variable: str) -> list[str]:
    """Outcomes that a number is of: y of "y" and of its slope "y ~ x", both of "y1 ~~ y2"."""
    if " ~~ " in variable:
        return variable.split(" ~~ ")
    return [variable.split(" ~ ")[0]] if variable else []


def _most_telling(table: EstimateTable, shown: IntArray) -> IntArray:
    """Of many numbers, those of whole levels and the most extreme ones, in their order."""
    ppp = table["ppp"].to_numpy()[shown]
    single = (table["variable"] != "").to_numpy()[shown]
    order = np.lexsort((np.minimum(ppp, 1 - ppp), single))
    return shown[np.sort(order[:_MOST])]


def _draw_numbers(ax: Axes, observed: FloatArray, replicated: FloatArray) -> bool:
    """Draw one number; tell whether that of the data varies."""
    observed, replicated = observed[np.isfinite(observed)], replicated[np.isfinite(replicated)]
    if not len(observed) or not len(replicated):
        which = "data" if len(replicated) else "replicates"
        ax.text(0.5, 0.5, f"no number in the {which}", transform=ax.transAxes, ha="center",
                size=8, style="italic", color=MUTED, gid="words")  # fmt: skip
        return False
    _histogram(ax, replicated, color=ESTIMATE, alpha=0.35, fill=True, gid="replicated")
    several = bool(np.ptp(observed) > 0)
    style: dict[str, Any] = {"color": REFERENCE, "gid": "observed", "zorder": 3}
    if several:
        _histogram(ax, observed, linewidth=1.3, **style)
    else:
        ax.vlines(observed[0], 0, 1.06, linewidth=1.8, **style)
    ax.set_ylim(0, 1.35)  # room for the p-value
    return several


def _histogram(ax: Axes, values: FloatArray, **style: Any) -> None:
    """Histogram of height 1: a narrow one beside it would leave nothing to see of a wide one."""
    edges, height = peak_histogram(values, _BINS)
    ax.stairs(height, edges, **style)


def discrepancy_pairs(
    check: PredictiveCheck,
    *,
    names: Sequence[str] | str | None = None,
    level: str | None = None,
    figsize: tuple[float, float] | None = None,
) -> NotebookFigure:
    """Draw discrepancies of replicates against those of the data, one point per draw.

    Parameters
    ----------
    check
        A check.
    names, level
        Statistics and level; None: all numbers of whole levels that differ between draws.
    figsize
        Width and height in inches; None: what the panels need.

    Returns
    -------
    matplotlib.figure.Figure
        One panel per number; the share of points above the diagonal is its p-value.

    Raises
    ------
    SpecificationError
        Unknown statistic or level, or no number that differs between draws.
    """
    check_enough(check.observed.shape[0] * check.observed.shape[1], 2, "a scatter of draws")
    shown = select_numbers(check, names, None, level)
    pairs = np.isfinite(check.observed) & np.isfinite(check.replicated)
    varies = pairs.any(axis=(0, 1))[shown]
    with np.errstate(invalid="ignore"):
        values = np.where(pairs, check.observed, np.nan)[..., shown[varies]]
    varies[varies] = np.nanmax(values, axis=(0, 1)) > np.nanmin(values, axis=(0, 1))
    if names is None:
        varies &= (check.statistics["variable"] == "").to_numpy()[shown]
    shown = shown[varies]
    if not len(shown):
        raise SpecificationError(
            "none of the chosen statistics depends on the parameters, so the data have one value; "
            "use kind='statistics'"
        )
    table = p_values(check)
    figure, axes = panel_grid(len(shown), figsize, size=(2.6, 2.6))
    for ax, k in zip(axes, shown, strict=True):
        x, y = check.observed[..., k].ravel(), check.replicated[..., k].ravel()
        both = np.isfinite(x) & np.isfinite(y)
        x, y = x[both], y[both]
        ax.scatter(x, y, s=7, color=ESTIMATE, alpha=0.4, linewidths=0, gid="pairs")
        low, high = float(min(x.min(), y.min())), float(max(x.max(), y.max()))
        ends = (low - 0.04 * (high - low), high + 0.04 * (high - low))
        ax.plot(ends, ends, color=MUTED, linewidth=0.9, gid="diagonal", zorder=1)
        ax.set(xlim=ends, ylim=ends, aspect="equal")
        _head(ax, table, int(k), left=True)
        variable = table["variable"].iloc[k]
        ax.set_xlabel(f"data: {variable}" if variable else "data", size=8, color=MUTED, labelpad=1)
        ax.set_ylabel("replicate", size=8, color=MUTED, labelpad=1)
        tidy(ax)
        ax.locator_params(nbins=4)
    label = "one draw; share above the line: ppp"
    style: dict[str, Any] = {"linestyle": "", "marker": "o", "markersize": 4, "color": ESTIMATE}
    bottom_legend(figure, [Line2D([], [], alpha=0.6, label=label, **style)])
    return figure


def _head(ax: Axes, table: EstimateTable, k: int, left: bool = False) -> None:
    """Say what a panel shows, and its p-value, in the right corner or the left one."""
    row = table.iloc[k]
    both = "both levels" if (table["level"] == "between").any() else ""
    ax.set_title(row["statistic"], loc="left", size=9, weight="bold", pad=3)
    ax.set_title(row["level"] or both, loc="right", size=7, color=MUTED, pad=3)
    colour, weight = (REFERENCE, "bold") if row["flag"] else (MUTED, "normal")
    text = ax.text(0.03 if left else 0.98, 0.97, f"ppp {row['ppp']:.3f}", transform=ax.transAxes,
                   ha="left" if left else "right", va="top", size=8, color=colour, weight=weight,
                   gid="ppp")  # fmt: skip
    text.set_bbox({"facecolor": "white", "alpha": 0.8, "linewidth": 0, "pad": 1.0})


def _say(figure: NotebookFigure, text: str) -> None:
    figure.suptitle(text, x=0.01, ha="left", size=9, color=MUTED)


def _handles(several: bool) -> list[Artist]:
    handles: list[Artist] = [
        Patch(facecolor=ESTIMATE, alpha=0.35, label="replicates"),
        Line2D([], [], color=REFERENCE, linewidth=1.8, label="data"),
    ]
    if several:
        label = "data, where it depends on the draw"
        handles.append(Patch(facecolor="none", edgecolor=REFERENCE, linewidth=1.3, label=label))
    return handles
