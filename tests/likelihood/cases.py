"""Models and data on which the likelihood is compared with the oracle."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

import bayes_msem as bm
from bayes_msem.errors import MsemWarning

Key = tuple[str, str, str, str]
Labels = Mapping[str, float]


@dataclass(frozen=True)
class Case:
    """A model text; ``computed`` gives the labels that ``==`` computes, in plain Python."""

    name: str
    text: str
    cluster: str | None = "group"
    std_lv: bool = False
    computed: Mapping[str, Callable[[Labels], float]] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.name


def two_level(name: str, within: str, between: str, after: str = "", **options: object) -> Case:
    text = f"level: within\n{within}\nlevel: between\n{between}\n{after}"
    return Case(name, text, **options)  # type: ignore[arg-type]


def single_level(name: str, text: str, **options: object) -> Case:
    return Case(name, text, cluster=None, **options)  # type: ignore[arg-type]


FACTOR_W, FACTOR_B = "fw =~ y1 + y2 + y3", "fb =~ y1 + y2 + y3"

TWO_LEVEL_CASES = (
    two_level("only intercepts", "y1 ~~ y1", "y1 ~~ y1"),
    two_level("random intercept", "y1 ~ x1 + x2", "y1 ~ w1 + w2"),
    two_level("one factor", FACTOR_W, FACTOR_B),
    two_level(
        "x and w on factors and indicators",
        f"{FACTOR_W}\nfw ~ x1\ny2 ~ x2",
        f"{FACTOR_B}\nfb ~ w1\ny3 ~ w2",
    ),
    two_level(
        "two factors, residual covariances",
        "f =~ y1 + y2 + y3\ng =~ y4 + y5 + y6\ny1 ~~ y4\ny2 ~~ y5",
        "b =~ y1 + y2 + y3 + y4 + y5 + y6\ny1 ~~ y2\ny2 ~~ y3",
    ),
    two_level("structural model", "f =~ y1 + y2\ng =~ y3 + y4\ng ~ f + x1\nf ~ x1", "y1 ~~ y3"),
    two_level("saturated between", FACTOR_W, "y1 ~~ y2\ny1 ~~ y3\ny2 ~~ y3"),
    two_level("4-cycle between", "f =~ y1 + y2 + y3 + y4", "y1~~y2\ny2~~y3\ny3~~y4\ny4~~y1"),
    two_level("singular between", FACTOR_W, f"{FACTOR_B}\ny1 ~~ 0*y1\ny2 ~~ 0*y2\ny3 ~~ 0*y3"),
    two_level("no between variance", "y1 ~ x1\ny2 ~ y1", "y1 ~~ 0*y1\ny2 ~~ 0*y2\ny1 ~ w1"),
    two_level("within-only outcome", f"{FACTOR_W}\ny4 ~ fw + x1", FACTOR_B),
    two_level("within-only mediator", "y1 ~ y4 + x1\ny4 ~ x1", "y1 ~ w1"),
    two_level("all outcomes within-only but one", "f =~ y1 + y2 + y3 + y4", "y4 ~ w1"),
    two_level("cluster-level outcomes", FACTOR_W, f"{FACTOR_B}\nz1 + z2 ~ fb + w1\nz1 ~~ z2"),
    two_level("cluster-level indicators", FACTOR_W, "fb =~ y1 + z1 + z2 + y2 + y3"),
    two_level("cluster-level mediator", "y1 ~ x1", "z1 ~ w1 + w2\ny1 ~ z1 + w1"),
    two_level("outcomes of which none is split", "y1 ~ x1", "z1 ~ w1"),
    two_level("split covariate", "y1 ~ s1", "y1 ~ s1 + w1"),
    two_level(
        "second order",
        "f =~ y1 + y2\ng =~ y3 + y4\nh =~ y5 + y6\ntop =~ f + g + h",
        "fb =~ y1 + y2\ngb =~ y3 + y4\nhb =~ y5 + y6\ntopb =~ fb + gb + hb",
    ),
    two_level("equal across levels", "fw =~ y1 + a*y2 + b*y3", "fb =~ y1 + a*y2 + b*y3"),
    two_level("equal variances", f"{FACTOR_W}\ny1 ~~ v*y1\ny2 ~~ v*y2", f"{FACTOR_B}\ny3 ~~ v*y3"),
    two_level(
        "computed loadings",
        "fw =~ y1 + a*y2 + b*y3",
        "fb =~ y1 + c*y2 + d*y3",
        "c == a^2 + 1\nd == exp(a) * b - 1",
        computed={
            "c": lambda at: at["a"] ** 2 + 1,
            "d": lambda at: math.exp(at["a"]) * at["b"] - 1,
        },
    ),
    two_level(
        "computed from variance and covariance",
        "y1 ~~ c*y2\ny1 ~ a*x1\ny2 ~ k*x1",
        "y1 ~~ v*y1\ny2 ~~ y2",
        "a == 2 * c\nk == a - v",
        computed={"a": lambda at: 2 * at["c"], "k": lambda at: 2 * at["c"] - at["v"]},
    ),
    two_level("std_lv", FACTOR_W, FACTOR_B, std_lv=True),
    two_level("cyclic within", "y1 ~ y2 + x1\ny2 ~ y1 + x2", "y1 ~ w1\ny2 ~ y1"),
    two_level("cyclic between", "y1 ~~ y2", "y1 ~ y2 + w1\ny2 ~ y1 + w2"),
    two_level("cyclic, three outcomes", "y1 ~ y2 + x1\ny2 ~ y3 + x2\ny3 ~ y1", "y1 ~~ y2"),
    two_level(
        "constants",
        "fw =~ 0.8*y1 + y2 + y3\ny2 ~ 0.3*x1\nfw ~~ 0.5*fw",
        f"{FACTOR_B}\ny2 ~ 0.5*1\ny1 ~~ 0.2*y2\ny1 ~ -0.4*w1",
    ),
    two_level("latent mean", FACTOR_W, f"{FACTOR_B}\ny1 ~ 0*1\nfb ~ 1"),
    two_level(
        "loading and slope of one pair",
        "fw =~ y1 + 0.5*y2 + y3\ny2 ~ fw + x1\nfw ~ x1",
        "fb =~ y1 + 0.5*y2 + y3\ny2 ~ fb + w1\nz1 ~ fb",
    ),
    two_level(
        "loading and slope of one pair, circle",
        "fw =~ y1 + 0.5*y2 + y3 + y4\ny2 ~ fw + y4\ny4 ~ y2",
        "fb =~ y1 + y2 + y3\nz1 ~ fb\nfb =~ 0.4*z1",
    ),
)

SINGLE_LEVEL_CASES = (
    single_level("regression", "y1 ~ x1 + x2"),
    single_level("multivariate regression", "y1 + y2 ~ x1 + x2\ny1 ~~ y2"),
    single_level("path model", "y3 ~ y2 + x1\ny2 ~ y1 + x1\ny1 ~ x2"),
    single_level("cyclic path model", "y1 ~ y2 + x1\ny2 ~ y1 + x2"),
    single_level("CFA", "f =~ y1 + y2 + y3\ng =~ y4 + y5 + y6"),
    single_level("CFA, std_lv", "f =~ y1 + y2 + y3\ng =~ y4 + y5 + y6", std_lv=True),
    single_level(
        "CFA, 4-cycle", "f =~ y1 + y2 + y3 + y4 + y5\ny1 ~~ y2\ny2 ~~ y3\ny3 ~~ y4\ny4 ~~ y1"
    ),
    single_level("second order", "f =~ y1+y2\ng =~ y3+y4\nh =~ y5+y6\ntop =~ f+g+h\ntop ~ x1"),
    single_level("latent mean", "f =~ y1 + y2 + y3\ny1 ~ 0*1\nf ~ 1 + x1"),
    single_level(
        "loadings and slopes of one pair",
        "f =~ y1 + 0.5*y2 + y3\ny2 ~ f\ng =~ y4 + a*y5 + y6\ny5 ~ b*g\ng ~ f + x1\nf =~ 0.3*g\n"
        "b == 0.5 * a",
        computed={"b": lambda at: 0.5 * at["a"]},
    ),
    single_level(
        "computed slope",
        "y1 ~ a*x1 + b*x2\nb == 1 - a",
        computed={"b": lambda at: 1 - at["a"]},
    ),
)

CASES = TWO_LEVEL_CASES + SINGLE_LEVEL_CASES


def make_frame(
    sizes: tuple[int, ...] = (3, 1, 5, 2, 1, 7, 4, 4, 2, 6), seed: int = 1
) -> pd.DataFrame:
    """Unbalanced data with two clusters of one row, text identifiers and shuffled rows.

    s1 varies at both levels; x within, w and z only between clusters.
    """
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(len(sizes)), sizes)
    columns: dict[str, object] = {"group": [f"g{(7 * g) % 31}" for g in group]}
    for name in ("y1", "y2", "y3", "y4", "y5", "y6", "s1"):
        columns[name] = rng.normal(size=len(group)) + rng.normal(size=len(sizes))[group]
    columns |= {name: rng.normal(size=len(group)) for name in ("x1", "x2")}
    columns |= {name: rng.normal(size=len(sizes))[group] for name in ("w1", "w2", "z1", "z2")}
    order = rng.permutation(len(group))
    return pd.DataFrame(columns).iloc[order].reset_index(drop=True)


def make_model(case: Case, frame: pd.DataFrame) -> bm.Model:
    """Build the model; warnings about few clusters are not the point here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MsemWarning)
        return bm.Model(case.text, data=frame, cluster=case.cluster, std_lv=case.std_lv)


