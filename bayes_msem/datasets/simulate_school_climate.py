r"""Simulate the data set ``school_climate``: students in schools, climate at both levels.

Student i in school j, with indicators y = (safety, respect, support, fairness):

    y_ij        = nu + lambda_b climate_b_j + eps_b_j + lambda_w climate_w_ij + eps_w_ij
    climate_w   = 0.25 ses + zeta_w
    climate_b   = -0.35 urban + zeta_b
    retention_j = 80 + 8 climate_b_j + zeta_r

``ses`` itself varies between schools (a third of its variance), and is conditioned on. As a
model:

    level: within
        climate_w =~ safety + respect + support + fairness
        climate_w ~ ses
    level: between
        climate_b =~ safety + respect + support + fairness
        climate_b ~ urban
        retention ~ climate_b

``TRUE_VALUES`` holds every parameter of it. Run this file to write the compressed CSV again:

    python bayes_msem/datasets/simulate_school_climate.py
"""

from __future__ import annotations

import gzip
import math
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = ["SEED", "TRUE_VALUES", "simulate_school_climate", "write_csv_gz"]

SEED = 20240914
N_SCHOOLS = 30
INDICATORS = ("safety", "respect", "support", "fairness")

_INTERCEPTS = (5.0, 5.4, 4.8, 4.6)
_LOADINGS_W = (1.0, 1.1, 0.9, 0.8)
_LOADINGS_B = (1.0, 1.2, 0.9, 1.0)
_RESIDUAL_VARIANCES_W = (0.6, 0.5, 0.7, 0.8)
_RESIDUAL_VARIANCES_B = (0.03, 0.02, 0.05, 0.04)

# The keys of parameter tables: (level, lhs, op, rhs); `x ~~ x` is a variance.
TRUE_VALUES: dict[tuple[str, str, str, str], float] = {
    **{("within", "climate_w", "=~", y): v for y, v in zip(INDICATORS, _LOADINGS_W, strict=True)},
    ("within", "climate_w", "~", "ses"): 0.25,
    ("within", "climate_w", "~~", "climate_w"): 0.5,
    **{("within", y, "~~", y): v for y, v in zip(INDICATORS, _RESIDUAL_VARIANCES_W, strict=True)},
    **{("between", "climate_b", "=~", y): v for y, v in zip(INDICATORS, _LOADINGS_B, strict=True)},
    ("between", "climate_b", "~", "urban"): -0.35,
    ("between", "retention", "~", "climate_b"): 8.0,
    ("between", "climate_b", "~~", "climate_b"): 0.15,
    ("between", "retention", "~~", "retention"): 9.0,
    **{("between", y, "~~", y): v for y, v in zip(INDICATORS, _RESIDUAL_VARIANCES_B, strict=True)},
    **{("between", y, "~", "1"): v for y, v in zip(INDICATORS, _INTERCEPTS, strict=True)},
    ("between", "retention", "~", "1"): 80.0,
}


def simulate_school_climate(seed: int = SEED, n_schools: int = N_SCHOOLS) -> pd.DataFrame:
    """Simulate the data set.

    Parameters
    ----------
    seed
        Seed of the random numbers; the default gives the shipped data.
    n_schools
        Number of schools; sizes are uniform between 6 and 30, and the first has one student.

    Returns
    -------
    pandas.DataFrame
        One row per student, rounded to three decimals.
    """
    rng = np.random.default_rng(seed)
    sizes = rng.integers(6, 31, size=n_schools)
    sizes[0] = 1
    school = np.repeat(np.arange(n_schools), sizes)

    urban = (rng.random(n_schools) < 0.4).astype(np.int64)
    zeta_b = _noise(rng, "between", "climate_b", n_schools)
    climate_b = _value("between", "climate_b", "~", "urban") * urban + zeta_b
    zeta_r = _noise(rng, "between", "retention", n_schools)
    slope = _value("between", "retention", "~", "climate_b")
    retention = _value("between", "retention", "~", "1") + slope * climate_b + zeta_r

    ses = np.sqrt(1 / 3) * rng.standard_normal(n_schools)[school]
    ses = ses + np.sqrt(2 / 3) * rng.standard_normal(len(school))
    zeta_w = _noise(rng, "within", "climate_w", len(school))
    climate_w = _value("within", "climate_w", "~", "ses") * ses + zeta_w

    columns: dict[str, object] = {"school": [f"S{j + 1:02d}" for j in school]}
    for name in INDICATORS:
        between = _value("between", "climate_b", "=~", name) * climate_b
        between += _value("between", name, "~", "1") + _noise(rng, "between", name, n_schools)
        within = _value("within", "climate_w", "=~", name) * climate_w
        within += _noise(rng, "within", name, len(school))
        columns[name] = between[school] + within
    columns |= {"ses": ses, "urban": urban[school], "retention": retention[school]}
    return pd.DataFrame(columns).round(3)


def _value(*key: str) -> float:
    level, lhs, op, rhs = key
    return TRUE_VALUES[level, lhs, op, rhs]


def _noise(rng: np.random.Generator, level: str, name: str, size: int) -> NDArray[np.float64]:
    """Draw residuals of a variable with their true variance."""
    return math.sqrt(_value(level, name, "~~", name)) * rng.standard_normal(size)


def write_csv_gz(frame: pd.DataFrame, path: Path) -> None:
    """Write a compressed CSV whose bytes depend on the data only (no time, no file name)."""
    text = frame.to_csv(index=False, lineterminator="\n")
    path.write_bytes(gzip.compress(text.encode(), compresslevel=9, mtime=0))


if __name__ == "__main__":
    write_csv_gz(simulate_school_climate(), Path(__file__).with_name("school_climate.csv.gz"))
