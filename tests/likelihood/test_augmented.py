"""The joint density of models with outcomes that are not normal, against the oracle."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.inference.models import quiet_model
from tests.likelihood.augmented import (
    AUGMENTED,
    Augmented,
    Joint,
    built,
    frame_of_responses,
    informed_rows,
    random_parameters,
)

Array = NDArray[np.float64]
CASES = pytest.mark.parametrize("case", AUGMENTED, ids=str)


def point(case: Augmented, seed: int) -> tuple[Joint, Array, Array, Array]:
    """Oracle, extended parameters, and coordinates of effects and scores."""
    model, frame = built(case)
    blueprint = informed_rows(model.unpiloted_blueprint(), seed, given_z=case.given_z)
    this = Joint(case, blueprint, frame, random_parameters(blueprint, seed))
    x = np.ascontiguousarray(blueprint.extend_sampled(this.x))
    rng, likelihood = np.random.default_rng(seed), blueprint.likelihood
    return this, x, rng.normal(size=likelihood.shape), rng.normal(size=likelihood.score_shape)


@CASES
@pytest.mark.parametrize("seed", [1, 2])
def test_joint_density_is_that_of_the_oracle(case: Augmented, seed: int) -> None:
    this, x, t, t_s = point(case, seed)
    found = this.blueprint.likelihood.joint_with_scores(x, t, t_s)[0]
    responses = this.blueprint.template.responses
    assert responses is not None
    assert set(responses.carried) == set(case.carried)
    expected = this.joint(this.blueprint.likelihood, t, t_s)
    assert np.isfinite(expected)
    assert found == pytest.approx(expected, rel=1e-11)


@CASES
def test_gradients_are_those_of_differences(case: Augmented) -> None:
    """Steps of 1e-5: rounding 1e-8 on values near -300, third derivatives times 1e-10."""
    this, x, t, t_s = point(case, 3)
    n, m = len(x), len(x) + t.size
    _, *slopes = this.blueprint.likelihood.joint_with_scores(x, t, t_s)

    def density(v: Array) -> float:
        parts = v[:n].copy(), v[n:m].reshape(t.shape), v[m:].reshape(t_s.shape)
        return this.blueprint.likelihood.joint_with_scores(*map(np.ascontiguousarray, parts))[0]

    v = np.concatenate([x, t.ravel(), t_s.ravel()])
    differences = [(density(v + h) - density(v - h)) / 2e-5 for h in 1e-5 * np.eye(len(v))]
    found = np.concatenate([np.ravel(slope) for slope in slopes])
    np.testing.assert_allclose(found, differences, rtol=1e-6, atol=1e-6)
    assert (np.abs(found[n:]) > 0).all()


def test_without_a_density_there_is_no_gradient() -> None:
    """Effects whose covariance matrix is singular: -inf, and zeros that no sampler stumbles on."""
    this, x, t, t_s = point(AUGMENTED[0], 4)
    rows = [(r.level, r.lhs, r.op, r.rhs) for r in this.blueprint.parameters.rows]
    x[rows.index(("within", "fw", "~~", "fw"))] = 0.0
    value, *slopes = this.blueprint.likelihood.joint_with_scores(x, t, t_s)
    assert value == -np.inf
    assert all(np.isfinite(slope).all() for slope in slopes)


def test_scores_without_working_weights_are_standardised() -> None:
    """With the oracle's moments: s = mean + root t."""
    case = AUGMENTED[1]
    model, frame = built(case)
    blueprint = model.unpiloted_blueprint()
    this = Joint(case, blueprint, frame, random_parameters(blueprint, 5))
    likelihood, rows = blueprint.likelihood, blueprint.parameters.rows
    x, at = this.x, {r.key: i for i, r in enumerate(rows)}
    t_s = np.random.default_rng(5).normal(size=likelihood.score_shape)
    s, eta, _ = likelihood.scores(x, np.zeros(likelihood.shape), t_s)
    assert likelihood.responses is not None
    ordered = frame.iloc[likelihood.responses.order]
    slope, sd = x[at["within", "fw", "~", "x"]], x[at["within", "fw", "~~", "fw"]]
    expected = slope * ordered["x"].to_numpy() + sd * t_s[:, 0]
    np.testing.assert_allclose(s[:, 0], expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(eta[:, 0], expected, rtol=1e-12, atol=1e-12)
    loading = x[at["within", "fw", "=~", "y2"]]
    np.testing.assert_allclose(eta[:, 1], loading * expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("case", [AUGMENTED[2], AUGMENTED[8]], ids=str)
def test_order_of_the_rows_does_not_matter(case: Augmented) -> None:
    """The same density of shuffled data; scores and predictors of a row are where it stands."""
    model, frame = built(case)
    order = np.random.default_rng(6).permutation(len(frame))
    shuffled = frame.iloc[order].reset_index(drop=True)
    other = quiet_model(
        case.text, data=shuffled, cluster=case.cluster, families=dict(case.families),
        exposure=dict(case.exposure) or None,
    )  # fmt: skip
    blueprints = [m.unpiloted_blueprint() for m in (model, other)]
    x = random_parameters(blueprints[0], 6)
    x = np.ascontiguousarray(blueprints[0].extend_sampled(x))
    rng = np.random.default_rng(6)
    by_id = {c: rng.normal(size=blueprints[0].n_sampled) for c in range(7)}
    by_row = rng.normal(size=blueprints[0].likelihood.score_shape)
    found = []
    for blueprint, places in zip(blueprints, (np.arange(len(frame)), order), strict=True):
        likelihood, ids = blueprint.likelihood, blueprint.observed.cluster_ids
        assert likelihood.responses is not None
        t = np.zeros(likelihood.shape)
        if case.cluster:
            t = np.stack([by_id[int(c)] for c in ids])
        rows = likelihood.responses.order
        t_s = by_row[places[rows]]
        b = likelihood.effects(x, t) if case.cluster else np.zeros((1, 0))
        scores, eta, _ = likelihood.scores(x, b, t_s)
        in_frame = np.empty((len(frame), scores.shape[1] + eta.shape[1]))
        in_frame[places[rows]] = np.hstack([scores, eta])
        found.append((likelihood.joint_with_scores(x, t, t_s)[0], in_frame))
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-12)
    np.testing.assert_allclose(found[0][1], found[1][1], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("case", [AUGMENTED[2], AUGMENTED[8]], ids=str)
def test_other_data_of_the_same_kind(case: Augmented) -> None:
    """Replicated outcomes: the oracle's density of them, in the coordinates of the first data."""
    this, x, t, t_s = point(case, 7)
    first, observed = this.blueprint, this.blueprint.observed
    again = frame_of_responses(families=case.families, seed=8)
    columns = list(observed.y_names)
    frame = this.frame.copy()
    seen = frame[columns].notna()
    frame[columns] = again[columns].fillna(0.0).where(seen)
    y = np.ascontiguousarray(frame[columns].to_numpy(float))
    second = first.on(replace(observed, y=y))
    there = Joint(case, second, frame, this.x)
    found = second.likelihood.joint_with_scores(x, t, t_s)[0]
    assert found == pytest.approx(there.joint(second.likelihood, t, t_s), rel=1e-11)
    assert abs(found - first.likelihood.joint_with_scores(x, t, t_s)[0]) > 1
    effects = [b.likelihood.effects(x, t) for b in (first, second) if case.cluster]
    assert all((e == effects[0]).all() for e in effects)
    one, two = first.likelihood.responses, second.likelihood.responses
    assert one is not None
    assert two is not None
    np.testing.assert_array_equal(one.weight, two.weight)
    np.testing.assert_array_equal(one.target, two.target)


def test_rows_that_miss_something_else_keep_their_coordinates() -> None:
    """They stand in another order then; the density of the coordinates is the oracle's."""
    case = next(case for case in AUGMENTED if len(case.holes) == 2)
    this, x, t, _ = point(case, 10)
    observed, first = this.blueprint.observed, this.blueprint.likelihood.responses
    y, frame = observed.y.copy(), this.frame.copy()
    for k, name in enumerate(observed.y_names):
        if name in case.holes:
            y[:, k] = np.where(np.isnan(y[:, k]), 0.5, y[:, k])
            y[::3, k] = np.nan
            frame[name] = y[:, k]
    second = this.blueprint.on(replace(observed, y=y))
    other = second.likelihood.responses
    assert first is not None
    assert other is not None
    assert (first.order != other.order).any()
    for before, after in ((first.weight, other.weight), (first.target, other.target)):
        np.testing.assert_array_equal(
            before[np.argsort(first.order)], after[np.argsort(other.order)]
        )
    t_s = np.random.default_rng(10).normal(size=second.likelihood.score_shape)
    found = second.likelihood.joint_with_scores(x, t, t_s)[0]
    there = Joint(case, second, frame, this.x)
    assert found == pytest.approx(there.joint(second.likelihood, t, t_s), rel=1e-11)


def test_rows_of_other_clusters_have_standardised_scores() -> None:
    """Coordinates made for other rows would be those of other people."""
    this, _, _, _ = point(AUGMENTED[0], 9)
    observed = this.blueprint.observed
    assert observed.cluster is not None
    kept = np.arange(observed.n_rows) != 4
    assert observed.y_exposure is None
    fewer = replace(
        observed, y=observed.y[kept], x=observed.x[kept], cluster=observed.cluster[kept]
    )
    responses = this.blueprint.on(fewer).likelihood.responses
    assert responses is not None
    assert responses.y.shape[0] == kept.sum()
    assert not responses.weight.any()
