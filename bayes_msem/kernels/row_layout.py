"""Rows with outcomes that are not normal: named tuples in kernels, packed vectors on the way there.

likelihood.response_rows packs, :func:`row_structure` and :func:`row_data` unpack.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from bayes_msem.kernels.compile import borrowed, kernel, part_kernel
from bayes_msem.kernels.layout import integers, level_of


class Items(NamedTuple):
    """The responses of rows, or of clusters.

    Attributes
    ----------
    code
        Family of each (kernels.responses). Where K responses are SCALED, their log SDs, LOG_SD,
        are the last K, in the same order.
    effect
        Position of its random intercept among the effects, -1 if it has none.
    first
        Thresholds first[k] to first[k + 1] are those of response k.
    threshold, dispersion
        Positions in the value vector; -1 where there is no dispersion.
    item, regressor, source
        Cells of the coefficients: response, column of (1, x, y*, v - b_v, s), of clusters (1, w, z,
        b), and position in the value vector.
    one, other, correlation
        Correlations of residuals: the later and the earlier response, and position in the value
        vector.
    """

    code: Any
    effect: Any
    first: Any
    threshold: Any
    dispersion: Any
    item: Any
    regressor: Any
    source: Any
    one: Any
    other: Any
    correlation: Any


class RowStructure(NamedTuple):
    """The template of the rows: outcomes (v, s), of which v are ``n_normal``, and the responses.

    The first ``n_carried`` responses are carried (kernels.carried); the design of (v, s) ends with
    their y*. ``effect`` are the positions of the random intercepts of v among the effects, or -1.
    The last of s stand for some of v, whose positions ``stands_for`` has, where these are missing:
    for their parts that vary within clusters.
    ``top`` are the responses of clusters (kernels.cluster_terms); ``n_known`` of their
    regressors are not effects.
    """

    n_normal: Any
    n_carried: Any
    n_known: Any
    level: Any
    effect: Any
    stands_for: Any
    items: Any
    top: Any


class RowData(NamedTuple):
    """Rows in the order of their clusters: first row of each (J + 1), and arrays over rows last.

    Attributes
    ----------
    first
        Rows first[j] to first[j + 1] are those of cluster j.
    pattern, missing
        Which normal outcomes a row misses: its pattern (N,), sorted within clusters, and the
        outcomes that each pattern misses (patterns, n_v), 0 or 1.
    design, normal, y, offset
        (1, x), normal outcomes v (0 where missing), responses (NaN where missing), and what is
        added to eta, (., N).
    weight, target
        Working weights w and working responses c, (K, N).
    carried
        Frozen y* of the responses that are carried (kernels.carried), (M, N).
    known, z, z_offset, z_weight, z_target
        Of clusters, by cluster: (1, w, z) with normal z, responses, what is added to their eta, and
        their working weights and working responses.
    """

    first: Any
    pattern: Any
    missing: Any
    design: Any
    normal: Any
    y: Any
    offset: Any
    weight: Any
    target: Any
    carried: Any
    known: Any
    z: Any
    z_offset: Any
    z_weight: Any
    z_target: Any


# Packed integers of a row structure, in this order.
_SIZES, _LEVEL, _EFFECT, _STANDS, _ITEMS, _TOP = 0, 1, 6, 7, 8, 19


@part_kernel
def _items(ints, i):
    return Items(
        integers(ints, i),
        integers(ints, i + 1),
        integers(ints, i + 2),
        integers(ints, i + 3),
        integers(ints, i + 4),
        integers(ints, i + 5),
        integers(ints, i + 6),
        integers(ints, i + 7),
        integers(ints, i + 8),
        integers(ints, i + 9),
        integers(ints, i + 10),
    )


@kernel
def row_structure(packed):
    """Return the :class:`RowStructure` that likelihood.response_rows has packed."""
    ints = borrowed(packed)
    sizes = integers(ints, _SIZES)
    level, effect = level_of(ints, sizes[1:5], _LEVEL), integers(ints, _EFFECT)
    stands_for = integers(ints, _STANDS)
    items, top = _items(ints, _ITEMS), _items(ints, _TOP)
    return RowStructure(sizes[0], sizes[5], sizes[6], level, effect, stands_for, items, top)


@kernel
def _matrix(packed, start, rows, columns):
    return packed[start : start + rows * columns].reshape((rows, columns))


@kernel
def row_data(packed, structure):
    """Return the :class:`RowData` that likelihood.response_rows has packed."""
    floats = borrowed(packed)
    n_clusters, n, n_patterns = int(floats[0]), int(floats[1]), int(floats[2])
    n_v, n_k, n_c = structure.n_normal, len(structure.items.code), structure.n_carried
    n_d = structure.level.n_design - n_c
    first, start = floats[3 : 4 + n_clusters], 4 + n_clusters
    pattern = floats[start : start + n]
    start += n
    missing = _matrix(floats, start, n_patterns, n_v)
    start += n_patterns * n_v
    design = _matrix(floats, start, n_d, n)
    start += n * n_d
    normal = _matrix(floats, start, n_v, n)
    start += n * n_v
    step = n * n_k
    top = start + 4 * step + n * n_c  # a model without clusters has none of what follows
    n_top = len(structure.top.code)
    n_j = n_clusters if n_top > 0 else 0
    known, of_top = n_j * structure.n_known, n_j * n_top
    return RowData(
        first,
        pattern,
        missing,
        design,
        normal,
        _matrix(floats, start, n_k, n),
        _matrix(floats, start + step, n_k, n),
        _matrix(floats, start + 2 * step, n_k, n),
        _matrix(floats, start + 3 * step, n_k, n),
        _matrix(floats, start + 4 * step, n_c, n),
        _matrix(floats, top, n_j, structure.n_known),
        _matrix(floats, top + known, n_j, n_top),
        _matrix(floats, top + known + of_top, n_j, n_top),
        _matrix(floats, top + known + 2 * of_top, n_j, n_top),
        _matrix(floats, top + known + 3 * of_top, n_j, n_top),
    )


@kernel
def scores_in(ints, floats):
    """Return the number of rows, and of scores and carried responses of each."""
    sizes = integers(ints, _SIZES)
    return int(floats[1]), sizes[2] - sizes[0] + sizes[5]


class RowGradients(NamedTuple):
    """What the pass over rows adds to: terms (J,) of the clusters, and gradients.

    Attributes
    ----------
    terms
        Log densities of the rows of each cluster, (J,).
    x, values, b, t
        Gradients with respect to x, values shared by clusters, effects (J, n_b) and coordinates of
        scores and carried responses (N, q + M).
    """

    terms: Any
    x: Any
    values: Any
    b: Any
    t: Any
