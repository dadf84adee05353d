"""Links of ordered outcomes: the distribution of the latent response around its linear predictor.

y* = eta + e with e standard normal (probit) or standard logistic (logit). Standard means that the
residual variance of y* is 1 or pi^2 / 3, which sets the scale of everything that predicts y*.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from bayes_msem.kernels.responses import LOGIT, PROBIT

__all__ = ["LINKS", "Link"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Link:
    """One distribution of residuals, symmetric around 0.

    Attributes
    ----------
    code
        The link in kernels.responses.
    variance
        Of the residual.
    log_cdf
        Log of the distribution function F.
    quantile
        Its inverse.
    partial_mean
        E[e; F(e) < p], the mean of the residuals below the p-quantile times p.
    draw
        Residuals of a shape.
    """

    code: int
    variance: float
    log_cdf: Callable[[FloatArray], FloatArray]
    quantile: Callable[[FloatArray], FloatArray]
    partial_mean: Callable[[FloatArray], FloatArray]
    draw: Callable[[np.random.Generator, tuple[int, ...]], FloatArray]

    def log_between(self, lower: FloatArray, upper: FloatArray) -> FloatArray:
        """Log of F(upper) - F(lower), in the tail where both are small.

        Examples
        --------
        >>> float(LINKS["probit"].log_between(np.array(20.0), np.array(21.0)))
        -203.91716
        """
        flip = lower + upper > 0  # false for the whole line, whose sum is NaN
        low, high = np.where(flip, -upper, lower), np.where(flip, -lower, upper)
        log_high = self.log_cdf(high)
        with np.errstate(divide="ignore"):  # equal thresholds
            return np.asarray(log_high + np.log1p(-np.exp(self.log_cdf(low) - log_high)))


def _normal_partial_mean(p: FloatArray) -> FloatArray:
    return np.asarray(-np.exp(-0.5 * special.ndtri(p) ** 2) / math.sqrt(2 * math.pi))


def _logistic_partial_mean(p: FloatArray) -> FloatArray:
    return np.asarray(special.xlogy(p, p) + special.xlog1py(1 - p, -p))


LINKS = {
    "probit": Link(
        PROBIT,
        1.0,
        special.log_ndtr,
        special.ndtri,
        _normal_partial_mean,
        lambda rng, shape: rng.normal(size=shape),
    ),
    "logit": Link(
        LOGIT,
        math.pi**2 / 3,
        special.log_expit,
        special.logit,
        _logistic_partial_mean,
        lambda rng, shape: rng.logistic(size=shape),
    ),
}
