r"""Outcomes that are not normal, given the linear predictors of their rows.

Level within is that of the latent responses: y*_ij ~ N(C_j(b_j)' d_ij, Sigma_j(b_j)). The linear
predictor is y* without its own residual, whose variance the family fixes; so eta has the covariance
matrix Sigma without these variances, and the family draws the outcome given eta.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from bayes_msem.blueprint.blueprint import Blueprint
from bayes_msem.data.observed_data import ObservedData
from bayes_msem.likelihood.response_rows import log_exposure
from bayes_msem.outcomes.families import Family
from bayes_msem.structure.response_template import ResponseTemplate

__all__ = ["draw_responses", "intercept_effects", "predictor_covariance"]

FloatArray = NDArray[np.float64]

_ROUNDING = 1e-12  # of a variance


def predictor_covariance(
    families: Iterable[Family], columns: Iterable[int], sigma: FloatArray
) -> FloatArray:
    """Take the residuals of responses out of covariance matrices (J, p, p) of y*.

    Parameters
    ----------
    families
        Those of the responses.
    columns
        Position of every response among the outcomes.
    sigma
        Covariance matrices of the latent responses and normal outcomes.
    """
    result = sigma.copy()
    for column, family in zip(columns, families, strict=True):
        own = sigma[:, column, column]
        left = own - (family.residual_variance or 0.0)
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
        for name, effect in zip(outcomes, effects, strict=True):
            if effect >= 0:
                result[:, names.index(name)] = b[:, effect]
    return result


def draw_responses(
    blueprint: Blueprint,
    point: FloatArray,
    latent: FloatArray,
    design: ObservedData,
    rng: np.random.Generator,
) -> FloatArray:
    """Draw the responses of rows.

    Parameters
    ----------
    blueprint
        A model with outcomes that are not normal.
    point
        Extended sampled parameters, (n_theta,).
    latent
        Linear predictors of the responses, without exposures, and normal outcomes, (N, p). NaN
        where a row misses a covariate.
    design
        The rows; its outcomes are not read, but exposures are.
    rng
        Source of randomness.

    Returns
    -------
    (N, p) array
        Categories, counts and normal outcomes; NaN where ``latent`` is not finite.
    """
    template = blueprint.template.responses
    assert template is not None
    values, y = blueprint.likelihood.values(point), latent.copy()
    for k, (name, family) in enumerate(template.families.items()):
        column = design.y_names.index(name)
        eta = latent[:, column] + log_exposure(design, name)
        known = np.isfinite(eta)
        source = template.dispersion[k]
        y[:, column] = np.nan
        y[known, column] = family.outcome.simulate(
            rng,
            eta[known],
            template.thresholds(values, k) if family.has_thresholds else None,
            values[source] if source >= 0 else None,
        )
    return y
