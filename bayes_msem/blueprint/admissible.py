"""Whether table values lie in the parameter space: whether there are data they could produce."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bayes_msem.blueprint.blueprint import Blueprint
from bayes_msem.errors import SpecificationError
from bayes_msem.spec.covariance import CovarianceBlock, covariance_blocks
from bayes_msem.spec.table import RowKey
from bayes_msem.structure.parameters import row_label, varies

FloatArray = NDArray[np.float64]

_ROUNDING = 1e-10  # of an eigenvalue of a singular correlation matrix


def check_admissible(blueprint: Blueprint, theta: FloatArray) -> None:
    """Raise unless all variances and covariance matrices of the model can exist.

    Parameters
    ----------
    blueprint
        The model.
    theta
        Extended table values, (n_theta,).

    Raises
    ------
    SpecificationError
        A negative variance, covariances that are too large for their variances (a singular matrix
        passes), thresholds that are not in order, or a dispersion that is not positive. Covariance
        matrices with a random part are left to
        :func:`bayes_msem.blueprint.inverse.sampled_from_table`.
    """
    for row in blueprint.table.rows:
        if row.kind != "variance" or row.random:
            continue
        value = float(blueprint.row_value(row.key, theta))
        if value < 0:
            raise SpecificationError(
                f"{row.level}: {row_label(row)} = {value:g} is a negative variance, so there are "
                "no data with these values; a value of at least 0 is needed here"
            )
    check_responses(blueprint, theta)
    for level in blueprint.table.levels:
        for block in covariance_blocks(blueprint.table, level):
            if not varies(block, blueprint.table):
                _check_block(blueprint, block, theta)


def check_responses(blueprint: Blueprint, theta: FloatArray) -> None:
    """Raise SpecificationError unless thresholds are in order and dispersions positive."""
    thresholds: dict[str, list[float]] = {}
    for row in blueprint.table.rows:
        if row.kind not in ("threshold", "dispersion"):
            continue
        value = float(blueprint.row_value(row.key, theta))
        if row.kind == "threshold":
            thresholds.setdefault(row.lhs, []).append(value)
        elif not value > 0.0:
            raise SpecificationError(
                f"{row.level}: {row_label(row)} = {value:g} is the dispersion of a count, which "
                "has to be positive; a count without overdispersion is of family 'poisson'"
            )
    for name, values in thresholds.items():
        if not (np.diff(values) > 0.0).all():
            raise SpecificationError(
                f"the thresholds of {name} are {', '.join(f'{v:g}' for v in values)}; each has to "
                "be larger than the one before it"
            )


def _check_block(blueprint: Blueprint, block: CovarianceBlock, theta: FloatArray) -> None:
    def value(lhs: str, rhs: str) -> float:
        return float(blueprint.row_value(RowKey(block.level, lhs, "~~", rhs), theta))

    place = {v: i for i, v in enumerate(block.variables)}
    variances = np.array([value(v, v) for v in block.variables])
    matrix = np.diag(variances)
    for row in block.rows:
        i, k = place[row.lhs], place[row.rhs]
        matrix[i, k] = matrix[k, i] = value(row.lhs, row.rhs)
    # eigenvalues of correlations do not depend on units; a variance of zero allows no covariance
    sd = np.sqrt(np.where(variances > 0, variances, 1.0))
    smallest = float(np.linalg.eigvalsh(matrix / np.outer(sd, sd)).min())
    if smallest < -_ROUNDING:
        raise SpecificationError(
            f"the covariance matrix of {', '.join(block.variables)} at level {block.level} is not "
            f"positive definite at the values given (the smallest eigenvalue of its correlations "
            f"is {smallest:.3g}); make covariances smaller or variances larger"
        )
