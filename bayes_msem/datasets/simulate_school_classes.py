r"""Simulate the data set ``school_classes``: pupils in classes in schools.

Pupil i in class j of school k, with ses the socio-economic status of the pupil's family minus the
mean of the class:

    math_ijk     = math_jk + gap_jk ses_ijk + eps_math                   (residuals covary)
    effort_ijk   = effort_jk + 0.3 ses_ijk + eps_effort
    math_jk      = math_k + 10 (support_jk - support_k) + zeta_math
    gap_jk       = gap_k - 3 experience_jk + zeta_gap
    effort_jk    = effort_k + zeta_effort ,  support_jk = support_k + zeta_support
    math_k       = 500 - 15 urban_k + zeta_math_k ,  gap_k = 12 + zeta_gap_k

``ses`` is conditioned on. As a model:

    level: within
        math ~ rv("gap")*ses
        effort ~ ses
        math ~~ effort
    level: class
        math ~ support
        gap ~ experience
        effort ~~ effort
    level: school
        math ~ urban
        gap ~~ gap
        support ~~ support
        effort ~~ effort

``TRUE_VALUES`` holds every parameter of it. 6% of math (more where effort is low) and the support
of 5% of the classes are missing. Run this file to write the compressed CSV again:

    python bayes_msem/datasets/simulate_school_classes.py
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayes_msem.datasets.simulate_school_climate import write_csv_gz

__all__ = ["SEED", "TRUE_VALUES", "simulate_school_classes"]

SEED = 20251130
N_SCHOOLS = 40

# The keys of parameter tables: (level, lhs, op, rhs); `x ~~ x` is a variance.
TRUE_VALUES: dict[tuple[str, str, str, str], float] = {
    ("within", "effort", "~", "ses"): 0.3,
    ("within", "math", "~~", "effort"): 12.0,
    ("within", "math", "~~", "math"): 900.0,
    ("within", "effort", "~~", "effort"): 1.0,
    ("class", "math", "~", "support"): 10.0,
    ("class", "gap", "~", "experience"): -3.0,
    ("class", "support", "~", "experience"): 0.0,
    ("class", "math", "~~", "math"): 150.0,
    ("class", "gap", "~~", "gap"): 9.0,
    ("class", "effort", "~~", "effort"): 0.1,
    ("class", "support", "~~", "support"): 0.36,
    ("class", "math", "~~", "effort"): 1.2,
    ("class", "math", "~~", "gap"): 0.0,
    ("class", "effort", "~~", "gap"): 0.0,
    ("school", "math", "~", "urban"): -15.0,
    ("school", "math", "~~", "math"): 200.0,
    ("school", "gap", "~~", "gap"): 9.0,
    ("school", "effort", "~~", "effort"): 0.06,
    ("school", "support", "~~", "support"): 0.16,
    ("school", "math", "~~", "gap"): -20.0,
    ("school", "math", "~~", "support"): 2.0,
    ("school", "math", "~~", "effort"): 1.0,
    ("school", "support", "~~", "gap"): 0.0,
    ("school", "effort", "~~", "gap"): 0.0,
    ("school", "support", "~~", "effort"): 0.0,
    ("school", "math", "~", "1"): 500.0,
    ("school", "gap", "~", "1"): 12.0,
    ("school", "effort", "~", "1"): 4.0,
    ("school", "support", "~", "1"): 3.5,
}

_TOP = ("math", "gap", "effort", "support")
_MIDDLE = ("math", "gap", "effort")


def simulate_school_classes(seed: int = SEED, n_schools: int = N_SCHOOLS) -> pd.DataFrame:
    """Simulate the data set.

    Parameters
    ----------
    seed
        Seed of the random numbers; the default gives the shipped data.
    n_schools
        Number of schools; each has 3 to 5 classes of 10 to 20 pupils.

    Returns
    -------
    pandas.DataFrame
        One row per pupil, rounded to three decimals (math to one).
    """
    rng = np.random.default_rng(seed)
    school = np.repeat(np.arange(n_schools), rng.integers(3, 6, size=n_schools))
    place = np.arange(len(school)) - np.searchsorted(school, school)
    of_row = np.repeat(np.arange(len(school)), rng.integers(10, 21, size=len(school)))
    n_classes, n = len(school), len(of_row)

    urban = (rng.random(n_schools) < 0.45).astype(np.int64)
    tops = dict(zip(_TOP, _residuals(rng, "school", _TOP, n_schools).T, strict=True))
    top = {name: _value("school", name, "~", "1") + tops[name] for name in _TOP}
    top["math"] = top["math"] + _value("school", "math", "~", "urban") * urban

    experience = rng.normal(size=n_classes)
    support = math.sqrt(_value("class", "support", "~~", "support")) * rng.normal(size=n_classes)
    inner = dict(zip(_MIDDLE, _residuals(rng, "class", _MIDDLE, n_classes).T, strict=True))
    inner["math"] = inner["math"] + _value("class", "math", "~", "support") * support
    inner["gap"] = inner["gap"] + _value("class", "gap", "~", "experience") * experience
    whole = {name: top[name][school] + inner[name] for name in _MIDDLE}
    support = top["support"][school] + support

    ses = rng.normal(size=n)
    ses = ses - (np.bincount(of_row, weights=ses) / np.bincount(of_row))[of_row]
    noise = _residuals(rng, "within", ("math", "effort"), n)
    effort = whole["effort"][of_row] + _value("within", "effort", "~", "ses") * ses + noise[:, 1]
    scores = whole["math"][of_row] + whole["gap"][of_row] * ses + noise[:, 0]

    support[rng.random(n_classes) < 0.05] = np.nan
    scores[rng.random(n) < 0.12 / (1.0 + np.exp(2.0 * (effort - 4.0)))] = np.nan
    names = [f"S{k + 1:02d}" for k in school]
    classes = [f"{name}{'abcde'[i]}" for name, i in zip(names, place, strict=True)]
    columns = {
        "school": np.array(names)[of_row],
        "class": np.array(classes)[of_row],
        "urban": urban[school][of_row],
        "experience": experience[of_row].round(3),
        "support": support[of_row].round(3),
        "ses": ses.round(3),
        "effort": effort.round(3),
        "math": scores.round(1),
    }
    return pd.DataFrame(columns)


def _value(*key: str) -> float:
    level, lhs, op, rhs = key
    return TRUE_VALUES[level, lhs, op, rhs]


def _residuals(
    rng: np.random.Generator, level: str, names: tuple[str, ...], size: int
) -> NDArray[np.float64]:
    """Draw residuals of variables with their true covariance matrix, (size, names)."""
    cov = np.array(
        [
            [
                TRUE_VALUES.get((level, a, "~~", b), TRUE_VALUES.get((level, b, "~~", a), 0.0))
                for b in names
            ]
            for a in names
        ]
    )
    return rng.normal(size=(size, len(names))) @ np.linalg.cholesky(cov).T


if __name__ == "__main__":
    write_csv_gz(simulate_school_classes(), Path(__file__).with_name("school_classes.csv.gz"))
