"""Machine code of a kernel that does not depend on what else a process has compiled or loaded.

Numba links what a kernel calls into the kernel's module, optimises both together, and leaves the
copies of the called functions replaceable: where a process has a function of that name already, be
it compiled or loaded for another kernel, the linker takes that one. With sums that may be reordered
(kernels.compile), two copies can round in different ways. So a process that compiled a kernel, the
next one that loaded it, and a worker that had used other kernels before drew other posteriors from
the same seed.

Here copies become private before machine code is made: what is kept on disk is all that runs. What
other kernels link stays as Numba makes it, but always takes the way through bitcode, as if it came
from the disk.
"""

from __future__ import annotations

from typing import Any

from llvmlite import binding  # type: ignore[import-untyped]
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler

__all__ = ["KernelCompiler"]


class _KernelLibrary(JITCodeLibrary):
    """Numba's library of one compiled function, which calls its own copies of others."""

    def _finalize_final_module(self) -> None:
        self._finalized = True  # nothing is added any more: it can be copied for other kernels
        shared: Any = super()._get_module_for_linking()  # type: ignore[no-untyped-call]
        self._shared_module = binding.parse_bitcode(shared.as_bitcode())
        for function in self._final_module.functions:
            if not function.is_declaration and function.linkage == binding.Linkage.linkonce_odr:
                function.linkage = "internal"
        super()._finalize_final_module()  # type: ignore[no-untyped-call]


class KernelCompiler(Compiler):
    """Numba's compiler with libraries that call their own copies of other functions."""

    def compile_extra(self, func: Any) -> Any:
        """Compile a Python function."""
        library: Any = _KernelLibrary(self.state.targetctx.codegen(), func.__qualname__)  # type: ignore[no-untyped-call]
        library.enable_object_caching()
        self.state.library = library
        return super().compile_extra(func)  # type: ignore[no-untyped-call]
