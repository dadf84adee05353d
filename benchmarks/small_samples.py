"""Few countries with many people each: the studies of Meuleman & Billiet and of Hox et al., again.

One factor with four indicators at each level; a country-level predictor with a standardised
effect of .10, .25, .50 or .75 on the factor between; J = 10 to 100 countries of 600 to 2,800 people
(uniform, 1,700 on average). Indicators have an ICC of .1, and four fifths of the first one's
between variance come from the factor; these values are ours, the published ones were taken from a
survey.

Three answers to the same data sets:

default   the posterior under the default priors (``priors="informative"``), 4 chains of 500 draws
          after 300, which start near the true values: that spares the search for modes
wide      ``priors="wide"``. The two sets differ in one row, the slope, so that the ratio of its
          prior densities, Pareto smoothed, turns the draws of the one into those of the other;
          where Pareto k exceeds .7, NUTS runs again
ML        the maximum of the likelihood nearest to the true values, without bounds, with intervals
          of 1.96 standard errors. ``model.mode(prior=False)`` searches from many points, and finds
          the same maximum (``tests/test_small_samples.py``) in fifteen times the time

Estimates are posterior medians and maxima, intervals 95% equal-tailed.

    python benchmarks/small_samples.py --minutes 20     # go on where the results end
    python benchmarks/small_samples.py --report         # tables of docs/small_samples.md and figure

Results are sums over data sets, a line per cell, method and quantity, in
``small_samples_results.csv``. Seeds run in the outer loop: an interrupted run is balanced.

References
----------
Meuleman, B., & Billiet, J. (2009). A Monte Carlo sample size study: How many countries are needed
for accurate multilevel SEM? Survey Research Methods, 3(1), 45-58.

Hox, J., van de Schoot, R., & Matthijsse, S. (2012). How few countries will do? Comparative survey
analysis from a Bayesian perspective. Survey Research Methods, 6(2), 87-93.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from arviz_stats.base import array_stats
from models import quiet_model
from numpy.typing import NDArray
from prior_cells import Key, Truth, b, w
from prior_reweighting import (
    log_weights,
    sampled_parameters,
    tree_under,
    weighted_quantiles,
)
from small_samples_report import CELL, FIGURE, KEYS, PAGE, PRIOR_STUDY, SUMS, report

import bayes_msem as bm
from bayes_msem.blueprint.blueprint import Blueprint, build_blueprint
from bayes_msem.data.scales import scales
from bayes_msem.inference.axes import mean_axes
from bayes_msem.inference.information import standard_errors
from bayes_msem.inference.maximise import maximise
from bayes_msem.spec.default_priors import default_priors

Array = NDArray[np.float64]

RESULTS = Path(__file__).resolve().parent / "small_samples_results.csv"
CLUSTERS, EFFECTS = (20, 40, 60, 100, 10), (0.1, 0.25, 0.5, 0.75)
SIZES = (600, 2800)
ICC, SHARE = 0.1, 0.8  # of the first indicator's between variance, the factor's
SETS = 200
BUDGET = {"draws": 500, "tune": 300, "chains": 4}
HIGH_K, R_HAT = 0.7, 1.01
QUANTILES = (0.5, 0.025, 0.975)
ITEMS = ("y1", "y2", "y3", "y4")
LOADINGS = ((1.0, 0.8, 0.9, 1.1), (1.0, 0.9, 1.1, 0.8))  # within, between
SLOPE = b("fb", "~", "w")
TEXT = """
level: within
    fw =~ y1 + y2 + y3 + y4
level: between
    fb =~ y1 + y2 + y3 + y4
    fb ~ w
"""


@dataclass(frozen=True, slots=True)
class Cell:
    """Number of clusters and standardised effect."""

    clusters: int
    effect: float


def truth(cell: Cell) -> Truth:
    """Return true values of all rows: total variances of y1 are 1, the predictor's too."""
    factor = SHARE * ICC
    t: Truth = {w("fw", "~~", "fw"): 0.6 * (1 - ICC), SLOPE: cell.effect * factor**0.5}
    t[b("fb", "~~", "fb")] = factor * (1 - cell.effect**2)
    for name, inside, between in zip(ITEMS, *LOADINGS, strict=True):
        t[w("fw", "=~", name)], t[b("fb", "=~", name)] = inside, between
        t[w(name, "~~", name)], t[b(name, "~~", name)] = 0.4 * (1 - ICC), (1 - SHARE) * ICC
        t[b(name, "~", "1")] = 0.0
    return t


