"""Minimum bulk ESS per CPU second of sampling: bayes_msem and explicit latents by hand.

The reference model with the same priors, 4 chains of 1000 draws after 1000, nutpie's defaults on
both sides. The minimum is taken over the 20 parameters that both models sample. Only
``nutpie.sample`` is timed; densities are compiled, and have run once, before. As a check that both
sample one posterior, the last column has the largest difference of two posterior means, in
posterior standard deviations.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import nutpie
import xarray as xr
from by_hand import FAMILIES, hand_written_model
from measure import Run, machine, print_table, result, sample
from models import compiled_for_sampling, reference_model

TARGET, STAN_TARGET = 25.0, 2.0
STAN = Path(__file__).parent / "peers" / "demo_twolevel.json"  # of its best run
SEEDS = (1, 2, 3)
OURS = "bayes_msem"
CENTRED = {
    "by hand, non-centred": {"centre_scores": False, "centre_intercepts": False},
    "by hand, centred scores": {"centre_scores": True, "centre_intercepts": False},
    "by hand, centred intercepts": {"centre_scores": False, "centre_intercepts": True},
    "by hand, both centred": {"centre_scores": True, "centre_intercepts": True},
}


def row(label: str, seed: int, run: Run) -> list[str]:
    """One row of the table of runs."""
    return [
        label,
        str(seed),
        f"{run.cpu:.2f}",
        f"{run.min_ess:.0f}",
        run.worst,
        f"{run.ess_per_second:.1f}",
        f"{run.steps:.1f}",
        f"{run.max_r_hat:.3f}",
        str(run.divergences),
    ]


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


def main() -> None:
    """Sample all versions with every seed and print ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--all-by-hand", action="store_true", help="also centred versions")
    chosen = CENTRED if parser.parse_args().all_by_hand else dict([next(iter(CENTRED.items()))])
    print(machine())
    model, names = reference_model(priors="wide"), list(FAMILIES)
    versions = {OURS: compiled_for_sampling(model)}
    for label, centred in chosen.items():
        versions[label] = nutpie.compile_pymc_model(hand_written_model(model, **centred))
    for compiled in versions.values():
        sample(compiled, names, seed=99, draws=10, tune=20)
    runs = {
        (label, seed): sample(compiled, names, seed=seed)
        for seed in SEEDS
        for label, compiled in versions.items()
    }
    header = ["model", "seed", "CPU s", "min ESS", "of", "ESS / CPU s", "steps", "R-hat", "div."]
    print_table(header, [row(label, seed, run) for (label, seed), run in runs.items()])
    print("steps: leapfrog steps per draw; R-hat: the largest\n")
    rows = []
    for label in chosen:
        pairs = [(runs[OURS, seed], runs[label, seed]) for seed in SEEDS]
        ratios = [ours.ess_per_second / hand.ess_per_second for ours, hand in pairs]
        gap = max(distance(ours.posterior, hand.posterior) for ours, hand in pairs)
        cells = [f"{value:.0f}" for value in (*ratios, float(np.median(ratios)))]
        rows.append([label, *cells, f"{gap:.2f}"])
    header = ["bayes_msem against", *(f"seed {seed}" for seed in SEEDS), "median"]
    print_table([*header, "difference of means (SD)"], rows)
    print(f"ratios of minimum ESS per CPU second; target: at least {TARGET:.0f}")
    ours = [runs[OURS, seed].ess_per_second for seed in SEEDS]
    hand = np.median([float(cell) for cell in rows[0][1:-2]])
    result(
        "minimum ESS per CPU s, against by hand in PyMC",
        float(hand),
        "times",
        TARGET,
        at_least=True,
    )
    stan = json.loads(STAN.read_text(encoding="utf-8"))
    rate = max(run["min_ess_per_cpu_second"] for key, run in stan.items() if ", seed" in key)
    result(
        "minimum ESS per CPU s, against Stan on cross-products",
        float(np.median(ours)) / rate,
        "times",
        STAN_TARGET,
        at_least=True,
    )


if __name__ == "__main__":
    main()
