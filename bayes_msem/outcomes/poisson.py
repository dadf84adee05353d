"""Counts whose variance is their mean: P(y) = e^-m m^y / y!, m = exp(eta)."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from bayes_msem.kernels.responses import POISSON
from bayes_msem.outcomes.counts import Count
from bayes_msem.outcomes.outcome import WorkingResponse

__all__ = ["Poisson"]

FloatArray = NDArray[np.float64]


class Poisson(Count):
    """Poisson counts with a log link.

    Examples
    --------
    >>> Poisson("log").probabilities(0.0, values=[0, 1, 2]).round(3).tolist()
    [0.368, 0.368, 0.184]
    """

    name: ClassVar[str] = "poisson"

    @property
    def code(self) -> int:
        """The family in kernels.responses."""
        return POISSON

    def log_density(
        self,
        y: ArrayLike,
        eta: ArrayLike,
        thresholds: ArrayLike | None = None,
        dispersion: ArrayLike | None = None,
    ) -> FloatArray:
        """Log probability of the observed counts; 0 where they are missing."""
        count, log_rate = np.asarray(y, dtype=np.float64), np.asarray(eta, dtype=np.float64)
        log_p = count * log_rate - np.exp(log_rate) - special.gammaln(count + 1.0)
        return np.where(np.isnan(count), 0.0, log_p)

    def working_response(
        self, y: FloatArray, *, exposure: FloatArray | None = None, categories: int | None = None
    ) -> WorkingResponse:
        """Return log rates, half an event added."""
        return WorkingResponse(self._log_rates(y, exposure))

    def _rates(
        self, rng: np.random.Generator, rate: FloatArray, dispersion: ArrayLike | None
    ) -> FloatArray:
        return rate