def frame(cell: Cell, seed: int) -> pd.DataFrame:
    """Simulate one data set in NumPy, which shares nothing with the package."""
    rng = np.random.default_rng([20261130, cell.clusters, round(100 * cell.effect), seed])
    t = truth(cell)
    country = np.repeat(np.arange(cell.clusters), rng.integers(*SIZES, size=cell.clusters))
    x, own = rng.standard_normal((2, cell.clusters))
    f_between = t[SLOPE] * x + own * t[b("fb", "~~", "fb")] ** 0.5
    f_within = rng.standard_normal(len(country)) * t[w("fw", "~~", "fw")] ** 0.5
    columns: dict[str, Array] = {}
    for v in ITEMS:
        between = rng.standard_normal(cell.clusters) * t[b(v, "~~", v)] ** 0.5
        inside = rng.standard_normal(len(country)) * t[w(v, "~~", v)] ** 0.5
        between = between + t[b("fb", "=~", v)] * f_between
        columns[v] = between[country] + t[w("fw", "=~", v)] * f_within + inside
    return pd.DataFrame({**columns, "w": x[country], "cluster": country})


def estimands(keys: Sequence[Key]) -> dict[str, Key]:
    """Rows that are reported, by their names in the results."""
    names = {("~", "w"): "effect", ("~~", "fb"): "factor variance"}
    found = {}
    for key in keys:
        level, lhs, op, rhs = key
        if level != "between" or (op == "~" and rhs == "1"):
            continue
        name = names.get((op, rhs)) or (f"loading {rhs}" if op == "=~" else f"variance {rhs}")
        if (op, rhs) != ("=~", "y1"):
            found[name] = (level, lhs, op, rhs)
    return found


# Three answers ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Answer:
    """Estimate, standard error and limits by quantity, (4,) each; what went wrong, as 0 or 1."""

    found: dict[str, Array]
    high_r_hat: bool = False
    divergent: bool = False
    negative: bool = False
    again: bool = False


def posterior_answers(model: bm.Model, t: Truth, seed: int) -> dict[str, Answer]:
    """Both sets of priors, from one run of NUTS where weights allow."""
    blueprint, measured = model.blueprint, scales(model.observed)
    ours, other = (default_priors(model.table, measured, name) for name in ("informative", "wide"))
    keys = {row.free: row.key for row in blueprint.table.rows if row.free}
    differ = [i for i in keys if ours[i] != other[i]]
    if [keys[i] for i in differ] != [SLOPE]:
        raise RuntimeError(f"the two sets of priors differ in {[keys[i] for i in differ]}")
    draws, about = sampled(blueprint, t, seed)
    log_density = [priors[differ[0]].log_density(draws["effect"]) for priors in (ours, other)]
    logs, k = log_weights((log_density[1] - log_density[0])[None])
    plain = np.full_like(logs, -np.log(logs.shape[1]))
    answers = {"default": Answer(summarised(draws, plain), **about)}
    if k[0] <= HIGH_K:
        return answers | {"wide": Answer(summarised(draws, logs), **about)}
    draws, about = sampled(build_blueprint(model.table, other, model.observed), t, seed)
    return answers | {"wide": Answer(summarised(draws, plain), **about, again=True)}


def sampled(blueprint: Blueprint, t: Truth, seed: int) -> tuple[dict[str, Array], dict[str, bool]]:
    """Draws of all chains by quantity, and what is wrong with them, if anything."""
    tree = tree_under(blueprint, t, **BUDGET, seed=seed)
    x = sampled_parameters(blueprint, tree)
    r_hat = max(array_stats.rhat(column, 0, 1) for column in np.moveaxis(x, -1, 0))
    divergent = bool(tree["sample_stats"]["diverging"].any())
    theta = blueprint.theta(x.reshape(-1, x.shape[-1]))
    position = blueprint.parameters.position
    columns = {r.key: theta[:, position[r.free]] for r in blueprint.table.rows if r.free}
    draws = {name: columns[key] for name, key in estimands(list(columns)).items()}
    return draws, {"high_r_hat": bool(r_hat >= R_HAT), "divergent": divergent}


def summarised(draws: dict[str, Array], logs: Array) -> dict[str, Array]:
    """Median, SD and limits of weighted draws."""
    weights = np.exp(logs)
    answer = {}
    for name, values in draws.items():
        median, lower, upper = weighted_quantiles(values, weights, QUANTILES)[0]
        share = weights[0] / weights.sum()
        sd = np.sqrt(share @ (values - share @ values) ** 2)
        answer[name] = np.array([median, sd, lower, upper])
    return answer


