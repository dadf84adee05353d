"""The geometry in which NUTS moves: means of variables instead of intercepts.

An intercept is the mean of its variable where all predictors are zero. Where zero
is far from the data (a year of 2010, a between slope on a latent mean of 50), intercept and slopes
are nearly collinear, and chains crawl. Where a slope is large because its predictor hardly varies,
a small step of the predictor's mean moves the outcome's mean far, and chains diverge. So NUTS moves
along

    v_i = x_i + sum_k m_k x_k ,

with x_i an intercept, x_k the slopes and loadings of its variable, and m_k the mean of the
predictor behind each slope: for covariates that of the data, for variables with an intercept of
their own what v says. So v_i is the mean of the variable itself, about which the data speak.

The map has unit Jacobian, and is undone before priors and likelihood see anything: tables, priors
and posterior are those of x. What is constant in it only decides how well chains move.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from graphlib import CycleError, TopologicalSorter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayes_msem.blueprint.blueprint import Blueprint
from bayes_msem.data.observed_data import ObservedData
from bayes_msem.inference.curvature import posterior_root
from bayes_msem.inference.density import log_likelihood, prior_scales, support
from bayes_msem.kernels.density import Geometry
from bayes_msem.kernels.priors import BELOW, UNBOUNDED
from bayes_msem.spec.expressions import names
from bayes_msem.spec.table import ParameterTable, Row

FloatArray = NDArray[np.float64]
Means = dict[tuple[str, str], float]


def geometry_at(blueprint: Blueprint, x: FloatArray) -> Geometry:
    """Find the geometry of a model.

    Parameters
    ----------
    blueprint
        The model.
    x
        Sampled parameters at a mode, (n_free,), for the means of variables without an intercept of
        their own.
    """
    to, source, mean, weight = _shear(blueprint, x)
    soft, none = _softness(blueprint, x), (np.empty((0, 0)), np.empty(0))
    geometry = Geometry(soft, to, source, mean, weight, *none)
    if not blueprint.likelihood.score_shape[1]:
        return geometry
    rotation, center = _rotation(blueprint, geometry, x)
    return geometry._replace(rotation=rotation, center=center)


def _rotation(
    blueprint: Blueprint, geometry: Geometry, x: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Rotation and center that make parameters of models with scores standard normal, nearly.

    Rotated by the curvature of their marginal posterior, all directions are alike, which spares
    NUTS half of its steps. (Adaptation would have to find a few directions among thousands.)
    """
    center = coordinates_at(geometry, support(blueprint).to_unconstrained(x), x)
    units = np.where(blueprint.prior_arrays.bounded == UNBOUNDED, prior_scales(blueprint), 1.0)
    units = np.where(geometry.soft > 0.0, geometry.soft, units)
    rotation = posterior_root(blueprint, center, units, geometry)
    return np.ascontiguousarray(rotation), center


def _softness(blueprint: Blueprint, x: FloatArray) -> FloatArray:
    """Find the scale on which the data cannot tell a standard deviation from zero, (n_free,).

    The square root of the standard error of its variance, at most the scale of its prior.
    """
    soft = np.zeros(len(x))
    scales = prior_scales(blueprint)
    for i, row in enumerate(blueprint.parameters.rows):
        if row.kind != "variance" or blueprint.prior_arrays.bounded[i] != BELOW:
            continue
        slopes = []
        for variance in (1.01 * x[i] ** 2, 0.99 * x[i] ** 2):
            at = x.copy()
            at[i] = np.sqrt(variance)
            slopes.append(log_likelihood(blueprint, at)[1][i] / (2.0 * at[i]))
        information = (slopes[1] - slopes[0]) / (0.02 * x[i] ** 2)
        error = information**-0.5 if information > 0.0 else np.inf
        soft[i] = min(np.sqrt(error), scales[i])
    return soft


def _shear(blueprint: Blueprint, x: FloatArray) -> tuple[Any, ...]:
    """Find intercepts and the means of their predictors."""
    table, position = blueprint.table, blueprint.parameters.position
    means = _means(blueprint, x)
    intercepts = _intercepts(blueprint)
    random = {row.random for row in table.rows if row.random}
    with_means = table.levels[1:] if table.two_level else ("within",)
    entries: dict[tuple[int, int, int], float] = {}
    for row in sorted(_paths(table), key=lambda row: _target(row) not in random):
        to = intercepts.get(_target(row))
        source = position[row.free] if row.free else intercepts.get(row.random or "")
        weight = means.get((row.level, _source(row)), 0.0)
        # parts below the level of a variable's mean have mean zero, and covariates no intercept
        is_mean = row.level in with_means and table.mean_level(_source(row)) == row.level
        mean = intercepts.get(_source(row), -1) if is_mean else -1
        if to is not None and source is not None and to != source and (weight or mean >= 0):
            key = (to, source, mean)
            entries[key] = entries.get(key, 0.0) + (weight if mean < 0 else 0.0)
    if _cyclic(entries):
        # feedback: means as constants, so that the Jacobian stays 1
        places = {name: (table.mean_level(name), name) for name in intercepts}
        at = {i: means[places[name]] for name, i in intercepts.items() if places[name] in means}
        entries = {
            (to, source, -1): weight if mean < 0 else at[mean]
            for (to, source, mean), weight in entries.items()
        }
    columns = np.array(list(entries), dtype=np.int64).reshape(-1, 3)
    parts = (np.ascontiguousarray(column) for column in columns.T)
    return (*parts, np.array(list(entries.values()), dtype=np.float64))


