"""Level 1 of one cluster from the oracle's matrices: moments of a row's variables and outcomes."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

import bayes_msem as bm
from tests.oracle import Oracle, modelled, oracle_from_values, table_rows
from tests.random.models import linear_random

Array = NDArray[np.float64]


def oracle_at(fit: bm.Fit, frame: pd.DataFrame, draw: tuple[int, int]) -> Oracle:
    """Oracle at one draw of a model without sampled effects."""
    values = {key: float(array[draw]) for key, array in fit.draws.items() if key[2] != ":="}
    random = linear_random(fit.model)
    values = {key: value for key, value in values.items() if key not in random}
    cluster = "group" if fit.model.table.two_level else None
    return oracle_from_values(values, frame, cluster, random=random)


def level_names(fit: bm.Fit, values: dict | None = None) -> tuple[list[str], list[str]]:
    """Names of v and of u in the order of the oracle."""
    if values is None:
        random = linear_random(fit.model)
        values = {k: float(v[0, 0]) for k, v in fit.draws.items() if k[2] != ":="}
        values = {k: v for k, v in values.items() if k not in random}
        extra = [key[1] for key in random]
    else:
        extra = []
    rows = table_rows(values)
    v = modelled([r for r in rows if r.level == "within"])
    u = modelled([r for r in rows if r.level == "between"])
    return [*v, *(name for name in extra if name not in v)], u


def moments_given_u(oracle: Oracle, x: Array, u: Array) -> tuple[Array, Array, Array, Array]:
    """Means of v and y of one row given all level-2 values u, covariance of v, and F."""
    w = oracle.within
    total = np.linalg.inv(np.eye(len(w.alpha)) - w.B)
    right = w.alpha + w.G @ x
    for slope in oracle.slopes:
        right[slope.equation] += u[slope.effect] * x[slope.covariate]
    mean = total @ right
    return mean, w.F @ mean + oracle.between.F_y @ u, total @ w.Psi @ total.T, w.F


def scores_given_u(
    oracle: Oracle, x: Array, y: Array, u: Array, wanted: list[int]
) -> tuple[Array, Array]:
    """Mean and variance of variables of v given the outcomes of the row that are not NaN."""
    mean, expected, covariance, F = moments_given_u(oracle, x, u)
    seen = ~np.isnan(y)
    F = F[seen]
    cross = covariance[wanted] @ F.T
    inverse = np.linalg.inv(F @ covariance @ F.T)
    means = mean[wanted] + cross @ inverse @ (y - expected)[seen]
    return means, np.diag(covariance[np.ix_(wanted, wanted)] - cross @ inverse @ cross.T)
