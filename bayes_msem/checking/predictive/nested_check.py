"""Posterior predictive p-values of three-level models: means, and variances at each level.

For every draw, new top units with new clusters and rows are simulated for the design of the data,
with the data's missing values. Compared are, for every outcome, its mean, and its variance at each
level at which it may vary (data.nested_anova), and the shares of these at levels 2 and 3.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from bayes_msem.blueprint.blueprint import Blueprint
from bayes_msem.data.nested_anova import nested_components
from bayes_msem.data.observed_data import ObservedData
from bayes_msem.inference.threads import one_blas_thread
from bayes_msem.posterior.draws import sampled_parameters
from bayes_msem.posterior.tables import EstimateTable
from bayes_msem.simulation.simulate import simulate_data

__all__ = ["nested_p_values"]

FloatArray = NDArray[np.float64]
Key = tuple[str, str, str]  # level, statistic, variable

_ALPHA = 0.05


@one_blas_thread
def nested_p_values(
    blueprint: Blueprint, posterior: xr.Dataset, *, draws: int, random_seed: int
) -> EstimateTable:
    """Compare the data of a three-level model with replicates.

    Parameters
    ----------
    blueprint, posterior
        The model and its draws.
    draws
        Number of replicates, evenly spaced over all draws.
    random_seed
        Seed of the replicates.

    Returns
    -------
    EstimateTable
        Columns level, statistic, variable, observed, replicated (mean), lower and upper (central
        95% of the replicates), ppp and flag.
    """
    observed = blueprint.observed
    x = sampled_parameters(blueprint, posterior)
    points = blueprint.points(x)
    chosen = np.linspace(0, len(points) - 1, draws).round().astype(int)
    rng = np.random.default_rng(random_seed)
    seen = statistics_of(observed, observed.y, observed.z, observed.z3)
    found = np.empty((draws, len(seen)))
    for s, i in enumerate(chosen):
        drawn = simulate_data(blueprint, points[i], observed, rng)
        assert drawn.z3 is not None
        kept = statistics_of(observed, drawn.y, drawn.z, drawn.z3)
        found[s] = list(kept.values())
    values = np.array(list(seen.values()))
    larger = (found > values) + 0.5 * (found == values)
    ppp = larger.mean(axis=0)
    frame = EstimateTable(pd.DataFrame(list(seen), columns=["level", "statistic", "variable"]))
    frame["observed"], frame["replicated"] = values, found.mean(axis=0)
    frame["lower"], frame["upper"] = np.quantile(found, [0.025, 0.975], axis=0)
    frame["ppp"] = ppp
    frame["flag"] = np.where(2 * np.minimum(ppp, 1 - ppp) < _ALPHA, "*", "")
    frame.attrs["caption"] = (
        f"Posterior predictive p-values: share of {draws} replicates of the data (new units of "
        "all levels, the same values missing) whose statistic is larger than that of the data; "
        f"around .5 is unremarkable. Marked *: below {_ALPHA / 2:g} or above {1 - _ALPHA / 2:g}. "
        "Variances are estimates from sums of squares and may be negative; icc: share of a level."
    )
    return frame


def statistics_of(
    observed: ObservedData, y: FloatArray, z: FloatArray, z3: FloatArray
) -> dict[Key, float]:
    """Return the statistics of outcomes; values are read only where the data have some."""
    assert observed.parent is not None
    assert observed.cluster is not None
    levels = ("within", str(observed.cluster_name), str(observed.top_name))
    found: dict[Key, float] = {}
    blocks = (
        (observed.y_names, y, observed.y, observed.cluster),
        (observed.z_names, z, observed.z, np.arange(observed.n_clusters)),
    )
    for names, values, data, unit in blocks:
        for i, name in enumerate(names):
            column = np.where(np.isnan(data[:, i]), np.nan, values[:, i])
            found["", "mean", name] = float(np.nanmean(column))
            if values is y:
                parts = nested_components(column, unit, observed.parent)
                at = [0] + [1] * (name in observed.split_names)
                at += [2] * (name in observed.top_split_names)
            else:  # clusters are what rows were, top units what clusters were
                whole_sample = np.zeros(observed.n_tops, np.int64)
                inner, outer, _ = nested_components(column, observed.parent, whole_sample)
                parts = (np.nan, inner, outer)
                at = [1] + [2] * (name in observed.top_split_names)
            for k in at:
                found[levels[k], "variance", name] = parts[k]
            whole = sum(parts[k] for k in at)
            for k in at[1:]:
                found[levels[k], "icc", name] = parts[k] / whole
    for i, name in enumerate(observed.z3_names):
        column = np.where(np.isnan(observed.z3[:, i]), np.nan, z3[:, i])
        found["", "mean", name] = float(np.nanmean(column))
        found[levels[2], "variance", name] = float(np.nanvar(column, ddof=1))
    order = {"": 0} | {level: i for i, level in enumerate(levels, 1)}
    return dict(sorted(found.items(), key=lambda item: order[item[0][0]]))
