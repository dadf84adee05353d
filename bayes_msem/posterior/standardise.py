"""Standardised solution (StdYX within each level) and explained variance.

With the matrices of a level (see posterior.levels) and SD_i = sqrt(Cov(v)_ii),

    loading, regression     b SD_k / SD_i ;  for covariates b sd(x_d) / SD_i
    variance                Psi_ii / SD_i^2 , the share that is not explained
    covariance              Psi_ik / sqrt(Psi_ii Psi_kk) , the (residual) correlation
    intercept               K_i1 / SD_i
    threshold               tau / SD of the whole latent response, the parts of both levels
    R^2                     1 - Psi_ii / SD_i^2

b is the value of the row itself, which is one of several where a loading and a regression stand
between the same two variables. sd(x) is the SD in the data: over rows within, over clusters
between, with the divisor N. Of a count, SD_i is that of posterior.levels; its dispersion has no
standardised value and is left out.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from bayes_msem.posterior.levels import Level, Levels, whole_variances
from bayes_msem.spec.expressions import evaluate, names
from bayes_msem.spec.table import ParameterTable, Row, RowKey

__all__ = [
    "explained_variance",
    "omission_note",
    "omitted_definitions",
    "standardised_values",
]

FloatArray = NDArray[np.float64]

# why a definition has no one standardised value
RANDOM = "use random coefficients"
SEVERAL_ROWS = "use a label of several rows, whose standardised values differ"
TWO_LEVELS = "combine both levels, which are standardised by different SDs"


def standardised_values(levels: Levels) -> dict[RowKey, FloatArray]:
    """Standardise every row of the parameter table.

    Parameters
    ----------
    levels
        The matrices of both levels, n draws.

    Returns
    -------
    dict
        Row key -> (n,) array, in the order of the table. Definitions are computed from
        standardised labels; those of :func:`omitted_definitions` are left out. What cannot be
        standardised (a variance of zero, correlations of negative variances) is NaN.
    """
    table = levels.blueprint.table
    by_name = {level.level: level for level in levels.both}
    whole = whole_variances(levels)
    result: dict[RowKey, FloatArray] = {}
    labels: dict[str, FloatArray] = {}
    omitted = omitted_definitions(table)
    with np.errstate(divide="ignore", invalid="ignore"):
        for row in table.rows:
            if row.kind not in ("defined", "dispersion"):
                value = levels.row_values[row.key]
                if row.kind == "threshold":
                    result[row.key] = value / np.sqrt(whole[row.lhs])
                else:
                    result[row.key] = _standardised(row, value, by_name[row.level])
                labels.setdefault(row.label, result[row.key])
        n = len(levels.within.b)
        for definition in table.definitions:
            if definition.name not in omitted:
                value = np.broadcast_to(evaluate(definition.expression, labels), (n,))
                labels[definition.name] = np.asarray(value, dtype=np.float64)
    for row in table.rows:
        if row.kind == "defined" and row.lhs not in omitted:
            result[row.key] = labels[row.lhs]
    return result


def omitted_definitions(table: ParameterTable) -> dict[str, str]:
    """Definitions without one standardised value, each with the reason.

    They use a random coefficient, a label that stands on several rows (whose standardised values
    differ), labels of both levels (which are standardised by different SDs: a difference of
    slopes would be a difference of units as well), or such a definition.
    """
    places: dict[str, list[str]] = {}
    for row in table.rows:
        if row.label and row.kind != "defined":
            places.setdefault(row.label, []).append(row.level)
    unclear = {row.random: RANDOM for row in table.rows if row.random}
    unclear |= {label: SEVERAL_ROWS for label, levels in places.items() if len(levels) > 1}
    levels_of = {label: frozenset(levels) for label, levels in places.items()}
    omitted: dict[str, str] = {}
    for definition in table.definitions:
        used = names(definition.expression)
        levels = frozenset[str]().union(*(levels_of.get(name, frozenset()) for name in used))
        reasons = [unclear[name] for name in used if name in unclear]
        reasons += [TWO_LEVELS] if len(levels) > 1 else []
        levels_of[definition.name] = levels
        if reasons:
            omitted[definition.name] = unclear[definition.name] = reasons[0]
    return omitted


def omission_note(table: ParameterTable) -> str:
    """Sentence that names the rows left out, by reason; empty if there are none."""
    omitted = omitted_definitions(table)
    reasons = [
        f"{', '.join(name for name, why in omitted.items() if why == reason)} ({reason})"
        for reason in dict.fromkeys(omitted.values())
    ]
    dispersions = [f"{row.lhs} ~~ {row.rhs}" for row in table.rows if row.kind == "dispersion"]
    reasons += [f"{', '.join(dispersions)} (dispersions)"] if dispersions else []
    return f" Left out: {'; '.join(reasons)}." if reasons else ""


def explained_variance(level: Level) -> Mapping[str, FloatArray]:
    """R squared, (n,), of every variable that something points at; NaN where its variance is 0."""
    explained = (level.b != 0).any(axis=(0, 2)) | (level.k[:, :, 1:] != 0).any(axis=(0, 2))
    with np.errstate(divide="ignore", invalid="ignore"):
        r2 = 1.0 - np.einsum("nii->ni", level.psi) / level.variance
    return {name: r2[:, i] for i, name in enumerate(level.names) if explained[i]}


def _standardised(row: Row, value: FloatArray, level: Level) -> FloatArray:
    """One row with its own value (n,), which may be one of several in its cell.

    The caller silences divisions by zero.
    """
    index = {name: i for i, name in enumerate(level.names)}
    if row.kind == "variance":
        i = index[row.lhs]
        share: FloatArray = value / level.variance[:, i]
        return share
    if row.kind == "covariance":
        i, k = index[row.lhs], index[row.rhs]
        correlation: FloatArray = value / np.sqrt(level.psi[:, i, i] * level.psi[:, k, k])
        return correlation
    outcome, predictor = (row.rhs, row.lhs) if row.kind == "loading" else (row.lhs, row.rhs)
    sd = np.sqrt(level.variance[:, index[outcome]])
    if predictor in index:
        spread: FloatArray = np.sqrt(level.variance[:, index[predictor]])
    else:
        d = level.design.index(predictor)
        variance = 1.0 if d == 0 else level.design_covariance[d, d]
        spread = np.full(len(value), np.sqrt(variance))
    standardised: FloatArray = value * spread / sd
    return standardised
