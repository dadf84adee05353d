"""Checks of the data against the model: each names the culprit and the fix.

Nothing is repaired silently. Checks run in the order in which a user can act on them: the
frame, its columns and their types (:mod:`bayes_msem.data.columns`), missing values, clusters,
and last what the numbers can tell about the model. Row numbers in messages are positions,
counted from 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayes_msem.data.columns import listed, plural
from bayes_msem.data.missing import never_together
from bayes_msem.errors import DataError

if TYPE_CHECKING:
    from bayes_msem.data.observe import ObservedData
    from bayes_msem.spec.table import Row

__all__ = [
    "advice",
    "check_cluster_sizes",
    "check_collinear",
    "check_counts",
    "check_variation",
    "cluster_values",
]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

FEW_CLUSTERS = 20
# The spread inside a cluster of two rows has one degree of freedom: it hardly says how the SD or a
# correlation of this cluster differs from those of others.
_FEW_ROWS = 3
# Below this, sums of squares and their inverses leave the range of float64.
_SMALLEST = 1e-50
# A residual of this size, in standard deviations, is rounding of the data and not variation.
_NEGLIGIBLE = 1e-9


def check_cluster_sizes(sizes: IntArray, ids: pd.Index[Any]) -> None:
    """Raise DataError unless there are several clusters, one of them with several rows."""
    if len(ids) == 1:
        raise DataError(
            f"cluster column '{ids.name}' has one cluster only ({listed(list(ids))}); a two-level "
            "model needs at least two: check the column, or fit a single-level model"
        )
    if sizes.max() == 1:
        raise DataError(
            f"every row is a cluster of its own (column '{ids.name}', {len(ids)} clusters of "
            "size 1), so within and between variation cannot be told apart; name the column "
            "that groups rows, or fit a single-level model"
        )


def cluster_values(
    name: str, values: FloatArray, codes: IntArray, ids: pd.Index[Any]
) -> FloatArray:
    """Return the value of a cluster-level variable in every cluster, (J,).

    Rows without a value are passed over: the value of a cluster is that of its other rows, and NaN
    if no row has one.

    Raises
    ------
    DataError
        The variable varies inside a cluster.
    """
    seen = np.flatnonzero(~np.isnan(values))
    result = np.full(len(ids), np.nan)
    result[codes[seen[::-1]]] = values[seen[::-1]]  # the first row of each cluster is written last
    varies = np.zeros(len(values), dtype=bool)
    varies[seen] = np.abs(values[seen] - result[codes[seen]]) > _rounding(values[seen])
    if varies.any():
        culprits = np.unique(codes[varies])
        shown = listed([ids[j] for j in culprits[:5]]) + (", ..." if len(culprits) > 5 else "")
        raise DataError(
            f"'{name}' is used at the between level only, so it must be constant inside each "
            f"'{ids.name}', but it varies inside {len(culprits)} of {len(ids)} clusters: {shown}; "
            f"correct it, use '{name}' at the within level too, or use its cluster means, "
            f"data.groupby('{ids.name}')['{name}'].transform('mean')"
        )
    return result


def check_variation(observed: ObservedData) -> None:
    """Raise DataError for variables that do not vary where the model says they do."""
    blocks = (
        (observed.y, observed.y_names, "all rows"),
        (observed.x, observed.x_names, "all rows"),
        (observed.z, observed.z_names, "all clusters"),
        (observed.w, observed.w_names, "all clusters"),
    )
    for values, names, where in blocks:
        for k, name in enumerate(names):
            column = values[:, k]
            _check_not_constant(column[~np.isnan(column)], name, where)
    if observed.cluster is not None:
        for k, name in enumerate(observed.y_names):
            _check_both_levels(observed, observed.y[:, k], name)


def _check_not_constant(column: FloatArray, name: str, where: str) -> None:
    spread = float(column.max() - column.min())
    if spread <= 8 * np.finfo(float).eps * float(np.abs(column).max()):
        raise DataError(
            f"'{name}' is constant: it has the value {column[0]:g} in {where}, so it carries no "
            "information; remove it from the model, or check how the data were selected"
        )
    if spread < _SMALLEST:
        raise DataError(f"'{name}' varies by less than {_SMALLEST:g}; express it in smaller units")


def _check_both_levels(observed: ObservedData, column: FloatArray, name: str) -> None:
    """Check that a level-1 variable varies inside clusters, and if split also between them."""
    assert observed.cluster is not None
    seen = ~np.isnan(column)
    column, cluster = column[seen], observed.cluster[seen]
    _, cluster, sizes = np.unique(cluster, return_inverse=True, return_counts=True)
    centred = column - column.mean()
    means = np.bincount(cluster, weights=centred) / sizes
    deviation = centred - means[cluster]
    if np.abs(deviation).max() <= _rounding(column):
        raise DataError(
            f"'{name}' is constant inside every '{observed.cluster_name}', so it is a "
            f"cluster-level variable; use '{name}' at the between level only"
        )
    # Means of independent rows differ by about sd / sqrt(n). Far less than that is a variable
    # that was centred inside clusters and rounded, as in a file of a few decimals.
    by_chance = float(deviation.std()) / np.sqrt(sizes.max())
    if name in observed.split_names and np.ptp(means) <= 1e-4 * by_chance:
        raise DataError(
            f"'{name}' is used at both levels, but all '{observed.cluster_name}' means are equal "
            "(it was probably centred inside clusters); use the uncentred variable, or remove "
            f"'{name}' from the between level"
        )


def check_counts(observed: ObservedData) -> None:
    """Raise DataError if there are too few rows or clusters for the covariates."""
    units = [("row", observed.n_rows, observed.x_names, "covariate")]
    if observed.two_level:
        units.append(("cluster", observed.n_clusters, observed.w_names, "cluster-level covariate"))
    for unit, count, names, role in units:
        needed = len(names) + 2
        if count < needed:
            because = f" with {plural(len(names), role)} ({listed(names)})" if names else ""
            raise DataError(
                f"data has {plural(count, unit)}, but the model{because} needs at least "
                f"{plural(needed, unit)}; use more data"
                + (", or fewer covariates" if names else "")
            )


def check_collinear(observed: ObservedData) -> None:
    """Raise DataError if a covariate is an exact linear combination of others."""
    blocks = (
        (observed.x[observed.informative], observed.x_names, "covariate"),
        (observed.w, observed.w_names, "cluster-level covariate"),
    )
    for values, names, role in blocks:
        found = _exact_combination(values, names)
        if found:
            name, others = found
            raise DataError(
                f"{role} '{name}' is an exact linear combination of {listed(others)} and the "
                "intercept, so their effects cannot be told apart; remove one of them from the "
                "model (for dummy variables, leave out the reference category)"
            )


def _exact_combination(
    values: FloatArray, names: Sequence[str]
) -> tuple[str, tuple[str, ...]] | None:
    """Return the first column that earlier ones (and a constant) reproduce, and those columns.

    With columns centred and scaled, values = Q R, and R[k, k] is the part of column k, in
    standard deviations, that the columns before it leave over.
    """
    if values.shape[1] < 2 or values.shape[0] < values.shape[1]:
        return None
    standard = values - values.mean(axis=0)
    scale = standard.std(axis=0)
    if not scale.all():  # among the complete rows only: elsewhere it varies
        return None
    standard /= scale
    tolerance = _NEGLIGIBLE + 8 * np.finfo(float).eps * np.abs(values).max(axis=0) / scale
    upper = np.linalg.qr(standard, mode="r") / np.sqrt(len(values))
    for k in range(1, len(names)):
        if abs(upper[k, k]) <= tolerance[: k + 1].max():
            weights = np.linalg.solve(upper[:k, :k], upper[:k, k])
            return names[k], tuple(names[i] for i in range(k) if abs(weights[i]) > 1e-6)
    return None


def advice(observed: ObservedData, varying: Sequence[Row] = ()) -> list[str]:
    """Return notes on what these data can and cannot tell; none is an error.

    Parameters
    ----------
    observed
        Data that passed all checks.
    varying
        Rows whose coefficient varies over clusters.

    Returns
    -------
    list of str
        One sentence or two per note; empty if there is nothing to say.
    """
    notes: list[str] = []
    complete = observed.y[~np.isnan(observed.y).any(axis=1)]
    dependent = _exact_combination(complete, observed.y_names)
    if dependent:
        name, others = dependent
        notes.append(
            f"'{name}' is an exact linear combination of {listed(others)}: a model that lets its "
            "residual variance go to 0 has an unbounded likelihood. Remove one of them."
        )
    notes += [
        f"'{first}' and '{second}' are never observed in the same row: the data say nothing about "
        "their residual covariance at level within, so model and priors decide it."
        for first, second in never_together(observed)
    ]
    if not observed.two_level:
        return notes
    n_clusters = observed.n_clusters
    if n_clusters < FEW_CLUSTERS:
        notes.append(
            f"Only {n_clusters} clusters ('{observed.cluster_name}'): priors on between-level "
            "variances and slopes matter for the results. Look at the printed priors, set those "
            "you can justify, refit with wider and narrower ones, and report intervals, not "
            "point estimates."
        )
    notes += _advice_on_number(observed, varying)
    singletons = int((observed.sizes == 1).sum())
    if singletons:
        notes.append(
            f"Clusters with a single row: {singletons} of {n_clusters}. They are used, but say "
            "nothing about variation inside clusters."
        )
    notes += _advice_on_spreads(observed, varying)
    return notes


def _advice_on_number(observed: ObservedData, varying: Sequence[Row]) -> list[str]:
    """Compare the number of clusters with that of all quantities that vary between them."""
    effects = tuple(dict.fromkeys(row.random for row in varying))
    names = (*observed.split_names, *observed.z_names)
    n_between, n_clusters = len(names) + len(effects), observed.n_clusters
    if n_clusters > n_between + len(observed.w_names):
        return []
    if not effects:
        return [
            f"{n_between} variables vary between {n_clusters} clusters: the data alone do not "
            "determine all between-level (co)variances. Keep the between model small."
        ]
    variables = f" ({listed(names)})" if names else ""
    return [
        f"{plural(len(names), 'variable')}{variables} and {plural(len(effects), 'coefficient')} "
        f"({listed(effects)}) vary between {n_clusters} clusters: the data alone do not determine "
        "all their (co)variances, so priors decide. Let fewer coefficients vary (remove rv()), or "
        "let them be independent: Model(..., random_covariances='none')."
    ]


def _advice_on_spreads(observed: ObservedData, varying: Sequence[Row]) -> list[str]:
    """Say where clusters are too small for random SDs and correlations."""
    spreads = [row for row in varying if row.kind in ("variance", "covariance")]
    median = float(np.median(observed.sizes))
    singletons = int((observed.sizes == 1).sum())
    if not spreads or (median >= _FEW_ROWS and not singletons):
        return []
    names = listed(tuple(dict.fromkeys(row.random for row in spreads)))
    if median < _FEW_ROWS:
        return [
            f"Random standard deviations and correlations ({names}) need several rows per "
            f"cluster, but half of the clusters have at most {median:g}: the data hardly say how "
            "they differ between clusters, so the priors of their level-2 variances decide. "
            f"Remove rv() from rows such as '{spreads[0].lhs} ~~ {spreads[0].rhs}', or report "
            "results under several priors."
        ]
    return [
        f"Random standard deviations and correlations ({names}) of clusters with a single row "
        f"({singletons} of {observed.n_clusters}) are predictions from level 2, not estimates."
    ]


def _rounding(values: FloatArray) -> float:
    """Return the difference below which two values of a variable count as equal."""
    rounding = 8 * np.finfo(float).eps * np.abs(values).max()
    return float(_NEGLIGIBLE * values.std() + rounding)
