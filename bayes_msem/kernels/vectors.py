"""The numba type of one number per lane, with its operators: what kernels.lanes is made of.

Vectors are spelled out for LLVM, not left to its vectoriser, which does not see through these
loops. Nothing here is needed with one lane, which is a float.
"""

from __future__ import annotations

import math
import operator
from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba.core import cgutils, types
from numba.core.typeconv.castgraph import Conversion
from numba.core.typing.templates import signature
from numba.extending import box, lower_builtin, lower_cast, models, register_model, type_callable

__all__ = ["VECTOR", "WIDTH"]

WIDTH = 8
"""Number of lanes."""

_VECTOR = ir.VectorType(ir.DoubleType(), WIDTH)


class _LanesType(types.Type):
    """Numba type of ``WIDTH`` floats."""

    def __init__(self) -> None:
        super().__init__(name=f"lanes{WIDTH}")

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


VECTOR = _LanesType()
"""The type."""


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
    mask = ir.Constant(ir.VectorType(ir.IntType(32), WIDTH), [0] * WIDTH)
    return builder.shuffle_vector(one, ir.Constant(_VECTOR, ir.Undefined), mask)


@lower_cast(types.Float, _LanesType)
@lower_cast(types.Integer, _LanesType)
def _float_to_lanes(context, builder, fromty, toty, value):
    return _splat(builder, context.cast(builder, value, fromty, types.float64))


def _reduce_bits(builder, mask):
    """Turn <WIDTH x i1> into an integer with one bit per lane."""
    return builder.bitcast(mask, ir.IntType(WIDTH))


def _register_binary(op: Any, result: Any, lower: Any) -> None:
    """Define an operator for lanes, and for lanes and numbers."""

    @type_callable(op)
    def _(context):
        def typer(a, b):
            if VECTOR in (a, b) and all(
                isinstance(t, types.Float | types.Integer | _LanesType) for t in (a, b)
            ):
                return signature(result, VECTOR, VECTOR)
            return None

        return typer

    @lower_builtin(op, VECTOR, VECTOR)
    def _(context, builder, sig, args):
        return lower(builder, *args)


def _all_greater(builder, a, b):
    bits = _reduce_bits(builder, builder.fcmp_ordered(">", a, b))
    return builder.icmp_unsigned("==", bits, bits.type(2**WIDTH - 1))


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
        _register_binary(_op, VECTOR, _lower)
_register_binary(operator.gt, types.boolean, _all_greater)
_register_binary(operator.ne, types.boolean, _any_different)


def _register_unary(function: Any, lower: Any) -> None:
    """Define a function of lanes that returns lanes."""

    @type_callable(function)
    def _(context):
        def typer(a):
            return VECTOR if a == VECTOR else None

        return typer

    @lower_builtin(function, VECTOR)
    def _(context, builder, sig, args):
        return lower(context, builder, args[0])


def _vector_function(name: str) -> Any:
    """Lower to LLVM's own function for vectors."""

    def lower(context, builder, a):
        kind = ir.FunctionType(_VECTOR, [_VECTOR])
        name_of = f"llvm.{name}.v{WIDTH}f64"
        return builder.call(cgutils.get_or_insert_function(builder.module, kind, name_of), [a])

    return lower


_register_unary(operator.neg, lambda context, builder, a: builder.fneg(a))
_register_unary(math.sqrt, _vector_function("sqrt"))
_register_unary(math.log, _vector_function("log"))
_register_unary(math.exp, _vector_function("exp"))
