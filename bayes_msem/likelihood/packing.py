"""Packed arrays: how a model structure reaches the kernels.

A kernel is compiled once for all models, so the structure arrives as two vectors, one of integers
and one of floats, each a concatenation of arrays behind a header of offsets. This module has the
two ends (``pack``; ``integers``, ``cells``, ``floats_at``) and the two kernels that turn one
level's template into moments and back.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayes_msem.data.readonly import frozen
from bayes_msem.kernels.compile import kernel
from bayes_msem.kernels.template import add_moments, backward, total_effects
from bayes_msem.structure.templates import Cells, LevelTemplate

IntArray = NDArray[np.int64]

# A level takes five arrays: positions of the observed variables among the modelled ones, their
# positions among the outcomes, and the cells of B, Psi and K.
LEVEL_ARRAYS = 5


def pack(arrays: Sequence[NDArray[Any]], dtype: type) -> NDArray[Any]:
    """Concatenate arrays behind a header of their offsets."""
    header = len(arrays) + 1
    offsets = header + np.concatenate([[0], np.cumsum([len(a) for a in arrays])])
    return frozen(np.concatenate([offsets, *arrays]).astype(dtype))


def level_arrays(level: LevelTemplate | None) -> list[IntArray]:
    """Return the arrays of one level; empty ones if there is no such level."""
    if level is None:
        return [np.empty(0, dtype=np.int64)] * LEVEL_ARRAYS
    return [
        level.observed_variable,
        level.observed_position,
        *(_flat(cells) for cells in (level.b, level.psi, level.k)),
    ]


def _flat(cells: Cells) -> IntArray:
    return np.concatenate([cells.row, cells.column, cells.source])


@kernel
def integers(ints, i):
    """Array ``i`` of a packed integer vector."""
    return ints[ints[i] : ints[i + 1]]


@kernel
def cells(ints, i):
    """Array ``i`` as cells: rows, columns, sources (3 x n)."""
    flat = ints[ints[i] : ints[i + 1]]
    return flat.reshape((3, len(flat) // 3))


@kernel
def floats_at(floats, i):
    """Array ``i`` of a packed float vector."""
    return floats[int(floats[i]) : int(floats[i + 1])]


@kernel
def level_forward(first, m, recursive, values, ints, sigma, c):
    """Add the moments of a level to ``sigma`` (P x P) and ``c`` (D x P).

    ``first`` is the index of the level's first array.

    Returns
    -------
    tuple of arrays
        T', Psi T' and (I - B)^-1, which the reverse needs.
    """
    n_outcomes = sigma.shape[0]
    t, a, inverse = np.empty((m, n_outcomes)), np.empty((m, n_outcomes)), np.empty((m, m))
    level_forward_into(first, m, recursive, values, ints, sigma, c, t, a, inverse)
    return t, a, inverse


@kernel
def level_forward_into(first, m, recursive, values, ints, sigma, c, t, a, inverse):
    """Do the work of :func:`level_forward` on arrays that are there already."""
    n_outcomes = sigma.shape[0]
    variable, position = integers(ints, first), integers(ints, first + 1)
    b, psi, k = cells(ints, first + 2), cells(ints, first + 3), cells(ints, first + 4)
    total_effects(values, m, n_outcomes, recursive, variable, position, b, inverse, t)
    add_moments(values, m, n_outcomes, psi, k, t, a, sigma, c)


@kernel
def level_backward(
    first, m, recursive, values, ints, t, a, inverse, d_sigma, d_c, d_t, h, gradient
):
    """Add the gradient of a level's cells to ``gradient``.

    ``d_t`` (m x P) holds what T' itself contributes besides Sigma and C; it is overwritten. ``h``
    (m x P) is scratch.
    """
    b, psi, k = cells(ints, first + 2), cells(ints, first + 3), cells(ints, first + 4)
    n_outcomes = d_sigma.shape[0]
    backward(
        values, m, n_outcomes, recursive, b, psi, k, inverse, t, a, d_sigma, d_c, d_t, h, gradient
    )
