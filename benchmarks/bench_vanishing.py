"""Variances at zero: convergence and CPU seconds of models whose effects do not all vary.

Simulated blocks of four to six correlated effects (``vanishing.py``), of which one or two do not
vary in truth, in 15, 30 and 130 clusters of 20 rows; and the diary study of 131 persons with
chronic pain (five effects; ``--diary PATH`` of its CSV file: person, pain, sleep, posaff).

4 chains of 1000 draws after 1000, the settings of ``Model.fit`` otherwise; one row per model and
seed. Targets: R-hat below 1.01, no divergences, bulk ESS of at least 400, 150 CPU seconds.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable

import pandas as pd
from measure import cpu_time, machine, print_table, sample
from models import compiled_for_sampling, quiet_model
from vanishing import BLOCKS, DIARY, block_model, simulated_frame

import bayes_msem as bm

CLUSTERS = (15, 30, 130)
HEADER = ["model", "J", "seed", "pilot s", "CPU s", "min ESS", "R-hat", "steps", "div."]


def measure_model(
    label: str, model: bm.Model, seeds: Iterable[int], **settings: int
) -> list[list[str]]:
    """Sample one model with every seed."""
    with cpu_time() as pilot:
        compiled = compiled_for_sampling(model)
    names = [group.name for group in model.blueprint.parameters.groups]
    rows = []
    for seed in seeds:
        run = sample(compiled, names, seed=seed, adaptation="diag", cores=1, **settings)
        rows.append(
            [
                label,
                str(model.blueprint.observed.n_clusters),
                str(seed),
                f"{pilot.seconds:.1f}",
                f"{run.cpu:.1f}",
                f"{run.min_ess:.0f}",
                f"{run.max_r_hat:.4f}",
                f"{run.steps:.1f}",
                str(run.divergences),
            ]
        )
        print(*rows[-1], sep=" | ", flush=True)
    return rows


def main() -> None:
    """Measure all models and print them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--diary", help="CSV file of the diary study")
    parser.add_argument("--seeds", type=int, default=5, help="seeds per model")
    parser.add_argument("--clusters", type=int, nargs="*", default=CLUSTERS)
    parser.add_argument("--blocks", nargs="*", default=list(BLOCKS))
    parser.add_argument("--draws", type=int, default=1000, help="draws, and draws of tuning")
    arguments = parser.parse_args()
    print(machine(), flush=True)
    settings = {"draws": arguments.draws, "tune": arguments.draws}
    seeds, rows = range(1, arguments.seeds + 1), []
    if arguments.diary:
        model = quiet_model(DIARY, pd.read_csv(arguments.diary), "person")
        rows += measure_model("diary", model, seeds, **settings)
    for name in arguments.blocks:
        for clusters in arguments.clusters:
            model = block_model(name, simulated_frame(name, clusters))
            rows += measure_model(name, model, seeds, **settings)
    print_table(HEADER, rows)


if __name__ == "__main__":
    main()
