"""Where compiled code is kept between runs, and what is done where nothing can be kept.

Two caches are on disk, and each needs a folder that can be written to.

========  ==========================================  =============================
cache     folder                                      to choose another one
========  ==========================================  =============================
numba     ``NUMBA_CACHE_DIR``, next to the sources,   ``NUMBA_CACHE_DIR``
          or the user's cache, whichever comes first
PyTensor  ``.pytensor`` in the home directory         ``PYTENSOR_FLAGS`` with
                                                      ``base_compiledir=...``
========  ==========================================  =============================

Without the first, kernels are compiled anew in every process; without the second, PyTensor's code
goes to a temporary folder that is removed at the end. One warning says so, and names the variable.

Numba keeps compiled functions beside their source file and notices when *that* file changes, not
when a kernel it calls does. Since kernels here call kernels of other modules, and since a
likelihood computed by stale machine code would be wrong without a sign, the stamp of every kernel
is a hash of the sources of all of them. PyTensor's cache of compiled operations gets the same
stamp (:data:`KERNEL_VERSION`).
"""

from __future__ import annotations

import atexit
import os
import sys
import tempfile
import warnings
from collections.abc import Iterable
from functools import cache
from hashlib import sha256
from pathlib import Path
from shutil import rmtree
from typing import Any

from numba.core.caching import (
    CompileResultCacheImpl,
    FunctionCache,
    InTreeCacheLocator,
    UserProvidedCacheLocator,
    UserWideCacheLocator,
)
from pytensor.configdefaults import config

from bayes_msem.errors import CacheWarning
from bayes_msem.kernels.guard import check_compilers, one_lane

__all__ = ["KERNEL_VERSION", "ONE_LANE", "KernelCache", "prepare"]

ONE_LANE = one_lane()
"""Whether lanes are floats (kernels.lanes)."""

_ROOM = Path(__file__).resolve().parent
_UNCOMPILED = {"__init__.py", "cache.py", "guard.py"}


def _stamp(paths: Iterable[Path]) -> str:
    digest = sha256()
    for path in paths:
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


_STAMP = _stamp(sorted(p for p in _ROOM.glob("*.py") if p.name not in _UNCOMPILED))
if ONE_LANE:
    _STAMP = "one lane" + _STAMP

KERNEL_VERSION = int(_STAMP[-12:], 16) + ONE_LANE
"""Changes whenever the source of any kernel does."""


class _Stamped:
    """Mixin for numba's cache locators: with the joint stamp."""

    def get_source_stamp(self) -> str:
        return _STAMP


class _UserProvided(_Stamped, UserProvidedCacheLocator):
    pass


class _InTree(_Stamped, InTreeCacheLocator):
    pass


class _UserWide(_Stamped, UserWideCacheLocator):
    pass


class _ReadOnly(_Stamped, InTreeCacheLocator):
    """The folder next to the sources where no folder can be written to.

    What an earlier process left there, such as one that built a container, is still of use.
    """

    @classmethod
    def from_function(cls, py_func: Any, py_file: str) -> Any:
        return cls(py_func, py_file)


class _KernelCacheImpl(CompileResultCacheImpl):
    _locator_classes: Any = (_UserProvided, _InTree, _UserWide, _ReadOnly)

    def get_filename_base(self, fullname: str, abiflags: str) -> str:
        """Name of the files of one kernel: each mode has its own."""
        base: str = super().get_filename_base(fullname, abiflags)  # type: ignore[no-untyped-call]
        return f"{base}.one" if ONE_LANE else base


class KernelCache(FunctionCache):
    """Numba's cache of one kernel, without which a process can do as well.

    Folders can lose their permissions and disks fill up while a process runs; then kernels are
    compiled, and are not kept.
    """

    _impl_class = _KernelCacheImpl

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return the compiled kernel for a signature, or None."""
        try:
            return super().load_overload(sig, target_context)  # type: ignore[no-untyped-call]
        except OSError:
            return None
        except (AttributeError, ImportError):  # written by a version with other types
            self.flush()  # type: ignore[no-untyped-call]
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep a compiled kernel, if that is possible."""
        if isinstance(self._impl.locator, _ReadOnly):
            return  # said at import
        try:
            super().save_overload(sig, data)  # type: ignore[no-untyped-call]
        except OSError as error:
            _warn_of_full_cache(error.strerror or str(error))


@cache
def prepare() -> None:
    """Look for folders that can be written to; warn once of those that are missing."""
    problems = []
    found: Any = _KernelCacheImpl(_stamp)  # type: ignore[no-untyped-call]
    if isinstance(found.locator, _ReadOnly):
        problems.append(
            f"the likelihood, because neither '{_ROOM.parent}' nor numba's cache of this "
            "user can be written to; set NUMBA_CACHE_DIR to a folder that can"
        )
    home = Path(config.base_compiledir)
    if not _can_be_written(home / "numba"):
        _move_pytensor_to(_temporary_folder())
        problems.append(
            f"the densities of models, because '{home}' cannot be written to; set "
            "PYTENSOR_FLAGS=base_compiledir=... to a folder that can"
        )
    if problems:
        _warn(
            "compiled code is not kept, so that every new process compiles again, which takes up "
            "to a minute or two of CPU. This concerns " + ", and ".join(problems) + "."
        )
    check_compilers("pytensor")


def _can_be_written(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _temporary_folder() -> Path:
    folder, process = Path(tempfile.mkdtemp(prefix="bayes_msem-")), os.getpid()

    def remove() -> None:
        if os.getpid() == process:  # not when a forked worker ends
            rmtree(folder, ignore_errors=True)

    atexit.register(remove)
    return folder


def _move_pytensor_to(folder: Path) -> None:
    """Give PyTensor another folder: its linker for numba cannot be imported without one.

    PyTensor reads the setting from the environment when it is imported, and lets nobody change it
    afterwards; here nothing has used it but, maybe, that linker.
    """
    config._config_var_dict["base_compiledir"].val = folder
    linker = sys.modules.get("pytensor.link.numba.cache")
    if linker is not None:
        (folder / "numba").mkdir()
        vars(linker)["NUMBA_CACHE_PATH"] = folder / "numba"


@cache
def _warn_of_full_cache(problem: str) -> None:
    _warn(
        f"compiled code could not be kept ({problem}), so that the next process compiles it "
        "again. Make room, or set NUMBA_CACHE_DIR to a folder that can be written to."
    )


def _warn(message: str) -> None:
    warnings.warn(message, CacheWarning, skip_file_prefixes=(str(_ROOM.parent),))
