"""The DataTree of a fit of several groups, and its draws group by group."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import xarray as xr

from bayes_msem.blueprint.blueprint import Blueprint
from bayes_msem.blueprint.grouped import label_in_words
from bayes_msem.blueprint.one_group import draws_of_group, joint_keys
from bayes_msem.data.group_column import Groups
from bayes_msem.data.observed_data import ObservedData
from bayes_msem.inference.coordinates import COORDINATES, dimensions
from bayes_msem.posterior.datatree import complete_tree, data_groups
from bayes_msem.posterior.draws import sampled_parameters
from bayes_msem.spec.group_tables import GroupTables

__all__ = ["group_tree", "tree_of_group"]


def group_tree(
    tree: xr.DataTree,
    blueprint: Blueprint,
    observed: ObservedData,
    tables: GroupTables,
    groups: Groups,
    record: Mapping[str, str | int],
) -> xr.DataTree:
    """Complete the draws of a model of several groups.

    Parameters
    ----------
    tree
        What the sampler returned.
    blueprint
        The joint model.
    observed
        The data of all groups together, with the names of the text.
    tables, groups
        The tables, and the groups of the rows.
    record
        Attributes.
    """
    complete = complete_tree(tree, blueprint, record)
    posterior = complete["posterior"].to_dataset()
    labels = {
        name: [label_in_words(str(label), tables) for label in values.to_numpy()]
        for name, values in posterior.coords.items()
        if str(name).endswith("_row") and name in posterior.dims
    }
    observed_data, constant_data = data_groups(observed)
    result = xr.DataTree.from_dict(
        {
            "posterior": posterior.assign_coords(labels),
            "sample_stats": complete["sample_stats"].to_dataset(),
            "observed_data": observed_data,
            "constant_data": constant_data,
        }
    )
    result.attrs = {**complete.attrs, "group": str(groups.column), "groups": list(groups.names)}
    return result


def tree_of_group(
    tree: xr.DataTree, joint: Blueprint, own: Blueprint, tables: GroupTables, number: int
) -> xr.DataTree:
    """Draws of one group by itself, from those of all groups.

    Parameters
    ----------
    tree
        Of all groups.
    joint, own
        The joint model, and that of the group alone.
    tables
        The tables of all groups.
    number
        Of the group.
    """
    posterior = tree["posterior"].to_dataset()
    x = sampled_parameters(joint, posterior)
    shape, flat = x.shape[:2], x.reshape(-1, x.shape[-1])
    theta = joint.theta(flat)
    found = draws_of_group(joint, own, theta, joint_keys(tables, number)).reshape(*shape, -1)
    dims, variables, coords, first = dimensions(own), {}, {}, 0
    for group in own.parameters.groups:
        part = found[..., first : first + len(group.free)]
        first += len(group.free)
        variables[group.name] = (("chain", "draw", *dims[group.name]), part)
        coords[dims[group.name][0]] = list(group.labels)
    if COORDINATES in posterior:
        ids = [str(c) for c in own.observed.cluster_ids]
        t = posterior[COORDINATES].transpose("chain", "draw", "cluster_id", "sampled_effect")
        start = sum(part.observed.n_clusters for part in joint.parts[:number])
        cut = t.to_numpy()[:, :, start : start + len(ids)]
        variables[COORDINATES] = (("chain", "draw", *dims[COORDINATES]), np.ascontiguousarray(cut))
        coords |= {"cluster_id": ids, "sampled_effect": t["sampled_effect"].to_numpy().tolist()}
    data = xr.Dataset(variables, coords=coords)
    data = data.assign_coords(chain=posterior["chain"], draw=posterior["draw"])
    stats = tree["sample_stats"].to_dataset()
    raw = xr.DataTree.from_dict({"posterior": data, "sample_stats": stats})
    return complete_tree(raw, own, {**tree.attrs, "modes": ""})
