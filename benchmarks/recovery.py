"""Parameter recovery: how often 95% intervals hold the values that made the data.

For every kind of random effect alone, and for a factor model in which everything varies, data sets
are simulated from known values (with new cluster effects each time) and fitted with the wide
priors, which were the defaults when this study was made. One line per interval goes to
``recovery_results.csv``; the tables of ``docs/recovery.md`` are made from that file.

    python benchmarks/recovery.py --minutes 20    # go on where the results end, then stop
    python benchmarks/recovery.py --tables        # only write the tables into the page

When the study was begun, every data set needed its own compiled density. So ``Model.fit`` runs here
with the package's NumPy version of the same density (:mod:`bayes_msem.inference.density`), which
the tests compare with the compiled one; it stays, so that new results can be added to the old ones.

Where ``Case.draw`` is given, data come from NumPy code here, which shares nothing with the package
and knows the effects of every cluster. Else they come from ``Model.simulate``.
"""

from __future__ import annotations

import argparse
import re
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import nutpie
import pandas as pd
from numpy.typing import NDArray
from nutpie.compiled_pyfunc import PyFuncModel, from_pyfunc
from scipy import stats

import bayes_msem as bm
from bayes_msem.inference.coordinates import COORDINATES
from bayes_msem.inference.density import log_posterior, support
from benchmarks.marked_tables import markdown, with_marked

RESULTS = Path(__file__).with_name("recovery_results.csv")
PAGE = Path(__file__).parents[1] / "docs" / "recovery.md"
LEVEL = 0.95  # mass of the intervals
CHAINS, TUNE, DRAWS = 2, 500, 500
R_HAT_LIMIT = 1.02

Array = NDArray[np.float64]
Key = tuple[str, str, str, str]  # level, lhs, op, rhs
# Random numbers, number of rows of every cluster, true values -> data, effects by cluster.
Draw = Callable[[np.random.Generator, Array, Mapping[Key, float]], tuple[pd.DataFrame, Array]]


# Data from NumPy ------------------------------------------------------------------------------


def level_two(
    rng: np.random.Generator, n_clusters: int, truth: Mapping[Key, float], names: Sequence[str]
) -> Array:
    """Draw normal cluster effects (J, effects) with the true means and covariances."""
    mean = [truth["between", name, "~", "1"] for name in names]
    covariance = [
        [truth.get(("between", a, "~~", b), truth.get(("between", b, "~~", a), 0.0)) for b in names]
        for a in names
    ]
    return rng.multivariate_normal(mean, covariance, size=n_clusters)


def draw_slopes(
    rng: np.random.Generator, sizes: Array, truth: Mapping[Key, float]
) -> tuple[pd.DataFrame, Array]:
    """Simulate a random intercept and a random slope on a covariate."""
    u = level_two(rng, len(sizes), truth, ["y1", "s"])
    cluster = np.repeat(np.arange(len(sizes)), sizes)
    x, e = rng.standard_normal((2, len(cluster)))
    y1 = u[cluster, 0] + u[cluster, 1] * x + e * truth["within", "y1", "~~", "y1"] ** 0.5
    return pd.DataFrame({"cluster": cluster, "x": x, "y1": y1}), u


def draw_loadings(
    rng: np.random.Generator, sizes: Array, truth: Mapping[Key, float]
) -> tuple[pd.DataFrame, Array]:
    """Simulate a factor with a marker and two random loadings."""
    u = level_two(rng, len(sizes), truth, ["l2", "l3"])
    cluster = np.repeat(np.arange(len(sizes)), sizes)
    factor = rng.standard_normal(len(cluster)) * truth["within", "fw", "~~", "fw"] ** 0.5
    loadings = [np.ones(len(cluster)), u[cluster, 0], u[cluster, 1]]
    columns = {"cluster": cluster}
    for item, loading in zip(["y1", "y2", "y3"], loadings, strict=True):
        residual = rng.standard_normal(len(cluster)) * truth["within", item, "~~", item] ** 0.5
        columns[item] = truth["within", item, "~", "1"] + loading * factor + residual
    return pd.DataFrame(columns), u


