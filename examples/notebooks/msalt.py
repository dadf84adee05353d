"""Data of the shape of the MSALT example: two mediators at once, at both levels.

Kristopher Preacher's talks on multilevel SEM (2009) use pupils of the Michigan Study of Adolescent
Life Transitions: does ``gse`` (read here as general self-esteem) go with performance in class by
way of talent, as pupils see it, and effort? The study's data are not ours to ship. These are
simulated, with the intraclass correlations of the example; the coefficients are made up,
standardised ones that are equal at both levels. ``benchmarks/prior_msalt.py`` studies the same
design.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = ["ICC", "PATHS", "simulate", "true_slope"]

ICC = {"gse": 0.03, "talent": 0.11, "effort": 0.13, "performance": 0.04}
# standardised at either level: (outcome, predictor) -> slope
PATHS = {
    ("talent", "gse"): 0.4,
    ("effort", "gse"): 0.3,
    ("performance", "talent"): 0.35,
    ("performance", "effort"): 0.25,
    ("performance", "gse"): 0.15,
}


def simulate(clusters: int = 120, rows: int = 2000, seed: int = 3) -> pd.DataFrame:
    """Simulate pupils in classrooms of random size; every variable has mean 4 and variance 1."""
    rng = np.random.default_rng(seed)
    share = rng.dirichlet(np.full(clusters, 8.0))
    classroom = np.sort(rng.choice(clusters, rows, p=share))

    def level(n: int, sd: dict[str, float]) -> dict[str, NDArray[np.float64]]:
        gse = rng.normal(size=n)
        talent = 0.4 * gse + np.sqrt(1 - 0.16) * rng.normal(size=n)
        effort = 0.3 * gse + np.sqrt(1 - 0.09) * rng.normal(size=n)
        residual = rng.normal(size=n)
        performance = 0.35 * talent + 0.25 * effort + 0.15 * gse
        performance = performance + np.sqrt(max(1 - np.var(performance), 0.1)) * residual
        values = {"gse": gse, "talent": talent, "effort": effort, "performance": performance}
        return {name: value * sd[name] for name, value in values.items()}

    within = level(rows, {name: np.sqrt(1 - icc) for name, icc in ICC.items()})
    between = level(clusters, {name: np.sqrt(icc) for name, icc in ICC.items()})
    data = pd.DataFrame({name: 4 + within[name] + between[name][classroom] for name in ICC})
    data.insert(0, "classroom", classroom)
    return data


def true_slope(level: str, outcome: str, predictor: str) -> float:
    """Slope in units of the data: the standardised one times the ratio of standard deviations."""

    def variance(name: str) -> float:
        return ICC[name] if level == "between" else 1 - ICC[name]

    return PATHS[outcome, predictor] * (variance(outcome) / variance(predictor)) ** 0.5
