"""New data from the model, given table values: the likelihood read in the other direction."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bayes_msem.data.observe import ObservedData
from bayes_msem.likelihood.cluster_draws import root_of
from bayes_msem.likelihood.marginal import Program, implied_arrays

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ImpliedMoments:
    """Moments that table values imply.

    Attributes
    ----------
    Sigma_w, Sigma_b
        Covariance matrices of the within and between parts of the outcomes, (P, P); zero in
        rows of outcomes without that part.
    coefficients
        Mean coefficients (P, D) of the outcomes on the design vector (1, x, w).
    """

    Sigma_w: FloatArray
    Sigma_b: FloatArray
    coefficients: FloatArray


def implied_moments(theta: FloatArray, program: Program) -> ImpliedMoments:
    """Moments implied by one vector of table values.

    Parameters
    ----------
    theta
        Free parameters and constrained rows, (n_theta,).
    program
        The packed structure.

    Returns
    -------
    ImpliedMoments
    """
    sigma_w, sigma_b, c = implied_arrays(np.ascontiguousarray(theta), program.ints, program.floats)
    return ImpliedMoments(sigma_w, sigma_b, np.ascontiguousarray(c.T))


def draw_outcomes(
    theta: FloatArray, program: Program, observed: ObservedData, rng: np.random.Generator
) -> FloatArray:
    """Draw outcomes for the clusters and covariates of ``observed``.

    Parameters
    ----------
    theta
        Table values, (n_theta,).
    program
        The packed structure.
    observed
        Supplies clusters, x and w; its outcomes are not used.
    rng
        Source of randomness.

    Returns
    -------
    (N, P) array
        Level-1 outcomes, then cluster-level outcomes repeated for every row of their cluster.
    """
    implied = implied_moments(theta, program)
    n, p = observed.n_rows, len(observed.y_names)
    coefficients = implied.coefficients
    n_x = len(observed.x_names)
    outcomes = np.tile(coefficients[:, 0], (n, 1))
    outcomes += observed.x @ coefficients[:, 1 : 1 + n_x].T
    outcomes[:, :p] += rng.standard_normal((n, p)) @ root_of(implied.Sigma_w[:p, :p]).T
    if observed.cluster is not None:
        means = observed.w @ coefficients[:, 1 + n_x :].T
        means += rng.standard_normal(means.shape) @ root_of(implied.Sigma_b).T
        outcomes += means[observed.cluster]
    return outcomes
