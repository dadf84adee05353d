"""Population means of quantities defined by random coefficients.

A definition such as ``indirect := a * b`` with rv names a and b differs between clusters. Its
population mean is E[f(u)] over the level-2 distribution u ~ N(mu_j, Omega), averaged over the
clusters' covariates, so that E[a b] = E[a] E[b] + cov(a, b). The expectation is computed by
quadrature (gaussian.quadrature): exactly for polynomials, and to a checked accuracy otherwise.
Where that accuracy cannot be had, as with a denominator that may be zero, a warning says so.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from bayes_msem.blueprint.blueprint import Blueprint
from bayes_msem.errors import AccuracyWarning
from bayes_msem.gaussian.normal import roots
from bayes_msem.gaussian.quadrature import Expectation, expectation
from bayes_msem.spec.expressions import (
    Binary,
    Call,
    Expression,
    Name,
    Negate,
    Number,
    evaluate,
    names,
)

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_MAX_POINTS = 200_000  # draws times distinct clusters, at a time
_ACCURACY = 1e-3  # of the mean absolute value; less accurate means are warned of
_NEGLIGIBLE = 1e-6  # probability of values outside the domain of a function


def level_two_moments(
    blueprint: Blueprint, points: FloatArray, *, natural: bool = False
) -> tuple[FloatArray, FloatArray]:
    """Coefficients of the level-2 means and level-2 covariance matrices.

    Parameters
    ----------
    blueprint
        The model.
    points
        Extended sampled parameters, or table values if ``natural``, (n, n_theta).
    natural
        What the points are.

    Returns
    -------
    tuple of arrays
        (n, D_b, n_u) and (n, n_u, n_u), for u = (linear effects, z, sampled effects).
    """
    omega, coefficients = blueprint.likelihood.level_two(points, natural=natural)
    return coefficients, omega


def effect_positions(blueprint: Blueprint) -> dict[str, int]:
    """Position of every random coefficient declared by rv() in the level-2 vector u."""
    declared = {row.random for row in blueprint.table.rows if row.random}
    return {name: i for i, name in enumerate(blueprint.template.level_two) if name in declared}


def population_mean(
    blueprint: Blueprint,
    expression: Expression,
    labels: Mapping[str, FloatArray],
    moments: tuple[FloatArray, FloatArray],
) -> FloatArray:
    """Compute the expectation of an expression of random coefficients, per draw.

    Parameters
    ----------
    blueprint
        The model.
    expression
        May use random coefficients and labels.
    labels
        Values of labels and earlier definitions, each (n,).
    moments
        From :func:`level_two_moments`.

    Returns
    -------
    (n,) array
        NaN where the expression is undefined with a probability above 1e-6.

    Warns
    -----
    AccuracyWarning
        Some value may be off by more than a thousandth of the mean absolute value, or is undefined.
    """
    positions = effect_positions(blueprint)
    used = [name for name in dict.fromkeys(names(expression)) if name in positions]
    index = [positions[name] for name in used]
    design, counts = np.unique(blueprint.observed.cluster_design, axis=0, return_counts=True)
    n, weights = len(moments[0]), counts / counts.sum()
    value, error, undefined = np.empty(n), np.empty(n), np.empty(n)
    step = max(1, _MAX_POINTS // len(design))
    for first in range(0, n, step):
        part = slice(first, min(first + step, n))
        moments_here = moments[0][part][:, :, index], moments[1][part][:, index][:, :, index]
        here = {name: values[part] for name, values in labels.items()}
        found = _expectations(expression, used, here, moments_here, design, weights)
        value[part] = np.where(found.undefined > _NEGLIGIBLE, np.nan, found.value)
        size = np.where(found.size > 0, found.size, 1.0)
        error[part], undefined[part] = found.error / size, found.undefined
    _warn(expression, error, undefined)
    return value


def _expectations(
    expression: Expression,
    used: list[str],
    labels: Mapping[str, FloatArray],
    moments: tuple[FloatArray, FloatArray],
    design: FloatArray,
    weights: FloatArray,
) -> Expectation:
    """Integrate for all draws, and average over the distinct clusters of each."""
    (coefficients, covariances), j = moments, len(design)
    mean = np.einsum("jd,nde->nje", design, coefficients).reshape(-1, len(used))
    root = np.repeat(roots(covariances), j, axis=0)

    def f(u: FloatArray, at: IntArray) -> FloatArray:
        environment = {name: values[at // j][:, None] for name, values in labels.items()}
        environment |= {name: u[..., i] for i, name in enumerate(used)}
        return evaluate(expression, environment)

    degree = _degree(expression, frozenset(used))
    return expectation(f, mean, root, degree=degree, weights=weights)


def _degree(expression: Expression, random: frozenset[str]) -> int | None:
    """Total degree in the random coefficients of a polynomial, None for other functions."""
    match expression:
        case Number():
            return 0
        case Name(name):
            return int(name in random)
        case Negate(operand):
            return _degree(operand, random)
        case Call(_, argument):
            return 0 if _degree(argument, random) == 0 else None
        case Binary(op, left, right):
            return _degree_of(op, _degree(left, random), _degree(right, random), right)


def _degree_of(op: str, left: int | None, right: int | None, operand: Expression) -> int | None:
    """Degree of a sum, product, quotient or power."""
    if left is None or right is None:
        return None
    if op in "+-":
        return max(left, right)
    if op == "*":
        return left + right
    if right:
        return None
    if op == "/" or left == 0:
        return left
    whole = isinstance(operand, Number) and operand.value == int(operand.value)
    return left * int(operand.value) if whole and isinstance(operand, Number) else None


def _warn(expression: Expression, error: FloatArray, undefined: FloatArray) -> None:
    """Say where a mean is inaccurate or does not exist."""
    gone, off = undefined > _NEGLIGIBLE, error > _ACCURACY
    where = "population mean of " + f"'{expression}' over the clusters"
    if gone.any():
        warnings.warn(
            f"the {where} is NaN in {gone.sum()} of {len(gone)} draws: the expression is no finite "
            f"number with a probability of up to {undefined.max():.2g}, such as the log of a "
            "coefficient that may be negative; define it differently, for instance on a log scale",
            AccuracyWarning,
            stacklevel=3,
        )
    if (off & ~gone).any():
        worst = float(error[off & ~gone].max())
        warnings.warn(
            f"the {where} may be off by up to {100 * worst:.2g}% of the mean absolute value in "
            f"{(off & ~gone).sum()} of {len(off)} draws. A mean need not exist, for instance where "
            "a denominator may be zero: define the ratio of the means instead (with labels on the "
            "rows '~ 1' of the rv() names), or look at the clusters, fit.cluster_effects()",
            AccuracyWarning,
            stacklevel=3,
        )
