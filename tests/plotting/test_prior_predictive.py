"""The figure shows the numbers of the table and the replicated data."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes

import bayes_msem as bm
from bayes_msem.checking.priors.prior_implied import PriorImplied
from bayes_msem.errors import SpecificationError
from bayes_msem.plotting.prior_predictive import prior_predictive
from tests.random.models import build, case


@pytest.fixture(scope="module")
def implied() -> PriorImplied:
    return build(case("everything")).prior_implied(draws=60, random_seed=1)


def marks(ax: Axes, gid: str) -> list[Any]:
    return [a for a in ax.get_children() if a.get_gid() == gid]


def panel(figure: Any, title: str) -> Axes:
    return next(ax for ax in figure.axes if ax.get_title(loc="left") == title)


def test_ridges_carry_the_estimates_and_the_prior(implied: PriorImplied) -> None:
    figure = prior_predictive(implied)
    table = pd.DataFrame(implied.table)
    for title, quantity, level in (
        ("ICC(1)", "icc", ""),
        ("SD between", "sd", "between"),
        ("correlation within", "correlation", "within"),
    ):
        ax = panel(figure, title)
        rows = table[(table["quantity"] == quantity) & (table["level"] == level)]
        if len(rows) > 12:
            rows = rows.loc[rows["p"].nsmallest(12).index].sort_index()
        assert [t.get_text() for t in ax.get_yticklabels()] == list(rows["variable"])
        shown = [mark.get_xdata()[0] for mark in marks(ax, "data")]
        expected = rows["data"].to_numpy()
        if quantity == "sd":
            expected = np.log10(expected[expected > 0])  # no mark where the estimate is 0
        if quantity == "icc":
            expected = np.maximum(expected, 0.0)
        np.testing.assert_allclose(shown, expected[np.isfinite(expected)], atol=1e-12)
    ax = panel(figure, "ICC(1)")
    first = marks(ax, "prior")[0]
    values, edges, base = first.get_data()
    counts, _ = np.histogram(implied.draws["icc", "", "y1"], edges)
    np.testing.assert_allclose(values - base, 0.85 * counts / counts.max())


def test_densities_of_data_and_replicates(implied: PriorImplied) -> None:
    figure = prior_predictive(implied, variables=["y1", "z1"])
    titles = {ax.get_title(loc="left") for ax in figure.axes}
    assert {"y1", "z1"} <= titles
    assert "y2" not in titles
    ax = panel(figure, "y1")
    (line,) = marks(ax, "data")
    x, height = line.get_data()
    mean = np.trapezoid(x * height, x) / np.trapezoid(height, x)
    assert mean == pytest.approx(implied.observed["y1"].mean(), abs=0.1)
    assert len(marks(ax, "replicated")) == 50
    left, right = ax.get_xlim()
    outside = ((implied.replicated["y1"] < left) | (implied.replicated["y1"] > right)).mean()
    assert ax.get_title(loc="right") == f"{100 * outside:.0f}% outside"


def test_the_method_of_the_model_and_its_errors() -> None:
    model = bm.Model("mach ~ ses", data=bm.load_dataset("hsb"))
    figure = model.plot_prior_predictive(50, random_seed=1, figsize=(6, 4))
    assert tuple(figure.get_size_inches()) == (6, 4)
    figure.canvas.draw()
    with pytest.raises(SpecificationError, match=r"'macc' is no outcome.*mach"):
        model.plot_prior_predictive(50, variables="macc")
    with pytest.raises(SpecificationError, match="nothing to show"):
        model.plot_prior_predictive(50, variables=[])
