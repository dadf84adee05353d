"""Shares of the categories of an ordered outcome in every cluster: expected and observed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayes_msem.blueprint.blueprint import Blueprint
from bayes_msem.posterior.frame_rows import Rows
from bayes_msem.posterior.predicted_responses import category_probabilities, labels_of, responses_of
from bayes_msem.posterior.scores import known_effects
from bayes_msem.posterior.summary import IntervalKind, check_interval, interval
from bayes_msem.posterior.within import WithinModel

__all__ = ["CategoryShares", "category_shares"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class CategoryShares:
    """Shares of K categories in J clusters; a single-level model is one cluster.

    Attributes
    ----------
    labels
        Labels of the categories.
    clusters
        Identifiers of the clusters as text.
    observed
        Shares of the observed values, (J, K).
    mean, lower, upper
        Posterior of the expected shares given covariates and effects of the cluster, (J, K).

    Clusters without observed values have NaN.
    """

    labels: tuple[Any, ...]
    clusters: tuple[str, ...]
    observed: FloatArray
    mean: FloatArray
    lower: FloatArray
    upper: FloatArray


def category_shares(
    blueprint: Blueprint,
    posterior: xr.Dataset,
    cluster_draws: xr.Dataset | None,
    rows: Rows,
    outcome: str,
    *,
    ci: float,
    ci_kind: IntervalKind,
) -> CategoryShares:
    """Compute the shares of the categories of an outcome in the clusters of the data.

    Parameters
    ----------
    blueprint, posterior
        The model and the draws of its parameters.
    cluster_draws
        Draws of the effects of the clusters; None in single-level models.
    rows
        The rows of the data.
    outcome
        An ordered outcome of level within.
    ci, ci_kind
        Mass and kind of the interval.

    Raises
    ------
    SpecificationError
        ``outcome`` is no such outcome.
    """
    check_interval(ci, ci_kind)
    observed = blueprint.observed
    labels = labels_of(observed, outcome)
    response = responses_of(blueprint, posterior)[outcome]
    y = observed.y[:, response.position]
    n, model = max(observed.n_clusters, 1), WithinModel(blueprint, posterior)
    effects = known_effects(model, cluster_draws)
    sums, counts = np.zeros((model.n_draws, n, len(labels))), np.zeros((n, len(labels)))
    per_row = model.n_draws * (len(model.level.names) + len(labels))
    for j, within, block in model.blocks(effects.of, rows.cluster, len(rows.design), per_row):
        at = block[~np.isnan(y[block])]  # as far as there is something to compare with
        shares = category_probabilities(within, response, rows.design[at], rows.offset[at])
        sums[:, j] += shares.sum(axis=1)
        counts[j] += np.bincount(y[at].astype(np.int64), minlength=len(labels))
    size, filled = counts.sum(axis=1, keepdims=True), counts.any(axis=1)
    seen, mean, lower, upper = (np.full(counts.shape, np.nan) for _ in range(4))
    seen[filled], draws = counts[filled] / size[filled], sums[:, filled] / size[filled]
    by_chain = draws.reshape(posterior.sizes["chain"], posterior.sizes["draw"], -1)
    limits = interval(by_chain, ci, ci_kind)
    mean[filled] = draws.mean(axis=0)
    lower[filled], upper[filled] = (limit.reshape(draws.shape[1:]) for limit in limits)
    names = tuple(map(str, observed.cluster_ids)) if observed.two_level else ("all rows",)
    return CategoryShares(labels, names, seen, mean, lower, upper)
