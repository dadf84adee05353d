"""What the data of each cluster say about its effects: a pilot before sampling.

The coordinates in which NUTS samples random loadings, log SDs and the like (kernels.centring)
need, for every cluster, a normal approximation of its likelihood as a function of its linear and
sampled effects (a_j, b_j). It is expanded around their modes given parameters theta, and theta at
its own mode with the effects integrated out. Both need each other, so the pilot alternates:

1. Given theta, find the modes of the effects: expand, move to the mode of the expansion, repeat.
2. In the coordinates that follow, find the joint mode of theta and the coordinates t. Where the
   coordinates are exact, t is standard normal given theta and the data, so this is the mode of the
   marginal posterior of theta (Laplace's approximation); the joint mode of theta and standardised
   effects would let variances grow without bound.

The approximation decides how well chains move, not what they converge to.

References
----------
Tierney, L., & Kadane, J. B. (1986). Accurate approximations for posterior moments and marginal
densities. Journal of the American Statistical Association, 81, 82-86.
https://doi.org/10.1080/01621459.1986.10478240
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from bayes_msem.blueprint.blueprint import Blueprint, with_approximation
from bayes_msem.inference.density import log_posterior, prior_scales, starting_point, support
from bayes_msem.inference.expansion import centred, expand_clusters, expand_groups
from bayes_msem.inference.threads import one_blas_thread
from bayes_msem.inference.working import expand_rows
from bayes_msem.likelihood.approximation import no_approximation

FloatArray = NDArray[np.float64]
Centring = Literal["adaptive", "centred", "noncentred"]
Expand = Callable[[Blueprint, FloatArray, FloatArray | None], Blueprint]

_ROUNDS = 6
_SETTLED = 0.1  # largest move of a parameter between rounds, in prior scales
_ABSURD = 1e20  # information about an effect, in its typical variance
_STEPS = 100  # of the optimiser in one round, before coordinates are made anew


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
    likelihood = blueprint.likelihood
    if not likelihood.n_coordinates:
        return blueprint
    piloted = pilot_mode(blueprint)
    assert piloted.pilot is not None
    if centring == "noncentred":
        return with_approximation(blueprint, no_approximation(*likelihood.shape), piloted.pilot)
    return centred(piloted) if centring == "centred" else piloted


@one_blas_thread
def pilot_mode(blueprint: Blueprint) -> Blueprint:
    """Coordinates and parameters at the mode of the marginal posterior of the parameters."""
    bounds = support(blueprint)
    bounded = np.isfinite(bounds.lower) | np.isfinite(bounds.upper)
    scale = np.where(bounded, 1.0, prior_scales(blueprint))
    u = bounds.to_unconstrained(starting_point(blueprint))
    expand = expand_clusters if blueprint.template.responses is None else expand_rows
    if blueprint.parts:
        expand = expand_groups
    current = expand(blueprint, bounds.to_constrained(u)[0], None)
    for _ in range(_ROUNDS):
        found, t = _joint_mode(current, u, scale)
        x = bounds.to_constrained(found)[0]
        b = current.likelihood.effects(np.ascontiguousarray(current.extend_sampled(x)), t)
        expanded = _finite(expand, current, x, b)
        if expanded is None:
            break  # the search got lost, far from all data: what was found before will do
        current = expanded
        moved = np.abs((found - u) / scale).max(initial=0.0)
        u = found
        if moved < _SETTLED:
            break
    return current


def _finite(expand: Expand, blueprint: Blueprint, x: FloatArray, b: FloatArray) -> Blueprint | None:
    """Expand the likelihood of the clusters around effects b; None where that makes no sense.

    It is not finite, or clusters seem to know a sampled effect absurdly well.
    """
    try:
        with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
            expanded = expand(blueprint, x, b)
    except np.linalg.LinAlgError:
        return None
    if blueprint.parts:
        start = starting_point(blueprint)
        sound = [
            _is_sound(old, new, start)
            for old, new in zip(blueprint.parts, expanded.parts, strict=True)
        ]
        return expanded if all(sound) else None
    return expanded if _is_sound(blueprint, expanded, starting_point(blueprint)) else None


def _is_sound(blueprint: Blueprint, expanded: Blueprint, start: FloatArray) -> bool:
    approximation = expanded.likelihood.approximation
    arrays = (approximation.information, approximation.linear)
    if not all(np.isfinite(array).all() for array in arrays):
        return False
    at = np.ascontiguousarray(blueprint.extend_sampled(start))
    omega = blueprint.likelihood.level_two(at).Omega
    variances = np.diag(omega)[blueprint.template.first_sampled :]
    information = np.diagonal(approximation.information, axis1=1, axis2=2)
    known = information[:, approximation.n_linear :] * variances
    return bool(known.max(initial=0.0) < _ABSURD)


def _joint_mode(
    blueprint: Blueprint, u: FloatArray, scale: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Mode of unconstrained parameters and coordinates, from u and the coordinates' origin."""
    n, shape = len(u), (blueprint.observed.n_clusters, blueprint.n_sampled)
    units = np.concatenate([scale, np.ones(blueprint.likelihood.n_coordinates)])
    start = np.concatenate([u, np.zeros(blueprint.likelihood.n_coordinates)]) / units

    def objective(v: FloatArray) -> tuple[float, FloatArray]:
        value, gradient = log_posterior(blueprint, v * units, jacobian=True)
        if not np.isfinite(value):
            return 1e300, np.zeros_like(v)
        return -value, -gradient * units

    result = optimize.minimize(
        objective,
        start,
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": _STEPS, "maxcor": 20},
    )
    found = result.x * units
    return found[:n], found[n : n + shape[0] * shape[1]].reshape(shape)
