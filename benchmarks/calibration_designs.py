"""Parameters from a prior, and data from a model at them, in NumPy alone.

Two designs for ``calibration_outcomes.py``, and their linear predictors given effects and scores.
Nothing here comes from the package.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special, stats

ITEMS = ("y1", "y2", "y3")

Array = NDArray[np.float64]
Values = Mapping[str, Any]  # by text of the row: numbers, or draws (S,)


@dataclass(frozen=True, eq=False)
class Drawn:
    """Parameters from the prior, and data from the model.

    Attributes
    ----------
    frame
        The data.
    values
        Parameters, by text of their row.
    effects
        Effects of the clusters by name, (J,).
    scores
        Scores of the rows on the factor, (N,); empty without a factor.
    """

    frame: pd.DataFrame
    values: dict[str, float]
    effects: dict[str, Array]
    scores: Array


def draw_cfa(rng: np.random.Generator, n_clusters: int = 16, size: int = 8) -> Drawn:
    """Draw a factor at each level with three indicators, cut into three categories."""
    values: dict[str, float] = {}
    for level, factor in (("within", "fw"), ("between", "fb")):
        for item in ITEMS[1:]:
            values[f"{level}: {factor} =~ {item}"] = rng.normal(1, 0.3)
    values["within: fw ~~ fw"] = rng.normal(0, 1) ** 2
    for name in ("fb", *ITEMS):
        values[f"between: {name} ~~ {name}"] = rng.normal(0, 0.7) ** 2
    for item in ITEMS:
        cuts = 1.7 * stats.norm.ppf(np.cumsum(rng.dirichlet([3, 3, 3]))[:2])
        values |= {f"between: {item} | t{k}": cut for k, cut in enumerate(cuts, start=1)}
    cluster = np.repeat(np.arange(n_clusters), size)
    scores = rng.normal(size=len(cluster)) * values["within: fw ~~ fw"] ** 0.5
    factor = rng.normal(size=n_clusters) * values["between: fb ~~ fb"] ** 0.5
    effects, columns = {}, {"cluster": cluster}
    for item in ITEMS:
        own = rng.normal(size=n_clusters) * values[f"between: {item} ~~ {item}"] ** 0.5
        effects[item] = values.get(f"between: fb =~ {item}", 1.0) * factor + own
        loading = values.get(f"within: fw =~ {item}", 1.0)
        response = effects[item][cluster] + loading * scores + rng.normal(size=len(cluster))
        columns[item] = sum(response > values[f"between: {item} | t{k}"] for k in (1, 2))
    return Drawn(pd.DataFrame(columns), values, effects, scores)


def draw_slope(rng: np.random.Generator, n_clusters: int = 20, size: int = 10) -> Drawn:
    """Draw a binary outcome with a random intercept and a random slope on x."""
    values = {
        "between: y ~ w": rng.normal(0, 1),
        "between: s ~ 1": rng.normal(0, 1),
        "between: y | t1": rng.normal(0, 1),
        "between: y ~~ y": rng.normal(0, 1) ** 2,
        "between: s ~~ s": rng.normal(0, 1) ** 2,
    }
    sd = np.sqrt([values["between: y ~~ y"], values["between: s ~~ s"]])
    correlation = 2 * rng.beta(2, 2) - 1
    values["between: y ~~ s"] = correlation * sd.prod()
    values["within: y ~ x"] = values["between: s ~ 1"]  # in the model with one slope
    cluster = np.repeat(np.arange(n_clusters), size)
    x, w = rng.normal(size=len(cluster)), rng.normal(size=n_clusters)
    u = rng.normal(size=(2, n_clusters))
    u[1] = correlation * u[0] + np.sqrt(1 - correlation**2) * u[1]
    effects = {
        "y": values["between: y ~ w"] * w + sd[0] * u[0],
        "s": values["between: s ~ 1"] + sd[1] * u[1],
    }
    predictor = effects["y"][cluster] + effects["s"][cluster] * x - values["between: y | t1"]
    y = rng.random(len(cluster)) < special.expit(predictor)
    frame = pd.DataFrame({"cluster": cluster, "x": x, "w": w[cluster], "y": y.astype(int)})
    return Drawn(frame, values, effects, np.empty(0))


# Linear predictors, (S, N, outcomes), from draws of parameters (S,), effects (S, J), scores (S, N)
Predictor = Callable[[Values, Mapping[str, Array], Array, pd.DataFrame], Array]


def cfa_predictor(
    values: Values, effects: Mapping[str, Array], scores: Array, frame: pd.DataFrame
) -> Array:
    """Return intercepts of the cluster plus loadings times the score."""
    cluster = frame["cluster"].to_numpy()
    loadings = [1.0, *(values[f"within: fw =~ {item}"][:, None] for item in ITEMS[1:])]
    parts = [
        effects[item][:, cluster] + loading * scores
        for item, loading in zip(ITEMS, loadings, strict=True)
    ]
    return np.stack(parts, axis=-1)


def slope_predictor(
    values: Values, effects: Mapping[str, Array], scores: Array, frame: pd.DataFrame
) -> Array:
    """Return the intercept of the cluster plus its slope, or that of all, times x."""
    cluster, x = frame["cluster"].to_numpy(), frame["x"].to_numpy()
    slope = effects["s"][:, cluster] if "s" in effects else values["within: y ~ x"][:, None]
    return (effects["y"][:, cluster] + slope * x)[..., None]
