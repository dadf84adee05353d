r"""Expectations of functions of normal vectors, with an estimate of their error.

For u = m + A z with z ~ N(0, I_d), E f(u) comes from the first of three rules that suffices:

1. Polynomials of degree D: a Gauss-Hermite product rule with D // 2 + 1 nodes, which is exact.
2. Other functions: Gauss-Hermite product rules of three sizes. Where they agree, f is smooth enough
   for them, and the largest is right.
3. Where they do not (``abs`` and other functions with a kink, a jump or a pole), the direction g in
   which the gradient of f varies most is found, and the integral is split, with s in the space
   orthogonal to it, into

       E f(u) = E_s [ integral f(m + A (s + t g)) phi(t) dt ] .

   The inner integral is adaptive: panels are halved until a 7-point Gauss and a 15-point Kronrod
   rule agree (Piessens et al., 1983), so that kinks may lie anywhere. It crosses kinks at a large
   angle, and what is left is smooth in s: Gauss-Hermite product rules of three sizes are compared.
   Where those do not agree either and d is 2, the second direction is made adaptive as well.

All rules work on many problems (m, A) at once. Values that are not finite count as zero, and how
much probability they have is reported.

References
----------
Piessens, R., de Doncker-Kapenga, E., Überhuber, C. W., & Kahaner, D. K. (1983). QUADPACK: A
subroutine package for automatic integration. Springer. https://doi.org/10.1007/978-3-642-61786-7
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from itertools import product

import numpy as np
from numpy.typing import NDArray

__all__ = ["Expectation", "expectation"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
Function = Callable[[FloatArray, IntArray], FloatArray]

_TOLERANCE = 1e-6  # of E |f|: along lines
_GOOD = 1e-4  # of E |f|: where rules of different size agree
_FAIR, _MANY = 1e-3, 50_000  # the same where there are many problems
_MAX_VALUES = 500_000  # held at a time
_MOST_NODES = 21, 300  # of a Gauss-Hermite rule: along one coordinate, and in all
_ACROSS = (4, 6, 9), 150  # sizes of the rules across lines, and the most lines there may be
_ADAPTIVE = {1: 1, 2: 2}  # most adaptive directions by dimension; 1 in others, for their cost
_DEPTH, _MOST_PANELS = 20, 40  # how often a panel may be halved; how many are open, on average
_EDGES = np.array([-10.0, -4.0, -1.5, 0.0, 1.5, 4.0, 10.0])
_STEP = 0.05  # of central differences that show where the gradient varies

# 15-point Kronrod rule on (-1, 1): nodes from 0 up, its weights, those of the 7-point Gauss rule
_RULE = np.array(
    [
        [0.0000000000000000, 0.2094821410847278, 0.4179591836734694],
        [0.2077849550078985, 0.2044329400752989, 0.0],
        [0.4058451513773972, 0.1903505780647854, 0.3818300505051189],
        [0.5860872354676911, 0.1690047266392679, 0.0],
        [0.7415311855993945, 0.1406532597159259, 0.2797053914892767],
        [0.8648644233597691, 0.1047900103222502, 0.0],
        [0.9491079123427585, 0.0630920926299786, 0.1294849661688697],
        [0.9914553711208126, 0.0229353220105292, 0.0],
    ]
)
_SIGN = np.array([-1.0, 1.0, 1.0])
_NODES, _KRONROD, _GAUSS = np.concatenate([(_RULE * _SIGN)[:0:-1], _RULE]).T


@dataclass(frozen=True, slots=True, eq=False)
class Expectation:
    """Results of n problems.

    Attributes
    ----------
    value
        E f, (n,).
    error
        Estimate of its absolute error, (n,); zero for polynomials.
    size
        E |f|, (n,).
    undefined
        Probability that f is not a finite number, (n,).
    """

    value: FloatArray
    error: FloatArray
    size: FloatArray
    undefined: FloatArray

    def averaged(self, weights: FloatArray) -> Expectation:
        """Average every ``len(weights)`` results in a row."""
        parts = (getattr(self, field.name) for field in fields(self))
        return Expectation(*(part.reshape(-1, len(weights)) @ weights for part in parts))

    def put(self, at: IntArray, other: Expectation) -> None:
        """Write the results of some problems into this record's arrays."""
        for field in fields(self):
            getattr(self, field.name)[at] = getattr(other, field.name)


@dataclass(frozen=True, slots=True, eq=False)
class _Problems:
    """A function, means (n, d) and roots (n, d, d) of normal vectors."""

    f: Function
    mean: FloatArray
    root: FloatArray

    @property
    def dimension(self) -> int:
        return int(self.mean.shape[-1])


