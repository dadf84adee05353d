"""C functions for nutpie: ``logp(n, x, gradient, value, user)`` and ``expand(n, m, x, out, user)``.

Compiled once for all models and cached on disk; what belongs to a model is found behind ``user``: a
table of int64 with a row per array (address and up to three sizes), behind a row with their
number. The arrays are those of PriorArrays and Geometry, then the packed likelihood: ints, floats
and statistics, and with clusters one by one the packed approximation of likelihood.approximation.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numba import types
from numba.core import cgutils
from numba.core.imputils import impl_ret_borrowed
from numba.extending import intrinsic

from bayes_msem.kernels.compile import kernel
from bayes_msem.kernels.density import (
    Geometry,
    cluster_posterior,
    constrained,
    moment_posterior,
    sampled_posterior,
)
from bayes_msem.kernels.priors import PriorArrays
from bayes_msem.likelihood.cluster_statistics import clusters_in

LOGP = types.int64(
    types.uint64,
    types.CPointer(types.float64),
    types.CPointer(types.float64),
    types.CPointer(types.float64),
    types.voidptr,
)
EXPAND = types.int64(
    types.uint64,
    types.uint64,
    types.CPointer(types.float64),
    types.CPointer(types.float64),
    types.voidptr,
)
# What nutpie reads as "no density here": a divergence, not an error.
_NOT_FINITE = 4

# Rows of the table: address, and up to three sizes.
WIDTH = 4
_N_PRIORS, _N_GEOMETRY = len(PriorArrays._fields), len(Geometry._fields)
_LIKELIHOOD = _N_PRIORS + _N_GEOMETRY


@intrinsic
def _pointer(typingctx: Any, address: Any) -> Any:
    """Return an address as a pointer."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.inttoptr(args[0], cgutils.voidptr_t)

    return types.voidptr(address), codegen


@intrinsic
def _read_only(typingctx: Any, array: Any) -> Any:
    """Return the array as a read-only one, so that kernels see the types Python passes them."""
    result = types.Array(array.dtype, array.ndim, array.layout, readonly=True)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return impl_ret_borrowed(context, builder, signature.return_type, args[0])

    return result(array), codegen


@kernel
def _floats(table, i):
    return numba.carray(_pointer(table[i, 0]), (table[i, 1],), np.float64)


@kernel
def _floats2(table, i):
    return numba.carray(_pointer(table[i, 0]), (table[i, 1], table[i, 2]), np.float64)


@kernel
def _ints(table, i):
    return numba.carray(_pointer(table[i, 0]), (table[i, 1],), np.int64)


@kernel
def _ints2(table, i):
    return numba.carray(_pointer(table[i, 0]), (table[i, 1], table[i, 2]), np.int64)


@kernel
def _table(user):
    header = numba.carray(user, (1,), np.int64)
    return numba.carray(user, (header[0] + 1, WIDTH), np.int64)[1:]


@kernel
def _priors(table):
    return PriorArrays(
        _ints(table, 0),
        _floats2(table, 1),
        _floats(table, 2),
        _ints(table, 3),
        _floats(table, 4),
        _floats(table, 5),
        _ints(table, 6),
        _ints2(table, 7),
        _ints2(table, 8),
        _ints2(table, 9),
        _floats(table, 10),
    )


@kernel
def _geometry(table):
    first = _N_PRIORS
    return Geometry(
        _floats(table, first),
        _ints(table, first + 1),
        _ints(table, first + 2),
        _ints(table, first + 3),
        _floats(table, first + 4),
    )


@kernel
def _told(value, logp, gradient):
    """Hand over the value; say whether it and the gradient are finite."""
    logp[0] = value
    if not np.isfinite(value):
        return _NOT_FINITE
    for g in gradient:
        if not np.isfinite(g):
            return _NOT_FINITE
    return 0


@kernel
def _model(table):
    """Return priors, geometry, and ints, floats and statistics of the likelihood."""
    return (
        _priors(table),
        _geometry(table),
        _read_only(_ints(table, _LIKELIHOOD)),
        _read_only(_floats(table, _LIKELIHOOD + 1)),
        _read_only(_floats(table, _LIKELIHOOD + 2)),
    )


def moment_logp(n, x, gradient, logp, user):
    """Density of a model whose likelihood goes by cluster size."""
    v, out = numba.carray(x, (n,)), numba.carray(gradient, (n,))
    priors, geometry, ints, floats, statistics = _model(_table(user))
    value = moment_posterior(v, 1.0, priors, geometry, ints, floats, statistics, out)
    return _told(value, numba.carray(logp, (1,)), out)


def cluster_logp(n, x, gradient, logp, user):
    """Density of a model whose likelihood goes by cluster or response pattern."""
    v, out = numba.carray(x, (n,)), numba.carray(gradient, (n,))
    priors, geometry, ints, floats, statistics = _model(_table(user))
    none = np.empty((clusters_in(statistics), 0))
    value = cluster_posterior(v, 1.0, priors, geometry, ints, floats, statistics, none, out)
    return _told(value, numba.carray(logp, (1,)), out)


def sampled_logp(n, x, gradient, logp, user):
    """Density of a model with sampled effects."""
    v, out = numba.carray(x, (n,)), numba.carray(gradient, (n,))
    table = _table(user)
    priors, geometry, ints, floats, statistics = _model(table)
    approximation = _read_only(_floats(table, _LIKELIHOOD + 3))
    value = sampled_posterior(
        v, 1.0, priors, geometry, ints, floats, statistics, approximation, out
    )
    return _told(value, numba.carray(logp, (1,)), out)


def expand(n, n_out, x, out, user):
    """Parameters on the scale of their priors, then the coordinates of sampled effects."""
    table = _table(user)
    priors = _priors(table)
    v, result = numba.carray(x, (n,)), numba.carray(out, (n_out,))
    n_parameters = len(priors.family)
    constrained(v, n_parameters, priors, _geometry(table), result)
    for i in range(n_parameters, n):
        result[i] = v[i]
    return 0
