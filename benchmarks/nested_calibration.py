r"""Calibration of three classes of three-level models, with 15 and 20 top units.

As ``calibration.py`` does for two levels: parameters from the prior, data from the model, and the
rank of the truth

- exact: among the states of a chain through it (``exact_ranks.py``), which is about the density;
  and once with a planted error, a covariate of the highest level that never reaches the
  likelihood, which must be found;
- nuts: among thinned draws of complete fits (the code of ``bm.sbc``), with R-hat and divergences.

    python -m benchmarks.nested_calibration [--exact 150] [--nuts 30]

Lines are added to ``nested_calibration_results.csv``; data sets that are there are not repeated.
"""

from __future__ import annotations

import argparse
import warnings
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

import bayes_msem as bm
from bayes_msem.data.observed_data import ObservedData
from bayes_msem.data.readonly import frozen
from bayes_msem.posterior.rank_uniformity import holm, p_value
from bayes_msem.studies.sbc import named_quantities
from bayes_msem.studies.sbc_replication import LOG_LIKELIHOOD, N_DRAWS, Calibration, draw_data
from benchmarks.exact_ranks import exact_ranks

RESULTS = Path(__file__).parent / "nested_calibration_results.csv"
PRIORS = {
    "regression": "normal(0, 1)",
    "intercept": "normal(0, 1)",
    "loading": "normal(1, 0.3)",
    "sd": "gamma(2, 2)",
    "covariance": "lkj(2)",
}
BUDGET = {"draws": 1000, "tune": 500, "chains": 4, "cores": 1}
SEED = 2027
COLUMNS = ("test", "class", "error", "data_set", "r_hat", "divergences", "failure", "ranks")


@dataclass(frozen=True)
class NestedClass:
    """A class of models: its text, the number of top units, and the share of missing outcomes."""

    name: str
    text: str
    n_tops: int
    missing: float = 0.0


_FACTORS = """
    level: within
        fw =~ y1 + y2 + y3
    level: class
        fc =~ y1 + y2 + y3
        fc ~ w2
    level: school
        fs =~ y1 + y2 + y3
        fs ~ w3
        z3 ~ fs
    """
CLASSES = (
    NestedClass(
        "growth",
        """
        level: within
            y1 ~ rv("s")*x
        level: class
            y1 ~ w2
            s ~~ y1
        level: school
            y1 ~ w3
            s ~~ y1
        """,
        15,
    ),
    NestedClass("factors", _FACTORS, 20),
    NestedClass("factors, incomplete", _FACTORS, 20, 0.2),
)


@cache
def prepared(name: str) -> bm.Model:
    """Return the model of a class, on a design that is the same in every data set."""
    one = next(c for c in CLASSES if c.name == name)
    rng = np.random.default_rng(17)
    classes = 2 + np.arange(one.n_tops) % 4
    school = np.repeat(np.arange(one.n_tops), classes)
    rows = 2 + np.arange(len(school)) % 5
    group = np.repeat(np.arange(len(school)), rows)
    frame = pd.DataFrame(
        {"school": school[group], "class": group, "x": rng.normal(size=len(group))}
    )
    frame["w2"] = rng.normal(size=len(school))[group]
    frame["w3"] = rng.normal(size=one.n_tops)[school[group]]
    for name_of in ("y1", "y2", "y3"):
        parts = rng.normal(size=len(school))[group] + rng.normal(size=one.n_tops)[school[group]]
        y = rng.normal(size=len(group)) + parts
        frame[name_of] = np.where(rng.random(len(group)) < one.missing, np.nan, y)
    frame["z3"] = rng.normal(size=one.n_tops)[school[group]]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bm.MsemWarning)
        return bm.Model(one.text, frame, cluster=["class", "school"], priors=PRIORS)


def without_w3(observed: ObservedData) -> ObservedData:
    """Drop the cell of the covariate of schools: what is left of it is nothing."""
    return replace(observed, w3=frozen(1e-6 * observed.w3))


