"""The matrices of each level, per draw, and the covariances of all its variables.

The variables v of a level (observed and latent) follow v = K d + B v + z with z ~ N(0, Psi) and the
design d = (1, covariates). With T = (I - B)^-1 and S the covariance matrix of d in the data
(divisor N within, number of clusters between; zero for the constant),

    Cov(v) = T (Psi + K S K') T' ,     E(v) = T K mean(d) .

The covariates of a model are conditioned on, so their variance is not a parameter: what they
contribute to Cov(v) is taken at its value in the data.

Random coefficients. The level within is that of *one* cluster: a given one, or the average one,
whose coefficients u are all at their means E(u), covariates at their means. Log standard deviations
and Fisher-z correlations are averaged on their own scale. All arrays have the draws first.

Outcomes that are not normal. Level within is that of the latent responses, whose residual variance
is fixed; what is left of a count given its log rate (posterior.count_variance) is its residual.
Residuals whose log SD depends on the row have the variance that they have on average over the rows
(structure.scaled_residuals).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bayes_msem.blueprint.blueprint import Blueprint
from bayes_msem.data.observed_data import ObservedData
from bayes_msem.posterior.count_variance import (
    count_variance,
    counts_between,
    counts_within,
    mean_exposure,
)
from bayes_msem.spec.table import RowKey
from bayes_msem.structure.effects import Effects
from bayes_msem.structure.matrices import level_matrices
from bayes_msem.structure.model_template import ModelTemplate
from bayes_msem.structure.nested import NestedTemplate
from bayes_msem.structure.scaled_residuals import mean_residual_variances
from bayes_msem.structure.templates import LevelTemplate

__all__ = [
    "Level",
    "Levels",
    "average_effects",
    "between_loadings",
    "between_parts",
    "levels_at",
    "top_parts",
    "whole_variances",
]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Level:
    """One level, per draw: m variables, D columns of the design.

    Attributes
    ----------
    level
        "within" or "between".
    names, design
        Names of the variables and of the design, which starts with "1".
    b, psi, total
        B, Psi and (I - B)^-1, each (n, m, m).
    k
        Coefficients of the design, (n, m, D).
    design_mean, design_covariance
        Of the design in the data, (D,) and (D, D).
    covariance
        Cov(v), the contribution of the covariates included, (n, m, m).
    """

    level: str
    names: tuple[str, ...]
    design: tuple[str, ...]
    b: FloatArray
    psi: FloatArray
    k: FloatArray
    total: FloatArray
    design_mean: FloatArray
    design_covariance: FloatArray
    covariance: FloatArray

    @property
    def variance(self) -> FloatArray:
        """Variances of all variables, (n, m)."""
        diagonal: FloatArray = np.einsum("nii->ni", self.covariance)
        return diagonal

    @property
    def mean(self) -> FloatArray:
        """Means of all variables with covariates at their means, (n, m)."""
        mean: FloatArray = self.total @ (self.k @ self.design_mean)[..., None]
        return mean[..., 0]

    @property
    def covariates(self) -> tuple[str, ...]:
        """Covariates that some coefficient of this level belongs to."""
        used = (self.k != 0).any(axis=(0, 1))
        return tuple(v for v, u in zip(self.design[1:], used[1:], strict=True) if u)

    def index(self, names: tuple[str, ...]) -> list[int]:
        """Positions of variables."""
        return [self.names.index(name) for name in names]


@dataclass(frozen=True, slots=True, eq=False)
class Levels:
    """The levels of a model; ``between`` is None in single-level models.

    Attributes
    ----------
    blueprint
        The model.
    within, between
        Their matrices.
    row_values
        Value of every row of the parameter table that is not a definition, (n,). Several rows
        may stand in one cell of a matrix; what one of them contributes is here.
    top
        The third level; None in models without one. ``between`` is then level 2, of the average top
        unit.
    """

    blueprint: Blueprint
    within: Level
    between: Level | None
    row_values: Mapping[RowKey, FloatArray]
    top: Level | None = None

    @property
    def both(self) -> tuple[Level, ...]:
        """The levels there are, the lowest first."""
        found = (self.within, self.between, self.top)
        return tuple(level for level in found if level is not None)


def levels_at(
    blueprint: Blueprint,
    theta: FloatArray,
    *,
    x: FloatArray | None = None,
    effects: Mapping[str, FloatArray] | None = None,
    cluster: int | None = None,
) -> Levels:
    """Compute the matrices of both levels at given parameters.

    Parameters
    ----------
    blueprint
        The model.
    theta
        Extended table values, (n, n_theta).
    x
        Sampled parameters they come from, (n, n_free); needed with sampled effects only.
    effects
        Random coefficients by name, each (n,), of the cluster that the level within stands for.
        None: those of the average cluster.
    cluster
        Position of the cluster whose covariates give the design of the level within; None: all
        rows.

    Returns
    -------
    Levels
    """
    template, observed = blueprint.template, blueprint.observed
    values, between, top = blueprint.value_vectors(theta), None, None
    above: dict[str, FloatArray] = {}
    if blueprint.nested is not None:
        top = top_level(blueprint.nested, values, observed)
        above = average_effects(top)
    if observed.two_level:
        moments = _design_moments(template.between.design, observed.w_names, observed.w)
        slopes = None
        if blueprint.nested is not None:
            slopes = _slopes(blueprint.nested.top_effects, template.between, above, len(theta))
        between = _level(template.between, values, moments, slopes)
    rows = observed.informative  # the others may miss their covariates
    if cluster is not None:
        rows = rows & (observed.cluster == cluster)
    moments = _design_moments(template.within.design, observed.x_names, observed.x[rows])
    slopes, shared, u = None, values, dict[str, FloatArray]()
    if template.varies and between is not None:
        u = dict(average_effects(between) if effects is None else effects)
        if effects is None and blueprint.nested is not None:
            u = {name: mean + above.get(name, 0.0) for name, mean in u.items()}
        slopes = _slopes(template.effects, template.within, u, len(theta))
        if template.effects.rows:
            values = _cluster_values(blueprint, x, u)
    within = _level(template.within, values, moments, slopes)
    rows_of = _row_values(blueprint, shared, values, above | u)
    levels = Levels(blueprint, within, between, rows_of, top)
    if template.responses is not None and template.responses.scaled:
        design = np.column_stack([np.ones(int(rows.sum())), observed.x[rows]])
        levels = _with_scaled(levels, values, u, design)
        within = levels.within
    if counts := counts_within(observed):
        within = _with_counts(levels, within, counts)
    if between is not None and (counts := counts_between(observed)):
        between = _with_counts(levels, between, counts)
    return replace(levels, within=within, between=between)


def top_level(nested: NestedTemplate, values: FloatArray, observed: ObservedData) -> Level:
    """Matrices of the third level."""
    moments = _design_moments(nested.top.design, observed.w3_names, observed.w3)
    return _level(nested.top, values, moments)


def _with_scaled(
    levels: Levels, values: FloatArray, u: Mapping[str, FloatArray], design: FloatArray
) -> Levels:
    """Give scaled responses their average residual variance; nothing depends on them."""
    template, within = levels.blueprint.template, levels.within
    b = None
    if template.effects.sampled:
        b = np.stack([u[name] for name in template.effects.sampled], axis=-1)
    found = mean_residual_variances(template, values, b, design)
    psi, covariance = within.psi.copy(), within.covariance.copy()
    row_values = dict(levels.row_values)
    assert template.responses is not None
    for k, name in enumerate(template.responses.scaled):
        i = within.names.index(name)
        psi[:, i, i] += found[:, k]
        covariance[:, i, i] += found[:, k]
        row_values[RowKey("within", name, "~~", name)] = found[:, k]
    within = replace(within, psi=psi, covariance=covariance)
    return replace(levels, within=within, row_values=row_values)


def _with_counts(levels: Levels, level: Level, counts: tuple[str, ...]) -> Level:
    """Give counts the residual variance that they have on the log scale; nothing depends on it."""
    between, observed = levels.between, levels.blueprint.observed
    psi, covariance = level.psi.copy(), level.covariance.copy()
    split, parts = observed.split_names, None if between is None else between_parts(levels)
    for name in counts:
        i = level.names.index(name)
        mean, variance = level.mean[:, i], level.variance[:, i]
        if between is not None and parts is not None and name in split:
            k = split.index(name)
            mean = mean + between.mean[:, between.names.index(name)]
            variance = variance + parts[:, k, k]
        own = RowKey(level.level, name, "~~", name)
        dispersion = levels.row_values.get(own, np.zeros(len(mean)))
        exposure = mean_exposure(observed, name)
        residual = count_variance(mean, variance, dispersion, exposure=exposure)
        psi[:, i, i] += residual
        covariance[:, i, i] += residual
    return replace(level, psi=psi, covariance=covariance)


def _row_values(
    blueprint: Blueprint,
    shared: FloatArray,
    values: FloatArray,
    u: Mapping[str, FloatArray],
) -> dict[RowKey, FloatArray]:
    """Value of every row: level between from ``shared``, level within from ``values`` and u."""
    sources = blueprint.template.sources
    result: dict[RowKey, FloatArray] = {}
    for row in blueprint.table.rows:
        if row.kind == "defined":
            continue
        if row.key in sources:
            vectors = values if row.level == "within" else shared
            result[row.key] = vectors[:, sources[row.key]]
        elif row.random in u:  # a random slope on a covariate, which has no cell
            result[row.key] = u[row.random]
    return result


def average_effects(between: Level) -> dict[str, FloatArray]:
    """Return the population means of all variables of level between, each (n,)."""
    return dict(zip(between.names, between.mean.T, strict=True))


def between_parts(levels: Levels) -> FloatArray:
    """Covariance matrix of the between parts of the split variables, covariates at their means.

    A random slope on x makes the differences between clusters depend on x: they are a_j + s_j x.
    Here x is at its mean over all rows.

    Returns
    -------
    (n, n_split, n_split) array
        In the order of ``observed.split_names``.
    """
    assert levels.between is not None
    loadings = between_loadings(levels)
    result: FloatArray = loadings @ levels.between.covariance @ loadings.transpose(0, 2, 1)
    return result


def top_parts(levels: Levels, names: tuple[str, ...]) -> FloatArray:
    """Variances of the parts of variables at level 3, covariates below at their means, (n, names).

    Parameters
    ----------
    levels
        A three-level model.
    names
        Split outcomes of level 1, and outcomes of level 2.
    """
    nested, between, top = levels.blueprint.nested, levels.between, levels.top
    assert nested is not None
    assert between is not None
    assert top is not None
    shift = np.zeros((len(between.b), len(between.names), len(top.names)))
    effects = nested.top_effects
    uses = zip(effects.use_effect, effects.use_variable, effects.use_column, strict=True)
    for effect, variable, column in uses:
        q = top.names.index(effects.linear[effect])
        if variable < 0:
            outcome = nested.lower.between.outcomes[-1 - variable]
            shift[:, between.names.index(outcome), q] += 1.0
        else:
            shift[:, :, q] += between.total[:, :, variable] * between.design_mean[column]
    split = levels.blueprint.observed.split_names
    loadings = between_loadings(levels)
    own = np.eye(len(between.names))
    rows = [
        loadings[:, split.index(name)]
        if name in split
        else np.broadcast_to(own[between.names.index(name)], loadings[:, 0].shape)
        for name in names
    ]
    paths = np.stack(rows, axis=1) @ shift
    variances: FloatArray = np.einsum("nij,njk,nik->ni", paths, top.covariance, paths)
    return variances


def whole_variances(levels: Levels) -> dict[str, FloatArray]:
    """Variance of every outcome, the parts of both levels together, (n,)."""
    within, split = levels.within, levels.blueprint.observed.split_names
    names = levels.blueprint.template.y_names
    result = {name: within.variance[:, within.names.index(name)] for name in names}
    if levels.between is not None:
        parts = between_parts(levels)
        result |= {name: result[name] + parts[:, k, k] for k, name in enumerate(split)}
        z = levels.blueprint.template.every_z
        result |= {name: levels.between.variance[:, levels.between.names.index(name)] for name in z}
    return result


def between_loadings(levels: Levels) -> FloatArray:
    """Coefficients of the between parts on the variables of level between (see above).

    Returns
    -------
    (n, n_split, m_between) array
    """
    within, between, template = levels.within, levels.between, levels.blueprint.template
    assert between is not None
    observed = levels.blueprint.observed
    split = observed.split_names
    loadings = np.zeros((len(within.b), len(split), len(between.names)))
    loadings[:, np.arange(len(split)), between.index(split)] = 1.0
    position = within.index(split)
    for effect, variable, covariate in _slopes_on_covariates(template):
        column = template.x_names.index(covariate)
        at_mean = observed.x[observed.informative, column].mean()
        u, v = between.names.index(effect), within.names.index(variable)
        loadings[:, :, u] += within.total[:, position, v] * at_mean
    return loadings


def _slopes_on_covariates(template: ModelTemplate) -> Iterator[tuple[str, str, str]]:
    """Random slopes on covariates: effect, the variable it is added to, and the covariate."""
    effects, names = template.effects, template.within.names
    uses = zip(effects.use_effect, effects.use_variable, effects.use_column, strict=True)
    for effect, variable, column in uses:
        if variable >= 0:  # the others are the random intercepts themselves
            yield effects.linear[effect], names[variable], template.x_names[column - 1]
    for row in effects.rows:  # with outcomes that are not normal, they are sampled
        if row.kind == "regression" and row.rhs in template.x_names:
            yield row.random, row.lhs, row.rhs


def _design_moments(
    design: tuple[str, ...], names: tuple[str, ...], data: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Mean and covariance (divisor: number of rows) of the design; zero for what is not used."""
    mean, covariance = np.zeros(len(design)), np.zeros((len(design), len(design)))
    mean[0] = 1.0
    if names:
        at = [design.index(name) for name in names]
        centred = data - data.mean(axis=0)
        mean[at] = data.mean(axis=0)
        covariance[np.ix_(at, at)] = centred.T @ centred / len(data)
    return mean, covariance


