"""Moments that table values imply, for models whose only random coefficients are intercepts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

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