def exact(name: str, error: str, data_set: int) -> dict[str, object]:
    """Exact ranks of one data set."""
    model, place = prepared(name), [c.name for c in CLASSES].index(name)
    seeds = np.random.SeedSequence([SEED, data_set, place]).spawn(2)
    drawn = draw_data(model.unpiloted_blueprint(), np.random.default_rng(seeds[0]))
    made = model.on(drawn.observed).blueprint
    tested = model.on(without_w3(drawn.observed)).blueprint if error else made
    try:
        ranks = exact_ranks(
            made, tested, named_quantities(model), drawn, np.random.default_rng(seeds[1])
        )
    except (np.linalg.LinAlgError, ValueError) as failure:
        return {"failure": f"{type(failure).__name__}: {failure}", "ranks": ""}
    return {"ranks": " ".join(str(rank) for rank in ranks.values())}


def nuts(name: str, error: str, data_set: int) -> dict[str, object]:
    """Ranks of one data set by a complete fit."""
    model, place = prepared(name), [c.name for c in CLASSES].index(name)
    lines = Calibration(model, named_quantities(model), True, BUDGET, SEED + place)(data_set)
    first = lines[0]
    return {
        "r_hat": first["max_r_hat"],
        "divergences": first["divergences"],
        "failure": first["failure"],
        "ranks": "" if first["failure"] else " ".join(f"{line['rank']:.0f}" for line in lines),
    }


def run(n_exact: int, n_nuts: int, path: Path = RESULTS) -> None:
    """Add what is missing to the results; classes take turns."""
    done = set()
    if path.exists():
        kept = read(path)
        done = set(zip(kept["test"], kept["class"], kept["error"], kept["data_set"], strict=True))
    plan = [("exact", "", n_exact), ("exact", "cell", n_exact // 3), ("nuts", "", n_nuts)]
    for test, error, n in plan:
        for data_set in range(n):
            for one in CLASSES:
                if (test, one.name, error, data_set) in done:
                    continue
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", bm.MsemWarning)
                    found = (exact if test == "exact" else nuts)(one.name, error, data_set)
                line = {"test": test, "class": one.name, "error": error, "data_set": data_set}
                frame = pd.DataFrame([line | found], columns=list(COLUMNS))
                frame.to_csv(path, mode="a", header=not path.exists(), index=False)


def read(path: Path = RESULTS) -> pd.DataFrame:
    """Read the results."""
    results = pd.read_csv(path, dtype={"failure": str, "error": str, "ranks": str})
    return results.fillna({"error": "", "failure": "", "ranks": ""})


def table(results: pd.DataFrame) -> pd.DataFrame:
    """Summarise: smallest p-value of uniform ranks, corrected for the number of quantities."""
    lines = []
    for (test, name, error), part in results.groupby(["test", "class", "error"], sort=False):
        ranks = np.array([line.split() for line in part["ranks"] if line], dtype=np.int64)
        p = holm([p_value(column, N_DRAWS) for column in ranks.T])
        names = [*named_quantities(prepared(str(name))), LOG_LIKELIHOOD]
        lines.append(
            {
                "test": test,
                "class": name,
                "error": error or "none",
                "data sets": len(ranks),
                "failed": len(part) - len(ranks),
                "quantities": len(names),
                "smallest p": f"{p.min():.2g}",
                "of": names[int(np.argmin(p))],
                "largest R-hat": "" if test == "exact" else f"{part['r_hat'].max():.3f}",
                "R-hat below 1.01": "" if test == "exact" else f"{(part['r_hat'] < 1.01).sum()}",
                "divergences": "" if test == "exact" else f"{part['divergences'].sum():.0f}",
            }
        )
    return pd.DataFrame(lines)


def main() -> None:
    """Run what the command line asks for, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--exact", type=int, default=150, help="data sets per class")
    parser.add_argument("--nuts", type=int, default=30, help="fits per class")
    options = parser.parse_args()
    run(options.exact, options.nuts)
    print(table(read()).to_string(index=False))


if __name__ == "__main__":
    main()
