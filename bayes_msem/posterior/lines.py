"""Regression lines of clusters and of levels, with the points that they are drawn over.

Where a product ``x:z`` is among the predictors, the slope of x is the one at a value of z: that of
the cluster if z belongs to clusters, else its mean.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayes_msem.data.cluster_column import rounding
from bayes_msem.data.observed_data import ObservedData, source_rows
from bayes_msem.errors import SpecificationError, nearest
from bayes_msem.posterior.summary import IntervalKind, check_interval, interval
from bayes_msem.spec.statements import Part
from bayes_msem.spec.table import ParameterTable, Row, RowKey

__all__ = ["Band", "ClusterLines", "LevelSlope", "Posterior", "cluster_lines", "level_slopes"]

FloatArray = NDArray[np.float64]

_GRID = 50  # points of a band
_LEAST_SPREAD = 1e-12  # relative
_WHERE = (" between clusters", " inside clusters")


@dataclass(frozen=True, slots=True, eq=False)
class Posterior:
    """What the lines are made of: the table, its draws, cluster effects, and the data."""

    table: ParameterTable
    draws: Mapping[RowKey, FloatArray]
    effects: xr.Dataset
    observed: ObservedData

    def slope(self, row: Row) -> FloatArray:
        """Draws of a coefficient, (chain, draw, cluster), or with one "cluster" if it is fixed."""
        if row.random:
            values = self.effects["effects"].sel(effect=row.random)
            return values.transpose("chain", "draw", "cluster_id").to_numpy()
        return self.draws[row.key][..., None]

    def slope_at_means(self, row: Row) -> FloatArray:
        """Draws of a coefficient with its products, the other variables being held."""
        slope = self.slope(row)
        for product in self.products(row.level, row.lhs):
            parts = self.observed.coded.columns[product.rhs]
            if row.rhs in [part.name for part in parts]:
                held = [self._held(p, row.level) for p in parts if p.name != row.rhs]
                slope = slope + self.slope(product) * np.prod(np.broadcast_arrays(*held), axis=0)
        return slope

    def products(self, level: str, outcome: str) -> list[Row]:
        """Rows of the products that predict an outcome."""
        columns = self.observed.coded.columns
        return [
            row
            for row in self.table.rows
            if (row.level, row.kind, row.lhs) == (level, "regression", outcome)
            if len(columns.get(row.rhs, ())) > 1
        ]

    def product_at_means(self, product: Row) -> FloatArray:
        """Value of a product where its variables are held, (cluster,) or (1,)."""
        held = [self._held(p, product.level) for p in self.observed.coded.columns[product.rhs]]
        result: FloatArray = np.prod(np.broadcast_arrays(*held), axis=0)
        return result

    def _held(self, part: Part, level: str) -> FloatArray:
        """Values of the clusters of a variable that belongs to them, (cluster,), or its mean."""
        observed = self.observed
        code = observed.cluster
        values = source_rows(observed, part)
        assert code is not None
        seen = ~np.isnan(values)
        means = _means(values, code, observed.n_clusters)
        varies = np.abs(values - means[code])[seen].max() > rounding(values[seen])
        if level == "within" and not varies:
            return means
        return np.array([means.mean() if level == "between" else values[seen].mean()])

    def row(self, level: str, outcome: str, predictor: str) -> Row:
        """Row of a regression, or an error that lists those of the level."""
        rows = [r for r in self.table.rows if r.level == level and r.kind == "regression"]
        for row in rows:
            if (row.lhs, row.rhs) == (outcome, predictor):
                return row
        known = [f"{r.lhs} ~ {r.rhs}" for r in rows]
        wanted = f"{outcome} ~ {predictor}"
        listed = ", ".join(known) or "no regression at all"
        hint = nearest(wanted, known)
        raise SpecificationError(f"no row '{wanted}' at level {level}{hint or '.'} It has {listed}")


@dataclass(frozen=True, slots=True, eq=False)
class Band:
    """Posterior mean of a line, and its interval at every point of a grid."""

    grid: FloatArray
    mean: FloatArray
    lower: FloatArray
    upper: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class ClusterLines:
    """Regression line of every cluster, and their average.

    Attributes
    ----------
    segments
        (cluster, 2, 2): for each cluster with values of the predictor the points (x, y) at the
        smallest and the largest of them, at posterior means.
    total
        Clusters in the data.
    average
        The line of the mean of all clusters.
    others
        Number of other covariates, which are held at their means.
    """

    segments: FloatArray
    total: int
    average: Band
    others: int


@dataclass(frozen=True, slots=True, eq=False)
class LevelSlope:
    """Points of one level, and the line through their centre.

    Attributes
    ----------
    x, y
        Cluster means, or deviations from them.
    line
        The line.
    slope
        Posterior mean of the slope (of its mean over clusters, if it varies).
    total
        How many points there would be without missing values.
    """

    x: FloatArray
    y: FloatArray
    line: Band
    slope: float
    total: int


def cluster_lines(
    posterior: Posterior, outcome: str, predictor: str, *, ci: float, ci_kind: IntervalKind
) -> ClusterLines:
    """Compute the regression line of every cluster, and their average with its interval.

    Parameters
    ----------
    posterior
        Table, draws, cluster effects and data.
    outcome
        A variable with a random intercept.
    predictor
        An observed covariate at level within; its slope may be random or fixed.
    ci, ci_kind
        Mass and kind of the interval of the average line.

    Raises
    ------
    SpecificationError
        No such regression, no random intercept, or the predictor is not an observed covariate, or
        does not vary.
    """
    check_interval(ci, ci_kind)
    observed, table = posterior.observed, posterior.table
    row = posterior.row("within", outcome, predictor)
    if predictor not in observed.x_names:
        raise SpecificationError(
            f"'{predictor}' is {table.roles['within', predictor]}, not an observed covariate: its "
            "values within clusters are latent; plot_levels shows both slopes of a split variable"
        )
    if outcome not in posterior.effects["effect"]:
        raise SpecificationError(
            f"'{outcome}' has no random intercept; write it at level between too"
        )
    _check_no_product(observed, predictor)
    slope = posterior.slope_at_means(row)
    level, others = _level(posterior, outcome, predictor)
    x, code = observed.x[:, observed.x_names.index(predictor)], observed.cluster
    assert code is not None
    seen = ~np.isnan(x)  # rows without any outcome may lack covariates
    _check_spread(x[seen], predictor, "")
    low, high = (f(x[seen], code[seen], observed.n_clusters) for f in (_smallest, _largest))
    there = np.isfinite(low)
    ends = np.stack([low, high], axis=-1)  # (cluster, 2)
    a, b = level.mean(axis=(0, 1)), np.broadcast_to(slope.mean(axis=(0, 1)), low.shape)
    segments = np.stack([ends, a[:, None] + b[:, None] * ends], axis=-1)[there]
    grid = np.linspace(x[seen].min(), x[seen].max(), _GRID)
    average = level.mean(axis=-1)[..., None] + slope.mean(axis=-1)[..., None] * grid
    return ClusterLines(segments, len(low), _band(grid, average, ci, ci_kind), others)


def level_slopes(
    posterior: Posterior,
    x: str,
    y: str,
    *,
    between: str,
    ci: float,
    ci_kind: IntervalKind,
) -> tuple[LevelSlope, LevelSlope]:
    """Compute cluster means with the slope between, and deviations with the slope within.

    Parameters
    ----------
    posterior
        Table, draws, cluster effects and data.
    x, y
        Predictor and outcome; both levels need a regression of ``y``.
    between
        Name of the predictor at level between, such as an observed cluster mean.
    ci, ci_kind
        Mass and kind of the interval.

    Returns
    -------
    tuple
        Level between, and level within. A mean is of the values observed; deviations are those of
        rows with both values, from the means of such rows.

    Raises
    ------
    SpecificationError
        No such regression, one of latent variables, or a predictor that does not vary.
    """
    check_interval(ci, ci_kind)
    rows = [posterior.row("between", y, between), posterior.row("within", y, x)]
    observed = posterior.observed
    code = observed.cluster
    assert code is not None
    points = [
        _cluster_points(observed, code, between, y),
        _deviation_points(observed, code, x, y),
    ]
    for (u, _), name, where in zip(points, (between, x), _WHERE, strict=True):
        _check_spread(u, name, where)
    found = []
    totals = (observed.n_clusters, observed.n_rows)
    for row, (u, v), total in zip(rows, points, totals, strict=True):
        _check_no_product(observed, row.rhs)
        slope = posterior.slope_at_means(row).mean(axis=-1)
        grid = np.linspace(u.min(), u.max(), _GRID)
        lines = v.mean() + slope[..., None] * (grid - u.mean())
        found.append(LevelSlope(u, v, _band(grid, lines, ci, ci_kind), float(slope.mean()), total))
    return found[0], found[1]


def _band(grid: FloatArray, lines: FloatArray, ci: float, ci_kind: IntervalKind) -> Band:
    """Summarise lines (chain, draw, point) at every point."""
    lower, upper = interval(lines, ci, ci_kind)
    return Band(grid, lines.mean(axis=(0, 1)), lower, upper)


def _level(posterior: Posterior, outcome: str, predictor: str) -> tuple[FloatArray, int]:
    """Outcome (chain, draw, cluster) at predictor 0, others at means; and the number of others."""
    observed, n = posterior.observed, 0
    start = posterior.effects["effects"].sel(effect=outcome)
    level = start.transpose("chain", "draw", "cluster_id").to_numpy()
    for row in posterior.table.rows:
        if (row.level, row.kind, row.lhs) != ("within", "regression", outcome):
            continue
        if row in posterior.products("within", outcome):
            if predictor not in [part.name for part in observed.coded.columns[row.rhs]]:
                level = level + posterior.slope(row) * posterior.product_at_means(row)
        elif row.rhs != predictor and row.rhs in observed.x_names:
            mean = np.nanmean(observed.x[:, observed.x_names.index(row.rhs)])
            level, n = level + posterior.slope(row) * mean, n + 1
    return level, n


def _check_no_product(observed: ObservedData, name: str) -> None:
    """Raise if a predictor is a product, which does not vary alone."""
    parts = observed.coded.columns.get(name, ())
    if len(parts) > 1:
        shown = " or ".join(f"'{part.name}'" for part in parts)
        raise SpecificationError(
            f"'{name}' is a product, which does not vary while its variables are held; choose "
            f"{shown}, whose line takes the product along"
        )


def _column(observed: ObservedData, name: str) -> FloatArray:
    """Values of an observed variable, one per row of the data."""
    for names, values in ((observed.y_names, observed.y), (observed.x_names, observed.x)):
        if name in names:
            return values[:, names.index(name)]
    for names, values in ((observed.w_names, observed.w), (observed.z_names, observed.z)):
        if name in names:
            return values[observed.cluster, names.index(name)]
    raise SpecificationError(f"'{name}' is latent; its values cannot be plotted against others")


def _cluster_points(
    observed: ObservedData, code: NDArray[np.int64], x: str, y: str
) -> tuple[FloatArray, FloatArray]:
    """Means of what is observed of x and of y, in clusters that have both."""
    u, v = (_means(_column(observed, name), code, observed.n_clusters) for name in (x, y))
    both = ~np.isnan(u) & ~np.isnan(v)
    return u[both], v[both]


def _deviation_points(
    observed: ObservedData, code: NDArray[np.int64], x: str, y: str
) -> tuple[FloatArray, FloatArray]:
    """Deviations of rows with both values from the means of such rows in their cluster."""
    u, v = _column(observed, x), _column(observed, y)
    both = ~np.isnan(u) & ~np.isnan(v)
    u, v, code = u[both], v[both], code[both]
    means = (_means(values, code, observed.n_clusters)[code] for values in (u, v))
    return u - next(means), v - next(means)


def _check_spread(values: FloatArray, name: str, where: str) -> None:
    """Raise if there is nothing to draw a line over."""
    if not len(values):
        raise SpecificationError(f"no row has values of both '{name}' and the outcome to show")
    if np.ptp(values) <= _LEAST_SPREAD * (1.0 + np.abs(values).max()):
        raise SpecificationError(
            f"'{name}' does not vary{where} in the rows that can be shown, so there is no line "
            "to draw"
        )


def _means(values: FloatArray, code: NDArray[np.int64], n: int) -> FloatArray:
    """Mean of the values observed in each of n clusters; NaN where there are none."""
    seen = ~np.isnan(values)
    total = np.bincount(code[seen], weights=values[seen], minlength=n)
    number = np.bincount(code[seen], minlength=n)
    return np.where(number > 0, total / np.maximum(number, 1), np.nan)


def _smallest(x: FloatArray, code: NDArray[np.int64], n: int) -> FloatArray:
    result = np.full(n, np.inf)
    np.minimum.at(result, code, x)
    return result


def _largest(x: FloatArray, code: NDArray[np.int64], n: int) -> FloatArray:
    return -_smallest(-x, code, n)
