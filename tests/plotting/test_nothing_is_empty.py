"""No figure is silently empty: missing values, random slopes, one level, one chain, few draws."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

import bayes_msem as bm
from bayes_msem.plotting.ppc import compare
from tests.checking.laplace import laplace_fit
from tests.plotting.drawn import assert_shows_something, points_of
from tests.posterior.made_up import synthetic_fit

FIXED = """
level: within
    y ~ a*x + v + m
level: between
    y ~ w + m
d := 2*a
"""
RANDOM = """
level: within
    y ~ rv("s")*x + v
level: between
    y ~ w
    s ~ w
    y ~~ s
"""
SINGLE = "f =~ y + m + v\nf ~ x"

_SINGLE: dict[str, Callable[[bm.Fit], Figure]] = {
    "forest": lambda fit: fit.plot_forest(),
    "trace": lambda fit: fit.plot_trace(rows="regression"),
    "rank": lambda fit: fit.plot_rank(rows="regression"),
    "prior and posterior": lambda fit: fit.plot_prior_posterior(rows="variance"),
    "pareto k": lambda fit: fit.plot_pareto_k(),
    "densities": lambda fit: fit.plot_ppc(),
    "statistics": lambda fit: fit.plot_ppc("statistics", statistics=["skewness"]),
    "scatter": lambda fit: fit.plot_ppc("scatter", statistics=["deviance"]),
}
_TWO: dict[str, Callable[[bm.Fit], Figure]] = _SINGLE | {
    "regression": lambda fit: fit.plot_regression("y", "x"),
    "levels": lambda fit: fit.plot_levels("x", "y", between="w"),
    "clusters": lambda fit: fit.plot_clusters("y"),
    "densities within": lambda fit: fit.plot_ppc(part="within"),
    "densities between": lambda fit: fit.plot_ppc(part="between"),
    "distances": lambda fit: fit.plot_ppc("clusters"),
    "single clusters": lambda fit: fit.plot_ppc_clusters("y"),
    "pareto k of rows": lambda fit: fit.plot_pareto_k("observation"),
}
_PRIOR: dict[str, Callable[[bm.Fit], Figure]] = {
    "prior predictive": lambda fit: fit.model.plot_prior_predictive()
}
FIGURES = {
    "missing": _TWO | _PRIOR | {"split levels": lambda fit: fit.plot_levels("m", "y")},
    "random": _TWO
    | {
        "slopes": lambda fit: fit.plot_clusters("s"),
        "correlations": lambda fit: fit.plot_effect_correlations(),
    },
    "single": _SINGLE | _PRIOR,
    "one chain": {name: made for name, made in _TWO.items() if name != "rank"},
    "few draws": _TWO,
}


def gappy() -> pd.DataFrame:
    """Values missing of the outcome, of outcome and covariates, and of a whole cluster."""
    rng = np.random.default_rng(7)
    n_clusters, n = 20, 6
    g = np.repeat(np.arange(n_clusters), n)
    frame = pd.DataFrame({"g": [f"c{i}" for i in g], "w": rng.normal(size=n_clusters)[g]})
    for name in ("x", "v"):
        frame[name] = rng.normal(size=len(g))
    for name in ("m", "y"):
        own = rng.normal(0, 0.5, n_clusters)[g]
        frame[name] = 0.5 * frame["x"] + 0.5 * frame["v"] + own + rng.normal(size=len(g))
    frame.loc[3, "y"] = np.nan
    frame.loc[[7, 8], "m"] = np.nan
    frame.loc[10, ["y", "m", "x", "v"]] = np.nan
    frame.loc[frame["g"] == "c4", ["y", "m", "x", "v"]] = np.nan
    return frame


@pytest.fixture(scope="module")
def fits() -> dict[str, bm.Fit]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bm.MsemWarning)
        fixed = bm.Model(FIXED, gappy(), cluster="g")
        random = bm.Model(RANDOM, gappy(), cluster="g")
        single = bm.Model(SINGLE, gappy().drop(columns="g").dropna(subset=["x"]))
        return {
            "missing": laplace_fit(fixed, draws=60),
            "random": synthetic_fit(random, draws=30),
            "single": laplace_fit(single, draws=60),
            "one chain": laplace_fit(fixed, draws=60, chains=1),
            "few draws": synthetic_fit(fixed, draws=13),
        }


@pytest.mark.filterwarnings("ignore::bayes_msem.AccuracyWarning")
@pytest.mark.parametrize(
    ("kind", "figure"), [(kind, name) for kind, figures in FIGURES.items() for name in figures]
)
def test_every_panel_shows_something(fits: dict[str, bm.Fit], kind: str, figure: str) -> None:
    assert_shows_something(FIGURES[kind][figure](fits[kind]))


def test_ranks_of_one_chain_are_refused(fits: dict[str, bm.Fit]) -> None:
    with pytest.raises(bm.SpecificationError, match="ranks compare chains, and this fit has one"):
        fits["one chain"].plot_rank()


def test_slopes_of_levels_with_missing_values(fits: dict[str, bm.Fit]) -> None:
    """Points and lines of the rows that have both values, against pandas."""
    frame, fit = gappy(), fits["missing"]
    between, within = fit.plot_levels("m", "y").axes
    means = frame.groupby("g", sort=False)[["m", "y"]].mean()
    both = frame.dropna(subset=["m", "y"])
    rest = both[["m", "y"]] - both.groupby("g")[["m", "y"]].transform("mean")
    panels = ((between, "between", means.dropna()), (within, "within", rest))
    for ax, level, points in panels:
        drawn = points_of(ax)
        np.testing.assert_allclose(
            np.sort(drawn["points"], axis=0), np.sort(points.to_numpy(), axis=0), atol=1e-12
        )
        x, y = drawn["slope"].T
        slope, centre = fit.draws[level, "y", "~", "m"], points.mean()
        np.testing.assert_allclose(y, centre["y"] + slope.mean() * (x - centre["m"]), atol=1e-12)
        assert (x[0], x[-1]) == pytest.approx((points["m"].min(), points["m"].max()))
        heights = drawn["interval"][np.isclose(drawn["interval"][:, 0], x[0]), 1]
        ends = np.quantile(centre["y"] + slope * (x[0] - centre["m"]), [0.025, 0.975])
        assert (heights.min(), heights.max()) == pytest.approx(tuple(ends))
    texts = [[t.get_text() for t in ax.texts] for ax in (between, within)]
    assert texts == [["19 of 20 clusters"], [f"{len(both)} of 120 rows"]]


def test_lines_of_clusters_with_missing_covariates(fits: dict[str, bm.Fit]) -> None:
    frame, fit = gappy(), fits["missing"]
    (ax,) = fit.plot_regression("y", "x").axes
    drawn = points_of(ax)
    there = frame.dropna(subset=["x"])
    ends = there.groupby("g", sort=False)["x"].agg(["min", "max"])
    segments = drawn["cluster"].reshape(-1, 2, 2)
    np.testing.assert_allclose(np.sort(segments[:, 0, 0]), np.sort(ends["min"]))
    np.testing.assert_allclose(np.sort(segments[:, 1, 0]), np.sort(ends["max"]))
    held = fit.draws["within", "y", "~", "v"].mean() * frame["v"].mean()
    effects = fit.cluster_draws["effects"].sel(effect="y").mean(("chain", "draw"))
    slope = fit.draws["within", "y", "~", "x"].mean()
    for cluster, (low, high) in ends.iterrows():
        start = float(effects.sel(cluster_id=str(cluster)))
        # products of means: effects and slopes are averaged one by one, and added
        segment = segments[np.isclose(segments[:, 0, 0], low)][0]
        expected = start + held + slope * np.array([low, high])
        np.testing.assert_allclose(segment[:, 1], expected)
    x, y = drawn["population"].T
    assert (x[0], x[-1]) == (there["x"].min(), there["x"].max())
    assert np.isfinite(y).all()
    assert ax.get_title(loc="left").startswith("y ~ x in 19 of 20 clusters")


def test_a_random_slope_in_the_forest(fits: dict[str, bm.Fit]) -> None:
    """Its row says what varies; nothing is fixed, so the legend does not say so."""
    fit = fits["random"]
    figure = fit.plot_forest(level="within", rows="regression")
    (ax,) = figure.axes
    assert [t.get_text() for t in ax.get_yticklabels()] == ["y ~ x", "y ~ v"]
    (word,) = [t for t in ax.texts if t.get_gid() == "words"]
    assert (word.get_text(), word.get_position()[1]) == ("varies over clusters: s", 0)
    drawn = points_of(ax)
    values = fit.draws["within", "y", "~", "v"]
    np.testing.assert_allclose(drawn["mean"], [[values.mean(), 1.0]])
    np.testing.assert_allclose(drawn["outer"][:, 0], np.quantile(values, [0.025, 0.975]))
    assert len(drawn["fixed"]) == 0
    labels = [t.get_text() for t in figure.legends[0].get_texts()]
    assert labels == ["posterior mean", "50% ETI", "95% equal-tailed interval (ETI)"]
    for function in (fit.plot_forest, fit.plot_trace, fit.plot_rank):
        with pytest.raises(bm.SpecificationError, match="'y ~ x' varies over clusters"):
            function(rows="y ~ x")


@pytest.mark.filterwarnings("ignore:invalid value encountered in log")
@pytest.mark.filterwarnings("ignore:the population mean of 'log:bayes_msem.AccuracyWarning")
def test_definitions_that_are_no_numbers_are_told() -> None:
    text = FIXED.replace("d := 2*a", "d := log(a)\nk := a - a")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bm.MsemWarning)
        fit = synthetic_fit(bm.Model(text, gappy(), cluster="g"), draws=100)
    values = fit.draws["", "d", ":=", "log(a)"]
    bad = int(np.isnan(values).sum())
    assert 0 < bad < 200
    figure = fit.plot_forest("", rows="d")
    assert [t.get_text() for t in figure.axes[0].texts] == [f"is no number in {bad} of 200 draws"]
    assert not figure.legends
    with pytest.raises(bm.SpecificationError, match=f"'d := log.* is no number in {bad} of 200"):
        fit.plot_trace(rows="d")
    noted = fit.plot_trace(rows=["d", "y ~ v"])
    said = [t.get_text() for t in noted.texts]
    assert said == [f"left out: d := log(a): is no number in {bad} of 200 draws"]
    assert len(fit.plot_rank(rows=["d", "y ~ v"]).axes) == 1


@pytest.mark.parametrize("figure", ["trace", "prior and posterior", "forest"])
def test_chains_that_stand_still(fits: dict[str, bm.Fit], figure: str) -> None:
    fit = synthetic_fit(fits["missing"].model, draws=20)
    row = ("within", "y", "~", "x")
    fit.draws[row][:] = np.array([[0.3], [0.4]])
    if figure != "trace":
        fit.draws[row][:] = 0.3
    made = {
        "trace": lambda: fit.plot_trace(rows="y ~ x"),
        "prior and posterior": lambda: fit.plot_prior_posterior(rows="within: y ~ x"),
        "forest": lambda: fit.plot_forest(rows="within: y ~ x"),
    }[figure]()
    assert_shows_something(made)
    drawn = points_of(made.axes[0])
    gid = {"trace": "density 1", "prior and posterior": "posterior", "forest": "fixed"}[figure]
    assert drawn[gid][0, 0] == pytest.approx(0.3)


@pytest.mark.filterwarnings("ignore:invalid value encountered in log")
@pytest.mark.filterwarnings("ignore:the population mean of 'log:bayes_msem.AccuracyWarning")
def test_clusters_whose_definition_is_no_number() -> None:
    """A logarithm of random slopes, of which some are negative in some draws."""
    text = RANDOM + "h := log(s)\n"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bm.MsemWarning)
        fit = synthetic_fit(bm.Model(text, gappy(), cluster="g"), draws=20)
    effects = fit.cluster_draws
    names = list(effects["effect"].to_numpy())
    values = effects["effects"].to_numpy()
    values[..., names.index("h")] = 1.0 + np.arange(20)
    values[0, 3, [2, 5], names.index("h")] = np.nan
    drawn = points_of(fit.plot_clusters("h", sort=False).axes[0])
    expected = [j + 1.0 for j in range(19, -1, -1) if j not in (2, 5)]
    np.testing.assert_allclose(drawn["mean"][:, 0], expected)
    values[0, 0, :, names.index("h")] = np.nan
    with pytest.raises(bm.SpecificationError, match="'h' is no number in some draws of every"):
        fit.plot_clusters("h")


def test_predictors_that_do_not_vary_have_no_line(fits: dict[str, bm.Fit]) -> None:
    """A level-1 covariate that is the same in all rows of a cluster has no slope within to show."""
    frame = gappy().dropna()
    frame["x"] = frame.groupby("g")["w"].transform("first")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bm.MsemWarning)
        fit = synthetic_fit(bm.Model(FIXED, frame, cluster="g"), draws=20)
    with pytest.raises(bm.SpecificationError, match="'x' does not vary inside clusters"):
        fit.plot_levels("x", "y", between="w")


def test_deviations_need_two_values_in_a_cluster(fits: dict[str, bm.Fit]) -> None:
    fit = fits["missing"]
    check, observed = fit.ppc([], keep=5), fit.model.observed
    y = check.data.sel(outcome="y").values  # a view
    seen = pd.Series(observed.cluster[check.data["row"].values]).duplicated().to_numpy()
    y[seen] = np.nan  # one value per cluster
    assert [item.outcome for item in compare(check, observed, "within")] == ["m"]
    with pytest.raises(bm.SpecificationError, match="no cluster has two observed values of 'y'"):
        compare(check, observed, "within", ["y"])


def test_statistics_that_are_no_numbers_are_told(fits: dict[str, bm.Fit]) -> None:
    fit = fits["missing"]
    check = fit.ppc(["deviance"], keep=0)
    check.observed[0, :10] = np.nan
    whole = check.observed[np.isfinite(check.observed) & np.isfinite(check.replicated)]
    (ax,) = fit.plot_ppc("scatter", check=check).axes
    np.testing.assert_allclose(np.sort(points_of(ax)["pairs"][:, 0]), np.sort(whole))
    check.replicated[:] = np.nan
    (ax,) = fit.plot_ppc("statistics", check=check).axes
    assert "no number in the replicates" in [t.get_text() for t in ax.texts]


def test_a_check_without_distances_is_refused(fits: dict[str, bm.Fit]) -> None:
    fit = fits["missing"]
    check = fit.ppc([], keep=0)
    check.clusters[["ppp_within", "ppp_between"]] = np.nan
    with pytest.raises(bm.SpecificationError, match="no distances of clusters"):
        fit.plot_ppc("clusters", check=check)
