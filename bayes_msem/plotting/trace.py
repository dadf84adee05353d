"""Trace plot: density and trace of every chain, for every row that varies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from bayes_msem.plotting.canvas import CHAIN_COLOURS, MUTED, NotebookFigure
from bayes_msem.plotting.select import RowSelector, select_rows, varying_rows
from bayes_msem.posterior.distributions import draws_density
from bayes_msem.posterior.summary import diagnostics
from bayes_msem.spec.row_names import formula
from bayes_msem.spec.table import ParameterTable, Row, RowKey

__all__ = ["trace"]

FloatArray = NDArray[np.float64]

_POINTS = 30  # draws per chain below which they are marked one by one
_WRAP = 16  # more rows than this go into two blocks, side by side
_TITLE, _AXES, _TICKS = 0.24, 0.62, 0.3  # heights of the parts of a row, in inches
_DENSITY, _TRACE, _SPACE = 1.9, 4.1, 0.55  # widths
_MARGIN, _LEGEND = 0.2, 0.35


def trace(
    table: ParameterTable,
    draws: Mapping[RowKey, FloatArray],
    *,
    level: str | None = None,
    rows: Sequence[RowSelector] | RowSelector | None = None,
    figsize: tuple[float, float] | None = None,
) -> NotebookFigure:
    """Draw the density and the trace of every chain.

    Chains that agree have the same density and traces that cannot be told apart. Variances are
    drawn as variances.

    Parameters
    ----------
    table
        The parameter table.
    draws
        Row key -> draws (chain, draw). Constants are left out.
    level, rows, figsize
        As in :meth:`bayes_msem.Fit.plot_trace`, and so are the figure and the errors.
    """
    shown, note = varying_rows(select_rows(table, level, rows), draws, "traces")
    values = np.stack([draws[r.key] for r in shown], axis=-1)
    n_blocks = 2 if len(shown) > _WRAP else 1
    per_block = -(-len(shown) // n_blocks)
    pitch = _TITLE + _AXES + _TICKS
    block = 2 * _SPACE + _DENSITY + _TRACE
    width, height = n_blocks * block + _MARGIN, per_block * pitch + _LEGEND + _MARGIN
    figure = NotebookFigure(figsize=figsize or (width, height), dpi=100)
    statistics = diagnostics(values)
    for i, row in enumerate(shown):
        left = (i // per_block) * block + _SPACE
        bottom = height - _MARGIN - (i % per_block) * pitch - _TITLE - _AXES
        boxes = [(left, _DENSITY), (left + _DENSITY + _SPACE, _TRACE)]
        density, path = (
            figure.add_axes((x / width, bottom / height, w / width, _AXES / height))
            for x, w in boxes
        )
        _draw_density(density, row, values[..., i])
        _draw_trace(path, values[..., i], statistics[i])
        if table.two_level:
            path.set_title(row.level, loc="left", size=8, color=MUTED, pad=3)
    handles = [
        Line2D([], [], color=_colour(c), label=f"chain {c + 1}") for c in range(values.shape[0])
    ]
    if note:
        figure.text(0.01, 1 - 0.02 / height, note, size=7, color=MUTED, va="top", gid="note")
    figure.legend(
        handles=handles,
        loc="lower center",
        ncols=min(8, len(handles)),
        frameon=False,
        fontsize=9,
        bbox_to_anchor=(0.5, 0.02 / height),
    )
    return figure


def _draw_density(ax: Axes, row: Row, values: FloatArray) -> None:
    for chain, x in enumerate(values):
        style: dict[str, Any] = {"color": _colour(chain), "linewidth": 1.1}
        gid = f"density {chain + 1}"
        if np.ptp(x) > 0:
            grid, density = draws_density(x)
            ax.plot(grid, density, gid=gid, **style)
        else:  # a chain that never moved has no density
            ax.axvline(x[0], linestyle="--", gid=gid, **style)
    ax.set_title(formula(row), loc="left", size=9, weight="bold", pad=3)
    ax.set_yticks([])
    ax.set_ylim(bottom=0)
    ax.xaxis.set_major_locator(MaxNLocator(4))
    _tidy(ax)
    ax.spines["left"].set_visible(False)


def _draw_trace(ax: Axes, values: FloatArray, statistics: FloatArray) -> None:
    for chain, x in enumerate(values):
        style: dict[str, Any] = {"linewidth": 0.4, "alpha": 0.8}
        if len(x) < _POINTS:  # a line of one draw would not be seen
            style = {"linewidth": 0.6, "marker": "o", "markersize": 2.5}
        ax.plot(np.arange(len(x)), x, color=_colour(chain), gid=f"chain {chain + 1}", **style)
    bulk, _, r_hat = statistics
    known = [f"R-hat {r_hat:.3f}"] * bool(np.isfinite(r_hat))  # one chain has none
    known += [f"bulk ESS {bulk:.0f}"] * bool(np.isfinite(bulk))
    ax.set_title(", ".join(known), loc="right", size=8, color=MUTED, pad=3)
    ax.set_xlim(0, max(values.shape[1] - 1, 1))
    ax.yaxis.set_major_locator(MaxNLocator(3))
    _tidy(ax)


def _tidy(ax: Axes) -> None:
    ax.tick_params(labelsize=7, color=MUTED, labelcolor=MUTED, length=2)
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(MUTED)


def _colour(chain: int) -> str:
    return CHAIN_COLOURS[chain % len(CHAIN_COLOURS)]
