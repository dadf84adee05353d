"""Coordinates of sampled effects: the change of variables is exact, whatever they are built on."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from bayes_msem.blueprint.blueprint import Blueprint, with_approximation
from bayes_msem.inference.density import joint_log_likelihood
from bayes_msem.likelihood.approximation import Approximation
from tests.random.conditional import Conditional, conditional
from tests.random.models import case, sampled_values

Array = NDArray[np.float64]

NAMES = [
    "residual SD",  # one effect, predicted by w
    "loadings",
    "factor and residual SDs",
    "correlation with random SDs",
    "everything",
]

# name -> (size of the information matrices, their rank; None: full)
INFORMATION: dict[str, tuple[float, int | None]] = {
    "none": (0.0, None),
    "little": (0.1, None),
    "much": (1e3, None),
    "huge": (1e8, None),
    "rank one": (10.0, 1),
    "huge, rank one": (1e8, 1),
    "mixed": (np.nan, None),
}


@cache
def brute_force(name: str) -> Conditional:
    return conditional(case(name))


def informed(blueprint: Blueprint, kind: str, seed: int) -> tuple[Blueprint, Array, Array]:
    """Random positive semidefinite information, pulling towards random values."""
    rng = np.random.default_rng(seed)
    n_clusters, n = blueprint.observed.n_clusters, blueprint.n_sampled
    size, rank = INFORMATION[kind]
    sizes = np.full(n_clusters, size)
    if np.isnan(size):
        sizes = np.resize([0.0, 1e-6, 1.0, 1e4, 1e8], n_clusters)
    root = rng.normal(size=(n_clusters, n, n if rank is None else rank))
    information = sizes[:, None, None] * np.einsum("jik,jlk->jil", root, root)
    linear = np.einsum("jik,jk->ji", information, rng.normal(0.2, 0.5, (n_clusters, n)))
    pilot = np.zeros(blueprint.parameters.n)
    approximation = Approximation(information, linear, n, np.empty((n_clusters, 0)))
    return with_approximation(blueprint, approximation, pilot), information, linear


def parameters(this: Conditional, seed: int, tiny: bool) -> Array:
    """Sampled parameters; ``tiny``: the SD of the first effect that nothing predicts is 1e-8."""
    x = sampled_values(this.blueprint, seed)
    if tiny:
        rows = [row.key for row in this.blueprint.parameters.rows]
        x[rows.index(("between", this.names[0], "~~", this.names[0]))] = 1e-8
    return x


def moments(this: Conditional, x: Array) -> tuple[Array, Array]:
    """Means of b (J, n_b) and their covariance matrix, from the oracle."""
    zero = np.zeros(len(this.names))
    found = [this.effect_moments(x, zero, units) for units in this.clusters()]
    return np.array([mean for mean, _ in found]), found[0][1]


def normal_log_density(deviation: Array, covariance: Array) -> Array:
    """Log density of each row, in units of standard deviations: they may be 1e-8."""
    sd = np.sqrt(np.diag(covariance))
    correlation = covariance / np.outer(sd, sd)
    z = deviation / sd
    _, log_det = np.linalg.slogdet(correlation)
    squares = np.einsum("ji,ij->j", z, np.linalg.solve(correlation, z.T))
    constant = z.shape[1] * np.log(2 * np.pi) + log_det + 2 * np.log(sd).sum()
    value: Array = -0.5 * (squares + constant)
    return value


@pytest.mark.parametrize("tiny", [False, True], ids=["", "tiny SD"])
@pytest.mark.parametrize("kind", INFORMATION)
@pytest.mark.parametrize("name", NAMES)
def test_density_of_coordinates_is_that_of_effects_times_the_jacobian(
    name: str, kind: str, tiny: bool
) -> None:
    """log p(t) = log N(b; mu, Omega) + log|det db/dt|, constants included.

    Effects are linear in their coordinates, so a difference of any length is the derivative. b of
    order 1 rounds at 1e-16: with an SD of 1e-8, or information of 1e8, deviations of b from its
    mean and differences of b keep 8 digits, and so does the sum of 10 clusters.
    """
    this = brute_force(name)
    blueprint, _, _ = informed(this.blueprint, kind, 41)
    likelihood = blueprint.likelihood
    x = parameters(this, 42, tiny and name != "everything")
    extended = blueprint.extend_sampled(x)
    rng = np.random.default_rng(43)
    t = rng.normal(size=likelihood.shape)
    b = likelihood.effects(extended, t)
    mean, covariance = moments(this, x)
    expected = normal_log_density(b - mean, covariance).sum()
    columns = [likelihood.effects(extended, t + e) - b for e in np.eye(t.shape[1])]
    expected += np.linalg.slogdet(np.stack(columns, axis=-1))[1].sum()
    found = likelihood.coordinate_density(extended, t)[0]
    assert found == pytest.approx(expected, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("kind", INFORMATION)
@pytest.mark.parametrize("name", NAMES)
def test_coordinates_do_not_change_the_posterior(name: str, kind: str) -> None:
    """log p(y, z, t | theta) = log p(y, z, b | theta) + log|det db/dt| at any information."""
    this = brute_force(name)
    blueprint, _, _ = informed(this.blueprint, kind, 44)
    likelihood = blueprint.likelihood
    x = parameters(this, 45, tiny=False)
    extended = blueprint.extend_sampled(x)
    t = np.random.default_rng(46).normal(size=likelihood.shape)
    b = likelihood.effects(extended, t)
    columns = [likelihood.effects(extended, t + e) - b for e in np.eye(t.shape[1])]
    mean, covariance = moments(this, x)
    expected = this.log_likelihoods(x, b).sum() + normal_log_density(b - mean, covariance).sum()
    expected += np.linalg.slogdet(np.stack(columns, axis=-1))[1].sum()
    assert joint_log_likelihood(blueprint, x, t)[0] == pytest.approx(expected, rel=1e-8, abs=1e-6)


@pytest.mark.parametrize("tiny", [False, True], ids=["", "tiny SD"])
@pytest.mark.parametrize("kind", INFORMATION)
@pytest.mark.parametrize("name", NAMES)
def test_coordinates_inverts_effects(name: str, kind: str, tiny: bool) -> None:
    """Standardised effects s go in, b = mu + chol(Omega) s comes out; b rounds at 1e-15.

    With information of 1e8 the two terms of s, of which one is subtracted, are of the order of
    1e4 in units of t: 1e-12 of b is left.
    """
    this = brute_force(name)
    blueprint, _, _ = informed(this.blueprint, kind, 47)
    likelihood = blueprint.likelihood
    x = parameters(this, 48, tiny and name != "everything")
    extended = blueprint.extend_sampled(x)
    s = np.random.default_rng(49).normal(size=likelihood.shape)
    t = likelihood.coordinates(extended, s)
    mean, covariance = moments(this, x)
    sd = np.sqrt(np.diag(covariance))
    root = sd[:, None] * np.linalg.cholesky(covariance / np.outer(sd, sd))
    found = likelihood.effects(extended, t)
    np.testing.assert_allclose(found, mean + s @ root.T, rtol=1e-9, atol=1e-10)
    deviation = (found - mean) / sd
    np.testing.assert_allclose(deviation, s @ (root / sd[:, None]).T, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("tiny", [False, True], ids=["", "tiny SD"])
@pytest.mark.parametrize("kind", INFORMATION)
@pytest.mark.parametrize("name", NAMES)
def test_coordinates_are_standard_normal_where_the_approximation_is_exact(
    name: str, kind: str, tiny: bool
) -> None:
    """If the likelihood is exp(-b' Lambda b / 2 + eta' b), t is N(0, I) given any parameters.

    log p(t) + log-likelihood + t't / 2 must not depend on t. With Lambda of 1e8 the likelihood at
    b of order 1 is of order 1e8 and keeps 1e-8 of itself: distances from its maximum are compared.
    """
    this = brute_force(name)
    blueprint, information, linear = informed(this.blueprint, kind, 50)
    likelihood = blueprint.likelihood
    x = parameters(this, 51, tiny and name != "everything")
    extended = blueprint.extend_sampled(x)
    rng = np.random.default_rng(52)
    origin = likelihood.effects(extended, np.zeros(linear.shape))
    slope = linear - np.einsum("jik,jk->ji", information, origin)
    values = []
    for _ in range(4):
        t = 2.0 * rng.normal(size=linear.shape)
        move = likelihood.effects(extended, t) - origin
        of_data = np.einsum("ji,ji->", slope, move)
        of_data -= 0.5 * np.einsum("ji,jik,jk->", move, information, move)
        density = likelihood.coordinate_density(extended, t)[0]
        values.append(density + of_data + 0.5 * (t**2).sum())
    assert np.ptp(values) < 1e-6 * max(1.0, np.abs(values).max())


@pytest.mark.parametrize("name", ["residual SD", "factor and residual SDs"])
def test_no_information_is_the_non_centred_form(name: str) -> None:
    """Rounding of b only."""
    this = brute_force(name)
    blueprint, _, _ = informed(this.blueprint, "none", 53)
    likelihood = blueprint.likelihood
    x = parameters(this, 54, tiny=False)
    t = np.random.default_rng(55).normal(size=likelihood.shape)
    mean, covariance = moments(this, x)
    expected = mean + t @ np.linalg.cholesky(covariance).T
    extended = blueprint.extend_sampled(x)
    np.testing.assert_allclose(likelihood.effects(extended, t), expected, rtol=1e-12)
    density = -0.5 * (t**2 + np.log(2 * np.pi)).sum()
    assert likelihood.coordinate_density(extended, t)[0] == pytest.approx(density, rel=1e-12)


def test_much_information_is_the_centred_form() -> None:
    """Where data decide, effects do not follow the parameters: b = eta / Lambda + t / sqrt(Lambda).

    Prior precision of about 1 against 1e8: b moves by 1e-8 relative to the data's value.
    """
    this = brute_force("residual SD")
    blueprint, information, linear = informed(this.blueprint, "huge", 56)
    likelihood = blueprint.likelihood
    t = np.random.default_rng(57).normal(size=linear.shape)
    expected = linear / information[:, :, 0] + t / np.sqrt(information[:, :, 0])
    for seed in (58, 59):
        x = parameters(this, seed, tiny=False)
        found = likelihood.effects(blueprint.extend_sampled(x), t)
        # the prior's pull is mu / (Omega Lambda); clusters draw Lambda from 1e8 chi-square(1)
        np.testing.assert_allclose(found, expected, atol=1e-4)


def test_no_density_where_effects_have_no_distribution() -> None:
    """An SD of zero, as unconstrained coordinates below -745 give it."""
    this = brute_force("factor and residual SDs")
    blueprint, _, _ = informed(this.blueprint, "little", 60)
    rows = [row.key for row in blueprint.parameters.rows]
    x = parameters(this, 61, tiny=False)
    x[rows.index(("between", "v1", "~~", "v1"))] = 0.0
    t = np.zeros((blueprint.observed.n_clusters, blueprint.n_sampled))
    value, d_x, d_t = joint_log_likelihood(blueprint, x, t)
    assert value == -np.inf
    assert np.isfinite(d_x).all()
    assert np.isfinite(d_t).all()


@pytest.mark.parametrize("sd", [1e-300, 1e150, 1e300])
def test_extreme_standard_deviations_raise_nothing(sd: float) -> None:
    """NUTS may ask for them: a finite density or minus infinity, never NaN."""
    this = brute_force("factor and residual SDs")
    for kind in ("none", "huge", "mixed"):
        blueprint, _, _ = informed(this.blueprint, kind, 62)
        rows = [row.key for row in blueprint.parameters.rows]
        x = parameters(this, 63, tiny=False)
        x[rows.index(("between", "v1", "~~", "v1"))] = sd
        t = np.random.default_rng(64).normal(size=(blueprint.observed.n_clusters, 2))
        value, _, _ = joint_log_likelihood(blueprint, x, t)
        assert not np.isnan(value)
