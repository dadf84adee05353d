"""Curvature of the log posterior of the parameters at the origin of all other coordinates."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bayes_msem.blueprint.blueprint import Blueprint
from bayes_msem.inference.density import log_posterior
from bayes_msem.kernels.density import PLAIN, Geometry

__all__ = ["posterior_root"]

FloatArray = NDArray[np.float64]

_STEP = 1e-4  # of differences of gradients, in units of the coordinates


def posterior_root(
    blueprint: Blueprint, center: FloatArray, units: FloatArray, geometry: Geometry = PLAIN
) -> FloatArray:
    """Root R (n, n) of the covariance matrix that the curvature at a point says, R R'.

    Coordinates of effects and scores are standard normal given any parameters, as nearly as they
    are exact; so the curvature at their origin is that of the marginal posterior of the parameters.

    Parameters
    ----------
    blueprint
        The model.
    center
        Coordinates of the parameters (n,), in the geometry.
    units
        Their units (n,): in no direction is the spread larger than one of them.
    geometry
        Of the coordinates; by default they are the unconstrained parameters.
    """
    n, origin = len(center), np.zeros(blueprint.likelihood.n_coordinates)

    def slope(v: FloatArray) -> FloatArray:
        at = np.concatenate([v, origin])
        return log_posterior(blueprint, at, jacobian=True, geometry=geometry)[1][:n] * units

    steps = np.diag(_STEP * units)
    curvature = -np.array([(slope(center + h) - slope(center - h)) / (2 * _STEP) for h in steps])
    values, vectors = np.linalg.eigh((curvature + curvature.T) / 2)
    root: FloatArray = units[:, None] * vectors / np.sqrt(np.maximum(values, 1.0))
    return root
