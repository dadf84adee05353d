"""Posterior predictive p-values by simulation: right models, and models with one planted error.

Data sets of ``benchmarks/planted.py`` (one factor at each level, 4 indicators, a covariate at each
level) are fitted with the model that made them, except for the planted part:

- right: nothing planted;
- within: y1 and y2 have correlated residuals at level within only;
- between: the same at level between only;
- slopes: the effect of x on the factor varies over clusters, the model has one;
- variances: residual variances vary over clusters, the model has one of each.

The posterior is the normal approximation at the mode, which takes a fraction of a second per data
set; with ``--nuts N`` the first N right and misspecified data sets are also sampled, to see whether
that matters.

    python -m benchmarks.ppp_study                       # the study, 100 data sets per case
    python -m benchmarks.ppp_study --replications 4 --out /tmp

Writes all p-values, ``ppp_study.csv``, the table ``ppp_study.md`` and the figure ``ppp_study.png``
into ``--out``.
"""

from __future__ import annotations

import argparse
import warnings
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import bayes_msem as bm
from benchmarks.planted import MODEL, planted
from tests.checking.laplace import laplace_fit

CASES = {
    "right": {},
    "right, 30 clusters": {"n_clusters": 30},
    "within": {"within": 0.3},
    "between": {"between": 0.8},
    "slopes": {"slope_sd": 0.3},
    "variances": {"log_sd": 0.25},
}
STATISTICS = ["chi_square_refit", "chi_square", "srmr", "deviance", "slope_variance",
              "variance_spread", "covariance_spread", "outlying_within"]  # fmt: skip
SHOWN = [
    ("", "chi_square_refit", ""),
    ("within", "chi_square_refit", ""),
    ("between", "chi_square_refit", ""),
    ("", "chi_square", ""),
    ("within", "chi_square", ""),
    ("between", "chi_square", ""),
    ("within", "srmr", ""),
    ("between", "srmr", ""),
    ("", "deviance", ""),
    ("within", "slope_variance", "y1 ~ x"),
    ("within", "variance_spread", "y1"),
    ("within", "covariance_spread", ""),
    ("within", "outlying_within", ""),
]
KEY = ["level", "statistic", "variable"]


def one(task: tuple[str, int, str]) -> pd.DataFrame:
    """P-values of one data set."""
    case, seed, posterior = task
    arguments = {"n_clusters": 200} | CASES[case]
    model = bm.Model(MODEL, data=planted(seed, **arguments), cluster="cluster", priors="wide")
    if posterior == "nuts":
        fit = model.fit(draws=250, tune=500, chains=2, cores=1, random_seed=seed, progress=False)
    else:
        fit = laplace_fit(model, chains=2, draws=125, seed=seed)
    table = pd.DataFrame(fit.ppp(STATISTICS, draws=250, random_seed=seed))
    return table[[*KEY, "ppp"]].assign(case=case, seed=seed, posterior=posterior)


def summary(results: pd.DataFrame) -> pd.DataFrame:
    """Mean, share below .05 and share above .95 per case and statistic."""
    chosen = results[results[KEY].apply(tuple, axis=1).isin(SHOWN)]
    groups = chosen.groupby(["posterior", "case", *KEY], sort=False)["ppp"]
    return groups.agg(
        n="size",
        mean="mean",
        below=lambda p: (p < 0.05).mean(),
        above=lambda p: (p > 0.95).mean(),
    ).reset_index()


def figure(results: pd.DataFrame, path: Path) -> None:
    """Distribution functions of the p-values of both levels, per case."""
    laplace = results[
        (results["posterior"] == "laplace") & (results["statistic"] == "chi_square_refit")
    ]
    fig, axes = plt.subplots(1, len(CASES), figsize=(2.3 * len(CASES), 2.6), sharey=True)
    for ax, case in zip(axes, CASES, strict=True):
        ax.plot([0, 1], [0, 1], color="0.7", lw=1)
        for level, color in (("within", "C0"), ("between", "C1")):
            p = np.sort(laplace[(laplace["case"] == case) & (laplace["level"] == level)]["ppp"])
            ax.step(np.r_[0, p, 1], np.r_[0, np.arange(1, len(p) + 1) / len(p), 1],
                    where="post", color=color, label=level)  # fmt: skip
        ax.set_title(case, fontsize=9)
        ax.set_xlabel("ppp of chi_square_refit", fontsize=8)
        ax.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("share of data sets at most")
    axes[0].legend(frameon=False, fontsize=8)
    fig.tight_layout()
    fig.savefig(path, dpi=120)


def main() -> None:
    """Run the study."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--replications", type=int, default=100)
    parser.add_argument("--nuts", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("out"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    warnings.simplefilter("ignore", bm.MsemWarning)
    warnings.simplefilter("error", bm.InterruptedWarning)
    tasks = list(product(CASES, range(1, arguments.replications + 1), ["laplace"]))
    tasks += list(product(CASES, range(1, arguments.nuts + 1), ["nuts"]))
    with ProcessPoolExecutor(arguments.jobs) as pool:
        results = pd.concat(pool.map(one, tasks), ignore_index=True)
    results.to_csv(arguments.out / "ppp_study.csv", index=False)
    table = summary(results)
    (arguments.out / "ppp_study.md").write_text(table.to_string(index=False) + "\n")
    figure(results, arguments.out / "ppp_study.png")
    print(table.to_string(index=False))


if __name__ == "__main__":
    main()