def random_values(case: Case, model: bm.Model, seed: int) -> dict[Key, float]:
    """Admissible values of all rows: covariance matrices are diagonally dominant."""
    rng = np.random.default_rng(seed)
    table = model.parameter_table
    free: dict[int, float] = {}
    values: dict[Key, float] = {}
    labels: dict[str, float] = {}
    # variances first: covariances are measured by them
    order = np.argsort((table["op"] != "~~") | (table["lhs"] != table["rhs"]), kind="stable")
    for row in table.iloc[order].itertuples(index=False):
        key = (row.level, row.lhs, row.op, row.rhs)
        if row.op == ":=":
            continue
        if row.free:
            if row.free not in free:
                free[row.free] = _draw(key, values, rng)
            values[key] = free[row.free]
            if row.label:
                labels[row.label] = values[key]
        else:
            values[key] = row.value
    for row in table.itertuples(index=False):
        if row.label in case.computed:
            key = (row.level, row.lhs, row.op, row.rhs)
            values[key] = case.computed[row.label](labels)
    return values


def _draw(key: Key, values: Mapping[Key, float], rng: np.random.Generator) -> float:
    level, lhs, op, rhs = key
    if op == "~~" and lhs == rhs:
        return float(np.exp(0.4 * rng.normal()))
    if op == "~~":
        product = values[(level, lhs, "~~", lhs)] * values[(level, rhs, "~~", rhs)]
        return float(0.3 * rng.uniform(-1, 1) * np.sqrt(product))
    return float(rng.normal(1.0, 0.3) if op == "=~" else rng.normal(0.0, 0.5))


def free_values(model: bm.Model, values: Mapping[Key, float]) -> dict[Key, float]:
    """Leave out constants and computed rows, which a user need not give."""
    return {row.key: values[row.key] for row in model.table.rows if row.free}
