"""The decorator of all numba kernels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
from numba.core import sigutils, types
from numba.core.ccallback import CFunc
from numba.core.imputils import impl_ret_borrowed
from numba.extending import intrinsic

from bayes_msem.kernels.cache import KERNEL_VERSION, KernelCache, prepare

__all__ = ["KERNEL_VERSION", "c_function", "inner_kernel", "kernel", "read_only"]

prepare()  # before the first kernel asks, and before PyTensor's linker is imported


def kernel(function: Callable[..., Any]) -> Any:
    """Compile a function with numba: cached on disk, floating point as on paper.

    ``fastmath`` allows sums to be reordered and divisions to become products, but keeps
    infinities and NaN; the NumPy error model divides by zero without an exception.
    """
    return _compiled(function)


def inner_kernel(function: Callable[..., Any]) -> Any:
    """Compile a function that only kernels call: it may return lanes, which Python cannot see."""
    return _compiled(function, no_cpython_wrapper=True, no_cfunc_wrapper=True)


def _compiled(function: Callable[..., Any], **options: bool) -> Any:
    compiler: Any = numba.njit
    dispatcher: Any = compiler(
        fastmath={"reassoc", "contract", "arcp", "nsz"},
        error_model="numpy",
        inline="never",
        **options,
    )(function)
    # what cache=True does, with a cache of our own
    dispatcher._cache = KernelCache(function)  # type: ignore[no-untyped-call]
    return dispatcher


def c_function(function: Callable[..., Any], signature: Any) -> Any:
    """Compile a C function for callers outside Python, with the same cache as a kernel."""
    arguments, result = sigutils.normalize_signature(signature)
    compiled: Any = CFunc(function, (arguments, result), locals={}, options={})
    # what numba.cfunc(cache=True) does, with a cache of our own
    compiled._cache = KernelCache(function)  # type: ignore[no-untyped-call]
    compiled.compile()
    return compiled


@intrinsic
def read_only(typingctx: Any, array: Any) -> Any:
    """Return the array as a read-only one, so that kernels see the types Python passes them."""
    result = types.Array(array.dtype, array.ndim, array.layout, readonly=True)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return impl_ret_borrowed(context, builder, signature.return_type, args[0])

    return result(array), codegen
