"""Where NUTS takes intercepts: at the mean of their predictors.

An intercept is the mean of its variable where all predictors are zero. Where zero is far from the
data (a year of 2010, a between slope on a latent mean of 50), intercept and slopes are nearly
collinear, and chains crawl. So NUTS moves along

    v_i = x_i + sum_k m_k x_k ,

with x_i an intercept, x_k the slopes and loadings of its variable, and m_k the mean of the predictor
behind each slope: of the data for observed variables, at a mode for latent ones. The map is linear
with unit Jacobian, and undone before priors and likelihood see anything: tables, priors and
posterior are those of x.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from bayes_msem.build.blueprint import Blueprint
from bayes_msem.build.nuts_density import Shear
from bayes_msem.build.prior_kernels import UNBOUNDED
from bayes_msem.data.observe import ObservedData
from bayes_msem.spec.expressions import names
from bayes_msem.spec.table import ParameterTable, Row

FloatArray = NDArray[np.float64]
Means = dict[tuple[str, str], float]


def shear_at(blueprint: Blueprint, x: FloatArray) -> Shear:
    """Find the shear of a model.

    Parameters
    ----------
    blueprint
        The model.
    x
        Sampled parameters at a mode, (n_free,), for the means of latent predictors.
    """
    table, position = blueprint.table, blueprint.parameters.position
    means = _means(blueprint, x)
    intercepts = _intercepts(blueprint)
    random = {row.random: row for row in table.rows if row.random}
    weights: dict[tuple[int, int], float] = {}
    for row in sorted(_paths(table), key=lambda row: _target(row) not in random):
        to = intercepts.get(_target(row))
        source = position[row.free] if row.free else intercepts.get(row.random or "")
        weight = means.get((row.level, _source(row)), 0.0)
        if to is not None and source is not None and to != source and weight:
            weights[to, source] = weights.get((to, source), 0.0) + weight
    entries = [(to, source, weight) for (to, source), weight in weights.items()]
    return Shear(
        to=np.array([e[0] for e in entries], dtype=np.int64),
        source=np.array([e[1] for e in entries], dtype=np.int64),
        weight=np.array([e[2] for e in entries], dtype=np.float64),
    )


def sheared(shear: Shear, u: FloatArray, x: FloatArray) -> FloatArray:
    """Coordinates v of unconstrained coordinates u, given the parameters x there."""
    v = u.copy()
    for to, source, weight in zip(*shear, strict=True):
        v[to] += weight * x[source]
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
    means = _observed_means(observed)
    top = "between" if table.two_level else "within"
    for level, variable in table.roles:
        # parts within clusters have mean zero
        zero = level != top and (top, variable) in table.roles
        if zero:
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


def _observed_means(observed: ObservedData) -> Means:
    top = "between" if observed.n_clusters else "within"
    means: Means = {}
    for level, names_, values in (
        (top, observed.y_names, observed.y),
        ("within", observed.y_names, observed.y),
        (top, observed.z_names, observed.z),
        ("within", observed.x_names, observed.x),
        ("between", observed.w_names, observed.w),
    ):
        for i, name in enumerate(names_):
            seen = values[:, i][np.isfinite(values[:, i])]
            means[level, name] = float(seen.mean()) if len(seen) else 0.0
    return means
