"""Measures, tables and the figure of the study of default priors, from the sums over data sets.

All are per cell first (:func:`measures`). A table that speaks of several cells gives the geometric
mean of ratios to the wide priors, and the mean of coverages, over cells and quantities.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from marked_tables import markdown, with_marked
from models import quiet_model
from numpy.typing import NDArray
from prior_candidates import Candidate, Setting, candidates_of
from prior_cells import Cell
from prior_designs import DESIGNS
from prior_reweighting import prior_draws

Array = NDArray[np.float64]

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "prior_study.md"
FIGURE = ROOT / "docs" / "images" / "prior_study.png"
CELL = ["design", "clusters", "size", "icc"]
WIDE, RECOMMENDED = "2.5 | half-normal", "1 t split | gamma half x"

# Headings of tables: designs and quantities
SLOPES = ("slope y~x", "slope m~x", "slope m~w", "slope y~m", "slope y~w")
GROUPS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "slope": (("contextual", "mediation"), SLOPES),
    "strong slope": (("strong",), ("slope y~x",)),
    "indirect": (("mediation",), ("indirect x>m>y",)),
    "ICC x": (("contextual", "strong", "mediation"), ("ICC x",)),
    "ICC y": (("contextual", "strong", "mediation"), ("ICC y",)),
    "variances": (
        ("contextual", "strong", "mediation"),
        ("variance x", "variance m", "variance y"),
    ),
    "R2": (("contextual", "strong", "mediation"), ("R2 y", "R2 m")),
}
FACTOR = {
    "loadings": (("factor",), ("loading y2", "loading y3", "loading y4")),
    "factor variance": (("factor",), ("variance fb",)),
    "residual variance": (("factor",), ("variance y2",)),
    "ICC": (("factor",), ("ICC y1",)),
}
EFFECTS = {
    "slope on s": (("slopes",), ("slope s~w",)),
    "slope on y": (("slopes",), ("slope y~w",)),
    "variance of s": (("slopes",), ("variance s",)),
    "variance of y": (("slopes",), ("variance y",)),
    "R2 of s": (("slopes",), ("R2 s",)),
}
MSALT = {
    "ICC gse": (("msalt",), ("ICC gse",)),
    "talent ~ gse": (("msalt",), ("slope talent~gse",)),
    "indirect": (("msalt",), ("indirect gse>talent>performance",)),
}


def measures(results: pd.DataFrame) -> pd.DataFrame:
    """Bias, RMSE, coverage and width by cell, candidate and quantity, with Monte Carlo errors.

    Columns: bias, rmse, coverage, coverage_error, width (geometric mean), ratio (of RMSE to that of
    the wide priors in the same data sets) and ratio_error (of its logarithm), width_ratio, loss
    (the wide priors' coverage less this one's) and loss_error, within_2.
    """
    d = results[results["sets"] > 1].copy()
    n = d["sets"]
    d["bias"], d["rmse"] = d["e"] / n, np.sqrt(d["e2"] / n)
    d["coverage"] = d["c"] / n
    d["coverage_error"] = np.sqrt(d["coverage"] * (1 - d["coverage"]) / n)
    d["width"] = np.exp(d["log_width"] / n)
    u, v = d["e2"] / n, d["t2"] / n
    variance = (d["e4"] / n) / u**2 + (d["t4"] / n) / v**2 - 2 * (d["e2_t2"] / n) / (u * v)
    d["ratio"], d["ratio_error"] = np.sqrt(u / v), np.sqrt(np.maximum(variance, 0) / n) / 2
    d["loss"] = (d["tc"] - d["c"]) / n
    spread = (d["c"] + d["tc"] - 2 * d["c_tc"]) / n - d["loss"] ** 2
    d["loss_error"] = np.sqrt(np.maximum(spread, 0) / n)
    d["within_2"] = d["within_2"] / n
    wide = d[d["candidate"] == WIDE].set_index([*CELL, "estimand"])["width"].rename("wide")
    d = d.join(wide, on=[*CELL, "estimand"])
    d["width_ratio"] = d["width"] / d["wide"]
    d["median_ratio"] = d["bias"] / d["truth"] + 1
    return d


def chosen(d: pd.DataFrame, group: tuple[Sequence[str], Sequence[str]]) -> pd.DataFrame:
    """Rows of some designs and quantities."""
    return d[d["design"].isin(group[0]) & d["estimand"].isin(group[1])]


def summary(d: pd.DataFrame) -> pd.DataFrame:
    """Averages over cells by candidate, in the order of the study.

    ``mc`` is the Monte Carlo error of the coverage, cells being independent.
    """
    by = d.groupby("candidate", sort=False)

    def geometric(name: str) -> pd.Series:
        return by[name].apply(lambda s: float(np.exp(np.log(s).mean())))

    table = pd.DataFrame({"ratio": geometric("ratio"), "width": geometric("width_ratio")})
    table["coverage"] = by["coverage"].mean()
    # quantities of one cell go together: their errors are not averaged out
    per_cell = d.groupby(["candidate", *CELL], sort=False)["coverage_error"].mean()
    grouped = (per_cell**2).groupby("candidate")
    table["mc"] = np.sqrt(grouped.sum()) / grouped.count()
    table["lowest"] = by["coverage"].min()
    table["worse"] = by.apply(
        lambda g: int(((g["loss"] > 0.02) & (g["loss"] > 3 * g["loss_error"])).sum()),
        include_groups=False,
    )
    table["median_ratio"] = by["median_ratio"].median()
    return table


def table_of(
    d: pd.DataFrame,
    groups: dict[str, tuple[Sequence[str], Sequence[str]]],
    names: Sequence[str] = (),
) -> str:
    """RMSE ratio, coverage and width ratio by candidate (lines; some or all) and group."""
    parts = {name: summary(chosen(d, group)) for name, group in groups.items()}
    rows = []
    for name in names or next(iter(parts.values())).index:
        cells = [name]
        for part in parts.values():
            if name not in part.index:  # no data set counts
                cells.append("")
                continue
            line = part.loc[name]
            cells.append(
                f"{line['ratio']:.2f} / {100 * line['coverage']:.1f} / {line['width']:.2f}"
            )
        rows.append(cells)
    return markdown(["candidate", *groups], rows)


def by_condition(
    d: pd.DataFrame, group: tuple[Sequence[str], Sequence[str]], names: Sequence[str]
) -> str:
    """RMSE ratio, coverage by clusters and ICC for some candidates."""
    rows = []
    part = chosen(d, group)
    for (clusters, icc), cell in part.groupby(["clusters", "icc"]):
        line = summary(cell).reindex(list(names))
        rows.append(
            [f"{clusters}, {icc:g}"]
            + [
                f"{r.ratio:.2f} / {100 * r.coverage:.0f} / {r.median_ratio:.2f}"
                for r in line.itertuples()
            ]
        )
    return markdown(["J, ICC", *names], rows)


def worse_cells(d: pd.DataFrame, name: str) -> pd.DataFrame:
    """Cells and quantities where a candidate covers clearly less often than the wide priors.

    Clearly: by three Monte Carlo errors of the paired difference, and by more than .02.
    """
    part = d[(d["candidate"] == name) & (d["loss"] > 0.02) & (d["loss"] > 3 * d["loss_error"])]
    columns = [*CELL, "estimand", "coverage", "loss", "loss_error", "sets"]
    return part[columns].sort_values("loss", ascending=False)


def worse_table(d: pd.DataFrame, names: Sequence[str]) -> str:
    """Count cells where candidates cover clearly less or more often than the wide priors."""
    rows = []
    for name in names:
        part = d[d["candidate"] == name]
        line = [name]
        for design in ("contextual", "strong", "mediation"):
            own = part[part["design"] == design]
            clear = own["loss"].abs() > np.maximum(0.02, 3 * own["loss_error"])
            fewer, more = (clear & (own["loss"] > 0)).sum(), (clear & (own["loss"] < 0)).sum()
            line.append(f"{fewer} / {more} of {len(own)}")
        rows.append(line)
    return markdown(["candidate", "contextual", "strong", "mediation"], rows)


def msalt_table(d: pd.DataFrame) -> str:
    """Show the criterion on the MSALT example."""
    part = d[d["design"] == "msalt"].set_index(["estimand", "candidate"])
    rows = []
    for name in part.loc["ICC gse"].index:
        icc = part.loc[("ICC gse", name)]
        slope = part.loc[("slope talent~gse", name)]
        indirect = part.loc[("indirect gse>talent>performance", name)]
        rows.append(
            [
                name,
                f"{100 * icc['coverage']:.0f} ± {100 * icc['coverage_error']:.0f}",
                f"{100 * icc['within_2']:.0f}",
                f"{slope['ratio']:.2f}",
                f"{100 * slope['coverage']:.0f}",
                f"{indirect['ratio']:.2f}",
                f"{100 * indirect['coverage']:.0f}",
            ]
        )
    head = ["candidate", "ICC covered", "within factor 2", "RMSE slope", "covered"]
    return markdown([*head, "RMSE indirect", "covered"], rows)


def trade_table(d: pd.DataFrame, names: Sequence[str]) -> str:
    """Cells that a candidate covers clearly less often, beside what it gains on MSALT."""
    factorial = d[d["design"].isin(("contextual", "strong", "mediation"))]
    msalt = d[d["design"] == "msalt"].set_index(["estimand", "candidate"])
    low = _strong(d, 0.02, 5).set_index("candidate")
    rows = []
    for name in names:
        own = factorial[factorial["candidate"] == name]
        icc, slope = msalt.loc[("ICC gse", name)], msalt.loc[("slope talent~gse", name)]
        rows.append(
            [
                name,
                f"{len(worse_cells(factorial, name))} of {len(own)}",
                f"{100 * low['coverage'].get(name, np.nan):.0f}",
                f"{100 * icc['coverage']:.0f} / {100 * icc['within_2']:.0f}",
                f"{slope['ratio']:.2f}",
            ]
        )
    head = ["candidate", "worse", "strong, ICC .02, n = 5", "MSALT: ICC covered / within 2"]
    return markdown([*head, "MSALT: RMSE slope"], rows)


def _strong(d: pd.DataFrame, icc: float, size: int) -> pd.DataFrame:
    """Coverage of the strong slope by candidate, over numbers of clusters."""
    part = chosen(d, GROUPS["strong slope"])
    part = part[(part["icc"] == icc) & (part["size"] == size)]
    return part.groupby("candidate", as_index=False)["coverage"].mean()


def short_table(d: pd.DataFrame) -> str:
    """Show what the recommended priors gain and cost."""
    rows = []

    def add(what: str, cells: pd.DataFrame, form: str) -> None:
        if cells.empty:
            return
        line = summary(cells)
        values = []
        for name in (WIDE, RECOMMENDED):
            r = line.loc[name]
            parts = {"r": f"{r['ratio']:.2f}", "w": f"{r['width']:.2f}"}
            parts["c"] = f"{100 * r['coverage']:.1f} ± {100 * r['mc']:.1f}"
            values.append(" / ".join(parts[k] for k in form))
        rows.append([what, *values])

    for name in ("slope", "indirect", "ICC x", "ICC y", "variances"):
        add(f"{name}: RMSE / coverage / width", chosen(d, GROUPS[name]), "rcw")
    strong = chosen(d, GROUPS["strong slope"])
    add("strong slope: RMSE / coverage / width", strong, "rcw")
    for size in (5, 20):
        for icc in (0.02, 0.05, 0.2):
            cells = strong[(strong["size"] == size) & (strong["icc"] == icc)]
            add(f"strong slope, clusters of {size}, ICC {icc:g}: coverage", cells, "c")
    add("ICC x, J = 5: coverage", chosen(d[d["clusters"] == 5], GROUPS["ICC x"]), "c")
    part = d[d["design"] == "msalt"].set_index(["estimand", "candidate"])
    for estimand, what in (("ICC gse", "ICC(gse)"), ("slope talent~gse", "`talent ~ gse`")):
        wide, ours = (part.loc[(estimand, name)] for name in (WIDE, RECOMMENDED))
        for label, text in (
            ("RMSE", lambda r: f"{r['ratio']:.2f}"),
            (
                "coverage",
                lambda r: f"{100 * r['coverage']:.1f} ± {100 * r['coverage_error']:.1f}",
            ),
            ("median within a factor of 2", lambda r: f"{100 * r['within_2']:.0f}"),
        ):
            rows.append([f"MSALT, {what}: {label}", text(wide), text(ours)])
    return markdown(["", "wide", "recommended"], rows)


# What the priors say ------------------------------------------------------------------------------


def prior_table(candidates: Sequence[Candidate], sets: int = 3, draws: int = 4000) -> str:
    """Median and quartiles of R2 and ICC under the priors alone, one to three predictors.

    Scales come from data sets of 20 clusters of 20; draws are pooled over data sets.
    """
    wanted = [
        ("contextual", "R2 y", 0.2),
        ("mediation", "R2 m", 0.2),
        ("mediation", "R2 y", 0.2),
        ("contextual", "ICC x", 0.05),
        ("contextual", "ICC x", 0.2),
    ]
    settings = {
        (design, icc): [_setting(Cell(design, 20, 20, icc), seed) for seed in range(sets)]
        for design, _, icc in wanted
    }
    rows = []
    for candidate in candidates:
        line = [candidate.name]
        for design, quantity, icc in wanted:
            parts = []
            for seed, setting in enumerate(settings[design, icc]):
                x = prior_draws(setting, candidate, draws, np.random.default_rng(seed))
                parts.append(DESIGNS[design].estimands(setting.values(x))[quantity])
            low, middle, high = np.quantile(np.concatenate(parts), [0.25, 0.5, 0.75])
            line.append(f"{middle:.2f} ({low:.2f}, {high:.2f})")
        rows.append(line)
    head = ["R², one predictor", "R², two", "R², three", "ICC, truth .05", "ICC, truth .2"]
    return markdown(["candidate", *head], rows)


def _setting(cell: Cell, seed: int) -> Setting:
    design = DESIGNS[cell.design]
    return Setting(quiet_model(design.text, design.frame(cell, seed), "cluster", "wide"))


# Page and figure ----------------------------------------------------------------------------------

SHOWN = {
    WIDE: ("#d62728", "2.5, half-normal (wide)"),
    "1 | half-normal": ("#ff9f1c", "1, half-normal"),
    "1 t split | half-normal": ("#9467bd", "1 t split, half-normal"),
    "1 t split | gamma half x": ("#1f77b4", "1 t split, gamma half x"),
    "1 | lognormal": ("#7f7f7f", "1, lognormal"),
    "R2D2 | half-normal": ("#2ca02c", "R2D2, half-normal"),
}


def draw(d: pd.DataFrame, path: Path) -> None:
    """RMSE against the wide priors' (top) and coverage (bottom) over numbers of clusters."""
    from matplotlib.figure import Figure

    names = ("slope", "strong slope", "indirect", "ICC x", "R2")
    figure = Figure(figsize=(12, 5.6), layout="constrained")
    axes = figure.subplots(2, len(names), sharex=True, sharey="row")
    clusters = sorted(d["clusters"].unique())
    for column, name in zip(axes.T, names, strict=True):
        part = chosen(d, GROUPS[name])
        for shift, (candidate, (colour, label)) in enumerate(SHOWN.items()):
            own = part[part["candidate"] == candidate]
            lines = {j: summary(g).iloc[0] for j, g in own.groupby("clusters")}
            x = np.arange(len(clusters)) + 0.1 * (shift - (len(SHOWN) - 1) / 2)
            style = {"marker": "o", "ms": 4, "lw": 1.2, "color": colour, "label": label}
            table = pd.DataFrame(lines).T.reindex(index=clusters)
            table = table.reindex(columns=["ratio", "coverage", "mc"])
            column[0].plot(x, table["ratio"], **style)
            column[1].errorbar(x, 100 * table["coverage"], yerr=196 * table["mc"], **style)
        column[0].set_title(name.replace("R2", "R²"))
        column[0].axhline(1, color="black", lw=0.8, zorder=0)
        column[1].axhline(95, color="black", lw=0.8, zorder=0)
        column[1].set_xticks(range(len(clusters)), [str(j) for j in clusters])
        column[1].set_xlabel("clusters")
    axes[0, 0].set_ylabel("RMSE / RMSE of wide")
    axes[1, 0].set_ylabel("coverage, per cent")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(SHOWN), frameon=False)
    figure.savefig(path, dpi=110)


