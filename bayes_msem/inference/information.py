r"""What the curvature of the likelihood at its maximum says: standard errors, and what is unknown.

With I the observed information (minus the second derivatives), free parameters have the covariance
matrix I^-1 = A A'. A row that is computed from them, f(theta), has by the delta method the variance

    |A' grad f|^2 = sum_k ( d f(theta + e A_k) / de )^2 .

A direction d is *undetermined* if moving along it by twenty typical changes of the parameters
costs less than half a log unit, d' S I S d < 1/400 for unit d, where S holds typical changes: the
quartiles of default priors, which know the units of the data but none of the user's beliefs, and
means in the place of intercepts (inference.axes), which lie far from the data where predictors do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from bayes_msem.blueprint.blueprint import Blueprint
from bayes_msem.inference.axes import default_scales, mean_axes
from bayes_msem.inference.density import wide_priors
from bayes_msem.inference.maximise import Maximum
from bayes_msem.spec.table import ParameterTable, RowKey
from bayes_msem.structure.parameters import row_label

__all__ = ["standard_errors", "undetermined_rows"]

FloatArray = NDArray[np.float64]

_STEP = 1e-3  # of differences, in standard errors
_FAR = 20.0  # typical changes
_INVOLVED = 0.1  # smallest coordinate of a unit direction that makes a row part of it


def standard_errors(
    blueprint: Blueprint,
    maximum: Maximum,
    values: Callable[[FloatArray], Mapping[RowKey, float]],
    shown: ParameterTable,
) -> dict[RowKey, float]:
    """Compute standard errors of all rows that are estimated, from the observed information.

    Parameters
    ----------
    blueprint
        The model.
    maximum
        Of the likelihood over the free table values.
    values
        Returns the values of all rows at extended table values.
    shown
        The table of these rows: that of the model or, with exploratory factors, of its reported
        form.

    Returns
    -------
    dict
        Row key -> standard error, without constants; NaN where the information has no inverse.
    """
    position = blueprint.parameters.position
    n = len(maximum.position)
    information = -maximum.hessian
    unit = 1.0 / np.sqrt(np.abs(np.diag(information)) + 1e-300)
    eigenvalues, vectors = np.linalg.eigh(information * np.outer(unit, unit))
    with np.errstate(invalid="ignore", divide="ignore"):
        root = unit[:, None] * vectors / np.sqrt(eigenvalues)
    errors = dict(enumerate(np.sqrt((root**2).sum(axis=1)).tolist()))
    if not np.isfinite(root).all():
        inverse = np.linalg.pinv(information)
        errors = {i: float(np.sqrt(v)) if v > 0 else np.nan for i, v in enumerate(np.diag(inverse))}
        root = np.full((n, n), np.nan)
    known = values(blueprint.extend(maximum.position))
    computed = {c.label for c in blueprint.table.constraints}
    derived = [
        row.key
        for row in shown.rows
        if row.kind == "defined"
        or row.random
        or (not row.free and row.label in computed)
        or (row.free and any(block.touches(row) for block in shown.blocks))
    ]
    variance = dict.fromkeys(derived, 0.0)
    for change in _STEP * root.T if derived else ():
        ends = [values(blueprint.extend(maximum.position + s * change)) for s in (1, -1)]
        for key in derived:
            variance[key] += ((ends[0][key] - ends[1][key]) / (2 * _STEP)) ** 2
    free = {row.key: errors[position[row.free]] for row in blueprint.table.rows if row.free}
    # rotated rows replace those of the sampled form
    every = free | {key: float(np.sqrt(v)) for key, v in variance.items()}
    return {key: every[key] for key in known if key in every}


def undetermined_rows(blueprint: Blueprint, maximum: Maximum) -> list[str]:
    """Name the free rows that take part in a direction which the likelihood leaves undetermined.

    Parameters
    ----------
    blueprint
        The model.
    maximum
        Where the search over the free table values ended.
    """
    n = len(maximum.position)
    if not np.isfinite(maximum.value) or not n:
        return []
    axes = mean_axes(blueprint, maximum.position, _typical_changes(blueprint), np.ones(n))
    eigenvalues, vectors = np.linalg.eigh(-(axes.T @ maximum.hessian @ axes))
    flat = np.abs(eigenvalues) < _FAR**-2
    involved = (np.abs(vectors[:, flat]) > _INVOLVED).any(axis=1)
    rows = blueprint.parameters.rows
    return [f"{rows[i].level}: {row_label(rows[i])}" for i in np.flatnonzero(involved)]


def _typical_changes(blueprint: Blueprint) -> FloatArray:
    """Of the free table values, in the units of the data."""
    priors = wide_priors(blueprint)
    sd = {
        (row.level, row.lhs): priors[row.free].median if row.free else float(np.sqrt(row.value))
        for row in blueprint.table.rows
        if row.kind == "variance" and not row.random
    }
    changes = default_scales(blueprint)
    for i, row in enumerate(blueprint.parameters.rows):
        if row.kind in ("variance", "covariance"):
            changes[i] = sd[row.level, row.lhs] * sd[row.level, row.rhs]
    return changes
