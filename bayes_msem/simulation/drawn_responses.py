r"""Outcomes that are not normal, given the linear predictors of their rows.

Level within is that of the latent responses: y*_ij ~ N(C_j(b_j)' d_ij, Sigma_j(b_j)). The linear
predictor is y* without its own residual, whose variance the family fixes; so eta has the covariance
matrix Sigma without these variances, and the family draws the outcome given eta.

Where the residual matters to other outcomes (structure.carried_responses) it stays: y* is drawn
whole, and its category is where it falls between the thresholds.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from bayes_msem.blueprint.blueprint import Blueprint
from bayes_msem.data.observed_data import ObservedData
from bayes_msem.likelihood.response_rows import log_exposure
from bayes_msem.structure.response_template import ResponseTemplate
from bayes_msem.structure.scaled_residuals import effects_of_log_sds, log_sds

__all__ = [
    "categories_of",
    "cluster_outcomes",
    "draw_responses",
    "intercept_effects",
    "predictor_covariance",
]

FloatArray = NDArray[np.float64]

_ROUNDING = 1e-12  # of a variance


def predictor_covariance(residuals: Mapping[int, float], sigma: FloatArray) -> FloatArray:
    """Take the residuals of responses out of covariance matrices (J, p, p) of y*.

    Parameters
    ----------
    residuals
        Position of a response among the outcomes -> variance of its residual. Latent responses that
        are drawn whole are not among them.
    sigma
        Covariance matrices of the latent responses and normal outcomes.
    """
    result = sigma.copy()
    for column, variance in residuals.items():
        own = sigma[:, column, column]
        left = own - variance
        nothing = ~(left > _ROUNDING * own)  # less is rounding, as in gaussian.normal
        result[:, column, column] = left
        result[nothing, column, :] = result[nothing, :, column] = 0.0
    return result


def intercept_effects(
    template: ResponseTemplate, names: tuple[str, ...], b: FloatArray
) -> FloatArray:
    """Random intercepts of all outcomes, zero where there is none: (J, p) from effects (J, n_b)."""
    result = np.zeros((len(b), len(names)))
    for outcomes, effects in (
        (template.normal, template.normal_effect),
        (template.names, template.effect),
    ):
        for name, effect in zip(outcomes, effects, strict=False):  # log SDs come last
            if effect >= 0:
                result[:, names.index(name)] = b[:, effect]
    return result


def categories_of(y_star: FloatArray, thresholds: FloatArray) -> FloatArray:
    """Categories of latent responses: how many thresholds (..., K - 1) are below y* (...)."""
    below: FloatArray = (y_star[..., None] > thresholds).sum(axis=-1).astype(np.float64)
    return below


def draw_responses(
    blueprint: Blueprint,
    point: FloatArray,
    latent: FloatArray,
    design: ObservedData,
    rng: np.random.Generator,
    b: FloatArray,
) -> FloatArray:
    """Draw the responses of rows.

    Parameters
    ----------
    blueprint
        A model with outcomes that are not normal.
    point
        Extended sampled parameters, (n_theta,).
    latent
        Linear predictors of the responses, without exposures, or y* where that is drawn whole, and
        normal outcomes, (N, p). NaN where a row misses a covariate.
    design
        The rows; its outcomes are not read, but exposures are.
    rng
        Source of randomness.
    b
        Sampled effects of the cluster of every row, (N, n_b).

    Returns
    -------
    (N, p) array
        Categories, counts and normal outcomes; NaN where ``latent`` is not finite.
    """
    template = blueprint.template.responses
    assert template is not None
    values, y = blueprint.likelihood.values(point), latent.copy()
    log_sd = _log_sds(template, values, latent, design, b)
    for k, (name, family) in enumerate(template.families.items()):
        column = design.y_names.index(name)
        eta = latent[:, column] + log_exposure(design, name)
        known = np.isfinite(eta)
        source = template.dispersion[k]
        y[:, column] = np.nan
        if name in log_sd:
            known &= np.isfinite(log_sd[name])
            spread = np.exp(2.0 * log_sd[name][known])
            y[known, column] = family.outcome.simulate(rng, eta[known], dispersion=spread)
            continue
        if name in template.whole:
            y[known, column] = categories_of(eta[known], template.thresholds(values, k))
            continue
        y[known, column] = family.outcome.simulate(
            rng,
            eta[known],
            template.thresholds(values, k) if family.has_thresholds else None,
            values[source] if source >= 0 else None,
        )
    return y


def _log_sds(
    template: ResponseTemplate,
    values: FloatArray,
    y: FloatArray,
    design: ObservedData,
    b: FloatArray,
) -> dict[str, FloatArray]:
    """Log SDs (N,) of the residuals of scaled responses, from the normal outcomes of rows."""
    if not template.scaled:
        return {}
    of_normal = [design.y_names.index(name) for name in template.normal]
    parts = y[:, of_normal] - intercept_effects(template, design.y_names, b)[:, of_normal]
    regressors = np.column_stack([np.ones(design.n_rows), design.x])
    found = log_sds(template, values, regressors, parts) + effects_of_log_sds(template, b)
    return dict(zip(template.scaled, found.T, strict=True))


def cluster_outcomes(
    blueprint: Blueprint,
    point: FloatArray,
    u: FloatArray,
    design: ObservedData,
    rng: np.random.Generator,
) -> FloatArray:
    """Cluster-level outcomes: normal ones are part of u, the others are drawn given it.

    Parameters
    ----------
    blueprint
        A two-level model.
    point
        Extended sampled parameters, (n_theta,); table values do for a model without responses.
    u
        Level 2 of every cluster of the design, (J, n_u): integrated effects, z, sampled effects.
    design
        The clusters; of outcomes nothing is read, but exposures are.
    rng
        Source of randomness.

    Returns
    -------
    (J, q) array
        In the order of ``design.z_names``; counts without an exposure are NaN.
    """
    template, responses = blueprint.template, blueprint.template.cluster_responses
    n_a, first = len(template.effects.linear), template.first_sampled
    if responses is None:
        return u[:, n_a:first].copy()
    z = np.full((len(u), len(design.z_names)), np.nan)
    z[:, [design.z_names.index(name) for name in template.z_names]] = u[:, n_a:first]
    values = blueprint.likelihood.values(point)
    known = np.hstack([design.cluster_design, u[:, n_a:]])
    weights = responses.coefficients(values, u.shape[1] - first)
    for k, (name, family) in enumerate(responses.families.items()):
        eta = known @ weights[k] + log_exposure(design, name)
        there, source = np.isfinite(eta), responses.dispersion[k]
        z[there, design.z_names.index(name)] = family.outcome.simulate(
            rng,
            eta[there],
            responses.thresholds(values, k) if family.has_thresholds else None,
            values[source] if source >= 0 else None,
        )
    return z
