r"""Missing outcomes that are not normal, drawn given the posterior draws of effects and scores.

Given a draw of the parameters, effects b_j and sampled scores s_i, the latent responses of a row
are normal (posterior.sampled_scores):

    y*_i | s_i, v_i, b_j ~ N(m_i, R) .

The scores are what y* depends on, so R holds residuals only. A probit is the category in which a
draw of y* falls, which keeps what residuals have in common. The linear predictor of other families
is known, m_i itself, and the family draws the outcome given it.
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
from bayes_msem.posterior.sampled_scores import given_scores, sampled_scores
from bayes_msem.posterior.scores import Effects
from bayes_msem.posterior.within import WithinModel
from bayes_msem.simulation.drawn_responses import categories_of

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
        A model with outcomes that are not normal; the others have no missing values.
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
    rows, names = data_rows(blueprint.observed), list(responses)
    y = np.repeat(rows.y[None], len(chosen), axis=0)
    lacking = np.flatnonzero(np.isnan(rows.y).any(axis=1))
    codes = None if rows.cluster is None else rows.cluster[lacking]
    per_row = len(chosen) * len(model.level.names)
    for _, within, block in model.blocks(effects.of, codes, len(lacking), per_row):
        at = lacking[block]
        parts = (rows.y[at], scores[:, at], rows.design[at])
        mean, rest = given_scores(blueprint, within, names, *parts)
        columns = [response.position for response in responses.values()]
        mean += within.shift[:, None, columns]
        drawn = _drawn(mean, rest, rows.offset[at][:, columns], list(responses.values()), rng)
        empty = np.isnan(rows.y[at][:, columns])
        for k, column in enumerate(columns):
            y[:, at[empty[:, k]], column] = drawn[:, empty[:, k], k]
    return y


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


def _drawn(
    mean: FloatArray,
    rest: FloatArray,
    offset: FloatArray,
    responses: list[Response],
    rng: np.random.Generator,
) -> FloatArray:
    """Outcomes (D, n, K) of rows whose y* have these means (D, n, K) and covariances (D, K, K)."""
    drawn = np.full(mean.shape, np.nan)
    probits = [k for k, r in enumerate(responses) if r.family.outcome.link == "probit"]
    noise = rng.standard_normal((*mean.shape[:2], len(probits)))
    own = rest[:, np.array(probits, dtype=np.int64)[:, None], probits]
    star = mean[..., probits] + np.einsum("dkl,dnl->dnk", roots(own), noise)
    for k, response in enumerate(responses):
        cuts, spread = response.thresholds, response.dispersion
        if k in probits:
            assert cuts is not None
            at = star[..., probits.index(k)]
            found = categories_of(at, cuts)
        else:
            at = mean[..., k] + offset[:, k]
            found = response.family.outcome.simulate(rng, np.nan_to_num(at), cuts, spread)
        drawn[..., k] = np.where(np.isfinite(at), found, np.nan)
    return drawn
