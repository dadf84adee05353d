"""NUTS where cluster means hardly differ, and where units differ by factors of a million."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

import bayes_msem as bm

SPEC = """
level: within
    fw =~ y1 + y2 + y3
level: between
    fb =~ y1 + y2 + y3
"""


def near_zero_between(seed, icc=0.005, n_clusters=40, size=20):
    """Three indicators of one factor per level; ``icc`` of their variance lies between clusters."""
    rng = np.random.default_rng(seed)
    g = np.repeat(np.arange(n_clusters), size)
    within = rng.normal(size=(n_clusters * size, 1)) * [1.0, 0.9, 0.8]
    within = within + rng.normal(size=(n_clusters * size, 3)) * 0.8
    # Seven tenths of what there is between clusters is common to the three.
    between = rng.normal(size=(n_clusters, 1)) * np.sqrt(0.7)
    between = between + rng.normal(size=(n_clusters, 3)) * np.sqrt(0.3)
    total_sd = np.sqrt(np.array([1.0, 0.81, 0.64]) + 0.64)
    y = 3.0 + within + between[g] * total_sd * np.sqrt(icc / (1 - icc))
    return pd.DataFrame(y, columns=["y1", "y2", "y3"]).assign(g=g)


def sampled(data, seed):
    """Return the number of divergences, the largest R-hat and the smallest ESS."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bm.ConvergenceWarning)
        fit = bm.Model(SPEC, data=data, cluster="g").fit(
            draws=500, tune=1000, chains=4, random_seed=seed, progress=False
        )
    summary = fit.summary()
    return {
        "divergences": int(fit.datatree["sample_stats"]["diverging"].sum()),
        "r_hat": float(summary["r_hat"].max()),
        "ess": float(summary[["ess_bulk", "ess_tail"]].min().min()),
    }


WILD = {"y1": 1e-6, "y2": 1e6, "y3": 1.0}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("seed", "scales"),
    [(1, {}), (2, {}), (3, {}), (1, WILD)],
    ids=["near zero 1", "near zero 2", "near zero 3", "wild scales"],
)
def test_sampling_stays_sound(seed, scales):
    data = near_zero_between(seed, icc=0.2 if scales else 0.005)
    data = data.assign(**{name: data[name] * unit for name, unit in scales.items()})
    found = sampled(data, seed)
    assert found["divergences"] == 0, found
    # 2,000 draws gave ESS (bulk and tail) of 370 to 1,020 and R-hat of up to 1.009
    assert found["r_hat"] < 1.02, found
    assert found["ess"] > 150, found
