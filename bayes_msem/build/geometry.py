"""The geometry in which NUTS moves: slopes in units of their predictor, intercepts at its mean.

**Slopes.** Where the variance psi of a latent predictor may be near zero, the data say nothing
about its slope, and the posterior of the slope opens from what the data allow to what the prior
allows. What the data say about a slope grows with psi, so its precision and center are about

    q(psi) = 1 / tau^2 + kappa psi ,   c(psi) = (mu / tau^2 + kappa psi x_0) / q(psi) ,

with mu and tau the center and the standard deviation of the prior, x_0 the slope at a mode and
kappa psi_0 the data's information about it there. NUTS moves along v with
x = c(psi) + v sqrt(q(psi_0) / q(psi)). Loadings are slopes on factors.

**Intercepts.** An intercept is the mean of its variable where all predictors are zero. Where zero
is far from the data (a year of 2010, a between slope on a latent mean of 50), intercept and slopes
are nearly collinear, and chains crawl. Where a slope is large because its predictor hardly varies,
a small step of the predictor's mean moves the outcome's mean far, and chains diverge. So NUTS moves
along

    v_i = x_i + sum_k m_k x_k ,

with x_i an intercept, x_k the slopes and loadings of its variable, and m_k the mean of the
predictor behind each slope: for covariates that of the data, for variables with an intercept of
their own what v says. So v_i is the mean of the variable itself, about which the data speak.

Both maps are undone, with their Jacobian, before priors and likelihood see anything: tables, priors
and posterior are those of x, whatever the mode. The first is a case of Kleppe (2019,
https://doi.org/10.1080/10618600.2019.1584901).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from graphlib import CycleError, TopologicalSorter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayes_msem.build.blueprint import Blueprint
from bayes_msem.build.density import prior_scales
from bayes_msem.build.nuts_density import Geometry
from bayes_msem.build.prior_kernels import UNBOUNDED
from bayes_msem.data.observe import ObservedData
from bayes_msem.spec.expressions import names
from bayes_msem.spec.table import ParameterTable, Row

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
Means = dict[tuple[str, str], float]


def geometry_at(blueprint: Blueprint, x: FloatArray, information: FloatArray) -> Geometry:
    """Find the geometry of a model.

    Parameters
    ----------
    blueprint
        The model.
    x
        Sampled parameters at a mode, (n_free,).
    information
        What the data say about each parameter there, the others given: minus the second
        derivative of the log-likelihood, (n_free,).
    """
    return Geometry(*_scaling(blueprint, x, information), *_shear(blueprint, x))


def _scaling(blueprint: Blueprint, x: FloatArray, information: FloatArray) -> tuple[Any, ...]:
    """Slopes and loadings whose predictor has a free variance: the first part of Geometry."""
    parameters = blueprint.parameters
    position = parameters.position
    variances = {
        (row.level, row.lhs): position[row.free]
        for row in blueprint.table.rows
        if row.kind == "variance" and row.free
    }
    centers = np.array([blueprint.priors[row.free].median for row in parameters.rows])
    precision = 1.0 / (prior_scales(blueprint) / 0.6745) ** 2
    found: dict[int, int] = {}
    for row in _paths(blueprint.table):
        source = variances.get((row.level, _source(row)))
        if not row.free or source is None or blueprint.prior_arrays.bounded[position[row.free]]:
            continue
        found.setdefault(position[row.free], source)
    path = np.array(list(found), dtype=np.int64)
    sd = np.array(list(found.values()), dtype=np.int64)
    psi, said = x[sd] ** 2, np.maximum(information[path], 0.0)
    prior = centers[path] * precision[path]
    unit = precision[path] + said
    # the center is the prior's without data, and the mode at the variance of the mode
    offset = (x[path] * unit - prior) / psi
    return path, sd, precision[path], said / psi, prior, offset, unit


def _shear(blueprint: Blueprint, x: FloatArray) -> tuple[Any, ...]:
    """Find intercepts and the means of their predictors: the second part of Geometry."""
    table, position = blueprint.table, blueprint.parameters.position
    means = _means(blueprint, x)
    intercepts = _intercepts(blueprint)
    random = {row.random for row in table.rows if row.random}
    top = "between" if table.two_level else "within"
    entries: dict[tuple[int, int, int], float] = {}
    for row in sorted(_paths(table), key=lambda row: _target(row) not in random):
        to = intercepts.get(_target(row))
        source = position[row.free] if row.free else intercepts.get(row.random or "")
        weight = means.get((row.level, _source(row)), 0.0)
        # parts within clusters have mean zero, and covariates no intercept
        mean = intercepts.get(_source(row), -1) if row.level == top else -1
        if to is not None and source is not None and to != source and (weight or mean >= 0):
            key = (to, source, mean)
            entries[key] = entries.get(key, 0.0) + (weight if mean < 0 else 0.0)
    if _cyclic(entries):
        # feedback: means as constants, so that the Jacobian stays 1
        at = {i: means[top, name] for name, i in intercepts.items() if (top, name) in means}
        entries = {
            (to, source, -1): weight if mean < 0 else at[mean]
            for (to, source, mean), weight in entries.items()
        }
    columns = np.array(list(entries), dtype=np.int64).reshape(-1, 3)
    return (*(np.ascontiguousarray(c) for c in columns.T), np.array(list(entries.values())))


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
    latent = geometry.mean >= 0
    weight = np.where(latent, 0.0, geometry.weight)
    np.add.at(v, geometry.to, weight * x[geometry.source])
    system = np.eye(len(x))
    where = (geometry.to[latent], geometry.mean[latent])
    np.subtract.at(system, where, x[geometry.source[latent]])
    v[: len(x)] = np.linalg.solve(system, v[: len(x)])
    psi = x[geometry.sd] ** 2
    q = geometry.precision + geometry.information * psi
    center = (geometry.prior + geometry.offset * psi) / q
    v[geometry.path] = (x[geometry.path] - center) / np.sqrt(geometry.unit / q)
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
