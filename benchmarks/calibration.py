r"""Calibration of seven classes of models: the density by an exact rank test, fits by bm.sbc.

For every class of ``calibration_classes.py`` and every data set, parameters are drawn from the
prior and data from the model at them. Tests:

- exact: ranks of the truth among the states of a chain through it (``exact_ranks.py``). It is about
  the density, its transforms and priors, and nothing has to converge;
- nuts: ranks among thinned draws of complete fits, by the code of ``bm.sbc``.

Both rank every free row, definitions, and the log-likelihood of the data, once with the model that
made the data and once with each planted error, which must be found: a prior a third as wide, a
missing Jacobian, a dropped cell.

    python -m benchmarks.calibration            # what is not in the results yet
    python -m benchmarks.calibration --times 2  # twice as many data sets
    python -m benchmarks.calibration --tables   # page and figures alone

One line per data set goes to ``calibration_class_results.csv``: ranks among 99 in the order of
``quantities``. Every data set has its own seeds, so a run goes on where the last one stopped.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from math import ceil
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import NDArray

import bayes_msem as bm
from bayes_msem.data.observed_data import ObservedData
from bayes_msem.plotting.canvas import ESTIMATE, MUTED, REFERENCE, NotebookFigure
from bayes_msem.plotting.rank_curves import draw_ranks
from bayes_msem.posterior.rank_uniformity import holm, p_value
from bayes_msem.studies.sbc import named_quantities
from bayes_msem.studies.sbc_replication import LOG_LIKELIHOOD, N_DRAWS, Calibration, draw_data
from benchmarks.calibration_classes import CLASSES, ModelClass
from benchmarks.exact_ranks import exact_ranks
from benchmarks.marked_tables import markdown, with_marked
from benchmarks.measure import cpu_time

HERE = Path(__file__).parent
RESULTS = HERE / "calibration_class_results.csv"
PAGE = HERE.parent / "docs" / "calibration.md"
FIGURES = HERE.parent / "docs" / "images"
BUDGET = {"draws": 400, "tune": 300, "chains": 2}
# test -> error ("": none) -> data sets per class
COUNTS = {
    "exact": {"": 200, "prior": 100, "jacobian": 100, "cell": 50},
    "nuts": {"": 100, "prior": 30, "cell": 30},
}
TESTS = tuple(COUNTS)
ALPHA = 0.01
SEED = 2026

Ranks = NDArray[np.int64]


@cache
def prepared(name: str, error: str) -> bm.Model:
    """Return the model of a class, built once."""
    return next(c for c in CLASSES if c.name == name).model(error)


def quantities(model_class: ModelClass) -> list[str]:
    """Names of what is ranked, in the order of the results."""
    return [*named_quantities(prepared(model_class.name, "")), LOG_LIKELIHOOD]


# The study ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Planted(Calibration):
    """The calibration of ``bm.sbc``, with an error planted in what is fitted."""

    model_class: ModelClass
    error: str

    def fitted(self, observed: ObservedData) -> bm.Model:
        """Return the model with its error."""
        wrong = prepared(self.model_class.name, self.error)
        return wrong.on(self.model_class.data(observed, self.error))


def exact(model_class: ModelClass, error: str, data_set: int) -> dict[str, object]:
    """Exact ranks of one data set: a line of the results."""
    right = prepared(model_class.name, "")
    seeds = np.random.SeedSequence([SEED, data_set, CLASSES.index(model_class)]).spawn(2)
    drawn = draw_data(right.unpiloted_blueprint(), np.random.default_rng(seeds[0]))
    made = right.on(drawn.observed).blueprint
    tested = made
    if error:
        wrong = prepared(model_class.name, error)
        tested = wrong.on(model_class.data(drawn.observed, error)).blueprint
    rows = named_quantities(right)
    try:
        ranks = exact_ranks(made, tested, rows, drawn, np.random.default_rng(seeds[1]))
    except (np.linalg.LinAlgError, ValueError) as failure:
        return {"failure": f"{type(failure).__name__}: {failure}", "ranks": ""}
    return {"ranks": " ".join(str(rank) for rank in ranks.values())}


def nuts(model_class: ModelClass, error: str, data_set: int) -> dict[str, object]:
    """Ranks of one data set by a complete fit: a line of the results."""
    right = prepared(model_class.name, "")
    settings = {**BUDGET, "cores": 1}
    rows, seed = named_quantities(right), SEED + CLASSES.index(model_class)
    lines = Planted(right, rows, True, settings, seed, model_class, error)(data_set)
    first = lines[0]
    return {
        "r_hat": first["max_r_hat"],
        "divergences": first["divergences"],
        "draws": min(line["draws"] for line in lines),
        "failure": first["failure"],
        "ranks": "" if first["failure"] else " ".join(f"{line['rank']:.0f}" for line in lines),
    }


_KEY = ("test", "class", "error", "data_set")
COLUMNS = (*_KEY, "cpu", "r_hat", "divergences", "draws", "failure", "ranks")


def run(times: float = 1.0, path: Path = RESULTS) -> None:
    """Add to the results what is missing of the first data sets.

    All classes and errors take turns, so that an interrupted run has something of all.

    Parameters
    ----------
    times
        How many times ``COUNTS``, rounded up.
    path
        The results.
    """
    done = set()
    if path.exists():
        kept = read(path)
        done = set(zip(kept["test"], kept["class"], kept["error"], kept["data_set"], strict=True))
    for test, one in zip(TESTS, (exact, nuts), strict=True):
        wanted = {error: ceil(times * count) for error, count in COUNTS[test].items()}
        for data_set in range(max(wanted.values())):
            for model_class in CLASSES:
                for error in (e for e, count in wanted.items() if data_set < count):
                    key = (test, model_class.name, error, data_set)
                    if key in done:
                        continue
                    with warnings.catch_warnings(), cpu_time() as timing:
                        warnings.simplefilter("ignore", bm.MsemWarning)
                        found = one(model_class, error, data_set)
                    line = dict(zip(_KEY, key, strict=True)) | found
                    line["cpu"] = round(timing.seconds, 3)
                    frame = pd.DataFrame([line], columns=list(COLUMNS))
                    frame.to_csv(path, mode="a", header=not path.exists(), index=False)
            print(f"{test}, data set {data_set}: done", flush=True)


def read(path: Path = RESULTS) -> pd.DataFrame:
    """Read the results."""
    results = pd.read_csv(path, dtype={"failure": str, "error": str, "ranks": str})
    return results.fillna({"error": "", "failure": "", "ranks": ""})


# Tables and figures ---------------------------------------------------------------------------


def part(results: pd.DataFrame, test: str, name: str, error: str) -> pd.DataFrame:
    """Lines of one test, class and error."""
    chosen = (results["test"] == test) & (results["class"] == name) & (results["error"] == error)
    return results[chosen]


def ranks_of(lines: pd.DataFrame, names: Sequence[str]) -> dict[str, Ranks]:
    """Ranks by quantity, of data sets that did not fail."""
    texts = [line for line in lines["ranks"] if line]
    ranks = np.array([line.split() for line in texts], dtype=np.int64)
    return dict(zip(names, ranks.reshape(len(texts), len(names)).T, strict=True))


def p_values(ranks: Mapping[str, Ranks]) -> dict[str, float]:
    """P-values of uniformity by quantity, corrected for their number (Holm)."""
    return dict(zip(ranks, holm([p_value(v, N_DRAWS) for v in ranks.values()]), strict=True))


def table(results: pd.DataFrame, test: str) -> str:
    """Smallest p-values of a test: the right model, and the planted errors."""
    errors = [error for error in COUNTS[test] if error]
    head = ["class", "quantities", "data sets", "smallest p", "of"]
    head += [word for error in errors for word in (error, "data sets")]
    rows = []
    for c in CLASSES:
        names = quantities(c)
        cells = [c.name, str(len(names))]
        for error in ("", *errors):
            lines = part(results, test, c.name, error)
            p = p_values(ranks_of(lines, names))
            first = min(p, key=lambda name: p[name])
            if error:
                cells += [f"{small(p[first])} (`{first}`)", str(len(lines))]
            else:
                cells += [str(len(lines)), small(p[first]), f"`{first}`" if p[first] < 1 else ""]
        rows.append(cells)
    return markdown(head, rows)


def fits_table(results: pd.DataFrame) -> str:
    """How the complete fits of right models went, and what they took."""
    head = ["class", "fits", "failed", "with divergences", "R-hat > 1.02", "fewest draws"]
    head += ["CPU s, mean", "CPU s, exact test"]
    rows = []
    for c in CLASSES:
        fits, fast = part(results, "nuts", c.name, ""), part(results, "exact", c.name, "")
        good = fits[fits["failure"] == ""]
        cells = [c.name, str(len(fits)), str(len(fits) - len(good))]
        cells += [str((good["divergences"] > 0).sum()), str((good["r_hat"] > 1.02).sum())]
        cells += [f"{good['draws'].min():.0f}", f"{fits['cpu'].mean():.2f}"]
        rows.append([*cells, f"{fast['cpu'].mean():.2f}"])
    return markdown(head, rows)


def found_table(results: pd.DataFrame, sizes: Sequence[int] = (10, 20, 30, 50)) -> str:
    """How often a planted error is found with fewer data sets: parts of the results."""
    head = ["test", "error", *(f"{n} data sets" for n in sizes)]
    rows = []
    for test in TESTS:
        for error in COUNTS[test]:
            if not error:
                continue
            cells = [test, error]
            for n in sizes:
                hits, tries = 0, 0
                for c in CLASSES:
                    ranks = ranks_of(part(results, test, c.name, error), quantities(c))
                    total = len(next(iter(ranks.values())))
                    for start in range(0, total - n + 1, n):
                        some = {name: v[start : start + n] for name, v in ranks.items()}
                        hits += min(p_values(some).values()) < ALPHA
                        tries += 1
                cells.append(f"{hits} of {tries}")
            rows.append(cells)
    return markdown(head, rows)


def small(p: float) -> str:
    """Write a p-value."""
    return "< .0001" if p < 1e-4 else f"{p:.4f}".lstrip("0") if p < 1 else "1"


def figure(results: pd.DataFrame, test: str, path: Path) -> None:
    """Draw distribution functions of ranks with bands: a row per class, a column per error."""
    columns = tuple(COUNTS[test])
    fig = NotebookFigure(figsize=(2.3 * len(columns), 11.5), layout="constrained")
    axes = fig.subplots(len(CLASSES), len(columns), sharex=True)
    for line, c in zip(axes, CLASSES, strict=True):
        for ax, error in zip(line, columns, strict=True):
            ranks = ranks_of(part(results, test, c.name, error), quantities(c))
            draw_ranks(ax, ranks, N_DRAWS, 1 - ALPHA / len(ranks))
            ax.set_title(error or c.name, loc="left", size=8, weight=None if error else "bold")
    for ax in axes[-1]:
        ax.set_xlabel("rank of the truth, as a share", size=8)
    fig.supylabel("share of ranks below, minus uniform", size=8, color=MUTED)
    handles = [
        Line2D([], [], color=ESTIMATE, lw=1.0, label="a quantity with uniform ranks"),
        Line2D([], [], color=REFERENCE, lw=1.0, label="one without"),
        Patch(color="0.9", label=f"{1 - ALPHA:.0%} band of all in a panel"),
    ]
    fig.legend(handles=handles, loc="outside lower center", ncols=3, fontsize=8, frameon=False)
    fig.savefig(path, dpi=100)


def write(results: pd.DataFrame) -> None:
    """Write tables and figures."""
    texts = {test: table(results, test) for test in TESTS}
    texts |= {"fits": fits_table(results), "found": found_table(results)}
    PAGE.write_text(with_marked(PAGE.read_text(encoding="utf-8"), texts), encoding="utf-8")
    for test in TESTS:
        figure(results, test, FIGURES / f"calibration_{test}.png")
        print(f"{test}\n{texts[test]}\n")
    print(f"{texts['fits']}\n\n{texts['found']}\n\n{results['cpu'].sum() / 60:.1f} CPU minutes")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what is missing, and write page and figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--times", type=float, default=1.0, help="of the usual data sets")
    parser.add_argument("--tables", action="store_true", help="write tables and figures, and stop")
    options = parser.parse_args(arguments)
    if not options.tables:
        run(options.times, RESULTS)
    write(read(RESULTS))


if __name__ == "__main__":
    main()
