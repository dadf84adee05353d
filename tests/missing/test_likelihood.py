"""Incomplete data: the log-likelihood against the oracle, which leaves missing values out.

The issue of tolerances is that of tests.random.test_marginal: stacked matrices of up to 21 rows
with condition numbers up to 1000 leave 1e-13 relative; 1e-10 is for other machines.
"""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

import bayes_msem as bm
from bayes_msem.blueprint.blueprint import build_blueprint
from bayes_msem.data.observe import observe
from bayes_msem.inference.density import joint_log_likelihood, no_coordinates
from bayes_msem.kernels.by_cluster import value_and_gradient
from tests.likelihood.cases import CASES, SINGLE_LEVEL_CASES, Case, free_values, make_model
from tests.likelihood.cases import random_values as all_values
from tests.missing.frames import OUTCOMES, holes
from tests.oracle import oracle_log_likelihood
from tests.random.conditional import conditional
from tests.random.models import (
    LINEAR_CASES,
    SAMPLED_CASES,
    build,
    effects,
    free_rows,
    informed,
    linear_random,
    sampled_values,
    table_values,
    unpiloted,
)
from tests.random.test_gradients import check

Array = NDArray[np.float64]

RELATIVE = 1e-10


@pytest.mark.parametrize("case", CASES, ids=str)
def test_random_intercepts(case: Case) -> None:
    frame = holes(seed=3)
    model = make_model(case, frame)
    values = all_values(case, model, 5)
    expected = oracle_log_likelihood(values, frame, case.cluster)
    assert model.log_likelihood(free_values(model, values)) == pytest.approx(expected, rel=RELATIVE)


@pytest.mark.parametrize("case", LINEAR_CASES, ids=str)
def test_random_slopes(case: Case) -> None:
    frame = holes(seed=4)
    model = build(case, frame)
    values = table_values(case, model, 6)
    expected = oracle_log_likelihood(values, frame, "group", random=linear_random(model))
    assert model.log_likelihood(free_rows(model, values)) == pytest.approx(expected, rel=RELATIVE)


@pytest.mark.parametrize("case", SAMPLED_CASES, ids=str)
def test_given_sampled_effects(case: Case) -> None:
    this = conditional(case, holes(seed=5))
    x, b = sampled_values(this.blueprint, 7), effects(this.blueprint, 7)
    point = np.ascontiguousarray(this.blueprint.extend_sampled(x))
    statistics = this.blueprint.statistics_by_cluster
    value = this.blueprint.likelihood.given_effects(point, b, statistics)
    assert value == pytest.approx(this.log_likelihoods(x, b).sum(), rel=RELATIVE)


@pytest.mark.parametrize("case", [*CASES, *LINEAR_CASES, *SAMPLED_CASES], ids=str)
def test_gradients(case: Case) -> None:
    """Tolerances as in tests.random.test_gradients."""
    model = make_model(case, holes(seed=6))
    blueprint = informed(unpiloted(model), 3) if model.plan.sampled else unpiloted(model)
    x = sampled_values(blueprint, 8)
    t = np.random.default_rng(8).normal(size=effects(blueprint, 8).shape)
    _, d_x, d_t = joint_log_likelihood(blueprint, x, t)
    check(d_x, lambda at: joint_log_likelihood(blueprint, at, t)[0], x)
    check(d_t, lambda at: joint_log_likelihood(blueprint, x, at)[0], t)


@pytest.mark.parametrize(
    "case", [CASES[4], CASES[14], LINEAR_CASES[4], *SINGLE_LEVEL_CASES[:1]], ids=str
)
def test_both_layouts_agree_with_complete_data(case: Case) -> None:
    """Patterns and pieces on data without holes: the value of the likelihood for complete data."""
    frame = holes(share=0.0, seed=1)
    frame = frame.dropna().reset_index(drop=True)
    model = make_model(case, frame)
    values = all_values(case, model, 9)
    values = free_values(model, {k: v for k, v in values.items() if np.isfinite(v)})
    empty = frame.iloc[[0]].assign(**dict.fromkeys(OUTCOMES, np.nan))
    longer = make_model(case, pd.concat([frame, empty], ignore_index=True))
    expected = model.log_likelihood(values)
    assert longer.log_likelihood(values) == pytest.approx(expected, rel=1e-12)


