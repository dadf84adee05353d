"""Minimum bulk ESS per CPU second of sampling: bayes_msem and explicit latents by hand.

The reference model with the same priors, 4 chains of 1000 draws after 1000, nutpie's defaults on
both sides. The minimum is taken over the 20 parameters that both models sample. Only
``nutpie.sample`` is timed; densities are compiled, and have run once, before. As a check that both
sample one posterior, the last column has the largest difference of two posterior means, in
posterior standard deviations.
"""

from __future__ import annotations

import argparse

import nutpie
import numpy as np
import xarray as xr

from by_hand import FAMILIES, hand_written_model
from measure import Run, machine, print_table, sample
from models import compiled_for_sampling, reference_model

TARGET = 25.0
SEEDS = (1, 2, 3)


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
    """Sample both models with every seed and print ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--all-by-hand", action="store_true", help="also centred versions by hand (first seed)"
    )
    every = parser.parse_args().all_by_hand
    print(machine())
    model, names = reference_model(), list(FAMILIES)
    ours = compiled_for_sampling(model)
    hand = nutpie.compile_pymc_model(hand_written_model(model))
    for compiled in (ours, hand):
        sample(compiled, names, seed=99, draws=10, tune=20)
    rows, ratios = [], []
    for seed in SEEDS:
        fast, slow = (sample(compiled, names, seed=seed) for compiled in (ours, hand))
        rows += [row("bayes_msem", seed, fast), row("by hand", seed, slow)]
        ratio = fast.ess_per_second / slow.ess_per_second
        ratios.append([ratio, distance(fast.posterior, slow.posterior)])
    if every:
        for scores, intercepts in ((True, False), (False, True), (True, True)):
            written = hand_written_model(model, centre_scores=scores, centre_intercepts=intercepts)
            compiled = nutpie.compile_pymc_model(written)
            sample(compiled, names, seed=99, draws=10, tune=20)
            parts = ["scores"] * scores + ["intercepts"] * intercepts
            label = f"by hand, centred {' and '.join(parts)}"
            rows.append(row(label, SEEDS[0], sample(compiled, names, seed=SEEDS[0])))
    header = ["model", "seed", "CPU s", "min ESS", "of", "ESS / CPU s", "steps", "R-hat", "div."]
    print_table(header, rows)
    print("steps: leapfrog steps per draw; R-hat: the largest\n")
    table = [
        [str(seed), f"{ratio:.0f}", f"{gap:.2f}"]
        for seed, (ratio, gap) in zip(SEEDS, ratios, strict=True)
    ]
    median = float(np.median([ratio for ratio, _ in ratios]))
    table.append(["median", f"{median:.0f}", ""])
    print_table(["seed", "ratio of ESS / CPU s", "difference of means (SD)"], table)
    print(f"target: at least {TARGET:.0f}")


if __name__ == "__main__":
    main()
