r"""Coordinates in which the search for a maximum is well conditioned.

The intercept of an outcome is its expected value where all predictors are zero. If they are far
from zero (a calendar year, an income), intercept and slope move along a narrow ridge: one more in
the slope is a predictor's mean less in the intercept. The searches therefore move *means*: in the
place of every intercept stands

    E(v) = (I - B)^-1 (K mean(d) + mean slopes that vary over clusters * mean(d)) ,

the mean of its variable at average covariates (of both parts, if it is split over levels). With
D = dE / d(parameters) as the rows of intercepts in an identity matrix, the columns of D^-1 are
changes of one parameter each that leave all other means alone, observed and latent ones. The axes
are exact at a point; the map is linear unless a mean passes through factors. There the ridge is
bent, and maximum likelihood therefore climbs first on centred covariates, where there is none.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from bayes_msem.blueprint.blueprint import Blueprint
from bayes_msem.inference.density import prior_scales, wide_priors
from bayes_msem.structure.templates import LevelTemplate

__all__ = [
    "default_scales",
    "mean_axes",
    "variable_means",
    "with_centred_covariates",
    "with_means_of",
]

FloatArray = NDArray[np.float64]
Variable = tuple[str, str]  # level, name

_STEP = 1e-4  # of differences, in units of the parameter's scale
_LEAST = 1e-3  # share of an intercept's spread that is its own
_NEAR = 3.0  # standard deviations from zero


def default_scales(blueprint: Blueprint) -> FloatArray:
    """Typical changes of the sampled parameters, from default priors: units, and no beliefs."""
    priors = wide_priors(blueprint)
    return prior_scales(replace(blueprint, priors=priors))


def mean_axes(
    blueprint: Blueprint, theta: FloatArray, scale: FloatArray, slope: FloatArray
) -> FloatArray:
    """Columns are typical changes of the parameters, each with the means of all others kept.

    Parameters
    ----------
    blueprint
        A model without sampled effects.
    theta
        Table values of the free parameters, (n_free,).
    scale
        Typical change of each coordinate by itself, (n_free,).
    slope
        Derivative of the table values by the coordinates, (n_free,); 1 if they are the same.

    Returns
    -------
    (n_free, n_free) array
    """
    rows = blueprint.parameters.rows
    intercepts = _intercepts(blueprint)
    moving = [i for i, r in enumerate(rows) if r.kind in ("loading", "regression", "intercept")]
    plain = np.diag(scale)
    if not intercepts:
        return plain
    variables = [(rows[i].level, rows[i].lhs) for i in intercepts]
    to_means = np.eye(len(rows))
    to_means[intercepts] = 0.0
    for k in moving:
        step = np.zeros(len(rows))
        step[k] = _STEP * scale[k] * slope[k]
        above, below = (variable_means(blueprint, theta + s) for s in (step, -step))
        to_means[intercepts, k] = [
            (above[v] - below[v]) / (2 * _STEP * scale[k]) for v in variables
        ]
    own = scale.copy()
    own[intercepts] = _spread_of_means(blueprint, variables, to_means[intercepts], scale)
    if not np.isfinite(to_means).all() or np.linalg.matrix_rank(to_means) < len(rows):
        return plain
    axes: FloatArray = np.linalg.solve(to_means, np.diag(own))
    return axes


def _intercepts(blueprint: Blueprint) -> list[int]:
    """Positions of the intercepts of the model's variables: averages over groups are of none."""
    known = {(level.level, name) for level in blueprint.template.levels for name in level.names}
    rows = enumerate(blueprint.parameters.rows)
    return [i for i, r in rows if r.kind == "intercept" and (r.level, r.lhs) in known]


def _spread_of_means(
    blueprint: Blueprint, variables: list[Variable], slopes: FloatArray, scale: FloatArray
) -> FloatArray:
    """Typical change of the mean of each variable with an intercept, for its own sake."""
    data = blueprint.observed
    names = (*data.y_names, *data.z_names, *data.z3_names)
    columns = dict(zip(names, (*data.y.T, *data.z.T, *data.z3.T), strict=True))
    spread = []
    for (_, name), slope in zip(variables, slopes, strict=True):
        if name in columns:
            spread.append(float(np.nanstd(columns[name])))
        else:  # the prior of an intercept is as wide as that of the slopes makes it
            parts = np.sort((slope * scale) ** 2)
            spread.append(float(np.sqrt(max(parts[-1] - parts[:-1].sum(), _LEAST**2 * parts[-1]))))
    return np.array(spread)


