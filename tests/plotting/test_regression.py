"""Lines and points of the regression figures, against formulas on synthetic draws."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bayes_msem.data.observe import observe
from bayes_msem.errors import SpecificationError
from bayes_msem.plotting.correlations import heat_map
from bayes_msem.plotting.regression import cluster_lines, level_slopes
from bayes_msem.posterior.effect_correlations import effect_correlations
from bayes_msem.posterior.lines import Posterior
from bayes_msem.spec.defaults import build_table
from bayes_msem.spec.parser import parse

MODEL = """
level: within
    y ~ rv("s")*x + v + m
    m ~ x
level: between
    y ~ m + w
    s ~ w
"""
J, CHAINS, DRAWS = 6, 2, 50


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(11)
    cluster = np.repeat(np.arange(J), [3, 4, 5, 6, 7, 8])
    columns = {k: rng.normal(i, 1 + i, len(cluster)) for i, k in enumerate("xvmy")}
    return pd.DataFrame({"g": cluster, **columns, "w": rng.normal(size=J)[cluster]})


@pytest.fixture(scope="module")
def posterior(frame: pd.DataFrame) -> Posterior:
    rng = np.random.default_rng(12)
    table = build_table(parse(MODEL), list(frame.columns), cluster="g")
    draws = {r.key: rng.normal(i, 0.2, (CHAINS, DRAWS)) for i, r in enumerate(table.rows)}
    effects = xr.Dataset(
        {
            "effects": (
                ("chain", "draw", "cluster_id", "effect"),
                rng.normal(size=(CHAINS, DRAWS, J, 3)) + rng.normal(2, 1, (J, 3)),
            )
        },
        coords={"cluster_id": [str(j) for j in range(J)], "effect": ["m", "y", "s"]},
    )
    return Posterior(table, draws, effects, observe(frame, table, "g"))


def artist(ax: Axes, gid: str) -> Any:
    return next(a for a in ax.get_children() if a.get_gid() == gid)


def fits_on_canvas(figure: Figure) -> bool:
    figure.draw_without_rendering()
    box = figure.get_tightbbox()
    assert box is not None
    width, height = figure.get_size_inches()
    return box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height


def test_lines_of_clusters_and_their_mean(posterior: Posterior, frame: pd.DataFrame) -> None:
    figure = cluster_lines(posterior, "y", "x", ci=0.8)
    (ax,) = figure.axes
    intercepts = posterior.effects["effects"].sel(effect="y").to_numpy()
    slopes = posterior.effects["effects"].sel(effect="s").to_numpy()
    held = posterior.draws["within", "y", "~", "v"] * frame["v"].mean()
    segments = artist(ax, "cluster").get_segments()
    for j, segment in enumerate(segments):
        ends = frame.loc[frame["g"] == j, "x"].agg(["min", "max"]).to_numpy()
        a = (intercepts[..., j] + held).mean()
        np.testing.assert_allclose(segment[:, 0], ends)
        np.testing.assert_allclose(segment[:, 1], a + slopes[..., j].mean() * ends)
    x, y = artist(ax, "population").get_data()
    assert (x[0], x[-1]) == (frame["x"].min(), frame["x"].max())
    lines = (intercepts.mean(-1) + held)[..., None] + slopes.mean(-1)[..., None] * x
    np.testing.assert_allclose(y, lines.mean((0, 1)))
    vertices = artist(ax, "interval").get_paths()[0].vertices
    for i in (0, 20, 49):
        ends = np.quantile(lines[..., i], [0.1, 0.9])
        heights = vertices[np.isclose(vertices[:, 0], x[i]), 1]
        assert (heights.min(), heights.max()) == pytest.approx(ends)
    assert fits_on_canvas(figure)


def test_fixed_slopes_are_parallel(posterior: Posterior) -> None:
    (ax,) = cluster_lines(posterior, "m", "x").axes
    slope = posterior.draws["within", "m", "~", "x"].mean()
    for (x0, y0), (x1, y1) in artist(ax, "cluster").get_segments():
        assert (y1 - y0) / (x1 - x0) == pytest.approx(slope)


def test_points_and_slopes_of_both_levels(posterior: Posterior, frame: pd.DataFrame) -> None:
    figure = level_slopes(posterior, "m", "y")
    means = frame.groupby("g")[["m", "y"]].mean()
    rest = frame[["m", "y"]] - means.loc[frame["g"]].to_numpy()
    for ax, level, points in zip(figure.axes, ("between", "within"), (means, rest), strict=True):
        np.testing.assert_allclose(artist(ax, "points").get_offsets(), points)
        x, y = artist(ax, "slope").get_data()
        slope = posterior.draws[level, "y", "~", "m"].mean()
        centre = points.mean()
        np.testing.assert_allclose(y, centre["y"] + slope * (x - centre["m"]), atol=1e-12)
        assert f"slope {slope:.2f}" in ax.get_title(loc="left")
    assert fits_on_canvas(figure)


def test_another_predictor_between(posterior: Posterior, frame: pd.DataFrame) -> None:
    between, within = level_slopes(posterior, "x", "y", between="w").axes
    means = frame.groupby("g")[["w", "y"]].mean()
    np.testing.assert_allclose(artist(between, "points").get_offsets(), means)
    x, y = artist(within, "slope").get_data()
    slopes = posterior.effects["effects"].sel(effect="s")
    assert (y[-1] - y[0]) / (x[-1] - x[0]) == pytest.approx(float(slopes.mean()))


def test_correlations_over_clusters(posterior: Posterior) -> None:
    names, draws = effect_correlations(posterior.effects)
    assert names == ("m", "y", "s")
    values = posterior.effects["effects"].to_numpy()
    expected = np.array([[np.corrcoef(u.T) for u in chain] for chain in values])
    np.testing.assert_allclose(draws, expected, atol=1e-12)
    figure = heat_map(posterior.effects, ci=0.8)
    ax = figure.axes[0]
    shown = np.ma.getdata(artist(ax, "correlations").get_array())
    assert shown[1, 0] == pytest.approx(expected[..., 2, 0].mean())
    assert shown[0, 0] == pytest.approx(expected[..., 1, 0].mean())
    low, high = np.quantile(expected[..., 2, 1], [0.1, 0.9])
    text = f"{expected[..., 2, 1].mean():.2f}\n[{low:.2f}, {high:.2f}]".replace("-", "−")
    assert text in [t.get_text() for t in ax.texts]
    assert len(ax.texts) == 3
    assert fits_on_canvas(figure)


def test_effects_that_do_not_vary_have_no_correlation(posterior: Posterior) -> None:
    constant = posterior.effects.copy(deep=True)
    constant["effects"].loc[{"effect": "y"}] = 1.5
    assert effect_correlations(constant)[0] == ("m", "s")
    constant["effects"].loc[{"effect": "s"}] = 0.5
    with pytest.raises(SpecificationError, match=r"needs two random effects; this model has m$"):
        heat_map(constant)


@pytest.mark.parametrize(
    ("function", "arguments", "message"),
    [
        (cluster_lines, ("y", "z"), r"no row 'y ~ z' at level within.*It has y ~ x"),
        (cluster_lines, ("y", "m"), "'m' is split, not an observed covariate"),
        (level_slopes, ("x", "y"), r"no row 'y ~ x' at level between"),
        (level_slopes, ("m", "w"), r"no row 'w ~ m' at level between"),
    ],
)
def test_bad_requests(
    posterior: Posterior, function: Any, arguments: tuple[str, str], message: str
) -> None:
    with pytest.raises(SpecificationError, match=message):
        function(posterior, *arguments)
    with pytest.raises(SpecificationError, match="ci=95"):
        function(posterior, *arguments, ci=95)
