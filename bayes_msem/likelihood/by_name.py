"""Calls of kernels by name, from code that PyTensor compiles and keeps.

Numba optimises everything that a function calls again together with the function. PyTensor wraps
an operation several times, and each time the whole likelihood was compiled anew: most of the minute
that a first PyMC model took. So its code has only the name of a kernel, which every process that
builds a graph gives an address before the code is loaded. (For an address as an argument, as in
kernels.by_address, graphs have no place, and one inside the code would be of one process only.)
"""

from __future__ import annotations

from functools import cache
from typing import Any

from llvmlite import binding  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils
from numba.core.errors import TypingError
from numba.extending import intrinsic

from bayes_msem.kernels.by_address import OF_EFFECTS, OF_SCORES, address_of
from bayes_msem.kernels.compile import KERNEL_VERSION

__all__ = ["effects_kernel", "name_of", "scores_kernel"]


@cache
def name_of(function: Any, signature: Any) -> str:
    """Return the name of a kernel with this signature, compiled if it has to be.

    Names hold the version of the kernels: code kept from another version finds nothing.
    """
    python = function.py_func
    name = f"{python.__module__}.{python.__qualname__}.{KERNEL_VERSION}"
    binding.add_symbol(name, address_of(function, signature))
    return name


def _by_name(expected: Any) -> Any:
    """Return a function (name, arguments) for compiled code, which calls what has that name."""

    @intrinsic(prefer_literal=True)
    def call(typingctx: Any, name: Any, arguments: Any) -> Any:
        if not isinstance(name, types.StringLiteral):
            raise TypingError("the name of a kernel is known when its caller is compiled")
        given = tuple(arguments)
        if given != expected.args:
            raise TypingError(f"a kernel of {expected.args} is called with {given}")

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            convention, result = context.call_conv, expected.return_type
            kind = convention.get_function_type(result, expected.args)
            function = cgutils.get_or_insert_function(builder.module, kind, name.literal_value)
            values = cgutils.unpack_tuple(builder, args[1])
            status, value = convention.call_function(
                builder, function, result, expected.args, values
            )
            with cgutils.if_unlikely(builder, status.is_error):
                convention.return_status_propagate(builder, status)
            return value

        return expected.return_type(name, arguments), codegen

    return call


effects_kernel = _by_name(OF_EFFECTS)
scores_kernel = _by_name(OF_SCORES)