def draw_residual_sds(
    rng: np.random.Generator, sizes: Array, truth: Mapping[Key, float]
) -> tuple[pd.DataFrame, Array]:
    """Simulate a random intercept and a random residual SD (location-scale model)."""
    u = level_two(rng, len(sizes), truth, ["y1", "v"])
    cluster = np.repeat(np.arange(len(sizes)), sizes)
    x, e = rng.standard_normal((2, len(cluster)))
    y1 = u[cluster, 0] + truth["within", "y1", "~", "x"] * x + np.exp(u[cluster, 1]) * e
    return pd.DataFrame({"cluster": cluster, "x": x, "y1": y1}), u


# Cases ----------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Case:
    """A model with true values for all its free rows.

    Attributes
    ----------
    name, title
        Short name in the results; what varies over clusters.
    text
        The model.
    within, between
        True values by row, such as ``{"fw =~ y2": 0.8}``.
    n_clusters, sizes
        Number of clusters; smallest and largest number of rows of a cluster.
    replications
        How many data sets to fit.
    draw
        Simulates data with NumPy; None: use ``Model.simulate``.
    effects
        Names of the effects that ``draw`` returns.
    """

    name: str
    title: str
    text: str
    within: Mapping[str, float]
    between: Mapping[str, float]
    n_clusters: int = 40
    sizes: tuple[int, int] = (10, 20)
    replications: int = 36
    draw: Draw | None = None
    effects: tuple[str, ...] = field(default=())

    @property
    def truth(self) -> dict[Key, float]:
        """True values by key of the parameter table."""
        levels = (("within", self.within), ("between", self.between))
        return {
            (level, *row.split()): value for level, rows in levels for row, value in rows.items()
        }

    @property
    def cluster_sizes(self) -> Array:
        """Number of rows of every cluster: all sizes in turn."""
        smallest, largest = self.sizes
        return np.resize(np.arange(smallest, largest + 1), self.n_clusters)


def values(op: str, rows: Mapping[str, float] | Iterable[tuple[str, float]]) -> dict[str, float]:
    """Write ``{"y1": 2.0}`` as ``{"y1 ~ 1": 2.0}`` (means) or ``{"y1 ~~ y1": 2.0}`` (variances)."""
    return {f"{v} {op} {'1' if op == '~' else v}": value for v, value in dict(rows).items()}


def _fully_random() -> Case:
    """Two factors; intercepts, loadings, residual SDs, factor SDs and correlation all vary."""
    items = [f"y{k}" for k in range(1, 7)]
    means = {"l2": 0.9, "l3": 1.1, "l5": 0.8, "l6": 1.0}
    means |= {f"v{k}": -0.4 for k in range(1, 7)} | {"vf1": 0.0, "vf2": -0.2, "r": 0.5}
    sds = {name: 0.2 if name[0] == "l" else 0.3 for name in means}
    names = [*means, *items]
    independent = "\n".join(
        f"{name} ~~ " + " + ".join(f"0*{other}" for other in names[i + 1 :])
        for i, name in enumerate(names[:-1])
    )
    residuals = "\n".join(f'y{k} ~~ rv("v{k}")*y{k}' for k in range(1, 7))
    return Case(
        "all",
        "everything: intercepts, loadings, residual SDs, factor SDs, factor correlation",
        f"""
level: within
f1 =~ y1 + rv("l2")*y2 + rv("l3")*y3
f2 =~ y4 + rv("l5")*y5 + rv("l6")*y6
f1 ~~ rv("vf1")*f1 + rv("r")*f2
f2 ~~ rv("vf2")*f2
{residuals}
level: between
{independent}
""",
        {},
        values("~", means | dict.fromkeys(items, 3.0))
        | values("~~", {name: sd**2 for name, sd in sds.items()} | dict.fromkeys(items, 0.16)),
        n_clusters=50,
        sizes=(15, 25),
        replications=9,
    )