def likelihood_answer(model: bm.Model, t: Truth) -> Answer | None:
    """Maximum likelihood from the true values upwards; None if there is no maximum or no error."""
    blueprint = model.blueprint
    start = np.zeros(blueprint.parameters.n)
    for row in blueprint.table.rows:
        if row.free:
            start[blueprint.parameters.position[row.free]] = t[row.key]

    def objective(theta: Array) -> tuple[float, Array]:
        value, gradient = blueprint.likelihood.natural(blueprint.extend(theta))
        return value, blueprint.pull_back(theta, gradient)

    def axes(theta: Array) -> Array:
        return mean_axes(blueprint, theta, np.full(len(theta), 0.05), np.ones(len(theta)))

    top = maximise(objective, start, axes, rescale=True)
    if not top.converged:
        return None

    def values(theta: Array) -> dict[Key, float]:
        position = blueprint.parameters.position
        return {r.key: float(theta[position[r.free]]) for r in blueprint.table.rows if r.free}

    estimates = values(top.position)
    errors = standard_errors(blueprint, top, values, blueprint.table)
    answer = {}
    for name, key in estimands(list(estimates)).items():
        value, error = estimates[key], errors[key]
        if not np.isfinite(error):
            return None
        answer[name] = np.array([value, error, value - 1.96 * error, value + 1.96 * error])
    negative = any(v < 0 for (_, lhs, op, rhs), v in estimates.items() if op == "~~" and lhs == rhs)
    return Answer(answer, negative=negative)


def one_set(cell: Cell, seed: int) -> dict[tuple[str, str], Array]:
    """Return what one data set adds to the sums, by method and quantity."""
    data, t = frame(cell, seed), truth(cell)
    start = time.process_time()
    model = quiet_model(TEXT, data, "cluster")
    answers: dict[str, Answer | None] = dict(posterior_answers(model, t, seed))
    middle = time.process_time()
    answers["ML"] = likelihood_answer(model, t)
    seconds = {"default": middle - start, "wide": 0.0, "ML": time.process_time() - middle}
    lines: dict[tuple[str, str], Array] = {}
    for method, answer in answers.items():
        for name, key in estimands(list(t)).items():
            line = dict.fromkeys(SUMS, 0.0) | {"tried": 1.0, "seconds": seconds[method]}
            if answer is not None:
                line |= _measured(answer, name, t[key])
            lines[method, name] = np.array(list(line.values()))
    return lines


def _measured(answer: Answer, name: str, value: float) -> dict[str, float]:
    estimate, sd, lower, upper = answer.found[name]
    e, width = estimate - value, upper - lower
    return {
        "sets": 1.0,
        "high_r_hat": float(answer.high_r_hat),
        "divergent": float(answer.divergent),
        "negative": float(answer.negative),
        "again": float(answer.again),
        "e": e,
        "e2": e**2,
        "e4": e**4,
        "sd": sd,
        "covered": float(lower <= value <= upper),
        "excludes_0": float(lower > 0 or upper < 0),
        "right_sign": float(lower > 0) if value > 0 else 0.0,
        "width": width,
        "width2": width**2,
    }


# Runs and results ---------------------------------------------------------------------------------

Sums = dict[tuple[Any, ...], Array]


def read(path: Path) -> Sums:
    """Read what was written before, if anything."""
    if not path.exists():
        return {}
    known = pd.read_csv(path)
    keys = known[KEYS].itertuples(index=False, name=None)
    return dict(zip(keys, known[list(SUMS)].to_numpy(), strict=True))


def write(sums: Sums, path: Path) -> None:
    """Write all sums, whole or not at all."""
    lines = []
    for key, values in sums.items():
        cell, name = Cell(*key[: len(CELL)]), key[-1]
        t = truth(cell)
        lines.append([*key, t[estimands(list(t))[name]], *values])
    other = path.with_name(f"part-{path.name}")
    pd.DataFrame(lines, columns=[*KEYS, "truth", *SUMS]).to_csv(
        other, index=False, float_format="%.6g"
    )
    other.replace(path)


def run(cells: Sequence[Cell], sets: int, path: Path, minutes: float) -> None:
    """Add data sets, one per cell in turn, until all cells have enough or time is up."""
    sums, start = read(path), time.monotonic()

    def done(cell: Cell) -> int:
        return int(sums.get((cell.clusters, cell.effect, "ML", "effect"), [0])[0])

    while open_cells := [c for c in cells if done(c) < sets]:
        least = min(done(c) for c in open_cells)
        for cell in open_cells:
            if done(cell) > least:
                continue
            for key, line in one_set(cell, least).items():
                place = (cell.clusters, cell.effect, *key)
                sums[place] = sums.get(place, np.zeros(len(SUMS))) + line
            if time.monotonic() - start > 60 * minutes:
                write(sums, path)
                return
        write(sums, path)
        print(f"{least + 1} sets a cell, {time.process_time():.0f} CPU s", flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the study, or report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=1e9)
    parser.add_argument("--sets", type=int, default=SETS)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--report", action="store_true")
    parser.add_argument("--prior-study", type=Path, default=PRIOR_STUDY)
    parser.add_argument("--page", type=Path, default=PAGE)
    parser.add_argument("--figure", type=Path, default=FIGURE)
    options = parser.parse_args(arguments)
    if options.report:
        results, priors = pd.read_csv(options.results), pd.read_csv(options.prior_study)
        report(results, priors, options.page, options.figure)
        return
    cells = [Cell(*pair) for pair in product(CLUSTERS, EFFECTS)]
    run(cells, options.sets, options.results, options.minutes)


if __name__ == "__main__":
    main()
