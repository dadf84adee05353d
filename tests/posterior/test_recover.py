"""Level 2 of many draws at once: the numbers of one draw at a time."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import bayes_msem as bm
from bayes_msem.checking.accuracy.refit import _as_posterior
from bayes_msem.fit import cluster_effects as of_fit
from bayes_msem.gaussian.normal import draw_given, roots
from bayes_msem.posterior import recover
from bayes_msem.posterior.effects_table import effects_table
from bayes_msem.structure.matrices import level_matrices
from tests.missing.frames import holes
from tests.posterior.made_up import synthetic_fit
from tests.random.models import build, case, make_data, sampled_values, unpiloted

Array = np.ndarray


@pytest.mark.parametrize("name", ["slope of a factor", "slope predicts z", "one loading, w and z"])
def test_draws_in_blocks_are_those_of_single_draws(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Against a loop over draws in plain NumPy, from one state of the generator."""
    blueprint = unpiloted(build(case(name), holes(seed=7)))
    observed, likelihood, template = blueprint.observed, blueprint.likelihood, blueprint.template
    n_uses, n_draws = len(template.effects.use_effect), 5
    factors = blueprint.table.variables("between", "between factor")
    points = blueprint.points(np.stack([sampled_values(blueprint, s) for s in range(n_draws)]))
    shape = (n_draws, observed.n_clusters, blueprint.n_sampled)
    t = np.random.default_rng(1).standard_normal(shape)

    rng, expected = np.random.default_rng(2), []
    for point, own in zip(points, t, strict=True):
        b = likelihood.effects(point, own) if blueprint.n_sampled else own
        normals = rng.standard_normal((observed.n_clusters, n_uses))
        statistics = blueprint.statistics_by_cluster
        a, _ = likelihood.linear_effects(point, b, normals, statistics)
        u = np.concatenate([a, observed.normal_z, b], axis=1)
        omega, coefficients = likelihood.level_two(point)
        mean = observed.cluster_design @ coefficients
        if np.isnan(u).any():
            noise = rng.standard_normal(observed.normal_z.shape)
            fill_by_cluster(u, mean, omega, noise, len(template.effects.linear))
        expected.append((u, mean, omega, np.empty((len(u), 0))))
        if factors:
            level = template.between
            matrices = level_matrices(level, likelihood.values(point))
            wanted = [level.names.index(name) for name in factors]
            known = (u - mean)[:, level.observed_position]
            parts = (matrices.covariance, wanted, level.observed_variable, known)
            drawn = observed.cluster_design @ matrices.coefficients[wanted].T
            expected[-1] = (u, mean, omega, drawn + draw_given(*parts, rng))

    for most in (1, 10**7):
        monkeypatch.setattr(recover, "_MAX_VALUES", most)
        found = list(recover.drawn_effects(blueprint, points, t, np.random.default_rng(2)))
        assert [first for first, _ in found] == (list(range(n_draws)) if most == 1 else [0])
        for i, field in enumerate(("u", "mean", "omega", "factors")):
            every = np.concatenate([getattr(block, field) for _, block in found])
            assert np.isfinite(every).all()
            np.testing.assert_allclose(every, [draw[i] for draw in expected], rtol=1e-9, atol=1e-9)


def fill_by_cluster(u: Array, mean: Array, omega: Array, noise: Array, first: int) -> None:
    """Draw what is missing in u, cluster by cluster: conditional normal distributions."""
    for j in np.flatnonzero(np.isnan(u).any(axis=1)):
        gone = np.flatnonzero(np.isnan(u[j]))
        seen = np.flatnonzero(~np.isnan(u[j]))
        weights = np.linalg.solve(omega[np.ix_(seen, seen)], omega[np.ix_(seen, gone)]).T
        spread = omega[np.ix_(gone, gone)] - weights @ omega[np.ix_(seen, gone)]
        drawn = roots(spread) @ noise[j, gone - first]
        u[j, gone] = mean[j, gone] + weights @ (u[j] - mean[j])[seen] + drawn


@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize("name", ["slope of a factor", "slope alone varies"])
def test_parts_are_those_of_all_clusters(
    name: str, missing: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some clusters at a time: the same draws, and so the same table."""
    monkeypatch.setattr(recover, "_CLUSTERS", 4)
    frame = holes(seed=7) if missing else make_data()
    blueprint = unpiloted(build(case(name), frame))
    draws = np.stack([sampled_values(blueprint, s) for s in range(6)])
    assert blueprint.observed.n_clusters % 4, "the last part is smaller"
    posterior = _as_posterior(blueprint, draws)
    whole = recover.recover_effects(blueprint, posterior, random_seed=3)
    parts = list(recover.recover_in_parts(blueprint, posterior, random_seed=3))
    assert [part.sizes["cluster_id"] for part in parts[:2]] == [4, 4]
    for variable in ("effects", "factors", "deviation_variance"):
        if variable not in whole:
            continue
        found = np.concatenate([p[variable].transpose("cluster_id", ...).values for p in parts])
        expected = whole[variable].transpose("cluster_id", ...).values
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)
    at = (blueprint.observed.cluster_ids, blueprint.observed.sizes)
    tables = [effects_table(each, *at, ci=0.9, ci_kind="hdi") for each in ([whole], parts)]
    pd.testing.assert_frame_equal(*tables, rtol=1e-9, atol=1e-9)
    assert tables[0]["shrinkage"].notna().any()


@pytest.mark.parametrize("name", ["slope of a factor", "slope predicts z"])
def test_many_clusters_come_in_parts(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """513 clusters, z missing in some: the same table, and the draws of all are not kept."""
    rng = np.random.default_rng(1)
    frame = make_data(sizes=tuple(rng.integers(2, 5, 513)))
    frame["group"] = [f"{k} é" for k in rng.permutation(513)[pd.factorize(frame["z1"])[0]]]
    frame.loc[frame["z1"] > 1.0, "z1"] = np.nan
    text = case(name).text + "\nown := s*s"
    model = bm.Model(text, frame, cluster="group")
    whole = synthetic_fit(model, draws=5)
    expected = whole.cluster_effects(ci=0.8, ci_kind="hdi")
    assert "cluster_draws" in whole.__dict__
    monkeypatch.setattr(of_fit, "_HELD", 0)
    fit = synthetic_fit(model, draws=5)
    found = fit.cluster_effects(ci=0.8, ci_kind="hdi")
    assert "cluster_draws" not in fit.__dict__
    assert found.attrs == expected.attrs
    assert set(found["effect"]) >= {"y1", "s", "own"}
    pd.testing.assert_frame_equal(found, expected, rtol=1e-9, atol=1e-9)
    assert fit.cluster_draws is not None
    calls = (pd.DataFrame(f.cluster_effects(ci=0.8, ci_kind="hdi")) for f in (fit, whole))
    pd.testing.assert_frame_equal(*calls)


def test_spread_of_blocks_is_that_of_all_draws() -> None:
    """A mean of 1e6 SDs leaves ten digits of the variance if nothing is squared before centring."""
    values = 1e6 + np.random.default_rng(3).standard_normal((50, 2, 3))
    spread = recover.Spread((2, 3))
    for block in np.split(values, [1, 2, 20]):
        spread.add(block)
    np.testing.assert_allclose(spread.variance(), values.var(axis=0, ddof=1), rtol=1e-8)
    single = recover.Spread((2,))
    single.add(np.ones((1, 2)))
    assert np.isnan(single.variance()).all()