def shuffled(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.sample(frac=1.0, random_state=3)


def relabelled(frame: pd.DataFrame) -> pd.DataFrame:
    names = {g: f"{i:03d}" for i, g in enumerate(reversed(frame["group"].unique()))}
    return frame.assign(group=frame["group"].map(names))


def with_empty_rows(frame: pd.DataFrame) -> pd.DataFrame:
    """Empty rows at the end, one of which misses its covariates as well."""
    extra = frame.iloc[[1, 2]].copy()
    extra.loc[:, list(OUTCOMES)] = np.nan
    extra.iloc[1, extra.columns.get_indexer(["x1", "x2", "w1", "w2", "z1", "z2"])] = np.nan
    return pd.concat([frame, extra], ignore_index=True)


@pytest.mark.parametrize("change", [shuffled, relabelled, with_empty_rows])
@pytest.mark.parametrize(
    "case", [CASES[3], CASES[13], LINEAR_CASES[4], LINEAR_CASES[12], SAMPLED_CASES[1]], ids=str
)
def test_invariance(case: Case, change: object) -> None:
    """To the order of rows, the names of clusters, and rows that miss everything."""
    frame = holes(seed=2)
    one, other = build(case, frame), build(case, change(frame))  # type: ignore[operator]
    values = table_values(case, one, 4)
    values = free_rows(one, values)
    if one.plan.sampled:
        b = pd.DataFrame(
            effects(unpiloted(one), 1),
            index=one._observed.cluster_ids,
            columns=unpiloted(one).template.effects.sampled,
        )
        b_other = b.set_axis(_names(frame, change(frame), b.index))  # type: ignore[operator]
        results = [log_likelihood(one, values, b), log_likelihood(other, values, b_other)]
    else:
        results = [one.log_likelihood(values), other.log_likelihood(values)]
    assert results[1] == pytest.approx(results[0], rel=1e-12)


def log_likelihood(model: bm.Model, values: object, b: pd.DataFrame) -> float:
    return model.log_likelihood(values, effects=b)  # type: ignore[arg-type]


def _names(frame: pd.DataFrame, changed: pd.DataFrame, ids: pd.Index) -> list[str]:
    """Names of the clusters of ``frame`` in the changed one, found by a covariate of theirs."""
    old = frame.groupby("group")["w1"].first()
    new = changed.groupby("group")["w1"].first()
    return [new.index[np.argmin(np.abs(new.to_numpy() - old[g]))] for g in ids]


def test_large_means_cost_no_digits() -> None:
    """A shift of all outcomes by 1e6 standard deviations, with holes: the intercepts follow.

    Data of size 1e6 are rounded at 1e-10, and log-likelihoods feel this times 100 residuals.
    """
    case = CASES[2]
    frame = holes(seed=2)
    model = make_model(case, frame)
    values = free_values(model, all_values(case, model, 4))
    shift = 1e6
    moved = frame.assign(**{name: frame[name] + shift for name in OUTCOMES})
    moved_values = {
        key: value + shift if key[2:] == ("~", "1") else value for key, value in values.items()
    }
    expected = model.log_likelihood(values)
    assert make_model(case, moved).log_likelihood(moved_values) == pytest.approx(expected, rel=1e-7)


def test_listwise_is_the_likelihood_of_complete_rows() -> None:
    case = CASES[3]
    frame = holes(seed=2)
    complete = frame.dropna(subset=["y1", "y2", "y3"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bm.MsemWarning)
        listwise = bm.Model(case.text, data=frame, cluster="group", missing="listwise")
    values = free_values(listwise, all_values(case, listwise, 4))
    expected = make_model(case, complete).log_likelihood(values)
    assert listwise.log_likelihood(values) == pytest.approx(expected, rel=1e-12)
    assert len(frame) - len(complete) == listwise._observed.dropped


def test_by_cluster_and_by_pattern_are_one_number() -> None:
    """The two kernels for incomplete data on the same model, to rounding."""
    check_one_number(build(LINEAR_CASES[5], holes(seed=8)))


def test_more_outcomes_than_lanes() -> None:
    """Ten outcomes, with intercepts and two slopes of a factor: uses fill more than one vector."""
    rng, names = np.random.default_rng(9), [f"y{i}" for i in range(1, 11)]
    group, (x1, x2) = np.repeat(np.arange(11), 13), rng.normal(size=(2, 143))
    y = rng.normal(size=(143, 1)) + rng.normal(size=(143, 10)) + rng.normal(size=(11, 10))[group]
    y[rng.uniform(size=y.shape) < 0.3] = np.nan
    frame = pd.DataFrame(y, columns=names).assign(group=group, x1=x1, x2=x2)
    factor = " + ".join(names)
    text = f"""
    level: within
        fw =~ {factor}
        fw ~ rv("s1")*x1 + rv("s2")*x2
    level: between
        fb =~ {factor}
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bm.MsemWarning)
        check_one_number(bm.Model(text, data=frame, cluster="group"))


def check_one_number(model: bm.Model) -> None:
    blueprint = build_blueprint(model.table, model._priors, model._observed)
    likelihood = blueprint.likelihood
    t = no_coordinates(blueprint)
    x = np.ascontiguousarray(blueprint.extend_sampled(sampled_values(blueprint, 2)))
    value, d_x, _ = likelihood.sampled(x, t)
    assert likelihood.provider == "pattern"
    program, statistics = likelihood.program, blueprint.statistics_by_cluster
    other, d_other, _ = value_and_gradient(
        x, t, np.ones((len(t), 1)), program.ints, program.floats, statistics
    )
    assert np.isfinite(value)
    assert other == pytest.approx(value, rel=1e-12)
    np.testing.assert_allclose(d_other, d_x, rtol=1e-9, atol=1e-9)


def test_frame_is_not_changed() -> None:
    frame = holes()
    before = frame.copy(deep=True)
    table = make_model(CASES[3], frame).table
    observe(frame, table, "group")
    pd.testing.assert_frame_equal(frame, before)
