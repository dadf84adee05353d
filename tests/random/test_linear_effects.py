"""Linear effects given the data: draws, the closed form, and the identity that ties them.

Here a_j are the effects that the likelihood integrates out (random intercepts, slopes on observed
covariates), b_j those it is given. All is compared with plain NumPy on the stacked cluster.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import multivariate_normal

from tests.random.conditional import Conditional, conditional
from tests.random.level_two import cluster
from tests.random.models import CASES, case, effects, sampled_values

Array = NDArray[np.float64]

NAMES = [c.name for c in CASES]
# Effects without a density: an outcome whose between part is a constant.
REGULAR = [name for name in NAMES if name != "intercepts are constants"]


@cache
def brute_force(name: str) -> Conditional:
    return conditional(case(name))


def posterior(this: Conditional, x: Array, b: Array) -> tuple[Array, Array, Array]:
    """Means (J, n_a), covariance matrices and variances of a_j, from draws of the package.

    Draws are linear in the normal numbers: basis vectors show the whole root of the covariance.
    """
    blueprint = this.blueprint
    template = blueprint.template
    n_uses = len(template.effects.use_effect)

    def draw(normals: Array) -> tuple[Array, Array]:
        extended, statistics = blueprint.extend_sampled(x), blueprint.statistics_by_cluster
        return blueprint.likelihood.linear_effects(extended, b, normals, statistics)

    means, variances = draw(np.zeros((len(b), n_uses)))
    roots = [draw(np.tile(e, (len(b), 1)))[0] - means for e in np.eye(n_uses)]
    root = np.stack(roots, axis=-1)
    return means, root @ root.transpose(0, 2, 1), variances


def log_likelihood(this: Conditional, x: Array, b: Array) -> float:
    blueprint = this.blueprint
    extended, statistics = blueprint.extend_sampled(x), blueprint.statistics_by_cluster
    return blueprint.likelihood.given_effects(extended, b, statistics)


@pytest.mark.parametrize("name", NAMES)
def test_posterior_equals_the_conditional_normal_of_the_stacked_cluster(name: str) -> None:
    """Entries of order 1, stacked matrices with condition numbers of 100 to 1000: 1e-12.

    Differences of draws that are linear in the normal numbers round at 1e-15. A variance that
    is zero has a root of sqrt(1e-15) at most.
    """
    this = brute_force(name)
    x, b = sampled_values(this.blueprint, 31), effects(this.blueprint, 31)
    means, covariances, variances = posterior(this, x, b)
    for j, units in enumerate(this.clusters()):
        known = cluster(this, x, b[j], units)
        values, mean, covariance, cross = known.stacked()
        gain = np.linalg.solve(covariance, cross).T
        expected = known.mean[: known.n_a] + gain @ (values - mean)
        spread = known.covariance[: known.n_a, : known.n_a] - gain @ cross
        np.testing.assert_allclose(means[j], expected, rtol=1e-10, atol=1e-10)
        np.testing.assert_allclose(covariances[j], spread, rtol=1e-10, atol=1e-10)
        np.testing.assert_allclose(variances[j], np.diag(spread), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("distance", [0.0, 1.0, 5.0])
@pytest.mark.parametrize("name", REGULAR)
def test_likelihood_is_joint_minus_conditional(name: str, distance: float) -> None:
    """log p(y, z | b) = log p(y, z, a | b) - log p(a | y, z, b) at any a.

    The left side and the posterior of a are the package's, the rest densities of single rows.
    Terms of up to 1e5 cancel at a distance of 5 prior SDs: 1e-14 of them is 1e-9 of what is left.
    """
    this = brute_force(name)
    x, b = sampled_values(this.blueprint, 32), effects(this.blueprint, 32)
    means, covariances, _ = posterior(this, x, b)
    rng = np.random.default_rng(33)
    total = 0.0
    for j, units in enumerate(this.clusters()):
        known = cluster(this, x, b[j], units)
        prior_sd = np.sqrt(np.diag(known.covariance)[: known.n_a])
        a = means[j] + distance * prior_sd * rng.normal(size=known.n_a)
        y, mean, Sigma_w = known.rows(a)
        total += multivariate_normal(cov=Sigma_w).logpdf(y - mean).sum()
        level_two = np.concatenate([a, known.z])
        total += multivariate_normal(known.mean, known.covariance).logpdf(level_two)
        total -= multivariate_normal(means[j], covariances[j]).logpdf(a)
    assert log_likelihood(this, x, b) == pytest.approx(total, rel=1e-8)


@pytest.mark.parametrize("name", ["one name, factor and indicator", "slope predicts z"])
def test_draws_have_mean_and_covariance_of_the_posterior(name: str) -> None:
    """Random normal numbers: z values of 10 clusters below 4.5 (about 100 of them each)."""
    this = brute_force(name)
    x, b = sampled_values(this.blueprint, 34), effects(this.blueprint, 34)
    means, covariances, _ = posterior(this, x, b)
    blueprint, rng, n = this.blueprint, np.random.default_rng(40), 4000
    extended, statistics = blueprint.extend_sampled(x), blueprint.statistics_by_cluster
    template, likelihood = blueprint.template, blueprint.likelihood
    shape = (len(b), len(template.effects.use_effect))
    draws = np.array(
        [
            likelihood.linear_effects(extended, b, rng.normal(size=shape), statistics)[0]
            for _ in range(n)
        ]
    )
    variances = np.diagonal(covariances, axis1=1, axis2=2)
    z = (draws.mean(axis=0) - means) / np.sqrt(variances / n)
    assert np.abs(z).max() < 4.5
    centred = draws - means
    found = np.einsum("sji,sjk->jik", centred, centred) / n
    errors = np.sqrt((np.einsum("ji,jk->jik", variances, variances) + covariances**2) / n)
    z = (found - covariances) / errors
    assert np.abs(z).max() < 4.5
    assert np.abs(z).max() > 0.5


def test_effects_of_one_name_are_one_effect() -> None:
    """Two uses of a name share every draw, so the posterior has one entry."""
    this = brute_force("one name, two outcomes")
    x, b = sampled_values(this.blueprint, 36), effects(this.blueprint, 36)
    template = this.blueprint.template
    assert template.effects.linear == ("y1", "y2", "s")
    assert template.effects.use_effect.tolist() == [0, 1, 2, 2]
    assert posterior(this, x, b)[0].shape == (10, 3)
