"""What families of counts share: a log rate, and the log of the exposure in it."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bayes_msem.errors import SpecificationError
from bayes_msem.outcomes.outcome import Outcome

__all__ = ["MOST_DRAWN", "Count"]

FloatArray = NDArray[np.float64]

MOST_DRAWN = 1e18  # mean of a count that NumPy can draw
_STEPS = 30
_PEAKED = 9.0  # from here on, the density as a function of the log rate is a peak at log y


class Count(Outcome):
    """Numbers of events whose mean is the exponential of the linear predictor."""

    links: ClassVar[tuple[str, ...]] = ("log",)
    residual_variance = 0.0  # a log rate has no residual

    @abstractmethod
    def _rates(
        self, rng: np.random.Generator, rate: FloatArray, dispersion: ArrayLike | None
    ) -> FloatArray:
        """Means of the Poisson distributions that counts are drawn from."""

    def mean(self, eta: ArrayLike, thresholds: ArrayLike | None = None) -> FloatArray:
        """Return the rate."""
        return np.exp(np.asarray(eta, dtype=np.float64))

    def marginal_mean(
        self, mean: ArrayLike, variance: ArrayLike, thresholds: ArrayLike | None = None
    ) -> FloatArray:
        """Return the mean of a log-normal rate."""
        return np.exp(np.asarray(mean, dtype=np.float64) + 0.5 * np.asarray(variance))

    def simulate(
        self,
        rng: np.random.Generator,
        eta: ArrayLike,
        thresholds: ArrayLike | None = None,
        dispersion: ArrayLike | None = None,
    ) -> FloatArray:
        """Draw counts; those that expect more than 1e18 are the expected ones, to nine digits.

        Priors may imply such counts; users who simulate are told (simulation.frame).
        """
        with np.errstate(over="ignore"):
            rates = self._rates(rng, self.mean(eta), dispersion)
        drawn = rng.poisson(np.minimum(rates, MOST_DRAWN))
        return np.where(rates > MOST_DRAWN, rates, drawn)

    def _values(self, thresholds: ArrayLike | None, values: ArrayLike | None) -> FloatArray:
        """Ask for values, since counts have no last one."""
        if values is None:
            raise SpecificationError(
                f"probabilities of '{self.name}' outcomes need values=, such as range(11)"
            )
        return np.asarray(values, dtype=np.float64)

    def _nodes(
        self, y: FloatArray, mean: FloatArray, variance: FloatArray, dispersion: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Put nodes at the peak of the integrand, which may lie between nodes of a wide normal.

        Newton's steps to the mode of log p(y | u) - (u - mean)^2 / (2 variance); any centre is
        right, and this one is near the best.
        """
        peaked = (y >= _PEAKED) & (variance > 0.0)
        alpha = dispersion if self.has_dispersion else np.zeros(y.shape)
        precision = 1.0 / np.where(peaked, variance, 1.0)
        u = np.log(np.maximum(y, _PEAKED))
        for _ in range(_STEPS):
            rate = np.exp(u)
            pull = 1.0 / (1.0 + alpha * rate)
            slope = (y - rate) * pull - (u - mean) * precision
            bend = rate * (1.0 + alpha * y) * pull**2 + precision
            u = u + np.clip(slope / bend, -1.0, 1.0)
        return np.where(peaked, u, mean), np.where(peaked, bend**-0.5, np.sqrt(variance))

    @staticmethod
    def _log_rates(y: FloatArray, exposure: FloatArray | None) -> FloatArray:
        """Half an event is added, since no count is zero on the log scale."""
        return np.log((y + 0.5) / (1.0 if exposure is None else exposure))
