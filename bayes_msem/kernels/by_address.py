"""Calls of kernels at their address: they are not compiled into their callers once more.

Numba optimises the code of everything that a kernel calls again together with the kernel. For the
few steps between a C function and the likelihood, which are small themselves, that took most of the
time of a first fit. They get the address of the likelihood as an argument instead, and serve all
likelihoods with the same signature.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from numba import types
from numba.core import cgutils
from numba.core.errors import TypingError
from numba.extending import intrinsic

from bayes_msem.kernels.augmented import RowPart

__all__ = ["OF_EFFECTS", "OF_PARAMETERS", "OF_SCORES", "address_of", "at_address"]

_VECTOR, _MATRIX = types.float64[::1], types.float64[:, ::1]
_INTS = types.Array(types.int64, 1, "C", readonly=True)
_FLOATS = types.Array(types.float64, 1, "C", readonly=True)
_ROWS = types.NamedTuple((_INTS, _FLOATS), RowPart)

OF_PARAMETERS: Any = types.Tuple((types.float64, _VECTOR))(_VECTOR, _INTS, _FLOATS, _FLOATS)
"""(x, ints, floats, statistics) -> value, gradient with respect to x."""

OF_EFFECTS: Any = types.Tuple((types.float64, _VECTOR, _MATRIX))(
    _VECTOR, _MATRIX, _INTS, _FLOATS, _FLOATS, _FLOATS
)
"""(x, t, ints, floats, statistics, approximation) -> value, gradients with respect to x and t."""

OF_SCORES: Any = types.Tuple((types.float64, _VECTOR, _MATRIX, _MATRIX, _VECTOR))(
    _VECTOR, _MATRIX, _MATRIX, _INTS, _FLOATS, _FLOATS, _FLOATS, _ROWS
)
"""(x, t, t_s, ints, floats, statistics, approximation, rows) -> value, gradients with respect to x,
t and t_s, and the terms of the clusters' rows."""


@cache
def address_of(function: Any, signature: Any) -> int:
    """Return where a kernel with this signature is in memory, compiled if it has to be.

    Only of use in this process.
    """
    function.compile(signature.args)
    compiled = function.overloads[signature.args]
    if compiled.signature.return_type != signature.return_type:
        raise TypeError(f"{function} returns {compiled.signature.return_type}")
    name = compiled.fndesc.llvm_func_name
    address: int = compiled.library.get_pointer_to_function(name)
    return address


def at_address(expected: Any) -> Any:
    """Return a function (address, arguments) for kernels, which calls one with this signature."""

    @intrinsic
    def call(typingctx: Any, address: Any, arguments: Any) -> Any:
        given = tuple(arguments)
        if given != expected.args:
            raise TypingError(f"a kernel of {expected.args} is called with {given}")

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            convention, result = context.call_conv, expected.return_type
            kind = convention.get_function_type(result, expected.args)
            function = builder.inttoptr(args[0], kind.as_pointer())
            values = cgutils.unpack_tuple(builder, args[1])
            status, value = convention.call_function(
                builder, function, result, expected.args, values
            )
            with cgutils.if_unlikely(builder, status.is_error):
                convention.return_status_propagate(builder, status)
            return value

        return expected.return_type(address, arguments), codegen

    return call