# Candidates of the short table
LISTED = (
    *(WIDE, "1.5 | half-normal", "1 | half-normal", "1.5 net | half-normal"),
    *("1 net | half-normal", "1 net both | half-normal", "1 t | half-normal"),
    *("0.7 t2 | half-normal", "1.5 split | half-normal", "1 split | half-normal"),
    *("1 t split | half-normal", "R2D2 | half-normal", "R2 of s | half-normal"),
    *("2.5 | gamma", "2.5 | lognormal", "1 | gamma", "1 | lognormal", "1 | lognormal net"),
    *("1 | gamma half x", "1 split | gamma x", "1 split | gamma half x"),
    *("1 t split | gamma half x", "1 net both split | gamma half x"),
)


def diagnostics(results: pd.DataFrame) -> str:
    """Count posteriors by reweighting, those sampled again, and those that do not count."""
    each = results.drop_duplicates([*CELL, "candidate"])
    rows = []
    for design, own in each.groupby("design", sort=False):
        shared = own["candidate"].str.startswith("R2")
        plain, joint = own[~shared], own[shared]
        sets = own.drop_duplicates(CELL)["tried"]
        rows.append(
            [
                design,
                str(len(sets)),
                f"{sets.min():.0f} to {sets.max():.0f}"
                if sets.nunique() > 1
                else f"{sets.max():.0f}",
                f"{100 * plain['refits'].sum() / plain['tried'].sum():.2f}",
                f"{100 * (1 - joint['sets'].sum() / joint['tried'].sum()):.1f}"
                if len(joint)
                else "",
            ]
        )
    head = ["model", "cells", "data sets a cell", "sampled again, %", "priors on R²: left out, %"]
    return markdown(head, rows)


def report(results: pd.DataFrame, page: Path = PAGE, figure: Path = FIGURE) -> None:
    """Write tables into the page, and the figure."""
    d = measures(results)
    names = list(SHOWN)
    priors = [c for c in candidates_of("contextual") if c.sds in ("half-normal", "gamma half x")]
    texts = {
        "diagnostics": diagnostics(results),
        "main": table_of(d, GROUPS, LISTED),
        "all": table_of(d, GROUPS),
        "factor": table_of(d, FACTOR),
        "effects": table_of(d, EFFECTS),
        "slope by condition": by_condition(d, GROUPS["slope"], names),
        "strong slope by condition": by_condition(d, GROUPS["strong slope"], names),
        "ICC by condition": by_condition(d, GROUPS["ICC x"], names),
        "worse": worse_table(d, names[1:]),
        "msalt": msalt_table(d),
        "trade": trade_table(d, LISTED),
        "short": short_table(d),
        "prior": prior_table(priors),
    }
    page.write_text(with_marked(page.read_text(encoding="utf-8"), texts), encoding="utf-8")
    draw(d[d["design"] != "msalt"], figure)
