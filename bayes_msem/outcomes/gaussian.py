"""Continuous outcomes, normal around their linear predictor; the dispersion is the variance."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bayes_msem.errors import SpecificationError
from bayes_msem.kernels.responses import GAUSSIAN
from bayes_msem.outcomes.outcome import Outcome, WorkingResponse

__all__ = ["Gaussian"]

FloatArray = NDArray[np.float64]


class Gaussian(Outcome):
    """Normal outcomes. Their residual variance is a free row of the table, not a dispersion row.

    Examples
    --------
    >>> float(Gaussian("identity").log_density(1.0, 1.0, dispersion=1.0))
    -0.9189385
    """

    name: ClassVar[str] = "gaussian"
    links: ClassVar[tuple[str, ...]] = ("identity",)

    @property
    def code(self) -> int:
        """The family in kernels.responses."""
        return GAUSSIAN

    def log_density(
        self,
        y: ArrayLike,
        eta: ArrayLike,
        thresholds: ArrayLike | None = None,
        dispersion: ArrayLike | None = None,
    ) -> FloatArray:
        """Log density of the outcomes; 0 where they are missing."""
        outcome, variance = np.asarray(y, dtype=np.float64), self._variance(dispersion)
        squares = (outcome - np.asarray(eta)) ** 2 / variance
        log_p = -0.5 * (math.log(2 * math.pi) + np.log(variance) + squares)
        return np.where(np.isnan(outcome), 0.0, log_p)

    def mean(self, eta: ArrayLike, thresholds: ArrayLike | None = None) -> FloatArray:
        """Return the linear predictor."""
        return np.array(eta, dtype=np.float64)

    def marginal_mean(
        self, mean: ArrayLike, variance: ArrayLike, thresholds: ArrayLike | None = None
    ) -> FloatArray:
        """Return the mean of the linear predictor."""
        return self.mean(np.broadcast_arrays(mean, variance)[0])

    def simulate(
        self,
        rng: np.random.Generator,
        eta: ArrayLike,
        thresholds: ArrayLike | None = None,
        dispersion: ArrayLike | None = None,
    ) -> FloatArray:
        """Draw normal outcomes."""
        variance = self._variance(dispersion)
        return np.asarray(rng.normal(np.asarray(eta, dtype=np.float64), np.sqrt(variance)))

    def working_response(
        self, y: FloatArray, *, exposure: FloatArray | None = None, categories: int | None = None
    ) -> WorkingResponse:
        """Return the outcome itself, and its variance."""
        known = y[~np.isnan(y)]
        return WorkingResponse(y.copy(), dispersion=float(known.var()) if len(known) else 1.0)

    def _variance(self, dispersion: ArrayLike | None) -> FloatArray:
        if dispersion is None:
            raise SpecificationError(
                f"outcomes of family '{self.name}' need their residual variance as dispersion"
            )
        return np.asarray(dispersion, dtype=np.float64)
