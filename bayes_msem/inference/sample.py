"""Sampling: a PyMC model and settings in, a DataTree out."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from typing import Any, get_args

import numpy as np
import nutpie
import pymc as pm
import xarray as xr
from numpy.typing import NDArray
from nutpie.sample import CompiledModel

from bayes_msem.blueprint.blueprint import Blueprint
from bayes_msem.errors import SpecificationError, nearest
from bayes_msem.inference.coordinates import COORDINATES, SCORE_COORDINATES
from bayes_msem.inference.curvature import posterior_root
from bayes_msem.inference.density import prior_scales, support
from bayes_msem.inference.geometry import coordinates_at, geometry_at
from bayes_msem.inference.interrupt import interruptible
from bayes_msem.inference.modes import posterior_modes
from bayes_msem.inference.nuts_model import nuts_model
from bayes_msem.inference.options import Sampler
from bayes_msem.inference.starts import nutpie_seeds, starts_at_modes
from bayes_msem.kernels.density import Geometry

FloatArray = NDArray[np.float64]


def draw_posterior(
    blueprint: Blueprint,
    model: Callable[[], pm.Model],
    *,
    potentials: bool = False,
    draws: int,
    tune: int,
    chains: int,
    cores: int | None,
    random_seed: int,
    progress: bool,
    sampler: Sampler,
    **options: Any,
) -> xr.DataTree:
    """Sample the posterior with NUTS.

    Chains start around the modes of the posterior (inference.starts); with sampled effects,
    around the pilot's mode.

    Parameters
    ----------
    blueprint
        The model.
    model
        Returns its PyMC form; called by samplers other than nutpie and for potentials.
    potentials
        Whether the PyMC form has potentials of a user, so that it must be compiled.
    draws, tune, chains, cores
        As in PyMC; ``cores=None`` uses all, at most one per chain.
    random_seed
        Seed of starting points and sampler.
    progress
        Show a progress bar.
    sampler
        "nutpie", or what :func:`pymc.sample` knows as ``nuts_sampler``.
    **options
        Passed to :func:`nutpie.sample` or :func:`pymc.sample`.

    Returns
    -------
    xarray.DataTree
        Groups posterior, sample_stats, observed_data and more.

    Raises
    ------
    SpecificationError
        Unknown sampler.

    Warns
    -----
    InterruptedWarning
        Sampling was interrupted (Ctrl-C); the draws made so far are kept. An interrupt before the
        end of tuning leaves none, and is raised again as KeyboardInterrupt (inference.interrupt).
    """
    if sampler not in get_args(Sampler):
        allowed = get_args(Sampler)
        raise SpecificationError(
            f"unknown sampler '{sampler}'; allowed are {', '.join(allowed)}"
            f"{nearest(str(sampler), allowed)}"
        )
    if sampler in ("numpyro", "blackjax"):
        import_module("bayes_msem.likelihood.jax_op")  # teaches JAX the likelihood
    seeds = np.random.SeedSequence(random_seed).generate_state(chains)

    def seeds_of_chains() -> Sequence[int]:
        return nutpie_seeds(chains, random_seed) if sampler == "nutpie" else seeds.tolist()

    center, start = _starting_points(blueprint, seeds_of_chains)
    if sampler == "nutpie":
        # Parameters of a factor model are correlated, so estimating the leading directions pays;
        # with the effects of many clusters among the dimensions it costs more than it gives.
        options.setdefault("adaptation", "diag" if blueprint.n_sampled else "low_rank")
        compiled: CompiledModel
        if potentials:
            own = nutpie.compile_pymc_model(model())
            compiled = dataclasses.replace(own, initial_point_func=start)
        else:
            geometry = geometry_at(blueprint, center)
            compiled = nuts_model(blueprint, geometry, _moved(blueprint, geometry, start))
        sample = partial(
            nutpie.sample,
            compiled,
            draws=draws,
            tune=tune,
            chains=chains,
            cores=cores,
            seed=random_seed,
            progress_bar=progress,
            save_warmup=False,
            **options,
        )
        return interruptible(sample, draws=draws, chains=chains)
    sample = partial(
        pm.sample,
        draws=draws,
        tune=tune,
        chains=chains,
        cores=cores,
        random_seed=random_seed,
        progressbar=progress,
        nuts_sampler=sampler,
        initvals=[_named(blueprint, start(int(seed))) for seed in seeds],
        model=model(),
        compute_convergence_checks=False,
        **options,
    )
    return interruptible(sample, draws=draws, chains=chains)


def _moved(
    blueprint: Blueprint, geometry: Geometry, start: Callable[[int | None], FloatArray]
) -> Callable[[int | None], FloatArray]:
    """Return the starting points in the coordinates of NUTS."""

    def moved(seed: int | None) -> FloatArray:
        u = start(seed)
        x = support(blueprint).to_constrained(u[: blueprint.parameters.n])[0]
        return coordinates_at(geometry, u, x)

    return moved


def _starting_points(
    blueprint: Blueprint, seeds: Callable[[], Sequence[int]]
) -> tuple[FloatArray, Callable[[int | None], FloatArray]]:
    """Return sampled parameters at a mode, and a function from a seed to unconstrained starts."""
    if blueprint.pilot is not None:
        return blueprint.pilot, _starts_with_effects(blueprint, blueprint.pilot)
    mode = posterior_modes(blueprint).sampled[0].position
    return support(blueprint).to_constrained(mode)[0], starts_at_modes(blueprint, seeds)


def _starts_with_effects(
    blueprint: Blueprint, pilot: FloatArray
) -> Callable[[int | None], FloatArray]:
    """Start around the pilot's mode, with coordinates of effects standard normal.

    Parameters spread as their curvature says. Where it is small, as that of the logarithm of a
    standard deviation near zero, the spread is that of a weakly informed parameter.
    """
    bounds, n = support(blueprint), blueprint.parameters.n
    center = bounds.to_unconstrained(pilot)
    free = ~(np.isfinite(bounds.lower) | np.isfinite(bounds.upper))
    scale = np.where(free, prior_scales(blueprint), 1.0)
    n_coordinates = blueprint.likelihood.n_coordinates
    root = posterior_root(blueprint, center, scale)

    def start(seed: int | None) -> FloatArray:
        rng = np.random.default_rng(seed)
        noise = root @ rng.standard_normal(n)
        return np.concatenate([center + noise, rng.standard_normal(n_coordinates)])

    return start


def _named(blueprint: Blueprint, u: FloatArray) -> dict[str, FloatArray]:
    """Split unconstrained coordinates into constrained values per random variable."""
    x = support(blueprint).to_constrained(u[: blueprint.parameters.n])[0]
    result, first = {}, 0
    for group in blueprint.parameters.groups:
        result[group.name] = x[first : first + len(group.free)]
        first += len(group.free)
    likelihood = blueprint.likelihood
    if blueprint.n_sampled:
        stop = first + likelihood.shape[0] * likelihood.shape[1]
        result[COORDINATES] = u[first:stop].reshape(likelihood.shape)
        first = stop
    if likelihood.score_shape[1]:
        result[SCORE_COORDINATES] = u[first:].reshape(likelihood.score_shape)
    return result
