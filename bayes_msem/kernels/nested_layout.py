"""The layout of three-level structures and of their statistics (structure.nested).

A packed three-level structure is that of its levels 1 and 2 (kernels.layout) with the arrays of
level 3 behind it, so every kernel of two levels reads it as it is: :func:`with_top` adds them,
:func:`unpack_top` gives them their names back. Packed statistics are those by cluster or by size of
levels 1 and 2, with what is known of top units behind them (likelihood.nested_statistics).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bayes_msem.kernels.compile import borrowed, part_kernel, stacked
from bayes_msem.kernels.lanes import LANES, as_lanes
from bayes_msem.kernels.layout import Level, Uses, integers, level_of, pack

NESTED_HEADER = 4
"""Statistics begin with the length of those of levels 1 and 2, K, whether z3 has missing values,
and how many lanes of clusters are said the unit of."""


class Top(NamedTuple):
    """Level 3: numbers of effects c and of outcomes z3, the uses of c at level 2, and the level."""

    n_c: Any
    n_z: Any
    uses: Uses
    level: Level


class Units(NamedTuple):
    """Top units, as lanes: (1, w3), z3 and whether z3 is observed; zeros in empty lanes.

    ``n`` is their number, ``masked`` whether some z3 is missing, and ``parent`` the unit of every
    cluster, floats (batches LANES), 0 in empty lanes; by size there are none.
    """

    n: Any
    masked: Any
    parent: Any
    w: Any
    z: Any
    seen: Any


# Arrays of level 3 behind those of kernels.layout; SIZES are (n_c, n_z3) and (m, n, n_design,
# recursive).
_SIZES, _USES, _LEVEL = 31, 32, 35


def with_top(ints: NDArray[np.int64], top: Top) -> NDArray[np.int64]:
    """Return the integers of a packed structure with those of level 3 behind them."""
    n = int(ints[0]) - 1
    assert n == _SIZES, "arrays of kernels.layout"
    lower = [ints[ints[i] : ints[i + 1]] for i in range(n)]
    sizes = np.array([top.n_c, top.n_z, *top.level[:4]])
    return pack([*lower, sizes, *top.uses, *top.level[4:]], np.int64)


@part_kernel
def unpack_top(ints):
    """Return the :class:`Top` of a packed three-level structure."""
    ints = borrowed(ints)
    sizes = integers(ints, _SIZES)
    return Top(
        sizes[0],
        sizes[1],
        Uses(integers(ints, _USES), integers(ints, _USES + 1), integers(ints, _USES + 2)),
        level_of(ints, sizes[2:6], _LEVEL),
    )


@part_kernel
def lower_statistics(statistics):
    """Return the packed statistics of levels 1 and 2."""
    return stacked(borrowed(statistics), NESTED_HEADER, (int(statistics[0]),))


@part_kernel
def units_of(statistics, n_w, n_z):
    """Return the :class:`Units` of packed statistics."""
    statistics = borrowed(statistics)
    k, masked, n_parents = int(statistics[1]), statistics[2] > 0.0, int(statistics[3])
    n, start = (k + LANES - 1) // LANES, NESTED_HEADER + int(statistics[0])
    parent, start = statistics[start : start + n_parents], start + n_parents
    w, start = as_lanes(stacked(statistics, start, (n, n_w, LANES))), start + n * n_w * LANES
    z, start = as_lanes(stacked(statistics, start, (n, n_z, LANES))), start + n * n_z * LANES
    seen = as_lanes(stacked(statistics, start, (n, n_z, LANES)))
    return Units(k, masked, parent, w, z, seen)
