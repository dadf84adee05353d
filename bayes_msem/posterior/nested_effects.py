"""Effects of clusters and of top units in three-level models, per posterior draw, and their table.

Given the parameters, effects c of a top unit and a of its clusters are normal. Both are drawn from
their joint posterior: c_k given all data of the unit, a_j given c_k and the rows of the cluster.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from bayes_msem.blueprint.blueprint import Blueprint
from bayes_msem.inference.threads import one_blas_thread
from bayes_msem.likelihood.nested_likelihood import NestedLikelihood
from bayes_msem.posterior.draws import sampled_parameters
from bayes_msem.posterior.enough import sd_of_draws
from bayes_msem.posterior.summary import INTERVAL_NAMES, IntervalKind, check_interval, interval
from bayes_msem.posterior.tables import EstimateTable

__all__ = ["nested_effects_table", "recover_nested", "unit_log_likelihood"]

FloatArray = NDArray[np.float64]

_MAX_VALUES = 2_000_000  # draws x units x effects that are held at a time


@one_blas_thread
def recover_nested(blueprint: Blueprint, posterior: xr.Dataset, *, random_seed: int) -> xr.Dataset:
    """Draw the effects of all clusters and top units.

    Parameters
    ----------
    blueprint
        A three-level model.
    posterior
        Posterior draws of its parameters.
    random_seed
        Seed of the exact conditional draws.

    Returns
    -------
    xarray.Dataset
        ``effects`` (chain, draw, cluster_id, effect) of clusters: random intercepts, named after
        their outcome, and slopes, with what the top unit adds; ``top_effects`` (chain, draw,
        top_id, top_effect) of top units, with their means.
    """
    nested, likelihood = blueprint.nested, blueprint.likelihood
    assert nested is not None
    assert isinstance(likelihood, NestedLikelihood)
    observed = blueprint.observed
    x = sampled_parameters(blueprint, posterior)
    points = blueprint.points(x)
    names, tops = nested.lower.effects.linear, nested.top_effects.linear
    n_uses = len(nested.lower.effects.use_effect)
    statistics = blueprint.statistics_by_cluster
    rng = np.random.default_rng(random_seed)
    a = np.empty((len(points), observed.n_clusters, len(names)))
    c = np.empty((len(points), observed.n_tops, len(tops)))
    step = max(1, _MAX_VALUES // max(1, observed.n_clusters * (n_uses + 1)))
    for first in range(0, len(points), step):
        at = slice(first, first + step)
        n = len(points[at])
        found = likelihood.recover(
            points[at],
            rng.standard_normal((n, observed.n_tops, len(tops))),
            rng.standard_normal((n, observed.n_clusters, n_uses)),
            statistics,
        )
        a[at], c[at] = found.a, found.c
    dims = ("chain", "draw")
    return xr.Dataset(
        {
            "effects": ((*dims, "cluster_id", "effect"), a.reshape(*x.shape[:2], *a.shape[1:])),
            "top_effects": ((*dims, "top_id", "top_effect"), c.reshape(*x.shape[:2], *c.shape[1:])),
        },
        coords={
            "chain": posterior["chain"],
            "draw": posterior["draw"],
            "cluster_id": [str(j) for j in observed.cluster_ids],
            "effect": list(names),
            "top_id": [str(k) for k in observed.top_ids],
            "top_effect": list(tops),
        },
    )


def nested_effects_table(
    blueprint: Blueprint, draws: xr.Dataset, *, ci: float, ci_kind: IntervalKind
) -> EstimateTable:
    """Summarise the draws of the effects of both levels.

    Parameters
    ----------
    blueprint
        A three-level model.
    draws
        From :func:`recover_nested`.
    ci, ci_kind
        Mass and kind of the interval.

    Returns
    -------
    EstimateTable
        One row per level, effect and unit: level, effect, cluster (identifier of the unit), size
        (rows of a cluster, clusters of a top unit), mean, sd, lower and upper.
    """
    check_interval(ci, ci_kind)
    observed, table = blueprint.observed, blueprint.table
    assert observed.parent is not None
    units = (
        (table.levels[1], "effects", "effect", observed.cluster_ids, observed.sizes),
        (
            table.levels[2],
            "top_effects",
            "top_effect",
            observed.top_ids,
            np.bincount(observed.parent),
        ),
    )
    parts = []
    for level, variable, axis, ids, sizes in units:
        for name in draws[axis].to_numpy():
            values = draws[variable].sel({axis: name}).to_numpy()
            lower, upper = interval(values, ci, ci_kind)
            columns = {
                "level": level,
                "effect": str(name),
                "cluster": ids,
                "size": sizes,
                "mean": values.mean(axis=(0, 1)),
                "sd": sd_of_draws(values, (0, 1)),
                "lower": lower,
                "upper": upper,
            }
            parts.append(pd.DataFrame(columns).astype({"cluster": object}))
    result = EstimateTable(pd.concat(parts, ignore_index=True))
    factors = [v for level in table.levels[1:] for v in table.variables(level, "between factor")]
    result.attrs["caption"] = (
        f"Effects of clusters and of units of level {table.levels[2]}: posterior mean, SD and "
        f"{100 * ci:g}% {INTERVAL_NAMES[ci_kind]}. Those of clusters are total coefficients: what "
        f"their '{table.levels[2]}' adds is part of them."
        + (f" Factors of these levels ({', '.join(factors)}) are left out." if factors else "")
    )
    result.attrs.update(ci=ci, ci_kind=ci_kind)
    return result


@one_blas_thread
def unit_log_likelihood(blueprint: Blueprint, posterior: xr.Dataset) -> xr.DataArray:
    """Log density of all data of every top unit at every draw, (chain, draw, top_id)."""
    likelihood = blueprint.likelihood
    assert isinstance(likelihood, NestedLikelihood)
    x = sampled_parameters(blueprint, posterior)
    terms = likelihood.unit_terms(blueprint.points(x), blueprint.statistics_by_cluster)
    return xr.DataArray(
        terms.reshape(*x.shape[:2], -1),
        dims=("chain", "draw", "top_id"),
        coords={
            "chain": posterior["chain"],
            "draw": posterior["draw"],
            "top_id": [str(k) for k in blueprint.observed.top_ids],
        },
    )
