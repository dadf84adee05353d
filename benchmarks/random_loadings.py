"""The random-loadings case: simulated data, the model in bayes_msem, and by hand in PyMC.

    y_ij = nu_j + lambda_j f_ij + e_ij ,   f_ij = s_j x_ij + zeta_ij

with four indicators. Intercepts nu_j, loadings lambda_j (but that of the marker, 1) and the slope
s_j of the factor on x vary over clusters, independently of each other.

The version by hand has all latent variables f_ij, nu_j, lambda_j and s_j explicitly, is vectorised,
and takes its priors from bayes_msem, so that both posteriors of the parameters are the same. As the
marker's loading is 1 in every cluster, no cluster can flip the sign of its factor. Each kind of
latent variable can be written non-centred (standard normal, then scaled) or centred. Scores start
at the standardised mean of the indicators and intercepts at the cluster means: from nutpie's usual
starting points some chains of the centred versions get stuck.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
import nutpie
import pandas as pd
import pymc as pm
import pytensor.tensor as pt
from models import quiet_model

import bayes_msem as bm

CLUSTERS = 60
SMALL, LARGE = (8, 25), (140, 160)  # rows per cluster, uniform

# true values
LOADINGS, LOADING_SD = (1.0, 0.8, 0.9, 1.1), (0.0, 0.25, 0.25, 0.25)
INTERCEPT, INTERCEPT_SD = 0.0, 0.5
SLOPE, SLOPE_SD = 0.5, 0.3
FACTOR_SD, RESIDUAL_SD = 1.0, 0.7

INDICATORS = ("y1", "y2", "y3", "y4")
LATENTS = ("scores", "intercepts", "loadings", "slopes")
FAMILIES = {
    "within_sd": "halfstudentt",
    "between_sd": "halfnormal",
    "between_intercept": "normal",
}

TEXT = """
level: within
    f =~ y1 + rv("l2")*y2 + rv("l3")*y3 + rv("l4")*y4
    f ~ rv("s")*x
level: between
    y1 ~~ 0*y2 + 0*y3 + 0*y4 + 0*l2 + 0*l3 + 0*l4 + 0*s
    y2 ~~ 0*y3 + 0*y4 + 0*l2 + 0*l3 + 0*l4 + 0*s
    y3 ~~ 0*y4 + 0*l2 + 0*l3 + 0*l4 + 0*s
    y4 ~~ 0*l2 + 0*l3 + 0*l4 + 0*s
    l2 ~~ 0*l3 + 0*l4 + 0*s
    l3 ~~ 0*l4 + 0*s
    l4 ~~ 0*s
"""

SLOPE_ONLY = """
level: within
    f =~ y1 + y2 + y3 + y4
    f ~ rv("s")*x
level: between
    y1 ~~ 0*y2 + 0*y3 + 0*y4 + 0*s
    y2 ~~ 0*y3 + 0*y4 + 0*s
    y3 ~~ 0*y4 + 0*s
    y4 ~~ 0*s
