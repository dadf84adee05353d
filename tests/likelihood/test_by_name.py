"""Calls of kernels by name: values, other processes, and what is not compiled once more."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
from llvmlite import binding
from numba.core import event
from numba.core.errors import TypingError
from pytensor.link.numba.dispatch.basic import numba_funcify_default_op_cache_key

from bayes_msem.inference.density import starting_point
from bayes_msem.kernels.by_address import OF_EFFECTS, address_of
from bayes_msem.kernels.compile import KERNEL_VERSION
from bayes_msem.kernels.providers import DATA
from bayes_msem.likelihood.by_name import effects_kernel, name_of
from bayes_msem.likelihood.ops import LogLikelihood
from tests.likelihood.cases import CASES, make_frame, make_model

CHILD = "from tests.likelihood.test_by_name import value_and_compilations as run; print(*run())"
NAME = name_of(DATA["size"], OF_EFFECTS)


def arguments() -> tuple[Any, ...]:
    """What the kernel of a small model reads."""
    blueprint = make_model(CASES[0], make_frame()).unpiloted_blueprint()
    likelihood = blueprint.likelihood
    assert likelihood.provider == "size"
    x = blueprint.extend_sampled(starting_point(blueprint))
    return np.ascontiguousarray(x), np.zeros(likelihood.shape), *likelihood.arguments


def value_and_compilations() -> tuple[float, float, int]:
    """Evaluate in a graph: log-likelihood, sum of its gradient, and how often numba compiled."""
    x, *rest = arguments()
    variable = pt.dvector()
    value, gradient, _ = LogLikelihood("size").make_node(variable, *rest).outputs
    with event.install_recorder("numba:compile") as record:
        function = pytensor.function([variable], [value, gradient.sum()])
        found, slope = function(x)
    return float(found), float(slope), len(record.buffer)


def test_another_process_finds_the_kernel_of_stored_code() -> None:
    """PyTensor keeps the machine code of the graph; the kernel is elsewhere in memory by then."""
    value, gradient, _ = DATA["size"](*arguments())
    found = value_and_compilations()[:2]
    assert found == pytest.approx((value, gradient.sum()), rel=1e-12)
    child = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", CHILD],
        cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True,
    )  # fmt: skip
    *numbers, compilations = map(float, child.stdout.split())
    assert tuple(numbers) == found
    assert compilations == 0


def test_callers_hold_the_name_and_not_the_code() -> None:
    """And results have as many owners as those of a plain call."""
    op, given = LogLikelihood("size"), arguments()
    inner, _ = numba_funcify_default_op_cache_key(op, node=op.make_node(*given))

    @numba.njit
    def caller(*given):  # PyTensor's own cannot be called from Python
        return inner(*given)

    value, d_x, _ = caller(*given)
    plain = DATA["size"](*given)
    assert value == plain[0]
    np.testing.assert_array_equal(d_x, plain[1])
    assert d_x.base.refcount == plain[1].base.refcount == 1
    (code,) = caller.inspect_llvm().values()
    assert NAME in code
    assert str(KERNEL_VERSION) in NAME
    assert re.findall(r"^define .*kernels.*$", code, re.MULTILINE) == []


def test_names_stand_for_one_address() -> None:
    assert binding.address_of_symbol(NAME) == address_of(DATA["size"], OF_EFFECTS)
    names = {name_of(kernel, OF_EFFECTS) for kernel in DATA.values()}
    assert len(names) == len(DATA)


def test_other_types_do_not_compile() -> None:
    name = NAME

    @numba.njit
    def caller(*given):
        return effects_kernel(name, given)

    x, *rest = arguments()
    with pytest.raises(TypingError, match="is called with"):
        caller(x.astype(np.float32), *rest)


def test_names_are_constants() -> None:
    @numba.njit
    def caller(name, given):
        return effects_kernel(name, given)

    with pytest.raises(TypingError, match="the name of a kernel is known"):
        caller(NAME, arguments())
