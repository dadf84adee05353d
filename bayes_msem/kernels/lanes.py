"""Eight clusters at a time: a numba type for one number per lane.

Kernels over clusters are loops of run-time length over tiny matrices: their time goes to loop
overhead and latency. It goes down several times if every number is that of ``LANES`` clusters side
by side in a vector register. Floats of shape (..., LANES), where the last axis runs over clusters,
are seen by :func:`as_lanes` as an array of shape (...) of *lanes*, without a copy. Kernels are
written as if for one cluster, and numba compiles them for floats and for lanes, which know

- ``+ - * /``, negation, :func:`math.sqrt`, :func:`math.log`, :func:`math.exp`, and
  :func:`zero_unless`, lane by lane;
- floats, which become lanes with that number everywhere;
- comparisons: ``>`` is true if it is in all lanes, ``!=`` if it is in any. A branch is taken by all
  lanes together, so it has to be either one that only saves work (zeros of the structure) or one
  that gives up (some matrix is not positive definite). Other choices need :func:`zero_unless`.

J clusters make ceil(J / LANES) batches; :func:`in_lanes` and :func:`from_lanes` convert.
Lanes are a type of numba's only (kernels.vectors): they live in kernels and do not come out.

``BAYES_MSEM_LANES=1`` in the environment, before the package is imported, makes a lane a float:
several times slower, but without a type of our own, for a numba that has changed what that rests
on. Each mode has its compiled code.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba.core import cgutils, types
from numba.core.imputils import impl_ret_borrowed
from numba.extending import intrinsic, overload, register_jitable
from numba.np.arrayobj import make_array, populate_array

from bayes_msem.kernels.cache import ONE_LANE
from bayes_msem.kernels.compile import kernel

__all__ = [
    "LANES",
    "across",
    "aligned_zeros",
    "as_floats",
    "as_lanes",
    "fill_empty_lanes",
    "from_lanes",
    "grouped",
    "in_lanes",
    "invert_in_place",
    "lanes_matrix",
    "lanes_stack",
    "lanes_vector",
    "nearest_whole",
    "power_of_two",
    "put_lanes",
    "room",
    "zero_unless",
]

_LANES: Any
if ONE_LANE:
    LANES, _LANES = 1, types.float64
else:
    from bayes_msem.kernels.vectors import VECTOR, WIDTH

    LANES, _LANES = WIDTH, VECTOR


@intrinsic
def zero_unless(typingctx, a, bound, value):
    """Return ``value`` where not a <= bound (so NaN goes through), else zero."""
    kind = _LANES if _LANES in (a, bound, value) else types.float64

    def codegen(context, builder, sig, args):
        zero = ir.Constant(args[0].type, None)
        below = builder.fcmp_ordered("<=", args[0], args[1])
        return builder.select(below, zero, args[2])

    return kind(kind, kind, kind), codegen


@intrinsic
def nearest_whole(typingctx, a):
    """Round to the nearest integers."""
    kind = _LANES if a == _LANES else types.float64

    def codegen(context, builder, sig, args):
        lanes = args[0].type
        name = (
            f"llvm.rint.v{lanes.count}f64" if isinstance(lanes, ir.VectorType) else "llvm.rint.f64"
        )
        function = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(lanes, [lanes]), name
        )
        return builder.call(function, [args[0]])

    return kind(kind), codegen


@intrinsic
def power_of_two(typingctx, n):
    """2^n for whole numbers n of at most 1000."""
    kind = _LANES if n == _LANES else types.float64

    def codegen(context, builder, sig, args):
        lanes, short, long = args[0].type, ir.IntType(32), ir.IntType(64)
        bias, place = 1023, 52
        if isinstance(lanes, ir.VectorType):
            short, long = (ir.VectorType(kind, lanes.count) for kind in (short, long))
            bias, place = [bias] * lanes.count, [place] * lanes.count
        whole = builder.sext(builder.fptosi(args[0], short), long)
        bits = builder.shl(builder.add(whole, ir.Constant(long, bias)), ir.Constant(long, place))
        return builder.bitcast(bits, lanes)

    return kind(kind), codegen


@intrinsic
def across(typingctx, a):
    """Sum over lanes."""

    def codegen(context, builder, sig, args):
        if LANES == 1:
            return args[0]
        total = builder.extract_element(args[0], ir.IntType(32)(0))
        for lane in range(1, LANES):
            total = builder.fadd(total, builder.extract_element(args[0], ir.IntType(32)(lane)))
        return total

    return types.float64(_LANES), codegen


def _reinterpreted(array, dtype, ndim, itemsize, lower_shape):
    """Signature and lowering of a view of the same memory with other items."""
    result = types.Array(dtype, ndim, "C", readonly=not array.mutable, aligned=LANES == 1)

    def codegen(context, builder, sig, args):
        source = make_array(array)(context, builder, args[0])
        target = make_array(result)(context, builder)
        shape = lower_shape(context, builder, cgutils.unpack_tuple(builder, source.shape))
        strides = [context.get_constant(types.intp, itemsize)]
        for length in reversed(shape[1:]):
            strides.insert(0, builder.mul(strides[0], length))
        populate_array(
            target,
            data=builder.bitcast(source.data, context.get_data_type(dtype).as_pointer()),
            shape=cgutils.pack_array(builder, shape),
            strides=cgutils.pack_array(builder, strides),
            itemsize=context.get_constant(types.intp, itemsize),
            meminfo=source.meminfo,
            parent=source.parent,
        )
        return impl_ret_borrowed(context, builder, result, target._getvalue())

    return result(array), codegen


@intrinsic
def as_lanes(typingctx, array):
    """View floats of shape (..., LANES), in C order, as lanes of shape (...)."""
    return _reinterpreted(
        array, _LANES, array.ndim - 1, 8 * LANES, lambda context, builder, shape: shape[:-1]
    )


@intrinsic
def as_floats(typingctx, array):
    """View lanes of shape (...), in C order, as floats of shape (..., LANES)."""
    return _reinterpreted(
        array,
        types.float64,
        array.ndim + 1,
        8,
        lambda context, builder, shape: [*shape, context.get_constant(types.intp, LANES)],
    )


@intrinsic
def grouped(typingctx, array):
    """View floats of shape (..., n), in C order, as lanes of shape (..., n / LANES)."""

    def lower_shape(context, builder, shape):
        return [*shape[:-1], builder.udiv(shape[-1], context.get_constant(types.intp, LANES))]

    return _reinterpreted(array, _LANES, array.ndim, 8 * LANES, lower_shape)


@intrinsic
def put_lanes(typingctx, floats, place, value):
    """Write one number per lane into a vector of floats, from ``place`` on."""

    def codegen(context, builder, sig, args):
        target = make_array(floats)(context, builder, args[0])
        where = builder.gep(target.data, [args[1]])
        pointer = context.get_data_type(_LANES).as_pointer()
        builder.store(args[2], builder.bitcast(where, pointer), align=8)
        return context.get_dummy_value()

    return types.void(floats, types.intp, _LANES), codegen


def room(array, rows, columns):
    """Return an uninitialised matrix of the kind of number that ``array`` holds."""
    raise NotImplementedError("for use in kernels")


@overload(room)
def _room(array, rows, columns):
    if array.dtype == _LANES:
        return lambda array, rows, columns: as_lanes(np.empty((rows, columns, LANES)))
    return lambda array, rows, columns: np.empty((rows, columns))


def invert_in_place(matrix):
    """Overwrite a square matrix by its inverse; by NaN if it has none."""
    raise NotImplementedError("for use in kernels")


@overload(invert_in_place)
def _invert_in_place(matrix):
    if matrix.dtype == _LANES and LANES > 1:

        def each(matrix):
            floats, one = as_floats(matrix), np.empty(matrix.shape)
            for lane in range(LANES):
                one[:, :] = floats[:, :, lane]
                invert_in_place(one)
                floats[:, :, lane] = one

        return each

    def single(matrix):
        inverse, n = np.full(matrix.shape, np.nan), len(matrix)
        try:
            inverse = np.linalg.inv(matrix)
        except Exception:
            pass  # singular: NaN
        for i in range(n):  # not as slices, whose checks are slow to compile
            for k in range(n):
                matrix[i, k] = inverse[i, k]

    return single


@register_jitable
def lanes_vector(n):
    """Return n zeros."""
    return as_lanes(np.zeros((n, LANES)))


@register_jitable
def lanes_matrix(rows, columns):
    """Return a matrix of zeros."""
    return as_lanes(np.zeros((rows, columns, LANES)))


@register_jitable
def lanes_stack(n, rows, columns):
    """Return n matrices of zeros."""
    return as_lanes(np.zeros((n, rows, columns, LANES)))


@register_jitable
def aligned_zeros(rows, columns):
    """Return zeros, floats, of which a multiple of LANES starts where a cache line does.

    For large arrays seen as :func:`grouped`: elsewhere, every second access meets two lines.
    """
    n = rows * columns
    floats = np.zeros(n + LANES)
    start = -(floats.ctypes.data // floats.itemsize) % LANES
    return floats[start : start + n].reshape((rows, columns))


@register_jitable
def in_lanes(array):
    """Copy (J, n) into lanes (batches, n), with zeros where there is no cluster."""
    n_clusters, n = array.shape
    n_batches = (n_clusters + LANES - 1) // LANES
    floats = np.zeros((n_batches, n, LANES))
    for j in range(n_clusters):
        for i in range(n):
            floats[j // LANES, i, j % LANES] = array[j, i]
    return as_lanes(floats)


@kernel
def fill_empty_lanes(lanes, n_clusters):
    """Copy the last cluster of (batches, n) to the lanes behind it."""
    floats = as_floats(lanes)
    g, last = (n_clusters - 1) // LANES, (n_clusters - 1) % LANES
    for i in range(lanes.shape[1]):
        for lane in range(last + 1, LANES):
            floats[g, i, lane] = floats[g, i, last]


@kernel
def from_lanes(lanes, n_clusters):
    """Copy lanes (batches, n) into an array (J, n)."""
    floats, n = as_floats(lanes), lanes.shape[1]
    array = np.empty((n_clusters, n))
    for j in range(n_clusters):
        for i in range(n):
            array[j, i] = floats[j // LANES, i, j % LANES]
    return array
