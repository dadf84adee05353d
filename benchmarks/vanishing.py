"""Blocks of correlated random effects, some of which do not vary in truth: data and models."""

from __future__ import annotations

import numpy as np
import pandas as pd
from models import quiet_model

import bayes_msem as bm

ROWS = 20  # per cluster

# Diary: daily sleep, pain and positive affect; three intercepts and three slopes.
DIARY = """
level: within
    pain ~ rv("a")*sleep
    posaff ~ rv("b")*pain + rv("c")*sleep
level: between
    sleep ~~ 0*pain + 0*posaff + 0*a + 0*b + 0*c
    pain ~~ posaff + a + b + c
    posaff ~~ a + b + c
    a ~~ b + c
    b ~~ c
"""
FOUR = """
level: within
    pain ~ rv("a")*sleep
    posaff ~ rv("b")*pain
level: between
    sleep ~~ 0*pain + 0*posaff + 0*a + 0*b
    pain ~~ posaff + a + b
    posaff ~~ a + b
    a ~~ b
"""
SIX = """
level: within
    pain ~ rv("a")*sleep
    posaff ~ rv("b")*pain + rv("c")*sleep
    posaff ~~ rv("v")*posaff
level: between
    sleep ~~ 0*pain + 0*posaff + 0*a + 0*b + 0*c + 0*v
    pain ~~ posaff + a + b + c + v
    posaff ~~ a + b + c + v
    a ~~ b + c + v
    b ~~ c + v
    c ~~ v
"""
LOADINGS = """
level: within
    f =~ y1 + rv("l2")*y2 + rv("l3")*y3
level: between
    y1 ~~ y2 + y3 + l2 + l3
    y2 ~~ y3 + l2 + l3
    y3 ~~ l2 + l3
    l2 ~~ l3
"""

# name -> (text, effects that do not vary in truth)
BLOCKS: dict[str, tuple[str, tuple[str, ...]]] = {
    "four effects, one constant": (FOUR, ("a",)),
    "five effects, one constant": (DIARY, ("c",)),
    "five effects, two constant": (DIARY, ("a", "c")),
    "six effects, two constant": (SIX, ("c", "v")),
    "loadings, one constant": (LOADINGS, ("l3",)),
}
SD = {"sleep": 1.4, "pain": 1.6, "posaff": 1.4, "a": 0.25, "b": 0.2, "c": 0.2, "v": 0.3}
LOADING_SD = {"l2": 0.25, "l3": 0.25}
NOISE_SD = {"sleep": 1.7, "pain": 1.5, "posaff": 1.2}


def simulated_frame(name: str, clusters: int, seed: int = 1) -> pd.DataFrame:
    """Simulate data of one block.

    Parameters
    ----------
    name
        One of ``BLOCKS``.
    clusters
        Number of clusters, of ``ROWS`` rows each.
    seed
        Seed of the simulation.
    """
    text, constant = BLOCKS[name]
    rng = np.random.default_rng(seed)
    cluster = np.repeat(np.arange(clusters), ROWS)
    n = len(cluster)

    def effect(sd: float, of: str) -> np.ndarray:
        drawn = sd * rng.standard_normal(clusters)
        return (0.0 if of in constant else 1.0) * drawn[cluster]

    if text == LOADINGS:
        f = rng.standard_normal(n)
        loadings = [1.0, 0.8 + effect(0.25, "l2"), 1.1 + effect(0.25, "l3")]
        y = {
            f"y{i + 1}": loading * f + 0.7 * rng.standard_normal(n) + effect(0.5, "y")
            for i, loading in enumerate(loadings)
        }
        return pd.DataFrame(y).assign(cluster=cluster)
    u = {of: effect(sd, of) for of, sd in SD.items()}
    e = {of: sd * rng.standard_normal(n) for of, sd in NOISE_SD.items()}
    sleep = e["sleep"]
    pain = (u["a"] - 0.1) * sleep + e["pain"]
    slope_c = 0.0 if text == FOUR else 0.05 + u["c"]
    scale = np.exp(u["v"]) if text == SIX else 1.0
    posaff = (u["b"] - 0.1) * pain + slope_c * sleep + scale * e["posaff"]
    parts = {"sleep": sleep, "pain": pain, "posaff": posaff}
    return pd.DataFrame({k: v + u[k] for k, v in parts.items()}).assign(cluster=cluster)


def block_model(name: str, frame: pd.DataFrame) -> bm.Model:
    """Build the model of a block on its data."""
    return quiet_model(BLOCKS[name][0], frame, "cluster")
