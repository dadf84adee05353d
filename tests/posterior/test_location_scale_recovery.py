"""Data sets from a location-scale model are fitted, and what made them is found."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest

import bayes_msem as bm
from bayes_msem.errors import MsemWarning

TEXT = """
level: within
    y ~ m + x
    y ~~ rv("g")*y
    g ~ m + x
level: between
    y ~ m
    g ~ w
    y ~~ g
"""
TRUE: dict[Any, float] = {
    ("within", "y", "~", "m"): 0.4,
    ("within", "y", "~", "x"): 0.2,
    ("within", "g", "~", "m"): 0.2,
    ("within", "g", "~", "x"): 0.3,
    ("between", "y", "~", "m"): -0.3,
    ("between", "g", "~", "w"): 0.2,
    ("between", "g", "~", "1"): -0.3,
    ("between", "g", "~~", "g"): 0.1,
    ("between", "y", "~~", "y"): 0.5,
    ("between", "y", "~~", "g"): 0.1,
}
N_CLUSTERS, SIZE, DATA_SETS = 60, 12, 8


def data_set(seed: int) -> pd.DataFrame:
    """Drawn without the package; a tenth of y and of m is missing."""
    rng, n = np.random.default_rng(seed), N_CLUSTERS * SIZE
    cluster = np.repeat(np.arange(N_CLUSTERS), SIZE)
    x, w = rng.normal(size=n), rng.normal(size=N_CLUSTERS)
    between, within = rng.normal(0, 0.8, N_CLUSTERS), rng.normal(size=n)
    own = rng.multivariate_normal([0, 0], [[0.5, 0.1], [0.1, 0.1]], size=N_CLUSTERS)
    log_sd = -0.3 + 0.2 * w + own[:, 1]
    delta = log_sd[cluster] + 0.2 * within + 0.3 * x
    y = (1 - 0.3 * between + own[:, 0])[cluster] + 0.4 * within + 0.2 * x
    y = y + np.exp(delta) * rng.normal(size=n)
    columns = {"c": cluster, "x": x, "w": w[cluster], "m": between[cluster] + within, "y": y}
    frame = pd.DataFrame(columns)
    for name in ("m", "y"):
        frame.loc[rng.random(n) < 0.1, name] = np.nan
    return frame


def standardised_errors(seed: int) -> dict[Any, float]:
    """Error of the posterior mean in posterior SDs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MsemWarning)
        model = bm.Model(TEXT, data=data_set(seed), cluster="c")
        fit = model.fit(draws=400, tune=400, chains=2, random_seed=seed, progress=False)
    assert fit.datatree["sample_stats"]["diverging"].sum() == 0
    assert fit.summary()["r_hat"].max() < 1.03
    found = {}
    for key, true in TRUE.items():
        values = np.asarray(fit.draws[key]).ravel()
        found[key] = float((values.mean() - true) / values.std())
    return found


@pytest.mark.slow
def test_what_made_the_data_is_found() -> None:
    """Standardised errors of data sets are about standard normal.

    Of ten means of eight of them, one beyond 4 / sqrt(8) has a probability below 0.001; their SD,
    over all 80, lies between 0.7 and 1.3 but for such a probability (priors shrink it a little).
    """
    errors = pd.DataFrame([standardised_errors(seed) for seed in range(DATA_SETS)])
    assert (errors.mean().abs() < 4 / np.sqrt(DATA_SETS)).all(), errors.mean()
    assert 0.7 < float(errors.to_numpy().std()) < 1.3
