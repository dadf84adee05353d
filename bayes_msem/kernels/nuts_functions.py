"""C functions for nutpie: ``logp(n, x, gradient, value, user)`` and ``expand(n, m, x, out, user)``.

Compiled once for all models and cached on disk; what belongs to a model is found behind ``user``: a
table of int64 with a row per array (address and up to three sizes), behind a row with their
number. The arrays are those of PriorArrays, Geometry and Packed, and the last one has the address
of the likelihood (kernels.by_address).
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from bayes_msem.kernels.by_address import OF_EFFECTS, OF_PARAMETERS, OF_SCORES
from bayes_msem.kernels.compile import part_kernel, read_only
from bayes_msem.kernels.density import (
    Geometry,
    Packed,
    constrained,
    effects_posterior,
    plain_posterior,
    scores_posterior,
)
from bayes_msem.kernels.priors import PriorArrays

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


@part_kernel
def _floats(table, i):
    return numba.carray(_pointer(table[i, 0]), (table[i, 1],), np.float64)


@part_kernel
def _floats2(table, i):
    return numba.carray(_pointer(table[i, 0]), (table[i, 1], table[i, 2]), np.float64)


@part_kernel
def _ints(table, i):
    return numba.carray(_pointer(table[i, 0]), (table[i, 1],), np.int64)


@part_kernel
def _ints2(table, i):
    return numba.carray(_pointer(table[i, 0]), (table[i, 1], table[i, 2]), np.int64)


@part_kernel
def _table(user):
    header = numba.carray(user, (1,), np.int64)
    return numba.carray(user, (header[0] + 1, WIDTH), np.int64)[1:]


@part_kernel
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


@part_kernel
def _geometry(table):
    first = _N_PRIORS
    return Geometry(
        _floats(table, first),
        _ints(table, first + 1),
        _ints(table, first + 2),
        _ints(table, first + 3),
        _floats(table, first + 4),
        _floats2(table, first + 5),
        _floats(table, first + 6),
    )


@part_kernel
def _told(value, logp, gradient):
    """Hand over the value; say whether it and the gradient are finite."""
    logp[0] = value
    if not np.isfinite(value):
        return _NOT_FINITE
    for g in gradient:
        if not np.isfinite(g):
            return _NOT_FINITE
    return 0


@part_kernel
def _model(table):
    """Return priors, geometry and the packed likelihood."""
    likelihood = Packed(
        read_only(_ints(table, _LIKELIHOOD)),
        read_only(_floats(table, _LIKELIHOOD + 1)),
        read_only(_floats(table, _LIKELIHOOD + 2)),
        read_only(_floats(table, _LIKELIHOOD + 3)),
        read_only(_ints(table, _LIKELIHOOD + 4)),
        read_only(_floats(table, _LIKELIHOOD + 5)),
    )
    return _priors(table), _geometry(table), likelihood


@part_kernel
def _address(table):
    return _ints(table, _LIKELIHOOD + 6)[0]


def plain_logp(n, x, gradient, logp, user):
    """Density of a model without coordinates of effects."""
    v, out, table = numba.carray(x, (n,)), numba.carray(gradient, (n,)), _table(user)
    priors, geometry, likelihood = _model(table)
    value = plain_posterior(_address(table), v, 1.0, priors, geometry, likelihood, out)
    return _told(value, numba.carray(logp, (1,)), out)


def effects_logp(n, x, gradient, logp, user):
    """Density of a model whose likelihood goes by cluster, with the sampled effects if any."""
    v, out, table = numba.carray(x, (n,)), numba.carray(gradient, (n,)), _table(user)
    priors, geometry, likelihood = _model(table)
    value = effects_posterior(_address(table), v, 1.0, priors, geometry, likelihood, out)
    return _told(value, numba.carray(logp, (1,)), out)


def scores_logp(n, x, gradient, logp, user):
    """Density of a model with sampled effects and scores."""
    v, out, table = numba.carray(x, (n,)), numba.carray(gradient, (n,)), _table(user)
    priors, geometry, likelihood = _model(table)
    value = scores_posterior(_address(table), v, 1.0, priors, geometry, likelihood, out)
    return _told(value, numba.carray(logp, (1,)), out)


LOGP_OF = {OF_PARAMETERS: plain_logp, OF_EFFECTS: effects_logp, OF_SCORES: scores_logp}
"""The density for every signature of the likelihood."""


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
