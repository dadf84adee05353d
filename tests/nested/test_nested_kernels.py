"""Both kernels of three levels against the stacked vectors of whole top units."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.nested.cases import CASES, EDGES, FACTORS, GROWTH, data_for, units_of, with_holes
from tests.nested.programs import likelihood_of, numerical_gradient, oracle, with_theta
from tests.nested.stacked import posterior

MANY = tuple(
    tuple(int(n) for n in np.random.default_rng(k).integers(1, 5, 1 + k % 4)) for k in range(11)
)


def variants(case):
    """Complete, with missing values, far from zero, and more units than fit side by side."""
    data = data_for(case)
    return {
        "complete": data,
        "holes": with_holes(data),
        "far": data_for(case, shift=100.0),
        "many": with_holes(data_for(case, seed=3, sizes=MANY)),
    }


@pytest.mark.parametrize("kind", ["complete", "holes", "far", "many"])
@pytest.mark.parametrize("name", CASES)
def test_value_and_gradient(name: str, kind: str) -> None:
    """1e-10: rounding of sums of some hundred terms; gradients, of central differences."""
    case = CASES[name]
    data = variants(case)[kind]
    value, gradient = likelihood_of(case, data).natural(case.theta)
    assert value == pytest.approx(oracle(case, data).sum(), rel=1e-10)
    numerical = numerical_gradient(case, data)
    assert np.abs(gradient - numerical).max() < 1e-7 * np.abs(numerical).max()


@pytest.mark.parametrize("name", EDGES)
def test_models_that_lack_something(name: str) -> None:
    case, data = EDGES[name], data_for(EDGES[name])
    every = ((data, "nested"), (data, "nested size"), (with_holes(data), "nested"))
    for observed, provider in every:
        value, gradient = likelihood_of(case, observed, provider).natural(case.theta)
        assert value == pytest.approx(oracle(case, observed).sum(), rel=1e-10)
        numerical = numerical_gradient(case, observed)
        assert np.abs(gradient - numerical).max() < 1e-7 * np.abs(numerical).max()


@pytest.mark.parametrize("z3_missing", [False, True])
@pytest.mark.parametrize("shift", [0.0, 100.0])
def test_by_size(shift: float, z3_missing: bool) -> None:
    for sizes in (None, MANY):
        data = data_for(FACTORS, shift=shift, sizes=sizes)
        if z3_missing:
            data = replace(data, z3=with_holes(data).z3)
        value, gradient = likelihood_of(FACTORS, data, "nested size").natural(FACTORS.theta)
        assert value == pytest.approx(oracle(FACTORS, data).sum(), rel=1e-10)
        _, expected = likelihood_of(FACTORS, data).natural(FACTORS.theta)
        # two exact gradients: rounding
        assert np.abs(gradient - expected).max() < 1e-11 * np.abs(expected).max()


def test_order_of_rows_and_units_does_not_matter() -> None:
    data, case = with_holes(data_for(FACTORS)), FACTORS
    value, _ = likelihood_of(case, data).natural(case.theta)
    # clusters of a unit apart from each other, units in another order
    order = np.random.default_rng(2).permutation(data.n_clusters)
    units = np.random.default_rng(3).permutation(len(data.z3))
    cluster = np.argsort(order)[data.cluster]
    rows = np.random.default_rng(4).permutation(data.n_rows)
    other = replace(
        data,
        y=data.y[rows], x=data.x[rows], cluster=cluster[rows], z=data.z[order], w=data.w[order],
        sizes=data.sizes[order], parent=np.argsort(units)[data.parent[order]], z3=data.z3[units],
        w3=data.w3[units],
    )  # fmt: skip
    assert likelihood_of(case, other).natural(case.theta)[0] == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize("provider", ["nested", "nested size"])
def test_a_negative_variance_is_no_error(provider: str) -> None:
    """Unbounded maximum likelihood: only covariance matrices of data have to be positive."""
    theta = FACTORS.theta
    case = with_theta(FACTORS, np.where(theta == 0.1, -0.02, theta))
    data = data_for(case)
    value, gradient = likelihood_of(case, data, provider).natural(case.theta)
    assert value == pytest.approx(oracle(case, data).sum(), rel=1e-10)
    numerical = numerical_gradient(case, data)
    assert np.abs(gradient - numerical).max() < 1e-7 * np.abs(numerical).max()


@pytest.mark.parametrize("provider", ["nested", "nested size"])
def test_no_density_where_a_covariance_matrix_is_not_positive_definite(provider: str) -> None:
    theta = FACTORS.theta
    case = with_theta(FACTORS, np.where(theta == 0.7, -9.0, theta))
    assert likelihood_of(case, data_for(case), provider).natural(case.theta)[0] == -np.inf


@pytest.mark.parametrize("holes", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_terms_of_top_units_and_means_of_effects(name: str, holes: bool) -> None:
    case = CASES[name]
    data = with_holes(data_for(case)) if holes else data_for(case)
    likelihood = likelihood_of(case, data)
    x, statistics = case.theta[None], likelihood.statistics
    found = likelihood.recover(x, *likelihood.no_noise(1, statistics), statistics)
    np.testing.assert_allclose(found.unit_terms[0], oracle(case, data), rtol=1e-10)
    n_a = found.a.shape[2]
    for k, unit in enumerate(units_of(data)):
        mean, _ = posterior(case.plain, case.lower, case.upper, unit)
        n_u = len(case.levels[1].outcomes)
        clusters = np.flatnonzero(data.parent == k)
        expected = mean[: n_u * len(clusters)].reshape(len(clusters), n_u)[:, :n_a]
        np.testing.assert_allclose(found.a[0, clusters], expected, rtol=1e-8, atol=1e-10)
        c = mean[n_u * len(clusters) :][: found.c.shape[2]]
        np.testing.assert_allclose(found.c[0, k], c, rtol=1e-8, atol=1e-10)


def test_draws_have_the_posterior_covariance() -> None:
    """Of 20,000 draws, to five standard errors of a covariance."""
    case, n = GROWTH, 20_000
    data = with_holes(data_for(case))
    likelihood, rng = likelihood_of(case, data), np.random.default_rng(1)
    x, statistics = np.tile(case.theta, (n, 1)), likelihood.statistics
    zero_c, zero_a = likelihood.no_noise(n, statistics)
    found = likelihood.recover(
        x, rng.normal(size=zero_c.shape), rng.normal(size=zero_a.shape), statistics
    )
    unit, clusters = units_of(data)[3], np.flatnonzero(data.parent == 3)
    mean, covariance = posterior(case.plain, case.lower, case.upper, unit)
    drawn = np.hstack([found.a[:, clusters].reshape(n, -1), found.c[:, 3]])
    sd = np.sqrt(np.diag(covariance))
    np.testing.assert_allclose(drawn.mean(axis=0), mean, atol=5 * sd.max() / np.sqrt(n))
    error = 5 * np.sqrt(2 / n) * np.outer(sd, sd)
    assert (np.abs(np.cov(drawn.T) - covariance) < error).all()
