r"""Data of three levels: draws of top units, then of their clusters, then of rows.

For top units k, clusters j and rows i, with designs d3 = (1, w3), d2 = (1, w2) and d1 = (1, x),

    v3_k  = T3 (K3 d3_k + e_k) ,                    e_k ~ N(0, Psi3)        effects c, z3, factors
    v2_jk = T2 (K2 d2_jk + sum_q c_qk d2_q + e_jk) , e_jk ~ N(0, Psi2)
    u2_jk = observed entries of v2_jk + what c adds to them directly       a, z2
    y_ijk = T1 (K1 d1 + sum_q a_q d1_q + e_ijk) + what a adds directly ,   e_ijk ~ N(0, Psi1)

with T = (I - B)^-1 of each level (structure.matrices). One function makes both steps: level 2 is to
level 3 what level 1 is to level 2.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bayes_msem.blueprint.blueprint import Blueprint
from bayes_msem.data.observed_data import ObservedData
from bayes_msem.errors import NotSupportedError
from bayes_msem.gaussian.normal import roots
from bayes_msem.structure.effects import Effects
from bayes_msem.structure.matrices import LevelMatrices, level_matrices
from bayes_msem.structure.templates import LevelTemplate

__all__ = ["draw_nested"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


def draw_nested(
    blueprint: Blueprint, theta: FloatArray, design: ObservedData, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Simulate one data set of a three-level model.

    Parameters
    ----------
    blueprint
        The model. Its own data are not read.
    theta
        Extended table values, (n_theta,).
    design
        Units of all levels, and their covariates.
    rng
        Source of randomness.

    Returns
    -------
    y : (N, p) array
    z : (J, q) array
    level_two : (J, n_u) array
        u2 - E(u2 | w2), parts of level 3 included.
    z3 : (K, q3) array
    """
    nested, template = blueprint.nested, blueprint.template
    assert nested is not None
    if template.effects.sampled:
        raise NotSupportedError(
            "three-level models with random loadings, variances or slopes on latent variables "
            "cannot be simulated yet; remove rv() from such rows"
        )
    assert design.parent is not None
    assert design.cluster is not None
    values = np.concatenate([theta, template.constants])
    third, second, first = (
        level_matrices(level, values) for level in (nested.top, template.between, template.within)
    )
    u3 = _outcomes(nested.top, third, design.top_design, rng)
    n_effects = len(nested.top_effects.linear)
    u2 = _outcomes(template.between, second, design.cluster_design, rng)
    alone = design.cluster_design @ _means(template.between, second)
    above = u3[:, :n_effects][design.parent]
    u2 += _added(template.between, second, nested.top_effects, design.cluster_design, above)
    rows = np.column_stack([np.ones(design.n_rows), design.x])
    y = _outcomes(template.within, first, rows, rng)
    n_linear = len(template.effects.linear)
    y += _added(template.within, first, template.effects, rows, u2[:, :n_linear][design.cluster])
    return y, u2[:, n_linear:], u2 - alone, u3[:, n_effects:]


def _means(level: LevelTemplate, found: LevelMatrices) -> FloatArray:
    """Coefficients of the means of all outcomes, (D, n); 0 for those without a variable."""
    result = np.zeros((len(level.design), len(level.outcomes)))
    result[:, level.observed_position] = found.coefficients[level.observed_variable].T
    return result


def _outcomes(
    level: LevelTemplate, found: LevelMatrices, design: FloatArray, rng: np.random.Generator
) -> FloatArray:
    """Draw the outcomes of a level without what varies above, (units, n)."""
    covariance = np.zeros((len(level.outcomes), len(level.outcomes)))
    at = np.ix_(level.observed_position, level.observed_position)
    observed = level.observed_variable
    covariance[at] = found.covariance[np.ix_(observed, observed)]
    noise = rng.standard_normal((len(design), len(level.outcomes)))
    drawn: FloatArray = design @ _means(level, found) + noise @ roots(covariance).T
    return drawn


def _added(
    level: LevelTemplate,
    found: LevelMatrices,
    effects: Effects,
    design: FloatArray,
    values: FloatArray,
) -> FloatArray:
    """Add up what effects of the level above, (units, n_effects), do to outcomes, (units, n)."""
    added = np.zeros((len(design), len(level.outcomes)))
    uses = zip(effects.use_effect, effects.use_variable, effects.use_column, strict=True)
    for effect, variable, column in uses:
        term = values[:, effect] * design[:, column]
        if variable < 0:
            added[:, -1 - variable] += term
        else:
            path = found.total[level.observed_variable, variable]
            added[:, level.observed_position] += term[:, None] * path
    return added
