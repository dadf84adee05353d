"""Saving, report and figures of fits with outcomes that are not normal."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import bayes_msem as bm
from tests.posterior.made_up import synthetic_fit
from tests.posterior.outcome_fits import ITEMS, WORDS, make_data, single_model


def test_a_saved_fit_is_the_same(outcome_fit: bm.Fit, tmp_path: Path) -> None:
    outcome_fit.save(tmp_path / "fit.nc")
    again = bm.load(tmp_path / "fit.nc")
    assert again.model.observed.categories == {
        "y1": tuple(WORDS),
        "y2": (0, 1, 2, 3),
        "y3": (0, 1, 2, 3),
    }
    assert np.array_equal(again.model.observed.y, outcome_fit.model.observed.y, equal_nan=True)
    pd.testing.assert_frame_equal(again.summary(), outcome_fit.summary())
    pd.testing.assert_frame_equal(again.scores(), outcome_fit.scores())
    pd.testing.assert_frame_equal(
        again.predict(kind="probability"), outcome_fit.predict(kind="probability")
    )


def test_a_saved_fit_of_one_level(tmp_path: Path) -> None:
    fit = synthetic_fit(single_model(), draws=5)
    fit.save(tmp_path / "fit.nc")
    pd.testing.assert_frame_equal(bm.load(tmp_path / "fit.nc").scores(), fit.scores())


@pytest.mark.parametrize("kind", ["intervals", "numbers", "truth"])
def test_labels_keep_their_type_and_order(kind: str, tmp_path: Path) -> None:
    data = make_data()
    if kind == "intervals":
        data["y2"] = pd.cut(data["u2"], 4)
    elif kind == "numbers":
        order = pd.CategoricalDtype([3, 1, 0, 2], ordered=True)
        data["y2"] = data["y2"].astype("Int64").astype(order)
    else:
        data["y2"] = data["y2"] > 1
    fit = synthetic_fit(bm.Model("y2 ~ x", data=data, ordered=["y2"]), draws=5)
    fit.save(tmp_path / "fit.nc")
    again = bm.load(tmp_path / "fit.nc").model.observed
    assert again.categories == fit.model.observed.categories
    assert [type(v) for v in again.categories["y2"]] == [
        type(v) for v in fit.model.observed.categories["y2"]
    ]
    assert np.array_equal(again.y, fit.model.observed.y, equal_nan=True)


def test_summary_has_thresholds_in_their_block(outcome_fit: bm.Fit) -> None:
    table = outcome_fit.summary()
    rows = table[table["op"] == "|"]
    assert rows["level"].unique().tolist() == ["between"]
    assert rows[["lhs", "rhs"]].to_numpy().tolist() == [
        [item, f"t{k}"] for item in ITEMS for k in (1, 2, 3)
    ]
    assert (np.diff(rows["mean"].to_numpy().reshape(3, 3)) > 0).all()
    assert table["op"].tolist().index("|") > table["op"].tolist().index("~~")


@pytest.mark.slow
def test_report_and_diagram(outcome_fit: bm.Fit, tmp_path: Path) -> None:
    text = outcome_fit.report(tmp_path / "fit.html", checks=False).read_text(encoding="utf-8")
    assert "y3 | t2" in text or "t2" in text
    assert "would take all outcomes to be normal" not in text
    assert "<svg" in outcome_fit.diagram().svg
    checked = outcome_fit.report(tmp_path / "checked.html").read_text(encoding="utf-8")
    assert "category_share" in checked
    assert "share_spread" in checked


def test_no_prior_is_drawn_for_single_thresholds(outcome_fit: bm.Fit) -> None:
    figure = outcome_fit.plot_prior_posterior(rows=["y1 | t1", "fw =~ y2"])
    drawn = [{line.get_gid() for line in ax.get_lines()} for ax in figure.axes]
    assert ["prior" in gids for gids in drawn] in ([False, True], [True, False])
    titles = [ax.get_title(loc="left") for ax in figure.axes]
    assert "prior" not in drawn[titles.index("y1 | t1")]


def test_overlap_with_the_prior_of_single_thresholds(outcome_fit: bm.Fit) -> None:
    """Thresholds are order statistics of normals: their SDs by a million draws of these."""
    table = outcome_fit.prior_posterior_overlap()
    sds = table.loc[table["lhs"] == "y1"].loc[table["op"] == "|", "sd_prior"].to_numpy()
    drawn = np.sort(np.random.default_rng(1).standard_normal((1_000_000, 3)), axis=1)
    assert sds == pytest.approx(np.sqrt(3.0) * drawn.std(axis=0), rel=0.04)
