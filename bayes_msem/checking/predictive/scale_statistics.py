"""Discrepancies of outcomes whose residual log SD has predictors at level within.

They are made of deviations from what is known without a model: from cluster means, or from the mean
in a single-level model. Missing cells are missing in the replicates too, and are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from bayes_msem.checking.predictive.design import Design
from bayes_msem.checking.predictive.named_statistics import Statistic
from bayes_msem.checking.predictive.reduced_data import Sample
from bayes_msem.spec.table import ParameterTable

__all__ = ["SCALE_NAMES", "scale_statistics"]

FloatArray = NDArray[np.float64]

SCALE_NAMES = ("deviation_sd", "deviation_kurtosis", "scale_correlation", "scale_spread")
_FEWEST = 3  # outcomes of a cluster, below which its SD says nothing


def scale_statistics(design: Design, table: ParameterTable) -> list[Statistic]:
    """Return the statistics of scaled outcomes; none if there are no such outcomes.

    Parameters
    ----------
    design
        The design of the data.
    table
        The parameter table, which says what predicts the log SDs.
    """
    names = list(table.log_sds)
    if not names:
        return []
    within = "within" if design.two_level else ""
    pairs = [
        (name, row.rhs)
        for name, log_sd in table.log_sds.items()
        for row in table.rows
        if (row.level, row.lhs, row.kind) == ("within", log_sd, "regression")
    ]
    sds, kurtoses = partial(_sds, names=names), partial(_kurtoses, names=names)
    found = [
        _statistic("deviation_sd", "SD of deviations", within, names, sds),
        _statistic("deviation_kurtosis", "kurtosis of deviations", within, names, kurtoses),
    ]
    if pairs:
        labels = [f"|{name}|, {predictor}" for name, predictor in pairs]
        title = "correlation of absolute deviations with a predictor"
        compute = partial(_correlations, pairs=pairs)
        found.append(_statistic("scale_correlation", title, within, labels, compute))
    if design.two_level:
        title = "SD of clusters' log SDs"
        compute = partial(_spreads, names=names)
        found.append(_statistic("scale_spread", title, "between", names, compute))
    return found


def _statistic(
    name: str,
    title: str,
    level: str,
    labels: Sequence[str],
    compute: Callable[[Sample], FloatArray],
) -> Statistic:
    return Statistic(
        name, title, level, lambda sample, structure: compute(sample), lambda design: labels, True
    )


def _deviations(sample: Sample, name: str) -> FloatArray:
    """Deviations from means of clusters, (N,), NaN where missing."""
    observed, design = sample.design.observed, sample.design
    y = sample.y[:, observed.y_names.index(name)]
    known = ~np.isnan(y)
    n = np.maximum(design.sums(known.astype(np.float64)), 1.0)
    means = design.sums(np.where(known, y, 0.0)) / n
    result: FloatArray = y - means[design.codes]
    return result


def _known(sample: Sample, name: str) -> FloatArray:
    deviations = _deviations(sample, name)
    return deviations[~np.isnan(deviations)]


def _sds(sample: Sample, *, names: Sequence[str]) -> FloatArray:
    return np.array([float(_known(sample, name).std()) for name in names])


def _kurtoses(sample: Sample, *, names: Sequence[str]) -> FloatArray:
    result = []
    for name in names:
        squares = _known(sample, name) ** 2
        result.append(float((squares**2).mean() / max(squares.mean() ** 2, 1e-300)))
    return np.array(result)


def _correlations(sample: Sample, *, pairs: Sequence[tuple[str, str]]) -> FloatArray:
    observed, result = sample.design.observed, []
    for name, predictor in pairs:
        if predictor in observed.x_names:
            other = observed.x[:, observed.x_names.index(predictor)]
        else:
            other = _deviations(sample, predictor)
        size = np.abs(_deviations(sample, name))
        known = ~(np.isnan(size) | np.isnan(other))
        size, other = size[known] - size[known].mean(), other[known] - other[known].mean()
        scale = float(np.sqrt((size**2).sum() * (other**2).sum()))
        result.append(float(size @ other) / max(scale, 1e-300))
    return np.array(result)


def _spreads(sample: Sample, *, names: Sequence[str]) -> FloatArray:
    design, result = sample.design, []
    for name in names:
        deviations = _deviations(sample, name)
        known = ~np.isnan(deviations)
        n = design.sums(known.astype(np.float64))
        squares = design.sums(np.where(known, deviations, 0.0) ** 2)
        some = (n >= _FEWEST) & (squares > 0)
        logs = 0.5 * np.log(squares[some] / (n[some] - 1))
        result.append(float(logs.std()) if some.any() else 0.0)
    return np.array(result)
