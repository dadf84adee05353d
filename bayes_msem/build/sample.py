"""Sampling: a PyMC model and settings in, a DataTree out."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Literal, get_args

import numpy as np
import nutpie
import pymc as pm
import xarray as xr
from numpy.typing import NDArray

from bayes_msem.build.blueprint import Blueprint
from bayes_msem.build.density import prior_scales, support
from bayes_msem.build.pymc_model import COORDINATES
from bayes_msem.build.starts import nutpie_seeds, starts_at_modes
from bayes_msem.errors import InterruptedWarning, NotSupportedError, SpecificationError, nearest

FloatArray = NDArray[np.float64]
Sampler = Literal["nutpie", "pymc", "numpyro", "blackjax"]


def draw_posterior(
    blueprint: Blueprint,
    model: pm.Model,
    *,
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

    Chains start around the modes of the posterior (build.starts); with sampled effects, around the
    pilot's mode.

    Parameters
    ----------
    blueprint, model
        The model and its PyMC form.
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
        Sampling with nutpie was interrupted (Ctrl-C); the draws made so far are kept. An interrupt
        before the end of tuning leaves none, and is raised again as KeyboardInterrupt.
    """
    if sampler not in get_args(Sampler):
        allowed = get_args(Sampler)
        raise SpecificationError(
            f"unknown sampler '{sampler}'; allowed are {', '.join(allowed)}"
            f"{nearest(str(sampler), allowed)}"
        )
    seeds = np.random.SeedSequence(random_seed).generate_state(chains)

    def seeds_of_chains() -> Sequence[int]:
        return nutpie_seeds(chains, random_seed) if sampler == "nutpie" else seeds.tolist()

    start = _starting_points(blueprint, seeds_of_chains)
    if sampler == "nutpie":
        # Parameters of a factor model are correlated, so estimating the leading directions pays;
        # with the effects of many clusters among the dimensions it costs more than it gives.
        options.setdefault("adaptation", "diag" if blueprint.n_sampled else "low_rank")
        compiled = nutpie.compile_pymc_model(model)
        compiled = dataclasses.replace(compiled, initial_point_func=start)
        tree: xr.DataTree = nutpie.sample(
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
        return _without_missing_draws(tree, draws)
    if sampler in ("numpyro", "blackjax"):
        _prepare_jax(sampler)
    result: xr.DataTree = pm.sample(
        draws=draws,
        tune=tune,
        chains=chains,
        cores=cores,
        random_seed=random_seed,
        progressbar=progress,
        nuts_sampler=sampler,
        initvals=[_named(blueprint, start(int(seed))) for seed in seeds],
        model=model,
        compute_convergence_checks=False,
        **options,
    )
    return result


def _without_missing_draws(tree: xr.DataTree, draws: int) -> xr.DataTree:
    """Keep what an interrupted sampler made, as chains of equal length.

    nutpie returns from an interrupt with chains of different lengths, filled up with NaN. The
    number of chains and their length are chosen such that most draws are kept.
    """
    posterior = tree["posterior"].to_dataset()
    first = next(iter(posterior.data_vars.values())).transpose("chain", "draw", ...).to_numpy()
    made = (~np.isnan(first.reshape(*first.shape[:2], -1)).any(axis=-1)).sum(axis=1)
    if made.min(initial=draws) >= draws and posterior.sizes["draw"] >= draws:
        return tree
    longest = np.argsort(-made, kind="stable")
    kept = made[longest] * np.arange(1, len(made) + 1)
    if kept.max(initial=0) == 0:
        raise KeyboardInterrupt("sampling was interrupted before the first draw after tuning")
    chains = np.sort(longest[: int(kept.argmax()) + 1])
    length = int(made[chains].min())
    warnings.warn(
        f"sampling was interrupted: {len(chains)} of {len(made)} chains with {length} of "
        f"{draws} draws each are kept; see convergence before you use them",
        InterruptedWarning,
        stacklevel=4,
    )
    groups = {
        node.path: _cut(node.to_dataset(inherit=False), chains, length) for node in tree.subtree
    }
    return xr.DataTree.from_dict(groups)


def _cut(dataset: xr.Dataset, chains: NDArray[np.int64], length: int) -> xr.Dataset:
    """Take chains and the first draws, and number the chains anew."""
    if "draw" not in dataset.dims:
        return dataset
    cut = dataset.isel(chain=chains, draw=slice(length))
    return cut.assign_coords(chain=np.arange(len(chains)))


def _prepare_jax(sampler: Sampler) -> None:
    """Teach JAX the likelihood, or say what has to be installed."""
    for module in ("jax", sampler):
        if find_spec(module) is None:
            raise NotSupportedError(
                f"sampler='{sampler}' needs the packages jax and {sampler}, and {module} is not "
                f"installed; install both (pip install jax {sampler}) or use sampler='nutpie'"
            )
    import_module("bayes_msem.likelihood.jax_op")


def _starting_points(
    blueprint: Blueprint, seeds: Callable[[], Sequence[int]]
) -> Callable[[int | None], FloatArray]:
    """Return a function from a seed to unconstrained starting values."""
    if blueprint.pilot is not None:
        return _starts_with_effects(blueprint, blueprint.pilot)
    return starts_at_modes(blueprint, seeds)


def _starts_with_effects(
    blueprint: Blueprint, pilot: FloatArray
) -> Callable[[int | None], FloatArray]:
    """Start at the pilot's mode: parameters around it, coordinates of effects standard normal."""
    bounds, n = support(blueprint), blueprint.parameters.n
    center = bounds.to_unconstrained(pilot)
    free = ~(np.isfinite(bounds.lower) | np.isfinite(bounds.upper))
    spread = 0.1 * np.where(free, prior_scales(blueprint), 1.0)
    n_coordinates = blueprint.observed.n_clusters * blueprint.n_sampled

    def start(seed: int | None) -> FloatArray:
        rng = np.random.default_rng(seed)
        noise = spread * rng.standard_normal(n)
        return np.concatenate([center + noise, rng.standard_normal(n_coordinates)])

    return start


def _named(blueprint: Blueprint, u: FloatArray) -> dict[str, FloatArray]:
    """Split unconstrained coordinates into constrained values per random variable."""
    x = support(blueprint).to_constrained(u[: blueprint.parameters.n])[0]
    result, first = {}, 0
    for group in blueprint.parameters.groups:
        result[group.name] = x[first : first + len(group.free)]
        first += len(group.free)
    if blueprint.n_sampled:
        result[COORDINATES] = u[first:].reshape(-1, blueprint.n_sampled)
    return result
