"""A published location-scale model of a diary, and what Blimp prints for it.

Run it with the file of the public repository blimp-stats/blimp-book (columns person, pain, posaff):

    python benchmarks/diary_location_scale.py diary.csv

It writes ``diary_location_scale.csv`` beside this file. Blimp's numbers are of log *variances*;
ours of log SDs are doubled here (variances of them quadrupled). Person 61 gives the same answer on
all days, so that there would be no posterior; noise of SD 0.023 takes the place of what rounding
took.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd

import bayes_msem as bm

RESULTS = Path(__file__).with_name("diary_location_scale.csv")
TEXT = """
level: within
    posaff ~ rv("slope")*pain
    posaff ~~ rv("g")*posaff
    g ~ pain
level: between
    posaff ~ pain
    g ~ pain
    posaff ~~ slope + g
    slope ~~ g
    slope ~~ 0*pain
"""
CONSTANT, WIDTH = 61, 0.04
# posterior medians and SDs that Blimp prints
BLIMP = {
    "variance of the intercept": (1.940, 0.267),
    "variance of the slope": (0.007, 0.005),
    "mean log variance": (0.117, 0.093),
    "log variance on mean pain": (0.122, 0.058),
    "variance of log variances": (0.987, 0.150),
    "correlation of intercept and log variance": (-0.482, 0.078),
    "correlation of slope and log variance": (-0.227, 0.175),
}


def quantities(fit: bm.Fit) -> dict[str, np.ndarray]:
    """Draws of the quantities of ``BLIMP``, and of the slope within."""

    def of(*key: str) -> np.ndarray:
        return np.asarray(fit.draws[key]).ravel()

    def between(*key: str) -> np.ndarray:
        return of("between", *key)

    def correlation(one: str, other: str) -> np.ndarray:
        spread = np.sqrt(between(one, "~~", one) * between(other, "~~", other))
        return between(one, "~~", other) / spread

    slope = between("g", "~", "pain")
    return {
        "variance of the intercept": between("posaff", "~~", "posaff"),
        "variance of the slope": between("slope", "~~", "slope"),
        "mean log variance": 2 * (between("g", "~", "1") + slope * between("pain", "~", "1")),
        "log variance on mean pain": 2 * slope,
        "variance of log variances": 4 * between("g", "~~", "g"),
        "correlation of intercept and log variance": correlation("posaff", "g"),
        "correlation of slope and log variance": correlation("slope", "g"),
        "log variance on pain within": 2 * of("within", "g", "~", "pain"),
    }


def main(path: str) -> None:
    """Fit, compare, print and store."""
    data = pd.read_csv(path)[["person", "pain", "posaff"]]
    constant = data["person"] == CONSTANT
    noise = np.random.default_rng(CONSTANT).uniform(-WIDTH, WIDTH, int(constant.sum()))
    data.loc[constant, "posaff"] += noise
    model = bm.Model(TEXT, data=data, cluster="person")
    fit = model.fit(draws=2000, tune=1000, chains=2, random_seed=1, target_accept=0.95)
    print(fit.convergence)
    rows = []
    for name, draws in quantities(fit).items():
        median, sd = BLIMP.get(name, (np.nan, np.nan))
        rows.append((name, median, sd, float(np.median(draws)), float(draws.std(ddof=1))))
    table = pd.DataFrame(rows, columns=["quantity", "blimp", "blimp_sd", "median", "sd"])
    print(table.round(3).to_string(index=False))
    table.round(5).to_csv(RESULTS, index=False)


if __name__ == "__main__":
    main(sys.argv[1])
