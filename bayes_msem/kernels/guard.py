"""What the kernels need of numba and PyTensor that these do not promise to keep.

The caches, the lanes and the C functions rest on private interfaces. Where a new version has
changed them, importing the package says so, instead of failing somewhere inside a compiler.
"""

from __future__ import annotations

import os
from importlib import import_module
from importlib.metadata import version

__all__ = ["check_compilers", "one_lane"]

_LANES = "BAYES_MSEM_LANES"

# Package, module, and what of it is used; a dot goes into a class.
_NEEDED = (
    ("numba", "numba.core.caching", "CompileResultCacheImpl"),
    ("numba", "numba.core.caching", "FunctionCache"),
    ("numba", "numba.core.caching", "InTreeCacheLocator"),
    ("numba", "numba.core.caching", "UserProvidedCacheLocator"),
    ("numba", "numba.core.caching", "UserWideCacheLocator"),
    ("numba", "numba.core.callconv", "CPUCallConv.call_function"),
    ("numba", "numba.core.callconv", "CPUCallConv.get_function_type"),
    ("numba", "numba.core.callconv", "CPUCallConv.return_status_propagate"),
    ("numba", "numba.core.ccallback", "CFunc"),
    ("numba", "numba.core.codegen", "JITCodeLibrary.get_pointer_to_function"),
    ("numba", "numba.core.cpu", "CPUTargetOptions._nrt"),
    ("numba", "numba.core.cpu", "CPUTargetOptions.forceinline"),
    ("numba", "numba.core.cpu", "CPUTargetOptions.no_cpython_wrapper"),
    ("numba", "numba.core.imputils", "impl_ret_borrowed"),
    ("numba", "numba.core.registry", "CPUDispatcher.get_call_template"),
    ("numba", "numba.core.sigutils", "normalize_signature"),
    ("numba", "numba.core.typeconv.castgraph", "Conversion"),
    ("numba", "numba.core.types", "unliteral"),
    ("numba", "numba.core.typing.templates", "signature"),
    ("numba", "numba.np.arrayobj", "make_array"),
    ("numba", "numba.np.arrayobj", "populate_array"),
    ("pytensor", "pytensor.gradient", "disconnected_type"),
    ("pytensor", "pytensor.link.numba.dispatch.basic", "numba_njit"),
    ("pytensor", "pytensor.link.numba.dispatch.basic", "register_funcify_default_op_cache_key"),
)

# Of these, what only kernels.vectors uses: one lane does without.
_OF_LANES = ("numba.core.typeconv.castgraph", "numba.core.typing.templates")


def one_lane() -> bool:
    """Whether the environment asks for kernels without vectors (kernels.lanes).

    Raises
    ------
    ImportError
        ``BAYES_MSEM_LANES`` is neither 1 nor 8.
    """
    chosen = os.environ.get(_LANES, "8")
    if chosen not in ("1", "8"):
        raise ImportError(f"{_LANES} is {chosen!r}; it can be 8 (the default) or 1 (slower)")
    return chosen == "1"


def check_compilers(only: str) -> None:
    """Look for all private interfaces of a package that are used.

    Parameters
    ----------
    only
        "numba", or "pytensor" once its folder of compiled code is known (kernels.cache).

    Raises
    ------
    ImportError
        One is missing: the message says which, and what to install.
    """
    for package, module, name in _NEEDED:
        if package != only or (module in _OF_LANES and one_lane()):
            continue
        try:
            found = import_module(module)
            for part in name.split("."):
                found = getattr(found, part)
        except (ImportError, AttributeError):
            raise ImportError(
                f"bayes_msem uses {module}.{name}, which {package} {version(package)} does not "
                f"have (any more); install the version of {package} that this release was made "
                "for (pip install bayes_msem into a new environment), or a newer bayes_msem"
                + (f"; or set {_LANES}=1, which is slower" if module in _OF_LANES else "")
            ) from None
