"""The methods of Fit hand over the right draws; nothing is sampled."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import bayes_msem as bm

MODEL = """
level: within
    y ~ rv("s")*x
level: between
    y ~ w
    s ~ w
    y ~~ s
"""
J = 25


@pytest.fixture(scope="module")
def fit() -> bm.Fit:
    rng = np.random.default_rng(5)
    cluster = np.repeat(np.arange(J), 6)
    frame = pd.DataFrame({"g": cluster, "w": rng.normal(size=J)[cluster]})
    frame[["x", "y"]] = rng.normal(size=(len(cluster), 2))
    made = bm.Fit(bm.Model(MODEL, frame, cluster="g"), xr.DataTree())
    rows = made.model.table.rows
    draws = {r.key: rng.normal(1 + i, 0.1, (2, 60)) for i, r in enumerate(rows)}
    draws["between", "y", "~~", "s"] = rng.uniform(-0.5, 0.5, (2, 60))
    effects = xr.Dataset(
        {
            "effects": (
                ("chain", "draw", "cluster_id", "effect"),
                rng.normal(size=(2, 60, J, 2)),
            )
        },
        coords={"cluster_id": [str(j) for j in range(J)], "effect": ["y", "s"]},
    )
    vars(made).update(draws=draws, cluster_draws=effects)  # in place of the cached properties
    return made


def labels(svg: str) -> dict[str, list[str]]:
    root = ET.fromstring(svg)
    groups = [g for g in root.iter() if g.get("class") == "label"]
    return {str(g.get("data-row")): [t.text or "" for t in list(g)[1:]] for g in groups}


def test_the_diagram_shows_posterior_means_and_intervals(fit: bm.Fit) -> None:
    shown = labels(fit.diagram(ci=0.8).svg)
    key = ("between", "s", "~", "w")
    x = fit.draws[key]
    mean, ends = shown["between: s ~ w"]
    assert mean == f"{x.mean():.2f}"
    low, high = np.quantile(x, [0.1, 0.9])
    assert ends == f"[{low:.2f}, {high:.2f}]"
    assert shown["within: y ~ x"] == ["s"]
    node = re.search(r'data-name="y" data-intercept="between: y ~ 1".*?</g>', fit.diagram().svg)
    assert node is not None
    assert f">{fit.draws['between', 'y', '~', '1'].mean():.2f}<" in node[0]
    assert fit.diagram(estimates=False).svg == fit.model.diagram().svg
    with pytest.raises(bm.MsemError, match="ci=80"):
        fit.diagram(ci=80)


def test_figures_of_a_fit(fit: bm.Fit) -> None:
    free = sum(r.free > 0 for r in fit.model.table.rows)
    assert len(fit.plot_prior_posterior().axes) == free
    assert len(fit.plot_prior_posterior("within").axes) == 1
    assert len(fit.plot_rank("between").axes) == len(fit.plot_rank().axes) - 2
    (ax,) = fit.plot_regression("y", "x", figsize=(6, 4)).axes
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("x", "y")
    between, within = fit.plot_levels("x", "y", between="w").axes
    assert (between.get_xlabel(), within.get_xlabel()) == ("w", "x − cluster mean")
    assert "correlations" in [
        a.get_gid() for a in fit.plot_effect_correlations().axes[0].get_children()
    ]


def test_figures_have_the_size_asked_for(fit: bm.Fit) -> None:
    for figure in (
        fit.plot_rank(figsize=(6, 4)),
        fit.plot_prior_posterior(figsize=(6, 4)),
        fit.plot_regression("y", "x", figsize=(6, 4)),
        fit.plot_levels("x", "y", between="w", figsize=(6, 4)),
        fit.plot_effect_correlations(figsize=(6, 4)),
    ):
        assert tuple(figure.get_size_inches()) == (6, 4)
