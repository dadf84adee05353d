"""Effects that hardly vary: chains move freely where their variance is near zero."""

from __future__ import annotations

import arviz_stats as az
import numpy as np
import pandas as pd

import bayes_msem as bm
from tests.random.test_pilot import DIARY

SD = {"sleep": 1.4, "pain": 1.7, "posaff": 1.4, "a": 0.1, "b": 0.17, "c": 0.04}


def correlated_frame(n_clusters: int = 100, n: int = 20, seed: int = 98) -> pd.DataFrame:
    """Days of persons: the slope c varies little, and goes with the intercepts where it does."""
    rng = np.random.default_rng(seed)
    cluster = np.repeat(np.arange(n_clusters), n)
    drawn = {name: rng.normal(size=n_clusters) for name in SD}
    drawn["c"] = -0.8 * drawn["posaff"] + 0.6 * drawn["c"]
    u = {name: (SD[name] * values)[cluster] for name, values in drawn.items()}
    within = rng.normal(size=(3, len(cluster))) * np.array([1.7, 1.5, 1.2])[:, None]
    sleep = within[0]
    pain = (u["a"] - 0.1) * sleep + within[1]
    posaff = (u["b"] - 0.1) * pain + (u["c"] + 0.05) * sleep + within[2]
    parts = {"sleep": sleep, "pain": pain, "posaff": posaff}
    return pd.DataFrame({k: v + u[k] for k, v in parts.items()}).assign(person=cluster)


def test_chains_reach_zero_and_come_back() -> None:
    """4 x 1,000 draws: R-hat has a Monte Carlo error of 0.002, the least ESS should be 1,000 or so.

    The posterior of the SD of c spans a factor of ten; chains in coordinates that take the pilot's
    correlations for data stay where they are (a least ESS of 51 of 1,000 with these data).
    """
    model = bm.Model(DIARY, correlated_frame(), cluster="person")
    fit = model.fit(draws=1000, tune=500, chains=4, random_seed=1, progress=False)
    posterior = fit.datatree["posterior"].to_dataset()
    names = [group.name for group in model.blueprint.parameters.groups]
    assert int(fit.datatree["sample_stats"]["diverging"].sum()) == 0
    assert max(float(az.rhat(posterior[name]).max()) for name in names) < 1.01
    assert min(float(az.ess(posterior[name], method="bulk").min()) for name in names) > 400
    sd = posterior["between_sd"].sel(between_sd_row="c ~~ c").to_numpy()
    low, high = np.quantile(sd, [0.02, 0.98], axis=1)
    assert (high > 6 * low).all()
