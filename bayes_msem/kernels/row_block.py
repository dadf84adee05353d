"""Up to 64 rows of a cluster side by side: what they are made of, their means, and the reverse.

Arrays of a :class:`Block` run over rows last, matrices of rows over groups first. Kernels see them
as lanes, a group of rows at a time; what is done cell by cell sees floats. Where a block ends
within a group, the rows that are not there have data, coordinates, deviations and gradients of
zero, so that they add nothing to sums over rows; their scores are numbers without meaning.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba.extending import register_jitable

from bayes_msem.kernels.carried import freeze
from bayes_msem.kernels.compile import inner_kernel, inner_part
from bayes_msem.kernels.lanes import LANES, across, grouped
from bayes_msem.kernels.probit_cells import probit_space
from bayes_msem.kernels.row_shared import idle

__all__ = [
    "BLOCK",
    "Block",
    "block_space",
    "copy_rows",
    "groups",
    "leave_out_idle",
    "means_back",
    "predictors",
    "sum_of_products",
]

BLOCK = 64  # rows that are looked at together: each step of the pass has its overhead


class Block(NamedTuple):
    """Of up to ``BLOCK`` = B rows of a cluster: what leads to their scores, and gradients.

    Attributes
    ----------
    real
        1 for rows, 0 for what fills the last group, (B,).
    weight, target
        Working weights and working responses (K, B).
    mu, deviation
        mu and r - mu, (d, B).
    chol, log_det, w, s
        L (B / LANES, q, q, LANES), log|P| (B,), L^-1 q and the scores (q, B).
    base, regressors
        beta (K, B) and (1, x, y*, v - b_v).
    d_s, d_mu, d_base
        Gradients of s, mu and beta.
    d_v, d_q, d_chol, scratch
        Gradients of L^-1 q and q (q, B), and of L and then P, as L; scratch (q, q, LANES).
    z, moved, z_slopes
        Of carried responses: z (M, B), y* less its frozen value, and derivatives of z (M, 3, B).
    kept_mu, kept_base
        mu and beta at frozen y*.
    count, where
        Number of scores that each response depends on, (K,), and which, (K, q); of rows that miss
        the same.
    eta
        Linear predictors of one response, (B,).
    cells, edges
        Of one probit: its cells, and its thresholds between infinities.
    product
        Product of probabilities of cells of probits, by lane, (LANES,).
    """

    real: Any
    weight: Any
    target: Any
    mu: Any
    deviation: Any
    chol: Any
    log_det: Any
    w: Any
    s: Any
    base: Any
    regressors: Any
    d_s: Any
    d_mu: Any
    d_base: Any
    d_v: Any
    d_q: Any
    d_chol: Any
    scratch: Any
    z: Any
    moved: Any
    z_slopes: Any
    kept_mu: Any
    kept_base: Any
    count: Any
    where: Any
    eta: Any
    cells: Any
    edges: Any
    product: Any


@register_jitable
def _scores_of_items(structure):
    """Return how many scores each response depends on, and which: loadings of others are zero."""
    items, n_fixed = structure.items, structure.level.n_design + structure.n_normal
    n_k, q = len(items.code), structure.level.n - structure.n_normal
    count, where = np.zeros(n_k, np.int64), np.zeros((n_k, q), np.int64)
    for k in range(n_k):
        for f in range(q):
            for cell in range(len(items.item)):
                if items.item[cell] == k and items.regressor[cell] == n_fixed + f:
                    where[k, count[k]] = f
                    count[k] += 1
                    break
    return count, where


@register_jitable
def block_space(structure):
    """Return room for a block."""
    n, n_v, n_k = structure.level.n, structure.n_normal, len(structure.items.code)
    n_c, (count, where) = structure.n_carried, _scores_of_items(structure)
    q, n_fixed = n - n_v, structure.level.n_design + n_v
    matrices = np.zeros((BLOCK // LANES, q, q, LANES))
    return Block(
        np.zeros(BLOCK), np.zeros((n_k, BLOCK)), np.zeros((n_k, BLOCK)), np.zeros((n, BLOCK)),
        np.zeros((n, BLOCK)), matrices, np.zeros(BLOCK), np.zeros((q, BLOCK)),
        np.zeros((q, BLOCK)), np.zeros((n_k, BLOCK)), np.zeros((n_fixed, BLOCK)),
        np.zeros((q, BLOCK)), np.zeros((n, BLOCK)), np.zeros((n_k, BLOCK)), np.zeros((q, BLOCK)),
        np.zeros((q, BLOCK)), np.zeros_like(matrices), np.zeros((q, q, LANES)),
        np.zeros((n_c, BLOCK)), np.zeros((n_c, BLOCK)), np.zeros((n_c, 3, BLOCK)),
        np.zeros((n, BLOCK)), np.zeros((n_k, BLOCK)), count, where, np.zeros(BLOCK),
        probit_space(BLOCK), np.zeros(len(structure.items.threshold) + 2), np.ones(LANES),
    )  # fmt: skip


@inner_kernel
def leave_out_idle(missing, structure, count, where):
    """Let responses depend on the scores that stand for what is ``missing``, and not on others."""
    items, n_fixed = structure.items, structure.level.n_design + structure.n_normal
    n, n_v = structure.level.n, structure.n_normal
    for k in range(len(items.code)):
        count[k] = 0
        for f in range(n - n_v):
            if idle(n_v + f, missing, structure.stands_for, n):
                continue
            for cell in range(len(items.item)):
                if items.item[cell] == k and items.regressor[cell] == n_fixed + f:
                    where[k, count[k]] = f
                    count[k] += 1
                    break


@inner_part
def groups(n):
    """Return the number of groups of n rows."""
    return (n + LANES - 1) // LANES


@inner_part
def sum_of_products(a, b, n):
    """Sum of a b over rows, of n groups."""
    total = 0.0
    for g in range(n):
        total += a[g] * b[g]
    return across(total)


@inner_part
def copy_rows(source, first, stop, target):
    """Copy a column of rows ``first`` to ``stop``, and zeros for those that are not there."""
    for r in range(stop - first):
        target[r] = source[first + r]
    for r in range(stop - first, groups(stop - first) * LANES):
        target[r] = 0.0


@inner_part
def predictors(first, stop, b, missing, structure, data, shared, block):
    """Fill mu, deviations of v, regressors and beta of rows ``first`` to ``stop``; y* is frozen.

    What of v is ``missing`` adds nothing to beta: a score may stand for it.
    """
    n_x, n_k, n_g = data.design.shape[0], len(structure.items.code), groups(stop - first)
    effect, own, (n_d, n) = structure.effect, structure.items.effect, shared.c.shape
    n_v, n_fixed, fixed, c = structure.n_normal, shared.fixed.shape[1], shared.fixed, shared.c
    for r in range(n_g * LANES):
        block.real[r] = 1.0 if r < stop - first else 0.0
    for column in range(n_x):
        copy_rows(data.design[column], first, stop, block.regressors[column])
    for m in range(structure.n_carried):
        copy_rows(data.carried[m], first, stop, block.regressors[n_x + m])
    for o in range(n_v):
        copy_rows(data.normal[o], first, stop, block.regressors[n_d + o])
    for k in range(n_k):
        copy_rows(data.offset[k], first, stop, block.base[k])
    if structure.n_carried > 0:
        freeze(stop - first, structure, shared, block.regressors)
    real, regressors = grouped(block.real), grouped(block.regressors)
    zero = 0.0 * real[0]
    mu, deviation, base = grouped(block.mu), grouped(block.deviation), grouped(block.base)
    for o in range(n):
        for g in range(n_g):
            total = 0.0
            for column in range(n_d):
                total += c[column, o] * regressors[column, g]
            mu[o, g] = total
    for o in range(n_v):
        level = b[effect[o]] if effect[o] >= 0 else 0.0
        for g in range(n_g):
            mu[o, g] += level
            deviation[o, g] = real[g] * (regressors[n_d + o, g] - mu[o, g])
            regressors[n_d + o, g] -= real[g] * level
            if missing[o] > 0.0:
                regressors[n_d + o, g] = zero
    for k in range(n_k):
        level = b[own[k]] if own[k] >= 0 else 0.0
        for g in range(n_g):
            total = base[k, g] + level
            for column in range(n_fixed):
                total += fixed[k, column] * regressors[column, g]
            base[k, g] = total


@inner_part
def means_back(first, stop, missing, structure, shared, block, d, d_b):
    """Pull the gradients of mu and beta back to coefficients and effects."""
    effect, own, fixed = structure.effect, structure.items.effect, shared.fixed
    n_g, n_v = groups(stop - first), structure.n_normal
    (n_d, n), (n_k, n_fixed) = d.c.shape, fixed.shape
    d_mu, d_base, real = grouped(block.d_mu), grouped(block.d_base), grouped(block.real)
    regressors = grouped(block.regressors)
    for o in range(n):
        for column in range(n_d):
            d.c[column, o] += sum_of_products(d_mu[o], regressors[column], n_g)
    for o in range(n_v):
        if effect[o] >= 0:
            d_b[effect[o]] += sum_of_products(d_mu[o], real, n_g)
    for k in range(n_k):
        total = sum_of_products(d_base[k], real, n_g)
        for column in range(n_fixed):
            d.fixed[k, column] += sum_of_products(d_base[k], regressors[column], n_g)
        if own[k] >= 0:
            d_b[own[k]] += total
        for o in range(n_v):
            if effect[o] >= 0 and missing[o] == 0.0:
                d_b[effect[o]] -= total * fixed[k, n_d + o]
