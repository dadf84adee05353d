"""Linear effects given the data: draws, the closed form, and the identity that ties them together.

Here a_j are the effects that the likelihood integrates out (random intercepts and slopes on observed
covariates), b_j those it is given. All is compared with plain NumPy on the stacked cluster.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import multivariate_normal

from bayes_msem.likelihood.cluster_draws import linear_effects
from bayes_msem.likelihood.clusters import cluster_value_and_gradient
from bayes_msem.structure.effects import ClusterTemplates
from tests.oracle import Oracle, modelled, table_rows
from tests.random.conditional import Conditional, conditional
from tests.random.models import CASES, case, effects, sampled_values

Array = NDArray[np.float64]

NAMES = [c.name for c in CASES]
# Effects without a density: an outcome whose between part is a constant.
REGULAR = [name for name in NAMES if name != "intercepts are constants"]


@cache
def brute_force(name: str) -> Conditional:
    return conditional(case(name))


@dataclass(frozen=True)
class Cluster:
    """One cluster: moments of (a, z) given b, and its rows."""

    oracle: Oracle
    mean: Array  # of (a, z) given b
    covariance: Array
    positions: NDArray[np.intp]  # of a among the variables of level 2
    z: Array

    @property
    def n_a(self) -> int:
        return len(self.positions)

    def rows(self, a: Array) -> tuple[Array, Array, Array]:
        """Outcomes (n, p), their means given a, and the covariance matrix of one row."""
        w, data, total = self.oracle.within, self.oracle.data, self.oracle.total
        means = [
            total @ (w.alpha + w.G @ x_i) + self.oracle.design(x_i)[:, self.positions] @ a
            for x_i in data["x"]
        ]
        return data["y"], np.array(means), total @ w.Psi @ total.T

    def stacked(self) -> tuple[Array, Array, Array, Array]:
        """Values, mean and covariance of (y, z) given b, and its covariance with a."""
        zero = np.zeros(self.n_a)
        y, fixed, Sigma_w = self.rows(zero)
        Z = np.vstack([self.oracle.design(x_i)[:, self.positions] for x_i in self.oracle.data["x"]])
        n, n_z = len(y), len(self.z)
        design = np.zeros((Z.shape[0] + n_z, self.n_a + n_z))
        design[: Z.shape[0], : self.n_a] = Z
        design[Z.shape[0] :, self.n_a :] = np.eye(n_z)
        noise = np.zeros((len(design), len(design)))
        noise[: Z.shape[0], : Z.shape[0]] = np.kron(np.eye(n), Sigma_w)
        values = np.concatenate([y.ravel(), self.z])
        mean = np.concatenate([fixed.ravel(), np.zeros(n_z)]) + design @ self.mean
        covariance = design @ self.covariance @ design.T + noise
        return values, mean, covariance, design @ self.covariance[:, : self.n_a]


def cluster(this: Conditional, x: Array, b_j: Array, units: NDArray[np.intp]) -> Cluster:
    """Level 2 of one cluster given b_j, from the oracle's moments of all its variables."""
    templates = this.blueprint.templates
    assert isinstance(templates, ClusterTemplates)
    oracle = this.oracle(x, b_j, units)
    values = this.values(x, b_j)
    between = [row for row in table_rows(values) if row.level == "between"]
    names = modelled(between)
    a = np.array([names.index(v) for v in templates.effects.linear])
    z = [names.index(v) for v in templates.z_names]
    b = [names.index(v) for v in this.names]
    mean, covariance = oracle.effect_moments(np.arange(len(units)))
    az = [*a, *z]
    slope = np.linalg.solve(covariance[np.ix_(b, b)], covariance[np.ix_(b, az)]).T
    return Cluster(
        oracle=oracle,
        mean=mean[az] + slope @ (b_j - mean[b]),
        covariance=covariance[np.ix_(az, az)] - slope @ covariance[np.ix_(b, az)],
        positions=a,
        z=this.frame.iloc[units[0]][list(templates.z_names)].to_numpy(float),
    )


def posterior(this: Conditional, x: Array, b: Array) -> tuple[Array, Array, Array]:
    """Means (J, n_a), covariance matrices and variances of a_j, from draws of the package.

    Draws are linear in the normal numbers: basis vectors show the whole root of the covariance.
    """
    blueprint = this.blueprint
    program = blueprint.program
    templates = blueprint.templates
    assert isinstance(templates, ClusterTemplates)
    n_uses = len(templates.effects.use_effect)

    def draw(normals: Array) -> tuple[Array, Array]:
        result: tuple[Array, Array] = linear_effects(
            blueprint.extend_sampled(x), b, program.ints, program.floats, blueprint.statistics,
            normals,
        )  # fmt: skip
        return result

    means, variances = draw(np.zeros((len(b), n_uses)))
    roots = [draw(np.tile(e, (len(b), 1)))[0] - means for e in np.eye(n_uses)]
    root = np.stack(roots, axis=-1)
    return means, root @ root.transpose(0, 2, 1), variances


def log_likelihood(this: Conditional, x: Array, b: Array) -> float:
    program = this.blueprint.program
    value = cluster_value_and_gradient(
        this.blueprint.extend_sampled(x),
        b,
        program.ints,
        program.floats,
        this.blueprint.statistics,
    )[0]
    return float(value)


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
    program, rng, n = this.blueprint.program, np.random.default_rng(40), 4000
    templates = this.blueprint.templates
    assert isinstance(templates, ClusterTemplates)
    shape = (len(b), len(templates.effects.use_effect))
    draws = np.array(
        [
            linear_effects(
                this.blueprint.extend_sampled(x), b, program.ints, program.floats,
                this.blueprint.statistics, rng.normal(size=shape),
            )[0]
            for _ in range(n)
        ]
    )  # fmt: skip
    variances = np.diagonal(covariances, axis1=1, axis2=2)
    z = (draws.mean(axis=0) - means) / np.sqrt(variances / n)
    assert np.abs(z).max() < 4.5
    centred = draws - means
    found = np.einsum("sji,sjk->jik", centred, centred) / n
    errors = np.sqrt(
        (np.einsum("ji,jk->jik", variances, variances) + covariances**2) / n
    )
    z = (found - covariances) / errors
    assert np.abs(z).max() < 4.5
    assert np.abs(z).max() > 0.5


def test_effects_of_one_name_are_one_effect() -> None:
    """Two uses of a name share every draw, so the posterior has one entry."""
    this = brute_force("one name, two outcomes")
    x, b = sampled_values(this.blueprint, 36), effects(this.blueprint, 36)
    templates = this.blueprint.templates
    assert isinstance(templates, ClusterTemplates)
    assert templates.effects.linear == ("y1", "y2", "s")
    assert templates.effects.use_effect.tolist() == [0, 1, 2, 2]
    assert posterior(this, x, b)[0].shape == (10, 3)
