"""Predictions of outcomes, for clusters of the data and for new ones.

Given a posterior draw and a cluster's effects (a, b), the outcomes of a row have the mean that
posterior.within gives, and the covariance matrix Sigma_j. Effects of known clusters are those of
``fit.cluster_draws``; a new cluster draws its own from the level-2 model given its covariates,

    u = (a, z, b) ~ N(C_b (1, w), Omega) .

Cluster-level outcomes are predicted given (a, b) and w (posterior.cluster_outcomes). Predictions
condition on covariates and clusters alone: outcomes measured in new rows, also those that predict
other outcomes, are not used. Outcomes that are not normal: posterior.predicted_responses.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from bayes_msem.blueprint.blueprint import Blueprint
from bayes_msem.errors import SpecificationError, nearest
from bayes_msem.gaussian.normal import roots
from bayes_msem.posterior.cluster_outcomes import ClusterOutcomes
from bayes_msem.posterior.enough import sd_of_draws
from bayes_msem.posterior.frame_rows import (
    Clusters,
    Rows,
    by_row,
    repeated_labels,
    row_coordinates,
)
from bayes_msem.posterior.predicted_responses import (
    category_probabilities,
    expected,
    one_of_each,
    responses_of,
)
from bayes_msem.posterior.scores import Effects, known_effects
from bayes_msem.posterior.summary import INTERVAL_NAMES, IntervalKind, interval
from bayes_msem.posterior.tables import EstimateTable
from bayes_msem.posterior.within import WithinModel

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
PredictionKind = Literal["mean", "outcome", "probability"]

_WHAT = {
    "mean": "Expected outcomes",
    "outcome": "Predicted outcomes",
    "probability": "Probabilities of categories",
}
_CODES = " Ordered outcomes count as codes 0, 1, ... of their categories."


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be predicted: kind, kind of clusters, and the seed of all random numbers."""

    kind: PredictionKind
    clusters: Clusters
    random_seed: int


def check_kind(kind: str) -> None:
    """Raise if the kind of prediction asked for does not exist."""
    if kind not in get_args(PredictionKind):
        raise SpecificationError(
            f"kind='{kind}' is unknown; use {', '.join(map(repr, get_args(PredictionKind)))}"
            f"{nearest(str(kind), get_args(PredictionKind))}"
        )


def prediction_table(
    blueprint: Blueprint,
    posterior: xr.Dataset,
    cluster_draws: xr.Dataset | None,
    rows: Rows,
    request: Request,
    *,
    ci: float,
    ci_kind: IntervalKind,
) -> EstimateTable:
    """Summarise predictions of every outcome of every row.

    Parameters
    ----------
    blueprint, posterior
        The model and the draws of its parameters.
    cluster_draws
        Draws of the effects of known clusters; None for new clusters and single-level models.
    rows
        The rows.
    request
        What is to be predicted.
    ci, ci_kind
        Mass and kind of the interval.

    Returns
    -------
    EstimateTable
        Columns outcome, cluster (two-level models), mean, sd, lower and upper, where labels repeat
        also obs_id; index: labels of the rows.
    """
    labels = predicted(blueprint, request.kind)
    shape = (len(rows.design), len(labels))
    mean, sd, lower, upper = (np.empty(shape) for _ in range(4))
    size = posterior.sizes["chain"], posterior.sizes["draw"]
    for at, draws in _blocks(blueprint, posterior, cluster_draws, rows, request):
        mean[at], sd[at] = draws.mean(axis=0), sd_of_draws(draws, 0)
        bounds = interval(draws.reshape(*size, -1), ci, ci_kind)
        lower[at], upper[at] = (bound.reshape(len(at), -1) for bound in bounds)
    names = [name for name, _ in labels]
    frame = by_row(rows, "outcome", names, mean=mean, sd=sd, lower=lower, upper=upper)
    if request.kind == "probability":
        categories = [label for _, label in labels for _ in range(shape[0])]
        frame.insert(1, "category", pd.Series(categories, index=frame.index, dtype=object))
    result = EstimateTable(frame)
    where = "" if rows.cluster is None else f" in {request.clusters} clusters"
    result.attrs["caption"] = (
        f"{_WHAT[request.kind]}{where}: posterior mean, SD and {100 * ci:g}% "
        f"{INTERVAL_NAMES[ci_kind]}."
    )
    if blueprint.observed.categories and request.kind != "probability":
        result.attrs["caption"] += _CODES
    result.attrs["caption"] += repeated_labels(rows)
    result.attrs.update(ci=ci, ci_kind=ci_kind)
    return result


