"""Model-implied covariance and correlation matrices of the outcomes, per posterior draw."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayes_msem.blueprint.blueprint import Blueprint
from bayes_msem.errors import SpecificationError, nearest
from bayes_msem.inference.coordinates import COORDINATES
from bayes_msem.posterior.draws import sampled_parameters
from bayes_msem.structure.matrices import level_matrices
from bayes_msem.structure.scaled_residuals import mean_residual_variances

FloatArray = NDArray[np.float64]


def implied_covariances(
    blueprint: Blueprint,
    posterior: xr.Dataset,
    level: str,
    *,
    cluster: Any = None,
    correlation: bool,
) -> xr.DataArray:
    """Implied covariance matrices of the outcomes of one level.

    Parameters
    ----------
    blueprint
        The model.
    posterior
        Posterior draws.
    level
        Name of a level.
    cluster
        Identifier of a cluster: its own within-level matrix. None: the matrix that all clusters
        share or, if it varies, that of the typical cluster (sampled effects at their intercepts).
    correlation
        Standardise to correlations.

    Returns
    -------
    xarray.DataArray
        Dimensions chain, draw, outcome, outcome_2.
    """
    x = sampled_parameters(blueprint, posterior)
    flat = x.reshape(-1, x.shape[-1])
    present = _present(blueprint, level)
    cluster_position(blueprint, cluster)
    points = blueprint.points(flat)
    if blueprint.nested is not None:
        matrices = _of_three(blueprint, blueprint.theta(flat), level, present)
    elif level == "within":
        matrices = _within(blueprint, posterior, points, cluster)
    else:
        matrices = _between(blueprint, points, present)
    if correlation:
        sd = np.sqrt(np.einsum("nii->ni", matrices))
        with np.errstate(invalid="ignore", divide="ignore"):
            matrices = matrices / (sd[:, :, None] * sd[:, None, :])
    return xr.DataArray(
        matrices.reshape(*x.shape[:2], len(present), len(present)),
        dims=("chain", "draw", "outcome", "outcome_2"),
        coords={"outcome": list(present), "outcome_2": list(present)},
        name=f"{level}_{'correlation' if correlation else 'covariance'}",
    )


def _present(blueprint: Blueprint, level: str) -> tuple[str, ...]:
    observed = blueprint.observed
    if level == "within":
        return observed.y_names
    if level == observed.top_name:
        return (*observed.top_split_names, *observed.z3_names)
    return (*observed.split_names, *observed.z_names)


def _of_three(
    blueprint: Blueprint, theta: FloatArray, level: str, present: tuple[str, ...]
) -> FloatArray:
    """Covariance matrices of a level of a three-level model, without what levels above add."""
    nested, constants = blueprint.nested, blueprint.template.constants
    assert nested is not None
    found = next(lev for lev in (*nested.lower.levels, nested.top) if lev.level == level)
    fixed = np.broadcast_to(constants, (len(theta), len(constants)))
    index = [found.names.index(name) for name in present]
    matrices = level_matrices(found, np.concatenate([theta, fixed], axis=1)).covariance
    selected: FloatArray = matrices[:, index][:, :, index]
    return selected


def cluster_position(blueprint: Blueprint, cluster: Any) -> int:
    """Position of the cluster with this identifier; 0 for None."""
    if cluster is None:
        return 0
    # by hash: `==` would compare a tuple with the identifiers element by element
    position = {name: i for i, name in enumerate(blueprint.observed.cluster_ids)}
    if cluster not in position:
        known = [str(name) for name in position]
        raise SpecificationError(
            f"there is no cluster {cluster!r} in the data{nearest(str(cluster), known)} "
            f"(first ones: {', '.join(known[:5])})"
        )
    return position[cluster]


def _within(
    blueprint: Blueprint, posterior: xr.Dataset, points: FloatArray, cluster: Any
) -> FloatArray:
    likelihood, position = blueprint.likelihood, cluster_position(blueprint, cluster)
    first = blueprint.template.first_sampled
    coordinates = None
    if blueprint.n_sampled and cluster is not None:
        values = posterior[COORDINATES].transpose("chain", "draw", "cluster_id", "sampled_effect")
        coordinates = values.to_numpy().reshape(len(points), *likelihood.shape)
    matrices, effects_at = [], []
    for i, point in enumerate(points):
        if coordinates is None:
            b = np.ascontiguousarray(likelihood.level_two(point).coefficients[:1, first:])
        else:
            effects = likelihood.effects(point, np.ascontiguousarray(coordinates[i]))
            b = np.ascontiguousarray(effects[position : position + 1])
        matrices.append(likelihood.within(point, b).Sigma[0].copy())
        effects_at.append(b[0])
    result = np.stack(matrices)
    rows = blueprint.template.responses
    if rows is not None and rows.scaled:
        own = np.stack(effects_at)
        at_effects = likelihood.values(points, own if blueprint.n_sampled else None)
        observed, chosen = blueprint.observed, blueprint.observed.informative
        if cluster is not None:
            chosen = chosen & (observed.cluster == position)
        design = np.column_stack([np.ones(int(chosen.sum())), observed.x[chosen]])
        of_cluster = own if blueprint.n_sampled else None
        found = mean_residual_variances(blueprint.template, at_effects, of_cluster, design)
        at = [observed.y_names.index(name) for name in rows.scaled]
        result[:, at, at] += found
    return result


def _between(blueprint: Blueprint, points: FloatArray, present: tuple[str, ...]) -> FloatArray:
    level = blueprint.template.between
    index = [level.names.index(name) for name in present]
    values = blueprint.likelihood.values(points)
    selected: FloatArray = level_matrices(level, values).covariance[:, index][:, :, index]
    return selected