def variable_means(blueprint: Blueprint, theta: FloatArray) -> dict[Variable, float]:
    """Mean of every modelled variable at average covariates; both parts of split ones together.

    Parameters
    ----------
    blueprint
        A model without sampled effects.
    theta
        Table values of the free parameters, (n_free,).

    Returns
    -------
    dict
        (level, variable) -> mean.
    """
    template, data = blueprint.template, blueprint.observed
    x = data.x[data.informative].mean(axis=0)
    w = data.w.mean(axis=0) if data.two_level else np.empty(0)
    extended = blueprint.extend(theta)
    rows = np.zeros(len(template.effects.rows))
    values = np.concatenate([extended, rows, template.constants])
    third, moved, added_to = _means_of_tops(blueprint, values, np.array([1.0, *w]))
    between = _level_means(template.between, values, np.array([1.0, *w]), moved)
    between = {v: mean + added_to.get(v, 0.0) for v, mean in between.items()}
    added, design, effects = np.zeros(len(template.within.names)), [1.0, *x], template.effects
    uses = zip(effects.use_effect, effects.use_variable, effects.use_column, strict=True)
    for effect, variable, column in uses:
        if variable >= 0:
            added[variable] += between[effects.linear[effect]] * design[column]
    within = _level_means(template.within, values, np.array(design), added)
    both = {("within", v): mean + between.get(v, 0.0) for v, mean in within.items()}
    level = blueprint.table.level_two
    shared = {(level, v): mean + within.get(v, 0.0) for v, mean in between.items()}
    if template.responses is not None and not data.two_level:
        rows_of = template.responses
        known = [*design, *np.zeros(len(rows_of.carried)), *(within[v] for v in rows_of.normal)]
        found = rows_of.log_sd_coefficients(values) @ np.array(known)
        both |= {("within", v): float(m) for v, m in zip(rows_of.log_sds, found, strict=True)}
    if not blueprint.table.three_level:
        return both | shared
    top, every = blueprint.table.levels[2], {v: m for (_, v), m in (both | shared).items()}
    return both | shared | {(top, v): every.get(v, mean) for v, mean in third.items()}


def _means_of_tops(
    blueprint: Blueprint, values: FloatArray, design: FloatArray
) -> tuple[dict[str, float], FloatArray | None, dict[str, float]]:
    """Means at level 3, what they add to equations of level 2, and to its outcomes; or nothing."""
    nested = blueprint.nested
    if nested is None:
        return {}, None, {}
    w3 = blueprint.observed.w3.mean(axis=0)
    third = _level_means(nested.top, values, np.array([1.0, *w3]))
    effects, between = nested.top_effects, nested.lower.between
    moved, directly = np.zeros(len(between.names)), {}
    uses = zip(effects.use_effect, effects.use_variable, effects.use_column, strict=True)
    for effect, variable, column in uses:
        mean = third[effects.linear[effect]]
        if variable >= 0:
            moved[variable] += mean * design[column]
        else:
            directly[between.outcomes[-1 - variable]] = mean
    return third, moved, directly


def with_centred_covariates(blueprint: Blueprint) -> Blueprint | None:
    """Return the same model on centred covariates; None if none is far from zero.

    Covariates with slopes that vary stay as they are: shifting them changes the (co)variances of
    random intercepts as well.
    """
    data = blueprint.observed
    varying = {int(column) - 1 for column in blueprint.template.effects.use_column if column > 0}
    x, far_x = _centred(data.x, [k not in varying for k in range(data.x.shape[1])])
    above = set() if blueprint.nested is None else set(blueprint.nested.top_effects.use_column)
    w, far_w = _centred(data.w, [k + 1 not in above for k in range(data.w.shape[1])])
    w3, far_w3 = _centred(data.w3, [True] * data.w3.shape[1])
    if not (far_x or far_w or far_w3):
        return None
    observed = replace(data, x=x, w=w, w3=w3)
    return blueprint.on(observed)


def _centred(values: FloatArray, chosen: list[bool]) -> tuple[FloatArray, bool]:
    """Centre the chosen columns, and say whether any of them was far from zero."""
    if not any(chosen):
        return values, False
    mean, spread = np.nanmean(values, axis=0), np.nanstd(values, axis=0)
    shift = np.where(chosen, mean, 0.0)
    return values - shift, bool((np.abs(shift) > _NEAR * spread).any())


def with_means_of(source: Blueprint, target: Blueprint, theta: FloatArray) -> FloatArray:
    """Change intercepts such that all variables have the same means with other covariates.

    Parameters
    ----------
    source, target
        A model on two sets of covariates.
    theta
        Table values of the free parameters that belong to ``source``, (n_free,).

    Returns
    -------
    (n_free,) array
        Those that belong to ``target``.
    """
    rows = source.parameters.rows
    intercepts = _intercepts(source)
    variables = [(rows[i].level, rows[i].lhs) for i in intercepts]

    def means(blueprint: Blueprint, at: FloatArray) -> FloatArray:
        found = variable_means(blueprint, at)
        return np.array([found[v] for v in variables])

    here = means(target, theta)
    unit = np.eye(len(rows))
    slopes = np.column_stack([means(target, theta + unit[i]) - here for i in intercepts])
    result = theta.copy()
    result[intercepts] += np.linalg.lstsq(slopes, means(source, theta) - here)[0]
    return result


def _level_means(
    level: LevelTemplate, values: FloatArray, design: FloatArray, added: FloatArray | None = None
) -> dict[str, float]:
    inner = np.eye(len(level.names))
    np.subtract.at(inner, (level.b.row, level.b.column), values[level.b.source])
    right = np.zeros(len(level.names)) if added is None else added.copy()
    np.add.at(right, level.k.row, values[level.k.source] * design[level.k.column])
    try:
        return dict(zip(level.names, np.linalg.solve(inner, right).tolist(), strict=True))
    except np.linalg.LinAlgError:
        return dict.fromkeys(level.names, np.nan)