def _cluster_values(
    blueprint: Blueprint, x: FloatArray | None, u: Mapping[str, FloatArray]
) -> FloatArray:
    """Value vectors of a cluster with sampled effects."""
    assert x is not None, "sampled effects need the sampled parameters"
    points = np.ascontiguousarray(blueprint.extend_sampled(x))
    names, likelihood = blueprint.template.effects.sampled, blueprint.likelihood
    b = np.ascontiguousarray(np.stack([u[v] for v in names], axis=-1))
    return likelihood.values(points, b)


def _slopes(
    effects: Effects, level: LevelTemplate, u: Mapping[str, FloatArray], n: int
) -> FloatArray:
    """Coefficients of random slopes on covariates, (n, m, D); the template leaves them out."""
    slopes = np.zeros((n, len(level.names), len(level.design)))
    uses = zip(effects.use_effect, effects.use_variable, effects.use_column, strict=True)
    for effect, variable, column in uses:
        if variable >= 0:
            slopes[:, variable, column] += u[effects.linear[effect]]
    return slopes


def _level(
    template: LevelTemplate,
    values: FloatArray,
    moments: tuple[FloatArray, FloatArray],
    slopes: FloatArray | None = None,
) -> Level:
    found = level_matrices(template, values)
    k = found.k if slopes is None else found.k + slopes
    source = found.psi + k @ moments[1] @ k.transpose(0, 2, 1)
    return Level(
        level=template.level,
        names=template.names,
        design=template.design,
        b=found.b,
        psi=found.psi,
        k=k,
        total=found.total,
        design_mean=moments[0],
        design_covariance=moments[1],
        covariance=found.total @ source @ found.total.transpose(0, 2, 1),
    )
