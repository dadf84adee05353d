"""What the data of each cluster say about its sampled effects: a pilot before sampling.

The coordinates in which NUTS samples random loadings, log SDs and the like (likelihood.centring)
need, for every cluster, a normal approximation of its likelihood as a function of its effects b_j.
The pilot finds the joint mode of parameters and effects in non-centred coordinates, and takes
minus the second derivative of every cluster's log-likelihood there,

    Lambda_j = -d^2 ll_j / db_j^2 ,   eta_j = Lambda_j b_j + d ll_j / db_j

(Lambda_j made positive semidefinite).

All clusters are differentiated at once: ll_j depends on its own effects alone. The approximation
decides how well chains move, not what they converge to.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from bayes_msem.build.blueprint import Blueprint, with_information
from bayes_msem.build.density import log_posterior, prior_scales, starting_point, support
from bayes_msem.build.threads import one_blas_thread
from bayes_msem.likelihood.clusters import cluster_value_and_gradient
from bayes_msem.likelihood.evaluators import ClusterEvaluator

FloatArray = NDArray[np.float64]

_STEP = 1e-4

Centring = Literal["adaptive", "centred", "noncentred"]
# Factor of the information: none leaves the prior in charge, a huge one the data.
_WEIGHT: dict[str, float] = {"adaptive": 1.0, "centred": 1e6, "noncentred": 0.0}


def with_pilot(blueprint: Blueprint, centring: Centring = "adaptive") -> Blueprint:
    """Tune the coordinates of sampled effects to the data.

    Parameters
    ----------
    blueprint
        A model with or without sampled effects.
    centring
        "adaptive": what the data of each cluster say decides. "noncentred": standardised effects
        everywhere. "centred": the effects themselves (shifted and scaled by constants).

    Returns
    -------
    Blueprint
        With tuned coordinates, and with the pilot's parameters as ``pilot``.
    """
    evaluator = blueprint.evaluator
    if not isinstance(evaluator, ClusterEvaluator) or not evaluator.n_sampled:
        return blueprint
    x, t = pilot_mode(blueprint)
    extended = np.ascontiguousarray(blueprint.extend_sampled(x))
    b = evaluator.effects(extended, t)
    information, gradient = _curvature(evaluator, extended, b)
    information, gradient = _WEIGHT[centring] * information, _WEIGHT[centring] * gradient
    linear = np.einsum("jik,jk->ji", information, b) + gradient
    return with_information(blueprint, information, linear, x)


@one_blas_thread
def pilot_mode(blueprint: Blueprint) -> tuple[FloatArray, FloatArray]:
    """Joint mode of parameters (unconstrained scale) and coordinates of effects."""
    bounds, n = support(blueprint), blueprint.parameters.n
    shape = (blueprint.observed.n_clusters, blueprint.n_sampled)
    start = np.concatenate(
        [bounds.to_unconstrained(starting_point(blueprint)), np.zeros(shape[0] * shape[1])]
    )
    spread = np.isfinite(bounds.lower) | np.isfinite(bounds.upper)
    scale = np.ones(len(start))
    scale[:n] = np.where(spread, 1.0, prior_scales(blueprint))
    moving = np.ones(len(start))
    moving[:n] = ~_noise_of_cluster_outcomes(blueprint)

    def objective(v: FloatArray) -> tuple[float, FloatArray]:
        value, gradient = log_posterior(blueprint, v * scale, jacobian=True)
        if not np.isfinite(value):
            return 1e300, np.zeros_like(v)
        return -value, -gradient * scale * moving

    result = optimize.minimize(
        objective,
        start / scale,
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": 500, "maxcor": 20},
    )
    u = result.x * scale
    return bounds.to_constrained(u[:n])[0], u[n:].reshape(shape)


def _noise_of_cluster_outcomes(blueprint: Blueprint) -> NDArray[np.bool_]:
    """Which parameters are (co)variances of cluster-level outcomes.

    They stay at their starting values in the pilot. The joint mode would not exist otherwise: the
    effects, one set per cluster, can fit an outcome with one value per cluster without error, so
    its residual variance would go to zero, and the information about the effects to infinity.
    """
    outcomes = set(blueprint.observed.z_names)
    return np.array(
        [
            row.level == "between"
            and row.kind in ("variance", "covariance")
            and not outcomes.isdisjoint((row.lhs, row.rhs))
            for row in blueprint.parameters.rows
        ]
    )


def _curvature(
    evaluator: ClusterEvaluator, x: FloatArray, b: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Information (J, n_b, n_b) and gradient (J, n_b) of every cluster's log-likelihood."""

    def gradient(at: FloatArray) -> FloatArray:
        program = evaluator.program
        d_b: FloatArray = cluster_value_and_gradient(
            x, at, program.ints, program.floats, evaluator.statistics
        )[2]
        return d_b

    n = b.shape[1]
    hessian = np.empty((len(b), n, n))
    for k in range(n):
        step = np.zeros(n)
        step[k] = _STEP
        hessian[:, k] = (gradient(b + step) - gradient(b - step)) / (2 * _STEP)
    values, vectors = np.linalg.eigh(-(hessian + hessian.transpose(0, 2, 1)) / 2)
    information = np.einsum("jik,jk,jlk->jil", vectors, np.maximum(values, 0.0), vectors)
    return information, gradient(b)
