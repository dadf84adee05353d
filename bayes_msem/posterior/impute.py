"""Imputation: posterior draws of missing outcomes.

For every chosen posterior draw of the parameters, the cluster's effects and missing cluster-level
variables are drawn given all observed data (posterior.recover), and then the missing outcomes of a
row given its observed ones: y_mis | y_obs, u_j, theta is normal. That is multiple imputation under
the fitted model (Rubin 1987, https://doi.org/10.1002/9780470316696).

Outcomes that are not normal. Effects and the scores that such outcomes depend on are among the
posterior draws, which know all observed outcomes. Given them such outcomes do not depend on
observed ones, so they are drawn from their family; missing normal outcomes beside them are normal
given those scores and the observed normal ones (posterior.drawn_missing).
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from bayes_msem.blueprint.blueprint import Blueprint
from bayes_msem.data.observed_data import frame_of
from bayes_msem.errors import SpecificationError
from bayes_msem.gaussian.normal import fill_missing
from bayes_msem.posterior.drawn_missing import missing_responses
from bayes_msem.posterior.draws import sampled_parameters
from bayes_msem.posterior.plausible import evenly_spaced
from bayes_msem.posterior.recover import coordinates_of_effects, one_draw
from bayes_msem.simulation.drawn_responses import cluster_outcomes

FloatArray = NDArray[np.float64]


def impute(
    blueprint: Blueprint, posterior: xr.Dataset, draws: int, random_seed: int
) -> list[pd.DataFrame]:
    """Complete the data of a model several times.

    Parameters
    ----------
    blueprint
        A model whose outcomes have missing values.
    posterior
        Posterior draws of its parameters.
    draws
        Number of completed data sets; the posterior draws behind them are evenly spaced.
    random_seed
        Seed of the conditional draws.

    Returns
    -------
    list of pandas.DataFrame
        Like the data, with the columns that the model uses.

    Raises
    ------
    SpecificationError
        Nothing is missing, or more data sets are asked for than there are posterior draws.
    """
    observed = blueprint.observed
    if not observed.incomplete:
        raise SpecificationError(
            "the outcomes of this model have no missing values, so there is nothing to impute"
        )
    x = sampled_parameters(blueprint, posterior)
    points = blueprint.points(x)
    chosen = evenly_spaced(draws, len(points))
    coordinates = coordinates_of_effects(blueprint, posterior, len(points))
    rng = np.random.default_rng(random_seed)
    if blueprint.template.responses is not None:
        found = missing_responses(blueprint, posterior, chosen, rng)
        z = [_complete_z(blueprint, points[i], coordinates[i], rng) for i in chosen]
        return [frame_of(observed, *both) for both in zip(found, z, strict=True)]
    return [
        frame_of(observed, *complete_outcomes(blueprint, points[i], coordinates[i], rng))
        for i in chosen
    ]


def complete_outcomes(
    blueprint: Blueprint, point: FloatArray, t: FloatArray, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """Draw what is missing in y and z at one posterior draw; return both completed.

    Parameters
    ----------
    blueprint
        The model.
    point
        Extended sampled parameters, (n_theta,).
    t
        Coordinates of sampled effects, (J, n_b).
    rng
        Source of randomness.

    Returns
    -------
    tuple of arrays
        y (N, p) and z (J, q). Rows that miss a covariate stay missing.
    """
    observed, likelihood, template = blueprint.observed, blueprint.likelihood, blueprint.template
    n_a, first = len(template.effects.linear), template.first_sampled
    y = np.array(observed.y)
    if observed.two_level:
        u = one_draw(blueprint, point, t, rng)
        of_row = observed.cluster
        b = np.ascontiguousarray(u[:, first:])
    else:
        u, b = np.empty((1, 0)), np.empty((1, 0))
        of_row = np.zeros(observed.n_rows, np.int64)
    assert of_row is not None
    if not template.effects.sampled:
        b = b[:1]  # the same for all clusters
    sigma, c, effect = likelihood.within(point, b)
    c = np.repeat(c, len(u) // len(b), axis=0)
    for q, (e, column) in enumerate(
        zip(template.effects.use_effect, template.effects.use_column, strict=True)
    ):
        c[:, column] += u[:, e, None] * effect[:, q]
    design = np.column_stack([np.ones(observed.n_rows), observed.x])
    mean = np.einsum("nd,ndp->np", design, c[of_row])
    if template.effects.rows:  # every cluster has its own covariance matrix
        for j in np.unique(of_row[np.isnan(y).any(axis=1)]):
            rows = np.flatnonzero(of_row == j)
            part = y[rows]
            fill_missing(part, mean[rows], sigma[j], rng)
            y[rows] = part
    else:
        fill_missing(y, mean, sigma[0], rng)
    return y, u[:, n_a:first]


def _complete_z(
    blueprint: Blueprint, point: FloatArray, t: FloatArray, rng: np.random.Generator
) -> FloatArray:
    """Cluster-level outcomes with what is missing drawn given effects, (J, q)."""
    observed = blueprint.observed
    if not np.isnan(observed.z).any():
        return observed.z
    u = one_draw(blueprint, point, t, rng)
    drawn = cluster_outcomes(blueprint, point, u, observed, rng)
    return np.where(np.isnan(observed.z), drawn, observed.z)
