r"""Scores of models with outcomes that are not normal.

The factors that such outcomes depend on are among the draws, as coordinates. Given those and the
observed normal outcomes, other factors are normal (posterior.within), and do not depend on the
outcomes that are not, but for latent responses that are among the draws, too. Normal outcomes that
are missing are normal given the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayes_msem.blueprint.blueprint import Blueprint
from bayes_msem.inference.coordinates import SCORE_COORDINATES
from bayes_msem.posterior.draws import sampled_parameters
from bayes_msem.posterior.recover import coordinates_of_effects
from bayes_msem.posterior.within import WithinDraws

__all__ = ["given_scores", "normal_outcomes", "sampled_scores"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


def sampled_scores(blueprint: Blueprint, posterior: xr.Dataset) -> FloatArray:
    """Draws of scores and carried latent responses, (S, N, q + M), rows as in the data.

    Scores that stand for normal outcomes are NaN where these are known.

    Parameters
    ----------
    blueprint
        A model with outcomes that are not normal.
    posterior
        Posterior draws, coordinates of effects and scores included.
    """
    likelihood, responses = blueprint.likelihood, blueprint.likelihood.responses
    assert responses is not None
    points = blueprint.points(sampled_parameters(blueprint, posterior))
    t = coordinates_of_effects(blueprint, posterior, len(points))
    result = np.empty((len(points), *likelihood.score_shape))
    if not likelihood.score_shape[1]:
        return result
    drawn = posterior[SCORE_COORDINATES].transpose("chain", "draw", "score_row", "score")
    t_s = drawn.to_numpy().reshape(result.shape)
    none = np.empty((max(blueprint.observed.n_clusters, 1), 0))
    for s, point in enumerate(points):
        b = likelihood.effects(point, t[s]) if blueprint.n_sampled else none
        result[s, responses.order] = likelihood.scores(point, b, t_s[s]).sampled
    template = responses.template
    for k, name in enumerate(template.stand_ins, start=len(template.scores)):
        result[:, ~np.isnan(blueprint.observed.outcome(name)), k] = np.nan
    return result


def normal_outcomes(blueprint: Blueprint, y: FloatArray) -> FloatArray:
    """Return the normal ones (n, n_v) of outcomes (n, p)."""
    responses, outcomes = blueprint.template.responses, blueprint.template.within.outcomes
    assert responses is not None
    return y[:, [outcomes.index(name) for name in responses.normal]]


def given_scores(
    blueprint: Blueprint,
    within: WithinDraws,
    wanted: Sequence[str],
    y: FloatArray,
    scores: FloatArray,
    design: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """Mean (S, n, k) and covariance (S, k, k) of variables given normal outcomes and scores.

    Parameters
    ----------
    blueprint
        A model with outcomes that are not normal.
    within
        Level 1 of the cluster of the rows.
    wanted
        Names of factors and outcomes, of which the part that varies within clusters is meant;
        scores are known, so that they have no variance.
    y, scores, design
        Outcomes (n, p), scores and carried latent responses (S, n, q + M), and design (n, D) of
        rows that miss the same normal outcomes.
    """
    responses, level = blueprint.template.responses, blueprint.template.within
    assert responses is not None
    normal = [level.outcomes.index(name) for name in responses.normal]
    scored = np.zeros((len(responses.sampled), len(level.names)))
    scored[np.arange(len(scored)), [level.names.index(f) for f in responses.sampled]] = 1.0
    of_rows = np.broadcast_to(normal_outcomes(blueprint, y), (len(scores), len(y), len(normal)))
    known = np.concatenate([of_rows, scores], axis=-1)
    shift = np.concatenate(
        [within.shift[:, normal], np.zeros((len(scores), len(responses.sampled)))], axis=-1
    )
    observed = replace(within, shift=shift, selection=np.vstack([within.selection[normal], scored]))
    others = [f for f in wanted if f not in responses.sampled]
    mean = np.empty((*scores.shape[:2], len(wanted)))
    covariance = np.zeros((len(scores), len(wanted), len(wanted)))
    place = [k for k, f in enumerate(wanted) if f in responses.sampled]
    mean[..., place] = scores[..., [responses.sampled.index(wanted[k]) for k in place]]
    if others:
        free = [k for k in range(len(wanted)) if k not in place]
        at = np.array([level.names.index(f) for f in others])
        mean[..., free], part = observed.given_outcomes(at, known, design)
        covariance[:, np.array(free)[:, None], free] = part
    mean[:, np.isnan(design).any(axis=1)] = np.nan  # scores of rows that miss a covariate
    return mean, covariance
