"""Level 2 in NumPy: factors, and the effects behind simulated data.

The variables v of level 2 (between parts, cluster-level variables, random coefficients, factors)
follow v = K d + B v + e with e ~ N(0, Psi) and d = (1, covariates); structure.matrices has their
moments. Some are *observed* in the sense of the template: they are entries of the level-2 vector
u. Factors are not, and are normal given those.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayes_msem.blueprint.blueprint import Blueprint
from bayes_msem.blueprint.effect_values import effect_values
from bayes_msem.blueprint.rows import defined_effects
from bayes_msem.data.observed_data import ObservedData
from bayes_msem.gaussian.normal import draw_given, from_noise
from bayes_msem.simulation.simulate import Simulated
from bayes_msem.structure.matrices import LevelMatrices, level_matrices
from bayes_msem.structure.templates import LevelTemplate

__all__ = ["draw_factors", "given_effects", "true_effects"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


def draw_factors(
    level: LevelTemplate,
    factors: tuple[str, ...],
    moments: LevelMatrices,
    design: FloatArray,
    deviations: FloatArray,
    noise: FloatArray,
) -> FloatArray:
    """Draw level-2 factors from their normal distribution given u.

    Parameters
    ----------
    level, moments
        Level 2; the matrices may be those of many draws, which then come first everywhere.
    factors
        Names of the factors.
    design
        (J, D).
    deviations
        u - E(u), (..., J, n_u).
    noise
        Standard normal numbers, (..., J, len(factors)).

    Returns
    -------
    (..., J, len(factors)) array
    """
    wanted = [level.names.index(v) for v in factors]
    if not wanted:
        return np.empty((*deviations.shape[:-1], 0))
    known = deviations[..., level.observed_position]
    drawn = from_noise(moments.covariance, wanted, level.observed_variable, known, noise)
    drawn += design @ np.swapaxes(moments.coefficients[..., wanted, :], -1, -2)
    return drawn


def given_effects(
    blueprint: Blueprint,
    theta: FloatArray,
    effects: pd.DataFrame,
    design: ObservedData,
    rng: np.random.Generator,
) -> FloatArray:
    """Turn effects that a user gives into level-2 deviations; z is drawn given them.

    Parameters
    ----------
    blueprint
        A two-level model.
    theta
        Extended table values, (n_theta,).
    effects
        One row per cluster, one column per random intercept and random coefficient.
    design
        The clusters.
    rng
        Source of randomness.

    Returns
    -------
    (J, n_u) array
        As :class:`bayes_msem.simulation.simulate.Simulated` holds them.

    Raises
    ------
    SpecificationError
        Clusters, effects or numbers are missing.
    """
    level, levels, moments = _level_two(blueprint, theta, design)
    names = [level.names[i] for i in level.observed_variable]
    is_z = np.array([name in design.z_names for name in names], dtype=bool)
    wanted = [name for name in names if name not in design.z_names]
    seen, others = level.observed_variable[~is_z], level.observed_variable[is_z]
    known = effect_values(effects, design.cluster_ids, wanted)
    known = known - levels @ moments.coefficients[seen].T
    deviations = np.zeros((design.n_clusters, len(level.outcomes)))
    deviations[:, level.observed_position[~is_z]] = known
    of_z = draw_given(moments.covariance, others, seen, known, rng)
    deviations[:, level.observed_position[is_z]] = of_z
    return deviations


def true_effects(
    blueprint: Blueprint,
    theta: FloatArray,
    simulated: Simulated,
    design: ObservedData,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Effects of the clusters of simulated data, as ``fit.cluster_effects`` estimates them.

    Parameters
    ----------
    blueprint
        A two-level model.
    theta
        Extended table values, (n_theta,).
    simulated, design
        The data, and what they were simulated for.
    rng
        Source of randomness: factors are drawn given the other effects.

    Returns
    -------
    pandas.DataFrame
        One row per cluster (index: identifiers). Columns: random intercepts, named after their
        outcome, and random coefficients; then definitions that use some, and level-2 factors.
    """
    level, levels, moments = _level_two(blueprint, theta, design)
    seen = level.observed_variable
    u = levels @ moments.coefficients[seen].T + simulated.level_two[:, level.observed_position]
    every = {level.names[i]: u[:, k] for k, i in enumerate(seen)}
    columns = {name: value for name, value in every.items() if name not in design.z_names}
    columns |= defined_effects(blueprint, theta, every)
    factors = blueprint.table.variables("between", "between factor")
    noise = rng.standard_normal((len(levels), len(factors)))
    drawn = draw_factors(level, factors, moments, levels, simulated.level_two, noise)
    columns |= dict(zip(factors, drawn.T, strict=True))
    return pd.DataFrame(columns, index=design.cluster_ids)


def _level_two(
    blueprint: Blueprint, theta: FloatArray, design: ObservedData
) -> tuple[LevelTemplate, FloatArray, LevelMatrices]:
    """Template of level 2, its design (J, D), and its moments."""
    level, own = blueprint.template.between, len(blueprint.template.effects.rows)
    values = np.concatenate([theta, np.zeros(own), blueprint.template.constants])
    return level, design.cluster_design, level_matrices(level, values)