"""


def simulated_loadings_frame(
    sizes: tuple[int, int] = SMALL, *, clusters: int = CLUSTERS, seed: int = 1
) -> pd.DataFrame:
    """Simulate data.

    Parameters
    ----------
    sizes
        Smallest and largest number of rows of a cluster; uniform between them.
    clusters
        Number of clusters.
    seed
        Seed of the simulation.

    Returns
    -------
    pandas.DataFrame
        Columns y1-y4, x, cluster.
    """
    rng = np.random.default_rng(seed)
    cluster = np.repeat(np.arange(clusters), rng.integers(*sizes, clusters, endpoint=True))
    x = rng.standard_normal(len(cluster))
    loadings = LOADINGS + LOADING_SD * rng.standard_normal((clusters, 4))
    intercepts = INTERCEPT + INTERCEPT_SD * rng.standard_normal((clusters, 4))
    slopes = SLOPE + SLOPE_SD * rng.standard_normal(clusters)
    f = slopes[cluster] * x + FACTOR_SD * rng.standard_normal(len(cluster))
    y = intercepts[cluster] + loadings[cluster] * f[:, None]
    y += RESIDUAL_SD * rng.standard_normal(y.shape)
    return pd.DataFrame(y, columns=list(INDICATORS)).assign(x=x, cluster=cluster)


def random_loadings_model(frame: pd.DataFrame) -> bm.Model:
    """Build the model in bayes_msem."""
    return quiet_model(TEXT, frame, "cluster")


def random_slope_model(frame: pd.DataFrame) -> bm.Model:
    """Build the same model with fixed loadings: all random effects are integrated out."""
    return quiet_model(SLOPE_ONLY, frame, "cluster")


def hand_written_loadings_model(
    model: bm.Model, frame: pd.DataFrame, *, centred: Collection[str] = ()
) -> pm.Model:
    """Write the model in PyMC with explicit latent variables.

    Parameters
    ----------
    model
        The same model in bayes_msem, for its priors.
    frame
        The data.
    centred
        Which of "scores", "intercepts", "loadings" and "slopes" are centred.

    Returns
    -------
    pymc.Model
        Its parameters have the names, order and scale of bayes_msem's.
    """
    groups = model.blueprint.parameters.groups
    if {group.name: group.family for group in groups} != FAMILIES:
        raise RuntimeError("default priors have changed: rewrite benchmarks/random_loadings.py")
    if unknown := set(centred) - set(LATENTS):
        raise ValueError(f"unknown latent variables: {unknown}")
    prior = {group.name: group.arguments for group in groups}
    y, x = frame[list(INDICATORS)].to_numpy(), frame["x"].to_numpy()
    ids, cluster = np.unique(frame["cluster"], return_inverse=True)

    def latent(name: str, mean: Any, sd: Any, shape: tuple[int, ...]) -> Any:
        if name in centred:
            return pm.Normal(name, mean, sd, shape=shape)
        return mean + sd * pm.Normal(f"{name}_z", shape=shape)

    with pm.Model() as hand:
        degrees, scale = prior["within_sd"]
        sd_w = pm.HalfStudentT("within_sd", nu=degrees, sigma=scale, shape=5)
        sd_b = pm.HalfNormal("between_sd", *prior["between_sd"], shape=8)
        mean_b = pm.Normal("between_intercept", *prior["between_intercept"], shape=8)

        # order of the level-2 vector: intercepts of y1-y4, loadings of y2-y4, slope
        n_clusters = len(ids)
        nu = latent("intercepts", mean_b[:4], sd_b[:4], (n_clusters, 4))
        free = latent("loadings", mean_b[4:7], sd_b[4:7], (n_clusters, 3))
        s = latent("slopes", mean_b[7], sd_b[7], (n_clusters,))
        loading = pt.concatenate([np.ones((n_clusters, 1)), free], axis=1)
        f = latent("scores", s[cluster] * x, sd_w[4], (len(y),))
        pm.Normal("y", nu[cluster] + f[:, None] * loading[cluster], sd_w[:4], observed=y)
    return hand


def compiled_by_hand(model: bm.Model, frame: pd.DataFrame, *, centred: Collection[str] = ()) -> Any:
    """Compile the version by hand for nutpie, with starting points from the data.

    Parameters
    ----------
    model, frame, centred
        See :func:`hand_written_loadings_model`.

    Returns
    -------
    nutpie.CompiledModel
        Parameters start where PyMC would start them, jittered as usual.
    """
    hand = hand_written_loadings_model(model, frame, centred=centred)
    y, cluster = frame[list(INDICATORS)], frame["cluster"]
    means = y.groupby(cluster).mean()
    scores = (y - means.loc[cluster].to_numpy()).mean(axis=1)
    starts = {
        "scores": scores.to_numpy(),
        "scores_z": (scores / scores.std()).to_numpy(),
        "intercepts": means.to_numpy(),
        "intercepts_z": ((means - means.mean()) / means.std()).to_numpy(),
    }
    names = {variable.name for variable in hand.free_RVs}
    return nutpie.compile_pymc_model(
        hand,
        initial_points={name: value for name, value in starts.items() if name in names},
        jitter_rvs={hand[name] for name in FAMILIES},
    )
