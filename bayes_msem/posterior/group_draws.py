"""The DataTree of a fit of several groups, and its draws group by group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from bayes_msem.blueprint.blueprint import Blueprint
from bayes_msem.blueprint.group_values import draws_of_group, joint_keys
from bayes_msem.blueprint.grouped_blueprint import label_in_words
from bayes_msem.data.group_column import Groups
from bayes_msem.data.observed_data import ObservedData
from bayes_msem.inference.coordinates import COORDINATES, dimensions
from bayes_msem.posterior.datatree import complete_tree, data_groups
from bayes_msem.posterior.draws import row_draws, sampled_parameters
from bayes_msem.posterior.tables import EstimateTable
from bayes_msem.spec.group_tables import GroupTables
from bayes_msem.spec.row_names import ByRow

__all__ = ["group_tree", "in_order_of", "public_draws", "tree_of_group", "with_group_column"]

UNIT_DIMENSION = {"cluster": "cluster_id", "observation": "obs_id"}


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
    attributes = {str(key): value for key, value in complete.attrs.items()}
    result.attrs = {**attributes, "group": str(groups.column), "groups": list(groups.names)}
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
    return complete_tree(raw, own, {**{str(k): v for k, v in tree.attrs.items()}, "modes": ""})


def public_draws(
    joint: Blueprint, posterior: xr.Dataset, tables: GroupTables
) -> ByRow[NDArray[np.float64]]:
    """Draws of every row as users see them, row -> (chain, draw)."""
    found = row_draws(joint, posterior)
    pairs = zip(tables.joint.rows, tables.public, strict=True)
    return ByRow(tables.public, {p.key: found[j.key] for j, p in pairs})


def with_group_column(tables: Mapping[str, pd.DataFrame]) -> EstimateTable:
    """Tables of groups below each other, with a first column ``group``."""
    parts = []
    for name, table in tables.items():
        plain = pd.DataFrame(table)
        if any(n is not None for n in plain.index.names):
            plain = plain.reset_index()
        plain.insert(0, "group", name)
        parts.append(plain)
    first = next(iter(tables.values()))
    result = EstimateTable(pd.concat(parts, ignore_index=True))
    result.attrs = dict(first.attrs)
    return result


def in_order_of(
    observed: ObservedData,
    positions: Sequence[NDArray[np.int64]],
    parts: Sequence[xr.DataArray],
    unit: str,
) -> xr.DataArray:
    """Join log-likelihoods of groups in the order of the data of all groups.

    Parameters
    ----------
    observed
        The data of all groups.
    positions
        Positions of the rows of every group.
    parts
        Log-likelihoods (chain, draw, unit) of the groups.
    unit
        "cluster" or "observation".
    """
    dimension = UNIT_DIMENSION[unit]
    moved = []
    for own, part in zip(positions, parts, strict=True):
        if unit == "observation":
            part = part.assign_coords({dimension: own[part[dimension].to_numpy()]})
        moved.append(part)
    joined = xr.concat(moved, dim=dimension, join="exact", combine_attrs="drop")
    if unit == "cluster":
        order = [str(c) for c in observed.cluster_ids]
        there = set(joined[dimension].to_numpy().tolist())
        joined = joined.sel({dimension: [c for c in order if c in there]})
    else:
        joined = joined.sortby(dimension)
    joined.attrs = dict(parts[0].attrs)
    joined.attrs["left_out"] = sum(int(part.attrs.get("left_out", 0)) for part in parts)
    errors = [float(part.attrs.get("largest_integration_error", 0.0)) for part in parts]
    if "largest_integration_error" in parts[0].attrs:
        joined.attrs["largest_integration_error"] = max(errors)
    joined.name = parts[0].name
    return joined
