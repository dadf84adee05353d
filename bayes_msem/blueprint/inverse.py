"""Sampled parameters from table values: the inverse of the map in structure.parameters."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr

from bayes_msem.blueprint.admissible import check_responses
from bayes_msem.blueprint.blueprint import Blueprint
from bayes_msem.errors import SpecificationError
from bayes_msem.kernels.layout import SQUARE
from bayes_msem.spec.covariance import CovarianceBlock, covariance_blocks
from bayes_msem.spec.table import Row, RowKey
from bayes_msem.structure.parameters import Parameters, row_label

FloatArray = NDArray[np.float64]


def sampled_from_table(blueprint: Blueprint, theta: FloatArray) -> FloatArray:
    """Find the sampled parameters that give certain table values.

    Parameters
    ----------
    blueprint
        The model.
    theta
        Extended table values, (n_theta,).

    Returns
    -------
    (n_free,) array

    Raises
    ------
    SpecificationError
        A negative variance, covariances that are not positive definite, or thresholds that are not
        in order: no sampled parameters give these values.
    """
    check_responses(blueprint, theta)
    for i, row in enumerate(blueprint.parameters.rows):
        if blueprint.parameters.transform[i] == SQUARE and theta[i] < 0:
            raise SpecificationError(
                f"{row.level}: {row_label(row)} = {theta[i]:g} is a negative variance; "
                "a value of at least 0 is needed here"
            )
    x: FloatArray = sampled_from_tables(blueprint, theta[None, :])[0]
    return x


def sampled_from_tables(blueprint: Blueprint, theta: FloatArray) -> FloatArray:
    """Find the sampled parameters that give many admissible tables.

    Parameters
    ----------
    blueprint
        The model.
    theta
        Extended table values, (n, n_theta).

    Returns
    -------
    (n, n_free) array

    Raises
    ------
    SpecificationError
        Covariances that are not positive definite.
    """
    parameters = blueprint.parameters
    x = theta[:, : parameters.n].copy()
    squares = parameters.transform == SQUARE
    x[:, squares] = np.sqrt(x[:, squares])
    for level in ("within", "between"):
        for block in covariance_blocks(blueprint.table, level):
            if block.pattern != "direct":
                for free, value in _partial_correlations(blueprint, block, theta).items():
                    x[:, parameters.position[free]] = value
    _fill_fractions(parameters, theta, x)
    return x


def _fill_fractions(parameters: Parameters, theta: FloatArray, x: FloatArray) -> None:
    """Put in place of thresholds the fractions they come from (kernels.thresholds).

    With Q_c = Phi(-tau_c / S), the share above threshold c, the fraction is 1 - Q_c / Q_(c-1).
    """
    thresholds, first = parameters.thresholds, 0
    for size, scale in zip(thresholds.size, thresholds.scale, strict=True):
        places = thresholds.position[first : first + size]
        above = np.hstack([np.zeros((len(x), 1)), log_ndtr(-theta[:, places] / scale)])
        x[:, places] = -np.expm1(np.diff(above, axis=1))
        first += size


def _partial_correlations(
    blueprint: Blueprint, block: CovarianceBlock, theta: FloatArray
) -> dict[int, FloatArray]:
    """Free number -> (z + 1) / 2 of every free covariance of a block, (n,)."""
    rows = {(r.level, r.lhs): r for r in blueprint.table.rows if r.kind == "variance"}
    sd = {v: _typical_sd(blueprint, rows[(block.level, v)], theta) for v in block.variables}
    place = {v: i for i, v in enumerate(block.variables)}
    correlation = np.tile(np.eye(len(place)), (len(theta), 1, 1))
    for (a, b), row in zip(block.edges, block.rows, strict=True):
        if row.random:
            value = np.tanh(_intercept(blueprint, row.random, theta))
        else:
            covariance = blueprint.row_value(row.key, theta)
            with np.errstate(divide="ignore", invalid="ignore"):
                # a variance of zero leaves no other covariance than zero
                value = np.where(covariance == 0, 0.0, covariance / (sd[a] * sd[b]))
        correlation[:, place[a], place[b]] = correlation[:, place[b], place[a]] = value
    try:
        if not np.isfinite(correlation).all():
            raise np.linalg.LinAlgError
        root = np.linalg.cholesky(correlation)
    except np.linalg.LinAlgError:
        raise SpecificationError(
            f"the covariances of {', '.join(block.variables)} at level {block.level} are not "
            "positive definite at the values given; make them smaller or the variances larger"
        ) from None
    result = {}
    for free, (a, b) in block.free_edges.items():
        i, k = place[a], place[b]
        rest = np.sqrt(1.0 - (root[:, i, :k] ** 2).sum(axis=1))
        result[free] = (1.0 + root[:, i, k] / rest) / 2.0
    return result


def _typical_sd(blueprint: Blueprint, row: Row, theta: FloatArray) -> FloatArray:
    if row.random:
        return np.exp(_intercept(blueprint, row.random, theta))
    return np.sqrt(blueprint.row_value(row.key, theta))


def _intercept(blueprint: Blueprint, name: str, theta: FloatArray) -> FloatArray:
    return blueprint.row_value(RowKey("between", name, "~", "1"), theta)
