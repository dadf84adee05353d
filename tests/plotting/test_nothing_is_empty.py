"""No figure is silently empty: missing values, random slopes, one level, one chain, few draws."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

import bayes_msem as bm
from tests.checking.laplace import laplace_fit
from tests.plotting.drawn import assert_shows_something, points_of
from tests.posterior.made_up import synthetic_fit

FIXED = """
level: within
    y ~ a*x + v + m
level: between
    y ~ w + m
d := 2*a
"""
RANDOM = """
level: within
    y ~ rv("s")*x + v
level: between
    y ~ w
    s ~ w
    y ~~ s
"""
SINGLE = "f =~ y + m + v\nf ~ x"

_SINGLE: dict[str, Callable[[bm.Fit], Figure]] = {
    "forest": lambda fit: fit.plot_forest(),
    "trace": lambda fit: fit.plot_trace(),
    "rank": lambda fit: fit.plot_rank(),
    "prior and posterior": lambda fit: fit.plot_prior_posterior(),
    "pareto k": lambda fit: fit.plot_pareto_k(),
    "densities": lambda fit: fit.plot_ppc(),
    "statistics": lambda fit: fit.plot_ppc("statistics"),
    "scatter": lambda fit: fit.plot_ppc("scatter"),
    "prior predictive": lambda fit: fit.model.plot_prior_predictive(),
}
_TWO: dict[str, Callable[[bm.Fit], Figure]] = _SINGLE | {
    "regression": lambda fit: fit.plot_regression("y", "x"),
    "levels": lambda fit: fit.plot_levels("x", "y", between="w"),
    "clusters": lambda fit: fit.plot_clusters("y"),
    "densities within": lambda fit: fit.plot_ppc(part="within"),
    "densities between": lambda fit: fit.plot_ppc(part="between"),
    "distances": lambda fit: fit.plot_ppc("clusters"),
    "single clusters": lambda fit: fit.plot_ppc_clusters("y"),
    "pareto k of rows": lambda fit: fit.plot_pareto_k("observation"),
}
FIGURES = {
    "missing": _TWO | {"split levels": lambda fit: fit.plot_levels("m", "y")},
    "random": _TWO
    | {
        "slopes": lambda fit: fit.plot_clusters("s"),
        "correlations": lambda fit: fit.plot_effect_correlations(),
    },
    "single": _SINGLE,
    "one chain": _TWO,
    "few draws": _TWO,
}


def gappy() -> pd.DataFrame:
    """Values missing of the outcome, of outcome and covariates, and of a whole cluster."""
    rng = np.random.default_rng(7)
    n_clusters, n = 20, 6
    g = np.repeat(np.arange(n_clusters), n)
    frame = pd.DataFrame({"g": [f"c{i}" for i in g], "w": rng.normal(size=n_clusters)[g]})
    for name in ("x", "v"):
        frame[name] = rng.normal(size=len(g))
    for name in ("m", "y"):
        own = rng.normal(0, 0.5, n_clusters)[g]
        frame[name] = 0.5 * frame["x"] + 0.5 * frame["v"] + own + rng.normal(size=len(g))
    frame.loc[3, "y"] = np.nan
    frame.loc[[7, 8], "m"] = np.nan
    frame.loc[10, ["y", "m", "x", "v"]] = np.nan
    frame.loc[frame["g"] == "c4", ["y", "m", "x", "v"]] = np.nan
    return frame


@pytest.fixture(scope="module")
def fits() -> dict[str, bm.Fit]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bm.MsemWarning)
        fixed = bm.Model(FIXED, gappy(), cluster="g")
        random = bm.Model(RANDOM, gappy(), cluster="g")
        single = bm.Model(SINGLE, gappy().drop(columns="g").dropna(subset=["x"]))
        return {
            "missing": laplace_fit(fixed, draws=60),
            "random": synthetic_fit(random, draws=30),
            "single": laplace_fit(single, draws=60),
            "one chain": laplace_fit(fixed, draws=60, chains=1),
            "few draws": synthetic_fit(fixed, draws=13),
        }


@pytest.mark.filterwarnings("ignore::bayes_msem.AccuracyWarning")
@pytest.mark.parametrize(
    ("kind", "figure"), [(kind, name) for kind, figures in FIGURES.items() for name in figures]
)
def test_every_panel_shows_something(fits: dict[str, bm.Fit], kind: str, figure: str) -> None:
    assert_shows_something(FIGURES[kind][figure](fits[kind]))
