r"""Sampled effects of a batch of clusters from their coordinates, and the reverse.

See kernels.centring for what is computed; the names of the arrays are those of its formulas.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from numba.extending import register_jitable

from bayes_msem.kernels.compile import borrowed, inner_kernel, view_kernel
from bayes_msem.kernels.lanes import LANES, as_lanes, lanes_matrix, lanes_stack, lanes_vector
from bayes_msem.kernels.statistics import batches_of
from bayes_msem.kernels.triangular import cholesky, cholesky_back


class Approximation(NamedTuple):
    """What the data y say about the effects of every cluster, as lanes.

    Attributes
    ----------
    n_a, n_z
        How many linear effects and cluster-level variables take part: all or none.
    masked
        Whether some z is missing.
    a, gamma, info, eta1, eta2
        A, Gamma, S, eta1 and eta2.
    z, seen
        Cluster-level variables that the coordinates condition on, and whether they are observed.
    shift
        How far the parameters move what the data say about b; zero but in kernels.augmented.
    """

    n_a: Any
    n_z: Any
    masked: Any
    a: Any
    gamma: Any
    info: Any
    eta1: Any
    eta2: Any
    z: Any
    seen: Any
    shift: Any


class Coordinates(NamedTuple):
    """What leads from coordinates to effects, of all batches; the reverse needs it.

    Attributes
    ----------
    e, mean
        What is known of z, whitened, and the means of (a, b) given it.
    chol1, y, chol
        C1, Y (with C1^-1 rho1 in a last column) and C.
    info_l, rho2, s, b
        S L, rho2, s and the effects.
    """

    e: Any
    mean: Any
    chol1: Any
    y: Any
    chol: Any
    info_l: Any
    rho2: Any
    s: Any
    b: Any


# Length of the header of a packed approximation: whether linear effects take part, whether z does,
# and whether some z is missing.
HEADER = 3


@register_jitable
def coordinates_space(n, n_a, n_z, n_b):
    """Return room for n batches."""
    return Coordinates(
        lanes_matrix(n, n_z),
        lanes_matrix(n, n_a + n_b),
        lanes_stack(n, n_a, n_a),
        lanes_stack(n, n_a, n_b + 1),
        lanes_stack(n, n_b, n_b),
        lanes_stack(n, n_b, n_b),
        lanes_matrix(n, n_b),
        lanes_matrix(n, n_b),
        lanes_matrix(n, n_b),
    )


@register_jitable
def _batches(packed, start, n, rows, columns):
    stop = start + n * rows * columns * LANES
    return as_lanes(packed[start:stop].reshape((n, rows, columns, LANES))), stop


@register_jitable
def _vectors(packed, start, n, length):
    stop = start + n * length * LANES
    return as_lanes(packed[start:stop].reshape((n, length, LANES))), stop


@view_kernel
def approximation_of(structure, n_clusters, packed):
    """Return the :class:`Approximation` that likelihood.approximation has packed."""
    packed = borrowed(packed)
    n_a = structure.n_a if packed[0] > 0.0 else 0
    n_z = structure.n_z if packed[1] > 0.0 else 0
    n, n_b, start = batches_of(n_clusters), structure.n_b, 0 + HEADER
    a, start = _batches(packed, start, n, n_a, n_a)
    gamma, start = _batches(packed, start, n, n_a, n_b)
    info_packed, start = _batches(packed, start, n, n_b, n_b)
    eta1, start = _vectors(packed, start, n, n_a)
    eta2_packed, start = _vectors(packed, start, n, n_b)
    z_packed, start = _vectors(packed, start, n, n_z)
    seen_packed, _ = _vectors(packed, start, n, n_z)
    # copies, so that kernels see the kind of array that they see elsewhere
    z, seen = lanes_matrix(n, n_z), lanes_matrix(n, n_z)
    for g in range(n):
        for i in range(n_z):
            z[g, i] = z_packed[g, i]
            seen[g, i] = seen_packed[g, i]
    info, eta2 = lanes_stack(n, n_b, n_b), lanes_matrix(n, n_b)  # kernels.augmented adds to these
    for g in range(n):
        for i in range(n_b):
            eta2[g, i] = eta2_packed[g, i]
            for m in range(n_b):
                info[g, i, m] = info_packed[g, i, m]
    shift = lanes_vector(n_b)
    return Approximation(n_a, n_z, packed[2] > 0.0, a, gamma, info, eta1, eta2, z, seen, shift)


@inner_kernel
def effects_forward(g, k, given, data, t, va, space):
    """Fill the effects of batch g, and what the reverse needs.

    Parameters
    ----------
    g, k
        The batch, and its place in ``given``.
    given, data, t
        Prior of the effects given z, approximation, and coordinates of the batch.
    va : (n_a, n_a) lanes
        Scratch.
    space
        The coordinates, with the means of the effects.

    Returns
    -------
    bool
        Whether all matrices are positive definite.
    """
    root, n_z, info, mean = given.root[k], data.n_z, data.info[g], space.mean[g]
    chol1, y, chol, info_l = space.chol1[g], space.y[g], space.chol[g], space.info_l[g]
    rho2, s, b, eta2, shift = space.rho2[g], space.s[g], space.b[g], data.eta2[g], data.shift
    n_a, n_b = y.shape[0], chol.shape[0]
    if not _linear_forward(g, k, given, data, va, mean, chol1, y):
        return False
    for i in range(n_b):
        for j in range(n_b):
            total = 0.0
            for m in range(j, n_b):
                total += info[i, m] * root[n_z + m, n_z + j]
            info_l[i, j] = total
    for i in range(n_b):
        for j in range(i + 1):
            total = 1.0 if i == j else 0.0
            for m in range(i, n_b):
                total += root[n_z + m, n_z + i] * info_l[m, j]
            for q in range(n_a):
                total += y[q, i] * y[q, j]
            chol[i, j] = total
    _, positive = cholesky(chol, n_b)
    if not positive:
        return False
    for i in range(n_b):
        total = eta2[i]
        for j in range(n_b):
            total -= info[i, j] * (mean[n_a + j] - shift[j])
        rho2[i] = total
    for i in range(n_b):  # C^-1 q
        total = 0.0
        for m in range(i, n_b):
            total += root[n_z + m, n_z + i] * rho2[m]
        for q in range(n_a):
            total += y[q, i] * y[q, n_b]
        for j in range(i):
            total -= chol[i, j] * s[j]
        s[i] = total / chol[i, i]
    for i in range(n_b):
        s[i] += t[i]
    for i in range(n_b - 1, -1, -1):  # the mean and t share C^-T
        total = s[i]
        for j in range(i + 1, n_b):
            total -= chol[j, i] * s[j]
        s[i] = total / chol[i, i]
    for i in range(n_b):
        total = mean[n_a + i]
        for j in range(i + 1):
            total += root[n_z + i, n_z + j] * s[j]
        b[i] = total
    return True


@inner_kernel
def _linear_forward(g, k, given, data, va, mean, chol1, y):
    """Fill C1 and Y, the part of the linear effects; return whether K is positive definite."""
    a, gamma, eta1, n_z = data.a[g], data.gamma[g], data.eta1[g], data.n_z
    root, u, v = given.root[k], given.u[k], given.v[k]
    n_a, n_b = gamma.shape
    for q in range(n_a):
        for j in range(n_a):
            total = v[q, j] * a[j, j]
            for m in range(j + 1, n_a):
                total += v[q, m] * a[m, j]
            va[q, j] = total
    for q in range(n_a):
        for j in range(q + 1):
            total = 1.0 if q == j else 0.0
            for m in range(q, n_a):
                total += a[m, q] * va[m, j]
            chol1[q, j] = total
    _, positive = cholesky(chol1, n_a)
    if not positive:
        return False
    for q in range(n_a):
        for j in range(n_b):
            total = 0.0
            for m in range(q, n_a):
                total += a[m, q] * u[m, n_z + j]
            for m in range(j, n_b):
                total += gamma[q, m] * root[n_z + m, n_z + j]
            y[q, j] = total
        total = eta1[q]
        for m in range(q, n_a):
            total -= a[m, q] * mean[m]
        for i in range(n_b):
            total -= gamma[q, i] * mean[n_a + i]
        y[q, n_b] = total
        for j in range(n_b + 1):
            total = y[q, j]
            for m in range(q):
                total -= chol1[q, m] * y[m, j]
            y[q, j] = total / chol1[q, q]
    return True


class CoordinateGradients(NamedTuple):
    """Gradients with respect to R, U, V and the shift (summed over batches), the means and s.

    ``info`` and ``eta2`` are those of S and eta2 of every batch, or have no batches: not wanted.
    """

    root: Any
    u: Any
    v: Any
    mean: Any
    s: Any
    shift: Any
    info: Any
    eta2: Any


@inner_kernel
def effects_backward(g, k, given, data, t, space, d_b, weight, d_t, d, scratch):
    """Reverse of ``effects_forward``; ``weight`` is the gradient of log|C|.

    ``d`` (:class:`CoordinateGradients`) comes with the direct gradient of s. Fills ``d_t`` and the
    gradient of the means, adds to those of R, U and V. ``scratch`` has shape (4, m, m), m > n_a,
    n_b.
    """
    root, n_z, info, chol, s = given.root[k], data.n_z, data.info[g], space.chol[g], space.s[g]
    info_l, rho2, n_a, n_b = space.info_l[g], space.rho2[g], space.y.shape[1], space.s.shape[1]
    d_root, d_mean, d_s = d.root, d.mean, d.s
    d_chol, grad_q, inner = scratch[0], scratch[2, 0], scratch[3, 0]
    for i in range(n_b):
        d_mean[n_a + i] = d_b[i]
        for j in range(i + 1):
            d_root[n_z + i, n_z + j] += d_b[i] * s[j]
            d_s[j] += d_b[i] * root[n_z + i, n_z + j]
    for i in range(n_b):  # C^-1 d_s
        total = d_s[i]
        for j in range(i):
            total -= chol[i, j] * d_t[j]
        d_t[i] = total / chol[i, i]
    for i in range(n_b - 1, -1, -1):  # C^-T C^-1 d_s, the gradient of q
        total = d_t[i]
        for j in range(i + 1, n_b):
            total -= chol[j, i] * grad_q[j]
        grad_q[i] = total / chol[i, i]
    for i in range(n_b):  # C^-1 q = C' s - t
        total = -t[i]
        for j in range(i, n_b):
            total += chol[j, i] * s[j]
        inner[i] = total
    for i in range(n_b):
        for j in range(i + 1):
            d_chol[i, j] = -s[i] * d_t[j] - grad_q[i] * inner[j]
        for j in range(i + 1, n_b):
            d_chol[i, j] = 0.0
        d_chol[i, i] += weight / chol[i, i]
    cholesky_back(chol, n_b, d_chol)  # now the gradient of Q
    for i in range(n_b):
        for j in range(i + 1):
            total = rho2[i] * grad_q[j]
            for m in range(n_b):
                total += 2.0 * info_l[i, m] * d_chol[m, j]
            d_root[n_z + i, n_z + j] += total
    for m in range(n_b):  # L grad_q, the gradient of rho2
        total = 0.0
        for j in range(m + 1):
            total += root[n_z + m, n_z + j] * grad_q[j]
        inner[m] = total
    for i in range(n_b):
        total = 0.0
        for m in range(n_b):
            total += info[i, m] * inner[m]
        d_mean[n_a + i] -= total
        d.shift[i] += total
    if len(d.info) > 0:
        _info_backward(g, k, given, data, space, inner, d, scratch)
    _linear_backward(g, data, space, n_z, grad_q, d, scratch)


@inner_kernel
def _info_backward(g, k, given, data, space, d_rho2, d, scratch):
    """Gradients of S and eta2 of batch g, given those of Q (``scratch[0]``) and of rho2."""
    root, n_z, n_a, n_b = given.root[k], data.n_z, space.y.shape[1], space.s.shape[1]
    d_q, l_q, mean = scratch[0], scratch[1], space.mean[g]
    for i in range(n_b):
        d.eta2[g, i] = d_rho2[i]
        for m in range(n_b):
            total = 0.0
            for j in range(i + 1):
                total += root[n_z + i, n_z + j] * d_q[j, m]
            l_q[i, m] = total
    for i in range(n_b):
        for j in range(n_b):
            total = -d_rho2[i] * (mean[n_a + j] - data.shift[j])
            for m in range(j + 1):
                total += l_q[i, m] * root[n_z + j, n_z + m]
            d.info[g, i * n_b + j] = total


@inner_kernel
def _linear_backward(g, data, space, n_z, grad_q, d, scratch):
    """Reverse of ``_linear_forward``, given the gradients of Q (``scratch[0]``) and of q."""
    a, gamma, chol1, y = data.a[g], data.gamma[g], space.chol1[g], space.y[g]
    d_chol, d_y, x, y_x = scratch[0], scratch[1], scratch[2], scratch[3]
    d_root, d_u, d_v, d_mean = d.root, d.u, d.v, d.mean
    n_a, n_b = gamma.shape
    for q in range(n_a):
        total = 0.0
        for j in range(n_b):
            total += y[q, j] * grad_q[j]
        d_y[q, n_b] = total
        for j in range(n_b):
            total = y[q, n_b] * grad_q[j]
            for m in range(n_b):
                total += 2.0 * y[q, m] * d_chol[m, j]
            d_y[q, j] = total
    for j in range(n_b + 1):  # C1^-T
        for q in range(n_a - 1, -1, -1):
            total = d_y[q, j]
            for m in range(q + 1, n_a):
                total -= chol1[m, q] * d_y[m, j]
            d_y[q, j] = total / chol1[q, q]
    for q in range(n_a):
        for m in range(n_a):
            x[q, m] = 0.0
            if m <= q:
                total = 0.0
                for j in range(n_b + 1):
                    total -= d_y[q, j] * y[m, j]
                x[q, m] = total
    cholesky_back(chol1, n_a, x)  # now the gradient of K
    for q in range(n_a):
        for j in range(n_a):
            total = 0.0
            for m in range(q + 1):
                total += a[q, m] * x[m, j]
            y_x[q, j] = total
    for q in range(n_a):
        for m in range(n_a):
            total = 0.0
            for j in range(m + 1):
                total += y_x[q, j] * a[m, j]
            d_v[q, m] += total
        total = 0.0
        for m in range(q + 1):
            total += a[q, m] * d_y[m, n_b]
        d_mean[q] = -total
        for j in range(n_b):
            total = 0.0
            for m in range(q + 1):
                total += a[q, m] * d_y[m, j]
            d_u[q, n_z + j] += total
    for i in range(n_b):
        total = 0.0
        for q in range(n_a):
            total += gamma[q, i] * d_y[q, n_b]
        d_mean[n_a + i] -= total
        for j in range(i + 1):
            total = 0.0
            for q in range(n_a):
                total += gamma[q, i] * d_y[q, j]
            d_root[n_z + i, n_z + j] += total
