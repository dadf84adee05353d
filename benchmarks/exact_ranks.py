r"""The exact rank test of a posterior density: no sampler has to converge.

Parameters are drawn from the prior and data from the model at them. Given the data, the truth is a
draw from the posterior. A Markov kernel that is reversible with respect to the posterior, applied
L - m times from the truth on, and m times from the truth back (reversible: with the same kernel),
gives a stretch of a stationary chain, whose law does not depend on where in it the truth stands.
With m uniform on 0, ..., L, the rank of the truth among the L others is therefore *exactly*
uniform, however slowly the kernel moves (Gandy & Scott 2021). It is not if the density that the
kernel leaves in peace is another one than that of the truth: a wrong prior, a missing Jacobian, a
dropped cell.

The kernel is Hamiltonian Monte Carlo in the coordinates that NUTS samples, v = (u, t), with the
density and gradient of the package. Its metric comes from a quasi-Newton search that starts at the
medians of the priors: it depends on the data alone, so that all said above holds given the data.

References
----------
Gandy, A., & Scott, J. (2021). Unit testing for MCMC and other Monte Carlo methods.
https://arxiv.org/abs/2001.06465
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, optimize

from bayes_msem.blueprint.blueprint import Blueprint
from bayes_msem.blueprint.rows import row_values
from bayes_msem.inference.density import log_posterior, starting_point, support
from bayes_msem.posterior.rank_uniformity import rank_of
from bayes_msem.spec.table import RowKey
from bayes_msem.studies.sbc_replication import LOG_LIKELIHOOD, Drawn, likelihood_given

__all__ = ["chain_around", "exact_ranks", "hamiltonian", "to_coordinates"]

Array = NDArray[np.float64]
Density = Callable[[Array], tuple[float, Array]]
Kernel = Callable[[Array, np.random.Generator], Array]

N_STATES = 99
REPEATS = 2  # kernels between two states
LEAPFROGS = 6


def exact_ranks(
    right: Blueprint,
    tested: Blueprint,
    quantities: Mapping[str, RowKey],
    drawn: Drawn,
    rng: np.random.Generator,
    *,
    n_states: int = N_STATES,
) -> dict[str, int]:
    """Rank the truth among states of a chain that leaves the density of ``tested`` in peace.

    Parameters
    ----------
    right
        The model that made the data, with these data.
    tested
        The model whose density is tested: the same, or one with a planted error.
    quantities
        Name -> row that is ranked; the log-likelihood (of ``right``) comes last.
    drawn
        Truth and data.
    rng
        Source of randomness.
    n_states
        How many others the truth is ranked among.
    """
    truth = to_coordinates(tested, drawn.x, drawn.effects)
    density = density_of(tested)
    kernel = hamiltonian(density, metric_of(tested, density))
    place = int(rng.integers(n_states + 1))
    states = chain_around(truth, place, n_states, kernel, rng)
    x, effects = from_coordinates(tested, states)
    x[place], effects[place] = drawn.x, drawn.effects  # without rounding
    rows = row_values(right, right.theta(x), x)
    values = {name: rows[key].copy() for name, key in quantities.items()}
    pairs = zip(x, effects, strict=True)
    values[LOG_LIKELIHOOD] = np.array([likelihood_given(right, *pair) for pair in pairs])
    # a chain that rejects stays where it is: such states are ties, but for rounding
    stays = np.array([np.array_equal(state, truth) for state in states])
    for value in values.values():
        value[stays] = value[place]
    return {
        name: rank_of(float(value[place]), np.delete(value, place), rng)
        for name, value in values.items()
    }


def chain_around(
    truth: Array, place: int, n_states: int, kernel: Kernel, rng: np.random.Generator
) -> Array:
    """Run a reversible kernel from a state in both directions: (n_states + 1, n)."""
    states = np.empty((n_states + 1, len(truth)))
    states[place] = truth
    for step, stop in ((1, n_states + 1), (-1, -1)):
        for i in range(place + step, stop, step):
            states[i] = states[i - step]
            for _ in range(REPEATS):
                states[i] = kernel(states[i], rng)
    return states


def hamiltonian(density: Density, metric: Array) -> Kernel:
    """Hamiltonian Monte Carlo with steps of random size; ``metric`` is C, v = C z."""
    size = 1.4 * len(metric) ** -0.25

    @np.errstate(over="ignore", invalid="ignore")  # a path that runs away is rejected
    def kernel(v: Array, rng: np.random.Generator) -> Array:
        momentum = rng.standard_normal(len(v))
        step = size * np.exp(rng.uniform(-1.5, 0.0))
        value, gradient = density(v)
        before = value - momentum @ momentum / 2
        at = v
        for _ in range(int(rng.integers(1, LEAPFROGS + 1))):
            momentum = momentum + step / 2 * (metric.T @ gradient)
            at = at + step * (metric @ momentum)
            value, gradient = density(at)
            if not np.isfinite(value):
                return v
            momentum = momentum + step / 2 * (metric.T @ gradient)
        after = value - momentum @ momentum / 2
        return at if np.log(rng.uniform()) < after - before else v

    return kernel


def density_of(blueprint: Blueprint) -> Density:
    """Log posterior density of the coordinates that NUTS samples, with its gradient."""

    def density(v: Array) -> tuple[float, Array]:
        with np.errstate(all="ignore"):
            value, gradient = log_posterior(blueprint, v, jacobian=True)
        if not (np.isfinite(value) and np.isfinite(gradient).all()):
            return -np.inf, np.zeros_like(v)
        return value, gradient

    return density


def metric_of(blueprint: Blueprint, density: Density) -> Array:
    """Root of the inverse curvature that a quasi-Newton search ends with."""
    u = support(blueprint).to_unconstrained(starting_point(blueprint))
    start = np.concatenate([u, np.zeros(blueprint.likelihood.n_coordinates)])

    def minus(v: Array) -> tuple[float, Array]:
        value, gradient = density(v)
        return (-value, -gradient) if np.isfinite(value) else (1e10, gradient)

    found = optimize.minimize(minus, start, jac=True, method="BFGS", options={"maxiter": 150})
    inverse = (found.hess_inv + found.hess_inv.T) / 2
    try:
        return np.asarray(linalg.cholesky(inverse, lower=True))
    except linalg.LinAlgError:
        return 0.3 * np.eye(len(start))


def to_coordinates(blueprint: Blueprint, x: Array, effects: Array) -> Array:
    """Return the coordinates of sampled parameters (n_free,) and sampled effects (J, n_b)."""
    u = support(blueprint).to_unconstrained(x)
    if not blueprint.n_sampled:
        return u
    likelihood, first = blueprint.likelihood, blueprint.template.first_sampled
    (point,) = blueprint.points(x[None])
    omega, coefficients = likelihood.level_two(point)
    mean = (blueprint.observed.cluster_design @ coefficients)[:, first:]
    root = np.linalg.cholesky(omega[first:, first:])
    standard = linalg.solve_triangular(root, (effects - mean).T, lower=True).T
    return np.concatenate([u, likelihood.coordinates(point, standard).ravel()])


def from_coordinates(blueprint: Blueprint, v: Array) -> tuple[Array, Array]:
    """Return sampled parameters (S, n_free) and effects (S, J, n_b) at coordinates (S, n)."""
    n, shape = blueprint.parameters.n, blueprint.likelihood.shape
    x = np.stack([support(blueprint).to_constrained(row[:n])[0] for row in v])
    if not blueprint.n_sampled:
        return x, np.zeros((len(v), *shape))
    likelihood, points = blueprint.likelihood, blueprint.points(x)
    pairs = zip(points, v[:, n:], strict=True)
    return x, np.stack([likelihood.effects(point, t.reshape(shape)) for point, t in pairs])
