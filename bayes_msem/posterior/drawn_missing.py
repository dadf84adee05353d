r"""Missing outcomes of models with outcomes that are not normal, given effects and scores.

Given a draw of the parameters, effects b_j, sampled scores s_i and what is observed of the normal
outcomes v_i, the latent responses of a row and the rest of v_i are normal
(posterior.sampled_scores):

    (y*_i, v_i,mis) | s_i, v_i,obs, b_j ~ N(m_i, R) .

The scores are what y* depends on, so other responses say no more of v_i than the draws of scores
do. A probit is the category in which a draw of y* falls, which keeps what residuals have in common.
Other families draw the outcome given its linear predictor, y* without its residual: m_i itself,
unless a missing normal outcome is in it.
"""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayes_msem.blueprint.blueprint import Blueprint
from bayes_msem.gaussian.normal import roots
from bayes_msem.posterior.frame_rows import data_rows
from bayes_msem.posterior.predicted_responses import Response, responses_of
from bayes_msem.posterior.recover import coordinates_of_effects
from bayes_msem.posterior.sampled_scores import given_scores, normal_outcomes, sampled_scores
from bayes_msem.posterior.scores import Effects
from bayes_msem.posterior.within import WithinModel, same_pattern
from bayes_msem.simulation.drawn_responses import categories_of, predictor_covariance

__all__ = ["missing_responses"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


def missing_responses(
    blueprint: Blueprint, posterior: xr.Dataset, chosen: IntArray, rng: np.random.Generator
) -> FloatArray:
    """Fill in missing outcomes of level within.

    Parameters
    ----------
    blueprint
        A model with outcomes that are not normal.
    posterior
        Its posterior draws, coordinates of effects and scores included.
    chosen
        Positions of the draws to use, (D,), chain by chain.
    rng
        Source of randomness.

    Returns
    -------
    (D, N, p) array
        Observed values are as they were. Rows that miss a covariate, and counts without an
        exposure, stay missing.
    """
    some = _only(posterior, chosen)
    model, responses = WithinModel(blueprint, some), responses_of(blueprint, some)
    effects, scores = _effects(model, some), sampled_scores(blueprint, some)
    rows = data_rows(blueprint.observed)
    y = np.repeat(rows.y[None], len(chosen), axis=0)
    known = normal_outcomes(blueprint, rows.y)
    names = [*responses, *_incomplete(blueprint, known)]
    columns = [blueprint.template.y_names.index(name) for name in names]
    lacking = np.flatnonzero(np.isnan(rows.y).any(axis=1))
    codes = None if rows.cluster is None else rows.cluster[lacking]
    per_row = len(chosen) * len(model.level.names)
    for _, within, block in model.blocks(effects.of, codes, len(lacking), per_row):
        for at in same_pattern(known, lacking[block]):
            parts = (rows.y[at], scores[:, at], rows.design[at])
            mean, rest = given_scores(blueprint, within, names, *parts)
            mean += within.shift[:, None, columns]
            drawn = _drawn_latent(mean, rest, list(responses.values()), rng)
            log_sds = None
            if within.log_sds is not None:  # they depend on normal outcomes
                whole = np.repeat(rows.y[at][None], len(chosen), axis=0)
                whole[..., columns] = np.where(
                    np.isnan(whole[..., columns]), drawn, whole[..., columns]
                )
                log_sds = within.log_sds(rows.design[at], whole)
            offset = rows.offset[at][:, columns]
            drawn = _drawn(drawn, offset, list(responses.values()), log_sds, rng)
            empty = np.isnan(rows.y[at][:, columns])
            for k, column in enumerate(columns):
                y[:, at[empty[:, k]], column] = drawn[:, empty[:, k], k]
    return y


def _incomplete(blueprint: Blueprint, known: FloatArray) -> list[str]:
    """Return the normal outcomes with missing values."""
    responses = blueprint.template.responses
    assert responses is not None
    missing = np.isnan(known).any(axis=0)
    return [name for name, some in zip(responses.normal, missing, strict=True) if some]


def _only(posterior: xr.Dataset, chosen: IntArray) -> xr.Dataset:
    """Take some draws of all chains, as one chain."""
    flat = posterior.stack(sample=("chain", "draw"), create_index=False).isel(sample=chosen)
    return flat.drop_vars(["chain", "draw"]).rename(sample="draw").expand_dims("chain")


def _effects(model: WithinModel, posterior: xr.Dataset) -> Effects:
    """Effects of the clusters at every draw; all are sampled in these models."""
    blueprint, n = model.blueprint, max(model.blueprint.observed.n_clusters, 1)
    linear, sampled = np.empty((model.n_draws, n, 0)), np.empty((model.n_draws, n, 0))
    if blueprint.n_sampled:
        t = coordinates_of_effects(blueprint, posterior, model.n_draws)
        found = zip(model.points, t, strict=True)
        sampled = np.stack([blueprint.likelihood.effects(point, own) for point, own in found])
    return Effects(linear, sampled)


def _drawn_latent(
    mean: FloatArray, rest: FloatArray, responses: list[Response], rng: np.random.Generator
) -> FloatArray:
    """Probits' y*, linear predictors of other responses, and normal outcomes of rows, (D, n, K).

    Their y*, or they themselves, have these means (D, n, K) and covariances (D, K, K).
    """
    probits = [k for k, r in enumerate(responses) if r.family.outcome.link == "probit"]
    others = [k for k in range(len(responses)) if k not in probits]
    residuals = {k: responses[k].family.residual_variance or 0.0 for k in others}
    root = roots(predictor_covariance(residuals, rest))
    drawn: FloatArray = mean + np.einsum("dkl,dnl->dnk", root, rng.standard_normal(mean.shape))
    return drawn


def _drawn(
    drawn: FloatArray,
    offset: FloatArray,
    responses: list[Response],
    log_sds: FloatArray | None,
    rng: np.random.Generator,
) -> FloatArray:
    """Outcomes (D, n, K) of rows: responses given what ``_drawn_latent`` drew, and normal ones."""
    for k, response in enumerate(responses):
        cuts, spread = response.thresholds, response.spread(log_sds)
        at = drawn[..., k] + offset[:, k]
        if response.family.outcome.link == "probit":
            assert cuts is not None
            found = categories_of(at, cuts)
        else:
            found = response.family.outcome.simulate(rng, np.nan_to_num(at), cuts, spread)
        drawn[..., k] = np.where(np.isfinite(at), found, np.nan)
    return drawn
