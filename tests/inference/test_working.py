"""Modes of effects and scores, and the coordinates built on them, against SciPy on the oracle.

The oracle is that of tests.likelihood.augmented; its modes are found by BFGS and a Newton step,
cluster by cluster.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import optimize

from bayes_msem.blueprint.blueprint import Blueprint
from bayes_msem.inference.working import expand_rows
from tests.likelihood.augmented import AUGMENTED, Joint, built, random_parameters

Array = NDArray[np.float64]

_STEP = 1e-3
_NAMES = (
    "probit",
    "families beside a normal indicator",
    "slope of the factor",
)
CASES = pytest.mark.parametrize("name", _NAMES)


@cache
def settled(name: str) -> tuple[Joint, Blueprint]:
    """Oracle, and coordinates at fixed parameters, from modes found twice."""
    (case,) = (case for case in AUGMENTED if case.name == name)
    model, frame = built(case)
    blueprint = model.unpiloted_blueprint()
    x = random_parameters(blueprint, 11)
    found = expand_rows(blueprint, x, None)
    for _ in range(2):  # from the modes; the first search stops at a hundredth of an SD
        b = found.likelihood.effects(extended(found, x), np.zeros(found.likelihood.shape))
        found = expand_rows(found, x, b)
    return Joint(case, found, frame, x), found


def extended(blueprint: Blueprint, x: Array) -> Array:
    return np.ascontiguousarray(blueprint.extend_sampled(x))


def modes_of_oracle(this: Joint, j: int) -> tuple[Array, Array, Array]:
    """Mode of effects (n_b,) and scores (n_j, q) of a cluster, and minus the Hessian there."""
    n_b, shape = len(this.effects), (len(this.rows_of(this.clusters[j])), len(this.scores))

    def minus(v: Array) -> float:
        return -this.cluster_density(j, v[:n_b], v[n_b:].reshape(shape))

    v = optimize.minimize(minus, np.zeros(n_b + shape[0] * shape[1]), method="BFGS").x
    slope, hessian = derivatives(minus, v)
    v = v - np.linalg.solve(hessian, slope)
    return v[:n_b], v[n_b:].reshape(shape), hessian


def derivatives(function: Any, v: Array) -> tuple[Array, Array]:
    """Gradient and Hessian by central differences."""
    steps = _STEP * np.eye(len(v))

    def slopes(at: Array) -> Array:
        return np.array([(function(at + h) - function(at - h)) / (2 * _STEP) for h in steps])

    hessian = np.array([(slopes(v + h) - slopes(v - h)) / (2 * _STEP) for h in steps])
    return slopes(v), hessian


@CASES
def test_modes_and_laplace_are_those_of_scipy(name: str) -> None:
    """Modes of three clusters in SDs, and Laplace's approximation of their marginal likelihood."""
    this, blueprint = settled(name)
    likelihood, x = blueprint.likelihood, extended(blueprint, this.x)
    assert likelihood.responses is not None
    b = likelihood.effects(x, np.zeros(likelihood.shape))
    scores = np.empty(likelihood.score_shape)
    scores[likelihood.responses.order] = likelihood.scores(x, b, np.zeros_like(scores))[0]
    total = 0.0
    for j, cluster in enumerate(this.clusters):
        rows = this.rows_of(cluster)
        own_b, own_s, hessian = modes_of_oracle(this, j)
        sd = np.sqrt(np.diag(np.linalg.inv(hessian)))
        found = np.concatenate([b[j] - own_b, (scores[rows] - own_s).ravel()]) / sd
        assert np.abs(found).max() < 1e-4, cluster
        total += this.cluster_density(j, own_b, own_s)
        total += 0.5 * (len(sd) * np.log(2 * np.pi) - np.linalg.slogdet(hessian)[1])
    at_origin = likelihood.joint(x, np.zeros(likelihood.shape))[0]
    laplace = at_origin + 0.5 * likelihood.n_coordinates * np.log(2 * np.pi)
    assert laplace == pytest.approx(total, abs=1e-5)


@pytest.mark.parametrize(
    "name", [*_NAMES, "z is an outcome", "counts with exposure", "single level"]
)
def test_coordinates_are_standard_normal_to_second_order(name: str) -> None:
    """At the origin: no slope, and the Hessian of the log density is minus the unit matrix."""
    this, blueprint = settled(name)
    likelihood, x = blueprint.likelihood, extended(blueprint, this.x)
    shape, n = likelihood.shape, likelihood.shape[0] * likelihood.shape[1]

    def slope(v: Array) -> Array:
        t, t_s = v[:n].reshape(shape), v[n:].reshape(likelihood.score_shape)
        _, _, d_t, d_t_s = likelihood.joint_with_scores(x, t.copy(), t_s.copy())
        return np.concatenate([d_t.ravel(), d_t_s.ravel()])

    origin = np.zeros(likelihood.n_coordinates)
    assert np.abs(slope(origin)).max() < 1e-4
    steps = 1e-4 * np.eye(len(origin))
    hessian = np.array([(slope(h) - slope(-h)) / 2e-4 for h in steps])
    np.testing.assert_allclose(hessian, -np.eye(len(origin)), atol=2e-4)