def _cyclic(entries: Iterable[tuple[int, int, int]]) -> bool:
    """Whether the mean of a variable depends on itself."""
    graph: dict[int, set[int]] = {}
    for to, source, mean in entries:
        graph.setdefault(to, set()).update({source, mean} - {-1})
    try:
        TopologicalSorter(graph).prepare()
    except CycleError:
        return True
    return False


def coordinates_at(geometry: Geometry, u: FloatArray, x: FloatArray) -> FloatArray:
    """Coordinates v of unconstrained coordinates u, given the parameters x there."""
    v = u.copy()
    for i in np.flatnonzero(geometry.soft):
        ratio = x[i] / geometry.soft[i]
        v[i] = x[i] + geometry.soft[i] * np.log(-np.expm1(-ratio))
    n = len(x)
    latent = geometry.mean >= 0
    weight = np.where(latent, 0.0, geometry.weight)
    np.add.at(v, geometry.to, weight * x[geometry.source])
    system = np.eye(len(x))
    where = (geometry.to[latent], geometry.mean[latent])
    np.subtract.at(system, where, x[geometry.source[latent]])
    v[:n] = np.linalg.solve(system, v[:n])
    if len(geometry.center):
        v[:n] = np.linalg.solve(geometry.rotation, v[:n] - geometry.center)
    return v


def _paths(table: ParameterTable) -> list[Row]:
    return [row for row in table.rows if row.kind in ("regression", "loading")]


def _target(row: Row) -> str:
    return row.rhs if row.kind == "loading" else row.lhs


def _source(row: Row) -> str:
    return row.lhs if row.kind == "loading" else row.rhs


def _intercepts(blueprint: Blueprint) -> dict[str, int]:
    """Position of the intercept of every variable that has a free one of its own, unbounded."""
    rows = [row for row in blueprint.table.rows if row.free and row.kind == "intercept"]
    uses = Counter(row.free for row in rows)
    labels = {row.label for row in rows if row.label}
    computed = {name for c in blueprint.table.constraints for name in names(c.expression)}
    found = {}
    for row in rows:
        i = blueprint.parameters.position[row.free]
        alone = uses[row.free] == 1 and not (row.label and row.label in labels & computed)
        if alone and blueprint.prior_arrays.bounded[i] == UNBOUNDED:
            found[row.lhs] = i
    return found


def _means(blueprint: Blueprint, x: FloatArray) -> Means:
    """Means of all variables of each level at a mode."""
    table, observed = blueprint.table, blueprint.observed
    theta = blueprint.theta(x[None, :])[0]
    means = _observed_means(observed, table)
    for level, variable in table.roles:
        # parts below the level of a variable's mean have mean zero
        if table.mean_level(variable) != level:
            means[level, variable] = 0.0
    latent = [key for key in table.roles if key not in means]
    for _ in latent:  # as many passes as the longest chain of latent variables
        for level, variable in latent:
            total = 0.0
            for row in table.rows:
                if row.level != level or (row.random and row.kind != "intercept"):
                    continue
                value = float(blueprint.row_value(row.key, theta))
                if row.kind == "intercept" and row.lhs == variable:
                    total += value
                elif row.kind == "regression" and row.lhs == variable:
                    total += value * means.get((level, row.rhs), 0.0)
            means[level, variable] = total
    return means


def _observed_means(observed: ObservedData, table: ParameterTable) -> Means:
    middle, third = table.level_two, table.levels[-1]
    means: Means = {}
    for level, names_, values in (
        (third, observed.y_names, observed.y),
        ("within", observed.y_names, observed.y),
        (third, observed.z_names, observed.z),
        (middle, observed.z_names, observed.z),
        ("within", observed.x_names, observed.x),
        (middle, observed.w_names, observed.w),
        (third, observed.z3_names, observed.z3),
        (third, observed.w3_names, observed.w3),
    ):
        for i, name in enumerate(names_):
            seen = values[:, i][np.isfinite(values[:, i])]
            means[level, name] = float(seen.mean()) if len(seen) else 0.0
    return means
