"""Clusters with their sampled effects integrated out, against integrals over a grid."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import logsumexp

from bayes_msem.blueprint.blueprint import Blueprint
from bayes_msem.checking.accuracy.integral import ClusterIntegral, Proposal, proposal_from
from tests.missing.frames import holes
from tests.random.conditional import Conditional, conditional
from tests.random.models import case, informed, sampled_values

Array = NDArray[np.float64]


def standard(blueprint: Blueprint) -> Proposal:
    n_clusters, n = blueprint.observed.n_clusters, blueprint.n_sampled
    return Proposal(np.zeros((n_clusters, n)), np.tile(np.eye(n), (n_clusters, 1, 1)))


def integral(blueprint: Blueprint, nodes: int, seed: int = 1) -> ClusterIntegral:
    rng = np.random.default_rng(seed)
    return ClusterIntegral(blueprint, standard(blueprint), nodes=nodes, rng=rng)


def on_a_grid(this: Conditional, x: Array, code: int, points: int) -> float:
    """Log of the integral of p(y_j, z_j | b) N(b) over b, by the rule of rectangles.

    The integrand is smooth and vanishes at the ends (6 SDs out), where this rule converges fast.
    """
    units, n = this.clusters()[code], len(this.names)
    mean, covariance = this.effect_moments(x, np.zeros(n), units)
    root = np.linalg.cholesky(covariance)
    axis = np.linspace(-6.0, 6.0, points)
    logs = []
    for s in product(axis, repeat=n):
        b = mean + root @ np.array(s)
        value = this.oracle(x, b, units).log_likelihood()  # of (y, z, b)
        logs.append(value + np.log(np.diag(root)).sum() + n * np.log(axis[1] - axis[0]))
    return float(logsumexp(logs))


# 81 points for one effect, 21 x 21 for two: twice as many change the sixth decimal at most.
@pytest.mark.parametrize(
    ("name", "incomplete", "codes", "points"),
    [
        ("one loading, w and z", False, (0, 1, 3, 9), 81),
        ("one loading, w and z", True, range(10), 81),
        ("residual SD", False, (0, 2), 81),
        ("slope on a split predictor", False, (1, 4), 81),
        ("correlation of two factors", False, (0, 5), 81),
        ("loadings", False, (4,), 21),
    ],
)
def test_against_a_grid(name: str, incomplete: bool, codes: range, points: int) -> None:
    """Coordinates are informed at random: they cost accuracy, and the error says how much."""
    this = conditional(case(name), holes(seed=5) if incomplete else None)
    x = sampled_values(this.blueprint, 3)
    blueprint = informed(this.blueprint, 3, joint=False) if len(this.names) == 1 else this.blueprint
    value, error = integral(blueprint, 4096)(np.ascontiguousarray(blueprint.extend_sampled(x)))
    for code in codes:
        expected = on_a_grid(this, x, code, points)
        # eight standard errors, as they come from four averages; 1e-6: the error of the grid
        assert abs(value[code] - expected) < 8 * error[code] + 1e-6, code
        assert error[code] < 0.05, code


def test_the_stated_error_is_the_error() -> None:
    """Root mean squares of true and stated errors agree, over shifts and clusters."""
    this = conditional(case("loadings"))
    blueprint = this.blueprint
    x = np.ascontiguousarray(blueprint.extend_sampled(sampled_values(blueprint, 3)))
    truth, accuracy = integral(blueprint, 2**16)(x)
    assert accuracy.max() < 0.002
    short = integral(blueprint, 64)
    found = np.array([short(x) for _ in range(200)])
    true = np.sqrt(((found[:, 0] - truth) ** 2).mean())
    stated = np.sqrt((found[:, 1] ** 2).mean())
    assert 0.01 < true < 0.5
    # 2,000 errors with heavy tails: the ratio is known to a tenth or so
    assert 0.75 < stated / true < 1.33


def test_many_effects_against_plain_monte_carlo() -> None:
    """Seven effects: the mean of p(y, z | b) over b ~ N(mu, Omega), without any coordinates."""
    this = conditional(case("everything"))
    blueprint, n = this.blueprint, 40_000
    x = np.ascontiguousarray(blueprint.extend_sampled(sampled_values(blueprint, 3)))
    likelihood, first = blueprint.likelihood, blueprint.template.first_sampled
    omega, c_b = likelihood.level_two(x)
    mean = (blueprint.observed.cluster_design @ c_b)[:, first:]
    noise = np.random.default_rng(2).standard_normal((n, *mean.shape))
    b = mean + noise @ np.linalg.cholesky(omega[first:, first:]).T
    logs = likelihood.terms(x, b, blueprint.statistics_by_cluster)
    expected = logsumexp(logs, axis=0) - np.log(n)
    rough = np.exp(logs - expected).std(axis=0) / np.sqrt(n)
    value, error = integral(blueprint, 2**13)(x)
    known = rough < 0.1  # elsewhere plain Monte Carlo is no reference
    assert known.sum() >= 5
    gap = np.abs(value - expected)[known]
    assert (gap < 4 * rough[known] + 8 * error[known]).all()


def test_the_proposal_does_not_matter() -> None:
    this = conditional(case("one loading, w and z"))
    blueprint = this.blueprint
    x = np.ascontiguousarray(blueprint.extend_sampled(sampled_values(blueprint, 3)))
    n_clusters = blueprint.observed.n_clusters
    moved = Proposal(np.full((n_clusters, 1), 0.7), np.full((n_clusters, 1, 1), 1.6))
    other = ClusterIntegral(blueprint, moved, nodes=2048, rng=np.random.default_rng(9))
    value, error = integral(blueprint, 2048)(x)
    found, error_found = other(x)
    assert (np.abs(found - value) < 8 * np.hypot(error, error_found) + 1e-9).all()
    assert max(error.max(), error_found.max()) < 1e-3


def test_points_far_from_everything_do_no_harm() -> None:
    """A residual SD of exp(-40): cross products leave rounding errors of any size and sign."""
    this = conditional(case("residual SD"))
    blueprint = this.blueprint
    x = np.ascontiguousarray(blueprint.extend_sampled(sampled_values(blueprint, 3)))
    usual = integral(blueprint, 64)
    z = usual._shifted()
    z[::9] = -60.0
    usual._shifted = lambda: z  # type: ignore[method-assign]
    without = integral(blueprint, 64)
    value, _ = usual(x)
    expected, error = without(x)
    assert (np.abs(value - expected) < 0.5).all()
    assert error.max() < 0.1


def test_one_cluster_alone() -> None:
    """The restricted integral gives the cluster's value, also if it misses a whole variable."""
    this = conditional(case("loadings"), holes(seed=5))
    blueprint = informed(this.blueprint, 3)
    x = np.ascontiguousarray(blueprint.extend_sampled(sampled_values(blueprint, 3)))
    all_clusters = integral(blueprint, 64, seed=4)
    value, error = all_clusters(x)
    for code in range(blueprint.observed.n_clusters):
        one = integral(blueprint, 64, seed=4).restricted(code)  # the same shifts
        found, error_found = one(x)
        assert found.shape == (1,)
        np.testing.assert_allclose(found[0], value[code], rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(error_found[0], error[code], rtol=1e-9, atol=1e-12)


def test_moments_of_the_proposal() -> None:
    rng = np.random.default_rng(3)
    root = np.array([[0.5, 0.0], [0.2, 0.7]])
    draws = np.array([1.0, -2.0]) + rng.standard_normal((20_000, 3, 2)) @ root.T
    proposal = proposal_from(draws)
    # 20,000 draws: standard errors below .005
    np.testing.assert_allclose(proposal.mean, np.tile([1.0, -2.0], (3, 1)), atol=0.02)
    np.testing.assert_allclose(proposal.root, np.tile(root, (3, 1, 1)), atol=0.02)
    few = proposal_from(draws[:1])  # one draw has no covariance: N(0, I) keeps it apart
    assert np.linalg.cond(few.root[0]) < 10
