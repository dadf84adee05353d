"""Default priors of level between: bias, RMSE, coverage and width of candidates, by simulation.

Generating models and cells: ``prior_designs.py``; candidates: ``prior_candidates.py``; how one run
of NUTS serves them all: ``prior_reweighting.py``; tables and figure: ``prior_report.py``. Point
estimates are posterior medians, intervals 95% equal-tailed. Where Pareto k of a candidate exceeds
.7, NUTS runs again under its own prior; for a prior on R2 it runs under a second proposal, and if
that does not help, the data set does not count for this candidate (``sets`` against ``tried``).

    python benchmarks/prior_study.py --minutes 60          # go on where the results end
    python benchmarks/prior_study.py --designs msalt       # the MSALT example
    python benchmarks/prior_study.py --report              # tables and figure only

Results are sums over data sets, one line per cell, candidate and quantity, in
``prior_study_results.csv.xz``. Seeds run in the outer loop, so that an interrupted run is balanced.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from models import quiet_model
from numpy.typing import NDArray
from prior_candidates import WIDE, Candidate, Setting, candidates_of
from prior_cells import Cell, Key
from prior_designs import DESIGNS, cells
from prior_msalt import msalt_cell
from prior_report import FIGURE, PAGE, report
from prior_reweighting import draws_under, log_ratios, log_weights, weighted_quantiles

import bayes_msem as bm

Array = NDArray[np.float64]

RESULTS = Path(__file__).resolve().parent / "prior_study_results.csv.xz"
BUDGET = {"draws": 750, "tune": 250, "chains": 2}
SETS, MSALT_SETS = 200, 200
HIGH_K, DOUBTFUL_K = 0.7, 0.5
QUANTILES = (0.5, 0.025, 0.975)
KEYS = ["design", "clusters", "size", "icc", "candidate", "estimand"]
# Sums over data sets. e: error of the median; c: covered; t: those of the wide priors, where the
# candidate counts.
SUMS = [
    "tried",  # data sets
    "sets",  # of these, those that count
    "high_k",
    "refits",
    "e",
    "e2",
    "e4",
    "t2",
    "t4",
    "e2_t2",
    "c",
    "tc",
    "c_tc",
    "log_width",
    "within_2",  # median between half and twice the true value
]


@dataclass
class Sums:
    """Sums by cell, candidate and estimand, and the number of data sets by cell."""

    by_key: dict[tuple[str, str, str], Array] = field(default_factory=dict)
    truth: dict[tuple[str, str], float] = field(default_factory=dict)
    tried: dict[str, int] = field(default_factory=dict)
    cells: dict[str, Cell] = field(default_factory=dict)

    def add(self, cell: Cell, lines: dict[tuple[str, str], Array], truth: dict[str, float]) -> None:
        """Add one data set of a cell."""
        self.cells[cell.name] = cell
        self.tried[cell.name] = self.tried.get(cell.name, 0) + 1
        for (candidate, estimand), line in lines.items():
            key = (cell.name, candidate, estimand)
            self.by_key[key] = self.by_key.get(key, np.zeros(len(SUMS))) + line
        for estimand, value in truth.items():
            self.truth[cell.name, estimand] = value

    def frame(self) -> pd.DataFrame:
        """Return one line per cell, candidate and estimand."""
        lines = []
        for (name, candidate, estimand), sums in self.by_key.items():
            cell = self.cells[name]
            keys = [cell.design, cell.clusters, cell.size, cell.icc, candidate, estimand]
            lines.append([*keys, self.truth[name, estimand], *sums])
        return pd.DataFrame(lines, columns=[*KEYS, "truth", *SUMS])

    @classmethod
    def read(cls, path: Path) -> Sums:
        """Read what was written before, if anything."""
        sums = cls()
        if not path.exists():
            return sums
        for line in pd.read_csv(path).itertuples(index=False):
            cell = Cell(line.design, line.clusters, line.size, line.icc)
            sums.cells[cell.name], sums.tried[cell.name] = cell, int(line.tried)
            values = [getattr(line, name) for name in SUMS]
            sums.by_key[cell.name, line.candidate, line.estimand] = np.array(values, dtype=float)
            sums.truth[cell.name, line.estimand] = line.truth
        return sums

    def write(self, path: Path) -> None:
        """Write all sums, five digits each, whole or not at all."""
        other = path.with_name(f"part-{path.name}")
        self.frame().to_csv(other, index=False, float_format="%.5g")
        other.replace(path)


def reweighted(
    setting: Setting, cell: Cell, candidates: Sequence[Candidate], seed: int
) -> tuple[dict[str, Array], Array]:
    """Median and limits (n_candidates, 3) by estimand, and Pareto k, from one run of NUTS."""
    design = DESIGNS[cell.design]
    x = draws_under(setting.blueprint, design.truth(cell.icc), seed=seed, **BUDGET)
    logs, k = log_weights(log_ratios(setting, candidates, x))
    drawn, weights = design.estimands(setting.values(x)), np.exp(logs)
    return {name: weighted_quantiles(v, weights, QUANTILES) for name, v in drawn.items()}, k


def quantiles_under(
    model: bm.Model, cell: Cell, candidates: Sequence[Candidate], seed: int
) -> tuple[dict[str, Array], Array, Array]:
    """Median and limits of all estimands under all candidates, for one data set.

    Returns
    -------
    tuple
        (n_candidates, 3) by estimand; Pareto k (n_candidates,); which were sampled again.
    """
    design, truth = DESIGNS[cell.design], DESIGNS[cell.design].truth(cell.icc)
    setting = Setting(model)
    found, k = reweighted(setting, cell, candidates, seed)
    shared = np.array([not c.is_product for c in candidates])
    if (k[shared] > DOUBTFUL_K).any():
        few = [c for c in candidates if not c.is_product]
        second, other_k = reweighted(Setting(model, narrow=True), cell, few, seed)
        better = other_k < k[shared]
        places = np.flatnonzero(shared)[better]
        k[places] = other_k[better]
        for name, values in second.items():
            found[name][places] = values[better]
    again = ~shared & (k > HIGH_K)
    for i in np.flatnonzero(again):
        values = own_draws(setting, candidates[i], truth, seed, BUDGET)
        for name, v in design.estimands(values).items():
            found[name][i] = np.quantile(v, QUANTILES)
    return found, k, again


def own_draws(
    setting: Setting,
    candidate: Candidate,
    truth: dict[Key, float],
    seed: int,
    budget: dict[str, int],
) -> dict[Key, Array]:
    """Sample under a candidate's own priors; values of rows."""
    blueprint = setting.under(setting.priors(candidate))
    return setting.values(draws_under(blueprint, truth, seed=seed, **budget), blueprint)


