"""The machine code of a kernel is all there: nothing another kernel has loaded takes its place."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import pytest
from llvmlite.binding import Linkage

from bayes_msem.kernels.compile import kernel


@pytest.fixture(scope="module")
def pair() -> tuple[Any, Any]:
    """A kernel that calls another one, which calls itself and so is not merged into it."""

    @kernel
    def alternating(values: Any, n: int) -> float:
        if n == 0:
            return 0.0
        return values[n - 1] - alternating(values, n - 1)

    @kernel
    def difference(values: Any) -> float:
        return alternating(values, len(values)) - alternating(values[1:], len(values) - 1)

    for each in (alternating, difference):
        each._cache = numba.core.caching.NullCache()
    return alternating, difference


def test_a_kernel_has_private_copies_of_those_it_calls(pair: tuple[Any, Any]) -> None:
    alternating, difference = pair
    values = np.array([1.0, 4.0, 9.0, 16.0, 25.0])
    assert difference(values) == (25 - 16 + 9 - 4 + 1) - (25 - 16 + 9 - 4)
    (called,) = alternating.overloads.values()
    (calling,) = difference.overloads.values()
    name = called.fndesc.mangled_name

    def linkage(module: Any) -> Linkage:
        return module.get_function(name).linkage

    assert linkage(called.library._final_module) == Linkage.external
    assert linkage(calling.library._final_module) == Linkage.internal
    replaceable = {Linkage.linkonce_any, Linkage.linkonce_odr, Linkage.weak_any, Linkage.weak_odr}
    found = {function.linkage for function in calling.library.get_defined_functions()}
    assert not found & replaceable
    # what is linked into others holds one copy of each, as Numba makes it
    assert linkage(calling.library._get_module_for_linking()) == Linkage.linkonce_odr
