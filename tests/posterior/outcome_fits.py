"""Fits with outcomes that are not normal, and their parameters by hand."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
from numpy.typing import NDArray

import bayes_msem as bm

Array = NDArray[np.float64]

ITEMS = ("y1", "y2", "y3")
WORDS = ["never", "sometimes", "often", "always"]
TEXT = """
level: within
    fw =~ y1 + y2 + y3
    fw ~ rv("slope")*x
    c ~ a*fw
level: between
    fb =~ y1 + y2 + y3
    fb ~ w
    slope ~ b*w
    c ~ 1
indirect := a*b
mediated := slope*a
"""

MIXED = """
level: within
    f =~ y1 + y2 + y3
    g =~ u1 + u2 + u3
    f ~ rv("s")*x + g
    n ~ x + f
level: between
    fb =~ y1 + y2 + y3
    gb =~ u1 + u2 + u3
    fb ~ w
    n ~ w
"""

SINGLE = """
f =~ y1 + y2 + y3
f ~ x
c ~ f
"""


def make_data(n_clusters: int = 25, size: int = 8, seed: int = 1) -> pd.DataFrame:
    """Rows in random order: two-level items, counts with exposures, and normal indicators."""
    rng = np.random.default_rng(seed)
    n = n_clusters * size
    j = np.repeat(np.arange(n_clusters), size)
    w, x = rng.normal(size=n_clusters), rng.normal(0.5, size=n)
    fb = 0.5 * w + 0.6 * rng.normal(size=n_clusters)
    slope = 0.5 + 0.3 * w + 0.3 * rng.normal(size=n_clusters)
    fw = slope[j] * x + 0.8 * rng.normal(size=n)
    columns = {"x": x, "w": w[j], "time": rng.uniform(0.5, 2.0, n)}
    columns["school"] = np.array([f"s{k:02}" for k in range(n_clusters)])[j]
    for name, loading in zip(ITEMS, (1.0, 0.8, 1.2), strict=True):
        own = 0.2 * rng.normal(size=n_clusters)
        latent = loading * (fw + fb[j]) + own[j] + rng.normal(size=n)
        columns[name] = np.digitize(latent, [-1.0, 0.2, 1.2]).astype(float)
    rate = np.exp(0.2 + 0.3 * fw + 0.4 * rng.normal(size=n_clusters)[j])
    columns["c"] = rng.poisson(columns["time"] * rate).astype(float)
    columns["n"] = rng.poisson(rate).astype(float)
    for name in ("u1", "u2", "u3"):
        columns[name] = 0.7 * fw + rng.normal(size=n) + 0.3 * rng.normal(size=n_clusters)[j]
    frame = pd.DataFrame(columns)
    frame.loc[3, "y2"] = np.nan
    frame = frame.sample(frac=1.0, random_state=3).reset_index(drop=True)
    codes = frame["y1"].astype(int)
    frame["y1"] = pd.Categorical.from_codes(codes, categories=WORDS, ordered=True)
    return frame


def outcome_model() -> bm.Model:
    """Return a two-level model of ordered items and a count with exposure."""
    return bm.Model(
        TEXT,
        data=make_data(),
        cluster="school",
        ordered=list(ITEMS),
        families={"c": "poisson"},
        exposure={"c": "time"},
    )


def mixed_model() -> bm.Model:
    """Logits, overdispersed counts, and normal indicators of a factor of their own."""
    return bm.Model(
        MIXED,
        data=make_data(),
        cluster="school",
        families=dict.fromkeys(ITEMS, "ordinal(logit)") | {"n": "negbinomial"},
    )


def single_model() -> bm.Model:
    """Return a model with one level."""
    families = dict.fromkeys(ITEMS, "ordinal(probit)") | {"c": "poisson"}
    return bm.Model(SINGLE, data=make_data(), families=families)


def sampled_fit() -> bm.Fit:
    """2 x 150 draws: enough to compare with means to a few hundredths."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bm.ConvergenceWarning)  # too few draws for a report
        return outcome_model().fit(draws=150, tune=150, chains=2, random_seed=1, progress=False)


def row(fit: bm.Fit, text: str) -> Array:
    """Draws of one row, (S,)."""
    return fit.draws[text].ravel()


def cuts(fit: bm.Fit, item: str, level: str = "between") -> Array:
    """Thresholds of an item, (S, 3)."""
    return np.stack([row(fit, f"{level}: {item} | t{k}") for k in (1, 2, 3)], axis=-1)


def effect(fit: bm.Fit, name: str) -> Array:
    """Effects of all clusters, (S, J)."""
    return fit.cluster_draws["effects"].sel(effect=name).to_numpy().reshape(-1, 25)


def codes(frame: pd.DataFrame, item: str) -> Array:
    """Codes of an item, NaN where it is missing."""
    if item == "y1":
        return frame[item].cat.codes.to_numpy(dtype=float)
    return frame[item].to_numpy()
