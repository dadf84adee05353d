"""Likelihood at given effects, and data simulated from given table values."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayes_msem.build.blueprint import Blueprint
from bayes_msem.build.inverse import sampled_from_table
from bayes_msem.errors import SpecificationError, nearest
from bayes_msem.likelihood.cluster_draws import draw_cluster_outcomes, root_of
from bayes_msem.likelihood.clusters import between_moments, cluster_value_and_gradient
from bayes_msem.likelihood.evaluators import ClusterEvaluator
from bayes_msem.likelihood.generate import draw_outcomes
from bayes_msem.structure.effects import ClusterTemplates

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
    evaluator, templates = blueprint.evaluator, blueprint.templates
    if not (isinstance(evaluator, ClusterEvaluator) and evaluator.n_sampled):
        raise SpecificationError(
            "this model has no sampled effects (everything is integrated out); leave effects out"
        )
    assert isinstance(templates, ClusterTemplates)
    ids = blueprint.observed.cluster_ids
    for wanted, given, what in (
        (templates.effects.sampled, effects.columns, "column for the effect"),
        (ids, effects.index, "row for the cluster"),
    ):
        absent = [v for v in wanted if v not in given]
        if absent:
            hint = nearest(str(absent[0]), [str(v) for v in given])
            raise SpecificationError(f"effects has no {what} {absent[0]!r}{hint}")
    b = effects.loc[list(ids), list(templates.effects.sampled)].to_numpy(dtype=np.float64)
    x = blueprint.extend_sampled(sampled_from_table(blueprint, theta))
    program = evaluator.program
    value, _, _ = cluster_value_and_gradient(
        np.ascontiguousarray(x), b, program.ints, program.floats, evaluator.statistics
    )
    return float(value)


def simulate_outcomes(
    blueprint: Blueprint, theta: FloatArray, rng: np.random.Generator
) -> FloatArray:
    """Simulate outcomes (N, P) for the clusters and covariates of the data.

    Parameters
    ----------
    blueprint
        The model.
    theta
        Extended table values, (n_theta,).
    rng
        Source of randomness.
    """
    x = np.ascontiguousarray(blueprint.extend_sampled(sampled_from_table(blueprint, theta)))
    evaluator, templates = blueprint.evaluator, blueprint.templates
    if not isinstance(evaluator, ClusterEvaluator):
        return draw_outcomes(theta, evaluator.program, blueprint.observed, rng)
    assert isinstance(templates, ClusterTemplates)
    program, observed = evaluator.program, blueprint.observed
    first = templates.first_sampled
    _, omega, c_b, *_ = between_moments(x, program.ints, program.floats)
    b = (observed.cluster_design @ c_b)[:, first:]
    b = b + rng.standard_normal(b.shape) @ root_of(omega[first:, first:]).T
    return draw_cluster_outcomes(x, np.ascontiguousarray(b), program, observed, rng)
