"""Models whose outcomes are all normal do not pay for kernels of other outcomes."""

from __future__ import annotations

import json
import subprocess
import sys
from types import CodeType
from typing import Any

import pytest
from numba.core.dispatcher import Dispatcher

from bayes_msem.kernels.density import POSTERIOR
from bayes_msem.kernels.nuts_functions import LOGP_OF, expand
from bayes_msem.kernels.providers import JOINT

ROOM = "bayes_msem.kernels."
OTHERS = {"augmented", "responses", "row_block", "row_layout", "row_pass", "row_responses"}
OTHERS |= {"row_scores", "row_shared", "row_working"}

# Which kernels have machine code, after the import and after a fit.
FIT = """
import json, sys
import numpy as np, pandas as pd
from numba.core.dispatcher import Dispatcher
import bayes_msem

def compiled():
    return sorted(
        f"{name.removeprefix('bayes_msem.kernels.')}.{function}"
        for name, module in list(sys.modules.items()) if name.startswith("bayes_msem.kernels.")
        for function, kernel in vars(module).items()
        if isinstance(kernel, Dispatcher) and kernel.overloads and kernel.py_func.__module__ == name
    )

imported = compiled()
rng = np.random.default_rng(1)
frame = pd.DataFrame({"g": np.repeat(np.arange(20), 5), "x": rng.normal(size=100)})
frame["y"] = 0.5 * frame["x"] + rng.normal(size=100) + rng.normal(size=20)[frame["g"]]
text = "level: within\\ny ~ x\\nlevel: between\\ny ~~ y"
bayes_msem.Model(text, frame, cluster="g").fit(draws=100, tune=100, chains=1, progress=False)
print(json.dumps([imported, compiled()]))
"""


def called(function: Any) -> set[str]:
    """Names of all kernels that are reached from a function, as module.function."""
    found: dict[str, Any] = {}
    waiting = [function]
    while waiting:
        python = getattr(waiting[-1], "py_func", waiting[-1])
        waiting.pop()
        for name in names_in(python.__code__):
            kernel = python.__globals__.get(name)
            if not isinstance(kernel, Dispatcher):
                continue
            place = f"{kernel.py_func.__module__.removeprefix(ROOM)}.{kernel.py_func.__name__}"
            if place not in found:
                found[place] = kernel
                waiting.append(kernel)
    return set(found)


def names_in(code: CodeType) -> set[str]:
    inner = [c for c in code.co_consts if isinstance(c, CodeType)]
    return set(code.co_names).union(*map(names_in, inner))


def modules(kernels: set[str]) -> set[str]:
    return {kernel.split(".")[0] for kernel in kernels}


def every(provider: str) -> set[str]:
    """What stands between nutpie and a likelihood, and that likelihood."""
    likelihood, signature = JOINT[provider]
    return called(LOGP_OF[signature]) | called(POSTERIOR[signature]) | called(likelihood)


@pytest.mark.parametrize("provider", [name for name in JOINT if name != "augmented"])
def test_densities_of_normal_outcomes_call_no_kernel_of_others(provider: str) -> None:
    """What numba compiles is what is reached: nothing of rows with other outcomes."""
    reached = every(provider) | called(expand)
    assert {"density", "template", "level_two"} <= modules(reached)
    assert modules(reached) & OTHERS == set()


def test_that_of_other_outcomes_does() -> None:
    assert modules(every("augmented")) >= OTHERS


@pytest.mark.parametrize("signature", LOGP_OF)
def test_what_stands_between_contains_no_likelihood(signature: Any) -> None:
    """Likelihoods are called at their address, not compiled once more into their callers."""
    reached = modules(called(LOGP_OF[signature]) | called(POSTERIOR[signature]))
    assert "priors" in reached
    assert reached.isdisjoint({"template", "level_two", "integrate", "by_size", "by_cluster"})


def test_a_fit_of_normal_outcomes_compiles_no_kernel_of_others() -> None:
    """In a new process: the import compiles nothing at all."""
    finished = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FIT], capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stderr
    imported, fitted = json.loads(finished.stdout.splitlines()[-1])
    assert imported == []
    assert "density.plain_posterior" in fitted
    assert modules(set(fitted)) & OTHERS == set()
