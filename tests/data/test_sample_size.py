"""What clusters support: figures by hand, thresholds against the results they were taken from."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import bayes_msem as bm
from bayes_msem.data.between_size import between_size, predictors
from bayes_msem.data.sample_size import (
    AMPLE,
    FEW,
    MOST_CLUSTERS,
    PAGE,
    RELIABLE,
    on_clusters,
    on_reliability,
)

ROOT = Path(__file__).parents[2]
TEXT = """
level: within
    m ~ x
    y ~ m + x
level: between
    m ~ x + w
    y ~ m + x + w
"""


def frame(clusters: int = 10, size: int = 5, seed: int = 3) -> pd.DataFrame:
    """x: hardly any variance between; m: much."""
    rng = np.random.default_rng(seed)
    g = np.repeat(np.arange(clusters), size)
    x = rng.normal(size=len(g)) + 0.2 * rng.normal(size=clusters)[g]
    m = 0.4 * x + rng.normal(size=len(g)) + 2 * rng.normal(size=clusters)[g]
    y = 0.3 * m + rng.normal(size=len(g)) + 0.5 * rng.normal(size=clusters)[g]
    return pd.DataFrame({"g": g, "x": x, "m": m, "y": y, "w": rng.normal(size=clusters)[g]})


def built(text: str, data: pd.DataFrame, **options: object) -> bm.Model:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bm.MsemWarning)
        return bm.Model(text, data, cluster="g", **options)  # type: ignore[arg-type]


def reliability(values: pd.Series, groups: pd.Series) -> float:
    """1 - MS within / MS between, by hand."""
    means, sizes = values.groupby(groups).mean(), values.groupby(groups).size()
    between = (sizes * (means - values.mean()) ** 2).sum() / (len(means) - 1)
    within = ((values - groups.map(means)) ** 2).sum() / (len(values) - len(means))
    return float(1 - within / between)


# Figures ----------------------------------------------------------------------------------------


def test_effective_n_by_hand() -> None:
    data = frame(size=7).iloc[:-4]  # not balanced
    about = bm.describe(data, "g", ["m", "x"])
    for name in ("m", "x"):
        groups = data.groupby("g")[name]
        n, sizes = len(data), groups.size()
        star = (n - (sizes**2).sum() / n) / (len(sizes) - 1)
        within = ((data[name] - groups.transform("mean")) ** 2).sum() / (n - len(sizes))
        between = (sizes * (groups.mean() - data[name].mean()) ** 2).sum() / (len(sizes) - 1)
        icc = (between - within) / star / ((between - within) / star + within)
        deff = 1 + ((sizes**2).sum() / n - 1) * icc
        assert about.variables.loc[name, "effective_n"] == pytest.approx(n / max(deff, 1))
    assert about.variables.loc["m", "effective_n"] < 30
    assert f"{about.variables.loc['m', 'effective_n']:.0f}" in repr(about)


def test_balanced_data_are_worth_their_clusters() -> None:
    """With an ICC of 1 the effective n is the number of clusters; without differences it is N."""
    g = np.repeat(np.arange(6), 4)
    same = np.tile([1.0, -1.0, 2.0, -2.0], 6)
    about = bm.describe(pd.DataFrame({"g": g, "level": g * 1.0, "same": same}), "g")
    assert about.variables["effective_n"].to_dict() == {"level": 6.0, "same": 24.0}


def test_advice_of_describe() -> None:
    data = frame()
    about = bm.describe(data, "g", ["x", "m"])
    expected = max(0.0, reliability(data["x"], data["g"]))
    assert expected < RELIABLE < reliability(data["m"], data["g"])
    clusters, means = about.advice
    assert clusters.startswith("10 clusters: up to 2 free parameters of level between (4 clusters")
    assert "beyond 5 (2 each)" in clusters
    shown = f"{expected:.2f}".lstrip("0")
    assert means.startswith(f"Reliability of cluster means below .60: x ({shown}). As predictors")
    assert "m (" not in means
    text, page = " ".join(repr(about).split()), about._repr_html_()
    for note in about.advice:
        assert PAGE in note
        assert text.count(note) == 1
        assert page.count(note.replace("'", "&#x27;")) == 1
    assert "<li>" in page


def test_silence() -> None:
    """Many clusters with reliable means need no advice; beyond what was studied there is none."""
    hsb = bm.describe(bm.load_dataset("hsb"), "school", ["mach", "ses"])
    assert hsb.advice == ()
    assert "<li>" not in hsb._repr_html_()
    assert on_clusters(50)
    assert not on_clusters(51)
    assert on_reliability({"x": 0.1}, MOST_CLUSTERS)
    assert not on_reliability({"x": 0.1}, MOST_CLUSTERS + 1)
    assert not on_reliability({"x": RELIABLE, "y": 1.0}, 10)


def test_unusual_reliabilities() -> None:
    """Cluster means that are all equal, or nearer than chance, have none; names are not endless."""
    note = on_reliability({"none": np.nan, "less": -3.0, "fine": 0.9}, 10)
    assert "none (.00), less (.00). As" in note
    assert "fine" not in note
    many = on_reliability({f"v{i}": 0.1 for i in range(9)}, 10)
    assert "v5 (.10), and 3 more. As" in many


# print(model) -----------------------------------------------------------------------------------


def test_a_model_prints_its_parameters_between() -> None:
    """5 slopes, x on w, 3 variances, 3 intercepts: 12 in 10 clusters."""
    data = frame()
    model = built(TEXT, data)
    size, means = between_size(model.observed, model.table)
    assert size == (
        "Level between: 12 free parameters, 0.8 clusters each. Below 2 each, priors narrow "
        f"intervals of slopes ({PAGE})."
    )
    expected = {v: reliability(data[v], data["g"]) for v in ("x", "m")}
    assert predictors(model.observed, model.table) == pytest.approx(expected)
    assert "x (" in means
    assert "m (" not in means
    for shown in (" ".join(str(model).split()), model._repr_html_()):
        shown = shown.replace("&#x27;", "'")
        assert shown.count(size) == shown.count(means) == 1


@pytest.mark.parametrize(
    ("clusters", "said"),
    [(24, " 2.0 clusters each. Below 4 each, priors may narrow"), (48, " 4.0 clusters each.")],
)
def test_clusters_per_parameter(clusters: int, said: str) -> None:
    model = built(TEXT, frame(clusters))
    line = between_size(model.observed, model.table)[0]
    assert said in line
    assert line.endswith("each.") == (clusters == 48)


def test_without_slopes_there_is_a_count_alone() -> None:
    """What was studied are slopes."""
    model = built("level: within\n y ~ x\nlevel: between\n y ~~ y\n x ~~ x", frame(4))
    assert between_size(model.observed, model.table) == [
        "Level between: 4 free parameters, 1.0 clusters each."
    ]


def test_only_split_predictors_count() -> None:
    """Not variables that are outcomes alone, nor equal parameters twice, nor fixed slopes."""
    data = frame()
    text = "level: within\n y ~ x\nlevel: between\n y ~ {}x + a*w\n x ~ a*w"
    free, fixed = (built(text.format(slope), data) for slope in ("", "0*"))
    assert list(predictors(free.observed, free.table)) == ["x"]
    assert between_size(free.observed, free.table)[0].startswith("Level between: 6 free")
    assert predictors(fixed.observed, fixed.table) == {}
    assert len(between_size(fixed.observed, fixed.table)) == 1
    assert between_size(bm.Model("y ~ x", data).observed, bm.Model("y ~ x", data).table) == []


def test_missing_values_are_passed_over() -> None:
    data = frame()
    data.loc[3:8, "x"] = np.nan
    model = built("level: within\n y ~ x\nlevel: between\n y ~ x", data)
    kept = data.dropna(subset=["x"])
    expected = reliability(kept["x"], kept["g"])
    assert predictors(model.observed, model.table)["x"] == pytest.approx(expected)


# Thresholds -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def widths() -> pd.DataFrame:
    """Width of slopes' intervals under the defaults, as a share of that under the wide priors."""
    d = pd.read_csv(ROOT / "benchmarks" / "prior_study_results.csv.xz")
    d = d[d["estimand"].str.startswith("slope") & (d["sets"] > 1)]
    d["log_width"] /= d["sets"]
    keys = ["design", "clusters", "size", "icc", "estimand"]
    table = d.pivot_table(index=keys, columns="candidate", values="log_width")
    ratio = np.exp(table["1 t split | gamma half x"] - table["2.5 | half-normal"])
    found = ratio.dropna().rename("ratio").reset_index()
    found["reliability"] = found["size"] * found["icc"] / (1 + (found["size"] - 1) * found["icc"])
    return found


