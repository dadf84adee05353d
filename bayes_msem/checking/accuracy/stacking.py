r"""Stacking weights: the mixture of models that predicts best what was left out.

With l_ik the leave-one-out log density of unit i under model k, the weights are

    max_w  f(w) = 1/n sum_i log sum_k w_k exp(l_ik) ,   w_k >= 0 ,  sum_k w_k = 1

(Yao et al. 2018). A term that is common to all models of a unit, such as the log of the units of
measurement, adds to f and leaves the weights as they are. So the largest l_ik of each unit is
subtracted before anything is exponentiated: log densities of clusters are in the hundreds or
thousands, and exp() of such numbers is 0 or infinite.

f is concave, and w is its maximum if and only if no derivative g_k = 1/n sum_i p_ik / (p_i w)
exceeds 1. Before that, f is below its maximum by at most log max_k g_k, which is where the
iterations stop. They are Newton steps: with P the matrix p_ik / (p_i w), the quadratic
approximation of f at w is, on the simplex, -|P v - 2|^2 / 2n plus a constant, that is
-|(P - 2) v|^2 / 2n, whose maximum is a non-negative least-squares solution, scaled to sum 1.

References
----------
Yao, Y., Vehtari, A., Simpson, D., & Gelman, A. (2018). Using stacking to average Bayesian
predictive distributions. Bayesian Analysis, 13, 917-1007. https://doi.org/10.1214/17-BA1091
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from bayes_msem.errors import MsemError

__all__ = ["stacking_weights"]

FloatArray = NDArray[np.float64]

_GAP = 1e-12  # of the mean log score, below its maximum
_STEPS, _HALVINGS = 200, 60
_ROUNDING = 1e-14  # of a score; steps that change it by less still bring the derivatives to 1
_PROXIMAL = 1e-12  # keeps a step where it is in directions in which f hardly changes


def stacking_weights(terms: FloatArray) -> FloatArray:
    """Weights of models from their leave-one-out terms.

    Parameters
    ----------
    terms
        Log densities of units under models, (unit, model), all finite.

    Returns
    -------
    array (model,)
        Not negative, of sum 1. Models with equal terms get equal weights.

    Raises
    ------
    MsemError
        The maximum was not found.
    """
    distinct, place, times = np.unique(terms, axis=1, return_inverse=True, return_counts=True)
    return np.asarray((_best_weights(distinct) / times)[place.ravel()])


def _best_weights(terms: FloatArray) -> FloatArray:
    """Weights of models no two of which have the same terms."""
    p = np.exp(terms - terms.max(axis=1, keepdims=True))
    w = np.full(p.shape[1], 1.0 / p.shape[1])
    for _ in range(_STEPS):
        ratios = p / (p @ w)[:, None]
        if np.log(ratios.mean(axis=0).max()) <= _GAP:
            return _searched(p, w, _newton_point(ratios, w))  # which squares what error is left
        w = _searched(p, w, _newton_point(ratios, w))
    raise MsemError(
        f"no maximum of the stacking score in {_STEPS} steps; use weights='BB-pseudo-BMA'"
    )


def _newton_point(ratios: FloatArray, w: FloatArray) -> FloatArray:
    """Maximum on the simplex of the quadratic approximation at w."""
    n, k = ratios.shape
    stay = np.sqrt(_PROXIMAL) * (np.eye(k) - w[:, None])
    matrix = np.vstack([(ratios - 2.0) / np.sqrt(n), stay, np.ones(k)])
    target = np.zeros(len(matrix))
    target[-1] = 1.0
    v = nnls(matrix, target)[0]
    return np.asarray(v / v.sum())


def _searched(p: FloatArray, w: FloatArray, goal: FloatArray) -> FloatArray:
    """First point of a halving search from the goal back to w whose score is not lower."""
    score, step = np.log(p @ w).mean() - _ROUNDING, 1.0
    for _ in range(_HALVINGS):
        v = (1.0 - step) * w + step * goal
        mixed = p @ v
        if mixed.min() > 0.0 and np.log(mixed).mean() > score:
            return v
        step /= 2.0
    return w
