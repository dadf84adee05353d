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

J clusters make ceil(J / LANES) batches; :func:`in_lanes` and :func:`from_lanes` convert. Vectors
are spelled out for LLVM, not left to its vectoriser, which does not see through these loops.
Lanes are a type of numba's only: they live in kernels and do not come out.
"""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba.core import cgutils, types
from numba.core.imputils import impl_ret_borrowed
from numba.core.typeconv.castgraph import Conversion
from numba.core.typing.templates import signature
from numba.extending import (
    box,
    intrinsic,
    lower_builtin,
    lower_cast,
    models,
    overload,
    register_jitable,
    register_model,
    type_callable,
)
from numba.np.arrayobj import make_array, populate_array

from bayes_msem.kernels.compile import kernel

__all__ = [
    "LANES",
    "across",
    "as_floats",
    "as_lanes",
    "fill_empty_lanes",
    "from_lanes",
    "in_lanes",
    "invert_in_place",
    "lanes_matrix",
    "lanes_stack",
    "lanes_vector",
    "room",
    "zero_unless",
]

LANES = 8

_VECTOR = ir.VectorType(ir.DoubleType(), LANES)


class _LanesType(types.Type):
    """Numba type of ``LANES`` floats."""

    def __init__(self) -> None:
        super().__init__(name=f"lanes{LANES}")

    def can_convert_from(self, typingctx, other):
        """Numbers become lanes."""
        if isinstance(other, types.Float | types.Integer):
            return Conversion.safe
        return None

    def unify(self, typingctx, other):
        """Give a variable that is a number here and lanes there the type of lanes."""
        if isinstance(other, types.Float | types.Integer):
            return self
        return None


_LANES = _LanesType()


@box(_LanesType)
def _box_lanes(typ, value, c):
    """Lanes never leave kernels; this only lets kernels that return them be compiled."""
    return c.pyapi.make_none()


@register_model(_LanesType)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, dmm, fe_type):
        super().__init__(dmm, fe_type, _VECTOR)


def _splat(builder, value):
    """Repeat a float in all lanes."""
    one = builder.insert_element(ir.Constant(_VECTOR, ir.Undefined), value, ir.IntType(32)(0))
    mask = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
    return builder.shuffle_vector(one, ir.Constant(_VECTOR, ir.Undefined), mask)


@lower_cast(types.Float, _LanesType)
@lower_cast(types.Integer, _LanesType)
def _float_to_lanes(context, builder, fromty, toty, value):
    return _splat(builder, context.cast(builder, value, fromty, types.float64))


def _reduce_bits(builder, mask):
    """Turn <LANES x i1> into an integer with one bit per lane."""
    return builder.bitcast(mask, ir.IntType(LANES))


def _register_binary(op: Any, result: Any, lower: Any) -> None:
    """Define an operator for lanes, and for lanes and numbers."""

    @type_callable(op)
    def _(context):
        def typer(a, b):
            if _LANES in (a, b) and all(
                isinstance(t, types.Float | types.Integer | _LanesType) for t in (a, b)
            ):
                return signature(result, _LANES, _LANES)
            return None

        return typer

    @lower_builtin(op, _LANES, _LANES)
    def _(context, builder, sig, args):
        return lower(builder, *args)


def _all_greater(builder, a, b):
    bits = _reduce_bits(builder, builder.fcmp_ordered(">", a, b))
    return builder.icmp_unsigned("==", bits, bits.type(2**LANES - 1))


def _any_different(builder, a, b):
    bits = _reduce_bits(builder, builder.fcmp_unordered("!=", a, b))
    return builder.icmp_unsigned("!=", bits, bits.type(0))


for _ops, _lower in (
    ((operator.add, operator.iadd), lambda builder, a, b: builder.fadd(a, b)),
    ((operator.sub, operator.isub), lambda builder, a, b: builder.fsub(a, b)),
    ((operator.mul, operator.imul), lambda builder, a, b: builder.fmul(a, b)),
    ((operator.truediv, operator.itruediv), lambda builder, a, b: builder.fdiv(a, b)),
):
    for _op in _ops:
        _register_binary(_op, _LANES, _lower)
_register_binary(operator.gt, types.boolean, _all_greater)
_register_binary(operator.ne, types.boolean, _any_different)


def _register_unary(function: Any, lower: Any) -> None:
    """Define a function of lanes that returns lanes."""

    @type_callable(function)
    def _(context):
        def typer(a):
            return _LANES if a == _LANES else None

        return typer

    @lower_builtin(function, _LANES)
    def _(context, builder, sig, args):
        return lower(context, builder, args[0])


def _vector_function(name: str) -> Any:
    """Lower to LLVM's own function for vectors."""

    def lower(context, builder, a):
        kind = ir.FunctionType(_VECTOR, [_VECTOR])
        name_of = f"llvm.{name}.v{LANES}f64"
        return builder.call(cgutils.get_or_insert_function(builder.module, kind, name_of), [a])

    return lower


_register_unary(operator.neg, lambda context, builder, a: builder.fneg(a))
_register_unary(math.sqrt, _vector_function("sqrt"))
_register_unary(math.log, _vector_function("log"))
_register_unary(math.exp, _vector_function("exp"))


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
def across(typingctx, a):
    """Sum over lanes."""

    def codegen(context, builder, sig, args):
        total = builder.extract_element(args[0], ir.IntType(32)(0))
        for lane in range(1, LANES):
            total = builder.fadd(total, builder.extract_element(args[0], ir.IntType(32)(lane)))
        return total

    return types.float64(_LANES), codegen


def _reinterpreted(array, dtype, ndim, itemsize, lower_shape):
    """Signature and lowering of a view of the same memory with other items."""
    result = types.Array(dtype, ndim, "C", readonly=not array.mutable, aligned=False)

    def codegen(context, builder, sig, args):
        source = make_array(array)(context, builder, args[0])
        target = make_array(result)(context, builder)
        shape = lower_shape(context, cgutils.unpack_tuple(builder, source.shape))
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
        array, _LANES, array.ndim - 1, 8 * LANES, lambda context, shape: shape[:-1]
    )


@intrinsic
def as_floats(typingctx, array):
    """View lanes of shape (...), in C order, as floats of shape (..., LANES)."""
    return _reinterpreted(
        array,
        types.float64,
        array.ndim + 1,
        8,
        lambda context, shape: [*shape, context.get_constant(types.intp, LANES)],
    )


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
    if matrix.dtype == _LANES:

        def each(matrix):
            floats, one = as_floats(matrix), np.empty(matrix.shape)
            for lane in range(LANES):
                one[:, :] = floats[:, :, lane]
                invert_in_place(one)
                floats[:, :, lane] = one

        return each

    def single(matrix):
        try:
            matrix[:, :] = np.linalg.inv(matrix)
        except Exception:
            matrix[:, :] = np.nan

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
