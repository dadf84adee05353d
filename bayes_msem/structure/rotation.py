r"""Rotation of exploratory factors: criteria, and their minimum for many loading matrices at once.

Loadings A (p x m) of uncorrelated factors with variance 1 are rotated by a matrix T whose columns
have length 1,

    L = A (T')^-1 ,     Phi = T'T ,

such that a criterion f(L) is smallest; Phi is the identity if T is orthogonal. The criteria are

    geomin    sum_i ( prod_j (L_ij^2 + epsilon) )^(1/m)
    oblimin   1/4 sum_(j != k) sum_i L_ij^2 L_ik^2   (gamma = 0: quartimin)
    varimax   -1/4 sum_ij (L_ij^2 - mean_i L_ij^2)^2

and the search projects gradients onto the matrices allowed (Jennrich 2002). Criteria are taken of
loadings that are divided by the standard deviations of their indicators, so that units do not
matter; varimax also divides them by the roots of the communalities (Kaiser).

Where several rotations are to be compared, columns and signs are those that are nearest to a common
reference (Papastamoulis & Ntzoufras 2022).

References
----------
Jennrich, R. I. (2002). A simple general method for oblique rotation. Psychometrika, 67(1), 7-19.
https://doi.org/10.1007/BF02294706

Papastamoulis, P., & Ntzoufras, I. (2022). On the identifiability of Bayesian factor analytic
models. Statistics and Computing, 32, 23. https://doi.org/10.1007/s11222-022-10084-4
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

__all__ = ["ROTATIONS", "Criterion", "Rotated", "Rotation", "align", "criterion", "rotate"]

FloatArray = NDArray[np.float64]
Rotation = Literal["geomin", "oblimin", "varimax"]
ROTATIONS: tuple[str, ...] = get_args(Rotation)

_EPSILON = 0.001  # of geomin, as in lavaan
_STEPS = 1_000
_STARTS = 30
_ROUNDS = 10


@dataclass(frozen=True, slots=True)
class Criterion:
    """A rotation criterion.

    Attributes
    ----------
    name
        Its name.
    orthogonal
        Whether factors stay uncorrelated.
    kaiser
        Whether rows of loadings are scaled to length 1 before.
    value
        From loadings (n, p, m) to f (n,) and its gradient (n, p, m).
    """

    name: str
    orthogonal: bool
    kaiser: bool
    value: Callable[[FloatArray], tuple[FloatArray, FloatArray]]


class Rotated(NamedTuple):
    """Rotated loadings.

    Attributes
    ----------
    loadings
        L, (n, p, m).
    transform
        T', (n, m, m): rotated factors are T' times the factors.
    """

    loadings: FloatArray
    transform: FloatArray


def _geomin(loadings: FloatArray) -> tuple[FloatArray, FloatArray]:
    m, square = loadings.shape[-1], loadings**2 + _EPSILON
    product = np.exp(np.log(square).sum(axis=-1) / m)
    return product.sum(axis=-1), 2.0 / m * loadings / square * product[..., None]


def _oblimin(loadings: FloatArray) -> tuple[FloatArray, FloatArray]:
    square = loadings**2
    others = square.sum(axis=-1, keepdims=True) - square
    return (square * others).sum(axis=(-2, -1)) / 4.0, loadings * others


def _varimax(loadings: FloatArray) -> tuple[FloatArray, FloatArray]:
    centred = loadings**2 - (loadings**2).mean(axis=-2, keepdims=True)
    return -(centred**2).sum(axis=(-2, -1)) / 4.0, -loadings * centred


_CRITERIA = {
    "geomin": Criterion("geomin", False, False, _geomin),
    "oblimin": Criterion("oblimin", False, False, _oblimin),
    "varimax": Criterion("varimax", True, True, _varimax),
}


def criterion(name: str) -> Criterion:
    """Return the criterion of this name, one of :data:`ROTATIONS`."""
    return _CRITERIA[name]


# Search -----------------------------------------------------------------------------------------


def rotate(
    loadings: FloatArray,
    scale: FloatArray,
    wanted: Criterion,
    reference: FloatArray | None = None,
    *,
    tolerance: float = 1e-6,
) -> Rotated:
    """Rotate loadings.

    Parameters
    ----------
    loadings
        A of n solutions, (n, p, m).
    scale
        Standard deviations of the indicators, (n, p).
    wanted
        The criterion.
    reference
        Standardised rotated loadings (p, m) whose neighbourhood is searched, and whose columns and
        signs the result has. None: thirty random starts, columns in the order of their sums of
        squares, with positive sums.
    tolerance
        Length of the projected gradient at which a search ends.

    Returns
    -------
    Rotated
    """
    m = loadings.shape[-1]
    standard = loadings / scale[..., None]
    if m == 1:
        sign = np.where(_sum_sign(standard, reference) < 0, -1.0, 1.0)[:, None, None]
        return Rotated(loadings * sign, sign)
    weighted = standard
    if wanted.kaiser:
        length = np.sqrt((standard**2).sum(axis=-1, keepdims=True))
        weighted = standard / np.where(length > 0, length, 1.0)
    if reference is None:
        t = _descend(weighted, _best_of_many(weighted, wanted), wanted, tolerance)[0]
        found = standard @ np.linalg.inv(t.transpose(0, 2, 1))
        order = np.argsort(-(found**2).sum(axis=-2), axis=-1)
        t = np.take_along_axis(t, order[:, None, :], axis=-1)
        sign = np.where(
            np.take_along_axis(found, order[:, None, :], axis=-1).sum(-2) < 0, -1.0, 1.0
        )
        t = t * sign[:, None, :]
    else:
        start = _towards(standard, reference, wanted)
        t = _descend(weighted, start, wanted, tolerance)[0]
        found = standard @ np.linalg.inv(t.transpose(0, 2, 1))
        t = _as_reference(t, found, reference)
    return Rotated(loadings @ np.linalg.inv(t.transpose(0, 2, 1)), t.transpose(0, 2, 1))


def _sum_sign(standard: FloatArray, reference: FloatArray | None) -> FloatArray:
    weights = np.ones(standard.shape[-2]) if reference is None else reference[:, 0]
    result: FloatArray = standard[..., 0] @ weights
    return result


def _best_of_many(loadings: FloatArray, wanted: Criterion) -> FloatArray:
    """Best T (n, m, m) of many random starts."""
    m, rng = loadings.shape[-1], np.random.default_rng(1)
    best_t, best = np.empty(0), np.empty(0)
    for start in range(_STARTS):
        q = np.eye(m) if start == 0 else np.linalg.qr(rng.standard_normal((m, m)))[0]
        t, value = _descend(loadings, np.broadcast_to(q, (len(loadings), m, m)), wanted)
        if start == 0:
            best_t, best = t, value
        better = value < best - 1e-9
        best_t = np.where(better[:, None, None], t, best_t)
        best = np.where(better, value, best)
    return best_t


def _towards(standard: FloatArray, reference: FloatArray, wanted: Criterion) -> FloatArray:
    """T (n, m, m) whose loadings are near the reference, by least squares."""
    if wanted.orthogonal:
        return _nearest_orthogonal(standard.transpose(0, 2, 1) @ reference)
    inverse = np.linalg.pinv(standard) @ reference  # (T')^-1
    return _unit_columns(np.linalg.pinv(inverse).transpose(0, 2, 1))


def _unit_columns(t: FloatArray) -> FloatArray:
    result: FloatArray = t / np.sqrt((t**2).sum(axis=-2, keepdims=True))
    return result


def _nearest_orthogonal(t: FloatArray) -> FloatArray:
    u, _, v = np.linalg.svd(t)
    result: FloatArray = u @ v
    return result


def _descend(
    loadings: FloatArray, start: FloatArray, wanted: Criterion, tolerance: float = 1e-6
) -> tuple[FloatArray, FloatArray]:
    """Gradient projection from T (n, m, m): T at the minima, and their values (n,).

    Solutions that have converged leave the search, so that the cost is that of the slow ones.
    """
    t = np.array(start)
    values = np.empty(len(t))
    active, step = np.arange(len(t)), np.ones(len(t))
    for _ in range(_STEPS):
        now, at = t[active], loadings[active]
        inverse = np.linalg.inv(now).transpose(0, 2, 1)
        rotated = at @ inverse
        value, slope = wanted.value(rotated)
        values[active] = value
        # df/dT of L = A (T')^-1
        gradient = -(rotated.transpose(0, 2, 1) @ slope @ inverse.transpose(0, 2, 1)).transpose(
            0, 2, 1
        )
        projected = _project(now, gradient, wanted.orthogonal)
        length = np.sqrt((projected**2).sum(axis=(-2, -1)))
        going = length > tolerance
        if not going.any():
            break
        active, now, at = active[going], now[going], at[going]
        value, projected, length = value[going], projected[going], length[going]
        t[active], step[active] = _line_search(
            now, at, value, projected, length, step[active] * 2.0, wanted
        )
        active = active[step[active] > 0.0]  # at the others f falls no further, to the last digit
        if not len(active):
            break
    return t, values


def _project(t: FloatArray, gradient: FloatArray, orthogonal: bool) -> FloatArray:
    """Part of a gradient along the matrices that T may become."""
    if orthogonal:
        product = t.transpose(0, 2, 1) @ gradient
        symmetric = (product + product.transpose(0, 2, 1)) / 2.0
        return gradient - t @ symmetric
    return gradient - t * (t * gradient).sum(axis=-2, keepdims=True)


def _line_search(
    t: FloatArray,
    loadings: FloatArray,
    value: FloatArray,
    projected: FloatArray,
    length: FloatArray,
    step: FloatArray,
    wanted: Criterion,
) -> tuple[FloatArray, FloatArray]:
    """Halve steps until each holds what it promises; T and the steps taken, 0 if none does."""
    result, waiting = t.copy(), np.arange(len(t))
    step = step.copy()
    for _ in range(40):
        moved = t[waiting] - step[waiting, None, None] * projected[waiting]
        moved = _nearest_orthogonal(moved) if wanted.orthogonal else _unit_columns(moved)
        rotated = loadings[waiting] @ np.linalg.inv(moved).transpose(0, 2, 1)
        promised = value[waiting] - 0.5 * step[waiting] * length[waiting] ** 2
        good = wanted.value(rotated)[0] < promised
        result[waiting[good]] = moved[good]
        waiting = waiting[~good]
        if not len(waiting):
            break
        step[waiting] /= 2.0
    step[waiting] = 0.0
    return result, step


# Columns and signs ------------------------------------------------------------------------------


def _as_reference(t: FloatArray, loadings: FloatArray, reference: FloatArray) -> FloatArray:
    """Exchange and reflect the columns of T such that loadings are nearest to the reference."""
    products = np.einsum("npj,pk->njk", loadings, reference)
    result = np.empty_like(t)
    for i, product in enumerate(products):
        columns, places = optimize.linear_sum_assignment(-np.abs(product))
        sign = np.where(product[columns, places] < 0, -1.0, 1.0)
        result[i][:, places] = t[i][:, columns] * sign
    return result


def align(loadings: FloatArray, scale: FloatArray, wanted: Criterion) -> tuple[Rotated, FloatArray]:
    """Rotate draws of loadings such that columns and signs mean the same in all of them.

    The first reference is the solution of the draw whose A A' is nearest to the mean; after
    that it is the mean of the draws that were aligned with it, until none changes.

    Parameters
    ----------
    loadings, scale, wanted
        As for :func:`rotate`.

    Returns
    -------
    tuple of (Rotated, (p, m) array)
        All draws, and the last reference, standardised.
    """
    standard = loadings / scale[..., None]
    products = standard @ standard.transpose(0, 2, 1)
    central = int(((products - products.mean(axis=0)) ** 2).sum(axis=(-2, -1)).argmin())
    first = rotate(loadings[[central]], scale[[central]], wanted)
    reference = first.loadings[0] / scale[central][:, None]
    for _ in range(_ROUNDS):
        rotated = rotate(loadings, scale, wanted, reference)
        mean = (rotated.loadings / scale[..., None]).mean(axis=0)
        moved, reference = np.abs(mean - reference).max(), mean
        if moved < 1e-3:
            break
    return rotated, reference
