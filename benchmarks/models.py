"""Models that the benchmarks share, and what ``Model.fit`` hands to nutpie for them."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import nutpie
import pandas as pd

import bayes_msem as bm
from bayes_msem.blueprint.prior_arrays import PriorArrays
from bayes_msem.kernels.density import Geometry, constrained

REFERENCE = Path(__file__).resolve().parent.parent / "tests" / "reference"
CLUSTER_SIZES = (5, 10, 15, 20)  # of the reference data; each belongs to 50 clusters


def reference_frame() -> pd.DataFrame:
    """Read the data of the reference model: 2,500 rows, 200 clusters of 5 to 20."""
    return pd.read_csv(REFERENCE / "demo-twolevel" / "data.csv.gz")


def reference_text() -> str:
    """Read the text of the reference model: one factor with covariates at both levels."""
    return (REFERENCE / "demo-twolevel" / "model.txt").read_text(encoding="utf-8")


def quiet_model(
    text: str, frame: pd.DataFrame, cluster: str | None, priors: Any = None
) -> bm.Model:
    """Build a model without its remarks on sample size and identification."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bm.MsemWarning)
        return bm.Model(text, frame, cluster=cluster, priors=priors)


def reference_model(frame: pd.DataFrame | None = None, priors: Any = None) -> bm.Model:
    """Build the reference model, on other data if a frame is given."""
    data = reference_frame() if frame is None else frame
    return quiet_model(reference_text(), data, "cluster", priors)


def lq2002_model() -> bm.Model:
    """Build the two-factor model of leadership climate and hostility: 49 companies, 10 items."""
    text = (REFERENCE / "lq2002-two-factor" / "model.txt").read_text(encoding="utf-8")
    return quiet_model(text, bm.load_dataset("lq2002"), "COMPID")


def democracy_model() -> bm.Model:
    """Build Bollen's single-level model of democracy in 75 countries: three factors."""
    folder = REFERENCE / "single-level"
    text = (folder / "political-democracy" / "model.txt").read_text(encoding="utf-8")
    return quiet_model(text, pd.read_csv(folder / "political-democracy.csv.gz"), None)


def simulated_frame(sizes: np.ndarray, seed: int = 1) -> pd.DataFrame:
    """Simulate data for the reference model.

    Parameters
    ----------
    sizes
        Number of rows of every cluster.
    seed
        Seed of the simulation.

    Returns
    -------
    pandas.DataFrame
        Columns cluster, y1-y3, x1-x3, w1, w2.
    """
    rng = np.random.default_rng(seed)
    cluster = np.repeat(np.arange(len(sizes)), sizes)
    x = rng.standard_normal((len(cluster), 3))
    w = rng.standard_normal((len(sizes), 2))
    fw = x @ [0.5, 0.4, 0.2] + 1.2 * rng.standard_normal(len(cluster))
    fb = w @ [0.16, 0.13] + 0.9 * rng.standard_normal(len(sizes))
    between = np.outer(fb, [1.0, 0.7, 0.6]) + 0.25 * rng.standard_normal((len(sizes), 3))
    within = np.outer(fw, [1.0, 0.8, 0.7]) + rng.standard_normal((len(cluster), 3))
    names = ["y1", "y2", "y3", "x1", "x2", "x3", "w1", "w2"]
    values = np.hstack([within + between[cluster], x, w[cluster]])
    return pd.DataFrame(values, columns=names).assign(cluster=cluster)


def wide_model(factors: int, indicators: int, seed: int = 1) -> bm.Model:
    """Build a factor model of many indicators in 100 clusters of 22 sizes, 3,000 rows.

    Parameters
    ----------
    factors
        Number of factors at each level.
    indicators
        Number of indicators of each.
    seed
        Seed of the simulation.
    """
    rng, p = np.random.default_rng(seed), factors * indicators
    less = np.resize(np.arange(1, 12), 50)
    cluster = np.repeat(np.arange(100), np.concatenate([30 - less, 30 + less]))
    loadings = np.kron(np.eye(factors), rng.uniform(0.6, 1.0, indicators))

    def scores(n: int, correlation: float) -> np.ndarray:
        matrix = np.full((factors, factors), correlation) + (1 - correlation) * np.eye(factors)
        return rng.normal(size=(n, factors)) @ np.linalg.cholesky(matrix).T

    y = scores(len(cluster), 0.3) @ loadings + 0.7 * rng.normal(size=(len(cluster), p))
    y += (0.6 * scores(100, 0.4) @ loadings + 0.25 * rng.normal(size=(100, p)))[cluster]
    names = [f"y{i + 1}" for i in range(p)]
    own = [" + ".join(names[i : i + indicators]) for i in range(0, p, indicators)]
    within, between = (
        "\n".join(f"{level}{f + 1} =~ {text}" for f, text in enumerate(own))
        for level in ("fw", "fb")
    )
    text = f"level: within\n{within}\nlevel: between\n{between}"
    return quiet_model(text, pd.DataFrame(y, columns=names).assign(cluster=cluster), "cluster")


class _Captured(Exception):
    """Carries what ``Model.fit`` was about to sample."""


def compiled_for_sampling(model: bm.Model) -> Any:
    """Run ``Model.fit`` up to sampling: compiled density and starting points.

    Parameters
    ----------
    model
        Any model.

    Returns
    -------
    nutpie.CompiledModel
        Exactly what ``Model.fit`` passes to :func:`nutpie.sample`.
    """

    def capture(compiled: Any, **_: Any) -> None:
        raise _Captured(compiled)

    with patch.object(nutpie, "sample", capture):
        try:
            model.fit(random_seed=1, progress=False)
        except _Captured as captured:
            return captured.args[0]
    raise RuntimeError("Model.fit did not call nutpie.sample")


def start_of(compiled: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return a starting point in the coordinates of NUTS, and the free parameters x there.

    Parameters
    ----------
    compiled
        What :func:`compiled_for_sampling` returns.
    """
    blueprint = compiled.blueprint
    v, x = np.ascontiguousarray(compiled.start(1)), np.empty(blueprint.parameters.n)
    first = len(PriorArrays._fields)
    geometry = Geometry(*compiled.arrays[first : first + len(Geometry._fields)])
    constrained(v, len(x), blueprint.prior_arrays, geometry, x)
    return v, x
