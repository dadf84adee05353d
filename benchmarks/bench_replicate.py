"""What replicated data cost: CPU seconds for 1,000 data sets, each at parameters of its own.

The reference model (2,500 rows, 200 clusters), and the same with random coefficients: what
posterior predictive checks do once per draw. *Raw* is the simulator alone, from sampled parameters
to outcomes; *frame* is ``Model.simulate`` at table values, with its checks, to a data frame; *new
clusters* resamples clusters and covariates as well. The last line times whole checks of the
reference model, ``fit.ppc()`` with all its statistics and without those that need an optimisation,
at draws from the normal approximation of the posterior.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from measure import cpu_time, machine, print_table, result
from models import quiet_model, reference_frame, reference_text

sys.path.append(str(Path(__file__).parents[1]))  # the tests' fits without NUTS

import bayes_msem as bm
from bayes_msem.blueprint.blueprint import Blueprint
from bayes_msem.checking.predictive.named_statistics import BUILT_IN
from bayes_msem.kernels.layout import CORRELATION, SQUARE
from bayes_msem.simulation.simulate import simulate_data
from tests.checking.laplace import laplace_fit

DRAWS = 1000
TARGET = 20.0  # CPU seconds for 1,000 draws of the reference model

SLOPE = ("x1 +", 'rv("s")*x1 +')
LOADING = ("y2 +", 'rv("l2")*y2 +')
RESIDUAL = ("fw ~", 'y1 ~~ rv("v1")*y1\n  fw ~')
MODELS = {
    "reference": (),
    "random slope": (SLOPE,),
    "random slope, loading and residual SD": (SLOPE, LOADING, RESIDUAL),
}


def variant(changes: tuple[tuple[str, str], ...]) -> bm.Model:
    """Build the reference model with some of its coefficients random."""
    text = reference_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    return quiet_model(text, reference_frame(), "cluster")


def parameters(blueprint: Blueprint, rng: np.random.Generator) -> np.ndarray:
    """Draw sampled parameters of usual size: loadings near 1, SDs near 0.7, small correlations."""
    transform = blueprint.parameters.transform
    loading = np.array([row.kind == "loading" for row in blueprint.parameters.rows])
    x = np.where(loading, 0.9, 0.2) + 0.05 * rng.standard_normal((DRAWS, len(transform)))
    x = np.where(transform == SQUARE, 0.7 * np.exp(0.1 * rng.standard_normal(x.shape)), x)
    x = np.where(transform == CORRELATION, rng.uniform(0.4, 0.6, x.shape), x)
    return np.ascontiguousarray(blueprint.extend_sampled(x))


def seconds(call: Callable[[int], object]) -> float:
    """CPU seconds of one call per draw."""
    call(0)
    with cpu_time() as timing:
        for i in range(DRAWS):
            call(i)
    return timing.seconds


def times(model: bm.Model) -> list[float]:
    """CPU seconds of 1,000 data sets: raw, as frames, of new clusters."""
    model.blueprint = blueprint = model.unpiloted_blueprint()  # coordinates do not matter here
    observed, rng = blueprint.observed, np.random.default_rng(1)
    points = parameters(blueprint, rng)
    theta = blueprint.theta(points[:, : blueprint.parameters.n])
    free = [row.key for row in model.table.rows if row.free]
    values = [{key: float(blueprint.row_value(key, draw)) for key in free} for draw in theta]
    return [
        seconds(lambda i: simulate_data(blueprint, points[i], observed, rng)),
        seconds(lambda i: model.simulate(values[i], random_seed=i)),
        seconds(lambda i: model.simulate(values[i], random_seed=i, clusters=200)),
    ]


def whole_checks() -> tuple[float, float]:
    """CPU seconds of 1,000 replicates with all statistics, and with those at the draws only."""
    fit = laplace_fit(variant(()), chains=4, draws=DRAWS // 4)
    some = sorted({s.name for s in BUILT_IN if not s.on_request})
    fit.ppc(draws=4)  # compiles
    with cpu_time() as everything:
        fit.ppc(draws=DRAWS, keep=0)
    with cpu_time() as at_draws:
        fit.ppc(some, draws=DRAWS, keep=0)
    return everything.seconds, at_draws.seconds


def main() -> None:
    """Print one row per model."""
    print(machine())
    rows = [
        [name, *(f"{time:.2f}" for time in times(variant(changes)))]
        for name, changes in MODELS.items()
    ]
    print_table(["CPU s", "raw", "frame", "new clusters"], rows)
    everything, at_draws = whole_checks()
    print(f"fit.ppc(): {everything:.1f} with all statistics, {at_draws:.1f} without refits")
    result(f"{DRAWS:,} replicates with all statistics", everything, "CPU s", TARGET)
    print(f"for {DRAWS:,} data sets of 2,500 rows; target for the reference model: {TARGET:g}")


if __name__ == "__main__":
    main()
