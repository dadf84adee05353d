"""What the trace plot draws, against the draws it is made from."""

from __future__ import annotations

from typing import Any

import arviz_stats as azs
import matplotlib.pyplot as plt
import numpy as np
import pytest
from numpy.typing import NDArray

from bayes_msem.errors import SpecificationError
from bayes_msem.plotting.trace import trace
from bayes_msem.spec.table import ParameterTable, Row, RowKey

Draws = dict[RowKey, NDArray[np.float64]]


def varying(table: ParameterTable, draws: Draws) -> list[Row]:
    return [r for r in table.rows if np.ptp(draws[r.key]) > 0]


def test_traces_are_the_draws(table: ParameterTable, draws: Draws) -> None:
    figure = trace(table, draws)
    rows = varying(table, draws)
    assert len(figure.axes) == 2 * len(rows)
    for row, density, path in zip(rows, figure.axes[::2], figure.axes[1::2], strict=True):
        assert density.get_title(loc="left") == f"{row.lhs} {row.op} {row.rhs}"
        assert path.get_title(loc="left") == row.level
        x = draws[row.key]
        np.testing.assert_array_equal([line.get_ydata() for line in path.lines], x)
        for line in path.lines:
            np.testing.assert_array_equal(line.get_xdata(), np.arange(x.shape[1]))


def test_densities_integrate_to_one_over_each_chain(table: ParameterTable, draws: Draws) -> None:
    figure = trace(table, draws)
    for row, density in zip(varying(table, draws), figure.axes[::2], strict=True):
        for line, x in zip(density.lines, draws[row.key], strict=True):
            grid, height = line.get_data()
            # the grid leaves out half a bin at either end, where a variance has its mode
            assert np.trapezoid(height, grid) == pytest.approx(1, abs=0.04)
            assert x.min() <= grid.min() < grid.max() <= x.max()
            below = np.trapezoid(np.where(grid < np.median(x), height, 0), grid)
            assert below == pytest.approx(0.5, abs=0.06)


def test_diagnostics_stand_above_the_trace(table: ParameterTable, draws: Draws) -> None:
    key = ("within", "fw", "~", "x")
    title = trace(table, draws, rows=key).axes[1].get_title(loc="right")
    r_hat, ess = azs.rhat(draws[key]), azs.ess(draws[key], method="bulk")
    assert title == f"R-hat {r_hat:.3f}, bulk ESS {ess:.0f}"


def test_chains_are_told_apart(table: ParameterTable, draws: Draws) -> None:
    figure = trace(table, draws, level="between", rows="regression")
    density, path = figure.axes
    colours = [line.get_color() for line in path.lines]
    assert len(set(colours)) == 3
    assert [line.get_color() for line in density.lines] == colours
    handles = figure.legends[0].legend_handles
    assert [h.get_color() for h in handles] == colours


def test_a_chain_that_never_moved(table: ParameterTable, draws: Draws) -> None:
    key = ("within", "fw", "~", "x")
    stuck = {**draws, key: draws[key].copy()}
    stuck[key][1] = 0.5
    density, path = trace(table, stuck, rows=key).axes
    assert len(density.lines) == 3
    assert density.lines[1].get_xdata() == [0.5, 0.5]  # no density: a line at its value
    assert len(path.lines) == 3


def test_size_grows_with_rows_and_wraps(table: ParameterTable, draws: Draws) -> None:
    few, many = trace(table, draws, rows="regression"), trace(table, draws)
    assert many.get_figheight() > few.get_figheight()
    assert many.get_figwidth() > few.get_figwidth()  # more than 16 rows: two blocks
    many.draw_without_rendering()
    boxes = [ax.get_tightbbox() for ax in many.axes]
    assert min(b.x0 for b in boxes) >= 0
    assert max(b.x1 for b in boxes) <= many.bbox.width
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[i + 1 :])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"level": "with"}, r"level='with' is not in this model"),
        ({"rows": "fw =~ y1"}, "constants, which have no trace"),
        ({"rows": "zz"}, "no row 'zz'"),
    ],
)
def test_bad_requests(
    table: ParameterTable, draws: Draws, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(SpecificationError, match=message):
        trace(table, draws, **options)


def test_pyplot_does_not_know_the_figure(table: ParameterTable, draws: Draws) -> None:
    before = plt.get_fignums()
    trace(table, draws, rows="regression")
    assert plt.get_fignums() == before
