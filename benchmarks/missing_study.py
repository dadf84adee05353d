"""Missing values: full information against listwise deletion, by simulation.

Two-level one-factor data, 60 clusters of 10 rows, 4 indicators. y1 is complete; y2, y3 and y4 are
each missing in about a quarter of the rows, independently of each other:

- MCAR: every value with the same probability;
- MAR: the higher y1, the more probably, a logistic curve in the observed y1.

Every data set is fitted by maximum likelihood, ``model.mode(prior=False)``: complete (before values
are removed), with missing values (full information) and without incomplete rows (listwise).
Intervals are estimate -+ 1.96 standard errors. With ``--nuts``, some of the data sets missing at
random are sampled too.

    python benchmarks/missing_study.py                       # the study, 200 data sets
    python benchmarks/missing_study.py --replications 4 --out /tmp

Writes the tables ``missing_study.md``, the figure ``missing_study.png`` and all estimates,
``missing_study.csv``, into ``--out``.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

import bayes_msem as bm

Key = tuple[str, str, str, str]
Array = NDArray[np.float64]

INDICATORS = ("y1", "y2", "y3", "y4")
MODEL = """
level: within
    fw =~ y1 + y2 + y3 + y4
level: between
    fb =~ y1 + y2 + y3 + y4
"""
CLUSTERS, SIZE = 60, 10
SHARE = 0.25  # of y2, y3 and y4 missing, on average
SLOPE = 1.5  # of the logit of missingness on y1 (MAR)
QUANTILE = 1.959964  # of the normal, for 95 % intervals
METHODS = ("complete", "full information", "listwise")

_LOADINGS_W, _LOADINGS_B = (1.0, 0.8, 0.9, 1.1), (1.0, 0.9, 1.1, 0.8)
TRUTH: dict[Key, float] = {
    **{("within", "fw", "=~", y): v for y, v in zip(INDICATORS, _LOADINGS_W, strict=True)},
    **{("within", y, "~~", y): 0.5 for y in INDICATORS},
    ("within", "fw", "~~", "fw"): 1.0,
    **{("between", "fb", "=~", y): v for y, v in zip(INDICATORS, _LOADINGS_B, strict=True)},
    **{("between", y, "~~", y): 0.15 for y in INDICATORS},
    ("between", "fb", "~~", "fb"): 0.5,
    **{("between", y, "~", "1"): 0.0 for y in INDICATORS},
}


def complete_frame(rng: np.random.Generator) -> pd.DataFrame:
    """Simulate a data set from TRUTH, without missing values."""
    cluster = np.repeat(np.arange(CLUSTERS), SIZE)
    f_w = rng.standard_normal(len(cluster)) * TRUTH["within", "fw", "~~", "fw"] ** 0.5
    f_b = rng.standard_normal(CLUSTERS) * TRUTH["between", "fb", "~~", "fb"] ** 0.5
    columns: dict[str, object] = {"cluster": cluster}
    for y in INDICATORS:
        noise_w = rng.standard_normal(len(cluster)) * TRUTH["within", y, "~~", y] ** 0.5
        noise_b = rng.standard_normal(CLUSTERS) * TRUTH["between", y, "~~", y] ** 0.5
        between = TRUTH["between", "fb", "=~", y] * f_b + noise_b
        columns[y] = TRUTH["within", "fw", "=~", y] * f_w + noise_w + between[cluster]
    return pd.DataFrame(columns)


def remove(frame: pd.DataFrame, mechanism: str, rng: np.random.Generator) -> pd.DataFrame:
    """Set about a quarter of y2, y3 and y4 to NaN."""
    if mechanism == "MCAR":
        probability = np.full(len(frame), SHARE)
    else:  # the intercept is that which gives SHARE on average over N(0, 1.47 ** 2)
        probability = 1 / (1 + np.exp(2.0 - SLOPE * frame["y1"].to_numpy()))
    holes = frame.copy()
    for y in INDICATORS[1:]:
        holes.loc[rng.random(len(frame)) < probability, y] = np.nan
    return holes


def variants(seed: int) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """Yield mechanism, method and data of one replication."""
    rng = np.random.default_rng([20251125, seed])
    complete = complete_frame(rng)
    yield "", "complete", complete
    for mechanism in ("MCAR", "MAR"):
        holes = remove(complete, mechanism, rng)
        yield mechanism, "full information", holes
        yield mechanism, "listwise", holes.dropna()


def replication(seed: int) -> list[dict[str, object]]:
    """Fit all variants of one data set; one line per free parameter."""
    lines: list[dict[str, object]] = []
    for mechanism, method, frame in variants(seed):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", bm.MsemWarning)  # negative variances may happen
            mode = bm.Model(MODEL, data=frame, cluster="cluster").mode(prior=False)
        for key, error in mode.standard_errors.items():
            lines.append(
                dict(zip(("level", "lhs", "op", "rhs"), key, strict=True))
                | {"mechanism": mechanism, "method": method, "seed": seed}
                | {"rows": len(frame), "converged": mode.converged}
                | {"truth": TRUTH[key], "estimate": mode[key], "se": error}
            )
    return lines


def run_study(replications: int, workers: int) -> pd.DataFrame:
    """Run all replications."""
    with ProcessPoolExecutor(workers) as pool:
        lines = [line for part in pool.map(replication, range(replications)) for line in part]
    return pd.DataFrame(lines)


# Tables and figure ------------------------------------------------------------------------------


def with_both(results: pd.DataFrame) -> pd.DataFrame:
    """Repeat the fits of complete data under both mechanisms; add kind, error and coverage."""
    complete = results[results["mechanism"] == ""]
    parts = [complete.assign(mechanism=m) for m in ("MCAR", "MAR")]
    both = pd.concat([results[results["mechanism"] != ""], *parts], ignore_index=True)
    both = both[both["converged"]]
    error = both["estimate"] - both["truth"]
    return both.assign(
        kind=[kind_of(*row) for row in both[["level", "lhs", "op", "rhs"]].to_numpy()],
        name=both["lhs"].where(both["op"] != "=~", both["rhs"]),
        error=error,
        covered=error.abs() < QUANTILE * both["se"],
    )


def kind_of(level: str, lhs: str, op: str, rhs: str) -> str:
    """Return the heading under which a parameter is reported."""
    if rhs == "1":
        return "intercepts of y1" if lhs == "y1" else "intercepts of y2, y3, y4"
    what = (
        "loadings" if op == "=~" else "factor variance" if lhs[0] == "f" else "residual variances"
    )
    return f"{level}: {what}"


def summarise(both: pd.DataFrame) -> pd.DataFrame:
    """Bias in standard errors and coverage, by mechanism, kind and method.

    Bias is that of the mean estimate, in units of the average standard error of complete data, so
    that it means the same for all methods; for several parameters, their average. The Monte Carlo
    error of coverage is that of means over data sets, because intervals of one fit go together.
    """
    by = ["mechanism", "kind", "method"]
    base = both[both["method"] == "complete"].groupby(["mechanism", "kind", "level", "name"])["se"]
    unit = base.mean().rename("unit").reset_index()
    scaled = both.merge(unit, on=["mechanism", "kind", "level", "name"])
    scaled["bias"] = scaled["error"] / scaled["unit"]
    per_set = scaled.groupby([*by, "seed"])[["bias", "covered"]].mean().groupby(by)
    mean, error = per_set.mean(), per_set.std() / np.sqrt(per_set.count())
    relative = both.assign(r=both["error"] / both["truth"]).groupby(by)["r"].mean()
    return mean.join(error.add_suffix("_error")).assign(percent=100 * relative)


KINDS = (
    "intercepts of y1", "intercepts of y2, y3, y4",
    "within: loadings", "within: factor variance", "within: residual variances",
    "between: loadings", "between: factor variance", "between: residual variances",
)  # fmt: skip


def table(summary: pd.DataFrame, mechanism: str) -> str:
    """Return the table of one mechanism as Markdown."""
    lines = [
        "| parameters | " + " | ".join(f"{m}: bias | coverage" for m in METHODS) + " |",
        "| --- |" + " ---: |" * (2 * len(METHODS)),
    ]
    for kind in KINDS:
        cells = [kind]
        for method in METHODS:
            row = summary.loc[(mechanism, kind, method)]
            cells.append(f"{row['bias']:+.2f} ± {row['bias_error']:.2f}")
            cells.append(f"{100 * row['covered']:.1f} ± {100 * row['covered_error']:.1f}")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def report(results: pd.DataFrame) -> str:
    """Return all tables of the study."""
    summary = summarise(with_both(results))
    sets = results["seed"].nunique()
    rows = results.drop_duplicates(["seed", "mechanism", "method"])
    kept = rows[rows["method"] == "listwise"].groupby("mechanism")["rows"].mean()
    parts = []
    for mechanism in ("MCAR", "MAR"):
        share = 100 * kept[mechanism] / (CLUSTERS * SIZE)
        parts.append(
            f"**{mechanism}**, {sets} data sets; {share:.0f} % of the rows are complete:\n\n"
            + table(summary, mechanism)
        )
    fits, good = 5 * sets, int(rows["converged"].astype(bool).sum())
    parts.append(
        f"{fits - good} of {fits} fits did not converge or have no standard errors (the "
        "information matrix is not positive definite); they are left out."
    )
    return "\n\n".join(parts) + "\n"


COLOURS = {"complete": "#777777", "full information": "#1f77b4", "listwise": "#d62728"}


def draw(results: pd.DataFrame, path: Path) -> None:
    """Bias (left) and coverage (right) of every parameter, one row of panels a mechanism."""
    from matplotlib.figure import Figure

    summary = summarise(with_both(results))
    figure = Figure(figsize=(9, 6.5), layout="constrained")
    axes = figure.subplots(2, 2, sharey=True, sharex="col")
    for line, mechanism in zip(axes, ("MCAR", "MAR"), strict=True):
        for shift, method in zip((-0.22, 0, 0.22), METHODS, strict=True):
            rows = summary.loc[[(mechanism, kind, method) for kind in KINDS]]
            y = np.arange(len(KINDS)) + shift
            style = {"fmt": "o", "ms": 4.5, "color": COLOURS[method], "label": method}
            line[0].errorbar(rows["bias"], y, xerr=1.96 * rows["bias_error"], **style)
            line[1].errorbar(100 * rows["covered"], y, xerr=196 * rows["covered_error"], **style)
        line[0].axvline(0, color="black", lw=0.8, zorder=0)
        line[1].axvline(95, color="black", lw=0.8, zorder=0)
        line[0].set_yticks(range(len(KINDS)), KINDS)
        line[0].set_ylabel(mechanism, fontweight="bold")
    axes[0, 0].invert_yaxis()
    axes[1, 0].set_xlabel("bias, in standard errors of complete data")
    axes[1, 1].set_xlabel("coverage of 95 % intervals, per cent")
    axes[0, 1].legend(loc="lower left", frameon=False)
    figure.savefig(path, dpi=120)


# NUTS on a few data sets --------------------------------------------------------------------------


def sampled(seeds: Sequence[int], results: pd.DataFrame) -> str:
    """Compare posteriors with maximum likelihood on data sets missing at random."""
    lines = [
        "| data set | largest distance of posterior mean and estimate, in SE | posterior SD / SE | "
        "true values inside 95% intervals | largest R-hat |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for seed in seeds:
        frame = next(f for m, method, f in variants(seed) if (m, method) == ("MAR", METHODS[1]))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", bm.MsemWarning)
            warnings.simplefilter("error", bm.InterruptedWarning)
            fit = bm.Model(MODEL, data=frame, cluster="cluster", priors="wide").fit(
                random_seed=seed, progress=False
            )
        columns = ["level", "lhs", "op", "rhs"]
        posterior = fit.summary().set_index(columns)
        chosen = results.query("seed == @seed and mechanism == 'MAR'")
        ml = chosen[chosen["method"] == METHODS[1]].set_index(columns)
        posterior = posterior.loc[ml.index]
        distance = ((posterior["mean"] - ml["estimate"]) / ml["se"]).abs().max()
        ratio = posterior["sd"] / ml["se"]
        inside = (posterior["lower"] < ml["truth"]) & (ml["truth"] < posterior["upper"])
        lines.append(
            f"| {seed} | {distance:.2f} | {ratio.min():.2f} to {ratio.max():.2f} | "
            f"{inside.sum()} of {len(inside)} | {posterior['r_hat'].max():.3f} |"
        )
    return "\n".join(lines) + "\n"


def main(arguments: Mapping[str, object] | Sequence[str] | None = None) -> None:
    """Run the study."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--replications", type=int, default=200)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--nuts", type=int, default=0, help="data sets to sample")
    parser.add_argument("--out", type=Path, default=Path("out"))
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    start = time.perf_counter()
    results = run_study(options.replications, options.workers)
    results.to_csv(options.out / "missing_study.csv", index=False, float_format="%.6g")
    text = report(results)
    draw(results, options.out / "missing_study.png")
    print(f"{text}\n{time.perf_counter() - start:.0f} s", flush=True)
    if options.nuts:
        text += "\n" + sampled(range(options.nuts), results)
    (options.out / "missing_study.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
