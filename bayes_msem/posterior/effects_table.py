"""The table of cluster effects."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from bayes_msem.posterior.enough import sd_of_draws
from bayes_msem.posterior.summary import INTERVAL_NAMES, IntervalKind, check_interval, interval
from bayes_msem.posterior.tables import EstimateTable

FloatArray = NDArray[np.float64]


def effects_table(
    parts: Iterable[xr.Dataset],
    cluster_ids: pd.Index,
    sizes: NDArray[np.int64],
    *,
    ci: float,
    ci_kind: IntervalKind,
) -> EstimateTable:
    """Summarise the draws of all cluster effects.

    Parameters
    ----------
    parts
        Draws of all clusters, or of some clusters at a time
        (:mod:`bayes_msem.posterior.recover`).
    cluster_ids, sizes
        Identifiers and sizes of the clusters, in the order of the parts.
    ci, ci_kind
        Mass and kind of the interval.

    Returns
    -------
    EstimateTable
        One row per effect and cluster: effect, cluster, size, mean, sd, lower, upper and
        shrinkage. Shrinkage is 1 - Var(e_j | data) / Var(e_j) of the deviation e_j from what the
        predictors say: 1 if the cluster's own data determine its effect, 0 if it is pooled
        completely; NaN for definitions.
    """
    check_interval(ci, ci_kind)
    tables: dict[str, list[pd.DataFrame]] = {}
    start = 0
    for draws in parts:
        stop = start + draws.sizes["cluster_id"]
        of_part = cluster_ids[start:stop], sizes[start:stop]
        for table in _tables(draws, *of_part, ci, ci_kind):
            tables.setdefault(table["effect"].iloc[0], []).append(table)
        start = stop
    assert start == len(sizes), "the parts have all clusters"
    every = [table for of_effect in tables.values() for table in of_effect]
    result = EstimateTable(pd.concat(every, ignore_index=True))
    result.attrs["caption"] = (
        f"Cluster effects (total coefficients): posterior mean, SD and {100 * ci:g}% "
        f"{INTERVAL_NAMES[ci_kind]}. Shrinkage: 1 = own data only, 0 = pooled completely."
    )
    result.attrs.update(ci=ci, ci_kind=ci_kind)
    return result


def _tables(
    draws: xr.Dataset,
    cluster_ids: pd.Index,
    sizes: NDArray[np.int64],
    ci: float,
    ci_kind: IntervalKind,
) -> list[pd.DataFrame]:
    """One table per effect of these clusters."""
    prior = draws["prior_variance"].mean(("chain", "draw"))
    tables = []
    factors = draws["between_factor"].to_numpy() if "factors" in draws else ()
    for name in (v for v in draws["effects"].coords["effect"].to_numpy() if v not in factors):
        values = draws["effects"].sel(effect=name).transpose("chain", "draw", "cluster_id")
        tables.append(_summary(str(name), values.to_numpy(), cluster_ids, sizes, ci, ci_kind))
        if name in prior["integrated_or_sampled"]:
            spread = float(prior.sel(integrated_or_sampled=name))
            variance = draws["deviation_variance"].sel(integrated_or_sampled=name)
            tables[-1]["shrinkage"] = _shrinkage(variance.to_numpy(), spread)
    for name in factors:
        values = draws["factors"].sel(between_factor=name)
        array = values.transpose("chain", "draw", "cluster_id").to_numpy()
        tables.append(_summary(str(name), array, cluster_ids, sizes, ci, ci_kind))
    return tables


def _summary(
    name: str,
    values: FloatArray,
    cluster_ids: pd.Index,
    sizes: NDArray[np.int64],
    ci: float,
    ci_kind: IntervalKind,
) -> pd.DataFrame:
    lower, upper = interval(values, ci, ci_kind)
    return pd.DataFrame(
        {
            "effect": name,
            "cluster": cluster_ids,
            "size": sizes,
            "mean": values.mean(axis=(0, 1)),
            "sd": sd_of_draws(values, (0, 1)),
            "lower": lower,
            "upper": upper,
            "shrinkage": np.nan,
        }
    )


def _shrinkage(variance: FloatArray, prior_variance: float) -> FloatArray:
    if prior_variance <= 0:
        return np.zeros_like(variance)
    # uncertainty of the parameters may lift the posterior variance above the prior one
    return np.clip(1.0 - variance / prior_variance, 0.0, 1.0)
