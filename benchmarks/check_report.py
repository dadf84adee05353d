"""Tables and figures of ``docs/checks.md``, from the results of two studies.

Those of ``check_study.py`` say how often `fit.check()` has a finding in right models and how often
it finds what was planted; those of ``loo_study.py`` whether differences of elpd can be trusted.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy import stats

from bayes_msem.checking.misfit import Limits, limits
from benchmarks.check_study import CLUSTERS, MISFITS, ROWS, TASK
from benchmarks.loo_study import RESULTS as LOO_RESULTS
from benchmarks.loo_study import SIZE
from benchmarks.marked_tables import markdown, with_marked

RATIO = "chi_square_refit"
# which findings name what was planted: (level, statistic)
NAMES = {
    "within": [("within", RATIO)],
    "between": [("between", RATIO)],
    "slopes": [("within", "slope_variance"), ("within", "covariance_spread")],
    "variances": [("within", "variance_spread"), ("within", "covariance_spread")],
}
SAID = {
    "within": "residual correlation within",
    "between": "residual correlation between",
    "slopes": "SD of the slope",
    "variances": "SD of log residual SDs",
}
KINDS = {"marginal": "integrated", "sampled": "sampled"}
PAIRS = {
    "slopes": "random slope",
    "within": "covariance within",
    "between": "covariance between",
}
COLORS = {15: "#7fa8d1", 30: "#3b6ea5", 50: "#12304f"}


def report(results: pd.DataFrame, page: Path, figures: Path) -> None:
    """Write tables into a page, and figures."""
    studied = main_part(results)
    texts = {
        "flagged": flagged_table(studied),
        "caught": caught_table(studied),
        "distribution": distribution_table(studied),
        "nuts": nuts_sentence(results),
        "cost": cost_sentence(results),
    }
    if LOO_RESULTS.exists():
        loo = pd.read_csv(LOO_RESULTS)
        texts |= {"loo says": loo_table(loo), "loo errors": loo_error_table(loo)}
        texts["loo cost"] = loo_cost(loo)
    page.write_text(with_marked(page.read_text("utf-8"), texts), "utf-8")
    power_figure(studied, figures / "check_power.png")
    distribution_figure(studied, figures / "check_distribution.png")


def main_part(results: pd.DataFrame) -> pd.DataFrame:
    """Return results without marginal models by NUTS, which are there for comparison."""
    return results[(results["kind"] == "sampled") | (results["posterior"] == "laplace")]


def judged(results: pd.DataFrame) -> pd.DataFrame:
    """Whether each data set has a finding: columns TASK, now, former, named.

    ``now`` by the rule of the package, ``former`` by the one it replaced: likelihood ratios below
    .05, other statistics by Bonferroni's limit of .05 within each of them. (It also named single
    clusters, which is left out here: 200 replicates are too few to judge these.)
    """
    rows = results[results["statistic"] != "chi_square"].copy()
    ratio = rows["statistic"] == RATIO
    rows = rows[~ratio | (rows["level"] != "")]
    ratio = rows["statistic"] == RATIO
    clusters = rows["statistic"] == "clusters"
    outlying = rows["statistic"].str.startswith("outlying")
    limit = rule_of(rows[~clusters])
    below = np.where(ratio, limit.level, limit.group)
    rows["now"] = ~clusters & (rows["adjusted"] <= below)
    rows["former"] = np.where(ratio, rows["ppp"] < 0.05, rows["bonferroni"] < 0.05)
    rows["former"] &= ~outlying & ~clusters
    by_name = [
        (level, statistic) in NAMES.get(case, [])
        for case, level, statistic in rows[["case", "level", "statistic"]].to_numpy()
    ]
    rows["named"] = rows["now"] & np.array(by_name, dtype=bool)
    return rows.groupby(TASK, sort=False)[["now", "former", "named"]].any().reset_index()


def rule_of(rows: pd.DataFrame) -> Limits:
    """Return the limits of the package for the statistics of a data set."""
    first = rows[(rows[TASK] == rows[TASK].iloc[0]).all(axis=1)]
    return limits(first)


def share(values: pd.Series) -> str:
    """Share in per cent with its Monte Carlo error, half a success added on both sides."""
    n = len(values)
    if not n:
        return ""
    p = (values.sum() + 0.5) / (n + 1)
    return f"{100 * values.mean():.0f} ± {100 * np.sqrt(p * (1 - p) / n):.0f}"


def flagged_table(results: pd.DataFrame) -> str:
    """Share of right models that have a finding."""
    found = judged(results[results["case"] == "right"])
    rows = []
    for clusters in (*CLUSTERS, 0):
        cells = []
        for kind in KINDS:
            of = found[
                (found["kind"] == kind)
                & (found["clusters"].isin([clusters] if clusters else CLUSTERS))
            ]
            cells += [str(len(of)), share(of["now"]), share(of["former"])]
        rows.append([str(clusters) if clusters else "all", *cells])
    head = ["clusters"]
    for said in KINDS.values():
        head += [f"{said}: data sets", "flagged, %", "by the former rule, %"]
    return markdown(head, rows)


def caught_table(results: pd.DataFrame) -> str:
    """Share of planted misfits that are found by the statistic that names them / by any."""
    found = judged(results[results["case"] != "right"])
    rows = []
    for case, sizes in MISFITS.items():
        for size in sizes:
            cells = []
            for kind in KINDS:
                for clusters in CLUSTERS:
                    of = found[
                        (found["kind"] == kind) & (found["clusters"] == clusters)
                        & (found["case"] == case) & (found["size"] == size)
                    ]  # fmt: skip
                    cell = f"{100 * of['named'].mean():.0f} / {100 * of['now'].mean():.0f}"
                    cells.append(cell if len(of) else "")
            rows.append([f"{SAID[case]}: {size:g}".replace(" 0.", " ."), *cells])
    head = ["planted", *[f"{said}, J = {j}" for said in KINDS.values() for j in CLUSTERS]]
    per = found.groupby(["kind", "case", "size", "clusters"]).size()
    counts = " and ".join(
        f"{per[kind].min()} to {per[kind].max()} ({said})"
        for kind, said in KINDS.items()
        if kind in per
    )
    error = 50 / np.sqrt(per.min())
    note = f"Data sets per cell: {counts}; Monte Carlo errors are at most {error:.0f}."
    return f"{markdown(head, rows)}\n\n{note}"


def distribution_table(results: pd.DataFrame) -> str:
    """Distribution of p-values of right models."""
    right = results[(results["case"] == "right")]
    rows = []
    for kind, said in KINDS.items():
        for statistic in (RATIO, "chi_square"):
            for level in ("within", "between"):
                p = right[
                    (right["kind"] == kind) & (right["level"] == level)
                    & (right["statistic"] == statistic)
                ]["ppp"]  # fmt: skip
                if len(p):
                    uniform = stats.kstest(p, "uniform").pvalue
                    cells = [
                        f"{p.mean():.2f}",
                        f"{p.std():.2f}",
                        share(p <= 0.05),
                        share(p <= 0.025),
                    ]
                    rows.append([f"`{statistic}` {level}, {said}", str(len(p)), *cells,
                                 f"{uniform:.2f}" if uniform >= 0.005 else "< .005"])  # fmt: skip
    head = [
        "right models",
        "data sets",
        "mean",
        "SD",
        "at most .05, %",
        "at most .025, %",
        "KS test of uniformity, p",
    ]
    return markdown(head, rows)


def nuts_sentence(results: pd.DataFrame) -> str:
    """Differences between p-values of NUTS and of the normal approximation, same data sets."""
    key = ["case", "size", "clusters", "rows", "seed", "level", "statistic"]
    marginal = results[(results["kind"] == "marginal") & (results["statistic"] != "clusters")]
    by = {name: part.set_index(key) for name, part in marginal.groupby("posterior")}
    if len(by) < 2:
        return ""
    both = by["nuts"].join(by["laplace"], how="inner", suffixes=("_nuts", "_laplace"))
    both = both[both.index.get_level_values("level") != ""].reset_index()
    ratio = both[both["statistic"] == RATIO]
    difference = ratio["ppp_nuts"] - ratio["ppp_laplace"]
    p = ratio["ppp_laplace"]
    noise = np.sqrt((2 * p * (1 - p) / 200).mean())
    other = both[both["statistic"] != RATIO]
    rest = other["adjusted_nuts"] - other["adjusted_laplace"]
    n = len(ratio.drop_duplicates(["clusters", "rows", "seed"]))
    alike = [judged(marginal[marginal["posterior"] == name]) for name in ("nuts", "laplace")]
    key = ["case", "size", "clusters", "rows", "seed"]
    pair = alike[0].merge(alike[1], on=key, suffixes=("_nuts", "_laplace"))
    mean, sd = difference.mean(), difference.std()
    return (
        f"For {n} right data sets with integrated effects, NUTS and the normal approximation give "
        f"about the same\np-values: differences of those of `{RATIO}` have a mean of {mean:.3f} "
        f"and an SD of {sd:.3f} (two sets\nof 200 replicates alone make {noise:.3f}), those of "
        f"adjusted p-values of the other statistics a mean of {rest.mean():.3f}\nand an SD of "
        f"{rest.std():.3f}. {pair['now_nuts'].sum()} of them are flagged by NUTS, "
        f"{pair['now_laplace'].sum()} by the approximation."
    )


def cost_sentence(results: pd.DataFrame) -> str:
    """Say how many data sets there are, and what they took."""
    sets = results.drop_duplicates(TASK)
    minutes, each = sets["cpu"].sum() / 60, sets.groupby("kind")["cpu"].median()
    seconds = " and ".join(f"{each[kind]:.1f} ({said})" for kind, said in KINDS.items())
    return (
        f"In all {len(sets):,} data sets were fitted and checked, in {minutes:.0f} CPU minutes "
        f"(medians of {seconds} s each)."
    )


def loo_cost(loo: pd.DataFrame) -> str:
    """Say how many data sets and comparisons there are, and what they took."""
    sets = loo.drop_duplicates(["planted", "clusters", "rows", "seed"])
    minutes = sets["cpu"].sum() / 60
    return f"In all {len(loo):,} comparisons in {len(sets):,} data sets, {minutes:.0f} CPU minutes."


def loo_pairs(loo: pd.DataFrame) -> pd.DataFrame:
    """Add who is right (+1: the larger model), and errors of the difference."""
    right = np.where(loo["planted"] == "nothing", "smaller", "larger")
    error = loo["elpd_diff"] - loo["true"]
    return loo.assign(right=right, error=error, better=np.sign(loo["true"]))


def loo_table(loo: pd.DataFrame) -> str:
    """Tabulate what comparisons say: signs, and clear differences."""
    found, rows = loo_pairs(loo), []
    for right in ("smaller", "larger"):
        for pair in SIZE:
            for clusters in CLUSTERS:
                of = found[(found["right"] == right) & (found["pair"] == pair)]
                of = of[of["clusters"] == clusters]
                sign = 1 if right == "larger" else -1
                d, two = sign * of["elpd_diff"], of["elpd_diff"].abs() > 2 * of["se_diff"]
                clear = two & (d.abs() >= 4)
                cells = [share(d > 0), share(clear & (d > 0)), share(clear & (d < 0))]
                means = [f"{of[name].mean():.1f}" for name in ("elpd_diff", "true")]
                rows.append([f"{right}, {PAIRS[pair]}", str(clusters), str(len(of)), *means,
                             *cells, share(two & (d < 0))])  # fmt: skip
    head = ["right model, pair", "clusters", "data sets", "mean difference", "its truth"]
    head += ["right sign, %", "clearly right, %", "clearly wrong, %", "wrong by 2 SE, %"]
    return markdown(head, rows)


def loo_error_table(loo: pd.DataFrame) -> str:
    """Tabulate errors of differences, and whether standard errors say how large they are."""
    found, rows = loo_pairs(loo), []
    for clusters in CLUSTERS:
        for rows_each in ROWS:
            of = found[(found["clusters"] == clusters) & (found["rows"] == rows_each)]
            if not len(of):
                continue
            error, se, known = of["error"], of["se_diff"], of["true_mcse"]  # of 500 new clusters
            spread = np.sqrt(max(float((error**2).mean() - (known**2).mean()), 0.0))
            typical = np.sqrt((se**2).mean())
            covered = error.abs() <= 2 * np.sqrt(se**2 + known**2)
            high = 100 * of["high_k"].mean() / (2 * clusters)
            rows.append([
                str(clusters), str(rows_each), str(len(of)), f"{error.mean():.2f}", f"{spread:.2f}",
                f"{typical:.2f}", f"{spread / typical:.2f}", share(covered),
                f"{np.corrcoef(of['elpd_diff'], of['true'])[0, 1]:.2f}", f"{high:.0f}",
            ])  # fmt: skip
    head = ["clusters", "rows in each", "comparisons", "mean error", "RMS error", "RMS `se_diff`"]
    head += ["ratio", "within 2 SE, %", "correlation with truth", "clusters of high k, %"]
    return markdown(head, rows)


def power_figure(results: pd.DataFrame, path: Path) -> None:
    """Share named by size of the misfit, per kind of misfit and number of clusters."""
    found = judged(results)
    fig, axes = plt.subplots(1, len(MISFITS), figsize=(10.5, 2.9), sharey=True)
    for ax, (case, sizes) in zip(axes, MISFITS.items(), strict=True):
        for clusters in CLUSTERS:
            for kind, style in (("marginal", "o-"), ("sampled", "s:")):
                of = found[(found["kind"] == kind) & (found["clusters"] == clusters)]
                of = of[of["case"] == case].groupby("size")["named"].mean()
                ax.plot(of.index, of, style, color=COLORS[clusters], ms=4, lw=1.4,
                        label=f"{clusters} clusters, {KINDS[kind]}")  # fmt: skip
        ax.set_title(SAID[case], fontsize=9)
        ax.set_xlim(0, 1.08 * max(sizes))
        ax.set_ylim(-0.03, 1.03)
        ax.spines[["top", "right"]].set_visible(False)
        ax.tick_params(labelsize=8)
    axes[0].set_ylabel("share named by check()", fontsize=9)
    handles, labels = axes[0].get_legend_handles_labels()
    fig.legend(handles, labels, loc="lower center", ncols=3, frameon=False, fontsize=8)
    fig.tight_layout(rect=(0, 0.15, 1, 1))
    fig.savefig(path, dpi=120)
    plt.close(fig)


def distribution_figure(results: pd.DataFrame, path: Path) -> None:
    """Distribution functions of p-values of right models."""
    right = results[results["case"] == "right"]
    panels = [("marginal", RATIO), ("sampled", RATIO), ("sampled", "chi_square")]
    fig, axes = plt.subplots(1, 3, figsize=(8.4, 2.9), sharey=True)
    for ax, (kind, statistic) in zip(axes, panels, strict=True):
        ax.plot([0, 1], [0, 1], color="0.7", lw=1)
        for level, color in (("within", "C0"), ("between", "C1")):
            of = right[(right["kind"] == kind) & (right["statistic"] == statistic)]
            p = np.sort(of[of["level"] == level]["ppp"])
            ax.step(np.r_[0, p, 1], np.r_[0, np.arange(1, len(p) + 1) / max(len(p), 1), 1],
                    where="post", color=color, label=level)  # fmt: skip
        ax.set_title(f"{statistic}, {KINDS[kind]} effects", fontsize=9)
        ax.set_xlabel("p-value", fontsize=9)
        ax.spines[["top", "right"]].set_visible(False)
        ax.tick_params(labelsize=8)
    axes[0].set_ylabel("share of right models at most", fontsize=9)
    axes[0].legend(frameon=False, fontsize=8)
    fig.tight_layout()
    fig.savefig(path, dpi=120)
    plt.close(fig)
