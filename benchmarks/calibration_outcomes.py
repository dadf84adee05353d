r"""Simulation-based calibration of complete fits of outcomes that are not normal.

Parameters are drawn from the prior, data from the model at them, and the model is fitted to the
data with NUTS. Then the truth is one more draw from the posterior, and its rank among the others
is uniform, for every parameter and every function of parameters and data (Talts et al. 2018;
Modrák et al. 2023). Cases, each with as many data sets as asked for:

- cfa: two-level factor model of three items with three categories, probit link, 16 clusters of 8;
- cfa, other link: the same data, fitted with the logit link, and so wrong;
- slope: binary outcome, logit link, random intercept and random slope, 20 clusters of 10;
- slope, fixed: the same data, fitted with one slope for all clusters, and so wrong.

Ranked are all free parameters, the effects of the first cluster, the score of the first row, and

    log p(y | effects, scores, theta) ,

the density of the data given everything that NUTS samples. It depends on the data, without which
a posterior that ignored them would have uniform ranks, too. It is computed here, at the draws and
at the truth. The marginal one would take several times as long as the fit.

Parameters and data come from NumPy code (``calibration_designs.py``), which shares nothing with
the package. All priors are set, so that they do not depend on the data. A category without
observations is refused by the package: such data sets are drawn again, together with their
parameters. Whether one is, depends on the data alone, p(kept | y, theta) = p(kept | y), so that
p(theta | y, kept) = p(theta | y), and ranks stay uniform.

    python -m benchmarks.calibration_outcomes --data-sets 100   # what is not in the results yet
    python -m benchmarks.calibration_outcomes --tables          # table and figure alone

One line per fit goes to ``calibration_results.csv``: data sets that were drawn again, sampling
diagnostics, and ranks among 99 draws, in the order of ``quantities``. Every data set has its own
seeds, so their order does not matter. Table and figure go to ``docs/outcomes.md``.

References
----------
Modrák, M., Moon, A. H., Kim, S., Bürkner, P., Huurre, N., Faltejsková, K., Gelman, A., & Vehtari,
A. (2023). Simulation-based calibration checking for Bayesian computation: The choice of test
quantities shapes sensitivity. Bayesian Analysis. https://doi.org/10.1214/23-BA1404

Talts, S., Betancourt, M., Simpson, D., Vehtari, A., & Gelman, A. (2018). Validating Bayesian
inference algorithms with simulation-based calibration. https://arxiv.org/abs/1804.06788
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import NDArray
from scipy import special

import bayes_msem as bm
from bayes_msem.plotting.canvas import ESTIMATE, MUTED, REFERENCE, NotebookFigure
from bayes_msem.posterior.rank_uniformity import counts_below, limits, p_value, rank_of
from benchmarks.calibration_designs import (
    ITEMS,
    Array,
    Drawn,
    Predictor,
    Values,
    cfa_predictor,
    draw_cfa,
    draw_slope,
    slope_predictor,
)
from benchmarks.marked_tables import markdown, with_marked
from benchmarks.measure import cpu_time

HERE = Path(__file__).parent
RESULTS = HERE / "calibration_results.csv"
PAGE = HERE.parent / "docs" / "outcomes.md"
FIGURE = HERE.parent / "docs" / "images" / "calibration_outcomes.png"
BUDGET = {"chains": 2, "tune": 500, "draws": 1000}
THIN = 20  # 100 draws are nearly independent; one is left out, so that there are 100 ranks
N_DRAWS = 99
ALPHA = 0.01
LOG_DENSITY = "log p(y | effects, scores, theta)"


# Cases ----------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Case:
    """A model that is fitted to data of a design.

    Attributes
    ----------
    name, title
        Short name in the results; what is fitted.
    right
        Whether the model is the one that made the data.
    draw
        Draws parameters and data.
    design
        Number of the design, part of the seeds: cases with equal ones have equal data.
    predictor
        Linear predictors.
    text, family, priors
        The model.
    outcomes
        Names of the outcomes, all of one family.
    effects
        Names of the effects of clusters.
    parameters
        Text of every free row.
    """

    name: str
    title: str
    right: bool
    draw: Callable[[np.random.Generator], Drawn]
    design: int
    predictor: Predictor
    text: str
    family: str
    outcomes: tuple[str, ...]
    effects: tuple[str, ...]
    parameters: tuple[str, ...]
    priors: Mapping[Any, str] = field(repr=False)

    @property
    def quantities(self) -> tuple[str, ...]:
        """Names of what is ranked, in the order of the results."""
        effects = [f"effect on {name}, first cluster" for name in self.effects]
        score = ["score, first row"] if "=~" in self.text else []
        return (*self.parameters, *effects, *score, LOG_DENSITY)

    def model(self, frame: pd.DataFrame) -> bm.Model:
        """Return the model with these data."""
        families = dict.fromkeys(self.outcomes, self.family)
        return bm.Model(
            self.text, data=frame, cluster="cluster", families=families, priors=self.priors
        )

    def log_density(
        self, values: Values, effects: Mapping[str, Array], scores: Array, frame: pd.DataFrame
    ) -> Array:
        """Log p(y | effects, scores, theta) of draws, (S,)."""
        cdf = special.ndtr if "probit" in self.family else special.expit
        predictor = self.predictor(values, effects, scores, frame)
        total = np.zeros(len(predictor))
        for k, name in enumerate(self.outcomes):
            cuts = [values[row][:, None] for row in self.parameters if f": {name} | t" in row]
            edges = [np.full_like(cuts[0], -np.inf), *cuts, np.full_like(cuts[0], np.inf)]
            category = frame[name].to_numpy()
            lower, upper = (
                np.hstack(edges)[:, category + step] - predictor[..., k] for step in (0, 1)
            )
            above = lower > 0  # differences of small numbers keep their digits
            lower, upper = np.where(above, -upper, lower), np.where(above, -lower, upper)
            total += np.log(cdf(upper) - cdf(lower)).sum(axis=1)
        return total


CFA: dict[str, Any] = {
    "draw": draw_cfa,
    "design": 0,
    "predictor": cfa_predictor,
    "text": "level: within\n    fw =~ y1 + y2 + y3\nlevel: between\n    fb =~ y1 + y2 + y3",
    "outcomes": ITEMS,
    "effects": ITEMS,
    "parameters": (
        *(f"within: fw =~ {item}" for item in ITEMS[1:]),
        "within: fw ~~ fw",
        *(f"between: fb =~ {item}" for item in ITEMS[1:]),
        *(f"between: {name} ~~ {name}" for name in (*ITEMS, "fb")),
        *(f"between: {item} | t{k}" for item in ITEMS for k in (1, 2)),
    ),
    "priors": {
        "loading": "normal(1, 0.3)",
        ("within", "sd"): "halfnormal(1)",
        ("between", "sd"): "halfnormal(0.7)",
        "threshold": "dirichlet(3, sd=1.7)",
    },
}
SLOPE: dict[str, Any] = {
    "draw": draw_slope,
    "design": 1,
    "predictor": slope_predictor,
    "family": "binary(logit)",
    "outcomes": ("y",),
    "priors": {
        "regression": "normal(0, 1)",
        "intercept": "normal(0, 1)",
        "threshold": "normal(0, 1)",
        "sd": "halfnormal(1)",
        "covariance": "lkj(2)",
    },
}
CASES = (
    Case("cfa", "the model that made the data", True, family="ordinal(probit)", **CFA),
    Case("cfa, other link", "logit in place of probit", False, family="ordinal(logit)", **CFA),
    Case(
        "slope",
        "the model that made the data",
        True,
        text='level: within\n    y ~ rv("s")*x\nlevel: between\n    y ~ w\n    y ~~ s',
        effects=("y", "s"),
        parameters=(
            *("between: y ~ w", "between: y ~~ s", "between: y ~~ y", "between: s ~~ s"),
            *("between: s ~ 1", "between: y | t1"),
        ),
        **SLOPE,
    ),
    Case(
        "slope, fixed",
        "one slope for all clusters",
        False,
        text="level: within\n    y ~ x\nlevel: between\n    y ~ w",
        effects=("y",),
        parameters=("within: y ~ x", "between: y ~ w", "between: y ~~ y", "between: y | t1"),
        **SLOPE,
    ),
)


# The study ------------------------------------------------------------------------------------


def accepted(case: Case, rng: np.random.Generator) -> tuple[Drawn, int]:
    """Draw parameters and data until every category has observations; count those before."""
    n_categories = 3 if case.design == 0 else 2
    redrawn = 0
    while True:
        drawn = case.draw(rng)
        if (drawn.frame[list(case.outcomes)].nunique() == n_categories).all():
            return drawn, redrawn
        redrawn += 1


def replicate(case: Case, data_set: int) -> dict[str, object]:
    """Simulate and fit one data set: the line of the results."""
    seeds = np.random.SeedSequence([2026, case.design, data_set]).generate_state(3)
    drawn, redrawn = accepted(case, np.random.default_rng(seeds[0]))
    with warnings.catch_warnings(), cpu_time() as timing:
        warnings.simplefilter("ignore", bm.MsemWarning)  # few clusters; diagnostics are stored
        warnings.simplefilter("error", bm.InterruptedWarning)
        model = case.model(drawn.frame)
        fit = model.fit(cores=1, random_seed=int(seeds[1]), progress=False, **BUDGET)
        table = fit.summary()
        divergences = fit.convergence.divergences
        ranks = ranks_of(case, drawn, fit, np.random.default_rng(seeds[2]))
    return {
        "case": case.name,
        "data_set": data_set,
        "redrawn": redrawn,
        "r_hat": round(float(table["r_hat"].max()), 4),
        "ess": round(float(table["ess_bulk"].min())),
        "divergences": divergences,
        "cpu": round(timing.seconds, 2),
        "ranks": " ".join(str(rank) for rank in ranks),
    }


def ranks_of(case: Case, drawn: Drawn, fit: bm.Fit, rng: np.random.Generator) -> list[int]:
    """Rank of the truth among thinned draws, of every quantity of the case."""

    def thinned(array: Any) -> Array:
        """From (chain, draw, ...) to (L, ...)."""
        kept = np.asarray(array)[:, THIN - 1 :: THIN]
        return kept.reshape(-1, *kept.shape[2:])[:N_DRAWS]

    effects = fit.cluster_draws["effects"].transpose("chain", "draw", "cluster_id", "effect")
    draws = {row: thinned(fit.draws[row]) for row in case.parameters}
    of_effects = {name: thinned(effects.sel(effect=name)) for name in case.effects}
    of_scores = np.empty((len(draws[case.parameters[0]]), 0))
    if len(drawn.scores):
        of_scores = thinned(fit.scores(return_draws=True).isel(factor=0))
    true = {row: np.array([drawn.values[row]]) for row in case.parameters}
    true_effects = {name: drawn.effects[name][None] for name in case.effects}
    density = case.log_density(draws, of_effects, of_scores, drawn.frame)
    (true_density,) = case.log_density(true, true_effects, drawn.scores[None], drawn.frame)
    pairs = [(drawn.values[row], draws[row]) for row in case.parameters]
    pairs += [(drawn.effects[name][0], of_effects[name][:, 0]) for name in case.effects]
    pairs += [(drawn.scores[0], of_scores[:, 0])] if len(drawn.scores) else []
    pairs += [(true_density, density)]
    return [rank_of(float(truth), values, rng) for truth, values in pairs]


def run(data_sets: int, path: Path = RESULTS) -> None:
    """Add to the results what is missing of the first data sets, all cases in turn."""
    done: set[tuple[str, int]] = set()
    if path.exists():
        results = read(path)
        done = set(zip(results["case"], results["data_set"], strict=True))
    for data_set in range(data_sets):
        for case in CASES:
            if (case.name, data_set) in done:
                continue
            line = replicate(case, data_set)
            pd.DataFrame([line]).to_csv(path, mode="a", header=not path.exists(), index=False)
            print(f"{case.name} {data_set}: {line['cpu']} CPU s, R-hat {line['r_hat']}", flush=True)


def read(path: Path = RESULTS) -> pd.DataFrame:
    """Read the results."""
    return pd.read_csv(path)


# Table and figure -----------------------------------------------------------------------------


def ranks_by_quantity(results: pd.DataFrame, case: Case) -> dict[str, NDArray[np.int64]]:
    """Ranks of all data sets, by quantity."""
    lines = results.loc[results["case"] == case.name, "ranks"]
    ranks = np.array([[int(rank) for rank in line.split()] for line in lines])
    return dict(zip(case.quantities, ranks.T, strict=True))


def p_values(results: pd.DataFrame, case: Case) -> dict[str, float]:
    """P-values of uniformity, not corrected, by quantity."""
    ranks = ranks_by_quantity(results, case)
    return {name: p_value(values, N_DRAWS) for name, values in ranks.items()}


def corrected(p: Mapping[str, float]) -> float:
    """P-value of the case: the smallest one, times their number (Bonferroni)."""
    return min(1.0, len(p) * min(p.values()))


def table(results: pd.DataFrame) -> str:
    """Uniformity and sampling diagnostics of every case."""
    head = ["case", "data sets", "quantities", "smallest p", "of", "corrected", "not uniform"]
    head += ["R-hat > 1.02", "smallest ESS", "divergences"]
    rows = []
    for case in CASES:
        fits = results[results["case"] == case.name]
        p = p_values(results, case)
        worst = min(p, key=lambda name: p[name])
        cells = [str(len(fits)), str(len(p)), _small(p[worst]), f"`{worst}`", _small(corrected(p))]
        cells += [str(sum(value < ALPHA / len(p) for value in p.values()))]
        cells += [str((fits["r_hat"] > 1.02).sum()), str(fits["ess"].min())]
        rows.append([case.name, *cells, str(fits["divergences"].sum())])
    return markdown(head, rows)


def _small(p: float) -> str:
    return "< .0001" if p < 1e-4 else f"{p:.4f}".lstrip("0") if p < 1 else "1"


def figure(results: pd.DataFrame, path: Path) -> None:
    """Draw distribution functions of ranks minus the uniform one, with simultaneous bands."""
    fig = NotebookFigure(figsize=(8.2, 5.8), layout="constrained")
    axes = fig.subplots(2, 2, sharex=True)
    z = np.arange(1, N_DRAWS + 1) / (N_DRAWS + 1)
    for ax, case in zip(axes.flat, CASES, strict=True):
        ranks, p = ranks_by_quantity(results, case), p_values(results, case)
        n = len(next(iter(ranks.values())))
        low, high = limits(n, N_DRAWS, 1 - ALPHA / len(ranks))
        ax.fill_between(z, low / n - z, high / n - z, color="0.9", linewidth=0)
        for name, values in ranks.items():
            outside = p[name] < ALPHA / len(p)
            colour = REFERENCE if outside else ESTIMATE
            ax.plot(z, counts_below(values, N_DRAWS) / n - z, color=colour, lw=0.9, alpha=0.8)
        ax.axhline(0, color=MUTED, lw=0.8)
        ax.set_title(case.name, loc="left", size=10, weight="bold")
        ax.set_title(case.title, loc="right", size=8, color=MUTED)
        ax.set_xlim(0, 1)
        ax.tick_params(labelsize=8)
        ax.spines[["top", "right"]].set_visible(False)
    for ax in axes[1]:
        ax.set_xlabel("rank of the truth, as a share", size=8)
    for ax in axes[:, 0]:
        ax.set_ylabel("share of ranks below, minus uniform", size=8)
    handles = [
        Line2D([], [], color=ESTIMATE, lw=0.9, label="a quantity with uniform ranks"),
        Line2D([], [], color=REFERENCE, lw=0.9, label="one without"),
        Patch(color="0.9", label=f"{1 - ALPHA:.0%} band of all together"),
    ]
    fig.legend(handles=handles, loc="outside lower center", ncols=3, fontsize=8, frameon=False)
    fig.savefig(path, dpi=120)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the study, or only draw its table and figure."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data-sets", type=int, default=100, help="per case")
    parser.add_argument("--tables", action="store_true", help="write table and figure, and stop")
    options = parser.parse_args(arguments)
    if not options.tables:
        run(options.data_sets, RESULTS)
    results = read(RESULTS)
    page = with_marked(PAGE.read_text(encoding="utf-8"), {"calibration": table(results)})
    PAGE.write_text(page, encoding="utf-8")
    figure(results, FIGURE)
    print(table(results))


if __name__ == "__main__":
    main()
