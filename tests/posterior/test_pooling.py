"""Rubin's rules, plausible values and long frames, against formulas and draws written out."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import bayes_msem as bm
from tests.posterior.made_up import synthetic_fit

Q = [1.0, 1.2, 1.1, 0.7]
U = [0.04, 0.05, 0.045, 0.06]


def rubin(q: list[float], u: list[float], complete: float = math.inf) -> dict[str, float]:
    """One quantity, step by step."""
    m = len(q)
    mean, within = sum(q) / m, sum(u) / m
    between = sum((x - mean) ** 2 for x in q) / (m - 1)
    total = within + between + between / m
    riv = (between + between / m) / within
    df = (m - 1) * (1 + 1 / riv) ** 2 if riv else math.inf
    if math.isfinite(complete):
        gamma = (between + between / m) / total
        observed = (complete + 1) / (complete + 3) * complete * (1 - gamma)
        df = observed * df / (observed + df) if math.isfinite(df) else observed
    t = stats.t(df).ppf(0.975) if math.isfinite(df) else stats.norm.ppf(0.975)
    return {
        "estimate": mean,
        "se": math.sqrt(total),
        "lower": mean - t * math.sqrt(total),
        "upper": mean + t * math.sqrt(total),
        "df": df,
        "riv": riv,
        "fmi": (riv + (2 / (df + 3) if math.isfinite(df) else 0)) / (1 + riv),
    }


@pytest.mark.parametrize("complete", [None, 5.0, 100.0])
def test_one_quantity(complete: float | None) -> None:
    found = bm.pool(Q, U, complete_df=complete)
    wanted = rubin(Q, U, complete or math.inf)
    assert found.index.tolist() == ["q1"]
    assert found.iloc[0].to_dict() == pytest.approx(wanted)


def test_equal_estimates_have_no_missing_information() -> None:
    found = bm.pool([2.0, 2.0], [0.25, 0.25]).iloc[0]
    assert found.to_dict() == pytest.approx(rubin([2.0, 2.0], [0.25, 0.25]))
    assert (found["df"], found["fmi"]) == (math.inf, 0.0)
    assert bm.pool([2.0, 2.0], [0.25, 0.25], complete_df=30).loc["q1", "df"] < 30


def test_several_quantities_with_names() -> None:
    q = pd.DataFrame({"a": Q, "b": [3.0, 2.0, 1.0, 2.5]})
    u = pd.DataFrame({"b": [0.1, 0.2, 0.3, 0.1], "a": U})  # another order
    found = bm.pool(q, u)
    for name in ("a", "b"):
        assert found.loc[name].to_dict() == pytest.approx(rubin(list(q[name]), list(u[name])))
    series = bm.pool([q.loc[i] for i in q.index], [u.loc[i] for i in u.index])
    pd.testing.assert_frame_equal(pd.DataFrame(series), pd.DataFrame(found))
    arrays = bm.pool(q.to_numpy(), u[["a", "b"]].to_numpy())
    np.testing.assert_array_equal(arrays, found)


def test_covariance_matrices() -> None:
    rng = np.random.default_rng(2)
    q = rng.normal(size=(5, 3))
    u = np.stack([np.cov(rng.normal(size=(3, 20))) for _ in range(5)])
    found = bm.pool(q, u)
    total = np.array(found.attrs["covariance"])
    np.testing.assert_allclose(total, u.mean(0) + 1.2 * np.cov(q.T))
    np.testing.assert_allclose(found["se"], np.sqrt(np.diag(total)))


def test_intervals_cover() -> None:
    """Means of normal data of which 40% are missing at random, imputed from their posterior."""
    rng = np.random.default_rng(6)
    n, seen, m, covered = 40, 24, 10, 0
    for _ in range(1000):
        y = rng.normal(size=seen)
        q, u = [], []
        for _ in range(m):
            variance = (seen - 1) * y.var(ddof=1) / rng.chisquare(seen - 1)
            mean = rng.normal(y.mean(), math.sqrt(variance / seen))
            full = np.concatenate([y, rng.normal(mean, math.sqrt(variance), n - seen)])
            q.append(full.mean())
            u.append(full.var(ddof=1) / n)
        found = bm.pool(q, u, complete_df=n - 1).iloc[0]
        covered += found["lower"] < 0 < found["upper"]
    assert abs(covered / 1000 - 0.95) < 0.02


@pytest.mark.parametrize(
    ("q", "u", "words"),
    [
        ([1.0], [0.1], "at least two"),
        ([1.0, math.nan], [0.1, 0.1], "estimates must be finite"),
        ([1.0, 2.0], [0.1, 0.0], "variances must be positive"),
        ([1.0, 2.0], [0.1], "shape of the estimates"),
        ([1.0, 2.0], [[0.1, 0.2], [0.1, 0.2]], "shape of the estimates"),
        (["a", "b"], [0.1, 0.1], "estimates must be numbers"),
        ([[1.0, 2.0], [1.0]], [0.1, 0.1], "estimates must be numbers"),
        (pd.DataFrame({"a": Q}), pd.DataFrame({"b": U}), "variances are of b"),
        ([pd.Series({"a": 1.0}), pd.Series({"b": 1.0})], U, "differ in what they are of"),
    ],
)
def test_what_cannot_be_pooled(q: object, u: object, words: str) -> None:
    with pytest.raises(bm.SpecificationError, match=words):
        bm.pool(q, u)


# Plausible values and long frames ----------------------------------------------------------------

SPEC = "level: within; fw =~ y1 + y2 + y3; level: between; fb =~ y1 + y2 + y3"


def frame() -> pd.DataFrame:
    rng = np.random.default_rng(3)
    g = np.repeat(np.arange(21), 4)
    data = pd.DataFrame(rng.normal(size=(84, 3)), columns=["y1", "y2", "y3"])
    data += rng.normal(size=21)[g, None]
    data.loc[[3, 50], "y2"] = np.nan
    return data.assign(school=[f"s{i}" for i in g]).set_axis([f"r{i}" for i in range(84)])


@pytest.fixture(scope="module")
def fit() -> bm.Fit:
    return synthetic_fit(bm.Model(SPEC, data=frame(), cluster="school"), draws=100)


def test_plausible_values_are_drawn_from_the_posterior_of_the_factors(fit: bm.Fit) -> None:
    values = fit.plausible_values(draws=200)
    assert values.columns.tolist() == ["imputation", "school", "fw"]
    assert values["imputation"].value_counts().eq(84).all()
    assert values["imputation"].unique().tolist() == list(range(1, 201))
    assert values.index[:84].equals(frame().index)
    assert values["school"].iloc[:84].tolist() == frame()["school"].tolist()
    by_row = values.set_index("imputation", append=True)["fw"].unstack(sort=False)
    scores = fit.scores()
    z = (by_row.mean(axis=1) - scores["mean"]) / (scores["sd"] / math.sqrt(200))
    assert 1.0 < z.abs().max() < 4.5
    np.testing.assert_allclose(by_row.std(axis=1), scores["sd"], rtol=0.3)


def test_plausible_values_of_clusters_are_those_of_the_draws(fit: bm.Fit) -> None:
    values = fit.plausible_values(draws=3, level="between")
    assert values.columns.tolist() == ["imputation", "school", "fb"]
    every = fit.cluster_draws["factors"].stack(all=("chain", "draw")).isel(between_factor=0)
    for i, at in enumerate((0, 100, 199), 1):  # evenly spaced over 2 chains of 100
        part = values[values["imputation"] == i]
        np.testing.assert_array_equal(part["fb"], every.isel(all=at))
        assert part["school"].tolist() == [f"s{i}" for i in range(21)]


def test_seeds_of_plausible_values(fit: bm.Fit) -> None:
    first, again = fit.plausible_values(draws=2), fit.plausible_values(draws=2)
    pd.testing.assert_frame_equal(first, again)
    assert not first["fw"].equals(fit.plausible_values(draws=2, random_seed=5)["fw"])


def test_long_imputations_are_the_list_below_each_other(fit: bm.Fit) -> None:
    frames, long = fit.impute(draws=3), fit.impute(draws=3, long=True)
    assert long.columns.tolist() == ["imputation", *frames[0].columns]
    for i, one in enumerate(frames, 1):
        part = long[long["imputation"] == i].drop(columns="imputation")
        pd.testing.assert_frame_equal(part, one)


def test_single_level_models_have_plausible_values() -> None:
    model = bm.Model("f =~ y1 + y2 + y3", data=frame())
    values = synthetic_fit(model, draws=5).plausible_values(draws=2)
    assert values.columns.tolist() == ["imputation", "f"]


def test_what_is_refused(fit: bm.Fit) -> None:
    with pytest.raises(bm.SpecificationError, match="draws=201 data sets cannot be made from 200"):
        fit.plausible_values(draws=201)
    with pytest.raises(bm.SpecificationError, match="level='x'"):
        fit.plausible_values(level="x")
    model = bm.Model("y1 ~ y2", data=frame().dropna())
    with pytest.raises(bm.SpecificationError, match="no factors at level within"):
        synthetic_fit(model, draws=3).plausible_values()


def test_a_column_of_that_name_is_not_overwritten() -> None:
    data = frame().rename(columns={"school": "imputation"})
    fit = synthetic_fit(bm.Model(SPEC, data=data, cluster="imputation"), draws=3)
    for made in (lambda: fit.impute(draws=2, long=True), lambda: fit.plausible_values(draws=2)):
        with pytest.raises(bm.SpecificationError, match="rename it"):
            made()