CASES = (
    Case(
        "intercepts",
        "random intercepts that follow a factor (two-level CFA)",
        "level: within\nfw =~ y1 + y2 + y3 + y4\nlevel: between\nfb =~ y1 + y2 + y3 + y4",
        {"fw =~ y2": 0.9, "fw =~ y3": 1.1, "fw =~ y4": 0.8}
        | values("~~", {"fw": 1.0, "y1": 0.6, "y2": 0.6, "y3": 0.6, "y4": 0.6}),
        {"fb =~ y2": 1.0, "fb =~ y3": 0.8, "fb =~ y4": 1.2}
        | values("~~", {"fb": 0.4, "y1": 0.1, "y2": 0.1, "y3": 0.1, "y4": 0.1})
        | values("~", dict.fromkeys(["y1", "y2", "y3", "y4"], 3.0)),
    ),
    Case(
        "slope on x",
        "random slope on an observed covariate",
        'level: within\ny1 ~ rv("s")*x\nlevel: between\ny1 ~~ s',
        {"y1 ~~ y1": 1.0},
        {"y1 ~ 1": 2.0, "s ~ 1": 0.5, "y1 ~~ y1": 0.25, "s ~~ s": 0.16, "y1 ~~ s": 0.06},
        draw=draw_slopes,
        effects=("y1", "s"),
    ),
    Case(
        "slope on a factor",
        "random slope on a latent predictor",
        'level: within\nfw =~ y1 + y2 + y3\ny4 ~ rv("s")*fw\nlevel: between\ny4 ~~ s',
        {"fw =~ y2": 0.9, "fw =~ y3": 1.1}
        | values("~~", {"fw": 1.0, "y1": 0.5, "y2": 0.5, "y3": 0.5, "y4": 0.8})
        | values("~", dict.fromkeys(["y1", "y2", "y3"], 3.0)),
        {"y4 ~ 1": 2.0, "s ~ 1": 0.5, "y4 ~~ y4": 0.25, "s ~~ s": 0.16, "y4 ~~ s": 0.06},
    ),
    Case(
        "slope on a split predictor",
        "random slope on a latently centred predictor",
        'level: within\ny1 ~ rv("s")*m\nlevel: between\ny1 ~ m\ny1 ~~ s',
        {"y1 ~~ y1": 1.0, "m ~~ m": 1.0},
        {"y1 ~ m": 0.8, "y1 ~ 1": 1.0, "m ~ 1": 3.0, "s ~ 1": 0.5}
        | {"y1 ~~ y1": 0.25, "m ~~ m": 0.4, "s ~~ s": 0.16, "y1 ~~ s": 0.06, "m ~~ s": 0.08},
    ),
    Case(
        "loadings",
        "random loadings",
        'level: within\nfw =~ y1 + rv("l2")*y2 + rv("l3")*y3\nlevel: between\nl2 ~~ l3',
        values("~~", {"fw": 1.0, "y1": 0.5, "y2": 0.5, "y3": 0.5})
        | values("~", dict.fromkeys(["y1", "y2", "y3"], 3.0)),
        {"l2 ~ 1": 0.9, "l3 ~ 1": 1.1, "l2 ~~ l2": 0.09, "l3 ~~ l3": 0.09, "l2 ~~ l3": 0.03},
        draw=draw_loadings,
        effects=("l2", "l3"),
    ),
    Case(
        "residual SD",
        "random log SD of a residual",
        'level: within\ny1 ~ x\ny1 ~~ rv("v")*y1\nlevel: between\ny1 ~~ v',
        {"y1 ~ x": 0.5},
        {"y1 ~ 1": 2.0, "v ~ 1": 0.0, "y1 ~~ y1": 0.25, "v ~~ v": 0.09, "y1 ~~ v": 0.05},
        draw=draw_residual_sds,
        effects=("y1", "v"),
    ),
    Case(
        "factor SD",
        "random log SD of a factor",
        'level: within\nfw =~ y1 + y2 + y3\nfw ~~ rv("vf")*fw\nlevel: between\nvf ~~ vf',
        {"fw =~ y2": 0.9, "fw =~ y3": 1.1}
        | values("~~", {"y1": 0.5, "y2": 0.5, "y3": 0.5})
        | values("~", dict.fromkeys(["y1", "y2", "y3"], 3.0)),
        {"vf ~ 1": 0.0, "vf ~~ vf": 0.09},
    ),
    Case(
        "factor correlation",
        "random correlation of two factors (Fisher z)",
        'level: within\nf =~ y1 + y2 + y3\ng =~ y4 + y5 + y6\nf ~~ rv("r")*g\n'
        "level: between\nr ~~ r",
        {"f =~ y2": 0.9, "f =~ y3": 1.1, "g =~ y5": 0.9, "g =~ y6": 1.1}
        | values("~~", {"f": 1.0, "g": 1.0} | {f"y{k}": 0.4 for k in range(1, 7)})
        | values("~", {f"y{k}": 3.0 for k in range(1, 7)}),
        {"r ~ 1": 0.4, "r ~~ r": 0.16},
    ),
    _fully_random(),
)


