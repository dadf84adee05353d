"""Standardised solution (StdYX within each level) and explained variance.

With the matrices of a level (see posterior.levels) and SD_i = sqrt(Cov(v)_ii),

    loading, regression     B_ik SD_k / SD_i ;  for covariates K_id sd(x_d) / SD_i
    variance                Psi_ii / SD_i^2 , the share that is not explained
    covariance              Psi_ik / sqrt(Psi_ii Psi_kk) , the (residual) correlation
    intercept               K_i1 / SD_i
    R^2                     1 - Psi_ii / SD_i^2

sd(x) is the SD in the data: over rows within, over clusters between, with the divisor N.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from bayes_msem.posterior.levels import Level, Levels
from bayes_msem.spec.expressions import evaluate, names
from bayes_msem.spec.table import ParameterTable, Row, RowKey

__all__ = ["explained_variance", "omitted_definitions", "standardised_values"]

FloatArray = NDArray[np.float64]


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
    result: dict[RowKey, FloatArray] = {}
    labels: dict[str, FloatArray] = {}
    omitted = omitted_definitions(table)
    with np.errstate(divide="ignore", invalid="ignore"):
        for row in table.rows:
            if row.kind != "defined":
                result[row.key] = _standardised(row, by_name[row.level])
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


def omitted_definitions(table: ParameterTable) -> tuple[str, ...]:
    """Definitions without one standardised value.

    They use a random coefficient, a label that stands on several rows (whose standardised values
    differ), or such a definition.
    """
    counts: dict[str, int] = {}
    for row in table.rows:
        if row.label and row.kind != "defined":
            counts[row.label] = counts.get(row.label, 0) + 1
    unclear = {label for label, count in counts.items() if count > 1}
    unclear |= {row.random for row in table.rows if row.random}
    omitted: list[str] = []
    for definition in table.definitions:
        if not unclear.isdisjoint(names(definition.expression)):
            omitted.append(definition.name)
            unclear.add(definition.name)
    return tuple(omitted)


def explained_variance(level: Level) -> Mapping[str, FloatArray]:
    """R squared, (n,), of every variable that something points at; NaN where its variance is 0."""
    explained = (level.b != 0).any(axis=(0, 2)) | (level.k[:, :, 1:] != 0).any(axis=(0, 2))
    with np.errstate(divide="ignore", invalid="ignore"):
        r2 = 1.0 - np.einsum("nii->ni", level.psi) / level.variance
    return {name: r2[:, i] for i, name in enumerate(level.names) if explained[i]}


def _standardised(row: Row, level: Level) -> FloatArray:
    """One row; the caller silences divisions by zero."""
    index = {name: i for i, name in enumerate(level.names)}
    if row.kind in ("variance", "covariance"):
        i, k = index[row.lhs], index[row.rhs]
        if i == k:
            share: FloatArray = level.psi[:, i, i] / level.variance[:, i]
            return share
        scale = np.sqrt(level.psi[:, i, i] * level.psi[:, k, k])
        correlation: FloatArray = level.psi[:, i, k] / scale
        return correlation
    outcome, predictor = (row.rhs, row.lhs) if row.kind == "loading" else (row.lhs, row.rhs)
    i = index[outcome]
    sd = np.sqrt(level.variance[:, i])
    if predictor in index:
        k = index[predictor]
        standardised: FloatArray = level.b[:, i, k] * np.sqrt(level.variance[:, k]) / sd
        return standardised
    d = level.design.index(predictor)
    spread = 1.0 if d == 0 else np.sqrt(level.design_covariance[d, d])
    standardised = level.k[:, i, d] * spread / sd
    return standardised
