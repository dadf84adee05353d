"""Diagrams of standardised values: numbers by hand from the draws, in unchanged places."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

import bayes_msem as bm
from bayes_msem.plotting.diagram import draw_diagram
from bayes_msem.posterior.intervals import means_and_intervals
from tests.checking.laplace import laplace_fit
from tests.plotting.diagram_models import Picture, read_picture

MODEL = """
level: within
    fw =~ y1 + y2 + y3
    fw ~ x
    y1 ~~ y2
level: between
    fb =~ y1 + y2 + y3
    fb ~ w
"""
J, N = 40, 8
Draws = NDArray[np.float64]


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(11)
    g = np.repeat(np.arange(J), N)
    made = pd.DataFrame({"g": g, "w": rng.normal(0, 2, J)[g], "x": rng.normal(0, 3, J * N)})
    factor = 0.4 * made["x"] + rng.normal(size=J * N)
    between = (0.5 * made["w"].to_numpy()[::N] + rng.normal(size=J))[g]
    for i, (a, b) in enumerate([(1.0, 1.0), (0.7, 0.9), (1.3, 1.1)], 1):
        made[f"y{i}"] = a * factor + b * between + rng.normal(size=J * N)
    return made


@pytest.fixture(scope="module")
def fit(frame: pd.DataFrame) -> bm.Fit:
    return laplace_fit(bm.Model(MODEL, frame, cluster="g"))


@pytest.fixture(scope="module")
def by_hand(fit: bm.Fit, frame: pd.DataFrame) -> dict[str, Draws]:
    """Standardised within: variances of the factor and of an indicator, draw by draw."""
    sd, d = frame["x"].std(ddof=0), fit.draws
    slope, rest = d["within: fw ~ x"], d["within: fw ~~ fw"]
    factor = slope**2 * sd**2 + rest
    loading, error = d["within: fw =~ y2"], d["within: y2 ~~ y2"]
    total = loading**2 * factor + error
    return {
        "within: fw ~ x": slope * sd / np.sqrt(factor),
        "within: fw ~~ fw": rest / factor,
        "within: fw =~ y2": loading * np.sqrt(factor / total),
        "within: y2 ~~ y2": error / total,
        "within: y1 ~~ y2": d["within: y1 ~~ y2"] / np.sqrt(d["within: y1 ~~ y1"] * error),
    }


def numbers(picture: Picture, row: str) -> list[float]:
    """Mean, lower and upper limit, as they are written."""
    mean, ends = picture.texts[row]
    return [float(t.replace("−", "-")) for t in (mean, *ends.strip("[]").split(", "))]


def test_standardised_means_and_intervals(fit: bm.Fit, by_hand: dict[str, Draws]) -> None:
    drawn = read_picture(fit.diagram(standardized=True, ci=0.8).svg)
    for row, values in by_hand.items():
        wanted = [values.mean(), *np.quantile(values, [0.1, 0.9])]
        assert numbers(drawn, row) == pytest.approx(wanted, abs=0.005 + 1e-9), row
    assert len(drawn.texts["within: fw =~ y1"]) == 2  # a marker, which is 1 only in raw units
    raw = read_picture(fit.diagram(ci=0.8).svg)
    assert raw.texts["within: fw =~ y1"] == ["1"]


def test_true_is_std_all_and_hdi_is_taken(fit: bm.Fit) -> None:
    assert fit.diagram(standardized=True).svg == fit.diagram(standardized="std_all").svg
    table = fit.standardized(0.8, ci_kind="hdi").set_index(["level", "lhs", "op", "rhs"])
    drawn = read_picture(fit.diagram(standardized=True, ci=0.8, ci_kind="hdi").svg)
    row = table.loc[("between", "fb", "~", "w"), ["mean", "lower", "upper"]]
    assert numbers(drawn, "between: fb ~ w") == pytest.approx(row.tolist(), abs=0.006)


def test_std_lv_leaves_observed_variables_in_their_units(
    fit: bm.Fit, frame: pd.DataFrame, by_hand: dict[str, Draws]
) -> None:
    drawn = read_picture(fit.diagram(standardized="std_lv", ci=0.8).svg)
    slope = by_hand["within: fw ~ x"] / frame["x"].std(ddof=0)
    assert numbers(drawn, "within: fw ~ x")[0] == pytest.approx(slope.mean(), abs=0.005)
    error = fit.draws["within: y2 ~~ y2"]
    assert numbers(drawn, "within: y2 ~~ y2")[0] == pytest.approx(error.mean(), abs=0.005)
    rest = by_hand["within: fw ~~ fw"]
    assert numbers(drawn, "within: fw ~~ fw")[0] == pytest.approx(rest.mean(), abs=0.005)


def test_all_diagrams_of_a_model_have_everything_in_the_same_place(fit: bm.Fit) -> None:
    plain, *others = (
        fit.model.diagram().scene,
        fit.diagram().scene,
        fit.diagram(ci=0.9).scene,
        fit.diagram(standardized=True).scene,
        fit.diagram(standardized="std_lv", ci=0.9).scene,
    )
    for other in others:
        assert (other.width, other.height) == (plain.width, plain.height)
        assert [(n.level, n.node.name, n.box) for n in other.nodes] == [
            (n.level, n.node.name, n.box) for n in plain.nodes
        ]
        for one, two in zip(other.edges, plain.edges, strict=True):
            assert one.edge.row.key == two.edge.row.key
            np.testing.assert_array_equal(one.curve, two.curve)
            np.testing.assert_array_equal(one.heads, two.heads)
            assert one.dot == two.dot
        rooms = {label.edge.row.key: label.room for label in other.labels}
        for label in plain.labels:
            assert rooms[label.edge.row.key] == label.room


def test_what_has_no_standardised_value_gets_a_dash() -> None:
    """A residual variance fixed at zero leaves nothing for a correlation to be computed from."""
    rng = np.random.default_rng(3)
    frame = pd.DataFrame(rng.normal(size=(60, 3)), columns=["x", "m", "y"])
    fit = laplace_fit(bm.Model("m + y ~ x\nm ~~ y", frame))
    draws = fit.draws["m ~~ m"]
    assert (draws > 0).all()
    key = ("within", "m", "~~", "y")
    standardised = fit._solution().standardized_draws("std_all")
    broken = standardised | {key: np.full_like(draws, np.nan)}
    means, limits = means_and_intervals(broken, 0.9, "eti")
    drawn = read_picture(draw_diagram(fit.model.table, means, limits).svg)
    assert drawn.texts["within: m ~~ y"] == ["–"]
    assert len(drawn.texts["within: m ~ x"]) == 2


def test_odd_arguments_are_refused_with_the_way_out(fit: bm.Fit) -> None:
    with pytest.raises(bm.MsemError, match=r"use 'std_lv' or 'std_all'; did you mean 'std_all'"):
        fit.diagram(standardized="std.all")  # type: ignore[arg-type]
    with pytest.raises(bm.MsemError, match=r"must be True, False, 'std_lv' or 'std_all', got 2"):
        fit.diagram(standardized=2)  # type: ignore[arg-type]
    with pytest.raises(bm.MsemError, match="leave one of the two out"):
        fit.diagram(estimates=False, standardized=True)
    with pytest.raises(bm.MsemError, match="ci=80"):
        fit.diagram(standardized=True, ci=80)
