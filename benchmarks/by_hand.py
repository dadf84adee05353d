"""The reference model as a careful user writes it in PyMC: explicit latent variables.

    y_ij = mu_j + Lambda_w eta_ij + e_ij,   eta_ij = gamma_w' x_ij + zeta_ij
    mu_j = nu + Lambda_b eta_j + u_j,       eta_j  = gamma_b' w_j  + zeta_j

Everything is vectorised and the priors are those that bayes_msem resolved, so that both posteriors
of the parameters are the same. Factor scores and random intercepts can be written non-centred
(standard normal, then scaled) or centred.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from models import reference_frame

import bayes_msem as bm

FAMILIES = {
    "within_loading": "normal",
    "within_regression": "normal",
    "within_sd": "halfstudentt",
    "between_loading": "normal",
    "between_regression": "normal",
    "between_sd": "halfnormal",
    "between_intercept": "normal",
}


def prior_arguments(model: bm.Model) -> dict[str, Any]:
    """Arguments of the resolved priors by group; an error if the families have changed."""
    groups = model.blueprint.parameters.groups
    if {group.name: group.family for group in groups} != FAMILIES:
        raise RuntimeError("default priors have changed: rewrite benchmarks/by_hand.py")
    return {group.name: group.arguments for group in groups}


def hand_written_model(
    model: bm.Model, *, centre_scores: bool = False, centre_intercepts: bool = False
) -> pm.Model:
    """Write the reference model in PyMC with explicit latent variables.

    Parameters
    ----------
    model
        The same model in bayes_msem, for its priors.
    centre_scores
        Write the within-level factor scores eta_ij centred.
    centre_intercepts
        Write the random intercepts mu_j centred.

    Returns
    -------
    pymc.Model
        Its parameters have the names, order and scale of bayes_msem's.
    """
    frame = reference_frame()
    _, first, cluster = np.unique(frame["cluster"], return_index=True, return_inverse=True)
    y = frame[["y1", "y2", "y3"]].to_numpy()
    x = frame[["x1", "x2", "x3"]].to_numpy()
    w = frame[["w1", "w2"]].to_numpy()[first]
    n_rows, n_clusters = len(y), len(w)
    prior = prior_arguments(model)
    with pm.Model() as hand:
        loading_w = pm.Normal("within_loading", *prior["within_loading"], shape=2)
        gamma_w = pm.Normal("within_regression", *prior["within_regression"], shape=3)
        degrees, scale = prior["within_sd"]
        sd_w = pm.HalfStudentT("within_sd", nu=degrees, sigma=scale, shape=4)
        loading_b = pm.Normal("between_loading", *prior["between_loading"], shape=2)
        gamma_b = pm.Normal("between_regression", *prior["between_regression"], shape=2)
        sd_b = pm.HalfNormal("between_sd", *prior["between_sd"], shape=4)
        nu = pm.Normal("between_intercept", *prior["between_intercept"], shape=3)

        lambda_w = pt.concatenate([[1.0], loading_w])
        lambda_b = pt.concatenate([[1.0], loading_b])
        if centre_scores:
            eta_w = pm.Normal("eta_w", x @ gamma_w, sd_w[3], shape=n_rows)
        else:
            eta_w = x @ gamma_w + sd_w[3] * pm.Normal("z_w", shape=n_rows)
        eta_b = w @ gamma_b + sd_b[3] * pm.Normal("z_b", shape=n_clusters)
        mean_b = nu + eta_b[:, None] * lambda_b
        if centre_intercepts:
            mu = pm.Normal("mu", mean_b, sd_b[:3], shape=(n_clusters, 3))
        else:
            mu = mean_b + sd_b[:3] * pm.Normal("u", shape=(n_clusters, 3))
        pm.Normal("y", mu[cluster] + eta_w[:, None] * lambda_w, sd_w[:3], observed=y)
    return hand
