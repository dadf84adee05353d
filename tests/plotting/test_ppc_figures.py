"""What the figures of posterior predictive checks draw, against the arrays of the check."""

from __future__ import annotations

import warnings
from dataclasses import replace
from itertools import pairwise
from typing import Any

import arviz_plots as azp
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy import stats

import bayes_msem as bm
from bayes_msem.checking.predictive.compared import default_clusters
from bayes_msem.checking.predictive.predictive_check import PredictiveCheck
from bayes_msem.plotting.canvas import REFERENCE
from bayes_msem.plotting.ppc import compare
from bayes_msem.plotting.ppc_clusters import cluster_distances
from bayes_msem.plotting.ppc_statistics import discrepancy_pairs, statistics_panels
from tests.checking.laplace import laplace_fit

Array = NDArray[np.float64]
Part = Any  # the Literal of the package; tests also pass wrong ones

TEXT = """
level: within
    fw =~ y1 + y2 + y3
    fw ~ x
    y4 ~ fw
level: between
    fb =~ y1 + y2 + y3
    z ~ fb
"""
OUTCOMES = ["y1", "y2", "y3", "y4", "z"]


def make_data(n_clusters: int = 25, seed: int = 5) -> pd.DataFrame:
    """Return rows in random order, in clusters of 1 to 12 rows."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(3, 13, n_clusters)
    sizes[1] = 1
    code = np.repeat(np.arange(n_clusters), sizes)
    factor = rng.normal(size=len(code)) + (b := 0.7 * rng.normal(size=n_clusters))[code]
    frame = pd.DataFrame({"g": [f"c{i}" for i in code], "x": rng.normal(size=len(code))})
    for name in ("y1", "y2", "y3"):
        own = 0.4 * rng.normal(size=n_clusters)[code]
        frame[name] = factor + own + 0.7 * rng.normal(size=len(code))
    frame["y4"] = 0.5 * (factor - b[code]) + rng.normal(size=len(code))
    frame["z"] = (0.5 * b + 0.5 * rng.normal(size=n_clusters))[code]
    return frame.sample(frac=1, random_state=seed, ignore_index=True)


def make_fit(text: str, frame: pd.DataFrame, cluster: str | None = "g") -> bm.Fit:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bm.MsemWarning)  # few clusters
        return laplace_fit(bm.Model(text, frame, cluster=cluster), draws=60)


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return make_data()


@pytest.fixture(scope="module")
def gappy() -> pd.DataFrame:
    frame = make_data()
    frame.loc[frame.index[::5], "y2"] = np.nan
    frame.loc[frame["g"] == "c4", "y3"] = np.nan
    frame.loc[frame.index[3], ["y1", "y2", "y3", "y4"]] = np.nan  # this row is left out
    return frame


@pytest.fixture(scope="module")
def fit(frame: pd.DataFrame) -> bm.Fit:
    return make_fit(TEXT, frame)


@pytest.fixture(scope="module")
def check(fit: bm.Fit) -> PredictiveCheck:
    return fit.ppc(keep=30)


@pytest.fixture(scope="module")
def gappy_fit(gappy: pd.DataFrame) -> bm.Fit:
    return make_fit(TEXT, gappy)


@pytest.fixture(scope="module")
def gappy_check(gappy_fit: bm.Fit) -> PredictiveCheck:
    return gappy_fit.ppc("skewness", keep=30)


@pytest.fixture(scope="module")
def single(frame: pd.DataFrame) -> bm.Fit:
    return make_fit("f =~ y1 + y2 + y3", frame, None)


def made_up(rows: list[tuple[str, str, str, bool]], observed: Array, replicated: Array) -> Any:
    """Return a check of made-up numbers: level, statistic, variable and whether two-sided."""
    table = pd.DataFrame(rows, columns=["level", "statistic", "variable", "two_sided"])
    none = xr.DataArray(np.empty((1, 0, 1, 1)), dims=("chain", "draw", "row", "outcome"))
    data = xr.DataArray(np.zeros((1, 1)), dims=("row", "outcome"))
    return PredictiveCheck(
        statistics=table.assign(title=""),
        observed=observed,
        replicated=replicated,
        clusters=pd.DataFrame(),
        kind="new",
        notes=(),
        kept=none,
        data=data,
    )


def by_id(ax: Axes, gid: str) -> list[Any]:
    return [a for a in ax.get_children() if a.get_gid() == gid]


def panel(figure: Figure, title: str) -> Axes:
    (found,) = [ax for ax in figure.axes if ax.get_title(loc="left") == title]
    return found


def legend(figure: Figure) -> list[str]:
    return [t.get_text() for t in figure.legends[0].get_texts()]


def colour(artist: Artist) -> str:
    return to_hex(artist.get_color()).upper()  # type: ignore[attr-defined]


# Distributions ------------------------------------------------------------------------------------


def split(values: pd.Series[Any], group: pd.Series[Any], part: Part) -> Array:
    """Values of a part by pandas, sorted."""
    grouped = values.groupby(group)
    if part == "between":
        result = grouped.mean()
    elif part == "within":
        result = (values - grouped.transform("mean"))[grouped.transform("count") > 1]
    else:
        result = values
    return np.sort(result.dropna().to_numpy())


@pytest.mark.parametrize("part", ["raw", "within", "between"])
@pytest.mark.parametrize("which", ["complete", "gappy"])
def test_what_is_compared(
    part: Part, which: str, request: pytest.FixtureRequest, frame: pd.DataFrame, gappy: pd.DataFrame
) -> None:
    fit = request.getfixturevalue("fit" if which == "complete" else "gappy_fit")
    made = request.getfixturevalue("check" if which == "complete" else "gappy_check")
    data = frame if which == "complete" else gappy.drop(index=3)
    items = compare(made, fit.model.blueprint.observed, part)
    assert [i.outcome for i in items] == (OUTCOMES[:-1] if part == "within" else OUTCOMES)
    for item in items:
        group = data["g"]
        values, seen = data[item.outcome], data[item.outcome].notna()
        copies = made.kept.sel(outcome=item.outcome).to_numpy()[0]
        if item.outcome == "z":
            once = ~group.duplicated().to_numpy()
            values, group, seen = values[once], group[once], seen[once]
            copies = copies[:, once]
        assert np.sort(item.observed) == pytest.approx(split(values, group, part), abs=1e-12)
        assert len(item.replicated) == 30
        for mine, copy in zip(item.replicated, copies, strict=True):
            masked = pd.Series(copy, values.index).where(seen)
            assert np.sort(mine) == pytest.approx(split(masked, group, part), abs=1e-12)
        assert item.clusters == (part == "between" or item.outcome == "z")
        assert item.total == (data["g"].nunique() if item.clusters else len(data))


@pytest.mark.parametrize("part", ["raw", "between"])
def test_curves_are_densities_of_what_is_compared(
    fit: bm.Fit, check: PredictiveCheck, part: Part
) -> None:
    figure = fit.plot_ppc(part=part, check=check)
    items = compare(check, fit.model.blueprint.observed, part)
    assert [ax.get_title(loc="left") for ax in figure.axes] == OUTCOMES
    for ax, item in zip(figure.axes, items, strict=True):
        (observed,) = by_id(ax, "observed")
        curves = by_id(ax, "replicate")
        assert len(curves) == 30
        for curve, x in [
            (observed, item.observed),
            *zip(curves, item.replicated, strict=True),
        ]:
            # Silverman's rule; ArviZ bins the values, which costs less than 2% of the peak
            spread = min(x.std(), stats.iqr(x) / 1.34)
            width = 0.9 * spread * len(x) ** -0.2
            exact = stats.gaussian_kde(x, width / x.std(ddof=1))(curve.get_xdata())
            assert curve.get_ydata() == pytest.approx(exact, abs=0.02 * exact.max())
    assert legend(figure) == ["observed", "30 replicates (new clusters)"]


def test_panels_say_how_many_values_there_are(
    gappy_fit: bm.Fit, gappy_check: PredictiveCheck, gappy: pd.DataFrame
) -> None:
    left = gappy.drop(index=3)
    figure = gappy_fit.plot_ppc(check=gappy_check)
    assert panel(figure, "y1").get_title(loc="right") == f"{len(left)} rows"
    seen = left["y2"].notna().sum()
    assert panel(figure, "y2").get_title(loc="right") == f"{seen} of {len(left)} rows"
    between = gappy_fit.plot_ppc(part="between", check=gappy_check)
    assert panel(between, "y3").get_title(loc="right") == "24 of 25 clusters"
    assert panel(between, "z").get_xlabel() == "cluster-level variable"
    assert panel(between, "y3").get_xlabel() == "cluster mean"


def test_few_values_are_marked_one_by_one(
    fit: bm.Fit, check: PredictiveCheck, frame: pd.DataFrame
) -> None:
    ax = panel(fit.plot_ppc(part="between", outcomes="y2", check=check), "y2")
    (marks,) = by_id(ax, "rug")
    means = frame.groupby("g")["y2"].mean()
    assert np.sort(marks.get_xdata()) == pytest.approx(np.sort(means))
    assert ax.get_ylim()[0] < marks.get_ydata()[0] < 0
    assert by_id(panel(fit.plot_ppc(outcomes="y2", check=check), "y2"), "rug") == []


def test_few_distinct_values_make_steps(frame: pd.DataFrame) -> None:
    coarse = frame.assign(y1=frame["y1"].round().clip(-2, 2) / 2, y2=frame["y2"].round(1))
    fit = make_fit("f =~ y1 + y2 + y3", coarse, None)
    figure = fit.plot_ppc()
    (steps,) = by_id(panel(figure, "y1"), "observed")
    shares, edges, _ = steps.get_data()
    assert edges == pytest.approx(np.arange(-2.5, 3) / 2)
    # an area of 1: heights are shares per unit of y1, of which a step is half
    assert shares == pytest.approx([2 * (coarse["y1"] == v / 2).mean() for v in range(-2, 3)])
    (curve,) = by_id(panel(figure, "y2"), "observed")
    assert len(curve.get_xdata()) > 100
    assert legend(figure) == ["observed", "50 replicates"]


def test_one_wild_replicate_does_not_shrink_the_others(fit: bm.Fit, check: PredictiveCheck) -> None:
    normal = panel(fit.plot_ppc(outcomes="y1", check=check), "y1")
    kept = check.kept.copy()
    kept[0, 0], kept[0, 1] = 1e-3 * kept[0, 0], 1e3 * kept[0, 1]
    few = replace(check, kept=kept[:, ::-1])
    wild = panel(fit.plot_ppc(outcomes="y1", check=few), "y1")
    assert wild.get_ylim()[1] < 2 * normal.get_ylim()[1]
    width = np.ptp(compare(check, fit.model.blueprint.observed)[0].observed)
    assert 1.3 * width <= np.ptp(normal.get_xlim()) < 2 * width


def test_replicates_without_spread(fit: bm.Fit, check: PredictiveCheck) -> None:
    same = replace(check, kept=xr.zeros_like(check.kept))
    ax = panel(fit.plot_ppc(part="between", outcomes="y1", check=same), "y1")
    assert by_id(ax, "replicate") == []
    assert len(by_id(ax, "observed")) == 1


# Statistics ---------------------------------------------------------------------------------------


def test_histograms_and_p_values(fit: bm.Fit, check: PredictiveCheck) -> None:
    names = ["icc", "srmr", "skewness"]
    figure = fit.plot_ppc("statistics", statistics=names, check=check)
    table = check.statistics
    chosen = [k for k in range(len(table)) if table["statistic"][k] in names]
    assert len(figure.axes) == len(chosen) == 4 + 1 + 3 + 1
    for ax, k in zip(figure.axes, chosen, strict=True):
        row = table.loc[k]
        assert ax.get_title(loc="left") == row["statistic"]
        assert ax.get_title(loc="right") == row["level"]
        assert ax.get_xlabel() == row["variable"]
        observed, replicated = check.observed[..., k].ravel(), check.replicated[..., k].ravel()
        height, edges, _ = by_id(ax, "replicated")[0].get_data()
        counts, _ = np.histogram(replicated, edges)
        assert counts.sum() == len(replicated)
        assert height == pytest.approx(counts / counts.max())
        (mine,) = by_id(ax, "observed")
        if row["statistic"] == "srmr":
            counts, _ = np.histogram(observed, mine.get_data().edges)
            assert counts.sum() == len(observed)
            assert mine.get_data().values == pytest.approx(counts / counts.max())
        else:
            assert np.ptp(observed) == 0
            assert mine.get_segments()[0][:, 0] == pytest.approx(observed[0])
        (text,) = by_id(ax, "ppp")
        assert text.get_text() == f"ppp {(replicated > observed).mean():.3f}"
    assert legend(figure) == ["replicates", "data", "data, where it depends on the draw"]


def test_each_level_starts_a_row(fit: bm.Fit, check: PredictiveCheck) -> None:
    figure = fit.plot_ppc("statistics", statistics=["skewness", "kurtosis", "icc"], check=check)
    places = []
    for ax in figure.axes:
        spot = ax.get_subplotspec()
        assert spot is not None
        places.append((spot.rowspan.start, spot.colspan.start))
    within = [(i // 4, i % 4) for i in range(8)]
    assert places == [*within, (2, 0), (2, 1), (2, 2)]


def test_odd_values_stand_out() -> None:
    rng = np.random.default_rng(1)
    replicated = rng.normal(size=(2, 100, 3))
    observed = np.zeros_like(replicated)
    observed[..., 1] = observed[..., 2] = -5.0  # all replicates are larger
    rows = [("within", "a", "", False), ("within", "b", "", False), ("within", "c", "", True)]
    figure = statistics_panels(made_up(rows, observed, replicated))
    texts = [by_id(ax, "ppp")[0] for ax in figure.axes]
    assert [t.get_text() for t in texts[1:]] == ["ppp 1.000", "ppp 1.000"]
    # a small distance is no sign of misfit
    assert [colour(t) == REFERENCE for t in texts] == [False, False, True]
    assert legend(figure) == ["replicates", "data"]


def test_of_many_numbers_the_most_extreme_are_drawn() -> None:
    n, rng = 40, np.random.default_rng(2)
    rows = [("between" if k >= 20 else "within", f"s{k}", "v", True) for k in range(n)]
    rows[7], rows[33] = ("within", "whole", "", False), ("between", "whole", "", False)
    replicated = rng.normal(size=(2, 200, n))
    observed = np.broadcast_to(np.linspace(-1.5, 1.2, n), replicated.shape)
    made = made_up(rows, observed, replicated)
    figure = statistics_panels(made)
    ppp = (replicated > observed).mean(axis=(0, 1))
    others = [k for k in np.argsort(np.minimum(ppp, 1 - ppp)) if k not in (7, 33)][:18]
    expected = sorted([7, 33, *others])
    assert [ax.get_title(loc="left") for ax in figure.axes] == [rows[k][1] for k in expected]
    assert figure.get_suptitle().startswith("20 of 40 numbers")
    chosen = statistics_panels(made, names=[r[1] for r in rows])
    assert len(chosen.axes) == n
    assert chosen.get_suptitle() == ""


def test_statistics_of_an_outcome_and_of_a_level(fit: bm.Fit, check: PredictiveCheck) -> None:
    figure = fit.plot_ppc("statistics", outcomes="y2", level="within", check=check)
    shown = [(ax.get_title(loc="left"), ax.get_xlabel()) for ax in figure.axes]
    assert shown == [
        ("skewness", "y2"),
        ("kurtosis", "y2"),
        ("slope_variance", "y2 ~ x"),
        ("variance_spread", "y2"),
    ]


def test_a_pair_belongs_to_both_outcomes() -> None:
    rng = np.random.default_rng(3)
    labels = ["y1", "y11", "y1 ~ x", "y2 ~~ y1", "y2 ~~ y11", ""]
    rows = [("within", f"s{k}", label, True) for k, label in enumerate(labels)]
    made = made_up(rows, rng.normal(size=(2, 20, 6)), rng.normal(size=(2, 20, 6)))
    figure = statistics_panels(made, outcomes="y1")
    assert [ax.get_xlabel() for ax in figure.axes] == ["y1", "y1 ~ x", "y2 ~~ y1"]
    pairs = discrepancy_pairs(made, names=["s3", "s5"])
    assert [ax.get_xlabel() for ax in pairs.axes] == ["data: y2 ~~ y1", "data"]


def test_statistics_of_the_user_are_computed_and_all_drawn(single: bm.Fit) -> None:
    def spread(data: pd.DataFrame) -> pd.Series[Any]:
        return data[["y1", "y2"]].max() - data[["y1", "y2"]].min()

    figure = single.plot_ppc("statistics", statistics=spread)
    assert [ax.get_xlabel() for ax in figure.axes] == ["y1", "y2"]
    (line,) = by_id(figure.axes[0], "observed")
    y = single.model.blueprint.observed.y[:, 0]
    assert line.get_segments()[0][0, 0] == pytest.approx(np.ptp(y))


def test_pairs_of_draws(fit: bm.Fit, check: PredictiveCheck) -> None:
    figure = fit.plot_ppc("scatter", check=check)
    table = check.statistics
    varies = np.ptp(check.observed, axis=(0, 1)) > 0
    chosen = np.flatnonzero(varies & (table["variable"] == "").to_numpy())
    assert set(table["statistic"][chosen]) == {
        "chi_square",
        "deviance",
        "srmr",
        "outlying_within",
        "outlying_cluster",
    }
    assert len(figure.axes) == len(chosen)
    for ax, k in zip(figure.axes, chosen, strict=True):
        (points,) = by_id(ax, "pairs")
        x, y = np.asarray(points.get_offsets()).T
        assert x == pytest.approx(check.observed[..., k].ravel())
        assert y == pytest.approx(check.replicated[..., k].ravel())
        (text,) = by_id(ax, "ppp")
        assert text.get_text() == f"ppp {(y > x).mean():.3f}"
        (line,) = by_id(ax, "diagonal")
        assert line.get_xdata() == pytest.approx(line.get_ydata())
        assert ax.get_xlim() == ax.get_ylim()
        assert ax.get_title(loc="left") == table["statistic"][k]
        assert ax.get_title(loc="right") == (table["level"][k] or "both levels")


def test_pairs_without_a_check(fit: bm.Fit) -> None:
    figure = fit.plot_ppc("scatter", statistics="srmr")
    titles = [(ax.get_title(loc="left"), ax.get_title(loc="right")) for ax in figure.axes]
    assert titles == [("srmr", "within"), ("srmr", "between")]


# Clusters -----------------------------------------------------------------------------------------


def ticks(ax: Axes) -> list[str]:
    return [t.get_text() for t in ax.get_yticklabels()]


def test_distances_of_clusters(fit: bm.Fit, check: PredictiveCheck) -> None:
    figure = fit.plot_ppc("clusters", check=check)
    assert [ax.get_title(loc="left") for ax in figure.axes] == [
        "Within clusters",
        "Between clusters",
    ]
    table = check.clusters
    expected = {
        "within": table["distance_within"] / (table["n"] - 1),
        "between": table["distance_between"],
    }
    for ax, (level, distance) in zip(figure.axes, expected.items(), strict=True):
        ppp = table[f"ppp_{level}"]
        names = ticks(ax)
        assert sorted(names) == sorted(ppp.dropna().index)
        assert ("c1" in names) == (level == "between")  # one row says nothing about the inside
        assert [t.get_text() for t in by_id(ax, "ppp")] == [f"{ppp[c]:.3f}" for c in names]
        assert (np.diff(ppp[names]) >= 0).all()
        at = {}
        for gid in ("unusual", "others"):
            (marks,) = by_id(ax, gid)
            for x, y in marks.get_xydata():
                at[names[round(y)]] = (x, gid == "unusual")
        assert {c: x for c, (x, _) in at.items()} == pytest.approx(distance[names].to_dict())
        assert {c: odd for c, (_, odd) in at.items()} == (ppp[names] < 0.05).to_dict()
        marked = [t.get_text() for t in ax.get_yticklabels() if colour(t) == REFERENCE]
        assert marked == list(ppp[names].index[ppp[names] < 0.05])


def test_a_distant_cluster_is_on_top(frame: pd.DataFrame) -> None:
    odd = frame.copy()
    odd.loc[odd["g"] == "c9", ["y1", "y2"]] += [6.0, -6.0]
    made = make_fit(TEXT, odd).plot_ppc("clusters")
    assert ticks(made.axes[1])[0] == "c9"
    assert colour(made.axes[1].get_yticklabels()[0]) == REFERENCE


def test_only_the_most_unusual_of_many_clusters(check: PredictiveCheck) -> None:
    rng, n = np.random.default_rng(4), 200
    table = pd.DataFrame(
        {
            "n": 5,
            "distance_within": rng.gamma(2, size=n),
            "ppp_within": rng.permutation(n) / n,
            "distance_between": np.nan,
            "ppp_between": np.nan,
        },
        index=[f"k{i}" for i in range(n)],
    )
    figure = cluster_distances(replace(check, clusters=table))
    (ax,) = figure.axes
    assert ticks(ax) == list(table["ppp_within"].nsmallest(30).index)
    assert ax.get_title(loc="right") == "30 of 200 clusters"
    figure.draw_without_rendering()
    labels = [t.get_window_extent() for t in ax.get_yticklabels()]
    assert not any(a.overlaps(b) for a, b in pairwise(labels))


def test_values_of_clusters_over_their_replicates(
    fit: bm.Fit, check: PredictiveCheck, frame: pd.DataFrame
) -> None:
    figure = fit.plot_ppc_clusters("y2", clusters=["c7", "c1", "c3"], check=check)
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["c7", "c1", "c3"]
    for ax, name in zip(figure.axes, ["c7", "c1", "c3"], strict=True):
        rows = (frame["g"] == name).to_numpy()
        (marks,) = by_id(ax, "rug")
        assert np.sort(marks.get_xdata()) == pytest.approx(np.sort(frame["y2"][rows]))
        assert ax.get_title(loc="right") == f"n = {rows.sum()}"
        copies = check.kept.sel(outcome="y2").to_numpy()[0][:, rows].ravel()
        (curve,) = by_id(ax, "replicates")
        x, y = curve.get_xdata(), curve.get_ydata()
        assert np.trapezoid(y, x) == pytest.approx(1, abs=0.01)
        # a kernel smooths symmetrically, so the mean stays
        assert np.trapezoid(x * y, x) == pytest.approx(copies.mean(), abs=0.02 * copies.std())
        row = check.clusters.loc[name]
        texts = [t.get_text() for gid in ("within", "between") for t in by_id(ax, f"ppp {gid}")]
        expected = [f"ppp within {row['ppp_within']:.3f}"] if name != "c1" else []
        assert texts == [*expected, f"between {row['ppp_between']:.3f}"]
    assert len({ax.get_xlim() for ax in figure.axes}) == 1
    assert legend(figure)[1] == "30 replicates of the cluster (new clusters)"


def test_missing_values_are_not_marked(
    gappy_fit: bm.Fit, gappy_check: PredictiveCheck, gappy: pd.DataFrame
) -> None:
    figure = gappy_fit.plot_ppc_clusters("y3", clusters=["c4", "c5"], check=gappy_check)
    (none,), (some,) = (by_id(ax, "rug") for ax in figure.axes)
    assert len(none.get_xdata()) == 0
    values = gappy.drop(index=3).query("g == 'c5'")["y3"]
    assert np.sort(some.get_xdata()) == pytest.approx(np.sort(values.dropna()))


def test_distant_and_typical_clusters(check: PredictiveCheck) -> None:
    n = 21
    ppp = np.random.default_rng(0).permutation(n) / n
    other = np.full(n, 0.99)
    other[3], other[5] = 0.0, np.nan
    table = pd.DataFrame({"ppp_within": other, "ppp_between": ppp, "distance_between": 1.0 - ppp})
    chosen, distant = default_clusters(replace(check, clusters=table))
    assert distant == 4
    score = np.fmin(ppp, other)
    ranks = stats.rankdata(score, method="ordinal")
    assert set(chosen[:4]) == set(np.flatnonzero(ranks <= 4))
    assert 3 in chosen[:4]
    assert sorted(ranks[chosen[4:]]) == [9, 10, 11, 12]  # of 21: around the middle one


@pytest.mark.parametrize(("n", "distant", "total"), [(1, 1, 1), (2, 1, 2), (5, 3, 5), (8, 4, 8)])
def test_few_clusters(check: PredictiveCheck, n: int, distant: int, total: int) -> None:
    table = check.clusters.iloc[2 : 2 + n]
    chosen, first = default_clusters(replace(check, clusters=table))
    assert (first, len(chosen), len(set(chosen))) == (distant, total, total)


def test_small_data(frame: pd.DataFrame) -> None:
    few = frame[frame["g"].isin([f"c{i}" for i in range(5)])]
    fit = make_fit("level: within\ny1 ~~ y2\nlevel: between\ny1 ~~ y1\ny2 ~~ y2", few)
    assert len(by_id(fit.plot_ppc(part="between").axes[0], "rug")[0].get_xdata()) == 5
    figure = fit.plot_ppc_clusters("y1")
    assert len(figure.axes) == 5
    assert figure.get_suptitle() == (
        "y1 in the 3 clusters most distant from the model, then in 2 typical ones"
    )
    assert len(ticks(fit.plot_ppc("clusters", level="between").axes[0])) == 5
    assert fit.plot_ppc("statistics").axes
    assert fit.plot_ppc("scatter").axes


# Requests -----------------------------------------------------------------------------------------


def test_the_same_clusters(fit: bm.Fit) -> None:
    made = fit.ppc("skewness", clusters="same", draws=20)
    figure = fit.plot_ppc(check=made)
    assert [ax.get_title(loc="left") for ax in figure.axes] == OUTCOMES[:-1]
    assert legend(figure)[1] == "20 replicates (same clusters)"
    with pytest.raises(bm.SpecificationError, match="keep 'z'; check with new_clusters=True"):
        fit.plot_ppc(outcomes="z", check=made)
    shown = fit.plot_ppc_clusters("y1", clusters="c2", check=made)
    assert legend(shown)[1] == "20 replicates of the cluster (same clusters)"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kind": "densty"}, "kind='densty' is unknown; use .*; did you mean 'density'"),
        ({"part": "withn"}, "part='withn' is unknown; use .*; did you mean 'within'"),
        ({"outcomes": "y9"}, "no outcome 'y9' to show; use y1, y2, y3, y4, z"),
        ({"outcomes": []}, r"outcomes=\[\] leaves nothing"),
        ({"part": "within", "outcomes": "z"}, "'z' does not vary inside clusters; use part="),
        ({"kind": "scatter", "part": "raw"}, "no option 'part'; it belongs to kind='density'"),
        ({"level": "within"}, "'level'; it belongs to kind='statistics' or 'scatter' or 'clusters"),
        ({"kind": "statistics", "level": "betwen"}, "'betwen' has no statistics.*did you mean"),
        ({"kind": "statistics", "statistics": "iccs"}, "no statistic 'iccs'.*did you mean 'icc'"),
        ({"kind": "statistics", "statistics": "icc", "level": "within"}, "no number of the check"),
        ({"kind": "scatter", "statistics": "icc"}, "none of the chosen .*use kind='statistics'"),
        ({"kind": "clusters", "level": "both"}, "those of the check are 'within' and 'between'"),
        ({"check": 3}, "check is int; pass what fit.ppc"),
    ],
)
def test_bad_requests(
    fit: bm.Fit, check: PredictiveCheck, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(bm.SpecificationError, match=message):
        fit.plot_ppc(**{"check": check} | arguments)


def test_bad_requests_of_clusters(fit: bm.Fit, check: PredictiveCheck) -> None:
    with pytest.raises(bm.SpecificationError, match="no cluster 'c77'; did you mean 'c7'"):
        fit.plot_ppc_clusters("y1", clusters=["c77"], check=check)
    with pytest.raises(bm.SpecificationError, match="no outcome 'z' to show; use y1, y2, y3, y4"):
        fit.plot_ppc_clusters("z", check=check)


def test_checks_that_do_not_fit(
    fit: bm.Fit, gappy_check: PredictiveCheck, single: bm.Fit, check: PredictiveCheck
) -> None:
    for other in (gappy_check, single.ppc("skewness", draws=2)):
        with pytest.raises(bm.SpecificationError, match="check is of other data"):
            fit.plot_ppc(check=other)
    empty = fit.ppc("skewness", draws=5, keep=0)
    for call in (fit.plot_ppc, lambda check: fit.plot_ppc_clusters("y1", check=check)):
        with pytest.raises(bm.SpecificationError, match="no replicates to draw"):
            call(check=empty)


def test_a_single_level_model(single: bm.Fit) -> None:
    assert len(single.plot_ppc().axes) == 3
    figure = single.plot_ppc("statistics")
    assert "both levels" not in [ax.get_title(loc="right") for ax in figure.axes]
    assert single.plot_ppc("scatter").axes
    for call in (
        lambda: single.plot_ppc("clusters"),
        lambda: single.plot_ppc_clusters("y1"),
        lambda: single.plot_ppc(part="within"),
    ):
        with pytest.raises(bm.SpecificationError, match="single-level model"):
            call()


@pytest.mark.parametrize("kind", ["density", "statistics", "scatter", "clusters"])
def test_size_and_pyplot(fit: bm.Fit, check: PredictiveCheck, kind: Any) -> None:
    before = plt.get_fignums()
    figure = fit.plot_ppc(kind, check=check, figsize=(7, 5))
    assert tuple(figure.get_size_inches()) == (7, 5)
    assert plt.get_fignums() == before
    assert figure._repr_png_()[:4] == b"\x89PNG"  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", ["kde", "ecdf"])
def test_arviz_draws_the_check(check: PredictiveCheck, kind: str) -> None:
    drawn = azp.plot_ppc_dist(check.datatree, kind=kind, num_samples=10, backend="matplotlib")
    try:
        assert list(drawn.viz["plot"]) == OUTCOMES
        axes = drawn.viz["plot"]["y1"].item()
        assert len(axes.get_lines()) == 11  # replicates, and the data
    finally:
        plt.close(drawn.viz["figure"].item())


def test_arviz_draws_statistics_of_the_check(check: PredictiveCheck, frame: pd.DataFrame) -> None:
    drawn = azp.plot_ppc_tstat(check.datatree, var_names="y1", t_stat="std", backend="matplotlib")
    try:
        axes = drawn.viz["plot"]["y1"].item()
        (points,) = axes.collections
        assert points.get_offsets()[0, 0] == pytest.approx(frame["y1"].std(ddof=0))
    finally:
        plt.close(drawn.viz["figure"].item())
