"""Outcomes that are not normal: ESS per CPU second, a large model, and small skewed data sets.

Parts, chosen on the command line:

cfa    the two-level ordinal factor model of ``peers/ordinal_cfa.py`` (631 rows, 5 items, 50
       clusters), 2 chains of 1,000 draws after 1,000, with the priors of the Stan programs;
large  5,000 rows in 100 clusters, 20 items, 3 factors at each level, 4 chains of 1,000 after 1,000;
small  20 simulated data sets of 15 clusters of 12, 4 skewed items (8% in the rarest category),
       default settings: how many converge without divergences.

CPU seconds are those of ``model.fit``: pilot, tuning and draws, without compilation (kernels are on
disk after the first run). ESS and R-hat are those of the parameters.
"""

from __future__ import annotations

import argparse
import resource
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from measure import cpu_time, machine, print_table

import bayes_msem as bm

DATA = Path(__file__).parents[1] / "tests" / "reference" / "outcomes" / "data" / "cfa.csv"
SEEDS = (1, 2, 3)
BUDGET = {"draws": 1000, "tune": 1000, "progress": False}
PRIORS = {
    "threshold": "normal(0, 1.5)",
    "loading": "normal(1, 1)",
    "variance": "halfnormal(1)[sd]",
}
LARGE = {"n_clusters": 100, "size": 50, "n_factors": 3, "n_items": 20}
N_SETS = 20


def factor_model(items: Sequence[Sequence[str]]) -> str:
    """Model text with one factor per group of items at both levels."""

    def level(name: str) -> str:
        rows = [f"{name}{f} =~ {' + '.join(group)}" for f, group in enumerate(items, start=1)]
        return "\n    ".join(rows)

    return f"level: within\n    {level('fw')}\nlevel: between\n    {level('fb')}\n"


def simulated(
    n_clusters: int, size: int, shares: Sequence[float], items: Sequence[int], seed: int
) -> tuple[str, pd.DataFrame]:
    """Ordinal items: ``items[f]`` indicators of factor f, categories with the given shares."""
    rng = np.random.default_rng(seed)
    cluster = np.repeat(np.arange(n_clusters), size)
    root = np.linalg.cholesky(0.3 + 0.7 * np.eye(len(items)))
    within = rng.normal(size=(len(cluster), len(items))) @ root.T
    between = 0.5 * (rng.normal(size=(n_clusters, len(items))) @ root.T)[cluster]
    frame, names = {"cluster": cluster}, []
    for factor, count in enumerate(items):
        names.append([f"y{factor + 1}_{k + 1}" for k in range(count)])
        for name in names[-1]:
            loading = rng.uniform(0.7, 1.3)
            own = 0.3 * rng.normal(size=n_clusters)[cluster]
            response = loading * (within + between)[:, factor] + own + rng.normal(size=len(cluster))
            cuts = np.quantile(response, np.cumsum(shares)[:-1])
            frame[name] = np.digitize(response, cuts)
    return factor_model(names), pd.DataFrame(frame)


def run(model: bm.Model, seed: int, chains: int) -> tuple[float, float, float, int, float]:
    """CPU seconds, minimum bulk ESS of parameters, largest R-hat, divergences, steps per draw."""
    with cpu_time() as timing, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit = model.fit(random_seed=seed, chains=chains, **BUDGET)
    table, stats = fit.summary(), fit.datatree["sample_stats"]
    return (
        timing.seconds,
        float(table["ess_bulk"].min()),
        float(table["r_hat"].max()),
        int(stats["diverging"].sum()),
        float(stats["n_steps"].mean()),
    )


def cfa() -> None:
    """Measure minimum ESS per CPU second, as Stan's is."""
    frame = pd.read_csv(DATA)
    items = [[name for name in frame if name != "cluster"]]
    rows = []
    for seed in SEEDS:
        model = bm.Model(
            factor_model(items), data=frame, cluster="cluster", ordered=True, priors=PRIORS
        )
        seconds, ess, rhat, divergences, steps = run(model, seed, chains=2)
        numbers = [f"{seconds:.1f}", f"{ess:.0f}", f"{ess / seconds:.1f}", f"{rhat:.4f}"]
        rows.append([f"seed {seed}", *numbers, str(divergences), f"{steps:.1f}"])
    print_table(["cfa", "CPU s", "ESS", "ESS / s", "R-hat", "divergences", "steps"], rows)


def large() -> None:
    """Fit a model of the size of a large survey."""
    count = LARGE["n_items"] // LARGE["n_factors"]
    items = [LARGE["n_items"] - count * (LARGE["n_factors"] - 1)]
    items += [count] * (LARGE["n_factors"] - 1)
    spec, frame = simulated(LARGE["n_clusters"], LARGE["size"], (0.4, 0.3, 0.2, 0.1), items, 1)
    model = bm.Model(spec, data=frame, cluster="cluster", ordered=True)
    seconds, ess, rhat, divergences, steps = run(model, 1, chains=4)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    row = [f"{len(frame)} x {sum(items)}", f"{seconds / 60:.1f}", f"{ess:.0f}", f"{rhat:.4f}"]
    row += [str(divergences), f"{steps:.1f}", f"{peak:.1f}"]
    header = ["large", "CPU min", "ESS", "R-hat", "divergences", "steps", "GiB"]
    print_table(header, [row])


def small() -> None:
    """Fit small data sets with skewed items by default settings."""
    rows, good = [], 0
    for seed in range(1, N_SETS + 1):
        spec, frame = simulated(15, 12, (0.5, 0.27, 0.15, 0.08), (4,), seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # 15 clusters are few
            model = bm.Model(spec, data=frame, cluster="cluster", ordered=True)
        seconds, ess, rhat, divergences, _ = run(model, seed, chains=4)
        good += divergences == 0 and rhat < 1.01
        rows.append([f"{seed}", f"{seconds:.1f}", f"{ess:.0f}", f"{rhat:.4f}", str(divergences)])
    print_table(["small", "CPU s", "ESS", "R-hat", "divergences"], rows)
    print(f"{good} of {N_SETS} have R-hat below 1.01 and no divergences")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the chosen parts, all by default."""
    parts = {"cfa": cfa, "large": large, "small": small}
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(parts)}")
    chosen = parser.parse_args(arguments).parts or list(parts)
    print(machine(), flush=True)
    for name in chosen:
        parts[name]()


if __name__ == "__main__":
    main()
