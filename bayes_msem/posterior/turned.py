"""Draws of the sampled form of a model with exploratory factors, as those of the reported form."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import xarray as xr

from bayes_msem.blueprint.blueprint import Blueprint
from bayes_msem.blueprint.rotated import reported_draws
from bayes_msem.inference.coordinates import COORDINATES
from bayes_msem.posterior.draws import sampled_parameters
from bayes_msem.posterior.found_modes import FoundModes


def turned_tree(
    tree: xr.DataTree, sampled: Blueprint, modes: FoundModes | None
) -> tuple[xr.DataTree, FoundModes | None]:
    """Rotate the posterior draws of the sampled form, and its modes with them.

    Parameters
    ----------
    tree
        What the sampler returned.
    sampled
        The sampled form.
    modes
        Its modes, if they were searched.

    Returns
    -------
    tuple of (xarray.DataTree, FoundModes or None)
        Groups posterior, with the variables of the reported form, and sample_stats; and the modes.
    """
    assert sampled.turning is not None
    posterior, reported = tree["posterior"].to_dataset(), sampled.turning.reported
    x = sampled_parameters(sampled, posterior)
    tops = np.reshape(modes.positions if modes else (), (-1, x.shape[-1]))
    points = reported_draws(sampled, np.concatenate([tops, x.reshape(-1, x.shape[-1])]))
    turned = points[len(tops) :].reshape(*x.shape[:2], -1)
    result, first = posterior[[COORDINATES]] if sampled.n_sampled else xr.Dataset(), 0
    for group in reported.parameters.groups:
        values = turned[..., first : first + len(group.free)]
        first += len(group.free)
        rows = f"{group.name}_row"
        result = result.assign_coords({rows: list(group.labels)})
        result[group.name] = (("chain", "draw", rows), values)
    result = result.assign_coords(chain=posterior["chain"], draw=posterior["draw"])
    groups = {"posterior": result, "sample_stats": tree["sample_stats"].to_dataset()}
    if modes is not None:
        positions = tuple(map(tuple, points[: len(tops)].tolist()))
        modes = replace(modes, positions=positions)
    return xr.DataTree.from_dict(groups), modes
