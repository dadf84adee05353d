"""Factor scores: what the posterior says about the factors of every row or cluster.

Given a draw of the parameters and of its cluster's effects, the within-level factors of a row are
normal given its observed outcomes (posterior.within). With means m_s and variances r_s over
draws s,

    E[f | data] = mean(m_s) ,   Var[f | data] = mean(r_s) + var(m_s) ,

and one draw of each conditional distribution is a plausible value. The reliability of the scores of
a factor is the share of its variance that they carry, var(means) / (var(means) + mean(variances)).

Factors that outcomes depend on that are not normal are among the draws (posterior.sampled_scores):
m_s are these, and r_s is zero.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from bayes_msem.blueprint.blueprint import Blueprint
from bayes_msem.gaussian.normal import roots
from bayes_msem.posterior.frame_rows import Rows, by_row, repeated_labels, row_coordinates
from bayes_msem.posterior.sampled_scores import given_scores, normal_outcomes, sampled_scores
from bayes_msem.posterior.summary import INTERVAL_NAMES, IntervalKind, interval
from bayes_msem.posterior.tables import EstimateTable
from bayes_msem.posterior.within import WithinDraws, WithinModel, same_pattern

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Effects:
    """Draws of the effects of all clusters: linear (S, J, n_a) and sampled (S, J, n_b) ones."""

    linear: FloatArray
    sampled: FloatArray

    def of(self, cluster: int) -> tuple[FloatArray, FloatArray]:
        """Effects of one cluster."""
        return self.linear[:, cluster], self.sampled[:, cluster]


@dataclass(frozen=True, slots=True, eq=False)
class _Block:
    """Conditional means, covariances and draws of some rows."""

    rows: IntArray
    mean: FloatArray  # (S, n, k)
    variance: FloatArray  # (S, k)
    draws: FloatArray  # (S, n, k)


def known_effects(model: WithinModel, cluster_draws: xr.Dataset | None) -> Effects:
    """Effects of the clusters of the data; none in single-level models."""
    if cluster_draws is None or model.effects is None:
        empty = np.empty((model.n_draws, 1, 0))
        return Effects(empty, empty)

    def pick(names: tuple[str, ...]) -> FloatArray:
        chosen = cluster_draws["effects"].sel(effect=list(names))
        array = chosen.transpose("chain", "draw", "cluster_id", "effect").to_numpy()
        return array.reshape(model.n_draws, *array.shape[2:])

    return Effects(pick(model.effects.linear), pick(model.effects.sampled))


def within_scores(
    blueprint: Blueprint,
    posterior: xr.Dataset,
    cluster_draws: xr.Dataset | None,
    rows: Rows,
    *,
    ci: float,
    ci_kind: IntervalKind,
    random_seed: int,
) -> EstimateTable:
    """Summarise the within-level factors of every row.

    Parameters
    ----------
    blueprint, posterior
        The model and the draws of its parameters.
    cluster_draws
        Draws of the clusters' effects; None in single-level models.
    rows
        The rows.
    ci, ci_kind
        Mass and kind of the interval.
    random_seed
        Seed of the plausible values, of which the interval is made.

    Returns
    -------
    EstimateTable
        Columns factor, cluster (two-level models), mean, sd, lower and upper, where labels repeat
        also obs_id; index: labels of the rows. ``attrs["reliability"]``: factor -> reliability of
        its scores.
    """
    names = blueprint.table.variables("within", "within factor")
    shape = (len(rows.design), len(names))
    mean, sd, lower, upper = (np.empty(shape) for _ in range(4))
    size = posterior.sizes["chain"], posterior.sizes["draw"]
    for block in _blocks(blueprint, posterior, cluster_draws, rows, random_seed):
        at, variance = block.rows, block.variance.mean(axis=0)
        mean[at] = block.mean.mean(axis=0)
        sd[at] = np.sqrt(variance + block.mean.var(axis=0))
        flat = block.draws.reshape(*size, -1)
        bounds = interval(flat, ci, ci_kind)
        lower[at], upper[at] = (bound.reshape(len(at), -1) for bound in bounds)
    frame = by_row(rows, "factor", names, mean=mean, sd=sd, lower=lower, upper=upper)
    table = _table(frame, "row", ci, ci_kind)
    table.attrs["caption"] += repeated_labels(rows)
    return table


def within_score_draws(
    blueprint: Blueprint,
    posterior: xr.Dataset,
    cluster_draws: xr.Dataset | None,
    rows: Rows,
    *,
    random_seed: int,
) -> xr.DataArray:
    """Plausible values (chain, draw, obs_id, factor); arguments as in :func:`within_scores`."""
    names = blueprint.table.variables("within", "within factor")
    size = posterior.sizes["chain"], posterior.sizes["draw"]
    draws = np.empty((size[0] * size[1], len(rows.design), len(names)))
    for block in _blocks(blueprint, posterior, cluster_draws, rows, random_seed):
        draws[:, block.rows] = block.draws
    return xr.DataArray(
        draws.reshape(*size, *draws.shape[1:]),
        dims=("chain", "draw", "obs_id", "factor"),
        coords={
            "chain": posterior["chain"],
            "draw": posterior["draw"],
            **row_coordinates(rows),
            "factor": list(names),
        },
        name="scores",
    )


def between_scores(
    cluster_draws: xr.Dataset,
    cluster_ids: pd.Index,
    *,
    ci: float,
    ci_kind: IntervalKind,
) -> EstimateTable:
    """Summarise the level-2 factors: factor, cluster, mean, sd, lower and upper."""
    parts = []
    for name in cluster_draws["between_factor"].to_numpy():
        values = cluster_draws["factors"].sel(between_factor=name)
        array = values.transpose("chain", "draw", "cluster_id").to_numpy()
        lower, upper = interval(array, ci, ci_kind)
        columns = {
            "factor": str(name),
            "cluster": cluster_ids,
            "mean": array.mean(axis=(0, 1)),
            "sd": array.std(axis=(0, 1)),
            "lower": lower,
            "upper": upper,
        }
        parts.append(pd.DataFrame(columns))
    return _table(pd.concat(parts, ignore_index=True), "cluster", ci, ci_kind)


def _blocks(
    blueprint: Blueprint,
    posterior: xr.Dataset,
    cluster_draws: xr.Dataset | None,
    rows: Rows,
    random_seed: int,
) -> Iterator[_Block]:
    model = WithinModel(blueprint, posterior)
    effects = known_effects(model, cluster_draws)
    names = blueprint.table.variables("within", "within factor")
    wanted = np.array([model.level.names.index(name) for name in names])
    rng = np.random.default_rng(random_seed)
    per_row = model.n_draws * len(model.level.names)
    sampled = None
    if blueprint.template.responses is not None:
        sampled = sampled_scores(blueprint, posterior)
    for _, within, at in model.blocks(effects.of, rows.cluster, len(rows.design), per_row):
        if sampled is not None:
            for same in same_pattern(normal_outcomes(blueprint, rows.y), at):
                parts = (rows.y[same], sampled[:, same], rows.design[same])
                yield _drawn(same, *given_scores(blueprint, within, names, *parts), rng)
            continue
        for same in same_pattern(rows.y, at):
            yield _block(within, wanted, rows, same, rng)


def _block(
    within: WithinDraws, wanted: IntArray, rows: Rows, at: IntArray, rng: np.random.Generator
) -> _Block:
    return _drawn(at, *within.given_outcomes(wanted, rows.y[at], rows.design[at]), rng)


def _drawn(at: IntArray, mean: FloatArray, rest: FloatArray, rng: np.random.Generator) -> _Block:
    noise = np.einsum("skl,snl->snk", roots(rest), rng.standard_normal(mean.shape))
    return _Block(at, mean, np.einsum("skk->sk", rest), mean + noise)


def _table(frame: pd.DataFrame, unit: str, ci: float, ci_kind: IntervalKind) -> EstimateTable:
    result = EstimateTable(frame)
    reliability = {}
    for name, part in frame.groupby("factor", sort=False):
        spread = float(part["mean"].var(ddof=0))
        total = spread + float((part["sd"] ** 2).mean())
        reliability[str(name)] = spread / total if total > 0 else float("nan")
    told = ", ".join(f"{name} {value:.2f}" for name, value in reliability.items())
    result.attrs["caption"] = (
        f"Factor scores per {unit}: posterior mean, SD and {100 * ci:g}% "
        f"{INTERVAL_NAMES[ci_kind]}. Reliability of the scores: {told}."
    )
    result.attrs.update(ci=ci, ci_kind=ci_kind, reliability=reliability)
    return result
