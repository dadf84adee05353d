"""Likelihood at given effects, and data simulated from given table values."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayes_msem.blueprint.admissible import check_admissible
from bayes_msem.blueprint.blueprint import Blueprint
from bayes_msem.blueprint.effect_values import effect_values
from bayes_msem.blueprint.inverse import sampled_from_table
from bayes_msem.data.observed_data import ObservedData
from bayes_msem.errors import SpecificationError
from bayes_msem.simulation.factors_and_effects import given_effects
from bayes_msem.simulation.simulate import Simulated, simulate_data

FloatArray = NDArray[np.float64]


def likelihood_given_effects(
    blueprint: Blueprint, theta: FloatArray, effects: pd.DataFrame
) -> float:
    """Log density of the data given table values and sampled effects.

    Parameters
    ----------
    blueprint
        A model with sampled effects.
    theta
        Extended table values, (n_theta,).
    effects
        One row per cluster, one column per sampled effect.

    Raises
    ------
    SpecificationError
        The model has no sampled effects, or clusters or effects are missing.
    """
    likelihood, template = blueprint.likelihood, blueprint.template
    if not likelihood.n_sampled:
        raise SpecificationError(
            "this model has no sampled effects (everything is integrated out); leave effects out"
        )
    b = effect_values(effects, blueprint.observed.cluster_ids, template.effects.sampled)
    x = blueprint.extend_sampled(sampled_from_table(blueprint, theta))
    return likelihood.given_effects(np.ascontiguousarray(x), b, likelihood.statistics)


def simulate_from_table(
    blueprint: Blueprint,
    theta: FloatArray,
    design: ObservedData,
    rng: np.random.Generator,
    effects: pd.DataFrame | None = None,
) -> Simulated:
    """Simulate one data set at values that a user gave.

    Parameters
    ----------
    blueprint
        The model.
    theta
        Extended table values, (n_theta,).
    design
        Clusters and covariates.
    rng
        Source of randomness.
    effects
        Effects of the clusters (see simulation.factors_and_effects.given_effects); None: they are
        drawn.

    Raises
    ------
    SpecificationError
        The values lie outside the parameter space, or effects are missing.
    """
    check_admissible(blueprint, theta)
    needed = np.broadcast_to(~np.isnan(design.x).any(axis=1)[:, None], design.y.shape)
    if design.y_exposure is not None:
        needed = needed & ~np.isnan(design.y_exposure)
    try:
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            known = None
            if effects is not None:
                known = given_effects(blueprint, theta, effects, design, rng)
            simulated = simulate_data(blueprint, theta, design, rng, natural=True, level_two=known)
        finite = bool(np.isfinite(simulated.y[needed]).all() & np.isfinite(simulated.z).all())
    except np.linalg.LinAlgError:
        finite = False
    if not finite:
        raise SpecificationError(
            "the values given imply outcomes that are not finite: variables that predict each "
            "other in a circle whose coefficients cancel, or random standard deviations that are "
            "too large (their intercepts and variances are on the log scale)"
        )
    return simulated
