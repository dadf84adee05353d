"""Single rows on the scale that their prior is on: draws, and the marginal prior."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from bayes_msem.spec.covariance import covariance_blocks
from bayes_msem.spec.prior_text import Prior
from bayes_msem.spec.table import ParameterTable, Row, RowKey

__all__ = ["central_prior_range", "marginal_prior", "on_prior_scale"]

FloatArray = NDArray[np.float64]


def on_prior_scale(row: Row, prior: Prior, draws: Mapping[RowKey, FloatArray]) -> FloatArray:
    """Draws of a row as the SD or the correlation, if that is what its prior is on."""
    values = draws[row.key]
    if prior.scale == "sd":
        return np.sqrt(values)
    if prior.scale == "cor":
        variances = [draws[RowKey(row.level, v, "~~", v)] for v in (row.lhs, row.rhs)]
        return np.asarray(values / np.sqrt(variances[0] * variances[1]))
    return values


def marginal_prior(table: ParameterTable, row: Row, prior: Prior) -> Prior | None:
    """Prior of the row alone; None where it has no simple form.

    In a block of k variables that all covary, det(R)^(eta - 1) leaves every correlation r with
    (r + 1) / 2 ~ Beta(a, a), a = eta + (k - 2) / 2 (Lewandowski, Kurowicka & Joe, 2009). A
    Dirichlet prior is one of all thresholds together, and that of one only if there is but one.
    """
    if prior.family == "dirichlet":
        thresholds = [r for r in table.rows if r.kind == "threshold" and r.lhs == row.lhs]
        return prior if len(thresholds) == 1 else None
    if prior.family != "lkj":
        return prior
    for block in covariance_blocks(table, row.level):
        if row.lhs in block.variables and row.rhs in block.variables:
            if len(block.variables) == 2:
                return prior
            if block.pattern != "complete":
                return None
            return replace(prior, arguments=(prior.arguments[0] + (len(block.variables) - 2) / 2,))
    return prior


def central_prior_range(prior: Prior, mass: float) -> tuple[float, float]:
    """Return the ends of the equal-tailed interval that holds ``mass`` of a prior."""
    tail = (1 - mass) / 2
    low, high = prior.quantile([tail, 1 - tail])
    return float(low), float(high)
