"""What the prior says about data, and the data: replicated densities, and implied quantities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from bayes_msem.checking.priors.prior_implied import QUANTITY_NAMES, PriorImplied
from bayes_msem.errors import SpecificationError, nearest
from bayes_msem.plotting.canvas import MUTED, REFERENCE, NotebookFigure, text_width
from bayes_msem.plotting.densities import distribution
from bayes_msem.plotting.panels import bottom_legend, tidy
from bayes_msem.posterior.distributions import (
    central_range,
    data_density,
    histogram,
    share_outside,
)

__all__ = ["prior_predictive"]

FloatArray = NDArray[np.float64]

_DATA = "#000000"
_PER_ROW = 4
_DENSITY, _RIDGE, _TITLE, _LEGEND = 1.75, 0.24, 0.75, 0.4  # inches: heights
_WIDTH = 2.5
_REPLICATES = 50  # drawn of every variable
_MOST = 12  # ridges in a panel
_FEW = 3  # ridges that need no more room than a density
_WIDEST = 3.0  # most that replicated data may add on each side, in ranges of the data
_BINS = 30
_LIMITS = {"icc": (0.0, 1.0), "r2": (0.0, 1.0), "correlation": (-1.0, 1.0), "share": (0.0, 1.0)}
_PANELS = ("sd", "icc", "correlation", "r2")


@dataclass(frozen=True, slots=True)
class _Panel:
    """Rows of the table that are shown together, and what they are called there."""

    quantity: str
    title: str
    labels: list[str]
    rows: pd.DataFrame


def prior_predictive(
    implied: PriorImplied,
    *,
    variables: Sequence[str] | str | None = None,
    figsize: tuple[float, float] | None = None,
) -> NotebookFigure:
    """Draw densities of replicated data and distributions of implied quantities.

    Parameters
    ----------
    implied
        What the prior implies.
    variables
        Outcomes and cluster-level variables to show; None: all.
    figsize
        Width and height in inches; None: what the panels need.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    SpecificationError
        Unknown variables.
    """
    names = _chosen(implied, variables)
    shares = {name: panel for name in names if (panel := _shares(implied, name)) is not None}
    smooth = [name for name in names if name not in shares or len(shares[name].labels) == 1]
    panels = [*shares.values(), *_quantity_panels(implied, names)]
    figure, axes = _grid(len(smooth), [len(panel.rows) for panel in panels], figsize)
    for ax, name in zip(axes, smooth, strict=False):
        _densities(ax, name, implied.replicated[name], implied.observed[name], name in shares)
    for ax, panel in zip(axes[len(smooth) :], panels, strict=True):
        _ridges(ax, panel, implied)
    handles = [
        Line2D([], [], color=_DATA, linewidth=1.6, label="data"),
        Line2D([], [], color=REFERENCE, linewidth=1.3, label="data replicated from the prior"),
        Patch(color=REFERENCE, alpha=0.35, linewidth=0, label="prior of a quantity"),
    ]
    bottom_legend(figure, handles)
    return figure


def _grid(
    densities: int, ridges: Sequence[int], figsize: tuple[float, float] | None
) -> tuple[NotebookFigure, list[Axes]]:
    """Make panels for densities, then for ridges (numbers of them), and room for a legend."""
    if max(ridges, default=0) <= _FEW:  # no more room than a density: one sequence of panels
        places = densities + len(ridges)
        columns = 3 if places in (5, 6, 9) else min(_PER_ROW, places)
        cells = list(range(places))
        heights = [_DENSITY] * -(-places // columns)
    else:
        columns = min(_PER_ROW, max(densities, len(ridges)))
        top = -(-densities // columns)
        cells = [*range(densities), *(top * columns + i for i in range(len(ridges)))]
        lines = [ridges[i : i + columns] for i in range(0, len(ridges), columns)]
        heights = [_DENSITY] * top + [_TITLE + _RIDGE * max(line) for line in lines]
    size = (max(_WIDTH * columns, 4.2), sum(heights) + _LEGEND)
    figure = NotebookFigure(figsize=figsize or size, dpi=100)
    share = _LEGEND / figure.get_figheight()
    layout = ConstrainedLayoutEngine(rect=(0, share, 1, 1 - share), w_pad=0.09, h_pad=0.06)
    figure.set_layout_engine(layout)
    grid = figure.add_gridspec(len(heights), columns, height_ratios=heights)
    return figure, [figure.add_subplot(grid[i // columns, i % columns]) for i in cells]


def _chosen(implied: PriorImplied, variables: Sequence[str] | str | None) -> list[str]:
    known = list(implied.observed)
    if variables is None:
        return known
    wanted = [variables] if isinstance(variables, str) else list(variables)
    for name in wanted:
        if name not in known:
            raise SpecificationError(
                f"'{name}' is no outcome or indicator of this model{nearest(str(name), known)}; "
                f"it has {', '.join(known)}"
            )
    if not wanted:
        raise SpecificationError("variables=[] leaves nothing to show; variables=None shows all")
    return [name for name in known if name in wanted]


def _shares(implied: PriorImplied, name: str) -> _Panel | None:
    """Shares of the categories of an outcome, or the share of zeros of a count."""
    table, start = pd.DataFrame(implied.table), f"{name} = "
    own = table["variable"].str.startswith(start)
    rows = table[(table["quantity"] == "share") & own]
    labels = [str(v).removeprefix(start) for v in rows["variable"]]
    title = f"{name}: {'share' if len(rows) == 1 else 'shares'}"
    return _Panel("share", title, labels, pd.DataFrame(rows)) if len(rows) else None


def _quantity_panels(implied: PriorImplied, names: Sequence[str]) -> list[_Panel]:
    """Panels of the other quantities, below the densities."""
    table, panels = pd.DataFrame(implied.table), []
    known = set(implied.observed)
    for quantity in _PANELS:
        for level in ("", "within", "between"):
            rows = table[(table["quantity"] == quantity) & (table["level"] == level)]
            keep = [
                all(part in names or part not in known for part in str(v).split(", "))
                for v in rows["variable"]
            ]
            rows = rows[keep]
            if len(rows) > _MOST:  # the most surprising, in the order of the table
                rows = rows.loc[rows["p"].sort_values(kind="stable").index[:_MOST]].sort_index()
            if len(rows):
                title = f"{QUANTITY_NAMES[quantity]} {level}".strip()
                labels = [str(v) for v in rows["variable"]]
                panels.append(_Panel(quantity, title, labels, pd.DataFrame(rows)))
    return panels


def _densities(
    ax: Axes, name: str, replicated: FloatArray, observed: FloatArray, is_count: bool
) -> None:
    """Draw densities of replicated data sets behind that of the data."""
    low, high = float(observed.min()), float(observed.max())
    wide = high - low
    ends = central_range(replicated, 0.9)
    left = max(min(low - 0.1 * wide, ends[0]), low - _WIDEST * wide)
    right = min(max(high + 0.1 * wide, ends[1]), high + _WIDEST * wide)
    style: dict[str, Any] = {
        "color": REFERENCE,
        "linewidth": 0.5,
        "alpha": 0.4,
        "gid": "replicated",
    }
    # no bandwidth suits both the tails of counts, which are log-normal, and what is in the panel
    width = max(1.0, np.ceil((right - left) / _BINS))
    edges = np.arange(np.floor(left) - 0.5, right + 2 * width, width)  # the last bin is outside
    for values in replicated[:_REPLICATES]:
        if is_count:
            ax.stairs(histogram(values, edges) / (len(values) * width), edges, **style)
        elif np.ptp(values) > 0:
            x, height = data_density(values)
            ax.plot(x, height, **style)
    tallest = distribution(ax, observed, color=_DATA, linewidth=1.6, gid="data")
    ax.set_xlim(left, right)
    ax.set_ylim(0, 1.5 * tallest)
    ax.set_yticks([])
    ax.set_title(name, loc="left", size=9, weight="bold", pad=3)
    outside = share_outside(replicated, left, right)
    if outside >= 0.005:
        text = f"{100 * outside:.0f}% outside"
        ax.set_title(text, loc="right", size=7, color=MUTED, pad=3)
    tidy(ax)
    ax.locator_params(axis="x", nbins=4)


def _ridges(ax: Axes, panel: _Panel, implied: PriorImplied) -> None:
    """One histogram per row, the estimate from the data on it."""
    quantity, rows = panel.quantity, panel.rows
    keys = list(rows[["quantity", "level", "variable"]].itertuples(index=False, name=None))
    values = [implied.draws[key] for key in keys]
    values = [v[np.isfinite(v)] for v in values]
    estimates = rows["data"].to_numpy(dtype=np.float64)
    if quantity == "sd":  # orders of magnitude
        values = [np.log10(v[v > 0]) for v in values]
        with np.errstate(divide="ignore"):
            estimates = np.log10(estimates)
    low, high = _limits(quantity, values, estimates)
    edges = np.linspace(low, high, _BINS + 1)
    for i, (sample, estimate) in enumerate(zip(values, estimates, strict=True)):
        counts = histogram(sample, edges)
        shape = 0.85 * counts / max(int(counts.max()), 1)
        base = len(values) - 1 - i
        ax.stairs(
            base + shape, edges, baseline=base, fill=True, color=REFERENCE, alpha=0.35, gid="prior"
        )
        if np.isfinite(estimate):
            place = float(np.clip(estimate, low, high))
            ax.plot([place, place], [base, base + 0.85], color=_DATA, linewidth=1.6, gid="data")
    ax.set_xlim(low, high)
    ax.set_ylim(-0.1, len(values) + 0.1)
    ax.set_title(panel.title, loc="left", size=9, weight="bold", pad=3)
    tidy(ax)
    ax.spines["left"].set_visible(False)
    ax.set_yticks([len(values) - 1 - i + 0.35 for i in range(len(values))])
    ax.set_yticklabels(panel.labels)
    ax.tick_params(axis="y", length=0, labelcolor=_DATA)
    widest = text_width(panel.labels, 8)
    ax.xaxis.set_major_locator(MaxNLocator(3 if widest > 0.8 else 4))
    if quantity == "sd":
        ticks = _log_ticks(low, high)
        ax.set_xticks(np.log10(ticks), [f"{v:g}" for v in ticks])


def _log_ticks(low: float, high: float) -> FloatArray:
    """Round numbers between 10^low and 10^high: few, but two if there are two."""
    ticks = np.empty(0)
    for digits in ((1,), (1, 3), (1, 2, 5)):
        decades = 10.0 ** np.arange(np.floor(low), np.ceil(high) + 1)
        ticks = (decades[:, None] * np.array(digits)).ravel()
        ticks = ticks[(np.log10(ticks) >= low) & (np.log10(ticks) <= high)]
        if len(ticks) >= 3:
            break
    return ticks[:: -(-len(ticks) // 4)]


def _limits(
    quantity: str, values: Sequence[FloatArray], estimates: FloatArray
) -> tuple[float, float]:
    if quantity in _LIMITS:
        return _LIMITS[quantity]
    ends = [central_range(v, 0.98) for v in values if len(v)]
    finite = estimates[np.isfinite(estimates)]
    everything = np.concatenate([*ends, finite]) if ends or len(finite) else np.zeros(1)
    low, high = float(everything.min()), float(everything.max())
    return low - 0.1, high + 0.1
