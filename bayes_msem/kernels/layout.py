"""The layout of a model structure: named tuples in kernels, two packed vectors on the way there.

A kernel is compiled once for all models, so the structure of a model arrives as data: a vector of
integers and one of floats, each a concatenation of arrays behind a header of their offsets.
:func:`pack` makes them and :func:`unpack` gives their parts their names back, once per call.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bayes_msem.kernels.compile import borrowed, kernel, part_kernel, stacked

# How a sampled parameter becomes a table value (see structure.parameters).
IDENTITY, SQUARE, CORRELATION, THRESHOLD = 0, 1, 2, 3
# How a sampled effect becomes the entry of its row (see structure.effects).
DIRECT, LOG_SD, FISHER_Z = 0, 1, 2


class Blocks(NamedTuple):
    """Covariance blocks, flattened.

    Attributes
    ----------
    size
        Number of variables of each block; negative for "direct" blocks, whose covariances are
        parameters (or constants) themselves and need to be positive definite.
    sd_source
        For every variable of every block: position of its SD in x, or -1 - i for entry i of
        ``constant``.
    edge_count
        Number of edges of each block.
    edge_row, edge_column
        Position of the later and the earlier variable of each edge inside its block.
    edge_position
        Position of the edge's parameter in x (and in theta), or -1 - i for entry i of
        ``constant``.
    constant
        Standard deviations that are fixed, and fixed covariances of direct blocks.
    """

    size: Any
    sd_source: Any
    edge_count: Any
    edge_row: Any
    edge_column: Any
    edge_position: Any
    constant: Any


class Thresholds(NamedTuple):
    """Ordered thresholds whose shares of categories are sampled (kernels.thresholds), flattened.

    Attributes
    ----------
    size
        Number of thresholds of each outcome.
    position
        Position of each in x (and in theta).
    scale
        Standard deviation of each outcome's response that its prior assumes.
    """

    size: Any
    position: Any
    scale: Any


class Level(NamedTuple):
    """The template of one level (see structure.templates).

    Attributes
    ----------
    m, n, n_design
        Numbers of modelled variables, of outcomes, and of columns of the design.
    recursive
        Whether B has no cycles.
    variable, position
        Positions of the outcomes among the modelled variables and among the outcomes.
    b, psi, k
        Cells: rows, columns and sources (3, n_cells).
    """

    m: Any
    n: Any
    n_design: Any
    recursive: Any
    variable: Any
    position: Any
    b: Any
    psi: Any
    k: Any


class Uses(NamedTuple):
    """Where linear effects enter: effect, variable and column of each use (structure.effects)."""

    effect: Any
    variable: Any
    column: Any


class Rows(NamedTuple):
    """Rows of sampled effects: effect and code of each (structure.effects)."""

    effect: Any
    code: Any


class Structure(NamedTuple):
    """A two-level structure; of single-level models level 2 is empty.

    Attributes
    ----------
    n_theta
        Free parameters and constrained rows.
    n_a, n_z, n_b
        Linear effects, cluster-level variables and sampled effects: the outcomes of level 2.
    transform
        IDENTITY, SQUARE, CORRELATION or THRESHOLD of every entry of x, then of the rows of sampled
        effects.
    constants
        The end of the value vector (theta, rows of sampled effects, constants).
    varying, common
        Covariance blocks with a random variance or correlation, and all others.
    uses, rows
        Linear and sampled effects.
    within, between
        The levels: outcomes y on (1, x), and outcomes (a, z, b) on (1, w).
    thresholds
        Thresholds that follow from shares of categories.
    """

    n_theta: Any
    n_a: Any
    n_z: Any
    n_b: Any
    transform: Any
    constants: Any
    varying: Blocks
    common: Blocks
    uses: Uses
    rows: Rows
    within: Level
    between: Level
    thresholds: Thresholds


# Packed integer arrays, in this order; SIZES are (n_theta, n_a, n_z, n_b) and (m, n, n_design,
# recursive) of both levels. Blocks have six integer arrays, levels five.
_SIZES, _TRANSFORM, _VARYING, _COMMON, _USES, _ROWS, _WITHIN, _BETWEEN = 0, 1, 2, 8, 14, 17, 19, 24
_THRESHOLDS = 29
# Packed float arrays.
_CONSTANTS, _OF_VARYING, _OF_COMMON, _SCALES = 0, 1, 2, 3


def pack(arrays: Sequence[NDArray[Any]], dtype: type) -> NDArray[Any]:
    """Concatenate arrays behind a header of their offsets; the result is read-only."""
    header = len(arrays) + 1
    offsets = header + np.concatenate([[0], np.cumsum([np.size(a) for a in arrays])])
    packed: NDArray[Any] = np.concatenate([offsets, *(np.ravel(a) for a in arrays)]).astype(dtype)
    packed.setflags(write=False)
    return packed


def flat_cells(row: Any, column: Any, source: Any) -> NDArray[np.int64]:
    """Cells of a matrix as ``Level`` holds them, flattened."""
    return np.concatenate([row, column, source])


def pack_structure(structure: Structure) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Pack a structure; :func:`unpack` is the inverse."""
    s = structure
    sizes = [s.n_theta, s.n_a, s.n_z, s.n_b, *s.within[:4], *s.between[:4]]
    ints = [np.array(sizes), s.transform, *s.varying[:-1], *s.common[:-1], *s.uses, *s.rows]
    ints += [*s.within[4:], *s.between[4:], *s.thresholds[:-1]]
    floats = [s.constants, s.varying.constant, s.common.constant, s.thresholds.scale]
    return pack(ints, np.int64), pack(floats, np.float64)


