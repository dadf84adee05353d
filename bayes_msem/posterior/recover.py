"""Recover what was integrated out: cluster effects and level-2 factors, per posterior draw.

NUTS never sees random intercepts, slopes on covariates, or factors. Given a draw of the
parameters (and of the sampled effects b) they are normal, so they are drawn exactly:

    a_j | y_j, z_j, b_j     kernels.integrate
    v_j | u_j               the level-2 variables given u = (a, z, b), from the level-2 model

Effects are *total* coefficients of a cluster (fixed part plus deviation).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayes_msem.blueprint.blueprint import Blueprint
from bayes_msem.blueprint.rows import defined_effects
from bayes_msem.data.subsets import take_rows
from bayes_msem.gaussian.normal import from_noise
from bayes_msem.inference.coordinates import COORDINATES
from bayes_msem.inference.threads import one_blas_thread
from bayes_msem.posterior.draws import sampled_parameters
from bayes_msem.simulation.factors_and_effects import draw_factors
from bayes_msem.structure.matrices import level_matrices

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

_MAX_VALUES = 1_000_000  # draws x clusters x variables that are held at a time
_CLUSTERS = 512  # that share a stream of random numbers, and are recovered together


def recover_effects(blueprint: Blueprint, posterior: xr.Dataset, *, random_seed: int) -> xr.Dataset:
    """Draw all cluster-level quantities.

    Parameters
    ----------
    blueprint
        A two-level model.
    posterior
        Posterior draws of its parameters.
    random_seed
        Seed of the exact conditional draws.

    Returns
    -------
    xarray.Dataset
        ``effects`` (chain, draw, cluster_id, effect): random intercepts (named after their
        outcome), slopes, sampled effects and cluster-specific definitions; ``prior_variance``
        (chain, draw, effect) of those that are not definitions, given the cluster-level covariates;
        ``deviation_variance`` (cluster_id, effect): posterior variance of the deviations from
        the mean that the predictors give; ``factors`` (chain, draw, cluster_id, between_factor)
        if there are level-2 factors.
    """
    return _recovered(blueprint, posterior, np.random.default_rng(random_seed))


@one_blas_thread
def _recovered(blueprint: Blueprint, posterior: xr.Dataset, rng: np.random.Generator) -> xr.Dataset:
    """Draw all cluster-level quantities from this source of randomness."""
    template = blueprint.template
    x = sampled_parameters(blueprint, posterior)
    points = blueprint.points(x)
    coordinates = coordinates_of_effects(blueprint, posterior, len(points))
    theta = blueprint.theta(points[:, : blueprint.parameters.n])
    every, factor_names = template.level_two, blueprint.table.variables("between", "between factor")
    keep = [i for i, name in enumerate(every) if name not in template.z_names]
    names, n_clusters = [every[i] for i in keep], blueprint.observed.n_clusters
    moments = Spread((n_clusters, len(keep)))
    values = variances = factors = np.empty(0)
    defined: dict[str, FloatArray] = {}
    for first, block in drawn_effects(blueprint, points, coordinates, rng):
        at = slice(first, first + len(block.u))
        named = {name: block.u[..., i] for i, name in enumerate(every)}
        defined = defined_effects(blueprint, theta[at, None], named)
        if not first:
            values = np.empty((len(points), n_clusters, len(keep) + len(defined)))
            variances = np.empty((len(points), len(keep)))
            factors = np.empty((len(points), n_clusters, len(factor_names)))
        values[at, :, : len(keep)] = block.u[..., keep]
        for i, value in enumerate(defined.values(), len(keep)):
            values[at, :, i] = value
        variances[at] = np.einsum("skk->sk", block.omega)[:, keep]
        moments.add((block.u - block.mean)[..., keep])
        factors[at] = block.factors
    return effects_dataset(
        posterior,
        [str(c) for c in blueprint.observed.cluster_ids],
        names,
        list(defined),
        (values, variances, moments.variance(), factors),
        factor_names,
    )


def effects_dataset(
    posterior: xr.Dataset,
    units: list[str],
    names: list[str],
    defined: list[str],
    arrays: tuple[FloatArray, FloatArray, FloatArray, FloatArray],
    factor_names: tuple[str, ...],
) -> xr.Dataset:
    """Label draws of effects as :func:`recover_effects` returns them.

    Parameters
    ----------
    posterior
        Draws of the parameters.
    units
        Identifiers of the clusters.
    names, defined
        Effects, and definitions behind them.
    arrays
        Effects (S, J, n), prior variances (S, k), variances of deviations (J, k) and factors
        (S, J, m).
    factor_names
        Level-2 factors.
    """
    values, variances, of_deviations, factors = arrays
    shape = (posterior.sizes["chain"], posterior.sizes["draw"])
    result = xr.Dataset(
        {
            "effects": (
                ("chain", "draw", "cluster_id", "effect"),
                values.reshape(*shape, *values.shape[1:]),
            ),
            "prior_variance": (
                ("chain", "draw", "integrated_or_sampled"),
                variances.reshape(*shape, len(names)),
            ),
            "deviation_variance": (
                ("cluster_id", "integrated_or_sampled"),
                of_deviations,
            ),
        },
        coords={
            "chain": posterior["chain"],
            "draw": posterior["draw"],
            "cluster_id": units,
            "effect": [*names, *defined],
            "integrated_or_sampled": names,
        },
    )
    if factor_names:
        result["factors"] = (
            ("chain", "draw", "cluster_id", "between_factor"),
            factors.reshape(*shape, *factors.shape[1:]),
        )
        result = result.assign_coords(between_factor=list(factor_names))
    return result


def coordinates_of_effects(blueprint: Blueprint, posterior: xr.Dataset, n: int) -> FloatArray:
    """Draws of the coordinates of sampled effects, (n, J, n_b); empty if there are none."""
    shape = (blueprint.observed.n_clusters, blueprint.n_sampled)
    if not blueprint.n_sampled:
        return np.zeros((n, *shape))
    values = posterior[COORDINATES].transpose("chain", "draw", "cluster_id", "sampled_effect")
    return np.ascontiguousarray(values.to_numpy().reshape(n, *shape))


def recover_in_parts(
    blueprint: Blueprint, posterior: xr.Dataset, *, random_seed: int
) -> Iterator[xr.Dataset]:
    """Draw what :func:`recover_effects` draws, some clusters at a time.

    Parameters
    ----------
    blueprint
        A two-level model without sampled effects.
    posterior, random_seed
        As in :func:`recover_effects`.

    Yields
    ------
    xarray.Dataset
        What it returns, of some clusters, in their order: the same numbers but for rounding.
    """
    observed = blueprint.observed
    assert not blueprint.n_sampled, "coordinates of sampled effects belong to all clusters"
    assert observed.cluster is not None
    rng = np.random.default_rng(random_seed)
    streams = _streams(rng, observed.n_clusters)
    for start, stream in zip(range(0, observed.n_clusters, _CLUSTERS), streams, strict=True):
        stop = start + _CLUSTERS
        rows = np.flatnonzero((observed.cluster >= start) & (observed.cluster < stop))
        yield _recovered(blueprint.on(take_rows(observed, rows)), posterior, stream)


def _streams(rng: np.random.Generator, n_clusters: int) -> list[np.random.Generator]:
    """Return sources of randomness, one for so many clusters at a time."""
    return [rng, *rng.spawn((n_clusters - 1) // _CLUSTERS)]


@dataclass(frozen=True, slots=True, eq=False)
class DrawnEffects:
    """Level 2 of all clusters in S draws.

    Attributes
    ----------
    u, mean
        Level-2 vectors u and their means given the covariates, (S, J, n_u).
    omega
        Their covariance matrices, (S, n_u, n_u).
    factors
        Level-2 factors, (S, J, n_factors).
    """

    u: FloatArray
    mean: FloatArray
    omega: FloatArray
    factors: FloatArray


def drawn_effects(
    blueprint: Blueprint, points: FloatArray, coordinates: FloatArray, rng: np.random.Generator
) -> Iterator[tuple[int, DrawnEffects]]:
    """Draw u and level-2 factors, so many draws at a time that they need little room.

    Parameters
    ----------
    blueprint
        A two-level model.
    points
        Draws of its parameters, (S, n_theta).
    coordinates
        Coordinates of sampled effects, (S, J, n_b).
    rng
        Source of randomness. What it gives to a draw depends neither on how many draws are taken
        at a time nor on those behind it.

    Yields
    ------
    tuple of (int, DrawnEffects)
        Position of the first draw, and some draws.
    """
    observed, template = blueprint.observed, blueprint.template
    names = blueprint.table.variables("between", "between factor")
    missing, n_clusters = np.isnan(observed.normal_z), observed.n_clusters
    lengths = (len(template.effects.use_effect), missing.shape[1], len(names))
    per_draw = n_clusters * (4 * len(template.level_two) + lengths[0] + 2 * len(names) + 1)
    step, streams = max(1, _MAX_VALUES // per_draw), _streams(rng, n_clusters)
    for first in range(0, len(points), step):
        at = slice(first, first + step)
        x = points[at]
        normals, of_missing, of_factors = _noise(streams, len(x), missing, lengths)
        u, mean, omega = _level_two(blueprint, x, coordinates[at], normals)
        fill_z(u, mean, omega, missing, len(template.effects.linear), of_missing)
        factors = np.empty((len(x), n_clusters, 0))
        if names:
            factors = _factors(blueprint, names, x, u, mean, of_factors)
        yield first, DrawnEffects(u, mean, omega, factors)


def _noise(
    streams: list[np.random.Generator], n: int, missing: BoolArray, lengths: tuple[int, int, int]
) -> tuple[FloatArray, ...]:
    """Draw standard normal numbers (n, J, length) of n draws: of uses, z and factors.

    Those of z are zeros in clusters whose stream has no missing z.
    """
    found: list[tuple[FloatArray, ...]] = []
    for k, stream in enumerate(streams):
        gone = missing[k * _CLUSTERS : (k + 1) * _CLUSTERS]
        every = (lengths[0], lengths[1] * int(gone.any()), lengths[2])
        ends = len(gone) * np.cumsum(every)
        parts = np.split(stream.standard_normal((n, int(ends[-1]))), ends[:-1], axis=1)
        uses, z, factors = (
            part.reshape(n, len(gone), length) for part, length in zip(parts, every, strict=True)
        )
        found.append((uses, z if every[1] else np.zeros((n, *gone.shape)), factors))
    if len(found) == 1:
        return found[0]
    return tuple(np.concatenate(parts, axis=1) for parts in zip(*found, strict=True))


def one_draw(
    blueprint: Blueprint, point: FloatArray, t: FloatArray, rng: np.random.Generator
) -> FloatArray:
    """Draw the level-2 vectors u (J, n_u) at one point, and coordinates t (J, n_b)."""
    ((_, drawn),) = drawn_effects(blueprint, point[None], t[None], rng)
    u: FloatArray = drawn.u[0]
    return u


def _level_two(
    blueprint: Blueprint, x: FloatArray, t: FloatArray, normals: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Level-2 vectors u with NaN where z is missing, their means, and Omega."""
    likelihood, observed = blueprint.likelihood, blueprint.observed
    b, a = t, np.empty((*t.shape[:2], 0))
    if blueprint.n_sampled:
        b = np.stack([likelihood.effects(*pair) for pair in zip(x, t, strict=True)])
    if blueprint.template.effects.linear:
        a, _ = likelihood.linear_effects(x, b, normals, blueprint.statistics_by_cluster)
    z = np.broadcast_to(observed.normal_z, (len(x), *observed.normal_z.shape))
    omega, coefficients = likelihood.level_two(x)
    return np.concatenate([a, z, b], axis=2), observed.cluster_design @ coefficients, omega


