"""Normal distributions whose covariance matrices may be singular: the one rule for them.

Variances of zero are common here (a factor without residual, an effect that does not vary), so
nothing is inverted as it is. A matrix is inverted on the scale of correlations, where eigenvalues
below 1e-10 are zeros: which directions count does not depend on the units of the variables. What is
left of a variance after conditioning is zero below 1e-12 of it, for less is rounding.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["conditional", "draw_given", "fill_missing", "from_noise", "given_known", "roots"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
Positions = Sequence[int] | IntArray

_RANK = 1e-10  # of correlation matrices
_ROUNDING = 1e-12  # of variances
_NEGATIVE = 1e-8  # eigenvalues below this part of the largest are no rounding


def roots(covariances: FloatArray) -> FloatArray:
    """Return A with A A' = S for every S of a stack (..., k, k).

    Raises
    ------
    numpy.linalg.LinAlgError
        Some matrix has a negative eigenvalue that is not rounding.

    Examples
    --------
    >>> root = roots(np.array([[4.0, 2.0], [2.0, 1.0]]))
    >>> (root @ root.T).round(12).tolist()
    [[4.0, 2.0], [2.0, 1.0]]
    """
    values, vectors = np.linalg.eigh((covariances + np.swapaxes(covariances, -1, -2)) / 2)
    least, most = values.min(axis=-1, initial=0.0), np.abs(values).max(axis=-1, initial=0.0)
    if (least < -_NEGATIVE * most).any():
        raise np.linalg.LinAlgError(
            f"cannot draw from a covariance matrix with a negative eigenvalue ({least.min():.3g})"
        )
    result: FloatArray = vectors * np.sqrt(np.clip(values, 0.0, None))[..., None, :]
    return result


def conditional(
    covariance: FloatArray, wanted: Positions, given: Positions
) -> tuple[FloatArray, FloatArray]:
    """Condition a normal vector on some of its elements.

    Parameters
    ----------
    covariance
        Of the vector, (..., k, k).
    wanted, given
        Positions of the elements wanted (m) and given (n).

    Returns
    -------
    tuple of (..., m, n) and (..., m, m) arrays
        Regression coefficients of the wanted on the given, and their residual covariance matrix.

    Examples
    --------
    >>> slope, rest = conditional(np.array([[2.0, 1.0], [1.0, 4.0]]), [0], [1])
    >>> float(slope[0, 0]), float(rest[0, 0])
    (0.25, 1.75)
    """
    wanted, given = np.asarray(wanted, dtype=np.int64), np.asarray(given, dtype=np.int64)
    inner = covariance[..., given[:, None], given]
    cross = covariance[..., wanted[:, None], given]
    own = covariance[..., wanted[:, None], wanted]
    sd = np.sqrt(np.einsum("...ii->...i", inner))
    sd = np.where(sd > 0.0, sd, 1.0)
    outer = sd[..., :, None] * sd[..., None, :]
    inverse = np.linalg.pinv(inner / outer, rcond=_RANK, hermitian=True) / outer
    slope = cross @ inverse
    rest = own - slope @ np.swapaxes(cross, -1, -2)
    left = np.einsum("...ii->...i", rest) > _ROUNDING * np.einsum("...ii->...i", own)
    result: FloatArray = np.where(left[..., :, None] & left[..., None, :], rest, 0.0)
    return slope, result


def given_known(
    covariance: FloatArray, wanted: Positions, given: Positions, deviations: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Condition on what is known of some elements, which may differ from case to case.

    Parameters
    ----------
    covariance
        Of the vector, (k, k).
    wanted, given
        Positions of the elements wanted (m) and, as far as they are known, given (n).
    deviations
        Of the given elements from their means, NaN where unknown, (cases, n).

    Returns
    -------
    tuple of (cases, m) and (cases, m, m) arrays
        Deviations of the wanted elements from their means that these say, and covariance matrices.
    """
    wanted, given = np.asarray(wanted, dtype=np.int64), np.asarray(given, dtype=np.int64)
    shift = np.zeros((len(deviations), len(wanted)))
    rest = np.empty((len(deviations), len(wanted), len(wanted)))
    for pattern in np.unique(np.isnan(deviations), axis=0):
        mine, known = (np.isnan(deviations) == pattern).all(axis=1), np.flatnonzero(~pattern)
        slope, rest[mine] = conditional(covariance, wanted, given[known])
        shift[mine] = deviations[np.ix_(mine, known)] @ slope.T
    return shift, rest


def draw_given(
    covariance: FloatArray,
    wanted: Positions,
    given: Positions,
    known: FloatArray,
    rng: np.random.Generator,
) -> FloatArray:
    """Draw deviations (n, m) of elements of normal vectors, given those of others (n, n_given)."""
    noise = rng.standard_normal((len(known), len(wanted)))
    return from_noise(covariance, wanted, given, known, noise)


def from_noise(
    covariance: FloatArray,
    wanted: Positions,
    given: Positions,
    known: FloatArray,
    noise: FloatArray,
) -> FloatArray:
    """Deviations (..., n, m) as ``draw_given`` draws them, from standard normal numbers.

    Parameters
    ----------
    covariance
        Of the vectors, (..., k, k).
    wanted, given
        Positions of the elements wanted (m) and given.
    known
        Deviations of the given elements, (..., n, n_given).
    noise
        Standard normal numbers, (..., n, m).
    """
    slope, rest = conditional(covariance, wanted, given)
    result: FloatArray = known @ np.swapaxes(slope, -1, -2)
    result += noise @ np.swapaxes(roots(rest), -1, -2)
    return result


def fill_missing(
    values: FloatArray, mean: FloatArray, covariance: FloatArray, rng: np.random.Generator
) -> None:
    """Replace the NaN of every row of ``values`` by draws given the rest of the row.

    Parameters
    ----------
    values, mean
        Normal vectors, one per row, and their means, both (n, k); ``values`` is changed.
    covariance
        Their common covariance matrix (k, k), which may be singular.
    rng
        Source of randomness.
    """
    missing = np.isnan(values)
    for pattern in np.unique(missing[missing.any(axis=1)], axis=0):
        rows = np.flatnonzero((missing == pattern).all(axis=1))
        gone, seen = np.flatnonzero(pattern), np.flatnonzero(~pattern)
        known = values[np.ix_(rows, seen)] - mean[np.ix_(rows, seen)]
        drawn = draw_given(covariance, gone, seen, known, rng)
        values[np.ix_(rows, gone)] = mean[np.ix_(rows, gone)] + drawn
