"""Level 2 of many draws at once: the numbers of one draw at a time."""

from __future__ import annotations

import numpy as np
import pytest

from bayes_msem.gaussian.normal import draw_given, fill_missing
from bayes_msem.posterior import recover
from bayes_msem.structure.matrices import level_matrices
from tests.missing.frames import holes
from tests.random.models import build, case, sampled_values, unpiloted

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
        fill_missing(u, mean, omega, rng)
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


def test_spread_of_blocks_is_that_of_all_draws() -> None:
    """A mean of 1e6 SDs leaves ten digits of the variance if nothing is squared before centring."""
    values = 1e6 + np.random.default_rng(3).standard_normal((50, 2, 3))
    spread = recover._Spread((2, 3))
    for block in np.split(values, [1, 2, 20]):
        spread.add(block)
    np.testing.assert_allclose(spread.variance(), values.var(axis=0, ddof=1), rtol=1e-8)
    single = recover._Spread((2,))
    single.add(np.ones((1, 2)))
    assert np.isnan(single.variance()).all()