def fill_z(
    u: FloatArray,
    mean: FloatArray,
    omega: FloatArray,
    missing: BoolArray,
    first: int,
    noise: FloatArray,
) -> None:
    """Draw those z that are missing (J, q), from ``first`` on in u, given the rest of u.

    ``noise`` are standard normal numbers, (S, J, q).
    """
    every = np.zeros(u.shape[1:], dtype=bool)
    every[:, first : first + missing.shape[1]] = missing
    for pattern in np.unique(every[every.any(axis=1)], axis=0):
        rows = np.flatnonzero((every == pattern).all(axis=1))
        gone, seen = np.flatnonzero(pattern), np.flatnonzero(~pattern)
        normals = noise[:, rows[:, None], gone - first]
        known = u[:, rows[:, None], seen] - mean[:, rows[:, None], seen]
        drawn = from_noise(omega, gone, seen, known, normals)
        u[:, rows[:, None], gone] = mean[:, rows[:, None], gone] + drawn


def _factors(
    blueprint: Blueprint,
    names: tuple[str, ...],
    x: FloatArray,
    u: FloatArray,
    mean: FloatArray,
    noise: FloatArray,
) -> FloatArray:
    """Level-2 factors given u, (S, J, n_factors)."""
    template, design = blueprint.template, blueprint.observed.cluster_design
    level, every = template.between, template.level_two
    moments = level_matrices(level, blueprint.likelihood.values(x))
    factors = draw_factors(level, names, moments, design, u - mean, noise)
    sampled = [name for name in names if name in every]  # known, but for rounding
    factors[..., [names.index(v) for v in sampled]] = u[..., [every.index(v) for v in sampled]]
    return factors


class Spread:
    """Variance over draws that come in blocks (Chan, Golub & LeVeque 1983)."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.n, self.mean, self.squares = 0, np.zeros(shape), np.zeros(shape)

    def add(self, block: FloatArray) -> None:
        """Add draws (n, ...)."""
        n, mean = len(block), block.mean(axis=0)
        self.squares += ((block - mean) ** 2).sum(axis=0)
        self.squares += (mean - self.mean) ** 2 * (self.n * n / (self.n + n))
        self.mean += (mean - self.mean) * (n / (self.n + n))
        self.n += n

    def variance(self) -> FloatArray:
        """Return the variance with divisor n - 1: NaN of a single draw, which has none."""
        if self.n < 2:
            return np.full_like(self.mean, np.nan)
        return self.squares / (self.n - 1)
