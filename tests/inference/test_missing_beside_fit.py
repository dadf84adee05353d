"""Parameters recovered where a fifth of the normal outcomes beside ordered ones is missing."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

import bayes_msem as bm
from bayes_msem.errors import ConvergenceWarning

TEXT = """
level: within
    f =~ y1 + y2 + u1 + u2
    f ~ x
    u3 ~ f + x
level: between
    fb =~ y1 + y2 + u1
    fb ~ w
    u3 ~ w
"""
FAMILIES = {"y1": "ordinal(probit)", "y2": "ordinal(probit)"}
NORMAL = ("u1", "u2", "u3")
Key = tuple[str, str, str, str]


def design() -> pd.DataFrame:
    rng = np.random.default_rng(4)
    g = np.repeat(np.arange(60), 12)
    frame = pd.DataFrame({"g": g, "x": rng.normal(size=720), "w": rng.normal(size=60)[g]})
    for name in FAMILIES:
        frame[name] = rng.integers(0, 3, 720).astype(float)
    for name in NORMAL:
        frame[name] = rng.normal(size=720)
    return frame


def values_of(model: bm.Model) -> dict[Key, float]:
    values = {}
    for row in model.parameter_table.query("free > 0").itertuples():
        key = (row.level, row.lhs, row.op, row.rhs)
        if row.op == "~~":
            same = 0.3 if row.level == "between" else 0.9
            values[key] = same if row.lhs == row.rhs else 0.05
        else:
            values[key] = {"|": 0.6, "=~": 0.8, "~": 0.4}[row.op]
        if row.rhs == "t1":
            values[key] = -0.5
    return values


def estimates(frame: pd.DataFrame) -> pd.DataFrame:
    model = bm.Model(TEXT, data=frame, cluster="g", families=FAMILIES)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # of single effects
        fit = model.fit(draws=300, tune=400, chains=2, random_seed=1, progress=False)
    table = pd.DataFrame(fit.summary())
    table.index = pd.MultiIndex.from_frame(table[["level", "lhs", "op", "rhs"]])
    return table[table["sd"] > 0]


@pytest.mark.slow
def test_parameters_are_recovered() -> None:
    """Values are missing at random, the more often the higher y1, which listwise deletion bends.

    Within 3.5 posterior SDs of the truth; from the estimates of complete data they differ by what
    was lost, of which SDs tell, and not by bias.
    """
    model = bm.Model(TEXT, data=design(), cluster="g", families=FAMILIES)
    values = values_of(model)
    complete = model.simulate(values, random_seed=3)
    holes, rng = complete.copy(), np.random.default_rng(5)
    for name in NORMAL:
        gone = rng.uniform(size=720) < np.where(complete["y1"] == 2, 0.35, 0.12)
        holes[name] = holes[name].where(~gone)
    holes.loc[[0, 20, 40], [*FAMILIES, *NORMAL]] = np.nan
    assert holes[[*NORMAL]].isna().to_numpy().mean() == pytest.approx(0.2, abs=0.03)
    found, full = estimates(holes), estimates(complete)
    truth = np.array([values[key] for key in found.index])
    distance = (found["mean"] - truth) / found["sd"]
    assert distance.abs().max() < 3.5
    assert np.sqrt((distance**2).mean()) < 1.4
    lost = np.sqrt(np.maximum(found["sd"] ** 2 - full["sd"] ** 2, 0.05 * full["sd"] ** 2))
    assert ((found["mean"] - full["mean"]) / lost).abs().max() < 4
    assert 1.0 < (found["sd"] / full["sd"]).mean() < 1.3
    assert (found["r_hat"] < 1.03).all()
