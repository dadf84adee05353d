"""Two-level data in plain NumPy, with misfit planted on request (ppp_study.py and tests)."""

from __future__ import annotations

import numpy as np
import pandas as pd

MODEL = """
level: within
    fw =~ y1 + y2 + y3 + y4
    fw ~ x
level: between
    fb =~ y1 + y2 + y3 + y4
    fb ~ w
"""

SAMPLED_MODEL = """
level: within
    fw =~ y1 + rv("l2")*y2 + y3 + y4
    fw ~ x
    y3 ~~ rv("v3")*y3
level: between
    fb =~ y1 + y2 + y3 + y4
    fb ~ w
"""

LOADINGS = np.array([1.0, 0.8, 0.9, 0.7])


def planted(
    seed: int,
    *,
    n_clusters: int = 100,
    sizes: tuple[int, ...] = (8, 12, 16),
    within: float = 0.0,
    between: float = 0.0,
    slope_sd: float = 0.0,
    log_sd: float = 0.0,
    loading_sd: float = 0.0,
    log_sd_of_y3: float = 0.0,
) -> pd.DataFrame:
    """One-factor data with a covariate at each level.

    Parameters
    ----------
    seed
        Seed.
    n_clusters, sizes
        Number of clusters and their sizes, in turn.
    within, between
        Residual correlation of y1 and y2 at a level (not in MODEL).
    slope_sd
        SD over clusters of the effect of x on the factor (constant in MODEL).
    log_sd
        SD over clusters of the log of the residual SD, the same for all outcomes (constant in
        MODEL).
    loading_sd, log_sd_of_y3
        SDs over clusters of the loading of y2 and of the log residual SD of y3 at level within
        (constant in MODEL, random in SAMPLED_MODEL).
    """
    rng = np.random.default_rng(seed)
    n = np.resize(sizes, n_clusters)
    cluster = np.repeat(np.arange(n_clusters), n)
    w, x = rng.standard_normal(n_clusters), rng.standard_normal(len(cluster))
    scale = np.exp(log_sd * rng.standard_normal(n_clusters))
    slope = 0.4 + slope_sd * rng.standard_normal(n_clusters)
    f_w = slope[cluster] * x + rng.standard_normal(len(cluster))
    f_b = 0.3 * w + 0.6 * rng.standard_normal(n_clusters)
    e_w = 0.8 * residuals(rng, len(cluster), within) * scale[cluster, None]
    e_b = 0.35 * residuals(rng, n_clusters, between)
    if loading_sd or log_sd_of_y3:
        e_w[:, 2] *= np.exp(log_sd_of_y3 * rng.standard_normal(n_clusters))[cluster]
        e_w[:, 1] += f_w * (loading_sd * rng.standard_normal(n_clusters))[cluster]
    y = np.outer(f_w, LOADINGS) + e_w + (np.outer(f_b, LOADINGS) + e_b)[cluster]
    frame = pd.DataFrame(y, columns=["y1", "y2", "y3", "y4"])
    return frame.assign(x=x, w=w[cluster], cluster=cluster)


def residuals(rng: np.random.Generator, n: int, correlation: float) -> np.ndarray:
    """Draw standard normal columns; the first two are correlated."""
    e = rng.standard_normal((n, 4))
    e[:, 1] = correlation * e[:, 0] + np.sqrt(1 - correlation**2) * e[:, 1]
    return e