def predicted(blueprint: Blueprint, kind: PredictionKind) -> list[tuple[str, Any]]:
    """Outcomes, or outcomes and their categories, in the order of the predictions.

    Raises
    ------
    SpecificationError
        Probabilities in a model without ordered outcomes.
    """
    observed = blueprint.observed
    if kind != "probability":
        return [(name, None) for name in blueprint.template.outcomes]
    found = [
        (name, label)
        for name in (*observed.y_names, *observed.z_names)
        if name in observed.categories
        for label in observed.categories[name]
    ]
    if not found:
        raise SpecificationError(
            "kind='probability' is for ordered outcomes, and this model has none; use kind='mean' "
            "or 'outcome'"
        )
    return found


def prediction_draws(
    blueprint: Blueprint,
    posterior: xr.Dataset,
    cluster_draws: xr.Dataset | None,
    rows: Rows,
    request: Request,
) -> xr.DataArray:
    """Draws (chain, draw, obs_id, outcome); arguments as in :func:`prediction_table`.

    Probabilities: (chain, draw, obs_id, category), with the coordinate ``outcome`` beside it.
    """
    labels = predicted(blueprint, request.kind)
    size = posterior.sizes["chain"], posterior.sizes["draw"]
    result = np.empty((size[0] * size[1], len(rows.design), len(labels)))
    for at, draws in _blocks(blueprint, posterior, cluster_draws, rows, request):
        result[:, at] = draws
    last = "category" if request.kind == "probability" else "outcome"
    return xr.DataArray(
        result.reshape(*size, *result.shape[1:]),
        dims=("chain", "draw", "obs_id", last),
        coords={
            "chain": posterior["chain"],
            "draw": posterior["draw"],
            **row_coordinates(rows),
            "outcome": (last, [name for name, _ in labels]),
            last: [name if label is None else str(label) for name, label in labels],
        },
        name="prediction",
    )


def _blocks(
    blueprint: Blueprint,
    posterior: xr.Dataset,
    cluster_draws: xr.Dataset | None,
    rows: Rows,
    request: Request,
) -> Iterator[tuple[IntArray, FloatArray]]:
    """Draws (S, n, P) of some rows at a time."""
    model = WithinModel(blueprint, posterior)
    rng = np.random.default_rng(request.random_seed)
    if rows.cluster is not None and request.clusters == "new":
        effects = _new_effects(model, rows.cluster_design, rng)
    else:
        effects = known_effects(model, cluster_draws)
    clusters = ClusterOutcomes(model, effects, rows)
    if request.kind == "probability":
        z = clusters.probabilities()
    else:
        z = clusters.drawn(rng) if request.kind == "outcome" else clusters.expected()
    responses = responses_of(blueprint, posterior)
    per_row = model.n_draws * (len(model.level.names) + len(predicted(blueprint, request.kind)))
    for cluster, within, at in model.blocks(effects.of, rows.cluster, len(rows.design), per_row):
        given = rows.design[at], rows.offset[at]
        if request.kind == "probability":
            ordered = [r for r in responses.values() if r.thresholds is not None]
            shares = [category_probabilities(within, r, *given) for r in ordered]
            y = np.concatenate([np.empty((model.n_draws, len(at), 0)), *shares], axis=-1)
        elif request.kind == "outcome":
            y = one_of_each(within, responses, *given, rng)
        else:
            y = expected(within, responses, *given)
        repeated = np.broadcast_to(z[:, None, cluster], (*y.shape[:2], z.shape[-1]))
        yield at, np.concatenate([y, repeated], axis=-1)


def _new_effects(model: WithinModel, design: FloatArray, rng: np.random.Generator) -> Effects:
    """Effects of clusters of which only the covariates are known."""
    mean = np.einsum("jd,sdu->sju", design, model.c_b)
    u = mean + np.einsum("suv,sjv->sju", roots(model.omega), rng.standard_normal(mean.shape))
    n_a, n_b = len(model.effects.linear), len(model.effects.sampled)
    return Effects(u[..., :n_a], u[..., u.shape[-1] - n_b :])