# The study ------------------------------------------------------------------------------------


@cache
def _simulator(case: Case) -> bm.Model:
    """Return the model on data of the right shape, for ``Model.simulate``."""
    rng = np.random.default_rng(1)
    cluster = np.repeat(np.arange(case.n_clusters), case.cluster_sizes)
    names = sorted(set(re.findall(r"\b(?:y\d|m|x)\b", case.text)))
    noise = pd.DataFrame(rng.standard_normal((len(cluster), len(names))), columns=names)
    return bm.Model(case.text, data=noise.assign(cluster=cluster), cluster="cluster")


def simulate(case: Case, seed: int) -> tuple[pd.DataFrame, Array | None]:
    """Simulate data, and the effects of every cluster if they are known."""
    if case.draw is None:
        return _simulator(case).simulate(case.truth, random_seed=seed), None
    return case.draw(np.random.default_rng(seed), case.cluster_sizes, case.truth)


@dataclass(frozen=True)
class _Uncompiled(PyFuncModel):
    """A density in Python that takes its starting points as compiled PyMC models do."""

    initial_point_func: Callable[[int | None], Array] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "_make_initial_points", self.initial_point_func)


def uncompiled(model: bm.Model) -> PyFuncModel:
    """Return what ``nutpie.compile_pymc_model`` returns, without compiling."""
    blueprint = model.blueprint
    bounds, n = support(blueprint), blueprint.parameters.n
    groups = blueprint.parameters.groups
    splits = np.cumsum([len(group.free) for group in groups])[:-1]
    names = [group.name for group in groups]
    shapes: list[tuple[int, ...]] = [(len(group.free),) for group in groups]
    if blueprint.n_sampled:
        names.append(COORDINATES)
        shapes.append((blueprint.observed.n_clusters, blueprint.n_sampled))

    def density(u: Array) -> tuple[float, Array]:
        return log_posterior(blueprint, u, jacobian=True)

    def expand(u: Array) -> dict[str, Array]:
        parts = [*np.split(bounds.to_constrained(u[:n])[0], splits), u[n:]]
        return {k: v.reshape(shape) for k, v, shape in zip(names, parts, shapes, strict=False)}

    dimension = n + blueprint.observed.n_clusters * blueprint.n_sampled
    made = from_pyfunc(
        dimension,
        lambda: density,
        lambda *_: expand,
        [np.dtype(np.float64)] * len(names),
        shapes,
        names,
        coords={
            "cluster_id": pd.Index([str(c) for c in blueprint.observed.cluster_ids]),
            "sampled_effect": pd.RangeIndex(blueprint.n_sampled),
        },
        dims={COORDINATES: ("cluster_id", "sampled_effect")},
    )
    return _Uncompiled(**{name: getattr(made, name) for name in made.__dataclass_fields__})


def fit(model: bm.Model, **options: Any) -> bm.Fit:
    """Do ``model.fit`` without compiling."""
    with patch.object(nutpie, "compile_pymc_model", lambda _: uncompiled(model)):
        return model.fit(progress=False, **options)


