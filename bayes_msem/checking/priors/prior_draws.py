"""Parameters from the prior, and data from the model at them, in NumPy.

The same distribution as :meth:`bayes_msem.Model.prior_predictive` draws from, without compiling
anything, and one data set at a time, so that memory does not grow with the number of draws.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayes_msem.blueprint.blueprint import Blueprint
from bayes_msem.errors import NotSupportedError
from bayes_msem.inference.coordinates import coords_of
from bayes_msem.inference.pymc_model import observed_matrix
from bayes_msem.simulation.simulate import simulate_data
from bayes_msem.spec.prior_families import FAMILIES

__all__ = ["draw_prior", "prior_predictive_tree", "replicate"]

FloatArray = NDArray[np.float64]

_MAX_ROUNDS = 50


def draw_prior(blueprint: Blueprint, draws: int, rng: np.random.Generator) -> FloatArray:
    """Draw sampled parameters from the prior.

    Parameters
    ----------
    blueprint
        The model.
    draws
        Number of draws.
    rng
        Source of randomness.

    Returns
    -------
    (draws, n_free) array
        Covariances that are parameters themselves have priors truncated to positive definite
        matrices: draws outside are drawn again.

    Raises
    ------
    NotSupportedError
        Hardly any draw has positive definite covariances.
    """
    kept: list[FloatArray] = []
    found = 0
    for _ in range(_MAX_ROUNDS):
        columns = []
        for group in blueprint.parameters.groups:
            shape = (draws, len(group.free))
            values = FAMILIES[group.family].sample(rng, list(group.arguments), shape)
            # partial correlations r are sampled as (r + 1) / 2
            columns.append((values + 1.0) / 2.0 if group.family == "beta" else values)
        x = np.concatenate(columns, axis=1)
        good = x[np.isfinite(blueprint.theta(x)).all(axis=1)][: draws - found]
        found += len(good)
        kept.append(good)
        if found == draws:
            return np.concatenate(kept)
    raise NotSupportedError(
        f"only {found} of {draws * _MAX_ROUNDS} draws of the prior have positive definite "
        "covariances; give the covariances that are parameters themselves ([cov] in the "
        "parameter table) tighter priors"
    )


def replicate(
    blueprint: Blueprint, x: FloatArray, rng: np.random.Generator
) -> Iterator[FloatArray]:
    """Draw one data set for every draw of the parameters, for the clusters and covariates seen.

    Parameters
    ----------
    blueprint
        The model.
    x
        Sampled parameters, (n, n_free).
    rng
        Source of randomness.

    Yields
    ------
    (N, P) array
        Outcomes y, then z repeated for every row of its cluster.
    """
    observed = blueprint.observed
    for point in blueprint.points(x):
        yield simulate_data(blueprint, point, observed, rng).outcomes(observed)


def prior_predictive_tree(blueprint: Blueprint, draws: int, random_seed: int) -> xr.DataTree:
    """Draw parameters and data as PyMC's prior predictive sampling lays them out.

    Parameters
    ----------
    blueprint
        The model.
    draws
        Number of draws.
    random_seed
        Seed.

    Returns
    -------
    xarray.DataTree
        Groups prior, prior_predictive and observed_data.
    """
    rng = np.random.default_rng(random_seed)
    x = draw_prior(blueprint, draws, rng)
    y = np.stack(list(replicate(blueprint, x, rng)))
    parameters, first = {}, 0
    for group in blueprint.parameters.groups:
        values = x[None, :, first : first + len(group.free)]
        parameters[group.name] = (("chain", "draw", f"{group.name}_row"), values)
        first += len(group.free)
    shared = {"chain": [0], "draw": np.arange(draws)}
    names = {name: label for name, label in coords_of(blueprint).items() if name.endswith("_row")}
    names.pop("score_row", None)
    rows = {"obs_id": np.arange(y.shape[1]), "outcome": list(blueprint.outcomes)}
    dims = ("obs_id", "outcome")
    return xr.DataTree.from_dict(
        {
            "prior": xr.Dataset(parameters, coords={**shared, **names}),
            "prior_predictive": xr.Dataset(
                {"y": (("chain", "draw", *dims), y[None])}, coords={**shared, **rows}
            ),
            "observed_data": xr.Dataset(
                {"y": (dims, observed_matrix(blueprint.observed))}, coords=rows
            ),
        }
    )