@kernel
def integers(ints, i):
    """Return packed array number ``i``."""
    return ints[ints[i] : ints[i + 1]]


@part_kernel
def _floats(floats, i):
    return floats[int(floats[i]) : int(floats[i + 1])]


@part_kernel
def cells(ints, i):
    """Return packed cells number ``i``: rows, columns and sources (3, n_cells)."""
    return stacked(ints, ints[i], (3, (ints[i + 1] - ints[i]) // 3))


@part_kernel
def _blocks(ints, first, constant):
    return Blocks(
        integers(ints, first),
        integers(ints, first + 1),
        integers(ints, first + 2),
        integers(ints, first + 3),
        integers(ints, first + 4),
        integers(ints, first + 5),
        constant,
    )


@part_kernel
def level_of(ints, sizes, first):
    """Return the :class:`Level` with these sizes whose arrays begin with number ``first``."""
    return Level(
        sizes[0],
        sizes[1],
        sizes[2],
        sizes[3] == 1,
        integers(ints, first),
        integers(ints, first + 1),
        cells(ints, first + 2),
        cells(ints, first + 3),
        cells(ints, first + 4),
    )


@part_kernel
def unpack(ints, floats):
    """Return the :class:`Structure` behind two packed vectors."""
    ints, floats = borrowed(ints), borrowed(floats)
    sizes = integers(ints, _SIZES)
    return Structure(
        sizes[0],
        sizes[1],
        sizes[2],
        sizes[3],
        integers(ints, _TRANSFORM),
        _floats(floats, _CONSTANTS),
        _blocks(ints, _VARYING, _floats(floats, _OF_VARYING)),
        _blocks(ints, _COMMON, _floats(floats, _OF_COMMON)),
        Uses(integers(ints, _USES), integers(ints, _USES + 1), integers(ints, _USES + 2)),
        Rows(integers(ints, _ROWS), integers(ints, _ROWS + 1)),
        level_of(ints, sizes[4:8], _WITHIN),
        level_of(ints, sizes[8:12], _BETWEEN),
        Thresholds(
            integers(ints, _THRESHOLDS),
            integers(ints, _THRESHOLDS + 1),
            _floats(floats, _SCALES),
        ),
    )
