"""Prior predictive draws, also where the prior is truncated to positive definite covariances."""

from __future__ import annotations

import warnings

import numpy as np
import pymc as pm
import xarray as xr

from bayes_msem.errors import NotSupportedError

_MAX_ROUNDS = 50
_GROUPS = ("prior", "prior_predictive")


def draw_prior_predictive(model: pm.Model, draws: int, random_seed: int) -> xr.DataTree:
    """Draw from the prior and the model; draws outside the prior's support are drawn again.

    Covariances that are parameters themselves ("direct" blocks) have priors truncated to positive
    definite matrices. Forward sampling cannot know, so such draws have outcomes NaN and are
    rejected here.

    Parameters
    ----------
    model
        From :func:`bayes_msem.inference.pymc_model.build_pymc_model`.
    draws
        Number of draws.
    random_seed
        Seed.

    Returns
    -------
    xarray.DataTree
        Groups prior, prior_predictive, observed_data and constant_data if there is any.

    Raises
    ------
    NotSupportedError
        Hardly any draw of the prior has positive definite covariances.
    """
    seeds = np.random.default_rng(random_seed).integers(2**31, size=_MAX_ROUNDS)
    kept: list[dict[str, xr.Dataset]] = []
    found, tree = 0, None
    for seed in seeds:
        with warnings.catch_warnings():
            # new data are drawn in NumPy, which PyTensor announces as a slow path
            warnings.filterwarnings("ignore", message="Numba will use object mode")
            tree = pm.sample_prior_predictive(draws, model=model, random_seed=int(seed))
        outcomes = tree["prior_predictive"]["y"]
        # rows whose covariates are missing have no outcomes either: a draw is bad if it has none
        good = np.flatnonzero(np.isfinite(outcomes.to_numpy()).any(axis=(0, -2, -1)))
        good = good[: draws - found]
        found += len(good)
        kept.append(
            {
                name: tree[name].to_dataset().isel(draw=good)
                for name in ("prior", "prior_predictive")
            }
        )
        if found == draws:
            break
    else:
        raise NotSupportedError(
            f"only {found} of {draws * _MAX_ROUNDS} draws of the prior have positive definite "
            "covariances; give the covariances that are parameters themselves ([cov] in the "
            "parameter table) tighter priors"
        )
    groups = {name: tree[name].to_dataset() for name in tree.children}
    for name in _GROUPS:
        joined = xr.concat([part[name] for part in kept], dim="draw")
        groups[name] = joined.assign_coords(draw=np.arange(draws))
    return xr.DataTree.from_dict(groups)
