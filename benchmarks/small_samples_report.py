"""Tables and the figure of ``docs/small_samples.md``, from the results of two studies.

Those of ``prior_study.py`` say what 5 to 50 clusters support, by the reliability of cluster means
n ICC / (1 + (n - 1) ICC) and by clusters per free parameter of level between; those of
``small_samples.py`` compare the posterior with maximum likelihood in few large countries.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from marked_tables import markdown, with_marked
from prior_report import WIDE, chosen, measures
from scipy import stats

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "small_samples.md"
FIGURE = ROOT / "docs" / "images" / "small_samples.png"
PRIOR_STUDY = ROOT / "benchmarks" / "prior_study_results.csv.xz"

CELL = ["clusters", "effect"]
KEYS = [*CELL, "method", "estimand"]
# Sums over data sets
SUMS = (
    "tried",  # data sets
    "sets",  # of these, those with an answer
    "seconds",
    "high_r_hat",
    "divergent",
    "negative",  # a variance, of either level
    "again",  # wide: sampled, not reweighted
    "e",
    "e2",
    "e4",
    "sd",
    "covered",
    "excludes_0",
    "right_sign",
    "width",
    "width2",
)
METHODS = {"default": "default priors", "wide": "wide priors", "ML": "maximum likelihood"}
PUBLISHED = {0.1: 22, 0.25: 38}  # power of maximum likelihood at J = 20, per cent
SD_FACTOR = 0.08**0.5  # of the factor between
DEFAULTS = "1 t split | gamma half x"
# free parameters of level between of the models of the prior study
PARAMETERS = {"contextual": 5, "mediation": 12}
# the candidate that is the package's default, or next to it, by model of the prior study
OWN = {"factor": WIDE, "slopes": "1 | half-normal | effects 0.5"}
QUANTITIES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "contextual slope, standardised .5": (("contextual",), ("slope y~x",)),
    "slope on an observed w, standardised .3": (("mediation",), ("slope m~w",)),
    "indirect effect, standardised .2": (("mediation",), ("indirect x>m>y",)),
    "R² of y": (("contextual",), ("R2 y",)),
    "ICC of y": (("contextual",), ("ICC y",)),
    "variance of y, residual": (("contextual",), ("variance y",)),
    "loading of a factor between": (("factor",), ("loading y2",)),
    "variance of a factor between": (("factor",), ("variance fb",)),
    "variance of a random slope": (("slopes",), ("variance s",)),
    "predictor of a random slope, standardised .4": (("slopes",), ("slope s~w",)),
}


# What 5 to 50 clusters support --------------------------------------------------------------------


def own_results(prior_results: pd.DataFrame) -> pd.DataFrame:
    """Measures under the default priors, with reliabilities and half widths."""
    d = measures(prior_results)
    own = d["design"].map(OWN).fillna(DEFAULTS)
    d = d[(d["candidate"] == own) & (d["design"] != "msalt")].copy()
    d["reliability"] = d["size"] * d["icc"] / (1 + (d["size"] - 1) * d["icc"])
    d["half"] = d["width"] / (2 * d["truth"].abs())
    return d


def by_reliability(d: pd.DataFrame, design: str) -> str:
    """Coverage, width against that of the wide priors, and median over the truth of a slope."""
    part = chosen(d, ((design,), ("slope y~x",))).sort_values("reliability")
    places = list(part.drop_duplicates(["icc", "size"])[["icc", "size"]].itertuples(index=False))
    rows = []
    for icc, size in places:
        at = part[(part["icc"] == icc) & (part["size"] == size)].set_index("clusters").sort_index()
        head = f"{_points(at['reliability'].iloc[0], 2)} ({_points(icc)}, {size})"
        rows.append(
            [head]
            + [
                f"{100 * r.coverage:.0f} / {r.width_ratio:.2f} / {r.median_ratio:.2f}"
                for r in at.itertuples()
            ]
        )
    clusters = sorted(part["clusters"].unique())
    return markdown(["reliability (ICC, n)", *(f"J = {j}" for j in clusters)], rows)


def by_parameters(d: pd.DataFrame) -> str:
    """Slopes on reliable predictors, by clusters per free parameter of level between."""
    slopes = d[d["design"].isin(PARAMETERS) & d["estimand"].str.startswith("slope")]
    slopes = slopes[slopes["reliability"] > 0.8]
    rows = []
    for (design, clusters), g in slopes.groupby(["design", "clusters"]):
        each = clusters / PARAMETERS[design]
        rows.append((each, design, clusters, g))
    lines = [
        [
            f"{each:.1f}",
            f"{design}, {clusters}",
            f"{np.exp(np.log(g['width_ratio']).mean()):.2f}",
            f"{np.exp(np.log(g['ratio']).mean()):.2f}",
            f"{100 * g['coverage'].mean():.0f}",
            f"{g['median_ratio'].mean():.2f}",
        ]
        for each, design, clusters, g in sorted(rows, key=lambda row: row[0])
    ]
    head = ["clusters per parameter", "model, J", "width", "RMSE", "coverage", "median / truth"]
    return markdown(head, lines)


def by_quantity(d: pd.DataFrame) -> str:
    """Coverage, half width and median, both over the truth, at an ICC of .2 in clusters of 20."""
    at = d[(d["icc"] == 0.2) & (d["size"] == 20)]
    clusters = sorted(at["clusters"].unique())
    rows = []
    for name, group in QUANTITIES.items():
        part = chosen(at, group).set_index("clusters").sort_index()
        rows.append(
            [name]
            + [
                f"{100 * r.coverage:.0f} / {r.half:.2f} / {r.median_ratio:.2f}"
                for r in part.itertuples()
            ]
        )
    return markdown(["quantity", *(f"J = {j}" for j in clusters)], rows)


def prior_state(prior_results: pd.DataFrame) -> str:
    """Say how far the study of priors has come."""
    sets = prior_results[prior_results["design"] != "msalt"]["tried"]
    low, high = sets.min(), sets.max()
    count = f"{low:.0f}" if low == high else f"{low:.0f} to {high:.0f}"
    error = 100 * np.sqrt(0.05 * 0.95 / low)
    return (
        f"{count} data sets a cell; a coverage of 95 per cent has a Monte Carlo error of "
        f"{error:.1f} points."
    )


# Few countries ------------------------------------------------------------------------------------


def countries(results: pd.DataFrame) -> pd.DataFrame:
    """Measures by cell, method and quantity, in standard deviations of the factor for the effect.

    Errors (``_error``) are Monte Carlo standard errors: SD / root n, by the delta method for the
    RMSE, and those of Agresti and Coull for shares.
    """
    d = results[results["sets"] > 1].copy()
    n = d["sets"]
    unit = np.where(d["estimand"] == "effect", SD_FACTOR, 1.0)
    d["truth"] /= unit
    d["bias"] = d["e"] / n / unit
    variance = (d["e2"] - d["e"] ** 2 / n) / (n - 1)
    d["sd_estimates"] = np.sqrt(variance) / unit
    d["bias_error"] = d["sd_estimates"] / np.sqrt(n)
    mean_square = d["e2"] / n
    d["rmse"] = np.sqrt(mean_square) / unit
    spread = np.sqrt(np.maximum(d["e4"] / n - mean_square**2, 0) / n)
    d["rmse_error"] = spread / (2 * np.sqrt(mean_square)) / unit
    d["mean_sd"] = d["sd"] / n / unit
    for name, sums in (("coverage", "covered"), ("power", "excludes_0")):
        d[name], d[f"{name}_error"] = d[sums] / n, share_error(d[sums], n)
    d["mean_width"] = d["width"] / n / unit
    return d


def share_error(count: pd.Series, n: pd.Series) -> pd.Series:
    """Monte Carlo error of a share (Agresti & Coull, 1998)."""
    q = (count + 2) / (n + 4)
    return np.sqrt(q * (1 - q) / (n + 4))


def effect_table(d: pd.DataFrame, cell: Callable[[pd.Series], str]) -> str:
    """One figure for the three methods, by clusters (lines) and effect (columns)."""
    part = d[d["estimand"] == "effect"].set_index([*CELL, "method"])
    effects = sorted(part.index.get_level_values("effect").unique())
    rows = []
    for clusters in sorted(part.index.get_level_values("clusters").unique()):
        line = [str(clusters)]
        for effect in effects:
            line.append(" / ".join(cell(part.loc[(clusters, effect, m)]) for m in METHODS))
        rows.append(line)
    return markdown(["J", *(_points(e, 2) for e in effects)], rows)


def share(name: str) -> Callable[[pd.Series], str]:
    """Show per cent, with its error."""
    return lambda r: f"{100 * r[name]:.0f} ({100 * r[f'{name}_error']:.0f})"


def number(name: str) -> Callable[[pd.Series], str]:
    """Show three decimals, with their error."""
    return lambda r: f"{_points(r[name], 3)} ({_points(r[f'{name}_error'], 3)})"


def measurement_table(d: pd.DataFrame) -> str:
    """Show loadings and variances of level between, over all effects."""
    groups = {
        "loadings": ("loading y2", "loading y3", "loading y4"),
        "residual variances": ("variance y1", "variance y2", "variance y3", "variance y4"),
        "factor's residual variance": ("factor variance",),
    }
    rows = []
    for clusters, at in d.groupby("clusters"):
        for name, estimands in groups.items():
            line = [str(clusters), name]
            for method in ("default", "ML"):
                g = at[(at["method"] == method) & at["estimand"].isin(estimands)]
                bias, rmse = (g["bias"] / g["truth"]).mean(), (g["rmse"] / g["truth"]).mean()
                # quantities of one cell go together: their errors are not averaged out
                errors = g.groupby("effect")["coverage_error"].mean()
                error = np.sqrt((errors**2).sum()) / len(errors)
                line.append(f"{100 * bias:+.0f}")
                line.append(f"{100 * rmse:.0f}")
                line.append(f"{100 * g['coverage'].mean():.1f} ({100 * error:.1f})")
            rows.append(line)
    head = ["J", "quantity", "bias, %", "RMSE, %", "coverage", "ML: bias, %", "RMSE, %", "coverage"]
    return markdown(head, rows)


def trouble_table(results: pd.DataFrame) -> str:
    """Show what went wrong, in per cent of data sets, and CPU seconds a data set."""
    part = results[results["estimand"] == "effect"]
    rows = []
    for clusters, at in part.groupby("clusters"):
        by = {m: at[at["method"] == m].drop(columns=KEYS).sum() for m in METHODS}
        posterior, ml, wide = by["default"], by["ML"], by["wide"]
        n = posterior["tried"]
        rows.append(
            [
                str(clusters),
                f"{n:.0f}",
                f"{100 * posterior['high_r_hat'] / n:.0f}",
                f"{100 * posterior['divergent'] / n:.0f}",
                f"{100 * wide['again'] / n:.1f}",
                f"{100 * (1 - ml['sets'] / n):.1f}",
                f"{100 * ml['negative'] / n:.1f}",
                f"{posterior['seconds'] / n:.2f} / {ml['seconds'] / n:.2f}",
            ]
        )
    head = ["J", "data sets", "R-hat ≥ 1.01, %", "divergences, %", "wide sampled anew, %"]
    head += ["ML: none, %", "ML: negative variance, %", "CPU s, posterior / ML"]
    return markdown(head, rows)


def countries_state(results: pd.DataFrame) -> str:
    """Count data sets and CPU seconds."""
    part = results[results["estimand"] == "effect"]
    tried = part[part["method"] == "ML"]["tried"]
    low, high = tried.min(), tried.max()
    count = f"{low:.0f}" if low == high else f"{low:.0f} to {high:.0f}"
    return (
        f"{count} data sets a cell, {tried.sum():,.0f} in all, in {part['seconds'].sum():,.0f} CPU "
        "seconds without their simulation."
    )


# In short -----------------------------------------------------------------------------------------


def support(d: pd.DataFrame) -> str:
    """Show what each number of clusters supports; slopes and loadings at reliabilities above .8."""
    slope = chosen(d, (("contextual",), ("slope y~x",)))
    reliable = slope[slope["reliability"] > 0.8]
    indirect = chosen(d, (("mediation",), ("indirect x>m>y",)))
    indirect = indirect[indirect["reliability"] > 0.8]
    variance = chosen(d, (("contextual",), ("ICC y",)))
    loading = chosen(d, (("factor",), ("loading y2", "loading y3", "loading y4")))
    loading = loading[loading["reliability"] > 0.8]
    rows = []
    for clusters in sorted(slope["clusters"].unique()):
        parts = [p[p["clusters"] == clusters] for p in (reliable, indirect, variance, loading)]
        coverage = slope[slope["clusters"] == clusters]["coverage"]
        rows.append(
            [
                str(clusters),
                f"{100 * coverage.min():.0f} to {100 * coverage.max():.0f}",
                f"{parts[0]['width_ratio'].mean():.2f}",
                *(f"±{100 * p['half'].mean():.0f}%" for p in (*parts[:2], parts[3])),
                f"{100 * parts[2]['coverage'].mean():.0f}",
                f"{parts[1]['median_ratio'].mean():.2f}",
            ]
        )
    head = ["J", "slope: coverage, %", "width / wide", "interval of slope"]
    head += ["of indirect effect", "of loadings", "ICC y: coverage, %", "indirect: median / truth"]
    return markdown(head, rows)


def against_ml(d: pd.DataFrame) -> str:
    """Compare the posterior with maximum likelihood, averages over effects."""
    rows = []
    for clusters, at in d.groupby("clusters"):
        line = [str(clusters)]
        for word in ("effect", "loading", "variance"):
            part = at[at["estimand"].str.contains(word)]
            by = {m: part[part["method"] == m].set_index(KEYS[1::2]) for m in METHODS}
            ratio = np.log(by["default"]["rmse"] / by["ML"]["rmse"]).mean()
            line.append(f"{np.exp(ratio):.2f}")
            line.append(" / ".join(f"{100 * by[m]['coverage'].mean():.1f}" for m in METHODS))
        rows.append(line)
    names = ("effect", "loadings", "variances")
    head = [text for name in names for text in (f"{name}: RMSE / ML's", "coverage, %")]
    return markdown(["J", *head], rows)


def best_power(sets: int = 20_000) -> str:
    """Power of a t test of a correlation, if factor and predictor were observed without error.

    By simulation, with a Monte Carlo error of at most .4 points.
    """
    rng, rows = np.random.default_rng(1), []
    for clusters in (10, 20, 40, 60, 100):
        line = [str(clusters)]
        limit = stats.t.ppf(0.975, clusters - 2)
        for effect in (0.1, 0.25, 0.5, 0.75):
            x, e = rng.standard_normal((2, sets, clusters))
            y = effect * x + np.sqrt(1 - effect**2) * e
            x, y = (v - v.mean(axis=1, keepdims=True) for v in (x, y))
            r = (x * y).sum(axis=1) / np.sqrt((x**2).sum(axis=1) * (y**2).sum(axis=1))
            t = r * np.sqrt((clusters - 2) / (1 - r**2))
            line.append(f"{100 * (np.abs(t) > limit).mean():.0f}")
        rows.append(line)
    return markdown(["J", ".10", ".25", ".50", ".75"], rows)


# Figure and page ----------------------------------------------------------------------------------


def draw(d: pd.DataFrame, path: Path) -> None:
    """Power of the effect; coverage of the effect, of loadings and of variances."""
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    figure = Figure(figsize=(11, 4.2), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    clusters = sorted(d["clusters"].unique())
    place = {j: i for i, j in enumerate(clusters)}
    effect = d[d["estimand"] == "effect"]
    colours = ("#1f77b4", "#2ca02c", "#ff7f0e", "#9467bd")
    styles = {"default": ("-", "o"), "ML": ("--", "s")}
    for colour, (size, part) in zip(colours, effect.groupby("effect"), strict=False):
        for method, (line, marker) in styles.items():
            own = part[part["method"] == method].sort_values("clusters")
            x = [place[j] + (0.06 if method == "ML" else -0.06) for j in own["clusters"]]
            left.errorbar(
                x,
                100 * own["power"],
                yerr=196 * own["power_error"],
                **{"color": colour, "ls": line, "marker": marker, "ms": 4, "lw": 1.2},
                label=_points(float(size), 2) if method == "default" else None,
            )
        if size in PUBLISHED and 20 in place:
            left.plot(place[20], PUBLISHED[size], marker="*", ms=12, color=colour, mec="black")
    left.set_title("power of the effect between")
    left.set_ylabel("intervals without 0, per cent")
    left.set_ylim(0, 103)
    kinds = {
        "effect": ("effect", "#1f77b4"),
        "loadings": ("loading", "#2ca02c"),
        "variances": ("variance", "#d62728"),
    }
    for axes, method in ((middle, "default"), (right, "ML")):
        for shift, (name, (word, colour)) in zip((-0.1, 0, 0.1), kinds.items(), strict=True):
            part = d[(d["method"] == method) & d["estimand"].str.contains(word)]
            means = part.groupby("clusters")["coverage"].mean()
            errors = part.groupby(CELL)["coverage_error"].mean().groupby("clusters")
            error = errors.apply(lambda e: np.sqrt((e**2).sum()) / len(e))
            axes.errorbar(
                [place[j] + shift for j in means.index],
                100 * means,
                yerr=196 * error,
                **{"color": colour, "marker": styles[method][1], "ms": 4, "lw": 1.2},
                ls=styles[method][0],
                label=name,
            )
        axes.axhline(95, color="black", lw=0.8, zorder=0)
        axes.set_title(f"coverage, {METHODS[method]}")
        axes.legend(frameon=False, fontsize=8, loc="lower right")
    low = min(middle.get_ylim()[0], right.get_ylim()[0])
    for axes in (middle, right):
        axes.set_ylim(low, 100)
    for axes in (left, middle, right):
        axes.set_xticks(range(len(clusters)), [str(j) for j in clusters])
        axes.set_xlabel("clusters")
        axes.spines[["top", "right"]].set_visible(False)
    handles, labels = left.get_legend_handles_labels()
    handles += [Line2D([], [], color="0.3", ls=line, marker=m, ms=4) for line, m in styles.values()]
    labels = [f"effect {label}" for label in labels] + [METHODS[m] for m in styles]
    box = {"loc": "outside lower center", "ncols": len(labels), "frameon": False, "fontsize": 8}
    figure.legend(handles, labels, **box)
    figure.savefig(path, dpi=110)


def _points(value: float, digits: int | None = None) -> str:
    """Without the zero before the point."""
    text = f"{value:g}" if digits is None else f"{value:.{digits}f}"
    return text.replace("0.", ".", 1) if abs(value) < 1 else text


def report(
    results: pd.DataFrame, prior_results: pd.DataFrame, page: Path = PAGE, figure: Path = FIGURE
) -> None:
    """Write tables into the page, and the figure."""
    own, d = own_results(prior_results), countries(results)
    texts: dict[str, str] = {
        "support": support(own),
        "against ML": against_ml(d),
        "observed": best_power(),
        "priors state": prior_state(prior_results),
        "reliability": by_reliability(own, "contextual"),
        "reliability strong": by_reliability(own, "strong"),
        "parameters": by_parameters(own),
        "quantities": by_quantity(own),
        "countries state": countries_state(results),
        "power": effect_table(d, share("power")),
        "coverage": effect_table(d, share("coverage")),
        "bias": effect_table(d, number("bias")),
        "rmse": effect_table(d, number("rmse")),
        "width": effect_table(d, lambda r: _points(r["mean_width"], 2)),
        "measurement": measurement_table(d),
        "trouble": trouble_table(results),
    }
    page.write_text(with_marked(page.read_text(encoding="utf-8"), texts), encoding="utf-8")
    draw(d, figure)


__all__: Sequence[str] = ("CELL", "FIGURE", "KEYS", "PAGE", "PRIOR_STUDY", "SUMS", "report")
