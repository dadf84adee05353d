"""The decorator of all numba kernels, and a cache on disk that follows their sources.

Numba keeps compiled functions beside their source file and notices when *that* file changes, not
when a kernel it calls does. Since kernels here call kernels of other modules, and since a
likelihood computed by stale machine code would be wrong without a sign, the stamp of every kernel
is a hash of the sources of all of them. PyTensor's cache of compiled operations gets the same
stamp (:data:`KERNEL_VERSION`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from hashlib import sha256
from pathlib import Path
from typing import Any

import numba
from numba.core.caching import (
    CacheImpl,
    InTreeCacheLocator,
    UserProvidedCacheLocator,
    UserWideCacheLocator,
)

__all__ = ["KERNEL_VERSION", "kernel"]

_PACKAGE = Path(__file__).resolve().parent.parent
_ROOMS = ("structure", "likelihood")  # the kernels of the likelihood
_DENSITY = ("prior_kernels.py", "nuts_density.py", "nuts_functions.py")  # what is built on them


def _stamp(paths: Iterable[Path], before: str = "") -> str:
    digest = sha256(before.encode())
    for path in paths:
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


_STAMP = _stamp(path for room in _ROOMS for path in sorted((_PACKAGE / room).glob("*.py")))
_DENSITY_STAMP = _stamp((_PACKAGE / "build" / name for name in _DENSITY), _STAMP)

KERNEL_VERSION = int(_STAMP[:12], 16)
"""Changes whenever the source of any kernel does."""


class _Stamped:
    """Mixin for numba's cache locators: only for this package, and with the joint stamp."""

    @classmethod
    def from_function(cls, py_func: Any, py_file: str) -> Any:
        if _PACKAGE not in Path(py_file).resolve().parents:
            return None
        return super().from_function(py_func, py_file)  # type: ignore[misc]

    def get_source_stamp(self) -> str:
        name = Path(self._py_file).name  # type: ignore[attr-defined]
        return _DENSITY_STAMP if name in _DENSITY else _STAMP


class _UserProvided(_Stamped, UserProvidedCacheLocator):
    pass


class _InTree(_Stamped, InTreeCacheLocator):
    pass


class _UserWide(_Stamped, UserWideCacheLocator):
    pass


# In front of numba's own, in the same order; PyTensor registers its locator the same way.
CacheImpl._locator_classes[:0] = [_UserProvided, _InTree, _UserWide]


def kernel(function: Callable[..., Any]) -> Any:
    """Compile a function with numba: cached on disk, floating point as on paper.

    ``fastmath`` allows sums to be reordered and divisions to become products, but keeps
    infinities and NaN; the NumPy error model divides by zero without an exception.
    """
    return numba.njit(
        cache=True,
        fastmath={"reassoc", "contract", "arcp", "nsz"},
        error_model="numpy",
        inline="never",
    )(function)
