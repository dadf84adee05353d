"""Comparison of models: the numbers, and what is refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import bayes_msem as bm
from bayes_msem.checking.accuracy.compare import Weights
from bayes_msem.checking.accuracy.loo import LooResult
from tests.checking.laplace import laplace_fit
from tests.checking.test_stacking import climbed

# With 400 draws k is above .62 here and there: a column of the table says where.
pytestmark = pytest.mark.filterwarnings("ignore::bayes_msem.AccuracyWarning")

WITHIN = "level: within\n{}\nlevel: between\n{}"
DRAWS = 200


def data(seed: int = 2, n_clusters: int = 120, n: int = 4) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    g = np.repeat(np.arange(n_clusters), n)
    frame = pd.DataFrame({"w": rng.normal(size=n_clusters)[g], "x": rng.normal(size=len(g))})
    intercept = 0.8 * rng.normal(size=n_clusters)[g]
    frame["y"] = 0.5 * frame["x"] + 0.6 * frame["w"] + intercept + rng.normal(size=len(g))
    frame["m"] = 0.3 * frame["y"] + rng.normal(size=len(g))
    return frame.assign(g=[f"c{j}" for j in g])


def fitted(within: str, between: str, frame: pd.DataFrame | None = None) -> bm.Fit:
    frame = data() if frame is None else frame
    return laplace_fit(bm.Model(WITHIN.format(within, between), frame, cluster="g"), draws=DRAWS)


@pytest.fixture(scope="module")
def fits() -> dict[str, bm.Fit]:
    return {
        "null": fitted("y ~~ y", "y ~~ y"),
        "within": fitted("y ~ x", "y ~~ y"),
        "both": fitted("y ~ x", "y ~ w"),
    }


def test_the_numbers(fits: dict[str, bm.Fit]) -> None:
    table = bm.compare(fits)
    assert table.index.tolist() == ["both", "within", "null"]
    assert table["rank"].tolist() == [0, 1, 2]
    terms = {name: fit.loo().pointwise.to_numpy() for name, fit in fits.items()}
    for name in fits:
        difference = terms[name] - terms["both"]
        assert table.loc[name, "elpd"] == pytest.approx(terms[name].sum(), rel=1e-12)
        assert table.loc[name, "elpd_diff"] == pytest.approx(difference.sum(), rel=1e-9, abs=1e-12)
        se = np.sqrt(len(difference)) * difference.std()
        assert table.loc[name, "se_diff"] == pytest.approx(se, rel=1e-9, abs=1e-12)
        assert table.loc[name, "p_loo"] == pytest.approx(fits[name].loo().p_loo, rel=1e-12)
        assert table.loc[name, "high_k"] == len(fits[name].loo().high_k)
    assert table["weight"].sum() == pytest.approx(1.0)
    stacked = climbed(np.column_stack([terms[str(name)] for name in table.index]))
    np.testing.assert_allclose(table["weight"], stacked, atol=1e-6)
    assert "120 clusters: new clusters" in table.caption
    assert "rough" not in table.caption


@pytest.mark.parametrize("weights", ["stacking", "BB-pseudo-BMA", "pseudo-BMA"])
def test_weights_do_not_depend_on_the_units_of_the_data(
    fits: dict[str, bm.Fit], weights: Weights
) -> None:
    """Units that add -1,000 to log densities, whose exp() is then 0, change elpd alone."""
    results = {name: fit.loo() for name, fit in fits.items()}
    expected = bm.compare(results, weights=weights)
    for result in results.values():
        shifted = result.elpd_data.elpd_i - 1000.0
        vars(result.elpd_data).update(elpd_i=shifted, elpd=float(shifted.sum()))
    table = bm.compare(results, weights=weights)
    np.testing.assert_allclose(table["weight"], expected["weight"], rtol=1e-7)
    np.testing.assert_allclose(table["se"], expected["se"], rtol=1e-7)
    np.testing.assert_allclose(table["elpd"], expected["elpd"] - 120_000, rtol=1e-12)


def test_terms_that_are_no_numbers_are_refused(fits: dict[str, bm.Fit]) -> None:
    results = {name: fit.loo() for name, fit in fits.items()}
    results["null"].elpd_data.elpd_i[[4, 7]] = [-np.inf, np.nan]
    with pytest.raises(bm.SpecificationError, match=r"'null' has no finite elpd for 2 of 120 .*c4"):
        bm.compare(results)


def test_both_units(fits: dict[str, bm.Fit]) -> None:
    """The between-level covariate matters for new clusters, hardly for rows of known ones."""
    clusters, rows = bm.compare(fits), bm.compare(fits, unit="observation")
    assert abs(rows.loc["within", "elpd_diff"]) < abs(clusters.loc["within", "elpd_diff"]) / 2
    assert "new rows of known clusters" in rows.caption
    assert rows.attrs["unit"] == "observation"


def test_results_are_taken_as_they_are(fits: dict[str, bm.Fit]) -> None:
    given = {name: fit.loo("observation") for name, fit in fits.items()}
    pd.testing.assert_frame_equal(bm.compare(given), bm.compare(fits, unit="observation"))
    mixed: dict[str, bm.Fit | LooResult] = {"a": given["both"], "b": fits["within"]}
    assert bm.compare(mixed).attrs["unit"] == "observation"


@pytest.mark.filterwarnings("ignore::bayes_msem.SmallSampleWarning")
def test_small_differences_and_few_clusters_are_told() -> None:
    frame = data(n_clusters=15, seed=4)
    frame["u"] = np.random.default_rng(1).normal(size=len(frame))  # says nothing about y
    two = {"x": fitted("y ~ x", "y ~~ y", frame), "x and u": fitted("y ~ x + u", "y ~~ y", frame)}
    caption = bm.compare(two).caption
    assert "predicts about as well as" in caption
    assert "With 15 clusters the standard errors of the differences are rough" in caption
    assert caption in " ".join(repr(bm.compare(two)).split())


def test_unclear_differences_are_told(fits: dict[str, bm.Fit]) -> None:
    """Differences of 4 and more, but less than two standard errors; made up from true results."""
    better, worse = fits["both"].loo(), fits["null"].loo()
    noise = np.where(np.arange(120) % 2, 1.0, -1.0) + 5 / 120
    data_of = better.elpd_data
    shifted = data_of.elpd_i + noise
    vars(worse.elpd_data).update(elpd_i=shifted, elpd=float(shifted.sum()))
    caption = bm.compare({"a": better, "b": worse}).caption
    assert "'a' is not clearly worse than 'b': the difference is less than two" in caption


def refused(name: str) -> dict[str, bm.Fit | LooResult]:
    frame = data(n_clusters=12)
    fit = fitted("y ~ x", "y ~~ y", frame)
    if name == "units":
        return {"a": fit.loo("cluster"), "b": fit.loo("observation")}
    if name == "outcomes":
        return {"a": fit, "b": fitted("y ~ m\nm ~~ m", "y ~~ m", frame)}
    if name == "values":
        return {"a": fit, "b": fitted("y ~ x", "y ~~ y", frame.assign(y=frame["y"] * 2))}
    if name == "rows":
        return {"a": fit, "b": fitted("y ~ x", "y ~~ y", frame.iloc[:-1])}
    if name == "order":
        return {"a": fit, "b": fitted("y ~ x", "y ~~ y", frame.iloc[::-1])}
    assert name == "clusters"
    moved = frame.assign(g=[*frame["g"].iloc[1:], "c0"])
    return {"a": fit, "b": fitted("y ~ x", "y ~~ y", moved)}


@pytest.mark.filterwarnings("ignore::bayes_msem.SmallSampleWarning")
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("units", "'a' predicts a new cluster .* and 'b' a new row of a known cluster"),
        ("outcomes", "different outcomes .*'b' alone has m"),
        ("values", "the values of 'y' differ"),
        ("rows", "they use 48 and 47 rows"),
        ("order", r"their rows differ, or their order does \(row 1 is 0 and 47\)"),
        ("clusters", "their clusters differ .*'c0' and 'c1'"),
    ],
)
def test_only_like_is_compared(name: str, message: str) -> None:
    with pytest.raises(bm.SpecificationError, match=message) as caught:
        bm.compare(refused(name))
    assert "'a' and 'b' cannot be compared" in str(caught.value)


def test_cluster_level_outcomes_are_outcomes_of_clusters_only() -> None:
    """z as an outcome or as a covariate: not the same clusters' density, but the same rows'."""
    rng = np.random.default_rng(3)
    frame = data()
    frame["z"] = rng.normal(size=120)[np.repeat(np.arange(120), 4)]
    pair = {
        "outcome": fitted("y ~ x", "y ~ z\nz ~~ z", frame),
        "covariate": fitted("y ~ x", "y ~ z", frame),
    }
    with pytest.raises(bm.SpecificationError, match="'outcome' alone has z"):
        bm.compare(pair)
    assert len(bm.compare(pair, unit="observation")) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"models": {"a": 1, "b": 2}}, "'a' is neither a fit nor a result of fit.loo"),
        ({"models": {}}, "needs two models or more, by name"),
        ({"weights": "bma"}, "weights='bma' is unknown"),
        ({"unit": "rows"}, "unit='rows' is unknown"),
    ],
)
def test_arguments(fits: dict[str, bm.Fit], options: dict[str, object], message: str) -> None:
    with pytest.raises(bm.SpecificationError, match=message):
        bm.compare(**{"models": fits, **options})  # type: ignore[arg-type]


def test_the_unit_asked_for_must_be_that_of_the_results(fits: dict[str, bm.Fit]) -> None:
    with pytest.raises(bm.SpecificationError, match="'both' is a result for unit='cluster'"):
        bm.compare({"both": fits["both"].loo(), "null": fits["null"]}, unit="observation")
