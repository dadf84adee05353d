"""How `fit.check()` judges right models and models with one planted error, with few clusters.

Data sets of ``benchmarks/planted.py`` (one factor at each level, 4 indicators, a covariate at each
level; 15, 30 or 50 clusters of about 8 or 20 rows) are fitted with default priors, by models of two
classes:

- marginal: all effects are integrated out. The posterior is the normal approximation at the mode
  ("laplace"), and NUTS for some data sets ("nuts").
- sampled: a loading and a residual variance vary over clusters, in the data and in the model. NUTS.

In a case the data have what the model has (right), or one thing more: correlated residuals of y1
and y2 at one level (within, between), a slope that varies over clusters (slopes), or residual
variances that do (variances). Replicates per data set: 200.

    python -m benchmarks.check_study --budget 20     # CPU minutes; goes on where results end
    python -m benchmarks.check_study --report        # tables and figures of docs/checks.md

Results, a row per data set, level and statistic, go to ``check_study_results.csv.xz``; the report
(``check_report.py``) also reads those of ``loo_study.py``.
"""

from __future__ import annotations

import argparse
import time
import warnings
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

import bayes_msem as bm
from bayes_msem.checking.predictive.p_values import p_values
from bayes_msem.checking.predictive.predictive_check import PredictiveCheck
from benchmarks.planted import MODEL, SAMPLED_MODEL, planted
from tests.checking.laplace import laplace_fit

RESULTS = Path(__file__).with_name("check_study_results.csv.xz")
PAGE = Path(__file__).parents[1] / "docs" / "checks.md"
CLUSTERS = (15, 30, 50)
ROWS = (8, 20)
RANDOM = {"loading_sd": 0.2, "log_sd_of_y3": 0.3}
MISFITS = {
    "within": (0.15, 0.3, 0.5),
    "between": (0.5, 0.8, 0.95),
    "slopes": (0.15, 0.3, 0.5),
    "variances": (0.15, 0.3, 0.5),
}
ARGUMENT = {"within": "within", "between": "between", "slopes": "slope_sd", "variances": "log_sd"}
RIGHT, WRONG, SAMPLED_WRONG, NUTS = 50, 10, 10, 6  # data sets per cell
REPLICATES = 200
STATISTICS = (
    *("chi_square_refit", "skewness", "kurtosis", "slope_variance"),
    *("variance_spread", "covariance_spread", "outlying_within", "icc", "cluster_mean_sd"),
    *("cluster_mean_skewness", "cluster_mean_kurtosis", "outlying_cluster"),
)


class Task(NamedTuple):
    """One data set, and how it is fitted."""

    kind: str
    posterior: str
    case: str
    size: float
    clusters: int
    rows: int
    seed: int


TASK = list(Task._fields)


def tasks() -> list[Task]:
    """All data sets, so that the first of them are spread over all cells."""
    cells = [
        *[("marginal", "laplace", "right", 0.0, RIGHT), ("marginal", "nuts", "right", 0.0, NUTS)],
        ("sampled", "nuts", "right", 0.0, RIGHT),
        *[("marginal", "laplace", case, size, WRONG) for case, sizes in MISFITS.items()
          for size in sizes],
        *[("sampled", "nuts", case, size, SAMPLED_WRONG) for case, sizes in MISFITS.items()
          for size in sizes[1:]],
    ]  # fmt: skip
    found = [
        (seed / n, Task(*cell, clusters, rows, seed))
        for (*cell, n) in cells
        for clusters in CLUSTERS
        for rows in ROWS
        for seed in range(1, n + 1)
    ]
    return [task for _, task in sorted(found, key=lambda pair: pair[0])]


def data_of(task: Task) -> pd.DataFrame:
    """Draw the data set of a task; models of both posteriors see the same one."""
    misfit = {} if task.case == "right" else {ARGUMENT[task.case]: task.size}
    random = RANDOM if task.kind == "sampled" else {}
    around = tuple(round(task.rows * part) for part in (0.6, 1.0, 1.4))
    order = ["right", *MISFITS].index(task.case), round(100 * task.size)
    state = np.random.SeedSequence([task.seed, task.clusters, task.rows, *order]).generate_state(1)
    return planted(int(state[0]), n_clusters=task.clusters, sizes=around, **misfit, **random)


