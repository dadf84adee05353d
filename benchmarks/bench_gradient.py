"""Microseconds of CPU for one log density and its gradient.

"kernel" is the likelihood alone: table transforms, implied moments, groups, and back. "density" is
what nutpie calls in every leapfrog step: priors, transforms and likelihood, compiled once for all
models. Both are called from Python through prepared arguments; the column "call" is the same call
with a function that does nothing.
"""

from __future__ import annotations

import argparse
import ctypes
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from measure import machine, microseconds, print_table, result
from models import (
    CLUSTER_SIZES,
    compiled_for_sampling,
    lq2002_model,
    reference_model,
    simulated_frame,
    start_of,
)

import bayes_msem as bm
from bayes_msem.data.moments import moments

TARGET = 50.0
CALLS, BATCHES = 2000, 60


@numba.njit
def _nothing(x: Any, ints: Any, floats: Any, statistics: Any) -> Any:
    return 0.0, x


def kernel_calls(kernel: Callable[..., Any], model: bm.Model, x: np.ndarray) -> Callable[..., Any]:
    """Return a function that calls the kernel n times at the free parameters x."""
    likelihood = model.blueprint.likelihood
    arguments = (x, *likelihood.arguments[:3])
    if not np.isfinite(kernel(*arguments)[0]):
        raise RuntimeError("the likelihood is not finite at the starting point")

    def call(n: int) -> None:
        for _ in range(n):
            kernel(*arguments)

    return call


def density_calls(compiled: Any, v: np.ndarray) -> Callable[..., Any]:
    """Return a function that calls the log density that NUTS samples n times at v."""
    value, gradient, pointer = np.empty(()), np.empty_like(v), ctypes.POINTER(ctypes.c_double)
    arguments = (
        len(v),
        *(array.ctypes.data_as(pointer) for array in (v, gradient, value)),
        compiled.table.ctypes.data_as(ctypes.c_void_p),
    )
    function = compiled.functions[0].ctypes
    if function(*arguments) != 0:
        raise RuntimeError("the density is not finite at the starting point")

    def call(n: int) -> None:
        for _ in range(n):
            function(*arguments)

    return call


def measure_model(label: str, model: bm.Model) -> list[str]:
    """Measure one model; return a row of the table."""
    compiled = compiled_for_sampling(model)
    v, x = start_of(compiled)
    observed = model.blueprint.observed
    times = [
        microseconds(call, calls=CALLS, batches=BATCHES)
        for call in (
            kernel_calls(model.blueprint.likelihood.kernel[0], model, x),
            density_calls(compiled, v),
            kernel_calls(_nothing, model, x),
        )
    ]
    return [
        label,
        f"{observed.n_rows:,}",
        str(observed.n_clusters),
        str(len(moments(observed).weight)),
        str(len(v)),
        *(f"{minimum:.1f} / {median:.1f}" for minimum, median in times),
    ]


def main() -> None:
    """Measure all models and print them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="leave out the simulated data")
    quick = parser.parse_args().quick
    print(machine())
    rows = [
        measure_model("reference", reference_model()),
        measure_model("lq2002", lq2002_model()),
    ]
    if not quick:
        for factor in (1, 4, 40, 400):
            frame = simulated_frame(np.repeat(CLUSTER_SIZES, 50) * factor)
            rows.append(measure_model("simulated", reference_model(frame)))
        frame = simulated_frame(np.arange(1, 201))
        rows.append(measure_model("simulated, all sizes differ", reference_model(frame)))
    header = ["model", "rows", "clusters", "groups", "parameters", "kernel", "density", "call"]
    print_table(header, rows)
    print(f"microseconds of CPU, minimum / median of {BATCHES} batches of {CALLS} calls;")
    print(f"target: at most {TARGET:.0f} for the reference model, no growth with rows;")
    result("gradient of the reference model", float(rows[0][6].split(" / ")[0]), "us", TARGET)
    print("groups: distinct cluster sizes and one for the pooled within-cluster deviations")


if __name__ == "__main__":
    main()
