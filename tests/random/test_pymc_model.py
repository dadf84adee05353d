"""The PyMC model of a partially marginal plan: density, gradient, names, and draws.

One model for the whole module, because each compilation takes seconds: a random loading beside
a cluster-level outcome, a random residual SD, a random slope on x, w, and a computed row.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pymc as pm
import pytest
import xarray as xr
from numpy.typing import NDArray

from bayes_msem.inference.coordinates import COORDINATES
from bayes_msem.inference.density import log_posterior, starting_point, support
from bayes_msem.inference.pymc_model import build_pymc_model
from tests.likelihood.cases import two_level
from tests.random.conditional import Conditional
from tests.random.level_two import cluster
from tests.random.models import build, informed, make_data, unpiloted

Array = NDArray[np.float64]

# Drawing from y and reducing data to statistics run in Python, of which PyTensor tells.
pytestmark = pytest.mark.filterwarnings("ignore:Numba will use object mode:UserWarning")

CASE = two_level(
    "",
    'fw =~ y1 + rv("l2")*y2 + a*y3\nfw ~ x1 + rv("s")*x2\ny3 ~~ rv("v3")*y3',
    "fb =~ y1 + y2 + y3\ny1 ~ w1\nl2 ~ w1\nz1 ~ c*fb + w2",
    "c == 2 * a",
    computed={"c": lambda at: 2 * at["a"]},
)


@cache
def one_model() -> Conditional:
    """With coordinates built on information of all sizes and ranks."""
    model = build(CASE)
    return Conditional(CASE, model, informed(unpiloted(model), 80), make_data())


@cache
def pymc_model() -> pm.Model:
    return build_pymc_model(one_model().blueprint)


@cache
def compiled() -> Any:
    function = pymc_model().logp_dlogp_function(ravel_inputs=True)
    function.set_extra_values({})
    return function


def random_u(seed: int) -> Array:
    """Unconstrained parameters near the start, and standard normal coordinates."""
    blueprint = one_model().blueprint
    rng = np.random.default_rng(seed)
    center = support(blueprint).to_unconstrained(starting_point(blueprint))
    n_coordinates = blueprint.observed.n_clusters * blueprint.n_sampled
    u = center + 0.2 * rng.normal(size=len(center))
    return np.concatenate([u, rng.normal(size=n_coordinates)])


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_density_and_gradient_equal_those_in_numpy(seed: int) -> None:
    """PyMC's log(2) in half families and other constants have single precision: 1e-8 relative."""
    blueprint = one_model().blueprint
    u = random_u(seed)
    value, gradient = compiled()(u)
    expected, slopes = log_posterior(blueprint, u, jacobian=True)
    assert np.isfinite(expected)
    assert value == pytest.approx(expected, rel=1e-8)
    np.testing.assert_allclose(gradient, slopes, rtol=1e-8, atol=1e-8)


def test_density_is_that_of_brute_force_up_to_priors() -> None:
    """Differences between coordinates t: the oracle's p(y, z | b) p(b), priors cancel.

    db/dt does not depend on t, and cancels as well.
    """
    this = one_model()
    blueprint = this.blueprint
    likelihood = blueprint.likelihood
    n = blueprint.parameters.n
    u = [random_u(5), random_u(6)]
    u[1][:n] = u[0][:n]
    x = support(blueprint).to_constrained(u[0][:n])[0]
    expected = []
    for point in u:
        t = point[n:].reshape(likelihood.shape)
        b = likelihood.effects(blueprint.extend_sampled(x), t)
        value = this.log_likelihoods(x, b).sum()
        for b_j, units in zip(b, this.clusters(), strict=True):
            mean, covariance = this.effect_moments(x, b_j, units)
            r = b_j - mean
            value -= 0.5 * r @ np.linalg.solve(covariance, r)
        expected.append(value)
    found = [float(compiled()(point)[0]) for point in u]
    # values of order 300, single precision only in what cancels
    assert found[1] - found[0] == pytest.approx(expected[1] - expected[0], rel=1e-7, abs=1e-7)


def test_names_and_dimensions() -> None:
    model = pymc_model()
    names = [variable.name for variable in model.free_RVs]
    assert names[-1] == COORDINATES
    assert model.named_vars_to_dims[COORDINATES] == ("cluster_id", "sampled_effect")
    assert tuple(model.coords["sampled_effect"]) == ("l2", "v3")
    ids = list(dict.fromkeys(make_data()["group"]))
    assert list(model.coords["cluster_id"]) == ids


@cache
def prior_draws() -> xr.DataTree:
    tree: xr.DataTree = pm.sample_prior_predictive(100, model=pymc_model(), random_seed=81)
    return tree


def prior_parameters() -> tuple[Array, Array]:
    """Sampled parameters (draws, n) and coordinates (draws, J, n_b) of the prior."""
    prior = prior_draws()["prior"]
    groups = one_model().blueprint.parameters.groups
    x = np.hstack([prior[group.name].to_numpy()[0] for group in groups])
    return x, prior[COORDINATES].to_numpy()[0]


def test_prior_draws_of_effects_have_their_distribution() -> None:
    """Effects from drawn coordinates, standardised by the oracle: 1000 of each, N(0, I).

    Standard errors: 1 / sqrt(n) of means and correlations, sqrt(2 / n) of variances.
    """
    this = one_model()
    likelihood = this.blueprint.likelihood
    assert np.abs(likelihood.approximation.information).max() > 1  # not the non-centred form
    standardised = []
    for x, t in zip(*prior_parameters(), strict=True):
        b = likelihood.effects(this.blueprint.extend_sampled(x), t)
        for j, units in enumerate(this.clusters()):
            mean, covariance = this.effect_moments(x, b[j], units)
            standardised.append(np.linalg.solve(np.linalg.cholesky(covariance), b[j] - mean))
    s = np.array(standardised)
    n = len(s)
    assert n == 1000
    assert np.abs(s.mean(axis=0)).max() < 4 / np.sqrt(n)
    assert np.abs(s.var(axis=0) - 1).max() < 4 * np.sqrt(2 / n)
    assert abs(np.corrcoef(s.T)[0, 1]) < 4 / np.sqrt(n)


def test_prior_predictive_data_have_their_distribution() -> None:
    """y and z of every draw, standardised by the oracle's moments given its effects: N(0, I)."""
    this = one_model()
    likelihood = this.blueprint.likelihood
    y = prior_draws()["prior_predictive"]["y"].to_numpy()[0]
    names = ["y1", "y2", "y3", "z1"]
    assert list(pymc_model().coords["outcome"]) == names
    standardised = []
    for draw, (x, t) in enumerate(zip(*prior_parameters(), strict=True)):
        b = likelihood.effects(this.blueprint.extend_sampled(x), t)
        for j, units in enumerate(this.clusters()[:3]):
            known = cluster(this, x, b[j], units)
            _, mean, covariance, _ = known.stacked()
            order = [names.index(v) for v in known.oracle.within.observed]
            values = np.concatenate([y[draw, units][:, order].ravel(), y[draw, units[:1], 3]])
            standardised.append(np.linalg.solve(np.linalg.cholesky(covariance), values - mean))
    s = np.concatenate(standardised)
    n = len(s)
    assert abs(s.mean()) < 4 / np.sqrt(n)
    assert abs(s.var() - 1) < 4 * np.sqrt(2 / n)
