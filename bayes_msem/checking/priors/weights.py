"""Weights of draws that raise the prior, or the likelihood, to a power.

The weight of a draw at power a is p(theta)^(a - 1), or p(y | theta)^(a - 1), smoothed by Pareto
importance sampling and scaled to a sum of one (references: checking.priors.prior_sensitivity).
"""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray

__all__ = ["power_weights"]

FloatArray = NDArray[np.float64]


def power_weights(component: xr.Dataset, alphas: tuple[float, float]) -> tuple[FloatArray, float]:
    """Weights of the draws at the lower power, 1 and the upper one (3, n), and the worst k."""
    from arviz_stats.base import array_stats  # with scipy.stats, which takes a while

    names = list(component.data_vars)
    total = np.sum([component[name].to_numpy() for name in names], axis=0).ravel()
    weights, worst = [], 0.0
    for alpha in (alphas[0], 1.0, alphas[1]):
        if alpha == 1.0 or not np.ptp(total) > 0:
            weights.append(np.full(len(total), 1 / len(total)))
            continue
        log_weights, k = array_stats.psislw(-(alpha - 1) * total)
        log_weights = np.asarray(log_weights, dtype=np.float64)
        relative = np.exp(log_weights - log_weights.max())
        weights.append(relative / relative.sum())
        worst = max(worst, float(k))
    return np.stack(weights), worst