def one(task: Task) -> pd.DataFrame:
    """P-values of one data set."""
    start = time.process_time()
    warnings.simplefilter("ignore", bm.MsemWarning)
    warnings.simplefilter("error", bm.InterruptedWarning)
    spec = SAMPLED_MODEL if task.kind == "sampled" else MODEL
    model = bm.Model(spec, data=data_of(task), cluster="cluster")
    if task.posterior == "nuts":
        fit = model.fit(
            draws=REPLICATES // 2, tune=300, chains=2, cores=1, random_seed=task.seed,
            progress=False,
        )  # fmt: skip
    else:
        fit = laplace_fit(model, chains=2, draws=REPLICATES // 2, seed=task.seed)
    statistics = STATISTICS if task.kind == "marginal" else ("chi_square", *STATISTICS)
    check = fit.ppc(statistics, draws=REPLICATES, keep=0, random_seed=task.seed)
    table = per_statistic(check)
    for i, (name, value) in enumerate(zip(TASK, task, strict=True)):
        table.insert(i, name, value)
    return table.assign(cpu=round(time.process_time() - start, 2))


def per_statistic(check: PredictiveCheck) -> pd.DataFrame:
    """Smallest p-values per level and statistic.

    Columns are level, statistic, ppp (of the first variable), bonferroni (the smallest times the
    number of variables and of sides), and adjusted (the smallest that allows for the others). Rows
    "clusters" have the Bonferroni p-value of the most unusual cluster.
    """
    table = pd.DataFrame(p_values(check)).assign(two_sided=check.statistics["two_sided"])
    extreme = np.minimum(table["ppp"], 1.0 - table["ppp"])
    table["tail"] = np.where(table["two_sided"], 2.0 * extreme, table["ppp"])
    rows = []
    for (level, statistic), group in table.groupby(["level", "statistic"], sort=False):
        smallest = min(1.0, len(group) * group["tail"].min())
        rows.append([level, statistic, group["ppp"].iloc[0], smallest, group["adjusted"].min()])
    for level in ("within", "between"):
        p = check.clusters[f"ppp_{level}"].dropna()
        rows.append([level, "clusters", p.min(), min(1.0, len(p) * p.min()), np.nan])
    return pd.DataFrame(rows, columns=["level", "statistic", "ppp", "bonferroni", "adjusted"])


def main() -> None:
    """Run what is missing, until the budget is spent."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--budget", type=float, default=60.0, help="CPU minutes")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--report", action="store_true", help="write the tables, run nothing")
    parser.add_argument("--page", type=Path, default=PAGE)
    parser.add_argument("--figures", type=Path, default=PAGE.parent / "images")
    arguments = parser.parse_args()
    if arguments.report:
        from benchmarks.check_report import report  # which needs this module

        report(read(arguments.out), arguments.page, arguments.figures)
        return
    known = read(arguments.out)
    done = set(known[TASK].drop_duplicates().itertuples(index=False, name=None))
    missing = [task for task in tasks() if task not in done]
    spent, found, wide = 0.0, [known], 12 * arguments.jobs
    with ProcessPoolExecutor(arguments.jobs) as pool:
        for first in range(0, len(missing), wide):
            new = list(pool.map(one, missing[first : first + wide]))
            spent += sum(float(table["cpu"].iloc[0]) for table in new)
            found += new
            if first // wide % 2 == 1:
                save(found, arguments.out)
            if spent > 60.0 * arguments.budget:
                break
    save(found, arguments.out)
    n = sum(len(table[TASK].drop_duplicates()) for table in found if len(table))
    print(f"{n} data sets in {arguments.out.name}, {spent / 60:.1f} CPU minutes now")


def read(path: Path) -> pd.DataFrame:
    """Results so far; no rows if there is no file."""
    if not path.exists():
        return pd.DataFrame(columns=[*TASK, "level", "statistic"])
    return pd.read_csv(path, keep_default_na=False, na_values={"adjusted": [""]})


def save(found: list[pd.DataFrame], path: Path) -> None:
    """Write all results, whole or not at all."""
    table = pd.concat([part for part in found if len(part)], ignore_index=True)
    rounded = {name: 4 for name in ("ppp", "bonferroni", "adjusted")}
    draft = path.with_name(f"draft_{path.name}")
    table.round(rounded).to_csv(draft, index=False)
    draft.replace(path)


if __name__ == "__main__":
    main()
