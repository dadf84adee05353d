"""Forest plot: means and intervals of all rows, one panel per level and kind.

Every panel has its own scale. Variances start at zero, because they cannot be below; where a
reference value is negative nevertheless (maximum likelihood allows it), the panel is opened to
the left and what is below zero is shaded.

Sizes are in inches: one row has the same height in every panel, whatever their number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from bayes_msem.errors import SpecificationError
from bayes_msem.plotting.canvas import ESTIMATE, MUTED, REFERENCE, NotebookFigure, text_width
from bayes_msem.plotting.select import RowSelector, no_number, select_rows
from bayes_msem.posterior.enough import check_enough
from bayes_msem.posterior.intervals import INNER, row_intervals
from bayes_msem.posterior.summary import INTERVAL_NAMES, IntervalKind, check_interval
from bayes_msem.posterior.tables import KIND_TITLES
from bayes_msem.spec.row_names import by_key, formula
from bayes_msem.spec.table import ParameterTable, Row, RowKey

__all__ = ["forest"]

FloatArray = NDArray[np.float64]

_ROW, _TITLE, _AXIS, _PLOT = 0.24, 0.34, 0.34, 3.6  # heights of the parts of a panel; its width
_PAIR_ROW = 0.32  # height of a row with a reference value below the interval
_ABOVE, _BELOW = -0.14, 0.22  # offsets of interval and reference in such a row
_MARGIN, _GAP, _LEGEND_ROW = 0.15, 0.35, 0.24
_SIZE = 9.0  # of the labels, in points


@dataclass(frozen=True, slots=True)
class _Panel:
    """One panel: a level, a kind, and its rows with what is drawn of them."""

    title: str
    rows: tuple[Row, ...]
    mean: FloatArray  # (row,)
    inner: FloatArray  # (2, row); NaN for constants
    outer: FloatArray  # (2, row); NaN for constants
    reference: FloatArray  # (row,); NaN where there is none
    words: tuple[str, ...]  # in place of numbers where there are none; empty elsewhere

    @property
    def shown(self) -> NDArray[np.bool_]:
        """Which rows vary over the draws."""
        varies: NDArray[np.bool_] = ~np.isnan(self.outer[0])
        return varies

    @property
    def fixed(self) -> NDArray[np.bool_]:
        """Which rows are constants."""
        return ~self.shown & ~np.isnan(self.mean)

    @property
    def has_reference(self) -> bool:
        """Whether any row has a reference value."""
        return not bool(np.isnan(self.reference).all())

    @property
    def body(self) -> float:
        """Height of the axes in inches."""
        return (_PAIR_ROW if self.has_reference else _ROW) * len(self.rows)

    @property
    def height(self) -> float:
        """Height with title and tick labels in inches."""
        return _TITLE + self.body + _AXIS


def forest(
    table: ParameterTable,
    draws: Mapping[RowKey, FloatArray],
    *,
    level: str | None = None,
    rows: Sequence[RowSelector] | RowSelector | None = None,
    ci: float = 0.95,
    ci_kind: IntervalKind = "eti",
    reference: Mapping[Any, float] | None = None,
    reference_label: str = "reference",
    figsize: tuple[float, float] | None = None,
) -> NotebookFigure:
    """Draw posterior means and intervals.

    Parameters
    ----------
    table
        The parameter table.
    draws
        Row key -> draws (chain, draw). Rows whose draws are all equal are constants.
    level, rows, ci, ci_kind, reference, reference_label, figsize
        As in :meth:`bayes_msem.Fit.plot_forest`, and so are the figure and the errors.
    """
    check_interval(ci, ci_kind)
    chosen = select_rows(table, level, rows)
    check_enough(draws[chosen[0].key].size, 2, "an interval")
    marked = by_key(table.rows, reference or {}, what="reference")
    if all(row.random for row in chosen):
        raise SpecificationError(f"nothing to draw: {'; '.join(map(_varies, chosen))}")
    columns: dict[str, list[_Panel]] = {}
    for lev in dict.fromkeys(r.level for r in chosen):
        for kind, title in KIND_TITLES.items():
            members = tuple(r for r in chosen if r.level == lev and r.kind == kind)
            if members:
                panel = _panel(title, members, draws, ci, ci_kind, marked)
                columns.setdefault(lev, []).append(panel)
    levels = [x for x in columns if x]
    if "" in columns and levels:  # defined parameters go where there is room
        shortest = min(levels, key=lambda x: sum(p.height for p in columns[x]))
        columns[shortest] += columns.pop("")
    handles = _handles(columns, ci, ci_kind, reference_label)
    return _draw(columns, handles, figsize)


def _panel(
    title: str,
    rows: tuple[Row, ...],
    draws: Mapping[RowKey, FloatArray],
    ci: float,
    ci_kind: IntervalKind,
    reference: Mapping[RowKey, float],
) -> _Panel:
    found = row_intervals(rows, draws, ci, ci_kind)
    marks = np.array([float(reference.get(r.key, np.nan)) for r in rows])
    marks[np.isnan(found.outer[0])] = np.nan  # a constant is the same in both
    words = tuple(
        no_number(row, draws[row.key]) if np.isnan(mean) else ""
        for row, mean in zip(rows, found.mean, strict=True)
    )
    return _Panel(title, rows, found.mean, found.inner, found.outer, marks, words)


def _varies(row: Row) -> str:
    return (
        f"'{formula(row)}' varies over clusters; plot_clusters('{row.random}') shows it, and "
        f"its distribution is that of '{row.random}' at level between"
    )


def _draw(
    columns: Mapping[str, Sequence[_Panel]],
    handles: Sequence[Artist],
    figsize: tuple[float, float] | None,
) -> NotebookFigure:
    """Place panels in columns, one per level, and the legend below."""
    labels = {
        lev: text_width([formula(r) for p in panels for r in p.rows], _SIZE) + 0.15
        for lev, panels in columns.items()
    }
    width = sum(labels.values()) + _PLOT * len(columns) + _GAP * (len(columns) - 1) + 2 * _MARGIN
    per_row = _legend_columns(handles, width - 2 * _MARGIN) if handles else 1
    legend = _LEGEND_ROW * -(-len(handles) // per_row) + 0.15
    head = 0.45 if any(columns) else 0.1
    body = max(sum(p.height for p in panels) for panels in columns.values())
    height = head + body + legend + _MARGIN
    figure = NotebookFigure(figsize=figsize or (width, height), dpi=100)

    def axes(x: float, top: float, size: float) -> Axes:
        box = (x / width, 1 - (top + size) / height, _PLOT / width, size / height)
        return figure.add_axes(box)

    x = _MARGIN
    for lev, panels in columns.items():
        if lev:
            figure.text(x / width, 1 - 0.3 / height, lev, size=12, weight="bold", va="center")
        top, x = head, x + labels[lev]
        for panel in panels:
            _draw_panel(axes(x, top + _TITLE, panel.body), panel)
            top += panel.height
        x += _PLOT + _GAP
    if handles:  # there are none where no row has a number
        figure.legend(
            handles=list(handles),
            loc="lower center",
            ncols=per_row,
            frameon=False,
            fontsize=_SIZE,
            bbox_to_anchor=(0.5, 0.05 / height),
        )
    return figure


def _draw_panel(ax: Axes, panel: _Panel) -> None:
    y, fixed, shown = np.arange(len(panel.rows), dtype=np.float64), panel.fixed, panel.shown
    marked = ~np.isnan(panel.reference)
    at = np.where(marked, y + _ABOVE, y)
    free = at[shown]
    ax.hlines(free, *panel.outer[:, shown], color=ESTIMATE, linewidth=1.3, gid="outer")
    if not np.isnan(panel.inner).all():
        ax.hlines(free, *panel.inner[:, shown], color=ESTIMATE, linewidth=4.0, gid="inner")
    ax.plot(panel.mean[shown], free, **_MEAN, gid="mean")
    ax.plot(panel.mean[fixed], at[fixed], **_FIXED, gid="fixed")
    ax.plot(panel.reference[marked], y[marked] + _BELOW, **_MARK, gid="reference")
    ax.set_title(panel.title, loc="left", size=10, color=MUTED, pad=4)
    ax.set_yticks(y, [formula(r) for r in panel.rows], size=_SIZE)
    ax.set_ylim(len(panel.rows) - 0.5, -0.5)
    ax.tick_params(axis="y", length=0)
    ax.tick_params(axis="x", labelsize=8, color=MUTED, labelcolor=MUTED)
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.spines["bottom"].set_color(MUTED)
    ax.set_axisbelow(True)
    ax.grid(axis="x", color="0.92", linewidth=0.8)
    ax.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    for i, text in enumerate(panel.words):
        if text:
            place: dict[str, Any] = {"transform": ax.get_yaxis_transform(), "va": "center_baseline"}
            ax.text(0.02, i, text, size=8, style="italic", color=MUTED, gid="words", **place)
    if np.isnan(panel.mean).all():  # words alone: there is no scale
        ax.spines["bottom"].set_visible(False)
        ax.grid(False)
        ax.set_xticks([])
        return
    _set_limits(ax, panel)


def _set_limits(ax: Axes, panel: _Panel) -> None:
    """Zero line; variances from zero, unless a reference value is below."""
    if panel.rows[0].kind != "variance":
        lower, upper = ax.get_xlim()
        if lower < 0 < upper:
            ax.axvline(0, color=MUTED, linewidth=0.8, linestyle="--", zorder=0.5)
        return
    shown = [panel.mean, panel.outer[1], panel.reference]
    upper = max(float(np.nanmax(v)) for v in shown if not np.isnan(v).all()) * 1.04 or 1.0
    worst = float(np.nanmin([0.0, *panel.reference, *panel.mean]))
    if worst == 0:
        ax.set_xlim(-0.012 * upper, upper)  # room for half a marker at zero
        ax.axvline(0, color=MUTED, linewidth=0.8, zorder=0.5)
        return
    lower = min(1.5 * worst, worst - 0.05 * upper)
    ax.set_xlim(lower, upper)
    ax.axvspan(lower, 0, color=REFERENCE, alpha=_SHADE, linewidth=0, zorder=0, gid="negative")
    ax.axvline(0, color=MUTED, linewidth=0.8, zorder=0.5)
    for i in np.flatnonzero(panel.reference < 0):
        value = panel.reference[i]
        ax.annotate(
            f"{value:.2g}".replace("-", "−"),
            (value, i + _BELOW),
            (6, 0),
            textcoords="offset points",
            va="center_baseline",
            size=8,
            color=REFERENCE,
            weight="bold",
        )


_SHADE = 0.15  # opacity
_MEAN: dict[str, Any] = {
    "linestyle": "",
    "marker": "o",
    "color": "white",
    "markeredgecolor": ESTIMATE,
    "markersize": 5.0,
    "markeredgewidth": 1.5,
}
_FIXED: dict[str, Any] = {
    "linestyle": "",
    "marker": "s",
    "color": "white",
    "markeredgecolor": MUTED,
    "markersize": 5.0,
}
_MARK: dict[str, Any] = {
    "linestyle": "",
    "marker": "D",
    "color": REFERENCE,
    "markeredgecolor": "white",
    "markersize": 6.0,
    "markeredgewidth": 0.7,
    "zorder": 3,
}


def _handles(
    columns: Mapping[str, Sequence[_Panel]], ci: float, ci_kind: IntervalKind, reference_label: str
) -> list[Artist]:
    panels = [p for column in columns.values() for p in column]
    handles: list[Artist] = []
    if any(p.shown.any() for p in panels):
        handles.append(Line2D([], [], label="posterior mean", **_MEAN))
        if ci > INNER:
            label = f"{INNER:.0%} {ci_kind.upper()}"
            handles.append(Line2D([], [], color=ESTIMATE, linewidth=4.0, label=label))
        label = f"{100 * ci:g}% {INTERVAL_NAMES[ci_kind]}"
        handles.append(Line2D([], [], color=ESTIMATE, linewidth=1.3, label=label))
    if any(p.fixed.any() for p in panels):
        handles.append(Line2D([], [], label="fixed", **_FIXED))
    if any(p.has_reference for p in panels):
        handles.append(Line2D([], [], label=reference_label, **_MARK))
    if any((p.reference < 0).any() for p in panels if p.rows[0].kind == "variance"):
        handles.append(Patch(color=REFERENCE, alpha=_SHADE, label="negative variance", linewidth=0))
    return handles


def _legend_columns(handles: Sequence[Artist], width: float) -> int:
    """Entries per row: all if they fit, else as equal as can be."""
    entries = [text_width([str(h.get_label())], _SIZE) + 0.65 for h in handles]
    fitting = next(n for n in range(len(entries), 0, -1) if n == 1 or _fits(entries, n, width))
    return -(-len(entries) // -(-len(entries) // fitting))


def _fits(entries: Sequence[float], columns: int, width: float) -> bool:
    """Whether entries fit when they fill the columns one after the other."""
    n_rows = -(-len(entries) // columns)
    widest = [max(entries[i : i + n_rows]) for i in range(0, len(entries), n_rows)]
    return sum(widest) <= width
