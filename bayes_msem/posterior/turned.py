"""Draws of the sampled form of a model with exploratory factors, as those of the reported form."""

from __future__ import annotations

import xarray as xr

from bayes_msem.blueprint.blueprint import Blueprint
from bayes_msem.blueprint.rotated import reported_draws
from bayes_msem.inference.coordinates import COORDINATES
from bayes_msem.posterior.draws import sampled_parameters


def turned_tree(tree: xr.DataTree, sampled: Blueprint) -> xr.DataTree:
    """Rotate the posterior draws of the sampled form.

    Parameters
    ----------
    tree
        What the sampler returned.
    sampled
        The sampled form.

    Returns
    -------
    xarray.DataTree
        Groups posterior, with the variables of the reported form, and sample_stats.
    """
    assert sampled.turning is not None
    posterior, reported = tree["posterior"].to_dataset(), sampled.turning.reported
    x = sampled_parameters(sampled, posterior)
    turned = reported_draws(sampled, x.reshape(-1, x.shape[-1])).reshape(*x.shape[:2], -1)
    result, first = posterior[[COORDINATES]] if sampled.n_sampled else xr.Dataset(), 0
    for group in reported.parameters.groups:
        values = turned[..., first : first + len(group.free)]
        first += len(group.free)
        rows = f"{group.name}_row"
        result = result.assign_coords({rows: list(group.labels)})
        result[group.name] = (("chain", "draw", rows), values)
    result = result.assign_coords(chain=posterior["chain"], draw=posterior["draw"])
    return xr.DataTree.from_dict(
        {"posterior": result, "sample_stats": tree["sample_stats"].to_dataset()}
    )
