"""Coordinates built on linear and sampled effects together, and on cluster-level variables."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import multivariate_normal

from bayes_msem.blueprint.blueprint import Blueprint
from bayes_msem.inference.density import joint_log_likelihood
from tests.likelihood.cases import Case
from tests.missing.frames import holes
from tests.oracle import modelled, table_rows
from tests.random import level_two
from tests.random.conditional import Conditional, conditional
from tests.random.models import (
    SAMPLED_CASES,
    build,
    case,
    effects,
    informed,
    sampled_values,
    unpiloted,
)

Array = NDArray[np.float64]

# with cluster-level outcomes that depend on sampled effects, and without
NAMES = ["one loading, w and z", "1-1-1 mediation", "factor and residual SDs", "everything"]


def affine(blueprint: Blueprint, x: Array) -> tuple[Array, Array]:
    """Effects at t = 0 (J, n_b) and their derivatives (J, n_b, n_b)."""
    likelihood, shape = blueprint.likelihood, blueprint.likelihood.shape
    extended = np.ascontiguousarray(blueprint.extend_sampled(x))
    origin = likelihood.effects(extended, np.zeros(shape))
    columns = [likelihood.effects(extended, np.tile(e, (shape[0], 1))) for e in np.eye(shape[1])]
    return origin, np.stack([column - origin for column in columns], axis=-1)


def level_two_moments(this: Conditional, x: Array, units: NDArray[np.intp]) -> tuple[Array, Array]:
    """Mean and covariance of (a, z, b) of one cluster, from the oracle."""
    template = this.blueprint.template
    zero = np.zeros(len(this.names))
    names = modelled([r for r in table_rows(this.values(x, zero)) if r.level == "between"])
    order = [names.index(v) for v in template.level_two]
    mean, covariance = this.oracle(x, zero, units).effect_moments(np.arange(len(units)))
    return mean[order], covariance[np.ix_(order, order)]


@pytest.mark.parametrize("tiny", [False, True], ids=["", "tiny SD"])
@pytest.mark.parametrize("missing", [False, True], ids=["", "missing"])
@pytest.mark.parametrize("name", NAMES)
def test_coordinates_standardise_the_effects_where_the_approximation_is_exact(
    name: str, missing: bool, tiny: bool
) -> None:
    """Prior of (a, b) given z times exp(eta' e - e' Lambda e / 2), by plain normal algebra.

    The sampled effects then have the mean b(0) and the covariance D D', D = db/dt. With an SD of
    1e-8, differences of b of order 1 keep 8 digits.
    """
    this = conditional(case(name), holes(seed=3) if missing else None)
    blueprint = informed(this.blueprint, 71)
    approximation = blueprint.likelihood.approximation
    x = sampled_values(blueprint, 72)
    effect = this.names[0]
    rows = [row.key for row in blueprint.parameters.rows]
    if tiny:
        x[rows.index(("between", effect, "~~", effect))] = 1e-8
    origin, slopes = affine(blueprint, x)
    n_a, n_b = approximation.n_linear, approximation.n_sampled
    z, told = blueprint.observed.z, 0.0
    assert np.isnan(z).any() == (missing and z.shape[1] > 0)
    for j, units in enumerate(this.clusters()):
        mean, covariance = level_two_moments(this, x, units)
        seen = n_a + np.flatnonzero(~np.isnan(z[j]))
        e = np.r_[np.arange(n_a), np.arange(len(mean) - n_b, len(mean))]
        weights = np.linalg.solve(covariance[np.ix_(seen, seen)], covariance[np.ix_(seen, e)])
        mean_e = mean[e] + (z[j, seen - n_a] - mean[seen]) @ weights
        prior = covariance[np.ix_(e, e)] - covariance[np.ix_(e, seen)] @ weights
        # in units of standard deviations: those of effects may be tiny, those of constants zero
        sd = np.sqrt(np.where(np.diag(prior) > 0, np.diag(prior), 1.0))
        information = approximation.information[j] * np.outer(sd, sd)
        prior = prior / np.outer(sd, sd)
        pull = (approximation.linear[j] - approximation.information[j] @ mean_e) * sd
        inner = np.linalg.solve(
            np.eye(len(e)) + prior @ information, np.column_stack([prior, prior @ pull])
        )
        posterior, shift = inner[n_a:, n_a:-1], inner[n_a:, -1]
        np.testing.assert_allclose(
            (origin[j] - mean_e[n_a:]) / sd[n_a:], shift, rtol=1e-6, atol=1e-6
        )
        found = slopes[j] @ slopes[j].T / np.outer(sd[n_a:], sd[n_a:])
        np.testing.assert_allclose(found, posterior, rtol=1e-6, atol=1e-6)
        told = max(told, np.linalg.eigvalsh(np.eye(n_b) - posterior).max())
    assert told > 0.1 or (tiny and n_b == 1)


@pytest.mark.parametrize("missing", [False, True], ids=["", "missing"])
@pytest.mark.parametrize("case", SAMPLED_CASES, ids=str)
def test_coordinates_do_not_change_the_posterior(case: Case, missing: bool) -> None:
    """log p(y, z, b) is that of standardised effects s = L^-1 (b - mu), both with their Jacobians.

    The density in s, which knows nothing of approximations, is compared with the oracle elsewhere.
    """
    plain = unpiloted(build(case, holes(seed=4) if missing else None))
    blueprint = informed(plain, 73)
    x = sampled_values(blueprint, 74)
    t = np.random.default_rng(75).normal(size=blueprint.likelihood.shape)
    extended = np.ascontiguousarray(blueprint.extend_sampled(x))
    b = blueprint.likelihood.effects(extended, t)
    mean, root = affine(plain, x)
    s = np.linalg.solve(root, (b - mean)[:, :, None])[:, :, 0]
    expected = joint_log_likelihood(plain, x, s)[0] - np.linalg.slogdet(root)[1].sum()
    expected += np.linalg.slogdet(affine(blueprint, x)[1])[1].sum()
    value, d_x, d_t = joint_log_likelihood(blueprint, x, t)
    assert value == pytest.approx(expected, rel=1e-9, abs=1e-7)
    parts = [blueprint.likelihood.sampled(extended, t)]
    parts += [blueprint.likelihood.coordinate_density(extended, t)]
    whole = blueprint.likelihood.joint(extended, t)
    for of_parts, of_whole in zip(zip(*parts, strict=True), whole, strict=True):
        np.testing.assert_allclose(sum(of_parts), of_whole, rtol=1e-8, atol=1e-7)
    np.testing.assert_array_equal(d_t, whole[2])
    assert np.isfinite(d_x).all()


@pytest.mark.parametrize("case", SAMPLED_CASES, ids=str)
def test_messages_are_the_density_of_the_rows(case: Case) -> None:
    """c + g' d - d' H d / 2 = log p(y | a + d, b), row by row in SciPy."""
    this = conditional(case)
    blueprint = this.blueprint
    x, b = sampled_values(blueprint, 76), effects(blueprint, 76)
    template = blueprint.template
    rng = np.random.default_rng(77)
    a, d = rng.normal(size=(2, len(b), len(template.effects.linear)))
    extended = np.ascontiguousarray(blueprint.extend_sampled(x))
    c, g, h = blueprint.likelihood.messages(extended, a, b)
    for j, units in enumerate(this.clusters()):
        y, means, covariance = level_two.cluster(this, x, b[j], units).rows(a[j] + d[j])
        expected = sum(
            multivariate_normal(mean, covariance).logpdf(row)
            for row, mean in zip(y, means, strict=True)
        )
        found = c[j] + g[j] @ d[j] - 0.5 * d[j] @ h[j] @ d[j]
        assert found == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("case", SAMPLED_CASES, ids=str)
def test_messages_give_the_posterior_of_linear_effects(case: Case) -> None:
    """Also with missing values: at the posterior mean of a, data pull as strongly as the prior."""
    blueprint = unpiloted(build(case, holes(seed=6)))
    likelihood, template = blueprint.likelihood, blueprint.template
    x, b = sampled_values(blueprint, 78), effects(blueprint, 78)
    extended = np.ascontiguousarray(blueprint.extend_sampled(x))
    normals = np.zeros((len(b), len(template.effects.use_effect)))
    a, _ = likelihood.linear_effects(extended, b, normals, blueprint.statistics_by_cluster)
    _, g, _ = likelihood.messages(extended, a, b)
    omega, c_b = likelihood.level_two(extended)
    n_a, z = len(template.effects.linear), blueprint.observed.z
    for j in range(len(b)):
        u = np.r_[z[j], b[j]] - (blueprint.observed.cluster_design @ c_b)[j, n_a:]
        given = n_a + np.flatnonzero(~np.isnan(u))
        weights = np.linalg.solve(omega[np.ix_(given, given)], omega[given, :n_a])
        mean = (blueprint.observed.cluster_design @ c_b)[j, :n_a] + u[given - n_a] @ weights
        spread = omega[:n_a, :n_a] - omega[:n_a, given] @ weights
        np.testing.assert_allclose(a[j], mean + spread @ g[j], rtol=1e-7, atol=1e-8)
