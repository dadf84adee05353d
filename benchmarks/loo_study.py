"""Differences of elpd of nested models, by leave-one-cluster-out, with few clusters.

The smaller model is that of ``benchmarks/planted.py`` (one factor at each level, 4 indicators, a
covariate at each level); the larger one has one thing more:

- slopes: the effect of x on the factor varies over clusters;
- within, between: y1 and y2 have correlated residuals at a level.

Data sets have that thing (SD .3, correlations .3 and .8: the larger model is right) or not (then
both are right, and the smaller one predicts better). 15, 30 or 50 clusters of about 8 or 20 rows,
default priors, 400 draws of NUTS (the normal approximation at the mode has thinner tails, which LOO
notices). The difference is larger minus
smaller. What leave-one-out estimates is known here: the models predict 500 new clusters.

    python -m benchmarks.loo_study --budget 10       # CPU minutes; goes on where results end

Results, a row per data set and pair of models, go to ``loo_study_results.csv``; the tables of
docs/checks.md come from ``check_report.py``.
"""

from __future__ import annotations

import argparse
import time
import warnings
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.special import logsumexp

import bayes_msem as bm
from bayes_msem.checking.accuracy.log_likelihood import cluster_integral, cluster_log_likelihood
from benchmarks.check_study import ARGUMENT, CLUSTERS, ROWS
from benchmarks.planted import MODEL, planted

RESULTS = Path(__file__).with_name("loo_study_results.csv")
SIZE = {"slopes": 0.3, "within": 0.3, "between": 0.8}
LARGER = {
    "slopes": MODEL.replace("fw ~ x", 'fw ~ rv("s")*x'),
    "within": MODEL.replace("fw ~ x", "fw ~ x\n    y1 ~~ y2"),
    "between": MODEL.replace("fb ~ w", "fb ~ w\n    y1 ~~ y2"),
}
DATA_SETS = 50  # per cell
DRAWS, NEW = 200, 500  # draws per chain, new clusters


class Task(NamedTuple):
    """A data set: what it has ("nothing" or a key of SIZE), and its design."""

    planted: str
    clusters: int
    rows: int
    seed: int


def tasks() -> list[Task]:
    """All data sets; the first of every cell come first."""
    return [
        Task(what, clusters, rows, seed)
        for seed in range(1, DATA_SETS + 1)
        for clusters in CLUSTERS
        for rows in ROWS
        for what in ("nothing", *SIZE)
    ]


def data_of(task: Task) -> pd.DataFrame:
    """Draw a data set."""
    misfit = {} if task.planted == "nothing" else {ARGUMENT[task.planted]: SIZE[task.planted]}
    around = tuple(round(task.rows * part) for part in (0.6, 1.0, 1.4))
    order = ("nothing", *SIZE).index(task.planted)
    state = np.random.SeedSequence([7, order, task.rows, task.clusters, task.seed])
    return planted(int(state.generate_state(1)[0]), n_clusters=task.clusters, sizes=around,
                   **misfit)  # fmt: skip


@lru_cache(maxsize=2 * len(SIZE) * len(ROWS) * 2)
def of_new_clusters(spec: str, planted: str, rows: int) -> bm.Model:
    """Return a model on clusters that no fit has seen, the same for all data sets."""
    return bm.Model(spec, data=data_of(Task(planted, NEW, rows, 0)), cluster="cluster")


def fitted(spec: str, task: Task) -> tuple[np.ndarray, np.ndarray, int]:
    """Terms of elpd by leave-one-out, log densities of new clusters, and clusters of high k."""
    model = bm.Model(spec, data=data_of(task), cluster="cluster")
    fit = model.fit(draws=DRAWS, tune=300, chains=2, cores=1, random_seed=task.seed, progress=False)
    loo = fit.loo()
    blueprint = of_new_clusters(spec, task.planted, task.rows).blueprint
    posterior = fit.datatree["posterior"].to_dataset()
    integral = cluster_integral(blueprint, posterior, nodes=None, random_seed=1)
    density = cluster_log_likelihood(blueprint, posterior, integral)[0].to_numpy()
    density = density.reshape(-1, density.shape[-1])
    new = logsumexp(density, axis=0) - np.log(len(density))
    return loo.pointwise.to_numpy(), new, len(loo.high_k)


def one(task: Task) -> pd.DataFrame:
    """Compare the smaller model with those that are of interest for a data set."""
    start = time.process_time()
    warnings.simplefilter("ignore", bm.MsemWarning)
    pairs = SIZE if task.planted == "nothing" else (task.planted,)
    small = fitted(MODEL, task)
    rows = []
    for pair in pairs:
        large = fitted(LARGER[pair], task)
        terms, new, n = large[0] - small[0], large[1] - small[1], task.clusters
        rows.append(
            {**task._asdict(), "pair": pair, "elpd_diff": terms.sum(),
             "se_diff": np.sqrt(n) * terms.std(), "true": n * new.mean(),
             "true_mcse": n * new.std() / np.sqrt(NEW), "high_k": large[2] + small[2]}
        )  # fmt: skip
    return pd.DataFrame(rows).assign(cpu=round(time.process_time() - start, 2))


def main() -> None:
    """Run what is missing, until the budget is spent."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--budget", type=float, default=15.0, help="CPU minutes")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    known = [pd.read_csv(arguments.out)] if arguments.out.exists() else []
    fields = list(Task._fields)
    done = {row for table in known for row in table[fields].itertuples(index=False, name=None)}
    missing, spent, wide = [t for t in tasks() if t not in done], 0.0, 24
    with ProcessPoolExecutor(arguments.jobs) as pool:
        for first in range(0, len(missing), wide):
            if spent > 60.0 * arguments.budget:
                break
            new = list(pool.map(one, missing[first : first + wide]))
            spent += sum(float(table["cpu"].iloc[0]) for table in new)
            known += new
            pd.concat(known, ignore_index=True).round(4).to_csv(arguments.out, index=False)
    print(f"{spent / 60:.1f} CPU minutes now")


if __name__ == "__main__":
    main()
