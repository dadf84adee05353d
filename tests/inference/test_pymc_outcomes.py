"""The PyMC model of outcomes that are not normal: density, gradient, names, and draws."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pymc as pm
import pytest
from numpy.typing import NDArray

from bayes_msem.blueprint.blueprint import Blueprint
from bayes_msem.inference.coordinates import COORDINATES, SCORE_COORDINATES
from bayes_msem.inference.density import log_posterior, starting_point, support
from bayes_msem.inference.pymc_model import build_pymc_model, has_potentials
from bayes_msem.inference.sample import _named
from tests.likelihood.augmented import AUGMENTED, Augmented, Joint, built, informed_rows

Array = NDArray[np.float64]

# Reducing data to statistics runs in Python, of which PyTensor tells.
pytestmark = pytest.mark.filterwarnings("ignore:Numba will use object mode:UserWarning")

MIXED, SINGLE, COUNTS = (
    next(case for case in AUGMENTED if case.name == name)
    for name in ("families beside a normal indicator", "single level", "counts with exposure")
)
CASES = pytest.mark.parametrize("case", [MIXED, SINGLE, COUNTS], ids=str)
# PyTensor compiles for a minute, once for each
COMPILED = pytest.mark.parametrize(
    "case", [MIXED, pytest.param(SINGLE, marks=pytest.mark.slow)], ids=str
)


@cache
def blueprint_of(case: Augmented) -> Blueprint:
    return informed_rows(built(case)[0].unpiloted_blueprint(), 21, given_z=case.given_z)


@cache
def pymc_model(case: Augmented) -> pm.Model:
    return build_pymc_model(blueprint_of(case))


@cache
def compiled(case: Augmented) -> Any:
    function = pymc_model(case).logp_dlogp_function(ravel_inputs=True)
    function.set_extra_values({})
    return function


def random_u(blueprint: Blueprint, seed: int) -> Array:
    """Unconstrained parameters near the start, and standard normal coordinates."""
    rng = np.random.default_rng(seed)
    center = support(blueprint).to_unconstrained(starting_point(blueprint))
    u = center + 0.2 * rng.normal(size=len(center))
    return np.concatenate([u, rng.normal(size=blueprint.likelihood.n_coordinates)])


@COMPILED
def test_density_and_gradient_equal_those_in_numpy(case: Augmented) -> None:
    """Differences between points: PyMC's log(2) in half families has single precision."""
    blueprint, points = blueprint_of(case), []
    for seed in (1, 2, 3):
        u = random_u(blueprint, seed)
        value, gradient = compiled(case)(u)
        expected, slopes = log_posterior(blueprint, u, jacobian=True)
        assert value == pytest.approx(expected, rel=1e-8)
        np.testing.assert_allclose(gradient, slopes, rtol=1e-8, atol=1e-8)
        points.append((float(value), expected))
    for value, expected in points[1:]:
        assert value - points[0][0] == pytest.approx(expected - points[0][1], rel=1e-10, abs=1e-10)


@COMPILED
def test_gradient_equals_differences(case: Augmented) -> None:
    u = random_u(blueprint_of(case), 4)
    gradient = compiled(case)(u)[1].copy()
    found = [
        float(compiled(case)(u + h)[0] - compiled(case)(u - h)[0]) for h in 1e-5 * np.eye(len(u))
    ]
    np.testing.assert_allclose(gradient, np.array(found) / 2e-5, rtol=1e-5, atol=1e-5)


def test_names_and_dimensions() -> None:
    model, frame = pymc_model(MIXED), built(MIXED)[1]
    names = [variable.name for variable in model.free_RVs]
    assert names[-2:] == [COORDINATES, SCORE_COORDINATES]
    assert "between_category_fraction" in names
    assert model.named_vars_to_dims[COORDINATES] == ("cluster_id", "sampled_effect")
    assert model.named_vars_to_dims[SCORE_COORDINATES] == ("score_row", "score")
    assert tuple(model.coords["score"]) == ("fw",)
    rows = list(model.coords["score_row"])
    assert sorted(rows) == list(range(len(frame)))
    groups = frame["g"].iloc[rows]
    assert (groups != groups.shift()).sum() == frame["g"].nunique()  # cluster by cluster
    assert model.named_vars_to_dims["y"] == ("obs_id", "outcome")
    assert [v.name for v in pymc_model(COUNTS).free_RVs][-1] == COORDINATES
    assert [v.name for v in pymc_model(SINGLE).free_RVs][-1] == SCORE_COORDINATES


@CASES
def test_points_by_name(case: Augmented) -> None:
    """What samplers of PyMC start from: every variable has its part of the coordinates."""
    blueprint, model = blueprint_of(case), pymc_model(case)
    u = random_u(blueprint, 5)
    start = _named(blueprint, u)
    assert set(start) == {variable.name for variable in model.free_RVs}
    n, parts = (
        blueprint.parameters.n,
        [start[k] for k in (COORDINATES, SCORE_COORDINATES) if k in start],
    )
    np.testing.assert_array_equal(np.concatenate([np.ravel(p) for p in parts]), u[n:])
    assert not has_potentials(model, blueprint)


def test_potentials_are_seen() -> None:
    model = build_pymc_model(blueprint_of(SINGLE))
    with model:
        pm.Potential("more", -0.5 * model[SCORE_COORDINATES].sum() ** 2)
    assert has_potentials(model, blueprint_of(SINGLE))


@COMPILED
def test_prior_draws_of_scores_have_their_distribution(case: Augmented) -> None:
    """Scores given effects and normal outcomes, standardised by the oracle's moments: N(0, I).

    Standard errors: 1 / sqrt(n) of means, sqrt(2 / n) of variances.
    """
    blueprint, draws = blueprint_of(case), 40
    likelihood, model = blueprint.likelihood, pymc_model(case)
    assert likelihood.responses is not None
    names = list(model.free_RVs)
    values = pm.draw(names, draws=draws, random_seed=6)
    standardised = []
    for draw in range(draws):
        at = {v.name: value[draw] for v, value in zip(names, values, strict=True)}
        x = np.concatenate([at[group.name] for group in blueprint.parameters.groups])
        this = Joint(case, blueprint, built(case)[1], x)
        extended = np.ascontiguousarray(blueprint.extend_sampled(x))
        t = at.get(COORDINATES, likelihood.no_coordinates())
        b = likelihood.effects(extended, np.ascontiguousarray(t))
        scores = likelihood.scores(extended, b, at[SCORE_COORDINATES])[0]
        cluster = likelihood.responses.cluster
        for place, row in enumerate(likelihood.responses.order):
            b_j = b[cluster[place]] if case.cluster else np.empty(0)
            mean, cov = this.moments_of_scores(int(row), b_j)
            root = np.linalg.cholesky(cov)
            standardised.append(np.linalg.solve(root, scores[place] - mean))
    s = np.concatenate(standardised)
    assert abs(s.mean()) < 4 / np.sqrt(len(s))
    assert abs(s.var() - 1) < 4 * np.sqrt(2 / len(s))
