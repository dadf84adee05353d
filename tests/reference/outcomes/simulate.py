"""Simulate the data of this folder: `python simulate.py` writes `data/*.csv`.

NumPy and pandas alone. Every data set has its own seed, so that adding one changes no other.
Outcomes are latent responses cut at thresholds (binary, ordinal), or counts with a log rate.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

DATA = Path(__file__).parent / "data"
Vector = np.ndarray


def design(rng: np.random.Generator, clusters: int, smallest: int, largest: int) -> pd.DataFrame:
    """Rows of clusters of random sizes, a level-1 covariate x and a cluster-level covariate w."""
    sizes = rng.integers(smallest, largest + 1, size=clusters)
    cluster = np.repeat(np.arange(1, clusters + 1), sizes)
    w = rng.normal(size=clusters).round(2)[cluster - 1]
    return pd.DataFrame({"cluster": cluster, "x": rng.normal(size=len(cluster)).round(2), "w": w})


def cut(response: Vector, thresholds: list[float]) -> Vector:
    """Categories 0, 1, ... of a latent response."""
    return np.searchsorted(np.asarray(thresholds), response)


def blank(rng: np.random.Generator, values: Vector, number: int) -> pd.Series:
    """Integers with some of them missing, which CSV keeps as integers."""
    column = pd.Series(values).astype("Int64")
    column[rng.choice(len(column), size=number, replace=False)] = pd.NA
    return column


def effects(rng: np.random.Generator, clusters: int, sd: list[float], r: float) -> Vector:
    """Intercepts and slopes of clusters with their SDs and correlation r."""
    covariance = np.outer(sd, sd) * np.array([[1, r], [r, 1]])
    return rng.multivariate_normal([0, 0], covariance, size=clusters)


def binary() -> pd.DataFrame:
    """Random intercept, x and w, five outcomes missing, cluster 7 without any outcome."""
    rng = np.random.default_rng(1301)
    frame = design(rng, 40, 4, 12)
    u = rng.normal(scale=0.9, size=40)[frame["cluster"] - 1]
    eta = -0.3 + 0.8 * frame["x"] + 0.5 * frame["w"] + u
    frame["y"] = blank(rng, cut(eta + rng.logistic(size=len(frame)), [0]), 5)
    frame.loc[frame["cluster"] == 7, "y"] = pd.NA
    return frame


def binary_slope() -> pd.DataFrame:
    """Random intercept and slope, correlated."""
    rng = np.random.default_rng(1302)
    frame = design(rng, 40, 10, 18)
    u = effects(rng, 40, [0.9, 0.7], 0.3)[frame["cluster"] - 1]
    eta = 0.4 + (0.6 + u[:, 1]) * frame["x"] + u[:, 0]
    frame["y"] = cut(eta + rng.logistic(size=len(frame)), [0])
    return frame.drop(columns="w")


def count() -> pd.DataFrame:
    """Random intercept, exposure, a Poisson count and an overdispersed one."""
    rng = np.random.default_rng(1303)
    frame = design(rng, 40, 4, 12)
    frame["exposure"] = rng.uniform(0.5, 4, size=len(frame)).round(2)
    u = rng.normal(scale=0.5, size=40)[frame["cluster"] - 1]
    mean = frame["exposure"] * np.exp(0.6 + 0.3 * frame["x"] - 0.2 * frame["w"] + u)
    frame["y"] = blank(rng, rng.poisson(mean), 4)
    shape = 1 / 0.6
    frame["overdispersed"] = rng.poisson(mean * rng.gamma(shape, 1 / shape, size=len(frame)))
    return frame


def count_slope() -> pd.DataFrame:
    """Poisson with random intercept and slope, correlated, and exposure."""
    rng = np.random.default_rng(1304)
    frame = design(rng, 40, 6, 14)
    frame["exposure"] = rng.uniform(0.5, 2, size=len(frame)).round(2)
    u = effects(rng, 40, [0.5, 0.3], -0.3)[frame["cluster"] - 1]
    eta = 0.5 + (0.3 + u[:, 1]) * frame["x"] + u[:, 0]
    frame["y"] = rng.poisson(frame["exposure"] * np.exp(eta))
    return frame.drop(columns="w")


def ordinal() -> pd.DataFrame:
    """Four categories, random intercept, x and w, four outcomes missing."""
    rng = np.random.default_rng(1305)
    frame = design(rng, 40, 4, 12)
    u = rng.normal(scale=0.8, size=40)[frame["cluster"] - 1]
    response = 0.7 * frame["x"] + 0.4 * frame["w"] + u + rng.normal(size=len(frame))
    frame["y"] = blank(rng, cut(response, [-1.0, 0.3, 1.4]), 4)
    return frame


def items(
    rng: np.random.Generator,
    cluster: Vector,
    loadings: tuple[list[float], list[float]],
    sds: tuple[float, float, float],
    thresholds: list[list[float]],
) -> tuple[pd.DataFrame, Vector, Vector]:
    """Items of a two-level factor model (probit), with the factor scores of rows and clusters.

    Loadings are those within and between; SDs those of the within factor, the between factor and
    the residual intercepts.
    """
    clusters = cluster.max()
    fw = rng.normal(scale=sds[0], size=len(cluster))
    fb = rng.normal(scale=sds[1], size=clusters)
    frame = pd.DataFrame({"cluster": cluster})
    for k, cuts in enumerate(thresholds):
        between = loadings[1][k] * fb + rng.normal(scale=sds[2], size=clusters)
        response = loadings[0][k] * fw + between[cluster - 1] + rng.normal(size=len(cluster))
        frame[f"y{k + 1}"] = cut(response, cuts)
    return frame, fw, fb


def cfa_small() -> pd.DataFrame:
    """Two-level factor model, 4 items of 4 categories, 20 clusters of 6, five cells missing."""
    rng = np.random.default_rng(1306)
    cuts = [[-1.2, 0.0, 1.0], [-0.8, 0.4, 1.5], [-1.5, -0.5, 0.6], [-0.5, 0.6, 1.8]]
    cluster = np.repeat(np.arange(1, 21), 6)
    loadings = ([1.0, 0.9, 1.2, 0.7], [1.0, 1.1, 0.8, 0.9])
    frame, _, _ = items(rng, cluster, loadings, (1.0, 0.6, 0.4), cuts)
    for name, row in zip(["y1", "y2", "y3", "y4", "y4"], [3, 40, 77, 78, 110], strict=True):
        frame[name] = frame[name].astype("Int64")
        frame.loc[row, name] = pd.NA
    return frame


def cfa() -> pd.DataFrame:
    """Two-level factor model, 5 skewed items of 4 categories, about 600 rows, 50 clusters."""
    rng = np.random.default_rng(1307)
    cuts = [[0.2, 1.2, 2.3], [0.5, 1.5, 2.5], [-0.2, 0.8, 1.9], [0.4, 1.1, 2.2], [0.0, 1.4, 2.4]]
    cluster = np.repeat(np.arange(1, 51), rng.integers(8, 17, size=50))
    loadings = ([1.0, 1.2, 0.8, 0.9, 1.1], [1.0, 0.8, 1.1, 0.9, 1.2])
    frame, _, _ = items(rng, cluster, loadings, (1.0, 0.6, 0.35), cuts)
    return frame


def latent_slope() -> pd.DataFrame:
    """Four ordinal items; their within factor predicts ordinal z with a slope that varies."""
    rng = np.random.default_rng(1308)
    cuts = [[-0.8, 0.5, 1.6], [-1.0, 0.2, 1.4], [-0.4, 0.6, 1.8], [-1.2, 0.0, 1.2]]
    cluster = np.repeat(np.arange(1, 61), 12)
    loadings = ([1.0, 1.1, 0.9, 0.8], [1.0, 0.9, 1.1, 1.0])
    frame, fw, fb = items(rng, cluster, loadings, (1.1, 0.5, 0.3), cuts)
    u = effects(rng, 60, [0.5, 0.5], 0.3)[cluster - 1]
    mean = 0.6 * fb[cluster - 1] + u[:, 0] + (0.7 + u[:, 1]) * fw
    frame["z"] = cut(mean + rng.normal(size=len(cluster)), [-1.0, 0.4, 1.5])
    return frame


if __name__ == "__main__":
    for simulated in (
        binary,
        binary_slope,
        count,
        count_slope,
        ordinal,
        cfa_small,
        cfa,
        latent_slope,
    ):
        simulated().to_csv(DATA / f"{simulated.__name__}.csv", index=False, lineterminator="\n")