def expectation(
    f: Function,
    mean: FloatArray,
    root: FloatArray,
    *,
    degree: int | None = None,
    weights: FloatArray | None = None,
    tolerance: float | None = None,
) -> Expectation:
    """Compute the expectation of a function of normal vectors, or of mixtures of them.

    Parameters
    ----------
    f
        Takes values u (k, K, d) and the positions (k,) of their problems, and returns (k, K).
    mean, root
        Means m (n, d), and matrices A (n, d, d) with A A' the covariance matrix.
    degree
        Total degree of f in u if it is a polynomial, else None.
    weights
        Weights (J,) of a mixture: every J problems in a row are averaged. None: one problem each.
    tolerance
        Of E |f|: where product rules agree to it, they are right. 1e-4 by default, and 1e-3 where
        there are many problems.

    Returns
    -------
    Expectation
        Of n / J problems.

    Examples
    --------
    >>> mean, root = np.zeros((1, 1)), np.ones((1, 1, 1))
    >>> found = expectation(lambda u, at: np.abs(u[..., 0]), mean, root)
    >>> np.allclose(found.value, np.sqrt(2 / np.pi), rtol=1e-6)
    True
    """
    problems, every = _Problems(f, mean, root), np.arange(len(mean))
    shares = np.ones(1) if weights is None else weights
    if degree is not None:
        return _product_rule(problems, every, degree // 2 + 1).averaged(shares)
    if tolerance is None:
        tolerance = _GOOD if len(mean) <= _MANY else _FAIR
    nodes = _affordable(problems.dimension, *_MOST_NODES)
    result = _product_rule(problems, every, nodes).averaged(shares)
    for fewer in (max(2, 2 * nodes // 3), max(2, 5 * nodes // 6)):
        rough = _product_rule(problems, every, fewer).averaged(shares)
        result.error[:] = np.maximum(result.error, np.abs(result.value - rough.value))
    left = np.flatnonzero((result.error > tolerance * result.size) | (result.undefined > 0))
    for adaptive in range(1, _ADAPTIVE.get(problems.dimension, 1) + 1):
        if len(left):
            at = (left[:, None] * len(shares) + np.arange(len(shares))).reshape(-1)
            found, inner = _line_rule(problems, at, adaptive)
            result.put(left, found.averaged(shares))
            # more directions do not help where the integral along a line has no limit
            sharp = inner.reshape(-1, len(shares)) @ shares <= tolerance * result.size[left]
            left = left[sharp & (result.error[left] > tolerance * result.size[left])]
    return result


def _affordable(dimension: int, most: int, in_all: int) -> int:
    """Nodes along one coordinate of a product rule that has at most ``in_all``, but 3 or more."""
    return max(3, min(most, math.floor(math.pow(in_all, 1.0 / max(dimension, 1)) + 1e-9)))


def _grid(nodes: int, dimension: int) -> tuple[FloatArray, FloatArray]:
    """Nodes (K, dimension) and weights (K,) of a product rule for the standard normal."""
    points, weights = np.polynomial.hermite_e.hermegauss(nodes)
    weights = weights / weights.sum()
    grid = np.array(list(product(points, repeat=dimension))).reshape(nodes**dimension, dimension)
    return grid, np.array([np.prod(w) for w in product(weights, repeat=dimension)])


def _evaluate(problems: _Problems, u: FloatArray, at: IntArray) -> tuple[FloatArray, FloatArray]:
    """Values with zeros where they are not finite, and where that is."""
    with np.errstate(all="ignore"):
        values = np.broadcast_to(problems.f(u, at), u.shape[:-1])
    bad = ~np.isfinite(values)
    return np.where(bad, 0.0, values), bad.astype(np.float64)


def _empty(n: int) -> Expectation:
    return Expectation(*(np.zeros(n) for _ in fields(Expectation)))


def _product_rule(problems: _Problems, at: IntArray, nodes: int) -> Expectation:
    """Apply a Gauss-Hermite product rule; it does not know its error."""
    grid, weights = _grid(nodes, problems.dimension)
    result, step = _empty(len(at)), max(1, _MAX_VALUES // (grid.size + 1))
    for first in range(0, len(at), step):
        some = slice(first, min(first + step, len(at)))
        here = at[some]
        u = problems.mean[here][:, None] + grid @ problems.root[here].swapaxes(1, 2)
        values, bad = _evaluate(problems, u, here)
        result.value[some], result.size[some] = values @ weights, np.abs(values) @ weights
        result.undefined[some] = bad @ weights
    return result


# Lines ----------------------------------------------------------------------------------------


def _line_rule(problems: _Problems, at: IntArray, adaptive: int) -> tuple[Expectation, FloatArray]:
    """Integrate some directions adaptively, and the others with rules that are compared.

    Also returned is the error along the lines alone, which is part of the whole.
    """
    others = problems.dimension - adaptive
    sizes, most = _ACROSS
    highest = _affordable(others, sizes[-1], most)
    *rough, nodes = [max(2, size * highest // sizes[-1]) for size in sizes]
    result, inner = _empty(len(at)), np.empty(len(at))
    step = max(1, _MAX_VALUES // (nodes**others * (15 * len(_EDGES)) ** adaptive))
    for first in range(0, len(at), step):
        some = np.arange(first, min(first + step, len(at)))
        here = at[some]
        roots = problems.root[here] @ _directions(problems, here)
        found = _across(problems, here, roots, adaptive, nodes)
        inner[some] = found.error
        for fewer in rough if others else ():
            less = _across(problems, here, roots, adaptive, fewer)
            found.error[:] = np.maximum(found.error, np.abs(found.value - less.value))
        result.put(some, found)
    return result, inner


def _directions(problems: _Problems, at: IntArray) -> FloatArray:
    """Rotate z such that the gradient of f varies most along the first coordinates, (n, d, d)."""
    d = problems.dimension
    grid, weights = _grid(_affordable(d, 7, 150), d)
    steps = _STEP * np.concatenate([np.eye(d), -np.eye(d)])
    z = (grid[:, None] + steps).reshape(-1, d)
    u = problems.mean[at][:, None] + z @ problems.root[at].swapaxes(1, 2)
    values, _ = _evaluate(problems, u, at)
    ahead, behind = np.moveaxis(values.reshape(len(at), len(grid), 2, d), 2, 0)
    gradient = (ahead - behind) / np.maximum(np.abs(values).max(axis=1), 1e-300)[:, None, None]
    gradient -= (weights @ gradient)[:, None]
    spread = (gradient * weights[:, None]).swapaxes(1, 2) @ gradient
    _, vectors = np.linalg.eigh(spread)
    return vectors[..., ::-1]


def _across(
    problems: _Problems, at: IntArray, roots: FloatArray, adaptive: int, nodes: int
) -> Expectation:
    """Apply a product rule to all directions but the first ones, which are integrated."""
    d = problems.dimension
    grid, weights = _grid(nodes, d - adaptive)
    start = problems.mean[at][:, None] + grid @ roots[..., adaptive:].swapaxes(1, 2)
    paces = np.broadcast_to(
        roots[:, None, :, :adaptive].swapaxes(2, 3), (len(at), len(weights), adaptive, d)
    )
    lines = _integrated(
        problems,
        start.reshape(-1, d),
        paces.reshape(-1, adaptive, d),
        np.repeat(at, len(weights)),
    )
    return lines.averaged(weights)


def _integrated(
    problems: _Problems, start: FloatArray, paces: FloatArray, at: IntArray
) -> Expectation:
    """Integrate f(start + t_1 pace_1 + ...) phi(t_1) ... over all t, for (L, d) and (L, k, d)."""
    if not paces.shape[1]:
        values, bad = _evaluate(problems, start[:, None], at)
        return Expectation(values[:, 0], np.zeros(len(at)), np.abs(values[:, 0]), bad[:, 0])
    n, panels = len(start), len(_EDGES) - 1
    result, allowed = _empty(n), np.zeros(n)
    line = np.repeat(np.arange(n), panels)
    left, right = np.tile(_EDGES[:-1], n), np.tile(_EDGES[1:], n)
    for depth in range(_DEPTH + 1):
        half = (right - left)[:, None] / 2
        t = (left + right)[:, None] / 2 + half * _NODES
        inner = _integrated(
            problems,
            (start[line][:, None] + t[..., None] * paces[line, None, -1]).reshape(
                -1, start.shape[1]
            ),
            np.repeat(paces[line, :-1], len(_NODES), axis=0),
            np.repeat(at[line], len(_NODES)),
        )
        density = half * np.exp(-0.5 * t**2) / np.sqrt(2 * np.pi)
        weighted = [getattr(inner, f.name).reshape(t.shape) * density for f in fields(inner)]
        parts = [w @ _KRONROD for w in weighted]
        error = np.abs(parts[0] - weighted[0] @ _GAUSS)
        if depth == 0:
            allowed = _TOLERANCE / panels * np.bincount(line, parts[2], n)
        # what is inaccurate inside gains nothing by halving, nor does what has poles everywhere
        closed = error <= allowed[line] + parts[1]
        if depth == _DEPTH or len(line) > _MOST_PANELS * n:
            closed[:] = True
        parts[1] += error
        for field, part in zip(fields(result), parts, strict=True):
            getattr(result, field.name)[:] += np.bincount(line[closed], part[closed], n)
        line, left, right = line[~closed], left[~closed], right[~closed]
        if not len(line):
            break
        middle = (left + right) / 2
        line = np.concatenate([line, line])
        left, right = np.concatenate([left, middle]), np.concatenate([middle, right])
    return result
