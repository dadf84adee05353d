"""New data and new effects: their moments are those that the parameters imply."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from bayes_msem.gaussian.normal import roots
from bayes_msem.simulation.simulate import simulate_data
from tests.random.conditional import Conditional, conditional
from tests.random.level_two import cluster
from tests.random.models import case, effects, make_data, sampled_values

Array = NDArray[np.float64]


def stacked_draws(this: Conditional, x: Array, b: Array, n: int) -> Array:
    """Draw n times the outcomes (y, z) of all rows given b, flattened: (n, N, P)."""
    observed, rng = this.blueprint.observed, np.random.default_rng(71)
    extended = this.blueprint.extend_sampled(x)
    drawn = (simulate_data(this.blueprint, extended, observed, rng, sampled=b) for _ in range(n))
    return np.array([data.outcomes(observed) for data in drawn])


@pytest.mark.parametrize(
    "name",
    [
        "slope predicts z",
        "one name, factor and indicator",
        "slope, with a loading and a slope of one pair",
        "random loading and slope of one pair",
        "everything",
    ],
)
def test_outcomes_have_the_moments_of_the_stacked_cluster(name: str) -> None:
    """4000 draws of 3 clusters given b: z values below 4.5 for up to 1500 means and covariances.

    The standard error of a covariance of normal variables is sqrt((s_ii s_jj + s_ij^2) / draws).
    A model in which three of these were wrong by 5 % would show z values above 6.
    """
    frame = make_data(sizes=(3, 2, 2, 3, 2, 2), seed=70)
    this = conditional(case(name), frame)
    x, b = sampled_values(this.blueprint, 72), effects(this.blueprint, 72)
    n = 4000
    drawn = stacked_draws(this, x, b, n)
    p = len(this.blueprint.observed.y_names)
    largest = 0.0
    for j in (0, 1, 4):
        units = this.clusters()[j]
        known = cluster(this, x, b[j], units)
        _, mean, covariance, _ = known.stacked()
        order = [this.blueprint.observed.y_names.index(v) for v in known.oracle.within.observed]
        rows = drawn[:, units]
        assert (rows[:, :, p:] == rows[:, :1, p:]).all()  # z is one value per cluster
        sample = np.hstack([rows[:, :, order].reshape(n, -1), rows[:, 0, p:]])
        variance = np.diag(covariance)
        z_means = (sample.mean(axis=0) - mean) / np.sqrt(variance / n)
        errors = np.sqrt((np.outer(variance, variance) + covariance**2) / n)
        z_covariances = (np.cov(sample.T) - covariance) / errors
        assert np.abs(z_means).max() < 4.5
        assert np.abs(z_covariances).max() < 4.5
        largest = max(largest, np.abs(z_covariances).max())
    assert largest > 1.0  # those of a constant would be tiny


def test_clusters_are_drawn_independently() -> None:
    """Standard error of a correlation of 0: 1 / sqrt(draws)."""
    this = conditional(case("loadings"), make_data(sizes=(2, 2, 2, 2, 2), seed=73))
    x, b = sampled_values(this.blueprint, 74), effects(this.blueprint, 74)
    first = [units[0] for units in this.clusters()]
    y = stacked_draws(this, x, b, 3000)[:, first, 0]
    correlations = np.corrcoef(y.T)[np.triu_indices(len(first), 1)]
    assert np.abs(correlations).max() < 4 / np.sqrt(3000)


@pytest.mark.parametrize("name", ["everything", "slopes of a factor and of its indicator"])
def test_structures_of_the_clusters(name: str) -> None:
    """Sigma_j, fixed coefficients and the vectors l_q: the oracle's, in each cluster. Rounding."""
    this = conditional(case(name))
    x, b = sampled_values(this.blueprint, 75), effects(this.blueprint, 75)
    observed = this.blueprint.observed
    sigma, c, effect = this.blueprint.likelihood.within(this.blueprint.extend_sampled(x), b)
    assert len(sigma) == len(c) == len(effect) == len(b)
    for j, units in enumerate(this.clusters()):
        known = cluster(this, x, b[j], units)
        oracle, a = known.oracle, np.arange(1.0, 1.0 + known.n_a)
        y_order = [observed.y_names.index(v) for v in oracle.within.observed]
        x_order = [observed.x_names.index(v) for v in oracle.within.covariates]
        _, means, Sigma_w = known.rows(a)
        np.testing.assert_allclose(sigma[j][np.ix_(y_order, y_order)], Sigma_w, rtol=1e-12)
        design = np.zeros((len(units), 1 + len(x_order)))
        design[:, 0] = 1.0
        design[:, 1 + np.array(x_order)] = oracle.data["x"]
        template = this.blueprint.template.effects
        full = c[j].copy()
        for use, column, vector in zip(
            template.use_effect, template.use_column, effect[j], strict=True
        ):
            full[column] += a[use] * vector
        np.testing.assert_allclose((design @ full)[:, y_order], means, rtol=1e-12, atol=1e-12)


def test_roots_of_a_singular_and_of_an_indefinite_matrix() -> None:
    singular = np.array([[1.0, 1.0], [1.0, 1.0]])
    root = roots(singular)
    np.testing.assert_allclose(root @ root.T, singular, atol=1e-15)
    with pytest.raises(np.linalg.LinAlgError, match="negative eigenvalue"):
        roots(np.array([[1.0, 2.0], [2.0, 1.0]]))
    assert roots(np.zeros((2, 2))).tolist() == [[0, 0], [0, 0]]
