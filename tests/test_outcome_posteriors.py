"""Posteriors of models with outcomes that are not normal, against Stan programs with equal priors.

The programs and what they gave are in tests/reference/outcomes/posterior. Tolerances are those of
the comparison itself: a tenth of a posterior SD for means, a tenth for SDs; Monte Carlo errors of
both sides (Stan: at most .016 and .018; here ESS above 2,000: .022 and .016) are well inside.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import bayes_msem as bm

HERE = Path(__file__).parent / "reference" / "outcomes"
Key = tuple[str, str, str, str]

PRIORS = {
    "threshold": "normal(0, 1.5)",
    "intercept": "normal(0, 1.5)",
    "loading": "normal(1, 1)",
    "regression": "normal(0, 1)",
    "variance": "halfnormal(1)[sd]",
    "covariance": "lkj(1)",
}

SLOPE = """
level: within
    y ~ rv("slope")*x
level: between
    y ~~ slope
    slope ~ prior("normal(0, 1)")*1
"""
CFA = """
level: within
    fw =~ y1 + y2 + y3 + y4 + y5
level: between
    fb =~ y1 + y2 + y3 + y4 + y5
"""
LATENT = """
level: within
    fw =~ y1 + y2 + y3 + y4
    z ~ rv("slope")*fw
level: between
    fb =~ y1 + y2 + y3 + y4
    z ~ fb
    z ~~ slope
    fb ~~ 0*slope
    slope ~ prior("normal(0, 1)")*1
"""


def thresholds(*items: str) -> dict[str, Key]:
    return {
        f"tau[{k},{c}]": ("between", item, "|", f"t{c}")
        for k, item in enumerate(items, start=1)
        for c in (1, 2, 3)
    }


def factors(*items: str) -> dict[str, Key]:
    rows: dict[str, Key] = {"var_fw": ("within", "fw", "~~", "fw")}
    rows["var_fb"] = ("between", "fb", "~~", "fb")
    for k, item in enumerate(items, start=1):
        rows[f"var_u[{k}]"] = ("between", item, "~~", item)
        if k > 1:
            rows[f"loading_w[{k - 1}]"] = ("within", "fw", "=~", item)
            rows[f"loading_b[{k - 1}]"] = ("between", "fb", "=~", item)
    return rows


EFFECTS: dict[str, Key] = {
    "slope": ("between", "slope", "~", "1"),
    "var_u[1]": ("between", "y", "~~", "y"),
    "var_u[2]": ("between", "slope", "~~", "slope"),
    "covariance": ("between", "y", "~~", "slope"),
}
CASES: dict[str, tuple[str, dict[str, Any], dict[str, Key]]] = {
    "binary_slope": (
        SLOPE,
        {"families": {"y": "binary(logit)"}},
        {"tau": ("between", "y", "|", "t1"), **EFFECTS},
    ),
    "count_slope": (
        SLOPE,
        {"families": {"y": "poisson"}, "exposure": {"y": "exposure"}},
        {"intercept": ("between", "y", "~", "1"), **EFFECTS},
    ),
    "cfa": (
        CFA,
        {"ordered": True},
        thresholds("y1", "y2", "y3", "y4", "y5") | factors("y1", "y2", "y3", "y4", "y5"),
    ),
    "latent_slope": (
        LATENT,
        {"ordered": ["y1", "y2", "y3", "y4", "z"]},
        thresholds("y1", "y2", "y3", "y4", "z")
        | factors("y1", "y2", "y3", "y4")
        | {
            "slope": ("between", "slope", "~", "1"),
            "beta_b": ("between", "z", "~", "fb"),
            "var_v[1]": ("between", "z", "~~", "z"),
            "var_v[2]": ("between", "slope", "~~", "slope"),
            "covariance": ("between", "z", "~~", "slope"),
        },
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", list(CASES))
def test_posterior_is_that_of_stan(name: str) -> None:
    spec, options, rows = CASES[name]
    frame = pd.read_csv(HERE / "data" / f"{name}.csv")
    model = bm.Model(spec, data=frame, cluster="cluster", priors=PRIORS, **options)
    fit = model.fit(draws=3000, tune=1000, chains=2, random_seed=1, progress=False)
    table = fit.summary().set_index(["level", "lhs", "op", "rhs"])
    stan = json.loads((HERE / "posterior" / f"{name}.json").read_text())["parameters"]
    assert set(rows) <= set(stan)
    found = pd.DataFrame(
        {
            "mean": [table.loc[key, "mean"] for key in rows.values()],
            "sd": [table.loc[key, "sd"] for key in rows.values()],
            "stan_mean": [stan[n]["mean"] for n in rows],
            "stan_sd": [stan[n]["sd"] for n in rows],
        },
        index=list(rows),
    )
    free = table["ess_bulk"].dropna()
    assert free.min() > 1000, free.sort_values().head()
    shift = (found["mean"] - found["stan_mean"]).abs() / found["stan_sd"]
    ratio = np.log(found["sd"] / found["stan_sd"]).abs()
    assert shift.max() < 0.1, found[shift >= 0.1]
    assert ratio.max() < np.log(1.1), found[ratio >= np.log(1.1)]
    assert fit.datatree["sample_stats"]["diverging"].sum() == 0
