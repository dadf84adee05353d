r"""Simulate the data set ``belonging``: students in schools in three countries.

Student i in school j of country g, with indicators y = (welcome, friends, fit, voice):

    y_ij = nu_g + lambda_b,g belonging_b_j + eps_b_j + lambda_w,g belonging_w_ij + eps_w_ij

As a model, in every country:

    level: within
        belonging_w =~ welcome + friends + fit + voice
    level: between
        belonging_b =~ welcome + friends + fit + voice

Loadings and intercepts are equal in all countries but for two of country C, whose item ``voice``
was translated differently: its intercept is 0.8 higher, and its loading within 0.5 instead of 0.9.
The mean of belonging is 0 in A, 0.3 in B and -0.2 in C. ``TRUE_VALUES`` holds every parameter. Run
this file to write the compressed CSV again:

    python bayes_msem/datasets/simulate_belonging.py
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd

from bayes_msem.datasets.simulate_school_climate import write_csv_gz

__all__ = ["COUNTRIES", "ITEMS", "SEED", "TRUE_VALUES", "simulate_belonging"]

SEED = 20251130
COUNTRIES = ("A", "B", "C")
ITEMS = ("welcome", "friends", "fit", "voice")
N_SCHOOLS = 20  # in each country

_LOADINGS_W = (1.0, 0.9, 1.1, 0.9)
_LOADINGS_B = (1.0, 0.8, 1.0, 1.1)
_INTERCEPTS = (5.0, 5.5, 4.8, 4.2)
_RESIDUALS_W = (0.6, 0.7, 0.5, 0.8)
_RESIDUALS_B = (0.05, 0.04, 0.06, 0.05)
_MEANS = {"A": 0.0, "B": 0.3, "C": -0.2}
_FACTORS_W = {"A": 0.7, "B": 0.9, "C": 0.8}
_FACTORS_B = {"A": 0.25, "B": 0.2, "C": 0.3}


def _values() -> dict[tuple[str, str, str, str, str], float]:
    values: dict[tuple[str, str, str, str, str], float] = {}
    for g in COUNTRIES:
        w, b = "belonging_w", "belonging_b"
        for k, item in enumerate(ITEMS):
            values["within", w, "=~", item, g] = _LOADINGS_W[k]
            values["within", item, "~~", item, g] = _RESIDUALS_W[k]
            values["between", b, "=~", item, g] = _LOADINGS_B[k]
            values["between", item, "~~", item, g] = _RESIDUALS_B[k]
            values["between", item, "~", "1", g] = _INTERCEPTS[k]
        values["within", w, "~~", w, g] = _FACTORS_W[g]
        values["between", b, "~~", b, g] = _FACTORS_B[g]
        values["between", b, "~", "1", g] = _MEANS[g]
    values["within", "belonging_w", "=~", "voice", "C"] = 0.5
    values["between", "voice", "~", "1", "C"] = 5.0
    return values


TRUE_VALUES = _values()


def simulate_belonging(seed: int = SEED, n_schools: int = N_SCHOOLS) -> pd.DataFrame:
    """Simulate the data set.

    Parameters
    ----------
    seed
        Seed of the random numbers; the default gives the shipped data.
    n_schools
        Number of schools in each country, of 8 to 16 students.

    Returns
    -------
    pandas.DataFrame
        One row per student, rounded to three decimals.
    """
    rng = np.random.default_rng(seed)
    frames = []
    for g in COUNTRIES:
        sizes = rng.integers(8, 17, size=n_schools)
        school = np.repeat(np.arange(n_schools), sizes)
        sd_w = math.sqrt(TRUE_VALUES["within", "belonging_w", "~~", "belonging_w", g])
        sd_b = math.sqrt(TRUE_VALUES["between", "belonging_b", "~~", "belonging_b", g])
        mean = TRUE_VALUES["between", "belonging_b", "~", "1", g]
        within = sd_w * rng.standard_normal(len(school))
        between = mean + sd_b * rng.standard_normal(n_schools)
        columns: dict[str, object] = {
            "country": [g] * len(school),
            "school": [f"{g}{j + 1:02d}" for j in school],
        }
        for item in ITEMS:
            loading = TRUE_VALUES["between", "belonging_b", "=~", item, g]
            of_school = TRUE_VALUES["between", item, "~", "1", g] + loading * between
            noise_b = math.sqrt(TRUE_VALUES["between", item, "~~", item, g])
            of_school = of_school + noise_b * rng.standard_normal(n_schools)
            noise_w = math.sqrt(TRUE_VALUES["within", item, "~~", item, g])
            of_student = TRUE_VALUES["within", "belonging_w", "=~", item, g] * within
            of_student += noise_w * rng.standard_normal(len(school))
            columns[item] = of_school[school] + of_student
        frames.append(pd.DataFrame(columns))
    return pd.concat(frames, ignore_index=True).round(3)


if __name__ == "__main__":
    write_csv_gz(simulate_belonging(), Path(__file__).with_name("belonging.csv.gz"))
