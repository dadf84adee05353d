r"""Counts that vary more than a Poisson: a gamma mixture of Poisson distributions.

    y ~ Poisson(m g) ,   g ~ Gamma with mean 1 and variance alpha ,   m = exp(eta)

so that Var(y) = m + alpha m^2 (NB2), and with r = 1 / alpha

    P(y) = Gamma(y + r) / (Gamma(r) y!)  (m / (r + m))^y  (r / (r + m))^r .
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from bayes_msem.errors import SpecificationError
from bayes_msem.kernels.responses import NEGBINOMIAL
from bayes_msem.outcomes.counts import Count
from bayes_msem.outcomes.outcome import WorkingResponse

__all__ = ["NegBinomial"]

FloatArray = NDArray[np.float64]

_STARTS = 0.05, 5.0  # between which starting values of alpha lie


class NegBinomial(Count):
    """Negative binomial counts with a log link; the dispersion is alpha.

    Examples
    --------
    >>> counts = NegBinomial("log")
    >>> counts.probabilities(0.0, dispersion=1.0, values=[0, 1, 2]).round(3).tolist()
    [0.5, 0.25, 0.125]
    """

    name: ClassVar[str] = "negbinomial"
    has_dispersion: ClassVar[bool] = True

    @property
    def code(self) -> int:
        """The family in kernels.responses."""
        return NEGBINOMIAL

    def log_density(
        self,
        y: ArrayLike,
        eta: ArrayLike,
        thresholds: ArrayLike | None = None,
        dispersion: ArrayLike | None = None,
    ) -> FloatArray:
        """Log probability of the observed counts; 0 where they are missing."""
        count, log_rate = np.asarray(y, dtype=np.float64), np.asarray(eta, dtype=np.float64)
        r = 1.0 / self._alpha(dispersion)
        log_sum = np.logaddexp(np.log(r), log_rate)
        log_p = (
            count * (log_rate - log_sum)
            - r * np.log1p(np.exp(log_rate) / r)
            - np.log(count + r)
            - special.betaln(r, count + 1.0)  # Gamma(y + r) / (Gamma(r) y!)
        )
        return np.where(np.isnan(count), 0.0, log_p)

    def working_response(
        self, y: FloatArray, *, exposure: FloatArray | None = None, categories: int | None = None
    ) -> WorkingResponse:
        """Return log rates, half an event added, and alpha from the variance of the rates."""
        rate = y if exposure is None else y / exposure
        known = rate[~np.isnan(rate)]
        mean = max(float(known.mean()), 1e-8) if len(known) else 1.0
        size = 1.0 if exposure is None else float(np.nanmean(exposure))
        excess = float(known.var()) - mean / size if len(known) else 0.0
        alpha = float(np.clip(excess / mean**2, *_STARTS))
        return WorkingResponse(self._log_rates(y, exposure), dispersion=alpha)

    def _rates(
        self, rng: np.random.Generator, rate: FloatArray, dispersion: ArrayLike | None
    ) -> FloatArray:
        alpha = self._alpha(dispersion)
        shape = np.broadcast_shapes(rate.shape, alpha.shape)
        return np.asarray(rate * alpha * rng.gamma(1.0 / alpha, size=shape))

    def _alpha(self, dispersion: ArrayLike | None) -> FloatArray:
        if dispersion is None:
            raise SpecificationError(
                f"outcomes of family '{self.name}' need a dispersion alpha above 0"
            )
        return np.asarray(dispersion, dtype=np.float64)