def test_threshold_of_reliability(widths: pd.DataFrame) -> None:
    split = widths["estimand"].isin(["slope y~x", "slope m~x", "slope y~m"])
    chosen = widths[split & widths["design"].isin(["contextual", "mediation"])]
    by = chosen.groupby(["clusters", "icc", "size"])[["ratio", "reliability"]].mean()
    low = by[by["reliability"] < RELIABLE]
    assert len(low) == 20
    assert low["ratio"].max() < 0.65
    high = by[by["reliability"] >= RELIABLE].query("clusters >= 20")
    assert high["ratio"].min() > 0.65
    example = widths[widths["estimand"] == "slope talent~gse"]
    assert example["clusters"].item() == MOST_CLUSTERS
    assert example["ratio"].item() < 0.65


def test_thresholds_of_clusters(widths: pd.DataFrame) -> None:
    parameters = {"contextual": 5, "mediation": 12}
    reliable = widths[widths["design"].isin(parameters) & (widths["reliability"] > 0.8)]
    each = reliable["clusters"] / reliable["design"].map(parameters)
    by = reliable.groupby([each.rename("each"), "icc"])["ratio"].mean()
    per = by.index.get_level_values("each")
    assert by[per >= AMPLE].min() > 0.93
    assert by[per < FEW].mean() < 0.8
    assert by[per < FEW].max() < 0.95


def test_the_page_exists() -> None:
    text = (ROOT / PAGE).read_text(encoding="utf-8")
    assert re.search(r"reliability", text)
    for number in (f"{RELIABLE:g}".lstrip("0"), f"{AMPLE}", f"{FEW}"):
        assert number in text
