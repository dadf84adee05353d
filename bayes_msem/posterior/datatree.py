"""The DataTree that a fit carries: draws, derived quantities, data, and a record of the run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from bayes_msem.blueprint.blueprint import Blueprint
from bayes_msem.data.observed_data import ObservedData
from bayes_msem.inference.coordinates import COORDINATES, SCORE_COORDINATES
from bayes_msem.inference.pymc_model import observed_matrix
from bayes_msem.posterior.draws import derived_variables


def complete_tree(
    tree: xr.DataTree, blueprint: Blueprint, record: Mapping[str, str | int]
) -> xr.DataTree:
    """Add derived variables, data and attributes to what the sampler returned.

    Parameters
    ----------
    tree
        With the groups ``posterior`` and ``sample_stats``.
    blueprint
        The model.
    record
        Attributes of the result: version, model text, seed and the like.

    Returns
    -------
    xarray.DataTree
        Groups posterior, sample_stats, observed_data and constant_data.
    """
    posterior = tree["posterior"].to_dataset()
    names = [group.name for group in blueprint.parameters.groups]
    names += [COORDINATES] if blueprint.n_sampled else []
    names += [SCORE_COORDINATES] if blueprint.likelihood.score_shape[1] else []
    derived = derived_variables(blueprint, posterior)
    # Covariances that are sampled as they are stand among the derived ones of the same name.
    sampled = [name for name in names if name not in derived]
    groups = {
        "posterior": posterior[sampled].merge(derived, compat="no_conflicts", join="exact"),
        "sample_stats": tree["sample_stats"].to_dataset(),
        **dict(
            zip(("observed_data", "constant_data"), data_groups(blueprint.observed), strict=True)
        ),
    }
    result = xr.DataTree.from_dict(groups)
    result.attrs = dict(record)
    return result


def data_groups(observed: ObservedData) -> tuple[xr.Dataset, xr.Dataset]:
    """Return the groups observed_data and constant_data."""
    return _observed_data(observed), _constant_data(observed)


def _observed_data(observed: ObservedData) -> xr.Dataset:
    return xr.Dataset(
        {"y": (("obs_id", "outcome"), observed_matrix(observed))},
        coords={
            "obs_id": np.arange(observed.n_rows),
            "outcome": [*observed.y_names, *observed.z_names, *observed.z3_names],
        },
    )


def _constant_data(observed: ObservedData) -> xr.Dataset:
    data: dict[str, Any] = {}
    coords: dict[str, Any] = {"obs_id": np.arange(observed.n_rows)}
    if observed.cluster is not None:
        data["cluster"] = (("obs_id",), observed.cluster)
        coords["cluster_id"] = [str(c) for c in observed.cluster_ids]
    if observed.x_names:
        data["x"] = (("obs_id", "covariate"), observed.x)
        coords["covariate"] = list(observed.x_names)
    if observed.parent is not None:
        data["parent"] = (("cluster_id",), observed.parent)
        coords["top_id"] = [str(t) for t in observed.top_ids]
        if observed.w3_names:
            data["w3"] = (("top_id", "top_covariate"), observed.w3)
            coords["top_covariate"] = list(observed.w3_names)
    if observed.w_names:
        data["w"] = (("cluster_id", "cluster_covariate"), observed.w)
        coords["cluster_covariate"] = list(observed.w_names)
    return xr.Dataset(data, coords=coords)