def one_set(cell: Cell, seed: int) -> tuple[dict[tuple[str, str], Array], dict[str, float]]:
    """Return what one data set adds to the sums of its cell, and the true values."""
    design, candidates = DESIGNS[cell.design], candidates_of(cell.design)
    model = quiet_model(design.text, design.frame(cell, seed), "cluster", "wide")
    found, k, again = quantiles_under(model, cell, candidates, seed)
    counts = (k <= HIGH_K) | again
    truth = {name: float(v) for name, v in design.estimands(design.truth(cell.icc)).items()}
    wide = candidates.index(WIDE)
    lines: dict[tuple[str, str], Array] = {}
    for name, value in truth.items():
        median, lower, upper = found[name].T
        e, c = median - value, ((lower <= value) & (value <= upper)).astype(float)
        t, tc = e[wide], c[wide]
        near = (median > value / 2) & (median < 2 * value)
        for i, candidate in enumerate(candidates):
            used = [1.0, e[i], e[i] ** 2, e[i] ** 4, t**2, t**4, e[i] ** 2 * t**2]
            used += [c[i], tc, c[i] * tc, np.log(upper[i] - lower[i]), float(near[i])]
            n, *rest = np.array(used) * counts[i]
            diagnosed = [float(k[i] > HIGH_K), float(again[i])]
            lines[candidate.name, name] = np.array([1.0, n, *diagnosed, *rest])
    return lines, truth


def run(chosen: Sequence[Cell], sets: int, path: Path, minutes: float) -> None:
    """Add data sets, one per cell in turn, until all cells have enough or time is up."""
    sums, start = Sums.read(path), time.monotonic()
    while open_cells := [c for c in chosen if sums.tried.get(c.name, 0) < sets]:
        least = min(sums.tried.get(c.name, 0) for c in open_cells)
        for cell in open_cells:
            seed = sums.tried.get(cell.name, 0)
            if seed > least:
                continue
            sums.add(cell, *one_set(cell, seed))
            if time.monotonic() - start > 60 * minutes:
                sums.write(path)
                return
        sums.write(path)
        used = time.process_time()
        print(f"{least + 1} sets a cell, {used:.0f} CPU s", flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the study, or report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=1e9)
    parser.add_argument("--sets", type=int, default=SETS)
    parser.add_argument("--designs", nargs="*", default=[])
    parser.add_argument("--clusters", nargs="*", type=int, default=[])
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--report", action="store_true")
    parser.add_argument("--page", type=Path, default=PAGE)
    parser.add_argument("--figure", type=Path, default=FIGURE)
    options = parser.parse_args(arguments)
    if options.report:
        report(pd.read_csv(options.results), options.page, options.figure)
        return
    chosen = [c for c in cells() if not options.designs or c.design in options.designs]
    chosen = [c for c in chosen if not options.clusters or c.clusters in options.clusters]
    if "msalt" in options.designs:
        run([msalt_cell()], min(options.sets, MSALT_SETS), options.results, options.minutes)
    if chosen:
        run(chosen, options.sets, options.results, options.minutes)


if __name__ == "__main__":
    main()
