"""Model.simulate: designs, seeds, missing patterns, refusals, round trips, recovery."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

import bayes_msem as bm
from bayes_msem.inference.pymc_model import _random
from bayes_msem.simulation.simulate import draw_rows, simulate_data
from tests.checking.simulated import (
    CLUSTERS,
    cluster_of_three,
    joint_moments,
    tiled,
    z_values,
)
from tests.likelihood.cases import (
    Case,
    free_values,
    make_model,
    random_values,
    two_level,
)
from tests.missing.frames import holes
from tests.oracle import modelled, oracle_from_values, table_rows
from tests.posterior.made_up import synthetic_fit
from tests.random.models import (
    SAMPLED_CASES,
    case,
    effects,
    make_data,
    sampled_values,
    table_values,
)

Array = np.ndarray

FULL = two_level(
    "",
    "fw =~ y1 + y2 + y3\nfw ~ x1\ny4 ~ fw + x2",
    "fb =~ y1 + y2 + y3\nfb ~ w1\nz1 ~ fb + w2",
)
SINGLE = Case("", "f =~ y1 + y2 + y3\nf ~ x1", cluster=None)
COVARIATES = ["x1", "x2", "w1", "w2"]


def model_and_values(
    this: Case = FULL, frame: pd.DataFrame | None = None, seed: int = 50
) -> tuple[bm.Model, dict[Any, float]]:
    model = make_model(this, make_data() if frame is None else frame)
    if this in SAMPLED_CASES:
        model.blueprint = model.unpiloted_blueprint()
        theta = model.blueprint.theta(sampled_values(model.blueprint, seed)[None, :])[0]
        rows = [r for r in model.table.rows if r.free]
        return model, {r.key: float(model.blueprint.row_value(r.key, theta)) for r in rows}
    return model, free_values(model, random_values(this, model, seed))


# Designs ---------------------------------------------------------------------------------------


def test_clusters_alone_resample_whole_clusters() -> None:
    frame = make_data()
    model, values = model_and_values()
    data = model.simulate(values, clusters=500, random_seed=1)
    assert data["group"].drop_duplicates().tolist() == list(range(1, 501))
    assert data["group"].dtype == np.int64
    assert data.index.equals(pd.RangeIndex(len(data)))
    originals = {
        tuple(part["w1"])[:1]: part[COVARIATES].to_numpy().tolist()
        for _, part in frame.groupby("group", sort=False)
    }
    drawn = []
    for _, part in data.groupby("group", sort=False):
        assert part[COVARIATES].to_numpy().tolist() == originals[tuple(part["w1"])[:1]]
        drawn.append(part["w1"].iloc[0])
    # every one of 10 clusters has probability 1/10: counts within 4.5 sd of 50
    counts = pd.Series(drawn).value_counts()
    assert len(counts) == 10
    assert np.abs(counts - 50).max() < 4.5 * np.sqrt(500 * 0.1 * 0.9)


@pytest.mark.parametrize("sizes", [4, [7, 1, 30, 2], np.array([7, 1, 30, 2])])
def test_sizes_are_as_asked_and_rows_stay_whole(sizes: Any) -> None:
    frame = make_data()
    model, values = model_and_values()
    clusters = 6 if isinstance(sizes, int) else None
    data = model.simulate(values, clusters=clusters, sizes=sizes, random_seed=2)
    found = data.groupby("group").size().tolist()
    assert found == ([4] * 6 if isinstance(sizes, int) else [7, 1, 30, 2])
    rows = set(map(tuple, frame[COVARIATES].to_numpy()))
    assert set(map(tuple, data[COVARIATES].to_numpy())) <= rows
    assert (data.groupby("group")[["w1", "w2", "z1"]].nunique() == 1).all(axis=None)


def test_rows_are_drawn_with_replacement_and_evenly() -> None:
    frame = make_data(sizes=(5, 5), seed=3)
    model, values = model_and_values(two_level("", "y1 ~ x1", "y1 ~~ y1"), frame)
    data = model.simulate(values, clusters=1, sizes=5000, random_seed=3)
    counts = data["x1"].value_counts()
    assert len(counts) == 5
    assert np.abs(counts - 1000).max() < 4.5 * np.sqrt(5000 * 0.2 * 0.8)


def test_sizes_alone_and_one_size_alone() -> None:
    model, values = model_and_values()
    assert model.simulate(values, sizes=[3, 4], random_seed=1)["group"].nunique() == 2
    assert (model.simulate(values, sizes=3, random_seed=1).groupby("group").size() == 3).all()
    assert model.simulate(values, sizes=3, random_seed=1)["group"].nunique() == 10


def test_single_level_rows() -> None:
    model, values = model_and_values(SINGLE)
    data = model.simulate(values, sizes=70, random_seed=1)
    assert list(data.columns) == ["y1", "y2", "y3", "x1"]
    assert len(data) == 70
    assert data["x1"].isin(make_data()["x1"]).all()
    given = model.simulate(values, data=pd.DataFrame({"x1": [0.0, 1.0]}), random_seed=1)
    assert given["x1"].tolist() == [0.0, 1.0]


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_covariates_of_a_data_frame(library: str) -> None:
    model, values = model_and_values()
    plan = pd.DataFrame(
        {"group": ["b", "a", "b", "a"], "x1": [0, 1, 2, 3], "x2": 0.5, "other": "not used"},
        index=[9, 8, 7, 6],
    ).assign(w1=[1.0, 2.0, 1.0, 2.0], w2=0.0)
    before = plan.copy()
    data = model.simulate(
        values, data=plan if library == "pandas" else pl.from_pandas(plan), random_seed=1
    )
    shared = ["group", *COVARIATES]
    expected = plan if library == "pandas" else plan.reset_index(drop=True)
    pd.testing.assert_frame_equal(data[shared], expected[shared], check_dtype=False)
    assert np.isfinite(data[["y1", "y2", "y3", "y4", "z1"]].to_numpy()).all()
    pd.testing.assert_frame_equal(plan, before)


def test_the_data_as_a_frame_are_the_data() -> None:
    model, values = model_and_values()
    one = model.simulate(values, random_seed=4)
    again = model.simulate(values, data=make_data(), random_seed=4)
    pd.testing.assert_frame_equal(one, again)


# Seeds and effects -----------------------------------------------------------------------------


@pytest.mark.parametrize("this", [FULL, SAMPLED_CASES[-1]], ids=str)
def test_seeds_reproduce_and_effects_change_nothing(this: Case) -> None:
    model, values = model_and_values(this)
    for options in ({}, {"clusters": 4}, {"sizes": [2, 3]}):
        one = model.simulate(values, random_seed=7, **options)
        again, truth = model.simulate(values, random_seed=7, return_effects=True, **options)
        pd.testing.assert_frame_equal(one, again)
        assert truth.index.equals(pd.Index(one["group"].drop_duplicates(), name="group"))
        assert not one["y1"].equals(model.simulate(values, random_seed=8, **options)["y1"])
    assert not model.simulate(values)["y1"].equals(model.simulate(values)["y1"])


@pytest.mark.parametrize(
    "this",
    [
        FULL,
        case("one name, factor and indicator"),
        two_level(
            "",
            'y2 ~ rv("a")*x1\ny1 ~ rv("b")*y2 + rv("c")*x1',
            "y1 ~ y2\na ~~ b",
            "ind := a * b\ntotal := ind + c",
        ),
    ],
    ids=["intercepts", "slopes", "definitions"],
)
def test_effects_are_named_as_those_of_a_fit(this: Case) -> None:
    """And definitions are what they say, cluster by cluster."""
    frame = make_data()
    model = make_model(this, frame)
    model.blueprint = model.unpiloted_blueprint()
    theta = model.blueprint.theta(sampled_values(model.blueprint, 51)[None, :])[0]
    rows = [r for r in model.table.rows if r.free]
    values = {r.key: float(model.blueprint.row_value(r.key, theta)) for r in rows}
    _, truth = model.simulate(values, random_seed=1, return_effects=True)
    fit = synthetic_fit(make_model(this, frame), draws=4)
    assert truth.columns.tolist() == fit.cluster_effects()["effect"].drop_duplicates().tolist()
    assert truth.index.tolist() == fit.cluster_effects()["cluster"].drop_duplicates().tolist()
    if "ind" in truth:
        np.testing.assert_allclose(truth["ind"], truth["a"] * truth["b"])
        np.testing.assert_allclose(truth["total"], truth["ind"] + truth["c"])


def test_effects_serve_the_likelihood_given_effects() -> None:
    """log p(data | effects) at the true effects is larger than at those of other clusters."""
    model, values = model_and_values(SAMPLED_CASES[0])
    data, truth = model.simulate(values, clusters=60, sizes=30, random_seed=5, return_effects=True)
    again = make_model(SAMPLED_CASES[0], data)
    again.blueprint = again.unpiloted_blueprint()
    shuffled = truth.sample(frac=1.0, random_state=1).set_index(truth.index)
    at_truth = again.log_likelihood(values, effects=truth)
    assert at_truth > again.log_likelihood(values, effects=shuffled) + 50


# New clusters come from level 2 ----------------------------------------------------------------


def test_between_and_within_covariances_and_icc_of_new_clusters() -> None:
    """Cluster means of n rows have covariance Sigma_b + Sigma_w / n; z values below 4.5.

    4000 clusters of 6. Pooled within, 20,000 degrees of freedom.
    """
    this = two_level("", "fw =~ y1 + y2 + y3", "fb =~ y1 + y2 + y3")
    model, values = model_and_values(this)
    n_clusters, n = 4000, 6
    y = model.simulate(values, clusters=n_clusters, sizes=n, random_seed=9)[["y1", "y2", "y3"]]
    y = y.to_numpy().reshape(n_clusters, n, 3)
    covariances = {}
    for level, factor in (("within", "fw"), ("between", "fb")):
        at = model.parameter_table.set_index(["level", "lhs", "op", "rhs"])["value"].to_dict()
        at |= values
        loadings = np.array([at[level, factor, "=~", f"y{i}"] for i in (1, 2, 3)])
        residual = np.diag([at[level, f"y{i}", "~~", f"y{i}"] for i in (1, 2, 3)])
        covariances[level] = (
            np.outer(loadings, loadings) * at[level, factor, "~~", factor] + residual
        )
    means = y.mean(axis=1)
    deviations = (y - means[:, None]).reshape(-1, 3)
    found = {
        "within": (deviations.T @ deviations / (n_clusters * (n - 1)), n_clusters * (n - 1)),
        "between": (np.cov(means.T), n_clusters - 1),
    }
    expected = {
        "within": covariances["within"],
        "between": covariances["between"] + covariances["within"] / n,
    }
    for level, (estimate, df) in found.items():
        target, variance = expected[level], np.diag(expected[level])
        errors = np.sqrt((np.outer(variance, variance) + target**2) / df)
        assert np.abs((estimate - target) / errors).max() < 4.5, level
    between = found["between"][0] - found["within"][0] / n
    icc = np.diag(between) / (np.diag(between) + np.diag(found["within"][0]))
    true_icc = np.diag(covariances["between"]) / np.diag(sum(covariances.values()))
    # standard error of an ICC: below sqrt(2 / J) (1 - icc) (1 + (n - 1) icc) / sqrt(n (n - 1))
    errors = np.sqrt(2 / n_clusters) * (1 - true_icc) * (1 + (n - 1) * true_icc)
    assert (np.abs(icc - true_icc) < 4.5 * errors / np.sqrt(n * (n - 1)) + 1e-3).all()


def test_slopes_of_new_clusters() -> None:
    """Least squares in every cluster: slope_j = s_j + noise of variance v / Sxx_j.

    So (slope_j - E s_j)^2 - v / Sxx_j has the mean Var(s); its standard error is taken from its own
    spread over 6000 clusters. z values below 4.5.
    """
    frame = make_data(sizes=(12,) * 30, seed=6)
    model, _ = model_and_values(case("slope alone varies"), frame)
    values = table_values(case("slope alone varies"), model, seed=52)
    free = free_values(model, values)
    data = model.simulate(free, clusters=6000, sizes=10, random_seed=10)
    x, y, w = (data[v].to_numpy().reshape(6000, 10) for v in ("x1", "y1", "w1"))
    x = x - x.mean(axis=1, keepdims=True)
    some = (x**2).sum(axis=1) > 1
    x, y, w, sxx = x[some], y[some], w[some, 0], (x[some] ** 2).sum(axis=1)
    slope = (x * y).sum(axis=1) / sxx
    mean = values["between", "s", "~", "1"] + values["between", "s", "~", "w1"] * w
    excess = (slope - mean) ** 2 - values["within", "y1", "~~", "y1"] / sxx
    for sample, target in ((slope - mean, 0.0), (excess, values["between", "s", "~~", "s"])):
        z = (sample.mean() - target) / (sample.std() / np.sqrt(len(sample)))
        assert abs(z) < 4.5


# Missing values --------------------------------------------------------------------------------


def test_the_pattern_of_the_data_is_kept() -> None:
    frame = holes(seed=7)
    model, values = model_and_values(FULL, frame)
    names = ["y1", "y2", "y3", "y4"]
    with_holes = model.simulate(values, missing=True, random_seed=1)
    assert with_holes[names].isna().equals(frame[names].isna())
    assert frame[names].isna().any(axis=None)
    z_seen = frame.groupby("group")["z1"].transform("count") > 0
    assert (with_holes["z1"].notna() == z_seen).all()
    complete = model.simulate(values, random_seed=1)
    seen = frame[names].notna().to_numpy()
    np.testing.assert_array_equal(
        complete[names].to_numpy()[seen], with_holes[names].to_numpy()[seen]
    )
    assert model.simulate(values, missing=True, data=frame, random_seed=1).equals(with_holes)


@pytest.mark.parametrize("sizes", [None, 5])
def test_patterns_go_with_the_rows(sizes: int | None) -> None:
    frame = holes(seed=7).assign(z1=lambda f: f["z1"].where(f["group"] != f["group"].iloc[0]))
    model, values = model_and_values(FULL, frame)
    names = ["y1", "y2", "y3", "y4"]
    data = model.simulate(values, clusters=200, sizes=sizes, missing=True, random_seed=2)
    patterns = frame[["x1", "x2"]].assign(**frame[names].isna()).drop_duplicates()
    found = data[["x1", "x2"]].assign(**data[names].isna())
    assert len(found.merge(patterns, how="left", indicator=True).query("_merge != 'both'")) == 0
    assert data[names].isna().any(axis=None)
    lost = frame.groupby("w1")["z1"].count() == 0
    assert (data["z1"].isna() == data["w1"].map(lost)).all()
    assert lost.any()
    complete = model.simulate(values, clusters=200, sizes=sizes, random_seed=2)
    assert complete[[*names, "z1"]].notna().all(axis=None)


def test_pattern_of_a_frame() -> None:
    model, values = model_and_values()
    plan = make_data().assign(y2=lambda f: f["y2"].where(f.index % 3 > 0)).drop(columns=["y1"])
    data = model.simulate(values, data=plan, missing=True, random_seed=1)
    assert data["y2"].isna().equals(plan["y2"].isna())
    assert data["y1"].notna().all()
    assert model.simulate(values, data=plan, random_seed=1)["y2"].notna().all()


def test_rows_without_covariates_are_not_drawn_unless_their_pattern_is_wanted() -> None:
    frame = make_data()
    frame.loc[frame.index % 4 == 0, ["y1", "y2", "y3", "y4", "x1"]] = np.nan
    model, values = model_and_values(FULL, frame)
    assert model.simulate(values, clusters=100, random_seed=1).notna().all(axis=None)
    own = model.simulate(values, random_seed=1)
    assert own["y1"].isna().equals(frame["x1"].isna())
    kept = model.simulate(values, clusters=100, missing=True, random_seed=1)
    assert kept["x1"].isna().any()
    assert kept["y1"].isna().equals(kept["x1"].isna())


# One simulator ---------------------------------------------------------------------------------


@pytest.mark.parametrize("this", [FULL, SINGLE, case("loadings"), case("slope")], ids=str)
def test_pymc_draws_from_the_same_simulator(this: Case) -> None:
    blueprint = model_and_values(this)[0].unpiloted_blueprint()
    x = blueprint.extend_sampled(sampled_values(blueprint, 54))
    t = effects(blueprint, 54)
    arguments = [t] if blueprint.n_sampled else []
    found = _random(blueprint)(x, *arguments, rng=np.random.default_rng(2))
    sampled = blueprint.likelihood.effects(x, t) if blueprint.n_sampled else None
    drawn = simulate_data(
        blueprint, x, blueprint.observed, np.random.default_rng(2), sampled=sampled
    )
    np.testing.assert_array_equal(found, drawn.outcomes(blueprint.observed))
    assert np.isfinite(found).all()


def test_rows_of_clusters_with_known_effects() -> None:
    """Draws given level 2 are those that drew it, if the random numbers are: residuals agree."""
    model, _ = model_and_values()
    blueprint = model.blueprint
    x = blueprint.extend_sampled(sampled_values(blueprint, 55))
    rng = np.random.default_rng(3)
    u = rng.normal(size=(blueprint.observed.n_clusters, 4))
    y = draw_rows(blueprint, x, u, blueprint.observed, np.random.default_rng(4))
    shift = np.array([1.0, 0.0, 2.0, 0.0])  # of the intercepts of y1, y2, y3, and of z1
    shifted = draw_rows(blueprint, x, u + shift, blueprint.observed, np.random.default_rng(4))
    np.testing.assert_allclose(shifted - y, np.tile(shift, (len(y), 1)), atol=1e-12)


# Refusals --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"clusters": 0}, "clusters must be a number of clusters.*at least 1, got 0"),
        ({"clusters": -3}, "got -3"),
        ({"clusters": 2.0}, "got 2.0"),
        ({"clusters": True}, "got True"),
        ({"clusters": "many"}, "got 'many'"),
        ({"sizes": 0}, "sizes must be rows per cluster.*got 0"),
        ({"sizes": "10"}, "got '10'"),
        ({"sizes": []}, r"sizes must be rows per cluster.*got \[\]"),
        ({"sizes": [3, 0]}, r"sizes\[1\] must be a number of rows, at least 1, got 0"),
        ({"sizes": [3, 2.5]}, r"sizes\[1\].*got 2.5"),
        ({"sizes": object()}, "sizes must be rows per cluster"),
        ({"sizes": [3, 4], "clusters": 3}, "clusters=3, but sizes has 2 numbers.*leave clusters"),
        ({"data": make_data(), "clusters": 3}, "leave clusters and sizes out"),
        ({"data": make_data(), "sizes": 3}, "leave clusters and sizes out"),
        ({"missing": "yes"}, "missing must be True or False, got 'yes'"),
        ({"random_seed": -1}, "random_seed must be an integer of at least 0.*got -1"),
        ({"random_seed": 1.5}, "random_seed must be an integer"),
    ],
)
def test_arguments_are_checked(options: dict[str, Any], message: str) -> None:
    model, values = model_and_values()
    with pytest.raises(bm.SpecificationError, match=message):
        model.simulate(values, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"clusters": 3}, "single level; use sizes=<number of rows>"),
        ({"sizes": [3, 4]}, r"sizes must be a number of rows.*got \[3, 4\]"),
        ({"return_effects": True}, "single-level model has no cluster effects"),
    ],
)
def test_arguments_in_single_level_models(options: dict[str, Any], message: str) -> None:
    model, values = model_and_values(SINGLE)
    with pytest.raises(bm.SpecificationError, match=message):
        model.simulate(values, **options)


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        ([1, 2], "data must be a data frame"),
        (make_data().drop(columns="group"), "cluster column 'group' is not in data"),
        (make_data().drop(columns="w1").rename(columns={"x1": "X1"}), "'x1'; did you mean 'X1'"),
        (make_data().drop(columns=["w1"]), "not columns of data: 'w1'"),
        (make_data().assign(w1=range(35)), "'w1' is used at the between level only.*constant"),
        (make_data().assign(x2="a"), "'x2'"),
        (make_data().assign(x2=np.nan), "covariate 'x2' is missing in 35 rows.*fill it in"),
        (make_data().assign(w2=np.nan), "covariate 'w2' is missing in 35 rows"),
        (make_data().iloc[:0], "data has no rows"),
        (make_data().assign(group=None), "cluster column 'group' has no identifier"),
    ],
)
def test_frames_are_checked(plan: Any, message: str) -> None:
    model, values = model_and_values()
    with pytest.raises(bm.DataError, match=message):
        model.simulate(values, data=plan)


def test_a_pattern_needs_outcomes() -> None:
    model, values = model_and_values()
    with pytest.raises(bm.DataError, match="no column of outcomes"):
        model.simulate(values, data=make_data()[["group", *COVARIATES]], missing=True)


BLOCKS = {
    "complete": ("y1 ~~ y2\ny1 ~~ y3\ny2 ~~ y3", 3),
    "chordal": ("y1 ~~ y2\ny2 ~~ y3", 2),
    "direct": ("y1 ~~ y2\ny2 ~~ y3\ny3 ~~ y4\ny4 ~~ y1", 4),
    "fixed": ("y1 ~~ 0.9*y2\ny2 ~~ y3", 1),
}


@pytest.mark.parametrize("level", ["within", "between"])
@pytest.mark.parametrize("name", BLOCKS)
def test_values_outside_the_parameter_space(name: str, level: str) -> None:
    text, count = BLOCKS[name]
    other = "\n".join(f"{v} ~~ {v}" for v in ("y1", "y2", "y3", "y4") if v in text)
    this = two_level("", *((text, other) if level == "within" else (other, text)))
    model, values = model_and_values(this)
    covariances = [k for k in values if k[0] == level and k[2] == "~~" and k[1] != k[3]]
    assert len(covariances) == count
    values |= {k: 1.0 for k in values if k[2] == "~~" and k[1] == k[3]}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.simulate(values | dict.fromkeys(covariances, 0.1), random_seed=1)
    wrong = values | dict(zip(covariances, [0.9, 0.9, -0.9, 0.9], strict=False))
    message = f"covariance matrix of y.* at level {level} is not positive definite.*smaller"
    with pytest.raises(bm.SpecificationError, match=message):
        model.simulate(wrong | {covariances[0]: 1.1, covariances[-1]: -1.1}, random_seed=1)
    with pytest.raises(bm.SpecificationError, match=rf"{level}: y2 ~~ y2 = -0.5 is a negative"):
        model.simulate(values | {(level, "y2", "~~", "y2"): -0.5}, random_seed=1)


def test_impossible_values_of_random_covariances() -> None:
    name = "covariance of factors, one SD random"
    model, values = model_and_values(case(name))
    with pytest.raises(bm.SpecificationError, match="covariances of f, g at level within are not"):
        model.simulate(values | {("within", "f", "~~", "g"): 50.0}, random_seed=1)


@pytest.mark.parametrize(
    ("this", "changed"),
    [
        (
            two_level("", "y1 ~ y2 + x1\ny2 ~ y1 + x2", "y1 ~ w1\ny2 ~~ y2"),
            {("within", "y1", "~", "y2"): 1.0, ("within", "y2", "~", "y1"): 1.0},
        ),
        (case("residual SD"), {("between", "v1", "~", "1"): 800.0}),
    ],
    ids=["circle", "log SD"],
)
def test_values_without_finite_outcomes(this: Case, changed: dict[Any, float]) -> None:
    model, values = model_and_values(this)
    with pytest.raises(bm.SpecificationError, match=r"outcomes that are not finite.*circle"):
        model.simulate(values | changed, random_seed=1)


# Values ----------------------------------------------------------------------------------------


def test_values_may_be_singular() -> None:
    this = two_level("", "y1 ~~ y2", "y1 ~~ y2\ny1 + y2 ~ w1")
    model, values = model_and_values(this)
    values |= {k: 1.0 for k in values if k[2] == "~~"}  # correlations of 1
    data = model.simulate(values, random_seed=1)
    gap = data.groupby("group")[["y1", "y2"]].transform("mean")
    np.testing.assert_allclose(data["y1"] - gap["y1"], data["y2"] - gap["y2"], atol=1e-7)
    zero = {k: 0.0 for k in values if k[0] == "between" and k[2] == "~~"}
    _, truth = model.simulate(values | zero, random_seed=1, return_effects=True)
    w = make_data().groupby("group", sort=False)["w1"].first()
    expected = values["between", "y1", "~", "1"] + values["between", "y1", "~", "w1"] * w
    np.testing.assert_allclose(truth["y1"], expected)


def test_zero_variance_of_sampled_effects() -> None:
    model, values = model_and_values(case("loadings"))
    values |= {k: 0.0 for k in values if k[0] == "between" and {"l2", "l3"} & {k[1], k[3]}}
    values["between", "l2", "~", "1"] = 0.7
    _, truth = model.simulate(values, random_seed=1, return_effects=True)
    assert (truth["l2"] == 0.7).all()
    assert truth["y1"].std() > 0


def test_a_mode_and_a_summary_are_values() -> None:
    this = two_level("", "y1 ~ slope*x1 + 0.3*x2", "y1 ~ w1", "twice := 2 * slope")
    model = make_model(this, make_data(sizes=(6,) * 30, seed=8))
    mode = model.mode()
    fit = synthetic_fit(model, draws=20)
    for values in (mode, mode.to_frame(), fit.summary()):
        assert np.isfinite(model.simulate(values, random_seed=1)["y1"]).all()
    means = fit.summary().rename(columns={"mean": "value"})
    expected = model.simulate(means, random_seed=1)
    pd.testing.assert_frame_equal(model.simulate(fit.summary(), random_seed=1), expected)


# Round trips and recovery ----------------------------------------------------------------------


@pytest.mark.parametrize("this", [FULL, SINGLE, case("slope predicts z")], ids=str)
def test_simulated_frames_are_data(this: Case) -> None:
    """Also with missing values: marginal log-likelihoods are finite, and largest at the truth.

    Expected log-likelihoods differ by the Kullback-Leibler divergence: hundreds here.
    """
    frame = holes(seed=7)
    model, values = model_and_values(this, frame)
    sizes: dict[str, Any] = {"sizes": 2000} if this is SINGLE else {"clusters": 300, "sizes": 8}
    data = model.simulate(values, missing=True, random_seed=3, **sizes)
    assert data["y1"].isna().any()
    again = make_model(this, data)
    shifted = {k: v + 0.5 if k[2] == "~" else v for k, v in values.items()}
    assert again.log_likelihood(values) > again.log_likelihood(shifted) + 20


RECOVERED = {
    "regression": (Case("", "y1 ~ x1 + x2", cluster=None), {"sizes": 4000}),
    "CFA": (Case("", "f =~ y1 + y2 + y3\ng =~ y4 + y5 + y6", cluster=None), {"sizes": 4000}),
    "two levels": (FULL, {"clusters": 1500, "sizes": 8}),
    "own sizes": (FULL, {"clusters": 2500}),
    "slopes": (case("slope predicted by w and by a factor"), {"clusters": 1500, "sizes": 8}),
    "slope predicts z": (case("slope predicts z"), {"clusters": 1500, "sizes": 8}),
    "missing": (FULL, {"clusters": 2000, "sizes": 8, "missing": True}),
}


@pytest.mark.parametrize("name", RECOVERED)
def test_maximum_likelihood_recovers_the_values(name: str) -> None:
    """Estimates are normal around the truth: |z| below 4.5, and their mean square near 1."""
    this, options = RECOVERED[name]
    frame = make_data(sizes=(4, 7, 12, 9) * 7, seed=9)
    if options.get("missing"):
        rng = np.random.default_rng(1)
        frame = frame.assign(y2=frame["y2"].where(rng.uniform(size=len(frame)) > 0.3))
    model, values = model_and_values(this, frame, seed=56)
    values |= {k: max(v, 0.6) for k, v in values.items() if k[2] == "=~" or k[1] == k[3]}
    data = model.simulate(values, random_seed=11, **options)
    mode = make_model(this, data).mode(prior=False)
    assert mode.converged
    z = np.array([(mode[k] - v) / mode.standard_errors[k] for k, v in values.items()])
    assert np.abs(z).max() < 4.5
    # chi-squared with len(z) degrees of freedom, if estimates were independent
    assert 0.2 < np.mean(z**2) < 2.5


# Known clusters --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "this",
    [
        FULL,
        case("slope predicts z"),
        case("one name, factor and indicator"),
        SAMPLED_CASES[-1],
        two_level("", "y1 ~ x1", "y1 ~~ 0*y1\ny1 ~ w1\nz1 ~ w1"),
    ],
    ids=["intercepts", "z", "slopes", "everything", "no variance"],
)
def test_new_rows_of_known_clusters(this: Case) -> None:
    """Effects go in as they came out; with them, only rows and cluster-level outcomes vary."""
    model, values = model_and_values(this)
    _, effects = model.simulate(values, sizes=[3, 4, 5], random_seed=1, return_effects=True)
    one, again = model.simulate(
        values, sizes=[9, 9, 9], random_seed=2, effects=effects, return_effects=True
    )
    factors = list(model.table.variables("between", "between factor"))
    kept = effects.columns.difference(factors)
    pd.testing.assert_frame_equal(again[kept], effects[kept])
    swapped = effects.iloc[::-1]
    pd.testing.assert_frame_equal(
        model.simulate(values, sizes=[9, 9, 9], random_seed=2, effects=swapped), one
    )


@pytest.mark.parametrize("incomplete", [False, True])
def test_rows_and_z_given_effects_have_their_moments(incomplete: bool) -> None:
    """20,000 times one cluster, whose effects are given: the oracle's stacked moments given them.

    Standard errors as in tests.checking.simulated; z values below 4.5 for some 100 of them.
    """
    frame = make_data()
    this = two_level("", "y1 ~ x1\ny2 ~ y1", "y1 + y2 ~ w1\nz1 ~ y1 + w2\nz2 ~ y2\nz1 ~~ z2")
    model = make_model(this, holes(seed=7) if incomplete else frame)
    values = random_values(this, model, 57)
    units = cluster_of_three(frame)
    given = np.array([0.7, -1.2])
    effects = pd.DataFrame({"y1": given[0], "y2": given[1]}, index=range(CLUSTERS))
    data = model.simulate(
        free_values(model, values), data=tiled(frame, units), effects=effects, random_seed=58
    )
    oracle = oracle_from_values(values, frame, "group")
    u = modelled([r for r in table_rows(values) if r.level == "between"])
    known = [u.index("y1"), u.index("y2")]
    mean, covariance = joint_moments(oracle, units, known)
    n = len(mean) - 2
    slope = covariance[:n, n:] @ np.linalg.inv(covariance[n:, n:])
    y = data[list(oracle.within.observed)].to_numpy().reshape(CLUSTERS, -1)
    z = data[list(oracle.between.outcomes)].to_numpy()[::3]
    means, covariances = z_values(
        np.hstack([y, z]),
        mean[:n] + slope @ (given - mean[n:]),
        covariance[:n, :n] - slope @ covariance[n:, :n],
    )
    assert np.abs(means).max() < 4.5
    assert 0.3 < np.abs(covariances).max() < 4.5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda e: {"y1": 1.0}, "effects must be a data frame.*got dict"),
        (lambda e: e.rename(columns={"y1": "yy1"}), "no column for the effect 'y1'; did you mean"),
        (lambda e: e.iloc[1:], "no row for the cluster 1"),
        (lambda e: pd.concat([e, e]), "more than one row for the cluster 1"),
        (lambda e: e.assign(y2=np.nan), "the effect 'y2' of cluster 1 is nan; give a number"),
        (lambda e: e.assign(y2="a"), "values that are no numbers"),
    ],
)
def test_effects_are_checked(change: Any, message: str) -> None:
    model, values = model_and_values()
    effects = model.simulate(values, clusters=4, random_seed=1, return_effects=True)[1]
    with pytest.raises(bm.SpecificationError, match=message):
        model.simulate(values, clusters=4, effects=change(effects))


def test_single_level_models_have_no_effects() -> None:
    model, values = model_and_values(SINGLE)
    with pytest.raises(bm.SpecificationError, match="effects were given, but a single-level"):
        model.simulate(values, effects=pd.DataFrame())
