"""Three-level models from text, with small simulated data."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd

import bayes_msem as bm
from bayes_msem.blueprint.blueprint import Blueprint
from bayes_msem.errors import SmallSampleWarning

FACTORS = """
level: within
    fw =~ y1 + y2 + y3
    fw ~ x
level: child
    fc =~ y1 + y2 + y3
    z2 ~ fc + w2
level: school
    fs =~ y1 + y2 + y3
    z2 ~~ z2
    z3 ~ fs
    fs ~ w3
"""

SLOPES = """
level: within
    y1 ~ rv("s")*x
level: child
    y1 ~ rv("t")*w2
    s ~~ y1
level: school
    y1 ~~ y1
    s ~ w3
    t ~~ t
    z3 ~ s
"""


def school_frame(n_schools: int = 12, seed: int = 1) -> pd.DataFrame:
    """Unbalanced data with a part of every outcome at every level."""
    rng = np.random.default_rng(seed)
    children = rng.integers(1, 6, n_schools)
    school = np.repeat(np.arange(n_schools), children)
    rows = rng.integers(1, 6, len(school))
    child = np.repeat(np.arange(len(school)), rows)
    of_row = school[child]
    f3, f2, f1 = (rng.normal(size=n) for n in (n_schools, len(school), len(child)))
    w3, w2, x = (rng.normal(size=n) for n in (n_schools, len(school), len(child)))
    frame = pd.DataFrame({"school": of_row, "child": child, "x": x, "w2": w2[child]})
    frame["w3"] = w3[of_row]
    slope = 0.4 + 0.5 * rng.normal(size=len(school)) + 0.3 * rng.normal(size=n_schools)[school]
    for i, loading in enumerate((1.0, 0.8, 1.2), 1):
        parts = [rng.normal(0, sd, n) for sd, n in ((0.3, n_schools), (0.4, len(school)))]
        frame[f"y{i}"] = (
            loading * (0.6 * f3[of_row] + 0.7 * f2[child] + f1 + slope[child] * x)
            + 0.3 * w2[child] + parts[0][of_row] + parts[1][child]
            + rng.normal(0, 0.7, len(child))
        )  # fmt: skip
    frame["z2"] = (0.5 * f2 + 0.3 * w2 + 0.6 * f3[school] + rng.normal(size=len(school)))[child]
    frame["z3"] = (0.7 * f3 + rng.normal(size=n_schools))[of_row]
    return frame


def with_missing(frame: pd.DataFrame, seed: int = 2) -> pd.DataFrame:
    """The same data with missing outcomes of all levels."""
    rng, frame = np.random.default_rng(seed), frame.copy()
    for name, unit in (("y1", None), ("y2", None), ("z2", "child"), ("z3", "school")):
        if unit is None:
            gone = rng.random(len(frame)) < 0.2
        else:
            gone = frame[unit].isin(rng.permutation(frame[unit].unique())[:3])
        frame.loc[gone, name] = np.nan
    return frame


def three_level_blueprints() -> list[Blueprint]:
    """One model for every way in which the likelihood of three levels is computed."""
    frame = school_frame()
    cases = ((FACTORS, frame), (FACTORS, with_missing(frame)), (SLOPES, frame))
    return [three_level(text, data).blueprint for text, data in cases]


def three_level(text: str, frame: pd.DataFrame) -> bm.Model:
    """A model of these data, which are few."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SmallSampleWarning)
        return bm.Model(text, frame, cluster=["child", "school"])
