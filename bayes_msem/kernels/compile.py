"""The decorator of all numba kernels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
from numba.core import cgutils, sigutils, types
from numba.core.ccallback import CFunc
from numba.core.imputils import impl_ret_borrowed
from numba.extending import intrinsic
from numba.np.arrayobj import make_array, populate_array

from bayes_msem.kernels.cache import KERNEL_VERSION, KernelCache, prepare
from bayes_msem.kernels.library import KernelCompiler

__all__ = [
    "KERNEL_VERSION",
    "borrowed",
    "c_function",
    "inner_kernel",
    "inner_part",
    "kernel",
    "part_kernel",
    "read_only",
    "stacked",
    "view_kernel",
]

prepare()  # before the first kernel asks, and before PyTensor's linker is imported


def kernel(function: Callable[..., Any]) -> Any:
    """Compile a function with numba: cached on disk, floating point as on paper.

    ``fastmath`` allows sums to be reordered and divisions to become products, but keeps
    infinities and NaN; the NumPy error model divides by zero without an exception.
    """
    return _compiled(function, no_cfunc_wrapper=True)


def part_kernel(function: Callable[..., Any]) -> Any:
    """Compile a part of other kernels that stands in its callers as if it were written there.

    For what takes or returns large named tuples: a call would copy every field of every array.
    """
    return _compiled(function, no_cpython_wrapper=True, no_cfunc_wrapper=True, forceinline=True)


def view_kernel(function: Callable[..., Any]) -> Any:
    """Compile a function that returns views of lanes, which Python cannot see: for kernels only."""
    return _compiled(function, no_cpython_wrapper=True, no_cfunc_wrapper=True)


def inner_kernel(function: Callable[..., Any]) -> Any:
    """Compile a step of other kernels, without reference counts.

    It allocates nothing and returns no arrays: its caller owns all that it sees. Counting
    references to the arrays of named tuples would cost a third of the time of small models.
    """
    return _compiled(function, no_cpython_wrapper=True, no_cfunc_wrapper=True, _nrt=False)


def inner_part(function: Callable[..., Any]) -> Any:
    """Compile a part of other kernels, as ``part_kernel`` does, that allocates nothing."""
    return _compiled(
        function, no_cpython_wrapper=True, no_cfunc_wrapper=True, forceinline=True, _nrt=False
    )


def _compiled(
    function: Callable[..., Any], *, _nrt: bool = True, forceinline: bool = False, **options: bool
) -> Any:
    compiler: Any = numba.njit
    dispatcher: Any = compiler(
        fastmath={"reassoc", "contract", "arcp", "nsz"},
        error_model="numpy",
        inline="never",
        # also the defaults: a kernel would inherit them from one that calls it
        _nrt=_nrt,
        forceinline=forceinline,
        pipeline_class=KernelCompiler,
        **options,
    )(function)
    # what cache=True does, with a cache of our own
    dispatcher._cache = KernelCache(function)  # type: ignore[no-untyped-call]
    # numba compiles a function anew for every literal that it is called with
    typed = dispatcher.get_call_template
    dispatcher.get_call_template = lambda args, kws: typed(tuple(map(types.unliteral, args)), kws)
    return dispatcher


def c_function(function: Callable[..., Any], signature: Any) -> Any:
    """Compile a C function for callers outside Python, with the same cache as a kernel."""
    arguments, result = sigutils.normalize_signature(signature)
    compiled: Any = CFunc(
        function, (arguments, result), locals={}, options={}, pipeline_class=KernelCompiler
    )
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


@intrinsic
def stacked(typingctx: Any, flat: Any, start: Any, shape: Any) -> Any:
    """Return a view of ``shape`` of a flat array from ``start`` on, as slice and reshape do.

    Without their checks: a reshape is a call that costs as much as a small matrix.
    """
    result = types.Array(flat.dtype, len(shape), "C", readonly=not flat.mutable)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        source, target = (
            make_array(flat)(context, builder, args[0]),
            make_array(result)(context, builder),
        )
        start = context.cast(builder, args[1], signature.args[1], types.intp)
        lengths = [
            context.cast(builder, length, kind, types.intp)
            for length, kind in zip(
                cgutils.unpack_tuple(builder, args[2]), signature.args[2], strict=True
            )
        ]
        strides = [source.itemsize]
        for length in reversed(lengths[1:]):
            strides.insert(0, builder.mul(strides[0], length))
        populate_array(
            target,
            data=builder.gep(source.data, [start]),
            shape=cgutils.pack_array(builder, lengths),
            strides=cgutils.pack_array(builder, strides),
            itemsize=source.itemsize,
            meminfo=source.meminfo,
            parent=source.parent,
        )
        return impl_ret_borrowed(context, builder, result, target._getvalue())

    return result(flat, start, shape), codegen


@intrinsic
def borrowed(typingctx: Any, array: Any) -> Any:
    """Return a view that owns nothing, so that counting references to its parts costs nothing.

    The caller keeps the array alive: it is an argument of the kernel that Python has called.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        source, target = (make_array(array)(context, builder, *a) for a in (args, ()))
        populate_array(
            target,
            data=source.data,
            shape=source.shape,
            strides=source.strides,
            itemsize=source.itemsize,
            meminfo=None,
        )
        return target._getvalue()

    return array(array), codegen