def replicate(case: Case, replication: int) -> pd.DataFrame:
    """Simulate and fit one data set.

    Parameters
    ----------
    case
        The model and its true values.
    replication
        Number of the data set, part of its seeds.

    Returns
    -------
    pandas.DataFrame
        One line per free row: truth, posterior mean and SD, interval, whether it holds the truth
        (``inside``, of 1). One line per effect that varies, if its true values are known: how many
        clusters' intervals hold theirs (``inside``, of J). Every line has the largest R-hat of the
        table rows and the number of divergences of the fit.
    """
    number = next(i for i, c in enumerate(CASES) if c.name == case.name)
    seeds = np.random.SeedSequence([2026, number, replication]).generate_state(2)
    frame, effects = simulate(case, int(seeds[0]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bm.MsemWarning)  # counted below
        warnings.simplefilter("error", bm.InterruptedWarning)
        model = bm.Model(case.text, data=frame, cluster="cluster", priors="wide")
        fitted = fit(
            model, draws=DRAWS, tune=TUNE, chains=CHAINS, cores=1, random_seed=int(seeds[1])
        )
    table = fitted.summary(ci=LEVEL)
    lines = list(_row_lines(pd.DataFrame(table[table["r_hat"].notna()]), case.truth))
    if effects is not None:
        lines += _effect_lines(fitted.cluster_effects(ci=LEVEL), case.effects, effects)
    result = pd.DataFrame(lines)
    result.insert(0, "case", case.name)
    result.insert(1, "replication", replication)
    return result.assign(
        r_hat=round(float(table["r_hat"].max()), 4), divergences=fitted.convergence.divergences
    )


def _row_lines(table: pd.DataFrame, truth: Mapping[Key, float]) -> Iterator[dict[str, object]]:
    by_key = table.set_index(["level", "lhs", "op", "rhs"])
    if set(by_key.index) != set(truth):
        raise ValueError(f"true values and free rows differ: {set(by_key.index) ^ set(truth)}")
    for key, true in truth.items():
        row = by_key.loc[key]
        numbers = {name: float(f"{row[name]:.5g}") for name in ("mean", "sd", "lower", "upper")}
        inside = int(row["lower"] <= true <= row["upper"])
        text = f"{key[0]}: {' '.join(key[1:])}"
        yield {"row": text, "truth": float(f"{true:.5g}"), **numbers, "inside": inside, "of": 1}


def _effect_lines(
    table: pd.DataFrame, names: Sequence[str], effects: Array
) -> Iterator[dict[str, object]]:
    for name, true in zip(names, effects.T, strict=True):
        of_effect = table[table["effect"] == name].sort_values("cluster")
        inside = (of_effect["lower"].to_numpy() <= true) & (true <= of_effect["upper"].to_numpy())
        yield {"row": f"effects: {name}", "inside": int(inside.sum()), "of": len(true)}


def run(minutes: float, path: Path = RESULTS) -> None:
    """Add replications to the results, all cases in turn, until the CPU time is spent."""
    done = set()
    if path.exists():
        results = read(path)
        done = set(zip(results["case"], results["replication"], strict=True))
    turns = [(case, replication) for case in CASES for replication in range(case.replications)]
    turns.sort(key=lambda turn: (turn[1] + 1) / turn[0].replications)
    start = time.process_time()
    for case, replication in turns:
        if (case.name, replication) in done:
            continue
        if time.process_time() - start > 60 * minutes:
            return
        before = time.process_time()
        result = replicate(case, replication)
        result.to_csv(path, mode="a", header=not path.exists(), index=False)
        print(
            f"{case.name} {replication}: {time.process_time() - before:.1f} CPU s, "
            f"{result['inside'].sum()} of {result['of'].sum()}, R-hat {result['r_hat'][0]}",
            flush=True,
        )


def read(path: Path = RESULTS) -> pd.DataFrame:
    """Read the results."""
    return pd.read_csv(path)


# Tables ---------------------------------------------------------------------------------------

GROUPS = {
    "all": "all rows",
    "within": "level within",
    "coefficients": "level 2: means, slopes, loadings",
    "covariances": "level 2: variances, covariances",
    "effects": "cluster effects",
}


@dataclass(frozen=True, slots=True)
class Coverage:
    """Share of intervals that hold the truth, and where it lies if 95% is right.

    Attributes
    ----------
    share
        Of all intervals of all fits.
    expected
        Limits of the share in 95% of studies like this one, were the true coverage 95%: quantiles
        of a binomial distribution. Its number of trials is that of the intervals, divided by the
        design effect (the variance of the share over fits, relative to independent intervals; at
        least 1), because intervals of one fit are not independent.
    """

    share: float
    expected: tuple[float, float]

    def __str__(self) -> str:
        """Return ``94.2 (91.0-98.1)``, in percent."""
        low, high = self.expected
        return f"{100 * self.share:.1f} ({100 * low:.1f}–{100 * high:.1f})"


def coverage(results: pd.DataFrame, mass: float = 0.95) -> Coverage | None:
    """Coverage of some lines of the results of one case; None if there are none.

    Parameters
    ----------
    results
        Lines to pool.
    mass
        Share of studies within the limits.
    """
    if results.empty:
        return None
    by_fit = results.groupby("replication")[["inside", "of"]].sum()
    n = int(by_fit["of"].sum())
    share = float(by_fit["inside"].sum() / n)
    # variance between fits: around the share itself, so that bad coverage cannot excuse itself
    design_effect = 1.0
    if len(by_fit) > 1 and 0 < share < 1:
        variance = len(by_fit) * float((by_fit["inside"] - share * by_fit["of"]).var())
        design_effect = variance / (n * share * (1 - share))
    trials = max(round(n / max(design_effect, 1.0)), len(by_fit))
    low, high = stats.binom.interval(mass, trials, LEVEL)
    return Coverage(share, (low / trials, high / trials))


def group_of(row: str) -> str:
    """Return the group that a row is pooled in."""
    level, _, text = row.partition(": ")
    if level == "between":
        return "covariances" if " ~~ " in text else "coefficients"
    return level


def select(results: pd.DataFrame, case: str, group: str) -> pd.DataFrame:
    """Lines of one case and one of ``GROUPS``; "all" is every table row."""
    lines = results[results["case"] == case]
    groups = lines["row"].map(group_of)
    return lines[groups != "effects"] if group == "all" else lines[groups == group]


def case_table(results: pd.DataFrame) -> str:
    """Coverage and sampling diagnostics of every case."""
    head = ["varies over clusters", "data sets", *GROUPS.values()]
    head += ["divergent transitions", f"R-hat > {R_HAT_LIMIT}"]
    rows = []
    for case in CASES:
        fits = results[results["case"] == case.name].groupby("replication").first()
        cells = [coverage(select(results, case.name, group)) for group in GROUPS]
        rows.append(
            [
                case.name,
                str(len(fits)),
                *("" if cell is None else str(cell) for cell in cells),
                str(fits["divergences"].sum()),
                f"{(fits['r_hat'] > R_HAT_LIMIT).sum()} of {len(fits)}",
            ]
        )
    return markdown(head, rows)


def row_table(results: pd.DataFrame, case: Case) -> str:
    """Truth, estimates and coverage of every row of one case."""
    head = ["row", "truth", "mean of means", "bias / SD", "SD of means", "mean SD", "coverage"]
    lines = select(results, case.name, "all")
    rows = []
    for name, of_row in lines.groupby("row", sort=False):
        mean, sd, truth = of_row["mean"], of_row["sd"].mean(), of_row["truth"].iloc[0]
        numbers = [mean.mean(), (mean.mean() - truth) / sd, mean.std(), sd]
        inside = f"{of_row['inside'].sum()} of {len(of_row)}"
        formats = [f"{number:.{2 if i == 1 else 3}f}" for i, number in enumerate(numbers)]
        rows.append([f"`{name}`", f"{truth:.4g}", *formats, inside])
    return markdown(head, rows)


def outlying_rows(results: pd.DataFrame) -> str:
    """How many rows of all cases have a coverage outside the binomial limits of single rows."""
    rows = results[results["row"].map(group_of) != "effects"]
    counts = rows.groupby(["case", "row"], sort=False)["inside"].agg(["sum", "size"])
    low = stats.binom.ppf(0.025, counts["size"], LEVEL)
    outside = counts["sum"] < low
    expected = stats.binom.cdf(low - 1, counts["size"], LEVEL).sum()
    return (
        f"Of {len(counts)} rows, {outside.sum()} are covered less often than the lower 2.5% "
        f"binomial limit for a single row allows; {expected:.1f} would be by chance alone."
    )


def designs() -> str:
    """Clusters and model of every case."""
    parts = []
    for case in CASES:
        low, high = case.sizes
        text = "\n".join(line for line in case.text.strip().splitlines() if "0*" not in line)
        parts.append(
            f"**{case.name}**: {case.title}; {case.n_clusters} clusters of {low} to {high}.\n\n"
            f"<!-- model text -->\n```text\n{text}\n```"
        )
    return "\n\n".join(parts)


def tables(results: pd.DataFrame) -> dict[str, str]:
    """Return what stands between the marks of the page, by name of the mark."""
    rows = [f"### {case.name}\n\n{row_table(results, case)}" for case in CASES]
    return {
        "coverage": case_table(results),
        "outlying": outlying_rows(results),
        "rows": "\n\n".join(rows),
        "designs": designs(),
    }


def with_tables(page: str, results: pd.DataFrame) -> str:
    """Replace the tables of a page, each between ``<!-- begin: name -->`` and ``end``."""
    return with_marked(page, tables(results))


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the study, or only write its tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=20.0, help="CPU minutes to spend")
    parser.add_argument("--tables", action="store_true", help="write the tables and stop")
    options = parser.parse_args(arguments)
    if not options.tables:
        run(options.minutes)
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8"), read()), encoding="utf-8")


if __name__ == "__main__":
    main()
