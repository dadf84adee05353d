"""Random loadings: convergence, ESS per CPU second against explicit latents, gradient per cluster.

The case is in ``random_loadings.py``: 60 clusters, 4 indicators with random intercepts and random
loadings, and a random slope of the factor on a covariate. Parts, chosen on the command line:

seeds     ten seeds of the sampler on one data set, 8 to 25 rows per cluster;
hand      the same model by hand in PyMC with the same priors, three seeds of both;
large     the same with 140 to 160 rows per cluster, by hand 500 draws after 500;
gradient  microseconds of CPU per cluster for one likelihood and gradient (kernel), and for one
          log density and gradient as nutpie calls it, also with fixed loadings.

4 chains of 1000 draws after 1000 unless stated, nutpie's defaults on both sides. The minimum of the
bulk ESS is taken over the 21 parameters that both models sample; only ``nutpie.sample`` is timed.
The last column of a comparison has the largest difference of two posterior means, in posterior
standard deviations, as a check that both sample one posterior.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Any

import arviz_stats as azs
import numpy as np
import pandas as pd
import xarray as xr
from bench_gradient import density_calls
from measure import Run, cpu_time, machine, microseconds, print_table, result, sample
from models import compiled_for_sampling, start_of
from random_loadings import (
    FAMILIES,
    INDICATORS,
    LARGE,
    SMALL,
    compiled_by_hand,
    random_loadings_model,
    random_slope_model,
    simulated_loadings_frame,
)

import bayes_msem as bm
from bayes_msem.kernels.by_cluster import value_and_gradient

EFFECTS = "effect_coordinates"
SEEDS, HAND_SEEDS = range(1, 11), (1, 2, 3)
MANY, MISSING_TARGET = 200, 3.2
RATE_TARGET = 120.0
SMALL_TARGET, LARGE_TARGET, GRADIENT_TARGET = 1.5, 20.0, 3.0
# latent variables that are centred by hand; without --all-by-hand only the best ways are timed
BY_HAND: dict[str, tuple[str, ...]] = {
    "non-centred": (),
    "centred scores": ("scores",),
    "centred intercepts": ("intercepts",),
    "centred intercepts, slopes": ("intercepts", "slopes"),
    "centred intercepts, loadings, slopes": ("intercepts", "loadings", "slopes"),
    "centred scores, intercepts": ("scores", "intercepts"),
    "all centred": ("scores", "intercepts", "loadings", "slopes"),
}
SMALL_BEST = ("non-centred", "centred scores, intercepts", "all centred")
LARGE_BEST = ("centred intercepts, loadings, slopes", "all centred")
LARGE_BUDGET = {"draws": 500, "tune": 500}
CALLS, BATCHES = 200, 40

HEADER = ["model", "seed", "CPU s", "min ESS", "of", "ESS / CPU s", "steps", "R-hat", "div."]


def row(label: str, seed: int, run: Run) -> list[str]:
    """One row of a table of runs."""
    return [
        label,
        str(seed),
        f"{run.cpu:.1f}",
        f"{run.min_ess:.0f}",
        run.worst,
        f"{run.ess_per_second:.2f}",
        f"{run.steps:.1f}",
        f"{run.max_r_hat:.4f}",
        str(run.divergences),
    ]


def prepared(model: bm.Model) -> Any:
    """Compile what ``Model.fit`` hands to nutpie; print CPU seconds before sampling."""
    with cpu_time() as pilot:
        model.blueprint  # noqa: B018 - a cached property: the pilot runs here
    with cpu_time() as compilation:
        compiled = compiled_for_sampling(model)
    print(
        f"before sampling: pilot {pilot.seconds:.1f}, compilation {compilation.seconds:.1f} CPU s"
    )
    return compiled


def distance(one: xr.Dataset, other: xr.Dataset) -> float:
    """Largest difference of posterior means in posterior standard deviations of the first."""
    dims = ("chain", "draw")
    return max(
        float(
            np.max(
                np.abs(one[name].mean(dims).values - other[name].mean(dims).values)
                / one[name].std(dims).values
            )
        )
        for name in FAMILIES
    )


def measure_seeds() -> None:
    """Ten seeds of the sampler; R-hat also of the coordinates of the sampled loadings."""
    compiled = prepared(random_loadings_model(simulated_loadings_frame(SMALL)))
    sample(compiled, list(FAMILIES), seed=99, draws=10, tune=20)
    rows, worst, divergences, rates = [], 0.0, 0, []
    for seed in SEEDS:
        run = sample(compiled, [*FAMILIES, EFFECTS], seed=seed)
        ess = azs.ess(run.posterior, method="bulk")
        minima = {name: float(ess[name].min()) for name in FAMILIES}
        name = min(minima, key=lambda key: minima[key])
        r_hat = azs.rhat(run.posterior)
        parameters = max(float(r_hat[name].max()) for name in FAMILIES)
        shown = row(
            "bayes_msem",
            seed,
            Run(run.cpu, minima[name], name, parameters, run.steps, run.divergences, run.posterior),
        )
        rows.append([*shown, f"{float(r_hat[EFFECTS].max()):.4f}"])
        worst, divergences = max(worst, run.max_r_hat), divergences + run.divergences
        rates.append(minima[name] / run.cpu)
    print_table([*HEADER, "R-hat of effects"], rows)
    print(f"largest R-hat {worst:.4f} (target: below 1.01), {divergences} divergences (target: 0);")
    median = float(np.median(rates))
    print(f"minimum ESS per CPU second: median {median:.0f}\n")
    result("random loadings, minimum ESS per CPU s", median, "", RATE_TARGET, at_least=True)
    result("random loadings, largest R-hat of ten seeds", worst, "", 1.01, digits=4)


def compare(
    frame: pd.DataFrame,
    versions: Sequence[str],
    seeds: Sequence[int],
    target: float,
    hand_options: dict[str, int] | None = None,
) -> None:
    """Sample bayes_msem and versions by hand with every seed; print runs and ratios."""
    model, names = random_loadings_model(frame), list(FAMILIES)
    ours = prepared(model)
    sample(ours, names, seed=99, draws=10, tune=20)
    hand = {}
    for label in versions:
        hand[label] = compiled_by_hand(model, frame, centred=BY_HAND[label])
        sample(hand[label], names, seed=99, draws=5, tune=5, chains=1, maxdepth=3)
    runs: dict[tuple[str, int], Run] = {}
    for seed in seeds:
        runs["bayes_msem", seed] = sample(ours, names, seed=seed)
        for label, compiled in hand.items():
            runs[label, seed] = sample(compiled, names, seed=seed, **(hand_options or {}))
    print_table(HEADER, [row(label, seed, run) for (label, seed), run in runs.items()])
    print("steps: leapfrog steps per draw; R-hat: the largest\n")
    rows = []
    for label in versions:
        pairs = [(runs["bayes_msem", seed], runs[label, seed]) for seed in seeds]
        ratios = [one.ess_per_second / other.ess_per_second for one, other in pairs]
        gap = max(distance(one.posterior, other.posterior) for one, other in pairs)
        cells = [f"{value:.1f}" for value in (*ratios, float(np.median(ratios)))]
        rows.append([label, *cells, f"{gap:.2f}"])
    header = ["bayes_msem against", *(f"seed {seed}" for seed in seeds), "median"]
    print_table([*header, "difference of means (SD)"], rows)
    print(f"ratios of minimum ESS per CPU second; target: at least {target:g}\n")


def cluster_kernel_calls(model: bm.Model, x: np.ndarray, t: np.ndarray) -> Callable[[int], None]:
    """Return a function that calls the likelihood kernel n times at x and t."""
    blueprint = model.blueprint
    likelihood = blueprint.likelihood
    x = np.ascontiguousarray(blueprint.extend_sampled(x))
    t = np.ascontiguousarray(t.reshape(likelihood.shape))
    b = likelihood.effects(x, t) if blueprint.n_sampled else t
    program, weights = likelihood.program, np.ones((len(b), 1))
    arguments = (x, b, weights, program.ints, program.floats, likelihood.statistics)
    if not np.isfinite(value_and_gradient(*arguments)[0]):
        raise RuntimeError("the likelihood is not finite at the starting point")

    def call(repetitions: int) -> None:
        for _ in range(repetitions):
            value_and_gradient(*arguments)

    return call


def with_holes(frame: pd.DataFrame) -> pd.DataFrame:
    """Remove 15% of the values of the indicators."""
    rng = np.random.default_rng(1)
    holes = {name: frame[name].where(rng.uniform(size=len(frame)) >= 0.15) for name in INDICATORS}
    return frame.assign(**holes).dropna(how="all", subset=list(INDICATORS))


def measure_gradient() -> None:
    """Microseconds per cluster of kernel and density, p = 4 outcomes, r = 5 integrated effects."""
    rows = []
    frame = simulated_loadings_frame(SMALL)
    many = simulated_loadings_frame(SMALL, clusters=MANY)
    for label, model in (
        ("random loadings and slope", random_loadings_model(frame)),
        ("random slope (marginal)", random_slope_model(frame)),
        ("random loadings and slope, 15% missing", random_loadings_model(with_holes(many))),
    ):
        compiled = compiled_for_sampling(model)
        v, x = start_of(compiled)
        n_clusters = model.blueprint.observed.n_clusters
        cells = []
        for call in (cluster_kernel_calls(model, x, v[len(x) :]), density_calls(compiled, v)):
            minimum, median = microseconds(call, calls=CALLS, batches=BATCHES)
            cells.append(f"{minimum / n_clusters:.2f} / {median / n_clusters:.2f}")
        rows.append([label, str(n_clusters), str(len(v)), *cells])
    result(
        f"gradient, {MANY} clusters, sampled loadings, 15% missing",
        minimum / 1e3,
        "ms",
        MISSING_TARGET,
        digits=2,
    )
    print_table(["model", "clusters", "dimensions", "kernel", "density"], rows)
    print(f"microseconds of CPU per cluster, minimum / median of {BATCHES} batches of {CALLS}")
    print(f"calls; target: at most {GRADIENT_TARGET:g}\n")


def main() -> None:
    """Run the chosen parts."""
    parts = ("seeds", "hand", "large", "gradient")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", nargs="*", help=f"any of {', '.join(parts)}; none: all")
    parser.add_argument("--all-by-hand", action="store_true", help="all versions by hand")
    arguments = parser.parse_args()
    chosen = arguments.part or parts
    if unknown := set(chosen) - set(parts):
        parser.error(f"unknown part: {', '.join(sorted(unknown))}")
    print(machine())
    if "seeds" in chosen:
        measure_seeds()
    seeds = HAND_SEEDS[:1] if arguments.all_by_hand else HAND_SEEDS
    if "hand" in chosen:
        versions = tuple(BY_HAND) if arguments.all_by_hand else SMALL_BEST
        compare(simulated_loadings_frame(SMALL), versions, seeds, SMALL_TARGET)
    if "large" in chosen:
        versions = tuple(BY_HAND) if arguments.all_by_hand else LARGE_BEST
        compare(simulated_loadings_frame(LARGE), versions, seeds, LARGE_TARGET, LARGE_BUDGET)
    if "gradient" in chosen:
        measure_gradient()


if __name__ == "__main__":
    main()
